//! One call for each permission in each account, to tell what is missing before a scan does.
//!
//! Where a call needs a thing that the account does not have, it asks for one that does not exist:
//! AWS checks the permission first.

use crate::account_scan::{AccountScan, client};
use crate::call::{Caller, PermissionUse, Refusal};
use crate::entry::{self, CannotStart, HubSession};
use crate::plan::{Accounts, Plan, Regions};
use crate::{eks, iam, organization, regions, trail};
use aws_config::SdkConfig;
use futures::StreamExt as _;
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use std::collections::BTreeSet;

/// How a permission stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Granted,
    /// The call failed.
    Failed {
        /// Why.
        reason: GapReason,
        /// What AWS said, without secrets.
        detail: String,
    },
    /// It was not tried, as the account could not be entered.
    NotTried,
}

/// One permission in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The account.
    pub account_id: AccountId,
    /// The permission.
    pub permission: PermissionUse,
    /// How it stands.
    pub answer: Answer,
}

/// A name that nothing bears.
const NOBODY: &str = "rolecall-doctor";

/// Tries every permission once in every account of the plan, in one region.
///
/// # Errors
/// What keeps a scan from beginning keeps this from it, too.
pub async fn doctor(plan: &Plan) -> Result<Vec<Probe>, CannotStart> {
    let caller = Caller::new(plan.settings.max_concurrent_calls);
    let hub = HubSession::open(plan, &caller).await?;
    let scan = AccountScan::at(hub.account_id, plan, &(), chrono::DateTime::UNIX_EPOCH, crate::call::Deadline::NONE);
    let accounts = organization::discover(&scan, &hub).await;
    let mut probes = Vec::new();
    if plan.settings.accounts == Accounts::Organization {
        probes.extend(of_organization(&hub, &caller).await);
    }
    let hub = &hub;
    let open = accounts.into_iter().filter(|found| found.closed().is_none());
    let of_accounts: Vec<Vec<Probe>> = futures::stream::iter(open)
        .map(|found| async move {
            let caller = Caller::new(plan.settings.max_concurrent_calls);
            let account_id = found.account.id;
            let probe = |permission: &PermissionUse, answer| Probe { account_id, permission: *permission, answer };
            match hub.enter(plan, &found.target, &caller).await {
                Ok(config) => {
                    let mut probes = vec![probe(&entry::ASSUME_ROLE, Answer::Granted)];
                    probes.extend(of_member(plan, hub, &config.0, &caller, account_id).await);
                    probes
                }
                Err(refusal) => std::iter::once(probe(&entry::ASSUME_ROLE, failed(refusal)))
                    .chain(member_actions().map(|permission| probe(permission, Answer::NotTried)))
                    .collect(),
            }
        })
        .buffer_unordered(plan.settings.max_concurrent_accounts)
        .collect()
        .await;
    probes.extend(of_accounts.into_iter().flatten());
    probes.sort_by_key(|probe| (probe.account_id, probe.permission.action));
    Ok(probes)
}

fn member_actions() -> impl Iterator<Item = &'static PermissionUse> {
    [&regions::ACTIONS[..], &iam::ACTIONS, &eks::ACTIONS, &trail::ACTIONS].into_iter().flatten().copied()
}

fn failed(refusal: Refusal) -> Answer {
    Answer::Failed { reason: refusal.reason, detail: refusal.detail }
}

/// What an outcome says about the permission: whatever AWS says after it checked the permission
/// shows that it is there.
pub(crate) fn answer<T>(outcome: Result<T, Refusal>) -> Answer {
    match outcome {
        Ok(_) => Answer::Granted,
        Err(refusal) if refusal.is_gone() || is_complaint(&refusal) => Answer::Granted,
        Err(refusal) => failed(refusal),
    }
}

/// Whether AWS found fault with the request itself, or with there being no organisation, which it
/// does only after the permission.
fn is_complaint(refusal: &Refusal) -> bool {
    refusal.reason == GapReason::Denied
        && refusal.code.as_deref().is_some_and(|code| {
            // A receipt handle, or a key, that there is none of.
            matches!(code, organization::NOT_IN_USE | "ReceiptHandleIsInvalid" | "NoSuchKey")
                || ["Invalid", "Validation"].iter().any(|prefix| code.starts_with(prefix))
        })
}

macro_rules! probe {
    ($probes:ident, $caller:ident, $account:expr, $permission:expr, $request:expr) => {{
        let outcome = $caller.call($permission, $request.send()).await;
        $probes.push(Probe { account_id: $account, permission: *$permission, answer: answer(outcome) });
    }};
}

async fn of_organization(hub: &HubSession, caller: &Caller) -> Vec<Probe> {
    use crate::organization::{
        DESCRIBE_ORGANIZATION, DESCRIBE_POLICY, LIST_ACCOUNTS, LIST_ACCOUNTS_OF, LIST_POLICIES, LIST_ROOTS,
        LIST_TARGETS, LIST_UNITS,
    };
    let account = hub.account_id;
    let client = client!(aws_sdk_organizations, &hub.config, &hub.region, account);
    let scps = aws_sdk_organizations::types::PolicyType::ServiceControlPolicy;
    let (parent, policy) = ("r-0000", "p-00000000");
    let mut probes = Vec::new();
    probe!(probes, caller, account, &DESCRIBE_ORGANIZATION, client.describe_organization());
    probe!(probes, caller, account, &LIST_ACCOUNTS, client.list_accounts());
    probe!(probes, caller, account, &LIST_ROOTS, client.list_roots());
    probe!(probes, caller, account, &LIST_UNITS, client.list_organizational_units_for_parent().parent_id(parent));
    probe!(probes, caller, account, &LIST_ACCOUNTS_OF, client.list_accounts_for_parent().parent_id(parent));
    probe!(probes, caller, account, &LIST_POLICIES, client.list_policies().filter(scps));
    probe!(probes, caller, account, &DESCRIBE_POLICY, client.describe_policy().policy_id(policy));
    probe!(probes, caller, account, &LIST_TARGETS, client.list_targets_for_policy().policy_id(policy));
    probes
}

