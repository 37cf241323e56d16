//! Proposals applied to an estate.
//!
//! Refuses to apply what names nothing that is there: AWS would refuse it too.

mod cluster;
mod organization;

use super::{AssociationPut, AssociationRef, Named, Note, Place, Problem, Proposal, Proposed};
use crate::drift::{Resource, ResourceType};
use rolecall_cloudtrail::selectors::set_recorded;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{
    Association, AssociationDetail, AssociationKey, AttachedPolicy, Estate, InlinePolicy, ManagedPolicy, OidcProvider,
    OidcProviderDetail, OrgPolicy, Role, Tags, TrailStatus,
};
use rolecall_iam::{AccountId, Arn, ArnText, Document, RoleArn};

/// The id of what is not there yet.
pub(crate) const PROPOSED: &str = "proposed";

/// What came of applying proposals.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The estate afterwards.
    pub estate: Estate,
    /// What was touched, in the order of the proposals.
    pub touched: Vec<Touched>,
    /// What cannot be told of a proposal that was applied.
    pub notes: Vec<Note>,
    /// Proposals that were not applied.
    pub problems: Vec<Problem>,
}

/// A resource that a proposal touches.
#[derive(Debug, Clone)]
pub struct Touched {
    /// The resource.
    pub resource: Resource,
    /// The proposal's place.
    pub place: Place,
    /// Where it is made or deleted: the listing that shows it.
    pub presence: Option<Scope>,
    /// Whether it is made.
    pub is_made: bool,
}

impl Touched {
    /// Why nobody knows what was there before, where that is so.
    pub(crate) fn doubt(&self, estate: &Estate) -> Option<String> {
        let scope = self.presence.as_ref().filter(|_| self.is_made)?;
        let blind = estate.coverage.blind_spots(scope);
        let name = &self.resource.name;
        (!blind.is_empty()).then(|| format!("whether {name} is there already is not known: {}", blind.join("; ")))
    }
}

/// Why a proposal was not applied: what is wrong, and what would make it right.
type Refused = (String, String);

/// Applies proposals, in their order.
#[must_use]
pub fn apply(estate: &Estate, proposed: &[Proposed]) -> Applied {
    let applied = Applied { estate: estate.clone(), touched: Vec::new(), notes: Vec::new(), problems: Vec::new() };
    let mut work = Work { applied, place: Place::default() };
    for one in proposed {
        work.place.clone_from(&one.place);
        if let Err((message, remedy)) = work.one(&one.proposal) {
            work.applied.problems.push(Problem { place: one.place.clone(), message, remedy });
        }
    }
    work.applied
}

struct Work {
    applied: Applied,
    place: Place,
}

impl Work {
    fn touch(&mut self, resource: Resource, presence: Option<Scope>, is_made: bool) {
        let place = self.place.clone();
        self.applied.touched.push(Touched { resource, place, presence, is_made });
    }

    fn note(&mut self, message: String) {
        self.applied.notes.push(Note { place: self.place.clone(), message });
    }

