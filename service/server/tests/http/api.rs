//! What programs get: shapes, paging, and failures that say what is wrong.

use crate::support::{Answer, Client, REFUSED, Seen, app};
use axum::http::{Method, StatusCode, header};
use rolecall::http::auth::token::Scope;
use rolecall_estate::{CompleteRange, EventScope};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const LISTS: [&str; 9] =
    ["findings", "accounts", "coverage", "associations", "roles", "sessions", "change-events", "rules", "scans"];

/// That an answer is a whole problem document of this status and code.
pub(crate) fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
    let problem = answer.json();
    assert_eq!(answer.status.as_u16(), status, "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["code"], code);
    assert_eq!(problem["type"], format!("/problems#{code}"));
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    for member in ["title", "detail", "instance"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
    }
}

#[tokio::test]
async fn every_failure_is_a_problem_document() {
    let app = app(Seen::Nothing).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    for (method, path, status, code) in [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v2/findings", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/v1/findings/0", 404, "not_found"),
        ("GET", "/api/v1/findings/v1:none", 404, "not_found"),
        ("GET", "/api/v1/findings/%FF", 400, "invalid_parameter"),
        ("GET", "/api/v1/roles/not-an-arn", 404, "not_found"),
        ("GET", "/api/v1/associations/1/2/3/4/5", 404, "not_found"),
        ("GET", "/api/v1/rules/none", 404, "not_found"),
        ("GET", "/api/v1/scans/x", 404, "not_found"),
        ("DELETE", "/api/v1/findings", 405, "method_not_allowed"),
        ("POST", "/api/v1/rules", 405, "method_not_allowed"),
        ("GET", "/api/v1/findings?cursor=abc", 400, "cursor_mismatch"),
        ("GET", "/api/v1/findings?severity=hihg", 400, "invalid_parameter"),
        ("GET", "/api/v1/findings?limit=0", 400, "invalid_parameter"),
        ("GET", "/api/v1/findings?sevrity=high", 400, "unknown_parameter"),
    ] {
        let answer = client.send(method.parse().unwrap(), path, "").await;
        is_problem(&answer, status, code);
    }
    let large =
        client.with(header::CONTENT_LENGTH, "70000").send(Method::POST, "/api/v1/scans", vec![b'x'; 70_000]).await;
    is_problem(&large, 413, "too_large");
}

#[tokio::test]
async fn an_unknown_parameter_names_the_nearest_on_every_list() {
    let app = app(Seen::Nothing).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    for list in LISTS {
        let answer = client.get(&format!("/api/v1/{list}?limt=5&stat=open")).await;
        is_problem(&answer, 400, "unknown_parameter");
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        assert_eq!(errors.len(), 2, "{list}: both are named");
        assert_eq!(errors[0]["parameter"], "limt");
        assert_eq!(errors[0]["message"], "unknown parameter `limt`; did you mean `limit`?");
    }
    let answer = client.get("/api/v1/findings?severity=hihg&limit=x").await;
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("`severity`: `hihg` is not one of critical, high, medium, low, info"), "{detail}");
    assert!(detail.contains("`limit`"), "{detail}");
}

#[tokio::test]
async fn paging_walks_all_of_a_list_once() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    for (list, key) in [
        ("findings", "number"),
        ("findings?sort=last_seen", "number"),
        ("findings?sort=opened&state=open", "number"),
        ("findings?sort=number&severity_min=medium", "number"),
        ("accounts", "id"),
        ("coverage", "scope"),
        ("associations", "key"),
        ("roles", "arn"),
        ("sessions", "event_id"),
        ("rules", "id"),
    ] {
        let separator = if list.contains('?') { '&' } else { '?' };
        let whole = client.json(&format!("/api/v1/{list}{separator}limit=1000")).await;
        let wanted: Vec<Value> = whole["items"].as_array().unwrap().clone();
        assert!(!wanted.is_empty() && wanted.iter().all(|item| !item[key].is_null()), "{list} has items");
        if let Some(count) = whole["total"]["count"].as_u64() {
            assert_eq!(
                (usize::try_from(count).unwrap(), &whole["total"]["type"]),
                (wanted.len(), &json!("exact")),
                "{list}"
            );
        }
        let step = (wanted.len() / 4).clamp(1, 100);
        let (mut walked, mut next) = (Vec::new(), Some(format!("/api/v1/{list}{separator}limit={step}&total=count")));
        if list == "sessions" {
            next = Some(format!("/api/v1/sessions?limit={step}"));
        }
        while let Some(path) = next {
            let answer = client.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
            let page = answer.json();
            walked.extend(page["items"].as_array().unwrap().clone());
            assert!(walked.len() <= wanted.len(), "{list} ends");
            next = answer
                .header("link")
                .strip_prefix('<')
                .and_then(|link| Some(link.split_once(">; rel=\"next\"")?.0.to_owned()));
            assert_eq!(next.is_some(), !page["next_cursor"].is_null(), "{list}: Link and next_cursor agree");
            // The list is longer than one page can be.
            if wanted.len() == 1000 && walked.len() == 1000 {
                break;
            }
        }
        assert_eq!(walked, wanted, "{list}");
    }
}

