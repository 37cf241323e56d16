//! What a change of policies comes to, as hand-made pairs say it, and what must hold for every pair.

use crate::corpora;
use crate::corpus::{documents, files};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rolecall_iam::compare::pairs::{self, Pair, PairAnswer};
use rolecall_iam::compare::{Asker, Witness, compare};
use rolecall_iam::{Context, Outcome, PolicySet, Relation, Request, Requester, decide};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn pairs_of(folder: &str) -> Vec<Pair> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        pairs::each(&name, &std::fs::read(&path).unwrap(), |pair| {
            let mut pair = pair.unwrap();
            pair.id = format!("{name}: {}", pair.id);
            out.push(pair);
        });
    }
    out
}

#[test]
fn every_pair_comes_to_what_it_should() {
    let pairs = pairs_of("cases-compare");
    assert!(pairs.len() >= 120, "{}", pairs.len());
    let mut wrong = Vec::new();
    for pair in &pairs {
        let answer = pair.answer();
        if Some(answer.relation.as_str()) != pair.expected.as_deref() {
            let answer = serde_json::to_string(&answer).unwrap();
            wrong.push(format!("{}: {:?} expected: {answer}", pair.id, pair.expected));
        }
        shows_what_it_says(&answer);
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), pairs.len(), wrong.join("\n"));
}

/// Whether there is a witness for every difference that is claimed, and for no other.
fn shows_what_it_says(answer: &PairAnswer) {
    let shown = (answer.gained.is_some(), answer.lost.is_some());
    match answer.relation {
        Relation::Equal => assert_eq!(shown, (false, false), "{answer:?}"),
        Relation::Widened => assert_eq!(shown, (true, false), "{answer:?}"),
        Relation::Narrowed => assert_eq!(shown, (false, true), "{answer:?}"),
        Relation::Mixed => assert_eq!(shown, (true, true), "{answer:?}"),
        Relation::Unknown => assert_ne!(shown, (true, true), "{answer:?}"),
    }
    assert!(!answer.because.is_empty());
}

const ROLE: &str = "arn:aws:iam::111122223333:role/app";

fn requester() -> Requester {
    Requester::parse(ROLE).unwrap()
}

fn context_of(keys: &serde_json::Map<String, Value>) -> Context {
    keys.iter().fold(Context::closed(), |context, (key, value)| match value {
        Value::Array(list) => context.set_list(key, list.iter().map(|v| v.as_str().unwrap())),
        one => context.set(key, [one.as_str().unwrap()]),
    })
}

fn request(action: &str, resource: &str, context: Context) -> Request {
    let owner = requester().account_id();
    let owner = if resource.split(':').nth(4).is_some_and(|id| id.len() == 12) { None } else { owner };
    Request::new(requester(), action, resource, owner, context)
}

fn allows(request: &Request, layers: &PolicySet) -> bool {
    let outcome = decide(request, layers).outcome;
    assert_ne!(outcome, Outcome::Unknown);
    outcome == Outcome::Allow
}

fn layers(policies: &Value) -> PolicySet {
    pairs::side("side", &json!({ "policies": policies }).to_string()).unwrap()
}

const ACTIONS: [&str; 10] = [
    "s3:GetObject",
    "s3:Get*",
    "s3:*",
    "s3:*Object",
    "s3:PutObject",
    "sqs:SendMessage",
    "sqs:*",
    "*",
    "ec2:DescribeInstances",
    "s3:ListAllMyBuckets",
];

const RESOURCES: [&str; 14] = [
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/x",
    "arn:aws:s3:::b/x*",
    "arn:aws:s3:::b/*y",
    "arn:aws:s3:::b/?",
    "arn:aws:s3:::c/*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team}",
    "arn:aws:sqs:*:111122223333:*",
    "arn:aws:sqs:eu-west-1:111122223333:q*",
    "arn:aws:sqs:*:111122223333:*q",
    "arn:aws:sqs:eu-*:111122223333:q",
];

