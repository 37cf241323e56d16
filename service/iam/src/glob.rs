//! Compiled texts with wildcards and policy variables.
//!
//! A text is compiled once into pieces; matching walks them over the subject without allocating.
//! Knows where a wildcard stops (at a colon, or nowhere) and how a variable is written. Refuses to
//! know which element of a policy a text stands in: the mode says it.

use crate::context::{Context, KeyName, Value};
use crate::truth::Why;
use memchr::memmem;

/// How the wildcards of a text are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// There are none.
    Literal,
    /// There are none, and letters match in either case.
    LiteralNoCase,
    /// `*` is any text.
    Wild,
    /// `*` is any text, and ASCII letters match in either case.
    WildNoCase,
    /// A resource ARN: `*` stays in its segment unless it ends the segment.
    Resource,
    /// An ARN condition: each of the six segments is compared apart.
    Arn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Counts,
    Ascii,
    Unicode,
}

/// One step of a compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// This text.
    Lit(Box<str>),
    /// The text that this variable stands for.
    Var(usize),
    /// Any one character.
    One,
    /// Any one character but a colon.
    OneWithin,
    /// Any characters.
    Any,
    /// Any characters but colons.
    Within,
}

/// A policy variable: `${key}` or `${key, 'default'}`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    text: Box<str>,
    key: KeyName,
    default: Option<Box<str>>,
}

/// Why a text with variables stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// A variable's key is absent, and it has no default: nothing equals it.
    Missing,
    /// A variable's value is not known.
    Unknown(Why),
}

/// A compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    pieces: Box<[Piece]>,
    variables: Box<[Variable]>,
    case: Case,
    early: bool,
}

/// Variables that are filled without allocating.
const FEW: usize = 4;

/// A variable as it stands in a text.
struct Found<'a> {
    before: &'a str,
    name: &'a str,
    default: Option<&'a str>,
    rest: &'a str,
}

/// The first variable of a text.
fn first_variable(text: &str) -> Option<Found<'_>> {
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

impl Glob {
    /// Compiles a text in which `${` means nothing.
    pub(crate) fn plain(text: &str, mode: Mode) -> Self {
        let mut builder = Builder::new(mode);
        builder.push_all(text, None);
        builder.finish()
    }

    /// Compiles a text with policy variables; `None` where it has none.
    pub(crate) fn with_variables(text: &str, mode: Mode) -> Option<Self> {
        let mut builder = Builder::new(mode);
        let mut rest = text;
        while let Some(found) = first_variable(rest) {
            builder.push_all(found.before, Some('$'));
            match (found.name, found.default) {
                ("*" | "?" | "$", None) => builder.literal(found.name),
                (name, default) => builder.variable(name, default),
            }
            rest = found.rest;
        }
        if rest.len() == text.len() {
            return None;
        }
        builder.push_all(rest, None);
        Some(builder.finish())
    }

    /// Whether a variable stands before the fifth colon.
    pub(crate) fn has_early_variable(&self) -> bool {
        self.early
    }

    /// Whether the whole subject matches. For a text without variables.
    pub(crate) fn matches(&self, subject: &str) -> bool {
        self.run(subject, &[])
    }

    /// Whether the whole subject matches, with the variables' values of this context.
    pub(crate) fn matches_in(&self, subject: &str, context: &Context) -> Result<bool, Unresolved> {
        if self.variables.is_empty() {
            return Ok(self.run(subject, &[]));
        }
        let (mut few, mut many) = ([""; FEW], Vec::new());
        let values = match few.get_mut(..self.variables.len()) {
            Some(few) => few,
            None => {
                many.resize(self.variables.len(), "");
                many.as_mut_slice()
            }
        };
        let mut unknown = None;
        for (value, variable) in values.iter_mut().zip(&self.variables) {
            match variable.value(context) {
                Ok(text) => *value = text,
                Err(Unresolved::Missing) => return Err(Unresolved::Missing),
                Err(why) => unknown = unknown.or(Some(why)),
            }
        }
        match unknown {
            Some(why) => Err(why),
            None => Ok(self.run(subject, values)),
        }
    }

