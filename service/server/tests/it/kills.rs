//! A process that is killed anywhere in an audit, and the next audit: together they know what one that
//! nobody disturbs knows.
//!
//! Kills are at points of the program (`ROLECALL_ABORT_AT`): each point once, and chains of seven, 114 in
//! all. `ROLECALL_KILLS=1000` draws chains of so many kills, `ROLECALL_KILL_SEED` others than those of the
//! day. At some points it is the database that is killed.

use crate::subsets::{ACCOUNTS, REGION, whole};
use crate::support::{Folder, Harness, rolecall, run_beside};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::audit::import::{ImportOptions, collect};
use rolecall::audit::rules::Rules;
use rolecall::audit::run::{Audit, Collected};
use rolecall::error::Error;
use rolecall::progress::Progress;
use rolecall_postgres::{Options, start};
use rolecall_store::testing::{Database, database};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const NAMED_ONLY: &str = "999900001111";

/// Points of the walk, and how often an import of [`import_folder`] passes each.
const IMPORT: &[(&str, u64)] = &[
    ("run begun", 1),
    ("part written", 6),
    ("part kept", 6),
    ("batch written", 1),
    ("batch kept", 1),
    ("batch acknowledged", 1),
    ("snapshot written", 1),
    ("snapshot kept", 1),
    ("sessions attributed", 1),
    ("estate loaded", 1),
    ("judged", 1),
    ("findings kept", 1),
    ("changes kept", 1),
];

pub(crate) fn session(account: &str, n: u64, at: DateTime<Utc>) -> Value {
    json!({
        "eventVersion": "1.08", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "awsRegion": REGION,
        "sourceIPAddress": "pods.eks.amazonaws.com", "eventID": format!("session-{account}-{n}"),
        "requestParameters": {
            "roleArn": format!("arn:aws:iam::{account}:role/api"),
            "roleSessionName": if n.is_multiple_of(2) { "not-of-eks" } else { "eks-blue-api-498124c2-a555-40bf-9059-ca9a26821eb0" }
        },
        "responseElements": {"credentials": {"accessKeyId": format!("ASIA{account}{n}")}},
        "eventType": "AwsApiCall", "recipientAccountId": account, "eventCategory": "Management"
    })
}

fn call(account: &str, n: u64, at: DateTime<Utc>) -> Value {
    json!({
        "eventVersion": "1.09", "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
        "userIdentity": {
            "type": "AssumedRole", "accountId": account, "accessKeyId": format!("ASIA{account}{n}"),
            "arn": format!("arn:aws:sts::{account}:assumed-role/api/eks-blue-api"), "principalId": "AROAEXAMPLE:eks-blue-api",
            "sessionContext": {"sessionIssuer": {
                "type": "Role", "arn": format!("arn:aws:iam::{account}:role/api"), "accountId": account
            }}
        },
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "awsRegion": REGION, "sourceIPAddress": "203.0.113.9",
        "eventID": format!("call-{account}-{n}"), "requestID": format!("request-{n}"),
        "requestParameters": {"bucketName": "b", "key": "k"}, "responseElements": null,
        "recipientAccountId": account, "eventCategory": "Data"
    })
}

/// An estate, and a trail of it that reaches much further back than what an audit looks at by itself:
/// with an account that only records name, a record that cannot be read, and a file that is torn.
pub(crate) fn import_folder(now: DateTime<Utc>) -> Folder {
    let folder = Folder::new();
    for (path, content) in whole() {
        folder.write(&path, &content.to_string());
    }
    let days_ago = |days: i64| now - TimeDelta::days(days);
    let [first, second] = ACCOUNTS;
    let mut lacking = call(first, 3, days_ago(150));
    lacking["eventTime"] = "sometime".into();
    let files = [
        (
            first,
            REGION,
            vec![session(first, 1, days_ago(200)), session(first, 2, days_ago(200)), call(first, 1, days_ago(200))],
        ),
        (first, "eu-west-1", vec![session(first, 4, days_ago(160)), lacking]),
        (NAMED_ONLY, REGION, vec![session(NAMED_ONLY, 2, days_ago(150)), call(NAMED_ONLY, 2, days_ago(150))]),
        (second, REGION, vec![session(second, 2, days_ago(120)), session(second, 3, days_ago(120))]),
        (second, "us-east-1", vec![call(second, 3, days_ago(119)), call(second, 2, days_ago(60))]),
        (first, REGION, vec![session(first, 6, days_ago(40)), session(first, 7, days_ago(1))]),
    ];
    for (n, (account, region, records)) in files.into_iter().enumerate() {
        let path = format!("trail/AWSLogs/{account}/CloudTrail/{region}/2026/01/{n:02}.json");
        folder.write(&path, &json!({ "Records": records }).to_string());
    }
    let incomplete = json!({ "Records": [call(second, 9, days_ago(30))] }).to_string();
    folder
        .write(&format!("trail/AWSLogs/{second}/CloudTrail/eu-west-1/2026/01/09.json"), incomplete.get(..300).unwrap());
    folder
}

