//! Which of several patterns one text can match together.
//!
//! Walks the steps of all patterns at once over texts that nobody has written, and finds every set of
//! patterns that some text matches, each with a shortest such text. A letter that no pattern spells
//! stands for all that none does. Refuses to know what a pattern is for.

use crate::context::Context;
use crate::matching::glob::Glob;
use crate::matching::glob::overlap::Token;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::collections::HashSet;
use std::hash::BuildHasher as _;

/// So many states are looked at for one set of patterns; one that needs more is not told apart.
pub(super) const MOST_STATES: usize = 20_000;

/// The steps of a pattern.
#[derive(Debug, Clone)]
pub(super) struct Steps {
    tokens: Vec<Token>,
    fold: bool,
}

impl Steps {
    pub(super) fn new(tokens: Vec<Token>, fold: bool) -> Self {
        Self { tokens, fold }
    }

    /// A pattern with any text in the place of its variables.
    pub(super) fn generous(glob: &Glob) -> Self {
        Self::new(glob.walk(None).unwrap_or_default(), glob.folds())
    }

    /// A pattern with its variables' values, or with any text for one that has none.
    pub(super) fn filled(glob: &Glob, context: &Context) -> Self {
        glob.walk(Some(context)).map_or_else(|_| Self::generous(glob), |tokens| Self::new(tokens, glob.folds()))
    }

    /// Whether the text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        let machine = Machine::new(std::slice::from_ref(self));
        let (mut state, mut next) = (machine.start(), State::new());
        for c in text.chars() {
            machine.step(&state, c, &mut next);
            std::mem::swap(&mut state, &mut next);
        }
        state.iter().any(|at| machine.ends(*at).is_some())
    }

    /// The letters that it spells.
    pub(super) fn letters(&self) -> impl Iterator<Item = char> {
        self.tokens.iter().filter_map(|token| if let Token::Lit(c) = token { Some(*c) } else { None })
    }

    /// A text that it matches: `fill` stands where any text may.
    pub(super) fn example(&self, fill: &str) -> String {
        let mut out = String::new();
        for token in &self.tokens {
            match token {
                Token::Lit(c) => out.push(*c),
                Token::One | Token::OneWithin => out.push('x'),
                Token::Any | Token::Within => out.push_str(fill),
            }
        }
        out
    }
}

/// What is asked of the texts.
pub(super) struct Asked<'a> {
    pub(super) patterns: &'a [Steps],
    /// Every text must match one of these; empty: any text will do.
    pub(super) universe: &'a [Steps],
    /// No text may match one of these.
    pub(super) forbidden: &'a [Steps],
    /// Only sets with one of these are wanted; empty: every set.
    pub(super) wanted: &'a [usize],
    /// Letters that may not occur.
    pub(super) without: &'a [char],
}

/// A text and which of the patterns it matches.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) matched: Vec<bool>,
}

/// The positions that a text so far leads to, ascending.
type State = Vec<u32>;

/// All steps of all patterns in one row, each followed by its end.
struct Machine {
    places: Vec<(Option<Token>, bool, usize)>,
    starts: Vec<u32>,
}

impl Machine {
    fn new(patterns: &[Steps]) -> Self {
        let (mut places, mut starts) = (Vec::new(), Vec::new());
        for (owner, pattern) in patterns.iter().enumerate() {
            starts.push(u32::try_from(places.len()).unwrap_or(u32::MAX));
            places.extend(pattern.tokens.iter().map(|token| (Some(*token), pattern.fold, owner)));
            places.push((None, pattern.fold, owner));
        }
        Self { places, starts }
    }

    fn at(&self, position: u32) -> Option<&(Option<Token>, bool, usize)> {
        self.places.get(usize::try_from(position).ok()?)
    }

    /// The pattern that ends here.
    fn ends(&self, position: u32) -> Option<usize> {
        self.at(position).filter(|(token, ..)| token.is_none()).map(|(_, _, owner)| *owner)
    }

    fn owner(&self, position: u32) -> Option<usize> {
        self.at(position).map(|(_, _, owner)| *owner)
    }

