//! `/sessions`: who became whom, by what each session is attributed to its pod, or why it is not.

use super::estate::PageContext;
use super::list::{Chip, Empty, Pager, SHAPE, Select, carried, chips, curl, select, select_or};
use super::parts::{AttributionMark, Badge, Link, association_links, plural, session_href};
use super::tools::ListTools;
use crate::app::App;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::list_pages::SESSIONS;
use crate::http::listing;
use crate::http::query::{Params, query};
use crate::http::view::timeline::{Day, Timeline, timeline};
use crate::http::view::words::{self, Stamp, short_name};
use crate::http::visible::Visible;
use crate::http::{filters, query as query_string};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::{DateTime, Days, Duration, NaiveDate, Utc};
use rolecall_estate::{Session, SessionKind};
use rolecall_store::{AssociationName, SessionFilter, UsageWindow};
use std::collections::{BTreeMap, BTreeSet};

const PATH: &str = "/sessions";
/// Days of the drawing where no filter says from when, and at most.
const DAYS: i64 = 30;
const MOST_DAYS: i64 = 92;

/// A row of the list.
struct Line {
    href: String,
    at: Stamp,
    name: String,
    kind: &'static str,
    role: String,
    account_name: String,
    account_id: String,
    /// The pod's workload, as far as it is known.
    pod: String,
    place: String,
    association: Option<Link>,
    attribution: AttributionMark,
    candidates: Vec<Link>,
    more_candidates: usize,
    error: String,
    principal: String,
    principal_type: String,
    source_ip: String,
    region: String,
    access_key: String,
    external_id: String,
    duration: String,
    event_id: String,
}

/// A text field of the form.
struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    value: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/sessions.html")]
pub(crate) struct SessionsPage {
    chrome: Chrome,
    read: Read,
    fields: Vec<Field>,
    selects: Vec<Select>,
    carried: Vec<(&'static str, String)>,
    chips: Vec<Chip>,
    clear: String,
    tools: ListTools,
    timeline: Option<Timeline>,
    cut: bool,
    /// Whether the agents' requests are left out.
    requests: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Option<Empty>,
    curl: String,
}

/// What is known of the reading of trails.
pub(super) struct Read {
    /// Days of which anything was read.
    days: BTreeSet<NaiveDate>,
    /// Whether anything at all was ever read, or is configured to be.
    pub(super) state: ReadState,
    /// What hinders, in words; empty where nothing does.
    pub(super) text: String,
}

/// How far the reading of trails went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadState {
    /// Nothing is configured and nothing was read.
    Never,
    /// Something is configured, and nothing was read so far.
    NotYet,
    /// Something was read, but not all.
    Gaps,
    /// All that is configured was read to its end.
    Whole,
}

impl Read {
    /// Sums up what was read from a day on.
    pub(super) async fn load(app: &App, since: NaiveDate) -> Result<Self, AppError> {
        // How many read and how many stopped is told, and nothing of what they read.
        let sources = app.whole().sources().await?;
        let window = UsageWindow { since: Some(since), until: None };
        let mut days: BTreeSet<NaiveDate> =
            app.store.trail_days(&[], window).await?.into_iter().map(|row| row.day).collect();
        let listings = app.store.session_listings().await?;
        let lookback = Duration::days(i64::from(app.config.aws.trail_lookback_days));
        // An import reads files that end where they end: its listing says nothing of the days before it.
        for listing in listings.iter().filter(|listing| listing.complete && !listing.imported) {
            let (mut day, last) = ((listing.read_at - lookback).date_naive(), listing.read_at.date_naive());
            while day <= last {
                days.insert(day);
                day = day.succ_opt().unwrap_or(NaiveDate::MAX);
            }
        }
        let failed = sources.iter().filter(|s| s.error.is_some()).count();
        let behind = sources.iter().filter(|s| s.error.is_none() && s.caught_up_at.is_none()).count();
        let begun: BTreeSet<&str> = sources.iter().map(|s| s.name.as_str()).collect();
        let waiting = app.config.trails.iter().filter(|t| !begun.contains(t.id.as_str())).count();
        let incomplete = listings.iter().filter(|listing| !listing.complete).map(|listing| listing.scopes).sum::<u64>();
        let incomplete = usize::try_from(incomplete).unwrap_or(usize::MAX);
        let holes = [
            (failed, "source stopped with an error", "sources stopped with an error"),
            (behind, "source was never read to its end", "sources were never read to their end"),
            (waiting, "configured trail was not begun", "configured trails were not begun"),
            (incomplete, "CloudTrail listing is incomplete", "CloudTrail listings are incomplete"),
        ];
        let said: Vec<String> =
            holes.iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| plural(*n, one, many)).collect();
        let state = if sources.is_empty() && listings.is_empty() {
            if waiting > 0 { ReadState::NotYet } else { ReadState::Never }
        } else if said.is_empty() {
            ReadState::Whole
        } else {
            ReadState::Gaps
        };
        Ok(Self { days, state, text: said.join(", ") })
    }

    /// What stands where there is no session, told apart by why.
    pub(super) fn empty(&self, filtered: bool) -> Empty {
        let of = |class, title: &str, text: String, href: &str, link: &str| Empty {
            class,
            title: title.to_owned(),
            text,
            href: href.to_owned(),
            link: link.to_owned(),
        };
        match (self.state, filtered) {
            (ReadState::Never, _) => of(
                "unseen",
                "No CloudTrail data",
                "No trail is configured, and no scan called LookupEvents. This does not mean that there are no sessions.".to_owned(),
                "/ingestion",
                "CloudTrail ingestion",
            ),
            (ReadState::NotYet, _) => of(
                "unseen",
                "Nothing read yet",
                format!("Trails are configured, but {}.", self.text),
                "/ingestion",
                "CloudTrail ingestion",
            ),
            (_, true) => of(
                "",
                "No session matches these filters",
                "Change or clear the filters.".to_owned(),
                PATH,
                "Clear the filters",
            ),
            (ReadState::Gaps, false) => of(
                "unseen",
                "No session found, coverage incomplete",
                format!("CloudTrail coverage is incomplete: {}.", self.text),
                "/ingestion",
                "CloudTrail ingestion",
            ),
            (ReadState::Whole, false) => {
                of("ok", "No session", "All trails are caught up.".to_owned(), "", "")
            }
        }
    }
}

