//! What the trail says of associations, their sessions and their use, where it says anything.
//!
//! Knows to which association each session is tied, how sessions that EKS opened differ from what
//! associations explain, when an association or role was used last, and until when it may have been
//! used unseen. What a trail that was not read, an association that nobody saw or a tie that is not
//! certain leaves open stays open. Refuses to say how long is too long.

use super::CachedIndex;
use super::fallback::unseen_in;
use super::origins::Origins;
use super::trust;
use super::view::{Def, Facts, count, fact, text};
use crate::index::join;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_cloudtrail::evidence::{BothCredentials, Disagreement};
use rolecall_cloudtrail::{AttributionMethod, History, SessionAttribution, attribute_sessions, evidence};
use rolecall_estate::id::Region;
use rolecall_estate::{
    Association, AssociationKey, AssociationSpan, Cause, CompleteRange, Estate, EventScope, Reason, Role, Session,
    SessionKind, Trail, TrailMemory,
};
use rolecall_iam::trust::{Trust, Who};
use rolecall_iam::{AccountId, ActionSet, Arn};
use rolecall_rules::{Reasons, Type, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// From one moment up to, and without, another.
type Stretch = (DateTime<Utc>, DateTime<Utc>);

/// What the trail tells of associations and roles.
#[derive(Debug, Default)]
pub(super) struct TrailFacts {
    history: History,
    /// Since when the trail was read whole.
    pub(super) since: Option<DateTime<Utc>>,
    /// What is remembered beyond the sessions that are judged.
    pub(super) memory: TrailMemory,
    /// The stretches of each place's trail that were read whole and show sessions.
    stretches: BTreeMap<(AccountId, Region), Vec<Stretch>>,
    /// From when to when an account's sessions were read whole wherever they can be.
    everywhere: BTreeMap<AccountId, Vec<Stretch>>,
    used: HashMap<AssociationKey, Last>,
    /// By association id: the last session that can be this association's or another's.
    possible: HashMap<String, DateTime<Utc>>,
    roles: HashMap<Box<str>, Last>,
    both_credentials: BTreeMap<(AccountId, String, String), BothCredentials>,
    /// From where sessions were used.
    pub(super) origins: Origins,
}

impl TrailFacts {
    /// Works out where sessions were read whole.
    fn remember(&mut self, trails: &[Trail]) {
        let begins =
            ActionSet::from_names(["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"]);
        let mut sources: BTreeMap<(AccountId, &str), Vec<(&CompleteRange, bool)>> = BTreeMap::new();
        for whole in &self.memory.whole {
            let shows = whole.event_scope == EventScope::Sessions || unseen_in(trails, whole, &begins).is_none();
            if shows {
                let place = (whole.account_id, whole.region.clone());
                self.stretches.entry(place).or_default().push((whole.from, whole.to));
            }
            sources.entry((whole.account_id, &whole.source)).or_default().push((whole, shows));
        }
        for ((account, _), regions) in sources {
            let from = regions.iter().map(|(whole, _)| whole.from).max();
            let to = regions.iter().map(|(whole, _)| whole.to).min();
            let all = regions.iter().all(|(_, shows)| *shows) && regions.iter().any(|(whole, _)| whole.all_regions);
            if let (true, Some(from), Some(to)) = (all, from, to) {
                self.everywhere.entry(account).or_default().push((from, to));
            }
        }
    }

    /// Whether a session of the window is the association's.
    pub(super) fn has_session(&self, key: &AssociationKey) -> bool {
        self.used.contains_key(key)
    }

    /// Whether a session of the window can be the association's.
    pub(super) fn may_have_session(&self, association_id: &str) -> bool {
        self.possible.contains_key(association_id)
    }

    /// Since when stretches show everything up to now, going back from where `since` does already.
    fn back(&self, since: Option<DateTime<Utc>>, stretches: Option<&Vec<Stretch>>) -> Option<DateTime<Utc>> {
        let mut left: Vec<_> = stretches.into_iter().flatten().copied().collect();
        let up_to_now = |to: DateTime<Utc>| self.memory.at.is_some_and(|at| to + LAG >= at);
        let mut since = since;
        while let Some(found) =
            left.iter().position(|(_, to)| since.map_or_else(|| up_to_now(*to), |since| *to >= since))
        {
            let (from, _) = left.swap_remove(found);
            since = Some(since.map_or(from, |since| since.min(from)));
        }
        since
    }
}

/// So far may a trail that was read whole lag behind.
pub(super) const LAG: TimeDelta = TimeDelta::hours(6);

/// The last session of many.
#[derive(Debug, Clone)]
struct Last {
    at: DateTime<Utc>,
    event_id: String,
    name: Option<String>,
}

impl Last {
    fn new(session: &Session) -> Self {
        Self { at: session.at, event_id: session.event_id.clone(), name: session.session_name.clone() }
    }

    fn evidence(&self) -> Value {
        let value = serde_json::json!({
            "eventID": self.event_id, "eventTime": self.at.to_rfc3339(), "roleSessionName": self.name,
        });
        fact("the last session", format!("CloudTrail event {}", self.event_id), value)
    }
}

/// Ties every session of the estate, in their order, and sums up what follows.
pub(super) fn read(estate: &Estate) -> (TrailFacts, Vec<SessionAttribution>) {
    let history = History::new(spans(estate));
    let ties = attribute_sessions(&estate.sessions, &history, &|_| None);
    let mut facts =
        TrailFacts { history, since: estate.sessions_since, memory: estate.memory.clone(), ..TrailFacts::default() };
    facts.remember(&estate.confirmed_trails());
    facts.origins = Origins::new(estate);
    for (session, tie) in estate.sessions.iter().zip(&ties).filter(|(session, _)| session.error.is_none()) {
        let newer = |last: Option<&Last>| last.is_none_or(|last| last.at < session.at);
        if let Some(role) = session.role_arn.as_deref()
            && newer(facts.roles.get(role))
        {
            facts.roles.insert(role.into(), Last::new(session));
        }
        if let Some(key) = &tie.association
            && newer(facts.used.get(key))
        {
            facts.used.insert(key.clone(), Last::new(session));
        }
        for id in &tie.candidates {
            let last = facts.possible.entry(id.clone()).or_insert(session.at);
            *last = session.at.max(*last);
        }
    }
    facts.both_credentials = evidence::both_credentials(&estate.sessions, &ties)
        .into_iter()
        .map(|both| ((both.account_id, both.namespace.clone(), both.service_account.clone()), both))
        .collect();
    (facts, ties)
}

/// Associations over time: as looks found them, and those of the present that no look dates.
fn spans(estate: &Estate) -> Vec<AssociationSpan> {
    let mut spans = estate.association_history.clone();
    let dated: BTreeSet<AssociationKey> =
        spans.iter().filter(|span| span.to.is_none()).map(|span| span.key.clone()).collect();
    let undated = estate.associations.iter().filter(|association| !dated.contains(&association.key));
    // Nobody says when it was first seen: only its own dates tell its beginning.
    spans.extend(undated.map(|association| AssociationSpan::of(association, DateTime::<Utc>::MAX_UTC, None)));
    spans
}

/// A way in which a session that EKS opened differs from what associations explain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    pub kind: &'static str,
    pub what: String,
    /// Why it may have an explanation that nobody saw.
    pub why_not_known: Option<Reason>,
}

