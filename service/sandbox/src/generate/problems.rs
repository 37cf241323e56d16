//! Roles with a problem: what each of them can do that it must not.

use super::draft::{Draft, Place, limited, role_arn, trust_arn, trust_tokens};
use super::truth::Severity::{Critical, High, Low, Medium};
use crate::build::{self, PODS, Role, allow, document, policy, trust_pods, trust_pods_of, trust_service, with};
use serde_json::{Value, json};

const ADMINISTRATOR: &[&str] = &["admin-equivalent"];
const ESCALATES: &[&str] = &["escalates-to-administrator"];
const OUTSIDER: &[&str] = &["trust-admits-outsider"];
const TOKENS: &[&str] = &["trust-admits-federated-stranger", "trust-admits-outsider"];
const READS: &[&str] = &[
    "reads-every-secret",
    "reads-every-parameter",
    "reads-every-bucket",
    "reads-every-table",
    "decrypts-with-every-key",
];

/// A vendor's account, outside of every organisation.
pub(super) const VENDOR: &str = "999988887777";

/// One of each kind; `n` is its turn.
pub(super) fn add(draft: &mut Draft, n: usize) {
    let id = draft.accounts.workload(n);
    let administrator = functions(draft, n, &id);
    trusts(draft, n, &id);
    tokens(draft, n, &id);
    if let Some(place) = draft.place(n) {
        let administrator = if place.account == id {
            administrator
        } else {
            // The ways of the pods end at an administrator of their own account.
            let role =
                Role::new(&place.account, &format!("report-runner-{n:02}"), trust_service("lambda.amazonaws.com"))
                    .inline("all", document(vec![allow(&["*"], &["*"])]));
            let role = draft.role(role);
            draft.problem("administrator-of-functions", &role, ADMINISTRATOR, Medium);
            role
        };
        escalation_paths(draft, n, &place, &administrator);
        broad(draft, n, &place);
        pods(draft, n, &place);
    }
}

/// Roles of services. Gives an administrator among them.
fn functions(draft: &mut Draft, n: usize, id: &str) -> String {
    let lambda = || trust_service("lambda.amazonaws.com");
    let role = |name: &str, trust: Value| Role::new(id, &format!("{name}-{n:02}"), trust);

    let all = draft.role(role("job-runner", lambda()).inline("all", document(vec![allow(&["*"], &["*"])])));
    draft.problem("administrator-of-functions", &all, ADMINISTRATOR, Medium);

    let attach = document(vec![allow(&["iam:AttachRolePolicy", "iam:ListPolicies"], &[&role_arn(id, "*"), "*"])]);
    let made = draft.role(role("onboarding", lambda()).inline("attach", attach));
    draft.problem("attaches-to-any-role", &made, ESCALATES, Medium);

    let made = draft.role(role("identity-sync", trust_service("codebuild.amazonaws.com")).attach_aws("IAMFullAccess"));
    draft.problem("iam-full-access", &made, &["escalates-to-administrator", "admin-equivalent"], Medium);

    let root = trust_arn(&format!("arn:aws:iam::{id}:root"));
    let made = draft.role(role("break-glass", root).attach_aws("AdministratorAccess"));
    draft.problem("administrator-for-the-account", &made, ADMINISTRATOR, Medium);
    let assume = document(vec![allow(&["sts:AssumeRole"], &["*"])]);
    let made = draft.role(role("support-tool", lambda()).inline("assume", assume));
    draft.problem("assumes-any-role", &made, ESCALATES, Medium);

    let unused = draft.ago(210 + i64::try_from(n).unwrap_or(0), 0);
    let servers = document(vec![allow(&["ec2:*", "rds:*"], &["*"])]);
    let made =
        draft.role_as_it_is(role("migration", lambda()).inline("servers", servers).last_used(&unused, "eu-west-1"));
    draft.problem("unused-privileged", &made, &["privileged-role-unused"], Low);
    all
}

/// Roles that strangers may assume.
fn trusts(draft: &mut Draft, n: usize, id: &str) {
    let bucket = document(vec![allow(&["s3:GetObject"], &[&format!("arn:aws:s3:::exchange-{id}-{n:02}/*")])]);
    let mut open = |kind: &'static str, name: &str, trust: Value, at_least| {
        let role = Role::new(id, &format!("{name}-{n:02}"), trust).inline("files", bucket.clone());
        let role = draft.role(role);
        draft.problem(kind, &role, OUTSIDER, at_least);
    };
    open("open-to-anyone", "partner-reports", trust_arn("*"), High);
    let vendor = trust_arn(&format!("arn:aws:iam::{VENDOR}:root"));
    open("outsider-without-external-id", "vendor-sync", vendor, High);
    let foreign = limited(trust_arn("*"), json!({"StringEquals": {"aws:PrincipalOrgID": "o-somebodyel"}}));
    open("foreign-organisation", "merger-exchange", foreign, High);
}

