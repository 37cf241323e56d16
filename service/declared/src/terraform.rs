//! Terraform state and plans, as `terraform show -json` prints them, and state files of version 4.
//!
//! Source: Terraform's documentation, "JSON Output Format" (`values`, `resource_changes`, `after_unknown`, `configuration`), and
//! the AWS provider's attributes of each resource type.

use crate::reading::{Reading, document_of};
use crate::resource::{Item, arn};
use crate::tree::{Node, Value};
use rolecall_estate::declared::{
    Association, AttachedPolicy, Format, InlinePolicy, Known, ManagedPolicy, OidcProvider, Place, Reference, Resource,
    Role, RoleName, Text, Unresolved,
};
use rolecall_estate::id::Region;
use rolecall_iam::{AccountId, Arn};
use std::collections::{BTreeMap, BTreeSet};

/// What a plan does with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Leaves it as it is.
    Keep,
    /// Makes it, or makes it anew.
    Create,
    /// Changes it.
    Update,
    /// Deletes it.
    Delete,
}

/// What a plan does with one item.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// What is done.
    pub action: Action,
    /// What is there before; empty where it is made.
    pub before: Vec<Item>,
    /// What is there afterwards; empty where it is deleted.
    pub after: Vec<Item>,
}

/// A resource of a file.
struct Instance<'a> {
    address: String,
    kind: &'a str,
    line: usize,
    before: Option<&'a Node>,
    values: Option<&'a Node>,
    unknown: Option<&'a Node>,
    action: Action,
    is_plan: bool,
}

pub(crate) fn is_plan(node: &Node) -> bool {
    node.get("resource_changes").is_some() || (node.get("planned_values").is_some())
}

pub(crate) fn is_state(node: &Node) -> bool {
    let is_shown = node.get("format_version").is_some() && node.get("values").is_some();
    is_shown
        || (node.get("terraform_version").is_some()
            && (node.get("resources").is_some() || node.get("lineage").is_some()))
}

/// Reads what a state or a plan declares: of a plan, what is there once it is applied.
pub(crate) fn read(reading: &mut Reading<'_>, root: &Node) {
    let instances = instances(reading, root);
    let context = PlanContext::new(reading, root, &instances);
    for one in instances.iter().filter(|one| one.action != Action::Delete) {
        let Some(values) = one.values else { continue };
        for item in context.items(reading, one, values, one.unknown) {
            let format = if one.is_plan { Format::TerraformPlan } else { Format::TerraformState };
            let place = reading.place(one.line, &one.address);
            reading.found(place, format, one.address.clone(), None, item);
        }
    }
}

/// What a plan does.
pub(crate) fn planned(reading: &mut Reading<'_>, root: &Node) -> Vec<Planned> {
    let instances = instances(reading, root);
    let context = PlanContext::new(reading, root, &instances);
    let mut out = Vec::new();
    for one in instances.iter().filter(|one| one.action != Action::Keep) {
        let before = one.before.map(|values| context.items(reading, one, values, None)).unwrap_or_default();
        let after = one.values.map(|values| context.items(reading, one, values, one.unknown)).unwrap_or_default();
        if !before.is_empty() || !after.is_empty() {
            out.push(Planned { place: reading.place(one.line, &one.address), action: one.action, before, after });
        }
    }
    out
}

fn instances<'a>(reading: &mut Reading<'_>, root: &'a Node) -> Vec<Instance<'a>> {
    let mut out = Vec::new();
    if let Some(changes) = root.get("resource_changes") {
        changes.items().iter().for_each(|node| out.extend(change(reading, node)));
    } else if let Some(module) = root.at(&["planned_values", "root_module"]) {
        modules(reading, module, true, &mut out);
    } else if let Some(module) = root.at(&["values", "root_module"]) {
        modules(reading, module, false, &mut out);
    } else if let Some(resources) = root.get("resources") {
        resources.items().iter().for_each(|node| state_file(node, &mut out));
    }
    out
}

fn is_managed(node: &Node) -> bool {
    node.get("mode").and_then(Node::text).is_none_or(|mode| mode == "managed")
}

