//! To which pod a session belongs, and how that is known.
//!
//! Knows the evidence that a session carries: tags that EKS set, the key that it was opened with,
//! its role and its name; and the associations with the time in which each was valid. A session is
//! attributed by the best evidence there is, and says by which; where it could be several, it carries all
//! of them. A chain of sessions is one story: pod, association role, target role, further roles.
//! Refuses to choose among candidates, and to believe tags that the caller of a session set itself.

use crate::session_name::PodIdentityName;
use chrono::{DateTime, Utc};
use rolecall_estate::id::{ClusterName, Namespace, Region, ServiceAccount};
use rolecall_estate::{
    AssociationKey, AssociationSpan, AttributionMethod, Session, SessionAttribution, SessionKind, SpanDetail,
};
use rolecall_iam::{AccountId, Arn};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Associations over time.
#[derive(Debug, Clone, Default)]
pub struct History {
    spans: Vec<AssociationSpan>,
    /// When each span began: by its own dates where they go back further than our look.
    begins: Vec<Option<DateTime<Utc>>>,
    by_key: BTreeMap<AssociationKey, Vec<usize>>,
    by_role: HashMap<String, Vec<usize>>,
    by_target: HashMap<String, Vec<usize>>,
    /// Spans of which the role is not known.
    opaque: Vec<usize>,
}

impl History {
    /// Of the spans, in any order.
    #[must_use]
    pub fn new(mut spans: Vec<AssociationSpan>) -> Self {
        spans.sort_by(|a, b| (&a.key, a.from, &a.association_id).cmp(&(&b.key, b.from, &b.association_id)));
        let mut history = Self::default();
        for (index, span) in spans.iter().enumerate() {
            let of_key = history.by_key.entry(span.key.clone()).or_default();
            let earlier = of_key.last().and_then(|last| spans.get(*last));
            let is_first = earlier.is_none_or(|earlier| earlier.association_id != span.association_id);
            let begin = match &span.detail {
                Some(detail) if is_first => detail.modified_at.or(detail.created_at).map(|at| at.min(span.from)),
                Some(detail) => Some(detail.modified_at.map_or(span.from, |at| at.min(span.from))),
                // Of the first span that shows nothing, nobody knows when it began.
                None => (!is_first).then_some(span.from),
            };
            of_key.push(index);
            history.begins.push(begin);
            match &span.detail {
                Some(detail) => {
                    history.by_role.entry(detail.role_arn.clone()).or_default().push(index);
                    if let Some(target) = &detail.target_role_arn {
                        history.by_target.entry(target.clone()).or_default().push(index);
                    }
                }
                None => history.opaque.push(index),
            }
        }
        history.spans = spans;
        history
    }