    fn one(&mut self, proposal: &Proposal) -> Result<(), Refused> {
        match proposal {
            Proposal::PutRole { role, trust } => self.put_role(role, trust),
            Proposal::DeleteRole { role } => {
                let arn = self.role(role, |_| ())?;
                self.applied.estate.roles.retain(|it| it.arn != arn);
                let scope = Scope::global(arn.account_id(), ScopeKind::Roles);
                self.touch(Resource::new(ResourceType::Role, arn.as_str()), Some(scope), false);
            }
            Proposal::Logging { trail, is_logging } => {
                let trails = &mut self.applied.estate.trails;
                let mut named = trails.iter_mut().filter(|it| it.arn == *trail).peekable();
                if named.peek().is_none() {
                    return Err((format!("no trail {trail} is known"), "name a trail that is there".to_owned()));
                }
                for it in named {
                    let known = it.status.take();
                    let (started_at, stopped_at) =
                        known.map_or((None, None), |known| (known.started_at, known.stopped_at));
                    it.status = Some(TrailStatus { is_logging: *is_logging, started_at, stopped_at });
                }
                self.touch(Resource::new(ResourceType::Trail, trail), None, false);
            }
            Proposal::Selectors { trail, selectors } => {
                let trails = &mut self.applied.estate.trails;
                let mut named = trails.iter_mut().filter(|it| it.arn == *trail).peekable();
                if named.peek().is_none() {
                    return Err((format!("no trail {trail} is known"), "name a trail that is there".to_owned()));
                }
                for it in named {
                    set_recorded(it, selectors);
                }
                self.touch(Resource::new(ResourceType::Trail, trail), None, false);
            }
            Proposal::MakeOidcProvider { provider, detail } => self.make_provider(provider, detail.clone())?,
            Proposal::DeleteOidcProvider { provider } => {
                let account = Self::owner(provider)?;
                self.provider(provider)?;
                self.applied.estate.oidc_providers.retain(|it| it.arn != *provider);
                let scope = Scope::global(account, ScopeKind::OidcProviders);
                self.touch(Resource::new(ResourceType::OidcProvider, provider.as_str()), Some(scope), false);
            }
            Proposal::ClientId { provider, client_id, is_taken } => {
                let ids = &mut self.provider_detail(provider)?.client_ids;
                if *is_taken {
                    ids.insert(client_id.clone());
                } else {
                    ids.remove(client_id);
                }
            }
            Proposal::Thumbprints { provider, thumbprints } => {
                self.provider_detail(provider)?.thumbprints.clone_from(thumbprints);
            }
            Proposal::Cluster { cluster, proposal } => self.cluster(cluster, proposal)?,
            Proposal::MakeUnit { unit, parent, name } => self.make_unit(unit, parent, name)?,
            Proposal::RenameUnit { unit, name } => self.rename_unit(unit, name)?,
            Proposal::DeleteUnit { unit } => self.delete_unit(unit)?,
            Proposal::MoveAccount { account, parent } => self.move_account(*account, parent)?,
            Proposal::PutInlinePolicy { role, name, document } => {
                let digest = self.applied.estate.documents.add(document.clone());
                self.change_role(role, |role| {
                    match role.inline.iter_mut().find(|it| it.name == *name) {
                        Some(known) => known.document = digest,
                        None => role.inline.push(InlinePolicy { name: name.clone(), document: digest }),
                    }
                    role.inline.sort_by(|a, b| a.name.cmp(&b.name));
                    None
                })?;
            }
            Proposal::DeleteInlinePolicy { role, name } => {
                self.change_role(role, |role| {
                    let had = role.inline.len();
                    role.inline.retain(|it| it.name != *name);
                    let is_there = role.inline.len() < had;
                    (!is_there).then(|| format!("{} has no inline policy `{name}`", role.arn))
                })?;
            }
            Proposal::PutTrustPolicy { role, document } => {
                let digest = self.applied.estate.documents.add(document.clone());
                self.change_role(role, |role| {
                    role.trust = Some(digest);
                    None
                })?;
            }
            Proposal::Attach { role, policy } => {
                self.change_role(role, |role| {
                    if !role.attached.iter().any(|it| it.arn == *policy) {
                        let name = policy.resource().rsplit('/').next().unwrap_or_default().to_owned();
                        role.attached.push(AttachedPolicy { arn: policy.clone(), name });
                        role.attached.sort_by(|a, b| a.arn.cmp(&b.arn));
                    }
                    None
                })?;
            }
            Proposal::Detach { role, policy } => {
                self.change_role(role, |role| {
                    let had = role.attached.len();
                    role.attached.retain(|it| it.arn != *policy);
                    let is_there = role.attached.len() < had;
                    (!is_there).then(|| format!("{policy} is not attached to {}", role.arn))
                })?;
            }
            Proposal::Boundary { role, policy } => {
                self.change_role(role, |role| {
                    role.boundary.clone_from(policy);
                    None
                })?;
            }
            Proposal::TagRole { role, tags } => {
                self.change_role(role, |role| {
                    role.tags.extend(tags.clone());
                    None
                })?;
            }
            Proposal::UntagRole { role, keys } => {
                self.change_role(role, |role| {
                    role.tags.retain(|key, _| !keys.contains(key));
                    None
                })?;
            }
            Proposal::PutManagedPolicy { policy, document } => self.put_policy(policy, document)?,
            Proposal::DeleteManagedPolicy { policy } => self.delete_policy(policy)?,
            Proposal::PutAssociation { association, put } => self.put_association(association, put)?,
            Proposal::DeleteAssociation { association } => {
                let key = self.known_association(association)?;
                self.applied.estate.associations.retain(|it| it.key != key);
                self.touch(Resource::association(&key), Some(listing_of(&key)), false);
            }
            Proposal::PutOrganizationPolicy { policy, document } => {
                let at = self.organization_policy(policy)?;
                let digest = self.applied.estate.documents.add(document.clone());
                let resource = self.applied.estate.org_policies.get_mut(at).map(|it| {
                    it.document = digest;
                    (it.account_id, it.id.clone(), it.kind)
                });
                if let Some((account, id, kind)) = resource {
                    let resource = Resource::org_policy(&self.applied.estate, account, &id, kind);
                    self.touch(resource, None, false);
                }
            }
            Proposal::MakeOrganizationPolicy { policy, document } => {
                let digest = self.applied.estate.documents.add(document.clone());
                let OrgPolicy { account_id, kind, .. } = **policy;
                let resource = Resource::org_policy(&self.applied.estate, account_id, &policy.id, kind);
                let made = OrgPolicy { document: digest, targets: Vec::new(), ..(**policy).clone() };
                self.applied.estate.org_policies.push(made);
                self.touch(resource, Some(Scope::global(account_id, ScopeKind::OrgPolicies)), true);
            }
            Proposal::AttachOrganizationPolicy { policy, target } => {
                self.change_targets(policy, |targets| {
                    if !targets.contains(target) {
                        targets.push(target.clone());
                    }
                    None
                })?;
            }
            Proposal::DetachOrganizationPolicy { policy, target } => {
                self.change_targets(policy, |targets| {
                    let had = targets.len();
                    targets.retain(|it| it != target);
                    (targets.len() == had).then(|| format!("{policy} is not attached to {target}"))
                })?;
            }
            Proposal::Open { resource, why } => {
                self.note(format!("what {resource} comes to is not known: {why}"));
            }
            Proposal::DeleteOrganizationPolicy { policy } => {
                let at = self.organization_policy(policy)?;
                let gone = self.applied.estate.org_policies.remove(at);
                let scope = Scope::global(gone.account_id, ScopeKind::OrgPolicies);
                let resource = Resource::org_policy(&self.applied.estate, gone.account_id, &gone.id, gone.kind);
                self.touch(resource, Some(scope), false);
            }
        }
        Ok(())
    }

