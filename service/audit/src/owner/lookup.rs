//! The owner of one thing, from the rules and the tags of an estate.
//!
//! Tags: of the association, then of the role, then of the cluster; of what has no namespace of its own, those of the
//! workloads that have its role, where they agree. What comes first and was not seen leaves the owner unknown, whatever
//! comes after it.

use super::{Owner, Ownership, is_near};
use crate::access::reach::Workload;
use crate::index::ou_path;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{Association, AssociationKey, Cluster, Estate, Reason, ResourceKind, Role, Tags};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_rules::{OwnerPlace, OwnerRule, Ruled, Subject, SubjectKind};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

type Place<'a> = (AccountId, &'a str, &'a str);

/// Whose everything in an estate is.
#[derive(Debug)]
pub struct Owners<'a> {
    ownership: &'a Ownership,
    estate: &'a Estate,
    roles: HashMap<&'a str, &'a Role>,
    associations: BTreeMap<&'a AssociationKey, &'a Association>,
    by_role: HashMap<&'a str, Vec<&'a AssociationKey>>,
    clusters: HashMap<Place<'a>, &'a Cluster>,
    /// The roles to which each managed policy is attached.
    holders: HashMap<&'a str, Vec<&'a str>>,
    ou_paths: RefCell<BTreeMap<AccountId, Option<String>>>,
}

/// What a step of the search comes to.
enum Found {
    Owner(Owner),
    /// Nothing is said here.
    Nothing,
}

impl Found {
    fn or(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Nothing => next(),
            found => found,
        }
    }

    fn owner(self) -> Owner {
        match self {
            Self::Owner(owner) => owner,
            Self::Nothing => Owner::Nobody { several: false },
        }
    }
}

impl<'a> Owners<'a> {
    /// Indexes an estate.
    #[must_use]
    pub fn new(ownership: &'a Ownership, estate: &'a Estate) -> Self {
        let mut by_role: HashMap<&str, Vec<&AssociationKey>> = HashMap::new();
        for association in &estate.associations {
            let Some(detail) = &association.detail else { continue };
            for role in [Some(&detail.role_arn), detail.target_role_arn.as_ref()].into_iter().flatten() {
                by_role.entry(role).or_default().push(&association.key);
            }
        }
        let mut holders: HashMap<&str, Vec<&str>> = HashMap::new();
        for role in &estate.roles {
            for attached in &role.attached {
                holders.entry(attached.arn.as_str()).or_default().push(role.arn.as_str());
            }
        }
        let cluster = |it: &'a Cluster| ((it.account_id, it.region.as_str(), it.name.as_str()), it);
        Self {
            ownership,
            estate,
            roles: estate.roles.iter().map(|role| (role.arn.as_str(), role)).collect(),
            associations: estate.associations.iter().map(|it| (&it.key, it)).collect(),
            by_role,
            clusters: estate.clusters.iter().map(cluster).collect(),
            holders,
            ou_paths: RefCell::default(),
        }
    }

    /// The associations of the estate.
    pub(super) fn associations(&self) -> impl Iterator<Item = &'a AssociationKey> + '_ {
        self.associations.keys().copied()
    }

    /// Whose an association is.
    #[must_use]
    pub fn of_association(&self, key: &AssociationKey) -> Owner {
        let detail = self.associations.get(key).and_then(|it| it.detail.as_ref());
        self.of_subject(
            &Subject {
                kind: SubjectKind::Association,
                key: key.to_string(),
                account_id: key.account_id,
                region: Some(key.region.to_string()),
                cluster: Some(key.cluster.to_string()),
                namespace: Some(key.namespace.to_string()),
                service_account: Some(key.service_account.to_string()),
                role_arn: detail.map(|it| it.role_arn.clone()),
                target_role_arn: detail.and_then(|it| it.target_role_arn.clone()),
            },
            &[],
        )
    }

    /// Whose the subject of a finding is. `workloads` are those that reach the role concerned.
    #[must_use]
    pub fn of_subject(&self, subject: &Subject, workloads: &[Workload]) -> Owner {
        let near: Vec<&AssociationKey> = match subject.namespace {
            Some(_) => Vec::new(),
            None => workloads.iter().filter(|it| is_near(it)).map(|it| &it.association).collect(),
        };
        self.by_rules(subject, &near).or(|| self.by_tags(subject, &near)).owner()
    }