#[tokio::test]
async fn a_cursor_fits_only_the_list_that_it_came_with() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    let page = client.json("/api/v1/findings?severity=high,medium&limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let same = client.get(&format!("/api/v1/findings?severity=medium,high&limit=2&cursor={cursor}")).await;
    assert_eq!(same.status, StatusCode::OK, "the order of a list and the limit are no filter");
    for path in [
        format!("/api/v1/findings?severity=high&limit=1&cursor={cursor}"),
        format!("/api/v1/findings?limit=1&cursor={cursor}"),
        format!("/api/v1/findings?severity=high,medium&sort=number&cursor={cursor}"),
        format!("/api/v1/roles?cursor={cursor}"),
        format!("/api/v1/findings?severity=high,medium&cursor=A{cursor}"),
        format!("/api/v1/findings?severity=high,medium&cursor={cursor}A"),
    ] {
        is_problem(&client.get(&path).await, 400, "cursor_mismatch");
    }
}

#[tokio::test]
async fn every_filter_of_findings_leaves_what_it_says() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    let all = client.json("/api/v1/findings?limit=1000").await["items"].as_array().unwrap().clone();
    let sample = all.iter().find(|f| !f["subject"]["namespace"].is_null()).expect("a finding about an association");
    let subject = &sample["subject"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (name, value, of) in [
        ("severity", text(&sample["severity"]), "/severity"),
        ("rule_id", text(&sample["rule_id"]), "/rule_id"),
        ("state", "open".to_owned(), "/state"),
        ("detection", "active".to_owned(), "/detection"),
        ("account_id", text(&subject["account_id"]), "/subject/account_id"),
        ("subject_kind", text(&subject["kind"]), "/subject/kind"),
        ("subject_key", text(&subject["key"]), "/subject/key"),
        ("via=subject&region", text(&subject["region"]), "/subject/region"),
        ("via=subject&cluster", text(&subject["cluster"]), "/subject/cluster"),
        ("via=subject&namespace", text(&subject["namespace"]), "/subject/namespace"),
        ("via=subject&service_account", text(&subject["service_account"]), "/subject/service_account"),
    ] {
        let left = client.json(&format!("/api/v1/findings?limit=1000&{name}={value}")).await["items"]
            .as_array()
            .unwrap()
            .clone();
        let wanted: Vec<&Value> = all.iter().filter(|f| f.pointer(of) == Some(&json!(value))).collect();
        assert!(!wanted.is_empty(), "{name}={value}");
        assert_eq!(left.iter().collect::<Vec<_>>(), wanted, "{name}={value}");
    }
    let none = client.json("/api/v1/findings?first_seen_after=2099-01-01T00:00:00Z").await;
    assert_eq!(none["total"], json!({ "count": 0, "type": "exact" }));
    let none = client.json("/api/v1/findings?updated_since=2099-01-01T00:00:00Z&total=none").await;
    assert_eq!((&none["items"], &none["total"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_place_finds_what_is_about_its_workloads_and_their_roles() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    let list = async |query: &str| {
        client.json(&format!("/api/v1/findings?limit=1000&{query}")).await["items"].as_array().unwrap().clone()
    };
    let all = list("include=folded").await;
    let sample = all.iter().find(|f| f["workload_count"].as_u64() > Some(0)).expect("a role that a pod reaches");
    assert_eq!(sample["subject"]["namespace"], Value::Null, "a role is in no namespace itself");
    for name in ["region", "cluster", "namespace", "service_account", "association"] {
        let value = sample["workloads"][0][name].as_str().unwrap();
        let reached = |f: &Value| f["workloads"].as_array().unwrap().iter().any(|w| w[name] == value);
        let own = |f: &Value| f["subject"][name] == value || (name == "association" && f["subject"]["key"] == value);
        let numbers = |wanted: &dyn Fn(&Value) -> bool| -> BTreeSet<i64> {
            all.iter().filter(|f| wanted(f)).map(|f| f["number"].as_i64().unwrap()).collect()
        };
        for (via, wanted) in [
            ("", numbers(&|f| own(f) || reached(f))),
            ("&via=role", numbers(&reached)),
            ("&via=direct,target,chain", numbers(&reached)),
        ] {
            let left = list(&format!("include=folded&{name}={value}{via}")).await;
            let left: BTreeSet<i64> = left.iter().map(|f| f["number"].as_i64().unwrap()).collect();
            assert!(left.contains(&sample["number"].as_i64().unwrap()), "{name}={value}{via}");
            // A list shows ten workloads of each finding, which are all of them here.
            assert_eq!(left, wanted, "{name}={value}{via}");
        }
    }
    // The association counts what is about it and about the roles that it reaches.
    let key = sample["workloads"][0]["association"].as_str().unwrap();
    let association = client.json(&format!("/api/v1/associations/{key}")).await;
    let open = list(&format!("state=open,acknowledged&association={key}")).await;
    assert_eq!(association["open_findings"], open.len());
    let of_roles = list(&format!("state=open,acknowledged&association={key}&via=role")).await;
    assert_eq!(association["open_role_findings"], of_roles.len());
    assert_eq!(association["worst_severity"], open[0]["severity"]);
}

#[tokio::test]
async fn an_empty_filter_is_refused_and_named() {
    let app = app(Seen::Nothing).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    for (list, name) in [
        ("findings", "namespace"),
        ("findings", "severity"),
        ("findings", "updated_since"),
        ("findings", "association"),
        ("associations", "cluster"),
        ("roles", "q"),
        ("sessions", "role_arn"),
        ("coverage", "scope"),
        ("accounts", "total"),
    ] {
        let answer = client.get(&format!("/api/v1/{list}?{name}=")).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], name, "{list}");
    }
    is_problem(&client.get("/api/v1/findings?association=billing").await, 400, "invalid_parameter");
}

#[tokio::test]
async fn what_was_not_seen_is_said_and_resolves_nothing() {
    let app = app(Seen::Gaps).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    let gaps = client.json("/api/v1/coverage?complete=false").await["items"].as_array().unwrap().clone();
    let places: BTreeSet<_> =
        gaps.iter().map(|g| (g["account_id"].as_str().unwrap(), g["scope"].as_str().unwrap())).collect();
    assert_eq!(places, BTreeSet::from([(REFUSED, "roles"), (REFUSED, "policies")]));
    assert_eq!(gaps[0]["gaps"][0]["reason"], "denied");
    let resolved = client.json("/api/v1/findings?state=resolved").await;
    assert_eq!(resolved["items"], json!([]), "a refusal resolves nothing");
    let stale = client.json("/api/v1/findings?detection=stale&limit=1000").await["items"].as_array().unwrap().clone();
    assert!(!stale.is_empty(), "what depended on the refused listing is stale");
    assert!(stale.iter().all(|f| !f["stale_reasons"].as_array().unwrap().is_empty()), "and says why");
    // A reason leads to the listing that is incomplete: by name in the API, by a link on the page.
    let of_gap = |f: &&serde_json::Value| {
        f["stale_reasons"].as_array().unwrap().iter().any(|reason| {
            reason["kind"] == "gap" && reason["scope"]["account_id"] == REFUSED && reason["scope"]["scope"] == "roles"
        })
    };
    let finding = stale.iter().find(of_gap).expect("some finding depends on the listing of roles");
    let person = Client::person(&app).await;
    let page = person.get(finding["page"].as_str().unwrap()).await.text;
    let anchor = "scope-roles--";
    assert!(page.contains(&format!("href=\"/accounts/{REFUSED}#{anchor}\"")), "{page}");
    let account = person.get(&format!("/accounts/{REFUSED}")).await.text;
    assert!(account.contains(&format!("<tr id=\"{anchor}\">")), "{account}");
    let rules = client.json("/api/v1/rules?limit=1000").await["items"].as_array().unwrap().clone();
    assert!(rules.iter().any(|r| r["results"]["unknown"].as_u64() > Some(0) && r["unknown_reasons"] != json!([])));
}

#[tokio::test]
async fn one_of_each_reads_by_the_address_that_the_list_gives() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    let first = async |list: &str| client.json(&format!("/api/v1/{list}")).await["items"][0].clone();
    let finding = first("findings?sort=number&include=evidence").await;
    for id in [finding["number"].to_string(), finding["fingerprint"].as_str().unwrap().to_owned()] {
        let detail = client.json(&format!("/api/v1/findings/{id}")).await;
        for (name, value) in finding.as_object().unwrap() {
            assert_eq!(&detail[name], value, "{name}");
        }
        assert!(detail["evidence"].is_array() && detail["params"].is_object() && detail["parts"].is_array());
        let events = client.json(&format!("/api/v1/findings/{id}/events")).await;
        assert_eq!(events["items"][0]["kind"], "opened");
    }
    let association = first("associations").await;
    assert_eq!(
        client.json(&format!("/api/v1/associations/{}", association["key"].as_str().unwrap())).await,
        association
    );
    let role = first("roles?associated=true").await;
    let detail = client.json(&format!("/api/v1/roles/{}", role["arn"].as_str().unwrap().replace('/', "%2F"))).await;
    assert_eq!(detail["arn"], role["arn"]);
    let trust = role["trust_policy"].as_str().unwrap();
    assert!(detail["documents"][trust].as_str().unwrap().contains("Statement"));
    let rule = first("rules").await;
    assert_eq!(client.json(&format!("/api/v1/rules/{}", rule["id"].as_str().unwrap())).await, rule);
    let run = first("scans").await;
    assert_eq!(client.json(&format!("/api/v1/scans/{}", run["id"])).await, run);
}

