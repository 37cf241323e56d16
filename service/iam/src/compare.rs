//! Whether a change of policies lets more through, less, or the same.
//!
//! Two stacks of policies are compared as the sets of requests that they allow, over all actions (also
//! those that the catalogue does not list), all resources and all values of condition keys. An answer
//! is proved, or it is unknown with the reason; a request that shows a difference was decided by the
//! engine on both sides. Where no policy on the resource is in play on either side, the question is
//! about the requester's own side: what another policy must allow besides is the same before and after.
//! Refuses to know where the policies come from.

mod automaton;
mod classes;
mod domain;
mod formula;
pub mod pairs;
mod search;
mod stack;

use crate::arn::AccountId;
use crate::evaluate::explain::explain;
use crate::evaluate::policy_set::{PolicyRef, PolicySet};
use crate::evaluate::request::Request;
use crate::evaluate::requester::Requester;
use crate::policy::ast::{Clause, Principal};
use crate::policy::document::Document;
use domain::Held;
use search::{Search, Shown, outcome};
use serde::Serialize;
use serde_json::{Map, Value};
use stack::{Both, Changes};
use std::collections::BTreeSet;

crate::vocabulary! {
    /// How what is allowed after stands to what was allowed before.
    pub enum Relation: "a relation of two policy sets" {
        /// The same requests.
        Equal = "equal",
        /// Less, and nothing more.
        Narrowed = "narrowed",
        /// More, and nothing less.
        Widened = "widened",
        /// Some more and some less.
        Mixed = "mixed",
        /// It is not proved.
        Unknown = "unknown",
    }
}

/// A request that one side allows and the other does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// The action.
    pub action: String,
    /// The resource's ARN, or `*` for an action that acts on none.
    pub resource: String,
    /// The condition keys that matter; those that follow from the requester are left out, and all
    /// others are absent.
    pub context: Map<String, Value>,
    /// Who asks, where nobody said who does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
}

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The relation.
    pub relation: Relation,
    /// A request that is allowed after and was not before.
    pub gained: Option<Witness>,
    /// A request that was allowed before and no longer is.
    pub lost: Option<Witness>,
    /// Why, in a sentence.
    pub because: String,
}

impl Comparison {
    fn unknown(because: String) -> Self {
        Self { relation: Relation::Unknown, gained: None, lost: None, because }
    }
}

/// Who asks where nobody said: a session of some role.
const SOMEBODY: &str = "arn:aws:sts::111122223333:assumed-role/example/session";

/// Who asks, and whose the resources are: what is not said of a comparison is put in its place.
#[derive(Debug, Clone, Default)]
pub struct Asker {
    /// Who asks. Left out it is a session of some role, and, where policies on a resource are
    /// compared, everyone whom they name.
    pub principal: Option<Requester>,
    /// Whose the resources are whose names do not say it. Left out it is the requester's own account,
    /// or, where only policies on a resource are compared, another one.
    pub resource_account: Option<AccountId>,
}

/// Compares what a requester may do before and after.
#[must_use]
pub fn compare(asker: &Asker, before: &PolicySet, after: &PolicySet) -> Comparison {
    if let Some(why) = unreadable(before, "before").or_else(|| unreadable(after, "after")) {
        return Comparison::unknown(why);
    }
    let requesters = match &asker.principal {
        Some(one) => vec![one.clone()],
        None => everybody(before, after),
    };
    let (mut gained, mut lost) = (None, None);
    let mut open: [Option<String>; 2] = [None, None];
    for who in &requesters {
        let found = Found::by(who, asker.resource_account, before, after);
        gained = gained.or(found.gained.map(|shown| (who, shown)));
        lost = lost.or(found.lost.map(|shown| (who, shown)));
        for (slot, why) in open.iter_mut().zip(found.open) {
            *slot = slot.take().or(why);
        }
    }
    let [gain_open, loss_open] = open;
    let gain_open = gain_open.filter(|_| gained.is_none());
    let loss_open = loss_open.filter(|_| lost.is_none());
    let relation = match (&gained, &lost) {
        (Some(_), Some(_)) => Relation::Mixed,
        _ if gain_open.is_some() || loss_open.is_some() => Relation::Unknown,
        (Some(_), None) => Relation::Widened,
        (None, Some(_)) => Relation::Narrowed,
        (None, None) => Relation::Equal,
    };
    let why = gain_open.or(loss_open);
    let because =
        because(relation, gained.as_ref().map(|(_, s)| s), lost.as_ref().map(|(_, s)| s), why, [before, after]);
    let unsaid = asker.principal.is_none();
    let witness = |(who, shown): (&Requester, Shown)| shown.witness(unsaid.then_some(who));
    Comparison { relation, gained: gained.map(witness), lost: lost.map(witness), because }
}