    fn by_rules(&self, subject: &Subject, near: &[&AssociationKey]) -> Found {
        if self.ownership.rules.is_empty() {
            return Found::Nothing;
        }
        let ou_path = self.ou_path(subject.account_id);
        let roles: Vec<&str> = match subject.kind {
            // Its own role says nothing of whose it is.
            SubjectKind::Cluster => Vec::new(),
            _ => [&subject.role_arn, &subject.target_role_arn].into_iter().flatten().map(String::as_str).collect(),
        };
        let is_undescribed = subject.kind == SubjectKind::Association && subject.role_arn.is_none();
        let own = OwnerPlace {
            account_id: subject.account_id,
            ou_path: ou_path.as_deref(),
            cluster: subject.cluster.as_deref(),
            namespace: subject.namespace.as_deref(),
            service_account: subject.service_account.as_deref(),
            roles: (!is_undescribed).then_some(roles.as_slice()),
        };
        let mut places: Vec<OwnerPlace<'_>> = near
            .iter()
            .map(|key| OwnerPlace {
                cluster: Some(key.cluster.as_str()),
                namespace: Some(key.namespace.as_str()),
                service_account: Some(key.service_account.as_str()),
                ..own
            })
            .collect();
        if places.is_empty() {
            places.push(own);
        }
        let unknown = |rule: &OwnerRule, what: String| {
            Found::Owner(Owner::unknown([Reason::from(format!("{what}, by which {} decides", rule.origin))]))
        };
        match self.ownership.rules.of(&places) {
            Ruled::By(rule) => Found::Owner(Owner::Rule {
                name: rule.owner.clone(),
                contact: rule.contact.clone(),
                origin: rule.origin.clone(),
            }),
            Ruled::ByNone => Found::Nothing,
            Ruled::OuNotSeen(rule) => unknown(rule, format!("the OU of account {} was not seen", subject.account_id)),
            Ruled::RolesNotSeen(rule) => unknown(rule, format!("the role of association {} was not seen", subject.key)),
        }
    }

    fn by_tags(&self, subject: &Subject, near: &[&AssociationKey]) -> Found {
        if self.ownership.tag_keys.is_empty() {
            return Found::Nothing;
        }
        let association = self.association(subject);
        let tagged = association.map_or(Found::Nothing, |association| self.association_tag(association));
        let role = subject.role_arn.as_deref().filter(|_| subject.kind != SubjectKind::Cluster);
        let tagged = tagged.or(|| role.map_or(Found::Nothing, |role| self.role_tag(role)));
        let tagged = tagged.or(|| match subject.kind {
            SubjectKind::Policy => {
                let holders = self.holders.get(subject.key.as_str()).map(Vec::as_slice).unwrap_or_default();
                agreed(holders.iter().map(|role| self.role_tag(role)))
            }
            _ => Found::Nothing,
        });
        let tagged = tagged.or(|| {
            agreed(near.iter().map(|key| match self.associations.get(key) {
                Some(association) => {
                    self.association_tag(association).or(|| self.cluster_tag(key.account_id, &key.region, &key.cluster))
                }
                None => Found::Nothing,
            }))
        });
        let tagged = tagged.or(|| match (association, &subject.region, &subject.cluster) {
            (Some(Association { key, .. }), ..) => self.cluster_tag(key.account_id, &key.region, &key.cluster),
            (None, Some(region), Some(cluster)) => match (region.parse(), cluster.parse()) {
                (Ok(region), Ok(cluster)) => self.cluster_tag(subject.account_id, &region, &cluster),
                _ => Found::Nothing,
            },
            _ => Found::Nothing,
        });
        tagged.or(|| self.may_be_used(subject, near))
    }

    /// A role or policy that nobody is known to use may be of a workload that was not seen.
    fn may_be_used(&self, subject: &Subject, near: &[&AssociationKey]) -> Found {
        let is_asked = matches!(subject.kind, SubjectKind::Role | SubjectKind::Policy) && near.is_empty();
        if !is_asked {
            return Found::Nothing;
        }
        let kinds = [ScopeKind::Clusters, ScopeKind::Associations, ScopeKind::AssociationDetails];
        let gaps = self
            .estate
            .coverage
            .gaps()
            .filter(|gap| gap.scope.account_id == subject.account_id && kinds.contains(&gap.scope.kind));
        let why: Vec<Reason> = gaps.map(Reason::from).collect();
        if why.is_empty() { Found::Nothing } else { Found::Owner(Owner::unknown(why)) }
    }

