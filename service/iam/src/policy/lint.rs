//! What AWS takes of a policy of each kind, and what it refuses when the policy is saved.
//!
//! Knows the elements, principals, actions, sizes and identifiers that each kind allows: the IAM
//! user guide's pages on policy elements, grammar and quotas, those of AWS Organizations on the
//! syntax of service and resource control policies, and the findings of IAM Access Analyzer's
//! policy checks. Refuses to change what a policy decides: a policy that is in force was saved, and
//! is decided as it reads.

use crate::arn::{AccountId, Arn};
use crate::condition::Condition;
use crate::matching::pattern::ActionPattern;
use crate::policy::ast::{Clause, Effect, Policy, Statement};
use crate::policy::document::Document;
use crate::policy::policy_type::PolicyType;
use crate::version::Version;
use serde_json::Value;
use std::collections::BTreeSet;

/// How AWS takes a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// AWS does not save a policy with it.
    Refused,
    /// AWS saves it, or some service does; it does not do what it seems to.
    Lenient,
}

/// A fault of a policy, for its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// RFC 6901 pointer to the element; empty for the whole document.
    pub pointer: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
    /// How AWS takes it.
    pub severity: Severity,
}

/// Everything that is wrong with a document as a policy of this kind, in its order; empty where AWS
/// would save it and it says what it seems to.
#[must_use]
pub fn check(document: &Document, kind: PolicyType) -> Vec<Problem> {
    let policy = match &document.parsed {
        Ok(policy) => policy,
        Err(error) => {
            return vec![Problem {
                pointer: error.pointer.clone(),
                message: error.message.clone(),
                remedy: error.remedy.clone(),
                severity: Severity::Refused,
            }];
        }
    };
    let mut check = Check { kind, language: policy.language(), problems: Vec::new() };
    check.size(&document.text);
    check.policy(policy);
    check.problems
}

/// Which of a kind's limits a size is held against.
struct Limit {
    /// Characters.
    most: usize,
    /// Whether white space counts.
    spaces: bool,
    severity: Severity,
    remedy: &'static str,
}

impl PolicyType {
    /// How people call it, with its article.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Identity => "an identity policy",
            Self::Trust => "a trust policy",
            Self::Resource => "a resource policy",
            Self::Boundary => "a permissions boundary",
            Self::Session => "a session policy",
            Self::Scp => "a service control policy",
            Self::Rcp => "a resource control policy",
            Self::VpcEndpoint => "a VPC endpoint policy",
        }
    }

    /// Whether IAM itself saves it, or STS takes it.
    fn of_iam(self) -> bool {
        matches!(self, Self::Identity | Self::Trust | Self::Boundary | Self::Session)
    }

    fn of_organizations(self) -> bool {
        matches!(self, Self::Scp | Self::Rcp)
    }

    /// Whether its statements say who is meant.
    fn has_principal(self) -> bool {
        matches!(self, Self::Trust | Self::Resource | Self::Rcp | Self::VpcEndpoint)
    }

    fn limits(self) -> &'static [Limit] {
        const fn limit(most: usize, spaces: bool, severity: Severity, remedy: &'static str) -> Limit {
            Limit { most, spaces, severity, remedy }
        }
        use Severity::{Lenient, Refused};
        const SPLIT: &str = "split the policy, or join its statements";
        match self {
            Self::Identity => {
                &const {
                    [
                        limit(
                            10_240,
                            false,
                            Refused,
                            "split the policy: only managed policies of AWS's own are larger",
                        ),
                        limit(
                            6_144,
                            false,
                            Lenient,
                            "a managed policy takes no more: only a role's inline policy does",
                        ),
                    ]
                }
            }
            Self::Boundary => &const { [limit(6_144, false, Refused, SPLIT)] },
            Self::Session => &const { [limit(2_048, false, Refused, "shorten it, or pass managed policies' ARNs")] },
            Self::Trust => {
                &const {
                    [
                        limit(4_096, false, Refused, SPLIT),
                        limit(2_048, false, Lenient, "the account's quota must be raised for it: 2,048 is the default"),
                    ]
                }
            }
            Self::Scp => {
                &const {
                    [
                        limit(10_240, false, Refused, SPLIT),
                        limit(10_240, true, Lenient, "leave out the white space: the API counts it"),
                    ]
                }
            }
            Self::Rcp => {
                &const {
                    [
                        limit(5_120, false, Refused, SPLIT),
                        limit(5_120, true, Lenient, "leave out the white space: the API counts it"),
                    ]
                }
            }
            Self::VpcEndpoint => &const { [limit(20_480, true, Refused, SPLIT)] },
            Self::Resource => &const { [limit(20_480, true, Lenient, "most services take no more on a resource")] },
        }
    }
}

