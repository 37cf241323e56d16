//! Kinds of policies that are dear to read, each as large as IAM takes it.
//!
//! Sizes: IAM and AWS STS quotas. Twenty managed policies of 6,144 characters are attached, 10,240
//! characters are inline, a trust policy has 8,192, an SCP 5,120 with five at each of six levels.

use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{
    Account, Association, AssociationDetail, AssociationKey, AttachedPolicy, Cluster, Estate, InlinePolicy,
    ManagedPolicy, OrgPolicy, OrgPolicyKind, OrgUnit, Role, Tags,
};
use rolecall_iam::{AccountId, Digest};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const CLUSTER: &str = "prod";
/// The role with the policies.
pub(crate) const HOSTILE: &str = "arn:aws:iam::111122223333:role/hostile-0000";

const MANAGED: usize = 6_144;
const ATTACHED: usize = 20;
const INLINE: usize = 10_240;
const TRUST: usize = 8_192;
const SCP: usize = 5_120;
const SESSION: usize = 2_048;

/// The same numbers for the same seed.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }

    fn word(&mut self, len: usize) -> String {
        (0..len).map(|_| self.of(&["a", "b", "c", "d", "e", "x", "y", "z"])).collect()
    }

    /// `*a*b*c`.
    fn stars(&mut self, count: usize) -> String {
        (0..count).map(|_| format!("*{}", self.of(&["a", "b", "c", "e", "i", "o", "r", "s", "t"]))).collect()
    }
}

/// What a role of a kind is made of.
#[derive(Default)]
struct Shape {
    managed: Vec<String>,
    inline: Vec<String>,
    trust: Option<String>,
    boundary: Option<String>,
    levels: Vec<Vec<String>>,
    sessions: Vec<String>,
    /// Other roles: their trust policies, their names and one policy each.
    others: Vec<(String, String, Option<String>)>,
}

/// A kind of nuisance.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    make: fn(&mut Random) -> Shape,
    /// So many roles of it.
    roles: usize,
}

const fn kind(name: &'static str, make: fn(&mut Random) -> Shape) -> Kind {
    Kind { name, make, roles: 1 }
}

pub(crate) const KINDS: [Kind; 27] = [
    kind("nothing", |_| Shape::default()),
    kind("administrator", |_| Shape { managed: vec![policy(&[ALL.to_owned()])], ..Shape::default() }),
    kind("glob-actions", glob_actions),
    kind("glob-resources", glob_resources),
    kind("not-action", not_action),
    kind("conditions", conditions),
    kind("pass-role", pass_role),
    kind("variables", variables),
    kind("denies", denies),
    kind("denies-of-all", denies_of_all),
    kind("pairs", pairs),
    kind("pairs-of-globs", pairs_of_globs),
    kind("boundary", boundary),
    kind("unlisted", unlisted),
    kind("tiny-statements", tiny_statements),
    kind("same-statements", same_statements),
    kind("long-globs", long_globs),
    kind("scps", scps),
    kind("trust-principals", trust_principals),
    kind("trust-conditions", trust_conditions),
    kind("trust-federated", trust_federated),
    kind("session-policies", session_policies),
    kind("combined", combined),
    Kind { name: "combined-of-20", make: combined, roles: 20 },
    kind("crowd-passed", crowd_passed),
    kind("crowd-naming", crowd_naming),
    kind("crowd-vague", crowd_vague),
];

const ALL: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
const WAYS: [&str; 24] = [
    "iam:PassRole",
    "iam:PutUserPolicy",
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:AttachUserPolicy",
    "iam:PutRolePolicy",
    "iam:AttachRolePolicy",
    "iam:UpdateAssumeRolePolicy",
    "iam:DeactivateMFADevice",
    "iam:UpdateLoginProfile",
    "iam:CreateLoginProfile",
    "iam:DeleteRolePermissionsBoundary",
    "sts:AssumeRole",
    "lambda:*",
    "ec2:*",
    "glue:*",
    "ecs:*",
    "codebuild:*",
    "cloudformation:*",
    "sagemaker:*",
    "states:*",
    "bedrock-agentcore:*",
    "eks:*",
    "ssm:*",
];

fn policy(statements: &[String]) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

/// As many statements as fit.
fn filled(limit: usize, mut statement: impl FnMut() -> String) -> String {
    let (mut statements, mut size) = (Vec::new(), 50);
    loop {
        let next = statement();
        size += next.len() + 1;
        if size > limit {
            return policy(&statements);
        }
        statements.push(next);
    }
}

