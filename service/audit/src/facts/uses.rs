//! When credentials were used, as facts.

use super::view::{Def, Facts, count, fact, moment, text};
use crate::access::uses::{Use, UseEvidence, WebIdentityUse};
use rolecall_cloudtrail::evidence;
use rolecall_rules::{Type, Value};

fn shown(evidence: &UseEvidence) -> Value {
    match evidence {
        UseEvidence::Session(last) => {
            let value = serde_json::json!({
                "eventID": last.event_id, "eventTime": last.at.to_rfc3339(), "roleSessionName": last.name,
            });
            fact("the last session", format!("CloudTrail event {}", last.event_id), value)
        }
        UseEvidence::Counted(at, of) => {
            let value = serde_json::json!({ "lastCounted": at.to_rfc3339() });
            fact("the last session or call that was counted", of.clone(), value)
        }
        UseEvidence::Iam(at, role) => {
            let value = serde_json::json!({ "RoleLastUsed": { "LastUsedDate": at.to_rfc3339() } });
            fact("last use by IAM", format!("role {role}"), value)
        }
    }
}

impl Facts for Use {
    const NAME: &'static str = "Use";
    const DOC: &'static str = "A use of credentials, or the time until which one may have gone unseen.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("by", || Type::String, "Who tells: `session`, `iam`, or `unseen`.", |u| text(u.by)),
        Def::<Self>::new("at", || Type::Timestamp, "When; unknown where nobody saw it.", |u| moment(&u.at)),
        Def::<Self>::new("latest", || Type::Timestamp, "When at the latest.", |u| u.latest.into()),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The last session, or what IAM says.",
            |u| Value::list(u.evidence.as_ref().map(shown)),
        ),
    ];
}

impl Facts for WebIdentityUse {
    const NAME: &'static str = "WebIdentityUse";
    const DOC: &'static str = "Sessions by IRSA of a service account that has sessions by an association as well.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("role_arn", || Type::String, "The role that IRSA gave.", |w| text(&w.role_arn)),
        Def::<Self>::new(
            "holds",
            || Type::Bool,
            "Whether they are of this cluster's service account: true, or unknown.",
            |w| w.doubt.as_ref().map_or(Value::Bool(true), |why| Value::Unknown(why.clone())),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "count",
            || Type::Int,
            "So many sessions by IRSA.",
            |w| count(usize::try_from(w.both.irsa.sessions).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(1)),
        Def::<Self>::new(
            "pod_identity_count",
            || Type::Int,
            "So many sessions by Pod Identity, of service accounts of that name in the account.",
            |w| count(usize::try_from(w.both.pod_identity.sessions).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(1)),
        Def::<Self>::new("last_at", || Type::Timestamp, "The last by IRSA.", |w| w.both.irsa.last.into()),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The last session of each kind.",
            |w| {
                let event = |label: &str, way: &evidence::Credential| {
                    let value = serde_json::json!({
                        "eventID": way.event_id, "eventTime": way.last.to_rfc3339(), "roles": way.roles, "sessions": way.sessions,
                    });
                    fact(label, format!("CloudTrail event {}", way.event_id), value)
                };
                Value::list([event("by IRSA", &w.both.irsa), event("by Pod Identity", &w.both.pod_identity)])
            },
        ),
    ];
}
