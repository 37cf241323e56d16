//! The facts that rules may name: rule values made of typed answers.
//!
//! Every fact is a value, or unknown with the reason: a gap of the latest scan, a document that
//! does not parse, an account outside the estate. What it says is decided in [`crate::access`]; here it
//! gets its name, its type and its sentence. Refuses to decide what is bad, and what follows for findings.

mod access_entry;
mod account;
mod association;
mod change;
mod cluster;
mod declared;
mod escalation;
mod fallback;
mod network;
mod objects;
mod permissions;
mod policy;
mod principals;
mod reach;
mod role;
mod session;
mod session_parts;
mod session_use;
mod tag_condition;
mod trust;
mod unused;
mod uses;
mod view;

use crate::access::callers::Callers;
use crate::access::escalation::{Escalation, assumed_from};
use crate::access::fallback::NodeFallback;
use crate::access::grant::{GrantAnswers, StatementGrant};
use crate::access::index::AccessIndex;
use crate::access::role_trust::RoleTrust;
use crate::access::session_group::Group;
use crate::access::sessions::gather;
use crate::access::tag_conditions::TagCondition;
use crate::access::unused_grants::UnusedActions;
use crate::access::uses::{Use, WebIdentityUse};
use crate::cancel::Cancel;
use crate::drift::{OpenChange, ResourceType};
use crate::index::{join, reasons};
use objects::{AccountFacts, AssociationFacts, ClusterFacts, RoleFacts};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{AssociationKey, Estate};
use rolecall_iam::AccountId;
use rolecall_rules::{Object, Reasons, Schema, Subject, SubjectKind};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use view::{Facts, View};

/// Everything that a rule may name: objects, fields and their documentation.
#[must_use]
#[expect(clippy::expect_used, reason = "the declarations are constants of this module, and its test builds them")]
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| declare().expect("the facts are declared consistently"));
    &SCHEMA
}

