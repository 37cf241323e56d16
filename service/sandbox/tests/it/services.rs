//! Every operation once, through the SDK, with its paging and its refusals.

use crate::support::{HUB, MEMBER, REGION, config, event, hub, options, sandbox, with};
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_iam::types::EntityType;
use aws_sdk_organizations::types::PolicyType;
use rolecall_sandbox::{Options, Sandbox};

fn text_of(encoded: &str) -> String {
    percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned()
}

#[tokio::test]
async fn a_role_is_assumed_and_the_session_acts_in_its_account() {
    let sandbox = with(Options { external_id: Some("shared".into()), ..options() }).await;
    let sts = aws_sdk_sts::Client::new(&hub(&sandbox).await);
    let who = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(who.account(), Some(HUB));
    let assume = |arn: &str, id: Option<&str>| {
        sts.assume_role().role_arn(arn).role_session_name("rolecall-1").set_external_id(id.map(str::to_owned)).send()
    };
    let arn = format!("arn:aws:iam::{MEMBER}:role/RolecallReadOnly");
    let given = assume(&arn, Some("shared")).await.unwrap();
    let session = given.credentials().unwrap();
    let inside = config(&sandbox, session.access_key_id(), Some(session.session_token())).await;
    let who = aws_sdk_sts::Client::new(&inside).get_caller_identity().send().await.unwrap();
    assert_eq!(who.arn(), Some(format!("arn:aws:sts::{MEMBER}:assumed-role/RolecallReadOnly/rolecall-1").as_str()));
    let roles = aws_sdk_iam::Client::new(&inside).get_account_authorization_details().send().await.unwrap();
    assert_eq!(roles.role_detail_list()[0].role_name(), Some("only"));

    let refused = [
        (arn.clone(), None),
        (arn.clone(), Some("other")),
        (format!("arn:aws:iam::{MEMBER}:role/only"), Some("shared")),
        ("arn:aws:iam::999999999999:role/RolecallReadOnly".to_owned(), Some("shared")),
    ];
    for (arn, id) in refused {
        let error = assume(&arn, id).await.unwrap_err().into_service_error();
        assert_eq!(error.code(), Some("AccessDenied"), "{arn} {id:?}");
        let message = error.message().unwrap();
        assert!(
            message.ends_with(&format!("is not authorized to perform: sts:AssumeRole on resource: {arn}")),
            "{message}"
        );
    }
    let error = sts.assume_role().role_arn(&arn).role_session_name("a b").send().await.unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("ValidationError"));
}

#[tokio::test]
async fn credentials_that_are_unknown_or_over_are_refused_in_each_service_s_own_words() {
    let sandbox = sandbox().await;
    let unknown = config(&sandbox, "ASIANOBODYKNOWSTHIS0", Some("x")).await;
    let iam = aws_sdk_iam::Client::new(&unknown).list_open_id_connect_providers().send().await.unwrap_err();
    assert_eq!(iam.code(), Some("InvalidClientTokenId"));
    let eks = aws_sdk_eks::Client::new(&unknown).list_clusters().send().await.unwrap_err();
    assert_eq!(eks.code(), Some("UnrecognizedClientException"));
    let trail = aws_sdk_cloudtrail::Client::new(&unknown).lookup_events().send().await.unwrap_err();
    assert_eq!(trail.code(), Some("UnrecognizedClientException"));

    let sts = aws_sdk_sts::Client::new(&hub(&sandbox).await);
    let arn = format!("arn:aws:iam::{MEMBER}:role/RolecallReadOnly");
    let given = sts.assume_role().role_arn(arn).role_session_name("rolecall-1").send().await.unwrap();
    let session = given.credentials().unwrap();
    let wrong_token = config(&sandbox, session.access_key_id(), Some("another")).await;
    let error = aws_sdk_iam::Client::new(&wrong_token).get_role().role_name("only").send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidClientTokenId"));
    let inside = config(&sandbox, session.access_key_id(), Some(session.session_token())).await;
    sandbox.expire_sessions();
    let error = aws_sdk_iam::Client::new(&inside).get_role().role_name("only").send().await.unwrap_err();
    assert_eq!(error.code(), Some("ExpiredToken"));
    let error = aws_sdk_eks::Client::new(&inside).list_clusters().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ExpiredTokenException"));
}