    /// How the association with this key stood at a moment.
    fn at(&self, key: &AssociationKey, at: DateTime<Utc>) -> Standing<'_> {
        let Some(indexes) = self.by_key.get(key) else { return Standing::Unknown };
        let mut standing = Standing::Unknown;
        for index in indexes {
            let Some(span) = self.spans.get(*index) else { continue };
            match self.covers(*index, at) {
                Covers::Yes => return Standing::Valid(span),
                Covers::Before => {
                    let created = span.detail.as_ref().and_then(|detail| detail.created_at);
                    // Changed since, but it was there: the same association in an earlier form.
                    let earlier = created.is_some_and(|created| created <= at);
                    if earlier && !matches!(standing, Standing::Ended) {
                        return Standing::Earlier(span);
                    }
                    if matches!(standing, Standing::Unknown) {
                        standing = Standing::NotYet;
                    }
                }
                Covers::After => standing = Standing::Ended,
            }
        }
        standing
    }

    /// How the association stood at a moment, where it was valid then.
    pub(super) fn valid(&self, key: &AssociationKey, at: DateTime<Utc>) -> Option<&AssociationSpan> {
        match self.at(key, at) {
            Standing::Valid(span) => Some(span),
            Standing::Earlier(_) | Standing::NotYet | Standing::Ended | Standing::Unknown => None,
        }
    }

    /// When a span began, by its own dates.
    pub(super) fn begin_of(&self, span: &AssociationSpan) -> Option<DateTime<Utc>> {
        let index = self.by_key.get(&span.key)?.iter().find(|index| self.spans.get(**index) == Some(span))?;
        self.begins.get(*index).copied().flatten()
    }

    /// Whether the association led to this role before, in a form that ended by then.
    #[must_use]
    pub fn led_to(&self, key: &AssociationKey, role_arn: &str, by: DateTime<Utc>) -> bool {
        self.by_key.get(key).into_iter().flatten().filter_map(|index| self.spans.get(*index)).any(|span| {
            let names = |detail: &SpanDetail| {
                detail.role_arn == role_arn || detail.target_role_arn.as_deref() == Some(role_arn)
            };
            span.to.is_some_and(|to| to <= by) && span.detail.as_ref().is_some_and(names)
        })
    }

    /// Whether an association leads to this role whose time began after a moment, and whose cluster
    /// fits the session's name.
    #[must_use]
    pub fn leads_later(&self, role_arn: &str, name: Option<&str>, is_target: bool, at: DateTime<Utc>) -> bool {
        let by = if is_target { &self.by_target } else { &self.by_role };
        let parsed = name.and_then(PodIdentityName::parse);
        by.get(role_arn).into_iter().flatten().any(|index| {
            let fits =
                |span: &AssociationSpan| parsed.is_none_or(|name| name.pod_in(span.key.cluster.as_str()).is_some());
            matches!(self.covers(*index, at), Covers::Before) && self.spans.get(*index).is_some_and(fits)
        })
    }

    /// All spans of the service account that a session's tags name.
    pub(super) fn spans_of(&self, session: &Session, attribution: &SessionAttribution) -> Vec<&AssociationSpan> {
        let arn = tag(session, "eks-cluster-arn").and_then(|arn| arn.parse::<Arn>().ok());
        let account = arn.as_ref().and_then(Arn::account_id).unwrap_or(session.account_id);
        let region = arn.as_ref().map_or(session.region.as_str(), Arn::region);
        let (Some(cluster), Some(namespace), Some(service_account)) =
            (&attribution.cluster, &attribution.namespace, &attribution.service_account)
        else {
            return Vec::new();
        };
        key_of(account, region, cluster, namespace, service_account)
            .and_then(|key| self.by_key.get(&key))
            .into_iter()
            .flatten()
            .filter_map(|index| self.spans.get(*index))
            .collect()
    }

    fn covers(&self, index: usize, at: DateTime<Utc>) -> Covers {
        let Some(span) = self.spans.get(index) else { return Covers::After };
        let begin = self.begins.get(index).copied().flatten();
        if begin.is_some_and(|begin| at < begin) {
            Covers::Before
        } else if span.to.is_some_and(|to| at >= to) {
            Covers::After
        } else {
            Covers::Yes
        }
    }

    /// Spans that can have led to a session of this role at a moment.
    fn leading_to(&self, role_arn: &str, is_target: bool, at: DateTime<Utc>) -> Vec<&AssociationSpan> {
        let by = if is_target { &self.by_target } else { &self.by_role };
        by.get(role_arn)
            .into_iter()
            .flatten()
            .chain(&self.opaque)
            .filter(|index| matches!(self.covers(**index, at), Covers::Yes))
            .filter_map(|index| self.spans.get(*index))
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Covers {
    Before,
    Yes,
    After,
}

#[derive(Debug, Clone, Copy)]
enum Standing<'h> {
    Valid(&'h AssociationSpan),
    /// It was there, in a form that nobody saw.
    Earlier(&'h AssociationSpan),
    NotYet,
    Ended,
    Unknown,
}

/// Attributes sessions, in their order; one that has an attribution keeps it. `known` tells the attribution of
/// a session that is not among them, by the access key id that it was given; where several have it, [`best`]
/// tells which.
///
/// Sessions may come in any order, and what their clocks say does not matter: a key tells who
/// opened a session. One whose parent comes later is attributed when all of them are attributed again. All
/// records of one access key must be given together: they say what one session is.
#[must_use]
pub fn attribute_sessions(
    sessions: &[Session],
    history: &History,
    known: &dyn Fn(&str) -> Option<SessionAttribution>,
) -> Vec<SessionAttribution> {
    let mut by_key: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, session) in sessions.iter().enumerate() {
        if let Some(key) = &session.access_key_id {
            by_key.entry(key).or_default().push(index);
        }
    }
    let mut attributing = Attributing { sessions, history, known, by_key, own: vec![None; sessions.len()] };
    // A session waits for every record of the key that opened it.
    let mut waits: Vec<usize> = sessions.iter().map(|session| attributing.opened_by(session).len()).collect();
    let mut ready: Vec<usize> =
        waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(index, _)| index).collect();
    let mut by_parent: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, session) in sessions.iter().enumerate() {
        if let Some(key) = parent_key(session) {
            by_parent.entry(key).or_default().push(index);
        }
    }
    while let Some(index) = ready.pop() {
        let Some(session) = sessions.get(index) else { continue };
        let attribution = attributing.found(session);
        if let Some(own) = attributing.own.get_mut(index) {
            *own = Some(attribution);
        }
        let opened = session.access_key_id.as_deref().and_then(|key| by_parent.get(key));
        for child in opened.into_iter().flatten() {
            if let Some(waits) = waits.get_mut(*child) {
                *waits -= 1;
                if *waits == 0 {
                    ready.push(*child);
                }
            }
        }
    }
    (0..sessions.len()).map(|index| attributing.attribution(index)).collect()
}

