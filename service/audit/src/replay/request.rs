//! What a call asked for, as proposals on an estate.
//!
//! Parameters are named as CloudTrail writes them. What the event does not tell (a document that was too long
//! for it, a version whose document nobody saw) is not known, with the reason.

use crate::drift::{Resource, ResourceType, kind};
use crate::what_if::{AssociationPut, AssociationRef, Named, Proposal};
use rolecall_cloudtrail::change::{ChangeEvent, ChangedResource};
use rolecall_estate::{AssociationKey, Estate, OrgPolicy, OrgPolicyKind, Tags};
use rolecall_iam::{Arn, Digest, Document, RoleArn};
use serde_json::Value;

/// What a call is about, and what it asked for.
pub(super) struct Requested {
    /// `None` where the event does not name the resource.
    pub(super) what: Option<What>,
    pub(super) asked: Asked,
}

/// A part of a resource that a call changes.
pub(super) struct What {
    pub(super) resource: Resource,
    pub(super) change: &'static str,
    pub(super) part: Option<String>,
    /// Whether the part is there after it.
    pub(super) is_there: bool,
}

pub(super) enum Asked {
    /// For what changes nothing.
    Nothing,
    For(Vec<Proposal>),
    NotKnown(String),
}

const IAM: &str = "iam.amazonaws.com";
const EKS: &str = "eks.amazonaws.com";
const ORGANIZATIONS: &str = "organizations.amazonaws.com";
const CLOUDTRAIL: &str = "cloudtrail.amazonaws.com";

/// A call that is told, by its service and name, with what it changes: the kind of change, the parameter that names
/// the part, and whether the part is there afterwards.
type Kind = (&'static str, &'static str, ResourceType, &'static str, Option<&'static str>, bool);

const CALLS: [Kind; 25] = {
    use ResourceType::{Association, ManagedPolicy, OrgPolicy, Role, Trail};
    [
        (IAM, "CreateRole", Role, kind::ADDED, None, true),
        (IAM, "DeleteRole", Role, kind::REMOVED, None, false),
        (IAM, "UpdateAssumeRolePolicy", Role, kind::TRUST, None, true),
        (IAM, "PutRolePolicy", Role, kind::INLINE_CHANGED, Some("policyName"), true),
        (IAM, "DeleteRolePolicy", Role, kind::INLINE_REMOVED, Some("policyName"), false),
        (IAM, "AttachRolePolicy", Role, kind::ATTACHED, Some("policyArn"), true),
        (IAM, "DetachRolePolicy", Role, kind::DETACHED, Some("policyArn"), false),
        (IAM, "PutRolePermissionsBoundary", Role, kind::BOUNDARY_CHANGED, None, true),
        (IAM, "DeleteRolePermissionsBoundary", Role, kind::BOUNDARY_REMOVED, None, false),
        (IAM, "TagRole", Role, kind::TAGS, None, true),
        (IAM, "UntagRole", Role, kind::TAGS, None, true),
        (IAM, "CreatePolicy", ManagedPolicy, kind::ADDED, None, true),
        (IAM, "DeletePolicy", ManagedPolicy, kind::REMOVED, None, false),
        (IAM, "CreatePolicyVersion", ManagedPolicy, kind::DEFAULT_VERSION, None, true),
        (IAM, "SetDefaultPolicyVersion", ManagedPolicy, kind::DEFAULT_VERSION, None, true),
        (EKS, "CreatePodIdentityAssociation", Association, kind::ADDED, None, true),
        (EKS, "UpdatePodIdentityAssociation", Association, kind::FIELD, None, true),
        (EKS, "DeletePodIdentityAssociation", Association, kind::REMOVED, None, false),
        (ORGANIZATIONS, "CreatePolicy", OrgPolicy, kind::ADDED, None, true),
        (ORGANIZATIONS, "UpdatePolicy", OrgPolicy, kind::DOCUMENT, None, true),
        (ORGANIZATIONS, "DeletePolicy", OrgPolicy, kind::REMOVED, None, false),
        (ORGANIZATIONS, "AttachPolicy", OrgPolicy, kind::TARGET_ATTACHED, Some("targetId"), true),
        (ORGANIZATIONS, "DetachPolicy", OrgPolicy, kind::TARGET_DETACHED, Some("targetId"), false),
        (CLOUDTRAIL, "StopLogging", Trail, kind::LOGGING_STOPPED, None, true),
        (CLOUDTRAIL, "StartLogging", Trail, kind::LOGGING_STARTED, None, true),
    ]
};

