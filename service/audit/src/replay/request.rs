//! What a call asked for, as proposals on an estate.
//!
//! Parameters are named as CloudTrail writes them. What the event does not tell (a document that was too long
//! for it, a version whose document nobody saw) is not known, with the reason.

use crate::drift::{Resource, ResourceType, kind};
use crate::what_if::{AssociationPut, AssociationRef, ClusterProposal, Named, Proposal};
use rolecall_cloudtrail::change::{ChangeEvent, ChangedResource};
use rolecall_cloudtrail::selectors::requested as requested_selectors;
use rolecall_estate::{
    AccessEntry, AccessPolicy, Addon, AssociationKey, Estate, OidcProviderDetail, OrgPolicy, OrgPolicyKind, Tags, Trail,
};
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

const CALLS: [Kind; 47] = {
    use ResourceType::{
        AccessEntry, Account, Addon, Association, Cluster, ManagedPolicy, OidcProvider, OrgPolicy, OrgUnit, Role, Trail,
    };
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
        (IAM, "CreateOpenIDConnectProvider", OidcProvider, kind::ADDED, None, true),
        (IAM, "DeleteOpenIDConnectProvider", OidcProvider, kind::REMOVED, None, false),
        (IAM, "AddClientIDToOpenIDConnectProvider", OidcProvider, kind::CLIENT_ID_ADDED, Some("clientID"), true),
        (
            IAM,
            "RemoveClientIDFromOpenIDConnectProvider",
            OidcProvider,
            kind::CLIENT_ID_REMOVED,
            Some("clientID"),
            false,
        ),
        (IAM, "UpdateOpenIDConnectProviderThumbprint", OidcProvider, kind::THUMBPRINTS, None, true),
        (EKS, "CreateCluster", Cluster, kind::ADDED, None, true),
        (EKS, "DeleteCluster", Cluster, kind::REMOVED, None, false),
        (EKS, "UpdateClusterConfig", Cluster, kind::FIELD, None, true),
        (EKS, "UpdateClusterVersion", Cluster, kind::FIELD, None, true),
        (EKS, "CreateAddon", Addon, kind::ADDED, None, true),
        (EKS, "UpdateAddon", Addon, kind::CHANGED, None, true),
        (EKS, "DeleteAddon", Addon, kind::REMOVED, None, false),
        (EKS, "CreateAccessEntry", AccessEntry, kind::ADDED, None, true),
        (EKS, "UpdateAccessEntry", AccessEntry, kind::CHANGED, None, true),
        (EKS, "DeleteAccessEntry", AccessEntry, kind::REMOVED, None, false),
        (EKS, "AssociateAccessPolicy", AccessEntry, kind::CHANGED, None, true),
        (EKS, "DisassociateAccessPolicy", AccessEntry, kind::CHANGED, None, true),
        (ORGANIZATIONS, "CreateOrganizationalUnit", OrgUnit, kind::ADDED, None, true),
        (ORGANIZATIONS, "UpdateOrganizationalUnit", OrgUnit, kind::RENAMED, None, true),
        (ORGANIZATIONS, "DeleteOrganizationalUnit", OrgUnit, kind::REMOVED, None, false),
        (ORGANIZATIONS, "MoveAccount", Account, kind::MOVED, None, true),
        (CLOUDTRAIL, "StopLogging", Trail, kind::LOGGING_STOPPED, None, true),
        (CLOUDTRAIL, "StartLogging", Trail, kind::LOGGING_STARTED, None, true),
        (CLOUDTRAIL, "PutEventSelectors", Trail, kind::SELECTORS, None, true),
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
        "CreatePolicy" | "CreateCluster" | "CreateOrganizationalUnit" => 0,
        "CreateRole"
        | "CreatePodIdentityAssociation"
        | "CreateOpenIDConnectProvider"
        | "CreateAddon"
        | "CreateAccessEntry" => 1,
        "DetachRolePolicy"
        | "DeleteRolePolicy"
        | "DetachPolicy"
        | "DeletePodIdentityAssociation"
        | "DeleteAddon"
        | "DisassociateAccessPolicy" => 3,
        "DeleteRole" | "DeletePolicy" | "DeleteOpenIDConnectProvider" | "DeleteAccessEntry" => 4,
        "DeleteCluster" | "DeleteOrganizationalUnit" => 5,
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
            ResourceType::Account => {
                let account = named.resource.parse().ok();
                let of_organization = |estate: &&Estate| !estate.org_units.is_empty();
                account.zip(estates.find(of_organization)).map(|(id, estate)| Resource::account(estate, id))
            }
            ResourceType::OrgUnit => {
                let id = id_of(&named.resource);
                let of_organization = |estate: &&Estate| !estate.org_units.is_empty();
                let estate = estates.find(of_organization);
                let manager = estate.and_then(|estate| estate.org_units.first()).map(|unit| unit.account_id);
                estate.zip(manager).map(|(estate, manager)| Resource::org_unit(estate, manager, id))
            }
            // Answers of EKS have an id at the end, which no listing shows.
            ResourceType::Addon => Some(Resource::new(of, &first_parts(&named.resource, 3))),
            ResourceType::AccessEntry => Some(Resource::new(of, &first_parts(&named.resource, 5))),
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
            (IAM, name) if name.contains("OpenIDConnectProvider") => self.provider(named),
            (EKS, name) if name.contains("PodIdentityAssociation") => self.association(named),
            (EKS, _) => self.cluster(),
            (CLOUDTRAIL, "PutEventSelectors") => self.selectors(named),
            (CLOUDTRAIL, name) => {
                let known = self.known_trail(named);
                if known.is_none_or(|trail| trail.status.is_none()) {
                    return Err(format!("whether the trail {} was logging before is not known", named.resource));
                }
                one(Proposal::Logging { trail: named.resource.clone(), is_logging: name == "StartLogging" })
            }
            (ORGANIZATIONS, "MoveAccount") => {
                let account = self.needed("accountId")?.parse().map_err(|_| self.missing("the account's id"))?;
                one(Proposal::MoveAccount { account, parent: self.needed("destinationParentId")?.to_owned() })
            }
            (ORGANIZATIONS, "CreateOrganizationalUnit") => one(Proposal::MakeUnit {
                unit: id_of(&named.resource).to_owned(),
                parent: self.needed("parentId")?.to_owned(),
                name: self.needed("name")?.to_owned(),
            }),
            (ORGANIZATIONS, "UpdateOrganizationalUnit") => {
                let unit = id_of(&named.resource).to_owned();
                one(Proposal::RenameUnit { unit, name: self.needed("name")?.to_owned() })
            }
            (ORGANIZATIONS, "DeleteOrganizationalUnit") => {
                one(Proposal::DeleteUnit { unit: id_of(&named.resource).to_owned() })
            }
            (ORGANIZATIONS, _) => self.organization(named),
            _ => Ok(Vec::new()),
        }
    }

    /// The trail that the call names, as the scan before left it.
    fn known_trail(&self, named: &ChangedResource) -> Option<&'a Trail> {
        let [before, _] = self.estates;
        before?.trails.iter().find(|trail| trail.arn == named.resource)
    }

    fn selectors(&self, named: &ChangedResource) -> Result<Vec<Proposal>, String> {
        if self.known_trail(named).is_none_or(|trail| trail.recorded.is_none()) {
            return Err(format!("what the trail {} recorded before is not known", named.resource));
        }
        let selectors = requested_selectors(&self.call.request).filter(|selectors| !selectors.is_empty());
        let selectors = selectors.ok_or_else(|| self.missing("event selectors that can be read"))?;
        Ok(vec![Proposal::Selectors { trail: named.resource.clone(), selectors }])
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

    fn texts(&self, name: &str) -> Option<Vec<String>> {
        let list = self.value(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    fn provider(&self, named: &ChangedResource) -> Result<Vec<Proposal>, String> {
        let provider: Arn = named.resource.parse().map_err(|_| self.missing("the provider's ARN"))?;
        Ok(vec![match self.call.event_name.as_str() {
            "CreateOpenIDConnectProvider" => {
                // IAM finds thumbprints by itself where none are given.
                let thumbprints = self.texts("thumbprintList").filter(|given| !given.is_empty());
                let client_ids = || self.texts("clientIDList").unwrap_or_default().into_iter().collect();
                let detail = thumbprints.map(|thumbprints| OidcProviderDetail {
                    client_ids: client_ids(),
                    thumbprints: thumbprints.into_iter().collect(),
                    tags: self.tags().unwrap_or_default(),
                });
                Proposal::MakeOidcProvider { provider, detail }
            }
            "DeleteOpenIDConnectProvider" => Proposal::DeleteOidcProvider { provider },
            "UpdateOpenIDConnectProviderThumbprint" => {
                let given = self.texts("thumbprintList").ok_or_else(|| self.missing("`thumbprintList`"))?;
                Proposal::Thumbprints { provider, thumbprints: given.into_iter().collect() }
            }
            name => Proposal::ClientId {
                provider,
                client_id: self.needed("clientID")?.to_owned(),
                is_taken: name == "AddClientIDToOpenIDConnectProvider",
            },
        }])
    }

    /// Some calls of EKS name the cluster `name`, others `clusterName`.
    fn cluster_name(&self) -> Option<&'a str> {
        self.text("clusterName").or_else(|| self.text("name"))
    }

    fn cluster(&self) -> Result<Vec<Proposal>, String> {
        let name = self.cluster_name().and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| self.missing("the cluster's name"))?;
        let cluster = (self.call.account_id, self.call.region.clone(), name);
        let addon = || self.needed("addonName").map(str::to_owned);
        let principal = || self.needed("principalArn").map(str::to_owned);
        let proposal = match self.call.event_name.as_str() {
            "CreateCluster" => ClusterProposal::Make,
            "DeleteCluster" => ClusterProposal::Delete,
            "UpdateClusterVersion" => ClusterProposal::Configure {
                version: Some(self.needed("version")?.to_owned()),
                authentication_mode: None,
                auto_mode: None,
            },
            "UpdateClusterConfig" => {
                let within = |object: &str, name: &str| self.value(object).and_then(|object| object.get(name));
                let mode = within("accessConfig", "authenticationMode").and_then(Value::as_str);
                let auto_mode = within("computeConfig", "enabled").and_then(Value::as_bool);
                match (mode, auto_mode) {
                    (None, None) if self.call.is_request_cut => return Err(self.missing("all of what was asked for")),
                    // Endpoints, logs, subnets and tags of the cluster's own.
                    (None, None) => return Ok(Vec::new()),
                    (mode, auto_mode) => {
                        let authentication_mode = mode.map(str::to_owned);
                        ClusterProposal::Configure { version: None, authentication_mode, auto_mode }
                    }
                }
            }
            "CreateAddon" => ClusterProposal::MakeAddon(Box::new(Addon {
                version: self.text("addonVersion").map(str::to_owned),
                service_account_role_arn: self.text("serviceAccountRoleArn").map(str::to_owned),
                ..Addon::new(addon()?)
            })),
            "UpdateAddon" => ClusterProposal::UpdateAddon {
                name: addon()?,
                version: self.text("addonVersion").map(str::to_owned),
                role: self.text("serviceAccountRoleArn").map(str::to_owned),
            },
            "DeleteAddon" => ClusterProposal::DeleteAddon(addon()?),
            "CreateAccessEntry" => ClusterProposal::MakeAccessEntry(Box::new(AccessEntry {
                principal_arn: principal()?,
                groups: self.texts("kubernetesGroups").unwrap_or_default(),
                kind: Some(self.text("type").unwrap_or("STANDARD").to_owned()),
                policies: Vec::new(),
            })),
            "UpdateAccessEntry" => match self.texts("kubernetesGroups") {
                Some(groups) => ClusterProposal::Groups { principal: principal()?, groups },
                // Another user name or other tags.
                None if !self.call.is_request_cut => return Ok(Vec::new()),
                None => return Err(self.missing("`kubernetesGroups`")),
            },
            "AssociateAccessPolicy" => ClusterProposal::AssociatePolicy {
                principal: principal()?,
                policy: AccessPolicy { arn: self.needed("policyArn")?.to_owned(), namespaces: self.namespaces()? },
            },
            "DisassociateAccessPolicy" => ClusterProposal::DisassociatePolicy {
                principal: principal()?,
                policy: self.needed("policyArn")?.to_owned(),
            },
            "DeleteAccessEntry" => ClusterProposal::DeleteAccessEntry(principal()?),
            _ => return Ok(Vec::new()),
        };
        Ok(vec![Proposal::Cluster { cluster, proposal }])
    }

    /// The namespaces of an access scope; none: the whole cluster.
    fn namespaces(&self) -> Result<Vec<String>, String> {
        let scope = self.value("accessScope").ok_or_else(|| self.missing("`accessScope`"))?;
        match scope.get("type").and_then(Value::as_str) {
            Some("cluster") => Ok(Vec::new()),
            Some("namespace") => {
                let list = scope.get("namespaces").and_then(Value::as_array).filter(|list| !list.is_empty());
                let list = list.ok_or_else(|| self.missing("the namespaces of `accessScope`"))?;
                Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => Err(self.missing("the type of `accessScope`")),
        }
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

fn first_parts(arn: &str, count: usize) -> String {
    arn.split('/').take(count).collect::<Vec<_>>().join("/")
}
