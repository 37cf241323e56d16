//! Accounts, organisation trees and organisation policies.
//!
//! Knows the layout's `accounts.json` and what `aws organizations` prints: `list-accounts`,
//! `describe-policy`, and trees of roots, OUs and accounts, nested or with their parents' ids, with
//! or without their policies. Refuses to know what a policy forbids.

use super::item::{Fault, Item, Read};
use super::listing::Page;
use super::{Builder, Source};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Account, OrgPolicy, OrgPolicyKind, OrgUnit};
use rolecall_iam::{AccountId, Arn, Document};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where the estate layout has what it knows of the organisation.
const FOLDER: &str = "organizations";
/// Deepest tree that is read; Organizations nests OUs five deep.
const MAX_DEPTH: usize = 16;

pub(super) fn is_policies(map: &Map<String, Value>) -> bool {
    let policy = |value: &Value| value.get("Content").or(value.get("content")).is_some();
    let all = |key: &str| map.get(key).and_then(Value::as_array).is_some_and(|l| l.iter().all(policy));
    all("policies") || all("Policies") || map.get("Policy").is_some_and(policy)
}

pub(super) fn is_tree(map: &Map<String, Value>) -> bool {
    let id = text(map, &["Id", "id"]);
    let root = id.is_some_and(|id| id.starts_with("r-"));
    root || map.get("roots").or(map.get("Roots")).is_some_and(Value::is_array)
        || map.get("root").is_some_and(Value::is_object)
}

/// The first of several spellings.
fn text<'a>(map: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| map.get(*key)?.as_str().filter(|text| !text.is_empty()))
}

fn list<'a>(map: &'a Map<String, Value>, keys: &[&str]) -> Vec<&'a Value> {
    keys.iter().filter_map(|key| map.get(*key)?.as_array()).flatten().collect()
}

/// The management account, where the file names it: outright, or in an Organizations ARN.
fn management(map: &Map<String, Value>) -> Option<AccountId> {
    let keys = ["management", "managementAccount", "ManagementAccountId", "MasterAccountId"];
    let organization = || map.get("organization").or(map.get("Organization"))?.as_object();
    let named = text(map, &keys).or_else(|| text(organization()?, &keys));
    let by_arn = || {
        let arn: Arn = text(map, &["Arn", "arn"])?.parse().ok()?;
        if arn.service() == "organizations" { arn.account_id() } else { None }
    };
    named.and_then(|id| id.parse().ok()).or_else(by_arn)
}

/// The organization's id, where the map names it: outright, or in an Organizations ARN.
fn organization_id(map: &Map<String, Value>) -> Option<String> {
    let is_id = |id: &&str| id.starts_with("o-");
    let keys = ["organization", "Organization", "organizationId", "OrganizationId"];
    let within = || text(map.get("organization").or(map.get("Organization"))?.as_object()?, &["Id", "id"]);
    let named = text(map, &keys).or_else(within).filter(is_id).map(str::to_owned);
    named.or_else(|| {
        let arn: Arn = text(map, &["Arn", "arn"])?.parse().ok()?;
        let id = arn.resource().split('/').nth(1).filter(is_id).map(str::to_owned);
        id.filter(|_| arn.service() == "organizations")
    })
}

type Below<'a> = BTreeMap<&'a str, Vec<&'a Map<String, Value>>>;

/// The tree that is being read.
struct Tree<'a> {
    source: Source<'a>,
    manager: AccountId,
    organization_id: Option<String>,
    /// Nodes that are not nested, by their parents' ids.
    below: Below<'a>,
    page: Page,
}

