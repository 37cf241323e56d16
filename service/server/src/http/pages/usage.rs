//! What was used: services by workloads on one page, and a section for a role's or an association's.
//!
//! What is not listed was not seen in what was read; whether it was not used depends on how much
//! was read, so that stands beside every table.

use super::estate::PageContext;
use super::list::{Choice, Select, select};
use super::parts::{Link, association_links, plural};
use crate::app::App;
use crate::http::as_of::AT;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::query::{Kind, Param, param, query};
use crate::http::view::words::{self, Stamp, short_name};
use crate::http::visible::Visible;
use crate::query::usage::seen_usage;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures::TryStreamExt as _;
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{AsOf, DayRow, UsageOf, UsageWindow, UseRow};
use std::collections::{BTreeMap, BTreeSet};

const DAYS: u64 = 90;
/// Rows and columns of the table of services by workloads.
const WORKLOADS: usize = 60;
const SERVICES: usize = 24;

const USAGE: &[Param] = &[
    param("account_id", Kind::Accounts, "Of these accounts."),
    param("days", Kind::Number(1, 400), "Of so many days up to today."),
    param("skip", Kind::Number(0, 1_000_000), "Without so many workloads that have the most calls."),
    AT,
];

query! {
    /// Query of the table.
    UsageQuery = USAGE
}

/// Calls of one action.
pub(super) struct UseLine {
    pub(super) action: String,
    pub(super) shape: String,
    pub(super) count: String,
    pub(super) errors: String,
    pub(super) denied: String,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
}

/// The line of an action.
pub(super) fn use_line(row: &UseRow, now: DateTime<Utc>) -> UseLine {
    let some = |n: u64| if n == 0 { String::new() } else { words::count_u64(n) };
    UseLine {
        action: row.action.clone(),
        shape: row.shape.clone().unwrap_or_default(),
        count: words::count_u64(row.calls),
        errors: some(row.errors),
        denied: some(row.denied),
        first: Stamp::new(row.first_at, now),
        last: Stamp::new(row.last_at, now),
    }
}

/// Use of one role or association, as a section of its page.
pub(super) struct UsageCard {
    pub(super) days: u64,
    pub(super) lines: Vec<UseLine>,
    /// Whether anything of the window was read.
    pub(super) any_read: bool,
    pub(super) read: String,
    /// Where it is weighed against what is granted.
    pub(super) granted: String,
}

impl UsageCard {
    /// Reads the use of one thing, and what was read of these accounts' trails.
    pub(super) async fn load(
        app: &App,
        of: UsageOf,
        granted: String,
        accounts: &[AccountId],
        context: &PageContext,
    ) -> Result<Self, AppError> {
        let (now, within) = (context.now, within(context, DAYS));
        let rows: Vec<UseRow> = seen_usage(app, &of, within, false).await?.try_collect().await?;
        let read = app.store.trail_days(accounts, within).await?;
        // One line an action, whatever role or account of the chain it was called with.
        let mut by_action: BTreeMap<String, UseRow> = BTreeMap::new();
        for row in rows {
            match by_action.get_mut(&row.action) {
                Some(sum) => add(sum, &row),
                None => {
                    by_action.insert(row.action.clone(), row);
                }
            }
        }
        Ok(Self {
            days: DAYS,
            lines: by_action.values().map(|row| use_line(row, now)).collect(),
            any_read: !read.is_empty(),
            read: read_words(&read, DAYS) + part_words(app),
            granted: context.and_at(granted),
        })
    }
}

fn add(sum: &mut UseRow, row: &UseRow) {
    sum.calls = sum.calls.saturating_add(row.calls);
    sum.errors = sum.errors.saturating_add(row.errors);
    sum.denied = sum.denied.saturating_add(row.denied);
    sum.first_at = sum.first_at.min(row.first_at);
    sum.last_at = sum.last_at.max(row.last_at);
}

/// So many days up to the time that the page shows.
fn within(context: &PageContext, days: u64) -> UsageWindow {
    let today = context.now.date_naive();
    let since = today.checked_sub_days(Days::new(days)).unwrap_or(today);
    UsageWindow { since: Some(since), until: context.as_of.map(AsOf::at) }
}

/// That calls of others are not among those that are shown.
fn part_words(app: &App) -> &'static str {
    if app.store.is_limited() { " Only calls of workloads and accounts that you may see are shown." } else { "" }
}

