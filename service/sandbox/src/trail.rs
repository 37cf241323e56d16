//! CloudTrail records in the making: how sessions begin.
//!
//! Knows the records' shapes. Refuses to know which sessions an estate has.

use crate::estate::account_of;
use crate::ids;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// Which pod takes a session, and where it runs.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) cluster_arn: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    /// The pod's name.
    pub(crate) name: String,
}

impl Pod {
    /// A pod of a deployment that is named like its service account; `turn` tells pods apart.
    pub(crate) fn new(cluster_arn: &str, namespace: &str, service_account: &str, turn: u64) -> Self {
        let seed = format!("{cluster_arn}/{namespace}/{service_account}");
        let name = format!(
            "{service_account}-{}-{}",
            ids::pod_suffix(&format!("{seed}/set/{}", turn / 3), 9),
            ids::pod_suffix(&format!("{seed}/{turn}"), 5)
        );
        let (cluster_arn, namespace) = (cluster_arn.to_owned(), namespace.to_owned());
        Self { cluster_arn, namespace, service_account: service_account.to_owned(), name }
    }

    fn cluster(&self) -> &str {
        self.cluster_arn.rsplit('/').next().unwrap_or_default()
    }

    fn region(&self) -> &str {
        self.cluster_arn.split(':').nth(3).unwrap_or_default()
    }

    /// The session name that Pod Identity gives: ten letters of the cluster, ten of the pod, a UUID.
    pub(crate) fn session_name(&self, id: &str) -> String {
        let ten = |s: &str| s.chars().take(10).collect::<String>();
        format!("eks-{}-{}-{}", ten(self.cluster()), ten(&self.name), ids::uuid(&format!("session/{id}")))
    }

    /// The six tags.
    fn tags(&self) -> [(&'static str, String); 6] {
        [
            ("eks-cluster-arn", self.cluster_arn.clone()),
            ("eks-cluster-name", self.cluster().to_owned()),
            ("kubernetes-namespace", self.namespace.clone()),
            ("kubernetes-service-account", self.service_account.clone()),
            ("kubernetes-pod-name", self.name.clone()),
            ("kubernetes-pod-uid", ids::uuid(&format!("pod/{}/{}", self.cluster_arn, self.name))),
        ]
    }
}

/// A session that begins: what all records share.
#[derive(Debug, Clone)]
pub(crate) struct Start<'a> {
    /// What the identifiers follow from.
    pub(crate) id: &'a str,
    pub(crate) at: DateTime<Utc>,
    pub(crate) region: &'a str,
    pub(crate) role_arn: &'a str,
    pub(crate) session: &'a str,
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The unique id of a role.
fn role_id(arn: &str) -> String {
    ids::role_id(arn)
}

fn role_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// Who holds a session of a role, as a record names its caller.
pub(crate) fn session_identity(role_arn: &str, session: &str, key: &str, since: DateTime<Utc>) -> Value {
    let account = account_of(role_arn);
    let id = role_id(role_arn);
    json!({
        "type": "AssumedRole", "principalId": format!("{id}:{session}"),
        "arn": format!("arn:aws:sts::{account}:assumed-role/{}/{session}", role_name(role_arn)),
        "accountId": account, "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": id, "arn": role_arn, "accountId": account, "userName": role_name(role_arn)},
            "attributes": {"creationDate": time(since), "mfaAuthenticated": "false"},
        },
    })
}

