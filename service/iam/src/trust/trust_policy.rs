//! Who may assume a role, by its trust policy, and under which conditions.
//!
//! Every answer is a decision of the engine over a context, not a comparison of texts: a question
//! such as "is this limited to a source?" is asked by trying a foreign source. Deny wins. Refuses to
//! know the caller's own policies, and what a service principal stands for.
//!
//! Resource control policies bind who assumes a role as they bind the use of any resource; those
//! above the role's account are asked with the trust policy where they are given. Source:
//! <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html>.

use crate::arn::{AccountId, Arn};
use crate::condition::{Condition, all_hold};
use crate::context::Context;
use crate::evaluate::decision::Decision;
use crate::evaluate::evaluation::Evaluation;
use crate::evaluate::observer::{Ask, MatchingStatements, NoopObserver};
use crate::evaluate::policy_set::{Level, PolicyRef};
use crate::evaluate::request::Request;
use crate::evaluate::requester::Requester;
use crate::evaluate::view::View;
use crate::policy::ast::{Clause, Effect, Principal, Statement};
use crate::policy::compiled::CompiledStatement;
use crate::policy::cost::of_statement;
use crate::policy::document::Document;
use crate::policy::parse::DocumentError;
use crate::policy::site::{Answer, Site, Sites};
use crate::steps::{Exceeded, OF_ASKING, Steps};
use crate::truth::{Truth, Why};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whose steps are counted.
pub(crate) const TRUST: &str = "the trust policy";

/// The STS actions that a trust policy decides on.
pub const STS_ACTIONS: [&str; 6] = [
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:TagSession",
    "sts:SetSourceIdentity",
    "sts:SetContext",
];

/// Whom a statement admits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// `*`: everyone in every account.
    Anyone,
    /// Everyone but these (`NotPrincipal` with Allow).
    AllBut(Vec<String>),
    /// An account: whomever its own policies let.
    Account(AccountId),
    /// A role.
    Role(Arn),
    /// A user.
    User(Arn),
    /// One session of a role, or a federated user.
    Session(Arn),
    /// An AWS service.
    Service(String),
    /// An OIDC provider.
    Oidc(Arn),
    /// A SAML provider.
    Saml(Arn),
    /// Another identity provider, by its host.
    Provider(String),
    /// A unique id, which IAM shows where the role or user is gone.
    DeadId(String),
    /// Something that this version cannot classify.
    Other(String),
}

impl Who {
    pub(crate) fn new(principal: &Principal) -> Self {
        match principal {
            Principal::Everyone => Self::Anyone,
            Principal::Service(name) => Self::Service(name.clone()),
            Principal::CanonicalUser(id) => Self::Other(id.clone()),
            Principal::Other { value, .. } => Self::Other(value.clone()),
            Principal::Federated(text) => match text.parse::<Arn>() {
                Ok(arn) if arn.resource().starts_with("oidc-provider/") => Self::Oidc(arn),
                Ok(arn) if arn.resource().starts_with("saml-provider/") => Self::Saml(arn),
                _ => Self::Provider(text.clone()),
            },
            Principal::Aws(text) => {
                if let Ok(account) = text.parse() {
                    return Self::Account(account);
                }
                if is_unique_id(text) {
                    return Self::DeadId(text.clone());
                }
                let Ok(arn) = text.parse::<Arn>() else { return Self::Other(text.clone()) };
                let kind = arn.resource().split('/').next().unwrap_or_default();
                match (arn.service(), kind, arn.account_id()) {
                    ("iam", "root", Some(account)) => Self::Account(account),
                    ("iam", "role", Some(_)) => Self::Role(arn),
                    ("iam", "user", Some(_)) => Self::User(arn),
                    ("sts", "assumed-role" | "federated-user", Some(_)) => Self::Session(arn),
                    _ => Self::Other(text.clone()),
                }
            }
        }
    }

