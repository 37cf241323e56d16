//! What a limit costs: lists, filters, counts and single findings for somebody who may see all, and for somebody who may
//! see a part of it.
//!
//! The estate is written by `limits.sql`; requests come one at a time, of each credential in turn, so that what else the
//! machine does falls on all of them alike. Asserts nothing about time.

use super::server::{psql, token};
use super::{BIND, estate, scan, serve, stop, tempdir};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

const FILL: &str = include_str!("limits.sql");
const TIMES: usize = 21;

/// Who asks: a name, and their limits.
const WHO: [(&str, &[&str]); 4] = [
    ("without limits", &[]),
    ("a namespace, 1 %", &["namespace:team-42"]),
    ("an account, 1 %", &["account:100000000042"]),
    ("the root, 100 %", &["ou:r-root"]),
];

/// What is asked for. `{number}` is a finding of the namespace and of the account.
const PATHS: [(&str, &str); 9] = [
    ("list", "/api/v1/findings?limit=50&total=none"),
    ("list, second order", "/api/v1/findings?limit=50&sort=opened&total=none"),
    ("filter", "/api/v1/findings?limit=50&severity=critical&rule_id=rule-23&total=none"),
    ("filter by namespace", "/api/v1/findings?limit=50&namespace=team-42&cluster=cluster-42&total=none"),
    ("list with its count", "/api/v1/findings?limit=50"),
    ("detail", "/api/v1/findings/{number}"),
    ("associations", "/api/v1/associations?limit=50&total=none"),
    ("roles", "/api/v1/roles?limit=50&total=none"),
    ("changes", "/api/v1/changes?limit=50"),
];

/// `cargo xtask bench limits [FINDINGS]`
pub(super) fn limits(wanted: &str) -> Result<(), String> {
    let wanted: u32 = wanted.parse().map_err(|_| format!("`{wanted}` is not a number of findings"))?;
    estate::build()?;
    let data = tempdir()?;
    scan(&data, "http://127.0.0.1:9", &["migrate"])?;
    let tokens = WHO.map(|(_, limits)| token(&data, &["admin"], limits));
    let mut server = serve(&data)?;
    let measured = tokens.into_iter().collect::<Result<Vec<_>, _>>().and_then(|tokens| all(&data, &tokens, wanted));
    stop(&mut server)?;
    std::fs::remove_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    measured
}

fn all(data: &Path, tokens: &[String], wanted: u32) -> Result<(), String> {
    psql(data, &FILL.replace("FINDINGS", &wanted.to_string()))?;
    let number = psql(
        data,
        "select number from finding where namespace = 'team-42' and cluster = 'cluster-42' order by number limit 1;",
    )?;
    println!("{wanted} findings, {TIMES} requests each, p50 in ms, load {}\n", super::load());
    println!("{:<22}{}", "", WHO.map(|(who, _)| format!("{who:>26}")).concat());
    for (name, path) in PATHS {
        let path = path.replace("{number}", number.trim());
        let mut taken = vec![Vec::new(); tokens.len()];
        for round in 0..=TIMES {
            for (token, taken) in tokens.iter().zip(&mut taken) {
                let time = ask(token, &path).map_err(|error| format!("{path}: {error}"))?;
                // The first one plans and reads from disk.
                if round > 0 {
                    taken.push(time);
                }
            }
        }
        let medians: Vec<f64> = taken.into_iter().map(median).collect();
        let first = medians.first().copied().unwrap_or(f64::NAN);
        let cell = |ms: &f64| format!("{:>26}", format!("{ms:.1} ({:.1}×)", ms / first));
        println!("{name:<22}{}", medians.iter().map(cell).collect::<String>());
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// How long an answer takes.
fn ask(token: &str, path: &str) -> std::io::Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(BIND)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {BIND}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    )?;
    let (mut reader, mut line) = (BufReader::new(stream), String::new());
    reader.read_line(&mut line)?;
    std::io::copy(&mut reader.by_ref(), &mut std::io::sink())?;
    match line.split_whitespace().nth(1) {
        Some("200") => Ok(begun.elapsed()),
        _ => Err(std::io::Error::other(format!("the API answered `{}`", line.trim_end()))),
    }
}
