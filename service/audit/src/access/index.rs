//! The index of an estate with what was worked out about it, each answer once.

use super::grant::GrantAnswers;
use super::graph::Graph;
use super::trail::{self, TrailEvidence};
use super::trust::TrustCache;
use crate::cancel::Cancel;
use crate::declared::DeclaredIndex;
use crate::index::{EstateIndex, join};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::{Association, AssociationKey, Estate, OrgPolicyKind, Role, SessionAttribution};
use rolecall_iam::{AccountId, ArnText, Digest, GrantsCache, Level, PolicyRef};
use rolecall_rules::Reasons;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Which access there is in an estate: its index, and the answers that were asked for before.
///
/// What an answer is made of is in the modules below; the functions that ask for it are above, and keep
/// it here.
#[derive(Debug)]
pub(crate) struct AccessIndex {
    estate: EstateIndex,
    /// Whether the work is to end.
    pub cancel: Cancel,
    pub trail: TrailEvidence,
    /// How infrastructure code stands to it.
    pub declared: DeclaredIndex,
    trusts: Mutex<TrustCache>,
    /// By the content of a set of policies.
    granted: Mutex<HashMap<Digest, Arc<GrantAnswers>>>,
    granted_to_roles: Mutex<HashMap<usize, Arc<GrantAnswers>>>,
    pub graph: OnceLock<Graph>,
    /// The roles that pods get to.
    pub reached: OnceLock<BTreeSet<usize>>,
    pub grants: GrantsCache,
}

// Every answer asks the index and one of the caches.
impl std::ops::Deref for AccessIndex {
    type Target = EstateIndex;

    fn deref(&self) -> &EstateIndex {
        &self.estate
    }
}

fn lock<T>(cache: &Mutex<T>) -> MutexGuard<'_, T> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AccessIndex {
    /// Indexes an estate, by what is stated of it.
    pub(crate) fn new(estate: &Estate) -> Self {
        Self::under_assumptions(estate, &estate.assumed)
    }

    /// Indexes an estate under some assumptions and no others.
    pub(crate) fn under_assumptions(estate: &Estate, assumed: &BTreeSet<Assumption>) -> Self {
        Self::with_attributions(estate, assumed, &Cancel::default()).0
    }

    /// As [`AccessIndex::under_assumptions`], with the attribution of each session of the estate, in their
    /// order. Once somebody wants the work to end, answers are worth nothing.
    pub(crate) fn with_attributions<'e>(
        estate: &'e Estate,
        assumed: &BTreeSet<Assumption>,
        cancel: &Cancel,
    ) -> (Self, Vec<Cow<'e, SessionAttribution>>) {
        let (trail, attributions) = trail::evidence_of(estate);
        let index = Self {
            estate: EstateIndex::new(estate, assumed),
            cancel: cancel.clone(),
            trail,
            declared: DeclaredIndex::new(estate),
            trusts: Mutex::default(),
            granted: Mutex::default(),
            granted_to_roles: Mutex::default(),
            graph: OnceLock::new(),
            reached: OnceLock::new(),
            grants: GrantsCache::default(),
        };
        (index, attributions)
    }

    pub(super) fn trusts(&self) -> MutexGuard<'_, TrustCache> {
        lock(&self.trusts)
    }

    pub(super) fn granted(&self) -> MutexGuard<'_, HashMap<Digest, Arc<GrantAnswers>>> {
        lock(&self.granted)
    }

    pub(super) fn granted_to_roles(&self) -> MutexGuard<'_, HashMap<usize, Arc<GrantAnswers>>> {
        lock(&self.granted_to_roles)
    }

    /// A role, and why it may be another than the estate has, or be there though the estate lacks it.
    pub(crate) fn role_or_unseen(&self, arn: &str) -> (Option<&Role>, Option<Reasons>) {
        if let Some(role) = self.role(arn) {
            return (Some(role), self.role_unseen(role));
        }
        let account = ArnText(arn).account_id();
        (None, account.and_then(|account| self.visibility(account).roles.clone()))
    }

    /// The role that a session of this account and role name belongs to.
    pub(crate) fn role_named(&self, account: AccountId, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.arn.account_id() == account && role.arn.name() == name)
    }

    /// An association, and why it may be another than the estate has.
    pub(crate) fn association_or_unseen(&self, key: &AssociationKey) -> (Option<&Association>, Option<Reasons>) {
        let found = self.associations.iter().find(|association| association.key == *key);
        let unseen = match found {
            Some(found) => join(self.association_unseen(found), self.detail_unseen(found).as_ref()),
            None => {
                let place = (key.account_id, key.region.clone(), key.cluster.clone());
                let visibility = self.cluster_visibility(&place);
                visibility.and_then(|visibility| join(visibility.associations.clone(), visibility.details.as_ref()))
            }
        };
        (found, unseen)
    }

    /// The organisation's policies above an account, by level; `None` where none bind it. Where they
    /// are not known, a level that is missing.
    pub(crate) fn levels_or_missing(&self, account: AccountId, kind: OrgPolicyKind) -> Option<Vec<Level>> {
        match self.org_policy_levels(account, kind) {
            Err(why) => {
                let name = if kind == OrgPolicyKind::Scp { "SCP" } else { "RCP" };
                let policy = PolicyRef::missing(&format!("{name}s above account {account}"), &why.joined());
                Some(vec![Level { name: "organisation".into(), policies: vec![policy] }])
            }
            Ok(levels) => (!levels.is_empty()).then_some(levels),
        }
    }
}
