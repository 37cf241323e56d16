//! Judges a checked expression: three-valued, and bounded in steps and sizes.
//!
//! What is not known stays unknown unless it cannot matter: `false && unknown` is false, a list known
//! in part can already hold what is asked for. An answer that is known here is the answer for every
//! way in which the unknown could turn out. Refuses to know what a rule is.

use super::cel::{Arith, Comparison, Each};
use super::ir::{Builtin, Ir, SLOTS};
use super::text;
use super::value::{List, Reasons, Value};
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

/// Steps that one judgement may take.
pub(super) const MOST_STEPS: u32 = 200_000;
/// Elements that a list may have which a rule makes.
const LONGEST_LIST: usize = 100_000;
/// Bytes that a text may have which a rule makes.
const LONGEST_TEXT: usize = 64 * 1024;

/// Why there is no answer: the rule itself failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// An operation failed; `false && fault` is still false.
    Operation(Box<str>),
    /// The limit is reached: nothing may absorb it.
    Cost,
}

impl Fault {
    fn new(message: impl Into<Box<str>>) -> Self {
        Self::Operation(message.into())
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Operation(message) => message.to_string(),
            Self::Cost => format!("the rule took more than {MOST_STEPS} steps on this subject and was stopped"),
        }
    }
}

type Answer = Result<Value, Fault>;

/// What an expression is judged with.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    slots: [&'a Value; SLOTS],
    params: &'a [Value],
    steps: &'a Cell<u32>,
    /// Whether a list known in part is taken as it was seen, and its unknown elements are left out:
    /// for messages and evidence, which show what there is and decide nothing.
    showing: bool,
}

static NULL: Value = Value::Null;

impl<'a> Context<'a> {
    pub(super) fn new(params: &'a [Value], steps: &'a Cell<u32>) -> Self {
        Self { slots: [&NULL; SLOTS], params, steps, showing: false }
    }

    pub(super) fn showing(self) -> Self {
        Self { showing: true, ..self }
    }

    pub(super) fn afresh<'b>(self, steps: &'b Cell<u32>) -> Context<'b>
    where
        'a: 'b,
    {
        Context { slots: self.slots, params: self.params, steps, showing: self.showing }
    }

    #[must_use]
    pub(super) fn with<'b>(self, slot: usize, value: &'b Value) -> Context<'b>
    where
        'a: 'b,
    {
        let mut slots: [&'b Value; SLOTS] = self.slots;
        if let Some(place) = slots.get_mut(slot) {
            *place = value;
        }
        Context { slots, params: self.params, steps: self.steps, showing: self.showing }
    }

    fn step(&self, count: usize) -> Result<(), Fault> {
        let left = self.steps.get().checked_sub(u32::try_from(count).unwrap_or(u32::MAX));
        self.steps.set(left.unwrap_or(0));
        if left.is_some() { Ok(()) } else { Err(Fault::Cost) }
    }

    fn missing<'l>(&self, list: &'l List) -> Option<&'l Reasons> {
        if self.showing { None } else { list.missing() }
    }
}

/// A value, borrowed where it stands in the context.
enum Held<'a> {
    Here(&'a Value),
    Made(Value),
}

impl Deref for Held<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Here(value) => value,
            Self::Made(value) => value,
        }
    }
}

fn hold<'a>(ir: &'a Ir, cx: &Context<'a>) -> Result<Held<'a>, Fault> {
    Ok(match ir {
        Ir::Const(value) => Held::Here(value),
        Ir::Slot(slot) => cx.slots.get(*slot).copied().map_or(Held::Made(Value::Null), Held::Here),
        Ir::Param(index) => cx.params.get(*index).map_or(Held::Made(Value::Null), Held::Here),
        ir => Held::Made(eval(ir, cx)?),
    })
}

