//! The statements that decided something, and where they stand.

use crate::digest::Digest;
use crate::policy::ast::Statement;
use crate::truth::Truth;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A statement that decided, and the document that holds it.
#[derive(Debug, Clone)]
pub struct Site {
    /// How people call the document: `trust policy`, `inline policy x`, a policy ARN.
    pub source: Arc<str>,
    /// The document.
    pub document: Digest,
    /// The statement.
    pub statement: Arc<Statement>,
}

impl Site {
    /// RFC 6901 pointer of the statement within its document.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.statement.pointer
    }

    /// The statement's `Sid`, where it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.statement.sid.as_deref()
    }

    /// The statement as it is written.
    #[must_use]
    pub fn value(&self) -> &serde_json::Value {
        &self.statement.value
    }
}

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.document == other.document && self.pointer() == other.pointer()
    }
}

impl Eq for Site {}

impl Hash for Site {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.source, &self.document, self.pointer()).hash(state);
    }
}

/// Statements, each once, in the order in which they came.
#[derive(Debug, Default)]
pub struct Sites {
    /// The statements.
    pub list: Vec<Site>,
    known: HashSet<Site>,
}

impl Sites {
    /// Adds those that are not among them.
    pub fn add(&mut self, sites: impl IntoIterator<Item = Site>) {
        for site in sites {
            self.insert(site);
        }
    }

    /// Adds one, and says whether it is new.
    pub fn insert(&mut self, site: Site) -> bool {
        let is_new = self.known.insert(site.clone());
        if is_new {
            self.list.push(site);
        }
        is_new
    }
}

/// An answer and the statements that decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub truth: Truth,
    /// The statements that decided, or that would decide if the unknown were known.
    pub by: Vec<Site>,
}

impl Answer {
    /// An answer that no statement decided.
    #[must_use]
    pub fn bare(truth: Truth) -> Self {
        Self { truth, by: Vec::new() }
    }
}
