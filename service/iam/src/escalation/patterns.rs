//! What resource patterns have in common, as patterns again.

use crate::matching::pattern::ResourcePattern;
use crate::steps::Exceeded;
use std::collections::BTreeSet;

/// Patterns by the text before their first wildcard: those that may have something in common with a
/// pattern begin as it does, as far as both are fixed.
pub(super) struct Starts<'p> {
    sorted: Vec<(&'p str, &'p str)>,
    lengths: BTreeSet<usize>,
}

fn fixed(pattern: &str) -> &str {
    pattern.split(['*', '?', '$']).next().unwrap_or_default()
}

impl<'p> Starts<'p> {
    pub(super) fn new(patterns: &'p [String]) -> Self {
        let mut sorted: Vec<(&str, &str)> = patterns.iter().map(|p| (fixed(p), p.as_str())).collect();
        sorted.sort_unstable();
        let lengths = sorted.iter().map(|(start, _)| start.len()).collect();
        Self { sorted, lengths }
    }

    /// The patterns that may have something in common with this one; the same pattern first.
    pub(super) fn beside(&self, pattern: &str) -> Vec<&'p str> {
        let own = fixed(pattern);
        let from = |start: &str| self.sorted.partition_point(|(other, _)| *other < start);
        let run = |first: usize, fits: &dyn Fn(&str) -> bool| {
            let rest = self.sorted.get(first..).unwrap_or_default().iter();
            rest.take_while(|(start, _)| fits(start)).map(|(_, text)| *text).collect::<Vec<_>>()
        };
        let shorter = self.lengths.iter().take_while(|len| **len < own.len()).filter_map(|len| own.get(..*len));
        let mut found = run(from(own), &|start| start.starts_with(own));
        found.extend(shorter.flat_map(|start| run(from(start), &|other| other == start)));
        if let Some(same) = found.iter().position(|other| *other == pattern) {
            found.swap(0, same);
        }
        found
    }
}

/// The steps of looking for what two patterns have in common.
pub(super) fn of_meeting(a: &str, b: &str) -> usize {
    1 + a.len().saturating_mul(b.len()) / 64
}

/// Patterns while they are met with others.
pub(super) struct Meeting<'t> {
    pub(super) patterns: Vec<String>,
    pub(super) is_cut: bool,
    pub(super) take: &'t dyn Fn(usize) -> Result<(), Exceeded>,
}

impl Meeting<'_> {
    /// Keeps what is in one of these patterns too.
    pub(super) fn meet(&mut self, others: &[String]) {
        let starts = Starts::new(others);
        let mut met: BTreeSet<String> = BTreeSet::new();
        'all: for one in &self.patterns {
            for other in starts.beside(one) {
                if (self.take)(of_meeting(one, other)).is_err() {
                    self.is_cut = true;
                    break 'all;
                }
                met.extend(meet(one, other));
            }
        }
        self.patterns = met.into_iter().collect();
    }
}

/// A pattern that matches only what both match; `None` where they have nothing in common.
///
/// Where several such patterns are needed to name all of it, this is one of them. Whole ARNs meet
/// segment by segment.
pub(super) fn meet(a: &str, b: &str) -> Option<String> {
    match (a, b) {
        (one, "*") | ("*", one) => return Some(one.to_owned()),
        (a, b) if a == b => return Some(a.to_owned()),
        _ => {}
    }
    let segments = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (left, right) = (segments(a), segments(b));
    if left.len() < 6 || right.len() < 6 {
        return meet_text(a, b);
    }
    let each: Option<Vec<String>> = left.iter().zip(&right).map(|(a, b)| meet_text(a, b)).collect();
    Some(each?.join(":"))
}

fn meet_text(a: &str, b: &str) -> Option<String> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Beginnings and ends without a wildcard tell most pairs apart.
    let plain = |(x, y): &(&char, &char)| !matches!((x, y), ('*' | '?', _) | (_, '*' | '?'));
    let differ = |(x, y): (&char, &char)| x != y;
    if a.iter().zip(&b).take_while(plain).any(differ)
        || a.iter().rev().zip(b.iter().rev()).take_while(plain).any(differ)
    {
        return None;
    }
    // What is left to try: how much of each is used up, and what was written so far, as the place of
    // its last letter. A place that was tried once and led nowhere leads nowhere again.
    let width = b.len() + 1;
    let mut tried = vec![false; (a.len() + 1) * width];
    let mut letters: Vec<(usize, char)> = Vec::new();
    let mut open: Vec<(usize, usize, Option<usize>)> = vec![(0, 0, None)];
    while let Some((i, j, written)) = open.pop() {
        let Some(tried) = tried.get_mut(i * width + j).filter(|tried| !**tried) else { continue };
        *tried = true;
        let mut with = |c: char| {
            letters.push((written.unwrap_or(usize::MAX), c));
            Some(letters.len() - 1)
        };
        // The last one pushed is tried first.
        match (a.get(i).copied(), b.get(j).copied()) {
            (None, None) => return Some(spelt(&letters, written)),
            (Some('*'), Some('*')) => {
                let written = with('*');
                open.extend([(i + 1, j, written), (i, j + 1, written), (i + 1, j + 1, written)]);
            }
            (Some('*'), other) => {
                open.push((i + 1, j, written));
                open.extend(other.map(|c| (i, j + 1, with(c))));
            }
            (other, Some('*')) => {
                open.push((i, j + 1, written));
                open.extend(other.map(|c| (i + 1, j, with(c))));
            }
            (Some(x), Some('?')) => open.push((i + 1, j + 1, with(x))),
            (Some('?'), Some(y)) => open.push((i + 1, j + 1, with(y))),
            (Some(x), Some(y)) if x == y => open.push((i + 1, j + 1, with(x))),
            _ => {}
        }
    }
    None
}

