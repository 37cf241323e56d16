//! Lists: their orders page by page, the columns that are chosen, and saved views.

use crate::api::is_problem;
use crate::changes::allow_some;
use crate::support::{Answer, Client, REFUSED, Seen, app, app_over, observations};
use axum::http::{Method, StatusCode, header};
use chrono::{TimeDelta, Utc};
use rolecall::app::App;
use rolecall::config::Config;
use rolecall::http::auth::login_url_for;
use rolecall::http::auth::token::Scope;
use rolecall::role::PersonRole;
use rolecall_estate::Visibility;
use rolecall_store::{AuditFilter, PersonAccess};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Every row of a list of the API, so many at a time.
async fn walk(client: &Client, address: &str, limit: u32) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut next = format!("{address}&limit={limit}");
    loop {
        let page = client.json(&next).await;
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty() || rows.is_empty(), "{next}: an empty page behind others");
        rows.extend(items.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("{address}&limit={limit}&cursor={cursor}"),
            None => return rows,
        }
    }
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or_default()
}

fn worse(a: &Value, b: &Value) -> Ordering {
    let rank = |row: &Value| {
        ["critical", "high", "medium", "low", "info"].iter().position(|word| text(row, "severity") == *word).unwrap()
    };
    rank(a).cmp(&rank(b))
}

/// In RFC 3339 in UTC, with or without a fraction.
fn at(row: &Value, name: &str) -> chrono::DateTime<Utc> {
    text(row, name).parse().unwrap_or(chrono::DateTime::<Utc>::MIN_UTC)
}

/// How two neighbours of a list stand to each other in an order.
fn in_order(list: &str, sort: &str, a: &Value, b: &Value) -> Ordering {
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or_default();
    let role = |row: &Value| row["last_used_at"].as_str().map(str::to_owned);
    match (list, sort) {
        ("findings", "severity") => worse(a, b),
        ("findings", "last_seen") => at(b, "last_seen_at").cmp(&at(a, "last_seen_at")),
        ("findings", "first_seen") => at(b, "first_seen_at").cmp(&at(a, "first_seen_at")),
        ("findings", "opened") => at(b, "opened_at").cmp(&at(a, "opened_at")),
        ("findings", "oldest") => at(a, "opened_at").cmp(&at(b, "opened_at")),
        ("findings", "account") => {
            text(&a["subject"], "account_id").cmp(text(&b["subject"], "account_id")).then_with(|| worse(a, b))
        }
        ("findings", "rule") => text(a, "rule_id").cmp(text(b, "rule_id")).then_with(|| worse(a, b)),
        ("findings", "number") => number(b, "number").cmp(&number(a, "number")),
        ("roles", "arn") => text(a, "arn").cmp(text(b, "arn")),
        // None is the least.
        ("roles", "last_used") => {
            role(b).is_some().cmp(&role(a).is_some()).then(at(b, "last_used_at").cmp(&at(a, "last_used_at")))
        }
        ("roles", "longest_unused") => at(a, "last_used_at").cmp(&at(b, "last_used_at")),
        ("sessions", "newest") => at(b, "at").cmp(&at(a, "at")),
        ("sessions", "oldest") => at(a, "at").cmp(&at(b, "at")),
        ("changes", "newest") => at(b, "detected_at").cmp(&at(a, "detected_at")),
        ("changes", "oldest") => at(a, "detected_at").cmp(&at(b, "detected_at")),
        ("clusters", "key") => text(a, "account_id").cmp(text(b, "account_id")),
        ("clusters" | "accounts", "open_findings") => number(b, "open_findings").cmp(&number(a, "open_findings")),
        ("rules", "severity") => worse(a, b).then_with(|| text(a, "title").cmp(text(b, "title"))),
        ("rules", name @ ("id" | "title")) => text(a, name).cmp(text(b, name)),
        ("rules", name) => number(&b["results"], name).cmp(&number(&a["results"], name)),
        ("accounts", "id") => text(a, "id").cmp(text(b, "id")),
        ("accounts", name @ ("roles" | "associations")) => number(b, name).cmp(&number(a, name)),
        ("accounts", "oldest_scan") => at(a, "last_scanned_at").cmp(&at(b, "last_scanned_at")),
        other => panic!("{other:?}"),
    }
}

