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
use rolecall_store::{FindingFilter, FindingSort};

query! {
    /// The page of one rule takes no parameter.
    NoQuery = &[]
}

/// How often each answer came.
#[derive(Default, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) pass: u64,
    pub(crate) fail: u64,
    pub(crate) unknown: u64,
    pub(crate) error: u64,
    pub(crate) not_applicable: u64,
}

impl Answers {
    /// Adds tallies up.
    pub(crate) fn new<'a>(tallies: impl Iterator<Item = &'a RuleTally>) -> Self {
        tallies.fold(Self::default(), |sum, t| Self {
            pass: sum.pass + t.pass,
            fail: sum.fail + t.fail,
            unknown: sum.unknown + t.unknown,
            error: sum.error + t.error,
            not_applicable: sum.not_applicable + t.not_applicable,
        })
    }

    fn bar(self) -> Bar {
        let shares = [
            ("c-pass", "pass", self.pass),
            ("c-fail", "fail", self.fail),
            ("unknown", "unknown", self.unknown),
            ("c-error", "error", self.error),
        ];
        bar(&shares, self.pass + self.fail + self.unknown + self.error)
    }
}

/// A row of the list.
struct Line {
    href: String,
    title: String,
    id: String,
    severity: SeverityMark,
    subject: &'static str,
    category: String,
    answers: Answers,
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
    let tallies = app.store.latest_tallies().await?.map(|(_, tallies)| tallies).unwrap_or_default();
    let mut rules = rule_text::rules(&app);
    rules.sort_by_cached_key(rule_text::key(RULES.order(&params), &tallies));
    let lines = rules.into_iter().map(|rule| line(rule, &tallies)).collect();
    Ok(RulesPage { chrome, seen: context.seen, tools, lines, digest: app.rules.set.digest().to_string() })
}

fn line(rule: RuleText, tallies: &[RuleTally]) -> Line {
    let of_rule = || tallies.iter().filter(|t| t.rule == rule.id);
    let answers = Answers::new(of_rule());
    Line {
        href: format!("/rules/{}", rule.id),
        severity: rule.severity.into(),
        subject: words::subject(rule.subject),
        judged: of_rule().next().is_some(),
        bar: answers.bar(),
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
    answers: Answers,
    bar: Bar,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/rule.html")]
pub(crate) struct RulePage {
    chrome: Chrome,
    rule: RuleText,
    severity: SeverityMark,
    subject: &'static str,
    answers: Answers,
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
    let tallies = app.store.latest_tallies().await?.map(|(_, tallies)| tallies).unwrap_or_default();
    let tallies: Vec<RuleTally> = tallies.into_iter().filter(|t| t.rule == rule.id).collect();
    let open = FindingFilter {
        rules: vec![rule.id.clone()],
        workflow: vec![Workflow::Open, Workflow::Acknowledged],
        ..FindingFilter::default()
    };
    let findings = app.store.findings(&open, FindingSort::Severity, None, 20).await?;
    let line = |row| FindingLine::new(row, rule.title.clone(), &context.names, context.now);
    let answers = Answers::new(tallies.iter());
    Ok(RulePage {
        severity: rule.severity.into(),
        subject: words::subject(rule.subject),
        judged: !tallies.is_empty(),
        reasons: ReasonLine::each(tallies.iter().flat_map(|t| &t.reasons)),
        accounts: tallies.iter().map(|t| account_line(t, &context)).collect(),
        findings: findings.iter().map(line).collect(),
        all_findings: format!("/findings?rule_id={}", rule.id),
        source: rule_text::source(&app, &rule).unwrap_or_default(),
        bar: answers.bar(),
        answers,
        rule,
        chrome,
    })
}

fn account_line(tally: &RuleTally, context: &PageContext) -> AccountLine {
    let answers = Answers::new(std::iter::once(tally));
    AccountLine {
        href: format!("/accounts/{}", tally.account_id),
        name: context.names.of(tally.account_id),
        bar: answers.bar(),
        answers,
    }
}
