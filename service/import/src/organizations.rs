//! Accounts, organisation trees and organisation policies.
//!
//! Knows the layout's `accounts.json` and what `aws organizations` prints: `list-accounts`,
//! `describe-policy`, and trees of roots, OUs and accounts, nested or with their parents' ids, with
//! or without their policies. Refuses to know what a policy forbids.

use super::item::{Fault, Item, Read};
use super::listing::Page;
use super::{Builder, Source};
use rolecall_estate::aws::{OrganizationAccount, OrganizationPolicy, organization_of};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Account, Documents, OrgPolicy, OrgPolicyKind, OrgUnit};
use rolecall_iam::{AccountId, Arn};
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
    named.and_then(|id| id.parse().ok()).or_else(|| named_by_arn(map).0)
}

/// The organization's id, where the map names it: outright, or in an Organizations ARN.
fn organization_id(map: &Map<String, Value>) -> Option<String> {
    let is_id = |id: &&str| id.starts_with("o-");
    let keys = ["organization", "Organization", "organizationId", "OrganizationId"];
    let within = || text(map.get("organization").or(map.get("Organization"))?.as_object()?, &["Id", "id"]);
    let named = text(map, &keys).or_else(within).filter(is_id).map(str::to_owned);
    named.or_else(|| named_by_arn(map).1)
}

/// The management account and the organization that the ARN of the map names.
fn named_by_arn(map: &Map<String, Value>) -> (Option<AccountId>, Option<String>) {
    let arn = text(map, &["Arn", "arn"]).and_then(|arn| arn.parse::<Arn>().ok());
    arn.as_ref().map(organization_of).unwrap_or_default()
}

/// An account as `list-accounts`, the tree of an organization or `accounts.json` has it.
fn account(map: &Map<String, Value>) -> OrganizationAccount {
    let owned = |keys: &[&str]| text(map, keys).map(str::to_owned);
    OrganizationAccount {
        id: owned(&["Id", "id"]),
        arn: owned(&["Arn", "arn"]),
        name: owned(&["Name", "name"]),
        state: owned(&["State", "state"]),
        status: owned(&["Status", "status"]),
    }
}