/// `GET /sessions`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<SessionsPage, AppError> {
    let params = SESSIONS.parse(raw.as_deref())?;
    let context = PageContext::load(&app).await?;
    let mut list = filters::sessions_in_order(&params);
    let requests = leaves_out_requests(&params);
    if requests {
        let kinds = filters::ALL_SESSION_KINDS.iter().copied();
        list.filter.kinds = kinds.filter(|kind| *kind != SessionKind::AgentRequest).collect();
    }
    let slice = listing::shown(&app, &params, &list).await?;
    let names = association_names(&app, &slice.rows).await?;
    let tools = ListTools::load(&app, &chrome, &SESSIONS, &params).await?;
    let (since, until, cut) = window(&list.filter, context.now);
    let read = Read::load(&app, since).await?;
    let filter = list.filter;
    let shown =
        SessionFilter { since: Some(filter.since.map_or_else(|| start(since), |at| at.max(start(since)))), ..filter };
    let timeline = timeline(&days(&app, &shown, since, until, &read).await?);
    let count = plural(slice.rows.len(), "session on this page", "sessions on this page");
    let pager = Pager::new(PATH, &params, &slice.turns, count);
    let fields = fields(&params);
    let mut known: Vec<&str> = vec!["account_id", "kind", "attribution_method", "failed"];
    known.extend(fields.iter().map(|field| field.name));
    Ok(SessionsPage {
        carried: carried(&params, &known),
        fields,
        selects: selects(&context, &params),
        chips: chips(PATH, &params, &[]),
        clear: params.only(&SHAPE).without("cursor").link(PATH),
        tools,
        timeline,
        cut,
        requests,
        lines: slice.rows.iter().map(|row| Line::new(row, &names, &context)).collect(),
        pager,
        empty: slice.rows.is_empty().then(|| read.empty(params.filters())),
        curl: curl(&chrome.origin(&app), "/api/v1/sessions", &params, filters::SESSIONS),
        read,
        chrome,
    })
}

/// The agent asks before each session, and its request names neither pod nor role: where nobody asks
/// for them, or for what was refused, only sessions are listed.
fn leaves_out_requests(params: &Params) -> bool {
    params.list("kind").is_empty() && params.flag("failed") != Some(true)
}

/// The associations that sessions name, by id.
pub(super) async fn association_names(
    app: &App,
    rows: &[Session],
) -> Result<BTreeMap<String, AssociationName>, AppError> {
    let named = rows.iter().filter_map(|row| row.attribution.as_ref());
    let named = named.flat_map(|found| found.association_id.iter().chain(&found.candidates));
    let ids: BTreeSet<String> = named.cloned().collect();
    Ok(app.store.association_names(&ids.into_iter().collect::<Vec<_>>()).await?)
}

fn selects(context: &PageContext, params: &Params) -> Vec<Select> {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
    };
    let kinds = filters::ALL_SESSION_KINDS
        .iter()
        .map(|kind| (filters::session_kind(*kind).to_owned(), words::session_kind(*kind).to_owned()));
    let attributions = pairs(&[
        ("tags", "Session tags"),
        ("access_key", "Access key"),
        ("chain", "Session chain"),
        ("name", "Role and session name"),
        ("ambiguous", "Ambiguous"),
        ("none", "Not attributed"),
    ]);
    let failed = pairs(&[("true", "Failed"), ("false", "Session created")]);
    vec![
        select("account_id", "Account", context.names.choices(), params),
        select_or(
            "kind",
            "Kind",
            if leaves_out_requests(params) { "Any that creates a session" } else { "Any" },
            kinds,
            params,
        ),
        select("attribution_method", "Attribution", attributions, params),
        select("failed", "Outcome", failed, params),
    ]
}

