//! Baselines: the state of a resource that somebody approved, by its digest, and how the resource stands
//! against it.
//!
//! Knows what of a resource is its configuration, one canonical form of it, and that only what the latest scan
//! showed whole can be approved. Refuses to know who may approve, how a baseline is signed, and where baselines
//! are kept.

mod compare;
mod configuration;
mod file;

pub use compare::{Compared, compare, covers};
pub use configuration::Configuration;
pub use file::{LARGEST, entry, parse, parse_entry, write};

use super::{Approval, Resource};
use chrono::{DateTime, Utc};
use rolecall_estate::Estate;
use rolecall_iam::{AccountId, Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The `apiVersion` of baseline files.
pub const API_VERSION: &str = "rolecall/v1";
/// The `kind` of baseline files.
pub const KIND: &str = "Baseline";

/// The approved state of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The account that the resource is kept under.
    pub account_id: AccountId,
    /// Of what.
    pub resource: Resource,
    /// The SHA-256 of the canonical form of `configuration`.
    pub digest: Digest,
    /// The approved state.
    pub configuration: Configuration,
    /// The policy documents that it names, each text under its address.
    pub documents: BTreeMap<Digest, String>,
    /// Why, and until when.
    pub approval: Approval,
    /// Who approved it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Of what date the state is: that of the scan that showed it.
    pub observed_at: Option<DateTime<Utc>>,
    /// Who vouches for it.
    pub signature: Option<Signature>,
}

/// An Ed25519 signature of [`Baseline::signed_bytes`] (RFC 8032).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The public key, 32 bytes in Base64.
    pub key: String,
    /// The signature, 64 bytes in Base64.
    pub value: String,
}

impl Baseline {
    /// A name that no other baseline has: it follows from account, resource, digest, time and approver.
    #[must_use]
    pub fn id(&self) -> String {
        let parts = json!([
            self.account_id.to_string(),
            self.resource.kind.as_str(),
            self.resource.name,
            self.digest.to_string(),
            self.at.to_rfc3339(),
            self.by,
        ]);
        let hex = Digest::sha256(canonical(&parts).as_bytes()).to_string();
        format!("bl_{}", hex.chars().take(32).collect::<String>())
    }

    /// What a signature covers: everything but the signature. The configuration is covered by its digest, and
    /// documents by their addresses in it.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        canonical(&json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "account": self.account_id.to_string(),
            "type": self.resource.kind.as_str(),
            "resource": self.resource.name,
            "digest": self.digest.to_string(),
            "approved": file::approved(self),
            "observed_at": self.observed_at,
        }))
        .into_bytes()
    }
}

rolecall_iam::vocabulary! {
    /// How a resource stands against its baseline.
    pub enum BaselineState: "a state of a baseline" {
        /// The resource has another state.
        Differs = "differs",
        /// The resource is not there any more.
        Removed = "removed",
        /// The latest scan did not see the resource, or not all of it.
        Unknown = "unknown",
        /// The approval has ended.
        Expired = "expired",
        /// The resource is as it was approved.
        Matches = "matches",
    }
}

/// Which resources to approve: every one that has all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Kept under this account.
    pub account_id: Option<AccountId>,
    /// Of this name: an ARN, or an association's key.
    pub resource: Option<String>,
}

/// What was taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// Baselines, without a signature.
    pub baselines: Vec<Baseline>,
    /// What cannot be approved, and why.
    pub skipped: Vec<(Resource, String)>,
}

/// The present state of resources as their baselines, in a fixed order. What the latest scan did not show whole
/// is skipped.
#[must_use]
pub fn take(estate: &Estate, what: &Selection, approval: &Approval, by: &str, at: DateTime<Utc>) -> Taken {
    let mut taken = Taken::default();
    for present in configuration::present(estate) {
        let wanted = what.account_id.is_none_or(|account| account == present.account_id)
            && what.resource.as_ref().is_none_or(|name| *name == present.resource.name);
        if !wanted {
            continue;
        }
        if let Some(why) = present.unseen(estate) {
            taken.skipped.push((present.resource, why));
            continue;
        }
        let configuration = present.configuration();
        let documents = configuration
            .documents()
            .into_iter()
            .filter_map(|digest| Some((digest, estate.documents.get(&digest)?.canonical())))
            .collect();
        taken.baselines.push(Baseline {
            account_id: present.account_id,
            digest: configuration.digest(),
            configuration,
            documents,
            approval: approval.clone(),
            by: by.to_owned(),
            at,
            observed_at: estate.as_of.get(&present.account_id).copied(),
            signature: None,
            resource: present.resource,
        });
    }
    taken
}

/// One text for each value: members by name, absent and null alike.
fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
                members.sort_by(|a, b| a.0.cmp(b.0));
                Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}