/// Whether calls of this kind are told.
pub(super) fn is_replayed(call: &ChangeEvent) -> bool {
    found(call).is_some()
}

fn found(call: &ChangeEvent) -> Option<(ResourceType, &'static str, Option<&'static str>, bool)> {
    let is_it = |(source, name, ..): &&Kind| *source == call.event_source && *name == call.event_name;
    CALLS.iter().find(is_it).map(|(_, _, of, change, part, is_there)| (*of, *change, *part, *is_there))
}

/// Of calls of one second, what makes a thing comes first, and what deletes it last.
pub(super) fn rank(name: &str) -> u8 {
    match name {
        "CreatePolicy" => 0,
        "CreateRole" | "CreatePodIdentityAssociation" => 1,
        "DetachRolePolicy" | "DeleteRolePolicy" | "DetachPolicy" | "DeletePodIdentityAssociation" => 3,
        "DeleteRole" | "DeletePolicy" => 4,
        _ => 2,
    }
}

/// Reads a call. `estates` may know the documents of versions that it names.
pub(super) fn read(call: &ChangeEvent, estates: [Option<&Estate>; 2]) -> Requested {
    let Some((of, change, part, is_there)) = found(call) else {
        return Requested { what: None, asked: Asked::Nothing };
    };
    let reading = Reading { call, estates };
    let named = call.resources.iter().find(|it| it.is_changed && it.resource_type == of.as_str());
    let what = named.map(|named| What {
        resource: reading.resource(of, named),
        change,
        part: part.and_then(|name| reading.text(name)).map(str::to_owned),
        is_there,
    });
    let asked = match named.map(|named| reading.proposals(named)) {
        None => Asked::NotKnown(reading.missing("the name of what it changes")),
        Some(Err(why)) => Asked::NotKnown(why),
        Some(Ok(proposals)) if proposals.is_empty() => Asked::Nothing,
        Some(Ok(proposals)) => Asked::For(proposals),
    };
    Requested { what, asked }
}

struct Reading<'a> {
    call: &'a ChangeEvent,
    estates: [Option<&'a Estate>; 2],
}

