//! The fields of a document: known, needed, of the right kind.
//!
//! Refuses to know what the documents mean.

use super::fixture::Reader;
use super::literal;
use super::schema::Schema;
use super::text;
use super::yaml::{At, Kind, LoadError, Node, Source};
use crate::verdict::Severity;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

const API_VERSION: &str = "rolecall/v1";

const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

/// One document being read.
pub(super) struct Doc<'a, 'e> {
    pub(super) source: Source<'a>,
    pub(super) schema: &'e Schema,
    pub(super) errors: &'e mut Vec<LoadError>,
}

impl<'a> Doc<'a, '_> {
    pub(super) fn wrong(&mut self, at: At, field: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(self.source.error(at, field, message, remedy));
    }

    pub(super) fn unique(
        &mut self,
        names: &mut BTreeMap<(&'static str, String), String>,
        what: &'static str,
        name: &str,
        node: &Node,
        field: &str,
    ) -> bool {
        let (line, _) = self.source.position(node.at.start);
        let here = format!("{}:{line}", self.source.path);
        match names.get(&(what, name.to_owned())) {
            Some(first) => {
                let message = format!("there is a {what} `{name}` already, at {first}");
                self.wrong(node.at, field, message, "choose another name, or remove one of the two");
                false
            }
            None => {
                names.insert((what, name.to_owned()), here);
                true
            }
        }
    }

    /// Checks the keys of a map: all known, all that are needed there.
    pub(super) fn map(&mut self, node: &Node, field: &str, known: &[&str], needed: &[&str]) -> bool {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("a map is needed, {} is given", node.kind.name());
            self.wrong(node.at, field, message, format!("write its fields: {}", known.join(", ")));
            return false;
        };
        for (key, at, _) in entries {
            if !known.contains(&key.as_str()) {
                let hint = text::closest(key, known.iter().copied());
                let (hint, remedy) = match hint {
                    Some(near) => (format!("; did you mean `{near}`?"), format!("write `{near}`")),
                    None => (String::new(), format!("known are: {}", known.join(", "))),
                };
                self.wrong(*at, field, format!("no field `{key}` is known here{hint}"), remedy);
            }
        }
        for key in needed.iter().filter(|key| node.get(key).is_none()) {
            let inner = if field.is_empty() { (*key).to_owned() } else { format!("{field}.{key}") };
            self.wrong(node.at, &inner, format!("`{key}` is missing"), "add it");
        }
        true
    }

    /// The kind of a document, one of those that may be there.
    pub(super) fn kind(&mut self, node: &Node, known: &[&'static str]) -> Option<&'static str> {
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!("a document is a map with apiVersion and kind; {} is given", node.kind.name());
            self.wrong(node.at, "", message, "see policies/README.md");
            return None;
        }
        let version = node.get("apiVersion");
        if version.and_then(Node::text) != Some(API_VERSION) {
            let at = version.map_or(node.at, |node| node.at);
            self.wrong(
                at,
                "apiVersion",
                format!("`{API_VERSION}` is needed"),
                format!("write `apiVersion: {API_VERSION}`"),
            );
            return None;
        }
        let kind = node.get("kind");
        let found = kind.and_then(Node::text).and_then(|text| known.iter().find(|known| **known == text));
        if found.is_none() {
            let at = kind.map_or(node.at, |node| node.at);
            let message = match known {
                [one] => format!("`{one}` is needed"),
                _ => "`Rule`, `Binding` or `Exception` is needed".to_owned(),
            };
            let remedy = if known.len() == 1 { "see docs/owners.md" } else { "write one of the three" };
            self.wrong(at, "kind", message, remedy);
        }
        found.copied()
    }

    /// A text; numbers are taken as they are written.
    pub(super) fn text(&mut self, node: Option<&Node>, field: &str) -> Option<String> {
        let node = node?;
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Int(_) | Kind::Double(_) => Some(self.source.raw(node.at).to_owned()),
            other => {
                self.wrong(node.at, field, format!("text is needed, {} is given", other.name()), "write text");
                None
            }
        }
    }

    pub(super) fn full_text(&mut self, node: Option<&Node>, field: &str) -> Option<String> {
        let text = self.text(node, field)?;
        if text.trim().is_empty() {
            let at = node.map_or_else(At::default, |node| node.at);
            self.wrong(at, field, "there is no text", "say it in a few words");
            return None;
        }
        Some(text)
    }

    pub(super) fn texts(&mut self, node: Option<&Node>, field: &str) -> Vec<(At, String)> {
        let Some(node) = node else { return Vec::new() };
        let Kind::List(items) = &node.kind else {
            let message = format!("a list is needed, {} is given", node.kind.name());
            self.wrong(node.at, field, message, "write it in brackets, as in `[a, b]`");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.text(Some(item), field).map(|text| (item.at, text))).collect()
    }

    pub(super) fn flag(&mut self, node: Option<&Node>, field: &str) -> Option<bool> {
        match node.map(|node| (&node.kind, node.at)) {
            None => None,
            Some((Kind::Bool(b), _)) => Some(*b),
            Some((other, at)) => {
                let message = format!("true or false is needed, {} is given", other.name());
                self.wrong(at, field, message, "write `true` or `false`");
                None
            }
        }
    }

    pub(super) fn choice<T>(
        &mut self,
        node: Option<&Node>,
        field: &str,
        all: &[&str],
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(node, field)?;
        let found = read(&text);
        if found.is_none() {
            let at = node.map_or_else(At::default, |node| node.at);
            let hint = text::closest(&text, all.iter().copied());
            let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            self.wrong(at, field, format!("`{text}` is not known{hint}"), format!("known are: {}", all.join(", ")));
        }
        found
    }

    pub(super) fn severity(&mut self, node: Option<&Node>, field: &str) -> Option<Severity> {
        self.choice(node, field, &SEVERITIES, |text| text.parse().ok())
    }

    /// A kebab-case slug.
    pub(super) fn slug(&mut self, node: Option<&Node>, field: &str) -> Option<String> {
        let text = self.text(node, field)?;
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let fits = text.len() <= 64 && text.split('-').all(part) && text.starts_with(|c: char| c.is_ascii_lowercase());
        if fits {
            return Some(text);
        }
        let at = node.map_or_else(At::default, |node| node.at);
        let message = format!("`{text}` is not a slug of lower-case letters, digits and single hyphens, up to 64");
        self.wrong(at, field, message, "write it as in `role-shared-across-namespaces`");
        None
    }

    pub(super) fn moment(&mut self, node: Option<&Node>, field: &str) -> Option<DateTime<Utc>> {
        let text = self.text(node, field)?;
        match literal::read_timestamp(&text) {
            Ok(moment) => Some(moment),
            Err(why) => {
                let at = node.map_or_else(At::default, |node| node.at);
                self.wrong(at, field, why, "");
                None
            }
        }
    }

    pub(super) fn values(&mut self) -> Reader<'_> {
        Reader { source: self.source, schema: self.schema, errors: self.errors }
    }

    pub(super) fn line(&self, at: At) -> usize {
        self.source.position(at.start).0
    }
}
