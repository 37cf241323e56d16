//! What suppresses findings: the exceptions of the policy files beside what people and programs asked for, in one list
//! by the end of each.
//!
//! Knows how both are put in one order. Refuses to know what an exception covers.

use super::listing::Listing;
use super::query::Params;
use crate::audit::rules::Rules;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_rules::Exception;
use rolecall_store::{
    Error as StoreError, Store, SuppressedFinding, SuppressionAfter, SuppressionFilter, SuppressionState,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many days before its end it is said to end soon.
pub(crate) const SOON: i64 = 14;

/// An exception of a policy file, with what became of it.
#[derive(Debug, Clone)]
pub(crate) struct FileException {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) ticket: Option<String>,
    pub(crate) until: DateTime<Utc>,
    /// File and line.
    pub(crate) origin: String,
    pub(crate) rules: Vec<String>,
    pub(crate) findings: u64,
    pub(crate) state: SuppressionState,
}

/// What suppresses findings.
#[derive(Debug, Clone)]
pub(crate) enum ExceptionRow {
    File(FileException),
    Asked(Box<SuppressedFinding>),
}

impl ExceptionRow {
    pub(crate) fn until(&self) -> DateTime<Utc> {
        match self {
            Self::File(file) => file.until,
            Self::Asked(asked) => asked.suppression.until,
        }
    }

    pub(crate) fn state(&self) -> SuppressionState {
        match self {
            Self::File(file) => file.state,
            Self::Asked(asked) => asked.state,
        }
    }

    /// Whether it holds and ends soon.
    pub(crate) fn ends_soon(&self, now: DateTime<Utc>) -> bool {
        self.state() == SuppressionState::InForce && self.until() - now <= TimeDelta::days(SOON)
    }
}

/// The last of a page: of what ends at the same moment, files come first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ExceptionAfter {
    File(DateTime<Utc>, String),
    Asked(SuppressionAfter),
}

/// The list, as it is at a moment.
pub(crate) struct Exceptions {
    filter: SuppressionFilter,
    files: Vec<FileException>,
    is_asked: bool,
    pub(crate) now: DateTime<Utc>,
}

impl Exceptions {
    /// Those that parameters of [`super::filters::EXCEPTIONS`] leave.
    pub(crate) async fn new(store: &Store, rules: &Rules, params: &Params) -> Result<Self, StoreError> {
        let now = store.now().await?;
        let filter = super::filters::exceptions(params, now);
        let sources = params.list("source");
        let from = |word: &str| sources.is_empty() || sources.iter().any(|given| given == word);
        let findings = store.excepted_findings().await?;
        let files = rules.set.exceptions().iter().map(|it| file_exception(it, &findings, now));
        // What a policy file excepts may be of any account.
        let mut files: Vec<FileException> =
            if from("file") && !store.is_limited() { files.collect() } else { Vec::new() };
        files.retain(|file| {
            (filter.states.is_empty() || filter.states.contains(&file.state))
                && (filter.rules.is_empty() || file.rules.iter().any(|rule| filter.rules.contains(rule)))
                && filter.until_before.is_none_or(|before| file.until < before)
        });
        files.sort_by(|a, b| (a.until, &a.origin).cmp(&(b.until, &b.origin)));
        Ok(Self { filter, files, is_asked: from("asked"), now })
    }
}

fn file_exception(exception: &Exception, findings: &BTreeMap<String, u64>, now: DateTime<Utc>) -> FileException {
    let shown = exception.shown();
    FileException {
        findings: findings.get(&shown.name).copied().unwrap_or_default(),
        name: shown.name.clone(),
        owner: shown.owner.clone(),
        reason: shown.reason.clone(),
        ticket: shown.ticket.clone(),
        until: shown.expires,
        origin: shown.origin.clone(),
        rules: exception.rules().to_vec(),
        state: match shown.expires <= now {
            true => SuppressionState::Ended,
            false if exception.in_force(now) => SuppressionState::InForce,
            false => SuppressionState::Scheduled,
        },
    }
}

impl Listing for Exceptions {
    type Row = ExceptionRow;
    type After = ExceptionAfter;

    fn order(&self) -> &'static str {
        "until"
    }

    fn key(&self, row: &ExceptionRow) -> ExceptionAfter {
        match row {
            ExceptionRow::File(file) => ExceptionAfter::File(file.until, file.origin.clone()),
            ExceptionRow::Asked(asked) => ExceptionAfter::Asked(asked.after()),
        }
    }

    async fn rows(
        &self,
        store: &Store,
        after: Option<&ExceptionAfter>,
        limit: u32,
    ) -> Result<Vec<ExceptionRow>, StoreError> {
        let rest = self.files.iter().filter(|file| match after {
            None => true,
            Some(ExceptionAfter::File(until, origin)) => (file.until, &file.origin) > (*until, origin),
            Some(ExceptionAfter::Asked(last)) => file.until > last.until,
        });
        let from = after.map(|after| match after {
            ExceptionAfter::File(until, _) => SuppressionAfter { until: *until, key: None },
            ExceptionAfter::Asked(last) => last.clone(),
        });
        let asked = match self.is_asked {
            true => store.suppressions(&self.filter, from.as_ref(), limit).await?,
            false => Vec::new(),
        };
        let mut rows: Vec<ExceptionRow> = rest.cloned().map(ExceptionRow::File).collect();
        rows.extend(asked.into_iter().map(|row| ExceptionRow::Asked(Box::new(row))));
        // Stable: what ends at the same moment stays in its own order, files first.
        rows.sort_by_key(ExceptionRow::until);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    }
}
