//! Two stacks of policies in the same terms, so that what both have in common is seen at once.
//!
//! Every list of actions, every resource pattern, every condition and every piece of a statement (one
//! pattern under the statement's conditions) gets a number, the same one on both sides. Order, Sids,
//! letter case, repetitions, and how statements are split do not show in it. Refuses to know what a
//! difference comes to.

use crate::arn::AccountId;
use crate::condition::Condition;
use crate::context::Context;
use crate::evaluate::evaluation::Evaluation;
use crate::evaluate::policy_set::{PolicyRef, PolicySet};
use crate::evaluate::principal_match::PrincipalMatch;
use crate::evaluate::request::Request;
use crate::evaluate::requester::{Kind, Requester};
use crate::evaluate::view::View;
use crate::matching::action_set::ActionSet;
use crate::matching::glob::Glob;
use crate::matching::pattern::{ActionPattern, ResourcePattern};
use crate::policy::ast::{Clause, Effect, Statement};
use crate::policy::policy_type::PolicyType;
use crate::truth::{Truth, Why};
use crate::version::Version;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// Numbers things by what they are.
#[derive(Debug)]
pub(super) struct Numbers<K, V> {
    known: HashMap<K, usize>,
    pub(super) all: Vec<V>,
}

impl<K: Hash + Eq, V> Default for Numbers<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), all: Vec::new() }
    }
}

impl<K: Hash + Eq, V> Numbers<K, V> {
    fn number(&mut self, key: K, make: impl FnOnce() -> V) -> usize {
        let all = &mut self.all;
        *self.known.entry(key).or_insert_with(|| {
            all.push(make());
            all.len() - 1
        })
    }

    pub(super) fn get(&self, number: usize) -> Option<&V> {
        self.all.get(number)
    }
}

/// What a statement says of actions.
#[derive(Debug)]
pub(super) struct Actions<'a> {
    pub(super) not: bool,
    pub(super) patterns: Vec<&'a ActionPattern>,
}

impl Actions<'_> {
    pub(super) fn holds(&self, action: &str) -> bool {
        self.not != self.patterns.iter().any(|pattern| pattern.matches(action))
    }

    /// The listed actions of its patterns, whichever way they count.
    pub(super) fn listed(&self) -> ActionSet {
        let mut single = Vec::new();
        let mut sets = Vec::new();
        for pattern in &self.patterns {
            match pattern.service() {
                Some(_) if !pattern.has_wildcard() => single.push(pattern.as_str()),
                _ => sets.push(ActionSet::named_by(pattern)),
            }
        }
        sets.push(ActionSet::from_names(single));
        ActionSet::union_of(&sets)
    }

    pub(super) fn is_all(&self) -> bool {
        if self.not { self.patterns.is_empty() } else { self.patterns.iter().any(|pattern| pattern.is_all()) }
    }
}

/// A resource pattern as a policy of its version and layer reads it.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    pub(super) pattern: &'a ResourcePattern,
    pub(super) language: Version,
    /// Whether it stands in the requester's own policies, where AWS completes ARNs.
    pub(super) own: bool,
    /// The keys of its variables whose values are free.
    pub(super) free: Vec<String>,
}

/// A condition in the version of its policy.
#[derive(Debug)]
pub(super) struct Atom<'a> {
    pub(super) condition: &'a Condition,
    pub(super) language: Version,
    /// In lower case.
    pub(super) key: String,
    /// The keys of its variables whose values are free.
    pub(super) free: Vec<String>,
}

/// A condition by its operator, its key, its values, and whether it has variables.
type AtomKey<'a> = (String, String, Vec<Cow<'a, str>>, bool);

/// Which resources a piece is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    All,
    In(usize),
    But(Vec<usize>),
}

/// One pattern of a statement under its conditions. It matches where all of it does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    pub(super) place: Place,
    pub(super) atoms: Vec<usize>,
    /// What is not understood or not seen of it.
    pub(super) opaque: Vec<usize>,
}

/// On which requests a statement counts at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Scope {
    Always,
    /// Those to services that take RCPs.
    UnderRcp,
    /// Those for a role.
    ForRole,
}

/// A piece with the actions that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) scope: Scope,
    pub(super) actions: usize,
    pub(super) piece: usize,
}