async fn with_changes() -> App {
    let database = rolecall_store::testing::database().await.unwrap();
    let app = app_over(database.store, Seen::Complete, Config::default()).await;
    let mut seen = observations();
    for (action, hours) in [("s3:GetObject", 3), ("s3:PutObject", 2), ("s3:*", 1)] {
        allow_some(&app, &mut seen, action, Utc::now() - TimeDelta::hours(hours), |_| true).await;
    }
    app
}

#[tokio::test]
async fn each_order_has_each_row_once_over_ties_and_pages() {
    let app = with_changes().await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    let states = "state=open,acknowledged,suppressed,resolved";
    let lists = [
        (
            "findings",
            states,
            &["severity", "last_seen", "first_seen", "opened", "oldest", "account", "rule", "number"][..],
            37,
        ),
        // The other families of statements: by a filter, and by a place.
        ("findings", "severity=high,medium", &["first_seen", "oldest", "account", "rule"][..], 7),
        ("findings", "namespace=checkout", &["first_seen", "oldest", "account", "rule"][..], 3),
        ("roles", "total=none", &["arn", "last_used", "longest_unused"][..], 7),
        ("roles", "associated=true", &["last_used", "longest_unused"][..], 3),
        ("sessions", "failed=false", &["newest", "oldest"][..], 97),
        ("changes", "seen_in=snapshots", &["newest", "oldest"][..], 3),
        ("clusters", "total=none", &["key", "open_findings"][..], 2),
        ("rules", "total=none", &["id", "severity", "fail", "unknown", "title"][..], 7),
        ("accounts", "total=none", &["id", "open_findings", "roles", "associations", "oldest_scan"][..], 2),
    ];
    for (list, query, sorts, limit) in lists {
        let mut sets = Vec::new();
        for sort in sorts {
            let address = format!("/api/v1/{list}?{query}&sort={sort}");
            let whole = walk(&client, &address, 1000).await;
            let paged = walk(&client, &address, limit).await;
            assert!(whole.len() > usize::try_from(limit).unwrap(), "{address}: {} rows are one page", whole.len());
            assert_eq!(whole, paged, "{address}");
            for pair in whole.windows(2) {
                let order = in_order(list, sort, &pair[0], &pair[1]);
                assert_ne!(order, Ordering::Greater, "{address}: {} before {}", pair[0], pair[1]);
            }
            let rows: BTreeSet<String> = whole.iter().map(ToString::to_string).collect();
            assert_eq!(rows.len(), whole.len(), "{address}: a row twice");
            sets.push(rows);
        }
        assert!(sets.windows(2).all(|pair| pair[0] == pair[1]), "{list}: orders of other rows");
    }
    // A place in one order is none in another.
    let page = client.json("/api/v1/roles?sort=last_used&limit=2").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    is_problem(&client.get(&format!("/api/v1/roles?limit=2&cursor={cursor}")).await, 400, "cursor_mismatch");
}

#[tokio::test]
async fn an_order_or_a_column_that_is_not_there_is_refused_with_the_nearest() {
    let app = app(Seen::Complete).await;
    let (program, person) = (Client::program(&app, &[Scope::Admin]).await, Client::person(&app).await);
    for (path, near) in [
        ("findings?sort=severty", "severity"),
        ("roles?sort=last_usd", "last_used"),
        ("sessions?sort=oldst", "oldest"),
        ("changes?sort=newst", "newest"),
        ("clusters?sort=open_finding", "open_findings"),
        ("accounts?sort=role", "roles"),
        ("rules?sort=severty", "severity"),
    ] {
        let answer = program.get(&format!("/api/v1/{path}")).await;
        is_problem(&answer, 400, "invalid_parameter");
        let said = format!("did you mean `{near}`?");
        assert!(answer.json()["detail"].as_str().unwrap().contains(&said), "{path}: {}", answer.text);
        let page = person.get(&format!("/{path}")).await;
        assert!(page.status == StatusCode::BAD_REQUEST && page.text.contains(near), "{path}: {}", page.text);
    }
    let page = person.get("/findings?columns=asignee,number").await;
    assert!(page.status == StatusCode::BAD_REQUEST && page.text.contains("assignee"), "{}", page.text);
    is_problem(&program.get("/api/v1/findings?columns=number").await, 400, "unknown_parameter");
}

