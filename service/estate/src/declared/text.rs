//! A text of which parts may be known only when it is deployed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why something cannot be told from the file, in lower case, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct Unresolved(pub String);

/// A text, or the pieces of it that are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Piece {
    Known(String),
    Open(Unresolved),
}

/// Whether a text is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// It is.
    Yes,
    /// It is not, whatever its open pieces are.
    No,
    /// It may be: the known pieces are there, in their order.
    Perhaps,
}

impl Text {
    /// A text that is known.
    #[must_use]
    pub fn known(text: impl Into<String>) -> Self {
        Self(vec![Piece::Known(text.into())])
    }

    /// A text of which nothing is known, and why.
    #[must_use]
    pub fn open(why: impl Into<String>) -> Self {
        Self(vec![Piece::Open(Unresolved(why.into()))])
    }

    /// One text after the other.
    #[must_use]
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in parts.into_iter().flat_map(|part| part.0) {
            match (pieces.last_mut(), piece) {
                (Some(Piece::Known(last)), Piece::Known(next)) => last.push_str(&next),
                (_, piece) => pieces.push(piece),
            }
        }
        Self(pieces)
    }

    /// The text, where all of it is known.
    #[must_use]
    pub fn as_known(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Known(text)] => Some(text),
            _ => None,
        }
    }

    /// Why it is not known, where it is not.
    #[must_use]
    pub fn why(&self) -> Option<&Unresolved> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Open(why) => Some(why),
            Piece::Known(_) => None,
        })
    }

    /// The text, or why it is not known.
    ///
    /// # Errors
    /// The reason of the first piece that is open.
    pub fn resolved(&self) -> Result<String, Unresolved> {
        match self.why() {
            Some(why) => Err(why.clone()),
            None => Ok(self.as_known().unwrap_or_default().to_owned()),
        }
    }

    /// Whether it is this text.
    #[must_use]
    pub fn matches(&self, text: &str) -> Match {
        if let Some(known) = self.as_known() {
            return if known == text { Match::Yes } else { Match::No };
        }
        let mut rest = text;
        let last = self.0.len().saturating_sub(1);
        for (index, piece) in self.0.iter().enumerate() {
            let Piece::Known(piece) = piece else { continue };
            let left = match index {
                0 => rest.strip_prefix(piece.as_str()),
                at if at == last => rest.strip_suffix(piece.as_str()),
                _ => rest.split_once(piece.as_str()).map(|(_, left)| left),
            };
            match left {
                Some(left) => rest = left,
                None => return Match::No,
            }
        }
        Match::Perhaps
    }
}

/// Open pieces as `…`.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Known(text) => f.write_str(text)?,
                Piece::Open(_) => f.write_str("…")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_pieces_leave_what_is_known() {
        let text = Text::joined([Text::known("a"), Text::known("b-"), Text::open("p"), Text::known("-c")]);
        assert_eq!(text.to_string(), "ab-…-c");
        for (other, expected) in [
            ("ab-1-c", Match::Perhaps),
            ("ab--c", Match::Perhaps),
            ("ab-c", Match::No),
            ("ab-1-d", Match::No),
            ("xab-1-c", Match::No),
        ] {
            assert_eq!(text.matches(other), expected, "{other}");
        }
        let middle = Text::joined([Text::open("p"), Text::known("-x-"), Text::open("q")]);
        assert_eq!((middle.matches("a-x-b"), middle.matches("a-b")), (Match::Perhaps, Match::No));
        assert_eq!((Text::known("a").matches("a"), Text::known("a").matches("b")), (Match::Yes, Match::No));
        assert_eq!(Text::open("why").resolved(), Err(Unresolved("why".to_owned())));
        assert_eq!(Text::joined([]).resolved(), Ok(String::new()));
    }
}
