//! What was not seen of a period: of sessions, where the trails were not read completely; of who could, where listings
//! were not.

use super::{About, Caller, Could, Material, NotSeen, Period};
use crate::access::trail::{Span, sessions_read};
use chrono::{DateTime, Utc};
use rolecall_estate::{AttributionMethod, Reason};
use rolecall_iam::AccountId;

/// What was not seen of what a report is made of.
pub(super) fn not_seen(material: &Material) -> Vec<NotSeen> {
    let sessions = sessions(material).into_iter().map(|reason| NotSeen { about: About::Sessions, reason });
    let could = could(material).into_iter().map(|reason| NotSeen { about: About::Configuration, reason });
    could.chain(sessions).collect()
}

fn could(material: &Material) -> Vec<Reason> {
    let mut why: Vec<Reason> = Vec::new();
    let first = material.could.first().map(|(at, _)| *at);
    match first {
        None => why.push("no scan was made by the end of the period".into()),
        Some(first) if !material.has_begin => {
            why.push(format!("no scan was made before the period; the first is of {}", written(first)).into());
        }
        Some(_) => {}
    }
    if material.more_scans {
        why.push("more scans of the period show a change than were read".into());
    }
    for (at, could) in &material.could {
        match could {
            Could::Role(None) => why.push(format!("the scan of {} does not show the role", written(*at)).into()),
            Could::Workload(None) => {
                why.push(format!("the scan of {} does not show the association", written(*at)).into());
            }
            Could::Role(Some(found)) => why.extend(found.missing.iter().cloned()),
            Could::Workload(Some(found)) => why.extend(found.missing.iter().cloned()),
        }
    }
    if material.is_limited {
        why.push("roles and workloads that the person who asks may not see are left out".into());
    }
    why
}

fn sessions(material: &Material) -> Vec<Reason> {
    let mut why: Vec<Reason> = Vec::new();
    for account in &material.accounts {
        let (spans, unseen) = sessions_read(&material.trails, &material.complete, *account);
        why.extend(trail(*account, material.period, spans, unseen));
    }
    if material.accounts.is_empty() {
        why.push("no account is known in whose trail the sessions would stand".into());
    }
    let unattributed = |wanted: AttributionMethod| -> u64 {
        let groups = material.sessions.iter().filter(|group| match &group.caller {
            Caller::Pods { method, .. } => {
                (*method == AttributionMethod::Ambiguous) == (wanted == AttributionMethod::Ambiguous)
            }
            Caller::Workload(_) | Caller::Principal(_) => false,
        });
        groups.map(|group| group.sessions).sum()
    };
    for (method, one, many) in [
        (
            AttributionMethod::Ambiguous,
            "1 session of pods can be of several workloads",
            "sessions of pods can be of several workloads",
        ),
        (
            AttributionMethod::None,
            "1 session of pods is attributed to no workload",
            "sessions of pods are attributed to no workload",
        ),
    ] {
        match unattributed(method) {
            0 => {}
            1 => why.push(one.into()),
            n => why.push(format!("{n} {many}").into()),
        }
    }
    if material.more_sessions {
        why.push("there are more callers than a report lists".into());
    }
    if material.is_limited {
        why.push("sessions that the person who asks may not see are left out".into());
    }
    why
}

/// Why sessions in the trail of an account may be missing.
fn trail(account: AccountId, period: Period, mut spans: Vec<Span>, unseen: Option<Reason>) -> Option<Reason> {
    spans.sort();
    let mut holes: Vec<Span> = Vec::new();
    let mut from = period.since;
    for (begin, end) in spans {
        if begin > from {
            holes.push((from, begin.min(period.until)));
        }
        from = from.max(end);
        if from >= period.until {
            break;
        }
    }
    if from < period.until {
        holes.push((from, period.until));
    }
    holes.retain(|(begin, end)| begin < end);
    let head = format!("the CloudTrail events of account {account} are not known to be complete");
    let text = match holes.as_slice() {
        [] => return None,
        [(begin, end)] if (*begin, *end) == (period.since, period.until) => head,
        holes => {
            let each = holes.iter().map(|(begin, end)| format!("from {} to {}", written(*begin), written(*end)));
            format!("{head} {}", each.collect::<Vec<_>>().join(" and "))
        }
    };
    let text = unseen.map_or(text.clone(), |why| format!("{text}: {why}"));
    Some(text.into())
}

fn written(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}
