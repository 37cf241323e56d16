//! Reading trails: from a source into the store, each event counted once.
//!
//! Knows the order of the steps that make delivery at least once into counting exactly once: what is
//! read is committed together with how far it was read, and let go of after that. Memory is bounded
//! by the weight of a part, whatever a source holds: a batch that grows heavy is committed in parts,
//! the next being read while one is written. Refuses to know what a source is, what an event means,
//! and how anything is stored.

use crate::audit::abort;
use crate::audit::ingested::{Broken, BrokenPlace, FILES, Ingested, NOT_ALL, PAGE, Places, READ_TRAIL, set_aside};
use crate::audit::owed::owe;
use crate::error::{Error, chain};
use crate::progress::Progress;
use chrono::{DateTime, NaiveDate, Utc};
use futures::StreamExt as _;
use rolecall_cloudtrail::{EventAggregator, ReadProblem, TrailDay, TrailFile};
use rolecall_collect::Plan;
use rolecall_collect::trails::{
    self, Batch, Cursor, Missed, Object, Outcome, TrailConfig, TrailGap, TrailKind, TrailSource, fetch_each,
};
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_estate::{IncompleteDay, Observation, Snapshot};
use rolecall_iam::AccountId;
use rolecall_import::{trail_day, trail_place};
use rolecall_store::{
    Attempts, Damage, DayCounts, FileMark, RunId, SourceReport, Store, Suspect, TrailBatch, TrailCursor, TrailProblem,
    TrailWriter, Unit, UnitKind,
};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A part that holds more bytes than this is committed.
pub(crate) const HEAVY: usize = 8 << 20;
/// Files fetched at the same time.
const FETCHES: usize = 8;

/// Reads every configured source, and tells what could not be seen of them as gaps in sessions. A
/// source that fails does not keep the others, or the audit, from going on. `places` are those of the
/// look under way, which the store does not know yet.
///
/// # Errors
/// Where the database fails, or nobody waits for the audit any more.
pub async fn configured(
    store: &Store,
    run: RunId,
    plan: &Plan,
    trails: &[TrailConfig],
    places: Places,
    sender: &mpsc::Sender<Observation>,
    progress: &Progress,
) -> Result<Option<Ingested>, Error> {
    if trails.is_empty() {
        return Ok(None);
    }
    let places = places.with_known(store).await?;
    let with_clusters = places.with_clusters.clone();
    let places = places.all();
    let mut all = Ingested::default();
    for config in trails {
        progress.step(&format!("Reading trail `{}`", config.id));
        let mut config = config.clone();
        let kind = match &mut config.kind {
            TrailKind::Bucket(_) => "s3",
            TrailKind::Queue(_) => "queue",
            TrailKind::Lookup(looked) => {
                // Sessions are looked for where there are clusters.
                if looked.places.is_empty() {
                    looked.places.clone_from(&with_clusters);
                }
                "lookup"
            }
        };
        let now = store.now().await?;
        let cursors = store.cursors(&config.id).await?.into_iter().filter_map(|cursor| {
            // A reading by a clock that ran ahead: up to there nothing was read.
            let at = DateTime::parse_from_rfc3339(&cursor.position);
            if at.is_ok_and(|at| at > now) || cursor.from_day.is_some_and(|day| day > now.date_naive()) {
                return None;
            }
            Some(Cursor {
                source: config.id.clone(),
                account_id: cursor.account_id,
                region: cursor.region.parse().ok()?,
                position: cursor.position,
                from_day: cursor.from_day,
            })
        });
        let cursors = cursors.collect();
        let failed = |detail: String, reason: GapReason| TrailGap {
            account_id: None,
            region: None,
            day: None,
            action: READ_TRAIL.to_owned(),
            reason,
            detail,
            location: config.id.clone(),
        };
        match trails::open(plan, &config, cursors).await {
            Ok(mut source) => match read(store, run, &mut *source, kind, now, progress).await {
                Ok(done) => all.absorb(done),
                Err(error @ Error::TrailShared { .. }) => all.gaps.push(failed(chain(&error), GapReason::NotReached)),
                Err(error) => return Err(error),
            },
            Err(error) => {
                let why = chain(&error);
                store.begin_source(&config.id, kind, now).await?;
                store.finish_source(&config.id, Err(&why), now).await?;
                all.gaps.push(failed(why, GapReason::Unreachable));
            }
        }
    }
    let seen = Observation::from(Snapshot { coverage: all.coverage(&places), ..Snapshot::default() });
    if sender.send(seen).await.is_err() {
        return Err(Error::Interrupted);
    }
    Ok(Some(all))
}

