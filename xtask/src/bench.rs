//! What a scan costs: the same binary, the real SDK, a stand-in in a process of its own.
//!
//! Prints CPU seconds and peak memory of the `rolecall` process alone (the sandbox and PostgreSQL
//! are other processes), API calls and rows written; of trail files, events a second beside the bare
//! limit, by the clock and by all processor time that was spent, PostgreSQL's too, and how the store
//! grows. Asserts nothing about time.

mod audit;
mod estate;
mod findings;
mod history;
mod limits;
mod load;
mod server;
mod wrk;

use crate::shell::root;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where a server of the bench listens.
const BIND: &str = "127.0.0.1:45871";

struct Cost {
    cpu: Duration,
    /// Processor time of its PostgreSQL, where it has one.
    database: Duration,
    wall: Duration,
    peak_kib: u64,
    summary: Value,
    /// The lines that it said meanwhile, each with what was spent by then.
    said: Vec<(String, Spent)>,
}

/// Time since the command was started.
#[derive(Clone, Copy, Default)]
struct Spent {
    wall: Duration,
    /// Processor time of `rolecall`.
    own: Duration,
    /// Processor time of its PostgreSQL.
    database: Duration,
    /// The most memory that `rolecall` had so far.
    peak_kib: u64,
}

impl Spent {
    fn without(self, before: Self) -> Self {
        Self {
            wall: self.wall.saturating_sub(before.wall),
            own: self.own.saturating_sub(before.own),
            database: self.database.saturating_sub(before.database),
            peak_kib: self.peak_kib,
        }
    }
}

impl Cost {
    /// What was spent from the first line that begins so to the first that begins otherwise.
    fn between(&self, from: &str, to: &str) -> Result<Spent, String> {
        Ok(self.at(to)?.without(self.at(from)?))
    }

    /// What was spent from the first line that begins so to the end.
    fn since(&self, from: &str) -> Result<Spent, String> {
        Ok(self.all().without(self.at(from)?))
    }

    /// What was spent until the first line that begins so.
    fn at(&self, words: &str) -> Result<Spent, String> {
        let said = self.said.iter().find(|(line, _)| line.starts_with(words));
        said.map(|(_, spent)| *spent).ok_or_else(|| format!("rolecall never said `{words}`"))
    }

