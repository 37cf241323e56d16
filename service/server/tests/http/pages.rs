//! What people get: pages that hold what they promise, link to what exists, and carry no script.

use crate::support::{Answer, Client, Seen, app};
use axum::http::{Method, StatusCode, header};
use chrono::Utc;
use rolecall_store::{NewRun, RunOutcome};
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).expect("a selector")).collect()
}

fn text(page: &Html, selector: &str) -> String {
    let found = all(page, selector);
    let first = found.first().unwrap_or_else(|| panic!("no {selector}"));
    first.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words that AWS's documentation has none of, and that docs/glossary.md replaces.
const GONE: &[&str] = &[
    "seen whole",
    "read whole",
    "tied to",
    "tied by",
    "not tied",
    "beyond the grants",
    "ways to more",
    "way to more",
    "as good as",
    "becomes whom",
    "became whom",
    "latest look",
    "looked at",
    "latest audit",
    "would mend",
    "could not be decided",
    "not decided",
    "come in by",
    "did not end as it should",
    "cannot be put",
];

/// The text of a page, but for code and documents, has none of the words that are gone.
fn speaks_plainly(path: &str, page: &Html) {
    let code = Selector::parse("pre, code, .mono").expect("a selector");
    let quoted: BTreeSet<_> = page.select(&code).flat_map(|e| e.descendants().map(|node| node.id())).collect();
    let words = page.root_element().descendants().filter(|node| !quoted.contains(&node.id()));
    let text: Vec<&str> = words.filter_map(|node| node.value().as_text().map(|text| &**text)).collect();
    let text = text.join(" ").to_lowercase();
    for gone in GONE {
        assert!(!text.contains(gone), "{path}: `{gone}` in `{text}`");
    }
}

/// What holds for every page.
fn is_sound(path: &str, answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{path}: {part}");
    }
    assert!(!policy.contains("unsafe"), "{path}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value, "{path}");
    }
    assert_ne!(answer.header("x-request-id"), "", "{path}");
    let page = answer.html();
    speaks_plainly(path, &page);
    assert!(all(&page, "style, [style]").is_empty(), "{path}: no style in the page");
    assert!(all(&page, "script:not([src])").is_empty(), "{path}: no script in the page");
    let handlers = all(&page, "*").into_iter().filter(|e| e.value().attrs().any(|(name, _)| name.starts_with("on")));
    assert_eq!(handlers.count(), 0, "{path}: no handler in the page");
    assert_eq!(all(&page, "h1").len(), 1, "{path}: one heading");
    assert!(!text(&page, "title").is_empty(), "{path}");
    for table in all(&page, "table") {
        assert!(table.select(&Selector::parse("caption").unwrap()).next().is_some(), "{path}: a table without caption");
        for cell in table.select(&Selector::parse("th").unwrap()) {
            assert!(cell.attr("scope").is_some(), "{path}: a heading cell without scope");
        }
    }
    let ids: Vec<&str> = all(&page, "[id]").into_iter().filter_map(|e| e.attr("id")).collect();
    let unique: BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{path}: ids are unique: {ids:?}");
    for form in all(&page, "form[method=post]") {
        let token = form.select(&Selector::parse("input[name=form_token]").unwrap()).next();
        assert!(token.is_some_and(|t| t.attr("value").is_some_and(|v| v.len() == 64)), "{path}: a form without token");
    }
}

/// Follows every link from the overview. Returns the pages that were met.
async fn crawl(client: &Client) -> BTreeMap<String, Answer> {
    let mut met = BTreeMap::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut waiting = VecDeque::from(["/".to_owned()]);
    let mut known = BTreeSet::from(["/".to_owned()]);
    while let Some(path) = waiting.pop_front() {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        is_sound(&path, &answer);
        for link in all(&answer.html(), "a[href]") {
            let href = link.attr("href").unwrap();
            let address = href.split('#').next().unwrap().to_owned();
            if !address.starts_with('/') {
                assert!(href.starts_with('#') || href.starts_with("https://"), "{path} links to {href}");
                continue;
            }
            // Of many addresses of one shape two are enough.
            let shape = shape_of(&address);
            let seen = kinds.entry(shape).or_default();
            if *seen < 2 && known.insert(address.clone()) {
                *seen += 1;
                waiting.push_back(address);
            }
        }
        met.insert(path, answer);
    }
    met
}