impl Start<'_> {
    fn request(&self, seconds: i64) -> Map<String, Value> {
        let value = json!({"roleArn": self.role_arn, "roleSessionName": self.session, "durationSeconds": seconds});
        if let Value::Object(map) = value { map } else { Map::new() }
    }

    fn response(&self, seconds: i64) -> Value {
        let account = account_of(self.role_arn);
        let ends = (self.at + Duration::seconds(seconds)).format("%b %-d, %Y, %-I:%M:%S %p").to_string();
        json!({
            "credentials": {"accessKeyId": ids::access_key(self.id), "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS", "expiration": ends},
            "assumedRoleUser": {
                "assumedRoleId": format!("{}:{}", role_id(self.role_arn), self.session),
                "arn": format!("arn:aws:sts::{account}:assumed-role/{}/{}", role_name(self.role_arn), self.session),
            },
        })
    }

    /// A record of STS. `recipient` is the account whose history keeps it.
    fn record(
        &self,
        name: &str,
        caller: &Value,
        by: (&str, &str),
        request: Value,
        response: Value,
        recipient: &str,
    ) -> Value {
        let (address, agent) = by;
        let made = json!({
            "eventVersion": "1.11", "userIdentity": caller, "eventTime": time(self.at), "eventSource": "sts.amazonaws.com",
            "eventName": name, "awsRegion": self.region, "sourceIPAddress": address, "userAgent": agent,
            "requestParameters": null, "responseElements": null, "requestID": ids::uuid(&format!("request/{}", self.id)),
            "eventID": ids::uuid(&format!("event/{}/{recipient}", self.id)), "readOnly": true,
            "resources": [{"accountId": account_of(self.role_arn), "type": "AWS::IAM::Role", "ARN": self.role_arn}],
            "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": recipient,
            "sharedEventID": ids::uuid(&format!("shared/{}", self.id)), "eventCategory": "Management",
        });
        crate::build::with(crate::build::with(made, "requestParameters", request), "responseElements", response)
    }

    /// A service takes a session.
    pub(crate) fn by_service(&self, service: &str, seconds: i64) -> Value {
        let caller = json!({"type": "AWSService", "invokedBy": service});
        let account = account_of(self.role_arn);
        self.record(
            "AssumeRole",
            &caller,
            (service, service),
            self.request(seconds).into(),
            self.response(seconds),
            account,
        )
    }

    /// Pod Identity takes a session for a pod, with the six tags or without.
    pub(crate) fn by_pod(&self, pod: &Pod, tagged: bool) -> Value {
        let mut request = self.request(21_600);
        if tagged {
            let tags: Vec<Value> = pod.tags().iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
            let keys: Vec<&str> = pod.tags().iter().map(|(key, _)| *key).collect();
            request.insert("tags".to_owned(), tags.into());
            request.insert("transitiveTagKeys".to_owned(), json!(keys));
        }
        let caller = json!({"type": "AWSService", "invokedBy": crate::build::PODS});
        let by = (crate::build::PODS, crate::build::PODS);
        let mut response = self.response(21_600);
        if let Some(map) = response.as_object_mut() {
            map.insert("packedPolicySize".to_owned(), json!(if tagged { 56 } else { 0 }));
        }
        self.record("AssumeRole", &caller, by, request.into(), response, account_of(self.role_arn))
    }

    /// The hop of a pod's session into the target role: the caller's record, and, where the target
    /// is in another account, that account's.
    pub(crate) fn by_hop(&self, from: &Start<'_>, pod: &Pod, tagged: bool, external_id: Option<&str>) -> Vec<Value> {
        let mut request = self.request(3_600);
        if let Some(id) = external_id {
            request.insert("externalId".to_owned(), json!(id));
        }
        let told = request.clone();
        if tagged {
            let tags: Map<String, Value> =
                pod.tags().into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
            request.insert("incomingTransitiveTags".to_owned(), tags.into());
        }
        let mut caller = session_identity(from.role_arn, from.session, &ids::access_key(from.id), from.at);
        if let Some(map) = caller.as_object_mut() {
            map.insert("invokedBy".to_owned(), json!(crate::build::PODS));
        }
        let by = (crate::build::PODS, crate::build::PODS);
        let (home, away) = (account_of(from.role_arn), account_of(self.role_arn));
        let mut records = vec![self.record("AssumeRole", &caller, by, request.into(), self.response(3_600), home)];
        if home != away {
            let caller = json!({"type": "AWSAccount", "principalId": format!("{}:{}", role_id(from.role_arn), from.session), "accountId": home});
            records.push(self.record("AssumeRole", &caller, by, told.into(), self.response(3_600), away));
        }
        records
    }

    /// Somebody's session, or user, takes a session.
    pub(crate) fn by(&self, caller: &Value, address: &str, agent: &str) -> Value {
        let account = account_of(self.role_arn);
        self.record("AssumeRole", caller, (address, agent), self.request(3_600).into(), self.response(3_600), account)
    }

    /// The same, refused: such records name the role in their message alone.
    pub(crate) fn refused(&self, caller: &Value, action: &str) -> Value {
        let who = caller.get("arn").and_then(Value::as_str).unwrap_or_default();
        let home = account_of(who).to_owned();
        let message = format!("User: {who} is not authorized to perform: {action} on resource: {}", self.role_arn);
        let mut record =
            self.record("AssumeRole", caller, ("198.51.100.23", "Boto3/1.40.12"), Value::Null, Value::Null, &home);
        if let Some(map) = record.as_object_mut() {
            map.shift_remove("resources");
            map.insert("errorCode".to_owned(), json!("AccessDenied"));
            map.insert("errorMessage".to_owned(), json!(message));
        }
        record
    }

    /// A pod takes a session by IRSA.
    pub(crate) fn by_irsa(&self, issuer: &str, namespace: &str, service_account: &str) -> Value {
        let account = account_of(self.role_arn);
        let provider = format!("arn:aws:iam::{account}:oidc-provider/{issuer}");
        let subject = format!("system:serviceaccount:{namespace}:{service_account}");
        let caller = json!({"type": "WebIdentityUser", "principalId": format!("{provider}:sts.amazonaws.com:{subject}"),
            "userName": subject, "identityProvider": provider});
        let mut response = self.response(3_600);
        if let Some(map) = response.as_object_mut() {
            map.insert("subjectFromWebIdentityToken".to_owned(), json!(subject));
            map.insert("provider".to_owned(), json!(provider));
            map.insert("audience".to_owned(), json!("sts.amazonaws.com"));
        }
        let by = ("203.0.113.40", "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.2");
        self.record("AssumeRoleWithWebIdentity", &caller, by, self.request(3_600).into(), response, account)
    }
}

