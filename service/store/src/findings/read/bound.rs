//! A filter as parameters of a statement, and which family of statements it needs.

use super::row::{FindingAfter, FindingSort};
use crate::findings::filter::{FindingFilter, FindingVia};
use crate::findings::tickets::TicketFilter;
use crate::parse::{severity_of, severity_rank};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::access::reach::Via;
use rolecall_audit::finding::Workflow;
use rolecall_audit::finding::triage::due::DueDays;
use rolecall_rules::Severity;

/// A filter as the statements take it.
pub(super) struct Bound {
    pub(super) workflow: Vec<String>,
    /// The same, with every state where none is asked for.
    pub(super) states: Vec<String>,
    pub(super) detection: Vec<String>,
    pub(super) severity: Vec<String>,
    pub(super) severity_min: Option<i16>,
    /// The ranks of the severities that are asked for; empty: any.
    pub(super) ranks: Vec<i16>,
    /// The least of them.
    pub(super) least_rank: i16,
    pub(super) accounts: Vec<String>,
    pub(super) kinds: Vec<String>,
    pub(super) folded: bool,
    pub(super) part_of: Option<String>,
    pub(super) due: Vec<String>,
    /// After so many hours a finding is due, by the rank of its severity; 0: never.
    pub(super) due_hours: Vec<i32>,
    /// So many hours before that it is due soon.
    pub(super) soon_hours: Vec<i32>,
    /// Whether findings count whose own subject is in the place.
    pub(super) own: bool,
    /// The ways by which a workload may reach the role of a finding that counts.
    pub(super) ways: Vec<String>,
    pub(super) association: Option<String>,
    pub(super) cluster_account: Option<String>,
    /// `none`, `any` or a system, which has neither name.
    pub(super) ticket: Option<String>,
    pub(super) owned: Option<&'static str>,
}

impl Bound {
    pub(super) fn new(filter: &FindingFilter, due: &DueDays) -> Self {
        let workflow: Vec<String> = filter.workflow.iter().map(|v| v.as_str().to_owned()).collect();
        let all = [Workflow::Open, Workflow::Acknowledged, Workflow::Suppressed, Workflow::Resolved];
        let any = filter.via.is_empty();
        let through =
            |way: Via| any || filter.via.iter().any(|v| *v == FindingVia::Role || *v == FindingVia::Reach(way));
        let hours = |of: fn(&DueDays, Severity) -> Option<TimeDelta>| {
            let by_rank = (0..5).map(|rank| of(due, severity_of(rank)).map_or(0, |time| time.num_hours()));
            by_rank.map(|hours| i32::try_from(hours).unwrap_or(i32::MAX)).collect()
        };
        // The indexes of the orders know the rank alone.
        let severity_min = [filter.severity_min, filter.severity.iter().min().copied()];
        let severity_min = severity_min.into_iter().flatten().max().map(severity_rank);
        let ways = [Via::Direct, Via::Target, Via::Chain].into_iter().filter(|way| through(*way));
        Self {
            states: if workflow.is_empty() { all.map(|v| v.as_str().to_owned()).into() } else { workflow.clone() },
            workflow,
            detection: filter.detection.iter().map(|v| v.as_str().to_owned()).collect(),
            severity: filter.severity.iter().map(|v| v.as_str().to_owned()).collect(),
            severity_min,
            ranks: filter.severity.iter().copied().map(severity_rank).collect(),
            least_rank: severity_min.unwrap_or_default(),
            accounts: filter.accounts.iter().map(ToString::to_string).collect(),
            kinds: filter.subject_kinds.iter().map(|v| v.as_str().to_owned()).collect(),
            folded: filter.folded || filter.part_of.is_some(),
            part_of: filter.part_of.as_ref().map(|head| head.0.clone()),
            due: filter.due.iter().map(|v| v.as_str().to_owned()).collect(),
            due_hours: hours(DueDays::within),
            soon_hours: hours(DueDays::soon),
            own: any || filter.via.contains(&FindingVia::Subject),
            ways: ways.map(|way| way.as_str().to_owned()).collect(),
            association: filter.association.as_ref().map(ToString::to_string),
            cluster_account: filter.cluster_account.as_ref().map(ToString::to_string),
            ticket: filter.ticket.as_ref().map(|ticket| match ticket {
                TicketFilter::None => "none".to_owned(),
                TicketFilter::Any => "any".to_owned(),
                TicketFilter::In(system) => system.clone(),
            }),
            owned: filter.owned.map(rolecall_audit::owner::Owned::as_str),
        }
    }
}

