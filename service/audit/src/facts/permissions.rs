//! What a role, or a session of it, may do, as facts: the statements that grant.

use super::objects::RoleFacts;
use super::view::{Def, Facts, View, evidence, evidences, flag, listed, maybe, text};
use crate::access::data::Data;
use crate::access::grant::{GrantAnswers, StatementGrant};
use crate::access::permissions;
use rolecall_iam::Arn;
use rolecall_iam::grants::{AdminBy, writes};
use rolecall_rules::{Function, Type, Value};
use std::sync::Arc;

impl Facts for Arc<StatementGrant> {
    const NAME: &'static str = "Grant";
    const DOC: &'static str = "A statement that grants something after every boundary, session policy, SCP and Deny.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "source",
            || Type::String,
            "The policy: `inline policy x` or a policy's ARN.",
            |g| text(&g.site.source),
        ),
        Def::<Self>::new(
            "sid",
            || Type::optional(Type::String),
            "The statement's Sid, where it has one.",
            |g| maybe(g.site.sid()),
        ),
        Def::<Self>::new(
            "patterns",
            || Type::list(Type::String),
            "The action patterns concerned, as written.",
            |g| Value::texts(&g.patterns),
        ),
        Def::<Self>::new(
            "actions",
            || Type::list(Type::String),
            "The actions concerned that are left, at most fifty of them.",
            |g| Value::texts(&g.actions),
        ),
        Def::<Self>::new(
            "summary",
            || Type::String,
            "The actions concerned that are left, in a few words.",
            |g| text(&g.summary),
        ),
        Def::<Self>::new(
            "conditional",
            || Type::Bool,
            "Whether a condition that can fail stands before it.",
            |g| g.conditional.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "limits_resources",
            || Type::Bool,
            "Whether a condition on the resource stands before it: its tags, or a key of the action's own service.",
            |g| g.limits_resources.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "on_every_resource",
            || Type::Bool,
            "Whether some of the actions are allowed on every resource that they act on, conditions aside.",
            |g| (!g.everywhere.is_empty() || g.unlisted_everywhere.is_some()).into(),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "changes_everywhere",
            || Type::Bool,
            "Whether some of the actions allowed on every resource write, tag or manage permissions.",
            |g| (g.everywhere.intersects(writes()) || g.unlisted_everywhere == Some(true)).into(),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "services_everywhere",
            || Type::list(Type::String),
            "The services of which some action is allowed on every resource that it acts on, by prefix, such as `s3`.",
            |g| Value::texts(&g.services_everywhere),
        ),
        Def::<Self>::new(
            "from_aws_service_policy",
            || Type::Bool,
            "Whether AWS itself wrote the policy, for one of its services or add-ons.",
            |g| is_aws_service_policy(&g.site.source).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "service_limited",
            || Type::Bool,
            "For `iam:PassRole`: whether the service that the role is passed to is limited.",
            |g| flag(g.pass.as_ref().map_or(Ok(false), |pass| pass.service_limited.clone())),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "passed_to",
            || Type::list(Type::String),
            "For `iam:PassRole`: the services that the statement's own conditions name.",
            |g| Value::texts(g.pass.iter().flat_map(|pass| &pass.to)),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The statement and where it stands.",
            |g| Value::object(evidence("grants", &g.site)),
        ),
    ];
}

/// AWS's policies for its own services and add-ons: what they hold is AWS's design, not the owner's.
fn is_aws_service_policy(source: &str) -> bool {
    let Ok(arn) = source.parse::<Arn>() else { return false };
    if arn.account() != "aws" {
        return false;
    }
    let Some(name) = arn.resource().strip_prefix("policy/") else { return false };
    name.starts_with("service-role/")
        || name.starts_with("aws-service-role/")
        || name.starts_with("AmazonEKS")
        || name.starts_with("AmazonSSMManaged")
        || name.starts_with("eks/")
}

