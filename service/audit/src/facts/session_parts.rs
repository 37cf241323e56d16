//! What sessions of one shape have in several: names, differences from associations, sources.

use super::view::{Def, Facts, maybe, text};
use crate::access::session_group::{Fault, Place};
use rolecall_rules::{Type, Value};

/// One distinct session name.
#[derive(Debug)]
pub(super) struct SessionNameFacts {
    pub name: String,
    pub count: u32,
    pub evidence: Value,
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
    pub fault: Fault,
    pub count: u32,
    pub evidence: Value,
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
    pub place: Place,
    pub count: u32,
    pub evidence: Value,
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