    /// As a policy would write it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Anyone => "*".to_owned(),
            Self::AllBut(list) => format!("all but {}", list.join(", ")),
            Self::Account(id) => id.to_string(),
            Self::Role(arn) | Self::User(arn) | Self::Session(arn) | Self::Oidc(arn) | Self::Saml(arn) => {
                arn.to_string()
            }
            Self::Service(s) | Self::Provider(s) | Self::DeadId(s) | Self::Other(s) => s.clone(),
        }
    }

    /// The account that it belongs to, where it has one.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Account(id) => Some(*id),
            Self::Role(arn) | Self::User(arn) | Self::Session(arn) | Self::Oidc(arn) | Self::Saml(arn) => {
                arn.account_id()
            }
            _ => None,
        }
    }
}

fn is_unique_id(text: &str) -> bool {
    let prefixed = ["AROA", "AIDA", "AGPA", "ASIA", "AKIA", "AIPA", "ANPA"].iter().any(|p| text.starts_with(p));
    prefixed && text.len() >= 16 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// One principal that one Allow statement admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Who.
    pub who: Who,
    /// For which of [`STS_ACTIONS`].
    pub actions: BTreeSet<&'static str>,
    /// Whether any condition stands in the way that can fail.
    pub conditional: bool,
    /// Whether it is possible at all, after every Deny and whatever its conditions need.
    pub possible: Truth,
    /// The statement; its conditions are in `site.statement.conditions`.
    pub site: Site,
}

/// Whether calls are refused whose keys are not as they should be. See [`Trust::constrained_by`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// True: refused where the keys hold foreign values. False: some statement lets them pass.
    pub foreign: Answer,
    /// True: refused where the keys are absent.
    pub absent: Answer,
}

impl Limit {
    /// Refused in both cases.
    #[must_use]
    pub fn both(&self) -> Truth {
        self.foreign.truth.clone().and(self.absent.truth.clone())
    }
}

/// A role's trust policy, and the resource control policies above it.
#[derive(Debug, Clone)]
pub struct Trust {
    layer: PolicyRef,
    problem: Option<DocumentError>,
    rcps: Arc<[Level]>,
}

impl Trust {
    /// The trust policy in a document. Where it does not parse, every answer is unknown.
    #[must_use]
    pub fn new(source: &str, document: &Document) -> Self {
        let problem = document.parsed.as_ref().err().cloned();
        Self { layer: PolicyRef::known(source, document), problem, rcps: Arc::default() }
    }

    /// The same trust policy under the resource control policies of the role's account, from the root
    /// down: each level must allow.
    #[must_use]
    pub fn under(self, rcps: Arc<[Level]>) -> Self {
        Self { rcps, ..self }
    }

    /// Why it does not parse, if it does not.
    #[must_use]
    pub fn problem(&self) -> Option<&DocumentError> {
        self.problem.as_ref()
    }

    pub(crate) fn statements(&self) -> &[Arc<Statement>] {
        self.layer.policy.as_ref().map_or(&[], |policy| &policy.statements)
    }

