//! Counting what a trail tells: once, whatever comes twice, in whatever order, by whomever.

use crate::fixture::*;
use chrono::{NaiveDate, TimeDelta};
use futures::TryStreamExt as _;
use rolecall_cloudtrail::{TrailDay, Use};
use rolecall_estate::{
    Association, AssociationKey, AttributionMethod, CompleteRange, EventScope, IncompleteDay, InstanceUse, Networks,
    Observation, Origin, Session, SessionAttribution, SessionKind, Tags, TrailMemory, UsedFrom,
};
use rolecall_store::{
    DayCounts, Error, FileMark, SessionFilter, SessionKey, SourceReport, SourceState, Store, TrailWriter, UsageOf,
    UsageWindow, UseRow,
};
use std::collections::{BTreeMap, BTreeSet};

/// An event as a reader would know it.
#[derive(Debug, Clone)]
struct Event {
    mark: u64,
    minute: i64,
    key: String,
    action: String,
    failed: bool,
}

fn day_of(minute: i64) -> NaiveDate {
    at(minute).date_naive()
}

fn place(minute: i64) -> TrailDay {
    TrailDay { account_id: account(), region: REGION.parse().unwrap(), day: day_of(minute) }
}

fn file(mark: u64) -> FileMark {
    FileMark { day: Some(place(0)), mark }
}

fn counted(event: &Event) -> Use {
    Use {
        account_id: account(),
        day: day_of(event.minute),
        role_arn: role_arn("api"),
        region: REGION.parse().unwrap(),
        access_key_id: Some(event.key.clone()),
        session_name: None,
        action: event.action.clone(),
        mapped: true,
        shape: Some("arn:aws:s3:::bucket/*".into()),
        count: 1,
        errors: u64::from(event.failed),
        denied: 0,
        networks: Networks::PUBLIC,
        source: Some(format!("10.0.0.{}", event.mark % 7)),
        first: at(event.minute),
        last: at(event.minute),
    }
}

/// One batch as the pipeline counts it, up to its commit; `Err` where it ends before.
async fn batch(books: &mut TrailWriter, files: &[FileMark], events: &[Event], commit: bool) -> Result<u64, Error> {
    let mut trail_batch = books.open(&BTreeSet::from([account()])).await?;
    let unread = trail_batch.unread(files).await?;
    if !files.is_empty() && unread.iter().all(|unread| !unread) {
        return Ok(0);
    }
    let mut marks: BTreeMap<TrailDay, Vec<u64>> = BTreeMap::new();
    for event in events {
        marks.entry(place(event.minute)).or_default().push(event.mark);
    }
    for marks in marks.values_mut() {
        marks.sort_unstable();
        marks.dedup();
    }
    let known = trail_batch.counted(&marks).await?;
    let mut met = BTreeSet::new();
    let new: Vec<&Event> = events
        .iter()
        .filter(|event| {
            let before = known.get(&place(event.minute)).is_some_and(|marks| marks.contains(&event.mark));
            !before && met.insert(event.mark)
        })
        .collect();
    for (place, marks) in &mut marks {
        marks.retain(|mark| !known.get(place).is_some_and(|known| known.contains(mark)));
    }
    let uses: Vec<Use> = new.iter().map(|event| counted(event)).collect();
    trail_batch.add(&[], &uses).await?;
    let day = DayCounts { files: 1, events: new.len() as u64 };
    trail_batch.note(marks, files, &BTreeMap::from([(place(0), day)]), at(0)).await?;
    if commit {
        trail_batch.commit().await?;
    }
    Ok(new.len() as u64)
}

async fn usage(store: &Store, of: UsageOf) -> Vec<UseRow> {
    store.usage(&of, UsageWindow::default(), true).try_collect().await.unwrap()
}

