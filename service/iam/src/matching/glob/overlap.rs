//! What two patterns have in common: laid over each other character by character.

use crate::matching::glob::pieces::{Piece, Unresolved};
use crate::truth::Why;

/// A resource that is asked about, or with stars in it several of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    tokens: Box<[Token]>,
}

impl Asked {
    /// Longest pair of texts that is laid over each other, as the product of their lengths.
    const MOST: usize = 4_000_000;

    /// Reads the name of a resource, in which `*` is any text within its segment of an ARN.
    pub(crate) fn new(text: &str) -> Self {
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

    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol> + Clone + '_ {
        self.tokens.iter().map(|token| match token {
            Token::Lit(c) => Symbol::Char(*c),
            wild => Symbol::Wild(*wild),
        })
    }

    /// Whether some text matches both; `None` where they are too long to say.
    pub(super) fn overlaps(&self, tokens: impl Iterator<Item = Token> + Clone) -> Option<bool> {
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

    pub(super) fn too_long() -> Unresolved {
        Unresolved::Unknown(Why::NotUnderstood("two names of resources are too long to be compared".to_owned()))
    }
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
pub(crate) enum Symbol {
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

/// As `Run::matches`, one step and one symbol at a time.
pub(crate) fn covers<T, S>(tokens: T, symbols: S, fold: bool) -> bool
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

impl Piece {
    pub(super) fn token(&self) -> Option<Token> {
        match self {
            Self::Lit(_) | Self::Var(_) => None,
            Self::One => Some(Token::One),
            Self::OneWithin => Some(Token::OneWithin),
            Self::Any => Some(Token::Any),
            Self::Within => Some(Token::Within),
        }
    }
}
