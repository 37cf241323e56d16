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
