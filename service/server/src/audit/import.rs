//! What a scan of files reads: files that others wrote, in place of AWS.
//!
//! Trail files, which may be many and large, are read one by one and counted as any trail is;
//! everything else of an estate is read together, since one file explains another. That they are all
//! of a trail no file can tell: only whoever imports them, with `--complete-trail`; and that a loose file
//! holds all there is, with `--complete`. What files tell is of the newest date in them, not of now.

use crate::audit::abort;
use crate::audit::files::{self, Found};
use crate::audit::ingest::{self, HEAVY};
use crate::audit::ingested::{FILES, Ingested, PAGE, Places, set_aside};
use crate::audit::owed::{self, Left};
use crate::audit::run::Collected;
use crate::config::IMPORTED as SOURCE;
use crate::error::Error;
use crate::progress::Progress;
use crate::terminal;
use chrono::{DateTime, Utc};
use rolecall_cloudtrail::{AggregatedBatch, EventAggregator, ProblemKind, TrailFile};
use rolecall_collect::trails;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::before::doubt;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::id::Region;
use rolecall_estate::{CompleteRange, Estate, EventScope, Observation};
use rolecall_iam::AccountId;
use rolecall_import::{FileKind, Given, Importer, InputFile, LARGEST, holds_records, trail_gap, trail_place};
use rolecall_store::{Attempts, RunId, Store, Suspect, Unit, UnitKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Trail files that are looked up, and acknowledged, together.
const BATCH: usize = 2_000;
/// So much of a file tells whether it is a trail's.
const HEAD: u64 = 64 * 1024;
/// So many files that were passed over are named.
const NAMED: usize = 20;
/// So many lines are written of what could not be read; the others are counted.
const LINES: usize = 1_000;

/// What whoever imports files says of them.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The trail files are all that there are.
    pub complete_trail: bool,
    /// Each listing that the files hold a part of is complete.
    pub complete: bool,
    /// Of what date they are; otherwise of the newest date in them.
    pub as_of: Option<DateTime<Utc>>,
    /// What is stated of the estate beside the configuration.
    pub assume: Vec<Assumption>,
}

/// Reads files and folders on behalf of an audit.
///
/// # Errors
/// [`Error::NothingRead`] where no file held anything; where the database fails.
pub async fn collect(
    run: RunId,
    paths: &[PathBuf],
    options: ImportOptions,
    store: &Store,
    sender: mpsc::Sender<Observation>,
    progress: Progress,
) -> Result<Collected, Error> {
    read(run, Files::find(paths)?, options, store.clone(), sender, progress, Problems::default()).await
}

/// What could not be read, one line each, in the order of reading; and how many more there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems(Arc<Mutex<(Vec<String>, u64)>>);

impl Problems {
    fn add(&self, line: String) {
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.0.len() < LINES { problems.0.push(line) } else { problems.1 += 1 }
    }

    fn count(&self, unnamed: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 += unnamed;
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let (mut lines, more) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if more > 0 {
            lines.push(format!("and {more} problems more"));
        }
        lines
    }

    /// Names what a folder holds and an audit has no use for.
    fn passed_over(&self, files: &[String]) {
        if files.is_empty() {
            return;
        }
        let named = files.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = files.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
        self.add(format!("passed over {count} that hold nothing that is read: {named}{more}"));
    }

    pub(crate) fn print(&self) {
        for line in self.lines() {
            terminal::err(&format!("rolecall: {line}"));
        }
    }
}

