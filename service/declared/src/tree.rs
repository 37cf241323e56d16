//! A file as a tree of values, each with its line.
//!
//! Reads JSON, and YAML with the tags that CloudFormation gives a meaning (`!Ref`). Bounded in depth, and in
//! what aliases may copy. Refuses to know what a value means.

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};
use std::collections::BTreeMap;

/// How deep values nest at most.
const DEEPEST: usize = 64;
/// How many values the aliases of a YAML document copy at most.
const MOST_COPIES: usize = 100_000;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As written, so that an account id keeps its zeros.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// `!Name value`.
    Tagged(String, Box<Node>),
}

/// What cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node).filter(|node| node.value != Value::Null)
    }

    /// The value behind a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    pub(crate) fn entries(&self) -> &[(String, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    pub(crate) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// A text, or a number as it is written.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(flag) => Some(*flag),
            // CloudFormation and Terraform take the words, too.
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// What people call the value.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Tagged(..) => "an expression",
        }
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.count()).sum::<usize>(),
            Value::Tagged(_, node) => node.count(),
            _ => 0,
        }
    }
}

/// Reads a JSON text (RFC 8259).
pub(crate) fn json(text: &str) -> Result<Node, Broken> {
    let mut reading = Json { rest: text, line: 1 };
    let node = reading.value(0)?;
    reading.blank();
    if reading.rest.is_empty() { Ok(node) } else { Err(reading.broken("there is more after the value")) }
}

struct Json<'a> {
    rest: &'a str,
    line: usize,
}

impl Json<'_> {
    fn broken(&self, message: impl Into<String>) -> Broken {
        Broken { line: self.line, message: message.into() }
    }

    fn blank(&mut self) {
        let left = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let skipped = self.rest.len() - left.len();
        self.line += self.rest.bytes().take(skipped).filter(|byte| *byte == b'\n').count();
        self.rest = left;
    }

    /// Takes a character, after blanks.
    fn takes(&mut self, token: char) -> bool {
        self.blank();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Broken> {
        self.blank();
        let line = self.line;
        if depth > DEEPEST {
            return Err(self.broken(format!("values nest deeper than {DEEPEST}")));
        }
        let value = if self.takes('{') {
            self.map(depth)?
        } else if self.takes('[') {
            self.list(depth)?
        } else if self.takes('"') {
            Value::Text(self.string()?)
        } else {
            self.word()?
        };
        Ok(Node { line, value })
    }

    fn map(&mut self, depth: usize) -> Result<Value, Broken> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        if self.takes('}') {
            return Ok(Value::Map(entries));
        }
        loop {
            if !self.takes('"') {
                return Err(self.broken("a key in quotes is expected"));
            }
            let key = self.string()?;
            if !self.takes(':') {
                return Err(self.broken(format!("`:` is expected after `{key}`")));
            }
            entries.push((key, self.value(depth + 1)?));
            if self.takes('}') {
                return Ok(Value::Map(entries));
            }
            if !self.takes(',') {
                return Err(self.broken("`,` or `}` is expected"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Broken> {
        let mut items = Vec::new();
        if self.takes(']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.takes(']') {
                return Ok(Value::List(items));
            }
            if !self.takes(',') {
                return Err(self.broken("`,` or `]` is expected"));
            }
        }
    }

    /// The rest of a string, whose first quote was taken. A piece at a time is read by `serde_json`, which
    /// knows the escapes.
    fn string(&mut self) -> Result<String, Broken> {
        let mut end = 0;
        let mut is_escaped = false;
        for (at, c) in self.rest.char_indices() {
            match c {
                '"' if !is_escaped => {
                    end = at;
                    let inside = self.rest.get(..end).unwrap_or_default();
                    let read = serde_json::from_str(&format!("\"{inside}\""));
                    let text = read.map_err(|_| self.broken("a text has an escape that JSON does not have"))?;
                    self.rest = self.rest.get(end + 1..).unwrap_or_default();
                    return Ok(text);
                }
                '\n' => break,
                '\\' => is_escaped = !is_escaped,
                _ => is_escaped = false,
            }
        }
        let _unread = end;
        Err(self.broken("a text does not end on its line"))
    }

    fn word(&mut self) -> Result<Value, Broken> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
        let word = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default();
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "" if self.rest.is_empty() => return Err(self.broken("the file ends before the value does")),
            word if serde_json::from_str::<serde_json::Number>(word).is_ok() => Value::Number(word.to_owned()),
            _ => return Err(self.broken("a JSON value is expected")),
        };
        self.rest = self.rest.get(word.len()..).unwrap_or_default();
        Ok(value)
    }
}

