//! Whether a request is allowed, by every layer of policies together.
//!
//! Knows the order in which AWS reads the layers, whom each of them binds, and what a resource
//! policy grants past the others. The rules are those of the IAM user guide's pages on evaluation
//! within one account, across accounts, and on principals. Refuses to guess: what depends on
//! something that was not seen is unknown, with the reasons, unless it comes to the same anyway.
//!
//! Taken from the guide where it is less known: a resource policy that names a session, a user or
//! everyone is not held back by the implicit denies of boundary and session policy, one that names
//! a role is; one that names an account hands the question to the account's own policies; a role's
//! trust policy and a KMS key's policy must allow themselves; a Deny with `NotPrincipal` hits every
//! user and role under a boundary, whomever it names, and exempts those that it names only with their
//! account; `sts:GetCallerIdentity` is never refused to a principal; an account's root may do
//! everything in its account but assume roles; what AWS keeps for itself (service-linked and reserved
//! roles, policies and aliases of its own) nobody changes.

use crate::completion;
use crate::condition::all_hold;
use crate::document::{Clause, Effect, Policy, Principal, Statement, Version};
use crate::index::{Asks, Candidate};
use crate::layer::{Layer, LayerKind, Layers, Level};
use crate::pattern::ResourcePattern;
use crate::request::{Kind, Request, Requester};
use crate::truth::{Site, Truth, Why};
use std::sync::Arc;

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is allowed.
    Allow,
    /// A Deny certainly refuses it.
    DenyExplicit,
    /// It is certainly refused, and no Deny is certain: something that must allow it does not.
    DenyImplicit,
    /// Something that was not seen or not understood, or a key that is left open, decides.
    Unknown,
}

impl Outcome {
    /// `Allow`, `Deny(explicit)`, `Deny(implicit)` or `Unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::DenyExplicit => "Deny(explicit)",
            Self::DenyImplicit => "Deny(implicit)",
            Self::Unknown => "Unknown",
        }
    }
}

/// A statement that decided.
#[derive(Debug, Clone, Copy)]
pub struct Decider<'a> {
    /// The layer that it stands in.
    pub kind: LayerKind,
    /// The policy that holds it.
    pub layer: &'a Layer,
    /// The statement.
    pub statement: &'a Arc<Statement>,
}

/// What a request comes to, and why.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// The answer.
    pub outcome: Outcome,
    /// Why it is unknown: sorted, without repetitions; empty otherwise.
    pub reasons: Vec<Why>,
    /// The Deny that refuses it, or an Allow that grants it. [`mod@crate::explain`] tells all of them.
    pub by: Option<Decider<'a>>,
}

/// Decides a request by all layers.
#[must_use]
pub fn decide<'a>(request: &Request, layers: &'a Layers) -> Decision<'a> {
    let decision = Evaluation::new(request, View::of(request, layers)).decide();
    if decision.outcome != Outcome::Unknown {
        return decision;
    }
    completion::settle(request, layers, &decision.reasons).unwrap_or(decision)
}

/// How a policy's Allow counts for the requester, by how its principals name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grip {
    /// They do not.
    None,
    /// They name its account: the account's own policies must allow too.
    Account,
    /// They name its role: boundary and session policy still limit.
    Role,
    /// They name the session, the user, the service, or everyone.
    Direct,
}

