//! The auditor's report on a role or a workload: loads what scans and trails have of the period, and asks.
//!
//! One road for API, page and command line. Refuses to know how the answer is shown.

use super::assumable_by::keep_shown;
use crate::app::App;
use chrono::{DateTime, Utc};
use rolecall_audit::access::assumable_by::{AssumingVia, ObtainableRoles, accounts, assumable_by, obtainable_by};
use rolecall_audit::report::{AccessReport, Could, Material, Period, ReportSubject, access_report};
use rolecall_estate::{AssociationKey, Estate};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{AsOf, ChangeFilter, ChangeRow, Store};
use std::collections::BTreeSet;

/// So many scans between the begin and the end are read, of those that show a change.
const BETWEEN: u32 = 10;
/// So many callers are listed.
const CALLERS: u32 = 1_000;
/// So many changes are listed.
pub(crate) const CHANGES: u32 = 500;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database fails.
    #[error("what is stored cannot be read")]
    Store(#[from] rolecall_store::Error),
    /// Neither a scan nor a trail has it.
    #[error("no scan shows {0}, and no session of it is known")]
    Unknown(String),
    /// The task that decides was stopped.
    #[error("deciding was stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

/// A report with the changes of the period.
pub(crate) struct Found {
    pub(crate) report: AccessReport,
    /// The latest first.
    pub(crate) changes: Vec<ChangeRow>,
    /// Whether there are more than are here.
    pub(crate) more_changes: bool,
    pub(crate) is_limited: bool,
}

/// The report on a role or a workload in a period, of all that `store` has.
pub(crate) async fn report(store: &Store, subject: ReportSubject, period: Period) -> Result<Found, Failure> {
    report_of(store, store, subject, period).await
}

/// The report as far as whoever asks may see. Who could is worked out over all that is stored: with limited eyes a policy
/// that is not seen would be one that is not there. Roles and workloads that are not seen are left out of it; sessions
/// and changes are those that are seen. That something may be left out is said.
pub(crate) async fn report_seen(app: &App, subject: ReportSubject, period: Period) -> Result<Found, Failure> {
    let (seen, whole) = (&app.store, app.whole());
    if seen.is_limited() {
        let shown = match &subject {
            ReportSubject::Role(arn) => seen.shown_roles(&[arn.to_string()]).await?,
            ReportSubject::Workload(key) => seen.shown_associations(&[key.to_string()]).await?,
        };
        if shown.is_empty() {
            return Err(unknown(&subject));
        }
    }
    report_of(seen, whole, subject, period).await
}

fn unknown(subject: &ReportSubject) -> Failure {
    Failure::Unknown(match subject {
        ReportSubject::Role(arn) => format!("the role `{arn}`"),
        ReportSubject::Workload(key) => format!("the association `{key}`"),
    })
}

async fn report_of(store: &Store, whole: &Store, subject: ReportSubject, period: Period) -> Result<Found, Failure> {
    let end = period.until.min(store.now().await?);
    let begin = store.as_of(period.since).await?.ok();
    let last = store.as_of(end).await?.ok();
    let own = match &subject {
        ReportSubject::Role(arn) => arn.account_id(),
        ReportSubject::Workload(key) => key.account_id,
    };
    let (accounts, roles) = (BTreeSet::from([own]), BTreeSet::new());
    let mut read = Read { seen: store, whole, subject: subject.clone(), accounts, roles };
    let mut could: Vec<(DateTime<Utc>, Could)> = Vec::new();
    for as_of in [begin, last].into_iter().flatten() {
        if could.last().is_none_or(|(at, _)| *at != as_of.scanned_at()) {
            could.push((as_of.scanned_at(), read.at(as_of).await?));
        }
    }
    let (from, to) = (begin.map_or(period.since, AsOf::scanned_at), last.map_or(end, AsOf::scanned_at));
    let (roles, associations) = read.watched(&could);
    let mut between = store.scans_of_change(&roles, &associations, from, to, BETWEEN + 1).await?;
    let read_whole = usize::try_from(BETWEEN).unwrap_or(usize::MAX);
    let more_scans = between.len() > read_whole;
    between.truncate(read_whole);
    for as_of in between {
        could.push((as_of.scanned_at(), read.at(as_of).await?));
    }
    could.sort_by_key(|(at, _)| *at);
    let Read { accounts, roles, .. } = read;
    let roles: Vec<String> = roles.into_iter().collect();
    let known: BTreeSet<AccountId> = store.account_names().await?.into_iter().map(|(id, _)| id).collect();
    let recorded: Vec<AccountId> = known.union(&accounts).copied().collect();
    let (sessions, more_sessions) = store.session_groups(&subject, &roles, &recorded, period, CALLERS).await?;
    let is_known = could.iter().any(|(_, could)| !matches!(could, Could::Role(None) | Could::Workload(None)));
    let (changes, more_changes) = changes(store, &subject, period).await?;
    if !is_known && sessions.is_empty() && changes.is_empty() && !is_there(store, &subject).await? {
        return Err(unknown(&subject));
    }
    let of: Vec<AccountId> = accounts.iter().copied().collect();
    let complete = if of.is_empty() { Vec::new() } else { store.complete_ranges(&of).await? };
    let trails = whole.estate_of(&BTreeSet::new(), None).await?.confirmed_trails();
    let is_limited = store.is_limited();
    let material = Material {
        subject,
        period,
        could,
        has_begin: begin.is_some(),
        more_scans,
        sessions,
        more_sessions,
        accounts,
        complete,
        trails,
        is_limited,
    };
    let mut report = access_report(material);
    let reasons = report.not_seen.iter().map(|it| it.reason.clone()).collect();
    for (not_seen, shown) in report.not_seen.iter_mut().zip(store.shown_reasons(reasons).await?) {
        not_seen.reason = shown;
    }
    Ok(Found { report, changes, more_changes, is_limited })
}

/// Whether the latest scan shows it, whatever the period has.
async fn is_there(store: &Store, subject: &ReportSubject) -> Result<bool, Failure> {
    Ok(match subject {
        ReportSubject::Role(arn) => store.role(arn, None).await?.is_some(),
        ReportSubject::Workload(key) => store.association(key, store.now().await?, None).await?.is_some(),
    })
}

/// The changes of the period.
async fn changes(store: &Store, subject: &ReportSubject, period: Period) -> Result<(Vec<ChangeRow>, bool), Failure> {
    let mut rows = match subject {
        ReportSubject::Role(arn) => {
            let filter = ChangeFilter {
                resource: Some(arn.to_string()),
                since: Some(period.since),
                until: Some(period.until),
                ..ChangeFilter::default()
            };
            store.changes(&filter, None, CHANGES + 1).await?
        }
        ReportSubject::Workload(key) => {
            let of_period = |row: &ChangeRow| period.since <= row.detected_at && row.detected_at < period.until;
            let as_of = store.as_of(period.until.min(store.now().await?)).await?.ok();
            let history = store.workload_history(key, as_of, CHANGES + 1).await?;
            history.into_iter().map(|found| found.row).filter(of_period).collect()
        }
    };
    let most = usize::try_from(CHANGES).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    Ok((rows, more))
}

/// Reads scans, and gathers the accounts and roles that the question is about.
struct Read<'s> {
    /// What whoever asks may see.
    seen: &'s Store,
    /// What decides.
    whole: &'s Store,
    subject: ReportSubject,
    /// In whose trails the sessions stand.
    accounts: BTreeSet<AccountId>,
    /// That the workload gets.
    roles: BTreeSet<String>,
}

