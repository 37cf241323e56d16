//! CloudFormation templates, in JSON and in YAML with short tags.
//!
//! Source: AWS CloudFormation User Guide, "Intrinsic function reference" and "Pseudo parameters reference", and the
//! template reference of each resource type. What a function gives only when the stack is deployed stays open.

use crate::Defaults;
use crate::reading::{Reading, document, document_of};
use crate::resource::{Item, arn};
use crate::tree::{Node, Value};
use rolecall_estate::declared::{
    Association, AttachedPolicy, Format, InlinePolicy, Known, ManagedPolicy, OidcProvider, Place, Reference, Resource,
    Role, RoleName, Text, Unresolved,
};
use rolecall_iam::Document;
use std::collections::BTreeMap;

/// How deep functions stand in each other at most.
const DEEPEST: usize = 16;

pub(crate) fn is_template(node: &Node) -> bool {
    let typed = |(_, node): &(String, Node)| node.get("Type").and_then(Node::text).is_some_and(|it| it.contains("::"));
    node.get("Resources").is_some_and(|resources| resources.entries().iter().any(typed))
        || node.get("AWSTemplateFormatVersion").is_some()
}

pub(crate) fn read(reading: &mut Reading<'_>, root: &Node) {
    let Some(resources) = root.get("Resources") else { return };
    if !matches!(resources.value, Value::Map(_)) {
        reading.problem(resources.line, "Resources", format!("it is {}", resources.kind()), "give a map of resources");
        return;
    }
    let template = Template { file: reading.file, defaults: reading.defaults, root, resources };
    for (id, node) in resources.entries() {
        if id.starts_with("Fn::ForEach") {
            let why = "what a loop makes is known when the template is deployed";
            reading.problem(node.line, id, why, "give the processed template (`aws cloudformation get-template`)");
            continue;
        }
        let Some(kind) = reading.needs(node, "Type") else { continue };
        let place = reading.place(node.line, &format!("Resources.{id}"));
        let condition = node
            .get("Condition")
            .and_then(Node::text)
            .map(|name| Unresolved(format!("whether it is there depends on the condition `{name}`")));
        let Some(items) = template.items(id, kind, node, &place) else { continue };
        for item in items {
            let key = template.key(id);
            reading.found(place.clone(), Format::CloudFormation, key, condition.clone(), item);
        }
    }
}

struct Template<'a> {
    file: &'a str,
    defaults: &'a Defaults,
    root: &'a Node,
    resources: &'a Node,
}

/// A function and its argument: `!Ref x`, or `{"Ref": x}`.
fn function(node: &Node) -> Option<(&str, &Node)> {
    match &node.value {
        Value::Tagged(name, argument) => Some((name, argument)),
        Value::Map(entries) => match entries.as_slice() {
            [(name, argument)] if name == "Ref" => Some(("Ref", argument)),
            [(name, argument)] => name.strip_prefix("Fn::").map(|name| (name, argument)),
            _ => None,
        },
        _ => None,
    }
}