    /// Adds a position, and those behind stars, which may stand for nothing.
    fn enter(&self, state: &mut State, mut position: u32) {
        state.push(position);
        while let Some((Some(Token::Any | Token::Within), ..)) = self.at(position) {
            position += 1;
            state.push(position);
        }
    }

    fn start(&self) -> State {
        let mut state = State::new();
        self.starts.iter().for_each(|start| self.enter(&mut state, *start));
        sort_once(&mut state);
        state
    }

    fn step(&self, state: &State, c: char, next: &mut State) {
        next.clear();
        for position in state {
            let Some((Some(token), fold, _)) = self.at(*position) else { continue };
            match token {
                Token::Lit(own) if *own == c || (*fold && same_letter(*own, c)) => self.enter(next, position + 1),
                Token::Lit(_) => {}
                Token::One => self.enter(next, position + 1),
                Token::OneWithin if c != ':' => self.enter(next, position + 1),
                Token::Any => self.enter(next, *position),
                Token::Within if c != ':' => self.enter(next, *position),
                Token::OneWithin | Token::Within => {}
            }
        }
        sort_once(next);
    }

    /// The letters that lead to different places from here, beside those that no pattern spells.
    fn letters(&self, state: &State, letters: &mut Vec<char>) {
        letters.clear();
        for position in state {
            match self.at(*position) {
                Some((Some(Token::Lit(c)), true, _)) => letters.extend(c.to_lowercase().chain([*c])),
                Some((Some(Token::Lit(c)), ..)) => letters.push(*c),
                Some((Some(Token::Within | Token::OneWithin), ..)) => letters.push(':'),
                _ => {}
            }
        }
        letters.sort_unstable();
        letters.dedup();
    }
}

fn same_letter(a: char, b: char) -> bool {
    a.eq_ignore_ascii_case(&b) || a.to_lowercase().eq(b.to_lowercase())
}

fn sort_once(state: &mut State) {
    if !state.is_sorted_by(|a, b| a < b) {
        state.sort_unstable();
        state.dedup();
    }
}

/// A letter that none of the patterns spells, a common one if possible.
pub(super) fn unwritten<'a>(patterns: impl IntoIterator<Item = &'a Steps>) -> char {
    let written: HashSet<char> = patterns.into_iter().flat_map(Steps::letters).flat_map(char::to_lowercase).collect();
    let common = "xqzjkvwyubgfhpmdlonrtisace0123456789_~+=@,".chars();
    let rare = ('\u{100}'..'\u{2000}').filter(|c| c.is_alphabetic());
    let unused = |c: &char| !c.to_lowercase().any(|c| written.contains(&c));
    common.chain(rare).find(unused).unwrap_or('\u{2603}')
}

