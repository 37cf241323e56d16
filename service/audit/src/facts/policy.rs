//! Managed policies as facts.

use super::objects::AccountFacts;
use super::view::{Def, Facts, text, unless, unreadable};
use crate::access::index::AccessIndex;
use crate::index::join;
use rolecall_estate::ManagedPolicy;
use rolecall_rules::{Type, Value};
use std::sync::Arc;

/// A customer's managed policy of the estate.
#[derive(Debug)]
pub(super) struct PolicyFacts {
    pub index: Arc<AccessIndex>,
    pub at: usize,
}

impl PolicyFacts {
    fn fixed(&self, fact: impl FnOnce(&ManagedPolicy) -> Value) -> Value {
        let policy = self.index.policies.get(self.at);
        policy.map_or_else(|| Value::unknown("the policy is not in the estate"), fact)
    }

    fn seen(&self, fact: impl FnOnce(&ManagedPolicy) -> Value) -> Value {
        self.fixed(|policy| unless(self.index.policy_unseen(policy).as_ref(), || fact(policy)))
    }
}

impl Facts for PolicyFacts {
    const NAME: &'static str = "Policy";
    const DOC: &'static str = "A managed policy of an account's own.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("arn", || Type::String, "The policy's ARN.", |p| p.fixed(|it| text(it.arn.as_str()))),
        Def::<Self>::new("name", || Type::String, "The policy's name.", |p| p.fixed(|it| text(&it.name))),
        Def::<Self>::new(
            "account_id",
            || Type::String,
            "The account that owns it.",
            |p| p.fixed(|it| text(&it.account_id.to_string())),
        ),
        Def::<Self>::new(
            "account",
            || Type::object("Account"),
            "The account that owns it.",
            |p| p.fixed(|it| AccountFacts { index: Arc::clone(&p.index), id: it.account_id }.into_value()),
        ),
        Def::<Self>::new(
            "attached_to",
            || Type::list(Type::String),
            "ARNs of the roles that have it.",
            |p| {
                p.fixed(|it| {
                    let has =
                        |role: &&rolecall_estate::Role| role.attached.iter().any(|attached| attached.arn == it.arn);
                    let roles = p.index.roles.iter().filter(has);
                    let (shown, remembered): (Vec<_>, Vec<_>) =
                        roles.partition(|role| p.index.role_unseen(role).is_none());
                    let remembered = remembered.into_iter().find_map(|role| p.index.role_unseen(role));
                    let missing = join(p.index.visibility(it.account_id).roles.clone(), remembered.as_ref());
                    Value::list_seen(shown.into_iter().map(|role| text(role.arn.as_str())), missing)
                })
            },
        ),
        Def::<Self>::new(
            "unreadable",
            || Type::list(Type::object("Evidence")),
            "Its document, where it could not be read.",
            |p| {
                p.seen(|it| {
                    let Some(document) = it.document.as_ref().and_then(|digest| p.index.documents.get(digest)) else {
                        return Value::unknown(format!("the document of {} was not seen", it.arn));
                    };
                    let error = document.parsed.as_ref().err();
                    Value::list(error.map(|error| unreadable(it.arn.as_str(), document, error)))
                })
            },
        ),
    ];
}
