//! `/unused-access`: what a role, or the pods of an association, may do against what they did.
//!
//! Three columns and never two: used, not used, not known. What is not known says why.

use super::list::{Select, select};
use super::parts::{Badge, Bar, ReasonLine, association_href, badge, bar, plural, role_href};
use crate::http::as_of::{self, AT, AsOfBanner};
use crate::http::error::{AppError, Code};
use crate::http::frame::Chrome;
use crate::http::inventory::read_key;
use crate::http::query::{Kind, Param, Params, encode, param, query};
use crate::http::view::words::{self, Stamp, short_name};
use crate::http::visible::{Visible, role_is_whole};
use crate::query::unused::{DAYS, usage_report};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::{DateTime, Utc};
use rolecall_audit::access::unused::{Covered, Open, UsageReport, UsedAction};
use rolecall_audit::access::usage::UsageSubject;
use rolecall_estate::EventScope;
use rolecall_iam::ActionSet;
use rolecall_iam::catalogue::{AccessLevel, catalogue};
use rolecall_store::AsOf;
use std::collections::BTreeMap;

/// So many actions of a list are shown; the API has all.
const SHOWN: usize = 400;

const GRANTS: &[Param] = &[
    param("role", Kind::Text, "The ARN of a role."),
    param("association", Kind::Text, "An association, as account/region/cluster/namespace/service-account."),
    param("days", Kind::Number(1, 400), "Of so many days, up to where the trail was read."),
    AT,
];

query! {
    /// Query of grants against use.
    GrantsQuery = GRANTS
}

/// Actions of one service.
struct ServiceRow {
    name: String,
    prefix: &'static str,
    granted: String,
    used: String,
    unused: String,
    unknown: String,
    bar: Bar,
}

/// Actions of one level.
struct LevelRow {
    name: &'static str,
    granted: String,
    used: String,
    unused: String,
    unknown: String,
}

/// An action that was called.
struct CalledRow {
    action: &'static str,
    level: &'static str,
    count: String,
    denied: String,
    last: Stamp,
}

/// Names of actions under a word: a service, a reason.
struct Names {
    title: String,
    count: String,
    names: Vec<&'static str>,
    more: String,
}

/// Actions of which it is unknown whether they were used.
struct UnknownRow {
    reason: ReasonLine,
    actions: Names,
}

/// How far a region's trail was read.
struct RegionRow {
    region: String,
    state: Badge,
    source: String,
    holds: &'static str,
    from: Option<Stamp>,
    to: Option<Stamp>,
}

