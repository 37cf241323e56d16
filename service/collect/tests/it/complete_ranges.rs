//! Of which ranges of time a source says that nothing is missing, and what keeps it from that.

use crate::estate::{HUB, WORK, now, sandbox};
use crate::trails::{BUCKET, Kept, config, fast, filled, in_bucket, key, looked, opened, put, with_sessions};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_collect::trails::{Events, InBucket, Limits, TrailConfig, TrailKind, open};
use rolecall_estate::EventScope;
use rolecall_sandbox::{Fault, Faults, Options, Sandbox};
use std::collections::BTreeMap;

/// From when, to when, and whether a further region would have shown.
type Told = BTreeMap<(String, String), (String, String, bool)>;

fn told(kept: &Kept) -> Told {
    let plain = |at: DateTime<Utc>| at.format("%m-%d %H:%M").to_string();
    let whole = kept.whole.iter().filter(|(_, whole)| !whole.is_empty());
    whole.map(|(stretch, whole)| (stretch.clone(), (plain(whole.from), plain(whole.to), whole.all_regions))).collect()
}

fn expected<'e>(all: impl IntoIterator<Item = (&'e str, &'e str, &'e str, &'e str, bool)>) -> Told {
    all.into_iter()
        .map(|(account, region, from, to, all)| ((account.into(), region.into()), (from.into(), to.into(), all)))
        .collect()
}

fn trail(batch: usize) -> TrailConfig {
    config(TrailKind::Bucket(in_bucket()), batch)
}

/// A pass of a source that is opened anew.
async fn pass(kept: &mut Kept, sandbox: &Sandbox, trail: &TrailConfig, at: DateTime<Utc>) {
    let mut source = opened(sandbox, trail, kept.cursors()).await;
    assert!(kept.pass_at(source.as_mut(), at, None).await);
}

/// WORK's oldest file lies before the first day that is listed, HUB's does not.
const FIRST: [(&str, &str, &str, &str, bool); 3] = [
    (HUB, "us-east-1", "11-20 00:00", "11-23 11:00", true),
    (WORK, "eu-west-1", "10-24 00:00", "11-23 11:00", true),
    (WORK, "us-east-1", "10-24 00:00", "11-23 11:00", true),
];

fn until(to: &str) -> Told {
    expected(FIRST.map(|(account, region, from, _, all)| (account, region, from, to, all)))
}

#[tokio::test]
async fn a_listing_is_complete_from_its_first_day_or_the_oldest_file_and_grows() {
    for (page, batch) in [(1000, 500), (2, 4), (1, 1), (3, 15)] {
        let sandbox = sandbox().await;
        filled(&sandbox);
        sandbox.faults().inject(Fault::page_size("s3:ListBucket", page));
        let mut kept = Kept::default();
        pass(&mut kept, &sandbox, &trail(batch), now()).await;
        assert_eq!(told(&kept), expected(FIRST));
        assert!(kept.whole.values().all(|whole| whole.event_scope == EventScope::Bucket(BUCKET.to_owned())));

        // Nothing new came, and a day later something in one place.
        pass(&mut kept, &sandbox, &trail(batch), now() + TimeDelta::hours(2)).await;
        assert_eq!(told(&kept), until("11-23 13:00"));
        put(&sandbox, &key(WORK, "eu-west-1", "2026/11/24", 3));
        pass(&mut kept, &sandbox, &trail(batch), now() + TimeDelta::days(1)).await;
        assert_eq!(told(&kept), until("11-24 11:00"));

        // A region that is new is as whole as the account's others are: it had no events before.
        put(&sandbox, &key(WORK, "sa-east-1", "2026/11/24", 3));
        pass(&mut kept, &sandbox, &trail(batch), now() + TimeDelta::days(2)).await;
        let new = told(&kept)[&(WORK.to_owned(), "sa-east-1".to_owned())].clone();
        assert_eq!(new, ("10-26 00:00".to_owned(), "11-25 11:00".to_owned(), true));
    }
}

#[tokio::test]
async fn a_crash_makes_nothing_complete_that_was_not_committed() {
    for dies in 1..12 {
        for after_commit in [false, true] {
            let sandbox = sandbox().await;
            filled(&sandbox);
            let mut kept = Kept::default();
            let mut source = opened(&sandbox, &trail(4), Vec::new()).await;
            assert!(!kept.pass(source.as_mut(), Some((dies, after_commit))).await);
            // What is complete has all its files, whichever came first.
            for ((account, region), _) in told(&kept) {
                let read = kept.read.keys().filter(|key| key.contains(&format!("/{account}/CloudTrail/{region}/")));
                assert_eq!(read.count(), 15, "{account} {region} in batch {dies}");
            }
            pass(&mut kept, &sandbox, &trail(4), now()).await;
            let (to, all) = (until("11-23 11:00"), told(&kept));
            assert_eq!(to.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>());
            // The second pass begins where the first was, so that less may be complete, and never more.
            assert!(to.iter().all(|(stretch, told)| told.0 <= all[stretch].0 && told.1 == all[stretch].1), "{all:?}");
        }
    }
}

