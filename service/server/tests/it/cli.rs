//! The built binary as people and programs meet it.

use crate::support::{Folder, Harness, rolecall, run, run_beside};
use rolecall_sandbox::Fault;
use rolecall_store::RunState;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Stdio};

fn data(folder: &Folder, words: &[&str]) -> Command {
    let mut command = rolecall(folder.path());
    command.arg("--data-dir").arg(folder.path().join("data")).args(words);
    command
}

#[test]
fn a_second_demo_writes_nothing() {
    let folder = Folder::new();
    let first = run(&mut data(&folder, &["--format", "json", "demo", "--once"]));
    assert_eq!(first.code, Some(0), "{first:?}");
    let summary = first.json();
    for key in [
        "accounts",
        "roles",
        "policies",
        "clusters",
        "associations",
        "sessions",
        "documents_written",
        "resources_changed",
        "api_calls",
        "rows_written",
    ] {
        assert!(summary[key].as_u64().unwrap() > 0, "{key} of {summary}");
    }
    // Of one file of the trail only the beginning is there.
    assert_eq!(summary["gaps"], 1, "{summary}");
    let gap = &summary["unseen"][0];
    assert_eq!((&gap["action"], &gap["reason"]), (&"rolecall:ReadTrail".into(), &"malformed".into()), "{summary}");
    assert!(summary["findings"]["critical"].as_u64().unwrap() > 0, "{summary}");

    // The days before were told, too: what changed on them, by whom, and what of it is approved.
    let mut export = rolecall(folder.path());
    export.arg("--data-dir").arg(folder.path().join("data/demo")).args(["export", "changes", "--format", "ndjson"]);
    let changes = run(&mut export);
    let changes: Vec<Value> = changes.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let distinct =
        |field: &str| -> BTreeSet<&str> { changes.iter().filter_map(|change| change[field].as_str()).collect() };
    assert!(distinct("change").len() >= 20 && distinct("detected_at").len() >= 12, "{changes:?}");
    assert_eq!(distinct("effect"), BTreeSet::from(["none", "narrowed", "widened"]));
    assert_eq!(distinct("attribution"), BTreeSet::from(["exact", "none"]));
    assert_eq!(distinct("approval_ticket").len(), 3);
    let release = changes.iter().find(|change| change["change"] == "policy_attached").unwrap();
    assert_eq!((&release["effect"], &release["approval"]), (&"widened".into(), &Value::Null), "{release}");
    assert!(release["actor"].as_str().unwrap().contains("AWSReservedSSO_AdministratorAccess_"), "{release}");

    let mut export = rolecall(folder.path());
    let grave = ["export", "findings", "--subject-kind", "change", "--severity", "critical", "--state", "open"];
    export.arg("--data-dir").arg(folder.path().join("data/demo")).args(grave);
    let grave: Vec<Value> = run(&mut export).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |rule: &str| grave.iter().filter(|row| row["rule_id"] == rule).collect::<Vec<_>>();
    assert_eq!((grave.len(), of("change-trusts-external-account").len()), (3, 2), "{grave:#?}");
    let [administrator] = of("change-grants-administrator")[..] else { panic!("{grave:#?}") };
    assert_eq!(administrator["subject"], release["change_id"]);
    assert_eq!(administrator["workloads"][0]["association"], release["affected"][0]);

    // One of its clusters was updated eight days ago.
    let clusters = |at: &[&str]| {
        let mut export = rolecall(folder.path());
        export.arg("--data-dir").arg(folder.path().join("data/demo")).args(["export", "clusters"]);
        run(export.args(["--account-id", "123456789012"]).args(at))
    };
    let then = (chrono::Utc::now() - chrono::TimeDelta::days(10)).date_naive().to_string();
    let (is, was) = (clusters(&[]).json(), clusters(&["--at", &then]).json());
    assert_eq!((&is["arn"], &is["version"], &was["version"]), (&was["arn"], &"1.34".into(), &"1.33".into()));
    assert!(is["open_findings"].as_u64() > Some(0) && was["open_findings"].is_null(), "{was}");
    clusters(&["--at", "2999-01-01"]).one_line(&["is still to come", "--at"]);

    let second = run(&mut data(&folder, &["demo", "--once"]));
    assert_eq!(second.code, Some(0), "{second:?}");
    // What is lacking of the file stays lacking.
    let gap = "sessions incomplete: rolecall:ReadTrail malformed";
    for part in ["0 documents written, 0 resources changed", "critical", "Coverage  1 gap", gap] {
        assert!(second.out.contains(part), "no `{part}` in {second:?}");
    }
    assert!(second.err.contains("Evaluating rules"), "plain lines tell of progress: {second:?}");
    let log = std::fs::read_dir(folder.path().join("data/demo")).unwrap();
    assert!(log.count() > 0, "the demo keeps to a folder of its own");
}