/// How much of a window was read.
fn read_words(rows: &[DayRow], window: u64) -> String {
    let days: BTreeSet<NaiveDate> = rows.iter().map(|row| row.day).collect();
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return format!("No CloudTrail events of the last {window} days were read, so usage is unknown.");
    };
    let places: BTreeSet<_> = rows.iter().map(|row| (row.account_id, row.region.as_str())).collect();
    let events = rows.iter().map(|row| row.events).fold(0, u64::saturating_add);
    format!(
        "CloudTrail covers {} of the last {window} days ({first} to {last}), in {}: {}. An action that is missing here may still be used where trails do not record it. Unused access of a workload says what is known of each action.",
        days.len(),
        plural(places.len(), "region of an account", "regions of accounts"),
        words::plural(i64::try_from(events).unwrap_or(i64::MAX), "event", "events")
    )
}

/// A cell of the table.
struct Cell {
    class: &'static str,
    text: String,
    title: String,
    errors: String,
}

/// A workload with its calls of each service.
struct Workload {
    link: Link,
    kind: &'static str,
    total: String,
    cells: Vec<Cell>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/usage.html")]
pub(crate) struct UsagePage {
    chrome: Chrome,
    selects: Vec<Select>,
    carried: Vec<(&'static str, String)>,
    days: u64,
    any_read: bool,
    read: String,
    services: Vec<String>,
    workloads: Vec<Workload>,
    left_out: String,
    next: String,
    previous: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Association(String),
    Role(String),
}

#[derive(Debug, Clone, Copy, Default)]
struct Calls {
    calls: u64,
    errors: u64,
}

/// `GET /usage`: services by workloads.
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<UsagePage, AppError> {
    let params = UsageQuery::parse(raw.as_deref())?;
    let context = PageContext::as_of(&app, &params, "/usage", &mut chrome).await?;
    let accounts: Vec<AccountId> = params.parsed("account_id");
    let window = params.text("days").and_then(|days| days.parse().ok()).unwrap_or(DAYS);
    let within = within(&context, window);
    let mut calls: BTreeMap<Who, BTreeMap<String, Calls>> = BTreeMap::new();
    let mut rows = seen_usage(&app, &UsageOf::All, within, false).await?;
    while let Some(row) = rows.try_next().await? {
        if !accounts.is_empty() && !accounts.contains(&row.account_id) {
            continue;
        }
        let who = row.association_id.map_or(Who::Role(row.role_arn), Who::Association);
        let service = row.action.split(':').next().unwrap_or_default().to_owned();
        let cell = calls.entry(who).or_default().entry(service).or_default();
        cell.calls = cell.calls.saturating_add(row.calls);
        cell.errors = cell.errors.saturating_add(row.errors);
    }
    drop(rows);
    let read = app.store.trail_days(&accounts, within).await?;
    let (services, more_services) = services(&calls);
    let mut ranked: Vec<(Who, BTreeMap<String, Calls>)> = calls.into_iter().collect();
    ranked.sort_by_key(|(who, by)| (std::cmp::Reverse(total(by)), who.clone()));
    let skipped = params.text("skip").and_then(|skip| skip.parse().ok()).unwrap_or(0_usize).min(ranked.len());
    ranked.drain(..skipped);
    let more_workloads = ranked.len().saturating_sub(WORKLOADS);
    ranked.truncate(WORKLOADS);
    let at = |skip: usize| match skip {
        0 => params.without("skip").link("/usage"),
        skip => params.with("skip", &skip.to_string()).link("/usage"),
    };
    let next = if more_workloads > 0 { at(skipped.saturating_add(WORKLOADS)) } else { String::new() };
    let previous = if skipped > 0 { at(skipped.saturating_sub(WORKLOADS)) } else { String::new() };
    let ids: Vec<String> = ranked
        .iter()
        .filter_map(|(who, _)| match who {
            Who::Association(id) => Some(id.clone()),
            Who::Role(_) => None,
        })
        .collect();
    let names = app.store.association_names(&ids).await?;
    let workload = |(who, by): &(Who, BTreeMap<String, Calls>)| {
        let (link, kind) = match who {
            Who::Association(id) => {
                let found = association_links(std::slice::from_ref(id), &names).pop();
                let found = found.map(|link| Link { href: context.href(&link.href), ..link });
                let unnamed = || Link { name: id.clone(), place: String::new(), href: String::new() };
                (found.unwrap_or_else(unnamed), "association")
            }
            Who::Role(arn) => {
                let href = format!("/sessions?role_arn={}", crate::http::query::encode(arn));
                let place = arn.parse::<RoleArn>().map(|arn| context.names.of(arn.account_id())).unwrap_or_default();
                (Link { name: short_name(arn).to_owned(), place, href }, "role without association")
            }
        };
        let cells = services.iter().map(|service| cell(by.get(service).copied().unwrap_or_default())).collect();
        Workload { link, kind, total: words::count_u64(total(by)), cells }
    };
    let left: Vec<String> = [
        (more_workloads, plural(more_workloads, "more workload with fewer calls", "more workloads with fewer calls")),
        (more_services, plural(more_services, "more service with fewer calls", "more services with fewer calls")),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(_, text)| text)
    .collect();
    Ok(UsagePage {
        selects: vec![select("account_id", "Account", context.names.choices(), &params), windows(window)],
        carried: params.text(AT.name).map(|at| (AT.name, at.to_owned())).into_iter().collect(),
        days: window,
        any_read: !read.is_empty(),
        read: read_words(&read, window) + part_words(&app),
        workloads: ranked.iter().map(workload).collect(),
        services,
        left_out: left.join(", "),
        next,
        previous,
        chrome,
    })
}

/// The choice of a window: one is always in force.
fn windows(now: u64) -> Select {
    let mut days = BTreeSet::from([7, 30, DAYS, 365]);
    days.insert(now);
    let choice = |days: u64| Choice { value: days.to_string(), label: plural_days(days), chosen: days == now };
    Select { name: "days", label: "Window", options: days.into_iter().map(choice).collect() }
}

fn plural_days(days: u64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn total(by: &BTreeMap<String, Calls>) -> u64 {
    by.values().map(|cell| cell.calls).fold(0, u64::saturating_add)
}

/// The most called services, by name, and how many more there are.
fn services(calls: &BTreeMap<Who, BTreeMap<String, Calls>>) -> (Vec<String>, usize) {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (service, cell) in calls.values().flatten() {
        let sum = sums.entry(service).or_default();
        *sum = sum.saturating_add(cell.calls);
    }
    let mut ranked: Vec<(&str, u64)> = sums.into_iter().collect();
    ranked.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), *name));
    let more = ranked.len().saturating_sub(SERVICES);
    ranked.truncate(SERVICES);
    let mut names: Vec<String> = ranked.into_iter().map(|(name, _)| name.to_owned()).collect();
    names.sort_unstable();
    (names, more)
}