    /// All of it, the start of the database too.
    fn all(&self) -> Spent {
        Spent { wall: self.wall, own: self.cpu, database: self.database, peak_kib: self.peak_kib }
    }
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
        ["import"] => audit::import(),
        ["organisation"] => audit::organisation("100000", "100"),
        ["organisation", roles, accounts] => audit::organisation(roles, accounts),
        ["findings"] => findings::findings("70000"),
        ["findings", wanted] => findings::findings(wanted),
        ["history"] => history::history("10000", "30"),
        ["history", roles, scans] => history::history(roles, scans),
        ["limits"] => limits::limits("1000000"),
        ["limits", wanted] => limits::limits(wanted),
        ["load"] => load::load("1000000", "100000"),
        ["load", findings, roles] => load::load(findings, roles),
        ["trail"] => run_trail("700000"),
        ["trail", events] => run_trail(events),
        [roles, associations] => run_bench(roles, associations),
        _ => Err("cargo xtask bench [ROLES ASSOCIATIONS], bench import, bench organisation [ROLES ACCOUNTS], \
                  bench findings [FINDINGS], bench history [ROLES SCANS], bench limits [FINDINGS], \
                  bench load [FINDINGS ROLES], \
                  or bench trail [EVENTS]"
            .to_owned()),
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
        .args([
            "bench",
            "--package",
            "rolecall-cloudtrail",
            "--bench",
            "trail",
            "--",
            events,
            "--rounds",
            "3",
            "--write",
        ])
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
    println!("load {}, {} processors\n", load(), std::thread::available_parallelism().map_or(1, usize::from));
    println!(
        "{:<8}{:<12}{:>8}{:>8}{:>9}{:>11}{:>9}{:>11}{:>9}{:>10}",
        "import", "", "wall s", "CPU s", "of it pg", "events/s", "of bare", "ev./CPU s", "of bare", "peak MiB"
    );
    for name in ["first", "second"] {
        let cost = scan(&data, "http://127.0.0.1:9", &["--format", "json", "import", "--stats", &files])?;
        let reading = cost.between("Reading files", "Attributing sessions")?;
        let attributing = cost.between("Attributing sessions", "Comparing with")?;
        for (part, spent) in [("reading", reading), ("attributing", attributing), ("all", cost.all())] {
            let (wall, cpu) = (spent.wall.as_secs_f64(), (spent.own + spent.database).as_secs_f64());
            print!("{name:<8}{part:<12}{wall:>8.2}{cpu:>8.2}{:>9.2}", spent.database.as_secs_f64());
            // The second time no event is read: there is no rate.
            if name == "first" {
                let (by_clock, by_cpu) = (count / wall, count / cpu);
                let of = |rate: f64| format!("{:.1} %", 100.0 * rate / bare);
                print!("{by_clock:>11.0}{:>9}{by_cpu:>11.0}{:>9}", of(by_clock), of(by_cpu));
            } else {
                print!("{:>40}", "");
            }
            println!("{:>10.1}", f64::from(u32::try_from(spent.peak_kib).unwrap_or(u32::MAX)) / 1024.0);
        }
    }
    println!("load {}", load());
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

pub(crate) fn read_endpoint(sandbox: &mut Child) -> Result<String, String> {
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

/// A command of the program, that needs the store and is done at once.
fn rolecall(data: &Path) -> Command {
    let mut command = Command::new(root().join("target/release/rolecall"));
    command.arg("--data-dir").arg(data).env_remove("DATABASE_URL");
    command
}

fn serve(data: &Path) -> Result<Child, String> {
    // One token asks as often as it can.
    let config = data.join("bench.toml");
    std::fs::write(&config, "[server]\nrequests_per_minute = 0\n")
        .map_err(|error| format!("{}: {error}", config.display()))?;
    let child = rolecall(data)
        .arg("--config")
        .arg(&config)
        .args(["serve", "--role", "web", "--bind", BIND])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("rolecall serve: {error}"))?;
    let begun = Instant::now();
    // It listens before its database is up.
    while !is_ready() {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(format!("rolecall serve is not ready on {BIND}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(child)
}

fn is_ready() -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(BIND)?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {BIND}\r\nConnection: close\r\n\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.split_whitespace().nth(1) == Some("200"))
    };
    ask().unwrap_or(false)
}

/// Asked to end, it ends its PostgreSQL too.
fn stop(server: &mut Child) -> Result<(), String> {
    crate::shell::run("kill", &[&server.id().to_string()])?;
    server.wait().map(drop).map_err(|error| format!("rolecall serve: {error}"))
}

fn scan(data: &Path, endpoint: &str, words: &[&str]) -> Result<Cost, String> {
    let mut command = Command::new(root().join("target/release/rolecall"));
    crate::shell::over_sandbox(command.arg("--data-dir").arg(data).args(words), endpoint);
    measured(command, Some(data))
}

/// Runs a command to its end and measures it; `data`: where its PostgreSQL lives, if it has one.
fn measured(mut command: Command, data: Option<&Path>) -> Result<Cost, String> {
    let begun = Instant::now();
    let name = format!("{command:?}");
    let postmaster = data.map(|data| data.join("pgdata/postmaster.pid"));
    // A server that runs already has spent time on others.
    let spent_before = postmaster.as_deref().map(of_database).unwrap_or_default();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    let pid = child.id();
    let mut out = child.stdout.take().ok_or("the command has no output")?;
    let told = child.stderr.take().ok_or("the command has no output")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut out, &mut text).map(|_| text)
    });
    let database_of = move |postmaster: &Option<std::path::PathBuf>| {
        postmaster.as_deref().map(of_database).unwrap_or_default().saturating_sub(spent_before)
    };
    let listener = std::thread::spawn({
        let postmaster = postmaster.clone();
        move || {
            let lines = BufReader::new(told).lines().map_while(Result::ok);
            let said = lines.map(|line| {
                let (own, peak_kib) = usage(pid).unwrap_or_default();
                (line, Spent { wall: begun.elapsed(), own, database: database_of(&postmaster), peak_kib })
            });
            said.collect::<Vec<_>>()
        }
    });
    let (mut cpu, mut peak_kib, mut database) = (Duration::ZERO, 0, Duration::ZERO);
    let mut turn = 0_u32;
    let status = loop {
        if let Some((used, peak)) = usage(pid) {
            cpu = cpu.max(used);
            peak_kib = peak_kib.max(peak);
        }
        // Reading all of a server's processes is dearer.
        if turn.is_multiple_of(25) {
            database = database.max(database_of(&postmaster));
        }
        turn = turn.wrapping_add(1);
        if let Some(status) = child.try_wait().map_err(|error| format!("{name}: {error}"))? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = begun.elapsed();
    let text = reader.join().map_err(|_| format!("the reader of the output of {name} died"))?;
    let text = text.map_err(|error| format!("the output of {name}: {error}"))?;
    let said = listener.join().map_err(|_| format!("the reader of the words of {name} died"))?;
    if !status.success() {
        let said: String = said.into_iter().map(|(line, _)| line + "\n").collect();
        return Err(format!("{name} failed: {status}\n{said}"));
    }
    let summary = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Cost { cpu, database, wall, peak_kib, summary, said })
}

/// How busy the machine is, as Linux counts: processes that run or wait to, over the last minute.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Processor time and peak resident memory of a process, from `/proc`.
fn usage(pid: u32) -> Option<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse().ok()).unwrap_or(0);
    Some((ticks(&stat, 11..13)?, peak))
}

/// Processor time of a PostgreSQL server: its own, that of its children that have ended, and that of
/// those that live.
fn of_database(postmaster: &Path) -> Duration {
    let text = std::fs::read_to_string(postmaster).unwrap_or_default();
    let Some(server) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else {
        return Duration::ZERO;
    };
    let stats = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = stats.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
    let stats = stats.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_string_lossy().parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        match (pid == server, parent == server) {
            (true, _) => ticks(&stat, 11..15),
            (_, true) => ticks(&stat, 11..13),
            (false, false) => None,
        }
    });
    stats.sum()
}

/// The sum of some fields of a process's `stat`, counted from behind its name; they are times.
fn ticks(stat: &str, fields: std::ops::Range<usize>) -> Option<Duration> {
    let all: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: Option<u64> = all.get(fields)?.iter().map(|field| field.parse::<u64>().ok()).sum();
    // 100 ticks a second on every Linux that Rust supports.
    Some(Duration::from_millis(ticks? * 10))
}