fn change<'a>(reading: &mut Reading<'_>, node: &'a Node) -> Option<Instance<'a>> {
    if !is_managed(node) {
        return None;
    }
    let (Some(address), Some(kind)) = (reading.needs(node, "address"), reading.needs(node, "type")) else {
        return None;
    };
    let change = node.get("change")?;
    let actions: Vec<&str> =
        change.get("actions").map(Node::items).unwrap_or_default().iter().filter_map(Node::text).collect();
    let action = match actions.as_slice() {
        ["no-op" | "read"] | [] => Action::Keep,
        ["update"] => Action::Update,
        // To forget a resource leaves it as it is, undeclared.
        ["delete" | "forget"] => Action::Delete,
        _ => Action::Create,
    };
    Some(Instance {
        address: address.to_owned(),
        kind,
        line: node.line,
        before: change.get("before"),
        values: change.get("after"),
        unknown: change.get("after_unknown"),
        action,
        is_plan: true,
    })
    .filter(|_| actions.as_slice() != ["forget"])
}

fn modules<'a>(reading: &mut Reading<'_>, root: &'a Node, is_plan: bool, out: &mut Vec<Instance<'a>>) {
    let mut left = vec![root];
    while let Some(module) = left.pop() {
        for node in module.get("resources").map(Node::items).unwrap_or_default() {
            let (Some(address), Some(kind)) = (reading.needs(node, "address"), reading.needs(node, "type")) else {
                continue;
            };
            if is_managed(node) {
                out.push(Instance {
                    address: address.to_owned(),
                    kind,
                    line: node.line,
                    before: None,
                    values: node.get("values"),
                    unknown: None,
                    action: Action::Keep,
                    is_plan,
                });
            }
        }
        left.extend(module.get("child_modules").map(Node::items).unwrap_or_default());
    }
}

/// A resource of a state file of version 4, each of its instances.
fn state_file<'a>(node: &'a Node, out: &mut Vec<Instance<'a>>) {
    let (Some(kind), Some(name)) = (node.get("type").and_then(Node::text), node.get("name").and_then(Node::text))
    else {
        return;
    };
    if !is_managed(node) {
        return;
    }
    let module = node.get("module").and_then(Node::text).map(|module| format!("{module}.")).unwrap_or_default();
    for instance in node.get("instances").map(Node::items).unwrap_or_default() {
        let index = match instance.get("index_key").map(|key| &key.value) {
            Some(Value::Text(key)) => format!("[\"{key}\"]"),
            Some(Value::Number(key)) => format!("[{key}]"),
            _ => String::new(),
        };
        out.push(Instance {
            address: format!("{module}{kind}.{name}{index}"),
            kind,
            line: instance.line,
            before: None,
            values: instance.get("attributes"),
            unknown: None,
            action: Action::Keep,
            is_plan: false,
        });
    }
}

/// What the resources of a file tell of each other.
struct PlanContext<'a> {
    account: Option<AccountId>,
    region: Option<Region>,
    /// The region and account of clusters, by name.
    clusters: BTreeMap<&'a str, (Option<AccountId>, Option<Region>)>,
    /// The names and ARNs of roles and policies, by address.
    known: BTreeMap<String, (Text, Text)>,
    /// `configuration.root_module`.
    configuration: Option<&'a Node>,
}

