//! `import`: an audit of what others looked at, from files.
//!
//! Trail files, which may be many, are read and stored a few at a time; everything else of an
//! estate is read together, since one file explains another.

use super::{Context, on_signal, print_summary, verdict, with_database};
use crate::error::Error;
use crate::pipeline::{Audit, Looked};
use crate::progress::Progress;
use crate::rules::Rules;
use chrono::TimeDelta;
use rolecall_audit::estate::Observation;
use rolecall_audit::finding::Severity;
use rolecall_audit::id::Region;
use rolecall_audit::import::{FileKind, InputFile, read_files_beside, trail_gap, trail_place};
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Deeper folders than this are a loop of links.
const DEEPEST: usize = 32;
/// Trail files whose sessions are stored together.
const BATCH: usize = 32;

/// Runs the command.
///
/// # Errors
/// What stopped it; [`Error::NothingRead`] where no file held anything.
pub async fn run(context: Context, paths: &[PathBuf], fail_on: Option<Severity>) -> Result<ExitCode, Error> {
    let rules = Arc::new(Rules::load(context.config.policies.dir.as_deref())?);
    let files = Files::find(paths)?;
    if files.estate.is_empty() && files.trail.is_empty() {
        return Err(Error::NothingRead { problems: Vec::new() });
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
            progress: progress.clone(),
            cancel: cancel.clone(),
        };
        let (files, problems) = (files.clone(), problems.clone());
        audit.run(|_, sender| read(files, sender, progress.clone(), problems)).await
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
    sender: mpsc::Sender<Observation>,
    progress: Progress,
    problems: Problems,
) -> Result<Looked, Error> {
    let total = u64::try_from(files.trail.len().div_ceil(BATCH) + 1).unwrap_or(u64::MAX);
    progress.steps("Reading files", total);
    let mut anything = false;
    let count = files.estate.len();
    let unread = problems.clone();
    let places: BTreeSet<(AccountId, Region)> =
        files.trail.iter().filter_map(|path| trail_place(&shown(path))).collect();
    let (observations, held) = blocking(move || read_estate(&files.estate, &places, &unread)).await??;
    anything |= held;
    for observation in observations {
        if sender.send(observation).await.is_err() {
            return Err(Error::Interrupted);
        }
    }
    progress.part(&format!("{count} files of the estate"));
    for batch in files.trail.chunks(BATCH) {
        let (paths, unread) = (batch.to_vec(), problems.clone());
        let (events, observations) = blocking(move || read_trail(&paths, &unread)).await??;
        anything |= events > 0;
        for observation in observations {
            if sender.send(observation).await.is_err() {
                return Err(Error::Interrupted);
            }
        }
        progress.part(&format!("{} trail files, {events} events", batch.len()));
    }
    if anything { Ok(Looked::default()) } else { Err(Error::NothingRead { problems: problems.lines() }) }
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

fn read_trail(paths: &[PathBuf], problems: &Problems) -> Result<(u64, Vec<Observation>), Error> {
    let mut events = 0;
    let mut accounts: BTreeMap<AccountId, Observation> = BTreeMap::new();
    for path in paths {
        let read = rolecall_audit::trail::read_file(&shown(path), &bytes_of(path)?);
        events += u64::try_from(read.events).unwrap_or(u64::MAX);
        if let Some(place) = trail_place(&shown(path)).filter(|_| read.malformed > 0 || !read.problems.is_empty()) {
            let gap = trail_gap(place, &shown(path));
            accounts.entry(gap.scope.account_id).or_default().coverage.gap(gap);
        }
        for problem in read.problems {
            problems.add(problem.to_string());
        }
        for session in read.sessions {
            accounts.entry(session.account_id).or_default().sessions.push(session);
        }
    }
    Ok((events, accounts.into_values().collect()))
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

/// Whether CloudTrail's own delivery put the file where it is.
fn is_trail(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "CloudTrail")
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
        ] {
            assert_eq!(is_trail(Path::new(path)), trail, "{path}");
        }
        assert!(may_be_data(Path::new("a.JSON")) && may_be_data(Path::new("a.json.gz")));
        assert!(!may_be_data(Path::new("README.md")));
    }
}
