//! Tables for people in a terminal, and the same as tab-separated lines for what reads a pipe.
//!
//! Knows widths, colours and what a cell may hold. Refuses to know what a column means.

use super::{escaped, is_command};
use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use tabled::builder::Builder;
use tabled::settings::object::{Cell as At, Rows};
use tabled::settings::peaker::Priority;
use tabled::settings::{Alignment, Color, Modify, Padding, Style, Width};

/// What a cell is coloured as, where colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As all text.
    Plain,
    /// What needs somebody at once.
    Bad,
    /// What needs somebody.
    Warning,
    /// What is less than the rest.
    Dim,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// For the terminal.
    pub shown: String,
    /// For programs, where it is another text.
    pub exact: Option<String>,
    /// Its colour.
    pub tone: Tone,
    /// Whether it is aligned at its end, as numbers are.
    pub is_number: bool,
}

/// A table: the names of its columns, and its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// `snake_case`, as the API names its fields.
    pub columns: Vec<&'static str>,
    /// As many cells in each as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// How wide a terminal is that does not say so.
const WIDTH: usize = 80;

impl Table {
    /// Writes the table to stdout: aligned and cut to its width where that is a terminal, tab-separated otherwise.
    ///
    /// # Errors
    /// Where nobody reads it.
    pub fn write(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let text = if out.is_terminal() { self.aligned(width(), has_colours()) } else { self.separated() };
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Aligned columns, none of them wider than together fit. Nothing at all where there is no row.
    fn aligned(&self, width: usize, colours: bool) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut builder = Builder::new();
        builder.push_record(self.columns.iter().map(|column| column.replace('_', " ").to_uppercase()));
        for row in &self.rows {
            builder.push_record(row.iter().map(|cell| plain(&cell.shown).into_owned()));
        }
        let mut table = builder.build();
        table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
        // Of the widest columns first.
        table.with(Width::truncate(width).suffix("…").priority(Priority::max(true)));
        for (y, row) in self.rows.iter().enumerate() {
            for (x, cell) in row.iter().enumerate() {
                let at = At::new(y.saturating_add(1), x);
                if cell.is_number {
                    table.with(Modify::new(at).with(Alignment::right()));
                }
                if let Some(colour) = cell.tone.colour().filter(|_| colours) {
                    table.with(Modify::new(at).with(colour));
                }
            }
        }
        if colours {
            table.with(Modify::new(Rows::first()).with(Color::BOLD));
        }
        let text = table.to_string();
        text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    /// A line of names, and a line for each row, with a tab between cells. A tab or an end of line in a cell is escaped.
    fn separated(&self) -> String {
        let mut text = self.columns.join("\t");
        text.push('\n');
        for row in &self.rows {
            let cells = row.iter().map(|cell| plain(cell.exact.as_ref().unwrap_or(&cell.shown)));
            text.push_str(&cells.collect::<Vec<_>>().join("\t"));
            text.push('\n');
        }
        text
    }
}

impl Tone {
    fn colour(self) -> Option<Color> {
        match self {
            Self::Plain => None,
            Self::Bad => Some(Color::FG_RED),
            Self::Warning => Some(Color::FG_YELLOW),
            Self::Dim => Some(Color::FG_BRIGHT_BLACK),
        }
    }
}

/// One line of text, with every character that would move the cursor or turn letters as its escape.
fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, is_command)
}

/// As <https://no-color.org> has it, and as terminals that know no colours call themselves.
fn has_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

#[cfg(unix)]
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map(|size| usize::from(size.ws_col)).ok().filter(|width| *width > 0).unwrap_or(WIDTH)
}

#[cfg(not(unix))]
fn width() -> usize {
    WIDTH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(shown: &str, tone: Tone) -> Cell {
        let is_number = shown.bytes().all(|b| b.is_ascii_digit());
        Cell { shown: shown.to_owned(), exact: None, tone, is_number }
    }

    fn table() -> Table {
        let role = Cell { exact: Some("arn:aws:iam::111122223333:role/a".to_owned()), ..cell("a", Tone::Plain) };
        let hostile = "one\u{1b}[2J\ttwo\nthree \u{202e}four, five, six, seven, eight";
        Table {
            columns: vec!["number", "severity", "role_arn", "message"],
            rows: vec![
                vec![cell("7", Tone::Plain), cell("critical", Tone::Bad), role, cell(hostile, Tone::Plain)],
                vec![
                    cell("1200", Tone::Plain),
                    cell("low", Tone::Dim),
                    cell("données", Tone::Plain),
                    cell("役割", Tone::Plain),
                ],
            ],
        }
    }

    #[test]
    fn a_terminal_has_columns_that_fit_it() {
        let text = table().aligned(60, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "NUMBER  SEVERITY  ROLE ARN  MESSAGE");
        assert!(lines[1].starts_with(r"     7  critical  a         one\u{1b}[2J\u{9}two\u{a}"), "{text}");
        assert!(lines[1].ends_with('…') && lines[1].chars().count() <= 60, "{text}");
        assert_eq!(lines[2], "  1200  low       données   役割");
        for width in 1..200 {
            let text = table().aligned(width, false);
            assert!(width < 20 || text.lines().all(|line| line.chars().count() <= width), "{width}\n{text}");
        }
        assert_eq!(Table { rows: Vec::new(), ..table() }.aligned(60, true), "");
    }

    #[test]
    fn colours_are_the_only_commands_to_the_terminal() {
        let coloured = table().aligned(200, true);
        assert!(coloured.contains("\u{1b}[31mcritical"), "{coloured}");
        assert!(!coloured.contains("\u{1b}[2J") && !coloured.contains('\u{202e}'), "{coloured}");
        assert!(!table().aligned(200, false).contains('\u{1b}'));
    }

    #[test]
    fn a_pipe_has_every_cell_whole() {
        let text = table().separated();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0], ["number", "severity", "role_arn", "message"]);
        assert_eq!(lines[1][2], "arn:aws:iam::111122223333:role/a");
        assert_eq!(lines[1][3], r"one\u{1b}[2J\u{9}two\u{a}three \u{202e}four, five, six, seven, eight");
        assert!(lines.iter().all(|line| line.len() == 4) && lines.len() == 3);
    }
}
