//! Whatever goes wrong is a gap of exactly what it was part of, and the rest is read.

use crate::estate::{
    ByAccount, HUB, SUSPENDED, WORK, association, complete, estate, gaps, look, role, sandbox, sandbox_of, settings,
    try_look,
};
use rolecall_collect::{Accounts, CannotStart, Holder, Hub, Regions, Settings, Target, actions};
use rolecall_estate::coverage::GapReason;
use rolecall_estate::coverage::GapReason::{
    Credentials, Denied, Malformed, NotReached, Throttled, Timeout, Unreachable,
};
use rolecall_sandbox::{Fault, FaultKind, Options, Sandbox};
use std::collections::BTreeSet;
use std::time::Duration;

type Expected = BTreeSet<(String, String, GapReason)>;

/// The gaps that a refusal of an action must leave, in the estate of these tests.
fn expected(action: &str, regions: &[String]) -> Expected {
    let both = |scope: &str| vec![format!("{HUB} {scope}"), format!("{WORK} {scope}")];
    let work = |scopes: &[&str]| scopes.iter().map(|scope| format!("{WORK} {scope}")).collect::<Vec<_>>();
    let hub = |scope: &str| vec![format!("{HUB} {scope}")];
    let (denied, not_reached) = match action {
        "sts:AssumeRole" => {
            let global =
                ["roles", "policies", "oidc_providers", "oidc_provider_details", "clusters"].map(str::to_owned);
            let regional = regions.iter().flat_map(|region| [format!("clusters {region}"), format!("trails {region}")]);
            let missed: Vec<String> = global.into_iter().chain(regional).collect();
            (work(&["entry"]), missed.iter().map(|scope| format!("{WORK} {scope}")).collect())
        }
        "account:ListRegions" => (both("clusters"), vec![]),
        "iam:GetAccountAuthorizationDetails" => ([both("roles"), both("policies")].concat(), vec![]),
        "iam:ListOpenIDConnectProviders" => (both("oidc_providers"), both("oidc_provider_details")),
        "iam:GetOpenIDConnectProvider" => (work(&["oidc_provider_details"]), vec![]),
        // Sessions are not read where clusters are not known; the clusters' gap stands for that.
        "eks:ListClusters" => (regions.iter().flat_map(|region| both(&format!("clusters {region}"))).collect(), vec![]),
        "eks:DescribeCluster" => (
            work(&["cluster_details eu-west-1 prod", "cluster_details eu-west-1 legacy"]),
            // Of what mode it is only its description tells; EKS refuses to list entries of some.
            vec![],
        ),
        "eks:ListPodIdentityAssociations" => (
            work(&["associations eu-west-1 prod", "associations eu-west-1 legacy"]),
            work(&["association_details eu-west-1 prod", "association_details eu-west-1 legacy"]),
        ),
        "eks:DescribePodIdentityAssociation" => (work(&["association_details eu-west-1 prod"]), vec![]),
        "eks:ListAddons" => (work(&["addons eu-west-1 prod", "addons eu-west-1 legacy"]), vec![]),
        "eks:DescribeAddon" => (work(&["addons eu-west-1 prod"]), vec![]),
        "eks:ListAccessEntries" | "eks:DescribeAccessEntry" | "eks:ListAssociatedAccessPolicies" => {
            (work(&["access_entries eu-west-1 prod"]), vec![])
        }
        "cloudtrail:DescribeTrails" => {
            (regions.iter().flat_map(|region| both(&format!("trails {region}"))).collect(), vec![])
        }
        "cloudtrail:GetEventSelectors" | "cloudtrail:GetTrailStatus" => (both("trails eu-west-1"), vec![]),
        "cloudtrail:LookupEvents" => ([both("sessions us-east-1"), work(&["sessions eu-west-1"])].concat(), vec![]),
        "organizations:ListPolicies" | "organizations:DescribePolicy" | "organizations:ListTargetsForPolicy" => {
            (hub("org_policies"), vec![])
        }
        _ if action.starts_with("organizations:") => (hub("organization"), vec![]),
        other => panic!("nothing is expected of {other}"),
    };
    let tagged = |scopes: Vec<String>, reason| scopes.into_iter().map(move |scope| (scope, action.to_owned(), reason));
    tagged(denied, Denied).chain(tagged(not_reached, NotReached)).collect()
}