#[tokio::test]
async fn regions_that_are_left_out_would_not_show() {
    let sandbox = sandbox().await;
    filled(&sandbox);
    let only = InBucket { regions: ["us-east-1".parse().unwrap()].into(), ..in_bucket() };
    let mut kept = Kept::default();
    pass(&mut kept, &sandbox, &config(TrailKind::Bucket(only), 500), now()).await;
    let all = [
        (HUB, "us-east-1", "11-20 00:00", "11-23 11:00", false),
        // Its oldest file is now that of this region.
        (WORK, "us-east-1", "11-20 00:00", "11-23 11:00", false),
    ];
    assert_eq!(told(&kept), expected(all));
}

#[tokio::test]
async fn a_missed_object_holds_its_region_back_and_the_others_say_that_it_would_not_show() {
    let sandbox = sandbox().await;
    filled(&sandbox);
    sandbox.faults().inject(Fault::deny("kms:Decrypt").times(1));
    let mut kept = Kept::default();
    pass(&mut kept, &sandbox, &trail(500), now()).await;
    let [gap] = &kept.gaps[..] else { panic!("{:?}", kept.gaps) };
    let missed = (gap.account_id.unwrap().to_string(), gap.region.clone().unwrap().to_string());
    let held = expected(FIRST.map(|(account, region, from, to, _)| (account, region, from, to, account != missed.0)));
    assert_eq!(told(&kept), held.into_iter().filter(|(stretch, _)| *stretch != missed).collect());

    pass(&mut kept, &sandbox, &trail(500), now() + TimeDelta::hours(1)).await;
    assert_eq!(told(&kept), until("11-23 12:00"));
}

#[tokio::test]
async fn what_is_given_up_is_never_within_a_complete_range() {
    let sandbox = sandbox().await;
    filled(&sandbox);
    sandbox.put_object(BUCKET, &key(WORK, "us-east-1", "2026/11/22", 999), b"torn");
    let mut kept = Kept::default();
    let incomplete = |from: &'static str, to: &str| {
        let mut all = until(to);
        all.insert((WORK.to_owned(), "us-east-1".to_owned()), (from.to_owned(), to.to_owned(), true));
        all
    };
    pass(&mut kept, &sandbox, &trail(500), now()).await;
    assert_eq!(told(&kept), incomplete("11-23 00:00", "11-23 11:00"));
    // It is known by now, and not torn by itself any more.
    pass(&mut kept, &sandbox, &trail(500), now() + TimeDelta::hours(1)).await;
    assert_eq!(told(&kept), incomplete("11-23 00:00", "11-23 12:00"));

    // Listed, and gone when it was asked for.
    put(&sandbox, &key(WORK, "us-east-1", "2026/11/23", 7 * 60));
    let mut source = opened(&sandbox, &trail(500), kept.cursors()).await;
    let at = now() + TimeDelta::hours(2);
    let batch = source.next(at).await.unwrap();
    sandbox.remove_object(BUCKET, &key(WORK, "us-east-1", "2026/11/23", 7 * 60));
    let mut outcomes = Vec::new();
    for object in &batch.objects {
        outcomes.push(match source.fetch(object).await {
            Err(missed) => rolecall_collect::trails::Outcome::Missed(missed),
            Ok(_) => rolecall_collect::trails::Outcome::Read,
        });
    }
    let settlement = source.finish_batch(batch, outcomes);
    kept.commit(Vec::new(), Vec::new(), &settlement);
    let stretch = (WORK.to_owned(), "us-east-1".to_owned());
    assert_eq!(told(&kept).get(&stretch), None, "of today something is gone, and today is not over");
    pass(&mut kept, &sandbox, &trail(500), now() + TimeDelta::days(1)).await;
    assert_eq!(told(&kept)[&stretch].0, "11-24 00:00");
}

