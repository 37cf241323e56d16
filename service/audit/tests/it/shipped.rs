//! Every rule that ships, over whole estates: when it fails, when it passes though it looks bad, and
//! when it cannot know.

use crate::policies;
use crate::small::{API, AWAY, BOUND, DATA, HOME, OPEN, Small, UUID, allow};
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::verdict::Verdict;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{AccessEntry, AccessPolicy, SessionKind};
use rolecall_rules::{Outcome, RuleSet, SourceFile};
use std::sync::LazyLock;

pub(crate) static RULES: LazyLock<RuleSet> = LazyLock::new(policies::builtin);

/// Verdicts of a rule, in a fixed order.
pub(crate) fn verdicts(small: &Small, rule: &str) -> Vec<Verdict> {
    let now = "2026-11-23T00:00:00Z".parse().unwrap();
    let mut verdicts = evaluate(&small.0, &RULES, now).verdicts;
    verdicts.retain(|verdict| verdict.rule == rule);
    assert!(!verdicts.is_empty(), "{rule} judged nothing");
    verdicts
}

/// One letter for each verdict that is not "not applicable".
fn letters(small: &Small, rule: &str) -> String {
    let letter = |verdict: &Verdict| match verdict.outcome {
        Outcome::Fail { .. } => Some('F'),
        Outcome::Pass => Some('P'),
        Outcome::Unknown { .. } => Some('U'),
        Outcome::Error { .. } => Some('E'),
        Outcome::NotApplicable => None,
    };
    verdicts(small, rule).iter().filter_map(letter).collect()
}

/// What a rule says about an estate in which at most one subject matters to it.
pub(crate) fn check(rule: &str, cases: &[(&str, Small, &str)]) {
    for (name, small, expected) in cases {
        assert_eq!(letters(small, rule), *expected, "{rule}: {name}: {:#?}", verdicts(small, rule));
    }
}

fn small() -> Small {
    Small::new()
}

#[test]
fn the_documentation_says_of_each_rule_how_its_verdicts_are_reached() {
    let page = include_str!("../../../../docs/verdicts.md");
    let missing: Vec<&str> =
        RULES.rules().iter().map(|rule| rule.id()).filter(|id| !page.contains(&format!("`{id}`"))).collect();
    assert!(missing.is_empty(), "docs/verdicts.md does not name {missing:?}");
}

