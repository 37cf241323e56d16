//! Two imports of an estate, the second changed and with the trail of the changes: every change, and no other.

use crate::mutations::{
    CLUSTER, Expected, Files, HOME, POLICY, ROLE, before, event, mutated, mutations, put_trail, role, role_arn,
    workload,
};
use crate::subsets::{ACCOUNTS, REGION};
use crate::support::{Folder, Harness, Serving, import, rolecall, run};
use chrono::{TimeDelta, Utc};
use rolecall::audit::import::ImportOptions;
use rolecall_audit::drift::{Attribution, Change, Effect};
use rolecall_collect::trails::{Events, Limits, LookupConfig, TrailConfig, TrailKind};
use rolecall_sandbox::estate::{Estate, Event, OrgPolicy, Unit};
use rolecall_store::testing::database;
use rolecall_store::{ChangeFilter, ChangeRow, Store};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn import_of(store: &Store, files: &Files) {
    let folder = Folder::new();
    for (path, content) in files {
        folder.write(path, &content.to_string());
    }
    import(store, folder.path(), ImportOptions { complete: true, complete_trail: true, ..ImportOptions::default() })
        .await
        .unwrap();
}

pub(crate) async fn changes(store: &Store) -> Vec<ChangeRow> {
    store.changes(&ChangeFilter::default(), None, 1_000).await.unwrap()
}

fn told(rows: &[ChangeRow]) -> Vec<Expected> {
    let kinds = mutations().into_iter().flat_map(|it| it.expected).map(|it| (it.0, it.2)).collect::<Vec<_>>();
    let mut told: Vec<Expected> = rows
        .iter()
        .map(|row| {
            let change = &row.change;
            let kind = kinds.iter().map(|(_, kind)| *kind).find(|kind| *kind == change.change).unwrap_or("?");
            (
                change.resource.kind.as_str(),
                change.resource.name.clone(),
                kind,
                change.effect,
                row.attributed.attribution,
            )
        })
        .collect();
    told.sort();
    told
}