/// Replaces what differs from run to run.
fn still(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let still_entry = |(name, value): (String, Value)| {
                let kept = if value.is_null() {
                    value
                } else if name.ends_with("_at") || name == "at" || name == "next_cursor" || name == "request_id" {
                    json!(format!("[{name}]"))
                } else {
                    still(value)
                };
                (name, kept)
            };
            Value::Object(entries.into_iter().map(still_entry).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(still).collect()),
        other => other,
    }
}

#[tokio::test]
async fn the_shapes_are_these() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    for (name, path) in [
        ("findings", "/api/v1/findings?limit=1&rule_id=admin-equivalent"),
        ("accounts", "/api/v1/accounts?limit=1"),
        ("coverage", "/api/v1/coverage?limit=1"),
        ("associations", "/api/v1/associations?limit=1"),
        ("roles", "/api/v1/roles?limit=1&associated=true"),
        ("sessions", "/api/v1/sessions?limit=1&kind=pod_identity"),
    ] {
        let mut shape = still(client.json(path).await);
        // Values are the estate's business; here only the members and their kinds count.
        shape = kinds(shape);
        insta::assert_json_snapshot!(name, shape);
    }
    let unknown = still(client.get("/api/v1/findings?sevrity=high").await.json());
    insta::assert_json_snapshot!("problem", unknown);
}

