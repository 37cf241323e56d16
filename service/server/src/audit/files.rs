//! Files on a disk, found and opened.
//!
//! The one way for everything that reads files which others wrote. Each folder is gone into once, by whatever
//! links it is come to; what is no regular file is not opened. Refuses to know what a file is for.

use rolecall_collect::trails;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Something that was found.
#[derive(Debug)]
pub(crate) enum Found<'p> {
    /// It was named, and is no folder.
    Named(&'p Path),
    /// A file in a folder.
    File(&'p Path),
    /// A folder in a folder.
    Folder(&'p Path),
    /// It was named or is a folder, and cannot be had.
    Unread(&'p Path, std::io::Error),
}

/// Goes through files and folders, in no order. `take` says of a [`Found::Folder`] whether to go into it.
pub(crate) fn walk(paths: &[PathBuf], mut take: impl FnMut(Found<'_>) -> bool) {
    // Links may lead in a circle.
    let mut walked = BTreeSet::new();
    for path in paths {
        match std::fs::metadata(path) {
            Err(error) => drop(take(Found::Unread(path, error))),
            Ok(metadata) if !metadata.is_dir() => drop(take(Found::Named(path))),
            Ok(_) => {
                let mut left = vec![path.clone()];
                while let Some(dir) = left.pop() {
                    match inside(&dir, &mut walked) {
                        Err(error) => drop(take(Found::Unread(&dir, error))),
                        Ok(entries) => {
                            for entry in entries {
                                let is_dir = entry.is_dir();
                                let found = if is_dir { Found::Folder(&entry) } else { Found::File(&entry) };
                                if take(found) && is_dir {
                                    left.push(entry);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What lies in a folder; nothing where it was looked into before.
fn inside(dir: &Path, walked: &mut BTreeSet<PathBuf>) -> std::io::Result<Vec<PathBuf>> {
    if !walked.insert(dir.canonicalize()?) {
        return Ok(Vec::new());
    }
    std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

/// The name of a file, in lower case; empty where it has none.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// So many bytes of a file's beginning at most.
pub(crate) fn head(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    trails::open_file(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
