//! Grants against use, of what is stored: loads what it needs and weighs it.
//!
//! One road for the API and the page. Refuses to know how the answer is shown.

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use rolecall_audit::access::unused::{UsageReport, Window, covered};
use rolecall_audit::access::usage::{UsageError, UsageSubject, analyze_usage, role_of};
use rolecall_estate::{CompleteRange, Used};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{AsOf, Store, UsageOf, UsageWindow, UseRow};
use std::collections::BTreeSet;

/// So many days are looked back unless somebody says otherwise.
pub(crate) const DAYS: u16 = 90;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database fails.
    #[error("what is stored cannot be read")]
    Store(#[from] rolecall_store::Error),
    /// There is nothing to weigh.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The task that weighs was stopped.
    #[error("weighing was stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

/// Weighs the stored grants of a role, or of an association's pods, against their calls: as they are, or the grants as
/// they were known at a moment against the calls until then.
pub(crate) async fn usage_report(
    store: &Store,
    whose: UsageSubject,
    days: u16,
    as_of: Option<AsOf>,
) -> Result<UsageReport, Failure> {
    let mut accounts: BTreeSet<AccountId> = BTreeSet::new();
    match &whose {
        UsageSubject::Pods(key) => accounts.extend([key.account_id]),
        UsageSubject::Role(arn) => accounts.extend(arn.parse::<RoleArn>().map(|role| role.account_id())),
    }
    let first = store.estate_of(&accounts, as_of).await?;
    let arn = role_of(&first, &whose)?;
    let role: RoleArn = arn.parse().map_err(|_| UsageError::Role(arn.clone()))?;
    let account = role.account_id();
    let estate = if accounts.insert(account) { store.estate_of(&accounts, as_of).await? } else { first };
    let association_id = match &whose {
        UsageSubject::Role(_) => None,
        UsageSubject::Pods(key) => {
            let association = estate.associations.iter().find(|association| association.key == *key);
            association.map(|association| association.association_id.clone())
        }
    };
    let until = as_of.map(AsOf::at);
    let now = until.unwrap_or_else(Utc::now);
    let whole: Vec<CompleteRange> =
        store.complete_ranges(&[account]).await?.into_iter().filter_map(|range| up_to(range, until)).collect();
    let window = covered(&estate, &role, Window { days, now, complete: &whole });
    let within = UsageWindow { since: Some(window.since.date_naive()), until };
    let rows: Vec<UseRow> = store.usage(&UsageOf::Role(arn), within, false).try_collect().await?;
    let weighing = tokio::task::spawn_blocking(move || {
        let uses: Vec<Used> = rows.into_iter().filter_map(|row| used(row, association_id.as_deref())).collect();
        analyze_usage(&estate, &whose, &uses, window)
    });
    Ok(weighing.await.map_err(Failure::Stopped)??)
}

/// The part of a range until a moment; `None` where it begins later.
fn up_to(range: CompleteRange, until: Option<DateTime<Utc>>) -> Option<CompleteRange> {
    let to = until.map_or(range.to, |until| range.to.min(until));
    (range.from < to).then_some(CompleteRange { to, ..range })
}

/// A row of use as calls of the workload; `None` where it is surely another one's.
fn used(row: UseRow, association_id: Option<&str>) -> Option<Used> {
    let is_own = match (association_id, row.association_id.as_deref()) {
        // Whoever calls with the role uses the role's grants.
        (None, _) => true,
        (Some(own), Some(other)) if own == other => true,
        (Some(_), Some(_)) => return None,
        (Some(_), None) => false,
    };
    Some(Used {
        role_arn: row.role_arn,
        is_own,
        action: row.action,
        calls: row.calls,
        errors: row.errors,
        denied: row.denied,
        first: row.first_at,
        last: row.last_at,
    })
}
