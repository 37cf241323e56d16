//! Webhooks against an endpoint that speaks HTTPS: what it gets, how often, and what becomes of its answers.

use crate::api::is_problem;
use crate::destinations::{BOT, deliveries, execute, serve};
use crate::support::{Client, Seen, app_over};
use axum::http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rolecall::app::App;
use rolecall::config::Config;
use rolecall::http::auth::token::Scope;
use rolecall::outgoing::endpoint::Endpoint;
use rolecall::work::deliver::round;
use rolecall_collect::Hub;
use rolecall_store::testing::Database;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLDER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Answers = Arc<Mutex<VecDeque<(u16, Vec<(&'static str, String)>)>>>;

/// An endpoint: what it was sent, and what it answers next; 204 where nothing is said.
#[derive(Clone)]
struct Receiver {
    port: u16,
    folder: PathBuf,
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Answers,
    /// An answer takes one of these.
    may_answer: Arc<Semaphore>,
}

impl Receiver {
    async fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("rolecall-webhook-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("secret"), format!("{SECRET}\n")).unwrap();
        std::fs::write(folder.join("older"), OLDER).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            folder,
            got: Arc::default(),
            answers: Arc::default(),
            may_answer: Arc::new(Semaphore::new(10_000)),
        };
        let (tls, here) = (TlsAcceptor::from(Arc::new(tls)), receiver.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, here) = (tls.clone(), here.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let here = here.clone();
                        async move { Ok::<_, Infallible>(here.answer(request).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        receiver
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.got.lock().unwrap().push((parts.headers, String::from_utf8(body.to_vec()).unwrap()));
        self.may_answer.acquire().await.unwrap().forget();
        let (status, headers) = self.answers.lock().unwrap().pop_front().unwrap_or((204, Vec::new()));
        let answer = Response::builder().status(status);
        let answer = headers.into_iter().fold(answer, |answer, (name, value)| answer.header(name, value));
        answer.body(Full::default()).unwrap()
    }

    fn answers(&self, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.answers.lock().unwrap().push_back((status, headers));
    }

    fn got(&self) -> Vec<(HeaderMap, String)> {
        self.got.lock().unwrap().clone()
    }

    fn bodies(&self) -> Vec<Value> {
        self.got().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.got().iter().map(|(headers, _)| headers["webhook-id"].to_str().unwrap().to_owned()).collect()
    }

    /// Waits until it was sent so many requests.
    async fn until(&self, count: usize) {
        while self.got.lock().unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A configuration with this endpoint, named `soc`.
    fn config(&self, options: &str) -> Config {
        let port = self.port;
        let text = format!(
            "[outgoing]\nallow_cidrs = [\"127.0.0.0/8\", \"::1/128\"]\n[[outgoing.webhooks]]\nname = \"soc\"\n\
             url = \"https://localhost:{port}/hook?key=1\"\nca_file = \"ca.pem\"\n{options}\n"
        );
        Config::parse(&self.folder.join("rolecall.toml"), &text).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if Arc::strong_count(&self.got) == 1 {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

const STEPS: &str = "secret_files = [\"secret\"]\ntypes = [\"finding.acknowledged\", \"finding.commented\"]";

async fn service(config: Config) -> (App, Database) {
    let database = rolecall_store::testing::database().await.expect("a database");
    (app_over(database.store.clone(), Seen::Complete, config).await, database)
}

async fn step(bot: &Client, finding: i64, body: Value) {
    let answer = bot.send(Method::PATCH, &format!("/api/v1/findings/{finding}"), body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

fn verifies(secret: &str, (headers, body): &(HeaderMap, String)) -> bool {
    standardwebhooks::Webhook::new(secret).unwrap().verify(body.as_bytes(), headers).is_ok()
}

#[tokio::test]
async fn an_event_is_sent_once_signed_and_says_what_it_is_about() {
    let receiver = Receiver::new().await;
    let (app, _database) = service(receiver.config(STEPS)).await;
    // What happened before the webhook was there is not sent.
    assert_eq!(serve(&app).await, 0);
    let bot = Client::program(&app, &BOT).await;
    step(&bot, 1, json!({"state": "acknowledged", "comment": "<seen>"})).await;
    step(&bot, 1, json!({"assignee": "payments"})).await;
    assert_eq!(serve(&app).await, 2);
    // Whoever is started anew finds nothing to do.
    assert_eq!(serve(&app).await, 0);
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    for message in &got {
        assert!(verifies(SECRET, message) && !verifies(OLDER, message));
        assert!(message.1.len() <= 20_000);
        assert_eq!(message.0["content-type"], "application/json");
    }
    let finding = bot.json("/api/v1/findings/1").await;
    let acknowledged = receiver.bodies().into_iter().find(|body| body["type"] == "finding.acknowledged").unwrap();
    assert_eq!(acknowledged["data"]["actor"], "token bot");
    let told = acknowledged["data"]["finding"].as_object().unwrap();
    // What it says of the finding is what the API says, under the same names.
    for (name, value) in told {
        let expected = match name.as_str() {
            "url" => json!("http://127.0.0.1:8080/findings/1"),
            "workloads" => Value::from_iter(
                finding["workloads"].as_array().unwrap().iter().take(10).map(|it| it["association"].clone()),
            ),
            name => finding[name].clone(),
        };
        assert_eq!(value, &expected, "{name}");
    }
    let listed = deliveries(&bot, "soc").await;
    assert_eq!(listed.len(), 2);
    for delivery in &listed {
        assert_eq!(
            (&delivery["state"], &delivery["attempts"], &delivery["last_status"]),
            (&json!("delivered"), &json!(1), &json!(204))
        );
        assert!(receiver.ids().contains(&delivery["id"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn a_route_leaves_out_what_was_not_asked_for() {
    let receiver = Receiver::new().await;
    let all = "secret_files = [\"secret\"]\nsummary_above = 10000\n";
    for (options, query) in [
        ("severity_min = \"high\"", "severity=high,critical"),
        ("account_ids = [\"111122223333\"]", "account_id=111122223333"),
        ("namespaces = [\"shipping\"]", "namespace=shipping"),
        ("assignees = [\"payments\"]", "assignee=payments"),
        ("owners = [\"settlement\"]", "owner=settlement"),
    ] {
        receiver.got.lock().unwrap().clear();
        let (app, _database) = service(receiver.config(&format!("{all}{options}"))).await;
        let bot = Client::program(&app, &BOT).await;
        step(&bot, 2, json!({"assignee": "payments"})).await;
        serve(&app).await;
        // From the begin of the feed on, all that opened.
        let answer = bot.send(Method::POST, "/api/v1/webhooks/soc/replay", json!({"after": 0}).to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let sent = serve(&app).await;
        let listed = bot.json(&format!("/api/v1/findings?limit=1000&include=folded&{query}")).await;
        let wanted: BTreeSet<i64> =
            listed["items"].as_array().unwrap().iter().map(|item| item["number"].as_i64().unwrap()).collect();
        let told = receiver.bodies();
        let told: BTreeSet<i64> = told.iter().map(|it| it["data"]["finding"]["number"].as_i64().unwrap()).collect();
        assert_eq!((&told, sent), (&wanted, wanted.len()), "{options}");
        let total = bot.json("/api/v1/findings?limit=1000&include=folded").await["items"].as_array().unwrap().len();
        assert!(!told.is_empty() && told.len() < total, "{options}: {} of {total}", told.len());
    }
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_later_under_the_same_id() {
    let (receiver, elsewhere) = (Receiver::new().await, Receiver::new().await);
    let (app, database) = service(receiver.config(STEPS)).await;
    serve(&app).await;
    let bot = Client::program(&app, &BOT).await;
    step(&bot, 1, json!({"comment": "x"})).await;
    let aside = format!("https://localhost:{}/", elsewhere.port);
    let cases = [
        (302, ("location", aside.as_str()), 5.0, "redirects are not followed"),
        (307, ("location", aside.as_str()), 300.0, "redirects are not followed"),
        (500, ("x-nothing", ""), 1_800.0, "it was not taken"),
        (503, ("retry-after", "9000"), 9_000.0, "it was not taken"),
        (429, ("retry-after", "1"), 18_000.0, "it was not taken"),
        (404, ("retry-after", "soon"), 36_000.0, "it was not taken"),
    ];
    for (attempt, (status, header, least, why)) in cases.into_iter().enumerate() {
        receiver.answers(status, &[header]);
        assert_eq!(serve(&app).await, 1, "{status}");
        let delivery = &deliveries(&bot, "soc").await[0];
        assert_eq!((&delivery["state"], &delivery["last_status"]), (&json!("waiting"), &json!(status)));
        assert_eq!((&delivery["attempts"], &delivery["last_error"]), (&json!(attempt + 1), &json!(why)));
        let time = |name: &str| delivery[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
        let wait = (time("due_at") - time("last_at")).num_milliseconds() as f64 / 1_000.0;
        assert!((least - 0.5..=least * 1.1 + 0.5).contains(&wait), "{status}: {wait}");
        execute(&database, "update webhook_delivery set due_at = clock_timestamp()").await;
    }
    assert_eq!(serve(&app).await, 1);
    assert_eq!(deliveries(&bot, "soc").await[0]["state"], "delivered");
    let ids: BTreeSet<String> = receiver.ids().into_iter().collect();
    assert_eq!((receiver.got().len(), ids.len()), (7, 1));
    let bodies: BTreeSet<String> = receiver.got().into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 1);
    assert_eq!(elsewhere.got().len(), 0);
    // Replayed, it keeps its id, too.
    let path = format!("/api/v1/webhooks/soc/deliveries/{}/replay", receiver.ids()[0]);
    assert_eq!(bot.send(Method::POST, &path, "").await.status, StatusCode::ACCEPTED);
    assert_eq!(serve(&app).await, 1);
    assert_eq!(receiver.ids().into_iter().collect::<BTreeSet<_>>(), ids);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_takes_nothing_is_left_alone_until_it_is_enabled() {
    for (status, attempts, because) in [(410, 0, "gone"), (500, 9, "failed")] {
        let receiver = Receiver::new().await;
        let (app, database) = service(receiver.config(STEPS)).await;
        serve(&app).await;
        let bot = Client::program(&app, &BOT).await;
        step(&bot, 1, json!({"comment": "first"})).await;
        receiver.answers(500, &[]);
        assert_eq!(serve(&app).await, 1);
        execute(&database, "update webhook_delivery set due_at = clock_timestamp()").await;
        if attempts > 0 {
            execute(&database, "update webhook_delivery set attempts = 9").await;
        }
        receiver.answers(status, &[]);
        assert_eq!(serve(&app).await, 1);
        let webhook = bot.json("/api/v1/webhooks").await["items"][0].clone();
        assert_eq!((&webhook["state"], &webhook["disabled_because"]), (&json!("disabled"), &json!(because)));
        assert_eq!(webhook["failed"], 1);
        // What happens meanwhile is not sent, and not lost.
        step(&bot, 1, json!({"comment": "second"})).await;
        assert_eq!((serve(&app).await, receiver.got().len()), (0, 2));
        let person = Client::person(&app).await;
        assert!(person.get("/").await.text.contains("Webhooks are disabled"));
        assert!(person.get("/readyz").await.text.contains("webhooks warning: 1 disabled"));
        let answer = bot.send(Method::POST, "/api/v1/webhooks/soc/enable", "").await;
        assert_eq!(answer.json()["state"], "active");
        assert_eq!((serve(&app).await, receiver.got().len()), (1, 3));
        assert!(!person.get("/").await.text.contains("Webhooks are disabled"));
    }
}

#[tokio::test]
async fn whoever_dies_between_sending_and_noting_it_loses_nothing() {
    let receiver = Receiver::new().await;
    let (app, database) = service(receiver.config(STEPS)).await;
    serve(&app).await;
    let bot = Client::program(&app, &BOT).await;
    step(&bot, 1, json!({"comment": "x"})).await;
    step(&bot, 2, json!({"comment": "y"})).await;
    receiver.may_answer.forget_permits(10_000);
    let dying = tokio::spawn({
        let app = app.clone();
        async move { serve(&app).await }
    });
    receiver.until(2).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    receiver.may_answer.add_permits(100);
    // Its lease holds for a while.
    assert_eq!(serve(&app).await, 0);
    execute(&database, "update webhook_delivery set lease_until = clock_timestamp()").await;
    assert_eq!(serve(&app).await, 2);
    let ids = receiver.ids();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (4, 2));
    assert!(deliveries(&bot, "soc").await.iter().all(|delivery| delivery["state"] == "delivered"));
    assert_eq!(serve(&app).await, 0);
}

#[tokio::test]
async fn of_several_processes_one_sends_each_message() {
    let receiver = Receiver::new().await;
    let (app, _database) = service(receiver.config("secret_files = [\"secret\"]\nsummary_above = 10000")).await;
    serve(&app).await;
    let bot = Client::program(&app, &BOT).await;
    let answer = bot.send(Method::POST, "/api/v1/webhooks/soc/replay", json!({"after": 0}).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let sent = tokio::join!(serve(&app), serve(&app), serve(&app));
    let ids = receiver.ids();
    assert!(ids.len() > 20, "{}", ids.len());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert_eq!(sent.0 + sent.1 + sent.2, ids.len());
    // The same events again are the same messages.
    bot.send(Method::POST, "/api/v1/webhooks/soc/replay", json!({"after": 0}).to_string()).await;
    assert_eq!(serve(&app).await, ids.len());
    assert_eq!(receiver.ids().iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[tokio::test]
async fn a_scan_that_opens_more_than_is_sent_one_by_one_is_told_by_one_message() {
    let receiver = Receiver::new().await;
    let replay = async |bot: &Client| {
        let answer = bot.send(Method::POST, "/api/v1/webhooks/soc/replay", json!({"after": 0}).to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    };
    let options = "secret_files = [\"secret\"]\nseverity_min = \"medium\"\nsummary_above = 5\n\
                   types = [\"finding.opened\", \"finding.commented\"]";
    let (app, _database) = service(receiver.config(options)).await;
    let bot = Client::program(&app, &BOT).await;
    serve(&app).await;
    step(&bot, 1, json!({"comment": "x"})).await;
    replay(&bot).await;
    assert_eq!(serve(&app).await, 2);
    let bodies = receiver.bodies();
    let summary = bodies.iter().find(|body| body["type"] == "findings.opened").unwrap();
    assert!(bodies.iter().any(|body| body["type"] == "finding.commented"));
    // It counts what the list has, and says where each event is told.
    let listed = bot.json("/api/v1/findings?limit=1000&include=folded&severity_min=medium").await;
    let listed = listed["items"].as_array().unwrap();
    let data = &summary["data"];
    assert_eq!(data["count"], listed.len());
    let high = listed.iter().filter(|item| item["severity"] == "high").count();
    assert_eq!(data["severities"]["high"], high);
    assert_eq!(data["filters"]["severity_min"], "medium");
    let url = data["events_url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8080").unwrap();
    let told = bot.json(&format!("{url}&limit=1000")).await;
    let told = told["items"].as_array().unwrap();
    let is_in = |item: &&Value| item["seq"].as_i64() <= data["last_seq"].as_i64();
    assert!(told.iter().filter(is_in).count() >= listed.len());
    assert!(data["url"].as_str().unwrap().ends_with("/findings?include=folded&sort=opened&severity_min=medium"));
    assert_eq!(receiver.ids().len(), 2);
    assert!(receiver.got().iter().all(|(headers, body)| {
        serde_json::from_str::<Value>(body).unwrap()["id"] == headers["webhook-id"].to_str().unwrap()
    }));
    // Gone through again, it is the same message.
    let ids: BTreeSet<String> = receiver.ids().into_iter().collect();
    replay(&bot).await;
    assert_eq!(serve(&app).await, 2);
    assert_eq!(receiver.ids().into_iter().collect::<BTreeSet<_>>(), ids);
}

#[tokio::test]
async fn while_a_secret_is_rotated_either_verifies() {
    let receiver = Receiver::new().await;
    let options = "secret_files = [\"secret\", \"older\"]\ntypes = [\"finding.commented\"]";
    let (app, _database) = service(receiver.config(options)).await;
    let bot = Client::program(&app, &BOT).await;
    let answer = bot.send(Method::POST, "/api/v1/webhooks/soc/test", "").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(serve(&app).await, 1);
    let got = receiver.got();
    assert_eq!(answer.json()["id"], got[0].0["webhook-id"].to_str().unwrap());
    assert!(verifies(SECRET, &got[0]) && verifies(OLDER, &got[0]));
    assert_eq!(receiver.bodies()[0]["type"], "webhook.test");
}

#[tokio::test]
async fn a_chat_gets_blocks_without_a_signature() {
    let receiver = Receiver::new().await;
    let (app, _database) = service(receiver.config("kind = \"slack\"\ntypes = [\"finding.commented\"]")).await;
    serve(&app).await;
    let bot = Client::program(&app, &BOT).await;
    step(&bot, 1, json!({"comment": "x"})).await;
    bot.send(Method::POST, "/api/v1/webhooks/soc/test", "").await;
    assert_eq!(serve(&app).await, 2);
    for (headers, body) in receiver.got() {
        assert!(headers.keys().all(|name| !name.as_str().starts_with("webhook-")));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["blocks"][0]["type"], "header");
        assert!(body["text"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

#[tokio::test]
async fn addresses_that_are_no_part_of_the_internet_are_refused() {
    let receiver = Receiver::new().await;
    let hosts = [
        "localhost",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "127.1",
    ];
    let mut text = "[outgoing]\n".to_owned();
    for (at, host) in hosts.iter().enumerate() {
        let port = receiver.port;
        text.push_str(&format!(
            "[[outgoing.webhooks]]\nname = \"w{at}\"\nurl = \"https://{host}:{port}/\"\nca_file = \"ca.pem\"\n{STEPS}\n"
        ));
    }
    let (app, _database) = service(Config::parse(&receiver.folder.join("rolecall.toml"), &text).unwrap()).await;
    let bot = Client::program(&app, &BOT).await;
    for (at, webhook) in app.config.outgoing.webhooks.iter().enumerate() {
        let endpoint = Endpoint::new(webhook, &app.config, &app.hub).unwrap();
        let answer = bot.send(Method::POST, &format!("/api/v1/webhooks/w{at}/test"), "").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert_eq!(round(&app, &endpoint, &mut false).await.unwrap(), 1);
        let delivery = &bot.json(&format!("/api/v1/webhooks/w{at}/deliveries")).await["items"][0];
        let (host, why) = (hosts[at], delivery["last_error"].as_str().unwrap());
        assert!(why.starts_with("its address is a") && why.contains("outgoing.allow_cidrs"), "{host}: {why}");
        assert_eq!(delivery["last_status"], Value::Null);
    }
    assert_eq!(receiver.got().len(), 0);
}

#[tokio::test]
async fn an_endpoint_that_nobody_vouches_for_gets_nothing() {
    let receiver = Receiver::new().await;
    let text = format!(
        "[outgoing]\nallow_cidrs = [\"127.0.0.0/8\", \"::1/128\"]\n[[outgoing.webhooks]]\nname = \"soc\"\n\
         url = \"https://localhost:{}/\"\n{STEPS}\n",
        receiver.port
    );
    let (app, _database) = service(Config::parse(&receiver.folder.join("rolecall.toml"), &text).unwrap()).await;
    let bot = Client::program(&app, &BOT).await;
    bot.send(Method::POST, "/api/v1/webhooks/soc/test", "").await;
    assert_eq!(serve(&app).await, 1);
    let delivery = &deliveries(&bot, "soc").await[0];
    assert!(delivery["last_error"].as_str().unwrap().starts_with("TLS: "), "{delivery}");
    assert_eq!(receiver.got().len(), 0);
}

#[tokio::test]
async fn webhooks_are_looked_after_by_whoever_may() {
    let receiver = Receiver::new().await;
    let (app, _database) = service(receiver.config(STEPS)).await;
    let reader = Client::program(&app, &[Scope::FindingsRead]).await;
    let bot = Client::program(&app, &BOT).await;
    is_problem(&reader.get("/api/v1/webhooks").await, 403, "forbidden");
    is_problem(&reader.send(Method::POST, "/api/v1/webhooks/soc/test", "").await, 403, "forbidden");
    let webhook = bot.json("/api/v1/webhooks").await["items"][0].clone();
    assert_eq!((&webhook["position"], &webhook["state"]), (&Value::Null, &json!("active")));
    assert_eq!(webhook["url"], format!("https://localhost:{}/…", receiver.port));
    for (method, path, body, status, code) in [
        (Method::GET, "/api/v1/webhooks/other/deliveries", "", 404, "not_found"),
        (Method::POST, "/api/v1/webhooks/other/test", "", 404, "not_found"),
        (Method::POST, "/api/v1/webhooks/other/enable", "", 404, "not_found"),
        (Method::POST, "/api/v1/webhooks/soc/deliveries/msg_x/replay", "", 404, "not_found"),
        (Method::POST, "/api/v1/webhooks/soc/replay", "{\"after\": 99999999}", 410, "gone"),
        (Method::POST, "/api/v1/webhooks/soc/replay", "{\"after\": -1}", 410, "gone"),
        (Method::POST, "/api/v1/webhooks/soc/replay", "{}", 400, "invalid_parameter"),
        (Method::GET, "/api/v1/webhooks/soc/deliveries?state=lost", "", 400, "invalid_parameter"),
    ] {
        is_problem(&bot.send(method, path, body).await, status, code);
    }
    let person = Client::person(&app).await;
    let list = person.get("/settings/webhooks").await;
    assert!(list.text.contains("/settings/webhooks/soc") && !list.text.contains("key=1"));
    let page = person.get("/settings/webhooks/soc").await.html();
    let token = scraper::Selector::parse("input[name=form_token]").unwrap();
    let token = page.select(&token).next().unwrap().attr("value").unwrap().to_owned();
    let send = async |fields: &str| {
        person.send(Method::POST, "/settings/webhooks/soc", format!("form_token={token}&{fields}")).await
    };
    assert_eq!(send("step=test").await.status, StatusCode::SEE_OTHER);
    assert_eq!(send("step=replay&after=0").await.status, StatusCode::SEE_OTHER);
    for fields in ["step=replay&after=x", "step=replay&after=-1", "step=other"] {
        assert_eq!(send(fields).await.status, StatusCode::BAD_REQUEST, "{fields}");
    }
    assert_eq!(serve(&app).await, 1);
    let page = person.get("/settings/webhooks/soc").await;
    assert!(page.text.contains("webhook.test") && page.text.contains("HTTP 204"));
    let id = receiver.ids()[0].clone();
    assert_eq!(send(&format!("step=replay_delivery&id={id}")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(serve(&app).await, 1);
    assert_eq!(person.get("/settings/webhooks/other").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_webhook_that_was_renamed_is_told_apart_from_the_new_one() {
    let receiver = Receiver::new().await;
    let (app, database) = service(receiver.config(STEPS)).await;
    serve(&app).await;
    let person = Client::person(&app).await;
    assert!(!person.get("/settings/webhooks").await.text.contains("No longer configured"));
    execute(&database, "update webhook set name = 'before', position = 7").await;
    serve(&app).await;
    let page = person.get("/settings/webhooks").await.text;
    assert!(page.contains("No longer configured") && page.contains(">before<") && page.contains("up to event 7"));
    assert!(page.contains("/settings/webhooks/soc"));
}

#[tokio::test]
async fn a_process_does_not_start_without_what_its_webhooks_name() {
    let receiver = Receiver::new().await;
    for (options, says) in [
        ("secret_files = [\"absent\"]", "absent"),
        ("secret_env = [\"ROLECALL_TEST_NO_SUCH_SECRET\"]", "ROLECALL_TEST_NO_SUCH_SECRET is not set"),
        ("secret_files = [\"ca.pem\"]", "begins with `whsec_`"),
        ("url_file = \"secret\"\nsecret_files = [\"secret\"]", "does not have one address"),
    ] {
        let text = format!("[[outgoing.webhooks]]\nname = \"soc\"\nurl = \"https://hooks.example.com/\"\n{options}\n");
        let read = Config::parse(&receiver.folder.join("rolecall.toml"), &text);
        let why = match &read {
            Err(problems) => problems.iter().map(ToString::to_string).collect::<String>(),
            Ok(config) => Endpoint::new(&config.outgoing.webhooks[0], config, &Hub::default()).unwrap_err().to_string(),
        };
        assert!(why.contains(says) && !why.contains(SECRET), "{options}: {why}");
    }
    assert!(Config::parse(Path::new("x"), "[[outgoing.webhooks]]\nname = \"a\"\n").is_err());
}
