//! `/findings`: the list, its filters in the address, and the same as a request to the API.

use super::estate::PageContext;
use super::list::{Chip, Empty, Pager, Select, carried, chips, curl, empty, select, total_words};
use super::owner::{owned_choices, owned_word};
use super::parts::{FindingLine, Seen, SeverityMark};
use super::tools::ListTools;
use super::triage::SuppressForm;
use crate::http::error::AppError;
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::list_pages::FINDINGS;
use crate::http::listing::{self, Turns};
use crate::http::query::Params;
use crate::http::rule_text::titles;
use crate::http::view::words;
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use rolecall_audit::owner::{Owned, Owner};
use rolecall_rules::Severity;
use rolecall_store::{FindingRow, MOST_TRIAGED, Total};
use std::collections::BTreeMap;

const PATH: &str = "/findings";
/// As many as are put into groups; more are better read by the rule.
const GROUPED: u32 = 1000;
const OPEN: [&str; 2] = ["open", "acknowledged"];
/// The text fields of the form.
const FIELDS: [(&str, &str); 5] = [
    ("cluster", "Cluster"),
    ("namespace", "Namespace"),
    ("service_account", "Service account"),
    ("owner", "Owner"),
    ("assignee", "Assignee"),
];
/// Everything that the form has a field for.
const FORM: [&str; 14] = [
    "q",
    "severity",
    "rule_id",
    "account_id",
    "subject_kind",
    "via",
    "due",
    "ticket",
    "cluster",
    "namespace",
    "service_account",
    "owner",
    "owned",
    "assignee",
];

/// One of the ways to look at the list.
struct Tab {
    label: &'static str,
    href: String,
    current: bool,
}

/// A text field of the form.
struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
}

/// Findings of one rule, or of one owner.
struct Group {
    title: String,
    href: String,
    /// Empty for an owner.
    rule_href: String,
    severity: SeverityMark,
    count: String,
    lines: Vec<FindingLine>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/findings.html")]
pub(crate) struct FindingsPage {
    chrome: Chrome,
    seen: Seen,
    tabs: Vec<Tab>,
    views: Vec<Tab>,
    q: String,
    fields: Vec<Field>,
    selects: Vec<Select>,
    carried: Vec<(&'static str, String)>,
    chips: Vec<Chip>,
    clear: String,
    tools: ListTools,
    lines: Vec<FindingLine>,
    groups: Vec<Group>,
    cut: bool,
    pager: Pager,
    empty: Option<Empty>,
    curl: String,
    /// Where the list's steps are sent, with its filters.
    triage: String,
    /// The list's own address.
    here: String,
    /// How many findings match, where so many take a step together; otherwise 0.
    matching: u64,
    suppress: SuppressForm,
}

/// `GET /findings`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<FindingsPage, AppError> {
    let given = FINDINGS.parse(raw.as_deref())?;
    // Without a state the page shows what is to be done; the address and the API say so themselves.
    let params = if given.list("state").is_empty() { given.defaulting("state", &OPEN) } else { given.clone() };
    let by = match params.text("group") {
        Some("rule") => Some(By::Rule),
        Some("owner") => Some(By::Owner),
        _ => None,
    };
    let grouped = by.is_some();
    let list = filters::findings_in_order(&params);
    let mut slice = match grouped {
        true => listing::shown_by(&app, &params, &list, GROUPED).await?,
        false => listing::shown(&app, &params, &list).await?,
    };
    let cut = grouped && slice.turns.next.is_some();
    if grouped {
        slice.turns = Turns::default();
    }
    let total = app.store.count_findings(&list.filter).await?;
    let context = PageContext::load(&app).await?;
    let titles = titles(&app);
    let line = |row: &FindingRow| FindingLine::new(row, title(&titles, &row.rule), &context.names, context.now);
    let clear = given.only(&["state", "sort", "group", "columns", "limit"]).link(PATH);
    let tools = ListTools::load(&app, &chrome, &FINDINGS, &given).await?;
    let matching = match total {
        Total::Exact(count) if count <= u64::from(MOST_TRIAGED) => count,
        Total::Exact(_) | Total::AtLeast(_) => 0,
    };
    let names: Vec<&str> = filters::FINDINGS.iter().map(|param| param.name).collect();
    Ok(FindingsPage {
        triage: params.only(&names).link("/findings/triage"),
        here: given.link(PATH),
        matching,
        suppress: SuppressForm::at(context.now),
        tabs: tabs(&given, &params),
        views: views(&given, by),
        q: given.text("q").unwrap_or_default().to_owned(),
        fields: FIELDS.map(|(name, label)| field(name, label, &given)).into(),
        selects: selects(&given, &titles, &context),
        carried: carried(&given, &FORM),
        chips: chips(PATH, &given, &["state", "group", "q"]),
        tools,
        groups: by.map(|by| groups(&slice.rows, by, &titles, &given, line)).unwrap_or_default(),
        lines: if grouped { Vec::new() } else { slice.rows.iter().map(line).collect() },
        cut,
        empty: slice.rows.is_empty().then(|| empty("finding", given.filters(), &clear, &context.seen)),
        pager: Pager::new(PATH, &given, &slice.turns, total_words(total, "finding", "findings"))
            .with_downloads(PATH, &params),
        curl: curl(&chrome.origin(&app), "/api/v1/findings", &params, filters::FINDINGS),
        clear,
        seen: context.seen,
        chrome,
    })
}

fn title(titles: &BTreeMap<String, String>, rule: &str) -> String {
    titles.get(rule).cloned().unwrap_or_else(|| rule.to_owned())
}

fn tabs(given: &Params, shown: &Params) -> Vec<Tab> {
    let now = shown.list("state").to_vec();
    let tab = |label, states: &[&str]| {
        let mut wanted: Vec<&str> = states.to_vec();
        wanted.sort_unstable();
        let mut here: Vec<&str> = now.iter().map(String::as_str).collect();
        here.sort_unstable();
        Tab { label, href: given.with_list("state", states).link(PATH), current: wanted == here }
    };
    vec![
        Tab { href: given.without("state").link(PATH), ..tab("Open", &OPEN) },
        tab("Suppressed", &["suppressed"]),
        tab("Resolved", &["resolved"]),
        tab("All", &["open", "acknowledged", "suppressed", "resolved"]),
    ]
}

/// By what findings are put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rule,
    Owner,
}