/// Every set of patterns that one text matches together; `None` where that takes more than
/// [`MOST_STATES`], or than is left of them.
pub(super) fn together(asked: &Asked<'_>, left: &mut usize) -> Option<Vec<Found>> {
    let most = MOST_STATES.min(*left);
    let count = asked.patterns.len();
    let mut all = asked.patterns.to_vec();
    all.extend(asked.universe.iter().chain(asked.forbidden).cloned());
    let behind = count + asked.universe.len();
    let is_of_universe = |owner: usize| (count..behind).contains(&owner);
    let is_wanted: Vec<bool> = (0..count).map(|at| asked.wanted.is_empty() || asked.wanted.contains(&at)).collect();
    let wants = |owner: usize| is_wanted.get(owner) == Some(&true);
    let machine = Machine::new(&all);
    let other = unwritten(&all);
    // From where each state was first reached, and by which letter.
    let mut reached: Vec<(usize, char)> = vec![(0, other)];
    let mut states: Vec<State> = vec![machine.start()];
    let mut known = Known::default();
    known.number(&states, 0);
    let mut sets: HashSet<Vec<bool>> = HashSet::new();
    let (mut found, mut letters, mut next) = (Vec::new(), Vec::new(), State::new());
    let mut number = 0;
    while let Some(state) = states.get(number) {
        let ends = || state.iter().filter_map(|at| machine.ends(*at));
        let fits = asked.universe.is_empty() || ends().any(is_of_universe);
        if fits && !ends().any(|owner| owner >= behind) && (asked.wanted.is_empty() || ends().any(wants)) {
            let mut matched = vec![false; count];
            ends().for_each(|owner| matched.get_mut(owner).into_iter().for_each(|slot| *slot = true));
            if !sets.contains(&matched) {
                found.push(Found { text: spell(&reached, number), matched: matched.clone() });
                sets.insert(matched);
            }
        }
        machine.letters(state, &mut letters);
        letters.retain(|c| !asked.without.contains(c));
        letters.push(other);
        let state = state.clone();
        for c in &letters {
            machine.step(&state, *c, &mut next);
            let owners = || next.iter().filter_map(|at| machine.owner(*at));
            let hopeless = (!asked.universe.is_empty() && !owners().any(is_of_universe))
                || (!asked.wanted.is_empty() && !owners().any(wants));
            if hopeless {
                continue;
            }
            states.push(std::mem::take(&mut next));
            if known.number(&states, states.len() - 1) {
                reached.push((number, *c));
                *left = left.saturating_sub(1);
                if states.len() > most {
                    return None;
                }
            } else {
                next = states.pop().unwrap_or_default();
            }
        }
        number += 1;
    }
    Some(found)
}

/// The numbers of the states that were met, by what they hold.
#[derive(Default)]
struct Known {
    table: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl Known {
    /// Notes the state with this number; whether it is new.
    fn number(&mut self, states: &[State], number: usize) -> bool {
        let hash = |at: &usize| self.hasher.hash_one(states.get(*at));
        let own = hash(&number);
        if self.table.find(own, |at| states.get(*at) == states.get(number)).is_some() {
            return false;
        }
        self.table.insert_unique(own, number, hash);
        true
    }
}

/// The text that leads to a state.
fn spell(reached: &[(usize, char)], mut number: usize) -> String {
    let mut letters = Vec::new();
    while number > 0
        && let Some((from, c)) = reached.get(number)
    {
        letters.push(*c);
        number = *from;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::glob::Mode;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn any_mode() -> impl Strategy<Value = Mode> {
        prop_oneof![
            Just(Mode::Wild),
            Just(Mode::WildNoCase),
            Just(Mode::Resource),
            Just(Mode::Arn),
            Just(Mode::Literal)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn steps_match_what_the_matcher_matches(pattern in "[aB:*?]{0,10}", text in "[abAB:]{0,10}", mode in any_mode()) {
            let glob = Glob::plain(&pattern, mode);
            prop_assert_eq!(Steps::generous(&glob).matches(&text), glob.matches(&text));
        }

        #[test]
        fn every_set_that_a_text_matches_is_found_and_no_other(
            patterns in prop::collection::vec(("[ab:*?]{0,4}", any_mode()), 1..4),
        ) {
            let globs: Vec<Glob> = patterns.iter().map(|(text, mode)| Glob::plain(text, *mode)).collect();
            let steps: Vec<Steps> = globs.iter().map(Steps::generous).collect();
            let asked = Asked { patterns: &steps, universe: &[], forbidden: &[], wanted: &[], without: &[] };
            let mut left = MOST_STATES;
            let found = together(&asked, &mut left).unwrap();
            let set = |text: &str| globs.iter().map(|glob| glob.matches(text)).collect::<Vec<bool>>();
            for one in &found {
                prop_assert_eq!(&set(&one.text), &one.matched, "{}", one.text);
            }
            let sets: BTreeSet<Vec<bool>> = found.iter().map(|one| one.matched.clone()).collect();
            for len in 0..6_u32 {
                for code in 0..4_usize.pow(len) {
                    let letter = |at: u32| ['a', 'b', ':', 'x'][code / 4_usize.pow(at) % 4];
                    let text: String = (0..len).map(letter).collect();
                    prop_assert!(sets.contains(&set(&text)), "{text}");
                }
            }
        }
    }
}
