//! `import`: an audit of what others looked at, from files.
//!
//! Trail files, which may be many and large, are read one by one and counted as any trail is;
//! everything else of an estate is read together, since one file explains another. That they are all
//! of a trail no file can tell: only whoever imports them, with `--whole-trail`.

use super::{Context, on_signal, print_summary, verdict, with_database};
use crate::error::Error;
use crate::ingest::{self, Ingested};
use crate::pipeline::{Audit, Looked};
use crate::progress::Progress;
use crate::rules::Rules;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::estate::Observation;
use rolecall_audit::finding::Severity;
use rolecall_audit::id::Region;
use rolecall_audit::import::{FileKind, InputFile, read_files_beside, trail_gap, trail_place};
use rolecall_audit::trail::{self, Harvest, Holds, Whole};
use rolecall_collect::trails;
use rolecall_iam::AccountId;
use rolecall_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Deeper folders than this are a loop of links.
const DEEPEST: usize = 32;
/// Trail files that are looked up, and acknowledged, together.
const BATCH: usize = 2_000;
/// So much of a file tells whether it is a trail's.
const HEAD: u64 = 64 * 1024;
/// The name of imported files among the sources of trails.
const SOURCE: &str = "import";

/// Runs the command. `whole_trail`: the trail files are all that there are.
///
/// # Errors
/// What stopped it; [`Error::NothingRead`] where no file held anything; [`Error::Usage`] where the
/// trail is said to be whole and no file is of one.
pub async fn run(
    context: Context,
    paths: &[PathBuf],
    fail_on: Option<Severity>,
    stats: bool,
    whole_trail: bool,
) -> Result<ExitCode, Error> {
    let rules = Arc::new(Rules::load(context.config.policies.dir.as_deref())?);
    let files = Files::find(paths)?;
    if files.estate.is_empty() && files.trail.is_empty() {
        return Err(Error::NothingRead { problems: Vec::new() });
    }
    if whole_trail && files.trail.is_empty() {
        return Err(Error::Usage {
            what: "--whole-trail is said of trail files, and none of these files is one".to_owned(),
            remedy: "give the trail's folder or files too, or leave --whole-trail out".to_owned(),
        });
    }
    let progress = Progress::stderr();
    let cancel = on_signal();
    let problems = Problems::default();
    let result = with_database(&context, &progress, async |database| {
        let audit = Audit {
            store: database.store.clone(),
            rules: rules.clone(),
            kind: "import",
            trigger: "command line".to_owned(),
            window: TimeDelta::days(context.config.aws.trail_lookback_days.into()),
            kept: context.config.retention.sessions,
            figures: stats,
            progress: progress.clone(),
            cancel: cancel.clone(),
        };
        let (files, problems, store) = (files.clone(), problems.clone(), database.store.clone());
        audit.run(|_, sender| read(files, whole_trail, store, sender, progress.clone(), problems)).await
    })
    .await;
    problems.print()?;
    let summary = result?;
    print_summary(context.format, &summary)?;
    Ok(verdict(&summary, fail_on))
}

/// What could not be read, one line each, in the order of reading.
#[derive(Debug, Clone, Default)]
struct Problems(Arc<Mutex<Vec<String>>>);