/// Policies of which one must allow.
pub(super) type Group = BTreeSet<Part>;

/// One of the two stacks.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Each must allow, whoever grants: SCPs, RCPs, endpoints.
    pub(super) outer: BTreeSet<(Scope, Group)>,
    /// Each must allow what the requester's own policies, or a policy that names its role, grant.
    pub(super) ceilings: BTreeSet<Group>,
    pub(super) identity: Group,
    /// What policies on the resource grant, by how they name the requester.
    pub(super) direct: Group,
    pub(super) role: Group,
    pub(super) account: Group,
    pub(super) denies: Group,
    pub(super) has_resource: bool,
    pub(super) has_trust: bool,
}

/// Both stacks, and what they are made of.
#[derive(Debug)]
pub(super) struct Both<'a> {
    pub(super) requester: Requester,
    /// Whose the resources are whose names do not say it.
    pub(super) owner: Option<AccountId>,
    /// Condition keys as they are written, by their names in lower case.
    written: HashMap<String, &'a str>,
    /// A request that has the keys that follow from the requester.
    pub(super) sample: Request,
    pub(super) actions: Numbers<(bool, Vec<String>), Actions<'a>>,
    pub(super) units: Numbers<(Cow<'a, str>, bool, bool), Unit<'a>>,
    pub(super) atoms: Numbers<AtomKey<'a>, Atom<'a>>,
    pub(super) opaque: Numbers<String, Why>,
    pub(super) pieces: Numbers<Piece, Piece>,
    fixed: HashMap<usize, Option<bool>>,
}

/// Keys that the resource decides, or that a request states though the requester is known.
const NOT_FIXED: [&str; 2] = ["aws:resourceaccount", "aws:viaawsservice"];

/// A statement that everything matches.
const EVERYTHING: Piece = Piece { place: Place::All, atoms: Vec::new(), opaque: Vec::new() };

impl<'a> Both<'a> {
    pub(super) fn new(requester: &Requester, owner: Option<AccountId>) -> Self {
        let sample = Request::new(requester.clone(), "unlisted:Action", "*", requester.account_id(), Context::closed());
        Self {
            requester: requester.clone(),
            owner,
            written: HashMap::new(),
            sample,
            actions: Numbers::default(),
            units: Numbers::default(),
            atoms: Numbers::default(),
            opaque: Numbers::default(),
            pieces: Numbers::default(),
            fixed: HashMap::new(),
        }
    }

    /// A condition key as somebody wrote it.
    pub(super) fn written<'k>(&'k self, key: &'k str) -> &'k str {
        self.written.get(key).copied().unwrap_or(key)
    }

