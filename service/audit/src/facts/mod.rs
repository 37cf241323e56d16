//! The facts that rules may name, over an estate and what was not seen of it.
//!
//! Every fact is a value, or unknown with the reason: a gap of the latest look, a document that
//! does not parse, an account outside the estate. Deep answers (what a stack of policies grants,
//! whom a trust policy admits) come from the policy language's engine, worked out once for each
//! content. Refuses to decide what is bad, and what follows for findings.

mod access_entry;
mod association;
mod attributions;
mod data;
mod doors;
mod escalation;
mod fallback;
mod granted;
mod graph;
mod network;
mod origins;
mod permissions;
mod place;
mod reach;
mod role;
mod session;
mod sessions;
mod trust;
mod view;

pub(crate) use trust::{hop_request, pods_request};

use crate::cancel::Cancel;
use crate::index::{self, EstateIndex};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Association, AssociationKey, Estate, OrgPolicyKind, Role};
use rolecall_iam::trust::Organization;
use rolecall_iam::{AccountId, Digest, GrantsCache, Level, PolicyRef, PolicySet};
use rolecall_rules::{Object, Reasons, Schema, Subject, SubjectKind};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use view::{Facts as _, View};

/// Everything that a rule may name: objects, fields and their documentation.
#[must_use]
#[expect(clippy::expect_used, reason = "the declarations are constants of this module, and its test builds them")]
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| declare().expect("the facts are declared consistently"));
    &SCHEMA
}

fn declare() -> Result<Schema, rolecall_rules::SchemaError> {
    Schema::builder()
        .object(role::RoleFacts::object_type())
        .object(trust::TrustFacts::object_type())
        .object(trust::AdmissionFacts::object_type())
        .object(trust::ExternalFacts::object_type())
        .object(trust::FederatedFacts::object_type())
        .object(permissions::Permissions::object_type())
        .object(permissions::GrantFacts::object_type())
        .object(reach::ReachFacts::object_type())
        .object(escalation::EscalationFacts::object_type())
        .object(role::TagCondition::object_type())
        .object(association::AssociationFacts::object_type())
        .object(session::SessionFacts::object_type())
        .object(session::SessionNameFacts::object_type())
        .object(session::SessionFault::object_type())
        .object(session::SessionSource::object_type())
        .object(origins::SessionUse::object_type())
        .object(attributions::UseFacts::object_type())
        .object(granted::UnusedFacts::object_type())
        .object(attributions::WebIdentityUse::object_type())
        .object(fallback::NodeFallback::object_type())
        .object(place::PolicyFacts::object_type())
        .object(place::ClusterFacts::object_type())
        .object(access_entry::AccessEntryFacts::object_type())
        .object(place::AccountFacts::object_type())
        .function(network::contains())
        .function(data::reads())
        .subject(SubjectKind::Role, role::RoleFacts::NAME)
        .subject(SubjectKind::Policy, place::PolicyFacts::NAME)
        .subject(SubjectKind::Association, association::AssociationFacts::NAME)
        .subject(SubjectKind::Session, session::SessionFacts::NAME)
        .subject(SubjectKind::Cluster, place::ClusterFacts::NAME)
        .subject(SubjectKind::Account, place::AccountFacts::NAME)
        .build()
}

/// A subject to judge.
pub(crate) struct Judged {
    /// Who it is.
    pub subject: Arc<Subject>,
    /// Its facts.
    pub object: Arc<dyn Object>,
    /// The account's OU path, where the organisation is known.
    pub ou_path: Option<String>,
    /// Why nothing may be said about it: the latest scan did not show it.
    pub unseen: Option<Reasons>,
    /// Of a subject that is an event: when it last happened.
    pub happened: Option<chrono::DateTime<chrono::Utc>>,
}

/// The index of an estate, and what was worked out about it, each answer once.
#[derive(Debug)]
struct CachedIndex {
    index: EstateIndex,
    /// Whether the work is to end.
    cancel: Cancel,
    /// What the trail tells.
    trail: attributions::TrailFacts,
    memo: permissions::Memo,
    trusts: trust::Memo,
    escalations: escalation::Memo,
    reached: reach::Memo,
    /// What policy sets grant.
    grants: GrantsCache,
}