/// Conditions on one key each, so that several of them meet.
fn condition() -> impl Strategy<Value = Value> {
    let of = |operators: &'static [&'static str], key: &'static str, values: &'static [&'static str]| {
        (prop::sample::select(operators), prop::sample::subsequence(values, 1..=2.min(values.len())))
            .prop_map(move |(operator, values)| json!({operator: {key: values}}))
    };
    prop_oneof![
        of(
            &[
                "StringEquals",
                "StringNotEquals",
                "StringEqualsIfExists",
                "StringNotEqualsIfExists",
                "StringLike",
                "StringNotLike",
                "StringEqualsIgnoreCase",
                "StringLikeIfExists"
            ],
            "aws:SourceVpc",
            &["vpc-1", "vpc-2", "VPC-1", "vpc-*", "*", "v*1"],
        ),
        of(
            &["StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists"],
            "aws:PrincipalTag/team",
            &["x", "xy", "x*", "pay"],
        ),
        of(
            &["IpAddress", "NotIpAddress", "IpAddressIfExists"],
            "aws:SourceIp",
            &["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32"]
        ),
        of(&["Bool", "BoolIfExists"], "aws:SecureTransport", &["true", "false"]),
        of(&["Null"], "aws:SourceVpc", &["true", "false"]),
        of(&["Null"], "aws:TagKeys", &["true", "false"]),
        of(
            &[
                "NumericLessThan",
                "NumericLessThanEquals",
                "NumericGreaterThan",
                "NumericEquals",
                "NumericNotEquals",
                "NumericLessThanIfExists"
            ],
            "s3:max-keys",
            &["5", "10", "10.5"],
        ),
        of(
            &["DateLessThan", "DateGreaterThanEquals", "DateEquals"],
            "aws:CurrentTime",
            &["2026-01-01", "2026-01-02T00:00:00Z"]
        ),
        of(
            &["ArnLike", "ArnNotLike", "ArnEquals", "ArnLikeIfExists"],
            "aws:SourceArn",
            &["arn:aws:sns:*:*:t", "arn:aws:sns:eu-west-1:*:*", "arn:aws:sns:eu-west-1:1:t"]
        ),
        of(
            &[
                "ForAllValues:StringEquals",
                "ForAnyValue:StringEquals",
                "ForAllValues:StringLike",
                "ForAnyValue:StringNotEquals",
                "ForAllValues:StringNotEquals"
            ],
            "aws:TagKeys",
            &["a", "b", "a*"],
        ),
        of(&["StringEquals", "StringNotEquals"], "aws:RequestTag/team", &["${aws:PrincipalTag/team}", "x"]),
        of(
            &["StringEquals", "StringNotEquals"],
            "aws:ResourceAccount",
            &["111122223333", "444455556666", "${aws:PrincipalAccount}"]
        ),
        of(
            &["StringLike", "ArnNotLike"],
            "aws:PrincipalArn",
            &["arn:aws:iam::*:role/app", "arn:aws:iam::*:role/other"]
        ),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let actions = prop::sample::subsequence(&ACTIONS[..], 1..=2);
    let resources = prop::sample::subsequence(&RESOURCES[..], 1..=2);
    let conditions = prop_oneof![3 => Just(Vec::new()).boxed(), 3 => prop::collection::vec(condition(), 1..3).boxed()];
    (prop::bool::weighted(0.7), actions, prop::bool::weighted(0.1), resources, prop::bool::weighted(0.12), conditions)
        .prop_map(|(allow, actions, not_action, resources, not_resource, conditions)| {
            let mut out = json!({"Effect": if allow { "Allow" } else { "Deny" }});
            out[if not_action { "NotAction" } else { "Action" }] = json!(actions);
            out[if not_resource { "NotResource" } else { "Resource" }] = json!(resources);
            for condition in conditions {
                for (operator, keys) in condition.as_object().unwrap() {
                    for (key, values) in keys.as_object().unwrap() {
                        out["Condition"][operator][key] = values.clone();
                    }
                }
            }
            out
        })
}

fn policy(most: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec(statement(), 1..=most).prop_map(|list| json!({"Version": "2012-10-17", "Statement": list}))
}

