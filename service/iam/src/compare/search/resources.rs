//! The kinds of resources that the patterns in play can tell apart, with one resource of each.

use super::super::automaton::{Asked, MOST_STATES, Steps, together};
use super::super::classes::Class;
use super::super::stack::Place;
use super::{FOR_ROLES, Observer, Patterns, Picked, RESOURCE_ACCOUNT, Search, asks_for_a_value};
use crate::arn::{AccountId, Arn};
use crate::catalogue::{Action, catalogue};
use crate::evaluate::request::{CHANGES_OF_POLICIES, CHANGES_OF_ROLES};
use crate::matching::arn_format::with_stars;
use crate::matching::glob::overlap::Token;
use crate::matching::glob::{Glob, Mode};
use crate::matching::overlap::overlaps;
use crate::matching::pattern::ResourcePattern;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

/// So many states are looked at for resources whose names have any number of colons. Since a star may run
/// over colons, one name can match many patterns at once: beyond, names have few colons.
const FEW_STATES: usize = 4_000;

/// What tells resources apart for one kind of action.
pub(super) struct Kinds {
    patterns: Patterns,
    /// Resources at hand.
    pub(super) some: Vec<String>,
    /// Whether these are of all kinds.
    are_all: bool,
}

/// What AWS itself owns.
const OWNED_BY_AWS: &str = "*:*:*:*:aws:*";

impl Search<'_, '_> {
    /// What tells resources apart where two sides differ, and some resources.
    pub(super) fn kinds(&self, class: &Class, before: &Picked, after: &Picked, own_side: bool) -> Kinds {
        if !class.action.on_resources() {
            return Kinds { patterns: Patterns::default(), some: vec!["*".to_owned()], are_all: true };
        }
        let both = self.both;
        let place = |piece: &usize| both.pieces.get(*piece).map(|piece| &piece.place);
        let units_of = |pieces: &BTreeSet<usize>| -> BTreeSet<usize> {
            let each = pieces.iter().filter_map(place).flat_map(|place| match place {
                Place::All => &[][..],
                Place::In(unit) => std::slice::from_ref(unit),
                Place::But(units) => units,
            });
            each.copied().filter(|unit| both.units.get(*unit).is_some_and(|unit| unit.own)).collect()
        };
        let pieces: BTreeSet<usize> = before.all().chain(after.all()).collect();
        let differing = before.differing(after);
        let narrow = differing.filter(|pieces| pieces.iter().filter_map(place).all(|p| matches!(p, Place::In(_))));
        let mut units = units_of(&pieces);
        let wanted = narrow.map(|pieces| units_of(&pieces)).unwrap_or_default();
        if !wanted.is_empty() {
            units.retain(|unit| wanted.contains(unit) || wanted.iter().any(|other| self.meet(*unit, *other)));
        }
        let units: Vec<usize> = units.into_iter().collect();
        let wanted: Vec<usize> = units.iter().enumerate().filter(|(_, u)| wanted.contains(u)).map(|(n, _)| n).collect();
        let rules = self.observers(class, &pieces, own_side).into_iter().map(Observer::Rule);
        let observers: Vec<Observer> = rules.chain(self.filled(&units, &pieces)).collect();
        if observers.is_empty()
            && let Some(one_each) = self.apart(class, &units, &wanted)
        {
            return Kinds { patterns: (units, wanted, observers), some: one_each, are_all: true };
        }
        let some = self.seeds(class, &units, &wanted);
        Kinds { patterns: (units, wanted, observers), some, are_all: false }
    }

    /// A resource of every kind that is not among those already at hand; `None` where the kinds are too
    /// many.
    pub(super) fn others(&mut self, kinds: &Kinds) -> Option<Vec<String>> {
        if kinds.are_all {
            return Some(Vec::new());
        }
        let key = &kinds.patterns;
        let found = match self.resources.get(key) {
            Some(found) => found.clone(),
            None => {
                let found = self.enumerate(&key.0, &key.1, &key.2);
                self.resources.insert(key.clone(), found.clone());
                found
            }
        }?;
        let steps: Vec<Steps> = key.2.iter().map(|observer| self.steps_of(observer)).collect();
        let kind = |text: &String| -> (Vec<bool>, Vec<bool>) {
            let fits = key.0.iter().map(|unit| self.generously_matches(*unit, text)).collect();
            (fits, steps.iter().map(|steps| steps.matches(text)).collect())
        };
        let known: BTreeSet<_> = kinds.some.iter().map(kind).collect();
        Some(found.iter().filter(|text| !known.contains(&kind(text))).cloned().collect())
    }

