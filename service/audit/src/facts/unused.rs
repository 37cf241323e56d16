//! Unused grants as facts.

use super::view::{Def, Facts, count, fact, moment, text};
use crate::access::unused_grants::UnusedActions;
use rolecall_rules::Type;

/// So many names stand in one text.
const NAMED: usize = 8;

impl Facts for UnusedActions {
    const NAME: &'static str = "UnusedGrant";
    const DOC: &'static str =
        "Actions of one service that a role may do and that change something, with since when they were not called.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("service", || Type::String, "The prefix of the service.", |g| text(g.service)),
        Def::<Self>::new("count", || Type::Int, "How many actions.", |g| count(g.actions.len())),
        Def::<Self>::new(
            "actions",
            || Type::String,
            "Their names, the first of them.",
            |g| {
                let mut names: Vec<&str> = g.actions.iter().take(NAMED).map(|action| action.name).collect();
                let more = format!("{} more", g.actions.len().saturating_sub(NAMED));
                if g.actions.len() > NAMED {
                    names.push(&more);
                }
                text(&names.join(", "))
            },
        ),
        Def::<Self>::new(
            "at_risk",
            || Type::Bool,
            "Whether they manage permissions, or are part of a privilege-escalation path.",
            |g| g.at_risk.into(),
        ),
        Def::<Self>::new(
            "proven",
            || Type::Timestamp,
            "Since when, as far as the trail shows: the last call, or where the trail begins.",
            |g| g.proven.into(),
        ),
        Def::<Self>::new(
            "since",
            || Type::Timestamp,
            "The last call; unknown where it may lie before the trail begins.",
            |g| moment(&g.since),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The service, the actions and since when.",
            |g| {
                let names: Vec<&str> = g.actions.iter().take(200).map(|action| action.name).collect();
                let said =
                    format!("{} of {}, not called since {}", g.actions.len(), g.service, g.proven.format("%Y-%m-%d"));
                fact("granted and not used", said, names.into())
            },
        ),
    ];
}
