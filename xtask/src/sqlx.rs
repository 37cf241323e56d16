//! Refreshing `.sqlx/`: what the store's queries take and give, as a migrated database says.
//!
//! Knows how to run a throw-away PostgreSQL, or to use the one that `DATABASE_URL` names, and that
//! sqlx's macros write the files themselves while the store is checked. It cannot ask the store to
//! do any of that: the store compiles only once the files are right.

use crate::shell::{has, root, run_with};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Writes `.sqlx/` anew.
pub fn run() -> Result<(), String> {
    if let Ok(url) = std::env::var("DATABASE_URL") {
        return refresh(&url);
    }
    let scratch = Scratch::start()?;
    let done = scratch.psql(&["-d", "postgres", "-c", "create database rolecall"]).and_then(|()| {
        for migration in migrations()? {
            scratch.psql(&["-d", "rolecall", "-f", &migration.display().to_string()])?;
        }
        scratch.psql(&["-d", "rolecall", "-c", LEDGER])?;
        refresh(&scratch.url())
    });
    scratch.stop();
    done
}

/// The table in which sqlx notes the migrations; the store asks it for the schema's version.
const LEDGER: &str = "create table _sqlx_migrations (version bigint primary key, description text not null, \
    installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, \
    execution_time bigint not null)";

fn migrations() -> Result<Vec<PathBuf>, String> {
    let dir = root().join("migrations");
    let entries = fs::read_dir(&dir).map_err(|why| format!("cannot read `{}`: {why}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "sql"));
    files.sort();
    Ok(files)
}

/// Checks the store against a live database into an empty directory, and swaps that in.
fn refresh(url: &str) -> Result<(), String> {
    let (old, new) = (root().join(".sqlx"), root().join("target/sqlx-new"));
    let failed = |what: &str, why: std::io::Error| format!("cannot {what}: {why}");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(|why| failed("clear target/sqlx-new", why))?;
    }
    fs::create_dir_all(&new).map_err(|why| failed("make target/sqlx-new", why))?;
    // The macros run only when the crate is compiled.
    let lib = root().join("service/store/src/lib.rs");
    let now = std::time::SystemTime::now();
    fs::File::options()
        .append(true)
        .open(&lib)
        .and_then(|file| file.set_modified(now))
        .map_err(|why| failed("touch the store", why))?;
    run_with(
        "cargo",
        &["check", "--package", "rolecall-store", "--features", "testing"],
        &[("DATABASE_URL", url), ("SQLX_OFFLINE", "false"), ("SQLX_OFFLINE_DIR", &new.display().to_string())],
    )?;
    fs::remove_dir_all(&old).or_else(absent).map_err(|why| failed("clear .sqlx", why))?;
    fs::rename(&new, &old).map_err(|why| failed("move .sqlx into place", why))
}

fn absent(why: std::io::Error) -> std::io::Result<()> {
    if why.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(why) }
}

/// A PostgreSQL that nobody will miss.
struct Scratch {
    bin: PathBuf,
    dir: PathBuf,
    server: Child,
}

impl Scratch {
    fn start() -> Result<Self, String> {
        let bin = bin_dir()?;
        // Short: a socket's path may have 108 bytes.
        let dir = std::env::temp_dir().join(format!("rolecall-sqlx-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|why| format!("cannot make `{}`: {why}", dir.display()))?;
        let data = dir.join("data").display().to_string();
        let initdb = as_nobody(&bin.join("initdb"))
            .args(["-D", &data, "-U", "rolecall", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .stdout(Stdio::null())
            .status();
        if !initdb.is_ok_and(|status| status.success()) {
            return Err("`initdb` failed; set DATABASE_URL to a migrated database instead".to_owned());
        }
        let server = as_nobody(&bin.join("postgres"))
            .args(["-D", &data, "-c", "listen_addresses=", "-c"])
            .arg(format!("unix_socket_directories={}", dir.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| format!("`postgres` cannot be started: {why}"))?;
        let scratch = Self { bin, dir, server };
        let begun = Instant::now();
        while scratch.psql(&["-d", "postgres", "-c", "select 1"]).is_err() {
            if begun.elapsed() > Duration::from_secs(30) {
                scratch.stop();
                return Err("PostgreSQL does not answer; set DATABASE_URL to a migrated database instead".to_owned());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(scratch)
    }

    fn psql(&self, args: &[&str]) -> Result<(), String> {
        let psql = if has("psql") { PathBuf::from("psql") } else { self.bin.join("psql") };
        let output = Command::new(psql)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "rolecall", "-h"])
            .arg(&self.dir)
            .args(args)
            .output()
            .map_err(|why| format!("`psql` cannot be started: {why}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    fn url(&self) -> String {
        format!("postgresql:///rolecall?host={}&user=rolecall", self.dir.display())
    }

    fn stop(mut self) {
        // Nothing in it is worth a clean end, and its directory goes with it.
        drop(self.server.kill());
        drop(self.server.wait());
        std::thread::sleep(Duration::from_millis(500));
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// PostgreSQL refuses root; in a user namespace of its own it sees `nobody`.
fn as_nobody(program: &Path) -> Command {
    let id = Command::new("id").arg("-u").output();
    if id.is_ok_and(|id| id.stdout == b"0\n") {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user=65534", "--map-group=65534", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// The newest PostgreSQL of this machine.
fn bin_dir() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        let mut packaged: Vec<PathBuf> = versions.filter_map(Result::ok).map(|v| v.path().join("bin")).collect();
        packaged.sort();
        dirs.extend(packaged.into_iter().rev());
    }
    let complete = |dir: &PathBuf| ["initdb", "postgres"].iter().all(|name| dir.join(name).is_file());
    dirs.into_iter()
        .find(complete)
        .ok_or_else(|| "no PostgreSQL on this machine: install it, or set DATABASE_URL".to_owned())
}
