//! Reading data, privileges that nobody uses, and severities by who gets to a role.

use crate::policies;
use crate::shipped::{check, verdicts};
use crate::small::{API, AWAY, BOUND, HOME, REGION, Small, allow};
use chrono::{DateTime, Utc};
use rolecall_audit::evaluate::evaluate;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{ResourceKind, RoleLastUsed};
use rolecall_rules::{Outcome, Severity, SourceFile};

const JOB: &str = "arn:aws:iam::111122223333:role/job";

fn trusting(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{principal}}}]}}"#
    )
}

/// A role that no association names.
fn job(trust: &str, policy: &str) -> Small {
    Small::new().role(JOB, trust, &[("p", policy)])
}

fn lambda() -> String {
    trusting(r#"{"Service":"lambda.amazonaws.com"}"#)
}

/// The severity of the rule's only failure, with what it follows from.
fn severity(small: &Small, rule: &str) -> (Severity, String) {
    let failing: Vec<_> =
        verdicts(small, rule).into_iter().filter(|v| matches!(v.outcome, Outcome::Fail { .. })).collect();
    assert_eq!(failing.len(), 1, "{rule}: {failing:#?}");
    (failing[0].severity, failing[0].severity_because.clone().unwrap_or_default())
}

#[test]
fn data_rules_fail_pass_and_know_when_they_cannot_know() {
    for (rule, action, named) in [
        (
            "reads-every-secret",
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:pay/*",
        ),
        ("reads-every-parameter", "ssm:GetParametersByPath", "arn:aws:ssm:eu-west-1:111122223333:parameter/pay/*"),
        ("reads-every-bucket", "s3:GetObject", "arn:aws:s3:::pay/*"),
        ("reads-every-table", "dynamodb:Scan", "arn:aws:dynamodb:eu-west-1:111122223333:table/pay"),
        (
            "decrypts-with-every-key",
            "kms:Decrypt",
            "arn:aws:kms:eu-west-1:111122223333:key/498124c2-a555-40bf-9059-ca9a26821eb0",
        ),
    ] {
        let on = |resource: &str, more: &str| allow(&format!(r#""Action":"{action}","Resource":"{resource}"{more}"#));
        let every = || Small::new().may(&on("*", ""));
        let service = action.split(':').next().unwrap();
        let limit = on(named, "");
        let tagged = on("*", r#","Condition":{"StringEquals":{"aws:ResourceTag/team":"pay"}}"#);
        let from_vpc = on("*", r#","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#);
        let deny = |resource: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"{service}:*","Resource":"{resource}"}}]}}"#
            )
        };
        let boundary = "arn:aws:iam::111122223333:policy/limit";
        let no_list = allow(&format!(r#""Action":"{service}:List*","Resource":"*""#));
        let (whole, part) = (deny("*"), deny(named));
        check(
            rule,
            &[
                ("every one", every(), "F"),
                ("by a wildcard", Small::new().may(&allow(&format!(r#""Action":"{service}:*","Resource":"*""#))), "F"),
                ("by all but others", Small::new().may(&allow(r#""NotAction":"iam:*","Resource":"*""#)), "F"),
                ("named ones", Small::new().may(&limit), "P"),
                ("only listing", Small::new().may(&no_list), "P"),
                ("under a tag of the resource", Small::new().may(&tagged), "P"),
                ("from a network", Small::new().may(&from_vpc), "F"),
                ("denied", Small::new().role(API, BOUND, &[("a", &on("*", "")), ("d", &whole)]), "P"),
                ("denied in part", Small::new().role(API, BOUND, &[("a", &on("*", "")), ("d", &part)]), "F"),
                ("under a boundary", every().managed(boundary, &limit).boundary(boundary), "P"),
                ("under a boundary that was not seen", every().boundary(boundary), "U"),
                ("under an SCP", every().scp("d", &whole, &["ou-1"]), "P"),
                ("with SCPs not seen", every().gap(ScopeKind::OrgPolicies), "U"),
                ("with roles not seen", every().gap(ScopeKind::Roles), "U"),
            ],
        );
    }
}

#[test]
fn a_batch_of_secrets_is_no_access_to_secrets() {
    let batch = allow(r#""Action":"secretsmanager:BatchGetSecretValue","Resource":"*""#);
    check("reads-every-secret", &[("batch", Small::new().may(&batch), "P")]);
}

fn sensitive(small: &Small, pattern: &str) -> Vec<(String, Severity)> {
    let mut files = policies::files("builtin");
    let binding = format!(
        "apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: s}}\nspec:\n  rules: [reads-sensitive-data]\n  params: {{critical: ['{pattern}']}}\n"
    );
    files.push(SourceFile { path: "s.yaml".to_owned(), text: binding });
    let now: DateTime<Utc> = "2026-11-23T00:00:00Z".parse().unwrap();
    let mut verdicts = evaluate(&small.0, &policies::load(&files), now).verdicts;
    verdicts.retain(|v| v.rule == "reads-sensitive-data" && v.subject.key == API);
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Fail { .. } => "F",
        Outcome::Pass => "P",
        Outcome::Unknown { .. } => "U",
        Outcome::Error { .. } => "E",
        Outcome::NotApplicable => "N",
    };
    verdicts.iter().map(|v| (letter(&v.outcome).to_owned(), v.severity)).collect()
}

#[test]
fn a_role_that_a_cut_listing_shows_is_judged() {
    let reader = Small::new().may(&allow(r#""Action":"s3:GetObject","Resource":"*""#));
    let found = [("F".to_owned(), Severity::Critical)];
    assert_eq!(sensitive(&reader.clone().cut(ScopeKind::Roles), "arn:aws:s3:::payroll/*"), found);
    let mut remembered = reader.cut(ScopeKind::Roles);
    remembered.0.unconfirmed.add(ResourceKind::Role, HOME.parse().unwrap(), API);
    // Nothing of it fails, so the severity is the rule's own.
    assert_eq!(sensitive(&remembered, "arn:aws:s3:::payroll/*"), [("U".to_owned(), Severity::Medium)]);
}

#[test]
fn data_that_a_binding_names_is_found_wherever_a_statement_meets_it() {
    let s3 = |resource: &str| Small::new().may(&allow(&format!(r#""Action":"s3:GetObject","Resource":"{resource}""#)));
    let found = [("F".to_owned(), Severity::Critical)];
    for (resource, pattern) in [
        ("*", "arn:aws:s3:::payroll/*"),
        ("arn:aws:s3:::payroll/2026/*", "arn:aws:s3:::payroll/*"),
        ("arn:aws:s3:::pay*/*", "arn:aws:s3:::payroll/*"),
        ("arn:aws:s3:::payroll/2026/may.csv", "arn:aws:s3:::*/2026/*"),
    ] {
        assert_eq!(sensitive(&s3(resource), pattern), found, "{resource} {pattern}");
    }
    let letter = |small: &Small, pattern: &str| sensitive(small, pattern)[0].0.clone();
    assert_eq!(letter(&s3("arn:aws:s3:::orders/*"), "arn:aws:s3:::payroll/*"), "P");
    let put = Small::new().may(&allow(r#""Action":"s3:PutObject","Resource":"*""#));
    assert_eq!(letter(&put, "arn:aws:s3:::payroll/*"), "P", "writing is not reading");
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::payroll/*"}]}"#;
    let read = allow(r#""Action":"s3:GetObject","Resource":"*""#);
    let denied = Small::new().role(API, BOUND, &[("a", &read), ("d", deny)]);
    assert_eq!(letter(&denied, "arn:aws:s3:::payroll/*"), "P", "a Deny takes it away");
    assert_eq!(letter(&s3("*").gap(ScopeKind::OrgPolicies), "arn:aws:s3:::payroll/*"), "U");
    assert_eq!(letter(&s3("*"), "payroll"), "E", "no ARN: the rule says so");
}

#[test]
fn severity_follows_who_gets_to_the_role() {
    let secrets = allow(r#""Action":"secretsmanager:GetSecretValue","Resource":"*""#);
    let rule = "reads-every-secret";
    let (pods, because) = severity(&Small::new().may(&secrets), rule);
    assert_eq!((pods, because.as_str()), (Severity::High, "who gets to the role: pods of pay/api on prod"));
    let (service, because) = severity(&job(&lambda(), &secrets), rule);
    assert_eq!(service, Severity::Low);
    assert!(because.ends_with("the service lambda.amazonaws.com"), "{because}");
    let account = trusting(&format!(r#"{{"AWS":"arn:aws:iam::{HOME}:root"}}"#));
    assert_eq!(severity(&job(&account, &secrets), rule).0, Severity::Medium, "users and roles of the account");
    let anyone = trusting(r#"{"AWS":"*"}"#);
    assert_eq!(severity(&job(&anyone, &secrets), rule).0, Severity::High, "outsiders");
    // Pods may get to a role that lets them in where associations were not seen; a service's alone not.
    let pods = trusting(r#"{"Service":"pods.eks.amazonaws.com"}"#);
    let unseen = |trust: &str| severity(&job(trust, &secrets).gap(ScopeKind::Associations), rule);
    let (open, because) = unseen(&pods);
    assert_eq!(open, Severity::Medium);
    assert!(because.contains("unknown"), "{because}");
    assert_eq!(unseen(&lambda()).0, Severity::Low);
}

#[test]
fn pods_get_to_the_roles_that_theirs_may_assume() {
    let secrets = allow(r#""Action":"secretsmanager:GetSecretValue","Resource":"*""#);
    let hop = allow(&format!(r#""Action":"sts:AssumeRole","Resource":"{JOB}""#));
    let from = trusting(&format!(r#"{{"AWS":"{API}"}}"#));
    let chained = || Small::new().may(&hop).role(JOB, &from, &[("p", &secrets)]);
    let (found, because) = severity(&chained(), "reads-every-secret");
    assert_eq!(found, Severity::High);
    assert!(because.contains("pods by other roles"), "{because}");
    let alone = Small::new().role(JOB, &lambda(), &[("p", &secrets)]).may(&hop);
    assert_eq!(severity(&alone, "reads-every-secret").0, Severity::Low, "its trust policy keeps them out");
}

#[test]
fn an_administrator_is_critical_where_pods_or_outsiders_get_to_it() {
    let admin = allow(r#""Action":"*","Resource":"*""#);
    let rule = "admin-equivalent";
    assert_eq!(severity(&Small::new().may(&admin), rule).0, Severity::Critical);
    assert_eq!(severity(&job(&lambda(), &admin), rule).0, Severity::Medium);
    let nobody =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRole","Principal":"*"}]}"#;
    assert_eq!(severity(&job(nobody, &admin), rule).0, Severity::Low);
    let other = trusting(&format!(r#"{{"AWS":"arn:aws:iam::{AWAY}:root"}}"#));
    assert_eq!(severity(&job(&other, &admin), rule).0, Severity::High, "an account of the organisation");
}

#[test]
fn wildcards_rank_by_what_they_reach() {
    let rule = "wildcard-action";
    let of = |rest: &str| severity(&Small::new().may(&allow(rest)), rule);
    let queue = of(r#""Action":"sqs:*","Resource":"arn:aws:sqs:eu-west-1:111122223333:orders""#);
    assert_eq!(queue, (Severity::Low, "the statements name their resources".to_owned()));
    let s3 = of(r#""Action":"s3:*","Resource":"*""#);
    assert_eq!(s3.0, Severity::High);
    assert!(s3.1.contains("pods of pay/api"), "{}", s3.1);
    assert_eq!(of(r#""Action":"sqs:*","Resource":"*""#).0, Severity::Medium);
    assert_eq!(
        of(r#""Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#).0,
        Severity::Medium
    );
    assert_eq!(severity(&job(&lambda(), &allow(r#""Action":"s3:*","Resource":"*""#)), rule).0, Severity::Low);
    assert_eq!(of(r#""Action":"brandnew:*","Resource":"*""#).0, Severity::Medium, "what the catalogue does not have");
}

fn used(mut small: Small, role: &str, at: &str) -> Small {
    small.0.last_used.push(RoleLastUsed {
        role: role.parse().unwrap(),
        at: at.parse().unwrap(),
        region: Some(REGION.parse().unwrap()),
    });
    small
}

#[test]
fn privileges_that_nobody_uses_are_found_on_roles_of_any_kind() {
    let writes = || job(&lambda(), &allow(r#""Action":["ec2:*","rds:*"],"Resource":"*""#));
    let plain = || job(&lambda(), &allow(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#));
    check(
        "privileged-role-unused",
        &[
            ("whole services, unused for 200 days", used(writes(), JOB, "2026-05-01T00:00:00Z"), "F"),
            ("used last week", used(writes(), JOB, "2026-11-18T00:00:00Z"), "P"),
            ("no privileges", used(plain(), JOB, "2026-05-01T00:00:00Z"), "P"),
            ("last use not seen", writes(), "U"),
            (
                "associations not seen",
                used(writes(), JOB, "2026-05-01T00:00:00Z").gap(ScopeKind::Associations).gap(ScopeKind::Clusters),
                // The role that lets pods in may have an association; the other can have none.
                "UF",
            ),
            ("no last use where others have one", used(writes(), API, "2026-11-18T00:00:00Z"), "F"),
        ],
    );
    let found = severity(&used(writes(), JOB, "2026-05-01T00:00:00Z"), "privileged-role-unused");
    assert_eq!(found.0, Severity::Medium);
}

#[test]
fn access_that_aws_makes_is_accepted_where_only_the_organisation_gets_in() {
    let mut files = policies::files("builtin");
    files.extend(policies::files("bindings"));
    let rules = policies::load(&files);
    let now: DateTime<Utc> = "2026-11-23T00:00:00Z".parse().unwrap();
    let admin = allow(r#""Action":"*","Resource":"*""#);
    let heads = |arn: &str, trust: &str| -> Vec<(String, Severity)> {
        let mut small = Small::new().role(arn, trust, &[("p", &admin)]);
        small.0.accounts[1].is_management = true;
        let actions = rolecall_audit::finding::reconcile(&[], &evaluate(&small.0, &rules, now), &rules, &small.0);
        let failing = actions.into_iter().filter_map(|action| match action {
            rolecall_audit::finding::FindingAction::Open(failure) => Some(failure),
            _ => None,
        });
        let failing = failing.filter(|f| f.subject.key == arn && f.part_of.is_none());
        failing.map(|f| (f.rule, f.severity)).collect()
    };
    let accepted = [("accepted-privileged-access".to_owned(), Severity::Info)];
    let management = trusting(&format!(r#"{{"AWS":"arn:aws:iam::{AWAY}:root"}}"#));
    let saml = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRoleWithSAML","sts:TagSession"],
        "Principal":{"Federated":"arn:aws:iam::111122223333:saml-provider/AWSSSO_1_DO_NOT_DELETE"},
        "Condition":{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}}]}"#;
    let access = "arn:aws:iam::111122223333:role/OrganizationAccountAccessRole";
    let sso = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1a2b3c";
    assert_eq!(heads(access, &management), accepted);
    assert_eq!(heads(sso, saml), accepted);
    let outside_caller = trusting(r#"{"AWS":"arn:aws:iam::909090909091:root"}"#);
    let open = heads(access, &outside_caller);
    assert!(
        open.iter().any(|(rule, severity)| rule == "admin-equivalent" && *severity == Severity::Critical),
        "{open:?}"
    );
    let other = heads("arn:aws:iam::111122223333:role/ops", &management);
    assert_eq!(other, [("admin-equivalent".to_owned(), Severity::High)]);
}

#[test]
fn session_policies_that_sts_refuses_are_named() {
    let of = |resource: &str| {
        Small::new().session_policy(&allow(&format!(r#""Action":"s3:GetObject","Resource":"{resource}""#)))
    };
    let long = format!("arn:aws:s3:::{}", "b".repeat(2_100));
    let principal =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}]}"#;
    check(
        "session-policy-refused",
        &[
            ("in order", of("arn:aws:s3:::orders/*"), "P"),
            ("none", Small::new(), "P"),
            ("a part of an ARN", of("arn:aws:s3"), "F"),
            ("no ARN", of("orders"), "F"),
            ("too long", of(&long), "F"),
            ("a principal", Small::new().session_policy(principal), "F"),
            ("not described", of("arn:aws:s3").gap(ScopeKind::AssociationDetails), "U"),
        ],
    );
}
