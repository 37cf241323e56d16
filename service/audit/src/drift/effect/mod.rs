//! What a difference comes to for the workloads that it reaches.
//!
//! Knows how to put together what a workload may do before and after (the policies of the role that its
//! pods end up with, boundary, session policy, SCPs and RCPs, and whether the trust policies on the way
//! let them get there), and how to tell one difference from others of the same scan: it is put alone into
//! the stack before, and where that changes nothing, taken alone out of the stack after. Refuses to
//! compare policies itself: `iam::compare` does.

mod association;
mod cluster;
mod escalation;
mod label;
mod organization;
mod role;
mod side;
mod trusted;

pub(in crate::drift) use label::Label;

use super::difference::{About, Difference};
use super::{Effect, Scans, TakesHold};
use escalation::PathFinders;
use label::AccessChange;
use rolecall_estate::{AssociationKey, OrgPolicyKind};
use rolecall_iam::compare::{Asker, compare};
use rolecall_iam::{AccountId, PolicySet, Requester};
use side::{Held, Parts, Side, Slot, compare_within, lift_unread, lift_unread_levels, not_seen};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Both sides, and who uses what.
struct Both<'a> {
    before: Side<'a>,
    after: Side<'a>,
    /// The workloads of each role, as role or target role, on either side.
    users: BTreeMap<String, BTreeSet<AssociationKey>>,
    workloads: BTreeSet<AssociationKey>,
    compared: RefCell<HashMap<String, AccessChange>>,
}

/// Labels each difference, by its index.
pub(in crate::drift) fn label(scans: &Scans<'_>, differences: &[Difference]) -> BTreeMap<usize, Label> {
    let (before, after) = (Side::new(scans.before), Side::new(scans.after));
    let mut users: BTreeMap<String, BTreeSet<AssociationKey>> = BTreeMap::new();
    let mut workloads = BTreeSet::new();
    for association in scans.before.associations.iter().chain(&scans.after.associations) {
        workloads.insert(association.key.clone());
        let Some(detail) = &association.detail else { continue };
        for role in std::iter::once(&detail.role_arn).chain(&detail.target_role_arn) {
            users.entry(role.clone()).or_default().insert(association.key.clone());
        }
    }
    let both = Both { before, after, users, workloads, compared: RefCell::default() };
    let organization = differences
        .iter()
        .filter(|it| matches!(it.about, About::OrgPolicy | About::OrgUnit { .. } | About::Account(_)))
        .count();
    let label = |difference: &Difference| match &difference.about {
        About::Role(arn) => both.role(arn, difference),
        About::Policy(arn) => both.policy(arn, difference),
        About::Association(key) => both.association(key, difference),
        About::Addon { cluster, name } => both.addon(cluster, name, difference),
        About::AccessEntry { principal } => both.access_entry(principal, difference),
        About::Cluster(_) => cluster::label(difference),
        About::OidcProvider(arn) => both.provider(arn, difference),
        About::OrgPolicy | About::OrgUnit { .. } | About::Account(_) => {
            both.organization(scans, difference, organization == 1)
        }
        About::Trail => Label::none("a trail records what is done, and allows nothing"),
    };
    let mut labels: BTreeMap<usize, Label> = differences.iter().map(label).enumerate().collect();
    let is_any = labels.values().any(|label| label.effect != Effect::None);
    let mut finders = is_any.then(|| PathFinders::new(&both, scans));
    for (index, difference) in differences.iter().enumerate() {
        if let Some(label) = labels.get_mut(&index) {
            if let Some(finders) = &mut finders {
                both.escalations(difference, label, finders);
            }
            label.trusted = both.trusted(difference);
            let change = match label.escalations.administrator() {
                Some(true) => label.gained.as_mut(),
                Some(false) => label.lost.as_mut(),
                None => None,
            };
            if let Some(access) = change {
                access.words = format!("administrator access, such as {}", access.words);
            }
            both.reserve(difference, label);
        }
    }
    labels
}

fn asker(who: &Requester) -> Asker {
    Asker { principal: Some(who.clone()), resource_account: None }
}

/// What whoever had one role's policies, and has another's now, gains and loses. Organization policies that
/// were not seen on one side are left out on both.
fn compare_roles(was: &Parts, is: &Parts) -> AccessChange {
    let unseen: BTreeSet<OrgPolicyKind> = was.unseen.union(&is.unseen).copied().collect();
    let seen = |parts: &Parts| {
        let mut policies = parts.policies();
        if unseen.contains(&OrgPolicyKind::Scp) {
            policies.scp = None;
        }
        if unseen.contains(&OrgPolicyKind::Rcp) {
            policies.rcp = None;
        }
        policies
    };
    let change: AccessChange = compare(&asker(&is.who), &seen(was), &seen(is)).into();
    // Two accounts need not be below the same policies.
    if change.effect == Effect::None && was.account != is.account && !unseen.is_empty() {
        let account = if was.unseen.is_empty() { is.account } else { was.account };
        return AccessChange::unknown(format!("{}, and may refuse what was allowed", not_seen(account, &unseen)));
    }
    change
}