// Every fact asks the index and one of the caches.
impl std::ops::Deref for CachedIndex {
    type Target = EstateIndex;

    fn deref(&self) -> &EstateIndex {
        &self.index
    }
}

/// Facts over one estate.
pub(crate) struct Facts {
    world: Arc<CachedIndex>,
    groups: Vec<Arc<sessions::Group>>,
}

impl Facts {
    /// Indexes an estate, by what is stated of it.
    pub(crate) fn new(estate: &Estate) -> Self {
        Self::under(estate, &estate.assumed)
    }

    /// Indexes an estate under some assumptions and no others.
    pub(crate) fn under(estate: &Estate, assumed: &BTreeSet<Assumption>) -> Self {
        Self::until(estate, assumed, &Cancel::default())
    }

    /// As [`Facts::under`]; once somebody wants the work to end, facts are worth nothing.
    pub(crate) fn until(estate: &Estate, assumed: &BTreeSet<Assumption>, cancel: &Cancel) -> Self {
        let (trail, ties) = attributions::read(estate);
        let world = Arc::new(CachedIndex {
            index: EstateIndex::new(estate, assumed),
            cancel: cancel.clone(),
            trail,
            memo: permissions::Memo::default(),
            trusts: trust::Memo::default(),
            escalations: escalation::Memo::default(),
            reached: reach::Memo::default(),
            grants: GrantsCache::default(),
        });
        let groups = sessions::gather(&world, &estate.sessions, &ties).into_iter().map(Arc::new).collect();
        Self { world, groups }
    }

    /// A role, and why it may be another than the estate has, or be there though the estate lacks it.
    pub(crate) fn role(&self, arn: &str) -> (Option<&Role>, Option<Reasons>) {
        if let Some(role) = self.world.role(arn) {
            return (Some(role), self.world.role_unseen(role));
        }
        let account = arn.split(':').nth(4).and_then(|account| account.parse().ok());
        (None, account.and_then(|account| self.world.visibility(account).roles.clone()))
    }

    /// The roles that a role becomes for certain by assuming one after the other, itself included.
    pub(crate) fn assumed_from(&self, role: &str) -> Vec<String> {
        let reached = escalation::assumed_from(&self.world, self.world.role_index(role));
        let roles = reached.into_iter().filter_map(|index| self.world.roles.get(index));
        roles.map(|role| role.arn.to_string()).collect()
    }

    /// An association, and why it may be another than the estate has.
    pub(crate) fn association(&self, key: &AssociationKey) -> (Option<&Association>, Option<Reasons>) {
        let found = self.world.associations.iter().find(|association| association.key == *key);
        let unseen = match found {
            Some(found) => index::join(self.world.association_unseen(found), self.world.detail_unseen(found).as_ref()),
            None => {
                let place = (key.account_id, key.region.clone(), key.cluster.clone());
                let visibility = self.world.cluster_visibility(&place);
                visibility
                    .and_then(|visibility| index::join(visibility.associations.clone(), visibility.details.as_ref()))
            }
        };
        (found, unseen)
    }

    /// The role that a session of this account and role name belongs to.
    pub(crate) fn role_named(&self, account: AccountId, name: &str) -> Option<&Role> {
        self.world.roles.iter().find(|role| role.arn.account_id() == account && role.arn.name() == name)
    }

    /// The policies of a role's session: its own, its boundary, and a session policy.
    pub(crate) fn session_policies(&self, role: &Role, session: Option<&Digest>) -> PolicySet {
        let stack = permissions::stack(&self.world, role, session);
        PolicySet { scp: None, ..stack }
    }

    /// Everything that bounds a role's session, SCPs among it.
    pub(crate) fn stack(&self, role: &Role, session: Option<&Digest>) -> PolicySet {
        permissions::stack(&self.world, role, session)
    }