    /// The association that a subject names, or is.
    fn association(&self, subject: &Subject) -> Option<&'a Association> {
        let (cluster, namespace, service_account) =
            (subject.cluster.as_deref()?, subject.namespace.as_deref()?, subject.service_account.as_deref()?);
        let is_it = |key: &AssociationKey| {
            key.cluster.as_str() == cluster
                && key.namespace.as_str() == namespace
                && key.service_account.as_str() == service_account
        };
        let own = subject.region.as_deref().and_then(|region| {
            let key = AssociationKey {
                account_id: subject.account_id,
                region: region.parse().ok()?,
                cluster: cluster.parse().ok()?,
                namespace: namespace.parse().ok()?,
                service_account: service_account.parse().ok()?,
            };
            self.associations.get(&key).copied()
        });
        // A session in another account than the cluster's.
        own.or_else(|| {
            let of_role = self.by_role.get(subject.role_arn.as_deref()?)?;
            of_role.iter().find(|key| is_it(key)).and_then(|key| self.associations.get(key).copied())
        })
    }

    fn association_tag(&self, association: &Association) -> Found {
        let key = &association.key;
        let name = key.to_string();
        let is_old = |kind| self.estate.unconfirmed.contains(kind, key.account_id, &name);
        let unseen = is_old(ResourceKind::Association) || is_old(ResourceKind::AssociationDetail);
        let scope =
            Scope::of_cluster(key.account_id, ScopeKind::AssociationDetails, key.region.clone(), key.cluster.clone());
        match &association.detail {
            Some(detail) if !unseen => self.tag(&detail.tags, &name),
            _ => self.not_seen(&scope, format!("the tags of association {name} were not seen")),
        }
    }

    fn role_tag(&self, arn: &str) -> Found {
        let unseen = |account| {
            self.not_seen(&Scope::global(account, ScopeKind::Roles), format!("the tags of role {arn} were not seen"))
        };
        match (self.roles.get(arn), arn.parse::<RoleArn>()) {
            (Some(role), _) => {
                let account = role.arn.account_id();
                match self.estate.unconfirmed.contains(ResourceKind::Role, account, arn) {
                    true => unseen(account),
                    false => self.tag(&role.tags, arn),
                }
            }
            // A role that is not there has no tags.
            (None, Ok(parsed)) => {
                let scope = Scope::global(parsed.account_id(), ScopeKind::Roles);
                match self.estate.coverage.blind_spots(&scope).is_empty() {
                    true => Found::Nothing,
                    false => unseen(parsed.account_id()),
                }
            }
            (None, Err(_)) => Found::Nothing,
        }
    }

    fn cluster_tag(&self, account: AccountId, region: &Region, name: &ClusterName) -> Found {
        let scope = |kind| Scope::of_cluster(account, kind, region.clone(), name.clone());
        let listing = Scope::regional(account, ScopeKind::Clusters, region.clone());
        let text = || format!("the tags of cluster {name} of account {account} in {region} were not seen");
        let Some(cluster) = self.clusters.get(&(account, region.as_str(), name.as_str())) else {
            return match self.estate.coverage.blind_spots(&listing).is_empty() {
                true => Found::Nothing,
                false => self.not_seen(&listing, text()),
            };
        };
        let details = scope(ScopeKind::ClusterDetails);
        if self.estate.unconfirmed.contains(ResourceKind::Cluster, account, &cluster.key()) {
            return self.not_seen(&listing, text());
        }
        match self.estate.coverage.gaps_of(&details) {
            Some(gaps) if !gaps.is_empty() => self.not_seen(&details, text()),
            _ => self.tag(&cluster.tags, &cluster.arn),
        }
    }

    fn tag(&self, tags: &Tags, resource: &str) -> Found {
        let named = self.ownership.tag_keys.iter().find_map(|key| {
            let value = tags.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())?;
            Some(Owner::Tag { name: value.to_owned(), key: key.clone(), resource: resource.to_owned() })
        });
        named.map_or(Found::Nothing, Found::Owner)
    }

    /// Why something was not seen: the gaps of its listing, or the sentence where there are none.
    fn not_seen(&self, scope: &Scope, text: String) -> Found {
        let gaps = self.estate.coverage.blind_spots(scope);
        Found::Owner(if gaps.is_empty() { Owner::unknown([Reason::from(text)]) } else { Owner::unknown(gaps) })
    }

    fn ou_path(&self, account: AccountId) -> Option<String> {
        let mut known = self.ou_paths.borrow_mut();
        known.entry(account).or_insert_with(|| ou_path(self.estate, account)).clone()
    }
}

/// What several say together: one owner where all have the same; unknown where one may have another.
fn agreed(each: impl Iterator<Item = Found>) -> Found {
    let (mut first, mut nobody, mut unknown): (Option<Owner>, bool, Option<Owner>) = (None, false, None);
    for found in each {
        match found {
            Found::Owner(owner @ Owner::Unknown { .. }) => unknown = unknown.or(Some(owner)),
            Found::Owner(owner) => match &first {
                Some(one) if one.name() != owner.name() => return Found::Owner(Owner::Nobody { several: true }),
                Some(_) => {}
                None => first = Some(owner),
            },
            Found::Nothing => nobody = true,
        }
    }
    match (first, nobody, unknown) {
        (None, _, None) => Found::Nothing,
        (Some(_), true, _) => Found::Owner(Owner::Nobody { several: true }),
        (_, _, Some(unknown)) => Found::Owner(unknown),
        (Some(owner), false, None) => Found::Owner(owner),
    }
}