/// An address without the values in it, and without the filters that an order or a choice of columns keeps.
fn shape_of(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let first = path.split('/').nth(1).unwrap_or_default();
    let deep = path.matches('/').count() > 1;
    let names: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).collect();
    let arranges = names.iter().find(|name| ["sort", "columns"].contains(name));
    format!("{first} {deep} {}", arranges.map_or_else(|| names.join(" "), |name| (*name).to_owned()))
}

#[tokio::test]
async fn every_link_leads_somewhere_whatever_was_seen() {
    for seen in [Seen::Nothing, Seen::Gaps] {
        let app = app(seen).await;
        let person = Client::person(&app).await;
        let met = crawl(&person).await;
        for page in
            ["/", "/findings", "/associations", "/roles", "/accounts", "/rules", "/scans", "/problems", "/docs/api"]
        {
            assert!(met.contains_key(page), "{seen:?}: {page} is reached from the overview");
        }
        if seen == Seen::Gaps {
            for section in ["findings", "associations", "roles", "accounts", "rules", "scans"] {
                let one = met.keys().any(|path| path.strip_prefix(&format!("/{section}/")).is_some());
                assert!(one, "one of {section} is reached");
            }
        }
    }
}

#[tokio::test]
async fn the_overview_says_first_what_was_not_seen() {
    let page = |seen| async move {
        let app = app(seen).await;
        Client::person(&app).await.get("/").await.html()
    };
    let nothing = page(Seen::Nothing).await;
    assert!(text(&nothing, "main .notice").contains("No scan has finished"));
    let whole = page(Seen::Complete).await;
    assert!(text(&whole, "main .notice").contains("Coverage complete"));
    let tiles: Vec<String> = all(&whole, ".tile-link").iter().map(|t| t.text().collect::<String>()).collect();
    assert_eq!(tiles.len(), 5);
    assert!(tiles[0].contains("Critical"), "{tiles:?}");
    let first: Vec<String> = all(&whole, ".urgent li .sev").iter().map(|sev| sev.text().collect::<String>()).collect();
    assert!(first.len() > 2 && first[0].contains("Critical"), "{first:?}");
    let gaps = page(Seen::Gaps).await;
    let notice = text(&gaps, "main .notice");
    assert!(notice.contains("2 of ") && notice.contains("incomplete"), "{notice}");
    assert!(notice.contains("iam:GetAccountAuthorizationDetails"), "{notice}");
}

#[tokio::test]
async fn the_overview_says_that_the_latest_scan_failed() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    let notices = |page: &Html| -> String { all(page, "main .notice.bad").iter().flat_map(ElementRef::text).collect() };
    assert!(!notices(&person.get("/").await.html()).contains("scan"));
    let new =
        NewRun { kind: "scan".into(), trigger: "schedule".into(), now: Utc::now(), lease: Duration::from_secs(60) };
    let run = app.store.begin_run(&new).await.unwrap();
    app.store.finish_run(run, &RunOutcome::Failed("no account answers".into(), Value::Null)).await.unwrap();
    let told = notices(&person.get("/").await.html());
    assert!(told.contains("The latest scan did not finish") && told.contains(&format!("Scan {}", run.0)), "{told}");
}

