//! Changes of role stacks compared a second, read from JSON each time.
//!
//! The stacks are made up, the same on every run: policies like those that AWS manages, inline policies
//! with conditions and variables, boundaries, and two levels of SCPs. Every pair has one change of a
//! kind that people make, or is the same in other words.

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "what is made up here has the shape that it was given"
)]

use rolecall_iam::catalogue::{AccessLevel, catalogue};
use rolecall_iam::compare::{Asker, compare, pairs};
use rolecall_iam::{Relation, Requester};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const PAIRS: usize = 10_000;

/// A small generator of numbers, the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides.max(1)).unwrap_or(1);
        usize::try_from((z ^ (z >> 31)) % sides).unwrap_or_default()
    }

    fn pick<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        let at = self.roll(list.len());
        list.get(at).or_else(|| list.first()).expect("no list here is empty")
    }
}

/// The services of everyday roles, with a resource of each.
const SERVICES: [(&str, &str); 12] = [
    ("s3", "arn:aws:s3:::NAME/*"),
    ("dynamodb", "arn:aws:dynamodb:*:111122223333:table/NAME"),
    ("sqs", "arn:aws:sqs:eu-west-1:111122223333:NAME-*"),
    ("sns", "arn:aws:sns:eu-west-1:111122223333:NAME"),
    ("secretsmanager", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:NAME/*"),
    ("ssm", "arn:aws:ssm:*:111122223333:parameter/NAME/*"),
    ("logs", "arn:aws:logs:eu-west-1:111122223333:log-group:/app/NAME:*"),
    ("ecr", "arn:aws:ecr:eu-west-1:111122223333:repository/NAME"),
    ("lambda", "arn:aws:lambda:*:111122223333:function:NAME*"),
    ("ec2", "arn:aws:ec2:eu-west-1:111122223333:instance/*"),
    ("kms", "arn:aws:kms:eu-west-1:111122223333:key/NAME"),
    ("s3", "arn:aws:s3:::NAME/${aws:PrincipalTag/team}/*"),
];

const NAMES: [&str; 8] = ["orders", "payments", "billing", "search", "media", "audit", "stock", "mail"];

fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn condition(dice: &mut Dice) -> Value {
    match dice.roll(7) {
        0 => json!({"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-2"]}}),
        1 => json!({"StringEquals": {"aws:PrincipalTag/team": "payments"}}),
        2 => json!({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}),
        3 => json!({"Bool": {"aws:SecureTransport": "true"}}),
        4 => json!({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}),
        5 => json!({"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}, "Null": {"aws:TokenIssueTime": "false"}}),
        _ => json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "env"]}}),
    }
}

fn statement(dice: &mut Dice) -> Value {
    let (service, form) = *dice.pick(&SERVICES);
    let range = catalogue().service(service).unwrap_or_default();
    let actions = catalogue().actions().get(range).unwrap_or_default();
    let mut names: Vec<String> = (0..1 + dice.roll(6)).map(|_| dice.pick(actions).name.to_owned()).collect();
    if dice.roll(3) == 0 {
        names.push(format!("{service}:{}", dice.pick(&["Get*", "List*", "Describe*", "*"])));
    }
    let resources: Vec<String> =
        (0..1 + dice.roll(3)).map(|_| form.replace("NAME", dice.pick::<&str>(&NAMES))).collect();
    let mut out = json!({"Effect": "Allow", "Action": names, "Resource": resources});
    if dice.roll(4) == 0 {
        out["Condition"] = condition(dice);
    }
    out
}

/// A policy like those that AWS manages: many reading actions on everything.
fn broad(dice: &mut Dice) -> Value {
    let reads: Vec<&str> =
        catalogue().actions().iter().filter(|a| a.level == AccessLevel::List).map(|a| a.name).collect();
    let names: Vec<&str> = (0..150).map(|_| *dice.pick(&reads)).collect();
    policy(&[json!({"Effect": "Allow", "Action": names, "Resource": "*"})])
}

fn stack(dice: &mut Dice) -> Value {
    let mut identity: Vec<Value> = (0..1 + dice.roll(3))
        .map(|_| policy(&(0..1 + dice.roll(5)).map(|_| statement(dice)).collect::<Vec<_>>()))
        .collect();
    if dice.roll(3) == 0 {
        identity.push(broad(dice));
    }
    let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let regions = json!({"Effect": "Deny", "NotAction": ["iam:*", "sts:*", "organizations:*", "cloudfront:*"],
        "Resource": "*", "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1", "us-east-1"]}}});
    let protect = json!({"Effect": "Deny", "Action": ["organizations:LeaveOrganization", "cloudtrail:StopLogging",
        "cloudtrail:DeleteTrail", "guardduty:Delete*"], "Resource": "*"});
    let mut out = json!({"identity": identity, "scp": [
        {"level": "root", "policies": [policy(std::slice::from_ref(&all)), policy(&[protect])]},
        {"level": "workloads", "policies": [policy(&[all, regions])]}]});
    if dice.roll(3) == 0 {
        out["boundary"] = json!([policy(&[
            json!({"Effect": "Allow", "Action": ["s3:*", "sqs:*", "sns:*", "dynamodb:*", "logs:*", "ec2:Describe*"], "Resource": "*"}),
            json!({"Effect": "Deny", "Action": ["iam:*"], "Resource": "*"})
        ])]);
    }
    out
}

fn as_list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The same stack with one change.
fn changed(stack: &Value, dice: &mut Dice) -> Value {
    let mut out = stack.clone();
    let policies = as_list(&out["identity"]).len();
    let at = dice.roll(policies);
    let mut list = as_list(&out["identity"][at]["Statement"]);
    let n = dice.roll(list.len());
    let other = statement(dice);
    let Some(one) = list.get_mut(n) else { return out };
    match dice.roll(12) {
        0 => list.push(other),
        1 => drop(list.remove(n)),
        2 => one["Resource"] = json!("*"),
        3 => one["Condition"] = condition(dice),
        4 => drop(one.as_object_mut().and_then(|map| map.remove("Condition"))),
        5 => one["Action"] = json!([as_list(&one["Action"]), as_list(&other["Action"])].concat()),
        6 => one["Resource"] = other["Resource"].clone(),
        7 => list.push(json!({"Effect": "Deny", "Action": other["Action"], "Resource": other["Resource"]})),
        8 => list.reverse(),
        9 => {
            let rest: Vec<Value> = as_list(&one["Action"]).into_iter().rev().collect();
            one["Action"] = json!(rest);
            one["Sid"] = json!("Moved");
        }
        10 => {
            out["boundary"] =
                json!([policy(&[json!({"Effect": "Allow", "Action": ["s3:*", "sqs:*", "kms:*"], "Resource": "*"})])]);
        }
        _ => {
            out["scp"][1]["policies"][0]["Statement"][1]["Condition"]["StringNotEquals"]["aws:RequestedRegion"] =
                json!(["eu-west-1"]);
        }
    }
    out["identity"][at]["Statement"] = json!(list);
    out
}

/// Processor time of this thread so far: the machine may be busy with other things.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn main() {
    let mut dice = Dice(7);
    let texts: Vec<[String; 2]> = (0..PAIRS)
        .map(|_| {
            let before = stack(&mut dice);
            let after = changed(&before, &mut dice);
            [before, after].map(|policies| json!({ "policies": policies }).to_string())
        })
        .collect();
    let bytes: usize = texts.iter().flatten().map(String::len).sum();
    let asker = Asker { principal: Requester::parse("arn:aws:iam::111122223333:role/app"), ..Asker::default() };
    let mut counts: BTreeMap<Relation, usize> = BTreeMap::new();
    let (mut reading, mut comparing, mut slowest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for [before, after] in &texts {
        let started = spent();
        let (Ok(before), Ok(after)) = (pairs::side("before", before), pairs::side("after", after)) else { continue };
        let read = spent();
        *counts.entry(compare(&asker, &before, &after).relation).or_default() += 1;
        let took = spent() - read;
        reading += read - started;
        comparing += took;
        slowest = slowest.max(took);
    }
    println!(
        "{PAIRS} pairs, {} MB: read in {reading:?}, compared in {comparing:?}, the slowest in {slowest:?}",
        bytes / 1_000_000
    );
    println!("{counts:?}");
}
