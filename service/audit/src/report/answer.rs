//! The answer to an auditor's question, in a few sentences: who used the role, or which roles the workload used, and
//! whether that is all.

use super::{About, Caller, NotSeen, ReportSubject, SessionGroup};
use std::collections::BTreeSet;

/// So many names stand in a sentence.
const NAMED: usize = 3;

pub(super) fn answer(subject: &ReportSubject, sessions: &[SessionGroup], not_seen: &[NotSeen]) -> String {
    let said = match subject {
        ReportSubject::Role(_) => of_role(sessions),
        ReportSubject::Workload(_) => of_workload(sessions),
    };
    let refused: u64 = sessions.iter().map(|group| group.refused).sum();
    let refused = match refused {
        0 => String::new(),
        1 => " 1 attempt was refused or failed.".to_owned(),
        n => format!(" {n} attempts were refused or failed."),
    };
    let missing: Vec<&NotSeen> = not_seen.iter().filter(|it| it.about == About::Sessions).collect();
    let coverage = match missing.as_slice() {
        [] => "Coverage of sessions is complete.".to_owned(),
        [first] => format!("Coverage of sessions is not complete: {}.", first.reason.text()),
        [first, rest @ ..] => {
            format!("Coverage of sessions is not complete: {}; and {} more.", first.reason.text(), rest.len())
        }
    };
    let caution = if sessions.iter().all(|group| group.sessions == 0) && !missing.is_empty() {
        " This does not show that there was none."
    } else {
        ""
    };
    format!("{said}{refused} {coverage}{caution}")
}

fn of_role(sessions: &[SessionGroup]) -> String {
    let created = || sessions.iter().filter(|group| group.sessions > 0);
    let mut workloads = BTreeSet::new();
    let mut namespaces = BTreeSet::new();
    let mut principals = BTreeSet::new();
    let mut pods = 0;
    for group in created() {
        match &group.caller {
            Caller::Workload(key) => {
                namespaces.insert((key.account_id, &key.cluster, &key.namespace));
                workloads.insert(format!("{}/{} in cluster {}", key.namespace, key.service_account, key.cluster));
            }
            Caller::Pods { .. } => pods += group.sessions,
            Caller::Principal(principal) => drop(principals.insert(principal.clone())),
        }
    }
    let mut parts = Vec::new();
    if !workloads.is_empty() {
        let place = if namespaces.len() == 1 && workloads.len() > 1 { " of one namespace" } else { "" };
        parts.push(format!("{}{place} ({})", counted(workloads.len(), "workload"), named(&workloads)));
    }
    if pods > 0 {
        parts.push("pods that are attributed to no one workload".to_owned());
    }
    if !principals.is_empty() {
        parts.push(format!("{} ({})", counted(principals.len(), "other principal"), named(&principals)));
    }
    match parts.as_slice() {
        [] => "No session of the role is known in this period.".to_owned(),
        parts => format!("In this period the role was assumed by {}.", parts.join(", and by ")),
    }
}

fn of_workload(sessions: &[SessionGroup]) -> String {
    let own = sessions.iter().filter(|group| group.sessions > 0 && matches!(group.caller, Caller::Workload(_)));
    let used = own.filter_map(|group| group.role_arn.as_deref());
    let roles: BTreeSet<String> = used.map(|arn| arn.rsplit('/').next().unwrap_or(arn).to_owned()).collect();
    match roles.len() {
        0 => "No session of the workload is known in this period.".to_owned(),
        n => format!("In this period the workload used {} ({}).", counted(n, "role"), named(&roles)),
    }
}

fn counted(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn named(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