    /// The organisation's policies above an account, by level; `None` where none bind it. Where they
    /// are not known, a level that is missing.
    pub(crate) fn org_policy_levels(&self, account: AccountId, kind: OrgPolicyKind) -> Option<Vec<Level>> {
        match self.world.org_policy_levels(account, kind) {
            Err(why) => {
                let name = if kind == OrgPolicyKind::Scp { "SCP" } else { "RCP" };
                let layer = PolicyRef::missing(&format!("{name}s above account {account}"), &why.joined());
                Some(vec![Level { name: "organisation".into(), policies: vec![layer] }])
            }
            Ok(levels) => (!levels.is_empty()).then_some(levels),
        }
    }

    /// The assumption by which no policy of a kind binds an account.
    pub(crate) fn assumes_no_policies(&self, account: AccountId, kind: OrgPolicyKind) -> Option<Assumption> {
        self.world.assumes_no_policies(account, kind)
    }

    /// The trust policy of a role.
    pub(crate) fn trust_policy_ref(&self, role: &Role) -> PolicyRef {
        let document = role.trust.and_then(|digest| self.world.documents.get(&digest));
        document.map_or_else(
            || PolicyRef::missing("trust policy", "the role's listing does not have it"),
            |document| PolicyRef::known("trust policy", document),
        )
    }

    /// The organization that an account belongs to.
    pub(crate) fn organization(&self, account: AccountId) -> Organization {
        self.world.organization(account)
    }

    /// The account's OU path, where the organisation is known.
    pub(crate) fn ou_path(&self, account: AccountId) -> Option<&str> {
        self.world.ou_path(account)
    }

    /// Some subject of the account, where it matters which account it is and nothing else.
    pub(crate) fn anything(&self, kind: SubjectKind, account: AccountId) -> Subject {
        plain(kind, String::new(), account)
    }