/// The text that ends at a place, each letter with the place of the one before it.
fn spelt(letters: &[(usize, char)], last: Option<usize>) -> String {
    let mut text = Vec::new();
    let mut at = last;
    while let Some((before, letter)) = at.and_then(|at| letters.get(at)) {
        text.push(*letter);
        at = Some(*before);
    }
    text.into_iter().rev().collect()
}

/// Resources that a pattern matches: its wildcards and variables filled in, with nothing and with
/// something.
pub(super) fn filled(pattern: &str) -> Vec<String> {
    let plain = without_variables(pattern);
    let mut found = vec![filled_with(&plain, "anything", "x"), filled_with(&plain, "", "x")];
    found.dedup();
    found
}

fn without_variables(pattern: &str) -> String {
    let mut plain = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((_, tail)) = after.split_once('}') else { break };
        plain.push_str(before);
        plain.push('x');
        rest = tail;
    }
    plain.push_str(rest);
    plain
}

fn filled_with(plain: &str, star: &str, one: &str) -> String {
    plain.replace('*', star).replace('?', one)
}

/// What takes resources away from those that an Allow names: Denies, and Allows of all but some.
#[derive(Debug, Clone, Default)]
pub(super) struct Exclusions {
    /// The patterns that match what is taken away.
    pub(super) taken: Vec<ResourcePattern>,
    /// Those of Denies among them.
    pub(super) certainly_taken: Vec<ResourcePattern>,
    /// Of each Deny of all but some resources: the patterns of those that it leaves.
    pub(super) left: Vec<Vec<ResourcePattern>>,
}

impl Exclusions {
    pub(super) fn add(&mut self, other: Self) {
        self.taken.extend(other.taken);
        self.certainly_taken.extend(other.certainly_taken);
        self.left.extend(other.left);
    }

    /// Whether they may leave other resources of the pattern than those of [`filled`]: they take all of
    /// these away, and not certainly the whole pattern. What else refuses these refuses the others too.
    pub(super) fn may_leave_others(&self, pattern: &str) -> bool {
        let whole = || ResourcePattern::new(pattern);
        let own = fixed(pattern);
        let meets = |taken: &&ResourcePattern| {
            let start = fixed(taken.as_str());
            start.starts_with(own) || own.starts_with(start)
        };
        let near: Vec<&ResourcePattern> = self.taken.iter().filter(meets).collect();
        pattern.contains(['*', '?'])
            && filled(pattern).iter().all(|resource| self.take_away(&near, resource))
            && !self.certainly_taken.iter().any(|taken| taken.covers(&whole()))
    }

    fn take_away(&self, near: &[&ResourcePattern], resource: &str) -> bool {
        let taken = |pattern: &&ResourcePattern| pattern.has_variable() || pattern.matches(resource);
        let left = |pattern: &ResourcePattern| !pattern.has_variable() && pattern.matches(resource);
        near.iter().any(taken) || self.left.iter().any(|patterns| !patterns.iter().any(left))
    }

    /// Further resources that the pattern matches, which the exclusions may leave though they take away
    /// those of [`filled`]. Stars are filled with a letter that no exclusion has, so that only wildcards
    /// of theirs match it: repeated more often than a pattern has `?` it stands for every longer text,
    /// and fewer repetitions are tried one by one.
    pub(super) fn filled(&self, pattern: &str) -> Vec<String> {
        let written = |letter: &char| self.taken.iter().any(|taken| taken.as_str().contains(*letter));
        let letters = ('a'..='z').rev().chain('0'..='9').chain('A'..='Z').chain('\u{4e00}'..='\u{9fff}');
        let Some(fresh) = letters.into_iter().find(|letter| !written(letter)) else { return Vec::new() };
        let fresh = fresh.to_string();
        let plain = without_variables(pattern);
        let most = self.taken.iter().map(|taken| taken.as_str().matches('?').count()).max().unwrap_or_default() + 1;
        let lengths = (0..=most.min(MOST_LENGTHS)).chain((most > MOST_LENGTHS).then_some(most));
        let mut found: Vec<String> = lengths.map(|length| filled_with(&plain, &fresh.repeat(length), &fresh)).collect();
        found.dedup();
        found
    }

    /// The pattern, and what Denies of all but some resources leave of it; an error where there are
    /// too many such patterns to tell.
    pub(super) fn narrowed(
        &self,
        pattern: &str,
        take: &dyn Fn(usize) -> Result<(), Exceeded>,
    ) -> Result<Vec<String>, Exceeded> {
        let mut found = vec![pattern.to_owned()];
        for left in &self.left {
            let mut met: BTreeSet<String> = BTreeSet::new();
            for one in &found {
                for other in left {
                    take(of_meeting(one, other.as_str()))?;
                    met.extend(meet(one, other.as_str()));
                }
            }
            // The narrowest are the likeliest; a Deny under a condition may narrow nothing.
            let wider = std::mem::take(&mut found).into_iter().filter(|one| !met.contains(one)).collect::<Vec<_>>();
            found = met.iter().cloned().chain(wider).collect();
            if found.len() > MOST_NARROWED {
                return Err(Exceeded);
            }
        }
        Ok(found)
    }
}

/// So many lengths of filled-in text are tried one by one.
const MOST_LENGTHS: usize = 8;

/// So many patterns are told apart that Denies of all but some resources leave of one.
const MOST_NARROWED: usize = 64;