fn declare() -> Result<Schema, rolecall_rules::SchemaError> {
    Schema::builder()
        .object(RoleFacts::object_type())
        .object(RoleTrust::object_type())
        .object(principals::AdmissionFacts::object_type())
        .object(principals::ExternalFacts::object_type())
        .object(principals::FederatedFacts::object_type())
        .object(Arc::<GrantAnswers>::object_type())
        .object(Arc::<StatementGrant>::object_type())
        .object(Callers::object_type())
        .object(Escalation::object_type())
        .object(TagCondition::object_type())
        .object(AssociationFacts::object_type())
        .object(session::SessionFacts::object_type())
        .object(session_parts::SessionNameFacts::object_type())
        .object(session_parts::SessionFault::object_type())
        .object(session_parts::SessionSource::object_type())
        .object(session_use::SessionUse::object_type())
        .object(Use::object_type())
        .object(UnusedActions::object_type())
        .object(WebIdentityUse::object_type())
        .object(NodeFallback::object_type())
        .object(policy::PolicyFacts::object_type())
        .object(ClusterFacts::object_type())
        .object(access_entry::AccessEntryFacts::object_type())
        .object(AccountFacts::object_type())
        .object(declared::DeclaredFacts::object_type())
        .object(declared::DifferenceFacts::object_type())
        .object(declared::MissingFacts::object_type())
        .object(change::ChangeFacts::object_type())
        .object(change::AffectedFacts::object_type())
        .object(change::TrustedAccountFacts::object_type())
        .function(network::contains())
        .function(permissions::reads())
        .function(change::grants_access_to())
        .subject(SubjectKind::Role, RoleFacts::NAME)
        .subject(SubjectKind::Policy, policy::PolicyFacts::NAME)
        .subject(SubjectKind::Association, AssociationFacts::NAME)
        .subject(SubjectKind::Session, session::SessionFacts::NAME)
        .subject(SubjectKind::Cluster, ClusterFacts::NAME)
        .subject(SubjectKind::Account, AccountFacts::NAME)
        .subject(SubjectKind::Change, change::ChangeFacts::NAME)
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

/// The subjects of one estate, with their facts.
pub(crate) struct SubjectIndex {
    index: Arc<AccessIndex>,
    groups: Vec<Arc<Group>>,
    changes: Vec<Arc<OpenChange>>,
}

impl SubjectIndex {
    /// Indexes an estate under some assumptions; once somebody wants the work to end, facts are worth
    /// nothing.
    pub(crate) fn new(estate: &Estate, assumed: &BTreeSet<Assumption>, cancel: &Cancel) -> Self {
        let (index, attributions) = AccessIndex::with_attributions(estate, assumed, cancel);
        let groups = gather(&index, &estate.sessions, &attributions).into_iter().map(Arc::new).collect();
        Self { index: Arc::new(index), groups, changes: Vec::new() }
    }

    /// The same with changes to be judged. What a later change took back is over, and judged no more.
    pub(crate) fn with_changes(self, changes: &[Arc<OpenChange>]) -> Self {
        let changes = changes.iter().filter(|open| open.reversed_by().is_none()).cloned().collect();
        Self { changes, ..self }
    }

    /// The roles that a role becomes for certain by assuming one after the other, itself included.
    pub(crate) fn assumed_from(&self, role: &str) -> Vec<String> {
        let reached = assumed_from(&self.index, self.index.role_index(role));
        let roles = reached.into_iter().filter_map(|at| self.index.roles.get(at));
        roles.map(|role| role.arn.to_string()).collect()
    }

    /// The account's OU path, where the organisation is known.
    pub(crate) fn ou_path(&self, account: AccountId) -> Option<&str> {
        self.index.ou_path(account)
    }

    /// Some subject of the account, where it matters which account it is and nothing else.
    pub(crate) fn anything(&self, kind: SubjectKind, account: AccountId) -> Subject {
        plain(kind, String::new(), account)
    }

    /// Every account, known by name or only by what it owns.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.index.accounts.keys().copied()
    }

    /// Why subjects of a kind may exist in an account that the estate does not have.
    pub(crate) fn unlisted(&self, kind: SubjectKind, account: AccountId) -> Option<Reasons> {
        let visibility = self.index.visibility(account);
        match kind {
            SubjectKind::Role => visibility.roles.clone(),
            SubjectKind::Policy => visibility.policies.clone(),
            SubjectKind::Association => visibility.associations.clone(),
            SubjectKind::Session => visibility.sessions.clone(),
            SubjectKind::Cluster => visibility.clusters.clone(),
            // Accounts are listed by whoever asks for the audit.
            SubjectKind::Account => None,
            // What was not listed may have changed.
            SubjectKind::Change => [&visibility.policies, &visibility.associations, &visibility.clusters]
                .into_iter()
                .fold(visibility.roles.clone(), |why, more| join(why, more.as_ref())),
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
            SubjectKind::Change => self.changes(),
        }
    }

    fn judged(&self, subject: Subject, object: Arc<dyn Object>, unseen: Option<Reasons>) -> Judged {
        let ou_path = self.index.ou_path(subject.account_id).map(str::to_owned);
        Judged { subject: Arc::new(subject), object, ou_path, unseen, happened: None }
    }

    fn roles(&self) -> Vec<Judged> {
        let each = self.index.roles.iter().enumerate().map(|(at, role)| {
            let account = role.arn.account_id();
            let mut subject = plain(SubjectKind::Role, role.arn.as_str().to_owned(), account);
            subject.role_arn = Some(role.arn.as_str().to_owned());
            let object = View(RoleFacts { index: Arc::clone(&self.index), at });
            self.judged(subject, Arc::new(object), self.index.role_unseen(role))
        });
        each.collect()
    }

    fn policies(&self) -> Vec<Judged> {
        let own = self.index.policies.iter().enumerate().filter(|(_, policy)| policy.arn.account() != "aws");
        let each = own.map(|(at, policy)| {
            let subject = plain(SubjectKind::Policy, policy.arn.as_str().to_owned(), policy.account_id);
            let object = View(policy::PolicyFacts { index: Arc::clone(&self.index), at });
            self.judged(subject, Arc::new(object), self.index.policy_unseen(policy))
        });
        each.collect()
    }

    fn associations(&self) -> Vec<Judged> {
        let each = self.index.associations.iter().enumerate().map(|(at, association)| {
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
            let unseen = self.index.association_unseen(association);
            let object = View(AssociationFacts { index: Arc::clone(&self.index), at });
            self.judged(subject, Arc::new(object), unseen)
        });
        each.collect()
    }

    fn clusters(&self) -> Vec<Judged> {
        let each = self.index.clusters.iter().enumerate().map(|(at, cluster)| {
            let subject = Subject {
                region: Some(cluster.region.to_string()),
                cluster: Some(cluster.name.to_string()),
                role_arn: cluster.role_arn.clone(),
                ..plain(SubjectKind::Cluster, cluster.arn.clone(), cluster.account_id)
            };
            let unseen = self.index.cluster_unseen(cluster);
            let object = View(ClusterFacts { index: Arc::clone(&self.index), at });
            self.judged(subject, Arc::new(object), unseen)
        });
        each.collect()
    }

    fn all_accounts(&self) -> Vec<Judged> {
        let each = self.index.accounts.keys().map(|&id| {
            let object = View(AccountFacts { index: Arc::clone(&self.index), id });
            self.judged(plain(SubjectKind::Account, id.to_string(), id), Arc::new(object), None)
        });
        each.collect()
    }

    fn changes(&self) -> Vec<Judged> {
        let each = self.changes.iter().map(|open| {
            let (change, resource) = (&open.change, &open.change.resource);
            let key: Option<AssociationKey> = match resource.kind {
                ResourceType::Association => resource.name.parse().ok(),
                _ => None,
            };
            let role = match resource.kind {
                ResourceType::Role => Some(resource.name.clone()),
                _ => change.leads_to().and_then(|roles| roles.into_iter().next()),
            };
            let subject = Subject {
                region: change.region.as_ref().map(ToString::to_string),
                cluster: resource.cluster().map(str::to_owned),
                namespace: key.as_ref().map(|key| key.namespace.to_string()),
                service_account: key.as_ref().map(|key| key.service_account.to_string()),
                role_arn: role,
                ..plain(SubjectKind::Change, change.id.clone(), change.account_id)
            };
            let object = View(change::ChangeFacts { index: Arc::clone(&self.index), open: Arc::clone(open) });
            self.judged(subject, Arc::new(object), None)
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
            // What a day's file may lack are sessions of that day: those of others were seen completely.
            let concerns = |day| group.days.contains(&day);
            let unseen = reasons(scopes.flat_map(|scope| self.index.coverage.blind_spots_on(&scope, concerns)));
            let object = View(session::SessionFacts { index: Arc::clone(&self.index), group: Arc::clone(group) });
            Judged { happened: Some(group.last), ..self.judged(subject, Arc::new(object), unseen) }
        });
        each.collect()
    }
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
