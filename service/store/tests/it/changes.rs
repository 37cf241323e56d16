//! Change events: each once, found by account, resource, actor and time, forgotten by month.

use crate::fixture::*;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use rolecall_estate::{Actor, AgentClass, ChangeEvent, ChangedResource, named_key};
use rolecall_store::{ChangeEventAfter, ChangeEventFilter, Store, TrailWriter};
use serde_json::json;
use std::collections::BTreeSet;

const OTHER: &str = "444455556666";

fn resource(kind: &str, name: &str, is_changed: bool) -> ChangedResource {
    ChangedResource { resource_type: kind.into(), resource: name.into(), association_id: None, is_changed }
}

fn event(id: &str, minute: i64, resources: Vec<ChangedResource>) -> ChangeEvent {
    ChangeEvent {
        event_id: id.into(),
        event_time: at(minute),
        account_id: account(),
        region: REGION.parse().unwrap(),
        event_source: "iam.amazonaws.com".into(),
        event_name: "PutRolePolicy".into(),
        actor: Actor {
            kind: "AssumedRole".into(),
            arn: Some("arn:aws:sts::111122223333:assumed-role/deployer/ana".into()),
            session_issuer_arn: Some("arn:aws:iam::111122223333:role/deployer".into()),
            ..Actor::default()
        },
        source_ip: Some("198.51.100.7".into()),
        user_agent: Some("aws-cli/2.17.0".into()),
        agent_class: AgentClass::Cli,
        error_code: None,
        error_message: None,
        is_denied: false,
        resources,
        request: json!({"roleName": "api", "policyDocument": "{\"a\":\"\u{0}\"}", "n": [1, 2.5, null]}),
        is_request_cut: false,
    }
}

async fn add(books: &mut TrailWriter, events: &[ChangeEvent], commit: bool) -> u64 {
    let mut trail_batch = books.open(&BTreeSet::from([account()])).await.unwrap();
    let written = trail_batch.changes(events).await.unwrap();
    if commit {
        trail_batch.commit().await.unwrap();
    }
    written
}

