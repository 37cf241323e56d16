//! What `serve` is like after many audits: one a minute over a stand-in for AWS.
//!
//! Prints a line a minute: audits that ended, memory, descriptors and threads of the process, and the
//! connections of its PostgreSQL. Says at the end whether an audit ended each minute and nothing grew.
//! On demand only: it takes as long as it is told to.

use crate::bench::{load, read_endpoint};
use crate::shell::{root, run};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The first minutes fill caches and open connections.
const WARM: usize = 5;
/// More than this since it was warm is growth: a leak of one audit's estate would be many times that.
const GROWTH_PERCENT: u64 = 20;
/// Descriptors come and go with requests and calls under way.
const DESCRIPTORS: u64 = 16;

/// One minute's figures.
#[derive(Debug, Clone, Copy)]
struct Minute {
    done: u64,
    failed: u64,
    resident_kib: u64,
    descriptors: u64,
    threads: u64,
    connections: u64,
}

/// `cargo xtask soak MINUTES`
pub fn soak(minutes: &str) -> Result<(), String> {
    let minutes: usize = minutes.parse().map_err(|_| format!("`{minutes}` is not a number of minutes"))?;
    run("cargo", &["build", "--locked", "--package", "rolecall", "--package", "rolecall-sandbox"])?;
    let dir = root().join("target/soak");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut sandbox = Command::new(binary("rolecall-sandbox"))
        .args(["--generate", "roles=300,associations=60", "--lookups-per-second", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the sandbox cannot be started: {error}"))?;
    let done = read_endpoint(&mut sandbox).and_then(|endpoint| over(&endpoint, &dir, minutes));
    // The stand-in is ours and has no state to lose.
    let _gone = sandbox.kill().and_then(|()| sandbox.wait());
    done
}

fn binary(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug").join(name)
}

fn over(endpoint: &str, dir: &Path, minutes: usize) -> Result<(), String> {
    let config = dir.join("rolecall.toml");
    std::fs::write(&config, "[schedule]\ncron = \"* * * * *\"\n").map_err(|error| error.to_string())?;
    let command = |words: &[&str]| {
        let mut command = Command::new(binary("rolecall"));
        command.arg("--data-dir").arg(dir.join("data")).arg("--config").arg(&config).args(words);
        crate::shell::over_sandbox(&mut command, endpoint);
        command
    };
    let log = std::fs::File::create(dir.join("serve.log")).map_err(|error| error.to_string())?;
    let mut serve = command(&["serve", "--bind", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("serve cannot be started: {error}"))?;
    let done = address(&mut serve).and_then(|addr| {
        let made = command(&["admin", "token", "create", "--name", "soak", "--scope", "admin"]).output();
        let made = made.map_err(|error| format!("no token: {error}"))?;
        let token = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        watch(&serve, &addr, &token, &dir.join("data"), minutes)
    });
    let asked = Command::new("kill").args(["-TERM", &serve.id().to_string()]).status();
    asked.map_err(|error| format!("serve cannot be asked to end: {error}"))?;
    let ended = serve.wait().map_err(|error| format!("serve: {error}"))?;
    let minutes = done?;
    if !ended.success() {
        return Err(format!("serve ended with {ended}; its log is {}", dir.join("serve.log").display()));
    }
    verdict(&minutes)
}

/// Where it listens.
fn address(serve: &mut Child) -> Result<String, String> {
    let out = serve.stdout.take().ok_or("serve has no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
    let rest = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    rest.map(str::to_owned).ok_or_else(|| format!("serve does not say where it listens: {line}"))
}

fn watch(serve: &Child, addr: &str, token: &str, data: &Path, minutes: usize) -> Result<Vec<Minute>, String> {
    println!(
        "{:>6}{:>8}{:>8}{:>10}{:>8}{:>9}{:>13}{:>7}",
        "minute", "done", "failed", "RSS MiB", "files", "threads", "connections", "load"
    );
    let begun = Instant::now();
    let mut seen = Vec::new();
    for minute in 1..=minutes {
        let until = Duration::from_secs(60).saturating_mul(u32::try_from(minute).unwrap_or(u32::MAX));
        std::thread::sleep(until.saturating_sub(begun.elapsed()));
        let now = figures(serve.id(), addr, token, data)?;
        let mib = now.resident_kib / 1024;
        println!(
            "{minute:>6}{:>8}{:>8}{mib:>10}{:>8}{:>9}{:>13}{:>7}",
            now.done,
            now.failed,
            now.descriptors,
            now.threads,
            now.connections,
            load()
        );
        seen.push(now);
    }
    Ok(seen)
}

fn figures(pid: u32, addr: &str, token: &str, data: &Path) -> Result<Minute, String> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| format!("serve is gone: {error}"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let count = |files: std::io::Result<std::fs::ReadDir>| {
        u64::try_from(files.into_iter().flatten().count()).unwrap_or(u64::MAX)
    };
    let runs = ask(addr, token, "/api/v1/scans?limit=1000")?;
    let in_state = |state: &str| {
        let runs = runs.get("items").and_then(Value::as_array).into_iter().flatten();
        let fits = |run: &&Value| run.get("state").and_then(Value::as_str) == Some(state);
        u64::try_from(runs.filter(fits).count()).unwrap_or(u64::MAX)
    };
    Ok(Minute {
        done: in_state("done"),
        failed: in_state("failed") + in_state("interrupted"),
        resident_kib: field("VmRSS:"),
        descriptors: count(std::fs::read_dir(format!("/proc/{pid}/fd"))),
        threads: field("Threads:"),
        connections: connections(data),
    })
}

/// Processes of the private PostgreSQL that serve a connection.
fn connections(data: &Path) -> u64 {
    let text = std::fs::read_to_string(data.join("pgdata/postmaster.pid")).unwrap_or_default();
    let Some(server) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else { return 0 };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let serving = processes.filter(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        let title = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        parent == Some(server) && title.starts_with("postgres: rolecall ")
    });
    u64::try_from(serving.count()).unwrap_or(u64::MAX)
}

fn ask(addr: &str, token: &str, path: &str) -> Result<Value, String> {
    let failed = |error: std::io::Error| format!("{path} is not answered: {error}");
    let mut stream = TcpStream::connect(addr).map_err(failed)?;
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).map_err(|error| format!("{path}: {error}: {answer}"))
}

fn verdict(minutes: &[Minute]) -> Result<(), String> {
    let (Some(first), Some(warm), Some(last)) = (minutes.first(), minutes.get(WARM), minutes.last()) else {
        println!("\ntoo short for a verdict: {} minutes are needed", WARM + 1);
        return Ok(());
    };
    let mut wrong = Vec::new();
    let audits = last.done.saturating_sub(first.done);
    let wanted = u64::try_from(minutes.len()).unwrap_or(u64::MAX).saturating_sub(1);
    if audits.abs_diff(wanted) > 1 {
        wrong.push(format!("{audits} audits ended in {wanted} minutes"));
    }
    if last.failed > 0 {
        wrong.push(format!("{} audits failed", last.failed));
    }
    if last.resident_kib * 100 > warm.resident_kib * (100 + GROWTH_PERCENT) {
        wrong.push(format!("memory grew from {} to {} KiB", warm.resident_kib, last.resident_kib));
    }
    if last.descriptors > warm.descriptors + DESCRIPTORS {
        wrong.push(format!("open files grew from {} to {}", warm.descriptors, last.descriptors));
    }
    if last.connections > warm.connections + DESCRIPTORS {
        wrong.push(format!("connections grew from {} to {}", warm.connections, last.connections));
    }
    if wrong.is_empty() {
        println!("\nsound: {audits} audits in {wanted} minutes, and nothing grew since minute {}", WARM + 1);
        Ok(())
    } else {
        Err(format!("\nnot sound: {}", wrong.join("; ")))
    }
}
