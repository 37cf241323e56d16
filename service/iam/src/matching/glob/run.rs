//! Walks the pieces of a compiled text over a subject, without allocating.

use crate::matching::glob::pieces::{Case, Glob, Piece};
use memchr::memmem;

impl Glob {
    /// Whether the pieces match the whole subject, with the variables' values.
    pub(super) fn run(&self, subject: &str, values: &[&str]) -> bool {
        match &*self.pieces {
            [] => subject.is_empty(),
            [Piece::Any] => true,
            [Piece::Lit(only)] if self.case == Case::Counts => subject == &**only,
            [Piece::Lit(start), Piece::Any] if self.case == Case::Counts => subject.starts_with(&**start),
            pieces if self.case == Case::Unicode => same_letters(pieces, values, subject),
            pieces => Run { values, fold: self.case == Case::Ascii }.matches(pieces, subject),
        }
    }
}

/// Whether the pieces, which have no wildcard, spell the subject, whatever the letter case.
pub(crate) fn same_letters(pieces: &[Piece], values: &[&str], subject: &str) -> bool {
    if let [Piece::Lit(only)] = pieces
        && only.is_ascii()
        && subject.is_ascii()
    {
        return only.eq_ignore_ascii_case(subject);
    }
    let spelt = pieces.iter().flat_map(|piece| piece.text(values).chars()).flat_map(char::to_lowercase);
    spelt.eq(subject.chars().flat_map(char::to_lowercase))
}

/// Pieces that are left, and what is left of the subject.
type Place<'p, 's> = (&'p [Piece], &'s str);

struct Run<'a> {
    values: &'a [&'a str],
    fold: bool,
}

impl Run<'_> {
    /// Walks the pieces over the subject.
    ///
    /// Going back to the latest star is enough: an earlier one could only take more of what the
    /// later one is free to take. A star that stops at colons adds one more place to go back to,
    /// since when it is stuck the latest free star may still move on.
    fn matches(&self, pieces: &[Piece], subject: &str) -> bool {
        if let Some(Piece::Lit(end)) = pieces.last()
            && !self.ends(subject, end)
        {
            return false;
        }
        let (mut pieces, mut rest) = (pieces, subject);
        let (mut free, mut within): (Option<Place<'_, '_>>, Option<Place<'_, '_>>) = (None, None);
        loop {
            let next = match pieces.split_first() {
                None if rest.is_empty() => return true,
                None => None,
                Some((Piece::Any, [])) => return true,
                Some((Piece::Any, after)) => {
                    within = None;
                    free = self.seek(after, rest).map(|at| (after, at));
                    if free.is_none() {
                        return false;
                    }
                    free
                }
                Some((Piece::Within, after)) => {
                    within = Some((after, rest));
                    within
                }
                Some((piece, after)) => self.take(piece, rest).map(|left| (after, left)),
            };
            if let Some(place) = next {
                (pieces, rest) = place;
                continue;
            }
            if let Some((after, at)) = within
                && let Some(further) = one(at, true)
            {
                within = Some((after, further));
                (pieces, rest) = (after, further);
                continue;
            }
            within = None;
            let further = free.and_then(|(after, at)| Some((after, self.seek(after, one(at, false)?)?)));
            let Some(place) = further else { return false };
            free = further;
            (pieces, rest) = place;
        }
    }

    /// The first place where the pieces may go on.
    fn seek<'s>(&self, pieces: &[Piece], subject: &'s str) -> Option<&'s str> {
        match pieces.first() {
            Some(Piece::Lit(text)) if !self.fold => subject.get(memmem::find(subject.as_bytes(), text.as_bytes())?..),
            _ => Some(subject),
        }
    }

    fn take<'s>(&self, piece: &Piece, subject: &'s str) -> Option<&'s str> {
        match piece {
            Piece::Lit(text) if self.fold => {
                let head = subject.get(..text.len())?;
                if head.eq_ignore_ascii_case(text) { subject.get(text.len()..) } else { None }
            }
            Piece::Lit(text) => subject.strip_prefix(&**text),
            Piece::Var(n) => subject.strip_prefix(*self.values.get(*n)?),
            Piece::One => one(subject, false),
            Piece::OneWithin => one(subject, true),
            Piece::Any | Piece::Within => Some(subject),
        }
    }

    fn ends(&self, subject: &str, end: &str) -> bool {
        let (subject, end) = (subject.as_bytes(), end.as_bytes());
        let tail = subject.len().checked_sub(end.len()).and_then(|at| subject.get(at..));
        tail.is_some_and(|tail| if self.fold { tail.eq_ignore_ascii_case(end) } else { tail == end })
    }
}

/// Without its first character, which is no colon where one is not wanted.
pub(crate) fn one(subject: &str, within: bool) -> Option<&str> {
    let mut chars = subject.chars();
    let first = chars.next()?;
    if within && first == ':' { None } else { Some(chars.as_str()) }
}
