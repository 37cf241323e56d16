//! What the API and the pages cost over many findings, beside a bare axum handler with one statement.
//!
//! The estate of the demo is copied with SQL until there are as many findings and roles as asked for. Then `wrk` asks
//! the bare handler and the service in turns, over as many connections: whatever else the machine does meets both.

use super::server::{place, psql, sign_in, token};
use super::wrk::{Load, wrk};
use super::{BIND, serve, stop, tempdir};
use crate::shell::{root, run};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the bare handler listens.
const BARE: &str = "127.0.0.1:45872";
/// The copies, as SQL.
const COPIES: &str = include_str!("load.sql");
const CHANGES: &str = "200000";
const ACCOUNTS: &str = "1000";
/// So often is each address measured, in turns with the bare handler.
const ROUNDS: u32 = 2;
const SECONDS: &str = "3s";

/// A finding with workloads, a namespace with open findings, an association and a role: what is asked for.
const CHOSEN: &str = "
select f.number || ' ' || f.namespace || ' ' || f.account_id || ' ' || a.key || ' ' || a.role_arn
from (select * from finding where workflow = 'open' and severity = 'high' and part_of is null and namespace is not null
      order by number desc offset 50 limit 1) f,
     (select key, role_arn from resource where kind = 'association' and seen_to is null and role_arn is not null
      order by key offset 1000 limit 1) a;
";

/// `cargo xtask bench load [FINDINGS ROLES]`
pub(super) fn load(findings: &str, roles: &str) -> Result<(), String> {
    for number in [findings, roles] {
        number.parse::<u32>().map_err(|_| format!("`{number}` is not a number"))?;
    }
    run("cargo", &["build", "--release", "--locked", "--package", "rolecall"])?;
    run("cargo", &["build", "--release", "--locked", "--package", "rolecall-store", "--example", "bare"])?;
    let folder = tempdir()?;
    run(
        &root().join("target/release/rolecall").display().to_string(),
        &["--data-dir", &folder.display().to_string(), "demo", "--once"],
    )?;
    let data = folder.join("demo");
    let token = token(&data, &["findings:read", "inventory:read"], &[])?;
    let mut server = serve(&data)?;
    let measured = filled(&data, findings, roles).and_then(|()| beside(&data, &token));
    stop(&mut server)?;
    std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    measured
}

fn filled(data: &Path, findings: &str, roles: &str) -> Result<(), String> {
    let begun = Instant::now();
    let script = [("FINDINGS", findings), ("ROLES", roles), ("CHANGES", CHANGES), ("ACCOUNTS", ACCOUNTS)]
        .iter()
        .fold(COPIES.to_owned(), |script, (word, number)| script.replace(word, number));
    let said = psql(data, &script)?;
    println!("{}, made in {:.0} s", said.trim(), begun.elapsed().as_secs_f64());
    Ok(())
}

fn beside(data: &Path, token: &str) -> Result<(), String> {
    let words = place(data)?;
    let word = |n: usize| words.get(n).cloned().unwrap_or_default();
    let mut bare = Command::new(root().join("target/release/examples/bare"))
        .args([word(1), word(3), BARE.to_owned()])
        .spawn()
        .map_err(|error| format!("the bare handler: {error}"))?;
    let measured = measured(data, token, &mut bare);
    bare.kill().and_then(|()| bare.wait()).map_err(|error| format!("the bare handler: {error}"))?;
    measured
}

