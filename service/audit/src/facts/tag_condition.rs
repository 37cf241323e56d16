//! Conditions on the session tags of EKS Pod Identity as facts.

use super::view::{Def, Facts, evidence};
use crate::access::tag_conditions::TagCondition;
use rolecall_rules::{Type, Value};

impl Facts for TagCondition {
    const NAME: &'static str = "TagCondition";
    const DOC: &'static str = "A statement of a role's policies that asks for session tags of Pod Identity.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "keys",
            || Type::list(Type::String),
            "The tags, such as `kubernetes-namespace`.",
            |t| Value::texts(&t.keys),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The statement and where it stands.",
            |t| Value::object(evidence("asks for session tags", &t.site)),
        ),
    ];
}
