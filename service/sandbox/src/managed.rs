//! AWS's own managed policies as estates that are made up attach them.
//!
//! The documents are written for the sandbox after what each policy is for; they are no copies of
//! AWS's. Knows names and documents only.

use crate::build::{allow, document, policy, with};
use crate::estate::{Account, text};
use serde_json::{Value, json};

const READ_SERVICES: [&str; 44] = [
    "access-analyzer",
    "acm",
    "apigateway",
    "application-autoscaling",
    "athena",
    "autoscaling",
    "backup",
    "batch",
    "cloudformation",
    "cloudfront",
    "cloudtrail",
    "cloudwatch",
    "codebuild",
    "codepipeline",
    "config",
    "dax",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "eks",
    "elasticache",
    "elasticfilesystem",
    "elasticloadbalancing",
    "elasticmapreduce",
    "events",
    "firehose",
    "glue",
    "guardduty",
    "iam",
    "kafka",
    "kinesis",
    "kms",
    "lambda",
    "logs",
    "organizations",
    "rds",
    "redshift",
    "route53",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "states",
];

/// `service:Verb*` for every service and verb.
fn reads(verbs: &[&str]) -> Value {
    let actions: Vec<String> = READ_SERVICES
        .iter()
        .flat_map(|s| verbs.iter().filter(|v| reads_no_secret(s, v)).map(move |v| format!("{s}:{v}*")))
        .collect();
    document(vec![json!({"Sid": "Read", "Effect": "Allow", "Action": actions, "Resource": "*"})])
}

/// AWS's policies for readers list and describe secrets; they do not read them.
fn reads_no_secret(service: &str, verb: &str) -> bool {
    service != "secretsmanager" || ["List", "Describe"].contains(&verb)
}