/// Roles for tokens of providers that strangers have tokens of.
fn tokens(draft: &mut Draft, n: usize, id: &str) {
    let issuer = "token.actions.githubusercontent.com";
    let github = format!("arn:aws:iam::{id}:oidc-provider/{issuer}");
    let aud = json!({format!("{issuer}:aud"): "sts.amazonaws.com"});
    let body = document(vec![allow(&["ecr:PutImage"], &[&format!("arn:aws:ecr:eu-west-1:{id}:repository/shop")])]);
    let any = json!({"StringEquals": aud, "StringLike": {format!("{issuer}:sub"): "repo:*"}});
    let cognito = "cognito-identity.amazonaws.com";
    let authenticated = json!({"ForAnyValue:StringLike": {format!("{cognito}:amr"): "authenticated"}});
    for (kind, name, provider, condition) in [
        ("github-any-repository", "release", github.as_str(), any),
        ("github-without-subject", "preview", github.as_str(), json!({"StringEquals": aud})),
        ("cognito-any-pool", "mobile", cognito, authenticated),
    ] {
        let role = Role::new(id, &format!("{name}-{n:02}"), trust_tokens(provider, &condition));
        let role = draft.role(role.inline("access", body.clone()));
        draft.problem(kind, &role, TOKENS, High);
    }
}

/// Pods that make themselves an administrator.
fn escalation_paths(draft: &mut Draft, n: usize, place: &Place, administrator: &str) {
    let id = place.account.as_str();
    let name = |base: &str| format!("{base}-{n:02}");

    let made =
        draft.pod_role_with(place, ("platform", &name("bootstrap")), |role| role.attach_aws("AdministratorAccess"));
    draft.problem("administrator-of-pods", &made, ADMINISTRATOR, Critical);

    let own = role_arn(id, &format!("pods/platform-{}", name("tuner")));
    let made = draft.pod_role(place, ("platform", &name("tuner")), vec![allow(&["iam:PutRolePolicy"], &[&own])]);
    draft.problem("writes-its-own-policy", &made, ESCALATES, Critical);

    let limits = format!("arn:aws:iam::{id}:policy/{}", name("release-limits"));
    let body = document(vec![allow(&["iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"], &[&limits])]);
    draft.account(id).policies.push(policy(&limits, "v1", &body));
    let made = draft.pod_role_with(place, ("platform", &name("release")), |role| role.attach(&limits));
    draft.problem("writes-its-own-policy-version", &made, ESCALATES, Critical);

    let retrust = vec![allow(&["iam:UpdateAssumeRolePolicy"], &[administrator])];
    let made = draft.pod_role(place, ("platform", &name("rotator")), retrust);
    draft.problem("retrusts-administrator", &made, ESCALATES, Critical);

    let pass = vec![
        allow(&["iam:PassRole"], &[administrator]),
        allow(&["lambda:CreateFunction", "lambda:InvokeFunction"], &[&format!("arn:aws:lambda:*:{id}:function:*")]),
    ];
    let made = draft.pod_role(place, ("platform", &name("builder")), pass);
    draft.problem("passes-administrator", &made, ESCALATES, Critical);

    let (hop, ops) = (role_arn(id, &name("hop")), role_arn(id, &name("operations")));
    let made = draft.pod_role(place, ("platform", &name("gateway")), vec![allow(&["sts:AssumeRole"], &[&hop])]);
    draft.problem("chain-to-administrator", &made, ESCALATES, Critical);
    let trust = trust_arn(&made);
    let made = draft
        .role(Role::new(id, &name("hop"), trust).inline("on", document(vec![allow(&["sts:AssumeRole"], &[&ops])])));
    draft.problem("chain-to-administrator", &made, ESCALATES, High);
    let made = draft.role(Role::new(id, &name("operations"), trust_arn(&made)).attach_aws("AdministratorAccess"));
    draft.problem("administrator-at-the-end-of-a-chain", &made, ADMINISTRATOR, High);

    let functions = format!("arn:aws:lambda:*:{id}:function:*");
    let made = draft.pod_role(
        place,
        ("platform", &name("patcher")),
        vec![allow(&["lambda:UpdateFunctionCode"], &[&functions])],
    );
    draft.problem(
        "changes-what-runs",
        &made,
        &["takes-over-running-workloads", "escalates-to-administrator", "takes-over-other-principals"],
        Low,
    );

    let keys = vec![allow(&["iam:CreateAccessKey"], &[&format!("arn:aws:iam::{id}:user/*")])];
    let made = draft.pod_role(place, ("platform", &name("key-maker")), keys);
    draft.problem("makes-keys-of-users", &made, &["takes-over-other-principals", "escalates-to-administrator"], None);
}

