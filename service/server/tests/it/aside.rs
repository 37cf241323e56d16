//! Input at which the process dies each time: set aside, shown, and everything else goes on.

use crate::kills::{import, import_folder, known, same, session};
use crate::subsets::ACCOUNTS;
use crate::support::{Ended, Folder, Harness, rolecall, run_beside};
use chrono::{TimeDelta, Utc};
use rolecall_store::testing::{Database, database};
use rolecall_store::{SetAside, UnitKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

/// Runs a command that dies at a point, twice; then again, when it comes no more to that point.
async fn dies_twice(command: impl Fn() -> Command, point: &str) -> Ended {
    let at = || {
        let mut command = command();
        command.env("ROLECALL_ABORT_AT", point);
        command
    };
    for time in 1..=2 {
        let ended = run_beside(at()).await;
        assert_eq!(ended.code, None, "it dies at {point}, time {time}: {ended:?}");
    }
    let ended = run_beside(at()).await;
    assert_eq!(ended.code, Some(0), "the third time it goes on without it: {ended:?}");
    ended
}

fn admin(database: &Database, home: &Folder, words: &[&str]) -> Command {
    let mut command = rolecall(home.path());
    command.args(["admin", "set-aside"]).args(words).env("DATABASE_URL", &database.url);
    command
}

/// What is set aside, as the store and the command line tell it; one unit.
async fn one_aside(database: &Database, home: &Folder, kind: UnitKind, end: &str) -> SetAside {
    let aside = database.store.set_aside().await.unwrap();
    assert_eq!(aside.len(), 1, "{aside:#?}");
    assert!(aside[0].kind == kind && aside[0].unit.ends_with(end) && aside[0].deaths == 2, "{aside:#?}");
    let listed = run_beside(admin(database, home, &["list"])).await;
    assert!(listed.out.contains(&aside[0].unit), "{listed:?}");
    aside.into_iter().next().unwrap()
}

/// Reasons of the gaps of the latest scan, with their details.
async fn set_aside_gaps(database: &Database) -> Vec<Value> {
    let gaps = known(database).await["gaps"].clone();
    gaps.into_iter().filter(|gap| gap[5] == "set_aside").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_file_that_kills_an_import_is_set_aside_until_it_is_tried_again() {
    let folder = import_folder(Utc::now());
    let undisturbed = database().await.unwrap();
    let ended = run_beside(import(&folder, &undisturbed)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let wanted = known(&undisturbed).await;

    let database = database().await.unwrap();
    let ended = dies_twice(|| import(&folder, &database), "reading 02.json").await;
    let aside = one_aside(&database, &folder, UnitKind::Trail, "/02.json").await;
    assert!(ended.out.contains("Set aside") && ended.out.contains(&aside.unit), "{ended:?}");
    let gaps = set_aside_gaps(&database).await;
    assert!(gaps.len() == 1 && gaps[0][6].as_str().unwrap().contains("admin set-aside retry"), "{gaps:#?}");
    let read = known(&database).await["sessions"].len();
    assert_eq!(read + 1, wanted["sessions"].len(), "all but its one session is read");

    let retried = run_beside(admin(&database, &folder, &["retry", &aside.unit])).await;
    assert_eq!(retried.code, Some(0), "{retried:?}");
    let ended = run_beside(import(&folder, &database)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(database.store.set_aside().await.unwrap(), []);
    // A finding keeps the moment that it was opened for; which ones there are is the same.
    let without_moment = |mut all: BTreeMap<&'static str, Vec<Value>>| {
        all.get_mut("findings").unwrap().iter_mut().for_each(|finding| finding[8] = Value::Null);
        all
    };
    same(&without_moment(known(&database).await), &without_moment(wanted), "it was tried again");
    run_beside(admin(&database, &folder, &["retry", "nothing"])).await.one_line(&["`nothing`", "set-aside list"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_estate_that_kills_an_import_is_set_aside_until_it_is_another() {
    let (folder, database) = (import_folder(Utc::now()), database().await.unwrap());
    let name = format!("iam/{}/gaad.json", ACCOUNTS[0]);
    dies_twice(|| import(&folder, &database), &format!("reading {name}")).await;
    one_aside(&database, &folder, UnitKind::File, &name).await;
    let roles = database.store.estate(Utc::now()).await.unwrap().snapshot.roles;
    assert!(roles.iter().all(|role| role.arn.account_id().to_string() == ACCOUNTS[1]) && !roles.is_empty());
    // Another file of that name is another unit.
    let text = std::fs::read_to_string(folder.path().join(&name)).unwrap();
    folder.write(&name, &format!("{text}\n"));
    let ended = run_beside(import(&folder, &database)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(database.store.set_aside().await.unwrap(), []);
    assert!(database.store.estate(Utc::now()).await.unwrap().roles.len() > roles.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_at_whose_judging_the_process_dies_is_set_aside_and_the_others_are_judged() {
    let (folder, database) = (import_folder(Utc::now()), database().await.unwrap());
    let [deadly, other] = ACCOUNTS;
    let ended = dies_twice(|| import(&folder, &database), &format!("judging {deadly}")).await;
    assert!(ended.out.contains("Set aside"), "{ended:?}");
    one_aside(&database, &folder, UnitKind::Judging, deadly).await;
    let findings = known(&database).await["findings"].clone();
    let about = |account: &str| findings.iter().filter(|finding| finding.to_string().contains(account)).count();
    assert!(about(other) > 0 && about(deadly) < about(other), "{findings:#?}");
    let unknown = ended.out.lines().any(|line| line.contains(deadly) && line.contains("set_aside"));
    assert!(unknown, "{ended:?}");

    let retried = run_beside(admin(&database, &folder, &["retry", deadly])).await;
    assert_eq!(retried.code, Some(0), "{retried:?}");
    let ended = run_beside(import(&folder, &database)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let undisturbed = rolecall_store::testing::database().await.unwrap();
    run_beside(import(&folder, &undisturbed)).await;
    let part = |all: BTreeMap<&'static str, Vec<Value>>| {
        BTreeMap::from([("findings", all["findings"].clone()), ("tallies", all["tallies"].clone())])
    };
    same(&part(known(&database).await), &part(known(&undisturbed).await), "it was tried again");
}

/// A scan over an account with clusters, and a trail of it in a bucket.
struct Scanned {
    harness: Harness,
    folder: Folder,
    account: String,
    region: String,
}

impl Scanned {
    async fn new() -> Self {
        let estate = rolecall_sandbox::demo::estate(Utc::now());
        let places = estate.accounts.iter().flat_map(|(id, account)| account.regions.iter().map(move |it| (id, it)));
        let (account, region) = places
            .filter(|(_, (_, region))| !region.clusters.is_empty())
            .map(|(id, (name, _))| (id.clone(), name.clone()))
            .next()
            .unwrap();
        let harness = Harness::over(estate).await;
        harness.sandbox.make_bucket("org-trail", "us-east-1");
        Self { harness, folder: Folder::new(), account, region }
    }

    fn name(&self, n: u64, days: i64) -> String {
        let at = Utc::now() - TimeDelta::days(days);
        format!("{}_CloudTrail_{}_{}_{n:016}.json.gz", self.account, self.region, at.format("%Y%m%dT0100Z"))
    }

    fn text(&self, n: u64, days: i64) -> String {
        let mut event = session(&self.account, n * 2, Utc::now() - TimeDelta::days(days));
        event["awsRegion"] = self.region.clone().into();
        json!({ "Records": [event] }).to_string()
    }

    /// Puts a file of a day; cut, it ends in the middle.
    fn put(&self, n: u64, days: i64, cut: bool) {
        let at = Utc::now() - TimeDelta::days(days);
        let place = format!("AWSLogs/{}/CloudTrail/{}/{}", self.account, self.region, at.format("%Y/%m/%d"));
        let key = format!("{place}/{}", self.name(n, days));
        let text = self.text(n, days);
        let text = if cut { text.get(..300).unwrap() } else { &text };
        assert!(self.harness.sandbox.put_object("org-trail", &key, text.as_bytes()));
    }

    fn scan(&self) -> Command {
        let text = "[aws]\ntrail_lookback_days = 7\nlookups_per_second = 1000\n[[trails]]\nname = \"org\"\n\
                    kind = \"s3\"\nbucket = \"org-trail\"\nlookback_days = 20\n";
        let config = self.folder.write("rolecall.toml", text);
        let mut command = self.harness.rolecall(&self.folder);
        command.arg("--config").arg(&config).arg("scan").env("ROLECALL_PART_BYTES", "1");
        command
    }

    /// Whether the session of a file is known.
    async fn knows(&self, n: u64) -> bool {
        let event = format!("session-{}-{}", self.account, n * 2);
        known(&self.harness.database).await["sessions"].iter().any(|session| session.to_string().contains(&event))
    }

    /// Gaps in the sessions of the place.
    async fn gaps(&self) -> Vec<Value> {
        let gaps = known(&self.harness.database).await["gaps"].clone();
        let here =
            |gap: &Value| gap[0] == self.account.as_str() && gap[1] == "sessions" && gap[2] == self.region.as_str();
        gaps.into_iter().filter(here).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_file_that_kills_a_scan_is_set_aside_and_comes_again_when_it_is_tried_again() {
    let scanned = Scanned::new().await;
    for (n, days) in [(0, 6), (1, 5), (2, 2)] {
        scanned.put(n, days, false);
    }
    let database = &scanned.harness.database;
    let name = scanned.name(1, 5);
    dies_twice(|| scanned.scan(), &format!("reading {name}")).await;
    let aside = one_aside(database, &scanned.folder, UnitKind::Trail, &name).await;
    assert!(scanned.knows(0).await && !scanned.knows(1).await && scanned.knows(2).await);
    // As long as its day is judged, and not only in the run that came to it.
    for _ in 0..2 {
        let gaps = scanned.gaps().await;
        assert!(gaps.iter().any(|gap| gap[5] == "set_aside" && gap[6].to_string().contains(&name)), "{gaps:#?}");
        let ended = run_beside(scanned.scan()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let retried = run_beside(admin(database, &scanned.folder, &["retry", &aside.unit])).await;
    assert_eq!(retried.code, Some(0), "{retried:?}");
    let ended = run_beside(scanned.scan()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(scanned.knows(1).await, "what lies before what was reached is listed again");
    assert_eq!(scanned.gaps().await, Vec::<Value>::new());
    assert_eq!(database.store.set_aside().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_trail_file_is_a_gap_as_long_as_its_day_is_judged() {
    let scanned = Scanned::new().await;
    scanned.put(0, 6, false);
    scanned.put(1, 2, true);
    // Its day lies before the window.
    scanned.put(2, 15, true);
    let name = scanned.name(1, 2);
    let day = (Utc::now() - TimeDelta::days(2)).date_naive().to_string();
    let mut unknown = Vec::new();
    for time in 0..3 {
        let ended = run_beside(scanned.scan()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let gaps = scanned.gaps().await;
        let (mine, others): (Vec<&Value>, Vec<&Value>) = gaps.iter().partition(|gap| gap[7] == day.as_str());
        assert!(mine.len() == 1 && mine[0][6].to_string().contains(&name), "scan {time}: {gaps:#?}");
        // That of the day before the window is told by the scan that reads it, and costs it nothing.
        assert_eq!(others.len(), usize::from(time == 0), "scan {time}: {others:#?}");
        let sum = "select sum(unknown)::bigint from rule_tally where run_id = (select max(run_id) from rule_tally)";
        let mut connection = scanned.harness.database.connect().await.unwrap();
        unknown.push(sqlx::query_scalar::<_, i64>(sum).fetch_one(&mut connection).await.unwrap());
    }
    assert!(unknown[0] > 0 && unknown.iter().all(|count| *count == unknown[0]), "{unknown:?}");

    // The whole file, by whatever way it comes.
    let path = format!("AWSLogs/{}/CloudTrail/{}/{name}", scanned.account, scanned.region);
    scanned.folder.write(&format!("mended/{path}"), &scanned.text(1, 2));
    let mut import = scanned.harness.rolecall(&scanned.folder);
    import.arg("import").arg(scanned.folder.path().join("mended"));
    let ended = run_beside(import).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = run_beside(scanned.scan()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(scanned.gaps().await, Vec::<Value>::new(), "its file was read whole since");
}
