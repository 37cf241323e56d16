//! What the pages say of a trail that was imported, and that all of them say the same; and how far lists of what was
//! called reach.

use crate::support::{Client, Seen, app_over};
use axum::http::header;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::app::App;
use rolecall::audit::import::{ImportOptions, collect};
use rolecall::audit::run::Audit;
use rolecall::config::{BaselinesConfig, Config, DeclaredConfig};
use rolecall::progress::Progress;
use rolecall_store::testing::{Database, database};
use scraper::{Html, Selector};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const ACCOUNT: &str = "222233334444";

fn texts(page: &Html, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).expect("a selector");
    let text = |it: scraper::ElementRef<'_>| it.text().collect::<Vec<_>>().join(" ");
    page.select(&selector).map(|it| text(it).split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn role(name: &str) -> Value {
    json!({
        "Path": "/", "RoleName": name, "RoleId": format!("AROA{name}"), "Arn": format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
        "CreateDate": "2024-01-01T00:00:00Z", "InstanceProfileList": [], "RolePolicyList": [], "AttachedManagedPolicies": [], "Tags": [],
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]},
    })
}

fn session(role: &str, n: u64, at: DateTime<Utc>) -> Value {
    json!({
        "eventVersion": "1.08", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "awsRegion": "eu-west-1",
        "sourceIPAddress": "pods.eks.amazonaws.com", "eventID": format!("session-{role}-{n}"),
        "requestParameters": {"roleArn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "roleSessionName": "not-of-eks"},
        "responseElements": {"credentials": {"accessKeyId": format!("ASIA{role}{n}")}},
        "eventType": "AwsApiCall", "recipientAccountId": ACCOUNT, "eventCategory": "Management"
    })
}

fn call(role: &str, n: u64, at: DateTime<Utc>) -> Value {
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
    json!({
        "eventVersion": "1.09", "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
        "userIdentity": {
            "type": "AssumedRole", "accountId": ACCOUNT, "accessKeyId": format!("ASIA{role}"),
            "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/s"), "principalId": "AROAEXAMPLE:s",
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": arn, "accountId": ACCOUNT}}
        },
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "awsRegion": "eu-west-1", "sourceIPAddress": "203.0.113.9",
        "eventID": format!("call-{role}-{n}"), "requestID": format!("request-{role}-{n}"),
        "requestParameters": {"bucketName": "b", "key": "k"}, "responseElements": null,
        "recipientAccountId": ACCOUNT, "eventCategory": "Data"
    })
}

/// A service over what was imported from a folder with these roles and records.
async fn imported(roles: &[&str], records: &[Value]) -> (App, Database) {
    let folder: PathBuf = std::env::temp_dir().join(format!("rolecall-imported-{}", uuid::Uuid::new_v4()));
    let details = json!({
        "UserDetailList": [], "GroupDetailList": [], "Policies": [], "IsTruncated": false,
        "RoleDetailList": roles.iter().map(|name| role(name)).collect::<Vec<_>>(),
    });
    for (path, content) in [
        (format!("iam/{ACCOUNT}/gaad.json"), details),
        (format!("AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/01/01.json"), json!({ "Records": records })),
    ] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, content.to_string()).expect("a file");
    }
    let database = database().await.expect("a database");
    let app = app_over(database.store.clone(), Seen::Nothing, Config::default()).await;
    let audit = Audit {
        store: app.store.clone(),
        rules: app.rules.clone(),
        kind: "import",
        trigger: "test".to_owned(),
        window: TimeDelta::days(90),
        kept: Duration::from_secs(400 * 86_400),
        assumed: BTreeSet::new(),
        declared: DeclaredConfig::default(),
        baselines: BaselinesConfig::default(),
        figures: false,
        progress: Progress::silent(),
        cancel: CancellationToken::new(),
    };
    let (paths, store) = ([folder.clone()], &app.store);
    let read = audit
        .run(|run, sender| collect(run, &paths, ImportOptions::default(), store, sender, Progress::silent()))
        .await;
    read.expect("imported");
    std::fs::remove_dir_all(&folder).expect("to clean up");
    (app, database)
}

/// Neither says that the sessions are complete where another says that this is not known, and a day of which nothing was
/// read is not a day without sessions.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_of_an_imported_trail_that_it_may_lack_something() {
    let (first, last) = (Utc::now() - TimeDelta::days(6), Utc::now() - TimeDelta::days(2));
    let mut broken = session("api", 3, first);
    broken["eventTime"] = "sometime".into();
    let records = [session("api", 1, first), session("api", 2, last), broken];
    let (app, _database) = imported(&["api"], &records).await;
    let person = Client::person(&app).await;

    let account = person.get(&format!("/accounts/{ACCOUNT}")).await.html();
    let listings: Vec<String> = texts(&account, "tr").into_iter().filter(|row| row.starts_with("Sessions")).collect();
    assert!(!listings.is_empty() && listings.iter().all(|row| !row.contains("Complete")), "{listings:?}");

    let ingestion = person.get("/ingestion").await.html();
    assert!(texts(&ingestion, "main .notice.ok").is_empty(), "{:?}", texts(&ingestion, "main .notice"));
    let main = texts(&ingestion, "main").concat();
    assert!(main.contains("Completeness of the trail is unknown"), "{main}");

    let unused = format!("/unused-access?role=arn:aws:iam::{ACCOUNT}:role/api");
    let unused = person.get(&unused).await.html();
    let regions: Vec<String> = texts(&unused, ".badge");
    assert!(regions.iter().any(|it| it == "Unknown") && !regions.iter().any(|it| it == "Complete"), "{regions:?}");

    let overview = person.get("/").await.html();
    assert!(texts(&overview, "main .notice.ok").is_empty(), "{:?}", texts(&overview, "main .notice"));
    let notices = texts(&overview, "main .notice");
    assert!(notices.iter().any(|it| it.contains("1 CloudTrail file or record cannot be read")), "{notices:?}");

    let sessions = person.get("/sessions").await.html();
    let titles = texts(&sessions, "svg g title");
    let day = |at: DateTime<Utc>| at.date_naive().to_string();
    let of = |at: DateTime<Utc>| titles.iter().find(|it| it.starts_with(&day(at))).cloned().unwrap_or_default();
    for at in [first, last] {
        assert!(of(at).contains(" attributed"), "{titles:?}");
    }
    let between = of(first + TimeDelta::days(2));
    assert!(between.ends_with("no CloudTrail data of this day"), "{between}: {titles:?}");
}

