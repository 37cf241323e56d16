//! Actions of one judgement, in steps of a bounded size.

use super::count::{Places, count_moved, count_steps, keep_open_ranks, note_parts, note_related};
use super::life::{Event, Judged, Life, differences, is_same, seen};
use super::owners::Owners;
use super::write::{Reached, statements, write_events, write_moved, write_shown, write_workloads};
use super::{ApplyCounts, NAMED};
use crate::audit_log::{AuditAction, NewAuditEntry};
use crate::work::runs::RunId;
use crate::{Error, parse};
use chrono::{DateTime, Utc};
use rolecall_audit::finding::triage::Standing;
use rolecall_audit::finding::{Detection, Failure, FindingAction, Resolution, Workflow};
use rolecall_estate::Reason;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use std::collections::{BTreeMap, HashMap};

pub(super) fn failure_of(action: &FindingAction) -> Option<&Failure> {
    match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            Some(failure)
        }
        FindingAction::Resolve { .. } | FindingAction::MarkStale { .. } => None,
    }
}

/// What is kept of the end of a finding.
fn resolved(why: Resolution, by: Option<&str>, from: &str) -> Value {
    match by {
        Some(change) => json!({ "why": why.as_str(), "from": from, "change": change }),
        None => json!({ "why": why.as_str(), "from": from }),
    }
}

/// What an event of a finding is as an act; `None` where nobody acts by it.
fn action_of(kind: &str) -> Option<AuditAction> {
    Some(match kind {
        "acknowledged" => AuditAction::FindingAcknowledge,
        "unacknowledged" | "suppression_ended" => AuditAction::FindingOpen,
        "suppressed" => AuditAction::FindingSuppress,
        "suppression_requested" => AuditAction::FindingRequestSuppression,
        "suppression_declined" => AuditAction::FindingDeclineSuppression,
        "assigned" => AuditAction::FindingAssign,
        "commented" => AuditAction::FindingComment,
        "ticket_reserved" => AuditAction::TicketReserve,
        "ticket_linked" => AuditAction::TicketLink,
        "ticket_removed" => AuditAction::TicketRemove,
        "ticket_released" => AuditAction::TicketRelease,
        _ => return None,
    })
}

/// The state of one `apply`, or of what people do.
pub(in crate::findings) struct Step {
    pub(super) run: RunId,
    /// Who does it; `None`: the scanner.
    pub(in crate::findings) who: Option<String>,
    pub(in crate::findings) now: DateTime<Utc>,
    pub(super) before: Option<Judged>,
    /// The last number given to a finding.
    pub(super) number: i64,
    /// The last number given to a change.
    pub(super) seq: i64,
    pub(super) counts: ApplyCounts,
    /// What is kept of the workloads of the findings that change, until the next chunk.
    pub(super) workloads: HashMap<String, BTreeMap<String, String>>,
    pub(super) events: Vec<(i64, Event)>,
    /// Findings that show something new, as rows of the table.
    pub(super) shown: Vec<Value>,
    /// Findings whose life went on, and that show what they showed.
    pub(super) moved: Vec<Value>,
    /// The workloads of the findings that have others than before.
    pub(super) reached: Vec<Reached>,
    /// Owners that are still to be written.
    pub(in crate::findings) owners: Owners,
}

impl Step {
    pub(super) fn new(seq: i64) -> Self {
        Self {
            run: RunId(0),
            who: None,
            now: DateTime::UNIX_EPOCH,
            before: None,
            number: 0,
            seq,
            counts: ApplyCounts::default(),
            workloads: HashMap::new(),
            events: Vec::new(),
            shown: Vec::new(),
            moved: Vec::new(),
            reached: Vec::new(),
            owners: Owners::new(),
        }
    }

