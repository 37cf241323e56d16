//! Every mistake is named when the rule is loaded, with its place.

use super::{SPEC_LINE, file, load, rule_text, schema};
use rolecall_rules::RuleSet;

/// Mistakes in `match`, with column in the expression (from 1) and message.
const EXPRESSIONS: &[(&str, usize, &str)] = &[
    // Typing errors.
    ("role.nam == 'x'", 6, "type Role has no field `nam`; did you mean `name`?; write `name`"),
    ("rol.name == 'x'", 1, "no variable `rol`; did you mean `role`?; write `role`"),
    ("rol.name.contains('x')", 1, "no variable `rol`; did you mean `role`?; write `role`"),
    ("rol.contains('x')", 1, "no variable `rol`; did you mean `role`?; write `role`"),
    (
        "role.name.startWith('x')",
        11,
        "string has no method `startWith`; did you mean `startsWith`?; write `startsWith`",
    ),
    ("role.alows('x')", 6, "Role has no method `alows`; did you mean `allows`?; write `allows`"),
    ("iam.action(role).size() > 0", 1, "no function `iam.action`; did you mean `iam.actions`?; write `iam.actions`"),
    ("durration('1d') > duration('2d')", 1, "no function `durration`; did you mean `duration`?; write `duration`"),
    ("params.limit > 1", 8, "no parameter `limit`; known are: "),
    ("has(role.boundry)", 1, "type Role has no field `boundry`; did you mean `boundary`?; write `boundary`"),
    // Types.
    (
        "role.name > 3",
        11,
        "`>` cannot compare string with int; write the number in quotes, or convert with `string(…)` or `int(…)`",
    ),
    (
        "role.name == 3",
        11,
        "`==` compares string with int, which is always false; write the number in quotes, or convert with `string(…)` or `int(…)`",
    ),
    (
        "role.name != 3",
        11,
        "`!=` compares string with int, which is always true; write the number in quotes, or convert with `string(…)` or `int(…)`",
    ),
    (
        "3 in role.uses.map(u, u.namespace)",
        3,
        "`in` looks for int among string, which is always false; write the number in quotes, or convert with `string(…)` or `int(…)`",
    ),
    ("'a' in role.name", 5, "`in` looks into a list or a map, not into string; use `text.contains(part)`"),
    ("role.name", 1, "the expression gives string, but bool is needed; change the expression"),
    ("role.uses", 1, "the expression gives list(Use), but bool is needed; change the expression"),
    (
        "role.admin && role.uses",
        20,
        "the operand of `&&` is list(Use), but bool is needed; ask with `exists`, `all` or `size() > 0`",
    ),
    ("!role.name", 7, "the operand of `!` is string, but bool is needed; give bool"),
    (
        "'n: ' + role.uses.size() == ''",
        7,
        "`+` does not apply to string and int; turn the other side into text with `string(…)`",
    ),
    ("role.uses.exists(u, u.cluster)", 23, "the condition is string, but bool is needed; give bool"),
    ("role.name.exists(c, c == 'x')", 11, "a comprehension goes through a list, not string; go through a list"),
    (
        "role.allows(3)",
        13,
        "argument `action` of `allows` is int, but string is needed; write the number in quotes, or convert with `string(…)` or `int(…)`",
    ),
    ("role.allows()", 6, "`allows` takes 1 arguments, 0 are given; see `rolecall policies schema`"),
    ("[1, 'a'].size() > 0", 5, "the list holds int and string; let all elements have one type"),
    ("(role.admin ? 1 : 'a') == 1", 13, "`?` gives int or string; let both branches have one type"),
    ("role == role", 6, "`==` does not apply to Role; compare fields of it instead"),
    ("role.created - role.created > 3", 29, "`>` cannot compare duration with int; give int"),
    (
        "1 + 1.5 > 2.0",
        3,
        "`+` does not apply to int and double; write the number as in `1.0`, or convert with `double(…)`",
    ),
    // What may be absent.
    ("role.boundary.arn == 'x'", 6, "`role.boundary` may be absent here; guard it with `has(role.boundary) && …`"),
    (
        "role.boundary.arn == 'x' && has(role.boundary)",
        6,
        "`role.boundary` may be absent here; guard it with `has(role.boundary) && …`",
    ),
    (
        "has(role.boundary) || role.boundary.arn == 'x'",
        28,
        "`role.boundary` may be absent here; guard it with `has(role.boundary) && …`",
    ),
    (
        "!has(role.boundary) && role.boundary.arn == 'x'",
        29,
        "`role.boundary` may be absent here; guard it with `has(role.boundary) && …`",
    ),
    ("{'a': 1}['b'] == 1", 9, "the value may be absent here; give another value with `.orValue(…)`"),
    ("role.name == null", 11, "string is never absent, so `== null` is always false; leave the comparison out"),
    ("role.name.orValue('x') == 'x'", 11, "string is never absent here; leave `.orValue(…)` out"),
    // Patterns and literals.
    ("role.name.matches('[')", 19, "the pattern cannot be read: unclosed character class; correct the pattern"),
    (
        "role.name.matches('(?=x)')",
        19,
        "the pattern cannot be read: look-around, including look-ahead and look-behind, is not supported; correct the pattern",
    ),
    (
        "role.name.matches(role.name)",
        24,
        "the pattern is string, and would be compiled only when the rule is judged; write a literal pattern, or a parameter of type `regex` or `map(regex)`",
    ),
    (
        "role.created > timestamp('2026')",
        16,
        "`2026` is not a moment; write it as in `2026-11-30` or `2026-11-30T12:00:00Z`; correct the text",
    ),
    (
        "now - role.created > duration('1y')",
        22,
        "`1y` is not a duration; write it as in `90d`, `12h`, `1h30m`, `45s` or `250ms`; correct the text",
    ),
    // Cost.
    (
        "role.uses.exists(a, role.uses.exists(b, role.uses.exists(c, a.cluster == c.cluster)))",
        51,
        "comprehensions are nested 3 deep (limit 2); ask for a fact or function that answers the inner question",
    ),
    // Names.
    ("role.uses.exists(role, true)", 11, "`role` has a meaning already; choose another name"),
    ("role.uses.exists(iam, true)", 11, "`iam` has a meaning already; choose another name"),
    // Syntax.
    ("role.admin &&", 13, "the expression ends too early; correct the expression"),
    ("role.admin & true", 12, "unexpected character '& '; correct the expression"),
];

