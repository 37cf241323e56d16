//! `/scans` and one run: when, how long, what it saw and changed; and the button that starts one.

use super::estate::PageContext;
use super::list::Pager;
use super::parts::{Badge, GapLine, badge, plural};
use crate::app::App;
use crate::audit::Summary;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::listing;
use crate::http::lists::Scans;
use crate::http::principal::Principal;
use crate::http::query::{CURSOR, Kind, LIMIT, param, query};
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Redirect;
use chrono::{DateTime, Utc};
use rolecall_rules::Severity;
use rolecall_store::{Run, RunState};
use serde::Deserialize as _;

const PATH: &str = "/scans";

query! {
    /// Query of the list; `asked` is what the button was answered.
    RunsQuery = &[param("asked", Kind::Word(&["queued", "waiting"]), "What became of a start."), LIMIT, CURSOR]
}
query! {
    /// A page of one thing takes no parameter.
    NoQuery = &[]
}

/// A row of the list.
pub(crate) struct RunLine {
    pub(crate) href: String,
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) trigger: String,
    pub(crate) state: Badge,
    pub(crate) started: Stamp,
    pub(crate) duration: String,
    pub(crate) error: String,
}

impl RunLine {
    /// The line of a run.
    pub(crate) fn new(run: &Run, now: DateTime<Utc>) -> Self {
        let state = match run.state {
            RunState::Running => badge("accent", "Running"),
            RunState::Done => badge("ok", "Done"),
            RunState::Failed => badge("bad", "Failed"),
            RunState::Interrupted => badge("bad", "Interrupted"),
        };
        let duration = run.finished_at.map(|end| words::span((end - run.started_at).num_milliseconds()));
        Self {
            href: format!("/scans/{}", run.id),
            id: run.id.0,
            kind: run.kind.clone(),
            trigger: run.trigger.clone(),
            state,
            started: Stamp::new(run.started_at, now),
            duration: duration.unwrap_or_default(),
            error: run.error.clone().unwrap_or_default(),
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/runs.html")]
pub(crate) struct RunsPage {
    chrome: Chrome,
    asked: String,
    lines: Vec<RunLine>,
    upcoming: Vec<Stamp>,
    overdue: Option<Stamp>,
    clock: String,
    pager: Pager,
}

/// `GET /scans`
pub(crate) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery, chrome: Chrome) -> Result<RunsPage, AppError> {
    let params = RunsQuery::parse(raw.as_deref())?;
    let now = Utc::now();
    let slice = listing::shown(&app, &params, &Scans).await?;
    Ok(RunsPage {
        chrome,
        asked: params.text("asked").unwrap_or_default().to_owned(),
        lines: slice.rows.iter().map(|run| RunLine::new(run, now)).collect(),
        upcoming: app.next_audits(3).into_iter().map(|at| Stamp::new(at, now)).collect(),
        overdue: app.overdue().await?.map(|due| Stamp::new(due, now)),
        clock: warning(&app),
        pager: Pager::new(
            PATH,
            &params.without("asked"),
            &slice.turns,
            plural(slice.rows.len(), "scan on this page", "scans on this page"),
        ),
    })
}

/// What is wrong with the clocks, as the worker of this process finds them; empty where nothing is.
fn warning(app: &App) -> String {
    let text = app.clock.condition().to_string();
    text.strip_prefix("warning: ").unwrap_or_default().to_owned()
}

/// `POST /scans`: requests a scan, and goes back to the list.
pub(crate) async fn start(Visible(app): Visible, Extension(who): Extension<Principal>) -> Result<Redirect, AppError> {
    use crate::app::RunNow;
    Ok(match app.run_now(&who.label(), who.actor()).await? {
        RunNow::Queued(_) => Redirect::to("/scans?asked=queued"),
        RunNow::AlreadyWaiting => Redirect::to("/scans?asked=waiting"),
    })
}

/// A number of a run's report.
struct Figure {
    name: String,
    value: String,
}

/// Numbers of a run's report under one heading.
struct Figures {
    heading: &'static str,
    figures: Vec<Figure>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/run.html")]
pub(crate) struct RunPage {
    chrome: Chrome,
    run: RunLine,
    finished: Option<Stamp>,
    snapshot: Option<Stamp>,
    opened: String,
    resolved: String,
    report: Vec<Figures>,
    gaps: Vec<GapLine>,
}

/// `GET /scans/{id}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<RunPage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let unknown = || AppError::not_found(format!("scan `{id}`"));
    let run = app.store.run(id.parse().map_err(|_| unknown())?).await?.ok_or_else(unknown)?;
    let context = PageContext::load(&app).await?;
    let gaps = app.store.gaps_of_run(run.id).await?;
    let (opened, resolved) = app.store.opened_and_resolved(run.id).await?;
    Ok(RunPage {
        finished: run.finished_at.map(|at| Stamp::new(at, context.now)),
        snapshot: run.snapshot_at.map(|at| Stamp::new(at, context.now)),
        opened: words::count_u64(opened),
        resolved: words::count_u64(resolved),
        gaps: gaps.iter().map(|gap| GapLine::new(gap, &context.names)).collect(),
        run: RunLine::new(&run, context.now),
        report: figures(&run.report),
        chrome,
    })
}

/// The numbers of a report; of one that another version wrote, as they are named there.
fn figures(report: &serde_json::Value) -> Vec<Figures> {
    let sections = match Summary::deserialize(report) {
        Ok(summary) => of_summary(&summary),
        Err(_) => {
            let mut figures = Vec::new();
            flatten("", report, &mut figures);
            vec![Figures { heading: "Report", figures }]
        }
    };
    sections.into_iter().filter(|section| !section.figures.is_empty()).collect()
}

fn of_summary(summary: &Summary) -> Vec<Figures> {
    let list = |heading, numbers: &[(&str, u64)]| Figures {
        heading,
        figures: numbers.iter().map(|(name, n)| figure(name, words::count_u64(*n))).collect(),
    };
    let seen = &summary.seen;
    let scanned = list(
        "Scanned",
        &[
            ("Accounts", seen.accounts),
            ("EKS clusters", seen.clusters),
            ("Pod Identity associations", seen.associations),
            ("Roles", seen.roles),
            ("Managed policies", seen.policies),
            ("Customer managed policies", seen.local_policies),
            ("Sessions", seen.sessions),
            ("AWS API calls", summary.api_calls),
            ("Files without known content", summary.passed_over),
        ],
    );
    let stored = list(
        "Stored",
        &[
            ("New policy documents", summary.documents_written),
            ("Resources added, changed or removed", summary.resources_changed),
            ("New sessions", summary.sessions_written),
            ("Changes since the scan before", summary.changes),
        ],
    );
    let mut findings = list(
        "Findings when the scan ended",
        &[
            ("New or reopened", summary.findings_new),
            ("Resolved", summary.findings_resolved),
            ("Undetermined", summary.findings_stale),
            ("Unknown results", summary.unknown),
            ("Results under assumptions", summary.rest_on_assumptions),
        ],
    );
    let open = Severity::WORST_FIRST
        .map(|severity| format!("{} {}", words::count_u64(summary.findings.of(severity)), severity.as_str()));
    findings.figures.insert(0, figure("Open", open.join(", ")));
    let declared = summary.declared.iter().map(|declared| {
        let numbers = [("Resources", declared.resources), ("From files that could not be read", declared.remembered)];
        let mut section = list("Infrastructure code", &numbers);
        section.figures.extend(declared.problems.iter().map(|problem| figure("Problem", problem.clone())));
        section
    });
    let trail = summary.trail.iter().map(|trail| {
        let read = &trail.read;
        list(
            "CloudTrail",
            &[
                ("Files read", read.files),
                ("Events", read.events),
                ("Unreadable records", read.malformed),
                ("Duplicates", read.duplicates),
                ("Change events", read.change_events),
            ],
        )
    });
    [scanned, stored, findings].into_iter().chain(declared).chain(trail).collect()
}

fn figure(name: &str, value: String) -> Figure {
    Figure { name: name.to_owned(), value }
}

/// A report as names and values: whoever wrote it decides what is in it.
fn flatten(name: &str, value: &serde_json::Value, into: &mut Vec<Figure>) {
    use serde_json::Value;
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let key = key.replace('_', " ");
                flatten(&if name.is_empty() { key } else { format!("{name}: {key}") }, value, into);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Null => {}
        Value::String(text) => into.push(Figure { name: name.to_owned(), value: text.clone() }),
        Value::Number(n) => {
            let value = n.as_i64().map_or_else(|| n.to_string(), words::count);
            into.push(Figure { name: name.to_owned(), value });
        }
        other => into.push(Figure { name: name.to_owned(), value: other.to_string() }),
    }
}
