//! A service over the demo estate, in a database of its own, and a client that speaks to it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall::app::App;
use rolecall::audit::rules::Rules;
use rolecall::config::Config;
use rolecall::http::auth::token::{Scope, mint};
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::finding::finding_owners;
use rolecall_audit::finding::reconcile;
use rolecall_audit::owner::{OwnerChanges, Owners, association_owners};
use rolecall_estate::coverage::{Gap, GapReason, Scope as Listing, ScopeKind};
use rolecall_estate::{Observation, Visibility};
use rolecall_import::{InputFile, read_files};
use rolecall_store::{DoneJudgement, NewRun, NewToken, RunOutcome, Store};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

/// What the estate is seen like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// No scan was made.
    Nothing,
    /// A scan that was complete.
    Complete,
    /// A complete scan; in a second one AWS refused the roles of one account.
    Gaps,
}

/// The account whose roles are refused.
pub const REFUSED: &str = "777788889999";

pub async fn app(seen: Seen) -> App {
    app_with(seen, Config::default()).await
}

pub async fn app_with(seen: Seen, config: Config) -> App {
    let database = rolecall_store::testing::database().await.expect("a database");
    app_over(database.store, seen, config).await
}

pub async fn app_over(store: Store, seen: Seen, config: Config) -> App {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let rules = Arc::new(Rules::load(Some(&policies)).expect("the rules load"));
    let observations = observations();
    if seen != Seen::Nothing {
        look(&store, &rules, &observations).await;
    }
    if seen == Seen::Gaps {
        look(&store, &rules, &refused(observations)).await;
    }
    let hub = rolecall_collect::Hub::Environment { profile: None, region: None, endpoint_url: None };
    App::new(store, rules, config, hub, false).await.expect("an app")
}

/// The demo estate, read from the files that the stand-in writes.
pub fn observations() -> Vec<Observation> {
    observed(&demo_files())
}

/// The files of the demo estate.
pub fn demo_files() -> Vec<InputFile> {
    let dir = std::env::temp_dir().join(format!("rolecall-http-{}", uuid::Uuid::new_v4()));
    rolecall_sandbox::demo::estate(Utc::now()).to_dir(&dir).expect("a folder");
    let mut files = Vec::new();
    collect(&dir, &dir, &mut files);
    std::fs::remove_dir_all(&dir).expect("to clean up");
    files
}

/// What files show, as if every listing in them were complete.
pub fn observed(files: &[InputFile]) -> Vec<Observation> {
    let import = read_files(files);
    assert!(import.problems.is_empty(), "{:?}", import.problems.first());
    let mut observations = import.observations;
    for observation in &mut observations {
        let scopes: Vec<Listing> = observation.coverage.scopes().map(|(scope, _)| scope.clone()).collect();
        let mut whole = rolecall_estate::coverage::Coverage::default();
        scopes.into_iter().for_each(|scope| whole.complete(scope));
        observation.coverage = whole;
    }
    observations
}

fn collect(root: &Path, dir: &Path, into: &mut Vec<InputFile>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, into);
        } else {
            let name = path.strip_prefix(root).expect("inside").to_string_lossy().into_owned();
            into.push(InputFile { path: name, bytes: std::fs::read(&path).expect("a file") });
        }
    }
    into.sort_by(|a, b| a.path.cmp(&b.path));
}

/// The same, but AWS refuses to list the roles of one account.
pub fn refused(mut observations: Vec<Observation>) -> Vec<Observation> {
    let account = REFUSED.parse().expect("an account");
    for observation in &mut observations {
        let here = observation.account.as_ref().is_some_and(|a| a.id == account);
        if here {
            let (action, detail) = ("iam:GetAccountAuthorizationDetails".to_owned(), "not authorized".to_owned());
            for kind in [ScopeKind::Roles, ScopeKind::Policies] {
                let scope = Listing::global(account, kind);
                let (action, detail, reason) = (action.clone(), detail.clone(), GapReason::Denied);
                let gap = Gap { scope, action, reason, detail, day: None };
                observation.coverage.gap(gap);
            }
            observation.roles.clear();
            observation.policies.clear();
        }
    }
    observations
}

