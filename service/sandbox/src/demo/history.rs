//! What changed in the demo estate on the twelve days before today, and how it was before.
//!
//! A change has the calls that made it, but for one that no trail shows, and knows how to take itself
//! back. The estate of a past day is that of today with every later change taken back, so that there is
//! one description of the estate and not twelve. Refuses to know what a change comes to.

use super::bucket::{Files, TrailBucket};
use super::people::sso_role;
use super::{COMMERCE, DATA, LAB, MANAGEMENT, PAY, PAY_DR, PAYMENTS, Place, SHOP, VENDOR, role_arn};
use crate::build::{self, allow, document, with};
use crate::change::{ChangeCall, by_role};
use crate::estate::{Account, Cluster, Estate, boundary, document_text, text};
use crate::managed;
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use serde_json::{Value, json};

/// How many days back the estate is known.
const DAYS: i64 = 12;
/// At what hour of each of these days it is scanned. No event is of the same day, so that the trail's
/// files of the days before are there.
const HOUR: i64 = 6;

/// The demo estate as it was on a day.
#[derive(Debug, Clone)]
pub struct PastDay {
    /// The moment that it is of.
    pub at: DateTime<Utc>,
    /// The estate. Its event history goes on to today: a stand-in whose clock is set back shows what was
    /// there.
    pub estate: Estate,
}

/// Who changes something.
#[derive(Debug, Clone, Copy)]
enum By {
    /// The account's pipeline, by the AWS CLI.
    Pipeline,
    /// The account's pipeline, by Terraform.
    Terraform,
    /// An administrator, in the console.
    Console,
    /// Nobody whom a trail shows.
    Unrecorded,
}

type Undo = Box<dyn Fn(&mut Estate)>;

struct Change {
    back: i64,
    time: (i64, i64),
    by: By,
    account: &'static str,
    region: &'static str,
    calls: Vec<(&'static str, &'static str, Value)>,
    refused: bool,
    undo: Undo,
}

/// What the days before today knew.
#[derive(Debug, Clone)]
pub struct Past {
    /// The days, the oldest first.
    pub days: Vec<PastDay>,
    /// Files of the trails with the calls that changed the estate, beside those of every day: the same
    /// day has the same files whichever day is today, and these changes go with today.
    pub changes: TrailBucket,
}

pub(super) fn past(estate: &Estate, today: NaiveDate) -> Past {
    let midnight = today.and_time(NaiveTime::MIN).and_utc();
    let all = changes();
    let mut days = Vec::new();
    for back in (1..=DAYS).rev() {
        let at = midnight - Duration::days(back) + Duration::hours(HOUR);
        let mut estate = estate.clone();
        for change in all.iter().filter(|change| change.at(midnight) > at).rev() {
            (change.undo)(&mut estate);
        }
        estate.accounts.values_mut().for_each(managed::complete);
        days.push(PastDay { at, estate });
    }
    let mut made = Estate::default();
    made.accounts.extend(estate.accounts.keys().map(|id| (id.clone(), Account::default())));
    add(&mut made, today);
    let regions = made.accounts.iter().flat_map(|(id, account)| account.regions.iter().map(move |it| (id, it)));
    let events = regions.flat_map(|(id, (code, region))| {
        region.events.iter().map(move |event| (id.as_str(), code.as_str(), event.as_ref()))
    });
    Past { days, changes: Files::of_events(events) }
}

/// Adds the calls to the event history.
pub(super) fn add(estate: &mut Estate, today: NaiveDate) {
    let midnight = today.and_time(NaiveTime::MIN).and_utc();
    for change in changes() {
        for (turn, (service, operation, input)) in (0..).zip(&change.calls) {
            let at = change.at(midnight) + Duration::seconds(turn);
            let record = change.record(service, operation, input.clone(), at);
            let is_global = matches!(*service, "iam" | "organizations");
            estate.record(change.account, if is_global { "us-east-1" } else { change.region }, &record);
        }
    }
}

impl Change {
    fn at(&self, midnight: DateTime<Utc>) -> DateTime<Utc> {
        let (hour, minute) = self.time;
        midnight - Duration::days(self.back) + Duration::hours(hour) + Duration::minutes(minute)
    }

