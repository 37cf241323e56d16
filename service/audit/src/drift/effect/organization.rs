//! What a difference of the organization comes to for the workloads of the accounts below.

use super::Both;
use super::label::{AccessChange, Label};
use super::side::{Held, Levels, Parts, compare_within, lift_unread, not_seen, seen_levels};
use crate::access::index::AccessIndex;
use crate::drift::difference::{About, Difference, kind};
use crate::drift::{Effect, Scans};
use rolecall_estate::{Estate, OrgPolicyKind, Snapshot};
use rolecall_iam::{AccountId, Document, Level, PolicyRef, PolicySet, Requester};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

impl Both<'_> {
    /// What the organization's policies come to for the workloads of the accounts below.
    pub(super) fn organization(&self, scans: &Scans<'_>, difference: &Difference, alone: bool) -> Label {
        if difference.change == kind::STATUS {
            return Label::plain(Effect::Unknown, "what a status of an account does to its pods is not known");
        }
        let mut label = Label::none("the organization's policies above every workload say the same");
        let hybrid = (!alone).then(|| AccessIndex::new(&with_organization(scans, difference)));
        let mut levels: BTreeMap<AccountId, Rc<LevelChange>> = BTreeMap::new();
        let mut above = |account: AccountId| {
            let change = || Rc::new(self.levels_above(scans, difference, hybrid.as_ref(), account));
            Rc::clone(levels.entry(account).or_insert_with(change))
        };
        for key in &self.workloads {
            let Held::Policies(parts) = self.before.workload(key) else { continue };
            let levels = above(parts.account);
            if levels.says_nothing() {
                continue;
            }
            let memo =
                format!("{}|{:?}|{}|{:?}", parts.role, parts.session_digest, difference.resource.name, difference.part);
            let change = self.memo(format!("{memo}|{}", difference.change), || levels.for_role(&parts, parts.account));
            label.add(key, &change);
        }
        if label.affected.is_empty() {
            // Nobody's pods: what it comes to for somebody who may do everything else.
            let accounts = self.after.estate.accounts.iter().map(|account| (account.id, above(account.id)));
            let changed: Vec<_> = accounts.filter(|(_, levels)| !levels.says_nothing()).collect();
            // What is known of one account says more than that another was not seen.
            let first = changed.iter().find(|(_, levels)| levels.changed.is_some()).or(changed.first());
            if let Some((account, levels)) = first {
                label.also(&levels.for_anybody(*account));
            }
        }
        label
    }

    /// What a difference makes of the organization's policies above an account.
    fn levels_above(
        &self,
        scans: &Scans<'_>,
        difference: &Difference,
        hybrid: Option<&AccessIndex>,
        account: AccountId,
    ) -> LevelChange {
        let concerned = kinds_of(scans, difference);
        let mut unseen = BTreeSet::new();
        let mut sides: [[Levels; 2]; 2] = Default::default();
        for (at, kind) in [OrgPolicyKind::Scp, OrgPolicyKind::Rcp].into_iter().enumerate() {
            let old = self.before.seen_levels(account, kind);
            let new = match hybrid {
                _ if !concerned.contains(&kind) => old.clone(),
                Some(index) => seen_levels(index, account, kind),
                None => self.after.seen_levels(account, kind),
            };
            let pair = match (old, new) {
                (Ok(old), Ok(new)) => [old, new],
                _ => {
                    if concerned.contains(&kind) {
                        unseen.insert(kind);
                    }
                    [None, None]
                }
            };
            for (side, levels) in sides.iter_mut().zip(pair) {
                if let Some(place) = side.get_mut(at) {
                    *place = levels;
                }
            }
        }
        let [old, new] = &sides;
        let same = old.iter().zip(new).all(|(a, b)| same_levels(a.as_deref(), b.as_deref()));
        LevelChange { changed: (!same).then_some(sides), unseen }
    }
}

/// The kinds of policies that a difference of the organization can concern.
fn kinds_of(scans: &Scans<'_>, difference: &Difference) -> BTreeSet<OrgPolicyKind> {
    let id = difference.aliases.first();
    let policies = scans.before.org_policies.iter().chain(&scans.after.org_policies);
    match &difference.about {
        About::OrgPolicy => policies.filter(|policy| Some(&policy.id) == id).map(|policy| policy.kind).collect(),
        _ => OrgPolicyKind::ALL.into_iter().collect(),
    }
}

/// The organization's policies above an account before and after a difference: each SCPs, then RCPs.
struct LevelChange {
    /// `None` where those that were seen say the same.
    changed: Option<[[Levels; 2]; 2]>,
    /// The kinds that the difference concerns and that were not seen before, or after.
    unseen: BTreeSet<OrgPolicyKind>,
}

impl LevelChange {
    fn says_nothing(&self) -> bool {
        self.changed.is_none() && self.unseen.is_empty()
    }

