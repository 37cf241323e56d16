//! Kubernetes manifests: AWS Controllers for Kubernetes (ACK), and Crossplane's AWS providers.
//!
//! Source: the reference of ACK's `iam` and `eks` controllers (`spec`, `…Ref.from`, `status.ackResourceMetadata`), and
//! of Crossplane's providers (`spec.forProvider`, `…Ref`, `crossplane.io/external-name`). What a template tool
//! still has to fill in (`$NAME`, `${NAME}`, `{{ … }}`) stays open.

use crate::reading::{Reading, document, document_of};
use crate::resource::Item;
use crate::tree::{Node, Value};
use rolecall_estate::declared::{
    Association, AttachedPolicy, Format, InlinePolicy, Known, ManagedPolicy, OidcProvider, Place, Reference, Resource,
    Role, RoleName, Text, Unresolved,
};
use rolecall_estate::id::Region;
use rolecall_iam::{AccountId, Arn, Document};
use std::collections::BTreeMap;

/// The format of a manifest, where it is one that is read.
pub(crate) fn format(node: &Node) -> Option<Format> {
    let group = node.get("apiVersion")?.text()?.split('/').next()?;
    let is_ours = |group: &str| group.starts_with("iam.") || group.starts_with("eks.");
    match group {
        group if group.ends_with(".services.k8s.aws") && is_ours(group) => Some(Format::Ack),
        group
            if is_ours(group)
                && [".aws.upbound.io", ".aws.m.upbound.io", ".aws.crossplane.io"]
                    .iter()
                    .any(|it| group.ends_with(it)) =>
        {
            Some(Format::Crossplane)
        }
        _ => None,
    }
}

pub(crate) fn read(reading: &mut Reading<'_>, root: &Node, format: Format) {
    let Some(kind) = reading.needs(root, "kind") else { return };
    let read = ["Role", "RolePolicy", "RolePolicyAttachment", "Policy", "PodIdentityAssociation", "Addon"];
    if !read.contains(&kind) && !["OpenIDConnectProvider"].contains(&kind) {
        return;
    }
    let Some(metadata) = root.get("metadata") else {
        return reading.problem(root.line, "metadata", "it is missing", "give the manifest its name");
    };
    let name = metadata.get("name").or_else(|| metadata.get("generateName")).and_then(Node::text);
    let name = name.unwrap_or_default();
    let namespace = metadata.get("namespace").and_then(Node::text).unwrap_or_default();
    let path: &[&str] = if format == Format::Ack { &["spec"] } else { &["spec", "forProvider"] };
    let Some(spec) = root.at(path) else {
        return reading.problem(root.line, &path.join("."), "it is missing", "give what the resource has");
    };
    if is_observed(root, metadata) {
        return;
    }
    let address = match namespace {
        "" => format!("{kind}/{name}"),
        namespace => format!("{kind}/{namespace}/{name}"),
    };
    let manifest = Manifest {
        format,
        metadata,
        spec,
        name,
        namespace,
        place: reading.place(root.line, &address),
        account: account(root, metadata).or(reading.defaults.account),
        region: region(root, metadata, spec).or_else(|| reading.defaults.region.clone()),
    };
    let key = manifest.key(kind, namespace, name);
    for item in manifest.items(kind) {
        reading.found(manifest.place.clone(), format, key.clone(), None, item);
    }
}

/// Whether the controller only looks at the resource.
fn is_observed(root: &Node, metadata: &Node) -> bool {
    let policies = root.at(&["spec", "managementPolicies"]).map(Node::items).unwrap_or_default();
    let only_observes = !policies.is_empty() && policies.iter().all(|it| it.text() == Some("Observe"));
    let read_only = metadata.at(&["annotations", "services.k8s.aws/read-only"]);
    only_observes || read_only.and_then(Node::flag) == Some(true)
}

