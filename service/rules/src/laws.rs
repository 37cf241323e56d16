//! Laws of judging, tried on expressions and facts that are made up.

use super::check::{self, Scope};
use super::eval::{self, Context, Fault, MOST_STEPS};
use super::ir::{NOW, SUBJECT};
use super::schema::{ObjectType, Schema, Type};
use super::value::{Object, Reasons, Value};
use crate::verdict::SubjectKind;
use proptest::prelude::*;
use std::cell::Cell;

#[derive(Debug)]
struct Facts(Vec<Value>);

impl Object for Facts {
    fn get(&self, field: usize) -> Value {
        self.0[field].clone()
    }
}

fn schema() -> Schema {
    let item = ObjectType::new("Item", "An item.").field("flag", Type::Bool, "").field("n", Type::Int, "").field(
        "tag",
        Type::optional(Type::String),
        "",
    );
    let role = ObjectType::new("Role", "A role.")
        .field("p", Type::Bool, "")
        .field("q", Type::Bool, "")
        .field("i", Type::Int, "")
        .field("j", Type::Int, "")
        .field("s", Type::String, "")
        .field("o", Type::optional(Type::String), "")
        .field("xs", Type::list(Type::Int), "")
        .field("names", Type::list(Type::String), "")
        .field("items", Type::list(Type::object("Item")), "");
    Schema::builder().object(item).object(role).subject(SubjectKind::Role, "Role").build().unwrap()
}

fn judge(source: &str, subject: &Value) -> Result<Value, Fault> {
    let schema = schema();
    let scope =
        Scope { schema: &schema, subject: ("role", Type::object("Role")), element: None, because: false, params: &[] };
    let checked = check::check(source, &scope).unwrap_or_else(|mistakes| panic!("{source}: {mistakes:?}"));
    run(&checked.ir, subject)
}

fn run(ir: &super::ir::Ir, subject: &Value) -> Result<Value, Fault> {
    let steps = Cell::new(MOST_STEPS);
    let now = Value::Timestamp(super::literal::read_timestamp("2026-06-01").unwrap());
    let cx = Context::new(&[], &steps);
    let cx = cx.with(SUBJECT, subject);
    eval::eval(ir, &cx.with(NOW, &now))
}

fn role(fields: [Value; 9]) -> Value {
    Value::object(Facts(fields.into()))
}

fn plain() -> [Value; 9] {
    [
        Value::Bool(true),
        Value::Bool(false),
        Value::Int(1),
        Value::Int(2),
        Value::text("ab"),
        Value::Null,
        Value::list([1, 2, 2].map(Value::Int)),
        Value::texts(["a", "b"]),
        Value::list([]),
    ]
}