impl Template<'_> {
    fn key(&self, id: &str) -> String {
        format!("{}#{id}", self.file)
    }

    fn resource(&self, id: &str) -> Option<(&str, &Node)> {
        let node = self.resources.get(id)?;
        Some((node.get("Type")?.text()?, node))
    }

    fn items(&self, id: &str, kind: &str, node: &Node, place: &Place) -> Option<Vec<Item>> {
        let empty = Node { line: node.line, value: Value::Map(Vec::new()) };
        let properties = Properties { template: self, node: node.get("Properties").unwrap_or(&empty), place };
        let account = self.defaults.account;
        Some(match kind {
            "AWS::IAM::Role" => vec![Item::Resource(Resource::Role(Box::new(properties.role(id))))],
            "AWS::IAM::RolePolicy" => {
                let name = properties.needed("PolicyName");
                let document = properties.document("PolicyDocument").unwrap_or_else(|| Err(missing("PolicyDocument")));
                let policy = InlinePolicy { name, document, place: place.clone(), is_certain: true };
                vec![Item::Inline { role: properties.reference("RoleName"), account, policy }]
            }
            "AWS::IAM::Policy" => {
                let name = properties.needed("PolicyName");
                let document = properties.document("PolicyDocument").unwrap_or_else(|| Err(missing("PolicyDocument")));
                let policy = InlinePolicy { name, document, place: place.clone(), is_certain: true };
                let roles = properties.references("Roles");
                roles.into_iter().map(|role| Item::Inline { role, account, policy: policy.clone() }).collect()
            }
            "AWS::IAM::ManagedPolicy" => {
                let own = Reference { text: self.policy_arn(id, 0), to: Some(self.key(id)) };
                let policy = AttachedPolicy { policy: own, place: place.clone(), is_certain: true };
                let attached = properties.references("Roles");
                let attached =
                    attached.into_iter().map(|role| Item::Attached { role, account, policy: policy.clone() });
                let name = properties.text("ManagedPolicyName").unwrap_or_else(|| made(id));
                let path = properties.text("Path").unwrap_or_else(|| Text::known("/"));
                let document = properties.document("PolicyDocument").unwrap_or_else(|| Err(missing("PolicyDocument")));
                let own = ManagedPolicy { account, name, path, document };
                std::iter::once(Item::Resource(Resource::Policy(own))).chain(attached).collect()
            }
            "AWS::EKS::PodIdentityAssociation" => {
                vec![Item::Resource(Resource::Association(Box::new(properties.association())))]
            }
            "AWS::IAM::OIDCProvider" => {
                let url = properties.needed("Url");
                let issuer = match url.as_known() {
                    Some(url) => Text::known(url.trim_start_matches("https://")),
                    None => url,
                };
                vec![Item::Resource(Resource::OidcProvider(OidcProvider { account, issuer }))]
            }
            _ => return None,
        })
    }

    /// A value as a text; `None`: it is left out (`AWS::NoValue`).
    fn text(&self, node: &Node, depth: usize) -> Option<Text> {
        if depth > DEEPEST {
            return Some(Text::open(format!("functions stand in each other deeper than {DEEPEST}")));
        }
        if let Some(text) = node.text() {
            return Some(Text::known(text));
        }
        let Some((name, argument)) = function(node) else {
            return Some(match &node.value {
                Value::Bool(flag) => Text::known(flag.to_string()),
                _ => Text::open(format!("it is {}, and no text", node.kind())),
            });
        };
        match name {
            "Ref" => self.reference(argument.text().unwrap_or_default(), depth),
            "GetAtt" => {
                let parts: Vec<&str> = match argument.text() {
                    Some(text) => text.splitn(2, '.').collect(),
                    None => argument.items().iter().filter_map(Node::text).collect(),
                };
                match parts.as_slice() {
                    [id, attribute] => Some(self.attribute(id, attribute, depth)),
                    _ => Some(Text::open("`GetAtt` names no attribute")),
                }
            }
            "Sub" => Some(self.sub(argument, depth)),
            "Join" => {
                let [delimiter, list] = argument.items() else { return Some(Text::open("`Join` has no list")) };
                let delimiter = Text::known(delimiter.text().unwrap_or_default());
                if !matches!(list.value, Value::List(_)) {
                    return Some(Text::open("`Join` takes a list that is known when it is deployed"));
                }
                let mut parts = Vec::new();
                for part in list.items().iter().filter_map(|item| self.text(item, depth + 1)) {
                    if !parts.is_empty() {
                        parts.push(delimiter.clone());
                    }
                    parts.push(part);
                }
                Some(Text::joined(parts))
            }
            "FindInMap" => Some(self.find_in_map(argument, depth)),
            other => Some(Text::open(format!("`{other}` is decided when it is deployed"))),
        }
    }

    fn find_in_map(&self, argument: &Node, depth: usize) -> Text {
        let keys: Vec<Text> = argument.items().iter().filter_map(|item| self.text(item, depth + 1)).collect();
        if let Some(why) = keys.iter().find_map(Text::why) {
            return Text::open(why.0.clone());
        }
        let keys: Vec<&str> = keys.iter().filter_map(Text::as_known).collect();
        let found = self.root.get("Mappings").and_then(|maps| maps.at(&keys)).filter(|_| keys.len() == 3);
        match found.and_then(Node::text) {
            Some(text) => Text::known(text),
            None => Text::open("`FindInMap` names no text of the template's mappings"),
        }
    }

    fn reference(&self, name: &str, depth: usize) -> Option<Text> {
        let Defaults { account, region, .. } = self.defaults;
        Some(match name {
            "AWS::NoValue" => return None,
            "AWS::AccountId" => {
                account.map_or_else(|| Text::open("the account is not said"), |id| Text::known(id.to_string()))
            }
            "AWS::Region" => {
                let region = region.as_ref().map(|region| Text::known(region.as_str()));
                region.unwrap_or_else(|| Text::open("the region is not said"))
            }
            "AWS::Partition" => self.defaults.partition(None),
            "AWS::URLSuffix" => match self.defaults.partition(None).as_known() {
                Some("aws-cn") => Text::known("amazonaws.com.cn"),
                Some(_) => Text::known("amazonaws.com"),
                None => Text::open("the region is not said"),
            },
            name => match self.resource(name) {
                Some(("AWS::IAM::Role", _)) => self.role_name(name, depth),
                Some(("AWS::IAM::ManagedPolicy", _)) => self.policy_arn(name, depth),
                Some(("AWS::EKS::Cluster", node)) => match node.at(&["Properties", "Name"]) {
                    Some(name) => return self.text(name, depth + 1),
                    None => made(name),
                },
                Some(_) => Text::open(format!("what `{name}` is called is known when it is deployed")),
                None if self.root.at(&["Parameters", name]).is_some() => {
                    Text::open(format!("the value of the parameter `{name}` is not in the template"))
                }
                None => Text::open(format!("`{name}` is known when it is deployed")),
            },
        })
    }

    fn attribute(&self, id: &str, attribute: &str, depth: usize) -> Text {
        match (self.resource(id), attribute) {
            (Some(("AWS::IAM::Role", _)), "Arn") => self.role_arn(id, depth),
            (Some(("AWS::IAM::ManagedPolicy", _)), "PolicyArn") => self.policy_arn(id, depth),
            _ => Text::open(format!("`{id}.{attribute}` is known when it is deployed")),
        }
    }

    fn sub(&self, argument: &Node, depth: usize) -> Text {
        let (template, values) = match argument.items() {
            [template, values] => (template.text(), Some(values)),
            _ => (argument.text(), None),
        };
        let Some(mut rest) = template else { return Text::open("`Sub` has no text") };
        let mut parts = Vec::new();
        while let Some((before, after)) = rest.split_once("${") {
            parts.push(Text::known(before));
            let Some((name, left)) = after.split_once('}') else {
                parts.push(Text::known("${"));
                rest = after;
                continue;
            };
            rest = left;
            // `${!Name}` is the text `${Name}`.
            if let Some(literal) = name.strip_prefix('!') {
                parts.push(Text::known(format!("${{{literal}}}")));
                continue;
            }
            let name = name.trim();
            parts.extend(match (values.and_then(|values| values.get(name)), name.split_once('.')) {
                (Some(value), _) => self.text(value, depth + 1),
                (None, Some((id, attribute))) => Some(self.attribute(id, attribute, depth)),
                (None, None) => self.reference(name, depth),
            });
        }
        parts.push(Text::known(rest));
        Text::joined(parts)
    }

    /// A property of a resource of the template.
    fn property(&self, id: &str, name: &str, depth: usize) -> Option<Text> {
        let node = self.resources.get(id)?.at(&["Properties", name])?;
        self.text(node, depth + 1)
    }

    fn role_name(&self, id: &str, depth: usize) -> Text {
        self.property(id, "RoleName", depth).unwrap_or_else(|| made(id))
    }

    fn role_arn(&self, id: &str, depth: usize) -> Text {
        let path = self.property(id, "Path", depth);
        let partition = self.defaults.partition(None);
        arn(&partition, self.defaults.account, "role", path.as_ref(), &self.role_name(id, depth))
    }

    fn policy_arn(&self, id: &str, depth: usize) -> Text {
        let name = self.property(id, "ManagedPolicyName", depth).unwrap_or_else(|| made(id));
        let path = self.property(id, "Path", depth);
        arn(&self.defaults.partition(None), self.defaults.account, "policy", path.as_ref(), &name)
    }

    /// A role or policy, by its text and, where it is one of the template, by its declaration.
    fn reference_of(&self, node: &Node) -> Option<Reference> {
        let text = self.text(node, 0)?;
        let id = function(node).and_then(|(name, argument)| match name {
            "Ref" => argument.text(),
            "GetAtt" => match argument.text() {
                Some(text) => text.split('.').next(),
                None => argument.items().first().and_then(Node::text),
            },
            "Sub" => {
                let inside = argument.text()?.strip_prefix("${")?.strip_suffix('}')?;
                inside.split('.').next()
            }
            _ => None,
        });
        let to = id.filter(|id| self.resources.get(id).is_some()).map(|id| self.key(id));
        Some(Reference { text, to })
    }
}

