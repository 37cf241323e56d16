//! Messages to topics of SNS and to event buses: what they get, and what becomes of what they refuse.

use crate::destinations::{BOT, deliveries, execute, replay, serve};
use crate::support::{Client, Seen, app_over};
use axum::http::{Method, StatusCode};
use rolecall::app::App;
use rolecall::config::Config;
use rolecall_collect::Hub;
use rolecall_sandbox::{Faults, HUB_ACCESS_KEY, Options, SECRET, Sandbox};
use rolecall_store::testing::Database;
use serde_json::{Value, json};
use std::path::Path;

const TOPIC: &str = "arn:aws:sns:eu-central-1:111122223333:findings";
const FIFO: &str = "arn:aws:sns:eu-central-1:111122223333:findings.fifo";
const BUS: &str = "arn:aws:events:eu-central-1:111122223333:event-bus/security";

async fn stand_in() -> Sandbox {
    let sandbox = Sandbox::start(rolecall_sandbox::demo::estate(chrono::Utc::now()), Faults::none()).await.unwrap();
    for arn in [TOPIC, FIFO, BUS] {
        sandbox.make_destination(arn);
    }
    sandbox
}

fn parsed(text: &str) -> Result<Config, String> {
    let read = Config::parse(Path::new("rolecall.toml"), text);
    read.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

async fn service(sandbox: &Sandbox, options: &str) -> (App, Client, Database) {
    let database = rolecall_store::testing::database().await.expect("a database");
    let text = format!("[[outgoing.webhooks]]\nname = \"aws\"\n{options}\n");
    let mut app = app_over(database.store.clone(), Seen::Complete, parsed(&text).unwrap()).await;
    app.hub = Hub::keys(sandbox.endpoint(), "us-east-1".parse().unwrap(), HUB_ACCESS_KEY, SECRET);
    let bot = Client::program(&app, &BOT).await;
    (app, bot, database)
}

async fn again(database: &Database) {
    execute(database, "update webhook_delivery set due_at = clock_timestamp() where state = 'waiting'").await;
}

#[tokio::test]
async fn a_topic_gets_the_message_of_a_webhook_with_attributes_to_filter_by() {
    let sandbox = stand_in().await;
    let options = format!("kind = \"sns\"\ntopic_arn = \"{TOPIC}\"\nseverity_min = \"high\"\nsummary_above = 10000");
    let (app, bot, _database) = service(&sandbox, &options).await;
    replay(&app, &bot).await;
    let sent = serve(&app).await;
    let listed = bot.json("/api/v1/findings?limit=1000&include=folded&severity=high,critical").await;
    assert_eq!(sent, listed["items"].as_array().unwrap().len());
    assert!(sent > 0);
    let published = sandbox.published(TOPIC);
    assert_eq!(published.len(), sent);
    for message in &published {
        let body: Value = serde_json::from_str(message["Message"].as_str().unwrap()).unwrap();
        assert_eq!(body["type"], "finding.opened");
        let text = |value: &Value| json!({"Type": "String", "Value": value});
        let attributes = json!({
            "type": text(&body["type"]), "severity": text(&body["data"]["finding"]["severity"]),
            "account_id": text(&body["data"]["account_id"]),
        });
        assert_eq!(message["MessageAttributes"], attributes);
        assert_eq!(message["MessageGroupId"], Value::Null);
    }
    let delivery = &deliveries(&bot, "aws").await[0];
    assert_eq!((&delivery["state"], &delivery["last_status"]), (&json!("delivered"), &json!(200)));
    let webhook = bot.json("/api/v1/webhooks").await["items"][0].clone();
    assert_eq!((&webhook["kind"], &webhook["url"]), (&json!("sns"), &json!(TOPIC)));
    let person = Client::person(&app).await;
    assert!(person.get("/settings/webhooks/aws").await.text.contains(TOPIC));
}

#[tokio::test]
async fn a_summary_names_every_severity_that_it_counts() {
    let sandbox = stand_in().await;
    let (app, bot, _database) =
        service(&sandbox, &format!("kind = \"sns\"\ntopic_arn = \"{FIFO}\"\nsummary_above = 5")).await;
    replay(&app, &bot).await;
    assert_eq!(serve(&app).await, 1);
    let message = &sandbox.published(FIFO)[0];
    let body: Value = serde_json::from_str(message["Message"].as_str().unwrap()).unwrap();
    assert_eq!(body["type"], "findings.opened");
    let severity = &message["MessageAttributes"]["severity"];
    assert_eq!(severity["Type"], "String.Array");
    let named: Vec<String> = serde_json::from_str(severity["Value"].as_str().unwrap()).unwrap();
    let counted: Vec<&String> = body["data"]["severities"].as_object().unwrap().keys().collect();
    assert_eq!(named.iter().collect::<Vec<_>>(), counted);
    // A topic that keeps order takes a message once, by its id.
    assert_eq!((&message["MessageGroupId"], &message["MessageDeduplicationId"]), (&json!("rolecall"), &body["id"]));
}

#[tokio::test]
async fn a_bus_gets_an_event_with_the_message_as_its_detail() {
    let sandbox = stand_in().await;
    let options = format!("kind = \"eventbridge\"\nevent_bus_arn = \"{BUS}\"\ntypes = [\"finding.commented\"]");
    let (app, bot, database) = service(&sandbox, &options).await;
    serve(&app).await;
    let comment = json!({"comment": "seen"}).to_string();
    assert_eq!(bot.send(Method::PATCH, "/api/v1/findings/1", comment).await.status, StatusCode::OK);
    // An entry is refused in an answer whose status is 200.
    sandbox.set_full(BUS, true);
    assert_eq!(serve(&app).await, 1);
    let delivery = &deliveries(&bot, "aws").await[0];
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("waiting"), &json!(1)));
    assert_eq!(delivery["last_error"], "events:PutEvents: ThrottlingException: Rate exceeded");
    assert_eq!(sandbox.published(BUS).len(), 0);
    sandbox.set_full(BUS, false);
    again(&database).await;
    assert_eq!(serve(&app).await, 1);
    let events = sandbox.published(BUS);
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("rolecall"), &json!("finding.commented")));
    assert_eq!(event["region"], "eu-central-1");
    assert_eq!(event["detail"]["id"], delivery["id"]);
    assert_eq!(event["detail"]["data"]["finding"]["number"], 1);
}

