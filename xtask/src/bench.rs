//! What a scan costs: the same binary, the real SDK, a stand-in in a process of its own.
//!
//! Prints CPU seconds and peak memory of the `rolecall` process alone (the sandbox and PostgreSQL
//! are other processes), API calls and rows written; of trail files, events a second beside the bare
//! limit, and how the store grows. Asserts nothing about time.

use crate::shell::root;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Cost {
    cpu: Duration,
    wall: Duration,
    peak_kib: u64,
    summary: Value,
}

/// `cargo xtask bench [roles] [associations]`
pub fn run_bench(roles: &str, associations: &str) -> Result<(), String> {
    crate::shell::run(
        "cargo",
        &["build", "--release", "--locked", "--package", "rolecall", "--package", "rolecall-sandbox"],
    )?;
    let data = tempdir()?;
    let mut sandbox = start_sandbox(roles, associations)?;
    let endpoint = read_endpoint(&mut sandbox)?;
    println!("one account, {roles} roles, {associations} associations, release build\n");
    println!(
        "{:<14}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}",
        "scan", "CPU s", "wall s", "peak MiB", "API calls", "documents", "resources"
    );
    // The first command creates the cluster and its tables, so that the figures are of scanning.
    scan(&data, &endpoint, &["migrate"])?;
    let mut result = Ok(());
    for name in ["cold store", "second", "third"] {
        match scan(&data, &endpoint, &["--format", "json", "scan"]) {
            Ok(cost) => {
                let field = |key: &str| cost.summary.get(key).map_or_else(|| "-".to_owned(), Value::to_string);
                println!(
                    "{name:<14}{:>8.2}{:>8.2}{:>10.1}{:>10}{:>10}{:>10}",
                    cost.cpu.as_secs_f64(),
                    cost.wall.as_secs_f64(),
                    f64::from(u32::try_from(cost.peak_kib).unwrap_or(u32::MAX)) / 1024.0,
                    field("api_calls"),
                    field("documents_written"),
                    field("resources_changed"),
                );
            }
            Err(why) => {
                result = Err(why);
                break;
            }
        }
    }
    // The stand-in is ours and has no state to lose.
    let _gone = sandbox.kill().and_then(|()| sandbox.wait());
    result
}

/// Reads the arguments.
pub fn run(args: &[&str]) -> Result<(), String> {
    match args {
        [] => run_bench("1000", "120"),
        ["trail"] => run_trail("700000"),
        ["trail", events] => run_trail(events),
        [roles, associations] => run_bench(roles, associations),
        _ => Err("cargo xtask bench [ROLES ASSOCIATIONS], or cargo xtask bench trail [EVENTS]".to_owned()),
    }
}

/// `cargo xtask bench trail [events]`: trail files into PostgreSQL, beside what decompressing and
/// parsing them costs at least, measured on the same files in the same run.
fn run_trail(events: &str) -> Result<(), String> {
    let count: f64 = events.parse().map_err(|_| format!("`{events}` is not a number of events"))?;
    crate::shell::run("cargo", &["build", "--release", "--locked", "--package", "rolecall"])?;
    let files = root().join("target/bench-trail");
    if files.exists() {
        std::fs::remove_dir_all(&files).map_err(|error| format!("{}: {error}", files.display()))?;
    }
    let files = files.display().to_string();
    let output = Command::new("cargo")
        .args(["bench", "--package", "rolecall-audit", "--bench", "trail", "--", events, "--rounds", "3", "--write"])
        .arg(&files)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("the bare limit cannot be measured: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    let bare = text.lines().find_map(|line| line.strip_prefix("bare limit:")?.split_whitespace().next()?.parse().ok());
    let bare: f64 = bare.ok_or("the bench said no bare limit")?;

    let data = tempdir()?;
    scan(&data, "http://127.0.0.1:9", &["migrate"])?;
    let before = size(&data.join("pgdata/base"));
    println!("{:<8}{:>9}{:>9}{:>11}{:>13}{:>10}", "import", "wall s", "CPU s", "peak MiB", "events/s", "of bare");
    for name in ["first", "second"] {
        let cost = scan(&data, "http://127.0.0.1:9", &["--format", "json", "import", "--stats", &files])?;
        let rate = count / cost.wall.as_secs_f64();
        println!(
            "{name:<8}{:>9.2}{:>9.2}{:>11.1}{rate:>13.0}{:>9.1} %",
            cost.wall.as_secs_f64(),
            cost.cpu.as_secs_f64(),
            f64::from(u32::try_from(cost.peak_kib).unwrap_or(u32::MAX)) / 1024.0,
            100.0 * rate / bare
        );
    }
    let grown = size(&data.join("pgdata/base")).saturating_sub(before);
    let kib = f64::from(u32::try_from(grown / 1024).unwrap_or(u32::MAX));
    println!("{:.1} MiB of tables and indexes for each million events", kib / 1024.0 * 1e6 / count);
    Ok(())
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

fn tempdir() -> Result<std::path::PathBuf, String> {
    let dir = root().join("target/bench-data");
    if dir.exists() {
        let binary = root().join("target/release/rolecall");
        // A server of an earlier run may still hold the folder.
        let _stopped = Command::new(binary).arg("--data-dir").arg(&dir).args(["migrate"]).output();
        std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    Ok(dir)
}

fn start_sandbox(roles: &str, associations: &str) -> Result<Child, String> {
    Command::new(root().join("target/release/rolecall-sandbox"))
        .args(["--generate", &format!("roles={roles},associations={associations}")])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the sandbox cannot be started: {error}"))
}

fn read_endpoint(sandbox: &mut Child) -> Result<String, String> {
    let out = sandbox.stdout.take().ok_or("the sandbox has no output")?;
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next() {
        let line = line.map_err(|error| format!("the sandbox's output: {error}"))?;
        if let Some(at) = line.find("http://") {
            // Whoever writes to a pipe that nobody reads is ended by it.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(line.split_at(at).1.split_whitespace().next().unwrap_or_default().to_owned());
        }
    }
    Err("the sandbox ended without saying where it listens".to_owned())
}

fn scan(data: &Path, endpoint: &str, words: &[&str]) -> Result<Cost, String> {
    let begun = Instant::now();
    let mut child = Command::new(root().join("target/release/rolecall"))
        .arg("--data-dir")
        .arg(data)
        .args(words)
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "AKIASANDBOXHUB000000")
        .env("AWS_SECRET_ACCESS_KEY", "sandbox")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("DATABASE_URL")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("rolecall cannot be started: {error}"))?;
    let pid = child.id();
    let mut out = child.stdout.take().ok_or("rolecall has no output")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut out, &mut text).map(|_| text)
    });
    let (mut cpu, mut peak_kib) = (Duration::ZERO, 0);
    let status = loop {
        if let Some((used, peak)) = usage(pid) {
            cpu = cpu.max(used);
            peak_kib = peak_kib.max(peak);
        }
        if let Some(status) = child.try_wait().map_err(|error| format!("rolecall: {error}"))? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = begun.elapsed();
    let text = reader.join().map_err(|_| "the reader of rolecall's output died".to_owned())?;
    let text = text.map_err(|error| format!("rolecall's output: {error}"))?;
    if !status.success() {
        return Err(format!("rolecall {} failed: {status}", words.join(" ")));
    }
    let summary = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Cost { cpu, wall, peak_kib, summary })
}

/// CPU time and peak resident memory of a process, from `/proc`.
fn usage(pid: u32) -> Option<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse().ok()).unwrap_or(0);
    // 100 ticks a second on every Linux that Rust supports.
    Some((Duration::from_millis(ticks * 10), peak))
}