/// The agent of a node asks EKS for a pod's credentials; `refused`: EKS may not assume the role.
pub(crate) fn agent_call(id: &str, at: DateTime<Utc>, pod: &Pod, node_role: &str, refused: bool) -> Value {
    let account = account_of(node_role);
    let instance = format!("i-{}", ids::hex(&format!("{}/{}", pod.cluster_arn, pod.name), 17));
    let mut caller = session_identity(node_role, &instance, &ids::access_key(&instance), at - Duration::hours(1));
    if let Some(context) = caller.pointer_mut("/sessionContext").and_then(Value::as_object_mut) {
        context.insert("ec2RoleDelivery".to_owned(), json!("2.0"));
    }
    let mut record = json!({
        "eventVersion": "1.11", "userIdentity": caller, "eventTime": time(at), "eventSource": "eks-auth.amazonaws.com",
        "eventName": "AssumeRoleForPodIdentity", "awsRegion": pod.region(), "sourceIPAddress": "10.20.30.40",
        "userAgent": "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.2 md/GOOS#linux md/GOARCH#amd64 api/eksauth#1.8.1",
        "requestParameters": {"clusterName": pod.cluster(), "token": "HIDDEN_DUE_TO_SECURITY_REASONS"}, "responseElements": null,
        "requestID": ids::uuid(&format!("request/agent/{id}")), "eventID": ids::uuid(&format!("event/agent/{id}")), "readOnly": true,
        "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
    });
    if let (true, Some(map)) = (refused, record.as_object_mut()) {
        map.insert("errorCode".to_owned(), json!("AccessDenied"));
        map.insert(
            "errorMessage".to_owned(),
            json!("Unauthorized Exception! EKS does not have permissions to assume the associated role."),
        );
    }
    record
}
