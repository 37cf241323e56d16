//! Digests by e-mail, to a relay that speaks SMTP: what it gets, when, and what becomes of what it refuses.

use crate::destinations::{BOT, deliveries, execute, replay, serve};
use crate::support::{Client, Seen, app_over};
use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rolecall::app::App;
use rolecall::config::Config;
use rolecall::outgoing::endpoint::Endpoint;
use rolecall_collect::Hub;
use rolecall_store::testing::Database;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const PASSWORD: &str = "correct horse";

/// What a relay took.
#[derive(Debug, Clone, Default)]
struct Taken {
    is_secure: bool,
    login: Option<String>,
    from: String,
    to: Vec<String>,
    data: String,
}

/// A relay. Commands are answered as `answers` says, by their first word, or else as they should be.
#[derive(Clone)]
struct Relay {
    port: u16,
    folder: PathBuf,
    taken: Arc<Mutex<Vec<Taken>>>,
    /// Every line in the clear.
    heard: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<BTreeMap<&'static str, String>>>,
    /// An answer to a whole message takes one of these.
    may_answer: Arc<Semaphore>,
}

impl Relay {
    async fn new(is_implicit: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("rolecall-mail-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            folder,
            taken: Arc::default(),
            heard: Arc::default(),
            answers: Arc::default(),
            may_answer: Arc::new(Semaphore::new(10_000)),
        };
        let here = relay.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, here) = (tls.clone(), here.clone());
                tokio::spawn(async move {
                    if is_implicit {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        here.talk(BufReader::new(stream), true, true).await;
                    } else if let Some(stream) = here.talk(BufReader::new(stream), false, true).await {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        here.talk(BufReader::new(stream), true, false).await;
                    }
                });
            }
        });
        relay
    }

    /// Talks until the end, or until TLS is asked for: then the stream comes back.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: BufReader<S>,
        is_secure: bool,
        greets: bool,
    ) -> Option<S> {
        if greets {
            let greeting = self.answer("greeting", "220-relay ESMTP\r\n220 ready");
            stream.write_all(format!("{greeting}\r\n").as_bytes()).await.ok()?;
        }
        let mut taken = Taken { is_secure, ..Taken::default() };
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if !is_secure {
                self.heard.lock().unwrap().push(line.clone());
            }
            let word = line.split([' ', ':']).next().unwrap().to_ascii_uppercase();
            let offers = if is_secure {
                "250-relay\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME"
            } else {
                "250-relay\r\n250 STARTTLS"
            };
            let answer = match word.as_str() {
                "EHLO" => self.answer(if is_secure { "EHLO under TLS" } else { "EHLO" }, offers),
                "STARTTLS" => {
                    stream.write_all(b"220 go on\r\n").await.ok()?;
                    return Some(stream.into_inner());
                }
                "AUTH" if line == "AUTH LOGIN" => {
                    let mut said = Vec::new();
                    for question in ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"] {
                        stream.write_all(format!("{question}\r\n").as_bytes()).await.ok()?;
                        let mut line = String::new();
                        stream.read_line(&mut line).await.ok()?;
                        said.push(String::from_utf8(STANDARD.decode(line.trim_end()).unwrap()).unwrap());
                    }
                    taken.login = Some(said.join("/"));
                    self.answer("AUTH", "235 welcome")
                }
                "AUTH" => {
                    let said = STANDARD.decode(line.strip_prefix("AUTH PLAIN ").unwrap()).unwrap();
                    taken.login = Some(String::from_utf8(said).unwrap().trim_start_matches('\0').replace('\0', "/"));
                    self.answer("AUTH", "235 welcome")
                }
                "MAIL" => {
                    taken.from = line;
                    self.answer("MAIL", "250 ok")
                }
                "RCPT" => {
                    let answer = if line.contains("<gone@") {
                        "550 nobody of that name".to_owned()
                    } else {
                        self.answer("RCPT", "250 ok")
                    };
                    if answer.starts_with("250") {
                        taken.to.push(line);
                    }
                    answer
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    loop {
                        let mut line = String::new();
                        if stream.read_line(&mut line).await.ok()? == 0 {
                            return None;
                        }
                        match line.as_str() {
                            ".\r\n" => break,
                            line => taken.data.push_str(line.strip_prefix('.').unwrap_or(line)),
                        }
                    }
                    self.taken.lock().unwrap().push(taken.clone());
                    self.may_answer.acquire().await.unwrap().forget();
                    self.answer("DATA", "250 taken")
                }
                "QUIT" => "221 bye".to_owned(),
                _ => "500 what".to_owned(),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
    }

    fn answer(&self, to: &str, usual: &str) -> String {
        self.answers.lock().unwrap().get(to).cloned().unwrap_or_else(|| usual.to_owned())
    }

    fn answers(&self, to: &'static str, answer: &str) {
        self.answers.lock().unwrap().insert(to, answer.to_owned());
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    async fn until(&self, count: usize) {
        while self.taken.lock().unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn text(&self, options: &str) -> String {
        format!(
            "[outgoing]\nallow_cidrs = [\"127.0.0.0/8\", \"::1/128\"]\n[[outgoing.webhooks]]\nname = \"mail\"\n\
             kind = \"email\"\nfrom = \"Rolecall <rolecall@example.com>\"\nsmtp_host = \"localhost\"\n\
             smtp_port = {}\nca_file = \"ca.pem\"\n{options}\n",
            self.port
        )
    }

    fn config(&self, options: &str) -> Config {
        Config::parse(&self.folder.join("rolecall.toml"), &self.text(options)).unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if Arc::strong_count(&self.taken) == 1 {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

const TO: &str = "to = [\"security@example.com\"]";

async fn service(config: Config) -> (App, Client, Database) {
    let database = rolecall_store::testing::database().await.expect("a database");
    let app = app_over(database.store.clone(), Seen::Complete, config).await;
    let bot = Client::program(&app, &BOT).await;
    (app, bot, database)
}

/// As if the last digest had been a while ago.
const A_WHILE_AGO: &str = "update webhook set created_at = clock_timestamp() - interval '9 days', digested_at = null";

/// The text of a message, whatever its transfer encoding.
fn text(data: &str) -> String {
    let (head, body) = data.split_once("\r\n\r\n").unwrap();
    if head.contains("Content-Transfer-Encoding: base64") {
        return String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap();
    }
    if !head.contains("quoted-printable") {
        return body.to_owned();
    }
    let joined = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'=' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_digest_tells_once_what_happened_by_severity_and_owner() {
    let relay = Relay::new(false).await;
    let options = format!("{TO}\nsmtp_user = \"rolecall\"\nsmtp_password_file = \"password\"\nmost_listed = 1000");
    let (app, bot, database) = service(relay.config(&options)).await;
    replay(&app, &bot).await;
    // Its slot has not come since it is kept.
    assert_eq!(serve(&app).await, 0);
    execute(&database, A_WHILE_AGO).await;
    let sent = tokio::join!(serve(&app), serve(&app), serve(&app));
    assert_eq!(sent.0 + sent.1 + sent.2, 1);
    let taken = relay.taken();
    assert_eq!(taken.len(), 1);
    let mail = &taken[0];
    assert!(mail.is_secure);
    assert_eq!(mail.login.as_deref(), Some("rolecall/correct horse"));
    assert_eq!(
        (mail.from.as_str(), &mail.to),
        ("MAIL FROM:<rolecall@example.com>", &vec!["RCPT TO:<security@example.com>".to_owned()])
    );
    // Before TLS, nothing was said but a greeting.
    let heard = relay.heard.lock().unwrap().clone();
    assert!(heard[0].starts_with("EHLO [127.0.0.1]") || heard[0].starts_with("EHLO [IPv6:"), "{heard:?}");
    assert_eq!(heard[1..], ["STARTTLS"]);
    let delivery = &deliveries(&bot, "mail").await[0];
    assert_eq!(
        (&delivery["type"], &delivery["state"], &delivery["last_status"]),
        (&json!("digest"), &json!("delivered"), &json!(250))
    );
    assert!(mail.data.contains(&format!("Message-ID: <{}@example.com>\r\n", delivery["id"].as_str().unwrap())));
    // Every finding that the list has, the gravest first, and within a severity by owner.
    let text = text(&mail.data);
    let listed = bot.json("/api/v1/findings?limit=1000&include=folded").await["items"].as_array().unwrap().clone();
    let rank = |item: &Value| {
        ["critical", "high", "medium", "low", "info"].iter().position(|it| item["severity"] == *it).unwrap()
    };
    let mut places: Vec<(usize, String, usize)> = Vec::new();
    for item in &listed {
        let url = format!("http://127.0.0.1:8080/findings/{}\r\n", item["number"]);
        let url = if text.contains('\r') { url } else { url.replace('\r', "") };
        let at = text.find(&url).unwrap_or_else(|| panic!("{url} is not in {text}"));
        places.push((at, item["owner"].as_str().unwrap_or("\u{10ffff}").to_owned(), rank(item)));
    }
    places.sort();
    let order: Vec<(usize, &str)> = places.iter().map(|(_, owner, rank)| (*rank, owner.as_str())).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(order.iter().any(|(_, owner)| *owner != "\u{10ffff}"));
    let critical = listed.iter().filter(|item| rank(item) == 0).count();
    assert!(text.contains(&format!("{} findings opened ({critical} critical, ", listed.len())), "{text}");
    // Nothing has happened since, and nothing is sent.
    execute(&database, A_WHILE_AGO).await;
    assert_eq!((serve(&app).await, relay.taken().len()), (0, 1));
    let person = Client::person(&app).await;
    let page = person.get("/settings/webhooks/mail").await.text;
    assert!(page.contains("SMTP 250") && page.contains("security@example.com") && !page.contains(PASSWORD));
    assert!(page.contains("<dt>Digests</dt><dd><code>0 8 * * * UTC</code>; next"), "{page}");
}

#[tokio::test]
async fn a_digest_is_routed_and_lists_no_more_than_it_may() {
    let relay = Relay::new(true).await;
    let options = format!("{TO}\nsmtp_tls = \"implicit\"\nseverity_min = \"high\"\nmost_listed = 3\nsend_empty = true");
    let (app, bot, database) = service(relay.config(&options)).await;
    replay(&app, &bot).await;
    execute(&database, A_WHILE_AGO).await;
    assert_eq!(serve(&app).await, 1);
    let mail = relay.taken()[0].clone();
    assert!(mail.is_secure && mail.login.is_none());
    assert_eq!(relay.heard.lock().unwrap().len(), 0);
    let grave = bot.json("/api/v1/findings?limit=1000&include=folded&severity=high,critical").await;
    let grave = grave["items"].as_array().unwrap().len();
    let text = text(&mail.data);
    assert_eq!(text.matches("http://127.0.0.1:8080/findings/").count(), 3, "{text}");
    assert!(grave > 3 && text.contains(&format!("and {} more: http://127.0.0.1:8080/findings", grave - 3)), "{text}");
    assert!(!text.contains("medium"));
    // Asked for, a digest is sent of nothing, too.
    execute(&database, A_WHILE_AGO).await;
    assert_eq!(serve(&app).await, 1);
    let data = relay.taken()[1].data.clone();
    assert!(data.contains("Subject: Rolecall: nothing happened\r\n"), "{data}");
    // And again only at the next slot.
    assert_eq!(serve(&app).await, 0);
}

#[tokio::test]
async fn what_a_relay_refuses_is_sent_again_and_then_disables_the_webhook() {
    let relay = Relay::new(false).await;
    let options = format!("{TO}\nsmtp_user = \"rolecall\"\nsmtp_password_file = \"password\"");
    let (app, bot, database) = service(relay.config(&options)).await;
    assert_eq!(bot.send(Method::POST, "/api/v1/webhooks/mail/test", "").await.status, StatusCode::ACCEPTED);
    for (to, answer, status, says) in [
        ("greeting", "554 no service", json!(554), "the connection was answered by 554 no service"),
        ("EHLO", "250 relay", Value::Null, "offers no STARTTLS"),
        ("EHLO under TLS", "250 relay", Value::Null, "offers neither AUTH PLAIN nor AUTH LOGIN"),
        ("AUTH", "535 correct horse is wrong", json!(535), "refused the login (535)"),
        ("MAIL", "451-later\r\n451 please", json!(451), "MAIL FROM was answered by 451 later please"),
        ("RCPT", "550 no such user", json!(550), "RCPT TO was answered by 550 no such user"),
        ("DATA", "552 too large", json!(552), "the message was answered by 552 too large"),
        ("MAIL", "hello", Value::Null, "the answer is none of SMTP"),
    ] {
        relay.answers(to, answer);
        assert_eq!(serve(&app).await, 1, "{to}");
        let delivery = &deliveries(&bot, "mail").await[0];
        let why = delivery["last_error"].as_str().unwrap();
        assert!(why.contains(says) && !why.contains(PASSWORD), "{to}: {why}");
        assert_eq!((&delivery["last_status"], &delivery["state"]), (&status, &json!("waiting")), "{to}");
        relay.answers.lock().unwrap().clear();
        execute(&database, "update webhook_delivery set due_at = clock_timestamp()").await;
    }
    // Nobody heard a password or an address in the clear.
    assert!(relay.heard.lock().unwrap().iter().all(|line| line.starts_with("EHLO ") || line == "STARTTLS"));
    execute(&database, "update webhook_delivery set attempts = 9").await;
    relay.answers("DATA", "451 later");
    assert_eq!(serve(&app).await, 1);
    let webhook = bot.json("/api/v1/webhooks").await["items"][0].clone();
    assert_eq!((&webhook["state"], &webhook["disabled_because"]), (&json!("disabled"), &json!("failed")));
    relay.answers.lock().unwrap().clear();
    bot.send(Method::POST, "/api/v1/webhooks/mail/enable", "").await;
    let id = deliveries(&bot, "mail").await[0]["id"].as_str().unwrap().to_owned();
    bot.send(Method::POST, &format!("/api/v1/webhooks/mail/deliveries/{id}/replay"), "").await;
    assert_eq!(serve(&app).await, 1);
    assert_eq!(deliveries(&bot, "mail").await[0]["state"], "delivered");
    // Every attempt at the message was the same message.
    let taken = relay.taken();
    assert!(taken.len() > 1 && taken.iter().all(|mail| mail.data == taken[0].data));
}

#[tokio::test]
async fn a_relay_that_offers_only_login_gets_it() {
    let relay = Relay::new(false).await;
    relay.answers("EHLO under TLS", "250-relay\r\n250 AUTH LOGIN");
    let options = format!("{TO}\nsmtp_user = \"rolecall\"\nsmtp_password_file = \"password\"");
    let (app, bot, _database) = service(relay.config(&options)).await;
    bot.send(Method::POST, "/api/v1/webhooks/mail/test", "").await;
    assert_eq!(serve(&app).await, 1);
    assert_eq!(relay.taken()[0].login.as_deref(), Some("rolecall/correct horse"));
    assert!(text(&relay.taken()[0].data).contains("Digests of Rolecall arrive here."));
}

#[tokio::test]
async fn whoever_is_refused_does_not_keep_it_from_the_others_and_is_told() {
    let relay = Relay::new(false).await;
    let (app, bot, _database) = service(relay.config("to = [\"gone@example.com\", \"b@example.com\"]")).await;
    bot.send(Method::POST, "/api/v1/webhooks/mail/test", "").await;
    assert_eq!(serve(&app).await, 1);
    assert_eq!(relay.taken()[0].to, ["RCPT TO:<b@example.com>"]);
    let delivery = &deliveries(&bot, "mail").await[0];
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(delivery["last_error"], "not for 1 addresses: RCPT TO was answered by 550 nobody of that name");
}

#[tokio::test]
async fn whoever_dies_between_sending_and_noting_it_loses_no_digest() {
    let relay = Relay::new(false).await;
    let (app, bot, database) = service(relay.config(TO)).await;
    replay(&app, &bot).await;
    execute(&database, A_WHILE_AGO).await;
    relay.may_answer.forget_permits(10_000);
    let dying = tokio::spawn({
        let app = app.clone();
        async move { serve(&app).await }
    });
    relay.until(1).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    relay.may_answer.add_permits(100);
    assert_eq!(serve(&app).await, 0);
    execute(&database, "update webhook_delivery set lease_until = clock_timestamp()").await;
    assert_eq!(serve(&app).await, 1);
    let taken = relay.taken();
    assert!(taken.len() == 2 && taken[0].data == taken[1].data);
    assert_eq!(deliveries(&bot, "mail").await.len(), 1);
}

#[tokio::test]
async fn a_relay_that_may_not_be_reached_or_that_nobody_vouches_for_gets_nothing() {
    let relay = Relay::new(false).await;
    for (from, to, says) in [
        ("allow_cidrs = [\"127.0.0.0/8\", \"::1/128\"]", "", "outgoing.allow_cidrs"),
        ("ca_file = \"ca.pem\"", "", "TLS: "),
    ] {
        let text = relay.text(TO).replace(from, to);
        let (app, bot, _database) = service(Config::parse(&relay.folder.join("rolecall.toml"), &text).unwrap()).await;
        bot.send(Method::POST, "/api/v1/webhooks/mail/test", "").await;
        assert_eq!(serve(&app).await, 1);
        let why = deliveries(&bot, "mail").await[0]["last_error"].as_str().unwrap().to_owned();
        assert!(why.contains(says), "{why}");
    }
    assert_eq!(relay.taken().len(), 0);
}

#[tokio::test]
async fn mail_is_configured_whole_or_not_at_all() {
    let relay = Relay::new(false).await;
    let file = relay.folder.join("rolecall.toml");
    for (options, says) in [
        ("", "has nobody to send mail to"),
        ("to = [\"a@example.com\\r\\nBcc: b@example.com\"]", "is no address such as"),
        ("to = [\"a@example.com\"]\nsmtp_user = \"x\"", "both a user and one password"),
        ("to = [\"a@example.com\"]\nsmtp_password_file = \"password\"", "both a user and one password"),
        ("to = [\"a@example.com\"]\nsmtp_tls = \"none\"", "nothing is sent without TLS"),
        ("to = [\"a@example.com\"]\ncron = \"daily\"", "outgoing.webhooks.cron"),
        ("to = [\"a@example.com\"]\nsummary_above = 5", "which has no `summary_above`"),
        ("to = [\"a@example.com\"]\nurl = \"https://a.example/\"", "which has no `url`"),
        ("to = [\"a@example.com\"]\nsmtp_user = \"x\"\nsmtp_password_file = \"absent\"", "absent"),
        (
            "to = [\"a@example.com\"]\nsmtp_user = \"x\"\nsmtp_password_env = \"ROLECALL_TEST_NO_PASSWORD\"",
            "is not set",
        ),
    ] {
        let read = Config::parse(&file, &relay.text(options));
        let why = match &read {
            Err(problems) => problems.iter().map(ToString::to_string).collect::<String>(),
            Ok(config) => Endpoint::new(&config.outgoing.webhooks[0], config, &Hub::default()).unwrap_err().to_string(),
        };
        assert!(why.contains(says), "{options}: {why}");
    }
}
