//! What pages, the API and exports ask for.

use crate::findings::failure;
use crate::fixture::*;
use futures::TryStreamExt;
use rolecall_audit::finding::*;
use rolecall_audit::verdict::*;
use rolecall_estate::coverage::ScopeKind;
use rolecall_rules::*;
use rolecall_store::*;
use std::collections::BTreeMap;

/// Sixty findings of all severities in three namespaces, opened over three runs.
async fn many(store: &Store) {
    for round in 0..3 {
        let run = begin(store, round * 60).await;
        let open = (0..20).map(|n| {
            let severity = Severity::WORST_FIRST[n % 5];
            let mut failure = failure(&format!("{}{round}{n}", if n % 2 == 0 { 'a' } else { 'b' }), severity, "m");
            failure.subject.namespace = Some(format!("ns{}", n % 3));
            failure.subject.account_id = if n % 4 == 0 { other() } else { account() };
            failure.message = format!("Message {round} {n}");
            FindingAction::Open(failure)
        });
        store.apply(run, &open.collect::<Vec<_>>(), &[], &DoneJudgement::default(), at(round * 60)).await.unwrap();
    }
}

async fn pages(store: &Store, filter: &FindingFilter, sort: FindingSort, limit: u32) -> Vec<i64> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.findings(filter, sort, after, limit).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = Some(last.after(sort));
        all.extend(page.iter().map(|row| row.number));
    }
}

#[tokio::test]
async fn pages_of_any_size_give_every_finding_once_in_one_order() {
    let database = database().await;
    let store = &database.store;
    many(store).await;
    for sort in [FindingSort::Severity, FindingSort::LastSeen, FindingSort::Opened, FindingSort::Number] {
        let whole = pages(store, &FindingFilter::default(), sort, 1000).await;
        assert_eq!(whole.len(), 60);
        for limit in [1, 7, 20] {
            assert_eq!(pages(store, &FindingFilter::default(), sort, limit).await, whole, "{sort:?} by {limit}");
        }
    }
    for severity in [vec![Severity::High], vec![Severity::Low, Severity::High], vec![Severity::Info]] {
        let filter = FindingFilter { severity: severity.clone(), ..FindingFilter::default() };
        for sort in [FindingSort::Severity, FindingSort::LastSeen, FindingSort::Opened, FindingSort::Number] {
            let rows = store.findings(&FindingFilter::default(), sort, None, 1000).await.unwrap();
            let some = rows.iter().filter(|row| severity.contains(&row.severity)).map(|row| row.number);
            let some: Vec<i64> = some.collect();
            assert_eq!(some.len(), 12 * severity.len());
            assert_eq!(pages(store, &filter, sort, 5).await, some, "{severity:?} by {sort:?}");
        }
    }
    let worst = store.findings(&FindingFilter::default(), FindingSort::Severity, None, 12).await.unwrap();
    assert!(worst.iter().all(|row| row.severity == Severity::Critical));
}

#[tokio::test]
async fn a_page_is_stable_while_findings_come_and_change() {
    let database = database().await;
    let store = &database.store;
    many(store).await;
    let sort = FindingSort::Number;
    let first = store.findings(&FindingFilter::default(), sort, None, 10).await.unwrap();
    let run = begin(store, 500).await;
    store
        .apply(
            run,
            &[FindingAction::Open(failure("new", Severity::Critical, "m"))],
            &[],
            &DoneJudgement::default(),
            at(500),
        )
        .await
        .unwrap();
    let next = store.findings(&FindingFilter::default(), sort, Some(first[9].after(sort)), 10).await.unwrap();
    assert_eq!(next[0].number, first[9].number - 1);
}