    /// Finds a role, looks at it or changes it, and gives its ARN.
    fn role(&mut self, named: &Named, change: impl FnOnce(&mut Role)) -> Result<RoleArn, Refused> {
        let is_it = |role: &Role| match named {
            Named::Arn(arn) => role.arn.arn() == arn,
            Named::Name { account, name } => {
                role.arn.name() == name && account.is_none_or(|account| role.arn.account_id() == account)
            }
        };
        let mut found = self.applied.estate.roles.iter_mut().filter(|role| is_it(role));
        let role = found.next();
        if found.next().is_some() {
            let message = "several accounts have a role of this name".to_owned();
            return Err((message, "say which account, or give the role's ARN".to_owned()));
        }
        let Some(role) = role else { return Err(self.no_role(named)) };
        let arn = role.arn.clone();
        change(role);
        Ok(arn)
    }

    fn no_role(&self, named: &Named) -> Refused {
        let (what, account) = match named {
            Named::Arn(arn) => (arn.to_string(), arn.account_id()),
            Named::Name { account: Some(account), name } => (format!("`{name}` of account {account}"), Some(*account)),
            Named::Name { account: None, name } => (format!("`{name}`"), None),
        };
        let blind =
            account.map(|account| self.applied.estate.coverage.blind_spots(&Scope::global(account, ScopeKind::Roles)));
        match blind {
            Some(blind) if !blind.is_empty() => (
                format!("the role {what} was not seen: {}", blind.join("; ")),
                "scan the account, then ask again".to_owned(),
            ),
            _ => (format!("there is no role {what}"), "check the name, or propose the role before".to_owned()),
        }
    }

    /// Changes a role; `change` says what was not there to be changed.
    fn change_role(&mut self, named: &Named, change: impl FnOnce(&mut Role) -> Option<String>) -> Result<(), Refused> {
        let mut missing = None;
        let arn = self.role(named, |role| missing = change(role))?;
        if let Some(missing) = missing {
            return Err((missing, "check the name".to_owned()));
        }
        self.touch(Resource::new(ResourceType::Role, arn.as_str()), None, false);
        Ok(())
    }