async fn ids(store: &Store, filter: &ChangeEventFilter) -> Vec<String> {
    let found = store.change_events(filter, None, 1_000).await.unwrap();
    found.into_iter().map(|event| event.event_id).collect()
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_but_for_nul() {
    let database = database().await;
    let mut whole = event("e1", 0, vec![resource("AWS::IAM::Role", &role_arn("api"), true)]);
    whole.error_code = Some("AccessDenied".into());
    whole.error_message = Some("no".into());
    whole.is_request_cut = true;
    let bare = ChangeEvent {
        actor: Actor::default(),
        source_ip: None,
        user_agent: None,
        agent_class: AgentClass::Other,
        request: json!(null),
        ..event("e0", 1, vec![])
    };
    assert_eq!(add(&mut database.store.trail_writer(), &[whole.clone(), bare.clone()], true).await, 2);
    let found = database.store.change_events(&ChangeEventFilter::default(), None, 10).await.unwrap();
    whole.request = json!({"roleName": "api", "policyDocument": "{\"a\":\"␀\"}", "n": [1, 2.5, null]});
    assert_eq!(found, [bare, whole]);
}

#[tokio::test]
async fn events_are_found_by_what_they_say() {
    let database = database().await;
    let store = &database.store;
    let key = "111122223333/eu-west-1/prod/shop/api";
    let association = |name: &str, id: Option<&str>| ChangedResource {
        association_id: id.map(str::to_owned),
        ..resource("AWS::EKS::PodIdentityAssociation", name, true)
    };
    let mut denied = event("e4", 4, vec![]);
    denied.error_code = Some("Client.UnauthorizedOperation".into());
    denied.is_denied = true;
    let mut failed = event("e5", 5, vec![]);
    failed.error_code = Some("NoSuchEntity".into());
    let mut service = event("e6", 6, vec![]);
    service.actor =
        Actor { kind: "AWSService".into(), invoked_by: Some("eks.amazonaws.com".into()), ..Actor::default() };
    service.event_name = "CreateRole".into();
    let mut elsewhere = event("e1", 1, vec![resource("AWS::IAM::Role", "arn:aws:iam::444455556666:role/api", true)]);
    elsewhere.account_id = OTHER.parse().unwrap();
    let events = [
        event("e1", 1, vec![resource("AWS::IAM::Role", "arn:aws:iam::111122223333:role/Api", true)]),
        elsewhere,
        event("e2", 2, vec![association(key, Some("a-1"))]),
        event(
            "e3",
            3,
            vec![association("arn:aws:eks:eu-west-1:111122223333:podidentityassociation/prod/a-1", Some("a-1"))],
        ),
        denied,
        failed,
        service,
    ];
    add(&mut store.trail_writer(), &events, true).await;
    let any = ChangeEventFilter::default;
    let of = |names: &[&str]| ChangeEventFilter {
        resource_keys: names.iter().map(|name| named_key(name)).collect(),
        ..any()
    };
    let cases = [
        (any(), vec!["e6", "e5", "e4", "e3", "e2", "e1", "e1"]),
        (ChangeEventFilter { accounts: vec![OTHER.parse().unwrap()], ..any() }, vec!["e1"]),
        // By whatever path and letter case the role is named.
        (of(&["arn:aws:iam::111122223333:role/team/api"]), vec!["e1"]),
        (of(&["arn:aws:iam::111122223333:role/other"]), vec![]),
        (of(&[key]), vec!["e2"]),
        (of(&["a-1"]), vec!["e3", "e2"]),
        (of(&[key, "arn:aws:iam::444455556666:role/api"]), vec!["e2", "e1"]),
        (ChangeEventFilter { resource_type: Some("AWS::IAM::Role".into()), ..any() }, vec!["e1", "e1"]),
        (ChangeEventFilter { actor: Some("role/DEPLOYER".into()), ..any() }, vec!["e5", "e4", "e3", "e2", "e1", "e1"]),
        (
            ChangeEventFilter { actor: Some("assumed-role/deployer/ana".into()), ..any() },
            vec!["e5", "e4", "e3", "e2", "e1", "e1"],
        ),
        (ChangeEventFilter { actor: Some("eks.amazonaws.com".into()), ..any() }, vec!["e6"]),
        (ChangeEventFilter { event_name: Some("CreateRole".into()), ..any() }, vec!["e6"]),
        (ChangeEventFilter { denied: Some(true), ..any() }, vec!["e4"]),
        (ChangeEventFilter { denied: Some(false), since: Some(at(4)), ..any() }, vec!["e6", "e5"]),
        (ChangeEventFilter { since: Some(at(2)), until: Some(at(4)), ..any() }, vec!["e3", "e2"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(store, &filter).await, expected, "{filter:?}");
    }
    let mut pages = Vec::new();
    let mut after: Option<ChangeEventAfter> = None;
    loop {
        let page = store.change_events(&any(), after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(ChangeEventAfter::new(last));
        pages.extend(page);
    }
    assert_eq!(pages, store.change_events(&any(), None, 100).await.unwrap());
}

#[tokio::test]
async fn old_months_are_forgotten() {
    let database = database().await;
    let store = &database.store;
    let month = 31 * 24 * 60;
    let events = [event("old", -2 * month, vec![]), event("new", 0, vec![])];
    add(&mut store.trail_writer(), &events, true).await;
    let before: DateTime<Utc> = at(0) - TimeDelta::days(1);
    assert_eq!(store.drop_change_events_before(before).await.unwrap().len(), 1);
    assert_eq!(ids(store, &ChangeEventFilter::default()).await, ["new"]);
    assert_eq!(store.drop_change_events_before(before).await.unwrap(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever comes twice, in whatever parts, some of them lost before their commit.
    #[test]
    fn an_event_is_kept_once(parts in prop::collection::vec((prop::collection::vec(0_usize..40, 0..25), any::<bool>()), 1..8)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let database = database().await;
            let mut books = [database.store.trail_writer(), database.store.trail_writer()];
            let mut expected = BTreeSet::new();
            let mut written = 0;
            for (n, (numbers, commit)) in parts.iter().enumerate() {
                let part: Vec<ChangeEvent> = numbers.iter().map(|n| {
                    let minute = i64::try_from(*n).unwrap() * 2_000;
                    event(&format!("e{n:02}"), minute, vec![resource("AWS::IAM::Role", &role_arn("api"), true)])
                }).collect();
                let added = add(&mut books[n % 2], &part, *commit).await;
                if *commit {
                    written += added;
                    expected.extend(numbers.iter().map(|n| format!("e{n:02}")));
                }
            }
            let mut found = ids(&database.store, &ChangeEventFilter::default()).await;
            found.reverse();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            assert_eq!(written, found.len() as u64);
        });
    }
}
