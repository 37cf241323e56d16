//! Files of infrastructure code, found and read.
//!
//! Refuses to open what is no file on a disk, and folders that hold what tools fetched.

use crate::error::Error;
use rolecall_declared::{Declared, Defaults, LARGEST, Reader};
use rolecall_estate::Estate;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Endings of files in a folder that may declare something.
const ENDINGS: [&str; 5] = ["json", "yaml", "yml", "template", "tfstate"];
/// Folders that hold what tools fetched, and no code of the estate's.
const FETCHED: [&str; 2] = ["node_modules", "cdk.out.cache"];

/// What files leave out and the estate tells: its account, where it has only one, and its partition.
#[must_use]
pub fn defaults(given: &Defaults, estate: &Estate) -> Defaults {
    let account = match estate.accounts.as_slice() {
        [one] => Some(one.id),
        _ => None,
    };
    let partition = estate.roles.first().map(|role| role.arn.arn().partition().to_owned());
    Defaults {
        account: given.account.or(account),
        region: given.region.clone(),
        partition: given.partition.clone().or(partition),
    }
}

/// Reads files and folders. Files that are named are read whatever their name; of a folder those whose names
/// end as such files do.
///
/// # Errors
/// A path that is not there.
pub fn read(paths: &[PathBuf], defaults: Defaults) -> Result<Declared, Error> {
    let mut reader = Reader::new(defaults);
    let mut files = Vec::new();
    let mut walked = BTreeSet::new();
    for path in paths {
        let metadata = std::fs::metadata(path);
        let metadata = metadata.map_err(|source| Error::File { doing: "read", path: path.clone(), source })?;
        match metadata.is_dir() {
            true => walk(&mut reader, path.clone(), &mut walked, &mut files),
            false => files.push(path.clone()),
        }
    }
    files.sort();
    files.dedup();
    for path in files {
        let name = path.display().to_string();
        match bytes(&path) {
            Ok(bytes) => reader.file(&name, &bytes),
            Err(why) => reader.unread(&name, &why),
        }
    }
    Ok(reader.finish())
}

fn walk(reader: &mut Reader, dir: PathBuf, walked: &mut BTreeSet<PathBuf>, files: &mut Vec<PathBuf>) {
    let mut left = vec![dir];
    while let Some(dir) = left.pop() {
        // Each folder once, by whatever links it is come to.
        let entries = dir.canonicalize().and_then(|place| match walked.insert(place) {
            true => std::fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect(),
            false => Ok(Vec::new()),
        });
        match entries {
            Err(error) => reader.unread(&dir.display().to_string(), &error.to_string()),
            Ok(entries) => {
                for path in entries {
                    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    if name.starts_with('.') || FETCHED.contains(&name.as_str()) {
                        continue;
                    }
                    let ending = path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
                    if path.is_dir() {
                        left.push(path);
                    } else if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
                        files.push(path);
                    }
                }
            }
        }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no file on a disk".to_owned());
    }
    if metadata.len() > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
