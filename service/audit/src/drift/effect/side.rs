//! One of two scans: what its workloads have.

use super::label::AccessChange;
use crate::access::index::AccessIndex;
use crate::access::pods_request::{hop_request, pods_request};
use crate::access::stack::{is_service_linked, own_policies};
use crate::access::trust::{ASSUME, PODS, TAG};
use crate::drift::Effect;
use rolecall_estate::{Association, AssociationDetail, AssociationKey, Estate, OrgPolicyKind, Role};
use rolecall_iam::compare::{Asker, compare};
use rolecall_iam::{
    AccountId, Arn, Digest, Document, Level, Outcome, PolicyRef, PolicySet, Request, Requester, Truth, decide,
};
use rolecall_iam::{ArnText, trust::Trust};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// The organization's policies of a kind above an account, from the root down; `None` where none bind it.
pub(super) type Levels = Option<Arc<[Level]>>;

/// The organization's policies of a kind above an account were not seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unseen;

/// The organization's policies of a kind above an account, by the index of an estate.
///
/// # Errors
/// They were not seen: not listed, or none of them can be read.
pub(super) fn seen_levels(index: &AccessIndex, account: AccountId, kind: OrgPolicyKind) -> Result<Levels, Unseen> {
    let Some(levels) = index.levels_or_missing(account, kind) else { return Ok(None) };
    let policies = || levels.iter().flat_map(|level| &level.policies);
    if policies().all(|policy| policy.policy().is_none()) { Err(Unseen) } else { Ok(Some(levels.into())) }
}

/// Whose policies were not seen, in words: `the SCPs above account 111122223333 were not seen`.
pub(super) fn not_seen(account: AccountId, kinds: &BTreeSet<OrgPolicyKind>) -> String {
    let names = kinds.iter().map(|kind| if *kind == OrgPolicyKind::Scp { "SCPs" } else { "RCPs" });
    format!("the {} above account {account} were not seen", names.collect::<Vec<_>>().join(" and "))
}

/// A part of what decides for a role's sessions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Slot {
    Inline(String),
    Attached(String),
    Boundary,
    Session,
}

/// The policies of a role's sessions, by the parts that change apart from each other.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) who: Requester,
    pub(super) role: String,
    pub(super) session_digest: Option<Digest>,
    pub(super) account: AccountId,
    pub(super) identity: BTreeMap<Slot, PolicyRef>,
    pub(super) boundary: Option<Vec<PolicyRef>>,
    pub(super) boundary_arn: Option<Arn>,
    pub(super) session: Option<Vec<PolicyRef>>,
    pub(super) scp: Levels,
    pub(super) rcp: Levels,
    /// The kinds of the organization's policies above its account that were not seen.
    pub(super) unseen: BTreeSet<OrgPolicyKind>,
}

impl Parts {
    pub(super) fn policies(&self) -> PolicySet {
        PolicySet {
            identity: Some(self.identity.values().cloned().collect()),
            boundary: self.boundary.clone(),
            session: self.session.clone(),
            scp: self.scp.clone(),
            rcp: self.rcp.clone(),
            ..PolicySet::default()
        }
    }

    /// The same with some parts of another.
    pub(super) fn with(&self, other: &Self, slots: &[Slot]) -> Self {
        let mut out = self.clone();
        for slot in slots {
            match slot {
                Slot::Boundary => {
                    out.boundary.clone_from(&other.boundary);
                    out.boundary_arn.clone_from(&other.boundary_arn);
                }
                Slot::Session => out.session.clone_from(&other.session),
                slot => {
                    match other.identity.get(slot) {
                        Some(policy) => out.identity.insert(slot.clone(), policy.clone()),
                        None => out.identity.remove(slot),
                    };
                }
            }
        }
        out
    }
}

/// Compares two sets of policies of one requester that differ in some parts alone.
///
/// Where the relation is not known, it is asked for again without what `lift` takes out of both: policies
/// that are the same on both sides and only limit. Whatever these say, what is equal, or less, or more
/// without them is so with them.
pub(super) fn compare_within(
    who: &Requester,
    [mut was, mut is]: [PolicySet; 2],
    lift: impl Fn(&mut PolicySet) -> bool,
) -> AccessChange {
    let asker = || Asker { principal: Some(who.clone()), resource_account: None };
    let change: AccessChange = compare(&asker(), &was, &is).into();
    if change.effect != Effect::Unknown || !lift(&mut was) || !lift(&mut is) {
        return change;
    }
    let bound: AccessChange = compare(&asker(), &was, &is).into();
    match bound.effect {
        Effect::None => bound,
        Effect::Narrowed | Effect::Widened => {
            let because = format!("{}; what else limits it is not known: {}", bound.because, change.because);
            AccessChange { because, ..bound }
        }
        Effect::Mixed | Effect::Unknown => change,
    }
}