struct Check {
    kind: PolicyType,
    language: Version,
    problems: Vec<Problem>,
}

/// Where the `n`th element of a list, or the only one, is.
fn element(statement: &Statement, key: &str, n: usize) -> String {
    let listed = statement.value.get(key).is_some_and(Value::is_array);
    if listed { format!("{}/{key}/{n}", statement.pointer) } else { format!("{}/{key}", statement.pointer) }
}

fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

impl Check {
    fn add(
        &mut self,
        severity: Severity,
        pointer: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Problem {
            pointer: pointer.into(),
            message: message.into(),
            remedy: remedy.into(),
            severity,
        });
    }

    fn refuse(&mut self, pointer: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Refused, pointer, message, remedy);
    }

    fn note(&mut self, pointer: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Lenient, pointer, message, remedy);
    }

    /// Refused where the condition holds, else noted.
    fn refuse_if(&mut self, refused: bool, pointer: impl Into<String>, message: impl Into<String>, remedy: &str) {
        let severity = if refused { Severity::Refused } else { Severity::Lenient };
        self.add(severity, pointer, message, remedy);
    }

    fn size(&mut self, text: &str) {
        let compact = text.chars().filter(|c| !c.is_whitespace()).count();
        let whole = text.chars().count();
        for limit in self.kind.limits() {
            let count = if limit.spaces { whole } else { compact };
            if count > limit.most {
                let without = if limit.spaces { "" } else { ", white space left out" };
                let message = format!("it has {count} characters{without}; {} takes {}", self.kind.text(), limit.most);
                self.add(limit.severity, "", message, limit.remedy);
                return;
            }
        }
    }

    fn policy(&mut self, policy: &Policy) {
        if self.kind.of_organizations() && policy.version != Some(Version::V2012) {
            let message = format!("{} needs the version 2012-10-17", self.kind.text());
            self.refuse("/Version", message, "write `\"Version\": \"2012-10-17\"`");
        }
        if policy.statements.is_empty() {
            self.refuse("/Statement", "there is no statement", "add a statement");
        }
        let full_access = self.kind == PolicyType::Rcp && is_full_access(policy);
        let mut sids = BTreeSet::new();
        for statement in &policy.statements {
            self.sid(statement, &mut sids);
            self.principals(statement);
            self.actions(statement);
            self.resources(statement);
            self.conditions(statement);
            if self.kind == PolicyType::Rcp && !full_access {
                self.control(statement);
            }
        }
    }

    fn sid<'a>(&mut self, statement: &'a Statement, seen: &mut BTreeSet<&'a str>) {
        let Some(sid) = statement.sid.as_deref().filter(|sid| !sid.is_empty()) else { return };
        let pointer = format!("{}/Sid", statement.pointer);
        let iam = self.kind.of_iam();
        if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) && iam {
            self.refuse(
                &pointer,
                format!("the Sid `{sid}` has more than letters and digits"),
                "use A-Z, a-z and 0-9 only",
            );
        }
        if !seen.insert(sid) {
            let message = format!("the Sid `{sid}` is there twice");
            self.refuse_if(iam, pointer, message, "give each statement a Sid of its own, or none");
        }
    }

    fn principals(&mut self, statement: &Statement) {
        let key = match &statement.principals {
            Some(Clause::In(_)) => "Principal",
            Some(Clause::NotIn(_)) => "NotPrincipal",
            None => {
                if self.kind.has_principal() {
                    let message = format!("a statement of {} says who is meant", self.kind.text());
                    // AWS takes the principal of an endpoint policy for everyone where it is not written.
                    let refused = self.kind != PolicyType::VpcEndpoint;
                    self.refuse_if(refused, &statement.pointer, message, "add `Principal`");
                }
                return;
            }
        };
        let pointer = format!("{}/{key}", statement.pointer);
        if !self.kind.has_principal() {
            let message = format!("{} has no `{key}`: its holder is meant", self.kind.text());
            return self.refuse(pointer, message, format!("leave out `{key}`"));
        }
        if key == "NotPrincipal" {
            if self.kind != PolicyType::Resource {
                let message = format!("{} takes no `NotPrincipal`", self.kind.text());
                return self.refuse(pointer, message, "name who is meant with `Principal`, or use conditions");
            }
            if statement.effect == Effect::Allow {
                let remedy = "use it with Deny only, or name who is meant";
                self.note(&pointer, "`NotPrincipal` with Allow lets in everybody else, signed in or not", remedy);
            }
        }
        match statement.value.get(key) {
            Some(Value::String(text)) if text != "*" => {
                let remedy = format!("write {{\"AWS\": \"{text}\"}}");
                let refused = self.kind != PolicyType::Resource;
                self.refuse_if(refused, pointer, "a principal that is not `*` has a type", &remedy);
            }
            Some(Value::Object(kinds)) => {
                if kinds.is_empty() {
                    self.note(&pointer, "nobody is named", "name somebody, or leave out the statement");
                }
                for (kind, value) in kinds {
                    self.principals_of(kind, value, &format!("{pointer}/{}", escaped(kind)));
                }
            }
            _ => {}
        }
    }

    fn principals_of(&mut self, kind: &str, value: &Value, pointer: &str) {
        let known = ["AWS", "Service", "Federated", "CanonicalUser"];
        if !known.contains(&kind) {
            let remedy = format!("use {}", known.join(", "));
            return self.refuse(pointer, format!("`{kind}` is no type of principal"), remedy);
        }
        if kind == "CanonicalUser" && self.kind != PolicyType::Resource {
            let message = format!("{} takes no canonical user", self.kind.text());
            return self.refuse(pointer, message, "name the account");
        }
        let list = value.as_array();
        if list.is_some_and(Vec::is_empty) {
            self.note(pointer, "nobody is named", "name somebody, or leave out the type");
        }
        let one = list.is_none().then_some(value);
        for (n, text) in list.into_iter().flatten().chain(one).enumerate() {
            let pointer = if list.is_some() { format!("{pointer}/{n}") } else { pointer.to_owned() };
            let Some(text) = text.as_str() else { continue };
            if let Some((message, remedy)) = principal_fault(kind, text) {
                self.refuse(pointer, message, remedy);
            }
        }
    }

    fn actions(&mut self, statement: &Statement) {
        let key = if statement.actions.is_not() { "NotAction" } else { "Action" };
        if statement.actions.elements().is_empty() {
            let pointer = format!("{}/{key}", statement.pointer);
            self.note(pointer, "no action is named", "name an action, or leave out the statement");
        }
        for (n, action) in statement.actions.elements().iter().enumerate() {
            let (text, pointer) = (action.as_str(), element(statement, key, n));
            let vendor = action.service();
            if vendor == Some("") {
                let remedy = "write the service before it, as in `s3:GetObject`";
                self.refuse(pointer, format!("`{text}` has no service prefix"), remedy);
                continue;
            }
            if vendor.is_some_and(|v| !v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')) {
                self.refuse(
                    pointer,
                    format!("`{text}` has no service's prefix"),
                    "write the service's prefix as AWS lists it",
                );
                continue;
            }
            let name = text.split_once(':').map(|(_, name)| name);
            if name.is_some_and(|name| name.is_empty() || name.contains(char::is_whitespace)) {
                self.refuse(
                    pointer,
                    format!("`{text}` names no action"),
                    "write the action's name after the colon, without blanks",
                );
                continue;
            }
            if vendor.is_some() && text.matches(':').count() > 1 {
                self.refuse(
                    pointer,
                    format!("`{text}` has more than one colon"),
                    "write one service and one action name",
                );
                continue;
            }
            if text.contains("${") {
                self.note(&pointer, format!("no variable is read in `{text}`"), "write the action's name");
            }
            if self.kind == PolicyType::Trust && vendor != Some("sts") {
                let remedy = "name `sts:AssumeRole` and its like";
                self.refuse(
                    pointer,
                    format!("a trust policy names actions of `sts` only, and `{text}` is none"),
                    remedy,
                );
            }
        }
    }

    fn resources(&mut self, statement: &Statement) {
        let key = match &statement.resources {
            Some(Clause::In(_)) => "Resource",
            Some(Clause::NotIn(_)) => "NotResource",
            None => {
                let message = format!("a statement of {} names resources", self.kind.text());
                match self.kind {
                    PolicyType::Trust => {}
                    // Some services, such as ECR, take none: the resource that holds it is meant.
                    PolicyType::Resource => {}
                    PolicyType::VpcEndpoint => self.note(&statement.pointer, message, "add `Resource`"),
                    _ => self.refuse(&statement.pointer, message, "add `Resource` or `NotResource`"),
                }
                return;
            }
        };
        let pointer = format!("{}/{key}", statement.pointer);
        if self.kind == PolicyType::Trust {
            let remedy = format!("leave out `{key}`: the role itself is meant");
            return self.refuse(pointer, format!("a trust policy has no `{key}`"), remedy);
        }
        let resources = statement.resources.as_ref().map_or(&[][..], Clause::elements);
        if resources.is_empty() {
            self.note(pointer, "no resource is named", "name a resource, or leave out the statement");
        }
        for (n, resource) in resources.iter().enumerate() {
            let pointer = element(statement, key, n);
            if let Some((refused, message, remedy)) = resource_fault(resource.as_str()) {
                // STS takes no session policy with a part of an ARN: nobody corrects it when it is saved.
                let refused = refused || self.kind == PolicyType::Session && is_part_of_an_arn(resource.as_str());
                // Services have their own ideas of what a resource may be in a policy of theirs.
                let refused = refused && self.kind != PolicyType::Resource && self.kind != PolicyType::VpcEndpoint;
                self.refuse_if(refused, &pointer, message, remedy);
            } else if resource.has_variable() && self.language == Version::V2008 {
                let message = format!("`{resource}` has a variable, which version 2008-10-17 takes for plain text");
                self.note(&pointer, message, "write `\"Version\": \"2012-10-17\"`");
            } else if resource.has_early_variable() {
                let remedy = "use `*` there, and a condition such as `aws:ResourceAccount`";
                self.note(&pointer, format!("`{resource}` has a variable before the fifth colon"), remedy);
            }
        }
    }

    fn conditions(&mut self, statement: &Statement) {
        let mut seen = BTreeSet::new();
        for condition in &statement.conditions {
            self.condition(condition);
            let same = (condition.operator.as_str(), condition.key.to_ascii_lowercase());
            if !seen.insert(same) {
                let message = format!("`{}` is there twice, in different letter case", condition.key);
                self.note(&condition.pointer, message, "put all values under one key");
            }
        }
    }

    fn condition(&mut self, condition: &Condition) {
        let (operator, pointer) = (condition.operator.as_str(), condition.pointer.as_str());
        let changed_null = condition.operator.is_null() && !operator.eq_ignore_ascii_case("Null");
        if !condition.operator.is_known() || changed_null {
            let remedy = if operator.to_ascii_lowercase().starts_with("null") {
                "write `Null`: it asks for absence itself and takes no `IfExists` and no set operator"
            } else {
                "use one of IAM's condition operators, spelt as the user guide spells it"
            };
            let parent = pointer.rsplit_once('/').map_or(pointer, |(parent, _)| parent);
            return self.refuse(parent, format!("`{operator}` is no condition operator"), remedy);
        }
        if !condition.key.contains(':') {
            let message = format!("the condition key `{}` has no prefix", condition.key);
            self.refuse(pointer, message, "write the whole key, as in `aws:SourceArn`");
        }
        if condition.values.is_empty() {
            self.note(pointer, "the condition has no value", "give a value, or leave out the condition");
        }
        for value in condition.malformed_values() {
            let message = format!("`{operator}` cannot compare `{value}`");
            let remedy = if value.contains("${") {
                "compare strings or ARNs: other operators read no variable"
            } else {
                "write a value of the operator's type"
            };
            self.note(pointer, message, remedy);
        }
        if condition.has_variable() && self.language == Version::V2008 {
            let message = "version 2008-10-17 takes a variable for plain text";
            self.note(pointer, message, "write `\"Version\": \"2012-10-17\"`");
        }
    }

    /// What only AWS's own resource control policy may say.
    fn control(&mut self, statement: &Statement) {
        let at = |key: &str| format!("{}/{key}", statement.pointer);
        if statement.effect == Effect::Allow {
            let remedy = "write \"Deny\": `RCPFullAWSAccess`, which AWS attaches everywhere, allows";
            self.refuse(at("Effect"), "a resource control policy only denies", remedy);
        }
        if statement.actions.is_not() {
            let remedy = "name the actions with `Action`";
            self.refuse(at("NotAction"), "a resource control policy takes no `NotAction`", remedy);
        }
        for (n, action) in statement.actions.elements().iter().enumerate() {
            if action.is_all() && !statement.actions.is_not() {
                let remedy = "name the services that take resource control policies, as in `s3:*`";
                self.refuse(
                    element(statement, "Action", n),
                    "`*` is no action of your own resource control policy",
                    remedy,
                );
            }
        }
        if matches!(statement.principals, Some(Clause::In(_))) && statement.value.get("Principal") != Some(&"*".into())
        {
            let remedy = "write \"*\" and tell principals apart by conditions";
            self.refuse(at("Principal"), "a resource control policy names no principal but `*`", remedy);
        }
    }
}

