//! What an audit of files costs: as the roles of one account grow, beside Cloudsplaining on the same
//! file, and over a large organisation.

use super::estate::{Size, build, generate};
use super::{Cost, measured, scan, serve, stop, tempdir};
use crate::shell::{root, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that figures are compared with.
const CLOUDSPLAINING: &str = "cloudsplaining==0.9.1";
/// So often is each side measured, in turns.
const ROUNDS: usize = 3;

/// `cargo xtask bench import`
pub(super) fn import() -> Result<(), String> {
    build()?;
    let (small, large) = (Size { roles: 1_000, accounts: 1 }, Size { roles: 4_000, accounts: 1 });
    let (small_files, large_files) = (generate(small)?, generate(large)?);
    let peer = cloudsplaining();
    if let Err(why) = &peer {
        println!("WITHOUT {CLOUDSPLAINING}: {why}\n");
    }
    heading();
    let (mut ours_small, mut ours_large, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours_small.push(total(&audit(small, &small_files)?));
        if let Ok(program) = &peer {
            theirs.push(total(&scan_by_peer(program, small, &small_files)?));
        }
        ours_large.push(total(&audit(large, &large_files)?));
    }
    let (one, four) = (median(&mut ours_small), median(&mut ours_large));
    println!("\nmedians of {ROUNDS}, rolecall and its PostgreSQL together:");
    println!("  a role of 4,000 costs {:.2} x one of 1,000", four / one / 4.0);
    if !theirs.is_empty() {
        let peer = median(&mut theirs);
        println!(
            "  Cloudsplaining takes {:.1} x the CPU on the same 1,000 roles ({peer:.2} s and {one:.2} s)",
            peer / one
        );
    }
    Ok(())
}

/// `cargo xtask bench organisation [ROLES ACCOUNTS]`
pub(super) fn organisation(roles: &str, accounts: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is not a number"));
    let size = Size { roles: number(roles)?, accounts: number(accounts)? };
    build()?;
    let files = generate(size)?;
    heading();
    let data = tempdir()?;
    scan(&data, "http://127.0.0.1:9", &["migrate"])?;
    let mut server = serve(&data)?;
    let measured = twice(&data, size, &files);
    stop(&mut server)?;
    measured
}

/// A first audit, and one of the same files again, in which nothing has changed.
fn twice(data: &Path, size: Size, files: &Path) -> Result<(), String> {
    for name in ["first", "unchanged"] {
        let cost = scan(data, "http://127.0.0.1:9", &["--format", "json", "import", &files.display().to_string()])?;
        row(name, size, &cost);
        let to_the_end = cost.since("Comparing with")?;
        println!(
            "{name:<16}drift: {:.2} s of processor time, PostgreSQL {:.2} s; findings: {}",
            to_the_end.own.as_secs_f64(),
            to_the_end.database.as_secs_f64(),
            cost.summary.get("findings").map_or_else(|| "-".to_owned(), ToString::to_string)
        );
    }
    Ok(())
}

fn heading() {
    println!("load {}, {} processors\n", super::load(), std::thread::available_parallelism().map_or(1, usize::from));
    println!(
        "{:<16}{:>8}{:>10}{:>8}{:>9}{:>9}{:>9}{:>10}",
        "", "roles", "accounts", "CPU s", "of it pg", "ms/role", "wall s", "peak MiB"
    );
}

fn row(name: &str, size: Size, cost: &Cost) {
    let total = total(cost);
    println!(
        "{name:<16}{:>8}{:>10}{:>8.2}{:>9.2}{:>9.2}{:>9.2}{:>10.1}",
        size.roles,
        size.accounts,
        total,
        cost.database.as_secs_f64(),
        1000.0 * total / f64::from(u32::try_from(size.roles).unwrap_or(u32::MAX)),
        cost.wall.as_secs_f64(),
        f64::from(u32::try_from(cost.peak_kib).unwrap_or(u32::MAX)) / 1024.0,
    );
}

fn total(cost: &Cost) -> f64 {
    (cost.cpu + cost.database).as_secs_f64()
}

/// A first audit of the files into a store of its own, which is there and empty when time begins, as
/// it is where `rolecall serve` runs.
fn audit(size: Size, files: &Path) -> Result<Cost, String> {
    let data = tempdir()?;
    scan(&data, "http://127.0.0.1:9", &["migrate"])?;
    let mut server = serve(&data)?;
    let cost = scan(&data, "http://127.0.0.1:9", &["--format", "json", "import", &files.display().to_string()]);
    stop(&mut server)?;
    let cost = cost?;
    row("rolecall", size, &cost);
    Ok(cost)
}

fn scan_by_peer(program: &Path, size: Size, files: &Path) -> Result<Cost, String> {
    let accounts = std::fs::read_dir(files.join("iam")).map_err(|error| format!("{}: {error}", files.display()))?;
    let account = accounts.flatten().next().ok_or("the estate has no account")?;
    let report = root().join("target/bench-cloudsplaining");
    std::fs::create_dir_all(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    let mut command = Command::new(program);
    command.args(["scan", "--skip-open-report", "--input-file"]).arg(account.path().join("gaad.json"));
    command.arg("--output").arg(&report);
    let cost = measured(command, None)?;
    row("cloudsplaining", size, &cost);
    Ok(cost)
}

/// Cloudsplaining in a virtual environment of its own, installed where it is not.
fn cloudsplaining() -> Result<PathBuf, String> {
    let folder = root().join("target/bench-venv");
    let program = folder.join("bin/cloudsplaining");
    if !program.exists() {
        run("python3", &["-m", "venv", &folder.display().to_string()])?;
        let pip = folder.join("bin/pip").display().to_string();
        run(&pip, &["install", "--quiet", "--timeout", "10", "--retries", "1", CLOUDSPLAINING])?;
    }
    Ok(program)
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}