    /// Every account, known by name or only by what it owns.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.world.accounts.keys().copied()
    }

    /// Why subjects of a kind may exist in an account that the estate does not have.
    pub(crate) fn unlisted(&self, kind: SubjectKind, account: AccountId) -> Option<Reasons> {
        let visibility = self.world.visibility(account);
        match kind {
            SubjectKind::Role => visibility.roles.clone(),
            SubjectKind::Policy => visibility.policies.clone(),
            SubjectKind::Association => visibility.associations.clone(),
            SubjectKind::Session => visibility.sessions.clone(),
            SubjectKind::Cluster => visibility.clusters.clone(),
            // Accounts are listed by whoever asks for the audit.
            SubjectKind::Account => None,
        }
    }

    /// Every subject of a kind, in a fixed order.
    pub(crate) fn subjects(&self, kind: SubjectKind) -> Vec<Judged> {
        match kind {
            SubjectKind::Role => self.roles(),
            SubjectKind::Policy => self.policies(),
            SubjectKind::Association => self.associations(),
            SubjectKind::Session => self.sessions(),
            SubjectKind::Cluster => self.clusters(),
            SubjectKind::Account => self.all_accounts(),
        }
    }

    fn judged(&self, subject: Subject, object: Arc<dyn Object>, unseen: Option<Reasons>) -> Judged {
        let ou_path = self.world.ou_path(subject.account_id).map(str::to_owned);
        Judged { subject: Arc::new(subject), object, ou_path, unseen, happened: None }
    }

    fn roles(&self) -> Vec<Judged> {
        let each = self.world.roles.iter().enumerate().map(|(index, role)| {
            let account = role.arn.account_id();
            let mut subject = plain(SubjectKind::Role, role.arn.as_str().to_owned(), account);
            subject.role_arn = Some(role.arn.as_str().to_owned());
            let object = View(role::RoleFacts { world: Arc::clone(&self.world), index });
            self.judged(subject, Arc::new(object), self.world.role_unseen(role))
        });
        each.collect()
    }

    fn policies(&self) -> Vec<Judged> {
        let own = self.world.policies.iter().enumerate().filter(|(_, policy)| policy.arn.account() != "aws");
        let each = own.map(|(index, policy)| {
            let subject = plain(SubjectKind::Policy, policy.arn.as_str().to_owned(), policy.account_id);
            let object = View(place::PolicyFacts { world: Arc::clone(&self.world), index });
            self.judged(subject, Arc::new(object), self.world.policy_unseen(policy))
        });
        each.collect()
    }

    fn associations(&self) -> Vec<Judged> {
        let each = self.world.associations.iter().enumerate().map(|(index, association)| {
            let key = &association.key;
            let detail = association.detail.as_ref();
            let subject = Subject {
                region: Some(key.region.to_string()),
                cluster: Some(key.cluster.to_string()),
                namespace: Some(key.namespace.to_string()),
                service_account: Some(key.service_account.to_string()),
                role_arn: detail.map(|d| d.role_arn.clone()),
                target_role_arn: detail.and_then(|d| d.target_role_arn.clone()),
                ..plain(SubjectKind::Association, key.to_string(), key.account_id)
            };
            let unseen = self.world.association_unseen(association);
            let object = View(association::AssociationFacts { world: Arc::clone(&self.world), index });
            self.judged(subject, Arc::new(object), unseen)
        });
        each.collect()
    }

    fn clusters(&self) -> Vec<Judged> {
        let each = self.world.clusters.iter().enumerate().map(|(index, cluster)| {
            let subject = Subject {
                region: Some(cluster.region.to_string()),
                cluster: Some(cluster.name.to_string()),
                role_arn: cluster.role_arn.clone(),
                ..plain(SubjectKind::Cluster, cluster.arn.clone(), cluster.account_id)
            };
            let unseen = self.world.cluster_unseen(cluster);
            let object = View(place::ClusterFacts { world: Arc::clone(&self.world), index });
            self.judged(subject, Arc::new(object), unseen)
        });
        each.collect()
    }

    fn all_accounts(&self) -> Vec<Judged> {
        let each = self.world.accounts.keys().map(|&id| {
            let object = View(place::AccountFacts { world: Arc::clone(&self.world), id });
            self.judged(plain(SubjectKind::Account, id.to_string(), id), Arc::new(object), None)
        });
        each.collect()
    }

    fn sessions(&self) -> Vec<Judged> {
        let each = self.groups.iter().map(|group| {
            let key = &group.key;
            let region = group.regions.iter().next().filter(|_| group.regions.len() == 1);
            let subject = Subject {
                region: region.map(ToString::to_string),
                cluster: key.cluster.clone(),
                namespace: key.namespace.clone(),
                service_account: key.service_account.clone(),
                role_arn: key.role_arn.as_deref().map(str::to_owned),
                ..plain(SubjectKind::Session, key.text(), key.account_id)
            };
            let scopes = group.regions.iter().map(|r| Scope::regional(key.account_id, ScopeKind::Sessions, r.clone()));
            // What a day's file may lack are sessions of that day: those of others were seen whole.
            let concerns = |day| group.days.contains(&day);
            let unseen = index::reasons(scopes.flat_map(|scope| self.world.coverage.blind_spots_on(&scope, concerns)));
            let object = View(session::SessionFacts { world: Arc::clone(&self.world), group: Arc::clone(group) });
            Judged { happened: Some(group.last), ..self.judged(subject, Arc::new(object), unseen) }
        });
        each.collect()
    }
}

/// The account's OU path: `/` for one outside a listed organisation, `None` where the organisation
/// was not seen.
pub(crate) fn ou_path(estate: &Estate, account: AccountId) -> Option<String> {
    let known = estate.accounts.iter().find(|a| a.id == account).and_then(|a| a.ou_path.clone());
    known.or_else(|| index::organisation_listed(estate).then(|| "/".to_owned()))
}

fn plain(kind: SubjectKind, key: String, account_id: AccountId) -> Subject {
    Subject {
        kind,
        key,
        account_id,
        region: None,
        cluster: None,
        namespace: None,
        service_account: None,
        role_arn: None,
        target_role_arn: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declarations_hold_together() {
        let schema = declare().unwrap();
        assert!(schema.subject(SubjectKind::Association).is_some());
        for object in schema.objects().iter().filter(|object| object.name.as_ref() != "Evidence") {
            for field in &object.fields {
                assert!(field.doc.len() > 8, "{}.{} says too little", object.name, field.name);
            }
        }
    }
}
