//! Sessions as facts: what was observed, gathered by shape.

use super::CachedIndex;
use super::association::AssociationFacts;
use super::attributions::Fault;
use super::place::AccountFacts;
use super::role::RoleFacts;
use super::sessions::{Group, Observed, Place, kind_name};
use super::view::{Def, Facts, count, fact, maybe, text};
use rolecall_cloudtrail::session_name;
use rolecall_cloudtrail::session_name::PodIdentityName;
use rolecall_estate::Association;
use rolecall_iam::Arn;
use rolecall_rules::{Reasons, Type, Value};
use std::sync::Arc;

/// So many examples are shown as evidence.
const EXAMPLES: usize = 3;

/// Sessions of one shape.
#[derive(Debug)]
pub(super) struct SessionFacts {
    pub world: Arc<CachedIndex>,
    pub group: Arc<Group>,
}

impl SessionFacts {
    /// Associations that can have led to the sessions: by the tags where there are any, else by the
    /// role and the cluster's part of the name.
    fn candidates(&self) -> Vec<usize> {
        let key = &self.group.key;
        let Some(role) = key.role_arn.as_deref() else { return Vec::new() };
        let own = self.world.associations_of(role).iter().chain(self.world.associations_into(role));
        let agrees = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|wanted| wanted == has);
        let fits = |association: &Association| {
            let at = &association.key;
            let by_name = key.cluster.is_some()
                || self.group.names.values().any(|observed| {
                    PodIdentityName::parse(&observed.name).is_none_or(|name| name.pod_in(at.cluster.as_str()).is_some())
                });
            agrees(&key.cluster, at.cluster.as_str())
                && agrees(&key.namespace, at.namespace.as_str())
                && agrees(&key.service_account, at.service_account.as_str())
                && by_name
        };
        let mut found: Vec<usize> =
            own.copied().filter(|index| self.world.associations.get(*index).is_some_and(fits)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Why associations can have led to the sessions that nobody saw.
    fn unseen_associations(&self) -> Option<Reasons> {
        let visibility = self.world.visibility(self.group.key.account_id);
        crate::index::join(visibility.associations.clone(), visibility.details.as_ref())
    }

    /// The namespace by the tags, else by the candidates where they agree.
    fn namespace(&self) -> Value {
        if let Some(namespace) = &self.group.key.namespace {
            return text(namespace);
        }
        if self.group.key.role_arn.is_none() {
            return Value::Null;
        }
        if let Some(why) = self.unseen_associations() {
            return Value::Unknown(why);
        }
        let mut namespaces: Vec<&str> = self
            .candidates()
            .into_iter()
            .filter_map(|index| self.world.associations.get(index))
            .map(|association| association.key.namespace.as_str())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        match namespaces.as_slice() {
            [one] => text(one),
            _ => Value::Null,
        }
    }

    fn name(&self) -> Option<&str> {
        self.group.names.values().next().map(|observed| observed.name.as_str())
    }

    fn examples(&self) -> Value {
        let examples = self.group.names.values().take(EXAMPLES);
        Value::list(examples.map(|observed| self.event("observed", observed)))
    }

    fn event(&self, label: &str, observed: &Observed) -> Value {
        let value = serde_json::json!({
            "eventID": observed.event_id,
            "eventTime": observed.at.to_rfc3339(),
            "awsRegion": observed.region,
            "recipientAccountId": self.group.key.account_id,
            "roleArn": self.group.key.role_arn.as_deref(),
            "roleSessionName": observed.name,
            "principal": observed.principal,
            "sourceIPAddress": observed.source_ip,
            "vpcEndpointId": observed.vpc_endpoint.as_ref().map(|endpoint| &endpoint.id),
            "vpcEndpointAccountId": observed.vpc_endpoint.as_ref().and_then(|endpoint| endpoint.account_id.as_ref()),
            "sessionsOfThisName": observed.count,
        });
        fact(label, format!("CloudTrail event {}", observed.event_id), value)
    }
}

impl Facts for SessionFacts {
    const NAME: &'static str = "Session";
    const DOC: &'static str =
        "Sessions of one kind, from one principal into one role, for one workload, with names of one shape.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "account_id",
            || Type::String,
            "The account in whose trail they were recorded.",
            |s| text(&s.group.key.account_id.to_string()),
        ),
        Def::<Self>::new(
            "account",
            || Type::object("Account"),
            "The account in whose trail they were recorded.",
            |s| AccountFacts { world: Arc::clone(&s.world), id: s.group.key.account_id }.into_value(),
        ),
        Def::<Self>::new(
            "kind",
            || Type::String,
            "`pod_identity`, `pod_identity_target`, `web_identity`, `saml`, `service`, `assume_role` or `agent_request`.",
            |s| text(kind_name(s.group.key.kind)),
        ),
        Def::<Self>::new(
            "by_eks",
            || Type::Bool,
            "Whether EKS itself opened them: by its service principal, or as the hop of an association.",
            |s| s.group.perhaps_by_eks.as_deref().map_or_else(|| s.group.key.by_eks.into(), Value::unknown),
        ),
        Def::<Self>::new(
            "principal",
            || Type::String,
            "Who asked, without its own session name.",
            |s| text(&s.group.key.principal),
        ),
        Def::<Self>::new(
            "role_arn",
            || Type::optional(Type::String),
            "The role asked for.",
            |s| maybe(s.group.key.role_arn.as_deref()),
        ),
        Def::<Self>::new(
            "role",
            || Type::optional(Type::object("Role")),
            "The role asked for; absent where there is no such role.",
            |s| {
                let Some(arn) = s.group.key.role_arn.as_deref() else { return Value::Null };
                if let Some(index) = s.world.role_index(arn) {
                    return RoleFacts { world: Arc::clone(&s.world), index }.into_value();
                }
                let account = arn.parse::<Arn>().ok().and_then(|arn| arn.account_id());
                let unseen = account.and_then(|account| s.world.visibility(account).roles.clone());
                unseen.map_or(Value::Null, Value::Unknown)
            },
        ),
        Def::<Self>::new(
            "cluster_name",
            || Type::optional(Type::String),
            "The cluster that tags or event name.",
            |s| maybe(s.group.key.cluster.as_deref()),
        ),
        Def::<Self>::new(
            "namespace",
            || Type::optional(Type::String),
            "The namespace by the session tags, else by the associations that can have led here, where they agree.",
            Self::namespace,
        ),
        Def::<Self>::new(
            "service_account",
            || Type::optional(Type::String),
            "The service account by the session tags.",
            |s| maybe(s.group.key.service_account.as_deref()),
        ),
        Def::<Self>::new(
            "associations",
            || Type::list(Type::object("Association")),
            "The associations that can have led to the sessions.",
            |s| {
                let candidates = s.candidates();
                let items = candidates
                    .into_iter()
                    .map(|index| AssociationFacts { world: Arc::clone(&s.world), index }.into_value());
                Value::list_seen(items, s.unseen_associations())
            },
        ),
        Def::<Self>::new(
            "shape",
            || Type::optional(Type::String),
            "The names' common shape.",
            |s| maybe(s.group.key.shape.as_deref()),
        ),
        Def::<Self>::new("name", || Type::optional(Type::String), "One of the names.", |s| maybe(s.name())),
        Def::<Self>::new(
            "names",
            || Type::list(Type::object("SessionName")),
            "Distinct names, one event each.",
            |s| {
                let items = s.group.names.values().map(|observed| {
                    let evidence = s.event("observed", observed);
                    SessionNameFacts { name: observed.name.clone(), count: observed.count, evidence }.into_value()
                });
                let more = s.group.more_names.then(|| Reasons::one("there are more distinct names than are kept"));
                Value::list_seen(items, more)
            },
        ),
        Def::<Self>::new(
            "has_pod_identity_name",
            || Type::Bool,
            "Whether the names have the shape that EKS gives: `eks-<cluster>-<pod>-<uuid>`.",
            |s| s.name().is_some_and(|name| PodIdentityName::parse(name).is_some()).into(),
        ),
        Def::<Self>::new(
            "has_default_name",
            || Type::Bool,
            "Whether the names are an SDK's own, given by nobody.",
            |s| s.name().is_some_and(session_name::is_default).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "contradictions",
            || Type::Int,
            "Sessions whose name disagrees with their session tags.",
            |s| Value::Int(i64::from(s.group.contradictions)),
        )
        .or(|| Value::Int(0)),
        Def::<Self>::new(
            "name_producer",
            || Type::optional(Type::String),
            "The program that gives such names where nobody names the session.",
            |s| maybe(s.name().and_then(session_name::producer)),
        ),
        Def::<Self>::new(
            "faults",
            || Type::list(Type::object("SessionFault")),
            "How sessions that EKS opened differ from what associations explain.",
            |s| {
                let items = s.group.faults.iter().map(|(fault, (count, observed))| {
                    let evidence = s.event(&fault.what, observed);
                    SessionFault { fault: fault.clone(), count: *count, evidence }.into_value()
                });
                Value::list(items)
            },
        ),
        Def::<Self>::new(
            "sources",
            || Type::list(Type::object("SessionSource")),
            "From where the sessions were asked for; none where AWS's own services did.",
            |s| {
                let items = s.group.sources.iter().map(|(place, (count, observed))| {
                    let evidence = s.event("the last session from there", observed);
                    SessionSource { place: place.clone(), count: *count, evidence }.into_value()
                });
                let more = s.group.more_sources.then(|| Reasons::one("there are more places than are kept"));
                Value::list_seen(items, more)
            },
        ),
        Def::<Self>::new(
            "uses",
            || Type::list(Type::object("SessionUse")),
            "From where and by what the sessions' credentials were used, as far as trails record calls. Not known where no call is recorded.",
            |s| super::origins::uses(&s.group, &|label, observed| s.event(label, observed)),
        ),
        Def::<Self>::new(
            "packed_policy_size",
            || Type::optional(Type::Int),
            "How much of the space for session policies and tags the fullest session takes, in percent.",
            |s| Value::optional(s.group.packed.as_ref().map(|(size, _)| i64::from(*size))),
        ),
        Def::<Self>::new(
            "packed_evidence",
            || Type::list(Type::object("Evidence")),
            "The fullest session.",
            |s| Value::list(s.group.packed.iter().map(|(_, observed)| s.event("the fullest session", observed))),
        ),
        Def::<Self>::new("count", || Type::Int, "How many sessions.", |s| Value::Int(i64::from(s.group.count))),
        Def::<Self>::new(
            "refused",
            || Type::Int,
            "How many of them were refused.",
            |s| Value::Int(i64::from(s.group.refused)),
        )
        .or(|| Value::Int(0)),
        Def::<Self>::new(
            "first_at",
            || Type::Timestamp,
            "The first, in the window that is judged.",
            |s| s.group.first.into(),
        ),
        Def::<Self>::new("last_at", || Type::Timestamp, "The last.", |s| s.group.last.into()),
        Def::<Self>::new(
            "distinct_names",
            || Type::Int,
            "How many distinct names are kept.",
            |s| count(s.group.names.len()),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "A few of the events.",
            |s| match &s.group.contradiction {
                Some(observed) => Value::list([s.event("name and tags disagree", observed)]),
                None => s.examples(),
            },
        ),
    ];
}

