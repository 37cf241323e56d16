//! What is declared, and what is there.
//!
//! Resources that infrastructure code declares are looked for in the estate: what is missing, what is there and not
//! declared, and what is there and different, with what the difference comes to (`iam::compare`: a document that is
//! written another way and means the same is not different). Where an expression or what was not seen does not
//! decide, the answer is unknown, with the reason. Refuses to know the formats of files.

mod association;
mod by_resource;
mod differs;
mod place;
mod role;

use crate::label::{Access, Effect};
use crate::resource::{Resource, ResourceType};
pub(crate) use by_resource::DeclaredIndex;
pub(crate) use place::key;
use place::{Matched, Matching};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::declared::{Declaration, Declared, Format, Place, Resource as DeclaredResource};
use rolecall_estate::{AssociationKey, Estate};
use rolecall_iam::{AccountId, Arn};
use std::collections::BTreeSet;

rolecall_iam::vocabulary! {
    /// How what is declared stands to what is there.
    pub enum Status: "a status" {
        /// It is declared, and there, with another configuration.
        Different = "different",
        /// It is declared, and not there.
        Missing = "missing",
        /// It is there, and not declared.
        Unmanaged = "unmanaged",
        /// It is not decided; the answer says why.
        Unknown = "unknown",
        /// It is there as it is declared.
        Same = "same",
    }
}

/// A part of a resource that is not as it is declared.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Which part, such as `trust policy` or `inline policy orders`.
    pub part: String,
    /// What is declared; `None`: nothing.
    pub declared: Option<String>,
    /// What is there; `None`: nothing.
    pub actual: Option<String>,
    /// What the estate allows, compared with what is declared.
    pub effect: Effect,
    /// What is allowed, and would not be as declared.
    pub gained: Option<Access>,
    /// What would be allowed as declared, and is not.
    pub lost: Option<Access>,
    /// Why, in a sentence; may be empty.
    pub because: String,
    /// Where the part is declared, where it is.
    pub place: Option<Place>,
}

/// A resource, as it is declared and as it is there.
#[derive(Debug, Clone)]
pub struct Row {
    /// How the two stand to each other.
    pub status: Status,
    /// The resource, by its ARN or an association's key. What is not known of a name is `…`.
    pub resource: Resource,
    /// Its account, where it is known.
    pub account: Option<AccountId>,
    /// Whether it is declared; `None`: not decided.
    pub is_declared: Option<bool>,
    /// Where it is declared.
    pub place: Option<Place>,
    /// In which format.
    pub format: Option<Format>,
    /// What is different.
    pub differences: Vec<Difference>,
    /// What is not decided, and why.
    pub unknown: Vec<String>,
}

/// How all that is declared stands to the estate.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Each resource that is declared, or that should be, in the order of their statuses.
    pub rows: Vec<Row>,
}

impl Report {
    /// How many resources have a status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
}

/// Compares what is declared with the estate.
///
/// Unmanaged are associations of clusters for which associations are declared (but for those that an add-on owns);
/// in accounts for which roles are declared, the roles that pods of these clusters get or, where no association of
/// the account is declared, pods of any cluster; in accounts for which managed policies are declared, the managed
/// policies of these roles.
#[must_use]
pub fn check(estate: &Estate, declared: &Declared) -> Report {
    let matching = Matching::new(estate, declared);
    let mut rows: Vec<Row> = declared.declarations.iter().filter_map(|it| row(&matching, it)).collect();
    rows.extend(unmanaged(&matching));
    rows.sort_by(|a, b| {
        let key = |row: &Row| (row.status, row.resource.kind, row.resource.name.clone(), row.place.clone());
        key(a).cmp(&key(b))
    });
    Report { rows }
}

