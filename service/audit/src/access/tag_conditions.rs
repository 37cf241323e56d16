//! Statements of a role's policies that ask for the session tags of EKS Pod Identity.

use super::answer::Partial;
use super::index::AccessIndex;
use super::stack::{identity, says_nothing};
use super::trust::TAGS;
use rolecall_estate::Role;
use rolecall_iam::{Clause, Effect, ResourcePattern, Site, Statement};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A statement that asks for session tags of Pod Identity.
#[derive(Debug)]
pub(crate) struct TagCondition {
    pub site: Site,
    /// The tags, such as `kubernetes-namespace`.
    pub keys: Vec<&'static str>,
}

/// Conditions on the session tags of Pod Identity, by statement. What a Deny asks for, everything
/// that the role may do asks for.
pub(crate) fn of_role(index: &AccessIndex, role: &Role) -> Partial<TagCondition> {
    let parts = identity(index, role);
    let statements = || {
        parts
            .iter()
            .filter_map(|part| part.document.as_ref().ok().map(|document| (part, *document)))
            .flat_map(|(part, document)| document.statements().iter().map(move |statement| (part, document, statement)))
    };
    let denied: BTreeSet<&str> =
        statements().filter(|(.., s)| s.effect == Effect::Deny).flat_map(|(.., s)| pod_tag_keys(s)).collect();
    let allows = statements().filter(|(.., s)| s.effect == Effect::Allow);
    let found = allows.filter_map(|(part, document, statement)| {
        let mut keys = pod_tag_keys(statement);
        if keys.is_empty() {
            return None;
        }
        keys.extend(&denied);
        keys.sort_unstable();
        keys.dedup();
        let site =
            Site { source: part.source.as_str().into(), document: document.digest, statement: Arc::clone(statement) };
        Some(TagCondition { site, keys })
    });
    let items = found.collect();
    Partial { items, missing: parts.iter().find_map(says_nothing) }
}

/// The tags of Pod Identity that a statement asks for: as the key of a condition, or as a variable in
/// a condition's value or a resource.
fn pod_tag_keys(statement: &Statement) -> Vec<&'static str> {
    let resources = statement.resources.iter().flat_map(Clause::elements).map(ResourcePattern::as_str);
    let values = statement.conditions.iter().flat_map(|condition| condition.values.iter().map(String::as_str));
    let texts: Vec<String> = resources.chain(values).map(str::to_ascii_lowercase).collect();
    let asks = |tag: &str| {
        let key = format!("aws:principaltag/{tag}");
        let variable = format!("${{{key}");
        statement.conditions.iter().any(|condition| condition.key.eq_ignore_ascii_case(&key))
            || texts.iter().any(|text| text.contains(&variable))
    };
    TAGS.into_iter().filter(|tag| asks(tag)).collect()
}
