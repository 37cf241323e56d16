//! A look that nothing gets in the way of sees the estate as it is.

use crate::estate::{HUB, SUSPENDED, WORK, complete, estate, gaps, look, now, sandbox, sandbox_of, settings};
use rolecall_collect::{Accounts, Event, Hub, Plan, Progress, Regions, Settings, Target, collect};
use rolecall_estate::coverage::{GapReason, ScopeKind};
use rolecall_estate::{AccessPolicy, Observation, OrgPolicyKind, Recorded, SessionKind};
use rolecall_sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;

fn text(observation: &Observation, digest: rolecall_iam::Digest) -> String {
    observation.documents.get(&digest).unwrap().text.to_string()
}

#[tokio::test]
async fn roles_and_policies_come_complete() {
    let sandbox = sandbox().await;
    let (seen, summary) = look(settings(&sandbox)).await;
    assert_eq!(gaps(&seen), BTreeSet::new());
    assert_eq!((summary.accounts, summary.interrupted, summary.hub.to_string().as_str()), (3, false, HUB));

    let work = &seen[WORK];
    let names: Vec<&str> = work.roles.iter().map(|role| role.arn.name()).collect();
    assert_eq!(names, ["api", "ops", "node", "RolecallReadOnly"]);
    let api = &work.roles[0];
    assert_eq!((api.arn.path(), api.role_id.as_str()), ("/team/", "AROAAPI"));
    assert_eq!(api.created_at.unwrap().to_rfc3339(), "2025-01-02T03:04:05+00:00");
    assert_eq!(api.inline.iter().map(|inline| inline.name.as_str()).collect::<Vec<_>>(), ["a", "z"]);
    let inline: serde_json::Value = serde_json::from_str(&text(work, api.inline[0].document)).unwrap();
    assert_eq!(inline["Statement"][0]["Resource"], "arn:aws:s3:::a b/+/*");
    let attached: Vec<&str> = api.attached.iter().map(|attached| attached.arn.as_str()).collect();
    assert_eq!(attached, ["arn:aws:iam::222222222222:policy/own", "arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    assert_eq!(api.boundary.as_ref().unwrap().as_str(), "arn:aws:iam::222222222222:policy/own");
    assert_eq!(api.tags["team"], "payments & co <x>");
    assert_eq!(api.instance_profiles, ["arn:aws:iam::222222222222:instance-profile/p"]);
    assert_eq!(api.trust, work.roles[1].trust, "one text has one address");
    assert!(text(work, api.trust.unwrap()).contains("pods.eks.amazonaws.com"));
    assert_eq!(work.last_used.len(), 1);
    assert_eq!(work.last_used[0].region.as_deref(), Some("eu-west-1"));

    assert_eq!(work.policies.len(), 2);
    let own = work.policies.iter().find(|policy| policy.name == "own").unwrap();
    assert_eq!((own.default_version.as_str(), own.policy_id.as_str()), ("v2", "ANPAOWN"));
    assert!(text(work, own.document.unwrap()).contains("s3:Get*"));
    let [provider] = &work.oidc_providers[..] else { panic!("{:?}", work.oidc_providers) };
    let detail = provider.detail.as_ref().unwrap();
    assert_eq!(detail.client_ids, BTreeSet::from(["sts.amazonaws.com".to_owned()]));
    assert_eq!((detail.thumbprints.len(), detail.tags.get("team").map(String::as_str)), (0, Some("edge")));
}

#[tokio::test]
async fn clusters_come_with_all_that_hangs_on_them() {
    let sandbox = sandbox().await;
    let (seen, _) = look(settings(&sandbox)).await;
    let work = &seen[WORK];
    let prod = work.clusters.iter().find(|cluster| cluster.name.as_str() == "prod").unwrap();
    assert_eq!((prod.version.as_deref(), prod.status.as_deref()), (Some("1.34"), Some("ACTIVE")));
    assert_eq!((prod.authentication_mode.as_deref(), prod.auto_mode), (Some("API"), Some(false)));
    assert_eq!(prod.oidc_issuer.as_deref(), Some("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC"));
    let addons = prod.addons.as_ref().unwrap();
    assert_eq!(
        addons.iter().map(|addon| addon.name.as_str()).collect::<Vec<_>>(),
        ["eks-pod-identity-agent", "vpc-cni"]
    );
    assert_eq!(addons[0].health_issues, ["InsufficientNumberOfReplicas"]);
    assert_eq!(addons[0].association_arns.len(), 1);
    let entries = prod.access_entries.as_ref().unwrap();
    assert_eq!(entries.len(), 2);
    let ops = entries.iter().find(|entry| entry.principal_arn.ends_with("/ops")).unwrap();
    assert_eq!((&ops.groups[..], ops.kind.as_deref()), (&["viewers".to_owned()][..], Some("STANDARD")));
    let admin = |policy: &&AccessPolicy| policy.arn.ends_with("AmazonEKSAdminViewPolicy");
    assert!(ops.policies.iter().find(admin).unwrap().namespaces.is_empty());
    assert_eq!(ops.policies.iter().find(|policy| !admin(policy)).unwrap().namespaces, ["payments"]);
    let legacy = work.clusters.iter().find(|cluster| cluster.name.as_str() == "legacy").unwrap();
    assert_eq!(
        (legacy.auto_mode, legacy.access_entries.as_deref(), legacy.addons.as_deref()),
        (None, Some(&[][..]), Some(&[][..]))
    );

    let of = |name: &str| work.associations.iter().find(|a| a.key.service_account.as_str() == name).unwrap();
    let (api, job, web) = (of("api"), of("job"), of("web"));
    assert_eq!(api.key.to_string(), "222222222222/eu-west-1/prod/payments/api");
    let detail = api.detail.as_ref().unwrap();
    assert_eq!(detail.target_role_arn.as_deref(), Some("arn:aws:iam::111111111111:role/data"));
    assert_eq!(detail.external_id.as_deref(), Some("eu-west-1/222222222222/prod/payments/api"));
    assert_eq!(detail.modified_at.unwrap().to_rfc3339(), "2026-02-01T00:00:00+00:00");
    assert!(detail.extra.is_empty(), "{:?}", detail.extra);
    let detail = job.detail.as_ref().unwrap();
    assert!(detail.disable_session_tags);
    assert_eq!(text(work, detail.policy.unwrap()), r#"{"Version":"2012-10-17","Statement":[]}"#);
    let extra = &web.detail.as_ref().unwrap().extra;
    assert_eq!(extra["workloadIdentityConfig"], serde_json::json!({"enabled": true, "templates": ["x"]}));
    assert_eq!(extra.len(), 1);
    assert!(web.owner_arn.is_some());
}

#[tokio::test]
async fn sessions_come_from_the_window_and_from_the_regions_that_have_any() {
    let sandbox = sandbox().await;
    let (seen, _) = look(settings(&sandbox)).await;
    let mut sessions: Vec<_> =
        seen[WORK].sessions.iter().map(|session| (session.event_id.as_str(), session.kind)).collect();
    sessions.sort_unstable();
    let expected =
        [("e-1", SessionKind::PodIdentity), ("e-2", SessionKind::AgentRequest), ("e-3", SessionKind::WebIdentity)];
    assert_eq!(sessions, expected);
    let read: Vec<String> = complete(&seen).into_iter().filter(|scope| scope.contains(" sessions ")).collect();
    assert_eq!(
        read,
        ["111111111111 sessions us-east-1", "222222222222 sessions eu-west-1", "222222222222 sessions us-east-1"]
    );
    for (account, records) in [(HUB, true), (WORK, false)] {
        let [trail] = &seen[account].trails[..] else { panic!("one trail, though it is listed in every region") };
        assert_eq!((trail.region.as_str(), trail.records_read_only_management), ("eu-west-1", Some(records)));
    }

    let none = Settings { trail_lookback: chrono::TimeDelta::zero(), ..settings(&sandbox) };
    sandbox.reset_calls();
    let (seen, _) = look(none).await;
    assert_eq!(sandbox.calls().of("cloudtrail:LookupEvents"), 0);
    assert!(!complete(&seen).iter().any(|scope| scope.contains("sessions")));
}

#[tokio::test]
async fn a_trail_says_what_its_selectors_take_in() {
    let field = |field: &str, operator: &str, values: &[&str]| json!({"Field": field, operator: values});
    let trail = |name: &str, kind: &str, selectors: Value| {
        json!({"Name": name, "TrailARN": format!("arn:aws:cloudtrail:eu-west-1:{WORK}:trail/{name}"),
            "HomeRegion": "eu-west-1", "S3BucketName": "logs", "IsMultiRegionTrail": true, kind: selectors})
    };
    let advanced = |selectors: Vec<Vec<Value>>| {
        let selectors: Vec<Value> = selectors.into_iter().map(|fields| json!({ "FieldSelectors": fields })).collect();
        json!(selectors)
    };
    let data = |read_only: &str| {
        vec![
            field("eventCategory", "Equals", &["Data"]),
            field("resources.type", "Equals", &["AWS::DynamoDB::Table"]),
            field("readOnly", "Equals", &[read_only]),
        ]
    };
    let mut estate = estate();
    let work = estate.accounts.get_mut(WORK).unwrap();
    work.trails = vec![
        trail(
            "basic",
            "EventSelectors",
            json!([{"ReadWriteType": "All", "IncludeManagementEvents": true,
                "ExcludeManagementEventSources": ["kms.amazonaws.com"], "DataResources": [
                    {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]},
                    {"Type": "AWS::Lambda::Function", "Values": ["arn:aws:lambda:eu-west-1:222222222222:function:one"]}]}]),
        ),
        trail(
            "advanced",
            "AdvancedEventSelectors",
            advanced(vec![
                vec![
                    field("eventCategory", "Equals", &["Management"]),
                    field("eventSource", "NotEquals", &["rdsdata.amazonaws.com"]),
                ],
                data("true"),
                data("false"),
            ]),
        ),
        trail(
            "narrow",
            "AdvancedEventSelectors",
            advanced(vec![vec![
                field("eventCategory", "Equals", &["Data"]),
                field("resources.type", "Equals", &["AWS::S3::Object"]),
                field("resources.ARN", "StartsWith", &["arn:aws:s3:::one/"]),
            ]]),
        ),
        json!({"Name": "plain", "TrailARN": format!("arn:aws:cloudtrail:eu-west-1:{WORK}:trail/plain"),
            "HomeRegion": "eu-west-1", "S3BucketName": "logs", "IsLogging": false, "StopLoggingTime": "2026-11-20T10:00:00Z"}),
    ];
    let (seen, _) = look(settings(&sandbox_of(estate).await)).await;
    let mut found: Vec<_> =
        seen[WORK].trails.iter().map(|trail| (trail.name.as_str(), trail.recorded.clone())).collect();
    found.sort_by_key(|(name, _)| *name);
    let recorded = |management: bool, excluded: &[&str], data: &[&str]| {
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Some(Recorded {
            management_reads: management,
            management_writes: management,
            excluded_sources: texts(excluded),
            data: texts(data),
        })
    };
    let expected = [
        ("advanced", recorded(true, &["rdsdata.amazonaws.com"], &["AWS::DynamoDB::Table"])),
        ("basic", recorded(true, &["kms.amazonaws.com"], &["AWS::S3::Object"])),
        ("narrow", recorded(false, &[], &[])),
        ("plain", recorded(true, &[], &[])),
    ];
    assert_eq!(found, expected);
    let status =
        |name: &str| seen[WORK].trails.iter().find(|trail| trail.name == name).unwrap().status.clone().unwrap();
    assert!(status("basic").is_logging);
    let stopped = Some("2026-11-20T10:00:00Z".parse().unwrap());
    assert_eq!((status("plain").is_logging, status("plain").stopped_at), (false, stopped));
    let sandbox = sandbox().await;
    sandbox.faults().deny("cloudtrail:GetEventSelectors");
    let (seen, _) = look(settings(&sandbox)).await;
    assert!(seen[WORK].trails.iter().all(|trail| trail.recorded.is_none()), "nobody knows");
}

#[tokio::test]
async fn the_organisation_stands_in_the_hubs_observation() {
    let sandbox = sandbox().await;
    let (seen, _) = look(settings(&sandbox)).await;
    let account = |id: &str| seen[id].account.as_ref().unwrap();
    assert!(account(HUB).is_management && !account(WORK).is_management);
    assert_eq!(account(HUB).ou_path.as_deref(), Some("/"));
    assert_eq!(account(WORK).ou_path.as_deref(), Some("/workloads/prod"));
    assert_eq!(
        (account(SUSPENDED).status.as_deref(), account(WORK).status.as_deref()),
        (Some("SUSPENDED"), Some("ACTIVE"))
    );
    let suspended: Vec<_> = seen[SUSPENDED].coverage.gaps().map(|gap| gap.reason).collect();
    assert!(!suspended.is_empty() && suspended.iter().all(|reason| *reason == GapReason::NotReached));

    let hub = &seen[HUB];
    let paths: Vec<&str> = hub.org_units.iter().map(|unit| unit.path.as_str()).collect();
    assert_eq!(paths, ["/", "/workloads", "/workloads/prod"]);
    let kinds: BTreeSet<_> =
        hub.org_policies.iter().map(|policy| (policy.kind, policy.id.as_str(), &policy.targets[..])).collect();
    let targets = |targets: &[&str]| targets.iter().map(|target| (*target).to_owned()).collect::<Vec<_>>();
    let (scp, rcp) = (targets(&[WORK, "r-aaaa"]), targets(&["ou-aaaa-22222222"]));
    assert_eq!(
        kinds,
        [(OrgPolicyKind::Scp, "p-scp00001", &scp[..]), (OrgPolicyKind::Rcp, "p-rcp00001", &rcp[..])].into()
    );
    assert!(text(hub, hub.org_policies[0].document).contains("p-scp00001"));
    assert!(seen[WORK].org_policies.is_empty());
}

#[tokio::test]
async fn the_size_of_pages_makes_no_difference() {
    let sandbox = sandbox().await;
    let (whole, _) = look(settings(&sandbox)).await;
    sandbox.faults().inject(Fault::page_size("*", 1));
    let (paged, _) = look(settings(&sandbox)).await;
    assert_eq!(complete(&paged), complete(&whole));
    for (id, whole) in &whole {
        let paged = &paged[id];
        assert_eq!(paged.roles, whole.roles);
        assert_eq!(paged.policies, whole.policies);
        assert_eq!(paged.clusters.len(), whole.clusters.len());
        assert_eq!(paged.associations.len(), whole.associations.len());
        assert_eq!(paged.sessions.len(), whole.sessions.len());
        assert_eq!(paged.org_policies, whole.org_policies);
        assert_eq!(paged.org_units, whole.org_units);
        assert_eq!(paged.documents.len(), whole.documents.len());
    }
}

#[tokio::test]
async fn listed_accounts_and_regions_are_all_that_is_looked_at() {
    let sandbox = sandbox().await;
    let target =
        Target { account_id: WORK.parse().unwrap(), name: Some("shop".to_owned()), role_arn: None, external_id: None };
    let settings = Settings {
        accounts: Accounts::Listed(vec![target]),
        regions: Regions::Listed(vec!["eu-west-1".parse().unwrap()]),
        ..settings(&sandbox)
    };
    let (seen, _) = look(settings).await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [WORK]);
    assert_eq!(seen[WORK].account.as_ref().unwrap().name.as_deref(), Some("shop"));
    let calls = sandbox.calls();
    assert_eq!((calls.of("account:ListRegions"), calls.of("organizations:ListAccounts")), (0, 0));
    assert_eq!(calls.of("eks:ListClusters"), 1);
    let regions: BTreeSet<&str> =
        calls.iter().filter(|(_, _, action, _)| action.starts_with("eks:")).map(|(_, region, ..)| region).collect();
    assert_eq!(regions, ["eu-west-1"].into());
}

#[tokio::test]
async fn an_account_without_organisation_is_looked_at_alone() {
    let mut alone = estate();
    alone.organization = None;
    let sandbox = sandbox_of(alone).await;
    let (seen, _) = look(settings(&sandbox)).await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [HUB]);
    assert_eq!(gaps(&seen), BTreeSet::new());
    assert!(complete(&seen).contains("111111111111 org_policies"));
    sandbox.reset_calls();
    let (seen, _) = look(Settings { accounts: Accounts::HubOnly, ..settings(&sandbox) }).await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [HUB]);
    assert!(!complete(&seen).contains("111111111111 org_policies"), "nobody asked");
    assert_eq!(sandbox.calls().of("organizations:DescribeOrganization"), 0);
}

