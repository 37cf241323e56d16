//! Unused is what was granted and surely not called; everything that could hide a call makes it unknown.

use crate::shipped::RULES;
use crate::small::{API, DATA, HOME, REGION, Small, allow, id};
use chrono::{DateTime, Days, Utc};
use proptest::prelude::*;
use rolecall_audit::access::unused::{UsageReport, Window, covered};
use rolecall_audit::access::usage::{UsageError, UsageSubject, analyze_usage, role_of};
use rolecall_audit::evaluate::evaluate;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{CompleteRange, EventScope, Recorded, Used};
use rolecall_iam::ActionSet;
use rolecall_rules::Outcome;
use std::collections::BTreeSet;

const BUCKET: &str = "trails";

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn ago(days: u64) -> DateTime<Utc> {
    now().checked_sub_days(Days::new(days)).unwrap()
}

fn whole(region: &str) -> CompleteRange {
    CompleteRange {
        source: "bucket".to_owned(),
        account_id: id(HOME),
        region: region.parse().unwrap(),
        from: ago(120),
        to: now(),
        event_scope: EventScope::Bucket(BUCKET.to_owned()),
        all_regions: true,
    }
}

fn used(action: &str, calls: u64, denied: u64) -> Used {
    Used {
        role_arn: API.to_owned(),
        is_own: true,
        action: action.to_owned(),
        calls,
        errors: denied,
        denied,
        first: ago(50),
        last: ago(2),
    }
}

/// What the trail records, where nothing is left out but most data events.
fn everything() -> Recorded {
    Recorded {
        management_reads: true,
        management_writes: true,
        excluded_sources: BTreeSet::new(),
        data: BTreeSet::from(["AWS::S3::Object".to_owned()]),
    }
}

struct Case {
    small: Small,
    uses: Vec<Used>,
    whole: Vec<CompleteRange>,
}

