//! Why a request is decided as it is: what every layer says, which statements decide, and what
//! would have to change for a refused request to be allowed.
//!
//! The outcome is that of [`decide`]: this module reads the same evaluation,
//! and tells what it saw. Refuses to say what should be changed.

use crate::condition::Condition;
use crate::context::ContextValue;
use crate::evaluate::decide::decide;
use crate::evaluate::decision::Outcome;
use crate::evaluate::evaluation::{Evaluation, Gathered};
use crate::evaluate::explanation::{
    Change, Explanation, PolicyEffect, PolicyExplanation, RequiredChange, StatementMatch,
};
use crate::evaluate::observer::{Observer, Place};
use crate::evaluate::policy_set::{PolicyRef, PolicySet};
use crate::evaluate::principal_match::PrincipalMatch;
use crate::evaluate::request::Request;
use crate::evaluate::requester::Kind;
use crate::evaluate::view::View;
use crate::policy::ast::{Clause, Effect, Principal, Statement};
use crate::policy::cost::of_statement;
use crate::policy::policy_type::PolicyType;
use crate::steps::Steps;
use crate::truth::{Truth, Why};
use crate::version::Version;
use std::sync::Arc;

/// Decides a request and tells why; unknown where it would take too many steps to tell.
#[must_use]
pub fn explain(request: &Request, layers: &PolicySet) -> Explanation {
    explain_within(request, layers, &Steps::new("the policies that decide the request"))
}

/// As [`explain`], in no more than these steps.
#[must_use]
pub fn explain_within(request: &Request, layers: &PolicySet, steps: &Steps) -> Explanation {
    if steps.take(weight(request, layers)).is_err() {
        let why = steps.why();
        return Explanation {
            outcome: Outcome::Unknown,
            because: why.to_string(),
            reasons: vec![why],
            policies: Vec::new(),
            minimal_changes: Vec::new(),
        };
    }
    let decision = decide(request, layers);
    let evaluation = Evaluation::new(request, View::new(request, layers));
    let mut seen = Seen::default();
    let gathered = evaluation.gather(&mut seen);
    let explainer = Explainer { evaluation, seen, layers };
    let places = explainer.places();
    let answers = places.iter().map(|place| explainer.answer(place)).chain(explainer.not_applied()).collect();
    let minimal_changes = match decision.outcome {
        Outcome::Allow | Outcome::Unknown => Vec::new(),
        Outcome::DenyExplicit => explainer.denials(),
        Outcome::DenyImplicit => explainer.misses(&gathered, &places),
    };
    let because = match decision.outcome {
        Outcome::Allow => match decision.by {
            Some(by) => format!("{} allows it, and nothing refuses it", called(by.layer, by.statement)),
            None if request.kind() == Kind::Root => "it is the account's root, and nothing refuses it".to_owned(),
            None => "AWS allows it to everyone".to_owned(),
        },
        Outcome::Unknown => decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        _ => minimal_changes.iter().map(|change| change.text.as_str()).collect::<Vec<_>>().join("; "),
    };
    Explanation { outcome: decision.outcome, because, reasons: decision.reasons, policies: answers, minimal_changes }
}

/// The steps of reading every statement, and of asking it about the request. A resource that is asked for
/// with wildcards is laid over each pattern letter by letter.
fn weight(request: &Request, layers: &PolicySet) -> usize {
    let resource = request.resource();
    let of_resource = if resource.asked().is_some() { 1 + resource.as_str().len() } else { 1 };
    let statements = layers.each().flat_map(PolicyRef::compiled);
    let each = statements.map(|statement| {
        let asking = of_statement(statement).saturating_mul(of_resource);
        asking.saturating_add(statement.compiling_steps())
    });
    each.fold(0, usize::saturating_add)
}

/// `statement 2 (Sid) of inline policy x`.
fn called(layer: &PolicyRef, statement: &Statement) -> String {
    let sid = statement.sid.as_deref().map(|sid| format!(" (`{sid}`)")).unwrap_or_default();
    format!("statement {}{sid} of {}", statement.index, layer.source())
}

