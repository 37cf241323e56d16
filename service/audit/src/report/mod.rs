//! What an auditor asks of a role or a workload over a period: who could, who did, and what was not seen of it.
//!
//! Knows how the answers of several scans become one of a period, and when sessions are all there are. An empty list
//! says nothing by itself: what was not seen is a part of the report. Refuses to know how it is shown and from where
//! its parts come.

mod answer;
mod coverage;

use crate::access::assumable_by::{
    AssumableBy, AssumingRole, AssumingWorkload, ObtainableRole, ObtainableRoles, TrustedPrincipal,
};
use chrono::{DateTime, Utc};
use rolecall_estate::{AssociationKey, AttributionMethod, CompleteRange, Reason, SessionKind, Trail};
use rolecall_iam::{AccountId, RoleArn};
use std::collections::{BTreeMap, BTreeSet};

/// From one moment up to, and without, another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its begin.
    pub since: DateTime<Utc>,
    /// Its end.
    pub until: DateTime<Utc>,
}

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportSubject {
    /// A role: who could assume it, and who did.
    Role(RoleArn),
    /// A workload: which roles it could get, and which it used.
    Workload(AssociationKey),
}

/// What one scan says of who could.
#[derive(Debug, Clone)]
pub enum Could {
    /// Of a role; `None`: the scan does not show it.
    Role(Option<AssumableBy>),
    /// Of a workload; `None`: the scan does not show its association.
    Workload(Option<ObtainableRoles>),
}

/// Who got sessions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A workload, to which the sessions are attributed.
    Workload(AssociationKey),
    /// Pods whose sessions are attributed to no one workload.
    Pods {
        /// `ambiguous` or `none`.
        method: AttributionMethod,
        /// The cluster, as far as it is known.
        cluster: Option<String>,
        /// The namespace.
        namespace: Option<String>,
        /// The service account.
        service_account: Option<String>,
    },
    /// Any other principal, without its session's name.
    Principal(String),
}

/// Sessions of one caller with one role, or attempts at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionGroup {
    /// The role; `None` where the event names none.
    pub role_arn: Option<String>,
    /// Who asked.
    pub caller: Caller,
    /// How.
    pub kind: SessionKind,
    /// Sessions that were created; one that two accounts recorded counts once.
    pub sessions: u64,
    /// Calls that were refused or failed.
    pub refused: u64,
    /// The first of either.
    pub first: DateTime<Utc>,
    /// The last of either.
    pub last: DateTime<Utc>,
}

/// What a report is made of.
#[derive(Debug, Clone)]
pub struct Material {
    /// What it is about.
    pub subject: ReportSubject,
    /// Of when.
    pub period: Period,
    /// What scans say of who could, from the earliest: the one that was the latest at the begin, those of the period
    /// that show a change, and the one that was the latest at the end; each with its time.
    pub could: Vec<(DateTime<Utc>, Could)>,
    /// Whether a scan was made before the begin.
    pub has_begin: bool,
    /// Whether more scans of the period show a change than are here.
    pub more_scans: bool,
    /// The sessions of the period.
    pub sessions: Vec<SessionGroup>,
    /// Whether there are more than are here.
    pub more_sessions: bool,
    /// The accounts in whose trails the sessions stand.
    pub accounts: BTreeSet<AccountId>,
    /// What was read completely of those trails.
    pub complete: Vec<CompleteRange>,
    /// The trails that record them.
    pub trails: Vec<Trail>,
    /// Whether whoever asks may see a part of the estate only.
    pub is_limited: bool,
}

/// Something that could be, with the times of the scans that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lasting<T> {
    /// As the latest of the scans shows it.
    pub item: T,
    /// The scans.
    pub at: Vec<DateTime<Utc>>,
    /// Whether all scans show it.
    pub throughout: bool,
}

/// What a thing that was not seen concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Who could.
    Configuration,
    /// Who did.
    Sessions,
}

/// Something that was not seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotSeen {
    /// What it concerns.
    pub about: About,
    /// What, and why.
    pub reason: Reason,
}

