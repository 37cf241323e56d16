//! Proposals as people and programs write them.
//!
//! Our own form, and the input of AWS CLI commands (`--cli-input-json`). What cannot be read is a problem
//! with its pointer; the rest is still read.

use super::fields::{Fields, NONE, step};
use super::{AssociationPut, AssociationRef, Place, Problem, Proposal, Proposed};
use rolecall_estate::AssociationKey;
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use serde_json::Value;

/// What proposals leave out that the AWS CLI takes from its profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The account.
    pub account: Option<AccountId>,
    /// The region.
    pub region: Option<Region>,
}

/// Reads the proposals of a file: one, a list of them, or `{"changes": […]}`.
#[must_use]
pub fn parse(file: &str, value: &Value, defaults: &Defaults) -> (Vec<Proposed>, Vec<Problem>) {
    let mut reading = Reading { file, proposed: Vec::new(), problems: Vec::new() };
    reading.file(value, defaults);
    (reading.proposed, reading.problems)
}

pub(super) struct Reading<'a> {
    file: &'a str,
    proposed: Vec<Proposed>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn place(&self, pointer: String) -> Place {
        Place { file: self.file.to_owned(), pointer }
    }

    fn file(&mut self, value: &Value, defaults: &Defaults) {
        match value {
            Value::Array(items) => self.items("", items, defaults),
            Value::Object(map) if map.contains_key("changes") => {
                if let Err(problem) = self.wrapped(value, defaults) {
                    self.problems.push(problem);
                }
            }
            value => self.item(String::new(), value, defaults),
        }
    }

    fn wrapped(&mut self, value: &Value, defaults: &Defaults) -> Result<(), Problem> {
        let fields = Fields::new(value, &self.place(String::new()))?;
        fields.only(&["changes", "account", "region"])?;
        let account = fields.text("account")?.map(|text| fields.parsed("account", text, "give twelve digits"));
        let region = fields.text("region")?.map(|text| fields.parsed("region", text, "give a region of AWS"));
        let defaults = Defaults {
            account: account.transpose()?.or(defaults.account),
            region: region.transpose()?.or_else(|| defaults.region.clone()),
        };
        match fields.value("changes") {
            Some(Value::Array(items)) => self.items("/changes", items, &defaults),
            _ => return Err(fields.problem("changes", "it is no list", "give a list of proposals")),
        }
        Ok(())
    }

    fn items(&mut self, pointer: &str, items: &[Value], defaults: &Defaults) {
        for (index, item) in items.iter().enumerate() {
            self.item(step(pointer, index), item, defaults);
        }
    }

    fn item(&mut self, pointer: String, value: &Value, defaults: &Defaults) {
        let place = self.place(pointer);
        let proposal = Fields::new(value, &place).and_then(|fields| {
            let read = if fields.has("kind") { own(&fields, defaults) } else { cli(&fields, defaults) };
            read.map(|proposal| (proposal, fields.into_documents()))
        });
        match proposal {
            Ok((proposal, documents)) => self.proposed.push(Proposed { place, proposal, documents }),
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// The kinds of our own form, with the fields of each beside `kind`, `resource` and `action`.
const KINDS: [(&str, &[&str]); 8] = [
    ("role", &["document"]),
    ("inline_policy", &["name", "document"]),
    ("trust_policy", &["document"]),
    ("attached_policy", &["policy"]),
    ("permissions_boundary", &["policy"]),
    ("managed_policy", &["document"]),
    ("association", &["role", "target_role", "session_policy", "disable_session_tags"]),
    ("organization_policy", &["document"]),
];

fn own(fields: &Fields<'_>, defaults: &Defaults) -> Result<Proposal, Problem> {
    let kind = fields.needed("kind", "say what changes")?;
    let Some((kind, more)) = KINDS.into_iter().find(|(name, _)| *name == kind) else {
        let names = KINDS.map(|(name, _)| name).join(", ");
        return Err(fields.problem("kind", format!("`{kind}` is no kind of change"), format!("use one of {names}")));
    };
    let allowed: Vec<&str> = ["kind", "resource", "action"].iter().chain(more).copied().collect();
    fields.only(&allowed)?;
    let delete = match fields.text("action")? {
        None | Some("put") => false,
        Some("delete") => true,
        Some(other) => {
            return Err(fields.problem("action", format!("`{other}` is no action"), "use put or delete"));
        }
    };
    let role = || fields.role("resource", defaults.account);
    let document = || fields.needed_document("document");
    Ok(match (kind, delete) {
        ("role", false) => {
            let text = fields.needed("resource", "give the role's ARN")?;
            let role = fields.parsed("resource", text, "give the ARN of a role")?;
            Proposal::PutRole { role, trust: document()? }
        }
        ("role", true) => Proposal::DeleteRole { role: role()? },
        ("inline_policy", delete) => {
            let name = fields.needed("name", "give the policy's name within the role")?.to_owned();
            match delete {
                true => Proposal::DeleteInlinePolicy { role: role()?, name },
                false => Proposal::PutInlinePolicy { role: role()?, name, document: document()? },
            }
        }
        ("trust_policy", false) => Proposal::PutTrustPolicy { role: role()?, document: document()? },
        ("trust_policy", true) => {
            return Err(fields.problem("action", "a role has a trust policy as long as it is there", "use put"));
        }
        ("attached_policy", false) => Proposal::Attach { role: role()?, policy: fields.arn("policy")? },
        ("attached_policy", true) => Proposal::Detach { role: role()?, policy: fields.arn("policy")? },
        ("permissions_boundary", false) => Proposal::Boundary { role: role()?, policy: Some(fields.arn("policy")?) },
        ("permissions_boundary", true) => Proposal::Boundary { role: role()?, policy: None },
        ("managed_policy", false) => {
            Proposal::PutManagedPolicy { policy: fields.arn("resource")?, document: document()? }
        }
        ("managed_policy", true) => Proposal::DeleteManagedPolicy { policy: fields.arn("resource")? },
        ("association", delete) => {
            let remedy = "give ACCOUNT/REGION/CLUSTER/NAMESPACE/SERVICE-ACCOUNT";
            let key = fields.parsed("resource", fields.needed("resource", remedy)?, remedy)?;
            let association = AssociationRef::Key(key);
            match delete {
                true => Proposal::DeleteAssociation { association },
                false => Proposal::PutAssociation { association, put: Box::new(put(fields)?) },
            }
        }
        (_, delete) => {
            let policy = fields.needed("resource", "give the id of the policy, `p-…`")?.to_owned();
            match delete {
                true => Proposal::DeleteOrganizationPolicy { policy },
                false => Proposal::PutOrganizationPolicy { policy, document: document()? },
            }
        }
    })
}

fn put(fields: &Fields<'_>) -> Result<AssociationPut, Problem> {
    let is_none = |name: &str| fields.value(name).and_then(Value::as_str) == Some(NONE);
    Ok(AssociationPut {
        role: fields.text("role")?.map(|arn| fields.role_arn("role", arn)).transpose()?,
        target_role: match fields.text("target_role")? {
            Some(NONE) => Some(None),
            arn => arn.map(|arn| fields.role_arn("target_role", arn)).transpose()?.map(Some),
        },
        session_policy: match is_none("session_policy") {
            true => Some(None),
            false => fields.document("session_policy")?.map(Some),
        },
        disable_session_tags: fields.flag("disable_session_tags")?,
        id: None,
    })
}

/// The input of an AWS CLI command, told by the fields that it has.
fn cli(fields: &Fields<'_>, defaults: &Defaults) -> Result<Proposal, Problem> {
    let has = |name: &str| fields.has(name);
    let role = || fields.role("RoleName", defaults.account);
    if has("RoleName") && has("AssumeRolePolicyDocument") {
        return create_role(fields, defaults);
    }
    if has("RoleName") && has("PolicyName") && has("PolicyDocument") {
        fields.only(&["RoleName", "PolicyName", "PolicyDocument"])?;
        let name = fields.needed("PolicyName", "give the policy's name")?.to_owned();
        let document = fields.needed_document("PolicyDocument")?;
        return Ok(Proposal::PutInlinePolicy { role: role()?, name, document });
    }
    if has("RoleName") && has("PolicyDocument") {
        fields.only(&["RoleName", "PolicyDocument"])?;
        return Ok(Proposal::PutTrustPolicy { role: role()?, document: fields.needed_document("PolicyDocument")? });
    }
    if has("RoleName") && has("PolicyArn") {
        fields.only(&["RoleName", "PolicyArn"])?;
        return Ok(Proposal::Attach { role: role()?, policy: fields.arn("PolicyArn")? });
    }
    if has("RoleName") && has("PermissionsBoundary") {
        fields.only(&["RoleName", "PermissionsBoundary"])?;
        return Ok(Proposal::Boundary { role: role()?, policy: Some(fields.arn("PermissionsBoundary")?) });
    }
    if has("PolicyArn") && has("PolicyDocument") {
        fields.only(&["PolicyArn", "PolicyDocument", "SetAsDefault"])?;
        if fields.flag("SetAsDefault")? != Some(true) {
            let message = "a version that is not the default version changes nothing";
            return Err(fields.problem("SetAsDefault", message, "set SetAsDefault to true"));
        }
        let document = fields.needed_document("PolicyDocument")?;
        return Ok(Proposal::PutManagedPolicy { policy: fields.arn("PolicyArn")?, document });
    }
    if has("PolicyId") && has("Content") {
        fields.only(&["PolicyId", "Content", "Name", "Description"])?;
        let policy = fields.needed("PolicyId", "give the policy's id")?.to_owned();
        return Ok(Proposal::PutOrganizationPolicy { policy, document: fields.needed_document("Content")? });
    }
    if has("clusterName") {
        return association(fields, defaults);
    }
    let remedy = "give `kind`, or the input of put-role-policy, update-assume-role-policy, attach-role-policy, \
                  put-role-permissions-boundary, create-role, create-policy-version, update-policy, \
                  create-pod-identity-association or update-pod-identity-association";
    Err(fields.problem("", "nobody knows what this proposes", remedy))
}

fn create_role(fields: &Fields<'_>, defaults: &Defaults) -> Result<Proposal, Problem> {
    fields.only(&["RoleName", "AssumeRolePolicyDocument", "Path", "Description", "MaxSessionDuration"])?;
    let name = fields.needed("RoleName", "give the role's name")?;
    let path = fields.text("Path")?.unwrap_or("/");
    let account = account(fields, defaults)?;
    let role = fields.parsed("RoleName", &format!("arn:aws:iam::{account}:role{path}{name}"), "give a role's name")?;
    Ok(Proposal::PutRole { role, trust: fields.needed_document("AssumeRolePolicyDocument")? })
}

fn account(fields: &Fields<'_>, defaults: &Defaults) -> Result<AccountId, Problem> {
    let remedy = "say it with --account, or with `account` beside `changes`";
    defaults.account.ok_or_else(|| fields.problem("", "it does not say in which account", remedy))
}

fn association(fields: &Fields<'_>, defaults: &Defaults) -> Result<Proposal, Problem> {
    fields.only(&[
        "clusterName",
        "namespace",
        "serviceAccount",
        "associationId",
        "roleArn",
        "targetRoleArn",
        "disableSessionTags",
        "policy",
        "clientRequestToken",
        "tags",
    ])?;
    let arn = |name: &str| fields.text(name)?.map(|text| fields.role_arn(name, text)).transpose();
    let put = AssociationPut {
        role: arn("roleArn")?,
        target_role: arn("targetRoleArn")?.map(Some),
        session_policy: fields.document("policy")?.map(Some),
        disable_session_tags: fields.flag("disableSessionTags")?,
        id: None,
    };
    let association = match fields.text("associationId")? {
        Some(id) => AssociationRef::Id(id.to_owned()),
        None => {
            let remedy = "say it with --region, or with `region` beside `changes`";
            let region = defaults.region.clone();
            let region = region.ok_or_else(|| fields.problem("", "it does not say in which region", remedy))?;
            let part = |name| fields.needed(name, "name the cluster, the namespace and the service account");
            AssociationRef::Key(AssociationKey {
                account_id: account(fields, defaults)?,
                region,
                cluster: fields.parsed("clusterName", part("clusterName")?, "give the cluster's name")?,
                namespace: fields.parsed("namespace", part("namespace")?, "give a namespace")?,
                service_account: fields.parsed("serviceAccount", part("serviceAccount")?, "give a service account")?,
            })
        }
    };
    Ok(Proposal::PutAssociation { association, put: Box::new(put) })
}