#[tokio::test]
async fn an_empty_list_says_why_it_is_empty() {
    let nothing = app(Seen::Nothing).await;
    let person = Client::person(&nothing).await;
    for path in ["/findings", "/associations", "/clusters", "/roles"] {
        assert_eq!(text(&person.get(path).await.html(), ".empty h2"), "Not scanned yet", "{path}");
    }
    let gaps = app(Seen::Gaps).await;
    let person = Client::person(&gaps).await;
    let filtered = person.get("/findings?q=no-such-text-anywhere").await.html();
    assert!(text(&filtered, ".empty h2").contains("matches these filters"));
}

#[tokio::test]
async fn the_findings_page_and_its_request_say_the_same() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    let page = person.get("/findings?severity=critical,high&sort=last_seen").await.html();
    let rows = all(&page, "tbody tr").len();
    let curl = text(&page, "#curl");
    let path = curl.split('\'').nth(1).unwrap().split_once("8080").unwrap().1.to_owned();
    assert!(path.starts_with("/api/v1/findings?") && path.contains("state=open,acknowledged"), "{path}");
    let same = person.json(&path).await;
    assert_eq!(rows, same["items"].as_array().unwrap().len().min(50));
    assert_eq!(all(&page, "th[aria-sort]").len(), 1);
    assert!(text(&page, ".chips").contains("severity"));
    // The pages of a list hold each row once.
    let mut numbers = BTreeSet::new();
    let (mut next, mut count) = (Some("/findings".to_owned()), 0);
    while let Some(path) = next {
        let page = person.get(&path).await.html();
        for link in all(&page, "tbody a.title") {
            assert!(numbers.insert(link.attr("href").unwrap().to_owned()), "twice");
            count += 1;
        }
        next = all(&page, "a[rel=next]").first().map(|a| a.attr("href").unwrap().to_owned());
    }
    let total = person.json("/api/v1/findings?state=open,acknowledged&limit=1").await["total"]["count"].clone();
    assert_eq!(total, count);
    let grouped = person.get("/findings?group=rule").await.html();
    assert_eq!(all(&grouped, "tbody tr").len(), count);
    let unknown = person.get("/findings?severty=high").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(text(&unknown.html(), ".notice").contains("did you mean"));
}

#[tokio::test]
async fn a_search_leads_to_what_has_the_name_or_shows_what_holds_it() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    let association = person.json("/api/v1/associations?limit=1").await["items"][0].clone();
    let role = person.json("/api/v1/roles?limit=1").await["items"][0].clone();
    let finding = person.json("/api/v1/findings?limit=1").await["items"][0].clone();
    let cluster = person.json("/api/v1/clusters?limit=1").await["items"][0].clone();
    let of = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let encoded = |text: &str| text.replace(':', "%3A").replace('/', "%2F").replace('#', "%23");
    let number = finding["number"].to_string();
    for (asked, page) in [
        (number.clone(), format!("/findings/{number}")),
        (format!("#{number}"), format!("/findings/{number}")),
        (of(&finding["fingerprint"]), format!("/findings/{number}")),
        (of(&role["arn"]), format!("/roles/{}", of(&role["arn"]))),
        (of(&association["key"]), format!("/associations/{}", of(&association["key"]))),
        (of(&association["association_id"]), format!("/associations/{}", of(&association["key"]))),
        (
            of(&cluster["arn"]),
            format!("/clusters/{}/{}/{}", of(&cluster["account_id"]), of(&cluster["region"]), of(&cluster["name"])),
        ),
    ] {
        let answer = person.get(&format!("/search?q={}", encoded(&asked))).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, page.as_str()), "{asked}");
    }

    let namespace = of(&association["namespace"]);
    let page = person.get(&format!("/search?q={namespace}")).await;
    is_sound("/search", &page);
    let page = page.html();
    let titles: Vec<String> = all(&page, "main section h2").iter().map(|h| h.text().collect()).collect();
    assert!(titles.iter().any(|title| title == "Namespace") && titles.iter().any(|title| title == "Associations"));
    let links: Vec<&str> = all(&page, ".hits a").iter().map(|a| a.attr("href").unwrap()).collect();
    assert!(links.contains(&format!("/associations?namespace={namespace}").as_str()), "{links:?}");
    for link in links {
        assert_eq!(person.get(link).await.status, StatusCode::OK, "{link}");
    }

    for unknown in ["99999999", "999999999999", "arn:aws:iam::111122223333:role/no-such", "a-nosuchassociation"] {
        let page = person.get(&format!("/search?q={}", encoded(unknown))).await;
        assert_eq!(page.status, StatusCode::OK, "{unknown}");
        assert_eq!(text(&page.html(), ".empty h2"), "Nothing found", "{unknown}");
    }
    let gaps = Client::person(&crate::support::app(Seen::Gaps).await).await.get("/search?q=no-such-name").await.html();
    assert!(text(&gaps, "main .notice").contains("incomplete"), "what was not seen is said");
}