fn row(matching: &Matching<'_>, declaration: &Declaration) -> Option<Row> {
    let Declaration { place, format, condition, resource, .. } = declaration;
    let mut row = match resource {
        DeclaredResource::Role(role) => role::row(matching, declaration, role),
        DeclaredResource::Association(association) => association::row(matching, declaration, association),
        DeclaredResource::Policy(policy) => {
            let text = matching.policy_arn(policy);
            let mut row = blank(ResourceType::ManagedPolicy, text.to_string(), policy.account);
            match matching.policy(declaration) {
                Matched::One(found) => {
                    row.resource.name = found.arn.to_string();
                    let (differences, unknown) = differs::managed_policy(matching, policy, found, place);
                    row.differences = differences;
                    row.unknown = unknown;
                    let remembered = rolecall_estate::ResourceKind::Policy;
                    row.unknown.extend(matching.unconfirmed(remembered, found.account_id, found.arn.as_str()));
                }
                Matched::None => row.status = Status::Missing,
                Matched::Unknown(why) => row.unknown.push(why),
            }
            row
        }
        DeclaredResource::OidcProvider(provider) => {
            let mut row =
                blank(ResourceType::OidcProvider, format!("oidc-provider/{}", provider.issuer), provider.account);
            match matching.provider(provider) {
                Matched::One(arn) => row.resource.name = arn.to_string(),
                Matched::None => row.status = Status::Missing,
                Matched::Unknown(why) => row.unknown.push(why),
            }
            row
        }
    };
    row.is_declared = declaration.remembered.is_none().then_some(true);
    row.place = Some(place.clone());
    row.format = Some(*format);
    if let Some(why) = &declaration.remembered {
        row.status = Status::Unknown;
        row.differences.clear();
        row.unknown = vec![format!("what declares it could not be read any more: {why}")];
    }
    if let (Status::Missing, Some(why)) = (row.status, condition) {
        row.status = Status::Unknown;
        row.unknown.push(why.to_string());
    }
    if row.status == Status::Same {
        row.status = match (row.differences.is_empty(), row.unknown.is_empty()) {
            (false, _) => Status::Different,
            (true, false) => Status::Unknown,
            (true, true) => Status::Same,
        };
    }
    // A role that is declared elsewhere is no row of its own, unless a policy of it is not there as declared.
    let is_part = matches!(resource, DeclaredResource::Role(role) if !role.is_whole);
    (!is_part || row.status != Status::Same).then_some(row)
}

fn blank(kind: ResourceType, name: String, account: Option<AccountId>) -> Row {
    Row {
        status: Status::Same,
        resource: Resource { kind, name },
        account,
        is_declared: None,
        place: None,
        format: None,
        differences: Vec::new(),
        unknown: Vec::new(),
    }
}

/// What is there and not declared.
fn unmanaged(matching: &Matching<'_>) -> Vec<Row> {
    let mut out = Vec::new();
    let mut add = |kind, name: &str, account, perhaps: Option<&String>| {
        let mut row = blank(kind, name.to_owned(), Some(account));
        row.unknown.extend(perhaps.cloned().map(|why| format!("it may be one that is declared: {why}")));
        row.unknown.extend(matching.unread.clone());
        row.status = if row.unknown.is_empty() { Status::Unmanaged } else { Status::Unknown };
        row.is_declared = row.unknown.is_empty().then_some(false);
        out.push(row);
    };
    for it in &matching.estate.associations {
        let account = it.key.account_id;
        let name = it.key.to_string();
        let is_due = matching.covers_cluster(&it.key) && it.owner_arn.is_none();
        let remembered = matching.unconfirmed(rolecall_estate::ResourceKind::Association, account, &name);
        if is_due && remembered.is_none() && !matching.found.contains(&name) {
            add(ResourceType::Association, &name, account, matching.perhaps.get(&name));
        }
    }
    let used = used_roles(matching);
    for role in matching.estate.roles.iter().filter(|role| used.contains(role.arn.as_str())) {
        let (account, name) = (role.arn.account_id(), role.arn.as_str());
        let remembered = matching.unconfirmed(rolecall_estate::ResourceKind::Role, account, name);
        if matching.covered(ResourceType::Role, account) && remembered.is_none() && !matching.found.contains(name) {
            add(ResourceType::Role, name, account, matching.perhaps.get(name));
        }
    }
    let of_used: BTreeSet<&Arn> = matching
        .estate
        .roles
        .iter()
        .filter(|role| used.contains(role.arn.as_str()))
        .flat_map(|role| role.attached.iter().map(|it| &it.arn).chain(&role.boundary))
        .collect();
    for policy in of_used {
        // Those of AWS belong to nobody's code.
        let Some(account) = policy.account_id() else { continue };
        let name = policy.as_str();
        if matching.covered(ResourceType::ManagedPolicy, account) && !matching.found.contains(name) {
            add(ResourceType::ManagedPolicy, name, account, matching.perhaps.get(name));
        }
    }
    out
}

/// The roles and target roles of associations that are to be declared.
fn used_roles<'a>(matching: &Matching<'a>) -> BTreeSet<&'a str> {
    let associations = matching.estate.associations.iter().filter(|it| matching.covers_pods(&it.key));
    let details = associations.filter_map(|it| it.detail.as_ref());
    details.flat_map(|it| std::iter::once(it.role_arn.as_str()).chain(it.target_role_arn.as_deref())).collect()
}

fn listing_of(key: &AssociationKey) -> Scope {
    Scope::of_cluster(key.account_id, ScopeKind::Associations, key.region.clone(), key.cluster.clone())
}