const EARLIER_UNSEEN: &str = "what association there was before this one was not seen";

/// How a session differs from what associations explain; nothing for sessions that others opened.
pub(super) fn faults(world: &CachedIndex, session: &Session, tie: &SessionAttribution) -> Vec<Fault> {
    let is_target = session.kind == SessionKind::PodIdentityTarget;
    if !(is_target || session.kind == SessionKind::PodIdentity) || session.error.is_some() {
        return Vec::new();
    }
    let found = evidence::disagreements(session, tie, &world.trail.history);
    let mut faults: Vec<Fault> =
        found.into_iter().filter_map(|disagreement| fault(world, session, tie, disagreement)).collect();
    match &tie.association {
        // Tags are what ties a session, unless a better record of it does.
        Some(key) if tie.method != AttributionMethod::Tags => {
            let tagged = |tag: &str, is: &str| {
                let value = session.tags.get(tag).filter(|value| !value.is_empty() && *value != is)?;
                Some(format!("its tag {tag} is `{value}`, and the association's is `{is}`"))
            };
            let differing = tagged("eks-cluster-name", key.cluster.as_str())
                .or_else(|| tagged("kubernetes-namespace", key.namespace.as_str()))
                .or_else(|| tagged("kubernetes-service-account", key.service_account.as_str()));
            faults.extend(differing.map(|what| Fault { kind: "tags", what, why_not_known: None }));
        }
        None if tie.method == AttributionMethod::None => {
            let why_not_known = unseen_by_role(world, session, is_target).or_else(|| {
                // As of a session with tags whose association was made later.
                let role = session.role_arn.as_deref()?;
                let made_later =
                    world.trail.history.leads_later(role, session.session_name.as_deref(), is_target, session.at);
                made_later.then(|| Reason::from(EARLIER_UNSEEN))
            });
            let what = tie.reason.clone().unwrap_or_else(|| "no association explains it".to_owned());
            faults.push(Fault { kind: "no_association", what, why_not_known });
        }
        _ => {}
    }
    faults
}