fn policies_of(layers: &PolicySet) -> impl Iterator<Item = &PolicyRef> {
    let lists = [&layers.identity, &layers.boundary, &layers.session, &layers.vpc_endpoint];
    let levels = [&layers.scp, &layers.rcp].into_iter().flatten().flat_map(|levels| levels.iter());
    let levels = levels.flat_map(|level| &level.policies);
    let single = [&layers.resource, &layers.trust].into_iter().flatten();
    lists.into_iter().flatten().flatten().chain(levels).chain(single)
}

/// The first document of a side that could not be read.
fn unreadable(layers: &PolicySet, side: &str) -> Option<String> {
    let broken = policies_of(layers).find(|layer| layer.digest.is_some() && layer.policy.is_err())?;
    let why = broken.unread()?;
    Some(format!("{side}: {why}"))
}

/// A session of some role, and whom the policies on a resource name.
fn everybody(before: &PolicySet, after: &PolicySet) -> Vec<Requester> {
    let mut out: Vec<Requester> = Requester::parse(SOMEBODY).into_iter().collect();
    let on_resource = [&before.resource, &before.trust, &after.resource, &after.trust];
    let policies = on_resource.into_iter().flatten().filter_map(PolicyRef::policy);
    let mut named = BTreeSet::new();
    for statement in policies.flat_map(|policy| &policy.statements) {
        named.extend(statement.principals.iter().flat_map(Clause::elements).cloned());
    }
    for principal in named {
        let who = match &principal {
            Principal::Service(name) => Some(Requester::service(name)),
            Principal::Federated(name) => Some(Requester::federated(name)),
            Principal::Everyone => Some(Requester::Anonymous),
            Principal::Aws(text) => match account_of(text) {
                // Whoever is of the account, since its root stands for all of them.
                Some(account) => Requester::parse(&format!("arn:aws:sts::{account}:assumed-role/example/session")),
                None => Requester::parse(text),
            },
            Principal::CanonicalUser(_) | Principal::Other { .. } => None,
        };
        out.extend(who.filter(|who| !out.contains(who)).into_iter().collect::<Vec<_>>());
    }
    out
}

/// The account that an element of `Principal` names as a whole.
fn account_of(text: &str) -> Option<&str> {
    match text.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        [account] if account.len() == 12 => Some(account),
        ["arn", _, "iam", _, account, "root"] => Some(account),
        _ => None,
    }
}

/// What was found for one requester.
struct Found {
    gained: Option<Shown>,
    lost: Option<Shown>,
    open: [Option<String>; 2],
}

