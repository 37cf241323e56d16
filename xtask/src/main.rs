//! The project's own chores: `cargo xtask <chore>`.
//!
//! Knows how to install what the tests need where the system's package manager has it, how to run
//! every test, how to refresh what is generated, and how to measure. Refuses to know what any of
//! the crates does.

mod bench;
mod catalogue;
mod fuzz;
mod licences;
mod shell;
mod soak;
mod sqlx;
mod tests;

use std::process::ExitCode;

const USAGE: &str = "cargo xtask <chore>

  test             every test: units, integration on a real PostgreSQL, pages in a browser, the contract of
                   the API, and the second opinion of an independent AWS emulator
  test --quick     without the browser, the contract and the second opinion
  contract [EXAMPLES]
                   Schemathesis against a running server, with so many random requests for each operation
                   and credential instead of a few
  contract --record all|OPERATION…
                   write the examples of the contract anew, as a server answers them
  explore [CASES]  every property over new random cases, 5,000 of each or as many as told
  lint             formatting, clippy, documentation, the pure crates alone, licences
  bench            CPU seconds, memory, API calls and rows of a scan of 1,000 roles
  bench import     what a role costs among 1,000 and among 4,000 of one account, and what Cloudsplaining
                   takes for the same file
  bench organisation [ROLES ACCOUNTS]
                   a first audit of 100,000 roles in 100 accounts, or as many as told
  bench findings [N]
                   the API's list at 70,000 findings, or as many as told, beside pgbench on the same query
  bench history [ROLES SCANS]
                   lists, resources and pages as they were beside the same as they are, over 30 scans of
                   10,000 roles and associations, or as many as told
  bench limits [N] what somebody with limits waits for beside somebody without, over 1,000,000 findings, or as
                   many as told
  bench load [FINDINGS ROLES]
                   the API and the pages at 1,000,000 findings and 100,000 roles, or as many as told, beside
                   a bare axum handler with one statement
  bench trail [N]  events a second from N events in trail files into PostgreSQL, beside the bare limit
  soak [MINUTES]   `serve` with an audit a minute, for 20 minutes or as many as told: memory, open files
                   and connections
  fuzz [TARGET] [SECONDS]
                   every fuzz target for a minute, or one of them, or for as long as told; docs/fuzzing.md
  sqlx             refresh .sqlx/ after a change to the store's queries or to migrations/
  catalogue [PACKAGE IAMLIVE]
                   refresh the data of IAM's actions and of the operations that need them, fetched,
                   or from the unpacked npm package and a folder with iamlive's map.json and LICENSE";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => tests::all(),
        ["test", "--quick"] => tests::quick(),
        ["contract", rest @ ..] => tests::contract(rest),
        ["explore"] => tests::explore("5000"),
        ["explore", cases] => tests::explore(cases),
        ["lint"] => tests::lint(),
        ["bench", rest @ ..] => bench::run(rest),
        ["soak"] => soak::soak("20"),
        ["soak", minutes] => soak::soak(minutes),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["sqlx"] => sqlx::run(),
        ["catalogue", rest @ ..] => catalogue::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