    fn put_role(&mut self, arn: &RoleArn, trust: &Document) {
        let digest = self.applied.estate.documents.add(trust.clone());
        let resource = Resource::new(ResourceType::Role, arn.as_str());
        let known = self.applied.estate.roles.iter_mut().find(|it| it.arn == *arn);
        if let Some(role) = known {
            role.trust = Some(digest);
            return self.touch(resource, None, false);
        }
        self.applied.estate.roles.push(Role {
            arn: arn.clone(),
            role_id: PROPOSED.to_owned(),
            created_at: None,
            trust: Some(digest),
            inline: Vec::new(),
            attached: Vec::new(),
            boundary: None,
            instance_profiles: Vec::new(),
            tags: Tags::new(),
        });
        let scope = Scope::global(arn.account_id(), ScopeKind::Roles);
        self.touch(resource, Some(scope), true);
    }

    fn owner(policy: &Arn) -> Result<AccountId, Refused> {
        policy.account_id().ok_or_else(|| {
            (format!("{policy} belongs to AWS, which alone changes it"), "name a policy of an account".to_owned())
        })
    }

    fn put_policy(&mut self, arn: &Arn, document: &Document) -> Result<(), Refused> {
        let account_id = Self::owner(arn)?;
        let digest = self.applied.estate.documents.add(document.clone());
        let resource = Resource::new(ResourceType::ManagedPolicy, arn.as_str());
        let known = self.applied.estate.policies.iter_mut().find(|it| it.account_id == account_id && it.arn == *arn);
        if let Some(policy) = known {
            if policy.document.is_none() {
                self.note(format!("what {arn} allows now was not seen, so what the change comes to is not known"));
            } else if policy.document != Some(digest) {
                policy.default_version = PROPOSED.to_owned();
                policy.document = Some(digest);
            }
            self.touch(resource, None, false);
            return Ok(());
        }
        self.applied.estate.policies.push(ManagedPolicy {
            account_id,
            arn: arn.clone(),
            name: arn.resource().rsplit('/').next().unwrap_or_default().to_owned(),
            policy_id: PROPOSED.to_owned(),
            default_version: "v1".to_owned(),
            document: Some(digest),
            updated_at: None,
        });
        self.touch(resource, Some(Scope::global(account_id, ScopeKind::Policies)), true);
        Ok(())
    }

    fn delete_policy(&mut self, arn: &Arn) -> Result<(), Refused> {
        let account_id = Self::owner(arn)?;
        let estate = &mut self.applied.estate;
        let had = estate.policies.len();
        estate.policies.retain(|it| it.arn != *arn);
        if estate.policies.len() == had {
            return Err((format!("there is no policy {arn}"), "check the ARN".to_owned()));
        }
        let resource = Resource::new(ResourceType::ManagedPolicy, arn.as_str());
        self.touch(resource, Some(Scope::global(account_id, ScopeKind::Policies)), false);
        Ok(())
    }

    fn provider(&mut self, arn: &Arn) -> Result<&mut OidcProvider, Refused> {
        let found = self.applied.estate.oidc_providers.iter_mut().find(|it| it.arn == *arn);
        found.ok_or_else(|| (format!("there is no OIDC provider {arn}"), "check the ARN".to_owned()))
    }

    fn provider_detail(&mut self, arn: &Arn) -> Result<&mut OidcProviderDetail, Refused> {
        self.touch(Resource::new(ResourceType::OidcProvider, arn.as_str()), None, false);
        let detail = self.provider(arn)?.detail.as_mut();
        detail.ok_or_else(|| {
            let remedy = "allow iam:GetOpenIDConnectProvider, scan, then ask again";
            (format!("the settings of {arn} were not seen"), remedy.to_owned())
        })
    }

    fn make_provider(&mut self, arn: &Arn, detail: Option<OidcProviderDetail>) -> Result<(), Refused> {
        let account = Self::owner(arn)?;
        if self.provider(arn).is_ok() {
            return Err((format!("there is an OIDC provider {arn} already"), "propose what changes of it".to_owned()));
        }
        self.applied.estate.oidc_providers.push(OidcProvider { arn: arn.clone(), detail });
        let scope = Scope::global(account, ScopeKind::OidcProviders);
        self.touch(Resource::new(ResourceType::OidcProvider, arn.as_str()), Some(scope), true);
        Ok(())
    }

    fn known_association(&self, association: &AssociationRef) -> Result<AssociationKey, Refused> {
        let found = self.applied.estate.associations.iter().find(|it| match association {
            AssociationRef::Key(key) => it.key == *key,
            AssociationRef::Id(id) => it.association_id == *id,
        });
        found.map(|it| it.key.clone()).ok_or_else(|| {
            let what = match association {
                AssociationRef::Key(key) => key.to_string(),
                AssociationRef::Id(id) => format!("`{id}`"),
            };
            (format!("there is no association {what}"), "check the name, and that it was scanned".to_owned())
        })
    }

