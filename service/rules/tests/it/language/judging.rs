//! What a rule says about a subject, its embedded tests, and what describes it.

use super::{Role, Use, judge, load, one, rule_text, schema};
use rolecall_rules::{Evidence, Outcome, Reasons, Value, json_schema};

fn fail(message: &str, discriminator: &[&str]) -> Outcome {
    Outcome::Fail {
        message: message.to_owned(),
        evidence: vec![],
        discriminator: discriminator.iter().map(|s| (*s).to_owned()).collect(),
        graded: None,
    }
}

fn unknown(why: &[&str]) -> Outcome {
    Outcome::Unknown { why: why.iter().map(|s| (*s).into()).collect() }
}

#[test]
fn the_outcomes() {
    let rule =
        one("subject: role\napplies: role.name != 'break-glass'\nmatch: role.admin\nmessage: '\"role \" + role.name'");
    let role = Role::default();
    let admin = |admin: Value| Role { admin, ..role.clone() };
    assert_eq!(judge(&rule, role.clone()), [Outcome::Pass]);
    assert_eq!(judge(&rule, admin(Value::Bool(true))), [fail("role app", &[])]);
    assert_eq!(judge(&rule, admin(Value::unknown("roles not seen"))), [unknown(&["roles not seen"])]);
    let named = |name: Value, admin: bool| Role { name, admin: Value::Bool(admin), ..role.clone() };
    assert_eq!(judge(&rule, named(Value::text("break-glass"), true)), [Outcome::NotApplicable]);
    // Whether it applies is not known: then nothing is, not even where it would pass.
    for admin in [true, false] {
        assert_eq!(judge(&rule, named(Value::unknown("no name"), admin)), [unknown(&["no name"])]);
    }
}

#[test]
fn a_message_that_lacks_a_fact_does_not_hide_the_failure() {
    let rule = one(
        "subject: role\nmatch: role.admin\nmessage: '\"role \" + role.name + \" in \" + role.uses.map(u, u.namespace).join(\", \") + \" of \" + role.uses[0].cluster'",
    );
    let seen = Value::list_seen([Value::object(Use("c", "a"))], Some(Reasons::one("cluster x not seen")));
    let role = Role { admin: Value::Bool(true), uses: seen, ..Role::default() };
    assert_eq!(judge(&rule, role.clone()), [fail("role app in a of c", &[])]);
    // A name that is not known is not made up: the title stands for the text.
    let role = Role { name: Value::unknown("?"), ..role };
    assert_eq!(judge(&rule, role), [fail("A title", &[])]);
    let role = Role { admin: Value::Bool(true), ..Role::default() };
    // The list is empty, so the text cannot be made: the title stands for it.
    assert_eq!(judge(&rule, role), [fail("A title", &[])]);
}

#[test]
fn a_message_names_the_causes_that_are_certain() {
    let rule = one(
        "subject: role\nmatch:\n- {when: role.admin, because: \"'it is an administrator'\"}\n- {when: role.uses.size() > 1, because: '\"it has \" + string(role.uses.size()) + \" uses\"'}\nmessage: 'role.name + \": \" + because.join(\" and \")'",
    );
    let uses = |n: usize| Value::list((0..n).map(|_| Value::object(Use("c", "n"))));
    let role = |admin: Value, uses: Value| Role { admin, uses, ..Role::default() };
    let says = |admin, uses| judge(&rule, role(admin, uses));
    let both = "app: it is an administrator and it has 2 uses";
    assert_eq!(says(Value::Bool(true), uses(2)), [fail(both, &[])]);
    assert_eq!(says(Value::unknown("?"), uses(2)), [fail("app: it has 2 uses", &[])]);
    assert_eq!(says(Value::Bool(true), Value::unknown("?")), [fail("app: it is an administrator", &[])]);
    assert_eq!(says(Value::Bool(false), uses(1)), [Outcome::Pass]);
    assert_eq!(says(Value::Bool(false), Value::unknown("?")), [unknown(&["?"])]);
    // What decided is certain, what to say of it is not: the title stands for the text.
    let seen = Value::list_seen([0, 1].map(|_| Value::object(Use("c", "n"))), Some(Reasons::one("?")));
    assert_eq!(says(Value::Bool(false), seen), [fail("app: it has 2 uses", &[])]);
}

