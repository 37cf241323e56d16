//! Tokens and assertions of identity providers that a trust policy takes.
//!
//! Knows which issuers of tokens serve many organizations under one URL, and which of their claims say
//! to whom a token was given. The question is put to the engine with a token of an outside caller: a
//! subject, and where it tells tenants apart an audience, that the policy does not name. Claims that
//! such a token always has are never tried as absent; those of another issuer always are. Refuses to
//! know which providers an account has.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html>
//! for the shared issuers and their claims, and
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif>
//! for the keys.

use crate::context::Context;
use crate::evaluate::requester::Requester;
use crate::policy::ast::{Clause, Effect};
use crate::policy::parse::DocumentError;
use crate::policy::site::{Answer, Site};
use crate::steps::Steps;
use crate::trust::trust_policy::{TRUST, Trust, Who};
use crate::truth::{Truth, Why};
use std::collections::BTreeSet;

const WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";
const SAML: &str = "sts:AssumeRoleWithSAML";
/// So many tokens are tried for one provider.
const MOST_TOKENS: usize = 256;

/// A claim that says to whom a token was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    name: &'static str,
    /// What stands before the tenant's name in the claim, such as `repo:`; empty where the value as a
    /// whole is the tenant's, or where its form is not known.
    marks: &'static [&'static str],
    /// A value that an outside caller has.
    foreign: &'static str,
}

const fn whole(name: &'static str) -> Claim {
    Claim { name, marks: &[], foreign: "nowhere" }
}

const fn subject(marks: &'static [&'static str], foreign: &'static str) -> Claim {
    Claim { name: "sub", marks, foreign }
}

/// An issuer of tokens for many organizations, without `https://`.
struct SharedIssuer {
    url: &'static str,
    claims: &'static [Claim],
}

/// Marks of GitHub's owner in `sub`, whose form each repository can choose.
const GITHUB: &[&str] = &[
    "repo:",
    "repository:",
    "repository_id:",
    "repository_owner:",
    "repository_owner_id:",
    "job_workflow_ref:",
    "enterprise:",
    "enterprise_id:",
];
const GITHUB_CLAIMS: &[Claim] = &[
    subject(GITHUB, "repo:nowhere/nowhere:ref:refs/heads/main"),
    whole("repository"),
    whole("repository_id"),
    whole("repository_owner"),
    whole("repository_owner_id"),
    whole("job_workflow_ref"),
    whole("enterprise"),
    whole("enterprise_id"),
];
const SUBJECT_ONLY: &[Claim] = &[subject(&[], "nowhere")];

const SHARED: &[SharedIssuer] = &[
    SharedIssuer { url: "token.actions.githubusercontent.com", claims: GITHUB_CLAIMS },
    SharedIssuer { url: "vstoken.actions.githubusercontent.com", claims: GITHUB_CLAIMS },
    SharedIssuer { url: "oidc-configuration.audit-log.githubusercontent.com", claims: SUBJECT_ONLY },
    SharedIssuer {
        url: "gitlab.com",
        claims: &[subject(&["project_path:"], "project_path:nowhere/nowhere:ref_type:branch:ref:main")],
    },
    SharedIssuer {
        url: "app.terraform.io",
        claims: &[subject(
            &["organization:"],
            "organization:nowhere:project:nowhere:workspace:nowhere:run_phase:apply",
        )],
    },
    SharedIssuer {
        url: "agent.buildkite.com",
        claims: &[subject(&["organization:"], "organization:nowhere:pipeline:nowhere:ref:refs/heads/main")],
    },
    SharedIssuer { url: "oidc.codefresh.io", claims: &[subject(&["account:"], "account:nowhere:pipeline:nowhere")] },
    SharedIssuer { url: "scalr.io", claims: &[subject(&["account:"], "account:nowhere:environment:nowhere")] },
    SharedIssuer { url: "studio.datachain.ai/api", claims: SUBJECT_ONLY },
    SharedIssuer { url: "tokens.cloud.shisho.dev", claims: SUBJECT_ONLY },
    SharedIssuer { url: "proidc.upbound.io", claims: SUBJECT_ONLY },
    SharedIssuer { url: "api.pulumi.com/oidc", claims: &[whole("aud"), subject(&[], "pulumi:deploy:org:nowhere")] },
    SharedIssuer { url: "sandboxes.cloud", claims: &[whole("aud"), subject(&[], "nowhere")] },
    SharedIssuer {
        url: "oidc.vercel.com",
        claims: &[whole("aud"), subject(&["owner:"], "owner:nowhere:project:nowhere:environment:production")],
    },
    SharedIssuer { url: "cognito-identity.amazonaws.com", claims: &[whole("aud"), subject(&[], "nowhere")] },
    SharedIssuer { url: "accounts.google.com", claims: &[whole("aud"), whole("oaud"), whole("sub"), whole("email")] },
    SharedIssuer { url: "graph.facebook.com", claims: &[whole("app_id"), whole("id")] },
    SharedIssuer { url: "www.amazon.com", claims: &[whole("app_id"), whole("user_id")] },
];