/// Whether an element of `Principal` names the requester, and how.
fn names(principal: &Principal, request: &Request) -> Result<Grip, Why> {
    let when = |named: bool, grip: Grip| Ok(if named { grip } else { Grip::None });
    match (principal, request.principal()) {
        (Principal::Everyone, _) => Ok(Grip::Direct),
        (Principal::Other { kind, .. }, _) => {
            Err(Why::NotUnderstood(format!("the principal type `{kind}` is not understood")))
        }
        (Principal::Service(name), Requester::Service(own)) => when(name.eq_ignore_ascii_case(own), Grip::Direct),
        (Principal::Federated(name), Requester::Federated(own)) => when(name == own, Grip::Direct),
        (Principal::CanonicalUser(id), Requester::Principal { .. }) => {
            let id = id.get(..12).unwrap_or(id);
            Err(Why::NotSeen(format!("whether the canonical user `{id}` is the requester's account was not seen")))
        }
        (Principal::Aws(text), Requester::Principal { arn, unique_id }) => {
            let kind = request.kind();
            let own = match kind {
                Kind::Root => Grip::Account,
                Kind::Role => Grip::Role,
                _ => Grip::Direct,
            };
            if text == arn.as_str() {
                return Ok(own);
            }
            if let Some(id) = unique_id
                && id.split(':').next() == Some(text)
            {
                return Ok(if kind == Kind::Session { Grip::Role } else { own });
            }
            if text.len() == 12 {
                return when(text == arn.account(), Grip::Account);
            }
            let mut segments = text.splitn(6, ':').skip(2);
            let (Some(service), Some(_), Some(account), Some(name)) =
                (segments.next(), segments.next(), segments.next(), segments.next())
            else {
                return Ok(Grip::None);
            };
            // Account ids are unique over all partitions.
            if account != arn.account() {
                return Ok(Grip::None);
            }
            if service == "iam" && name == "root" {
                return Ok(Grip::Account);
            }
            match (kind, service) {
                // A session is named by its role too. Its own ARN lacks the role's path, and role
                // names are unique in an account whatever their path.
                (Kind::Session, "iam") => {
                    let role = name.strip_prefix("role/").and_then(|path| path.rsplit('/').next());
                    when(role.is_some() && role == request.principal().role_name(), Grip::Role)
                }
                // Its own ARN does not name the user who federated; the guide's have the same name.
                (Kind::FederatedUser, "iam") => {
                    let user = name.strip_prefix("user/").and_then(|path| path.rsplit('/').next());
                    when(user.is_some() && user == arn.resource().strip_prefix("federated-user/"), Grip::Role)
                }
                _ => Ok(Grip::None),
            }
        }
        _ => Ok(Grip::None),
    }
}

/// The levels of an organisation, however they are held.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Levels<'a> {
    Named(&'a [Level]),
    Bare(&'a [Vec<Layer>]),
}

impl<'a> Levels<'a> {
    pub(crate) fn get(self, at: usize) -> Option<&'a [Layer]> {
        match self {
            Self::Named(levels) => levels.get(at).map(|level| level.policies.as_slice()),
            Self::Bare(levels) => levels.get(at).map(Vec::as_slice),
        }
    }
}

/// The layers that bind a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) identity: Option<&'a [Layer]>,
    pub(crate) boundary: &'a [Layer],
    pub(crate) session: &'a [Layer],
    /// Whether it is a federated user's session that was given no session policy.
    pub(crate) given_none: bool,
    pub(crate) scp: Levels<'a>,
    pub(crate) rcp: Levels<'a>,
    pub(crate) resource: Option<&'a Layer>,
    pub(crate) trust: Option<&'a Layer>,
    pub(crate) endpoint: &'a [Layer],
    /// Whether only the requester's side is asked about.
    pub(crate) own_side: bool,
}

impl<'a> View<'a> {
    pub(crate) const NOTHING: Self = View {
        identity: None,
        boundary: &[],
        session: &[],
        given_none: false,
        scp: Levels::Bare(&[]),
        rcp: Levels::Bare(&[]),
        resource: None,
        trust: None,
        endpoint: &[],
        own_side: false,
    };

    pub(crate) fn of(request: &Request, layers: &'a Layers) -> Self {
        let mut view = Self { endpoint: layers.endpoint.as_deref().unwrap_or_default(), ..Self::NOTHING };
        if request.has_own_policies() {
            view.identity = layers.identity.as_deref();
            view.boundary = layers.boundary.as_deref().unwrap_or_default();
            view.session = layers.session.as_deref().unwrap_or_default();
            view.given_none =
                request.kind() == Kind::FederatedUser && layers.session.as_ref().is_some_and(Vec::is_empty);
            if !request.is_service_linked_role() {
                view.scp = Levels::Named(layers.scp.as_deref().unwrap_or_default());
            }
        }
        if let Some(levels) = &layers.rcp
            && !request.is_service_linked_role()
            && request.is_under_rcp()
        {
            view.rcp = Levels::Named(levels);
        }
        view.resource = layers.resource.as_ref();
        view.trust = layers.trust.as_ref().filter(|_| request.may_be_for_role());
        view
    }
}

/// How statements count where keys are left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// An open key makes the answer unknown.
    Whether,
    /// An open key is taken to be whatever makes the answer yes.
    Possibly,
}

/// Where a policy stands: its layer, and the level within an organisation or its place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: LayerKind,
    pub(crate) at: usize,
}