    /// Whether a resource may match two patterns at once. Never wrongly no.
    fn meet(&self, one: usize, other: usize) -> bool {
        let whole = |number: usize| {
            let pattern = self.both.units.get(number)?.pattern;
            // AWS completes what is no whole ARN.
            let text = pattern.as_str();
            Some(if pattern.is_incomplete() { Cow::Owned(format!("{text}:*")) } else { Cow::Borrowed(text) })
        };
        whole(one).zip(whole(other)).is_none_or(|(one, other)| overlaps(&one, &other))
    }

    /// A resource for each of the wanted patterns, where no resource matches two of the patterns; `None`
    /// where that is not so, or none is at hand.
    fn apart(&self, class: &Class, units: &[usize], wanted: &[usize]) -> Option<Vec<String>> {
        if wanted.is_empty() || wanted.len() != units.len() || units.len() > 16 {
            return None;
        }
        let alone = |(n, one): (usize, &usize)| units.iter().skip(n + 1).all(|other| !self.meet(*one, *other));
        if !units.iter().enumerate().all(alone) {
            return None;
        }
        let account = self.account();
        let example = |number: &usize| {
            let text = plausible(self.both.units.get(*number)?.pattern, class.action.service(), &account);
            (is_resource(&text) && self.generously_matches(*number, &text)).then_some(text)
        };
        units.iter().map(example).collect()
    }

    /// The account that examples are of.
    fn account(&self) -> String {
        self.both.requester.account_id().map_or_else(|| "111122223333".to_owned(), |id| id.to_string())
    }

    fn generously_matches(&self, unit: usize, resource: &str) -> bool {
        let Some(unit) = self.both.units.get(unit) else { return false };
        let (glob, context) = (unit.pattern.compiled(unit.language), self.both.sample.context());
        match glob.matches_in(resource, context) {
            Ok(matched) if unit.free.is_empty() => matched,
            _ => Steps::generous(glob).matches(resource),
        }
    }

    /// Patterns with one variable, each with the values that conditions ask of its key.
    fn filled(&self, units: &[usize], pieces: &BTreeSet<usize>) -> BTreeSet<Observer> {
        let mut out = BTreeSet::new();
        for number in units {
            let Some([key]) = self.both.units.get(*number).map(|unit| unit.free.as_slice()) else { continue };
            if key == RESOURCE_ACCOUNT {
                // It follows from the ARN, where that names an account.
                let named =
                    units.iter().filter_map(|unit| account_segment(self.both.units.get(*unit)?.pattern.as_str()));
                let accounts = named.map(str::to_owned).chain([self.account(), self.both.foreign().to_owned()]);
                out.extend(accounts.map(|account| Observer::Filled(*number, account)));
            }
            let pieces = pieces.iter().filter_map(|piece| self.both.pieces.get(*piece));
            let atoms = pieces.flat_map(|piece| &piece.atoms).filter_map(|atom| self.both.atoms.get(*atom));
            for atom in
                atoms.filter(|atom| atom.key == *key && atom.free.is_empty() && asks_for_a_value(atom.condition))
            {
                out.extend(atom.condition.values.iter().map(|value| Observer::Filled(*number, value.clone())));
            }
        }
        out
    }

    fn steps_of(&self, observer: &Observer) -> Steps {
        match observer {
            Observer::Rule(text) => rule(text),
            Observer::Filled(number, value) => {
                let Some(unit) = self.both.units.get(*number) else { return Steps::new(Vec::new(), false) };
                let glob = unit.pattern.compiled(unit.language);
                let context = self.both.sample.context().clone();
                let context = unit.free.iter().fold(context, |context, key| context.set(key, [value.as_str()]));
                Steps::new(glob.walk(Some(&context)).unwrap_or_default(), false)
            }
        }
    }

