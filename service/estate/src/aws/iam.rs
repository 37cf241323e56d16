//! `GetAccountAuthorizationDetails`, `ListOpenIDConnectProviders` and `GetOpenIDConnectProvider`.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html>

use super::{FieldError, non_empty, parsed, required, text};
use crate::resource::{
    AttachedPolicy, Documents, InlinePolicy, ManagedPolicy, OidcProvider, OidcProviderDetail, Role, RoleLastUsed, Tags,
};
use chrono::{DateTime, Utc};
use rolecall_iam::{AccountId, Arn, RoleArn};
use std::collections::BTreeSet;

/// One of `RoleDetailList`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct RoleDetail {
    pub arn: Option<String>,
    pub role_id: Option<String>,
    pub create_date: Option<DateTime<Utc>>,
    pub assume_role_policy_document: Option<String>,
    pub role_policy_list: Option<Vec<RolePolicy>>,
    pub attached_managed_policies: Option<Vec<AttachedManagedPolicy>>,
    pub permissions_boundary: Option<PermissionsBoundary>,
    /// The `Arn` of each of `InstanceProfileList`.
    pub instance_profiles: Option<Vec<Option<String>>>,
    pub role_last_used: Option<LastUsed>,
    pub tags: Tags,
}

/// One of `RolePolicyList`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct RolePolicy {
    pub policy_name: Option<String>,
    pub policy_document: Option<String>,
}

/// One of `AttachedManagedPolicies`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct AttachedManagedPolicy {
    pub policy_arn: Option<String>,
    pub policy_name: Option<String>,
}

/// `PermissionsBoundary`. One without an ARN is an error; one with an empty ARN is not set.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct PermissionsBoundary {
    pub permissions_boundary_arn: Option<String>,
}

/// `RoleLastUsed`; empty for a role that was not used.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct LastUsed {
    pub last_used_date: Option<DateTime<Utc>>,
    pub region: Option<String>,
}

/// One of `Policies`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct ManagedPolicyDetail {
    pub arn: Option<String>,
    pub policy_name: Option<String>,
    pub policy_id: Option<String>,
    pub default_version_id: Option<String>,
    pub update_date: Option<DateTime<Utc>>,
    pub policy_version_list: Vec<PolicyVersion>,
}

/// One of `PolicyVersionList`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct PolicyVersion {
    pub version_id: Option<String>,
    pub is_default_version: bool,
    pub document: Option<String>,
}

impl RoleDetail {
    /// The role, and its last use. Documents that do not parse are kept as text.
    ///
    /// # Errors
    /// The first field that cannot be read. The whole role is refused then: half a role would be judged as if
    /// it were complete.
    pub fn into_role(self, documents: &mut Documents) -> Result<(Role, Option<RoleLastUsed>), FieldError> {
        let arn: RoleArn = parsed(self.arn, "/Arn")?;
        let mut inline = Vec::new();
        for (i, policy) in required(self.role_policy_list, "/RolePolicyList")?.into_iter().enumerate() {
            let at = format!("/RolePolicyList/{i}");
            let name = text(policy.policy_name, &format!("{at}/PolicyName"))?;
            inline.push((name, text(policy.policy_document, &format!("{at}/PolicyDocument"))?));
        }
        inline.sort();
        let mut attached = Vec::new();
        for (i, policy) in required(self.attached_managed_policies, "/AttachedManagedPolicies")?.into_iter().enumerate()
        {
            let arn: Arn = parsed(policy.policy_arn, &format!("/AttachedManagedPolicies/{i}/PolicyArn"))?;
            attached.push(AttachedPolicy { name: policy_name(policy.policy_name, &arn), arn });
        }
        attached.sort_by(|a, b| a.arn.cmp(&b.arn));
        let boundary = self.permissions_boundary.filter(|it| it.permissions_boundary_arn.as_deref() != Some(""));
        let boundary = boundary
            .map(|it| parsed(it.permissions_boundary_arn, "/PermissionsBoundary/PermissionsBoundaryArn"))
            .transpose()?;
        let mut instance_profiles = Vec::new();
        for (i, profile) in required(self.instance_profiles, "/InstanceProfileList")?.into_iter().enumerate() {
            instance_profiles.push(text(profile, &format!("/InstanceProfileList/{i}/Arn"))?);
        }
        instance_profiles.sort();
        let last_used = self.role_last_used.and_then(|used| {
            Some(RoleLastUsed { role: arn.clone(), at: used.last_used_date?, region: non_empty(used.region) })
        });
        let role = Role {
            role_id: text(self.role_id, "/RoleId")?,
            created_at: self.create_date,
            trust: non_empty(self.assume_role_policy_document).map(|text| documents.read(&text)),
            inline: inline
                .into_iter()
                .map(|(name, text)| InlinePolicy { name, document: documents.read(&text) })
                .collect(),
            attached,
            boundary,
            instance_profiles,
            tags: self.tags,
            arn,
        };
        Ok((role, last_used))
    }
}