/// What is read and not yet committed.
struct Part {
    aggregator: EventAggregator,
    files: Vec<ReadFile>,
}

/// A file that is in a part.
struct ReadFile {
    name: String,
    unit: Unit,
    /// By what damage of it is known, whatever source it comes by.
    identity: String,
    mark: Option<FileMark>,
    trail_day: Option<TrailDay>,
    /// What is not complete where a record of it cannot be read.
    incomplete: Option<IncompleteDay>,
}

impl ReadFile {
    fn new(object: &Object, mark: Option<FileMark>, now: DateTime<Utc>) -> Self {
        Self {
            name: object.location.clone(),
            unit: unit_of(object),
            identity: identity_of(object),
            mark,
            trail_day: day_of(object),
            incomplete: incomplete_day_of(object, now),
        }
    }

    /// What is damaged of it.
    fn damage(&self, now: DateTime<Utc>) -> Option<Damage> {
        let (account_id, region) = self.region()?;
        Some(Damage {
            account_id,
            region,
            day: self.day().unwrap_or_else(|| now.date_naive()),
            lies_there: self.day().is_some(),
            file: self.identity.clone(),
            location: self.name.clone(),
            reason: GapReason::Malformed,
            detail: NOT_ALL.to_owned(),
        })
    }

    /// The day under which it lies, by its key or by its path.
    fn day(&self) -> Option<NaiveDate> {
        self.trail_day.as_ref().map(|it| it.day).or_else(|| trail_day(&self.name))
    }

    /// Whose events it has, by its key or by where it lies.
    fn region(&self) -> Option<(AccountId, Region)> {
        let of_key = self.trail_day.as_ref().map(|day| (day.account_id, day.region.clone()));
        of_key.or_else(|| trail_place(&self.name))
    }
}

impl Part {
    fn new(now: DateTime<Utc>) -> Self {
        let limits = rolecall_cloudtrail::Limits { latest: Some(now), ..rolecall_cloudtrail::Limits::default() };
        Self { aggregator: EventAggregator::new(limits), files: Vec::new() }
    }

    /// Reads a file until it ends, fails, or the part is heavy: then there is more of it.
    fn pieces(mut self, mut file: TrailFile<'static>) -> (Self, TrailFile<'static>, std::io::Result<bool>) {
        loop {
            match self.aggregator.read_piece(&mut file) {
                Ok(true) if self.aggregator.weight() <= abort::part_bytes(HEAVY) => {}
                ended => return (self, file, ended),
            }
        }
    }
}

/// What a part came to.
#[derive(Default)]
struct Receipt {
    ingested: Ingested,
    /// Files that are no trail files.
    unreadable: BTreeMap<String, String>,
}

