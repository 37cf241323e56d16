//! What each kind of event changes, case by case.

mod calls;

use super::*;
use crate::aggregate::{AggregatedBatch, EventAggregator, Limits};
use serde_json::{Map, json};
use std::collections::BTreeMap;

const ACCOUNT: &str = "111122223333";

/// A record in CloudTrail's order, with what a case says in place of the usual.
fn record(source: &str, name: &str, changes: &Value) -> Value {
    let mut record = json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:ana",
            "arn": "arn:aws:sts::111122223333:assumed-role/deployer/ana",
            "accountId": ACCOUNT,
            "accessKeyId": "ASIAEXAMPLE",
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/ci/deployer", "userName": "deployer"},
                "attributes": {"mfaAuthenticated": "true"},
                "sourceIdentity": "ana@example.com",
            },
        },
        "eventTime": "2026-11-03T10:01:00Z",
        "eventSource": source,
        "eventName": name,
        "awsRegion": if source.starts_with("eks") { "eu-west-1" } else { "us-east-1" },
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.17.0 md/awscrt#0.20.11",
        "requestParameters": null,
        "responseElements": null,
        "requestID": "b7e1",
        "eventID": "6b0f9f5e-0001",
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    });
    merge(&mut record, changes);
    record
}

fn merge(into: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

fn aggregated(records: &[Value]) -> AggregatedBatch {
    let mut aggregator = EventAggregator::new(Limits::default());
    aggregator.read("a.json", json!({ "Records": records }).to_string().as_bytes());
    aggregator.finish_batch(&BTreeMap::new())
}

fn one(record: &Value) -> ChangeEvent {
    let mut aggregated = aggregated(std::slice::from_ref(record));
    assert_eq!(aggregated.problems, [], "{record}");
    assert_eq!(aggregated.changes.len(), 1, "{record}");
    aggregated.changes.remove(0)
}

/// Resources as `TYPE RESOURCE`, with a star before those that change.
fn named(event: &ChangeEvent) -> Vec<String> {
    let written = |resource: &ChangedResource| {
        let star = if resource.is_changed { "*" } else { "" };
        let id = resource.association_id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
        format!("{star}{} {}{id}", resource.resource_type.trim_start_matches("AWS::"), resource.resource)
    };
    event.resources.iter().map(written).collect()
}

#[test]
fn reads_and_calls_of_other_services_are_no_changes() {
    let cases = [
        ("iam.amazonaws.com", "GetRole"),
        ("iam.amazonaws.com", "PutUserPolicy"),
        ("iam.amazonaws.com", "CreateAccessKey"),
        ("eks.amazonaws.com", "DescribePodIdentityAssociation"),
        ("organizations.amazonaws.com", "ListPolicies"),
        ("cloudtrail.amazonaws.com", "LookupEvents"),
        ("ec2.amazonaws.com", "RunInstances"),
        ("s3.amazonaws.com", "TagResource"),
        ("ssm.amazonaws.com", "CreatePolicy"),
    ];
    for (source, name) in cases {
        let aggregated = aggregated(&[record(source, name, &json!({"requestParameters": {"roleName": "api"}}))]);
        assert_eq!(
            (aggregated.changes.len(), aggregated.stats.change_events, aggregated.stats.calls),
            (0, 0, 1),
            "{source} {name}"
        );
    }
}

#[test]
fn an_event_of_a_service_tells_of_an_account() {
    for (name, details, expected) in [
        (
            "CreateAccountResult",
            json!({"createAccountStatus": {"state": "SUCCEEDED", "accountId": "444455556666"}}),
            Some("444455556666"),
        ),
        ("CloseAccountResult", json!({"closeAccountStatus": {"accountId": "444455556666"}}), Some("444455556666")),
        ("AccountJoinedOrganization", json!({"accountId": "444455556666"}), Some("444455556666")),
        ("AccountDepartedOrganization", json!({"other": 1}), None),
    ] {
        let event = one(&record(
            "organizations.amazonaws.com",
            name,
            &json!({
                "userIdentity": {"accountId": ACCOUNT, "invokedBy": "organizations.amazonaws.com"},
                "eventType": "AwsServiceEvent",
                "userAgent": "organizations.amazonaws.com",
                "serviceEventDetails": details,
            }),
        ));
        assert_eq!(event.resources.first().map(|resource| &*resource.resource), expected, "{name}");
        assert_eq!((event.agent_class, event.request), (AgentClass::AwsService, details));
        assert_eq!(event.actor.principal(), Some("organizations.amazonaws.com"));
    }
}

#[test]
fn who_called_is_told() {
    let event = one(&record("iam.amazonaws.com", "DeleteRole", &json!({"requestParameters": {"roleName": "api"}})));
    let some = |text: &str| Some(text.to_owned());
    let expected = Actor {
        kind: "AssumedRole".to_owned(),
        arn: some("arn:aws:sts::111122223333:assumed-role/deployer/ana"),
        session_issuer_arn: some("arn:aws:iam::111122223333:role/ci/deployer"),
        session_name: some("ana"),
        account_id: some(ACCOUNT),
        access_key_id: some("ASIAEXAMPLE"),
        source_identity: some("ana@example.com"),
        invoked_by: None,
    };
    assert_eq!(event.actor, expected);
    assert_eq!(event.actor.principal(), Some("arn:aws:iam::111122223333:role/ci/deployer"));
    let cases = [
        (
            json!({"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/bob", "principalId": "AIDA1", "accountId": ACCOUNT, "userName": "bob"}),
            Some("arn:aws:iam::111122223333:user/bob"),
            None,
        ),
        (
            json!({"type": "Root", "arn": "arn:aws:iam::111122223333:root", "accountId": ACCOUNT}),
            Some("arn:aws:iam::111122223333:root"),
            None,
        ),
        (json!({"type": "AWSService", "invokedBy": "eks.amazonaws.com"}), Some("eks.amazonaws.com"), None),
        (
            json!({"type": "WebIdentityUser", "principalId": "provider:client:user", "userName": "u"}),
            None,
            Some("client:user"),
        ),
        (Value::Null, None, None),
    ];
    for (identity, principal, session) in cases {
        let aggregated = aggregated(&[record(
            "iam.amazonaws.com",
            "DeleteRole",
            &json!({"userIdentity": identity, "requestParameters": {"roleName": "api"}}),
        )]);
        let [event] = &*aggregated.changes else { panic!("{identity}: {aggregated:?}") };
        assert_eq!((event.actor.principal(), event.actor.session_name.as_deref()), (principal, session), "{identity}");
        assert_eq!((aggregated.stats.calls, aggregated.uses.len()), (0, 0), "only sessions of roles have uses");
    }
}

#[test]
fn refused_and_failed_calls_are_kept() {
    let denied = one(&record(
        "iam.amazonaws.com",
        "PutRolePolicy",
        &json!({
            "errorCode": "AccessDenied",
            "errorMessage": "User: arn:aws:sts::111122223333:assumed-role/deployer/ana is not authorized to perform: iam:PutRolePolicy on resource: role api with an explicit deny in a service control policy",
        }),
    ));
    assert!(denied.is_denied);
    assert_eq!(denied.error_code.as_deref(), Some("AccessDenied"));
    assert_eq!(
        (named(&denied), &denied.request),
        (vec!["*IAM::Role arn:aws:iam::111122223333:role/api".to_owned()], &Value::Null)
    );
    let cases = [
        (
            "iam.amazonaws.com",
            "CreateRole",
            "X is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::111122223333:role/t/api because no identity-based policy allows it",
            vec!["*IAM::Role arn:aws:iam::111122223333:role/t/api"],
        ),
        (
            "eks.amazonaws.com",
            "DeletePodIdentityAssociation",
            "X is not authorized to perform: eks:DeletePodIdentityAssociation on resource: arn:aws:eks:eu-west-1:111122223333:podidentityassociation/shop/a-1",
            vec!["*EKS::PodIdentityAssociation arn:aws:eks:eu-west-1:111122223333:podidentityassociation/shop/a-1 a-1"],
        ),
        (
            "cloudtrail.amazonaws.com",
            "StopLogging",
            "User: X is not authorized to perform: cloudtrail:StopLogging on resource: arn:aws:cloudtrail:us-east-1:111122223333:trail/main.",
            vec!["*CloudTrail::Trail arn:aws:cloudtrail:us-east-1:111122223333:trail/main"],
        ),
        ("organizations.amazonaws.com", "DetachPolicy", "You don't have permissions to access this resource.", vec![]),
        ("iam.amazonaws.com", "DeleteRole", "denied on resource: ", vec![]),
        ("iam.amazonaws.com", "DeleteRole", "denied on resource: *", vec![]),
    ];
    for (source, name, message, expected) in cases {
        let event =
            one(&record(source, name, &json!({"errorCode": "Client.UnauthorizedOperation", "errorMessage": message})));
        assert_eq!(named(&event), expected, "{message}");
        assert!(event.is_denied);
    }
    let failed = one(&record(
        "iam.amazonaws.com",
        "DeleteRole",
        &json!({
            "errorCode": "DeleteConflictException", "errorMessage": "x".repeat(5_000), "requestParameters": {"roleName": "api"},
        }),
    ));
    assert_eq!((failed.is_denied, failed.error_message.map(|text| text.len())), (false, Some(1024)));
}

#[test]
fn a_resource_is_the_same_by_whatever_it_is_named() {
    let cases = [
        ("AWS::IAM::Role", "arn:aws:iam::111122223333:role/team/Api", "arn:aws:iam::111122223333:role/api", true),
        ("AWS::IAM::Role", "arn:aws:iam::111122223333:role/api", "arn:aws:iam::444455556666:role/api", false),
        ("AWS::IAM::Role", "arn:aws:iam::111122223333:role/api/web", "arn:aws:iam::111122223333:role/api", false),
        (
            "AWS::IAM::ManagedPolicy",
            "arn:aws:iam::aws:policy/job-function/ReadOnly",
            "arn:aws:iam::111122223333:policy/ReadOnly",
            false,
        ),
        (
            "AWS::EKS::Addon",
            "arn:aws:eks:eu-west-1:111122223333:addon/shop/vpc-cni/ab",
            "arn:aws:eks:eu-west-1:111122223333:addon/shop/vpc-cni",
            true,
        ),
        (
            "AWS::EKS::AccessEntry",
            "arn:aws:eks:eu-west-1:111122223333:access-entry/shop/role/111122223333/ops/ab",
            "arn:aws:eks:eu-west-1:111122223333:access-entry/shop/role/111122223333/ops",
            true,
        ),
        (
            "AWS::Organizations::Policy",
            "arn:aws:organizations::111122223333:policy/o-1/service_control_policy/p-1",
            "p-1",
            true,
        ),
        (
            "AWS::Organizations::Account",
            "arn:aws:organizations::111122223333:account/o-1/444455556666",
            "444455556666",
            true,
        ),
        (
            "AWS::EKS::Cluster",
            "arn:aws:eks:eu-west-1:111122223333:cluster/shop",
            "arn:aws:eks:eu-west-1:111122223333:cluster/Shop",
            false,
        ),
        (
            "AWS::EKS::PodIdentityAssociation",
            "111122223333/eu-west-1/shop/a/b",
            "111122223333/eu-west-1/shop/a/b",
            true,
        ),
    ];
    for (kind, one, other, same) in cases {
        assert_eq!(resource_key(kind, one) == resource_key(kind, other), same, "{one} {other}");
    }
}

#[test]
fn what_is_asked_for_is_kept_within_bounds_and_without_secrets() {
    let document = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let event = one(&record(
        "eks.amazonaws.com",
        "CreateAddon",
        &json!({
            "requestParameters": {
                "name": "shop", "addonName": "x", "configurationValues": "{\"apiKey\":\"abc\"}", "clientRequestToken": "t-1",
                "deep": {"privateKey": {"pem": "abc"}, "iamUserAccessToBilling": "ALLOW"}, "email": "a@example.com", "policy": document,
            },
            "responseElements": {"credentials": {"secretAccessKey": "abc"}},
        }),
    ));
    let hidden = "HIDDEN_DUE_TO_SECURITY_REASONS";
    let expected = json!({
        "name": "shop", "addonName": "x", "configurationValues": hidden, "clientRequestToken": "t-1",
        "deep": {"privateKey": hidden, "iamUserAccessToBilling": "ALLOW"}, "email": hidden, "policy": document,
    });
    assert_eq!((event.request, event.is_request_cut), (expected, false));

    let deep = |levels: usize| (0..levels).fold(json!("x"), |inner, _| json!([inner]));
    let many: Map<String, Value> = (0..5_000).map(|n| (format!("k{n}"), json!(1))).collect();
    let cases = [
        (json!({"roleName": "api", "policyDocument": "x".repeat(64 * 1024)}), true),
        (json!({"roleName": "api", "policyDocument": "x".repeat(60 * 1024)}), false),
        (json!({"roleName": "api", "deep": deep(15)}), false),
        (json!({"roleName": "api", "deep": deep(16)}), true),
        (json!({"roleName": "api", "deep": deep(100)}), true),
        (json!({"roleName": "api", "many": many}), true),
        (json!({"roleName": "api", "list": vec![0; 5_000]}), true),
        (json!({"roleName": "api", "omitted": true, "originalSize": 200_000}), true),
        (json!({"omitted": true}), true),
    ];
    for (request, is_cut) in cases {
        let has_role = request.get("roleName").is_some();
        let event = one(&record("iam.amazonaws.com", "PutRolePolicy", &json!({"requestParameters": request})));
        assert_eq!(event.is_request_cut, is_cut, "{:.80}", event.request.to_string());
        assert!(event.request.to_string().len() < 128 * 1024);
        assert_eq!(event.resources.len(), usize::from(has_role));
        assert!(serde_json::from_str::<Value>(&event.request.to_string()).is_ok());
    }
    for odd in [
        json!("text"),
        json!(7),
        json!([{"roleName": "api"}]),
        json!(true),
        json!({"roleName": 7}),
        json!({"roleName": ""}),
    ] {
        let event = one(&record("iam.amazonaws.com", "DeleteRole", &json!({"requestParameters": odd})));
        assert_eq!((event.resources, event.request), (vec![], odd));
    }
}

#[test]
fn a_record_may_have_its_fields_in_any_order() {
    let whole = record(
        "iam.amazonaws.com",
        "PutRolePolicy",
        &json!({
            "requestParameters": {"roleName": "api", "policyDocument": "{}"}, "sessionCredentialFromConsole": "true",
        }),
    );
    let session = record(
        "sts.amazonaws.com",
        "AssumeRole",
        &json!({
            "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/api", "roleSessionName": "s"},
            "responseElements": {"credentials": {"accessKeyId": "ASIA2", "sessionToken": "t"}},
        }),
    );
    for (record, is_change) in [(whole, true), (session, false)] {
        let as_is = aggregated(std::slice::from_ref(&record));
        let members = record.as_object().expect("a record").clone();
        let fields: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        for turn in 0..fields.len() {
            for backwards in [false, true] {
                let mut turned = fields.clone();
                turned.rotate_left(turn);
                if backwards {
                    turned.reverse();
                }
                let mut aggregator = EventAggregator::new(Limits::default());
                aggregator.read("a.json", format!("{{\"Records\":[{{{}}}]}}", turned.join(",")).as_bytes());
                let found = aggregator.finish_batch(&BTreeMap::new());
                assert_eq!((&found.changes, &found.sessions), (&as_is.changes, &as_is.sessions), "{turned:?}");
            }
        }
        assert_eq!((as_is.changes.len(), as_is.sessions.len()), (usize::from(is_change), usize::from(!is_change)));
    }
}