fn fault(
    world: &CachedIndex,
    session: &Session,
    tie: &SessionAttribution,
    disagreement: Disagreement,
) -> Option<Fault> {
    let who = || {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".to_owned());
        format!("{}/{} on {}", part(&tie.namespace), part(&tie.service_account), part(&tie.cluster))
    };
    let role = session.role_arn.as_deref().unwrap_or("no role");
    let details_unseen = || {
        let key = tie.association.as_ref()?;
        let place = (key.account_id, key.region.clone(), key.cluster.clone());
        let of_cluster = world.associations_in(&place).iter().filter_map(|index| world.associations.get(*index));
        let why = match of_cluster.into_iter().find(|association| association.key == *key) {
            Some(found) if found.detail.is_some() => {
                join(world.association_unseen(found), world.detail_unseen(found).as_ref())
            }
            _ => {
                let visibility = world.cluster_visibility(&place)?;
                join(visibility.associations.clone(), visibility.details.as_ref())
            }
        };
        why.map(|why| why.joined())
    };
    let (kind, what, why_not_known) = match disagreement {
        Disagreement::NoAssociation => {
            ("no_association", format!("no association of {} is known", who()), unseen_by_tags(world, session))
        }
        Disagreement::BeforeAssociation => {
            ("no_association", format!("the association of {} was made later", who()), Some(EARLIER_UNSEEN.into()))
        }
        Disagreement::AfterEnd { ended, is_ghost: true } => {
            ("after_end", format!("the association of {} was gone since {}", who(), ended.to_rfc3339()), None)
        }
        Disagreement::Role { expected, since, is_ghost } => {
            let is_dated = since < DateTime::<Utc>::MAX_UTC;
            if is_dated && !is_ghost {
                return None;
            }
            let key = tie.association.as_ref()?;
            let expected = if expected.is_empty() { "no target role" } else { expected.as_str() };
            let undated = || (!is_dated).then(|| Reason::from("since when the association is as it is was not seen"));
            let why = details_unseen().or_else(undated);
            if world.trail.history.led_to(key, role, session.at) {
                let what = format!(
                    "it is of {role}, which the association of {} left for {expected} on {}",
                    who(),
                    since.to_rfc3339()
                );
                ("after_end", what, why)
            } else {
                ("role", format!("it is of {role}, and the association of {} has {expected}", who()), why)
            }
        }
        Disagreement::TagsWhileOff => {
            ("tags", format!("it has session tags, and the association of {} sends none", who()), details_unseen())
        }
        Disagreement::TagsMissing => {
            ("tags", format!("it has no session tags, and the association of {} sends them", who()), details_unseen())
        }
        // A pod may still hold what it had; and what a name says has a rule of its own.
        Disagreement::AfterEnd { is_ghost: false, .. }
        | Disagreement::NameOfOtherCluster
        | Disagreement::NameOfOtherPod => return None,
    };
    Some(Fault { kind, what, why_not_known })
}

