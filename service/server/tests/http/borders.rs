//! Whatever a parameter holds, the answer is never a fault of ours.

use crate::api::is_problem;
use crate::support::{Answer, Client, Seen, app, app_with};
use axum::http::{Method, StatusCode, header};
use rolecall::config::Config;
use rolecall::http::auth::token::Scope;
use serde_json::json;
use std::collections::BTreeSet;

/// Values that cannot be read or kept, percent-encoded as a client sends them. Each is refused and named.
const UNREADABLE: [&str; 7] = ["%00", "a%00b", "%FF", "%C3%28", "%ED%A0%80", "%", "50%zz"];

/// Values of every other kind.
fn odd() -> Vec<String> {
    let fixed = [
        "-1",
        "0",
        "-9223372036854775809",
        "99999999999999999999999999",
        "1e309",
        "NaN",
        "true",
        "null",
        "%5B%5D",
        "%7B%22a%22:1%7D",
        "%27%22%3B--",
        "%E2%80%AE%1B%5B31m",
        "..%2F..%2Fetc%2Fpasswd",
        "2026-02-30",
        "9999-12-31T23:59:60Z",
        "-9999-01-01T00:00:00Z",
        "%2B262000-01-01T00:00:00Z",
        "111122223333%2Feu-west-1%2Fc%2Fn%2Fs",
        "arn:aws:iam::111122223333:role%2Fx",
        ",,,",
        "%F0%9F%92%A5",
    ];
    // As long as an address may be; what is longer is refused before it is read.
    fixed.iter().map(|text| (*text).to_owned()).chain(["a".repeat(60_000)]).collect()
}

fn no_fault(answer: &Answer, asked: &str) {
    let shown: String = asked.chars().take(200).collect();
    assert!(!answer.status.is_server_error(), "{} {shown}: {}", answer.status, answer.text);
}

/// Asserts that a request was refused for one parameter, which it names.
fn names(answer: &Answer, parameter: &str, asked: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{asked}: {}", answer.text);
    if asked.starts_with("/api") {
        is_problem(answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{asked}");
    } else {
        assert!(answer.header("content-type").starts_with("text/html"), "{asked}");
        assert!(answer.text.contains(parameter), "{asked} names {parameter}: {}", answer.text);
    }
}

/// The operations of the contract: method, path, and the names of its query parameters.
fn operations() -> Vec<(Method, String, Vec<String>)> {
    let document = serde_json::to_value(rolecall::http::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query =
                parameters.iter().filter(|p| p["in"] == "query").map(|p| p["name"].as_str().unwrap().to_owned());
            found.push((method, path.clone(), query.collect()));
        }
    }
    found
}

#[tokio::test]
async fn no_parameter_of_the_api_makes_it_fail() {
    // It asks faster than one program may.
    let mut config = Config::default();
    config.server.requests_per_minute = 0;
    let app = app_with(Seen::Complete, config).await;
    let client = Client::program(&app, &[Scope::Admin]).await;
    let operations = operations();
    assert!(operations.len() >= 20, "the contract was walked");
    for (method, path, query) in operations {
        let steps: Vec<&str> = path.split('/').collect();
        let filled = |at: Option<usize>, value: &str| {
            let fill = |(n, step): (usize, &&str)| match step.starts_with('{') {
                true if at == Some(n) => value.to_owned(),
                true => "1".to_owned(),
                false => (*step).to_owned(),
            };
            steps.iter().enumerate().map(fill).collect::<Vec<_>>().join("/")
        };
        let parameters: Vec<usize> = (0..steps.len()).filter(|n| steps[*n].starts_with('{')).collect();
        for at in parameters {
            let name = steps[at].trim_matches(['{', '}']);
            for value in UNREADABLE {
                let asked = filled(Some(at), value);
                names(&client.send(method.clone(), &asked, "").await, name, &asked);
            }
            for value in odd() {
                let asked = filled(Some(at), &value);
                no_fault(&client.send(method.clone(), &asked, "").await, &asked);
            }
        }
        for name in query {
            for value in UNREADABLE {
                let asked = format!("{}?{name}={value}", filled(None, ""));
                names(&client.send(method.clone(), &asked, "").await, &name, &asked);
            }
            for value in odd() {
                let asked = format!("{}?{name}={value}", filled(None, ""));
                no_fault(&client.send(method.clone(), &asked, "").await, &asked);
            }
        }
    }
}

#[tokio::test]
async fn no_parameter_of_a_page_makes_it_fail() {
    let app = app(Seen::Complete).await;
    let client = Client::person(&app).await;
    let mut asked_for = BTreeSet::new();
    for (method, path) in rolecall::http::pages().into_iter().filter(|(method, _)| *method == Method::GET) {
        // An address says itself which parameters it takes.
        let refused = client.get(&format!("{path}?zzqzz=1")).await.text;
        let known = refused.split("known are ").nth(1).and_then(|rest| rest.split(['<', '.', ';']).next());
        let parameters: Vec<&str> = known.unwrap_or_default().split(", ").filter(|name| !name.is_empty()).collect();
        asked_for.extend(parameters.iter().map(|name| (*name).to_owned()));
        for name in parameters {
            for value in UNREADABLE {
                let asked = format!("{path}?{name}={value}");
                names(&client.send(method.clone(), &asked, "").await, name, &asked);
            }
            for value in odd() {
                let asked = format!("{path}?{name}={value}");
                no_fault(&client.send(method.clone(), &asked, "").await, &asked);
            }
        }
        let steps: Vec<&str> = path.split('/').collect();
        for at in 2..steps.len() {
            for value in UNREADABLE.iter().map(|value| (*value).to_owned()).chain(odd()) {
                let mut steps = steps.clone();
                steps[at] = &value;
                let asked = steps.join("/");
                let answer = client.send(method.clone(), &asked, "").await;
                no_fault(&answer, &asked);
                let unreadable = UNREADABLE.contains(&value.as_str());
                assert!(!unreadable || answer.status.is_client_error(), "{} {asked}", answer.status);
            }
        }
    }
    assert!(asked_for.len() >= 20, "the pages were asked for what they take: {asked_for:?}");
}

