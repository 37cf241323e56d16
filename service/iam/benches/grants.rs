//! The grants of many role stacks, as one JSON line: processor seconds for reading the documents and for the
//! sets, apart, and the memory that everything holds at the end.
//!
//! The stacks are made up, after what organisations have: managed policies that many roles share
//! (one like `ReadOnlyAccess`, one with `NotAction`, whole services), one or two inline policies of
//! each role's own, a boundary for some, and two levels of SCPs with Denies for all.
//! `cargo bench -p rolecall-iam --bench grants -- [stacks] [whole|documents]`; 100,000 by default. The
//! sets of every stack are held to the end, its own documents are not; with `whole` both are, with all
//! grants, and with `documents` the documents alone.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench may stop where its own input is wrong")]

use rolecall_iam::catalogue::{AccessLevel, catalogue};
use rolecall_iam::{ActionSet, Document, Grants, GrantsCache, Level, PolicyRef, PolicySet, Truth};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// A small generator of numbers that are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % end.max(1)
    }

    fn of<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        list.get(self.below(list.len())).expect("a list to choose from is not empty")
    }
}

fn policy(statements: &[Value]) -> Document {
    Document::new(&json!({"Version": "2012-10-17", "Statement": statements}).to_string())
}

fn allow(actions: &[String], resource: &Value) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": resource})
}

/// Policies that many roles share, the widest ones first.
fn managed() -> Vec<PolicyRef> {
    let everything = json!("*");
    let mut reads: BTreeSet<String> = BTreeSet::new();
    for action in ActionSet::level(AccessLevel::Read).iter().chain(ActionSet::level(AccessLevel::List).iter()) {
        let verb = ["Get", "List", "Describe", "Search"].iter().find(|verb| action.short_name().starts_with(*verb));
        reads.insert(verb.map_or_else(|| action.name.to_owned(), |verb| format!("{}:{verb}*", action.service())));
    }
    let reads: Vec<String> = reads.into_iter().collect();
    let mut out = vec![
        ("ReadOnly", policy(&[allow(&reads, &everything)])),
        (
            "PowerUser",
            policy(&[
                json!({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}),
            ]),
        ),
    ];
    for service in catalogue().all_services().iter().filter(|service| service.actions.len() > 30) {
        let all = allow(&[format!("{}:*", service.prefix)], &everything);
        let pass = json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
            "Condition": {"StringEquals": {"iam:PassedToService": format!("{}.amazonaws.com", service.prefix)}}});
        out.push((service.prefix, policy(&[all, pass])));
    }
    out.iter().map(|(name, document)| PolicyRef::known(&format!("arn:aws:iam::aws:policy/{name}"), document)).collect()
}

