//! A small estate, and how to look at it.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use rolecall_audit::finding::Workflow;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::*;
use rolecall_iam::AccountId;
use rolecall_store::testing::{self, Database};
use rolecall_store::{
    AssociationFilter, FindingFilter, FindingRow, FindingSort, FindingVia, NewRun, RunId, SaveCounts, Store,
};
use std::time::Duration;

pub const ACCOUNT: &str = "111122223333";
pub const OTHER: &str = "444455556666";
pub const REGION: &str = "eu-west-1";
pub const CLUSTER: &str = "prod";

pub fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

pub fn other() -> AccountId {
    OTHER.parse().unwrap()
}

/// Minutes after a morning in March.
pub fn at(minute: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 8, 0, 0).unwrap() + TimeDelta::minutes(minute)
}

pub async fn database() -> Database {
    testing::database().await.unwrap()
}

pub async fn begin(store: &Store, minute: i64) -> RunId {
    let new = NewRun { kind: "scan".into(), trigger: "test".into(), now: at(minute), lease: Duration::from_secs(3600) };
    store.begin_run(&new).await.unwrap()
}

/// One whole run.
pub async fn look(store: &Store, minute: i64, seen: &Observation) -> (RunId, SaveCounts) {
    let run = begin(store, minute).await;
    let mut snapshot = store.snapshot(run).await.unwrap();
    snapshot.save(seen).await.unwrap();
    (run, snapshot.commit().await.unwrap())
}

pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