async fn of_member(
    plan: &Plan,
    hub: &HubSession,
    config: &SdkConfig,
    caller: &Caller,
    account: AccountId,
) -> Vec<Probe> {
    use crate::eks::{
        DESCRIBE_ACCESS_ENTRY, DESCRIBE_ADDON, DESCRIBE_ASSOCIATION, DESCRIBE_CLUSTER, LIST_ACCESS_ENTRIES,
        LIST_ACCESS_POLICIES, LIST_ADDONS, LIST_ASSOCIATIONS, LIST_CLUSTERS,
    };
    use crate::iam::{AUTHORIZATION_DETAILS, GET_OIDC_PROVIDER, LIST_OIDC_PROVIDERS};
    use crate::trail::{DESCRIBE_TRAILS, EVENT_SELECTORS, LOOKUP_EVENTS, TRAIL_STATUS};
    let region: &Region = match &plan.settings.regions {
        Regions::Listed(listed) => listed.first().unwrap_or(&hub.region),
        Regions::Found => &hub.region,
    };
    let mut probes = Vec::new();

    let client = client!(aws_sdk_account, config, &hub.region, account);
    probe!(probes, caller, account, &regions::LIST_REGIONS, client.list_regions());

    let client = client!(aws_sdk_iam, config, &hub.region, account);
    probe!(probes, caller, account, &AUTHORIZATION_DETAILS, client.get_account_authorization_details().max_items(1));
    probe!(probes, caller, account, &LIST_OIDC_PROVIDERS, client.list_open_id_connect_providers());
    let provider = format!("arn:{}:iam::{account}:oidc-provider/{NOBODY}", hub.partition);
    let get = client.get_open_id_connect_provider().open_id_connect_provider_arn(&provider);
    probe!(probes, caller, account, &GET_OIDC_PROVIDER, get);

    // Describing may be granted for the account's own clusters only, so one of those is asked for.
    let client = client!(aws_sdk_eks, config, region, account);
    let listed = caller.call(&LIST_CLUSTERS, client.list_clusters().send()).await;
    let first = listed.as_ref().ok().and_then(|page| page.clusters().first().cloned());
    let cluster = first.unwrap_or_else(|| NOBODY.to_owned());
    probes.push(Probe { account_id: account, permission: LIST_CLUSTERS, answer: answer(listed) });
    let principal = format!("arn:{}:iam::{account}:role/{NOBODY}", hub.partition);
    probe!(probes, caller, account, &DESCRIBE_CLUSTER, client.describe_cluster().name(&cluster));
    probe!(probes, caller, account, &LIST_ASSOCIATIONS, client.list_pod_identity_associations().cluster_name(&cluster));
    let describe =
        client.describe_pod_identity_association().cluster_name(&cluster).association_id("a-00000000000000000");
    probe!(probes, caller, account, &DESCRIBE_ASSOCIATION, describe);
    probe!(probes, caller, account, &LIST_ADDONS, client.list_addons().cluster_name(&cluster));
    probe!(probes, caller, account, &DESCRIBE_ADDON, client.describe_addon().cluster_name(&cluster).addon_name(NOBODY));
    probe!(probes, caller, account, &LIST_ACCESS_ENTRIES, client.list_access_entries().cluster_name(&cluster));
    let describe = client.describe_access_entry().cluster_name(&cluster).principal_arn(&principal);
    probe!(probes, caller, account, &DESCRIBE_ACCESS_ENTRY, describe);
    let list = client.list_associated_access_policies().cluster_name(&cluster).principal_arn(&principal);
    probe!(probes, caller, account, &LIST_ACCESS_POLICIES, list);

    let client = client!(aws_sdk_cloudtrail, config, region, account);
    probe!(probes, caller, account, &DESCRIBE_TRAILS, client.describe_trails());
    probe!(probes, caller, account, &EVENT_SELECTORS, client.get_event_selectors().trail_name(NOBODY));
    probe!(probes, caller, account, &TRAIL_STATUS, client.get_trail_status().name(NOBODY));
    probe!(probes, caller, account, &LOOKUP_EVENTS, client.lookup_events().max_results(1));
    probes
}

/// The policy statements that would grant what is missing, as an IAM policy; `None` where nothing
/// is.
#[must_use]
pub fn missing_statement(probes: &[Probe]) -> Option<serde_json::Value> {
    let denied = probes.iter().filter(|probe| matches!(probe.answer, Answer::Failed { reason: GapReason::Denied, .. }));
    let (mut actions, mut closed) = (BTreeSet::new(), BTreeSet::new());
    for probe in denied {
        if probe.permission.action == entry::ASSUME_ROLE.action {
            closed.insert(format!("arn:*:iam::{}:role/*", probe.account_id));
        } else {
            actions.insert(probe.permission.action);
        }
    }
    let mut statements = Vec::new();
    if !actions.is_empty() {
        statements.push(serde_json::json!({
            "Sid": "RolecallMissing", "Effect": "Allow", "Action": actions, "Resource": "*",
        }));
    }
    if !closed.is_empty() {
        statements.push(serde_json::json!({
            "Sid": "RolecallEntry", "Effect": "Allow", "Action": entry::ASSUME_ROLE.action, "Resource": closed,
        }));
    }
    (!statements.is_empty()).then(|| serde_json::json!({"Version": "2012-10-17", "Statement": statements}))
}