fn deciding(layer: &PolicyRef, statement: &Statement, certain: bool) -> StatementMatch {
    StatementMatch {
        source: layer.source().to_owned(),
        document: layer.digest,
        index: statement.index,
        sid: statement.sid.clone(),
        pointer: statement.pointer.clone(),
        denies: statement.effect == Effect::Deny,
        certain,
    }
}

fn listed<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match items.as_slice() {
        [] => "nothing".to_owned(),
        [first, .., last] if items.len() > 5 => format!("{first}, … {last} ({} in all)", items.len()),
        all => all.join(", "),
    }
}

/// A statement that names the action, and how far it matches.
struct Record<'a> {
    place: Place,
    layer: &'a PolicyRef,
    statement: &'a Arc<Statement>,
    matched: PrincipalMatch,
    truth: Truth,
}

#[derive(Default)]
struct Seen<'a> {
    records: Vec<Record<'a>>,
    missed: Vec<(Place, Why)>,
}

impl<'a> Observer<'a> for Seen<'a> {
    const WHOLE: bool = true;

    fn saw(
        &mut self,
        place: Place,
        layer: &'a PolicyRef,
        statement: &'a Arc<Statement>,
        matched: PrincipalMatch,
        truth: &Truth,
    ) {
        self.records.push(Record { place, layer, statement, matched, truth: truth.clone() });
    }

    fn missed(&mut self, place: Place, _: &'a PolicyRef, why: &Why) {
        self.missed.push((place, why.clone()));
    }
}

/// A place in play, with its name and whether any policy is there.
struct Named {
    place: Place,
    name: String,
    empty: bool,
}

struct Explainer<'r, 'a> {
    evaluation: Evaluation<'r, 'a>,
    seen: Seen<'a>,
    layers: &'a PolicySet,
}

