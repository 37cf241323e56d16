//! The laws of the policy language: documents, patterns, conditions, ARNs, decisions.

use rolecall_iam::lint::check;
use rolecall_iam::trust::Trust;
use rolecall_iam::{
    AccountId, ActionPattern, Arn, Condition, Context, Document, Grants, Level, Operator, Outcome, PolicyRef,
    PolicySet, PolicyType, Request, Requester, ResourcePattern, RoleArn, Truth, Version, cases, decide as decided,
    like,
};
use serde_json::{Value, json};

const KINDS: [PolicyType; 8] = [
    PolicyType::Identity,
    PolicyType::Trust,
    PolicyType::Resource,
    PolicyType::Boundary,
    PolicyType::Session,
    PolicyType::Scp,
    PolicyType::Rcp,
    PolicyType::VpcEndpoint,
];

/// Any bytes are cases or what is wrong with them, each with its place; what is a case can be answered.
pub fn case(bytes: &[u8]) {
    cases::each("c.json", bytes, |read| match read {
        Ok(case) => assert!(!case.id.is_empty()),
        Err(error) => assert!(!error.message.is_empty() && !error.remedy.is_empty() && !error.id.is_empty()),
    });
}

/// Any text is a document or a reason; the canonical form of a document is a document with the same
/// address, and every question about it has an answer.
pub fn document(bytes: &[u8]) {
    let document = Document::new(&String::from_utf8_lossy(bytes));
    if document.parsed.is_ok() {
        let again = Document::new(&document.canonical());
        assert_eq!(again.digest, document.digest);
        assert_eq!(again.canonical(), document.canonical());
    }
    for kind in KINDS {
        let problems = check(&document, kind);
        assert!(document.parsed.is_ok() || problems.len() == 1);
        assert!(problems.iter().all(|p| !p.message.is_empty() && !p.remedy.is_empty()));
    }
    let trust = Trust::new("trust policy", &document);
    let caller = Requester::service("pods.eks.amazonaws.com");
    let admitted = trust.admits(&caller, "sts:AssumeRole").truth;
    if trust.decide(&caller, "sts:AssumeRole", &Context::open()).outcome == Outcome::Allow {
        assert!(admitted.is_true());
    }
    let stack =
        PolicySet { identity: Some(vec![PolicyRef::known("inline policy", &document)]), ..PolicySet::default() };
    let access = Grants::new(&stack);
    let actions = access.actions();
    for grant in access.broad_writes().grants {
        assert!(actions.includes(&grant.actions));
    }
    let (admin, wild, pass) = (access.admin(), access.wildcard_actions(), access.pass_role());
    assert_eq!(admin.by.is_some(), admin.answer.truth.is_true());
    assert!(document.parsed.is_ok() || wild.grants.is_empty() && pass.grants.is_empty());
}

/// What a pattern covers, it matches; every text matches itself as a pattern. Three lines: two
/// patterns and a text.
pub fn pattern(bytes: &[u8]) {
    let input = String::from_utf8_lossy(bytes);
    let mut lines = input.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (a, b, text) = (line(), line(), line());
    let (wide, narrow) = (ResourcePattern::new(a), ResourcePattern::new(b));
    if wide.covers(&narrow) && !narrow.has_variable() && narrow.matches(text) {
        assert!(wide.matches(text) || wide.is_everything());
    }
    let context = Context::closed().set("aws:username", [text]);
    for pattern in [&wide, &narrow] {
        let plain = Truth::from(pattern.matches(text));
        assert_eq!(pattern.matches_in(text, &context, Version::V2008), plain);
        if !pattern.has_variable() {
            assert_eq!(pattern.matches_in(text, &context, Version::V2012), plain);
        }
        let open = pattern.matches_in(text, &Context::open(), Version::V2012);
        if open.is_true() || open.is_false() {
            assert_eq!(pattern.matches_in(text, &context, Version::V2012), open);
        }
    }
    assert!(like(text, text));
    let (wide, narrow) = (ActionPattern::new(a), ActionPattern::new(b));
    if wide.covers(&narrow) && narrow.matches(text) {
        assert!(wide.matches(text));
    }
}

const PAIRS: [(&str, &str); 8] = [
    ("StringEquals", "StringNotEquals"),
    ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
    ("StringLike", "StringNotLike"),
    ("NumericEquals", "NumericNotEquals"),
    ("DateEquals", "DateNotEquals"),
    ("IpAddress", "NotIpAddress"),
    ("ArnLike", "ArnNotLike"),
    ("ArnEquals", "ArnNotEquals"),
];

