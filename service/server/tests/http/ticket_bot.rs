//! The reference bot of `examples/ticket-bot`: two of them over one service and one tracker, killed at random moments,
//! while findings open, change and resolve. Each finding has one ticket that says what the finding is.
//!
//! `ROLECALL_BOT_FINDINGS=1000` takes so many findings, `ROLECALL_BOT_SEED` another seed than that of the day.

use crate::support::{Seen, app_over, token};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use rolecall::app::App;
use rolecall::config::Config;
use rolecall::http::auth::token::Scope;
use rolecall::http::front::{Limits, serve};
use rolecall_audit::finding::{Failure, FindingAction, Resolution};
use rolecall_audit::verdict::Fingerprint;
use rolecall_iam::Digest;
use rolecall_rules::{Severity, Subject, SubjectKind};
use rolecall_store::{DoneJudgement, FindingFilter, FindingSort, NewRun, RunOutcome};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Kills, while there is something left to do.
const KILLS: usize = 20;
/// For the bots to come to an end once nobody kills them.
const PATIENCE: Duration = Duration::from_secs(240);

struct Random(u64);

impl Random {
    fn of_day() -> Self {
        let given = std::env::var("ROLECALL_BOT_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed = given.unwrap_or_else(|| u64::try_from(Utc::now().timestamp() / 86_400).expect("after 1970"));
        println!("ROLECALL_BOT_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A stand-in of the part of Jira's REST API that the bot uses.
#[derive(Clone, Default)]
struct Tracker(Arc<Mutex<Vec<Issue>>>);

#[derive(Clone)]
struct Issue {
    fields: Value,
    is_done: bool,
}

impl Tracker {
    fn router(self) -> Router {
        Router::new()
            .route("/rest/api/2/issue", post(create))
            .route("/rest/api/2/issue/{key}", get(read).put(update))
            .route("/rest/api/2/issue/{key}/transitions", get(transitions).post(transition))
            .route("/rest/api/2/search", get(search))
            .with_state(self)
    }

    fn issues(&self) -> Vec<Issue> {
        self.0.lock().unwrap().clone()
    }

    /// An issue by its key, `SEC-1` and so on.
    fn with<T>(&self, key: &str, of: impl FnOnce(&mut Issue) -> T) -> Result<T, StatusCode> {
        let number: usize = key.strip_prefix("SEC-").and_then(|n| n.parse().ok()).ok_or(StatusCode::NOT_FOUND)?;
        let mut issues = self.0.lock().unwrap();
        issues.get_mut(number.wrapping_sub(1)).map(of).ok_or(StatusCode::NOT_FOUND)
    }
}

async fn create(State(tracker): State<Tracker>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    // Before the issue is there and after it, a bot may be killed.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let number = {
        let mut issues = tracker.0.lock().unwrap();
        issues.push(Issue { fields: body["fields"].clone(), is_done: false });
        issues.len()
    };
    tokio::time::sleep(Duration::from_millis(8)).await;
    (StatusCode::CREATED, Json(json!({ "key": format!("SEC-{number}") })))
}

async fn read(State(tracker): State<Tracker>, Path(key): Path<String>) -> Result<Json<Value>, StatusCode> {
    tracker.with(&key, |issue| {
        let mut fields = issue.fields.clone();
        let category = if issue.is_done { "done" } else { "new" };
        fields["status"] = json!({ "statusCategory": { "key": category } });
        Json(json!({ "key": key, "fields": fields }))
    })
}

async fn update(
    State(tracker): State<Tracker>,
    Path(key): Path<String>,
    Json(body): Json<Value>,
) -> Result<StatusCode, StatusCode> {
    tracker.with(&key, |issue| {
        for (name, value) in body["fields"].as_object().into_iter().flatten() {
            issue.fields[name] = value.clone();
        }
        StatusCode::NO_CONTENT
    })
}

async fn transitions() -> Json<Value> {
    let to = |id: &str, category: &str| json!({ "id": id, "to": { "statusCategory": { "key": category } } });
    Json(json!({ "transitions": [to("11", "new"), to("31", "done")] }))
}

async fn transition(
    State(tracker): State<Tracker>,
    Path(key): Path<String>,
    Json(body): Json<Value>,
) -> Result<StatusCode, StatusCode> {
    tracker.with(&key, |issue| {
        issue.is_done = body["transition"]["id"] == "31";
        StatusCode::NO_CONTENT
    })
}

async fn search(State(tracker): State<Tracker>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let label = query["jql"].rsplit("labels = \"").next().unwrap().trim_end_matches('"').to_owned();
    let issues = tracker.issues();
    let found = issues.iter().enumerate().filter(|(_, issue)| {
        issue.fields["labels"].as_array().unwrap().iter().any(|it| it.as_str() == Some(label.as_str()))
    });
    let found: Vec<Value> = found.map(|(at, _)| json!({ "key": format!("SEC-{}", at + 1) })).collect();
    Json(json!({ "issues": found }))
}

async fn listen(router: Router, stop: CancellationToken) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, router, Limits::of_process(), stop));
    address
}

