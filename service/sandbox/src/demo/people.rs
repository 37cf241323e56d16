//! Roles that every account has, and those of people, pipelines and services: the ordinary
//! surroundings of the workloads.

use super::{COMMERCE, DATA, Draft, EDGE, LAB, MANAGEMENT, PAY, PAY_DR, PAYMENTS, SHOP, VENDOR, problem};
use crate::build::{self, Role, allow, deny, document, trust_irsa, trust_service, trust_service_for, with};
use crate::ids;
use serde_json::{Value, json};

const LINKED: [(&str, &str); 6] = [
    ("eks.amazonaws.com", "AWSServiceRoleForAmazonEKS"),
    ("eks-nodegroup.amazonaws.com", "AWSServiceRoleForAmazonEKSNodegroup"),
    ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
    ("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
    ("support.amazonaws.com", "AWSServiceRoleForSupport"),
    ("organizations.amazonaws.com", "AWSServiceRoleForOrganizations"),
];

fn trust_account(account: &str) -> Value {
    trust_arn(&format!("arn:aws:iam::{account}:root"))
}

const SSO_PATH: &str = "/aws-reserved/sso.amazonaws.com/eu-west-1/";

/// The role of a permission set.
pub(super) fn sso_role(account: &str, set: &str) -> String {
    format!("arn:aws:iam::{account}:role{SSO_PATH}AWSReservedSSO_{set}_{}", ids::hex(&format!("{account}/{set}"), 16))
}

pub(super) fn trust_arn(arn: &str) -> Value {
    document(vec![json!({"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"})])
}

fn with_condition(mut trust: Value, condition: Value) -> Value {
    if let Some(statement) = trust.pointer_mut("/Statement/0").and_then(Value::as_object_mut) {
        statement.insert("Condition".to_owned(), condition);
    }
    trust
}

pub(super) fn add(draft: &mut Draft) {
    for account in [MANAGEMENT, PAYMENTS, COMMERCE, DATA] {
        common(draft, account);
    }
    for place in [PAY, PAY_DR, SHOP, EDGE, LAB] {
        let (account, _, name) = place;
        draft.role(
            Role::new(account, &format!("{name}-cluster"), trust_service_for("eks.amazonaws.com", account))
                .attach_aws("AmazonEKSClusterPolicy"),
        );
        draft.role(
            Role::new(account, &format!("{name}-node"), trust_service("ec2.amazonaws.com"))
                .attach_aws(if place == EDGE {
                    "AmazonEKSWorkerNodeMinimalPolicy"
                } else {
                    "AmazonEKSWorkerNodePolicy"
                })
                .attach_aws("AmazonEKS_CNI_Policy")
                .attach_aws("AmazonEC2ContainerRegistryPullOnly")
                .attach_aws("AmazonSSMManagedInstanceCore")
                .profile(),
        );
    }
    functions(draft);
    irsa(draft);
    lookalikes(draft);
}

fn common(draft: &mut Draft, account: &str) {
    let auditor = format!("arn:aws:iam::{MANAGEMENT}:user/rolecall-hub");
    let reads = document(vec![allow(
        &[
            "eks:ListClusters",
            "eks:DescribeCluster",
            "eks:ListPodIdentityAssociations",
            "eks:DescribePodIdentityAssociation",
            "eks:ListAddons",
            "eks:DescribeAddon",
            "eks:ListAccessEntries",
            "eks:DescribeAccessEntry",
            "eks:ListAssociatedAccessPolicies",
            "iam:GetAccountAuthorizationDetails",
            "iam:ListOpenIDConnectProviders",
            "iam:GetOpenIDConnectProvider",
            "cloudtrail:LookupEvents",
            "cloudtrail:DescribeTrails",
            "cloudtrail:GetEventSelectors",
            "cloudtrail:GetTrailStatus",
            "account:ListRegions",
        ],
        &["*"],
    )]);
    let audit = draft.role(
        Role::new(account, "RolecallReadOnly", trust_arn(&auditor)).inline("read", reads).tag("owner", "security"),
    );
    draft.spare(problem::OUTSIDER, audit, "the trusted account is in the organisation");

    let saml = format!("arn:aws:iam::{account}:saml-provider/AWSSSO_7f3a_DO_NOT_DELETE");
    let sso = document(vec![
        json!({"Effect": "Allow", "Principal": {"Federated": saml}, "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession"],
        "Condition": {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}}}),
    ]);
    for (set, policy) in
        [("AdministratorAccess", "AdministratorAccess"), ("ReadOnly", "ReadOnlyAccess"), ("Auditor", "SecurityAudit")]
    {
        let arn = sso_role(account, set);
        let name = arn.rsplit('/').next().unwrap_or_default();
        draft.role(Role::at(account, SSO_PATH, name, sso.clone()).attach_aws(policy));
    }
    for (service, name) in LINKED {
        let path = format!("/aws-service-role/{service}/");
        draft.role(
            Role::at(account, &path, name, trust_service(service))
                .attach_aws("aws-service-role/AmazonEKSServiceRolePolicy"),
        );
    }
    let pipelines = format!("arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com");
    draft.account(account).oidc_providers.push(build::oidc_provider(account, "token.actions.githubusercontent.com"));
    let trust = document(vec![
        json!({"Effect": "Allow", "Principal": {"Federated": pipelines}, "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:example/infrastructure:environment:production"}}}),
    ]);
    let pods = format!("arn:aws:iam::{account}:role/pods/*");
    let deployer = Role::at(account, "/delivery/", "deployer", trust).tag("owner", "platform").inline(
        "deploy",
        document(vec![
            allow(
                &[
                    "eks:CreatePodIdentityAssociation",
                    "eks:DeletePodIdentityAssociation",
                    "eks:DescribeCluster",
                    "eks:UpdatePodIdentityAssociation",
                ],
                &[
                    &format!("arn:aws:eks:*:{account}:cluster/*"),
                    &format!("arn:aws:eks:*:{account}:podidentityassociation/*"),
                ],
            ),
            // A pass to the pods' own path, and to Pod Identity alone.
            with(
                allow(&["iam:PassRole"], &[&pods]),
                "Condition",
                json!({"StringEquals": {"iam:PassedToService": build::PODS}}),
            ),
            allow(&["iam:GetRole", "iam:ListRolePolicies"], &[&pods]),
        ]),
    );
    let deployer = draft.role(deployer);
    draft.spare(problem::PASS_ROLE, deployer, "only roles of one path, and only to Pod Identity");
    if account != MANAGEMENT {
        let manager = draft.role(
            Role::new(account, "OrganizationAccountAccessRole", trust_account(MANAGEMENT))
                .attach_aws("AdministratorAccess"),
        );
        draft.spare(problem::OUTSIDER, manager, "the management account is in the organisation");
    }
}