    /// What it comes to for a role's sessions.
    fn for_role(&self, parts: &Parts, account: AccountId) -> AccessChange {
        let with = |[scp, rcp]: &[Levels; 2]| Parts { scp: scp.clone(), rcp: rcp.clone(), ..parts.clone() }.policies();
        self.compare(account, &parts.who, with)
    }

    /// What it comes to for somebody of the account who may do everything else.
    fn for_anybody(&self, account: AccountId) -> AccessChange {
        let own = |[scp, rcp]: &[Levels; 2]| PolicySet {
            identity: Some(vec![everything()]),
            scp: scp.clone(),
            rcp: rcp.clone(),
            ..PolicySet::default()
        };
        match Requester::parse(&format!("arn:aws:sts::{account}:assumed-role/example/session")) {
            Some(who) => self.compare(account, &who, own),
            None => AccessChange::unknown(format!("account {account} has no role that could be asked for")),
        }
    }

    fn compare(&self, account: AccountId, who: &Requester, with: impl Fn(&[Levels; 2]) -> PolicySet) -> AccessChange {
        let unseen = || not_seen(account, &self.unseen);
        let Some(sides) = &self.changed else {
            return AccessChange::unknown(format!("{} before or after", unseen()));
        };
        let [was, is] = sides.each_ref().map(with);
        // All but the organization's policies is the same before and after.
        let lift = |policies: &mut PolicySet| {
            let (boundary, session) = (lift_unread(&mut policies.boundary), lift_unread(&mut policies.session));
            let identity = policies.identity.iter().flatten().any(|policy| policy.policy().is_none());
            if identity {
                policies.identity = Some(vec![everything()]);
            }
            boundary || session || identity
        };
        let change = compare_within(who, [was, is], lift);
        match change.effect {
            _ if self.unseen.is_empty() => change,
            Effect::None => AccessChange::unknown(format!("{} before or after", unseen())),
            _ => AccessChange { because: format!("{}; {} before or after", change.because, unseen()), ..change },
        }
    }
}

fn everything() -> PolicyRef {
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    PolicyRef::known("a policy that allows everything", &Document::new(all))
}

fn same_levels(a: Option<&[Level]>, b: Option<&[Level]>) -> bool {
    let content = |levels: Option<&[Level]>| -> Option<Vec<Vec<String>>> {
        let of = |level: &Level| {
            let mut texts: Vec<String> = level
                .policies
                .iter()
                .map(|layer| layer.policy().map_or_else(|| layer.source().to_owned(), rolecall_iam::Policy::canonical))
                .collect();
            texts.sort();
            texts
        };
        levels.map(|levels| levels.iter().map(of).collect())
    };
    content(a) == content(b)
}

/// The organization as it was before, with one difference: nothing else of the estate is in it.
fn with_organization(scans: &Scans<'_>, difference: &Difference) -> Estate {
    let (before, after) = (scans.before, scans.after);
    let mut estate = Estate {
        accounts: before.accounts.clone(),
        snapshot: Snapshot {
            org_policies: before.org_policies.clone(),
            org_units: before.org_units.clone(),
            documents: before.documents.clone(),
            coverage: before.coverage.clone(),
            ..Snapshot::default()
        },
        assumed: before.assumed.clone(),
        ..Estate::default()
    };
    estate.documents.absorb(after.documents.clone());
    let id = difference.aliases.first();
    match &difference.about {
        About::OrgPolicy => {
            let is = after.org_policies.iter().find(|policy| Some(&policy.id) == id);
            let was = before.org_policies.iter().find(|policy| Some(&policy.id) == id);
            estate.org_policies.retain(|policy| Some(&policy.id) != id);
            // One target, or the document: not both.
            let mut now = is.or(was).cloned();
            if let (Some(was), Some(is), Some(now)) = (was, is, &mut now) {
                let target = difference.part.as_ref();
                match (difference.change, target) {
                    (kind::TARGET_ATTACHED, Some(target)) => {
                        now.clone_from(was);
                        now.targets.push(target.clone());
                    }
                    (kind::TARGET_DETACHED, Some(target)) => {
                        now.clone_from(was);
                        now.targets.retain(|it| it != target);
                    }
                    _ => {
                        now.clone_from(was);
                        now.document = is.document;
                    }
                }
            }
            if difference.change != kind::REMOVED {
                estate.org_policies.extend(now);
            }
        }
        About::Account(account) => {
            estate.org_units.clone_from(&after.org_units);
            estate.accounts.retain(|it| it.id != *account);
            estate.accounts.extend(after.accounts.iter().find(|it| it.id == *account).cloned());
        }
        _ => {
            estate.org_units.clone_from(&after.org_units);
            estate.accounts.clone_from(&after.accounts);
        }
    }
    estate
}
