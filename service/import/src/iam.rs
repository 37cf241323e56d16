//! `GetAccountAuthorizationDetails`, `ListOpenIDConnectProviders` and `GetOpenIDConnectProvider`.
//!
//! Knows the CLI's spelling, with documents decoded, percent-encoded or as JSON objects. Users and
//! groups are not read. Refuses to know whether a role is used.

use super::item::{Fault, Item, Read};
use super::listing::Proof;
use super::{AccountDraft, Builder, Source};
use chrono::{DateTime, Utc};
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{Documents, ManagedPolicy, OidcProvider, OidcProviderDetail, Role, RoleLastUsed, Snapshot, aws};
use rolecall_iam::{AccountId, Arn};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) const ACTION: &str = "iam:GetAccountAuthorizationDetails";

/// The lists that AWS always answers with, empty ones too.
const LISTS: [&str; 4] = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"];
/// The path of roles that AWS makes itself. No account is without: each has that of AWS Support.
/// <https://docs.aws.amazon.com/awssupport/latest/user/using-service-linked-roles-sup.html>
const SERVICE_ROLES: &str = ":role/aws-service-role/";

impl Builder {
    pub(super) fn authorization_details(&mut self, source: Source<'_>, value: &Value) -> usize {
        let Some(account) = source.place.account.or_else(|| account_of(value)) else {
            let remedy = "put the file below a folder named by the account id, such as iam/111122223333/";
            self.problem(source, Fault::new("", "no ARN in it names an account", remedy), None, None);
            return 0;
        };
        let mut count = 0;
        let seen = |key: &str| value.get(key).is_some_and(Value::is_array);
        let list = |key: &'static str| {
            let list = value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().enumerate().map(move |(i, v)| (i, Item::new(v, format!("/{key}/{i}"))))
        };
        for (i, item) in list("RoleDetailList") {
            let mut documents = Documents::default();
            let read = item.and_then(|item| role(&item)?.into_role(&mut documents).map_err(|error| item.fault(&error)));
            match read {
                Ok((role, last_used)) => count += usize::from(self.role(source, account, role, last_used, documents)),
                Err(fault) => self.refused(source, fault, i, Scope::global(account, ScopeKind::Roles)),
            }
        }
        for (i, item) in list("Policies") {
            let mut documents = Documents::default();
            let read = item.and_then(|item| {
                managed_policy(&item)?.into_policy(account, &mut documents).map_err(|error| item.fault(&error))
            });
            match read {
                Ok(policy) => count += usize::from(self.managed_policy(source, policy, documents)),
                Err(fault) => self.refused(source, fault, i, Scope::global(account, ScopeKind::Policies)),
            }
        }
        let mut page = source.page(value, source.is_below("iam"));
        if !LISTS.iter().all(|list| seen(list)) {
            page.proof = Proof::Thinned;
        }
        for (kind, list) in [(ScopeKind::Roles, "RoleDetailList"), (ScopeKind::Policies, "Policies")] {
            // A page may hold nothing of one list, and the next all of it.
            if seen(list) || page.token.is_some() {
                self.page(account, (kind, None, None), page.clone());
            }
        }
        let draft = self.draft(account);
        draft.held = true;
        draft.newest = draft.newest.max(newest(value));
        count
    }

    fn refused(&mut self, source: Source<'_>, fault: Fault, record: usize, scope: Scope) {
        self.problem(source, fault, None, Some(record));
        self.malformed(scope, ACTION, source.path);
    }

    /// Whether the role was taken: the same role in two files, and not the same, is a contradiction.
    fn role(
        &mut self,
        source: Source<'_>,
        account: AccountId,
        role: Role,
        last_used: Option<RoleLastUsed>,
        documents: Documents,
    ) -> bool {
        let owner = role.arn.account_id();
        if owner != account {
            let message = format!("the role {} is not of account {account}", role.arn);
            let remedy = "give each account's authorization details in a file of its own";
            self.problem(source, Fault::new("/RoleDetailList", message, remedy), None, None);
        }
        let draft = self.draft(owner);
        draft.held = true;
        let at = draft.role_at.get(role.arn.arn().as_str());
        if let Some(known) = at.and_then(|at| draft.observation.roles.get(*at)) {
            if *known != role {
                let message = format!("the role {} is in another file too, and not the same", role.arn);
                self.problem(source, Fault::new("/RoleDetailList", message, "keep one of the two files"), None, None);
                self.malformed(Scope::global(owner, ScopeKind::Roles), ACTION, source.path);
            }
            return false;
        }
        draft.observation.documents.absorb(documents);
        draft.role_at.insert(role.arn.arn().as_str().into(), draft.observation.roles.len());
        draft.observation.roles.push(role);
        draft.observation.last_used.extend(last_used);
        true
    }

    fn managed_policy(&mut self, source: Source<'_>, policy: ManagedPolicy, documents: Documents) -> bool {
        let account = policy.account_id;
        if policy.document.is_none() {
            let message = format!("the version {} in force of {} has no document", policy.default_version, policy.arn);
            let remedy = "give the authorization details with every policy version";
            self.refused(
                source,
                Fault::new("/Policies", message, remedy),
                0,
                Scope::global(account, ScopeKind::Policies),
            );
        }
        let draft = self.draft(account);
        let at = draft.policy_at.get(policy.arn.as_str());
        if let Some(known) = at.and_then(|at| draft.observation.policies.get(*at)) {
            if *known != policy {
                let message = format!("the policy {} is in another file too, and not the same", policy.arn);
                self.problem(source, Fault::new("/Policies", message, "keep one of the two files"), None, None);
                self.malformed(Scope::global(account, ScopeKind::Policies), ACTION, source.path);
            }
            return false;
        }
        draft.observation.documents.absorb(documents);
        draft.policy_at.insert(policy.arn.as_str().into(), draft.observation.policies.len());
        draft.observation.policies.push(policy);
        true
    }

    pub(super) fn oidc_providers(&mut self, source: Source<'_>, value: &Value) -> usize {
        let list = value.get("OpenIDConnectProviderList").and_then(Value::as_array);
        let mut count = 0;
        let mut accounts: Vec<AccountId> = source.place.account.into_iter().collect();
        for (i, value) in list.into_iter().flatten().enumerate() {
            let item = Item::new(value, format!("/OpenIDConnectProviderList/{i}"));
            let read = item.and_then(|item| {
                let (account, provider) = aws::oidc_provider(item.owned("Arn")?).map_err(|error| item.fault(&error))?;
                Ok((account, OidcProvider { detail: provider_detail(&item)?, ..provider }))
            });
            match read {
                Ok((account, provider)) => {
                    accounts.push(account);
                    self.provider(source, account, provider);
                    count += 1;
                }
                Err(fault) => self.problem(source, fault, None, Some(i)),
            }
        }
        for account in accounts {
            let page = source.page(value, source.is_below("iam"));
            self.page(account, (ScopeKind::OidcProviders, None, None), page);
        }
        count
    }

    /// An answer of `GetOpenIDConnectProvider`. It names the issuer and not the account: the folder does.
    pub(super) fn oidc_provider(&mut self, source: Source<'_>, value: &Value) -> usize {
        let read = Item::new(value, "").and_then(|item| {
            let url = item.text("Url")?;
            let issuer = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/');
            let Some(account) = source.place.account else {
                let remedy = "put the file into iam/ACCOUNT/, or give the provider in OpenIDConnectProviderList";
                return Err(Fault::new("/Url", "the answer does not say whose provider it is", remedy));
            };
            let of_account = self.drafts.get(&account).into_iter().flat_map(|draft| &draft.observation.oidc_providers);
            let partition = of_account.map(|known| known.arn.partition()).next().unwrap_or("aws");
            let arn = format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}");
            let (account, provider) = aws::oidc_provider(Some(arn)).map_err(|error| item.fault(&error))?;
            Ok((account, OidcProvider { detail: provider_detail(&item)?, ..provider }))
        });
        match read {
            Ok((account, provider)) => self.provider(source, account, provider),
            Err(fault) => {
                self.problem(source, fault, None, None);
                return 0;
            }
        }
        1
    }

    /// A provider that a file tells of. A listing and an answer of its own complete each other.
    fn provider(&mut self, source: Source<'_>, account: AccountId, provider: OidcProvider) {
        let providers = &mut self.draft(account).observation.oidc_providers;
        let Some(known) = providers.iter_mut().find(|known| known.arn == provider.arn) else {
            providers.push(provider);
            return;
        };
        match (&known.detail, provider.detail) {
            (None, detail) => known.detail = detail,
            (Some(one), Some(other)) if *one != other => {
                let message = format!("the OIDC provider {} is in another file too, and not the same", provider.arn);
                let fault = Fault::new("/ClientIDList", message, "keep one of the two files");
                self.problem(source, fault, None, None);
                let scope = Scope::global(account, ScopeKind::OidcProviderDetails);
                self.malformed(scope, "iam:GetOpenIDConnectProvider", source.path);
            }
            _ => {}
        }
    }
}