fn stack() -> impl Strategy<Value = Value> {
    let identity = prop::collection::vec(policy(3), 1..=2);
    let list = |weight: f64| prop::option::weighted(weight, policy(2).prop_map(|policy| json!([policy])));
    let everything = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    (identity, list(0.15), list(0.1), list(0.2)).prop_map(move |(identity, boundary, session, scp)| {
        let mut out = json!({ "identity": identity });
        if let Some(policies) = boundary {
            out["boundary"] = policies;
        }
        if let Some(policies) = session {
            out["session"] = policies;
        }
        if let Some(Value::Array(mut policies)) = scp {
            policies.push(everything.clone());
            out["scp"] = json!([{"level": "root", "policies": policies}]);
        }
        out
    })
}

/// A change to some statement of a stack, or none.
#[derive(Debug, Clone)]
enum Edit {
    Add(Value),
    Remove,
    Replace(Value),
    Action(&'static str),
    Resource(&'static str),
    Condition(Value),
    Flip,
    Repeat,
    Split,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        2 => statement().prop_map(Edit::Add),
        1 => Just(Edit::Remove),
        2 => statement().prop_map(Edit::Replace),
        2 => prop::sample::select(&ACTIONS[..]).prop_map(Edit::Action),
        2 => prop::sample::select(&RESOURCES[..]).prop_map(Edit::Resource),
        3 => condition().prop_map(Edit::Condition),
        1 => Just(Edit::Flip),
        1 => Just(Edit::Repeat),
        1 => Just(Edit::Split),
    ]
}

/// The lists of statements of a stack, in their order.
fn lists(stack: &mut Value) -> Vec<&mut Vec<Value>> {
    fn go<'v>(value: &'v mut Value, out: &mut Vec<&'v mut Vec<Value>>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    if key != "Statement" {
                        go(value, out);
                    } else if let Value::Array(list) = value {
                        out.push(list);
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|value| go(value, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    go(stack, &mut out);
    out
}

fn edited(stack: &Value, edit: &Edit, at: usize) -> Value {
    let mut out = stack.clone();
    let mut lists = lists(&mut out);
    let place = at % lists.len();
    let list = &mut *lists[place];
    let n = if list.is_empty() { 0 } else { at / 7 % list.len() };
    match edit {
        Edit::Add(statement) => list.insert(n, statement.clone()),
        Edit::Remove if !list.is_empty() => drop(list.remove(n)),
        Edit::Replace(statement) if !list.is_empty() => list[n] = statement.clone(),
        Edit::Action(action) if list.get(n).is_some_and(|s| s["Action"].is_array()) => {
            list[n]["Action"].as_array_mut().unwrap().push(json!(action));
        }
        Edit::Resource(resource) if list.get(n).is_some_and(|s| s["Resource"].is_array()) => {
            list[n]["Resource"].as_array_mut().unwrap().push(json!(resource));
        }
        Edit::Condition(condition) if !list.is_empty() => list[n]["Condition"] = condition.clone(),
        Edit::Flip if !list.is_empty() => {
            let deny = list[n]["Effect"] == "Allow";
            list[n]["Effect"] = json!(if deny { "Deny" } else { "Allow" });
        }
        Edit::Repeat if !list.is_empty() => list.push(list[n].clone()),
        Edit::Split if list.get(n).is_some_and(|s| s["Action"].as_array().is_some_and(|l| l.len() > 1)) => {
            let mut rest = list[n].clone();
            let first = list[n]["Action"].as_array_mut().unwrap().remove(0);
            rest["Action"] = first;
            list.push(rest);
        }
        _ => {}
    }
    out
}

/// Requests near what policies of this kind speak of.
fn near() -> impl Strategy<Value = (&'static str, &'static str, BTreeMap<&'static str, Value>)> {
    let actions = prop::sample::select(
        &[
            "s3:GetObject",
            "s3:PutObject",
            "s3:GetMore",
            "s3:DeleteObject",
            "sqs:SendMessage",
            "sqs:ReceiveMessage",
            "ec2:DescribeInstances",
            "s3:ListAllMyBuckets",
            "dynamodb:GetItem",
            "new:Thing",
        ][..],
    );
    let resources = prop::sample::select(
        &[
            "arn:aws:s3:::b/x",
            "arn:aws:s3:::b/xy",
            "arn:aws:s3:::b/y",
            "arn:aws:s3:::b/zy",
            "arn:aws:s3:::b/x/k",
            "arn:aws:s3:::b/pay/k",
            "arn:aws:s3:::b/pay",
            "arn:aws:s3:::c/x",
            "arn:aws:s3:::d",
            "arn:aws:sqs:eu-west-1:111122223333:q",
            "arn:aws:sqs:eu-west-2:111122223333:qq",
            "arn:aws:sqs:us-east-1:111122223333:z",
            "arn:aws:dynamodb:eu-west-1:111122223333:table/t",
        ][..],
    );
    let one = |key: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.6, prop::sample::select(values)).prop_map(move |value| (key, value.map(|v| json!(v))))
    };
    let list = prop::option::weighted(0.6, prop::sample::subsequence(&["a", "b", "ab", "c"][..], 1..=3));
    let keys = (
        one("aws:SourceVpc", &["vpc-1", "vpc-2", "VPC-1", "vpc-3", "other", "v1"]),
        one("aws:PrincipalTag/team", &["x", "xy", "pay", "zzz"]),
        one("aws:SourceIp", &["10.0.0.1", "10.1.2.3", "11.0.0.1", "2001:db8::1", "2001:db9::1"]),
        one("aws:SecureTransport", &["true", "false"]),
        one("s3:max-keys", &["4", "5", "7", "10", "10.5", "11"]),
        one(
            "aws:CurrentTime",
            &[
                "2025-12-31T00:00:00Z",
                "2026-01-01T00:00:00Z",
                "2026-01-01T10:00:00Z",
                "2026-01-02T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ],
        ),
        one(
            "aws:SourceArn",
            &["arn:aws:sns:eu-west-1:1:t", "arn:aws:sns:eu-west-1:2:u", "arn:aws:sns:x:1:t", "arn:aws:sqs:x:1:q"],
        ),
        one("aws:RequestTag/team", &["x", "xy", "pay", "zzz"]),
        list.prop_map(|values| ("aws:TagKeys", values.map(|v| json!(v)))),
    );
    (actions, resources, keys).prop_map(|(action, resource, (a, b, c, d, e, f, g, h, i))| {
        let keys = [a, b, c, d, e, f, g, h, i].into_iter().filter_map(|(key, value)| Some((key, value?)));
        (action, resource, keys.collect())
    })
}

fn separates(witness: &Witness, allowed_by: &PolicySet, refused_by: &PolicySet) -> bool {
    let request = request(&witness.action, &witness.resource, context_of(&witness.context));
    allows(&request, allowed_by) && !allows(&request, refused_by)
}

/// How many pairs, and how many requests each: `ROLECALL_COMPARE_PAIRS=10000` asks for the whole.
fn amount() -> (u32, usize) {
    match std::env::var("ROLECALL_COMPARE_PAIRS").ok().and_then(|n| n.parse().ok()) {
        Some(pairs) => (pairs, 1_000),
        None => (200, 100),
    }
}

#[test]
fn nothing_that_is_proved_is_contradicted() {
    let (pairs, requests) = amount();
    let mut runner =
        TestRunner::new_with_rng(ProptestConfig::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (stacks, edits, requests_near) = (stack(), (edit(), any::<u16>()), near());
    let asker = Asker { principal: Some(requester()), resource_account: None };
    let mut counts: BTreeMap<Relation, u32> = BTreeMap::new();
    for n in 0..pairs {
        let before = stacks.new_tree(&mut runner).unwrap().current();
        let mut after = before.clone();
        for _ in 0..=n % 3 {
            let (edit, at) = edits.new_tree(&mut runner).unwrap().current();
            after = edited(&after, &edit, usize::from(at));
        }
        let (was, is) = (layers(&before), layers(&after));
        let found = compare(&asker, &was, &is);
        *counts.entry(found.relation).or_default() += 1;
        let told = || format!("{}\n{before}\n{after}", serde_json::to_string(&found).unwrap());
        if let Some(witness) = &found.gained {
            assert!(separates(witness, &is, &was), "{}", told());
        }
        if let Some(witness) = &found.lost {
            assert!(separates(witness, &was, &is), "{}", told());
        }
        let (may_gain, may_lose) = match found.relation {
            Relation::Equal => (false, false),
            Relation::Widened => (true, false),
            Relation::Narrowed => (false, true),
            Relation::Mixed => continue,
            Relation::Unknown => {
                eprintln!("{}", told());
                continue;
            }
        };
        for _ in 0..requests {
            let (action, resource, keys) = requests_near.new_tree(&mut runner).unwrap().current();
            let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let request = request(action, resource, context_of(&keys));
            let (a, b) = (allows(&request, &was), allows(&request, &is));
            assert!(a == b || (may_gain && b) || (may_lose && a), "{action} {resource} {keys:?}\n{}", told());
        }
    }
    eprintln!("{counts:?}");
    let unknown = counts.get(&Relation::Unknown).copied().unwrap_or_default();
    assert!(unknown * 20 <= pairs, "{unknown} of {pairs} are unknown");
    for relation in [Relation::Equal, Relation::Widened, Relation::Narrowed, Relation::Mixed] {
        assert!(counts.get(&relation).is_some_and(|count| *count * 20 > pairs), "{counts:?}");
    }
}

/// Who asks, where policies on a resource count.
const ASKERS: [&str; 6] = [
    ROLE,
    "arn:aws:sts::111122223333:assumed-role/app/s",
    "arn:aws:iam::111122223333:user/ann",
    "arn:aws:iam::444455556666:role/app",
    "anonymous",
    "pods.eks.amazonaws.com",
];

fn on_resource() -> impl Strategy<Value = Value> {
    let principals = prop::sample::select(
        &[
            r#""*""#,
            r#"{"AWS": "111122223333"}"#,
            r#"{"AWS": "arn:aws:iam::111122223333:role/app"}"#,
            r#"{"AWS": ["arn:aws:sts::111122223333:assumed-role/app/s", "arn:aws:iam::111122223333:user/ann"]}"#,
            r#"{"AWS": ["444455556666", "arn:aws:iam::111122223333:user/bob"]}"#,
            r#"{"AWS": "arn:aws:iam::444455556666:role/app", "Service": "pods.eks.amazonaws.com"}"#,
        ][..],
    );
    (statement(), principals, prop::bool::weighted(0.15)).prop_map(|(mut statement, principals, not)| {
        let principals: Value = serde_json::from_str(principals).unwrap();
        statement[if not { "NotPrincipal" } else { "Principal" }] = principals;
        statement
    })
}

#[test]
fn nothing_that_is_proved_of_policies_on_resources_is_contradicted() {
    let (pairs, requests) = amount();
    let mut runner =
        TestRunner::new_with_rng(ProptestConfig::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let statements = || prop::collection::vec(on_resource(), 1..3);
    let sides = (stack(), statements(), statements(), (edit(), any::<u16>()), 0..ASKERS.len());
    let near = near();
    let mut counts: BTreeMap<Relation, u32> = BTreeMap::new();
    for n in 0..pairs / 2 {
        let (own, first, mut second, (edit, at), who) = sides.new_tree(&mut runner).unwrap().current();
        let who = Requester::parse(ASKERS[who]).unwrap();
        let with = |own: &Value, list: &Value| {
            let mut out = own.clone();
            out["resource"] = json!({"Version": "2012-10-17", "Statement": list});
            out
        };
        // Either side changes by itself.
        let (before, after) = if n.is_multiple_of(2) {
            second.extend(first.iter().cloned());
            (with(&own, &json!(first)), with(&own, &json!(second)))
        } else {
            (with(&own, &json!(first)), with(&edited(&own, &edit, usize::from(at)), &json!(first)))
        };
        let (was, is) = (layers(&before), layers(&after));
        let found = compare(&Asker { principal: Some(who.clone()), resource_account: None }, &was, &is);
        *counts.entry(found.relation).or_default() += 1;
        let told = || format!("{who:?} {}\n{before}\n{after}", serde_json::to_string(&found).unwrap());
        let asks = |action: &str, resource: &str, context: Context| {
            let named = resource.split(':').nth(4).is_some_and(|id| id.len() == 12);
            Request::new(who.clone(), action, resource, if named { None } else { who.account_id() }, context)
        };
        for (witness, allowing, refusing) in [(&found.gained, &is, &was), (&found.lost, &was, &is)] {
            if let Some(witness) = witness {
                let request = asks(&witness.action, &witness.resource, context_of(&witness.context));
                assert!(allows(&request, allowing) && !allows(&request, refusing), "{}", told());
            }
        }
        let may = |relation: Relation| {
            matches!(found.relation, Relation::Mixed | Relation::Unknown) || found.relation == relation
        };
        for _ in 0..requests {
            let (action, resource, mut keys) = near.new_tree(&mut runner).unwrap().current();
            if !matches!(who, Requester::Principal { .. }) {
                // Nobody and services have no tags.
                keys.remove("aws:PrincipalTag/team");
            }
            let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let request = asks(action, resource, context_of(&keys));
            let (a, b) = (allows(&request, &was), allows(&request, &is));
            let fits = a == b || (b && may(Relation::Widened)) || (a && may(Relation::Narrowed));
            assert!(fits, "{action} {resource} {keys:?}\n{}", told());
        }
    }
    eprintln!("{counts:?}");
    let unknown = counts.get(&Relation::Unknown).copied().unwrap_or_default();
    assert!(unknown * 20 <= pairs, "{unknown} of {pairs} are unknown");
    assert!(counts.len() >= 4, "{counts:?}");
}

/// Small changes to a document as people make them.
fn changed(document: &Value, n: usize) -> Option<Value> {
    let mut out = document.clone();
    let statement = match &mut out["Statement"] {
        Value::Array(list) => {
            let at = n % list.len().max(1);
            if n.is_multiple_of(5) && list.len() > 1 {
                list.remove(at);
                return Some(out);
            }
            list.get_mut(at)?
        }
        one => one,
    };
    let map = statement.as_object_mut()?;
    match n % 5 {
        1 if map.contains_key("Condition") => drop(map.remove("Condition")),
        2 if map.contains_key("Resource") => map["Resource"] = json!("*"),
        3 if map.contains_key("Action") => {
            let mut list = map["Action"].as_array().cloned().unwrap_or_else(|| vec![map["Action"].clone()]);
            list.push(json!("s3:GetObject"));
            map["Action"] = json!(list);
        }
        _ => {
            map.insert("Condition".into(), json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}}));
        }
    }
    Some(out)
}