/// Whether this is `RCPFullAWSAccess`, which AWS itself attaches.
fn is_full_access(policy: &Policy) -> bool {
    policy.statements.iter().all(|s| {
        let all_actions = matches!(&s.actions, Clause::In(list) if list.iter().any(ActionPattern::is_all));
        let everything = matches!(&s.resources, Some(Clause::In(list)) if list.iter().any(|r| r.as_str() == "*"));
        s.effect == Effect::Allow && all_actions && everything && s.conditions.is_empty()
    })
}

fn principal_fault(kind: &str, text: &str) -> Option<(String, &'static str)> {
    if text == "*" {
        return None;
    }
    if text.contains(['*', '?']) {
        let remedy = "name the account, and tell its principals apart by `aws:PrincipalArn`";
        return Some((format!("`{text}` has a wildcard, and a principal is named whole or is `*`"), remedy));
    }
    if text.contains("${") {
        return Some((format!("no variable is read in the principal `{text}`"), "use a condition"));
    }
    let unique_id = text.len() >= 16 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let named = match kind {
        "AWS" => {
            text.parse::<AccountId>().is_ok()
                || unique_id
                || text.parse::<Arn>().is_ok_and(|arn| ["iam", "sts", "cloudfront"].contains(&arn.service()))
        }
        "Service" => text.contains('.') && !text.contains([':', '/']),
        _ => !text.is_empty(),
    };
    if named {
        return None;
    }
    let remedy = match kind {
        "AWS" => "write an account id, or the ARN of an account's root, a role, a user or a session",
        "Service" => "write the service's name, as in `pods.eks.amazonaws.com`",
        _ => "name the provider",
    };
    Some((format!("`{text}` is no principal of the type `{kind}`"), remedy))
}

