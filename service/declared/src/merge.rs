//! Roles with the policies that are declared apart from them.
//!
//! A reference to a declaration becomes its ARN. Refuses to guess which role is meant by a name that is not
//! known.

use crate::Defaults;
use crate::resource::{Found, Item, arn};
use rolecall_estate::declared::{
    AttachedPolicy, Declaration, InlinePolicy, Reference, Resource, Role, RoleName, Text, Unplaced, Unresolved,
};
use rolecall_iam::AccountId;
use std::collections::BTreeMap;

pub(crate) fn merge(found: Vec<Found>, defaults: &Defaults) -> (Vec<Declaration>, Vec<Unplaced>) {
    let arns = arns(&found, defaults);
    let mut declarations: Vec<Declaration> = Vec::new();
    let mut parts = Vec::new();
    for Found { place, format, key, condition, item } in found {
        match item {
            Item::Resource(mut resource) => {
                resolve(&mut resource, &arns);
                declarations.push(Declaration { place, format, key, condition, remembered: None, resource });
            }
            Item::Inline { role, account, policy } => {
                parts.push((place, format, condition, role, account, Part::Inline(policy)));
            }
            Item::Attached { role, account, mut policy } => {
                resolve_reference(&mut policy.policy, &arns);
                parts.push((place, format, condition, role, account, Part::Attached(policy)));
            }
        }
    }
    let mut by_key: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_name: BTreeMap<(Option<AccountId>, String), usize> = BTreeMap::new();
    for (at, declaration) in declarations.iter().enumerate() {
        let Resource::Role(role) = &declaration.resource else { continue };
        by_key.insert(declaration.key.clone(), at);
        if let Some(name) = given(role) {
            by_name.entry((role.account, name.to_owned())).or_insert(at);
        }
    }
    let mut unplaced = Vec::new();
    for (place, format, condition, role, account, part) in parts {
        let name = role.text.as_known().map(|text| text.rsplit('/').next().unwrap_or(text).to_owned());
        let found = role.to.as_ref().and_then(|key| by_key.get(key)).copied();
        let found = found.or_else(|| by_name.get(&(account, name.clone()?)).copied());
        let at = match (found, name) {
            (Some(at), _) => at,
            (None, Some(name)) => {
                let mut role = Role::named(account, RoleName::Given(Text::known(name.clone())));
                role.is_whole = false;
                let resource = Resource::Role(Box::new(role));
                let key = format!("{}/role", place.address);
                declarations.push(Declaration {
                    place: place.clone(),
                    format,
                    key,
                    condition: None,
                    remembered: None,
                    resource,
                });
                let at = declarations.len() - 1;
                by_name.insert((account, name), at);
                at
            }
            (None, None) => {
                let why = role.text.why().cloned().unwrap_or_else(|| Unresolved("the role is not said".to_owned()));
                unplaced.push(Unplaced { place, role: role.text, why });
                continue;
            }
        };
        let Some(Resource::Role(role)) = declarations.get_mut(at).map(|it| &mut it.resource) else { continue };
        match (part, condition) {
            (_, Some(why)) => role.open.push(why),
            (Part::Inline(policy), None) => role.inline.push(policy),
            (Part::Attached(policy), None) => {
                // What was only seen at the last refresh is declared after all.
                role.attached.retain(|it| it.is_certain || it.policy.text != policy.policy.text);
                role.attached.push(policy);
            }
        }
    }
    for declaration in &mut declarations {
        if let Resource::Role(role) = &mut declaration.resource {
            certain_inline(role);
        }
    }
    (declarations, unplaced)
}

enum Part {
    Inline(InlinePolicy),
    Attached(AttachedPolicy),
}

/// A policy that is declared for certain takes the place of what the last refresh saw of the same name.
fn certain_inline(role: &mut Role) {
    let certain: Vec<Text> = role.inline.iter().filter(|it| it.is_certain).map(|it| it.name.clone()).collect();
    role.inline.retain(|it| it.is_certain || !certain.contains(&it.name));
}

fn given(role: &Role) -> Option<&str> {
    match &role.name {
        RoleName::Given(name) => name.as_known(),
        RoleName::Made { .. } => None,
    }
}

/// The ARNs of roles and policies, by the key of their declaration.
fn arns(found: &[Found], defaults: &Defaults) -> BTreeMap<String, Text> {
    let partition = || defaults.partition(None);
    let of = |item: &Item| match item {
        Item::Resource(Resource::Role(role)) => {
            let RoleName::Given(name) = &role.name else { return None };
            Some(arn(&partition(), role.account, "role", role.path.as_ref(), name))
        }
        Item::Resource(Resource::Policy(policy)) => {
            Some(arn(&partition(), policy.account, "policy", Some(&policy.path), &policy.name))
        }
        _ => None,
    };
    found.iter().filter_map(|it| Some((it.key.clone(), of(&it.item)?))).collect()
}

/// Puts the ARN of what is named where the file itself does not tell as much.
fn resolve_reference(reference: &mut Reference, arns: &BTreeMap<String, Text>) {
    let of = reference.to.as_ref().and_then(|key| arns.get(key));
    if let (Some(arn), None) = (of, reference.text.as_known()) {
        reference.text = arn.clone();
    }
}

fn resolve(resource: &mut Resource, arns: &BTreeMap<String, Text>) {
    match resource {
        Resource::Role(role) => {
            role.attached.iter_mut().for_each(|it| resolve_reference(&mut it.policy, arns));
            role.boundary.iter_mut().for_each(|it| resolve_reference(it, arns));
        }
        Resource::Association(association) => {
            resolve_reference(&mut association.role, arns);
            association.target_role.iter_mut().for_each(|it| resolve_reference(it, arns));
        }
        Resource::Policy(_) | Resource::OidcProvider(_) => {}
    }
}
