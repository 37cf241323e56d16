//! Roles as facts.

use super::declared;
use super::objects::{AccountFacts, AssociationFacts, RoleFacts};
use super::view::{Def, Facts, flag, listed, maybe, objects, tags, text, unless, unreadable};
use crate::access::callers::{self, Callers};
use crate::access::index::AccessIndex;
use crate::access::role_trust::{self, RoleTrust};
use crate::access::{escalation, permissions, stack, tag_conditions, unused_grants, uses};
use crate::index::join;
use crate::resource::ResourceType;
use rolecall_estate::Role;
use rolecall_rules::{Type, Value};
use std::sync::Arc;

impl RoleFacts {
    fn role(&self) -> Option<&Role> {
        self.index.roles.get(self.at)
    }

    /// A fact that the latest listing of the account's roles showed.
    fn seen(&self, fact: impl FnOnce(&Role) -> Value) -> Value {
        let Some(role) = self.role() else { return Value::unknown("the role is not in the estate") };
        unless(self.index.role_unseen(role).as_ref(), || fact(role))
    }

    /// A fact that never changes.
    fn fixed(&self, fact: impl FnOnce(&Role) -> Value) -> Value {
        self.role().map_or_else(|| Value::unknown("the role is not in the estate"), fact)
    }

    fn associations(&self, of: fn(&AccessIndex, &str) -> Vec<usize>, everywhere: bool) -> Value {
        self.fixed(|role| {
            let (shown, unconfirmed) = self.index.confirmed(&of(&self.index, role.arn.as_str()));
            let items =
                shown.into_iter().map(|at| AssociationFacts { index: Arc::clone(&self.index), at }.into_value());
            let accounts: Vec<_> =
                if everywhere { self.index.accounts.keys().copied().collect() } else { vec![role.arn.account_id()] };
            let missing = accounts.iter().map(|account| self.index.visibility(*account)).fold(
                unconfirmed,
                |missing, visibility| {
                    join(join(missing, visibility.associations.as_ref()), visibility.details.as_ref())
                },
            );
            Value::list_seen(items, missing)
        })
    }
}