/// The service account of a cluster's token: the namespace tells them apart.
const CLUSTER: &[Claim] = &[subject(&["system:serviceaccount:"], "system:serviceaccount:nowhere:nowhere")];

/// Whose tokens a provider's are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenancy {
    /// Of many organizations: an issuer that AWS names as shared.
    Shared,
    /// Of one EKS cluster's service accounts.
    Cluster,
    /// Of the SAML provider that the account itself set up.
    Saml,
    /// Not known: an issuer that may serve one organization or many.
    Unlisted,
}

/// A provider whose tokens or assertions a trust policy takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedAccess {
    /// As the policy names it.
    pub provider: Who,
    /// The issuer's URL without `https://`; of a SAML provider, its name.
    pub issuer: String,
    /// Whose tokens they are.
    pub tenancy: Tenancy,
    /// Whether a token is taken whose subject (where it tells tenants apart: and audience) the policy
    /// does not name.
    pub outside_caller: Truth,
    /// The subject or audience of such a token.
    pub example: Option<String>,
    /// Whether a token or assertion for another audience is taken.
    pub any_audience: Truth,
    /// The statements that take it.
    pub by: Vec<Site>,
}

fn is_cluster(issuer: &str) -> bool {
    let host = issuer.split('/').next().unwrap_or_default();
    host.starts_with("oidc.eks.") && host.contains(".amazonaws.com") && issuer.contains("/id/")
}

fn claims(issuer: &str) -> (Tenancy, &'static [Claim]) {
    match SHARED.iter().find(|shared| shared.url.eq_ignore_ascii_case(issuer)) {
        Some(shared) => (Tenancy::Shared, shared.claims),
        None if is_cluster(issuer) => (Tenancy::Cluster, CLUSTER),
        None => (Tenancy::Unlisted, SUBJECT_ONLY),
    }
}

impl Claim {
    /// Whether a value of a condition says outright whose the token is: its tenant stands before the
    /// first wildcard, with what ends it.
    fn names_tenant(&self, value: &str) -> bool {
        let wild = value.find(['*', '?']);
        let fixed = wild.and_then(|at| value.get(..at)).unwrap_or(value);
        let ended = |name: &str| name.find(['/', ':', '@']).map_or(wild.is_none() && !name.is_empty(), |at| at > 0);
        if self.marks.is_empty() {
            return wild.is_none() || fixed.split_once(':').is_some_and(|(_, name)| ended(name));
        }
        self.marks.iter().any(|mark| {
            let own = fixed.strip_prefix(mark).or_else(|| fixed.split_once(&format!(":{mark}")).map(|(_, name)| name));
            own.is_some_and(ended)
        })
    }
}