impl Case {
    fn new(actions: &str) -> Self {
        let mut small = Small::new().may(&allow(&format!(r#""Action":[{actions}],"Resource":"*""#)));
        small.0.trails[0].bucket = Some(BUCKET.to_owned());
        small.0.trails[0].recorded = Some(everything());
        Self { small, uses: Vec::new(), whole: vec![whole(REGION)] }
    }

    fn weighed(&self) -> UsageReport {
        self.of(&UsageSubject::Role(API.to_owned())).unwrap()
    }

    fn of(&self, whose: &UsageSubject) -> Result<UsageReport, UsageError> {
        let role = role_of(&self.small.0, whose)?.parse().unwrap();
        let window = covered(&self.small.0, &role, Window { days: 90, now: now(), complete: &self.whole });
        analyze_usage(&self.small.0, whose, &self.uses, window)
    }

    /// `used`, `unused`, or why it is unknown.
    fn verdict(&self, action: &str) -> String {
        verdict(&self.weighed(), action)
    }
}

fn verdict(weighed: &UsageReport, action: &str) -> String {
    let open = weighed.unknown.iter().find(|open| open.actions.contains(action));
    match (weighed.used_set().contains(action), weighed.unused.contains(action), open) {
        (true, false, None) => "used".to_owned(),
        (false, true, None) => "unused".to_owned(),
        (false, false, Some(open)) => open.why.to_string(),
        _ => "not granted".to_owned(),
    }
}

#[test]
fn what_was_granted_and_not_called_is_unused() {
    let mut case = Case::new(r#""s3:GetObject","s3:GetBucketPolicy","ec2:DescribeInstances","sqs:CreateQueue""#);
    case.uses = vec![used("s3:GetObject", 7, 1), used("ec2:DescribeInstances", 1, 0), used("s3:PutObject", 2, 0)];
    assert_eq!(case.verdict("s3:GetObject"), "used");
    assert_eq!(case.verdict("sqs:CreateQueue"), "unused");
    assert_eq!(case.verdict("s3:GetBucketPolicy"), "unused");
    assert_eq!(case.verdict("s3:PutObject"), "not granted");
    let weighed = case.weighed();
    assert_eq!(weighed.used_outside_grants.iter().map(|used| used.action.name).collect::<Vec<_>>(), ["s3:PutObject"]);
    assert!(weighed.used[0].is_certain && weighed.covered.gaps.is_empty() && weighed.unseen.is_empty());
    assert_eq!(weighed.covered.since, "2026-08-22T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
}

#[test]
fn calls_before_the_window_are_no_use() {
    let mut case = Case::new(r#""kms:Decrypt""#);
    case.uses = vec![Used { last: ago(91), first: ago(100), ..used("kms:Decrypt", 3, 0) }];
    assert_eq!(case.verdict("kms:Decrypt"), "unused");
    case.uses[0].last = ago(89);
    assert_eq!(case.verdict("kms:Decrypt"), "used");
}

#[test]
fn what_no_trail_would_show_is_unknown() {
    let case = Case::new(r#""dynamodb:GetItem","iam:PassRole","sts:TagSession","s3:GetObject","logs:PutLogEvents""#);
    for (action, why) in [
        ("dynamodb:GetItem", "data events of AWS::DynamoDB::Table are not recorded"),
        ("iam:PassRole", "never a call of its own"),
        ("logs:PutLogEvents", "AWS does not say"),
        ("sts:TagSession", "nothing is known of where calls of it would show"),
    ] {
        assert!(case.verdict(action).contains(why), "{action}: {}", case.verdict(action));
    }
    assert_eq!(case.verdict("s3:GetObject"), "unused", "data events that are recorded");
}

#[test]
fn selectors_decide_what_a_trail_would_show() {
    let changed = |change: fn(&mut Recorded)| {
        let mut case = Case::new(r#""kms:Decrypt","ec2:DescribeInstances""#);
        let mut recorded = everything();
        change(&mut recorded);
        case.small.0.trails[0].recorded = Some(recorded);
        case
    };
    let left_out = changed(|recorded| recorded.excluded_sources.extend(["kms.amazonaws.com".to_owned()]));
    assert!(left_out.verdict("kms:Decrypt").contains("leaves out the events of kms.amazonaws.com"));
    assert_eq!(left_out.verdict("ec2:DescribeInstances"), "unused");
    let writes = changed(|recorded| recorded.management_reads = false);
    assert!(writes.verdict("ec2:DescribeInstances").contains("both reading and writing"));

    let mut hidden = Case::new(r#""kms:Decrypt""#);
    hidden.small.0.trails[0].recorded = None;
    assert!(hidden.verdict("kms:Decrypt").contains("selectors were not seen"));
    hidden.small.0.trails[0].bucket = Some("another".to_owned());
    assert!(hidden.verdict("kms:Decrypt").contains("no trail was seen to deliver to trails"));
    // Of LookupEvents it is known what it has.
    hidden.small.0.coverage.complete(Scope::global(id(HOME), ScopeKind::Clusters));
    hidden.whole = ["us-east-1", REGION]
        .map(|region| CompleteRange { event_scope: EventScope::Management, all_regions: false, ..whole(region) })
        .to_vec();
    assert_eq!(hidden.verdict("kms:Decrypt"), "unused");
    // A trail of another region does not have these events.
    let mut elsewhere = Case::new(r#""kms:Decrypt""#);
    elsewhere.small.0.trails[0].is_multi_region = false;
    elsewhere.small.0.trails[0].region = "us-west-2".parse().unwrap();
    assert!(elsewhere.verdict("kms:Decrypt").contains("no trail was seen"));
}

#[test]
fn a_window_that_was_not_read_completely_proves_nothing() {
    type Change = fn(&mut Case);
    let cases: [(Change, &str); 7] = [
        (|case| case.whole.clear(), "completeness of the trail"),
        (|case| case.whole[0].from = ago(60), "only from 2026-09-21"),
        (|case| case.whole[0].to = ago(10), "is complete up to 2026-11-10"),
        (|case| case.whole[0].event_scope = EventScope::Sessions, "completeness of the trail"),
        (|case| case.whole[0].account_id = id("444455556666"), "completeness of the trail"),
        // Another region may have calls, where the source would not have shown it.
        (|case| case.whole[0].all_regions = false, "the trail of us-east-1"),
        (
            |case| case.whole.push(CompleteRange { source: "other".to_owned(), from: ago(5), ..whole("eu-north-1") }),
            // That region is known by another source: the first one has it without events.
            "unused",
        ),
    ];
    for (change, why) in cases {
        let mut case = Case::new(r#""kms:Decrypt""#);
        assert_eq!(case.verdict("kms:Decrypt"), "unused");
        change(&mut case);
        assert!(case.verdict("kms:Decrypt").contains(why), "{why}: {}", case.verdict("kms:Decrypt"));
        case.uses = vec![used("kms:Decrypt", 1, 0)];
        assert_eq!(case.verdict("kms:Decrypt"), "used", "what was seen was seen");
    }
}

#[test]
fn calls_that_may_be_anybodys_and_calls_in_vain_prove_nothing() {
    let mut case = Case::new(r#""kms:Decrypt","ec2:RunInstances","iam:PassRole","ec2:StopInstances""#);
    case.uses = vec![
        Used { is_own: false, ..used("kms:Decrypt", 1, 0) },
        used("ec2:RunInstances", 1, 0),
        used("ec2:StopInstances", 2, 2),
        Used { role_arn: DATA.to_owned(), ..used("ec2:StopInstances", 9, 0) },
    ];
    assert!(case.verdict("kms:Decrypt").contains("no workload is known of"));
    assert!(case.verdict("iam:PassRole").contains("ec2:RunInstances may have needed it"));
    assert!(case.verdict("ec2:StopInstances").contains("refused each time"));
}

#[test]
fn pods_act_with_the_target_role_under_the_session_policy() {
    let grants = allow(r#""Action":["s3:GetBucketPolicy","kms:Decrypt"],"Resource":"*""#);
    let mut case = Case::new("");
    case.small = case.small.target(&crate::small::OPEN.replace("pods.eks.amazonaws.com", "ec2.amazonaws.com"));
    case.small = case.small.role(DATA, crate::small::OPEN, &[("own", &grants)]);
    case.small = case.small.session_policy(&allow(r#""Action":"kms:*","Resource":"*""#));
    let key = case.small.0.associations[0].key.clone();
    let weighed = case.of(&UsageSubject::Pods(key.clone())).unwrap();
    assert_eq!(weighed.role_arn.as_str(), DATA);
    assert_eq!(weighed.granted.names(), ["kms:Decrypt"]);
    assert_eq!(weighed.covered.account_id, id("444455556666"), "the calls stand in the role's account");
    assert!(verdict(&weighed, "kms:Decrypt").contains("completeness of the trail"));

    case.small = case.small.gap(ScopeKind::AssociationDetails);
    let weighed = case.of(&UsageSubject::Pods(key.clone())).unwrap();
    assert!(verdict(&weighed, "kms:Decrypt").contains("as they were last seen"));
    let mut undescribed = case.small.clone();
    undescribed.0.associations[0].detail = None;
    case.small = undescribed;
    assert_eq!(
        case.of(&UsageSubject::Pods(key)).unwrap_err(),
        UsageError::NotDescribed(format!("{HOME}/{REGION}/prod/pay/api"))
    );
    assert!(matches!(
        case.of(&UsageSubject::Role("arn:aws:iam::111122223333:role/none".to_owned())),
        Err(UsageError::Role(_))
    ));
}

#[test]
fn unused_ways_to_more_are_named() {
    let mut case = Case::new(r#""iam:CreatePolicyVersion","iam:PutRolePolicy","s3:GetBucketPolicy""#);
    case.uses = vec![used("iam:PutRolePolicy", 1, 0)];
    let weighed = case.weighed();
    let path = weighed.escalation_paths.iter().find(|path| path.unused.contains(&"iam:CreatePolicyVersion"));
    assert!(path.is_none_or(|path| path.found.path.actions().any(|action| action == "iam:CreatePolicyVersion")));
    assert!(weighed.escalation_paths.iter().any(|path| path.unused.is_empty()), "what was used stays open");
    assert!(weighed.unused_at_risk().contains("iam:CreatePolicyVersion"));
    assert!(!weighed.unused_at_risk().contains("s3:GetBucketPolicy"));
}

/// The shipped rule's answer about the role.
fn ruled(case: &Case) -> String {
    let mut small = case.small.clone();
    small.0.memory.at = Some(now());
    small.0.memory.complete_ranges = case.whole.clone();
    small.0.memory.calls.insert(API.to_owned(), case.uses.clone());
    let evaluation = evaluate(&small.0, &RULES, now());
    let found = evaluation.verdicts.iter().find(|v| v.rule == "grants-unused" && v.subject.key.contains("role/api"));
    match &found.unwrap().outcome {
        Outcome::Fail { message, .. } => format!("fail: {message}"),
        Outcome::Unknown { why } => format!("unknown: {}", why.join("; ")),
        Outcome::Pass => "pass".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_rule_tells_grants_that_nobody_used_for_long() {
    let mut case = Case::new(r#""sqs:CreateQueue","sqs:DeleteQueue","sqs:ListQueues""#);
    case.uses = vec![used("sqs:CreateQueue", 7, 0)];
    let told = ruled(&case);
    assert!(told.starts_with("fail: ") && told.ends_with("sqs:DeleteQueue"), "{told}");
    // Reading alone is not told, and what was called lately is used.
    case.uses.push(used("sqs:DeleteQueue", 1, 0));
    assert_eq!(ruled(&case), "pass");
    // The last call was long ago.
    case.uses[1].last = ago(100);
    assert!(ruled(&case).ends_with("sqs:DeleteQueue"), "{}", ruled(&case));
    // The trail does not reach back so far.
    case.whole[0].from = ago(40);
    assert!(ruled(&case).starts_with("unknown: "), "{}", ruled(&case));
    case.uses[1].last = ago(2);
    assert_eq!(ruled(&case), "pass");
    case.whole.clear();
    assert!(ruled(&case).starts_with("unknown: "), "{}", ruled(&case));
}

fn any_use() -> impl Strategy<Value = Used> {
    let action = prop::sample::select(vec![
        "kms:Decrypt",
        "s3:GetObject",
        "s3:GetBucketPolicy",
        "ec2:RunInstances",
        "iam:PassRole",
        "dynamodb:Query",
        "strange.amazonaws.com:Call",
    ]);
    (action, any::<bool>(), 1_u64..5, 0_u64..5, 0_u64..150).prop_map(|(action, is_own, calls, denied, days)| Used {
        is_own,
        first: ago(days + 3),
        last: ago(days),
        ..used(action, calls, denied.min(calls))
    })
}

fn any_whole() -> impl Strategy<Value = CompleteRange> {
    let event_scope = prop_oneof![
        Just(EventScope::Sessions),
        Just(EventScope::Management),
        Just(EventScope::Stated),
        Just(EventScope::Bucket(BUCKET.to_owned())),
    ];
    let region = prop::sample::select(vec![REGION, "us-east-1", "eu-north-1"]);
    (region, event_scope, any::<bool>(), 80_u64..200, 0_u64..6, 0_u8..2).prop_map(
        |(region, event_scope, all, from, to, source)| CompleteRange {
            from: ago(from),
            to: ago(to),
            event_scope,
            all_regions: all,
            source: source.to_string(),
            ..whole(region)
        },
    )
}

proptest! {
    #[test]
    fn every_grant_has_one_verdict_and_seeing_less_proves_less(
        uses in prop::collection::vec(any_use(), 0..8),
        mut wholes in prop::collection::vec(any_whole(), 0..6),
        gone in any::<prop::sample::Index>(),
    ) {
        let mut case = Case::new(
            r#""kms:Decrypt","s3:GetObject","s3:GetBucketPolicy","ec2:RunInstances","iam:PassRole","dynamodb:*""#,
        );
        // A source has one range a region.
        wholes.sort_by(|a, b| (&a.source, &a.region).cmp(&(&b.source, &b.region)));
        wholes.dedup_by(|a, b| (&a.source, &a.region) == (&b.source, &b.region));
        case.uses = uses;
        case.whole = wholes;
        let weighed = case.weighed();
        let sets = [weighed.used_set(), weighed.unused.clone(), weighed.unknown_set()];
        prop_assert_eq!(&ActionSet::union_of(&sets), &weighed.granted);
        prop_assert_eq!(sets.iter().map(ActionSet::len).sum::<usize>(), weighed.granted.len());
        let each: usize = weighed.unknown.iter().map(|open| open.actions.len()).sum();
        prop_assert_eq!(each, weighed.unknown_set().len());

        // What the only source does not say to be complete, and what an unseen role is remembered to have.
        case.whole.clear();
        prop_assert!(case.weighed().unused.is_empty());
        if !case.uses.is_empty() {
            let gone = gone.index(case.uses.len());
            let mut more = case.uses[gone].clone();
            more.denied = 0;
            more.is_own = true;
            more.last = ago(0);
            case.uses.push(more);
        }
        case.small = case.small.gap(ScopeKind::Roles);
        prop_assert!(case.weighed().unused.is_empty());
    }

    #[test]
    fn one_call_more_never_makes_anything_unused(
        uses in prop::collection::vec(any_use(), 0..8),
        one in any_use(),
    ) {
        let mut case = Case::new(r#""kms:Decrypt","s3:GetObject","s3:GetBucketPolicy","ec2:RunInstances","iam:PassRole""#);
        case.uses = uses;
        let before = case.weighed().unused;
        case.uses.push(one);
        prop_assert!(before.includes(&case.weighed().unused));
    }
}