#[tokio::test]
async fn a_finding_shows_the_statement_that_decided() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    let findings = person.json("/api/v1/findings?limit=1000").await["items"].as_array().unwrap().clone();
    let marked =
        |f: &serde_json::Value| {
            f["evidence"].as_array().unwrap().iter().any(|e| {
                e["pointer"].as_str().is_some_and(|p| p.starts_with("/Statement/")) && !e["document"].is_null()
            })
        };
    let mut found = None;
    for finding in findings.iter().filter(|f| f["subject"]["kind"] == "role") {
        let whole = person.json(&format!("/api/v1/findings/{}", finding["number"])).await;
        if marked(&whole) {
            found = Some(whole);
            break;
        }
    }
    let finding = found.expect("a finding with a statement");
    let page = person.get(&format!("/findings/{}", finding["number"])).await.html();
    assert_eq!(
        text(&page, "h1"),
        finding["message"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    );
    assert!(!all(&page, ".doc .l.marked").is_empty(), "the statement is marked");
    assert!(!all(&page, ".doc .l:not(.marked)").is_empty(), "and the rest is not");
    assert!(all(&page, ".doc .note").iter().any(|n| {
        finding["evidence"]
            .as_array()
            .unwrap()
            .iter()
            .any(|e| n.text().collect::<String>().contains(e["label"].as_str().unwrap()))
    }));
    assert!(!text(&page, "pre[aria-label=Expression]").is_empty());
    assert_eq!(all(&page, ".chain .node.subject").len(), 1, "the subject stands in the chain");
    assert!(text(&page, ".history").contains("Opened"));
}

#[tokio::test]
async fn a_pod_shows_the_findings_of_its_role_and_a_finding_its_pods() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    let open = "/api/v1/findings?state=open&via=role&limit=1";
    let finding = person.json(open).await["items"][0].clone();
    let workload = &finding["workloads"][0];
    let name = format!("{}/{}", workload["namespace"].as_str().unwrap(), workload["service_account"].as_str().unwrap());

    let page = person.get(&format!("/findings/{}", finding["number"])).await.html();
    assert!(text(&page, "[aria-labelledby=pods-h]").contains(&name), "{name}");
    let key = workload["association"].as_str().unwrap();
    let page = person.get(&format!("/associations/{key}")).await.html();
    let listed = format!("/findings/{}", finding["number"]);
    let selector = format!("[aria-labelledby=findings-h] a[href='{listed}']");
    assert_eq!(all(&page, &selector).len(), 1, "{listed} on the page of {key}");

    let page = person.get(&format!("/findings?namespace={}", workload["namespace"].as_str().unwrap())).await.html();
    assert!(text(&page, "tbody").contains(&name), "the list names the pods");
    let page =
        person.get(&format!("/findings?namespace={}&via=subject", workload["namespace"].as_str().unwrap())).await;
    assert!(all(&page.html(), &format!("a[href='{listed}']")).is_empty(), "the finding is not about the pod itself");
    // A form sends its empty fields along.
    assert_eq!(person.get("/findings?namespace=&cluster=&q=").await.status, 200);
}