/// Every change with one event was made by the deployer then, and takes hold by the clock of its kind.
fn check_attributions(rows: &[ChangeRow]) {
    for row in rows {
        let (change, made) = (&row.change, &row.attributed);
        if made.attribution == Attribution::Exact {
            assert_eq!(made.actor(), Some(role_arn("deployer").as_str()), "{row:#?}");
            assert_eq!(row.effective_at, made.event_time().unwrap() + change.takes_hold.delay(), "{row:#?}");
        }
        if made.attribution == Attribution::None {
            assert!(made.because.contains("trail"), "{row:#?}");
        }
        if change.change.ends_with("version_changed") && change.caused_by.is_some() {
            let root = rows.iter().find(|row| Some(&row.change.id) == change.caused_by.as_ref()).unwrap();
            assert_eq!(root.attributed, *made);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_give_every_change_and_no_other() {
    let database = database().await.unwrap();
    let store = &database.store;
    let first = before();
    import_of(store, &first).await;
    assert_eq!(changes(store).await, [], "a first look shows no change");
    import_of(store, &first).await;
    assert_eq!(changes(store).await, [], "nothing changed");

    let (mut second, mut expected, events) = mutated(&first);
    put_trail(&mut second, "2026-06-01T10:00:00Z".parse().unwrap(), &events);
    // Nobody saw the organization's policies, which may ask for the tags of a principal or a session.
    let by_tags = |it: &Expected| it.0 == ROLE && it.2 == "tags_changed" || it.2 == "session_tags_disabled";
    expected.iter_mut().filter(|it| by_tags(it)).for_each(|it| it.3 = Effect::Unknown);
    import_of(store, &second).await;
    expected.sort();
    let rows = changes(store).await;
    assert_eq!(told(&rows), expected);

    check_attributions(&rows);
    let of = |kind: &str, name: &str| {
        rows.iter().find(|row| row.change.change == kind && row.change.resource.name == name).unwrap()
    };
    let widened = of("inline_policy_changed", &role_arn("w1"));
    let keys: Vec<String> = widened.change.affected.iter().map(|it| it.workload.to_string()).collect();
    assert_eq!(keys, [workload("late"), workload("w1")]);
    assert_eq!(widened.change.gained.as_ref().unwrap().action, "s3:DeleteObject");
    assert_eq!(of("role_changed", &workload("w20")).change.administrator, Some(true));

    let home = Folder::new();
    let of_installation = |arguments: &[&str]| {
        let mut command = rolecall(home.path());
        command.env("DATABASE_URL", &database.url).args(arguments);
        command
    };
    let exported = run(&mut of_installation(&["export", "changes", "--format", "ndjson"]));
    let exported: Vec<Value> = exported.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let csv = run(&mut of_installation(&["export", "changes", "--format", "csv"]));
    let mut csv = csv::Reader::from_reader(csv.out.as_bytes());
    let columns: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    let keys: Vec<String> = exported[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(columns, keys);
    let cells: Vec<Vec<String>> =
        csv.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    let texts = |row: &Value| -> Vec<String> {
        let text = |column: &String| match &row[column] {
            Value::Null => String::new(),
            Value::Array(items) if items.is_empty() => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        columns.iter().map(text).collect()
    };
    assert_eq!(cells, exported.iter().map(texts).collect::<Vec<_>>());
    let create = ["admin", "token", "create", "--name", "t", "--scope", "inventory:read", "--days", "1"];
    let token = run(&mut of_installation(&create)).out.trim().to_owned();
    let serving = Serving::start(of_installation(&["serve", "--bind", "127.0.0.1:0", "--role", "web"]));
    let ask = |path: &str| -> Value {
        let (status, body) = serving.get_with(path, &format!("Authorization: Bearer {token}"));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    let (mut answered, mut next) = (Vec::new(), Some("/api/v1/changes?limit=17".to_owned()));
    while let Some(path) = next {
        let page = ask(&path);
        answered.extend(page["items"].as_array().unwrap().iter().cloned());
        next = page["next_cursor"].as_str().map(|cursor| format!("/api/v1/changes?limit=17&cursor={cursor}"));
    }
    assert_eq!(answered, exported);
    assert_eq!(answered.len(), rows.len());
    let id = &widened.change.id;
    assert_eq!(ask(&format!("/api/v1/changes/{id}"))["calls"][0]["agent_class"], "terraform");
    for (filter, number) in [
        ("attribution=none", 1),
        ("effect=mixed", 3),
        ("change=recreated", 2),
        ("resource_type=AWS::EKS::Addon", 3),
        (&format!("workload={}", workload("late")), 3),
        (&format!("resource={}", role_arn("w1")), 1),
        (&format!("actor={}", role_arn("nobody")), 0),
        ("since=2026-06-02", 0),
    ] {
        let found = ask(&format!("/api/v1/changes?{filter}"));
        let found: Vec<&str> =
            found["items"].as_array().unwrap().iter().map(|it| it["change"].as_str().unwrap()).collect();
        assert_eq!(found.len(), number, "{filter}: {found:?}");
    }
    serving.stop();

    import_of(store, &second).await;
    assert_eq!(told(&changes(store).await), expected, "the same again changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_tell_the_escalation_paths_that_changes_open_and_close() {
    let database = database().await.unwrap();
    let store = &database.store;
    let document = |actions: Value, resource: &str| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]});
    let mut first = before();
    let ops = role(&mut first, "w5");
    ops["RolePolicyList"][0]["PolicyDocument"] = document(json!("*"), "*");
    ops["AssumeRolePolicyDocument"] = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let mut second = first.clone();
    let own = document(json!(["s3:GetObject", "iam:PutRolePolicy"]), "*");
    role(&mut second, "w1")["RolePolicyList"][0]["PolicyDocument"] = own;
    let passes = document(json!(["s3:GetObject", "iam:PassRole", "ec2:RunInstances"]), "*");
    role(&mut second, "w2")["RolePolicyList"][0]["PolicyDocument"] = passes;
    role(&mut second, "w3")["RolePolicyList"][0]["PolicyDocument"] = document(json!("s3:*"), "*");
    for files in [&first, &second, &first] {
        import_of(store, files).await;
    }
    let home = Folder::new();
    let export = |filter: &[&str]| -> Vec<Value> {
        let mut command = rolecall(home.path());
        command.env("DATABASE_URL", &database.url).args(["export", "changes", "--format", "ndjson"]).args(filter);
        run(&mut command).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let told = |rows: &[Value], list: &str| -> BTreeSet<(String, String, bool)> {
        let of = |it: &Value| {
            let text = |name: &str| it[name].as_str().unwrap().to_owned();
            (text("role"), text("words"), it["to_administrator"].as_bool().unwrap())
        };
        rows.iter().flat_map(|row| row[list].as_array().unwrap()).map(of).collect()
    };
    let expected = BTreeSet::from([
        (role_arn("w1"), "iam:PutRolePolicy to administrator access".to_owned(), true),
        (
            role_arn("w2"),
            format!("iam:PassRole + ec2:RunInstances on {} to administrator access", role_arn("w5")),
            true,
        ),
    ]);
    let of_resource = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().map(|row| row["resource"].as_str().unwrap().to_owned()).collect()
    };
    let both = BTreeSet::from([role_arn("w1"), role_arn("w2")]);
    let opened = export(&["--opens", "administrator"]);
    assert_eq!((opened.len(), of_resource(&opened)), (2, both.clone()), "{opened:#?}");
    assert!(told(&opened, "opens").is_superset(&expected), "{opened:#?}");
    assert_eq!(told(&opened, "closes"), BTreeSet::new());
    let closed = export(&["--closes", "put-role-policy,run-instance"]);
    assert_eq!(of_resource(&closed), both, "{closed:#?}");
    assert!(told(&closed, "closes").is_superset(&expected), "{closed:#?}");
    assert_eq!(export(&["--opens", "lambda-create-invoke"]), Vec::<Value>::new());
}

/// The files as accounts of an organization, for the stand-in.
pub(crate) fn served(files: &Files) -> Estate {
    let folder = Folder::new();
    let mut files = files.clone();
    let accounts = files.get_mut("accounts.json").unwrap();
    accounts["organization"] = "o-exampleorgid".into();
    accounts["management"] = HOME.into();
    for (path, content) in &files {
        folder.write(path, &content.to_string());
    }
    Estate::from_dir(folder.path()).unwrap()
}

pub(crate) fn history() -> [TrailConfig; 1] {
    let lookup = LookupConfig {
        places: BTreeSet::new(),
        events: Events::Changes,
        lookback: TimeDelta::days(1),
        overlap: TimeDelta::days(1),
    };
    [TrailConfig { id: "history".to_owned(), kind: TrailKind::Lookup(lookup), limits: Limits::default() }]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_scans_give_every_change_and_no_other() {
    let first = before();
    let mut harness = Harness::over(served(&first)).await;
    let store = harness.store.clone();
    // The calls of the trail are made an hour ago.
    harness.store = store.behind(Duration::from_secs(7_200));
    let trails = history();
    harness.audit_with(&trails).await.unwrap();
    assert_eq!(changes(&store).await, [], "a first scan shows no change");
    harness.audit_with(&trails).await.unwrap();
    assert_eq!(changes(&store).await, [], "nothing changed");
    harness.store = store.clone();

    let (mut second, mut expected, events) = mutated(&first);
    put_trail(&mut second, Utc::now() - TimeDelta::hours(1), &events);
    harness.sandbox.mutate(|estate| *estate = served(&second));
    harness.audit_with(&trails).await.unwrap();
    expected.sort();
    let rows = changes(&store).await;
    assert_eq!(told(&rows), expected);
    check_attributions(&rows);

    harness.audit_with(&trails).await.unwrap();
    assert_eq!(told(&changes(&store).await), expected, "the same again changes nothing");

    // A scan that may not list roles says nothing of them, and nothing is removed.
    harness.sandbox.faults().deny_in("iam:GetAccountAuthorizationDetails", HOME);
    harness.sandbox.mutate(|estate| *estate = served(&first));
    harness.audit_with(&trails).await.unwrap();
    let later: Vec<Expected> = told(&changes(&store).await).into_iter().filter(|it| !expected.contains(it)).collect();
    assert!(later.iter().all(|it| it.0 != ROLE && it.0 != POLICY), "{later:#?}");
}

fn scp(id: &str, document: &Value, targets: &[&str]) -> OrgPolicy {
    OrgPolicy {
        id: id.to_owned(),
        name: format!("name of {id}"),
        kind: "SERVICE_CONTROL_POLICY".to_owned(),
        aws_managed: id == "p-FullAWSAccess",
        content: document.to_string(),
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
    }
}

fn refuse(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_an_organization_of_trails_and_of_clusters_are_found() {
    let mut first = served(&before());
    let everything =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let organization = first.organization.as_mut().unwrap();
    let unit = |id: &str| Unit { id: id.to_owned(), name: format!("name of {id}"), parent: "r-root".to_owned() };
    organization.units = vec![unit("ou-root-prod"), unit("ou-root-test")];
    for member in &mut organization.members {
        member.parent = "ou-root-prod".to_owned();
    }
    organization.policies = vec![
        scp("p-FullAWSAccess", &everything, &["r-root", "ou-root-prod", "ou-root-test", ACCOUNTS[0], ACCOUNTS[1]]),
        scp("p-attached", &refuse("s3:DeleteObject"), &[]),
        scp("p-detached", &refuse("s3:GetObjectAcl"), &[ACCOUNTS[1]]),
        scp("p-updated", &refuse("dynamodb:*"), &["ou-root-prod"]),
        scp("p-test", &refuse("sqs:*"), &["ou-root-test"]),
    ];
    let mut harness = Harness::over(first.clone()).await;
    let store = harness.store.clone();
    harness.store = store.behind(Duration::from_secs(7_200));
    harness.audit_with(&history()).await.unwrap();
    harness.store = store.clone();
    let mut second = first;
    let organization = second.organization.as_mut().unwrap();
    let mut attach = |id: &str, targets: &[&str]| {
        let policy = organization.policies.iter_mut().find(|policy| policy.id == id).unwrap();
        policy.targets = targets.iter().map(|target| (*target).to_owned()).collect();
    };
    attach("p-attached", &[ACCOUNTS[0]]);
    attach("p-detached", &[]);
    organization.policies.iter_mut().find(|policy| policy.id == "p-updated").unwrap().content =
        refuse("sqs:*").to_string();
    organization.members.iter_mut().find(|member| member.id == ACCOUNTS[1]).unwrap().parent = "ou-root-test".to_owned();
    let home = second.accounts.get_mut(HOME).unwrap();
    home.trails[0]["EventSelectors"] = json!([{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": true}]);
    home.region(REGION).clusters.retain(|cluster| cluster.detail["name"] != "blue");
    // Nobody called DetachPolicy: its trail has no event.
    let calls = [
        ("organizations", "AttachPolicy", json!({"policyId": "p-attached", "targetId": ACCOUNTS[0]})),
        ("organizations", "UpdatePolicy", json!({"policyId": "p-updated", "content": refuse("sqs:*").to_string()})),
        (
            "organizations",
            "MoveAccount",
            json!({"accountId": ACCOUNTS[1], "sourceParentId": "ou-root-prod", "destinationParentId": "ou-root-test"}),
        ),
        ("cloudtrail", "PutEventSelectors", json!({"trailName": "t"})),
        ("eks", "DeleteCluster", json!({"name": "blue"})),
    ];
    for (n, call) in calls.iter().enumerate() {
        let record = event(Utc::now() - TimeDelta::hours(1), n, call, None);
        let region = record["awsRegion"].as_str().unwrap().to_owned();
        home.region(&region).events.extend(Event::of_record(&record).map(Arc::new));
    }
    harness.sandbox.mutate(|estate| *estate = second);
    harness.audit_with(&history()).await.unwrap();
    let rows = changes(&store).await;
    let cluster = rows.iter().find(|row| row.change.resource.kind.as_str() == CLUSTER).unwrap();
    let mut found: Vec<_> = rows
        .iter()
        .map(|row| {
            let Change { resource, change, effect, affected, caused_by, .. } = &row.change;
            let name = resource.name.rsplit_once("o-exampleorgid/").map_or(resource.name.as_str(), |(_, name)| name);
            let follows = caused_by.as_ref() == Some(&cluster.change.id);
            (name, change.as_str(), *effect, affected.len(), row.attributed.attribution, follows)
        })
        .collect();
    found.sort();
    let cluster = format!("arn:aws:eks:{REGION}:{HOME}:cluster/blue");
    let trail = format!("arn:aws:cloudtrail:{REGION}:{HOME}:trail/t");
    let [api, job, admin] = ["pay/api", "pay/job", "ops/admin"].map(|name| format!("{HOME}/{REGION}/blue/{name}"));
    let mut expected = vec![
        // SCPs do not restrict the management account; of the other account three associations have a role.
        ("service_control_policy/p-attached", "attached_to_target", Effect::None, 0, Attribution::Exact, false),
        ("service_control_policy/p-detached", "detached_from_target", Effect::Widened, 3, Attribution::None, false),
        ("service_control_policy/p-updated", "document_changed", Effect::Mixed, 3, Attribution::Exact, false),
        (ACCOUNTS[1], "moved", Effect::Mixed, 3, Attribution::Exact, false),
        (&trail, "event_selectors_changed", Effect::None, 0, Attribution::Exact, false),
        (&cluster, "removed", Effect::None, 0, Attribution::Exact, false),
        (&api, "removed", Effect::Narrowed, 1, Attribution::Exact, true),
        (&job, "removed", Effect::None, 1, Attribution::Exact, true),
        (&admin, "removed", Effect::Narrowed, 1, Attribution::Exact, true),
    ];
    expected.sort();
    assert_eq!(found, expected);
}
