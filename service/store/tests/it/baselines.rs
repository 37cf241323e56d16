//! Baselines: kept, one in force of each resource, listed by what differs, withdrawn with what was approved with them.

use crate::approvals::look_at;
use crate::fixture::*;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::drift::baseline::{Baseline, BaselineState, Compared, Selection, compare, covers, take};
use rolecall_audit::drift::{Approval, ApprovalState, Withdrawal};
use rolecall_store::{BaselineAfter, BaselineFilter, BaselineWithdrawn, ChangeRow, NewBaseline, Store};

async fn states(store: &Store, at: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Vec<NewBaseline> {
    let estate = store.estate(at).await.unwrap();
    let approval = Approval::new("reviewed", Some("SEC-1"), until, at).unwrap();
    let taken = take(&estate, &Selection::default(), &approval, "ana", at);
    assert!(!taken.baselines.is_empty(), "{:?}", taken.skipped);
    let new =
        |baseline| NewBaseline { baseline, compared: Compared::taken(), signed_by: Some("key".into()), file: None };
    taken.baselines.into_iter().map(new).collect()
}

fn of_roles(mut all: Vec<NewBaseline>) -> Vec<NewBaseline> {
    all.retain(|new| new.baseline.resource.kind.as_str() == "AWS::IAM::Role");
    all
}

async fn covered(store: &Store, baseline: &Baseline, at: DateTime<Utc>) -> Vec<ChangeRow> {
    let estate = store.estate(at).await.unwrap();
    let compared = compare(std::slice::from_ref(baseline), &estate).remove(0);
    let open = store.changes_of_baselines().await.unwrap();
    open.into_iter().filter(|row| covers(baseline, &compared, &row.change)).collect()
}

#[tokio::test]
async fn one_baseline_of_a_resource_is_in_force() {
    let database = database().await;
    let store = &database.store;
    look_at(store, 0, &crate::approvals::estate("s3:GetObject")).await;
    let first = states(store, at(1), None).await;
    let ids: Vec<String> = first.iter().map(|new| new.baseline.id()).collect();
    assert_eq!(store.keep_baselines(&first).await.unwrap(), ids);
    assert_eq!(store.keep_baselines(&first).await.unwrap(), Vec::<String>::new(), "what is known stays");
    let rows = store.baselines_in_force(&[]).await.unwrap();
    assert_eq!(rows.len(), ids.len());
    for new in &first {
        let row = rows.iter().find(|row| row.id == new.baseline.id()).unwrap();
        assert_eq!(row.baseline().unwrap(), new.baseline, "what is kept is what was given");
        assert_eq!((row.state, row.signed_by.as_deref(), &row.ended), (BaselineState::Matches, Some("key"), &None));
    }

    let later = states(store, at(2), None).await;
    assert_eq!(store.keep_baselines(&later).await.unwrap().len(), ids.len());
    let replaced = store.baseline(&ids[0]).await.unwrap().unwrap();
    assert!(replaced.ended.unwrap().2.contains("took its place"));
    // An older one that comes late, as from a file, is kept and not in force.
    let older = states(store, at(0), None).await;
    assert_eq!(store.keep_baselines(&older).await.unwrap(), Vec::<String>::new());
    assert!(store.baseline(&older[0].baseline.id()).await.unwrap().unwrap().ended.is_some());
    assert_eq!(store.baselines_in_force(&[]).await.unwrap().len(), ids.len());

    // One that files had, and have no more, ends; what was approved here stays.
    let mut of_file = vec![later[0].clone()];
    of_file[0].file = Some("baselines/1.json".into());
    store.keep_baselines(&of_file).await.unwrap();
    assert_eq!(store.end_baselines_of_files(&[later[0].baseline.id()]).await.unwrap(), 0);
    assert_eq!(store.end_baselines_of_files(&[]).await.unwrap(), 1);
    assert_eq!(store.baselines_in_force(&[]).await.unwrap().len(), ids.len() - 1);
}

#[tokio::test]
async fn what_differs_is_listed_first_page_by_page() {
    let database = database().await;
    let store = &database.store;
    look_at(store, 0, &crate::approvals::estate("s3:GetObject")).await;
    let mut new = states(store, at(1), None).await;
    for (index, state) in
        [BaselineState::Differs, BaselineState::Removed, BaselineState::Unknown].into_iter().enumerate()
    {
        new[index].compared.state = state;
    }
    // Its end passed long ago.
    let ended = Approval::new("reviewed", None, Some(at(2)), at(1)).unwrap();
    let last = new.len() - 1;
    new[last].baseline.approval = ended;
    store.keep_baselines(&new).await.unwrap();
    let all = store.baselines(&BaselineFilter::default(), None, 100).await.unwrap();
    let told: Vec<BaselineState> = all.iter().map(|row| row.state).collect();
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(told, sorted);
    assert_eq!(
        told[..4],
        [BaselineState::Differs, BaselineState::Removed, BaselineState::Unknown, BaselineState::Expired]
    );
    let (mut pages, mut after): (Vec<_>, Option<BaselineAfter>) = (Vec::new(), None);
    loop {
        let page = store.baselines(&BaselineFilter::default(), after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.after());
        pages.extend(page);
    }
    assert_eq!(pages, all);
    let counts = store.count_baselines().await.unwrap();
    assert_eq!(counts.iter().map(|(_, number)| number).sum::<u64>(), all.len() as u64);
    let one = &all[0];
    for filter in [
        BaselineFilter { state: vec!["differs".into()], ..BaselineFilter::default() },
        BaselineFilter { resource: Some(one.resource.name.clone()), ..BaselineFilter::default() },
    ] {
        assert_eq!(store.baselines(&filter, None, 100).await.unwrap(), std::slice::from_ref(one));
    }
    let of_type =
        BaselineFilter { resource_type: vec![one.resource.kind.as_str().into()], ..BaselineFilter::default() };
    assert!(store.baselines(&of_type, None, 100).await.unwrap().contains(one));
    let elsewhere = BaselineFilter { account_id: vec!["999999999999".into()], ..BaselineFilter::default() };
    assert_eq!(store.baselines(&elsewhere, None, 100).await.unwrap(), []);
}

#[tokio::test]
async fn changes_are_approved_with_a_baseline_and_withdrawn_with_it() {
    let database = database().await;
    let store = &database.store;
    look_at(store, 0, &crate::approvals::estate("s3:GetObject")).await;
    let wider = look_at(store, 10, &crate::approvals::estate("s3:*")).await;
    let until = Utc::now() + TimeDelta::days(30);
    let now = store.now().await.unwrap();
    let new = of_roles(states(store, now, Some(until)).await);
    store.keep_baselines(&new).await.unwrap();
    let mut approved = Vec::new();
    for new in &new {
        let rows = covered(store, &new.baseline, now).await;
        store.approve_with_baseline(&new.baseline.id(), &rows, &new.baseline.approval, "ana").await.unwrap();
        approved.extend(rows);
    }
    let of_inline: Vec<_> = wider.iter().filter(|row| row.change.change == "inline_policy_changed").collect();
    assert!(!of_inline.is_empty() && approved.len() == of_inline.len(), "{approved:#?}");
    let id = &of_inline[0].change.id;
    let step = store.change(id).await.unwrap().unwrap().approval.unwrap();
    assert_eq!((step.state, step.ticket.as_deref()), (ApprovalState::Approved, Some("SEC-1")));
    let baseline = step.baseline.unwrap();
    assert!(step.until.is_some() && new.iter().any(|new| new.baseline.id() == baseline));
    assert!(store.changes_of_baselines().await.unwrap().is_empty(), "what is approved is not asked for again");

    let why = Withdrawal::new("a mistake").unwrap();
    let BaselineWithdrawn::Done(row) = store.withdraw_baseline(&baseline, &why, "ben").await.unwrap() else { panic!() };
    assert_eq!(row.ended.map(|(_, by, because)| (by, because)), Some(("ben".into(), "a mistake".into())));
    let step = store.change(id).await.unwrap().unwrap().approval.unwrap();
    assert_eq!((step.state, step.reason.as_str()), (ApprovalState::Withdrawn, "a mistake"));
    let steps = store.approval_steps(id).await.unwrap();
    assert_eq!(steps.iter().map(|step| step.state.as_str()).collect::<Vec<_>>(), ["approved", "withdrawn"]);
    assert!(matches!(store.withdraw_baseline(&baseline, &why, "ben").await.unwrap(), BaselineWithdrawn::Ended(_)));
    assert_eq!(store.withdraw_baseline("bl_none", &why, "ben").await.unwrap(), BaselineWithdrawn::Absent);

    // One that is withdrawn stays so, also where a file still has it.
    let mut of_file = new.clone();
    of_file.retain(|new| new.baseline.id() == baseline);
    of_file[0].file = Some("baselines/1.json".into());
    assert_eq!(store.keep_baselines(&of_file).await.unwrap(), Vec::<String>::new());

    // A person's withdrawal stands against the baseline that was there before it.
    let again = of_roles(states(store, store.now().await.unwrap(), None).await);
    store.keep_baselines(&again).await.unwrap();
    let open = store.changes_of_baselines().await.unwrap();
    let row = open.iter().find(|row| row.change.id == *id).unwrap().clone();
    let with = again.iter().find(|new| new.baseline.resource == row.change.resource).unwrap();
    store.approve_with_baseline(&with.baseline.id(), &[row], &with.baseline.approval, "ana").await.unwrap();
    store.withdraw_approval(id, &why, "ben").await.unwrap();
    assert!(store.changes_of_baselines().await.unwrap().iter().all(|row| row.change.id != *id));
}

/// Whoever sees one namespace sees the approved states of its associations and of the roles that these name.
#[tokio::test]
async fn a_limit_shows_the_states_of_what_it_shows() {
    let database = database().await;
    let store = &database.store;
    look_at(store, 0, &crate::approvals::estate("s3:GetObject")).await;
    store.keep_baselines(&states(store, at(1), None).await).await.unwrap();
    let estate = store.estate(at(1)).await.unwrap();
    let key = &estate.associations[0].key;
    let of_it = |found: &&rolecall_estate::Association| found.key.namespace == key.namespace;
    let mut expected: Vec<String> =
        estate.associations.iter().filter(of_it).map(|found| found.key.to_string()).collect();
    expected
        .extend(estate.associations.iter().filter(of_it).map(|found| found.detail.as_ref().unwrap().role_arn.clone()));
    expected.sort();
    expected.dedup();
    assert!(expected.len() >= 2, "{expected:?}");
    let limit = format!("namespace:{}", key.namespace).parse().unwrap();
    let limited = store.limited_to(&rolecall_estate::Visibility::of([limit].into()));
    let seen = limited.baselines(&BaselineFilter::default(), None, 100).await.unwrap();
    let mut seen: Vec<String> = seen.into_iter().map(|row| row.resource.name).collect();
    seen.sort();
    assert_eq!(seen, expected);
    let elsewhere = store.limited_to(&rolecall_estate::Visibility::of(["namespace:nowhere".parse().unwrap()].into()));
    assert!(elsewhere.baselines(&BaselineFilter::default(), None, 100).await.unwrap().is_empty());
}