#[test]
fn nearly_every_change_of_the_corpus_is_told() {
    let mut texts = Vec::new();
    for folder in
        corpora(&["estate-small", "iam-authz", "scp-rcp", "trust-policies", "policy-lint", "evaluation-cases"])
    {
        for path in files(&folder).iter().filter(|p| p.extension().is_none_or(|e| e == "json")) {
            if let Ok(value) = serde_json::from_slice(&std::fs::read(path).unwrap()) {
                documents(&value, &mut texts);
            }
        }
    }
    texts.sort();
    texts.dedup();
    let (mut told, mut unknown) = (0, Vec::new());
    let documents: Vec<Value> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let every = if std::env::var_os("ROLECALL_COMPARE_PAIRS").is_some() { 1 } else { 4 };
    for (n, document) in documents.iter().enumerate().step_by(every) {
        let Ok(before) = pairs::side("before", &document.to_string()) else { continue };
        let other = documents.get(n + 1).unwrap_or(document);
        for after in [changed(document, n), changed(document, n + 1), Some(other.clone())].into_iter().flatten() {
            let after = pairs::side("after", &after.to_string()).unwrap();
            let found = compare(&Asker::default(), &before, &after);
            told += 1;
            if found.relation == Relation::Unknown && !found.because.contains("could not be read") {
                unknown.push(format!("{}: {:.80}", found.because, document.to_string()));
            }
        }
        assert_eq!(compare(&Asker::default(), &before, &before).relation, Relation::Equal);
    }
    eprintln!("{} of {told} are unknown", unknown.len());
    unknown.iter().for_each(|text| eprintln!("{text}"));
    assert!(told > 300, "{told}");
    assert!(unknown.len() * 20 <= told, "{} of {told}:\n{}", unknown.len(), unknown.join("\n"));
}