fn views(given: &Params, by: Option<By>) -> Vec<Tab> {
    vec![
        Tab { label: "List", href: given.without("group").link(PATH), current: by.is_none() },
        Tab { label: "By rule", href: given.with("group", "rule").link(PATH), current: by == Some(By::Rule) },
        Tab { label: "By owner", href: given.with("group", "owner").link(PATH), current: by == Some(By::Owner) },
    ]
}

fn selects(given: &Params, titles: &BTreeMap<String, String>, context: &PageContext) -> Vec<Select> {
    let severities = Severity::WORST_FIRST.map(|s| (s.as_str().to_owned(), words::severity(s).to_owned()));
    let mut rules: Vec<_> = titles.iter().map(|(id, title)| (id.clone(), title.clone())).collect();
    rules.sort_by(|a, b| a.1.cmp(&b.1));
    let kinds = [
        ("role", "Role"),
        ("association", "Association"),
        ("policy", "Managed policy"),
        ("session", "Session"),
        ("cluster", "Cluster"),
        ("account", "Account"),
    ];
    let kinds = kinds.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let ways = [
        ("subject", "The workload itself"),
        ("role", "A role that it reaches"),
        ("direct", "Its role"),
        ("target", "Its target role"),
        ("chain", "A role that it assumes further on"),
    ];
    let ways = ways.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let dues = [("overdue", "Overdue"), ("due_soon", "Due soon"), ("due_soon,overdue", "Due soon or overdue")];
    let dues = dues.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let tickets = [("none", "Without a ticket"), ("any", "With a ticket")];
    let tickets = tickets.map(|(value, label)| (value.to_owned(), label.to_owned()));
    vec![
        select("severity", "Severity", severities, given),
        select("rule_id", "Rule", rules, given),
        select("account_id", "Account", context.names.choices(), given),
        select("subject_kind", "Subject", kinds, given),
        select("via", "Concerns", ways, given),
        select("owned", "Has an owner", owned_choices(), given),
        select("due", "Due", dues, given),
        select("ticket", "Ticket", tickets, given),
    ]
}

fn field(name: &'static str, label: &'static str, given: &Params) -> Field {
    Field { name, label, value: given.list(name).join(",") }
}

fn groups(
    rows: &[FindingRow],
    by: By,
    titles: &BTreeMap<String, String>,
    given: &Params,
    line: impl Fn(&FindingRow) -> FindingLine,
) -> Vec<Group> {
    let mut together: BTreeMap<Result<&str, Owned>, Vec<&FindingRow>> = BTreeMap::new();
    for row in rows {
        let of = match by {
            By::Rule => Ok(row.rule.as_str()),
            By::Owner => {
                let owned = row.owner.as_ref().map_or(Owned::Unknown, Owner::owned);
                row.owner.as_ref().and_then(Owner::name).ok_or(owned)
            }
        };
        together.entry(of).or_default().push(row);
    }
    let mut groups: Vec<_> = together.into_iter().collect();
    let worst = |rows: &[&FindingRow]| rows.iter().map(|row| row.severity).max().unwrap_or(Severity::Info);
    groups.sort_by_key(|(_, rows)| std::cmp::Reverse((worst(rows), rows.len())));
    let narrowed = |name: &'static str, value: &str| given.without("group").with_list(name, &[value]).link(PATH);
    let group = |(of, rows): (Result<&str, Owned>, Vec<&FindingRow>)| Group {
        title: match (by, of) {
            (By::Rule, Ok(rule)) => title(titles, rule),
            (_, Ok(owner)) => owner.to_owned(),
            (_, Err(owned)) => owned_word(owned).to_owned(),
        },
        href: match (by, of) {
            (By::Rule, Ok(rule)) => narrowed("rule_id", rule),
            (_, Ok(owner)) => narrowed("owner", owner),
            (_, Err(owned)) => narrowed("owned", owned.as_str()),
        },
        rule_href: match (by, of) {
            (By::Rule, Ok(rule)) => format!("/rules/{rule}"),
            _ => String::new(),
        },
        severity: worst(&rows).into(),
        count: super::parts::plural(rows.len(), "finding", "findings"),
        lines: rows.into_iter().map(&line).collect(),
    };
    groups.into_iter().map(group).collect()
}
