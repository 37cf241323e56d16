//! A condition that is certain while its key is open holds whatever the key turns out to be, and a
//! negated operator says the opposite of its positive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_iam::condition::{Condition, Context, Operator};
use rolecall_iam::{Truth, Version};

const PAIRS: [(&str, &str); 6] = [
    ("StringEquals", "StringNotEquals"),
    ("StringLike", "StringNotLike"),
    ("NumericEquals", "NumericNotEquals"),
    ("DateEquals", "DateNotEquals"),
    ("IpAddress", "NotIpAddress"),
    ("ArnLike", "ArnNotLike"),
];

fuzz_target!(|input: (String, Vec<String>, String, u8)| {
    let (operator, values, actual, pair) = input;
    let values: Vec<String> = values.into_iter().map(|v| v.replace("${", "$ {")).collect();
    let condition =
        |operator: &str| Condition::new(Operator::read(operator), "k:k", values.clone(), String::new());
    let holds = |operator: &str, context: &Context| condition(operator).holds(context, Version::V2012);
    let known = Context::closed().set("k:k", [actual]);
    let open = holds(&operator, &Context::open());
    if open == Truth::True || open == Truth::False {
        for context in [&known, &Context::closed()] {
            let closed = holds(&operator, context);
            assert!(closed == open || matches!(closed, Truth::Unknown(_)), "{operator}");
        }
    }
    let (positive, negated) = PAIRS[usize::from(pair) % PAIRS.len()];
    let (positive, negated) = (holds(positive, &known), holds(negated, &known));
    // Both at once is false only of what cannot be compared, and then the negated one is unknown.
    assert!(!(positive.is_true() && !negated.is_false()), "{positive:?} {negated:?}");
    assert!(!(negated.is_true() && !positive.is_false()), "{positive:?} {negated:?}");
});
