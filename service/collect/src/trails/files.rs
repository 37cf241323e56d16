//! Trail files on this machine, for an import.
//!
//! A file with a name of CloudTrail's is known by that name, any other by its content, so that the
//! same file is read once wherever it lies. Symbolic links to folders are not followed.

use super::{
    Batch, Body, Content, Counts, FinishedBatch, Held, Limits, LogFile, Missed, NotALog, Object, Outcome, Progress,
    Room, TrailGap, TrailSource, finish_by_position, unsettled,
};
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rolecall_estate::coverage::GapReason;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const READ_FILE: &str = "local:ReadFile";

/// The files that trails are made of.
const ENDINGS: [&str; 4] = ["json", "gz", "jsonl", "ndjson"];

/// Opens a file of bytes that lie on a disk. A pipe would be waited for without end, and a device has
/// no end: neither is opened.
///
/// # Errors
/// There is no such file, it may not be read, or it is of another kind.
pub fn open_file(path: &Path) -> io::Result<File> {
    is_file(&std::fs::metadata(path)?)?;
    // What lay there may be another by now, and opening a pipe waits for whoever writes to it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    is_file(&file.metadata()?)?;
    Ok(file)
}

fn is_file(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")) }
}

/// A source of files: those that are named, and in named folders all that end in `.json`, `.gz`,
/// `.jsonl` or `.ndjson`, in the order of their names.
#[must_use]
pub fn files(id: &str, paths: Vec<PathBuf>, limits: Limits) -> Box<dyn TrailSource> {
    let room = Room::new(limits);
    Box::new(Files { id: id.to_owned(), paths: Some(paths), left: VecDeque::new(), room, counts: Counts::default() })
}

struct Files {
    id: String,
    paths: Option<Vec<PathBuf>>,
    left: VecDeque<Result<PathBuf, TrailGap>>,
    room: Room,
    counts: Counts,
}

impl TrailSource for Files {
    fn id(&self) -> &str {
        &self.id
    }

    fn next(&mut self, _: DateTime<Utc>) -> BoxFuture<'_, Option<Batch>> {
        async move {
            if let Some(paths) = self.paths.take() {
                let found = blocking(move || Ok(walk(paths))).await.unwrap_or_default();
                self.counts.note(|progress| progress.ignored += found.ignored);
                self.left = found.files.into();
            }
            let mut batch = Batch::default();
            while batch.objects.len() < self.room.limits.batch_objects {
                let Some(next) = self.left.pop_front() else { break };
                match next {
                    Err(gap) => batch.gaps.push(gap),
                    Ok(path) => {
                        self.counts.note(|progress| progress.listed += 1);
                        let named = path.clone();
                        match blocking(move || described(&named)).await {
                            Err(error) => batch.gaps.push(gap(&path, &error)),
                            Ok(None) => self.counts.note(|progress| progress.ignored += 1),
                            Ok(Some(object)) => batch.objects.push(object),
                        }
                    }
                }
            }
            self.counts.handed_out(&batch.objects);
            (!batch.objects.is_empty() || !batch.gaps.is_empty()).then_some(batch)
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, object: &'a Object) -> BoxFuture<'a, Result<Body, Missed>> {
        async move {
            let Content::File(path) = &object.content else { return Err(unsettled()) };
            if let Some(missed) = object.size.and_then(|size| self.room.too_large(READ_FILE, size)) {
                self.counts.note(|progress| progress.missed += 1);
                return Err(missed);
            }
            let (path, most) = (path.clone(), self.room.limits.object_bytes);
            let read = async {
                blocking(move || whole(&path, most)).await.map_err(|error| Missed {
                    action: READ_FILE.to_owned(),
                    reason: GapReason::NotProvided,
                    gone: error.kind() == io::ErrorKind::NotFound,
                    detail: error.to_string(),
                })
            };
            let outcome = self.room.within(object.size, read).await;
            self.counts.fetched(&outcome);
            outcome
        }
        .boxed()
    }

    fn finish_batch(&mut self, batch: Batch, outcomes: Vec<Outcome>) -> FinishedBatch {
        let settlement = finish_by_position(&self.id, batch, outcomes, &mut Held::new());
        self.counts
            .note(|progress| progress.set_aside += u64::try_from(settlement.set_aside.len()).unwrap_or_default());
        settlement
    }

    fn acknowledge(&mut self, _: FinishedBatch) -> BoxFuture<'_, Vec<TrailGap>> {
        async { Vec::new() }.boxed()
    }

