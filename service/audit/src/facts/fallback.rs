//! Calls with the role of a node that pods may have made, as facts.

use super::view::{Def, Facts, count, fact, text};
use crate::access::fallback::NodeFallback;
use rolecall_rules::{Type, Value};
use std::collections::BTreeMap;

/// So many actions are shown.
const SHOWN: usize = 12;

impl NodeFallback {
    fn evidence(&self) -> Value {
        let shown: BTreeMap<&str, u64> =
            self.actions.iter().take(SHOWN).map(|(action, calls)| (action.as_str(), *calls)).collect();
        let value = serde_json::json!({
            "nodeRole": self.node_role,
            "callsByAction": shown,
            "actions": self.actions.len(),
            "refused": self.denied,
            "networks": self.networks.names().collect::<Vec<_>>(),
            "from": self.since.to_rfc3339(),
            "lastCall": self.last.to_rfc3339(),
        });
        fact("instances did what these pods may do", format!("sessions of instances with {}", self.node_role), value)
    }
}

impl Facts for NodeFallback {
    const NAME: &'static str = "NodeFallback";
    const DOC: &'static str =
        "Calls with the role of a node that an association's pods may make, and that nodes do not make of themselves.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("node_role", || Type::String, "The role of the instances.", |f| text(&f.node_role)),
        Def::<Self>::new(
            "actions",
            || Type::list(Type::String),
            "What was done or tried.",
            |f| Value::texts(f.actions.keys()),
        ),
        Def::<Self>::new(
            "calls",
            || Type::Int,
            "So many calls were counted of these actions, those of before the window too.",
            |f| count(usize::try_from(f.calls).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(1)),
        Def::<Self>::new(
            "refused",
            || Type::Int,
            "So many of them were refused for want of permission.",
            |f| count(usize::try_from(f.denied).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(0)),
        Def::<Self>::new("last_at", || Type::Timestamp, "The last of them.", |f| f.last.into()),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "What was counted.", Self::evidence),
    ];
}