impl<'a> PlanContext<'a> {
    fn new(reading: &Reading<'_>, root: &'a Node, instances: &[Instance<'a>]) -> Self {
        let mut accounts = BTreeSet::new();
        let mut regions = BTreeSet::new();
        let mut clusters = BTreeMap::new();
        for one in instances {
            let values = one.values.or(one.before);
            let Some(values) = values else { continue };
            let arns = ["arn", "association_arn", "access_entry_arn"];
            let arn = arns.iter().find_map(|name| values.get(name)?.text()?.parse::<Arn>().ok());
            let region = arn.as_ref().and_then(|arn| arn.region().parse().ok());
            let region = region.or_else(|| values.get("region")?.text()?.parse::<Region>().ok());
            let account = arn.as_ref().and_then(Arn::account_id);
            accounts.extend(account);
            regions.extend(region.clone());
            if let (true, Some(name)) = (one.kind == "aws_eks_cluster", values.get("name").and_then(Node::text)) {
                clusters.insert(name, (account, region));
            }
        }
        let only_account = if accounts.len() == 1 { accounts.first().copied() } else { None };
        let only_region = if regions.len() == 1 { regions.first().cloned() } else { None };
        let mut context = Self {
            account: reading.defaults.account.or(only_account),
            region: reading.defaults.region.clone().or(only_region),
            clusters,
            known: BTreeMap::new(),
            configuration: root.at(&["configuration", "root_module"]),
        };
        for one in instances {
            let kind = match one.kind {
                "aws_iam_role" => "role",
                "aws_iam_policy" => "policy",
                _ => continue,
            };
            let Some(values) = one.values.or(one.before) else { continue };
            let attributes = Attributes { context: &context, one, values, unknown: one.unknown };
            let name = attributes.text("name").unwrap_or_else(|| Text::open("its name is known after apply"));
            let account = attributes.account();
            let partition = reading.defaults.partition(context.region.as_ref());
            let given = values.get("arn").and_then(Node::text).filter(|text| !text.is_empty()).map(Text::known);
            let arn = given.unwrap_or_else(|| arn(&partition, account, kind, attributes.text("path").as_ref(), &name));
            context.known.insert(one.address.clone(), (name, arn));
        }
        context
    }

    fn items(&self, reading: &mut Reading<'_>, one: &Instance<'_>, values: &Node, unknown: Option<&Node>) -> Vec<Item> {
        let place = reading.place(one.line, &one.address);
        let attributes = Attributes { context: self, one, values, unknown };
        let account = attributes.account();
        match one.kind {
            "aws_iam_role" => vec![Item::Resource(Resource::Role(Box::new(attributes.role(&place))))],
            "aws_iam_policy" => {
                let name = attributes.needed("name");
                let path = attributes.text("path").unwrap_or_else(|| Text::known("/"));
                let document =
                    attributes.document("policy").unwrap_or_else(|| Err(Unresolved("it has no document".to_owned())));
                vec![Item::Resource(Resource::Policy(ManagedPolicy { account, name, path, document }))]
            }
            "aws_iam_role_policy" => {
                let name = attributes.needed("name");
                let document =
                    attributes.document("policy").unwrap_or_else(|| Err(Unresolved("it has no document".to_owned())));
                let policy = InlinePolicy { name, document, place, is_certain: true };
                vec![Item::Inline { role: attributes.reference("role"), account, policy }]
            }
            "aws_iam_role_policy_attachment" => {
                let policy = AttachedPolicy { policy: attributes.reference("policy_arn"), place, is_certain: true };
                vec![Item::Attached { role: attributes.reference("role"), account, policy }]
            }
            "aws_iam_policy_attachment" => {
                let policy = AttachedPolicy { policy: attributes.reference("policy_arn"), place, is_certain: true };
                let attached =
                    |role: Text| Item::Attached { role: Reference::text(role), account, policy: policy.clone() };
                match attributes.texts("roles") {
                    Ok(roles) => roles.into_iter().map(attached).collect(),
                    Err(why) => vec![attached(Text::open(why.0))],
                }
            }
            "aws_iam_role_policy_attachments_exclusive" => {
                let role = attributes.reference("role_name");
                let attached = |policy: Text| Item::Attached {
                    role: role.clone(),
                    account,
                    policy: AttachedPolicy { policy: Reference::text(policy), place: place.clone(), is_certain: true },
                };
                match attributes.texts("policy_arns") {
                    Ok(policies) => policies.into_iter().map(attached).collect(),
                    Err(why) => vec![attached(Text::open(why.0))],
                }
            }
            "aws_eks_pod_identity_association" => {
                vec![Item::Resource(Resource::Association(Box::new(attributes.association())))]
            }
            "aws_iam_openid_connect_provider" => {
                let url = attributes.needed("url");
                let issuer = match url.as_known() {
                    Some(url) => Text::known(url.trim_start_matches("https://")),
                    None => url,
                };
                vec![Item::Resource(Resource::OidcProvider(OidcProvider { account, issuer }))]
            }
            _ => Vec::new(),
        }
    }
}

const AFTER_APPLY: &str = "it is known after apply";

struct Attributes<'w, 'a> {
    context: &'w PlanContext<'a>,
    one: &'w Instance<'a>,
    values: &'w Node,
    unknown: Option<&'w Node>,
}

impl Attributes<'_, '_> {
    fn is_unknown(&self, name: &str) -> bool {
        // `true`, or a tree of what is not known inside of it.
        fn any(node: &Node) -> bool {
            match &node.value {
                Value::Bool(flag) => *flag,
                Value::List(items) => items.iter().any(any),
                Value::Map(entries) => entries.iter().any(|(_, node)| any(node)),
                _ => false,
            }
        }
        self.unknown.and_then(|unknown| unknown.get(name)).is_some_and(any)
    }