/// As many elements of a list as fit.
fn list(limit: usize, mut element: impl FnMut() -> String) -> String {
    let (mut elements, mut size) = (Vec::new(), 0);
    loop {
        let next = element();
        size += next.len() + 3;
        if size > limit {
            return elements.join(",");
        }
        elements.push(format!("\"{next}\""));
    }
}

fn one(effect: &str, actions: &str, resources: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":[{actions}],"Resource":[{resources}]}}"#)
}

fn ways() -> String {
    WAYS.map(|action| format!("\"{action}\"")).join(",")
}

/// Every managed and inline policy by the same recipe.
fn everywhere(random: &mut Random, mut make: impl FnMut(&mut Random, usize) -> String) -> Shape {
    let managed = (0..ATTACHED).map(|_| make(random, MANAGED)).collect();
    Shape { managed, inline: vec![make(random, INLINE)], ..Shape::default() }
}

fn glob_actions(random: &mut Random) -> Shape {
    let services = ["iam", "s3", "ec2", "lambda", "sts", "sagemaker", "ssm", "eks"];
    everywhere(random, |random, limit| {
        let actions = list(limit - 150, || format!("{}:{}*", random.of(&services), random.stars(6)));
        policy(&[one("Allow", &actions, r#""*""#)])
    })
}

fn glob_resources(random: &mut Random) -> Shape {
    let types = ["iam::*:role/", "iam::*:user/", "lambda:*:*:function:", "*:*:*:"];
    everywhere(random, |random, limit| {
        let resources = list(limit - 900, || format!("arn:aws:{}{}*", random.of(&types), random.stars(9)));
        policy(&[one("Allow", &ways(), &resources)])
    })
}

fn not_action(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        filled(limit, || {
            let effect = random.of(&["Allow", "Allow", "Deny"]);
            let actions = list(90, || format!("{}:{}*", random.of(&["s3", "ec2", "iam", "sts"]), random.stars(2)));
            let resources = list(120, || format!("arn:aws:s3:::{}/{}*", random.word(9), random.stars(2)));
            format!(r#"{{"Effect":"{effect}","NotAction":[{actions}],"NotResource":[{resources}]}}"#)
        })
    })
}

fn condition(random: &mut Random, limit: usize) -> String {
    let operators = [
        "StringLike",
        "ForAllValues:StringLike",
        "ForAnyValue:StringNotLike",
        "ArnLike",
        "StringNotEqualsIfExists",
        "ForAllValues:ArnNotLike",
        "IpAddress",
        "NumericLessThanEquals",
        "DateGreaterThan",
    ];
    let keys = [
        "aws:PrincipalArn",
        "aws:PrincipalTag/team",
        "aws:TagKeys",
        "aws:SourceIp",
        "iam:PassedToService",
        "aws:RequestTag/x",
        "aws:userid",
        "aws:CalledVia",
    ];
    let mut blocks = Vec::new();
    let mut size = 0;
    while size + 150 < limit {
        let values = list(110, || format!("arn:aws:iam::*:role/{}*", random.stars(5)));
        let block = format!(r#""{}":{{"{}":[{values}]}}"#, operators[blocks.len() % operators.len()], random.of(&keys));
        size += block.len() + 1;
        blocks.push(block);
        if blocks.len() == operators.len() {
            break;
        }
    }
    format!("{{{}}}", blocks.join(","))
}

fn conditions(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        filled(limit, || {
            let condition = condition(random, 1_200);
            let effect = random.of(&["Allow", "Deny"]);
            format!(
                r#"{{"Effect":"{effect}","Action":["iam:*","sts:*","lambda:*"],"Resource":"*","Condition":{condition}}}"#
            )
        })
    })
}

fn pass_role(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        let resources = list(limit - 900, || format!("arn:aws:iam::{ACCOUNT}:role/{}", random.word(12)));
        policy(&[one("Allow", &ways(), &resources)])
    })
}

fn variables(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        let resources = list(limit - 900, || {
            let (before, after) = (random.stars(2), random.word(3));
            format!("arn:aws:iam::*:{}/{before}${{aws:PrincipalTag/{after}}}*", random.of(&["role", "user"]))
        });
        policy(&[one("Allow", &ways(), &resources)])
    })
}

