//! What the demo's sessions call, day after day: as their roles allow, mostly.
//!
//! A session's calls follow from its role's own statements, so that what is granted and what is used
//! belong together; one granted action of four is never called. Refuses to know in which file a
//! record ends up.

use super::bucket::{Files, records};
use super::{COMMERCE, Draft, PAYMENTS};
use crate::build::with;
use crate::estate::{account_of, text};
use crate::ids;
use crate::trail::session_identity;
use chrono::{DateTime, Datelike as _, Duration, NaiveDate, NaiveTime, SecondsFormat, Utc, Weekday};
use serde_json::{Value, json};

/// A session that calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) role: String,
    pub(super) session: String,
    pub(super) key: String,
    pub(super) region: &'static str,
    pub(super) since: DateTime<Utc>,
    /// Whether it is an instance's own.
    pub(super) is_node: bool,
}

/// A call: an IAM action on a resource.
struct Call<'a> {
    action: &'a str,
    resource: &'a str,
    /// The error that it met, and what was said of it.
    error: Option<(&'static str, String)>,
}

/// What roles with more than they name are used for, by the end of their ARN.
const BROAD: [(&str, &str, &str); 17] = [
    ("pods/settlement-uploads", "s3:GetObject", "arn:aws:s3:::settlement-files-444455556666/*"),
    ("pods/settlement-uploads", "s3:PutObject", "arn:aws:s3:::settlement-files-444455556666/*"),
    ("pods/delivery-release-bot", "cloudformation:DescribeStacks", "*"),
    ("pods/delivery-release-bot", "ecr:DescribeImages", "arn:aws:ecr:eu-west-1:777788889999:repository/shop"),
    (
        "pods/delivery-release-bot",
        "eks:DescribeCluster",
        "arn:aws:eks:eu-west-1:777788889999:cluster/commerce-prod-euw1",
    ),
    ("pods/delivery-release-bot", "ssm:GetParameter", "arn:aws:ssm:eu-west-1:777788889999:parameter/release/channel"),
    ("pods/ledger-migrator", "dynamodb:DescribeTable", "arn:aws:dynamodb:eu-west-1:444455556666:table/ledger-journal"),
    ("pods/ledger-migrator", "dynamodb:UpdateTable", "arn:aws:dynamodb:eu-west-1:444455556666:table/ledger-journal"),
    ("pods/ledger-migrator", "dynamodb:Scan", "arn:aws:dynamodb:eu-west-1:444455556666:table/ledger-journal"),
    ("pods/catalogue-importer", "s3:DeleteObject", "arn:aws:s3:::catalogue-import-777788889999/*"),
    ("pods/ebs-csi-driver", "ec2:AttachVolume", "*"),
    ("pods/ebs-csi-driver", "ec2:CreateVolume", "*"),
    ("pods/ebs-csi-driver", "ec2:DescribeInstances", "*"),
    ("pods/ebs-csi-driver", "ec2:DescribeVolumes", "*"),
    ("-node", "ec2:DescribeInstances", "*"),
    ("-node", "ecr:BatchGetImage", "*"),
    ("-node", "ecr:GetAuthorizationToken", "*"),
];

/// What is refused: the end of the role's ARN, the action, the resource, and every how many days.
const DENIED: [(&str, &str, &str, u64); 5] = [
    ("pods/catalogue-vendor-feed", "s3:PutObject", "arn:aws:s3:::catalogue-products-777788889999/*", 1),
    ("pods/ledger-balances", "dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:444455556666:table/ledger-journal", 2),
    (
        "pods/payments-authoriser",
        "kms:Decrypt",
        "arn:aws:kms:eu-west-1:444455556666:key/8f0d2b6c-5f0e-4a53-9d5b-3c1f6b1d7e02",
        3,
    ),
    // Pods that have no role of their own ask as the node that they run on.
    (
        "payments-prod-euw1-node",
        "secretsmanager:GetSecretValue",
        "arn:aws:secretsmanager:eu-west-1:444455556666:secret:fraud-rules-4kd2pq",
        1,
    ),
    ("commerce-prod-euw1-node", "s3:GetObject", "arn:aws:s3:::marketing-banners-777788889999/*", 1),
];

/// Kinds of data events that an account's trail records.
fn records_data_of(account: &str, service: &str) -> bool {
    match account {
        PAYMENTS => ["s3", "dynamodb", "kinesis", "sqs"].contains(&service),
        COMMERCE => service == "s3",
        _ => false,
    }
}

