//! Privilege-escalation paths as facts.

use super::view::{Def, Facts, evidences, text};
use crate::access::escalation::Escalation;
use crate::access::trust::ASSUME;
use rolecall_rules::{Type, Value};

impl Facts for Escalation {
    const NAME: &'static str = "Escalation";
    const DOC: &'static str = "A privilege-escalation path of a role, after every boundary, SCP and Deny.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "path",
            || Type::String,
            "A stable name of the path, such as `lambda-create-invoke`.",
            |e| text(e.path.map_or("trusted-by-role", |path| path.id)),
        ),
        Def::<Self>::new(
            "actions",
            || Type::String,
            "The actions that it takes, in one line.",
            |e| text(&e.path.map_or_else(|| ASSUME.to_owned(), ToString::to_string)),
        ),
        Def::<Self>::new(
            "outcome",
            || Type::String,
            "What it leads to: `own_permissions`, `another_role`, `a_user`, `a_passed_role`, `a_running_role` or `pods`.",
            |e| text(e.path.map_or("another_role", |path| path.outcome.as_str())),
        )
        .or(|| text("another_role")),
        Def::<Self>::new(
            "to_administrator",
            || Type::Bool,
            "Whether it ends at an administrator, or at permissions that the role writes itself.",
            |e| e.to_admin.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "through",
            || Type::list(Type::String),
            "The roles of the chain, in order; empty where it takes no other role.",
            |e| Value::texts(&e.through),
        ),
        Def::<Self>::new(
            "targets",
            || Type::list(Type::String),
            "Roles of the estate that it ends at, at most ten.",
            |e| Value::texts(&e.targets),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that allow it.",
            |e| evidences(if e.is_chain { "is a step of the chain" } else { "allows one of its actions" }, &e.evidence),
        ),
    ];
}