    fn progress(&self) -> Progress {
        self.counts.progress()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn gap(path: &Path, error: &io::Error) -> TrailGap {
    TrailGap {
        day: None,
        account_id: None,
        region: None,
        action: READ_FILE.to_owned(),
        reason: GapReason::NotProvided,
        detail: error.to_string(),
        location: path.display().to_string(),
    }
}

#[derive(Default)]
struct Found {
    files: Vec<Result<PathBuf, TrailGap>>,
    ignored: u64,
}

/// Every file, in the order of names. One that is named itself is taken whatever its name.
fn walk(paths: Vec<PathBuf>) -> Found {
    let mut found = Found::default();
    // A stack, as folders may be nested deeper than ours.
    let mut left: Vec<(PathBuf, bool)> = paths.into_iter().rev().map(|path| (path, true)).collect();
    while let Some((path, is_named)) = left.pop() {
        let kind = if is_named { std::fs::metadata(&path) } else { std::fs::symlink_metadata(&path) };
        let listed = kind.and_then(|kind| if kind.is_dir() { inside(&path).map(Some) } else { Ok(None) });
        match listed {
            Err(error) => found.files.push(Err(gap(&path, &error))),
            Ok(Some(inside)) => left.extend(inside.into_iter().rev().map(|path| (path, false))),
            Ok(None) => {
                let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
                if is_named || ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) {
                    found.files.push(Ok(path));
                } else {
                    found.ignored += 1;
                }
            }
        }
    }
    found
}

fn inside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// What is known of a file without keeping it; `None` for a digest or an insight.
fn described(path: &Path) -> io::Result<Option<Object>> {
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
    let metadata = std::fs::metadata(path)?;
    is_file(&metadata)?;
    let size = metadata.len();
    let file = match LogFile::of_key(&parts.join("/")) {
        Ok(file) => Some(file),
        Err(NotALog::Other) => None,
        Err(NotALog::Digest | NotALog::Insight) => return Ok(None),
    };
    let identity = match &file {
        Some(file) => file.name.clone(),
        None => hashed(path)?,
    };
    Ok(Some(Object {
        identity: Some(identity),
        location: path.display().to_string(),
        account_id: file.as_ref().map(|file| file.account_id),
        day: file.as_ref().map(|file| file.day),
        at: file.as_ref().map(|file| file.at),
        region: file.map(|file| file.region),
        etag: None,
        size: Some(size),
        content: Content::File(path.to_owned()),
        position: None,
    }))
}

/// A file's bytes; no more than a file may have, though it grew since it was listed.
fn whole(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hashed(path: &Path) -> io::Result<String> {
    let mut file = open_file(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    let mut name = "sha256:".to_owned();
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _infallible = write!(name, "{byte:02x}");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    const LOG: &str = "111122223333_CloudTrail_eu-west-1_20261123T2355Z_AbCdEf0123456789.json.gz";

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("rolecall-files-{}-{name}", std::process::id()));
        let _absent = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("b/c")).unwrap();
        folder
    }

    async fn all(source: &mut dyn TrailSource) -> Vec<Object> {
        let mut objects = Vec::new();
        while let Some(batch) = source.next(DateTime::UNIX_EPOCH).await {
            assert_eq!(batch.gaps, []);
            objects.extend(batch.objects.clone());
            let outcomes = vec![Outcome::Read; batch.objects.len()];
            let settlement = source.finish_batch(batch, outcomes);
            assert!(settlement.gaps.is_empty() && settlement.set_aside.is_empty());
            source.acknowledge(settlement).await;
        }
        objects
    }