    /// The conditions of the trust policy, and of every policy above it.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.every_statement().flat_map(|statement| &statement.conditions)
    }

    fn every_statement(&self) -> impl Iterator<Item = &Arc<Statement>> {
        let above = self.rcps.iter().flat_map(|level| &level.policies).filter_map(|layer| layer.policy.as_ref().ok());
        self.statements().iter().chain(above.flat_map(|policy| &policy.statements))
    }

    /// The steps of asking about one call.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.every_statement().map(|statement| of_statement(statement)).fold(OF_ASKING, usize::saturating_add)
    }

    /// Every principal that an Allow statement names, in the order of the document. Whether one of them
    /// is possible is unknown where it would take too many steps to tell.
    ///
    /// # Errors
    /// A document that does not parse admits nobody knows whom.
    pub fn admissions(&self) -> Result<Vec<Admission>, &DocumentError> {
        if let Some(problem) = &self.problem {
            return Err(problem);
        }
        let mut out = Vec::new();
        let (steps, weight) = (Steps::new(TRUST), self.weight());
        for statement in self.layer.statements(Effect::Allow).map(CompiledStatement::shared) {
            let Some(site) = self.layer.site(statement) else { continue };
            let actions: BTreeSet<_> = STS_ACTIONS.into_iter().filter(|a| statement.names_action(a)).collect();
            let whos: Vec<Who> = match &statement.principals {
                None => Vec::new(),
                Some(Clause::In(list)) => list.iter().map(Who::new).collect(),
                Some(Clause::NotIn(list)) => vec![Who::AllBut(list.iter().map(|p| Who::new(p).text()).collect())],
            };
            for who in whos {
                let possible = match steps.take(weight.saturating_mul(actions.len())) {
                    Ok(()) => self.still_possible(statement, &who, &actions),
                    Err(Exceeded) => Truth::unknown(steps.why()),
                };
                out.push(Admission {
                    possible,
                    who,
                    actions: actions.clone(),
                    conditional: !statement.conditions.iter().all(Condition::is_always_true),
                    site: site.clone(),
                });
            }
        }
        Ok(out)
    }

    /// Whether this statement admits this principal for at least one of the actions.
    fn still_possible(&self, statement: &Arc<Statement>, who: &Who, actions: &BTreeSet<&'static str>) -> Truth {
        let Ok(policy) = &self.layer.policy else { return Truth::False };
        let caller = match who {
            Who::Service(name) => Requester::service(name),
            Who::Role(arn) | Who::User(arn) | Who::Session(arn) => Requester::principal(arn),
            Who::Oidc(arn) | Who::Saml(arn) => Requester::federated(arn.as_str()),
            Who::Provider(host) => Requester::federated(host),
            Who::Account(id) => match format!("arn:aws:iam::{id}:root").parse() {
                Ok(arn) => Requester::Principal { arn, unique_id: None },
                Err(_) => return Truth::False,
            },
            Who::Anyone | Who::AllBut(_) => Requester::Outsider,
            Who::DeadId(_) => return Truth::False,
            Who::Other(text) => {
                return Truth::unknown(Why::NotUnderstood(format!("the principal `{text}` is not understood")));
            }
        };
        let context = caller.context();
        let own = all_hold(&statement.conditions, &context, policy.language()).possible();
        let open = actions.iter().fold(Truth::False, |any, action| {
            let request = Request::plain(caller.clone(), action, "*", context.clone());
            let denied = self.evaluation(&request, Ask::Possibly).gather(&mut MatchingStatements::default()).denied;
            any.or(!denied)
        });
        own.and(open)
    }

    fn evaluation<'r, 'a>(&'a self, request: &'r Request, ask: Ask) -> Evaluation<'r, 'a> {
        // Service-linked roles are bound by no resource control policy.
        let rcps: &'a [Level] = if request.is_service_linked_role() { &[] } else { &self.rcps };
        let view = View { trust: Some(&self.layer), rcp: Some(rcps), ..View::NOTHING };
        Evaluation { ask, ..Evaluation::new(request, view) }
    }

    /// Whether the policy may let in one role of an account and not another, of those that no principal
    /// of an Allow names: by a condition on who asks, or by a Deny that names roles. Never wrongly no.
    #[must_use]
    pub fn tells_roles_apart(&self) -> bool {
        let named = |principal: &Principal| {
            matches!(Who::new(principal), Who::Role(_) | Who::Session(_) | Who::DeadId(_) | Who::Other(_))
        };
        self.every_statement().any(|statement| {
            let denies = statement.effect == Effect::Deny;
            let principals = statement.principals.as_ref();
            statement.tells_roles_apart()
                || principals.is_some_and(|clause| (denies || clause.is_not()) && clause.elements().iter().any(named))
        })
    }

    /// Whether no Deny and no condition stands anywhere in the policy, for this action.
    #[must_use]
    pub fn is_unconditional(&self, action: &str) -> bool {
        let mut naming = self.statements().iter().filter(|statement| statement.names_action(action));
        naming.all(|statement| statement.effect == Effect::Allow && statement.conditions.is_empty())
    }

    /// Whether a call is allowed, in a context. What is known of the caller is added to the context
    /// where it says nothing; `sts:TagSession` and `sts:SetSourceIdentity` are actions of their own.
    #[must_use]
    pub fn decide(&self, caller: &Requester, action: &str, context: &Context) -> Decision<'_> {
        let request = Request::plain(caller.clone(), action, "*", caller.known(context.clone()));
        let gathered = self.evaluation(&request, Ask::Whether).gather(&mut NoopObserver);
        let allowed = gathered.granted().and(gathered.outer.clone());
        gathered.decision(allowed)
    }

    /// Whether there are Allows for the call, and all of them name the caller by its account only: the
    /// account's own policies must then allow it too. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>.
    #[must_use]
    pub fn admits_by_account_only(&self, caller: &Requester, action: &str, context: &Context) -> bool {
        let request = Request::plain(caller.clone(), action, "*", caller.known(context.clone()));
        let mut statements = MatchingStatements::default();
        self.evaluation(&request, Ask::Whether).gather(&mut statements);
        statements.all_by_account()
    }

    /// Whether the caller can be admitted at all, by some value of the conditions' keys.
    #[must_use]
    pub fn admits(&self, caller: &Requester, action: &str) -> Answer {
        self.admits_in(caller, action, &caller.context())
    }

    /// As [`Trust::admits`], where some keys are known.
    #[must_use]
    pub fn admits_in(&self, caller: &Requester, action: &str, context: &Context) -> Answer {
        let request = Request::plain(caller.clone(), action, "*", context.clone());
        let mut statements = MatchingStatements::default();
        let gathered = self.evaluation(&request, Ask::Possibly).gather(&mut statements);
        let denied = gathered.denied.is_true();
        let truth = gathered.granted().and(gathered.outer).and(!gathered.denied);
        Answer { by: statements.deciding(denied, truth.is_true()), truth }
    }

    /// As [`Trust::admits_in`], by a statement that names the caller itself, its role or everyone: within
    /// one account the caller needs no permission of its own then.
    #[must_use]
    pub fn admits_by_name(&self, caller: &Requester, action: &str, context: &Context) -> Answer {
        let request = Request::plain(caller.clone(), action, "*", context.clone());
        let mut sites = MatchingStatements::default();
        let gathered = self.evaluation(&request, Ask::Possibly).gather(&mut sites);
        let denied = gathered.denied.is_true();
        let truth = gathered.direct.or(gathered.role).and(gathered.outer).and(!gathered.denied);
        Answer { by: sites.deciding(denied, truth.is_true()), truth }
    }

    /// Whether an AWS service can be admitted at all.
    #[must_use]
    pub fn admits_service(&self, service: &str, action: &str) -> Answer {
        self.admits(&Requester::service(service), action)
    }

    /// Whether the caller's calls are limited by these condition keys together: a call that needs
    /// all the actions is tried in which every one of the keys holds a foreign value, and one in
    /// which every one is absent, all other keys being free.
    ///
    /// So `StringLike: "*"` does not limit, a blacklist does not limit, and a Deny with
    /// `StringNotEquals` does. A caller that is not admitted at all counts as limited.
    #[must_use]
    pub fn constrained_by(&self, caller: &Requester, actions: &[&str], keys: &[&str]) -> Limit {
        // The role's own side is not foreign, so that `${aws:ResourceAccount}` is not free to agree.
        let home = caller
            .context()
            .or_set("aws:ResourceAccount", "999999999999")
            .or_set("aws:ResourceOrgID", "o-home")
            .or_set("aws:ResourceOrgPaths", "o-home/r-home/");
        let absent = keys.iter().fold(home.clone(), |context, key| context.absent(key));
        let foreign: Vec<(&str, Vec<String>)> = keys.iter().map(|key| (*key, self.foreign_values(key))).collect();
        let probes = foreign.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
        let (steps, weight) = (Steps::new(TRUST), self.weight().saturating_mul(actions.len()));
        let mut refused = Answer::bare(Truth::True);
        for probe in 0..probes {
            if steps.take(weight).is_err() {
                refused.truth = refused.truth.and(Truth::unknown(steps.why()));
                break;
            }
            let context = foreign.iter().fold(home.clone(), |context, (key, values)| {
                let value = values.get(probe).or(values.last()).map(String::as_str).unwrap_or_default();
                context.set(key, [value])
            });
            let answer = self.refused(caller, actions, &context);
            if probe == 0 || !(refused.truth.is_false() || answer.truth.is_true()) {
                refused = answer;
            }
        }
        Limit { foreign: refused, absent: self.refused(caller, actions, &absent) }
    }

    fn refused(&self, caller: &Requester, actions: &[&str], context: &Context) -> Answer {
        let mut truth = Truth::True;
        let mut by = Sites::default();
        for action in actions {
            let answer = self.admits_in(caller, action, context);
            truth = truth.and(answer.truth);
            by.add(answer.by);
        }
        Answer { truth: !truth, by: by.list }
    }

    /// Values that nothing of ours has. Where the policy compares ARNs, ARNs of the same kind in
    /// another region and account, so that a pattern open in just these segments lets them pass.
    fn foreign_values(&self, key: &str) -> Vec<String> {
        let lower = key.to_ascii_lowercase();
        let mut out = BTreeSet::new();
        for condition in self.conditions().filter(|c| c.key.eq_ignore_ascii_case(key)) {
            out.extend(condition.values.iter().filter_map(|value| foreign_arn(value)));
        }
        if lower.ends_with("account") {
            return vec!["000000000000".to_owned()];
        }
        if out.is_empty() {
            out.insert(if lower.ends_with("arn") {
                "arn:aws:nowhere:xx-nowhere-1:000000000000:nowhere/nowhere".to_owned()
            } else {
                "nowhere".to_owned()
            });
        }
        out.into_iter().collect()
    }

    /// Whether the caller needs to send an external id of a certain value; `None` where it is not
    /// admitted for `sts:AssumeRole` at all.
    #[must_use]
    pub fn requires_external_id(&self, caller: &Requester) -> Option<Answer> {
        if self.admits(caller, "sts:AssumeRole").truth.is_false() {
            return None;
        }
        let limit = self.constrained_by(caller, &["sts:AssumeRole"], &["sts:ExternalId"]);
        let truth = limit.both();
        let by = if limit.foreign.truth.is_true() { limit.absent.by } else { limit.foreign.by };
        Some(Answer { truth, by })
    }
}

