//! The search for a request that one of two stacks allows and the other does not.
//!
//! For each kind of action the resources fall into finitely many kinds, and for each of these the
//! values of every condition key. What is left is a formula on each side; where two formulas can
//! differ, a request is put together and decided by the engine on both sides. A difference that no
//! request shows leaves the answer open. What is not known for certain (a variable's value, an operator
//! that is not understood) counts as either, the same on both sides, so that nothing is proved by it.

mod resources;
mod witness;

use super::automaton::{MOST_STATES, Steps};
use super::classes::Class;
use super::domain::{Asking, Domain, Held};
use super::formula::{Any, Formula, Grants, How, Term};
use super::stack::{Both, Group, Place, Scope, Side};
use crate::arn::ArnText;
use crate::condition::Condition;
use crate::condition::operator::{Compares, Quantifier};
use crate::context::Context;
use crate::evaluate::decide::decide;
use crate::evaluate::decision::{Decision, Outcome};
use crate::evaluate::evaluation::Evaluation;
use crate::evaluate::policy_set::PolicySet;
use crate::evaluate::request::{Request, takes_rcps};
use crate::evaluate::view::View;
use crate::truth::Truth;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// So many steps are taken over the values of the keys for one kind of request.
const MOST_STEPS: usize = 20_000;
/// So many differences that no request shows, or only half, are looked at each way.
const MOST_FAILURES: usize = 24;
/// So many requests are tried for one difference.
const MOST_TRIES: usize = 200;
/// So many variants of one value, by what its variables come to.
const MOST_VARIANTS: usize = 64;

/// A request by what tells it apart, the requester aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) request: Request,
    pub(super) context: Vec<(String, Held)>,
}

/// What is known of one direction so far.
#[derive(Debug, Default)]
pub(super) struct Direction {
    shown: Option<Shown>,
    /// One that shows it on the requester's own side alone: another policy has to allow it too.
    on_own_side: Option<Shown>,
    /// Why it is not certain that there is nothing.
    open: Option<String>,
    /// How often nothing better was found.
    failures: usize,
}

impl Direction {
    fn wanted(&self) -> bool {
        self.shown.is_none() && self.failures < MOST_FAILURES
    }

    /// The best that was found, and what is open where nothing was.
    pub(super) fn found(self) -> (Option<Shown>, Option<String>) {
        (self.shown.or(self.on_own_side), self.open)
    }

    fn leave_open(&mut self, why: &str) {
        self.open.get_or_insert_with(|| why.to_owned());
    }
}

/// The pieces that count for one kind of action.
#[derive(Debug, PartialEq, Eq)]
struct Picked {
    groups: BTreeSet<BTreeSet<usize>>,
    ceilings: BTreeSet<BTreeSet<usize>>,
    identity: BTreeSet<usize>,
    direct: BTreeSet<usize>,
    role: BTreeSet<usize>,
    account: BTreeSet<usize>,
    denies: BTreeSet<usize>,
    /// Whether the policy on the resource must allow because a trust policy is in play.
    by_trust: bool,
}

impl Picked {
    fn all(&self) -> impl Iterator<Item = usize> {
        let sets = [&self.identity, &self.direct, &self.role, &self.account, &self.denies];
        let groups = self.groups.iter().chain(&self.ceilings);
        sets.into_iter().chain(groups).flatten().copied()
    }

    /// Whether it has all Allows of the other and no other Denies and limits, and so allows all that the
    /// other does.
    fn holds_all_of(&self, other: &Self) -> bool {
        let limits = |own: &BTreeSet<BTreeSet<usize>>, other: &BTreeSet<BTreeSet<usize>>| {
            own.iter().all(|group| other.iter().any(|narrower| narrower.is_subset(group)))
        };
        self.by_trust == other.by_trust
            && other.identity.is_subset(&self.identity)
            && other.direct.is_subset(&self.direct)
            && other.role.is_subset(&self.role)
            && other.account.is_subset(&self.account)
            && self.denies.is_subset(&other.denies)
            && limits(&self.groups, &other.groups)
            && limits(&self.ceilings, &other.ceilings)
    }

