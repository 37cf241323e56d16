//! `/rules` and one rule: what it asks, how often each answer came, and why some were “unknown”.

use super::estate::PageContext;
use super::parts::{Bar, FindingLine, ReasonLine, Seen, SeverityMark, bar};
use super::tools::ListTools;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::list_pages::RULES;
use crate::http::query::query;
use crate::http::rule_text::{self, RuleText};
use crate::http::view::words;
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery};
use rolecall_audit::evaluate::RuleTally;
use rolecall_audit::finding::Workflow;
use rolecall_store::{FindingFilter, FindingSort, RuleResults};
use std::collections::BTreeMap;

query! {
    /// The page of one rule takes no parameter.
    NoQuery = &[]
}

/// The shares of each answer.
fn answers_bar(pass: u64, fail: u64, unknown: u64, error: u64) -> Bar {
    let shares = [
        ("c-pass", "pass", pass),
        ("c-fail", "fail", fail),
        ("unknown", "unknown", unknown),
        ("c-error", "error", error),
    ];
    bar(&shares, pass + fail + unknown + error)
}

fn results_bar(of: &RuleResults) -> Bar {
    answers_bar(of.pass, of.fail, of.unknown, of.error)
}

/// A row of the list.
struct Line {
    href: String,
    title: String,
    id: String,
    severity: SeverityMark,
    subject: &'static str,
    category: String,
    answers: RuleResults,
    bar: Bar,
    judged: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/rules.html")]
pub(crate) struct RulesPage {
    chrome: Chrome,
    seen: Seen,
    tools: ListTools,
    lines: Vec<Line>,
    digest: String,
}

/// `GET /rules`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<RulesPage, AppError> {
    let params = RULES.parse(raw.as_deref())?;
    let context = PageContext::load(&app).await?;
    let tools = ListTools::load(&app, &chrome, &RULES, &params).await?;
    let results = app.store.latest_results().await?;
    let mut rules = rule_text::rules(&app);
    rules.sort_by_cached_key(rule_text::key(RULES.order(&params), &results));
    let lines = rules.into_iter().map(|rule| line(rule, &results)).collect();
    Ok(RulesPage { chrome, seen: context.seen, tools, lines, digest: app.rules.set.digest().to_string() })
}

fn line(rule: RuleText, results: &BTreeMap<String, RuleResults>) -> Line {
    let of_rule = results.get(&rule.id);
    let answers = of_rule.cloned().unwrap_or_default();
    Line {
        href: format!("/rules/{}", rule.id),
        severity: rule.severity.into(),
        subject: words::subject(rule.subject),
        judged: of_rule.is_some(),
        bar: results_bar(&answers),
        answers,
        title: rule.title,
        category: rule.category,
        id: rule.id,
    }
}

/// Answers of one account.
struct AccountLine {
    href: String,
    name: String,
    answers: RuleTally,
    bar: Bar,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/rule.html")]
pub(crate) struct RulePage {
    chrome: Chrome,
    rule: RuleText,
    severity: SeverityMark,
    subject: &'static str,
    answers: RuleResults,
    bar: Bar,
    judged: bool,
    reasons: Vec<ReasonLine>,
    accounts: Vec<AccountLine>,
    findings: Vec<FindingLine>,
    all_findings: String,
    source: String,
}

/// `GET /rules/{id}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<RulePage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let rule = rule_text::rule(&app, &id).ok_or_else(|| AppError::not_found(format!("rule `{id}`")))?;
    let context = PageContext::load(&app).await?;
    let (results, tallies) =
        tokio::try_join!(app.store.latest_results(), app.store.latest_tallies(Some(rule.id.as_str())))?;
    let of_rule = results.get(&rule.id);
    let tallies = tallies.map(|(_, tallies)| tallies).unwrap_or_default();
    let open = FindingFilter {
        rules: vec![rule.id.clone()],
        workflow: vec![Workflow::Open, Workflow::Acknowledged],
        ..FindingFilter::default()
    };
    let findings = app.store.findings(&open, FindingSort::Severity, None, 20).await?;
    let line = |row| FindingLine::new(row, rule.title.clone(), &context.names, context.now);
    let answers = of_rule.cloned().unwrap_or_default();
    Ok(RulePage {
        severity: rule.severity.into(),
        subject: words::subject(rule.subject),
        judged: of_rule.is_some(),
        reasons: ReasonLine::each(of_rule.into_iter().flat_map(|it| &it.reasons)),
        accounts: tallies.into_iter().map(|tally| account_line(tally, &context)).collect(),
        findings: findings.iter().map(line).collect(),
        all_findings: format!("/findings?rule_id={}", rule.id),
        source: rule_text::source(&app, &rule).unwrap_or_default(),
        bar: results_bar(&answers),
        answers,
        rule,
        chrome,
    })
}

fn account_line(tally: RuleTally, context: &PageContext) -> AccountLine {
    AccountLine {
        href: format!("/accounts/{}", tally.account_id),
        name: context.names.of(tally.account_id),
        bar: answers_bar(tally.pass, tally.fail, tally.unknown, tally.error),
        answers: tally,
    }
}
