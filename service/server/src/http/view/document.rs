//! Policy documents as lines: laid out, coloured, with the deciding statements marked.
//!
//! Works on the text that AWS returned and not on a parsed value, so that order, repeated keys and
//! odd spellings stay visible. What is not JSON is shown as it is. Refuses to know IAM.

use std::collections::BTreeMap;

/// What a piece of a line is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// An object's key.
    Key,
    /// A string.
    Text,
    /// A number, `true`, `false` or `null`.
    Literal,
    /// Brackets, commas, blanks.
    Plain,
}

impl Token {
    /// The class in the style sheet.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Key => "j-key",
            Self::Text => "j-text",
            Self::Literal => "j-lit",
            Self::Plain => "j-plain",
        }
    }
}

/// A line of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// Coloured pieces, in order.
    pub pieces: Vec<(Token, String)>,
    /// The RFC 6901 pointer of the value that begins here, where it is one that can be linked to.
    pub anchor: Option<String>,
    /// Whether it belongs to a marked value.
    pub marked: bool,
    /// What the mark says; on the first line of a marked value.
    pub note: Option<String>,
}

/// A document laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentView {
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether it is JSON at all.
    pub is_json: bool,
}

const MAX_DEPTH: usize = 64;
const SHORT: usize = 80;

/// Lays a document out. `marks` says which values (by pointer) decided, and in which words.
#[must_use]
pub fn lay_out(text: &str, marks: &BTreeMap<String, String>) -> DocumentView {
    let mut reader = Reader { rest: text.trim() };
    let node = reader.value(0).filter(|_| reader.rest.trim().is_empty());
    let Some(node) = node else {
        let raw = |(at, line): (usize, &str)| Line {
            number: at + 1,
            pieces: vec![(Token::Plain, line.to_owned())],
            anchor: None,
            marked: marks.contains_key("") && !marks.is_empty(),
            note: (at == 0).then(|| marks.get("").cloned()).flatten(),
        };
        return DocumentView { lines: text.lines().enumerate().map(raw).collect(), is_json: false };
    };
    let mut printer = Printer {
        marks,
        lines: Vec::new(),
        current: Vec::new(),
        anchor: None,
        note: None,
        marked: 0,
        line_marked: false,
    };
    printer.node(&node, "", 0);
    printer.end_line();
    DocumentView { lines: printer.lines, is_json: true }
}

enum Node<'a> {
    Scalar(Token, &'a str),
    List(Vec<Node<'a>>),
    Map(Vec<(&'a str, Node<'a>)>),
}

impl Node<'_> {
    /// The whole value in one line, where it is short enough and holds no map.
    fn short(&self) -> Option<usize> {
        match self {
            Self::Scalar(_, text) => Some(text.len()),
            Self::List(items) => {
                let inner = items.iter().map(|i| matches!(i, Self::Scalar(..)).then(|| i.short())?);
                let sum: usize = inner.sum::<Option<usize>>()? + 2 * items.len();
                (sum <= SHORT).then_some(sum)
            }
            Self::Map(entries) => entries.is_empty().then_some(2),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.eat('{') {
            return self.map(depth);
        }
        if self.eat('[') {
            return self.list(depth);
        }
        if self.rest.starts_with('"') {
            return self.string().map(|text| Node::Scalar(Token::Text, text));
        }
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).filter(|(word, _)| !word.is_empty())?;
        self.rest = rest;
        let known = matches!(word, "true" | "false" | "null") || word.parse::<f64>().is_ok();
        known.then_some(Node::Scalar(Token::Literal, word))
    }

    fn map(&mut self, depth: usize) -> Option<Node<'a>> {
        let mut entries = Vec::new();
        if self.eat('}') {
            return Some(Node::Map(entries));
        }
        loop {
            self.skip();
            let key = self.string()?;
            if !self.eat(':') {
                return None;
            }
            entries.push((key, self.value(depth + 1)?));
            if self.eat('}') {
                return Some(Node::Map(entries));
            }
            if !self.eat(',') {
                return None;
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Node<'a>> {
        let mut items = Vec::new();
        if self.eat(']') {
            return Some(Node::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(']') {
                return Some(Node::List(items));
            }
            if !self.eat(',') {
                return None;
            }
        }
    }

    /// A string with its quotes, escapes untouched.
    fn string(&mut self) -> Option<&'a str> {
        let inner = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = inner.char_indices().find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        let (text, rest) = self.rest.split_at_checked(end?.0 + 2)?;
        self.rest = rest;
        Some(text)
    }
}

struct Printer<'m> {
    marks: &'m BTreeMap<String, String>,
    lines: Vec<Line>,
    current: Vec<(Token, String)>,
    anchor: Option<String>,
    note: Option<String>,
    marked: usize,
    line_marked: bool,
}