#[tokio::test]
async fn what_is_listed_twice_is_seen_once() {
    let mut twice = estate();
    let work = twice.accounts.get_mut(WORK).unwrap();
    work.roles.push(work.roles[0].clone());
    work.policies.push(work.policies[0].clone());
    let place = work.regions.get_mut("eu-west-1").unwrap();
    place.events.push(place.events[0].clone());
    let again = place.clusters[0].associations[0].clone();
    place.clusters[0].associations.push(again);
    let sandbox = sandbox_of(twice).await;
    let (seen, _) = look(settings(&sandbox)).await;
    let work = &seen[WORK];
    assert_eq!((work.roles.len(), work.policies.len(), work.associations.len(), work.sessions.len()), (4, 2, 3, 3));
    assert_eq!(work.last_used.len(), 1);
}

#[derive(Default)]
struct Watch(Mutex<Vec<String>>);

impl Progress for Watch {
    fn on(&self, event: &Event<'_>) {
        let told = match event {
            Event::Discovered { accounts } => format!("{accounts} accounts"),
            Event::Begun { account } => format!("begin {}", account.id),
            Event::ScopeDone { scope, complete } => format!("{} {complete}", crate::estate::name(scope)),
            Event::Finished { account_id, gaps } => format!("end {account_id} {gaps}"),
        };
        self.0.lock().unwrap().push(told);
    }
}