impl Read<'_> {
    async fn at(&mut self, as_of: AsOf) -> Result<Could, Failure> {
        match self.subject.clone() {
            ReportSubject::Role(arn) => self.of_role(arn, as_of).await,
            ReportSubject::Workload(key) => self.of_workload(key, as_of).await,
        }
    }

    async fn of_role(&self, arn: RoleArn, as_of: AsOf) -> Result<Could, Failure> {
        let own: BTreeSet<AccountId> = BTreeSet::from([arn.account_id()]);
        let first = self.whole.estate_of(&own, Some(as_of)).await?;
        let wanted = accounts(&first, &arn);
        let estate = if wanted.is_subset(&own) { first } else { self.whole.estate_of(&wanted, Some(as_of)).await? };
        let deciding = tokio::task::spawn_blocking(move || assumable_by(&estate, &arn).ok());
        let mut found = deciding.await.map_err(Failure::Stopped)?;
        if let Some(found) = found.as_mut().filter(|_| self.seen.is_limited()) {
            keep_shown(self.seen, found).await?;
        }
        Ok(Could::Role(found))
    }

    async fn of_workload(&mut self, key: AssociationKey, as_of: AsOf) -> Result<Could, Failure> {
        let own: BTreeSet<AccountId> = BTreeSet::from([key.account_id]);
        let first = self.whole.estate_of(&own, Some(as_of)).await?;
        let named = named(&first, &key);
        let accounts = named.iter().filter_map(|arn| Some(arn.parse::<RoleArn>().ok()?.account_id()));
        let wanted: BTreeSet<AccountId> = own.iter().copied().chain(accounts).collect();
        self.accounts.extend(&wanted);
        self.roles.extend(named);
        let estate = if wanted == own { first } else { self.whole.estate_of(&wanted, Some(as_of)).await? };
        let deciding = tokio::task::spawn_blocking(move || obtainable_by(&estate, &key));
        let mut found = deciding.await.map_err(Failure::Stopped)?;
        if let Some(found) = found.as_mut().filter(|_| self.seen.is_limited()) {
            keep_obtainable(self.seen, found).await?;
        }
        Ok(Could::Workload(found))
    }

    /// The roles and associations whose changes in between are to be read.
    fn watched(&self, could: &[(DateTime<Utc>, Could)]) -> (Vec<String>, Vec<String>) {
        let mut roles = self.roles.clone();
        let mut associations = BTreeSet::new();
        match &self.subject {
            ReportSubject::Role(arn) => drop(roles.insert(arn.to_string())),
            ReportSubject::Workload(key) => drop(associations.insert(key.to_string())),
        }
        for (_, could) in could {
            if let Could::Role(Some(found)) = could {
                roles.extend(found.workloads.iter().map(|workload| workload.through.clone()));
                associations.extend(found.workloads.iter().map(|workload| workload.association.to_string()));
            }
        }
        // Of a workload's roles each is of others too: only its own steps are read.
        match &self.subject {
            ReportSubject::Role(_) => (roles.into_iter().collect(), associations.into_iter().collect()),
            ReportSubject::Workload(_) => (Vec::new(), associations.into_iter().collect()),
        }
    }
}

/// Leaves out roles that are not seen, but for those that the workload's association names, and their names in reasons.
async fn keep_obtainable(seen: &Store, found: &mut ObtainableRoles) -> Result<(), rolecall_store::Error> {
    let arns: Vec<String> = found.roles.iter().map(|it| it.role_arn.clone()).collect();
    let shown = seen.shown_roles(&arns).await?;
    found.roles.retain(|it| it.via != AssumingVia::AssumeRole || shown.contains(&it.role_arn));
    for reasons in found.roles.iter_mut().map(|it| &mut it.unknown).chain([&mut found.missing]) {
        *reasons = seen.shown_reasons(std::mem::take(reasons)).await?;
    }
    Ok(())
}

/// The roles that an association names.
fn named(estate: &Estate, key: &AssociationKey) -> Vec<String> {
    let found = estate.associations.iter().find(|association| association.key == *key);
    let detail = found.and_then(|association| association.detail.as_ref());
    detail.map_or_else(Vec::new, |detail| {
        [Some(&detail.role_arn), detail.target_role_arn.as_ref()].into_iter().flatten().cloned().collect()
    })
}