#[test]
fn truth_tables() {
    let mut facts = plain();
    facts[2] = Value::unknown("i");
    facts[3] = Value::unknown("j");
    facts[4] = Value::unknown("s");
    facts[5] = Value::unknown("o");
    facts[6] = Value::list_seen([1, 2].map(Value::Int), Some(Reasons::one("xs")));
    facts[7] = Value::list([Value::text("a"), Value::unknown("name")]);
    let u = "role.i > 0";
    let role = role(facts);
    let t = Some("true");
    let f = Some("false");
    for (source, expect) in [
        (format!("true && {u}"), None),
        (format!("{u} && true"), None),
        (format!("false && {u}"), f),
        (format!("{u} && false"), f),
        (format!("{u} && {u}"), None),
        (format!("true || {u}"), t),
        (format!("{u} || true"), t),
        (format!("false || {u}"), None),
        (format!("{u} || false"), None),
        (format!("!({u})"), None),
        ("has(role.o)".into(), None),
        ("role.o == null".into(), None),
        ("has(role.o) && role.o == 'x'".into(), None),
        ("role.i == role.j".into(), None),
        (format!("({u}) ? 1 : 1"), Some("1")),
        (format!("({u}) ? 1 : 2"), None),
        // A list known in part: what was seen can decide.
        ("role.xs.exists(x, x == 2)".into(), t),
        ("role.xs.exists(x, x == 3)".into(), None),
        ("role.xs.all(x, x < 2)".into(), f),
        ("role.xs.all(x, x < 9)".into(), None),
        ("role.xs.exists_one(x, x > 0)".into(), f),
        ("role.xs.exists_one(x, x > 1)".into(), None),
        ("2 in role.xs".into(), t),
        ("3 in role.xs".into(), None),
        ("role.xs.size() > 1".into(), t),
        ("1 < role.xs.size()".into(), t),
        ("role.xs.size() > 2".into(), None),
        ("role.xs.size() < 2".into(), f),
        ("role.xs.size() == 1".into(), f),
        ("role.xs.size() != 1".into(), t),
        ("role.xs.filter(x, x > 1).size() >= 1".into(), t),
        ("role.xs.map(x, x * 2).exists(x, x == 4)".into(), t),
        ("role.xs.distinct().size() > 1".into(), t),
        ("role.xs[0] == 1".into(), None),
        ("role.xs == [1]".into(), f),
        ("role.xs == [1, 2]".into(), None),
        ("role.xs.max() > 0".into(), None),
        // A whole list with an unknown element.
        ("role.names.size()".into(), Some("2")),
        ("role.names.exists(n, n == 'a')".into(), t),
        ("role.names.exists(n, n == 'b')".into(), None),
        ("role.names.all(n, n == 'b')".into(), f),
        ("role.names.filter(n, n == 'a').size() >= 1".into(), t),
        ("role.names.distinct().size() > 1".into(), None),
        ("[role.names].flatten().exists(n, n == 'a')".into(), t),
        ("[role.names].flatten().exists(n, n == 'b')".into(), None),
        ("[role.xs].flatten().size() > 9".into(), None),
        ("role.names == ['b', 'c']".into(), f),
        ("role.names.join(',')".into(), None),
        ("'a' in role.names".into(), t),
        ("role.s in []".into(), f),
        // An error beside something that decides, or that may.
        ("1 / 0 > 0 || true".into(), t),
        ("1 / 0 > 0 && false".into(), f),
        (format!("1 / 0 > 0 && {u}"), None),
    ] {
        let answer = judge(&source, &role).unwrap();
        let shown = if matches!(answer, Value::Unknown(_)) { None } else { Some(answer.to_json().to_string()) };
        assert_eq!(shown.as_deref(), expect, "{source}");
    }
}

#[test]
fn reasons_are_merged_without_repetition() {
    let mut facts = plain();
    facts[2] = Value::unknown("b");
    facts[3] = Value::unknown("a");
    let Ok(Value::Unknown(why)) = judge("role.i > 0 && role.j > 0 && role.i > role.j", &role(facts)) else { panic!() };
    assert_eq!(why.to_vec(), ["a", "b"]);
}

