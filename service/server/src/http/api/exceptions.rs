//! `/api/v1/exceptions`: everything that suppresses findings, by its end.

use super::shape::{Listed, listed};
use crate::http::error::{AppError, Problem};
use crate::http::exceptions::{ExceptionRow, Exceptions};
use crate::http::filters;
use crate::http::listing;
use crate::http::query::{CURSOR, LIMIT, api_query};
use crate::http::visible::Visible;
use axum::extract::RawQuery;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

api_query! {
    /// Query of the list, which is not counted.
    ExceptionsQuery = filters::EXCEPTIONS, &[LIMIT, CURSOR]
}

/// What suppresses findings until a date.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExceptionItemJson {
    /// `file`: an exception of the policy files, which only the file changes; `asked`: a suppression that a person or a
    /// program asked for.
    pub(crate) source: &'static str,
    /// `requested` (it awaits approval), `scheduled` (it begins later), `in_force` or `ended`.
    pub(crate) state: &'static str,
    /// When it ends, or ended by itself.
    pub(crate) until: DateTime<Utc>,
    /// Whether it holds and ends within 14 days.
    pub(crate) ends_soon: bool,
    /// Of a file: the exception's name.
    pub(crate) name: Option<String>,
    /// Of a file: which, and the line.
    #[schema(example = "exceptions/platform.yaml:3")]
    pub(crate) origin: Option<String>,
    /// Of a file: the ticket that it stands in.
    pub(crate) ticket: Option<String>,
    /// `false_positive`, `risk_accepted`, `compensating_control` or `test`; null of a file.
    pub(crate) reason: Option<&'static str>,
    /// Why, in words.
    pub(crate) justification: String,
    /// Who asked for it; of a file its owner.
    pub(crate) requested_by: String,
    /// When it was asked for; null of a file.
    pub(crate) requested_at: Option<DateTime<Utc>>,
    /// The other person who approved it.
    pub(crate) approved_by: Option<String>,
    /// The rules that it excuses.
    pub(crate) rule_ids: Vec<String>,
    /// The number of the finding that it suppresses; null of a file, which covers whatever it names.
    pub(crate) finding: Option<i64>,
    /// That finding's fingerprint.
    pub(crate) fingerprint: Option<String>,
    /// That finding's sentence.
    pub(crate) message: Option<String>,
    /// The account of that finding.
    pub(crate) account_id: Option<String>,
    /// How many findings it suppresses now.
    pub(crate) findings: u64,
    /// When it ended; null of a file.
    pub(crate) ended_at: Option<DateTime<Utc>>,
    /// Who ended it; null where its time was over.
    pub(crate) ended_by: Option<String>,
    /// Why: `expired`, `opened`, `replaced`, `declined` or `withdrawn`.
    pub(crate) ended_because: Option<String>,
}

impl ExceptionItemJson {
    /// As it is at a moment.
    pub(crate) fn new(row: &ExceptionRow, now: DateTime<Utc>) -> Self {
        let (state, until, ends_soon) = (row.state().as_str(), row.until(), row.ends_soon(now));
        match row {
            ExceptionRow::File(file) => Self {
                source: "file",
                state,
                until,
                ends_soon,
                name: Some(file.name.clone()),
                origin: Some(file.origin.clone()),
                ticket: file.ticket.clone(),
                reason: None,
                justification: file.reason.clone(),
                requested_by: file.owner.clone(),
                requested_at: None,
                approved_by: None,
                rule_ids: file.rules.clone(),
                finding: None,
                fingerprint: None,
                message: None,
                account_id: None,
                findings: file.findings,
                ended_at: None,
                ended_by: None,
                ended_because: (state == "ended").then(|| "expired".to_owned()),
            },
            ExceptionRow::Asked(asked) => Self {
                source: "asked",
                state,
                until,
                ends_soon,
                name: None,
                origin: None,
                ticket: None,
                reason: Some(asked.suppression.reason.as_str()),
                justification: asked.suppression.justification.clone(),
                requested_by: asked.suppression.requested_by.clone(),
                requested_at: Some(asked.suppression.requested_at),
                approved_by: asked.suppression.approved_by.clone(),
                rule_ids: vec![asked.rule.clone()],
                finding: Some(asked.finding),
                fingerprint: Some(asked.fingerprint.clone()),
                message: Some(asked.message.clone()),
                account_id: Some(asked.account_id.to_string()),
                findings: asked.suppresses().into(),
                ended_at: asked.ended_at,
                ended_by: asked.ended_by.clone(),
                ended_because: asked.ended_because.clone(),
            },
        }
    }
}

/// Everything that suppresses findings, the first to end first: exceptions of the policy files beside what people and
/// programs asked for, also what has ended.
#[utoipa::path(
    get, path = "/api/v1/exceptions", tag = "findings", operation_id = "list_exceptions", params(ExceptionsQuery),
    responses((status = 200, body = Listed<ExceptionItemJson>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = ExceptionsQuery::parse(raw.as_deref())?;
    let list = Exceptions::new(&app.store, &app.rules, &params).await?;
    let slice = listing::page(&app, &params, &list, params.limit(100)).await?;
    listed("/api/v1/exceptions", &params, slice, None, |row| ExceptionItemJson::new(&row, list.now))
}