pub fn role(seen: &mut Observation, name: &str) -> Role {
    let trust = seen.documents.read(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#,
    );
    let inline = seen.documents.read(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::{name}/*"}}]}}"#
    ));
    Role {
        arn: role_arn(name).parse().unwrap(),
        role_id: format!("AROA{name}"),
        created_at: Some(at(-1000)),
        trust: Some(trust),
        inline: vec![InlinePolicy { name: "read".into(), document: inline }],
        attached: vec![AttachedPolicy { arn: policy_arn().parse().unwrap(), name: "Shared".into() }],
        boundary: None,
        instance_profiles: vec![],
        tags: Tags::from([("team".into(), "a\0b".into())]),
    }
}

fn policy_arn() -> String {
    format!("arn:aws:iam::{ACCOUNT}:policy/Shared")
}

pub fn key(namespace: &str, service_account: &str) -> AssociationKey {
    AssociationKey {
        account_id: account(),
        region: REGION.parse().unwrap(),
        cluster: CLUSTER.parse().unwrap(),
        namespace: namespace.parse().unwrap(),
        service_account: service_account.parse().unwrap(),
    }
}

pub fn association(namespace: &str, service_account: &str, role: &str) -> Association {
    Association {
        key: key(namespace, service_account),
        association_id: format!("a-{namespace}{service_account}"),
        arn: format!("arn:aws:eks:{REGION}:{ACCOUNT}:podidentityassociation/{CLUSTER}/a-{namespace}{service_account}"),
        detail: Some(AssociationDetail {
            role_arn: role_arn(role),
            target_role_arn: None,
            external_id: None,
            disable_session_tags: false,
            policy: None,
            tags: Tags::new(),
            created_at: Some(at(-500)),
            modified_at: None,
            extra: [("zeta".to_owned(), serde_json::json!({"bb": 1, "a": [1.5, null]}))].into(),
        }),
        owner_arn: None,
    }
}

pub fn session(event: &str, minute: i64, role: &str) -> Session {
    Session {
        event_id: event.into(),
        account_id: account(),
        region: REGION.parse().unwrap(),
        at: at(minute),
        kind: SessionKind::PodIdentity,
        role_arn: Some(role_arn(role)),
        session_name: Some("eks-prod-api-1".into()),
        access_key_id: Some("ASIAEXAMPLE".into()),
        principal: "pods.eks.amazonaws.com".into(),
        principal_type: "AWSService".into(),
        parent_access_key_id: None,
        source_ip: None,
        tags: Tags::from([("kubernetes-namespace".into(), "web".into())]),
        external_id: None,
        duration_seconds: Some(21_600),
        vpc_endpoint: Some(VpcEndpoint { id: "vpce-0a1b2c3d".into(), account_id: Some(OTHER.into()) }),
        packed_policy_size: Some(12),
        attribution: None,
        error: None,
        cluster: Some(CLUSTER.into()),
    }
}

pub fn scope(kind: ScopeKind) -> Scope {
    let (region, cluster) = (REGION.parse().unwrap(), CLUSTER.parse().unwrap());
    match kind {
        ScopeKind::Clusters | ScopeKind::Trails | ScopeKind::Sessions => Scope::regional(account(), kind, region),
        ScopeKind::Associations | ScopeKind::AssociationDetails | ScopeKind::Addons | ScopeKind::AccessEntries => {
            Scope::of_cluster(account(), kind, region, cluster)
        }
        _ => Scope::global(account(), kind),
    }
}

pub fn gap(kind: ScopeKind) -> Gap {
    Gap { scope: scope(kind), action: "iam:Some".into(), reason: GapReason::Denied, detail: "no\0".into(), day: None }
}

/// Two roles, a policy, a cluster, two associations, a trail and two sessions, seen completely.
pub fn estate() -> Observation {
    let mut seen = Observation {
        account: Some(Account {
            id: account(),
            name: Some("payments".into()),
            ou_path: Some("/workloads/prod".into()),
            status: Some("ACTIVE".into()),
            is_management: false,
            organization_id: None,
        }),
        ..Observation::default()
    };
    seen.roles = vec![role(&mut seen, "api"), role(&mut seen, "worker")];
    seen.last_used =
        vec![RoleLastUsed { role: role_arn("api").parse().unwrap(), at: at(-30), region: Some(REGION.into()) }];
    let document = seen.documents.read(r#"{"Version":"2012-10-17","Statement":[]}"#);
    seen.policies = vec![ManagedPolicy {
        account_id: account(),
        arn: policy_arn().parse().unwrap(),
        name: "Shared".into(),
        policy_id: "ANPA1".into(),
        default_version: "v3".into(),
        document: Some(document),
        updated_at: None,
    }];
    seen.oidc_providers = vec![OidcProvider {
        arn: format!("arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.{REGION}.amazonaws.com/id/X").parse().unwrap(),
        detail: None,
    }];
    seen.clusters = vec![Cluster {
        account_id: account(),
        region: REGION.parse().unwrap(),
        name: CLUSTER.parse().unwrap(),
        arn: format!("arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{CLUSTER}"),
        created_at: Some(at(-9000)),
        version: Some("1.34".into()),
        status: Some("ACTIVE".into()),
        role_arn: None,
        oidc_issuer: None,
        authentication_mode: Some("API".into()),
        auto_mode: Some(false),
        addons: Some(vec![Addon {
            name: "eks-pod-identity-agent".into(),
            version: Some("v1.3".into()),
            status: Some("ACTIVE".into()),
            service_account_role_arn: None,
            association_arns: vec![],
            health_issues: vec![],
        }]),
        access_entries: Some(vec![]),
        tags: Tags::new(),
    }];
    seen.associations = vec![association("web", "api", "api"), association("web", "worker", "worker")];
    seen.trails = vec![Trail {
        account_id: account(),
        region: REGION.parse().unwrap(),
        arn: format!("arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/main"),
        name: "main".into(),
        bucket: Some("trail".into()),
        is_multi_region: true,
        is_organization: false,
        records_read_only_management: Some(true),
        recorded: Some(Recorded { management_reads: true, ..Recorded::default() }),
        status: None,
    }];
    seen.sessions = vec![session("e1", -20, "api"), session("e2", -10, "api")];
    for kind in ScopeKind::ALL {
        if !matches!(kind, ScopeKind::Organization | ScopeKind::OrgPolicies) {
            seen.coverage.complete(scope(kind));
        }
    }
    seen
}

/// What is kept of findings and their steps is what somebody counts who sees every account and for whom nothing is kept.
pub async fn assert_kept_as_counted(store: &Store, now: DateTime<Utc>) {
    let accounts = [account(), other()].map(|account| format!("account:{account}").parse().unwrap());
    let counting = store.limited_to(&rolecall_estate::Visibility::of(accounts.into()));
    assert_eq!(store.trends(now, 30, 4).await.unwrap(), counting.trends(now, 30, 4).await.unwrap());
    for run in store.runs(None, 100).await.unwrap() {
        let (kept, counted) = (store.opened_and_resolved(run.id), counting.opened_and_resolved(run.id));
        assert_eq!(kept.await.unwrap(), counted.await.unwrap(), "run {}", run.id.0);
    }
    let all = FindingFilter { folded: true, ..FindingFilter::default() };
    let (kept, counted) = (rows(store, &all).await, rows(&counting, &all).await);
    assert!(kept.iter().map(|row| &row.workloads).eq(counted.iter().map(|row| &row.workloads)));
    for row in store.associations(&AssociationFilter::default(), None, 100, now).await.unwrap() {
        let open = FindingFilter {
            association: Some(row.association.key.clone()),
            workflow: vec![Workflow::Open, Workflow::Acknowledged],
            ..FindingFilter::default()
        };
        let open_role = FindingFilter { via: vec![FindingVia::Role], ..open.clone() };
        let (open, open_role) = (rows(store, &open).await, rows(store, &open_role).await);
        let count = |rows: &[FindingRow]| u64::try_from(rows.len()).ok();
        assert_eq!((row.open_findings, row.open_role_findings), (count(&open), count(&open_role)));
        assert_eq!(row.worst, open.iter().map(|row| row.severity).max());
    }
}

async fn rows(store: &Store, filter: &FindingFilter) -> Vec<FindingRow> {
    store.findings(filter, FindingSort::Number, None, 1000).await.unwrap()
}