#[tokio::test]
async fn each_filter_leaves_what_it_says() {
    let database = database().await;
    let store = &database.store;
    many(store).await;
    let run = begin(store, 300).await;
    let gone = Fingerprint("v1:a00".into());
    store
        .apply(
            run,
            &[FindingAction::Resolve { fingerprint: gone, why: Resolution::Passed, by: None }],
            &[],
            &DoneJudgement::default(),
            at(300),
        )
        .await
        .unwrap();
    let all = FindingFilter::default;
    let cases: Vec<(&str, FindingFilter, u64)> = vec![
        ("all", all(), 60),
        ("workflow", FindingFilter { workflow: vec![Workflow::Open, Workflow::Acknowledged], ..all() }, 59),
        ("detection", FindingFilter { detection: vec![Detection::Cleared], ..all() }, 1),
        ("severity", FindingFilter { severity: vec![Severity::Low, Severity::Info], ..all() }, 24),
        ("severity_min", FindingFilter { severity_min: Some(Severity::High), ..all() }, 24),
        ("accounts", FindingFilter { accounts: vec![other()], ..all() }, 15),
        ("rules", FindingFilter { rules: vec!["rule-a".into(), "rule-x".into()], ..all() }, 30),
        ("kinds", FindingFilter { subject_kinds: vec![SubjectKind::Role], ..all() }, 0),
        ("subject", FindingFilter { subject_key: Some(key("web", "api").to_string()), ..all() }, 60),
        ("region", FindingFilter { region: Some("us-east-1".into()), ..all() }, 0),
        ("cluster", FindingFilter { cluster: Some(CLUSTER.into()), ..all() }, 60),
        ("namespace", FindingFilter { namespace: Some("ns2".into()), ..all() }, 18),
        ("service account", FindingFilter { service_account: Some("x".into()), ..all() }, 0),
        ("role", FindingFilter { role_arn: Some(role_arn("api")), ..all() }, 60),
        ("target role", FindingFilter { role_arn: Some(role_arn("target")), ..all() }, 60),
        ("updated", FindingFilter { updated_since: Some(at(120)), ..all() }, 21),
        ("first seen", FindingFilter { first_seen_after: Some(at(120)), ..all() }, 20),
        ("text", FindingFilter { q: Some("mESSAGE 1 1".into()), ..all() }, 11),
        ("wildcards are text", FindingFilter { q: Some("%".into()), ..all() }, 0),
    ];
    for (name, filter, left) in cases {
        assert_eq!(store.count_findings(&filter).await.unwrap(), Total::Exact(left), "{name}");
        assert_eq!(pages(store, &filter, FindingSort::Severity, 9).await.len() as u64, left, "{name}");
        let exported: Vec<Finding> = store.export_findings(&filter).try_collect().await.unwrap();
        assert_eq!(exported.len() as u64, left, "{name}");
        assert!(exported.is_sorted_by_key(|found| found.row.number), "{name}");
    }
    assert_eq!(store.finding(7).await.unwrap().unwrap().row.number, 7);
    assert_eq!(store.finding(99).await.unwrap(), None);
}

#[tokio::test]
async fn the_overview_adds_up() {
    let database = database().await;
    let store = &database.store;
    many(store).await;
    let run = begin(store, 24 * 60).await;
    let resolve = |name: &str| FindingAction::Resolve {
        fingerprint: Fingerprint(name.into()),
        why: Resolution::Passed,
        by: None,
    };
    let stale = FindingAction::MarkStale { fingerprint: Fingerprint("v1:a02".into()), why: vec!["gap".into()] };
    let open = FindingAction::Open(failure("c", Severity::Info, "m"));
    store
        .apply(run, &[resolve("v1:a00"), resolve("v1:b05"), stale, open], &[], &DoneJudgement::default(), at(24 * 60))
        .await
        .unwrap();
    store.finish_run(run, &RunOutcome::Done(serde_json::json!({}))).await.unwrap();
    let overview = store.overview().await.unwrap();
    let open = BTreeMap::from([
        (Severity::Critical, 10),
        (Severity::High, 12),
        (Severity::Medium, 12),
        (Severity::Low, 12),
        (Severity::Info, 13),
    ]);
    assert_eq!(overview.open, open);
    assert_eq!((overview.stale, overview.suppressed), (1, 0));
    assert_eq!((overview.opened_by_last_run, overview.resolved_by_last_run), (1, 2));
    assert_eq!(overview.last_run.map(|run| run.id), Some(run));
    assert_eq!(overview.rules.iter().map(|rule| rule.open).sum::<u64>(), 59);
    assert_eq!(overview.rules[0].worst, Severity::Critical);
    assert_eq!(overview.accounts.iter().map(|account| account.open).sum::<u64>(), 59);
    let trend = store.trends(at(2 * 24 * 60), 3, 2).await.unwrap();
    let days: Vec<(u64, u64, u64)> = trend.days.iter().map(|day| (day.opened, day.resolved, day.open())).collect();
    assert_eq!(days, [(60, 0, 60), (1, 2, 59), (0, 0, 59)]);
    assert_eq!(trend.days[2].by_severity, open, "by severity as they are now");
    let sum = |of: fn(&TrendWeek) -> u64| trend.weeks.iter().map(of).sum::<u64>();
    assert_eq!((trend.weeks.len(), sum(|week| week.opened), sum(|week| week.resolved)), (2, 61, 2));
    assert!(trend.weeks.iter().all(|week| week.median_age.is_some() == (week.resolved > 0)));
    assert_eq!(store.trends(at(2 * 24 * 60), 1, 1).await.unwrap().days[0].open(), 59);
    // Before there was anything, and again what was worked out before.
    let early = store.trends(at(-24 * 60), 2, 1).await.unwrap();
    assert_eq!(early.days.iter().map(TrendDay::open).collect::<Vec<_>>(), [0, 0], "what came later is undone");
    assert_eq!(store.trends(at(-24 * 60), 2, 1).await.unwrap(), early);
    assert_kept_as_counted(store, at(2 * 24 * 60)).await;
}

