//! What could not be read, and how it is told: the file, the record, the field, and what to do.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many problems of one file are named; the others are only counted.
pub(crate) const MAX_NAMED: usize = 100;

/// Something in a file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}{}: {message}; {remedy}", Prefixed(":", *.line), if .field.is_empty() { String::new() } else { format!(": {}", .field) })]
pub struct ReadProblem {
    /// Of what kind.
    pub kind: ProblemKind,
    /// The file, as the caller names it; empty for a single event.
    pub file: String,
    /// The line, where the text itself is broken.
    pub line: Option<usize>,
    /// The record's place in its file, from 0.
    pub record: Option<usize>,
    /// JSON pointer of the offending field; empty for the whole file or line.
    pub field: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

struct Prefixed(&'static str, Option<usize>);

impl fmt::Display for Prefixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.map_or(Ok(()), |n| write!(f, "{}{n}", self.0))
    }
}

/// What kind of problem a file or a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// A gzip stream is cut, broken, or grows without bound.
    Compression,
    /// Bytes are not UTF-8, or cannot be had.
    Text,
    /// JSON is broken, or is no record.
    Json,
    /// A record is longer than any of CloudTrail's.
    Giant,
    /// Values of a record lie deeper within each other than in any of CloudTrail's.
    Deep,
    /// A field that is needed is missing.
    Missing,
    /// A field is not what it should be.
    Field,
    /// A time that cannot be: unreadable, before CloudTrail, or still to come.
    Time,
    /// A time written for people: read, and named.
    LocalTime,
    /// A version of the record that is not known: read, and named.
    Version,
    /// One page of several: a token says that there is more.
    Page,
}

/// Counts of a reading, and what went wrong in it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The file that is read.
    pub(crate) file: String,
    pub(crate) events: u64,
    pub(crate) malformed: u64,
    pub(crate) problems: Vec<ReadProblem>,
    pub(crate) kinds: BTreeMap<ProblemKind, u64>,
    /// Files that are to be read again, with what is wrong with each first: every one of them,
    /// however many problems are named.
    pub(crate) unread: BTreeMap<String, String>,
    /// Files of which a record could not be read: every one of them.
    pub(crate) damaged: BTreeSet<String>,
}

impl Tally {
    /// Counts a record that could not be read.
    pub(crate) fn lose_a_record(&mut self) {
        self.malformed += 1;
        if !self.damaged.contains(&self.file) {
            self.damaged.insert(self.file.clone());
        }
    }

    /// Says that the file that is read was not read completely, and why.
    pub(crate) fn left_unread(&mut self, why: &str) {
        if !self.unread.contains_key(&self.file) {
            self.unread.insert(self.file.clone(), why.to_owned());
        }
    }

    pub(crate) fn name(&mut self, kind: ProblemKind, problem: impl FnOnce() -> ReadProblem) {
        *self.kinds.entry(kind).or_default() += 1;
        if self.problems.len() < MAX_NAMED {
            self.problems.push(problem());
        }
    }

    /// Counts what is odd and was read all the same; named once a file.
    pub(crate) fn note(&mut self, kind: ProblemKind, field: &str, message: &str) {
        *self.kinds.entry(kind).or_default() += 1;
        let named =
            |problem: &ReadProblem| problem.file == self.file && problem.field == field && problem.message == message;
        if self.problems.len() < MAX_NAMED && !self.problems.iter().rev().any(named) {
            self.problems.push(ReadProblem {
                kind,
                file: self.file.clone(),
                line: None,
                record: None,
                field: field.to_owned(),
                message: message.to_owned(),
                remedy: "nothing is lost".to_owned(),
            });
        }
    }
}

/// A fault in one record.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: ProblemKind,
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Fault {
    pub(crate) fn new(kind: ProblemKind, field: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, field: field.to_owned(), message: message.into(), remedy: remedy.into() }
    }

    /// The same fault, of a record that stands in a field.
    pub(crate) fn under(mut self, field: &str) -> Self {
        self.field.insert_str(0, field);
        self
    }

    /// What is wrong with a text that is not JSON.
    pub(crate) fn what(&self) -> &str {
        self.message.strip_prefix("not JSON: ").unwrap_or(&self.message)
    }

    pub(crate) fn named(self, file: &str, record: Option<(&str, usize)>) -> ReadProblem {
        let field = match record {
            Some((pointer, n)) => format!("{pointer}/{n}{}", self.field),
            None => self.field,
        };
        ReadProblem {
            kind: self.kind,
            file: file.to_owned(),
            line: None,
            record: record.map(|(_, n)| n),
            field,
            message: self.message,
            remedy: self.remedy,
        }
    }
}
