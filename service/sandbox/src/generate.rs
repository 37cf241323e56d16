//! Estates of any size, for benches and for trying the program at scale.
//!
//! Knows realistic sizes. Refuses to show problems on purpose: that is the demo estate's work.

use crate::build::{self, Role, allow, document, policy, trust_pods, trust_service_for};
use crate::estate::{Account, Estate, Event, Member, OrgPolicy, Organization, text};
use crate::ids::{self, Stream};
use crate::trail::{Pod, Start};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use std::sync::Arc;

/// How large an estate is to be. Numbers but `accounts` are of the whole estate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Accounts, at least 1; the first is the hub and the management account.
    pub accounts: usize,
    /// Roles.
    pub roles: usize,
    /// Associations, spread over the clusters.
    pub associations: usize,
    /// Clusters, spread over the accounts; at least 1 where there are associations.
    pub clusters: usize,
    /// Sessions begun in the last seven days.
    pub events: usize,
    /// The same seed gives the same estate.
    pub seed: u64,
    /// The end of the trail.
    pub now: DateTime<Utc>,
}

impl GenerateOptions {
    /// The size of the project's bench: one account, 1,000 roles, 120 associations.
    #[must_use]
    pub fn bench(now: DateTime<Utc>) -> Self {
        Self { accounts: 1, roles: 1000, associations: 120, clusters: 3, events: 600, seed: 1, now }
    }
}

const TEAMS: [&str; 12] = [
    "billing",
    "catalogue",
    "checkout",
    "fraud",
    "identity",
    "inventory",
    "ledger",
    "media",
    "payments",
    "pricing",
    "search",
    "shipping",
];
const PARTS: [&str; 10] =
    ["api", "batch", "consumer", "cron", "exporter", "importer", "indexer", "loader", "sync", "worker"];
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "eu-central-1"];
const AWS_POLICIES: [&str; 6] = [
    "ReadOnlyAccess",
    "AmazonSSMManagedInstanceCore",
    "CloudWatchAgentServerPolicy",
    "AmazonEC2ContainerRegistryReadOnly",
    "service-role/AWSLambdaBasicExecutionRole",
    "SecurityAudit",
];
const SERVICES: [&str; 5] = [
    "lambda.amazonaws.com",
    "ec2.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "states.amazonaws.com",
    "glue.amazonaws.com",
];

