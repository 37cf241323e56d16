//! Whose something is: by ownership rules, then by tags.
//!
//! Whose it is is not who works on it: a finding's assignee is set by people, and is not asked here. Three answers: an
//! owner, nobody as far as everything that decides was seen, or unknown. Refuses to know where rules and tags come
//! from.

mod lookup;

pub use lookup::Owners;

use crate::access::reach::{Via, Workload};
use crate::verdict::Fingerprint;
use rolecall_estate::{AssociationKey, Reason};
use rolecall_iam::AccountId;
use rolecall_rules::OwnerRules;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many reasons are kept of an owner that is not known.
const REASONS_KEPT: usize = 3;

/// What decides whose something is.
#[derive(Debug, Clone)]
pub struct Ownership {
    /// Rules, which go before tags.
    pub rules: OwnerRules,
    /// Keys of tags whose value is the owner, the first that is there; letter case counts, as in AWS.
    pub tag_keys: Vec<String>,
}

impl Default for Ownership {
    fn default() -> Self {
        Self { rules: OwnerRules::default(), tag_keys: ["owner", "team"].map(str::to_owned).into() }
    }
}

rolecall_iam::vocabulary! {
    /// Whether something has an owner.
    pub enum Owned: "whether something is owned" {
        /// Somebody's.
        Yes = "true",
        /// Nobody's.
        No = "false",
        /// What decides it was not seen.
        Unknown = "unknown",
    }
}

/// Whose something is, and what says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Owner {
    /// An ownership rule says it.
    Rule {
        /// Whose it is.
        name: String,
        /// How the owner is reached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<String>,
        /// File and line.
        origin: String,
    },
    /// A tag says it.
    Tag {
        /// The tag's value.
        name: String,
        /// The tag's key.
        key: String,
        /// What has the tag: the ARN of a role or cluster, or an association's key. Empty where it is out of sight.
        #[serde(default)]
        resource: String,
    },
    /// No rule and no tag names anybody.
    Nobody {
        /// The workloads that reach it, or the roles that hold it, have different owners.
        several: bool,
    },
    /// What decides it was not seen.
    Unknown {
        /// Why. Empty where that is out of sight.
        #[serde(default)]
        why: Vec<Reason>,
    },
}

impl Owner {
    /// The owner's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Rule { name, .. } | Self::Tag { name, .. } => Some(name),
            Self::Nobody { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn owned(&self) -> Owned {
        match self {
            Self::Rule { .. } | Self::Tag { .. } => Owned::Yes,
            Self::Nobody { .. } => Owned::No,
            Self::Unknown { .. } => Owned::Unknown,
        }
    }

    fn unknown(why: impl IntoIterator<Item = Reason>) -> Self {
        Self::Unknown { why: why.into_iter().take(REASONS_KEPT).collect() }
    }
}

/// A finding that has another owner than the one that is kept, or another reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerChange {
    /// The finding's account.
    pub account_id: AccountId,
    /// The finding.
    pub fingerprint: Fingerprint,
    /// What is kept; `None` where nothing was decided before.
    pub from: Option<Owner>,
    /// What is decided now.
    pub to: Owner,
}

/// What is to be kept of owners after an audit: only what differs from what is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnerChanges {
    /// Of findings.
    pub findings: Vec<OwnerChange>,
    /// Of associations.
    pub associations: Vec<(AssociationKey, Owner)>,
    /// Associations that are there no more.
    pub gone: Vec<AssociationKey>,
}

/// What differs of associations. `kept` are those that are kept, by the text of their keys.
#[must_use]
pub fn association_owners(
    kept: &BTreeMap<AssociationKey, Owner>,
    owners: &Owners<'_>,
) -> (Vec<(AssociationKey, Owner)>, Vec<AssociationKey>) {
    let found: BTreeMap<&AssociationKey, Owner> =
        owners.associations().map(|key| (key, owners.of_association(key))).collect();
    let gone = kept.keys().filter(|key| !found.contains_key(key)).cloned().collect();
    let changed = found.into_iter().filter(|(key, owner)| kept.get(*key) != Some(owner));
    (changed.map(|(key, owner)| (key.clone(), owner)).collect(), gone)
}

/// Whether a workload has the role itself, and not only a way to it.
fn is_near(workload: &Workload) -> bool {
    matches!(workload.via, Via::Direct | Via::Target)
}
