//! `ListAccounts`, and service and resource control policies.
//! <https://docs.aws.amazon.com/organizations/latest/APIReference/Welcome.html>

use super::{FieldError, non_empty, parsed, text};
use crate::resource::{Account, Documents, OrgPolicy, OrgPolicyKind};
use rolecall_iam::{AccountId, Arn};

/// One of `Accounts` of `ListAccounts`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct OrganizationAccount {
    pub id: Option<String>,
    pub arn: Option<String>,
    pub name: Option<String>,
    pub state: Option<String>,
    /// Retired in 2026 for `state`; older files and stand-ins for AWS have it alone.
    pub status: Option<String>,
}

impl OrganizationAccount {
    /// The account, without its OU path, and the management account that its ARN names.
    ///
    /// # Errors
    /// The id is missing or none. An ARN that is none counts as absent: it only repeats what is known elsewhere.
    pub fn into_account(self) -> Result<(Account, Option<AccountId>), FieldError> {
        let id = parsed(self.id, "/Id")?;
        let arn = self.arn.and_then(|arn| arn.parse::<Arn>().ok());
        let (management, organization_id) = arn.as_ref().map(organization_of).unwrap_or_default();
        let account = Account {
            name: non_empty(self.name),
            status: non_empty(self.state).or_else(|| non_empty(self.status)),
            is_management: management == Some(id),
            organization_id,
            ..Account::new(id)
        };
        Ok((account, management))
    }
}

/// The management account and the organization's id, as an ARN of AWS Organizations names them:
/// `arn:aws:organizations::111122223333:account/o-exampleorgid/444455556666`. Nothing of any other ARN.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html>
#[must_use]
pub fn organization_of(arn: &Arn) -> (Option<AccountId>, Option<String>) {
    if arn.service() != "organizations" {
        return (None, None);
    }
    let id = arn.resource().split('/').nth(1).filter(|id| id.starts_with("o-"));
    (arn.account_id(), id.map(str::to_owned))
}

/// `Policy` of `DescribePolicy`, with the targets that `ListTargetsForPolicy` answers.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct OrganizationPolicy {
    pub id: Option<String>,
    pub name: Option<String>,
    /// `Type`: `SERVICE_CONTROL_POLICY` or `RESOURCE_CONTROL_POLICY`.
    pub kind: Option<String>,
    pub content: Option<String>,
    /// The `TargetId` of each of `Targets`.
    pub targets: Vec<Option<String>>,
}

impl OrganizationPolicy {
    /// The policy, as the account that was asked keeps it, with its targets sorted. One without a name is called
    /// by its id.
    ///
    /// # Errors
    /// The first field that cannot be read. A policy without its content, or without all its targets, would be
    /// judged as if it bound less than it does.
    pub fn into_policy(self, account_id: AccountId, documents: &mut Documents) -> Result<OrgPolicy, FieldError> {
        let id = text(self.id, "/Id")?;
        let kind = text(self.kind, "/Type")?;
        let kind = OrgPolicyKind::ALL
            .into_iter()
            .find(|known| known.policy_type() == kind)
            .ok_or_else(|| FieldError { field: "/Type".to_owned(), message: format!("the type {kind} is not read") })?;
        let content = text(self.content, "/Content")?;
        let mut targets = Vec::new();
        for (i, target) in self.targets.into_iter().enumerate() {
            targets.push(text(target, &format!("/Targets/{i}/TargetId"))?);
        }
        targets.sort();
        targets.dedup();
        let name = non_empty(self.name).unwrap_or_else(|| id.clone());
        Ok(OrgPolicy { account_id, id, kind, name, document: documents.read(&content), targets })
    }
}
