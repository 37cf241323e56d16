//! Wildcards: `*` and `?` in actions, resources and condition values.
//!
//! Knows where each may run: an action's service prefix takes none; in a resource ARN a `*` stays
//! within its segment unless it ends it, and runs free after the fifth colon. Matching is a plain
//! loop with at most two places to go back to. Refuses to know what a name stands for.

use std::fmt;

/// One step of a compiled pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// This character.
    Lit(char),
    /// Any one character.
    One,
    /// Any one character but a colon.
    OneWithin,
    /// Any characters.
    Any,
    /// Any characters but colons.
    Within,
}

/// What a pattern is matched against: a text, or another pattern (to see whether it is covered).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Char(char),
    Wild(Token),
}

/// How the wildcards of a text are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// There are none.
    Literal,
    /// `*` is any text.
    Wild,
    /// `*` is any text, and letters match in either case.
    WildNoCase,
    /// A resource ARN: `*` stays in its segment unless it ends the segment.
    Resource,
    /// An ARN condition: each of the six segments is compared apart.
    Arn,
}

/// What a policy variable stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    /// This text, taken literally.
    Text(String),
    /// The context has no such key, and there is no default.
    Missing,
    /// The context does not say.
    Unknown(crate::truth::Why),
}

/// Why a pattern with variables could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// A variable's key is absent.
    Missing,
    /// A variable's value is not known.
    Unknown(crate::truth::Why),
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    fold: bool,
}

impl Glob {
    /// Compiles a text without variables.
    pub(crate) fn plain(text: &str, mode: Mode) -> Self {
        let mut builder = Builder::new(mode);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            builder.push(c, chars.peek().copied());
        }
        builder.finish()
    }

    /// Compiles a text, with its policy variables resolved.
    pub(crate) fn with_variables(
        text: &str,
        mode: Mode,
        lookup: &dyn Fn(&str) -> Variable,
    ) -> Result<Self, Unresolved> {
        let mut builder = Builder::new(mode);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else { break };
            builder.push_all(before, Some('$'));
            match name {
                "*" | "?" | "$" => builder.literal(name),
                _ => {
                    let (key, default) = match name.split_once(',') {
                        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
                        None => (name.trim(), None),
                    };
                    match (lookup(key), default) {
                        (Variable::Text(value), _) => builder.literal(&value),
                        (Variable::Missing, Some(default)) => builder.literal(default),
                        (Variable::Missing, None) => return Err(Unresolved::Missing),
                        (Variable::Unknown(why), _) => return Err(Unresolved::Unknown(why)),
                    }
                }
            }
            rest = tail;
        }
        builder.push_all(rest, None);
        Ok(builder.finish())
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        run(&self.tokens, text.chars().map(Symbol::Char), self.fold)
    }

    /// Whether everything that `other` matches is matched by this one too. Never wrongly yes; may
    /// be no for a pair that only a deeper look would prove.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let symbols = other.tokens.iter().map(|token| match token {
            Token::Lit(c) => Symbol::Char(*c),
            wild => Symbol::Wild(*wild),
        });
        run(&self.tokens, symbols, self.fold)
    }

    /// Whether it matches every text.
    pub(crate) fn is_everything(&self) -> bool {
        !self.tokens.is_empty() && self.tokens.iter().all(|t| *t == Token::Any)
    }

    /// Whether it has no wildcard.
    pub(crate) fn is_exact(&self) -> bool {
        self.tokens.iter().all(|t| matches!(t, Token::Lit(_)))
    }
}

struct Builder {
    mode: Mode,
    colons: usize,
    tokens: Vec<Token>,
}

impl Builder {
    fn new(mode: Mode) -> Self {
        Self { mode, colons: 0, tokens: Vec::new() }
    }

    fn literal(&mut self, text: &str) {
        for c in text.chars() {
            self.colons += usize::from(c == ':');
            self.tokens.push(Token::Lit(c));
        }
    }

    fn push_all(&mut self, text: &str, next: Option<char>) {
        let mut chars = text.chars().chain(next).peekable();
        for _ in 0..text.chars().count() {
            if let Some(c) = chars.next() {
                self.push(c, chars.peek().copied());
            }
        }
    }