#[tokio::test]
async fn a_watcher_is_told_of_every_scope_and_a_closed_sink_ends_the_look() {
    let sandbox = sandbox().await;
    let settings = Settings { max_concurrent_accounts: 1, ..settings(&sandbox) };
    let plan = Plan::new(settings).unwrap();
    let (sink, mut taken) = tokio::sync::mpsc::channel(16);
    let watch = Watch::default();
    let summary = collect(&plan, &watch, sink, now()).await.unwrap();
    let told = watch.0.into_inner().unwrap();
    for expected in
        ["3 accounts", "begin 222222222222", "222222222222 associations eu-west-1 prod true", "end 222222222222 0"]
    {
        assert!(told.iter().any(|line| line == expected), "{expected} is not in {told:#?}");
    }
    let mut scopes = 0;
    while let Ok(observation) = taken.try_recv() {
        scopes += observation.coverage.scopes().count();
    }
    assert_eq!(told.iter().filter(|line| line.ends_with("true") || line.ends_with("false")).count(), scopes);
    assert!(!summary.interrupted && summary.calls["eks:DescribePodIdentityAssociation"] == 3);

    let (sink, taken) = tokio::sync::mpsc::channel(1);
    drop(taken);
    assert!(collect(&plan, &(), sink, now()).await.unwrap().interrupted);
}