#[tokio::test]
async fn the_authorization_details_come_in_pages_with_encoded_documents() {
    let sandbox = sandbox().await;
    let iam = aws_sdk_iam::Client::new(&hub(&sandbox).await);
    let (mut roles, mut policies, mut marker, mut pages) = (Vec::new(), Vec::new(), None, 0);
    loop {
        let call = iam.get_account_authorization_details().max_items(2).set_marker(marker);
        let page = call.send().await.unwrap();
        roles.extend_from_slice(page.role_detail_list());
        policies.extend_from_slice(page.policies());
        pages += 1;
        assert_eq!(page.is_truncated(), page.marker().is_some());
        marker = page.marker().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    assert_eq!((roles.len(), policies.len(), pages), (5, 1, 3));
    let first = &roles[0];
    assert_eq!(first.tags()[0].value(), "a<b");
    assert_eq!(first.role_policy_list()[0].policy_name(), Some("in & out"));
    let trust = text_of(first.assume_role_policy_document().unwrap());
    assert!(trust.starts_with(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow""#), "{trust}");
    assert_eq!(first.create_date().unwrap().secs(), 1_767_323_045);
    assert_eq!(policies[0].policy_version_list()[0].version_id(), Some("v1"));

    for (filter, roles, policies) in [
        (EntityType::Role, 5, 0),
        (EntityType::LocalManagedPolicy, 0, 1),
        (EntityType::AwsManagedPolicy, 0, 0),
        (EntityType::User, 0, 0),
    ] {
        let page = iam.get_account_authorization_details().filter(filter).send().await.unwrap();
        assert_eq!((page.role_detail_list().len(), page.policies().len()), (roles, policies));
    }
    let of_roles = iam.get_account_authorization_details().filter(EntityType::Role).max_items(1).send().await.unwrap();
    let foreign = iam.get_account_authorization_details().marker(of_roles.marker().unwrap()).send().await.unwrap_err();
    assert_eq!(foreign.code(), Some("ValidationError"));
    assert_eq!(sandbox.calls().in_account(HUB, "iam:GetAccountAuthorizationDetails"), 3 + 4 + 2);

    let role = iam.get_role().role_name("r1").send().await.unwrap();
    assert_eq!(role.role().unwrap().max_session_duration(), Some(3600));
    let missing = iam.get_role().role_name("nobody").send().await.unwrap_err().into_service_error();
    assert!(missing.is_no_such_entity_exception());
    assert_eq!(iam.list_open_id_connect_providers().send().await.unwrap().open_id_connect_provider_list().len(), 1);
}

#[tokio::test]
async fn clusters_and_what_hangs_on_them_are_listed_and_described() {
    let sandbox = sandbox().await;
    let eks = aws_sdk_eks::Client::new(&hub(&sandbox).await);
    assert_eq!(eks.list_clusters().send().await.unwrap().clusters(), ["main"]);
    let cluster = eks.describe_cluster().name("main").send().await.unwrap();
    assert_eq!(cluster.cluster().unwrap().created_at().unwrap().secs(), 1_767_323_045);
    let missing = eks.describe_cluster().name("other").send().await.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception());

    let pages = eks.list_pod_identity_associations().cluster_name("main").max_results(3).into_paginator().send();
    let listed: Vec<_> = pages.try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|p| p.associations().len()).collect::<Vec<_>>(), [3, 3, 1]);
    let odd = eks.list_pod_identity_associations().cluster_name("main").namespace("odd").send().await.unwrap();
    assert_eq!(odd.associations().len(), 3);
    let one = eks.list_pod_identity_associations().cluster_name("main").namespace("odd").service_account("s3");
    let one = one.send().await.unwrap();
    let id = one.associations()[0].association_id().unwrap();
    let found = eks.describe_pod_identity_association().cluster_name("main").association_id(id).send().await.unwrap();
    let found = found.association().unwrap();
    assert_eq!(found.role_arn(), Some(format!("arn:aws:iam::{HUB}:role/r3").as_str()));
    assert_eq!(found.disable_session_tags(), Some(true));
    assert_eq!(found.policy(), Some(r#"{"Version":"2012-10-17","Statement":[]}"#));
    assert_eq!(found.modified_at().unwrap().subsec_nanos(), 250_000_000);
    let token = listed[0].next_token().unwrap();
    let other = eks.list_pod_identity_associations().cluster_name("main").namespace("odd").next_token(token);
    assert!(other.send().await.unwrap_err().into_service_error().is_invalid_parameter_exception());

    assert_eq!(eks.list_addons().cluster_name("main").send().await.unwrap().addons(), ["eks-pod-identity-agent"]);
    let addon = eks.describe_addon().cluster_name("main").addon_name("eks-pod-identity-agent").send().await.unwrap();
    assert_eq!(addon.addon().unwrap().addon_version(), Some("v1.3.9-eksbuild.3"));
    let entries = eks.list_access_entries().cluster_name("main").send().await.unwrap();
    let principal = &entries.access_entries()[0];
    let entry = eks.describe_access_entry().cluster_name("main").principal_arn(principal).send().await.unwrap();
    assert_eq!(entry.access_entry().unwrap().kubernetes_groups(), ["g"]);
    let policies =
        eks.list_associated_access_policies().cluster_name("main").principal_arn(principal).send().await.unwrap();
    assert_eq!(policies.associated_access_policies()[0].access_scope().unwrap().namespaces(), ["even"]);
    let create =
        eks.create_pod_identity_association().cluster_name("main").namespace("n").service_account("s").role_arn("r");
    let create = create.send().await.unwrap_err();
    assert_eq!(create.raw_response().unwrap().status().as_u16(), 404);
}

fn by_name(name: &str) -> LookupAttribute {
    LookupAttribute::builder().attribute_key(LookupAttributeKey::EventName).attribute_value(name).build().unwrap()
}

#[tokio::test]
async fn events_are_looked_up_newest_first_and_a_token_is_bound_to_its_parameters() {
    let sandbox = sandbox().await;
    let trail = aws_sdk_cloudtrail::Client::new(&hub(&sandbox).await);
    let lookup = || trail.lookup_events().lookup_attributes(by_name("AssumeRole"));
    let first = lookup().send().await.unwrap();
    assert_eq!(first.events().len(), 50);
    let token = first.next_token().unwrap().to_owned();
    // What happens after the first page was read moves nothing on the next.
    sandbox.mutate(|estate| {
        estate.accounts.get_mut(HUB).unwrap().region(REGION).events.push(event(200, "AssumeRole"));
    });
    let second = lookup().next_token(&token).send().await.unwrap();
    assert_eq!((second.events().len(), second.next_token()), (10, None));
    let ids: std::collections::BTreeSet<_> =
        first.events().iter().chain(second.events()).map(|e| e.event_id().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 60);
    let times: Vec<_> = first.events().iter().map(|e| e.event_time().unwrap().secs()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b));
    assert_eq!(first.events()[0].read_only(), Some("true"));

    let other = trail.lookup_events().lookup_attributes(by_name("DescribeStacks")).next_token(&token).send().await;
    assert!(other.unwrap_err().into_service_error().is_invalid_next_token_exception());
    let two = lookup().lookup_attributes(by_name("x")).send().await.unwrap_err().into_service_error();
    assert!(two.is_invalid_lookup_attributes_exception());
    let many = lookup().max_results(51).send().await.unwrap_err().into_service_error();
    assert!(many.is_invalid_max_results_exception());
    let seconds = aws_sdk_cloudtrail::primitives::DateTime::from_secs;
    let start = 1_772_323_200; // midnight of the events' day
    let range = |from: i64, to: i64| {
        trail.lookup_events().start_time(seconds(start + from)).end_time(seconds(start + to)).send()
    };
    assert_eq!(range(10, 19).await.unwrap().events().len(), 10);
    assert!(range(19, 10).await.unwrap_err().into_service_error().is_invalid_time_range_exception());
    let role = format!("arn:aws:iam::{HUB}:role/r0");
    let by_role = LookupAttribute::builder().attribute_key(LookupAttributeKey::ResourceName).attribute_value(role);
    let by_role = trail.lookup_events().lookup_attributes(by_role.build().unwrap()).send().await.unwrap();
    assert_eq!(by_role.events().len(), 40);
    sandbox.set_clock(Some("2026-06-15T00:00:00Z".parse().unwrap()));
    assert!(trail.lookup_events().send().await.unwrap().events().is_empty(), "older than 90 days");
}

#[tokio::test]
async fn lookups_over_the_rate_are_throttled() {
    let sandbox = with(Options { lookups_per_second: std::num::NonZeroU32::new(1), ..options() }).await;
    let trail = aws_sdk_cloudtrail::Client::new(&hub(&sandbox).await);
    let call = || trail.lookup_events().max_results(1).send();
    let answers = tokio::join!(call(), call(), call(), call(), call(), call());
    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5];
    let throttled: Vec<_> = answers.iter().filter_map(|a| a.as_ref().err()).collect();
    assert!(!throttled.is_empty());
    assert!(throttled.iter().all(|e| e.code() == Some("ThrottlingException")), "{throttled:?}");
}