impl Facts for RoleFacts {
    const NAME: &'static str = "Role";
    const DOC: &'static str = "An IAM role.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("arn", || Type::String, "The role's ARN.", |r| r.fixed(|role| text(role.arn.as_str()))),
        Def::<Self>::new(
            "name",
            || Type::String,
            "The role's name, without its path.",
            |r| r.fixed(|role| text(role.arn.name())),
        ),
        Def::<Self>::new(
            "path",
            || Type::String,
            "The role's path, `/` at least.",
            |r| r.fixed(|role| text(role.arn.path())),
        ),
        Def::<Self>::new(
            "account_id",
            || Type::String,
            "The account that owns the role.",
            |r| r.fixed(|role| text(&role.arn.account_id().to_string())),
        ),
        Def::<Self>::new(
            "account",
            || Type::object("Account"),
            "The account that owns the role.",
            |r| r.fixed(|role| AccountFacts { index: Arc::clone(&r.index), id: role.arn.account_id() }.into_value()),
        ),
        Def::<Self>::new(
            "role_id",
            || Type::String,
            "The unique id (`AROA…`), new when the role is made anew.",
            |r| r.seen(|role| text(&role.role_id)),
        ),
        Def::<Self>::new(
            "created_at",
            || Type::optional(Type::Timestamp),
            "When the role was made.",
            |r| r.seen(|role| Value::optional(role.created_at)),
        ),
        Def::<Self>::new(
            "last_used_at",
            || Type::optional(Type::Timestamp),
            "When IAM last saw the role used, within 400 days; absent where it was not.",
            |r| r.seen(|role| Value::optional(r.index.last_used(role.arn.as_str()).map(|used| used.at))),
        ),
        Def::<Self>::new(
            "uses",
            || Type::list(Type::object("Use")),
            "When it was used last, by IAM and by the sessions of the trail.",
            |r| r.seen(|role| listed(uses::of_role(&r.index, role))),
        ),
        Def::<Self>::new(
            "tags",
            || Type::map(Type::String),
            "The role's own tags.",
            |r| r.seen(|role| tags(&role.tags)),
        ),
        Def::<Self>::new(
            "is_service_linked",
            || Type::Bool,
            "Whether an AWS service made the role for itself (path `/aws-service-role/`).",
            |r| r.fixed(|role| stack::is_service_linked(role).into()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "is_cluster_role",
            || Type::Bool,
            "Whether an EKS cluster of the estate runs under the role.",
            |r| {
                r.fixed(|role| {
                    let own = |c: &&rolecall_estate::Cluster| c.role_arn.as_deref() == Some(role.arn.as_str());
                    let undescribed = |c: &rolecall_estate::Cluster| r.index.cluster_undescribed(c);
                    if r.index.clusters.iter().filter(own).any(|c| undescribed(c).is_none()) {
                        return Value::Bool(true);
                    }
                    // A cluster runs under a role of its own account.
                    let account = role.arn.account_id();
                    let here = r.index.clusters.iter().filter(|c| c.account_id == account);
                    let missing = join(
                        r.index.visibility(account).clusters.clone(),
                        here.filter_map(undescribed).next().as_ref(),
                    );
                    unless(missing.as_ref(), || Value::Bool(false))
                })
            },
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "inline_policies",
            || Type::list(Type::String),
            "Names of its inline policies.",
            |r| r.seen(|role| Value::texts(role.inline.iter().map(|p| &p.name))),
        ),
        Def::<Self>::new(
            "attached_policies",
            || Type::list(Type::String),
            "ARNs of its attached policies.",
            |r| r.seen(|role| Value::texts(role.attached.iter().map(|p| p.arn.as_str()))),
        ),
        Def::<Self>::new(
            "boundary_arn",
            || Type::optional(Type::String),
            "The permissions boundary's ARN.",
            |r| r.seen(|role| maybe(role.boundary.as_ref().map(rolecall_iam::Arn::as_str))),
        ),
        Def::<Self>::new(
            "trust",
            || Type::object("Trust"),
            "Who may assume the role.",
            |r| {
                r.seen(|role| match role_trust::answers(&r.index, role) {
                    Ok(answers) => {
                        let (index, account) = (Arc::clone(&r.index), role.arn.account_id());
                        RoleTrust { index, account, answers }.into_value()
                    }
                    Err(why) => Value::unknown(why),
                })
            },
        ),
        Def::<Self>::new(
            "reached_by_pods",
            || Type::Bool,
            "Whether pods can get to it: its trust policy names EKS Pod Identity, or an association has it as target role.",
            |r| r.seen(|role| flag(callers::reached_by_pods(&r.index, role))),
        ),
        Def::<Self>::new(
            "permissions",
            || Type::object("Permissions"),
            "What sessions of the role may do, by all its policies under boundary and SCPs; where nobody but Pod Identity can assume it, also under the session policies of its associations.",
            |r| r.seen(|role| permissions::of_role(&r.index, role).into_value()),
        ),
        Def::<Self>::new(
            "reach",
            || Type::object("Reach"),
            "Who gets to the role: pods by their associations, users and roles, outsiders, AWS services.",
            |r| r.seen(|_| Callers { index: Arc::clone(&r.index), at: r.at }.into_value()),
        ),
        Def::<Self>::new(
            "unused_grants",
            || Type::list(Type::object("UnusedGrant")),
            "What it may do that changes something, with since when no session of it did; as far as the trail of its account is complete.",
            |r| r.seen(|role| listed(unused_grants::of_role(&r.index, role))),
        ),
        Def::<Self>::new(
            "escalations",
            || Type::list(Type::object("Escalation")),
            "Privilege-escalation paths: to more permissions of its own, to other roles and users, over any number of roles. None where it grants administrator access already.",
            |r| r.seen(|_| listed(escalation::of_role(&r.index, r.at))),
        ),
        Def::<Self>::new(
            "declared",
            || Type::optional(Type::object("Declared")),
            "How it stands to what infrastructure code declares; absent where it is not declared and has not to be: no code declares roles of its account, or no pod of a cluster that is declared gets it.",
            |r| r.fixed(|role| declared::of(&r.index, ResourceType::Role, role.arn.as_str())),
        ),
        Def::<Self>::new(
            "tag_conditions",
            || Type::list(Type::object("TagCondition")),
            "Statements of its policies that ask for session tags of Pod Identity.",
            |r| r.seen(|role| objects(tag_conditions::of_role(&r.index, role))),
        ),
        Def::<Self>::new(
            "associations",
            || Type::list(Type::object("Association")),
            "Pod Identity associations that name it as association role.",
            |r| r.associations(|index, arn| index.associations_of(arn).to_vec(), false),
        ),
        Def::<Self>::new(
            "target_associations",
            || Type::list(Type::object("Association")),
            "Pod Identity associations that name it as target role.",
            |r| r.associations(|index, arn| index.associations_into(arn).to_vec(), true),
        ),
        Def::<Self>::new(
            "unreadable",
            || Type::list(Type::object("Evidence")),
            "Documents of the role (trust, inline and managed policies, boundary) that could not be read.",
            |r| {
                r.seen(|role| {
                    let broken = stack::unreadable(&r.index, role).into_iter();
                    let items = broken.map(|(source, document, error)| unreadable(&source, document, error));
                    Value::list_seen(items, stack::unseen_part(&r.index, role))
                })
            },
        ),
    ];
}
