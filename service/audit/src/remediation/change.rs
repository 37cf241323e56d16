//! Changes that may mend a finding, in the order in which they are tried, and how each is made with the tools at hand.
//!
//! What keeps access that is used comes before what takes a statement away. Refuses to say that a change mends anything:
//! that is proved by who asked for it.

use super::edit;
use super::place::{Part, Target};
use super::{Snippet, Tool};
use crate::access::unused::UsageReport;
use crate::what_if::{Named, Proposal};
use rolecall_estate::{Association, Estate};
use rolecall_iam::Document;
use rolecall_rules::{Subject, SubjectKind, no_templates};
use serde_json::json;
use std::collections::BTreeSet;

/// One change, in words and as commands and code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub title: String,
    /// What to know before it is done; empty where there is nothing.
    pub note: String,
    /// How.
    pub snippets: Vec<Snippet>,
    /// The document afterwards, where there is one.
    pub document: Option<String>,
}

/// A policy as it would be; without a document it is deleted or detached.
#[derive(Debug, Clone)]
pub(super) struct Change<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) after: Option<Document>,
    /// Whether it is meant to allow something.
    pub(super) widens: bool,
    title: &'static str,
}

impl Change<'_> {
    pub(super) fn proposal(&self) -> Proposal {
        let role = Named::Arn(self.target.role.arn.arn().clone());
        match (&self.target.part, &self.after) {
            (Part::Trust, Some(document)) => Proposal::PutTrustPolicy { role, document: document.clone() },
            (Part::Trust, None) => Proposal::DeleteRole { role },
            (Part::Inline(name), Some(document)) => {
                Proposal::PutInlinePolicy { role, name: name.clone(), document: document.clone() }
            }
            (Part::Inline(name), None) => Proposal::DeleteInlinePolicy { role, name: name.clone() },
            (Part::Customer(arn), Some(document)) => {
                Proposal::PutManagedPolicy { policy: arn.clone(), document: document.clone() }
            }
            (Part::Customer(arn) | Part::Aws(arn), _) => Proposal::Detach { role, policy: arn.clone() },
            (Part::Boundary(arn), _) => Proposal::Boundary { role, policy: Some(arn.clone()) },
        }
    }
}

/// An edit of a document: `None` where it is not to be made, otherwise what comes out.
type Edited = Option<Option<Document>>;

/// What may mend a finding, the best first. Each is a set of changes that are made together.
pub(super) fn candidates<'a>(
    estate: &Estate,
    subject: &Subject,
    targets: &'a [Target<'a>],
    usage: Option<&UsageReport>,
) -> Vec<Vec<Change<'a>>> {
    let mut all = Vec::new();
    let identity = || targets.iter().filter(|it| matches!(it.part, Part::Inline(_) | Part::Customer(_) | Part::Aws(_)));
    if let Some(usage) = usage.filter(|usage| !usage.unused.is_empty()) {
        all.push(each(identity(), "right-sized to what was used", |it| match it.part {
            Part::Aws(_) => None,
            _ => edit::right_sized(it.document, &it.statements, usage),
        }));
    }
    all.push(each(identity(), "without the statements of the finding", |it| match it.part {
        Part::Aws(_) => Some(None),
        _ => edit::without(it.document, &it.statements),
    }));
    for target in targets.iter().filter(|it| it.part == Part::Trust) {
        all.extend(of_trust(estate, subject, target).into_iter().map(|change| vec![change]));
    }
    all.retain(|changes| !changes.is_empty());
    all
}

fn each<'a>(
    targets: impl Iterator<Item = &'a Target<'a>>,
    title: &'static str,
    edit: impl Fn(&Target<'a>) -> Edited,
) -> Vec<Change<'a>> {
    targets.filter_map(|target| Some(Change { target, after: edit(target)?, widens: false, title })).collect()
}