fn failure(number: usize, severity: Severity) -> Failure {
    let message = format!("the trust policy of role {number} admits every pod");
    Failure {
        fingerprint: Fingerprint(format!("v1:bot{number}")),
        rule: "trust-without-source".to_owned(),
        subject: Subject {
            kind: SubjectKind::Role,
            key: format!("arn:aws:iam::111122223333:role/r{number}"),
            account_id: "111122223333".parse().unwrap(),
            region: None,
            cluster: None,
            namespace: None,
            service_account: None,
            role_arn: Some(format!("arn:aws:iam::111122223333:role/r{number}")),
            target_role_arn: None,
        },
        severity,
        severity_because: None,
        part_of: None,
        assumptions: Vec::new(),
        workloads: Vec::new(),
        evidence: Vec::new(),
        evidence_digest: Digest::sha256(format!("{message} {severity:?}").as_bytes()),
        message,
        params: BTreeMap::new(),
        exception: None,
        happened_at: None,
    }
}

async fn judge(app: &App, actions: &[FindingAction]) {
    let now = app.store.now().await.unwrap();
    let new = NewRun { kind: "scan".to_owned(), trigger: "test".to_owned(), now, lease: Duration::from_secs(600) };
    let run = app.store.begin_run(&new).await.unwrap();
    app.store.apply(run, actions, &[], &DoneJudgement::default(), now).await.unwrap();
    app.store.finish_run(run, &RunOutcome::Done(Value::Null)).await.unwrap();
}

/// Two bots, each with a file of its own.
struct Bots {
    rolecall: String,
    tracker: String,
    token: String,
    folder: PathBuf,
    running: [Option<Child>; 2],
}

