//! Laws that hold for every policy.

use proptest::prelude::*;
use rolecall_iam::trust::Trust;
use rolecall_iam::{Context, Document, Grants, Outcome, PolicyRef, PolicySet, Requester, Truth};
use serde_json::{Value, json};

fn action() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        Just("s3:*".to_owned()),
        Just("iam:*".to_owned()),
        Just("iam:PassRole".to_owned()),
        "s3:(Get|Put|List)(\\*|Object|Bucket)",
        "sts:(AssumeRole|TagSession|\\*)",
    ]
}

fn one_or_many(items: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    prop::collection::vec(items, 0..4).prop_map(
        |mut list| {
            if list.len() == 1 { json!(list.pop()) } else { json!(list) }
        },
    )
}

fn resource() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        Just("arn:aws:s3:::b/*".to_owned()),
        Just("arn:aws:s3:::*".to_owned()),
        Just("arn:aws:iam::111122223333:role/${aws:username}".to_owned()),
        Just("arn:aws:iam::*:role/*".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(
        0.4,
        (
            prop_oneof![
                Just("StringEquals"),
                Just("StringNotLike"),
                Just("StringLikeIfExists"),
                Just("Null"),
                Just("Resembles"),
                Just("ForAllValues:StringEquals"),
            ],
            prop_oneof![Just("aws:SourceAccount"), Just("aws:username"), Just("iam:PassedToService")],
            prop_oneof![Just("true"), Just("*"), Just("${aws:username}"), Just("111122223333")],
        )
            .prop_map(|(operator, key, value)| json!({operator: {key: value}})),
    )
}

prop_compose! {
    fn statement(effect: &'static str, with_principal: bool)(
        not_action in any::<bool>(), actions in one_or_many(action()),
        not_resource in prop::bool::weighted(0.2), resources in one_or_many(resource()),
        condition in condition(), everyone in any::<bool>(),
    ) -> Value {
        let mut out = json!({"Effect": effect});
        out[if not_action { "NotAction" } else { "Action" }] = actions;
        if with_principal {
            out["Principal"] = if everyone { json!("*") } else { json!({"Service": ["pods.eks.amazonaws.com"], "AWS": "111122223333"}) };
        } else {
            out[if not_resource { "NotResource" } else { "Resource" }] = resources;
        }
        if let Some(condition) = condition {
            out["Condition"] = condition;
        }
        out
    }
}

fn statements(with_principal: bool) -> impl Strategy<Value = Vec<Value>> {
    let any = prop_oneof![3 => statement("Allow", with_principal), 1 => statement("Deny", with_principal)];
    prop::collection::vec(any, 0..5)
}

fn document(statements: &[Value]) -> Document {
    let document = Document::new(&json!({"Version": "2012-10-17", "Statement": statements}).to_string());
    assert!(document.parsed.is_ok(), "{:?}", document.parsed);
    document
}

fn stack(statements: &[Value]) -> PolicySet {
    PolicySet { identity: Some(vec![PolicyRef::known("inline policy", &document(statements))]), ..PolicySet::default() }
}

fn context() -> impl Strategy<Value = Context> {
    (any::<bool>(), prop::option::of(prop_oneof![Just("ann"), Just("111122223333")]), any::<bool>()).prop_map(
        |(open, user, absent)| {
            let context = if open { Context::open() } else { Context::closed() };
            let context = match user {
                Some(user) => context.set("aws:username", [user]),
                None => context,
            };
            if absent { context.absent("aws:SourceAccount") } else { context }
        },
    )
}

/// No, perhaps, yes.
fn rank(truth: &Truth) -> u8 {
    match truth {
        Truth::False => 0,
        Truth::Unknown(_) => 1,
        Truth::True => 2,
    }
}