/// Takes a boundary or a session policy out that cannot be read; whether it did.
pub(super) fn lift_unread(list: &mut Option<Vec<PolicyRef>>) -> bool {
    let is_unread = list.iter().flatten().any(|policy| policy.policy().is_none());
    if is_unread {
        *list = None;
    }
    is_unread
}

/// Takes the levels out with a policy that cannot be read; whether there were any.
pub(super) fn lift_unread_levels(levels: &mut Levels) -> bool {
    let is_read = |level: &&Level| level.policies.iter().all(|policy| policy.policy().is_some());
    let read: Vec<Level> = levels.iter().flat_map(|levels| levels.iter()).filter(is_read).cloned().collect();
    let is_unread = levels.as_ref().is_some_and(|levels| levels.len() > read.len());
    if is_unread {
        *levels = (!read.is_empty()).then(|| read.into());
    }
    is_unread
}

/// What a workload has.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// Nothing, and why.
    Nothing(String),
    /// Nobody knows.
    Unknown(String),
    /// The policies of the role that it ends up with.
    Policies(Rc<Parts>),
}

/// One side of the comparison.
pub(super) struct Side<'a> {
    pub(super) index: AccessIndex,
    pub(super) estate: &'a Estate,
    pub(super) at: HashMap<&'a AssociationKey, &'a Association>,
    parts: RefCell<HashMap<(String, Option<Digest>), Held>>,
    levels: RefCell<BTreeMap<(AccountId, OrgPolicyKind), Result<Levels, Unseen>>>,
}

impl<'a> Side<'a> {
    pub(super) fn new(estate: &'a Estate) -> Self {
        Self {
            index: AccessIndex::new(estate),
            estate,
            at: estate.associations.iter().map(|it| (&it.key, it)).collect(),
            parts: RefCell::default(),
            levels: RefCell::default(),
        }
    }

    /// The organization's policies of a kind above an account. What nobody saw is taken to refuse nothing;
    /// whoever claims something by that says so.
    pub(super) fn levels(&self, account: AccountId, kind: OrgPolicyKind) -> Levels {
        self.seen_levels(account, kind).unwrap_or_default()
    }

    /// The organization's policies of a kind above an account.
    ///
    /// # Errors
    /// They were not seen.
    pub(super) fn seen_levels(&self, account: AccountId, kind: OrgPolicyKind) -> Result<Levels, Unseen> {
        let mut known = self.levels.borrow_mut();
        known.entry((account, kind)).or_insert_with(|| seen_levels(&self.index, account, kind)).clone()
    }

    /// The policies of a role's sessions.
    pub(super) fn role(&self, arn: &str, session: Option<&Digest>) -> Held {
        let key = (arn.to_owned(), session.copied());
        if let Some(known) = self.parts.borrow().get(&key) {
            return known.clone();
        }
        let held = match self.index.role_or_unseen(arn) {
            (Some(role), _) => Held::Policies(Rc::new(self.parts_of(role, session))),
            (None, Some(why)) => Held::Unknown(format!("role {arn} was not seen: {}", why.to_vec().join("; "))),
            (None, None) => Held::Nothing(format!("role {arn} does not exist")),
        };
        self.parts.borrow_mut().insert(key, held.clone());
        held
    }

    fn parts_of(&self, role: &Role, session: Option<&Digest>) -> Parts {
        let policies = own_policies(&self.index, role, session);
        let account = role.arn.account_id();
        let inline = role.inline.iter().map(|policy| Slot::Inline(policy.name.clone()));
        let attached = role.attached.iter().map(|policy| Slot::Attached(policy.arn.to_string()));
        // Service-linked roles are bound by no organization policy.
        let free = is_service_linked(role);
        let levels = |kind| if free { Ok(None) } else { self.seen_levels(account, kind) };
        let (scp, rcp) = (levels(OrgPolicyKind::Scp), levels(OrgPolicyKind::Rcp));
        let unseen = [(OrgPolicyKind::Scp, scp.is_err()), (OrgPolicyKind::Rcp, rcp.is_err())];
        Parts {
            who: Requester::role(&role.arn).with_unique_id(&role.role_id),
            role: role.arn.to_string(),
            session_digest: session.copied(),
            account,
            identity: inline.chain(attached).zip(policies.identity.unwrap_or_default()).collect(),
            boundary: policies.boundary,
            boundary_arn: role.boundary.clone(),
            session: policies.session,
            scp: scp.unwrap_or_default(),
            rcp: rcp.unwrap_or_default(),
            unseen: unseen.into_iter().filter(|(_, is_unseen)| *is_unseen).map(|(kind, _)| kind).collect(),
        }
    }

