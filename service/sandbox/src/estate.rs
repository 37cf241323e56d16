//! What the stand-in stands in for: accounts, and an organisation around them.
//!
//! Kept as AWS says it (the objects of the services' own answers), never parsed into the types of
//! the program that is tested with it: what is malformed here stays malformed on the wire, and a
//! misreading of ours cannot cancel itself out. Refuses to know how an answer is put on the wire.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Accounts by id, and the organisation that they are in, if they are in one.
#[derive(Debug, Clone, Default)]
pub struct Estate {
    /// The account of the credentials that a user of the sandbox starts with.
    pub hub: String,
    /// The organisation; `None` where there is none.
    pub organization: Option<Organization>,
    /// Accounts, by id.
    pub accounts: BTreeMap<String, Account>,
}

/// One account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// `UserDetailList` of `GetAccountAuthorizationDetails`.
    pub users: Vec<Value>,
    /// `GroupDetailList`.
    pub groups: Vec<Value>,
    /// `RoleDetailList`. A policy document is an object, or a text that is served as it stands.
    pub roles: Vec<Value>,
    /// `Policies`.
    pub policies: Vec<Value>,
    /// OIDC identity providers: what `GetOpenIDConnectProvider` says, with the `Arn` beside.
    pub oidc_providers: Vec<Value>,
    /// Trails, as `DescribeTrails` says them, with `EventSelectors` or `AdvancedEventSelectors`, and
    /// `IsLogging` with its times, beside.
    pub trails: Vec<Value>,
    /// What is regional, by region code. A region that is not here is empty, not missing.
    pub regions: BTreeMap<String, Region>,
}

/// What an account holds in one region.
#[derive(Debug, Clone, Default)]
pub struct Region {
    /// Clusters, in the order they are listed.
    pub clusters: Vec<Cluster>,
    /// CloudTrail's event history, in any order.
    pub events: Vec<Arc<Event>>,
}

/// A cluster and what hangs on it, each as the service's Describe call says it.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// `DescribeCluster.cluster`.
    pub detail: Value,
    /// `DescribePodIdentityAssociation.association`.
    pub associations: Vec<Value>,
    /// `DescribeAddon.addon`.
    pub addons: Vec<Value>,
    /// `DescribeAccessEntry.accessEntry`, with `associatedAccessPolicies` beside.
    pub access_entries: Vec<Value>,
}

/// An organisation.
#[derive(Debug, Clone, Default)]
pub struct Organization {
    /// `o-…`.
    pub id: String,
    /// The account that may ask about it.
    pub management: String,
    /// The root's id, `r-…`.
    pub root: String,
    /// Organisational units.
    pub units: Vec<Unit>,
    /// Member accounts, the management account among them. Some may be outside of the estate.
    pub members: Vec<Member>,
    /// Service and resource control policies.
    pub policies: Vec<OrgPolicy>,
}

/// An organisational unit.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    /// `ou-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The root's or another unit's id.
    pub parent: String,
}

/// A member account, as the organisation knows it.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// Account id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Such as `ACTIVE` or `SUSPENDED`.
    pub status: String,
    /// The root's or a unit's id.
    pub parent: String,
}

/// A policy of the organisation.
#[derive(Debug, Clone, Default)]
pub struct OrgPolicy {
    /// `p-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `SERVICE_CONTROL_POLICY` or `RESOURCE_CONTROL_POLICY`.
    pub kind: String,
    /// Whether it is one of AWS's own, such as `FullAWSAccess`.
    pub aws_managed: bool,
    /// The document's text.
    pub content: String,
    /// Ids of roots, units and accounts.
    pub targets: Vec<String>,
}

/// An event of CloudTrail's history: the record, and what a lookup can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `eventID`.
    pub id: String,
    /// `eventTime`.
    pub time: DateTime<Utc>,
    /// `eventName`.
    pub name: String,
    /// `eventSource`.
    pub source: String,
    /// `readOnly`.
    pub read_only: bool,
    /// The caller's access key, or the one that was made.
    pub access_key: Option<String>,
    /// User name, or session name.
    pub username: Option<String>,
    /// Resource types and names.
    pub resources: Vec<(String, String)>,
    /// The whole record, as JSON text.
    pub record: String,
}