pub(crate) async fn read(
    run: RunId,
    files: Files,
    options: ImportOptions,
    store: Store,
    sender: mpsc::Sender<Observation>,
    progress: Progress,
    problems: Problems,
) -> Result<Collected, Error> {
    let total = u64::try_from(files.trail.len().div_ceil(BATCH) + 1).unwrap_or(u64::MAX);
    progress.steps("Reading files", total);
    let count = files.estate.len();
    let unread = problems.clone();
    let places: BTreeSet<(AccountId, Region)> =
        files.trail.iter().filter_map(|path| trail_place(&shown(path))).collect();
    let given = Given { trails: places, complete: options.complete };
    let (estate, unreadable) = (files.estate, files.unread);
    let attempts = store.attempts(run, UnitKind::File, SOURCE);
    let units: Vec<(PathBuf, Unit)> = blocking(move || estate.into_iter().map(of_file).collect()).await?;
    let suspects = attempts.suspects(&units.iter().map(|(_, unit)| unit.clone()).collect::<Vec<_>>()).await?;
    let tries = Tries { attempts, suspects };
    let EstateFiles { mut observations, digests, mut anything, mut first_unread } =
        blocking(move || read_estate(units, &unreadable, &given, &unread, &tries)).await??;
    // What cannot be had may be anything: then the files are not all there is, whoever says so.
    if !options.complete || first_unread.is_some() {
        let accounts: BTreeSet<AccountId> =
            observations.iter().flat_map(|seen| seen.coverage.scopes().map(|(scope, _)| scope.account_id)).collect();
        doubt(&mut observations, &store.listed(&accounts).await?);
    }
    progress.part(&format!("{count} files of the estate"));
    let Left { seen, mut named, owed } = owed::left(&store, Places::default()).await?;
    observations.push(seen);
    let trails = if files.trail.is_empty() {
        None
    } else {
        let limits = trails::Limits { batch_objects: BATCH, object_bytes: u64::MAX, ..trails::Limits::default() };
        let stated = options.complete_trail.then(|| files.trail.clone());
        let mut source = trails::files(SOURCE, files.trail, limits);
        let read = ingest::read(&store, run, &mut *source, FILES, store.now().await?, &progress).await?;
        anything |= read.stats.events > 0 || read.known > 0;
        observations.push(broken(&read, &problems));
        for (account, news) in &read.named {
            let known = named.entry(*account).or_insert_with(|| news.clone());
            known.regions.extend(news.regions.iter().cloned());
            known.newest = known.newest.max(news.newest);
        }
        let aside = read.gaps.iter().find(|gap| gap.reason == GapReason::SetAside);
        first_unread = first_unread.or_else(|| aside.map(|gap| PathBuf::from(&gap.location)));
        if let Some(files) = stated {
            progress.step("Looking from when to when the trail reaches");
            state_complete_ranges(&store, files, first_unread, &problems).await?;
        }
        Some(read)
    };
    // An account whose files are given is seen by them.
    let given = observations.iter().filter_map(|seen| seen.account.as_ref()).map(|account| account.id).collect();
    observations.extend(owed::accounts_named_only(&store, &named, &given).await?);
    let now = store.now().await?;
    let told = named.iter().map(|(account, named)| (*account, named.newest));
    let as_of = date(&mut observations, &told.collect(), options.as_of, now);
    for observation in observations {
        if sender.send(observation).await.is_err() {
            return Err(Error::Interrupted);
        }
    }
    let passed_over: Vec<String> = files.passed_over.iter().map(|path| shown(path)).chain(digests).collect();
    problems.passed_over(&passed_over);
    let collected = Collected { trails, as_of, passed_over, owed, ..Collected::default() };
    if anything { Ok(collected) } else { Err(Error::NothingRead { problems: problems.lines() }) }
}

/// Says of what date each observation is: of the newest date in the account's files and records, or as
/// was said, and never still to come. Gives the newest of all.
fn date(
    observations: &mut [Observation],
    told: &BTreeMap<AccountId, DateTime<Utc>>,
    stated: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    for seen in observations.iter_mut() {
        let account = seen.account.as_ref().map(|account| account.id);
        let recorded = account.and_then(|account| told.get(&account)).copied();
        let newest = stated.or(seen.as_of.max(recorded)).unwrap_or(DateTime::UNIX_EPOCH);
        seen.as_of = Some(newest.min(now));
    }
    let dated = observations.iter().filter_map(|seen| seen.as_of).chain(told.values().map(|newest| *newest.min(&now)));
    stated.map(|stated| stated.min(now)).or_else(|| dated.max()).filter(|newest| *newest > DateTime::UNIX_EPOCH)
}

/// Notes that nothing is missing between the first and the last event of each account. Where a file
/// was not read to its end, or a record of it not at all, something is.
async fn state_complete_ranges(
    store: &Store,
    files: Vec<PathBuf>,
    unread: Option<PathBuf>,
    problems: &Problems,
) -> Result<(), Error> {
    let now = store.now().await?;
    let reached = blocking(move || unread.map_or_else(|| reach(&files, now), Err)).await?;
    match reached {
        Err(file) => problems.add(format!("{}: not all of it could be read, so no trail is whole", shown(&file))),
        Ok(range) => {
            let mut books = store.trail_writer();
            let mut trail_batch = books.open(&BTreeSet::new()).await?;
            trail_batch.complete_ranges(SOURCE, &range, &[]).await?;
            trail_batch.commit().await?;
        }
    }
    Ok(())
}