    /// The pieces in which two differ; `None` where that is no question of pieces.
    fn differing(&self, other: &Self) -> Option<BTreeSet<usize>> {
        let mut out = BTreeSet::new();
        if self.by_trust != other.by_trust {
            return None;
        }
        for (a, b) in [
            (&self.identity, &other.identity),
            (&self.direct, &other.direct),
            (&self.role, &other.role),
            (&self.account, &other.account),
            (&self.denies, &other.denies),
        ] {
            out.extend(a.symmetric_difference(b).copied());
        }
        for (a, b) in [(&self.groups, &other.groups), (&self.ceilings, &other.ceilings)] {
            let (a, b): (Vec<_>, Vec<_>) = (a.difference(b).collect(), b.difference(a).collect());
            if a.len() != b.len() {
                return None;
            }
            a.into_iter().zip(b).for_each(|(a, b)| out.extend(a.symmetric_difference(b).copied()));
        }
        Some(out)
    }
}

/// What a formula's condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Local {
    Condition(usize),
    /// A pattern with free variables matches.
    Matches(usize),
    /// It does not, and none of its variables lacks a value.
    Misses(usize),
    Opaque(usize),
    /// What a variable in the wrong place comes to, where it should match and where it should not.
    Early(usize, bool),
}

/// A pattern on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    /// A variable without a value keeps it from matching.
    Lacking,
    /// It depends on its variables' values.
    Free,
    /// A variable stands where AWS reads none.
    Early,
}

/// One value that something can take.
#[derive(Debug, Clone)]
struct Choice {
    holding: Term,
    /// Conditions that the value alone does not decide, since they have variables.
    guessed: Term,
    /// Whether it leaves a variable without a value.
    lacking: bool,
    held: Option<Held>,
}

impl Choice {
    /// What tells it apart, as far as these conditions are asked.
    fn kind(&self, asked: Term) -> (Term, Term, bool) {
        (self.holding & asked, self.guessed & asked, self.lacking)
    }
}

/// Something that takes one of several values.
#[derive(Debug)]
struct Axis {
    asked: Term,
    /// The condition key, in lower case; `None` for what no request can choose.
    key: Option<String>,
    choices: Vec<Choice>,
    last: bool,
}

/// One kind of request: an action and a resource.
struct Cell<'c> {
    class: &'c Class,
    request: Request,
    /// Whether only the requester's side is asked about.
    own_side: bool,
    /// Whether the resource decides `aws:ResourceAccount`.
    owned: bool,
    locals: Vec<Local>,
}

/// Something by which resources are told apart, though no policy has it as its pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Observer {
    /// AWS's own rules do: a pattern of which every segment is compared apart.
    Rule(String),
    /// A pattern does, with a value that a condition asks of the key of its variable.
    Filled(usize, String),
}

/// Patterns, which of them are wanted, and what else tells resources apart.
type Patterns = (Vec<usize>, Vec<usize>, Vec<Observer>);

