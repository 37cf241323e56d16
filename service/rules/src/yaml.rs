//! YAML documents as a tree that knows where everything stands.
//!
//! Duplicate keys are refused. A file's documents are read one by one, so that a mistake in one does
//! not hide the others. Refuses to know what the documents mean.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// A file larger than this is refused, in bytes.
const LARGEST_FILE: usize = 256 * 1024;
/// A value within more others than this is refused. No rule of ours needs half of it, and a build
/// without optimisation takes 30 KB of stack for each.
const DEEPEST: usize = 24;

/// A policy file, read by whoever may read files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// How messages name it.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Something wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{message}{}", prefix(.field), suffix(.remedy))]
pub struct LoadError {
    /// The file's path as given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The field concerned, such as `spec.match`; may be empty.
    pub field: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do; may be empty.
    pub remedy: String,
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

fn suffix(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("; {remedy}") }
}

/// A place in a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At {
    pub(super) start: usize,
    pub(super) len: usize,
}

/// A value of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, At, Node)>),
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a whole number",
            Self::Double(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(name, _, _)| name == key).map(|(_, _, node)| node)
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(b) => (*b).into(),
            Kind::Int(n) => (*n).into(),
            Kind::Double(n) => (*n).into(),
            Kind::Text(text) => text.as_str().into(),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(entries) => {
                serde_json::Value::Object(entries.iter().map(|(k, _, v)| (k.clone(), v.to_json())).collect())
            }
        }
    }

    fn shift(&mut self, by: usize) {
        self.at.start += by;
        match &mut self.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| item.shift(by)),
            Kind::Map(entries) => {
                for (_, at, node) in entries {
                    at.start += by;
                    node.shift(by);
                }
            }
            _ => {}
        }
    }
}

/// A file with the means to say where in it something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    /// Line and column of a byte, both from 1.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The text as written, quotes and all.
    pub(super) fn raw(&self, at: At) -> &'a str {
        self.text.get(at.start..at.start + at.len).unwrap_or_default()
    }

    pub(super) fn error(
        &self,
        at: At,
        field: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> LoadError {
        let (line, column) = self.position(at.start);
        LoadError {
            file: self.path.to_owned(),
            line,
            column,
            field: field.to_owned(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// Where in the file the byte `offset` of the scalar's value stands. YAML folds, unquotes and
    /// unindents, but it neither drops nor reorders what is not blank: those characters are counted.
    pub(super) fn inside(&self, node: &Node, offset: usize) -> At {
        let Some(value) = node.text() else { return node.at };
        let wanted = value.get(..offset).unwrap_or(value).chars().filter(|c| !c.is_whitespace()).count();
        let raw = self.raw(node.at);
        // A block scalar may begin with a quote of its own; a quoted one that does has it escaped.
        let quoted = match raw.chars().next() {
            Some('"') => !value.starts_with('"') || raw.starts_with("\"\\"),
            Some('\'') => !value.starts_with('\'') || raw.starts_with("'''"),
            _ => false,
        };
        let quote = raw.chars().next().filter(|_| quoted);
        let mut chars = raw.char_indices().peekable();
        if quote.is_some() {
            chars.next();
        }
        let mut counted = 0;
        let mut last = node.at.start;
        while let Some((at, c)) = chars.next() {
            if c.is_whitespace() {
                continue;
            }
            let mut blank = false;
            match (quote, c) {
                (Some('\''), '\'') => {
                    chars.next();
                }
                (Some('"'), '\\') => match chars.next() {
                    Some((_, 'n' | 't' | 'r' | ' ' | '\n')) => blank = true,
                    Some((_, 'x')) => skip(&mut chars, 2),
                    Some((_, 'u')) => skip(&mut chars, 4),
                    Some((_, 'U')) => skip(&mut chars, 8),
                    _ => {}
                },
                _ => {}
            }
            if blank {
                continue;
            }
            last = node.at.start + at;
            if counted == wanted {
                break;
            }
            counted += 1;
        }
        At { start: last, len: 1 }
    }
}

fn skip(chars: &mut impl Iterator, count: usize) {
    for _ in 0..count {
        chars.next();
    }
}

/// Reads every document of a file; those that cannot be read become errors.
pub(super) fn documents(source: Source<'_>, errors: &mut Vec<LoadError>) -> Vec<Node> {
    if source.text.len() > LARGEST_FILE {
        errors.push(source.error(
            At::default(),
            "",
            format!("the file has {} bytes; at most {LARGEST_FILE} are read", source.text.len()),
            "split it into several files",
        ));
        return Vec::new();
    }
    let mut nodes = Vec::new();
    for (start, text) in split(source.text) {
        let bare = text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
        });
        if bare {
            continue;
        }
        match serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options()) {
            Ok(tree) => {
                let mut node = tree.value.node(&tree.defined);
                node.shift(start);
                nodes.push(node);
            }
            Err(error) => {
                let error = error.without_snippet();
                let (line, column) = error.location().map_or((1, 1), |at| {
                    (usize::try_from(at.line()).unwrap_or(1), usize::try_from(at.column()).unwrap_or(1))
                });
                let (first, _) = source.position(start);
                let message = error.to_string();
                let place = format!(" at line {line}, column {column}");
                let message = message.strip_suffix(&place).unwrap_or(&message);
                let (message, remedy) = match message.split_once(", set DuplicateKeyPolicy") {
                    Some((message, _)) => (message, "keep one of the two"),
                    None => (message, "correct the YAML; the file's other documents are read"),
                };
                errors.push(LoadError {
                    file: source.path.to_owned(),
                    line: first + line.max(1) - 1,
                    column,
                    field: String::new(),
                    message: message.to_owned(),
                    remedy: remedy.to_owned(),
                });
            }
        }
    }
    nodes
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { strict_booleans: true, budget: serde_saphyr::budget! { max_depth: DEEPEST } }
}

