//! Faults, as the SDK classifies them.

use crate::support::{HUB, MEMBER, config, hub, sandbox};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use rolecall_sandbox::{Fault, FaultKind, Sandbox};
use std::time::{Duration, Instant};

const DETAILS: &str = "iam:GetAccountAuthorizationDetails";

#[tokio::test]
async fn a_denied_action_is_refused_in_each_service_s_own_words() {
    let sandbox = sandbox().await;
    let config = hub(&sandbox).await;
    sandbox.faults().deny("iam:*");
    sandbox.faults().deny("eks:ListClusters");
    sandbox.faults().deny("cloudtrail:LookupEvents");
    sandbox.faults().deny("organizations:ListRoots");
    sandbox.faults().deny_in("sts:AssumeRole", MEMBER);
    let iam = aws_sdk_iam::Client::new(&config).get_role().role_name("r0").send().await.unwrap_err();
    assert_eq!((iam.code(), iam.raw_response().unwrap().status().as_u16()), (Some("AccessDenied"), 403));
    let words = "is not authorized to perform: iam:GetRole on resource: * because no identity-based policy allows the iam:GetRole action";
    assert!(iam.message().unwrap().ends_with(words));
    let client = aws_sdk_eks::Client::new(&config);
    let eks = client.list_clusters().send().await.unwrap_err();
    assert_eq!((eks.code(), eks.raw_response().unwrap().status().as_u16()), (Some("AccessDeniedException"), 403));
    assert!(client.describe_cluster().name("main").send().await.is_ok(), "another action is not refused");
    let trail = aws_sdk_cloudtrail::Client::new(&config).lookup_events().send().await.unwrap_err();
    assert_eq!((trail.code(), trail.raw_response().unwrap().status().as_u16()), (Some("AccessDeniedException"), 400));
    let organisation = aws_sdk_organizations::Client::new(&config).list_roots().send().await.unwrap_err();
    assert!(organisation.into_service_error().is_access_denied_exception());
    let sts = aws_sdk_sts::Client::new(&config);
    for (account, refused) in [(MEMBER, true), (HUB, false)] {
        let arn = format!("arn:aws:iam::{account}:role/RolecallReadOnly");
        assert_eq!(sts.assume_role().role_arn(arn).role_session_name("x-1").send().await.is_err(), refused);
    }
    sandbox.faults().clear();
    assert!(client.list_clusters().send().await.is_ok());
}

#[tokio::test]
async fn the_sdk_retries_a_throttled_call_and_a_failed_one() {
    let sandbox = sandbox().await;
    let retry =
        aws_config::retry::RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let config = hub(&sandbox).await.to_builder().retry_config(retry).build();
    for kind in [FaultKind::Throttle, FaultKind::Fail, FaultKind::DropConnection] {
        sandbox.reset_calls();
        sandbox.faults().inject(Fault::new(kind.clone(), "*").times(2));
        let answer = aws_sdk_iam::Client::new(&config).get_role().role_name("r0").send().await;
        assert!(answer.is_ok(), "{kind:?} {answer:?}");
        assert_eq!(sandbox.calls().of("iam:GetRole"), 3, "{kind:?}");
        sandbox.faults().inject(Fault::new(kind.clone(), "*").times(2));
        let answer = aws_sdk_eks::Client::new(&config).list_clusters().send().await;
        assert!(answer.is_ok(), "{kind:?} {answer:?}");
        sandbox.faults().inject(Fault::new(kind.clone(), "*").times(2));
        let answer = aws_sdk_organizations::Client::new(&config).list_roots().send().await;
        assert!(answer.is_ok(), "{kind:?} {answer:?}");
    }
    assert_eq!(sandbox.calls().total(), 9);
}

