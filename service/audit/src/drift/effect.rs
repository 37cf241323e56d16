//! What a difference comes to for the workloads that it reaches.
//!
//! Knows how to put together what a workload may do before and after (the policies of the role that its
//! pods end up with, boundary, session policy, SCPs and RCPs, and whether the trust policies on the way
//! let them get there), and how to tell one difference from others of the same scan: it is put alone into
//! the stack before, and where that changes nothing, taken alone out of the stack after. Refuses to
//! compare policies itself: `iam::compare` does.

use super::difference::{self as kind, About, ClusterKey, Difference};
use super::{Access, Affected, Effect, Scans, State, TakesHold};
use crate::access::index::AccessIndex;
use crate::access::pods_request::{hop_request, pods_request};
use crate::access::stack::own_policies;
use rolecall_estate::{
    AccessEntry, Association, AssociationDetail, AssociationKey, Estate, OrgPolicyKind, Role, Snapshot,
};
use rolecall_iam::compare::{Asker, Comparison, compare};
use rolecall_iam::trust::Trust;
use rolecall_iam::{
    AccountId, Arn, Digest, Document, Grants, Level, Outcome, PolicyRef, PolicySet, Request, Requester, Truth, decide,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

const PODS: &str = "pods.eks.amazonaws.com";
const ASSUME: &str = "sts:AssumeRole";
const TAG: &str = "sts:TagSession";
const AGENT: &str = "eks-pod-identity-agent";
/// The session tags that EKS sends.
const SESSION_TAGS: [&str; 6] = [
    "eks-cluster-arn",
    "eks-cluster-name",
    "kubernetes-namespace",
    "kubernetes-service-account",
    "kubernetes-pod-name",
    "kubernetes-pod-uid",
];

/// What a difference comes to.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) effect: Effect,
    pub(super) gained: Option<Access>,
    pub(super) lost: Option<Access>,
    pub(super) because: String,
    pub(super) affected: Vec<Affected>,
    pub(super) takes_hold: TakesHold,
    pub(super) administrator: Option<bool>,
}

impl Default for Label {
    fn default() -> Self {
        Self::none("it changes nothing that is allowed")
    }
}

impl Label {
    fn plain(effect: Effect, because: &str) -> Self {
        Self {
            effect,
            gained: None,
            lost: None,
            because: because.to_owned(),
            affected: Vec::new(),
            takes_hold: TakesHold::AtOnce,
            administrator: None,
        }
    }

    fn none(because: &str) -> Self {
        Self::plain(Effect::None, because)
    }

    fn new(told: &AccessChange) -> Self {
        let AccessChange { effect, gained, lost, because } = told.clone();
        Self { effect, gained, lost, ..Self::none(&because) }
    }

    fn add(&mut self, workload: &AssociationKey, told: &AccessChange) {
        let first = self.affected.is_empty();
        if first {
            self.because.clone_from(&told.because);
            self.effect = told.effect;
        } else {
            // The sentence is of the workload that it matters to.
            if self.effect == Effect::None && told.effect != Effect::None {
                self.because.clone_from(&told.because);
            }
            self.effect = self.effect.and(told.effect);
        }
        self.gained = self.gained.take().or_else(|| told.gained.clone());
        self.lost = self.lost.take().or_else(|| told.lost.clone());
        self.affected.push(Affected {
            workload: workload.clone(),
            effect: told.effect,
            gained: told.gained.clone(),
            lost: told.lost.clone(),
        });
    }

    fn also(&mut self, told: &AccessChange) {
        if told.effect == Effect::None {
            return;
        }
        if self.effect == Effect::None {
            self.because.clone_from(&told.because);
        }
        self.effect = self.effect.and(told.effect);
        self.gained = self.gained.take().or_else(|| told.gained.clone());
        self.lost = self.lost.take().or_else(|| told.lost.clone());
    }
}

/// What a comparison says.
#[derive(Debug, Clone)]
struct AccessChange {
    effect: Effect,
    gained: Option<Access>,
    lost: Option<Access>,
    because: String,
}