/// Looks, remembers, judges, and keeps what came of it.
pub async fn look(store: &Store, rules: &Rules, observations: &[Observation]) {
    let now = Utc::now();
    let new = NewRun { kind: "import".to_owned(), trigger: "test".to_owned(), now, lease: Duration::from_secs(600) };
    let run = store.begin_run(&new).await.expect("a run");
    let mut snapshot = store.snapshot(run).await.expect("a snapshot");
    for observation in observations {
        snapshot.save(observation).await.expect("saved");
    }
    snapshot.commit().await.expect("committed");
    let estate = store.estate(now - TimeDelta::days(90)).await.expect("an estate");
    let evaluation = evaluate(&estate, &rules.set, now);
    let known = store.known_findings().await.expect("findings");
    let actions = reconcile(&known, &evaluation, &rules.set, &estate);
    let owners = Owners::new(&rules.ownership, &estate);
    let (associations, gone) = association_owners(&store.association_owners().await.expect("owners"), &owners);
    let findings = finding_owners(&known, &actions, &evaluation.reach, &owners);
    let owners = OwnerChanges { findings, associations, gone };
    let done = DoneJudgement { owners, ..DoneJudgement::default() };
    store.apply(run, &actions, &evaluation.tallies, &done, now).await.expect("applied");
    let report = serde_json::json!({ "accounts": observations.len(), "findings": { "opened": actions.len() } });
    store.finish_run(run, &RunOutcome::Done(report)).await.expect("finished");
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn html(&self) -> scraper::Html {
        assert!(self.header("content-type").starts_with("text/html"), "{}: {}", self.status, self.text);
        scraper::Html::parse_document(&self.text)
    }
}

/// Who sends requests.
#[derive(Clone)]
pub struct Client {
    router: Router,
    headers: Vec<(header::HeaderName, String)>,
    peer: SocketAddr,
}

impl Client {
    /// Nobody.
    pub fn unauthenticated(app: &App) -> Self {
        Self { router: rolecall::http::router(app.clone()), headers: Vec::new(), peer: ([127, 0, 0, 1], 50_000).into() }
    }

    /// A program with a token of these scopes.
    pub async fn program(app: &App, scopes: &[Scope]) -> Self {
        let token = token(app, scopes, Utc::now()).await;
        Self::unauthenticated(app).with(header::AUTHORIZATION, format!("Bearer {token}"))
    }

    /// A program that may do everything with what these limits name.
    pub async fn limited(app: &App, scopes: &[Scope], limits: &[&str]) -> Self {
        let visibility = Visibility::Only(limits.iter().map(|limit| limit.parse().expect("a limit")).collect());
        let token = limited_token(app, scopes, visibility, Utc::now()).await;
        Self::unauthenticated(app).with(header::AUTHORIZATION, format!("Bearer {token}"))
    }

    /// A person who followed a one-time link.
    pub async fn person(app: &App) -> Self {
        let link =
            rolecall::http::auth::login_url(app, "127.0.0.1:8080".parse().expect("an address")).await.expect("a link");
        let path = link.strip_prefix("http://127.0.0.1:8080").expect("our address");
        let answer = Self::unauthenticated(app).get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let cookie = answer.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        Self::unauthenticated(app)
            .with(header::COOKIE, cookie)
            .with("sec-fetch-site".parse().expect("a name"), "same-origin".to_owned())
    }

    pub fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.into()));
        self
    }

    /// With a header beside those of the same name.
    pub fn and(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same from another address.
    pub fn from(self, peer: &str) -> Self {
        Self { peer: peer.parse().expect("an address"), ..self }
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !self.headers.iter().any(|(name, _)| *name == header::HOST) {
            request = request.header(header::HOST, "127.0.0.1:8080");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.extension(ConnectInfo(self.peer));
        let response =
            self.router.clone().oneshot(request.body(body.into()).expect("a request")).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let is_encoded = parts.headers.contains_key("content-encoding");
        let text = if is_encoded { String::new() } else { String::from_utf8(bytes.to_vec()).expect("text") };
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    /// The JSON of an address that must answer.
    pub async fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json()
    }
}

/// A new token, as if made at a moment.
pub async fn token(app: &App, scopes: &[Scope], made: DateTime<Utc>) -> String {
    limited_token(app, scopes, Visibility::Everything, made).await
}

/// The same, of somebody who may see so much.
pub async fn limited_token(app: &App, scopes: &[Scope], visibility: Visibility, made: DateTime<Utc>) -> String {
    let minted = mint(scopes, 30, made).expect("a token");
    let kept = NewToken {
        public_id: minted.public_id.clone(),
        name: "bot".to_owned(),
        hash: minted.hash.as_bytes().to_vec(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        visibility,
        created_at: made,
        expires_at: minted.expires_at,
    };
    assert!(app.store.create_token(&kept).await.expect("kept"));
    minted.text
}