/// A privilege-escalation path.
struct PathRow {
    actions: String,
    outcome: &'static str,
    state: Badge,
    close: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/grants.html")]
pub(crate) struct GrantsPage {
    chrome: Chrome,
    name: String,
    back: String,
    back_name: &'static str,
    section: &'static str,
    role: String,
    role_href: String,
    json: String,
    selects: Vec<Select>,
    hidden: Vec<(&'static str, String)>,
    is_complete: bool,
    since: Stamp,
    until: Stamp,
    gaps: Vec<ReasonLine>,
    regions: Vec<RegionRow>,
    figures: Vec<(String, &'static str)>,
    shares: Bar,
    risky: Vec<Names>,
    paths: Vec<PathRow>,
    levels: Vec<LevelRow>,
    services: Vec<ServiceRow>,
    used: Vec<CalledRow>,
    refused: Vec<CalledRow>,
    beyond: Vec<CalledRow>,
    unused: Vec<Names>,
    unknown: Vec<UnknownRow>,
    unmapped: Vec<(String, String)>,
    unlisted: Vec<String>,
    unseen: Vec<ReasonLine>,
}

fn whose(params: &Params) -> Result<UsageSubject, AppError> {
    match (params.text("role"), params.text("association")) {
        (Some(arn), None) => Ok(UsageSubject::Role(arn.to_owned())),
        (None, Some(key)) => {
            Ok(UsageSubject::Pods(read_key(key).ok_or_else(|| AppError::not_found(format!("association `{key}`")))?))
        }
        _ => Err(AppError::new(Code::BadRequest, "give either `role` or `association`")),
    }
}

/// `GET /unused-access`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<GrantsPage, AppError> {
    let params = GrantsQuery::parse(raw.as_deref())?;
    let whose = whose(&params)?;
    let days = params.text("days").and_then(|days| days.parse().ok()).unwrap_or(DAYS);
    let as_of = as_of::of(&app.store, &params).await?;
    let now = as_of.map_or_else(Utc::now, AsOf::at);
    chrome.as_of = as_of.map(|as_of| AsOfBanner::new(as_of, "/unused-access", &params));
    if app.store.is_limited() {
        match &whose {
            UsageSubject::Role(arn) => role_is_whole(&app, arn).await?,
            UsageSubject::Pods(key) if app.store.association(key, now, as_of).await?.is_none() => {
                return Err(AppError::not_found(format!("association `{key}`")));
            }
            UsageSubject::Pods(_) => {}
        }
    }
    // What of the organization decides it is looked for in all that is stored.
    let usage_report = usage_report(app.whole(), whose.clone(), days, as_of).await?;
    Ok(GrantsPage::new(chrome, &whose, days, &params, &usage_report, now))
}

impl GrantsPage {
    fn new(
        chrome: Chrome,
        whose: &UsageSubject,
        days: u16,
        params: &Params,
        usage_report: &UsageReport,
        now: DateTime<Utc>,
    ) -> Self {
        let at = chrome.and_at();
        let (name, back, back_name, section, json, hidden) = match whose {
            UsageSubject::Role(arn) => (
                short_name(arn).to_owned(),
                role_href(arn) + chrome.at(),
                "Roles",
                "/roles",
                format!("/api/v1/roles/{}/unused-access?days={days}{at}", encode(arn).replace('/', "%2F")),
                ("role", arn.clone()),
            ),
            UsageSubject::Pods(key) => (
                format!("{}/{}", key.namespace, key.service_account),
                association_href(&key.to_string()) + chrome.at(),
                "Associations",
                "/associations",
                format!("/api/v1{}/unused-access?days={days}{at}", association_href(&key.to_string())),
                ("association", key.to_string()),
            ),
        };
        let (used, unknown) = (usage_report.used_set(), usage_report.unknown_set());
        let counts = |within: &ActionSet| {
            [&usage_report.granted, &used, &usage_report.unused, &unknown].map(|set| set.intersection(within).len())
        };
        let [granted, was_used, not_used, not_known] = counts(ActionSet::all());
        let windows = ["7", "30", "90", "180", "365"].map(|days| (days.to_owned(), format!("{days} days")));
        let Covered { since, until, gaps, .. } = &usage_report.covered;
        let mut hidden = vec![hidden];
        hidden.extend(params.text(AT.name).map(|at| (AT.name, at.to_owned())));
        Self {
            name,
            back,
            back_name,
            section,
            role: usage_report.role_arn.as_str().to_owned(),
            role_href: role_href(usage_report.role_arn.as_str()) + chrome.at(),
            chrome,
            json,
            selects: vec![window(select("days", "Window", windows, params), days)],
            hidden,
            is_complete: gaps.is_empty(),
            since: Stamp::new(*since, now),
            until: Stamp::new(*until, now),
            gaps: gaps.iter().map(ReasonLine::from).collect(),
            regions: regions(&usage_report.covered, now),
            figures: vec![
                (number(granted), "granted"),
                (number(was_used), "used"),
                (number(not_used), "unused"),
                (number(not_known), "unknown"),
            ],
            shares: shares([granted, was_used, not_used, not_known]),
            risky: by_service(&usage_report.unused_at_risk()),
            paths: paths(usage_report),
            levels: levels(&counts),
            services: services(usage_report, &counts),
            used: called(&usage_report.used, now),
            refused: called(&usage_report.refused, now),
            beyond: called(&usage_report.used_outside_grants, now),
            unused: by_service(&usage_report.unused),
            unknown: usage_report.unknown.iter().map(UnknownRow::from).collect(),
            unmapped: usage_report.unmapped.iter().map(|u| (u.action.clone(), words::count_u64(u.calls))).collect(),
            unlisted: usage_report.unlisted.clone(),
            unseen: usage_report.unseen.iter().map(ReasonLine::from).collect(),
        }
    }
}

/// Marks the window in force, also where nobody chose it.
fn window(mut select: Select, days: u16) -> Select {
    select.options.retain(|choice| !choice.value.is_empty());
    for choice in &mut select.options {
        choice.chosen = choice.value == days.to_string();
    }
    select
}

fn number(n: usize) -> String {
    words::count_u64(u64::try_from(n).unwrap_or(u64::MAX))
}

fn shares([granted, used, unused, unknown]: [usize; 4]) -> Bar {
    let n = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    bar(
        &[("c-pass", "used", n(used)), ("c-medium", "unused", n(unused)), ("unknown", "unknown", n(unknown))],
        n(granted),
    )
}

fn regions(covered: &Covered, now: DateTime<Utc>) -> Vec<RegionRow> {
    let row = |read: &rolecall_audit::access::unused::ReadRegion| {
        let range = read.complete.as_ref();
        RegionRow {
            region: read.region.to_string(),
            state: match range {
                Some(range) if range.from <= covered.since => badge("ok", "Complete"),
                Some(_) => badge("unseen", "Partial"),
                None => badge("unseen", "Unknown"),
            },
            source: range.map(|range| range.source.clone()).unwrap_or_default(),
            holds: range.map_or("", |range| match range.event_scope {
                EventScope::Sessions => "session events (AssumeRole…)",
                EventScope::Management => "all management events",
                EventScope::Bucket(_) => "events of the trail’s selectors",
                EventScope::Stated => "files declared complete",
            }),
            from: range.map(|range| Stamp::new(range.from, now)),
            to: range.map(|range| Stamp::new(range.to, now)),
        }
    };
    covered.regions.iter().map(row).collect()
}

fn level(level: AccessLevel) -> &'static str {
    match level {
        AccessLevel::List => "List",
        AccessLevel::Read => "Read",
        AccessLevel::Write => "Write",
        AccessLevel::Tagging => "Tagging",
        AccessLevel::PermissionsManagement => "Permissions",
    }
}

fn levels(counts: &dyn Fn(&ActionSet) -> [usize; 4]) -> Vec<LevelRow> {
    // The gravest first.
    let all = [
        AccessLevel::PermissionsManagement,
        AccessLevel::Write,
        AccessLevel::Tagging,
        AccessLevel::Read,
        AccessLevel::List,
    ];
    let row = |of: AccessLevel| {
        let [granted, used, unused, unknown] = counts(ActionSet::level(of)).map(number);
        LevelRow { name: level(of), granted, used, unused, unknown }
    };
    all.into_iter().map(row).collect()
}

fn services(usage_report: &UsageReport, counts: &dyn Fn(&ActionSet) -> [usize; 4]) -> Vec<ServiceRow> {
    let mut rows: Vec<([usize; 4], &'static str)> = usage_report
        .granted
        .services()
        .into_iter()
        .map(|prefix| (counts(&ActionSet::service(prefix)), prefix))
        .collect();
    // What was used first, then what is widest.
    rows.sort_by_key(|([granted, used, ..], prefix)| (*used == 0, std::cmp::Reverse(*granted), *prefix));
    let row = |(all, prefix): ([usize; 4], &'static str)| {
        let [granted, used, unused, unknown] = all.map(number);
        let name = catalogue().service_named(prefix).map_or(prefix, |service| service.title()).to_owned();
        ServiceRow { name, prefix, granted, used, unused, unknown, bar: shares(all) }
    };
    rows.into_iter().map(row).collect()
}

fn called(actions: &[UsedAction], now: DateTime<Utc>) -> Vec<CalledRow> {
    let row = |called: &UsedAction| CalledRow {
        action: called.action.name,
        level: level(called.action.level),
        count: words::count_u64(called.used.calls),
        denied: if called.used.denied == 0 { String::new() } else { words::count_u64(called.used.denied) },
        last: Stamp::new(called.used.last, now),
    };
    actions.iter().map(row).collect()
}

impl From<&Open> for UnknownRow {
    fn from(open: &Open) -> Self {
        Self { reason: ReasonLine::from(&open.why), actions: names(open.why.to_string(), &open.actions, true) }
    }
}

fn names(title: String, actions: &ActionSet, whole_names: bool) -> Names {
    let more = actions.len().saturating_sub(SHOWN);
    Names {
        title,
        count: plural(actions.len(), "action", "actions"),
        names: actions
            .iter()
            .take(SHOWN)
            .map(|action| if whole_names { action.name } else { action.short_name() })
            .collect(),
        more: if more == 0 { String::new() } else { format!("and {} more", number(more)) },
    }
}

fn by_service(actions: &ActionSet) -> Vec<Names> {
    let mut services: BTreeMap<&'static str, ActionSet> = BTreeMap::new();
    for prefix in actions.services() {
        services.insert(prefix, actions.intersection(&ActionSet::service(prefix)));
    }
    services.into_iter().map(|(prefix, actions)| names(prefix.to_owned(), &actions, false)).collect()
}

fn paths(usage_report: &UsageReport) -> Vec<PathRow> {
    let row = |path: &rolecall_audit::access::unused::GrantedPath| PathRow {
        actions: path.found.path.actions().collect::<Vec<_>>().join(", "),
        outcome: match path.found.path.outcome.as_str() {
            "own_permissions" => "changes its own permissions",
            "another_role" => "assumes or changes another role",
            _ => "reaches other principals or workloads",
        },
        state: if path.found.truth.is_true() { badge("bad", "Open") } else { badge("unseen", "Possibly open") },
        close: path.unused.join(", "),
    };
    usage_report.escalation_paths.iter().map(row).collect()
}
