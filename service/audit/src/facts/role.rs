//! Roles as facts.

use super::CachedIndex;
use super::association::AssociationFacts;
use super::place::AccountFacts;
use super::view::{Def, Facts, maybe, text, truth, unless_known};
use super::{attributions, escalation, granted, permissions, reach, trust};
use crate::index::{join, unless};
use rolecall_estate::Role;
use rolecall_iam::{Clause, Digest, Effect, ResourcePattern, Site, Statement, Truth};
use rolecall_rules::{Type, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A role of the estate.
#[derive(Debug, Clone)]
pub(super) struct RoleFacts {
    pub world: Arc<CachedIndex>,
    pub index: usize,
}

impl RoleFacts {
    fn role(&self) -> Option<&Role> {
        self.world.roles.get(self.index)
    }

    /// A fact that the latest listing of the account's roles showed.
    fn seen(&self, fact: impl FnOnce(&Role) -> Value) -> Value {
        let Some(role) = self.role() else { return Value::unknown("the role is not in the estate") };
        unless(self.world.role_unseen(role).as_ref(), || fact(role))
    }

    /// A fact that never changes.
    fn fixed(&self, fact: impl FnOnce(&Role) -> Value) -> Value {
        self.role().map_or_else(|| Value::unknown("the role is not in the estate"), fact)
    }

    /// Whether pods can get to the role: EKS Pod Identity is named, or an association makes the hop.
    fn reached_by_pods(&self, role: &Role) -> Value {
        let (named, hop) = match trust::answers(&self.world, role) {
            Ok(answers) => answers.pods_by_trust(),
            Err(why) => return Value::unknown(why),
        };
        if !self.world.associations_into(role.arn.as_str()).is_empty() {
            return truth(&named.or(hop));
        }
        let unseen = self.world.accounts.keys().map(|account| self.world.visibility(*account));
        let unseen = unseen.fold(None, |unseen, visibility| {
            join(join(unseen, visibility.associations.as_ref()), visibility.details.as_ref())
        });
        match (&named, &hop, unseen) {
            (Truth::True, ..) | (_, Truth::False, _) | (_, _, None) => truth(&named),
            (Truth::Unknown(_), _, Some(why)) => match truth(&named) {
                Value::Unknown(more) => Value::Unknown(why.and(&more)),
                known => known,
            },
            (Truth::False, _, Some(why)) => Value::Unknown(why),
        }
    }

    fn associations(&self, of: fn(&CachedIndex, &str) -> Vec<usize>, everywhere: bool) -> Value {
        self.fixed(|role| {
            let (shown, unconfirmed) = self.world.confirmed(&of(&self.world, role.arn.as_str()));
            let items =
                shown.into_iter().map(|index| AssociationFacts { world: Arc::clone(&self.world), index }.into_value());
            let accounts: Vec<_> =
                if everywhere { self.world.accounts.keys().copied().collect() } else { vec![role.arn.account_id()] };
            let missing = accounts.iter().map(|account| self.world.visibility(*account)).fold(
                unconfirmed,
                |missing, visibility| {
                    join(join(missing, visibility.associations.as_ref()), visibility.details.as_ref())
                },
            );
            Value::list_seen(items, missing)
        })
    }
}

/// Every document of a role's stack that does not parse, as evidence.
fn unreadable(world: &CachedIndex, role: &Role) -> Vec<Value> {
    let trust = role.trust.and_then(|digest| world.documents.get(&digest)).map(|d| ("trust policy".to_owned(), d));
    let parts = permissions::identity(world, role).into_iter().chain(permissions::boundary(world, role));
    let parts = parts.filter_map(|part| part.document.ok().map(|document| (part.source, document)));
    let broken = trust.into_iter().chain(parts).filter_map(|(source, document)| {
        let error = document.parsed.as_ref().err()?;
        Some(super::view::unreadable(&source, document, error))
    });
    broken.collect()
}

/// Conditions on the session tags of Pod Identity, by statement. What a Deny asks for, everything
/// that the role may do asks for.
fn tag_conditions(world: &CachedIndex, role: &Role) -> Vec<TagCondition> {
    let parts = permissions::identity(world, role);
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
    found.collect()
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
    trust::TAGS.into_iter().filter(|tag| asks(tag)).collect()
}

/// A statement that asks for session tags of Pod Identity.
#[derive(Debug)]
pub(super) struct TagCondition {
    site: Site,
    keys: Vec<&'static str>,
}

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
            |t| Value::object(super::view::evidence("asks for session tags", &t.site)),
        ),
    ];
}