#[tokio::test]
async fn what_aws_refuses_is_sent_again_and_then_disables_the_webhook() {
    let sandbox = stand_in().await;
    let (app, bot, database) = service(&sandbox, &format!("kind = \"sns\"\ntopic_arn = \"{TOPIC}\"")).await;
    assert_eq!(bot.send(Method::POST, "/api/v1/webhooks/aws/test", "").await.status, StatusCode::ACCEPTED);
    let faults = sandbox.faults();
    for (fault, says) in [("deny", "AuthorizationError"), ("throttle", "Rate exceeded"), ("fail", "InternalFailure")] {
        faults.clear();
        let kind = match fault {
            "deny" => rolecall_sandbox::Fault::deny("sns:Publish"),
            "throttle" => rolecall_sandbox::Fault::throttle("sns:Publish"),
            _ => rolecall_sandbox::Fault::fail("sns:Publish"),
        };
        faults.inject(kind);
        sandbox.reset_calls();
        assert_eq!(serve(&app).await, 1);
        // One attempt is one call.
        assert_eq!(sandbox.calls().of("sns:Publish"), 1);
        let why = deliveries(&bot, "aws").await[0]["last_error"].as_str().unwrap().to_owned();
        assert!(why.starts_with("sns:Publish: ") && why.contains(says), "{why}");
        again(&database).await;
    }
    let mut connection = database.connect().await.unwrap();
    sqlx::query("update webhook_delivery set attempts = 9").execute(&mut connection).await.unwrap();
    assert_eq!(serve(&app).await, 1);
    let webhook = bot.json("/api/v1/webhooks").await["items"][0].clone();
    assert_eq!((&webhook["state"], &webhook["disabled_because"]), (&json!("disabled"), &json!("failed")));
    faults.clear();
    assert_eq!(bot.send(Method::POST, "/api/v1/webhooks/aws/enable", "").await.status, StatusCode::OK);
    let id = deliveries(&bot, "aws").await[0]["id"].as_str().unwrap().to_owned();
    bot.send(Method::POST, &format!("/api/v1/webhooks/aws/deliveries/{id}/replay"), "").await;
    assert_eq!((serve(&app).await, sandbox.published(TOPIC).len()), (1, 1));
}

