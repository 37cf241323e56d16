//! Requests that show a difference: put together, and decided by the engine on both sides.

use super::super::domain::Held;
use super::{Axis, Cell, Local, MOST_TRIES, Search, Shown, outcome};
use crate::context::{Context, ContextValue};
use crate::evaluate::decision::Outcome;
use crate::evaluate::request::Request;
use crate::matching::pattern::ResourcePattern;
use std::collections::{BTreeMap, BTreeSet};

impl Search<'_, '_> {
    /// Puts a request together that shows a difference, and has it decided on both sides.
    pub(super) fn show(&mut self, cell: &Cell<'_>, axes: &[Axis], chosen: &[(usize, usize)], gained: bool) {
        let mut context: BTreeMap<String, Vec<Held>> = BTreeMap::new();
        for (axis, choice) in chosen {
            let Some(axis) = axes.get(*axis) else { continue };
            if let (Some(key), Some(held)) = (&axis.key, axis.choices.get(*choice).and_then(|c| c.held.clone())) {
                context.insert(key.clone(), vec![held]);
            }
        }
        let leaves_nothing_open = self.leaves_nothing_open(cell, &context);
        self.guess_variables(cell, &mut context);
        let shown = self.first_that_shows(cell, &context, gained);
        let why = self.why_not_shown(cell);
        let direction = if gained { &mut self.gained } else { &mut self.lost };
        match shown {
            Some((shown, true)) => direction.shown = Some(shown),
            Some((shown, false)) => {
                direction.failures += 1;
                direction.on_own_side.get_or_insert(shown);
            }
            None if leaves_nothing_open => {}
            None => {
                direction.failures += 1;
                direction.leave_open(&why);
            }
        }
    }

    /// Whether the values chosen say all there is: without a value a variable comes to the same wherever it
    /// stands, and then a difference that the request does not show is none.
    fn leaves_nothing_open(&self, cell: &Cell<'_>, chosen: &BTreeMap<String, Vec<Held>>) -> bool {
        let absent = |key: &String| {
            !self.is_free(key, cell) || chosen.get(key).is_some_and(|held| held.iter().all(|h| *h == Held::Absent))
        };
        cell.locals.iter().all(|local| match local {
            Local::Condition(number) => self.both.atoms.get(*number).is_some_and(|atom| atom.free.iter().all(absent)),
            Local::Matches(unit) | Local::Misses(unit) => {
                self.both.units.get(*unit).is_some_and(|unit| unit.free.iter().all(absent))
            }
            Local::Opaque(_) | Local::Early(..) => false,
        })
    }

    fn why_not_shown(&self, cell: &Cell<'_>) -> String {
        let opaque = cell.locals.iter().find_map(|local| match local {
            Local::Opaque(number) => self.both.opaque.get(*number).map(ToString::to_string),
            Local::Early(unit, _) => {
                let unit = self.both.units.get(*unit)?;
                Some(format!("`{}` has a policy variable before the fifth colon, where AWS reads none", unit.pattern))
            }
            _ => None,
        });
        let action = cell.class.action.as_str();
        opaque.unwrap_or_else(|| format!("no request for `{action}` was found that shows what its variables come to"))
    }

    /// Adds values for the keys of variables, where the value that was chosen is not the only one.
    fn guess_variables(&self, cell: &Cell<'_>, context: &mut BTreeMap<String, Vec<Held>>) {
        let mut keys: BTreeSet<&str> = BTreeSet::new();
        let mut values: Vec<String> = vec!["example".to_owned(), "another".to_owned()];
        for local in &cell.locals {
            match local {
                Local::Matches(unit) | Local::Misses(unit) => {
                    let Some(unit) = self.both.units.get(*unit) else { continue };
                    keys.extend(unit.free.iter().map(String::as_str));
                    values.extend(captured(unit.pattern, cell.request.resource().as_str()));
                }
                Local::Condition(number) => {
                    let Some(atom) = self.both.atoms.get(*number).filter(|atom| !atom.free.is_empty()) else {
                        continue;
                    };
                    keys.extend(atom.free.iter().map(String::as_str));
                    keys.insert(&atom.key);
                    if let ContextValue::Known(own) = cell.request.context().get(&atom.key) {
                        values.extend(own.iter().cloned());
                    }
                }
                _ => {}
            }
        }
        keys.retain(|key| self.is_free(key, cell));
        for held in context.values().flatten() {
            if let Held::One(value) = held
                && !values.contains(value)
            {
                values.push(value.clone());
            }
        }
        for key in keys {
            let chosen = context.entry(key.to_owned()).or_default();
            if chosen.iter().any(|held| matches!(held, Held::Absent | Held::List(_))) {
                continue;
            }
            for value in &values {
                let held = Held::One(value.clone());
                if !chosen.contains(&held) {
                    chosen.push(held);
                }
            }
            if chosen.iter().all(|held| matches!(held, Held::One(_))) {
                chosen.push(Held::Absent);
            }
        }
    }

