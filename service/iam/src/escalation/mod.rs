//! Privilege-escalation paths: the table of them, and which ones a role has.
//!
//! Knows `data/escalation.txt`, and how to ask a role's whole stack for each action of a path: on the
//! role itself, on some resource of a type that the action acts on, or on the same resource as the
//! action before. Statements may be split over any number of policies; a boundary, SCP, session
//! policy or Deny that takes an action away takes the path away. Refuses to know which roles and
//! workloads there are, and what the account may do in its organisation: who is gained, and through
//! how many roles, the estate says.

mod path;
mod patterns;
mod policies;
mod questions;
mod search;

pub use path::{EscalationOutcome, EscalationPath, On, Step, paths};
pub use questions::{Holder, changing, is_of_policy};
pub use search::{Found, find, find_within};

#[cfg(test)]
mod tests {
    use super::patterns::{Starts, meet};
    use super::*;
    use crate::arn::{Arn, RoleArn};
    use crate::catalogue::catalogue;
    use crate::evaluate::policy_set::{Level, PolicyRef, PolicySet};
    use crate::policy::document::Document;
    use crate::steps::{POLICIES, Steps};
    use crate::truth::{Truth, Why};
    use std::collections::BTreeSet;

    fn layer(name: &str, statements: &serde_json::Value) -> PolicyRef {
        let text = serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        PolicyRef::known(name, &Document::new(&text))
    }