impl Builder {
    pub(super) fn accounts(&mut self, source: Source<'_>, value: &Value) -> usize {
        let Some(map) = value.as_object() else { return 0 };
        let page = source.page(value, false);
        if page.token.is_some() {
            self.accounts_cut.push(page);
        }
        let manager = management(map);
        let organization = organization_id(map);
        let hub = text(map, &["hub"]).and_then(|id| id.parse().ok());
        self.hub = hub.or(self.hub).or(manager);
        if let Some(manager) = manager {
            self.manages(manager);
        }
        let mut read = 0;
        let key = if map.contains_key("accounts") { "accounts" } else { "Accounts" };
        for (i, value) in list(map, &[key]).into_iter().enumerate() {
            let pointer = format!("/{key}/{i}");
            let account = Item::of(value, pointer.clone()).and_then(|item| {
                let key = if item.get("Id").is_some() { "Id" } else { "id" };
                Ok((item.parsed::<AccountId>(key)?, item))
            });
            let (id, item) = match account {
                Ok(account) => account,
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    continue;
                }
            };
            let by_arn = management(item.map);
            let own_organization = organization_id(item.map).or_else(|| organization.clone());
            let draft = self.draft(id);
            let account = draft.observation.account.get_or_insert(Account::new(id));
            account.name = text(item.map, &["Name", "name"]).map(str::to_owned).or(account.name.take());
            account.status = text(item.map, &["Status", "status"]).map(str::to_owned).or(account.status.take());
            account.is_management |= by_arn == Some(id);
            account.organization_id = own_organization.or(account.organization_id.take());
            draft.home = text(item.map, &["region"]).and_then(|r| r.parse().ok()).or(draft.home.take());
            read += 1;
        }
        read
    }

    fn manages(&mut self, manager: AccountId) {
        self.draft(manager).observation.account.get_or_insert(Account::new(manager)).is_management = true;
    }

    /// The account under which the organisation's facts stand.
    fn manager_of(&mut self, source: Source<'_>, map: &Map<String, Value>) -> Option<AccountId> {
        let inner = ["root", "Policy"].iter().find_map(|key| map.get(*key)?.as_object());
        let roots = list(map, &["roots", "Roots"]).into_iter().find_map(Value::as_object);
        let known = || {
            let managers = self.drafts.values().filter_map(|draft| draft.observation.account.as_ref());
            managers.into_iter().find(|account| account.is_management).map(|account| account.id)
        };
        let found = self
            .hub
            .or_else(|| management(map))
            .or_else(|| inner.and_then(management))
            .or_else(|| roots.and_then(management))
            .or(source.place.account)
            .or_else(known);
        self.hub = found;
        if found.is_none() {
            let message = "nothing in it says which account manages the organisation";
            let remedy = "add `management` with its account id, or the `Arn` of the root";
            self.problem(source, Fault::new("", message, remedy), None, None);
        }
        found
    }

    pub(super) fn org_policies(&mut self, source: Source<'_>, value: &Value) -> usize {
        let Some(map) = value.as_object() else { return 0 };
        let Some(manager) = self.manager_of(source, map) else { return 0 };
        let single = map.get("Policy");
        let key = if map.contains_key("policies") { "policies" } else { "Policies" };
        let policies = list(map, &[key]).into_iter().enumerate().map(|(i, v)| (format!("/{key}/{i}"), v));
        let policies: Vec<_> = policies.chain(single.map(|v| ("/Policy".to_owned(), v))).collect();
        let listing = single.is_none();
        let mut read = 0;
        for (i, (pointer, value)) in policies.into_iter().enumerate() {
            match Item::of(value, pointer).and_then(|item| policy(&item, manager)) {
                Ok((policy, document)) => {
                    read += 1;
                    self.add_policy(manager, policy, document);
                }
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    let scope = Scope::global(manager, ScopeKind::OrgPolicies);
                    self.malformed(scope, "organizations:DescribePolicy", source.path);
                }
            }
        }
        self.draft(manager).held = true;
        if listing {
            self.page(manager, (ScopeKind::OrgPolicies, None, None), source.page(value, source.is_in(FOLDER)));
        }
        read
    }

    fn add_policy(&mut self, manager: AccountId, policy: OrgPolicy, document: Document) {
        let observation = &mut self.draft(manager).observation;
        observation.documents.add(document);
        match observation.org_policies.iter_mut().find(|known| known.id == policy.id) {
            Some(known) => {
                known.targets.extend(policy.targets);
                known.targets.sort();
                known.targets.dedup();
            }
            None => observation.org_policies.push(policy),
        }
    }

    pub(super) fn org_tree(&mut self, source: Source<'_>, value: &Value) -> usize {
        let Some(map) = value.as_object() else { return 0 };
        let Some(manager) = self.manager_of(source, map) else { return 0 };
        let roots: Vec<&Map<String, Value>> = if map.contains_key("Id") || map.contains_key("id") {
            vec![map]
        } else {
            list(map, &["roots", "Roots"]).into_iter().chain(map.get("root")).filter_map(Value::as_object).collect()
        };
        let named = roots.iter().find_map(|root| management(root)).or_else(|| management(map));
        if let Some(named) = named {
            self.manages(named);
        }
        let page = source.page(value, source.is_in(FOLDER));
        self.page(manager, (ScopeKind::Organization, None, None), page.clone());
        let mut below = Below::new();
        let flat = list(map, &["units", "Units", "accounts", "Accounts"]);
        for node in flat.iter().filter_map(|value| value.as_object()) {
            if let Some(parent) = text(node, &["ParentId", "parentId"]) {
                below.entry(parent).or_default().push(node);
            }
        }
        let places: usize = below.values().map(Vec::len).sum();
        let organization_id = roots.iter().find_map(|root| organization_id(root)).or_else(|| organization_id(map));
        let tree = Tree { source, manager, organization_id, below, page };
        let read: usize = roots.iter().map(|root| self.node(&tree, root, None, "", 0)).sum();
        if places > 0 && read < places + roots.len() {
            let message = format!("{} units and accounts are below nothing", places + roots.len() - read);
            self.problem(source, Fault::new("", message, "give every unit with its parent"), None, None);
            self.malformed(Scope::global(manager, ScopeKind::Organization), "organizations:ListChildren", source.path);
        }
        read
    }

    /// Reads a root, an OU or an account, and what is below it. `path` is its parent's.
    fn node(
        &mut self,
        tree: &Tree<'_>,
        map: &Map<String, Value>,
        parent: Option<&str>,
        path: &str,
        depth: usize,
    ) -> usize {
        let (source, manager) = (tree.source, tree.manager);
        let id = text(map, &["Id", "id"]).unwrap_or_default();
        let name = text(map, &["Name", "name"]).unwrap_or(id);
        if depth > MAX_DEPTH || id.is_empty() {
            let (message, remedy) = ("a node without an id, or nested too deep", "give the tree as AWS prints it");
            self.problem(source, Fault::new("", message, remedy), None, None);
            self.malformed(Scope::global(manager, ScopeKind::Organization), "organizations:ListChildren", source.path);
            return 0;
        }
        for (i, value) in list(map, &["Policies", "policies"]).into_iter().enumerate() {
            // A node may also name its policies by id only.
            if value.get("Content").or(value.get("content")).is_none() {
                continue;
            }
            match Item::of(value, format!("{id}/Policies/{i}")).and_then(|item| policy(&item, manager)) {
                Ok((mut policy, document)) => {
                    policy.targets.push(id.to_owned());
                    self.page(manager, (ScopeKind::OrgPolicies, None, None), tree.page.clone());
                    self.add_policy(manager, policy, document);
                }
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    let scope = Scope::global(manager, ScopeKind::OrgPolicies);
                    self.malformed(scope, "organizations:DescribePolicy", source.path);
                }
            }
        }
        if let Ok(account) = id.parse::<AccountId>() {
            let draft = self.draft(account);
            let own = draft.observation.account.get_or_insert(Account::new(account));
            own.name = text(map, &["Name", "name"]).map(str::to_owned).or(own.name.take());
            own.status = text(map, &["Status", "status"]).map(str::to_owned).or(own.status.take());
            own.ou_path = Some(if path.is_empty() { "/".to_owned() } else { path.to_owned() });
            own.organization_id = tree.organization_id.clone().or(own.organization_id.take());
            return 1;
        }
        let own = if parent.is_none() { String::new() } else { format!("{path}/{name}") };
        let unit = OrgUnit {
            account_id: manager,
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            path: if own.is_empty() { "/".to_owned() } else { own.clone() },
        };
        let units = &mut self.draft(manager).observation.org_units;
        if !units.contains(&unit) {
            units.push(unit);
        }
        let below =
            ["Children", "children", "OrganizationalUnits", "organizationalUnits", "ous", "Accounts", "accounts"];
        let mut read = 1;
        for child in list(map, &below) {
            if let Some(account) = child.as_str().and_then(|id| id.parse::<AccountId>().ok()) {
                let draft = self.draft(account);
                let account = draft.observation.account.get_or_insert(Account::new(account));
                account.ou_path = Some(if own.is_empty() { "/".to_owned() } else { own.clone() });
                account.organization_id = tree.organization_id.clone().or(account.organization_id.take());
                read += 1;
            } else if let Some(child) = child.as_object() {
                read += self.node(tree, child, Some(id), &own, depth + 1);
            }
        }
        // The root's own lists are read once, by their parents' ids.
        for child in tree.below.get(id).into_iter().flatten() {
            read += self.node(tree, child, Some(id), &own, depth + 1);
        }
        read
    }
}