    fn put_association(&mut self, association: &AssociationRef, put: &AssociationPut) -> Result<(), Refused> {
        let key = match (self.known_association(association), association) {
            (Ok(key), _) => key,
            (Err(_), AssociationRef::Key(key)) => return self.make_association(key, put),
            (Err(refused), AssociationRef::Id(_)) => return Err(refused),
        };
        let policy = self.keep(put);
        let resource = Resource::association(&key);
        let known = self.applied.estate.associations.iter_mut().find(|it| it.key == key);
        if let Some(detail) = known.and_then(|it| it.detail.as_mut()) {
            if let Some(role) = &put.role {
                detail.role_arn.clone_from(role);
            }
            if let Some(target) = &put.target_role {
                detail.target_role_arn.clone_from(target);
            }
            if let Some(policy) = policy {
                detail.policy = policy;
            }
            detail.disable_session_tags = put.disable_session_tags.unwrap_or(detail.disable_session_tags);
        } else {
            self.note(format!("{key} was not described, so what the change comes to is not known"));
        }
        self.touch(resource, None, false);
        Ok(())
    }

    /// Keeps the session policy, where one is given.
    fn keep(&mut self, put: &AssociationPut) -> Option<Option<rolecall_iam::Digest>> {
        let documents = &mut self.applied.estate.documents;
        put.session_policy.as_ref().map(|policy| policy.as_ref().map(|it| documents.add(it.clone())))
    }

    fn make_association(&mut self, key: &AssociationKey, put: &AssociationPut) -> Result<(), Refused> {
        let Some(role_arn) = put.role.clone() else {
            let message = format!("there is no association {key}, and a new one needs a role");
            return Err((message, "give the role's ARN".to_owned()));
        };
        let policy = self.keep(put).flatten();
        let AssociationKey { account_id, region, cluster, .. } = key;
        let partition = ArnText(&role_arn).partition().unwrap_or("aws");
        let id = put.id.as_deref().unwrap_or(PROPOSED);
        self.applied.estate.associations.push(Association {
            key: key.clone(),
            association_id: id.to_owned(),
            arn: format!("arn:{partition}:eks:{region}:{account_id}:podidentityassociation/{cluster}/{id}"),
            detail: Some(AssociationDetail {
                role_arn,
                target_role_arn: put.target_role.clone().flatten(),
                external_id: None,
                disable_session_tags: put.disable_session_tags.unwrap_or(false),
                policy,
                tags: Tags::new(),
                created_at: None,
                modified_at: None,
                extra: std::collections::BTreeMap::new(),
            }),
            owner_arn: None,
        });
        self.touch(Resource::association(key), Some(listing_of(key)), true);
        Ok(())
    }

    /// Changes what an organization policy is attached to; `change` says what was not there to be changed.
    fn change_targets(
        &mut self,
        named: &str,
        change: impl FnOnce(&mut Vec<String>) -> Option<String>,
    ) -> Result<(), Refused> {
        let at = self.organization_policy(named)?;
        let Some(policy) = self.applied.estate.org_policies.get_mut(at) else { return Ok(()) };
        if let Some(missing) = change(&mut policy.targets) {
            return Err((missing, "check the id of the target".to_owned()));
        }
        let (account_id, id, kind) = (policy.account_id, policy.id.clone(), policy.kind);
        let resource = Resource::org_policy(&self.applied.estate, account_id, &id, kind);
        self.touch(resource, None, false);
        Ok(())
    }

    fn organization_policy(&self, named: &str) -> Result<usize, Refused> {
        let is_it = |id: &str, name: &str| id == named || name == named || named.ends_with(&format!("/{id}"));
        let policies = &self.applied.estate.org_policies;
        policies.iter().position(|it| is_it(&it.id, &it.name)).ok_or_else(|| {
            let message = format!("there is no service or resource control policy `{named}`");
            (message, "check the id, and that the organization was scanned".to_owned())
        })
    }
}

fn listing_of(key: &AssociationKey) -> Scope {
    let AssociationKey { account_id, region, cluster, .. } = key;
    Scope::of_cluster(*account_id, ScopeKind::Associations, region.clone(), cluster.clone())
}
