//! The demo estate's trail: what happened on each of the fourteen days before today.
//!
//! A day's events follow from its date alone, so that a second look on the same day sees the same.

use super::bucket::Files;
use super::calls::{self, Caller};
use super::{COMMERCE, DATA, Draft, LAB, PAY, PAYMENTS, Place, SHOP, Use, arn_of, role_arn};
use crate::build;
use crate::ids;
use crate::trail::{Pod, Start, agent_call, session_identity};
use chrono::{DateTime, Datelike as _, Duration, NaiveDate, NaiveTime, Utc, Weekday};
use serde_json::{Value, json};

/// How many days the trail goes back.
const DAYS: i64 = 14;

pub(super) fn add(draft: &mut Draft, today: NaiveDate, files: &mut Option<Files>) {
    for back in 1..=DAYS {
        let Some(day) = today.checked_sub_signed(Duration::days(back)) else { continue };
        pods(draft, day);
        irsa(draft, day);
        pipelines(draft, day);
        refusals(draft, day);
        by_others(draft, day);
        let callers = std::mem::take(&mut draft.callers);
        if let Some(files) = files {
            calls::add(draft, &callers, day, turn(day), files);
            // Once a week, by the calendar, so that a day's files are the same whenever they are made.
            if day.weekday() == Weekday::Mon {
                calls::add_stolen(&callers, day.iso_week().week(), files);
            }
        }
    }
    if let Some(files) = files {
        files.add_history(&draft.estate);
    }
    super::history::add(&mut draft.estate, today);
}

/// A moment of a day, that follows from what happens in it.
fn moment(day: NaiveDate, of: &str) -> DateTime<Utc> {
    let second = i64::try_from(ids::hash(&format!("{day}/{of}")) % 80_000).unwrap_or(0);
    day.and_time(NaiveTime::MIN).and_utc() + Duration::seconds(second)
}

fn turn(day: NaiveDate) -> u64 {
    u64::try_from(day.num_days_from_ce()).unwrap_or(0)
}

fn record(draft: &mut Draft, region: &str, record: &Value) {
    let recipient = record.get("recipientAccountId").and_then(Value::as_str).unwrap_or_default().to_owned();
    draft.estate.record(&recipient, region, record);
}

/// The session that begins calls, until its day ends.
fn calls(draft: &mut Draft, start: &Start<'_>, region: &'static str) {
    draft.callers.push(Caller {
        role: start.role_arn.to_owned(),
        session: start.session.to_owned(),
        key: ids::access_key(start.id),
        region,
        since: start.at,
        is_node: start.session.starts_with("i-"),
    });
}

/// One session a day for each association that is used, with the agent's call before it, and the
/// hop to the target role after it.
fn pods(draft: &mut Draft, day: NaiveDate) {
    let uses = std::mem::take(&mut draft.uses);
    for Use { place, namespace, service_account, role, target, tagged } in &uses {
        let cluster = arn_of(*place);
        let pod = Pod::new(&cluster, namespace, service_account, turn(day));
        let id = format!("{cluster}/{namespace}/{service_account}/{day}");
        let at = moment(day, &id);
        let session = pod.session_name(&id);
        let first = Start { id: &id, at, region: place.1, role_arn: role, session: &session };
        let node = role_arn(place.0, &format!("{}-node", place.2));
        record(draft, place.1, &agent_call(&id, at - Duration::seconds(1), &pod, &node, false));
        record(draft, place.1, &first.by_pod(&pod, *tagged));
        calls(draft, &first, place.1);
        if let Some((target, external_id)) = target {
            let (hop_id, at) = (format!("{id}/hop"), at + Duration::seconds(1));
            let session = pod.session_name(&hop_id);
            let hop = Start { id: &hop_id, at, region: place.1, role_arn: target, session: &session };
            for made in hop.by_hop(&first, &pod, *tagged, external_id.as_deref()) {
                record(draft, place.1, &made);
            }
            calls(draft, &hop, place.1);
            if target.ends_with("/payments-archive") {
                further(draft, &hop, place.1);
            }
        }
    }
    draft.uses = uses;
}

