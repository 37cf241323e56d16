//! `POST /api/v1/simulate` and the page `/simulate`, over the demo estate: who may do what, and what
//! is not known about it.

use crate::api::is_problem;
use crate::support::{Client, Seen, app};
use axum::http::{Method, StatusCode, header};
use rolecall::http::auth::token::Scope;
use serde_json::{Value, json};

/// The first association with this much of a key, and its role.
async fn pod(client: &Client, wanted: &str) -> (String, Value) {
    let listed = client.json("/api/v1/associations?limit=1000").await;
    let items = listed["items"].as_array().unwrap().clone();
    let found = items.into_iter().find(|item| item["key"].as_str().unwrap().ends_with(wanted)).unwrap();
    (found["key"].as_str().unwrap().to_owned(), found)
}

async fn ask(client: &Client, question: Value) -> Value {
    let answer = client.send(Method::POST, "/api/v1/simulate", question.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

fn s3(effect: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/*"}})
}

#[tokio::test]
async fn a_pod_is_decided_with_documents_in_the_place_of_what_is_stored() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    let (key, found) = pod(&client, "fraud/signals").await;
    let target = found["detail"]["target_role_arn"].as_str().unwrap();
    let owner = target.split(':').nth(4).unwrap();
    let question = |policies: Value| {
        json!({"principal": key, "action": "s3:GetObject", "resource": "arn:aws:s3:::orders/1", "closed": true,
            "resource_account": owner, "policies": policies})
    };

    // Nobody collects the policies on buckets: they may deny what all else allows.
    let unseen = ask(&client, question(json!({"identity": [s3("Allow")], "session": []}))).await;
    assert_eq!(unseen["decision"], "Unknown", "{unseen}");
    assert!(unseen["reasons"].to_string().contains("policy of the resource"), "{unseen}");
    assert_eq!(unseen["principal"], target, "pods with a target role act as that one");

    let allowed =
        ask(&client, question(json!({"identity": [s3("Allow")], "session": [], "resource": [], "rcp": []}))).await;
    assert_eq!(allowed["decision"], "Allow", "{allowed}");
    assert_eq!(allowed["minimal_changes"], json!([]));
    let denied = ask(&client, question(json!({"identity": [s3("Allow")], "session": [], "scp": [s3("Deny")]}))).await;
    assert_eq!(denied["decision"], "Deny(explicit)", "{denied}");
    let nothing = ask(&client, question(json!({"identity": [], "resource": [], "rcp": []}))).await;
    assert_eq!(nothing["decision"], "Deny(implicit)", "{nothing}");
    assert!(!nothing["minimal_changes"].as_array().unwrap().is_empty(), "{nothing}");
}

#[tokio::test]
async fn conditions_that_the_asker_leaves_open_stay_open() {
    let app = app(Seen::Complete).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    let (key, _) = pod(&client, "analytics/job-runner").await;
    let own = |key: &str, value: &str| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ec2:DescribeRegions", "Resource": "*",
            "Condition": {"StringEquals": {key: value}}}})
    };
    let question = |policy: Value, context: Value| {
        json!({"principal": key, "action": "ec2:DescribeRegions", "context": context,
            "policies": {"identity": [policy], "session": [], "boundary": [], "scp": []}})
    };
    let by_region = own("aws:RequestedRegion", "eu-west-1");
    let open = ask(&client, question(by_region.clone(), json!({}))).await;
    assert_eq!(open["decision"], "Unknown", "{open}");
    assert!(open["reasons"].to_string().contains("aws:RequestedRegion"), "{open}");
    let given = ask(&client, question(by_region, json!({"aws:RequestedRegion": "eu-west-1"}))).await;
    assert_eq!(given["decision"], "Allow", "{given}");
    // EKS says what these are, whatever the asker says.
    let own_tag = ask(&client, question(own("aws:PrincipalTag/kubernetes-namespace", "analytics"), json!({}))).await;
    assert_eq!(own_tag["decision"], "Allow", "{own_tag}");
    let other = ask(&client, question(own("aws:PrincipalTag/kubernetes-namespace", "other"), json!({}))).await;
    assert_eq!(other["decision"], "Deny(implicit)", "{other}");
    let one_pod = ask(&client, question(own("aws:PrincipalTag/kubernetes-pod-name", "a"), json!({}))).await;
    assert_eq!(one_pod["decision"], "Unknown", "{one_pod}");
    let others = ask(&client, question(own("aws:PrincipalTag/team", "a"), json!({}))).await;
    assert_eq!(others["decision"], "Deny(implicit)", "{others}");
}

#[tokio::test]
async fn a_bad_question_names_the_field() {
    let app = app(Seen::Nothing).await;
    let client = Client::program(&app, &[Scope::InventoryRead]).await;
    for (question, part) in [
        (json!({"principal": "?", "action": "s3:GetObject"}), "`?` is no principal"),
        (json!({"principal": "anonymous", "action": "s3"}), "`s3` is no action"),
        (json!({"principal": "arn:aws:iam::111122223333:role/none", "action": "s3:GetObject"}), "not among the roles"),
        (json!({"principal": "anonymous", "action": "s3:GetObject", "resource_account": "1"}), "no account id"),
        (json!({"principal": "anonymous", "acton": "s3:GetObject"}), "unknown field `acton`"),
    ] {
        let answer = client.send(Method::POST, "/api/v1/simulate", question.to_string()).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert!(answer.json()["detail"].as_str().unwrap().contains(part), "{}", answer.text);
    }
    let reader = Client::program(&app, &[Scope::FindingsRead]).await;
    assert_eq!(reader.send(Method::POST, "/api/v1/simulate", "{}").await.status, StatusCode::FORBIDDEN);
}

fn said(page: &scraper::Html, selector: &str) -> String {
    let selector = scraper::Selector::parse(selector).unwrap();
    let found = page.select(&selector);
    found.flat_map(|element| element.text().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>().join(" ")
}

fn attribute(page: &scraper::Html, selector: &str, name: &str) -> String {
    let found = page.select(&scraper::Selector::parse(selector).unwrap()).next();
    found.and_then(|element| element.attr(name)).unwrap_or_default().to_owned()
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", rolecall::http::query::encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn the_page_asks_what_an_address_or_a_form_says() {
    let app = app(Seen::Complete).await;
    let person = Client::person(&app).await;
    let program = Client::program(&app, &[Scope::InventoryRead]).await;
    let (key, found) = pod(&program, "ledger/journal").await;
    let role = found["detail"]["role_arn"].as_str().unwrap();

    // The association and its role lead here, with the principal filled in.
    for (page, principal) in [(format!("/associations/{key}"), key.as_str()), (format!("/roles/{role}"), role)] {
        let link = attribute(&person.get(&page).await.html(), ".actions a[href^='/simulate?']", "href");
        let form = person.get(&link).await;
        assert_eq!(form.status, StatusCode::OK, "{link}");
        assert_eq!(attribute(&form.html(), "input[name=principal]", "value"), principal);
        assert_eq!(said(&form.html(), "#answer"), "", "nothing is asked yet");
    }

    let table = "arn:aws:dynamodb:eu-west-1:444455556666:table/ledger-journal";
    let asked =
        |action: &str| encoded(&[("principal", &key), ("action", action), ("resource", table), ("bare", "true")]);
    let page = person.get(&format!("/simulate?{}", asked("dynamodb:DeleteTable"))).await.html();
    assert!(said(&page, "#answer h2").starts_with("Implicit deny"), "{}", said(&page, "#answer"));
    assert!(said(&page, "main").contains("Required changes"));
    let page = person.get(&format!("/simulate?{}", asked("dynamodb:PutItem"))).await.html();
    let api = json!({"principal": key, "action": "dynamodb:PutItem", "resource": table, "policies": {"resource": []}});
    let api = ask(&program, api).await;
    // Names stand between backticks there, and as code here.
    let bare = |text: &str| text.replace(|c: char| c == '`' || c.is_whitespace(), "");
    let because = bare(api["because"].as_str().unwrap());
    assert!(bare(&said(&page, "#answer")).contains(&because), "the page says what the API says");
    let marked = said(&page, ".doc .l.marked");
    assert!(marked.contains("dynamodb:PutItem"), "the statement stands in its document: {marked}");
    let anchor = attribute(&page, "table a[href^='#document']", "href");
    let id = anchor.trim_start_matches('#');
    assert_eq!(attribute(&page, &format!("[id='{id}']"), "id"), id);

    // A document in the place of what is stored travels in a form.
    let token = attribute(&page, "form.ask input[name=form_token]", "value");
    let denies = s3("Deny").to_string();
    let fields = [
        ("form_token", token.as_str()),
        ("principal", &key),
        ("action", "s3:GetObject"),
        ("resource", "arn:aws:s3:::orders/1"),
        ("policy_type", "scp"),
        ("document", &denies),
    ];
    let answer = person.send(Method::POST, "/simulate", encoded(&fields)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let page = answer.html();
    assert!(said(&page, "#answer h2").contains("Explicit deny"), "{}", said(&page, "#answer"));
    assert!(said(&page, "figure.doc").contains("the document of the form"));
    assert_eq!(said(&page, "textarea[name=document]"), denies, "the form keeps what was written");
    assert_eq!(attribute(&page, "form.ask a", "href"), "", "no address holds a document");

    let refused = person.send(Method::POST, "/simulate", encoded(&fields[1..])).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "a form of another site");
    let unauthenticated = Client::unauthenticated(&app).get("/simulate").await;
    assert_eq!(unauthenticated.status, StatusCode::SEE_OTHER);
    assert!(unauthenticated.header(header::LOCATION.as_str()).starts_with("/login"));
    assert_eq!(program.get("/simulate").await.status, StatusCode::FORBIDDEN, "programs ask the API");
}

#[tokio::test]
async fn a_form_that_cannot_be_put_says_why_and_stays_as_it_was() {
    let app = app(Seen::Nothing).await;
    let person = Client::person(&app).await;
    for (fields, part) in [
        (&[("action", "s3:GetObject")][..], "Principal : is needed"),
        (&[("principal", "?"), ("action", "s3:GetObject")], "is no principal"),
        (&[("principal", "anonymous"), ("action", "s3")], "is no action"),
        (&[("principal", "anonymous"), ("action", "s3:GetObject"), ("resource_account", "1")], "give twelve digits"),
        (&[("principal", "anonymous"), ("action", "s3:GetObject"), ("context", "a")], "line 1"),
    ] {
        let answer = person.get(&format!("/simulate?{}", encoded(fields))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let page = answer.html();
        assert!(said(&page, ".notice.bad").contains(part), "{part}: {}", said(&page, ".notice.bad"));
        assert_eq!(attribute(&page, "input[name=action]", "value"), fields.iter().find(|f| f.0 == "action").unwrap().1);
    }
}
