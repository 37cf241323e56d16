//! What stacks of policies allow: cases as data.

use rolecall_iam::access::{Access, AdminBy, Layer, Stack};
use rolecall_iam::{Document, Truth};

fn layer(source: &str, statements: &str) -> Layer {
    let document = Document::read(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#));
    assert!(document.parsed.is_ok(), "{:?}", document.parsed);
    Layer::known(source, &document)
}

fn role(statements: &str) -> Stack {
    Stack { identity: vec![layer("inline policy x", statements)], ..Stack::default() }
}

fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#)
}

fn deny(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"{resource}"}}"#)
}

const IF: &str = r#","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}}"#;

fn when(statement: &str) -> String {
    format!("{}{IF}", statement.strip_suffix('}').unwrap())
}

#[test]
fn an_administrator_is_known_by_any_spelling() {
    let not_action = r#"{"Effect":"Allow","NotAction":[],"Resource":"*"}"#;
    let halves = format!(r#"{},{{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}}"#, allow("iam:*", "*"));
    let cases = [
        (allow("*", "*"), Some(AdminBy::Everything), false),
        (allow("*:*", "arn:aws:*"), Some(AdminBy::Everything), false),
        (not_action.to_owned(), Some(AdminBy::Everything), false),
        (halves, Some(AdminBy::Everything), false),
        (allow("iam:*", "*"), Some(AdminBy::Iam), false),
        (when(&allow("*", "*")), Some(AdminBy::Everything), true),
        (
            format!("{},{}", allow("*", "*"), deny("organizations:LeaveOrganization", "*")),
            Some(AdminBy::Everything),
            false,
        ),
        (format!("{},{}", allow("*", "*"), when(&deny("iam:*", "*"))), Some(AdminBy::Everything), false),
        (
            format!("{},{}", allow("*", "*"), deny("iam:*", "arn:aws:iam::111122223333:role/x")),
            Some(AdminBy::Everything),
            false,
        ),
        (format!("{},{}", allow("*", "*"), deny("iam:*", "*")), None, false),
        (format!("{},{}", allow("*", "*"), deny("*", "*")), None, false),
        (allow("*", "arn:aws:s3:::b"), None, false),
        (allow("s3:*", "*"), None, false),
        (allow("iam:Get*", "*"), None, false),
    ];
    for (statements, by, conditional) in cases {
        let stack = role(&statements);
        let admin = Access::of(&stack).admin();
        assert_eq!((admin.by, admin.conditional), (by, conditional), "{statements}");
        assert_eq!(admin.answer.truth, Truth::from(by.is_some()), "{statements}");
        assert_eq!(admin.answer.by.is_empty(), by.is_none(), "{statements}");
    }
}

#[test]
fn wildcards_count_unless_taken_away_whole() {
    let cases = [
        (allow("*", "*"), vec!["*"]),
        (allow("S3:*", "arn:aws:s3:::b/*"), vec!["S3:*"]),
        (allow("s3:Get*", "*"), vec![]),
        (allow("brandnew:*", "*"), vec!["brandnew:*"]),
        (when(&allow("s3:*", "*")), vec!["s3:*"]),
        (format!("{},{}", allow("s3:*", "*"), deny("s3:DeleteBucket", "*")), vec!["s3:*"]),
        (format!("{},{}", allow("s3:*", "*"), deny("s3:*", "*")), vec![]),
        (format!("{},{}", allow("s3:*", "*"), deny("s3:*", "arn:aws:s3:::b")), vec!["s3:*"]),
        (format!("{},{}", allow("s3:*", "*"), when(&deny("s3:*", "*"))), vec!["s3:*"]),
        (format!("{},{}", allow("brandnew:*", "*"), deny("*", "*")), vec![]),
        (format!(r#"{},{{"Effect":"Deny","NotAction":"sts:*","Resource":"*"}}"#, allow("s3:*", "*")), vec![]),
    ];
    for (statements, expected) in cases {
        let stack = role(&statements);
        let found = Access::of(&stack).wildcard_actions();
        let patterns: Vec<&str> = found.grants.iter().flat_map(|g| &g.patterns).map(String::as_str).collect();
        assert_eq!(patterns, expected, "{statements}");
        assert_eq!(found.truth, Truth::from(!expected.is_empty()), "{statements}");
    }
}

#[test]
fn a_ceiling_takes_away_what_it_does_not_allow() {
    let wild = |stack: &Stack| !Access::of(stack).wildcard_actions().grants.is_empty();
    let admin = |stack: &Stack| Access::of(stack).admin().by.is_some();
    let boundary = |statements: &str| {
        let mut stack = role(&allow("*", "*"));
        stack.boundary = Some(layer("boundary", statements));
        stack
    };
    let reads = boundary(&allow("s3:Get*", "*"));
    assert!(!wild(&reads) && !admin(&reads));
    let service = boundary(&allow("s3:*", "*"));
    assert!(wild(&service) && !admin(&service));
    let open = boundary(&allow("*", "*"));
    assert!(wild(&open) && admin(&open));
    let guarded = boundary(&when(&allow("*", "*")));
    assert!(admin(&guarded), "a condition on a ceiling may hold");
    let narrow = boundary(&allow("*", "arn:aws:s3:::b"));
    assert!(!admin(&narrow));

    let mut session = role(&allow("s3:*", "*"));
    session.session = Some(layer("session policy", &allow("s3:GetObject", "*")));
    assert!(!wild(&session));

    let full = || layer("SCP FullAWSAccess", &allow("*", "*"));
    let mut scps = role(&allow("*", "*"));
    scps.scps = vec![vec![full()], vec![full(), layer("SCP guard", &deny("iam:*", "*"))]];
    assert!(wild(&scps) && !admin(&scps));
    scps.scps = vec![vec![full()], vec![]];
    assert!(!wild(&scps), "a level without a policy allows nothing");
}

#[test]
fn what_was_not_seen_leaves_the_answer_open() {
    let truth = |stack: &Stack| Access::of(stack).admin().answer.truth;
    let mut stack = role(&allow("*", "*"));
    stack.boundary = Some(Layer::missing("permissions boundary", "iam:GetPolicyVersion was denied"));
    assert!(truth(&stack).reasons()[0].contains("permissions boundary was not seen"));
    assert_eq!(Access::of(&stack).admin().by, Some(AdminBy::Everything), "what was seen is still shown");

    let mut stack = role(&allow("s3:GetObject", "*"));
    stack.boundary = Some(Layer::missing("permissions boundary", "denied"));
    assert!(truth(&stack).is_false(), "a ceiling adds nothing");
    stack.identity.push(Layer::known("inline policy y", &Document::read("{\"Statement\":")));
    assert!(truth(&stack).reasons().iter().any(|r| r.contains("inline policy y could not be read")));
}

#[test]
fn writes_on_everything_are_those_that_could_be_limited() {
    let actions = |statements: &str| {
        let stack = role(statements);
        let found = Access::of(&stack).broad_writes();
        found.grants.iter().flat_map(|g| g.actions.names()).collect::<Vec<_>>()
    };
    assert_eq!(actions(&allow("s3:PutObject", "*")), ["s3:PutObject"]);
    assert_eq!(actions(&allow("s3:PutObject", "arn:aws:s3:::*")), ["s3:PutObject"]);
    assert_eq!(actions(&allow("sqs:SendMessage", "arn:aws:sqs:*:111122223333:*")), ["sqs:SendMessage"]);
    assert_eq!(actions(&when(&allow("s3:PutObject", "*"))), ["s3:PutObject"]);
    for none in [
        allow("s3:PutObject", "arn:aws:s3:::b/*"),
        allow("s3:GetObject", "*"),
        allow("ec2:ModifyAccountAttribute", "*").replace("ec2:ModifyAccountAttribute", "s3:ListAllMyBuckets"),
        format!("{},{}", allow("s3:PutObject", "*"), deny("s3:*", "arn:aws:s3:::*")),
    ] {
        assert!(actions(&none).is_empty(), "{none}");
    }
    let tagging = actions(&allow("s3:PutObjectTagging", "*"));
    assert_eq!(tagging, ["s3:PutObjectTagging"]);
}

#[test]
fn passing_every_role_is_told_from_passing_some() {
    let pass = |statements: &str| {
        let stack = role(statements);
        let found = Access::of(&stack).pass_role();
        found.grants.into_iter().map(|g| (g.service_limited, g.passed_to)).collect::<Vec<_>>()
    };
    let free = vec![(Truth::False, Vec::<String>::new())];
    for all in [
        allow("iam:PassRole", "*"),
        allow("iam:Pass*", "arn:aws:iam::111122223333:role/*"),
        allow("*", "arn:aws:iam::*:*"),
        r#"{"Effect":"Allow","Action":"iam:PassRole","NotResource":"arn:aws:iam::111122223333:role/admin"}"#.to_owned(),
    ] {
        assert_eq!(pass(&all), free, "{all}");
    }
    for none in [
        allow("iam:PassRole", "arn:aws:iam::111122223333:role/team-*"),
        allow("iam:GetRole", "*"),
        format!("{},{}", allow("iam:PassRole", "*"), deny("iam:PassRole", "*")),
    ] {
        assert!(pass(&none).is_empty(), "{none}");
    }
    let to = |operator: &str, value: &str| {
        format!(
            r#"{{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{{"{operator}":{{"iam:PassedToService":"{value}"}}}}}}"#
        )
    };
    let limited = pass(&to("StringEquals", "pods.eks.amazonaws.com"));
    assert_eq!(limited, [(Truth::True, vec!["pods.eks.amazonaws.com".to_owned()])]);
    assert_eq!(pass(&to("StringLike", "*"))[0].0, Truth::False);
    assert_eq!(pass(&to("StringNotEquals", "ec2.amazonaws.com"))[0].0, Truth::False);
    let denied = format!(
        "{},{}",
        allow("iam:PassRole", "*"),
        to("StringNotEquals", "ecs.amazonaws.com").replace("Allow", "Deny")
    );
    assert_eq!(pass(&denied)[0].0, Truth::True);
}

#[test]
fn not_action_is_an_open_door_unless_it_is_shut() {
    let found = |statements: &str| {
        let stack = role(statements);
        Access::of(&stack).allow_not_action().grants.len()
    };
    let open = r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#;
    assert_eq!(found(open), 1);
    assert_eq!(found(&format!("{open},{}", deny("*", "*"))), 0);
    assert_eq!(found(&open.replace("iam:*", "*")), 0);
    assert_eq!(found(&allow("*", "*")), 0);
}

#[test]
fn single_actions_are_answered_even_if_they_are_new() {
    let stack = role(&format!("{},{}", allow("new:*", "*"), deny("new:Gone", "*")));
    let access = Access::of(&stack);
    assert!(access.allows("new:Thing").truth.is_true());
    assert!(access.allows("new:Gone").truth.is_false());
    assert!(access.allows("s3:GetObject").truth.is_false());
    assert!(access.actions().is_empty(), "the catalogue does not have the service");
}