fn account(root: &Node, metadata: &Node) -> Option<AccountId> {
    let stated = root.at(&["status", "ackResourceMetadata", "ownerAccountID"]);
    let stated = stated.or_else(|| metadata.at(&["annotations", "services.k8s.aws/owner-account-id"]));
    let arn =
        root.at(&["status", "atProvider", "arn"]).or_else(|| root.at(&["status", "atProvider", "associationArn"]));
    let of_arn = || arn?.text()?.parse::<Arn>().ok()?.account_id();
    stated.and_then(|node| node.text()?.parse().ok()).or_else(of_arn)
}

fn region(root: &Node, metadata: &Node, spec: &Node) -> Option<Region> {
    let places = [
        spec.get("region"),
        root.at(&["status", "ackResourceMetadata", "region"]),
        metadata.at(&["annotations", "services.k8s.aws/region"]),
    ];
    places.into_iter().flatten().find_map(|node| node.text()?.parse().ok())
}

/// A text, unless a template tool still has to fill in something.
fn filled(text: &str) -> Text {
    match placeholder(text) {
        Some(name) => Text::open(format!("`{name}` is to be filled in")),
        None => Text::known(text),
    }
}

fn placeholder(text: &str) -> Option<&str> {
    if let Some((_, after)) = text.split_once("{{") {
        return Some(after.split("}}").next().unwrap_or(after).trim());
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after;
        let (name, is_braced) = match after.strip_prefix('{') {
            Some(inside) => (inside.split('}').next().unwrap_or_default(), true),
            None => {
                let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
                (after.get(..end).unwrap_or_default(), false)
            }
        };
        // The variables of IAM have a colon, or are one of `${*}`, `${?}`, `${$}`.
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.contains(':');
        if is_name && (is_braced || name.len() > 1) {
            return Some(name);
        }
    }
    None
}

struct Manifest<'a> {
    format: Format,
    metadata: &'a Node,
    spec: &'a Node,
    name: &'a str,
    namespace: &'a str,
    place: Place,
    account: Option<AccountId>,
    region: Option<Region>,
}