/// Asked of what is known.
const ASKED: &[(&str, &str)] = &[
    (
        "findings",
        "select jsonb_build_array(fingerprint, rule, severity, detection, workflow, message, stale_why, part_of,
                happened_at) from finding",
    ),
    ("sessions", "select to_jsonb(s) - 'first_run' from session s"),
    (
        "usage",
        "select jsonb_build_array(u.account_id, r.text, p.access_key_id, p.association_id, a.text, s.text, u.day,
                u.calls, u.errors, u.denied, u.first_at, u.last_at)
         from trail_use u join trail_principal p on p.account_id = u.account_id and p.id = u.principal
         join trail_name r on r.account_id = u.account_id and r.id = p.role
         join trail_name a on a.account_id = u.account_id and a.id = u.action
         join trail_name s on s.account_id = u.account_id and s.id = u.shape",
    ),
    ("scopes", "select jsonb_build_array(account_id, scope, region, cluster, complete) from coverage"),
    (
        "gaps",
        "select jsonb_build_array(g.account_id, g.scope, g.region, g.cluster, g.action, g.reason, g.detail, g.day)
         from coverage_gap g join coverage c on c.account_id = g.account_id and c.scope = g.scope
              and c.region = g.region and c.cluster = g.cluster and c.last_run = g.run_id",
    ),
    ("dates", "select jsonb_build_array(account_id, at) from account_date where at < now() - interval '1 hour'"),
    ("days", "select jsonb_build_array(account_id, region, day, files, events) from trail_day"),
    ("problems", "select jsonb_build_array(source, file, place, kind, message) from trail_problem"),
    ("owed", "select to_jsonb(o) from owed_judgement o"),
    (
        "tallies",
        "select jsonb_build_array(rule, account_id, pass, fail, not_applicable, unknown, error) from rule_tally
         where run_id = (select max(run_id) from rule_tally)",
    ),
];

/// What is known, but for numbers of runs and the moments at which they looked.
pub(crate) async fn known(database: &Database) -> BTreeMap<&'static str, Vec<Value>> {
    known_by(&mut database.connect().await.unwrap()).await
}

async fn known_by(connection: &mut sqlx::PgConnection) -> BTreeMap<&'static str, Vec<Value>> {
    let mut known = BTreeMap::new();
    for (what, sql) in ASKED {
        let mut rows: Vec<Value> = sqlx::query_scalar(*sql).fetch_all(&mut *connection).await.unwrap();
        rows.sort_by_key(ToString::to_string);
        known.insert(*what, rows);
    }
    known
}

#[track_caller]
pub(crate) fn same(
    known: &BTreeMap<&'static str, Vec<Value>>,
    wanted: &BTreeMap<&'static str, Vec<Value>>,
    after: &str,
) {
    for (what, wanted) in wanted {
        let known = &known[what];
        let lost: Vec<_> = wanted.iter().filter(|row| !known.contains(row)).collect();
        let added: Vec<_> = known.iter().filter(|row| !wanted.contains(row)).collect();
        assert!(known == wanted, "{what} after {after}: lost {lost:#?}, added {added:#?}");
    }
}

pub(crate) fn import(folder: &Folder, database: &Database) -> Command {
    let mut command = rolecall(folder.path());
    command.arg("import").arg(folder.path()).env("DATABASE_URL", &database.url).env("ROLECALL_PART_BYTES", "1");
    command
}

