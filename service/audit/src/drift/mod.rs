//! What changed between two scans, and what it means for workloads.
//!
//! Knows that *removed* needs two complete listings that had the thing in scope, and that a thing seen
//! first where nobody looked before is no change. Each change is labelled by what the workloads that it
//! reaches gain and lose (`iam::compare` on the whole stack of policies before and after), and joined to
//! the CloudTrail events that may have made it. A change is approved while what it brought is there. Refuses
//! to know who may approve, and where estates, events and approvals are kept.

mod approval;
mod attribution;
pub mod baseline;
mod difference;
mod effect;
mod escalation;
mod open;

pub use crate::label::{Access, Effect};
pub use crate::resource::{Resource, ResourceType};
pub use approval::{Approval, ApprovalFault, ApprovalState, ApprovalStep, Withdrawal, replaced_by, state_words};
pub(crate) use approval::{of_whole, same_part};
pub use attribution::{Attributed, Attribution, Calls, Records, SLACK, Window, attribute, creating_calls, span};
pub(crate) use difference::kind;
pub use escalation::{ADMINISTRATOR, Escalations, RoleEscalation};
pub use open::{EarlierCalls, Ended, Later, OpenChange, SeenIn, Standing, TrustedAccount, standing};

use chrono::{DateTime, TimeDelta, Utc};
use difference::Difference;
use rolecall_estate::coverage::Coverage;
use rolecall_estate::id::Region;
use rolecall_estate::{AssociationKey, Estate};
use rolecall_iam::{AccountId, Digest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A workload that a change reaches, and what it comes to for this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// The association of its service account.
    pub workload: AssociationKey,
    /// What the change comes to.
    pub effect: Effect,
    /// What it gained.
    pub gained: Option<Access>,
    /// What it lost.
    pub lost: Option<Access>,
    /// The privilege-escalation paths that it opens and closes for this one.
    #[serde(default)]
    pub escalations: Escalations,
}

/// A thing before or after a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A policy document, by its digest.
    Document(Digest),
    /// Any other value, as text or JSON.
    Text(String),
}