#[tokio::test]
async fn pages_shrink_and_a_broken_listing_ends_in_an_error() {
    let sandbox = sandbox().await;
    let config = hub(&sandbox).await;
    let iam = aws_sdk_iam::Client::new(&config);
    sandbox.faults().inject(Fault::page_size("*", 2));
    let pages: Vec<_> = iam.get_account_authorization_details().into_paginator().send().try_collect().await.unwrap();
    assert_eq!(pages.len(), 3);
    sandbox.faults().clear();
    sandbox.faults().inject(Fault::new(FaultKind::BreakPaging, "*"));
    let mut pages = iam.get_account_authorization_details().into_paginator().send();
    assert!(pages.next().await.unwrap().is_ok());
    assert_eq!(pages.next().await.unwrap().unwrap_err().code(), Some("ValidationError"));
    let mut pages = aws_sdk_eks::Client::new(&config).list_clusters().into_paginator().send();
    assert!(pages.next().await.unwrap().is_ok());
    assert!(pages.next().await.unwrap().is_err());
    let mut pages = aws_sdk_cloudtrail::Client::new(&config).lookup_events().into_paginator().send();
    assert!(pages.next().await.unwrap().is_ok());
    assert!(pages.next().await.unwrap().unwrap_err().into_service_error().is_invalid_next_token_exception());
    let mut pages = aws_sdk_organizations::Client::new(&config).list_accounts().into_paginator().send();
    assert!(pages.next().await.unwrap().is_ok());
    assert!(pages.next().await.unwrap().is_err());
}

#[tokio::test]
async fn malformed_answers_do_not_parse_and_malformed_documents_do_not_either() {
    let sandbox = sandbox().await;
    let config = hub(&sandbox).await;
    let (iam, eks) = (aws_sdk_iam::Client::new(&config), aws_sdk_eks::Client::new(&config));
    let id = sandbox.faults().inject(Fault::new(FaultKind::MalformedBody, "*"));
    let broken = iam.get_account_authorization_details().send().await.unwrap_err();
    assert!(broken.raw_response().is_some_and(|r| r.status().is_success()), "{broken:?}");
    assert!(eks.list_clusters().send().await.is_err());
    sandbox.faults().remove(id);
    let id = sandbox.faults().inject(Fault::new(FaultKind::CutBody, "*"));
    assert!(eks.list_clusters().send().await.is_err());
    // The SDK reads XML leniently: what is missing is only missing.
    let cut = iam.get_account_authorization_details().send().await;
    assert!(cut.is_ok_and(|page| page.role_detail_list().len() < 5 && page.policies.is_none()));
    sandbox.faults().remove(id);
    sandbox.faults().inject(Fault::new(FaultKind::MalformedPolicy, DETAILS));
    let page = iam.get_account_authorization_details().send().await.unwrap();
    let document = page.role_detail_list()[0].assume_role_policy_document().unwrap();
    let text = percent_encoding::percent_decode_str(document).decode_utf8().unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{text}");
    assert_eq!(page.role_detail_list().len(), 5);
}

#[tokio::test]
async fn a_connection_can_be_dropped_and_an_answer_delayed() {
    let sandbox = sandbox().await;
    let eks = aws_sdk_eks::Client::new(&config(&sandbox, &Sandbox::access_key(MEMBER), None).await);
    sandbox.faults().inject(Fault::new(FaultKind::DropConnection, "eks:*").times(1));
    let dropped = eks.list_clusters().send().await.unwrap_err();
    assert!(matches!(dropped, SdkError::DispatchFailure(_)), "{dropped:?}");
    let by = Duration::from_millis(80);
    sandbox.faults().inject(Fault::latency("eks:*", by).times(1));
    let before = Instant::now();
    assert!(eks.list_clusters().send().await.unwrap().clusters().is_empty());
    assert!(before.elapsed() >= by);
    sandbox.faults().inject(Fault::new(FaultKind::ExpiredToken, "eks:*"));
    assert_eq!(eks.list_clusters().send().await.unwrap_err().code(), Some("ExpiredTokenException"));
}
