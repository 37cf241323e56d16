//! The demo estate: an invented company that ships with the program.
//!
//! Four accounts in an organisation, five clusters in three regions, and a trail of the fourteen
//! days before today: event histories, and a bucket with the files of three accounts. [`past`] has
//! the estate as it was on twelve of them. It shows every problem that the built-in rules find at least once, and for
//! many of them something that only looks like it; [`manifest`] lists both. Everything follows from
//! the day: the same day gives the same estate, event for event. Refuses to know how a
//! rule decides: it says why something is wrong in words of its own.

mod bucket;
mod calls;
mod cases;
mod days;
mod history;
mod people;
mod workloads;

pub use bucket::{BUCKET, BUCKET_REGION, TrailBucket};
pub use history::{Past, PastDay};

use crate::build::{self, Role, association, cluster_arn};
use crate::estate::{Account, Cluster, Estate, Member, OrgPolicy, Organization, Unit, text};
use crate::managed;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

/// The organisation's management account, which is also the hub.
pub const MANAGEMENT: &str = "111122223333";
/// Where the payment workloads run.
pub const PAYMENTS: &str = "444455556666";
/// Where the shop runs.
pub const COMMERCE: &str = "777788889999";
/// Where data is explored, with less care.
pub const DATA: &str = "123456789012";
/// A vendor's account, outside of the organisation.
pub const VENDOR: &str = "999988887777";

/// Infrastructure code of one of the clusters, in [`COMMERCE`], by the names of its files. A role and an association
/// are not as it declares them, an association of it is missing, and one of the cluster is not declared, with its role.
pub const DECLARED: [(&str, &str); 2] =
    [("cluster.yaml", include_str!("declared/cluster.yaml")), ("roles.yaml", include_str!("declared/roles.yaml"))];

/// Ownership rules of the organisation, beside what its tags say.
pub const OWNERS: &str = include_str!("owners.yaml");

/// Account, region and name of a cluster.
type Place = (&'static str, &'static str, &'static str);

const PAY: Place = (PAYMENTS, "eu-west-1", "payments-prod-euw1");
const PAY_DR: Place = (PAYMENTS, "eu-central-1", "payments-dr-euc1");
const SHOP: Place = (COMMERCE, "eu-west-1", "commerce-prod-euw1");
const EDGE: Place = (COMMERCE, "us-east-1", "commerce-edge-use1");
const LAB: Place = (DATA, "eu-west-1", "analytics-dev");

/// Something that is wrong with the demo estate, or that only looks so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// The kind of problem, by one of the names in [`problem`].
    pub problem: &'static str,
    /// A role's or cluster's ARN, an account's id, an association as
    /// `account/region/cluster/namespace/service account`; for sessions the role's ARN.
    pub subject: String,
    /// What is wrong, or why it is not.
    pub why: &'static str,
}

/// What an audit of the demo estate has to find, and what it must not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Problems that are there.
    pub expected: Vec<Sign>,
    /// Subjects that look like a problem and are none.
    pub look_alikes: Vec<Sign>,
}

