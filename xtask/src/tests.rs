//! Every check of the project, in the order in which a failure is cheapest to see.

use crate::licences;
use crate::shell::{has, root, run, run_with};

/// Formatting, lints, documentation, and the pure crates alone.
pub fn lint() -> Result<(), String> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    // Alone, so that no other crate's features can lend them a clock.
    let pure = ["iam", "estate", "cloudtrail", "import", "rules", "audit"].map(|name| format!("rolecall-{name}"));
    let packages = pure.iter().flat_map(|name| ["--package", name.as_str()]);
    run("cargo", &["check", "--locked"].into_iter().chain(packages).collect::<Vec<_>>())?;
    run_with(
        "cargo",
        &["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"],
        // The documentation is for whoever works here, private items included.
        &[("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links")],
    )?;
    licences::check()?;
    if has("cargo-deny") {
        run("cargo", &["deny", "check", "bans", "licenses", "sources"])?;
    }
    Ok(())
}

/// The tests that need nothing but Rust and PostgreSQL.
pub fn quick() -> Result<(), String> {
    install(&["postgresql"], postgres_is_here)?;
    // All of them at once: a build of the binaries alone would pick other features of shared crates, and compile
    // them twice. Benches are compiled by the lints.
    run("cargo", &["build", "--workspace", "--lib", "--bins", "--tests", "--examples", "--locked"])?;
    if has("cargo-nextest") {
        run("cargo", &["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])?;
    } else {
        run("cargo", &["test", "--workspace", "--locked", "--lib", "--bins", "--tests", "--no-fail-fast"])?;
    }
    run("cargo", &["test", "--workspace", "--locked", "--doc"])?;
    run("target/debug/rolecall", &["policies", "check"])?;
    run("target/debug/rolecall", &["policies", "test"])
}

/// Every property over cases that no run before has seen.
pub fn explore(cases: &str) -> Result<(), String> {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|error| format!("the clock stands before 1970: {error}"))?
        .as_nanos()
        .to_string();
    let seed = seed.get(seed.len().saturating_sub(15)..).unwrap_or(&seed);
    eprintln!("PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases}");
    run_with(
        "cargo",
        &["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"],
        &[("PROPTEST_RNG_SEED", seed), ("PROPTEST_CASES", cases)],
    )
}

/// Everything.
pub fn all() -> Result<(), String> {
    quick()?;
    install(&["chromium"], || has("chromium") || has("google-chrome"))?;
    install(&["nodejs", "npm"], || has("node") && has("npm"))?;
    run("npm", &["--prefix", "web/test", "ci", "--no-audit", "--no-fund"])?;
    run("npm", &["--prefix", "web/test", "test"])?;
    install(&["python3", "python3-venv"], || has("python3"))?;
    run("python3", &["service/server/tests/contract/run.py"])?;
    run("python3", &["service/sandbox/second-opinion/run.py"])
}

/// The contract of the API against a server, alone: for longer, or to write its examples.
pub fn contract(words: &[&str]) -> Result<(), String> {
    install(&["postgresql"], postgres_is_here)?;
    install(&["python3", "python3-venv"], || has("python3"))?;
    run("cargo", &["build", "--locked", "--package", "rolecall"])?;
    run("python3", &[&["service/server/tests/contract/run.py"], words].concat())
}

fn postgres_is_here() -> bool {
    has("pg_ctl") || std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some())
}

/// Installs packages where they are missing and the system's package manager is known.
fn install(packages: &[&str], present: impl Fn() -> bool) -> Result<(), String> {
    if present() {
        return Ok(());
    }
    let sudo = if root_user() { &[][..] } else { &["sudo"][..] };
    let (manager, refresh): (&[&str], &[&str]) = if has("apt-get") {
        (&["apt-get", "install", "--yes", "--no-install-recommends"], &["apt-get", "update", "--quiet"])
    } else if has("dnf") {
        (&["dnf", "install", "--assumeyes"], &[])
    } else if has("brew") {
        (&["brew", "install"], &[])
    } else {
        return Err(format!("please install {} and run again", packages.join(", ")));
    };
    for words in [refresh, &[manager, packages].concat()[..]] {
        let words = if words.first() == Some(&"brew") { words.to_vec() } else { [sudo, words].concat() };
        if let Some((program, args)) = words.split_first().filter(|_| words.len() > sudo.len()) {
            run_with(program, args, &[("DEBIAN_FRONTEND", "noninteractive")])?;
        }
    }
    if present() { Ok(()) } else { Err(format!("{} installed, and still not found", packages.join(", "))) }
}

fn root_user() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) && root().exists()
}
