//! Sessions as facts: what was observed, gathered by shape.

use super::objects::{AccountFacts, AssociationFacts, RoleFacts};
use super::session_parts::{SessionFault, SessionNameFacts, SessionSource};
use super::session_use;
use super::view::{Def, Facts, count, fact, maybe, text, value};
use crate::access::index::AccessIndex;
use crate::access::session_group::{Group, Observed, kind_name};
use crate::access::sessions::{candidates, namespace, unseen_associations};
use rolecall_cloudtrail::session_name;
use rolecall_cloudtrail::session_name::PodIdentityName;
use rolecall_iam::Arn;
use rolecall_rules::{Reasons, Type, Value};
use std::sync::Arc;

/// So many examples are shown as evidence.
const EXAMPLES: usize = 3;

/// Sessions of one shape.
#[derive(Debug)]
pub(super) struct SessionFacts {
    pub index: Arc<AccessIndex>,
    pub group: Arc<Group>,
}

impl SessionFacts {
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
            |s| AccountFacts { index: Arc::clone(&s.index), id: s.group.key.account_id }.into_value(),
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
                if let Some(at) = s.index.role_index(arn) {
                    return RoleFacts { index: Arc::clone(&s.index), at }.into_value();
                }
                let account = arn.parse::<Arn>().ok().and_then(|arn| arn.account_id());
                let unseen = account.and_then(|account| s.index.visibility(account).roles.clone());
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
            |s| value(namespace(&s.index, &s.group).map(|namespace| maybe(namespace.as_deref()))),
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
                let candidates = candidates(&s.index, &s.group);
                let items =
                    candidates.into_iter().map(|at| AssociationFacts { index: Arc::clone(&s.index), at }.into_value());
                Value::list_seen(items, unseen_associations(&s.index, &s.group))
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
            |s| session_use::uses(&s.group, &|label, observed| s.event(label, observed)),
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