/// By name, id, organizational unit and coverage: the same rows in the API, on the page and in its file.
#[tokio::test]
async fn accounts_are_found_by_what_they_are_called_and_by_coverage() {
    let app = app(Seen::Gaps).await;
    let (program, person) = (Client::program(&app, &[Scope::Admin]).await, Client::person(&app).await);
    let accounts = walk(&program, "/api/v1/accounts?total=none", 1000).await;
    let first = accounts.iter().find(|it| it["name"].is_string() && it["ou_path"].is_string()).unwrap();
    let matches = |words: &dyn Fn(&Value) -> bool| -> Vec<&str> {
        accounts.iter().filter(|it| words(it)).map(|it| text(it, "id")).collect()
    };
    let name = text(first, "name").to_uppercase();
    let unit = text(first, "ou_path");
    for (query, expected) in [
        (format!("q={name}"), matches(&|it| text(it, "name").to_uppercase().contains(&name))),
        (format!("q={}", text(first, "id")), matches(&|it| it["id"] == first["id"])),
        (format!("q={unit}"), matches(&|it| text(it, "ou_path").contains(unit))),
        ("complete=false".to_owned(), vec![REFUSED]),
        ("complete=true".to_owned(), matches(&|it| it["id"] != REFUSED)),
        (format!("complete=true&q={REFUSED}"), vec![]),
    ] {
        let of_api = walk(&program, &format!("/api/v1/accounts?{query}"), 2).await;
        let ids: Vec<&str> = of_api.iter().map(|it| text(it, "id")).collect();
        assert_eq!(ids, expected, "{query}");
        let total = program.json(&format!("/api/v1/accounts?{query}")).await["total"]["count"].as_u64().unwrap();
        assert_eq!(usize::try_from(total).unwrap(), expected.len(), "{query}");
        let page = person.get(&format!("/accounts?{query}")).await.html();
        assert_eq!(all(&page, "table.matrix tbody th .mono"), expected, "{query}");
        assert!(!page.html().contains("id=\"gaps-h\""), "{query}: gaps of all accounts beneath some");
        let file = person.get(&format!("/download/accounts?{query}&format=ndjson")).await.text;
        let rows: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows, of_api, "{query}");
    }
    let page = person.get("/accounts?limit=2").await.html();
    assert_eq!(all(&page, "table.matrix tbody tr").len(), 2);
    assert!(page.html().contains("id=\"gaps-h\""));
    is_problem(&program.get("/api/v1/accounts?complete=maybe").await, 400, "invalid_parameter");
}

fn all(page: &scraper::Html, selector: &str) -> Vec<String> {
    let selector = scraper::Selector::parse(selector).unwrap();
    page.select(&selector).map(|found| found.text().collect::<String>().trim().to_owned()).collect()
}

fn attribute(page: &scraper::Html, selector: &str, name: &str) -> Option<String> {
    let selector = scraper::Selector::parse(selector).unwrap();
    page.select(&selector).next().and_then(|found| found.attr(name)).map(str::to_owned)
}

