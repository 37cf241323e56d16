//! What a difference of a role, or of a managed policy, comes to.

use super::Both;
use super::label::{AccessChange, Label};
use super::side::{Held, Parts, Side, Slot, decide_open};
use crate::access::trust::ASSUME;
use crate::drift::difference::{Difference, kind};
use crate::drift::{Access, Effect, State};
use rolecall_estate::{AssociationKey, Role};
use rolecall_iam::compare::{Asker, compare};
use rolecall_iam::trust::Trust;
use rolecall_iam::{AccountId, Arn, PolicyRef, PolicySet};
use std::collections::{BTreeMap, BTreeSet, HashMap};

impl Both<'_> {
    /// What parts of a role's policies come to for each of its workloads, or for whoever has the role.
    fn parts_of_role(&self, arn: &str, slots: &[Slot], label: &mut Label) {
        let mut any = false;
        for key in self.users_of(arn).filter(|key| !self.is_led_elsewhere(key)) {
            any = true;
            let (was, is) = (self.before.workload(key), self.after.workload(key));
            let change = match (&was, &is) {
                (Held::Policies(was), Held::Policies(is)) if was.role == arn && is.role == arn => {
                    self.slots(was, is, slots)
                }
                // The role is on the way to the target role: all that counts is whether it still gets there.
                (Held::Policies(was), Held::Policies(is)) if was.role == is.role => {
                    AccessChange::none("the pods act as the target role, and still get there")
                }
                // A trust policy let them in by the same scan: of the role's own parts, these come to this.
                (Held::Nothing(_), Held::Policies(is)) if is.role == arn => {
                    match self.before.role(arn, is.session_digest.as_ref()) {
                        Held::Policies(was) => self.slots(&was, is, slots),
                        was => self.held(&was, &Held::Policies(is.clone())),
                    }
                }
                _ => self.held(&was, &is),
            };
            label.add(key, &change);
        }
        if !any {
            label.also(&self.without_workload(arn, |was, is| self.slots(was, is, slots)));
        }
    }

    fn without_workload(&self, arn: &str, both: impl FnOnce(&Parts, &Parts) -> AccessChange) -> AccessChange {
        match (self.before.role(arn, None), self.after.role(arn, None)) {
            (Held::Policies(was), Held::Policies(is)) => both(&was, &is),
            (was, is) => self.held(&was, &is),
        }
    }

    pub(super) fn role(&self, arn: &str, difference: &Difference) -> Label {
        let mut label = Label::default();
        let part = difference.part.clone().unwrap_or_default();
        match difference.change {
            kind::INLINE_ADDED | kind::INLINE_CHANGED | kind::INLINE_REMOVED => {
                self.parts_of_role(arn, &[Slot::Inline(part)], &mut label);
            }
            kind::ATTACHED | kind::DETACHED => self.parts_of_role(arn, &[Slot::Attached(part)], &mut label),
            kind::BOUNDARY_SET | kind::BOUNDARY_CHANGED | kind::BOUNDARY_REMOVED => {
                self.parts_of_role(arn, &[Slot::Boundary], &mut label);
            }
            kind::TRUST => self.trust(arn, difference, &mut label),
            kind::TAGS => self.tags(arn, difference, &mut label),
            kind::ADDED | kind::REMOVED | kind::RECREATED => {
                let mut any = false;
                for key in self.users_of(arn) {
                    any = true;
                    label.add(key, &self.held(&self.before.workload(key), &self.after.workload(key)));
                }
                if !any {
                    let (was, is) = (self.before.role(arn, None), self.after.role(arn, None));
                    label.also(&self.held(&was, &is));
                }
                if difference.change == kind::RECREATED {
                    label.takes_hold = self.next_credentials(&label);
                }
            }
            _ => label.because = "it changes nothing that the role's sessions may do".to_owned(),
        }
        label
    }

    /// Who may assume the role, and which workloads get its permissions by that.
    fn trust(&self, arn: &str, difference: &Difference, label: &mut Label) {
        let policy_ref = |side: &Side<'_>, state: &Option<State>| match state {
            Some(State::Document(digest)) => {
                side.estate.documents.get(digest).map(|it| PolicyRef::known("trust policy", it))
            }
            _ => None,
        };
        let (old, new) = (policy_ref(&self.before, &difference.before), policy_ref(&self.after, &difference.after));
        let is_read = |trust: &Option<PolicyRef>| trust.as_ref().is_some_and(|trust| trust.policy().is_some());
        let both_read = is_read(&old) && is_read(&new);
        for key in self.users_of(arn).filter(|key| !self.is_led_elsewhere(key)) {
            let (was, is) = (self.before.workload(key), self.after.workload(key));
            let change = match (&was, &is) {
                _ if !both_read => {
                    AccessChange::unknown("the trust policy could not be read before or after".to_owned())
                }
                (Held::Policies(was), Held::Policies(is)) if was.role == is.role => {
                    AccessChange::none("the trust policy lets the pods in before and after")
                }
                _ => self.held(&was, &is),
            };
            label.add(key, &change);
        }
        label.takes_hold = self.next_credentials(label);
        self.hops(arn, label);
        let policies = |trust: Option<PolicyRef>| {
            let none = || PolicyRef::missing("trust policy", "the role's listing does not have it");
            PolicySet { trust: Some(trust.unwrap_or_else(none)), ..PolicySet::default() }
        };
        let change: AccessChange = compare(&Asker::default(), &policies(old), &policies(new)).into();
        label.also(&change.on(arn));
    }

    /// Workloads whose role may assume this one by itself now, or may no longer.
    fn hops(&self, arn: &str, label: &mut Label) {
        let (Some(was), Some(is)) = (self.before.trust(arn), self.after.trust(arn)) else { return };
        let known: BTreeSet<AssociationKey> = label.affected.iter().map(|it| it.workload.clone()).collect();
        let mut by_role: HashMap<String, Option<bool>> = HashMap::new();
        for key in self.workloads.iter().filter(|key| !known.contains(key)) {
            let Held::Policies(parts) = self.after.workload(key) else { continue };
            let opened = *by_role.entry(parts.role.clone()).or_insert_with(|| {
                let admits = |trust: &Trust| trust.admits(&parts.who, ASSUME).truth.is_true();
                let (had, has) = (admits(&was), admits(&is));
                (had != has && decide_open(&parts, ASSUME, arn).is_true()).then_some(has)
            });
            let access = || Some(Access::described(format!("{ASSUME} on {arn}"), ASSUME, arn));
            let change = match opened {
                None => continue,
                Some(true) => AccessChange {
                    effect: Effect::Widened,
                    gained: access(),
                    lost: None,
                    because: format!("{} may assume {arn} now", parts.role),
                    is_compared: false,
                },
                Some(false) => AccessChange {
                    effect: Effect::Narrowed,
                    gained: None,
                    lost: access(),
                    because: format!("{} may no longer assume {arn}", parts.role),
                    is_compared: false,
                },
            };
            label.add(key, &change);
        }
    }

    /// A role's own tags are principal tags of its sessions: they count where a policy asks for them.
    fn tags(&self, arn: &str, difference: &Difference, label: &mut Label) {
        let read = |state: &Option<State>| -> BTreeMap<String, String> {
            match state {
                Some(State::Text(text)) => serde_json::from_str(text).unwrap_or_default(),
                _ => BTreeMap::new(),
            }
        };
        let (was, is) = (read(&difference.before), read(&difference.after));
        let changed: BTreeSet<&String> =
            was.keys().chain(is.keys()).filter(|key| was.get(*key) != is.get(*key)).collect();
        let asked = |parts: &Parts| {
            let mentions = |text: &str| {
                let text = text.to_lowercase();
                changed.iter().any(|key| text.contains(&format!("aws:principaltag/{}", key.to_lowercase())))
            };
            parts.texts().any(|text| mentions(&text))
        };
        let change = match self.after.role(arn, None) {
            Held::Policies(parts) if asked(&parts) => {
                AccessChange::unknown("a policy asks for a tag that changed, as aws:PrincipalTag".to_owned())
            }
            Held::Policies(parts) if parts.first_unseen().is_some() => {
                let unseen = parts.first_unseen().unwrap_or_default();
                AccessChange::unknown(format!("{unseen}, and may ask for a tag that changed, as aws:PrincipalTag"))
            }
            _ => AccessChange::none("no policy of the role asks for a tag that changed"),
        };
        for key in self.users_of(arn) {
            label.add(key, &change);
        }
        label.also(&change);
        label.because = change.because;
    }

    pub(super) fn policy(&self, arn: &Arn, difference: &Difference) -> Label {
        let mut label = Label::none("the policy is attached to no role");
        if [kind::ADDED, kind::REMOVED].contains(&difference.change) {
            label.because = "a policy takes hold where it is attached, which is a change of its own".to_owned();
            return label;
        }
        let holds = |role: &Role, account: AccountId| {
            role.arn.account_id() == account
                && (role.attached.iter().any(|it| it.arn == *arn) || role.boundary.as_ref() == Some(arn))
        };
        let had: BTreeSet<&str> = {
            let roles = self.before.estate.roles.iter();
            roles.filter(|role| holds(role, difference.account_id)).map(|role| role.arn.as_str()).collect()
        };
        let mut seen: BTreeSet<AssociationKey> = BTreeSet::new();
        for role in self.after.estate.roles.iter().filter(|role| holds(role, difference.account_id)) {
            // Where it was attached only now, the attachment is the change.
            if !had.contains(role.arn.as_str()) {
                continue;
            }
            let mut slots = Vec::new();
            if role.attached.iter().any(|it| it.arn == *arn) {
                slots.push(Slot::Attached(arn.to_string()));
            }
            if role.boundary.as_ref() == Some(arn) {
                slots.push(Slot::Boundary);
            }
            let mut own = Label::default();
            self.parts_of_role(role.arn.as_str(), &slots, &mut own);
            if own.affected.is_empty() {
                let Label { effect, gained, lost, because, is_compared, .. } = own;
                if label.affected.is_empty() && label.effect == Effect::None {
                    label.because.clone_from(&because);
                }
                label.also(&AccessChange { effect, gained, lost, because, is_compared });
                continue;
            }
            for it in own.affected.into_iter().filter(|it| seen.insert(it.workload.clone())) {
                let change = AccessChange {
                    effect: it.effect,
                    gained: it.gained,
                    lost: it.lost,
                    because: own.because.clone(),
                    is_compared: own.is_compared,
                };
                let before = label.effect;
                label.add(&it.workload, &change);
                label.effect = before.and(change.effect);
            }
        }
        label
    }
}