impl ManagedPolicyDetail {
    /// The policy, seen in an account. Its document is that of the version that `DefaultVersionId` names, or
    /// else of the one that is marked as default; `None` where that one is not there. Such a policy is known to
    /// exist, and its listing has a gap.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn into_policy(self, account_id: AccountId, documents: &mut Documents) -> Result<ManagedPolicy, FieldError> {
        let arn: Arn = parsed(self.arn, "/Arn")?;
        // Without an id all is known of a policy but whether it was made anew.
        let policy_id = non_empty(self.policy_id).unwrap_or_default();
        let named = non_empty(self.default_version_id);
        let is_default = |version: &PolicyVersion| match &named {
            Some(named) => version.version_id.as_ref() == Some(named),
            None => version.is_default_version,
        };
        let (version_id, document) = match self.policy_version_list.into_iter().find(is_default) {
            Some(version) => (version.version_id, non_empty(version.document)),
            None => (None, None),
        };
        Ok(ManagedPolicy {
            account_id,
            name: policy_name(self.policy_name, &arn),
            policy_id,
            default_version: text(named.or(version_id), "/DefaultVersionId")?,
            document: document.map(|text| documents.read(&text)),
            updated_at: self.update_date,
            arn,
        })
    }
}

/// The name of a policy, which is the last part of its ARN.
fn policy_name(name: Option<String>, arn: &Arn) -> String {
    non_empty(name).unwrap_or_else(|| arn.resource().rsplit('/').next().unwrap_or_default().to_owned())
}

/// The answer of `GetOpenIDConnectProvider`, or what a list says of a provider beside its ARN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OidcProviderAnswer {
    /// `ClientIDList`.
    pub client_id_list: Option<Vec<String>>,
    /// `ThumbprintList`.
    pub thumbprint_list: Option<Vec<String>>,
    /// `Tags`.
    pub tags: Tags,
}

impl OidcProviderAnswer {
    /// The settings; `None` where the answer has neither a client id nor a thumbprint: IAM has at least one of
    /// them of every provider.
    #[must_use]
    pub fn into_detail(self) -> Option<OidcProviderDetail> {
        let client_ids: BTreeSet<String> = self.client_id_list.unwrap_or_default().into_iter().collect();
        let thumbprints: BTreeSet<String> = self.thumbprint_list.unwrap_or_default().into_iter().collect();
        let is_told = !(client_ids.is_empty() && thumbprints.is_empty());
        is_told.then_some(OidcProviderDetail { client_ids, thumbprints, tags: self.tags })
    }
}

/// One of `OpenIDConnectProviderList`, with the account that its ARN names.
///
/// # Errors
/// The text is no ARN, or names no account.
pub fn oidc_provider(arn: Option<String>) -> Result<(AccountId, OidcProvider), FieldError> {
    let arn: Arn = parsed(arn, "/Arn")?;
    let nobody = || FieldError { field: "/Arn".to_owned(), message: "the ARN names no account".to_owned() };
    Ok((arn.account_id().ok_or_else(nobody)?, OidcProvider { arn, detail: None }))
}
