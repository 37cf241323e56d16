//! Events of the feed become deliveries, in the transaction that moves the position of the webhook.
//!
//! Events are gone through to the end of the feed before anything is made of them: only then it shows whether a scan
//! opened so many findings that one message tells of all. Refuses to know what a message says, and how it is sent.

use crate::app::App;
use crate::error::Error;
use crate::http::base_url;
use crate::outgoing::digest::{Digest, KIND as DIGEST};
use crate::outgoing::endpoint::{DigestSchedule, Endpoint};
use crate::outgoing::message::{EventItem, message};
use crate::outgoing::summary::Summary;
use chrono::{DateTime, Utc};
use rolecall_iam::Digest as Sha;
use rolecall_store::{
    Advance, ChangeRow, Event, EventSubject, FeedPart, FindingRow, NewDelivery, RunId, WebhookPosition,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Events that are read at a time.
const EVENTS: u32 = 500;
/// While so many deliveries wait, none are added: the feed keeps the events.
const MOST_WAITING: u64 = 1_000;
/// Numbers of the feed that are gone through before deliveries are made of them, at most.
const MOST_GONE_THROUGH: i64 = 1_000_000;

/// What is made of events that are gone through.
trait Takes {
    fn take(&mut self, item: EventItem<'_>);
    /// Whether no more are to be gone through before something is made of them.
    fn is_full(&self) -> bool;
}

impl Takes for Digest<'_> {
    fn take(&mut self, item: EventItem<'_>) {
        self.add(item);
    }

    /// It lists so many and counts the others.
    fn is_full(&self) -> bool {
        false
    }
}

/// Messages that are sent as they come.
struct Made<'a> {
    app: &'a App,
    endpoint: &'a Endpoint,
    base: &'a str,
    deliveries: Vec<NewDelivery>,
    groups: BTreeMap<(RunId, String), Group>,
}

/// Events of one scan and kind: counted, and as deliveries while these are no more than are sent one by one.
struct Group {
    summary: Summary,
    deliveries: Vec<NewDelivery>,
}

impl Takes for Made<'_> {
    fn take(&mut self, item: EventItem<'_>) {
        let (app, endpoint, event) = (self.app, self.endpoint, item.event);
        let delivery = || {
            let id = id(app, &endpoint.name, &event.seq.to_string());
            let message = message(endpoint.kind, &id, item, &app.rules, self.base);
            NewDelivery { id, seq: Some(event.seq), kind: event.kind.clone(), page: message.page, body: message.body }
        };
        let Some(run) = event.run.filter(|_| Summary::may_stand_for(&event.kind)) else {
            let delivery = delivery();
            self.deliveries.push(delivery);
            return;
        };
        let group = self
            .groups
            .entry((run, event.kind.clone()))
            .or_insert_with(|| Group { summary: Summary::new(run, item), deliveries: Vec::new() });
        group.summary.add(item);
        if group.summary.count <= endpoint.summary_above {
            group.deliveries.push(delivery());
        } else {
            group.deliveries.clear();
        }
    }

    fn is_full(&self) -> bool {
        let count = self.groups.values().map(|group| group.deliveries.len()).sum::<usize>() + self.deliveries.len();
        u64::try_from(count).unwrap_or(u64::MAX) >= MOST_WAITING
    }
}

impl Made<'_> {
    /// All deliveries, with one in place of the events of each large group.
    fn finished(self) -> Vec<NewDelivery> {
        let Self { app, endpoint, base, mut deliveries, groups } = self;
        for Group { summary, deliveries: single } in groups.into_values() {
            if summary.count <= endpoint.summary_above {
                deliveries.extend(single);
                continue;
            }
            let id = id(app, &endpoint.name, &summary.identity());
            let message = summary.message(endpoint.kind, &id, &endpoint.route, base);
            deliveries.push(NewDelivery {
                id,
                seq: Some(summary.last_seq()),
                kind: summary.message_kind(),
                page: message.page,
                body: message.body,
            });
        }
        deliveries.sort_by_key(|delivery| delivery.seq);
        deliveries
    }
}

/// Makes deliveries of the next events, and says whether there are more.
///
/// # Errors
/// Where the database fails.
pub(super) async fn prepare(app: &App, endpoint: &Endpoint) -> Result<bool, Error> {
    let Some(at) = app.store.webhook_position(&endpoint.name).await? else { return Ok(false) };
    if at.waiting >= MOST_WAITING {
        return Ok(false);
    }
    let base = base_url(&app.config);
    if let Some(schedule) = &endpoint.digest {
        return digest(app, endpoint, schedule, at, &base).await;
    }
    let mut made = Made { app, endpoint, base: &base, deliveries: Vec::new(), groups: BTreeMap::new() };
    match walk(app, endpoint, at.position, &mut made).await? {
        Walked::Nowhere => Ok(false),
        Walked::PastTheGap(to) => Ok(app.store.advance_webhook(&endpoint.name, step(at, to, None), &[]).await?),
        Walked::To { position, goes_on } => {
            let deliveries = made.finished();
            app.store.advance_webhook(&endpoint.name, step(at, position, None), &deliveries).await?;
            Ok(goes_on)
        }
    }
}