fn is_data(service: &str, name: &str) -> bool {
    match service {
        "s3" => ["GetObject", "PutObject", "DeleteObject", "ListBucket", "ListObjects"].contains(&name),
        "dynamodb" => !["DescribeTable", "UpdateTable"].contains(&name),
        "kinesis" => true,
        "sqs" => name != "GetQueueAttributes",
        "sns" => name == "Publish",
        "elasticache" => true,
        _ => false,
    }
}

/// What a role is used for: actions of its own inline policies, each on a resource that fits.
fn uses(draft: &Draft, role_arn: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = BROAD
        .iter()
        .filter(|(role, ..)| role_arn.ends_with(role))
        .map(|(_, action, resource)| ((*action).to_owned(), (*resource).to_owned()))
        .collect();
    let account = draft.estate.accounts.get(account_of(role_arn));
    let role = account.and_then(|account| account.roles.iter().find(|role| text(role, "Arn") == role_arn));
    let policies = role.and_then(|role| role.get("RolePolicyList")).and_then(Value::as_array);
    let statements = policies.into_iter().flatten().filter_map(|policy| policy.pointer("/PolicyDocument/Statement"));
    for statement in statements.filter_map(Value::as_array).flatten().filter(|s| text(s, "Effect") == "Allow") {
        // One is written as a text, several as a list.
        let list = |key: &str| match statement.get(key) {
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>(),
            one => one.and_then(Value::as_str).into_iter().collect(),
        };
        for action in list("Action") {
            let (service, name) = action.split_once(':').unwrap_or((action, ""));
            if service == "sts" || name.contains('*') || name.is_empty() {
                continue;
            }
            let of_object = service == "s3" && name != "ListBucket";
            let mut resources = list("Resource").into_iter();
            let fits =
                resources.find(|resource| *resource != "*" && resource.contains('/') == of_object || service != "s3");
            if let Some(resource) = fits.filter(|resource| *resource != "*")
                && (!ids::hash(&format!("{role_arn} {action}")).is_multiple_of(4)
                    || role_arn.ends_with("pods/payments-card-vault"))
            {
                found.push((action.to_owned(), resource.to_owned()));
            }
        }
    }
    found
}

/// How often a day.
fn times(role: &str, action: &str, day: NaiveDate) -> u64 {
    let often: [u64; 6] = [2, 4, 6, 10, 16, 24];
    let pick = usize::try_from(ids::hash(&format!("times {role} {action}")) % 6).unwrap_or(0);
    let mut times = often.get(pick).copied().unwrap_or(1);
    if role.ends_with("pods/payments-api") && action.starts_with("dynamodb:") {
        times += 40;
    }
    if matches!(day.weekday(), Weekday::Sat | Weekday::Sun) { times.div_ceil(3) } else { times }
}

/// All that a day's callers call.
pub(super) fn add(draft: &Draft, callers: &[Caller], day: NaiveDate, turn: u64, files: &mut Files) {
    let end = day.and_time(NaiveTime::MIN).and_utc() + Duration::seconds(86_100);
    for caller in callers.iter().filter(|caller| records(account_of(&caller.role))) {
        let room = u64::try_from((end - caller.since).num_seconds().clamp(60, 20_000)).unwrap_or(60);
        let mut emit = |call: &Call<'_>, nth: u64| {
            let id = format!("{}/{}/{}/{nth}", caller.key, call.action, call.resource);
            let after = i64::try_from(5 + ids::hash(&id) % room).unwrap_or(5);
            caller.write_record(
                &id,
                caller.since + Duration::seconds(after.min((end - caller.since).num_seconds().max(5))),
                call,
                files,
            );
        };
        for (action, resource) in uses(draft, &caller.role) {
            for nth in 0..times(&caller.role, &action, day) {
                let error = mishap(&action, &format!("{}{action}{nth}", caller.key));
                emit(&Call { action: &action, resource: &resource, error }, nth);
            }
        }
        for (_, action, resource, _) in
            DENIED.iter().filter(|(role, _, _, every)| caller.role.ends_with(role) && turn.is_multiple_of(*every))
        {
            let message = format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} action",
                caller.arn()
            );
            let error = Some(("AccessDenied", message));
            for nth in 0..1 + ids::hash(&caller.key) % 3 {
                emit(&Call { action, resource, error: error.clone() }, nth);
            }
        }
    }
}