    fn enumerate(&mut self, units: &[usize], wanted: &[usize], observers: &[Observer]) -> Option<Rc<[String]>> {
        let context = self.both.sample.context();
        let of = |unit: &usize| {
            let unit = self.both.units.get(*unit)?;
            let glob = unit.pattern.compiled(unit.language);
            Some(if unit.free.is_empty() { Steps::filled(glob, context) } else { Steps::generous(glob) })
        };
        let mut patterns: Vec<Steps> = units.iter().filter_map(of).collect();
        patterns.extend(observers.iter().map(|observer| self.steps_of(observer)));
        let accounts = units.iter().filter_map(|unit| account_segment(self.both.units.get(*unit)?.pattern.as_str()));
        let by_rule = observers.contains(&Observer::Rule(OWNED_BY_AWS.to_owned())).then_some("aws");
        let accounts: BTreeSet<&str> = accounts.chain(by_rule).collect();
        // A star may run over colons. No name of a resource begins with an account.
        let within = |id: &str| {
            units.iter().filter_map(|unit| self.both.units.get(*unit)).any(|unit| {
                let name = unit.pattern.as_str().splitn(6, ':').nth(5);
                name.is_some_and(|name| name.contains(&format!("{id}:")))
            })
        };
        let forbidden =
            accounts.iter().filter(|id| !within(id)).flat_map(|id| [format!("{id}:*"), format!("*:{id}:*")]);
        let forbidden: Vec<Steps> = forbidden.map(|name| rule(&format!("*:*:*:*:*:{name}"))).collect();
        let owners: Vec<&str> = ["", "????????????"].into_iter().chain(accounts).collect();
        let name = |unit: &usize| self.both.units.get(*unit)?.pattern.as_str().splitn(6, ':').nth(5);
        let colons = units.iter().filter_map(name).map(|name| name.matches(':').count()).max().unwrap_or_default();
        let mut found = None;
        for (most, states) in [(None, FEW_STATES), (Some(colons + 1), MOST_STATES)] {
            let universe: Vec<Steps> = owners.iter().flat_map(|owner| arns_of(owner, most)).collect();
            let asked =
                Asked { patterns: &patterns, universe: &universe, forbidden: &forbidden, wanted, without: &['*'] };
            let given = states.min(self.states);
            let mut left = given;
            found = together(&asked, &mut left);
            self.states -= given - left;
            if found.is_some() {
                break;
            }
        }
        let found = found?;
        Some(found.into_iter().map(|found| found.text).collect())
    }