/// Reads a source until it has nothing more for now.
///
/// # Errors
/// Where the database fails. What was committed stays; the source must be opened anew.
pub async fn read(
    store: &Store,
    run: RunId,
    source: &mut dyn TrailSource,
    kind: &str,
    now: DateTime<Utc>,
    progress: &Progress,
) -> Result<Ingested, Error> {
    let name = source.id().to_owned();
    store.begin_source(&name, kind, now).await?;
    let broken = if kind == FILES { store.trail_problems(Some(&name), u32::MAX).await? } else { Vec::new() };
    let broken = broken.into_iter().map(|problem| (problem.file, problem.kind)).collect();
    let attempts = store.attempts(run, UnitKind::Trail, &name);
    let mut reading = Reading { store, attempts, name: &name, kind, now, progress, broken, done: Ingested::default() };
    let result = reading.all(source).await;
    let done = reading.done;
    let told = match &result {
        Err(error) => Err(chain(error)),
        Ok(()) => match done.gaps.last() {
            None => Ok(()),
            Some(gap) => Err(format!("{} {}: {}", gap.action, gap.reason.as_str(), gap.detail)),
        },
    };
    let ended = store.now().await.unwrap_or(now);
    let noted = store.finish_source(&name, told.as_ref().copied().map_err(String::as_str), ended).await;
    result?;
    noted?;
    Ok(done)
}

struct Reading<'r> {
    store: &'r Store,
    attempts: Attempts,
    name: &'r str,
    kind: &'r str,
    now: DateTime<Utc>,
    progress: &'r Progress,
    /// Files with what could not be read of them before.
    broken: BTreeMap<String, String>,
    done: Ingested,
}

type Committing = JoinHandle<(TrailWriter, Result<Receipt, Error>)>;