#[test]
fn functions() {
    let role = role(plain());
    for (source, expect) in [
        ("role.names.join('-') + role.s.upperAscii()", r#""a-bAB""#),
        ("'a,b,,c'.split(',')", r#"["a","b","","c"]"#),
        ("role.xs.distinct()", "[1,2]"),
        ("[role.xs, [7]].flatten().size()", "4"),
        ("role.names.map(n, [n, n + n]).flatten().join(' ')", r#""a aa b bb""#),
        ("[3, 1].min() + max(4, 5)", "6"),
        ("7 / 2 * 2 + 7 % 2 - -1", "8"),
        ("1.5 * 2.0 >= 3.0", "true"),
        ("'é'.size()", "1"),
        ("{'a': 1, 'b': 2}.keys()", r#"["a","b"]"#),
        ("{'a': 1}['b'].orValue(3)", "3"),
        ("'b' in {'a': 1}", "false"),
        ("now - duration('36h') > timestamp('2026-05-30T11:00:00Z')", "true"),
        ("string(now - timestamp('2026-05-30'))", r#""2d""#),
        ("string(now) + string(1) + string(true)", r#""2026-06-01T00:00:00Z1true""#),
        ("int('12') + int(2.9)", "14"),
        ("double(2) + double('0.5')", "2.5"),
        ("glob.lookup({'*': 1, 'pay-*': 2, 'pay-eu*': 3}, 'pay-eu-1')", "3"),
        ("glob.lookup({'pay-*': 2}, 'web', 9)", "9"),
        ("glob.matches('a?c*', 'abcd')", "true"),
        ("'eks-payments'.matches('^eks-[a-z]+$')", "true"),
        ("role.xs.map(x, x > 1, x * 10)", "[20,20]"),
        ("role.o.orValue('none')", r#""none""#),
        ("has(role.o) ? role.o : 'none'", r#""none""#),
        ("role.o == null || role.o.size() == 0", "true"),
        ("!has(role.o) || role.o.size() == 0", "true"),
        ("' a '.trim().contains('a') && 'abc'.endsWith('c') && 'abc'.lowerAscii().startsWith('ab')", "true"),
    ] {
        assert_eq!(judge(source, &role).unwrap().to_json().to_string(), expect, "{source}");
    }
}

#[test]
fn what_fails_is_an_error_and_not_an_answer() {
    let role = role(plain());
    for (source, expect) in [
        ("1 / 0", "a number is divided by zero"),
        ("1 % 0", "a number is divided by zero"),
        ("9223372036854775807 + 1", "a number is too large"),
        ("-(-9223372036854775807 - 1)", "a number is too large"),
        ("role.xs[3]", "there is no element 3 in a list of 3"),
        ("role.xs[-1]", "there is no element -1 in a list of 3"),
        ("int('x')", "`x` is not a whole number"),
        ("role.xs.filter(x, x > 5).max()", "an empty list has neither minimum nor maximum"),
        (
            "glob.lookup({'a': 1}, 'b')",
            "no key of the map matches `b`; add `*`, or give `glob.lookup` a third argument",
        ),
        ("role.xs.exists(x, x / 0 > 1)", "a number is divided by zero"),
    ] {
        assert_eq!(judge(source, &role).unwrap_err().message(), expect, "{source}");
    }
}

#[test]
fn cost_is_bounded_and_nothing_absorbs_it() {
    let mut facts = plain();
    facts[6] = Value::list((0..1000).map(Value::Int));
    let role = role(facts);
    for source in [
        "role.xs.exists(x, role.xs.exists(y, x + y < 0))",
        "role.xs.exists(x, role.xs.exists(y, x + y < 0)) || true",
        "!(role.xs.all(x, role.xs.all(y, x + y >= 0)) && false)",
        "role.xs.map(x, role.xs + role.xs).exists(l, 5 in l)",
    ] {
        assert_eq!(judge(source, &role).unwrap_err(), Fault::Cost, "{source}");
    }
}

#[test]
fn texts_do_not_grow_without_bound() {
    let mut facts = plain();
    facts[4] = Value::text("x".repeat(40_000));
    let message = judge("role.s + role.s", &role(facts)).unwrap_err().message();
    assert_eq!(message, "a text has more than 65536 bytes");
}

// Expressions that are well typed by construction.

fn simple_int(element: bool) -> BoxedStrategy<String> {
    let mut leaves = vec!["0", "1", "2", "-1", "role.i", "role.j"];
    if element {
        leaves.extend(["e.n", "e.n", "e.n"]);
    }
    prop::sample::select(leaves).prop_map(str::to_owned).boxed()
}

fn simple_bool(element: bool) -> BoxedStrategy<String> {
    let mut leaves = vec!["role.p", "role.q", "has(role.o)", "role.o == null", "(has(role.o) && role.o == 'a')"];
    if element {
        leaves.extend(["e.flag", "e.flag", "has(e.tag)", "(e.tag != null && e.tag == role.s)"]);
    }
    let leaf = prop::sample::select(leaves).prop_map(str::to_owned);
    let compare = (simple_int(element), prop::sample::select(vec!["<", "<=", "==", "!=", ">"]), simple_int(element))
        .prop_map(|(a, o, b)| format!("{a} {o} {b}"));
    prop_oneof![leaf, compare].boxed()
}

fn element_bool() -> BoxedStrategy<String> {
    (simple_bool(true), prop::sample::select(vec!["&&", "||"]), simple_bool(true), any::<bool>())
        .prop_map(|(a, o, b, n)| if n { format!("!({a} {o} {b})") } else { format!("{a} {o} {b}") })
        .boxed()
}

fn int_list() -> BoxedStrategy<String> {
    let x = |op: &'static str| simple_int(false).prop_map(move |i| format!("role.xs.filter(v, v {op} {i})"));
    prop_oneof![
        Just("role.xs".to_owned()),
        x(">"),
        x("=="),
        Just("role.items.map(e, e.n)".to_owned()),
        element_bool().prop_map(|b| format!("role.items.map(e, {b}, e.n)")),
        element_bool().prop_map(|b| format!("role.items.filter(e, {b}).map(f, f.n)")),
        Just("(role.xs + role.items.map(e, e.n))".to_owned()),
        Just("role.xs.distinct()".to_owned()),
        Just("role.items.map(e, e.n).distinct()".to_owned()),
    ]
    .boxed()
}

fn int_expr() -> BoxedStrategy<String> {
    prop_oneof![
        3 => simple_int(false),
        2 => int_list().prop_map(|l| format!("{l}.size()")),
        1 => int_list().prop_map(|l| format!("{l}.max()")),
        1 => (int_list(), simple_int(false)).prop_map(|(l, i)| format!("{l}[{i}]")),
        1 => (simple_int(false), prop::sample::select(vec!["+", "-", "*", "/", "%"]), simple_int(false))
            .prop_map(|(a, o, b)| format!("({a} {o} {b})")),
        1 => (simple_bool(false), simple_int(false), simple_int(false)).prop_map(|(c, a, b)| format!("(({c}) ? {a} : {b})")),
        1 => Just("role.names.distinct().size()".to_owned()),
    ]
    .boxed()
}

fn text_expr() -> BoxedStrategy<String> {
    prop::sample::select(vec![
        "'a'",
        "role.s",
        "(role.s + 'a')",
        "role.names.join('-')",
        "role.names[0]",
        "role.o.orValue('b')",
        "string(role.i)",
        "(has(role.o) ? role.o : role.s)",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

fn bool_expr() -> impl Strategy<Value = String> {
    let compare = prop::sample::select(vec!["<", "<=", "==", "!=", ">", ">="]);
    let leaf = prop_oneof![
        2 => simple_bool(false),
        4 => (int_expr(), compare, int_expr()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        1 => (text_expr(), prop::sample::select(vec!["==", "!=", "<"]), text_expr()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        1 => (text_expr(), text_expr()).prop_map(|(a, b)| format!("{a}.contains({b})")),
        1 => text_expr().prop_map(|a| format!("{a}.matches('^a+')")),
        1 => text_expr().prop_map(|a| format!("{a} in role.names")),
        2 => (int_expr(), int_list()).prop_map(|(a, l)| format!("{a} in {l}")),
        1 => (int_list(), int_list()).prop_map(|(a, b)| format!("{a} == {b}")),
        3 => (prop::sample::select(vec!["exists", "all", "exists_one"]), element_bool())
            .prop_map(|(how, b)| format!("role.items.{how}(e, {b})")),
        2 => (prop::sample::select(vec!["exists", "all", "exists_one"]), int_list(), simple_int(false))
            .prop_map(|(how, l, i)| format!("{l}.{how}(w, w > {i})")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) && ({b}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) || ({b}))")),
            (inner.clone(), inner.clone(), inner).prop_map(|(c, a, b)| format!("(({c}) ? ({a}) : ({b}))")),
        ]
    })
}

/// A value, and what is known of it.
type Seen = (Value, Value);

fn seen(values: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Seen> {
    (values, prop::bool::weighted(0.3))
        .prop_map(|(value, hidden)| {
            let shown = if hidden { Value::unknown("hidden") } else { value.clone() };
            (value, shown)
        })
        .boxed()
}

fn seen_list(of: BoxedStrategy<Seen>) -> BoxedStrategy<Seen> {
    (prop::collection::vec((of, prop::bool::weighted(0.8)), 0..4), 0..4_u8)
        .prop_map(|(items, mode)| {
            let whole = Value::list(items.iter().map(|((value, _), _)| value.clone()));
            let shown = match mode {
                0 => Value::unknown("no list"),
                1 => Value::list(items.iter().map(|((_, shown), _)| shown.clone())),
                _ => Value::list_seen(
                    items.iter().filter(|(_, kept)| *kept).map(|((_, shown), _)| shown.clone()),
                    if items.iter().all(|(_, kept)| *kept) && mode == 2 { None } else { Some(Reasons::one("in part")) },
                ),
            };
            (whole, shown)
        })
        .boxed()
}

fn number() -> BoxedStrategy<Seen> {
    seen((-1..4_i64).prop_map(Value::Int))
}

fn truth() -> BoxedStrategy<Seen> {
    seen(any::<bool>().prop_map(Value::Bool))
}

fn word() -> BoxedStrategy<Seen> {
    seen(prop::sample::select(vec!["", "a", "ab", "b"]).prop_map(Value::from))
}

fn maybe_word() -> BoxedStrategy<Seen> {
    seen(prop::sample::select(vec![Value::Null, Value::from("a"), Value::from("b")]))
}

fn facts() -> impl Strategy<Value = Seen> {
    let both = |fields: Vec<Seen>| -> Seen {
        let (whole, shown): (Vec<Value>, Vec<Value>) = fields.into_iter().unzip();
        (Value::object(Facts(whole)), Value::object(Facts(shown)))
    };
    let item = (truth(), number(), maybe_word()).prop_map(move |(a, b, c)| both(vec![a, b, c])).boxed();
    (
        (truth(), truth(), number(), number(), word()),
        (maybe_word(), seen_list(number()), seen_list(word()), seen_list(item)),
    )
        .prop_map(move |((p, q, i, j, s), (o, xs, names, items))| both(vec![p, q, i, j, s, o, xs, names, items]))
}

fn lawful(source: &str, whole: &Value, shown: &Value) -> Result<(), TestCaseError> {
    let schema = schema();
    let scope =
        Scope { schema: &schema, subject: ("role", Type::object("Role")), element: None, because: false, params: &[] };
    let checked = check::check(source, &scope);
    // `has(role.o) ? … role.o.orValue(…) …` is refused, and rightly: there the field is present.
    if checked.as_ref().err().is_some_and(|all| all.iter().all(|m| m.message.ends_with("is never absent here"))) {
        return Ok(());
    }
    prop_assert!(checked.is_ok(), "{source}: {:?}", checked.err());
    let Ok(checked) = checked else { return Ok(()) };
    let full = run(&checked.ir, whole);
    prop_assert!(!matches!(full, Ok(Value::Unknown(_))), "{source}: unknown of known facts");
    // What the checker lets through may fail on numbers and indices, never on types.
    if let Err(Fault::Operation(why)) = &full {
        let allowed = ["divided by zero", "too large", "no element", "empty list"];
        prop_assert!(allowed.iter().any(|allowed| why.contains(allowed)), "{source}: {why}");
    }
    match (run(&checked.ir, shown), full) {
        (Ok(Value::Unknown(_)) | Err(_), _) | (Ok(_), Err(_)) => {}
        (Ok(known), Ok(full)) => prop_assert_eq!(known, full, "{}", source),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// An answer that is known although facts are missing is the answer when they are all there.
    #[test]
    fn missing_facts_never_make_another_answer(
        source in bool_expr(), all in prop::collection::vec(facts(), 12),
    ) {
        for (whole, shown) in all {
            lawful(&source, &whole, &shown)?;
        }
    }

    #[test]
    fn nor_of_numbers_and_texts(
        source in prop_oneof![int_expr(), text_expr()], all in prop::collection::vec(facts(), 8),
    ) {
        for (whole, shown) in all {
            lawful(&source, &whole, &shown)?;
        }
    }
}