/// Judges an expression.
pub(super) fn eval(ir: &Ir, cx: &Context<'_>) -> Answer {
    cx.step(1)?;
    match ir {
        Ir::Const(value) => Ok(value.clone()),
        Ir::Slot(slot) => Ok(cx.slots.get(*slot).map_or(Value::Null, |value| (*value).clone())),
        Ir::Param(index) => Ok(cx.params.get(*index).cloned().unwrap_or(Value::Null)),
        Ir::Field(of, field) => match &*hold(of, cx)? {
            Value::Object(object) => Ok(object.get(*field)),
            Value::Unknown(why) => Ok(Value::Unknown(why.clone())),
            other => Err(Fault::new(format!("{} has no fields", other.kind()))),
        },
        Ir::Present(of) => Ok(match &*hold(of, cx)? {
            Value::Unknown(why) => Value::Unknown(why.clone()),
            Value::Null => Value::Bool(false),
            _ => Value::Bool(true),
        }),
        Ir::Not(of) => Ok(match eval(of, cx)? {
            Value::Bool(b) => Value::Bool(!b),
            other => other,
        }),
        Ir::Negate(of) => match eval(of, cx)? {
            Value::Int(n) => n.checked_neg().map(Value::Int).ok_or_else(overflow),
            Value::Double(n) => Ok(Value::Double(-n)),
            Value::Duration(d) => Ok(Value::Duration(-d)),
            other => Ok(other),
        },
        Ir::And(parts) => junction(parts.iter().map(|part| eval(part, cx)), false),
        Ir::Or(parts) => junction(parts.iter().map(|part| eval(part, cx)), true),
        Ir::Cond(three) => condition(three, cx),
        Ir::Compare(how, sides) => compare(*how, sides, cx),
        Ir::Arith(how, sides) => arith(*how, sides, cx),
        Ir::In(sides) => {
            let [item, list] = sides.as_ref();
            let (item, list) = (hold(item, cx)?, hold(list, cx)?);
            membership(&item, &list, cx)
        }
        Ir::Index(sides) => {
            let [of, index] = sides.as_ref();
            let (of, index) = (hold(of, cx)?, hold(index, cx)?);
            element(&of, &index, cx)
        }
        Ir::List(items) => {
            let items: Vec<Value> = items.iter().map(|item| eval(item, cx)).collect::<Result<_, _>>()?;
            Ok(Value::list(items))
        }
        Ir::Map(entries) => {
            let mut map = BTreeMap::new();
            for (key, value) in entries {
                match eval(key, cx)? {
                    Value::Str(key) => {
                        map.insert(key, eval(value, cx)?);
                    }
                    other => return Ok(other),
                }
            }
            Ok(Value::Map(Arc::new(map)))
        }
        Ir::Each { how, list, slot, only, body } => {
            let list = hold(list, cx)?;
            match &*list {
                Value::List(list) => each(*how, list, *slot, only.as_deref(), body, cx),
                Value::Unknown(why) => Ok(Value::Unknown(why.clone())),
                other => Err(Fault::new(format!("{} is not a list", other.kind()))),
            }
        }
        Ir::Call(builtin, args) => call(*builtin, args, cx),
        Ir::Matches(of, regex) => match &*hold(of, cx)? {
            Value::Str(text) => {
                cx.step(text.len() / 16)?;
                Ok(Value::Bool(regex.is_match(text)))
            }
            other => Ok(other.clone()),
        },
        Ir::Native { name, native, args } => {
            let args: Vec<Value> = args.iter().map(|arg| eval(arg, cx)).collect::<Result<_, _>>()?;
            if let Some(why) = unknowns(args.iter()) {
                return Ok(Value::Unknown(why));
            }
            for arg in &args {
                if let Value::Object(object) = arg
                    && let Some(answer) = object.answer(name)
                {
                    return Ok(answer);
                }
            }
            let answer = native(&args).map_err(Fault::new)?;
            if let Value::List(list) = &answer {
                cx.step(list.items().len())?;
            }
            Ok(answer)
        }
    }
}

fn overflow() -> Fault {
    Fault::new("a number is too large")
}

/// The reasons of all that is unknown; `None` where everything is known.
fn unknowns<'v>(values: impl Iterator<Item = &'v Value>) -> Option<Reasons> {
    let mut all: Option<Reasons> = None;
    for value in values {
        if let Value::Unknown(why) = value {
            merge(&mut all, why);
        }
    }
    all
}

