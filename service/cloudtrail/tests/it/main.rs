//! CloudTrail records of many hands.

#[cfg(test)]
mod attribution;
#[cfg(test)]
mod estates;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod trail;

use std::path::PathBuf;

/// The folder of third-party test data beside the workspace; `None`, said aloud, where it is absent.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no ../shared/data/{folder} beside the workspace");
    None
}
