//! Text for people, on its way to a terminal.
//!
//! Names that were collected are somebody else's words: a terminal would take what stands in them for
//! its own commands, and a reader may be shown another order of letters than there is. Here, and only
//! here, text for people is written, and both are made visible. JSON and CSV are for programs and stay
//! as they are. Refuses to know what is said.

mod table;

use std::borrow::Cow;
use std::io::Write as _;
pub use table::{Cell, Table, Tone};

/// Writes lines to stdout.
///
/// # Errors
/// Where nobody reads them.
pub fn out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(harmless(text).as_bytes())?;
    out.flush()
}

/// Writes one line to stderr. Nothing is left to tell it to where nobody reads it.
pub fn err(line: &str) {
    let line = escaped(line, |c| c != '\t' && is_command(c));
    let _lost = writeln!(std::io::stderr().lock(), "{line}");
}

/// The text with every character that a terminal takes for a command, or that turns the order of
/// letters, as its escape, such as `\u{1b}`. Lines and tabs stay.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && is_command(c))
}

fn escaped(text: &str, is_odd: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_odd(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Controls of the terminal (C0, DEL and C1), line separators, and marks that turn the direction.
fn is_command(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, shown) in [
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}2J\u{9d}", r"\u{9b}2J\u{9d}"),
            ("a\rb\u{8}\u{7f}", r"a\u{d}b\u{8}\u{7f}"),
            ("\u{202e}nimda\u{202c}\u{2066}\u{200f}", r"\u{202e}nimda\u{202c}\u{2066}\u{200f}"),
            ("a\nb\tc", "a\nb\tc"),
            ("données ␀0 💥", "données ␀0 💥"),
        ] {
            assert_eq!(harmless(text), shown);
        }
        assert!(matches!(harmless("plain"), Cow::Borrowed(_)));
    }
}
