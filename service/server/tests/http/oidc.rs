//! Signing in at an identity provider: a stand-in that speaks the whole protocol over HTTP, and what it may get wrong.

use crate::support::{Answer, Client, Seen, app_with};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rolecall::app::App;
use rolecall::config::Config;
use rolecall::config::auth::AuthConfig;
use rolecall_iam::Digest;
use rolecall_store::AuditFilter;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

const CLIENT: &str = "role call";
const SECRET: &str = "s3cret:+&%/";
const REDIRECT: &str = "http://localhost:8080/login/callback";

enum Key {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed(Ed25519KeyPair),
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Ec(_) => "ES256",
            Self::Rsa(_) => "RS256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ec(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signed = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signed).unwrap();
                signed
            }
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
            }
            Self::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(key.public_key().as_ref()) })
            }
            Self::Rsa(key) => {
                // RFC 8017, A.1.1: a sequence of the modulus, here of 256 bytes behind a zero, and the exponent 65537.
                let der = key.public_key().as_ref();
                json!({
                    "kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
                    "n": encode(&der[9..265]), "e": encode([1, 0, 1]),
                })
            }
        }
    }
}

/// What changes a token before it is signed, and after.
type Change = fn(&mut Value, &mut Value);

/// What is wrong, what makes it so before and after the signature, and what the log says of it.
type Case = (&'static str, Change, fn(String) -> String, &'static str);

struct Inner {
    issuer: String,
    keys: Vec<(String, Arc<Key>)>,
    codes: HashMap<String, (String, String)>,
    claims: Value,
    change: Change,
    tamper: fn(String) -> String,
    metadata: fn(&mut Value),
    token_status: StatusCode,
    asked: Vec<String>,
}

#[derive(Clone)]
struct Provider(Arc<Mutex<Inner>>);

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self(Arc::new(Mutex::new(Inner {
            issuer,
            keys: vec![("one".into(), Arc::new(Key::ec()))],
            codes: HashMap::new(),
            claims: json!({ "sub": "1", "email": "ann@example.com", "groups": ["sec", "all"] }),
            change: |_, _| {},
            tamper: |token| token,
            metadata: |_| {},
            token_status: StatusCode::OK,
            asked: Vec::new(),
        })));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn with<T>(&self, of: impl FnOnce(&mut Inner) -> T) -> T {
        of(&mut self.0.lock().unwrap())
    }

    async fn app(&self, more: &str) -> App {
        let folder = std::env::temp_dir().join(format!("rolecall-oidc-{}", uuid::Uuid::new_v4()));
        std::fs::write(&folder, format!("{SECRET}\n")).unwrap();
        let issuer = self.with(|it| it.issuer.clone());
        let auth = format!(
            "mode = 'oidc'\npublic_url = 'http://localhost:8080'\n[oidc]\nissuer = '{issuer}'\nclient_id = '{CLIENT}'\n\
             client_secret_file = '{}'\n{more}\n[[role]]\ngroup = 'sec'\nrole = 'triager'\n[[role]]\ngroup = 'root'\nrole = 'admin'\n",
            folder.display()
        );
        let auth = toml::from_str::<AuthConfig>(&auth).unwrap();
        auth.check().unwrap();
        let app = app_with(Seen::Nothing, Config { auth, ..Config::default() }).await;
        std::fs::remove_file(folder).unwrap();
        app
    }

    /// The page of the provider where a person says yes; what it sends them back with.
    fn authorize(&self, url: &str) -> String {
        let (endpoint, query) = url.split_once('?').unwrap();
        assert_eq!(endpoint, format!("{}/authorize", self.with(|it| it.issuer.clone())));
        let query: HashMap<String, String> = rolecall::http::query::pairs(query).collect();
        assert_eq!((query["response_type"].as_str(), query["client_id"].as_str()), ("code", CLIENT));
        assert_eq!((query["redirect_uri"].as_str(), query["code_challenge_method"].as_str()), (REDIRECT, "S256"));
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let code = uuid::Uuid::new_v4().to_string();
        self.with(|it| {
            it.codes.insert(code.clone(), (query["code_challenge"].clone(), query["nonce"].clone()));
            format!(
                "/login/callback?code={code}&state={}&iss={}&session_state=x",
                query["state"],
                rolecall::http::query::encode(&it.issuer)
            )
        })
    }
}

