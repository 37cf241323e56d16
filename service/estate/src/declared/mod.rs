//! What infrastructure code declares, in the terms of the estate.
//!
//! Each value is known, or says why it is not; each thing says where it is declared. Refuses to know how a
//! format writes it, and what is there.

mod text;

pub use text::{Match, Text, Unresolved};

use crate::file_problem::FileProblem;
use crate::id::Region;
use rolecall_iam::{AccountId, Document};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A format of files that declare resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttachedPolicy {
    /// The policy.
    pub policy: Reference,
    /// Where.
    pub place: Place,
    /// Whether it is certain that it is declared, and not only seen at the last refresh.
    pub is_certain: bool,
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcProvider {
    /// The account, where it is known.
    pub account: Option<AccountId>,
    /// The issuer, without `https://`.
    pub issuer: Text,
}

/// What one declaration declares.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Declaration {
    /// Where.
    pub place: Place,
    /// In which format.
    pub format: Format,
    /// By which others may name it, in the files of one reading.
    pub key: String,
    /// Why it may not be there: a condition of the template.
    pub condition: Option<Unresolved>,
    /// Why it is only remembered: what declared it was read earlier, and could not be read now.
    #[serde(default)]
    pub remembered: Option<Unresolved>,
    /// What.
    pub resource: Resource,
}

/// A policy of a role of which nobody knows which it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unplaced {
    /// Where.
    pub place: Place,
    /// The role, as far as the file says it.
    pub role: Text,
    /// Why it is not known.
    pub why: Unresolved,
}

/// What files declare.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Declared {
    /// Each resource, in the order of the files; a role with the policies that are declared apart from it.
    pub declarations: Vec<Declaration>,
    /// Policies of roles of which nobody knows which they are.
    pub unplaced: Vec<Unplaced>,
    /// What cannot be read: the first thousand.
    pub problems: Vec<FileProblem>,
    /// How many more problems there are.
    pub unnamed: u64,
    /// Files in which nothing is declared that is read here.
    pub passed_over: Vec<String>,
}

impl Declared {
    /// What was read now, with what was read before of files that could not be read now: it is remembered, and
    /// says so. A file that is gone from a folder which could be read declares nothing any more.
    #[must_use]
    pub fn remembering(mut self, before: &Self) -> Self {
        let places = self.declarations.iter().map(|it| (it.place.file.as_str(), it.place.address.as_str()));
        let read: BTreeSet<(&str, &str)> = places.collect();
        let mut kept = Vec::new();
        for it in &before.declarations {
            if read.contains(&(it.place.file.as_str(), it.place.address.as_str())) {
                continue;
            }
            if let Some(why) = self.unread(&it.place.file) {
                kept.push(Declaration { remembered: Some(why), ..it.clone() });
            }
        }
        let unplaced = before.unplaced.iter().filter(|it| self.unread(&it.place.file).is_some());
        let unplaced: Vec<Unplaced> = unplaced.filter(|it| !self.unplaced.contains(it)).cloned().collect();
        self.declarations.extend(kept);
        self.unplaced.extend(unplaced);
        self
    }

    /// Why further things may be declared in a file that were not read.
    fn unread(&self, file: &str) -> Option<Unresolved> {
        let is_of = |problem: &&FileProblem| {
            let rest = file.strip_prefix(problem.file.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '\\']) || problem.file.ends_with('/'))
        };
        let problem = self.problems.iter().find(is_of).map(|it| format!("{}: {}", it.file, it.message));
        let unnamed = || (self.unnamed > 0).then(|| "not every file could be read".to_owned());
        problem.or_else(unnamed).map(Unresolved)
    }
}