/// One distinct session name.
#[derive(Debug)]
pub(super) struct SessionNameFacts {
    name: String,
    count: u32,
    evidence: Value,
}

impl Facts for SessionNameFacts {
    const NAME: &'static str = "SessionName";
    const DOC: &'static str = "A session name as observed.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("name", || Type::String, "The name.", |n| text(&n.name)),
        Def::<Self>::new(
            "count",
            || Type::Int,
            "Sessions with this name, its random part aside.",
            |n| Value::Int(i64::from(n.count)),
        ),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "One event with this name.", |n| n.evidence.clone()),
    ];
}

/// One way in which sessions that EKS opened differ from what associations explain.
#[derive(Debug)]
pub(super) struct SessionFault {
    fault: Fault,
    count: u32,
    evidence: Value,
}

impl Facts for SessionFault {
    const NAME: &'static str = "SessionFault";
    const DOC: &'static str = "A way in which sessions that EKS opened differ from what associations explain.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "kind",
            || Type::String,
            "`no_association`, `after_end` (opened when its association had ended or changed, and pods could not hold credentials of before any more), `role` or `tags`.",
            |f| text(f.fault.kind),
        ),
        Def::<Self>::new("what", || Type::String, "What differs, in a sentence.", |f| text(&f.fault.what)),
        Def::<Self>::new(
            "holds",
            || Type::Bool,
            "Whether it is so: true, or unknown where what would explain it was not seen.",
            |f| f.fault.why_not_known.as_ref().map_or(Value::Bool(true), |why| Value::unknown(why.clone())),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new("count", || Type::Int, "So many sessions.", |f| Value::Int(i64::from(f.count)))
            .or(|| Value::Int(1)),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "The last of the events.", |f| f.evidence.clone()),
    ];
}

