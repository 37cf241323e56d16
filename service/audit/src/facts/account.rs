//! Accounts as facts.

use super::declared;
use super::objects::AccountFacts;
use super::view::{Def, Facts, fact, maybe, text, unless};
use crate::index::join;
use rolecall_rules::{Reasons, Type, Value};

impl AccountFacts {
    fn account(&self) -> Option<&rolecall_estate::Account> {
        self.index.accounts.get(&self.id)
    }

    /// Whether `AssumeRole`, a read-only management event, is recorded for the account.
    fn records_assume_role(&self) -> Value {
        let is_on = |trail: &&rolecall_estate::Trail| trail.is_logging() != Some(false);
        let mine = || self.index.trails.iter().filter(|trail| trail.account_id == self.id).filter(is_on);
        if mine().any(|trail| trail.records_read_only_management == Some(true)) {
            return Value::Bool(true);
        }
        let hidden = mine().find(|trail| trail.records_read_only_management.is_none()).map(|trail| {
            let foreign = || {
                Reasons::one(format!("the event selectors of trail {} can only be read in its own account", trail.name))
            };
            self.index.trail_unseen(trail).unwrap_or_else(foreign)
        });
        let why = join(self.index.visibility(self.id).trails.clone(), hidden.as_ref());
        unless(why.as_ref(), || Value::Bool(false))
    }
}

impl Facts for AccountFacts {
    const NAME: &'static str = "Account";
    const DOC: &'static str = "An AWS account.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("id", || Type::String, "The twelve digits.", |a| text(&a.id.to_string())),
        Def::<Self>::new(
            "name",
            || Type::optional(Type::String),
            "Its name in the organisation or the configuration.",
            |a| maybe(a.account().and_then(|account| account.name.as_deref())),
        ),
        Def::<Self>::new(
            "ou_path",
            || Type::optional(Type::String),
            "OU path such as `/workloads/prod`.",
            |a| maybe(a.index.ou_path(a.id)),
        ),
        Def::<Self>::new(
            "is_management",
            || Type::Bool,
            "Whether it is the organisation's management account.",
            |a| a.account().is_some_and(|account| account.is_management).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "has_associations",
            || Type::Bool,
            "Whether some cluster of the account has a Pod Identity association.",
            |a| {
                let mine = || a.index.associations.iter().filter(|association| association.key.account_id == a.id);
                if mine().any(|association| a.index.association_unseen(association).is_none()) {
                    return Value::Bool(true);
                }
                if let Some(why) = mine().find_map(|association| a.index.association_unseen(association)) {
                    return Value::Unknown(why);
                }
                unless(a.index.visibility(a.id).associations.as_ref(), || Value::Bool(false))
            },
        ),
        Def::<Self>::new(
            "trails",
            || Type::list(Type::String),
            "ARNs of the trails seen in the account.",
            |a| {
                let mine = a.index.trails.iter().filter(|trail| trail.account_id == a.id);
                let (shown, remembered): (Vec<_>, Vec<_>) =
                    mine.partition(|trail| a.index.trail_unseen(trail).is_none());
                let unseen = remembered.into_iter().find_map(|trail| a.index.trail_unseen(trail));
                let missing = join(a.index.visibility(a.id).trails.clone(), unseen.as_ref());
                Value::list_seen(shown.into_iter().map(|trail| text(&trail.arn)), missing)
            },
        ),
        Def::<Self>::new(
            "is_declared",
            || Type::Bool,
            "Whether infrastructure code declares roles or associations of the account.",
            |a| a.index.declared.declares(a.id).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "declared_missing",
            || Type::list(Type::object("MissingResource")),
            "Roles and associations of the account that infrastructure code declares and that are not there.",
            |a| declared::missing(&a.index, a.id),
        ),
        Def::<Self>::new(
            "records_assume_role",
            || Type::Bool,
            "Whether some trail that is logging records `AssumeRole`, which is a read-only management event.",
            Self::records_assume_role,
        ),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The account's trails.",
            |a| {
                let mine = a.index.trails.iter().filter(|trail| trail.account_id == a.id);
                Value::list(mine.map(|trail| {
                    let value = serde_json::json!({
                        "Name": trail.name, "HomeRegion": trail.region, "IsMultiRegionTrail": trail.is_multi_region,
                        "recordsReadOnlyManagementEvents": trail.records_read_only_management,
                        "IsLogging": trail.is_logging(),
                    });
                    fact("a trail", trail.arn.clone(), value)
                }))
            },
        ),
    ];
}