/// One of the policies, by ARN; `None` for what is not among them.
pub(crate) fn policy_of(arn: &str) -> Option<Value> {
    let name = arn.strip_prefix("arn:aws:iam::aws:policy/")?;
    let all = "*";
    let (version, body) = match name {
        "AdministratorAccess" => ("v1", document(vec![allow(&["*"], &[all])])),
        "PowerUserAccess" => (
            "v5",
            document(vec![
                json!({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}),
                allow(
                    &[
                        "iam:CreateServiceLinkedRole",
                        "iam:ListRoles",
                        "organizations:DescribeOrganization",
                        "account:ListRegions",
                    ],
                    &[all],
                ),
            ]),
        ),
        "ReadOnlyAccess" => ("v140", reads(&["Get", "List", "Describe", "BatchGet", "Search"])),
        "SecurityAudit" => ("v90", reads(&["List", "Describe"])),
        "job-function/ViewOnlyAccess" => ("v40", reads(&["List", "Describe"])),
        "AmazonEKSClusterPolicy" => (
            "v7",
            document(vec![
                allow(
                    &[
                        "autoscaling:DescribeAutoScalingGroups",
                        "autoscaling:UpdateAutoScalingGroup",
                        "ec2:AttachVolume",
                        "ec2:AuthorizeSecurityGroupIngress",
                        "ec2:CreateRoute",
                        "ec2:CreateSecurityGroup",
                        "ec2:CreateTags",
                        "ec2:CreateVolume",
                        "ec2:DeleteRoute",
                        "ec2:DeleteSecurityGroup",
                        "ec2:DeleteVolume",
                        "ec2:DescribeInstances",
                        "ec2:DescribeRouteTables",
                        "ec2:DescribeSecurityGroups",
                        "ec2:DescribeSubnets",
                        "ec2:DescribeVolumes",
                        "ec2:DescribeVpcs",
                        "ec2:DetachVolume",
                        "ec2:ModifyInstanceAttribute",
                        "ec2:ModifyVolume",
                        "elasticloadbalancing:CreateLoadBalancer",
                        "elasticloadbalancing:DeleteLoadBalancer",
                        "elasticloadbalancing:DescribeLoadBalancers",
                        "elasticloadbalancing:RegisterTargets",
                        "kms:DescribeKey",
                    ],
                    &[all],
                ),
                with(
                    allow(&["iam:CreateServiceLinkedRole"], &[all]),
                    "Condition",
                    json!({"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}}),
                ),
            ]),
        ),
        "AmazonEKSWorkerNodePolicy" => (
            "v3",
            document(vec![allow(
                &[
                    "ec2:DescribeInstances",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeRouteTables",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVolumes",
                    "ec2:DescribeVpcs",
                    "eks:DescribeCluster",
                    "eks-auth:AssumeRoleForPodIdentity",
                ],
                &[all],
            )]),
        ),
        "AmazonEKSWorkerNodeMinimalPolicy" => {
            ("v1", document(vec![allow(&["eks-auth:AssumeRoleForPodIdentity"], &[all])]))
        }
        "AmazonEKS_CNI_Policy" => (
            "v5",
            document(vec![
                allow(
                    &[
                        "ec2:AssignPrivateIpAddresses",
                        "ec2:AttachNetworkInterface",
                        "ec2:CreateNetworkInterface",
                        "ec2:DeleteNetworkInterface",
                        "ec2:DescribeInstances",
                        "ec2:DescribeNetworkInterfaces",
                        "ec2:DescribeSubnets",
                        "ec2:DetachNetworkInterface",
                        "ec2:ModifyNetworkInterfaceAttribute",
                        "ec2:UnassignPrivateIpAddresses",
                    ],
                    &[all],
                ),
                allow(&["ec2:CreateTags"], &["arn:aws:ec2:*:*:network-interface/*"]),
            ]),
        ),
        "AmazonEC2ContainerRegistryPullOnly" | "AmazonEC2ContainerRegistryReadOnly" => (
            "v3",
            document(vec![allow(
                &[
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetAuthorizationToken",
                    "ecr:GetDownloadUrlForLayer",
                ],
                &[all],
            )]),
        ),
        "AmazonSSMManagedInstanceCore" => (
            "v2",
            document(vec![allow(
                &[
                    "ssm:DescribeAssociation",
                    "ssm:GetDeployablePatchSnapshotForInstance",
                    "ssm:GetDocument",
                    "ssm:GetParameter",
                    "ssm:ListAssociations",
                    "ssm:PutInventory",
                    "ssm:UpdateInstanceInformation",
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                    "ec2messages:AcknowledgeMessage",
                    "ec2messages:GetMessages",
                    "ec2messages:SendReply",
                ],
                &[all],
            )]),
        ),
        "CloudWatchAgentServerPolicy" => (
            "v3",
            document(vec![allow(
                &[
                    "cloudwatch:PutMetricData",
                    "ec2:DescribeTags",
                    "ec2:DescribeVolumes",
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogGroups",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                &[all],
            )]),
        ),
        "service-role/AWSLambdaBasicExecutionRole" => {
            ("v1", document(vec![allow(&["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], &[all])]))
        }
        "service-role/AWSLambdaVPCAccessExecutionRole" => (
            "v3",
            document(vec![allow(
                &[
                    "ec2:AssignPrivateIpAddresses",
                    "ec2:CreateNetworkInterface",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSubnets",
                    "ec2:UnassignPrivateIpAddresses",
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:PutLogEvents",
                ],
                &[all],
            )]),
        ),
        "service-role/AWSLambdaSQSQueueExecutionRole" => (
            "v1",
            document(vec![allow(
                &[
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:PutLogEvents",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                    "sqs:ReceiveMessage",
                ],
                &[all],
            )]),
        ),
        "service-role/AmazonECSTaskExecutionRolePolicy" => (
            "v1",
            document(vec![allow(
                &[
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetAuthorizationToken",
                    "ecr:GetDownloadUrlForLayer",
                    "logs:CreateLogStream",
                    "logs:PutLogEvents",
                ],
                &[all],
            )]),
        ),
        "AWSXRayDaemonWriteAccess" => (
            "v2",
            document(vec![allow(
                &[
                    "xray:GetSamplingRules",
                    "xray:GetSamplingTargets",
                    "xray:PutTelemetryRecords",
                    "xray:PutTraceSegments",
                ],
                &[all],
            )]),
        ),
        "IAMReadOnlyAccess" => ("v4", document(vec![allow(&["iam:Get*", "iam:List*", "iam:Simulate*"], &[all])])),
        "IAMFullAccess" => (
            "v2",
            document(vec![allow(
                &[
                    "iam:*",
                    "organizations:DescribeAccount",
                    "organizations:DescribeOrganization",
                    "organizations:ListRoots",
                ],
                &[all],
            )]),
        ),
        "service-role/AmazonEBSCSIDriverPolicy" => (
            "v4",
            document(vec![
                allow(
                    &["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeTags", "ec2:DescribeVolumes"],
                    &[all],
                ),
                allow(
                    &["ec2:AttachVolume", "ec2:DetachVolume", "ec2:ModifyVolume"],
                    &["arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:instance/*"],
                ),
                with(
                    allow(&["ec2:CreateVolume", "ec2:DeleteVolume"], &["arn:aws:ec2:*:*:volume/*"]),
                    "Condition",
                    json!({"StringLike": {"aws:ResourceTag/ebs.csi.aws.com/cluster": "true"}}),
                ),
            ]),
        ),
        "aws-service-role/AmazonEKSServiceRolePolicy" => (
            "v9",
            document(vec![allow(
                &["ec2:CreateNetworkInterface", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "eks:DescribeCluster"],
                &[all],
            )]),
        ),
        _ => return None,
    };
    Some(policy(arn, version, &body))
}

/// Completes an account: AWS's own policies that are attached appear among its policies, and
/// every policy counts its attachments.
pub(crate) fn complete(account: &mut Account) {
    let mut attached = std::collections::BTreeMap::<String, u64>::new();
    let mut bounding = attached.clone();
    for role in &account.roles {
        for item in role.get("AttachedManagedPolicies").and_then(Value::as_array).into_iter().flatten() {
            *attached.entry(text(item, "PolicyArn").to_owned()).or_default() += 1;
        }
        if let Some(arn) = role.pointer("/PermissionsBoundary/PermissionsBoundaryArn").and_then(Value::as_str) {
            *bounding.entry(arn.to_owned()).or_default() += 1;
        }
    }
    for arn in attached.keys().chain(bounding.keys()) {
        let known = account.policies.iter().any(|p| text(p, "Arn") == arn);
        if let Some(found) = policy_of(arn).filter(|_| !known) {
            account.policies.push(found);
        }
    }
    for policy in &mut account.policies {
        let arn = text(policy, "Arn").to_owned();
        if let Some(map) = policy.as_object_mut() {
            map.insert("AttachmentCount".to_owned(), json!(attached.get(&arn).copied().unwrap_or_default()));
            map.insert(
                "PermissionsBoundaryUsageCount".to_owned(),
                json!(bounding.get(&arn).copied().unwrap_or_default()),
            );
        }
    }
}