fn merge(all: &mut Option<Reasons>, why: &Reasons) {
    *all = Some(all.as_ref().map_or_else(|| why.clone(), |all| all.and(why)));
}

/// `||` where `decides` is true, `&&` where it is false. Unknown goes before fault, since the
/// unknown side might have decided.
fn junction(answers: impl Iterator<Item = Answer>, decides: bool) -> Answer {
    let mut unknown = None;
    let mut fault = None;
    for answer in answers {
        match answer {
            Ok(Value::Bool(b)) if b == decides => return Ok(Value::Bool(decides)),
            Ok(Value::Bool(_)) => {}
            Ok(Value::Unknown(why)) => merge(&mut unknown, &why),
            Ok(other) => return Err(Fault::new(format!("{} is neither true nor false", other.kind()))),
            Err(Fault::Cost) => return Err(Fault::Cost),
            Err(operation) => fault = fault.or(Some(operation)),
        }
    }
    match (unknown, fault) {
        (Some(why), _) => Ok(Value::Unknown(why)),
        (None, Some(fault)) => Err(fault),
        (None, None) => Ok(Value::Bool(!decides)),
    }
}

fn condition(three: &[Ir; 3], cx: &Context<'_>) -> Answer {
    let [test, yes, no] = three;
    let why = match eval(test, cx)? {
        Value::Bool(true) => return eval(yes, cx),
        Value::Bool(false) => return eval(no, cx),
        Value::Unknown(why) => why,
        other => return Err(Fault::new(format!("{} is neither true nor false", other.kind()))),
    };
    let mut sides = Vec::new();
    for side in [yes, no] {
        match eval(side, cx) {
            Ok(value) => sides.push(value),
            Err(Fault::Cost) => return Err(Fault::Cost),
            Err(Fault::Operation(_)) => {}
        }
    }
    if let [a, b] = sides.as_slice()
        && equal(a, b, cx)? == Value::Bool(true)
    {
        return Ok(a.clone());
    }
    let mut all = Some(why);
    if let Some(more) = unknowns(sides.iter()) {
        merge(&mut all, &more);
    }
    Ok(all.map_or(Value::Null, Value::Unknown))
}