/// The best of several attributions of one session: to an association rather than to none, and by the better
/// evidence. Which it is does not depend on their order.
#[must_use]
pub fn best(attributions: impl IntoIterator<Item = SessionAttribution>) -> Option<SessionAttribution> {
    fn rank(attribution: &SessionAttribution) -> impl Ord + '_ {
        let place = (&attribution.cluster, &attribution.namespace, &attribution.service_account, &attribution.pod);
        let rest = (attribution.depth, &attribution.parent, &attribution.candidates, &attribution.reason);
        (
            attribution.association_id.is_none(),
            attribution.association.is_none(),
            attribution.method,
            &attribution.association_id,
            place,
            rest,
        )
    }
    attributions
        .into_iter()
        .reduce(|best, attribution| if rank(&attribution) < rank(&best) { attribution } else { best })
}

/// The key that opened a session, where its attribution can depend on it.
fn parent_key(session: &Session) -> Option<&str> {
    let follows = matches!(session.kind, SessionKind::PodIdentityTarget | SessionKind::AssumeRole);
    session.parent_access_key_id.as_deref().filter(|_| follows)
}

struct Attributing<'t> {
    sessions: &'t [Session],
    history: &'t History,
    known: &'t dyn Fn(&str) -> Option<SessionAttribution>,
    by_key: HashMap<&'t str, Vec<usize>>,
    /// What a session's own record and its parents say, other records of the session aside; `None`:
    /// not found out, which is what it stays in a chain that is closed.
    own: Vec<Option<SessionAttribution>>,
}