pub(super) struct Search<'s, 'a> {
    both: &'s Both<'a>,
    sides: [&'s Side; 2],
    layers: [&'a PolicySet; 2],
    /// What is allowed after and was not before, and the other way round.
    pub(super) gained: Direction,
    pub(super) lost: Direction,
    domains: HashMap<(String, Vec<usize>), Rc<Domain>>,
    resources: HashMap<Patterns, Option<Rc<[String]>>>,
    steps: usize,
    /// Whether there may be something in the kind of action that is looked at.
    may_gain: bool,
    may_lose: bool,
    /// What is left to be spent on the whole comparison.
    states: usize,
    work: usize,
}

const FOR_ROLES: [&str; 6] = [
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:tagsession",
    "sts:setsourceidentity",
    "sts:setcontext",
];

const RESOURCE_ACCOUNT: &str = "aws:resourceaccount";

impl<'s, 'a> Search<'s, 'a> {
    pub(super) fn new(both: &'s Both<'a>, sides: [&'s Side; 2], layers: [&'a PolicySet; 2]) -> Self {
        Self {
            both,
            sides,
            layers,
            gained: Direction::default(),
            lost: Direction::default(),
            domains: HashMap::new(),
            resources: HashMap::new(),
            steps: 0,
            may_gain: true,
            may_lose: true,
            states: 20 * MOST_STATES,
            work: 50 * MOST_STEPS,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        !self.gained.wanted() && !self.lost.wanted()
    }

    pub(super) fn leave_open(&mut self, why: &str) {
        if self.may_gain {
            self.gained.leave_open(why);
        }
        if self.may_lose {
            self.lost.leave_open(why);
        }
    }

    fn pick(&self, side: &Side, class: &Class) -> Picked {
        let for_role = FOR_ROLES.contains(&class.action.lower());
        let counts = |scope: Scope| match scope {
            Scope::Always => true,
            Scope::UnderRcp => takes_rcps(class.action.service()),
            Scope::ForRole => for_role,
        };
        let of = |group: &Group| -> BTreeSet<usize> {
            let named = group.iter().filter(|part| counts(part.scope) && class.holds.get(part.actions) == Some(&true));
            named.map(|part| part.piece).collect()
        };
        let whole = |pieces: &BTreeSet<usize>| {
            pieces.iter().any(|piece| {
                self.both
                    .pieces
                    .get(*piece)
                    .is_some_and(|piece| piece.place == Place::All && piece.atoms.is_empty() && piece.opaque.is_empty())
            })
        };
        Picked {
            groups: side
                .outer
                .iter()
                .filter(|(scope, _)| counts(*scope))
                .map(|(_, group)| of(group))
                .filter(|pieces| !whole(pieces))
                .collect(),
            ceilings: side.ceilings.iter().map(of).filter(|pieces| !whole(pieces)).collect(),
            identity: of(&side.identity),
            direct: of(&side.direct),
            role: of(&side.role),
            account: of(&side.account),
            denies: of(&side.denies),
            by_trust: for_role && side.has_trust,
        }
    }

    /// Looks at one kind of action.
    pub(super) fn class(&mut self, class: &Class) {
        let [before, after] = self.sides.map(|side| self.pick(side, class));
        if before == after {
            return;
        }
        let on_resource = self.sides.iter().any(|side| side.has_resource) || before.by_trust || after.by_trust;
        let own_side = !on_resource && self.both.sample.has_own_policies();
        self.may_gain = !before.holds_all_of(&after);
        self.may_lose = !after.holds_all_of(&before);
        if !self.asks_for_more() {
            return;
        }
        let kinds = self.kinds(class, &before, &after, own_side);
        self.each_resource(class, &kinds.some, own_side, [&before, &after]);
        if self.asks_for_more() {
            match self.others(&kinds) {
                Some(others) => self.each_resource(class, &others, own_side, [&before, &after]),
                None => self.leave_open(&format!(
                    "the resource patterns for `{}` are too many to be told apart",
                    class.action.as_str()
                )),
            }
        }
    }

    /// Whether something that there may be was not found yet.
    fn asks_for_more(&self) -> bool {
        (self.may_gain && self.gained.wanted()) || (self.may_lose && self.lost.wanted())
    }

    fn each_resource(&mut self, class: &Class, resources: &[String], own_side: bool, picked: [&Picked; 2]) {
        for resource in resources {
            if self.asks_for_more() {
                self.resource(class, resource, own_side, picked);
            }
        }
    }

    fn fit(&self, unit: usize, cell: &Cell<'_>) -> Fit {
        let Some(unit) = self.both.units.get(unit) else { return Fit::No };
        if !unit.own {
            return Fit::No;
        }
        let (text, context) = (cell.request.resource().as_str(), cell.request.context());
        let glob = unit.pattern.compiled(unit.language);
        let free = unit.free.iter().any(|key| !(cell.owned && key == RESOURCE_ACCOUNT));
        if let Some(asked) = cell.request.resource().asked() {
            if unit.pattern.as_str() == text && !unit.pattern.has_variable() {
                return Fit::Yes;
            }
            return match unit.pattern.meets(asked, true, context, unit.language) {
                Truth::True => Fit::Yes,
                Truth::False if unit.pattern.lacks_value(text, true, context, unit.language) => Fit::Lacking,
                Truth::False => Fit::No,
                Truth::Unknown(_) => Fit::Early,
            };
        }
        if free {
            return if Steps::generous(glob).matches(text) { Fit::Free } else { Fit::No };
        }
        match unit.pattern.matches_in(text, context, unit.language) {
            Truth::True => Fit::Yes,
            Truth::False if unit.pattern.lacks_value(text, false, context, unit.language) => Fit::Lacking,
            Truth::False => Fit::No,
            Truth::Unknown(_) => Fit::Early,
        }
    }

    /// Looks at one kind of action on one kind of resource.
    fn resource(&mut self, class: &Class, resource: &str, own_side: bool, picked: [&Picked; 2]) {
        let request = self.request(class, resource, Context::closed());
        if request.never_allowed().is_some() {
            return;
        }
        let owned = !class.action.on_resources() || names_account(resource);
        let mut cell = Cell { class, request, own_side, owned, locals: Vec::new() };
        let formulas = picked.map(|picked| self.formula(picked, &mut cell));
        let [Some(before), Some(after)] = formulas else {
            self.leave_open(&format!("the conditions for `{}` are too many to be told apart", class.action.as_str()));
            return;
        };
        if before == after {
            return;
        }
        let Some(axes) = self.axes(&cell, before.atoms() | after.atoms()) else {
            self.leave_open(&format!("the variables for `{}` are too many to be told apart", class.action.as_str()));
            return;
        };
        self.steps = 0;
        self.explore(&cell, &axes, &[before, after], &mut Vec::new());
    }

    fn request(&self, class: &Class, resource: &str, context: Context) -> Request {
        // As evaluation cases have it: a name without an account is of the requester's.
        let owner = if names_account(resource) { None } else { self.both.owner };
        Request::new(self.both.requester.clone(), class.action.as_str(), resource, owner, context)
    }

    /// What one side comes to; `None` where it has too many conditions.
    fn formula(&self, picked: &Picked, cell: &mut Cell<'_>) -> Option<Formula> {
        let mut any = |pieces: &BTreeSet<usize>| -> Option<Any> {
            let mut terms = Vec::new();
            for piece in pieces {
                terms.extend(self.term(*piece, cell)?);
            }
            Some(Any::new(terms))
        };
        let mut groups: Vec<Any> = picked.groups.iter().map(&mut any).collect::<Option<_>>()?;
        let ceilings: Vec<Any> = picked.ceilings.iter().map(&mut any).collect::<Option<_>>()?;
        let (identity, denies) = (any(&picked.identity)?, any(&picked.denies)?);
        let (direct, role, account) = (any(&picked.direct)?, any(&picked.role)?, any(&picked.account)?);
        if cell.own_side {
            groups.extend(ceilings);
            groups.push(identity);
            return Some(Formula::new(groups, denies, None));
        }
        let how = match (cell.request.account(), cell.request.resource_account()) {
            _ if !cell.request.has_own_policies() => How::Granted,
            (Some(account), Some(owner)) if account == owner => {
                How::Same { needs: cell.request.needs_resource_policy() || picked.by_trust }
            }
            _ => How::Across,
        };
        let grants = Grants { direct, role, account, ceilings, identity, how };
        Some(Formula::new(groups, denies, Some(grants)))
    }

    /// Whether a request for this resource can choose what a key, in lower case, holds.
    fn is_free(&self, key: &str, cell: &Cell<'_>) -> bool {
        let owned = cell.owned && key == RESOURCE_ACCOUNT;
        !(owned || self.both.is_fixed(key))
    }

    /// A piece on a resource: no term where it does not match, `None` where there are too many.
    fn term(&self, piece: usize, cell: &mut Cell<'_>) -> Option<Option<Term>> {
        let Some(piece) = self.both.pieces.get(piece) else { return Some(None) };
        let mut locals: Vec<Local> = piece.opaque.iter().map(|number| Local::Opaque(*number)).collect();
        match &piece.place {
            Place::All => {}
            Place::In(unit) => match self.fit(*unit, cell) {
                Fit::Yes => {}
                Fit::No | Fit::Lacking => return Some(None),
                Fit::Free => locals.push(Local::Matches(*unit)),
                Fit::Early => locals.push(Local::Early(*unit, true)),
            },
            Place::But(units) => {
                let mut lacking = false;
                for unit in units {
                    match self.fit(*unit, cell) {
                        Fit::No => {}
                        Fit::Yes => return Some(None),
                        Fit::Lacking => lacking = true,
                        Fit::Free => locals.push(Local::Misses(*unit)),
                        Fit::Early => locals.push(Local::Early(*unit, false)),
                    }
                }
                if lacking {
                    return Some(None);
                }
            }
        }
        for number in &piece.atoms {
            let Some(atom) = self.both.atoms.get(*number) else { continue };
            if self.is_free(&atom.key, cell) || atom.free.iter().any(|key| self.is_free(key, cell)) {
                locals.push(Local::Condition(*number));
            } else if !atom.condition.holds(cell.request.context(), atom.language).is_true() {
                return Some(None);
            }
        }
        let mut term = 0;
        for local in locals {
            term |= bit(&mut cell.locals, local)?;
        }
        Some(Some(term))
    }

    /// What can take which values, as far as the formulas ask; `None` where there are too many.
    fn axes(&mut self, cell: &Cell<'_>, asked: Term) -> Option<Vec<Axis>> {
        let mut by_key: BTreeMap<&str, Vec<(usize, Term)>> = BTreeMap::new();
        let mut units: BTreeMap<usize, (Term, Term)> = BTreeMap::new();
        let mut out = Vec::new();
        let either = |bit: Term| Axis {
            asked: bit,
            key: None,
            choices: [0, bit].map(|holding| Choice { holding, guessed: 0, lacking: false, held: None }).into(),
            last: true,
        };
        for (at, local) in cell.locals.iter().enumerate() {
            let bit = 1 << at;
            if asked & bit == 0 {
                continue;
            }
            match local {
                Local::Condition(number) => {
                    let atom = self.both.atoms.get(*number)?;
                    if !self.is_free(&atom.key, cell) {
                        out.push(Axis { last: false, ..either(bit) });
                    } else {
                        by_key.entry(&atom.key).or_default().push((*number, bit));
                    }
                }
                Local::Matches(unit) => units.entry(*unit).or_default().0 |= bit,
                Local::Misses(unit) => units.entry(*unit).or_default().1 |= bit,
                Local::Opaque(_) | Local::Early(..) => out.push(either(bit)),
            }
        }
        let mut tied: BTreeMap<&str, Vec<(usize, Term, Term)>> = BTreeMap::new();
        for (unit, (matches, misses)) in units {
            let free = &self.both.units.get(unit)?.free;
            if let [key] = free.as_slice() {
                tied.entry(key).or_default().push((unit, matches, misses));
                by_key.entry(key).or_default();
            } else {
                let choices = [matches, misses, 0]
                    .map(|holding| Choice { holding, guessed: 0, lacking: false, held: None })
                    .into();
                out.push(Axis { asked: matches | misses, key: None, choices, last: false });
            }
        }
        for (key, conditions) in by_key {
            let tied = tied.remove(key).unwrap_or_default();
            let axis = self.key_axis(cell, key, &conditions, &tied)?;
            out.push(axis);
        }
        Some(out)
    }

    /// Whether a variable in play stands for the value of a key.
    fn fills_a_variable(&self, cell: &Cell<'_>, key: &str) -> bool {
        cell.locals.iter().any(|local| match local {
            Local::Condition(number) => {
                self.both.atoms.get(*number).is_some_and(|atom| atom.free.iter().any(|own| own == key))
            }
            Local::Matches(unit) | Local::Misses(unit) => {
                self.both.units.get(*unit).is_some_and(|unit| unit.free.iter().any(|own| own == key))
            }
            Local::Opaque(_) | Local::Early(..) => false,
        })
    }

    /// The values of a condition key, each with what it comes to.
    fn key_axis(
        &mut self,
        cell: &Cell<'_>,
        key: &str,
        conditions: &[(usize, Term)],
        tied: &[(usize, Term, Term)],
    ) -> Option<Axis> {
        let both = self.both;
        let numbers: Vec<usize> = conditions.iter().map(|(number, _)| *number).collect();
        let read = |context: &Context| {
            let atoms = conditions.iter().filter_map(|(number, _)| both.atoms.get(*number));
            let asking: Vec<Asking<'_>> = atoms.map(|atom| (atom.condition, atom.language)).collect();
            Rc::new(Domain::new(key, &asking, context))
        };
        let atoms = conditions.iter().filter_map(|(number, _)| both.atoms.get(*number));
        let domain = if atoms.flat_map(|atom| &atom.free).any(|key| key == RESOURCE_ACCOUNT) {
            read(cell.request.context())
        } else {
            Rc::clone(self.domains.entry((key.to_owned(), numbers)).or_insert_with(|| read(both.sample.context())))
        };
        if domain.partial {
            self.leave_open(&format!("the values of `{key}` are too many to be told apart"));
        }
        let mut asked = conditions.iter().fold(0, |all, (_, bit)| all | bit);
        asked |= tied.iter().fold(0, |all, (_, matches, misses)| all | matches | misses);
        let always = key == RESOURCE_ACCOUNT
            || (key == "aws:viaawsservice"
                && !matches!(both.requester, crate::evaluate::requester::Requester::Service(_)));
        let fills = self.fills_a_variable(cell, key);
        let mut choices: Vec<Choice> = Vec::new();
        for held in domain.values.iter().filter(|held| !(always && **held == Held::Absent)) {
            let context = held.put(cell.request.context().clone(), key);
            let (mut sure, mut guessed, mut pinned) = (0, 0, false);
            let lacking = fills && !matches!(held, Held::One(_));
            let mut open: Vec<[Term; 2]> = Vec::new();
            for (number, bit) in conditions {
                let atom = both.atoms.get(*number)?;
                let varies = atom.free.iter().any(|key| !(cell.owned && key == RESOURCE_ACCOUNT));
                // Without their variables' values.
                let holds = atom.condition.holds(&context, atom.language).is_true();
                let is_open = varies && *held != Held::Absent && holds == atom.condition.operator.is_negated();
                if is_open {
                    guessed |= bit;
                    open.push([0, *bit]);
                } else if holds {
                    sure |= bit;
                    pinned |= !varies && pins(atom.condition, held);
                }
            }
            for (unit, matches, misses) in tied {
                let unit = both.units.get(*unit)?;
                let text = cell.request.resource().as_str();
                if pinned || !matches!(held, Held::One(_)) {
                    let matched = unit.pattern.matches_in(text, &context, unit.language).is_true();
                    let lacks = unit.pattern.lacks_value(text, false, &context, unit.language);
                    sure |= if matched {
                        *matches
                    } else if lacks {
                        0
                    } else {
                        *misses
                    };
                } else {
                    guessed |= matches | misses;
                    open.push([*matches, *misses]);
                }
            }
            if 1_usize.checked_shl(u32::try_from(open.len()).ok()?).is_none_or(|count| count > MOST_VARIANTS) {
                return None;
            }
            let mut variants = vec![sure];
            for pair in open {
                variants = variants.iter().flat_map(|term| pair.map(|bits| term | bits)).collect();
            }
            for holding in variants {
                let choice = Choice { holding, guessed, lacking, held: Some(held.clone()) };
                if !choices.iter().any(|known| known.kind(Term::MAX) == choice.kind(Term::MAX)) {
                    choices.push(choice);
                }
            }
        }
        Some(Axis { asked, key: Some(key.to_owned()), choices, last: false })
    }

    /// Goes through the values of everything that the formulas still depend on.
    fn explore(&mut self, cell: &Cell<'_>, axes: &[Axis], formulas: &[Formula; 2], chosen: &mut Vec<(usize, usize)>) {
        self.steps += 1;
        self.work = self.work.saturating_sub(1);
        let [before, after] = formulas;
        let (was, is) = (before.value(), after.value());
        let gain = self.may_gain && self.gained.wanted() && was != Some(true) && is != Some(false);
        let loss = self.may_lose && self.lost.wanted() && was != Some(false) && is != Some(true);
        if before == after || !(gain || loss) {
            return;
        }
        if self.steps >= MOST_STEPS || self.work == 0 {
            self.leave_open(&format!(
                "the conditions for `{}` are too many to be told apart",
                cell.class.action.as_str()
            ));
            return;
        }
        if let (Some(_), Some(is)) = (was, is) {
            self.show(cell, axes, chosen, is);
            return;
        }
        let asked = before.atoms() | after.atoms();
        let (mine, other) = (before.terms(), after.terms());
        let differing = mine.iter().filter(|term| !other.contains(term));
        let differing =
            differing.chain(other.iter().filter(|term| !mine.contains(term))).fold(0, |all, term| all | term);
        let open = axes.iter().enumerate().filter(|(_, axis)| axis.asked & asked != 0);
        let rank = |axis: &Axis| (axis.last, axis.asked & differing == 0, axis.choices.len());
        let Some((at, axis)) = open.min_by_key(|(_, axis)| rank(axis)) else { return };
        let mut seen: Vec<(Term, Term, bool)> = Vec::new();
        for (number, choice) in axis.choices.iter().enumerate() {
            let kind = choice.kind(asked);
            if seen.contains(&kind) {
                continue;
            }
            seen.push(kind);
            chosen.push((at, number));
            let next = [before.assign(axis.asked, choice.holding), after.assign(axis.asked, choice.holding)];
            self.explore(cell, axes, &next, chosen);
            chosen.pop();
        }
    }
}

/// What a request comes to on one side.
pub(super) fn outcome(request: &Request, layers: &PolicySet, own_side: bool) -> Outcome {
    decision(request, layers, own_side).outcome
}

pub(super) fn decision<'l>(request: &Request, layers: &'l PolicySet, own_side: bool) -> Decision<'l> {
    if own_side {
        let view = View { own_side, ..View::new(request, layers) };
        return Evaluation::new(request, view).decide();
    }
    decide(request, layers)
}

fn bit(locals: &mut Vec<Local>, local: Local) -> Option<Term> {
    let at = locals.iter().position(|known| *known == local).unwrap_or_else(|| {
        locals.push(local);
        locals.len() - 1
    });
    1_u128.checked_shl(u32::try_from(at).ok()?)
}

/// Whether a condition that holds leaves the key no other value than one that is written.
fn pins(condition: &Condition, held: &Held) -> bool {
    let Held::One(value) = held else { return false };
    asks_for_a_value(condition) && condition.values.contains(value)
}

/// Whether a key that is there passes with the values that are written only.
fn asks_for_a_value(condition: &Condition) -> bool {
    condition.compares() == Some(Compares::Text)
        && condition.operator.quantifier() == Quantifier::Single
        && condition.operator.as_str().to_ascii_lowercase().trim_end_matches("ifexists") == "stringequals"
}

fn names_account(resource: &str) -> bool {
    ArnText(resource).account_id().is_some()
}
