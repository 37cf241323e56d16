//! What infrastructure code declares, held against the demo's estate by the built binary.

use crate::support::{Folder, rolecall, run};
use serde_json::Value;
use std::path::Path;

#[test]
fn differences_from_what_is_declared_are_told_with_file_and_line() {
    let folder = Folder::new();
    let estate = folder.path().join("estate");
    rolecall_sandbox::demo::estate(chrono::Utc::now()).to_dir(&estate).unwrap();
    let check = |words: &[&str]| {
        let mut command = rolecall(folder.path());
        command.args(["--format", "json", "declared", "check"]);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/declared"));
        command.args(["--account", "444455556666", "--complete", "--all", "--estate"]).arg(&estate).args(words);
        run(&mut command)
    };
    let told = check(&[]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let told = told.json();
    let counts = &told["counts"];
    let count = |status: &str| counts[status].as_u64().unwrap();
    assert_eq!((count("different"), count("missing"), count("unknown"), count("same")), (3, 1, 0, 1), "{counts}");
    assert!(count("unmanaged") > 20, "{counts}");
    let of = |name: &str| -> &Value {
        let resources = told["resources"].as_array().unwrap();
        resources.iter().find(|it| it["resource"].as_str().unwrap().ends_with(name)).unwrap()
    };
    let at = |name: &str| {
        let place = &of(name)["place"];
        let file = place["file"].as_str().unwrap().rsplit('/').next().unwrap();
        format!("{} {file}:{}", of(name)["status"].as_str().unwrap(), place["line"])
    };
    assert_eq!(at("/pods/settlement-uploads"), "different roles.yaml:3");
    assert_eq!(at("/fraud/exporter"), "different cluster.yaml:11");
    assert_eq!(at("/ledger/archiver"), "different cluster.yaml:14");
    assert_eq!(at("/payments/refunds"), "missing cluster.yaml:17");
    assert_eq!(at("payments-prod-euw1/payments/api"), "same cluster.yaml:8");
    assert_eq!(of("/fraud/scorer")["status"], "unmanaged");
    let only = |name: &str| -> &Value {
        let differences = of(name)["differences"].as_array().unwrap();
        assert_eq!(differences.len(), 1, "{name}: {differences:?}");
        &differences[0]
    };
    // The trust policy is written in another order, and is no difference.
    let uploads = only("/pods/settlement-uploads");
    assert_eq!((&uploads["part"], &uploads["effect"]), (&"inline policy files".into(), &"widened".into()));
    assert!(uploads["gained"]["action"].as_str().unwrap().starts_with("s3:"), "{uploads}");
    assert_eq!(only("/ledger/archiver")["effect"], "mixed");
    assert_eq!(only("/fraud/exporter")["actual"], "true");

    assert_eq!(check(&["--fail-on", "different"]).code, Some(1), "a pipeline can stop");
}

/// The findings of a rule that `export` prints: whose, in which state, and the first file and line of its evidence.
fn exported(folder: &Folder, url: &str) -> Vec<String> {
    let mut command = rolecall(folder.path());
    let told = run(command.args(["export", "findings"]).env("DATABASE_URL", url));
    assert_eq!(told.code, Some(0), "{told:?}");
    let rows = told.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_code = |row: &Value| ["declar"].iter().any(|word| row["rule_id"].as_str().unwrap().contains(word));
    let mut rows: Vec<String> = rows
        .filter(of_code)
        .map(|row| {
            let place = row["evidence"].as_array().unwrap().iter().find(|it| it["value"]["line"].is_u64());
            let place =
                place.map_or_else(String::new, |it| format!(" {}:{}", it["value"]["file"], it["value"]["line"]));
            let stale = if row["stale_reasons"].as_array().is_some_and(|why| !why.is_empty()) { " stale" } else { "" };
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            format!("{} {} {}{stale}{}", text("rule_id"), text("subject"), text("state"), place.replace('"', ""))
        })
        .collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_keeps_what_is_declared_and_judges_it() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let estate = folder.path().join("estate");
    rolecall_sandbox::demo::estate(chrono::Utc::now()).to_dir(&estate).unwrap();
    for (file, text) in rolecall_sandbox::demo::DECLARED {
        folder.write(&format!("infra/{file}"), text);
    }
    let config = format!("[declared]\naccount = \"{}\"\n", rolecall_sandbox::demo::COMMERCE);
    folder.write("rolecall.toml", &config);
    let import = |words: &[&str]| {
        let mut command = rolecall(folder.path());
        command.args(["--format", "json", "import", "--complete"]).args(words).arg(&estate);
        let told = run(command.env("DATABASE_URL", &database.url));
        assert_eq!(told.code, Some(0), "{told:?}");
        told.json()["declared"].clone()
    };
    assert_eq!(import(&[]), Value::Null);
    assert_eq!(exported(&folder, &database.url), Vec::<String>::new(), "nothing is declared");

    let read = import(&["--declared", "infra"]);
    assert_eq!((&read["resources"], &read["problems"]), (&5.into(), &Value::Array(Vec::new())));
    let all = [
        "association-differs-from-declaration 777788889999/us-east-1/commerce-edge-use1/media/renditions open infra/cluster.yaml:12",
        "association-not-declared 777788889999/us-east-1/commerce-edge-use1/edge/geo-cache open",
        "declared-resource-missing 777788889999 open infra/cluster.yaml:16",
        "role-differs-from-declaration arn:aws:iam::777788889999:role/pods/media-renditions open infra/roles.yaml:45",
        "role-not-declared arn:aws:iam::777788889999:role/edge-geo-cache open",
    ];
    let found = exported(&folder, &database.url);
    let missing: Vec<&&str> = all.iter().filter(|it| !found.iter().any(|found| found == **it)).collect();
    assert!(missing.is_empty(), "{missing:?} of {found:#?}");
    assert!(found.iter().all(|it| it.contains(" open")), "{found:#?}");

    // An import that names no code judges by what was read last.
    assert_eq!(import(&[])["resources"], 5);
    assert_eq!(exported(&folder, &database.url), found);

    // A path that is gone resolves nothing, and makes nothing "not declared".
    std::fs::rename(folder.path().join("infra"), folder.path().join("elsewhere")).unwrap();
    let gone = import(&["--declared", "infra"]);
    assert_eq!((&gone["resources"], &gone["remembered"]), (&5.into(), &5.into()), "{gone}");
    assert!(gone["problems"][0].as_str().unwrap().starts_with("infra:1: it cannot be read"), "{gone}");
    let stale = exported(&folder, &database.url);
    assert_eq!(stale.len(), found.len(), "{stale:#?}");
    assert!(stale.iter().all(|it| it.contains(" open stale")), "{stale:#?}");

    // An empty list declares nothing any more.
    folder.write("rolecall.toml", "[declared]\npaths = []\n");
    assert_eq!(import(&[]), Value::Null);
    let resolved = exported(&folder, &database.url);
    assert!(resolved.len() == found.len() && resolved.iter().all(|it| it.contains(" resolved")), "{resolved:#?}");
}