fn kinds(value: Value) -> Value {
    match value {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(name, value)| {
                    let open = matches!(name.as_str(), "tags" | "value" | "params" | "report" | "extra" | "documents");
                    (name, if open { json!("{…}") } else { kinds(value) })
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().take(1).map(kinds).collect()),
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
    }
}

/// Bots read long lists; a page, which holds a form token beside words of the caller, is compressed only where no other
/// site can have made the browser ask for it.
#[tokio::test]
async fn answers_of_the_api_are_compressed_and_pages_where_nobody_else_asks() {
    let app = app(Seen::Complete).await;
    let gzip = |client: Client| client.with(axum::http::header::ACCEPT_ENCODING, "gzip");
    let bot = gzip(Client::program(&app, &[Scope::Admin]).await);
    for path in ["/api/v1/findings", "/api/v1/roles", "/api/v1/openapi.json"] {
        assert_eq!(bot.get(path).await.header("content-encoding"), "gzip", "{path}");
    }
    let site = axum::http::HeaderName::from_static("sec-fetch-site");
    for (from, encoding) in [("same-origin", "gzip"), ("none", "gzip"), ("same-site", ""), ("cross-site", "")] {
        let client = gzip(Client::person(&app).await).with(site.clone(), from);
        for path in ["/", "/findings", "/roles", "/docs/tutorial"] {
            let answer = client.get(path).await;
            assert_eq!(answer.header("content-encoding"), encoding, "{path} from {from}");
        }
    }
}