impl Reading<'_> {
    async fn all(&mut self, source: &mut dyn TrailSource) -> Result<(), Error> {
        let mut books = self.store.trail_writer();
        // Of its own, as the other may be at work while files are looked up.
        let mut index = self.store.trail_writer();
        while let Some(batch) = source.next(self.now).await {
            books = self.batch(source, batch, books, &mut index).await?;
        }
        Ok(())
    }

    async fn batch(
        &mut self,
        source: &mut dyn TrailSource,
        batch: Batch,
        books: TrailWriter,
        index: &mut TrailWriter,
    ) -> Result<TrailWriter, Error> {
        let marks: Vec<Option<FileMark>> = batch.objects.iter().map(mark_of).collect();
        let asked: Vec<FileMark> = marks.iter().flatten().cloned().collect();
        let mut known = index.read_before(&asked).await?.into_iter();
        let known: Vec<bool> = marks.iter().map(|mark| mark.is_some() && known.next().unwrap_or(false)).collect();
        let mut outcomes: Vec<Outcome> = known.iter().map(|_| Outcome::Known).collect();
        let known_before = batch.objects.iter().zip(&known).filter(|(_, known)| **known).map(|(object, _)| object);
        let broken = known_before.filter_map(|object| self.broken.get_key_value(&object.location));
        self.done.known_broken.extend(broken.map(|(file, kind)| (file.clone(), kind.clone())));
        self.done.known += known.iter().filter(|known| **known).map(|_| 1).sum::<u64>();

        let units: Vec<Unit> = batch.objects.iter().map(unit_of).collect();
        let suspects = self.attempts.suspects(&units).await?;
        let mut left_aside = Vec::new();
        // What a process died at is read by itself, after everything else is kept.
        let (mut fresh, mut alone) = (Vec::new(), Vec::new());
        for (n, object) in batch.objects.iter().enumerate().filter(|(n, _)| known.get(*n) == Some(&false)) {
            match suspects.get(&object.location) {
                None => fresh.push((n, object)),
                Some(Suspect::Once) => alone.push((n, object)),
                Some(Suspect::SetAside { deaths }) => {
                    let why = set_aside(*deaths);
                    left_aside.push(aside(object, why.clone()));
                    if let Some(outcome) = outcomes.get_mut(n) {
                        *outcome = Outcome::Unreadable(why);
                    }
                }
            }
        }

        let mut part = Part::new(self.now);
        let mut parts = Receipt::default();
        let mut books = Some(books);
        let mut committing: Option<Committing> = None;
        for group in std::iter::once(fresh).chain(alone.into_iter().map(|object| vec![object])) {
            let unknown = group.iter().copied();
            let beginning: Vec<Unit> = unknown.clone().filter_map(|(n, _)| units.get(n).cloned()).collect();
            if beginning.iter().any(|unit| suspects.contains_key(&unit.name)) {
                part = self.hand_over(part, &mut books, &mut committing, &mut parts).await?;
                if let Some(before) = committing.take() {
                    books = Some(parts.take(before).await?);
                }
            }
            self.attempts.begin(&beginning).await?;
            // Files of this machine are read piece by piece: they may be of any size.
            let mut bodies = if self.kind == FILES {
                futures::stream::iter(unknown.map(|(n, _)| (n, Ok(None)))).boxed()
            } else {
                fetch_each(&*source, unknown, FETCHES).map(|(n, body)| (n, body.map(Some))).boxed()
            };
            while let Some((n, body)) = bodies.next().await {
                let (Some(object), Some(outcome)) = (batch.objects.get(n), outcomes.get_mut(n)) else { continue };
                let body = match body {
                    Ok(body) => body,
                    Err(missed) => {
                        *outcome = Outcome::Missed(missed);
                        continue;
                    }
                };
                let name = object.location.clone();
                let file = ReadFile::new(object, marks.get(n).cloned().flatten(), self.now);
                abort::within("reading", &name);
                let opened = match body {
                    Some(body) => Ok(TrailFile::new(&name, std::io::Cursor::new(body))),
                    None => {
                        blocking(move || trails::open_file(Path::new(&name)).map(|file| TrailFile::new(&name, file)))
                            .await?
                    }
                };
                let read = match opened {
                    Ok(mut left) => loop {
                        let piece;
                        (part, left, piece) = blocking(move || part.pieces(left)).await?;
                        match piece {
                            // Whatever a file holds, no more of it is held than of many small ones.
                            Ok(true) => part = self.hand_over(part, &mut books, &mut committing, &mut parts).await?,
                            Ok(false) => break Ok(()),
                            Err(error) => break Err(error),
                        }
                    },
                    Err(error) => Err(error),
                };
                match read {
                    Ok(()) => {
                        *outcome = Outcome::Read;
                        part.files.push(file);
                    }
                    // What came before the fault counts, each event once; the file is not known as read.
                    Err(error) => {
                        *outcome = Outcome::Missed(Missed {
                            action: "local:ReadFile".to_owned(),
                            reason: GapReason::NotProvided,
                            detail: error.to_string(),
                            gone: error.kind() == std::io::ErrorKind::NotFound,
                        });
                    }
                }
                if part.aggregator.weight() > abort::part_bytes(HEAVY) {
                    part = self.hand_over(part, &mut books, &mut committing, &mut parts).await?;
                }
            }
        }
        if let Some(before) = committing.take() {
            books = Some(parts.take(before).await?);
        }
        let mut books = books.unwrap_or_else(|| self.store.trail_writer());

        let mut gaps: Vec<TrailGap> = batch.gaps.iter().chain(&left_aside).cloned().collect();
        let given_up: Vec<Damage> = batch
            .objects
            .iter()
            .filter_map(|object| {
                let gap = left_aside.iter().find(|gap| gap.location == object.location)?;
                let damage = ReadFile::new(object, None, self.now).damage(self.now)?;
                Some(Damage { reason: gap.reason, detail: gap.detail.clone(), ..damage })
            })
            .collect();
        let (count, total) = (batch.objects.len(), source.progress());
        let (mut trail_batch, mut last) =
            write(&mut books, part, self.name, &self.attempts, total.waiting, self.now).await?;
        parts.unreadable.append(&mut last.unreadable);
        for (object, outcome) in batch.objects.iter().zip(&mut outcomes) {
            match (&*outcome, parts.unreadable.get(&object.location)) {
                (Outcome::Read, Some(why)) => *outcome = Outcome::Unreadable(why.clone()),
                // It is given up and not asked for again: who looks on is told now or never.
                (Outcome::Missed(missed), _) if missed.gone => gaps.push(trails::gap_of(object, missed.clone())),
                _ => {}
            }
        }
        let done: Vec<Unit> = units
            .into_iter()
            .filter(|unit| !matches!(suspects.get(&unit.name), Some(Suspect::SetAside { .. })))
            .collect();
        trail_batch.attempted(&self.attempts, &done).await?;
        trail_batch.damage(&[], &given_up).await?;
        let settlement = source.finish_batch(batch, outcomes);
        for cursor in &settlement.cursors {
            let cursor = TrailCursor {
                account_id: cursor.account_id,
                region: cursor.region.to_string(),
                position: cursor.position.clone(),
                from_day: cursor.from_day,
            };
            trail_batch.cursor(self.name, &cursor, self.now).await?;
        }
        trail_batch.complete_ranges(self.name, &settlement.complete_ranges, &settlement.incomplete).await?;
        // What processes died at is told as long as it is set aside, and not as a problem of the file.
        let untold = settlement.set_aside.iter().filter(|it| left_aside.iter().all(|gap| gap.location != it.id));
        let aside = untold.map(|aside| TrailProblem {
            source: self.name.to_owned(),
            file: aside.id.clone(),
            place: String::new(),
            kind: "set_aside".to_owned(),
            message: if aside.excerpt.is_empty() {
                aside.reason.clone()
            } else {
                format!("{}: {}", aside.reason, aside.excerpt)
            },
            at: self.now,
        });
        trail_batch.problems(&aside.collect::<Vec<_>>()).await?;
        gaps.extend(settlement.gaps.iter().cloned());
        last.ingested.owed.extend(owe(&mut trail_batch, self.kind, &last.ingested, &gaps).await?);
        abort::point("batch written");
        trail_batch.commit().await?;
        abort::point("batch kept");
        parts.absorb(last);
        self.done.gaps.extend(gaps);
        let left = source.acknowledge(settlement).await;
        abort::point("batch acknowledged");
        self.done.gaps.extend(left);
        let events = parts.ingested.stats.events;
        self.done.absorb(parts.ingested);
        self.progress.part(&format!("{count} trail files, {events} events"));
        Ok(books)
    }

    /// Has a heavy part committed, once the one before it is; gives the next.
    async fn hand_over(
        &self,
        heavy: Part,
        books: &mut Option<TrailWriter>,
        committing: &mut Option<Committing>,
        parts: &mut Receipt,
    ) -> Result<Part, Error> {
        if let Some(before) = committing.take() {
            *books = Some(parts.take(before).await?);
        }
        if let Some(books) = books.take() {
            *committing = Some(self.commit(books, heavy));
        }
        Ok(Part::new(self.now))
    }

    /// Commits a part while the next is read.
    fn commit(&self, mut books: TrailWriter, part: Part) -> Committing {
        let (name, kind, now) = (self.name.to_owned(), self.kind.to_owned(), self.now);
        let attempts = self.attempts.clone();
        tokio::spawn(async move {
            let result = async {
                let (mut trail_batch, mut receipt) = write(&mut books, part, &name, &attempts, None, now).await?;
                receipt.ingested.owed.extend(owe(&mut trail_batch, &kind, &receipt.ingested, &[]).await?);
                abort::point("part written");
                trail_batch.commit().await?;
                abort::point("part kept");
                Ok(receipt)
            }
            .await;
            (books, result)
        })
    }
}