/// Pods that may do more than any pod needs.
fn broad(draft: &mut Draft, n: usize, place: &Place) {
    let name = |base: &str| format!("{base}-{n:02}");
    let mut pod = |kind: &'static str, base: &str, statement: Value, rules: &'static [&'static str], at_least| {
        let made = draft.pod_role(place, ("shop", &name(base)), vec![statement]);
        draft.problem(kind, &made, rules, at_least);
    };
    let any = |actions: &[&str]| allow(actions, &["*"]);
    pod("passes-any-role", "scheduler", any(&["iam:PassRole"]), &["pass-role-any"], Medium);
    let but = json!({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"});
    pod("all-but-a-list", "explorer", but, &["not-action-allow"], Medium);
    pod("whole-service", "queues", any(&["sqs:*"]), &["wildcard-action"], Medium);
    let writes = any(&["s3:PutObject", "s3:DeleteObject", "dynamodb:DeleteItem"]);
    pod("writes-to-everything", "cleaner", writes, &["wildcard-resource"], Low);
    let secrets = any(&["secretsmanager:GetSecretValue", "ssm:GetParameter*", "kms:Decrypt"]);
    pod("reads-all-secrets", "settings", secrets, READS, Medium);
    let data = any(&["s3:GetObject", "s3:ListBucket", "dynamodb:Scan"]);
    pod("reads-all-data", "reporting", data, READS, Medium);
}

/// Roles that more pods can have than are meant, or whose tags tell nothing.
fn pods(draft: &mut Draft, n: usize, place: &Place) {
    let id = place.account.as_str();
    let bucket = format!("arn:aws:s3:::tenants-{id}");
    let files = || document(vec![allow(&["s3:GetObject"], &[&format!("{bucket}/public/*")])]);
    let by_namespace = |namespace: &str, cluster: Option<&str>| {
        let folder = format!("{bucket}/${{aws:PrincipalTag/kubernetes-namespace}}/*");
        let mut tags = json!({"aws:PrincipalTag/kubernetes-namespace": namespace});
        if let (Some(cluster), Some(map)) = (cluster, tags.as_object_mut()) {
            map.insert("aws:PrincipalTag/eks-cluster-arn".to_owned(), json!(cluster));
        }
        document(vec![with(allow(&["s3:GetObject"], &[&folder]), "Condition", json!({"StringEquals": tags}))])
    };
    let pods = |condition: Value| {
        document(vec![json!({"Effect": "Allow", "Principal": {"Service": PODS},
            "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": condition})])
    };

    let name = format!("tools-anywhere-{n:02}");
    let role = draft.role(Role::at(id, "/pods/", &name, trust_pods()).inline("files", files()));
    draft.associate(place, ("tools", &format!("anywhere-{n:02}")), &role);
    draft.problem("trusts-every-cluster", &role, &["trust-without-source"], None);

    let name = format!("tools-cache-{n:02}");
    let trust = pods(json!({"StringEquals": {"aws:SourceAccount": id}, "ArnEquals": {"aws:SourceArn": place.arn()}}));
    let role = draft.role(Role::at(id, "/pods/", &name, trust).inline("files", files()));
    for namespace in ["checkout", "search", "shipping"] {
        draft.associate(place, (namespace, &format!("cache-{n:02}")), &role);
    }
    draft.problem("shared-by-namespaces", &role, &["role-shared-across-namespaces"], None);

    let name = format!("search-tenant-{n:02}");
    let trust = pods(json!({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "search"}}));
    let role = draft.role(Role::at(id, "/pods/", &name, trust).inline("files", by_namespace("search", None)));
    draft.associate(place, ("search", &format!("tenant-{n:02}")), &role);
    draft.problem("namespace-of-any-cluster", &role, &["abac-without-cluster-tag"], None);

    let deployer = Role::new(id, &format!("deployer-{n:02}"), trust_service("codebuild.amazonaws.com"))
        .inline("deploy", document(vec![allow(&["eks:DescribeCluster"], &[&place.arn()])]));
    let deployer = draft.role(deployer);
    let mut trust = trust_pods_of(&place.arn(), "notebooks");
    if let Some(statements) = trust.get_mut("Statement").and_then(Value::as_array_mut) {
        statements.push(json!({"Effect": "Allow", "Principal": {"AWS": deployer},
            "Action": ["sts:AssumeRole", "sts:TagSession"]}));
    }
    let name = format!("notebooks-tenant-{n:02}");
    let own = by_namespace("notebooks", Some(&place.arn()));
    let role = draft.role(Role::at(id, "/pods/", &name, trust).inline("files", own));
    draft.associate(place, ("notebooks", &format!("tenant-{n:02}")), &role);
    draft.problem("tags-that-others-set", &role, &["pod-tags-forgeable"], None);

    let issuer = build::issuer(id, place.region, &place.name);
    let condition = json!({"StringEquals": {format!("{issuer}:aud"): "sts.amazonaws.com"},
        "StringLike": {format!("{issuer}:sub"): "system:serviceaccount:*:*"}});
    let trust = trust_tokens(&format!("arn:aws:iam::{id}:oidc-provider/{issuer}"), &condition);
    let role = draft.role(Role::new(id, &format!("irsa-anybody-{n:02}"), trust).inline("files", files()));
    draft.problem("every-service-account", &role, &["trust-admits-any-namespace"], None);
}