/// Names of problems: the ids of the built-in rules that find them.
pub mod problem {
    /// A wildcard over all actions of a service, or over all that change something.
    pub const WILDCARD_ACTION: &str = "wildcard-action";
    /// As good as an administrator.
    pub const ADMIN: &str = "admin-equivalent";
    /// Actions that write or grant, on every resource.
    pub const WILDCARD_RESOURCE: &str = "wildcard-resource";
    /// Allow with `NotAction`.
    pub const NOT_ACTION: &str = "not-action-allow";
    /// `iam:PassRole` on every role.
    pub const PASS_ROLE: &str = "pass-role-any";
    /// An association role that any cluster of the account, or any account, may be given.
    pub const UNSCOPED_TRUST: &str = "trust-without-source";
    /// No `sts:TagSession` in the trust, while session tags are on.
    pub const NO_TAG_SESSION: &str = "trust-lacks-tag-session";
    /// Anyone, or an account outside of the organisation, may assume the role.
    pub const OUTSIDER: &str = "trust-admits-outsider";
    /// The target of an association's second hop asks for no external id.
    pub const NO_EXTERNAL_ID: &str = "target-role-without-external-id";
    /// An association names a role that is not there.
    pub const MISSING_ROLE: &str = "association-role-missing";
    /// One role serves service accounts of several namespaces.
    pub const SHARED_ROLE: &str = "role-shared-across-namespaces";
    /// An association of a namespace's `default` service account.
    pub const DEFAULT_ACCOUNT: &str = "default-service-account";
    /// A session of an association role, not by Pod Identity's naming.
    pub const SESSION_NAME: &str = "session-name-grammar";
    /// A session named as by Pod Identity, which somebody else began.
    pub const IMITATION: &str = "session-name-imitation";
    /// Pods have sessions, and no association explains them.
    pub const NO_ASSOCIATION: &str = "session-without-association";
    /// Pods have sessions that are not what their association says.
    pub const DISAGREES: &str = "session-disagrees-with-association";
    /// A session under the name that a program gives where nobody does.
    pub const DEFAULT_NAME: &str = "session-name-default";
    /// Packed policy size near the limit.
    pub const PACKED: &str = "packed-policy-size-near-limit";
    /// A policy document that does not parse.
    pub const UNREADABLE: &str = "unreadable-policy-document";
    /// A trust condition on `aws:SourceArn` that Pod Identity never meets.
    pub const BROKEN_SOURCE_ARN: &str = "trust-source-arn-association";
    /// Associations in a cluster without the Pod Identity agent.
    pub const NO_AGENT: &str = "agent-addon-missing";
    /// Permissions that go by a namespace's name in any cluster.
    pub const ABAC: &str = "abac-without-cluster-tag";
    /// A second hop that is refused.
    pub const HOP: &str = "chained-hop-not-allowed";
    /// Permissions that go by session tags which somebody else may set.
    pub const FORGEABLE: &str = "pod-tags-forgeable";
    /// Session tags are off, and the role asks for them.
    pub const TAGS_OFF: &str = "tag-conditions-while-tags-disabled";
    /// A trust policy that refuses the association's pods.
    pub const BLOCKED: &str = "trust-blocks-association";
    /// A session policy that does not parse.
    pub const UNREADABLE_SESSION: &str = "unreadable-session-policy";
    /// A role that is not as infrastructure code declares it.
    pub const ROLE_DIFFERS: &str = "role-differs-from-declaration";
    /// An association that is not as infrastructure code declares it.
    pub const ASSOCIATION_DIFFERS: &str = "association-differs-from-declaration";
    /// A workload's role that infrastructure code does not declare.
    pub const ROLE_NOT_DECLARED: &str = "role-not-declared";
    /// An association that infrastructure code does not declare.
    pub const ASSOCIATION_NOT_DECLARED: &str = "association-not-declared";
    /// A declared role or association that is not there; of its account.
    pub const DECLARED_MISSING: &str = "declared-resource-missing";
    /// No trail that records sessions.
    pub const NO_TRAIL: &str = "trail-misses-read-only-events";
}

/// A session of an association that recurs every day.
struct Use {
    place: Place,
    namespace: String,
    service_account: String,
    role: String,
    target: Option<(String, Option<String>)>,
    tagged: bool,
}

/// The estate in the making.
struct Draft {
    estate: Estate,
    manifest: Manifest,
    uses: Vec<Use>,
    irsa: Vec<(Place, String, String, String)>,
    /// Sessions of the day in the making that call.
    callers: Vec<calls::Caller>,
}

/// The demo estate as it stands on a day: the trail ends with the day before.
#[must_use]
pub fn estate(now: DateTime<Utc>) -> Estate {
    draft(now.date_naive(), &mut None).estate
}

/// The same, with the bucket that its trails write to: what the event history keeps of the recorded
/// accounts, and what their sessions called.
#[must_use]
pub fn estate_and_bucket(now: DateTime<Utc>) -> (Estate, TrailBucket) {
    let mut files = Some(bucket::Files::default());
    let estate = draft(now.date_naive(), &mut files).estate;
    (estate, files.unwrap_or_default().bucket())
}

/// The demo estate as it was at six in the morning of each of the twelve days before, with changes of
/// many kinds between, and what the trails recorded of them.
#[must_use]
pub fn past(now: DateTime<Utc>) -> Past {
    history::past(&estate(now), now.date_naive())
}

/// What is wrong with the demo estate, and what is not. The same every day.
#[must_use]
pub fn manifest() -> Manifest {
    draft(NaiveDate::default(), &mut None).manifest
}