impl Receipt {
    async fn take(&mut self, committing: Committing) -> Result<TrailWriter, Error> {
        let (books, receipt) = committing.await.map_err(Error::Judging)?;
        self.absorb(receipt?);
        Ok(books)
    }

    fn absorb(&mut self, other: Self) {
        self.ingested.absorb(other.ingested);
        self.unreadable.extend(other.unreadable);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Judging)
}

/// Writes a part, up to its commit.
async fn write<'b>(
    books: &'b mut TrailWriter,
    part: Part,
    source: &str,
    attempts: &Attempts,
    waiting: Option<u64>,
    now: DateTime<Utc>,
) -> Result<(TrailBatch<'b>, Receipt), Error> {
    let Part { mut aggregator, files } = part;
    let (aggregator, events) = blocking(move || {
        let events = aggregator.fingerprints();
        (aggregator, events)
    })
    .await?;
    let marks: Vec<FileMark> = files.iter().filter_map(|file| file.mark.clone()).collect();
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    let mut accounts: BTreeSet<AccountId> = events.keys().map(|place| place.account_id).collect();
    accounts.extend(marks.iter().map(FileMark::account_id));
    let mut trail_batch = books.open(&accounts).await?;
    // Read by another worker meanwhile: where days still know their events, that does no harm.
    if trail_batch.unread(&marks).await?.contains(&false) && !trail_batch.closed(events.keys()).await?.is_empty() {
        return Err(Error::TrailShared { source_name: source.to_owned() });
    }
    let counted = trail_batch.counted(&events).await?;
    let settled = blocking(move || {
        let settled = aggregator.finish_batch(&counted);
        let instances = rolecall_cloudtrail::evidence::instance_uses(&settled.uses, &settled.withdrawn);
        (settled, instances)
    });
    let (settled, instances) = settled.await?;
    let written = trail_batch.add(&settled.sessions, &settled.uses).await?;
    trail_batch.withdraw(&settled.withdrawn).await?;
    trail_batch.origins(&settled.origins).await?;
    trail_batch.instances(&instances).await?;
    let changes_written = trail_batch.changes(&settled.changes).await?;

    let unreadable = settled.unread;
    let lacking = files.iter().filter(|f| settled.damaged.contains(&f.name) || unreadable.contains_key(&f.name));
    let lacking: Vec<&ReadFile> = lacking.collect();
    let broken: Vec<_> =
        lacking.iter().map(|file| (BrokenPlace { of: file.region(), day: file.day() }, file.name.clone())).collect();
    let damage: Vec<Damage> = lacking.iter().filter_map(|file| file.damage(now)).collect();
    let identities: Vec<String> = files.iter().map(|file| file.identity.clone()).collect();
    trail_batch.damage(&identities, &damage).await?;
    trail_batch.attempted(attempts, &files.iter().map(|file| file.unit.clone()).collect::<Vec<_>>()).await?;
    let mut days: BTreeMap<TrailDay, DayCounts> = BTreeMap::new();
    let mut marked = Vec::new();
    // Such a file is known from now on, so what is not complete of it is noted along with that.
    let damaged = files.iter().filter(|file| settled.damaged.contains(&file.name));
    let incomplete: Vec<IncompleteDay> = damaged.filter_map(|file| file.incomplete.clone()).collect();
    trail_batch.complete_ranges(source, &[], &incomplete).await?;
    for file in files.into_iter().filter(|file| !unreadable.contains_key(&file.name)) {
        if let Some(day) = file.trail_day {
            days.entry(day).or_default().files += 1;
        }
        marked.extend(file.mark);
    }
    for (day, events) in &settled.events {
        days.entry(day.clone()).or_default().events += events;
    }
    // A mark that another worker wrote meanwhile is not to be written twice.
    let unread = trail_batch.unread(&marked).await?;
    let marked: Vec<FileMark> =
        marked.into_iter().zip(unread).filter(|(_, unread)| *unread).map(|(mark, _)| mark).collect();
    trail_batch.note(settled.fingerprints, &marked, &days, now).await?;
    let newest = settled.uses.iter().map(|used| used.last).chain(settled.sessions.iter().map(|session| session.at));
    let newest = newest.chain(settled.changes.iter().map(|change| change.event_time)).max();
    let stats = settled.stats;
    let report = SourceReport {
        files: stats.files,
        events: stats.events.saturating_sub(stats.duplicates),
        bytes: stats.bytes,
        duplicates: stats.duplicates,
        malformed: stats.malformed,
        newest_event_at: newest,
        waiting,
    };
    trail_batch.progress(source, &report).await?;
    let problems: Vec<TrailProblem> = settled.problems.iter().map(|problem| kept(problem, source, now)).collect();
    trail_batch.problems_of(source, &names, &problems).await?;
    let mut ingested = Ingested {
        known: 0,
        sessions_written: written.sessions,
        uses_written: written.uses,
        changes_written,
        oldest: settled.sessions.iter().map(|session| session.at).min(),
        problems: settled.problems,
        gaps: Vec::new(),
        known_broken: BTreeSet::new(),
        owed: Vec::new(),
        named: BTreeMap::new(),
        broken: BTreeMap::new(),
        stats,
    };
    for (place, file) in broken {
        ingested.note_broken(place, Broken { file, files: 1 });
    }
    for session in &settled.sessions {
        ingested.name(session.account_id, [session.region.clone()], session.at);
    }
    for used in &settled.uses {
        ingested.name(used.account_id, [used.region.clone()], used.last);
    }
    Ok((trail_batch, Receipt { ingested, unreadable }))
}

