//! What is offered for a finding names what is there, is fitted to how the policy is attached, and mends it.

use crate::shipped::{RULES, verdicts};
use crate::small::{API, BOUND, OPEN, Small, allow};
use rolecall_audit::access::unused::{Window, covered};
use rolecall_audit::access::usage::{UsageSubject, analyze_usage};
use rolecall_audit::remediation::{Concern, Remediation, remediate};
use rolecall_estate::Used;
use rolecall_iam::Relation;
use rolecall_rules::{Outcome, PLACEHOLDERS, Tool};
use std::collections::BTreeMap;

const NOW: &str = "2026-11-23T00:00:00Z";

/// What is offered for the only failure of a rule.
fn remedy(small: &Small, rule: &str) -> Remediation {
    offered(small, rule, |concern| remediate(concern, &small.0, None, NOW.parse().unwrap()))
}

fn offered<T>(small: &Small, rule: &str, ask: impl Fn(&Concern<'_>) -> T) -> T {
    let failing = verdicts(small, rule).into_iter().find(|it| matches!(it.outcome, Outcome::Fail { .. }));
    let failing = failing.unwrap_or_else(|| panic!("{rule} does not fail"));
    let Outcome::Fail { evidence, .. } = &failing.outcome else { panic!("it fails") };
    ask(&Concern { rule: RULES.rule(rule).unwrap(), subject: &failing.subject, evidence })
}

fn text(remediation: &Remediation, step: usize, tool: Tool) -> &str {
    let snippets = &remediation.steps[step].snippets;
    &snippets.iter().find(|it| it.tool == tool).unwrap().text
}

const EVERYTHING: &str = r#""Action":"*","Resource":"*""#;
const READ: &str = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*"}"#;

#[test]
fn the_command_is_the_one_for_how_the_policy_is_attached() {
    let alone = allow(EVERYTHING);
    let beside = format!(r#"{{"Version":"2012-10-17","Statement":[{READ},{{"Effect":"Allow",{EVERYTHING}}}]}}"#);
    let (own, aws) = ("arn:aws:iam::111122223333:policy/team/all", "arn:aws:iam::aws:policy/AdministratorAccess");
    let bare = || Small::new().role(API, BOUND, &[]);
    for (name, small, command, keeps_reading) in [
        (
            "inline",
            Small::new().role(API, BOUND, &[("all", &alone)]),
            "aws iam delete-role-policy --role-name api --policy-name all",
            false,
        ),
        (
            "inline, beside",
            Small::new().role(API, BOUND, &[("all", &beside)]),
            "aws iam put-role-policy --role-name api --policy-name all --policy-document",
            true,
        ),
        (
            "of the customer",
            bare().managed(own, &alone).attach(own),
            "aws iam detach-role-policy --role-name api --policy-arn arn:aws:iam::111122223333:policy/team/all",
            false,
        ),
        (
            "of the customer, beside",
            bare().managed(own, &beside).attach(own),
            "aws iam create-policy-version --policy-arn arn:aws:iam::111122223333:policy/team/all --policy-document",
            true,
        ),
        (
            "of AWS",
            bare().managed(aws, &beside).attach(aws),
            "aws iam detach-role-policy --role-name api --policy-arn arn:aws:iam::aws:policy/AdministratorAccess",
            false,
        ),
    ] {
        let offered = remedy(&small, "admin-equivalent");
        let proved = offered.verified.as_ref().unwrap_or_else(|| panic!("{name}: {offered:#?}"));
        assert_eq!((proved.relation, proved.gained.is_none()), (Relation::Narrowed, true), "{name}");
        assert!(proved.lost.is_some(), "{name}");
        let cli = text(&offered, 0, Tool::AwsCli);
        assert!(cli.contains(command), "{name}: {cli}");
        let document = offered.steps[0].document.as_deref().unwrap_or_default();
        assert_eq!(
            (document.contains("s3:GetObject"), cli.contains("s3:GetObject")),
            (keeps_reading, keeps_reading),
            "{name}"
        );
        assert!(!document.contains(r#""*""#), "{name}: {document}");
        assert!(offered.snippets.is_empty(), "{name}");
    }
}

#[test]
fn a_trust_policy_gets_the_cluster_that_its_role_is_used_on() {
    let small = Small::new().role(API, OPEN, &[]);
    let offered = remedy(&small, "trust-without-source");
    let document = offered.steps[0].document.as_deref().unwrap();
    assert!(document.contains(r#""aws:SourceArn": "arn:aws:eks:eu-west-1:111122223333:cluster/prod""#), "{document}");
    assert!(document.contains(r#""aws:SourceAccount": "111122223333""#), "{document}");
    assert_eq!(offered.verified.as_ref().unwrap().relation, Relation::Narrowed);
    assert!(text(&offered, 0, Tool::AwsCli).contains("aws iam update-assume-role-policy --role-name api"));
    assert!(text(&offered, 0, Tool::Terraform).contains("assume_role_policy = <<JSON"));
    assert!(text(&offered, 0, Tool::CloudFormation).contains("AssumeRolePolicyDocument"));

    let lacking = OPEN.replace(r#"["sts:AssumeRole","sts:TagSession"]"#, r#""sts:AssumeRole""#);
    let offered = remedy(&Small::new().role(API, &lacking, &[]), "trust-lacks-tag-session");
    let proved = offered.verified.unwrap();
    assert_eq!(proved.relation, Relation::Widened);
    assert_eq!(proved.gained.unwrap().0, "sts:TagSession");
}

#[test]
fn what_is_not_proved_is_left_to_a_person() {
    let everything = allow(EVERYTHING);
    let small = Small::new().role(API, BOUND, &[("all", &everything), ("broken", "{")]);
    let offered = remedy(&small, "admin-equivalent");
    assert_eq!((&offered.verified, &offered.steps[0].document), (&None, &None), "a document cannot be read");
    let cli = text(&offered, 0, Tool::AwsCli);
    assert!(cli.starts_with("aws iam get-role-policy --role-name api --policy-name all"), "{cli}");
    assert!(cli.contains("# edit /Statement/0 of policy.json"), "{cli}");
}

#[test]
fn the_right_size_keeps_what_was_used() {
    let wide = allow(r#""Action":"ecr:*","Resource":"*""#);
    let small = Small::new().role(API, BOUND, &[("wide", &wide)]);
    let role = API.parse().unwrap();
    let mut complete = small.0.memory.complete_ranges.clone();
    complete.iter_mut().for_each(|range| range.all_regions = true);
    let window = Window { days: 5, now: NOW.parse().unwrap(), complete: &complete };
    let used = |action: &str| Used {
        role_arn: API.to_owned(),
        is_own: true,
        action: action.to_owned(),
        calls: 3,
        errors: 0,
        denied: 0,
        first: "2026-11-20T00:00:00Z".parse().unwrap(),
        last: "2026-11-20T00:00:00Z".parse().unwrap(),
    };
    let uses = [used("ecr:DescribeRepositories")];
    let whose = UsageSubject::Role(API.to_owned());
    let report = analyze_usage(&small.0, &whose, &uses, covered(&small.0, &role, window)).unwrap();
    assert!(!report.unused.is_empty(), "{:?}", report.covered);
    let offered =
        offered(&small, "wildcard-action", |concern| remediate(concern, &small.0, Some(&report), NOW.parse().unwrap()));
    let document = offered.steps[0].document.as_deref().unwrap_or_else(|| panic!("{offered:#?}"));
    assert!(document.contains("ecr:DescribeRepositories") && !document.contains("ecr:*"), "{document}");
    assert!(offered.steps[0].title.contains("right-sized"), "{}", offered.steps[0].title);
    assert_eq!(offered.verified.unwrap().relation, Relation::Narrowed);
}

/// Names that AWS or Kubernetes would refuse are quoted all the same: files that people give hold anything.
#[test]
fn no_name_becomes_a_command() {
    let hostile = "a'; $(touch x) `id` \"\n rm -r ~ #";
    let everything = allow(EVERYTHING);
    let mut small = Small::new().role(API, BOUND, &[(hostile, &everything)]);
    small.0.associations.clear();
    let offered = remedy(&small, "admin-equivalent");
    let cli = text(&offered, 0, Tool::AwsCli);
    let quoted = format!("'{}'", hostile.replace('\'', r"'\''"));
    assert_eq!(cli, format!("aws iam delete-role-policy --role-name api --policy-name {quoted}"));
    let terraform = text(&offered, 0, Tool::Terraform);
    assert!(terraform.lines().all(|line| line.starts_with('#')), "{terraform}");
    let variables = r#""Action":"s3:*","Resource":"arn:aws:s3:::${aws:PrincipalTag/team}/%{x}""#;
    let beside = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{variables}}},{{"Effect":"Allow",{EVERYTHING}}}]}}"#
    );
    let offered = remedy(&Small::new().role(API, BOUND, &[("all", &beside)]), "admin-equivalent");
    let terraform = text(&offered, 0, Tool::Terraform);
    assert!(terraform.contains("$${aws:PrincipalTag/team}/%%{x}"), "{terraform}");
}

/// Words in capitals that are not something to fill in.
fn is_a_word_of_aws(word: &str) -> bool {
    const WORDS: [&str; 10] =
        ["ACTION_LEVEL", "IDENTITY_POLICY", "JSON", "EOF", "SAML", "AWS", "EKS", "OIDC", "ARN", "IAM"];
    WORDS.contains(&word)
}

#[test]
fn every_rule_says_what_to_do_and_leaves_nothing_to_fill_in() {
    let values: BTreeMap<&'static str, String> =
        PLACEHOLDERS.iter().map(|(name, _)| (*name, format!("known-{name}"))).collect();
    let mut wrong = Vec::new();
    for rule in RULES.rules() {
        let remediation = &rule.meta().remediation;
        assert!(!remediation.text.trim().is_empty(), "{}", rule.id());
        for (tool, template) in remediation.snippets() {
            for filled in [template.fill(tool, &values), template.fill(tool, &BTreeMap::new())] {
                let words = filled.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let capitals = words.filter(|word| word.len() > 2 && !is_a_word_of_aws(word));
                let capitals: Vec<_> =
                    capitals.filter(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')).collect();
                if !capitals.is_empty() || filled.contains("{{") {
                    wrong.push(format!("{} / {tool}: {capitals:?}\n{filled}", rule.id()));
                }
                let is_kubectl = |line: &str| line.trim_start().starts_with("kubectl ");
                if tool == Tool::AwsCli && filled.lines().any(is_kubectl) {
                    wrong.push(format!("{}: kubectl is labelled as the AWS CLI", rule.id()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let without = RULES.rules().iter().filter(|rule| rule.meta().remediation.snippets().next().is_none());
    let without: Vec<&str> = without.map(|rule| rule.id()).collect();
    let in_words = ["accepted-privileged-access", "change-loosens-organization-policy", "declared-resource-missing"];
    assert_eq!(without, in_words, "rules for which no command makes sense");
}
