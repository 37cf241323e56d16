//! What a time that has passed costs beside the present: the same lists, resources and pages with `at` and
//! without it, in turns, over one connection.
//!
//! A generated organisation is imported once; the scans after it are written in the form in which snapshots
//! leave them: each gives a twentieth of the roles and associations a new version, ends a few, and lets the
//! listing of one account fail or recover.

use super::estate::{self, Size};
use super::server::{psql, sign_in, token};
use super::{BIND, scan, serve, stop, tempdir};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// So often is each address asked for, with `at` and without.
const ROUNDS: usize = 200;
const WARM_UP: usize = 20;
const ACCOUNTS: usize = 20;

/// The scans after the first, an hour apart and up to now.
const HISTORY: &str = "
do $$
declare
    first bigint; this bigint; began timestamptz := now() - interval 'SCANS hours'; at timestamptz;
begin
    select max(id) into first from run where snapshot_at is not null;
    update run set started_at = began, finished_at = began, snapshot_at = began where id = first;
    create temp table batch as select * from resource with no data;
    for n in 1..SCANS - 1 loop
        this := first + n;
        at := began + n * interval '1 hour';
        insert into run select (jsonb_populate_record(r, jsonb_build_object('id', this, 'started_at', at,
            'finished_at', at, 'snapshot_at', at))).* from run r where id = first;
        truncate batch;
        insert into batch select * from resource
            where kind in ('role', 'association') and seen_to is null and hashtextextended(key, n) % 20 = 0;
        update resource r set seen_to = this from batch b
            where r.account_id = b.account_id and r.kind = b.kind and r.key = b.key and r.seen_from = b.seen_from;
        insert into resource (account_id, kind, key, seen_from, digest, body, name, region, cluster, namespace,
                              service_account, role_arn, target_role_arn)
            select account_id, kind, key, this, sha256(convert_to(body::text || n, 'UTF8')),
                   case kind when 'role'
                        then jsonb_set(body, '{tags}', coalesce(body -> 'tags', '{}') || jsonb_build_object('scan', n::text))
                        else jsonb_set(body, '{detail,tags}', coalesce(body #> '{detail,tags}', '{}')
                                                              || jsonb_build_object('scan', n::text)) end,
                   name, region, cluster, namespace, service_account, role_arn, target_role_arn
            from batch where hashtextextended(key, -n) % 200 <> 0;
        insert into coverage_state (account_id, scope, region, cluster, run_id, complete)
            select account_id, scope, region, cluster, this, n % 2 = 0 from coverage
            where scope = 'roles' order by account_id limit 1;
    end loop;
    update counter set value = first + SCANS - 1 where name in ('run', 'snapshot');
    delete from resource_count;
    insert into resource_count (account_id, kind, run_id, number)
        select account_id, kind, run_id, sum(sum(step)) over (partition by account_id, kind order by run_id)
        from (select account_id, kind, seen_from as run_id, 1 as step from resource
              union all
              select account_id, kind, seen_to, -1 from resource where seen_to is not null) as steps
        group by account_id, kind, run_id;
end $$;
vacuum analyze resource, resource_count, coverage_state, run;
";

const SIZES: &str = "
select count(*) filter (where kind = 'role' and seen_to is null) || ' roles and '
    || count(*) filter (where kind = 'association' and seen_to is null) || ' associations now, '
    || count(*) || ' versions of resources over ' || (select count(*) from run where snapshot_at is not null)
    || ' scans' from resource;
";

/// An association, its role, and a moment in the middle, all of which have something to show.
const CHOSEN: &str = "
select a.key || ' ' || a.role_arn || ' ' || to_char(m.snapshot_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
from (select id, snapshot_at from run where snapshot_at is not null order by id offset SCANS / 2 limit 1) m,
     resource a
where a.kind = 'association' and a.seen_to is null and a.seen_from < m.id and a.role_arn is not null
  and exists (select from resource r where r.kind = 'role' and r.key = a.role_arn and r.seen_to is null
              and exists (select from resource t where t.kind = 'role' and t.key = r.key
                          and t.seen_from <= m.id and (t.seen_to is null or t.seen_to > m.id)))
order by a.key offset 100 limit 1;
";

/// `cargo xtask bench history [ROLES SCANS]`
pub(super) fn history(roles: &str, scans: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is not a number"));
    let (roles, scans) = (number(roles)?, number(scans)?);
    if scans < 3 {
        return Err("a history has at least three scans".to_owned());
    }
    estate::build()?;
    let files = estate::generate_with(Size { roles, accounts: ACCOUNTS }, roles)?;
    let data = tempdir()?;
    scan(&data, "http://127.0.0.1:9", &["import", &files.display().to_string()])?;
    let token = token(&data, &["inventory:read"], &[])?;
    let mut server = serve(&data)?;
    let measured = measured(&data, &token, &scans.to_string());
    stop(&mut server)?;
    measured
}

fn measured(data: &Path, token: &str, scans: &str) -> Result<(), String> {
    psql(data, &HISTORY.replace("SCANS", scans))?;
    println!("{}, load {}\n", psql(data, SIZES)?.trim(), super::load());
    let chosen = psql(data, &CHOSEN.replace("SCANS", scans))?;
    let words: Vec<&str> = chosen.split_whitespace().collect();
    let [association, role, at] = *words.as_slice() else {
        return Err(format!("no association to ask for: `{chosen}`"));
    };
    let arn = role.replace('/', "%2F");
    let bearer = format!("Authorization: Bearer {token}");
    let cookie = format!("Cookie: {}", sign_in(data)?);
    let api = [
        "/api/v1/roles?limit=100".to_owned(),
        "/api/v1/roles?limit=100&associated=false".to_owned(),
        "/api/v1/roles?limit=100&q=app".to_owned(),
        format!("/api/v1/roles/{arn}?"),
        "/api/v1/associations?limit=100".to_owned(),
        format!("/api/v1/associations?limit=100&role_arn={role}"),
        format!("/api/v1/associations/{association}?"),
        "/api/v1/clusters?limit=100".to_owned(),
        "/api/v1/accounts?limit=100".to_owned(),
        "/api/v1/coverage?limit=100".to_owned(),
    ];
    let pages = [
        "/roles?".to_owned(),
        format!("/roles/{role}?"),
        "/associations?".to_owned(),
        format!("/associations/{association}?"),
        "/clusters?".to_owned(),
        "/accounts?".to_owned(),
    ];
    let asked = api.iter().map(|path| (path, &bearer)).chain(pages.iter().map(|path| (path, &cookie)));
    println!(
        "{:<52}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "ms, as it is and as it was", "p50", "p99", "p50 at", "p99 at", "p50 x", "p99 x"
    );
    let mut connection = Connection::new().map_err(|error| format!("{BIND}: {error}"))?;
    for (path, credential) in asked {
        let then = format!("{path}&at={at}").replace("?&", "?");
        let now = path.trim_end_matches('?');
        let (mut present, mut past) = (Vec::new(), Vec::new());
        for round in 0..WARM_UP + ROUNDS {
            for (path, times) in [(now, &mut present), (then.as_str(), &mut past)] {
                let time = connection.ask(path, credential).map_err(|error| format!("{path}: {error}"))?;
                if round >= WARM_UP {
                    times.push(time);
                }
            }
        }
        present.sort();
        past.sort();
        let [now_50, now_99, then_50, then_99] =
            [(&present, 50), (&present, 99), (&past, 50), (&past, 99)].map(|(times, of)| share(times, of));
        println!(
            "{:<52}{now_50:>9.2}{now_99:>9.2}{then_50:>9.2}{then_99:>9.2}{:>9.2}{:>9.2}",
            named(now, association, role, &arn),
            then_50 / now_50,
            then_99 / now_99
        );
    }
    println!("\nload {}", super::load());
    Ok(())
}

/// An address without the names of this run's resources.
fn named(path: &str, association: &str, role: &str, arn: &str) -> String {
    path.replace(association, "{key}").replace(role, "{arn}").replace(arn, "{arn}")
}

/// The time that so many of a hundred answers did not exceed, in milliseconds.
fn share(times: &[Duration], of: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    times.get((times.len() * of / 100).min(last)).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
}

/// One connection to the server.
struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Connection {
    fn new() -> std::io::Result<Self> {
        let stream = TcpStream::connect(BIND)?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream.try_clone()?), writer: stream })
    }

    /// How long an answer takes, read to its end.
    fn ask(&mut self, path: &str, credential: &str) -> std::io::Result<Duration> {
        let begun = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {BIND}\r\n{credential}\r\n\r\n");
        self.writer.write_all(request.as_bytes())?;
        let (mut line, mut length, mut status) = (String::new(), 0_u64, String::new());
        while self.reader.read_line(&mut line)? > 0 && line.trim_end() != "" {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            } else if lower.starts_with("http/1.1") {
                status = lower.split_whitespace().nth(1).unwrap_or_default().to_owned();
            }
            line.clear();
        }
        if status != "200" || length == 0 {
            return Err(std::io::Error::other(format!("it answered `{status}` with {length} bytes")));
        }
        std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink())?;
        Ok(begun.elapsed())
    }
}
