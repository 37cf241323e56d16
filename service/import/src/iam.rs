//! `GetAccountAuthorizationDetails` and `ListOpenIDConnectProviders`.
//!
//! Knows the CLI's spelling, with documents decoded, percent-encoded or as JSON objects. Users and
//! groups are not read. Refuses to know whether a role is used.

use super::item::{Fault, Item, Read};
use super::listing::Proof;
use super::{AccountDraft, Builder, Source};
use chrono::{DateTime, Utc};
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{
    AttachedPolicy, Documents, InlinePolicy, ManagedPolicy, Observation, OidcProvider, Role, RoleLastUsed,
};
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
        let mut read = 0;
        let seen = |key: &str| value.get(key).is_some_and(Value::is_array);
        let list = |key: &'static str| {
            let list = value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().enumerate().map(move |(i, v)| (i, Item::of(v, format!("/{key}/{i}"))))
        };
        for (i, item) in list("RoleDetailList") {
            let mut documents = Documents::default();
            match item.and_then(|item| role(&item, &mut documents)) {
                Ok((role, last_used)) => read += usize::from(self.role(source, account, role, last_used, documents)),
                Err(fault) => self.refused(source, fault, i, Scope::global(account, ScopeKind::Roles)),
            }
        }
        for (i, item) in list("Policies") {
            let mut documents = Documents::default();
            match item.and_then(|item| managed_policy(account, &item, &mut documents)) {
                Ok(policy) => read += usize::from(self.managed_policy(source, policy, documents)),
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
        read
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
        let mut read = 0;
        let mut accounts: Vec<AccountId> = source.place.account.into_iter().collect();
        for (i, value) in list.into_iter().flatten().enumerate() {
            let item = Item::of(value, format!("/OpenIDConnectProviderList/{i}"));
            let owned = item.and_then(|item| {
                let arn: Arn = item.parsed("Arn")?;
                let nobody = || {
                    Fault::new(
                        format!("{}/Arn", item.pointer),
                        "the ARN names no account",
                        "give the ARN as AWS printed it",
                    )
                };
                Ok((arn.account_id().ok_or_else(nobody)?, arn))
            });
            match owned {
                Ok((account, arn)) => {
                    accounts.push(account);
                    let providers = &mut self.draft(account).observation.oidc_providers;
                    if !providers.iter().any(|known| known.arn == arn) {
                        providers.push(OidcProvider { arn });
                    }
                    read += 1;
                }
                Err(fault) => self.problem(source, fault, None, Some(i)),
            }
        }
        for account in accounts {
            let page = source.page(value, source.is_below("iam"));
            self.page(account, (ScopeKind::OidcProviders, None, None), page);
        }
        read
    }
}

impl AccountDraft {
    /// Whether authorization details may be whole by what they hold. `--filter` leaves the lists of
    /// other kinds empty and AWS's word that there are no further pages, so neither proves anything
    /// without the roles that no account lacks, and the policies that roles name.
    pub(super) fn check_details(&mut self, account: AccountId, seen: &Observation, complete: bool) {
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

fn role(item: &Item<'_>, documents: &mut Documents) -> Read<(Role, Option<RoleLastUsed>)> {
    let arn: rolecall_iam::RoleArn = item.parsed("Arn")?;
    let mut inline = Vec::new();
    for policy in item.items("RolePolicyList")? {
        let missing =
            || Fault::new(format!("{}/PolicyDocument", policy.pointer), "missing", "give the policy with its document");
        let text = policy.document("PolicyDocument")?.ok_or_else(missing)?;
        inline.push(InlinePolicy { name: policy.text("PolicyName")?.to_owned(), document: documents.read(&text) });
    }
    inline.sort_by(|a, b| a.name.cmp(&b.name));
    let mut attached = Vec::new();
    for policy in item.items("AttachedManagedPolicies")? {
        attached.push(AttachedPolicy { arn: policy.parsed("PolicyArn")?, name: policy.text("PolicyName")?.to_owned() });
    }
    attached.sort_by(|a, b| a.arn.cmp(&b.arn));
    let boundary = item.maybe_item("PermissionsBoundary")?;
    let boundary = boundary.map(|b| b.maybe_parsed("PermissionsBoundaryArn")).transpose()?.flatten();
    let profiles = item.items("InstanceProfileList")?;
    let last_used = match item.maybe_item("RoleLastUsed")? {
        None => None,
        Some(used) => match used.time("LastUsedDate")? {
            None => None,
            Some(at) => Some(RoleLastUsed { role: arn.clone(), at, region: used.owned("Region")? }),
        },
    };
    let role = Role {
        role_id: item.text("RoleId")?.to_owned(),
        created_at: item.time("CreateDate")?,
        trust: item.document("AssumeRolePolicyDocument")?.map(|text| documents.read(&text)),
        inline,
        attached,
        boundary,
        instance_profiles: profiles.iter().map(|p| p.text("Arn").map(str::to_owned)).collect::<Read<_>>()?,
        tags: item.tags("Tags")?,
        arn,
    };
    Ok((role, last_used))
}

fn managed_policy(account_id: AccountId, item: &Item<'_>, documents: &mut Documents) -> Read<ManagedPolicy> {
    let default_version = item.text("DefaultVersionId")?.to_owned();
    let mut document = None;
    for version in item.items("PolicyVersionList")? {
        if version.maybe_text("VersionId")? == Some(&default_version) {
            document = version.document("Document")?.map(|text| documents.read(&text));
        }
    }
    Ok(ManagedPolicy {
        account_id,
        arn: item.parsed("Arn")?,
        name: item.text("PolicyName")?.to_owned(),
        policy_id: item.text("PolicyId")?.to_owned(),
        default_version,
        document,
        updated_at: item.time("UpdateDate")?,
    })
}