#[test]
fn evidence_is_carried_over() {
    let rule = one("subject: role\nmatch: role.admin\nmessage: \"'m'\"\nevidence: '[evidence(\"name\", role.name)]'");
    let outcomes = judge(&rule, Role { admin: Value::Bool(true), ..Role::default() });
    let expect = Evidence {
        label: "name".to_owned(),
        document: None,
        source: "fact".to_owned(),
        pointer: String::new(),
        value: "app".into(),
    };
    assert_eq!(
        outcomes,
        [Outcome::Fail { message: "m".to_owned(), evidence: vec![expect], discriminator: vec![], graded: None }]
    );
}

#[test]
fn each_gives_a_finding_for_each_element_and_keeps_its_doubt() {
    let rule = one(
        "subject: role\neach: {in: role.uses, as: use}\nmatch: use.namespace == 'default'\nmessage: use.cluster\ndiscriminator: '[use.cluster]'",
    );
    let uses = |uses: Value| Role { uses, ..Role::default() };
    let list =
        || [Use("c1", "default"), Use("c2", "web"), Use("c3", "default"), Use("c1", "default")].map(Value::object);
    assert_eq!(judge(&rule, uses(Value::list(list()))), [fail("c1", &["c1"]), fail("c3", &["c3"])]);
    assert_eq!(judge(&rule, uses(Value::list([]))), [Outcome::Pass]);
    let part = Value::list_seen(list(), Some(Reasons::one("c4 not seen")));
    assert_eq!(judge(&rule, uses(part)), [fail("c1", &["c1"]), fail("c3", &["c3"]), unknown(&["c4 not seen"])]);
    let part = Value::list_seen([Value::object(Use("c2", "web"))], Some(Reasons::one("c4 not seen")));
    assert_eq!(judge(&rule, uses(part)), [unknown(&["c4 not seen"])]);
    assert_eq!(judge(&rule, uses(Value::unknown("no list"))), [unknown(&["no list"])]);
}

#[test]
fn natives_see_known_arguments_only_and_fixtures_answer_for_themselves() {
    let rule = one(
        "subject: role\nmatch: role.allows('iam:PassRole') && 'iam:PassRole' in iam.actions(role)\nmessage: \"'m'\"",
    );
    assert_eq!(judge(&rule, Role::default()), [Outcome::Pass]);
    assert_eq!(judge(&rule, Role { admin: Value::Bool(true), ..Role::default() }), [fail("m", &[])]);

    let spec = "subject: role\nmatch: role.allows('x') && 'x' in iam.actions(role)\nmessage: \"'m'\"";
    let tests = "tests:\n- {name: a, expect: fail, role: {\"allows()\": true, \"iam.actions()\": [x]}}\n- {name: b, expect: unknown, role: {\"allows()\": {$unknown: why}, \"iam.actions()\": [x]}}\n- {name: c, expect: unknown, role: {\"iam.actions()\": [x]}}\n";
    let set = load(&[format!("{}{tests}", rule_text("a-rule", spec))]).unwrap();
    let results = set.test();
    assert_eq!(results.iter().map(|r| r.passed).collect::<Vec<_>>(), [true, true, false], "{results:#?}");
    assert_eq!(results[2].answered, "unknown: the test does not state `allows()`");
}

#[test]
fn a_costly_rule_is_an_error_and_never_passes() {
    let rule =
        one("subject: role\nmatch: role.uses.exists(a, role.uses.exists(b, a.cluster != b.cluster))\nmessage: \"'m'\"");
    let uses = Value::list((0..1000).map(|_| Value::object(Use("c", "n"))));
    let outcomes = judge(&rule, Role { uses, ..Role::default() });
    let message = "the rule took more than 200000 steps on this subject and was stopped".to_owned();
    assert_eq!(outcomes, [Outcome::Error { message }]);
}