    pub(super) fn target(&self, key: &AssociationKey) -> Option<&str> {
        self.at.get(key)?.detail.as_ref()?.target_role_arn.as_deref()
    }

    /// What the pods of an association have.
    pub(super) fn workload(&self, key: &AssociationKey) -> Held {
        let Some(association) = self.at.get(key) else {
            return Held::Nothing("it has no association".to_owned());
        };
        let Some(detail) = &association.detail else {
            return Held::Unknown("its association was not described".to_owned());
        };
        let target = detail.target_role_arn.as_deref();
        let first = self.role(&detail.role_arn, detail.policy.as_ref().filter(|_| target.is_none()));
        let Held::Policies(parts) = &first else { return first };
        if self.admits_pods(association, detail, &parts.role).is_false() {
            return Held::Nothing(format!("the trust policy of {} does not let the pods in", parts.role));
        }
        let Some(target) = target else { return first };
        let last = self.role(target, detail.policy.as_ref());
        if matches!(last, Held::Policies(_)) && self.reaches(association, detail, parts, target).is_false() {
            return Held::Nothing(format!("{} may not assume the target role {target}", parts.role));
        }
        last
    }

    pub(super) fn trust(&self, arn: &str) -> Option<Trust> {
        let role = self.index.role_or_unseen(arn).0?;
        let document = self.estate.documents.get(role.trust.as_ref()?)?;
        let rcps = self.levels(role.arn.account_id(), OrgPolicyKind::Rcp).unwrap_or_else(|| Arc::from([]));
        Some(Trust::new("trust policy", document).under(rcps))
    }

    /// Whether EKS may assume a role for the pods of an association.
    fn admits_pods(&self, association: &Association, detail: &AssociationDetail, arn: &str) -> Truth {
        let Some(trust) = self.trust(arn) else { return Truth::True };
        let context = pods_request(&association.key, detail, &cluster_arn(association));
        let caller = Requester::service(PODS);
        let assume = trust.admits_in(&caller, ASSUME, &context).truth;
        if detail.disable_session_tags { assume } else { assume.and(trust.admits_in(&caller, TAG, &context).truth) }
    }

    /// Whether the association's role may assume the target role.
    fn reaches(&self, association: &Association, detail: &AssociationDetail, parts: &Parts, target: &str) -> Truth {
        let own = decide_open(parts, ASSUME, target);
        let Some(trust) = self.trust(target) else { return own };
        let context = hop_request(&parts.who, &association.key, detail, &cluster_arn(association));
        own.and(trust.admits_in(&parts.who, ASSUME, &context).truth)
    }
}

/// Whether a role's own side may let a request through.
pub(super) fn decide_open(parts: &Parts, action: &str, resource: &str) -> Truth {
    let request = Request::new(parts.who.clone(), action, resource, None, parts.who.context());
    match decide(&request, &parts.policies()).outcome {
        Outcome::Allow => Truth::True,
        Outcome::DenyExplicit => Truth::False,
        // What another account's trust policy must allow is asked of that.
        Outcome::DenyImplicit => own_side(parts, action, resource),
        Outcome::Unknown => Truth::True,
    }
}

fn own_side(parts: &Parts, action: &str, resource: &str) -> Truth {
    let all = Document::new(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#,
    );
    let request = Request::new(parts.who.clone(), action, resource, None, parts.who.context());
    let policies = PolicySet { trust: Some(PolicyRef::known("trust policy", &all)), ..parts.policies() };
    match decide(&request, &policies).outcome {
        Outcome::DenyExplicit | Outcome::DenyImplicit => Truth::False,
        _ => Truth::True,
    }
}

fn cluster_arn(association: &Association) -> String {
    let AssociationKey { account_id, region, cluster, .. } = &association.key;
    let partition = ArnText(&association.arn).partition().unwrap_or("aws");
    format!("arn:{partition}:eks:{region}:{account_id}:cluster/{cluster}")
}

impl Parts {
    /// Which organization policies above the role's account were not seen, in words.
    pub(super) fn first_unseen(&self) -> Option<String> {
        (!self.unseen.is_empty()).then(|| not_seen(self.account, &self.unseen))
    }

    /// The texts of its policies, in canonical form.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let lists = self.boundary.iter().chain(&self.session).flatten();
        let levels = self.scp.iter().chain(&self.rcp).flat_map(|levels| levels.iter());
        let above = levels.flat_map(|level| &level.policies);
        self.identity
            .values()
            .chain(lists)
            .chain(above)
            .filter_map(|policy| policy.policy())
            .map(rolecall_iam::Policy::canonical)
    }
}