    fn record(&self, service: &str, operation: &str, input: Value, at: DateTime<Utc>) -> Value {
        let deployer = role_arn(self.account, "delivery/deployer");
        let (by, address, user_agent) = match self.by {
            By::Pipeline | By::Unrecorded => (by_role(&deployer, "pipeline", at), "198.51.100.7", "aws-cli/2.31.0"),
            By::Terraform => (
                by_role(&deployer, "terraform", at),
                "198.51.100.7",
                "APN/1.0 HashiCorp/1.0 Terraform/1.13.4 (+https://www.terraform.io) terraform-provider-aws/6.18.0",
            ),
            By::Console => (
                by_role(&sso_role(self.account, "AdministratorAccess"), "on-call", at),
                "203.0.113.77",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
        };
        let error = self.refused.then_some(("AccessDenied", "User is not authorized to perform this action"));
        ChangeCall {
            service,
            operation,
            input,
            output: Value::Null,
            at,
            account: self.account,
            region: self.region,
            by,
            address,
            user_agent,
            from_console: matches!(self.by, By::Console),
            error,
        }
        .record()
    }
}

fn account<'e>(estate: &'e mut Estate, id: &str) -> Option<&'e mut Account> {
    estate.accounts.get_mut(id)
}

fn with_role(arn: &str, undo: impl Fn(&mut Value) + 'static) -> Undo {
    let arn = arn.to_owned();
    Box::new(move |estate| estate.role_mut(&arn).map(&undo).unwrap_or_default())
}

fn with_cluster(place: Place, undo: impl Fn(&mut Cluster) + 'static) -> Undo {
    Box::new(move |estate| estate.cluster_mut(place.0, place.1, place.2).map(&undo).unwrap_or_default())
}

fn with_association(
    place: Place,
    namespace: &'static str,
    service_account: &'static str,
    undo: impl Fn(&mut Value) + 'static,
) -> Undo {
    with_cluster(place, move |cluster| {
        let is = |it: &&mut Value| text(it, "namespace") == namespace && text(it, "serviceAccount") == service_account;
        cluster.associations.iter_mut().find(is).map(&undo).unwrap_or_default();
    })
}

fn with_policy(id: &'static str, undo: impl Fn(&mut crate::estate::OrgPolicy) + 'static) -> Undo {
    Box::new(move |estate| {
        let policies = estate.organization.iter_mut().flat_map(|organization| &mut organization.policies);
        policies.filter(|policy| policy.id == id).for_each(&undo);
    })
}

fn set(object: &mut Value, member: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(member.to_owned(), value);
    }
}

fn unset(object: &mut Value, member: &str) {
    if let Some(map) = object.as_object_mut() {
        map.shift_remove(member);
    }
}

fn set_inline(role: &mut Value, name: &str, body: &Value) {
    let policy = with(json!({"PolicyName": name}), "PolicyDocument", body.clone());
    set(role, "RolePolicyList", json!([policy]));
}

fn id_of(place: Place, namespace: &str, service_account: &str) -> String {
    let cluster = build::cluster(place.0, place.1, place.2);
    text(&build::association(&cluster, namespace, service_account, ""), "associationId").to_owned()
}

