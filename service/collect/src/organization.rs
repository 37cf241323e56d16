//! The accounts to look at, and what the organisation lays over them.
//!
//! Everything is asked of the hub's account and stands under its id, whether it is the management
//! account or a delegated administrator. When the list of accounts is refused, the hub's own and
//! those known from earlier looks are looked at.

use crate::account_scan::{AccountScan, client};
use crate::call::{Holder, PermissionUse, Refusal, pages};
use crate::entry::HubSession;
use crate::plan::{Accounts, Target};
use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::PolicyType;
use futures::future::join_all;
use rolecall_estate::aws::{OrganizationAccount, OrganizationPolicy};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Account, OrgPolicyKind, OrgUnit};
use rolecall_iam::AccountId;
use std::collections::BTreeMap;

macro_rules! permissions {
    ($($name:ident: $action:literal, $why:literal;)*) => {
        $(pub(crate) static $name: PermissionUse =
            PermissionUse { action: $action, holder: Holder::Management, why: $why };)*
        pub(crate) static ACTIONS: [&PermissionUse; [$(stringify!($name)),*].len()] = [$(&$name),*];
    };
}

permissions! {
    DESCRIBE_ORGANIZATION: "organizations:DescribeOrganization", "to know the management account";
    LIST_ACCOUNTS: "organizations:ListAccounts", "to find the accounts to look at";
    LIST_ROOTS: "organizations:ListRoots", "to know where the tree of OUs begins";
    LIST_UNITS: "organizations:ListOrganizationalUnitsForParent", "to know the tree of OUs";
    LIST_ACCOUNTS_OF: "organizations:ListAccountsForParent", "to know each account's OU";
    LIST_POLICIES: "organizations:ListPolicies", "to find service and resource control policies";
    DESCRIBE_POLICY: "organizations:DescribePolicy", "to read service and resource control policies";
    LIST_TARGETS: "organizations:ListTargetsForPolicy", "to know where such policies are attached";
}

/// AWS's code for an account that is in no organisation.
pub(crate) const NOT_IN_USE: &str = "AWSOrganizationsNotInUseException";

/// An account to look at, and how to step into it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) account: Account,
    pub(crate) target: Target,
}

impl Found {
    fn usual(account: Account) -> Self {
        let target = Target { account_id: account.id, name: None, role_arn: None, external_id: None };
        Self { account, target }
    }

    /// The status of an account that nobody can enter any more.
    pub(crate) fn closed(&self) -> Option<&str> {
        self.account.status.as_deref().filter(|status| *status != "ACTIVE")
    }
}

fn bare(id: AccountId, name: Option<String>) -> Account {
    Account { name, ..Account::new(id) }
}

pub(crate) async fn discover(scan: &AccountScan<'_>, hub: &HubSession) -> Vec<Found> {
    match &scan.plan.settings.accounts {
        Accounts::HubOnly => vec![Found::usual(bare(hub.account_id, None))],
        Accounts::Listed(targets) => targets
            .iter()
            .map(|target| Found { account: bare(target.account_id, target.name.clone()), target: target.clone() })
            .collect(),
        Accounts::Organization => organization(scan, hub).await,
    }
}