    fn allow(actions: &[&str], resource: &str) -> serde_json::Value {
        serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resource})
    }

    fn deny(actions: &[&str], resource: &str) -> serde_json::Value {
        serde_json::json!({"Effect": "Deny", "Action": actions, "Resource": resource})
    }

    fn own_policy() -> Arn {
        "arn:aws:iam::111122223333:policy/own".parse().unwrap()
    }

    fn ids(stack: &PolicySet) -> BTreeSet<&'static str> {
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let found = find(stack, Holder { role: &role, policies: &[own_policy()], boundary: None });
        found.into_iter().filter(|f| f.truth.is_true()).map(|f| f.path.id).collect()
    }

    fn of(identity: Vec<PolicyRef>) -> PolicySet {
        PolicySet { identity: Some(identity), ..PolicySet::default() }
    }

    #[test]
    fn the_table_is_whole_and_every_action_in_it_exists() {
        let lines = include_str!("../../data/escalation.txt").lines();
        let wanted = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(paths().len(), wanted);
        let ids: BTreeSet<_> = paths().iter().map(|path| path.id).collect();
        assert_eq!(ids.len(), wanted);
        for path in paths() {
            assert!(path.actions().all(|action| catalogue().find(action).is_some()), "{}", path.id);
            assert!(!path.steps.is_empty());
        }
    }

    #[test]
    fn each_way_is_found_where_all_of_it_is_granted_over_split_policies_and_not_with_a_part() {
        for path in paths() {
            let actions: Vec<&str> = path.actions().collect();
            let each = |missing: Option<usize>| {
                let kept = actions.iter().enumerate().filter(|(n, _)| Some(*n) != missing);
                of(kept.map(|(n, action)| layer(&format!("policy {n}"), &allow(&[action], "*"))).collect())
            };
            assert!(ids(&each(None)).contains(path.id), "{} was not found", path.id);
            for (missing, action) in actions.iter().enumerate() {
                assert!(!ids(&each(Some(missing))).contains(path.id), "{} without {action}", path.id);
            }
        }
    }

    #[test]
    fn each_path_is_gone_where_any_of_it_is_taken_away() {
        for path in paths() {
            let actions: Vec<&str> = path.actions().collect();
            let granted = vec![layer("inline policy all", &allow(&actions, "*"))];
            for action in &actions {
                let others: Vec<&str> = actions.iter().copied().filter(|a| a != action).collect();
                let rest = layer("others", &allow(if others.is_empty() { &["a4b:GetDevice"] } else { &others }, "*"));
                let mut denied = granted.clone();
                denied.push(layer("deny", &deny(&[action], "*")));
                let full = layer("FullAWSAccess", &allow(&["*"], "*"));
                let scp_deny = layer("SCP no", &deny(&[action], "*"));
                let blocked = [
                    ("deny", of(denied)),
                    (
                        "boundary",
                        PolicySet {
                            identity: Some(granted.clone()),
                            boundary: Some(vec![rest.clone()]),
                            ..PolicySet::default()
                        },
                    ),
                    (
                        "session",
                        PolicySet {
                            identity: Some(granted.clone()),
                            session: Some(vec![rest.clone()]),
                            ..PolicySet::default()
                        },
                    ),
                    (
                        "scp",
                        PolicySet {
                            identity: Some(granted.clone()),
                            scp: Some(
                                [Level::new("root", vec![full.clone()]), Level::new("account", vec![rest])].into(),
                            ),
                            ..PolicySet::default()
                        },
                    ),
                    (
                        "scp deny",
                        PolicySet {
                            identity: Some(granted.clone()),
                            scp: Some([Level::new("root", vec![full, scp_deny])].into()),
                            ..PolicySet::default()
                        },
                    ),
                ];
                for (by, stack) in blocked {
                    assert!(!ids(&stack).contains(path.id), "{} though {action} is blocked by {by}", path.id);
                }
            }
        }
    }

    #[test]
    fn own_ways_need_the_role_itself_and_passing_needs_the_service() {
        let on = |action: &str, resource: &str| ids(&of(vec![layer("p", &allow(&[action], resource))]));
        assert!(on("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/app").contains("put-role-policy"));
        assert!(on("iam:PutRolePolicy", "arn:aws:iam::*:role/a*").contains("put-role-policy"));
        assert!(!on("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/other").contains("put-role-policy"));
        assert!(on("iam:CreatePolicyVersion", own_policy().as_str()).contains("create-policy-version"));
        assert!(!on("iam:CreatePolicyVersion", "arn:aws:iam::111122223333:policy/x").contains("create-policy-version"));
        let pass = |service: &str| {
            let pass = serde_json::json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
                "Condition": {"StringEquals": {"iam:PassedToService": service}}});
            ids(&of(vec![layer("p", &serde_json::json!([pass, allow(&["lambda:*", "eks:*"], "*")]))]))
        };
        let lambda = pass("lambda.amazonaws.com");
        assert!(lambda.contains("lambda-create-invoke") && !lambda.contains("pod-create-association"), "{lambda:?}");
        let pods = pass("pods.eks.amazonaws.com");
        assert!(!pods.contains("lambda-create-invoke") && pods.contains("pod-create-association"), "{pods:?}");
    }

    #[test]
    fn an_action_acts_on_resources_of_its_types_only() {
        let on = |action: &str, resources: &[&str]| {
            let statement = serde_json::json!({"Effect": "Allow", "Action": action, "Resource": resources});
            ids(&of(vec![layer("p", &statement)]))
        };
        // Whatever is allowed there, none of it is a path.
        let nowhere: [(&str, &[&str]); 8] = [
            ("*", &["arn:aws:s3:::invoices", "arn:aws:s3:::invoices/*"]),
            ("iam:*", &["arn:aws:s3:::invoices"]),
            ("*", &["arn:aws:dynamodb:eu-west-1:111122223333:table/orders"]),
            ("*", &["arn:aws:logs:eu-west-1:111122223333:log-group:/app:*"]),
            ("*", &["arn:aws:sqs:eu-west-1:111122223333:orders"]),
            ("iam:PassRole", &["arn:aws:s3:::invoices/*"]),
            ("iam:CreateAccessKey", &["arn:aws:iam::111122223333:role/*"]),
            ("iam:*", &["arn:aws:iam::444455556666:role/*", "arn:aws:iam::444455556666:user/*"]),
        ];
        for (action, resources) in nowhere {
            assert_eq!(on(action, resources), BTreeSet::new(), "{action} on {resources:?}");
        }
        let not_action =
            serde_json::json!({"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "arn:aws:s3:::b"});
        assert_eq!(ids(&of(vec![layer("p", &not_action)])), BTreeSet::new());
        let roles = on("*", &["arn:aws:iam::*:role/*"]);
        assert!(roles.contains("put-role-policy") && roles.contains("update-trust"), "{roles:?}");
        let kinds: BTreeSet<&str> =
            paths().iter().filter(|path| roles.contains(path.id)).map(|path| path.outcome.as_str()).collect();
        assert_eq!(kinds, BTreeSet::from(["own_permissions", "another_role"]));
        assert!(!roles.iter().any(|id| id.starts_with("sso-")), "{roles:?}");
        let portal = on("aws-portal:View*", &["*"]);
        assert_eq!(portal, BTreeSet::new());
    }

    #[test]
    fn what_aws_keeps_for_itself_is_no_path() {
        let on = |action: &str, resource: &str| ids(&of(vec![layer("p", &allow(&[action], resource))]));
        for path in ["aws-reserved/sso.amazonaws.com/*", "aws-reserved/*", "aws-service-role/*"] {
            let role = format!("arn:aws:iam::111122223333:role/{path}");
            assert_eq!(on("iam:UpdateAssumeRolePolicy", &role), BTreeSet::new(), "{path}");
            assert_eq!(on("iam:*", &role).iter().filter(|id| id.contains("policy")).count(), 0, "{path}");
        }
        assert!(!on("iam:CreatePolicyVersion", "arn:aws:iam::aws:policy/*").contains("create-policy-version-assume"));
    }

    #[test]
    fn what_a_role_is_or_has_decides_its_own_paths() {
        let when = |action: &str, resource: &str, condition: serde_json::Value| {
            let statement = serde_json::json!({"Effect": "Allow", "Action": action, "Resource": resource,
                "Condition": condition});
            of(vec![layer("p", &statement)])
        };
        // A role has no user name, so that it has no keys of its own.
        let keys = of(vec![layer("p", &allow(&["iam:CreateAccessKey"], "arn:aws:iam::*:user/${aws:username}"))]);
        assert_eq!(ids(&keys), BTreeSet::new());
        let own = when(
            "iam:PutRolePolicy",
            "*",
            serde_json::json!({"ArnEquals": {
            "aws:PrincipalArn": "arn:aws:iam::111122223333:role/other"}}),
        );
        assert_eq!(ids(&own), BTreeSet::new());
        let limit: Arn = "arn:aws:iam::111122223333:policy/limit".parse().unwrap();
        let bounded = when(
            "iam:PutRolePolicy",
            "*",
            serde_json::json!({"StringEquals": {
            "iam:PermissionsBoundary": limit.as_str()}}),
        );
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let found = |boundary: Option<&Arn>| find(&bounded, Holder { role: &role, policies: &[], boundary }).len();
        assert_eq!((found(None), found(Some(&limit))), (0, 1));
    }

    /// What is found of two paths: to write users' policies, and to do so with keys of the same user.
    fn of_users(first: &[String], second: &[String]) -> [Option<Truth>; 2] {
        let many = |users: &[String], action: &str| {
            layer("p", &serde_json::json!({"Effect": "Allow", "Action": action, "Resource": users}))
        };
        let stack = of(vec![many(first, "iam:PutUserPolicy"), many(second, "iam:CreateAccessKey")]);
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let found = find(&stack, Holder { role: &role, policies: &[], boundary: None });
        let of = |id: &str| found.iter().find(|found| found.path.id == id).map(|found| found.truth.clone());
        [of("put-user-policy"), of("put-user-policy-key")]
    }

    fn users(number: usize, name: impl Fn(usize) -> String) -> Vec<String> {
        (0..number).map(|n| format!("arn:aws:iam::111122223333:user/{}", name(n))).collect()
    }

    #[test]
    fn long_lists_of_names_are_told_apart() {
        let names = users(900, |n| format!("{n:04}a"));
        assert_eq!(of_users(&names, &users(900, |n| format!("{n:04}b"))), [Some(Truth::True), None]);
        let with_one = [users(899, |n| format!("{n:04}b")), users(1, |_| "0899a".to_owned())].concat();
        assert_eq!(of_users(&names, &with_one), [Some(Truth::True), Some(Truth::True)]);
    }

    #[test]
    fn what_takes_too_many_steps_is_unknown_and_leaves_the_rest_as_it_is() {
        // All of these meet each other but for the last letter.
        let globs = |last: char| users(900, move |n| format!("*{n:03}*{:03}*{last}", n * 7 % 1_000));
        let [plain, on_one] = of_users(&globs('a'), &globs('b'));
        assert_eq!(plain, Some(Truth::True));
        let Some(Truth::Unknown(why)) = on_one else { panic!("{on_one:?}") };
        assert!(matches!(*why, [Why::Exceeded { of: POLICIES, .. }]), "{why:?}");
        assert!(why[0].to_string().contains("would take more than"), "{}", why[0]);
    }

    #[test]
    fn every_way_is_unknown_where_the_policies_cannot_be_read_in_the_steps_there_are() {
        let all = of(vec![layer("p", &allow(&["*"], "*"))]);
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let holder = Holder { role: &role, policies: &[], boundary: None };
        for most in [0, 1, 10, 100] {
            let steps = Steps::with_limit(most, POLICIES);
            let found = find_within(&all, holder, &steps);
            assert_eq!(found.len(), find(&all, holder).len().max(found.len()), "{most}");
            let is_cut =
                |truth: &Truth| matches!(truth, Truth::Unknown(why) if matches!(**why, [Why::Exceeded { .. }]));
            assert!(found.iter().all(|f| f.truth.is_true() || is_cut(&f.truth)), "{most}");
        }
    }

    #[test]
    fn a_pattern_is_met_with_those_alone_that_begin_like_it() {
        let patterns: Vec<String> =
            ["", "a", "ab", "ab*", "a*", "*", "b*", "abc", "ac", "ab?"].map(str::to_owned).into();
        let starts = Starts::new(&patterns);
        for one in &patterns {
            let beside: BTreeSet<&str> = starts.beside(one).into_iter().collect();
            assert_eq!(starts.beside(one).first(), Some(&one.as_str()));
            for other in &patterns {
                assert!(meet(one, other).is_none() || beside.contains(other.as_str()), "{one} {other}");
            }
        }
        assert!(!starts.beside("ab").iter().any(|other| ["ac", "b*"].contains(other)));
    }

    #[test]
    fn a_pair_on_one_resource_needs_one_resource() {
        let both = |a: &str, b: &str| {
            ids(&of(vec![
                layer("a", &allow(&["iam:PutUserPolicy"], a)),
                layer("b", &allow(&["iam:CreateAccessKey"], b)),
            ]))
        };
        let user = |name: &str| format!("arn:aws:iam::111122223333:user/{name}");
        assert!(both(&user("a*"), &user("*b")).contains("put-user-policy-key"));
        assert!(!both(&user("x"), &user("y")).contains("put-user-policy-key"));
    }

    #[test]
    fn a_boundary_on_other_resources_takes_the_way_away_and_on_overlapping_ones_it_does_not() {
        let under = |resource: &str| {
            let identity = vec![layer("p", &allow(&["iam:UpdateAssumeRolePolicy"], "arn:aws:iam::*:role/app-*"))];
            let boundary = Some(vec![layer("b", &allow(&["iam:*"], resource))]);
            ids(&PolicySet { identity: Some(identity), boundary, ..PolicySet::default() })
        };
        assert!(under("arn:aws:iam::*:role/*-prod").contains("update-trust"));
        assert!(under("arn:aws:iam::111122223333:role/*").contains("update-trust"));
        assert!(!under("arn:aws:iam::*:role/team/*").contains("update-trust"));
    }

    /// Whether a Deny, or an Allow of all but some resources, leaves a resource is asked on a resource
    /// that it leaves, whatever it takes away.
    #[test]
    fn a_deny_takes_a_path_away_only_where_it_leaves_no_resource() {
        let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
        let user = |name: &str| format!("arn:aws:iam::111122223333:user/{name}");
        let but = |effect: &str, action: &str, left: &[String]| serde_json::json!({"Effect": effect, "Action": action, "NotResource": left});
        let with = |statements: &[serde_json::Value]| {
            let paths = ids(&of(vec![layer("p", &serde_json::json!(statements))]));
            (paths.contains("update-trust"), paths.contains("put-user-policy-key"))
        };
        let trust = "iam:UpdateAssumeRolePolicy";
        let on_roles = |more: &[serde_json::Value]| {
            let allow = allow(&[trust], &role("*"));
            with(&[std::slice::from_ref(&allow), more].concat()).0
        };
        let denied = |names: &[&str]| names.iter().map(|name| deny(&[trust], &role(name))).collect::<Vec<_>>();
        for names in [
            &["*anything*", ""][..],
            &["a*", "?", ""],
            &["", "??*"],
            &["*a*", "*b*", "*x*", "", "?"],
            &["?", "???*", ""],
        ] {
            assert!(on_roles(&denied(names)), "{names:?}");
        }
        for names in [&["*"][..], &["?*", ""], &["", "?", "??*"]] {
            assert!(!on_roles(&denied(names)), "{names:?}");
        }
        assert!(on_roles(&[but("Deny", trust, &[role("app-*")])]));
        assert!(on_roles(&[but("Deny", trust, &[role("app-*"), user("x")]), but("Deny", trust, &[role("*-prod")])]));
        assert!(!on_roles(&[but("Deny", trust, &[role("app-*")]), but("Deny", trust, &[role("b*")])]));
        assert!(!on_roles(&[but("Deny", trust, &[role("app-*")]), deny(&[trust], &role("a*"))]));
        assert!(with(&[but("Allow", trust, &[role("a*"), role("")])]).0);
        assert!(!with(&[but("Allow", trust, &[role("*")])]).0);
        let keys = ["iam:PutUserPolicy", "iam:CreateAccessKey"];
        let on_users = |left: [&str; 2]| {
            let denied = keys.iter().zip(left).map(|(action, left)| but("Deny", action, &[user(left)]));
            with(&[vec![allow(&keys, &user("*"))], denied.collect()].concat()).1
        };
        assert!(on_users(["team-*", "*-x"]));
        assert!(!on_users(["team-*", "x*"]));
    }

    #[test]
    fn what_two_patterns_have_in_common() {
        for (a, b, wanted) in [
            ("abc", "abc", Some("abc")),
            ("a*", "*c", Some("a*c")),
            ("a?c", "ab*", Some("abc")),
            ("role/app-*", "role/*-prod", Some("role/app-*-prod")),
            ("*x", "*y*", Some("*y*x")),
            ("a*", "b*", None),
            ("a", "a?", None),
            ("*", "*", Some("*")),
        ] {
            assert_eq!(meet(a, b).as_deref(), wanted, "{a} and {b}");
        }
    }
}
