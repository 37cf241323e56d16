//! Tuning by place, and exceptions with an end.

use super::{Role, at, load, rule_text, subject};
use rolecall_rules::{Judgement, Object, RuleSet, Severity, Subject};
use std::sync::Arc;

const SPEC: &str = "subject: association\nparams:\n  limit: {type: int, default: 1, min: 0, max: 50}\n  names: {type: list(string), default: []}\nmatch: association.uses.size() >= params.limit && !(association.name in params.names)\nmessage: \"'m'\"";

fn binding(name: &str, spec: &str) -> String {
    format!("apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

fn exception(name: &str, spec: &str) -> String {
    format!("apiVersion: rolecall/v1\nkind: Exception\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

fn set(more: &[String]) -> Result<RuleSet, Vec<String>> {
    let mut all = vec![rule_text("a-rule", SPEC)];
    if more.iter().any(|text| text.contains("role-rule")) {
        all.push(rule_text("role-rule", "subject: role\nmatch: role.admin\nmessage: \"'m'\""));
    }
    all.extend_from_slice(more);
    load(&all)
}

fn judged(set: &RuleSet, subject: &Subject, ou: Option<&str>, now: &str) -> Option<Judgement> {
    let object: Arc<dyn Object> = Arc::new(Role::default());
    set.rules()[0].judge(&object, subject, ou, at(now).into())
}

fn limit(judgement: &Judgement) -> (String, String) {
    let param = &judgement.params["limit"];
    (param.value.to_string(), param.origin.clone())
}

#[test]
fn the_more_specific_binding_wins_key_by_key() {
    let all = [
        binding("of-namespace", "{rules: [a-rule], select: {namespaces: ['pay-*']}, params: {limit: 6}}"),
        binding("of-org", "{rules: ['*'], select: {ou: /}, params: {limit: 2, names: [x]}, severity: low}"),
        binding("of-ou", "{rules: ['category:blast-radius'], select: {ou: /work/**}, params: {limit: 3}}"),
        binding("of-deeper-ou", "{rules: [a-rule], select: {ou: /work/prod}, params: {limit: 4}, severity: critical}"),
        binding("of-account", "{rules: [a-rule], select: {accounts: [111122223333]}, params: {limit: 5}}"),
    ];
    let other = Subject { account_id: "000000000001".parse().unwrap(), ..subject() };
    let in_namespace = Subject { namespace: Some("pay-eu".to_owned()), ..other.clone() };
    // The order of the documents does not matter.
    for turn in 0..all.len() {
        let mut all = all.to_vec();
        all.rotate_left(turn);
        let set = set(&all).unwrap();
        for (subject, ou, expect, severity, binding) in [
            (&other, "/", "2", Severity::Low, "of-org"),
            (&other, "/work/dev", "3", Severity::Low, "of-ou"),
            (&other, "/work/prod", "4", Severity::Critical, "of-deeper-ou"),
            (&other, "/work/prod/eu", "3", Severity::Low, "of-ou"),
            (&subject(), "/work/prod", "5", Severity::Critical, "of-account"),
            (&in_namespace, "/work/prod", "6", Severity::Critical, "of-namespace"),
        ] {
            let judgement = judged(&set, subject, Some(ou), "2026-06-01T00:00:00Z").unwrap();
            let (value, origin) = limit(&judgement);
            assert_eq!((value.as_str(), judgement.severity), (expect, severity), "{ou}");
            assert!(origin.starts_with(&format!("binding `{binding}` (rules.yaml:")), "{origin}");
            assert_eq!(judgement.params["names"].value.to_string(), r#"["x"]"#);
        }
    }
}

#[test]
fn without_a_binding_the_defaults_hold_and_say_so() {
    let set = set(&[]).unwrap();
    let judgement = judged(&set, &subject(), None, "2026-06-01T00:00:00Z").unwrap();
    assert_eq!(limit(&judgement), ("1".to_owned(), "rule default".to_owned()));
    assert_eq!(judgement.severity, Severity::High);
}

#[test]
fn a_binding_changes_the_answer_and_can_switch_off() {
    let set =
        set(&[binding("lax", "{rules: [a-rule], select: {accounts: ['111122223333']}, params: {limit: 0}}")]).unwrap();
    let outcome =
        |subject: &Subject| format!("{:?}", judged(&set, subject, None, "2026-06-01T00:00:00Z").unwrap().outcomes[0]);
    assert!(outcome(&subject()).starts_with("Fail"));
    assert_eq!(outcome(&Subject { account_id: "000000000001".parse().unwrap(), ..subject() }), "Pass");

    let set = super::bindings::set(&[binding("off", "{rules: ['*'], enabled: false}")]).unwrap();
    assert_eq!(judged(&set, &subject(), None, "2026-06-01T00:00:00Z"), None);
    assert!(!set.rules()[0].is_enabled(&subject(), None));
}

#[test]
fn an_ou_that_was_not_seen_makes_a_tuned_rule_unknown() {
    let set = set(&[binding("by-ou", "{rules: [a-rule], select: {ou: /work/**}, params: {limit: 9}}")]).unwrap();
    let judgement = judged(&set, &subject(), None, "2026-06-01T00:00:00Z").unwrap();
    assert_eq!(
        format!("{:?}", judgement.outcomes),
        r#"[Unknown { why: ["the account's OU was not seen, and binding `by-ou` (rules.yaml:19) depends on it"] }]"#
    );
    let elsewhere = set.rules()[0].is_enabled(&subject(), Some("/"));
    assert!(elsewhere);
}

#[test]
fn bindings_that_do_not_hold_together_are_refused() {
    let account = "accounts: [111122223333]";
    for (bindings, message) in [
        (
            vec![
                binding("one", &format!("{{rules: [a-rule], select: {{{account}}}, params: {{limit: 2}}}}")),
                binding("two", &format!("{{rules: ['*'], select: {{{account}}}, params: {{limit: 3}}}}")),
            ],
            "spec.params.limit: disagrees with binding `one` (rules.yaml:19) on `params.limit` of rule `a-rule`, and neither is more specific",
        ),
        (
            vec![
                binding("one", "{rules: [a-rule], select: {clusters: ['dev-*']}, severity: low}"),
                binding("two", "{rules: [a-rule], select: {clusters: ['*-eu']}, severity: medium}"),
            ],
            "spec.severity: disagrees with binding `one`",
        ),
        (
            vec![
                binding("floor", "{rules: [a-rule], params: {limit: 2}, locked: true}"),
                binding("two", "{rules: [a-rule], select: {namespaces: [x]}, params: {limit: 3}}"),
            ],
            "spec.params.limit: changes `params.limit` of rule `a-rule`, which binding `floor` (rules.yaml:19) locks; leave it out, or unlock it there",
        ),
        (
            vec![binding("one", "{rules: [b-rule], severity: low}")],
            "spec.rules: no rule is selected by `b-rule`; did you mean `a-rule`?",
        ),
        (
            vec![binding("one", "{rules: ['category:blast'], severity: low}")],
            "spec.rules: no rule is selected by `category:blast`; did you mean `category:blast-radius`?",
        ),
        (
            vec![binding("one", "{rules: [a-rule], params: {limt: 3}}")],
            "spec.params: no selected rule has a parameter `limt`; did you mean `limit`?",
        ),
        (
            vec![binding("one", "{rules: [a-rule], params: {limit: 51}}")],
            "spec.params.limit: 51 is more than 50, the limit of `limit`",
        ),
        (
            vec![binding("one", "{rules: [a-rule], params: {limit: x}}")],
            "spec.params.limit: int is needed, text is given",
        ),
        (
            vec![binding("one", "{rules: [role-rule], select: {namespaces: [x]}, severity: low}")],
            "spec.select.namespaces: it selects by namespaces, and the rules are about what is in none: role",
        ),
        (vec![binding("one", "{rules: [a-rule]}")], "spec: the binding changes nothing"),
        (vec![binding("one", "{rules: [], severity: low}")], "spec.rules: no rule is named"),
        (
            vec![binding("one", "{rules: [a-rule], select: {ou: work}, severity: low}")],
            "spec.select.ou: `work` is not an OU path",
        ),
        (
            vec![binding("one", "{rules: [a-rule], select: {accounts: [12]}, severity: low}")],
            "spec.select.accounts: `12` is not an account id",
        ),
        (
            vec![binding("one", "{rules: [a-rule], select: {cluster: [x]}, severity: low}")],
            "spec.select: no field `cluster` is known here; did you mean `clusters`?",
        ),
        (
            vec![
                binding("one", "{rules: [a-rule], severity: low}"),
                binding("one", "{rules: [a-rule], severity: low}"),
            ],
            "metadata.name: there is a binding `one` already, at rules.yaml:19",
        ),
    ] {
        let errors = set(&bindings).expect_err(message);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(message), "{errors:?}");
    }
}

#[test]
fn bindings_that_cannot_meet_or_agree_are_fine() {
    for bindings in [
        [
            binding("one", "{rules: [a-rule], select: {accounts: [111122223333]}, params: {limit: 2}}"),
            binding("two", "{rules: [a-rule], select: {accounts: [111122223334]}, params: {limit: 3}}"),
        ],
        [
            binding("one", "{rules: [a-rule], select: {ou: /work/dev}, params: {limit: 2}}"),
            binding("two", "{rules: [a-rule], select: {ou: /work/prod}, params: {limit: 3}}"),
        ],
        [
            binding("one", "{rules: [a-rule], select: {clusters: ['dev-*']}, params: {limit: 2}}"),
            binding("two", "{rules: [a-rule], select: {clusters: ['prod-*']}, params: {limit: 3}}"),
        ],
        [
            binding("one", "{rules: [a-rule], params: {limit: 2}, locked: true}"),
            binding("two", "{rules: [a-rule], select: {namespaces: [x]}, params: {limit: 2, names: [y]}}"),
        ],
    ] {
        assert!(set(&bindings).is_ok(), "{bindings:?}: {:?}", set(&bindings).err());
    }
}

#[test]
fn an_exception_is_in_force_until_it_ends() {
    let spec = "{rules: [a-rule], subject: '*:role/app', owner: platform, reason: Migration until autumn, ticket: OPS-1, since: 2026-06-01, expires: 2026-09-01T12:00:00Z}";
    let set = set(&[exception("migration", spec)]).unwrap();
    let found = |subject: &Subject, now: &str| judged(&set, subject, None, now).unwrap().exception.map(|e| e.name);
    let other = Subject { key: "arn:aws:iam::111122223333:role/other".to_owned(), ..subject() };
    for (subject, now, expect) in [
        (&subject(), "2026-05-31T23:59:59Z", None),
        (&subject(), "2026-06-01T00:00:00Z", Some("migration")),
        (&subject(), "2026-09-01T11:59:59Z", Some("migration")),
        (&subject(), "2026-09-01T12:00:00Z", None),
        (&other, "2026-07-01T00:00:00Z", None),
    ] {
        assert_eq!(found(subject, now).as_deref(), expect, "{now}");
    }
    let shown = judged(&set, &subject(), None, "2026-07-01T00:00:00Z").unwrap().exception.unwrap();
    assert_eq!(
        (shown.owner.as_str(), shown.ticket.as_deref(), shown.origin.as_str()),
        ("platform", Some("OPS-1"), "rules.yaml:19")
    );
    assert_eq!(set.exceptions()[0].rules(), ["a-rule"]);
}

#[test]
fn exceptions_without_an_owner_a_reason_or_a_near_end_are_refused() {
    let whole = "rules: [a-rule], owner: platform, reason: why, since: 2026-06-01, expires: 2026-09-01";
    for (from, to, message) in [
        ("owner: platform, ", "", "spec.owner: `owner` is missing"),
        ("reason: why", "reason: ' '", "spec.reason: there is no text"),
        (", expires: 2026-09-01", "", "spec.expires: `expires` is missing"),
        ("expires: 2026-09-01", "expires: 2027-06-02", "spec.expires: the exception lasts more than 365 days"),
        ("expires: 2026-09-01", "expires: 2026-06-01", "spec.expires: the exception ends before it begins"),
        ("expires: 2026-09-01", "expires: never", "spec.expires: `never` is not a moment"),
        ("a-rule", "b-rule", "spec.rules: no rule is selected by `b-rule`"),
    ] {
        let errors = set(&[exception("e", &format!("{{{}}}", whole.replace(from, to)))]).expect_err(message);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(message), "{errors:?}");
    }
    let whole = set(&[exception("e", &format!("{{{}}}", whole.replace("2026-09-01", "2027-06-01")))]);
    assert!(whole.is_ok(), "{:?}", whole.err());
}