#[tokio::test]
async fn a_role_is_assumed_for_a_destination_and_nothing_else_takes_its_place() {
    let estate = rolecall_sandbox::demo::estate(chrono::Utc::now());
    let own = estate.hub.clone();
    let options = Options { external_id: Some("secret-id".to_owned()), ..Options::default() };
    let sandbox = Sandbox::start_with(estate, Faults::none(), options).await.unwrap();
    let hub = sandbox.hub();
    assert!(own.is_empty() || own == hub);
    sandbox.make_destination(TOPIC);
    let options = |id: &str| {
        format!(
            "kind = \"sns\"\ntopic_arn = \"{TOPIC}\"\nrole_arn = \"arn:aws:iam::{hub}:role/RolecallReadOnly\"\n\
             external_id = \"{id}\""
        )
    };
    for (id, taken) in [("secret-id", 1), ("other-id", 0)] {
        let (app, bot, _database) = service(&sandbox, &options(id)).await;
        let before = sandbox.published(TOPIC).len();
        bot.send(Method::POST, "/api/v1/webhooks/aws/test", "").await;
        assert_eq!(serve(&app).await, 1);
        let published = sandbox.published(TOPIC);
        assert_eq!(published.len() - before, taken, "{id}");
        let delivery = &deliveries(&bot, "aws").await[0];
        if taken > 0 {
            let by = published.last().unwrap()["By"].as_str().unwrap();
            assert!(by.contains("assumed-role/RolecallReadOnly/rolecall-outgoing"), "{by}");
        } else {
            let why = delivery["last_error"].as_str().unwrap();
            assert!(why.starts_with("sts:AssumeRole: AccessDenied") && !why.contains(id), "{why}");
        }
    }
}

#[test]
fn options_of_another_kind_are_refused() {
    let sns = format!("kind = \"sns\"\ntopic_arn = \"{TOPIC}\"");
    for (options, says) in [
        ("kind = \"sns\"".to_owned(), "has no `topic_arn`"),
        (format!("kind = \"sns\"\ntopic_arn = \"{BUS}\""), "is no destination of kind \"sns\""),
        (format!("kind = \"eventbridge\"\nevent_bus_arn = \"{TOPIC}\""), "is no destination of kind \"eventbridge\""),
        ("kind = \"eventbridge\"\nevent_bus_arn = \"security\"".to_owned(), "neither the ARN of an SNS topic nor"),
        (format!("{sns}\nsecret_env = [\"X\"]"), "which has no `secret_env`"),
        (format!("{sns}\nurl = \"https://a.example/\""), "which has no `url`"),
        (format!("{sns}\nexternal_id = \"abc\""), "there is no role to send it for"),
        (
            format!("url = \"https://a.example/\"\nsecret_env = [\"X\"]\ntopic_arn = \"{TOPIC}\""),
            "which has no `topic_arn`",
        ),
        ("kind = \"sqs\"".to_owned(), "`sqs` is no kind of webhook"),
    ] {
        let why = parsed(&format!("[[outgoing.webhooks]]\nname = \"aws\"\n{options}\n")).unwrap_err();
        assert!(why.contains(says), "{options}: {why}");
    }
    assert!(parsed(&format!("[[outgoing.webhooks]]\nname = \"aws\"\n{sns}\n")).is_ok());
}
