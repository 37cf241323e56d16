//! What a role costs whose policies were written to cost as much as they can.
//!
//! Makes roles with policies as large as IAM takes them, one kind of nuisance each (`kinds.rs`), and
//! prints how much processor time everything takes that is worked out about such a role: the verdicts of every rule
//! that ships, its grants weighed against its calls, and simulated requests with their explanations.
//! Each kind runs in a process of its own, which is stopped after a minute. Arguments: the kinds, all
//! of them otherwise; `--seed N` makes other policies of the same kinds.

#![expect(clippy::print_stdout, clippy::expect_used, clippy::indexing_slicing, reason = "a bench prints its figures")]

mod kinds;

use kinds::{KINDS, Kind, estate};
use rolecall_audit::access::simulate::{Question, WhatIf, ask};
use rolecall_audit::access::unused::{Window, covered};
use rolecall_audit::access::usage::{UsageSubject, analyze_usage};
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::facts;
use rolecall_estate::Estate;
use rolecall_rules::{Outcome, RuleSet, SourceFile};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// So long a kind may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn rules() -> RuleSet {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/builtin");
    let entries = std::fs::read_dir(folder).expect("the rules are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| SourceFile {
        path: path.display().to_string(),
        text: std::fs::read_to_string(path).expect("the rule can be read"),
    };
    RuleSet::load(&paths.iter().map(read).collect::<Vec<_>>(), facts::schema()).expect("the rules load")
}

/// Milliseconds of processor time so far; by the clock where the system does not tell.
fn spent() -> f64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let begun = *BEGUN;
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| begun.elapsed().as_secs_f64() * 1e3, |spent| spent / 1e6)
}

/// Milliseconds that something takes, and what it comes to.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = spent();
    let done = work();
    (spent() - begun, done)
}

/// Requests to simulate: some that nothing names, some that most policies name.
fn questions() -> Vec<Question> {
    let asked = [
        ("iam:PassRole", "arn:aws:iam::111122223333:role/nowhere"),
        (
            "iam:PutUserPolicy",
            "arn:aws:iam::111122223333:user/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("sts:AssumeRole", "arn:aws:iam::111122223333:role/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"),
        ("s3:GetObject", "arn:aws:s3:::data/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("new0:Thing", "*"),
    ];
    let asked = asked.map(|(action, resource)| Question {
        principal: kinds::HOSTILE.to_owned(),
        action: action.to_owned(),
        resource: resource.to_owned(),
        resource_account: None,
        context: Vec::new(),
        closed: false,
        what_if: WhatIf::default(),
    });
    asked.into()
}

/// Everything about one kind, in one line.
fn run(kind: &Kind, seed: u64) {
    let rules = rules();
    let now = "2026-11-23T00:00:00Z".parse().expect("a time");
    // The catalogue is read once, whatever the kind.
    drop(evaluate(&estate(&KINDS[0], 1), &rules, now));
    let (reading, estate): (f64, Estate) = timed(|| estate(kind, seed));
    let roles = estate.roles.len();
    let (judging, evaluation) = timed(|| evaluate(&estate, &rules, now));
    let arn = kinds::HOSTILE.parse().expect("a role's ARN");
    let whose = UsageSubject::Role(kinds::HOSTILE.to_owned());
    let (weighing, weighed) = timed(|| {
        let window = covered(&estate, &arn, Window { days: 90, now, complete: &[] });
        analyze_usage(&estate, &whose, &[], window)
    });
    let paths = weighed.map_or(0, |weighed| weighed.escalation_paths.len());
    let (simulating, told) = timed(|| {
        let asked = questions().into_iter().map(|question| ask(&estate, &question).expect("it can be asked"));
        asked.map(|asked| asked.explain().minimal_changes.len()).sum::<usize>()
    });
    let count = |of: fn(&Outcome) -> bool| {
        let own = evaluation.verdicts.iter().filter(|verdict| verdict.subject.key.contains("hostile"));
        own.filter(|verdict| of(&verdict.outcome)).count()
    };
    let fail = count(|outcome| matches!(outcome, Outcome::Fail { .. }));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown { .. }));
    println!(
        "{:<24}{roles:>6} {reading:>9.1} {judging:>10.1} {weighing:>10.1} {simulating:>10.1} {fail:>6} {unknown:>8} {paths:>5} {told:>5}",
        kind.name
    );
}

/// Runs a kind in a process of its own, and stops it when it has taken too long.
fn apart(kind: &Kind, seed: u64) {
    let own = std::env::current_exe().expect("this program's own path");
    let mut child =
        Command::new(own).args(["--alone", kind.name, "--seed", &seed.to_string()]).spawn().expect("it can be started");
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if child.try_wait().expect("it can be waited for").is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it can be stopped");
    child.wait().expect("it can be waited for");
    println!("{:<24} stopped after {} s", kind.name, PATIENCE.as_secs());
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seed = args.iter().position(|arg| arg == "--seed").and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(1);
    let named: Vec<&Kind> = KINDS.iter().filter(|kind| args.iter().any(|arg| arg == kind.name)).collect();
    if args.iter().any(|arg| arg == "--alone") {
        named.into_iter().for_each(|kind| run(kind, seed));
        return;
    }
    println!(
        "{:<24}{:>6} {:>9} {:>10} {:>10} {:>10} {:>6} {:>8} {:>5} {:>5}",
        "kind, ms", "roles", "reading", "judging", "weighing", "5 requests", "fails", "unknown", "paths", "told"
    );
    let all: Vec<&Kind> = if named.is_empty() { KINDS.iter().collect() } else { named };
    all.into_iter().for_each(|kind| apart(kind, seed));
}
