//! Adds a batch up: each event once, and each call once however often it was recorded.

use super::batch::{Batch, Pattern, Row, at, at_mut};
use super::result::{AggregatedBatch, Stats, TrailDay, Use};
use super::{MAX_UNMAPPED, NONE};
use crate::problem::Tally;
use crate::shape;
use rolecall_estate::{ChangeEvent, Session};
use std::collections::BTreeMap;

impl Batch {
    pub(super) fn finish_batch(
        mut self,
        counted: &BTreeMap<TrailDay, Vec<u64>>,
        tally: Tally,
        files: u64,
        bytes: u64,
    ) -> AggregatedBatch {
        let rows = std::mem::take(&mut self.rows);
        let read = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let mut rows = self.unique(rows, counted);
        let new = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let paired = self.pair(&mut rows, counted);
        let changes = self.changes(&rows);
        let mut stats = Stats {
            files,
            bytes,
            events: tally.events,
            malformed: tally.malformed,
            duplicates: read - new,
            network: paired.told,
            copies: self.copies,
            change_events: u64::try_from(changes.len()).unwrap_or(u64::MAX),
            failed_change_events: u64::try_from(changes.iter().filter(|change| change.error_code.is_some()).count())
                .unwrap_or(u64::MAX),
            others: self.others.iter().map(|(kind, n)| (kind.to_string(), *n)).collect(),
            problems: tally.kinds.clone(),
            ..Stats::default()
        };
        let mut counts: Vec<(u64, u64, u64)> = vec![(0, 0, 0); self.patterns.len()];
        let mut fingerprints: BTreeMap<TrailDay, Vec<u64>> = BTreeMap::new();
        let mut opened: Vec<u32> = Vec::new();
        let mut fresh: Vec<Vec<u64>> = self.places.iter().map(|_| Vec::new()).collect();
        let mut events: BTreeMap<TrailDay, u64> = BTreeMap::new();
        for row in &rows {
            if let Some(list) = at_mut(&mut fresh, row.place) {
                list.push(row.fingerprint);
            }
            if let Some((count, errors, denied)) = at_mut(&mut counts, row.pattern) {
                *count += 1;
                *errors += u64::from(row.failed);
                *denied += u64::from(row.denied);
                stats.calls += 1;
            }
            if row.session != NONE {
                opened.push(row.session);
            }
        }
        for (place, list) in self.places.iter().zip(&fresh).filter(|(_, list)| !list.is_empty()) {
            events.insert(place.clone(), u64::try_from(list.len()).unwrap_or(u64::MAX));
        }
        for (place, mark) in paired.marks {
            if let Some(list) = at_mut(&mut fresh, place) {
                list.push(mark);
            }
        }
        for list in &mut fresh {
            list.sort_unstable();
        }
        for (place, list) in self.places.iter().zip(fresh) {
            if !list.is_empty() {
                fingerprints.insert(place.clone(), list);
            }
        }
        stats.calls -= paired.taken_back.min(stats.calls);
        let uses = self.uses(&counts, &mut stats);
        let origins = self.origins(&counts);
        opened.sort_unstable();
        let mut next = opened.into_iter().peekable();
        let mut sessions: Vec<Session> = Vec::new();
        for (index, session) in std::mem::take(&mut self.sessions).into_iter().enumerate() {
            if u32::try_from(index).is_ok_and(|index| next.next_if_eq(&index).is_some()) {
                *stats.sessions.entry(session.kind.as_str().to_owned()).or_default() += 1;
                stats.refused += u64::from(session.error.is_some());
                sessions.push(session);
            }
        }
        sessions.sort_by(|a, b| (a.at, a.account_id, &a.event_id).cmp(&(b.at, b.account_id, &b.event_id)));
        stats.uses = u64::try_from(uses.len()).unwrap_or(u64::MAX);
        AggregatedBatch {
            sessions,
            uses,
            withdrawn: paired.withdrawn,
            origins,
            changes,
            fingerprints,
            events,
            stats,
            problems: tally.problems,
            unread: tally.unread,
            damaged: tally.damaged,
        }
    }