/// Somebody who wants to see every statement that names the action, whether it matches or not.
pub(crate) trait Watch<'a> {
    /// Whether reading goes on after the answer is certain.
    const WHOLE: bool;
    /// A statement, and whether it matches.
    fn saw(&mut self, place: Place, layer: &'a Layer, statement: &'a Arc<Statement>, grip: Grip, truth: &Truth);
    /// A policy that was not seen or not read.
    fn missed(&mut self, place: Place, layer: &'a Layer, why: &Why);
}

pub(crate) struct Nobody;

impl<'a> Watch<'a> for Nobody {
    const WHOLE: bool = false;
    fn saw(&mut self, _: Place, _: &'a Layer, _: &'a Arc<Statement>, _: Grip, _: &Truth) {}
    fn missed(&mut self, _: Place, _: &'a Layer, _: &Why) {}
}

/// The statements that match or may match.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    seen: Vec<(Effect, Grip, bool, Site)>,
}

impl<'a> Watch<'a> for Sites {
    const WHOLE: bool = true;

    fn saw(&mut self, place: Place, layer: &'a Layer, statement: &'a Arc<Statement>, grip: Grip, truth: &Truth) {
        // What an organization's policy allows grants nothing, so it is no statement that lets anyone in.
        let only_limits = statement.effect == Effect::Allow && matches!(place.kind, LayerKind::Scp | LayerKind::Rcp);
        if !truth.is_false() && !only_limits {
            let site = layer.site(statement);
            self.seen.extend(site.map(|site| (statement.effect, grip, truth.is_true(), site)));
        }
    }

    fn missed(&mut self, _: Place, _: &'a Layer, _: &Why) {}
}

impl Sites {
    /// Whether every Allow names the requester by its account only, and there is one.
    pub(crate) fn all_by_account(&self) -> bool {
        let mut allows = self.seen.iter().filter(|(effect, ..)| *effect == Effect::Allow).peekable();
        allows.peek().is_some() && allows.all(|(_, grip, ..)| *grip == Grip::Account)
    }

    /// The statements that made an answer, or that may make it.
    pub(crate) fn deciding(self, denied: bool, allowed: bool) -> Vec<Site> {
        let decides = |(effect, _, certain, site): (Effect, Grip, bool, Site)| {
            let wanted = match effect {
                Effect::Deny => {
                    if denied {
                        certain
                    } else {
                        !allowed
                    }
                }
                Effect::Allow => !denied && (certain || !allowed),
            };
            wanted.then_some(site)
        };
        self.seen.into_iter().filter_map(decides).collect()
    }
}

fn join(slot: &mut Truth, truth: Truth) {
    match (&*slot, &truth) {
        (Truth::True, _) | (_, Truth::False) => {}
        (Truth::False, _) | (_, Truth::True) => *slot = truth,
        _ => *slot = std::mem::replace(slot, Truth::False).or(truth),
    }
}

fn meet(slot: &mut Truth, truth: Truth) {
    match (&*slot, &truth) {
        (Truth::False, _) | (_, Truth::True) => {}
        (Truth::True, _) | (_, Truth::False) => *slot = truth,
        _ => *slot = std::mem::replace(slot, Truth::True).and(truth),
    }
}

/// What each layer says.
#[derive(Debug)]
pub(crate) struct Gathered<'a> {
    /// Whether a Deny of any layer refuses.
    pub(crate) denied: Truth,
    /// The requester's own policies.
    pub(crate) identity: Truth,
    /// Boundary and session policy.
    pub(crate) ceiling: Truth,
    /// SCPs, RCPs and the VPC endpoint.
    pub(crate) outer: Truth,
    /// The policies on the resource, by how they name the requester.
    pub(crate) direct: Truth,
    pub(crate) role: Truth,
    pub(crate) account: Truth,
    by: Option<Decider<'a>>,
}

impl Gathered<'_> {
    /// Whether the policies on the resource allow in any way.
    pub(crate) fn granted(&self) -> Truth {
        self.direct.clone().or(self.role.clone()).or(self.account.clone())
    }
}

pub(crate) struct Evaluation<'r, 'a> {
    pub(crate) request: &'r Request,
    pub(crate) view: View<'a>,
    pub(crate) ask: Ask,
    /// Of the identity policies' Allow statements, only this one.
    pub(crate) only: Option<&'r Arc<Statement>>,
}