async fn metadata(State(provider): State<Provider>) -> Json<Value> {
    provider.with(|it| {
        let issuer = &it.issuer;
        let mut metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            "end_session_endpoint": format!("{issuer}/end"), "response_types_supported": ["code"],
            "authorization_response_iss_parameter_supported": true,
        });
        (it.metadata)(&mut metadata);
        it.asked.push("metadata".into());
        Json(metadata)
    })
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    provider.with(|it| {
        it.asked.push("keys".into());
        let mut keys: Vec<Value> = it.keys.iter().map(|(kid, key)| key.jwk(kid)).collect();
        keys.push(json!({ "kty": "unheard-of" }));
        Json(json!({ "keys": keys }))
    })
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", "role%20call", "s3cret%3A%2B%26%25%2F")));
    let is_client = headers.get(header::AUTHORIZATION).is_some_and(|value| value == basic.as_str())
        || form.get("client_secret").is_some_and(|secret| secret == SECRET);
    provider.with(|it| {
        let kept = form.get("code").and_then(|code| it.codes.remove(code));
        let challenge =
            form.get("code_verifier").map(|verifier| encode(Digest::sha256(verifier.as_bytes()).as_bytes()));
        let fits = kept.as_ref().is_some_and(|(kept, _)| challenge.as_ref() == Some(kept));
        let is_whole = form.get("grant_type").is_some_and(|it| it == "authorization_code")
            && form.get("redirect_uri").is_some_and(|it| it == REDIRECT);
        if !(is_client && fits && is_whole) || it.token_status != StatusCode::OK {
            let status = if it.token_status == StatusCode::OK { StatusCode::BAD_REQUEST } else { it.token_status };
            return (status, Json(json!({ "error": "invalid_grant" }))).into_response();
        }
        let now = chrono::Utc::now().timestamp();
        let (kid, key) = it.keys.last().unwrap();
        let mut head = json!({ "alg": key.alg(), "kid": kid });
        let mut claims =
            json!({ "iss": it.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": kept.unwrap().1 });
        claims.as_object_mut().unwrap().extend(it.claims.as_object().unwrap().clone());
        (it.change)(&mut head, &mut claims);
        let message = format!("{}.{}", encode(head.to_string()), encode(claims.to_string()));
        let token = format!("{message}.{}", encode(key.sign(message.as_bytes())));
        Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": (it.tamper)(token) })).into_response()
    })
}

fn browser(app: &App) -> Client {
    Client::unauthenticated(app).with(header::HOST, "localhost:8080")
}

fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let kept = set.filter(|cookie| !cookie.contains("Max-Age=0")).map(|cookie| cookie.split(';').next().unwrap());
    kept.collect::<Vec<_>>().join("; ")
}

/// Goes to the provider and back, and gives the last answer.
async fn sign_in(provider: &Provider, app: &App, next: &str) -> Answer {
    let browser = browser(app);
    let there = browser.get(&format!("/login/oidc?next={next}")).await;
    assert_eq!(there.status, StatusCode::SEE_OTHER, "{}", there.text);
    let back = provider.authorize(there.header("location"));
    browser.with(header::COOKIE, cookies(&there)).get(&back).await
}