#[tokio::test]
async fn pages_in_an_order_lead_on_and_back() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    for (list, sort) in [
        ("findings", "rule"),
        ("findings", "account"),
        ("findings", "oldest"),
        ("roles", "last_used"),
        ("roles", "longest_unused"),
        ("sessions", "oldest"),
        ("clusters", "open_findings"),
    ] {
        // A list says its order where the column is shown.
        let columns = if list == "findings" { "&columns=account,opened,rule" } else { "" };
        let limit = if list == "clusters" { 2 } else { 25 };
        let mut next = format!("/{list}?sort={sort}&limit={limit}{columns}");
        let mut pages = Vec::new();
        for _ in 0..3 {
            let page = person.get(&next).await.html();
            pages.push((next.clone(), all(&page, "tbody tr a.title")));
            match attribute(&page, "a[rel=next]", "href") {
                Some(href) => next = href,
                None => break,
            }
        }
        assert!(pages.len() > 1, "{list} {sort}");
        let mut back = pages.last().unwrap().0.clone();
        for (_, rows) in pages.iter().rev() {
            let page = person.get(&back).await.html();
            assert_eq!(all(&page, "tbody tr a.title"), *rows, "{list} {sort}: {back}");
            let Some(href) = attribute(&page, "a[rel=prev]", "href") else { break };
            back = href;
        }
        let first = person.get(&pages[0].0).await.html();
        assert_eq!(all(&first, "th[aria-sort]").len(), 1, "{list} {sort}");
    }
    // A heading keeps the filters, and turns an order around where there is another.
    let page = person.get("/findings?severity=high&columns=opened&sort=opened").await.html();
    let opened = attribute(&page, "th[aria-sort=descending] a", "href").unwrap();
    assert!(opened.contains("severity=high") && opened.contains("sort=oldest"), "{opened}");
    let turned = person.get(&opened).await.html();
    assert_eq!(all(&turned, "th[aria-sort=ascending]"), ["Opened ↑"]);
}

#[tokio::test]
async fn a_table_shows_the_columns_that_are_chosen_and_so_do_its_files() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    for (address, heads) in [
        ("/findings", &["Severity ↓", "Finding", "Subject", "Account", "State", "Last seen"][..]),
        ("/findings?columns=due,rule,fingerprint", &["Severity ↓", "Finding", "Rule", "Due", "Fingerprint"]),
        ("/roles?columns=boundary,created", &["Role ↑", "Permissions boundary", "Created"]),
        ("/associations?columns=association_id,tags", &["Service account", "Association id", "Tags"]),
        ("/clusters?columns=status&columns=cluster", &["Cluster ↑", "Status"]),
        ("/sessions?columns=principal,source_ip", &["Session", "Caller", "Source IP"]),
    ] {
        let page = person.get(address).await.html();
        assert_eq!(all(&page, "main table.cards thead th"), heads, "{address}");
        let row = scraper::Selector::parse("main table.cards tbody tr").unwrap();
        let cell = scraper::Selector::parse("td, th").unwrap();
        let wide: BTreeSet<usize> = page.select(&row).map(|row| row.select(&cell).count()).collect();
        assert_eq!(wide, [heads.len()].into(), "{address}");
    }
    let page = person.get("/findings?severity=high&columns=due,assignee").await.html();
    let csv = attribute(&page, "a[download]", "href").unwrap();
    let head = person.get(&csv).await.text.lines().next().unwrap().to_owned();
    assert_eq!(head, "severity,message,number,assignee,due,due_at", "{csv}");
    let ndjson = csv.replace("format=csv", "format=ndjson");
    let row: Value = serde_json::from_str(person.get(&ndjson).await.text.lines().next().unwrap()).unwrap();
    let names: BTreeSet<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["severity", "message", "number", "assignee", "due", "due_at"].into());
    let refused = person.get("/download/findings?columns=mesage").await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.text.contains("message"), "{}", refused.text);
    // A cursor stays good while other columns are chosen: they are no filter.
    let next = attribute(&person.get("/roles?limit=25").await.html(), "a[rel=next]", "href").unwrap();
    assert_eq!(person.get(&format!("{next}&columns=tags")).await.status, StatusCode::OK);
}