#[tokio::test]
async fn associations_and_roles_know_each_other() {
    let database = database().await;
    let store = &database.store;
    let mut seen = estate();
    let detail = seen.associations[1].detail.as_mut().unwrap();
    detail.target_role_arn = Some(role_arn("api"));
    detail.role_arn = role_arn("missing");
    let mut undescribed = association("other", "api", "api");
    undescribed.detail = None;
    seen.associations.push(undescribed);
    let (run, _) = look(store, 0, &seen).await;
    store
        .apply(run, &[FindingAction::Open(failure("a", Severity::High, "m"))], &[], &DoneJudgement::default(), at(0))
        .await
        .unwrap();

    let since = at(-15);
    let rows = store.associations(&AssociationFilter::default(), None, 10, since).await.unwrap();
    let brief: Vec<_> = rows
        .iter()
        .map(|row| (row.association.key.namespace.as_str(), row.role_exists, row.target_role_exists, row.open_findings))
        .collect();
    assert_eq!(
        brief,
        [("other", None, None, Some(0)), ("web", Some(true), None, Some(1)), ("web", Some(false), Some(true), Some(0)),]
    );
    assert_eq!((rows[1].role_sessions, rows[1].role_last_session), (1, Some(at(-10))));
    let second = store.associations(&AssociationFilter::default(), Some(&rows[0].after()), 1, since).await.unwrap();
    assert_eq!(second, rows[1..2]);
    let one = store.association(&key("web", "api"), since, None).await.unwrap();
    assert_eq!(one.as_ref(), Some(&rows[1]));
    assert_eq!(store.association(&key("web", "nobody"), since, None).await.unwrap(), None);
    let of_role = AssociationFilter { role_arn: Some(role_arn("api")), ..AssociationFilter::default() };
    assert_eq!(store.count_associations(&of_role).await.unwrap(), Total::Exact(2));
    let text = AssociationFilter { q: Some("MISSING".into()), ..AssociationFilter::default() };
    assert_eq!(store.count_associations(&text).await.unwrap(), Total::Exact(1));
    for (filter, left) in [
        (AssociationFilter { namespace: Some("web".into()), ..AssociationFilter::default() }, 2),
        (AssociationFilter { service_account: Some("worker".into()), ..AssociationFilter::default() }, 1),
        (AssociationFilter { cluster: Some("x".into()), ..AssociationFilter::default() }, 0),
        (
            AssociationFilter {
                region: Some(REGION.into()),
                accounts: vec![account()],
                ..AssociationFilter::default()
            },
            3,
        ),
    ] {
        assert_eq!(store.associations(&filter, None, 10, since).await.unwrap().len(), left, "{filter:?}");
    }

    let roles = store.roles(&RoleFilter::default(), None, 10).await.unwrap();
    let brief: Vec<_> =
        roles.iter().map(|row| (row.role.arn.name(), row.last_used_at, row.associations, row.open_findings)).collect();
    assert_eq!(brief, [("api", Some(at(-30)), 2, Some(1)), ("worker", None, 0, Some(0))]);
    assert_eq!(store.roles(&RoleFilter::default(), Some(&roles[0].after()), 10).await.unwrap(), roles[1..]);
    let free = RoleFilter { associated: Some(false), ..RoleFilter::default() };
    assert_eq!(store.roles(&free, None, 10).await.unwrap(), roles[1..]);
    assert_eq!(store.count_roles(&free).await.unwrap(), Total::Exact(1));
    let role = store.role(&roles[0].role.arn, None).await.unwrap().unwrap();
    let policies = store.policies_of(&role.role, None).await.unwrap();
    assert_eq!((policies.len(), policies[0].is_boundary), (1, false));
    let trust = role.role.trust.unwrap();
    assert_eq!(
        store.documents(&[trust]).await.unwrap().get(&trust).unwrap().text,
        seen.documents.get(&trust).unwrap().text
    );
}

