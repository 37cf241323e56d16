//! What is written, what is not, and what is believed gone.

use crate::fixture::*;
use chrono::TimeDelta;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Coverage, Gap, GapReason, ScopeKind};
use rolecall_estate::*;
use rolecall_iam::Arn;
use rolecall_store::testing::Database;
use rolecall_store::{Error, RunId, SaveCounts, Store};
use sqlx::Row;

/// Every row's place in time: the transaction that wrote it.
async fn writers(database: &Database) -> Vec<(String, String)> {
    let mut connection = database.connect().await.unwrap();
    let mut all = Vec::new();
    for sql in [
        "select 'document ' || encode(digest, 'hex') as row, xmin::text as writer from document",
        "select 'resource ' || kind || key || seen_from as row, xmin::text as writer from resource",
        "select 'session ' || event_id as row, xmin::text as writer from session",
        "select 'used ' || role_arn as row, xmin::text as writer from role_last_used",
    ] {
        for row in sqlx::query(sql).fetch_all(&mut connection).await.unwrap() {
            all.push((row.get("row"), row.get("writer")));
        }
    }
    all.sort();
    all
}

async fn estate_of(store: &Store) -> Estate {
    store.estate(at(-100_000)).await.unwrap()
}

fn names(estate: &Estate) -> (Vec<String>, Vec<String>, usize) {
    let roles = estate.roles.iter().map(|role| role.arn.name().to_owned()).collect();
    let associations = estate.associations.iter().map(|found| found.key.service_account.to_string()).collect();
    (roles, associations, estate.clusters.len())
}

/// What was seen, with the coverage of some scopes taken away, and gaps in their place.
fn with_gaps(seen: &Observation, kinds: &[ScopeKind]) -> Observation {
    let mut seen = seen.clone();
    let mut coverage = Coverage::default();
    for (scope, _) in seen.coverage.scopes() {
        if !kinds.contains(&scope.kind) {
            coverage.complete(scope.clone());
        }
    }
    for kind in kinds {
        coverage.gap(gap(*kind));
    }
    seen.coverage = coverage;
    seen
}

#[tokio::test]
async fn what_was_saved_comes_back_complete() {
    let database = database().await;
    let seen = estate();
    let (_, counts) = look(&database.store, 0, &seen).await;
    assert_eq!(
        counts,
        SaveCounts {
            documents_written: 4,
            resources_opened: 9,
            resources_closed: 0,
            resources_changed: 9,
            sessions_written: 2,
            gaps: 0
        }
    );
    let back = estate_of(&database.store).await;
    assert_eq!(back.accounts, seen.account.clone().into_iter().collect::<Vec<_>>());
    let mut roles = seen.roles.clone();
    // PostgreSQL holds no NUL.
    roles.iter_mut().for_each(|role| role.tags = [("team".into(), "a␀b".into())].into());
    assert_eq!(back.roles, roles);
    assert_eq!(back.last_used, seen.last_used);
    assert_eq!(back.policies, seen.policies);
    assert_eq!(back.oidc_providers, seen.oidc_providers);
    assert_eq!(back.clusters, seen.clusters);
    assert_eq!(back.associations, seen.associations);
    assert_eq!(back.trails, seen.trails);
    assert_eq!(back.sessions, seen.sessions);
    assert_eq!(back.coverage, seen.coverage);
    assert_eq!(back.documents.len(), seen.documents.len());
    for document in seen.documents.iter() {
        assert_eq!(back.documents.get(&document.digest).unwrap().text, document.text);
    }
}

#[tokio::test]
async fn an_unchanged_look_writes_no_row() {
    let database = database().await;
    let seen = estate();
    look(&database.store, 0, &seen).await;
    let before = writers(&database).await;
    let mut again = seen.clone();
    // The order of lists says nothing.
    again.roles.reverse();
    again.associations.reverse();
    let (_, counts) = look(&database.store, 5, &again).await;
    assert_eq!(counts, SaveCounts::default());
    assert_eq!(writers(&database).await, before);
}