#[tokio::test]
async fn a_whole_estate_of_files_comes_over_the_wire_without_loss() {
    let july = "2026-07-01T00:00:00Z".parse().unwrap();
    let root = std::env::temp_dir().join(format!("rolecall-collect-{}", uuid::Uuid::now_v7()));
    let written = rolecall_sandbox::demo::estate(july);
    written.to_dir(&root).unwrap();
    let options = rolecall_sandbox::Options { now: Some(july), lookups_per_second: None, ..Default::default() };
    let estate = rolecall_sandbox::Estate::from_dir(&root).unwrap();
    let sandbox = Sandbox::start_with(estate, rolecall_sandbox::Faults::none(), options).await.unwrap();
    let settings = Settings {
        hub: Hub::keys(sandbox.endpoint(), "us-east-1".parse().unwrap(), rolecall_sandbox::HUB_ACCESS_KEY, "x"),
        trail_lookback: chrono::TimeDelta::days(30),
        ..settings(&sandbox)
    };
    let plan = Plan::new(settings).unwrap();
    let (sink, mut taken) = tokio::sync::mpsc::channel(8);
    collect(&plan, &(), sink, july).await.unwrap();
    let (mut roles, mut associations, mut clusters, mut sessions) = (0, 0, 0, BTreeSet::new());
    let mut read = BTreeSet::new();
    while let Some(seen) = taken.recv().await {
        assert_eq!(seen.coverage.gaps().collect::<Vec<_>>(), Vec::<&rolecall_estate::coverage::Gap>::new());
        roles += seen.roles.len();
        associations += seen.associations.len();
        clusters += seen.clusters.len();
        sessions.extend(seen.sessions.iter().map(|session| session.event_id.clone()));
        let scopes = seen.coverage.scopes().filter(|(scope, _)| scope.kind == ScopeKind::Sessions);
        read.extend(scopes.map(|(scope, _)| (scope.account_id, scope.region.clone())));
    }
    let of_regions = || written.accounts.values().flat_map(|account| account.regions.values());
    let all = || of_regions().flat_map(|region| &region.clusters);
    assert!(roles >= written.accounts.values().map(|account| account.roles.len()).sum::<usize>(), "{roles}");
    assert_eq!(associations, all().map(|cluster| cluster.associations.len()).sum::<usize>());
    assert_eq!(clusters, all().count());
    let mut files = vec![root.join("trail")];
    let mut expected = BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let of_file = rolecall_cloudtrail::read_file("", &std::fs::read(&path).unwrap()).sessions;
        let looked_up = of_file.into_iter().filter(|s| read.contains(&(s.account_id, Some(s.region.clone()))));
        expected.extend(looked_up.map(|session| session.event_id));
    }
    std::fs::remove_dir_all(&root).unwrap();
    assert!(expected.len() > 100, "{}", expected.len());
    assert_eq!(sessions, expected);
}
