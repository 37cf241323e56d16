//! Who gets to a role, as facts.

use super::view::{Def, Facts, flag, text, value};
use crate::access::callers::{CallerNames, Callers};
use rolecall_rules::{Type, Value};
use std::collections::BTreeSet;

/// So many names stand in one text.
const NAMED: usize = 3;

/// The first few names, and how many more there are.
fn named(before: &str, names: &BTreeSet<String>) -> Option<String> {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(shown.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!shown.is_empty()).then(|| format!("{before}{}{more}", shown.join(", ")))
}

/// Everybody who gets to a role, in a few words.
fn summary(names: &CallerNames) -> String {
    let mut parts: Vec<String> = named("pods of ", &names.pods).into_iter().collect();
    if names.other_pods {
        parts.push("pods by other roles".to_owned());
    }
    parts.extend(named("", &names.principals));
    parts.extend(named("the service ", &names.services));
    if parts.is_empty() { "nobody".to_owned() } else { parts.join("; ") }
}

impl Facts for Callers {
    const NAME: &'static str = "Reach";
    const DOC: &'static str = "Who gets to a role.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "by_workload",
            || Type::Bool,
            "Whether pods get to it: it is the role or the target role of an association, or a role that such a one certainly may assume.",
            |r| flag(r.by_workload()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "by_outsider",
            || Type::Bool,
            "Whether its trust policy may let in anyone, or an account that belongs neither to the organisation nor to the estate.",
            |r| flag(r.by_outsider()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "by_principal",
            || Type::Bool,
            "Whether its trust policy may let in users, roles, accounts or the identities of a provider.",
            |r| flag(r.by_principal()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "by_service",
            || Type::list(Type::String),
            "The AWS services that its trust policy may let in, other than EKS Pod Identity.",
            |r| value(r.by_service().map(Value::texts)),
        ),
        Def::<Self>::new(
            "open",
            || Type::Bool,
            "Whether pods, outsiders, users or roles get to it: more than AWS services, or nobody.",
            |r| flag(r.by_any()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "summary",
            || Type::String,
            "The same in a few words: pods of pay/api on prod; 111122223333; the service ec2.amazonaws.com.",
            |r| value(r.names().map(|names| text(&summary(&names)))),
        )
        .or(|| text("nobody")),
    ];
}
