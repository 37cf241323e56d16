//! Roles that look like a problem and are none, or a small one.

use super::draft::{Draft, limited, role_arn, trust_arn, trust_tokens};
use super::organisation::ID as ORGANISATION;
use super::problems::VENDOR;
use super::truth::Severity::{self, High, Low, Medium};
use crate::build::{Role, allow, deny, document, policy, trust_service, with};
use serde_json::{Value, json};

const ADMINISTRATOR: &[&str] = &["admin-equivalent", "escalates-to-administrator", "takes-over-other-principals"];

/// One of each kind; `n` is its turn.
pub(super) fn add(draft: &mut Draft, n: usize) {
    let id = draft.accounts.workload(n);
    resources(draft, n, &id);
    blocked(draft, n, &id);
    trusts(draft, n, &id);
    pods(draft, n);
    members(draft, n);
}

/// A role of a function with statements.
fn function(draft: &mut Draft, n: usize, id: &str, name: &str, statements: Vec<Value>) -> String {
    let role = Role::new(id, &format!("{name}-{n:02}"), trust_service("lambda.amazonaws.com"));
    draft.role(role.inline("access", document(statements)))
}

/// An action acts only on resources of its own types.
fn resources(draft: &mut Draft, n: usize, id: &str) {
    let bucket = format!("arn:aws:s3:::drafts-{id}-{n:02}");
    let objects = format!("{bucket}/*");
    let queue = format!("arn:aws:sqs:eu-west-1:{id}:drafts-{n:02}");
    let table = format!("arn:aws:dynamodb:eu-west-1:{id}:table/drafts-{n:02}");
    let group = format!("arn:aws:logs:eu-west-1:{id}:log-group:drafts-{n:02}:*");
    let ghost = role_arn(id, &format!("ghost-{n:02}-*"));
    let reserved = role_arn(id, "aws-reserved/*");
    let cases: [(&'static str, &[&str], &[&str], Severity); 10] = [
        ("everything-on-one-bucket", &["*"], &[&bucket, &objects], Medium),
        ("everything-on-one-table", &["*"], &[&table], Medium),
        ("everything-on-one-log-group", &["*"], &[&group], Medium),
        ("iam-on-one-bucket", &["iam:*"], &[&bucket, &objects], Low),
        ("one-queue", &["sqs:*"], &[&queue], Low),
        ("passes-a-bucket", &["iam:PassRole"], &[&bucket], Low),
        ("keys-of-a-role", &["iam:CreateAccessKey"], &[&role_arn(id, "*")], Low),
        ("attaches-to-nobody", &["iam:AttachRolePolicy", "sts:AssumeRole"], &[&ghost], Low),
        ("writes-to-protected-roles", &["iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"], &[&reserved], Low),
        ("billing-pages", &["aws-portal:View*"], &["*"], Low),
    ];
    for (kind, actions, resources, at_most) in cases {
        let made = function(draft, n, id, kind, vec![allow(actions, resources)]);
        draft.decoy(kind, &made, ADMINISTRATOR, at_most);
    }
    let not_action = json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": [bucket, objects]});
    let made = function(draft, n, id, "all-but-a-list-on-one-bucket", vec![not_action]);
    draft.decoy("all-but-a-list-on-one-bucket", &made, ADMINISTRATOR, Medium);
}

/// What one statement allows and another policy, or another statement, takes away.
fn blocked(draft: &mut Draft, n: usize, id: &str) {
    let limits = format!("arn:aws:iam::{id}:policy/team-boundary-{n:02}");
    let body = document(vec![allow(&["athena:GetQueryResults", "glue:GetTable", "cloudwatch:GetMetricData"], &["*"])]);
    draft.account(id).policies.push(policy(&limits, "v3", &body));
    let role = Role::new(id, &format!("experiments-{n:02}"), trust_service("states.amazonaws.com"));
    let made = draft.role(role.attach_aws("AdministratorAccess").boundary(&limits));
    draft.decoy("blocked-by-boundary", &made, ADMINISTRATOR, Low);

    let statements = vec![
        allow(&["iam:*", "s3:*"], &["*"]),
        deny(&["iam:*", "s3:*"], &["*"]),
        json!({"Effect": "Deny", "NotAction": ["support:*"], "Resource": "*"}),
    ];
    let made = function(draft, n, id, "blocked-by-deny", statements);
    draft.decoy("blocked-by-deny", &made, ADMINISTRATOR, Low);

    if let Some(locked) = draft.accounts.locked.clone() {
        let writes = allow(&["iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:CreatePolicyVersion"], &["*"]);
        let made = function(draft, n, &locked, "blocked-by-scp", vec![writes]);
        draft.decoy("blocked-by-scp", &made, ADMINISTRATOR, Low);
    }
}

/// Trust that is wide in words and narrow in effect.
fn trusts(draft: &mut Draft, n: usize, id: &str) {
    let reads = document(vec![allow(&["ce:GetCostAndUsage"], &["*"])]);
    let mut trusts = |id: &str, kind: &'static str, trust: Value, rules: &'static [&'static str], at_most| {
        let role = Role::new(id, &format!("{kind}-{n:02}"), trust).inline("costs", reads.clone());
        let made = draft.role(role);
        draft.decoy(kind, &made, rules, at_most);
    };
    let outsider: &[&str] = &["trust-admits-outsider"];
    let own = json!({"StringEquals": {"aws:PrincipalOrgID": ORGANISATION}});
    trusts(id, "open-to-the-organisation", limited(trust_arn("*"), own.clone()), outsider, Medium);
    let paths = json!({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": format!("{ORGANISATION}/r-gen0/*")}});
    trusts(id, "open-to-a-path", limited(trust_arn("*"), paths), outsider, Medium);
    let account = json!({"StringEquals": {"aws:PrincipalAccount": id}});
    trusts(id, "open-to-its-own-account", limited(trust_arn("*"), account), outsider, Medium);
    let vendor = trust_arn(&format!("arn:aws:iam::{VENDOR}:root"));
    trusts(id, "named-account-of-the-organisation", limited(vendor.clone(), own), outsider, Medium);
    let external = json!({"StringEquals": {"sts:ExternalId": "7c1e-2b90-4d11"}});
    trusts(id, "vendor-with-external-id", limited(vendor, external), &[], High);

    let issuer = "token.actions.githubusercontent.com";
    let condition = json!({"StringEquals": {format!("{issuer}:aud"): "sts.amazonaws.com",
        format!("{issuer}:sub"): "repo:example-org/shop:environment:production"}});
    let trust = trust_tokens(&format!("arn:aws:iam::{id}:oidc-provider/{issuer}"), &condition);
    let tokens: &[&str] = &["trust-admits-outsider", "trust-admits-federated-stranger"];
    trusts(id, "github-one-environment", trust, tokens, Low);

    if let Some(fenced) = &draft.accounts.fenced.clone() {
        let role = Role::new(fenced, &format!("open-behind-rcp-{n:02}"), trust_arn("*"));
        let made = draft.role(role.inline("costs", reads));
        draft.decoy("open-behind-rcp", &made, &["trust-admits-outsider"], High);
    }
}

/// Conditions on tags, and secrets, where there is nothing wrong.
fn pods(draft: &mut Draft, n: usize) {
    let id = draft.accounts.workload(n);
    let by_tag = with(
        allow(&["s3:GetObject"], &["arn:aws:s3:::pay-archive/*"]),
        "Condition",
        json!({"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": "pay"}}),
    );
    let made = function(draft, n, &id, "tag-condition-of-a-function", vec![by_tag]);
    draft.decoy("tag-condition-of-a-function", &made, &["abac-without-cluster-tag", "pod-tags-forgeable"], Low);

    let Some(place) = draft.place(n) else { return };
    let secret = format!("arn:aws:secretsmanager:{}:{}:secret:shop/basket-*", place.region, place.account);
    let secret = vec![allow(&["secretsmanager:GetSecretValue"], &[&secret])];
    let made = draft.pod_role(&place, ("shop", &format!("basket-{n:02}")), secret);
    draft.decoy("reads-one-secret", &made, &["reads-every-secret", "wildcard-resource"], Low);
}

/// What is none in a member account, where Identity Center and Organizations are not administered.
fn members(draft: &mut Draft, n: usize) {
    let Some(id) = draft.accounts.fenced.clone() else { return };
    let role = Role::new(&id, &format!("power-user-{n:02}"), trust_service("lambda.amazonaws.com"));
    let made = draft.role(role.attach_aws("PowerUserAccess"));
    draft.decoy("power-user-of-a-member", &made, &["admin-equivalent", "escalates-to-administrator"], High);

    let sso = allow(&["sso:*", "organizations:*"], &["*"]);
    let made = function(draft, n, &id, "identity-center-of-a-member", vec![sso]);
    draft.decoy("identity-center-of-a-member", &made, ADMINISTRATOR, High);
}