/// IAM tells nothing of when the role was used, and the trail does.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_roles_tells_the_use_that_the_trail_records() {
    let at = Utc::now() - TimeDelta::days(3);
    let (app, _database) = imported(&["idle", "used"], &[session("used", 1, at)]).await;
    let page = Client::person(&app).await.get("/roles").await.html();
    let cell = |role: &str| {
        let rows = page.select(&Selector::parse("tbody tr").expect("a selector")).collect::<Vec<_>>();
        let row = rows.into_iter().find(|row| row.text().any(|text| text.trim() == role)).expect("the role's row");
        texts(&Html::parse_fragment(&format!("<table>{}</table>", row.html())), "td[data-label='Last used']").concat()
    };
    let used = cell("used");
    assert!(used.contains(&at.format("%Y-%m-%d").to_string()) && !used.contains("not known"), "{used}");
    assert_eq!(cell("idle"), "not known");
}

/// Pages of `/usage` lead to every workload, each once, also where several have as many calls.
#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_usage_have_each_workload_once() {
    let at = Utc::now() - TimeDelta::days(1);
    let names: Vec<String> = (0..145).map(|n| format!("role-{n:03}")).collect();
    let calls = |(n, name): (u64, &String)| (0..=n % 3).map(|of| call(name, of, at)).collect::<Vec<_>>();
    let records: Vec<Value> = (0..).zip(&names).flat_map(calls).collect();
    let (app, _database) = imported(&[], &records).await;
    let person = Client::person(&app).await;
    let (mut next, mut seen, mut pages) = (Some("/usage".to_owned()), Vec::new(), 0);
    while let Some(address) = next {
        let page = person.get(&address).await.html();
        seen.extend(texts(&page, "tbody th .title"));
        let links = page.select(&Selector::parse("nav.pager a[rel=next]").expect("a selector")).collect::<Vec<_>>();
        next = links.first().and_then(|link| link.attr("href")).map(str::to_owned);
        pages += 1;
        assert!(pages < 10, "{address} leads on and on");
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), names.iter().collect::<BTreeSet<_>>());
    assert_eq!((seen.len(), pages), (names.len(), 3));
}

/// What a page shows as a request goes to where the page came from, whatever port that is, or to the public URL.
#[tokio::test(flavor = "multi_thread")]
async fn the_request_of_a_simulation_goes_to_where_the_page_came_from() {
    let (app, _database) = imported(&["api"], &[]).await;
    let asked = format!("/simulate?principal=arn:aws:iam::{ACCOUNT}:role/api&action=s3:GetObject&context=aws:a%3Dit's");
    let request = |page: Html| texts(&page, "#curl").concat();
    for host in ["localhost:8099", "127.0.0.1:41234"] {
        let person = Client::person(&app).await.and(header::HOST, host);
        let said = request(person.get(&asked).await.html());
        assert!(said.contains(&format!("'http://{host}/api/v1/simulate'")), "{said}");
        assert!(said.contains(r#""action":"s3:GetObject""#) && said.contains(r"it'\''s"), "{said}");
    }
}

/// Calls are exported as far as a limit shows whose they are.
#[tokio::test(flavor = "multi_thread")]
async fn usage_is_exported_as_far_as_a_limit_shows_it() {
    let at = Utc::now() - TimeDelta::days(1);
    let own = call("api", 1, at);
    let other: Value =
        serde_json::from_str(&call("batch", 1, at).to_string().replace(ACCOUNT, "333344445555")).expect("JSON");
    let (_app, database) = imported(&[], &[own, other]).await;
    let exported = |words: &'static [&'static str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rolecall"));
        command.args(["export", "usage"]).args(words).env("DATABASE_URL", &database.url).env_remove("ROLECALL_CONFIG");
        async move {
            let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("to run").expect("to run");
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            String::from_utf8(ended.stdout).expect("text")
        }
    };
    let all = exported(&[]).await;
    assert!(all.contains(":role/api") && all.contains(":role/batch"), "{all}");
    let limited = exported(&["--limit", "account:222233334444"]).await;
    assert!(limited.contains(":role/api") && !limited.contains(":role/batch"), "{limited}");
}