#[tokio::test]
async fn trails_say_what_they_record_in_members_too() {
    let sandbox = sandbox().await;
    for key in [rolecall_sandbox::HUB_ACCESS_KEY.to_owned(), Sandbox::access_key(MEMBER)] {
        let trail = aws_sdk_cloudtrail::Client::new(&config(&sandbox, &key, None).await);
        let found = trail.describe_trails().send().await.unwrap();
        let found = &found.trail_list()[0];
        assert_eq!((found.home_region(), found.is_organization_trail()), (Some("us-east-1"), Some(true)));
        let selectors = trail.get_event_selectors().trail_name(found.trail_arn().unwrap()).send().await.unwrap();
        assert_eq!(selectors.event_selectors()[0].read_write_type().unwrap().as_str(), "WriteOnly");
        let status = trail.get_trail_status().name(found.trail_arn().unwrap()).send().await.unwrap();
        assert_eq!(status.is_logging(), Some(true));
        let home = trail.describe_trails().include_shadow_trails(false).send().await.unwrap();
        assert!(home.trail_list().is_empty(), "the trail's home is another region");
    }
}

#[tokio::test]
async fn the_organisation_answers_its_management_account_alone() {
    let sandbox = sandbox().await;
    let organisation = aws_sdk_organizations::Client::new(&hub(&sandbox).await);
    let about = organisation.describe_organization().send().await.unwrap();
    assert_eq!(about.organization().unwrap().master_account_id(), Some(HUB));
    let accounts = organisation.list_accounts().max_results(1).into_paginator().send();
    let pages: Vec<_> = accounts.try_collect().await.unwrap();
    let ids: Vec<_> = pages.iter().flat_map(|p| p.accounts.iter().flatten()).map(|a| a.id().unwrap()).collect();
    assert_eq!(ids, [HUB, MEMBER]);
    let roots = organisation.list_roots().send().await.unwrap();
    let root = roots.roots()[0].id().unwrap();
    let units = organisation.list_organizational_units_for_parent().parent_id(root).send().await.unwrap();
    let unit = units.organizational_units()[0].id().unwrap();
    let inside = organisation.list_accounts_for_parent().parent_id(unit).send().await.unwrap();
    assert_eq!(inside.accounts()[0].name(), Some("member"));
    let parents = organisation.list_parents().child_id(MEMBER).send().await.unwrap();
    assert_eq!(parents.parents()[0].id(), Some(unit));
    let policies = organisation.list_policies().filter(PolicyType::ServiceControlPolicy).send().await.unwrap();
    let policy = policies.policies()[0].id().unwrap();
    assert!(policies.policies()[0].aws_managed());
    let described = organisation.describe_policy().policy_id(policy).send().await.unwrap();
    assert_eq!(described.policy().unwrap().content(), Some("{}"));
    let targets = organisation.list_targets_for_policy().policy_id(policy).send().await.unwrap();
    let kinds: Vec<_> = targets.targets().iter().map(|t| t.r#type().unwrap().as_str()).collect();
    assert_eq!(kinds, ["ROOT", "ORGANIZATIONAL_UNIT", "ACCOUNT"]);
    let none = organisation.list_policies().filter(PolicyType::ResourceControlPolicy).send().await.unwrap();
    assert!(none.policies().is_empty());

    let member = aws_sdk_organizations::Client::new(&config(&sandbox, &Sandbox::access_key(MEMBER), None).await);
    assert!(member.list_accounts().send().await.unwrap_err().into_service_error().is_access_denied_exception());
    assert!(member.describe_organization().send().await.is_ok());
    sandbox.mutate(|estate| estate.organization = None);
    let error = organisation.list_accounts().send().await.unwrap_err().into_service_error();
    assert!(error.is_aws_organizations_not_in_use_exception());
}

#[tokio::test]
async fn a_change_shows_in_the_next_answer_and_leaves_its_event() {
    let sandbox = sandbox().await;
    let config = hub(&sandbox).await;
    let (iam, eks) = (aws_sdk_iam::Client::new(&config), aws_sdk_eks::Client::new(&config));
    let arn = format!("arn:aws:iam::{HUB}:role/r0");
    let listed = eks.list_pod_identity_associations().cluster_name("main").send().await.unwrap();
    let association = listed.associations()[0].clone();
    let now = sandbox.now();
    sandbox.mutate(|estate| {
        estate.delete_role(&arn, now).unwrap();
        assert!(estate.delete_role(&arn, now).is_err());
        let target = format!("arn:aws:iam::{HUB}:role/r1");
        estate.repoint_association(association.association_arn().unwrap(), &target, now).unwrap();
    });
    assert!(iam.get_role().role_name("r0").send().await.is_err());
    let id = association.association_id().unwrap();
    let found = eks.describe_pod_identity_association().cluster_name("main").association_id(id).send().await.unwrap();
    assert!(found.association().unwrap().role_arn().unwrap().ends_with("role/r1"));
    let trail = aws_sdk_cloudtrail::Client::new(&config);
    let update = trail.lookup_events().lookup_attributes(by_name("UpdatePodIdentityAssociation")).send().await.unwrap();
    assert_eq!((update.events().len(), update.events()[0].read_only()), (1, Some("false")));
    let deleted = trail.lookup_events().lookup_attributes(by_name("DeleteRole")).send().await.unwrap();
    assert!(deleted.events().is_empty(), "IAM's events are in us-east-1");
    let east =
        aws_sdk_cloudtrail::Client::new(&config.to_builder().region(aws_config::Region::new("us-east-1")).build());
    let deleted = east.lookup_events().lookup_attributes(by_name("DeleteRole")).send().await.unwrap();
    assert_eq!(deleted.events().len(), 1);
}

#[test]
fn an_estate_that_is_written_is_read_back_the_same() {
    let folder = std::env::temp_dir().join(format!("rolecall-sandbox-{}", uuid::Uuid::new_v4()));
    let estate = crate::support::estate();
    estate.to_dir(&folder).unwrap();
    let read = rolecall_sandbox::Estate::from_dir(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(format!("{read:?}"), format!("{estate:?}"));
}