/// What [`DECLARED`] says, and what it does not.
fn declared(draft: &mut Draft) {
    let association = |namespace, service_account| key(EDGE, namespace, service_account);
    let role = |name: &str| role_arn(COMMERCE, name);
    draft.expect(problem::ROLE_DIFFERS, role("pods/media-renditions"), "it may also write objects");
    draft.expect(problem::ASSOCIATION_DIFFERS, association("media", "renditions"), "the declared tag is not there");
    draft.expect(problem::ROLE_NOT_DECLARED, role("edge-geo-cache"), "the template does not have it");
    draft.expect(problem::ASSOCIATION_NOT_DECLARED, association("edge", "geo-cache"), "no file has it");
    draft.expect(problem::DECLARED_MISSING, COMMERCE.to_owned(), "an association for thumbnails is declared");
    draft.spare(problem::ROLE_DIFFERS, role("pods/edge-personalise"), "only the order of the actions is another");
    draft.spare(
        problem::ASSOCIATION_NOT_DECLARED,
        key(SHOP, "checkout", "basket"),
        "nothing of its cluster is declared",
    );
}

fn draft(today: NaiveDate, files: &mut Option<bucket::Files>) -> Draft {
    let mut draft = Draft {
        estate: Estate::default(),
        manifest: Manifest::default(),
        uses: Vec::new(),
        irsa: Vec::new(),
        callers: Vec::new(),
    };
    draft.estate.hub = MANAGEMENT.to_owned();
    for (id, name) in
        [(MANAGEMENT, "management"), (PAYMENTS, "payments-prod"), (COMMERCE, "commerce-prod"), (DATA, "data-dev")]
    {
        draft.estate.accounts.insert(id.to_owned(), Account { name: name.to_owned(), ..Account::default() });
    }
    draft.estate.organization = Some(organization());
    for place in [PAY, PAY_DR, SHOP, EDGE, LAB] {
        draft.add_cluster(place);
    }
    people::add(&mut draft);
    workloads::add(&mut draft);
    cases::add(&mut draft);
    declared(&mut draft);
    draft.add_trails();
    days::add(&mut draft, today, files);
    for account in draft.estate.accounts.values_mut() {
        managed::complete(account);
    }
    draft
}

