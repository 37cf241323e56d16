//! The audit against data of many hands.

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod depth;
#[cfg(test)]
mod differences;
#[cfg(test)]
mod escalations;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod fold;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod import;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod small;
#[cfg(test)]
mod trail;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod weigh;

use std::path::{Path, PathBuf};

/// The folder of third-party test data beside the workspace; `None`, said aloud, where it is absent.
fn shared(folder: &str) -> Option<PathBuf> {
    // A worktree lies one level deeper than a checkout.
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(3).take(2);
    let found = above.map(|folder_above| folder_above.join("shared/data").join(folder)).find(|path| path.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: no ../shared/data/{folder} beside the workspace");
    }
    found
}