fn events(count: u64) -> Vec<Event> {
    (0..count)
        .map(|n| Event {
            mark: (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            minute: i64::try_from(n % 2000).unwrap(),
            key: format!("ASIA{:04}", n % 9),
            action: format!("s3:Action{}", n % 5),
            failed: n % 11 == 0,
        })
        .collect()
}

#[tokio::test]
async fn what_comes_twice_in_any_split_and_order_counts_once() {
    let all = events(3_000);
    let plain = database().await;
    batch(&mut plain.store.trail_writer(), &[], &all, true).await.unwrap();
    let expected = usage(&plain.store, UsageOf::All).await;
    assert_eq!(expected.iter().map(|row| row.calls).sum::<u64>(), 3_000);
    assert_eq!(expected.iter().map(|row| row.errors).sum::<u64>(), 273);
    assert_eq!(expected.len(), 5);

    // Backwards, in overlapping pieces, some of them lost before their commit, by two keepers of
    // books in turn of which neither knows what the other wrote.
    let torn = database().await;
    let (mut one, mut other) = (torn.store.trail_writer(), torn.store.trail_writer());
    for round in 0..2 {
        for (n, start) in (0..3_000).step_by(170).rev().enumerate() {
            let piece = &all[start..(start + 260).min(all.len())];
            let books = if n % 2 == round { &mut one } else { &mut other };
            batch(books, &[], piece, false).await.unwrap();
            batch(books, &[], piece, n % 5 != round).await.unwrap();
        }
    }
    assert_eq!(usage(&torn.store, UsageOf::All).await, expected);
    // Small sets of marks were put together, and none was lost.
    let mut connection = torn.connect().await.unwrap();
    let (segments, marks): (i64, i64) =
        sqlx::query_as("select count(*), sum(count) from trail_seen where kind = 'event'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(marks, 3_000);
    assert!(segments < 24, "{segments}");
    assert_eq!(torn.store.role_actions(&role_arn("api")).await.unwrap().len(), 5);
}

#[tokio::test]
async fn workers_side_by_side_count_once() {
    let all = events(2_000);
    let database = database().await;
    let work = (0..4_usize).map(|worker| {
        let (store, all) = (database.store.clone(), all.clone());
        tokio::spawn(async move {
            let mut books = store.trail_writer();
            for start in (0..all.len()).step_by(250) {
                let start = (start + worker * 500) % all.len();
                let piece = &all[start..(start + 250).min(all.len())];
                batch(&mut books, &[], piece, true).await.unwrap();
            }
        })
    });
    for done in futures::future::join_all(work).await {
        done.unwrap();
    }
    let rows = usage(&database.store, UsageOf::All).await;
    assert_eq!(rows.iter().map(|row| row.calls).sum::<u64>(), 2_000);
}

#[tokio::test]
async fn a_file_is_read_once_and_a_closed_day_knows_only_its_files() {
    let database = database().await;
    let mut books = database.store.trail_writer();
    let all = events(100);
    assert_eq!(batch(&mut books, &[file(1)], &all, true).await.unwrap(), 100);
    assert_eq!(books.read_before(&[file(1), file(2)]).await.unwrap(), [true, false]);
    assert_eq!(batch(&mut books, &[file(1)], &all, true).await.unwrap(), 0);
    assert_eq!(batch(&mut books, &[file(2)], &all, true).await.unwrap(), 0, "another file, the same events");

    assert_eq!(database.store.close_days(at(-1), at(1)).await.unwrap(), 0, "still open");
    let closed = database.store.close_days(at(1), at(2)).await.unwrap();
    assert_eq!(closed, 1);
    let mut books = database.store.trail_writer();
    assert_eq!(batch(&mut books, &[file(1)], &all, true).await.unwrap(), 0);
    assert_eq!(batch(&mut books, &[file(3)], &all[..10], true).await.unwrap(), 10, "a file that was not read");
    let days =
        database.store.trail_days(&[account()], UsageWindow { since: Some(day_of(0)), until: None }).await.unwrap();
    assert_eq!((days[0].files, days[0].events), (3, 110));
}

#[tokio::test]
async fn a_file_outside_every_layout_is_known_until_its_events_are_forgotten() {
    let database = database().await;
    let somewhere = |mark: u64| FileMark { day: None, mark };
    let mut books = database.store.trail_writer();
    for month in 0..3_i64 {
        let mut trail_batch = books.open(&BTreeSet::from([somewhere(0).account_id()])).await.unwrap();
        let read = [somewhere(month.cast_unsigned())];
        assert_eq!(trail_batch.unread(&read).await.unwrap(), [true]);
        trail_batch.note(BTreeMap::new(), &read, &BTreeMap::new(), at(month * 31 * 24 * 60)).await.unwrap();
        trail_batch.commit().await.unwrap();
    }
    // Whenever it comes again.
    let again: Vec<FileMark> = (0..4).map(somewhere).collect();
    let mut books = database.store.trail_writer();
    assert_eq!(books.read_before(&again).await.unwrap(), [true, true, true, false]);
    // The month of the cut is kept: so is what was used in it.
    database.store.drop_usage_before(day_of(31 * 24 * 60) + TimeDelta::days(9)).await.unwrap();
    let mut books = database.store.trail_writer();
    assert_eq!(books.read_before(&again).await.unwrap(), [false, true, true, false]);
}

fn session(id: &str, minute: i64, key: &str, parent: Option<&str>) -> Session {
    Session {
        event_id: id.into(),
        account_id: account(),
        region: REGION.parse().unwrap(),
        at: at(minute),
        kind: SessionKind::AssumeRole,
        role_arn: Some(role_arn("api")),
        session_name: Some("eks-prod-api".into()),
        access_key_id: Some(key.into()),
        principal: "someone".into(),
        principal_type: "AssumedRole".into(),
        parent_access_key_id: parent.map(str::to_owned),
        source_ip: None,
        tags: Tags::new(),
        external_id: None,
        duration_seconds: None,
        vpc_endpoint: None,
        packed_policy_size: None,
        attribution: None,
        error: None,
        cluster: None,
    }
}

async fn add_sessions(store: &Store, sessions: &[Session]) {
    let mut books = store.trail_writer();
    let mut trail_batch = books.open(&BTreeSet::from([account()])).await.unwrap();
    trail_batch.add(sessions, &[]).await.unwrap();
    trail_batch.commit().await.unwrap();
}

/// Ties what is due: to its parent's association, else to `a-1` where it has no parent.
async fn attribute_due_sessions(store: &Store) -> usize {
    let due = store.due_sessions(100).await.unwrap();
    let opened = |key: &String| due.rows.iter().find(|row| row.access_key_id.as_ref() == Some(key));
    let attributions: Vec<(SessionKey, SessionAttribution)> = due
        .rows
        .iter()
        .map(|row| {
            let session: &Session = row;
            let mut first = row;
            while let Some(parent) = first.parent_access_key_id.as_ref().and_then(opened) {
                first = parent;
            }
            let association = match &first.parent_access_key_id {
                None => Some("a-1".to_owned()),
                Some(key) => due.known.get(key).and_then(|parents| parents[0].attribution.clone()?.association_id),
            };
            let key = SessionKey { account_id: session.account_id, event_id: session.event_id.clone(), at: session.at };
            (
                key,
                SessionAttribution {
                    association_id: association,
                    method: AttributionMethod::Chain,
                    ..SessionAttribution::default()
                },
            )
        })
        .collect();
    store.set_attributions(&attributions).await.unwrap();
    attributions.len()
}

/// An audit judges by the attribution that the store has, also where the association is another account's.
#[tokio::test]
async fn an_estate_has_each_session_with_its_attribution() {
    let database = database().await;
    let store = &database.store;
    add_sessions(store, &[session("e1", 2, "ASIAHOP", Some("ASIAPOD"))]).await;
    let sessions = || async { store.estate(at(0)).await.unwrap().snapshot.sessions };
    assert_eq!(sessions().await[0].attribution, None);

    let key: AssociationKey = format!("{OTHER}/eu-west-2/elsewhere/payments/api").parse().unwrap();
    let attribution = SessionAttribution {
        method: AttributionMethod::Chain,
        association_id: Some("a-1".to_owned()),
        cluster: Some(key.cluster.to_string()),
        namespace: Some(key.namespace.to_string()),
        service_account: Some(key.service_account.to_string()),
        association: Some(key),
        pod: Some("api-7d9f6c5b8-x2x9z".to_owned()),
        parent: Some("ASIAPOD".to_owned()),
        depth: 1,
        ..SessionAttribution::default()
    };
    let of = SessionKey { account_id: account(), event_id: "e1".to_owned(), at: at(2) };
    store.set_attributions(&[(of, attribution.clone())]).await.unwrap();
    assert_eq!(sessions().await[0].attribution.as_deref(), Some(&attribution));
}

#[tokio::test]
async fn a_parent_that_comes_late_ties_sessions_and_their_calls() {
    let database = database().await;
    let store = &database.store;
    let calls = |key: &str| Event { mark: 7, minute: 5, key: key.into(), action: "s3:GetObject".into(), failed: false };
    batch(&mut store.trail_writer(), &[], &[calls("ASIAGRANDCHILD")], true).await.unwrap();
    let of_association = UsageOf::Association("a-1".into());
    add_sessions(store, &[session("e3", 4, "ASIAGRANDCHILD", Some("ASIACHILD"))]).await;
    add_sessions(store, &[session("e2", 3, "ASIACHILD", Some("ASIAPOD"))]).await;
    assert_eq!(attribute_due_sessions(store).await, 2);
    while attribute_due_sessions(store).await > 0 {}
    assert_eq!(usage(store, of_association.clone()).await, []);

    add_sessions(store, &[session("e1", 2, "ASIAPOD", None)]).await;
    let mut rounds = 0;
    while attribute_due_sessions(store).await > 0 {
        rounds += 1;
    }
    assert!(rounds <= 3, "{rounds}");
    let rows = usage(store, of_association).await;
    assert_eq!((rows.len(), rows[0].calls, rows[0].action.as_str()), (1, 1, "s3:GetObject"));
    let attributed = SessionFilter { association_id: Some("a-1".into()), ..SessionFilter::default() };
    assert_eq!(store.sessions(&attributed, None, 10).await.unwrap().len(), 3);

    let middle = store.session(account(), "e2").await.unwrap().unwrap();
    let chain = store.chain(middle).await.unwrap();
    let ids = |rows: &[Session]| -> Vec<String> { rows.iter().map(|row| row.event_id.clone()).collect() };
    assert_eq!(
        (ids(&chain.up), ids(&chain.down), chain.more),
        (vec!["e1".into(), "e2".into()], vec!["e3".into()], false)
    );

    // A key whose session was tied before its first call.
    let late = Event { mark: 8, minute: 6, key: "ASIAPOD".into(), action: "s3:PutObject".into(), failed: false };
    batch(&mut store.trail_writer(), &[], &[late], true).await.unwrap();
    assert_eq!(store.attribute_late_calls().await.unwrap(), 1);
    assert_eq!(usage(store, UsageOf::Association("a-1".into())).await.len(), 2);
    assert_eq!(usage(store, UsageOf::Key("ASIAPOD".into())).await.len(), 1);
}

#[tokio::test]
async fn folding_keeps_every_sum_and_forgets_the_keys() {
    let database = database().await;
    let store = &database.store;
    batch(&mut store.trail_writer(), &[], &events(500), true).await.unwrap();
    add_sessions(store, &[session("e1", -10, "ASIA0001", None)]).await;
    attribute_due_sessions(store).await;
    let before = usage(store, UsageOf::All).await;
    assert_eq!(store.roll_up_access_keys(at(0) - TimeDelta::days(1), at(0) - TimeDelta::days(1)).await.unwrap(), 0);
    let much_later = at(0) + TimeDelta::days(30);
    assert_eq!(store.roll_up_access_keys(much_later, at(0)).await.unwrap(), 1, "only what is attributed");
    assert_eq!(usage(store, UsageOf::All).await, before);
    assert_eq!(store.roll_up_access_keys(much_later, much_later).await.unwrap(), 8);
    assert_eq!(usage(store, UsageOf::All).await, before);
    assert_eq!(usage(store, UsageOf::Key("ASIA0001".into())).await, []);
    // What comes later for a folded key is a key's again, and is folded again.
    let late = Event { mark: 1, minute: 9, key: "ASIA0001".into(), action: "s3:Action1".into(), failed: false };
    batch(&mut store.trail_writer(), &[], &[late], true).await.unwrap();
    store.attribute_late_calls().await.unwrap();
    assert_eq!(store.roll_up_access_keys(much_later, much_later).await.unwrap(), 1);
    let calls = |rows: &[UseRow]| rows.iter().map(|row| row.calls).sum::<u64>();
    assert_eq!(calls(&usage(store, UsageOf::All).await), calls(&before) + 1);
    store.drop_usage_before((at(0) + TimeDelta::days(60)).date_naive()).await.unwrap();
    assert_eq!(usage(store, UsageOf::All).await, []);
}

/// Calls of one key as a VPC endpoint tells of them, or as their own events do.
fn told(key: &str, by_endpoint: bool, calls: u64) -> Use {
    let event = Event { mark: 1, minute: 5, key: key.into(), action: "s3:GetObject".into(), failed: false };
    let shape = (!by_endpoint).then(|| "arn:aws:s3:::bucket/*".into());
    Use { shape, count: calls, ..counted(&event) }
}

async fn add(store: &Store, uses: &[Use], withdrawn: &[Use], origins: &[Origin]) {
    let mut books = store.trail_writer();
    let mut trail_batch = books.open(&BTreeSet::from([account()])).await.unwrap();
    trail_batch.add(&[], uses).await.unwrap();
    trail_batch.withdraw(withdrawn).await.unwrap();
    trail_batch.origins(origins).await.unwrap();
    trail_batch.commit().await.unwrap();
}

#[tokio::test]
async fn what_an_endpoint_told_first_is_taken_back() {
    for folded in [false, true] {
        let database = database().await;
        let store = &database.store;
        add(store, &[told("ASIA1", true, 3), told("ASIA2", true, 1)], &[], &[]).await;
        if folded {
            let much_later = at(0) + TimeDelta::days(30);
            assert_eq!(store.roll_up_access_keys(much_later, much_later).await.unwrap(), 2);
        }
        add(
            store,
            &[told("ASIA1", false, 2), told("ASIA2", false, 1)],
            &[told("ASIA1", true, 2), told("ASIA2", true, 1)],
            &[],
        )
        .await;
        let rows = usage(store, UsageOf::All).await;
        let told: Vec<_> = rows.iter().map(|row| (row.shape.as_deref().unwrap_or_default(), row.calls)).collect();
        assert_eq!(told, [("", 1), ("arn:aws:s3:::bucket/*", 3)], "{folded}");
        assert_eq!(store.role_actions(&role_arn("api")).await.unwrap()[0].calls, 4);
    }
}

#[tokio::test]
async fn origins_are_kept_by_session_and_then_by_workload() {
    let database = database().await;
    let store = &database.store;
    let origin = |minute: i64, action: &str, source: &str| Origin {
        account_id: account(),
        access_key_id: Some("ASIAPOD".into()),
        role_arn: role_arn("api"),
        region: REGION.parse().unwrap(),
        network: Some("10.0.0.0/16".into()),
        endpoint: None,
        agent: Some("boto3 on linux".into()),
        first: at(minute),
        last: at(minute + 1),
        action: action.into(),
        source: Some(source.into()),
        is_rest: false,
    };
    let elsewhere = Origin {
        network: Some("198.51.100.7".into()),
        agent: None,
        ..origin(7, "s3:ListAllMyBuckets", "198.51.100.7")
    };
    let uses = [told("ASIAPOD", false, 1)];
    add(store, &uses, &[], &[origin(4, "s3:PutObject", "10.0.3.2"), elsewhere.clone()]).await;
    // Earlier calls, and the same again.
    add(store, &uses, &[], &[origin(2, "s3:GetObject", "10.0.3.9")]).await;
    add(store, &uses, &[], &[origin(4, "s3:PutObject", "10.0.3.2")]).await;
    assert_eq!(store.session_origins(at(0)).await.unwrap(), [], "the session is not known");
    let mut opened = session("e1", 1, "ASIAPOD", None);
    opened.kind = SessionKind::PodIdentity;
    add_sessions(store, &[opened]).await;
    let merged = Origin { last: at(5), source: Some("10.0.3.2".into()), ..origin(2, "s3:GetObject", "") };
    assert_eq!(store.session_origins(at(0)).await.unwrap(), [merged, elsewhere]);
    assert_eq!(store.session_origins(at(2)).await.unwrap(), []);

    assert_eq!(store.trail_memory(at(0)).await.unwrap().used_from, [], "no workload's");
    attribute_due_sessions(store).await;
    let before = store.trail_memory(at(0)).await.unwrap().used_from;
    let told: Vec<_> = before.iter().map(|one| (one.network.as_deref(), one.sessions[0].1, one.last)).collect();
    assert_eq!(told, [(Some("10.0.0.0/16"), at(2), at(5)), (Some("198.51.100.7"), at(7), at(8))]);
    assert_eq!(before[0].association_id.as_deref(), Some("a-1"));
    let much_later = at(0) + TimeDelta::days(30);
    assert_eq!(store.roll_up_access_keys(much_later, much_later).await.unwrap(), 1);
    let told = |used: &[UsedFrom]| -> Vec<_> {
        used.iter().map(|one| (one.association_id.clone(), one.network.clone(), one.sessions[0].1, one.last)).collect()
    };
    assert_eq!(told(&store.trail_memory(at(0)).await.unwrap().used_from), told(&before));
    assert_eq!(store.session_origins(at(0)).await.unwrap(), []);
    store.drop_usage_before((at(0) + TimeDelta::days(60)).date_naive()).await.unwrap();
    assert_eq!(store.trail_memory(at(0)).await.unwrap().used_from, []);
}

#[tokio::test]
async fn what_is_remembered_goes_back_further_than_what_is_judged() {
    let database = database().await;
    let store = &database.store;
    assert_eq!(store.trail_memory(at(0)).await.unwrap(), TrailMemory { at: Some(at(0)), ..TrailMemory::default() });
    let mut seen = Observation::default();
    let api = role(&mut seen, "api");
    seen.roles.push(api);
    let association = Association { association_id: "a-1".into(), ..association("web", "api", "api") };
    seen.associations.push(association);
    look(store, 0, &seen).await;
    add_sessions(store, &[session("e1", -9_000, "ASIAPOD", None)]).await;
    attribute_due_sessions(store).await;
    let of_instances = |action: &str, minute: i64| InstanceUse {
        account_id: account(),
        region: REGION.parse().unwrap(),
        role_arn: role_arn("node"),
        action: action.into(),
        calls: 3,
        denied: 1,
        first: at(minute),
        last: at(minute),
        networks: Networks::PRIVATE,
    };
    for minute in [-8_000, -9_000] {
        let mut books = store.trail_writer();
        let mut trail_batch = books.open(&BTreeSet::from([account()])).await.unwrap();
        trail_batch
            .instances(&[of_instances("s3:GetObject", minute), of_instances("s3:PutObject", minute)])
            .await
            .unwrap();
        trail_batch.commit().await.unwrap();
    }
    let memory = store.trail_memory(at(0)).await.unwrap();
    assert_eq!(memory.associations, BTreeMap::from([("a-1".to_owned(), at(-9_000))]));
    assert_eq!(memory.roles, BTreeMap::from([(role_arn("api"), at(-9_000))]));
    let [get, put] = &memory.instances[..] else { panic!("{:?}", memory.instances) };
    assert_eq!((get.calls, get.denied, get.first, get.last), (6, 2, at(-9_000), at(-8_000)));
    assert_eq!((put.action.as_str(), put.networks), ("s3:PutObject", Networks::PRIVATE));
    // Calls count for both as well, and later ones more.
    let call = Event { mark: 1, minute: -100, key: "ASIAPOD".into(), action: "s3:PutObject".into(), failed: false };
    batch(&mut store.trail_writer(), &[], &[call], true).await.unwrap();
    store.attribute_late_calls().await.unwrap();
    let memory = store.trail_memory(at(0)).await.unwrap();
    assert_eq!(memory.associations, BTreeMap::from([("a-1".to_owned(), at(-100))]));
    assert_eq!(memory.roles, BTreeMap::from([(role_arn("api"), at(-100))]));
    store.drop_usage_before(day_of(0) + TimeDelta::days(40)).await.unwrap();
    assert_eq!(store.trail_memory(at(0)).await.unwrap().instances, []);
}

#[tokio::test]
async fn a_source_says_how_far_it_is_and_what_failed() {
    let database = database().await;
    let store = &database.store;
    store.begin_source("bucket", "s3", at(0)).await.unwrap();
    let mut books = store.trail_writer();
    let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
    let report =
        SourceReport { files: 2, events: 10, bytes: 99, newest_event_at: Some(at(-3)), ..SourceReport::default() };
    trail_batch.progress("bucket", &report).await.unwrap();
    trail_batch.progress("bucket", &report).await.unwrap();
    let cursor = rolecall_store::TrailCursor {
        account_id: account(),
        region: REGION.into(),
        position: "x".into(),
        from_day: Some(day_of(0)),
    };
    trail_batch.cursor("bucket", &cursor, at(0)).await.unwrap();
    trail_batch.commit().await.unwrap();
    store.finish_source("bucket", Ok(()), at(1)).await.unwrap();
    store.begin_source("bucket", "s3", at(2)).await.unwrap();
    store.finish_source("bucket", Err("s3:ListBucket was refused"), at(3)).await.unwrap();
    let [source] = &store.sources().await.unwrap()[..] else { panic!("one source") };
    assert_eq!(
        (source.state, source.caught_up_at, source.finished_at),
        (SourceState::Failed, Some(at(1)), Some(at(3)))
    );
    assert_eq!((source.total.events, source.total.newest_event_at), (20, Some(at(-3))));
    assert_eq!(source.error.as_deref(), Some("s3:ListBucket was refused"));
    assert_eq!(store.cursors("bucket").await.unwrap(), [cursor]);
    assert_eq!(store.cursors("other").await.unwrap(), []);
}

#[tokio::test]
async fn complete_ranges_grow_and_never_takes_in_what_was_given_up() {
    let database = database().await;
    let store = &database.store;
    let region: rolecall_estate::id::Region = REGION.parse().unwrap();
    let hours = |from: i64, to: i64, event_scope: EventScope| CompleteRange {
        source: "bucket".into(),
        account_id: account(),
        region: region.clone(),
        from: at(from * 60),
        to: at(to * 60),
        event_scope,
        all_regions: to > 5,
    };
    let here = || EventScope::Bucket("trails".into());
    let mut books = store.trail_writer();
    let steps = [
        (vec![hours(0, 5, here())], vec![], vec![hours(0, 5, here())]),
        (vec![hours(4, 10, here())], vec![], vec![hours(0, 10, here())]),
        // Nobody read what is between.
        (vec![hours(11, 12, here())], vec![], vec![hours(11, 12, here())]),
        // It is 8 in the morning: 16 hours on, the next day begins.
        (vec![], vec![0], vec![]),
        (vec![hours(10, 15, here())], vec![], vec![]),
        (vec![hours(10, 20, here())], vec![], vec![hours(16, 20, here())]),
        (vec![hours(18, 30, here())], vec![0], vec![hours(16, 30, here())]),
        (vec![hours(18, 40, EventScope::Stated)], vec![], vec![hours(18, 40, EventScope::Stated)]),
    ];
    for (n, (told, torn, expected)) in steps.into_iter().enumerate() {
        let torn: Vec<IncompleteDay> = torn
            .into_iter()
            .map(|minute| IncompleteDay { account_id: account(), region: region.clone(), day: day_of(minute) })
            .collect();
        // What is not committed is not kept.
        for commit in [false, true] {
            let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
            trail_batch.complete_ranges("bucket", &told, &torn).await.unwrap();
            if commit {
                trail_batch.commit().await.unwrap();
            }
        }
        assert_eq!(store.complete_ranges(&[account()]).await.unwrap(), expected, "step {n}");
    }
    let other = CompleteRange { source: "history".into(), ..hours(0, 3, EventScope::Sessions) };
    let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
    trail_batch.complete_ranges("history", std::slice::from_ref(&other), &[]).await.unwrap();
    trail_batch.commit().await.unwrap();
    assert_eq!(store.complete_ranges(&[]).await.unwrap(), [hours(18, 40, EventScope::Stated), other]);
    assert_eq!(store.complete_ranges(&["999988887777".parse().unwrap()]).await.unwrap(), []);

    // What is forgotten of the calls is not complete any more. Two days on it is 8 in the morning again.
    store.drop_usage_before(day_of(24 * 60)).await.unwrap();
    assert_eq!(store.complete_ranges(&[]).await.unwrap(), [hours(18, 40, EventScope::Stated)]);
    let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
    trail_batch.complete_ranges("bucket", &[hours(18, 50, EventScope::Stated)], &[]).await.unwrap();
    trail_batch.commit().await.unwrap();
    store.drop_usage_before(day_of(48 * 60)).await.unwrap();
    assert_eq!(store.complete_ranges(&[]).await.unwrap(), [hours(40, 50, EventScope::Stated)]);
}

#[tokio::test]
async fn a_stretch_that_reaches_into_the_future_was_not_read() {
    let database = database().await;
    let store = &database.store;
    // PostgreSQL keeps microseconds.
    let now = chrono::DateTime::from_timestamp_micros(store.now().await.unwrap().timestamp_micros()).unwrap();
    let whole = |from: i64, to: i64| CompleteRange {
        source: "bucket".into(),
        account_id: account(),
        region: REGION.parse().unwrap(),
        from: now + TimeDelta::hours(from),
        to: now + TimeDelta::hours(to),
        event_scope: EventScope::Sessions,
        all_regions: true,
    };
    let mut books = store.trail_writer();
    let mut tell = async |told: CompleteRange| {
        let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
        trail_batch.complete_ranges("bucket", &[told], &[]).await.unwrap();
        trail_batch.commit().await.unwrap();
        store.complete_ranges(&[]).await.unwrap()
    };
    // Told by clocks that were a month ahead: of a trail that was read before, and of one that was not.
    assert_eq!(tell(whole(-50, -2)).await, [whole(-50, -2)]);
    for ahead in [whole(-2, 720), whole(700, 720)] {
        assert_eq!(tell(ahead).await, []);
        let next = tell(whole(-1, 1)).await;
        let [next] = &next[..] else { panic!("one stretch: {next:?}") };
        assert_eq!(next.to, now + TimeDelta::hours(1));
        assert!(next.from <= store.now().await.unwrap(), "{next:?}");
    }
}

#[tokio::test]
async fn a_region_without_a_complete_range_does_not_pass_for_one_without_events() {
    let database = database().await;
    let store = &database.store;
    let whole = |region: &str| CompleteRange {
        source: "bucket".into(),
        account_id: account(),
        region: region.parse().unwrap(),
        from: at(0),
        to: at(60),
        event_scope: EventScope::Bucket("trails".into()),
        all_regions: true,
    };
    let torn = IncompleteDay { account_id: account(), region: "us-east-1".parse().unwrap(), day: day_of(0) };
    let mut books = store.trail_writer();
    let mut note = async |told: &[CompleteRange], torn: &[IncompleteDay]| {
        let mut trail_batch = books.open(&BTreeSet::new()).await.unwrap();
        trail_batch.complete_ranges("bucket", told, torn).await.unwrap();
        trail_batch.commit().await.unwrap();
        store.complete_ranges(&[]).await.unwrap()
    };
    let both = [whole("eu-west-1"), whole("us-east-1")];
    assert_eq!(note(&both, &[]).await, both);
    let left = CompleteRange { all_regions: false, ..whole("eu-west-1") };
    assert_eq!(note(&both, &[torn]).await, [left]);
}

#[tokio::test]
async fn no_text_of_an_event_ends_the_reading() {
    let database = database().await;
    let store = &database.store;
    // Of texts that do not compress.
    let long: String = (0..2_000_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for odd in ["a\0b", "␀", &long] {
        let event = Event { mark: 1, minute: 5, key: odd.into(), action: odd.into(), failed: false };
        let used = Use { role_arn: odd.into(), shape: Some(odd.into()), source: Some(odd.into()), ..counted(&event) };
        let mut opened = session(odd, 1, odd, Some(odd));
        opened.role_arn = Some(odd.into());
        opened.session_name = Some(odd.into());
        opened.tags = Tags::from([(odd.into(), odd.into())]);
        let origin = Origin {
            account_id: account(),
            access_key_id: Some(odd.into()),
            role_arn: odd.into(),
            region: REGION.parse().unwrap(),
            network: Some(odd.into()),
            endpoint: Some(odd.into()),
            agent: Some(odd.into()),
            first: at(5),
            last: at(6),
            action: odd.into(),
            source: Some(odd.into()),
            is_rest: false,
        };
        let instance = InstanceUse {
            account_id: account(),
            region: REGION.parse().unwrap(),
            role_arn: odd.into(),
            action: odd.into(),
            calls: 1,
            denied: 0,
            first: at(5),
            last: at(5),
            networks: Networks::PRIVATE,
        };
        let mut books = store.trail_writer();
        for round in 0..2 {
            let mut trail_batch = books.open(&BTreeSet::from([account()])).await.unwrap();
            let wrote = trail_batch.add(std::slice::from_ref(&opened), std::slice::from_ref(&used)).await.unwrap();
            assert_eq!(wrote.sessions, u64::from(round == 0), "it is known again");
            trail_batch.origins(std::slice::from_ref(&origin)).await.unwrap();
            trail_batch.instances(std::slice::from_ref(&instance)).await.unwrap();
            trail_batch.commit().await.unwrap();
        }
        let attribution = SessionAttribution {
            cluster: Some(odd.into()),
            namespace: Some(odd.into()),
            service_account: Some(odd.into()),
            association_id: Some(odd.into()),
            reason: Some(odd.into()),
            ..SessionAttribution::default()
        };
        let known = store.sessions(&SessionFilter::default(), None, 10).await.unwrap();
        let key = |session: Session| SessionKey { account_id: account(), event_id: session.event_id, at: session.at };
        let attributions: Vec<_> = known.into_iter().map(|row| (key(row), attribution.clone())).collect();
        store.set_attributions(&attributions).await.unwrap();
    }
    let calls: Vec<u64> = usage(store, UsageOf::All).await.iter().map(|row| row.calls).collect();
    assert_eq!(calls, [2, 2, 2], "each is a row of its own, and was met again");
    assert_eq!(store.sessions(&SessionFilter::default(), None, 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn calls_until_a_moment_leave_out_what_came_later() {
    let database = database().await;
    let call = |mark: u64, minute: i64, action: &str| Event {
        mark,
        minute,
        key: "ASIA0001".to_owned(),
        action: action.to_owned(),
        failed: false,
    };
    const DAY: i64 = 24 * 60;
    let calls =
        [call(1, 0, "s3:A"), call(2, 60, "s3:A"), call(3, 90, "s3:B"), call(4, DAY, "s3:A"), call(5, DAY, "s3:C")];
    batch(&mut database.store.trail_writer(), &[], &calls, true).await.unwrap();
    let until = async |minute: i64| {
        let within = UsageWindow { since: None, until: Some(at(minute)) };
        let rows: Vec<UseRow> = database.store.usage(&UsageOf::All, within, true).try_collect().await.unwrap();
        rows.into_iter().map(|row| (row.action, row.calls, row.last_at)).collect::<Vec<_>>()
    };
    let said = |rows: &[(&str, u64, i64)]| -> Vec<(String, u64, chrono::DateTime<chrono::Utc>)> {
        rows.iter().map(|(action, calls, last)| ((*action).to_owned(), *calls, at(*last))).collect()
    };
    assert_eq!(until(-1).await, said(&[]));
    // Of its own day the calls of an action are counted whole, and none is told of a later time.
    assert_eq!(until(30).await, said(&[("s3:A", 2, 30)]));
    assert_eq!(until(DAY - 1).await, said(&[("s3:A", 2, 60), ("s3:B", 1, 90)]));
    assert_eq!(until(DAY).await, said(&[("s3:A", 3, DAY), ("s3:B", 1, 90), ("s3:C", 1, DAY)]));
    let days = async |minute| {
        let within = UsageWindow { since: None, until: Some(at(minute)) };
        database.store.trail_days(&[account()], within).await.unwrap().len()
    };
    assert_eq!((days(-DAY).await, days(0).await), (0, 1));
}
