//! Terraform plans as proposals.
//!
//! Each resource that a plan makes, changes or deletes is a proposal of its own, in an order in which AWS would
//! take them. What Terraform knows only after apply is no proposal that can be applied: what it comes to is
//! unknown, with the reason.

use super::{AssociationPut, AssociationRef, Defaults, Named, Place, Problem, Proposal, Proposed};
use rolecall_declared as declared;
use rolecall_declared::{Action, Item, Planned};
use rolecall_estate::AssociationKey;
use rolecall_estate::declared::{Association, Reference, Resource, Role, RoleName, Text};
use rolecall_iam::{AccountId, Arn, RoleArn};
use std::collections::BTreeMap;

/// Reads a Terraform plan as `terraform show -json` prints it; `None` where the file is none.
#[must_use]
pub fn parse_plan(file: &str, bytes: &[u8], defaults: &Defaults) -> Option<(Vec<Proposed>, Vec<Problem>)> {
    let given = declared::Defaults { account: defaults.account, region: defaults.region.clone(), partition: None };
    let (planned, problems) = declared::plan(file, bytes, &given)?;
    let partition = defaults.region.as_ref().map_or("aws", rolecall_estate::id::Region::partition);
    let mut steps: Vec<(u8, Proposed)> = Vec::new();
    for one in planned {
        let place = Place { file: file.to_owned(), pointer: one.place.address.clone() };
        let of = Of { partition, address: &one.place.address };
        let found = of.proposals(&one);
        steps.extend(found.into_iter().map(|proposal| {
            (rank(&proposal), Proposed { place: place.clone(), proposal, documents: BTreeMap::new() })
        }));
    }
    steps.sort_by_key(|(rank, _)| *rank);
    let problems = problems.into_iter().map(|it| Problem {
        place: Place { file: it.file, pointer: it.field },
        message: format!("line {}: {}", it.line, it.message),
        remedy: it.remedy,
    });
    Some((steps.into_iter().map(|(_, step)| step).collect(), problems.collect()))
}

/// What must be there comes first, and what others rest on goes last.
fn rank(proposal: &Proposal) -> u8 {
    match proposal {
        Proposal::PutManagedPolicy { .. } => 0,
        Proposal::PutRole { .. } | Proposal::PutTrustPolicy { .. } => 1,
        Proposal::PutInlinePolicy { .. }
        | Proposal::Attach { .. }
        | Proposal::Boundary { .. }
        | Proposal::TagRole { .. }
        | Proposal::UntagRole { .. } => 2,
        Proposal::PutAssociation { .. }
        | Proposal::PutOrganizationPolicy { .. }
        | Proposal::MakeOrganizationPolicy { .. }
        | Proposal::AttachOrganizationPolicy { .. }
        | Proposal::Logging { .. }
        | Proposal::Selectors { .. }
        | Proposal::MakeOidcProvider { .. }
        | Proposal::DeleteOidcProvider { .. }
        | Proposal::ClientId { .. }
        | Proposal::Thumbprints { .. }
        | Proposal::Cluster { .. }
        | Proposal::MakeUnit { .. }
        | Proposal::RenameUnit { .. }
        | Proposal::MoveAccount { .. }
        | Proposal::Open { .. } => 3,
        Proposal::DeleteAssociation { .. }
        | Proposal::DetachOrganizationPolicy { .. }
        | Proposal::DeleteOrganizationPolicy { .. }
        | Proposal::DeleteUnit { .. } => 4,
        Proposal::DeleteInlinePolicy { .. } | Proposal::Detach { .. } => 5,
        Proposal::DeleteRole { .. } => 6,
        Proposal::DeleteManagedPolicy { .. } => 7,
    }
}

const NO_ACCOUNT: &str = "the plan does not say of which account it is; say it with --account";

struct Of<'a> {
    partition: &'a str,
    address: &'a str,
}

/// A step, or why nobody knows what it comes to.
type Step = Result<Proposal, String>;