impl State {
    fn text(&self) -> String {
        match self {
            Self::Document(digest) => digest.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

rolecall_iam::vocabulary! {
    /// When a change takes hold.
    pub enum TakesHold: "a moment at which changes take hold" {
        /// Policies are evaluated with each request: existing sessions are bound at once.
        AtOnce = "at_once",
        /// At the next fetch of credentials: EKS keeps them 6 hours.
        NextCredentials = "next_credentials",
        /// At the next fetch of credentials: EKS keeps those of a target role 59 minutes.
        NextCredentialsOfTargetRole = "next_credentials_of_target_role",
    }
}

impl TakesHold {
    /// How long pods may go on with credentials from before the change: 6 hours, or 59 minutes with a
    /// target role (Amazon EKS User Guide, "Access AWS resources using EKS Pod Identity Target IAM Roles").
    #[must_use]
    pub fn delay(self) -> TimeDelta {
        match self {
            Self::AtOnce => TimeDelta::zero(),
            Self::NextCredentials => TimeDelta::hours(6),
            Self::NextCredentialsOfTargetRole => TimeDelta::minutes(59),
        }
    }
}

/// A change, before anybody looked for who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Stable: the same difference between the same scans always has the same.
    pub id: String,
    /// Of what.
    pub resource: Resource,
    /// The account that the resource is kept under.
    pub account_id: AccountId,
    /// The region, for regional services.
    pub region: Option<Region>,
    /// What changed, such as `trust_policy_changed`; [`kinds`] lists all.
    pub change: String,
    /// Which part of the resource: a policy's name or ARN, a field.
    pub part: Option<String>,
    /// Before.
    pub before: Option<State>,
    /// After.
    pub after: Option<State>,
    /// What it comes to, over all workloads that it reaches.
    pub effect: Effect,
    /// What was gained.
    pub gained: Option<Access>,
    /// What was lost.
    pub lost: Option<Access>,
    /// Why the effect is what it is, in a sentence.
    pub because: String,
    /// The workloads that it reaches, by key.
    pub affected: Vec<Affected>,
    /// The change that this one follows from.
    pub caused_by: Option<String>,
    /// When it takes hold, from the moment at which it was made.
    pub takes_hold: TakesHold,
    /// Whether it opens (`true`) or closes administrator access.
    #[serde(default)]
    pub administrator: Option<bool>,
    /// The privilege-escalation paths that it opens and closes for the workloads and roles that it reaches.
    #[serde(default)]
    pub escalations: Escalations,
    /// Of a role's trust policy: the accounts that it lets in now and did not before. `None` where a policy
    /// could not be read, and of any other change.
    #[serde(default)]
    pub trusted: Option<Vec<TrustedAccount>>,
    /// Names by which events may call the resource, beside its own: an association's id.
    #[serde(default)]
    pub aliases: Vec<String>,
}

impl Change {
    /// When it takes hold for pods with credentials from before it; `made_at` is the event's time or, for
    /// want of one, that of the scan that shows it.
    #[must_use]
    pub fn effective_at(&self, made_at: DateTime<Utc>) -> DateTime<Utc> {
        made_at.checked_add_signed(self.takes_hold.delay()).unwrap_or(made_at)
    }

    /// The same change, where nobody knows what was there before or what was asked for.
    pub(crate) fn unproved(&mut self, why: &str) {
        why.clone_into(&mut self.because);
        self.effect = Effect::Unknown;
        (self.gained, self.lost) = (None, None);
        self.escalations.unproved(why);
        for it in &mut self.affected {
            it.effect = Effect::Unknown;
            (it.gained, it.lost) = (None, None);
            it.escalations.unproved(why);
        }
    }
}

/// Two scans of an estate.
#[derive(Debug, Clone, Copy)]
pub struct Scans<'a> {
    /// The estate as the earlier scan left it.
    pub before: &'a Estate,
    /// The estate as the later scan left it.
    pub after: &'a Estate,
    /// Which listings the earlier scan, or one before it, had read to their end.
    pub listed_before: &'a Coverage,
    /// Which listings the later scan read to their end.
    pub listed_after: &'a Coverage,
    /// The accounts of which both estates have every role; `None`: of all.
    pub roles_of: Option<&'a BTreeSet<AccountId>>,
    /// A name of the pair, the same whenever it is compared.
    pub pair: &'a str,
}

/// Every change between two scans, labelled, roots before what follows from them, in a fixed order.
#[must_use]
pub fn changes(scans: &Scans<'_>) -> Vec<Change> {
    let differences = difference::all(scans);
    if differences.is_empty() {
        return Vec::new();
    }
    let ids: Vec<String> = differences.iter().map(|it| id(it, scans.pair)).collect();
    let mut labels = effect::label(scans, &differences);
    let mut out: Vec<Change> = Vec::with_capacity(differences.len());
    for (index, difference) in differences.iter().enumerate() {
        let label = labels.remove(&index).unwrap_or_default();
        let caused_by = difference::cause(index, &differences).and_then(|cause| ids.get(cause)).cloned();
        out.push(change(difference, ids.get(index).cloned().unwrap_or_default(), label, caused_by));
    }
    let followers = followers(scans, &out);
    out.extend(followers);
    out
}

/// Every difference between two scans, in the same order, with nothing said of what it comes to: no ids, no
/// effects, and none that only follow from others.
pub(crate) fn unlabelled(scans: &Scans<'_>) -> Vec<Change> {
    let differences = difference::all(scans);
    differences.iter().map(|it| change(it, String::new(), effect::Label::default(), None)).collect()
}

fn change(difference: &Difference, id: String, label: effect::Label, caused_by: Option<String>) -> Change {
    Change {
        id,
        resource: difference.resource.clone(),
        account_id: difference.account_id,
        region: difference.region.clone(),
        change: difference.change.to_owned(),
        part: difference.part.clone(),
        before: difference.before.clone(),
        after: difference.after.clone(),
        effect: label.effect,
        gained: label.gained,
        lost: label.lost,
        because: label.because,
        affected: label.affected,
        caused_by,
        takes_hold: label.takes_hold,
        administrator: label.escalations.administrator(),
        escalations: label.escalations,
        trusted: label.trusted,
        aliases: difference.aliases.clone(),
    }
}

/// A managed policy's new version changes every role that has it: a row each, which follows from the
/// policy's.
fn followers(scans: &Scans<'_>, roots: &[Change]) -> Vec<Change> {
    let policies: BTreeMap<(AccountId, &str), &Change> = roots
        .iter()
        .filter(|change| change.resource.kind == ResourceType::ManagedPolicy && change.change == kind::DEFAULT_VERSION)
        .map(|change| ((change.account_id, change.resource.name.as_str()), change))
        .collect();
    let mut out = Vec::new();
    if policies.is_empty() {
        return out;
    }
    for role in &scans.after.roles {
        let account = role.arn.account_id();
        let held = role.attached.iter().map(|it| (&it.arn, false)).chain(role.boundary.iter().map(|arn| (arn, true)));
        for (policy, is_boundary) in held {
            let Some(root) = policies.get(&(account, policy.as_str())) else { continue };
            let arn = role.arn.as_str();
            let affected: Vec<Affected> = root
                .affected
                .iter()
                .filter(|it| scans.after.associations.iter().any(|found| found.key == it.workload && uses(found, arn)))
                .cloned()
                .collect();
            let change = if is_boundary { kind::BOUNDARY_VERSION } else { kind::ATTACHED_VERSION };
            let effect = affected.iter().map(|it| it.effect).reduce(Effect::and).unwrap_or(root.effect);
            let resource = Resource::new(ResourceType::Role, arn);
            let part = Some(policy.to_string());
            out.push(Change {
                id: digest_id(&[&root.id, change, arn]),
                resource,
                account_id: account,
                region: None,
                change: change.to_owned(),
                part,
                gained: affected.iter().find_map(|it| it.gained.clone()).or_else(|| root.gained.clone()),
                lost: affected.iter().find_map(|it| it.lost.clone()).or_else(|| root.lost.clone()),
                effect,
                affected,
                caused_by: Some(root.id.clone()),
                aliases: Vec::new(),
                escalations: root.escalations.of_role(arn),
                ..(*root).clone()
            });
        }
    }
    out
}

fn uses(association: &rolecall_estate::Association, role: &str) -> bool {
    let detail = association.detail.as_ref();
    detail.is_some_and(|it| it.role_arn == role || it.target_role_arn.as_deref() == Some(role))
}

fn id(difference: &Difference, pair: &str) -> String {
    let state = |state: &Option<State>| state.as_ref().map(State::text).unwrap_or_default();
    let part = difference.part.as_deref().unwrap_or_default();
    digest_id(&[
        &difference.account_id.to_string(),
        difference.resource.kind.as_str(),
        &difference.resource.name,
        difference.change,
        part,
        &state(&difference.before),
        &state(&difference.after),
        pair,
    ])
}

pub(crate) fn digest_id(parts: &[&str]) -> String {
    let text = serde_json::to_string(parts).unwrap_or_default();
    let hex = Digest::sha256(text.as_bytes()).to_string();
    format!("chg_{}", hex.chars().take(32).collect::<String>())
}

/// Every kind of change, with what it means: the values of [`Change::change`].
#[must_use]
pub fn kinds() -> &'static [(&'static str, &'static str)] {
    kind::KINDS
}
