//! One cause, one finding: what is listed under what, and that nothing is resolved by it.

use crate::policies;
use crate::shipped::RULES;
use crate::small::{API, Small, allow};
use chrono::{DateTime, Utc};
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::finding::{Detection, Failure, FindingAction, KnownFinding, Workflow, reconcile};
use rolecall_audit::verdict::Fingerprint;
use rolecall_rules::{RuleSet, Severity, SubjectKind};
use std::collections::BTreeMap;

fn now() -> DateTime<Utc> {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

fn failures(small: &Small, rules: &RuleSet, known: &[KnownFinding]) -> (Vec<Failure>, Vec<FindingAction>) {
    let actions = reconcile(known, &evaluate(&small.0, rules, now()), rules, &small.0);
    let failing = actions.iter().filter_map(|action| match action {
        FindingAction::Open(failure) | FindingAction::Reopen(failure) | FindingAction::Refresh { failure, .. } => {
            Some(failure.clone())
        }
        FindingAction::Resolve { .. } | FindingAction::MarkStale { .. } => None,
    });
    (failing.collect(), actions)
}

/// Each failing rule of the API role with the rule under whose finding it is listed.
fn listed(small: &Small, rules: &RuleSet) -> BTreeMap<String, Option<String>> {
    let (failing, _) = failures(small, rules, &[]);
    let rule_of: BTreeMap<&Fingerprint, &str> = failing.iter().map(|f| (&f.fingerprint, f.rule.as_str())).collect();
    let own = failing.iter().filter(|failure| failure.subject.key == API);
    own.map(|f| (f.rule.clone(), f.part_of.as_ref().map(|head| rule_of[head].to_owned()))).collect()
}

fn under<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> BTreeMap<String, Option<String>> {
    pairs.into_iter().map(|(rule, head)| (rule.to_owned(), head.map(str::to_owned))).collect()
}

const ADMIN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

#[test]
fn of_an_administrator_one_finding_is_listed_and_the_others_under_it() {
    let expected = under([
        ("admin-equivalent", None),
        ("decrypts-with-every-key", Some("admin-equivalent")),
        ("pass-role-any", Some("admin-equivalent")),
        ("reads-every-bucket", Some("admin-equivalent")),
        ("reads-every-parameter", Some("admin-equivalent")),
        ("reads-every-secret", Some("admin-equivalent")),
        ("reads-every-table", Some("admin-equivalent")),
        ("wildcard-action", Some("admin-equivalent")),
        ("wildcard-resource", Some("admin-equivalent")),
    ]);
    assert_eq!(listed(&Small::new().may(ADMIN), &RULES), expected);
    // A statement of its own that the administrator's does not share is part of it all the same.
    let two = Small::new().role(
        API,
        crate::small::BOUND,
        &[("all", ADMIN), ("more", &allow(r#""Action":"s3:*","Resource":"*""#))],
    );
    let heads: Vec<_> = listed(&two, &RULES).into_values().flatten().collect();
    assert!(heads.iter().all(|head| head == "admin-equivalent"), "{heads:?}");
}

#[test]
fn what_rules_say_of_one_statement_is_listed_under_the_gravest() {
    let secrets = allow(r#""Action":"secretsmanager:*","Resource":"*""#);
    let expected = under([
        ("reads-every-secret", None),
        ("wildcard-action", Some("reads-every-secret")),
        ("wildcard-resource", Some("reads-every-secret")),
    ]);
    assert_eq!(listed(&Small::new().may(&secrets), &RULES), expected);
}

#[test]
fn a_finding_that_rests_on_another_statement_too_is_listed_by_itself() {
    let two = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"},
        {"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}"#;
    let expected = under([
        ("reads-every-secret", None),
        ("wildcard-action", None),
        ("wildcard-resource", Some("wildcard-action")),
    ]);
    assert_eq!(listed(&Small::new().may(two), &RULES), expected);
}

#[test]
fn what_keeps_pods_from_working_is_listed_beside_what_endangers_them() {
    let broken = |category: &str| {
        with(&format!(
            "apiVersion: rolecall/v1\nkind: Rule\nmetadata: {{id: broken, title: t, severity: low, category: {category}, \
             description: d, risk: r, remediation: {{text: x}}}}\nspec: {{subject: role, match: \
             'role.permissions.wildcard_actions.exists(g, true)', message: \"'m'\", evidence: \
             'role.permissions.wildcard_actions.map(g, g.evidence)'}}\n"
        ))
    };
    let secrets = Small::new().may(&allow(r#""Action":"secretsmanager:*","Resource":"*""#));
    let under = |category: &str| listed(&secrets, &broken(category))["broken"].clone();
    assert_eq!(under("least-privilege"), Some("reads-every-secret".to_owned()));
    assert_eq!(under("availability"), None);
}

#[test]
fn the_next_is_listed_once_the_gravest_passes_and_nothing_is_resolved_by_folding() {
    let both = allow(r#""Action":"secretsmanager:*","Resource":"*""#);
    let (first, actions) = failures(&Small::new().may(&both), &RULES, &[]);
    assert!(actions.iter().all(|action| matches!(action, FindingAction::Open(_))));
    let known: Vec<KnownFinding> = first
        .iter()
        .map(|failure| KnownFinding {
            fingerprint: failure.fingerprint.clone(),
            rule: failure.rule.clone(),
            subject: failure.subject.clone(),
            detection: Detection::Active,
            workflow: Workflow::Open,
            evidence_digest: failure.evidence_digest,
            severity: failure.severity,
            message: failure.message.clone(),
            assumptions: failure.assumptions.clone(),
            happened_at: failure.happened_at,
            suppressed: false,
            owner: None,
        })
        .collect();
    // The same again: all stay, none is resolved.
    let (again, actions) = failures(&Small::new().may(&both), &RULES, &known);
    assert_eq!(again.len(), first.len());
    assert!(
        actions.iter().all(|action| matches!(action, FindingAction::Refresh { changed: false, .. })),
        "{actions:#?}"
    );
    // Reading is denied: the gravest passes, and the next one is listed by itself.
    let denied = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"},
        {"Effect":"Deny","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;
    let (left, actions) = failures(&Small::new().may(denied), &RULES, &known);
    let resolved = actions.iter().filter(|action| matches!(action, FindingAction::Resolve { .. })).count();
    assert_eq!(resolved, 1);
    let heads: Vec<&str> = left.iter().filter(|f| f.part_of.is_none()).map(|f| f.rule.as_str()).collect();
    assert_eq!(heads, ["wildcard-action"]);
}

fn with(more: &str) -> RuleSet {
    let mut files = policies::files("builtin");
    files.push(rolecall_rules::SourceFile { path: "more.yaml".to_owned(), text: more.to_owned() });
    policies::load(&files)
}

#[test]
fn what_an_exception_accepts_hides_nothing() {
    let rules = with(
        "apiVersion: rolecall/v1\nkind: Exception\nmetadata: {name: x}\nspec:\n  rules: [reads-every-secret]\n  owner: o\n  \
         reason: r\n  since: 2026-11-01\n  expires: 2026-12-01\n",
    );
    let secrets = Small::new().may(&allow(r#""Action":"secretsmanager:*","Resource":"*""#));
    let expected = under([
        ("reads-every-secret", None),
        ("wildcard-action", None),
        ("wildcard-resource", Some("wildcard-action")),
    ]);
    assert_eq!(listed(&secrets, &rules), expected);
}

#[test]
fn an_administrator_that_is_meant_is_listed_as_accepted_until_its_review() {
    let binding = |date: &str| {
        with(&format!(
            "apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: ci}}\nspec:\n  rules: [accepted-privileged-access]\n  \
             params: {{accepted: {{\"{API}\": {date}}}}}\n"
        ))
    };
    let admin = Small::new().may(ADMIN);
    let severities = |rules: &RuleSet| -> Vec<(String, Severity)> {
        let listed = failures(&admin, rules, &[]).0.into_iter().filter(|f| f.part_of.is_none());
        listed.map(|f| (f.rule, f.severity)).collect()
    };
    assert_eq!(severities(&binding("2027-06-01")), [("accepted-privileged-access".to_owned(), Severity::Info)]);
    assert_eq!(severities(&binding("2026-12-01")), [("accepted-privileged-access".to_owned(), Severity::Low)]);
    // Its review is overdue: it is an administrator like any other.
    assert_eq!(severities(&binding("2026-11-22")), [("admin-equivalent".to_owned(), Severity::Critical)]);
}

#[test]
fn one_fingerprint_is_never_listed_under_itself_or_under_another_subject() {
    let evaluation = evaluate(&Small::new().may(ADMIN).0, &RULES, now());
    let (failing, _) = failures(&Small::new().may(ADMIN), &RULES, &[]);
    let by_fingerprint: BTreeMap<&Fingerprint, &Failure> = failing.iter().map(|f| (&f.fingerprint, f)).collect();
    assert!(!evaluation.listed_under.is_empty());
    for (member, head) in &evaluation.listed_under {
        let (member, head) = (by_fingerprint[member], by_fingerprint[head]);
        assert_eq!((member.subject.kind, &member.subject.key), (SubjectKind::Role, &head.subject.key));
        assert_ne!(member.fingerprint, head.fingerprint);
        assert!(head.severity >= member.severity, "{} under {}", member.rule, head.rule);
    }
}

#[test]
fn rules_cannot_be_listed_under_what_is_not_there_or_under_themselves() {
    let rule = |id: &str, subject: &str, part_of: &str| {
        format!(
            "apiVersion: rolecall/v1\nkind: Rule\nmetadata: {{id: {id}, title: t, severity: low, category: c, description: d, \
             risk: r, remediation: {{text: x}}}}\nspec: {{subject: {subject}, match: 'true', message: \"'m'\", part_of: [{part_of}]}}\n"
        )
    };
    let load = |texts: &[String]| {
        let file = rolecall_rules::SourceFile { path: "x.yaml".to_owned(), text: texts.join("---\n") };
        RuleSet::load(&[file], rolecall_audit::facts::schema()).map_err(|errors| errors[0].to_string())
    };
    for (texts, expected) in [
        (vec![rule("a", "role", "b")], "there is no rule `b`"),
        (vec![rule("a", "role", "a")], "`a` would be listed under itself"),
        (vec![rule("a", "role", "b"), rule("b", "role", "a")], "`a` would be listed under itself"),
        (vec![rule("a", "role", "b"), rule("b", "cluster", "")], "`b` is about a cluster, and this rule about a role"),
    ] {
        let error = load(&texts).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(load(&[rule("a", "role", "b"), rule("b", "role", "")]).is_ok());
}