#[test]
fn an_event_counts_once() {
    let event = record("iam.amazonaws.com", "DeleteRole", &json!({"requestParameters": {"roleName": "api"}}));
    let other = record(
        "iam.amazonaws.com",
        "DeleteRole",
        &json!({"requestParameters": {"roleName": "web"}, "eventID": "2", "eventTime": "2026-11-03T09:00:00Z"}),
    );
    let mut aggregator = EventAggregator::new(Limits::default());
    let text = json!({ "Records": [event, other, event] }).to_string();
    aggregator.read("a.json", text.as_bytes());
    aggregator.read("b.json", text.as_bytes());
    let first = aggregator.finish_batch(&BTreeMap::new());
    let ids: Vec<&str> = first.changes.iter().map(|change| &*change.event_id).collect();
    assert_eq!(ids, ["2", "6b0f9f5e-0001"]);
    assert_eq!((first.stats.change_events, first.stats.duplicates), (2, 4));
    let mut aggregator = EventAggregator::new(Limits::default());
    aggregator.read("c.json", text.as_bytes());
    assert_eq!(aggregator.finish_batch(&first.fingerprints).changes, []);
}

#[test]
fn an_event_without_a_time_is_named() {
    let aggregated = aggregated(&[record(
        "iam.amazonaws.com",
        "DeleteRole",
        &json!({"eventTime": null, "requestParameters": {"roleName": "api"}}),
    )]);
    assert_eq!(aggregated.changes, []);
    let fields: Vec<&str> = aggregated.problems.iter().map(|problem| &*problem.field).collect();
    assert_eq!((fields, aggregated.stats.malformed), (vec!["/Records/0/eventTime"], 1));
}