/// The first and the last event of an account, and the regions that it has events in.
type Reach = (DateTime<Utc>, DateTime<Utc>, BTreeSet<Region>);

fn reach_on(accounts: &mut BTreeMap<AccountId, Reach>, settled: &AggregatedBatch) {
    let sessions = settled.sessions.iter().map(|it| (it.account_id, &it.region, it.at, it.at));
    let uses = settled.uses.iter().map(|it| (it.account_id, &it.region, it.first, it.last));
    for (account_id, region, first, last) in sessions.chain(uses) {
        let known = accounts.entry(account_id).or_insert_with(|| (first, last, BTreeSet::new()));
        known.0 = known.0.min(first);
        known.1 = known.1.max(last);
        if !known.2.contains(region) {
            known.2.insert(region.clone());
        }
    }
}

/// The range of each account, in each of its regions, that trail files reach over; or the file that
/// was not read completely. Files that were imported before reach as far as others.
fn reach(files: &[PathBuf], now: DateTime<Utc>) -> Result<Vec<CompleteRange>, PathBuf> {
    let mut accounts: BTreeMap<AccountId, Reach> = BTreeMap::new();
    for path in files {
        let limits = rolecall_cloudtrail::Limits { latest: Some(now), ..rolecall_cloudtrail::Limits::default() };
        let file = trails::open_file(path).map_err(|_| path.clone())?;
        let mut file = TrailFile::new(&shown(path), file);
        let mut goes_on = true;
        while goes_on {
            let mut aggregator = EventAggregator::new(limits);
            while goes_on && aggregator.weight() <= HEAVY {
                goes_on = aggregator.read_piece(&mut file).map_err(|_| path.clone())?;
            }
            let settled = aggregator.finish_batch(&BTreeMap::new());
            if !settled.unread.is_empty() || !settled.damaged.is_empty() {
                return Err(path.clone());
            }
            reach_on(&mut accounts, &settled);
        }
    }
    let range = accounts.into_iter().flat_map(|(account_id, (from, to, regions))| {
        regions.into_iter().map(move |region| CompleteRange {
            source: SOURCE.to_owned(),
            account_id,
            region,
            from,
            to,
            event_scope: EventScope::Stated,
            all_regions: true,
        })
    });
    Ok(range.collect())
}

/// What could not be read of trail files, now or when they were read: told to whoever looks on, and a
/// gap in the sessions of the
/// place where the file lies.
fn broken(read: &Ingested, problems: &Problems) -> Observation {
    let mut seen = Observation::default();
    for (file, kind) in &read.known_broken {
        let what = if kind == PAGE { ProblemKind::Page } else { ProblemKind::Json };
        if let Some(place) = trail_place(file) {
            seen.coverage.gap(trail_gap(place, file, what));
        }
    }
    for problem in &read.problems {
        problems.add(problem.to_string());
        if let Some(place) = trail_place(&problem.file) {
            seen.coverage.gap(trail_gap(place, &problem.file, problem.kind));
        }
    }
    for gap in &read.gaps {
        problems.add(format!("{}: {} {}", gap.location, gap.reason.as_str(), gap.detail));
        if let Some(place) = trail_place(&gap.location) {
            let as_file = trail_gap(place, &gap.location, ProblemKind::Json);
            seen.coverage.gap(match gap.reason {
                GapReason::SetAside => Gap { reason: gap.reason, detail: gap.detail.clone(), ..as_file },
                _ => as_file,
            });
        }
    }
    // Only some problems are named, and each place counts.
    for (place, broken) in &read.broken {
        let Some((account, region)) = place.of.clone() else { continue };
        let scope = Scope::regional(account, ScopeKind::Sessions, region.clone());
        let told = seen.coverage.gaps_of(&scope).unwrap_or_default();
        if told.iter().all(|gap| gap.day != place.day) {
            seen.coverage.gap(trail_gap((account, region), &broken.file, ProblemKind::Json));
        }
    }
    seen
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Judging)
}

