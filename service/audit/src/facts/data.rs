//! Which actions read data, and whether a role may read what is named.
//!
//! Only what hands out the data itself counts: a secret's value, an object's content, an item of a
//! table. What a statement grants, the policy language's engine says. Refuses to know policies of the
//! resources, which may grant or deny besides, and to say which data is sensitive.

use super::permissions;
use super::role::RoleFacts;
use super::view::View;
use crate::index::{join, reasons};
use rolecall_iam::catalogue::catalogue;
use rolecall_iam::grants::Grants;
use rolecall_iam::{ActionSet, Arn, Document, Level, PolicyRef};
use rolecall_rules::{Function, Type, Value};
use std::sync::LazyLock;

/// A kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Data {
    Secrets,
    Parameters,
    Objects,
    Items,
    Ciphertext,
}

/// The actions that hand out each kind.
static READS: LazyLock<Vec<(Data, ActionSet)>> = LazyLock::new(|| {
    let of = |data: Data| {
        let names: &[&str] = match data {
            // `BatchGetSecretValue` gives a secret only to those who may call this for it:
            // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
            Data::Secrets => &["secretsmanager:GetSecretValue"],
            Data::Parameters => {
                &["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory"]
            }
            Data::Objects => &["s3:GetObject", "s3:GetObjectVersion"],
            Data::Items => &[
                "dynamodb:GetItem",
                "dynamodb:BatchGetItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:PartiQLSelect",
            ],
            Data::Ciphertext => &["kms:Decrypt"],
        };
        ActionSet::from_names(names.iter().copied())
    };
    Data::ALL.into_iter().map(|data| (data, of(data))).collect()
});

/// Everything that hands out data of a resource which can be named.
static ALL_READS: LazyLock<ActionSet> = LazyLock::new(|| {
    let more = ActionSet::from_names([
        "codecommit:GitPull",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "elasticfilesystem:ClientMount",
        "kinesis:GetRecords",
        "logs:FilterLogEvents",
        "logs:GetLogEvents",
        "logs:StartQuery",
        "rds-data:ExecuteStatement",
        "rds-db:connect",
        "sqs:ReceiveMessage",
    ]);
    ActionSet::union_of(READS.iter().map(|(_, actions)| actions).chain([&more]))
});

impl Data {
    pub(super) const ALL: [Self; 5] = [Self::Secrets, Self::Parameters, Self::Objects, Self::Items, Self::Ciphertext];

    /// The actions that hand it out.
    pub(super) fn reads(self) -> &'static ActionSet {
        static NONE: LazyLock<ActionSet> = LazyLock::new(ActionSet::default);
        READS.iter().find(|(data, _)| *data == self).map_or(&NONE, |(_, actions)| actions)
    }
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

/// The grants that are left of a role's stack under a ceiling of reading what the pattern names.
fn reads_of(facts: &RoleFacts, pattern: &str) -> Result<Value, String> {
    let arn: Arn = pattern.parse().map_err(|_| format!("`{pattern}` is not an ARN"))?;
    let service = catalogue().service(arn.service()).map(ActionSet::from_range);
    let actions = service.map(|service| service.intersection(&ALL_READS)).filter(|actions| !actions.is_empty());
    let actions = actions.ok_or_else(|| format!("`{pattern}` names nothing of which reading data is known"))?;
    let Some(role) = facts.world.roles.get(facts.index) else {
        return Ok(Value::unknown("the role is not in the estate"));
    };
    if let Some(why) = facts.world.role_unseen(role) {
        return Ok(Value::Unknown(why));
    }
    let ceiling = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions.names(), "Resource": pattern }],
    });
    let ceiling = PolicyRef::known("the data that is asked about", &Document::new(&ceiling.to_string()));
    let (sessions, mut missing) = permissions::sessions_of(&facts.world, role);
    let mut items = Vec::new();
    for session in sessions {
        let mut stack = permissions::stack(&facts.world, role, session);
        let levels = stack.scp.iter().flat_map(|levels| levels.iter()).cloned();
        stack.scp = Some(levels.chain([Level::new("the data that is asked about", vec![ceiling.clone()])]).collect());
        let grants = Grants::new(&stack);
        match permissions::list(&grants.granting(&actions), grants.unseen_grants()) {
            Value::List(list) => {
                items.extend(list.items().iter().cloned());
                missing = join(missing, list.missing());
            }
            Value::Unknown(why) => missing = join(missing, Some(&why)),
            other => missing = join(missing, reasons([format!("the grants are {}", other.kind())]).as_ref()),
        }
    }
    permissions::dedup(&mut items);
    Ok(Value::list_seen(items, missing))
}