impl Found {
    fn by(who: &Requester, owner: Option<AccountId>, before: &PolicySet, after: &PolicySet) -> Self {
        let assumed = [before, after].map(|layers| with_own_side(who, layers, [before, after]));
        let [first, second] = &assumed;
        let (before, after) = (first.as_ref().unwrap_or(before), second.as_ref().unwrap_or(after));
        // Within one account the requester's own policies would do, and those are not asked about.
        let elsewhere = first.is_some().then(|| "909090909090".parse().ok()).flatten();
        let mut both = Both::new(who, owner.or(elsewhere).or(who.account_id()));
        let (was, is) = (both.side(before), both.side(after));
        let changes = Changes::between(&was, &is);
        if changes.are_none() {
            return Self { gained: None, lost: None, open: [None, None] };
        }
        let endpoint =
            [before, after].iter().any(|layers| layers.vpc_endpoint.as_ref().is_some_and(|list| !list.is_empty()));
        let (classes, complete) = classes::classes(&both, &changes, endpoint);
        let mut search = Search::new(&both, [&was, &is], [before, after]);
        if !complete {
            search.leave_open("the names of actions that the catalogue does not list are too many to be told apart");
        }
        for class in &classes {
            if search.is_done() {
                break;
            }
            search.class(class);
        }
        let ((gained, gain_open), (lost, loss_open)) = (search.gained.found(), search.lost.found());
        Self { gained, lost, open: [gain_open, loss_open] }
    }
}

/// The layers with the requester's own policies allowing everything, where only policies on a resource
/// are compared.
fn with_own_side(who: &Requester, layers: &PolicySet, both: [&PolicySet; 2]) -> Option<PolicySet> {
    let on_resource = both.iter().any(|layers| layers.resource.is_some() || layers.trust.is_some());
    let own = both.iter().any(|layers| layers.identity.is_some());
    let has_own = matches!(who, Requester::Principal { .. });
    if !on_resource || own || !has_own {
        return None;
    }
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let layer = PolicyRef::known("identity policy that allows everything", &Document::new(all));
    Some(PolicySet { identity: Some(vec![layer]), ..layers.clone() })
}

impl Shown {
    fn witness(self, who: Option<&Requester>) -> Witness {
        let value = |held: Held| match held {
            Held::Absent => None,
            Held::One(value) => Some(Value::from(value)),
            Held::List(values) => Some(Value::from(values)),
        };
        Witness {
            action: self.request.action().as_str().to_owned(),
            resource: self.request.resource().as_str().to_owned(),
            context: self.context.into_iter().filter_map(|(key, held)| Some((key, value(held)?))).collect(),
            principal: who.map(|who| who.text().to_owned()),
        }
    }

    fn text(&self) -> String {
        format!("`{}` on `{}`", self.request.action().as_str(), self.request.resource().as_str())
    }
}

/// Why a request is allowed on one side, where the engine can say it.
fn reason(request: &Request, layers: &PolicySet) -> String {
    if outcome(request, layers, false) == crate::evaluate::decision::Outcome::Allow {
        format!(": {}", explain(request, layers).because)
    } else {
        String::new()
    }
}

fn because(
    relation: Relation,
    gained: Option<&Shown>,
    lost: Option<&Shown>,
    open: Option<String>,
    [before, after]: [&PolicySet; 2],
) -> String {
    let gain = |shown: &Shown| format!("{} is allowed now{}", shown.text(), reason(&shown.request, after));
    let loss =
        |shown: &Shown| format!("{} is no longer allowed; before{}", shown.text(), reason(&shown.request, before));
    match (relation, gained, lost) {
        (Relation::Widened, Some(shown), _) => format!("everything that was allowed still is, and {}", gain(shown)),
        (Relation::Narrowed, _, Some(shown)) => {
            format!("nothing is allowed that was not before, and {}", loss(shown).trim_end_matches("; before"))
        }
        (Relation::Mixed, Some(gained), Some(lost)) => {
            format!("{}; and {}", gain(gained), loss(lost).trim_end_matches("; before"))
        }
        (Relation::Unknown, gained, lost) => {
            let shown = gained.map(gain).or(lost.map(loss)).map(|text| format!("{text}; the rest is not proved: "));
            format!("{}{}", shown.unwrap_or_default(), open.unwrap_or_default())
        }
        _ => "every request is decided alike".to_owned(),
    }
}