fn kept(problem: &ReadProblem, source: &str, at: DateTime<Utc>) -> TrailProblem {
    let place = match (problem.line, problem.field.is_empty()) {
        (Some(line), true) => format!("line {line}"),
        (Some(line), false) => format!("line {line}, {}", problem.field),
        (None, _) => problem.field.clone(),
    };
    TrailProblem {
        source: source.to_owned(),
        file: problem.file.clone(),
        place,
        kind: match (problem.kind, problem.record) {
            (rolecall_cloudtrail::ProblemKind::Page, _) => PAGE,
            (_, Some(_)) => "record",
            (_, None) => "file",
        }
        .to_owned(),
        message: format!("{}; {}", problem.message, problem.remedy),
        at,
    }
}

/// What a process may die at.
fn unit_of(object: &Object) -> Unit {
    let size = || object.size.map(|size| size.to_string());
    Unit { name: object.location.clone(), version: object.etag.clone().or_else(size).unwrap_or_default() }
}

/// CloudTrail's own name of a file, as it has it wherever it lies; otherwise where it lies.
fn identity_of(object: &Object) -> String {
    object.identity.clone().filter(|_| object.day.is_some()).unwrap_or_else(|| object.location.clone())
}

fn aside(object: &Object, why: String) -> TrailGap {
    let missed = Missed { action: READ_TRAIL.to_owned(), reason: GapReason::SetAside, detail: why, gone: false };
    trails::gap_of(object, missed)
}

fn day_of(object: &Object) -> Option<TrailDay> {
    let (account_id, region, day) = (object.account_id?, object.region.clone()?, object.day?);
    Some(TrailDay { account_id, region, day })
}

/// The day of which a record is lost with one of this object; where nobody knows which, today: then
/// nothing so far is complete.
fn incomplete_day_of(object: &Object, now: DateTime<Utc>) -> Option<IncompleteDay> {
    let day = object.day.unwrap_or_else(|| now.date_naive());
    Some(IncompleteDay { account_id: object.account_id?, region: object.region.clone()?, day })
}

/// By what a file is known again. The same file has the same mark by whatever way it comes.
fn mark_of(object: &Object) -> Option<FileMark> {
    let identity = object.identity.as_ref()?;
    let hash = Sha256::digest(identity.as_bytes());
    let mark = hash.iter().take(8).fold(0_u64, |mark, byte| (mark << 8) | u64::from(*byte));
    Some(FileMark { day: day_of(object), mark })
}