/// Which family of statements serves a filter.
pub(super) enum Family {
    State,
    Filter,
    Place,
}

impl Family {
    /// The same for a page: in the order of severity a list of some severities is a piece of the list of all.
    pub(super) fn of_page(filter: &FindingFilter, sort: FindingSort) -> Self {
        if sort != FindingSort::Severity || (filter.severity.is_empty() && filter.severity_min.is_none()) {
            return Self::new(filter);
        }
        Self::new(&FindingFilter { severity: Vec::new(), severity_min: None, ..filter.clone() })
    }

    pub(super) fn new(filter: &FindingFilter) -> Self {
        // Every field is named: a new one must be put in its place.
        let FindingFilter {
            workflow: _,
            detection,
            severity,
            severity_min,
            accounts,
            rules,
            subject_kinds,
            subject_key,
            region,
            cluster,
            cluster_account,
            namespace,
            service_account,
            association,
            via,
            role_arn,
            part_of,
            folded,
            updated_since,
            first_seen_after,
            assignees,
            assigned,
            owners,
            owned,
            due,
            ticket,
            q,
        } = filter;
        let place = [region, cluster, namespace, service_account].into_iter().any(Option::is_some);
        if place || cluster_account.is_some() || association.is_some() || !via.is_empty() {
            return Self::Place;
        }
        let texts = [subject_key, role_arn, q].into_iter().any(Option::is_some);
        let times = [updated_since, first_seen_after].into_iter().any(Option::is_some);
        let lists = detection.is_empty() && severity.is_empty() && accounts.is_empty();
        let lists = lists
            && owners.is_empty()
            && owned.is_none()
            && assignees.is_empty()
            && assigned.is_none()
            && due.is_empty()
            && ticket.is_none();
        let plain = lists && rules.is_empty() && subject_kinds.is_empty() && severity_min.is_none();
        if plain && !texts && !times && part_of.is_none() && !folded { Self::State } else { Self::Filter }
    }
}

/// Where a page begins, as each order takes it; without a page before, ahead of everything.
pub(super) struct Start {
    pub(super) rank: i16,
    /// `None` is ahead of every instant.
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) number: i64,
    /// Of the orders by a text.
    pub(super) text: String,
}

impl Start {
    /// After a finding, or at the beginning of what a filter leaves.
    pub(super) fn new(after: Option<FindingAfter>, filter: &FindingFilter, sort: FindingSort) -> Self {
        // The oldest first is the one order in which values and numbers rise.
        let number = if sort == FindingSort::Oldest { i64::MIN } else { i64::MAX };
        let ahead = FindingAfter { value: i64::MAX, text: String::new(), number };
        let FindingAfter { value, text, number } = after.unwrap_or(ahead);
        let at = DateTime::from_timestamp_micros(value).filter(|_| value != i64::MAX);
        let start = Self { rank: i16::try_from(value).unwrap_or(i16::MAX), at, number, text };
        match filter.severity.iter().max().copied().map(severity_rank) {
            // What is worse than all that is asked for is not stepped over.
            Some(worst) if sort == FindingSort::Severity && worst < start.rank => {
                Self { rank: worst, number: i64::MAX, ..start }
            }
            _ => start,
        }
    }
}