impl Both<'_> {
    /// What a workload, or whoever has a role, gains and loses altogether.
    fn held(&self, before: &Held, after: &Held) -> AccessChange {
        let nothing = || PolicySet { identity: Some(Vec::new()), ..PolicySet::default() };
        match (before, after) {
            (Held::Unknown(why), _) | (_, Held::Unknown(why)) => AccessChange::unknown(why.clone()),
            (Held::Nothing(_), Held::Nothing(why)) => {
                AccessChange::none(&format!("nothing was allowed before and after: {why}"))
            }
            (Held::Nothing(_), Held::Policies(is)) => compare(&asker(&is.who), &nothing(), &is.policies()).into(),
            (Held::Policies(was), Held::Nothing(why)) => {
                let change: AccessChange = compare(&asker(&was.who), &was.policies(), &nothing()).into();
                AccessChange { because: format!("{why}; {}", change.because), ..change }
            }
            (Held::Policies(was), Held::Policies(is)) => {
                let key = format!("{}|{:?}|{}|{:?}", was.role, was.session_digest, is.role, is.session_digest);
                self.memo(key, || compare_roles(was, is))
            }
        }
    }

    fn memo(&self, key: String, work: impl FnOnce() -> AccessChange) -> AccessChange {
        if let Some(known) = self.compared.borrow().get(&key) {
            return known.clone();
        }
        let change = work();
        self.compared.borrow_mut().insert(key, change.clone());
        change
    }

    /// What some parts of a role's policies come to, whatever else changed.
    fn slots(&self, was: &Parts, is: &Parts, slots: &[Slot]) -> AccessChange {
        let key = format!("{}|{:?}|{}|{:?}|{slots:?}", was.role, was.session_digest, is.role, is.session_digest);
        let lift = |policies: &mut PolicySet| {
            let boundary = !slots.contains(&Slot::Boundary) && lift_unread(&mut policies.boundary);
            let session = !slots.contains(&Slot::Session) && lift_unread(&mut policies.session);
            let (scp, rcp) = (lift_unread_levels(&mut policies.scp), lift_unread_levels(&mut policies.rcp));
            boundary || session || scp || rcp
        };
        self.memo(key, || {
            let change = compare_within(&is.who, [was.policies(), was.with(is, slots).policies()], lift);
            if change.effect != Effect::None {
                return change;
            }
            // What others of the same scan opened or closed may be what makes the difference.
            compare_within(&is.who, [is.with(was, slots).policies(), is.policies()], lift)
        })
    }

    fn users_of(&self, role: &str) -> impl Iterator<Item = &AssociationKey> {
        self.users.get(role).into_iter().flatten()
    }

    /// Whether an association that is there before and after leads to another role: that is a change of
    /// its own, and says what the workload gains and loses.
    fn is_led_elsewhere(&self, key: &AssociationKey) -> bool {
        let roles = |side: &Side<'_>| {
            let detail = side.at.get(key)?.detail.as_ref()?;
            Some((detail.role_arn.clone(), detail.target_role_arn.clone()))
        };
        match (roles(&self.before), roles(&self.after)) {
            (Some(was), Some(is)) => was != is,
            _ => false,
        }
    }

    /// How long pods of the affected workloads may go on with what they have.
    fn next_credentials(&self, label: &Label) -> TakesHold {
        let holds = |key: &AssociationKey| {
            let side = self.before.at.get(key).or_else(|| self.after.at.get(key));
            let target = side.and_then(|it| it.detail.as_ref()).is_some_and(|it| it.target_role_arn.is_some());
            if target { TakesHold::NextCredentialsOfTargetRole } else { TakesHold::NextCredentials }
        };
        label.affected.iter().map(|it| holds(&it.workload)).max_by_key(|it| it.delay()).unwrap_or(TakesHold::AtOnce)
    }

    /// Says what of the organization's policies was not seen, where a gain, a loss or that there is neither
    /// rests on it. What is the same for every request is the same below any organization policy.
    fn reserve(&self, difference: &Difference, label: &mut Label) {
        let none = label.effect == Effect::None && label.is_compared;
        let mut notes = Vec::new();
        for (applies, sides, may) in [
            (label.gained.is_some(), &[&self.after][..], "may refuse it"),
            (label.lost.is_some(), &[&self.before], "may have refused it before"),
            (none, &[&self.before, &self.after], "are taken to be the same before and after"),
        ] {
            let first = sides.iter().filter(|_| applies).find_map(|side| self.unseen_above(side, difference, label));
            notes.extend(first.map(|(account, unseen)| format!("; {}, and {may}", not_seen(account, &unseen))));
        }
        label.because.push_str(&notes.concat());
    }

    /// The first account of those that a label concerns above which organization policies were not seen.
    fn unseen_above(
        &self,
        side: &Side<'_>,
        difference: &Difference,
        label: &Label,
    ) -> Option<(AccountId, BTreeSet<OrgPolicyKind>)> {
        let unseen = |held: Held| match held {
            Held::Policies(parts) if !parts.unseen.is_empty() => Some((parts.account, parts.unseen.clone())),
            _ => None,
        };
        let workloads = label.affected.iter().find_map(|it| unseen(side.workload(&it.workload)));
        workloads.or_else(|| match &difference.about {
            About::Role(arn) if label.affected.is_empty() => unseen(side.role(arn, None)),
            _ => None,
        })
    }
}