impl Attributing<'_> {
    fn opened_by(&self, session: &Session) -> &[usize] {
        parent_key(session).and_then(|key| self.by_key.get(key)).map_or(&[], Vec::as_slice)
    }

    fn own(&self, index: usize) -> SessionAttribution {
        let found = self.own.get(index).cloned().flatten();
        found.unwrap_or_else(|| SessionAttribution::unattributed("the chain of sessions that opened it is closed"))
    }

    fn attribution(&self, index: usize) -> SessionAttribution {
        let own = self.own(index);
        let is_known = self.sessions.get(index).is_some_and(|session| session.attribution.is_some());
        if is_known || own.association.is_some() { own } else { self.by_copy(index).unwrap_or(own) }
    }

    /// By another account's record of the same session.
    fn by_copy(&self, index: usize) -> Option<SessionAttribution> {
        let session = self.sessions.get(index)?;
        let copies = self.by_key.get(session.access_key_id.as_deref()?)?;
        let same =
            |copy: &usize| *copy != index && self.sessions.get(*copy).is_some_and(|s| s.role_arn == session.role_arn);
        let copies = copies.iter().copied().filter(same).map(|copy| self.own(copy));
        let best = best(copies.filter(|attribution| attribution.association.is_some()))?;
        Some(SessionAttribution { method: AttributionMethod::AccessKey, ..best })
    }

    fn found(&self, session: &Session) -> SessionAttribution {
        if let Some(known) = &session.attribution {
            return (**known).clone();
        }
        match session.kind {
            SessionKind::AgentRequest => {
                let mut attribution = SessionAttribution::unattributed(
                    "the agent's request names its cluster and no pod, role or association",
                );
                attribution.cluster.clone_from(&session.cluster);
                attribution
            }
            SessionKind::WebIdentity => by_web_identity(session),
            SessionKind::Saml => SessionAttribution::unattributed("opened by a SAML identity"),
            SessionKind::Service => {
                SessionAttribution::unattributed("opened by an AWS service other than EKS Pod Identity")
            }
            SessionKind::PodIdentity => {
                by_tags(session, self.history).unwrap_or_else(|| by_name(session, self.history))
            }
            SessionKind::PodIdentityTarget | SessionKind::AssumeRole => self.further(session),
        }
    }

    /// A session that was opened with a key: EKS's hop to a target role, or a hop of the workload.
    fn further(&self, session: &Session) -> SessionAttribution {
        let parent_key = parent_key(session);
        let parent = parent_key.and_then(|key| self.parent(session, key));
        let is_hop = session.kind == SessionKind::PodIdentityTarget;
        match parent {
            Some(parent) if parent.is_workload() => {
                let tagged = is_hop.then(|| by_tags(session, self.history)).flatten();
                let attribution = match tagged {
                    Some(tagged) if tagged.association.is_some() => tagged,
                    _ if parent.method == AttributionMethod::Ambiguous => SessionAttribution {
                        reason: Some("the session that opened it can be of several associations".to_owned()),
                        ..parent.clone()
                    },
                    _ => SessionAttribution { method: AttributionMethod::Chain, ..parent.clone() },
                };
                SessionAttribution {
                    parent: parent_key.map(str::to_owned),
                    depth: parent.depth.saturating_add(1),
                    ..attribution
                }
            }
            // Its caller is known, and is no pod: nothing that it says of itself makes it one.
            Some(parent) => SessionAttribution {
                parent: parent_key.map(str::to_owned),
                depth: parent.depth.saturating_add(1),
                ..SessionAttribution::unattributed("the session that opened it belongs to no pod")
            },
            None if is_hop => {
                let attribution = by_tags(session, self.history)
                    .or_else(|| by_external_id(session, self.history))
                    .unwrap_or_else(|| by_name(session, self.history));
                SessionAttribution { depth: 1, ..attribution }
            }
            None => by_caller(session, self.history),
        }
    }

    /// What opened a session, once that is found out.
    fn parent(&self, session: &Session, key: &str) -> Option<SessionAttribution> {
        let here = self.opened_by(session).iter().map(|granting| self.attribution(*granting));
        best(here.chain((self.known)(key)))
    }
}

/// A session of a service account that IAM trusts through the cluster's OIDC provider.
fn by_web_identity(session: &Session) -> SessionAttribution {
    let mut attribution = SessionAttribution::unattributed("opened by a web identity and not through an association");
    if let Some((namespace, service_account)) =
        session.principal.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
    {
        attribution.namespace = Some(namespace.to_owned());
        attribution.service_account = Some(service_account.to_owned());
    }
    attribution
}

/// Which associations sessions can be of: what [`History`] must hold for [`attribute_sessions`]. A session
/// is answered the same whatever others are asked about with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssociationQuery {
    /// Associations with one of these roles, as role or as target.
    pub roles: BTreeSet<String>,
    /// Associations with a role of one of these names.
    pub role_names: BTreeSet<String>,
    /// Associations with one of these keys, as `AssociationKey` writes them.
    pub keys: BTreeSet<String>,
}

impl AssociationQuery {
    /// Of these sessions; `is_known` tells whether another session with this access key id is known.
    #[must_use]
    pub fn new(sessions: &[Session], is_known: &dyn Fn(&str) -> bool) -> Self {
        let given: BTreeSet<&str> = sessions.iter().filter_map(|session| session.access_key_id.as_deref()).collect();
        let is_known = |key: &str| given.contains(key) || is_known(key);
        let orphans = sessions.iter().filter(|session| !session.parent_access_key_id.as_deref().is_some_and(is_known));
        Self {
            roles: sessions.iter().filter_map(|session| session.role_arn.clone()).collect(),
            role_names: orphans.filter_map(|session| caller(&session.principal)).collect(),
            keys: sessions.iter().filter_map(key_by_tags).collect(),
        }
    }
}

