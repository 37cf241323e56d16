//! Approvals: given, ended, withdrawn, refused where what changed is not there any more.

use crate::fixture::*;
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{
    Approval, ApprovalState, Attributed, Attribution, Scans, SeenIn, Withdrawal, changes as differences,
};
use rolecall_estate::Observation;
use rolecall_store::{AllApproved, Approved, ChangeFilter, ChangeRow, Store, Withdrawn};

/// An estate whose role may do this.
pub(crate) fn estate(action: &str) -> Observation {
    let mut seen = crate::fixture::estate();
    let allow =
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]}}"#);
    let document = seen.documents.read(&allow);
    for role in &mut seen.roles {
        role.inline[0].document = document;
    }
    seen
}

/// Looks, and keeps what changed.
pub(crate) async fn look_at(store: &Store, minute: i64, seen: &Observation) -> Vec<ChangeRow> {
    look(store, minute, seen).await;
    let mut kept = Vec::new();
    for run in store.owed_changes().await.unwrap() {
        let scan = store.changed_scan(run).await.unwrap();
        let found = differences(&Scans {
            before: &scan.before,
            after: &scan.after,
            listed_before: &scan.listed_before,
            listed_after: &scan.listed_after,
            roles_of: scan.roles_of.as_ref(),
            pair: &run.0.to_string(),
        });
        let rows: Vec<ChangeRow> = found
            .into_iter()
            .map(|change| ChangeRow {
                seen_in: SeenIn::Snapshots,
                ended: None,
                run,
                change,
                detected_at: at(minute),
                since: None,
                until: at(minute),
                attributed: Attributed {
                    attribution: Attribution::None,
                    because: "none".into(),
                    calls: vec![],
                    is_trail_complete: false,
                },
                effective_at: at(minute),
                approval: None,
            })
            .collect();
        store.keep_changes(run, &rows).await.unwrap();
        kept.extend(rows);
    }
    kept
}

fn approval(until: Option<DateTime<Utc>>, given: DateTime<Utc>) -> Approval {
    Approval::new("meant to be", Some("SEC-1"), until, given).unwrap()
}

async fn with(store: &Store, state: &str) -> Vec<String> {
    let filter = ChangeFilter { approval: vec![state.into()], ..ChangeFilter::default() };
    store.changes(&filter, None, 100).await.unwrap().into_iter().map(|row| row.change.id).collect()
}

async fn state(store: &Store, id: &str) -> Option<ApprovalState> {
    store.change(id).await.unwrap().unwrap().approval.map(|step| step.state)
}

#[tokio::test]
async fn an_approval_is_given_ends_and_is_withdrawn_and_every_step_is_kept() {
    let database = database().await;
    let store = &database.store;
    look_at(store, 0, &estate("s3:GetObject")).await;
    let found = look_at(store, 10, &estate("s3:*")).await;
    let id = found[0].change.id.clone();
    assert_eq!(with(store, "none").await.len(), found.len());

    let given = at(20);
    let Approved::Done(row) = store.approve_change(&id, &approval(None, given), "ana").await.unwrap() else { panic!() };
    let step = row.approval.unwrap();
    assert_eq!((step.state, step.who.as_str(), step.reason.as_str()), (ApprovalState::Approved, "ana", "meant to be"));
    assert_eq!((step.ticket.as_deref(), step.until), (Some("SEC-1"), None));
    assert_eq!(with(store, "approved").await, std::slice::from_ref(&id));

    // It ended long before the present day.
    store.approve_change(&id, &approval(Some(at(60)), given), "ana").await.unwrap();
    assert_eq!(state(store, &id).await, Some(ApprovalState::Expired));
    assert_eq!((with(store, "expired").await.len(), with(store, "approved").await.len()), (1, 0));
    let why = Withdrawal::new("no longer").unwrap();
    assert_eq!(store.withdraw_approval(&id, &why, "ben").await.unwrap(), Withdrawn::NotApproved);

    store.approve_change(&id, &approval(None, given), "ana").await.unwrap();
    let Withdrawn::Done(row) = store.withdraw_approval(&id, &why, "ben").await.unwrap() else { panic!() };
    assert_eq!(row.approval.map(|step| (step.state, step.who)), Some((ApprovalState::Withdrawn, "ben".into())));
    assert_eq!(store.withdraw_approval(&id, &why, "ben").await.unwrap(), Withdrawn::NotApproved);
    let steps = store.approval_steps(&id).await.unwrap();
    let told: Vec<_> = steps.iter().map(|step| (step.state.as_str(), step.who.as_str())).collect();
    assert_eq!(told, [("approved", "ana"), ("expired", "ana"), ("approved", "ana"), ("withdrawn", "ben")]);

    assert_eq!(store.approve_change("chg_none", &approval(None, given), "ana").await.unwrap(), Approved::Absent);
    assert_eq!(store.withdraw_approval("chg_none", &why, "ana").await.unwrap(), Withdrawn::Absent);
}