impl Event {
    /// Reads a record of a trail. `None` for what event history does not keep: data events, and
    /// what is no record at all.
    #[must_use]
    pub fn of_record(record: &Value) -> Option<Self> {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if record.get("managementEvent").and_then(Value::as_bool) == Some(false) {
            return None;
        }
        let mut resources = Vec::new();
        let mut add = |kind: &str, name: Option<String>| {
            if let Some(name) = name {
                resources.push((kind.to_owned(), name));
            }
        };
        add("AWS::STS::AssumedRole", text("/responseElements/assumedRoleUser/arn"));
        add("AWS::IAM::AccessKey", text("/responseElements/credentials/accessKeyId"));
        add("AWS::EKS::Cluster", text("/requestParameters/clusterName"));
        for parameter in ["roleArn", "roleName"] {
            add("AWS::IAM::Role", text(&format!("/requestParameters/{parameter}")));
        }
        add("AWS::IAM::Policy", text("/requestParameters/policyArn"));
        let issuer = text("/userIdentity/sessionContext/sessionIssuer/userName");
        let session = text("/userIdentity/arn")
            .filter(|_| issuer.is_some())
            .and_then(|a| a.rsplit('/').next().map(str::to_owned));
        Some(Self {
            id: text("/eventID")?,
            time: text("/eventTime")?.parse().ok()?,
            name: text("/eventName")?,
            source: text("/eventSource").unwrap_or_default(),
            read_only: record.get("readOnly").and_then(Value::as_bool).unwrap_or(false),
            access_key: text("/userIdentity/accessKeyId"),
            username: session.or_else(|| text("/userIdentity/userName")),
            resources,
            record: record.to_string(),
        })
    }
}

/// A change named something that the estate does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the estate has no {what} `{name}`")]
pub struct NoSuch {
    what: &'static str,
    name: String,
}

/// The account segment of an ARN; empty where there is none.
pub(crate) fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// A member of an object as text; empty where it is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

fn array<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Vec<Value>> {
    object.as_object_mut()?.entry(key).or_insert_with(|| json!([])).as_array_mut()
}

impl Account {
    /// A region, made if it is not there.
    pub fn region(&mut self, region: &str) -> &mut Region {
        self.regions.entry(region.to_owned()).or_default()
    }

    /// A role by its name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Value> {
        self.roles.iter().find(|r| text(r, "RoleName").eq_ignore_ascii_case(name))
    }
}

impl Cluster {
    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.detail, "name")
    }
}

/// Changes, each with the CloudTrail event that it leaves. IAM's events are recorded in
/// `us-east-1`, EKS's in the cluster's region, as AWS does.
impl Estate {
    pub(crate) fn role_mut(&mut self, arn: &str) -> Result<&mut Value, NoSuch> {
        self.accounts
            .get_mut(account_of(arn))
            .and_then(|a| a.roles.iter_mut().find(|r| text(r, "Arn") == arn))
            .ok_or_else(|| NoSuch { what: "role", name: arn.to_owned() })
    }

    /// The history keeps an event of a service in an account.
    pub fn record(&mut self, account: &str, region: &str, record: &Value) {
        if let (Some(event), Some(account)) = (Event::of_record(record), self.accounts.get_mut(account)) {
            account.region(region).events.push(Arc::new(event));
        }
    }