/// The estate that files hold, in memory: their listings and documents, without trails.
///
/// # Errors
/// [`Error::NothingRead`] where no file held anything.
pub(crate) async fn estate(
    files: Files,
    options: &ImportOptions,
    problems: &Problems,
) -> Result<(Estate, DateTime<Utc>), Error> {
    let given = Given { complete: options.complete, ..Given::default() };
    let unread = problems.clone();
    if files.has_trail() {
        problems.add("trail files are not read: only listings and policies count".to_owned());
    }
    let read = blocking(move || read_once(&files, &given, &unread)).await?;
    if !read.anything {
        return Err(Error::NothingRead { problems: problems.lines() });
    }
    let mut observations = read.observations;
    let now = Utc::now();
    let as_of = date(&mut observations, &BTreeMap::new(), options.as_of, now).unwrap_or(now);
    let mut estate = Estate::observed(observations);
    estate.assumed.extend(&options.assume);
    Ok((estate, as_of))
}

/// What the estate's files held.
struct EstateFiles {
    observations: Vec<Observation>,
    /// Files by which trails are checked, and nothing else.
    digests: Vec<String>,
    /// Whether any of them held anything.
    anything: bool,
    /// The first that could not be had.
    first_unread: Option<PathBuf>,
}

/// What is known of files that a process may die at.
struct Tries {
    attempts: Attempts,
    suspects: BTreeMap<String, Suspect>,
}

fn of_file(path: PathBuf) -> (PathBuf, Unit) {
    let version = std::fs::metadata(&path).map(|file| file.len().to_string()).unwrap_or_default();
    let unit = Unit { name: shown(&path), version };
    (path, unit)
}

/// Files that a process died at are read one by one, each as an attempt of its own, after all others.
fn read_estate(
    files: Vec<(PathBuf, Unit)>,
    unread: &[(PathBuf, String)],
    given: &Given,
    problems: &Problems,
    Tries { attempts, suspects }: &Tries,
) -> Result<EstateFiles, Error> {
    let database = tokio::runtime::Handle::current();
    let mut reading = EstateReading::new(given, unread);
    let (alone, fresh): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, unit)| suspects.contains_key(&unit.name));
    let together: Vec<Unit> = fresh.iter().map(|(_, unit)| unit.clone()).collect();
    database.block_on(attempts.begin(&together))?;
    for (path, _) in &fresh {
        reading.file(path);
    }
    database.block_on(attempts.done(&together))?;
    for (path, unit) in alone {
        if let Some(Suspect::SetAside { deaths }) = suspects.get(&unit.name) {
            reading.refuse(&path, &set_aside(*deaths));
            continue;
        }
        let unit = [unit];
        database.block_on(attempts.begin(&unit))?;
        reading.file(&path);
        database.block_on(attempts.done(&unit))?;
    }
    Ok(reading.finish(problems))
}

/// Reads the files of an estate for one question: a process that dies at one of them answers nothing else.
fn read_once(files: &Files, given: &Given, problems: &Problems) -> EstateFiles {
    let mut reading = EstateReading::new(given, &files.unread);
    for path in &files.estate {
        reading.file(path);
    }
    reading.finish(problems)
}

/// The files of an estate while they are read.
struct EstateReading {
    importer: Importer,
    first_unread: Option<PathBuf>,
}

impl EstateReading {
    /// `unread`: what could not be opened, and why.
    fn new(given: &Given, unread: &[(PathBuf, String)]) -> Self {
        let mut reading = Self { importer: Importer::new(given), first_unread: None };
        for (path, why) in unread {
            reading.refuse(path, why);
        }
        reading
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        self.importer.unread(&shown(path), why);
        self.first_unread.get_or_insert_with(|| path.to_owned());
    }

    fn file(&mut self, path: &Path) {
        abort::within("reading", &shown(path));
        // One more than may be read where there are more: then it is refused by name.
        match files::head(path, LARGEST + 1) {
            Ok(bytes) => self.importer.file(&InputFile { path: shown(path), bytes }),
            // Whatever was there a moment ago may be gone.
            Err(error) => self.refuse(path, &error.to_string()),
        }
    }

    fn finish(self, problems: &Problems) -> EstateFiles {
        let Self { importer, first_unread } = self;
        let import = importer.finish();
        let anything =
            import.read.iter().any(|file| !matches!(file.kind, FileKind::Unrecognised | FileKind::TrailDigest));
        let digests = import.read.into_iter().filter(|file| file.kind == FileKind::TrailDigest).map(|file| file.path);
        let digests = digests.collect();
        for problem in import.problems {
            problems.add(problem.to_string());
        }
        problems.count(import.unnamed);
        EstateFiles { observations: import.observations, digests, anything, first_unread }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The files to read, each kind in the order of their paths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    estate: Vec<PathBuf>,
    trail: Vec<PathBuf>,
    /// Of folders: what is no data.
    passed_over: Vec<PathBuf>,
    /// What is there and cannot be had, and why.
    unread: Vec<(PathBuf, String)>,
}

impl Files {
    /// Whether nothing can be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.estate.is_empty() && self.trail.is_empty()
    }