impl Trust {
    /// The identity providers whose tokens or assertions the policy takes, in the order of the document.
    ///
    /// # Errors
    /// A document that does not parse takes nobody knows which.
    pub fn federated_access(&self) -> Result<Vec<FederatedAccess>, &DocumentError> {
        if let Some(problem) = self.problem() {
            return Err(problem);
        }
        let (steps, mut known) = (Steps::new(TRUST), BTreeSet::new());
        let mut providers: Vec<Who> = Vec::new();
        for statement in self.statements().iter().filter(|statement| statement.effect == Effect::Allow) {
            let Some(Clause::In(list)) = &statement.principals else { continue };
            for who in list.iter().map(Who::new) {
                if matches!(who, Who::Oidc(_) | Who::Saml(_) | Who::Provider(_)) && known.insert(who.clone()) {
                    providers.push(who);
                }
            }
        }
        let access = providers.into_iter().map(|who| match &who {
            _ if steps.take(self.weight()).is_err() => Some(untold(who, &steps)),
            Who::Saml(_) => self.assertions(who),
            _ => self.tokens(who, &steps),
        });
        Ok(access.flatten().collect())
    }

    /// Whether a token of an OIDC provider for an audience can be let in by some values of its other claims.
    /// `provider` is the provider's ARN. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif>.
    #[must_use]
    pub fn admits_audience(&self, provider: &str, audience: &str) -> Answer {
        let issuer = provider.split_once("oidc-provider/").map_or(provider, |(_, url)| url);
        let caller = Requester::federated(provider);
        let own = format!("{issuer}:");
        let context = unsigned(&caller, Context::open_under(&["aws:", "sts:", own.as_str()]));
        self.admits_in(&caller, WEB_IDENTITY, &context.set(&format!("{own}aud"), [audience]))
    }

    /// `None` where the provider's assertions are never taken.
    fn assertions(&self, who: Who) -> Option<FederatedAccess> {
        let caller = Requester::federated(&who.text());
        let context = unsigned(&caller, Context::open_under(&["aws:", "sts:", "saml:"]));
        let answer = self.admits_in(&caller, SAML, &context);
        if answer.truth.is_false() {
            return None;
        }
        let foreign = context.set("saml:aud", ["https://nowhere.example/saml"]);
        let issuer = match &who {
            Who::Saml(arn) => arn.resource().split_once('/').map(|(_, name)| name.to_owned()).unwrap_or_default(),
            _ => who.text(),
        };
        Some(FederatedAccess {
            any_audience: self.admits_in(&caller, SAML, &foreign).truth,
            provider: who,
            issuer,
            tenancy: Tenancy::Saml,
            outside_caller: Truth::False,
            example: None,
            by: answer.by,
        })
    }

    /// `None` where the provider's tokens are never taken.
    fn tokens(&self, who: Who, steps: &Steps) -> Option<FederatedAccess> {
        let issuer = match &who {
            Who::Oidc(arn) => arn.resource().split_once('/').map(|(_, url)| url.to_owned()).unwrap_or_default(),
            _ => who.text(),
        };
        let caller = Requester::federated(&who.text());
        let own = format!("{issuer}:");
        let context = unsigned(&caller, Context::open_under(&["aws:", "sts:", own.as_str()]));
        let answer = self.admits_in(&caller, WEB_IDENTITY, &context);
        if answer.truth.is_false() {
            return None;
        }
        let (tenancy, claims) = claims(&issuer);
        let (outside_caller, example) = self.outside_caller(&caller, &issuer, claims, &context, steps);
        let foreign = context.set(&format!("{own}aud"), ["nowhere"]);
        Some(FederatedAccess {
            any_audience: self.admits_in(&caller, WEB_IDENTITY, &foreign).truth,
            provider: who,
            issuer,
            tenancy,
            by: if outside_caller.truth.is_true() { outside_caller.by } else { answer.by },
            outside_caller: outside_caller.truth,
            example,
        })
    }