#[tokio::test]
async fn what_is_not_there_any_more_is_not_approved() {
    let database = database().await;
    let store = &database.store;
    let approval = approval(None, at(0));
    look_at(store, 0, &estate("s3:GetObject")).await;
    let wider = look_at(store, 10, &estate("s3:*")).await;
    let back = look_at(store, 20, &estate("s3:GetObject")).await;
    let (wide, reversal) = (&wider[0].change, &back[0].change);
    let Approved::Replaced(later) = store.approve_change(&wide.id, &approval, "ana").await.unwrap() else { panic!() };
    assert_eq!(&later.change, reversal);
    assert_eq!(state(store, &wide.id).await, None);
    assert!(matches!(store.approve_change(&reversal.id, &approval, "ana").await.unwrap(), Approved::Done(_)));

    // Of a list none is approved where one is refused.
    let all = ChangeFilter::default();
    let open = store.changes_to_approve(&all).await.unwrap();
    let AllApproved::Replaced(refused) = store.approve_changes(&all, open, &approval, "ana").await.unwrap() else {
        panic!()
    };
    assert!(refused.iter().any(|(id, later)| *id == wide.id && later.change == *reversal), "{refused:?}");
    assert_eq!(with(store, "approved").await, std::slice::from_ref(&reversal.id));

    // What was changed once more to what it was is there again.
    look_at(store, 30, &estate("s3:*")).await;
    assert!(matches!(store.approve_change(&wide.id, &approval, "ana").await.unwrap(), Approved::Done(_)));

    let mut gone = estate("s3:*");
    gone.roles.clear();
    look_at(store, 40, &gone).await;
    let Approved::Replaced(later) = store.approve_change(&wide.id, &approval, "ana").await.unwrap() else { panic!() };
    assert_eq!(later.change.change, "removed");
}

#[tokio::test]
async fn a_list_is_approved_if_it_is_as_long_as_expected() {
    let database = database().await;
    let store = &database.store;
    let approval = approval(None, at(0));
    look_at(store, 0, &estate("s3:GetObject")).await;
    let found = look_at(store, 10, &estate("s3:*")).await;
    let roots = found.iter().filter(|row| row.change.caused_by.is_none()).count() as u64;
    let all = ChangeFilter::default();
    assert_eq!(store.changes_to_approve(&all).await.unwrap(), roots);
    let refused = store.approve_changes(&all, roots + 1, &approval, "ana").await.unwrap();
    assert_eq!(refused, AllApproved::Unexpected(roots));
    assert!(with(store, "approved").await.is_empty());
    let AllApproved::Done(ids) = store.approve_changes(&all, roots, &approval, "ana").await.unwrap() else { panic!() };
    assert_eq!(ids.len() as u64, roots);
    assert_eq!(with(store, "approved").await.len(), found.len());
    assert_eq!(store.changes_to_approve(&all).await.unwrap(), 0);
    let none = ChangeFilter { approval: vec!["approved".into()], ..all };
    assert_eq!(store.changes_to_approve(&none).await.unwrap(), 0);
}