fn policy(item: &Item<'_>, manager: AccountId) -> Read<(OrgPolicy, Document)> {
    let summary = item.maybe_item("PolicySummary")?;
    let about = summary.as_ref().unwrap_or(item);
    let needed = |keys: [&str; 2]| {
        let missing =
            || Fault::new(format!("{}/{}", about.pointer, keys[0]), "missing", "give the policy as AWS prints it");
        text(about.map, &keys).ok_or_else(missing)
    };
    let kind = match needed(["Type", "type"])?.to_ascii_uppercase().as_str() {
        "SERVICE_CONTROL_POLICY" | "SCP" => OrgPolicyKind::Scp,
        "RESOURCE_CONTROL_POLICY" | "RCP" => OrgPolicyKind::Rcp,
        other => {
            let remedy = "give SERVICE_CONTROL_POLICY and RESOURCE_CONTROL_POLICY only";
            return Err(Fault::new(format!("{}/Type", about.pointer), format!("the type {other} is not read"), remedy));
        }
    };
    let content = if item.get("Content").is_some() { "Content" } else { "content" };
    let missing = || Fault::new(format!("{}/Content", item.pointer), "missing", "give the policy with its content");
    let document = Document::new(&item.document(content)?.ok_or_else(missing)?);
    let mut targets = Vec::new();
    for target in list(item.map, &["Targets", "targets"]) {
        let id = target.as_str().or_else(|| text(target.as_object()?, &["TargetId", "targetId", "id"]));
        let unnamed =
            || Fault::new(format!("{}/Targets", item.pointer), "a target without its id", "give each target's id");
        targets.push(id.ok_or_else(unnamed)?.to_owned());
    }
    let id = needed(["Id", "id"])?.to_owned();
    let name = text(about.map, &["Name", "name"]).unwrap_or(&id).to_owned();
    Ok((OrgPolicy { account_id: manager, name, id, kind, document: document.digest, targets }, document))
}