impl Facts for Arc<GrantAnswers> {
    const NAME: &'static str = "Permissions";
    const DOC: &'static str =
        "What a role's session may do, by all its policies under boundary, session policy and SCPs.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "wildcard_actions",
            || Type::list(Type::object("Grant")),
            "Statements that allow `*` or a whole service by a wildcard.",
            |p| listed(p.wildcard_actions.clone()),
        ),
        Def::<Self>::new(
            "not_actions",
            || Type::list(Type::object("Grant")),
            "Statements that allow everything but what they name (`NotAction`).",
            |p| listed(p.not_actions.clone()),
        ),
        Def::<Self>::new(
            "broad_writes",
            || Type::list(Type::object("Grant")),
            "Statements that allow writing, tagging or managing permissions on every resource, by actions that could be limited to resources.",
            |p| listed(p.broad_writes.clone()),
        ),
        Def::<Self>::new(
            "pass_any_role",
            || Type::list(Type::object("Grant")),
            "Statements that allow `iam:PassRole` for every role.",
            |p| listed(p.pass_role.clone()),
        ),
        Def::<Self>::new(
            "reads_every_secret",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading the value of every secret of AWS Secrets Manager (`secretsmanager:GetSecretValue`).",
            |p| listed(p.reads(Data::Secrets)),
        ),
        Def::<Self>::new(
            "reads_every_parameter",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading every parameter of Systems Manager Parameter Store.",
            |p| listed(p.reads(Data::Parameters)),
        ),
        Def::<Self>::new(
            "reads_every_object",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading the objects of every S3 bucket.",
            |p| listed(p.reads(Data::Objects)),
        ),
        Def::<Self>::new(
            "reads_every_table",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading the items of every DynamoDB table.",
            |p| listed(p.reads(Data::Items)),
        ),
        Def::<Self>::new(
            "decrypts_with_every_key",
            || Type::list(Type::object("Grant")),
            "Statements that allow `kms:Decrypt` with every KMS key whose key policy leaves access to IAM policies.",
            |p| listed(p.reads(Data::Ciphertext)),
        ),
        Def::<Self>::new("admin", || Type::Bool, "Whether it grants administrator access.", |p| flag(p.admin.clone())),
        Def::<Self>::new(
            "admin_conditional",
            || Type::Bool,
            "Whether being an administrator takes a statement with a condition.",
            |p| p.admin_conditional.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "admin_by",
            || Type::optional(Type::String),
            "What makes it an administrator, in words.",
            |p| match p.admin_by {
                Some(AdminBy::Everything) => text("every action on every resource"),
                Some(AdminBy::Iam) => text("all of IAM on every resource"),
                None => Value::Null,
            },
        ),
        Def::<Self>::new(
            "admin_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that make it an administrator.",
            |p| evidences("makes an administrator", &p.admin_evidence),
        ),
    ];
}

/// `role.reads(pattern)`, for rules.
pub(super) fn reads() -> Function {
    Function::method(
        Type::object("Role"),
        "reads",
        &[("pattern", Type::String)],
        Type::list(Type::object("Grant")),
        "Statements that let the role read data of some resource that an ARN, with `*` and `?`, names: secrets, parameters, objects, items, messages, images, or decrypt with a key.",
        |args| {
            let [role, pattern] = args else { return Err("two arguments are needed".to_owned()) };
            let role = role.downcast::<View<RoleFacts>>().ok_or("a role is needed")?;
            reads_of(&role.0, pattern.as_str().unwrap_or_default())
        },
    )
}

/// The grants that are left of a role's policies under a ceiling of reading what the pattern names.
fn reads_of(facts: &RoleFacts, pattern: &str) -> Result<Value, String> {
    let (actions, ceiling) = permissions::reading(pattern)?;
    let Some(role) = facts.index.roles.get(facts.at) else {
        return Ok(Value::unknown("the role is not in the estate"));
    };
    if let Some(why) = facts.index.role_unseen(role) {
        return Ok(Value::Unknown(why));
    }
    Ok(listed(permissions::granted_under(&facts.index, role, &actions, &ceiling)))
}
