//! What files declare, in the terms of the estate.
//!
//! Each value is known, or says why it is not. Refuses to know how a format writes it.

use crate::text::{Text, Unresolved};
use rolecall_estate::id::Region;
use rolecall_iam::{AccountId, Document};
use std::collections::BTreeMap;

/// A format of files that declare resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Terraform state: `terraform show -json`, or `terraform.tfstate`.
    TerraformState,
    /// A Terraform plan: `terraform show -json PLAN`.
    TerraformPlan,
    /// A CloudFormation template.
    CloudFormation,
    /// An eksctl `ClusterConfig`.
    Eksctl,
    /// Manifests of AWS Controllers for Kubernetes.
    Ack,
    /// Manifests of Crossplane's AWS providers.
    Crossplane,
}

impl Format {
    /// What people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TerraformState => "Terraform state",
            Self::TerraformPlan => "Terraform plan",
            Self::CloudFormation => "CloudFormation template",
            Self::Eksctl => "eksctl ClusterConfig",
            Self::Ack => "ACK manifest",
            Self::Crossplane => "Crossplane manifest",
        }
    }
}

/// Where something is declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was given.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What the format calls it: `module.a.aws_iam_role.b`, `Resources.Role`, `Role/ns/name`.
    pub address: String,
}

/// A value, or why it is not known.
pub type Known<T> = Result<T, Unresolved>;

/// A role or policy that something names: by its ARN or name, or by where it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its ARN or name, as far as the file says it.
    pub text: Text,
    /// The key of its declaration, where it is named by that.
    pub to: Option<String>,
}

impl Reference {
    /// By its ARN or name.
    #[must_use]
    pub fn text(text: Text) -> Self {
        Self { text, to: None }
    }
}

/// The name of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleName {
    /// It is given.
    Given(Text),
    /// The tool makes one: the role has these tags, or a name that contains the text.
    Made {
        /// The tags by which the tool marks it.
        tags: Vec<(String, String)>,
        /// What its name contains.
        contains: String,
    },
}

/// An inline policy.
#[derive(Debug, Clone)]
pub struct InlinePolicy {
    /// Its name within the role.
    pub name: Text,
    /// Its document.
    pub document: Known<Document>,
    /// Where.
    pub place: Place,
    /// Whether it is certain that it is declared, and not only seen at the last refresh.
    pub is_certain: bool,
}

/// A managed policy that is attached to a role.
#[derive(Debug, Clone)]
pub struct AttachedPolicy {
    /// The policy.
    pub policy: Reference,
    /// Where.
    pub place: Place,
    /// Whether it is certain that it is declared, and not only seen at the last refresh.
    pub is_certain: bool,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    /// The account, where it is known.
    pub account: Option<AccountId>,
    /// Its name.
    pub name: RoleName,
    /// Its path; `None`: not said here.
    pub path: Option<Text>,
    /// Its trust policy; `None`: not said here.
    pub trust: Option<Known<Document>>,
    /// Inline policies.
    pub inline: Vec<InlinePolicy>,
    /// Attached policies.
    pub attached: Vec<AttachedPolicy>,
    /// The permissions boundary.
    pub boundary: Option<Reference>,
    /// Whether the role itself is declared, and not only a policy of a role that is declared elsewhere.
    pub is_whole: bool,
    /// Why it may have further policies that the files declare.
    pub open: Vec<Unresolved>,
    /// The tags that are declared.
    pub tags: BTreeMap<String, Text>,
}

impl Role {
    /// A role of which nothing but its name is declared.
    #[must_use]
    pub fn named(account: Option<AccountId>, name: RoleName) -> Self {
        Self {
            account,
            name,
            path: None,
            trust: None,
            inline: Vec::new(),
            attached: Vec::new(),
            boundary: None,
            is_whole: true,
            open: Vec::new(),
            tags: BTreeMap::new(),
        }
    }
}

/// A managed policy.
#[derive(Debug, Clone)]
pub struct ManagedPolicy {
    /// The account, where it is known.
    pub account: Option<AccountId>,
    /// Its name.
    pub name: Text,
    /// Its path.
    pub path: Text,
    /// The document of its default version.
    pub document: Known<Document>,
}

/// A Pod Identity association.
#[derive(Debug, Clone)]
pub struct Association {
    /// The cluster's account, where it is known.
    pub account: Option<AccountId>,
    /// The cluster's region, where it is known.
    pub region: Option<Region>,
    /// The cluster's name.
    pub cluster: Text,
    /// The namespace.
    pub namespace: Text,
    /// The service account.
    pub service_account: Text,
    /// Its role.
    pub role: Reference,
    /// Its target role; `None`: none.
    pub target_role: Option<Reference>,
    /// Whether session tags are left out.
    pub disable_session_tags: Known<bool>,
    /// Its session policy; `None`: none.
    pub session_policy: Option<Known<Document>>,
    /// The tags that are declared.
    pub tags: BTreeMap<String, Text>,
}

/// An IAM OIDC identity provider.
#[derive(Debug, Clone)]
pub struct OidcProvider {
    /// The account, where it is known.
    pub account: Option<AccountId>,
    /// The issuer, without `https://`.
    pub issuer: Text,
}

/// What one declaration declares.
#[derive(Debug, Clone)]
pub enum Resource {
    /// A role.
    Role(Box<Role>),
    /// A managed policy.
    Policy(ManagedPolicy),
    /// A Pod Identity association.
    Association(Box<Association>),
    /// An OIDC provider.
    OidcProvider(OidcProvider),
}

/// A resource and where it is declared.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Where.
    pub place: Place,
    /// In which format.
    pub format: Format,
    /// By which others may name it, in the files of one reading.
    pub key: String,
    /// Why it may not be there: a condition of the template.
    pub condition: Option<Unresolved>,
    /// What.
    pub resource: Resource,
}

/// What a format's reader gives: a resource, or a policy of a role that may be declared elsewhere.
#[derive(Debug, Clone)]
pub enum Item {
    /// A resource.
    Resource(Resource),
    /// An inline policy of a role.
    Inline {
        /// The role.
        role: Reference,
        /// Its account, where it is known.
        account: Option<AccountId>,
        /// The policy.
        policy: InlinePolicy,
    },
    /// A policy that is attached to a role.
    Attached {
        /// The role.
        role: Reference,
        /// Its account, where it is known.
        account: Option<AccountId>,
        /// The policy.
        policy: AttachedPolicy,
    },
}

/// An item and where it is declared.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) format: Format,
    pub(crate) key: String,
    pub(crate) condition: Option<Unresolved>,
    pub(crate) item: Item,
}

/// The ARN of a role or policy of an account.
pub(crate) fn arn(partition: &Text, account: Option<AccountId>, kind: &str, path: Option<&Text>, name: &Text) -> Text {
    let account = account.map_or_else(|| Text::open("the account is not said"), |id| Text::known(id.to_string()));
    Text::joined([
        Text::known("arn:"),
        partition.clone(),
        Text::known(":iam::"),
        account,
        Text::known(format!(":{kind}")),
        path.cloned().unwrap_or_else(|| Text::known("/")),
        name.clone(),
    ])
}