    fn first_that_shows(
        &self,
        cell: &Cell<'_>,
        context: &BTreeMap<String, Vec<Held>>,
        gained: bool,
    ) -> Option<(Shown, bool)> {
        let keys: Vec<(&String, &Vec<Held>)> = context.iter().collect();
        let total: usize = keys.iter().fold(1, |all, (_, values)| all.saturating_mul(values.len()));
        for code in 0..total.min(MOST_TRIES) {
            let mut rest = code;
            let mut chosen: Vec<(String, Held)> = Vec::with_capacity(keys.len());
            for (key, values) in &keys {
                if let Some(held) = values.get(rest % values.len().max(1)) {
                    chosen.push(((*key).clone(), held.clone()));
                }
                rest /= values.len().max(1);
            }
            if let Some(shown) = self.shows(cell, cell.request.resource().as_str(), chosen, gained) {
                let shown = self.plainer(cell, shown, gained);
                let whole = !cell.own_side || self.differs(&shown.request, false, gained);
                return Some((shown, whole));
            }
        }
        None
    }

    /// Whether a request is allowed on the one side and certainly refused on the other.
    fn differs(&self, request: &Request, own_side: bool, gained: bool) -> bool {
        match self.layers.map(|layers| outcome(request, layers, own_side)) {
            [Outcome::Unknown, _] | [_, Outcome::Unknown] => false,
            [before, after] => (after == Outcome::Allow) == gained && (before == Outcome::Allow) != gained,
        }
    }

    fn shows(&self, cell: &Cell<'_>, resource: &str, chosen: Vec<(String, Held)>, gained: bool) -> Option<Shown> {
        let context = chosen.iter().fold(Context::closed(), |context, (key, held)| match held {
            Held::Absent => context,
            held => held.put(context, key),
        });
        let request = self.request(cell.class, resource, context);
        let differs = self.differs(&request, cell.own_side, gained);
        let written = |(key, held): (String, Held)| (self.both.written(&key).to_owned(), held);
        differs.then(|| Shown { request, context: chosen.into_iter().map(written).collect() })
    }

    /// The same with a resource that looks more like one, where that shows the same.
    fn plainer(&self, cell: &Cell<'_>, shown: Shown, gained: bool) -> Shown {
        let segments: Vec<&str> = shown.request.resource().as_str().splitn(6, ':').collect();
        let [arn, partition, service, region, account, name] = segments.as_slice() else { return shown };
        let own = self.both.requester.account_id().map_or_else(|| "111122223333".to_owned(), |id| id.to_string());
        let one = |text: &str| text.chars().all(|c| text.starts_with(c));
        let or =
            |text: &str, plain: &str| if one(text) && !text.is_empty() { plain.to_owned() } else { text.to_owned() };
        let text = [
            (*arn).to_owned(),
            or(partition, "aws"),
            or(service, cell.class.action.service()),
            or(region, "eu-west-1"),
            or(account, &own),
            or(name, "example"),
        ]
        .join(":");
        if text == shown.request.resource().as_str() {
            return shown;
        }
        self.shows(cell, &text, shown.context.clone(), gained).unwrap_or(shown)
    }
}

/// What a variable stands for if the pattern matches the resource: what lies between the texts around it.
fn captured(pattern: &ResourcePattern, resource: &str) -> Vec<String> {
    let text = pattern.as_str();
    let mut out = Vec::new();
    let mut from = 0;
    while let Some((before, after)) = text.get(from..).and_then(|rest| rest.split_once("${")) {
        let Some((_, tail)) = after.split_once('}') else { break };
        let head = before.rsplit(['*', '?', '}']).next().unwrap_or_default();
        let end = tail.split(['*', '?', '$']).next().unwrap_or_default();
        if let Some((_, rest)) = resource.split_once(head).filter(|_| !head.is_empty()) {
            let value = if end.is_empty() { Some(rest) } else { rest.split_once(end).map(|(value, _)| value) };
            out.extend(value.map(str::to_owned));
            let next = rest.split(['/', ':']).next().unwrap_or_default();
            out.push(next.to_owned());
        }
        from = text.len() - tail.len();
    }
    out
}