async fn organization(scan: &AccountScan<'_>, hub: &HubSession) -> Vec<Found> {
    let client = client!(aws_sdk_organizations, &hub.config, &hub.region, hub.account_id);
    let scope = scan.global(ScopeKind::Organization);
    let policies = scan.global(ScopeKind::OrgPolicies);
    let mut management = None;
    let answer = scan.caller.call(&DESCRIBE_ORGANIZATION, client.describe_organization().send()).await;
    let named = answer.and_then(|answer| {
        let id = answer.organization.and_then(|found| found.master_account_id?.parse::<AccountId>().ok());
        id.ok_or_else(|| Refusal::malformed(&DESCRIBE_ORGANIZATION, "the answer names no management account"))
    });
    match named {
        Ok(id) => management = Some(id),
        Err(refusal) if refusal.code.as_deref() == Some(NOT_IN_USE) => {
            // No organisation: that, too, is a complete answer.
            scan.close_scope(&scope);
            scan.close_scope(&policies);
            return vec![Found::usual(bare(hub.account_id, None))];
        }
        Err(refusal) => scan.gap(&scope, &refusal),
    }
    let (accounts, paths, ()) = futures::join!(
        accounts(scan, &client, &scope),
        tree(scan, &client, &scope),
        control_policies(scan, &client, &policies)
    );
    let (mut accounts, listed_management) = accounts;
    let management = management.or(listed_management);
    for (id, account) in &mut accounts {
        account.is_management = management == Some(*id);
        account.ou_path = paths.get(id).cloned();
    }
    scan.close_scope(&scope);
    scan.close_scope(&policies);
    accounts.into_values().map(Found::usual).collect()
}

type ById = BTreeMap<AccountId, Account>;

/// The accounts, and the management account as their ARNs name it.
async fn accounts(scan: &AccountScan<'_>, client: &Client, scope: &Scope) -> (ById, Option<AccountId>) {
    let mut found = ById::new();
    let mut management = None;
    let request = || client.list_accounts();
    let ended = pages!(scan, &LIST_ACCOUNTS, |token| request().set_next_token(token), accounts, |accounts| {
        for listed in accounts {
            let listed = OrganizationAccount {
                id: listed.id,
                arn: listed.arn,
                name: listed.name,
                state: listed.state.map(|state| state.as_str().to_owned()),
                status: listed.status.map(|status| status.as_str().to_owned()),
            };
            match listed.into_account() {
                Ok((account, named)) => {
                    management = management.or(named);
                    found.insert(account.id, account);
                }
                Err(error) => scan.gap(scope, &Refusal::malformed(&LIST_ACCOUNTS, format!("an account: {error}"))),
            }
        }
    });
    if let Some(refusal) = ended {
        scan.gap(scope, &refusal);
        for known in &scan.plan.settings.known_accounts {
            found.entry(known.id).or_insert_with(|| known.clone());
        }
    }
    found.entry(scan.account_id).or_insert_with(|| bare(scan.account_id, None));
    (found, management)
}

/// Walks the tree of OUs, level by level; returns the path of each account.
async fn tree(scan: &AccountScan<'_>, client: &Client, scope: &Scope) -> BTreeMap<AccountId, String> {
    let mut paths = BTreeMap::new();
    let mut level = Vec::new();
    let request = || client.list_roots();
    let ended = pages!(scan, &LIST_ROOTS, |token| request().set_next_token(token), roots, |roots| {
        for root in roots {
            match root.id {
                Some(id) => {
                    level.push(OrgUnit::root(scan.account_id, id));
                }
                None => scan.gap(scope, &Refusal::malformed(&LIST_ROOTS, "a root without an id")),
            }
        }
    });
    if let Some(refusal) = ended {
        scan.gap(scope, &refusal);
    }
    while !level.is_empty() {
        let below = join_all(level.iter().map(|unit| async move {
            futures::join!(units_of(scan, client, scope, unit), accounts_of(scan, client, scope, unit))
        }))
        .await;
        let mut next = Vec::new();
        for (unit, (units, accounts)) in level.iter().zip(below) {
            paths.extend(accounts.into_iter().map(|id| (id, unit.path.clone())));
            next.extend(units);
        }
        scan.with(|seen| seen.org_units.append(&mut level));
        level = next;
    }
    paths
}

async fn units_of(scan: &AccountScan<'_>, client: &Client, scope: &Scope, parent: &OrgUnit) -> Vec<OrgUnit> {
    let mut units = Vec::new();
    let request = || client.list_organizational_units_for_parent().parent_id(&parent.id);
    let ended = pages!(scan, &LIST_UNITS, |token| request().set_next_token(token), organizational_units, |listed| {
        for unit in listed {
            let (Some(id), Some(name)) = (unit.id, unit.name) else {
                let fault = format!("an OU of {} without id or name", parent.id);
                scan.gap(scope, &Refusal::malformed(&LIST_UNITS, fault));
                continue;
            };
            units.push(parent.child(id, &name));
        }
    });
    if let Some(refusal) = ended {
        scan.gap(scope, &refusal);
    }
    units
}