/// The archive's session goes on to the vault, by itself.
fn further(draft: &mut Draft, from: &Start<'_>, region: &'static str) {
    let id = format!("{}/vault", from.id);
    let role = role_arn(COMMERCE, "payments-vault");
    let caller = session_identity(from.role_arn, from.session, &ids::access_key(from.id), from.at);
    let start =
        Start { id: &id, at: from.at + Duration::seconds(40), region, role_arn: &role, session: "archive-to-vault" };
    record(draft, region, &start.by(&caller, "203.0.113.40", "Boto3/1.40.12"));
    calls(draft, &start, region);
}

/// Workloads that still come by IRSA.
fn irsa(draft: &mut Draft, day: NaiveDate) {
    for (place, namespace, service_account, role) in draft.irsa.clone() {
        let (account, region, cluster) = place;
        let id = format!("irsa/{cluster}/{namespace}/{service_account}/{day}");
        let at = moment(day, &id);
        let session = format!("{}", at.timestamp_millis() * 1_000_000);
        let start = Start { id: &id, at, region, role_arn: &role, session: &session };
        let made = start.by_irsa(&build::issuer(account, region, cluster), &namespace, &service_account);
        record(draft, region, &made);
        calls(draft, &start, region);
    }
}

/// Services and people take sessions of roles that no pod has.
fn pipelines(draft: &mut Draft, day: NaiveDate) {
    let functions =
        [(PAYMENTS, "card-webhook"), (PAYMENTS, "ledger-export"), (COMMERCE, "image-resize"), (DATA, "quality-checks")];
    for (account, name) in functions {
        let role = role_arn(account, &format!("service-role/{name}-function"));
        let id = format!("function/{name}/{day}");
        let start = Start { id: &id, at: moment(day, &id), region: "eu-west-1", role_arn: &role, session: name };
        record(draft, "eu-west-1", &start.by_service("lambda.amazonaws.com", 43_200));
        calls(draft, &start, "eu-west-1");
    }
    for place in [PAY, SHOP] {
        let role = role_arn(place.0, &format!("{}-node", place.2));
        let id = format!("node/{}/{day}", place.2);
        let instance = format!("i-{}", ids::hex(&id, 17));
        let start = Start { id: &id, at: moment(day, &id), region: place.1, role_arn: &role, session: &instance };
        record(draft, place.1, &start.by_service("ec2.amazonaws.com", 21_600));
        calls(draft, &start, place.1);
    }
    // Somebody of the management account reads in the data account.
    if turn(day).is_multiple_of(3) {
        let from = super::people::sso_role(super::MANAGEMENT, "Auditor");
        let caller =
            session_identity(&from, "on-call", &ids::access_key(&format!("on-call/{day}")), moment(day, "on-call"));
        let role = role_arn(DATA, "OrganizationAccountAccessRole");
        let id = format!("visit/{day}");
        let start = Start {
            id: &id,
            at: moment(day, &id),
            region: "us-east-1",
            role_arn: &role,
            session: "botocore-session-1700000000",
        };
        record(draft, "us-east-1", &start.by(&caller, "198.51.100.80", "Boto3/1.40.12"));
    }
}

/// What is refused, day after day: an agent's call for a role whose trust is wrong, and a pod that
/// tries a role which is not meant for it.
fn refusals(draft: &mut Draft, day: NaiveDate) {
    let wrong: [(Place, &str, &str); 2] = [(PAY, "ledger", "archiver"), (SHOP, "shipping", "archive-mount")];
    for (place, namespace, service_account) in wrong {
        let id = format!("refused/{namespace}/{service_account}/{day}");
        let pod = Pod::new(&arn_of(place), namespace, service_account, turn(day));
        let node = role_arn(place.0, &format!("{}-node", place.2));
        record(draft, place.1, &agent_call(&id, moment(day, &id), &pod, &node, true));
    }
    if turn(day).is_multiple_of(2) {
        let pod = Pod::new(&arn_of(LAB), "notebooks", "explorer", turn(day));
        let id = format!("denied/{day}");
        let from = role_arn(DATA, "pods/notebooks-explorer");
        let caller = session_identity(&from, &pod.session_name(&id), &ids::access_key(&id), moment(day, &id));
        let wanted = role_arn(PAYMENTS, "pods/ledger-journal");
        let start = Start { id: &id, at: moment(day, &id), region: "eu-west-1", role_arn: &wanted, session: "explore" };
        record(draft, "eu-west-1", &start.refused(&caller, "sts:AssumeRole"));
    }
}