    /// Whether everything that `other` matches is matched by this one too. Never wrongly yes; may
    /// be no for a pair that only a deeper look would prove. For texts without variables.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if self.is_everything() {
            return true;
        }
        // Each literal text of this one stands within one of the other's; the longest tells most apart.
        let longest = self.literals().max_by_key(|text| text.len());
        let stands =
            |text: &str| other.literals().any(|other| memmem::find(other.as_bytes(), text.as_bytes()).is_some());
        if self.case == Case::Counts && longest.is_some_and(|text| !stands(text)) {
            return false;
        }
        let symbols = other.tokens().map(|token| match token {
            Token::Lit(c) => Symbol::Char(c),
            wild => Symbol::Wild(wild),
        });
        covers(self.tokens(), symbols, self.case != Case::Counts)
    }

    /// Its steps, to be walked beside those of other texts, with the variables' values of a context;
    /// without one a variable is any text.
    pub(crate) fn walk(&self, context: Option<&Context>) -> Result<Vec<Token>, Unresolved> {
        let Some(context) = context else { return Ok(self.tokens_with(None).collect()) };
        let values: Result<Vec<&str>, Unresolved> = self.variables.iter().map(|v| v.value(context)).collect();
        Ok(self.tokens_with(Some(&values?)).collect())
    }

    /// The keys of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| &*variable.text)
    }

    /// Whether letters match in either case.
    pub(crate) fn folds(&self) -> bool {
        self.case != Case::Counts
    }

    /// Whether it matches every text.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(&*self.pieces, [Piece::Any])
    }

    /// Whether it has no wildcard.
    pub(crate) fn is_exact(&self) -> bool {
        self.pieces.iter().all(|p| matches!(p, Piece::Lit(_) | Piece::Var(_)))
    }

    fn literals(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| if let Piece::Lit(text) = piece { Some(&**text) } else { None })
    }

    fn tokens(&self) -> impl Iterator<Item = Token> + Clone + '_ {
        self.tokens_with(Some(&[]))
    }

    /// Its steps, with the variables' values; without them a variable is any text.
    fn tokens_with<'a>(&'a self, values: Option<&'a [&'a str]>) -> impl Iterator<Item = Token> + Clone + 'a {
        self.pieces.iter().flat_map(move |piece| {
            let (text, wild) = match (piece, values) {
                (Piece::Lit(_), _) | (Piece::Var(_), Some(_)) => (piece.text(values.unwrap_or_default()), None),
                (Piece::Var(_), None) => ("", Some(Token::Any)),
                (wild, _) => ("", wild.token()),
            };
            text.chars().map(Token::Lit).chain(wild)
        })
    }

    /// Whether it matches some of these resources, or with `whole` certainly all of them.
    pub(crate) fn meets(&self, asked: &Asked, whole: bool, context: &Context) -> Result<bool, Unresolved> {
        let mut values = Vec::new();
        for variable in &self.variables {
            values.push(variable.value(context)?);
        }
        let tokens = self.tokens_with(Some(&values));
        if whole {
            return Ok(covers(tokens, asked.symbols(), self.case != Case::Counts));
        }
        asked.overlaps(tokens).ok_or_else(Asked::too_long)
    }

    /// Whether a variable without a value keeps it from matching some of these resources, or with
    /// `whole` all of them.
    pub(crate) fn lacks_value(&self, asked: &Asked, whole: bool, context: &Context) -> bool {
        if !self.variables.iter().any(|v| v.value(context) == Err(Unresolved::Missing)) {
            return false;
        }
        let tokens = self.tokens_with(None);
        if whole { covers(tokens, asked.symbols(), false) } else { asked.overlaps(tokens) != Some(false) }
    }
}

/// A resource that is asked about, or with stars in it several of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    tokens: Box<[Token]>,
}

impl Asked {
    /// Longest pair of texts that is laid over each other, as the product of their lengths.
    const MOST: usize = 4_000_000;