/// Takes over what another record says of the account.
fn merge(known: &mut Account, other: Account) {
    known.name = other.name.or(known.name.take());
    known.status = other.status.or(known.status.take());
    known.ou_path = other.ou_path.or(known.ou_path.take());
    known.organization_id = other.organization_id.or(known.organization_id.take());
    known.is_management |= other.is_management;
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
            let record = Item::new(value, pointer.clone()).and_then(|item| {
                let (account, _) = account(item.map).into_account().map_err(|error| item.fault(&error))?;
                Ok((account, item))
            });
            let (account, item) = match record {
                Ok(record) => record,
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    continue;
                }
            };
            let organization_id = organization_id(item.map).or_else(|| organization.clone());
            let draft = self.draft(account.id);
            let known = draft.observation.account.get_or_insert(Account::new(account.id));
            let is_management = management(item.map) == Some(account.id);
            merge(known, Account { organization_id, is_management, ..account });
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
            let mut documents = Documents::default();
            match Item::new(value, pointer).and_then(|item| policy(&item, manager, &mut documents)) {
                Ok(policy) => {
                    read += 1;
                    self.add_policy(manager, policy, documents);
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

    fn add_policy(&mut self, manager: AccountId, mut policy: OrgPolicy, documents: Documents) {
        let observation = &mut self.draft(manager).observation;
        observation.documents.absorb(documents);
        match observation.org_policies.iter_mut().find(|known| known.id == policy.id) {
            Some(known) => {
                known.targets.extend(policy.targets);
                known.targets.sort();
                known.targets.dedup();
            }
            None => {
                policy.targets.sort();
                observation.org_policies.push(policy);
            }
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
        let read: usize = roots.iter().map(|root| self.node(&tree, root, None, 0)).sum();
        if places > 0 && read < places + roots.len() {
            let message = format!("{} units and accounts are below nothing", places + roots.len() - read);
            self.problem(source, Fault::new("", message, "give every unit with its parent"), None, None);
            self.malformed(Scope::global(manager, ScopeKind::Organization), "organizations:ListChildren", source.path);
        }
        read
    }

    /// Notes where an account is.
    fn place_account(&mut self, tree: &Tree<'_>, account: Account, parent: Option<&OrgUnit>) {
        let known = self.draft(account.id).observation.account.get_or_insert(Account::new(account.id));
        let ou_path = Some(parent.map_or_else(|| "/".to_owned(), |parent| parent.path.clone()));
        let organization_id = tree.organization_id.clone().or(account.organization_id.clone());
        merge(known, Account { ou_path, organization_id, ..account });
    }

    fn malformed_node(&mut self, tree: &Tree<'_>, message: &str) -> usize {
        self.problem(tree.source, Fault::new("", message, "give the tree as AWS prints it"), None, None);
        let scope = Scope::global(tree.manager, ScopeKind::Organization);
        self.malformed(scope, "organizations:ListChildren", tree.source.path);
        0
    }

    /// Reads a root, an OU or an account, and what is below it.
    fn node(&mut self, tree: &Tree<'_>, map: &Map<String, Value>, parent: Option<&OrgUnit>, depth: usize) -> usize {
        let (source, manager) = (tree.source, tree.manager);
        let id = text(map, &["Id", "id"]).unwrap_or_default();
        if depth > MAX_DEPTH || id.is_empty() {
            return self.malformed_node(tree, "a node without an id, or nested too deep");
        }
        for (i, value) in list(map, &["Policies", "policies"]).into_iter().enumerate() {
            // A node may also name its policies by id only.
            if value.get("Content").or(value.get("content")).is_none() {
                continue;
            }
            let mut documents = Documents::default();
            let item = Item::new(value, format!("{id}/Policies/{i}"));
            match item.and_then(|item| policy(&item, manager, &mut documents)) {
                Ok(mut policy) => {
                    policy.targets.push(id.to_owned());
                    self.page(manager, (ScopeKind::OrgPolicies, None, None), tree.page.clone());
                    self.add_policy(manager, policy, documents);
                }
                Err(fault) => {
                    self.problem(source, fault, None, Some(i));
                    let scope = Scope::global(manager, ScopeKind::OrgPolicies);
                    self.malformed(scope, "organizations:DescribePolicy", source.path);
                }
            }
        }
        if id.parse::<AccountId>().is_ok() {
            if let Ok((account, _)) = account(map).into_account() {
                self.place_account(tree, account, parent);
            }
            return 1;
        }
        let unit = match (parent, text(map, &["Name", "name"])) {
            (None, _) => OrgUnit::root(manager, id.to_owned()),
            (Some(parent), Some(name)) => parent.child(id.to_owned(), name),
            (Some(_), None) => return self.malformed_node(tree, "an OU without a name"),
        };
        let units = &mut self.draft(manager).observation.org_units;
        if !units.contains(&unit) {
            units.push(unit.clone());
        }
        let below =
            ["Children", "children", "OrganizationalUnits", "organizationalUnits", "ous", "Accounts", "accounts"];
        let mut read = 1;
        for child in list(map, &below) {
            if let Some(account) = child.as_str().and_then(|id| id.parse::<AccountId>().ok()) {
                self.place_account(tree, Account::new(account), Some(&unit));
                read += 1;
            } else if let Some(child) = child.as_object() {
                read += self.node(tree, child, Some(&unit), depth + 1);
            }
        }
        // The root's own lists are read once, by their parents' ids.
        for child in tree.below.get(id).into_iter().flatten() {
            read += self.node(tree, child, Some(&unit), depth + 1);
        }
        read
    }
}

fn policy(item: &Item<'_>, manager: AccountId, documents: &mut Documents) -> Read<OrgPolicy> {
    let summary = item.maybe_item("PolicySummary")?;
    let about = summary.as_ref().unwrap_or(item);
    let owned = |keys: [&str; 2]| text(about.map, &keys).map(str::to_owned);
    let content = if item.get("Content").is_some() { "Content" } else { "content" };
    let kind = owned(["Type", "type"]).map(|kind| match kind.to_ascii_uppercase().as_str() {
        "SCP" => OrgPolicyKind::Scp.policy_type().to_owned(),
        "RCP" => OrgPolicyKind::Rcp.policy_type().to_owned(),
        kind => kind.to_owned(),
    });
    let target = |target: &&Value| {
        let named = || text(target.as_object()?, &["TargetId", "targetId", "id"]);
        target.as_str().or_else(named).map(str::to_owned)
    };
    let policy = OrganizationPolicy {
        id: owned(["Id", "id"]),
        name: owned(["Name", "name"]),
        kind,
        content: item.document(content)?,
        targets: list(item.map, &["Targets", "targets"]).iter().map(target).collect(),
    };
    policy.into_policy(manager, documents).map_err(|error| {
        let record = if matches!(error.field.as_str(), "/Id" | "/Type") { about } else { item };
        let mut fault = record.fault(&error);
        if error.field == "/Type" {
            fault.remedy = "give SERVICE_CONTROL_POLICY and RESOURCE_CONTROL_POLICY only".to_owned();
        }
        fault
    })
}
