//! What judging costs for each role, as an account grows.
//!
//! Makes accounts of its own in which half of the roles trust their whole account and many may assume,
//! pass or change others: what a graph of escalations costs most on. Judges them by the rules that
//! ship and prints the time a role takes at each size, and the ratio. Arguments: the sizes, 1000 and
//! 4000 otherwise.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::expect_used,
    reason = "a bench prints its figures"
)]

use rolecall_audit::evaluate::evaluate;
use rolecall_audit::facts;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Account, Estate, InlinePolicy, Role, Tags};
use rolecall_iam::AccountId;
use rolecall_rules::{Outcome, RuleSet, SourceFile};
use std::time::Instant;

const ACCOUNT: &str = "111122223333";

fn rules() -> RuleSet {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/builtin");
    let entries = std::fs::read_dir(folder).expect("the rules are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| SourceFile {
        path: path.display().to_string(),
        text: std::fs::read_to_string(path).expect("the rule can be read"),
    };
    RuleSet::load(&paths.iter().map(read).collect::<Vec<_>>(), facts::schema()).expect("the rules load")
}

fn allow(actions: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"{resource}"}}]}}"#
    )
}

fn arn(n: usize) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/team-{}/app-{n:06}", n % 97)
}

/// What the role with this number may do; each has a document of its own.
fn policies(n: usize) -> Vec<String> {
    let bucket = format!("arn:aws:s3:::data-{n}/*");
    let mut policies = vec![
        allow(r#""s3:GetObject","s3:PutObject""#, &bucket),
        allow(r#""sqs:SendMessage","sqs:ReceiveMessage""#, &format!("arn:aws:sqs:eu-west-1:{ACCOUNT}:queue-{n}")),
    ];
    match n % 20 {
        0 => policies.push(allow(r#""sts:AssumeRole""#, "*")),
        1..=5 => policies.push(allow(r#""sts:AssumeRole""#, &arn(n * 7 % 1_000))),
        6 => policies.push(allow(r#""sts:AssumeRole""#, &format!("arn:aws:iam::*:role/team-{}/*", n % 97))),
        7..=9 => policies.push(allow(r#""iam:PassRole","lambda:CreateFunction","lambda:InvokeFunction""#, "*")),
        10 => policies.push(allow(r#""iam:PutRolePolicy""#, &arn(n))),
        11 => {
            policies.push(allow(r#""iam:UpdateAssumeRolePolicy""#, &format!("arn:aws:iam::*:role/team-{}/*", n % 97)));
        }
        12 => policies.push(allow(&format!(r#""ec2:*","logs:Create{n}*""#), "*")),
        _ => {}
    }
    if n == 777 {
        policies.push(allow(r#""*""#, "*"));
    }
    policies
}

fn trust(n: usize) -> String {
    let principal = match n % 6 {
        0..=2 => format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}"#),
        3 => r#"{"Service":"lambda.amazonaws.com"}"#.to_owned(),
        4 => r#"{"Service":"pods.eks.amazonaws.com"}"#.to_owned(),
        _ => format!(r#"{{"AWS":"{}"}}"#, arn(n / 2)),
    };
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}]}}"#
    )
}

fn estate(roles: usize) -> Estate {
    let id: AccountId = ACCOUNT.parse().expect("an account id");
    let mut estate = Estate::default();
    // No SCP binds the management account.
    estate.accounts.push(Account { is_management: true, ..Account::new(id) });
    for kind in [ScopeKind::Entry, ScopeKind::Roles, ScopeKind::Policies, ScopeKind::OidcProviders] {
        estate.coverage.complete(Scope::global(id, kind));
    }
    for n in 0..roles {
        let trust = Some(estate.documents.read(&trust(n)));
        let texts = policies(n);
        let inline = texts
            .iter()
            .enumerate()
            .map(|(at, text)| InlinePolicy { name: format!("p{at}"), document: estate.documents.read(text) });
        let inline = inline.collect();
        estate.roles.push(Role {
            arn: arn(n).parse().expect("a role's ARN"),
            role_id: format!("AROA{n:016}"),
            created_at: None,
            trust,
            inline,
            attached: Vec::new(),
            boundary: None,
            instance_profiles: Vec::new(),
            tags: Tags::new(),
        });
    }
    estate
}

fn main() {
    let mut sizes: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 4_000];
    }
    let rules = rules();
    let now = "2026-11-23T00:00:00Z".parse().expect("a time");
    // The catalogue is read once, whatever the size.
    drop(evaluate(&estate(10), &rules, now));
    let mut first = None;
    for size in sizes {
        let estate = estate(size);
        let begun = Instant::now();
        let evaluation = evaluate(&estate, &rules, now);
        let each = begun.elapsed().as_secs_f64() * 1e6 / size as f64;
        let failed =
            evaluation.verdicts.iter().filter(|verdict| matches!(verdict.outcome, Outcome::Fail { .. })).count();
        let first = *first.get_or_insert(each);
        println!("{size:>7} roles: {each:>8.1} us a role, {:.2} x, {failed} findings", each / first);
    }
}