fn rank_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::DenyExplicit | Outcome::DenyImplicit => 0,
        Outcome::Unknown => 1,
        Outcome::Allow => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn another_deny_never_allows_more(
        statements in statements(false), deny in statement("Deny", false), context in context(),
        action in prop_oneof![Just("s3:GetObject"), Just("iam:PassRole"), Just("new:Thing")],
        resource in prop_oneof![Just("arn:aws:s3:::b/k"), Just("*"), Just("arn:aws:iam::111122223333:role/ann")],
    ) {
        let more: Vec<Value> = statements.iter().cloned().chain([deny]).collect();
        let (before, after) = (stack(&statements), stack(&more));
        prop_assert!(rank_of(after.decide_by_own_policies(action, resource, &context).outcome) <= rank_of(before.decide_by_own_policies(action, resource, &context).outcome));
        let (before, after) = (Grants::new(&before), Grants::new(&after));
        prop_assert!(before.actions().includes(after.actions()));
        prop_assert!(rank(&after.admin().answer.truth) <= rank(&before.admin().answer.truth));
        prop_assert!(after.broad_writes().grants.len() <= before.broad_writes().grants.len());
        prop_assert!(after.wildcard_actions().grants.len() <= before.wildcard_actions().grants.len());
        prop_assert!(after.allows(action).grants.len() <= before.allows(action).grants.len());
    }

    #[test]
    fn another_deny_never_admits_more(
        statements in statements(true), deny in statement("Deny", true), context in context(),
    ) {
        let more: Vec<Value> = statements.iter().cloned().chain([deny]).collect();
        let of = |statements: &[Value]| Trust::new("trust policy", &document(statements));
        let caller = Requester::service("pods.eks.amazonaws.com");
        for action in ["sts:AssumeRole", "sts:TagSession"] {
            let (before, after) = (of(&statements), of(&more));
            prop_assert!(rank_of(after.decide(&caller, action, &context).outcome) <= rank_of(before.decide(&caller, action, &context).outcome));
            prop_assert!(rank(&after.admits(&caller, action).truth) <= rank(&before.admits(&caller, action).truth));
        }
    }

    #[test]
    fn another_ceiling_never_allows_more(statements in statements(false), boundary in statements(false)) {
        let free = stack(&statements);
        let mut bound = free.clone();
        bound.boundary = Some(vec![PolicyRef::known("boundary", &document(&boundary))]);
        let (free, bound) = (Grants::new(&free), Grants::new(&bound));
        prop_assert!(free.actions().includes(bound.actions()));
        prop_assert!(rank(&bound.admin().answer.truth) <= rank(&free.admin().answer.truth));
        prop_assert!(bound.pass_role().grants.len() <= free.pass_role().grants.len());
    }

    #[test]
    fn what_is_certain_of_an_open_context_holds_when_it_is_known(
        statements in statements(false), user in prop_oneof![Just("ann"), Just("bob")],
    ) {
        let stack = stack(&statements);
        let open = stack.decide_by_own_policies("s3:GetObject", "arn:aws:s3:::b/k", &Context::open()).outcome;
        let known = Context::open().set("aws:username", [user]).absent("aws:SourceAccount");
        let known = stack.decide_by_own_policies("s3:GetObject", "arn:aws:s3:::b/k", &known).outcome;
        if open != Outcome::Unknown {
            prop_assert_eq!(rank_of(open), rank_of(known));
        }
    }

    #[test]
    fn sets_agree_with_single_decisions(statements in statements(false)) {
        let stack = stack(&statements);
        let grants = Grants::new(&stack);
        let set = grants.actions();
        for action in ["s3:GetObject", "s3:PutObject", "iam:PassRole", "sts:AssumeRole", "ec2:RunInstances"] {
            let single = !Grants::new(&stack).allows(action).grants.is_empty();
            prop_assert_eq!(set.contains(action), single, "{}", action);
        }
    }

    #[test]
    fn the_canonical_form_is_stable(statements in statements(false), trust in statements(true), single in any::<bool>()) {
        for list in [statements, trust] {
            let value = match list.as_slice() {
                [one] if single => json!({"Statement": one}),
                all => json!({"Id": "x", "Version": "2008-10-17", "Statement": all}),
            };
            let document = Document::new(&value.to_string());
            let again = Document::new(&document.canonical());
            prop_assert_eq!(again.digest, document.digest);
            prop_assert_eq!(again.canonical(), document.canonical());
            prop_assert_eq!(again.statements().len(), document.statements().len());
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_kept(text in "\\PC{0,60}", prefix in prop_oneof![Just(""), Just("%7B"), Just("{\"Statement\":")]) {
        let text = format!("{prefix}{text}");
        let document = Document::new(&text);
        prop_assert!(document.parsed.is_ok() || !document.parsed.unwrap_err().message.is_empty());
    }
}

/// Any resource that the action can act on, and a few more names.
fn probes(action: &rolecall_iam::catalogue::Action) -> Vec<String> {
    let fill = |template: &str, with: &str| {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(before);
            out.push_str(match name {
                "Partition" => "aws",
                "Region" => "eu-west-1",
                "Account" => "111122223333",
                _ => with,
            });
            rest = tail;
        }
        out + rest
    };
    let types: Vec<_> = action.resource_types().collect();
    if types.is_empty() {
        return vec!["*".to_owned()];
    }
    types.iter().flat_map(|used| ["b", "ann", "k"].map(|with| fill(used.resource_type.arn, with))).collect()
}

