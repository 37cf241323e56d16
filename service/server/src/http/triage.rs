//! Steps in findings' workflow: one way for the API and for forms, with what refuses them said in the same words.
//! Refuses to know SQL and which steps a finding takes.

use super::error::{AppError, Code, FieldError};
use super::principal::Principal;
use crate::app::App;
use chrono::{DateTime, Utc};
use rolecall_audit::finding::Workflow;
use rolecall_audit::finding::triage::{
    Assignee, Comment, Suppression, SuppressionReason, Triage, TriageFault, WorkflowStep,
};
use rolecall_store::{MOST_TRIAGED, NotDecided, NotTriaged, TriageOf, TriagedAll, TriagedBy};

/// A suppression as it was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct AskedSuppression {
    pub(super) reason: String,
    pub(super) justification: String,
    pub(super) until: Option<DateTime<Utc>>,
}

/// Steps as they were asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) state: Option<String>,
    pub(super) suppression: Option<AskedSuppression>,
    /// `Some(None)`: nobody any more.
    pub(super) assignee: Option<Option<String>>,
    pub(super) comment: Option<String>,
}

impl Asked {
    async fn read(self, app: &App) -> Result<Triage, AppError> {
        let now = app.store.now().await?;
        let mut faults = Vec::new();
        let step = self.step(now, &mut faults);
        let assignee = self.assignee.map(|name| name.map(|name| Assignee::new(&name)).transpose()).transpose();
        let assignee = assignee.map_err(|wrong| faults.push(fault(wrong))).unwrap_or_default();
        let comment = self.comment.map(|words| Comment::new(&words)).transpose();
        let comment = comment.map_err(|wrong| faults.push(fault(wrong))).unwrap_or_default();
        if !faults.is_empty() {
            return Err(AppError::of_fields(Code::InvalidParameter, faults));
        }
        let asked = Triage { step, assignee, comment };
        if asked.is_empty() {
            let detail = "nothing is asked; give `state`, `assignee` or `comment`";
            return Err(AppError::new(Code::InvalidParameter, detail));
        }
        Ok(asked)
    }

    fn step(&self, now: DateTime<Utc>, faults: &mut Vec<FieldError>) -> Option<WorkflowStep> {
        let mut wrong = |parameter: &str, message: String| {
            faults.push(FieldError { parameter: parameter.to_owned(), message });
            None
        };
        let state = match self.state.as_deref().map(str::parse::<Workflow>) {
            None => None,
            Some(Ok(Workflow::Resolved)) => {
                return wrong(
                    "state",
                    "`state`: only a scan resolves a finding; suppress it where it is accepted".into(),
                );
            }
            Some(Ok(state)) => Some(state),
            Some(Err(error)) => return wrong("state", format!("`state`: {error}")),
        };
        match (state, &self.suppression) {
            (Some(Workflow::Suppressed), Some(asked)) => {
                let reason: SuppressionReason = match asked.reason.parse() {
                    Ok(reason) => reason,
                    Err(error) => return wrong("reason", format!("`reason`: {error}")),
                };
                match Suppression::new(reason, &asked.justification, asked.until, now) {
                    Ok(suppression) => Some(WorkflowStep::Suppress(suppression)),
                    Err(found) => {
                        faults.extend(found.into_iter().map(fault));
                        None
                    }
                }
            }
            (Some(Workflow::Suppressed), None) => {
                wrong("suppression", "`suppression` is missing; give its reason and justification".into())
            }
            (_, Some(_)) => wrong("suppression", "`suppression` goes with the state `suppressed`".into()),
            (Some(Workflow::Acknowledged), None) => Some(WorkflowStep::Acknowledge),
            (Some(Workflow::Open), None) => Some(WorkflowStep::Open),
            (Some(Workflow::Resolved) | None, None) => None,
        }
    }
}

fn fault(it: TriageFault) -> FieldError {
    FieldError { parameter: it.field.to_owned(), message: it.message }
}

/// Takes steps of one finding, and gives its number. `version` is what it is expected to be at.
pub(super) async fn one(
    app: &App,
    id: &str,
    asked: Asked,
    version: Option<i64>,
    who: &Principal,
) -> Result<i64, AppError> {
    let asked = asked.read(app).await?;
    let taken = who.store(app).triage_finding(id, &asked, version, by(app, &who.label())).await?;
    taken.map_err(|why| {
        let (code, detail) = refused(why);
        AppError::new(code, format!("finding `{id}`: {detail}"))
    })
}

/// Takes steps of many findings, each by itself.
pub(super) async fn many(
    app: &App,
    of: &TriageOf,
    asked: Asked,
    dry_run: bool,
    who: &Principal,
) -> Result<TriagedAll, AppError> {
    let asked = asked.read(app).await?;
    let wrong = |parameter: &str, message: String| {
        AppError::of_fields(Code::InvalidParameter, vec![FieldError { parameter: parameter.to_owned(), message }])
    };
    match of {
        TriageOf::Ids(ids) if ids.is_empty() || ids.len() > MOST_TRIAGED as usize => {
            return Err(wrong("ids", format!("`ids` names {} findings; name from 1 to {MOST_TRIAGED}", ids.len())));
        }
        TriageOf::Filter(_, expected) if *expected == 0 || *expected > u64::from(MOST_TRIAGED) => {
            let message = format!("`expected` is {expected}; from 1 to {MOST_TRIAGED} findings take a step together");
            return Err(wrong("expected", message));
        }
        TriageOf::Ids(_) | TriageOf::Filter(..) => {}
    }
    let done = who.store(app).triage_findings(of, &asked, by(app, &who.label()), dry_run).await?;
    if let (TriagedAll::Unexpected(found), TriageOf::Filter(_, expected)) = (&done, of) {
        let more =
            if *found > u64::from(MOST_TRIAGED) { format!("more than {MOST_TRIAGED}") } else { found.to_string() };
        let detail =
            format!("`expected` is {expected}, and {more} findings match; look at the list again, or narrow it");
        return Err(AppError::new(Code::Conflict, detail));
    }
    Ok(done)
}

/// Approves or declines the suppression that awaits it.
pub(super) async fn decide(app: &App, id: &str, approve: bool, who: &Principal) -> Result<i64, AppError> {
    let decided = who.store(app).decide_suppression(id, approve, &who.label()).await?;
    decided.map_err(|why| match why {
        NotDecided::Absent => AppError::not_found(format!("finding `{id}`")),
        NotDecided::NotRequested => {
            AppError::new(Code::Conflict, format!("finding `{id}`: no suppression awaits approval"))
        }
        NotDecided::SamePerson => {
            let detail = "another person than who asked for a suppression approves it";
            AppError::new(Code::Forbidden, format!("finding `{id}`: {detail}"))
        }
        NotDecided::Refused(why) => AppError::new(Code::Conflict, format!("finding `{id}`: {why}")),
    })
}

fn by<'a>(app: &App, who: &'a str) -> TriagedBy<'a> {
    TriagedBy { who, approver_required: app.config.triage.approver_required }
}

/// Why a finding did not take a step, for the client.
pub(super) fn refused(why: NotTriaged) -> (Code, String) {
    match why {
        NotTriaged::Absent => (Code::NotFound, "it is not known here".to_owned()),
        NotTriaged::Changed(version) => {
            (Code::PreconditionFailed, format!("it is at version {version} by now; read it again"))
        }
        NotTriaged::Refused(why) => (Code::Conflict, why.to_string()),
    }
}