/// Why an association that the tags name may exist unseen.
fn unseen_by_tags(world: &CachedIndex, session: &Session) -> Option<Reason> {
    let arn = session.tags.get("eks-cluster-arn").and_then(|arn| arn.parse::<Arn>().ok());
    let account = arn.as_ref().and_then(Arn::account_id).unwrap_or(session.account_id);
    let region = arn.as_ref().map_or(session.region.as_str(), Arn::region);
    let cluster = session.tags.get("eks-cluster-name");
    let place = region.parse().ok().zip(cluster.and_then(|name| name.parse().ok()));
    if !world.accounts.contains_key(&account) {
        return Some(format!("account {account} is not in the estate").into());
    }
    let visibility = place.and_then(|(region, cluster)| world.cluster_visibility(&(account, region, cluster)));
    let why = match visibility {
        Some(visibility) => visibility.associations.clone(),
        // A cluster that is not there any more: gone with what it held, if the listing is whole.
        None => world.visibility(account).clusters.clone(),
    };
    why.map(|why| why.joined())
}

/// Why an association may exist unseen from whose role EKS went on to the session's.
pub(super) fn unseen_by_caller(world: &CachedIndex, session: &Session) -> Option<Reason> {
    unseen_by_role(world, session, true)
}

/// Why an association that leads to the session's role may exist unseen.
fn unseen_by_role(world: &CachedIndex, session: &Session, is_target: bool) -> Option<Reason> {
    let arn = if is_target { Some(session.principal.as_str()) } else { session.role_arn.as_deref() };
    let Some(account) = arn.and_then(|arn| arn.parse::<Arn>().ok()).and_then(|arn| arn.account_id()) else {
        return Some("the account of the association is not known".into());
    };
    let visibility = world.visibility(account);
    join(visibility.associations.clone(), visibility.details.as_ref()).map(|why| why.joined())
}

/// When an association's credentials were used, or may have been.
pub(super) fn uses_of_association(world: &CachedIndex, association: &Association) -> Value {
    let key = &association.key;
    let mut uses = Vec::new();
    if let Some(last) = world.trail.used.get(key) {
        uses.push(UseFacts::known("session", last.at, last.evidence()));
    } else if let Some(at) = world.trail.memory.associations.get(&association.association_id) {
        uses.push(counted(*at, format!("association {}", association.association_id)));
    }
    if let Some(at) = world.trail.possible.get(&association.association_id) {
        let why = Reasons::one("a session can be of this association or of others");
        uses.push(UseFacts::open(*at, why));
    }
    let trail = match world.sessions_unseen(key.account_id, &key.region, DateTime::<Utc>::MAX_UTC) {
        Some(why) => Err(why),
        None => {
            let stretches = world.trail.stretches.get(&(key.account_id, key.region.clone()));
            let since = world.trail.back(world.trail.since, stretches);
            since.ok_or_else(|| Reasons::one("since when the trail is complete is unknown"))
        }
    };
    let unread = |since: DateTime<Utc>| format!("sessions before {} were not read", since.to_rfc3339());
    let on_a_day = world.last_day_unseen(key.account_id, &key.region);
    let role = association.detail.as_ref().and_then(|detail| world.role(&detail.role_arn));
    let missing = match (trail, role.map(|role| (role, world.used_by_iam(role)))) {
        // No session of it did anything in the 400 days that IAM remembers.
        (_, Some((_, Ok(None)))) => None,
        (_, Some((role, Ok(Some(at))))) if is_alone(world, role) => {
            uses.push(by_iam(role, at));
            None
        }
        (Ok(since), Some((_, Ok(Some(at))))) => {
            uses.push(UseFacts::open(since.min(at), Reasons::one(unread(since))));
            uses.extend(on_a_day.map(|(until, why)| UseFacts::open(until.min(at), why)));
            None
        }
        (Err(why), Some((_, Ok(Some(at))))) => {
            uses.push(UseFacts::open(at, why));
            None
        }
        (Ok(since), _) => {
            uses.push(UseFacts::open(since, Reasons::one(unread(since))));
            uses.extend(on_a_day.map(|(until, why)| UseFacts::open(until, why)));
            None
        }
        (Err(why), _) => Some(why),
    };
    Value::list_seen(uses.into_iter().map(Facts::into_value), missing)
}

