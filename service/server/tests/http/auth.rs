//! Nothing is open that is not meant to be.

use crate::support::{Client, Seen, app, app_with, token};
use axum::http::{Method, StatusCode, header};
use chrono::{Duration, Utc};
use rolecall::config::Config;
use rolecall::config::auth::AuthConfig;
use rolecall::http::auth::token::Scope;

/// Every address of the contract, with its parameters filled in.
fn endpoints() -> Vec<(Method, String)> {
    let document = serde_json::to_value(rolecall::http::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str()))
        {
            let filled = path
                .split('/')
                .map(|step| if step.starts_with('{') { "1" } else { step })
                .collect::<Vec<_>>()
                .join("/");
            found.push((method.to_uppercase().parse().unwrap(), filled));
        }
    }
    found
}

#[tokio::test]
async fn without_a_credential_nothing_answers_but_the_open_list() {
    let app = app(Seen::Nothing).await;
    let unauthenticated = Client::unauthenticated(&app);
    let endpoints = endpoints();
    assert!(endpoints.len() >= 14, "the contract was walked: {endpoints:?}");
    for (method, path) in endpoints
        .iter()
        .cloned()
        .chain([(Method::GET, "/metrics".into()), (Method::GET, "/api/v1/openapi.json".into())])
    {
        let answer = unauthenticated.send(method.clone(), &path, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(answer.json()["code"], "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    for (method, path) in rolecall::http::pages() {
        let answer = unauthenticated.send(method.clone(), path, "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{method} {path}");
        assert!(answer.header("location").starts_with("/login"), "{path}");
    }
    for path in ["/livez", "/readyz", "/login", "/static/app.css"] {
        assert_eq!(unauthenticated.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_name_until_it_ends() {
    let app = app(Seen::Nothing).await;
    let bot = Client::program(&app, &[Scope::FindingsRead]).await;
    assert_eq!(bot.get("/api/v1/findings").await.status, StatusCode::OK);
    for path in ["/api/v1/roles", "/api/v1/rules", "/api/v1/scans", "/metrics"] {
        let answer = bot.get(path).await;
        assert_eq!(
            (answer.status, answer.json()["code"].clone()),
            (StatusCode::FORBIDDEN, "forbidden".into()),
            "{path}"
        );
        assert!(answer.json()["detail"].as_str().unwrap().contains("scope"), "{path}");
    }
    assert_eq!(bot.get("/").await.status, StatusCode::FORBIDDEN, "pages are for people");
    assert_eq!(bot.get("/api/v1/nothing-here").await.status, StatusCode::NOT_FOUND);
    let answer = bot.send(Method::DELETE, "/api/v1/findings", "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "who may read it is told what it takes");
    assert_eq!(bot.send(Method::POST, "/api/v1/scans", "").await.status, StatusCode::FORBIDDEN);

    let admin = Client::program(&app, &[Scope::Admin]).await;
    for path in ["/api/v1/findings", "/api/v1/roles", "/api/v1/rules", "/api/v1/scans", "/metrics"] {
        assert_eq!(admin.get(path).await.status, StatusCode::OK, "{path}");
    }

    let ended = token(&app, &[Scope::Admin], Utc::now() - Duration::days(31)).await;
    let live = token(&app, &[Scope::Admin], Utc::now()).await;
    let other_end = if live.ends_with('x') { 'y' } else { 'x' };
    let altered = format!("{}{other_end}", live.strip_suffix(|_: char| true).unwrap());
    for wrong in [ended, altered, "rlc_".to_owned(), String::new()] {
        let client = Client::unauthenticated(&app).with(header::AUTHORIZATION, format!("Bearer {wrong}"));
        assert_eq!(client.get("/api/v1/findings").await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let public_id = live.split('_').nth(1).unwrap();
    let client = Client::unauthenticated(&app).with(header::AUTHORIZATION, format!("Bearer {live}"));
    assert_eq!(client.get("/api/v1/findings").await.status, StatusCode::OK);
    assert!(app.store.revoke_token(public_id, Utc::now()).await.unwrap());
    assert_eq!(client.get("/api/v1/findings").await.status, StatusCode::UNAUTHORIZED, "revoked");
}

#[tokio::test]
async fn a_link_works_once_and_signing_out_ends_it() {
    let app = app(Seen::Nothing).await;
    let link = rolecall::http::auth::login_url(&app, "127.0.0.1:8080".parse().unwrap()).await.unwrap();
    let path = link.strip_prefix("http://127.0.0.1:8080").unwrap();
    let unauthenticated = Client::unauthenticated(&app);

    let previewed = unauthenticated.clone().with("sec-purpose".parse().unwrap(), "prefetch").get(path).await;
    assert_eq!((previewed.status, previewed.header("set-cookie")), (StatusCode::OK, ""), "a preview uses nothing up");
    assert_eq!(unauthenticated.send(Method::HEAD, path, "").await.header("set-cookie"), "");

    let first = unauthenticated.get(&format!("{path}&next=/findings%3Fseverity%3Dhigh")).await;
    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, "/findings?severity=high"));
    let cookie = first.header("set-cookie").to_owned();
    for part in ["rolecall-", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let second = unauthenticated.get(path).await;
    assert_eq!((second.status, second.header("set-cookie")), (StatusCode::UNAUTHORIZED, ""));
    assert!(second.text.contains("already used"), "says why");

    let person = Client::person(&app).await;
    let page = person.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    let form = form_token(&page.text);
    let out = person.send(Method::POST, "/logout", format!("form_token={form}")).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/login"));
    assert_eq!(person.get("/").await.status, StatusCode::SEE_OTHER, "the session is gone on the server");
}

/// The link does not know where somebody wanted to go; the browser does.
#[tokio::test]
async fn a_one_time_link_leads_on_to_the_page_that_was_asked_for() {
    let app = app(Seen::Nothing).await;
    let browser = Client::unauthenticated(&app).with(header::ACCEPT, "text/html");
    let refused = browser.get("/findings?severity=high").await;
    let login = refused.header("location").to_owned();
    assert_eq!(refused.status, StatusCode::SEE_OTHER);
    assert!(login.starts_with("/login?next=") && login.contains("findings"), "{login}");
    let asked = browser.get(&login).await.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(asked.contains("-next="), "{asked}");

    let link = rolecall::http::auth::login_url(&app, "127.0.0.1:8080".parse().unwrap()).await.unwrap();
    let path = link.strip_prefix("http://127.0.0.1:8080").unwrap();
    let signed_in = browser.clone().with(header::COOKIE, asked).get(path).await;
    assert_eq!((signed_in.status, signed_in.header("location")), (StatusCode::SEE_OTHER, "/findings?severity=high"));

    // Another site is nowhere to go on to.
    let elsewhere = browser.get("/login?next=https://example.com/").await;
    assert_eq!(elsewhere.header("set-cookie"), "");
}

/// Browsers send the cookies of a host to each of its ports.
#[tokio::test]
async fn installations_on_one_host_do_not_sign_each_other_out() {
    let mut names = Vec::new();
    for app in [app(Seen::Nothing).await, app(Seen::Nothing).await] {
        let link = rolecall::http::auth::login_url(&app, "127.0.0.1:8080".parse().unwrap()).await.unwrap();
        let answer = Client::unauthenticated(&app).get(link.strip_prefix("http://127.0.0.1:8080").unwrap()).await;
        names.push(answer.header("set-cookie").split('=').next().unwrap().to_owned());
    }
    assert_ne!(names[0], names[1]);
}

fn form_token(html: &str) -> String {
    let page = scraper::Html::parse_document(html);
    let field = scraper::Selector::parse("input[name=form_token]").unwrap();
    page.select(&field).next().expect("a form").attr("value").unwrap().to_owned()
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let app = app(Seen::Nothing).await;
    let person = Client::person(&app).await;
    let form = form_token(&person.get("/scans").await.text);
    let site = || "sec-fetch-site".parse::<header::HeaderName>().unwrap();
    for (client, body, why) in [
        (person.clone().with(site(), "cross-site"), format!("form_token={form}"), "from another site"),
        (person.clone().with(site(), "same-site"), format!("form_token={form}"), "from a sibling"),
        (person.clone(), "form_token=0".to_owned(), "with a wrong token"),
        (person.clone(), String::new(), "without a token"),
    ] {
        let answer = client.send(Method::POST, "/scans", body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{why}");
    }
    // Under /api a cookie only reads.
    let answer = person.send(Method::POST, "/api/v1/scans", format!("form_token={form}")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(app.store.runs(None, 10).await.unwrap().is_empty(), "nothing was started");

    let answer = person.send(Method::POST, "/scans", format!("form_token={form}")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/scans?asked=queued"));
    let again = person.send(Method::POST, "/scans", format!("form_token={form}")).await;
    assert_eq!(again.header("location"), "/scans?asked=waiting");
}

#[tokio::test]
async fn a_foreign_host_name_reaches_nothing() {
    let app = app(Seen::Nothing).await;
    let unauthenticated = Client::unauthenticated(&app);
    for (host, status) in [
        ("127.0.0.1:8080", StatusCode::OK),
        ("localhost:8080", StatusCode::OK),
        ("[::1]:8080", StatusCode::OK),
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("localhost.evil.example:8080", StatusCode::MISDIRECTED_REQUEST),
        ("", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let answer = unauthenticated.clone().with(header::HOST, host).get("/login").await;
        assert_eq!(answer.status, status, "{host}");
    }
    assert_eq!(
        unauthenticated.with(header::HOST, "10.0.0.7:8080").get("/livez").await.status,
        StatusCode::OK,
        "probes"
    );
}

#[tokio::test]
async fn the_modes_let_in_whom_they_say() {
    let config = |auth: &str| Config { auth: toml::from_str::<AuthConfig>(auth).unwrap(), ..Config::default() };

    let tokens = app_with(Seen::Nothing, config("mode = 'tokens'")).await;
    assert_eq!(Client::unauthenticated(&tokens).get("/").await.status, StatusCode::UNAUTHORIZED);
    assert!(rolecall::http::auth::login_url(&tokens, "127.0.0.1:1".parse().unwrap()).await.is_err());
    assert_eq!(Client::program(&tokens, &[Scope::Admin]).await.get("/api/v1/scans").await.status, StatusCode::OK);

    let proxy =
        app_with(Seen::Nothing, config("mode = 'proxy'\nproxy_header = 'x-user'\nproxy_from = ['10.0.0.0/8']")).await;
    let named = Client::unauthenticated(&proxy).with("x-user".parse().unwrap(), "ann");
    assert_eq!(named.get("/").await.status, StatusCode::SEE_OTHER, "the header alone proves nothing");
    let by_proxy = named.from("10.1.2.3:40000");
    let asked = Client::unauthenticated(&proxy).from("10.1.2.3:40000");
    for (values, why) in [
        (&["ann", "root"][..], "more than once"),
        (&["ann", ""], "more than once"),
        (&[""], "is empty"),
        (&["  "], "is empty"),
        (&["ann, root"], "more than one person"),
        (&["ann,root"], "more than one person"),
        (&["\u{e9}ric"], "ASCII"),
    ] {
        let spoofed = values.iter().fold(asked.clone(), |client, value| client.and("x-user".parse().unwrap(), *value));
        for path in ["/scans", "/api/v1/findings"] {
            let answer = spoofed.get(path).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{values:?} {path}");
            assert!(answer.text.contains("x-user") && answer.text.contains(why), "{values:?}: {}", answer.text);
        }
        // From anywhere else it says nothing at all.
        let elsewhere = spoofed.from("192.0.2.1:40000").get("/scans").await;
        assert_eq!(elsewhere.status, StatusCode::SEE_OTHER, "{values:?}");
    }
    let page = by_proxy.get("/scans").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("ann"), "the page names the person");
    let body = format!("form_token={}", form_token(&page.text));
    assert_eq!(by_proxy.send(Method::POST, "/scans", body.clone()).await.status, StatusCode::FORBIDDEN, "no origin");
    let same = by_proxy.with("sec-fetch-site".parse().unwrap(), "same-origin");
    assert_eq!(same.send(Method::POST, "/scans", body).await.status, StatusCode::SEE_OTHER);

    let https = app_with(Seen::Nothing, config("mode = 'link'\npublic_url = 'https://rolecall.example'")).await;
    let link = rolecall::http::auth::login_url(&https, "127.0.0.1:1".parse().unwrap()).await.unwrap();
    let path = link.strip_prefix("https://rolecall.example").unwrap().to_owned();
    let answer = Client::unauthenticated(&https).with(header::HOST, "rolecall.example").get(&path).await;
    assert!(answer.header("set-cookie").starts_with("__Host-rolecall-"), "{}", answer.header("set-cookie"));
    assert!(answer.header("set-cookie").contains("Secure"));
    assert_ne!(answer.header("strict-transport-security"), "");
}

/// A route that is registered elsewhere would have no requirement beside it.
#[test]
fn routes_are_declared_in_one_way() {
    let http = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut folders = vec![http];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                if [".route(", ".nest(", ".route_service(", ".merge("].iter().any(|call| text.contains(call)) {
                    found.push(path.file_name().unwrap().to_owned());
                }
            }
        }
    }
    assert_eq!(found, ["routes.rs"]);
}