/// Reads the documents of a YAML text; one that cannot be read leaves the others.
pub(crate) fn yaml(text: &str) -> Vec<Result<Node, Broken>> {
    let mut out = Vec::new();
    for (before, part) in split(text) {
        let is_bare = part.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
        });
        if !is_bare {
            out.push(document(part, before));
        }
    }
    out
}

/// The documents, each with the number of lines before it: a document starts at a line that begins with
/// `---`, which no scalar can hold.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![(0, 0)];
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) && offset > 0 {
            starts.push((offset, index));
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([text.len()]);
    let parts = starts.iter().zip(ends).filter_map(|((start, line), end)| Some((*line, text.get(*start..end)?)));
    parts.collect()
}

fn document(text: &str, before: usize) -> Result<Node, Broken> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reading = Yaml {
        events: Parser::new_from_str_with_options(text, options),
        anchors: BTreeMap::new(),
        copies: 0,
        before,
        line: before + 1,
    };
    loop {
        match reading.next()? {
            Event::StreamEnd => return Ok(Node { line: before + 1, value: Value::Null }),
            event @ (Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)) => {
                let node = reading.node(event, 0)?;
                // What follows must be read, too: a mistake in it is one in the file.
                while !matches!(reading.next()?, Event::StreamEnd) {}
                return Ok(node);
            }
            _ => {}
        }
    }
}

struct Yaml<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    copies: usize,
    before: usize,
    line: usize,
}

impl<'a> Yaml<'a> {
    fn broken(&self, message: impl Into<String>) -> Broken {
        Broken { line: self.line, message: message.into() }
    }

    fn next(&mut self) -> Result<Event<'a>, Broken> {
        match self.events.next() {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, span))) => {
                self.line = self.before + span.start.line();
                Ok(event)
            }
            Some(Err(error)) => {
                let line = self.before + error.marker().line();
                Err(Broken { line, message: error.info().to_owned() })
            }
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, Broken> {
        let line = self.line;
        if depth > DEEPEST {
            return Err(self.broken(format!("values nest deeper than {DEEPEST}")));
        }
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if is_plain { plain(&text) } else { Value::Text(text.into_owned()) };
                (value, anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
                (Value::List(items), anchor, tag)
            }
            Event::MappingStart(_, anchor, tag) => (Value::Map(self.entries(depth)?), anchor, tag),
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned();
                let node = node.ok_or_else(|| self.broken("an alias stands inside of what it names"))?;
                self.copy(&node)?;
                return Ok(node);
            }
            _ => return Err(self.broken("a value is expected")),
        };
        let value = match tag {
            Some(tag) => tagged(&tag, Node { line, value }),
            None => value,
        };
        let node = Node { line, value };
        if anchor != 0 {
            self.copy(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(String, Node)>, Broken> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut merged: Vec<(String, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => break,
                event => self.node(event, depth + 1)?,
            };
            let line = key.line;
            let name = match &key.value {
                Value::Bool(flag) => flag.to_string(),
                Value::Null => "null".to_owned(),
                _ => key.text().map(str::to_owned).ok_or(Broken { line, message: "a key is no text".to_owned() })?,
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if name == "<<" {
                let from: Vec<&Node> = match &value.value {
                    Value::List(items) => items.iter().collect(),
                    _ => vec![&value],
                };
                merged.extend(from.into_iter().flat_map(|node| node.entries().iter().cloned()));
            } else if entries.iter().any(|(known, _)| *known == name) {
                return Err(Broken { line, message: format!("the key `{name}` is there twice") });
            } else {
                entries.push((name, value));
            }
        }
        for (name, value) in merged {
            if !entries.iter().any(|(known, _)| *known == name) {
                entries.push((name, value));
            }
        }
        Ok(entries)
    }

    fn copy(&mut self, node: &Node) -> Result<(), Broken> {
        self.copies += node.count();
        match self.copies > MOST_COPIES {
            true => Err(self.broken(format!("aliases copy more than {MOST_COPIES} values"))),
            false => Ok(()),
        }
    }
}