/// Two regions do as well as seventeen, but where their list itself is in question.
fn in_two_regions(settings: Settings, action: &str) -> Settings {
    let two = ["eu-west-1", "us-east-1"].map(|region| region.parse().unwrap()).to_vec();
    let regions = if action == "account:ListRegions" { Regions::Found } else { Regions::Listed(two) };
    Settings { regions, ..settings }
}

#[tokio::test]
async fn each_refused_action_leaves_its_own_gaps_and_no_others() {
    let sandbox = sandbox().await;
    let regions = ["eu-west-1", "us-east-1"].map(str::to_owned);
    let (whole, _) = look(in_two_regions(settings(&sandbox), "")).await;
    let all = complete(&whole);
    for action in
        actions().into_iter().filter(|permission| ![Holder::Trails, Holder::Outgoing].contains(&permission.holder))
    {
        let action = action.action;
        sandbox.faults().clear();
        sandbox.faults().deny(action);
        let (seen, _) = look(in_two_regions(settings(&sandbox), action)).await;
        let expected = expected(action, &regions);
        assert_eq!(gaps(&seen), expected, "{action}");

        // Everything else that can be reached is complete.
        let gapped: BTreeSet<&String> = expected.iter().map(|(scope, ..)| scope).collect();
        let reachable = |scope: &&String| match action {
            "sts:AssumeRole" => !scope.starts_with(WORK),
            "eks:ListClusters" => !scope.contains("eu-west-1 ") && !scope.ends_with("sessions eu-west-1"),
            "organizations:ListAccounts" => scope.starts_with(HUB),
            _ => true,
        };
        if action == "account:ListRegions" {
            // Which regions are left is another test's.
            continue;
        }
        let left: BTreeSet<&String> = all.iter().filter(|scope| !gapped.contains(scope)).filter(reachable).collect();
        let seen = complete(&seen);
        assert_eq!(left.difference(&seen.iter().collect()).collect::<Vec<_>>(), Vec::<&&String>::new(), "{action}");
    }
}

#[tokio::test]
async fn each_answer_that_is_cut_off_leaves_the_same_gaps_as_a_refused_one() {
    let sandbox = sandbox().await;
    let regions = ["eu-west-1", "us-east-1"].map(str::to_owned);
    for action in
        actions().into_iter().filter(|permission| ![Holder::Trails, Holder::Outgoing].contains(&permission.holder))
    {
        let action = action.action;
        sandbox.faults().clear();
        sandbox.faults().inject(Fault::new(FaultKind::MalformedBody, action).in_account(WORK));
        sandbox.faults().inject(Fault::new(FaultKind::MalformedBody, action).in_account(HUB));
        let (seen, _) = look(in_two_regions(settings(&sandbox), action)).await;
        let reasoned = |(scope, action, reason)| (scope, action, if reason == Denied { Malformed } else { reason });
        let mut expected: Expected = expected(action, &regions).into_iter().map(reasoned).collect();
        if action == "sts:AssumeRole" {
            // The hub's own credentials are for an account that has no such role, not for a torn answer.
            let of_hub: Expected = expected.iter().map(|(s, a, r)| (s.replace(WORK, HUB), a.clone(), *r)).collect();
            expected.extend(of_hub);
        }
        assert_eq!(gaps(&seen), expected, "{action}");
    }
}