impl<'a> Explainer<'_, 'a> {
    fn request(&self) -> &Request {
        self.evaluation.request
    }

    /// Every place in play, in AWS's order.
    fn places(&self) -> Vec<Named> {
        let view = &self.evaluation.view;
        let mut out = Vec::new();
        for (kind, levels, word) in [(PolicyType::Rcp, view.rcp, "RCP"), (PolicyType::Scp, view.scp, "SCP")] {
            if let Some(levels) = levels {
                out.extend(levels.iter().enumerate().map(|(at, level)| Named {
                    place: Place { kind, at },
                    name: format!("{word} level `{}`", level.name),
                    empty: level.policies.is_empty(),
                }));
            }
        }
        let source = |layer: &PolicyRef| layer.source().to_owned();
        for (kind, layer) in [(PolicyType::Trust, view.trust), (PolicyType::Resource, view.resource)] {
            out.extend(layer.map(|layer| Named { place: Place { kind, at: 0 }, name: source(layer), empty: false }));
        }
        if let Some(list) = view.identity {
            let place = Place { kind: PolicyType::Identity, at: 0 };
            out.push(Named { place, name: "identity policies".to_owned(), empty: list.is_empty() });
        }
        out.extend(view.boundary.iter().enumerate().map(|(at, layer)| Named {
            place: Place { kind: PolicyType::Boundary, at },
            name: source(layer),
            empty: false,
        }));
        for (kind, list) in [(PolicyType::Session, view.session), (PolicyType::VpcEndpoint, view.vpc_endpoint)] {
            let name = list.iter().map(PolicyRef::source).collect::<Vec<_>>().join(", ");
            if !list.is_empty() {
                out.push(Named { place: Place { kind, at: 0 }, name, empty: false });
            }
        }
        out
    }

    fn at(&self, place: Place) -> impl Iterator<Item = &Record<'a>> {
        self.seen.records.iter().filter(move |record| record.place == place)
    }

    /// Whether something in a place allows, and whether something denies.
    fn truths(&self, place: Place) -> (Truth, Truth) {
        let open = self
            .seen
            .missed
            .iter()
            .filter(|(at, _)| *at == place)
            .fold(Truth::False, |any, (_, why)| any.or(Truth::unknown(why.clone())));
        self.at(place).fold((open.clone(), open), |(allow, deny), record| match record.statement.effect {
            Effect::Allow => (allow.or(record.truth.clone()), deny),
            Effect::Deny => (allow, deny.or(record.truth.clone())),
        })
    }

    fn answer(&self, named: &Named) -> PolicyExplanation {
        let place = named.place;
        let (allow, deny) = self.truths(place);
        let effect = match (&deny, &allow) {
            (Truth::True, _) => PolicyEffect::ExplicitDeny,
            (Truth::Unknown(_), _) | (_, Truth::Unknown(_)) => PolicyEffect::Unknown,
            (_, Truth::True) => PolicyEffect::Allow,
            _ => PolicyEffect::ImplicitDeny,
        };
        let wanted = |record: &&Record<'_>| match effect {
            PolicyEffect::ExplicitDeny => record.statement.effect == Effect::Deny && record.truth.is_true(),
            PolicyEffect::Allow => record.statement.effect == Effect::Allow && record.truth.is_true(),
            _ => !record.truth.is_false(),
        };
        let records: Vec<&Record<'_>> = self.at(place).filter(wanted).collect();
        let first = records.first().map(|r| called(r.layer, r.statement)).unwrap_or_default();
        let because = match effect {
            PolicyEffect::ExplicitDeny => format!("{first} denies it"),
            PolicyEffect::Allow => {
                let account = records.iter().all(|r| r.matched == PrincipalMatch::Account);
                format!("{first} allows it{}", if account { " to those whom the account itself lets" } else { "" })
            }
            // An Allow that is certain settles nothing while a Deny is open.
            PolicyEffect::Unknown => {
                let open = if matches!(deny, Truth::Unknown(_)) { deny } else { allow };
                open.reasons().join("; ")
            }
            PolicyEffect::ImplicitDeny | PolicyEffect::NotApplicable => self.miss(named).text,
        };
        let statements = records.iter().map(|r| deciding(r.layer, r.statement, r.truth.is_true())).collect();
        PolicyExplanation { policy_type: place.kind, name: named.name.clone(), effect, because, statements }
    }

    /// Policies that were given but do not bind this request.
    fn not_applied(&self) -> impl Iterator<Item = PolicyExplanation> {
        let (request, given) = (self.request(), self.layers);
        let own = request.has_own_policies();
        let linked = request.is_service_linked_role();
        let rcp_bound = self.evaluation.view.rcp.is_some();
        let who = if linked { "it does not bind service-linked roles" } else { "it binds users and roles only" };
        let service = "resource control policies do not cover the service";
        [
            (given.scp.is_some() && (!own || linked), PolicyType::Scp, "SCPs", who),
            (given.rcp.is_some() && !rcp_bound, PolicyType::Rcp, "RCPs", if linked { who } else { service }),
            (given.identity.is_some() && !own, PolicyType::Identity, "identity policies", who),
            (given.boundary.is_some() && !own, PolicyType::Boundary, "permissions boundary", who),
            (given.session.is_some() && !own, PolicyType::Session, "session policy", who),
            (
                given.trust.is_some() && self.evaluation.view.trust.is_none(),
                PolicyType::Trust,
                "trust policy",
                "it decides only on taking the role on",
            ),
        ]
        .into_iter()
        .filter(|(given, ..)| *given)
        .map(|(_, policy_type, name, because)| PolicyExplanation {
            policy_type,
            name: name.to_owned(),
            effect: PolicyEffect::NotApplicable,
            because: because.to_owned(),
            statements: Vec::new(),
        })
    }

    fn denials(&self) -> Vec<RequiredChange> {
        let denies = self.seen.records.iter().filter(|r| r.statement.effect == Effect::Deny && r.truth.is_true());
        let miss = |record: &Record<'_>| RequiredChange {
            policy_type: record.place.kind,
            text: format!("{} denies it", called(record.layer, record.statement)),
            change: Change::Denied { statement: deciding(record.layer, record.statement, true) },
        };
        denies.map(miss).collect()
    }

    /// The places that must allow and do not, each with its nearest miss.
    fn misses(&self, gathered: &Gathered<'a>, places: &[Named]) -> Vec<RequiredChange> {
        let request = self.request();
        if let Some(never) = request.never_allowed() {
            let text = never.text().to_owned();
            return vec![RequiredChange { policy_type: PolicyType::Identity, change: Change::Never, text }];
        }
        let own = request.has_own_policies();
        let across = own && request.account() != request.resource_account();
        let on_resource = |kind| matches!(kind, PolicyType::Resource | PolicyType::Trust);
        let needs_resource = !own || across || self.evaluation.needs_resource_policy();
        // Whether nothing on the resource makes up for what the requester's own policies lack.
        let by_identity = across || (gathered.direct.is_false() && gathered.role.is_false());
        let mut out = Vec::new();
        for named in places {
            let kind = named.place.kind;
            let needed = match kind {
                PolicyType::Scp | PolicyType::Rcp | PolicyType::VpcEndpoint => true,
                PolicyType::Resource | PolicyType::Trust => needs_resource && gathered.granted().is_false(),
                PolicyType::Identity => gathered.identity.is_false() && by_identity,
                PolicyType::Boundary | PolicyType::Session => true,
            };
            if needed && self.truths(named.place).0.is_false() {
                out.push(self.miss(named));
            }
        }
        let absent =
            |kind: PolicyType, text: String| RequiredChange { policy_type: kind, change: Change::NoPolicy, text };
        if needs_resource && !places.iter().any(|named| on_resource(named.place.kind)) {
            let trust = request.action().service() == "sts";
            let kind = if trust { PolicyType::Trust } else { PolicyType::Resource };
            let what = if trust { "the role's trust policy" } else { "a policy on the resource" };
            let why = if across { ", since it is another account's" } else { "" };
            out.push(absent(kind, format!("{what} must allow it{why}, and there is none")));
        }
        let identity = self.evaluation.view.identity.is_none() && own && gathered.identity.is_false();
        if identity && by_identity {
            out.push(absent(PolicyType::Identity, "no identity policy allows it, and there is none".to_owned()));
        }
        if self.evaluation.view.given_none {
            let text = "a federated user without a session policy has only what names it directly".to_owned();
            out.push(absent(PolicyType::Session, text));
        }
        out
    }

    /// The nearest miss of a place that does not allow.
    fn miss(&self, named: &Named) -> RequiredChange {
        let layer = named.place.kind;
        let allows = self.at(named.place).filter(|record| record.statement.effect == Effect::Allow);
        let nearest = allows.map(|record| self.failing(record)).min_by_key(|(failures, _)| *failures);
        if let Some((_, mut miss)) = nearest {
            miss.policy_type = layer;
            return miss;
        }
        let action = self.request().action().as_str().to_owned();
        if named.empty {
            let text = match layer {
                PolicyType::Identity => "there is no identity policy".to_owned(),
                _ => format!("{} has no policy, which allows nothing", named.name),
            };
            return RequiredChange { policy_type: layer, change: Change::NoPolicy, text };
        }
        let text = match layer {
            PolicyType::Identity => format!("no identity policy allows `{action}` on anything"),
            _ => format!("{} allows `{action}` on nothing", named.name),
        };
        RequiredChange { policy_type: layer, change: Change::ActionNotNamed { action }, text }
    }

    /// How many parts of an Allow do not match, and what the first of them is: a smaller number is
    /// a nearer miss, and a condition is nearer than a resource, and that than a principal.
    fn failing(&self, record: &Record<'a>) -> (usize, RequiredChange) {
        let (layer, statement) = (record.layer, record.statement);
        let at = || deciding(layer, statement, false);
        let language = layer.policy.as_ref().map_or(Version::V2008, |policy| policy.language());
        let context = self.request().context();
        let but = |what: String| format!("{} matches but for {what}", called(layer, statement));
        let mut failures: Vec<(usize, Change, String)> = Vec::new();
        for condition in statement.conditions.iter().filter(|c| !c.holds(context, language).is_true()) {
            let (got, text) = self.held(condition);
            let change = Change::Condition {
                statement: at(),
                pointer: condition.pointer.clone(),
                operator: condition.operator.as_str().to_owned(),
                key: condition.key.to_string(),
                wanted: condition.values.clone(),
                got,
            };
            failures.push((2, change, but(text)));
        }
        if record.place.kind != PolicyType::Trust
            && !self.evaluation.names_resource(record.place.kind, statement, language).is_true()
        {
            let clause = statement.resources.as_ref();
            let wanted: Vec<String> =
                clause.into_iter().flat_map(Clause::elements).map(|p| p.as_str().to_owned()).collect();
            let got = self.request().resource().as_str().to_owned();
            let not = if clause.is_some_and(Clause::is_not) { "all but " } else { "" };
            let named = listed(wanted.iter().map(String::as_str));
            let text = but(format!("its resources: it names {not}{named}, not `{got}`"));
            failures.push((3, Change::Resource { statement: at(), wanted, got }, text));
        }
        if !self.evaluation.principal_match(record.place.kind, statement).1.is_true() {
            let clause = statement.principals.as_ref();
            let wanted: Vec<String> = clause.into_iter().flat_map(Clause::elements).map(principal).collect();
            let got = self.request().principal().text().to_owned();
            let not = if clause.is_some_and(Clause::is_not) { "all but " } else { "" };
            let named = listed(wanted.iter().map(String::as_str));
            let text = but(format!("its principals: it names {not}{named}, not `{got}`"));
            failures.push((4, Change::Principal { statement: at(), wanted, got }, text));
        }
        let cost = failures.iter().map(|(cost, ..)| cost).sum();
        let more = failures.len().saturating_sub(1);
        let first = failures.into_iter().next();
        let (change, text) = first.map_or((Change::NoPolicy, String::new()), |(_, change, text)| (change, text));
        let text = if more == 0 { text } else { format!("{text}, and {more} more") };
        (cost, RequiredChange { policy_type: record.place.kind, change, text })
    }

    /// What the request has for a condition's key, and what is wrong with it.
    fn held(&self, condition: &Condition) -> (Option<Vec<String>>, String) {
        let got = match self.request().context().get(&condition.key) {
            ContextValue::Known(values) | ContextValue::List(values) => Some(values.to_vec()),
            _ => None,
        };
        let has = match &got {
            Some(values) => format!("it is {}", listed(values.iter().map(String::as_str))),
            None => "the request does not have it".to_owned(),
        };
        let wanted = listed(condition.values.iter().map(String::as_str));
        (got, format!("the condition `{}` of {wanted} on `{}`: {has}", condition.operator.as_str(), condition.key))
    }
}