/// `==`: unknown unless a difference shows.
fn equal(a: &Value, b: &Value, cx: &Context<'_>) -> Answer {
    Ok(match (a, b) {
        (Value::Unknown(_), _) | (_, Value::Unknown(_)) => {
            unknowns([a, b].into_iter()).map_or(Value::Null, Value::Unknown)
        }
        (Value::List(a), Value::List(b)) => {
            let mut unknown = None;
            let (x, y) = (a.items(), b.items());
            match (cx.missing(a), cx.missing(b)) {
                // The order of what was not seen is not known, so only the count can differ.
                (None, Some(_)) if y.len() > x.len() => return Ok(Value::Bool(false)),
                (Some(_), None) if x.len() > y.len() => return Ok(Value::Bool(false)),
                (None, None) => {
                    if x.len() != y.len() {
                        return Ok(Value::Bool(false));
                    }
                    for (x, y) in x.iter().zip(y) {
                        cx.step(1)?;
                        match equal(x, y, cx)? {
                            Value::Bool(false) => return Ok(Value::Bool(false)),
                            Value::Unknown(why) => merge(&mut unknown, &why),
                            _ => {}
                        }
                    }
                }
                (m, n) => m.iter().chain(n.iter()).for_each(|why| merge(&mut unknown, why)),
            }
            unknown.map_or(Value::Bool(true), Value::Unknown)
        }
        (Value::Map(a), Value::Map(b)) => {
            if !a.keys().eq(b.keys()) {
                return Ok(Value::Bool(false));
            }
            let mut unknown = None;
            for (x, y) in a.values().zip(b.values()) {
                cx.step(1)?;
                match equal(x, y, cx)? {
                    Value::Bool(false) => return Ok(Value::Bool(false)),
                    Value::Unknown(why) => merge(&mut unknown, &why),
                    _ => {}
                }
            }
            unknown.map_or(Value::Bool(true), Value::Unknown)
        }
        (Value::Str(a), Value::Str(b)) => Value::Bool(a == b),
        (a, b) => Value::Bool(a == b),
    })
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn holds(how: Comparison, order: Ordering) -> bool {
    match how {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

fn compare(how: Comparison, sides: &[Ir; 2], cx: &Context<'_>) -> Answer {
    let [left, right] = sides;
    // `x.size() > 1` of a list that is known in part: what was seen may settle it.
    for (counted, other, how) in [(left, right, how), (right, left, how.turned())] {
        if let Ir::Call(Builtin::Size, args) = counted
            && let [list] = args.as_slice()
        {
            let list = hold(list, cx)?;
            let Value::List(list) = &*list else { continue };
            let Some(why) = cx.missing(list) else { continue };
            let seen = i64::try_from(list.items().len()).unwrap_or(i64::MAX);
            return Ok(match eval(other, cx)? {
                Value::Int(n) => at_least(seen, how, n).map_or_else(|| Value::Unknown(why.clone()), Value::Bool),
                Value::Unknown(more) => Value::Unknown(why.and(&more)),
                _ => Value::Unknown(why.clone()),
            });
        }
    }
    let (a, b) = (hold(left, cx)?, hold(right, cx)?);
    match how {
        Comparison::Equal => equal(&a, &b, cx),
        Comparison::NotEqual => Ok(match equal(&a, &b, cx)? {
            Value::Bool(b) => Value::Bool(!b),
            other => other,
        }),
        how => {
            if let Some(why) = unknowns([&*a, &*b].into_iter()) {
                return Ok(Value::Unknown(why));
            }
            // Not a number compares with nothing.
            match order(&a, &b) {
                Some(order) => Ok(Value::Bool(holds(how, order))),
                None if matches!((&*a, &*b), (Value::Double(_), Value::Double(_))) => Ok(Value::Bool(false)),
                None => Err(Fault::new(format!("{} cannot be compared with {}", a.kind(), b.kind()))),
            }
        }
    }
}

/// `n how limit` for some `n >= seen`: settled where it is the same for all of them.
fn at_least(seen: i64, how: Comparison, limit: i64) -> Option<bool> {
    match how {
        Comparison::Greater if seen > limit => Some(true),
        Comparison::GreaterOrEqual if seen >= limit => Some(true),
        Comparison::NotEqual if seen > limit => Some(true),
        Comparison::Equal if seen > limit => Some(false),
        Comparison::Less if seen >= limit => Some(false),
        Comparison::LessOrEqual if seen > limit => Some(false),
        _ => None,
    }
}

fn arith(how: Arith, sides: &[Ir; 2], cx: &Context<'_>) -> Answer {
    let [left, right] = sides;
    let (a, b) = (hold(left, cx)?, hold(right, cx)?);
    if cx.showing
        && let (Arith::Add, list @ Value::List(_), Value::Unknown(_))
        | (Arith::Add, Value::Unknown(_), list @ Value::List(_)) = (how, &*a, &*b)
    {
        return Ok(list.clone());
    }
    if let Some(why) = unknowns([&*a, &*b].into_iter()) {
        return Ok(Value::Unknown(why));
    }
    let out_of_range = || Fault::new("a moment or span of time is out of range");
    match (how, &*a, &*b) {
        (Arith::Add, Value::Str(a), Value::Str(b)) => join_texts(&[a, b], "", cx),
        (Arith::Add, Value::List(a), Value::List(b)) => {
            let length = a.items().len() + b.items().len();
            cx.step(length)?;
            if length > LONGEST_LIST {
                return Err(Fault::new(format!("a list has more than {LONGEST_LIST} elements")));
            }
            let mut missing = a.missing().cloned();
            if let Some(why) = b.missing() {
                merge(&mut missing, why);
            }
            Ok(Value::list_seen(a.items().iter().chain(b.items()).cloned(), missing))
        }
        (how, Value::Int(a), Value::Int(b)) => {
            let zero = *b == 0 && matches!(how, Arith::Divide | Arith::Modulo);
            if zero {
                return Err(Fault::new("a number is divided by zero"));
            }
            let result = match how {
                Arith::Add => a.checked_add(*b),
                Arith::Subtract => a.checked_sub(*b),
                Arith::Multiply => a.checked_mul(*b),
                Arith::Divide => a.checked_div(*b),
                Arith::Modulo => a.checked_rem(*b),
            };
            result.map(Value::Int).ok_or_else(overflow)
        }
        (how, Value::Double(a), Value::Double(b)) => Ok(Value::Double(match how {
            Arith::Add => a + b,
            Arith::Subtract => a - b,
            Arith::Multiply => a * b,
            Arith::Divide => a / b,
            Arith::Modulo => a % b,
        })),
        (Arith::Add, Value::Timestamp(t), Value::Duration(d))
        | (Arith::Add, Value::Duration(d), Value::Timestamp(t)) => {
            t.checked_add_signed(*d).map(Value::Timestamp).ok_or_else(out_of_range)
        }
        (Arith::Subtract, Value::Timestamp(t), Value::Duration(d)) => {
            t.checked_sub_signed(*d).map(Value::Timestamp).ok_or_else(out_of_range)
        }
        (Arith::Subtract, Value::Timestamp(a), Value::Timestamp(b)) => Ok(Value::Duration(a.signed_duration_since(*b))),
        (Arith::Add, Value::Duration(a), Value::Duration(b)) => {
            a.checked_add(b).map(Value::Duration).ok_or_else(out_of_range)
        }
        (Arith::Subtract, Value::Duration(a), Value::Duration(b)) => {
            a.checked_sub(b).map(Value::Duration).ok_or_else(out_of_range)
        }
        (how, a, b) => Err(Fault::new(format!("`{}` does not apply to {} and {}", how.symbol(), a.kind(), b.kind()))),
    }
}

fn join_texts(parts: &[&str], separator: &str, cx: &Context<'_>) -> Answer {
    let length: usize = parts.iter().map(|part| part.len() + separator.len()).sum();
    cx.step(length / 64)?;
    if length > LONGEST_TEXT {
        return Err(Fault::new(format!("a text has more than {LONGEST_TEXT} bytes")));
    }
    Ok(Value::text(parts.join(separator)))
}

fn membership(item: &Value, list: &Value, cx: &Context<'_>) -> Answer {
    match (item, list) {
        (Value::Unknown(_), Value::List(list)) if list.items().is_empty() && cx.missing(list).is_none() => {
            Ok(Value::Bool(false))
        }
        (Value::Unknown(_), _) | (_, Value::Unknown(_)) => {
            Ok(unknowns([item, list].into_iter()).map_or(Value::Null, Value::Unknown))
        }
        (item, Value::List(list)) => {
            let mut unknown = cx.missing(list).cloned();
            for other in list.items() {
                cx.step(1)?;
                match equal(item, other, cx)? {
                    Value::Bool(true) => return Ok(Value::Bool(true)),
                    Value::Unknown(why) => merge(&mut unknown, &why),
                    _ => {}
                }
            }
            Ok(unknown.map_or(Value::Bool(false), Value::Unknown))
        }
        (Value::Str(key), Value::Map(map)) => Ok(Value::Bool(map.contains_key(key))),
        (_, other) => Err(Fault::new(format!("{} is neither a list nor a map", other.kind()))),
    }
}

fn element(of: &Value, index: &Value, cx: &Context<'_>) -> Answer {
    if let Some(why) = unknowns([of, index].into_iter()) {
        return Ok(Value::Unknown(why));
    }
    match (of, index) {
        (Value::List(list), Value::Int(index)) => {
            if let Some(why) = cx.missing(list) {
                return Ok(Value::Unknown(why.clone()));
            }
            let found = usize::try_from(*index).ok().and_then(|index| list.items().get(index));
            found
                .cloned()
                .ok_or_else(|| Fault::new(format!("there is no element {index} in a list of {}", list.items().len())))
        }
        (Value::Map(map), Value::Str(key)) => Ok(map.get(key).cloned().unwrap_or(Value::Null)),
        (of, _) => Err(Fault::new(format!("{} has no elements", of.kind()))),
    }
}

fn each(how: Each, list: &List, slot: usize, only: Option<&Ir>, body: &Ir, cx: &Context<'_>) -> Answer {
    let mut missing = cx.missing(list).cloned();
    let judged = |item: &Value| -> Answer {
        cx.step(1)?;
        eval(body, &cx.with(slot, item))
    };
    match how {
        Each::Exists | Each::All => {
            let decides = how == Each::Exists;
            let unseen = missing.map(|why| Ok(Value::Unknown(why)));
            junction(list.items().iter().map(judged).chain(unseen), decides)
        }
        Each::ExistsOne => {
            let mut found = 0;
            let mut fault = None;
            for item in list.items() {
                match judged(item) {
                    Ok(Value::Bool(true)) => found += 1,
                    Ok(Value::Unknown(why)) => merge(&mut missing, &why),
                    Ok(_) => {}
                    Err(Fault::Cost) => return Err(Fault::Cost),
                    Err(operation) => fault = fault.or(Some(operation)),
                }
                if found > 1 {
                    return Ok(Value::Bool(false));
                }
            }
            match (missing, fault) {
                (Some(why), _) => Ok(Value::Unknown(why)),
                (None, Some(fault)) => Err(fault),
                (None, None) => Ok(Value::Bool(found == 1)),
            }
        }
        Each::Filter => {
            // An element that may or may not belong is one that was perhaps not seen.
            let mut kept = Vec::new();
            for item in list.items() {
                match judged(item)? {
                    Value::Bool(true) => kept.push(item.clone()),
                    Value::Unknown(why) if !cx.showing => merge(&mut missing, &why),
                    _ => {}
                }
            }
            Ok(Value::list_seen(kept, missing))
        }
        Each::Map => {
            let mut made = Vec::with_capacity(list.items().len());
            for item in list.items() {
                cx.step(1)?;
                let cx = cx.with(slot, item);
                match only.map(|only| eval(only, &cx)).transpose()? {
                    None | Some(Value::Bool(true)) => made.push(eval(body, &cx)?),
                    Some(Value::Unknown(why)) if !cx.showing => merge(&mut missing, &why),
                    Some(_) => {}
                }
            }
            Ok(Value::list_seen(made, missing))
        }
    }
}

fn call(builtin: Builtin, args: &[Ir], cx: &Context<'_>) -> Answer {
    match args {
        [a] => {
            let a = hold(a, cx)?;
            match &*a {
                Value::Unknown(why) => Ok(Value::Unknown(why.clone())),
                a => one(builtin, a, cx),
            }
        }
        [a, b] => {
            let a = hold(a, cx)?;
            if builtin == Builtin::OrValue {
                return match &*a {
                    Value::Null => eval(b, cx),
                    value => Ok(value.clone()),
                };
            }
            let b = hold(b, cx)?;
            if builtin == Builtin::Evidence {
                return fact(&a, &b);
            }
            match unknowns([&*a, &*b].into_iter()) {
                Some(why) => Ok(Value::Unknown(why)),
                None => two(builtin, &a, &b, cx),
            }
        }
        [map, key, otherwise] => {
            let (map, key) = (hold(map, cx)?, hold(key, cx)?);
            match (unknowns([&*map, &*key].into_iter()), lookup(&map, &key)) {
                (Some(why), _) => Ok(Value::Unknown(why)),
                (None, Some(found)) => Ok(found),
                (None, None) => eval(otherwise, cx),
            }
        }
        _ => Err(Fault::new("a function was given the wrong number of arguments")),
    }
}

fn lookup(map: &Value, key: &Value) -> Option<Value> {
    let (Value::Map(map), Value::Str(key)) = (map, key) else { return None };
    let pattern = text::most_specific(map.keys().map(AsRef::as_ref), key)?;
    map.get(pattern).cloned()
}

fn fact(label: &Value, value: &Value) -> Answer {
    let Value::Str(label) = label else { return Ok(label.clone()) };
    Ok(Value::object(crate::verdict::Evidence {
        label: label.to_string(),
        document: None,
        source: "fact".to_owned(),
        pointer: String::new(),
        value: value.to_json(),
    }))
}

fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn one(builtin: Builtin, a: &Value, cx: &Context<'_>) -> Answer {
    let unreadable = |text: &str, what: &str| Fault::new(format!("`{text}` is not {what}"));
    Ok(match (builtin, a) {
        (Builtin::Size, Value::List(list)) => match cx.missing(list) {
            Some(why) => Value::Unknown(why.clone()),
            None => count(list.items().len()),
        },
        (Builtin::Size, Value::Map(map)) => count(map.len()),
        (Builtin::Size, Value::Str(text)) => {
            cx.step(text.len() / 64)?;
            count(text.chars().count())
        }
        (Builtin::LowerAscii, Value::Str(text)) => Value::text(text.to_ascii_lowercase()),
        (Builtin::UpperAscii, Value::Str(text)) => Value::text(text.to_ascii_uppercase()),
        (Builtin::Trim, Value::Str(text)) => Value::text(text.trim()),
        (Builtin::Keys, Value::Map(map)) => Value::list(map.keys().cloned().map(Value::Str)),
        (Builtin::Distinct, Value::List(list)) => distinct(list, cx)?,
        (Builtin::Flatten, Value::List(list)) => flatten(list, cx)?,
        (Builtin::Min | Builtin::Max, Value::List(list)) => extreme(builtin, list, cx)?,
        (Builtin::ToText, Value::Str(_)) => a.clone(),
        (Builtin::ToText, Value::Bool(b)) => Value::text(b.to_string()),
        (Builtin::ToText, Value::Int(n)) => Value::text(n.to_string()),
        (Builtin::ToText, Value::Double(n)) => Value::text(n.to_string()),
        (Builtin::ToText, Value::Timestamp(t)) => Value::text(t.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        (Builtin::ToText, Value::Duration(d)) => Value::text(text::print_duration(*d)),
        (Builtin::ToInt, Value::Int(_)) | (Builtin::ToDouble, Value::Double(_)) => a.clone(),
        (Builtin::ToInt, Value::Str(text)) => Value::Int(text.parse().map_err(|_| unreadable(text, "a whole number"))?),
        (Builtin::ToInt, Value::Double(n)) => Value::Int(whole(*n).ok_or_else(overflow)?),
        (Builtin::ToDouble, Value::Str(text)) => Value::Double(text.parse().map_err(|_| unreadable(text, "a number"))?),
        (Builtin::ToDouble, Value::Int(n)) => Value::Double(near(*n)),
        (Builtin::ToTimestamp, Value::Str(text)) => {
            Value::Timestamp(super::literal::read_timestamp(text).map_err(Fault::new)?)
        }
        (Builtin::ToDuration, Value::Str(text)) => Value::Duration(text::read_duration(text).map_err(Fault::new)?),
        (_, other) => return Err(Fault::new(format!("{} does not fit", other.kind()))),
    })
}

fn whole(n: f64) -> Option<i64> {
    // Printing is the conversion that never wraps; it is exact for whole numbers.
    if n.is_finite() { format!("{:.0}", n.trunc()).parse().ok() } else { None }
}

#[expect(clippy::cast_precision_loss, reason = "a double is what is asked for")]
fn near(n: i64) -> f64 {
    n as f64
}

fn two(builtin: Builtin, a: &Value, b: &Value, cx: &Context<'_>) -> Answer {
    Ok(match (builtin, a, b) {
        (Builtin::Contains, Value::Str(a), Value::Str(b)) => {
            cx.step(a.len() / 64)?;
            Value::Bool(a.contains(b.as_ref()))
        }
        (Builtin::StartsWith, Value::Str(a), Value::Str(b)) => Value::Bool(a.starts_with(b.as_ref())),
        (Builtin::EndsWith, Value::Str(a), Value::Str(b)) => Value::Bool(a.ends_with(b.as_ref())),
        (Builtin::MatchesParam, Value::Str(a), Value::Regex(regex)) => {
            cx.step(a.len() / 16)?;
            Value::Bool(regex.is_match(a))
        }
        (Builtin::GlobMatches, Value::Str(pattern), Value::Str(text)) => {
            cx.step(pattern.len().saturating_mul(text.len()) / 64)?;
            Value::Bool(text::matches(pattern, text))
        }
        (Builtin::GlobLookup, map, key) => lookup(map, key).ok_or_else(|| {
            let key = key.as_str().unwrap_or_default();
            Fault::new(format!("no key of the map matches `{key}`; add `*`, or give `glob.lookup` a third argument"))
        })?,
        (Builtin::Split, Value::Str(a), Value::Str(b)) => {
            cx.step(a.len() / 8)?;
            Value::texts(a.split(b.as_ref()))
        }
        (Builtin::Join, Value::List(list), Value::Str(separator)) => {
            let mut unknown = list.missing().cloned();
            let mut parts = Vec::new();
            for item in list.items() {
                cx.step(1)?;
                match item {
                    Value::Unknown(why) => merge(&mut unknown, why),
                    other => parts.push(other.as_str().unwrap_or_default()),
                }
            }
            match unknown {
                Some(why) if !cx.showing || parts.is_empty() => Value::Unknown(why),
                _ => join_texts(&parts, separator, cx)?,
            }
        }
        (Builtin::Min, a, b) => if order(a, b).is_some_and(Ordering::is_gt) { b } else { a }.clone(),
        (Builtin::Max, a, b) => if order(a, b).is_some_and(Ordering::is_lt) { b } else { a }.clone(),
        (_, a, b) => return Err(Fault::new(format!("{} and {} do not fit", a.kind(), b.kind()))),
    })
}

/// The elements of each list. What a list does not show, the whole does not show either.
fn flatten(lists: &List, cx: &Context<'_>) -> Answer {
    let mut missing = lists.missing().cloned();
    let mut items = Vec::new();
    for list in lists.items() {
        match list {
            Value::List(list) => {
                cx.step(1 + list.items().len())?;
                if let Some(why) = list.missing() {
                    merge(&mut missing, why);
                }
                items.extend(list.items().iter().cloned());
            }
            Value::Unknown(why) => merge(&mut missing, why),
            other => return Ok(other.clone()),
        }
    }
    Ok(Value::list_seen(items, missing))
}

/// The first of each. An unknown element may be one of the others, so it counts as not seen.
fn distinct(list: &List, cx: &Context<'_>) -> Answer {
    let mut missing = list.missing().cloned();
    let mut seen: Vec<Value> = Vec::new();
    let mut texts: BTreeSet<Arc<str>> = BTreeSet::new();
    for item in list.items() {
        cx.step(1)?;
        let new = match item {
            Value::Unknown(why) => {
                merge(&mut missing, why);
                false
            }
            Value::Str(text) => texts.insert(Arc::clone(text)),
            item => {
                let mut new = true;
                for other in &seen {
                    cx.step(1)?;
                    match equal(item, other, cx)? {
                        Value::Bool(false) => {}
                        Value::Unknown(why) => {
                            merge(&mut missing, &why);
                            new = false;
                        }
                        _ => new = false,
                    }
                }
                new
            }
        };
        if new {
            seen.push(item.clone());
        }
    }
    Ok(Value::list_seen(seen, missing))
}

fn extreme(builtin: Builtin, list: &List, cx: &Context<'_>) -> Answer {
    let mut unknown = cx.missing(list).cloned();
    if let Some(why) = unknowns(list.items().iter()) {
        merge(&mut unknown, &why);
    }
    if let Some(why) = unknown {
        return Ok(Value::Unknown(why));
    }
    cx.step(list.items().len())?;
    let mut items = list.items().iter();
    let first = items.next().ok_or_else(|| Fault::new("an empty list has neither minimum nor maximum"))?;
    let best = items.fold(first, |best, item| {
        let better = if builtin == Builtin::Min { Ordering::is_lt } else { Ordering::is_gt };
        if order(item, best).is_some_and(better) { item } else { best }
    });
    Ok(best.clone())
}
