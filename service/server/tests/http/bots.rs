//! What a ticketing bot needs: items that say all, a feed without gaps, and one ticket for each finding.

use crate::api::is_problem;
use crate::support::{Answer, Client, Seen, app, app_with};
use axum::http::{Method, StatusCode, header};
use rolecall::config::Config;
use rolecall::http::auth::token::Scope;
use serde_json::{Value, json};

const BOT: [Scope; 3] = [Scope::FindingsRead, Scope::FindingsTriage, Scope::TicketsWrite];

async fn send(client: &Client, method: Method, path: &str, body: Value) -> Answer {
    client.send(method, path, body.to_string()).await
}

async fn position(client: &Client) -> i64 {
    client.json("/api/v1/events").await["next_after"].as_i64().unwrap()
}

fn kinds(feed: &Value) -> Vec<&str> {
    feed["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_item_says_all_that_a_ticket_says() {
    let url = "https://rolecall.example".parse().expect("an address");
    let mut config = Config::default();
    config.auth.public_url = Some(url);
    let public = app_with(Seen::Complete, config).await;
    let bot = Client::program(&public, &BOT).await.with(header::HOST, "rolecall.example");
    let list = bot.json("/api/v1/findings?state=open&include=evidence&limit=1000").await;
    let items = list["items"].as_array().unwrap();
    assert!(items.len() > 5);
    for item in items {
        for field in ["title", "message", "remediation", "fingerprint", "first_seen_at"] {
            assert!(item[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {item}");
        }
        assert!(item["evidence"].is_array() && item["workloads"].is_array() && item["tickets"] == json!([]), "{item}");
        assert_eq!(item["url"], format!("https://rolecall.example/findings/{}", item["number"]));
        assert!(item.get("due_at").is_some() && item.get("assignee").is_some(), "{item}");
    }
    assert!(items.iter().any(|item| item["evidence"] != json!([])));
    assert_eq!(bot.json("/api/v1/findings?limit=1").await["items"][0]["evidence"], Value::Null);
    let one = bot.json(&format!("/api/v1/findings/{}", items[0]["number"])).await;
    assert_eq!((&one["evidence"], &one["title"]), (&items[0]["evidence"], &items[0]["title"]));
    // Without a public URL it is where the request was sent to.
    let local = app(Seen::Complete).await;
    let bot = Client::program(&local, &BOT).await.with(header::HOST, "127.0.0.1:8080");
    let item = &bot.json("/api/v1/findings?limit=1").await["items"][0];
    assert_eq!(item["url"], format!("http://127.0.0.1:8080/findings/{}", item["number"]));
}

#[tokio::test]
async fn the_feed_goes_on_from_where_it_was_read() {
    let app = app(Seen::Complete).await;
    let bot = Client::program(&app, &BOT).await;
    let begin = bot.json("/api/v1/events").await;
    assert_eq!((&begin["items"], &begin["has_more"], &begin["begins_after"]), (&json!([]), &json!(false), &json!(0)));
    // From its begin on everything is there, in parts.
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let feed = bot.json(&format!("/api/v1/events?after={after}&limit=7")).await;
        seen.extend(feed["items"].as_array().unwrap().clone());
        after = feed["next_after"].as_i64().unwrap();
        if feed["has_more"] == false {
            break;
        }
    }
    assert_eq!(json!(after), begin["next_after"]);
    assert!(seen.iter().all(|item| item["kind"].as_str().unwrap().starts_with("finding.")));
    assert!(seen.windows(2).all(|two| two[0]["seq"].as_i64() < two[1]["seq"].as_i64()));
    let opened = seen.iter().find(|item| item["kind"] == "finding.opened").unwrap();
    assert_eq!((&opened["finding"]["fingerprint"], &opened["actor"]), (&opened["fingerprint"], &json!("scanner")));
    let number = opened["finding"]["number"].as_i64().unwrap();

    let path = format!("/api/v1/findings/{number}");
    send(&bot, Method::PATCH, &path, json!({"state": "acknowledged", "comment": "x"})).await;
    let feed = bot.json(&format!("/api/v1/events?after={after}&include=evidence")).await;
    assert_eq!(kinds(&feed), ["finding.acknowledged", "finding.commented"]);
    let item = &feed["items"][0];
    assert_eq!((&item["finding"]["state"], &item["actor"]), (&json!("acknowledged"), &json!("token bot")));
    assert!(item["finding"]["evidence"].is_array());
    let feed = bot.json(&format!("/api/v1/events?after={after}&kind=finding.commented,finding.opened")).await;
    assert_eq!(kinds(&feed), ["finding.commented"]);
    assert_eq!(feed["next_after"], after + 2);

    for (query, status, code) in [
        ("after=-1", 400, "invalid_parameter"),
        ("after=x", 400, "invalid_parameter"),
        ("after=", 400, "invalid_parameter"),
        ("after=1&wait=21", 400, "invalid_parameter"),
        ("after=1&kind=finding.closed", 400, "invalid_parameter"),
        ("since=1", 400, "unknown_parameter"),
        ("after=1000000", 410, "gone"),
        ("after=1&kind=change.detected", 403, "forbidden"),
        ("after=1&kind=scan.ended", 403, "forbidden"),
    ] {
        is_problem(&bot.get(&format!("/api/v1/events?{query}")).await, status, code);
    }
    let scans = Client::program(&app, &[Scope::FindingsRead, Scope::ScansRead]).await;
    let feed = scans.json("/api/v1/events?after=0&kind=scan.started,scan.ended").await;
    assert_eq!(kinds(&feed), ["scan.started", "scan.ended"]);
    assert_eq!((&feed["items"][1]["scan"], &feed["items"][1]["detail"]["state"]), (&json!(1), &json!("done")));
    is_problem(&Client::program(&app, &[Scope::InventoryRead]).await.get("/api/v1/events").await, 403, "forbidden");
}

#[tokio::test]
async fn whoever_waits_is_told_as_soon_as_something_happens_and_when_the_service_stops() {
    let app = app(Seen::Complete).await;
    let bot = Client::program(&app, &BOT).await;
    let after = position(&bot).await;
    let waiting = |client: Client, query: String| {
        tokio::spawn(async move { client.json(&format!("/api/v1/events?after={after}&wait=20{query}")).await })
    };
    let (all, some) = (waiting(bot.clone(), String::new()), waiting(bot.clone(), "&kind=finding.assigned".to_owned()));
    let path = "/api/v1/findings/1";
    assert_eq!(send(&bot, Method::PATCH, path, json!({"comment": "x"})).await.status, StatusCode::OK);
    assert_eq!(kinds(&all.await.unwrap()), ["finding.commented"]);
    assert_eq!(send(&bot, Method::PATCH, path, json!({"assignee": "y"})).await.status, StatusCode::OK);
    let feed = some.await.unwrap();
    assert_eq!((kinds(&feed), &feed["next_after"]), (vec!["finding.assigned"], &json!(after + 2)));
    let last = position(&bot).await;
    let client = bot.clone();
    let idle = tokio::spawn(async move { client.json(&format!("/api/v1/events?after={last}&wait=20")).await });
    app.feed.stop.cancel();
    let feed = idle.await.unwrap();
    assert_eq!((&feed["items"], &feed["next_after"]), (&json!([]), &json!(last)));
}

#[tokio::test]
async fn of_two_bots_one_files_the_ticket() {
    let app = app(Seen::Complete).await;
    let bot = Client::program(&app, &BOT).await;
    let reader = Client::program(&app, &[Scope::FindingsRead, Scope::FindingsTriage]).await;
    let item = bot.json("/api/v1/findings?state=open&limit=1").await["items"][0].clone();
    let path = format!("/api/v1/findings/{}/tickets", item["fingerprint"].as_str().unwrap());
    let jira = format!("{path}/jira");
    let ask = |holder: &str| json!({"system": "jira", "holder": holder});
    is_problem(&send(&reader, Method::POST, &path, ask("a")).await, 403, "forbidden");
    is_problem(&send(&reader, Method::PUT, &jira, json!({})).await, 403, "forbidden");
    is_problem(&reader.send(Method::DELETE, &jira, "").await, 403, "forbidden");
    for (body, parameter) in [
        (json!({"system": "Jira", "holder": "a"}), "system"),
        (json!({"system": "any", "holder": "a"}), "system"),
        (json!({"system": "jira", "holder": " "}), "holder"),
        (json!({"system": "jira", "holder": "a", "lease_seconds": 3_601}), "lease_seconds"),
    ] {
        let answer = send(&bot, Method::POST, &path, body).await;
        is_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter);
    }
    is_problem(&send(&bot, Method::POST, &path, json!({"system": "jira"})).await, 400, "invalid_parameter");
    is_problem(&send(&bot, Method::POST, "/api/v1/findings/0/tickets", ask("a")).await, 404, "not_found");
    is_problem(&bot.send(Method::DELETE, &jira, "").await, 404, "not_found");

    let after = position(&bot).await;
    let first = send(&bot, Method::POST, &path, ask("a")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let first = first.json();
    assert_eq!((&first["reserved_before"], &first["holder"]), (&json!(false), &json!("a")));
    let refused = send(&bot, Method::POST, &path, ask("b")).await;
    is_problem(&refused, 409, "ticket_held");
    assert!(
        refused.json()["detail"].as_str().unwrap().contains("reserved by `a` (token bot) until"),
        "{}",
        refused.text
    );
    let again = send(&bot, Method::POST, &path, ask("a")).await.json();
    assert_eq!((&again["reserved_before"], &again["earlier_holder"]), (&json!(true), &json!("a")));
    assert_eq!(again["idempotency_key"], first["idempotency_key"]);

    let link =
        |key: &str, token: &Value| json!({"key": key, "url": format!("https://tracker.example/{key}"), "token": token});
    is_problem(&send(&bot, Method::PUT, &jira, link("SEC-1", &first["token"])).await, 409, "ticket_held");
    is_problem(
        &send(&bot, Method::PUT, &jira, json!({"key": "SEC-1", "url": "javascript:x"})).await,
        400,
        "invalid_parameter",
    );
    let linked = send(&bot, Method::PUT, &jira, link("SEC-1", &again["token"])).await;
    assert_eq!(linked.status, StatusCode::OK, "{}", linked.text);
    let tickets = linked.json()["tickets"].clone();
    assert_eq!(
        (&tickets[0]["key"], &tickets[0]["url"], &tickets[0]["linked_by"]),
        (&json!("SEC-1"), &json!("https://tracker.example/SEC-1"), &json!("token bot"))
    );
    assert_eq!(linked.header("etag"), format!("\"{}\"", linked.json()["version"]));
    assert_eq!(send(&bot, Method::PUT, &jira, link("SEC-1", &Value::Null)).await.status, StatusCode::OK);
    is_problem(&send(&bot, Method::PUT, &jira, link("SEC-2", &Value::Null)).await, 409, "ticket_filed");
    is_problem(&send(&bot, Method::POST, &path, ask("b")).await, 409, "ticket_filed");

    let count = async |query: &str| bot.json(&format!("/api/v1/findings?{query}")).await["total"]["count"].as_u64();
    let all = count("include=folded").await.unwrap();
    assert_eq!(count("ticket=jira&include=folded").await, Some(1));
    assert_eq!(count("ticket=any&include=folded").await, Some(1));
    assert_eq!(count("ticket=snow&include=folded").await, Some(0));
    assert_eq!(count("ticket=none&include=folded").await, Some(all - 1));
    is_problem(&bot.get("/api/v1/findings?ticket=SEC%201").await, 400, "invalid_parameter");
    is_problem(&bot.get("/api/v1/findings?ticket=").await, 400, "invalid_parameter");

    let person = Client::person(&app).await;
    for page in [item["page"].as_str().unwrap(), "/findings?ticket=jira"] {
        let shown = person.get(page).await.text;
        assert!(shown.contains(r#"href="https://tracker.example/SEC-1""#), "{page}: {shown}");
    }
    assert!(person.get(item["page"].as_str().unwrap()).await.text.contains("Ticket linked"));
    let removed = bot.send(Method::DELETE, &jira, "").await;
    assert_eq!((removed.status, &removed.json()["tickets"]), (StatusCode::OK, &json!([])));
    let feed = bot.json(&format!("/api/v1/events?after={after}")).await;
    let ticket = ["reserved", "reserved", "linked", "removed"].map(|step| format!("finding.ticket_{step}"));
    assert_eq!(kinds(&feed), ticket);
}

#[tokio::test]
async fn a_request_with_a_key_is_done_once() {
    let app = app(Seen::Complete).await;
    let bot = Client::program(&app, &BOT).await;
    let keyed = |key: &str| bot.clone().with("idempotency-key".parse().unwrap(), key);
    let path = "/api/v1/findings/1/comments";
    let events = async || bot.json("/api/v1/findings/1/events").await["items"].as_array().unwrap().len();
    let before = events().await;
    let first = send(&keyed("k1"), Method::POST, path, json!({"comment": "x"})).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    for key in ["k1", "\"k1\""] {
        let again = send(&keyed(key), Method::POST, path, json!({"comment": "x"})).await;
        assert_eq!((again.status, again.json()), (StatusCode::CREATED, first.json()));
        assert_eq!(
            (again.header("idempotency-replayed"), again.header("content-type")),
            ("true", first.header("content-type"))
        );
    }
    assert_eq!(events().await, before + 1);
    is_problem(&send(&keyed("k1"), Method::POST, path, json!({"comment": "y"})).await, 422, "key_reused");
    is_problem(
        &send(&keyed("k1"), Method::PATCH, "/api/v1/findings/1", json!({"comment": "x"})).await,
        422,
        "key_reused",
    );
    is_problem(&send(&keyed("a b"), Method::POST, path, json!({"comment": "x"})).await, 400, "invalid_parameter");
    // What was refused changed nothing: its key is free.
    is_problem(&send(&keyed("k2"), Method::POST, path, json!({"comment": ""})).await, 400, "invalid_parameter");
    assert_eq!(send(&keyed("k2"), Method::POST, path, json!({"comment": "z"})).await.status, StatusCode::CREATED);
    // A key that changes nothing is let through.
    assert_eq!(keyed("k1").get("/api/v1/findings?limit=1").await.status, StatusCode::OK);
    // Tags are kept with the answer.
    let patched = send(&keyed("k3"), Method::PATCH, "/api/v1/findings/1", json!({"assignee": "y"})).await;
    let again = send(&keyed("k3"), Method::PATCH, "/api/v1/findings/1", json!({"assignee": "y"})).await;
    assert_eq!((again.header("etag"), &again.text), (patched.header("etag"), &patched.text));
    // Beside each other: one is done, and the others get its answer or are told to wait.
    let client = keyed("k4");
    let at_once = (0..8).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { send(&client, Method::POST, path, json!({"comment": "w"})).await })
    });
    let before = events().await;
    for answer in at_once.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert!(matches!(answer.status, StatusCode::CREATED | StatusCode::CONFLICT), "{}", answer.text);
    }
    assert_eq!(events().await, before + 1);
}