fn foreign_arn(value: &str) -> Option<String> {
    let arn: Arn = value.parse().ok()?;
    let fixed = |segment: &str, otherwise: &str| {
        if segment.contains(['*', '?', '$']) { otherwise.to_owned() } else { segment.to_owned() }
    };
    let moved = |segment: &str, elsewhere: &'static str| if segment.is_empty() { "" } else { elsewhere };
    let name = match arn.resource().split_once(['/', ':']) {
        Some((kind, _)) if !kind.contains(['*', '?', '$']) => format!("{kind}/nowhere"),
        _ => "nowhere/nowhere".to_owned(),
    };
    Some(format!(
        "arn:{}:{}:{}:{}:{name}",
        fixed(arn.partition(), "aws"),
        fixed(arn.service(), "nowhere"),
        moved(arn.region(), "xx-nowhere-1"),
        moved(arn.account(), "000000000000"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::decision::Outcome;

    const PODS: &str = "pods.eks.amazonaws.com";

    fn trust(statements: &str) -> Trust {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let document = Document::new(&text);
        assert!(document.parsed.is_ok(), "{:?}", document.parsed);
        Trust::new("trust policy", &document)
    }

    fn pods(condition: &str) -> Trust {
        trust(&format!(
            r#"{{"Effect":"Allow","Principal":{{"Service":"{PODS}"}},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{condition}}}"#
        ))
    }

    fn limited(trust: &Trust, keys: &[&str]) -> (Truth, Truth) {
        let limit = trust.constrained_by(&Requester::service(PODS), &["sts:AssumeRole"], keys);
        (limit.foreign.truth, limit.absent.truth)
    }

    const SOURCE: [&str; 3] = ["aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgId"];

    #[test]
    fn whom_a_policy_admits_is_classified() {
        let trust = trust(
            r#"{"Effect":"Allow","Action":"sts:*","Principal":{"AWS":["*","111122223333","arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:role/a/b","arn:aws:iam::111122223333:user/u","arn:aws:sts::111122223333:assumed-role/r/s",
            "AROAEXAMPLEEXAMPLE123"],"Service":"ec2.amazonaws.com","Federated":["arn:aws:iam::111122223333:oidc-provider/x",
            "arn:aws:iam::111122223333:saml-provider/y","cognito-identity.amazonaws.com"]}}"#,
        );
        let admissions = trust.admissions().unwrap();
        let dead = admissions.iter().find(|a| matches!(a.who, Who::DeadId(_))).unwrap();
        assert!(dead.possible.is_false());
        let kinds: Vec<bool> = vec![
            matches!(admissions[0].who, Who::Anyone),
            matches!(admissions[1].who, Who::Account(_)),
            matches!(admissions[2].who, Who::Account(_)),
            matches!(admissions[3].who, Who::Role(_)),
            matches!(admissions[4].who, Who::User(_)),
            matches!(admissions[5].who, Who::Session(_)),
            matches!(admissions[7].who, Who::Service(_)),
            matches!(admissions[8].who, Who::Oidc(_)),
            matches!(admissions[9].who, Who::Saml(_)),
            matches!(admissions[10].who, Who::Provider(_)),
        ];
        assert!(kinds.iter().all(|k| *k), "{admissions:?}");
        assert!(admissions.iter().all(|a| a.actions.len() == STS_ACTIONS.len() && !a.conditional));
    }

    #[test]
    fn a_source_condition_limits_and_an_empty_one_does_not() {
        let limits = [
            r#"{"StringEquals":{"aws:SourceAccount":"111122223333"}}"#,
            r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:eks:eu-west-1:111122223333:cluster/prod"}}"#,
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:eks:*:111122223333:cluster/*"}}"#,
            r#"{"StringEquals":{"aws:SourceOrgId":"${aws:ResourceOrgId}"}}"#,
        ];
        for condition in limits {
            assert_eq!(limited(&pods(condition), &SOURCE), (Truth::True, Truth::True), "{condition}");
        }
        let passes = [
            r#"{}"#,
            r#"{"StringLike":{"aws:SourceAccount":"*"}}"#,
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:eks:*:*:cluster/*"}}"#,
            r#"{"StringNotEquals":{"aws:SourceAccount":"111122223333"}}"#,
            r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay"}}"#,
            r#"{"Bool":{"aws:PrincipalIsAWSService":"true"}}"#,
        ];
        for condition in passes {
            assert!(limited(&pods(condition), &SOURCE).0.is_false(), "{condition}");
        }
    }

    #[test]
    fn a_deny_limits_as_well() {
        let trust = trust(&format!(
            r#"{{"Effect":"Allow","Principal":{{"Service":"{PODS}"}},"Action":["sts:AssumeRole","sts:TagSession"]}},
               {{"Sid":"guard","Effect":"Deny","Principal":"*","Action":"sts:AssumeRole",
                "Condition":{{"StringNotEquals":{{"aws:SourceAccount":"111122223333"}}}}}}"#
        ));
        assert_eq!(limited(&trust, &SOURCE), (Truth::True, Truth::True));
        let decision = trust.decide(&Requester::service(PODS), "sts:AssumeRole", &Context::closed());
        assert_eq!(decision.outcome, Outcome::DenyExplicit);
        assert_eq!(decision.by.unwrap().statement.sid.as_deref(), Some("guard"));
        assert!(trust.admits_service(PODS, "sts:AssumeRole").truth.is_true());
    }

    #[test]
    fn each_statement_must_limit_where_several_admit() {
        let trust = trust(&format!(
            r#"{{"Effect":"Allow","Principal":{{"Service":"{PODS}"}},"Action":"sts:AssumeRole",
                "Condition":{{"StringEquals":{{"aws:SourceAccount":"111122223333"}}}}}},
               {{"Effect":"Allow","Principal":{{"Service":"{PODS}"}},"Action":"sts:AssumeRole",
                "Condition":{{"ArnLike":{{"aws:SourceArn":"arn:aws:eks:*:111122223333:cluster/x"}}}}}}"#
        ));
        assert!(limited(&trust, &SOURCE).0.is_true());
        let one = trust.constrained_by(&Requester::service(PODS), &["sts:AssumeRole"], &["aws:SourceArn"]);
        assert!(one.foreign.truth.is_false());
        assert_eq!(one.foreign.by[0].pointer(), "/Statement/0");
    }

    #[test]
    fn if_exists_limits_foreign_values_but_not_absent_keys() {
        let tag = ["aws:RequestTag/kubernetes-namespace"];
        let trust = pods(r#"{"StringEqualsIfExists":{"aws:RequestTag/kubernetes-namespace":"pay"}}"#);
        assert_eq!(limited(&trust, &tag), (Truth::True, Truth::False));
        let all = pods(r#"{"ForAllValues:StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay"}}"#);
        assert_eq!(limited(&all, &tag), (Truth::True, Truth::False));
    }

    #[test]
    fn keys_that_a_service_never_sends_admit_nothing() {
        let invented = pods(r#"{"StringEquals":{"k8s.io/pod/namespace":"default"}}"#);
        assert!(invented.admits_service(PODS, "sts:AssumeRole").truth.is_false());
        let external = pods(r#"{"StringEquals":{"sts:ExternalId":"x"}}"#);
        assert!(external.admits_service(PODS, "sts:AssumeRole").truth.is_false());
        let strange = pods(r#"{"StringResembles":{"aws:SourceAccount":"x"}}"#);
        assert!(matches!(strange.admits_service(PODS, "sts:AssumeRole").truth, Truth::Unknown(_)));
    }

    #[test]
    fn an_external_id_is_required_only_if_every_way_in_asks_for_it() {
        let vendor: Arn = "arn:aws:iam::444455556666:role/vendor".parse().unwrap();
        let caller = Requester::principal(&vendor);
        let asked = trust(
            r#"{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"s3cret"}}}"#,
        );
        assert_eq!(asked.requires_external_id(&caller).unwrap().truth, Truth::True);
        let any = trust(
            r#"{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole","Condition":{"StringLike":{"sts:ExternalId":"*"}}}"#,
        );
        assert_eq!(any.requires_external_id(&caller).unwrap().truth, Truth::False);
        assert!(asked.requires_external_id(&Requester::service(PODS)).is_none());
    }

    #[test]
    fn accounts_roles_sessions_and_ids_are_named_as_iam_names_them() {
        let role: Arn = "arn:aws:iam::111122223333:role/team/api".parse().unwrap();
        let session: Arn = "arn:aws:sts::111122223333:assumed-role/api/s".parse().unwrap();
        let allowed = |principal: &str, caller: &Requester| {
            let trust = trust(&format!(
                r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}"#
            ));
            let is_allowed = trust.decide(caller, "sts:assumerole", &Context::closed()).outcome == Outcome::Allow;
            (is_allowed, trust.admits_by_account_only(caller, "sts:assumerole", &Context::closed()))
        };
        let caller = Requester::principal(&role);
        assert_eq!(allowed("111122223333", &caller), (true, true));
        assert_eq!(allowed("arn:aws:iam::111122223333:root", &caller), (true, true));
        assert_eq!(allowed(role.as_str(), &caller), (true, false));
        assert_eq!(allowed("*", &caller), (true, false));
        assert_eq!(allowed("arn:aws:iam::111122223333:role/api", &caller), (false, false));
        assert_eq!(allowed("444455556666", &caller), (false, false));
        assert_eq!(allowed("AROAEXAMPLEEXAMPLE123", &caller), (false, false));
        assert_eq!(allowed("AROAEXAMPLEEXAMPLE123", &caller.with_unique_id("AROAEXAMPLEEXAMPLE123")), (true, false));
        assert_eq!(allowed(role.as_str(), &Requester::principal(&session)), (true, false));
        assert_eq!(allowed(session.as_str(), &Requester::principal(&session)), (true, false));
    }

    #[test]
    fn what_does_not_parse_decides_nothing() {
        let trust = Trust::new("trust policy", &Document::new("{"));
        assert!(trust.problem().is_some() && trust.admissions().is_err());
        let answer = trust.admits_service(PODS, "sts:AssumeRole");
        assert!(answer.truth.reasons()[0].contains("trust policy could not be read"));
        assert!(matches!(limited(&trust, &SOURCE).0, Truth::Unknown(_)));
    }
}