fn provider_detail(item: &Item<'_>) -> Read<Option<OidcProviderDetail>> {
    let texts = |key: &str| item.get(key).map(|_| item.texts(key)).transpose();
    let (client_id_list, thumbprint_list) = (texts("ClientIDList")?, texts("ThumbprintList")?);
    Ok(aws::OidcProviderAnswer { client_id_list, thumbprint_list, tags: item.tags("Tags")? }.into_detail())
}

impl AccountDraft {
    /// Whether authorization details may be complete by what they hold. `--filter` leaves the lists of
    /// other kinds empty and AWS's word that there are no further pages, so neither proves anything
    /// without the roles that no account lacks, and the policies that roles name.
    pub(super) fn check_details(&mut self, account: AccountId, seen: &Snapshot, complete: bool) {
        let is_listed = |kind| self.listings.contains_key(&(kind, None, None));
        let gap = |kind, detail: String| Gap {
            scope: Scope::global(account, kind),
            action: ACTION.to_owned(),
            reason: GapReason::Filtered,
            detail,
            day: None,
        };
        let mut gaps = Vec::new();
        if is_listed(ScopeKind::Roles) && seen.roles.is_empty() {
            gaps.push(gap(ScopeKind::Roles, "no role is listed, and no account is without".to_owned()));
        }
        if is_listed(ScopeKind::Policies) && seen.policies.is_empty() && seen.roles.is_empty() {
            gaps.push(gap(ScopeKind::Policies, "no policy is listed, and no role that could have any".to_owned()));
        }
        let held: BTreeSet<&str> = seen.policies.iter().map(|policy| policy.arn.as_str()).collect();
        let named =
            seen.roles.iter().flat_map(|role| role.attached.iter().map(|policy| &policy.arn).chain(&role.boundary));
        let missing = named.map(Arn::as_str).find(|arn| !held.contains(arn));
        if let (true, Some(missing)) = (is_listed(ScopeKind::Policies), missing) {
            gaps.push(gap(ScopeKind::Policies, format!("roles name policies that are not listed, such as {missing}")));
        }
        gaps.into_iter().for_each(|gap| self.note(gap));
        let has_service_roles = seen.roles.iter().any(|role| role.arn.as_str().contains(SERVICE_ROLES));
        if !has_service_roles && !complete {
            for kind in [ScopeKind::Roles, ScopeKind::Policies] {
                let pages = self.listings.get_mut(&(kind, None, None)).into_iter().flatten();
                for page in pages.filter(|page| page.proof == Proof::Layout) {
                    page.proof = Proof::None;
                }
            }
        }
    }
}