#[tokio::test]
async fn what_was_read_beside_a_refusal_is_kept() {
    let sandbox = sandbox().await;
    let with = |action: &str| {
        sandbox.faults().clear();
        sandbox.faults().deny(action);
        look(settings(&sandbox))
    };
    let (seen, _) = with("eks:DescribePodIdentityAssociation").await;
    assert_eq!(seen[WORK].associations.len(), 3);
    assert!(seen[WORK].associations.iter().all(|association| association.detail.is_none()));
    let (seen, _) = with("eks:DescribeCluster").await;
    assert!(seen[WORK].clusters.iter().all(|cluster| cluster.version.is_none() && cluster.addons.is_some()));
    assert_eq!(seen[WORK].associations.len(), 3);
    let (seen, _) = with("eks:DescribeAddon").await;
    assert!(seen[WORK].clusters.iter().any(|cluster| cluster.name.as_str() == "prod"
        && cluster.addons.as_ref().is_some_and(|addons| addons.iter().all(|a| a.version.is_none()))));
    let (seen, _) = with("cloudtrail:GetEventSelectors").await;
    assert_eq!(seen[WORK].trails[0].records_read_only_management, None);
    let (seen, _) = with("account:ListRegions").await;
    assert!(complete(&seen).contains(&format!("{WORK} clusters us-east-1")), "the hub's own region is looked at");
    let (seen, _) = with("organizations:ListTargetsForPolicy").await;
    assert!(seen[HUB].org_policies.is_empty(), "a policy without targets would seem to bind nothing");
    let (seen, _) = with("organizations:DescribeOrganization").await;
    assert!(seen[HUB].account.as_ref().unwrap().is_management, "the accounts' ARNs name it, too");
    let (seen, _) = with("sts:AssumeRole").await;
    assert_eq!(seen[HUB].roles.len(), 1, "the hub's own account is read with its own credentials");
    assert!(seen[WORK].roles.is_empty());
}

#[tokio::test]
async fn known_accounts_are_looked_at_though_their_list_is_refused() {
    let sandbox = sandbox().await;
    let (seen, _) = look(settings(&sandbox)).await;
    let known = seen.values().filter_map(|observation| observation.account.clone()).collect();
    sandbox.faults().deny("organizations:ListAccounts");
    let (alone, _) = look(settings(&sandbox)).await;
    assert_eq!(alone.keys().collect::<Vec<_>>(), [HUB]);
    let (seen, _) = look(Settings { known_accounts: known, ..settings(&sandbox) }).await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [HUB, WORK, SUSPENDED]);
    assert_eq!(seen[WORK].roles.len(), 4);
}

/// Looks while a fault is in force, and returns the gaps that stand on the named action.
async fn gaps_under(sandbox: &Sandbox, fault: Fault, settings: Settings) -> (ByAccount, Vec<(String, GapReason)>) {
    sandbox.faults().clear();
    sandbox.faults().inject(fault);
    let (seen, _) = look(settings).await;
    let gaps = gaps(&seen).into_iter().map(|(scope, _, reason)| (scope, reason)).collect();
    (seen, gaps)
}

#[tokio::test]
async fn each_way_to_fail_has_its_reason() {
    let sandbox = sandbox().await;
    let oidc = "iam:ListOpenIDConnectProviders";
    let slow = FaultKind::Latency(Duration::from_secs(40));
    let cases = [
        (FaultKind::Deny, Denied),
        (FaultKind::Throttle, Throttled),
        (FaultKind::Fail, Unreachable),
        (FaultKind::ExpiredToken, Credentials),
        (FaultKind::MalformedBody, Malformed),
        (FaultKind::DropConnection, Unreachable),
        (slow, Timeout),
    ];
    for (kind, reason) in cases {
        // Long enough for every other call, on the slowest machine too.
        let call_timeout = Duration::from_secs(if reason == Timeout { 10 } else { 30 });
        let settings = Settings { call_timeout, ..settings(&sandbox) };
        let fault = Fault::new(kind.clone(), oidc).in_account(WORK);
        let (seen, gaps) = gaps_under(&sandbox, fault, settings).await;
        let of = |scope: &str, reason| (format!("{WORK} {scope}"), reason);
        assert_eq!(gaps, [of("oidc_provider_details", NotReached), of("oidc_providers", reason)], "{kind:?}");
        assert!(seen[WORK].coverage.gaps().all(|gap| !gap.detail.is_empty()), "{kind:?}");
    }
}

