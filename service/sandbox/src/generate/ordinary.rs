//! The many roles that are as they should be: what teams, pipelines, services and people use.
//!
//! Among them trust in whole accounts, permissions to assume roles, and AWS's own policies, in the
//! shares that organisations have. Refuses to grant more than its user needs.

use super::draft::{Draft, Place, limited, role_arn, trust_arn, trust_tokens};
use super::truth::Severity;
use super::{PARTS, TEAMS};
use crate::build::{self, Role, allow, document, policy, trust_irsa, trust_pods, trust_pods_of, trust_service, with};
use crate::ids::{self, Stream};
use serde_json::{Value, json};

/// AWS's policies for what services run, none of which writes to more than logs and metrics.
const ATTACHED: [&str; 9] = [
    "AmazonSSMManagedInstanceCore",
    "CloudWatchAgentServerPolicy",
    "AmazonEC2ContainerRegistryReadOnly",
    "service-role/AWSLambdaBasicExecutionRole",
    "service-role/AWSLambdaVPCAccessExecutionRole",
    "service-role/AWSLambdaSQSQueueExecutionRole",
    "service-role/AmazonECSTaskExecutionRolePolicy",
    "AWSXRayDaemonWriteAccess",
    "IAMReadOnlyAccess",
];

const SERVICES: [&str; 7] = [
    "lambda.amazonaws.com",
    "lambda.amazonaws.com",
    "ec2.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "states.amazonaws.com",
    "glue.amazonaws.com",
    "events.amazonaws.com",
];