/// Functions with what they need and no more.
fn functions(draft: &mut Draft) {
    let functions: [(&str, &str, &[&str]); 4] = [
        (MANAGEMENT, "eu-west-1", &["account-vending", "budget-alerts", "guardrail-report", "tag-auditor"]),
        (
            PAYMENTS,
            "eu-west-1",
            &[
                "card-webhook",
                "chargeback-intake",
                "dunning-mailer",
                "fx-rates",
                "invoice-pdf",
                "iban-check",
                "ledger-export",
                "payout-schedule",
                "receipt-mailer",
                "statement-archive",
            ],
        ),
        (
            COMMERCE,
            "eu-west-1",
            &[
                "basket-expiry",
                "cdn-purge",
                "courier-callback",
                "image-resize",
                "price-import",
                "returns-intake",
                "review-moderation",
                "sitemap",
                "stock-alerts",
                "voucher-mint",
            ],
        ),
        (
            DATA,
            "eu-west-1",
            &["catalogue-crawler", "cost-report", "dataset-expiry", "notebook-stop", "quality-checks", "schema-diff"],
        ),
    ];
    for (account, region, names) in functions {
        for name in names {
            let table = format!("arn:aws:dynamodb:{region}:{account}:table/{name}");
            let queue = format!("arn:aws:sqs:{region}:{account}:{name}");
            draft.role(
                Role::at(account, "/service-role/", &format!("{name}-function"), trust_service("lambda.amazonaws.com"))
                    .attach_aws("service-role/AWSLambdaBasicExecutionRole")
                    .inline(
                        "data",
                        document(vec![
                            allow(&["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], &[&table]),
                            allow(&["sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:GetQueueAttributes"], &[&queue]),
                        ]),
                    )
                    .tag("owner", name.split('-').next().unwrap_or_default()),
            );
        }
    }
}

/// Workloads that have not moved to Pod Identity yet.
fn irsa(draft: &mut Draft) {
    let stay: [(super::Place, &str, &str); 6] = [
        (PAY, "fraud", "rules-engine"),
        (PAY, "kube-system", "external-dns"),
        (SHOP, "kube-system", "external-dns"),
        (SHOP, "media", "thumbnailer"),
        (EDGE, "edge", "cert-manager"),
        (LAB, "ingest", "kafka-connect"),
    ];
    for (place, namespace, service_account) in stay {
        let (account, region, cluster) = place;
        let issuer = build::issuer(account, region, cluster);
        let name = format!("{cluster}-{namespace}-{service_account}-irsa");
        let zone = format!("arn:aws:s3:::{namespace}-{account}/{service_account}/*");
        let arn = draft.role(
            Role::new(account, &name, trust_irsa(account, &issuer, namespace, service_account))
                .inline("access", document(vec![allow(&["s3:GetObject", "s3:PutObject"], &[&zone])])),
        );
        draft.irsa.push((place, namespace.to_owned(), service_account.to_owned(), arn));
    }
}

/// What looks dangerous at first sight, and is not.
fn lookalikes(draft: &mut Draft) {
    let limits = format!("arn:aws:iam::{DATA}:policy/team-boundary");
    let body = document(vec![allow(
        &["athena:GetQueryExecution", "athena:GetQueryResults", "glue:GetTable", "s3:GetObject", "s3:ListBucket"],
        &["*"],
    )]);
    draft.account(DATA).policies.push(build::policy(&limits, "v3", &body));
    let bounded = draft.role(
        Role::new(DATA, "experiment-runner", trust_service("states.amazonaws.com"))
            .attach_aws("AdministratorAccess")
            .boundary(&limits),
    );
    draft.spare(problem::ADMIN, bounded.clone(), "the boundary leaves a few reads");
    draft.spare(problem::WILDCARD_RESOURCE, bounded.clone(), "the boundary leaves a few reads");
    draft.spare(problem::WILDCARD_ACTION, bounded, "the boundary leaves a few reads");

    let held = draft.role(
        Role::new(PAYMENTS, "break-glass-reader", trust_account(MANAGEMENT))
            .inline("hold", document(vec![allow(&["organizations:*"], &["*"])])),
    );
    draft.spare(problem::WILDCARD_ACTION, held, "the guardrails deny every action of Organizations here");

    let denied = draft.role(
        Role::new(COMMERCE, "queue-janitor", trust_service_for("scheduler.amazonaws.com", COMMERCE))
            .inline("sweep", document(vec![allow(&["sqs:*"], &["*"]), deny(&["sqs:*"], &["*"])])),
    );
    draft.spare(problem::WILDCARD_ACTION, denied.clone(), "an explicit Deny takes all of it away");
    draft.spare(problem::WILDCARD_RESOURCE, denied, "an explicit Deny takes all of it away");

    let fenced = draft.role(
        Role::new(COMMERCE, "support-console", trust_service_for("ecs-tasks.amazonaws.com", COMMERCE)).inline(
            "support",
            document(vec![
                allow(&["support:DescribeCases"], &["*"]),
                json!({"Effect": "Deny", "NotAction": ["support:*"], "Resource": "*"}),
            ]),
        ),
    );
    draft.spare(problem::NOT_ACTION, fenced, "NotAction in a Deny grants nothing");

    let guarded = with_condition(trust_account(VENDOR), json!({"StringEquals": {"sts:ExternalId": "7c1e-commerce"}}));
    let vendor = draft.role(
        Role::new(COMMERCE, "vendor-metrics", guarded)
            .inline("metrics", document(vec![allow(&["cloudwatch:GetMetricData"], &["*"])])),
    );
    draft.expect(problem::OUTSIDER, vendor, "a vendor's account, not in the organisation, though with an external id");

    let open = document(vec![json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-4k2dexampl"}}})]);
    let members = draft.role(
        Role::new(MANAGEMENT, "cost-reader", open)
            .inline("costs", document(vec![allow(&["ce:GetCostAndUsage"], &["*"])])),
    );
    draft.spare(problem::OUTSIDER, members, "only principals of the organisation");
}
