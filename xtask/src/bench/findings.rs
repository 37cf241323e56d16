//! What the list of findings costs over the API, beside PostgreSQL's own client on the same index.
//!
//! The findings of a generated organisation are copied until there are as many as asked for; both
//! sides then read the first page in the default order, over as many connections, one after the other.

use super::estate::{self, Size};
use super::server::{place, psql, token};
use super::wrk::wrk;
use super::{BIND, scan, serve, stop, tempdir};
use std::path::Path;
use std::process::Command;

const CONNECTIONS: &str = "16";
const SECONDS: u64 = 10;
/// With the count of all items, and without it.
const PATHS: [&str; 2] = ["/api/v1/findings?limit=20", "/api/v1/findings?limit=20&total=none"];

/// The list in its default order, as the API's statement reads it; evidence is no part of it.
const QUERY: &str = "select f.account_id, f.fingerprint, f.number, f.rule, f.severity, f.severity_because, f.part_of, \
     (select count(*) from finding p where p.part_of = f.fingerprint and p.workflow <> 'resolved'), \
     f.assumptions, f.workloads, case when f.workloads > 0 then ( \
       select jsonb_agg(jsonb_build_array(w.association, w.via)) from ( \
         select association, via from finding_workload w \
         where w.account_id = f.account_id and w.fingerprint = f.fingerprint \
         order by array_position('{direct,target,chain}'::text[], via), association limit 10) w) end, \
     f.subject_kind, f.subject_key, f.region, f.cluster, f.namespace, f.service_account, f.role_arn, \
     f.target_role_arn, f.detection, f.workflow, f.resolution, f.message, f.exception, f.stale_why, \
     f.first_seen_at, f.opened_at, \
     coalesce(f.last_seen_at, (select judged_at from run where judged_at is not null order by id desc limit 1), \
       f.updated_at), \
     f.last_seen_at is null, f.resolved_at, f.updated_at, f.reopened_count, f.first_run, \
     coalesce(f.last_run, (select id from run where judged_at is not null order by id desc limit 1), f.first_run), \
     f.version, f.change_seq \
     from finding f where f.part_of is null order by f.severity_rank desc, f.number desc limit 20;\n";

/// Copies what is there, under new fingerprints and numbers.
const COPIES: &str = "
do $$
declare
    names text; own bigint; high bigint;
begin
    select string_agg(quote_ident(column_name), ', ') into names from information_schema.columns
        where table_name = 'finding' and is_generated = 'NEVER';
    select count(*), max(number) into own, high from finding;
    execute format(
        'insert into finding (%1$s) select %1$s from (select (jsonb_populate_record(f, jsonb_build_object(
            ''fingerprint'', f.fingerprint || ''/'' || copy, ''number'', %2$s + row_number() over ()))).*
        from finding f, generate_series(1, %3$s) copy) made',
        names, high, greatest(WANTED / own, 1));
    insert into finding_workload
        select w.account_id, w.fingerprint || '/' || copy, w.association, w.cluster_account_id, w.region, w.cluster,
               w.namespace, w.service_account, w.via
        from finding_workload w, generate_series(1, greatest(WANTED / own, 1)) copy;
end $$;
analyze finding, finding_workload;
select count(*) from finding;
";

/// `cargo xtask bench findings [FINDINGS]`
pub(super) fn findings(wanted: &str) -> Result<(), String> {
    let wanted: usize = wanted.parse().map_err(|_| format!("`{wanted}` is not a number of findings"))?;
    estate::build()?;
    let files = estate::generate(Size { roles: 1_000, accounts: 4 })?;
    let data = tempdir()?;
    scan(&data, "http://127.0.0.1:9", &["import", &files.display().to_string()])?;
    let token = token(&data, &["findings:read"], &[])?;
    let mut server = serve(&data)?;
    let measured = both(&data, &token, wanted);
    stop(&mut server)?;
    measured
}

fn both(data: &Path, token: &str, wanted: usize) -> Result<(), String> {
    let copied = psql(data, &COPIES.replace("WANTED", &wanted.to_string()))?;
    let count = copied.split_whitespace().last().unwrap_or("?").to_owned();
    println!("{count} findings, {CONNECTIONS} connections, {SECONDS} s each, load {}\n", super::load());
    let script = data.join("list.sql");
    std::fs::write(&script, QUERY).map_err(|error| format!("{}: {error}", script.display()))?;
    println!("{:<44}{:>12}", "", "a second");
    let mut ratios = PATHS.map(|_| Vec::new());
    let bearer = format!("Authorization: Bearer {token}");
    for _ in 0..2 {
        let theirs = pgbench(data, &script)?;
        println!("{:<44}{theirs:>12.0}", "pgbench, 20 rows");
        for (path, ratios) in PATHS.iter().zip(&mut ratios) {
            let ours = wrk(&format!("http://{BIND}{path}"), &bearer, CONNECTIONS, &format!("{SECONDS}s"))?.rate;
            println!("{path:<44}{ours:>12.0}");
            ratios.push(ours / theirs);
        }
    }
    println!();
    for (path, ratios) in PATHS.iter().zip(ratios) {
        let best = ratios.into_iter().fold(f64::MIN, f64::max);
        println!("{path} reaches {:.1} % of pgbench on the same query", 100.0 * best);
    }
    Ok(())
}

fn pgbench(data: &Path, script: &Path) -> Result<f64, String> {
    let output = Command::new("pgbench")
        .args(place(data)?)
        .args(["-n", "-M", "prepared", "-c", CONNECTIONS, "-T", &SECONDS.to_string(), "-f"])
        .arg(script)
        .arg("rolecall")
        .output()
        .map_err(|error| format!("pgbench: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    rate.ok_or_else(|| format!("pgbench said no rate: {text}{}", String::from_utf8_lossy(&output.stderr)))
}