/// An inline policy of one role's own: a few statements with some actions on the role's resources.
fn inline(dice: &mut Dice, role: usize) -> String {
    let services =
        ["s3", "sqs", "dynamodb", "ec2", "kms", "logs", "lambda", "secretsmanager", "sns", "ssm", "ecr", "eks"];
    let statements = (0..2 + dice.below(4)).map(|n| {
        let service = dice.of(&services);
        let range = catalogue().service(service).unwrap_or_default();
        let names = (0..2 + dice.below(14)).filter_map(|_| {
            let action = catalogue().actions().get(range.start + dice.below(range.len()))?;
            Some(if dice.below(12) == 0 {
                format!("{service}:{}*", action.short_name().get(..5)?)
            } else {
                action.name.to_owned()
            })
        });
        let names: Vec<String> = names.collect();
        let resource = match dice.below(4) {
            0 => json!("*"),
            _ => json!([
                format!("arn:aws:{service}:eu-west-1:{:012}:app-{role}-{n}", role / 40),
                format!("arn:aws:{service}:eu-west-1:{:012}:app-{role}-{n}/*", role / 40)
            ]),
        };
        let mut statement = allow(&names, &resource);
        if dice.below(6) == 0 {
            statement["Condition"] = json!({"StringEquals": {"aws:ResourceTag/team": format!("t{}", role % 97)}});
        }
        if dice.below(20) == 0 {
            statement["Effect"] = json!("Deny");
        }
        statement
    });
    json!({"Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>()}).to_string()
}

fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Processor seconds of this process so far: what a busy machine does not stretch.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() {
    let wanted = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(100_000_usize);
    let start = Instant::now();
    let listed = catalogue().actions().len();
    let catalogue_ms = start.elapsed();
    let managed = managed();
    let full = PolicyRef::known("FullAWSAccess", &policy(&[allow(&["*".to_owned()], &json!("*"))]));
    let guard = policy(&[
        json!({"Effect": "Deny", "Action": ["organizations:LeaveOrganization", "cloudtrail:StopLogging", "cloudtrail:DeleteTrail"], "Resource": "*"}),
        json!({"Effect": "Deny", "NotAction": ["iam:*", "sts:*", "s3:*", "route53:*"], "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}}),
        json!({"Effect": "Deny", "Action": "iam:*", "Resource": "arn:aws:iam::*:role/protected-*"}),
    ]);
    let guard = PolicyRef::known("guard", &guard);
    let scp: Arc<[Level]> = [Level::new("root", vec![full.clone()]), Level::new("account", vec![full, guard])].into();
    let boundary = policy(&[
        json!({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*"], "Resource": "*"}),
        json!({"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::audit-*"}),
    ]);
    let boundary = PolicyRef::known("boundary", &boundary);
    let cache = GrantsCache::default();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut reading, mut working, mut asking) = (0.0, 0.0, 0.0);
    let whole = std::env::args().any(|arg| arg == "whole");
    let mut sets = Vec::new();
    let documents_only = std::env::args().any(|arg| arg == "documents");
    let mut documents = Vec::new();
    let (mut bytes, mut admins, mut actions) = (0, 0, 0);
    let mut held = Vec::new();
    for role in 0..wanted {
        let texts: Vec<String> = (0..1 + dice.below(2)).map(|_| inline(&mut dice, role)).collect();
        bytes += texts.iter().map(String::len).sum::<usize>();
        let start = cpu();
        let mut identity: Vec<PolicyRef> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| PolicyRef::known(&format!("inline policy p{n}"), &Document::new(text)))
            .collect();
        reading += cpu() - start;
        if documents_only {
            documents.push(identity);
            continue;
        }
        for _ in 0..dice.below(4) {
            let narrow = dice.below(10) > 1;
            identity.push(if narrow {
                dice.of(&managed).clone()
            } else {
                managed.first().expect("some are made").clone()
            });
        }
        let bound = dice.below(5) == 0;
        let stack = PolicySet {
            identity: Some(identity),
            boundary: bound.then(|| vec![boundary.clone()]),
            scp: Some(scp.clone()),
            ..PolicySet::default()
        };
        let start = cpu();
        let grants = if whole { cache.get(&stack) } else { Arc::new(Grants::new(&stack)) };
        working += cpu() - start;
        let start = cpu();
        admins += usize::from(grants.admin_equivalent() == Truth::True);
        actions += grants.actions().len() + grants.writes().len();
        asking += cpu() - start;
        if whole {
            held.push(grants);
        } else {
            sets.push(grants.sets());
        }
    }
    let line = json!({
        "stacks": wanted, "shared": whole.then(|| cache.len()), "actions_listed": listed, "inline_bytes": bytes,
        "catalogue_ms": catalogue_ms.as_secs_f64() * 1e3, "read_cpu_s": reading, "grants_cpu_s": working,
        "questions_cpu_s": asking, "admins": admins, "actions": actions,
        "rss_mib": status("VmRSS") / 1024, "peak_mib": status("VmHWM") / 1024, "held": held.len() + sets.len() + documents.len(),
    });
    println!("{line}");
}