/// The name of the role whose session called, if EKS named that session.
fn caller(principal: &str) -> Option<String> {
    let (role, session) = principal.split_once(":assumed-role/")?.1.rsplit_once('/')?;
    PodIdentityName::parse(session).map(|_| role.to_owned())
}

/// Which association the tags name.
fn key_by_tags(session: &Session) -> Option<String> {
    let arn: Arn = session.tags.get("eks-cluster-arn")?.parse().ok()?;
    let cluster = arn.resource().strip_prefix("cluster/")?;
    let namespace = session.tags.get("kubernetes-namespace")?;
    let service_account = session.tags.get("kubernetes-service-account")?;
    Some(format!("{}/{}/{cluster}/{namespace}/{service_account}", arn.account(), arn.region()))
}

fn tag<'s>(session: &'s Session, key: &str) -> Option<&'s str> {
    session.tags.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// By the tags that EKS set; `None` where there are none.
fn by_tags(session: &Session, history: &History) -> Option<SessionAttribution> {
    let namespace = tag(session, "kubernetes-namespace")?;
    let service_account = tag(session, "kubernetes-service-account")?;
    let arn = tag(session, "eks-cluster-arn").and_then(|arn| arn.parse::<Arn>().ok());
    let named = arn.as_ref().and_then(|arn| arn.resource().strip_prefix("cluster/"));
    let cluster = named.or_else(|| tag(session, "eks-cluster-name"))?;
    let account = arn.as_ref().and_then(Arn::account_id).unwrap_or(session.account_id);
    let region = arn.as_ref().map_or(session.region.as_str(), Arn::region);
    let pod = tag(session, "kubernetes-pod-name").map(str::to_owned);
    let unattributed = |reason: &str| SessionAttribution {
        method: AttributionMethod::Tags,
        cluster: Some(cluster.to_owned()),
        namespace: Some(namespace.to_owned()),
        service_account: Some(service_account.to_owned()),
        pod: pod.clone(),
        ..SessionAttribution::unattributed(reason)
    };
    let Some(key) = key_of(account, region, cluster, namespace, service_account) else {
        return Some(unattributed("its tags name no service account that can exist"));
    };
    Some(match history.at(&key, session.at) {
        Standing::Valid(span) | Standing::Earlier(span) => SessionAttribution::by(AttributionMethod::Tags, span, pod),
        Standing::NotYet => unattributed("the association of its service account was made later"),
        Standing::Ended => unattributed("the association of its service account was gone"),
        Standing::Unknown => unattributed("no association of its service account is known"),
    })
}

fn key_of(
    account: AccountId,
    region: &str,
    cluster: &str,
    namespace: &str,
    service_account: &str,
) -> Option<AssociationKey> {
    Some(AssociationKey {
        account_id: account,
        region: region.parse::<Region>().ok()?,
        cluster: cluster.parse::<ClusterName>().ok()?,
        namespace: namespace.parse::<Namespace>().ok()?,
        service_account: service_account.parse::<ServiceAccount>().ok()?,
    })
}

/// By the external id that EKS made: `region/account/cluster/namespace/service-account`. Only of a
/// hop that EKS made itself, since any caller can send one.
fn by_external_id(session: &Session, history: &History) -> Option<SessionAttribution> {
    let mut parts = session.external_id.as_deref()?.splitn(5, '/');
    let (region, account, cluster, namespace, service_account) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let key = key_of(account.parse().ok()?, region, cluster, namespace, service_account)?;
    match history.at(&key, session.at) {
        Standing::Valid(span) | Standing::Earlier(span) => {
            let pod = session.session_name.as_deref().and_then(PodIdentityName::parse);
            let pod = pod.and_then(|name| name.pod_in(cluster)).map(str::to_owned);
            Some(SessionAttribution::by(AttributionMethod::Name, span, pod))
        }
        Standing::NotYet | Standing::Ended | Standing::Unknown => None,
    }
}

/// By role and session name.
fn by_name(session: &Session, history: &History) -> SessionAttribution {
    let is_target = session.kind == SessionKind::PodIdentityTarget;
    let Some(role) = session.role_arn.as_deref() else {
        return SessionAttribution::unattributed("the event names no role");
    };
    by_role_and_name(session, role, session.session_name.as_deref(), is_target, history)
}