fn cell(calls: Calls) -> Cell {
    let class = match calls.calls {
        0 => "heat none",
        1..10 => "heat heat-1",
        10..100 => "heat heat-2",
        100..1_000 => "heat heat-3",
        _ => "heat heat-4",
    };
    let errors = if calls.errors == 0 { String::new() } else { format!("{} err.", words::short_count(calls.errors)) };
    Cell {
        class,
        text: if calls.calls == 0 { "–".to_owned() } else { words::short_count(calls.calls) },
        title: format!("{} calls, {} of them errors", words::count_u64(calls.calls), words::count_u64(calls.errors)),
        errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_which_nothing_was_read_says_so() {
        assert!(read_words(&[], 90).contains("is unknown"));
        let day = |n: u32| DayRow {
            account_id: "111122223333".parse().unwrap(),
            region: "eu-west-1".to_owned(),
            day: NaiveDate::from_ymd_opt(2026, 1, n).unwrap(),
            files: 1,
            events: 20,
        };
        let said = read_words(&[day(3), day(5)], 90);
        assert!(
            said.starts_with("CloudTrail covers 2 of the last 90 days (2026-01-03 to 2026-01-05), in 1 region"),
            "{said}"
        );
        assert!(said.contains(": 40 events."), "{said}");
    }

    #[test]
    fn a_cell_says_its_number() {
        let said = |calls, errors| {
            let cell = cell(Calls { calls, errors });
            (cell.class, cell.text, cell.errors)
        };
        assert_eq!(said(0, 0), ("heat none", "–".to_owned(), String::new()));
        assert_eq!(said(12_345, 3), ("heat heat-4", "12k".to_owned(), "3 err.".to_owned()));
    }
}