#[tokio::test]
async fn no_body_makes_it_fail() {
    let app = app(Seen::Complete).await;
    let program = Client::program(&app, &[Scope::Admin]).await.with(header::CONTENT_TYPE, "application/json");
    let whole = json!({
        "principal": "anonymous", "action": "s3:GetObject", "resource": "arn:aws:s3:::b/k",
        "resource_account": "111122223333", "context": { "aws:SourceIp": "192.0.2.1" }, "closed": false,
        "policies": { "identity": [{ "Version": "2012-10-17", "Statement": [] }] },
    });
    assert_eq!(program.send(Method::POST, "/api/v1/simulate", whole.to_string()).await.status, StatusCode::OK);
    let pointers = [
        "/principal",
        "/action",
        "/resource",
        "/resource_account",
        "/context/aws:SourceIp",
        "/policies/identity/0/Version",
    ];
    for pointer in pointers {
        for nul in ["\0", "a\0b"] {
            let mut body = whole.clone();
            *body.pointer_mut(pointer).unwrap() = nul.into();
            let answer = program.send(Method::POST, "/api/v1/simulate", body.to_string()).await;
            names(&answer, pointer, "/api/v1/simulate");
        }
        for odd in [json!(-1), json!(1e300), json!([]), json!({}), json!(null), json!(true), json!("x".repeat(50_000))]
        {
            let mut body = whole.clone();
            *body.pointer_mut(pointer).unwrap() = odd;
            no_fault(&program.send(Method::POST, "/api/v1/simulate", body.to_string()).await, pointer);
        }
    }
    for (body, parameter) in [
        (br#"{"principal":"\ud800"}"#.to_vec(), None),
        (b"{\"principal\":\"\xff\"}".to_vec(), Some("body")),
        (br#"{"pri\u0000ncipal":"a"}"#.to_vec(), Some("/pri\\u{0}ncipal")),
        (vec![b'['; 60_000], None),
        (vec![0; 60_000], Some("body")),
    ] {
        let shown = String::from_utf8_lossy(&body).chars().take(40).collect::<String>();
        let answer = program.send(Method::POST, "/api/v1/simulate", body).await;
        match parameter {
            Some(parameter) => names(&answer, parameter, "/api/v1/simulate"),
            None => is_problem(&answer, 400, "invalid_parameter"),
        }
        no_fault(&answer, &shown);
    }
    // A document within a request may be as deep as a stored one, and no deeper.
    for (pointer, levels) in
        [("/policies/identity/0/Statement", 125), ("/context/aws:SourceIp", 125), ("/action", 9_000)]
    {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let mut body = whole.clone();
            *body.pointer_mut(pointer).unwrap() = "DEEP".into();
            let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            let body = body.to_string().replace("\"DEEP\"", &deep);
            is_problem(&program.send(Method::POST, "/api/v1/simulate", body).await, 400, "invalid_parameter");
        }
    }

    let person = Client::person(&app).await.with(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let page = person.get("/simulate").await;
    let html = page.html();
    let of_form = scraper::Selector::parse("form [name]").unwrap();
    let fields: BTreeSet<String> =
        html.select(&of_form).map(|field| field.value().attr("name").unwrap().to_owned()).collect();
    let token = scraper::Selector::parse("input[name=form_token]").unwrap();
    let token = html.select(&token).next().unwrap().value().attr("value").unwrap().to_owned();
    assert!(fields.len() >= 5, "the form was read: {fields:?}");
    for (method, path) in rolecall::http::pages().into_iter().filter(|(method, _)| *method == Method::POST) {
        for field in fields.iter().filter(|field| *field != "form_token") {
            for value in UNREADABLE {
                let body = format!("form_token={token}&{field}={value}");
                let answer = person.send(method.clone(), path, body).await;
                // A session that ended has no form any more.
                if answer.status != StatusCode::SEE_OTHER {
                    names(&answer, field, path);
                }
            }
        }
    }
}

#[tokio::test]
async fn no_header_makes_it_fail() {
    let app = app(Seen::Nothing).await;
    let unauthenticated = Client::unauthenticated(&app);
    for name in
        ["authorization", "cookie", "host", "x-request-id", "content-type", "sec-fetch-site", "origin", "accept"]
    {
        for value in ["", "\t", "Bearer ", "Bearer rlc_\t", "rolecall=%00", "=;=", ",", "\u{e9}\u{202e}"] {
            for path in ["/api/v1/findings", "/", "/login", "/livez", "/metrics"] {
                let asked = unauthenticated.clone().with(name.parse().unwrap(), value);
                no_fault(&asked.get(path).await, &format!("{path} {name}: {value}"));
            }
        }
    }
}