/// A change of a role, by calls that name it.
fn of_role(
    when: (i64, (i64, i64)),
    by: By,
    arn: &str,
    calls: &[(&'static str, Value)],
    undo: impl Fn(&mut Value) + 'static,
) -> Change {
    let account = [MANAGEMENT, PAYMENTS, COMMERCE, DATA].into_iter().find(|id| arn.contains(id)).unwrap_or(DATA);
    let name = arn.rsplit('/').next().unwrap_or_default();
    let named = |rest: &Value| {
        let mut input = json!({"RoleName": name});
        rest.as_object().into_iter().flatten().for_each(|(key, value)| set(&mut input, key, value.clone()));
        input
    };
    let calls = calls.iter().map(|(operation, rest)| ("iam", *operation, named(rest))).collect();
    let (back, time) = when;
    Change { back, time, by, account, region: "us-east-1", calls, refused: false, undo: with_role(arn, undo) }
}

/// A change of a cluster or of what hangs on it.
fn of_cluster(
    when: (i64, (i64, i64)),
    by: By,
    place: Place,
    operation: &'static str,
    rest: &Value,
    undo: Undo,
) -> Change {
    let mut input = json!({"name": place.2});
    rest.as_object().into_iter().flatten().for_each(|(key, value)| set(&mut input, key, value.clone()));
    let (back, time) = when;
    let calls = vec![("eks", operation, input)];
    Change { back, time, by, account: place.0, region: place.1, calls, refused: false, undo }
}

/// An update of an association.
fn of_association(
    when: (i64, (i64, i64)),
    by: By,
    (place, namespace, service_account): (Place, &'static str, &'static str),
    rest: &Value,
    undo: impl Fn(&mut Value) + 'static,
) -> Change {
    let rest = with(rest.clone(), "associationId", json!(id_of(place, namespace, service_account)));
    let undo = with_association(place, namespace, service_account, undo);
    of_cluster(when, by, place, "UpdatePodIdentityAssociation", &rest, undo)
}

/// A change by the management account.
fn of_organization(when: (i64, (i64, i64)), operation: &'static str, input: Value, undo: Undo) -> Change {
    let (back, time) = when;
    let calls = vec![("organizations", operation, input)];
    let (account, region) = (MANAGEMENT, "us-east-1");
    Change { back, time, by: By::Console, account, region, calls, refused: false, undo }
}

/// All changes, the oldest first.
fn changes() -> Vec<Change> {
    let mut all = Vec::new();
    organization(&mut all);
    associations(&mut all);
    clusters(&mut all);
    permissions(&mut all);
    trusts(&mut all);
    all.sort_by_key(|change| (-change.back, change.time));
    all
}

fn organization(all: &mut Vec<Change>) {
    let workloads = "ou-4k2d-w0rkl0ad";
    all.push(of_organization(
        (11, (13, 5)),
        "AttachPolicy",
        json!({"PolicyId": "p-perim4k2d0", "TargetId": workloads}),
        with_policy("p-perim4k2d0", |policy| policy.targets = Vec::new()),
    ));
    all.push(of_organization(
        (10, (11, 30)),
        "UpdatePolicy",
        json!({"PolicyId": "p-guard4k2d0"}),
        with_policy("p-guard4k2d0", |policy| {
            let Ok(mut body) = serde_json::from_str::<Value>(&policy.content) else { return };
            if let Some(statements) = body.get_mut("Statement").and_then(Value::as_array_mut) {
                statements.retain(|statement| text(statement, "Sid") != "KeepTheTrail");
            }
            policy.content = body.to_string();
        }),
    ));
}

fn associations(all: &mut Vec<Change>) {
    let gift_cards = role_arn(COMMERCE, "pods/checkout-gift-cards");
    let made = |place: Place, namespace: &'static str, service_account: &'static str, when, by, role: &str| {
        let rest = json!({"namespace": namespace, "serviceAccount": service_account, "roleArn": role});
        let undo = with_cluster(place, move |cluster| {
            let is = |it: &Value| text(it, "namespace") == namespace && text(it, "serviceAccount") == service_account;
            cluster.associations.retain(|it| !is(it));
        });
        of_cluster(when, by, place, "CreatePodIdentityAssociation", &rest, undo)
    };
    all.push(made(SHOP, "checkout", "gift-cards", (12, (9, 10)), By::Pipeline, &gift_cards));
    all.push(made(
        SHOP,
        "checkout",
        "loyalty",
        (6, (9, 50)),
        By::Pipeline,
        &role_arn(COMMERCE, "pods/marketing-loyalty"),
    ));
    let legacy = role_arn(COMMERCE, "pods/search-index-writer");
    all.push(of_cluster(
        (4, (8, 5)),
        By::Terraform,
        SHOP,
        "DeletePodIdentityAssociation",
        &json!({"associationId": id_of(SHOP, "search", "legacy-indexer")}),
        with_cluster(SHOP, move |cluster| {
            let association = build::association(cluster, "search", "legacy-indexer", &legacy);
            cluster.associations.push(association);
        }),
    ));
    let policy = document(vec![allow(&["s3:GetObject"], &["arn:aws:s3:::fraud-signals-123456789012/daily/*"])]);
    all.push(of_association(
        (8, (9, 15)),
        By::Terraform,
        (PAY, "fraud", "signals"),
        &json!({"policy": policy.to_string()}),
        |it| unset(it, "policy"),
    ));
    let balances = role_arn(PAYMENTS, "pods/ledger-balances");
    all.push(of_association(
        (8, (14, 20)),
        By::Pipeline,
        (PAY, "ledger", "archiver"),
        &json!({"roleArn": role_arn(PAYMENTS, "pods/ledger-archiver")}),
        move |it| set(it, "roleArn", json!(balances)),
    ));
    all.push(of_association(
        (3, (9, 30)),
        By::Console,
        (PAY, "fraud", "exporter"),
        &json!({"disableSessionTags": true}),
        |it| set(it, "disableSessionTags", json!(false)),
    ));
    all.push(of_association(
        (3, (16, 15)),
        By::Terraform,
        (SHOP, "checkout", "balance"),
        &json!({"targetRoleArn": role_arn(PAYMENTS, "pods/ledger-balances")}),
        |it| {
            unset(it, "targetRoleArn");
            unset(it, "externalId");
        },
    ));
}

fn clusters(all: &mut Vec<Change>) {
    all.push(of_cluster(
        (11, (10, 5)),
        By::Terraform,
        PAY_DR,
        "UpdateAddon",
        &json!({"addonName": "coredns", "addonVersion": "v1.12.4-eksbuild.1"}),
        with_cluster(PAY_DR, |cluster| {
            let coredns = cluster.addons.iter_mut().filter(|addon| text(addon, "addonName") == "coredns");
            coredns.for_each(|addon| set(addon, "addonVersion", json!("v1.11.4-eksbuild.24")));
        }),
    ));
    all.push(of_cluster(
        (9, (20, 0)),
        By::Terraform,
        LAB,
        "UpdateClusterVersion",
        &json!({"version": "1.34"}),
        with_cluster(LAB, |cluster| set(&mut cluster.detail, "version", json!("1.33"))),
    ));
    let deployer = role_arn(DATA, "delivery/deployer");
    let entry = json!({"principalArn": deployer, "type": "STANDARD"});
    all.push(of_cluster(
        (7, (13, 30)),
        By::Console,
        LAB,
        "CreateAccessEntry",
        &entry,
        with_cluster(LAB, move |cluster| cluster.access_entries.retain(|it| text(it, "principalArn") != deployer)),
    ));
    let trail = json!({"TrailName": "changes-only", "EventSelectors": [{"ReadWriteType": "WriteOnly",
        "IncludeManagementEvents": true}]});
    all.push(Change {
        back: 4,
        time: (12, 40),
        by: By::Console,
        account: DATA,
        region: "eu-west-1",
        calls: vec![("cloudtrail", "PutEventSelectors", trail)],
        refused: false,
        undo: Box::new(|estate| {
            let trails = account(estate, DATA).into_iter().flat_map(|it| &mut it.trails);
            trails.for_each(|trail| {
                if let Some(records) = trail.pointer_mut("/EventSelectors/0/ReadWriteType") {
                    *records = json!("All");
                }
            });
        }),
    });
    let provider = format!("arn:aws:iam::{DATA}:oidc-provider/token.actions.githubusercontent.com");
    all.push(Change {
        back: 6,
        time: (17, 20),
        by: By::Terraform,
        account: DATA,
        region: "us-east-1",
        calls: vec![(
            "iam",
            "CreateOpenIDConnectProvider",
            json!({"Url": "https://token.actions.githubusercontent.com", "ClientIDList": ["sts.amazonaws.com"]}),
        )],
        refused: false,
        undo: Box::new(move |estate| {
            account(estate, DATA).into_iter().for_each(|it| it.oidc_providers.retain(|it| text(it, "Arn") != provider));
        }),
    });
}

fn permissions(all: &mut Vec<Change>) {
    let put = |policy: &str, body: &Value| {
        vec![("PutRolePolicy", json!({"PolicyName": policy, "PolicyDocument": document_text(body)}))]
    };
    // The same in two statements: nobody gains or loses by it.
    let journal = role_arn(PAYMENTS, "pods/ledger-journal");
    all.push(of_role(
        (12, (14, 20)),
        By::Terraform,
        &journal,
        &[("PutRolePolicy", json!({"PolicyName": "access"}))],
        |role| {
            let statements =
                role.pointer_mut("/RolePolicyList/0/PolicyDocument/Statement").and_then(Value::as_array_mut);
            let Some(statements) = statements else { return };
            if let Some(mut first) = statements.first().cloned() {
                set(&mut first, "Action", json!(["dynamodb:GetItem", "dynamodb:Query"]));
                statements.push(first);
            }
        },
    ));

    let gift_cards = super::workloads::pod_role(SHOP, "checkout", "checkout-gift-cards")
        .inline(
            "access",
            document(vec![allow(
                &["dynamodb:GetItem", "dynamodb:UpdateItem"],
                &["arn:aws:dynamodb:eu-west-1:777788889999:table/checkout-gift-cards"],
            )]),
        )
        .done();
    all.push(Change {
        back: 9,
        time: (8, 40),
        by: By::Terraform,
        account: COMMERCE,
        region: "us-east-1",
        calls: vec![
            ("iam", "DeleteRolePolicy", json!({"RoleName": "checkout-gift-cards", "PolicyName": "access"})),
            ("iam", "DeleteRole", json!({"RoleName": "checkout-gift-cards"})),
        ],
        refused: false,
        undo: Box::new(move |estate| {
            account(estate, COMMERCE).into_iter().for_each(|it| it.roles.push(gift_cards.clone()));
        }),
    });

    let limits = format!("arn:aws:iam::{DATA}:policy/team-boundary");
    all.push(Change {
        back: 8,
        time: (16, 45),
        by: By::Terraform,
        account: DATA,
        region: "us-east-1",
        calls: vec![("iam", "CreatePolicyVersion", json!({"PolicyArn": limits, "SetAsDefault": true}))],
        refused: false,
        undo: Box::new(|estate| {
            let policies = account(estate, DATA).into_iter().flat_map(|it| &mut it.policies);
            policies.filter(|policy| text(policy, "PolicyName") == "team-boundary").for_each(|policy| {
                set(policy, "DefaultVersionId", json!("v2"));
                if let Some(version) = policy.pointer_mut("/PolicyVersionList/0") {
                    set(version, "VersionId", json!("v2"));
                    let more =
                        allow(&["athena:*", "glue:GetTable", "s3:GetObject", "s3:ListBucket", "s3:PutObject"], &["*"]);
                    set(version, "Document", document(vec![more]));
                }
            });
        }),
    });

    let files = "arn:aws:s3:::settlement-files-444455556666";
    let few =
        document(vec![allow(&["s3:GetObject", "s3:ListBucket", "s3:PutObject"], &[files, &format!("{files}/*")])]);
    let all_of_it = document(vec![allow(&["s3:*"], &[files, &format!("{files}/*")])]);
    let uploads = role_arn(PAYMENTS, "pods/settlement-uploads");
    all.push(of_role((7, (10, 0)), By::Pipeline, &uploads, &put("files", &all_of_it), move |role| {
        set_inline(role, "files", &few);
    }));

    let provisioner = role_arn(DATA, "pods/analytics-provisioner");
    let read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    all.push(of_role(
        (5, (9, 5)),
        By::Terraform,
        &provisioner,
        &[("DetachRolePolicy", json!({"PolicyArn": read_only}))],
        move |role| {
            let attached = json!([{"PolicyName": "ReadOnlyAccess", "PolicyArn": read_only}]);
            set(role, "AttachedManagedPolicies", attached);
        },
    ));

    // Widened on one day and taken back on another.
    let api = role_arn(PAYMENTS, "pods/payments-api");
    let table = "arn:aws:dynamodb:eu-west-1:444455556666:table/ledger-journal";
    let widen = move |role: &mut Value| {
        let extra = json!({"PolicyName": "incident", "PolicyDocument": document(vec![allow(&["dynamodb:DeleteItem"], &[table])])});
        if let Some(list) = role.get_mut("RolePolicyList").and_then(Value::as_array_mut) {
            list.push(extra);
        }
    };
    let incident = document(vec![allow(&["dynamodb:DeleteItem"], &[table])]);
    all.push(of_role((5, (18, 0)), By::Console, &api, &put("incident", &incident), |role| {
        if let Some(list) = role.get_mut("RolePolicyList").and_then(Value::as_array_mut) {
            list.retain(|policy| text(policy, "PolicyName") != "incident");
        }
    }));
    all.push(of_role(
        (3, (9, 0)),
        By::Terraform,
        &api,
        &[("DeleteRolePolicy", json!({"PolicyName": "incident"}))],
        widen,
    ));

    let runner = role_arn(DATA, "pods/analytics-job-runner");
    let jobs = allow(&["glue:GetJobRun", "glue:StartJobRun"], &["arn:aws:glue:eu-west-1:123456789012:job/*"]);
    let passing = document(vec![allow(&["iam:PassRole"], &["*"]), jobs.clone()]);
    all.push(of_role((4, (10, 30)), By::Pipeline, &runner, &put("run", &passing), move |role| {
        set_inline(role, "run", &document(vec![jobs.clone()]));
    }));

    let release = role_arn(COMMERCE, "pods/delivery-release-bot");
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    all.push(of_role(
        (2, (2, 13)),
        By::Console,
        &release,
        &[("AttachRolePolicy", json!({"PolicyArn": admin}))],
        |role| {
            set(role, "AttachedManagedPolicies", json!([]));
        },
    ));

    let explorer = role_arn(DATA, "pods/notebooks-explorer");
    let mut attempt =
        of_role((2, (13, 18)), By::Pipeline, &explorer, &[("DeleteRolePermissionsBoundary", json!({}))], |_| ());
    attempt.refused = true;
    all.push(attempt);
    all.push(of_role(
        (2, (13, 20)),
        By::Console,
        &explorer,
        &[("DeleteRolePermissionsBoundary", json!({}))],
        move |role| set(role, "PermissionsBoundary", boundary(&limits)),
    ));

    let orders = role_arn(COMMERCE, "pods/checkout-orders");
    all.push(of_role(
        (1, (11, 0)),
        By::Terraform,
        &orders,
        &[("TagRole", json!({"Tags": [{"Key": "owner", "Value": "checkout"}]}))],
        |role| {
            let owner = role.get_mut("Tags").and_then(Value::as_array_mut).into_iter().flatten();
            owner.filter(|tag| text(tag, "Key") == "owner").for_each(|tag| set(tag, "Value", json!("orders")));
        },
    ));

    // No trail shows who made it.
    let mut unseen = of_role((1, (15, 30)), By::Unrecorded, &role_arn(COMMERCE, "support-console"), &[], |role| {
        set_inline(
            role,
            "support",
            &document(vec![allow(&["support:DescribeCases", "support:DescribeSeverityLevels"], &["*"])]),
        );
    });
    unseen.calls = Vec::new();
    all.push(unseen);
}

fn trusts(all: &mut Vec<Change>) {
    let put = |body: &Value| vec![("UpdateAssumeRolePolicy", json!({"PolicyDocument": document_text(body)}))];

    let feed = role_arn(COMMERCE, "pods/catalogue-vendor-feed");
    all.push(of_role((9, (15, 0)), By::Pipeline, &feed, &[("UpdateAssumeRolePolicy", json!({}))], |role| {
        if let Some(statements) = role.pointer_mut("/AssumeRolePolicyDocument/Statement").and_then(Value::as_array_mut)
        {
            statements.truncate(1);
        }
    }));

    let archive = role_arn(COMMERCE, "payments-archive");
    let open = document(vec![json!({"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{PAYMENTS}:root")},
        "Action": ["sts:AssumeRole", "sts:TagSession"]})]);
    let one = document(vec![json!({"Effect": "Allow",
        "Principal": {"AWS": role_arn(PAYMENTS, "pods/settlement-archiver")}, "Action": ["sts:AssumeRole", "sts:TagSession"]})]);
    all.push(of_role((5, (11, 11)), By::Pipeline, &archive, &put(&open), move |role| {
        set(role, "AssumeRolePolicyDocument", one.clone());
    }));

    let janitor = role_arn(COMMERCE, "queue-janitor");
    all.push(of_role(
        (3, (14, 40)),
        By::Terraform,
        &janitor,
        &[("DeleteRole", json!({})), ("CreateRole", json!({"Path": "/"}))],
        |role| set(role, "RoleId", json!("AROASANDBOXOLDJANITOR")),
    ));

    let reports = role_arn(DATA, "partner-reports");
    let anyone = super::people::trust_arn("*");
    all.push(of_role((1, (10, 1)), By::Pipeline, &reports, &put(&anyone), |role| {
        set(role, "AssumeRolePolicyDocument", super::people::trust_arn(&format!("arn:aws:iam::{VENDOR}:root")));
    }));

    // A role and its association that are new.
    let mount = "shipping-archive-mount";
    all.push(Change {
        back: 7,
        time: (15, 45),
        by: By::Terraform,
        account: COMMERCE,
        region: SHOP.1,
        calls: vec![
            ("iam", "CreateRole", json!({"RoleName": mount, "Path": "/pods/"})),
            ("iam", "PutRolePolicy", json!({"RoleName": mount, "PolicyName": "files"})),
            (
                "eks",
                "CreatePodIdentityAssociation",
                json!({"name": SHOP.2, "namespace": "shipping", "serviceAccount": "archive-mount",
                    "roleArn": role_arn(COMMERCE, "pods/shipping-archive-mount")}),
            ),
        ],
        refused: false,
        undo: Box::new(move |estate| {
            account(estate, COMMERCE)
                .into_iter()
                .for_each(|it| it.roles.retain(|role| text(role, "RoleName") != mount));
            let cluster = estate.cluster_mut(SHOP.0, SHOP.1, SHOP.2);
            cluster
                .map(|it| it.associations.retain(|association| text(association, "serviceAccount") != "archive-mount"))
                .unwrap_or_default();
        }),
    });
}
