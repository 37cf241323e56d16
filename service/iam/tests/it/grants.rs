//! What stacks of policies allow: cases as data.

use rolecall_iam::grants::AdminBy;
use rolecall_iam::{Document, Grants, GrantsCache, Level, PolicyRef, PolicySet, Truth};

fn layer(source: &str, statements: &str) -> PolicyRef {
    let document = Document::new(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#));
    assert!(document.parsed.is_ok(), "{:?}", document.parsed);
    PolicyRef::known(source, &document)
}

fn role(statements: &str) -> PolicySet {
    PolicySet { identity: Some(vec![layer("inline policy x", statements)]), ..PolicySet::default() }
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
        let admin = Grants::new(&stack).admin();
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
        let found = Grants::new(&stack).wildcard_actions();
        let patterns: Vec<&str> = found.grants.iter().flat_map(|g| &g.patterns).map(String::as_str).collect();
        assert_eq!(patterns, expected, "{statements}");
        assert_eq!(found.truth, Truth::from(!expected.is_empty()), "{statements}");
    }
}

#[test]
fn a_ceiling_takes_away_what_it_does_not_allow() {
    let wild = |stack: &PolicySet| !Grants::new(stack).wildcard_actions().grants.is_empty();
    let admin = |stack: &PolicySet| Grants::new(stack).admin().by.is_some();
    let boundary = |statements: &str| {
        let mut stack = role(&allow("*", "*"));
        stack.boundary = Some(vec![layer("boundary", statements)]);
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
    session.session = Some(vec![layer("session policy", &allow("s3:GetObject", "*"))]);
    assert!(!wild(&session));

    let full = || layer("SCP FullAWSAccess", &allow("*", "*"));
    let mut scps = role(&allow("*", "*"));
    let guard = layer("SCP guard", &deny("iam:*", "*"));
    scps.scp = Some([Level::new("root", vec![full()]), Level::new("account", vec![full(), guard])].into());
    assert!(wild(&scps) && !admin(&scps));
    scps.scp = Some([Level::new("root", vec![full()]), Level::new("account", Vec::new())].into());
    assert!(!wild(&scps), "a level without a policy allows nothing");
}

#[test]
fn what_was_not_seen_leaves_the_answer_open() {
    let truth = |stack: &PolicySet| Grants::new(stack).admin().answer.truth;
    let mut stack = role(&allow("*", "*"));
    stack.boundary = Some(vec![PolicyRef::missing("permissions boundary", "iam:GetPolicyVersion was denied")]);
    assert!(truth(&stack).reasons()[0].contains("permissions boundary was not seen"));
    assert_eq!(Grants::new(&stack).admin().by, Some(AdminBy::Everything), "what was seen is still shown");

    let mut stack = role(&allow("s3:GetObject", "*"));
    stack.boundary = Some(vec![PolicyRef::missing("permissions boundary", "denied")]);
    assert!(truth(&stack).is_false(), "a ceiling adds nothing");
    stack.identity.get_or_insert_default().push(PolicyRef::known("inline policy y", &Document::new("{\"Statement\":")));
    assert!(truth(&stack).reasons().iter().any(|r| r.contains("inline policy y could not be read")));
}

#[test]
fn writes_on_everything_are_those_that_could_be_limited() {
    let actions = |statements: &str| {
        let stack = role(statements);
        let found = Grants::new(&stack).broad_writes();
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
        format!("{},{}", allow("sqs:SendMessage", "*"), deny("sqs:*", "arn:aws:sqs:*")),
    ] {
        assert!(actions(&none).is_empty(), "{none}");
    }
    let access_points = format!("{},{}", allow("s3:PutObject", "*"), deny("s3:*", "arn:aws:s3:::*"));
    assert_eq!(actions(&access_points), ["s3:PutObject"], "an access point has another ARN");
    let tagging = actions(&allow("s3:PutObjectTagging", "*"));
    assert_eq!(tagging, ["s3:PutObjectTagging"]);
}

#[test]
fn passing_every_role_is_told_from_passing_some() {
    let pass = |statements: &str| {
        let stack = role(statements);
        let found = Grants::new(&stack).pass_role();
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
        Grants::new(&stack).allow_not_action().grants.len()
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
    let access = Grants::new(&stack);
    assert!(access.allows("new:Thing").truth.is_true());
    assert!(access.allows("new:Gone").truth.is_false());
    assert!(access.allows("s3:GetObject").truth.is_false());
    assert!(access.actions().is_empty(), "the catalogue does not have the service");
}

fn bounded(identity: &str, boundary: &str) -> PolicySet {
    PolicySet { boundary: Some(vec![layer("boundary", boundary)]), ..role(identity) }
}

#[test]
fn what_neutralises_a_grant_removes_it() {
    let get = |resource: &str| allow("s3:GetObject", resource);
    let no = |resource: &str| deny("s3:GetObject", resource);
    let both = |a: String, b: String| role(&format!("{a},{b}"));
    let mfa = r#","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}"#;
    let with_mfa = |statement: String| format!("{}{mfa}", statement.strip_suffix('}').unwrap());
    let but = |effect: &str, resource: &str| {
        format!(r#"{{"Effect":"{effect}","Action":"s3:GetObject","NotResource":"{resource}"}}"#)
    };
    let gone = [
        both(get("arn:aws:s3:::a/*"), no("arn:aws:s3:::a/*")),
        both(get("arn:aws:s3:::a/x/*"), no("arn:aws:s3:::a/*")),
        both(get("arn:aws:s3:::a/*"), no("*")),
        both(get("arn:aws:s3:::a/*"), but("Deny", "arn:aws:s3:::b/*")),
        both(but("Allow", "arn:aws:s3:::a/*"), but("Deny", "arn:aws:s3:::a/*")),
        both(when(&get("arn:aws:s3:::a/*")), when(&no("arn:aws:s3:::a/*"))),
        both(when(&get("*")), when(&no("*"))),
        both(when(&get("arn:aws:s3:::a/*")), no("arn:aws:s3:::a/*")),
        both(get("arn:aws:s3:::${aws:username}/*"), no("arn:aws:s3:::${aws:username}/*")),
        bounded(&get("arn:aws:s3:::a/*"), &get("arn:aws:s3:::b/*")),
        bounded(&get("arn:aws:s3:::a/*"), &but("Allow", "arn:aws:s3:::a/*")),
        bounded(&get("arn:aws:s3:::*/x"), &format!("{},{}", get("arn:aws:s3:::a/*"), no("arn:aws:s3:::a/*"))),
        role(&get("arn:aws:sqs:eu-west-1:111122223333:q")),
        role(&allow("s3:ListAllMyBuckets", "arn:aws:s3:::b")),
    ];
    for stack in gone {
        let grants = Grants::new(&stack);
        assert!(grants.actions().is_empty(), "{:?}: {:?}", grants.actions(), stack.identity);
        assert!(grants.allows("s3:GetObject").truth.is_false());
    }
    let there = [
        both(get("arn:aws:s3:::a/*"), no("arn:aws:s3:::a/x/*")),
        both(get("arn:aws:s3:::a/*"), when(&no("arn:aws:s3:::a/*"))),
        both(when(&get("arn:aws:s3:::a/*")), with_mfa(no("arn:aws:s3:::a/*"))),
        both(get("arn:aws:s3:::a/*"), but("Deny", "arn:aws:s3:::a/x")),
        both(get("*"), no("arn:aws:s3:::a/*")),
        bounded(&get("arn:aws:s3:::a/*"), &get("arn:aws:s3:::*/x")),
        bounded(&get("arn:aws:s3:::a/*"), &when(&get("*"))),
        bounded(&get("arn:aws:s3:::a/*"), &but("Allow", "arn:aws:s3:::a/x")),
        role(&get("arn:aws:s3:::${aws:username}/*")),
        role(&when(&get("arn:aws:s3:::a/k"))),
    ];
    for stack in there {
        let grants = Grants::new(&stack);
        assert_eq!(grants.actions().names(), ["s3:GetObject"], "{:?}", stack.identity);
        assert!(grants.certainly_allowed().is_empty());
        assert!(grants.allows("s3:GetObject").truth.is_true());
    }
}

#[test]
fn what_is_certain_holds_everywhere_and_always() {
    let certain = |stack: &PolicySet| Grants::new(stack).certainly_allowed().names();
    assert_eq!(certain(&role(&allow("sqs:SendMessage", "*"))), ["sqs:SendMessage"]);
    assert_eq!(certain(&role(&allow("sqs:SendMessage", "arn:aws:sqs:*"))), ["sqs:SendMessage"]);
    assert_eq!(certain(&bounded(&allow("sqs:SendMessage", "*"), &allow("sqs:*", "*"))), ["sqs:SendMessage"]);
    let elsewhere = format!("{},{}", allow("sqs:SendMessage", "*"), deny("*", "arn:aws:s3:::b"));
    assert_eq!(certain(&role(&elsewhere)), ["sqs:SendMessage"], "a Deny on a bucket says nothing of queues");
    for not in [
        role(&allow("sqs:SendMessage", "arn:aws:sqs:*:111122223333:*")),
        role(&when(&allow("sqs:SendMessage", "*"))),
        role(&format!("{},{}", allow("sqs:SendMessage", "*"), when(&deny("sqs:*", "arn:aws:sqs:*:*:q")))),
        bounded(&allow("sqs:SendMessage", "*"), &when(&allow("sqs:*", "*"))),
        bounded(&allow("sqs:SendMessage", "*"), &allow("sqs:*", "arn:aws:sqs:*:*:q")),
    ] {
        assert!(certain(&not).is_empty(), "{:?}", not.identity);
        assert_eq!(Grants::new(&not).possibly_allowed().names(), ["sqs:SendMessage"]);
    }
    let mut unseen = role(&allow("sqs:SendMessage", "*"));
    unseen.identity.get_or_insert_default().push(PolicyRef::missing("policy x", "denied"));
    assert!(certain(&unseen).is_empty());
}

#[test]
fn what_is_not_listed_is_not_lost() {
    let stack = role(&format!("{},{}", allow("brandnew:*", "*"), allow("s3:InventThing", "*")));
    let grants = Grants::new(&stack);
    let writes = grants.broad_writes();
    let unlisted: Vec<&str> = writes.grants.iter().flat_map(|g| &g.unlisted).map(String::as_str).collect();
    assert_eq!(unlisted, ["brandnew:*", "s3:InventThing"]);
    assert_eq!(grants.services(), ["brandnew", "s3"]);
    assert!(Grants::new(&role(&allow("s3:GetThing", "*"))).broad_writes().grants.is_empty());
    assert!(Grants::new(&bounded(&allow("brandnew:*", "*"), &allow("s3:*", "*"))).broad_writes().grants.is_empty());
    assert!(Grants::new(&bounded(&allow("brandnew:*", "*"), &allow("s3:*", "*"))).services().is_empty());
}

#[test]
fn an_unread_policy_does_not_hide_what_another_one_grants() {
    let mut stack = role(&allow("s3:*", "*"));
    stack.identity.get_or_insert_default().push(PolicyRef::known("inline policy y", &Document::new("{")));
    let grants = Grants::new(&stack);
    assert!(grants.wildcard_actions().truth.is_true());
    assert!(!grants.admin().answer.truth.is_false() && !grants.admin().answer.truth.is_true());
    assert_eq!(grants.unseen_grants().len(), 1);
    stack.boundary = Some(vec![PolicyRef::missing("boundary", "denied")]);
    assert!(!Grants::new(&stack).wildcard_actions().truth.is_true(), "a boundary may take it away");
}

#[test]
fn roles_are_passed_to_services() {
    let to = r#"{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::111122223333:role/app-*",
        "Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}"#;
    let grants = Grants::new(&role(to));
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap();
    assert!(grants.passes(&role("app-x"), "lambda.amazonaws.com").truth.is_true());
    assert!(grants.passes(&role("app-x"), "ec2.amazonaws.com").truth.is_false());
    assert!(grants.passes(&role("other"), "lambda.amazonaws.com").truth.is_false());
}

#[test]
fn a_stack_is_worked_out_once_for_its_content() {
    let cache = GrantsCache::default();
    let first = cache.get(&role(&allow("s3:*", "*")));
    let again = cache.get(&role(&allow("S3:*", "*")));
    assert!(std::sync::Arc::ptr_eq(&first, &again), "letter case does not count");
    assert!(cache.get(&bounded(&allow("s3:*", "*"), &allow("*", "*"))).actions() == first.actions());
    assert_eq!(cache.len(), 2);
}