fn of_trust<'a>(estate: &Estate, subject: &Subject, target: &'a Target<'a>) -> Vec<Change<'a>> {
    let (document, statements) = (target.document, &target.statements);
    let association = (subject.kind == SubjectKind::Association)
        .then(|| estate.associations.iter().find(|it| it.key.to_string() == subject.key))
        .flatten();
    let mut all = Vec::new();
    let mut add = |title: &'static str, edited: Edited, widens: bool| {
        // A role without a statement in its trust policy cannot be.
        if let Some(Some(after)) = edited {
            all.push(Change { target, after: Some(after), widens, title });
        }
    };
    let clusters = clusters_of(estate, target.role.arn.as_str());
    if !clusters.is_empty() {
        let accounts = accounts_of(estate, &clusters);
        add("with the clusters as its source", edit::with_source(document, &clusters, &accounts), false);
    }
    if let Some(association) = association {
        let arn = cluster_of(estate, association);
        let account = association.key.account_id.to_string();
        let external = association.detail.as_ref().and_then(|it| it.external_id.as_deref());
        if let Some(id) = external {
            let edited = edit::with_condition(document, statements, "sts:ExternalId", id);
            add("with the association's external id", edited, false);
        }
        add("with `sts:TagSession`", edit::with_tag_session(document), true);
        if let Some(arn) = arn {
            let edited = edit::with_other_source(document, &arn, &account);
            add("with the association's cluster as its source", edited, true);
            add("with a statement for the pods", Some(edit::with_pods(document, &arn, &account)), true);
        }
    }
    let saml = edit::with_condition(document, statements, "SAML:aud", "https://signin.aws.amazon.com/saml");
    if !edit::name_no_provider(document, statements, |provider| provider.contains(":saml-provider/")) {
        add("with the audience of AWS's sign-in", saml, false);
    }
    add("without deleted principals", edit::without_deleted(document, statements), false);
    let is_there = |provider: &str| estate.oidc_providers.iter().any(|it| it.arn.as_str() == provider);
    let known = |provider: &str| is_there(provider) || !provider.contains(":oidc-provider/");
    if edit::name_no_provider(document, statements, known) {
        add("without the statements of the finding", edit::without(document, statements), false);
    }
    all
}

/// The ARNs of the clusters whose associations give pods a role.
pub(super) fn clusters_of(estate: &Estate, role: &str) -> Vec<String> {
    let uses = |it: &&Association| it.detail.as_ref().is_some_and(|detail| detail.role_arn == role);
    let of_role = estate.associations.iter().filter(uses).filter_map(|it| cluster_of(estate, it));
    of_role.collect::<BTreeSet<String>>().into_iter().collect()
}

fn cluster_of(estate: &Estate, association: &Association) -> Option<String> {
    let key = &association.key;
    let mut clusters = estate.clusters.iter();
    let own = |it: &&rolecall_estate::Cluster| {
        it.account_id == key.account_id && it.region == key.region && it.name == key.cluster
    };
    clusters.find(own).map(|it| it.arn.clone())
}

fn accounts_of(estate: &Estate, clusters: &[String]) -> Vec<String> {
    let own = estate.clusters.iter().filter(|it| clusters.contains(&it.arn));
    own.map(|it| it.account_id.to_string()).collect::<BTreeSet<String>>().into_iter().collect()
}

