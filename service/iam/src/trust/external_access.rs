//! Principals outside an account's organization that a trust policy lets in.
//!
//! The conditions are part of the answer: the question is put to the engine with a principal of a
//! foreign account and a foreign organization, for each account and organization that the policy
//! names, and for one that it does not name. Refuses to know which accounts are ours: the caller says.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>,
//! "Properties of the principal".

use crate::arn::{AccountId, Arn, ArnText};
use crate::context::Context;
use crate::evaluate::requester::Requester;
use crate::policy::ast::{Clause, Effect};
use crate::policy::parse::DocumentError;
use crate::policy::site::{Answer, Site};
use crate::steps::{Exceeded, Steps};
use crate::trust::trust_policy::{TRUST, Trust, Who};
use crate::truth::{Truth, Why};
use std::collections::{BTreeSet, HashSet};

const ASSUME: &str = "sts:AssumeRole";
/// An account that nobody owns: it stands for every account that the policy does not name.
const NOBODY: &str = "000000000000";
const ORG_ID: &str = "aws:PrincipalOrgID";
const ORG_PATHS: &str = "aws:PrincipalOrgPaths";
const PRINCIPAL_ARN: &str = "aws:PrincipalArn";
const PRINCIPAL_ACCOUNT: &str = "aws:PrincipalAccount";

/// The organization of the account that owns the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Organization {
    /// Its id, `o-…`.
    Known(String),
    /// The account is in no organization.
    None,
    /// Why its id is not known.
    NotSeen(String),
}

/// A principal outside the organization that the policy may let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAccess {
    /// As a policy writes it: `*`, an account id, or the ARN of a role, user or session.
    pub principal: String,
    /// The principal's account; `None` for principals of any account.
    pub account_id: Option<AccountId>,
    /// Ids of the foreign organizations to which the policy limits it; empty where to none.
    pub organizations: BTreeSet<String>,
    /// Whether it is let in, as long as its account is not in the role's organization.
    pub admitted: Truth,
    /// Whether every way in asks for a certain `sts:ExternalId`.
    pub external_id: Truth,
    /// The statements that let it in.
    pub by: Vec<Site>,
}

/// One account, or all that are not named, and how its principals are tried.
struct Candidate {
    principal: String,
    account_id: Option<AccountId>,
    callers: Vec<Requester>,
}

/// An organization to which a foreign principal may belong.
struct Membership {
    context: Box<dyn Fn(Context) -> Context>,
    /// As the policy names it.
    named: Option<String>,
    /// Why it may be the role's own.
    doubt: Option<String>,
}

impl Trust {
    /// Who outside the role's organization may assume the role. Accounts that are `inside` for certain
    /// are left out; a principal that is not let in, too.
    ///
    /// # Errors
    /// A document that does not parse lets in nobody knows whom.
    pub fn external_access(
        &self,
        home: AccountId,
        organization: &Organization,
        inside: impl Fn(AccountId) -> bool,
    ) -> Result<Vec<ExternalAccess>, &DocumentError> {
        if let Some(problem) = self.problem() {
            return Err(problem);
        }
        let steps = Steps::new(TRUST);
        let candidates = self.candidates(home, inside, &steps);
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let memberships = self.memberships(organization);
        let tried = candidates.into_iter().map(|candidate| {
            let mut access = ExternalAccess::new(&candidate);
            if self.tried(&candidate, home, organization, &memberships, &steps, &mut access).is_err() {
                // It may be limited to none of those that were found so far.
                access.organizations.clear();
                access.admitted = access.admitted.or(Truth::unknown(steps.why()));
                access.external_id = access.external_id.and(Truth::unknown(steps.why()));
            }
            access
        });
        Ok(tried.filter(|access| !access.admitted.is_false()).collect())
    }

    fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let named = self.conditions().filter(move |condition| condition.key.eq_ignore_ascii_case(key));
        named.flat_map(|condition| condition.values.iter().map(String::as_str))
    }

    fn candidates(&self, home: AccountId, inside: impl Fn(AccountId) -> bool, steps: &Steps) -> Vec<Candidate> {
        let mut open = false;
        let mut named: Vec<Who> = Vec::new();
        for statement in self.statements().iter().filter(|statement| statement.effect == Effect::Allow) {
            match &statement.principals {
                Some(Clause::In(list)) => named.extend(list.iter().map(Who::new)),
                Some(Clause::NotIn(_)) => open = true,
                None => {}
            }
        }
        open |= named.contains(&Who::Anyone);
        let mut out: Vec<Candidate> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        let mut accounts: BTreeSet<AccountId> = BTreeSet::new();
        for who in named {
            let (principal, account_id) = (who.text(), who.account_id());
            let callers = match who {
                Who::Account(account) => {
                    accounts.insert(account);
                    continue;
                }
                Who::Role(arn) | Who::User(arn) | Who::Session(arn) => vec![Requester::principal(&arn)],
                // Nobody can say who it is: it counts as nobody that is known.
                Who::Other(_) => Vec::new(),
                _ => continue,
            };
            if known.insert(principal.clone()) {
                out.push(Candidate { principal, account_id, callers });
            }
        }
        if open {
            accounts.extend(self.values(PRINCIPAL_ACCOUNT).filter_map(|value| value.parse::<AccountId>().ok()));
            accounts.extend(self.values(PRINCIPAL_ARN).filter_map(|value| ArnText(value).account_id()));
        }
        out.extend(accounts.into_iter().map(|account| Candidate {
            principal: account.to_string(),
            account_id: Some(account),
            callers: self.callers(&account.to_string(), steps),
        }));
        out.retain(|candidate| candidate.account_id.is_none_or(|account| account != home && !inside(account)));
        if open {
            out.push(Candidate { principal: "*".to_owned(), account_id: None, callers: self.callers(NOBODY, steps) });
        }
        out
    }

    /// Principals of an account, as far as the policy tells them apart: one that it does not name, and
    /// one for each ARN that its conditions name. Where there are no steps to look for those, one alone:
    /// then there are none to ask about it either.
    fn callers(&self, account: &str, steps: &Steps) -> Vec<Requester> {
        let is_cut = steps.take(self.values(PRINCIPAL_ARN).count()).is_err();
        let named =
            self.values(PRINCIPAL_ARN).take_while(|_| !is_cut).filter_map(|pattern| principal_like(pattern, account));
        let texts: BTreeSet<String> =
            named.chain(std::iter::once(format!("arn:aws:iam::{account}:role/nowhere"))).collect();
        texts.iter().filter_map(|text| text.parse::<Arn>().ok()).map(|arn| Requester::principal(&arn)).collect()
    }

    fn memberships(&self, organization: &Organization) -> Vec<Membership> {
        let in_none = |context: Context| context.absent(ORG_ID).absent(ORG_PATHS);
        let in_another =
            |context: Context| context.set(ORG_ID, ["o-nowhere"]).set_list(ORG_PATHS, ["o-nowhere/r-nowhere/"]);
        let mut out = vec![
            Membership { context: Box::new(in_none), named: None, doubt: None },
            Membership { context: Box::new(in_another), named: None, doubt: None },
        ];
        let plain = |text: &str| !text.is_empty() && !text.contains(['*', '?', '$']);
        let ids = self.values(ORG_ID).filter(|id| plain(id)).map(|id| (id, format!("{id}/r-nowhere/")));
        let paths = self.values(ORG_PATHS).filter_map(|path| {
            let id = path.split('/').next().filter(|id| plain(id))?;
            (!path.contains('$')).then(|| (id, path.replace('*', "").replace('?', "x")))
        });
        for (id, path) in ids.chain(paths).collect::<BTreeSet<_>>() {
            let doubt = match organization {
                Organization::Known(own) if own == id => continue,
                Organization::Known(_) | Organization::None => None,
                Organization::NotSeen(why) => Some(format!("whether `{id}` is the account's own organization: {why}")),
            };
            let named = id.to_owned();
            let context =
                move |context: Context| context.set(ORG_ID, [named.as_str()]).set_list(ORG_PATHS, [path.as_str()]);
            out.push(Membership { context: Box::new(context), named: Some(id.to_owned()), doubt });
        }
        out
    }

    fn tried(
        &self,
        candidate: &Candidate,
        home: AccountId,
        organization: &Organization,
        memberships: &[Membership],
        steps: &Steps,
        access: &mut ExternalAccess,
    ) -> Result<(), Exceeded> {
        let own = if let Organization::Known(id) = organization { id } else { "o-home" };
        let weight = self.weight();
        if candidate.callers.is_empty() {
            let why = format!("the principal `{}` is not understood", access.principal);
            access.admitted = Truth::unknown(Why::NotUnderstood(why));
            access.external_id = Truth::False;
        }
        let mut limited = true;
        for caller in &candidate.callers {
            let mut asked: Option<Truth> = None;
            let base = caller
                .context()
                .set("aws:ResourceAccount", [home.to_string()])
                .set("aws:ResourceOrgID", [own])
                .set_list("aws:ResourceOrgPaths", [format!("{own}/r-home/")]);
            for membership in memberships {
                let mut answer = Answer::bare(Truth::False);
                for context in surroundings(candidate.account_id.is_none(), (membership.context)(base.clone())) {
                    steps.take(weight)?;
                    let tried = self.admits_in(caller, ASSUME, &context);
                    if answer.truth.is_false() || tried.truth.is_true() {
                        answer = tried;
                    }
                }
                if answer.truth.is_false() {
                    continue;
                }
                if let (Truth::True, Some(doubt)) = (&answer.truth, &membership.doubt) {
                    answer.truth = Truth::unknown(Why::NotSeen(doubt.clone().into()));
                }
                match &membership.named {
                    Some(id) => {
                        access.organizations.insert(id.clone());
                    }
                    None => limited = false,
                }
                if answer.truth.is_true() && !access.admitted.is_true() {
                    access.by.clear();
                }
                if answer.truth.is_true() || !access.admitted.is_true() {
                    access
                        .by
                        .extend(answer.by.into_iter().filter(|site| !access.by.contains(site)).collect::<Vec<_>>());
                }
                access.admitted = std::mem::replace(&mut access.admitted, Truth::False).or(answer.truth);
                let asked = match &asked {
                    Some(asked) => asked.clone(),
                    None => {
                        steps.take(weight.saturating_mul(4))?;
                        let truth = self.requires_external_id(caller).map_or(Truth::False, |asked| asked.truth);
                        asked.insert(truth).clone()
                    }
                };
                access.external_id = std::mem::replace(&mut access.external_id, Truth::False).and(asked);
            }
        }
        if !limited {
            access.organizations.clear();
        }
        Ok(())
    }
}