/// Whether nobody but one association's pods can use the role.
fn is_alone(world: &CachedIndex, role: &Role) -> bool {
    let arn = role.arn.as_str();
    let (own, into) = (world.associations_of(arn).len(), world.associations_into(arn).len());
    own == 1
        && into == 0
        && world.visibility(role.arn.account_id()).associations.is_none()
        && trust::answers(world, role).is_ok_and(|answers| answers.only_pods().is_true())
}

/// When a role was used: IAM keeps it for every session, wherever it came from.
pub(super) fn uses_of_role(world: &CachedIndex, role: &Role) -> Value {
    let mut uses = Vec::new();
    if let Some(last) = world.trail.roles.get(role.arn.as_str()) {
        uses.push(UseFacts::known("session", last.at, last.evidence()));
    } else if let Some(at) = world.trail.memory.roles.get(role.arn.as_str()) {
        uses.push(counted(*at, format!("role {}", role.arn)));
    }
    let missing = match world.used_by_iam(role) {
        Ok(at) => {
            uses.extend(at.map(|at| by_iam(role, at)));
            None
        }
        // Whoever takes a role leaves an event in the role's own account, in whatever region.
        Err(why) => match world.trail.back(None, world.trail.everywhere.get(&role.arn.account_id())) {
            Some(since) => {
                let unread = format!("sessions before {} were not read", since.to_rfc3339());
                uses.push(UseFacts::open(since, why.and(&Reasons::one(unread))));
                None
            }
            None => Some(why),
        },
    };
    Value::list_seen(uses.into_iter().map(Facts::into_value), missing)
}

fn counted(at: DateTime<Utc>, whose: String) -> UseFacts {
    let value = serde_json::json!({ "lastCounted": at.to_rfc3339() });
    UseFacts::known("session", at, fact("the last session or call that was counted", whose, value))
}

fn by_iam(role: &Role, at: DateTime<Utc>) -> UseFacts {
    let value = serde_json::json!({ "RoleLastUsed": { "LastUsedDate": at.to_rfc3339() } });
    UseFacts::known("iam", at, fact("last use by IAM", format!("role {}", role.arn), value))
}

/// A use of credentials, or the time until which one may have gone unseen.
#[derive(Debug)]
pub(super) struct UseFacts {
    by: &'static str,
    at: Result<DateTime<Utc>, Reasons>,
    latest: DateTime<Utc>,
    evidence: Option<Value>,
}

impl UseFacts {
    fn known(by: &'static str, at: DateTime<Utc>, evidence: Value) -> Self {
        Self { by, at: Ok(at), latest: at, evidence: Some(evidence) }
    }

    fn open(latest: DateTime<Utc>, why: Reasons) -> Self {
        Self { by: "unseen", at: Err(why), latest, evidence: None }
    }
}

impl Facts for UseFacts {
    const NAME: &'static str = "Use";
    const DOC: &'static str = "A use of credentials, or the time until which one may have gone unseen.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("by", || Type::String, "Who tells: `session`, `iam`, or `unseen`.", |u| text(u.by)),
        Def::<Self>::new(
            "at",
            || Type::Timestamp,
            "When; unknown where nobody saw it.",
            |u| match &u.at {
                Ok(at) => (*at).into(),
                Err(why) => Value::Unknown(why.clone()),
            },
        ),
        Def::<Self>::new("latest", || Type::Timestamp, "When at the latest.", |u| u.latest.into()),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The last session, or what IAM says.",
            |u| Value::list(u.evidence.clone()),
        ),
    ];
}

/// Sessions by IRSA of the service account of an association that has sessions as well.
pub(super) fn web_identity(world: &CachedIndex, association: &Association) -> Value {
    let key = &association.key;
    let missing = world.sessions_unseen(key.account_id, &key.region, DateTime::<Utc>::MIN_UTC);
    let place = (key.account_id, key.namespace.to_string(), key.service_account.to_string());
    let both = world.trail.both_credentials.get(&place).filter(|_| world.trail.used.contains_key(key));
    let uses = both.into_iter().flat_map(|both| {
        both.irsa.roles.iter().filter_map(|role| {
            let ours = trusts_cluster(world, association, role);
            (!matches!(ours, Ok(false))).then(|| WebIdentityUse {
                role_arn: role.clone(),
                both: both.clone(),
                doubt: ours.err(),
            })
        })
    });
    Value::list_seen(uses.map(Facts::into_value), missing)
}