/// Changes as steps.
pub(super) fn steps(changes: &[Change<'_>], estate: &Estate) -> Vec<Step> {
    changes.iter().map(|change| step(change, estate)).collect()
}

fn step(change: &Change<'_>, estate: &Estate) -> Step {
    let (target, role) = (change.target, &change.target.role.arn);
    let name = Tool::AwsCli.quote(role.name());
    let text = change.after.as_ref().map(|document| pretty(&document.text));
    let cli = match (&target.part, &text) {
        (Part::Trust, Some(text)) => {
            let put = format!("aws iam update-assume-role-policy --role-name {name}");
            with_file("trust.json", text, &format!("{put} --policy-document file://trust.json"))
        }
        (Part::Inline(policy), Some(text)) => {
            let put =
                format!("aws iam put-role-policy --role-name {name} --policy-name {}", Tool::AwsCli.quote(policy));
            with_file("policy.json", text, &format!("{put} --policy-document file://policy.json"))
        }
        (Part::Inline(policy), None) => {
            let policy = Tool::AwsCli.quote(policy);
            format!("aws iam delete-role-policy --role-name {name} --policy-name {policy}")
        }
        (Part::Customer(arn), Some(text)) => {
            let make = format!("aws iam create-policy-version --policy-arn {}", Tool::AwsCli.quote(arn.as_str()));
            with_file("policy.json", text, &format!("{make} --policy-document file://policy.json --set-as-default"))
        }
        (Part::Customer(arn) | Part::Aws(arn) | Part::Boundary(arn), _) => {
            format!("aws iam detach-role-policy --role-name {name} --policy-arn {}", Tool::AwsCli.quote(arn.as_str()))
        }
        (Part::Trust, None) => format!("aws iam get-role --role-name {name}"),
    };
    let mut snippets = vec![Snippet { tool: Tool::AwsCli, text: cli }];
    snippets.push(Snippet { tool: Tool::Terraform, text: terraform(target, text.as_deref()) });
    let template = text.as_deref().and_then(|text| cloudformation(target, text));
    snippets.extend(template.map(|text| Snippet { tool: Tool::CloudFormation, text }));
    let title = match (&target.part, &change.after) {
        (Part::Aws(_) | Part::Customer(_), None) => format!("Detach {target}"),
        (_, None) => format!("Delete {target}"),
        (_, Some(_)) => format!("Replace {target}: {}", change.title),
    };
    Step { title, note: note(change, estate), snippets, document: text }
}

fn note(change: &Change<'_>, estate: &Estate) -> String {
    let Part::Customer(arn) = &change.target.part else { return String::new() };
    if change.after.is_none() {
        return String::new();
    }
    let is_other = |role: &&rolecall_estate::Role| {
        role.arn != change.target.role.arn && role.attached.iter().any(|it| it.arn == *arn)
    };
    let others = estate.roles.iter().filter(is_other).count();
    let versions = "IAM keeps five versions of a policy: delete the oldest first where there are five.";
    match others {
        0 => versions.to_owned(),
        1 => format!("One more role has the policy attached, and changes too. {versions}"),
        n => format!("{n} more roles have the policy attached, and change too. {versions}"),
    }
}

/// How to edit a policy that nobody could edit for the reader.
pub(super) fn by_hand(target: &Target<'_>) -> Step {
    let quote = |text: &str| Tool::AwsCli.quote(text);
    let name = quote(target.role.arn.name());
    let places: Vec<String> = target.statements.iter().map(|index| format!("/Statement/{index}")).collect();
    let edit = |file: &str| format!("# edit {} of {file}, then:", places.join(", "));
    let managed = |arn: &str| {
        let arn = quote(arn);
        format!(
            "version_id=\"$(aws iam get-policy --policy-arn {arn} --query Policy.DefaultVersionId --output text)\"\n\
             aws iam get-policy-version --policy-arn {arn} --version-id \"$version_id\" --query PolicyVersion.Document > policy.json\n\
             {}\n\
             aws iam create-policy-version --policy-arn {arn} --policy-document file://policy.json --set-as-default",
            edit("policy.json")
        )
    };
    let (title, text) = match &target.part {
        Part::Trust => (
            format!("Edit {target}"),
            format!(
                "aws iam get-role --role-name {name} --query Role.AssumeRolePolicyDocument > trust.json\n{}\n\
                 aws iam update-assume-role-policy --role-name {name} --policy-document file://trust.json",
                edit("trust.json")
            ),
        ),
        Part::Inline(policy) => {
            let of = format!("--role-name {name} --policy-name {}", quote(policy));
            (
                format!("Edit {target}"),
                format!(
                    "aws iam get-role-policy {of} --query PolicyDocument > policy.json\n{}\n\
                     aws iam put-role-policy {of} --policy-document file://policy.json",
                    edit("policy.json")
                ),
            )
        }
        Part::Customer(arn) | Part::Boundary(arn) if arn.account() != "aws" => {
            (format!("Edit {target}"), managed(arn.as_str()))
        }
        Part::Customer(arn) | Part::Aws(arn) | Part::Boundary(arn) => (
            format!("Detach {target}"),
            format!("aws iam detach-role-policy --role-name {name} --policy-arn {}", quote(arn.as_str())),
        ),
    };
    Step { title, note: String::new(), snippets: vec![Snippet { tool: Tool::AwsCli, text }], document: None }
}

/// A command after a file that it reads. No line of indented JSON is the word that ends the file.
fn with_file(file: &str, text: &str, command: &str) -> String {
    format!("cat > {file} <<'EOF'\n{text}\nEOF\n{command}")
}

fn pretty(text: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}

fn terraform(target: &Target<'_>, text: Option<&str>) -> String {
    let quote = |text: &str| Tool::Terraform.quote(text);
    let role = &target.role.arn;
    let json = |text: &str| format!("<<JSON\n{}\nJSON", no_templates(text));
    match (&target.part, text) {
        (Part::Trust, Some(text)) => {
            let (name, path, json) = (quote(role.name()), quote(role.path()), json(text));
            format!(
                "resource \"aws_iam_role\" \"this\" {{\n  name = {name}\n  path = {path}\n\n  assume_role_policy = {json}\n}}"
            )
        }
        (Part::Inline(policy), Some(text)) => {
            let (name, role, json) = (quote(policy), quote(role.name()), json(text));
            format!(
                "resource \"aws_iam_role_policy\" \"this\" {{\n  name = {name}\n  role = {role}\n\n  policy = {json}\n}}"
            )
        }
        (Part::Customer(arn), Some(text)) => {
            let (path, name) = path_and_name(arn.resource());
            let (name, path, json) = (quote(name), quote(&path), json(text));
            format!(
                "resource \"aws_iam_policy\" \"this\" {{\n  name = {name}\n  path = {path}\n\n  policy = {json}\n}}"
            )
        }
        (Part::Customer(arn) | Part::Aws(arn) | Part::Boundary(arn), _) => format!(
            "# Delete this resource from the code:\n\
             # resource \"aws_iam_role_policy_attachment\" \"this\" {{\n#   role       = {}\n#   policy_arn = {}\n# }}",
            quote(role.name()),
            quote(arn.as_str())
        ),
        (Part::Inline(policy), None) => format!(
            "# Delete this resource from the code:\n\
             # resource \"aws_iam_role_policy\" \"this\" {{\n#   role = {}\n#   name = {}\n# }}",
            quote(role.name()),
            quote(policy)
        ),
        (Part::Trust, None) => String::new(),
    }
}

fn cloudformation(target: &Target<'_>, text: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let role = &target.role.arn;
    let resource = match &target.part {
        Part::Trust => json!({ "Type": "AWS::IAM::Role", "Properties": {
            "RoleName": role.name(), "Path": role.path(), "AssumeRolePolicyDocument": document } }),
        Part::Inline(name) => json!({ "Type": "AWS::IAM::RolePolicy", "Properties": {
            "RoleName": role.name(), "PolicyName": name, "PolicyDocument": document } }),
        Part::Customer(arn) => {
            let (path, name) = path_and_name(arn.resource());
            json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": {
                "ManagedPolicyName": name, "Path": path, "PolicyDocument": document } })
        }
        Part::Aws(_) | Part::Boundary(_) => return None,
    };
    let name = if target.part == Part::Trust { "Role" } else { "Policy" };
    serde_json::to_string_pretty(&json!({ name: resource })).ok()
}

/// `policy/team/orders` as `/team/` and `orders`.
fn path_and_name(resource: &str) -> (String, &str) {
    let rest = resource.strip_prefix("policy").unwrap_or(resource);
    let (path, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    (format!("{path}/"), name)
}
