//! Deliveries: every process with a worker serves every webhook, and of several processes one sends each message.
//!
//! The events after a webhook's position become deliveries, in the transaction that moves the position; a delivery is
//! sent under a lease, and what came of it is noted. A process that dies between leaves a delivery whose lease ends,
//! which is then sent again under the same id. Refuses to know what a message says.

use crate::app::App;
use crate::error::{Error, chain};
use crate::http::base_url;
use crate::outgoing::endpoint::Endpoint;
use crate::outgoing::message::{EventItem, message};
use futures::future::join_all;
use rand::RngExt as _;
use rolecall_iam::Digest;
use rolecall_outgoing::{Outcome, TIMEOUT, delay};
use rolecall_store::{
    Attempted, ChangeRow, ClaimedDelivery, Disabled, Event, EventSubject, FeedPart, FindingRow, NewDelivery,
};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between looks at what is to be sent.
const IDLE: Duration = Duration::from_secs(2);
/// After a failure of the database.
const RETRY: Duration = Duration::from_secs(15);
/// Longer than an attempt takes.
const LEASE: Duration = Duration::from_secs(TIMEOUT.as_secs() * 2);
/// Events that become deliveries at a time.
const EVENTS: u32 = 200;
/// Requests under way at a time to one endpoint.
const AT_ONCE: u32 = 8;
/// While so many deliveries wait, none are added: the feed keeps the events.
const MOST_WAITING: u64 = 1_000;