#[tokio::test]
async fn what_is_there_already_is_not_sent_again() {
    let app = app(Seen::Complete).await;
    let bot = Client::program(&app, &BOT).await;
    for path in ["/api/v1/findings/1", "/api/v1/findings?limit=3", "/api/v1/events?after=0&limit=3"] {
        let read = bot.get(path).await;
        let tag = read.header("etag").to_owned();
        assert!(!tag.is_empty(), "{path}");
        for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = bot.clone().with(header::IF_NONE_MATCH, known.clone()).get(path).await;
            assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path} {known}");
            assert_eq!(again.header("etag"), tag);
        }
        let other = bot.clone().with(header::IF_NONE_MATCH, "\"other\"").get(path).await;
        assert_eq!((other.status, other.text), (StatusCode::OK, read.text), "{path}");
    }
    let tag = bot.get("/api/v1/findings/1").await.header("etag").to_owned();
    assert_eq!(send(&bot, Method::PATCH, "/api/v1/findings/1", json!({"comment": "x"})).await.status, StatusCode::OK);
    let changed = bot.clone().with(header::IF_NONE_MATCH, tag.clone()).get("/api/v1/findings/1").await;
    assert_eq!(changed.status, StatusCode::OK);
    // The same tag serves both: what changed meanwhile is not overwritten.
    let stale = bot.clone().with(header::IF_MATCH, tag);
    is_problem(
        &send(&stale, Method::PATCH, "/api/v1/findings/1", json!({"comment": "y"})).await,
        412,
        "precondition_failed",
    );
    let fresh = bot.clone().with(header::IF_MATCH, changed.header("etag"));
    assert_eq!(send(&fresh, Method::PATCH, "/api/v1/findings/1", json!({"comment": "y"})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_credential_has_so_many_requests() {
    let mut config = Config::default();
    config.server.requests_per_minute = 3;
    let app = app_with(Seen::Nothing, config).await;
    let bot = Client::program(&app, &[Scope::FindingsRead]).await;
    let person = Client::person(&app).await;
    for left in ["2", "1", "0"] {
        let answer = bot.get("/api/v1/findings?limit=1").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=3;w=60");
        assert!(answer.header("ratelimit").starts_with(&format!("\"default\";r={left};t=")), "{left}");
    }
    let refused = bot.get("/api/v1/findings?limit=1").await;
    is_problem(&refused, 429, "too_many_requests");
    assert!((1..=20).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert!(refused.header("ratelimit").starts_with("\"default\";r=0;t="));
    // Pages and what they are made of have no limit.
    for _ in 0..5 {
        assert_eq!(person.get("/findings").await.status, StatusCode::OK);
    }
    assert_eq!(person.get("/api/v1/findings?limit=1").await.status, StatusCode::OK);
    // Where there is none, nothing is told.
    let mut config = Config::default();
    config.server.requests_per_minute = 0;
    let free = app_with(Seen::Nothing, config).await;
    let bot = Client::program(&free, &[Scope::FindingsRead]).await;
    assert_eq!(bot.get("/api/v1/findings").await.header("ratelimit"), "");
}

#[tokio::test]
async fn every_finding_says_what_to_do_with_its_real_names() {
    let app = app(Seen::Complete).await;
    let bot = Client::program(&app, &[Scope::FindingsRead]).await;
    let person = Client::person(&app).await;
    let items = bot.json("/api/v1/findings?limit=1000&state=open&include=folded").await;
    let (mut proved, mut wrong) = (0, Vec::new());
    for item in items["items"].as_array().unwrap() {
        let number = item["number"].as_i64().unwrap();
        let answer = bot.json(&format!("/api/v1/findings/{number}/remediation")).await;
        assert!(!answer["text"].as_str().unwrap().is_empty(), "{item}");
        let steps = answer["steps"].as_array().unwrap();
        let of_steps = steps.iter().flat_map(|step| step["snippets"].as_array().unwrap());
        let snippets: Vec<&Value> = answer["snippets"].as_array().unwrap().iter().chain(of_steps).collect();
        let role = item["subject"]["role_arn"].as_str().and_then(|arn| arn.rsplit('/').next());
        for snippet in &snippets {
            let text = snippet["text"].as_str().unwrap();
            // What is known of the finding is no variable.
            let open = role.is_some() && (text.contains("$role_name") || text.contains("var.role_name"));
            if text.contains("{{") || open || text.contains("var.cluster_name") {
                wrong.push(format!("{}: {text}", item["rule_id"]));
            }
        }
        let documents = steps.iter().filter(|step| step["document"].is_string()).count();
        assert!(documents == 0 || answer["verified"].is_object(), "a document is proved: {answer}");
        proved += usize::from(answer["verified"].is_object());
        if let Some(first) = steps.first() {
            let page = person.get(&format!("/findings/{number}")).await;
            let shown: Vec<String> = ["#remedy-1-aws_cli", "section[aria-labelledby=remedy-h] h3"]
                .iter()
                .filter_map(|selector| {
                    let selector = scraper::Selector::parse(selector).unwrap();
                    page.html().select(&selector).next().map(|found| found.text().collect())
                })
                .collect();
            assert_eq!(shown, [first["snippets"][0]["text"].as_str().unwrap(), first["title"].as_str().unwrap()]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(proved > 3, "{proved} findings have a change that is proved");
    is_problem(&bot.get("/api/v1/findings/0/remediation").await, 404, "not_found");
    is_problem(&bot.get("/api/v1/findings/1/remediation?days=7").await, 400, "unknown_parameter");
}