#[tokio::test]
async fn a_passing_fault_is_outlasted() {
    let sandbox = sandbox().await;
    let settings = Settings { attempts: 3, ..settings(&sandbox) };
    for kind in [FaultKind::Throttle, FaultKind::Fail, FaultKind::DropConnection] {
        let fault = Fault::new(kind.clone(), "iam:ListOpenIDConnectProviders").times(1);
        let (_, gaps) = gaps_under(&sandbox, fault, settings.clone()).await;
        assert_eq!(gaps, [], "{kind:?}");
    }
}

#[tokio::test]
async fn a_listing_that_breaks_off_keeps_what_came_before() {
    let sandbox = sandbox().await;
    let work = |scope: &str| format!("{WORK} {scope}");
    for (action, scopes) in [
        ("iam:GetAccountAuthorizationDetails", vec![work("policies"), work("roles")]),
        ("eks:ListClusters", vec![work("clusters eu-west-1")]),
        ("eks:ListAddons", vec![work("addons eu-west-1 prod")]),
        ("eks:ListAccessEntries", vec![work("access_entries eu-west-1 prod")]),
        ("cloudtrail:LookupEvents", vec![work("sessions eu-west-1"), work("sessions us-east-1")]),
        ("account:ListRegions", vec![work("clusters")]),
    ] {
        let fault = Fault::new(FaultKind::BreakPaging, action).in_account(WORK);
        let (seen, gaps) = gaps_under(&sandbox, fault, settings(&sandbox)).await;
        let gapped: BTreeSet<String> = gaps.iter().map(|(scope, _)| scope.clone()).collect();
        assert!(scopes.iter().all(|scope| gapped.contains(scope)), "{action}: {gapped:?}");
        assert!(gapped.iter().all(|scope| scope.starts_with(WORK)), "{action}: {gapped:?}");
        let work = &seen[WORK];
        assert_eq!((work.roles.len(), work.associations.len()), (4, 3), "{action}");
    }
    let fault = Fault::new(FaultKind::BreakPaging, "eks:ListPodIdentityAssociations");
    let (seen, gaps) = gaps_under(&sandbox, fault, settings(&sandbox)).await;
    assert_eq!(seen[WORK].associations.iter().filter(|association| association.detail.is_some()).count(), 3);
    assert!(gaps.contains(&(work("association_details eu-west-1 prod"), NotReached)), "{gaps:?}");
}

#[tokio::test]
async fn a_malformed_item_costs_only_itself() {
    let mut broken = estate();
    let work = broken.accounts.get_mut(WORK).unwrap();
    work.roles.push(role("not-an-account", "/", "odd"));
    let mut nameless = role(WORK, "/", "nameless");
    nameless["RolePolicyList"] = serde_json::json!([{"PolicyName": "x"}]);
    work.roles.push(nameless);
    work.oidc_providers.push(serde_json::json!({"Arn": "nonsense"}));
    let prod = &mut work.regions.get_mut("eu-west-1").unwrap().clusters[0];
    let mut odd = association("odd", "a-aaaaaaaaaaaaaaaa9");
    odd["namespace"] = "no such name space".into();
    prod.associations.push(odd);
    let sandbox = sandbox_of(broken).await;
    let (seen, _) = look(settings(&sandbox)).await;
    let gaps: Vec<(String, GapReason)> = gaps(&seen).into_iter().map(|(scope, _, reason)| (scope, reason)).collect();
    let work = |scope: &str| (format!("{WORK} {scope}"), Malformed);
    assert_eq!(gaps, [work("associations eu-west-1 prod"), work("oidc_providers"), work("roles")]);
    assert_eq!((seen[WORK].roles.len(), seen[WORK].associations.len(), seen[WORK].oidc_providers.len()), (4, 3, 1));
}

#[tokio::test]
async fn a_document_that_does_not_parse_is_kept_as_it_is() {
    let sandbox = sandbox().await;
    let fault = Fault::new(FaultKind::MalformedPolicy, "iam:GetAccountAuthorizationDetails");
    let (seen, gaps) = gaps_under(&sandbox, fault, settings(&sandbox)).await;
    assert_eq!(gaps, []);
    let trust = seen[WORK].roles[0].trust.unwrap();
    assert!(seen[WORK].documents.get(&trust).unwrap().parsed.is_err());
}