/// The name that CloudFormation makes where none is given: the stack's, the logical id, and a random text.
fn made(id: &str) -> Text {
    Text::open(format!("CloudFormation makes the name of `{id}`"))
}

fn missing(field: &str) -> Unresolved {
    Unresolved(format!("`{field}` is missing"))
}

struct Properties<'t, 'a> {
    template: &'t Template<'a>,
    node: &'t Node,
    place: &'t Place,
}

impl Properties<'_, '_> {
    fn text(&self, name: &str) -> Option<Text> {
        self.template.text(self.node.get(name)?, 0)
    }

    fn needed(&self, name: &str) -> Text {
        self.text(name).unwrap_or_else(|| Text::open(missing(name).0))
    }

    fn reference(&self, name: &str) -> Reference {
        let node = self.node.get(name).and_then(|node| self.template.reference_of(node));
        node.unwrap_or_else(|| Reference::text(Text::open(missing(name).0)))
    }

    /// The items of a list; one open item where the list itself is a function.
    fn references(&self, name: &str) -> Vec<Reference> {
        let Some(node) = self.node.get(name) else { return Vec::new() };
        match &node.value {
            Value::List(items) => items.iter().filter_map(|item| self.template.reference_of(item)).collect(),
            _ => match self.template.text(node, 0) {
                None => Vec::new(),
                Some(text) => {
                    let why = text.why().map_or_else(|| format!("`{name}` is no list"), |why| why.0.clone());
                    vec![Reference::text(Text::open(why))]
                }
            },
        }
    }