impl<'a> Reading<'a> {
    /// A parameter, whatever the letter case of its name: CloudTrail's differs from service to service.
    fn value(&self, name: &str) -> Option<&'a Value> {
        let object = self.call.request.as_object()?;
        let found = object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name)?.as_str()
    }

    fn missing(&self, what: &str) -> String {
        let cut = if self.call.is_request_cut { ", which was too long for it" } else { "" };
        format!("the event of {} does not have {what}{cut}", self.call.event_name)
    }

    fn needed(&self, name: &str) -> Result<&'a str, String> {
        self.text(name).ok_or_else(|| self.missing(&format!("`{name}`")))
    }

    fn document(&self, name: &str) -> Result<Document, String> {
        let document = match self.value(name) {
            Some(Value::String(text)) => Document::new(text),
            Some(value @ Value::Object(_)) => Document::new(&value.to_string()),
            _ => return Err(self.missing("the policy document")),
        };
        match &document.parsed {
            Ok(_) => Ok(document),
            Err(error) => {
                Err(format!("the document in the event of {} is no policy: {}", self.call.event_name, error.message))
            }
        }
    }

    fn arn(&self, name: &str) -> Result<Arn, String> {
        let text = self.needed(name)?;
        text.parse().map_err(|_| format!("`{text}` in the event of {} is not an ARN", self.call.event_name))
    }

    fn role(&self) -> Result<Named, String> {
        let name = self.needed("roleName")?;
        // IAM allows a name once in an account, whatever its letter case.
        let known = self.known_role().map(|role| Named::Arn(role.arn.arn().clone()));
        Ok(known.unwrap_or_else(|| Named::Name { account: Some(self.call.account_id), name: name.to_owned() }))
    }

    /// The role that the call names, in an estate that has it.
    fn known_role(&self) -> Option<&'a rolecall_estate::Role> {
        let name = self.text("roleName")?;
        let is_it = |role: &&rolecall_estate::Role| {
            role.arn.name().eq_ignore_ascii_case(name) && role.arn.account_id() == self.call.account_id
        };
        self.estates.into_iter().flatten().find_map(|estate| estate.roles.iter().find(is_it))
    }

    /// The resource under the name that it has in an estate: an event may not know its path.
    fn resource(&self, of: ResourceType, named: &ChangedResource) -> Resource {
        let plain = Resource::new(of, &named.resource);
        let mut estates = self.estates.into_iter().flatten();
        let found = match of {
            ResourceType::Role => self.known_role().map(|role| Resource::new(of, role.arn.as_str())),
            ResourceType::Association => estates.find_map(|estate| {
                let is_it =
                    |it: &&rolecall_estate::Association| Some(&it.association_id) == named.association_id.as_ref();
                estate.associations.iter().find(is_it).map(|it| Resource::association(&it.key))
            }),
            ResourceType::OrgPolicy => estates.find_map(|estate| {
                let id = id_of(&named.resource);
                let policy = estate.org_policies.iter().find(|policy| policy.id == id)?;
                Some(Resource::org_policy(estate, policy.account_id, &policy.id, policy.kind))
            }),
            _ => None,
        };
        found.unwrap_or(plain)
    }

    fn proposals(&self, named: &ChangedResource) -> Result<Vec<Proposal>, String> {
        let one = |proposal| Ok(vec![proposal]);
        match (self.call.event_source.as_str(), self.call.event_name.as_str()) {
            (IAM, "CreateRole") => self.create_role(named),
            (IAM, "DeleteRole") => one(Proposal::DeleteRole { role: self.role()? }),
            (IAM, "UpdateAssumeRolePolicy") => {
                one(Proposal::PutTrustPolicy { role: self.role()?, document: self.document("policyDocument")? })
            }
            (IAM, "PutRolePolicy") => one(Proposal::PutInlinePolicy {
                role: self.role()?,
                name: self.needed("policyName")?.to_owned(),
                document: self.document("policyDocument")?,
            }),
            (IAM, "DeleteRolePolicy") => {
                one(Proposal::DeleteInlinePolicy { role: self.role()?, name: self.needed("policyName")?.to_owned() })
            }
            (IAM, "AttachRolePolicy") => one(Proposal::Attach { role: self.role()?, policy: self.arn("policyArn")? }),
            (IAM, "DetachRolePolicy") => one(Proposal::Detach { role: self.role()?, policy: self.arn("policyArn")? }),
            (IAM, "PutRolePermissionsBoundary") => {
                one(Proposal::Boundary { role: self.role()?, policy: Some(self.arn("permissionsBoundary")?) })
            }
            (IAM, "DeleteRolePermissionsBoundary") => one(Proposal::Boundary { role: self.role()?, policy: None }),
            (IAM, "TagRole") => one(Proposal::TagRole { role: self.role()?, tags: self.tags()? }),
            (IAM, "UntagRole") => {
                let keys = self.value("tagKeys").and_then(Value::as_array).ok_or_else(|| self.missing("`tagKeys`"))?;
                let keys = keys.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                one(Proposal::UntagRole { role: self.role()?, keys })
            }
            (IAM, "CreatePolicy") => {
                let policy = named.resource.parse().map_err(|_| self.missing("the policy's ARN"))?;
                one(Proposal::PutManagedPolicy { policy, document: self.document("policyDocument")? })
            }
            (IAM, "DeletePolicy") => one(Proposal::DeleteManagedPolicy { policy: self.arn("policyArn")? }),
            (IAM, "CreatePolicyVersion") => match self.value("setAsDefault").and_then(Value::as_bool) {
                Some(true) => {
                    let document = self.document("policyDocument")?;
                    one(Proposal::PutManagedPolicy { policy: self.arn("policyArn")?, document })
                }
                _ => Ok(Vec::new()),
            },
            (IAM, "SetDefaultPolicyVersion") => {
                let (policy, version) = (self.arn("policyArn")?, self.needed("versionId")?);
                let document = self.version(&policy, version)?;
                one(Proposal::PutManagedPolicy { policy, document })
            }
            (EKS, _) => self.association(named),
            (CLOUDTRAIL, name) => {
                let [before, _] = self.estates;
                let known = before.and_then(|estate| estate.trails.iter().find(|trail| trail.arn == named.resource));
                if known.is_none_or(|trail| trail.status.is_none()) {
                    return Err(format!("whether the trail {} was logging before is not known", named.resource));
                }
                one(Proposal::Logging { trail: named.resource.clone(), is_logging: name == "StartLogging" })
            }
            (ORGANIZATIONS, _) => self.organization(named),
            _ => Ok(Vec::new()),
        }
    }

    fn create_role(&self, named: &ChangedResource) -> Result<Vec<Proposal>, String> {
        let role: RoleArn = named.resource.parse().map_err(|_| self.missing("the role's ARN"))?;
        let it = Named::Arn(role.arn().clone());
        let mut proposals = vec![Proposal::PutRole { role, trust: self.document("assumeRolePolicyDocument")? }];
        if self.text("permissionsBoundary").is_some() {
            let policy = Some(self.arn("permissionsBoundary")?);
            proposals.push(Proposal::Boundary { role: it.clone(), policy });
        }
        if self.value("tags").is_some() {
            proposals.push(Proposal::TagRole { role: it, tags: self.tags()? });
        }
        Ok(proposals)
    }

    fn tags(&self) -> Result<Tags, String> {
        let list = self.value("tags").and_then(Value::as_array).ok_or_else(|| self.missing("`tags`"))?;
        let tag = |tag: &Value| Some((tag.get("key")?.as_str()?.to_owned(), tag.get("value")?.as_str()?.to_owned()));
        list.iter().map(tag).collect::<Option<Tags>>().ok_or_else(|| self.missing("keys and values of the tags"))
    }

    /// The document of a version, where a scan saw it as the default version.
    fn version(&self, policy: &Arn, version: &str) -> Result<Document, String> {
        let document = |estate: &Estate| -> Option<Document> {
            let is_it = |it: &&rolecall_estate::ManagedPolicy| it.arn == *policy && it.default_version == version;
            let digest: Digest = estate.policies.iter().find(is_it)?.document?;
            estate.documents.get(&digest).cloned()
        };
        self.estates.into_iter().flatten().find_map(document).ok_or_else(|| {
            format!("the event names version {version} of {policy}, and no scan saw it as the default version")
        })
    }

    fn association(&self, named: &ChangedResource) -> Result<Vec<Proposal>, String> {
        let key = named.resource.parse::<AssociationKey>().ok();
        let association = match (&named.association_id, key) {
            (_, Some(key)) => AssociationRef::Key(key),
            (Some(id), None) => AssociationRef::Id(id.clone()),
            (None, None) => return Err(self.missing("which association it is about")),
        };
        if self.call.event_name == "DeletePodIdentityAssociation" {
            return Ok(vec![Proposal::DeleteAssociation { association }]);
        }
        if self.call.is_request_cut {
            return Err(self.missing("all of what was asked for"));
        }
        // An empty text takes a target role or a session policy away.
        let target_role = self.text("targetRoleArn").map(|arn| (!arn.is_empty()).then(|| arn.to_owned()));
        let session_policy = match self.value("policy") {
            None => None,
            Some(Value::String(text)) if text.is_empty() => Some(None),
            Some(_) => Some(Some(self.document("policy")?)),
        };
        let put = AssociationPut {
            role: self.text("roleArn").map(str::to_owned),
            target_role,
            session_policy,
            disable_session_tags: self.value("disableSessionTags").and_then(Value::as_bool),
            id: named.association_id.clone(),
        };
        Ok(vec![Proposal::PutAssociation { association, put: Box::new(put) }])
    }

    fn organization(&self, named: &ChangedResource) -> Result<Vec<Proposal>, String> {
        let policy = id_of(&named.resource).to_owned();
        Ok(vec![match self.call.event_name.as_str() {
            "CreatePolicy" => {
                let kind = match self.text("type") {
                    Some("SERVICE_CONTROL_POLICY") => OrgPolicyKind::Scp,
                    Some("RESOURCE_CONTROL_POLICY") => OrgPolicyKind::Rcp,
                    _ => return Ok(Vec::new()),
                };
                let document = self.document("content")?;
                let policy = OrgPolicy {
                    account_id: self.call.account_id,
                    id: policy,
                    kind,
                    name: self.text("name").unwrap_or_default().to_owned(),
                    document: document.digest,
                    targets: Vec::new(),
                };
                Proposal::MakeOrganizationPolicy { policy: Box::new(policy), document }
            }
            // A new name or description allows what the old one did.
            "UpdatePolicy" if self.value("content").is_none() && !self.call.is_request_cut => return Ok(Vec::new()),
            "UpdatePolicy" => Proposal::PutOrganizationPolicy { policy, document: self.document("content")? },
            "DeletePolicy" => Proposal::DeleteOrganizationPolicy { policy },
            "AttachPolicy" => {
                Proposal::AttachOrganizationPolicy { policy, target: self.needed("targetId")?.to_owned() }
            }
            _ => Proposal::DetachOrganizationPolicy { policy, target: self.needed("targetId")?.to_owned() },
        }])
    }
}

/// The id of an organization policy that goes by its ARN.
fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
