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

/// Our own cases and policies, and after them those folders of third-party test data that are there.
fn corpora(folders: &[&str]) -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let own = ["cases", "cases-compare", "tests/corpus", "../../policies/aws"].map(|folder| root.join(folder));
    own.into_iter().chain(folders.iter().filter_map(|folder| shared(folder))).collect()
}

/// The folder of third-party test data beside the workspace; `None`, said aloud, where it is absent. What
/// needs it adds to a test that asserts without it.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no ../shared/data/{folder} beside the workspace");
    None
}