/// A condition that is certain while its key is open holds whatever the key turns out to be; a
/// negated operator never passes with its positive, and what every value passes, one does. Lines: an operator, the key's value, and the
/// condition's values.
pub fn condition(bytes: &[u8]) {
    let input = String::from_utf8_lossy(bytes);
    let mut lines = input.split('\n');
    let (operator, actual) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let values: Vec<String> = lines.map(str::to_owned).collect();
    let holds = |operator: &str, context: &Context| {
        let condition = Condition::new(Operator::new(operator), "k:k", values.clone(), String::new());
        condition.holds(context, Version::V2012)
    };
    let known = Context::closed().set("k:k", [actual]);
    let open = holds(operator, &Context::open());
    if open == Truth::True || open == Truth::False {
        for context in [&known, &Context::closed()] {
            assert_eq!(holds(operator, context), open, "{operator}");
        }
    }
    for (positive, negated) in PAIRS {
        let both = [holds(positive, &known), holds(negated, &known)];
        assert!(both.iter().any(|truth| !truth.is_true()), "{positive}");
        // Both are false of what cannot be compared alone.
        if positive.starts_with("String") {
            assert_eq!(!both[0].clone(), both[1], "{positive}");
        }
        let list = Context::closed().set("k:k", [actual, "x"]);
        let each = holds(&format!("ForAllValues:{positive}"), &list);
        let none = holds(&format!("ForAllValues:{negated}"), &list);
        let one = holds(&format!("ForAnyValue:{positive}"), &list);
        assert!(!each.is_true() || !one.is_false(), "{positive}");
        assert!(!none.is_true() || !one.is_true(), "{positive}");
    }
}

/// A name that parses is written as it was read, and its parts are those of its text.
pub fn arn(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(id) = text.parse::<AccountId>() {
        assert_eq!(id.to_string(), text);
    }
    let Ok(arn) = text.parse::<Arn>() else {
        assert!(text.parse::<RoleArn>().is_err());
        return;
    };
    assert_eq!(arn.to_string(), text);
    let parts = ["arn", arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()];
    assert_eq!(parts.join(":"), text);
    if let Ok(role) = text.parse::<RoleArn>() {
        assert_eq!(format!("role{}{}", role.path(), role.name()), arn.resource());
        assert_eq!(Some(role.account_id()), arn.account_id());
        assert!(role.path().starts_with('/') && role.path().ends_with('/'));
    }
    assert!(ResourcePattern::new(&text.replace(['*', '?'], "x")).matches(&text.replace(['*', '?'], "x")));
}

/// Draws from lists by bytes; an exhausted input draws the first of each.
struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> usize {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                usize::from(*first)
            }
            None => 0,
        }
    }

    fn of<'b, T: ?Sized>(&mut self, list: &[&'b T]) -> &'b T {
        let at = self.byte() % list.len();
        list.get(at).expect("the place is within the list")
    }
}

const REQUESTERS: [&str; 9] = [
    "arn:aws:iam::111122223333:user/ann",
    "arn:aws:sts::111122223333:assumed-role/r/s",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::444455556666:role/x",
    "arn:aws:iam::111122223333:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS",
    "arn:aws:sts::111122223333:federated-user/ann",
    "pods.eks.amazonaws.com",
    "anonymous",
];
const ACTIONS: [&str; 8] = [
    "s3:GetObject",
    "s3:PutObject",
    "iam:PassRole",
    "sts:AssumeRole",
    "sts:TagSession",
    "kms:Decrypt",
    "new:Thing",
    "s3:ListAllMyBuckets",
];
const NAMED_ACTIONS: [&str; 12] = [
    "*",
    "*",
    "*",
    "s3:*",
    "s3:*",
    "s3:Get*",
    "S3:getobject",
    "iam:PassRole",
    "sts:*",
    "sts:AssumeRole",
    "kms:*",
    "new:*",
];
const RESOURCES: [&str; 6] = [
    "arn:aws:s3:::b/ann/k",
    "arn:aws:s3:::b/k",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:iam::444455556666:role/x",
    "arn:aws:kms:eu-west-1:444455556666:key/k",
    "*",
];
const NAMED_RESOURCES: [&str; 10] = [
    "*",
    "*",
    "*",
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team, 'ann'}/k",
    "arn:aws:iam::*:role/*",
    "arn:aws:iam::${aws:PrincipalAccount}:role/r",
    "arn:aws:kms*",
];
const OPERATORS: [&str; 10] = [
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringLikeIfExists",
    "ForAllValues:StringEquals",
    "ForAnyValue:StringNotLike",
    "ArnLike",
    "Bool",
    "Null",
    "StringResembles",
];
const KEYS: [&str; 6] = [
    "aws:username",
    "aws:PrincipalTag/team",
    "aws:PrincipalArn",
    "aws:SourceAccount",
    "aws:PrincipalIsAWSService",
    "aws:TagKeys",
];
const VALUES: [&str; 6] = ["ann", "*", "true", "${aws:username}", "arn:aws:iam::111122223333:*", "111122223333"];