    pub(super) fn take(&mut self, action: &FindingAction, before: Option<Life>) {
        match (action, before) {
            (
                FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. },
                None,
            ) => {
                self.open(failure);
            }
            (
                FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. },
                Some(life),
            ) => {
                if life.workflow == Workflow::Resolved.as_str() {
                    self.reopen(failure, life);
                } else {
                    self.refresh(failure, life);
                }
            }
            (FindingAction::Resolve { why, by, .. }, Some(mut life)) => {
                if life.workflow != Workflow::Resolved.as_str() {
                    self.last_seen_before(&mut life);
                    let from = life.workflow.clone();
                    life.stand(Standing { workflow: Workflow::Resolved, ..life.standing() }, self.now);
                    life.detection = Detection::Cleared.as_str().to_owned();
                    life.resolution = Some(why.as_str().to_owned());
                    life.resolved_at = Some(self.now);
                    life.stale_why = json!([]);
                    self.count(life.part_of.is_some(), |counts| &mut counts.resolved);
                    self.event(&mut life, "resolved", resolved(*why, by.as_deref(), &from));
                    self.move_on(life);
                }
            }
            (FindingAction::MarkStale { why, .. }, Some(mut life)) => {
                let texts: Vec<&str> = why.iter().map(Reason::text).collect();
                let texts = json!({ "why": texts });
                let why = json!(why);
                if life.workflow == Workflow::Resolved.as_str() {
                    return;
                }
                self.count(life.part_of.is_some(), |counts| &mut counts.stale);
                self.last_seen_before(&mut life);
                let was = std::mem::replace(&mut life.detection, Detection::Stale.as_str().to_owned());
                if was != Detection::Stale.as_str() || life.stale_why != why {
                    self.event(&mut life, "stale", texts);
                    life.stale_why = why;
                    self.move_on(life);
                }
            }
            // Nothing is known of it, so nothing can end.
            (FindingAction::Resolve { .. } | FindingAction::MarkStale { .. }, None) => {}
        }
    }

    fn count(&mut self, folded: bool, of: fn(&mut ApplyCounts) -> &mut u64) {
        let counter = if folded { &mut self.counts.folded } else { of(&mut self.counts) };
        *counter += 1;
    }

    fn open(&mut self, failure: &Failure) {
        self.number += 1;
        let mut life = Life::new(failure, self.number, self.run.0, self.now);
        life.show(failure);
        self.count(failure.part_of.is_some(), |counts| &mut counts.opened);
        self.event(&mut life, "opened", json!({ "severity": failure.severity.as_str(), "message": failure.message }));
        self.except(&mut life, failure);
        self.show(life, failure, !failure.workloads.is_empty());
    }

    fn reopen(&mut self, failure: &Failure, mut life: Life) {
        let resolution = life.resolution.take();
        life.workflow = Workflow::Open.as_str().to_owned();
        life.resolved_at = None;
        life.opened_at = self.now;
        life.paused_seconds = 0;
        life.reopened_count += 1;
        life.exception = None;
        seen(&mut life);
        let reached = self.reach(&life, failure).is_some();
        life.show(failure);
        self.count(failure.part_of.is_some(), |counts| &mut counts.reopened);
        self.event(&mut life, "reopened", json!({ "was_resolved_as": resolution, "message": failure.message }));
        self.except(&mut life, failure);
        self.show(life, failure, reached);
    }

    fn refresh(&mut self, failure: &Failure, mut life: Life) {
        let was_stale = life.detection == Detection::Stale.as_str();
        let was_seen = life.last_seen_at.is_none();
        let mut changes = differences(&life, failure);
        let same_exception = life.exception == failure.exception.as_ref().map(parse::to_json);
        let same_params = life.params == parse::to_json(&failure.params);
        let folded = failure.part_of.is_some();
        if was_seen && changes.is_empty() && same_exception && same_params {
            self.count(folded, |counts| &mut counts.unchanged);
            return;
        }
        let reached = self.reach(&life, failure);
        let others = reached.is_some();
        if let Some(reached) = reached {
            changes.insert("workloads".to_owned(), reached);
        }
        seen(&mut life);
        life.show(failure);
        if changes.is_empty() {
            self.count(folded, |counts| &mut counts.unchanged);
        } else {
            self.count(folded, |counts| &mut counts.changed);
        }
        if was_stale {
            self.event(&mut life, "seen_again", json!({}));
        }
        if !changes.is_empty() {
            self.event(&mut life, "changed", Value::Object(changes));
        }
        if !same_exception {
            self.except(&mut life, failure);
        }
        self.show(life, failure, others);
    }

    /// What differs between the workloads that are kept and those that reach the finding now.
    pub(super) fn reach(&self, life: &Life, failure: &Failure) -> Option<Value> {
        if is_same(life, failure) {
            return None;
        }
        let none = BTreeMap::new();
        let before = self.workloads.get(&life.fingerprint).unwrap_or(&none);
        let now: BTreeMap<String, String> =
            failure.workloads.iter().map(|w| (w.association.to_string(), w.via.as_str().to_owned())).collect();
        if *before == now {
            return None;
        }
        let only = |some: &BTreeMap<String, String>, other: &BTreeMap<String, String>| -> Vec<String> {
            some.keys().filter(|key| !other.contains_key(*key)).take(NAMED).cloned().collect()
        };
        Some(json!({
            "from": before.len(), "to": now.len(), "added": only(&now, before), "removed": only(before, &now),
        }))
    }

    /// Brings the exception in force into the workflow. What somebody suppressed stays so.
    fn except(&mut self, life: &mut Life, failure: &Failure) {
        let before = life.standing();
        let suppressed = before.workflow == Workflow::Suppressed;
        let ended = life.exception.take();
        life.exception = failure.exception.as_ref().map(parse::to_json);
        let from = life.workflow.clone();
        life.stand(before.after_fail(life.exception.is_some()), self.now);
        let is_suppressed = life.workflow == Workflow::Suppressed.as_str();
        if is_suppressed && !suppressed {
            self.counts.suppressed += 1;
        }
        match (&life.exception, ended) {
            (Some(exception), ended) if !suppressed || ended.is_some() => {
                let detail = json!({ "exception": exception, "from": from });
                self.event(life, "suppressed", detail);
            }
            // It came back while somebody's suppression is in force.
            (None, _) if is_suppressed && !suppressed => self.event(life, "suppressed", json!({ "from": from })),
            (None, Some(exception)) if suppressed && !is_suppressed => {
                self.event(life, "suppression_expired", json!({ "exception": exception }));
            }
            _ => {}
        }
    }

    /// The finding under which this one was listed is no longer listed itself.
    pub(in crate::findings) fn list_alone(&mut self, mut life: Life) {
        let head = life.part_of.take();
        self.event(&mut life, "changed", json!({ "part_of": { "from": head, "to": null } }));
        self.move_on(life);
    }

    /// From here on the latest run does not see it failing: the one before was the last to.
    fn last_seen_before(&self, life: &mut Life) {
        if life.last_seen_at.is_none() {
            life.last_seen_at = Some(self.before.map_or(life.updated_at, |before| before.at));
            life.last_run = Some(self.before.map_or(life.first_run, |before| before.run));
        }
    }

    pub(in crate::findings) fn event(&mut self, life: &mut Life, kind: &'static str, detail: Value) {
        let (account, fingerprint, number) = (life.account_id.clone(), life.fingerprint.clone(), life.number);
        self.seq += 1;
        life.change_seq = self.seq;
        self.events.push((self.seq, Event { account, fingerprint, number, kind, detail }));
    }

    /// Writes what the failure shows, and with it the workloads where others reach it than before.
    fn show(&mut self, mut life: Life, failure: &Failure, reached: bool) {
        if reached {
            self.reached.push(Reached {
                account: life.account_id.clone(),
                fingerprint: life.fingerprint.clone(),
                workloads: failure.workloads.clone(),
            });
        }
        let owner = if life.version == 0 { self.owners.remove(&life.fingerprint) } else { None };
        life.version += 1;
        life.updated_at = self.now;
        let mut row = life.row(failure);
        if let (Some(change), Value::Object(row)) = (owner, &mut row) {
            row.insert("owner".to_owned(), json!(change.to.name()));
            row.insert("owned".to_owned(), json!(change.to.owned()));
            row.insert("owner_because".to_owned(), parse::to_json(&change.to));
        }
        self.shown.push(row);
    }

    /// Writes the life alone.
    pub(in crate::findings) fn move_on(&mut self, mut life: Life) {
        life.version += 1;
        life.updated_at = self.now;
        self.moved.push(life.steps());
    }

    /// What somebody did, for the audit log; before it is written down.
    pub(in crate::findings) fn acts(&self) -> Vec<NewAuditEntry> {
        let act = |(_, event): &(i64, Event)| {
            let action = action_of(event.kind)?;
            Some(NewAuditEntry::done(action, event.number.to_string(), event.detail.clone()))
        };
        self.events.iter().filter_map(act).collect()
    }

    /// Writes what the steps since the last time came to.
    pub(in crate::findings) async fn write_down(
        &mut self,
        tx: &mut Transaction<'static, Postgres>,
    ) -> Result<(), Error> {
        let (shown, moved) = (std::mem::take(&mut self.shown), std::mem::take(&mut self.moved));
        let places = Places::new(shown.iter().chain(&moved));
        count_moved(tx, &places).await?;
        for rows in statements(shown) {
            write_shown(tx, rows).await?;
        }
        for rows in statements(moved) {
            write_moved(tx, rows).await?;
        }
        note_parts(tx, &places).await?;
        note_related(tx, &self.events).await?;
        write_workloads(tx, &std::mem::take(&mut self.reached)).await?;
        keep_open_ranks(tx, &places).await?;
        let (run, who) = match &self.who {
            None => (Some(self.run), "scanner"),
            Some(who) => (None, who.as_str()),
        };
        let events = std::mem::take(&mut self.events);
        count_steps(tx, &events, run, self.now).await?;
        write_events(tx, &events, run, who, self.now).await
    }
}