/// By the role and name of the session that called, whose own record is not there.
fn by_caller(session: &Session, history: &History) -> SessionAttribution {
    let unknown = || SessionAttribution::unattributed("no session of a pod is known to have opened it");
    let Ok(arn) = session.principal.parse::<Arn>() else { return unknown() };
    let Some((role, name)) = arn.resource().strip_prefix("assumed-role/").and_then(|rest| rest.rsplit_once('/')) else {
        return unknown();
    };
    if arn.service() != "sts" || PodIdentityName::parse(name).is_none() {
        return unknown();
    }
    // The session's ARN does not tell the role's path.
    let prefix = format!("arn:{}:iam::{}:role/", arn.partition(), arn.account());
    let named =
        |candidate: &&String| candidate.strip_prefix(&prefix).is_some_and(|rest| rest.rsplit('/').next() == Some(role));
    let roles: BTreeSet<(&String, bool)> = history
        .by_role
        .keys()
        .filter(named)
        .map(|role| (role, false))
        .chain(history.by_target.keys().filter(named).map(|role| (role, true)))
        .collect();
    let mut attributions = roles.iter().map(|(role, is_target)| {
        let attribution = by_role_and_name(session, role, Some(name), *is_target, history);
        SessionAttribution { depth: if *is_target { 2 } else { 1 }, ..attribution }
    });
    match (attributions.next(), attributions.next()) {
        (Some(attribution), None) if attribution.is_workload() => attribution,
        _ => unknown(),
    }
}

fn by_role_and_name(
    session: &Session,
    role: &str,
    name: Option<&str>,
    is_target: bool,
    history: &History,
) -> SessionAttribution {
    let parsed = name.and_then(PodIdentityName::parse);
    let mut fits: Vec<&AssociationSpan> = history
        .leading_to(role, is_target, session.at)
        .into_iter()
        .filter(|span| is_target || role_account(role).is_none_or(|account| account == span.key.account_id))
        .filter(|span| parsed.is_none_or(|name| name.pod_in(span.key.cluster.as_str()).is_some()))
        .collect();
    // EKS asks for sessions in the cluster's own region, and without tags only where they are off.
    narrow(&mut fits, |span| span.key.region == session.region);
    narrow(&mut fits, |span| span.detail.is_some());
    narrow(&mut fits, |span| span.detail.as_ref().is_some_and(|detail| detail.disable_session_tags));
    let keys: BTreeSet<&AssociationKey> = fits.iter().map(|span| &span.key).collect();
    let pod =
        |span: &AssociationSpan| parsed.and_then(|name| name.pod_in(span.key.cluster.as_str())).map(str::to_owned);
    match (fits.first(), keys.len()) {
        (None, _) => {
            let mut attribution = SessionAttribution::unattributed(if parsed.is_some() {
                "no association with its role and a cluster of its name was valid"
            } else {
                "no association with its role was valid, and its name tells no cluster"
            });
            attribution.cluster.clone_from(&session.cluster);
            attribution
        }
        (Some(span), 1) => SessionAttribution::by(AttributionMethod::Name, span, pod(span)),
        (Some(first), _) => {
            let agreed = |of: &dyn Fn(&AssociationKey) -> String| {
                let value = of(&first.key);
                keys.iter().all(|key| of(key) == value).then_some(value)
            };
            let ids: BTreeSet<&String> = fits.iter().map(|span| &span.association_id).collect();
            SessionAttribution {
                method: AttributionMethod::Ambiguous,
                cluster: agreed(&|key| key.cluster.to_string()),
                namespace: agreed(&|key| key.namespace.to_string()),
                service_account: agreed(&|key| key.service_account.to_string()),
                pod: agreed(&|key| key.cluster.to_string()).and_then(|_| pod(first)),
                candidates: ids.into_iter().cloned().collect(),
                ..SessionAttribution::unattributed(format!("its role and name fit {} associations", keys.len()))
            }
        }
    }
}

/// Keeps what holds, if anything does.
fn narrow(fits: &mut Vec<&AssociationSpan>, holds: impl Fn(&AssociationSpan) -> bool) {
    if fits.iter().any(|span| holds(span)) {
        fits.retain(|span| holds(span));
    }
}

fn role_account(role: &str) -> Option<AccountId> {
    role.parse::<Arn>().ok()?.account_id()
}