    fn text(&self, name: &str) -> Option<Text> {
        if self.is_unknown(name) {
            return Some(Text::open(format!("`{name}` of {}: {AFTER_APPLY}", self.one.address)));
        }
        self.values.get(name).and_then(Node::text).filter(|text| !text.is_empty()).map(Text::known)
    }

    fn needed(&self, name: &str) -> Text {
        self.text(name).unwrap_or_else(|| Text::open(format!("`{name}` of {} is not in the file", self.one.address)))
    }

    fn texts(&self, name: &str) -> Result<Vec<Text>, Unresolved> {
        if self.is_unknown(name) {
            return Err(Unresolved(format!("`{name}` of {}: {AFTER_APPLY}", self.one.address)));
        }
        let items = self.values.get(name).map(Node::items).unwrap_or_default();
        Ok(items.iter().filter_map(Node::text).map(Text::known).collect())
    }

    fn document(&self, name: &str) -> Option<Known<rolecall_iam::Document>> {
        match self.text(name)?.resolved() {
            Ok(text) => Some(document_of(&text)),
            Err(why) => Some(Err(why)),
        }
    }

    fn account(&self) -> Option<AccountId> {
        let arns = ["arn", "association_arn"];
        let own = arns.iter().find_map(|name| self.values.get(name)?.text()?.parse::<Arn>().ok()?.account_id());
        own.or(self.context.account)
    }

    /// A role or policy that an attribute names: by its value or, where that is known after apply only, by
    /// what the configuration says that it is of.
    fn reference(&self, name: &str) -> Reference {
        let text = self.needed(name);
        if text.as_known().is_some() {
            return Reference::text(text);
        }
        match self.configured(name) {
            Some((known, to)) => Reference { text: known, to: Some(to) },
            None => Reference::text(text),
        }
    }

    fn configured(&self, name: &str) -> Option<(Text, String)> {
        let (modules, local) = split_address(&self.one.address);
        let mut module = self.context.configuration?;
        for call in &modules {
            module = module.at(&["module_calls", without_index(call), "module"])?;
        }
        let resources = module.get("resources").map(Node::items).unwrap_or_default();
        let own = resources.iter().find(|it| it.get("address").and_then(Node::text) == Some(without_index(&local)))?;
        let references = own.at(&["expressions", name, "references"]).map(Node::items).unwrap_or_default();
        let prefix: String = modules.iter().map(|call| format!("module.{call}.")).collect();
        let index = local.strip_prefix(without_index(&local)).unwrap_or_default();
        for reference in references.iter().filter_map(Node::text) {
            let (target, attribute) = match reference.rsplit_once('.') {
                Some((target, attribute @ ("arn" | "name" | "id"))) => (target, attribute),
                _ => continue,
            };
            let candidates = [format!("{prefix}{target}"), format!("{prefix}{target}{index}")];
            for address in candidates {
                if let Some((name, arn)) = self.context.known.get(&address) {
                    let is_name = attribute == "name" || (attribute == "id" && target.starts_with("aws_iam_role."));
                    return Some((if is_name { name.clone() } else { arn.clone() }, address));
                }
            }
        }
        None
    }