impl ExternalAccess {
    /// Of a candidate that was not tried.
    fn new(candidate: &Candidate) -> Self {
        Self {
            principal: candidate.principal.clone(),
            account_id: candidate.account_id,
            organizations: BTreeSet::new(),
            admitted: Truth::False,
            external_id: Truth::True,
            by: Vec::new(),
        }
    }
}

/// Where an unnamed principal may call from: through nobody's VPC, and through one that is not named.
/// A named one may be told a VPC, so that it stays open.
fn surroundings(unnamed: bool, context: Context) -> Vec<Context> {
    if !unnamed {
        return vec![context];
    }
    let context = context.set("aws:userid", ["AROANOWHERENOWHERE:nowhere"]);
    vec![
        context.clone().absent("aws:SourceVpc").absent("aws:SourceVpce"),
        context.set("aws:SourceVpc", ["vpc-nowhere"]).set("aws:SourceVpce", ["vpce-nowhere"]),
    ]
}

/// A role or user of the account that a pattern for `aws:PrincipalArn` matches.
fn principal_like(pattern: &str, account: &str) -> Option<String> {
    let mut parts = pattern.splitn(6, ':');
    let (Some("arn"), Some(partition), Some(_), Some(_), Some(owner), Some(resource)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let fits = owner == account || owner.contains(['*', '?']);
    let kind = resource.split('/').next().unwrap_or_default();
    if !fits || resource.contains('$') || !matches!(kind, "role" | "user") {
        return None;
    }
    let partition = if partition.contains(['*', '?', '$']) { "aws" } else { partition };
    Some(format!("arn:{partition}:iam::{account}:{}", resource.replace(['*', '?'], "x")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::policy_set::{Level, PolicyRef};
    use crate::policy::document::Document;
    use std::sync::Arc;

    const HOME: &str = "111122223333";
    const OURS: &str = "o-ours000000";

    fn outside(statements: &str, organization: &Organization) -> Vec<(String, &'static str, Vec<String>, bool)> {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let trust = Trust::new("trust policy", &Document::new(&text));
        let inside = |account: AccountId| account.to_string() == "222233334444";
        let found = trust.external_access(HOME.parse().unwrap(), organization, inside).unwrap();
        let word = |truth: &Truth| match truth {
            Truth::True => "yes",
            Truth::False => "no",
            Truth::Unknown(_) => "unknown",
        };
        found
            .into_iter()
            .map(|f| (f.principal, word(&f.admitted), f.organizations.into_iter().collect(), f.external_id.is_true()))
            .collect()
    }

    fn allow(principal: &str, condition: &str) -> String {
        format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole","Condition":{condition}}}"#
        )
    }

    #[test]
    fn conditions_are_part_of_who_is_let_in() {
        let known = Organization::Known(OURS.to_owned());
        let not_seen = Organization::NotSeen("not listed".to_owned());
        let outside_caller = "arn:aws:iam::999988887777:root";
        let by_ours = r#"{"StringEquals":{"aws:PrincipalOrgID":"o-ours000000"}}"#;
        let by_theirs = r#"{"StringEquals":{"aws:PrincipalOrgID":"o-theirs0000"}}"#;
        let path = |org: &str| {
            format!(r#"{{"ForAnyValue:StringLike":{{"aws:PrincipalOrgPaths":"{org}/r-ab12/ou-ab12-1/*"}}}}"#)
        };
        let resource_org = r#"{"StringEquals":{"aws:PrincipalOrgID":"${aws:ResourceOrgID}"}}"#;
        let account = |id: &str| format!(r#"{{"StringEquals":{{"aws:PrincipalAccount":"{id}"}}}}"#);
        let arn = |arn: &str| format!(r#"{{"ArnLike":{{"aws:PrincipalArn":"{arn}"}}}}"#);
        let cases: Vec<(&str, String, &Organization, &str)> = vec![
            ("a stranger", allow(outside_caller, "{}"), &known, "999988887777 yes"),
            ("a member", allow("222233334444", "{}"), &known, ""),
            ("the account itself", allow(HOME, "{}"), &known, ""),
            ("a named account under our organization", allow(outside_caller, by_ours), &known, ""),
            (
                "the same, our organization not seen",
                allow(outside_caller, by_ours),
                &not_seen,
                "999988887777 unknown o-ours000000",
            ),
            ("anyone of our organization", allow("*", by_ours), &known, ""),
            ("anyone of our organization by variable", allow("*", resource_org), &known, ""),
            ("anyone of another organization", allow("*", by_theirs), &known, "* yes o-theirs0000"),
            ("the same, and we are in none", allow("*", by_theirs), &Organization::None, "* yes o-theirs0000"),
            ("a path of our organization", allow("*", &path(OURS)), &known, ""),
            ("a path of another", allow("*", &path("o-theirs0000")), &known, "* yes o-theirs0000"),
            (
                "a set operator that holds for nobody's organization",
                allow("*", r#"{"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"o-ours000000/*"}}"#),
                &known,
                "* yes",
            ),
            (
                "if it exists",
                allow("*", r#"{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-ours000000"}}"#),
                &known,
                "* yes",
            ),
            ("any organization", allow("*", r#"{"StringLike":{"aws:PrincipalOrgID":"o-*"}}"#), &known, "* yes"),
            ("one account by condition", allow("*", &account("999988887777")), &known, "999988887777 yes"),
            ("a member by condition", allow("*", &account("222233334444")), &known, ""),
            (
                "one role by condition",
                allow("*", &arn("arn:aws:iam::999988887777:role/ci-*")),
                &known,
                "999988887777 yes",
            ),
            ("a member's role by condition", allow("*", &arn("arn:aws:iam::222233334444:role/ci")), &known, ""),
            ("a role name in any account", allow("*", &arn("arn:aws:iam::*:role/ci")), &known, "* yes"),
            (
                "an account limited to one role",
                allow(outside_caller, &arn("arn:aws:iam::999988887777:role/ci")),
                &known,
                "999988887777 yes",
            ),
            (
                "an account limited to another's role",
                allow(outside_caller, &arn("arn:aws:iam::222233334444:role/ci")),
                &known,
                "",
            ),
            (
                "a role",
                allow("arn:aws:iam::999988887777:role/ci", "{}"),
                &known,
                "arn:aws:iam::999988887777:role/ci yes",
            ),
            ("our VPC", allow("*", r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#), &known, ""),
            (
                "an external id",
                allow(outside_caller, r#"{"StringEquals":{"sts:ExternalId":"x"}}"#),
                &known,
                "999988887777 yes asked",
            ),
            (
                "any external id",
                allow(outside_caller, r#"{"StringLike":{"sts:ExternalId":"*"}}"#),
                &known,
                "999988887777 yes",
            ),
            (
                "a Deny for whoever is not ours",
                format!(
                    r#"{},{{"Effect":"Deny","Principal":"*","Action":"*","Condition":{{"StringNotEquals":{{"aws:PrincipalOrgID":"o-ours000000"}}}}}}"#,
                    allow("*", "{}")
                ),
                &known,
                "",
            ),
            (
                "all but one",
                r#"{"Effect":"Allow","NotPrincipal":{"AWS":"222233334444"},"Action":"sts:AssumeRole"}"#.to_owned(),
                &known,
                "* yes",
            ),
            (
                "an operator that is not known",
                allow("*", r#"{"StringResembles":{"aws:PrincipalOrgID":"o-ours000000"}}"#),
                &known,
                "* unknown",
            ),
        ];
        for (name, statements, organization, expect) in cases {
            let found = outside(&statements, organization);
            let lines = found.iter().map(|(who, admitted, organizations, asked)| {
                let mut words = vec![who.as_str(), admitted];
                words.extend(organizations.iter().map(String::as_str));
                words.extend(asked.then_some("asked"));
                words.join(" ")
            });
            assert_eq!(lines.collect::<Vec<_>>().join("; "), expect, "{name}");
        }
    }

    /// RCPs bind outsiders of a role as they bind those of a bucket: a role whose own policy lets
    /// everyone in is open to whom the RCPs leave in.
    #[test]
    fn resource_control_policies_are_part_of_who_is_let_in() {
        let level = |statements: &str| {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
            let policies = vec![PolicyRef::known("RCP perimeter", &Document::new(&text))];
            let level: Arc<[Level]> = Arc::from([Level { name: "root".into(), policies }]);
            level
        };
        let full = r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#;
        let perimeter = |condition: &str| {
            format!(
                r#"{full},{{"Effect":"Deny","Principal":"*","Action":"sts:*","Resource":"*","Condition":{condition}}}"#
            )
        };
        let outside = |more: &str| {
            perimeter(&format!(r#"{{"StringNotEqualsIfExists":{{"aws:PrincipalOrgID":"o-ours000000"{more}}}}}"#))
        };
        let cases = [
            ("nothing refused", full.to_owned(), "* yes"),
            ("another service", perimeter("{}").replace("sts:*", "s3:*"), "* yes"),
            ("everyone else's", outside(""), ""),
            ("all but a partner", outside(r#","aws:PrincipalAccount":"999988887777""#), "999988887777 yes"),
            (
                "an operator that is not known",
                perimeter(r#"{"StringResembles":{"aws:PrincipalOrgID":"o-x"}}"#),
                "* unknown",
            ),
        ];
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, allow("*", "{}"));
        for (name, rcp, expect) in cases {
            let trust = Trust::new("trust policy", &Document::new(&text)).under(level(&rcp));
            let known = Organization::Known(OURS.to_owned());
            let found = trust.external_access(HOME.parse().unwrap(), &known, |_| false).unwrap();
            let lines: Vec<String> = found
                .iter()
                .map(|access| {
                    format!(
                        "{} {}",
                        access.principal,
                        match access.admitted {
                            Truth::True => "yes",
                            Truth::False => "no",
                            Truth::Unknown(_) => "unknown",
                        }
                    )
                })
                .collect();
            assert_eq!(lines.join("; "), expect, "{name}");
            // What the RCP allows is not what lets anyone in.
            assert!(
                found
                    .iter()
                    .flat_map(|access| &access.by)
                    .all(|site| &*site.source == "trust policy" || site.statement.effect == Effect::Deny),
                "{name}"
            );
        }
    }
}