#[tokio::test]
async fn an_association_shows_its_chain_and_a_role_its_documents() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    let associations = person.json("/api/v1/associations?limit=1000").await["items"].as_array().unwrap().clone();
    let chained =
        associations.iter().find(|a| a["detail"]["target_role_seen"] == true).expect("one with a target role");
    let page = person.get(&format!("/associations/{}", chained["key"].as_str().unwrap())).await.html();
    let nodes: Vec<String> =
        all(&page, ".chain .node .kind").iter().map(|n| n.text().collect::<String>().trim().to_owned()).collect();
    assert_eq!(nodes, ["Service account", "Association role", "Target role"]);
    let missing = associations.iter().find(|a| a["detail"]["role_seen"] == false).expect("one whose role is missing");
    let page = person.get(&format!("/associations/{}", missing["key"].as_str().unwrap())).await.html();
    assert_eq!(all(&page, ".chain .node.missing, .chain .node.unseen").len(), 1);

    let arn = chained["detail"]["role_arn"].as_str().unwrap();
    let page = person.get(&format!("/roles/{arn}")).await.html();
    let titles: Vec<String> = all(&page, ".doc figcaption strong").iter().map(|n| n.text().collect()).collect();
    assert_eq!(titles[0], "Trust policy");
    assert!(titles.len() > 1, "{titles:?}");
    assert!(text(&page, "[aria-labelledby=users-h]").contains(chained["service_account"].as_str().unwrap()));
}