    fn push(&mut self, c: char, next: Option<char>) {
        let bounded = self.colons < 5;
        self.tokens.push(match (c, self.mode) {
            ('*', Mode::Resource) if bounded && !matches!(next, None | Some(':')) => Token::Within,
            ('*', Mode::Arn) if bounded => Token::Within,
            ('?', Mode::Resource | Mode::Arn) if bounded => Token::OneWithin,
            ('*', Mode::Wild | Mode::WildNoCase | Mode::Resource | Mode::Arn) => Token::Any,
            ('?', Mode::Wild | Mode::WildNoCase | Mode::Resource | Mode::Arn) => Token::One,
            (c, _) => {
                self.colons += usize::from(c == ':');
                Token::Lit(c)
            }
        });
    }

    fn finish(self) -> Glob {
        Glob { tokens: self.tokens, fold: self.mode == Mode::WildNoCase }
    }
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

/// Runs the steps over the symbols.
///
/// Going back to the latest star is enough: an earlier one could only take more of what the later
/// one is free to take. A star that stops at colons adds one more place to go back to, since when
/// it is stuck the latest free star may still move on.
fn run<S: Iterator<Item = Symbol> + Clone>(tokens: &[Token], symbols: S, fold: bool) -> bool {
    let mut tokens = tokens.iter();
    let mut symbols = symbols;
    let mut free: Option<(std::slice::Iter<'_, Token>, S)> = None;
    let mut within: Option<(std::slice::Iter<'_, Token>, S)> = None;
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
            Some(token) => symbols.next().is_some_and(|s| takes(*token, s, fold)),
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

/// An element of `Action` or `NotAction`: `*`, or `service:Name` with wildcards in the name.
///
/// A text without a colon, such as a placeholder that was never filled in, names no action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern {
    text: Box<str>,
    /// Lower case; empty where no service is named; `None` for every service.
    service: Option<Box<str>>,
    name: Glob,
}

impl ActionPattern {
    /// Reads an action pattern.
    ///
    /// # Errors
    /// A service prefix that is empty or holds a wildcard, as IAM refuses it too. `*:*` is read as
    /// `*`.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let all = |s: &str| !s.is_empty() && s.bytes().all(|b| b == b'*');
        let (service, name) = match text.split_once(':') {
            None if all(text) => (None, text),
            None if text.is_empty() || text.contains(['*', '?']) => {
                return Err("an action needs its service, as in `s3:GetObject`");
            }
            None => {
                let name = Glob::plain(text, Mode::Literal);
                return Ok(Self { text: text.into(), service: Some("".into()), name });
            }
            Some((service, name)) if all(service) && all(name) => (None, name),
            Some((service, name)) => (Some(service), name),
        };
        if service.is_some_and(|s| s.is_empty() || s.contains(['*', '?', ' '])) {
            return Err("the service before the colon takes no wildcard and is not empty");
        }
        if name.is_empty() {
            return Err("an action needs a name after the colon");
        }
        Ok(Self {
            text: text.into(),
            service: service.map(|s| s.to_ascii_lowercase().into()),
            name: Glob::plain(name, Mode::WildNoCase),
        })
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The service prefix in lower case; `None` for every service.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Whether it is every action of every service.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.service.is_none()
    }

    /// Whether it is every action of a service, or of all.
    #[must_use]
    pub fn is_whole_service(&self) -> bool {
        self.name.is_everything()
    }

    /// Whether it has a wildcard.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        !self.name.is_exact()
    }

    /// Whether it matches an action of its own service, by the name after the colon.
    pub(crate) fn matches_name(&self, name: &str) -> bool {
        self.name.matches(name)
    }

    /// Whether it matches the action.
    #[must_use]
    pub fn matches(&self, action: &str) -> bool {
        let Some(own) = &self.service else { return true };
        action
            .split_once(':')
            .is_some_and(|(service, name)| own.eq_ignore_ascii_case(service) && self.name.matches(name))
    }

    /// Whether it matches everything that the other matches. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.is_all() || (self.service == other.service && self.name.covers(&other.name))
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An element of `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePattern {
    text: Box<str>,
    plain: Glob,
}

impl ResourcePattern {
    /// Reads a resource pattern. Any text is one.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self { text: text.into(), plain: Glob::plain(text, Mode::Resource) }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds a policy variable (which only version `2012-10-17` reads as one).
    #[must_use]
    pub fn has_variable(&self) -> bool {
        self.text.contains("${")
    }

    /// Whether it matches the resource, its variables taken as plain text.
    #[must_use]
    pub fn matches(&self, resource: &str) -> bool {
        self.plain.matches(resource)
    }

    pub(crate) fn resolve(&self, lookup: &dyn Fn(&str) -> Variable) -> Result<Glob, Unresolved> {
        if self.has_variable() {
            Glob::with_variables(&self.text, Mode::Resource, lookup)
        } else {
            Ok(self.plain.clone())
        }
    }

    /// Whether it names every resource of every service: `*`, or an ARN whose segments are all open.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        if self.has_variable() {
            return false;
        }
        let open = |s: &str| !s.is_empty() && s.bytes().all(|b| b == b'*');
        let mut segments = self.text.split(':');
        match segments.next() {
            Some(first) if open(first) => segments.all(open),
            Some("arn") => {
                let rest: Vec<&str> = segments.collect();
                let partition = |s: &str| open(s) || s.starts_with("aws");
                match rest.as_slice() {
                    [p] => open(p),
                    [p, tail @ ..] => partition(p) && tail.iter().all(|s| open(s)),
                    [] => false,
                }
            }
            _ => false,
        }
    }

    /// Whether it names every resource of at least one type of its service, in any account that
    /// the segment leaves open: the part after the fifth colon is `*`, or `type/*`.
    #[must_use]
    pub fn is_every_of_type(&self) -> bool {
        if self.is_everything() {
            return true;
        }
        if self.has_variable() {
            return false;
        }
        let Some(tail) = self.text.splitn(6, ':').nth(5) else { return self.text.ends_with(":*") };
        let name = tail.rsplit_once(['/', ':']).map_or(tail, |(_, name)| name);
        let kind = tail.strip_suffix(name).unwrap_or_default();
        // Where other services put the type, S3 has the bucket.
        if !kind.is_empty() && self.text.split(':').nth(2) == Some("s3") {
            return kind.bytes().all(|b| b == b'*' || b == b'/') && name.bytes().all(|b| b == b'*');
        }
        !name.is_empty() && name.bytes().all(|b| b == b'*') && !kind.trim_end_matches(['/', ':']).contains(['/', ':'])
    }

    /// Whether it matches everything that the other matches. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.is_everything() || (!self.has_variable() && !other.has_variable() && self.plain.covers(&other.plain))
    }
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a value with `*` and `?` matches a text, as `StringLike` reads it.
#[must_use]
pub fn like(pattern: &str, text: &str) -> bool {
    Glob::plain(pattern, Mode::Wild).matches(text)
}

/// The six segments of an ARN pattern are what ARN conditions compare; fewer are read as a prefix.
pub(crate) fn arn_mode(pattern: &str) -> Mode {
    if pattern.splitn(6, ':').count() == 6 { Mode::Arn } else { Mode::Resource }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The matcher as one would define it, without a thought for cost.
    fn naive(tokens: &[Token], text: &[char]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((star @ (Token::Any | Token::Within), rest)), _) => {
                naive(rest, text)
                    || text
                        .split_first()
                        .is_some_and(|(c, tail)| takes(*star, Symbol::Char(*c), false) && naive(tokens, tail))
            }
            (Some((token, rest)), Some((c, tail))) => takes(*token, Symbol::Char(*c), false) && naive(rest, tail),
            (Some(_), None) => false,
        }
    }

    fn any_mode() -> impl Strategy<Value = Mode> {
        prop_oneof![Just(Mode::Wild), Just(Mode::Resource), Just(Mode::Arn), Just(Mode::Literal)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_loop_agrees_with_the_naive_matcher(
            pattern in "[ab:*?]{0,12}", text in "[ab:]{0,14}", mode in any_mode(),
        ) {
            let glob = Glob::plain(&pattern, mode);
            let chars: Vec<char> = text.chars().collect();
            prop_assert_eq!(glob.matches(&text), naive(&glob.tokens, &chars));
        }

        #[test]
        fn what_is_covered_is_matched(a in "[ab:*?]{0,8}", b in "[ab:*?]{0,8}", text in "[ab:]{0,10}", mode in any_mode()) {
            let (a, b) = (Glob::plain(&a, mode), Glob::plain(&b, mode));
            if a.covers(&b) && b.matches(&text) {
                prop_assert!(a.matches(&text));
            }
        }

        #[test]
        fn every_pattern_covers_itself(a in "[ab:*?]{0,10}", mode in any_mode()) {
            let a = Glob::plain(&a, mode);
            prop_assert!(a.covers(&a));
        }
    }

    #[test]
    fn actions_ignore_case_and_keep_to_their_service() {
        let get = ActionPattern::read("S3:get*").unwrap();
        assert!(get.matches("s3:GetObject") && !get.matches("s3:PutObject") && !get.matches("s3express:GetObject"));
        assert!(ActionPattern::read("*").unwrap().matches("iam:PassRole"));
        assert!(ActionPattern::read("*:*").unwrap().is_all());
        assert!(ActionPattern::read("s3:*").unwrap().covers(&get));
        assert!(!get.covers(&ActionPattern::read("s3:*").unwrap()));
        assert!(!ActionPattern::read("<action>").unwrap().matches("s3:GetObject"));
        for bad in ["", "s3*", "s*:Get*", ":Get", "s3:"] {
            assert!(ActionPattern::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_in_an_arn_stays_in_its_segment_unless_it_ends_it() {
        let cases = [
            ("*", "arn:aws:s3:::b/k", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", true),
            ("arn:aws:s3*", "arn:aws:s3:::b", true),
            ("arn:aws:dynamodb:*:table/prod", "arn:aws:dynamodb:eu-west-1:111122223333:table/prod", true),
            ("arn:aws:dynamodb:eu-*-1:1:table/t", "arn:aws:dynamodb:eu-west-1:1:table/t", true),
            ("arn:aws:dynamodb:e*1:table/t", "arn:aws:dynamodb:eu-west-1:1:table/t", false),
            ("arn:aws:iam::1111222233?3:role/x", "arn:aws:iam::111122223333:role/x", true),
            ("arn:aws:iam::1:role/X", "arn:aws:iam::1:role/x", false),
        ];
        for (pattern, resource, expected) in cases {
            assert_eq!(ResourcePattern::read(pattern).matches(resource), expected, "{pattern} {resource}");
        }
    }

    #[test]
    fn everything_has_several_spellings() {
        for all in ["*", "**", "arn:*", "arn:aws:*", "arn:*:*:*:*:*", "arn:aws:*:*:*:*"] {
            assert!(ResourcePattern::read(all).is_everything(), "{all}");
        }
        for some in ["arn:aws:s3:::*", "arn:aws:s3:::b", "", "arn:aws", "${aws:username}", "arn:aws:*:*:111122223333:*"]
        {
            assert!(!ResourcePattern::read(some).is_everything(), "{some}");
        }
        for wide in ["arn:aws:s3:::*", "arn:aws:iam::*:role/*", "arn:aws:sqs:*:*:*", "arn:aws:s3:*"] {
            assert!(ResourcePattern::read(wide).is_every_of_type(), "{wide}");
        }
        for narrow in ["arn:aws:s3:::b/*", "arn:aws:iam::1:role/team/*", "arn:aws:s3:::b*", "arn:aws:iam::1:role/x"] {
            assert!(!ResourcePattern::read(narrow).is_every_of_type(), "{narrow}");
        }
    }

    #[test]
    fn variables_are_literal_and_may_have_defaults() {
        let lookup = |key: &str| match key {
            "aws:username" => Variable::Text("a*b".into()),
            _ => Variable::Missing,
        };
        let glob = Glob::with_variables("home/${aws:username}/*", Mode::Wild, &lookup).unwrap();
        assert!(glob.matches("home/a*b/x") && !glob.matches("home/aXb/x"));
        let glob = Glob::with_variables("${x:y, 'none'}-${*}${?}${$}", Mode::Wild, &lookup).unwrap();
        assert!(glob.matches("none-*?$") && !glob.matches("none-ab$"));
        assert_eq!(Glob::with_variables("${x:y}", Mode::Wild, &lookup), Err(Unresolved::Missing));
        assert!(Glob::with_variables("${open", Mode::Wild, &lookup).unwrap().matches("${open"));
    }
}
