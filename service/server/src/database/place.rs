//! Where this machine keeps things.
//!
//! Knows environment variables and folders that operating systems agree on. Refuses to know what
//! is kept there.

use std::path::{Path, PathBuf};

/// The data folder: the one given, else root's `/var/lib/rolecall` where that can be written, else
/// the user's data folder.
#[must_use]
pub fn data_dir(given: Option<PathBuf>) -> PathBuf {
    let root = || {
        let dir = PathBuf::from("/var/lib/rolecall");
        (is_root() && std::fs::create_dir_all(&dir).is_ok()).then_some(dir)
    };
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    given
        .or_else(root)
        .or_else(|| variable("XDG_DATA_HOME").map(|dir| dir.join("rolecall")))
        .or_else(|| variable("HOME").map(|home| user_data(&home)))
        .unwrap_or_else(|| PathBuf::from(".rolecall"))
}

fn user_data(home: &Path) -> PathBuf {
    if cfg!(target_os = "macos") {
        home.join("Library/Application Support/rolecall")
    } else {
        home.join(".local/share/rolecall")
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // A fresh folder belongs to the effective user: no call into libc is needed to ask who that is.
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