#[test]
fn programs_are_told_by_their_user_agents() {
    use AgentClass::{AwsService, Cli, CloudFormation, Console, Controller, Eksctl, Other, Sdk, Terraform};
    let cases = [
        (
            "APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-aws/5.67.0 aws-sdk-go-v2/1.30.5",
            None,
            false,
            Terraform,
        ),
        ("APN/1.0 HashiCorp/1.0 Terraform/1.9.5 aws-sdk-go-v2/1.30.5", None, true, Terraform),
        ("OpenTofu/1.8 aws-sdk-go-v2/1.30", None, false, Terraform),
        ("cloudformation.amazonaws.com", Some("cloudformation.amazonaws.com"), true, CloudFormation),
        ("aws-internal/3", Some("cloudformation.amazonaws.com"), false, CloudFormation),
        ("eksctl/0.190.0 aws-sdk-go-v2/1.30", None, false, Eksctl),
        (
            "aws-sdk-go/1.44.93 (go1.19; linux; amd64) aws-controllers-k8s/eks.services.k8s.aws-1.4.0",
            None,
            false,
            Controller,
        ),
        ("crossplane-provider-aws/v0.49 aws-sdk-go-v2/1.30", None, false, Controller),
        ("upjet-provider-aws/v1.13", None, false, Controller),
        ("aws.cluster.x-k8s.io/v2.6.1 aws-sdk-go/1.55", None, false, Controller),
        ("karpenter.sh-1.0.1 aws-sdk-go/1.55", None, false, Controller),
        ("aws-cli/2.17.0 md/awscrt#0.20.11 ua/2.0 os/linux lang/python", None, false, Cli),
        ("[aws-cli/1.16.1 Python/2.7 Botocore/1.11]", None, false, Cli),
        ("aws-cli/2.17.0 exec-env/CloudShell", None, true, Cli),
        ("AWSPowerShell.Common/4.1.658", None, false, Cli),
        ("console.amazonaws.com", None, false, Console),
        ("Mozilla/5.0 (X11; Linux x86_64)", None, true, Console),
        ("AWS Internal", None, true, Console),
        ("aws-internal/3 aws-sdk-java/1.12", None, true, Console),
        ("signin.amazonaws.com", None, false, Console),
        ("Boto3/1.35.1 md/Botocore#1.35.1", None, false, Sdk),
        ("aws-sdk-go-v2/1.31.7", None, false, Sdk),
        ("aws-sdk-java/2.25.1 Linux/5.10.218", None, false, Sdk),
        ("APN/1.0 Pulumi/1.0 PulumiAWS/6.0 aws-sdk-go-v2/1.30", None, false, Other),
        ("eks.amazonaws.com", Some("eks.amazonaws.com"), false, AwsService),
        ("AWS Internal", Some("AWS Internal"), false, AwsService),
        ("autoscaling.amazonaws.com", None, false, AwsService),
        ("my-tool/1.0", None, false, Other),
        ("", None, false, Other),
        ("\u{0}\u{1f4a9}", None, false, Other),
    ];
    for (user_agent, invoked_by, from_console, expected) in cases {
        let mut changes = json!({"userAgent": user_agent, "requestParameters": {"roleName": "api"}});
        let mut identity = record("", "", &Value::Null)["userIdentity"].clone();
        if let Some(service) = invoked_by {
            identity["invokedBy"] = json!(service);
        }
        changes["userIdentity"] = identity;
        if from_console {
            changes["sessionCredentialFromConsole"] = json!("true");
        }
        let event = one(&record("iam.amazonaws.com", "DeleteRole", &changes));
        assert_eq!(event.agent_class, expected, "{user_agent} {invoked_by:?}");
        assert_eq!(event.agent_class.as_str().parse(), Ok(expected));
        assert_eq!(json!(expected), json!(expected.as_str()));
    }
    let none = one(&record(
        "iam.amazonaws.com",
        "DeleteRole",
        &json!({"userAgent": null, "requestParameters": {"roleName": "api"}}),
    ));
    assert_eq!((none.user_agent, none.agent_class), (None, Other));
    let long = one(&record("iam.amazonaws.com", "DeleteRole", &json!({"userAgent": "é".repeat(2_000)})));
    assert_eq!(long.user_agent.map(|agent| agent.len()), Some(1024));
}