#[test]
fn the_demo_keeps_out_of_other_databases() {
    let folder = Folder::new();
    run(data(&folder, &["demo", "--once"]).env("DATABASE_URL", "postgresql://127.0.0.1:1/real"))
        .one_line(&["generated organization", "without"]);
}

#[test]
fn a_database_url_that_leads_nowhere_is_one_line() {
    let folder = Folder::new();
    let migrate = |url: &str| run(data(&folder, &["--database-url", url, "migrate"]).stdin(Stdio::null()));
    migrate("postgresql://someone:hunter2@127.0.0.1:1/rolecall").one_line(&["127.0.0.1:1", "PostgreSQL"]);
    migrate("nonsense").one_line(&["database URL"]);
    assert!(!migrate("postgresql://someone:hunter2@127.0.0.1:1/rolecall").err.contains("hunter2"));
}

#[test]
fn a_port_that_is_taken_is_one_line() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for command in ["serve", "demo"] {
        run(&mut data(&folder, &[command, "--bind", &addr])).one_line(&[&addr, "--bind"]);
    }
    assert!(!folder.path().join("data").exists(), "nothing was started before the port was known to be free");
}

#[test]
fn a_public_bind_needs_a_decision() {
    let folder = Folder::new();
    let ended = run(&mut data(&folder, &["serve", "--bind", "0.0.0.0:0"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("[auth]") && ended.err.contains("127.0.0.1"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_region_and_credentials_are_one_line_each() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let scan = |env: &[(&str, &str)]| {
        let mut command = rolecall(folder.path());
        command.arg("scan").env("DATABASE_URL", &database.url).envs(env.iter().copied());
        run_beside(command)
    };
    scan(&[]).await.one_line(&["region", "AWS_REGION"]);
    scan(&[("AWS_REGION", "eu-west-1")]).await.one_line(&["credentials", "AWS_PROFILE"]);
    let runs = database.store.runs(None, 10).await.unwrap();
    assert!(runs.iter().all(|run| run.state == RunState::Failed && run.snapshot_at.is_none()), "{runs:?}");
    assert_eq!(runs.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_one_line() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(chrono::Utc::now())).await;
    harness.sandbox.faults().inject(Fault::new(rolecall_sandbox::FaultKind::ExpiredToken, "sts:GetCallerIdentity"));
    let folder = Folder::new();
    let mut command = harness.rolecall(&folder);
    command.arg("scan");
    run_beside(command).await.one_line(&["AWS does not accept the credentials"]);
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = Folder::new();
    // A configuration with mistakes does not matter to them.
    folder.write("rolecall.toml", "nonsense = 1");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let completions = run(rolecall(folder.path()).args(["completions", shell]));
        assert_eq!(completions.code, Some(0), "{completions:?}");
        for word in ["import", "what-if", "fail-on", "workloads", "severity-min"] {
            assert!(completions.out.contains(word), "{shell}: {word}");
        }
    }
    let man = run(rolecall(folder.path()).args(["man", "--out", "man1"]));
    assert_eq!(man.code, Some(0), "{man:?}");
    let page = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name)).expect(name);
    for name in ["rolecall.1", "rolecall-import.1", "rolecall-export-findings.1", "rolecall-findings.1"] {
        assert!(page(name).contains(".TH rolecall"), "{name}");
    }
    let offers_data_dir = |name: &str| page(name).contains("data\\-dir");
    assert!(offers_data_dir("rolecall-findings.1") && !offers_data_dir("rolecall-openapi.1"));
    let alone = run(rolecall(folder.path()).arg("man"));
    assert!(alone.out.contains(".TH rolecall") && alone.code == Some(0), "{alone:?}");
}

#[test]
fn an_address_that_is_none_is_answered_with_the_one_that_was_meant() {
    let folder = Folder::new();
    let ended = run(&mut data(&folder, &["serve", "--bind", "18099"]));
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("write `127.0.0.1:18099`"), "{ended:?}");
}

