//! `/ingestion`: from where trails are read, how far, what of them whole, and what could not be read.

use super::estate::PageContext;
use super::parts::{Badge, badge, plural};
use super::sessions::{Read, ReadState};
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::query::query;
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::{DateTime, Utc};
use rolecall_estate::{CompleteRange, EventScope};
use rolecall_iam::AccountId;
use rolecall_store::{AttributionCount, SetAside, SourceRow, SourceState, TrailProblem, UnitKind};
use std::collections::{BTreeMap, BTreeSet};

/// Problems on the page; the store keeps some more.
const PROBLEMS: u32 = 100;

/// Stretches that were read completely on the page; the API tells all.
const STRETCHES: usize = 200;

query! {
    /// The page takes no parameter.
    NoQuery = &[]
}

/// A source of events.
struct SourceLine {
    name: String,
    kind: String,
    state: Badge,
    error: String,
    caught_up: Option<Stamp>,
    newest: Option<Stamp>,
    waiting: String,
    files: String,
    events: String,
    bytes: String,
    duplicates: String,
    malformed: String,
    places: String,
}

/// A range of time of which nothing is missing, in regions of an account.
struct CompleteRangeLine {
    account: String,
    account_id: String,
    regions: String,
    /// Whether a further region would have shown.
    all_regions: bool,
    from: Stamp,
    to: Stamp,
    holds: String,
    source: String,
}

/// Something that could not be read.
struct ProblemLine {
    source: String,
    file: String,
    place: String,
    kind: &'static str,
    message: String,
    at: Stamp,
}

/// Something that processes died at.
struct AsideLine {
    unit: String,
    kind: &'static str,
    source: String,
    deaths: String,
    at: Stamp,
}

impl AsideLine {
    fn new(aside: SetAside, now: DateTime<Utc>) -> Self {
        Self {
            kind: match aside.kind {
                UnitKind::Trail => "CloudTrail file",
                UnitKind::File => "Imported file",
                UnitKind::Judging => "Evaluation of rules",
            },
            unit: aside.unit,
            source: aside.source,
            deaths: words::count_u64(aside.deaths),
            at: Stamp::new(aside.at, now),
        }
    }
}

/// Sessions of one kind that are attributed by the same.
struct AttributionLine {
    kind: String,
    by: String,
    why: String,
    count: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/ingestion.html")]
pub(crate) struct IngestionPage {
    chrome: Chrome,
    class: &'static str,
    title: &'static str,
    text: String,
    sources: Vec<SourceLine>,
    waiting: Vec<String>,
    complete_ranges: Vec<CompleteRangeLine>,
    has_all_ranges: bool,
    set_aside: Vec<AsideLine>,
    problems: Vec<ProblemLine>,
    all_problems: bool,
    attributions: Vec<AttributionLine>,
}

/// `GET /ingestion`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<IngestionPage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let context = PageContext::load(&app).await?;
    let read = Read::load(&app, context.now.date_naive()).await?;
    let rows = app.store.sources().await?;
    let begun: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let waiting = app.config.trails.iter().map(|trail| trail.id.clone()).filter(|id| !begun.contains(id.as_str()));
    let waiting: Vec<String> = waiting.collect();
    let mut sources = Vec::new();
    for row in &rows {
        let cursors = app.store.cursors(&row.name).await?.len();
        sources.push(SourceLine::new(row, cursors, &context));
    }
    let mut complete_ranges = CompleteRangeLine::all(app.store.complete_ranges(&[]).await?, &context);
    let has_all_ranges = complete_ranges.len() <= STRETCHES;
    complete_ranges.truncate(STRETCHES);
    let problems = app.store.trail_problems(None, PROBLEMS).await?;
    let all_problems = problems.len() < usize::try_from(PROBLEMS).unwrap_or(usize::MAX);
    // A file that was set aside is told of once, with what to do about it.
    let told: BTreeSet<(String, String)> = problems
        .iter()
        .filter(|problem| matches!(problem.kind.as_str(), "file" | "page"))
        .map(|problem| (problem.source.clone(), problem.file.clone()))
        .collect();
    let of_file = |problem: &TrailProblem| told.contains(&(problem.source.clone(), problem.file.clone()));
    let aside: BTreeSet<String> =
        problems.iter().filter(|problem| problem.kind == "set_aside").map(|problem| problem.file.clone()).collect();
    let problems: Vec<TrailProblem> =
        problems.into_iter().filter(|problem| problem.kind != "set_aside" || !of_file(problem)).collect();
    let unread = problems.len();
    let problems = problems.into_iter().map(|problem| ProblemLine {
        kind: match problem.kind.as_str() {
            "set_aside" => "Set aside",
            "file" if aside.contains(&problem.file) => "Set aside",
            "record" => "Record",
            "file" | "page" => "File",
            _ => "Other",
        },
        source: problem.source,
        file: problem.file,
        place: problem.place,
        message: problem.message,
        at: Stamp::new(problem.at, context.now),
    });
    let (class, title) = match read.state {
        ReadState::Never => ("unseen", "No CloudTrail source configured"),
        ReadState::NotYet => ("unseen", "Nothing read yet"),
        ReadState::Gaps => ("unseen", "CloudTrail coverage incomplete"),
        ReadState::Whole if rows.is_empty() => ("unseen", "No trail files are read"),
        ReadState::Whole if unread > 0 => ("unseen", "Caught up, with unreadable records"),
        ReadState::Whole => ("ok", "All sources caught up"),
    };
    let text = match read.state {
        ReadState::Never => {
            "No [[trails]] are configured, and no scan called LookupEvents. Sessions and calls of pods are unknown."
                .to_owned()
        }
        ReadState::Whole if rows.is_empty() => {
            "Sessions come from LookupEvents. Calls need [[trails]], and none is configured.".to_owned()
        }
        ReadState::Whole if unread > 0 => format!(
            "{} below; their content is unknown.",
            plural(unread, "file or record is listed", "files or records are listed")
        ),
        ReadState::Whole => String::new(),
        ReadState::NotYet | ReadState::Gaps => format!("{}.", read.text),
    };
    Ok(IngestionPage {
        class,
        title,
        text,
        sources,
        waiting,
        complete_ranges,
        has_all_ranges,
        set_aside: app.store.set_aside().await?.into_iter().map(|aside| AsideLine::new(aside, context.now)).collect(),
        problems: problems.collect(),
        all_problems,
        attributions: app.store.session_attribution_counts().await?.iter().map(AttributionLine::new).collect(),
        chrome,
    })
}