/// Whether an IRSA role is for the association's own cluster: IRSA's events do not name clusters, and
/// the role's trust policy names the provider of each.
fn trusts_cluster(world: &CachedIndex, association: &Association, role: &str) -> Result<bool, Reasons> {
    let key = &association.key;
    let open = |why: String| Err(Reasons::one(why));
    let cluster = world.cluster_index(&(key.account_id, key.region.clone(), key.cluster.clone()));
    let Some(issuer) = cluster.and_then(|index| world.clusters.get(index)).and_then(|it| it.oidc_issuer.as_deref())
    else {
        return open(format!("the OIDC issuer of cluster {} was not seen", key.cluster));
    };
    let issuer = issuer.strip_prefix("https://").unwrap_or(issuer);
    if let Some(why) = world.role(role).and_then(|role| world.role_unseen(role)) {
        return Err(why);
    }
    let document = world.role(role).and_then(|role| role.trust).and_then(|digest| world.documents.get(&digest));
    let Some(document) = document else { return open(format!("the trust policy of {role} was not seen")) };
    let trust = Trust::new("trust policy", document);
    let admissions = trust.admissions().map_err(|problem| {
        let text = format!("the trust policy of {role}: {problem}");
        Reasons::one(Reason::new(text, Cause::Document))
    })?;
    let mut providers: BTreeSet<String> = BTreeSet::new();
    for admission in &admissions {
        match &admission.who {
            Who::Oidc(arn) => providers.extend(arn.resource().strip_prefix("oidc-provider/").map(str::to_owned)),
            Who::Anyone | Who::AllBut(_) => {
                return open(format!("{role} trusts any OIDC provider, and the sessions do not say which they used"));
            }
            _ => {}
        }
    }
    if !providers.contains(issuer) {
        return Ok(false);
    }
    if providers.len() > 1 {
        return open(format!(
            "{role} trusts several OIDC providers, and the sessions do not say which of them they used"
        ));
    }
    Ok(true)
}

/// Sessions by IRSA of a service account that has an association.
#[derive(Debug)]
pub(super) struct WebIdentityUse {
    role_arn: String,
    both: BothCredentials,
    doubt: Option<Reasons>,
}

impl Facts for WebIdentityUse {
    const NAME: &'static str = "WebIdentityUse";
    const DOC: &'static str = "Sessions by IRSA of a service account that has sessions by an association as well.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("role_arn", || Type::String, "The role that IRSA gave.", |w| text(&w.role_arn)),
        Def::<Self>::new(
            "holds",
            || Type::Bool,
            "Whether they are of this cluster's service account: true, or unknown.",
            |w| w.doubt.as_ref().map_or(Value::Bool(true), |why| Value::Unknown(why.clone())),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "count",
            || Type::Int,
            "So many sessions by IRSA.",
            |w| count(usize::try_from(w.both.irsa.sessions).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(1)),
        Def::<Self>::new(
            "pod_identity_count",
            || Type::Int,
            "So many sessions by Pod Identity, of service accounts of that name in the account.",
            |w| count(usize::try_from(w.both.pod_identity.sessions).unwrap_or(usize::MAX)),
        )
        .or(|| Value::Int(1)),
        Def::<Self>::new("last_at", || Type::Timestamp, "The last by IRSA.", |w| w.both.irsa.last.into()),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The last session of each kind.",
            |w| {
                let event = |label: &str, way: &evidence::Credential| {
                    let value = serde_json::json!({
                        "eventID": way.event_id, "eventTime": way.last.to_rfc3339(), "roles": way.roles, "sessions": way.sessions,
                    });
                    fact(label, format!("CloudTrail event {}", way.event_id), value)
                };
                Value::list([event("by IRSA", &w.both.irsa), event("by Pod Identity", &w.both.pod_identity)])
            },
        ),
    ];
}
