//! Who is let in by trust policies, over whole estates: outsiders, strangers of identity providers,
//! everyone of an account, and what the hop to a target role lacks.

use crate::shipped::{check, verdicts};
use crate::small::{API, AWAY, BOUND, DATA, HOME, OPEN, Small, allow};
use rolecall_estate::OidcProvider;
use rolecall_estate::coverage::ScopeKind;
use rolecall_rules::Outcome;

const BROKEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}"#;
const STRANGER: &str = "999988887777";

fn small() -> Small {
    Small::new()
}

fn principal(who: &str, condition: &str) -> String {
    allow(&format!(r#""Principal":{{"AWS":"{who}"}},"Action":"sts:AssumeRole","Condition":{condition}"#))
}

fn federated(provider: &str, action: &str, condition: &str) -> String {
    allow(&format!(r#""Principal":{{"Federated":"{provider}"}},"Action":"{action}","Condition":{condition}"#))
}

fn oidc(issuer: &str) -> String {
    format!("arn:aws:iam::{HOME}:oidc-provider/{issuer}")
}

fn messages(small: &Small, rule: &str) -> Vec<String> {
    let fails = verdicts(small, rule).into_iter().filter_map(|verdict| match verdict.outcome {
        Outcome::Fail { message, .. } => Some(message),
        _ => None,
    });
    fails.collect()
}

#[test]
fn conditions_are_part_of_who_is_outside() {
    let own = r#"{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#;
    let foreign = r#"{"StringEquals":{"aws:PrincipalOrgID":"o-xyz"}}"#;
    let mut unnamed = small().trust(&principal("*", own));
    for account in &mut unnamed.0.accounts {
        account.organization_id = None;
    }
    check(
        "trust-admits-outsider",
        &[
            ("a stranger", small().trust(&principal(STRANGER, "{}")), "F"),
            ("an account of the estate", small().trust(&principal(AWAY, "{}")), "P"),
            ("a named account that must be in our organization", small().trust(&principal(STRANGER, own)), "P"),
            ("anyone of our organization", small().trust(&principal("*", own)), "P"),
            ("anyone of another organization", small().trust(&principal("*", foreign)), "F"),
            ("anyone of an organization, ours not seen", unnamed, "U"),
            (
                "one foreign account by condition",
                small()
                    .trust(&principal("*", &format!(r#"{{"StringEquals":{{"aws:PrincipalAccount":"{STRANGER}"}}}}"#))),
                "F",
            ),
            (
                "one own account by condition",
                small().trust(&principal("*", &format!(r#"{{"StringEquals":{{"aws:PrincipalAccount":"{AWAY}"}}}}"#))),
                "P",
            ),
            (
                "one own role by condition",
                small().trust(&principal("*", &format!(r#"{{"ArnEquals":{{"aws:PrincipalArn":"{DATA}"}}}}"#))),
                "P",
            ),
            ("a principal that nobody can read", small().trust(&principal("arn:aws:iam::role/x", "{}")), "U"),
            ("not readable", small().trust(BROKEN), "U"),
        ],
    );
    let asked = small().trust(&principal(STRANGER, r#"{"StringEquals":{"sts:ExternalId":"a1"}}"#));
    assert_eq!(messages(&asked, "trust-admits-outsider"), ["role api admits account 999988887777 with an external id"]);
}

#[test]
fn a_listing_of_accounts_says_who_is_outside_and_nothing_else_does() {
    let shared = || small().trust(&principal(STRANGER, "{}"));
    check(
        "trust-admits-outsider",
        &[
            ("with the whole list", shared(), "F"),
            ("with a list that was cut", shared().gap(ScopeKind::Organization), "U"),
        ],
    );
}

#[test]
fn an_open_role_is_one_finding_that_tells_whom_it_lets_in() {
    let star = allow(r#""Principal":"*","Action":["sts:AssumeRole","sts:TagSession"]"#);
    let other = format!("arn:aws:iam::{HOME}:role/open");
    let open = small().role(&other, &star, &[]);
    assert_eq!(
        messages(&open, "trust-admits-outsider"),
        [
            "role open admits any AWS principal; without a permission of their own: 2 roles of account 111122223333, which 1 Pod Identity association use"
        ]
    );
    for rule in ["trust-without-source", "trust-admits-whole-account", "role-unused"] {
        assert!(messages(&open, rule).is_empty(), "{rule} does not concern a role that names nobody");
    }
    let own = r#"{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#;
    check(
        "trust-admits-whole-account",
        &[
            ("everyone of our organization", small().trust(&principal("*", own)), "F"),
            (
                "everyone of our account",
                small().trust(&principal("*", &format!(r#"{{"StringEquals":{{"aws:PrincipalAccount":"{HOME}"}}}}"#))),
                "F",
            ),
            ("the account, by its own policies", small().trust(&principal(HOME, "{}")), "P"),
            (
                "everyone of another account",
                small().trust(&principal("*", &format!(r#"{{"StringEquals":{{"aws:PrincipalAccount":"{AWAY}"}}}}"#))),
                "P",
            ),
            (
                "one role",
                small().trust(&principal("*", &format!(r#"{{"ArnEquals":{{"aws:PrincipalArn":"{DATA}"}}}}"#))),
                "P",
            ),
            ("all the world is another finding", small().trust(&principal("*", "{}")), ""),
            ("not readable", small().trust(BROKEN), "U"),
        ],
    );
}

#[test]
fn strangers_of_shared_issuers() {
    let github = "token.actions.githubusercontent.com";
    let web = |issuer: &str, condition: &str| {
        let provider = if issuer == "cognito-identity.amazonaws.com" { issuer.to_owned() } else { oidc(issuer) };
        let mut small =
            small().trust(&federated(&provider, "sts:AssumeRoleWithWebIdentity", &condition.replace('@', issuer)));
        if let Ok(arn) = provider.parse() {
            small.0.oidc_providers.push(OidcProvider { arn, detail: None });
        }
        small
    };
    let mut gone = web(github, "{}");
    gone.0.oidc_providers.clear();
    check(
        "trust-admits-federated-stranger",
        &[
            ("any repository", web(github, r#"{"StringEquals":{"@:aud":"sts.amazonaws.com"}}"#), "F"),
            ("any repository by pattern", web(github, r#"{"StringLike":{"@:sub":"repo:*"}}"#), "F"),
            ("one owner", web(github, r#"{"StringLike":{"@:sub":"repo:paper-mill/*"}}"#), "P"),
            (
                "one owner, where the claim is always there",
                web(github, r#"{"ForAllValues:StringLike":{"@:sub":"repo:paper-mill/*"}}"#),
                "P",
            ),
            ("any identity pool", web("cognito-identity.amazonaws.com", "{}"), "F"),
            ("the provider's listing refused", web(github, "{}").gap(ScopeKind::OidcProviders), "F"),
            ("a provider that is gone", gone.clone(), "P"),
            ("an issuer that may serve others", web("login.paper-mill.example", "{}"), "U"),
            (
                "the same, with a subject",
                web("login.paper-mill.example", r#"{"StringEquals":{"@:sub":"deployer"}}"#),
                "P",
            ),
            (
                "an operator that is not understood",
                web(github, r#"{"StringResembles":{"@:sub":"repo:paper-mill/*"}}"#),
                "U",
            ),
            ("not readable", small().trust(BROKEN), "U"),
        ],
    );
    let text = messages(&web(github, "{}"), "trust-admits-federated-stranger").remove(0);
    assert!(text.contains("such as a token with sub repo:nowhere/nowhere"), "{text}");
    check(
        "trust-names-missing-provider",
        &[
            ("gone", gone.clone(), "F"),
            ("there", web(github, "{}"), "P"),
            (
                "in another letter case",
                {
                    let mut small = web(github, "{}");
                    small.0.oidc_providers[0].arn = oidc("Token.actions.githubusercontent.com").parse().unwrap();
                    small
                },
                "F",
            ),
            (
                "of another account",
                small().trust(&federated(&oidc(github).replace(HOME, AWAY), "sts:AssumeRoleWithWebIdentity", "{}")),
                "F",
            ),
            ("not seen", gone.gap(ScopeKind::OidcProviders), "U"),
            (
                "SAML",
                small().trust(&federated(
                    &format!("arn:aws:iam::{HOME}:saml-provider/idp"),
                    "sts:AssumeRoleWithSAML",
                    "{}",
                )),
                "U",
            ),
        ],
    );
    let cluster = "oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";
    check(
        "trust-admits-any-namespace",
        &[
            ("no subject", web(cluster, r#"{"StringEquals":{"@:aud":"sts.amazonaws.com"}}"#), "F"),
            ("any namespace", web(cluster, r#"{"StringLike":{"@:sub":"system:serviceaccount:*:autoscaler"}}"#), "F"),
            ("one namespace", web(cluster, r#"{"StringLike":{"@:sub":"system:serviceaccount:pay:*"}}"#), "P"),
            ("another issuer", web(github, "{}"), ""),
            ("not readable", small().trust(BROKEN), "U"),
        ],
    );
    let saml = |condition: &str| {
        small().trust(&federated(
            &format!("arn:aws:iam::{HOME}:saml-provider/idp"),
            "sts:AssumeRoleWithSAML",
            condition,
        ))
    };
    check(
        "trust-without-saml-audience",
        &[
            ("any audience", saml("{}"), "F"),
            (
                "the sign-in endpoint",
                saml(r#"{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}"#),
                "P",
            ),
            ("an operator that is not understood", saml(r#"{"StringResembles":{"SAML:aud":"x"}}"#), "U"),
        ],
    );
}

#[test]
fn deleted_principals_are_named_as_such() {
    let gone = principal("AROAEXAMPLEEXAMPLE123", "{}");
    let mut there = small().trust(&gone);
    there.change_role(|role| role.role_id = "AROAEXAMPLEEXAMPLE123".to_owned());
    check(
        "trust-names-deleted-principal",
        &[
            ("a deleted role", small().trust(&gone), "F"),
            ("a deleted user", small().trust(&principal("AIDAEXAMPLEEXAMPLE123", "{}")), "F"),
            ("the id of a role that is there", there, "P"),
            ("names", small(), "P"),
            ("not readable", small().trust(BROKEN), "U"),
        ],
    );
    let message = messages(&small().trust(&gone), "trust-names-deleted-principal");
    assert_eq!(message, ["role api names the deleted principal AROAEXAMPLEEXAMPLE123"]);
}

#[test]
fn a_hop_names_the_action_that_is_missing() {
    let role = |action: &str| allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":{action}"#));
    let may = |action: &str| allow(&format!(r#""Action":{action},"Resource":"{DATA}""#));
    let both = r#"["sts:AssumeRole","sts:TagSession"]"#;
    let assume = r#""sts:AssumeRole""#;
    let caller = |actions: &str, target: &str| small().target(target).role(API, BOUND, &[("own", &may(actions))]);
    let off = |small: Small| small.detail(|detail| detail.disable_session_tags = true);
    // The account as principal leaves the decision to the caller's own policies.
    let root = allow(&format!(r#""Principal":{{"AWS":"{HOME}"}},"Action":{both}"#));
    check(
        "chained-hop-not-allowed",
        &[
            ("both sides allow both", caller(both, &role(both)), "P"),
            ("the target refuses tags", caller(both, &role(assume)), "F"),
            ("the target refuses tags that are not sent", off(caller(both, &role(assume))), "P"),
            ("the caller may not tag", caller(assume, &root), "F"),
            ("the caller need not tag", off(caller(assume, &root)), "P"),
            ("the SCPs were not seen", caller(both, &role(both)).gap(ScopeKind::OrgPolicies), "U"),
        ],
    );
    let rule = "chained-hop-not-allowed";
    let said = messages(&caller(both, &role(assume)), rule).remove(0);
    assert!(said.ends_with(": the target's trust policy refuses sts:TagSession"), "{said}");
    let said = messages(&caller(assume, &root), rule).remove(0);
    assert!(said.ends_with(": its own policies do not allow sts:TagSession"), "{said}");
    // What decided is said though the other side is not known.
    let said = messages(&caller(both, &role(assume)).gap(ScopeKind::OrgPolicies), rule).remove(0);
    assert!(said.ends_with(": the target's trust policy refuses sts:TagSession"), "{said}");
}

#[test]
fn session_tags_as_permissions_concern_roles_that_pods_reach() {
    let namespace = allow(
        r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::x/*","Condition":{"StringEquals":{"aws:PrincipalTag/kubernetes-namespace":"pay"}}"#,
    );
    let lambda = allow(r#""Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole""#);
    let job = format!("arn:aws:iam::{HOME}:role/job");
    let ci = allow(&format!(r#""Principal":{{"AWS":"{HOME}"}},"Action":["sts:AssumeRole","sts:TagSession"]"#));
    let target = |trust: &str| small().target(trust).role(DATA, trust, &[("own", &namespace)]);
    let hop = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":["sts:AssumeRole","sts:TagSession"]"#));
    check(
        "abac-without-cluster-tag",
        &[
            ("a function's role", small().role(&job, &lambda, &[("own", &namespace)]), ""),
            (
                "the same, clusters not seen",
                small().role(&job, &lambda, &[("own", &namespace)]).gap(ScopeKind::Clusters),
                "",
            ),
            ("a role of pods", small().role(API, OPEN, &[("own", &namespace)]), "F"),
            ("a target role", target(&hop), "F"),
            ("a role that only people reach", small().role(&job, &ci, &[("own", &namespace)]), ""),
            (
                "a role that an unseen association may reach",
                small().role(&job, &ci, &[("own", &namespace)]).gap(ScopeKind::Associations),
                "U",
            ),
        ],
    );
}

#[test]
fn a_trust_policy_that_cannot_be_read_leaves_open_who_else_gets_in() {
    let star = allow(r#""Action":"s3:*","Resource":"*""#);
    let limit = allow(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#);
    let broken = |policy: bool| {
        let small = small().role(API, BROKEN, &[("own", &star)]);
        if policy { small.session_policy(&limit) } else { small }
    };
    // Whether the session policy bounds every session depends on who else may assume the role.
    check("wildcard-action", &[("no session policy", broken(false), "F"), ("a session policy", broken(true), "U")]);
}