impl<'r, 'a> Evaluation<'r, 'a> {
    pub(crate) fn new(request: &'r Request, view: View<'a>) -> Self {
        Self { request, view, ask: Ask::Whether, only: None }
    }

    /// Whether the resource's policy must allow, even within one account.
    pub(crate) fn needs_resource_policy(&self) -> bool {
        self.request.needs_resource_policy() || (self.view.trust.is_some() && self.request.may_be_for_role())
    }

    /// How the principals of a statement name the requester, and whether they do.
    pub(crate) fn grip(&self, kind: LayerKind, statement: &Statement) -> (Grip, Truth) {
        let on_resource = matches!(kind, LayerKind::Resource | LayerKind::Trust);
        let Some(clause) = &statement.principals else {
            return if on_resource { (Grip::None, Truth::False) } else { (Grip::Direct, Truth::True) };
        };
        let (mut grip, mut open) = (Grip::None, Truth::False);
        for principal in clause.elements() {
            match names(principal, self.request) {
                Ok(Grip::Direct) => {
                    grip = Grip::Direct;
                    break;
                }
                Ok(named) => grip = grip.max(named),
                Err(why) => join(&mut open, Truth::unknown(why)),
            }
        }
        match clause {
            Clause::In(_) if grip == Grip::None => (Grip::Direct, open),
            Clause::In(_) => (grip, Truth::True),
            Clause::NotIn(_) => {
                let deny = statement.effect == Effect::Deny;
                if deny && on_resource && !self.view.boundary.is_empty() {
                    return (Grip::Direct, Truth::True);
                }
                let exempt = if deny { self.is_exempt(clause, grip) } else { grip > Grip::None };
                (Grip::Direct, if exempt { Truth::False } else { !open })
            }
        }
    }

    /// Whether the `NotPrincipal` of a Deny exempts the requester that it names.
    ///
    /// AWS may look at the account first, then at the role, then at the session: an exempt account
    /// does not exempt the users and roles in it, but for its root; an exempt user or role is exempt
    /// only with its account; an exempt session only with its role and its account. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>.
    fn is_exempt(&self, clause: &Clause<Principal>, grip: Grip) -> bool {
        let named = |grip: Grip| clause.elements().iter().any(|p| names(p, self.request) == Ok(grip));
        let everyone = || clause.elements().contains(&Principal::Everyone);
        match self.request.kind() {
            Kind::Root | Kind::Anonymous | Kind::Service | Kind::Federated => grip > Grip::None,
            Kind::Session => everyone() || (named(Grip::Role) && named(Grip::Account)),
            _ => grip > Grip::Account && (everyone() || named(Grip::Account)),
        }
    }

    /// Whether a statement that names the action matches, and how it names the requester.
    fn judge(&self, kind: LayerKind, statement: &Statement, language: Version) -> (Grip, Truth) {
        let (grip, named) = self.grip(kind, statement);
        if named.is_false() {
            return (Grip::None, named);
        }
        // A trust policy has no resource: the role that holds it is meant.
        let on = if kind == LayerKind::Trust { Truth::True } else { self.names_resource(kind, statement, language) };
        if on.is_false() {
            return (grip, on);
        }
        let truth = named.and(on);
        if statement.conditions.is_empty() {
            return (grip, truth);
        }
        (grip, truth.and(all_hold(&statement.conditions, self.request.context(), language)))
    }

    pub(crate) fn names_resource(&self, kind: LayerKind, statement: &Statement, language: Version) -> Truth {
        let own = matches!(kind, LayerKind::Identity | LayerKind::Boundary | LayerKind::Session);
        let Some(clause) = &statement.resources else { return Truth::True };
        let resource = self.request.resource().as_str();
        let context = self.request.context();
        let whole = !self.request.action().on_resources();
        let lacks_value =
            |list: &[ResourcePattern]| list.iter().any(|p| p.lacks_value(resource, whole, context, language));
        let mut any = Truth::False;
        for pattern in clause.elements() {
            let asked = self.request.resource().asked();
            let same = || pattern.as_str() == resource && !pattern.has_variable();
            if pattern.as_str() == "*" || (asked.is_some() && same()) {
                any = Truth::True;
            } else if pattern.is_incomplete() && !own {
                // AWS completes ARNs in the requester's own policies only.
                continue;
            } else if let Some(asked) = asked {
                // Of an action without resources all is named, or nothing.
                let allow = statement.effect == Effect::Allow;
                let whole = whole || allow == clause.is_not();
                join(&mut any, pattern.meets(asked, whole, context, language));
            } else {
                join(&mut any, pattern.matches_in(resource, context, language));
            }
            if any.is_true() {
                break;
            }
        }
        match clause {
            Clause::In(_) => any,
            // AWS: a variable without a value may make the whole statement invalid.
            Clause::NotIn(list) if any.is_false() && lacks_value(list) => any,
            Clause::NotIn(_) => !any,
        }
    }