/// A statement as a team would write it.
fn statement(stream: &mut Stream, account: &str, region: &str, team: &str) -> Value {
    let name = format!("{team}-{}", ids::hex(&stream.next().to_string(), 6));
    match stream.below(6) {
        0 => allow(
            &["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
            &[&format!("arn:aws:s3:::{name}"), &format!("arn:aws:s3:::{name}/*")],
        ),
        1 => allow(
            &["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"],
            &[&format!("arn:aws:dynamodb:{region}:{account}:table/{name}")],
        ),
        2 => allow(
            &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"],
            &[&format!("arn:aws:sqs:{region}:{account}:{name}")],
        ),
        3 => allow(
            &["secretsmanager:GetSecretValue"],
            &[&format!("arn:aws:secretsmanager:{region}:{account}:secret:{team}/{name}-*")],
        ),
        4 => allow(
            &["kms:Decrypt", "kms:GenerateDataKey"],
            &[&format!("arn:aws:kms:{region}:{account}:key/{}", ids::uuid(&name))],
        ),
        _ => allow(&["logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:GetLogEvents"], &["*"]),
    }
}

fn written(stream: &mut Stream, account: &str, region: &str, team: &str, statements: usize) -> Value {
    document((0..statements).map(|_| statement(stream, account, region, team)).collect())
}

/// Makes an estate.
#[must_use]
pub fn generate(options: &GenerateOptions) -> Estate {
    let mut stream = Stream::new(options.seed);
    let accounts = options.accounts.max(1);
    let ids: Vec<String> =
        (0..accounts).map(|n| format!("{:012}", 100_000_000_001_u64 + 7_919 * u64::try_from(n).unwrap_or(0))).collect();
    let mut estate = Estate::default();
    let clusters = if options.associations > 0 { options.clusters.max(1) } else { options.clusters };
    for (n, id) in ids.iter().enumerate() {
        let share = |whole: usize| whole / accounts + usize::from(n < whole % accounts);
        let mut account = Account { name: format!("account-{n:03}"), ..Account::default() };
        fill(&mut account, id, share(options.roles), &mut stream);
        for c in (0..clusters).filter(|c| c % accounts == n) {
            let share = options.associations / clusters + usize::from(c < options.associations % clusters);
            add_cluster(&mut account, id, c, share, &mut stream);
        }
        build::settle(&mut account);
        add_events(&mut account, share(options.events), options.now, &mut stream);
        estate.accounts.insert(id.clone(), account);
    }
    let management = ids.first().cloned().unwrap_or_default();
    let members = estate.accounts.iter().map(|(id, account)| Member {
        id: id.clone(),
        name: account.name.clone(),
        status: "ACTIVE".to_owned(),
        parent: "r-gen0".to_owned(),
    });
    estate.organization = Some(Organization {
        id: "o-generated0".to_owned(),
        management: management.clone(),
        root: "r-gen0".to_owned(),
        units: Vec::new(),
        members: members.collect(),
        policies: vec![OrgPolicy {
            id: "p-FullAWSAccess".to_owned(),
            name: "FullAWSAccess".to_owned(),
            kind: "SERVICE_CONTROL_POLICY".to_owned(),
            aws_managed: true,
            content: document(vec![allow(&["*"], &["*"])]).to_string(),
            targets: vec!["r-gen0".to_owned()],
        }],
    });
    estate.hub = management;
    estate
}

/// Roles with one to four policies each, and managed policies that several share.
fn fill(account: &mut Account, id: &str, roles: usize, stream: &mut Stream) {
    let shared: Vec<String> =
        (0..roles.div_ceil(12)).map(|n| format!("arn:aws:iam::{id}:policy/shared-{n:03}")).collect();
    for arn in &shared {
        let team = stream.pick(&TEAMS);
        let size = 2 + stream.below(5);
        let body = written(stream, id, "eu-west-1", team, size);
        account.policies.push(policy(arn, "v2", &body));
    }
    for n in 0..roles {
        let (team, part) = (stream.pick(&TEAMS), stream.pick(&PARTS));
        let trust = if stream.below(3) > 0 { trust_pods() } else { trust_service_for(stream.pick(&SERVICES), id) };
        let mut role = Role::new(id, &format!("{team}-{part}-{n:04}"), trust).tag("team", team).tag("env", "prod");
        let size = 1 + stream.below(3);
        role = role.inline("access", written(stream, id, "eu-west-1", team, size));
        for _ in 0..stream.below(3) {
            let at = stream.below(shared.len());
            if let Some(arn) = shared.get(at) {
                role = role.attach(arn);
            }
        }
        if stream.below(10) == 0 {
            role = role.attach_aws(stream.pick(&AWS_POLICIES));
        }
        let day = 1 + stream.below(28);
        account.roles.push(role.last_used(&format!("2026-10-{day:02}T08:09:10Z"), "eu-west-1").done());
    }
}

fn add_cluster(account: &mut Account, id: &str, number: usize, associations: usize, stream: &mut Stream) {
    let region = REGIONS.get(number % REGIONS.len()).copied().unwrap_or_default();
    let name = format!("workloads-{number:02}");
    let mut cluster = build::cluster(id, region, &name);
    cluster.addons = vec![build::addon(&cluster, "eks-pod-identity-agent", "v1.3.9-eksbuild.3")];
    let pods: Vec<String> = account
        .roles
        .iter()
        .filter(|r| r.pointer("/AssumeRolePolicyDocument/Statement/0/Principal/Service") == Some(&json!(build::PODS)))
        .map(|r| text(r, "Arn").to_owned())
        .collect();
    for n in 0..associations {
        let team = stream.pick(&TEAMS);
        let at = stream.below(pods.len());
        let Some(role) = pods.get(at) else { continue };
        cluster.associations.push(build::association(&cluster, team, &format!("{}-{n:03}", stream.pick(&PARTS)), role));
    }
    let principal = account.roles.first().map(|r| text(r, "Arn").to_owned());
    cluster.access_entries = vec![
        json!({"clusterName": name, "principalArn": principal, "type": "STANDARD", "kubernetesGroups": [],
        "createdAt": "2025-03-04T05:06:07Z", "modifiedAt": "2025-03-04T05:06:07Z", "tags": {}, "associatedAccessPolicies": [{
            "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
            "accessScope": {"type": "cluster", "namespaces": []}, "associatedAt": "2025-03-04T05:06:07Z"}]}),
    ];
    account.oidc_providers.push(format!("arn:aws:iam::{id}:oidc-provider/{}", build::issuer(id, region, &name)));
    account.region(region).clusters.push(cluster);
}

/// Sessions of the associations, evenly over the last seven days.
fn add_events(account: &mut Account, events: usize, now: DateTime<Utc>, stream: &mut Stream) {
    let mut places: Vec<(String, Value, String)> = Vec::new();
    for (region, held) in &account.regions {
        for cluster in &held.clusters {
            let arn = text(&cluster.detail, "arn");
            places.extend(cluster.associations.iter().map(|a| (region.clone(), a.clone(), arn.to_owned())));
        }
    }
    let step = Duration::seconds(7 * 86_400 / i64::try_from(events.max(1)).unwrap_or(i64::MAX));
    for n in 0..events {
        let at = stream.below(places.len());
        let Some((region, association, cluster)) = places.get(at) else { return };
        let turn = u64::try_from(n).unwrap_or(0);
        let pod = Pod::of(cluster, text(association, "namespace"), text(association, "serviceAccount"), turn);
        let id = format!("{cluster}/{n}");
        let session = pod.session_name(&id);
        let at = now - step * i32::try_from(n + 1).unwrap_or(i32::MAX);
        let start = Start { id: &id, at, region, role_arn: text(association, "roleArn"), session: &session };
        if let Some(event) = Event::of_record(&start.by_pod(&pod, true)) {
            account.region(region).events.push(Arc::new(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(estate: &Estate) -> [usize; 4] {
        let accounts = || estate.accounts.values();
        let clusters = || accounts().flat_map(|a| a.regions.values()).flat_map(|r| &r.clusters);
        [
            accounts().map(|a| a.roles.len()).sum(),
            clusters().count(),
            clusters().map(|c| c.associations.len()).sum(),
            accounts().flat_map(|a| a.regions.values()).map(|r| r.events.len()).sum(),
        ]
    }

    #[test]
    fn an_estate_has_the_size_asked_for_and_follows_from_its_seed() {
        let now = "2026-03-01T00:00:00Z".parse().unwrap();
        let bench = GenerateOptions::bench(now);
        let made = generate(&bench);
        assert_eq!(counts(&made), [1000, 3, 120, 600]);
        assert_eq!(format!("{made:?}"), format!("{:?}", generate(&bench)));
        let other = generate(&GenerateOptions {
            accounts: 3,
            roles: 100,
            associations: 7,
            clusters: 4,
            events: 11,
            seed: 2,
            now,
        });
        assert_eq!((other.accounts.len(), counts(&other)), (3, [100, 4, 7, 11]));
    }
}