#[test]
fn mistakes_in_expressions() {
    for (source, column, message) in EXPRESSIONS {
        let spec = format!("subject: role\nmatch: >-\n  {source}\nmessage: \"'m'\"");
        let errors = load(&[rule_text("a-rule", &spec)]).expect_err(source);
        let place = format!("rules.yaml:{}:{}: ", SPEC_LINE + 2, column + 4);
        assert_eq!(
            errors.first().map(String::as_str),
            Some(format!("{place}spec.match: {message}").as_str()),
            "{source}"
        );
        assert_eq!(errors.len(), 1, "{source}: one mistake is reported once: {errors:?}");
    }
}

#[test]
fn guards_that_suffice() {
    for source in [
        "has(role.boundary) && role.boundary.arn == 'x'",
        "role.boundary != null && role.boundary.arn == 'x'",
        "null != role.boundary && role.boundary.arn == 'x'",
        "!has(role.boundary) || role.boundary.arn == 'x'",
        "role.boundary == null || role.boundary.arn == 'x'",
        "has(role.boundary) ? role.boundary.arn == 'x' : false",
        "!(role.boundary == null) && (role.admin || role.boundary.arn == 'x')",
        "(has(role.boundary) && role.admin) && role.uses.exists(u, u.cluster == role.boundary.arn)",
        "has(role.boundary) && !has(role.boundary) || role.boundary == null",
    ] {
        let spec = format!("subject: role\nmatch: \"{source}\"\nmessage: \"'m'\"");
        assert!(
            load(&[rule_text("a-rule", &spec)]).is_ok(),
            "{source}: {:?}",
            load(&[rule_text("a-rule", &spec)]).err()
        );
    }
}