fn fields(params: &Params) -> Vec<Field> {
    let text =
        |name, label| Field { name, label, kind: "text", value: params.text(name).unwrap_or_default().to_owned() };
    // A browser's field for a day takes a day alone; an instant of somebody's link stays an instant.
    let day = |name, label| {
        let field = text(name, label);
        let is_day = field.value.is_empty() || field.value.parse::<NaiveDate>().is_ok();
        Field { kind: if is_day { "date" } else { "text" }, ..field }
    };
    vec![
        text("role_arn", "Role ARN"),
        text("cluster", "Cluster"),
        text("namespace", "Namespace"),
        day("since", "From"),
        day("until", "Before"),
    ]
}

fn start(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The first and last day of the drawing, and whether the filter goes back further.
fn window(filter: &SessionFilter, now: DateTime<Utc>) -> (NaiveDate, NaiveDate, bool) {
    let until = filter.until.map_or(now, |at| (at - Duration::seconds(1)).min(now)).date_naive();
    let back = |days: i64| until.checked_sub_days(Days::new(days.unsigned_abs())).unwrap_or(until);
    let wanted = filter.since.map_or_else(|| back(DAYS - 1), |at| at.date_naive().min(until));
    let since = wanted.max(back(MOST_DAYS - 1));
    (since, until, since > wanted)
}

async fn days(
    app: &App,
    filter: &SessionFilter,
    since: NaiveDate,
    until: NaiveDate,
    read: &Read,
) -> Result<Vec<Day>, AppError> {
    let counted = app.store.session_days(filter).await?;
    let by_day: BTreeMap<NaiveDate, _> = counted.iter().map(|row| (row.day, row)).collect();
    let day = |day: NaiveDate| {
        let row = by_day.get(&day);
        Day {
            day,
            attributed: row.map_or(0, |row| row.attributed),
            ambiguous: row.map_or(0, |row| row.ambiguous),
            unattributed: row.map_or(0, |row| row.unattributed),
            read: read.days.contains(&day),
        }
    };
    Ok(since.iter_days().take_while(|at| *at <= until).map(day).collect())
}

impl Line {
    fn new(session: &Session, names: &BTreeMap<String, AssociationName>, context: &PageContext) -> Self {
        const SHOWN: usize = 3;
        let attribution = session.attribution.as_deref().cloned().unwrap_or_default();
        let role = session.role_arn.as_deref().map(short_name).unwrap_or_default();
        let pod = match (&attribution.namespace, &attribution.service_account) {
            (Some(namespace), Some(account)) => format!("{namespace}/{account}"),
            (Some(namespace), None) => format!("namespace {namespace}"),
            _ => String::new(),
        };
        let cluster = session.cluster.as_ref().map(|cluster| format!("cluster {cluster}"));
        let whose = attribution.pod.as_ref().map(|pod| format!("pod {pod}"));
        Self {
            href: session_href(session),
            at: Stamp::new(session.at, context.now),
            name: session.session_name.clone().unwrap_or_else(|| "no name".to_owned()),
            kind: words::session_kind(session.kind),
            role: role.to_owned(),
            account_name: context.names.name(session.account_id).to_owned(),
            account_id: session.account_id.to_string(),
            pod,
            place: [whose, cluster].into_iter().flatten().collect::<Vec<_>>().join(", "),
            association: association_links(attribution.association_id.as_slice(), names).pop(),
            attribution: AttributionMark::new(session.attribution.as_deref()),
            candidates: association_links(
                attribution.candidates.get(..SHOWN).unwrap_or(&attribution.candidates),
                names,
            ),
            more_candidates: attribution.candidates.len().saturating_sub(SHOWN),
            error: session.error.clone().unwrap_or_default(),
            principal: session.principal.clone(),
            principal_type: session.principal_type.clone(),
            source_ip: session.source_ip.clone().unwrap_or_default(),
            region: session.region.to_string(),
            access_key: session.access_key_id.clone().unwrap_or_default(),
            external_id: session.external_id.clone().unwrap_or_default(),
            duration: session.duration_seconds.map(|seconds| format!("{seconds} s")).unwrap_or_default(),
            event_id: session.event_id.clone(),
        }
    }
}

query! {
    /// Query of the tester of names.
    NameQuery = &[
        query_string::param("name", query_string::Kind::Text, "A role session name."),
        query_string::param("pattern", query_string::Kind::Text, "A pattern, as the rule on conventions takes it."),
    ]
}

/// A way to read a name.
struct Reading {
    cluster: String,
    pod: String,
    /// Known clusters whose names are cut to this one.
    known: Vec<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/session_names.html")]
pub(crate) struct NamesPage {
    chrome: Chrome,
    name: String,
    pattern: String,
    /// What is told of the name, word by word; empty where none was given.
    verdict: Option<Badge>,
    text: &'static str,
    readings: Vec<Reading>,
    uuid: String,
    shape: String,
    matched: Option<Badge>,
    mistake: String,
}

/// `GET /sessions/names`: what a session name tells, and whether a pattern fits it.
pub(crate) async fn names(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<NamesPage, AppError> {
    use super::parts::badge;
    use rolecall_cloudtrail::session_name::{PodIdentityName, cut, is_default, is_instance_id, is_valid, shape};
    let params = NameQuery::parse(raw.as_deref())?;
    let name = params.text("name").unwrap_or_default().to_owned();
    let pattern = params.text("pattern").unwrap_or_default().to_owned();
    let parsed = PodIdentityName::parse(&name);
    let clusters: BTreeSet<String> = match &parsed {
        Some(_) => app.store.cluster_names().await?.into_iter().collect(),
        None => BTreeSet::new(),
    };
    let reading = |cluster: &str, pod: &str| Reading {
        known: clusters.iter().filter(|known| cut(known) == cluster).cloned().collect(),
        cluster: cluster.to_owned(),
        pod: pod.to_owned(),
    };
    let readings: Vec<Reading> =
        parsed.iter().flat_map(PodIdentityName::readings).map(|r| reading(r.cluster, r.pod)).collect();
    let (verdict, text) = match () {
        () if name.is_empty() => (None, ""),
        () if readings.len() > 1 => (
            Some(badge("accent", "Pod Identity, ambiguous")),
            "The name has the format of EKS Pod Identity. Its middle can be split in several ways; known clusters decide.",
        ),
        () if parsed.is_some() => (Some(badge("ok", "Pod Identity")), "The name has the format of EKS Pod Identity."),
        () if !is_valid(&name) => {
            (Some(badge("bad", "Not valid")), "STS allows 2 to 64 letters, digits and _ + = , . @ -")
        }
        () if is_instance_id(&name) => {
            (Some(badge("", "EC2 instance")), "An EC2 instance ID, as in sessions of instance profiles.")
        }
        () if is_default(&name) => {
            (Some(badge("bad", "Default name")), "The name that an SDK or the console sets when none is given.")
        }
        () => (Some(badge("", "Custom name")), "A valid custom name; not the format of EKS Pod Identity."),
    };
    let (matched, mistake) =
        match (name.is_empty() || pattern.is_empty(), rolecall_rules::pattern_matches(&pattern, &name)) {
            (true, Ok(_)) => (None, String::new()),
            (false, Ok(true)) => (Some(badge("ok", "Matches")), String::new()),
            (false, Ok(false)) => (Some(badge("bad", "Does not match")), String::new()),
            (_, Err(why)) => (None, why),
        };
    Ok(NamesPage {
        uuid: parsed.map(|name| name.uuid().to_owned()).unwrap_or_default(),
        shape: shape(&name).into_owned(),
        chrome,
        name,
        pattern,
        verdict,
        text,
        readings,
        matched,
        mistake,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_drawing_has_thirty_days_or_those_of_the_filter() {
        let now = at("2026-03-31T12:00:00Z");
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        for (since, until, drawn) in [
            (None, None, ("2026-03-02", "2026-03-31", false)),
            (Some("2026-03-30T08:00:00Z"), None, ("2026-03-30", "2026-03-31", false)),
            (None, Some("2026-03-01T00:00:00Z"), ("2026-01-30", "2026-02-28", false)),
            (Some("2025-01-01T00:00:00Z"), None, ("2025-12-30", "2026-03-31", true)),
            (Some("2027-01-01T00:00:00Z"), None, ("2026-03-31", "2026-03-31", false)),
        ] {
            let filter = SessionFilter { since: since.map(at), until: until.map(at), ..SessionFilter::default() };
            assert_eq!(window(&filter, now), (day(drawn.0), day(drawn.1), drawn.2), "{since:?} {until:?}");
        }
    }

    #[test]
    fn nothing_read_and_nothing_there_read_differently() {
        let titles = [ReadState::Never, ReadState::NotYet, ReadState::Gaps, ReadState::Whole].map(|state| {
            Read { days: BTreeSet::new(), state, text: "1 source stopped with an error".to_owned() }.empty(false).title
        });
        let distinct: BTreeSet<&String> = titles.iter().collect();
        assert_eq!(distinct.len(), 4, "{titles:?}");
    }
}