#[test]
fn an_option_that_means_nothing_for_a_command_is_refused() {
    let folder = Folder::new();
    run(rolecall(folder.path()).args(["openapi", "--data-dir", "x"])).one_line(&["--data-dir", "rolecall openapi"]);
    // The environment's is of every command.
    let printed = run(rolecall(folder.path()).env("ROLECALL_DATA_DIR", "x").arg("openapi"));
    assert_eq!(printed.code, Some(0), "{printed:?}");
}

/// Rows for a pipe, and beside them what is missing of them.
#[tokio::test(flavor = "multi_thread")]
async fn lists_tell_what_was_not_seen_beside_their_rows() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(chrono::Utc::now())).await;
    let folder = Folder::new();
    let list = async |words: &[&str]| {
        let mut command = harness.rolecall(&folder);
        command.args(words);
        run_beside(command).await
    };
    let nothing = list(&["findings"]).await;
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(0), "number\tseverity\tstate\trule_id\tsubject\tmessage\n"));
    assert!(nothing.err.contains("0 findings that are open or acknowledged"), "{nothing:?}");
    assert!(nothing.err.contains("Nothing was scanned yet"), "{nothing:?}");

    harness.sandbox.faults().inject(Fault::new(rolecall_sandbox::FaultKind::Deny, "eks:ListClusters"));
    harness.audit().await.unwrap();
    let found = list(&["findings", "--severity", "critical,high", "--limit", "3"]).await;
    let rows: Vec<Vec<&str>> = found.out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 4, "{found:?}");
    assert!(rows.iter().all(|row| row.len() == 6), "{found:?}");
    assert!(rows[1..].iter().all(|row| ["critical", "high"].contains(&row[1]) && row[2] == "open"), "{found:?}");
    for part in ["3 of ", "`--limit ", "listings incomplete", "rolecall export gaps"] {
        assert!(found.err.contains(part), "no `{part}` in {found:?}");
    }
    for name in ["workloads", "associations", "roles", "sessions", "changes", "accounts"] {
        let listed = list(&[name]).await;
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let widths: BTreeSet<usize> = listed.out.lines().map(|line| line.split('\t').count()).collect();
        assert!(widths.len() == 1 && listed.err.contains("listings incomplete"), "{name}: {listed:?}");
    }
    // No cluster was listed: that there is none is not known.
    let accounts = list(&["accounts", "--format", "json"]).await.json();
    let clusters: Vec<&Value> = accounts["items"].as_array().unwrap().iter().map(|row| &row["clusters"]).collect();
    assert!(!clusters.is_empty() && clusters.iter().all(|count| count.is_null()), "{accounts}");
    assert!(accounts["coverage"]["incomplete_listings"].as_u64() > Some(0), "{accounts}");

    let one = list(&["findings", rows[1][0]]).await;
    for part in [rows[1][3], rows[1][5], "What decided", "What to do"] {
        assert!(one.out.contains(part), "no `{part}` in {one:?}");
    }
    assert_eq!(list(&["findings", rows[1][0], "--format", "json"]).await.json()["rule_id"], rows[1][3]);
    list(&["findings", "999999"]).await.one_line(&["999999", "rolecall findings"]);
    let mistyped = list(&["findings", "--severity", "grave"]).await;
    assert!(mistyped.code == Some(2) && mistyped.err.contains("critical"), "{mistyped:?}");
}