async fn person(app: &App, name: &str, role: PersonRole) -> Client {
    let whom = PersonAccess { person: name.into(), role: role.to_string(), visibility: Visibility::Everything };
    let link = login_url_for(app, "127.0.0.1:8080".parse().unwrap(), whom).await.unwrap();
    let answer = Client::unauthenticated(app).get(link.strip_prefix("http://127.0.0.1:8080").unwrap()).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let client = Client::unauthenticated(app).with(header::COOKIE, cookie);
    client.with("sec-fetch-site".parse().unwrap(), "same-origin".to_owned())
}

async fn post(client: &Client, path: &str, fields: &str) -> Answer {
    let page = client.get("/").await.html();
    let token = attribute(&page, "input[name=form_token]", "value").unwrap();
    client.send(Method::POST, path, format!("form_token={token}&{fields}")).await
}

#[tokio::test]
async fn a_view_is_saved_opened_renamed_shared_and_deleted() {
    let app = app(Seen::Complete).await;
    let ann = person(&app, "ann", PersonRole::Triager).await;
    let bob = person(&app, "bob", PersonRole::Viewer).await;
    let eve = person(&app, "eve", PersonRole::Admin).await;

    let address = "address=%2Ffindings%3Fseverity%3Dhigh%26columns%3Ddue";
    let saved = post(&ann, "/views", &format!("name=High+ones&{address}")).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let short = saved.header("location").to_owned();
    assert!(short.starts_with("/v/high-ones-"), "{short}");
    let opened = ann.get(&short).await;
    assert_eq!(opened.header("location"), "/findings?severity=high&columns=due");
    let list = ann.get(opened.header("location")).await.html();
    assert_eq!(attribute(&list, &format!("a[href=\"{short}\"]"), "href"), Some(short.clone()), "the list names it");
    assert!(attribute(&ann.get("/roles").await.html(), &format!("a[href=\"{short}\"]"), "href").is_none());

    // It is nobody else's, who learns not even that there is one.
    for other in [&bob, &eve] {
        assert_eq!(other.get(&short).await.status, StatusCode::NOT_FOUND);
        assert!(!other.get("/settings/views").await.text.contains("High ones"));
    }
    let change = short.replace("/v/", "/settings/views/");
    assert_eq!(post(&eve, &change, "step=delete").await.status, StatusCode::NOT_FOUND);

    // One name is one view; another person may have it, too.
    assert_eq!(post(&ann, "/views", &format!("name=high+ONES&{address}")).await.status, StatusCode::CONFLICT);
    assert_eq!(post(&bob, "/views", &format!("name=High+ones&{address}")).await.status, StatusCode::SEE_OTHER);
    // Who only reads shares nothing, and is not offered to.
    assert_eq!(post(&bob, "/views", &format!("name=All&shared=yes&{address}")).await.status, StatusCode::FORBIDDEN);
    assert!(attribute(&bob.get("/findings").await.html(), "input[name=shared]", "name").is_none());

    assert_eq!(post(&ann, &change, "step=share").await.status, StatusCode::SEE_OTHER);
    assert_eq!(post(&ann, &change, "step=rename&name=High%2C+due").await.status, StatusCode::SEE_OTHER);
    assert_eq!(bob.get(&short).await.header("location"), "/findings?severity=high&columns=due", "the address stays");
    assert!(bob.get("/findings").await.text.contains("High, due"));
    assert_eq!(post(&bob, &change, "step=delete").await.status, StatusCode::NOT_FOUND);
    assert_eq!(post(&eve, &change, "step=delete").await.status, StatusCode::SEE_OTHER, "an admin may");
    assert_eq!(ann.get(&short).await.status, StatusCode::NOT_FOUND);

    let log = app.store.audit_log(&AuditFilter::default(), None, 100).await.unwrap();
    let acts: Vec<(String, String)> =
        log.into_iter().map(|it| (it.actor, it.action.to_string())).filter(|it| it.1.starts_with("view.")).collect();
    let expected = [("eve", "view.delete"), ("ann", "view.rename"), ("ann", "view.share")];
    assert_eq!(acts, expected.map(|(who, what)| (who.to_owned(), what.to_owned())), "of what everybody has");
}