impl SourceLine {
    fn new(row: &SourceRow, cursors: usize, context: &PageContext) -> Self {
        let state = match row.state {
            SourceState::Reading => badge("accent", "Reading"),
            SourceState::Idle => badge("ok", "Idle"),
            SourceState::Failed => badge("bad", "Failed"),
        };
        let total = &row.total;
        Self {
            name: row.name.clone(),
            kind: row.kind.clone(),
            state,
            error: row.error.clone().unwrap_or_default(),
            caught_up: row.caught_up_at.map(|at| Stamp::new(at, context.now)),
            newest: total.newest_event_at.map(|at| Stamp::new(at, context.now)),
            waiting: total.waiting.map(words::count_u64).unwrap_or_default(),
            files: words::count_u64(total.files),
            events: words::count_u64(total.events),
            bytes: words::count_u64(total.bytes.div_ceil(1_000_000)),
            duplicates: words::count_u64(total.duplicates),
            malformed: words::count_u64(total.malformed),
            places: if cursors == 0 { String::new() } else { plural(cursors, "cursor", "cursors") },
        }
    }
}

impl CompleteRangeLine {
    /// One line for the regions of an account that are alike.
    fn all(rows: Vec<CompleteRange>, context: &PageContext) -> Vec<Self> {
        let mut alike: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for row in rows {
            let key = (row.account_id, row.source, row.from, row.to, row.event_scope, row.all_regions);
            alike.entry(key).or_default().push(row.region.to_string());
        }
        let line = |(key, regions): (_, Vec<String>)| {
            let (account_id, source, from, to, holds, all_regions): (AccountId, _, _, _, EventScope, bool) = key;
            Self {
                account: context.names.of(account_id),
                account_id: account_id.to_string(),
                regions: regions.join(", "),
                all_regions,
                from: Stamp::new(from, context.now),
                to: Stamp::new(to, context.now),
                holds: match holds {
                    EventScope::Sessions => "Session events (AssumeRole…)".to_owned(),
                    EventScope::Management => "All management events".to_owned(),
                    EventScope::Bucket(bucket) => format!("Events that trails deliver to {bucket}"),
                    EventScope::Stated => "Imported files declared complete".to_owned(),
                },
                source,
            }
        };
        alike.into_iter().map(line).collect()
    }
}

impl AttributionLine {
    fn new(row: &AttributionCount) -> Self {
        let by = match row.attribution_method.as_deref() {
            Some("tags") => "session tags",
            Some("access_key") => "access key",
            Some("chain") => "session chain",
            Some("name") => "role and session name",
            Some("ambiguous") => "ambiguous",
            Some(_) => "not attributed",
            None => "not attributed yet",
        };
        Self {
            kind: row.kind.replace('_', " "),
            by: by.to_owned(),
            why: row.why.clone().unwrap_or_default(),
            count: words::count_u64(row.sessions),
        }
    }
}
