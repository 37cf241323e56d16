//! eksctl's `ClusterConfig`: `iam.podIdentityAssociations`, and those of add-ons.
//!
//! Source: eksctl's documentation, "EKS Pod Identity Associations", and its config file schema. A role that
//! eksctl makes is one of a CloudFormation stack of its own for each association.

use crate::reading::{Reading, document};
use crate::resource::Item;
use crate::tree::{Node, Value};
use rolecall_estate::declared::{
    Association, AttachedPolicy, Format, InlinePolicy, Place, Reference, Resource, Role, RoleName, Text, Unresolved,
};
use rolecall_iam::Document;
use std::collections::BTreeMap;

pub(crate) fn is_config(node: &Node) -> bool {
    let group = node.get("apiVersion").and_then(Node::text);
    group.is_some_and(|group| group.starts_with("eksctl.io/"))
}

pub(crate) fn read(reading: &mut Reading<'_>, root: &Node) {
    let Some(metadata) = root.get("metadata") else {
        return reading.problem(root.line, "metadata", "it is missing", "name the cluster and its region");
    };
    let Some(cluster) = reading.needs(metadata, "name") else { return };
    let region = match metadata.get("region").and_then(Node::text).map(str::parse) {
        Some(Ok(region)) => Some(region),
        Some(Err(_)) => {
            let line = metadata.get("region").map_or(metadata.line, |node| node.line);
            reading.problem(line, "metadata.region", "it is no region of AWS", "give one such as eu-west-1");
            return;
        }
        None => reading.defaults.region.clone(),
    };
    let config = Config { cluster, region };
    if let Some(list) = root.at(&["iam", "podIdentityAssociations"]) {
        config.associations(reading, list, "iam.podIdentityAssociations", None);
    }
    for addon in root.get("addons").map(Node::items).unwrap_or_default() {
        if let Some(list) = addon.get("podIdentityAssociations") {
            let name = addon.get("name").and_then(Node::text).unwrap_or_default();
            config.associations(reading, list, &format!("addons.{name}.podIdentityAssociations"), Some(name));
        }
    }
}

struct Config<'a> {
    cluster: &'a str,
    region: Option<rolecall_estate::id::Region>,
}

impl Config<'_> {
    fn associations(&self, reading: &mut Reading<'_>, list: &Node, field: &str, addon: Option<&str>) {
        if !matches!(list.value, Value::List(_)) {
            return reading.problem(list.line, field, format!("it is {}", list.kind()), "give a list of associations");
        }
        for (index, node) in list.items().iter().enumerate() {
            self.association(reading, node, &format!("{field}[{index}]"), addon);
        }
    }

    fn association(&self, reading: &mut Reading<'_>, node: &Node, field: &str, addon: Option<&str>) {
        let Some(service_account) = reading.needs(node, "serviceAccountName") else { return };
        let namespace = match (node.get("namespace").and_then(Node::text), addon) {
            (Some(namespace), _) => Text::known(namespace),
            (None, Some(addon)) => Text::open(format!("the namespace of the add-on `{addon}` is not in the file")),
            (None, None) => {
                reading.needs(node, "namespace");
                return;
            }
        };
        let place = reading.place(node.line, field);
        let account = reading.defaults.account;
        let arn = |name: &str| node.get(name).and_then(Node::text).filter(|arn| !arn.is_empty()).map(Text::known);
        let role_key = format!("{}#{field}/role", reading.file);
        let role = match arn("roleARN") {
            Some(arn) => Reference::text(arn),
            None => {
                let made = match addon {
                    Some(addon) => format!("addon-{addon}-podidentityrole-{service_account}-"),
                    None => format!("podidentityrole-{namespace}-{service_account}-"),
                };
                let role = self.role(node, &made, account, &place);
                let text = match &role.name {
                    RoleName::Given(name) => {
                        let partition = reading.defaults.partition(self.region.as_ref());
                        crate::resource::arn(&partition, account, "role", None, name)
                    }
                    RoleName::Made { .. } => Text::open("eksctl makes the role's name"),
                };
                let item = Item::Resource(Resource::Role(Box::new(role)));
                reading.found(place.clone(), Format::Eksctl, role_key.clone(), None, item);
                Reference { text, to: Some(role_key) }
            }
        };
        let policy = node.get("policy").map(|node| document(node, &mut |_| None));
        let association = Association {
            account,
            region: self.region.clone(),
            cluster: Text::known(self.cluster),
            namespace,
            service_account: Text::known(service_account),
            role,
            target_role: arn("targetRoleARN").map(Reference::text),
            disable_session_tags: Ok(node.get("disableSessionTags").and_then(Node::flag).unwrap_or(false)),
            session_policy: policy,
            tags: tags(node),
        };
        let key = format!("{}#{field}", reading.file);
        reading.found(place, Format::Eksctl, key, None, Item::Resource(Resource::Association(Box::new(association))));
    }

    fn role(&self, node: &Node, made: &str, account: Option<rolecall_iam::AccountId>, place: &Place) -> Role {
        let cluster = self.cluster;
        let name = match node.get("roleName").and_then(Node::text).filter(|name| !name.is_empty()) {
            Some(name) => RoleName::Given(Text::known(name)),
            None => RoleName::Made { tags: Vec::new(), contains: format!("eksctl-{cluster}-{made}") },
        };
        let mut role = Role::named(account, name);
        role.path = Some(Text::known("/"));
        role.trust = Some(Ok(Document::new(TRUST)));
        for policy in node.get("permissionPolicyARNs").map(Node::items).unwrap_or_default() {
            let Some(policy) = policy.text() else { continue };
            let policy = Reference::text(Text::known(policy));
            role.attached.push(AttachedPolicy { policy, place: place.clone(), is_certain: true });
        }
        if let Some(inline) = node.get("permissionPolicy") {
            role.inline.push(InlinePolicy {
                name: Text::open("eksctl makes the policy's name"),
                document: document(inline, &mut |_| None),
                place: Place { line: inline.line, ..place.clone() },
                is_certain: true,
            });
        }
        let known = node.get("wellKnownPolicies").map(Node::entries).unwrap_or_default();
        let known: Vec<&str> =
            known.iter().filter(|(_, node)| node.flag() == Some(true)).map(|(name, _)| name.as_str()).collect();
        if !known.is_empty() {
            let names = known.join(", ");
            role.open.push(Unresolved(format!("what eksctl attaches for the well-known policies {names} is its own")));
        }
        let boundary = node.get("permissionsBoundaryARN").and_then(Node::text);
        role.boundary = boundary.map(|arn| Reference::text(Text::known(arn)));
        role.tags = tags(node);
        role
    }
}

/// What eksctl gives the roles that it makes (eksctl's documentation, "EKS Pod Identity Associations").
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

fn tags(node: &Node) -> BTreeMap<String, Text> {
    let entries = node.get("tags").map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|(key, node)| Some((key.clone(), Text::known(node.text()?)))).collect()
}