/// Somebody took a pod's credentials to a machine of their own, and looked at what they are good for.
pub(super) fn add_stolen(callers: &[Caller], week: u32, files: &mut Files) {
    // From elsewhere each time: what was seen before is no news.
    let address = if week.is_multiple_of(2) { "198.51.100.23" } else { "203.0.113.61" };
    let calls = [
        ("s3", "ListBuckets", "*"),
        ("sts", "GetCallerIdentity", "*"),
        ("s3", "GetObject", "arn:aws:s3:::settlement-files-444455556666/*"),
    ];
    let Some(caller) = callers.iter().find(|caller| caller.role.ends_with("pods/settlement-uploads")) else { return };
    for (nth, (service, name, resource)) in (0_i32..).zip(calls) {
        let id = format!("{}/stolen/{name}", caller.key);
        let at = caller.since + Duration::seconds(i64::from(1_200 + 40 * nth));
        let call = Call { action: name, resource, error: None };
        let mut made = caller.record(&id, at, (service, name), is_data(service, name), &call);
        if let Some(map) = made.as_object_mut() {
            map.insert("sourceIPAddress".to_owned(), json!(address));
            map.insert("userAgent".to_owned(), json!("aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.12.33-kali"));
            map.remove("vpcEndpointId");
            map.remove("vpcEndpointAccountId");
        }
        files.add(account_of(&caller.role), caller.region, at, &made);
    }
}

/// What goes wrong now and then, without anybody being refused.
fn mishap(action: &str, of: &str) -> Option<(&'static str, String)> {
    if !ids::hash(of).is_multiple_of(41) {
        return None;
    }
    match action.split_once(':')? {
        ("s3", "GetObject") => Some(("NoSuchKey", "The specified key does not exist.".to_owned())),
        ("dynamodb", "PutItem" | "UpdateItem") => {
            Some(("ConditionalCheckFailedException", "The conditional request failed".to_owned()))
        }
        ("dynamodb" | "kinesis", _) => Some(("ThrottlingException", "Rate exceeded".to_owned())),
        _ => None,
    }
}

impl Caller {
    fn arn(&self) -> String {
        let name = self.role.rsplit('/').next().unwrap_or_default();
        format!("arn:aws:sts::{}:assumed-role/{name}/{}", account_of(&self.role), self.session)
    }

    /// Writes the records of one call into the files of the caller's account.
    fn write_record(&self, id: &str, at: DateTime<Utc>, call: &Call<'_>, files: &mut Files) {
        let account = account_of(&self.role);
        let (service, action) = call.action.split_once(':').unwrap_or((call.action, ""));
        let data = is_data(service, action);
        if data && !records_data_of(account, service) {
            return;
        }
        let name = if action == "ListBucket" { "ListObjects" } else { action };
        files.add(account, self.region, at, &self.record(id, at, (service, name), data, call));
        if name == "GetSecretValue" && call.error.is_none() {
            // Secrets Manager decrypts on the caller's behalf, by the key of the account.
            let key = format!("arn:aws:kms:{}:{account}:key/{}", self.region, ids::uuid(&format!("secrets/{account}")));
            let decrypt = Call { action: "kms:Decrypt", resource: &key, error: None };
            let mut made = self.record(&format!("{id}/decrypt"), at, ("kms", "Decrypt"), false, &decrypt);
            if let Some(map) = made.as_object_mut() {
                let host = json!("secretsmanager.amazonaws.com");
                for member in ["sourceIPAddress", "userAgent"] {
                    map.insert(member.to_owned(), host.clone());
                }
                if let Some(caller) = map.get_mut("userIdentity").and_then(Value::as_object_mut) {
                    caller.insert("invokedBy".to_owned(), host);
                }
            }
            files.add(account, self.region, at, &made);
        }
    }