#[tokio::test]
async fn colours_are_kept_and_words_from_outside_stay_words() {
    let app = app(Seen::Nothing).await;
    let person = Client::person(&app).await;
    let page = person.get("/findings?q=%3Cscript%3Ealert(1)%3C/script%3E").await;
    is_sound("/findings?q=<script>", &page);
    assert_eq!(all(&page.html(), "main input[type=search]")[0].attr("value"), Some("<script>alert(1)</script>"));
    let token = all(&page.html(), "input[name=form_token]")[0].attr("value").unwrap().to_owned();
    let answer = person.send(Method::POST, "/theme", format!("form_token={token}&theme=dark&next=/scans")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/scans"));
    assert!(answer.header("set-cookie").starts_with("theme=dark;"));
    let away = person.send(Method::POST, "/theme", format!("form_token={token}&theme=x&next=//evil.example")).await;
    assert_eq!((away.header("location"), away.header("set-cookie").starts_with("theme=auto;")), ("/", true));
    let dark = Client::unauthenticated(&app).with(header::COOKIE, "theme=dark").get("/login").await;
    assert_eq!(all(&dark.html(), "html")[0].attr("class"), Some("dark"));
}

#[tokio::test]
async fn failures_of_pages_are_pages() {
    let app = app(Seen::Nothing).await;
    let person = Client::person(&app).await;
    for (path, status) in [
        ("/nothing", 404),
        ("/findings/0", 404),
        ("/findings/x", 404),
        ("/roles/x", 404),
        ("/associations/a/b", 404),
        ("/accounts/1", 404),
        ("/rules/none", 404),
        ("/scans/0", 404),
        ("/findings?cursor=x", 400),
        ("/static/none.js", 404),
    ] {
        let answer = person.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        is_sound(path, &answer);
        assert!(!text(&answer.html(), "h1").is_empty(), "{path}");
    }
    for (method, path, status) in [
        (Method::PUT, "/findings", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/findings/1/triage", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(person.send(method, path, "").await.status, status, "no token, no step: {path}");
    }
}

/// Pages lead forward and back over the same rows, in pages of the size that was asked for.
#[tokio::test]
async fn lists_lead_forward_and_back() {
    let client = Client::person(&app(Seen::Complete).await).await;
    for (list, row) in [("/roles", "tbody tr"), ("/findings", "tbody tr"), ("/associations", "tbody tr")] {
        let whole = client.get(&format!("{list}?limit=250")).await.html();
        let rows = all(&whole, row).len();
        assert!(rows > 2, "{list}: {rows}");
        assert!(all(&whole, "nav.pager a[rel]").is_empty(), "{list}: all rows are on the page");
        let (mut at, mut walked, mut seen) = (format!("{list}?limit=1"), Vec::new(), Vec::new());
        loop {
            let page = client.get(&at).await;
            assert_eq!(page.status, StatusCode::OK, "{at}");
            let page = page.html();
            walked.push(at.clone());
            seen.push(text(&page, row));
            assert_eq!(all(&page, row).len(), 1, "{at}");
            let Some(next) = all(&page, "a[rel=next]").first().and_then(|a| a.attr("href").map(str::to_owned)) else {
                break;
            };
            at = next;
        }
        assert_eq!(seen.len(), rows, "{list}");
        // Ten pages back are remembered, and the first is always there.
        for expected in seen.iter().rev().skip(1).take(10) {
            let page = client.get(&at).await.html();
            at = all(&page, "a[rel=prev]").first().unwrap_or_else(|| panic!("{at}")).attr("href").unwrap().to_owned();
            let before = client.get(&at).await.html();
            assert_eq!(text(&before, row), *expected, "{at}");
        }
    }
    // What a page shows as a request to the API goes to where the page came from.
    let client = client.and(header::HOST, "localhost:8099");
    let page = client.get("/roles").await.html();
    let request = all(&page, "pre").iter().map(|pre| pre.text().collect::<String>()).find(|it| it.contains("curl"));
    assert!(request.as_deref().is_some_and(|it| it.contains("http://localhost:8099/api/v1/roles")), "{request:?}");
}

/// What a page offers to download is what its filters leave, however it is paged.
#[tokio::test]
async fn lists_are_downloaded_as_they_are_filtered() {
    let app = app(Seen::Complete).await;
    let client = Client::person(&app).await;
    for list in ["findings", "roles", "associations", "clusters", "changes", "baselines", "sessions", "exceptions"] {
        let page = client.get(&format!("/{list}?limit=1")).await.html();
        let mut links: Vec<String> =
            all(&page, "a[download]").iter().map(|a| a.attr("href").expect("an address").to_owned()).collect();
        // A list without rows has no pages, and its file no lines.
        if all(&page, "nav.pager").is_empty() {
            links = ["csv", "ndjson"].map(|form| format!("/download/{list}?format={form}")).into();
        }
        let [csv, ndjson] = links.as_slice() else { panic!("{list}: {links:?}") };
        let (csv, ndjson) = (client.get(csv).await, client.get(ndjson).await);
        assert_eq!((csv.status, ndjson.status), (StatusCode::OK, StatusCode::OK), "{list}");
        assert!(csv.header("content-type").starts_with("text/csv"), "{list}");
        let named = csv.header("content-disposition");
        assert!(named.starts_with(&format!("attachment; filename=\"rolecall-{list}-")), "{named}");
        let rows: Result<Vec<_>, _> = csv::Reader::from_reader(csv.text.as_bytes()).into_records().collect();
        let rows = rows.expect("CSV").len();
        let text = ndjson.text;
        assert_eq!(rows, text.lines().count(), "{list}");
        for line in text.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).expect("JSON").is_object(), "{list}");
        }
    }
    let high = client.get("/download/findings?format=ndjson&severity=high").await;
    let high = high.text;
    assert!(!high.is_empty() && high.lines().all(|line| line.contains("\"severity\":\"high\"")), "{high}");
    for (path, status) in [
        ("/download/nothing", StatusCode::NOT_FOUND),
        ("/download/findings?severty=high", StatusCode::BAD_REQUEST),
        ("/download/findings?format=pdf", StatusCode::BAD_REQUEST),
        ("/download/roles?at=2001-01-01", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
}