    fn document(&self, name: &str) -> Option<Known<Document>> {
        self.document_of(self.node.get(name)?)
    }

    fn document_of(&self, node: &Node) -> Option<Known<Document>> {
        if let Some(text) = node.text() {
            return Some(document_of(text));
        }
        if function(node).is_some() {
            return Some(self.template.text(node, 0)?.resolved().and_then(|text| document_of(&text)));
        }
        let mut resolve = |node: &Node| function(node).map(|_| Ok(self.template.text(node, 0)));
        Some(document(node, &mut resolve))
    }

    fn tags(&self) -> BTreeMap<String, Text> {
        let entries = self.node.get("Tags").map(Node::items).unwrap_or_default();
        let tag = |node: &Node| {
            let key = self.template.text(node.get("Key")?, 0)?;
            Some((key.as_known()?.to_owned(), self.template.text(node.get("Value")?, 0)?))
        };
        entries.iter().filter_map(tag).collect()
    }

    fn role(&self, id: &str) -> Role {
        let name = match self.text("RoleName") {
            Some(name) => RoleName::Given(name),
            None => RoleName::Made {
                tags: vec![("aws:cloudformation:logical-id".to_owned(), id.to_owned())],
                contains: format!("-{id}-"),
            },
        };
        let mut role = Role::named(self.template.defaults.account, name);
        role.path = Some(self.text("Path").unwrap_or_else(|| Text::known("/")));
        role.trust = self.document("AssumeRolePolicyDocument");
        let place = || self.place.clone();
        for policy in self.references("ManagedPolicyArns") {
            role.attached.push(AttachedPolicy { policy, place: place(), is_certain: true });
        }
        let inline = self.node.get("Policies");
        match inline.map(|node| &node.value) {
            Some(Value::List(items)) => {
                for node in items {
                    let Some(name) = node.get("PolicyName") else {
                        if self.template.text(node, 0).is_some() {
                            role.open.push(Unresolved("an inline policy is decided when it is deployed".to_owned()));
                        }
                        continue;
                    };
                    let document = node.get("PolicyDocument").and_then(|node| self.document_of(node));
                    role.inline.push(InlinePolicy {
                        name: self.template.text(name, 0).unwrap_or_else(|| Text::open(missing("PolicyName").0)),
                        document: document.unwrap_or_else(|| Err(missing("PolicyDocument"))),
                        place: Place { line: node.line, ..place() },
                        is_certain: true,
                    });
                }
            }
            Some(_) if self.text("Policies").is_some() => {
                role.open.push(Unresolved("its inline policies are decided when it is deployed".to_owned()));
            }
            _ => {}
        }
        role.boundary = self.node.get("PermissionsBoundary").and_then(|node| self.template.reference_of(node));
        role.tags = self.tags();
        role
    }

    fn association(&self) -> Association {
        let flag = self.node.get("DisableSessionTags");
        let disable_session_tags =
            match flag {
                None => Ok(false),
                Some(node) => match (node.flag(), self.template.text(node, 0)) {
                    (Some(flag), _) => Ok(flag),
                    (None, None) => Ok(false),
                    (None, Some(text)) => Err(Unresolved(text.why().map_or_else(
                        || "`DisableSessionTags` is neither true nor false".to_owned(),
                        |why| why.0.clone(),
                    ))),
                },
            };
        Association {
            account: self.template.defaults.account,
            region: self.template.defaults.region.clone(),
            cluster: self.needed("ClusterName"),
            namespace: self.needed("Namespace"),
            service_account: self.needed("ServiceAccount"),
            role: self.reference("RoleArn"),
            target_role: self.node.get("TargetRoleArn").and_then(|node| self.template.reference_of(node)),
            disable_session_tags,
            session_policy: self.document("Policy"),
            tags: self.tags(),
        }
    }
}