#[tokio::test]
async fn an_external_id_is_sent_and_a_wrong_one_is_a_gap_of_entry() {
    let options = Options {
        now: Some(crate::estate::now()),
        lookups_per_second: None,
        external_id: Some("right-id".to_owned()),
        ..Options::default()
    };
    let sandbox = Sandbox::start_with(estate(), rolecall_sandbox::Faults::none(), options).await.unwrap();
    let with = |id: &str| Settings { external_id: Some(id.to_owned()), ..settings(&sandbox) };
    let (seen, _) = look(with("right-id")).await;
    assert_eq!(gaps(&seen), BTreeSet::new());
    let (seen, _) = look(with("wrong-id")).await;
    assert!(gaps(&seen).contains(&(format!("{WORK} entry"), "sts:AssumeRole".to_owned(), Denied)));
    assert!(seen[WORK].roles.is_empty());

    let target = Target {
        account_id: WORK.parse().unwrap(),
        name: None,
        role_arn: Some(format!("arn:aws:iam::{WORK}:role/RolecallReadOnly").parse().unwrap()),
        external_id: Some("right-id".to_owned()),
    };
    let (seen, _) = look(Settings { accounts: Accounts::Listed(vec![target]), ..with("wrong-id") }).await;
    assert_eq!(gaps(&seen), BTreeSet::new());
}

#[tokio::test]
async fn too_many_events_are_a_gap_and_not_an_endless_reading() {
    let sandbox = sandbox().await;
    sandbox.faults().inject(Fault::page_size("cloudtrail:LookupEvents", 1));
    sandbox.mutate(|estate| {
        for n in 0..10 {
            let at = format!("2026-11-23T10:00:{n:02}Z");
            let record = crate::estate::session_record(&format!("e-many-{n}"), "eu-west-1", &at, "AssumeRole");
            estate.record(WORK, "eu-west-1", &record);
        }
    });
    let (seen, _) = look(Settings { max_lookup_events: 4, ..settings(&sandbox) }).await;
    let gaps = gaps(&seen);
    assert_eq!(gaps, [(format!("{WORK} sessions eu-west-1"), "cloudtrail:LookupEvents".to_owned(), NotReached)].into());
    assert_eq!(seen[WORK].sessions.iter().filter(|session| session.region.as_str() == "eu-west-1").count(), 5);
}

#[tokio::test]
async fn a_look_that_cannot_begin_says_why_in_one_line() {
    let sandbox = sandbox().await;
    let errors = [
        (Fault::new(FaultKind::ExpiredToken, "sts:GetCallerIdentity"), "AWS does not accept the credentials"),
        (Fault::deny("sts:GetCallerIdentity"), "AWS refused sts:GetCallerIdentity"),
        (Fault::fail("sts:GetCallerIdentity"), "no answer from http://127.0.0.1:"),
    ];
    for (fault, text) in errors {
        sandbox.faults().clear();
        sandbox.faults().inject(fault);
        let error = try_look(settings(&sandbox)).await.unwrap_err().to_string();
        assert!(error.starts_with(text) && !error.contains('\n'), "{error}");
    }
    let nobody = Settings {
        hub: Hub::keys("http://127.0.0.1:1", "us-east-1".parse().unwrap(), "AKIAX", "x"),
        ..Settings::default()
    };
    let error = try_look(Settings { attempts: 1, ..nobody }).await.unwrap_err();
    assert!(matches!(error, CannotStart::Unreachable { .. }), "{error}");
    let stranger = Settings {
        hub: Hub::keys(sandbox.endpoint(), "us-east-1".parse().unwrap(), "AKIANOBODYKNOWSTHIS0", "x"),
        ..settings(&sandbox)
    };
    sandbox.faults().clear();
    let error = try_look(stranger).await.unwrap_err();
    assert!(matches!(error, CannotStart::BadCredentials(_)), "{error}");
}