#[tokio::test]
async fn metrics_tell_what_is_open_and_what_was_not_seen() {
    let app = app(Seen::Gaps).await;
    let client = Client::program(&app, &[Scope::MetricsRead]).await;
    let answer = client.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let value = |series: &str| {
        let line = answer.text.lines().find(|line| line.starts_with(&format!("{series} ")));
        line.unwrap_or_else(|| panic!("no {series}")).rsplit(' ').next().unwrap().parse::<i64>().unwrap()
    };
    assert!(value("rolecall_open_findings{severity=\"high\"}") > 0);
    assert!(value("rolecall_stale_findings") > 0);
    assert_eq!(value(&format!("rolecall_scopes{{account_id=\"{REFUSED}\",state=\"gaps\"}}")), 2);
    assert!(!answer.text.contains("arn:"), "no ARN is a label");
}

#[test]
fn the_committed_contract_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
    let now = serde_json::to_string_pretty(&rolecall::http::openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "openapi.json is old: `cargo run -- openapi > openapi.json` makes it anew, and review shows the change"
    );
}

#[test]
fn the_contract_says_what_each_list_takes() {
    let document = serde_json::to_value(rolecall::http::openapi()).unwrap();
    for list in LISTS {
        let get = &document["paths"][format!("/api/v1/{list}")]["get"];
        let names: BTreeSet<_> =
            get["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert!(names.contains("limit") && names.contains("cursor"), "{list}: {names:?}");
        assert!(get["responses"]["4XX"]["content"]["application/problem+json"].is_object(), "{list}");
    }
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["components"]["securitySchemes"]["token"].is_object());
}

#[tokio::test]
async fn complete_ranges_are_shown_to_programs_and_people() {
    let app = app(Seen::Nothing).await;
    let person = Client::person(&app).await;
    let nothing = person.get("/ingestion").await.html();
    let text = |html: &scraper::Html| html.root_element().text().collect::<String>();
    assert!(text(&nothing).contains("Completeness of the trail is unknown"));

    let from: chrono::DateTime<chrono::Utc> = "2026-03-02T00:00:00Z".parse().unwrap();
    let to = from + chrono::TimeDelta::hours(30);
    let told = ["eu-west-1", "us-east-1"].map(|region| CompleteRange {
        source: "org".into(),
        account_id: REFUSED.parse().unwrap(),
        region: region.parse().unwrap(),
        from,
        to,
        event_scope: EventScope::Bucket("org-trail".into()),
        all_regions: true,
    });
    let mut books = app.store.trail_writer();
    let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
    trail_batch.complete_ranges("org", &told, &[]).await.unwrap();
    trail_batch.commit().await.unwrap();
    let client = Client::program(&app, &[Scope::Admin]).await;
    let line = |region: &str| {
        json!({"source": "org", "account_id": REFUSED, "region": region, "from": "2026-03-02T00:00:00Z",
            "to": "2026-03-03T06:00:00Z", "event_scope": "bucket", "bucket": "org-trail", "all_regions": true})
    };
    assert_eq!(
        client.json("/api/v1/ingestion").await["complete_ranges"],
        json!([line("eu-west-1"), line("us-east-1")])
    );
    let page = text(&person.get("/ingestion").await.html());
    for part in [
        "eu-west-1, us-east-1",
        "2026-03-03 06:00 UTC",
        "Events that trails deliver to org-trail",
        "no events in other regions",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
}