/// Mistakes in the document, with the line of the spec (from 0), column and message.
const SPECS: &[(&str, usize, usize, &str)] = &[
    (
        "subject: rol\nmatch: 'true'\nmessage: \"'m'\"",
        0,
        12,
        "spec.subject: `rol` is not known; did you mean `role`?; known are: role, policy, association, session, cluster, account, change",
    ),
    (
        "subject: cluster\nmatch: 'true'\nmessage: \"'m'\"",
        0,
        12,
        "spec.subject: there are no facts about `cluster`; choose another subject",
    ),
    (
        "subject: role\nmatches: 'true'\nmatch: 'true'\nmessage: \"'m'\"",
        1,
        3,
        "spec: no field `matches` is known here; did you mean `match`?; write `match`",
    ),
    ("subject: role\nmatch: 'true'", 0, 3, "spec.message: `message` is missing; add it"),
    (
        "subject: role\nmatch: 'true'\nmessage: 'true'",
        2,
        13,
        "spec.message: the expression gives bool, but string is needed; change the expression",
    ),
    (
        "subject: role\nmatch: true\nmessage: \"'m'\"",
        1,
        10,
        "spec.match: an expression is needed, true or false is given; write the expression as text, in quotes or after `>-`",
    ),
    (
        "subject: role\nmatch: 'true'\nmessage: \"'m'\"\nevidence: '[role.name]'",
        3,
        14,
        "spec.evidence: the expression gives list(string), but list(Evidence) is needed; change the expression",
    ),
    (
        "subject: role\nmatch: 'true'\nmessage: \"'m'\"\ndiscriminator: role.name",
        3,
        18,
        "spec.discriminator: the expression gives string, but list(string) is needed; change the expression",
    ),
    (
        "subject: role\nparams: {limit: {type: int, default: 1}}\nmatch: 'true'\nmessage: \"'m'\"",
        1,
        11,
        "spec.params.limit: the parameter is never used; use it, or remove it",
    ),
    (
        "subject: role\nparams: {limit: {type: integer, default: 1}}\nmatch: 'true'\nmessage: \"'m'\"",
        1,
        26,
        "spec.params.limit.type: `integer` is not a type for parameters; bool, int, double, string, duration, timestamp, regex, list(…) and map(…) are",
    ),
    (
        "subject: role\nparams: {limit: {type: int, default: two}}\nmatch: role.uses.size() > params.limit\nmessage: \"'m'\"",
        1,
        40,
        "spec.params.limit.default: int is needed, text is given; correct the value",
    ),
    (
        "subject: role\nparams: {limit: {type: int, default: 9, max: 5}}\nmatch: role.uses.size() > params.limit\nmessage: \"'m'\"",
        1,
        40,
        "spec.params.limit.default: 9 is more than 5, the limit of `limit`; choose a value within the limits",
    ),
    (
        "subject: role\nparams: {names: {type: map(regex), default: {a: '['}}}\nmatch: role.name.matches(glob.lookup(params.names, role.name))\nmessage: \"'m'\"",
        1,
        51,
        "spec.params.names.default.a: the pattern cannot be read: unclosed character class; correct the pattern",
    ),
    (
        "subject: role\neach: {in: role.uses, as: use}\nmatch: use.cluster == ''\nmessage: \"'m'\"",
        1,
        9,
        "spec.each: `each` needs a `discriminator`, which tells the elements' findings apart; add one over what never changes, as in `[s.name]`",
    ),
];

#[test]
fn mistakes_in_documents() {
    for (spec, line, column, message) in SPECS {
        let errors = load(&[rule_text("a-rule", spec)]).expect_err(spec);
        assert_eq!(errors, [format!("rules.yaml:{}:{column}: {message}", SPEC_LINE + line)], "{spec}");
    }
}