#[tokio::test]
async fn credentials_that_run_out_in_mid_look_are_gaps_of_what_was_left() {
    let sandbox = sandbox().await;
    let fault = Fault::new(FaultKind::ExpiredToken, "eks:*").in_account(WORK);
    let (seen, gaps) = gaps_under(&sandbox, fault, settings(&sandbox)).await;
    assert_eq!(seen[WORK].roles.len(), 4);
    assert!(gaps.contains(&(format!("{WORK} clusters eu-west-1"), Credentials)), "{gaps:?}");
}

/// Whether an account's look at roles, policies and providers was believed.
async fn believed(sandbox: &Sandbox) -> BTreeSet<String> {
    let (seen, _) = look(in_two_regions(settings(sandbox), "")).await;
    complete(&seen)
}

#[tokio::test]
async fn a_list_that_is_absent_or_holds_no_items_is_not_an_empty_one() {
    let sandbox = sandbox().await;
    let lists = |permission: &rolecall_collect::PermissionUse| {
        // The status of a trail has no list.
        ![Holder::Trails, Holder::Outgoing].contains(&permission.holder)
            && permission.action != "cloudtrail:GetTrailStatus"
            && (permission.action.contains(":List")
                || permission.action.contains(":Get")
                || permission.action.contains(":Describe"))
    };
    let mut believed = Vec::new();
    for kind in [FaultKind::NoLists, FaultKind::TextForLists, FaultKind::NoItems] {
        for permission in actions().into_iter().filter(lists) {
            let action = permission.action;
            sandbox.faults().clear();
            sandbox.faults().inject(Fault::new(kind.clone(), action));
            let (seen, _) = look(in_two_regions(settings(&sandbox), action)).await;
            if !gaps(&seen).iter().any(|(_, of, _)| of == action) {
                believed.push(format!("{action} with {kind:?}"));
            }
        }
    }
    assert_eq!(believed, Vec::<String>::new());
}

#[tokio::test]
async fn credentials_that_lack_a_part_are_a_gap_of_the_role_and_not_of_what_is_asked_with_them() {
    let sandbox = sandbox().await;
    for kind in [FaultKind::NoLists, FaultKind::EmptyLists, FaultKind::TextForLists, FaultKind::NoItems] {
        sandbox.faults().clear();
        sandbox.faults().inject(Fault::new(kind.clone(), "sts:AssumeRole"));
        let (seen, _) = look(in_two_regions(settings(&sandbox), "sts:AssumeRole")).await;
        let of_work: Vec<_> = gaps(&seen).into_iter().filter(|(scope, ..)| scope.starts_with(WORK)).collect();
        let told = |(scope, action, reason): &(String, String, GapReason)| {
            (*scope == format!("{WORK} entry")) && action == "sts:AssumeRole" && *reason == Malformed
        };
        assert!(of_work.iter().any(told), "{kind:?}: {of_work:?}");
    }
}

#[tokio::test]
async fn a_listing_that_lacks_what_must_be_in_it_is_not_believed() {
    let sandbox = sandbox().await;
    let whole = believed(&sandbox).await;
    let scopes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let cases = [
        // The role with which the account is read is not among its roles.
        (
            FaultKind::EmptyLists,
            "iam:GetAccountAuthorizationDetails",
            vec![format!("{WORK} roles"), format!("{HUB} roles")],
        ),
        // An add-on owns an association that can be described.
        (FaultKind::EmptyLists, "eks:ListPodIdentityAssociations", vec![format!("{WORK} associations eu-west-1 prod")]),
    ];
    for (kind, action, lost) in cases {
        sandbox.faults().clear();
        sandbox.faults().inject(Fault::new(kind, action));
        let left = believed(&sandbox).await;
        let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
        assert!(scopes(&lost).is_subset(&whole), "{action}: {whole:?}");
        assert!(scopes(&lost).is_disjoint(&left), "{action}: {left:?}");
    }
}