impl Bots {
    fn start(&mut self, which: usize) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/ticket-bot/ticket_bot.py");
        let name = format!("bot-{which}");
        let child = Command::new("python3")
            .arg(script)
            .args(["--rolecall", &self.rolecall, "--tracker", &self.tracker, "--project", "SEC", "--name", &name])
            .arg("--memory")
            .arg(self.folder.join(format!("{name}.json")))
            .env("ROLECALL_TOKEN", &self.token)
            .stdin(Stdio::null())
            .spawn()
            .expect("python3 runs: install Python 3.9 or later");
        self.running[which] = Some(child);
    }

    fn kill(&mut self, which: usize) {
        if let Some(mut child) = self.running[which].take() {
            assert!(child.try_wait().unwrap().is_none(), "a bot ended by itself");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Bots {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// What is not as it should be; empty once every finding has its ticket and every ticket says what its finding is.
async fn wrong(app: &App, tracker: &Tracker) -> Vec<String> {
    let rows = app.store.findings(&FindingFilter::default(), FindingSort::Number, None, 100_000).await.unwrap();
    let issues = tracker.issues();
    let mut wrong = Vec::new();
    for row in rows {
        let Some(ticket) = row.tickets.first().filter(|ticket| ticket.key.is_some()) else {
            wrong.push(format!("{} has no ticket", row.fingerprint.0));
            continue;
        };
        let key = ticket.key.as_deref().unwrap();
        let at: usize = key.trim_start_matches("SEC-").parse().unwrap();
        let issue = &issues[at - 1];
        let is_resolved = row.workflow.as_str() == "resolved";
        let priority = if row.severity == Severity::Critical { "Highest" } else { "High" };
        if issue.is_done != is_resolved || issue.fields["priority"]["name"] != priority {
            wrong.push(format!("{} is {} and {}; {key} differs", row.fingerprint.0, row.workflow, row.severity));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_bots_that_are_killed_at_random_file_one_ticket_for_each_finding() {
    let most: usize = std::env::var("ROLECALL_BOT_FINDINGS").map_or(250, |n| n.parse().expect("a number"));
    let mut random = Random::of_day();
    let database = rolecall_store::testing::database().await.expect("a database");
    let app = app_over(database.store.clone(), Seen::Nothing, Config::default()).await;
    let tracker = Tracker::default();
    let stop = CancellationToken::new();
    let folder = std::env::temp_dir().join(format!("rolecall-bots-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut bots = Bots {
        rolecall: listen(rolecall::http::router(app.clone()), stop.clone()).await,
        tracker: listen(tracker.clone().router(), stop.clone()).await,
        token: token(&app, &[Scope::FindingsRead, Scope::TicketsWrite], Utc::now()).await,
        folder,
        running: [None, None],
    };
    let mut severities: Vec<Severity> = vec![Severity::High; most];
    let open = |from: usize, to: usize| -> Vec<FindingAction> {
        (from..to).map(|number| FindingAction::Open(failure(number, Severity::High))).collect()
    };
    // Some are there before the bots, the others come while they run.
    let mut opened = most / 2;
    judge(&app, &open(0, opened)).await;
    bots.start(0);
    bots.start(1);
    let mut resolved = vec![false; most];
    let mut kills = 0;
    let began = Instant::now();
    while opened < most || kills < KILLS {
        tokio::time::sleep(Duration::from_millis(150 + random.below(700))).await;
        let more = usize::try_from(random.below(20)).unwrap().min(most - opened);
        let mut actions = open(opened, opened + more);
        opened += more;
        for _ in 0..4 {
            let number = usize::try_from(random.below(opened as u64)).unwrap();
            if actions.iter().any(|action| fingerprint(action) == format!("v1:bot{number}")) {
                continue;
            }
            let other = if severities[number] == Severity::High { Severity::Critical } else { Severity::High };
            actions.push(match (random.below(2), resolved[number]) {
                (0, false) => {
                    resolved[number] = true;
                    let fingerprint = Fingerprint(format!("v1:bot{number}"));
                    FindingAction::Resolve { fingerprint, why: Resolution::Passed, by: None }
                }
                (_, true) => {
                    resolved[number] = false;
                    FindingAction::Reopen(failure(number, severities[number]))
                }
                (_, false) => {
                    severities[number] = other;
                    FindingAction::Refresh { failure: failure(number, other), changed: true }
                }
            });
        }
        judge(&app, &actions).await;
        let which = usize::from(random.below(2) == 0);
        bots.kill(which);
        bots.start(which);
        kills += 1;
    }
    // A finding that was resolved before any bot saw it has no ticket: bring all back.
    let back = (0..most).filter(|number| resolved[*number]);
    let back: Vec<_> = back.map(|number| FindingAction::Reopen(failure(number, severities[number]))).collect();
    judge(&app, &back).await;
    let end = |left: &Vec<String>| left.is_empty() || began.elapsed() > PATIENCE;
    let mut left = wrong(&app, &tracker).await;
    while !end(&left) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        left = wrong(&app, &tracker).await;
    }
    assert_eq!(left, Vec::<String>::new());
    // Then some are resolved for good, and their tickets are closed.
    let gone = (0..most).step_by(3).map(|number| FindingAction::Resolve {
        fingerprint: Fingerprint(format!("v1:bot{number}")),
        why: Resolution::SubjectGone,
        by: None,
    });
    judge(&app, &gone.collect::<Vec<_>>()).await;
    bots.kill(0);
    bots.start(0);
    let mut left = wrong(&app, &tracker).await;
    while !end(&left) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        left = wrong(&app, &tracker).await;
    }
    assert_eq!(left, Vec::<String>::new());
    println!("{most} findings, {kills} kills, {:?}", began.elapsed());
    let issues = tracker.issues();
    assert_eq!(issues.len(), most, "one ticket for each finding");
    assert_eq!(issues.iter().filter(|issue| issue.is_done).count(), most.div_ceil(3));
    bots.kill(0);
    bots.kill(1);
    stop.cancel();
}

fn fingerprint(action: &FindingAction) -> String {
    match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            failure.fingerprint.0.clone()
        }
        FindingAction::Resolve { fingerprint, .. } | FindingAction::MarkStale { fingerprint, .. } => {
            fingerprint.0.clone()
        }
    }
}