fn principal(principal: &Principal) -> String {
    match principal {
        Principal::Everyone => "*".to_owned(),
        Principal::Aws(text) | Principal::Service(text) | Principal::Federated(text) => text.clone(),
        Principal::CanonicalUser(text) => text.clone(),
        Principal::Other { value, .. } => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::evaluate::policy_set::Level;
    use crate::evaluate::requester::Requester;
    use crate::policy::document::Document;

    fn layer(source: &str, statements: &str) -> PolicyRef {
        PolicyRef::known(source, &Document::new(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)))
    }

    fn request(action: &str, resource: &str, context: Context) -> Request {
        let who = Requester::parse("arn:aws:sts::111122223333:assumed-role/app/s").unwrap();
        Request::new(who, action, resource, Some("111122223333".parse().unwrap()), context)
    }

    fn full() -> PolicyRef {
        layer("SCP FullAWSAccess", r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#)
    }

    #[test]
    fn the_nearest_miss_is_the_statement_that_fails_least() {
        let identity = layer(
            "inline policy x",
            r#"{"Sid":"far","Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::a/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},
            {"Sid":"near","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*",
             "Condition":{"StringEquals":{"aws:RequestTag/team":["a"]}}}"#,
        );
        let layers = PolicySet { identity: Some(vec![identity]), ..PolicySet::default() };
        let told = explain(
            &request("s3:GetObject", "arn:aws:s3:::b/k", Context::closed().set("aws:RequestTag/team", ["b"])),
            &layers,
        );
        assert_eq!(told.outcome, Outcome::DenyImplicit);
        let [miss] = told.minimal_changes.as_slice() else { panic!("{told}") };
        let Change::Condition { statement, key, wanted, got, pointer, .. } = &miss.change else { panic!("{miss:?}") };
        assert_eq!((statement.sid.as_deref(), statement.index, &**key), (Some("near"), 1, "aws:RequestTag/team"));
        assert_eq!((wanted.as_slice(), got.as_deref()), (&["a".to_owned()][..], Some(&["b".to_owned()][..])));
        assert_eq!(pointer, "/Statement/1/Condition/StringEquals/aws:RequestTag~1team");
        assert!(told.because.contains("`near`") && told.because.contains("it is `b`"), "{told}");
        assert!(serde_json::to_value(&told.minimal_changes).unwrap()[0]["change"]["kind"] == "condition");
    }

    #[test]
    fn every_layer_that_refuses_is_told() {
        let level = |name: &str, policies: Vec<PolicyRef>| Level { name: name.into(), policies };
        let layers = PolicySet {
            identity: Some(vec![layer("inline policy x", r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#)]),
            boundary: Some(vec![layer(
                "permissions boundary b",
                r#"{"Effect":"Allow","Action":"ec2:*","Resource":"*"}"#,
            )]),
            scp: Some([level("root", vec![full()]), level("account", Vec::new())].into()),
            ..PolicySet::default()
        };
        let told = explain(&request("s3:GetObject", "arn:aws:s3:::b/k", Context::closed()), &layers);
        let texts: Vec<&str> = told.minimal_changes.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "SCP level `account` has no policy, which allows nothing",
                "permissions boundary b allows `s3:GetObject` on nothing",
            ]
        );
        let effects: Vec<PolicyEffect> = told.policies.iter().map(|policy| policy.effect).collect();
        assert_eq!(
            effects,
            [PolicyEffect::Allow, PolicyEffect::ImplicitDeny, PolicyEffect::Allow, PolicyEffect::ImplicitDeny]
        );
    }

    #[test]
    fn a_denial_and_a_grant_name_their_statements() {
        let denied = PolicySet {
            identity: Some(vec![full()]),
            resource: Some(layer(
                "bucket policy",
                r#"{"Sid":"no","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}"#,
            )),
            ..PolicySet::default()
        };
        let told = explain(&request("s3:GetObject", "arn:aws:s3:::b/k", Context::closed()), &denied);
        assert_eq!(told.outcome, Outcome::DenyExplicit);
        assert_eq!(told.because, "statement 0 (`no`) of bucket policy denies it");
        let allowed = PolicySet { identity: Some(vec![full()]), ..PolicySet::default() };
        let told = explain(&request("s3:GetObject", "arn:aws:s3:::b/k", Context::closed()), &allowed);
        assert_eq!(told.because, "statement 0 of SCP FullAWSAccess allows it, and nothing refuses it");
        assert_eq!(told.policies[0].statements[0].pointer, "/Statement/0");
    }

    #[test]
    fn a_trust_policy_that_names_another_role_is_a_miss_of_principal() {
        let trust = layer(
            "trust policy",
            r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/other"},"Action":"sts:AssumeRole"}"#,
        );
        let layers = PolicySet { identity: Some(vec![full()]), trust: Some(trust), ..PolicySet::default() };
        let told = explain(&request("sts:AssumeRole", "arn:aws:iam::111122223333:role/t", Context::closed()), &layers);
        assert!(
            matches!(&told.minimal_changes[..], [RequiredChange { change: Change::Principal { .. }, .. }]),
            "{told}"
        );
        let unseen = PolicySet { trust: Some(PolicyRef::missing("trust policy", "iam:GetRole was denied")), ..layers };
        let told = explain(&request("sts:AssumeRole", "arn:aws:iam::111122223333:role/t", Context::closed()), &unseen);
        assert_eq!(told.outcome, Outcome::Unknown);
        assert!(told.because.contains("iam:GetRole was denied") && told.minimal_changes.is_empty());
    }
}