#[tokio::test]
async fn a_listing_that_never_ends_is_cut_short() {
    let sandbox = sandbox().await;
    for kind in [FaultKind::Circle, FaultKind::Endless] {
        for action in ["eks:ListClusters", "organizations:ListAccounts", "iam:GetAccountAuthorizationDetails"] {
            sandbox.faults().clear();
            sandbox.faults().inject(Fault::new(kind.clone(), action));
            let second = Duration::from_secs(1);
            let settings = Settings { listing_deadline: second, ..in_two_regions(settings(&sandbox), action) };
            let (seen, _) = look(settings).await;
            let of: Vec<_> = gaps(&seen).into_iter().filter(|(_, of, _)| of == action).collect();
            assert!(!of.is_empty(), "{action}: {kind:?}");
            assert!(of.iter().all(|(.., reason)| matches!(reason, Malformed | Timeout)), "{of:?}");
        }
    }
}

#[tokio::test]
async fn pages_of_roles_that_hold_nothing_new_end_soon() {
    let sandbox = sandbox().await;
    let action = "iam:GetAccountAuthorizationDetails";
    sandbox.faults().inject(Fault::new(FaultKind::Endless, action));
    let (seen, _) = look(in_two_regions(settings(&sandbox), "")).await;
    let expected =
        [HUB, WORK].into_iter().flat_map(|account| ["roles", "policies"].map(|of| format!("{account} {of}")));
    assert_eq!(gaps(&seen), expected.map(|scope| (scope, action.to_owned(), Malformed)).collect());
    // The first page of each of two accounts, and three that hold nothing new.
    assert_eq!(sandbox.calls().of(action), 2 * 4);
}

#[tokio::test]
async fn without_their_list_the_regions_that_every_account_has_are_looked_at() {
    let sandbox = sandbox().await;
    let regions_of = |seen: &ByAccount| -> BTreeSet<String> {
        let scopes = seen[WORK].coverage.scopes().map(|(scope, _)| scope);
        scopes.filter_map(|scope| scope.region.as_ref().map(ToString::to_string)).collect()
    };
    let (listed, _) = look(settings(&sandbox)).await;
    sandbox.faults().deny("account:ListRegions");
    let (unlisted, _) = look(settings(&sandbox)).await;
    assert_eq!(regions_of(&unlisted), regions_of(&listed), "the estate uses no region that it opted into");
}

#[tokio::test]
async fn past_its_deadline_an_account_is_called_no_more_and_what_was_seen_stays() {
    let sandbox = sandbox().await;
    sandbox.faults().inject(Fault::latency("eks:DescribeCluster", Duration::from_secs(600)));
    let second = Duration::from_secs(2);
    for settings in [
        Settings { account_deadline: second, ..settings(&sandbox) },
        Settings { run_deadline: second, ..settings(&sandbox) },
    ] {
        let (seen, _) = look(in_two_regions(settings, "")).await;
        let work = &seen[WORK];
        let cut = work.coverage.gaps().find(|gap| gap.action == "eks:DescribeCluster").unwrap();
        assert_eq!(cut.reason, Timeout);
        assert!(cut.detail.starts_with("cut short: the deadline of the "), "{}", cut.detail);
        assert!(!work.roles.is_empty(), "what was seen before stays");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let sandbox = sandbox().await;
    sandbox.faults().inject(Fault::new(FaultKind::Padding(33 << 20), "iam:ListOpenIDConnectProviders"));
    let (seen, _) = look(in_two_regions(settings(&sandbox), "")).await;
    let expected = [HUB, WORK].into_iter().flat_map(|account| {
        let of =
            |scope: &str, reason| (format!("{account} {scope}"), "iam:ListOpenIDConnectProviders".to_owned(), reason);
        [of("oidc_provider_details", NotReached), of("oidc_providers", Malformed)]
    });
    assert_eq!(gaps(&seen), expected.collect());
}

#[tokio::test]
async fn where_regions_are_not_told_those_of_every_account_are_read() {
    let sandbox = sandbox().await;
    sandbox.faults().deny("account:ListRegions");
    let (seen, _) = look(settings(&sandbox)).await;
    let clusters = complete(&seen).into_iter().filter(|scope| scope.starts_with(&format!("{WORK} clusters "))).count();
    assert_eq!(clusters, 17);
    assert_eq!(gaps(&seen), expected("account:ListRegions", &[]));
}
