//! Whose something is.

use rolecall_audit::owner::Owner;
use rolecall_estate::Reason;
use serde::Serialize;
use utoipa::ToSchema;

/// What says whose something is.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct OwnerBecauseJson {
    /// `rule`, `tag`, `nobody` or `unknown`.
    #[schema(example = "tag")]
    pub(crate) source: &'static str,
    /// How the owner is reached, as the ownership rule says.
    pub(crate) contact: Option<String>,
    /// The ownership rule: file and line.
    #[schema(example = "policies/owners.yaml:12")]
    pub(crate) rule: Option<String>,
    /// The key of the tag.
    #[schema(example = "owner")]
    pub(crate) tag_key: Option<String>,
    /// What has the tag: the ARN of a role or cluster, or an association's key. Null where it is out of sight.
    pub(crate) resource: Option<String>,
    /// Of nobody's: whether the workloads that reach it, or the roles that hold it, do not all have the same owner.
    pub(crate) several: bool,
    /// Why it is not known.
    pub(crate) reasons: Vec<String>,
}

impl From<&Owner> for OwnerBecauseJson {
    fn from(owner: &Owner) -> Self {
        let none = Self {
            source: "nobody",
            contact: None,
            rule: None,
            tag_key: None,
            resource: None,
            several: false,
            reasons: Vec::new(),
        };
        match owner {
            Owner::Rule { contact, origin, .. } => {
                Self { source: "rule", contact: contact.clone(), rule: Some(origin.clone()), ..none }
            }
            Owner::Tag { key, resource, .. } => Self {
                source: "tag",
                tag_key: Some(key.clone()),
                resource: Some(resource.clone()).filter(|resource| !resource.is_empty()),
                ..none
            },
            Owner::Nobody { several } => Self { several: *several, ..none },
            Owner::Unknown { why } => {
                Self { source: "unknown", reasons: why.iter().map(Reason::to_string).collect(), ..none }
            }
        }
    }
}
