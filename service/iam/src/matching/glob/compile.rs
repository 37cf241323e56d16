//! Compiles a text with wildcards and policy variables.

use crate::context::KeyName;
use crate::matching::glob::pieces::{Case, Glob, Mode, Piece, Variable};

/// A variable as it stands in a text.
pub(super) struct Found<'a> {
    pub(super) before: &'a str,
    pub(super) name: &'a str,
    pub(super) default: Option<&'a str>,
    pub(super) rest: &'a str,
}

/// The first variable of a text.
pub(crate) fn first_variable(text: &str) -> Option<Found<'_>> {
    let (before, after) = text.split_once("${")?;
    // A default comes after a comma and a space, in quotes; it may hold a brace.
    if let Some((name, default)) = after.split_once(", ")
        && !name.contains('}')
        && let Some(quoted) = default.trim_start().strip_prefix('\'')
    {
        for (at, _) in quoted.match_indices('\'') {
            let (default, tail) = (quoted.get(..at)?, quoted.get(at + 1..)?);
            if let Some(rest) = tail.trim_start().strip_prefix('}') {
                return Some(Found { before, name: name.trim(), default: Some(default), rest });
            }
        }
    }
    let (name, rest) = after.split_once('}')?;
    Some(Found { before, name: name.trim(), default: None, rest })
}

pub(crate) struct Builder {
    mode: Mode,
    colons: usize,
    text: String,
    pieces: Vec<Piece>,
    variables: Vec<Variable>,
    early: bool,
}

impl Builder {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, colons: 0, text: String::new(), pieces: Vec::new(), variables: Vec::new(), early: false }
    }

    pub(super) fn literal(&mut self, text: &str) {
        self.colons += text.matches(':').count();
        self.text.push_str(text);
    }

    pub(super) fn variable(&mut self, name: &str, default: Option<&str>) {
        self.flush();
        self.early |= self.colons < 5 && self.mode == Mode::Resource;
        self.pieces.push(Piece::Var(self.variables.len()));
        let default = default.map(Into::into);
        self.variables.push(Variable { text: name.into(), key: KeyName::new(name), default });
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Lit(std::mem::take(&mut self.text).into()));
        }
    }

    fn wild(&mut self, piece: Piece) {
        self.flush();
        // A second star says nothing that the first does not.
        if !matches!(piece, Piece::Any | Piece::Within) || self.pieces.last() != Some(&piece) {
            self.pieces.push(piece);
        }
    }

    pub(super) fn push_all(&mut self, text: &str, next: Option<char>) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            self.push(c, chars.peek().copied().or(next));
        }
    }

    fn push(&mut self, c: char, next: Option<char>) {
        let bounded = self.colons < 5;
        match (c, self.mode) {
            ('*' | '?', Mode::Literal | Mode::LiteralNoCase) => self.text.push(c),
            ('*', Mode::Resource) if bounded && !matches!(next, None | Some(':')) => self.wild(Piece::Within),
            ('*', Mode::Arn) if bounded => self.wild(Piece::Within),
            ('?', Mode::Resource | Mode::Arn) if bounded => self.wild(Piece::OneWithin),
            ('*', _) => self.wild(Piece::Any),
            ('?', _) => self.wild(Piece::One),
            (c, _) => {
                self.colons += usize::from(c == ':');
                self.text.push(c);
            }
        }
    }

    pub(super) fn finish(mut self) -> Glob {
        self.flush();
        let case = match self.mode {
            Mode::WildNoCase => Case::Ascii,
            Mode::LiteralNoCase => Case::Unicode,
            _ => Case::Counts,
        };
        Glob { pieces: self.pieces.into(), variables: self.variables.into(), case, early: self.early }
    }
}