    /// The change events of rows that count, each once, by time.
    pub(super) fn changes(&mut self, rows: &[Row]) -> Vec<ChangeEvent> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by_key(|(key, _)| *key);
        changes.dedup_by_key(|(key, _)| *key);
        let new = changes.into_iter().filter(|(key, _)| rows.binary_search_by_key(key, Row::key).is_ok());
        let mut changes: Vec<ChangeEvent> = new.map(|(_, change)| change).collect();
        changes.sort_by(|a, b| {
            (a.event_time, a.account_id, &a.region, &a.event_id).cmp(&(
                b.event_time,
                b.account_id,
                &b.region,
                &b.event_id,
            ))
        });
        changes
    }

    /// Rows that were not counted before, each event once, by place and fingerprint.
    fn unique(&self, mut rows: Vec<Row>, counted: &BTreeMap<TrailDay, Vec<u64>>) -> Vec<Row> {
        rows.sort_unstable_by_key(Row::key);
        rows.dedup_by_key(|row| row.key());
        let (mut place, mut before) = (NONE, [].iter().peekable());
        rows.retain(|row| {
            if row.place != place {
                place = row.place;
                let known = at(&self.places, place).and_then(|place| counted.get(place));
                before = known.map(Vec::as_slice).unwrap_or_default().iter().peekable();
            }
            while before.next_if(|known| **known < row.fingerprint).is_some() {}
            before.peek().is_none_or(|known| **known != row.fingerprint)
        });
        rows
    }

    /// Drops network activity events whose call counts by its own event, and says what an earlier
    /// batch counted by the network activity events of calls that are new.
    fn pair(&mut self, rows: &mut Vec<Row>, counted: &BTreeMap<TrailDay, Vec<u64>>) -> Paired {
        let mut requested = std::mem::take(&mut self.requested);
        requested.retain(|asked| rows.binary_search_by_key(&(asked.place, asked.call), Row::key).is_ok());
        requested.sort_unstable_by_key(|asked| (asked.place, asked.request, asked.call));
        // One request can be several calls; its network activity event is one of them.
        requested.dedup_by_key(|asked| (asked.place, asked.request));
        let was_counted = |place: u32, mark: u64| {
            let known = at(&self.places, place).and_then(|place| counted.get(place));
            known.is_some_and(|known| known.binary_search(&mark).is_ok())
        };
        let mut paired = Paired::default();
        rows.retain(|row| {
            let request = shape::by_network(row.fingerprint);
            let is_told = row.network
                && (requested
                    .binary_search_by_key(&(row.place, request), |asked| (asked.place, asked.request))
                    .is_ok()
                    || was_counted(row.place, request));
            paired.told += u64::from(is_told);
            !is_told
        });
        for asked in requested {
            if was_counted(asked.place, asked.request) {
                continue;
            }
            paired.marks.push((asked.place, asked.request));
            if !was_counted(asked.place, shape::by_network(asked.request)) {
                continue;
            }
            let row = rows.binary_search_by_key(&(asked.place, asked.call), Row::key).ok().and_then(|at| rows.get(at));
            let pattern = row.and_then(|row| at(&self.patterns, row.pattern));
            if let Some(pattern) = pattern {
                paired.told += 1;
                paired.taken_back += 1;
                // The endpoint let it pass: what the service refused is its own event's to tell.
                paired.withdrawn.extend(self.uses_of(pattern, NONE, (1, 0, 0)));
            }
        }
        added_up(&mut paired.withdrawn);
        paired
    }

    pub(super) fn uses(&self, counts: &[(u64, u64, u64)], stats: &mut Stats) -> Vec<Use> {
        let mut uses = Vec::new();
        for (pattern, count) in self.patterns.iter().zip(counts) {
            if count.0 == 0 {
                continue;
            }
            if let Some(event_action) =
                at(&self.event_actions, pattern.event_action).filter(|event_action| !event_action.is_known)
            {
                for action in &event_action.actions {
                    if stats.unmapped.len() < MAX_UNMAPPED || stats.unmapped.contains_key(&**action) {
                        *stats.unmapped.entry(action.to_string()).or_default() += count.0;
                    }
                }
            }
            uses.extend(self.uses_of(pattern, pattern.shape, *count));
        }
        // Several events of CloudTrail's may be one action of IAM's.
        added_up(&mut uses);
        uses
    }

    /// The uses that calls of a pattern are, with their number, how many of them failed and how many
    /// were refused.
    fn uses_of(&self, pattern: &Pattern, shape: u32, (count, errors, denied): (u64, u64, u64)) -> Vec<Use> {
        let (Some(place), Some(principal), Some(event_action)) = (
            at(&self.places, pattern.place),
            at(&self.principals, pattern.principal),
            at(&self.event_actions, pattern.event_action),
        ) else {
            return Vec::new();
        };
        let used = |action: &str| Use {
            account_id: place.account_id,
            region: place.region.clone(),
            day: place.day,
            access_key_id: principal.access_key_id.as_deref().map(str::to_owned),
            role_arn: principal.role_arn.to_string(),
            session_name: principal.session_name.as_deref().map(str::to_owned),
            action: action.to_owned(),
            mapped: event_action.mapped,
            shape: at(&self.shapes, shape).map(ToString::to_string),
            count,
            errors,
            denied,
            first: pattern.first,
            last: pattern.last,
            networks: pattern.networks,
            source: pattern.source.as_deref().map(str::to_owned),
        };
        event_action.actions.iter().map(|action| used(action)).collect()
    }
}

/// What calls and the network activity events of the same requests come to.
#[derive(Debug, Default)]
struct Paired {
    /// Network activity events whose calls count by their own events.
    told: u64,
    /// Of these, those that an earlier batch counted.
    taken_back: u64,
    /// By place: the marks of requests whose calls are new.
    marks: Vec<(u32, u64)>,
    /// What the earlier batches counted for them.
    withdrawn: Vec<Use>,
}

/// Sorts uses by their keys and makes one of those that have the same.
fn added_up(uses: &mut Vec<Use>) {
    uses.sort_by(|a, b| a.key().cmp(&b.key()));
    uses.dedup_by(|next, kept| {
        let same = next.key() == kept.key();
        if same {
            kept.absorb(next);
        }
        same
    });
}