fn narrow() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        Just("arn:aws:s3:::b".to_owned()),
        Just("arn:aws:s3:::b/*".to_owned()),
        Just("arn:aws:s3:::*/k".to_owned()),
        Just("arn:aws:s3:*".to_owned()),
        Just("arn:aws:s3:::${aws:username}".to_owned()),
        Just("arn:aws:iam::*:role/*".to_owned()),
        Just("arn:aws:iam::111122223333:role/ann".to_owned()),
        Just("arn:aws:iam::111122223333:role/${aws:username}".to_owned()),
        Just("arn:aws:*".to_owned()),
        Just("arn:aws:sqs:*:*:*".to_owned()),
    ]
}

prop_compose! {
    fn rich(effect: &'static str)(
        not_action in prop::bool::weighted(0.2), actions in one_or_many(action()),
        not_resource in prop::bool::weighted(0.2), resources in one_or_many(narrow()), condition in condition(),
    ) -> Value {
        let mut out = json!({"Effect": effect});
        out[if not_action { "NotAction" } else { "Action" }] = actions;
        out[if not_resource { "NotResource" } else { "Resource" }] = resources;
        if let Some(condition) = condition {
            out["Condition"] = condition;
        }
        out
    }
}

fn policy() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(prop_oneof![3 => rich("Allow"), 2 => rich("Deny")], 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn grants_are_never_less_than_a_request_is_allowed_and_never_certain_where_one_is_refused(
        identity in policy(), boundary in prop::option::of(policy()), scp in prop::option::of(policy()),
        context in context(),
    ) {
        let known = |name: &str, statements: &[Value]| PolicyRef::known(name, &document(statements));
        let layers = PolicySet {
            identity: Some(vec![known("identity", &identity)]),
            boundary: boundary.as_ref().map(|b| vec![known("boundary", b)]),
            scp: scp.as_ref().map(|s| [rolecall_iam::Level::new("root", vec![known("scp", s)])].into()),
            ..PolicySet::default()
        };
        let grants = Grants::new(&layers);
        prop_assert!(grants.actions().includes(grants.certainly_allowed()));
        let role: rolecall_iam::RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let names = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:ListAllMyBuckets", "iam:PassRole",
            "iam:ListRoles", "iam:GetRole", "sqs:SendMessage", "ec2:DescribeInstances"];
        for name in names {
            let action = rolecall_iam::catalogue::catalogue().find(name).unwrap();
            for resource in probes(action) {
                let request = rolecall_iam::Request::new(
                    Requester::role(&role), name, &resource, Some(role.account_id()), context.clone());
                let outcome = rolecall_iam::decide(&request, &layers).outcome;
                if outcome == rolecall_iam::Outcome::Allow {
                    prop_assert!(grants.actions().contains(name), "{name} is allowed on {resource}");
                    prop_assert!(!grants.allows(name).grants.is_empty());
                    prop_assert!(!grants.allows_on(name, &resource, &context).truth.is_false());
                }
                if grants.certainly_allowed().contains(name) {
                    prop_assert_eq!(outcome, rolecall_iam::Outcome::Allow, "{} on {}", name, resource);
                }
            }
        }
    }
}