#[tokio::test]
async fn sessions_are_found_and_paged() {
    let database = database().await;
    let store = &database.store;
    let mut seen = estate();
    seen.sessions =
        (0..30).map(|n| session(&format!("e{n:02}"), -(n / 3), if n % 2 == 0 { "api" } else { "worker" })).collect();
    look(store, 0, &seen).await;
    let whole = store.sessions(&SessionFilter::default(), None, 100).await.unwrap();
    assert_eq!(whole.len(), 30);
    let (mut paged, mut after): (Vec<_>, Option<SessionAfter>) = (Vec::new(), None);
    loop {
        let page = store.sessions(&SessionFilter::default(), after.as_ref(), 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(SessionAfter::new(last));
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    for (filter, left) in [
        (SessionFilter { role_arn: Some(role_arn("api")), ..SessionFilter::default() }, 15),
        (SessionFilter { accounts: vec![other()], ..SessionFilter::default() }, 0),
        (SessionFilter { session_name: Some("PROD-api".into()), ..SessionFilter::default() }, 30),
        (SessionFilter { principal: Some("lambda".into()), ..SessionFilter::default() }, 0),
        (SessionFilter { attribution_method: Some("tags".into()), ..SessionFilter::default() }, 0),
        (SessionFilter { failed: Some(false), ..SessionFilter::default() }, 30),
        (SessionFilter { failed: Some(true), ..SessionFilter::default() }, 0),
        (SessionFilter { since: Some(at(-1)), until: Some(at(0)), ..SessionFilter::default() }, 3),
        (
            SessionFilter {
                cluster: Some(CLUSTER.into()),
                kinds: vec![seen.sessions[0].kind],
                ..SessionFilter::default()
            },
            30,
        ),
    ] {
        assert_eq!(store.sessions(&filter, None, 100).await.unwrap().len(), left, "{filter:?}");
        let days = store.session_days(&filter).await.unwrap();
        let counted: u64 = days.iter().map(|day| day.attributed + day.ambiguous + day.unattributed).sum();
        assert_eq!(usize::try_from(counted), Ok(left), "{filter:?}");
    }
}

#[tokio::test]
async fn accounts_and_their_coverage() {
    let database = database().await;
    let store = &database.store;
    let (first, _) = look(store, 0, &estate()).await;
    let mut blind = rolecall_estate::Observation::default();
    let mut entry = gap(ScopeKind::Entry);
    entry.scope.account_id = other();
    blind.coverage.gap(entry);
    blind.coverage.gap(gap(ScopeKind::Trails));
    let (run, _) = look(store, 60, &blind).await;
    let rows = store.accounts().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [account(), other()]);
    assert_eq!((rows[0].roles, rows[0].clusters, rows[0].associations), (2, 1, 2));
    assert_eq!((rows[0].complete_scopes, rows[0].gap_scopes, rows[0].last_look_at), (12, 1, Some(at(60))));
    assert_eq!((&rows[1].account, rows[1].gap_scopes), (&None, 1));

    assert_eq!(store.known_accounts().await.unwrap(), estate().account.into_iter().collect::<Vec<_>>());

    let coverage = store.coverage(&[account()]).await.unwrap();
    assert_eq!(coverage.len(), 13);
    let trails = coverage.iter().find(|row| row.scope.kind == ScopeKind::Trails).unwrap();
    assert_eq!((trails.complete, trails.run, trails.last_complete_at), (false, run, Some(at(0))));
    assert_eq!(trails.gaps.len(), 1);
    let roles = coverage.iter().find(|row| row.scope.kind == ScopeKind::Roles).unwrap();
    assert_eq!((roles.complete, roles.run, roles.looked_at), (true, first, Some(at(0))));
    assert_eq!(store.gaps(&[]).await.unwrap().len(), 2);
    assert_eq!(store.gaps_of_run(run).await.unwrap().len(), 2);
    assert_eq!(store.gaps_of_run(first).await.unwrap().len(), 0);
    let counts = store.counts().await.unwrap();
    let expected =
        Counts { accounts: 2, roles: 2, policies: 1, clusters: 1, associations: 2, sessions: 2, documents: 4, gaps: 2 };
    assert_eq!(counts, expected);
}