impl AccessChange {
    fn none(because: &str) -> Self {
        Self { effect: Effect::None, gained: None, lost: None, because: because.to_owned() }
    }

    fn unknown(because: String) -> Self {
        Self { effect: Effect::Unknown, gained: None, lost: None, because }
    }

    /// The same, of requests on one resource: a trust policy names none.
    fn on(self, resource: &str) -> Self {
        let on = |access: Option<Access>| access.map(|access| access.on(resource));
        Self { gained: on(self.gained), lost: on(self.lost), ..self }
    }
}

impl From<Comparison> for AccessChange {
    fn from(found: Comparison) -> Self {
        Self {
            effect: Effect::from(found.relation),
            gained: found.gained.map(Access::new),
            lost: found.lost.map(Access::new),
            because: found.because,
        }
    }
}

/// The organization's policies of a kind above an account, from the root down; `None` where none bind it.
type Levels = Option<Arc<[Level]>>;

/// A part of what decides for a role's sessions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Slot {
    Inline(String),
    Attached(String),
    Boundary,
    Session,
}

/// The policies of a role's sessions, by the parts that change apart from each other.
#[derive(Debug, Clone)]
struct Parts {
    who: Requester,
    role: String,
    session_digest: Option<Digest>,
    account: AccountId,
    identity: BTreeMap<Slot, PolicyRef>,
    boundary: Option<Vec<PolicyRef>>,
    session: Option<Vec<PolicyRef>>,
    scp: Option<Arc<[Level]>>,
    rcp: Option<Arc<[Level]>>,
}

impl Parts {
    fn layers(&self) -> PolicySet {
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
    fn with(&self, other: &Self, slots: &[Slot]) -> Self {
        let mut out = self.clone();
        for slot in slots {
            match slot {
                Slot::Boundary => out.boundary.clone_from(&other.boundary),
                Slot::Session => out.session.clone_from(&other.session),
                slot => {
                    match other.identity.get(slot) {
                        Some(layer) => out.identity.insert(slot.clone(), layer.clone()),
                        None => out.identity.remove(slot),
                    };
                }
            }
        }
        out
    }
}

/// What a workload has.
#[derive(Debug, Clone)]
enum Held {
    /// Nothing, and why.
    Nothing(String),
    /// Nobody knows.
    Unknown(String),
    /// The policies of the role that it ends up with.
    Policies(Rc<Parts>),
}

/// One side of the comparison.
struct Side<'a> {
    index: AccessIndex,
    estate: &'a Estate,
    at: HashMap<&'a AssociationKey, &'a Association>,
    parts: RefCell<HashMap<(String, Option<Digest>), Held>>,
    levels: RefCell<BTreeMap<(AccountId, OrgPolicyKind), Levels>>,
    /// Accounts above which organization policies of a kind were not seen.
    unseen: RefCell<BTreeSet<(AccountId, OrgPolicyKind)>>,
}

impl<'a> Side<'a> {
    fn new(estate: &'a Estate) -> Self {
        Self {
            index: AccessIndex::new(estate),
            estate,
            at: estate.associations.iter().map(|it| (&it.key, it)).collect(),
            parts: RefCell::default(),
            levels: RefCell::default(),
            unseen: RefCell::default(),
        }
    }

    fn levels(&self, account: AccountId, kind: OrgPolicyKind) -> Option<Arc<[Level]>> {
        if let Some(known) = self.levels.borrow().get(&(account, kind)) {
            return known.clone();
        }
        let levels: Levels = self.index.levels_or_missing(account, kind).map(Arc::from);
        // What nobody saw is taken to refuse nothing: it is the same before and after.
        let levels = levels.filter(|levels| {
            let unseen = levels.iter().flat_map(|level| &level.policies).all(|policy| policy.policy().is_none());
            if unseen {
                self.unseen.borrow_mut().insert((account, kind));
            }
            !unseen
        });
        self.levels.borrow_mut().insert((account, kind), levels.clone());
        levels
    }

