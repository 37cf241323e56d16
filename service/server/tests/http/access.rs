//! What people in their roles may do, service accounts and tokens, sessions, and the log of it all.

use crate::support::{Client, Seen, app, app_with};
use axum::http::{Method, StatusCode, header};
use rolecall::app::App;
use rolecall::config::Config;
use rolecall::config::auth::AuthConfig;
use rolecall::http::auth::login_url_for;
use rolecall::http::auth::token::{Scope, mint};
use rolecall::role::PersonRole;
use rolecall_estate::Visibility;
use rolecall_store::{AuditEntry, AuditFilter, AuditVerified, PersonAccess};
use serde_json::json;

async fn person(app: &App, name: &str, role: PersonRole) -> Client {
    let whom = PersonAccess { person: name.into(), role: role.to_string(), visibility: Visibility::Everything };
    let link = login_url_for(app, "127.0.0.1:8080".parse().unwrap(), whom).await.unwrap();
    let answer = Client::unauthenticated(app).get(link.strip_prefix("http://127.0.0.1:8080").unwrap()).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    Client::unauthenticated(app)
        .with(header::COOKIE, cookie)
        .with("sec-fetch-site".parse().unwrap(), "same-origin".to_owned())
}

async fn form_token(client: &Client) -> String {
    let page = client.get("/").await.html();
    let field = scraper::Selector::parse("input[name=form_token]").unwrap();
    page.select(&field).next().expect("a form").attr("value").unwrap().to_owned()
}

async fn post(client: &Client, path: &str, fields: &str) -> crate::support::Answer {
    let token = form_token(client).await;
    client.send(Method::POST, path, format!("form_token={token}&{fields}")).await
}

async fn log(app: &App) -> Vec<AuditEntry> {
    app.store.audit_log(&AuditFilter::default(), None, 100).await.unwrap()
}

/// What each form needs; a form that is not listed is a person's own.
fn least_role(path: &str) -> PersonRole {
    match path {
        "/findings/triage" | "/findings/1/triage" | "/scans" => PersonRole::Triager,
        path if path.starts_with("/changes/") || path.starts_with("/baselines") => PersonRole::PolicyAdmin,
        "/settings/sessions" | "/settings/sessions/0/end" | "/settings" => PersonRole::Viewer,
        path if path.starts_with("/settings/views") => PersonRole::Viewer,
        path if path.starts_with("/settings/") && !path.starts_with("/settings/webhooks") => PersonRole::Admin,
        _ => PersonRole::Viewer,
    }
}

