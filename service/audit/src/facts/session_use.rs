//! From where and by what program sessions were used, as facts.

use super::view::{Def, Facts, maybe, text};
use crate::access::session_group::{Group, Observed, UseSeen};
use rolecall_estate::Networks;
use rolecall_rules::{Reasons, Type, Value};

/// The uses of a group, for rules.
pub(super) fn uses(group: &Group, event: &dyn Fn(&str, &Observed) -> Value) -> Value {
    let items = group.uses.values().map(|seen| {
        let evidence = event("the session that was used", &seen.observed);
        SessionUse { seen: seen.clone(), evidence }.into_value()
    });
    let missing = if group.uses.is_empty() {
        Some("no call with the credentials of these sessions is recorded")
    } else {
        group.more_uses.then_some("there are more places than are kept")
    };
    Value::list_seen(items, missing.map(Reasons::one))
}

/// Uses of sessions from one place by one program.
#[derive(Debug)]
pub(super) struct SessionUse {
    seen: UseSeen,
    evidence: Value,
}

impl SessionUse {
    fn what(&self) -> String {
        let UseSeen { origin, observed, pod, .. } = &self.seen;
        let address = origin.source.as_deref().or(origin.network.as_deref());
        let from = match (&origin.endpoint, address) {
            (Some(endpoint), Some(address)) => format!("VPC endpoint {endpoint} ({address})"),
            (Some(endpoint), None) => format!("VPC endpoint {endpoint}"),
            (None, address) => address.unwrap_or("no address").to_owned(),
        };
        let pod = pod.as_deref().map_or_else(String::new, |pod| format!(" of pod {pod}"));
        let program = origin.agent.as_deref().map_or_else(String::new, |agent| format!(" by {agent}"));
        let (action, region, name) = (&origin.action, &origin.region, &observed.name);
        format!("{action} from {from} in {region}{program} at {} with session {name}{pod}", origin.first.to_rfc3339())
    }
}

fn known(new: &Result<bool, String>) -> Value {
    match new {
        Ok(new) => Value::Bool(*new),
        Err(why) => Value::unknown(why.as_str()),
    }
}

impl Facts for SessionUse {
    const NAME: &'static str = "SessionUse";
    const DOC: &'static str = "Recorded calls with the credentials of sessions, from one place by one program.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "address",
            || Type::optional(Type::String),
            "The address, or one of its network's where a network is kept (IPv6, private addresses).",
            |u| maybe(u.seen.origin.source.as_deref()),
        ),
        Def::<Self>::new(
            "network",
            || Type::optional(Type::String),
            "The network as it is kept: a public IPv4 address, `/64` of public IPv6, `/16` of private IPv4.",
            |u| maybe(u.seen.origin.network.as_deref()),
        ),
        Def::<Self>::new(
            "is_public",
            || Type::Bool,
            "Whether the calls came from a public address, and not through a VPC endpoint.",
            |u| {
                let origin = &u.seen.origin;
                let networks = Networks::new(origin.source.as_deref(), origin.endpoint.is_some());
                (networks.has(Networks::PUBLIC) && !networks.has(Networks::ENDPOINT)).into()
            },
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "vpc_endpoint",
            || Type::optional(Type::String),
            "The VPC endpoint's id (`vpce-…`), where the calls came through one.",
            |u| maybe(u.seen.origin.endpoint.as_deref()),
        ),
        Def::<Self>::new("region", || Type::String, "The region of the calls.", |u| {
            text(&u.seen.origin.region.to_string())
        }),
        Def::<Self>::new(
            "program",
            || Type::optional(Type::String),
            "The family of the user agent, such as `boto3 on linux`.",
            |u| maybe(u.seen.origin.agent.as_deref()),
        ),
        Def::<Self>::new("action", || Type::String, "The action of the first call.", |u| text(&u.seen.origin.action)),
        Def::<Self>::new("first_at", || Type::Timestamp, "The first call.", |u| u.seen.origin.first.into()),
        Def::<Self>::new("last_at", || Type::Timestamp, "The last call.", |u| u.seen.last.into()),
        Def::<Self>::new(
            "sessions",
            || Type::Int,
            "How many of the sessions were used so.",
            |u| Value::Int(i64::from(u.seen.sessions)),
        )
        .or(|| Value::Int(1)),
        Def::<Self>::new(
            "is_new_place",
            || Type::Bool,
            "Whether the network or VPC endpoint was used by no session of the same cluster (of the same role, where no cluster is known) a day before, and by fewer than three sessions before. Unknown with less than seven days of recorded calls, unless the workload had five sessions and the same credentials are in use at its known place as well; and where a cluster's addresses change all the time.",
            |u| known(&u.seen.new.place),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "is_new_region",
            || Type::Bool,
            "Whether no session of the workload called in the region a day before, and fewer than three did before. Unknown with less than seven days of recorded calls and fewer than five sessions.",
            |u| known(&u.seen.new.region),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "is_new_program",
            || Type::Bool,
            "Whether no session of the workload called by the program a day before, and fewer than three did before. Unknown with less than seven days of recorded calls and fewer than five sessions.",
            |u| known(&u.seen.new.program),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "what",
            || Type::String,
            "The first call in a phrase: action, place, region, program, time, session and pod.",
            |u| text(&u.what()),
        ),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "The session.", |u| u.evidence.clone()),
    ];
}