/// One place that asked for sessions.
#[derive(Debug)]
pub(super) struct SessionSource {
    place: Place,
    count: u32,
    evidence: Value,
}

impl Facts for SessionSource {
    const NAME: &'static str = "SessionSource";
    const DOC: &'static str = "An address that asked for sessions, or a VPC endpoint through which it did.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "address",
            || Type::optional(Type::String),
            "The IP address.",
            |s| maybe(s.place.address.map(|address| address.to_string()).as_deref()),
        ),
        Def::<Self>::new(
            "vpc_endpoint",
            || Type::optional(Type::String),
            "The VPC endpoint's id (`vpce-…`), where the request came through one.",
            |s| maybe(s.place.endpoint.as_ref().map(|endpoint| endpoint.id.as_str())),
        ),
        Def::<Self>::new(
            "vpc_endpoint_account",
            || Type::optional(Type::String),
            "The account that owns the VPC endpoint, where the event says so.",
            |s| maybe(s.place.endpoint.as_ref().and_then(|endpoint| endpoint.account_id.as_deref())),
        ),
        Def::<Self>::new("count", || Type::Int, "So many sessions.", |s| Value::Int(i64::from(s.count)))
            .or(|| Value::Int(1)),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "The last of the events.", |s| s.evidence.clone()),
    ];
}