/// A plain scalar by the core schema of YAML 1.2.2, 10.3.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        text => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                true => Value::Number(text.to_owned()),
                false => Value::Text(text.to_owned()),
            }
        }
    }
}

fn tagged(tag: &Tag, node: Node) -> Value {
    match (tag.handle(), tag.suffix()) {
        // `!` alone, and the tags of YAML itself, say no more than how to read the scalar.
        ("!", "") | ("", "!") => node.value,
        ("!", name) => Value::Tagged(name.to_owned(), Box::new(node)),
        _ => match &node.value {
            Value::Text(text) if tag.suffix() != "str" => plain(text),
            _ => node.value,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(text) => text.clone(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
            Value::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, node)| format!("{key}@{}:{}", node.line, shown(node))).collect();
                format!("{{{}}}", entries.join(","))
            }
            Value::Tagged(name, node) => format!("!{name} {}", shown(node)),
        }
    }

    #[test]
    fn json_has_lines() {
        let text = "{\n \"a\": [1, -2.5e3,\n  \"x\\\"\\ud83d\\ude00\\n\"],\n \"b\": {\"c\": null,\n  \"d\": true}}\n";
        assert_eq!(shown(&json(text).unwrap()), "{a@2:[1,-2.5e3,\"x\\\"😀\\n\"],b@4:{c@4:null,d@5:true}}");
    }

    #[test]
    fn broken_json_has_its_line() {
        for (text, line, what) in [
            ("{\n \"a\": }", 2, "a JSON value"),
            ("{\n\n\"a\" 1}", 3, "`:`"),
            ("[1\n 2]", 2, "`]`"),
            ("{\"a\": \"x\n\"}", 1, "end on its line"),
            ("{\"a\": 01}", 1, "a JSON value"),
            ("{} x", 1, "more after"),
            ("{\"a\":", 1, "ends before"),
            ("\"\\x\"", 1, "escape"),
        ] {
            let broken = json(text).unwrap_err();
            assert!(broken.line == line && broken.message.contains(what), "{text}: {broken:?}");
        }
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        assert!(json(&deep).unwrap_err().message.contains("deeper"));
    }

    #[test]
    fn yaml_has_lines_tags_and_aliases() {
        let text =
            "# x\na: !Ref B\nb: !Sub\n  - x${y}\n  - y: 012\nc: &c {d: yes, e: ~}\nf: *c\ng:\n  <<: *c\n  d: 'no'\n";
        let read = yaml(text);
        assert_eq!(read.len(), 1);
        assert_eq!(
            shown(read[0].as_ref().unwrap()),
            "{a@2:!Ref \"B\",b@4:!Sub [\"x${y}\",{y@5:012}],c@6:{d@6:\"yes\",e@6:null},f@6:{d@6:\"yes\",e@6:null},\
             g@9:{d@10:\"no\",e@6:null}}"
        );
    }

    #[test]
    fn a_document_that_cannot_be_read_leaves_the_others() {
        let read = yaml("a: 1\n---\nb: [1\n---\nc: 1\nc: 2\n---\nd: 1\n");
        let lines: Vec<_> = read.iter().map(|it| it.as_ref().map(|node| node.line).map_err(|it| it.line)).collect();
        assert!(matches!(lines.as_slice(), [Ok(1), Err(3 | 4), Err(6), Ok(8)]), "{lines:?} {read:?}");
    }

    #[test]
    fn aliases_are_bounded() {
        let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            let list = [before.as_str(); 9].join(",");
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert!(yaml(&text)[0].as_ref().unwrap_err().message.contains("aliases"));
        let deep = format!("a: {}1{}", "[".repeat(3000), "]".repeat(3000));
        assert!(yaml(&deep)[0].is_err());
    }
}