    /// Names each file that is there and cannot be had.
    pub(crate) fn name_unread(&self, problems: &Problems) {
        self.unread.iter().for_each(|(path, why)| problems.add(format!("{}: cannot be read: {why}", shown(path))));
    }

    /// Whether any file is one of a trail.
    pub(crate) fn has_trail(&self) -> bool {
        !self.trail.is_empty()
    }

    /// Files that are named are read whatever their name; of a folder those that can be data, by their
    /// names or by what they begin with.
    pub(crate) fn find(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut files = Self::default();
        let mut gone = None;
        files::walk(paths, |found| match found {
            Found::Named(path) => {
                files.add(path.to_owned(), files::head(path, HEAD));
                false
            }
            Found::File(path) => {
                files.file(path);
                false
            }
            Found::Folder(path) => {
                let is_hidden = files::name(path).starts_with('.');
                if is_hidden {
                    files.passed_over.push(path.to_owned());
                }
                !is_hidden
            }
            Found::Unread(path, source) => {
                if paths.iter().any(|named| named == path) && !path.exists() {
                    gone.get_or_insert((path.to_owned(), source));
                } else {
                    files.unread.push((path.to_owned(), source.to_string()));
                }
                false
            }
        });
        if let Some((path, source)) = gone {
            return Err(Error::File { doing: "read", path, source });
        }
        for list in [&mut files.estate, &mut files.trail, &mut files.passed_over] {
            list.sort();
            list.dedup();
        }
        files.unread.sort();
        Ok(files)
    }

    /// Takes a file of a folder, or leaves it.
    fn file(&mut self, path: &Path) {
        let name = files::name(path);
        if name.starts_with('.') {
            self.passed_over.push(path.to_owned());
            return;
        }
        match files::head(path, HEAD) {
            Ok(head) if has_data_name(&name) || may_be_data(&head) => self.add(path.to_owned(), Ok(head)),
            // What is no file on a disk holds data only where it is named so.
            Err(error) if error.kind() != std::io::ErrorKind::InvalidInput || has_data_name(&name) => {
                self.add(path.to_owned(), Err(error));
            }
            _ => self.passed_over.push(path.to_owned()),
        }
    }

    fn add(&mut self, path: PathBuf, head: std::io::Result<Vec<u8>>) {
        match head {
            // Of CloudTrail's own files their place tells whose they are, unread too.
            head if is_trail(&path, head.as_deref().unwrap_or_default()) => self.trail.push(path),
            Ok(_) => self.estate.push(path),
            Err(error) => self.unread.push((path, error.to_string())),
        }
    }
}

/// Whether a file's name, in lower case, is one of data.
fn has_data_name(name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    [".json", ".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end))
}

/// Whether a file that begins so may be one of data.
fn may_be_data(head: &[u8]) -> bool {
    let text = rolecall_cloudtrail::plain_head(head);
    let begins = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii_start().first();
    matches!(begins, Some(b'{' | b'[')) || rolecall_cloudtrail::begins_as_records(head)
}

/// Whether a file holds CloudTrail records: CloudTrail's own delivery put it where it is, or named
/// it, or it begins as records do.
fn is_trail(path: &Path, head: &[u8]) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.components().any(|part| part.as_os_str() == "CloudTrail")
        || name.contains("_CloudTrail_")
        || rolecall_cloudtrail::begins_as_records(head)
        || holds_records(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trail_files_are_told_by_where_cloudtrail_puts_them() {
        for (path, trail) in [
            ("x/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/23/f.json.gz", true),
            ("x/iam/111122223333/gaad.json", false),
            ("cloudtrail.json", false),
            ("x/111122223333_CloudTrail_eu-west-1_20261123T0000Z_abc.json.gz", true),
        ] {
            assert_eq!(is_trail(Path::new(path), b""), trail, "{path}");
        }
        assert!(has_data_name("a.json") && has_data_name("a.json.gz") && !has_data_name("readme.md"));
    }
}