    /// Patterns that nobody wrote, but by which AWS's own rules tell resources apart.
    fn observers(&self, class: &Class, pieces: &BTreeSet<usize>, own_side: bool) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let (service, name) = class.action.lower().split_once(':').unwrap_or_default();
        let account = self.both.requester.account_id();
        if !own_side {
            out.extend(account.map(|account| format!("*:*:*:*:{account}:*")));
            out.push(format!("*:*:*:*:{}:*", self.both.foreign()));
            if FOR_ROLES.contains(&class.action.lower()) {
                out.push("*:*:*:*:*:role/*".to_owned());
            }
            if service == "kms" {
                out.push("*:*:*:*:*:key/*".to_owned());
            }
        }
        match service {
            "iam" if CHANGES_OF_POLICIES.contains(&name) => out.push(OWNED_BY_AWS.to_owned()),
            "iam" if CHANGES_OF_ROLES.contains(&name) => {
                out.extend(["aws-reserved", "aws-service-role"].map(|path| format!("*:*:*:*:*:role/{path}/*")));
            }
            "kms" if name.ends_with("alias") => out.push("*:*:*:*:*:alias/aws/*".to_owned()),
            _ => {}
        }
        let atoms = pieces.iter().filter_map(|piece| self.both.pieces.get(*piece)).flat_map(|piece| &piece.atoms);
        let atoms = atoms.filter_map(|atom| self.both.atoms.get(*atom));
        let on_account =
            |key: &str, free: &[String]| key == RESOURCE_ACCOUNT || free.iter().any(|k| k == RESOURCE_ACCOUNT);
        let mut accounts: BTreeSet<String> = BTreeSet::new();
        for atom in atoms.filter(|atom| on_account(&atom.key, &atom.free)) {
            accounts.extend(atom.condition.values.iter().filter(|v| v.parse::<AccountId>().is_ok()).cloned());
            accounts.extend(account.map(|account| account.to_string()));
            accounts.insert(self.both.foreign().to_owned());
        }
        out.extend(accounts.into_iter().map(|account| format!("*:*:*:*:{account}:*")));
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Resources that look like some: those of the action's types, and of the patterns.
    fn seeds(&self, class: &Class, units: &[usize], wanted: &[usize]) -> Vec<String> {
        let account = self.account();
        let fill = |name: &str| {
            Some(match name {
                "Partition" => "aws".to_owned(),
                "Region" => "eu-west-1".to_owned(),
                "Account" => account.clone(),
                _ => "example".to_owned(),
            })
        };
        let listed = class.action.number().and_then(|number| catalogue().actions().get(number));
        let forms = listed.into_iter().flat_map(Action::resource_types);
        let forms: Vec<String> = forms.map(|used| with_stars(used.resource_type.arn, fill)).collect();
        let chosen = |n: usize| wanted.is_empty() || wanted.contains(&n);
        let units = units.iter().enumerate().filter(|(n, _)| chosen(*n)).take(12);
        let patterns = units.filter_map(|(_, unit)| self.both.units.get(*unit));
        let patterns = patterns.map(|unit| plausible(unit.pattern, class.action.service(), &account));
        let first = patterns.chain(forms.into_iter().take(6));
        first.filter(|text| is_resource(text)).collect()
    }
}

fn is_resource(text: &str) -> bool {
    !text.contains('*') && text.parse::<Arn>().is_ok()
}

/// The ARNs of an account, with so many colons in their names at most.
fn arns_of(account: &str, most: Option<usize>) -> Vec<Steps> {
    let mut out: Vec<Token> = "arn:".chars().map(Token::Lit).collect();
    for _ in 0..2 {
        out.extend([Token::OneWithin, Token::Within, Token::Lit(':')]);
    }
    out.extend([Token::Within, Token::Lit(':')]);
    out.extend(account.chars().map(|c| if c == '?' { Token::OneWithin } else { Token::Lit(c) }));
    out.push(Token::Lit(':'));
    let Some(most) = most else {
        out.extend([Token::One, Token::Any]);
        return vec![Steps::new(out, false)];
    };
    out.extend([Token::OneWithin, Token::Within]);
    let mut all = vec![Steps::new(out.clone(), false)];
    for _ in 0..most {
        out.extend([Token::Lit(':'), Token::Within]);
        all.push(Steps::new(out.clone(), false));
    }
    all
}

/// The account segment of a pattern, where it is written out.
fn account_segment(pattern: &str) -> Option<&str> {
    let mut segments = pattern.splitn(6, ':').skip(4);
    let account = segments.next().filter(|account| !account.is_empty() && !account.contains(['*', '?', '$']))?;
    segments.next().map(|_| account)
}

/// A pattern of which every segment is compared apart.
fn rule(text: &str) -> Steps {
    Steps::generous(&Glob::plain(text, Mode::Arn))
}

/// A resource that looks like one that the pattern means.
fn plausible(pattern: &ResourcePattern, service: &str, account: &str) -> String {
    let mut out = String::new();
    for (n, segment) in pattern.as_str().splitn(6, ':').enumerate() {
        let whole = match n {
            1 => "aws",
            2 => service,
            3 => "eu-west-1",
            4 => account,
            _ => "example",
        };
        let filled = if segment == "*" { whole.to_owned() } else { filled(segment) };
        out.push_str(if n == 0 { "" } else { ":" });
        out.push_str(&filled);
    }
    out
}

/// A text with its wildcards and variables filled.
fn filled(text: &str) -> String {
    let text = with_stars(text, |name| matches!(name, "*" | "?" | "$").then(|| name.replace('*', "example")));
    text.replace('*', "example").replace('?', "x")
}
