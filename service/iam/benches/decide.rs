//! Decisions a second, over 1,000 roles with everything that stands around a role.
//!
//! The organisation is made up, the same on every run: policies like those that AWS manages, made
//! of the catalogue's own actions; inline policies of few actions with conditions; boundaries,
//! session policies, three levels of SCPs, RCPs, bucket and trust policies.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rolecall_iam::catalogue::{AccessLevel, catalogue};
use rolecall_iam::{
    ActionPattern, Context, Document, Level, Outcome, PolicyRef, PolicySet, Request, Requester, decide, explain,
};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;

const ACCOUNT: &str = "111122223333";
const ROLES: usize = 1_000;

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

    fn pick<'t, T>(&mut self, list: &'t [T]) -> Option<&'t T> {
        list.get(self.roll(list.len()))
    }
}

fn layer(source: &str, statements: &Value) -> PolicyRef {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    PolicyRef::known(source, &Document::new(&text))
}

/// The services of everyday roles, with a resource of each.
const SERVICES: [(&str, &str, &str); 12] = [
    ("s3", "arn:aws:s3:::NAME/*", "arn:aws:s3:::NAME/in/a/file.json"),
    ("dynamodb", "arn:aws:dynamodb:*:111122223333:table/NAME", "arn:aws:dynamodb:eu-west-1:111122223333:table/NAME"),
    ("sqs", "arn:aws:sqs:eu-west-1:111122223333:NAME-*", "arn:aws:sqs:eu-west-1:111122223333:NAME-in"),
    ("sns", "arn:aws:sns:eu-west-1:111122223333:NAME", "arn:aws:sns:eu-west-1:111122223333:NAME"),
    (
        "secretsmanager",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:NAME/*",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:NAME/db-x1y2z3",
    ),
    ("ssm", "arn:aws:ssm:*:111122223333:parameter/NAME/*", "arn:aws:ssm:eu-west-1:111122223333:parameter/NAME/url"),
    (
        "logs",
        "arn:aws:logs:eu-west-1:111122223333:log-group:/app/NAME:*",
        "arn:aws:logs:eu-west-1:111122223333:log-group:/app/NAME:log-stream:x",
    ),
    ("ecr", "arn:aws:ecr:eu-west-1:111122223333:repository/NAME", "arn:aws:ecr:eu-west-1:111122223333:repository/NAME"),
    ("lambda", "arn:aws:lambda:*:111122223333:function:NAME*", "arn:aws:lambda:eu-west-1:111122223333:function:NAME-1"),
    ("ec2", "arn:aws:ec2:eu-west-1:111122223333:instance/*", "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc12"),
    ("eks", "arn:aws:eks:*:111122223333:cluster/NAME", "arn:aws:eks:eu-west-1:111122223333:cluster/NAME"),
    ("iam", "arn:aws:iam::111122223333:role/NAME/*", "arn:aws:iam::111122223333:role/NAME/job"),
];

fn actions_of(service: &str, keep: impl Fn(AccessLevel) -> bool) -> Vec<String> {
    let range = catalogue().service(service).unwrap_or_default();
    let actions = catalogue().actions().get(range).unwrap_or_default();
    actions.iter().filter(|action| keep(action.level)).map(|action| action.name.to_string()).collect()
}

/// Policies like those that AWS manages: few, long, and shared by many roles.
fn managed() -> Vec<PolicyRef> {
    let mut services: Vec<String> = catalogue().services().map(|(service, _)| service.to_owned()).collect();
    services.sort_unstable();
    let reads = |level| matches!(level, AccessLevel::Read | AccessLevel::List);
    let mut read_only: Vec<String> = Vec::new();
    for service in services.iter().take(300) {
        read_only.extend([format!("{service}:Get*"), format!("{service}:List*"), format!("{service}:Describe*")]);
        read_only.extend(actions_of(service, reads).into_iter().filter(|a| {
            let name = a.split(':').nth(1).unwrap_or_default();
            !["Get", "List", "Describe"].iter().any(|verb| name.starts_with(verb))
        }));
    }
    let audit: Vec<String> = services.iter().flat_map(|s| actions_of(s, |level| level == AccessLevel::List)).collect();
    let mut out = vec![
        layer("ReadOnly", &json!([{"Effect": "Allow", "Action": read_only, "Resource": "*"}])),
        layer("Audit", &json!([{"Effect": "Allow", "Action": audit, "Resource": "*"}])),
        layer(
            "PowerUser",
            &json!([
                {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
                {"Effect": "Allow", "Action": ["iam:CreateServiceLinkedRole", "iam:ListRoles", "organizations:DescribeOrganization"],
                 "Resource": "*"}
            ]),
        ),
    ];
    for (service, ..) in SERVICES {
        let full = json!([
            {"Effect": "Allow", "Action": [format!("{service}:*"), "cloudwatch:GetMetricData", "tag:GetResources"], "Resource": "*"},
            {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
             "Condition": {"StringLike": {"iam:PassedToService": format!("{service}.amazonaws.com*")}}}
        ]);
        out.push(layer("FullAccess", &full));
    }
    out
}

fn inline(dice: &mut Dice, name: &str) -> PolicyRef {
    let mut statements = Vec::new();
    for _ in 0..2 + dice.roll(4) {
        let Some((service, pattern, _)) = dice.pick(&SERVICES) else { continue };
        let all = actions_of(service, |_| true);
        let mut actions: Vec<String> = (0..2 + dice.roll(6)).filter_map(|_| dice.pick(&all).cloned()).collect();
        if dice.roll(3) == 0 {
            actions.push(format!("{service}:Get*"));
        }
        let condition = match dice.roll(6) {
            0 => json!({"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}),
            1 => json!({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}),
            2 => json!({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}),
            _ => json!({}),
        };
        let statement = json!({"Effect": "Allow", "Action": actions, "Resource": [pattern.replace("NAME", name)], "Condition": condition});
        statements.push(statement);
    }
    if dice.roll(3) == 0 {
        statements.push(json!({"Effect": "Deny", "Action": ["s3:DeleteBucket", "iam:*"], "Resource": "*",
            "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}}));
    }
    layer("inline policy", &json!(statements))
}

fn levels() -> (Arc<[Level]>, Arc<[Level]>) {
    let full = layer("FullAWSAccess", &json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let regions = layer(
        "SCP regions",
        &json!([{"Effect": "Deny", "NotAction": ["iam:*", "sts:*", "organizations:*", "route53:*", "cloudfront:*", "support:*"],
            "Resource": "*", "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]},
            "ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/break-glass"}}}]),
    );
    let guard = layer(
        "SCP guard",
        &json!([
            {"Effect": "Deny", "Action": ["organizations:LeaveOrganization", "cloudtrail:StopLogging", "cloudtrail:DeleteTrail"], "Resource": "*"},
            {"Effect": "Deny", "Action": ["iam:*Role*", "iam:*Policy*"], "Resource": "arn:aws:iam::*:role/platform/*",
             "Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/platform/*"}}}
        ]),
    );
    let perimeter = layer(
        "RCP perimeter",
        &json!([{"Effect": "Deny", "Principal": "*", "Action": ["s3:*", "sqs:*", "kms:*", "secretsmanager:*", "sts:*"], "Resource": "*",
            "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-home"}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}}]),
    );
    let all =
        layer("RCPFullAWSAccess", &json!([{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]));
    let level = |name: &str, policies: Vec<PolicyRef>| Level { name: Arc::from(name), policies };
    let scp = [
        level("root", vec![full.clone()]),
        level("workloads", vec![full.clone(), regions]),
        level("account", vec![full, guard]),
    ];
    (
        scp.into(),
        [
            level("root", vec![all.clone(), perimeter]),
            level("workloads", vec![all.clone()]),
            level("account", vec![all]),
        ]
        .into(),
    )
}

fn context(dice: &mut Dice) -> Context {
    let region = if dice.roll(12) == 0 { "us-east-1" } else { "eu-west-1" };
    let ip = if dice.roll(6) == 0 { "203.0.113.7" } else { "10.1.2.3" };
    Context::closed()
        .set("aws:RequestedRegion", [region])
        .set("aws:SourceIp", [ip])
        .set("aws:PrincipalOrgID", ["o-home"])
        .set("aws:PrincipalTag/team", ["pay"])
        .set("aws:ResourceTag/team", [if dice.roll(3) == 0 { "web" } else { "pay" }])
        .set("aws:SecureTransport", ["true"])
        .set("aws:userid", ["AROAEXAMPLEEXAMPLE123:s"])
}

/// The roles' layers, and the requests by role.
fn organisation() -> (Vec<PolicySet>, Vec<(usize, Request)>) {
    let mut dice = Dice(42);
    let (managed, (scp, rcp)) = (managed(), levels());
    let boundary = layer(
        "permissions boundary",
        &json!([
            {"Effect": "Allow", "NotAction": ["organizations:*", "account:*"], "Resource": "*"},
            {"Effect": "Deny", "Action": ["iam:CreateUser", "iam:CreateAccessKey", "iam:DeleteRolePermissionsBoundary"], "Resource": "*"}
        ]),
    );
    let (mut stacks, mut requests) = (Vec::new(), Vec::new());
    for number in 0..ROLES {
        let name = format!("app-{number}");
        let mut identity: Vec<PolicyRef> = (0..dice.roll(4)).filter_map(|_| dice.pick(&managed).cloned()).collect();
        identity.push(inline(&mut dice, &name));
        let bucket = layer(
            "bucket policy",
            &json!([
                {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [format!("arn:aws:s3:::{name}"), format!("arn:aws:s3:::{name}/*")],
                 "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
                {"Effect": "Allow", "Principal": {"AWS": [format!("arn:aws:iam::{ACCOUNT}:role/other"), format!("arn:aws:iam::{ACCOUNT}:role/{name}")]},
                 "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [format!("arn:aws:s3:::{name}"), format!("arn:aws:s3:::{name}/*")]}
            ]),
        );
        let trust = layer(
            "trust policy",
            &json!([{"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")}, "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {"ArnLike": {"aws:PrincipalArn": format!("arn:aws:iam::{ACCOUNT}:role/*")}}}]),
        );
        let session = layer(
            "session policy",
            &json!([{"Effect": "Allow", "Action": ["s3:*", "dynamodb:*", "sqs:*", "logs:*"], "Resource": "*"}]),
        );
        let who = || Requester::parse(&format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/eks-prod-{number}"));
        for turn in 0..2 {
            let Some(principal) = who() else { continue };
            let Some((service, _, resource)) = dice.pick(&SERVICES) else { continue };
            let reads = turn == 0 || dice.roll(2) == 0;
            let all = actions_of(service, |level| !reads || matches!(level, AccessLevel::Read | AccessLevel::List));
            // Half of the requests are for what the role's own policies name.
            let own = identity.iter().rev().find_map(|layer| named(layer, &mut dice)).filter(|_| turn == 0 || reads);
            let chosen =
                own.or_else(|| dice.pick(&all).map(|action| (action.clone(), resource.replace("NAME", &name))));
            let (action, resource) = match chosen {
                _ if dice.roll(20) == 0 => ("sts:AssumeRole".to_owned(), format!("arn:aws:iam::{ACCOUNT}:role/target")),
                Some(chosen) => chosen,
                None => continue,
            };
            requests
                .push((number, Request::new(principal, &action, &resource, ACCOUNT.parse().ok(), context(&mut dice))));
        }
        stacks.push(PolicySet {
            identity: Some(identity),
            boundary: (dice.roll(3) == 0).then(|| vec![boundary.clone()]),
            session: (dice.roll(8) == 0).then(|| vec![session]),
            scp: Some(scp.clone()),
            rcp: Some(rcp.clone()),
            resource: (dice.roll(3) == 0).then_some(bucket),
            trust: Some(trust),
            vpc_endpoint: None,
        });
    }
    (stacks, requests)
}

/// An action and a resource that one of the policy's statements names.
fn named(layer: &PolicyRef, dice: &mut Dice) -> Option<(String, String)> {
    let statements = layer.policy()?;
    let statement = dice.pick(&statements.statements)?;
    let actions: Vec<&str> =
        statement.actions.elements().iter().map(ActionPattern::as_str).filter(|a| !a.contains('*')).collect();
    let action = (*dice.pick(&actions)?).to_owned();
    let resource =
        statement.resources.as_ref()?.elements().first()?.as_str().replace(":*:", ":eu-west-1:").replace('*', "x");
    Some((action, resource))
}

/// Nanoseconds of processor time that this thread has had, where the system tells: unlike the time on
/// the wall they do not grow with whatever else the machine does.
fn cpu() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn decisions(c: &mut Criterion) {
    let (stacks, requests) = organisation();
    let pairs: Vec<(&PolicySet, &Request)> =
        requests.iter().filter_map(|(role, request)| Some((stacks.get(*role)?, request))).collect();
    let count = |wanted: Outcome| pairs.iter().filter(|(l, r)| decide(r, l).outcome == wanted).count();
    eprintln!(
        "{} requests of {ROLES} roles: {} allowed, {} denied explicitly, {} implicitly, {} unknown",
        pairs.len(),
        count(Outcome::Allow),
        count(Outcome::DenyExplicit),
        count(Outcome::DenyImplicit),
        count(Outcome::Unknown),
    );
    let few = pairs.get(..100).unwrap_or_default();
    for (what, pairs, passes) in
        [("1000 roles", pairs.as_slice(), 200), ("50 roles, which stay in the caches", few, 4000)]
    {
        let Some(start) = cpu() else { break };
        let allowed: usize = (0..passes)
            .map(|_| pairs.iter().filter(|(l, r)| decide(black_box(r), black_box(l)).outcome == Outcome::Allow).count())
            .sum();
        let spent = cpu().unwrap_or_default().saturating_sub(start);
        let decisions = passes * pairs.len();
        let each = spent / u64::try_from(decisions).unwrap_or(u64::MAX).max(1);
        eprintln!("{what}: {each} ns of processor time a decision, {} % allowed", 100 * allowed / decisions.max(1));
    }
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(u64::try_from(pairs.len()).unwrap_or_default()));
    group.bench_function("1000 roles, all layers", |b| {
        b.iter(|| pairs.iter().filter(|(l, r)| decide(black_box(r), black_box(l)).outcome == Outcome::Allow).count());
    });
    group.bench_function("the same, request put together each time", |b| {
        b.iter(|| {
            let each = requests.iter().filter_map(|(role, request)| Some((stacks.get(*role)?, request)));
            each.filter(|(layers, r)| {
                let (action, resource) = (r.action().as_str(), r.resource().as_str());
                let again =
                    Request::new(r.principal().clone(), action, resource, r.resource_account(), r.context().clone());
                decide(&again, layers).outcome == Outcome::Allow
            })
            .count()
        });
    });
    group.bench_function("the same, explained", |b| {
        b.iter(|| pairs.iter().filter(|(l, r)| explain(r, l).outcome == Outcome::Allow).count());
    });
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