    /// An account that is not the requester's, and that nobody names.
    pub(super) fn foreign(&self) -> &'static str {
        let named = |id: &str| self.units.all.iter().any(|unit| unit.pattern.as_str().contains(id));
        let own = self.requester.account_id().map(|id| id.to_string());
        let free = |id: &&str| own.as_deref() != Some(*id) && !named(id);
        ["444455556666", "777788889999", "123412341234", "987698769876"]
            .into_iter()
            .find(free)
            .unwrap_or("909090909090")
    }

    /// Whether a key, in lower case, holds the same in every request of this requester.
    pub(super) fn is_fixed(&self, key: &str) -> bool {
        let nobody = matches!(self.requester.kind(), Kind::Service | Kind::Anonymous);
        !NOT_FIXED.contains(&key)
            && (self.sample.context().names(key) || (nobody && key.starts_with("aws:principaltag/")))
    }

    fn free_of<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Vec<String> {
        let keys: BTreeSet<String> = keys.map(str::to_ascii_lowercase).filter(|key| !self.is_fixed(key)).collect();
        keys.into_iter().collect()
    }

    /// Reads one of the two stacks.
    pub(super) fn side(&mut self, layers: &'a PolicySet) -> Side {
        let mut side = Side { has_resource: layers.resource.is_some(), ..Side::default() };
        let view = View::new(&self.sample, layers);
        let kind = self.requester.kind();
        if self.sample.has_own_policies() {
            for layer in view.identity.into_iter().flatten() {
                self.layer(PolicyType::Identity, layer, &view, &mut side);
            }
            for layer in view.boundary {
                let group = self.ceiling(PolicyType::Boundary, std::slice::from_ref(layer), &view, &mut side);
                side.ceilings.insert(group);
            }
            if !view.session.is_empty() {
                let group = self.ceiling(PolicyType::Session, view.session, &view, &mut side);
                side.ceilings.insert(group);
            }
            if view.given_none {
                side.ceilings.insert(Group::new());
            }
            if kind == Kind::Root {
                let whole = self.everything(Scope::Always);
                side.identity.insert(whole);
            }
            if !self.sample.is_service_linked_role() {
                for level in layers.scp.iter().flat_map(|levels| levels.iter()) {
                    let group = self.ceiling(PolicyType::Scp, &level.policies, &view, &mut side);
                    side.outer.insert((Scope::Always, group));
                }
            }
        }
        if !self.sample.is_service_linked_role() {
            for level in layers.rcp.iter().flat_map(|levels| levels.iter()) {
                let group = self.ceiling(PolicyType::Rcp, &level.policies, &view, &mut side);
                side.outer.insert((Scope::UnderRcp, group));
            }
        }
        if !view.vpc_endpoint.is_empty() {
            let group = self.ceiling(PolicyType::VpcEndpoint, view.vpc_endpoint, &view, &mut side);
            side.outer.insert((Scope::Always, group));
        }
        if let Some(layer) = &layers.resource {
            self.layer(PolicyType::Resource, layer, &view, &mut side);
        }
        if let Some(layer) = &layers.trust {
            side.has_trust = true;
            self.layer(PolicyType::Trust, layer, &view, &mut side);
        }
        side.outer.retain(|(scope, group)| !self.lets_all_through(*scope, group));
        side.ceilings.retain(|group| !self.lets_all_through(Scope::Always, group));
        side
    }

    /// Whether a group has a statement that allows everything.
    fn lets_all_through(&self, scope: Scope, group: &Group) -> bool {
        group.iter().any(|part| {
            (part.scope == scope || part.scope == Scope::Always)
                && self.actions.get(part.actions).is_some_and(Actions::is_all)
                && self.pieces.get(part.piece) == Some(&EVERYTHING)
        })
    }

    fn everything(&mut self, scope: Scope) -> Part {
        let actions = self.actions.number((true, Vec::new()), || Actions { not: true, patterns: Vec::new() });
        let piece = self.pieces.number(EVERYTHING, || EVERYTHING);
        Part { scope, actions, piece }
    }

    /// Reads policies of which one must allow, their Denies into the side.
    fn ceiling(&mut self, kind: PolicyType, layers: &'a [PolicyRef], view: &View<'_>, side: &mut Side) -> Group {
        let mut own = Side::default();
        for layer in layers {
            self.layer(kind, layer, view, &mut own);
        }
        side.denies.extend(own.denies);
        own.identity
    }

    fn layer(&mut self, kind: PolicyType, layer: &'a PolicyRef, view: &View<'_>, side: &mut Side) {
        let scope = match kind {
            PolicyType::Rcp => Scope::UnderRcp,
            PolicyType::Trust => Scope::ForRole,
            _ => Scope::Always,
        };
        let on_resource = matches!(kind, PolicyType::Resource | PolicyType::Trust);
        let policy = match &layer.policy {
            Ok(policy) => policy,
            Err(why) => {
                let mut part = self.everything(scope);
                let opaque = self.opaque.number(format!("{kind:?} {why}"), || Why::clone(why));
                part.piece = self.piece(Piece { opaque: vec![opaque], ..EVERYTHING });
                // Allows and Denies of what was not seen are two things.
                let deny = self.opaque.number(format!("deny {kind:?} {why}"), || Why::clone(why));
                let denied = self.piece(Piece { opaque: vec![deny], ..EVERYTHING });
                side.denies.insert(Part { piece: denied, ..part });
                if on_resource {
                    side.direct.insert(part)
                } else {
                    side.identity.insert(part)
                };
                return;
            }
        };
        let language = policy.language();
        for statement in &policy.statements {
            let (matched, named) = {
                let evaluation = Evaluation::new(&self.sample, *view);
                evaluation.principal_match(kind, statement)
            };
            if named.is_false() {
                continue;
            }
            let parts = self.statement(kind, scope, statement, language, &named);
            let group = match (statement.effect, on_resource, matched) {
                (Effect::Deny, ..) => &mut side.denies,
                (Effect::Allow, false, _) => &mut side.identity,
                (Effect::Allow, true, PrincipalMatch::Account) => &mut side.account,
                (Effect::Allow, true, PrincipalMatch::Role) => &mut side.role,
                (Effect::Allow, true, PrincipalMatch::Direct | PrincipalMatch::None) => &mut side.direct,
            };
            group.extend(parts);
        }
    }

    fn piece(&mut self, piece: Piece) -> usize {
        self.pieces.number(piece.clone(), || piece)
    }

    fn statement(
        &mut self,
        kind: PolicyType,
        scope: Scope,
        statement: &'a Statement,
        language: Version,
        named: &Truth,
    ) -> Vec<Part> {
        let mut opaque = BTreeSet::new();
        if let Truth::Unknown(reasons) = named {
            opaque.extend(reasons.iter().map(|why| self.opaque.number(why.to_string(), || why.clone())));
        }
        let mut atoms = BTreeSet::new();
        for condition in &statement.conditions {
            match self.condition(condition, language) {
                Asked::Always => {}
                Asked::Never => return Vec::new(),
                Asked::Depends(atom) => {
                    atoms.insert(atom);
                }
                Asked::Opaque(number) => {
                    opaque.insert(number);
                }
            }
        }
        let elements: Vec<&ActionPattern> = statement.actions.elements().iter().collect();
        let mut texts: Vec<String> = elements.iter().map(|pattern| pattern.as_str().to_ascii_lowercase()).collect();
        texts.sort_unstable();
        texts.dedup();
        let not = statement.actions.is_not();
        let actions = self.actions.number((not, texts), || Actions { not, patterns: elements });
        let places = if kind == PolicyType::Trust {
            vec![Place::All]
        } else {
            self.places(kind, statement.resources.as_ref(), language)
        };
        let whole =
            |place| Piece { place, atoms: atoms.iter().copied().collect(), opaque: opaque.iter().copied().collect() };
        let pieces: Vec<Piece> = places.into_iter().map(whole).collect();
        pieces.into_iter().map(|piece| Part { scope, actions, piece: self.piece(piece) }).collect()
    }

    fn places(
        &mut self,
        kind: PolicyType,
        clause: Option<&'a Clause<ResourcePattern>>,
        language: Version,
    ) -> Vec<Place> {
        let own = matches!(kind, PolicyType::Identity | PolicyType::Boundary | PolicyType::Session);
        match clause {
            None => vec![Place::All],
            Some(Clause::In(list)) if list.iter().any(|pattern| pattern.as_str() == "*") => vec![Place::All],
            Some(Clause::In(list)) => list.iter().map(|pattern| Place::In(self.unit(pattern, own, language))).collect(),
            Some(Clause::NotIn(list)) if list.is_empty() => vec![Place::All],
            Some(Clause::NotIn(list)) => {
                let units: BTreeSet<usize> = list.iter().map(|pattern| self.unit(pattern, own, language)).collect();
                vec![Place::But(units.into_iter().collect())]
            }
        }
    }

    fn unit(&mut self, pattern: &'a ResourcePattern, own: bool, language: Version) -> usize {
        let filled = language == Version::V2012 && pattern.has_variable();
        let own = own || !pattern.is_incomplete();
        let text = if filled { lowered(pattern.as_str()) } else { Cow::Borrowed(pattern.as_str()) };
        let free = if filled { self.free_of(pattern.compiled(language).variables()) } else { Vec::new() };
        if filled {
            self.write_down(pattern.compiled(language).variables());
        }

        self.units.number((text, own, filled), || Unit { pattern, language, own, free })
    }

    fn condition(&mut self, condition: &'a Condition, language: Version) -> Asked {
        let operator = condition.operator.as_str().to_ascii_lowercase();
        let key = condition.key.to_ascii_lowercase();
        let filled = language == Version::V2012 && condition.has_variable();
        let read = |value: &'a String| if filled { lowered(value) } else { Cow::Borrowed(value.as_str()) };
        let mut values: Vec<Cow<'a, str>> = condition.values.iter().map(read).collect();
        values.sort_unstable();
        values.dedup();
        if !condition.operator.is_known() {
            let text = format!("{operator} {key} {values:?}");
            let why = Why::NotUnderstood(format!(
                "the condition operator `{}` is not understood",
                condition.operator.as_str()
            ));
            return Asked::Opaque(self.opaque.number(text, || why));
        }
        self.write_down([&*condition.key].into_iter());
        self.write_down(condition.texts(language).flat_map(Glob::variables));
        let number = match self.atoms.known.get(&(operator.clone(), key.clone(), values.clone(), filled)) {
            Some(number) => *number,
            None => {
                let globs = condition.texts(language).flat_map(Glob::variables);
                let free = self.free_of(globs);
                let atom = Atom { condition, language, key: key.clone(), free };
                self.atoms.number((operator, key, values, filled), || atom)
            }
        };
        let fixed = match self.fixed.get(&number) {
            Some(fixed) => *fixed,
            None => {
                let fixed = self.fixed_truth(number);
                self.fixed.insert(number, fixed);
                fixed
            }
        };
        match fixed {
            Some(true) => Asked::Always,
            Some(false) => Asked::Never,
            None => Asked::Depends(number),
        }
    }

    fn write_down(&mut self, keys: impl Iterator<Item = &'a str>) {
        for key in keys {
            self.written.entry(key.to_ascii_lowercase()).or_insert(key);
        }
    }

    /// What a condition comes to in every request, where that is the same in all.
    fn fixed_truth(&self, number: usize) -> Option<bool> {
        let atom = self.atoms.get(number)?;
        if !atom.free.is_empty() || !self.is_fixed(&atom.key) {
            return None;
        }
        Some(atom.condition.holds(self.sample.context(), atom.language).is_true())
    }
}