#[tokio::test]
async fn each_role_does_what_it_may_and_is_offered_no_more() {
    let app = app(Seen::Complete).await;
    for role in PersonRole::ALL {
        let client = person(&app, role.as_str(), role).await;
        let token = form_token(&client).await;
        for (method, path) in rolecall::http::pages() {
            if path == "/logout" || path.starts_with("/settings/webhooks") {
                continue;
            }
            let body = format!("form_token={token}");
            let answer = client.send(method.clone(), path, body).await;
            let may = role
                >= if method == Method::GET && !path.starts_with("/settings") {
                    PersonRole::Viewer
                } else {
                    least_role(path)
                };
            assert_eq!(answer.status != StatusCode::FORBIDDEN, may, "{role} {method} {path}: {}", answer.status);
            if !may {
                assert!(answer.text.contains(&format!("your role is {role}")), "{role} {path}");
            }
        }
        // No page offers a form that would be refused, and none leads to a page that would be.
        let changes = client.json("/api/v1/changes?limit=1").await;
        let change = changes["items"][0]["id"].as_str().map(|id| format!("/changes/{id}"));
        for path in [
            "/",
            "/findings",
            "/findings/1",
            "/changes",
            "/baselines",
            "/scans",
            "/associations",
            "/clusters",
            "/accounts",
            "/settings",
            "/settings/sessions",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(change)
        .chain(["/accounts/111122223333".to_owned()])
        {
            let answer = client.get(&path).await;
            if answer.status != StatusCode::OK {
                continue;
            }
            let page = answer.html();
            let forms = scraper::Selector::parse("form[method=post]").unwrap();
            for form in page.select(&forms) {
                let action = form.attr("action").unwrap();
                let sample = if action.starts_with("/findings/") && action.ends_with("/triage") {
                    "/findings/1/triage"
                } else {
                    action.split('?').next().unwrap()
                };
                let least =
                    if action.starts_with("/settings/sessions/") { PersonRole::Viewer } else { least_role(sample) };
                assert!(role >= least, "{path} offers {action} to a {role}");
            }
            let links = scraper::Selector::parse("a[href^=\"/settings/\"]").unwrap();
            for link in page.select(&links) {
                let href = link.attr("href").unwrap();
                assert!(role >= least_role(href), "{path} leads a {role} to {href}");
            }
        }
        // Over the API with the cookie, too.
        for (path, scope) in [
            ("/api/v1/audit-log", Scope::AuditRead),
            ("/api/v1/tokens", Scope::Admin),
            ("/metrics", Scope::MetricsRead),
            ("/api/v1/findings", Scope::FindingsRead),
        ] {
            let allowed = client.get(path).await.status == StatusCode::OK;
            assert_eq!(allowed, role.scopes().contains(&scope), "{role} {path}");
        }
    }
}

#[tokio::test]
async fn a_triager_sees_the_forms_that_a_viewer_does_not() {
    let app = app(Seen::Complete).await;
    let (viewer, triager) = (person(&app, "v", PersonRole::Viewer).await, person(&app, "t", PersonRole::Triager).await);
    for path in ["/findings/1", "/findings", "/scans"] {
        let count = async |client: &Client| client.get(path).await.text.matches("<form").count();
        assert!(count(&viewer).await < count(&triager).await, "{path}");
    }
    assert_eq!(post(&triager, "/findings/1/triage", "step=acknowledge").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn acts_over_http_are_written_with_who_and_from_where() {
    let app = app(Seen::Complete).await;
    let ann = person(&app, "ann", PersonRole::Admin).await.from("192.0.2.9:4000");
    let ann = ann.with("x-request-id".parse().unwrap(), "request-0001");
    assert_eq!(post(&ann, "/findings/1/triage", "step=acknowledge").await.status, StatusCode::SEE_OTHER);
    assert_eq!(post(&ann, "/scans", "").await.status, StatusCode::SEE_OTHER);
    let bot = Client::program(&app, &[Scope::TicketsWrite, Scope::FindingsTriage, Scope::FindingsRead]).await;
    let json_type = |client: Client| client.with(header::CONTENT_TYPE, "application/json");
    let body = json!({ "comment": "looks fine" }).to_string();
    let answer = json_type(bot.clone()).send(Method::PATCH, "/api/v1/findings/2", body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    // What is refused is not written as done.
    let body = json!({ "state": "resolved" }).to_string();
    assert!(!json_type(bot).send(Method::PATCH, "/api/v1/findings/2", body).await.status.is_success());

    let entries = log(&app).await;
    let shown: Vec<_> = entries
        .iter()
        .rev()
        .map(|it| {
            (it.actor_kind.as_str(), it.actor.as_str(), it.action.as_str(), it.object.clone().unwrap_or_default())
        })
        .filter(|it| !it.2.starts_with("scan."))
        .collect();
    let (_, _, _, session) = &shown[1];
    assert_eq!(
        shown,
        [
            ("service", "rolecall", "login.create", "ann".to_owned()),
            ("person", "ann", "session.create", session.clone()),
            ("person", "ann", "finding.acknowledge", "1".to_owned()),
            ("service", "rolecall", "service_account.create", "bot".to_owned()),
            ("service", "rolecall", "token.create", shown[4].3.clone()),
            ("token", "bot", "finding.comment", "2".to_owned()),
        ]
    );
    let scan = entries.iter().find(|it| it.action.as_str() == "scan.start").expect("the scan is written");
    assert_eq!((scan.source_ip.as_deref(), scan.request_id.as_deref()), (Some("192.0.2.9"), Some("request-0001")));
    assert!(
        matches!(app.store.verify_audit_log(None).await.unwrap(), AuditVerified::Complete(head) if head.seq == i64::try_from(entries.len()).unwrap())
    );

    // The list and the page show it; the filters work; the cursor goes on.
    let listed = ann.json("/api/v1/audit-log?actor=ann&action=finding.acknowledge").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["object"], "1");
    let first = ann.json("/api/v1/audit-log?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = ann.json(&format!("/api/v1/audit-log?limit=2&cursor={cursor}")).await;
    assert_eq!(second["items"][0]["seq"].as_i64().unwrap() + 1, first["items"][1]["seq"].as_i64().unwrap());
    assert_eq!(second["items"][0]["hash"], first["items"][1]["previous_hash"]);
    let page = ann.get("/settings/audit-log").await;
    assert!(
        page.text.contains("finding.acknowledge") && page.text.contains(first["items"][0]["hash"].as_str().unwrap())
    );
    assert_eq!(ann.get("/api/v1/audit-log?action=nothing").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refused_sign_in_is_written_and_cannot_flood_the_log() {
    let app = app(Seen::Nothing).await;
    let nobody = Client::unauthenticated(&app).from("192.0.2.66:1");
    let begun = std::time::Instant::now();
    for _ in 0..70 {
        assert_eq!(nobody.get("/login?otp=wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let entries = log(&app).await;
    // One more a second may be written.
    let most = 61 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!((1..=most).contains(&entries.len()), "{}", entries.len());
    let entry = &entries[0];
    assert_eq!((entry.actor_kind.as_str(), entry.outcome.as_str()), ("anonymous", "failure"));
    assert_eq!(entry.source_ip.as_deref(), Some("192.0.2.66"));
}

#[tokio::test]
async fn a_refused_token_is_written_once_a_minute_and_cannot_flood_the_log() {
    let app = app(Seen::Nothing).await;
    let bearer = |token: &str, from: &str| {
        Client::unauthenticated(&app).from(from).with(header::AUTHORIZATION, format!("Bearer {token}"))
    };
    let day = chrono::TimeDelta::days(1);
    let (id, expired) = {
        let text = crate::support::token(&app, &[Scope::FindingsRead], chrono::Utc::now() - day * 40).await;
        (text.split('_').nth(1).unwrap().to_owned(), bearer(&text, "192.0.2.7:1"))
    };
    let (other, revoked) = {
        let text = crate::support::token(&app, &[Scope::FindingsRead], chrono::Utc::now()).await;
        let id = text.split('_').nth(1).unwrap().to_owned();
        assert!(app.store.revoke_token(&id, chrono::Utc::now()).await.unwrap());
        (id, bearer(&text, "192.0.2.8:1"))
    };
    let unknown = mint(&[Scope::FindingsRead], 1, chrono::Utc::now()).unwrap();
    let narrow = Client::program(&app, &[Scope::FindingsRead]).await;
    let before = log(&app).await.len();
    for _ in 0..20 {
        for client in [&expired, &revoked, &bearer(&unknown.text, "192.0.2.9:1"), &bearer("x", "192.0.2.9:1")] {
            assert_eq!(client.get("/api/v1/findings").await.status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(narrow.get("/api/v1/tokens").await.status, StatusCode::FORBIDDEN);
        assert_eq!(narrow.get("/api/v1/findings").await.status, StatusCode::OK);
    }
    let entries = log(&app).await;
    let mut said: Vec<_> = entries[..entries.len() - before]
        .iter()
        .map(|it| {
            assert_eq!((it.action.as_str(), it.outcome.as_str()), ("token.use", "failure"));
            (
                it.actor_kind.as_str(),
                it.actor.as_str(),
                it.object.as_deref().unwrap_or(""),
                it.detail["why"].as_str().unwrap(),
            )
        })
        .collect();
    said.sort_unstable();
    said.dedup();
    let mut expected = [
        ("anonymous", "anonymous", "", "it is not a token"),
        ("anonymous", "anonymous", unknown.public_id.as_str(), "no token has this id and secret"),
        ("token", "bot", "", "it lacks the scope `admin`"),
        ("token", "bot", id.as_str(), "it has expired"),
        ("token", "bot", other.as_str(), "it was revoked"),
    ];
    expected.sort_unstable();
    assert_eq!(said, expected);
    // A minute may have begun meanwhile.
    assert!(entries.len() - before <= 15, "{}", entries.len() - before);
    assert!(entries.iter().any(|it| it.source_ip.as_deref() == Some("192.0.2.7") && it.detail["refusals"] == 1));

    // Sources that are many and new do not fill it either.
    let before = app.store.audit_head().await.unwrap().seq;
    for n in 0..120_u8 {
        let from = format!("198.51.100.{n}:1");
        assert_eq!(bearer("x", &from).get("/api/v1/findings").await.status, StatusCode::UNAUTHORIZED);
    }
    let written = app.store.audit_head().await.unwrap().seq - before;
    assert!(written < 110, "{written}");
}

/// Every route that changes something: what was written by it was written as done by whoever asked, also by handlers
/// that do not think of it.
#[tokio::test]
async fn whatever_a_route_writes_is_written_as_done_by_whoever_asked() {
    let app = app(Seen::Complete).await;
    let admin = Client::program(&app, &[Scope::Admin]).await.with(header::CONTENT_TYPE, "application/json");
    let change = "chg_0";
    let bodies = [
        ("/api/v1/findings/{id}", json!({ "comment": "x", "assignee": "ann" })),
        ("/api/v1/findings/{id}/comments", json!({ "comment": "x" })),
        ("/api/v1/findings/{id}/tickets", json!({ "system": "jira", "holder": "w" })),
        ("/api/v1/findings/{id}/tickets/{system}", json!({ "key": "SEC-1", "url": "https://example.com/SEC-1" })),
        ("/api/v1/findings/bulk-update", json!({ "ids": ["3"], "comment": "x" })),
        ("/api/v1/tokens", json!({ "service_account": "ci", "owner": "team", "scopes": ["findings:read"] })),
    ];
    let before = log(&app).await.len();
    let document = serde_json::to_value(rolecall::http::openapi()).unwrap();
    let mut done = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if item.get(method.as_str().to_lowercase()).is_none() {
                continue;
            }
            let body = bodies.iter().find(|(of, _)| of == path).map_or_else(|| json!({}), |(_, body)| body.clone());
            let of_change = path.starts_with("/api/v1/changes/");
            let filled = path.replace("{id}", if of_change { change } else { "1" }).replace("{system}", "jira");
            let filled = filled.replace(['{', '}'], "");
            let body = if method == Method::DELETE { String::new() } else { body.to_string() };
            let answer = admin.send(method.clone(), &filled, body).await;
            assert!(!answer.status.is_server_error(), "{method} {filled}: {}", answer.text);
            if answer.status.is_success() {
                done.insert(format!("{method} {path}"));
            }
        }
    }
    let entries = log(&app).await;
    let written = &entries[..entries.len() - before];
    assert!(done.len() >= 6 && written.len() >= 6, "{done:?}");
    for entry in written {
        assert_eq!((entry.actor_kind.as_str(), entry.actor.as_str()), ("token", "bot"), "{entry:?}");
        assert!(entry.request_id.is_some(), "{entry:?}");
    }
}

#[tokio::test]
async fn a_token_is_made_rotated_and_revoked_over_the_api() {
    let app = app(Seen::Nothing).await;
    let admin = Client::program(&app, &[Scope::Admin]).await.with(header::CONTENT_TYPE, "application/json");
    let send =
        async |method: Method, path: &str, body: serde_json::Value| admin.send(method, path, body.to_string()).await;
    for (body, says) in [
        (json!({ "service_account": "", "scopes": ["findings:read"] }), "service_account"),
        (json!({ "service_account": "ci", "scopes": ["findings"] }), "findings:read"),
        (json!({ "service_account": "ci", "scopes": [] }), "at least one scope"),
        (json!({ "service_account": "ci", "scopes": ["findings:read"], "limits": ["pod:x"] }), "pod:x"),
        (json!({ "service_account": "ci", "scopes": ["findings:read"], "days": 366 }), "1 to 365 days"),
        (json!({ "service_account": "ci", "scopes": ["findings:read"], "day": 3 }), "day"),
    ] {
        let answer = send(Method::POST, "/api/v1/tokens", body.clone()).await;
        assert!(answer.status.is_client_error() && answer.text.contains(says), "{body}: {}", answer.text);
    }
    let body =
        json!({ "service_account": "ci", "owner": "team-a", "scopes": ["findings:read", "scans:read"], "days": 30 });
    let key = "idempotency-key".parse::<header::HeaderName>().unwrap();
    let keyed = admin.clone().with(key, "once-1");
    let made = keyed.send(Method::POST, "/api/v1/tokens", body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let first = made.json();
    let again = keyed.send(Method::POST, "/api/v1/tokens", body.to_string()).await.json();
    assert_ne!(again["token"], first["token"], "an answer with a secret is kept nowhere");

    let bot = |made: &serde_json::Value| {
        Client::unauthenticated(&app).with(header::AUTHORIZATION, format!("Bearer {}", made["token"].as_str().unwrap()))
    };
    let works = async |made: &serde_json::Value| bot(made).get("/api/v1/findings").await.status == StatusCode::OK;
    assert!(works(&first).await);
    assert_eq!(bot(&first).get("/api/v1/tokens").await.status, StatusCode::FORBIDDEN);
    let id = first["id"].as_str().unwrap();
    let rotate = format!("/api/v1/tokens/{id}/rotate");
    assert_eq!(send(Method::POST, &rotate, json!({ "overlap_hours": 721 })).await.status, StatusCode::BAD_REQUEST);
    let second = send(Method::POST, &rotate, json!({})).await;
    assert_eq!(second.status, StatusCode::CREATED, "{}", second.text);
    let second = second.json();
    assert!(works(&first).await && works(&second).await, "both are valid");
    assert_eq!(send(Method::POST, &rotate, json!({})).await.status, StatusCode::CONFLICT);
    let third = send(
        Method::POST,
        &format!("/api/v1/tokens/{}/rotate", second["id"].as_str().unwrap()),
        json!({ "overlap_hours": 0 }),
    )
    .await
    .json();
    assert!(!works(&second).await && works(&third).await, "without overlap the other one ends at once");

    assert_eq!(send(Method::DELETE, &format!("/api/v1/tokens/{id}"), json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(send(Method::DELETE, "/api/v1/tokens/nothing1", json!({})).await.status, StatusCode::NOT_FOUND);
    assert!(!works(&first).await);
    let listed = admin.json("/api/v1/tokens").await;
    let row = listed["items"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone();
    assert_eq!(
        (row["state"].as_str(), row["owner"].as_str(), &row["replaced_by"]),
        (Some("revoked"), Some("team-a"), &second["id"])
    );
    let text = listed.to_string();
    assert!(!text.contains("rlc_"), "no secret is listed");
    let logged = format!("{:?}", log(&app).await);
    assert!(!logged.contains("rlc_") && logged.contains("TokenRotate"));
}

#[tokio::test]
async fn a_token_is_made_and_revoked_on_its_page() {
    let app = app(Seen::Nothing).await;
    let ann = person(&app, "ann", PersonRole::Admin).await;
    let made =
        post(&ann, "/settings/tokens", "service_account=ci&owner=team-a&scope=findings%3Aread&days=30&limits=").await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let shown = scraper::Selector::parse("pre.code").unwrap();
    let token: String = made.html().select(&shown).next().expect("the token is shown").text().collect();
    assert!(token.starts_with("rlc_"), "{token}");
    let bot = Client::unauthenticated(&app).with(header::AUTHORIZATION, format!("Bearer {token}"));
    assert_eq!(bot.get("/api/v1/findings").await.status, StatusCode::OK);
    let page = ann.get("/settings/tokens").await;
    assert!(!page.text.contains("rlc_") && page.text.contains("team-a"), "it is shown once");
    let id = token.split('_').nth(1).unwrap();
    assert_eq!(post(&ann, &format!("/settings/tokens/{id}/revoke"), "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(bot.get("/api/v1/findings").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&ann, "/settings/service-accounts/disable", "name=ci").await.status, StatusCode::SEE_OTHER);
    assert_eq!(
        post(&ann, "/settings/tokens", "service_account=ci&scope=findings%3Aread").await.status,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn people_end_their_own_sessions_and_administrators_any() {
    let app = app(Seen::Nothing).await;
    let (ann, other) = (person(&app, "ann", PersonRole::Viewer).await, person(&app, "ann", PersonRole::Viewer).await);
    let bob = person(&app, "bob", PersonRole::Viewer).await;
    let root = person(&app, "root", PersonRole::Admin).await;
    let ids = async |client: &Client| {
        let page = client.get("/settings/sessions").await.html();
        let forms = scraper::Selector::parse("form[action$=\"/end\"]").unwrap();
        page.select(&forms).map(|form| form.attr("action").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&ann).await.len(), ids(&bob).await.len(), ids(&root).await.len()), (2, 1, 4));
    let of_bob = ids(&bob).await.remove(0);
    assert_eq!(post(&ann, &of_bob, "").await.status, StatusCode::NOT_FOUND, "not another person's");
    assert_eq!(bob.get("/").await.status, StatusCode::OK);
    assert_eq!(post(&root, &of_bob, "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(bob.get("/").await.status, StatusCode::SEE_OTHER, "bob has to sign in again");
    for own in ids(&ann).await {
        if other.get("/").await.status == StatusCode::OK {
            post(&ann, &own, "").await;
        }
        if ann.get("/").await.status != StatusCode::OK {
            break;
        }
    }
    let left = [ann.get("/").await.status, other.get("/").await.status];
    assert!(left.contains(&StatusCode::SEE_OTHER), "{left:?}");
}

/// A session is begun by signing in, always with a new id, also where the browser has one already.
#[tokio::test]
async fn signing_in_gives_a_new_session() {
    let app = app(Seen::Nothing).await;
    let whom = || PersonAccess { person: "ann".into(), role: "viewer".into(), visibility: Visibility::Everything };
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let link = login_url_for(&app, "127.0.0.1:8080".parse().unwrap(), whom()).await.unwrap();
        let mut browser = Client::unauthenticated(&app);
        if let Some(cookie) = cookies.last() {
            browser = browser.with(header::COOKIE, cookie);
        }
        let answer = browser.get(link.strip_prefix("http://127.0.0.1:8080").unwrap()).await;
        cookies.push(answer.header("set-cookie").split(';').next().unwrap().to_owned());
    }
    assert_ne!(cookies[0], cookies[1]);
}

#[tokio::test]
async fn a_proxy_names_groups_and_groups_have_roles() {
    let auth = "mode = 'proxy'\nproxy_header = 'x-user'\nproxy_groups_header = 'x-groups'\nproxy_from = ['10.0.0.0/8']\n\
                [[role]]\ngroup = 'sec'\nrole = 'triager'\n[[role]]\ngroup = 'root'\nrole = 'admin'\n";
    let app =
        app_with(Seen::Nothing, Config { auth: toml::from_str::<AuthConfig>(auth).unwrap(), ..Config::default() })
            .await;
    let of = |groups: &str| {
        Client::unauthenticated(&app)
            .from("10.1.1.1:1")
            .with("x-user".parse().unwrap(), "ann")
            .with("x-groups".parse().unwrap(), groups)
    };
    assert_eq!(of("sec").get("/").await.status, StatusCode::OK);
    assert_eq!(of("sec").get("/settings/tokens").await.status, StatusCode::FORBIDDEN);
    assert_eq!(of("other, root").get("/settings/tokens").await.status, StatusCode::OK);
    for groups in ["", "other", "secs"] {
        let answer = of(groups).get("/").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{groups}");
        assert!(answer.text.contains("has no role here") && answer.text.contains("[[auth.role]]"), "{}", answer.text);
    }
    let spoofed = of("sec").and("x-groups".parse().unwrap(), "root").get("/").await;
    assert_eq!(spoofed.status, StatusCode::UNAUTHORIZED);
    // What an operator gave counts where it is higher.
    let now = app.now().await.unwrap();
    let access = PersonAccess { person: "ann".into(), role: "admin".into(), visibility: Visibility::Everything };
    app.store.grant_role(&access, now, now + chrono::TimeDelta::hours(1)).await.unwrap();
    assert_eq!(of("other").get("/settings/tokens").await.status, StatusCode::OK);
    assert_eq!(of("sec").get("/settings/tokens").await.status, StatusCode::OK);
}
