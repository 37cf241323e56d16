//! Files as people have them.

#[cfg(test)]
mod import;
#[cfg(test)]
mod listings;

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