#[tokio::test]
async fn a_change_opens_one_version_and_closes_one() {
    let database = database().await;
    let mut seen = estate();
    let (first, _) = look(&database.store, 0, &seen).await;
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    seen.roles[0].inline[0].document = seen.documents.read(text);
    let (second, counts) = look(&database.store, 5, &seen).await;
    assert_eq!(
        counts,
        SaveCounts {
            documents_written: 1,
            resources_opened: 1,
            resources_closed: 1,
            resources_changed: 1,
            ..SaveCounts::default()
        }
    );
    let digest = |estate: &Estate| estate.roles[0].inline[0].document;
    let (then, now) = (database.store.estate_at(first).await.unwrap(), database.store.estate_at(second).await.unwrap());
    assert_ne!(digest(&then), digest(&now));
    assert_eq!(digest(&now), digest(&estate_of(&database.store).await));
    assert!(then.documents.get(&digest(&then)).is_some());
}

#[tokio::test]
async fn gone_needs_two_complete_looks() {
    let database = database().await;
    let whole = estate();
    // A first scan that did not see everything proves nothing about what it did see.
    look(&database.store, 0, &with_gaps(&whole, &[ScopeKind::Roles])).await;
    let mut less = whole.clone();
    less.roles.truncate(1);
    let (_, counts) = look(&database.store, 5, &less).await;
    assert_eq!(counts.resources_changed, 0);
    assert_eq!(names(&estate_of(&database.store).await).0, ["api", "worker"]);
    let (_, counts) = look(&database.store, 10, &less).await;
    assert_eq!((counts.resources_closed, counts.resources_changed), (1, 1));
    assert_eq!(names(&estate_of(&database.store).await).0, ["api"]);
}