/// What serves the webhooks.
pub struct Deliveries {
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Deliveries {
    /// Starts to serve every webhook that is configured.
    ///
    /// # Errors
    /// A secret, an address or a file that cannot be read, with the webhook's name.
    pub fn start(app: &App) -> Result<Self, Error> {
        let outgoing = &app.config.outgoing;
        let endpoint = |config| Endpoint::new(config, &outgoing.allow_cidrs);
        let endpoints = outgoing.webhooks.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
        let stop = CancellationToken::new();
        let task = |endpoint| tokio::spawn(serve(app.clone(), endpoint, stop.clone()));
        Ok(Self { tasks: endpoints.into_iter().map(task).collect(), stop })
    }

    /// Sends nothing more, and waits for what is under way.
    pub async fn stop(self) {
        self.stop.cancel();
        join_all(self.tasks).await;
    }
}

async fn serve(app: App, endpoint: Endpoint, stop: CancellationToken) {
    let mut is_kept = false;
    while !stop.is_cancelled() {
        let pause = match round(&app, &endpoint, &mut is_kept).await {
            Ok(0) => IDLE,
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(webhook = endpoint.name, error = chain(&error), "a webhook could not be served");
                RETRY
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Makes the deliveries that are to be made of one webhook, sends some that are due, and says how many. `is_kept` is
/// whether the store knows the webhook already.
///
/// # Errors
/// Where the database fails.
pub async fn round(app: &App, endpoint: &Endpoint, is_kept: &mut bool) -> Result<usize, Error> {
    if !*is_kept {
        app.store.keep_webhook(&endpoint.name).await?;
        *is_kept = true;
    }
    while prepare(app, endpoint).await? {}
    let claimed = app.store.claim_deliveries(&endpoint.name, AT_ONCE, LEASE).await?;
    let sent = claimed.len();
    for noted in join_all(claimed.iter().map(|delivery| attempt(app, endpoint, delivery))).await {
        noted?;
    }
    Ok(sent)
}

/// Makes deliveries of the next events, and says whether there are more.
async fn prepare(app: &App, endpoint: &Endpoint) -> Result<bool, Error> {
    let Some((position, waiting)) = app.store.webhook_position(&endpoint.name).await? else { return Ok(false) };
    if waiting >= MOST_WAITING {
        return Ok(false);
    }
    let kinds: Vec<String> = endpoint.route.types.iter().cloned().collect();
    let (events, next, has_more) = match app.store.feed(position, &kinds, EVENTS).await? {
        FeedPart::Events { events, next, has_more } => (events, next, has_more),
        FeedPart::Gone(bounds) => {
            // Older than what is kept, or of a database that was restored since.
            let to = if position > bounds.end { bounds.end } else { bounds.begin };
            tracing::warn!(webhook = endpoint.name, from = position, to, "events are gone, and were not sent");
            return Ok(app.store.advance_webhook(&endpoint.name, position, to, &[]).await?);
        }
    };
    if next == position {
        return Ok(false);
    }
    let deliveries = deliveries(app, endpoint, &events).await?;
    app.store.advance_webhook(&endpoint.name, position, next, &deliveries).await?;
    Ok(has_more)
}

async fn deliveries(app: &App, endpoint: &Endpoint, events: &[Event]) -> Result<Vec<NewDelivery>, Error> {
    let (mut fingerprints, mut changes) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        match &event.subject {
            EventSubject::Finding(fingerprint) => drop(fingerprints.insert(fingerprint.0.clone())),
            EventSubject::Change(id) => drop(changes.insert(id.clone())),
            EventSubject::Run(_) => {}
        }
    }
    let fingerprints: Vec<String> = fingerprints.into_iter().collect();
    let mut findings = HashMap::new();
    for mut row in app.store.findings_by_fingerprints(&fingerprints).await? {
        // A row holds the first of its workloads; a route may ask for the others.
        let is_part = u64::try_from(row.workloads.len()).unwrap_or(u64::MAX) < row.workload_count;
        if is_part && !endpoint.route.namespaces.is_empty() {
            row.workloads = app.store.workloads_of(&row, u32::MAX).await?;
        }
        findings.insert(row.fingerprint.0.clone(), row);
    }
    let changes: Vec<String> = changes.into_iter().collect();
    let changes = app.store.changes_by_ids(&changes).await?;
    let changes: HashMap<&str, &ChangeRow> = changes.iter().map(|row| (row.change.id.as_str(), row)).collect();
    let base = base_url(&app.config);
    let delivery = |event: &Event| {
        let item = event_item(event, &findings, &changes);
        endpoint.route.wants(item).then(|| {
            let message = message(endpoint.kind, item, &app.rules, &base);
            NewDelivery {
                id: id(app, &endpoint.name, event.seq),
                seq: Some(event.seq),
                kind: event.kind.clone(),
                page: message.page,
                body: message.body,
            }
        })
    };
    Ok(events.iter().filter_map(delivery).collect())
}

fn event_item<'a>(
    event: &'a Event,
    findings: &'a HashMap<String, FindingRow>,
    changes: &HashMap<&str, &'a ChangeRow>,
) -> EventItem<'a> {
    match &event.subject {
        EventSubject::Finding(id) => EventItem { event, finding: findings.get(&id.0), change: None },
        EventSubject::Change(id) => EventItem { event, finding: None, change: changes.get(id.as_str()).copied() },
        EventSubject::Run(_) => EventItem { event, finding: None, change: None },
    }
}

/// The id of the message that an event is to a webhook: the same however often the event is gone through, and no other
/// installation's.
fn id(app: &App, webhook: &str, seq: i64) -> String {
    let text = format!("webhook\n{webhook}\n{seq}\n");
    let digest = Digest::sha256(&[app.secrets.signing_key().as_slice(), text.as_bytes()].concat());
    format!("msg_{}", digest.to_string().chars().take(32).collect::<String>())
}

async fn attempt(app: &App, endpoint: &Endpoint, delivery: &ClaimedDelivery) -> Result<(), Error> {
    let now = app.store.now().await?;
    let outcome = endpoint.send(&delivery.id, now, &delivery.body).await;
    let (status, retry_after, why) = match &outcome {
        Outcome::Taken(answer) => (Some(answer.status), None, None),
        Outcome::Gone(answer) => (Some(answer.status), None, Some("the endpoint wants no more messages".to_owned())),
        Outcome::Refused(answer) => {
            let redirects = (300..400).contains(&answer.status);
            let why = if redirects { "redirects are not followed" } else { "it was not taken" };
            (Some(answer.status), answer.retry_after, Some(why.to_owned()))
        }
        Outcome::NoAnswer(why) => (None, None, Some(why.clone())),
    };
    let attempted = match outcome {
        Outcome::Taken(_) => Attempted::Delivered,
        Outcome::Gone(_) => Attempted::GivenUp(Disabled::Gone),
        Outcome::Refused(_) | Outcome::NoAnswer(_) => {
            let jitter = rand::rng().random_range(0.0..1.0);
            let wait = delay(delivery.attempts.saturating_add(1), jitter, retry_after);
            wait.map_or(Attempted::GivenUp(Disabled::Failed), Attempted::Again)
        }
    };
    match (&attempted, &why) {
        (Attempted::GivenUp(why), _) => {
            tracing::error!(webhook = endpoint.name, delivery.id, status, why = why.as_str(), "a webhook is disabled");
        }
        (Attempted::Again(wait), Some(why)) => {
            let seconds = wait.as_secs();
            tracing::warn!(webhook = endpoint.name, delivery.id, status, why, seconds, "a message is sent again later");
        }
        _ => tracing::debug!(webhook = endpoint.name, delivery.id, status, "a message was taken"),
    }
    if !app.store.note_attempt(delivery, &attempted, status, why.as_deref()).await? {
        tracing::warn!(webhook = endpoint.name, delivery.id, "another process sends the message by now");
    }
    Ok(())
}