/// Runs a command that is killed at some points, one after the other, and then undisturbed.
async fn killed(command: impl Fn() -> Command, points: &[String]) {
    for point in points {
        let mut command = command();
        command.env("ROLECALL_ABORT_AT", point);
        let ended = run_beside(command).await;
        assert_eq!(ended.code, None, "{point} is passed: {ended:?}");
    }
    let ended = run_beside(command()).await;
    assert_eq!(ended.code, Some(0), "after {points:?}: {ended:?}");
}

fn every(points: &[(&str, u64)]) -> Vec<String> {
    points.iter().flat_map(|(name, times)| (1..=*times).map(move |time| format!("{name}:{time}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_anywhere_loses_nothing() {
    let folder = import_folder(Utc::now());
    let undisturbed = database().await.unwrap();
    killed(|| import(&folder, &undisturbed), &[]).await;
    let wanted = known(&undisturbed).await;
    for what in ["findings", "sessions", "usage", "gaps", "problems"] {
        assert!(!wanted[what].is_empty(), "{what}");
    }
    assert_eq!(wanted["owed"], Vec::<Value>::new(), "an audit that ends owes nothing");
    let long_ago = Utc::now() - TimeDelta::days(100);
    let older =
        |finding: &&Value| finding[8].as_str().is_some_and(|at| at.parse::<DateTime<Utc>>().unwrap() < long_ago);
    assert!(wanted["findings"].iter().filter(older).count() >= 3, "on old sessions too: {:#?}", wanted["findings"]);

    let mut draws = every(IMPORT).into_iter().map(|point| vec![point]).collect::<Vec<_>>();
    draws.extend(chains(IMPORT, 10));
    for points in draws {
        let database = database().await.unwrap();
        killed(|| import(&folder, &database), &points).await;
        same(&known(&database).await, &wanted, &format!("{points:?}"));
    }
}

/// Kills of one chain: each is of the run that takes up what the one before it left.
const CHAIN: usize = 7;

/// Chains of points, drawn by the seed. A kill costs one run this way, and not a database and a run to the
/// end besides.
fn chains(points: &[(&str, u64)], standard: usize) -> Vec<Vec<String>> {
    use rand::{RngExt as _, SeedableRng as _};
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("ROLECALL_KILL_SEED").unwrap_or(20_261_129);
    let wanted = number("ROLECALL_KILLS").map_or(standard, |kills| usize::try_from(kills).unwrap().div_ceil(CHAIN));
    println!("ROLECALL_KILL_SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let all = every(points);
    // Files that were kept are not read again, so the further kills are after them.
    let (late, kept) = (every(&points[3..]), every(&points[4..]));
    let draw = |_| {
        let mut chain = vec![all[random.random_range(0..all.len())].clone()];
        while chain.len() < CHAIN {
            // Two processes in a row that die at a file which neither keeps set it aside (`aside`).
            let before = chain.last().is_some_and(|last| !kept.contains(last));
            let further = if before { &kept } else { &late };
            chain.push(further[random.random_range(0..further.len())].clone());
        }
        chain
    };
    (0..wanted).map(draw).collect()
}

/// Points of a scan with a trail in a bucket.
const SCAN: &[(&str, u64)] = &[
    ("part kept", 2),
    ("batch kept", 1),
    ("batch acknowledged", 1),
    ("snapshot written", 1),
    ("snapshot kept", 1),
    ("sessions attributed", 1),
    ("judged", 1),
    ("findings kept", 1),
    ("changes kept", 1),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_is_killed_anywhere_loses_nothing() {
    let estate = rolecall_sandbox::demo::estate(Utc::now());
    let places = estate.accounts.iter().flat_map(|(id, account)| account.regions.iter().map(move |it| (id, it)));
    let place =
        places.filter(|(_, (_, region))| !region.clusters.is_empty()).map(|(id, (name, _))| (id.clone(), name.clone()));
    let (account, region) = place.clone().next().unwrap();
    let mut wanted = None;
    for point in std::iter::once(None).chain(every(SCAN).into_iter().map(Some)) {
        let harness = Harness::over(estate.clone()).await;
        harness.sandbox.make_bucket("org-trail", "us-east-1");
        for n in 0..4_u64 {
            let at = Utc::now() - TimeDelta::days(i64::try_from(9 + n).unwrap());
            let mut event = session(&account, n * 2, at);
            event["awsRegion"] = region.clone().into();
            // The same whenever the test runs this often: what is compared holds its times.
            event["eventTime"] = at.format("%Y-%m-%dT00:00:00Z").to_string().into();
            let file = format!("{account}_CloudTrail_{region}_{}_{n:016}.json.gz", at.format("%Y%m%dT0100Z"));
            let key = format!("AWSLogs/{account}/CloudTrail/{region}/{}/{file}", at.format("%Y/%m/%d"));
            assert!(harness.sandbox.put_object(
                "org-trail",
                &key,
                json!({ "Records": [event] }).to_string().as_bytes()
            ));
        }
        let folder = Folder::new();
        let text = "[aws]\ntrail_lookback_days = 2\nlookups_per_second = 1000\n[[trails]]\nname = \"org\"\nkind = \"s3\"\nbucket = \"org-trail\"\nlookback_days = 20\n";
        let config = folder.write("rolecall.toml", text);
        let command = || {
            let mut command = harness.rolecall(&folder);
            command.arg("--config").arg(&config).arg("scan").env("ROLECALL_PART_BYTES", "1");
            command
        };
        let points: Vec<String> = point.into_iter().collect();
        killed(command, &points).await;
        let known = known(&harness.database).await;
        match &wanted {
            None => {
                let bucket = known["findings"].iter().filter(|finding| finding.to_string().contains("session-"));
                assert!(bucket.count() > 0, "{:#?}", known["findings"]);
                assert_eq!(known["owed"], Vec::<Value>::new());
                wanted = Some(known);
            }
            // What nobody kills is asked of AWS again, at another second; the trail is not.
            Some(wanted) => {
                for what in ["findings", "gaps", "usage", "owed"] {
                    let part = |all: &BTreeMap<&'static str, Vec<Value>>| BTreeMap::from([(what, all[what].clone())]);
                    same(&part(&known), &part(wanted), &format!("{points:?}"));
                }
            }
        }
    }
}

/// An audit that is stopped when its trail has been read, and one that is stopped before.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_is_stopped_says_what_is_kept() {
    let folder = import_folder(Utc::now());
    let (paths, store) = ([folder.path().to_owned()], database().await.unwrap().store);
    let stopped = |reads: bool| {
        let (paths, store, cancel) = (paths.clone(), store.clone(), CancellationToken::new());
        let audit = Audit {
            store: store.clone(),
            rules: Arc::new(Rules::load(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies"))).unwrap()),
            kind: "import",
            trigger: "test".to_owned(),
            window: TimeDelta::days(7),
            kept: Duration::from_secs(400 * 86_400),
            assumed: std::collections::BTreeSet::new(),
            declared: rolecall::config::DeclaredConfig::default(),
            baselines: rolecall::config::BaselinesConfig::default(),
            figures: false,
            progress: Progress::silent(),
            cancel: cancel.clone(),
        };
        async move {
            let stopped = audit.run(|run, sender| async move {
                if reads {
                    collect(run, &paths, ImportOptions::default(), &store, sender, Progress::silent()).await?;
                }
                cancel.cancel();
                std::future::pending::<Result<Collected, Error>>().await
            });
            stopped.await.unwrap_err()
        }
    };
    let nothing = stopped(false).await;
    assert!(nothing.is_interruption());
    assert_eq!(nothing.to_string(), "stopped before the end; nothing of it is kept");
    let kept = stopped(true).await;
    assert!(kept.is_interruption());
    assert_eq!(kept.to_string(), "stopped before the end; what it read is kept, and the next audit judges it");
    let runs = store.runs(None, 1).await.unwrap();
    assert_eq!(runs[0].error.as_deref(), Some(kept.to_string().as_str()));
}

/// The database itself is killed in the middle, and comes back with what it had kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_in_an_import_loses_nothing() {
    let folder = import_folder(Utc::now());
    let mut wanted = None;
    for point in [None, Some("part kept:2"), Some("part written:4"), Some("snapshot written"), Some("judged")] {
        let home = Folder::new();
        let options = Options { fetch: None, ..Options::new(home.path().join("data")) };
        let server = start(&options).await.unwrap();
        let url = server.url();
        let command = || {
            let mut command = rolecall(folder.path());
            command.arg("import").arg(folder.path()).env("DATABASE_URL", &url).env("ROLECALL_PART_BYTES", "1");
            command
        };
        let mut migrate = rolecall(folder.path());
        migrate.arg("migrate").env("DATABASE_URL", &url);
        let ended = run_beside(migrate).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        if let Some(point) = point {
            let file = std::fs::read_to_string(home.path().join("data/pgdata/postmaster.pid")).unwrap();
            let mut command = command();
            command.env("ROLECALL_KILL_AT", point).env("ROLECALL_KILL_PID", file.lines().next().unwrap());
            let ended = run_beside(command).await;
            assert_eq!(ended.code, Some(2), "the database is gone at {point}: {ended:?}");
        }
        drop(server);
        let server = start(&options).await.unwrap();
        assert_eq!(server.url(), url);
        let ended = run_beside(command()).await;
        assert_eq!(ended.code, Some(0), "after {point:?}: {ended:?}");
        let mut connection = sqlx::PgConnection::connect_with(&server.options()).await.unwrap();
        let known = known_by(&mut connection).await;
        connection.close().await.unwrap();
        server.stop().await.unwrap();
        match &wanted {
            None => wanted = Some(known),
            Some(wanted) => same(&known, wanted, &format!("the database was killed at {point:?}")),
        }
    }
}

/// Steps of the demo: all but the last in the second scan of a run, so that each run scans a day whole and ends
/// in the next; the last in the scan of today.
const DEMO: &[&str] = &[
    "run begun:2",
    "batch written:2",
    "batch kept:2",
    "batch acknowledged:2",
    "snapshot written:2",
    "snapshot kept:2",
    "sessions attributed:2",
    "estate loaded:2",
    "judged:2",
    "findings kept:2",
    "changes kept:3",
];

/// The demo, killed at each of its steps, one run after the other, over one folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_killed_at_each_step_shows_what_an_undisturbed_one_shows() {
    let shown = async |points: &[&str]| {
        let home = Folder::new();
        let data = home.path().join("data");
        let demo = || {
            let mut command = rolecall(home.path());
            command.arg("--data-dir").arg(&data).args(["demo", "--once"]);
            command
        };
        let points: Vec<String> = points.iter().map(|point| (*point).to_owned()).collect();
        killed(demo, &points).await;
        let options = Options { fetch: None, ..Options::new(data.join("demo")) };
        let server = start(&options).await.unwrap();
        let mut connection = sqlx::PgConnection::connect_with(&server.options()).await.unwrap();
        let mut known = known_by(&mut connection).await;
        let changes =
            "select jsonb_build_array(account_id, resource_type, resource, change, effect, attribution, actor)
                       from change";
        let mut changes: Vec<Value> = sqlx::query_scalar(changes).fetch_all(&mut connection).await.unwrap();
        changes.sort_by_key(ToString::to_string);
        connection.close().await.unwrap();
        server.stop().await.unwrap();
        known.retain(|what, _| ["findings", "scopes", "gaps", "usage", "problems", "owed"].contains(what));
        // A change is known by the numbers of the two runs that show it, and killed runs have numbers too.
        let findings = known.entry("findings").or_default();
        for row in findings.iter_mut().filter_map(Value::as_array_mut) {
            if row[1].as_str().is_some_and(|rule| rule.starts_with("change-")) {
                let is_fingerprint = |cell: &&mut Value| cell.as_str().is_some_and(|text| text.starts_with("v1:"));
                row.iter_mut().filter(is_fingerprint).for_each(|cell| *cell = "v1:".into());
            }
        }
        findings.sort_by_key(ToString::to_string);
        known.insert("changes", changes);
        known
    };
    let wanted = shown(&[]).await;
    assert!(wanted["findings"].len() > 30 && wanted["changes"].len() > 10, "{:#?}", wanted["findings"]);
    same(&shown(DEMO).await, &wanted, "a kill at each step");
}
