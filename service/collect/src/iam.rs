//! Roles, policies and OIDC providers of an account.
//!
//! One listing (`GetAccountAuthorizationDetails`) holds roles with their inline documents and all
//! managed policies in use, so a refusal is a gap of both. Pages are converted as they come; no more
//! than one is held. The settings of OIDC providers are asked for one by one.

use crate::account_scan::{AccountScan, client, time};
use crate::call::{Fresh, Holder, PermissionUse, Refusal, listed};
use crate::entry::HubSession;
use aws_config::SdkConfig;
use aws_sdk_iam::types::{EntityType, ManagedPolicyDetail, PolicyDetail, RoleDetail};
use futures::future::join_all;
use rolecall_estate::coverage::{GapReason, ScopeKind};
use rolecall_estate::{OidcProvider, OidcProviderDetail, Role, aws};
use rolecall_iam::Arn;
use std::collections::{BTreeSet, HashSet};

pub(crate) static AUTHORIZATION_DETAILS: PermissionUse = PermissionUse {
    action: "iam:GetAccountAuthorizationDetails",
    holder: Holder::Member,
    why: "to read roles, their trust and permissions, and the managed policies in use",
};
pub(crate) static LIST_OIDC_PROVIDERS: PermissionUse = PermissionUse {
    action: "iam:ListOpenIDConnectProviders",
    holder: Holder::Member,
    why: "to tell trusted OIDC providers from missing ones",
};
pub(crate) static GET_OIDC_PROVIDER: PermissionUse = PermissionUse {
    action: "iam:GetOpenIDConnectProvider",
    holder: Holder::Member,
    why: "to tell which client ids an OIDC provider takes, and when that changes",
};

pub(crate) static ACTIONS: [&PermissionUse; 3] = [&AUTHORIZATION_DETAILS, &LIST_OIDC_PROVIDERS, &GET_OIDC_PROVIDER];

/// Asked for per page; IAM may give fewer.
const PAGE: i32 = 500;

/// `entered`: the role with which the account is read.
pub(crate) async fn account(scan: &AccountScan<'_>, config: &SdkConfig, hub: &HubSession, entered: Option<&str>) {
    let client = client!(aws_sdk_iam, config, &hub.region, scan.account_id);
    futures::join!(authorization_details(scan, &client, entered), oidc_providers(scan, &client));
}

async fn authorization_details(scan: &AccountScan<'_>, client: &aws_sdk_iam::Client, entered: Option<&str>) {
    let scopes = [scan.global(ScopeKind::Roles), scan.global(ScopeKind::Policies)];
    let [roles, policies] = &scopes;
    let read = authorization_pages(scan, client, |malformed, of_role| {
        scan.gap(if of_role { roles } else { policies }, &malformed);
    })
    .await;
    match read {
        Err(refusal) => {
            scan.gap(roles, &refusal);
            scan.gap(policies, &refusal);
        }
        Ok(()) => {
            for (scope, refusal) in untrue(scan, entered)
                .into_iter()
                .zip([roles, policies])
                .filter_map(|(refusal, scope)| Some((scope, refusal?)))
            {
                scan.gap(scope, &refusal);
            }
        }
    }
    for scope in scopes {
        scan.close_scope(&scope);
    }
}

/// What listings of roles and of policies that were read to their end lack and must hold: the role
/// with which they are read, and the policies that are attached to the roles.
fn untrue(scan: &AccountScan<'_>, entered: Option<&str>) -> [Option<Refusal>; 2] {
    scan.with(|seen| {
        let name_of = |role: &Role| role.arn.as_str().rsplit('/').next().map(str::to_owned);
        let entered = entered.filter(|name| !seen.roles.iter().any(|role| name_of(role).as_deref() == Some(name)));
        let roles = entered.map(|name| {
            let what = if seen.roles.is_empty() { "no role at all is listed" } else { "it is not listed" };
            Refusal::untrue(&AUTHORIZATION_DETAILS, format!("the account is read with the role {name}, and {what}"))
        });
        let listed: BTreeSet<&Arn> = seen.policies.iter().map(|policy| &policy.arn).collect();
        let mut attached = seen.roles.iter().flat_map(|role| role.attached.iter().map(move |policy| (role, policy)));
        let missing = attached.find(|(_, policy)| !listed.contains(&policy.arn));
        let policies = missing.map(|(role, policy)| {
            let detail = format!("policy {} is attached to role {}, and is not listed", policy.arn, role.arn);
            Refusal::untrue(&AUTHORIZATION_DETAILS, detail)
        });
        [roles, policies]
    })
}