fn role_arn(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

fn key(place: Place, namespace: &str, service_account: &str) -> String {
    let (account, region, cluster) = place;
    format!("{account}/{region}/{cluster}/{namespace}/{service_account}")
}

fn arn_of(place: Place) -> String {
    cluster_arn(place.0, place.1, place.2)
}

impl Draft {
    fn account(&mut self, id: &str) -> &mut Account {
        self.estate.accounts.entry(id.to_owned()).or_default()
    }

    /// Adds a role and gives its ARN.
    fn role(&mut self, role: Role) -> String {
        let role = role.done();
        let arn = text(&role, "Arn").to_owned();
        let account = crate::estate::account_of(&arn).to_owned();
        self.account(&account).roles.push(role);
        arn
    }

    fn cluster(&mut self, place: Place) -> Option<&mut Cluster> {
        let (account, region, name) = place;
        self.account(account).region(region).clusters.iter_mut().find(|c| c.name() == name)
    }

    /// Adds an association that is used every day.
    fn associate(&mut self, place: Place, namespace: &str, service_account: &str, role: &str) {
        self.associate_with(place, namespace, service_account, role, json!({}));
    }

    /// The same, with further members.
    fn associate_with(&mut self, place: Place, namespace: &str, service_account: &str, role: &str, members: Value) {
        let text = |key: &str| members.get(key).and_then(Value::as_str).map(str::to_owned);
        self.uses.push(Use {
            place,
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            role: role.to_owned(),
            target: text("targetRoleArn").map(|target| (target, text("externalId"))),
            tagged: members.get("disableSessionTags") != Some(&json!(true)),
        });
        self.associate_idle(place, namespace, service_account, role, members);
    }

    /// An association that nobody uses.
    fn associate_idle(&mut self, place: Place, namespace: &str, service_account: &str, role: &str, members: Value) {
        let Some(cluster) = self.cluster(place) else { return };
        let mut made = association(cluster, namespace, service_account, role);
        if let (Some(map), Value::Object(members)) = (made.as_object_mut(), members) {
            map.extend(members);
        }
        cluster.associations.push(made);
    }

    fn expect(&mut self, problem: &'static str, subject: impl Into<String>, why: &'static str) {
        self.manifest.expected.push(Sign { problem, subject: subject.into(), why });
    }

    fn spare(&mut self, problem: &'static str, subject: impl Into<String>, why: &'static str) {
        self.manifest.look_alikes.push(Sign { problem, subject: subject.into(), why });
    }

    fn add_cluster(&mut self, place: Place) {
        let (account, region, name) = place;
        let mut cluster = build::cluster(account, region, name);
        for (addon, version) in
            [("vpc-cni", "v1.20.4-eksbuild.1"), ("coredns", "v1.12.4-eksbuild.1"), ("kube-proxy", "v1.34.1-eksbuild.2")]
        {
            let made = build::addon(&cluster, addon, version);
            cluster.addons.push(made);
        }
        if place == EDGE {
            // Auto Mode brings the agent along, and lists no add-on for it.
            if let Some(config) = cluster.detail.get_mut("computeConfig") {
                *config = json!({"enabled": true, "nodePools": ["general-purpose", "system"]});
            }
            self.spare(problem::NO_AGENT, arn_of(place), "Auto Mode has the agent built in");
        } else if place == LAB {
            self.expect(problem::NO_AGENT, arn_of(place), "associations, no agent add-on, no Auto Mode");
        } else {
            let agent = build::addon(&cluster, "eks-pod-identity-agent", "v1.3.9-eksbuild.3");
            cluster.addons.push(agent);
        }
        let entry = |principal: String, kind: &str, policies: Value| {
            json!({"clusterName": name, "principalArn": principal, "kubernetesGroups": [], "type": kind, "username": "",
                "createdAt": "2025-03-04T05:06:07Z", "modifiedAt": "2025-03-04T05:06:07Z", "tags": {}, "associatedAccessPolicies": policies})
        };
        let policy = |name: &str| {
            json!([{"policyArn": format!("arn:aws:eks::aws:cluster-access-policy/{name}"),
                "accessScope": {"type": "cluster", "namespaces": []}, "associatedAt": "2025-03-04T05:06:07Z", "modifiedAt": "2025-03-04T05:06:07Z"}])
        };
        cluster.access_entries = vec![
            entry(role_arn(account, &format!("{name}-node")), "EC2_LINUX", json!([])),
            entry(role_arn(account, "delivery/deployer"), "STANDARD", policy("AmazonEKSClusterAdminPolicy")),
            entry(role_arn(account, "RolecallReadOnly"), "STANDARD", policy("AmazonEKSViewPolicy")),
        ];
        let issuer = build::issuer(account, region, name);
        let account = self.account(account);
        account.oidc_providers.push(build::oidc_provider(place.0, &issuer));
        account.region(region).clusters.push(cluster);
    }

    fn add_trails(&mut self) {
        let trail = |account: &str, name: &str, everywhere: bool| {
            let bucket = if everywhere { BUCKET.to_owned() } else { format!("cloudtrail-{account}") };
            json!({"Name": name, "S3BucketName": bucket, "IncludeGlobalServiceEvents": everywhere,
                "IsMultiRegionTrail": everywhere, "HomeRegion": "eu-west-1", "LogFileValidationEnabled": true,
                "TrailARN": format!("arn:aws:cloudtrail:eu-west-1:{account}:trail/{name}"), "HasCustomEventSelectors": true,
                "HasInsightSelectors": false, "IsOrganizationTrail": false})
        };
        let basic = |records: &str, data: Value| json!([{"ReadWriteType": records, "IncludeManagementEvents": true, "DataResources": data, "ExcludeManagementEventSources": []}]);
        let objects = json!([{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]);
        for (account, data) in [(MANAGEMENT, objects.clone()), (COMMERCE, objects)] {
            let made = build::with(trail(account, "everything", true), "EventSelectors", basic("All", data));
            self.account(account).trails.push(made);
        }
        // Every kind of data that the payments work on; the shop's trail records objects alone.
        let select = |name: &str, fields: &[(&str, &str)]| {
            let fields: Vec<Value> =
                fields.iter().map(|(field, value)| json!({"Field": field, "Equals": [value]})).collect();
            json!({"Name": name, "FieldSelectors": fields})
        };
        let mut selectors = vec![select("management", &[("eventCategory", "Management")])];
        for kind in ["AWS::S3::Object", "AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::SQS::Queue"] {
            selectors.push(select(kind, &[("eventCategory", "Data"), ("resources.type", kind)]));
        }
        let made = build::with(trail(PAYMENTS, "everything", true), "AdvancedEventSelectors", json!(selectors));
        self.account(PAYMENTS).trails.push(made);
        let made = build::with(trail(DATA, "changes-only", false), "EventSelectors", basic("WriteOnly", json!([])));
        self.account(DATA).trails.push(made);
        self.expect(problem::NO_TRAIL, DATA, "AssumeRole is a read-only event, which the one trail leaves out");
        self.spare(problem::NO_TRAIL, PAYMENTS, "its trail records all management events");
    }
}

fn organization() -> Organization {
    let unit = |id: &str, name: &str, parent: &str| Unit {
        id: id.to_owned(),
        name: name.to_owned(),
        parent: parent.to_owned(),
    };
    let member = |id: &str, name: &str, parent: &str| Member {
        id: id.to_owned(),
        name: name.to_owned(),
        status: "ACTIVE".to_owned(),
        parent: parent.to_owned(),
    };
    let (root, workloads, prod, dev) = ("r-4k2d", "ou-4k2d-w0rkl0ad", "ou-4k2d-pr0d0000", "ou-4k2d-n0npr0d0");
    let everywhere = [root, workloads, prod, dev, MANAGEMENT, PAYMENTS, COMMERCE, DATA];
    let policy = |id: &str, name: &str, kind: &str, content: Value, targets: &[&str]| OrgPolicy {
        id: id.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        aws_managed: id.contains("Full") || id.contains("RCP"),
        content: content.to_string(),
        targets: targets.iter().map(|t| (*t).to_owned()).collect(),
    };
    let (scp, rcp) = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY");
    let all = build::document(vec![build::allow(&["*"], &["*"])]);
    let resource_all = build::document(vec![build::with(build::allow(&["*"], &["*"]), "Principal", json!("*"))]);
    let guard = build::document(vec![
        build::with(
            build::deny(&["organizations:*", "account:CloseAccount"], &["*"]),
            "Sid",
            json!("StayInTheOrganisation"),
        ),
        build::with(
            build::deny(&["cloudtrail:DeleteTrail", "cloudtrail:StopLogging", "cloudtrail:UpdateTrail"], &["*"]),
            "Sid",
            json!("KeepTheTrail"),
        ),
    ]);
    // NotAction in a Deny takes away; it grants nothing.
    let regions = build::document(vec![json!({"Sid": "EuropeAndTheEdge", "Effect": "Deny",
        "NotAction": ["iam:*", "sts:*", "organizations:*", "route53:*", "cloudfront:*", "support:*"], "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1", "us-east-1"]}}})]);
    let perimeter = build::document(vec![json!({"Sid": "OurPrincipalsAlone", "Effect": "Deny", "Principal": "*",
        "Action": ["s3:*", "sqs:*", "secretsmanager:*"], "Resource": "*",
        "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-4k2dexampl"}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}})]);
    Organization {
        id: "o-4k2dexampl".to_owned(),
        management: MANAGEMENT.to_owned(),
        root: root.to_owned(),
        units: vec![unit(workloads, "workloads", root), unit(prod, "prod", workloads), unit(dev, "nonprod", workloads)],
        members: vec![
            member(MANAGEMENT, "management", root),
            member(PAYMENTS, "payments-prod", prod),
            member(COMMERCE, "commerce-prod", prod),
            member(DATA, "data-dev", dev),
        ],
        policies: vec![
            policy("p-FullAWSAccess", "FullAWSAccess", scp, all, &everywhere),
            policy("p-guard4k2d0", "guardrails", scp, guard, &[workloads]),
            policy("p-region4k2d", "regions", scp, regions, &[prod]),
            policy("p-RCPFullAWSAccess", "RCPFullAWSAccess", rcp, resource_all, &everywhere),
            policy("p-perim4k2d0", "data-perimeter", rcp, perimeter, &[workloads]),
        ],
    }
}