    /// Whether a token is taken that somebody else was given, and what it says.
    fn outside_caller(
        &self,
        caller: &Requester,
        issuer: &str,
        claims: &[Claim],
        context: &Context,
        steps: &Steps,
    ) -> (Answer, Option<String>) {
        let mut tokens: Vec<(Context, Vec<String>)> = vec![(context.clone(), Vec::new())];
        for claim in claims {
            let key = format!("{issuer}:{}", claim.name);
            let values = self.foreign_claims(&key, claim);
            let count = values.len().saturating_mul(tokens.len());
            let told = matches!(claim.name, "sub" | "aud");
            let with = |(context, said): &(Context, Vec<String>), value: &String| {
                let mut said = said.clone();
                if told {
                    said.push(format!("{} {value}", claim.name));
                }
                (context.clone().set(&key, [value.as_str()]), said)
            };
            if count > MOST_TOKENS {
                let why = format!("the conditions on tokens of `{issuer}` have more forms than are tried");
                return (Answer::bare(Truth::unknown(Why::NotUnderstood(why))), None);
            }
            tokens = tokens.iter().flat_map(|token| values.iter().map(move |value| with(token, value))).collect();
        }
        let mut all = Answer::bare(Truth::False);
        for (context, said) in tokens {
            if steps.take(self.weight()).is_err() {
                return (Answer { truth: all.truth.or(Truth::unknown(steps.why())), by: all.by }, None);
            }
            let answer = self.admits_in(caller, WEB_IDENTITY, &context);
            if answer.truth.is_true() {
                return (answer, Some(said.join(", ")).filter(|said| !said.is_empty()));
            }
            if !answer.truth.is_false() {
                all = answer;
            }
        }
        (all, None)
    }

    /// Values of a claim that strangers have: one that the policy does not name, and one for each of
    /// its patterns that leaves the tenant open.
    fn foreign_claims(&self, key: &str, claim: &Claim) -> Vec<String> {
        let mut out = BTreeSet::new();
        for condition in self.conditions() {
            if !condition.key.eq_ignore_ascii_case(key) {
                continue;
            }
            let open = condition.values.iter().filter(|value| !value.contains("${") && !claim.names_tenant(value));
            out.extend(open.map(|value| value.replace('*', "nowhere").replace('?', "x")));
        }
        std::iter::once(claim.foreign.to_owned()).chain(out).collect()
    }
}

/// A provider of which there are no steps left to tell anything.
fn untold(who: Who, steps: &Steps) -> FederatedAccess {
    let open = || Truth::unknown(steps.why());
    let issuer = match &who {
        Who::Oidc(arn) | Who::Saml(arn) => arn.resource().split_once('/').map(|(_, url)| url.to_owned()),
        _ => None,
    };
    let issuer = issuer.unwrap_or_else(|| who.text());
    let tenancy = if matches!(who, Who::Saml(_)) { Tenancy::Saml } else { claims(&issuer).0 };
    let (outside_caller, any_audience) = (open(), open());
    FederatedAccess { provider: who, issuer, tenancy, outside_caller, example: None, any_audience, by: Vec::new() }
}