impl Manifest<'_> {
    /// What other manifests name this one by.
    fn key(&self, kind: &str, namespace: &str, name: &str) -> String {
        format!("{}:{kind}:{namespace}:{name}", self.format.as_str())
    }

    fn items(&self, kind: &str) -> Vec<Item> {
        let account = self.account;
        match (self.format, kind) {
            (_, "Role") => vec![Item::Resource(Resource::Role(Box::new(self.role())))],
            (_, "Policy") => {
                let name = self.resource_name();
                let path = self.text("path").unwrap_or_else(|| Text::known("/"));
                let document = self.document(&["policyDocument", "policy", "document"]);
                let document = document.unwrap_or_else(|| Err(missing("its document")));
                vec![Item::Resource(Resource::Policy(ManagedPolicy { account, name, path, document }))]
            }
            (_, "PodIdentityAssociation") => {
                let named = |node: &Node| filled(node.text().unwrap_or_default());
                vec![self.association(
                    self.named("clusterName", "cluster", "Cluster"),
                    self.spec.get("namespace").map_or_else(|| Text::open(missing("`namespace`").0), named),
                    self.spec,
                )]
            }
            (_, "Addon") => self.addon(),
            (Format::Crossplane, "RolePolicy") => {
                // The external name is `role:policy`.
                let name = self.external_name();
                let policy = name.split_once(':').map_or(name, |(_, policy)| policy);
                let document = self.document(&["policy"]).unwrap_or_else(|| Err(missing("`policy`")));
                let policy =
                    InlinePolicy { name: filled(policy), document, place: self.place.clone(), is_certain: true };
                vec![Item::Inline { role: self.role_reference(), account, policy }]
            }
            (Format::Crossplane, "RolePolicyAttachment") => {
                let policy = self.reference(&["policyArn"], "Policy", "policy");
                let policy = AttachedPolicy { policy, place: self.place.clone(), is_certain: true };
                vec![Item::Attached { role: self.role_reference(), account, policy }]
            }
            (_, "OpenIDConnectProvider") => {
                let url = self.text("url").unwrap_or_else(|| Text::open(missing("`url`").0));
                let issuer = match url.as_known() {
                    Some(url) => Text::known(url.trim_start_matches("https://")),
                    None => url,
                };
                vec![Item::Resource(Resource::OidcProvider(OidcProvider { account, issuer }))]
            }
            _ => Vec::new(),
        }
    }

    fn text(&self, name: &str) -> Option<Text> {
        self.spec.get(name).and_then(Node::text).filter(|text| !text.is_empty()).map(filled)
    }

    /// The name that the resource has in AWS.
    fn resource_name(&self) -> Text {
        match self.format {
            Format::Ack => self.text("name").unwrap_or_else(|| filled(self.name)),
            _ => filled(self.external_name()),
        }
    }

    fn external_name(&self) -> &str {
        let given = self.metadata.at(&["annotations", "crossplane.io/external-name"]).and_then(Node::text);
        given.unwrap_or(self.name)
    }

    fn document(&self, names: &[&str]) -> Option<Known<Document>> {
        let node = names.iter().find_map(|name| self.spec.get(name))?;
        Some(document_at(node))
    }

    /// A name that is given, or that of the resource which is named in its place.
    fn named(&self, field: &str, stem: &str, kind: &str) -> Text {
        if let Some(text) = self.text(field) {
            return text;
        }
        let target = self.target(&[stem, field], kind);
        match target {
            // The name in AWS is that of the manifest, unless that says another one.
            Some(_) => Text::open(format!("`{field}` is that of a manifest that is named")),
            None => Text::open(missing(&format!("`{field}`")).0),
        }
    }

    /// The key of the manifest that `…Ref` names.
    fn target(&self, stems: &[&str], kind: &str) -> Option<String> {
        let reference = stems.iter().find_map(|stem| self.spec.get(&format!("{stem}Ref")))?;
        self.target_of(reference, kind)
    }

    fn target_of(&self, reference: &Node, kind: &str) -> Option<String> {
        let from = reference.get("from").unwrap_or(reference);
        let name = from.get("name")?.text()?;
        let namespace = from.get("namespace").and_then(Node::text).unwrap_or(self.namespace);
        Some(self.key(kind, namespace, name))
    }

    /// A role or policy, by one of these fields or by what `…Ref` names.
    fn reference(&self, fields: &[&str], kind: &str, stem: &str) -> Reference {
        if let Some(text) = fields.iter().find_map(|field| self.text(field)) {
            return Reference::text(text);
        }
        let stems: Vec<&str> = fields.iter().copied().chain([stem]).collect();
        let what = fields.first().copied().unwrap_or(stem);
        match self.target(&stems, kind) {
            Some(to) => Reference {
                text: Text::open(format!("`{what}` is that of a manifest that is not among the files")),
                to: Some(to),
            },
            None if stems.iter().any(|stem| self.spec.get(&format!("{stem}Selector")).is_some()) => {
                Reference::text(Text::open(format!("`{what}` is selected by labels")))
            }
            None => Reference::text(Text::open(missing(&format!("`{what}`")).0)),
        }
    }

    fn role_reference(&self) -> Reference {
        self.reference(&["role", "roleName"], "Role", "role")
    }

    fn role(&self) -> Role {
        let mut role = Role::named(self.account, RoleName::Given(self.resource_name()));
        role.path = Some(self.text("path").unwrap_or_else(|| Text::known("/")));
        role.trust = self.document(&["assumeRolePolicyDocument", "assumeRolePolicy"]);
        for field in ["policies", "managedPolicyArns"] {
            for node in self.spec.get(field).map(Node::items).unwrap_or_default() {
                let Some(text) = node.text() else { continue };
                self.attach(&mut role, Reference::text(filled(text)));
            }
        }
        for node in self.spec.get("policyRefs").map(Node::items).unwrap_or_default() {
            let text = Text::open("it is that of a manifest that is not among the files");
            self.attach(&mut role, Reference { text, to: self.target_of(node, "Policy") });
        }
        // ACK: a map of documents; Crossplane: a list of names and documents.
        for (name, node) in self.spec.get("inlinePolicies").map(Node::entries).unwrap_or_default() {
            let place = Place { line: node.line, ..self.place.clone() };
            let (name, document) = (filled(name), document_at(node));
            role.inline.push(InlinePolicy { name, document, place, is_certain: true });
        }
        for node in self.spec.get("inlinePolicy").map(Node::items).unwrap_or_default() {
            let name = node.get("name").and_then(Node::text).map_or_else(|| Text::open(missing("`name`").0), filled);
            let document = node.get("policy").map_or_else(|| Err(missing("`policy`")), document_at);
            let place = Place { line: node.line, ..self.place.clone() };
            role.inline.push(InlinePolicy { name, document, place, is_certain: true });
        }
        let has_boundary = ["permissionsBoundary", "permissionsBoundaryRef", "permissionsBoundarySelector"];
        if has_boundary.iter().any(|name| self.spec.get(name).is_some()) {
            role.boundary = Some(self.reference(&["permissionsBoundary"], "Policy", "permissionsBoundary"));
        }
        role.tags = self.tags(self.spec);
        role
    }

    fn attach(&self, role: &mut Role, policy: Reference) {
        role.attached.push(AttachedPolicy { policy, place: self.place.clone(), is_certain: true });
    }

    fn tags(&self, spec: &Node) -> BTreeMap<String, Text> {
        let Some(tags) = spec.get("tags") else { return BTreeMap::new() };
        let of_map = tags.entries().iter().filter_map(|(key, node)| Some((key.clone(), filled(node.text()?))));
        let of_list = tags
            .items()
            .iter()
            .filter_map(|node| Some((node.get("key")?.text()?.to_owned(), filled(node.get("value")?.text()?))));
        of_map.chain(of_list).collect()
    }

    fn association(&self, cluster: Text, namespace: Text, spec: &Node) -> Item {
        let own = Manifest { spec, place: self.place.clone(), region: self.region.clone(), ..*self };
        let has_target = ["targetRoleARN", "targetRoleArn", "targetRoleRef", "targetRoleArnRef"];
        let target = has_target.iter().any(|name| spec.get(name).is_some());
        let disable_session_tags = match spec.get("disableSessionTags") {
            None => Ok(false),
            Some(node) => node.flag().ok_or_else(|| Unresolved("`disableSessionTags` is to be filled in".to_owned())),
        };
        let named = |name: &str| own.text(name);
        Item::Resource(Resource::Association(Box::new(Association {
            account: self.account,
            region: self.region.clone(),
            cluster,
            namespace,
            service_account: named("serviceAccount").unwrap_or_else(|| Text::open(missing("`serviceAccount`").0)),
            role: own.reference(&["roleARN", "roleArn"], "Role", "role"),
            target_role: target.then(|| own.reference(&["targetRoleARN", "targetRoleArn"], "Role", "targetRole")),
            disable_session_tags,
            session_policy: own.document(&["policy"]),
            tags: own.tags(spec),
        })))
    }

    /// The associations that an add-on owns. Their namespace is the add-on's own.
    fn addon(&self) -> Vec<Item> {
        let list = ["podIdentityAssociations", "podIdentityAssociation"].iter().find_map(|name| self.spec.get(name));
        let cluster = self.named("clusterName", "cluster", "Cluster");
        let addon = self.text("name").or_else(|| self.text("addonName")).unwrap_or_else(|| filled(self.name));
        let namespace = Text::open(format!("the namespace of the add-on `{addon}` is not in the file"));
        let items = list.map(Node::items).unwrap_or_default();
        items.iter().map(|node| self.association(cluster.clone(), namespace.clone(), node)).collect()
    }
}

fn document_at(node: &Node) -> Known<Document> {
    match &node.value {
        Value::Text(text) => match placeholder(text) {
            Some(name) => Err(Unresolved(format!("`{name}` is to be filled in"))),
            None => document_of(text),
        },
        _ => document(node, &mut |node| {
            node.text().and_then(placeholder).map(|name| Err(Unresolved(format!("`{name}` is to be filled in"))))
        }),
    }
}

fn missing(what: &str) -> Unresolved {
    Unresolved(format!("{what} is missing"))
}
