//! What to do about a stored finding: loads what it needs, and asks.
//!
//! One way for the page and the API. Somebody with limits does not see all that decides, so that nothing is proved for
//! them: they get the rule's commands. Refuses to know how the answer is shown.

use super::error::AppError;
use crate::app::App;
use crate::query::unused::{DAYS, Failure, usage_report};
use rolecall_audit::access::unused::UsageReport;
use rolecall_audit::access::usage::UsageSubject;
use rolecall_audit::finding::Workflow;
use rolecall_audit::remediation::{Concern, Remediation, remediate};
use rolecall_iam::{AccountId, ArnText};
use rolecall_store::Finding;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What to do about a finding; `None` where its rule is gone.
pub(super) async fn of(app: &App, found: &Finding) -> Result<Option<Remediation>, AppError> {
    let Some(rule) = app.rules.set.rule(&found.row.rule).map(Arc::clone) else { return Ok(None) };
    let (subject, evidence) = (found.row.subject.clone(), found.evidence.clone());
    if found.row.workflow == Workflow::Resolved || app.store.is_limited() {
        let concern = Concern { rule: &rule, subject: &subject, evidence: &evidence };
        let text = rule.meta().remediation.text.trim().to_owned();
        let snippets = concern.snippets();
        return Ok(Some(Remediation { text, steps: Vec::new(), verified: None, snippets }));
    }
    let roles = [&subject.role_arn, &subject.target_role_arn];
    let mut accounts: BTreeSet<AccountId> = [subject.account_id].into();
    accounts.extend(roles.into_iter().flatten().filter_map(|arn| ArnText(arn).account_id()));
    let estate = app.store.estate_of(&accounts, None).await?;
    let rests_on_policies = evidence.iter().any(|it| it.document.is_some());
    let usage = match &subject.role_arn {
        Some(role) if rests_on_policies => used(app, role).await?,
        _ => None,
    };
    let now = app.store.now().await?;
    let asking = tokio::task::spawn_blocking(move || {
        let concern = Concern { rule: &rule, subject: &subject, evidence: &evidence };
        remediate(&concern, &estate, usage.as_ref(), now)
    });
    let remediation = asking.await.map_err(Failure::Stopped)?;
    Ok(Some(remediation))
}

/// What is known of the use of a role; `None` where nothing is.
async fn used(app: &App, role: &str) -> Result<Option<UsageReport>, AppError> {
    match usage_report(&app.store, UsageSubject::Role(role.to_owned()), DAYS, None).await {
        Ok(report) => Ok(Some(report)),
        Err(Failure::Usage(_)) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