    pub(crate) fn changed(
        &mut self,
        account: &str,
        region: &str,
        service: &str,
        name: &str,
        parameters: Value,
        at: DateTime<Utc>,
    ) {
        let n = self.accounts.values().flat_map(|a| a.regions.values()).map(|r| r.events.len()).sum::<usize>();
        let deployer = format!("arn:aws:iam::{account}:role/delivery/deployer");
        let key = crate::ids::access_key(&format!("{account}/deployer"));
        let id = crate::ids::uuid(&format!("{name}/{account}/{at}/{parameters}/{n}"));
        let mut record = json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "AssumedRole", "principalId": format!("{}:pipeline", crate::ids::role_id(&deployer)),
                "arn": format!("arn:aws:sts::{account}:assumed-role/deployer/pipeline"),
                "accountId": account, "accessKeyId": key,
                "sessionContext": {
                    "sessionIssuer": {"type": "Role", "principalId": crate::ids::role_id(&deployer), "arn": deployer,
                        "accountId": account, "userName": "deployer"},
                    "attributes": {"creationDate": at.to_rfc3339_opts(SecondsFormat::Secs, true), "mfaAuthenticated": "false"},
                },
            },
            "eventTime": at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "eventSource": format!("{service}.amazonaws.com"), "eventName": name, "awsRegion": region,
            "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2.31.0",
            "requestParameters": null, "responseElements": null,
            "requestID": crate::ids::uuid(&format!("request/{id}")), "eventID": id, "readOnly": false,
            "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
        });
        set(&mut record, "requestParameters", parameters);
        self.record(account, region, &record);
    }

    /// Adds a role, in the account of its `Arn`.
    ///
    /// # Errors
    /// If the account is not in the estate.
    pub fn create_role(&mut self, role: Value, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let arn = text(&role, "Arn").to_owned();
        let account = account_of(&arn).to_owned();
        let parameters = json!({"roleName": text(&role, "RoleName"), "path": text(&role, "Path"),
            "assumeRolePolicyDocument": role.get("AssumeRolePolicyDocument").map(document_text)});
        let holder =
            self.accounts.get_mut(&account).ok_or_else(|| NoSuch { what: "account", name: account.clone() })?;
        holder.roles.push(role);
        self.changed(&account, "us-east-1", "iam", "CreateRole", parameters, at);
        Ok(())
    }

    /// Deletes a role. Associations that point at it stay, as in EKS.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn delete_role(&mut self, arn: &str, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let name = text(self.role_mut(arn)?, "RoleName").to_owned();
        let account = account_of(arn).to_owned();
        if let Some(holder) = self.accounts.get_mut(&account) {
            holder.roles.retain(|r| text(r, "Arn") != arn);
        }
        self.changed(&account, "us-east-1", "iam", "DeleteRole", json!({"roleName": name}), at);
        Ok(())
    }

    /// Replaces a role's trust policy.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn change_trust(&mut self, arn: &str, document: Value, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let role = self.role_mut(arn)?;
        let parameters = json!({"roleName": text(role, "RoleName"), "policyDocument": document_text(&document)});
        set(role, "AssumeRolePolicyDocument", document);
        self.changed(account_of(arn), "us-east-1", "iam", "UpdateAssumeRolePolicy", parameters, at);
        Ok(())
    }

    /// Puts an inline policy into a role, over one of the same name.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn put_inline_policy(
        &mut self,
        arn: &str,
        name: &str,
        document: Value,
        at: DateTime<Utc>,
    ) -> Result<(), NoSuch> {
        let role = self.role_mut(arn)?;
        let parameters =
            json!({"roleName": text(role, "RoleName"), "policyName": name, "policyDocument": document_text(&document)});
        if let Some(list) = array(role, "RolePolicyList") {
            list.retain(|p| text(p, "PolicyName") != name);
            let mut policy = json!({"PolicyName": name});
            set(&mut policy, "PolicyDocument", document);
            list.push(policy);
        }
        self.changed(account_of(arn), "us-east-1", "iam", "PutRolePolicy", parameters, at);
        Ok(())
    }

    /// Takes an inline policy out of a role.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn delete_inline_policy(&mut self, arn: &str, name: &str, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let role = self.role_mut(arn)?;
        let parameters = json!({"roleName": text(role, "RoleName"), "policyName": name});
        if let Some(list) = array(role, "RolePolicyList") {
            list.retain(|p| text(p, "PolicyName") != name);
        }
        self.changed(account_of(arn), "us-east-1", "iam", "DeleteRolePolicy", parameters, at);
        Ok(())
    }

    /// Attaches a managed policy to a role.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn attach_policy(&mut self, arn: &str, policy_arn: &str, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let role = self.role_mut(arn)?;
        let parameters = json!({"roleName": text(role, "RoleName"), "policyArn": policy_arn});
        let name = policy_arn.rsplit('/').next().unwrap_or_default();
        if let Some(list) = array(role, "AttachedManagedPolicies") {
            list.retain(|p| text(p, "PolicyArn") != policy_arn);
            list.push(json!({"PolicyName": name, "PolicyArn": policy_arn}));
        }
        self.changed(account_of(arn), "us-east-1", "iam", "AttachRolePolicy", parameters, at);
        Ok(())
    }

    /// Detaches a managed policy from a role.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn detach_policy(&mut self, arn: &str, policy_arn: &str, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let role = self.role_mut(arn)?;
        let parameters = json!({"roleName": text(role, "RoleName"), "policyArn": policy_arn});
        if let Some(list) = array(role, "AttachedManagedPolicies") {
            list.retain(|p| text(p, "PolicyArn") != policy_arn);
        }
        self.changed(account_of(arn), "us-east-1", "iam", "DetachRolePolicy", parameters, at);
        Ok(())
    }

    /// Sets or removes a role's permissions boundary.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn set_boundary(&mut self, arn: &str, policy_arn: Option<&str>, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let role = self.role_mut(arn)?;
        let name = text(role, "RoleName").to_owned();
        match policy_arn {
            Some(policy) => {
                set(role, "PermissionsBoundary", boundary(policy));
                let parameters = json!({"roleName": name, "permissionsBoundary": policy});
                self.changed(account_of(arn), "us-east-1", "iam", "PutRolePermissionsBoundary", parameters, at);
            }
            None => {
                if let Some(map) = role.as_object_mut() {
                    map.shift_remove("PermissionsBoundary");
                }
                let parameters = json!({"roleName": name});
                self.changed(account_of(arn), "us-east-1", "iam", "DeleteRolePermissionsBoundary", parameters, at);
            }
        }
        Ok(())
    }

    pub(crate) fn cluster_mut(&mut self, account: &str, region: &str, cluster: &str) -> Result<&mut Cluster, NoSuch> {
        self.accounts
            .get_mut(account)
            .and_then(|a| a.regions.get_mut(region))
            .and_then(|r| r.clusters.iter_mut().find(|c| c.name() == cluster))
            .ok_or_else(|| NoSuch { what: "cluster", name: format!("{account}/{region}/{cluster}") })
    }

    /// Changes members of an association, which is named by its ARN; `null` removes one.
    ///
    /// # Errors
    /// If there is no such association.
    pub fn update_association(&mut self, arn: &str, members: &Value, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let (account, region, cluster) = place(arn);
        let no_such = || NoSuch { what: "association", name: arn.to_owned() };
        let found = self
            .cluster_mut(&account, &region, &cluster)?
            .associations
            .iter_mut()
            .find(|a| text(a, "associationArn") == arn)
            .and_then(Value::as_object_mut)
            .ok_or_else(no_such)?;
        let id = found.get("associationId").cloned().unwrap_or_default();
        let mut parameters = json!({"clusterName": cluster, "associationId": id});
        for (key, value) in members.as_object().into_iter().flatten() {
            set(&mut parameters, key, value.clone());
            if value.is_null() {
                found.shift_remove(key);
            } else {
                found.insert(key.clone(), value.clone());
            }
        }
        found.insert("modifiedAt".to_owned(), json!(at.to_rfc3339_opts(SecondsFormat::Secs, true)));
        self.changed(&account, &region, "eks", "UpdatePodIdentityAssociation", parameters, at);
        Ok(())
    }

    /// Points an association at another role.
    ///
    /// # Errors
    /// If there is no such association.
    pub fn repoint_association(&mut self, arn: &str, role_arn: &str, at: DateTime<Utc>) -> Result<(), NoSuch> {
        self.update_association(arn, &json!({"roleArn": role_arn}), at)
    }

    /// Adds an association, in the cluster that its `associationArn` names.
    ///
    /// # Errors
    /// If there is no such cluster.
    pub fn create_association(&mut self, association: Value, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let (account, region, cluster) = place(text(&association, "associationArn"));
        let mut parameters = json!({"clusterName": cluster});
        for key in ["namespace", "serviceAccount", "roleArn", "targetRoleArn", "disableSessionTags", "policy", "tags"] {
            if let Some(value) = association.get(key) {
                set(&mut parameters, key, value.clone());
            }
        }
        self.cluster_mut(&account, &region, &cluster)?.associations.push(association);
        self.changed(&account, &region, "eks", "CreatePodIdentityAssociation", parameters, at);
        Ok(())
    }

    /// Deletes an association.
    ///
    /// # Errors
    /// If there is no such association.
    pub fn delete_association(&mut self, arn: &str, at: DateTime<Utc>) -> Result<(), NoSuch> {
        let (account, region, cluster) = place(arn);
        let holder = self.cluster_mut(&account, &region, &cluster)?;
        let found = holder.associations.iter().position(|a| text(a, "associationArn") == arn);
        let Some(found) = found else { return Err(NoSuch { what: "association", name: arn.to_owned() }) };
        let gone = holder.associations.remove(found);
        let parameters = json!({"clusterName": cluster, "associationId": text(&gone, "associationId")});
        self.changed(&account, &region, "eks", "DeletePodIdentityAssociation", parameters, at);
        Ok(())
    }
}

/// `PermissionsBoundary` as the authorization details say it.
pub(crate) fn boundary(policy_arn: &str) -> Value {
    json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": policy_arn})
}

/// Account, region and cluster of an association's ARN.
fn place(arn: &str) -> (String, String, String) {
    let mut parts = arn.splitn(6, ':').skip(3);
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let (region, account, resource) = (next(), next(), next());
    (account, region, resource.split('/').nth(1).unwrap_or_default().to_owned())
}

/// A document's text: an object is printed, a text stays as it stands.
pub(crate) fn document_text(document: &Value) -> String {
    match document {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