/// The documents of a file: each starts at a line that begins with `---`, which no scalar can hold.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![0];
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker && offset > 0 {
            starts.push(offset);
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).filter_map(|(start, end)| text.get(start..end).map(|part| (start, part))).collect()
}

enum Tree {
    Leaf(Kind),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

fn place(location: &serde_saphyr::Location) -> At {
    let span = location.span();
    let start = span.byte_offset().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    At { start, len: span.byte_len().and_then(|n| usize::try_from(n).ok()).unwrap_or(0) }
}

impl Tree {
    fn node(self, location: &serde_saphyr::Location) -> Node {
        let kind = match self {
            Self::Leaf(kind) => kind,
            Self::List(items) => Kind::List(items.into_iter().map(|item| item.value.node(&item.defined)).collect()),
            Self::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, item)| (key.value, place(&key.defined), item.value.node(&item.defined)))
                    .collect(),
            ),
        };
        Node { at: place(location), kind }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf(Kind::Bool(v)))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Kind::Int(v)))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf(i64::try_from(v).map_or_else(|_| Kind::Text(v.to_string()), Kind::Int)))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Kind::Double(v)))
            }

            fn visit_str<E>(self, v: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf(Kind::Text(v.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf(Kind::Null))
            }

            fn visit_none<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf(Kind::Null))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
                Tree::deserialize(deserializer)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Node>, Vec<String>) {
        let mut errors = Vec::new();
        let nodes = documents(Source { path: "f.yaml", text }, &mut errors);
        (nodes, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_mistake_in_one_document_leaves_the_others() {
        let (nodes, errors) = read("a: 1\n---\n# nothing\n---\nb: 1\nb: 2\n---\nc: [1\n---\nd: {e: yes}\n");
        assert_eq!(
            nodes.iter().map(|n| n.to_json().to_string()).collect::<Vec<_>>(),
            [r#"{"a":1}"#, r#"{"d":{"e":"yes"}}"#]
        );
        assert_eq!(errors[0], "f.yaml:6:1: duplicate mapping key: b; keep one of the two");
        assert!(errors[1].starts_with("f.yaml:8:") || errors[1].starts_with("f.yaml:9:"), "{errors:?}");
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn the_place_of_a_character_of_a_scalar() {
        let text = "---\na: >-\n    foo\n    bar\nb: 'it''s x'\nc: \"q\\\"\\n x\"\nd: plain x\ne: |\n  one\n  two x\nf: >-\n  'q' x\ng: '''q'' x'\n";
        let (nodes, errors) = read(text);
        assert_eq!(errors, [] as [&str; 0]);
        let source = Source { path: "f.yaml", text };
        for (key, needle, expect) in [
            ("a", "bar", (4, 5)),
            ("b", "x", (5, 11)),
            ("b", "s", (5, 9)),
            ("c", "x", (6, 11)),
            ("d", "x", (7, 10)),
            ("e", "x", (10, 7)),
            ("f", "x", (12, 7)),
            ("g", "x", (13, 11)),
        ] {
            let node = nodes[0].get(key).unwrap();
            let offset = node.text().unwrap().find(needle).unwrap();
            assert_eq!(source.position(source.inside(node, offset).start), expect, "{key} {needle}");
        }
    }

    #[test]
    fn too_large_a_file_is_refused() {
        let (_, errors) = read(&" ".repeat(300_000));
        assert!(errors[0].contains("at most 262144"), "{errors:?}");
    }
}