/// The newest date of users, groups, roles and policies; not of what documents say.
fn newest(value: &Value) -> Option<DateTime<Utc>> {
    const DATES: [&str; 4] = ["CreateDate", "UpdateDate", "LastUsedDate", "PasswordLastUsed"];
    match value {
        Value::Array(list) => list.iter().filter_map(newest).max(),
        Value::Object(map) => {
            let own = Item { map, pointer: String::new() };
            let own = DATES.iter().filter_map(|date| own.time(date).ok().flatten());
            let below = map.iter().filter(|(key, _)| !key.ends_with("Document")).filter_map(|(_, value)| newest(value));
            own.chain(below).max()
        }
        _ => None,
    }
}

/// The account that the first ARN with one names; AWS's own policies name none.
fn account_of(value: &Value) -> Option<AccountId> {
    ["RoleDetailList", "UserDetailList", "GroupDetailList", "Policies"].iter().find_map(|key| {
        let list = value.get(key)?.as_array()?;
        list.iter().find_map(|v| v.get("Arn")?.as_str()?.parse::<Arn>().ok()?.account_id())
    })
}

fn role(item: &Item<'_>) -> Read<aws::RoleDetail> {
    Ok(aws::RoleDetail {
        arn: item.owned("Arn")?,
        role_id: item.owned("RoleId")?,
        create_date: item.time("CreateDate")?,
        assume_role_policy_document: item.document("AssumeRolePolicyDocument")?,
        role_policy_list: item.each("RolePolicyList", |policy| {
            let (policy_name, policy_document) = (policy.owned("PolicyName")?, policy.document("PolicyDocument")?);
            Ok(aws::RolePolicy { policy_name, policy_document })
        })?,
        attached_managed_policies: item.each("AttachedManagedPolicies", |policy| {
            let (policy_arn, policy_name) = (policy.owned("PolicyArn")?, policy.owned("PolicyName")?);
            Ok(aws::AttachedManagedPolicy { policy_arn, policy_name })
        })?,
        permissions_boundary: item
            .maybe_item("PermissionsBoundary")?
            .map(|boundary| {
                let permissions_boundary_arn = boundary.owned("PermissionsBoundaryArn")?;
                Ok(aws::PermissionsBoundary { permissions_boundary_arn })
            })
            .transpose()?,
        instance_profiles: item.each("InstanceProfileList", |profile| profile.owned("Arn"))?,
        role_last_used: item
            .maybe_item("RoleLastUsed")?
            .map(|used| Ok(aws::LastUsed { last_used_date: used.time("LastUsedDate")?, region: used.owned("Region")? }))
            .transpose()?,
        tags: item.tags("Tags")?,
    })
}

fn managed_policy(item: &Item<'_>) -> Read<aws::ManagedPolicyDetail> {
    let version = |version: &Item<'_>| {
        Ok(aws::PolicyVersion {
            version_id: version.owned("VersionId")?,
            is_default_version: version.flag("IsDefaultVersion")?.unwrap_or(false),
            document: version.document("Document")?,
        })
    };
    Ok(aws::ManagedPolicyDetail {
        arn: item.owned("Arn")?,
        policy_name: item.owned("PolicyName")?,
        policy_id: item.owned("PolicyId")?,
        default_version_id: item.owned("DefaultVersionId")?,
        update_date: item.time("UpdateDate")?,
        policy_version_list: item.each("PolicyVersionList", version)?.unwrap_or_default(),
    })
}
