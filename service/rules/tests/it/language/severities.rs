//! Severities that follow from facts: the first condition that holds decides, a gap never lowers, and
//! a binding goes before all of them.

use super::{Role, Use, judge, load, one, rule_text, schema, subject};
use rolecall_rules::{Object, Outcome, Rule, RuleSet, Severity, Value, json_schema};
use std::sync::Arc;

const SPEC: &str = "subject: role
params:
  quiet: {type: list(string), default: []}
match: 'true'
message: \"'m'\"
severity_when:
  - when: role.admin
    severity: critical
    because: '\"role \" + role.name + \" may do anything\"'
  - when: role.name in params.quiet
    severity: info
    because: '\"it is quiet\"'
  - when: has(role.boundary)
    severity: low
    because: '\"it has a boundary\"'";

fn graded(rule: &Rule, role: Role) -> Option<(Severity, String)> {
    let outcomes = judge(rule, role);
    assert!(matches!(outcomes[..], [Outcome::Fail { .. }]), "{outcomes:?}");
    outcomes[0].graded().map(|graded| (graded.severity, graded.because.clone()))
}

fn role(admin: Value, name: Value, boundary: Value) -> Role {
    Role { admin, name, boundary, ..Role::default() }
}

#[test]
fn the_first_condition_that_holds_decides() {
    let rule = one(SPEC);
    let bound = || Value::object(Use("arn", "arn"));
    let (yes, no) = (Value::Bool(true), Value::Bool(false));
    assert_eq!(graded(&rule, role(no.clone(), Value::text("app"), Value::Null)), None, "the rule's own");
    let both = graded(&rule, role(yes, Value::text("app"), bound()));
    assert_eq!(both, Some((Severity::Critical, "role app may do anything".to_owned())));
    let low = graded(&rule, role(no, Value::text("app"), bound()));
    assert_eq!(low, Some((Severity::Low, "it has a boundary".to_owned())));
}

#[test]
fn what_is_not_known_never_lowers_the_severity() {
    let rule = one(SPEC);
    let (yes, no) = (Value::Bool(true), Value::Bool(false));
    let gap = || Value::unknown("roles not seen");
    let bound = || Value::object(Use("arn", "arn"));
    // Whether it is critical is open: low does not follow, and critical is not claimed.
    let open = graded(&rule, role(gap(), Value::text("app"), bound())).unwrap();
    let why = "the rule's own severity; whether it is critical is unknown: roles not seen";
    assert_eq!(open, (Severity::High, why.to_owned()));
    // Whether it is harmless is open: it stays what the rule says.
    let open = graded(&rule, role(no, Value::text("app"), gap())).unwrap();
    assert_eq!(
        open,
        (Severity::High, "the rule's own severity; whether it is low is unknown: roles not seen".to_owned())
    );
    // A graver condition that holds stands, whatever else is not known.
    let grave = graded(&rule, role(yes, Value::text("app"), gap())).unwrap();
    assert_eq!(grave.0, Severity::Critical);
}

