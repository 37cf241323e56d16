//! What many files tell together: sessions, and calls of role sessions added up.
//!
//! CloudTrail delivers at least once, late and in no order. So a batch is read first, and settled
//! only when it is known which of its events were counted before: each event that counts is known
//! again by its [`TrailDay`] and its fingerprint. What was settled is saved together with the new
//! fingerprints, in one transaction; then a crash anywhere, files read twice, split or in any order
//! give the same sessions and the same uses.
//!
//! A call that went through a VPC endpoint may be told twice: by its own event, and by the network
//! activity event of the endpoint, which knows less of it. Both have the request's id; the call's own
//! event counts, and the other only where there is none. Where the call's event comes in a later
//! batch, what was counted for the other is taken back.
//!
//! Memory grows with distinct uses, and by 24 bytes with each call; of calls that can have a network
//! activity event, by 48. Refuses to know where
//! fingerprints are kept, and which pod a session belongs to.

mod batch;
mod caller;
mod finish;
mod origins;
mod result;

use super::reader::{Inflater, MAX_DECOMPRESSED, Reader, Reading};
use super::shape;
use crate::problem::Tally;
use batch::{Batch, Pattern, Requested, Row, at};
use chrono::{DateTime, Utc};
pub use result::{AggregatedBatch, Stats, TrailDay, Use, UseKey};
use rolecall_estate::{ChangeEvent, Session};
use std::collections::BTreeMap;

/// So many distinct unmapped events are named in the statistics.
const MAX_UNMAPPED: usize = 500;
/// So many sources are remembered with their class.
const MAX_SOURCES: usize = 4_096;
/// No `use` or session of a row.
const NONE: u32 = u32::MAX;

/// Bounds of reading.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many bytes a gzipped file may grow to.
    pub max_decompressed: u64,
    /// Now, as the caller has it. An event of more than a day later is refused by name: a clock is
    /// wrong, and it would stay in view for ever. `None`: any time is taken.
    pub latest: Option<DateTime<Utc>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_decompressed: MAX_DECOMPRESSED, latest: None }
    }
}

/// Reads files into sessions and uses.
#[derive(Debug)]
pub struct EventAggregator {
    limits: Limits,
    inflater: Inflater,
    tally: Tally,
    files: u64,
    bytes: u64,
    batch: Batch,
}

/// A file that is read piece by piece, as far as it was read.
#[derive(Debug)]
pub struct TrailFile<'r>(Reading<'r>);

impl<'r> TrailFile<'r> {
    /// A file of which nothing was read yet, gzipped or plain.
    #[must_use]
    pub fn new(name: &str, source: impl std::io::Read + Send + 'r) -> Self {
        Self(Reading::new(name, Box::new(source)))
    }
}

impl EventAggregator {
    /// An empty batch.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            inflater: Inflater::default(),
            tally: Tally::default(),
            files: 0,
            bytes: 0,
            batch: Batch { latest: limits.latest, ..Batch::default() },
        }
    }

    /// Reads a file that is at hand, gzipped or plain. What cannot be read of it is counted and named.
    pub fn read(&mut self, name: &str, bytes: &[u8]) {
        self.files += 1;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Reader::new(name, &mut self.batch, &mut self.tally, self.limits.max_decompressed)
            .bytes(&mut self.inflater, bytes);
    }

    /// Reads a file piece by piece, within the same bound of memory whatever its size.
    ///
    /// # Errors
    /// The source failed. What came before is read, so the batch is not to be saved.
    pub fn read_from(&mut self, name: &str, source: &mut (dyn std::io::Read + Send)) -> std::io::Result<()> {
        let mut reading = TrailFile::new(name, source);
        while self.read_piece(&mut reading)? {}
        Ok(())
    }

    /// Reads a piece of a file: all of one that is small. `false` after the last. Pieces of one file may
    /// go to several batches; the last knows what was wrong with any.
    ///
    /// # Errors
    /// The source failed. What came before is read.
    pub fn read_piece(&mut self, file: &mut TrailFile<'_>) -> std::io::Result<bool> {
        self.files += u64::from(file.0.is_at_start());
        let goes_on = file.0.piece(&mut self.inflater, &mut self.batch, &mut self.tally, self.limits.max_decompressed);
        self.bytes += file.0.bytes();
        goes_on
    }

    /// Records read so far, those that do not count too.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.tally.events
    }

    /// Whether nothing was read that would have to be saved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.rows.is_empty()
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let batch = &self.batch;
        batch.rows.len() * size_of::<Row>()
            + batch.requested.len() * size_of::<Requested>()
            + batch.sessions.len() * (size_of::<Session>() + 1024)
            + batch.changes.len() * (size_of::<ChangeEvent>() + 1024)
            + batch.patterns.len() * (size_of::<Pattern>() + 48)
            + batch.text
            + self.inflater.held()
    }

    /// By what the events that count are known again; sorted, each once.
    #[must_use]
    pub fn fingerprints(&mut self) -> BTreeMap<TrailDay, Vec<u64>> {
        self.batch.rows.sort_unstable_by_key(Row::key);
        let mut out: BTreeMap<TrailDay, Vec<u64>> = BTreeMap::new();
        for rows in self.batch.rows.chunk_by(|a, b| a.place == b.place) {
            if let Some(place) = rows.first().and_then(|row| at(&self.batch.places, row.place)) {
                // Whether the call of a network activity event was counted.
                let calls = rows.iter().filter(|row| row.network).map(|row| shape::by_network(row.fingerprint));
                out.insert(place.clone(), rows.iter().map(|row| row.fingerprint).chain(calls).collect());
            }
        }
        for asked in &self.batch.requested {
            if let Some(list) = at(&self.batch.places, asked.place).and_then(|place| out.get_mut(place)) {
                list.extend([asked.request, shape::by_network(asked.request)]);
            }
        }
        for list in out.values_mut() {
            list.sort_unstable();
            list.dedup();
        }
        out
    }

    /// Adds up what is new. `counted` holds, sorted, those fingerprints that were counted before;
    /// it need not hold others, and may.
    #[must_use]
    pub fn finish_batch(self, counted: &BTreeMap<TrailDay, Vec<u64>>) -> AggregatedBatch {
        self.batch.finish_batch(counted, self.tally, self.files, self.bytes)
    }
}