/// A text with the names of its variables in lower case; their defaults stay as they are.
fn lowered(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let end = after.find(['}', ',']).unwrap_or(after.len());
        let (name, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        out.push_str(before);
        out.push_str("${");
        out.push_str(&name.to_ascii_lowercase());
        rest = tail;
    }
    out.push_str(rest);
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// What a condition comes to.
enum Asked {
    Always,
    Never,
    Depends(usize),
    Opaque(usize),
}

/// The lists of actions in which two stacks differ.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether a whole group of policies is new or gone.
    pub(super) everything: bool,
    pub(super) actions: BTreeSet<usize>,
}

impl Changes {
    pub(super) fn between(before: &Side, after: &Side) -> Self {
        let mut out = Self::default();
        for (a, b) in [
            (&before.identity, &after.identity),
            (&before.direct, &after.direct),
            (&before.role, &after.role),
            (&before.account, &after.account),
            (&before.denies, &after.denies),
        ] {
            out.add(a, b);
        }
        let groups = |side: &Side| -> BTreeMap<Scope, BTreeSet<Group>> {
            let mut out: BTreeMap<Scope, BTreeSet<Group>> = BTreeMap::new();
            for (scope, group) in &side.outer {
                out.entry(*scope).or_default().insert(group.clone());
            }
            out.insert(Scope::ForRole, side.ceilings.clone());
            out
        };
        let (a, b) = (groups(before), groups(after));
        for scope in [Scope::Always, Scope::UnderRcp, Scope::ForRole] {
            let none = BTreeSet::new();
            let (a, b) = (a.get(&scope).unwrap_or(&none), b.get(&scope).unwrap_or(&none));
            let (only_a, only_b): (Vec<&Group>, Vec<&Group>) = (a.difference(b).collect(), b.difference(a).collect());
            if only_a.len() != only_b.len() {
                out.everything = true;
            }
            only_a.into_iter().zip(only_b).for_each(|(a, b)| out.add(a, b));
        }
        out.everything |= before.has_resource != after.has_resource || before.has_trust != after.has_trust;
        out
    }

    fn add(&mut self, a: &Group, b: &Group) {
        self.actions.extend(a.symmetric_difference(b).map(|part| part.actions));
    }

    pub(super) fn are_none(&self) -> bool {
        !self.everything && self.actions.is_empty()
    }
}
