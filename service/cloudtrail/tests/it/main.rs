//! CloudTrail records of many hands.

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

/// The files of an invented company, with the trail of fourteen days; gone when it is dropped.
struct Demo(PathBuf);

impl Demo {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rolecall-cloudtrail-{name}-{}", std::process::id()));
        rolecall_sandbox::demo::estate("2026-11-23T06:00:00Z".parse().unwrap()).to_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // What stays in a folder for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
