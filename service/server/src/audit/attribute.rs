//! Attributing sessions to their pods: those that are due, by the associations that the store knows.
//!
//! Knows the order of the steps and that they end. Refuses to attribute a session itself and to know SQL.

use crate::error::Error;
use rolecall_cloudtrail::{AssociationQuery, History, attribute_sessions, best};
use rolecall_estate::{AssociationSpan, Session, SessionAttribution};
use rolecall_store::{SessionKey, Store};
use std::collections::HashMap;

/// Sessions that are attributed together.
const AT_ONCE: u32 = 2_000;

/// Attributes every session that is due, those too to which changed associations may mean something else.
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
        // What was found before is to be found anew.
        let sessions: Vec<Session> =
            due.rows.into_iter().map(|session| Session { attribution: None, ..session }).collect();
        let query = AssociationQuery::new(&sessions, &|key| due.known.contains_key(key));
        let spans = store.association_spans(&query).await?;
        let attributions = blocking(move || decide(sessions, spans, &due.known)).await?;
        store.set_attributions(&attributions).await?;
    }
    store.attribute_late_calls().await?;
    Ok(looked_at)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Judging)
}

fn decide(
    sessions: Vec<Session>,
    spans: Vec<AssociationSpan>,
    known: &HashMap<String, Vec<Session>>,
) -> Vec<(SessionKey, SessionAttribution)> {
    let history = History::new(spans);
    let attributions = attribute_sessions(&sessions, &history, &|key| {
        best(known.get(key)?.iter().filter_map(|session| session.attribution.as_deref().cloned()))
    });
    sessions
        .into_iter()
        .zip(attributions)
        .map(|(session, attribution)| {
            let key = SessionKey { account_id: session.account_id, event_id: session.event_id, at: session.at };
            // The cluster that the event names stays where the attribution knows none.
            (key, SessionAttribution { cluster: attribution.cluster.or(session.cluster), ..attribution })
        })
        .collect()
}