async fn authorization_pages(
    scan: &AccountScan<'_>,
    client: &aws_sdk_iam::Client,
    malformed: impl Fn(Refusal, bool),
) -> Result<(), Refusal> {
    let mut pages = scan.caller.pages(&AUTHORIZATION_DETAILS);
    let mut marker = None;
    let mut once = Once::default();
    loop {
        let request = client
            .get_account_authorization_details()
            .filter(EntityType::Role)
            .filter(EntityType::LocalManagedPolicy)
            .filter(EntityType::AwsManagedPolicy)
            .max_items(PAGE)
            .set_marker(marker);
        let page = scan.caller.call(&AUTHORIZATION_DETAILS, request.send()).await?;
        let roles = listed(&AUTHORIZATION_DETAILS, page.role_detail_list)?;
        let policies = listed(&AUTHORIZATION_DETAILS, page.policies)?;
        once.page(&roles, &policies)?;
        // The SDK drops nothing but what it does not know; a fault costs only its item.
        let mut faults = Vec::new();
        scan.with(|seen| {
            for detail in roles.into_iter().filter(|role| once.is_new(role.arn.as_deref())) {
                let arn = detail.arn.clone().unwrap_or_default();
                match role(detail).into_role(&mut seen.documents) {
                    Ok((role, last_used)) => {
                        seen.roles.push(role);
                        seen.last_used.extend(last_used);
                    }
                    Err(error) => faults.push((format!("role {arn}: {error}"), true)),
                }
            }
            for detail in policies.into_iter().filter(|policy| once.is_new(policy.arn.as_deref())) {
                let arn = detail.arn.clone().unwrap_or_default();
                match policy(detail).into_policy(scan.account_id, &mut seen.documents) {
                    Ok(policy) => {
                        if policy.document.is_none() {
                            let version = &policy.default_version;
                            faults
                                .push((format!("policy {arn}: no document of the version {version} in force"), false));
                        }
                        seen.policies.push(policy);
                    }
                    Err(error) => faults.push((format!("policy {arn}: {error}"), false)),
                }
            }
        });
        for (fault, of_role) in faults {
            malformed(Refusal::malformed(&AUTHORIZATION_DETAILS, fault), of_role);
        }
        if !page.is_truncated {
            return Ok(());
        }
        marker = pages.next(page.marker)?;
        if marker.is_none() {
            return Err(Refusal::malformed(&AUTHORIZATION_DETAILS, "the answer is cut off, and names no next page"));
        }
    }
}

/// More roles and policies than this are in no account: IAM's quotas end at some thousands of each.
const MOST: usize = 100_000;

/// What the pages showed so far, each thing once. Pages without end are told by what they hold, since
/// each may carry up to some MB.
#[derive(Default)]
struct Once {
    seen: HashSet<String>,
    fresh: Fresh,
}

impl Once {
    fn page(&mut self, roles: &[RoleDetail], policies: &[ManagedPolicyDetail]) -> Result<(), Refusal> {
        let arns = roles.iter().map(|role| &role.arn).chain(policies.iter().map(|policy| &policy.arn));
        self.fresh.page(&AUTHORIZATION_DETAILS, arns.flatten().map(String::as_str))?;
        if self.seen.len() > MOST {
            let why = format!("the listing does not end: more than {MOST} roles and policies were listed");
            return Err(Refusal::malformed(&AUTHORIZATION_DETAILS, why));
        }
        Ok(())
    }

    /// Notes a thing. One without an ARN is always new: it is a fault of its own.
    fn is_new(&mut self, arn: Option<&str>) -> bool {
        arn.is_none_or(|arn| self.seen.insert(arn.to_owned()))
    }
}