    #[tokio::test]
    async fn a_folder_gives_its_files_once_and_the_same_content_the_same_identity() {
        let folder = folder("once");
        for (name, content) in [("a.json", "{}"), ("b/z.JSON", "{}"), ("b/c/other.json", "[]"), ("b/notes.md", "x")] {
            std::fs::write(folder.join(name), content).unwrap();
        }
        std::fs::write(folder.join("b").join(LOG), "torn").unwrap();
        std::fs::write(folder.join(LOG.replace("_CloudTrail_", "_CloudTrail-Digest_")), "x").unwrap();
        let limits = Limits { batch_objects: 2, ..Limits::default() };
        let mut source = files("import", vec![folder.clone()], limits);
        let objects = all(source.as_mut()).await;
        let identities: Vec<_> = objects.iter().map(|object| object.identity.clone().unwrap()).collect();
        assert_eq!(objects.len(), 4, "{objects:?}");
        assert_eq!(identities[0], identities[3]);
        assert_eq!(identities.iter().filter(|identity| *identity == LOG).count(), 1);
        let progress = source.progress();
        assert_eq!((progress.listed, progress.ignored), (5, 2));
        assert_eq!(progress.newest.unwrap().to_rfc3339(), "2026-11-23T23:55:00+00:00");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn more_than_the_room_holds_is_fetched_one_after_the_other() {
        let folder = folder("room");
        for n in 0..20 {
            std::fs::write(folder.join(format!("{n}.json")), vec![b' '; 3000 + n]).unwrap();
        }
        let limits = Limits { bytes: 4096, fetches: 8, ..Limits::default() };
        let mut source = files("import", vec![folder.clone()], limits);
        let batch = source.next(DateTime::UNIX_EPOCH).await.unwrap();
        let bodies = super::super::fetch_each(source.as_ref(), batch.objects.iter().enumerate(), 8);
        let mut lengths: Vec<_> = bodies.map(|(index, body)| (body.unwrap().len(), index)).collect().await;
        lengths.sort_unstable();
        assert_eq!(lengths.iter().map(|(length, _)| *length).collect::<Vec<_>>(), (3000..3020).collect::<Vec<_>>());
        assert_eq!(source.progress().fetched, 20);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn only_what_lies_on_a_disk_is_opened() {
        let folder = folder("kinds");
        std::fs::write(folder.join("plain.json"), "{}").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
        link("plain.json", "link.json");
        link("/dev/zero", "zeros.json");
        link("nowhere", "dangling.json");
        link("circle.json", "circle.json");
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket.json")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.join("pipe.json")).status().unwrap();
        assert!(made.success());
        let mut source = files("import", vec![folder.clone()], Limits::default());
        let batch = source.next(DateTime::UNIX_EPOCH).await.unwrap();
        let named = |location: &str| location.rsplit('/').next().unwrap().to_owned();
        let objects: Vec<_> = batch.objects.iter().map(|object| named(&object.location)).collect();
        assert_eq!(objects, ["link.json", "plain.json"]);
        let gaps: Vec<_> = batch.gaps.iter().map(|gap| named(&gap.location)).collect();
        assert_eq!(gaps, ["circle.json", "dangling.json", "pipe.json", "socket.json", "zeros.json"]);
        assert!(open_file(&folder.join("b")).is_err(), "a folder is no file");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn what_is_not_there_or_too_large_is_a_gap_and_the_rest_is_read() {
        let folder = folder("gap");
        std::fs::write(folder.join("large.json"), vec![b' '; 2000]).unwrap();
        let paths = vec![folder.join("absent.json"), folder.join("large.json")];
        let mut source = files("import", paths, Limits { object_bytes: 1000, ..Limits::default() });
        let batch = source.next(DateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!((batch.gaps.len(), batch.objects.len()), (1, 1));
        let missed = source.fetch(&batch.objects[0]).await.unwrap_err();
        assert_eq!(missed.reason, GapReason::Malformed);
        let settlement = source.finish_batch(batch, vec![Outcome::Missed(missed)]);
        assert_eq!(settlement.gaps.len(), 2);
        assert!(settlement.gaps.iter().all(|gap| gap.action == READ_FILE && !gap.location.is_empty()));
        assert!(source.next(DateTime::UNIX_EPOCH).await.is_none());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
