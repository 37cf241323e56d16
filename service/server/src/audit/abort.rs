//! Points at which a debug build can be told to end as a process that is killed does, for tests.
//!
//! `ROLECALL_ABORT_AT=judged` ends the process the first time that it comes to the point `judged`,
//! `ROLECALL_ABORT_AT=part:3` the third time that it comes to `part`, and `ROLECALL_ABORT_AT=reading x.json`
//! when it begins to read a file whose name ends so. A release build has no such points.

/// A point between two steps.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let wanted = std::env::var("ROLECALL_ABORT_AT").ok()?;
        let (name, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), time.parse().ok()?))
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);
    kill_another(name);
    let Some((wanted, time)) = &*WANTED else { return };
    if wanted == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *time {
        std::process::abort();
    }
}

/// Kills another process, such as the database: `ROLECALL_KILL_AT=part kept:2` with `ROLECALL_KILL_PID`. Its children
/// with it: a backend of PostgreSQL serves on for a while without its postmaster.
#[cfg(debug_assertions)]
fn kill_another(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let (Ok(wanted), Ok(pid)) = (std::env::var("ROLECALL_KILL_AT"), std::env::var("ROLECALL_KILL_PID")) else { return };
    let (wanted, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if wanted == name && time.parse() == Ok(PASSED.fetch_add(1, Ordering::Relaxed) + 1) {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let all = [pid.as_str()].into_iter().chain(children.split_whitespace());
        drop(std::process::Command::new("kill").arg("-KILL").args(all).status());
    }
}

/// Not in a release build.
#[cfg(not(debug_assertions))]
pub(crate) const fn point(_: &str) {}

/// The beginning of the work on a unit of input.
#[cfg(debug_assertions)]
pub(crate) fn within(step: &str, unit: &str) {
    let wanted = std::env::var("ROLECALL_ABORT_AT").unwrap_or_default();
    if wanted.split_once(' ').is_some_and(|(name, end)| name == step && unit.ends_with(end)) {
        std::process::abort();
    }
}

/// Not in a release build.
#[cfg(not(debug_assertions))]
pub(crate) const fn within(_: &str, _: &str) {}

/// How heavy a part may grow: `standard`, or `ROLECALL_PART_BYTES` in a debug build, so that a small
/// trail has many parts.
#[cfg(debug_assertions)]
pub(crate) fn part_bytes(standard: usize) -> usize {
    std::env::var("ROLECALL_PART_BYTES").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(standard)
}

/// The standard.
#[cfg(not(debug_assertions))]
pub(crate) const fn part_bytes(standard: usize) -> usize {
    standard
}
