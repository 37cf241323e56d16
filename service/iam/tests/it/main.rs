//! The policy language against policies of many hands.

#[cfg(test)]
mod budget;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod cloudtrail;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod evaluation;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod published_escalations;
#[cfg(test)]
mod replay;

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