#[tokio::test]
async fn a_gap_keeps_every_row_of_its_scope() {
    let whole = estate();
    for kind in [
        ScopeKind::Roles,
        ScopeKind::Policies,
        ScopeKind::OidcProviders,
        ScopeKind::Clusters,
        ScopeKind::Associations,
        ScopeKind::Trails,
    ] {
        let database = database().await;
        look(&database.store, 0, &whole).await;
        let before = database.store.counts().await.unwrap();
        let mut blind = with_gaps(&whole, &[kind]);
        match kind {
            ScopeKind::Roles => blind.roles.clear(),
            ScopeKind::Policies => blind.policies.clear(),
            ScopeKind::OidcProviders => blind.oidc_providers.clear(),
            ScopeKind::Clusters => blind.clusters.clear(),
            ScopeKind::Associations => blind.associations.clear(),
            _ => blind.trails.clear(),
        }
        let (_, counts) = look(&database.store, 5, &blind).await;
        assert_eq!(counts, SaveCounts { gaps: 1, ..SaveCounts::default() }, "{kind}");
        let after = database.store.counts().await.unwrap();
        assert_eq!(after, rolecall_store::Counts { gaps: 1, ..before }, "{kind}");
        let estate = estate_of(&database.store).await;
        assert!(!estate.coverage.is_complete(&scope(kind)), "{kind}");
        assert_eq!(estate.coverage.gaps_of(&scope(kind)).unwrap().len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_scope_that_was_not_looked_at_keeps_its_latest_look() {
    let database = database().await;
    let whole = estate();
    look(&database.store, 0, &with_gaps(&whole, &[ScopeKind::Trails])).await;
    let mut roles_only = Observation::from(Snapshot {
        roles: whole.roles.clone(),
        documents: whole.documents.clone(),
        ..Snapshot::default()
    });
    roles_only.coverage.complete(scope(ScopeKind::Roles));
    look(&database.store, 5, &roles_only).await;
    let estate = estate_of(&database.store).await;
    assert_eq!(estate.coverage.gaps().count(), 1);
    assert!(estate.coverage.is_complete(&scope(ScopeKind::Associations)));
    assert_eq!(names(&estate), (vec!["api".into(), "worker".into()], vec!["api".into(), "worker".into()], 1));
}

#[tokio::test]
async fn what_could_not_be_described_is_remembered_until_it_is_another() {
    let database = database().await;
    let whole = estate();
    look(&database.store, 0, &whole).await;
    let mut blind = with_gaps(&whole, &[ScopeKind::AssociationDetails, ScopeKind::Addons]);
    blind.associations[0].detail = None;
    blind.associations[1].detail = None;
    blind.associations[1].association_id = "a-made-anew".into();
    blind.clusters[0].addons = None;
    blind.trails[0].recorded = None;
    let (_, counts) = look(&database.store, 5, &blind).await;
    assert_eq!((counts.resources_changed, counts.gaps), (1, 2));
    let estate = estate_of(&database.store).await;
    assert_eq!(estate.associations[0], whole.associations[0]);
    assert_eq!(estate.associations[1].detail, None);
    assert_eq!(estate.clusters, whole.clusters);
    assert!(whole.trails[0].recorded.is_some());
    assert_eq!(estate.trails, whole.trails);
}

#[tokio::test]
async fn a_cluster_takes_its_associations_and_its_gaps_with_it() {
    let database = database().await;
    let whole = estate();
    look(&database.store, 0, &whole).await;
    look(&database.store, 5, &with_gaps(&whole, &[ScopeKind::Addons])).await;
    let mut without = whole.clone();
    without.clusters.clear();
    without.associations.clear();
    let mut coverage = Coverage::default();
    coverage.complete(scope(ScopeKind::Clusters));
    without.coverage = coverage;
    let (_, counts) = look(&database.store, 10, &without).await;
    assert_eq!(counts.resources_closed, 3);
    let estate = estate_of(&database.store).await;
    assert_eq!(names(&estate).1, Vec::<String>::new());
    assert_eq!(estate.coverage.gaps().count(), 0);
    assert_eq!(estate.coverage.gaps_of(&scope(ScopeKind::Associations)), None);
}

#[tokio::test]
async fn a_snapshot_that_was_dropped_leaves_nothing() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let mut snapshot = store.snapshot(run).await.unwrap();
    let counts = snapshot.save(&estate()).await.unwrap();
    assert_eq!(counts.resources_opened, 9);
    // Nothing shows before the commit either.
    assert_eq!(store.counts().await.unwrap(), rolecall_store::Counts::default());
    drop(snapshot);
    let (_, again) = look(store, 5, &estate()).await;
    assert_eq!(again.resources_opened, 9);
    assert_eq!(store.run(run).await.unwrap().unwrap().snapshot_at, None);
}

#[tokio::test]
async fn one_snapshot_at_a_time_and_none_after_a_later_one() {
    let database = database().await;
    let store = &database.store;
    let (early, late) = (begin(store, 0).await, begin(store, 1).await);
    let open = store.snapshot(late).await.unwrap();
    assert!(matches!(store.snapshot(early).await, Err(Error::SnapshotBusy)));
    open.commit().await.unwrap();
    assert!(matches!(store.snapshot(early).await, Err(Error::SnapshotOutdated { run }) if run == early));
    assert!(matches!(store.snapshot(RunId(99)).await, Err(Error::NoRun(RunId(99)))));
}

#[tokio::test]
async fn an_account_may_come_in_parts() {
    let database = database().await;
    let store = &database.store;
    let whole = estate();
    look(store, 0, &whole).await;
    let run = begin(store, 5).await;
    let mut snapshot = store.snapshot(run).await.unwrap();
    let mut changed = whole.clone();
    changed.roles[0].role_id = "AROAX".into();
    assert_eq!(snapshot.save(&changed).await.unwrap().resources_changed, 1);
    // The same resource again in the same run: the last word counts.
    changed.roles[0].role_id = "AROAY".into();
    assert_eq!(snapshot.save(&changed).await.unwrap().resources_changed, 1);
    snapshot.commit().await.unwrap();
    assert_eq!(estate_of(store).await.roles[0].role_id, "AROAY");
    assert_eq!(store.estate_at(RunId(run.0 - 1)).await.unwrap().roles[0].role_id, whole.roles[0].role_id);
}

#[tokio::test]
async fn one_snapshot_writes_months_that_it_meets_one_after_another() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let mut writer = store.snapshot(run).await.unwrap();
    for (event, months_ago) in [("e1", 1_i64), ("e2", 7), ("e3", 80)] {
        let mut seen = Observation::default();
        seen.sessions.push(session(event, -months_ago * 31 * 24 * 60, "api"));
        assert_eq!(writer.save(&seen).await.unwrap().sessions_written, 1, "{event}");
    }
    writer.commit().await.unwrap();
}

#[tokio::test]
async fn sessions_are_kept_once_and_old_months_can_go() {
    let database = database().await;
    let store = &database.store;
    let mut seen = estate();
    let month = TimeDelta::days(31).num_minutes();
    seen.sessions.push(session("e0", -month, "api"));
    seen.sessions.push(session("e1", -20, "api"));
    let (_, counts) = look(store, 0, &seen).await;
    assert_eq!(counts.sessions_written, 3);
    let (_, counts) = look(store, 5, &seen).await;
    assert_eq!(counts.sessions_written, 0);
    assert_eq!(store.estate(at(-60)).await.unwrap().sessions.len(), 2);
    assert_eq!(store.drop_sessions_before(at(0)).await.unwrap().len(), 1);
    assert_eq!(estate_of(store).await.sessions.len(), 2);
    assert_eq!(store.drop_sessions_before(at(0)).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_role_that_a_complete_listing_shows_unused_loses_its_last_use() {
    let database = database().await;
    let mut seen = estate();
    look(&database.store, 0, &seen).await;
    seen.last_used.clear();
    look(&database.store, 5, &with_gaps(&seen, &[ScopeKind::Roles])).await;
    assert_eq!(estate_of(&database.store).await.last_used.len(), 1);
    look(&database.store, 10, &seen).await;
    assert_eq!(estate_of(&database.store).await.last_used.len(), 0);
}

/// What of an estate the latest scan did not show.
fn unconfirmed(estate: &Estate) -> Vec<(ResourceKind, String)> {
    estate.unconfirmed.iter().map(|(kind, _, key)| (kind, key.to_owned())).collect()
}

#[tokio::test]
async fn what_a_cut_listing_lacks_is_marked_until_it_is_seen_again() {
    let database = database().await;
    let store = &database.store;
    let whole = estate();
    look(store, 0, &whole).await;
    let mut cut = with_gaps(&whole, &[ScopeKind::Roles]);
    cut.roles.truncate(1);
    look(store, 5, &cut).await;
    let worker = vec![(ResourceKind::Role, role_arn("worker"))];
    assert_eq!(unconfirmed(&estate_of(store).await), worker);
    // Not read at all, and seen by nobody else: the mark stays.
    let mut other = Observation::default();
    other.coverage.complete(scope(ScopeKind::Policies));
    other.policies.clone_from(&whole.policies);
    look(store, 10, &other).await;
    assert_eq!(unconfirmed(&estate_of(store).await), worker);
    look(store, 15, &whole).await;
    assert!(estate_of(store).await.unconfirmed.is_empty());
    let loaded = store.estate_of(&[account()].into(), None).await.unwrap();
    assert!(loaded.unconfirmed.is_empty());
}

#[tokio::test]
async fn what_a_cut_list_of_a_cluster_lacks_stays_as_it_was_known() {
    let database = database().await;
    let store = &database.store;
    let mut whole = estate();
    let mut more = whole.clusters[0].addons.clone().unwrap()[0].clone();
    more.name = "another-add-on".to_owned();
    whole.clusters[0].addons.as_mut().unwrap().push(more);
    look(store, 0, &whole).await;
    let names = async || -> Vec<String> {
        let addons = estate_of(store).await.clusters[0].addons.clone().unwrap();
        addons.into_iter().map(|addon| addon.name).collect()
    };
    let known = names().await;
    let mut cut = with_gaps(&whole, &[ScopeKind::Addons]);
    let last = cut.clusters[0].addons.as_mut().unwrap().pop();
    look(store, 5, &cut).await;
    assert_eq!(names().await, known);
    assert_eq!(unconfirmed(&estate_of(store).await), [(ResourceKind::ClusterAddons, whole.clusters[0].key())]);
    // A page that holds all that is known leaves nothing that was only remembered.
    cut.clusters[0].addons.as_mut().unwrap().extend(last);
    look(store, 10, &cut).await;
    assert_eq!((names().await, unconfirmed(&estate_of(store).await)), (known, Vec::new()));
}

#[tokio::test]
async fn what_was_only_listed_is_remembered_by_its_description() {
    let database = database().await;
    let store = &database.store;
    let whole = estate();
    look(store, 0, &whole).await;
    let mut listed = with_gaps(&whole, &[ScopeKind::AssociationDetails, ScopeKind::Addons]);
    listed.associations[0].detail = None;
    listed.clusters[0].addons = None;
    look(store, 5, &listed).await;
    let key = whole.associations[0].key.to_string();
    let expected = vec![(ResourceKind::ClusterAddons, whole.clusters[0].key()), (ResourceKind::AssociationDetail, key)];
    let estate = estate_of(store).await;
    assert_eq!(unconfirmed(&estate), expected);
    assert!(estate.associations[0].detail.is_some() && estate.clusters[0].addons.is_some());
    look(store, 10, &whole).await;
    assert!(estate_of(store).await.unconfirmed.is_empty());
}

#[tokio::test]
async fn an_account_that_cannot_be_entered_leaves_everything_remembered() {
    let database = database().await;
    let store = &database.store;
    let whole = estate();
    look(store, 0, &whole).await;
    let mut refused = Observation { account: whole.account.clone(), ..Observation::default() };
    refused.coverage.gap(gap(ScopeKind::Entry));
    look(store, 5, &refused).await;
    let blind = estate_of(store).await;
    assert_eq!(names(&blind), names(&estate_of(store).await));
    assert!(blind.coverage.scopes().all(|(_, gaps)| !gaps.is_empty()), "{:?}", blind.coverage);
    let resources = whole.roles.len()
        + whole.policies.len()
        + whole.oidc_providers.len()
        + whole.clusters.len()
        + whole.associations.len()
        + whole.trails.len();
    assert_eq!(unconfirmed(&blind).len(), resources);
    look(store, 10, &whole).await;
    let seen = estate_of(store).await;
    assert!(seen.unconfirmed.is_empty());
    assert_eq!(seen.coverage.gaps().count(), 0);
}

#[tokio::test]
async fn a_source_that_does_not_hold_something_changes_nothing_of_it() {
    let database = database().await;
    let store = &database.store;
    let whole = estate();
    look(store, 0, &whole).await;
    let mut trail_alone = Observation { account: whole.account.clone(), ..Observation::default() };
    for kind in [ScopeKind::Roles, ScopeKind::Clusters] {
        trail_alone.coverage.gap(Gap { reason: GapReason::NotProvided, ..gap(kind) });
    }
    look(store, 5, &trail_alone).await;
    let estate = estate_of(store).await;
    assert!(estate.unconfirmed.is_empty());
    assert_eq!(estate.coverage.gaps().count(), 0);
    // Where nothing is known yet, the gap is all that there is to say.
    let empty = crate::fixture::database().await;
    look(&empty.store, 0, &trail_alone).await;
    assert_eq!(estate_of(&empty.store).await.coverage.gaps().count(), 2);
}

#[tokio::test]
async fn what_a_run_assumes_is_assumed_by_those_who_ask_later() {
    let database = database().await;
    let store = &database.store;
    let (run, _) = look(store, 0, &estate()).await;
    store.note_assumed(run, &[Assumption::NoScps].into()).await.unwrap();
    let loaded = store.estate_of(&[account()].into(), None).await.unwrap();
    assert_eq!(loaded.assumed, [Assumption::NoScps].into());
    look(store, 5, &estate()).await;
    assert!(store.estate_of(&[account()].into(), None).await.unwrap().assumed.is_empty());
}

/// Texts that PostgreSQL or its indexes do not take, in every place where a name can stand.
fn with_names(seen: &Observation, name: &str) -> Observation {
    let mut seen = seen.clone();
    let role = role(&mut seen, name);
    seen.last_used.push(RoleLastUsed { role: role.arn.clone(), at: at(-5), region: Some(name.into()) });
    seen.roles.push(role);
    let arn: Arn = format!("arn:aws:iam::{ACCOUNT}:policy/{name}").parse().unwrap();
    let first = seen.policies[0].clone();
    seen.policies.push(ManagedPolicy { arn: arn.clone(), name: name.into(), policy_id: name.into(), ..first });
    seen.oidc_providers.push(OidcProvider {
        arn: format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{name}").parse().unwrap(),
        detail: None,
    });
    let mut cluster = Cluster { name: "odd".parse().unwrap(), role_arn: Some(name.into()), ..seen.clusters[0].clone() };
    cluster.addons = None;
    seen.clusters.push(cluster);
    seen.associations.push(Association { association_id: name.into(), ..association("web", "odd", name) });
    let first = seen.trails[0].clone();
    seen.trails.push(Trail { arn: name.into(), name: name.into(), recorded: None, ..first });
    let document = seen.documents.read(&format!("not JSON: {name}"));
    seen.org_policies.push(OrgPolicy {
        account_id: account(),
        id: name.into(),
        kind: OrgPolicyKind::Scp,
        name: name.into(),
        document,
        targets: vec![name.into()],
    });
    let mut session = session("e-odd", 3, name);
    session.event_id = name.into();
    session.session_name = Some(name.into());
    session.access_key_id = Some(name.into());
    session.parent_access_key_id = Some(name.into());
    session.principal = name.into();
    session.cluster = Some(name.into());
    session.error = Some(name.into());
    seen.sessions.push(session);
    seen.coverage.gap(Gap { detail: name.into(), action: name.into(), ..gap(ScopeKind::AccessEntries) });
    seen
}

#[tokio::test]
async fn a_name_with_nul_is_kept_escaped_and_no_row_is_written_twice() {
    let database = database().await;
    let seen = with_names(&estate(), "a\0b");
    look(&database.store, 0, &seen).await;
    let back = estate_of(&database.store).await;
    assert!(back.roles.iter().any(|role| role.arn.as_str() == role_arn("a␀b")));
    assert!(back.last_used.iter().any(|used| used.role.as_str() == role_arn("a␀b")));
    assert!(back.associations.iter().any(|found| found.association_id == "a␀b"));
    assert!(back.policies.iter().any(|policy| policy.name == "a␀b"));
    assert!(back.sessions.iter().any(|session| session.event_id == "a␀b"));
    assert_eq!(back.roles.len(), seen.roles.len());
    for document in seen.documents.iter() {
        assert_eq!(back.documents.get(&document.digest).unwrap().text, document.text, "as it was");
    }
    // A name that is kept alike is no name that is written twice.
    let alike = with_names(&seen, "a␀b");
    look(&database.store, 2, &alike).await;
    look(&database.store, 3, &seen).await;
    // The next scan knows each again: what is looked up by a name finds it.
    let before = writers(&database).await;
    let (_, counts) = look(&database.store, 5, &seen).await;
    let gaps = counts.gaps;
    assert_eq!(counts, SaveCounts { gaps, ..SaveCounts::default() });
    assert_eq!(writers(&database).await, before);
    // And what is gone goes by its name.
    look(&database.store, 10, &estate()).await;
    assert!(estate_of(&database.store).await.last_used.iter().all(|used| used.role.as_str() != role_arn("a␀b")));
}

#[tokio::test]
async fn a_name_that_no_index_takes_is_a_gap_and_hides_nothing_else() {
    let database = database().await;
    // Of texts that do not compress.
    let digits = |n: u64| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for (minute, length) in [(0, 200_000), (5, 200)] {
        let long: String = (0..length).map(digits).collect();
        let seen = with_names(&estate(), &long);
        look(&database.store, minute, &seen).await;
        let back = estate_of(&database.store).await;
        let (roles, _, clusters) = names(&back);
        assert_eq!((roles, clusters), (names(&estate_of_scan(&estate()).await).0, 1), "all others are kept");
        assert_eq!(back.sessions.len(), estate().sessions.len() + 1 + usize::from(minute > 0), "sessions are kept cut");
        for kind in [
            ScopeKind::Roles,
            ScopeKind::Policies,
            ScopeKind::OidcProviders,
            ScopeKind::Clusters,
            ScopeKind::Associations,
            ScopeKind::Trails,
            ScopeKind::OrgPolicies,
        ] {
            let gaps = back.coverage.gaps_of(&scope(kind)).unwrap();
            assert_eq!(gaps.len(), 1, "{kind:?}: {gaps:?}");
            assert_eq!(gaps[0].reason, GapReason::Malformed);
            assert!(
                gaps[0].detail.contains("2048 are the most that is kept") && gaps[0].detail.len() < 300,
                "{gaps:?}"
            );
        }
    }
    // As long as AWS makes them.
    let most: String = (0..200).map(digits).collect::<String>().chars().take(2_048 - role_arn("").len()).collect();
    let mut seen = estate();
    let longest = role(&mut seen, &most);
    seen.roles.push(longest);
    look(&database.store, 20, &seen).await;
    assert_eq!(estate_of(&database.store).await.roles.len(), seen.roles.len());
}

async fn estate_of_scan(seen: &Observation) -> Estate {
    let database = database().await;
    look(&database.store, 0, seen).await;
    estate_of(&database.store).await
}

/// The numbers kept beside the resources are those of the resources, now and as every scan left them.
#[tokio::test]
async fn what_accounts_have_is_counted_as_it_comes_and_goes() {
    let database = database().await;
    let store = &database.store;
    let all = estate();
    let without_roles = |names: &[&str]| {
        let mut seen = all.clone();
        seen.roles.retain(|role| names.contains(&role.arn.name()));
        seen
    };
    let more = {
        let mut seen = all.clone();
        let new = role(&mut seen, "new");
        seen.roles.push(new);
        seen.associations.push(association("web", "new", "new"));
        seen
    };
    let mut gone = all.clone();
    gone.clusters.clear();
    gone.associations.clear();
    let looks = [
        all.clone(),
        more.clone(),
        without_roles(&["api"]),
        with_gaps(&without_roles(&[]), &[ScopeKind::Roles]),
        without_roles(&[]),
        gone,
        more,
        all.clone(),
    ];
    let mut left = Vec::new();
    for (n, seen) in looks.iter().enumerate() {
        look(store, i64::try_from(n).unwrap(), seen).await;
        let estate = estate_of(store).await;
        let numbers = [estate.roles.len(), estate.clusters.len(), estate.associations.len()].map(|it| it as u64);
        let rows = store.accounts().await.unwrap();
        let counted =
            rows.iter().find(|row| row.id == account()).map(|row| [row.roles, row.clusters, row.associations]);
        assert_eq!(counted, Some(numbers), "look {n}");
        left.push((store.now().await.unwrap(), numbers));
    }
    assert!(left.iter().map(|(_, numbers)| numbers).collect::<std::collections::BTreeSet<_>>().len() > 4, "{left:?}");
    for (n, (at, numbers)) in left.iter().enumerate() {
        let as_of = store.as_of(*at).await.unwrap().unwrap();
        let rows = store.accounts_at(as_of).await.unwrap();
        let counted =
            rows.iter().find(|row| row.id == account()).map(|row| [row.roles, row.clusters, row.associations]);
        assert_eq!(counted, Some(*numbers), "as look {n} left it");
    }
}