/// A mistyped option must not make an empty database, whose emptiness would pass for an answer.
#[test]
fn reading_from_a_folder_without_a_database_is_an_error() {
    let folder = Folder::new();
    let missing = folder.path().join("missing");
    for words in [&["export", "findings"][..], &["admin", "login"], &["admin", "token", "list"]] {
        let mut command = rolecall(folder.path());
        let ended = run(command.arg("--data-dir").arg(&missing).args(words));
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{words:?}");
        assert!(ended.err.contains("there is no database in") && ended.err.contains("--data-dir"), "{}", ended.err);
        assert!(!missing.exists(), "{words:?}");
    }
    std::fs::create_dir_all(missing.join("demo/pgdata")).unwrap();
    let ended = run(rolecall(folder.path()).arg("--data-dir").arg(&missing).args(["export", "findings"]));
    assert!(ended.err.contains(&format!("--data-dir {}", missing.join("demo").display())), "{}", ended.err);
}

#[tokio::test]
async fn reading_from_an_empty_database_of_ones_own_is_an_error() {
    let folder = Folder::new();
    let database = rolecall_store::testing::database().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&mut connection).await.unwrap();
    let ended = run(rolecall(folder.path()).env("DATABASE_URL", &database.url).args(["export", "findings"]));
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.contains("the database holds nothing of Rolecall"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_rows_that_programs_can_read() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(chrono::Utc::now())).await;
    harness.audit().await.unwrap();
    let folder = Folder::new();
    let export = |what: &str, format: &str| {
        let mut command = harness.rolecall(&folder);
        command.args(["export", what, "--format", format]);
        run_beside(command)
    };
    for (what, keys) in [
        ("findings", &["fingerprint", "rule_id", "severity", "detection", "subject", "account_id", "message"][..]),
        ("associations", &["account_id", "cluster", "namespace", "service_account", "role_arn"]),
        ("clusters", &["arn", "account_id", "region", "name", "addons", "access_entries", "associations"]),
        (
            "roles",
            &["role_arn", "account_id", "trust_digest", "boundary_arn", "inline_policies", "attached_policies", "tags"],
        ),
        (
            "sessions",
            &[
                "access_key_id",
                "time",
                "role_arn",
                "session_name",
                "account_id",
                "region",
                "cluster",
                "namespace",
                "service_account",
                "pod",
                "association_id",
                "attribution_method",
                "parent_access_key_id",
                "error",
            ],
        ),
    ] {
        let ndjson = export(what, "ndjson").await;
        assert_eq!(ndjson.code, Some(0), "{ndjson:?}");
        let rows: Vec<serde_json::Value> = ndjson.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!rows.is_empty(), "{what}");
        for (row, key) in rows.iter().flat_map(|row| keys.iter().map(move |key| (row, key))) {
            assert!(row.get(*key).is_some(), "{what}: no {key} in {row}");
        }
        let csv = export(what, "csv").await;
        assert!(csv.out.lines().next().is_some_and(|head| head.contains(keys[0])), "{what}");
        let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
        let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let own: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
        assert_eq!(head.iter().collect::<Vec<_>>(), own, "{what}: the columns are the keys");
        assert_eq!(reader.records().map(Result::unwrap).count(), rows.len(), "{what}");
    }
    assert_eq!(export("gaps", "ndjson").await.out, "");
    let refused = export("gaps", "text").await;
    refused.one_line(&["not one of ndjson, csv;"]);

    // The filters of the API's lists.
    let narrowed = |arguments: &[&str]| {
        let mut command = harness.rolecall(&folder);
        command.arg("export").args(arguments);
        run_beside(command)
    };
    let rows =
        |out: &str| -> Vec<serde_json::Value> { out.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let of_all = rows(&export("findings", "ndjson").await.out);
    let grave =
        narrowed(&["findings", "--severity", "critical,high", "--state", "open", "--subject-kind", "role"]).await;
    let is_grave = |row: &&serde_json::Value| {
        ["critical", "high"].contains(&row["severity"].as_str().unwrap())
            && row["state"] == "open"
            && row["subject_kind"] == "role"
    };
    assert_eq!(rows(&grave.out).iter().collect::<Vec<_>>(), of_all.iter().filter(is_grave).collect::<Vec<_>>());
    assert!(rows(&grave.out).len() > 1 && rows(&grave.out).len() < of_all.len());
    let associated = rows(&narrowed(&["roles", "--associated", "true"]).await.out);
    assert!(!associated.is_empty() && associated.iter().all(|row| row["associations"].as_u64() > Some(0)));
    let used = rows(&narrowed(&["usage", "--role-arn", associated[0]["role_arn"].as_str().unwrap()]).await.out);
    assert!(used.iter().all(|row| row["role_arn"] == associated[0]["role_arn"]), "{used:?}");
    for (arguments, said) in [
        (&["findings", "--severity", "hihg"][..], "`hihg` is not one of critical, high"),
        (&["findings", "--cluster", ""], "it has no value"),
        (&["findings", "--namspace", "a"], "--namespace"),
        (&["roles", "--severity", "high"], "unexpected argument"),
        (&["roles", "--account-id", "12"], "--account-id"),
        (&["usage", "--role-arn", "a", "--association-id", "b"], "`--association-id`"),
    ] {
        let refused = narrowed(arguments).await;
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
        assert!(refused.err.contains(said), "{arguments:?}: {}", refused.err);
    }
}

