//! The rule language as its users meet it: files in, errors and outcomes out.

mod bindings;
mod judging;
mod mistakes;
mod severities;

use chrono::{DateTime, Utc};
use rolecall_rules::{
    Function, Object, ObjectType, Outcome, Rule, RuleSet, Schema, SourceFile, Subject, SubjectKind, Type, Value,
};
use std::sync::Arc;

/// A role as the tests' schema declares it.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) name: Value,
    pub(crate) admin: Value,
    pub(crate) boundary: Value,
    pub(crate) uses: Value,
    pub(crate) created: Value,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            name: Value::text("app"),
            admin: Value::Bool(false),
            boundary: Value::Null,
            uses: Value::list([]),
            created: Value::Timestamp(at("2026-01-01T00:00:00Z")),
        }
    }
}

impl Object for Role {
    fn get(&self, field: usize) -> Value {
        match field {
            0 => self.name.clone(),
            1 => self.admin.clone(),
            2 => self.boundary.clone(),
            3 => self.uses.clone(),
            4 => self.created.clone(),
            _ => Value::Null,
        }
    }
}

/// Where a role is used.
#[derive(Debug)]
pub(crate) struct Use(pub(crate) &'static str, pub(crate) &'static str);

impl Object for Use {
    fn get(&self, field: usize) -> Value {
        Value::text(if field == 0 { self.0 } else { self.1 })
    }
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn schema() -> Schema {
    Schema::builder()
        .object(
            ObjectType::new("Role", "An IAM role.")
                .field("name", Type::String, "Its name.")
                .field_with("admin", Type::Bool, "Whether it may do anything.", false)
                .field("boundary", Type::optional(Type::object("Policy")), "Its permissions boundary.")
                .field("uses", Type::list(Type::object("Use")), "Where associations use it.")
                .field("created", Type::Timestamp, "When it was created."),
        )
        .object(ObjectType::new("Policy", "A policy.").field("arn", Type::String, "Its ARN."))
        .object(
            ObjectType::new("Use", "An association, as its role sees it.")
                .field("cluster", Type::String, "The cluster.")
                .field("namespace", Type::String, "The namespace."),
        )
        .function(Function::method(
            Type::object("Role"),
            "allows",
            &[("action", Type::String)],
            Type::Bool,
            "Whether it allows the action.",
            |args| match args {
                [role, action] => match role.downcast::<Role>() {
                    Some(role) => Ok(Value::Bool(
                        role.admin == Value::Bool(true) || action.as_str() == Some("sts:GetCallerIdentity"),
                    )),
                    None => Err("not a role".to_owned()),
                },
                _ => Err("two arguments".to_owned()),
            },
        ))
        .function(Function::free(
            "iam.actions",
            &[("role", Type::object("Role"))],
            Type::list(Type::String),
            "The actions that a role allows.",
            |_| Ok(Value::texts(["s3:GetObject", "iam:PassRole"])),
        ))
        .subject(SubjectKind::Role, "Role")
        .subject(SubjectKind::Association, "Role")
        .build()
        .unwrap()
}

/// A whole rule document around a spec.
pub(crate) fn rule_text(id: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: rolecall/v1\nkind: Rule\nmetadata:\n  id: {id}\n  title: A title\n  severity: high\n  category: blast-radius\n  \
         description: What it looks at.\n  risk: What can happen.\n  remediation: {{text: What to do.}}\nspec:\n{spec}"
    )
}

/// The line of the rule document on which the spec begins.
pub(crate) const SPEC_LINE: usize = 12;

pub(crate) fn file(text: impl Into<String>) -> SourceFile {
    SourceFile { path: "rules.yaml".to_owned(), text: text.into() }
}

pub(crate) fn load(texts: &[String]) -> Result<RuleSet, Vec<String>> {
    let text = texts.join("---\n");
    RuleSet::load(&[file(text)], &schema()).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

pub(crate) fn one(spec: &str) -> Arc<Rule> {
    Arc::clone(&load(&[rule_text("a-rule", spec)]).unwrap().rules()[0])
}

pub(crate) fn subject() -> Subject {
    Subject {
        kind: SubjectKind::Role,
        key: "arn:aws:iam::111122223333:role/app".to_owned(),
        account_id: "111122223333".parse().unwrap(),
        region: None,
        cluster: None,
        namespace: None,
        service_account: None,
        role_arn: None,
        target_role_arn: None,
    }
}

pub(crate) fn judge(rule: &Rule, role: Role) -> Vec<Outcome> {
    let object: Arc<dyn Object> = Arc::new(role);
    rule.judge(&object, &subject(), Some("/"), at("2026-06-01T00:00:00Z").into()).unwrap().outcomes
}