    /// The policies of a role's sessions.
    fn role(&self, arn: &str, session: Option<&Digest>) -> Held {
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
        let layers = own_policies(&self.index, role, session);
        let account = role.arn.account_id();
        let inline = role.inline.iter().map(|policy| Slot::Inline(policy.name.clone()));
        let attached = role.attached.iter().map(|policy| Slot::Attached(policy.arn.to_string()));
        // Service-linked roles are bound by no organization policy.
        let free = role.arn.path().starts_with("/aws-service-role/");
        Parts {
            who: Requester::role(&role.arn).with_unique_id(&role.role_id),
            role: role.arn.to_string(),
            session_digest: session.copied(),
            account,
            identity: inline.chain(attached).zip(layers.identity.unwrap_or_default()).collect(),
            boundary: layers.boundary,
            session: layers.session,
            scp: (!free).then(|| self.levels(account, OrgPolicyKind::Scp)).flatten(),
            rcp: (!free).then(|| self.levels(account, OrgPolicyKind::Rcp)).flatten(),
        }
    }

    fn target(&self, key: &AssociationKey) -> Option<&str> {
        self.at.get(key)?.detail.as_ref()?.target_role_arn.as_deref()
    }

    /// What the pods of an association have.
    fn workload(&self, key: &AssociationKey) -> Held {
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

    fn trust(&self, arn: &str) -> Option<Trust> {
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
fn decide_open(parts: &Parts, action: &str, resource: &str) -> Truth {
    let request = Request::new(parts.who.clone(), action, resource, None, parts.who.context());
    match decide(&request, &parts.layers()).outcome {
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
    let layers = PolicySet { trust: Some(PolicyRef::known("trust policy", &all)), ..parts.layers() };
    match decide(&request, &layers).outcome {
        Outcome::DenyExplicit | Outcome::DenyImplicit => Truth::False,
        _ => Truth::True,
    }
}

fn cluster_arn(association: &Association) -> String {
    let AssociationKey { account_id, region, cluster, .. } = &association.key;
    let partition = association.arn.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:eks:{region}:{account_id}:cluster/{cluster}")
}

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
pub(super) fn label(scans: &Scans<'_>, differences: &[Difference]) -> BTreeMap<usize, Label> {
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
        About::Cluster(_) => cluster(difference),
        About::OidcProvider(arn) => both.provider(arn, difference),
        About::OrgPolicy | About::OrgUnit { .. } | About::Account(_) => {
            both.organization(scans, difference, organization == 1)
        }
        About::Trail => Label::none("a trail records what is done, and allows nothing"),
    };
    let mut labels: BTreeMap<usize, Label> = differences.iter().map(label).enumerate().collect();
    for (index, difference) in differences.iter().enumerate() {
        if let Some(label) = labels.get_mut(&index) {
            label.administrator = both.administrator(difference, label);
            let told = match label.administrator {
                Some(true) => label.gained.as_mut(),
                Some(false) => label.lost.as_mut(),
                None => None,
            };
            if let Some(access) = told {
                access.words = format!("administrator access, such as {}", access.words);
            }
            both.reserve(label);
        }
    }
    labels
}

fn asker(who: &Requester) -> Asker {
    Asker { principal: Some(who.clone()), resource_account: None }
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
            (Held::Nothing(_), Held::Policies(is)) => compare(&asker(&is.who), &nothing(), &is.layers()).into(),
            (Held::Policies(was), Held::Nothing(why)) => {
                let told: AccessChange = compare(&asker(&was.who), &was.layers(), &nothing()).into();
                AccessChange { because: format!("{why}; {}", told.because), ..told }
            }
            (Held::Policies(was), Held::Policies(is)) => {
                let key = format!("{}|{:?}|{}|{:?}", was.role, was.session_digest, is.role, is.session_digest);
                self.memo(key, || compare(&asker(&is.who), &was.layers(), &is.layers()).into())
            }
        }
    }

    fn memo(&self, key: String, work: impl FnOnce() -> AccessChange) -> AccessChange {
        if let Some(known) = self.compared.borrow().get(&key) {
            return known.clone();
        }
        let told = work();
        self.compared.borrow_mut().insert(key, told.clone());
        told
    }

    /// What some parts of the stack come to, whatever else changed.
    fn slots(&self, was: &Parts, is: &Parts, slots: &[Slot]) -> AccessChange {
        let key = format!("{}|{:?}|{}|{:?}|{slots:?}", was.role, was.session_digest, is.role, is.session_digest);
        self.memo(key, || {
            let told: AccessChange = compare(&asker(&is.who), &was.layers(), &was.with(is, slots).layers()).into();
            if told.effect != Effect::None {
                return told;
            }
            // What others of the same scan opened or closed may be what makes the difference.
            compare(&asker(&is.who), &is.with(was, slots).layers(), &is.layers()).into()
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

    /// What parts of a role's policies come to for each of its workloads, or for whoever has the role.
    fn parts_of_role(&self, arn: &str, slots: &[Slot], label: &mut Label) {
        let mut any = false;
        for key in self.users_of(arn).filter(|key| !self.is_led_elsewhere(key)) {
            any = true;
            let (was, is) = (self.before.workload(key), self.after.workload(key));
            let told = match (&was, &is) {
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
            label.add(key, &told);
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

    fn role(&self, arn: &str, difference: &Difference) -> Label {
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
        let layer = |side: &Side<'_>, state: &Option<State>| match state {
            Some(State::Document(digest)) => {
                side.estate.documents.get(digest).map(|it| PolicyRef::known("trust policy", it))
            }
            _ => None,
        };
        let (old, new) = (layer(&self.before, &difference.before), layer(&self.after, &difference.after));
        let is_read = |trust: &Option<PolicyRef>| trust.as_ref().is_some_and(|trust| trust.policy().is_some());
        let both_read = is_read(&old) && is_read(&new);
        for key in self.users_of(arn).filter(|key| !self.is_led_elsewhere(key)) {
            let (was, is) = (self.before.workload(key), self.after.workload(key));
            let told = match (&was, &is) {
                _ if !both_read => {
                    AccessChange::unknown("the trust policy could not be read before or after".to_owned())
                }
                (Held::Policies(was), Held::Policies(is)) if was.role == is.role => {
                    AccessChange::none("the trust policy lets the pods in before and after")
                }
                _ => self.held(&was, &is),
            };
            label.add(key, &told);
        }
        label.takes_hold = self.next_credentials(label);
        self.hops(arn, label);
        let layers = |trust: Option<PolicyRef>| {
            let none = || PolicyRef::missing("trust policy", "the role's listing does not have it");
            PolicySet { trust: Some(trust.unwrap_or_else(none)), ..PolicySet::default() }
        };
        let told: AccessChange = compare(&Asker::default(), &layers(old), &layers(new)).into();
        label.also(&told.on(arn));
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
            let access = || Some(Access::said(format!("{ASSUME} on {arn}"), ASSUME, arn));
            let told = match opened {
                None => continue,
                Some(true) => AccessChange {
                    effect: Effect::Widened,
                    gained: access(),
                    lost: None,
                    because: format!("{} may assume {arn} now", parts.role),
                },
                Some(false) => AccessChange {
                    effect: Effect::Narrowed,
                    gained: None,
                    lost: access(),
                    because: format!("{} may no longer assume {arn}", parts.role),
                },
            };
            label.add(key, &told);
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
        let told = match self.after.role(arn, None) {
            Held::Policies(parts) if asked(&parts) => {
                AccessChange::unknown("a policy asks for a tag that changed, as aws:PrincipalTag".to_owned())
            }
            _ => AccessChange::none("no policy of the role asks for a tag that changed"),
        };
        for key in self.users_of(arn) {
            label.add(key, &told);
        }
        label.also(&told);
        label.because = told.because;
    }

    fn policy(&self, arn: &Arn, difference: &Difference) -> Label {
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
                let Label { effect, gained, lost, because, .. } = own;
                if label.affected.is_empty() && label.effect == Effect::None {
                    label.because.clone_from(&because);
                }
                label.also(&AccessChange { effect, gained, lost, because });
                continue;
            }
            for it in own.affected.into_iter().filter(|it| seen.insert(it.workload.clone())) {
                let told =
                    AccessChange { effect: it.effect, gained: it.gained, lost: it.lost, because: own.because.clone() };
                let before = label.effect;
                label.add(&it.workload, &told);
                label.effect = before.and(told.effect);
            }
        }
        label
    }

    fn association(&self, key: &AssociationKey, difference: &Difference) -> Label {
        let (was, is) = (self.before.workload(key), self.after.workload(key));
        let mut label = Label::default();
        let told = match difference.change {
            kind::SESSION_POLICY_SET | kind::SESSION_POLICY_CHANGED | kind::SESSION_POLICY_REMOVED => {
                match (&was, &is) {
                    (Held::Policies(was), Held::Policies(is)) if was.role == is.role => {
                        self.slots(was, is, &[Slot::Session])
                    }
                    _ => self.held(&was, &is),
                }
            }
            kind::SESSION_TAGS_OFF | kind::SESSION_TAGS_ON => self.session_tags(key, difference, &was, &is),
            // EKS makes it with the target role, which is a change of its own.
            kind::EXTERNAL_ID if self.before.target(key) != self.after.target(key) => {
                AccessChange::none("it comes and goes with the target role")
            }
            kind::EXTERNAL_ID => match (&was, &is) {
                (Held::Policies(was), Held::Policies(is)) if was.role == is.role => AccessChange::none(
                    "no trust policy on the way lets the pods in by the old or the new external id alone",
                ),
                _ => self.held(&was, &is),
            },
            kind::FIELD => AccessChange::unknown("this version does not know what the field means".to_owned()),
            kind::OWNER | kind::TAGS => AccessChange::none("it changes nothing that the pods may do"),
            _ => self.held(&was, &is),
        };
        label.add(key, &told);
        let acts = ![kind::ADDED, kind::OWNER, kind::TAGS].contains(&difference.change);
        if acts {
            label.takes_hold = self.next_credentials(&label);
        }
        label
    }

    /// Session tags count where a policy asks for one of them.
    fn session_tags(&self, key: &AssociationKey, difference: &Difference, was: &Held, is: &Held) -> AccessChange {
        // Without its tags a session may not get through a trust policy at all.
        let (Held::Policies(old), Held::Policies(new)) = (was, is) else { return self.held(was, is) };
        let mut asks = Asks::default();
        for text in old.texts().chain(new.texts()) {
            asks.read(&text);
        }
        let off = difference.change == kind::SESSION_TAGS_OFF;
        let words = format!("what policies allow to sessions with the tags of {key}");
        let access = Some(Access { principal: None, ..Access::said(words, "*", "*") });
        match asks {
            Asks { allow: false, other: false, .. } => {
                AccessChange::none("no policy on the way asks for a session tag")
            }
            Asks { allow: true, other: false, .. } if off => AccessChange {
                effect: Effect::Narrowed,
                gained: None,
                lost: access,
                because: "statements that allow ask for a session tag, which is not sent any more".to_owned(),
            },
            Asks { allow: true, other: false, .. } => AccessChange {
                effect: Effect::Widened,
                gained: access,
                lost: None,
                because: "statements that allow ask for a session tag, which is sent now".to_owned(),
            },
            _ => AccessChange::unknown(
                "a policy asks for a session tag in a way that may both allow and refuse".to_owned(),
            ),
        }
    }

    fn addon(&self, cluster: &ClusterKey, name: &str, difference: &Difference) -> Label {
        let mut label = Label::none("the add-on gives pods no credentials");
        if name != AGENT || difference.change == kind::CHANGED {
            return label;
        }
        let (account, region, of) = cluster;
        let built_in =
            self.after.estate.clusters.iter().any(|it| {
                (it.account_id, &it.region, &it.name) == (*account, region, of) && it.auto_mode == Some(true)
            });
        if built_in {
            return Label::none("the agent is built into EKS Auto Mode");
        }
        let added = difference.change == kind::ADDED;
        let here = |key: &&AssociationKey| (key.account_id, &key.region, &key.cluster) == (*account, region, of);
        for key in self.workloads.iter().filter(here) {
            let side = if added { &self.after } else { &self.before };
            let Held::Policies(parts) = side.workload(key) else { continue };
            let words = format!("credentials of {}", parts.role);
            let access = Some(Access::said(words, "eks-auth:AssumeRoleForPodIdentity", &difference.resource.name));
            let told = if added {
                AccessChange {
                    effect: Effect::Widened,
                    gained: access,
                    lost: None,
                    because: "pods get credentials by the Pod Identity agent, unless it was there without the add-on"
                        .to_owned(),
                }
            } else {
                AccessChange {
                    effect: Effect::Narrowed,
                    gained: None,
                    lost: access,
                    because: "without the Pod Identity agent pods get no credentials, unless it is there without the \
                              add-on"
                        .to_owned(),
                }
            };
            label.add(key, &told);
        }
        if !added {
            label.takes_hold = self.next_credentials(&label);
        }
        label
    }

    fn access_entry(&self, principal: &str, difference: &Difference) -> Label {
        let grants = |state: &Option<State>| -> BTreeSet<String> {
            let Some(State::Text(text)) = state else { return BTreeSet::new() };
            let Ok(entry) = serde_json::from_str::<AccessEntry>(text) else { return BTreeSet::new() };
            let policies = entry.policies.iter().flat_map(|policy| {
                let everywhere = policy.namespaces.is_empty().then(|| format!("{} in every namespace", policy.arn));
                let some = policy.namespaces.iter().map(|namespace| format!("{} in {namespace}", policy.arn));
                everywhere.into_iter().chain(some).collect::<Vec<_>>()
            });
            let groups = entry.groups.iter().map(|group| format!("Kubernetes group {group}"));
            let entered = std::iter::once("entry to the cluster".to_owned());
            policies.chain(groups).chain(entered).collect()
        };
        let (was, is) = (grants(&difference.before), grants(&difference.after));
        let access = |more: BTreeSet<&String>| {
            let words: Vec<&str> = more.iter().map(|it| it.as_str()).collect();
            (!words.is_empty()).then(|| {
                let said = format!("{principal}: {}", words.join(", "));
                let access = Access::said(said, "eks:AccessKubernetesApi", &difference.resource.name);
                Access { principal: Some(principal.to_owned()), ..access }
            })
        };
        let (gained, lost) = (access(is.difference(&was).collect()), access(was.difference(&is).collect()));
        let effect = match (&gained, &lost) {
            (Some(_), Some(_)) => Effect::Mixed,
            (Some(_), None) => Effect::Widened,
            (None, Some(_)) => Effect::Narrowed,
            (None, None) => Effect::None,
        };
        let because = "an access entry says what its principal may do in the cluster".to_owned();
        let told = AccessChange { effect, gained, lost, because };
        let mut label = Label::new(&told);
        for key in self.users_of(principal) {
            let holds =
                |side: &Side<'_>| matches!(side.workload(key), Held::Policies(parts) if parts.role == principal);
            if holds(&self.before) || holds(&self.after) {
                label.add(key, &told);
            }
        }
        label
    }

    fn provider(&self, arn: &str, difference: &Difference) -> Label {
        let names = |side: &Side<'_>| {
            let trusts = side.estate.roles.iter().filter_map(|role| role.trust.as_ref());
            trusts.filter_map(|digest| side.estate.documents.get(digest)).any(|document| document.text.contains(arn))
        };
        let access =
            || Some(Access::said(format!("AssumeRoleWithWebIdentity by {arn}"), "sts:AssumeRoleWithWebIdentity", arn));
        let trusted = names(&self.before) || names(&self.after);
        match (trusted, difference.change) {
            (false, _) => Label::none("no role trusts the provider"),
            (true, kind::ADDED) => Label {
                gained: access(),
                ..Label::plain(Effect::Widened, "roles trust the provider, whose tokens AWS STS accepts now")
            },
            (true, _) => Label {
                lost: access(),
                ..Label::plain(Effect::Narrowed, "roles trust the provider, whose tokens AWS STS refuses now")
            },
        }
    }

    /// What the organization's policies come to for the workloads of the accounts below.
    fn organization(&self, scans: &Scans<'_>, difference: &Difference, alone: bool) -> Label {
        if difference.change == kind::STATUS {
            return Label::plain(Effect::Unknown, "what a status of an account does to its pods is not known");
        }
        let mut label = Label::none("the organization's policies above every workload say the same");
        let hybrid = (!alone).then(|| AccessIndex::new(&with_organization(scans, difference)));
        let is = |account, kind| match &hybrid {
            Some(index) => index.levels_or_missing(account, kind).map(Arc::from),
            None => self.after.levels(account, kind),
        };
        let mut levels: BTreeMap<AccountId, Option<[Levels; 2]>> = BTreeMap::new();
        let kinds = [OrgPolicyKind::Scp, OrgPolicyKind::Rcp];
        let mut changed = |account: AccountId| {
            levels
                .entry(account)
                .or_insert_with(|| {
                    let new = kinds.map(|kind| is(account, kind));
                    let old = kinds.map(|kind| self.before.levels(account, kind));
                    let same = old.iter().zip(&new).all(|(a, b)| same_levels(a.as_deref(), b.as_deref()));
                    (!same).then_some(new)
                })
                .clone()
        };
        for key in &self.workloads {
            let Held::Policies(parts) = self.before.workload(key) else { continue };
            let Some([scp, rcp]) = changed(parts.account) else { continue };
            let memo =
                format!("{}|{:?}|{}|{:?}", parts.role, parts.session_digest, difference.resource.name, difference.part);
            let told = self.memo(format!("{memo}|{}", difference.change), || {
                let with = Parts { scp, rcp, ..(*parts).clone() };
                compare(&asker(&parts.who), &parts.layers(), &with.layers()).into()
            });
            label.add(key, &told);
        }
        if label.affected.is_empty() {
            // Nobody's pods: what it comes to for somebody who may do everything else.
            let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
            let all = PolicyRef::known("a policy that allows everything", &Document::new(all));
            let accounts: Vec<AccountId> = self.after.estate.accounts.iter().map(|account| account.id).collect();
            for account in accounts {
                let Some([scp, rcp]) = changed(account) else { continue };
                let own = |scp, rcp| PolicySet { identity: Some(vec![all.clone()]), scp, rcp, ..PolicySet::default() };
                let [old_scp, old_rcp] = kinds.map(|kind| self.before.levels(account, kind));
                let who = Requester::parse(&format!("arn:aws:sts::{account}:assumed-role/example/session"));
                let asker = Asker { principal: who, resource_account: None };
                let told: AccessChange = compare(&asker, &own(old_scp, old_rcp), &own(scp, rcp)).into();
                label.also(&told);
                break;
            }
        }
        label
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

    /// Says with a gain or loss what may refuse it and was not seen. What is the same for every request is
    /// the same below any organization policy.
    fn reserve(&self, label: &mut Label) {
        let (side, may) = match (&label.gained, &label.lost) {
            (Some(_), _) => (&self.after, "may refuse it"),
            (None, Some(_)) => (&self.before, "may have refused it before"),
            (None, None) => return,
        };
        let ends = label.affected.iter().filter_map(|it| match side.workload(&it.workload) {
            Held::Policies(parts) => Some(parts.account),
            _ => None,
        });
        let accounts: BTreeSet<AccountId> = ends.collect();
        let unseen = side.unseen.borrow();
        let first = unseen.iter().find(|(account, kind)| *kind == OrgPolicyKind::Scp && accounts.contains(account));
        if let Some((account, _)) = first {
            label.because = format!("{}; the SCPs above account {account} were not seen, and {may}", label.because);
        }
    }

    /// Whether a change makes administrators, or takes that away.
    fn administrator(&self, difference: &Difference, label: &Label) -> Option<bool> {
        if matches!(label.effect, Effect::None) {
            return None;
        }
        let admin = |held: Held| match held {
            Held::Policies(parts) => {
                let policies = PolicySet { rcp: None, ..parts.layers() };
                Some(Grants::new(&policies).admin().answer.truth.is_true())
            }
            Held::Nothing(_) => Some(false),
            Held::Unknown(_) => None,
        };
        let (had, has) = match (&difference.about, label.affected.first()) {
            (About::Role(_) | About::Policy(_) | About::Association(_), Some(first)) => {
                let changed = label.affected.iter().find(|it| it.effect != Effect::None).unwrap_or(first);
                (admin(self.before.workload(&changed.workload))?, admin(self.after.workload(&changed.workload))?)
            }
            (About::Role(arn), None) => (admin(self.before.role(arn, None))?, admin(self.after.role(arn, None))?),
            _ => return None,
        };
        (had != has).then_some(has)
    }
}

impl Parts {
    /// The texts of its policies, in canonical form.
    fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let lists = self.boundary.iter().chain(&self.session).flatten();
        let levels = self.scp.iter().chain(&self.rcp).flat_map(|levels| levels.iter());
        let above = levels.flat_map(|level| &level.policies);
        self.identity
            .values()
            .chain(lists)
            .chain(above)
            .filter_map(|layer| layer.policy())
            .map(rolecall_iam::Policy::canonical)
    }
}

/// How policies ask for session tags.
#[derive(Debug, Clone, Copy, Default)]
struct Asks {
    /// A statement that allows does, and only by operators that an absent key does not satisfy.
    allow: bool,
    /// Some other statement or operator does.
    other: bool,
}

impl Asks {
    fn read(&mut self, text: &str) {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
        let statements = match value.get("Statement") {
            Some(serde_json::Value::Array(list)) => list.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        for statement in statements {
            let asks = |text: &str| {
                let text = text.to_lowercase();
                SESSION_TAGS.iter().any(|tag| text.contains(&format!("aws:principaltag/{tag}")))
            };
            if !asks(&statement.to_string()) {
                continue;
            }
            let empty = serde_json::Map::new();
            let conditions = statement.get("Condition").and_then(|it| it.as_object()).unwrap_or(&empty);
            let plain = conditions.iter().filter(|(_, keys)| asks(&keys.to_string())).all(|(operator, _)| {
                let operator = operator.to_lowercase();
                !operator.contains("not")
                    && !operator.contains("ifexists")
                    && !operator.contains("null")
                    && !operator.contains("forallvalues")
            });
            let allows = statement.get("Effect").and_then(|it| it.as_str()) == Some("Allow");
            let denied = ["NotResource", "NotAction"].iter().any(|it| statement.get(*it).is_some());
            if allows && plain && !denied { self.allow = true } else { self.other = true }
        }
    }
}

fn cluster(difference: &Difference) -> Label {
    match (difference.change, difference.part.as_deref()) {
        (kind::FIELD, Some("authentication_mode")) => Label::plain(
            Effect::Unknown,
            "who may enter the cluster depends on its aws-auth ConfigMap, which is not read",
        ),
        (kind::FIELD, _) | (kind::TAGS, _) => Label::none("it changes nothing that pods may do in AWS"),
        _ => Label::none("what its pods may do follows from its associations, which are changes of their own"),
    }
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