    fn role(&self, place: &Place) -> Role {
        let mut role = Role::named(self.account(), RoleName::Given(self.needed("name")));
        role.path = Some(self.text("path").unwrap_or_else(|| Text::known("/")));
        role.trust = self.document("assume_role_policy");
        // What was made another way and seen at the last refresh is in these attributes, too.
        if self.is_unknown("inline_policy") && self.values.get("inline_policy").is_none_or(|it| it.items().is_empty()) {
            // Computed, and set by no block.
        } else {
            for block in self.values.get("inline_policy").map(Node::items).unwrap_or_default() {
                let Some(name) = block.get("name").and_then(Node::text).filter(|name| !name.is_empty()) else {
                    continue;
                };
                let document = match block.get("policy").and_then(Node::text) {
                    Some(text) => document_of(text),
                    None => Err(Unresolved(format!("its document: {AFTER_APPLY}"))),
                };
                role.inline.push(InlinePolicy {
                    name: Text::known(name),
                    document,
                    place: place.clone(),
                    is_certain: false,
                });
            }
        }
        for policy in self.values.get("managed_policy_arns").map(Node::items).unwrap_or_default() {
            let Some(policy) = policy.text() else { continue };
            let policy = Reference::text(Text::known(policy));
            role.attached.push(AttachedPolicy { policy, place: place.clone(), is_certain: false });
        }
        role.boundary = self.text("permissions_boundary").map(|_| self.reference("permissions_boundary"));
        role.tags = self.tags();
        role
    }

    /// `tags_all` has the provider's default tags, too.
    fn tags(&self) -> BTreeMap<String, Text> {
        let name = if self.values.get("tags_all").is_some() { "tags_all" } else { "tags" };
        let entries = self.values.get(name).map(Node::entries).unwrap_or_default();
        entries.iter().filter_map(|(key, node)| Some((key.clone(), Text::known(node.text()?)))).collect()
    }

    fn association(&self) -> Association {
        let arn: Option<Arn> = self.values.get("association_arn").and_then(Node::text).and_then(|arn| arn.parse().ok());
        let cluster = self.needed("cluster_name");
        let of_cluster = cluster.as_known().and_then(|name| self.context.clusters.get(name));
        let region = arn.as_ref().and_then(|arn| arn.region().parse().ok());
        let region = region.or_else(|| self.values.get("region")?.text()?.parse().ok());
        let disable_session_tags = match self.is_unknown("disable_session_tags") {
            true => Err(Unresolved(format!("`disable_session_tags`: {AFTER_APPLY}"))),
            false => Ok(self.values.get("disable_session_tags").and_then(Node::flag).unwrap_or(false)),
        };
        Association {
            account: arn.as_ref().and_then(Arn::account_id).or(of_cluster.and_then(|it| it.0)).or(self.context.account),
            region: region.or_else(|| of_cluster.and_then(|it| it.1.clone())).or_else(|| self.context.region.clone()),
            cluster,
            namespace: self.needed("namespace"),
            service_account: self.needed("service_account"),
            role: self.reference("role_arn"),
            target_role: self.text("target_role_arn").map(|_| self.reference("target_role_arn")),
            disable_session_tags,
            session_policy: self.document("policy"),
            tags: self.tags(),
        }
    }
}

/// The modules of an address, and the rest: `module.a["x"].module.b.aws_iam_role.c[0]`.
fn split_address(address: &str) -> (Vec<String>, String) {
    let mut modules = Vec::new();
    let mut rest = address;
    while let Some(after) = rest.strip_prefix("module.") {
        // A key of an index may have dots.
        let mut depth = 0_usize;
        let end = after.char_indices().find(|(_, c)| {
            match *c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            *c == '.' && depth == 0
        });
        let Some((end, _)) = end else { break };
        modules.push(after.get(..end).unwrap_or_default().to_owned());
        rest = after.get(end + 1..).unwrap_or_default();
    }
    (modules, rest.to_owned())
}

fn without_index(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}