async fn refusals(app: &App) -> Vec<String> {
    let entries = app.store.audit_log(&AuditFilter::default(), None, 100).await.unwrap();
    let failed = entries.into_iter().filter(|it| it.outcome.as_str() == "failure");
    failed.map(|it| it.detail["why"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_person_signs_in_goes_on_and_signs_out() {
    let provider = Provider::start().await;
    let app = provider.app("").await;
    let asked = browser(&app).get("/findings?severity=high").await;
    let login = browser(&app).get(asked.header("location")).await;
    let page = login.html();
    let link = scraper::Selector::parse("a.button").unwrap();
    let way = page.select(&link).next().expect("a way to the provider").attr("href").unwrap();
    assert_eq!(way, "/login/oidc?next=/findings%3Fseverity%3Dhigh");

    let there = browser(&app).get(way).await;
    let pending = cookies(&there);
    assert!(there.header("set-cookie").contains("HttpOnly") && there.header("set-cookie").contains("SameSite=Lax"));
    assert!(!pending.contains(SECRET));
    let back = provider.authorize(there.header("location"));
    let signed_in = browser(&app).with(header::COOKIE, pending.clone()).get(&back).await;
    assert_eq!((signed_in.status, signed_in.header("location")), (StatusCode::SEE_OTHER, "/findings?severity=high"));
    let person =
        browser(&app).with(header::COOKIE, cookies(&signed_in)).with("sec-fetch-site".parse().unwrap(), "same-origin");
    let settings = person.get("/settings").await;
    assert!(settings.text.contains("ann@example.com") && settings.text.contains("triager"), "{}", settings.text);
    assert_eq!(person.get("/settings/tokens").await.status, StatusCode::FORBIDDEN);

    // The same answer a second time signs nobody in: the provider gives nothing for a code twice.
    let again = browser(&app).with(header::COOKIE, pending).get(&back).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "{}", again.text);

    let field = scraper::Selector::parse("input[name=form_token]").unwrap();
    let token = settings.html().select(&field).next().unwrap().attr("value").unwrap().to_owned();
    let out = person.send(Method::POST, "/logout", format!("form_token={token}")).await;
    assert_eq!(out.header("location"), "/login/end");
    assert_eq!(person.get("/").await.status, StatusCode::SEE_OTHER, "the session is gone");
    let end = browser(&app).get("/login/end").await;
    let wanted = format!(
        "{}/end?client_id=role%20call&amp;post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Flogin",
        provider.with(|it| it.issuer.clone())
    );
    assert!(end.text.contains(&wanted) || end.text.contains(&wanted.replace("&amp;", "&#38;")), "{}", end.text);

    let entries = app.store.audit_log(&AuditFilter::default(), None, 100).await.unwrap();
    let begun =
        entries.iter().find(|it| it.action.as_str() == "session.create" && it.outcome.as_str() == "success").unwrap();
    assert_eq!(
        (begun.actor.as_str(), &begun.detail["role"], &begun.detail["method"]),
        ("ann@example.com", &json!("triager"), &json!("oidc"))
    );
}

#[tokio::test]
async fn every_kind_of_key_is_verified_and_new_ones_are_found() {
    let provider = Provider::start().await;
    let app = provider.app("").await;
    let works = async || sign_in(&provider, &app, "/").await.status == StatusCode::SEE_OTHER;
    assert!(works().await);
    let asked = provider.with(|it| std::mem::take(&mut it.asked));
    assert_eq!(asked, ["metadata", "keys"]);
    assert!(works().await);
    assert!(provider.with(|it| it.asked.is_empty()), "what the provider tells about itself is kept");
    let keys = [
        Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        Key::Ed(Ed25519KeyPair::generate().unwrap()),
        Key::ec(),
    ];
    for (number, key) in keys.into_iter().enumerate() {
        provider.with(|it| it.keys = vec![(format!("new {number}"), Arc::new(key))]);
        assert!(works().await, "key {number} was rotated in");
    }
    // The same id, another key.
    provider.with(|it| it.keys = vec![("new 2".into(), Arc::new(Key::ec()))]);
    assert!(works().await);
    // Providers that take the secret in the form only.
    provider.with(|it| it.metadata = |it| it["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
    assert!(sign_in(&provider, &provider.app("").await, "/").await.status == StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_is_wrong_with_an_id_token_signs_nobody_in() {
    let provider = Provider::start().await;
    let app = provider.app("").await;
    let other_key: fn(String) -> String = |token| {
        let message = token.rsplit_once('.').unwrap().0;
        format!("{message}.{}", encode(Key::ec().sign(message.as_bytes())))
    };
    let changed_claims: fn(String) -> String = |token| {
        let parts: Vec<&str> = token.split('.').collect();
        let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        claims["groups"] = json!(["root"]);
        format!("{}.{}.{}", parts[0], encode(claims.to_string()), parts[2])
    };
    let unsigned: fn(String) -> String = |token| {
        let body = token.split('.').nth(1).unwrap();
        format!("{}.{body}.", encode(json!({ "alg": "none" }).to_string()))
    };
    let shared: fn(String) -> String = |token| {
        let body = token.split('.').nth(1).unwrap();
        format!("{}.{body}.{}", encode(json!({ "alg": "HS256", "kid": "one" }).to_string()), encode([0; 32]))
    };
    let same: fn(String) -> String = |token| token;
    let none: Change = |_, _| {};
    let cases: [Case; 21] = [
        ("another key", none, other_key, "signature"),
        ("changed after signing", none, changed_claims, "signature"),
        ("no signature", none, |token| format!("{}.", token.rsplit_once('.').unwrap().0), "signature"),
        ("alg none", none, unsigned, "algorithm `none`"),
        ("a shared secret", none, shared, "algorithm `HS256`"),
        ("an unknown key", |head, _| head["kid"] = json!("unknown"), same, "no key"),
        ("no JWT", none, |_| "nothing".into(), "not a signed JWT"),
        ("another algorithm than the key's", |head, _| head["alg"] = json!("RS256"), same, "no key"),
        ("another issuer", |_, it| it["iss"] = json!("https://evil.example"), same, "`iss`"),
        ("another audience", |_, it| it["aud"] = json!("other"), same, "`aud`"),
        ("no audience", |_, it| it["aud"] = json!(null), same, "`aud`"),
        ("two audiences and no azp", |_, it| it["aud"] = json!([CLIENT, "other"]), same, "`azp`"),
        (
            "for another client",
            |_, it| {
                it["aud"] = json!([CLIENT, "other"]);
                it["azp"] = json!("other");
            },
            same,
            "`azp`",
        ),
        ("expired", |_, it| it["exp"] = json!(chrono::Utc::now().timestamp() - 61), same, "`exp`"),
        ("without end", |_, it| it["exp"] = json!(null), same, "`exp`"),
        ("issued in an hour", |_, it| it["iat"] = json!(chrono::Utc::now().timestamp() + 3600), same, "`iat`"),
        ("valid in an hour", |_, it| it["nbf"] = json!(chrono::Utc::now().timestamp() + 3600), same, "`nbf`"),
        ("another nonce", |_, it| it["nonce"] = json!("other"), same, "`nonce`"),
        (
            "no nonce",
            |_, it| {
                it.as_object_mut().unwrap().remove("nonce");
            },
            same,
            "`nonce`",
        ),
        ("an unverified address", |_, it| it["email_verified"] = json!(false), same, "did not verify"),
        ("nobody", |_, it| it["email"] = json!(" "), same, "no claim `email`"),
    ];
    for (what, change, tamper, why) in cases {
        provider.with(|it| (it.change, it.tamper) = (change, tamper));
        let answer = sign_in(&provider, &app, "/").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.text);
        assert!(answer.text.contains("Sign-in failed") && !cookies(&answer).contains("rolecall-"), "{what}");
        let refused = refusals(&app).await;
        assert!(refused[0].contains(why), "{what}: {}", refused[0]);
    }
    // Clocks may be a minute apart.
    for change in [
        (|_, it| it["exp"] = json!(chrono::Utc::now().timestamp() - 30)) as Change,
        |_, it| it["iat"] = json!(chrono::Utc::now().timestamp() + 30),
        |_, it| {
            it["aud"] = json!([CLIENT, "other"]);
            it["azp"] = json!(CLIENT);
        },
    ] {
        provider.with(|it| (it.change, it.tamper) = (change, same));
        assert_eq!(sign_in(&provider, &app, "/").await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn an_answer_that_does_not_belong_to_the_browser_signs_nobody_in() {
    let provider = Provider::start().await;
    let app = provider.app("").await;
    let there = browser(&app).get("/login/oidc").await;
    let other = browser(&app).get("/login/oidc").await;
    let callback = || provider.authorize(there.header("location"));
    let own = cookies(&there);
    let tampered = own.replacen('.', "A.", 1);
    let state = |back: String| back.replacen("state=", "state=x", 1);
    let before_issuer = |back: &str| back.split_once("&iss=").unwrap().0.to_owned();
    let issuer = |back: String| format!("{}&iss=https%3A%2F%2Fevil.example", before_issuer(&back));
    let no_issuer = |back: String| before_issuer(&back);
    let error = |back: String| back.replace("code=", "error=access_denied&x=");
    for (what, cookie, back, says) in [
        ("without a cookie", String::new(), callback(), "did not begin"),
        ("with the cookie of another sign-in", cookies(&other), callback(), "another sign-in"),
        ("with a cookie of somebody's making", tampered, callback(), "did not begin"),
        ("with another state", own.clone(), state(callback()), "another sign-in"),
        ("of another issuer", own.clone(), issuer(callback()), "another issuer"),
        ("of no issuer", own.clone(), no_issuer(callback()), "another issuer"),
        ("that says no", own.clone(), error(callback()), "access_denied"),
        ("with a code of nobody", own.clone(), callback().replace("code=", "code=x"), "does not take the code"),
    ] {
        let answer = browser(&app).with(header::COOKIE, cookie).get(&back).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.text);
        assert!(answer.text.contains(says), "{what}: {}", answer.text);
    }
    assert_eq!(browser(&app).with(header::COOKIE, own).get(&callback()).await.status, StatusCode::SEE_OTHER);
    // Only pages of this service are gone on to.
    let answer = sign_in(&provider, &app, "https://evil.example/").await;
    assert_eq!(answer.header("location"), "/");
}

#[tokio::test]
async fn who_has_no_role_is_told_so_and_a_role_is_found_anew_each_time() {
    let provider = Provider::start().await;
    let app = provider.app("groups_claim = 'roles'\nperson_claim = 'preferred_username'").await;
    let claims = |name: &str, roles: Value| json!({ "sub": "1", "preferred_username": name, "roles": roles });
    provider.with(|it| it.claims = claims("bob", json!(["unknown", "other"])));
    let refused = sign_in(&provider, &app, "/").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.text.contains("bob has no role here") && refused.text.contains("unknown, other"),
        "{}",
        refused.text
    );
    for (roles, page, status) in [
        (json!("sec"), "/settings/tokens", StatusCode::FORBIDDEN),
        (json!(["sec", "root"]), "/settings/tokens", StatusCode::OK),
        (json!(["sec"]), "/settings/tokens", StatusCode::FORBIDDEN),
    ] {
        provider.with(|it| it.claims = claims("bob", roles.clone()));
        let signed_in = sign_in(&provider, &app, "/").await;
        let person = browser(&app).with(header::COOKIE, cookies(&signed_in));
        assert_eq!(person.get(page).await.status, status, "{roles}");
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_said_to_without_its_words() {
    let provider = Provider::start().await;
    provider.with(|it| it.metadata = |it| it["issuer"] = json!("https://other.example"));
    let app = provider.app("").await;
    let answer = browser(&app).get("/login/oidc").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text.contains("identity provider cannot be reached") && !answer.text.contains("other.example"));
    provider.with(|it| it.metadata = |it| it["token_endpoint"] = json!("http://192.0.2.1/token"));
    assert_eq!(browser(&app).get("/login/oidc").await.status, StatusCode::SERVICE_UNAVAILABLE, "not protected");
    provider.with(|it| it.metadata = |_| {});
    provider.with(|it| it.token_status = StatusCode::INTERNAL_SERVER_ERROR);
    let answer = sign_in(&provider, &app, "/").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // Break-glass: the operator's link works where the provider does not.
    let link = rolecall::http::auth::login_url(&app, "127.0.0.1:8080".parse().unwrap()).await.unwrap();
    let answer = browser(&app).get(link.strip_prefix("http://localhost:8080").unwrap()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}