/// Makes the letter of the latest slot, unless it was made.
async fn digest(
    app: &App,
    endpoint: &Endpoint,
    schedule: &DigestSchedule,
    at: WebhookPosition,
    base: &str,
) -> Result<bool, Error> {
    // By a clock that was just set, a slot may be due that is still to come.
    if !app.clock.condition().is_trusted() {
        return Ok(false);
    }
    let now = app.store.now().await?;
    let Some(slot) = schedule.timetable.latest(now) else { return Ok(false) };
    // A slot after now is of a clock that ran ahead, and does not count.
    let since = at.digested_at.filter(|slot| *slot <= now).unwrap_or(at.created_at);
    if slot <= since {
        return Ok(false);
    }
    let mut made = Digest::new(&app.rules, base, schedule.most_listed);
    let position = match walk(app, endpoint, at.position, &mut made).await? {
        Walked::Nowhere => at.position,
        Walked::PastTheGap(to) => {
            return Ok(app.store.advance_webhook(&endpoint.name, step(at, to, None), &[]).await?);
        }
        Walked::To { position, .. } => position,
    };
    let mut deliveries = Vec::new();
    if !made.is_empty() || schedule.send_empty {
        let id = id(app, &endpoint.name, &format!("{DIGEST}\n{slot}\n{}\n{position}", at.position));
        let (page, body) = (String::new(), made.letter(since, now).body());
        deliveries.push(NewDelivery { id, seq: Some(position), kind: DIGEST.to_owned(), page, body });
    }
    app.store.advance_webhook(&endpoint.name, step(at, position, Some(slot)), &deliveries).await?;
    Ok(false)
}

fn step(at: WebhookPosition, to: i64, slot: Option<DateTime<Utc>>) -> Advance {
    Advance { from: at.position, to, slot, last_slot: at.digested_at }
}

/// How far the feed was gone through.
enum Walked {
    /// There is nothing new.
    Nowhere,
    /// Events are no longer kept: up to this one there is nothing.
    PastTheGap(i64),
    /// All events up to one were taken; there may be more.
    To { position: i64, goes_on: bool },
}

async fn walk(app: &App, endpoint: &Endpoint, from: i64, made: &mut impl Takes) -> Result<Walked, Error> {
    let kinds: Vec<String> = endpoint.route.types.iter().cloned().collect();
    let (mut at, mut goes_on) = (from, true);
    while goes_on && !made.is_full() && at.saturating_sub(from) < MOST_GONE_THROUGH {
        match app.store.feed(at, &kinds, EVENTS).await? {
            FeedPart::Events { events, next, has_more } => {
                add(app, endpoint, &events, made).await?;
                (at, goes_on) = (next, has_more);
            }
            FeedPart::Gone(bounds) if at == from => {
                // Older than what is kept, or of a database that was restored since.
                let to = if from > bounds.end { bounds.end } else { bounds.begin };
                tracing::warn!(webhook = endpoint.name, from, to, "events are gone, and were not sent");
                return Ok(Walked::PastTheGap(to));
            }
            // What was gone through is told first.
            FeedPart::Gone(_) => break,
        }
    }
    Ok(if at == from { Walked::Nowhere } else { Walked::To { position: at, goes_on } })
}

async fn add(app: &App, endpoint: &Endpoint, events: &[Event], made: &mut impl Takes) -> Result<(), Error> {
    let (findings, changes) = subjects(app, &endpoint.route.namespaces, events).await?;
    let changes: HashMap<&str, &ChangeRow> = changes.iter().map(|row| (row.change.id.as_str(), row)).collect();
    for event in events {
        let item = event_item(event, &findings, &changes);
        if endpoint.route.wants(item) {
            made.take(item);
        }
    }
    Ok(())
}

/// The findings and changes that events are about, as they stand; with all workloads of a finding, where a filter asks
/// for namespaces.
async fn subjects(
    app: &App,
    namespaces: &BTreeSet<String>,
    events: &[Event],
) -> Result<(HashMap<String, FindingRow>, Vec<ChangeRow>), Error> {
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
        if is_part && !namespaces.is_empty() {
            row.workloads = app.store.workloads_of(&row, u32::MAX).await?;
        }
        findings.insert(row.fingerprint.0.clone(), row);
    }
    let changes: Vec<String> = changes.into_iter().collect();
    Ok((findings, app.store.changes_by_ids(&changes).await?))
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
fn id(app: &App, webhook: &str, what: &str) -> String {
    let text = format!("webhook\n{webhook}\n{what}\n");
    let digest = Sha::sha256(&[app.secrets.signing_key().as_slice(), text.as_bytes()].concat());
    format!("msg_{}", digest.to_string().chars().take(32).collect::<String>())
}