    /// Reads the name of a resource, in which `*` is any text within its segment of an ARN.
    pub(crate) fn read(text: &str) -> Self {
        let segments = text.splitn(6, ':').count();
        let mut colons = 0;
        let token = |c| {
            colons += usize::from(c == ':');
            match c {
                '*' if segments == 6 && colons < 5 => Token::Within,
                '*' => Token::Any,
                c => Token::Lit(c),
            }
        };
        Self { tokens: text.chars().map(token).collect() }
    }

    fn symbols(&self) -> impl Iterator<Item = Symbol> + Clone + '_ {
        self.tokens.iter().map(|token| match token {
            Token::Lit(c) => Symbol::Char(*c),
            wild => Symbol::Wild(*wild),
        })
    }

    /// Whether some text matches both; `None` where they are too long to say.
    fn overlaps(&self, tokens: impl Iterator<Item = Token> + Clone) -> Option<bool> {
        if tokens.clone().count().saturating_mul(self.tokens.len()) > Self::MOST {
            return None;
        }
        // Whether the steps so far can match what the first so many of the asked ones do.
        let mut here = vec![false; self.tokens.len() + 1];
        if let Some(start) = here.first_mut() {
            *start = true;
        }
        for token in tokens.map(Some).chain([None]) {
            let mut next = vec![false; here.len()];
            let star = matches!(token, Some(Token::Any | Token::Within));
            let mut before = false;
            for at in 0..here.len() {
                let reached = before || here.get(at) == Some(&true);
                before = false;
                if !reached {
                    continue;
                }
                let other = self.tokens.get(at).copied();
                let other_star = matches!(other, Some(Token::Any | Token::Within));
                let both = matches!((token, other), (Some(a), Some(b)) if a.shares(b));
                let mut put = |at: usize| next.get_mut(at).into_iter().for_each(|slot| *slot = true);
                if star || (both && other_star) {
                    put(at);
                }
                if both && !star && !other_star {
                    put(at + 1);
                }
                before = other_star || (both && star);
                if token.is_none() && other.is_none() {
                    return Some(true);
                }
            }
            here = next;
        }
        Some(false)
    }

    fn too_long() -> Unresolved {
        Unresolved::Unknown(Why::NotUnderstood("two names of resources are too long to be compared".to_owned()))
    }
}

impl Piece {
    fn token(&self) -> Option<Token> {
        match self {
            Self::Lit(_) | Self::Var(_) => None,
            Self::One => Some(Token::One),
            Self::OneWithin => Some(Token::OneWithin),
            Self::Any => Some(Token::Any),
            Self::Within => Some(Token::Within),
        }
    }
}

