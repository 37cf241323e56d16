//! CloudTrail records in the making: calls that change something.
//!
//! Knows how AWS writes a call's parameters and answer into a record: IAM's, Organizations' and
//! CloudTrail's with the first letter of each name in lower case, EKS's as they are; IAM's and
//! Organizations' in one region; a refused call without an answer. Refuses to change the estate.

use crate::{ids, trail};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// The calls that change what Rolecall watches, by service and operation.
pub const CALLS: [(&str, &str); 77] = [
    ("iam", "CreateRole"),
    ("iam", "DeleteRole"),
    ("iam", "CreateServiceLinkedRole"),
    ("iam", "DeleteServiceLinkedRole"),
    ("iam", "UpdateRole"),
    ("iam", "UpdateRoleDescription"),
    ("iam", "UpdateAssumeRolePolicy"),
    ("iam", "PutRolePolicy"),
    ("iam", "DeleteRolePolicy"),
    ("iam", "AttachRolePolicy"),
    ("iam", "DetachRolePolicy"),
    ("iam", "PutRolePermissionsBoundary"),
    ("iam", "DeleteRolePermissionsBoundary"),
    ("iam", "TagRole"),
    ("iam", "UntagRole"),
    ("iam", "CreatePolicy"),
    ("iam", "CreatePolicyVersion"),
    ("iam", "SetDefaultPolicyVersion"),
    ("iam", "DeletePolicyVersion"),
    ("iam", "DeletePolicy"),
    ("iam", "CreateInstanceProfile"),
    ("iam", "DeleteInstanceProfile"),
    ("iam", "AddRoleToInstanceProfile"),
    ("iam", "RemoveRoleFromInstanceProfile"),
    ("iam", "CreateOpenIDConnectProvider"),
    ("iam", "DeleteOpenIDConnectProvider"),
    ("iam", "AddClientIDToOpenIDConnectProvider"),
    ("iam", "RemoveClientIDFromOpenIDConnectProvider"),
    ("iam", "UpdateOpenIDConnectProviderThumbprint"),
    ("iam", "CreateSAMLProvider"),
    ("iam", "UpdateSAMLProvider"),
    ("iam", "DeleteSAMLProvider"),
    ("eks", "CreatePodIdentityAssociation"),
    ("eks", "UpdatePodIdentityAssociation"),
    ("eks", "DeletePodIdentityAssociation"),
    ("eks", "CreateAddon"),
    ("eks", "UpdateAddon"),
    ("eks", "DeleteAddon"),
    ("eks", "CreateAccessEntry"),
    ("eks", "UpdateAccessEntry"),
    ("eks", "DeleteAccessEntry"),
    ("eks", "AssociateAccessPolicy"),
    ("eks", "DisassociateAccessPolicy"),
    ("eks", "CreateCluster"),
    ("eks", "UpdateClusterConfig"),
    ("eks", "UpdateClusterVersion"),
    ("eks", "DeleteCluster"),
    ("eks", "CreateNodegroup"),
    ("eks", "DeleteNodegroup"),
    ("eks", "TagResource"),
    ("eks", "UntagResource"),
    ("organizations", "CreatePolicy"),
    ("organizations", "UpdatePolicy"),
    ("organizations", "DeletePolicy"),
    ("organizations", "AttachPolicy"),
    ("organizations", "DetachPolicy"),
    ("organizations", "EnablePolicyType"),
    ("organizations", "DisablePolicyType"),
    ("organizations", "MoveAccount"),
    ("organizations", "CreateAccount"),
    ("organizations", "CloseAccount"),
    ("organizations", "InviteAccountToOrganization"),
    ("organizations", "RemoveAccountFromOrganization"),
    ("organizations", "LeaveOrganization"),
    ("organizations", "AcceptHandshake"),
    ("organizations", "CreateOrganizationalUnit"),
    ("organizations", "UpdateOrganizationalUnit"),
    ("organizations", "DeleteOrganizationalUnit"),
    ("cloudtrail", "CreateTrail"),
    ("cloudtrail", "UpdateTrail"),
    ("cloudtrail", "DeleteTrail"),
    ("cloudtrail", "StartLogging"),
    ("cloudtrail", "StopLogging"),
    ("cloudtrail", "PutEventSelectors"),
    ("ec2", "AssociateIamInstanceProfile"),
    ("ec2", "DisassociateIamInstanceProfile"),
    ("ec2", "ReplaceIamInstanceProfileAssociation"),
];