fn principal(draw: &mut Draw<'_>) -> Value {
    match draw.byte() % 9 {
        0 => json!("*"),
        1 => json!({"AWS": "111122223333"}),
        2 => json!({"AWS": "arn:aws:iam::111122223333:role/r"}),
        3 => json!({"AWS": ["arn:aws:iam::111122223333:user/ann"]}),
        4 => json!({"AWS": "arn:aws:sts::111122223333:assumed-role/r/s"}),
        5 => json!({"Service": ["pods.eks.amazonaws.com"]}),
        6 => json!({"AWS": "444455556666", "Federated": "accounts.google.com"}),
        7 => json!({"CanonicalUser": "79a5"}),
        _ => json!({"Unheard": "of"}),
    }
}

fn statement(draw: &mut Draw<'_>, effect: &str, place: usize) -> Value {
    let (shape, rare) = (draw.byte(), draw.byte());
    let mut out = json!({"Effect": effect});
    let actions = [draw.of(&NAMED_ACTIONS), draw.of(&NAMED_ACTIONS)];
    out[if rare & 7 == 7 { "NotAction" } else { "Action" }] =
        if shape & 2 == 2 { json!(actions) } else { json!(actions.first()) };
    if place != TRUST {
        let resources = [draw.of(&NAMED_RESOURCES), draw.of(&NAMED_RESOURCES)];
        out[if rare & 56 == 56 { "NotResource" } else { "Resource" }] =
            if shape & 16 == 16 { json!(resources) } else { json!(resources.first()) };
    }
    if [RESOURCE, TRUST, RCP, ENDPOINT].contains(&place) {
        out[if rare & 192 == 192 { "NotPrincipal" } else { "Principal" }] = principal(draw);
    }
    if shape & 96 == 96 {
        let values = [draw.of(&VALUES), draw.of(&VALUES)];
        out["Condition"] = json!({draw.of(&OPERATORS): {draw.of(&KEYS): values}});
    }
    out
}

const RESOURCE: usize = 5;
const TRUST: usize = 6;
const RCP: usize = 4;
const ENDPOINT: usize = 7;
const PLACES: usize = 8;

/// The statements of each policy of each layer in play.
type Policies = Vec<(usize, Vec<Vec<Value>>)>;

fn policies(draw: &mut Draw<'_>) -> Policies {
    // Each layer but the first is in play once in eight, so that many a request is allowed.
    let in_play = draw.byte() & draw.byte() & draw.byte();
    let mut out = Vec::new();
    for place in (0..PLACES).filter(|place| *place == 0 || in_play >> place & 1 == 1) {
        let counts = draw.byte();
        let mut list = Vec::new();
        for n in 0..=(counts & 1) {
            let statements = 1 + ((counts >> (1 + 2 * n)) & 3) % 3;
            let effects = draw.byte();
            let effect = |s: usize| if effects >> (2 * s) & 3 == 3 { "Deny" } else { "Allow" };
            list.push((0..statements).map(|s| statement(draw, effect(s), place)).collect());
        }
        out.push((place, list));
    }
    out
}

fn read(statements: &[Value]) -> Document {
    let document = Document::new(&json!({"Version": "2012-10-17", "Statement": statements}).to_string());
    assert!(document.parsed.is_ok(), "{:?}", document.parsed);
    document
}

