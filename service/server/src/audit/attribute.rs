//! Tying sessions to their pods: what is due, by what the store knows of associations.
//!
//! Knows the order of the steps and that they end. Refuses to decide a tie and to know SQL.

use crate::error::Error;
use rolecall_cloudtrail::session_name::PodIdentityName;
use rolecall_cloudtrail::{AttributionMethod, History, SessionAttribution, attribute_sessions, best};
use rolecall_estate::{Association, AssociationSpan, Session, SpanDetail};
use rolecall_store::{AssociationVersion, SessionKey, SessionRow, Store, Tied};
use std::collections::{HashMap, HashSet};

/// Sessions that are tied together.
const AT_ONCE: u32 = 2_000;

/// Ties every session that is due, those too to which changed associations may mean something else.
/// Says how many were looked at.
///
/// # Errors
/// Where the database fails.
pub async fn attribute_due_sessions(store: &Store) -> Result<u64, Error> {
    store.associations_changed().await?;
    let mut looked_at = 0;
    loop {
        let due = store.due_sessions(AT_ONCE).await?;
        if due.rows.is_empty() {
            break;
        }
        looked_at += u64::try_from(due.rows.len()).unwrap_or(u64::MAX);
        let sessions: Vec<Session> = due.rows.into_iter().map(|row| row.session).collect();
        let versions = versions(store, &sessions, &due.known).await?;
        let attributions = blocking(move || decide(sessions, versions, &due.known)).await?;
        store.set_attributions(&attributions).await?;
    }
    store.attribute_late_calls().await?;
    Ok(looked_at)
}

/// The associations that the sessions can be of, as looks found them over time.
///
/// # Errors
/// Where the database fails.
pub async fn history(store: &Store, sessions: &[Session]) -> Result<Vec<AssociationSpan>, Error> {
    let versions = versions(store, sessions, &HashMap::new()).await?;
    Ok(versions.into_iter().map(span).collect())
}

/// The associations that any of the sessions can be of. A session is answered the same whatever
/// others are asked about with it.
async fn versions(
    store: &Store,
    sessions: &[Session],
    known: &HashMap<String, Vec<SessionRow>>,
) -> Result<Vec<AssociationVersion>, Error> {
    let roles = sessions.iter().filter_map(|session| session.role_arn.clone()).collect();
    let keys = sessions.iter().filter_map(key_by_tags).collect();
    let given: HashSet<&str> = sessions.iter().filter_map(|session| session.access_key_id.as_deref()).collect();
    let is_known = |key: &str| given.contains(key) || known.contains_key(key);
    let orphans = sessions.iter().filter(|session| !session.parent_access_key_id.as_deref().is_some_and(is_known));
    let callers = orphans.filter_map(|session| caller(&session.principal)).collect();
    Ok(store.association_versions(&roles, &callers, &keys).await?)
}

/// The name of the role whose session called, if EKS named that session.
fn caller(principal: &str) -> Option<String> {
    let (role, session) = principal.split_once(":assumed-role/")?.1.rsplit_once('/')?;
    PodIdentityName::parse(session).map(|_| role.to_owned())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Judging)
}

fn decide(
    sessions: Vec<Session>,
    versions: Vec<AssociationVersion>,
    known: &HashMap<String, Vec<SessionRow>>,
) -> Vec<(SessionKey, Tied)> {
    let history = History::new(versions.into_iter().map(span).collect());
    let attributions =
        attribute_sessions(&sessions, &history, &|key| best(known.get(key)?.iter().filter_map(attribution_of)));
    sessions
        .into_iter()
        .zip(attributions)
        .map(|(session, attribution)| {
            let key = SessionKey { account_id: session.account_id, event_id: session.event_id, at: session.at };
            (key, stored(attribution, session.cluster))
        })
        .collect()
}

/// Which association the tags name.
fn key_by_tags(session: &Session) -> Option<String> {
    let arn: rolecall_iam::Arn = session.tags.get("eks-cluster-arn")?.parse().ok()?;
    let cluster = arn.resource().strip_prefix("cluster/")?;
    let namespace = session.tags.get("kubernetes-namespace")?;
    let service_account = session.tags.get("kubernetes-service-account")?;
    Some(format!("{}/{}/{cluster}/{namespace}/{service_account}", arn.account(), arn.region()))
}

fn span(version: AssociationVersion) -> AssociationSpan {
    let Association { key, association_id, detail, .. } = version.association;
    let detail = detail.map(|detail| SpanDetail {
        role_arn: detail.role_arn,
        target_role_arn: detail.target_role_arn,
        disable_session_tags: detail.disable_session_tags,
        created_at: detail.created_at,
        modified_at: detail.modified_at,
    });
    AssociationSpan { key, association_id, detail, from: version.from, to: version.to }
}

/// A tie as it is kept. The cluster that the event names stays where the tie knows none.
fn stored(attribution: SessionAttribution, cluster: Option<String>) -> Tied {
    Tied {
        cluster: attribution.cluster.or(cluster),
        namespace: attribution.namespace,
        service_account: attribution.service_account,
        pod: attribution.pod,
        association_id: attribution.association_id,
        attribution_method: Some(attribution.attribution_method.as_str().to_owned()),
        why: attribution.reason,
        candidates: attribution.candidates,
        depth: attribution.depth,
    }
}

/// A kept tie, as far as those that follow from it need it.
fn attribution_of(row: &SessionRow) -> Option<SessionAttribution> {
    let attribution = &row.attribution;
    let word = serde_json::Value::String(attribution.attribution_method.clone()?);
    let attribution_method: AttributionMethod = serde_json::from_value(word).ok()?;
    let association = row.attribution.association_id.as_ref().and_then(|_| association_key(row));
    Some(SessionAttribution {
        attribution_method,
        association,
        association_id: attribution.association_id.clone(),
        cluster: attribution.cluster.clone(),
        namespace: attribution.namespace.clone(),
        service_account: attribution.service_account.clone(),
        pod: attribution.pod.clone(),
        candidates: attribution.candidates.clone(),
        parent: row.session.parent_access_key_id.clone(),
        depth: attribution.depth,
        reason: attribution.why.clone(),
    })
}

/// The key of the association that a session is tied to. Its account and region are the session's:
/// what another account's session inherits is only asked whether there is one.
fn association_key(row: &SessionRow) -> Option<rolecall_estate::AssociationKey> {
    Some(rolecall_estate::AssociationKey {
        account_id: row.session.account_id,
        region: row.session.region.clone(),
        cluster: row.attribution.cluster.as_deref()?.parse().ok()?,
        namespace: row.attribution.namespace.as_deref()?.parse().ok()?,
        service_account: row.attribution.service_account.as_deref()?.parse().ok()?,
    })
}