/// A call that changes something, as its caller makes it.
#[derive(Debug, Clone)]
pub struct ChangeCall<'c> {
    /// Such as `iam`.
    pub service: &'c str,
    /// Such as `PutRolePolicy`.
    pub operation: &'c str,
    /// The parameters as the API takes them, such as `{"RoleName": "api"}`.
    pub input: Value,
    /// The answer as the API gives it, such as `{"Role": {"Arn": …}}`; null where it has none.
    pub output: Value,
    /// When.
    pub at: DateTime<Utc>,
    /// In whose trail the record stands.
    pub account: &'c str,
    /// Where the call is made. IAM and Organizations are recorded in `us-east-1` all the same.
    pub region: &'c str,
    /// `userIdentity`, as [`by_role`] makes it.
    pub by: Value,
    /// The caller's address.
    pub address: &'c str,
    /// The caller's program.
    pub user_agent: &'c str,
    /// Whether the caller is signed in to the console.
    pub from_console: bool,
    /// Code and message, where the call is refused or fails.
    pub error: Option<(&'c str, &'c str)>,
}

/// Who holds a session of a role, since an hour.
#[must_use]
pub fn by_role(role_arn: &str, session: &str, at: DateTime<Utc>) -> Value {
    trail::session_identity(
        role_arn,
        session,
        &ids::access_key(&format!("{role_arn}/{session}")),
        at - Duration::hours(1),
    )
}

/// An IAM user.
#[must_use]
pub fn by_user(account: &str, name: &str) -> Value {
    json!({
        "type": "IAMUser", "principalId": ids::role_id(name).replacen("AROA", "AIDA", 1),
        "arn": format!("arn:aws:iam::{account}:user/{name}"), "accountId": account,
        "accessKeyId": ids::access_key(name).replacen("ASIA", "AKIA", 1), "userName": name,
    })
}

impl ChangeCall<'_> {
    /// The record as CloudTrail writes it. The same call at the same time has the same event id.
    #[must_use]
    pub fn record(&self) -> Value {
        let is_global = matches!(self.service, "iam" | "organizations");
        let seed = format!("{}/{}/{}/{}/{}", self.service, self.operation, self.account, self.at, self.input);
        let is_denied = self.error.is_some_and(|(code, _)| code.starts_with("AccessDenied"));
        // IAM and Organizations decide before they look at what was asked for.
        let request = if is_global && is_denied { Value::Null } else { self.written(&self.input) };
        let response = if self.error.is_some() { Value::Null } else { self.written(&self.output) };
        let mut record = json!({
            "eventVersion": "1.11", "userIdentity": self.by, "eventTime": self.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "eventSource": format!("{}.amazonaws.com", self.service), "eventName": self.operation,
            "awsRegion": if is_global { "us-east-1" } else { self.region }, "sourceIPAddress": self.address,
            "userAgent": self.user_agent,
        });
        let mut add = |name: &str, value: Value| {
            if let Some(map) = record.as_object_mut() {
                map.insert(name.to_owned(), value);
            }
        };
        if let Some((code, message)) = self.error {
            add("errorCode", code.into());
            add("errorMessage", message.into());
        }
        add("requestParameters", request);
        add("responseElements", response);
        add("requestID", ids::uuid(&format!("request/{seed}")).into());
        add("eventID", ids::uuid(&format!("event/{seed}")).into());
        add("readOnly", false.into());
        add("eventType", "AwsApiCall".into());
        add("managementEvent", true.into());
        add("recipientAccountId", self.account.into());
        add("eventCategory", "Management".into());
        if self.from_console {
            add("sessionCredentialFromConsole", "true".into());
        }
        record
    }

    /// A value with its names as CloudTrail writes them for the service.
    fn written(&self, value: &Value) -> Value {
        match self.service {
            "iam" | "organizations" | "cloudtrail" => lowered(value),
            _ => value.clone(),
        }
    }
}