/// A call that no AWS credentials sign: it has no keys of an AWS principal.
fn unsigned(caller: &Requester, context: Context) -> Context {
    let keys = ["aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths"];
    caller.known(keys.iter().fold(context, |context, key| context.absent(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::decision::Outcome;
    use crate::policy::document::Document;

    fn access(principal: &str, action: &str, condition: &str) -> Vec<FederatedAccess> {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Federated":"{principal}"}},
            "Action":"{action}","Condition":{condition}}}]}}"#
        );
        let document = Document::new(&text);
        assert!(document.parsed.is_ok(), "{text}");
        Trust::new("trust policy", &document).federated_access().unwrap()
    }

    fn oidc(issuer: &str) -> String {
        format!("arn:aws:iam::111122223333:oidc-provider/{issuer}")
    }

    /// `issuer`, the conditions with `@` for the issuer, and whether an outside caller's token is taken.
    const TOKENS: &[(&str, &str, Option<bool>)] = &[
        ("token.actions.githubusercontent.com", r#"{}"#, Some(true)),
        ("token.actions.githubusercontent.com", r#"{"StringEquals":{"@:aud":"sts.amazonaws.com"}}"#, Some(true)),
        ("token.actions.githubusercontent.com", r#"{"StringLike":{"@:sub":"repo:*"}}"#, Some(true)),
        ("token.actions.githubusercontent.com", r#"{"StringLike":{"@:sub":"repo:paper-mill*"}}"#, Some(true)),
        (
            "token.actions.githubusercontent.com",
            r#"{"StringLike":{"@:sub":"repo:*/shop:ref:refs/heads/main"}}"#,
            Some(true),
        ),
        ("token.actions.githubusercontent.com", r#"{"StringLike":{"@:sub":"*:ref:refs/heads/main"}}"#, Some(true)),
        ("token.actions.githubusercontent.com", r#"{"StringEquals":{"@:sub":"environment:prod"}}"#, Some(true)),
        ("token.actions.githubusercontent.com", r#"{"StringLike":{"@:sub":"repo:paper-mill/*"}}"#, Some(false)),
        (
            "token.actions.githubusercontent.com",
            r#"{"StringEquals":{"@:sub":"repo:paper-mill/shop:environment:prod"}}"#,
            Some(false),
        ),
        (
            "token.actions.githubusercontent.com",
            r#"{"StringLike":{"@:sub":["repo:paper-mill/*","repo:*"]}}"#,
            Some(true),
        ),
        // The claim is in every token, so that the operator never meets its absence.
        (
            "token.actions.githubusercontent.com",
            r#"{"ForAllValues:StringLike":{"@:sub":"repo:paper-mill/*"}}"#,
            Some(false),
        ),
        ("token.actions.githubusercontent.com", r#"{"StringLikeIfExists":{"@:sub":"repo:paper-mill/*"}}"#, Some(false)),
        // `StringEquals` takes the wildcard as it stands.
        ("token.actions.githubusercontent.com", r#"{"StringEquals":{"@:sub":"repo:*"}}"#, Some(false)),
        ("token.actions.githubusercontent.com", r#"{"StringNotLike":{"@:sub":"repo:rivals/*"}}"#, Some(true)),
        ("token.actions.githubusercontent.com", r#"{"StringEquals":{"@:repository_owner":"paper-mill"}}"#, Some(false)),
        ("token.actions.githubusercontent.com", r#"{"StringEquals":{"@:environment":"prod"}}"#, Some(true)),
        (
            "TOKEN.actions.githubusercontent.com",
            r#"{"StringLike":{"token.actions.githubusercontent.com:SUB":"repo:paper-mill/*"}}"#,
            Some(false),
        ),
        // Keys of another issuer are never there.
        (
            "token.actions.githubusercontent.com",
            r#"{"StringEqualsIfExists":{"gitlab.com:sub":"project_path:paper-mill/shop:ref_type:branch:ref:main"}}"#,
            Some(true),
        ),
        (
            "token.actions.githubusercontent.com",
            r#"{"StringEquals":{"gitlab.com:sub":"project_path:paper-mill/shop:ref_type:branch:ref:main"}}"#,
            None,
        ),
        ("token.actions.githubusercontent.com", r#"{"StringEquals":{"aws:PrincipalOrgID":"o-ours000000"}}"#, None),
        ("gitlab.com", r#"{"StringLike":{"@:sub":"project_path:paper-mill/*:ref_type:branch:ref:main"}}"#, Some(false)),
        ("gitlab.com", r#"{"StringLike":{"@:sub":"project_path:*:ref_type:branch:ref:main"}}"#, Some(true)),
        (
            "app.terraform.io",
            r#"{"StringLike":{"@:sub":"organization:paper-mill:project:*:workspace:*:run_phase:*"}}"#,
            Some(false),
        ),
        ("app.terraform.io", r#"{"StringLike":{"@:sub":"organization:*:workspace:prod:*"}}"#, Some(true)),
        ("app.terraform.io", r#"{"StringEquals":{"@:aud":"aws.workload.identity"}}"#, Some(true)),
        ("agent.buildkite.com", r#"{"StringLike":{"@:sub":"organization:paper-mill:*"}}"#, Some(false)),
        ("oidc.vercel.com", r#"{"StringEquals":{"@:aud":"https://vercel.com/paper-mill"}}"#, Some(false)),
        ("oidc.vercel.com", r#"{"StringLike":{"@:sub":"owner:*:project:shop:*"}}"#, Some(true)),
        ("cognito-identity.amazonaws.com", r#"{}"#, Some(true)),
        (
            "cognito-identity.amazonaws.com",
            r#"{"StringEquals":{"@:aud":"eu-west-1:12345678-dead-beef-cafe-123456790ab"}}"#,
            Some(false),
        ),
        ("cognito-identity.amazonaws.com", r#"{"StringLike":{"@:aud":"eu-west-1:*"}}"#, Some(true)),
        ("cognito-identity.amazonaws.com", r#"{"ForAnyValue:StringLike":{"@:amr":"authenticated"}}"#, Some(true)),
        ("accounts.google.com", r#"{"StringEquals":{"@:aud":"66677788899900pro0"}}"#, Some(false)),
        ("accounts.google.com", r#"{}"#, Some(true)),
        ("graph.facebook.com", r#"{"StringEquals":{"@:app_id":"111222333"}}"#, Some(false)),
        ("oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF", r#"{}"#, Some(true)),
        (
            "oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF",
            r#"{"StringLike":{"@:sub":"system:serviceaccount:*:autoscaler"}}"#,
            Some(true),
        ),
        (
            "oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF",
            r#"{"StringLike":{"@:sub":"system:serviceaccount:pay:*"}}"#,
            Some(false),
        ),
        (
            "oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF",
            r#"{"StringEquals":{"@:sub":"system:serviceaccount:pay:api"}}"#,
            Some(false),
        ),
        ("login.paper-mill.example", r#"{}"#, Some(true)),
        ("login.paper-mill.example", r#"{"StringEquals":{"@:sub":"deployer"}}"#, Some(false)),
    ];

    #[test]
    fn tokens_of_outsiders() {
        for (issuer, condition, expect) in TOKENS {
            let builtin = SHARED.iter().rev().take(4).any(|shared| shared.url == *issuer);
            let principal = if builtin { (*issuer).to_owned() } else { oidc(issuer) };
            let found = access(&principal, WEB_IDENTITY, &condition.replace('@', issuer));
            let outside_caller = found.first().map(|access| access.outside_caller.is_true());
            assert_eq!(outside_caller, *expect, "{issuer} {condition}: {found:?}");
        }
    }

    #[test]
    fn a_wrong_case_names_another() {
        let issuer = "token.actions.githubusercontent.com";
        let caller = Requester::federated(&oidc(issuer));
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"Federated":"{}"}},"Action":"{WEB_IDENTITY}",
            "Condition":{{"StringLike":{{"{issuer}:sub":"repo:paper-mill/*"}}}}}}}}"#,
            oidc(issuer)
        );
        let trust = Trust::new("trust policy", &Document::new(&text));
        let taken = |sub: &str| {
            let context = Context::closed().set(&format!("{issuer}:sub"), [sub]);
            trust.decide(&caller, WEB_IDENTITY, &context).outcome
        };
        assert_eq!(taken("repo:paper-mill/shop:ref:refs/heads/main"), Outcome::Allow);
        assert_eq!(taken("repo:Paper-Mill/shop:ref:refs/heads/main"), Outcome::DenyImplicit);
    }

    #[test]
    fn assertions_for_another_audience() {
        let provider = "arn:aws:iam::111122223333:saml-provider/idp";
        let of = |condition: &str| access(provider, SAML, condition).remove(0);
        let open = of("{}");
        assert_eq!((open.tenancy, open.issuer.as_str(), open.any_audience), (Tenancy::Saml, "idp", Truth::True));
        let bound = of(r#"{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}"#);
        assert_eq!(bound.any_audience, Truth::False);
        let absent = of(r#"{"StringEqualsIfExists":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}"#);
        assert_eq!(absent.any_audience, Truth::False);
    }
}