#[test]
fn embedded_tests() {
    let spec = "subject: role\nparams: {limit: {type: int, default: 1}}\napplies: role.name != 'x'\nmatch: role.uses.map(u, u.namespace).distinct().size() > params.limit && now - role.created > duration('1d')\nmessage: '\"role \" + role.name'";
    let tests = "
tests:
- {name: two namespaces, expect: fail, role: {name: r, created: 2025-01-01, uses: [{namespace: a}, {namespace: b}]}, message: role r}
- {name: one namespace, expect: pass, role: {name: r, created: 2025-01-01, uses: [{namespace: a}, {namespace: a}]}}
- {name: raised limit, expect: pass, role: {name: r, created: 2025-01-01, uses: [{namespace: a}, {namespace: b}]}, params: {limit: 2}}
- {name: at another time, expect: pass, role: {name: r, created: 2025-01-01, uses: [{namespace: a}, {namespace: b}]}, now: 2025-01-01T01:00:00Z}
- {name: not for x, expect: not_applicable, role: {name: x}}
- name: a cluster that was not seen
  expect: unknown
  role: {name: r, created: 2025-01-01, uses: {$seen: [{namespace: a}], $unknown: cluster c was refused}}
- {name: enough was seen, expect: fail, role: {name: r, created: 2025-01-01, uses: {$seen: [{namespace: a}, {namespace: b}], $unknown: why}}}
- {name: wrong expectation, expect: pass, role: {name: r, created: 2025-01-01, uses: [{namespace: a}, {namespace: b}]}}
- {name: wrong message, expect: fail, role: {name: r, created: 2025-01-01, uses: [{namespace: a}, {namespace: b}]}, message: role s}
- {name: a forgotten fact is not an unknown one, expect: unknown, role: {name: r, uses: [{namespace: a}, {namespace: b}]}}
";
    let set = load(&[format!("{}{}", rule_text("a-rule", spec), tests.trim_start())]).unwrap();
    let results = set.test();
    let passed: Vec<bool> = results.iter().map(|result| result.passed).collect();
    assert_eq!(passed, [true, true, true, true, true, true, true, false, false, false], "{results:#?}");
    assert_eq!(results[7].answered, "fail: role r");
    assert_eq!(results[8].expected, "fail: role s");
    assert_eq!(results[9].answered, "unknown: the test does not state `role.created`");
    assert_eq!((results[0].file.as_str(), results[0].line), ("rules.yaml", 18));
    assert!(set.untested().is_empty());
}

#[test]
fn a_rule_without_its_three_tests_is_named() {
    let spec = "subject: role\nmatch: role.admin\nmessage: \"'m'\"";
    let text = format!("{}tests: [{{name: a, expect: fail, role: {{admin: true}}}}]\n", rule_text("a-rule", spec));
    let untested = load(&[text]).unwrap().untested();
    assert_eq!(
        untested.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "rules.yaml:1:1: tests: rule `a-rule` has no test that expects pass, unknown; every rule shows when it fails, when it passes, and when it cannot know"
        ]
    );
}

#[test]
fn the_digest_follows_what_decides_and_nothing_else() {
    let text = rule_text("a-rule", "subject: role\nmatch: role.admin\nmessage: \"'m'\"");
    let digest = |text: &str| load(&[text.to_owned()]).unwrap();
    let first = digest(&text);
    let same = digest(&format!("# a comment\n{text}tests: [{{name: a, expect: fail, role: {{admin: true}}}}]\n"));
    assert_eq!((first.digest(), first.rules()[0].digest()), (same.digest(), same.rules()[0].digest()));
    let other = digest(&text.replace("match: role.admin", "match: '!role.admin'"));
    assert_ne!(first.rules()[0].digest(), other.rules()[0].digest());
    let binding = "apiVersion: rolecall/v1\nkind: Binding\nmetadata: {name: b}\nspec: {rules: ['*'], severity: low}\n";
    let bound = digest(&format!("{text}---\n{binding}"));
    assert_eq!(first.rules()[0].digest(), bound.rules()[0].digest());
    assert_ne!(first.digest(), bound.digest());
}

#[test]
fn the_json_schema_tells_facts_functions_and_fields() {
    let json = json_schema(&schema());
    assert_eq!(
        json["$defs"]["facts"]["Role"]["properties"]["boundary"]["description"],
        "optional(Policy): Its permissions boundary."
    );
    assert_eq!(json["x-functions"][0]["signature"], "Role.allows(action: string) -> bool");
    let rule = &json["oneOf"][0]["properties"];
    assert_eq!(rule["spec"]["properties"]["subject"]["enum"], serde_json::json!(["role", "association"]));
    assert!(rule["tests"]["items"]["properties"]["role"].is_object());
}

#[test]
fn schemas_that_do_not_hold_together_are_refused() {
    use rolecall_rules::{ObjectType, Schema, Type};
    let twice = || ObjectType::new("A", "");
    for (built, message) in [
        (Schema::builder().object(twice()).object(twice()).build(), "schema: object `A` is declared twice"),
        (
            Schema::builder().object(twice().field("x", Type::Int, "").field("x", Type::Int, "")).build(),
            "schema: field `A.x` is declared twice",
        ),
        (
            Schema::builder().object(twice().field("x", Type::list(Type::object("B")), "")).build(),
            "schema: field `A.x` has type `B`, which is not declared",
        ),
    ] {
        assert_eq!(built.unwrap_err().to_string(), message);
    }
}