/// The report.
#[derive(Debug, Clone)]
pub struct AccessReport {
    /// What it is about.
    pub subject: ReportSubject,
    /// Of when.
    pub period: Period,
    /// The answer in a few sentences.
    pub answer: String,
    /// What was not seen, of either question.
    pub not_seen: Vec<NotSeen>,
    /// Whether the sessions are all there were, and each is told to be somebody's.
    pub sessions_complete: bool,
    /// The times of the scans that were read.
    pub scans: Vec<DateTime<Utc>>,
    /// Whom the trust policy let in.
    pub principals: Vec<Lasting<TrustedPrincipal>>,
    /// The roles that could assume the role.
    pub roles: Vec<Lasting<AssumingRole>>,
    /// The workloads that could get to the role.
    pub workloads: Vec<Lasting<AssumingWorkload>>,
    /// The roles that the workload could get.
    pub obtainable: Vec<Lasting<ObtainableRole>>,
    /// Who did: with the most sessions first.
    pub sessions: Vec<SessionGroup>,
}

/// Makes the report.
#[must_use]
pub fn access_report(material: Material) -> AccessReport {
    let scans: Vec<DateTime<Utc>> = material.could.iter().map(|(at, _)| *at).collect();
    let mut not_seen = coverage::not_seen(&material);
    let of_role = |could: &Could| match could {
        Could::Role(Some(found)) => found.clone().into(),
        Could::Role(None) | Could::Workload(_) => Parts::default(),
    };
    let parts: Vec<(DateTime<Utc>, Parts)> = material.could.iter().map(|(at, could)| (*at, of_role(could))).collect();
    let obtainable: Vec<(DateTime<Utc>, Vec<ObtainableRole>)> = material
        .could
        .iter()
        .map(|(at, could)| match could {
            Could::Workload(Some(found)) => (*at, found.roles.clone()),
            Could::Workload(None) | Could::Role(_) => (*at, Vec::new()),
        })
        .collect();
    not_seen.sort();
    not_seen.dedup();
    let sessions_complete = !not_seen.iter().any(|it| it.about == About::Sessions);
    let mut sessions = material.sessions;
    sessions.sort_by(|a, b| {
        (b.sessions, b.refused, &a.caller, &a.role_arn).cmp(&(a.sessions, a.refused, &b.caller, &b.role_arn))
    });
    let answer = answer::answer(&material.subject, &sessions, &not_seen);
    let each = |take: fn(&Parts) -> &Vec<TrustedPrincipal>| {
        lasting(parts.iter().map(|(at, parts)| (*at, take(parts).as_slice())), |it| {
            (it.principal.clone(), it.actions.clone(), it.conditional, it.unknown.is_empty())
        })
    };
    AccessReport {
        principals: each(|parts| &parts.principals),
        roles: lasting(parts.iter().map(|(at, parts)| (*at, parts.roles.as_slice())), |it| {
            (it.role_arn.to_string(), it.unknown.is_empty())
        }),
        workloads: lasting(parts.iter().map(|(at, parts)| (*at, parts.workloads.as_slice())), |it| {
            (it.association.to_string(), it.via, it.through.clone(), it.unknown.is_empty())
        }),
        obtainable: lasting(obtainable.iter().map(|(at, roles)| (*at, roles.as_slice())), |it| {
            (it.role_arn.clone(), it.via, it.through.clone(), it.unknown.is_empty())
        }),
        subject: material.subject,
        period: material.period,
        answer,
        not_seen,
        sessions_complete,
        scans,
        sessions,
    }
}

#[derive(Default)]
struct Parts {
    principals: Vec<TrustedPrincipal>,
    roles: Vec<AssumingRole>,
    workloads: Vec<AssumingWorkload>,
}

impl From<AssumableBy> for Parts {
    fn from(found: AssumableBy) -> Self {
        Self { principals: found.principals, roles: found.roles, workloads: found.workloads }
    }
}

/// Each thing once, by what makes it the same in two scans, in that order.
fn lasting<'a, T: Clone + 'a, K: Ord>(
    scans: impl Iterator<Item = (DateTime<Utc>, &'a [T])>,
    key: impl Fn(&T) -> K,
) -> Vec<Lasting<T>> {
    let mut found: BTreeMap<K, Lasting<T>> = BTreeMap::new();
    let mut number = 0_usize;
    for (at, items) in scans {
        number += 1;
        for item in items {
            let entry = found.entry(key(item)).or_insert_with(|| Lasting {
                item: item.clone(),
                at: Vec::new(),
                throughout: false,
            });
            if entry.at.last() != Some(&at) {
                entry.at.push(at);
            }
            entry.item = item.clone();
        }
    }
    let mut all: Vec<Lasting<T>> = found.into_values().collect();
    all.iter_mut().for_each(|it| it.throughout = it.at.len() == number);
    all
}