    fn record(&self, id: &str, at: DateTime<Utc>, (service, name): (&str, &str), data: bool, call: &Call<'_>) -> Value {
        let account = account_of(&self.role);
        let mut caller = session_identity(&self.role, &self.session, &self.key, self.since);
        if let (true, Some(context)) =
            (self.is_node, caller.pointer_mut("/sessionContext").and_then(Value::as_object_mut))
        {
            context.insert("ec2RoleDelivery".to_owned(), json!("2.0"));
        }
        let (request, resources) = on(service, name, call.resource, account, id);
        let reads = ["Batch", "Decrypt", "Describe", "Generate", "Get", "List", "Query", "Receive", "Scan"];
        let agents = [
            "Boto3/1.40.12 md/Botocore#1.40.12 ua/2.1 os/linux#6.12.40 md/arch#x86_64 lang/python#3.13.5",
            "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.2 md/GOOS#linux md/GOARCH#amd64",
            "aws-sdk-java/2.32.4 md/io#sync md/http#Apache ua/2.1 os/Linux#6.12.40 lang/java#21.0.8",
        ];
        let agent =
            usize::try_from(ids::hash(&self.role) % 3).ok().and_then(|n| agents.get(n)).copied().unwrap_or_default();
        // S3 and DynamoDB are reached by a gateway in the VPC, all else by its way out.
        let inside = ["s3", "dynamodb"].contains(&service);
        let address = if inside {
            format!("10.20.{}.{}", ids::hash(&self.session) % 40, 2 + ids::hash(&self.key) % 250)
        } else {
            "203.0.113.40".to_owned()
        };
        let mut made = json!({
            "eventVersion": "1.11", "userIdentity": null, "eventTime": at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "eventSource": format!("{service}.amazonaws.com"), "eventName": name, "awsRegion": self.region,
            "sourceIPAddress": address, "userAgent": agent, "requestParameters": null, "responseElements": null,
            "requestID": ids::uuid(&format!("request/{id}")), "eventID": ids::uuid(&format!("call/{id}/{at}")),
            "readOnly": reads.iter().any(|verb| name.starts_with(verb)), "eventType": "AwsApiCall",
            "managementEvent": !data, "recipientAccountId": account, "eventCategory": if data { "Data" } else { "Management" },
        });
        made = with(with(made, "userIdentity", caller), "requestParameters", request);
        if let Some(map) = made.as_object_mut() {
            if let Some(resources) = resources {
                map.insert("resources".to_owned(), resources);
            }
            if inside {
                map.insert(
                    "vpcEndpointId".to_owned(),
                    json!(format!("vpce-{}", ids::hex(&format!("{service}/{}/{account}", self.region), 17))),
                );
                map.insert("vpcEndpointAccountId".to_owned(), json!(account));
            }
            if let Some((code, message)) = &call.error {
                map.insert("errorCode".to_owned(), json!(code));
                map.insert("errorMessage".to_owned(), json!(message));
            }
        }
        made
    }
}

/// How a record names what was called on: its parameters, and its resources where the service lists any.
fn on(service: &str, name: &str, resource: &str, account: &str, id: &str) -> (Value, Option<Value>) {
    let last = resource.rsplit(['/', ':']).next().unwrap_or_default();
    let one = |kind: &str| Some(json!([{"accountId": account, "type": kind, "ARN": resource}]));
    match service {
        "s3" => {
            let path = resource.strip_prefix("arn:aws:s3:::").unwrap_or(resource);
            let bucket = path.split('/').next().unwrap_or_default();
            let bucket_arn = format!("arn:aws:s3:::{bucket}");
            let owned = json!({"accountId": account, "type": "AWS::S3::Bucket", "ARN": bucket_arn});
            if name == "ListObjects" {
                let request = json!({"bucketName": bucket, "Host": format!("{bucket}.s3.amazonaws.com"), "list-type": "2", "prefix": ""});
                return (
                    request,
                    Some(json!([{"type": "AWS::S3::Object", "ARNPrefix": format!("{bucket_arn}/")}, owned])),
                );
            }
            let folder = path.split_once('/').map(|(_, key)| key.replace('*', "")).unwrap_or_default();
            let key = format!("{folder}{}/{}.json", ids::hex(id, 2), ids::hex(id, 12));
            let object = json!({"type": "AWS::S3::Object", "ARN": format!("{bucket_arn}/{key}")});
            let request = json!({"bucketName": bucket, "Host": format!("{bucket}.s3.amazonaws.com"), "key": key});
            (request, Some(json!([object, owned])))
        }
        "dynamodb" => {
            (json!({"tableName": last, "key": {"id": "HIDDEN_DUE_TO_SECURITY_REASONS"}}), one("AWS::DynamoDB::Table"))
        }
        "kinesis" => (json!({"streamName": last}), one("AWS::Kinesis::Stream")),
        "sqs" => (
            json!({"queueUrl": format!("https://sqs.eu-west-1.amazonaws.com/{account}/{last}")}),
            one("AWS::SQS::Queue"),
        ),
        "secretsmanager" => (json!({"secretId": resource}), None),
        "kms" => (json!({"keyId": resource, "encryptionAlgorithm": "SYMMETRIC_DEFAULT"}), one("AWS::KMS::Key")),
        "ssm" => (
            json!({"name": resource.split_once(":parameter").map_or(last, |(_, name)| name), "withDecryption": false}),
            None,
        ),
        "eks" => (json!({"name": last}), None),
        "ecr" if resource != "*" => {
            (json!({"repositoryName": last, "registryId": account}), one("AWS::ECR::Repository"))
        }
        _ => (Value::Null, None),
    }
}