const ADMIN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const S3_STAR: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
const LIMIT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::orders/*"}]}"#;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
const BROKEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}"#;

#[test]
fn nothing_is_wrong_with_the_small_estate() {
    let now = "2026-11-23T00:00:00Z".parse().unwrap();
    let evaluation = evaluate(&small().0, &RULES, now);
    let wrong: Vec<_> =
        evaluation.verdicts.iter().filter(|v| !matches!(v.outcome, Outcome::Pass | Outcome::NotApplicable)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(evaluation.tallies.iter().all(|tally| tally.unknown == 0), "{:#?}", evaluation.tallies);
}

#[test]
fn permission_rules_fail_pass_and_know_when_they_cannot_know() {
    let writes = allow(r#""Action":"sqs:SendMessage","Resource":"*""#);
    let not_action = allow(r#""NotAction":"iam:*","Resource":"*""#);
    let pass_role = allow(r#""Action":"iam:PassRole","Resource":"*""#);
    for (rule, policy) in [
        ("wildcard-action", S3_STAR),
        ("admin-equivalent", ADMIN),
        ("wildcard-resource", &writes),
        ("not-action-allow", &not_action),
        ("pass-role-any", &pass_role),
    ] {
        let bad = || small().may(policy);
        let mut linked = small().role(
            "arn:aws:iam::111122223333:role/aws-service-role/eks.amazonaws.com/R",
            BOUND,
            &[("p", policy)],
        );
        linked.0.associations.clear();
        let boundary = "arn:aws:iam::111122223333:policy/limit";
        let denied = small().role(API, BOUND, &[("own", policy), ("deny", DENY)]);
        check(
            rule,
            &[
                ("a grant", bad(), "F"),
                ("a named action on named resources", small(), "P"),
                ("under a boundary", bad().managed(boundary, LIMIT).boundary(boundary), "P"),
                ("under a boundary that was not seen", bad().boundary(boundary), "U"),
                ("under a Deny", denied, "P"),
                ("under an SCP", bad().scp("deny", DENY, &["ou-1"]), "P"),
                ("under an SCP of another OU", bad().scp("deny", DENY, &["ou-2"]), "F"),
                ("under a session policy", bad().session_policy(LIMIT), "P"),
                ("under session policies not all seen", bad().session_policy(LIMIT).gap(ScopeKind::Associations), "U"),
                (
                    "beside a document that cannot be read",
                    small().role(API, BOUND, &[("a", policy), ("b", BROKEN)]),
                    "F",
                ),
                ("of a document that cannot be read", small().role(API, BOUND, &[("b", BROKEN)]), "U"),
                ("with roles not seen", bad().gap(ScopeKind::Roles), "U"),
                ("with SCPs not seen", bad().gap(ScopeKind::OrgPolicies), "U"),
                ("of a service-linked role", linked, "P"),
            ],
        );
    }
}

#[test]
fn a_session_policy_narrows_a_role_only_where_nobody_else_can_assume_it() {
    let two = small().may(S3_STAR).association("pay", "batch", API).session_policy(LIMIT);
    assert_eq!(letters(&two, "wildcard-action"), "F", "the second association has no session policy");
    let shared = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],
        "Principal":{"Service":["pods.eks.amazonaws.com","ec2.amazonaws.com"]}}]}"#;
    let small = small().role(API, shared, &[("own", S3_STAR)]).session_policy(LIMIT);
    assert_eq!(letters(&small, "wildcard-action"), "F", "EC2 does not go through the association");
    // What AWS's own policy grants is no fault, and beside it stands what nobody could read.
    let aws = "arn:aws:iam::aws:policy/AmazonEKSLoadBalancingPolicy";
    let own = |policy: &str| self::small().role(API, BOUND, &[("own", policy)]).managed(aws, S3_STAR).attach(aws);
    for (policy, expected) in [(S3_STAR, "F"), (LIMIT, "P"), (BROKEN, "U")] {
        assert_eq!(letters(&own(policy), "wildcard-action"), expected, "{policy}");
        assert_eq!(letters(&own(policy).session_policy(S3_STAR), "wildcard-action"), expected, "{policy}");
    }
}

#[test]
fn what_the_catalogue_does_not_list_is_told_too() {
    let message = |policy: &str| {
        let verdicts = verdicts(&small().may(policy), "wildcard-resource");
        let fails = verdicts
            .into_iter()
            .find_map(|v| if let Outcome::Fail { message, .. } = v.outcome { Some(message) } else { None });
        fails.unwrap()
    };
    let new = message(&allow(r#""Action":["brandnew:*","brandnew:GetThing"],"Resource":"*""#));
    assert!(new.contains("by brandnew:* of"), "{new}");
    let but = message(&allow(r#""NotAction":"iam:*","Resource":"*""#));
    assert!(but.contains("by everything but iam:* of"), "{but}");
}

#[test]
fn look_alikes_of_broad_grants_pass() {
    let tagged = allow(
        r#""Action":"ec2:DeleteVolume","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"csi"}}"#,
    );
    let no_resources = allow(r#""Action":["s3:ListAllMyBuckets","ec2:DescribeInstances"],"Resource":"*""#);
    let to_ecs = allow(
        r#""Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}"#,
    );
    let named = allow(r#""Action":"iam:PassRole","Resource":"arn:aws:iam::111122223333:role/task""#);
    let service_policy = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy";
    let deletes = allow(r#""Action":"ec2:CreateSnapshot","Resource":"*""#);
    check(
        "wildcard-resource",
        &[
            ("tied by a condition", small().may(&tagged), "P"),
            ("actions that take no resource", small().may(&no_resources), "P"),
            ("what AWS wrote for its add-on", small().managed(service_policy, &deletes).attach(service_policy), "P"),
        ],
    );
    check("pass-role-any", &[("to one service", small().may(&to_ecs), "P"), ("one role", small().may(&named), "P")]);
}

#[test]
fn trust_rules_go_by_what_the_policy_lets_through() {
    let tags = |condition: &str| {
        allow(&format!(
            r#""Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{condition}"#
        ))
    };
    let by_tag = tags(r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay"}}"#);
    let by_org = tags(r#"{"StringEquals":{"aws:SourceOrgID":"${aws:ResourceOrgID}"}}"#);
    let any_tag = tags(r#"{"StringLike":{"aws:RequestTag/kubernetes-namespace":"*"}}"#);
    let if_tagged = tags(r#"{"StringEqualsIfExists":{"aws:RequestTag/kubernetes-namespace":"pay"}}"#);
    let only_tagging = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"},
        {"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:TagSession",
         "Condition":{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay"}}}]}"#;
    check(
        "trust-without-source",
        &[
            ("no condition", small().trust(OPEN), "F"),
            ("a wildcard", small().trust(&any_tag), "F"),
            ("tags only where they are sent", small().trust(&if_tagged), "F"),
            ("a condition on tagging alone", small().trust(only_tagging), "F"),
            ("a source", small().trust(BOUND), "P"),
            ("a tag", small().trust(&by_tag), "P"),
            ("the organisation", small().trust(&by_org), "P"),
            ("not readable", small().trust(BROKEN), "U"),
            ("not seen", small().trust(OPEN).gap(ScopeKind::Roles), "U"),
        ],
    );

    let untagged = allow(r#""Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole""#);
    let off = |small: Small| small.detail(|detail| detail.disable_session_tags = true);
    check(
        "trust-lacks-tag-session",
        &[
            ("tags on", small().trust(&untagged), "F"),
            ("tags off", off(small().trust(&untagged)), ""),
            ("both actions", small().trust(OPEN), "P"),
            ("not readable", small().trust(BROKEN), "U"),
            ("not described", small().trust(&untagged).gap(ScopeKind::AssociationDetails), "U"),
        ],
    );

    let principal =
        |who: &str, rest: &str| allow(&format!(r#""Principal":{{"AWS":"{who}"}},"Action":"sts:AssumeRole"{rest}"#));
    let my_org = r#","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#;
    check(
        "trust-admits-outsider",
        &[
            ("anyone", small().trust(&principal("*", "")), "F"),
            (
                "anyone with an external id",
                small().trust(&principal("*", r#","Condition":{"StringEquals":{"sts:ExternalId":"x"}}"#)),
                "F",
            ),
            ("anyone of the organisation", small().trust(&principal("*", my_org)), "P"),
            ("a stranger", small().trust(&principal("999988887777", "")), "F"),
            ("an account of the estate", small().trust(&principal(AWAY, "")), "P"),
            (
                "a outside_caller, where the organisation was not seen",
                small().trust(&principal("999988887777", "")).gap(ScopeKind::Organization),
                "U",
            ),
            ("not readable", small().trust(BROKEN), "U"),
        ],
    );
}

#[test]
fn a_hop_is_limited_by_external_id_or_session_tags() {
    let hop = |rest: &str| {
        allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":["sts:AssumeRole","sts:TagSession"]{rest}"#))
    };
    let external = hop(r#","Condition":{"StringEquals":{"sts:ExternalId":"eu-west-1/111122223333/prod/pay/api"}}"#);
    let tagged = hop(r#","Condition":{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay"}}"#);
    let principal_tagged = hop(r#","Condition":{"StringEquals":{"aws:PrincipalTag/kubernetes-namespace":"pay"}}"#);
    let far = |small: Small| small.detail(|d| d.target_role_arn = Some("arn:aws:iam::999988887777:role/x".to_owned()));
    check(
        "target-role-without-external-id",
        &[
            ("no limit", small().target(&hop("")), "F"),
            ("an external id", small().target(&external), "P"),
            ("request tags", small().target(&tagged), "P"),
            ("principal tags", small().target(&principal_tagged), "P"),
            ("no target", small(), ""),
            ("a target outside the estate", far(small()), "U"),
            ("roles not seen", small().target(&hop("")).gap(ScopeKind::Roles), "U"),
        ],
    );

    let untagged = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":"sts:AssumeRole""#));
    let other = allow(&format!(r#""Principal":{{"AWS":"arn:aws:iam::{HOME}:role/other"}},"Action":"sts:AssumeRole""#));
    let silent = small().target(&hop("")).may(&allow(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::x/*""#));
    check(
        "chained-hop-not-allowed",
        &[
            ("an open way", small().target(&hop("")), "P"),
            ("transitive tags refused", small().target(&untagged), "F"),
            ("another role is meant", small().target(&other), "F"),
            ("the association role may not", silent, "F"),
            ("no target", small(), ""),
            ("roles not seen", small().target(&hop("")).gap(ScopeKind::Roles), "U"),
        ],
    );
}

#[test]
fn association_rules() {
    let pointing = |arn: &str| small().detail(|detail| detail.role_arn = arn.to_owned());
    check(
        "association-role-missing",
        &[
            ("a role that was deleted", pointing("arn:aws:iam::111122223333:role/gone"), "F"),
            ("a role that is there", small(), "P"),
            ("roles not seen", pointing("arn:aws:iam::111122223333:role/gone").gap(ScopeKind::Roles), "U"),
            ("another account", pointing("arn:aws:iam::999988887777:role/gone"), "U"),
        ],
    );
    check(
        "default-service-account",
        &[
            ("default", small().association("pay", "default", API), "PF"),
            ("its own", small(), "P"),
            ("not listed", small().gap(ScopeKind::Associations), "U"),
        ],
    );
    check(
        "role-shared-across-namespaces",
        &[
            ("two namespaces", small().association("order", "api", API), "F"),
            ("one namespace", small().association("pay", "batch", API), "P"),
            ("one seen", small().gap(ScopeKind::Associations), "U"),
            ("two seen", small().association("order", "api", API).cut(ScopeKind::Clusters), "F"),
            ("two remembered", small().association("order", "api", API).gap(ScopeKind::Clusters), "U"),
        ],
    );
    check(
        "unreadable-session-policy",
        &[
            ("broken", small().session_policy(BROKEN), "F"),
            ("none", small(), "P"),
            ("not described", small().session_policy(BROKEN).gap(ScopeKind::AssociationDetails), "U"),
        ],
    );
    check(
        "unreadable-policy-document",
        &[
            ("a broken inline policy", small().may(BROKEN), "F"),
            ("a broken trust policy", small().trust(BROKEN), "F"),
            ("readable", small(), "P"),
            ("not seen", small().may(BROKEN).gap(ScopeKind::Roles), "U"),
        ],
    );
}

#[test]
fn a_trust_policy_that_refuses_its_own_association_says_why() {
    let when = |condition: &str| {
        allow(&format!(
            r#""Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{condition}"#
        ))
    };
    let by_association = when(r#"{"ArnLike":{"aws:SourceArn":"arn:aws:eks:*:*:podidentityassociation/*"}}"#);
    let other_namespace = when(r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"order"}}"#);
    let own_namespace = when(r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay"}}"#);
    let ec2 = allow(r#""Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole""#);
    let off = |small: Small| small.detail(|detail| detail.disable_session_tags = true);
    check(
        "trust-blocks-association",
        &[
            ("another namespace", small().trust(&other_namespace), "F"),
            ("another service", small().trust(&ec2), "F"),
            ("its own namespace", small().trust(&own_namespace), "P"),
            ("another source is another finding", small().trust(&by_association), "P"),
            ("not seen", small().trust(&other_namespace).gap(ScopeKind::Roles), "U"),
        ],
    );
    check(
        "trust-source-arn-association",
        &[
            ("the association's ARN", small().trust(&by_association), "F"),
            ("the cluster's ARN", small(), "P"),
            ("not seen", small().trust(&by_association).gap(ScopeKind::Roles), "U"),
        ],
    );
    check(
        "tag-conditions-while-tags-disabled",
        &[
            ("a trust that needs tags", off(small().trust(&own_namespace)), "F"),
            ("a trust that does not", off(small()), "P"),
            ("tags on", small().trust(&own_namespace), ""),
            ("not described", off(small()).gap(ScopeKind::AssociationDetails), "U"),
        ],
    );
}

#[test]
fn session_tags_as_permissions_name_the_cluster_and_nobody_else_may_set_them() {
    let by = |tags: &str| {
        allow(&format!(
            r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::x/*","Condition":{{"StringEquals":{{{tags}}}}}"#
        ))
    };
    let namespace = by(r#""aws:PrincipalTag/kubernetes-namespace":"pay""#);
    let both = by(r#""aws:PrincipalTag/kubernetes-namespace":"pay","aws:PrincipalTag/eks-cluster-arn":"arn:x""#);
    let variable =
        allow(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::x/${aws:PrincipalTag/kubernetes-namespace}/*""#);
    check(
        "abac-without-cluster-tag",
        &[
            ("a namespace alone", small().role(API, OPEN, &[("own", &namespace)]), "F"),
            ("a namespace as a variable", small().role(API, OPEN, &[("own", &variable)]), "F"),
            ("with its cluster", small().role(API, OPEN, &[("own", &both)]), "P"),
            ("the trust policy names the cluster", small().may(&namespace), ""),
            ("not readable", small().role(API, OPEN, &[("own", BROKEN)]), "U"),
        ],
    );
    let also = |who: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],
            "Principal":{{"Service":"pods.eks.amazonaws.com","AWS":"{who}"}}}}]}}"#
        )
    };
    check(
        "pod-tags-forgeable",
        &[
            (
                "another role may tag",
                small().role(API, &also("arn:aws:iam::111122223333:role/ci"), &[("own", &both)]),
                "F",
            ),
            ("EKS alone", small().role(API, OPEN, &[("own", &both)]), "P"),
            ("the trust policy is not readable", small().role(API, BROKEN, &[("own", &both)]), "U"),
        ],
    );
    let target = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":["sts:AssumeRole","sts:TagSession"]"#));
    let hop = small().target(&target).role(DATA, &target, &[("own", &both)]);
    check("pod-tags-forgeable", &[("an association role hands on its own tags", hop, "P")]);
}

#[test]
fn cluster_and_account_rules() {
    let mut bare = small();
    bare.0.clusters[0].addons = Some(Vec::new());
    let mut auto = bare.clone();
    auto.0.clusters[0].auto_mode = Some(true);
    check(
        "agent-addon-missing",
        &[
            ("no add-on", bare.clone(), "F"),
            ("Auto Mode", auto, "P"),
            ("the add-on", small(), "P"),
            ("add-ons not seen", bare.gap(ScopeKind::Addons), "U"),
        ],
    );
    let entry = |principal: &str, policy: &str, namespaces: &[&str]| AccessEntry {
        principal_arn: principal.to_owned(),
        groups: Vec::new(),
        kind: Some("STANDARD".to_owned()),
        policies: vec![AccessPolicy {
            arn: format!("arn:aws:eks::aws:cluster-access-policy/{policy}"),
            namespaces: namespaces.iter().map(ToString::to_string).collect(),
        }],
    };
    let entered = |entry: AccessEntry| {
        let mut small = small().association("pay", "default", API);
        small.0.clusters[0].access_entries = Some(vec![entry]);
        small
    };
    let admin = "AmazonEKSClusterAdminPolicy";
    let workload = entered(entry(API, admin, &[]));
    check(
        "access-entry-cluster-admin",
        &[
            ("a workload's role", workload.clone(), "F"),
            ("within a namespace", entered(entry(API, admin, &["pay"])), ""),
            ("another policy", entered(entry(API, "AmazonEKSViewPolicy", &[])), ""),
            ("a user", entered(entry("arn:aws:iam::111122223333:user/ada", admin, &[])), "P"),
            ("entries not seen", workload.clone().gap(ScopeKind::AccessEntries), "U"),
            ("entries cut", workload.cut(ScopeKind::AccessEntries), "U"),
        ],
    );
    let mut silent = small();
    silent.0.trails.clear();
    let mut hidden = small();
    hidden.0.trails[0].records_read_only_management = None;
    check(
        "trail-misses-read-only-events",
        &[
            ("no trail", silent.clone(), "F"),
            ("a trail", small(), "P"),
            ("a trail that cannot be read from here", hidden, "U"),
            ("trails not seen", silent.gap(ScopeKind::Trails), "U"),
        ],
    );
}

#[test]
fn session_rules() {
    let pods = |name: &str, tags: &[(&str, &str)]| {
        small().session(SessionKind::PodIdentity, "pods.eks.amazonaws.com", name, tags)
    };
    let good = format!("eks-prod-api-7d9f6c-{UUID}");
    let tags =
        [("eks-cluster-name", "prod"), ("kubernetes-namespace", "pay"), ("kubernetes-pod-name", "api-7d9f6c5b8-x2x9z")];
    let other = [("eks-cluster-name", "dev"), ("kubernetes-pod-name", "api-7d9f6c5b8-x2x9z")];
    check(
        "session-name-grammar",
        &[
            ("the grammar", pods(&good, &tags), "P"),
            ("another name", pods("api", &[]), "F"),
            ("another cluster's tags", pods(&good, &other), "F"),
            (
                "a role of pods, run by hand",
                small().session(SessionKind::AssumeRole, "arn:aws:iam::111122223333:user/eve", "by-hand", &[]),
                "F",
            ),
            ("not all seen", pods(&good, &tags).gap(ScopeKind::Sessions), "U"),
            ("a recorded session stays recorded", pods("api", &[]).gap(ScopeKind::Sessions), "F"),
        ],
    );

    let user = "arn:aws:iam::111122223333:user/eve";
    let role_session = "arn:aws:sts::111122223333:assumed-role/api/eks-prod-api-7d9f6c-x";
    let hop = |principal: &str| {
        let trust = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":"sts:AssumeRole""#));
        let mut hop = small().target(&trust).session(SessionKind::AssumeRole, principal, &good, &[]);
        hop.0.sessions[0].role_arn = Some(DATA.to_owned());
        hop
    };
    let mut by_service = hop(user);
    by_service.0.sessions[0].source_ip = Some("pods.eks.amazonaws.com".to_owned());
    let assume = |name: &str| small().session(SessionKind::AssumeRole, user, name, &[]);
    check(
        "session-name-imitation",
        &[
            ("a user under a pod's name", assume(&good), "F"),
            ("a user under its own name", assume("eve"), "P"),
            ("EKS itself", pods(&good, &tags), ""),
            ("the hop of an association", hop(role_session), "P"),
            ("the hop as EKS makes it", by_service, "P"),
            ("somebody else into the target role", hop(user), "F"),
            ("not all seen", assume("eve").gap(ScopeKind::Sessions), "U"),
        ],
    );
}

#[test]
fn a_namespace_has_the_convention_that_a_binding_gives_it() {
    let mut files = policies::files("builtin");
    files.push(SourceFile {
        path: "convention.yaml".to_owned(),
        text: "apiVersion: rolecall/v1\nkind: Binding\nmetadata: {name: convention}\nspec:\n  rules: [session-name-convention]\n  params: {patterns: {pay: '^eks-prod-api'}}\n".to_owned(),
    });
    let rules = policies::load(&files);
    let now = "2026-11-23T00:00:00Z".parse().unwrap();
    let judge = |small: Small| {
        let evaluation = evaluate(&small.0, &rules, now);
        let mut own = evaluation.verdicts.into_iter().filter(|v| v.rule == "session-name-convention");
        own.next().unwrap().outcome
    };
    let session = |pod: &str, tags: &[(&str, &str)]| {
        small().session(SessionKind::PodIdentity, "pods.eks.amazonaws.com", &format!("eks-prod-{pod}-{UUID}"), tags)
    };
    assert_eq!(judge(session("api-1", &[("kubernetes-namespace", "pay")])), Outcome::Pass);
    assert_eq!(judge(session("api-1", &[])), Outcome::Pass, "the only association tells the namespace");
    assert!(matches!(judge(session("batch-1", &[])), Outcome::Fail { .. }));
    assert_eq!(judge(session("batch-1", &[("kubernetes-namespace", "order")])), Outcome::NotApplicable);
    let unseen = session("api-1", &[]).gap(ScopeKind::Sessions);
    assert!(matches!(judge(unseen), Outcome::Unknown { .. }));
}

#[test]
fn ten_thousand_sessions_of_one_kind_are_one_subject() {
    let mut many = small();
    for n in 0..10_000 {
        let name = format!("eks-prod-api-{:05}-{UUID}", n % 7);
        many =
            many.session(SessionKind::PodIdentity, "pods.eks.amazonaws.com", &name, &[("kubernetes-namespace", "pay")]);
    }
    assert_eq!(verdicts(&many, "session-name-grammar").len(), 1);
}

#[test]
fn evidence_names_the_statement_and_where_it_stands() {
    let small = small().role(API, BOUND, &[("first", LIMIT), ("second", S3_STAR)]);
    let verdict = verdicts(&small, "wildcard-action").remove(0);
    let Outcome::Fail { message, evidence, .. } = verdict.outcome else { panic!("{verdict:?}") };
    assert_eq!(message, "role api allows s3:* by inline policy second");
    let [one] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert_eq!((one.source.as_str(), one.pointer.as_str()), ("inline policy second", "/Statement/0"));
    assert_eq!(one.value["Action"], "s3:*");
    assert!(small.0.documents.get(&one.document.unwrap()).is_some());
}