fn measured(data: &Path, token: &str, bare: &mut Child) -> Result<(), String> {
    let chosen = psql(data, CHOSEN)?;
    let chosen: Vec<&str> = chosen.split_whitespace().collect();
    let [number, namespace, account, association, role] = *chosen.as_slice() else {
        return Err(format!("nothing to ask for: {chosen:?}"));
    };
    let bearer = format!("Authorization: Bearer {token}");
    let cookie = format!("Cookie: {}", sign_in(data)?);
    let third = cursor(&bearer, &cursor(&bearer, "/api/v1/findings?limit=50")?)?;
    let api = [
        ("findings", "/api/v1/findings?limit=50".to_owned()),
        ("findings, not resolved", "/api/v1/findings?limit=50&state=open,acknowledged".to_owned()),
        ("findings, page 3", third),
        ("findings of a severity", "/api/v1/findings?limit=50&severity=high".to_owned()),
        (
            "findings of a severity in a namespace",
            format!("/api/v1/findings?limit=50&severity=high&state=open,acknowledged&namespace={namespace}"),
        ),
        ("findings of an account", format!("/api/v1/findings?limit=50&account_id={account}")),
        ("findings with a ticket", "/api/v1/findings?limit=50&ticket=any".to_owned()),
        ("one finding", format!("/api/v1/findings/{number}")),
        ("changes", "/api/v1/changes?limit=50".to_owned()),
        ("changes that widened", "/api/v1/changes?limit=50&effect=widened".to_owned()),
        ("associations", "/api/v1/associations?limit=50".to_owned()),
        ("one association", format!("/api/v1/associations/{association}")),
        ("roles", "/api/v1/roles?limit=50".to_owned()),
        ("one role", format!("/api/v1/roles/{}", role.replace('/', "%2F"))),
    ];
    let pages = [
        ("page: overview", "/".to_owned()),
        ("page: findings", "/findings".to_owned()),
        ("page: one finding", format!("/findings/{number}")),
        ("page: changes", "/changes".to_owned()),
        ("page: associations", "/associations".to_owned()),
        ("page: roles", "/roles".to_owned()),
    ];
    ready(bare)?;
    println!("load {}, {ROUNDS} rounds of {SECONDS}; lists have 50 rows\n", super::load());
    println!(
        "{:<40}{:>10}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "bare a s", "ours a s", "of bare", "p50 ms", "p99 ms", "KiB", "KiB gz"
    );
    let api = api.iter().map(|asked| (asked, &bearer, "8"));
    for ((name, path), credential, connections) in api.chain(pages.iter().map(|asked| (asked, &cookie, "1"))) {
        let url = format!("http://{BIND}{path}");
        let (plain, packed) = (size(&url, credential, "identity")?, size(&url, credential, "gzip")?);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let theirs = wrk(&format!("http://{BARE}/"), credential, connections, SECONDS)?;
            rounds.push((theirs.rate, wrk(&url, credential, connections, SECONDS)?));
        }
        let sum = |of: &dyn Fn(&(f64, Load)) -> f64| rounds.iter().map(of).sum::<f64>();
        let worst = |of: &dyn Fn(&(f64, Load)) -> f64| rounds.iter().map(of).fold(0.0, f64::max);
        let (theirs, ours) = (sum(&|it| it.0), sum(&|it| it.1.rate));
        println!(
            "{name:<40}{:>10.0}{:>10.0}{:>8.0}%{:>9.1}{:>9.1}{plain:>9.1}{packed:>9.1}",
            theirs / f64::from(ROUNDS),
            ours / f64::from(ROUNDS),
            100.0 * ours / theirs,
            worst(&|it| it.1.p50),
            worst(&|it| it.1.p99),
        );
    }
    counted_anew(data, &cookie)?;
    println!("load {}", super::load());
    Ok(())
}

/// The overview as the first to ask after a step of a finding and a scan, for whom nothing is kept.
fn counted_anew(data: &Path, cookie: &str) -> Result<(), String> {
    let mut times = Vec::new();
    for _ in 0..10 {
        psql(data, "update counter set value = value + 1 where name in ('change', 'snapshot');")?;
        let said = curl(&format!("http://{BIND}/"), cookie, &["-o", "/dev/null", "-w", "%{time_total}"])?;
        times.push(1_000.0 * said.parse::<f64>().map_err(|_| format!("curl said `{said}`"))?);
    }
    times.sort_by(f64::total_cmp);
    let (least, most) = (times.first().copied().unwrap_or_default(), times.last().copied().unwrap_or_default());
    println!("\noverview, counted anew: {least:.0} to {most:.0} ms");
    Ok(())
}

/// KiB of an answer's body as it is sent.
fn size(url: &str, credential: &str, encoding: &str) -> Result<f64, String> {
    let said = curl(
        url,
        credential,
        &[
            "-H",
            &format!("Accept-Encoding: {encoding}"),
            // As browsers say it: pages are compressed for nobody else.
            "-H",
            "Sec-Fetch-Site: none",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{size_download}",
        ],
    )?;
    let (status, bytes) = said.split_once(' ').ok_or_else(|| format!("{url}: {said}"))?;
    let bytes: f64 = bytes.parse().map_err(|_| format!("{url}: {said}"))?;
    if status == "200" { Ok(bytes / 1024.0) } else { Err(format!("{url} answers {status}")) }
}

/// The address of the page after a page.
fn cursor(bearer: &str, path: &str) -> Result<String, String> {
    let answer: Value = serde_json::from_str(&curl(&format!("http://{BIND}{path}"), bearer, &[])?)
        .map_err(|error| format!("{path}: {error}"))?;
    let cursor = answer.get("next_cursor").and_then(Value::as_str).ok_or_else(|| format!("{path} has no next page"))?;
    Ok(format!("/api/v1/findings?limit=50&cursor={cursor}"))
}

fn curl(url: &str, credential: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new("curl")
        .args(["-sS", "-H", credential])
        .args(words)
        .arg(url)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("curl: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{url}: curl ended with {}", output.status))
    }
}

/// Waits until the bare handler answers.
fn ready(bare: &mut Child) -> Result<(), String> {
    let begun = Instant::now();
    while std::net::TcpStream::connect(BARE).is_err() {
        if begun.elapsed() > Duration::from_secs(10) || matches!(bare.try_wait(), Ok(Some(_))) {
            return Err(format!("the bare handler does not listen on {BARE}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