#[tokio::test]
async fn a_listing_that_is_refused_is_not_complete() {
    let sandbox = sandbox().await;
    filled(&sandbox);
    let mut kept = Kept::default();
    sandbox.faults().deny("s3:ListBucket");
    pass(&mut kept, &sandbox, &trail(500), now()).await;
    assert_eq!(told(&kept), Told::new());

    // Refused in the middle, of every range that has more pages.
    sandbox.faults().clear();
    sandbox.faults().inject(Fault::page_size("s3:ListBucket", 1));
    let mut source = opened(&sandbox, &trail(1), kept.cursors()).await;
    let first = source.next(now()).await.unwrap();
    assert_eq!(first.objects.len(), 1);
    sandbox.faults().deny("s3:ListBucket");
    kept.gaps.clear();
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!((kept.gaps.len(), told(&kept)), (3, Told::new()));

    sandbox.faults().clear();
    pass(&mut kept, &sandbox, &trail(500), now()).await;
    assert_eq!(told(&kept).len(), 3);
}

#[tokio::test]
async fn what_was_not_listed_in_between_is_no_bridge() {
    let sandbox = sandbox().await;
    sandbox.make_bucket(BUCKET, "us-east-1");
    put(&sandbox, &key(WORK, "us-east-1", "2026/10/01", 0));
    let mut kept = Kept::default();
    let stretch = |from, to| expected([(WORK, "us-east-1", from, to, true)]);
    pass(&mut kept, &sandbox, &trail(500), now()).await;
    assert_eq!(told(&kept), stretch("10-24 00:00", "11-23 11:00"));
    // No file was ever read here, so each pass looks back by as much as the first.
    pass(&mut kept, &sandbox, &trail(500), now() + TimeDelta::days(29)).await;
    assert_eq!(told(&kept), stretch("10-24 00:00", "12-22 11:00"));
    pass(&mut kept, &sandbox, &trail(500), now() + TimeDelta::days(100)).await;
    assert_eq!(told(&kept), stretch("02-01 00:00", "03-03 11:00"));
}

async fn with_history() -> Sandbox {
    let options = Options { now: Some(now()), lookups_per_second: None, ..Options::default() };
    Sandbox::start_with(with_sessions(600, TimeDelta::minutes(5)), Faults::none(), options).await.unwrap()
}

#[tokio::test]
async fn a_lookup_is_complete_from_where_it_began_to_where_it_is() {
    let sandbox = with_history().await;
    let plan = fast(&sandbox);
    for (events, holds) in [(Events::Sessions, EventScope::Sessions), (Events::All, EventScope::Management)] {
        let mut trail = looked(TimeDelta::days(4));
        if let TrailKind::Lookup(looked) = &mut trail.kind {
            looked.events = events;
        }
        let stretch = |from, to| expected([(WORK, "eu-west-1", from, to, false)]);
        let mut kept = Kept::default();
        let mut source = open(&plan, &trail, Vec::new()).await.unwrap();
        assert!(kept.pass(source.as_mut(), None).await);
        assert_eq!(told(&kept), stretch("11-19 12:00", "11-23 11:30"));
        assert!(kept.whole.values().all(|whole| whole.event_scope == holds));
        let mut source = open(&plan, &trail, kept.cursors()).await.unwrap();
        assert!(kept.pass_at(source.as_mut(), now() + TimeDelta::days(80), None).await);
        assert_eq!(told(&kept), stretch("11-19 12:00", "02-11 11:30"));
        // CloudTrail has forgotten what is between.
        let mut source = open(&plan, &trail, kept.cursors()).await.unwrap();
        assert!(kept.pass_at(source.as_mut(), now() + TimeDelta::days(200), None).await);
        assert_eq!(told(&kept), stretch("03-13 12:00", "06-11 11:30"));
    }
}

#[tokio::test]
async fn a_lookup_that_is_refused_is_complete_up_to_there_and_goes_on() {
    let sandbox = with_history().await;
    let plan = fast(&sandbox);
    let trail = TrailConfig { limits: Limits { batch_objects: 2, ..Limits::default() }, ..looked(TimeDelta::days(4)) };
    let mut kept = Kept::default();
    let mut source = open(&plan, &trail, Vec::new()).await.unwrap();
    assert!(!kept.pass(source.as_mut(), Some((2, true))).await);
    sandbox.faults().inject(Fault::deny("cloudtrail:LookupEvents").times(1));
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!(kept.gaps.len(), 1);
    let (_, (from, to, _)) = told(&kept).pop_first().unwrap();
    let [cursor] = &kept.cursors()[..] else { panic!("{:?}", kept.cursors()) };
    let reached: DateTime<Utc> = cursor.position.parse().unwrap();
    assert_eq!((from.as_str(), to), ("11-19 12:00", reached.format("%m-%d %H:%M").to_string()));
    assert!(reached < now() - TimeDelta::hours(1), "it stopped on the way");
    let mut source = open(&plan, &trail, kept.cursors()).await.unwrap();
    assert!(kept.pass(source.as_mut(), None).await);
    assert_eq!(told(&kept), expected([(WORK, "eu-west-1", "11-19 12:00", "11-23 11:30", false)]));
}
