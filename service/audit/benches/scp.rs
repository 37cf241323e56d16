//! What it costs to say what a changed SCP comes to, over an organization.
//!
//! Makes an organization of its own: accounts with roles that have an association each, two policies of their own
//! each, and two levels of SCPs, one of which changes. Prints the processor time that telling the change takes.
//! Arguments: accounts, and roles of each; 1000 and 100 otherwise.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench prints its figures")]

use rolecall_audit::drift::{Effect, Scans, changes};
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{
    Account, Association, AssociationDetail, AssociationKey, Estate, InlinePolicy, OrgPolicy, OrgPolicyKind, OrgUnit,
    Role, Tags,
};
use rolecall_iam::AccountId;
use std::collections::BTreeMap;

const REGION: &str = "eu-west-1";

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// The guardrails of an organization, with a statement more or less.
fn guard(more: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[
        {{"Effect":"Deny","Action":["organizations:LeaveOrganization","account:*"],"Resource":"*"}},
        {{"Effect":"Deny","Action":["cloudtrail:StopLogging","cloudtrail:DeleteTrail"],"Resource":"*",
          "Condition":{{"ArnNotLike":{{"aws:PrincipalArn":"arn:aws:iam::*:role/platform/*"}}}}}},
        {{"Effect":"Deny","NotAction":["iam:*","sts:*","organizations:*","cloudfront:*","route53:*"],"Resource":"*",
          "Condition":{{"StringNotEquals":{{"aws:RequestedRegion":["eu-west-1","eu-central-1"]}}}}}}{more}]}}"#
    )
}

fn allow(actions: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"{resource}"}}]}}"#
    )
}

fn account_id(n: usize) -> AccountId {
    format!("{:012}", 100_000_000_000_u64 + n as u64).parse().expect("twelve digits")
}

fn estate(accounts: usize, roles: usize, guard: &str) -> Estate {
    let mut estate = Estate::default();
    let management = account_id(accounts);
    let unit = |id: &str, parent: Option<&str>, path: &str| OrgUnit {
        account_id: management,
        id: id.to_owned(),
        parent: parent.map(str::to_owned),
        path: path.to_owned(),
    };
    estate.org_units = vec![unit("r-1", None, "/"), unit("ou-1", Some("r-1"), "/prod")];
    let everywhere: Vec<String> = ["r-1", "ou-1"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..accounts).map(|n| account_id(n).to_string()))
        .collect();
    for (id, document, targets) in
        [("p-FullAWSAccess", EVERYTHING, everywhere), ("p-guard", guard, vec!["ou-1".to_owned()])]
    {
        let document = estate.documents.read(document);
        let (id, name, kind) = (id.to_owned(), id.to_owned(), OrgPolicyKind::Scp);
        estate.org_policies.push(OrgPolicy { account_id: management, id, kind, name, document, targets });
    }
    for kind in [ScopeKind::Organization, ScopeKind::OrgPolicies] {
        estate.coverage.complete(Scope::global(management, kind));
    }
    let trust = estate.documents.read(TRUST);
    for at in 0..accounts {
        let id = account_id(at);
        estate.accounts.push(Account {
            ou_path: Some("/prod".to_owned()),
            organization_id: Some("o-bench".to_owned()),
            ..Account::new(id)
        });
        for n in (0..roles).map(|n| at * roles + n) {
            let arn = format!("arn:aws:iam::{id}:role/app-{n}");
            let own = [
                allow(r#""s3:GetObject","s3:PutObject","s3:DeleteObject""#, &format!("arn:aws:s3:::data-{n}/*")),
                allow(r#""sqs:SendMessage","sqs:ReceiveMessage""#, &format!("arn:aws:sqs:{REGION}:{id}:queue-{n}")),
            ];
            let inline = own
                .into_iter()
                .enumerate()
                .map(|(at, text)| InlinePolicy { name: format!("own-{at}"), document: estate.documents.read(&text) });
            let inline = inline.collect();
            estate.roles.push(Role {
                arn: arn.parse().expect("a role's ARN"),
                role_id: format!("AROA{n:016}"),
                created_at: None,
                trust: Some(trust),
                inline,
                attached: Vec::new(),
                boundary: None,
                instance_profiles: Vec::new(),
                tags: Tags::new(),
            });
            estate.associations.push(Association {
                key: AssociationKey {
                    account_id: id,
                    region: REGION.parse().expect("a region"),
                    cluster: "prod".parse().expect("a cluster"),
                    namespace: "shop".parse().expect("a namespace"),
                    service_account: format!("app-{n}").parse().expect("a service account"),
                },
                association_id: format!("a-{n}"),
                arn: format!("arn:aws:eks:{REGION}:{id}:podidentityassociation/prod/a-{n}"),
                detail: Some(AssociationDetail {
                    role_arn: arn,
                    target_role_arn: None,
                    external_id: None,
                    disable_session_tags: false,
                    policy: None,
                    tags: Tags::new(),
                    created_at: None,
                    modified_at: None,
                    extra: BTreeMap::new(),
                }),
                owner_arn: None,
            });
        }
    }
    estate
}

/// Processor time of this process so far, in seconds: what Linux counts in ticks of 10 ms.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u32 = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

fn main() {
    let mut sizes = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (accounts, roles) = (sizes.next().unwrap_or(1_000), sizes.next().unwrap_or(100));
    for (name, more) in [
        ("an action refused", r#",{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}"#),
        (
            "a condition more",
            r#",{"Effect":"Deny","Action":"s3:PutObject","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
        ),
        ("what nobody has", r#",{"Effect":"Deny","Action":"ec2:RunInstances","Resource":"*"}"#),
    ] {
        let (before, after) = (estate(accounts, roles, &guard("")), estate(accounts, roles, &guard(more)));
        let begun = processor();
        let found = changes(&Scans {
            before: &before,
            after: &after,
            listed_before: &before.coverage,
            listed_after: &after.coverage,
            roles_of: None,
            pair: "bench",
        });
        let seconds = processor() - begun;
        let reached: usize = found.iter().map(|change| change.affected.len()).sum();
        let effect = found.first().map_or(Effect::Unknown, |change| change.effect);
        println!(
            "{name}: {} roles of {accounts} accounts, {reached} workloads, {}: {seconds:.1} s",
            accounts * roles,
            effect.as_str()
        );
    }
}