impl Problems {
    fn add(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn print(&self) -> Result<(), Error> {
        let mut out = std::io::stderr().lock();
        for line in self.lines() {
            writeln!(out, "rolecall: {line}").map_err(Error::Output)?;
        }
        Ok(())
    }
}

async fn read(
    files: Files,
    whole_trail: bool,
    store: Store,
    sender: mpsc::Sender<Observation>,
    progress: Progress,
    problems: Problems,
) -> Result<Looked, Error> {
    let total = u64::try_from(files.trail.len().div_ceil(BATCH) + 1).unwrap_or(u64::MAX);
    progress.steps("Reading files", total);
    let count = files.estate.len();
    let unread = problems.clone();
    let places: BTreeSet<(AccountId, Region)> =
        files.trail.iter().filter_map(|path| trail_place(&shown(path))).collect();
    let (observations, mut anything) = blocking(move || read_estate(&files.estate, &places, &unread)).await??;
    for observation in observations {
        if sender.send(observation).await.is_err() {
            return Err(Error::Interrupted);
        }
    }
    progress.part(&format!("{count} files of the estate"));
    let trails = if files.trail.is_empty() {
        None
    } else {
        let limits = trails::Limits { batch_objects: BATCH, object_bytes: u64::MAX, ..trails::Limits::default() };
        let stated = whole_trail.then(|| files.trail.clone());
        let mut source = trails::files(SOURCE, files.trail, limits);
        let read = ingest::read(&store, &mut *source, ingest::FILES, Utc::now(), &progress).await?;
        anything |= read.stats.events > 0 || read.known > 0;
        if sender.send(broken(&read, &problems)).await.is_err() {
            return Err(Error::Interrupted);
        }
        if let Some(files) = stated {
            progress.step("Looking from when to when the trail reaches");
            state_whole(&store, files, &problems).await?;
        }
        Some(read)
    };
    let looked = Looked { trails, ..Looked::default() };
    if anything { Ok(looked) } else { Err(Error::NothingRead { problems: problems.lines() }) }
}

/// Notes that nothing is missing between the first and the last event of each account. Where a file
/// was not read to its end, or a record of it not at all, something is.
async fn state_whole(store: &Store, files: Vec<PathBuf>, problems: &Problems) -> Result<(), Error> {
    match blocking(move || reach(&files, Utc::now())).await? {
        Err(file) => problems.add(format!("{}: not all of it could be read, so no trail is whole", shown(&file))),
        Ok(whole) => {
            let mut books = store.bookkeeper();
            let mut ledger = books.open(&BTreeSet::new()).await?;
            ledger.whole(SOURCE, &whole, &[]).await?;
            ledger.commit().await?;
        }
    }
    Ok(())
}

/// The first and the last event of an account, and the regions that it has events in.
type Reach = (DateTime<Utc>, DateTime<Utc>, BTreeSet<Region>);

/// The stretch of each account, in each of its regions, that trail files reach over; or the file that
/// was not read whole. Files that were imported before reach as far as others.
fn reach(files: &[PathBuf], now: DateTime<Utc>) -> Result<Vec<Whole>, PathBuf> {
    let mut accounts: BTreeMap<AccountId, Reach> = BTreeMap::new();
    for path in files {
        let limits = trail::Limits { latest: Some(now), ..trail::Limits::default() };
        let mut harvest = Harvest::new(limits);
        let read = std::fs::File::open(path).and_then(|mut file| harvest.read_from(&shown(path), &mut file));
        let settled = harvest.settle(&BTreeMap::new());
        if read.is_err() || !settled.unread.is_empty() || !settled.damaged.is_empty() {
            return Err(path.clone());
        }
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
    let whole = accounts.into_iter().flat_map(|(account_id, (from, to, regions))| {
        regions.into_iter().map(move |region| Whole {
            source: SOURCE.to_owned(),
            account_id,
            region,
            from,
            to,
            holds: Holds::Stated,
            all_regions: true,
        })
    });
    Ok(whole.collect())
}

/// What could not be read of trail files: told to whoever looks on, and a gap in the sessions of the
/// place where the file lies.
fn broken(read: &Ingested, problems: &Problems) -> Observation {
    let mut seen = Observation::default();
    for problem in &read.problems {
        problems.add(problem.to_string());
        if let Some(place) = trail_place(&problem.file) {
            seen.coverage.gap(trail_gap(place, &problem.file));
        }
    }
    for gap in &read.gaps {
        problems.add(format!("{}: {} {}", gap.location, gap.reason.as_str(), gap.detail));
        if let Some(place) = trail_place(&gap.location) {
            seen.coverage.gap(trail_gap(place, &gap.location));
        }
    }
    seen
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Judging)
}

/// The estate's files, and whether any of them held anything.
fn read_estate(
    paths: &[PathBuf],
    trails: &BTreeSet<(AccountId, Region)>,
    problems: &Problems,
) -> Result<(Vec<Observation>, bool), Error> {
    let files = paths.iter().map(|path| Ok(InputFile { path: shown(path), bytes: bytes_of(path)? }));
    let files = files.collect::<Result<Vec<_>, Error>>()?;
    let import = read_files_beside(&files, trails);
    let held = import.read.iter().any(|file| file.kind != FileKind::Unrecognised);
    for problem in import.problems {
        problems.add(problem.to_string());
    }
    Ok((import.observations, held))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { doing: "read", path: path.to_owned(), source })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The files to read, each kind in the order of their paths.
#[derive(Debug, Clone, Default)]
struct Files {
    estate: Vec<PathBuf>,
    trail: Vec<PathBuf>,
}

impl Files {
    /// Files that are named are read whatever their name; of a folder those that can be data.
    fn find(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut files = Self::default();
        for path in paths {
            let metadata = std::fs::metadata(path);
            let metadata = metadata.map_err(|source| Error::File { doing: "read", path: path.clone(), source })?;
            if metadata.is_dir() {
                files.walk(path, 0)?;
            } else {
                files.add(path.clone());
            }
        }
        for list in [&mut files.estate, &mut files.trail] {
            list.sort();
            list.dedup();
        }
        Ok(files)
    }

    fn walk(&mut self, dir: &Path, depth: usize) -> Result<(), Error> {
        let failed = |source| Error::File { doing: "read the folder", path: dir.to_owned(), source };
        if depth > DEEPEST {
            return Err(failed(std::io::Error::other("folders lie too deep: is there a loop of links?")));
        }
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            if path.is_dir() {
                self.walk(&path, depth + 1)?;
            } else if may_be_data(&path) {
                self.add(path);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf) {
        if is_trail(&path) { self.trail.push(path) } else { self.estate.push(path) }
    }
}

fn may_be_data(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("json" | "jsonl" | "ndjson" | "gz"))
}

/// Whether a file holds CloudTrail records: CloudTrail's own delivery put it where it is, or named
/// it, or it begins as records do.
fn is_trail(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.components().any(|part| part.as_os_str() == "CloudTrail") || name.contains("_CloudTrail_") || begins_so(path)
}

fn begins_so(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && trail::begins_as_records(&head)
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
            assert_eq!(is_trail(Path::new(path)), trail, "{path}");
        }
        assert!(may_be_data(Path::new("a.JSON")) && may_be_data(Path::new("a.json.gz")));
        assert!(!may_be_data(Path::new("README.md")));
    }
}