async fn accounts_of(scan: &AccountScan<'_>, client: &Client, scope: &Scope, parent: &OrgUnit) -> Vec<AccountId> {
    let mut found = Vec::new();
    let request = || client.list_accounts_for_parent().parent_id(&parent.id);
    let ended = pages!(scan, &LIST_ACCOUNTS_OF, |token| request().set_next_token(token), accounts, |accounts| {
        for account in accounts {
            match account.id.as_deref().unwrap_or_default().parse::<AccountId>() {
                Ok(id) => found.push(id),
                Err(error) => scan.gap(scope, &Refusal::malformed(&LIST_ACCOUNTS_OF, error.to_string())),
            }
        }
    });
    if let Some(refusal) = ended {
        scan.gap(scope, &refusal);
    }
    found
}

async fn control_policies(scan: &AccountScan<'_>, client: &Client, scope: &Scope) {
    for kind in OrgPolicyKind::ALL {
        let mut listed = Vec::new();
        let request = || client.list_policies().filter(PolicyType::from(kind.policy_type()));
        let ended = pages!(scan, &LIST_POLICIES, |token| request().set_next_token(token), policies, |policies| {
            for policy in policies {
                match policy.id {
                    Some(id) => listed.push((id, policy.name)),
                    None => scan.gap(scope, &Refusal::malformed(&LIST_POLICIES, "a policy without an id")),
                }
            }
        });
        if let Some(refusal) = ended {
            scan.gap(scope, &refusal);
        }
        let read = join_all(listed.into_iter().map(|(id, name)| async move {
            let (content, targets) = futures::join!(content(scan, client, &id), targets(scan, client, &id));
            (id, name, content, targets)
        }))
        .await;
        for (id, name, content, targets) in read {
            // A policy that was not read to its end is left out, and the gap says so.
            match (content, targets) {
                (Ok(content), Ok(targets)) => {
                    let policy = OrganizationPolicy {
                        id: Some(id.clone()),
                        name,
                        kind: Some(kind.policy_type().to_owned()),
                        content,
                        targets,
                    };
                    let read = scan.with(|seen| policy.into_policy(scan.account_id, &mut seen.documents));
                    match read {
                        Ok(policy) => scan.with(|seen| seen.org_policies.push(policy)),
                        Err(error) => {
                            let of_targets = error.field.starts_with("/Targets");
                            let action = if of_targets { &LIST_TARGETS } else { &DESCRIBE_POLICY };
                            scan.gap(scope, &Refusal::malformed(action, format!("policy {id}: {error}")));
                        }
                    }
                }
                (content, targets) => {
                    for refusal in content.err().iter().chain(&targets.err()).filter(|refusal| !refusal.is_gone()) {
                        scan.gap(scope, refusal);
                    }
                }
            }
        }
    }
}

async fn content(scan: &AccountScan<'_>, client: &Client, id: &str) -> Result<Option<String>, Refusal> {
    let answer = scan.caller.call(&DESCRIBE_POLICY, client.describe_policy().policy_id(id).send()).await?;
    Ok(answer.policy.and_then(|policy| policy.content))
}

async fn targets(scan: &AccountScan<'_>, client: &Client, id: &str) -> Result<Vec<Option<String>>, Refusal> {
    let mut found = Vec::new();
    let request = || client.list_targets_for_policy().policy_id(id);
    let ended = pages!(scan, &LIST_TARGETS, |token| request().set_next_token(token), targets, |targets| {
        found.extend(targets.into_iter().map(|target| target.target_id));
    });
    ended.map_or(Ok(found), Err)
}