#[test]
fn where_every_way_gives_the_same_severity_it_is_known() {
    let rule = one("subject: role
match: 'true'
message: \"'m'\"
severity_when:
  - {when: role.admin, severity: low, because: '\"one\"'}
  - {when: 'true', severity: low, because: '\"two\"'}");
    let open = graded(&rule, role(Value::unknown("?"), Value::text("app"), Value::Null));
    assert_eq!(open, Some((Severity::Low, "two".to_owned())));
}

#[test]
fn a_condition_that_fails_is_a_gap() {
    let rule = one("subject: role
match: 'true'
message: \"'m'\"
severity_when:
  - {when: 'role.uses[3].cluster == \"c\"', severity: low, because: '\"one\"'}");
    let (severity, because) = graded(&rule, Role::default()).unwrap();
    assert_eq!(severity, Severity::High);
    assert!(because.contains("whether it is low is unknown"), "{because}");
}

#[test]
fn each_element_has_a_severity_of_its_own() {
    let rule = one("subject: role
each: {in: role.uses, as: use}
match: 'true'
message: use.cluster
discriminator: '[use.cluster]'
severity_when:
  - {when: use.namespace == 'dev', severity: low, because: '\"cluster \" + use.cluster'}");
    let uses = Value::list([Use("c1", "dev"), Use("c2", "pay")].map(Value::object));
    let outcomes = judge(&rule, Role { uses, ..Role::default() });
    let severities: Vec<_> = outcomes.iter().map(|o| o.graded().map(|g| (g.severity, g.because.as_str()))).collect();
    assert_eq!(severities, [Some((Severity::Low, "cluster c1")), None]);
}

fn under(binding: &str) -> RuleSet {
    let binding = format!("apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: b}}\nspec: {binding}\n");
    load(&[rule_text("a-rule", SPEC), binding]).unwrap()
}

#[test]
fn a_binding_goes_before_the_conditions() {
    let judged = |set: &RuleSet| {
        let object: Arc<dyn Object> = Arc::new(role(Value::Bool(true), Value::text("app"), Value::Null));
        let now: chrono::DateTime<chrono::Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
        let judgement = set.rules()[0].judge(&object, &subject(), Some("/"), now.into()).unwrap();
        (judgement.severity, judgement.outcomes[0].graded().map(|graded| graded.severity))
    };
    assert_eq!(judged(&under("{rules: [a-rule], severity: medium}")), (Severity::Medium, None));
    let elsewhere = under("{rules: [a-rule], select: {accounts: ['000000000001']}, severity: medium}");
    assert_eq!(judged(&elsewhere), (Severity::High, Some(Severity::Critical)));
    // Parameters reach the conditions as they reach `match`.
    let rules = under("{rules: [a-rule], params: {quiet: [app]}}");
    let quiet = graded(&rules.rules()[0], Role::default());
    assert_eq!(quiet, Some((Severity::Info, "it is quiet".to_owned())));
}

#[test]
fn mistakes_are_named_when_the_rule_is_loaded() {
    for (steps, expected) in [
        ("severity_when: {when: 'true'}", "spec.severity_when: a list is needed"),
        ("severity_when: [{when: 'true', severity: low}]", "spec.severity_when[0].because: `because` is missing"),
        ("severity_when: [{when: role.name, severity: low, because: role.name}]", "gives string, but bool is needed"),
        ("severity_when: [{when: 'true', severity: low, because: 'true'}]", "gives bool, but string is needed"),
        ("severity_when: [{when: 'true', severity: lo, because: role.name}]", "`lo` is not known; did you mean `low`?"),
        ("severity_when: [{if: 'true', when: 'true', severity: low, because: role.name}]", "no field `if` is known"),
    ] {
        let spec = format!("subject: role\nmatch: 'true'\nmessage: \"'m'\"\n{steps}");
        let errors = load(&[rule_text("a-rule", &spec)]).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(expected)), "{steps}: {errors:?}");
    }
}

#[test]
fn tests_of_a_rule_hold_its_severity() {
    let text = |severity: &str, because: &str| {
        format!(
            "{}tests:\n  - {{name: t, expect: fail, severity: {severity}, because: {because}, role: {{admin: true, name: app}}}}\n",
            rule_text("a-rule", SPEC)
        )
    };
    let passed = |severity: &str, because: &str| load(&[text(severity, because)]).unwrap().test()[0].clone();
    let right = passed("critical", "role app may do anything");
    assert!(right.passed, "{right:?}");
    let wrong = passed("high", "role app may do anything");
    assert!(!wrong.passed);
    assert!(wrong.expected.contains("[high]") && wrong.answered.contains("[critical]"), "{wrong:?}");
    assert!(!passed("critical", "something else").passed);
}

#[test]
fn the_conditions_are_described() {
    let rule = one(SPEC);
    let shown = &rule.expressions().severity_when;
    assert_eq!(shown.len(), 3);
    assert_eq!((shown[0].when.as_str(), shown[0].severity), ("role.admin", Severity::Critical));
    let schema = json_schema(&schema()).to_string();
    assert!(schema.contains("severity_when"));
}