impl Glob {
    fn run(&self, subject: &str, values: &[&str]) -> bool {
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

impl Piece {
    /// What it stands for where it is no wildcard.
    fn text<'a>(&'a self, values: &[&'a str]) -> &'a str {
        match self {
            Self::Lit(text) => text,
            Self::Var(n) => values.get(*n).copied().unwrap_or_default(),
            _ => "",
        }
    }
}

impl Variable {
    fn value<'a>(&'a self, context: &'a Context) -> Result<&'a str, Unresolved> {
        match context.look_up(&self.key) {
            Value::Known([one]) => Ok(one),
            // A key with several values cannot be a variable.
            Value::Known(_) | Value::List(_) | Value::Absent => self.default.as_deref().ok_or(Unresolved::Missing),
            Value::Unknown(why) => Err(Unresolved::Unknown(why.clone())),
            Value::Open => Err(Unresolved::Unknown(Why::Key(self.text.to_string()))),
        }
    }
}

/// Whether the pieces, which have no wildcard, spell the subject, whatever the letter case.
fn same_letters(pieces: &[Piece], values: &[&str], subject: &str) -> bool {
    if let [Piece::Lit(only)] = pieces
        && only.is_ascii()
        && subject.is_ascii()
    {
        return only.eq_ignore_ascii_case(subject);
    }
    let spelt = pieces.iter().flat_map(|piece| piece.text(values).chars()).flat_map(char::to_lowercase);
    spelt.eq(subject.chars().flat_map(char::to_lowercase))
}

struct Builder {
    mode: Mode,
    colons: usize,
    text: String,
    pieces: Vec<Piece>,
    variables: Vec<Variable>,
    early: bool,
}

impl Builder {
    fn new(mode: Mode) -> Self {
        Self { mode, colons: 0, text: String::new(), pieces: Vec::new(), variables: Vec::new(), early: false }
    }

    fn literal(&mut self, text: &str) {
        self.colons += text.matches(':').count();
        self.text.push_str(text);
    }

    fn variable(&mut self, name: &str, default: Option<&str>) {
        self.flush();
        self.early |= self.colons < 5 && self.mode == Mode::Resource;
        self.pieces.push(Piece::Var(self.variables.len()));
        let default = default.map(Into::into);
        self.variables.push(Variable { text: name.into(), key: KeyName::read(name), default });
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

    fn push_all(&mut self, text: &str, next: Option<char>) {
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

    fn finish(mut self) -> Glob {
        self.flush();
        let case = match self.mode {
            Mode::WildNoCase => Case::Ascii,
            Mode::LiteralNoCase => Case::Unicode,
            _ => Case::Counts,
        };
        Glob { pieces: self.pieces.into(), variables: self.variables.into(), case, early: self.early }
    }
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
fn one(subject: &str, within: bool) -> Option<&str> {
    let mut chars = subject.chars();
    let first = chars.next()?;
    if within && first == ':' { None } else { Some(chars.as_str()) }
}

/// A step of one character, to compare two patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Lit(char),
    One,
    OneWithin,
    Any,
    Within,
}

impl Token {
    /// Whether there is a character that both take.
    fn shares(self, other: Self) -> bool {
        match (self, other) {
            (Self::Lit(a), Self::Lit(b)) => a == b,
            (Self::Lit(c), Self::OneWithin | Self::Within) | (Self::OneWithin | Self::Within, Self::Lit(c)) => c != ':',
            _ => true,
        }
    }
}

/// What a pattern is laid over when it is compared with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Char(char),
    Wild(Token),
}

/// Whether one step takes one symbol.
fn takes(token: Token, symbol: Symbol, fold: bool) -> bool {
    match (token, symbol) {
        (Token::Lit(a), Symbol::Char(b)) => a == b || (fold && a.eq_ignore_ascii_case(&b)),
        (Token::One | Token::Any, Symbol::Char(_)) | (Token::Any, Symbol::Wild(_)) => true,
        (Token::OneWithin | Token::Within, Symbol::Char(c)) => c != ':',
        (Token::One, Symbol::Wild(w)) => matches!(w, Token::One | Token::OneWithin),
        (Token::OneWithin, Symbol::Wild(w)) => w == Token::OneWithin,
        (Token::Within, Symbol::Wild(w)) => matches!(w, Token::Within | Token::OneWithin),
        (Token::Lit(_), Symbol::Wild(_)) => false,
    }
}

/// As [`Run::matches`], one step and one symbol at a time.
fn covers<T, S>(tokens: T, symbols: S, fold: bool) -> bool
where
    T: Iterator<Item = Token> + Clone,
    S: Iterator<Item = Symbol> + Clone,
{
    let (mut tokens, mut symbols) = (tokens, symbols);
    let mut free: Option<(T, S)> = None;
    let mut within: Option<(T, S)> = None;
    loop {
        let before = symbols.clone();
        let fits = match tokens.next() {
            None if symbols.next().is_none() => return true,
            None => false,
            Some(Token::Any) => {
                free = Some((tokens.clone(), before));
                within = None;
                true
            }
            Some(Token::Within) => {
                within = Some((tokens.clone(), before));
                true
            }
            Some(token) => symbols.next().is_some_and(|s| takes(token, s, fold)),
        };
        if fits {
            continue;
        }
        if let Some((t, s)) = &mut within
            && s.next().is_some_and(|s| takes(Token::Within, s, fold))
        {
            (tokens, symbols) = (t.clone(), s.clone());
            continue;
        }
        within = None;
        if let Some((t, s)) = &mut free
            && s.next().is_some()
        {
            (tokens, symbols) = (t.clone(), s.clone());
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The matcher as one would define it, without a thought for cost, straight over the text.
    fn naive(pattern: &[char], mode: Mode, colons: usize, text: &[char]) -> bool {
        let bounded = colons < 5;
        let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
        let wild = !matches!(mode, Mode::Literal | Mode::LiteralNoCase);
        let stops = match mode {
            Mode::Arn => bounded,
            Mode::Resource => bounded && (*first == '?' || !matches!(rest.first(), None | Some(':'))),
            _ => false,
        };
        let same = |a: &char, b: &char| match mode {
            Mode::WildNoCase => a.eq_ignore_ascii_case(b),
            Mode::LiteralNoCase => a.to_lowercase().eq(b.to_lowercase()),
            _ => a == b,
        };
        let head = text.split_first().filter(|(c, _)| !stops || **c != ':');
        match first {
            '*' if wild => {
                naive(rest, mode, colons, text) || head.is_some_and(|(_, tail)| naive(pattern, mode, colons, tail))
            }
            '?' if wild => head.is_some_and(|(_, tail)| naive(rest, mode, colons, tail)),
            c => text
                .split_first()
                .is_some_and(|(t, tail)| same(c, t) && naive(rest, mode, colons + usize::from(*c == ':'), tail)),
        }
    }

    fn any_mode() -> impl Strategy<Value = Mode> {
        prop_oneof![
            Just(Mode::Wild),
            Just(Mode::WildNoCase),
            Just(Mode::Resource),
            Just(Mode::Arn),
            Just(Mode::Literal),
            Just(Mode::LiteralNoCase)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_matcher_agrees_with_the_naive_one(
            pattern in "[aBé:*?]{0,12}", text in "[abé:]{0,14}", mode in any_mode(),
        ) {
            let chars = |s: &str| s.chars().collect::<Vec<char>>();
            prop_assert_eq!(Glob::plain(&pattern, mode).matches(&text), naive(&chars(&pattern), mode, 0, &chars(&text)));
        }

        #[test]
        fn a_filled_variable_matches_as_its_text_would_escaped(
            head in "[ab:*?]{0,5}", value in "[ab*?]{1,3}", tail in "[ab:*?]{0,5}", text in "[ab:*?]{0,12}", mode in any_mode(),
        ) {
            let context = Context::closed().set("k:k", [value.clone()]);
            let escape = |c: char| if matches!(c, '*' | '?') { format!("${{{c}}}") } else { c.to_string() };
            let escaped: String = value.chars().map(escape).collect();
            let filled = Glob::with_variables(&format!("{head}${{k:k}}{tail}"), mode).unwrap();
            let literal = format!("{head}{escaped}{tail}");
            let literal = Glob::with_variables(&literal, mode).unwrap_or_else(|| Glob::plain(&literal, mode));
            prop_assert_eq!(filled.matches_in(&text, &context), Ok(literal.matches(&text)));
        }

        #[test]
        fn what_is_covered_is_matched(a in "[ab:*?]{0,8}", b in "[ab:*?]{0,8}", text in "[ab:]{0,10}", mode in any_mode()) {
            let (a, b) = (Glob::plain(&a, mode), Glob::plain(&b, mode));
            if a.covers(&b) && b.matches(&text) {
                prop_assert!(a.matches(&text));
            }
        }

        #[test]
        fn two_patterns_overlap_where_a_text_matches_both(
            a in "[ab:*?]{0,6}", asked in "[ab:*]{0,6}", text in "[ab:]{0,8}",
        ) {
            let (mine, theirs) = (Glob::plain(&a, Mode::Wild), Glob::plain(&asked, Mode::Wild));
            let asked = Asked::read(&asked);
            let meets = |whole| mine.meets(&asked, whole, &Context::closed()).unwrap();
            if theirs.matches(&text) {
                prop_assert!(!mine.matches(&text) || meets(false), "no overlap on {text}");
                prop_assert!(mine.matches(&text) || !meets(true), "not all of them: {text}");
            }
        }

        #[test]
        fn patterns_that_overlap_have_a_text_in_common(a in "[ab*?]{0,4}", asked in "[ab*]{0,4}") {
            let (mine, theirs) = (Glob::plain(&a, Mode::Wild), Glob::plain(&asked, Mode::Wild));
            let texts = (0..9_u32).flat_map(|len| (0..1_u32 << len).map(move |bits| {
                (0..len).map(|at| if bits >> at & 1 == 0 { 'a' } else { 'b' }).collect::<String>()
            }));
            let common = texts.into_iter().any(|text| mine.matches(&text) && theirs.matches(&text));
            prop_assert_eq!(mine.meets(&Asked::read(&asked), false, &Context::closed()), Ok(common));
        }

        #[test]
        fn every_pattern_covers_itself(a in "[ab:*?]{0,10}", mode in any_mode()) {
            let a = Glob::plain(&a, mode);
            prop_assert!(a.covers(&a));
        }
    }

    #[test]
    fn what_is_asked_keeps_to_the_segments_of_its_arn() {
        let meets = |pattern: &str, asked: &str, whole| {
            Glob::plain(pattern, Mode::Resource).meets(&Asked::read(asked), whole, &Context::closed()).unwrap()
        };
        assert!(meets("arn:aws:sqs:eu-*:1:q", "arn:aws:sqs:*:1:q", false));
        assert!(!meets("arn:aws:sqs:eu-*:1:q", "arn:aws:sqs:*:1:q", true));
        assert!(meets("arn:aws:sqs:*:1:*", "arn:aws:sqs:eu-*:1:q", true));
        assert!(!meets("arn:aws:sqs:a:2:q", "arn:aws:sqs:*:1:q", false));
        assert!(meets("arn:aws:s3:::b/x*", "arn:aws:s3:::b/*y", false));
        assert!(!meets("?", "*", true) && meets("?", "*", false));
    }

    #[test]
    fn variables_are_literal_and_may_have_defaults() {
        let context = Context::closed().set("aws:UserName", ["a*b"]).set("many", ["x", "y"]);
        let ask =
            |pattern: &str, text: &str| Glob::with_variables(pattern, Mode::Wild).unwrap().matches_in(text, &context);
        assert_eq!(ask("home/${AWS:username}/*", "home/a*b/x"), Ok(true));
        assert_eq!(ask("home/${aws:username}/*", "home/aXb/x"), Ok(false));
        assert_eq!(ask("${x:y, 'none'}-${*}${?}${$}", "none-*?$"), Ok(true));
        assert_eq!(ask("${x:y, 'none'}-${*}${?}${$}", "none-ab$"), Ok(false));
        assert_eq!(ask("${x:y, 'a}b, c'}!", "a}b, c!"), Ok(true));
        // Other spellings of a default are none: no key has such a name.
        for bad in ["${x:y,'none'}", "${x:y, none}", "${aws:username,'none'}"] {
            assert_eq!(ask(bad, "none"), Err(Unresolved::Missing), "{bad}");
        }
        assert_eq!(ask("${x:y}", ""), Err(Unresolved::Missing));
        assert_eq!(ask("${many}", "x"), Err(Unresolved::Missing));
        assert_eq!(
            ask("${aws:username}${aws:username}${aws:username}${aws:username}${x:y, ''}", "a*ba*ba*ba*b"),
            Ok(true)
        );
        assert!(Glob::with_variables("${open", Mode::Wild).is_none());
        assert!(Glob::with_variables("plain", Mode::Wild).is_none());
    }

    #[test]
    fn letters_of_every_script_fold_where_case_does_not_count() {
        let glob = Glob::plain("STRASSE-Ü", Mode::LiteralNoCase);
        assert!(glob.matches("strasse-ü") && !glob.matches("strasse-u"));
        let context = Context::closed().set("k", ["ÄB"]);
        assert_eq!(Glob::with_variables("x${k}", Mode::LiteralNoCase).unwrap().matches_in("Xäb", &context), Ok(true));
    }
}
