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

use crate::condition::all_hold;
use crate::evaluate::decision::{Decider, Decision, Outcome};
use crate::evaluate::observer::{Ask, NoopObserver, Observer, Place};
use crate::evaluate::policy_set::PolicyRef;
use crate::evaluate::principal_match::{PrincipalMatch, names};
use crate::evaluate::request::Request;
use crate::evaluate::requester::Kind;
use crate::evaluate::view::View;
use crate::matching::pattern::ResourcePattern;
use crate::policy::ast::{Clause, Effect, Principal, Statement};
use crate::policy::compiled::CompiledPolicy;
use crate::policy::index::{Asks, Candidate};
use crate::policy::policy_type::PolicyType;
use crate::truth::{Truth, Why};
use crate::version::Version;
use std::sync::Arc;

#[inline]
fn join(slot: &mut Truth, truth: Truth) {
    match (&*slot, &truth) {
        (Truth::True, _) | (_, Truth::False) => {}
        (Truth::False, _) | (_, Truth::True) => *slot = truth,
        _ => *slot = std::mem::replace(slot, Truth::False).or(truth),
    }
}

#[inline]
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

impl<'a> Gathered<'a> {
    /// The decision, where everything that must allow does as far as `allowed` says, Denies aside.
    pub(crate) fn decision(self, mut allowed: Truth) -> Decision<'a> {
        let done = |outcome, by| Decision { outcome, reasons: Vec::new(), by };
        if self.denied.is_true() {
            return done(Outcome::DenyExplicit, self.by);
        }
        meet(&mut allowed, !self.denied);
        match allowed {
            Truth::True => done(Outcome::Allow, self.by),
            Truth::False => done(Outcome::DenyImplicit, None),
            Truth::Unknown(reasons) => Decision { outcome: Outcome::Unknown, reasons, by: None },
        }
    }

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
    pub(crate) fn principal_match(&self, kind: PolicyType, statement: &Statement) -> (PrincipalMatch, Truth) {
        let on_resource = matches!(kind, PolicyType::Resource | PolicyType::Trust);
        let Some(clause) = &statement.principals else {
            return if on_resource {
                (PrincipalMatch::None, Truth::False)
            } else {
                (PrincipalMatch::Direct, Truth::True)
            };
        };
        let (mut matched, mut open) = (PrincipalMatch::None, Truth::False);
        for principal in clause.elements() {
            match names(principal, self.request) {
                Ok(PrincipalMatch::Direct) => {
                    matched = PrincipalMatch::Direct;
                    break;
                }
                Ok(named) => matched = matched.max(named),
                Err(why) => join(&mut open, Truth::unknown(why)),
            }
        }
        match clause {
            Clause::In(_) if matched == PrincipalMatch::None => (PrincipalMatch::Direct, open),
            Clause::In(_) => (matched, Truth::True),
            Clause::NotIn(_) => {
                let deny = statement.effect == Effect::Deny;
                if deny && on_resource && !self.view.boundary.is_empty() {
                    return (PrincipalMatch::Direct, Truth::True);
                }
                let exempt = if deny { self.is_exempt(clause, matched) } else { matched > PrincipalMatch::None };
                (PrincipalMatch::Direct, if exempt { Truth::False } else { !open })
            }
        }
    }

    /// Whether the `NotPrincipal` of a Deny exempts the requester that it names.
    ///
    /// AWS may look at the account first, then at the role, then at the session: an exempt account
    /// does not exempt the users and roles in it, but for its root; an exempt user or role is exempt
    /// only with its account; an exempt session only with its role and its account. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>.
    fn is_exempt(&self, clause: &Clause<Principal>, matched: PrincipalMatch) -> bool {
        let named = |matched: PrincipalMatch| clause.elements().iter().any(|p| names(p, self.request) == Ok(matched));
        let everyone = || clause.elements().contains(&Principal::Everyone);
        match self.request.kind() {
            Kind::Root | Kind::Anonymous | Kind::Service | Kind::Federated => matched > PrincipalMatch::None,
            Kind::Session => everyone() || (named(PrincipalMatch::Role) && named(PrincipalMatch::Account)),
            _ => matched > PrincipalMatch::Account && (everyone() || named(PrincipalMatch::Account)),
        }
    }

    /// Whether a statement that names the action matches, and how it names the requester.
    fn judge(&self, kind: PolicyType, statement: &Statement, language: Version) -> (PrincipalMatch, Truth) {
        let (matched, named) = self.principal_match(kind, statement);
        if named.is_false() {
            return (PrincipalMatch::None, named);
        }
        // A trust policy has no resource: the role that holds it is meant.
        let on = if kind == PolicyType::Trust { Truth::True } else { self.names_resource(kind, statement, language) };
        if on.is_false() {
            return (matched, on);
        }
        let truth = named.and(on);
        if statement.conditions.is_empty() {
            return (matched, truth);
        }
        (matched, truth.and(all_hold(&statement.conditions, self.request.context(), language)))
    }

    pub(crate) fn names_resource(&self, kind: PolicyType, statement: &Statement, language: Version) -> Truth {
        let own = matches!(kind, PolicyType::Identity | PolicyType::Boundary | PolicyType::Session);
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
    fn policy<W: Observer<'a>>(
        &self,
        place: Place,
        layer: &'a PolicyRef,
        want: bool,
        out: &mut Gathered<'a>,
        watch: &mut W,
    ) -> Truth {
        let kind = place.kind;
        let on_resource = matches!(kind, PolicyType::Resource | PolicyType::Trust);
        let policy: &'a CompiledPolicy = match &layer.policy {
            Ok(policy) => policy,
            Err(why) => {
                watch.missed(place, layer, why);
                let open = Truth::unknown(Why::clone(why));
                join(&mut out.denied, open.clone());
                if on_resource {
                    join(&mut out.direct, open.clone());
                }
                return open;
            }
        };
        // Most levels of an organization have AWS's policy that allows everything, and no other.
        if !W::WHOLE && matches!(kind, PolicyType::Scp | PolicyType::Rcp) && policy.allows_everything() {
            return Truth::True;
        }
        let language = policy.language();
        let mut scratch = Default::default();
        let candidates = policy.naming(self.request.action(), &mut scratch);
        let judge = |candidate: &Candidate, statement: &'a Arc<Statement>| match candidate.asks {
            Asks::Anyone => (PrincipalMatch::Direct, Truth::True),
            Asks::Nothing if !on_resource => (PrincipalMatch::Direct, Truth::True),
            _ => {
                let (matched, truth) = self.judge(kind, statement, language);
                (matched, self.read(statement.effect, truth))
            }
        };
        for candidate in candidates.deny {
            let Some(statement) = policy.at(candidate.at) else { continue };
            let (matched, truth) = judge(candidate, statement);
            watch.saw(place, layer, statement, matched, &truth);
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
            if kind == PolicyType::Identity && self.only.is_some_and(|only| !Arc::ptr_eq(only, statement)) {
                continue;
            }
            let (matched, truth) = judge(candidate, statement);
            watch.saw(place, layer, statement, matched, &truth);
            if truth.is_true()
                && !out.denied.is_true()
                && (kind == PolicyType::Identity || (on_resource && out.by.is_none()))
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
            match matched {
                PrincipalMatch::Account => join(&mut out.account, truth),
                PrincipalMatch::Role => join(&mut out.role, truth),
                PrincipalMatch::Direct | PrincipalMatch::None => join(&mut out.direct, truth),
            }
        }
        allowed
    }

    /// Reads policies of which one must allow.
    fn one_of<W: Observer<'a>>(
        &self,
        place: Place,
        layers: &'a [PolicyRef],
        out: &mut Gathered<'a>,
        watch: &mut W,
    ) -> Truth {
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
    pub(crate) fn gather<W: Observer<'a>>(&self, watch: &mut W) -> Gathered<'a> {
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
        for (kind, levels) in [(PolicyType::Scp, view.scp), (PolicyType::Rcp, view.rcp)] {
            for (at, level) in levels.into_iter().flatten().enumerate() {
                let truth = self.one_of(Place { kind, at }, &level.policies, &mut out, watch);
                meet(&mut out.outer, truth);
                if out.denied.is_true() && !W::WHOLE {
                    return out;
                }
            }
        }
        if let Some(layers) = view.identity {
            let truth = self.one_of(Place { kind: PolicyType::Identity, at: 0 }, layers, &mut out, watch);
            join(&mut out.identity, truth);
        }
        for (at, layer) in view.boundary.iter().enumerate() {
            let truth = self.policy(Place { kind: PolicyType::Boundary, at }, layer, true, &mut out, watch);
            meet(&mut out.ceiling, truth);
        }
        for (kind, layers) in [(PolicyType::Session, view.session), (PolicyType::VpcEndpoint, view.vpc_endpoint)] {
            if !layers.is_empty() {
                let truth = self.one_of(Place { kind, at: 0 }, layers, &mut out, watch);
                meet(if kind == PolicyType::Session { &mut out.ceiling } else { &mut out.outer }, truth);
            }
        }
        for (kind, layer) in [(PolicyType::Trust, view.trust), (PolicyType::Resource, view.resource)] {
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
        if self.request.is_never_refused() && self.view.vpc_endpoint.is_empty() {
            return Decision { outcome: Outcome::Allow, reasons: Vec::new(), by: None };
        }
        let gathered = self.gather(&mut NoopObserver);
        let allowed = self.allowed(&gathered);
        gathered.decision(allowed)
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
                    let open = Truth::unknown(Why::NotSeen(whose.into()));
                    same.and(open.or(across))
                }
            },
        };
        outer.and(inner)
    }
}