#[test]
fn mistakes_in_tests_and_fixtures() {
    let spec = "subject: role\nmatch: role.admin\nmessage: \"'m'\"";
    for (test, column, message) in [
        (
            "{name: a, expect: failed, role: {}}",
            21,
            "tests[0].expect: `failed` is not known; did you mean `fail`?; known are: fail, pass, unknown, not_applicable",
        ),
        ("{name: a, expect: fail}", 3, "tests[0].role: `role` is missing; add it"),
        (
            "{name: a, expect: fail, role: {admn: true}}",
            34,
            "role: type Role has no field `admn`; did you mean `admin`?; see `rolecall policies schema`",
        ),
        (
            "{name: a, expect: fail, role: {admin: yes}}",
            41,
            "role.admin: bool is needed, text is given; correct the value",
        ),
        (
            "{name: a, expect: fail, role: {uses: [{namespace: [x]}]}}",
            53,
            "role.uses[0].namespace: string is needed, a list is given; correct the value",
        ),
        (
            "{name: a, expect: fail, role: {admin: {$unknown: x, y: z}}}",
            55,
            "role.admin: `y` does not stand beside `$unknown`; write `{$unknown: why}` or `{$seen: […], $unknown: why}`",
        ),
        (
            "{name: a, expect: fail, role: {}, params: {x: 1}}",
            46,
            "tests[0].params: no field `x` is known here; known are: ",
        ),
        (
            "{name: a, expect: fail, role: {}, now: soon}",
            42,
            "tests[0].now: `soon` is not a moment; write it as in `2026-11-30` or `2026-11-30T12:00:00Z`",
        ),
    ] {
        let text = format!("{}tests:\n- {test}\n", rule_text("a-rule", spec));
        let errors = load(&[text]).expect_err(test);
        assert_eq!(errors, [format!("rules.yaml:{}:{column}: {message}", SPEC_LINE + 4)], "{test}");
    }
}

#[test]
fn every_mistake_of_every_file_is_named_and_the_rest_is_kept() {
    let good = rule_text("good-rule", "subject: role\nmatch: role.admin\nmessage: \"'m'\"");
    let bad = rule_text("bad-rule", "subject: role\nmatch: role.admn && role.nme == 'x'\nmessage: \"'m'\"");
    let files = [
        file(format!("{good}---\n{bad}---\nkind: Rule\n")),
        rolecall_rules::SourceFile { path: "other.yaml".to_owned(), text: format!("a: [\n---\n{good}") },
    ];
    let (set, errors) = RuleSet::load_lenient(&files, &schema());
    assert_eq!(set.rules().iter().map(|rule| rule.id()).collect::<Vec<_>>(), ["good-rule"]);
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert!(errors.iter().any(|e| e.contains("rules.yaml:31:1: apiVersion: `rolecall/v1` is needed")), "{errors:#?}");
    assert!(errors.iter().any(|e| e.starts_with("other.yaml:3:1: metadata.id: there is a rule `good-rule` already, at rules.yaml:1")), "{errors:#?}");
}

#[test]
fn metadata_is_checked() {
    let text = rule_text("a-rule", "subject: role\nmatch: role.admin\nmessage: \"'m'\"");
    for (from, to, message) in [
        (
            "id: a-rule",
            "id: A_rule",
            "metadata.id: `A_rule` is not a slug of lower-case letters, digits and single hyphens, up to 64; write it as in `role-shared-across-namespaces`",
        ),
        (
            "severity: high",
            "severity: hi",
            "metadata.severity: `hi` is not known; did you mean `high`?; known are: critical, high, medium, low, info",
        ),
        ("  title: A title\n", "", "metadata.title: `title` is missing; add it"),
        ("title: A title", "title: ''", "metadata.title: there is no text; say it in a few words"),
        ("kind: Rule", "kind: Role", "kind: `Rule`, `Binding` or `Exception` is needed; write one of the three"),
        (
            "  severity: high\n",
            "  severity: high\n  severity: low\n",
            "duplicate mapping key: severity; keep one of the two",
        ),
    ] {
        let errors = load(&[text.replace(from, to)]).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].ends_with(message), "{errors:?}");
    }
}

#[test]
fn a_rule_does_not_live_beside_what_it_supersedes() {
    let spec = "subject: role\nmatch: role.admin\nmessage: \"'m'\"";
    let new = rule_text("new-rule", spec).replace("spec:", "  supersedes: [old-rule]\nspec:");
    assert_eq!(
        load(&[rule_text("old-rule", spec), new.clone()]).unwrap_err(),
        ["rules.yaml:16:1: metadata.supersedes: `old-rule` is superseded and still there; remove one of the two"]
    );
    let set = load(&[new]).unwrap();
    assert_eq!(set.rule("old-rule").unwrap().id(), "new-rule");
    assert_eq!(set.rule("new-rule").unwrap().root(), "old-rule");
}