impl Printer<'_> {
    fn put(&mut self, token: Token, text: impl Into<String>) {
        self.current.push((token, text.into()));
    }

    fn end_line(&mut self) {
        let pieces = std::mem::take(&mut self.current);
        let line = Line {
            number: self.lines.len() + 1,
            pieces,
            anchor: self.anchor.take(),
            marked: self.marked > 0 || std::mem::take(&mut self.line_marked),
            note: self.note.take(),
        };
        self.lines.push(line);
    }

    fn new_line(&mut self, depth: usize) {
        self.end_line();
        self.put(Token::Plain, "  ".repeat(depth));
    }

    /// Prints a value. INVARIANT: a marked value ends at a line's end, as its parent breaks lines
    /// around each of its children; a list with marked members is never printed short.
    fn node(&mut self, node: &Node<'_>, pointer: &str, depth: usize) {
        match node {
            Node::Scalar(token, text) => self.put(*token, *text),
            Node::List(items) if node.short().is_some() && !self.marks_below(pointer) => {
                self.put(Token::Plain, "[");
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        self.put(Token::Plain, ", ");
                    }
                    self.node(item, pointer, depth);
                }
                self.put(Token::Plain, "]");
            }
            Node::List(items) => {
                self.put(Token::Plain, "[");
                for (at, item) in items.iter().enumerate() {
                    self.child(item, &format!("{pointer}/{at}"), depth + 1, None, at + 1 < items.len());
                }
                self.new_line(depth);
                self.put(Token::Plain, "]");
            }
            Node::Map(entries) if entries.is_empty() => self.put(Token::Plain, "{}"),
            Node::Map(entries) => {
                self.put(Token::Plain, "{");
                for (at, (key, value)) in entries.iter().enumerate() {
                    let step = escape(key.trim_matches('"'));
                    self.child(value, &format!("{pointer}/{step}"), depth + 1, Some(key), at + 1 < entries.len());
                }
                self.new_line(depth);
                self.put(Token::Plain, "}");
            }
        }
    }

    fn child(&mut self, node: &Node<'_>, pointer: &str, depth: usize, key: Option<&str>, more: bool) {
        self.new_line(depth);
        let note = self.marks.get(pointer).cloned();
        let marked = note.is_some();
        if marked {
            self.marked += 1;
            self.note = note;
        }
        if marked || is_statement(pointer) {
            self.anchor = Some(pointer.to_owned());
        }
        if let Some(key) = key {
            self.put(Token::Key, key);
            self.put(Token::Plain, ": ");
        }
        self.node(node, pointer, depth);
        if more {
            self.put(Token::Plain, ",");
        }
        if marked {
            self.marked -= 1;
            // The line that ends the value is not ended yet, and still belongs to it.
            self.line_marked = true;
        }
    }

    fn marks_below(&self, pointer: &str) -> bool {
        let below = format!("{pointer}/");
        self.marks.keys().any(|mark| mark.starts_with(&below))
    }
}

/// Statements can be linked to whether they are marked or not.
fn is_statement(pointer: &str) -> bool {
    pointer == "/Statement"
        || pointer.strip_prefix("/Statement/").is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn print(view: &DocumentView) -> String {
        let line = |l: &Line| {
            let text: String = l.pieces.iter().map(|(_, text)| text.as_str()).collect();
            format!(
                "{} {text}{}",
                if l.marked { '>' } else { ' ' },
                l.note.as_ref().map_or(String::new(), |n| format!("  <- {n}"))
            )
        };
        view.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_marked_statement_is_marked_whole_and_nothing_else_is() {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"},
            {"Sid":"B","Effect":"Allow","Action":"*","Action":"iam:*","Resource":"*"},{"Effect":"Deny","Action":"a:b","Resource":[]}]}"#;
        let marks = BTreeMap::from([("/Statement/1".to_owned(), "allows every action".to_owned())]);
        let view = lay_out(text, &marks);
        assert!(view.is_json);
        insta::assert_snapshot!(print(&view), @r#"
          {
            "Version": "2012-10-17",
            "Statement": [
              {
                "Effect": "Allow",
                "Action": ["s3:Get*", "s3:List*"],
                "Resource": "*"
              },
        >     {  <- allows every action
        >       "Sid": "B",
        >       "Effect": "Allow",
        >       "Action": "*",
        >       "Action": "iam:*",
        >       "Resource": "*"
        >     },
              {
                "Effect": "Deny",
                "Action": "a:b",
                "Resource": []
              }
            ]
          }
        "#);
        let anchors: Vec<_> = view.lines.iter().filter_map(|l| l.anchor.as_deref()).collect();
        assert_eq!(anchors, ["/Statement", "/Statement/0", "/Statement/1", "/Statement/2"]);
    }

    #[test]
    fn a_marked_member_of_a_short_list_gets_its_own_line() {
        let marks = BTreeMap::from([("/Statement/Action/1".to_owned(), "wildcard".to_owned())]);
        let view = lay_out(r#"{"Statement":{"Action":["a:b","*"]}}"#, &marks);
        let marked: Vec<_> = view.lines.iter().filter(|l| l.marked).collect();
        assert_eq!(marked.len(), 1);
        assert_eq!(marked[0].pieces.last().map(|(_, t)| t.as_str()), Some("\"*\""));
    }

    #[test]
    fn what_is_not_json_is_shown_as_it_is() {
        for text in ["{", "not json\nat all", "{\"a\":}", "[1,]", "{\"a\" 1}", "\"open", "{} x", &"[".repeat(500)] {
            let view = lay_out(text, &BTreeMap::new());
            assert!(!view.is_json, "{text}");
            let shown: Vec<_> = view.lines.iter().map(|l| l.pieces[0].1.as_str()).collect();
            assert_eq!(shown.join("\n"), text);
        }
    }

    proptest! {
        #[test]
        fn laying_out_loses_nothing(text in r#"[\[\]{}:, "a\\\\1.e-]{0,40}"#) {
            let view = lay_out(&text, &BTreeMap::new());
            let valid = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert!(view.is_json || !valid, "valid JSON is laid out");
            if valid {
                let shown: String = view.lines.iter().flat_map(|l| &l.pieces).map(|(_, t)| t.as_str()).collect();
                let tight = |s: &str| s.replace(' ', "");
                prop_assert_eq!(tight(&shown), tight(&text));
            }
        }
    }
}