/// The layers; of the policies of the place `unseen` nothing is known.
fn layers(policies: &Policies, unseen: Option<usize>, read: &dyn Fn(&[Value]) -> Document) -> PolicySet {
    let mut out = PolicySet::default();
    for (place, list) in policies {
        let layer = |statements: &Vec<Value>| {
            if unseen == Some(*place) {
                PolicyRef::missing("policy", "refused")
            } else {
                PolicyRef::known("policy", &read(statements))
            }
        };
        let flat: Vec<PolicyRef> = list.iter().map(layer).collect();
        let levels = || flat.iter().map(|l| Level { name: "level".into(), policies: vec![l.clone()] }).collect();
        match *place {
            0 => out.identity = Some(flat),
            1 => out.boundary = Some(flat),
            2 => out.session = Some(flat),
            3 => out.scp = Some(levels()),
            RCP => out.rcp = Some(levels()),
            RESOURCE => out.resource = flat.into_iter().next(),
            TRUST => out.trust = flat.into_iter().next(),
            _ => out.vpc_endpoint = Some(flat),
        }
    }
    out
}

/// No, perhaps, yes.
fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::DenyExplicit | Outcome::DenyImplicit => 0,
        Outcome::Unknown => 1,
        Outcome::Allow => 2,
    }
}

/// Another Deny never allows more and another Allow never allows less; the order of statements and
/// of policies never matters; the canonical form decides alike; what is certain while a policy is
/// not seen, or a key is open, stays so when it is. The bytes draw the request and the policies.
pub fn decide(bytes: &[u8]) {
    drawn(bytes);
}

/// As [`decide`]; what the request came to.
pub fn drawn(bytes: &[u8]) -> Outcome {
    let mut draw = Draw(bytes);
    let requester = Requester::parse(draw.of(&REQUESTERS)).expect("each of the list is one");
    let (action, resource) = (draw.of(&ACTIONS), draw.of(&RESOURCES));
    let owner = match draw.byte() % 3 {
        0 => None,
        1 => "111122223333".parse::<AccountId>().ok(),
        _ => "444455556666".parse::<AccountId>().ok(),
    };
    // Only principals of an account have tags.
    let tagged = matches!(requester, Requester::Principal { .. });
    let keys = draw.byte() & if tagged { 7 } else { 6 };
    let values = [("aws:PrincipalTag/team", "ann"), ("aws:SourceAccount", "111122223333"), ("aws:TagKeys", "ann")];
    let known = |context: Context| {
        values.iter().enumerate().fold(context, |context, (n, (key, value))| {
            if keys >> n & 1 == 1 { context.set(key, [*value]) } else { context.absent(key) }
        })
    };
    let request = |context: Context| Request::new(requester.clone(), action, resource, owner, context);
    let closed = request(known(Context::closed()));
    let mut policies = policies(&mut draw);
    let before = layers(&policies, None, &read);
    let outcome = decided(&closed, &before).outcome;

    let canonical = |statements: &[Value]| Document::new(&read(statements).canonical());
    assert_eq!(decided(&closed, &layers(&policies, None, &canonical)).outcome, outcome, "the canonical form");

    let mut turned = policies.clone();
    for (place, list) in &mut turned {
        list.iter_mut().for_each(|statements| statements.reverse());
        // Of a resource and of a role only the first policy is taken.
        if ![RESOURCE, TRUST].contains(place) {
            list.reverse();
        }
    }
    assert_eq!(decided(&closed, &layers(&turned, None, &read)).outcome, outcome, "the order");

    let open = decided(&request(Context::open()), &before).outcome;
    if open != Outcome::Unknown {
        let half = decided(&request(known(Context::open())), &before).outcome;
        assert_eq!(rank(half), rank(open), "open keys");
    }

    let at = draw.byte() % policies.len();
    let place = policies.get(at).map_or(0, |(place, _)| *place);
    let unseen = decided(&closed, &layers(&policies, Some(place), &read)).outcome;
    if unseen != Outcome::Unknown {
        assert_eq!(rank(unseen), rank(outcome), "the layer {place} was not seen");
    }

    for effect in ["Deny", "Allow"] {
        let more = statement(&mut draw, effect, place);
        let Some(first) = policies.get_mut(at).and_then(|(_, list)| list.first_mut()) else { continue };
        first.push(more);
        let after = decided(&closed, &layers(&policies, None, &read)).outcome;
        if effect == "Deny" {
            assert!(rank(after) <= rank(outcome), "another Deny in the layer {place}: {outcome:?}, {after:?}");
        } else {
            assert!(rank(after) >= rank(outcome), "another Allow in the layer {place}: {outcome:?}, {after:?}");
        }
        if let Some(first) = policies.get_mut(at).and_then(|(_, list)| list.first_mut()) {
            first.pop();
        }
    }
    outcome
}