/// A value whose members' names begin in lower case: `RoleName` becomes `roleName`, and
/// `OpenIDConnectProviderArn` becomes `openIDConnectProviderArn`.
fn lowered(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let lowered: Map<String, Value> = members
                .iter()
                .map(|(name, value)| {
                    let mut letters = name.chars();
                    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                    (first.into_iter().chain(letters).collect(), lowered(value))
                })
                .collect();
            lowered.into()
        }
        Value::Array(items) => items.iter().map(lowered).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'c>(service: &'c str, operation: &'c str, input: Value, output: Value) -> ChangeCall<'c> {
        let at = DateTime::parse_from_rfc3339("2026-11-03T10:01:00Z").unwrap().to_utc();
        ChangeCall {
            service,
            operation,
            input,
            output,
            at,
            account: "111122223333",
            region: "eu-west-1",
            by: by_role("arn:aws:iam::111122223333:role/ci/deployer", "ana", at),
            address: "198.51.100.7",
            user_agent: "aws-cli/2.17.0",
            from_console: false,
            error: None,
        }
    }

    #[test]
    fn names_are_written_as_each_service_has_them() {
        let cases = [
            (
                "iam",
                json!({"RoleName": "api", "Tags": [{"Key": "Team", "Value": "A"}]}),
                json!({"roleName": "api", "tags": [{"key": "Team", "value": "A"}]}),
            ),
            (
                "iam",
                json!({"OpenIDConnectProviderArn": "x", "ClientIDList": ["A"]}),
                json!({"openIDConnectProviderArn": "x", "clientIDList": ["A"]}),
            ),
            (
                "iam",
                json!({"SAMLProviderArn": "x", "AWSServiceName": "y"}),
                json!({"sAMLProviderArn": "x", "aWSServiceName": "y"}),
            ),
            (
                "organizations",
                json!({"PolicyId": "p-1", "TargetId": "r-1"}),
                json!({"policyId": "p-1", "targetId": "r-1"}),
            ),
            ("cloudtrail", json!({"TrailName": "main"}), json!({"trailName": "main"})),
            (
                "eks",
                json!({"clusterName": "shop", "tags": {"Team": "A"}}),
                json!({"clusterName": "shop", "tags": {"Team": "A"}}),
            ),
            (
                "ec2",
                json!({"AssociateIamInstanceProfileRequest": {"InstanceId": "i-1"}}),
                json!({"AssociateIamInstanceProfileRequest": {"InstanceId": "i-1"}}),
            ),
        ];
        for (service, input, expected) in cases {
            let record = call(service, "X", input, Value::Null).record();
            assert_eq!(record["requestParameters"], expected, "{service}");
            let region = if matches!(service, "iam" | "organizations") { "us-east-1" } else { "eu-west-1" };
            assert_eq!((&record["awsRegion"], &record["readOnly"]), (&json!(region), &json!(false)));
        }
    }

    #[test]
    fn a_refused_call_has_no_answer() {
        let made = call("iam", "CreateRole", json!({"RoleName": "api"}), json!({"Role": {"Arn": "x"}}));
        assert_eq!(made.record()["responseElements"]["role"]["arn"], "x");
        for (service, code, request) in [
            ("iam", "AccessDenied", Value::Null),
            ("iam", "EntityAlreadyExistsException", json!({"roleName": "api"})),
            ("eks", "AccessDeniedException", json!({"RoleName": "api"})),
        ] {
            let refused = ChangeCall { service, error: Some((code, "no")), ..made.clone() }.record();
            assert_eq!(
                (&refused["requestParameters"], &refused["responseElements"]),
                (&request, &Value::Null),
                "{code}"
            );
            assert_eq!((&refused["errorCode"], &refused["errorMessage"]), (&json!(code), &json!("no")));
        }
    }
}