#[test]
fn rules_that_do_not_load_say_where_and_what_to_do() {
    let folder = Folder::new();
    let rule = "apiVersion: rolecall/v1\nkind: Rule\nmetadata:\n  id: Not A Slug\nspec:\n  subject: role\n  match: role.nmae == \"x\"\n";
    folder.write("policies/custom/wrong.yaml", rule);
    let dir = folder.path().join("policies").display().to_string();
    let ended = run(rolecall(folder.path()).args(["policies", "check", "--dir", &dir]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.lines().count() > 1, "all problems at once: {ended:?}");
    let at_place = |line: &str| {
        line.split("wrong.yaml:").nth(1).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    assert!(ended.err.lines().all(at_place), "{ended:?}");
    let json = run(rolecall(folder.path()).args(["--format", "json", "policies", "check", "--dir", &dir]));
    assert_eq!(json.code, Some(2));
    assert_eq!(json.json()["errors"].as_array().unwrap().len(), ended.err.lines().count());

    folder.write("policies/stray.yaml", rule);
    run(rolecall(folder.path()).args(["policies", "check", "--dir", &dir])).one_line(&["stray.yaml", "custom/"]);
}

#[test]
fn the_built_in_rules_are_sound_and_tested() {
    let folder = Folder::new();
    let check = run(rolecall(folder.path()).args(["policies", "check"]));
    assert_eq!((check.code, check.err.as_str()), (Some(0), ""), "{check:?}");
    let test = run(rolecall(folder.path()).args(["--format", "json", "policies", "test"]));
    assert_eq!(test.code, Some(0), "{test:?}");
    let results = test.json();
    assert!(results["rules"].as_u64().unwrap() >= 14 && results["tests"].as_u64().unwrap() >= 42, "{results}");
    let schema = run(rolecall(folder.path()).args(["policies", "schema"]));
    assert!(schema.json().is_object());
}

#[test]
fn options_that_a_command_cannot_honour_are_refused() {
    let folder = Folder::new();
    let csv = run(rolecall(folder.path()).args(["scan", "--format", "csv"]));
    csv.one_line(&["`--format csv`: not one of text, json;"]);
    run(rolecall(folder.path()).args(["openapi", "--format", "text"])).one_line(&["--format text", "json"]);
    run(rolecall(folder.path()).args(["serve", "--role", "worker", "--bind", "127.0.0.1:0"]))
        .one_line(&["worker", "--bind"]);
    let unknown = run(rolecall(folder.path()).args(["scan", "--fail-on", "dreadful"]));
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("critical, high"), "{unknown:?}");
    run(rolecall(folder.path()).args(["--log", "a=b=c", "policies", "check"])).one_line(&["--log"]);
}

#[test]
fn a_configuration_with_problems_names_them_all() {
    let folder = Folder::new();
    folder.write("rolecall.toml", "[aws]\nattempts = 0\n[schedule]\ncron = \"sometimes\"\n");
    let ended = run(rolecall(folder.path()).arg("scan"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.err.contains("rolecall.toml:2: aws.attempts") && ended.err.contains("rolecall.toml:4: schedule.cron"),
        "{ended:?}"
    );
    run(rolecall(folder.path()).args(["--config", "nowhere.toml", "scan"]))
        .one_line(&["nowhere.toml", "check the path"]);
}

#[test]
fn nobody_answers_a_health_check_of_nothing() {
    let folder = Folder::new();
    run(rolecall(folder.path()).args(["health", "--bind", "127.0.0.1:1"])).one_line(&["127.0.0.1:1", "rolecall serve"]);
}

pub(crate) async fn exported(harness: &Harness, folder: &Folder, what: &str) -> String {
    let mut command = harness.rolecall(folder);
    command.args(["export", what]);
    let ended = run_beside(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.out
}

#[test]
fn cases_are_answered_by_lines_and_nothing_else() {
    let folder = Folder::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../iam/cases/kms.json");
    let broken = folder.path().join("broken.jsonl");
    let case = |id: &str, expected: &str| {
        let request = r#"{"principal":"anonymous","action":"s3:GetObject","resource":"arn:aws:s3:::b/k"}"#;
        format!(r#"{{"id":"{id}","request":{request},"policies":{{}},"expected":"{expected}"}}"#)
    };
    let lines = |words: &[&str]| {
        let done = run(rolecall(folder.path()).args(words));
        let ids: Vec<String> = done
            .out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
            .collect();
        (done.code, ids)
    };

    let (code, ids) = lines(&["simulate", "--cases", shipped, "--check"]);
    assert_eq!((code, ids.len() > 15), (Some(0), true), "{ids:?}");

    std::fs::write(&broken, format!("{}\n{}\n", case("a", "Deny"), case("b", "Allow"))).unwrap();
    let broken = broken.to_str().unwrap();
    assert_eq!(lines(&["simulate", "--cases", broken]), (Some(0), vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(lines(&["simulate", "--check", "--cases", broken]).0, Some(1));
    std::fs::write(broken, format!("{}\n{{\"id\":\n{}\n", case("a", "Deny"), case("b", "Deny"))).unwrap();
    assert_eq!(lines(&["simulate", "--cases", broken]).0, Some(2));
    assert_eq!(lines(&["simulate", "--cases", "absent.json", shipped]).0, Some(2));
}

#[test]
fn changes_of_policies_are_compared() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let policy = |action: &str| format!(r#"{{"Statement":{{"Effect":"Allow","Action":"{action}","Resource":"*"}}}}"#);
    let (one, all) = (file("one.json", &policy("sqs:SendMessage")), file("all.json", &policy("sqs:*")));
    let compare = |words: &[&str]| run(rolecall(folder.path()).arg("compare").args(words));

    let wider = compare(&["--before", &one, "--after", &all]);
    assert_eq!(wider.code, Some(0), "{}", wider.err);
    assert!(
        wider.out.starts_with("widened, proved: ") && wider.out.contains("gained\n  action      sqs:"),
        "{}",
        wider.out
    );
    assert_eq!(compare(&["--before", &one, "--after", &all, "--no-wider"]).code, Some(1));
    assert_eq!(compare(&["--before", &all, "--after", &one, "--no-wider"]).code, Some(0));
    let same = compare(&["--format", "json", "--before", &one, "--after", &one]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&same.out).unwrap()["relation"], "equal");
    assert_eq!(compare(&["--before", &one, "--after", "absent.json"]).code, Some(2));
    assert_eq!(compare(&["--before", &one]).code, Some(2));

    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../iam/cases-compare/layers.json");
    let many = compare(&["--check", "--cases", shipped]);
    assert_eq!((many.code, many.out.lines().count() > 30), (Some(0), true), "{}", many.err);
    let pair = |expected: &str| {
        format!(r#"{{"id":"a","before":{{"policies":{{}}}},"after":{{"policies":{{}}}},"expected":"{expected}"}}"#)
    };
    let pairs = file("pairs.jsonl", &format!("{}\n{}\n", pair("equal"), pair("widened")));
    assert_eq!(compare(&["--cases", &pairs]).code, Some(0));
    assert_eq!(compare(&["--check", "--cases", &pairs]).code, Some(1));
    assert_eq!(compare(&["--cases", &file("broken.json", "[{}]")]).code, Some(2));
}

#[test]
fn proposed_changes_are_answered_from_files_alone() {
    const CHANGE: &str = r#"{"kind":"inline_policy","resource":"ROLE","name":"proposed","document":
        {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}}"#;
    let folder = Folder::new();
    let estate = rolecall_sandbox::demo::estate(chrono::Utc::now());
    let associations = estate.accounts.values().flat_map(|it| it.regions.values()).flat_map(|it| &it.clusters);
    let role = associations.flat_map(|it| &it.associations).find_map(|it| it["roleArn"].as_str()).unwrap().to_owned();
    let files = folder.path().join("estate");
    estate.to_dir(&files).unwrap();
    let admin = folder.write("admin.json", &CHANGE.replace("ROLE", &role));
    let nothing = folder.write(
        "nothing.yaml",
        &format!("changes:\n  - kind: permissions_boundary\n    action: delete\n    resource: {role}\n"),
    );
    let broken = folder.write("broken.yaml", "- kind: inline_policy\n  resource: absent\n");
    let ask = |words: &[&str], changes: &[&std::path::Path]| {
        let mut command = rolecall(folder.path());
        command.arg("what-if").args(changes).arg("--estate").arg(&files).arg("--complete").args(words);
        // Nothing listens there: a database would be missed.
        run(command.env("DATABASE_URL", "postgresql://127.0.0.1:1/none"))
    };

    let answered = ask(&["--format", "json"], &[&admin]);
    assert_eq!(answered.code, Some(0), "{answered:?}");
    let answer = answered.json();
    assert_eq!(answer["effect"], "widened", "{answer}");
    assert_eq!(answer["changes"][0]["change"], "inline_policy_added", "{answer}");
    assert_eq!(answer["changes"][0]["resource"], role.as_str());
    assert!(!answer["workloads"].as_array().unwrap().is_empty(), "{answer}");
    let opens: Vec<&str> =
        answer["opens"].as_array().unwrap().iter().map(|it| it["rule_id"].as_str().unwrap()).collect();
    assert!(opens.contains(&"admin-equivalent"), "{opens:?}");

    for (words, change, code) in [
        (["--fail-on", "widened"], &admin, 1),
        (["--fail-on", "critical,high"], &admin, 1),
        (["--fail-on", "widened,info"], &nothing, 0),
        (["--fail-on", "widened"], &broken, 2),
    ] {
        let answered = ask(&words, &[change]);
        assert_eq!(answered.code, Some(code), "{words:?}: {answered:?}");
    }
    let text = ask(&[], &[&admin]).out;
    assert!(text.starts_with("widened: 1 change, ") && text.contains("Findings that would be opened"), "{text}");
    // What can be read is answered, and what cannot is named.
    let both = ask(&["--format", "json"], &[&broken, &admin]);
    assert_eq!((both.code, &both.json()["effect"]), (Some(2), &"widened".into()), "{both:?}");
    assert!(both.err.contains("broken.yaml at `/0/name`: `name` is missing"), "{}", both.err);

    let sarif = ask(&["--format", "sarif"], &[&admin]).json();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let rules: Vec<&str> = results.iter().map(|it| it["ruleId"].as_str().unwrap()).collect();
    assert!(rules.contains(&"access-widened") && rules.contains(&"admin-equivalent"), "{rules:?}");
    for result in results {
        let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert!(uri.as_str().unwrap().ends_with("admin.json"), "{result}");
        // The statement stands on the second line of the file.
        let line = &result["locations"][0]["physicalLocation"]["region"]["startLine"];
        let decides = ["access-widened", "admin-equivalent"].contains(&result["ruleId"].as_str().unwrap());
        assert_eq!(line, &serde_json::json!(if decides { 2 } else { line.as_u64().unwrap() }), "{result}");
    }
}
