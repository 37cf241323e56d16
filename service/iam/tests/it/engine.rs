//! Laws of decisions over all layers.

use proptest::prelude::*;
use rolecall_iam::{Context, Document, Level, Outcome, PolicyRef, PolicySet, Request, Requester, decide, explain};
use serde_json::{Value, json};

const OWN: &str = "111122223333";
const OTHER: &str = "444455556666";

fn statement(on_resource: bool) -> impl Strategy<Value = Value> {
    let actions =
        prop_oneof![Just("*"), Just("s3:*"), Just("s3:GetObject"), Just("sts:AssumeRole"), Just("kms:Decrypt")];
    let principals = prop_oneof![
        Just(json!("*")),
        Just(json!({"AWS": OWN})),
        Just(json!({"AWS": "arn:aws:iam::111122223333:role/app"})),
        Just(json!({"AWS": "arn:aws:sts::111122223333:assumed-role/app/s"})),
        Just(json!({"AWS": "arn:aws:iam::111122223333:user/ann"})),
        Just(json!({"Service": "pods.eks.amazonaws.com"})),
    ];
    let conditions = prop_oneof![
        4 => Just(None),
        1 => Just(Some(json!({"StringEquals": {"aws:SourceVpc": "vpc-1"}}))),
        1 => Just(Some(json!({"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}))),
        1 => Just(Some(json!({"StringLike": {"aws:SourceVpc": "vpc-*"}}))),
    ];
    (prop::bool::weighted(0.8), actions, any::<bool>(), prop::bool::weighted(0.2), principals, conditions).prop_map(
        move |(allow, action, narrow, not, principal, condition)| {
            let mut out = json!({"Effect": if allow { "Allow" } else { "Deny" }, "Action": action});
            out["Resource"] = json!(if narrow { "arn:aws:s3:::b/*" } else { "*" });
            if on_resource {
                out[if not { "NotPrincipal" } else { "Principal" }] = principal;
            }
            if let Some(condition) = condition {
                out["Condition"] = condition;
            }
            out
        },
    )
}

/// The statements of one policy; `None` for one that was not seen.
type Text = Option<Vec<Value>>;

fn policy(on_resource: bool) -> impl Strategy<Value = Text> {
    let statements = prop::collection::vec(statement(on_resource), 0..4);
    prop_oneof![9 => statements.prop_map(Some), 1 => Just(None)]
}

#[derive(Debug, Clone)]
struct Stack {
    identity: Option<Vec<Text>>,
    boundary: Option<Text>,
    session: Option<Text>,
    scp: Option<Vec<Vec<Text>>>,
    rcp: Option<Vec<Vec<Text>>>,
    resource: Option<Text>,
    trust: Option<Text>,
    vpc_endpoint: Option<Text>,
}

fn stack() -> impl Strategy<Value = Stack> {
    let some = |on_resource| prop::option::weighted(0.4, policy(on_resource));
    let levels = |on_resource| {
        let level = prop::collection::vec(policy(on_resource), 0..3);
        prop::option::weighted(0.4, prop::collection::vec(level, 1..3))
    };
    let identity = prop::option::weighted(0.9, prop::collection::vec(policy(false), 0..3));
    (identity, some(false), some(false), levels(false), levels(true), some(true), some(true), some(true)).prop_map(
        |(identity, boundary, session, scp, rcp, resource, trust, vpc_endpoint)| Stack {
            identity,
            boundary,
            session,
            scp,
            rcp,
            resource,
            trust,
            vpc_endpoint,
        },
    )
}

fn layer(text: &Text) -> PolicyRef {
    match text {
        None => PolicyRef::missing("policy", "the test says so"),
        Some(statements) => {
            let document = Document::new(&json!({"Version": "2012-10-17", "Statement": statements}).to_string());
            assert!(document.parsed.is_ok(), "{:?}", document.parsed);
            PolicyRef::known("policy", &document)
        }
    }
}

impl Stack {
    fn layers(&self) -> PolicySet {
        let levels = |list: &Vec<Vec<Text>>| {
            let level = |(n, texts): (usize, &Vec<Text>)| Level {
                name: format!("level {n}").into(),
                policies: texts.iter().map(layer).collect(),
            };
            list.iter().enumerate().map(level).collect()
        };
        PolicySet {
            identity: self.identity.as_ref().map(|list| list.iter().map(layer).collect()),
            boundary: self.boundary.as_ref().map(|text| vec![layer(text)]),
            session: self.session.as_ref().map(|text| vec![layer(text)]),
            scp: self.scp.as_ref().map(levels),
            rcp: self.rcp.as_ref().map(levels),
            resource: self.resource.as_ref().map(layer),
            trust: self.trust.as_ref().map(layer),
            vpc_endpoint: self.vpc_endpoint.as_ref().map(|text| vec![layer(text)]),
        }
    }

    /// Every policy, to be changed in place.
    fn texts(&mut self) -> Vec<&mut Text> {
        let levels = self.scp.iter_mut().chain(&mut self.rcp).flatten().flatten();
        let single =
            [&mut self.boundary, &mut self.session, &mut self.resource, &mut self.trust, &mut self.vpc_endpoint];
        self.identity.iter_mut().flatten().chain(levels).chain(single.into_iter().flatten()).collect()
    }
}

fn request() -> impl Strategy<Value = (Request, Request)> {
    let who = prop_oneof![
        4 => Just("arn:aws:sts::111122223333:assumed-role/app/s"),
        1 => Just("arn:aws:iam::111122223333:role/app"),
        1 => Just("arn:aws:iam::111122223333:user/ann"),
        1 => Just("arn:aws:iam::111122223333:root"),
        1 => Just("pods.eks.amazonaws.com"),
        1 => Just("anonymous"),
    ];
    let what = prop_oneof![
        3 => Just(("s3:GetObject", "arn:aws:s3:::b/k")),
        1 => Just(("sts:AssumeRole", "arn:aws:iam::111122223333:role/target")),
        1 => Just(("kms:Decrypt", "arn:aws:kms:eu-west-1:111122223333:key/k")),
        1 => Just(("s3:Unheard", "arn:aws:s3:::c")),
    ];
    let owner = prop_oneof![3 => Just(Some(OWN)), 1 => Just(Some(OTHER)), 1 => Just(None)];
    let value = prop_oneof![Just(None), Just(Some("vpc-1")), Just(Some("vpc-2")), Just(Some("net-1"))];
    (who, what, owner, value).prop_map(|(who, (action, resource), owner, value)| {
        let owner = owner.and_then(|id| id.parse().ok());
        let of = |context| Request::new(Requester::parse(who).unwrap(), action, resource, owner, context);
        let known = value.map_or(Context::closed(), |value| Context::closed().set("aws:SourceVpc", [value]));
        (of(known), of(Context::open_under(&["aws:SourceVpc"])))
    })
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Allow => 2,
        Outcome::Unknown => 1,
        Outcome::DenyExplicit | Outcome::DenyImplicit => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn an_explanation_tells_the_decision((request, _) in request(), stack in stack()) {
        let layers = stack.layers();
        let (decision, told) = (decide(&request, &layers), explain(&request, &layers));
        prop_assert_eq!(decision.outcome, told.outcome);
        prop_assert!(!told.because.is_empty(), "{}", told);
        let refused = matches!(told.outcome, Outcome::DenyExplicit | Outcome::DenyImplicit);
        prop_assert_eq!(!told.minimal_changes.is_empty(), refused, "{}", told);
        prop_assert_eq!(!told.reasons.is_empty(), told.outcome == Outcome::Unknown);
    }

    #[test]
    fn a_deny_more_allows_no_more_and_an_allow_more_no_less(
        (request, _) in request(), mut stack in stack(), statement in statement(true), at in any::<prop::sample::Index>(),
    ) {
        let before = rank(decide(&request, &stack.layers()).outcome);
        let mut texts: Vec<&mut Vec<Value>> = stack.texts().into_iter().filter_map(Option::as_mut).collect();
        prop_assume!(!texts.is_empty());
        let at = at.index(texts.len());
        let denies = statement["Effect"] == "Deny";
        texts[at].push(statement);
        let after = rank(decide(&request, &stack.layers()).outcome);
        let kept = if denies { after <= before } else { after >= before };
        prop_assert!(kept);
    }

    #[test]
    fn the_order_of_statements_and_policies_never_matters((request, open) in request(), mut stack in stack()) {
        let before = [&request, &open].map(|r| decide(r, &stack.layers()).outcome);
        stack.texts().into_iter().flatten().for_each(|statements| statements.reverse());
        stack.identity.iter_mut().for_each(|list| list.reverse());
        stack.scp.iter_mut().chain(&mut stack.rcp).flatten().for_each(|level| level.reverse());
        prop_assert_eq!(before, [&request, &open].map(|r| decide(r, &stack.layers()).outcome));
    }

    #[test]
    fn what_is_certain_without_a_policy_or_a_key_stays_so_with_it(
        (known, open) in request(), mut stack in stack(), found in prop::collection::vec(statement(true), 0..3),
    ) {
        let before = decide(&open, &stack.layers()).outcome;
        stack.texts().into_iter().filter(|text| text.is_none()).for_each(|text| *text = Some(found.clone()));
        let after = decide(&known, &stack.layers()).outcome;
        if before == Outcome::DenyExplicit {
            prop_assert_eq!(after, Outcome::DenyExplicit);
        } else if before != Outcome::Unknown {
            prop_assert_eq!(rank(before), rank(after));
        }
    }
}
