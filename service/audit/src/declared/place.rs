//! Which thing of the estate a declaration means.
//!
//! Refuses to say that something is missing where its listing was not complete, or its name is not known.

use super::listing_of;
use crate::resource::ResourceType;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::declared::{
    Association, Declaration, Declared, ManagedPolicy, Match, OidcProvider, Reference, Resource, Role, RoleName, Text,
};
use rolecall_estate::id::Region;
use rolecall_estate::{AssociationKey, Estate, ResourceKind};
use rolecall_iam::{AccountId, Arn};
use std::collections::{BTreeMap, BTreeSet};

/// What a declaration means.
pub(super) enum Matched<T> {
    One(T),
    /// It is not there.
    None,
    Unknown(String),
}

/// The estate and what is declared, with what was found of it.
pub(super) struct Matching<'a> {
    pub(super) estate: &'a Estate,
    pub(super) declared: &'a Declared,
    /// The names of what is declared and there.
    pub(super) found: BTreeSet<String>,
    /// The names of what may be declared, and why nobody knows.
    pub(super) perhaps: BTreeMap<String, String>,
    /// Why further things may be declared that were not read.
    pub(super) unread: Option<String>,
    covered: BTreeSet<(ResourceType, AccountId)>,
    /// The clusters of which associations are declared; without a region: of whatever region.
    clusters: BTreeSet<(AccountId, Option<&'a Region>, &'a str)>,
    /// The accounts of which associations are declared.
    associating: BTreeSet<AccountId>,
    /// The role of the estate that a declaration means, by its key.
    roles: BTreeMap<&'a str, &'a rolecall_estate::Role>,
    roles_by_arn: BTreeMap<&'a str, &'a rolecall_estate::Role>,
    roles_by_name: BTreeMap<(AccountId, &'a str), &'a rolecall_estate::Role>,
    associations: BTreeMap<&'a AssociationKey, &'a rolecall_estate::Association>,
    policies: BTreeMap<(AccountId, &'a str), &'a rolecall_estate::ManagedPolicy>,
    /// A managed policy as some account has it, with its document.
    any_policies: BTreeMap<&'a str, &'a rolecall_estate::ManagedPolicy>,
    /// Declared managed policies, by their ARN where it is known.
    declared_policies: BTreeMap<String, &'a ManagedPolicy>,
    partition: Option<&'a str>,
}

const NO_ACCOUNT: &str = "the file does not say of which account it is; say it with --account";

impl<'a> Matching<'a> {
    pub(super) fn new(estate: &'a Estate, declared: &'a Declared) -> Self {
        let unread = declared.problems.first().map(|problem| {
            let more = u64::try_from(declared.problems.len()).unwrap_or(u64::MAX) - 1 + declared.unnamed;
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            format!("what {}:{} declares could not be read{more}", problem.file, problem.line)
        });
        let mut matching = Self {
            estate,
            declared,
            found: BTreeSet::new(),
            perhaps: BTreeMap::new(),
            unread,
            covered: BTreeSet::new(),
            clusters: BTreeSet::new(),
            associating: BTreeSet::new(),
            roles: BTreeMap::new(),
            roles_by_arn: estate.roles.iter().map(|role| (role.arn.as_str(), role)).collect(),
            roles_by_name: estate.roles.iter().map(|it| ((it.arn.account_id(), it.arn.name()), it)).collect(),
            associations: estate.associations.iter().map(|it| (&it.key, it)).collect(),
            any_policies: estate
                .policies
                .iter()
                .rev()
                .filter(|it| it.document.is_some())
                .map(|it| (it.arn.as_str(), it))
                .collect(),
            policies: estate.policies.iter().map(|it| ((it.account_id, it.arn.as_str()), it)).collect(),
            declared_policies: BTreeMap::new(),
            partition: estate.roles.first().map(|role| role.arn.arn().partition()),
        };
        for declaration in &declared.declarations {
            matching.place(declaration);
        }
        matching
    }

    fn place(&mut self, declaration: &'a Declaration) {
        let (kind, account) = match &declaration.resource {
            Resource::Role(role) => (ResourceType::Role, role.account.filter(|_| role.is_whole)),
            Resource::Policy(policy) => (ResourceType::ManagedPolicy, policy.account),
            Resource::Association(association) => (ResourceType::Association, association.account),
            Resource::OidcProvider(provider) => (ResourceType::OidcProvider, provider.account),
        };
        self.covered.extend(account.map(|account| (kind, account)));
        if let (Resource::Association(it), Some(account)) = (&declaration.resource, account) {
            self.associating.insert(account);
            self.clusters.extend(it.cluster.as_known().map(|cluster| (account, it.region.as_ref(), cluster)));
        }
        match &declaration.resource {
            Resource::Role(role) => match self.match_role(role) {
                Matched::One(found) => {
                    self.found.insert(found.arn.to_string());
                    self.roles.insert(&declaration.key, found);
                }
                Matched::None => {}
                Matched::Unknown(why) => {
                    let candidates: Vec<String> =
                        self.candidates(role).into_iter().map(|(role, _)| role.arn.to_string()).collect();
                    self.perhaps.extend(candidates.into_iter().map(|name| (name, why.clone())));
                }
            },
            Resource::Policy(policy) => {
                let arn = self.policy_arn(policy);
                if let Some(arn) = arn.as_known() {
                    self.declared_policies.insert(arn.to_owned(), policy);
                }
                match self.match_policy(policy) {
                    Matched::One(found) => {
                        let name = found.arn.to_string();
                        self.declared_policies.insert(name.clone(), policy);
                        self.found.insert(name);
                    }
                    Matched::None => {}
                    Matched::Unknown(why) => {
                        let all = self.estate.policies.iter().map(|it| it.arn.as_str());
                        let names: Vec<String> =
                            all.filter(|it| arn.matches(it) != Match::No).map(str::to_owned).collect();
                        self.perhaps.extend(names.into_iter().map(|name| (name, why.clone())));
                    }
                }
            }
            Resource::Association(association) => match self.association(association) {
                Matched::One(found) => {
                    self.found.insert(found.key.to_string());
                }
                Matched::None => {}
                Matched::Unknown(why) => {
                    let names: Vec<String> = self.like(association).map(|it| it.key.to_string()).collect();
                    self.perhaps.extend(names.into_iter().map(|name| (name, why.clone())));
                }
            },
            Resource::OidcProvider(_) => {}
        }
    }

    pub(super) fn covered(&self, kind: ResourceType, account: AccountId) -> bool {
        self.covered.contains(&(kind, account))
    }

    /// Whether associations of a cluster are declared.
    pub(super) fn covers_cluster(&self, key: &AssociationKey) -> bool {
        let of = |region| self.clusters.contains(&(key.account_id, region, key.cluster.as_str()));
        of(Some(&key.region)) || of(None)
    }

    /// Whether the roles that the pods of a cluster get are to be declared: those of clusters of which associations
    /// are declared, or of every cluster of an account of which none are.
    pub(super) fn covers_pods(&self, key: &AssociationKey) -> bool {
        self.covers_cluster(key) || !self.associating.contains(&key.account_id)
    }

    /// Why something that is remembered may not be there any more.
    pub(super) fn unconfirmed(&self, kind: ResourceKind, account: AccountId, key: &str) -> Option<String> {
        let is_remembered = self.estate.unconfirmed.contains(kind, account, key);
        is_remembered.then(|| format!("the latest scan did not show {key}, and nothing proves that it is gone"))
    }

    fn unseen(&self, scope: &Scope) -> Option<String> {
        let blind = self.estate.coverage.blind_spots(scope);
        (!blind.is_empty()).then(|| blind.join("; "))
    }

    pub(super) fn role_of(&self, key: &str) -> Option<&'a rolecall_estate::Role> {
        self.roles.get(key).copied()
    }

    pub(super) fn role_by_arn(&self, arn: &str) -> Option<&'a rolecall_estate::Role> {
        self.roles_by_arn.get(arn).copied()
    }

    pub(super) fn role(&self, declaration: &Declaration, role: &Role) -> Matched<&'a rolecall_estate::Role> {
        match self.role_of(&declaration.key) {
            Some(found) => Matched::One(found),
            None => self.match_role(role),
        }
    }

    /// The roles that may be meant, and whether one of them is for certain.
    fn candidates(&self, role: &Role) -> Vec<(&'a rolecall_estate::Role, bool)> {
        if let (RoleName::Given(name), Some(account)) = (&role.name, role.account)
            && let Some(name) = name.as_known()
        {
            return self.roles_by_name.get(&(account, name)).map(|found| (*found, true)).into_iter().collect();
        }
        let roles = self.estate.roles.iter();
        let roles = roles.filter(|it| role.account.is_none_or(|account| it.arn.account_id() == account));
        let meant = |it: &rolecall_estate::Role| match &role.name {
            RoleName::Given(name) => match name.matches(it.arn.name()) {
                Match::Yes => Some(true),
                Match::Perhaps => Some(false),
                Match::No => None,
            },
            RoleName::Made { tags, contains } => {
                let is_tagged = !tags.is_empty() && tags.iter().all(|(key, value)| it.tags.get(key) == Some(value));
                (is_tagged || it.arn.name().contains(contains.as_str())).then_some(false)
            }
        };
        roles.filter_map(|it| Some((it, meant(it)?))).collect()
    }

    fn match_role(&self, role: &Role) -> Matched<&'a rolecall_estate::Role> {
        let Some(account) = role.account else { return Matched::Unknown(NO_ACCOUNT.to_owned()) };
        let candidates = self.candidates(role);
        match (candidates.as_slice(), &role.name) {
            ([(found, true)], _) => return Matched::One(found),
            // A made name tells the role that was made by it, where there is one only.
            ([(found, _)], RoleName::Made { .. }) => return Matched::One(found),
            _ => {}
        }
        if let Some(blind) = self.unseen(&Scope::global(account, ScopeKind::Roles)) {
            return Matched::Unknown(blind);
        }
        match &role.name {
            RoleName::Given(name) => match name.why() {
                None => Matched::None,
                Some(_) if candidates.is_empty() => Matched::None,
                Some(why) => Matched::Unknown(format!("its name is not known: {why}")),
            },
            RoleName::Made { contains, .. } => Matched::Unknown(format!(
                "its name is generated, and {} roles have a name with `{contains}`",
                candidates.len()
            )),
        }
    }

    pub(super) fn policy_arn(&self, policy: &ManagedPolicy) -> Text {
        let account = policy.account.map_or_else(|| Text::open(NO_ACCOUNT), |account| Text::known(account.to_string()));
        Text::joined([
            Text::known("arn:"),
            Text::known(self.partition.unwrap_or("aws")),
            Text::known(":iam::"),
            account,
            Text::known(":policy"),
            policy.path.clone(),
            policy.name.clone(),
        ])
    }

    pub(super) fn policy(&self, declaration: &Declaration) -> Matched<&'a rolecall_estate::ManagedPolicy> {
        match &declaration.resource {
            Resource::Policy(policy) => self.match_policy(policy),
            _ => Matched::None,
        }
    }

    fn match_policy(&self, policy: &ManagedPolicy) -> Matched<&'a rolecall_estate::ManagedPolicy> {
        let Some(account) = policy.account else { return Matched::Unknown(NO_ACCOUNT.to_owned()) };
        let arn = self.policy_arn(policy);
        if let Some(found) = arn.as_known().and_then(|arn| self.policy_of(account, arn)) {
            return Matched::One(found);
        }
        if let Some(blind) = self.unseen(&Scope::global(account, ScopeKind::Policies)) {
            return Matched::Unknown(blind);
        }
        match arn.why() {
            None => Matched::None,
            Some(why) => Matched::Unknown(format!("its name is not known: {why}")),
        }
    }

    /// A managed policy as an account has it.
    pub(super) fn policy_of(&self, account: AccountId, arn: &str) -> Option<&'a rolecall_estate::ManagedPolicy> {
        let own = self.policies.get(&(account, arn)).copied();
        own.or_else(|| self.any_policies.get(arn).copied())
    }

    pub(super) fn declared_policy(&self, arn: &str) -> Option<&'a ManagedPolicy> {
        self.declared_policies.get(arn).copied()
    }

    pub(super) fn provider(&self, provider: &OidcProvider) -> Matched<&'a Arn> {
        let Some(account) = provider.account else { return Matched::Unknown(NO_ACCOUNT.to_owned()) };
        let of_account = self.estate.oidc_providers.iter().filter(|it| it.arn.account_id() == Some(account));
        let issuer = |arn: &'a Arn| arn.resource().strip_prefix("oidc-provider/").unwrap_or_default();
        let found = of_account.clone().find(|it| provider.issuer.matches(issuer(&it.arn)) == Match::Yes);
        if let Some(found) = found {
            return Matched::One(&found.arn);
        }
        if let Some(blind) = self.unseen(&Scope::global(account, ScopeKind::OidcProviders)) {
            return Matched::Unknown(blind);
        }
        match provider.issuer.why() {
            None => Matched::None,
            Some(why) => Matched::Unknown(format!("its issuer is not known: {why}")),
        }
    }

    /// The associations that may be meant.
    fn like<'d>(&self, it: &'d Association) -> impl Iterator<Item = &'a rolecall_estate::Association> + use<'a, 'd> {
        self.estate.associations.iter().filter(move |found| {
            let key = &found.key;
            it.account.is_none_or(|account| key.account_id == account)
                && it.region.as_ref().is_none_or(|region| key.region == *region)
                && it.cluster.matches(key.cluster.as_str()) != Match::No
                && it.namespace.matches(key.namespace.as_str()) != Match::No
                && it.service_account.matches(key.service_account.as_str()) != Match::No
        })
    }

    pub(super) fn association(&self, it: &Association) -> Matched<&'a rolecall_estate::Association> {
        let key = match key(it) {
            Ok(key) => key,
            Err(why) => return Matched::Unknown(why),
        };
        if let Some(found) = self.associations.get(&key) {
            return Matched::One(found);
        }
        let scope = listing_of(&key);
        let in_region = Scope::regional(key.account_id, ScopeKind::Clusters, key.region.clone());
        let has_cluster = self
            .estate
            .clusters
            .iter()
            .any(|it| (it.account_id, &it.region, &it.name) == (key.account_id, &key.region, &key.cluster));
        if !has_cluster && self.unseen(&in_region).is_none() {
            return Matched::None;
        }
        match self.unseen(&scope) {
            None => Matched::None,
            Some(blind) => Matched::Unknown(blind),
        }
    }

    /// The ARN that a reference means: by its text, or that of the role which was found for its declaration.
    pub(super) fn arn_of(&self, reference: &Reference) -> Text {
        if reference.text.as_known().is_some() {
            return reference.text.clone();
        }
        let found = reference.to.as_ref().and_then(|key| self.role_of(key));
        found.map_or_else(|| reference.text.clone(), |role| Text::known(role.arn.as_str()))
    }
}

/// The key of a declared association, or why it is not known.
pub(crate) fn key(it: &Association) -> Result<AssociationKey, String> {
    let open = |what: &str, text: &Text| text.resolved().map_err(|why| format!("its {what} is not known: {why}"));
    let wrong = |what: &str, text: &str| format!("its {what} `{text}` is none");
    let cluster = open("cluster", &it.cluster)?;
    let namespace = open("namespace", &it.namespace)?;
    let service_account = open("service account", &it.service_account)?;
    Ok(AssociationKey {
        account_id: it.account.ok_or(NO_ACCOUNT)?,
        region: it.region.clone().ok_or("the file does not say of which region it is; say it with --region")?,
        cluster: cluster.parse().map_err(|_| wrong("cluster", &cluster))?,
        namespace: namespace.parse().map_err(|_| wrong("namespace", &namespace))?,
        service_account: service_account.parse().map_err(|_| wrong("service account", &service_account))?,
    })
}
