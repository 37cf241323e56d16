//! Fuzzing of every parser, with the toolchain that builds the product.
//!
//! Knows the flags by which rustc counts what an input reaches, and what libFuzzer is told. Refuses to
//! know what a target does. New inputs that reach something new are kept under `target/`; the corpus
//! that is committed is only read.

use crate::shell::{root, run_with};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What libFuzzer needs of a program: counters and comparisons at every edge.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// `cargo xtask fuzz [TARGET] [SECONDS]`: one target, or all of them one after the other.
pub fn run(words: &[&str]) -> Result<(), String> {
    let targets = targets()?;
    let (wanted, seconds) = match words {
        [] => (targets.clone(), "60"),
        [one] if one.parse::<u32>().is_ok() => (targets.clone(), *one),
        [one] => (vec![(*one).to_owned()], "60"),
        [one, seconds] => (vec![(*one).to_owned()], *seconds),
        _ => return Err("cargo xtask fuzz [TARGET] [SECONDS]".to_owned()),
    };
    if let Some(unknown) = wanted.iter().find(|name| !targets.contains(name)) {
        return Err(format!("`{unknown}` is no target; there are {}", targets.join(", ")));
    }
    if seconds.parse::<u32>().is_err() {
        return Err(format!("`{seconds}` is not a number of seconds"));
    }
    let (host, target_dir) = (host()?, root().join("target/fuzz"));
    let target = target_dir.display().to_string();
    build(&host, &target, &wanted)?;
    let mut failed = Vec::new();
    for name in &wanted {
        let found = target_dir.join("corpus").join(name);
        fs::create_dir_all(&found).map_err(|why| format!("cannot make `{}`: {why}", found.display()))?;
        let found = found.display().to_string();
        let program = target_dir.join(&host).join("release").join(name).display().to_string();
        let kept = root().join("fuzz/corpus").join(name).display().to_string();
        let (time, artifact) = (format!("-max_total_time={seconds}"), format!("-artifact_prefix={target}/{name}-"));
        // The first folder takes what is new.
        let words = [&*found, &*kept, &*time, &*artifact, "-rss_limit_mb=2048", "-timeout=60", "-print_final_stats=1"];
        if let Err(why) = run_with(&program, &words, &[]) {
            eprintln!("{why}");
            failed.push(name.as_str());
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("{} failed; what they failed on is in {target}", failed.join(", "))),
    }
}

fn build(host: &str, target: &str, wanted: &[String]) -> Result<(), String> {
    let mut words =
        vec!["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", host, "--target-dir", target];
    for name in wanted {
        words.extend(["--bin", name]);
    }
    // The passes are named by options of the compiler that are not stable: so the stable one is told that
    // it may take them. Arithmetic is checked as in a build for tests.
    let env = [
        ("RUSTC_BOOTSTRAP", "1"),
        ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
        ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
        ("RUSTFLAGS", COVERAGE),
    ];
    run_with("cargo", &words, &env)
}

/// Every target, by name.
fn targets() -> Result<Vec<String>, String> {
    let dir = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).map_err(|why| format!("cannot read `{}`: {why}", dir.display()))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let rust = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "rs");
    let mut names: Vec<String> =
        paths.filter(rust).filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// The triple of this machine: with it, build scripts are built without the fuzzer's flags.
fn host() -> Result<String, String> {
    let out = Command::new("rustc").arg("-vV").output().map_err(|why| format!("rustc cannot be started: {why}"))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.ok_or_else(|| "rustc does not say which machine this is".to_owned())
}