/// Tags of a resource, as a map.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Value {
    Value::Map(Arc::new(tags.iter().map(|(key, value)| (Arc::from(key.as_str()), text(value))).collect()))
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
            |r| r.fixed(|role| AccountFacts { world: Arc::clone(&r.world), id: role.arn.account_id() }.into_value()),
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
            |r| r.seen(|role| Value::optional(r.world.last_used(role.arn.as_str()).map(|used| used.at))),
        ),
        Def::<Self>::new(
            "uses",
            || Type::list(Type::object("Use")),
            "When it was used last, by IAM and by the sessions of the trail.",
            |r| r.seen(|role| attributions::uses_of_role(&r.world, role)),
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
            |r| r.fixed(|role| permissions::is_service_linked(role).into()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "is_cluster_role",
            || Type::Bool,
            "Whether an EKS cluster of the estate runs under the role.",
            |r| {
                r.fixed(|role| {
                    let own = |c: &&rolecall_estate::Cluster| c.role_arn.as_deref() == Some(role.arn.as_str());
                    let undescribed = |c: &rolecall_estate::Cluster| r.world.cluster_undescribed(c);
                    if r.world.clusters.iter().filter(own).any(|c| undescribed(c).is_none()) {
                        return Value::Bool(true);
                    }
                    // A cluster runs under a role of its own account.
                    let account = role.arn.account_id();
                    let here = r.world.clusters.iter().filter(|c| c.account_id == account);
                    let missing = join(
                        r.world.visibility(account).clusters.clone(),
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
                r.seen(|role| match trust::answers(&r.world, role) {
                    Ok(answers) => {
                        let (world, account) = (Arc::clone(&r.world), role.arn.account_id());
                        trust::TrustFacts { world, account, answers }.into_value()
                    }
                    Err(why) => Value::unknown(why),
                })
            },
        ),
        Def::<Self>::new(
            "reached_by_pods",
            || Type::Bool,
            "Whether pods can get to it: its trust policy names EKS Pod Identity, or an association has it as target role.",
            |r| r.seen(|role| r.reached_by_pods(role)),
        ),
        Def::<Self>::new(
            "permissions",
            || Type::object("Permissions"),
            "What sessions of the role may do, by all its policies under boundary and SCPs; where nobody but Pod Identity can assume it, also under the session policies of its associations.",
            |r| r.seen(|role| permissions::of_role(&r.world, role)),
        ),
        Def::<Self>::new(
            "reach",
            || Type::object("Reach"),
            "Who gets to the role: pods by their associations, users and roles, outsiders, AWS services.",
            |r| r.seen(|_| reach::ReachFacts { world: Arc::clone(&r.world), index: r.index }.into_value()),
        ),
        Def::<Self>::new(
            "unused_grants",
            || Type::list(Type::object("UnusedGrant")),
            "What it may do that changes something, with since when no session of it did; as far as the trail of its account is complete.",
            |r| r.seen(|role| granted::of_role(&r.world, role)),
        ),
        Def::<Self>::new(
            "escalations",
            || Type::list(Type::object("Escalation")),
            "Privilege-escalation paths: to more permissions of its own, to other roles and users, over any number of roles. None where it grants administrator access already.",
            |r| r.seen(|_| escalation::of_role(&r.world, r.index)),
        ),
        Def::<Self>::new(
            "tag_conditions",
            || Type::list(Type::object("TagCondition")),
            "Statements of its policies that ask for session tags of Pod Identity.",
            |r| {
                r.seen(|role| {
                    let whole = permissions::identity(&r.world, role).into_iter().find_map(|p| unless_known(&p));
                    let items = tag_conditions(&r.world, role).into_iter().map(Facts::into_value);
                    Value::list_seen(items, whole)
                })
            },
        ),
        Def::<Self>::new(
            "associations",
            || Type::list(Type::object("Association")),
            "Pod Identity associations that name it as association role.",
            |r| r.associations(|world, arn| world.associations_of(arn).to_vec(), false),
        ),
        Def::<Self>::new(
            "target_associations",
            || Type::list(Type::object("Association")),
            "Pod Identity associations that name it as target role.",
            |r| r.associations(|world, arn| world.associations_into(arn).to_vec(), true),
        ),
        Def::<Self>::new(
            "unreadable",
            || Type::list(Type::object("Evidence")),
            "Documents of the role (trust, inline and managed policies, boundary) that could not be read.",
            |r| {
                r.seen(|role| {
                    let missing = permissions::identity(&r.world, role)
                        .into_iter()
                        .chain(permissions::boundary(&r.world, role))
                        .find_map(|part| permissions::not_seen(&part));
                    Value::list_seen(unreadable(&r.world, role), missing)
                })
            },
        ),
    ];
}

/// The digest of a document, as text.
pub(super) fn digest(digest: Option<&Digest>) -> Value {
    digest.map_or(Value::Null, |digest| text(&digest.to_string()))
}