#[tokio::test]
async fn a_view_of_what_a_list_does_not_know_is_refused_and_not_shown_as_another_list() {
    let database = rolecall_store::testing::database().await.unwrap();
    let app = app_over(database.store.clone(), Seen::Complete, Config::default()).await;
    let ann = person(&app, "ann", PersonRole::Triager).await;
    for (fields, said) in [
        ("name=x&address=%2Fsettings", "is no list"),
        ("name=x&address=https%3A%2F%2Fevil.example%2F", "is no list"),
        ("name=x&address=%2Ffindings%3Fseverty%3Dhigh", "did you mean `severity`"),
        ("name=+&address=%2Ffindings", "1 to 100 visible characters"),
        ("name=x", "is no list"),
    ] {
        let answer = post(&ann, "/views", fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{fields}");
        let text = answer.text.replace("&#96;", "`");
        assert!(text.contains(said) || all(&answer.html(), "main").concat().contains(&said.replace('`', "")), "{text}");
    }
    let saved = post(&ann, "/views", "name=Mine&address=%2Ffindings%3Fseverity%3Dhigh").await;
    let short = saved.header("location").to_owned();
    // As if a later version had another word for it.
    let mut owner = database.connect().await.unwrap();
    sqlx::query("update saved_view set query = 'graveness=high'").execute(&mut owner).await.unwrap();
    let refused = ann.get(&short).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("Mine") && refused.text.contains("graveness"), "{}", refused.text);
    let listed = ann.get("/settings/views").await;
    assert!(listed.text.contains("Cannot be opened"), "{}", listed.text);
    assert!(attribute(&listed.html(), &format!("a[href=\"{short}\"]"), "href").is_none());
}

#[tokio::test]
async fn programs_have_views_too() {
    let app = app(Seen::Complete).await;
    let reader = Client::program(&app, &[Scope::FindingsRead]).await;
    let new = |name: &str, address: &str, shared: bool| json!({"name": name, "address": address, "shared": shared});
    let send = async |client: &Client, body: Value| client.send(Method::POST, "/api/v1/views", body.to_string()).await;
    let made = send(&reader, new("Overdue", "/findings?due=overdue&sort=oldest", false)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["path"], &made["problem"]), (&json!("/findings"), &Value::Null));
    assert_eq!(made["query"], "due=overdue&sort=oldest");
    assert!(made["url"].as_str().unwrap().ends_with(&format!("/v/{}", made["id"].as_str().unwrap())));
    let listed = reader.json("/api/v1/views").await;
    assert_eq!(listed["items"], json!([made]));
    is_problem(&send(&reader, new("overdue", "/roles", false)).await, 409, "conflict");
    is_problem(&send(&reader, new("All", "/roles", true)).await, 403, "forbidden");
    is_problem(&send(&reader, new("x", "/api/v1/findings", false)).await, 400, "invalid_parameter");
    is_problem(&send(&reader, json!({"name": "x"})).await, 400, "invalid_parameter");
    let path = format!("/api/v1/views/{}", made["id"].as_str().unwrap());
    assert_eq!(reader.send(Method::DELETE, &path, "").await.status, StatusCode::NO_CONTENT);
    is_problem(&reader.send(Method::DELETE, &path, "").await, 404, "not_found");
    assert_eq!(reader.json("/api/v1/views").await["items"], json!([]));

    // Somebody who sees a part of the estate has views as everybody has.
    let limited = Client::limited(&app, &[Scope::FindingsRead, Scope::FindingsTriage], &["namespace:payments"]).await;
    assert_eq!(send(&limited, new("Ours", "/findings", true)).await.status, StatusCode::CREATED);
    assert_eq!(limited.json("/api/v1/views").await["items"].as_array().unwrap().len(), 1);
}