/// Sessions of a pod's role that are not what they seem: the pipeline's, which names them like the
/// pod's, EKS's own under a name that is not of its form and with hardly room for its tags, those of
/// a service account that has no association, and one that got another workload's role.
fn by_others(draft: &mut Draft, day: NaiveDate) {
    let role = role_arn(PAYMENTS, "pods/settlement-nightly");
    let deployer = role_arn(PAYMENTS, "delivery/deployer");
    let caller =
        session_identity(&deployer, "pipeline", &ids::access_key(&format!("deployer/{day}")), moment(day, "deployer"));
    let pod = Pod::new(&arn_of(PAY), "settlement", "nightly", turn(day));
    let imitated = pod.session_name(&format!("imitation/{day}"));
    let id = format!("imitation/{day}");
    let start = Start { id: &id, at: moment(day, &id), region: PAY.1, role_arn: &role, session: &imitated };
    record(draft, PAY.1, &start.by(&caller, "198.51.100.7", "aws-cli/2.31.0"));
    let id = format!("unnamed/{day}");
    let start = Start { id: &id, at: moment(day, &id), region: PAY.1, role_arn: &role, session: "settlement-nightly" };
    let mut full = start.by_pod(&pod, true);
    if let Some(size) = full.pointer_mut("/responseElements/packedPolicySize") {
        *size = json!(94);
    }
    record(draft, PAY.1, &full);
    let rotator = Pod::new(&arn_of(PAY), "settlement", "rotator", turn(day));
    let id = format!("without association/{day}");
    let session = rotator.session_name(&id);
    let start = Start { id: &id, at: moment(day, &id), region: PAY.1, role_arn: &role, session: &session };
    record(draft, PAY.1, &start.by_pod(&rotator, true));
    calls(draft, &start, PAY.1);
    let journal = role_arn(PAYMENTS, "pods/ledger-journal");
    let id = format!("another role/{day}");
    let session = pod.session_name(&id);
    let start = Start { id: &id, at: moment(day, &id), region: PAY.1, role_arn: &journal, session: &session };
    record(draft, PAY.1, &start.by_pod(&pod, true));
}

#[cfg(test)]
mod tests {
    use crate::demo::{estate, manifest};
    use std::collections::BTreeSet;

    fn ids(estate: &crate::Estate) -> BTreeSet<String> {
        let regions = estate.accounts.values().flat_map(|a| a.regions.values());
        regions.flat_map(|r| &r.events).map(|e| e.id.clone()).collect()
    }

    #[test]
    fn the_same_day_gives_the_same_estate_and_the_next_one_more_day() {
        let at = |text: &str| estate(text.parse().unwrap());
        let (morning, evening) = (at("2026-11-23T06:00:00Z"), at("2026-11-23T23:00:00Z"));
        assert_eq!(format!("{morning:?}"), format!("{evening:?}"));
        let (today, tomorrow) = (ids(&morning), ids(&at("2026-11-24T06:00:00Z")));
        let kept = today.intersection(&tomorrow).count();
        assert!(kept > today.len() * 3 / 4 && kept < today.len(), "{kept} of {} stay", today.len());
    }

    #[test]
    fn no_event_is_told_twice_and_none_is_of_today() {
        let made = estate("2026-11-23T06:00:00Z".parse().unwrap());
        let events: Vec<_> = made.accounts.values().flat_map(|a| a.regions.values()).flat_map(|r| &r.events).collect();
        assert_eq!(ids(&made).len(), events.len());
        let midnight: chrono::DateTime<chrono::Utc> = "2026-11-23T00:00:00Z".parse().unwrap();
        assert!(events.iter().all(|e| e.time < midnight));
        assert_eq!(manifest(), manifest());
    }
}