fn denies(random: &mut Random) -> Shape {
    let mut shape = everywhere(random, |random, limit| {
        filled(limit, || {
            let resources =
                list(200, || format!("arn:aws:iam::*:{}/{}*", random.of(&["role", "user"]), random.stars(4)));
            one("Deny", r#""iam:*","sts:*""#, &resources)
        })
    });
    shape.inline = vec![policy(&[ALL.to_owned()])];
    shape
}

/// Allows on many resources, each of which another Deny takes away.
fn denies_of_all(random: &mut Random) -> Shape {
    let names: Vec<String> = (0..ATTACHED * 50).map(|_| random.word(14)).collect();
    let of = |from: usize, stars: &str, effect: &str| {
        let part = names.iter().skip(from).take(50);
        let resources: Vec<String> = part
            .map(|name| {
                format!("\"arn:aws:iam::*:{}/{name}{stars}\"", if from.is_multiple_of(100) { "role" } else { "user" })
            })
            .collect();
        one(effect, &ways(), &resources.join(","))
    };
    let allows = (0..ATTACHED / 2).map(|n| policy(&[of(n * 50, "*", "Allow")]));
    let denies = (0..ATTACHED / 2).map(|n| policy(&[of(n * 50, "*", "Deny")]));
    Shape { managed: allows.chain(denies).collect(), ..Shape::default() }
}

/// Two actions on many users each, no user in common.
fn pairs(random: &mut Random) -> Shape {
    let mut even = false;
    everywhere(random, |random, limit| {
        even = !even;
        let (actions, letter) = if even {
            (r#""iam:PutUserPolicy","iam:AttachUserPolicy","iam:PutRolePolicy","iam:DeactivateMFADevice""#, 'p')
        } else {
            (r#""iam:CreateAccessKey","sts:AssumeRole","iam:UpdateAssumeRolePolicy","iam:UpdateLoginProfile""#, 'q')
        };
        let resources = list(limit - 300, || {
            format!("arn:aws:iam::{ACCOUNT}:{}/{letter}{}", random.of(&["user", "role"]), random.word(10))
        });
        policy(&[one("Allow", actions, &resources)])
    })
}

/// The same with patterns that all meet, and a Deny of whatever they have in common.
fn pairs_of_globs(random: &mut Random) -> Shape {
    let mut even = false;
    let mut shape = everywhere(random, |random, limit| {
        even = !even;
        let actions = if even {
            r#""iam:PutUserPolicy","iam:AttachUserPolicy","iam:PutRolePolicy","iam:DeactivateMFADevice""#
        } else {
            r#""iam:CreateAccessKey","sts:AssumeRole","iam:UpdateAssumeRolePolicy","iam:UpdateLoginProfile""#
        };
        let resources = list(limit - 300, || {
            let (kind, stars) = (random.of(&["user", "role"]), random.stars(7));
            if even { format!("arn:aws:iam::*:{kind}/{stars}*p") } else { format!("arn:aws:iam::*:{kind}/q{stars}*") }
        });
        policy(&[one("Allow", actions, &resources)])
    });
    shape.inline =
        vec![policy(&[one("Deny", r#""iam:*","sts:*""#, r#""arn:aws:iam::*:user/q*p","arn:aws:iam::*:role/q*p""#)])];
    shape
}

/// A boundary whose patterns meet none or many of the policies'.
fn boundary(random: &mut Random) -> Shape {
    let mut shape = glob_resources(random);
    let resources = list(MANAGED - 900, || format!("arn:aws:iam::*:role/{}*", random.stars(9)));
    shape.boundary = Some(policy(&[one("Allow", &ways(), &resources)]));
    shape
}

/// Actions of services that the catalogue does not have.
fn unlisted(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        filled(limit, || {
            let effect = random.of(&["Allow", "Allow", "Deny"]);
            let actions = list(200, || format!("new{}:{}*", random.below(50), random.stars(3)));
            let resources = list(80, || format!("arn:aws:new{}:::{}*", random.below(50), random.word(4)));
            one(effect, &actions, &resources)
        })
    })
}

fn tiny_statements(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        filled(limit, || {
            let effect = random.of(&["Allow", "Deny"]);
            format!(
                r#"{{"Effect":"{effect}","Action":"iam:{}*","Resource":"*:role/{}*"}}"#,
                random.of(&["P", "C", "U"]),
                random.word(2)
            )
        })
    })
}

/// The same again and again, under other names.
fn same_statements(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        filled(limit, || {
            let sid = random.word(9);
            format!(
                r#"{{"Sid":"{sid}","Effect":"Allow","Action":["iam:Pa*","iam:PutR*","lambda:*","glue:*","ecs:*"],"Resource":"*"}}"#
            )
        })
    })
}

/// Few patterns, each as long as a policy: stars and letters that nearly match.
fn long_globs(random: &mut Random) -> Shape {
    everywhere(random, |random, limit| {
        let resources = list(limit - 900, || {
            format!("arn:aws:iam::*:{}/{}{}", random.of(&["role", "user"]), "*a".repeat(400), random.of(&["b", "c"]))
        });
        policy(&[one("Allow", &ways(), &resources), one("Deny", r#""iam:*""#, r#""arn:aws:iam::*:role/*a*b*""#)])
    })
}

fn scps(random: &mut Random) -> Shape {
    let scp = |random: &mut Random| {
        filled(SCP, || {
            let resources =
                list(250, || format!("arn:aws:iam::*:{}/{}*", random.of(&["role", "user"]), random.stars(4)));
            let actions = list(80, || format!("{}:{}*", random.of(&["iam", "s3", "lambda"]), random.stars(3)));
            one(random.of(&["Allow", "Deny"]), &actions, &resources)
        })
    };
    let levels = (0..6).map(|_| (0..5).map(|_| scp(random)).collect()).collect();
    Shape { levels, ..glob_resources(random) }
}

fn trust_policy(statements: &[String]) -> Option<String> {
    Some(policy(statements))
}

fn trust_principals(random: &mut Random) -> Shape {
    let trust = filled(TRUST, || {
        let effect = random.of(&["Allow", "Allow", "Deny"]);
        let account = 100_000_000_000 + random.below(800_000_000_000);
        format!(r#"{{"Effect":"{effect}","Principal":{{"AWS":"{account}"}},"Action":"sts:*"}}"#)
    });
    Shape { trust: Some(trust), managed: vec![policy(&[ALL.to_owned()])], ..Shape::default() }
}

fn trust_conditions(random: &mut Random) -> Shape {
    let arns = list(3_600, || {
        format!("arn:aws:iam::{}:role/{}*", 100_000_000_000 + random.below(800_000_000_000), random.word(2))
    });
    let paths = list(2_400, || format!("o-{}/r-ab12/*", random.word(10)));
    let ids = list(1_000, || format!("o-{}", random.word(10)));
    let statement = |effect: &str, operator: &str, key: &str, values: &str| {
        format!(
            r#"{{"Effect":"{effect}","Principal":"*","Action":"sts:AssumeRole","Condition":{{"{operator}":{{"{key}":[{values}]}}}}}}"#
        )
    };
    let trust = trust_policy(&[
        statement("Allow", "ArnLike", "aws:PrincipalArn", &arns),
        statement("Allow", "ForAnyValue:StringLike", "aws:PrincipalOrgPaths", &paths),
        statement("Deny", "StringEquals", "aws:PrincipalOrgID", &ids),
    ]);
    Shape { trust, ..Shape::default() }
}

fn trust_federated(random: &mut Random) -> Shape {
    let trust = filled(TRUST, || {
        let host = format!("{}.example.com", random.word(6));
        let values = list(300, || format!("{}*", random.stars(6)));
        format!(
            r#"{{"Effect":"Allow","Principal":{{"Federated":"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringLike":{{"{host}:sub":[{values}]}}}}}}"#
        )
    });
    Shape { trust: Some(trust), ..Shape::default() }
}

/// Associations with a session policy each.
fn session_policies(random: &mut Random) -> Shape {
    let sessions = (0..100).map(|_| {
        let resources =
            list(SESSION - 300, || format!("arn:aws:iam::*:{}/{}*", random.of(&["role", "user"]), random.stars(5)));
        policy(&[one("Allow", r#""iam:*","lambda:*""#, &resources)])
    });
    let sessions = sessions.collect();
    Shape { sessions, ..glob_resources(random) }
}

/// Something of everything.
fn combined(random: &mut Random) -> Shape {
    let mut shape = Shape::default();
    let parts = [
        glob_actions,
        glob_resources,
        not_action,
        conditions,
        variables,
        denies,
        pairs_of_globs,
        unlisted,
        tiny_statements,
        long_globs,
    ];
    for part in parts {
        let made = part(random);
        shape.managed.extend(made.managed.into_iter().take(2));
    }
    shape.inline = pass_role(random).inline;
    shape.boundary = boundary(random).boundary;
    shape.levels = scps(random).levels;
    shape.trust = trust_conditions(random).trust;
    shape.sessions = session_policies(random).sessions.into_iter().take(5).collect();
    shape
}

/// Many roles that a set of patterns may name, one by one.
fn crowd_passed(random: &mut Random) -> Shape {
    let trust = policy(&[r#"{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ec2.amazonaws.com","glue.amazonaws.com"]},"Action":"sts:AssumeRole"}"#.to_owned()]);
    let others = (0..5_000).map(|_| (trust.clone(), random.word(40), None)).collect();
    Shape { others, ..glob_resources(random) }
}

/// Many roles whose trust policies name others by patterns.
fn crowd_naming(random: &mut Random) -> Shape {
    let others = (0..1_000).map(|_| {
        let arns = list(3_000, || format!("arn:aws:iam::{ACCOUNT}:role/{}*", random.stars(4)));
        let trust = format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":"sts:AssumeRole","Condition":{{"ArnLike":{{"aws:PrincipalArn":[{arns}]}}}}}}"#
        );
        let may = policy(&[one("Allow", r#""sts:AssumeRole""#, r#""*""#)]);
        (policy(&[trust]), random.word(40), Some(may))
    });
    Shape { others: others.collect(), ..Shape::default() }
}

/// Many roles that tell whom they let in by a variable.
fn crowd_vague(random: &mut Random) -> Shape {
    let others = (0..2_000).map(|n| {
        let trust = format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":"sts:AssumeRole","Condition":{{"StringLike":{{"aws:PrincipalTag/t{n}":"${{aws:PrincipalTag/u}}"}}}}}}"#
        );
        let may = policy(&[one("Allow", r#""sts:AssumeRole""#, &format!("\"arn:aws:iam::*:role/*{}*\"", random.word(1)))]);
        (policy(&[trust]), random.word(40), Some(may))
    });
    Shape { others: others.collect(), ..Shape::default() }
}

/// An account with roles of a kind, all of it seen.
pub(crate) fn estate(kind: &Kind, seed: u64) -> Estate {
    let id: AccountId = ACCOUNT.parse().expect("an account id");
    let mut estate = Estate::default();
    let random = &mut Random(seed);
    let organization = Some("o-home000000".to_owned());
    estate.accounts.push(Account {
        ou_path: Some("/a/b/c/d".to_owned()),
        organization_id: organization,
        ..Account::new(id)
    });
    for kind in [
        ScopeKind::Entry,
        ScopeKind::Roles,
        ScopeKind::Policies,
        ScopeKind::OidcProviders,
        ScopeKind::Organization,
        ScopeKind::OrgPolicies,
    ] {
        estate.coverage.complete(Scope::global(id, kind));
    }
    cluster(&mut estate, id);
    let units = [
        ("r-1", None, "/"),
        ("ou-1", Some("r-1"), "/a"),
        ("ou-2", Some("ou-1"), "/a/b"),
        ("ou-3", Some("ou-2"), "/a/b/c"),
        ("ou-4", Some("ou-3"), "/a/b/c/d"),
    ];
    estate.org_units = units
        .map(|(unit, parent, path)| OrgUnit {
            account_id: id,
            id: unit.to_owned(),
            parent: parent.map(str::to_owned),
            path: path.to_owned(),
        })
        .into();
    let mut levels = Vec::new();
    for number in 0..kind.roles {
        let shape = (kind.make)(random);
        if levels.is_empty() {
            levels.clone_from(&shape.levels);
        }
        add(&mut estate, id, number, shape);
    }
    let nodes = ["r-1", "ou-1", "ou-2", "ou-3", "ou-4", ACCOUNT];
    for (at, node) in nodes.into_iter().enumerate() {
        let own = levels.get(at).cloned().unwrap_or_else(|| vec![policy(&[ALL.to_owned()])]);
        for (number, text) in own.iter().enumerate() {
            let document = estate.documents.read(text);
            estate.org_policies.push(OrgPolicy {
                account_id: id,
                id: format!("p-{at}-{number}"),
                kind: OrgPolicyKind::Scp,
                name: format!("limit-{at}-{number}"),
                document,
                targets: vec![node.to_owned()],
            });
        }
    }
    estate
}

fn cluster(estate: &mut Estate, id: AccountId) {
    let region = || REGION.parse().expect("a region");
    for kind in [ScopeKind::Clusters, ScopeKind::Trails, ScopeKind::Sessions] {
        estate.coverage.complete(Scope::regional(id, kind, region()));
    }
    for kind in [
        ScopeKind::ClusterDetails,
        ScopeKind::Associations,
        ScopeKind::AssociationDetails,
        ScopeKind::Addons,
        ScopeKind::AccessEntries,
    ] {
        estate.coverage.complete(Scope::of_cluster(id, kind, region(), CLUSTER.parse().expect("a cluster")));
    }
    estate.clusters.push(Cluster {
        account_id: id,
        region: region(),
        name: CLUSTER.parse().expect("a cluster"),
        arn: format!("arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{CLUSTER}"),
        created_at: None,
        version: None,
        status: Some("ACTIVE".to_owned()),
        role_arn: None,
        oidc_issuer: None,
        authentication_mode: None,
        auto_mode: None,
        addons: Some(Vec::new()),
        access_entries: Some(Vec::new()),
        tags: Tags::new(),
    });
}

fn add(estate: &mut Estate, id: AccountId, number: usize, shape: Shape) {
    let name = format!("hostile-{number:04}");
    let managed = |estate: &mut Estate, at: usize, text: &str| {
        let policy = format!("{name}-{at}");
        let arn: rolecall_iam::Arn = format!("arn:aws:iam::{ACCOUNT}:policy/{policy}").parse().expect("a policy's ARN");
        let document = Some(estate.documents.read(text));
        estate.policies.push(ManagedPolicy {
            account_id: id,
            arn: arn.clone(),
            name: policy.clone(),
            policy_id: "ANPA".to_owned(),
            default_version: "v1".to_owned(),
            document,
            updated_at: None,
        });
        AttachedPolicy { arn, name: policy }
    };
    let attached = shape.managed.iter().enumerate().map(|(at, text)| managed(estate, at, text)).collect();
    let boundary = shape.boundary.map(|text| managed(estate, 99, &text).arn);
    let pods = r#"{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}"#;
    let trust = shape.trust.unwrap_or_else(|| policy(&[pods.to_owned()]));
    let role = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
    let inline = shape.inline.iter().map(|text| estate.documents.read(text)).collect();
    push(estate, &role, &trust, inline, attached, boundary);
    for (at, text) in shape.sessions.iter().enumerate() {
        let session = estate.documents.read(text);
        estate.associations.push(association(id, number * 1_000 + at, &role, session));
    }
    for (trust, name, may) in shape.others {
        let inline = may.iter().map(|text| estate.documents.read(text)).collect();
        push(estate, &format!("arn:aws:iam::{ACCOUNT}:role/{name}"), &trust, inline, Vec::new(), None);
    }
}

fn push(
    estate: &mut Estate,
    arn: &str,
    trust: &str,
    inline: Vec<Digest>,
    attached: Vec<AttachedPolicy>,
    boundary: Option<rolecall_iam::Arn>,
) {
    let trust = Some(estate.documents.read(trust));
    let inline = inline.into_iter().enumerate().map(|(at, document)| InlinePolicy { name: format!("p{at}"), document });
    let role_id = format!("AROA{:016}", estate.roles.len());
    estate.roles.push(Role {
        arn: arn.parse().expect("a role's ARN"),
        role_id,
        created_at: None,
        trust,
        inline: inline.collect(),
        attached,
        boundary,
        instance_profiles: Vec::new(),
        tags: Tags::new(),
    });
}

fn association(id: AccountId, number: usize, role: &str, session: Digest) -> Association {
    Association {
        key: AssociationKey {
            account_id: id,
            region: REGION.parse().expect("a region"),
            cluster: CLUSTER.parse().expect("a cluster"),
            namespace: "pay".parse().expect("a namespace"),
            service_account: format!("api-{number}").parse().expect("a service account"),
        },
        association_id: format!("a-{number}"),
        arn: format!("arn:aws:eks:{REGION}:{ACCOUNT}:podidentityassociation/{CLUSTER}/a-{number}"),
        detail: Some(AssociationDetail {
            role_arn: role.to_owned(),
            target_role_arn: None,
            external_id: None,
            disable_session_tags: true,
            policy: Some(session),
            tags: Tags::new(),
            created_at: None,
            modified_at: None,
            extra: std::collections::BTreeMap::new(),
        }),
        owner_arn: None,
    }
}