fn role(detail: RoleDetail) -> aws::RoleDetail {
    let inline = |policy: PolicyDetail| aws::RolePolicy {
        policy_name: policy.policy_name,
        policy_document: policy.policy_document,
    };
    let attached = |policy: aws_sdk_iam::types::AttachedPolicy| aws::AttachedManagedPolicy {
        policy_arn: policy.policy_arn,
        policy_name: policy.policy_name,
    };
    aws::RoleDetail {
        arn: detail.arn,
        role_id: detail.role_id,
        create_date: detail.create_date.as_ref().and_then(time),
        assume_role_policy_document: detail.assume_role_policy_document,
        role_policy_list: detail.role_policy_list.map(|list| list.into_iter().map(inline).collect()),
        attached_managed_policies: detail
            .attached_managed_policies
            .map(|list| list.into_iter().map(attached).collect()),
        permissions_boundary: detail
            .permissions_boundary
            .map(|boundary| aws::PermissionsBoundary { permissions_boundary_arn: boundary.permissions_boundary_arn }),
        instance_profiles: detail
            .instance_profile_list
            .map(|list| list.into_iter().map(|profile| Some(profile.arn)).collect()),
        role_last_used: detail.role_last_used.map(|used| aws::LastUsed {
            last_used_date: used.last_used_date.as_ref().and_then(time),
            region: used.region,
        }),
        tags: detail.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect(),
    }
}

fn policy(detail: ManagedPolicyDetail) -> aws::ManagedPolicyDetail {
    let version = |version: aws_sdk_iam::types::PolicyVersion| aws::PolicyVersion {
        version_id: version.version_id,
        is_default_version: version.is_default_version,
        document: version.document,
    };
    aws::ManagedPolicyDetail {
        arn: detail.arn,
        policy_name: detail.policy_name,
        policy_id: detail.policy_id,
        default_version_id: detail.default_version_id,
        update_date: detail.update_date.as_ref().and_then(time),
        policy_version_list: detail.policy_version_list.unwrap_or_default().into_iter().map(version).collect(),
    }
}

async fn oidc_providers(scan: &AccountScan<'_>, client: &aws_sdk_iam::Client) {
    let (scope, details) = (scan.global(ScopeKind::OidcProviders), scan.global(ScopeKind::OidcProviderDetails));
    let answer = scan.caller.call(&LIST_OIDC_PROVIDERS, client.list_open_id_connect_providers().send()).await;
    match answer.and_then(|answer| listed(&LIST_OIDC_PROVIDERS, answer.open_id_connect_provider_list)) {
        Ok(providers) => {
            let mut found = Vec::new();
            for entry in providers {
                match aws::oidc_provider(entry.arn) {
                    Ok((_, provider)) => found.push(provider),
                    Err(error) => scan.gap(&scope, &Refusal::malformed(&LIST_OIDC_PROVIDERS, error.to_string())),
                }
            }
            let described = join_all(found.into_iter().map(|provider| async {
                match oidc_provider(scan, client, &provider.arn).await {
                    Ok(detail) => Some(OidcProvider { detail: Some(detail), ..provider }),
                    Err(refusal) if refusal.is_gone() => None,
                    Err(refusal) => {
                        scan.gap(&details, &refusal);
                        Some(provider)
                    }
                }
            }))
            .await;
            scan.with(|seen| seen.oidc_providers.extend(described.into_iter().flatten()));
        }
        Err(refusal) => {
            scan.gap(&scope, &refusal);
            scan.gap(&details, &Refusal { reason: GapReason::NotReached, ..refusal });
        }
    }
    scan.close_scope(&scope);
    scan.close_scope(&details);
}

async fn oidc_provider(
    scan: &AccountScan<'_>,
    client: &aws_sdk_iam::Client,
    arn: &Arn,
) -> Result<OidcProviderDetail, Refusal> {
    let request = client.get_open_id_connect_provider().open_id_connect_provider_arn(arn.as_str());
    let answer = scan.caller.call(&GET_OIDC_PROVIDER, request.send()).await?;
    let answer = aws::OidcProviderAnswer {
        client_id_list: answer.client_id_list,
        thumbprint_list: answer.thumbprint_list,
        tags: answer.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect(),
    };
    let missing = || Refusal::malformed(&GET_OIDC_PROVIDER, "the answer has neither client ids nor thumbprints");
    answer.into_detail().ok_or_else(missing)
}