/// A statement as a team would write it.
fn statement(stream: &mut Stream, account: &str, region: &str, team: &str) -> Value {
    let name = format!("{team}-{}", ids::hex(&stream.next().to_string(), 6));
    match stream.below(7) {
        0 => allow(
            &["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
            &[&format!("arn:aws:s3:::{name}"), &format!("arn:aws:s3:::{name}/*")],
        ),
        1 => allow(
            &["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"],
            &[&format!("arn:aws:dynamodb:{region}:{account}:table/{name}")],
        ),
        2 => allow(
            &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"],
            &[&format!("arn:aws:sqs:{region}:{account}:{name}")],
        ),
        3 => allow(
            &["secretsmanager:GetSecretValue"],
            &[&format!("arn:aws:secretsmanager:{region}:{account}:secret:{team}/{name}-*")],
        ),
        4 => allow(
            &["kms:Decrypt", "kms:GenerateDataKey"],
            &[&format!("arn:aws:kms:{region}:{account}:key/{}", ids::uuid(&name))],
        ),
        5 => with(
            allow(&["sns:Publish"], &[&format!("arn:aws:sns:{region}:{account}:{name}")]),
            "Condition",
            json!({"Bool": {"aws:SecureTransport": "true"}}),
        ),
        _ => allow(&["logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:GetLogEvents"], &["*"]),
    }
}

pub(super) fn written(stream: &mut Stream, account: &str, region: &str, team: &str, statements: usize) -> Value {
    document((0..statements).map(|_| statement(stream, account, region, team)).collect())
}

/// What the roles of an account share.
struct Shared {
    /// ARNs of customer managed policies.
    policies: Vec<String>,
    clusters: Vec<Place>,
    /// Roles of pipelines, which deployment roles trust.
    sister: String,
}

/// Fills an account up to a number of roles. Gives the roles that pods can have, with their
/// namespaces and the place that they are for.
pub(super) fn fill(draft: &mut Draft, id: &str, roles: usize) -> Vec<(String, &'static str, Place)> {
    let have = draft.account(id).roles.len();
    let wanted = roles.saturating_sub(have);
    let clusters: Vec<Place> = draft.clusters.iter().filter(|place| place.account == id).cloned().collect();
    let policies: Vec<String> =
        (0..wanted.div_ceil(12)).map(|n| format!("arn:aws:iam::{id}:policy/shared-{n:03}")).collect();
    for arn in &policies {
        let team = draft.stream.pick(&TEAMS);
        let size = 2 + draft.stream.below(5);
        let body = written(&mut draft.stream, id, "eu-west-1", team, size);
        draft.account(id).policies.push(policy(arn, "v2", &body));
    }
    let shared = Shared { policies, clusters, sister: draft.accounts.management.clone() };
    let mut pods = Vec::new();
    for n in 0..wanted {
        match roles.saturating_sub(draft.account(id).roles.len()) {
            0 => break,
            room => one(draft, id, (n, room), &shared, &mut pods),
        }
    }
    pods
}

/// `turn`: which one it is, and how many more there is room for.
fn one(
    draft: &mut Draft,
    id: &str,
    turn: (usize, usize),
    shared: &Shared,
    pods: &mut Vec<(String, &'static str, Place)>,
) {
    let (n, room) = turn;
    let (team, part) = (draft.stream.pick(&TEAMS), draft.stream.pick(&PARTS));
    let name = format!("{team}-{part}-{n:04}");
    let at = draft.stream.below(shared.clusters.len());
    let place = shared.clusters.get(at);
    let kind = draft.stream.below(100);
    let role = match (kind, place) {
        // Every second one as the EKS guide shows it, open to all clusters of the account.
        (0..=21, Some(place)) => {
            let trust = if kind.is_multiple_of(2) { trust_pods_of(&place.arn(), team) } else { trust_pods() };
            Role::at(id, "/pods/", &name, trust)
        }
        (22..=31, Some(place)) => {
            Role::new(id, &name, trust_irsa(id, &build::issuer(id, place.region, &place.name), team, part))
        }
        (32..=35, _) => Role::new(id, &name, github(id, team)),
        // Every principal of the account that is allowed to may assume it.
        (36..=43, _) => Role::new(id, &name, trust_arn(&format!("arn:aws:iam::{id}:root"))),
        (44..=45, _) => Role::new(id, &name, trust_arn(&format!("arn:aws:iam::{}:root", shared.sister))),
        (46..=49, _) if room > 1 => return pair(draft, id, &name, team),
        _ => Role::new(id, &name, trust_service(draft.stream.pick(&SERVICES))),
    };
    let mut role = role.tag("team", team).tag("env", "prod");
    let size = 1 + draft.stream.below(3);
    role = role.inline("access", written(&mut draft.stream, id, "eu-west-1", team, size));
    for _ in 0..draft.stream.below(3) {
        let at = draft.stream.below(shared.policies.len());
        if let Some(arn) = shared.policies.get(at) {
            role = role.attach(arn);
        }
    }
    if draft.stream.below(3) == 0 {
        role = role.attach_aws(draft.stream.pick(&ATTACHED));
    }
    let arn = draft.role(role);
    draft.truth.tidy("ordinary", &arn, Severity::Medium);
    if let (0..=21, Some(place)) = (kind, place) {
        pods.push((arn, team, place.clone()));
    }
}

fn github(id: &str, team: &str) -> Value {
    let issuer = "token.actions.githubusercontent.com";
    let condition = json!({"StringEquals": {format!("{issuer}:aud"): "sts.amazonaws.com"},
        "StringLike": {format!("{issuer}:sub"): format!("repo:example-org/{team}:ref:refs/heads/main")}});
    trust_tokens(&format!("arn:aws:iam::{id}:oidc-provider/{issuer}"), &condition)
}

/// A caller that may assume one role, and the role, which trusts its own account as a whole.
fn pair(draft: &mut Draft, id: &str, name: &str, team: &str) {
    let target = role_arn(id, &format!("{name}-target"));
    let caller = Role::new(id, name, trust_service("codebuild.amazonaws.com"))
        .inline("assume", document(vec![allow(&["sts:AssumeRole"], &[&target])]));
    let caller = draft.role(caller);
    draft.truth.tidy("caller", &caller, Severity::Medium);
    let trust = trust_arn(&format!("arn:aws:iam::{id}:root"));
    let trust = if draft.stream.below(2) == 0 {
        limited(trust, json!({"ArnEquals": {"aws:PrincipalArn": caller}}))
    } else {
        trust
    };
    let body = written(&mut draft.stream, id, "eu-west-1", team, 2);
    let target = draft.role(Role::new(id, &format!("{name}-target"), trust).inline("access", body));
    draft.truth.tidy("target", &target, Severity::Medium);
}