impl Of<'_> {
    fn proposals(&self, one: &Planned) -> Vec<Proposal> {
        let mut steps: Vec<Step> = Vec::new();
        let is_deleted = one.action == Action::Delete;
        for item in &one.after {
            let before = one.before.iter().find(|it| self.identity(it) == self.identity(item));
            self.put(item, before, &mut steps);
        }
        for item in &one.before {
            let stays = one.after.iter().any(|it| self.identity(it) == self.identity(item));
            // Where the new one is not known, it may be the old one.
            let is_open = one.after.iter().any(|it| self.identity(it).is_err());
            if is_deleted || !(stays || is_open) {
                self.delete(item, &mut steps);
            }
        }
        let open = |why| Proposal::Open { resource: self.address.to_owned(), why };
        steps.into_iter().map(|step| step.unwrap_or_else(open)).collect()
    }

    /// What makes an item the same item.
    fn identity(&self, item: &Item) -> Result<String, String> {
        match item {
            Item::Resource(Resource::Role(role)) => self.role_arn(role).map(|arn| arn.to_string()),
            Item::Resource(Resource::Policy(policy)) => {
                self.arn(policy.account, "policy", Some(&policy.path), &policy.name)
            }
            Item::Resource(Resource::Association(association)) => key(association).map(|key| key.to_string()),
            Item::Resource(Resource::OidcProvider(provider)) => resolved("issuer", &provider.issuer),
            Item::Inline { role, policy, .. } => {
                Ok(format!("{} {}", resolved("role", &role.text)?, resolved("name", &policy.name)?))
            }
            Item::Attached { role, policy, .. } => {
                Ok(format!("{} {}", resolved("role", &role.text)?, resolved("policy", &policy.policy.text)?))
            }
        }
    }

    fn arn(&self, account: Option<AccountId>, kind: &str, path: Option<&Text>, name: &Text) -> Result<String, String> {
        let account = account.ok_or(NO_ACCOUNT)?;
        let path = path.map_or_else(|| Ok("/".to_owned()), |path| resolved("path", path))?;
        Ok(format!("arn:{}:iam::{account}:{kind}{path}{}", self.partition, resolved("name", name)?))
    }

    fn role_arn(&self, role: &Role) -> Result<RoleArn, String> {
        let RoleName::Given(name) = &role.name else { return Err("its name is generated".to_owned()) };
        parsed(&self.arn(role.account, "role", role.path.as_ref(), name)?)
    }

    fn put(&self, item: &Item, before: Option<&Item>, steps: &mut Vec<Step>) {
        match item {
            Item::Resource(Resource::Role(role)) => {
                let before = match before {
                    Some(Item::Resource(Resource::Role(before))) => Some(&**before),
                    _ => None,
                };
                self.put_role(role, before, steps);
            }
            Item::Resource(Resource::Policy(policy)) => steps.push((|| {
                let arn = self.arn(policy.account, "policy", Some(&policy.path), &policy.name)?;
                let document = policy.document.clone().map_err(|why| format!("its document: {why}"))?;
                Ok(Proposal::PutManagedPolicy { policy: parsed(&arn)?, document })
            })()),
            Item::Resource(Resource::Association(association)) => steps.push(put_association(association)),
            // Rules read whether a provider is there, and no proposal makes one.
            Item::Resource(Resource::OidcProvider(_)) => {}
            Item::Inline { role, account, policy } => steps.push((|| {
                let document = policy.document.clone().map_err(|why| format!("its document: {why}"))?;
                let name = resolved("name", &policy.name)?;
                Ok(Proposal::PutInlinePolicy { role: named(role, *account)?, name, document })
            })()),
            Item::Attached { role, account, policy } => steps.push((|| {
                let policy = parsed(&resolved("policy", &policy.policy.text)?)?;
                Ok(Proposal::Attach { role: named(role, *account)?, policy })
            })()),
        }
    }

    fn put_role(&self, role: &Role, before: Option<&Role>, steps: &mut Vec<Step>) {
        let arn = match self.role_arn(role) {
            Ok(arn) => arn,
            Err(why) => return steps.push(Err(why)),
        };
        let named = || Named::Arn(arn.arn().clone());
        steps.push(match &role.trust {
            Some(Ok(trust)) => Ok(Proposal::PutRole { role: arn.clone(), trust: trust.clone() }),
            Some(Err(why)) => Err(format!("its trust policy: {why}")),
            None => Err("it has no trust policy".to_owned()),
        });
        let had = before.and_then(|it| it.boundary.as_ref()).map(|it| &it.text);
        if had != role.boundary.as_ref().map(|it| &it.text) {
            let policy = role.boundary.as_ref().map(|it| parsed::<Arn>(&resolved("boundary", &it.text)?)).transpose();
            steps.push(policy.map(|policy| Proposal::Boundary { role: named(), policy }));
        }
        let old = |name: &Text| before.into_iter().flat_map(|it| &it.inline).find(|it| it.name == *name);
        for it in &role.inline {
            let same = |old: &rolecall_estate::declared::InlinePolicy| match (&old.document, &it.document) {
                (Ok(old), Ok(new)) => old.digest == new.digest,
                _ => false,
            };
            if !old(&it.name).is_some_and(same) {
                steps.push((|| {
                    let document = it.document.clone().map_err(|why| format!("an inline policy: {why}"))?;
                    Ok(Proposal::PutInlinePolicy { role: named(), name: resolved("name", &it.name)?, document })
                })());
            }
        }
        for gone in before.into_iter().flat_map(|it| &it.inline) {
            if !role.inline.iter().any(|it| it.name == gone.name) {
                let name = resolved("name", &gone.name);
                steps.push(name.map(|name| Proposal::DeleteInlinePolicy { role: named(), name }));
            }
        }
        let attached = |role: &Role| -> Vec<Text> { role.attached.iter().map(|it| it.policy.text.clone()).collect() };
        let (new, old) = (attached(role), before.map(attached).unwrap_or_default());
        for policy in new.iter().filter(|it| !old.contains(it)) {
            let policy = resolved("policy", policy).and_then(|arn| parsed(&arn));
            steps.push(policy.map(|policy| Proposal::Attach { role: named(), policy }));
        }
        for policy in old.iter().filter(|it| !new.contains(it)) {
            let policy = resolved("policy", policy).and_then(|arn| parsed(&arn));
            steps.push(policy.map(|policy| Proposal::Detach { role: named(), policy }));
        }
    }

    fn delete(&self, item: &Item, steps: &mut Vec<Step>) {
        steps.push(match item {
            Item::Resource(Resource::Role(role)) => {
                self.role_arn(role).map(|arn| Proposal::DeleteRole { role: Named::Arn(arn.arn().clone()) })
            }
            Item::Resource(Resource::Policy(policy)) => {
                let arn = self.arn(policy.account, "policy", Some(&policy.path), &policy.name);
                arn.and_then(|arn| parsed(&arn)).map(|policy| Proposal::DeleteManagedPolicy { policy })
            }
            Item::Resource(Resource::Association(it)) => {
                key(it).map(|key| Proposal::DeleteAssociation { association: AssociationRef::Key(key) })
            }
            Item::Resource(Resource::OidcProvider(_)) => return,
            Item::Inline { role, account, policy } => (|| {
                Ok(Proposal::DeleteInlinePolicy { role: named(role, *account)?, name: resolved("name", &policy.name)? })
            })(),
            Item::Attached { role, account, policy } => (|| {
                let policy = parsed(&resolved("policy", &policy.policy.text)?)?;
                Ok(Proposal::Detach { role: named(role, *account)?, policy })
            })(),
        });
    }
}

fn resolved(what: &str, text: &Text) -> Result<String, String> {
    text.resolved().map_err(|why| format!("its {what}: {why}"))
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no ARN"))
}

fn named(role: &Reference, account: Option<AccountId>) -> Result<Named, String> {
    let text = resolved("role", &role.text)?;
    Ok(match text.parse::<RoleArn>() {
        Ok(arn) => Named::Arn(arn.arn().clone()),
        Err(_) => Named::Name { account, name: text },
    })
}

fn put_association(it: &Association) -> Step {
    let association = AssociationRef::Key(key(it)?);
    let target = it.target_role.as_ref().map(|target| resolved("target role", &target.text)).transpose()?;
    let policy = it.session_policy.clone().transpose().map_err(|why| format!("its session policy: {why}"))?;
    let put = AssociationPut {
        role: Some(resolved("role", &it.role.text)?),
        target_role: Some(target),
        session_policy: Some(policy),
        disable_session_tags: Some(it.disable_session_tags.clone().map_err(|why| why.to_string())?),
        id: None,
    };
    Ok(Proposal::PutAssociation { association, put: Box::new(put) })
}

fn key(it: &Association) -> Result<AssociationKey, String> {
    crate::declared::key(it)
}