/// Whether an ARN lacks segments that no wildcard stands for.
fn is_part_of_an_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.split(':').count() < 6 && !text.contains(['*', '?'])
}

/// Whether it is refused, what is wrong, and the remedy.
fn resource_fault(text: &str) -> Option<(bool, String, &'static str)> {
    let arn_form = "write `*`, or `arn:partition:service:region:account:resource`";
    if text.starts_with(['*', '?']) || text.starts_with("${") {
        return (!text.bytes().all(|b| b == b'*'))
            .then(|| (false, format!("`{text}` is neither an ARN nor `*`"), arn_form));
    }
    let Some(rest) = text.strip_prefix("arn:") else {
        return Some((true, format!("`{text}` is neither an ARN nor `*`"), arn_form));
    };
    let segments: Vec<&str> = rest.splitn(5, ':').collect();
    let (partition, service, region) = match segments.as_slice() {
        [partition, service, region, _, resource] if !resource.is_empty() => (*partition, *service, *region),
        _ => return Some((false, format!("`{text}` has less than six segments"), "write all six segments")),
    };
    let known = partition == "aws" || partition.starts_with("aws-");
    if !known && partition != "*" {
        let wild = partition.contains(['*', '?', '$']);
        return Some((!wild, format!("`{partition}` is no partition"), "write `aws`, `aws-cn`, `aws-us-gov`, or `*`"));
    }
    if service.contains(['*', '?']) {
        let message = format!("the service of `{text}` has a wildcard");
        return Some((true, message, "name the service: its segment takes no wildcard"));
    }
    if service == "iam" && !region.is_empty() && region != "*" {
        return Some((true, format!("`{text}` has a region, and IAM has none"), "leave the region empty"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of one statement: `!` before a pointer that AWS refuses.
    fn faults(kind: PolicyType, statement: &str) -> Vec<String> {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        let problems = check(&Document::new(&text), kind);
        for problem in &problems {
            assert!(!problem.remedy.is_empty() && !problem.message.ends_with('.'), "{problem:?}");
        }
        let mark = |p: &Problem| if p.severity == Severity::Refused { "!" } else { "" };
        problems.iter().map(|p| format!("{}{}", mark(p), p.pointer.replacen("/Statement", "", 1))).collect()
    }

    use PolicyType::{Boundary, Identity, Rcp, Resource, Scp, Session, Trust, VpcEndpoint};

    #[test]
    fn each_kind_takes_its_own_elements() {
        let own = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
        let trust = r#"{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"pods.eks.amazonaws.com"}}"#;
        let whole = r#"{"Effect":"Deny","Action":"s3:GetObject","Resource":"*","Principal":"*"}"#;
        for kind in [Identity, Boundary, Session, Scp] {
            assert_eq!(faults(kind, own), Vec::<String>::new(), "{kind:?}");
            assert_eq!(faults(kind, whole), ["!/Principal"], "{kind:?}");
        }
        for kind in [Resource, Rcp, VpcEndpoint] {
            assert_eq!(faults(kind, whole), Vec::<String>::new(), "{kind:?}");
        }
        assert_eq!(faults(Trust, trust), Vec::<String>::new());
        assert_eq!(faults(Trust, own), ["!", "!/Action", "!/Resource"]);
        assert_eq!(faults(Identity, trust), ["!/Principal", "!"]);
        assert_eq!(faults(Resource, own), ["!"]);
        assert_eq!(faults(VpcEndpoint, own), [""]);
        assert_eq!(faults(Rcp, own), ["!", "!/Effect"]);
    }

    #[test]
    fn identifiers_are_held_to_what_iam_takes() {
        let two = |sid: &str| {
            let one = format!(r#"{{"Sid":"{sid}","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#);
            format!("[{one},{one}]")
        };
        assert_eq!(faults(Identity, &two("a b")), ["!/0/Sid", "!/1/Sid", "!/1/Sid"]);
        assert_eq!(faults(Scp, &two("a b")), ["/1/Sid"]);
        assert_eq!(faults(Identity, &two("")), Vec::<String>::new());
    }

    #[test]
    fn principals_are_named_in_full() {
        let of = |kind: PolicyType, principal: &str| {
            let resource = if kind == Trust { "" } else { r#","Resource":"*""# };
            faults(
                kind,
                &format!(r#"{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{principal}{resource}}}"#),
            )
        };
        for good in [
            r#""*""#,
            r#"{"AWS":["*","111122223333","arn:aws:iam::111122223333:root","AROAEXAMPLEEXAMPLE123"]}"#,
            r#"{"Federated":["arn:aws:iam::111122223333:oidc-provider/x","accounts.google.com"],"Service":"ec2.amazonaws.com"}"#,
        ] {
            assert_eq!(of(Trust, good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(
            of(Trust, r#"{"AWS":["arn:aws:iam::111122223333:role/*","me"]}"#),
            ["!/Principal/AWS/0", "!/Principal/AWS/1"]
        );
        assert_eq!(of(Trust, r#"{"Other/x":"y","Service":"ec2"}"#), ["!/Principal/Other~1x", "!/Principal/Service"]);
        assert_eq!(of(Trust, r#"{"CanonicalUser":"79a5"}"#), ["!/Principal/CanonicalUser"]);
        assert_eq!(of(Resource, r#"{"CanonicalUser":"79a5"}"#), Vec::<String>::new());
        assert_eq!(of(Trust, r#""111122223333""#), ["!/Principal"]);
        assert_eq!(of(Resource, r#""111122223333""#), ["/Principal"]);
        let but = r#"{"Effect":"Allow","Action":"s3:*","NotPrincipal":{"AWS":"111122223333"},"Resource":"*"}"#;
        assert_eq!((faults(Resource, but), faults(Rcp, but).len()), (vec!["/NotPrincipal".to_owned()], 2));
    }

    #[test]
    fn actions_and_resources_have_their_form() {
        let of = |kind: PolicyType, action: &str, resource: &str| {
            faults(kind, &format!(r#"{{"Effect":"Deny","Action":{action},"Resource":{resource}}}"#))
        };
        assert_eq!(
            of(Identity, r#"["s3:Get*","*","GetObject","s3:a:b","s!:x","s?:x","s3:","s3*"]"#, r#""*""#),
            ["!/Action/2", "!/Action/3", "!/Action/4", "!/Action/5", "!/Action/6", "!/Action/7"]
        );
        assert_eq!(of(Identity, "[]", "[]"), ["/Action", "/Resource"]);
        let resources = r#"["arn:aws:s3:::b/*","arn:*:s3:::b","arn:aws:s3*","arn:aws:s3","bucket","arn:oops:s3:::b",
            "arn:aws:*:::b","arn:aws:iam:eu-west-1:1:role/x","*:role/x","arn:aws:iam::${aws:PrincipalAccount}:role/x"]"#;
        let expected = [
            "/Resource/2",
            "/Resource/3",
            "!/Resource/4",
            "!/Resource/5",
            "!/Resource/6",
            "!/Resource/7",
            "/Resource/8",
            "/Resource/9",
        ];
        assert_eq!(of(Identity, r#""s3:*""#, resources), expected);
        assert_eq!(
            of(Session, r#""s3:*""#, r#"["arn:aws:s3","arn:aws:s3:::b","arn:aws:s3*"]"#),
            ["!/Resource/0", "/Resource/2"]
        );
        let old = r#"{"Statement":{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"}}"#;
        assert_eq!(check(&Document::new(old), Identity)[0].pointer, "/Statement/Resource");
        assert_eq!(check(&Document::new(old), Scp)[0].pointer, "/Version");
    }

    #[test]
    fn conditions_have_known_operators_whole_keys_and_values_of_their_type() {
        let of = |condition: &str| {
            faults(Identity, &format!(r#"{{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{condition}}}"#))
        };
        assert_eq!(
            of(r#"{"Bool":{"aws:SecureTransport":false},"NumericLessThan":{"s3:max-keys":10}}"#),
            Vec::<String>::new()
        );
        assert_eq!(of(r#"{"NullIfExists":{"a:b":"true"}}"#), ["!/Condition/NullIfExists"]);
        assert_eq!(of(r#"{"Equals":{"a:b":"x"}}"#), ["!/Condition/Equals"]);
        assert_eq!(of(r#"{"StringEquals":{"b":"x"}}"#), ["!/Condition/StringEquals/b"]);
        assert_eq!(
            of(r#"{"DateGreaterThan":{"aws:CurrentTime":["bad","2026-01-01"]}}"#),
            ["/Condition/DateGreaterThan/aws:CurrentTime"]
        );
        assert_eq!(of(r#"{"StringEquals":{"a:b":[],"A:B":"x"}}"#).len(), 2);
    }

    #[test]
    fn resource_control_policies_only_deny_named_actions_to_everyone() {
        let of = |statement: &str| faults(Rcp, statement);
        assert_eq!(of(r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#), Vec::<String>::new());
        assert_eq!(of(r#"{"Effect":"Deny","Principal":"*","Action":["s3:*","*"],"Resource":"*"}"#), ["!/Action/1"]);
        assert_eq!(
            of(r#"{"Effect":"Deny","Principal":{"AWS":"111122223333"},"NotAction":"s3:*","Resource":"*"}"#),
            ["!/NotAction", "!/Principal"]
        );
    }

    #[test]
    fn sizes_are_those_of_the_kind() {
        let of = |kind: PolicyType, length: usize| {
            let resource = format!("arn:aws:s3:::{}", "b".repeat(length));
            faults(kind, &format!(r#"{{"Effect":"Deny","Action":"s3:*","Resource":"{resource}"}}"#))
        };
        assert_eq!((of(Identity, 6_200), of(Identity, 10_300)), (vec![String::new()], vec!["!".to_owned()]));
        assert_eq!((of(Session, 1_800).len(), of(Session, 2_100)), (0, vec!["!".to_owned()]));
        assert_eq!((of(Scp, 10_000).len(), of(Scp, 10_300)), (0, vec!["!".to_owned()]));
        let spaced = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}"#;
        let spaced = format!("{spaced}{}", " ".repeat(11_000));
        assert_eq!(check(&Document::new(&spaced), Identity), []);
        assert_eq!(check(&Document::new(&spaced), Scp)[0].severity, Severity::Lenient);
    }

    #[test]
    fn what_does_not_parse_is_one_fault_at_its_place() {
        let problems = check(&Document::new(r#"{"Statement":[{"Effect":"allow","Action":"s3:*"}]}"#), Identity);
        assert_eq!(problems.len(), 1);
        assert_eq!((problems[0].pointer.as_str(), problems[0].severity), ("/Statement/0/Effect", Severity::Refused));
        assert_eq!(check(&Document::new(r#"{"Statement":[]}"#), Identity)[0].pointer, "/Statement");
    }
}