    fn read(&self, effect: Effect, truth: Truth) -> Truth {
        match (self.ask, effect) {
            (Ask::Whether, _) => truth,
            (Ask::Possibly, Effect::Allow) => truth.possible(),
            (Ask::Possibly, Effect::Deny) => !(!truth).possible(),
        }
    }

    /// Reads one policy: its Denies into `out`, its Allows into the answer (of a policy on the
    /// resource: into `out`). Without `want` the Allows are left unread.
    fn policy<W: Watch<'a>>(
        &self,
        place: Place,
        layer: &'a Layer,
        want: bool,
        out: &mut Gathered<'a>,
        watch: &mut W,
    ) -> Truth {
        let kind = place.kind;
        let on_resource = matches!(kind, LayerKind::Resource | LayerKind::Trust);
        let policy: &'a Policy = match &layer.policy {
            Ok(policy) => policy,
            Err(why) => {
                watch.missed(place, layer, why);
                let open = Truth::unknown(why.clone());
                join(&mut out.denied, open.clone());
                if on_resource {
                    join(&mut out.direct, open.clone());
                }
                return open;
            }
        };
        let language = policy.language();
        let mut scratch = Default::default();
        let candidates = policy.naming(self.request.action(), &mut scratch);
        let judge = |candidate: &Candidate, statement: &'a Arc<Statement>| match candidate.asks {
            Asks::Anyone => (Grip::Direct, Truth::True),
            Asks::Nothing if !on_resource => (Grip::Direct, Truth::True),
            _ => {
                let (grip, truth) = self.judge(kind, statement, language);
                (grip, self.read(statement.effect, truth))
            }
        };
        for candidate in candidates.deny {
            let Some(statement) = policy.at(candidate.at) else { continue };
            let (grip, truth) = judge(candidate, statement);
            watch.saw(place, layer, statement, grip, &truth);
            if truth.is_true() && !out.denied.is_true() {
                out.by = Some(Decider { kind, layer, statement });
            }
            join(&mut out.denied, truth);
            if out.denied.is_true() && !W::WHOLE {
                return Truth::False;
            }
        }
        let mut allowed = Truth::False;
        if !want && !W::WHOLE {
            return allowed;
        }
        for candidate in candidates.allow {
            let Some(statement) = policy.at(candidate.at) else { continue };
            if kind == LayerKind::Identity && self.only.is_some_and(|only| !Arc::ptr_eq(only, statement)) {
                continue;
            }
            let (grip, truth) = judge(candidate, statement);
            watch.saw(place, layer, statement, grip, &truth);
            if truth.is_true()
                && !out.denied.is_true()
                && (kind == LayerKind::Identity || (on_resource && out.by.is_none()))
            {
                out.by = Some(Decider { kind, layer, statement });
            }
            if !on_resource {
                join(&mut allowed, truth);
                if allowed.is_true() && !W::WHOLE {
                    break;
                }
                continue;
            }
            match grip {
                Grip::Account => join(&mut out.account, truth),
                Grip::Role => join(&mut out.role, truth),
                Grip::Direct | Grip::None => join(&mut out.direct, truth),
            }
        }
        allowed
    }

    /// Reads policies of which one must allow.
    fn one_of<W: Watch<'a>>(&self, place: Place, layers: &'a [Layer], out: &mut Gathered<'a>, watch: &mut W) -> Truth {
        let mut allowed = Truth::False;
        for layer in layers {
            let truth = self.policy(place, layer, !allowed.is_true(), out, watch);
            join(&mut allowed, truth);
            if out.denied.is_true() && !W::WHOLE {
                break;
            }
        }
        allowed
    }

    /// Reads every layer.
    pub(crate) fn gather<W: Watch<'a>>(&self, watch: &mut W) -> Gathered<'a> {
        let view = &self.view;
        let mut out = Gathered {
            denied: Truth::False,
            identity: Truth::False,
            ceiling: Truth::True,
            outer: Truth::True,
            direct: Truth::False,
            role: Truth::False,
            account: Truth::False,
            by: None,
        };
        for (kind, levels) in [(LayerKind::Scp, view.scp), (LayerKind::Rcp, view.rcp)] {
            let mut at = 0;
            while let Some(layers) = levels.get(at) {
                let truth = self.one_of(Place { kind, at }, layers, &mut out, watch);
                meet(&mut out.outer, truth);
                if out.denied.is_true() && !W::WHOLE {
                    return out;
                }
                at += 1;
            }
        }
        if let Some(layers) = view.identity {
            let truth = self.one_of(Place { kind: LayerKind::Identity, at: 0 }, layers, &mut out, watch);
            join(&mut out.identity, truth);
        }
        for (at, layer) in view.boundary.iter().enumerate() {
            let truth = self.policy(Place { kind: LayerKind::Boundary, at }, layer, true, &mut out, watch);
            meet(&mut out.ceiling, truth);
        }
        for (kind, layers) in [(LayerKind::Session, view.session), (LayerKind::Endpoint, view.endpoint)] {
            if !layers.is_empty() {
                let truth = self.one_of(Place { kind, at: 0 }, layers, &mut out, watch);
                meet(if kind == LayerKind::Session { &mut out.ceiling } else { &mut out.outer }, truth);
            }
        }
        for (kind, layer) in [(LayerKind::Trust, view.trust), (LayerKind::Resource, view.resource)] {
            if let Some(layer) = layer {
                self.policy(Place { kind, at: 0 }, layer, true, &mut out, watch);
            }
        }
        match self.request.kind() {
            Kind::Root => out.identity = Truth::True,
            Kind::Outsider if view.identity.is_none() => out.identity = Truth::True,
            // Without a session policy such a session has only what names it directly.
            Kind::FederatedUser if view.given_none => out.ceiling = Truth::False,
            _ => {}
        }
        out
    }

    /// Decides by three-valued logic, which may call unknown what every value of a key agrees on.
    pub(crate) fn decide(&self) -> Decision<'a> {
        let done = |outcome, by| Decision { outcome, reasons: Vec::new(), by };
        if self.request.is_never_refused() && self.view.endpoint.is_empty() {
            return done(Outcome::Allow, None);
        }
        let gathered = self.gather(&mut Nobody);
        if gathered.denied.is_true() {
            return done(Outcome::DenyExplicit, gathered.by);
        }
        let mut allowed = self.allowed(&gathered);
        meet(&mut allowed, !gathered.denied);
        match allowed {
            Truth::True => done(Outcome::Allow, gathered.by),
            Truth::False => done(Outcome::DenyImplicit, None),
            Truth::Unknown(reasons) => Decision { outcome: Outcome::Unknown, reasons, by: None },
        }
    }

    /// Whether everything that must allow does, Denies aside.
    pub(crate) fn allowed(&self, gathered: &Gathered<'a>) -> Truth {
        let request = self.request;
        if gathered.outer.is_false() || request.never_allowed().is_some() {
            return Truth::False;
        }
        let outer = gathered.outer.clone();
        if !request.has_own_policies() {
            return outer.and(gathered.granted());
        }
        let own = || gathered.identity.clone().and(gathered.ceiling.clone());
        if self.view.own_side {
            return outer.and(own());
        }
        let same = || {
            let by_account = if self.needs_resource_policy() { gathered.account.clone().and(own()) } else { own() };
            let by_role = gathered.role.clone().and(gathered.ceiling.clone());
            gathered.direct.clone().or(by_role).or(by_account)
        };
        let across = || gathered.granted().and(own());
        let inner = match (request.account(), request.resource_account()) {
            (Some(account), Some(owner)) if account == owner => same(),
            (Some(_), Some(_)) => across(),
            _ => match (same(), across()) {
                (same, across) if same == across => same,
                (same, across) => {
                    let whose = format!("the account that owns `{}` is not known", request.resource().as_str());
                    let open = Truth::unknown(Why::NotSeen(whose));
                    same.and(open.or(across))
                }
            },
        };
        outer.and(inner)
    }
}
