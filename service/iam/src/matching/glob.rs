//! Compiled texts with wildcards and policy variables.
//!
//! A text is compiled once into pieces; matching walks them over the subject without allocating.
//! Knows where a wildcard stops (at a colon, or nowhere) and how a variable is written. Refuses to
//! know which element of a policy a text stands in: the mode says it.

mod compile;
pub(crate) mod overlap;
mod pieces;
mod run;

pub(crate) use pieces::{Glob, Mode, Unresolved};

use crate::context::Context;
use compile::{Builder, first_variable};
use memchr::memmem;
use overlap::{Asked, Symbol, Token, covers};
use pieces::{Case, Piece};

/// Variables that are filled without allocating.
const FEW: usize = 4;

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
            let asked = Asked::new(&asked);
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
            prop_assert_eq!(mine.meets(&Asked::new(&asked), false, &Context::closed()), Ok(common));
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
            Glob::plain(pattern, Mode::Resource).meets(&Asked::new(asked), whole, &Context::closed()).unwrap()
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
