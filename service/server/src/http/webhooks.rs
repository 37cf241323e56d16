//! Webhooks as people and programs look after them: how they stand, and what is sent again.
//!
//! Refuses to know how a message is sent.

use super::error::{AppError, Code};
use super::listing::{self, Listing};
use super::principal::Principal;
use super::query::Params;
use crate::app::App;
use crate::config::outgoing::{Receiver, UrlSource, WebhookConfig};
use crate::outgoing::message::{TEST, test};
use rolecall_store::{DeliveryAfter, DeliveryRow, DeliveryState, Error as StoreError, NewDelivery, Store, WebhookRow};

/// A webhook of the configuration, with what is kept of it.
pub(crate) struct Webhook<'a> {
    pub(crate) config: &'a WebhookConfig,
    /// `None` until a worker has seen it.
    pub(crate) row: Option<WebhookRow>,
    /// How many numbers of the feed it has not gone through.
    pub(crate) behind: i64,
}

impl Webhook<'_> {
    /// Where messages go, without what may be secret in it; none where the whole address is.
    pub(crate) fn url(&self) -> Option<String> {
        match &self.config.receiver {
            Receiver::Https { url: UrlSource::Given(url), .. } => Some(url.shown()),
            Receiver::Https { url: UrlSource::Secret(_), .. } => None,
            Receiver::Aws { destination, .. } => Some(destination.to_string()),
            Receiver::Email(email) => {
                let to: Vec<String> = email.addresses.to.iter().map(ToString::to_string).collect();
                Some(to.join(", "))
            }
        }
    }
}

/// The webhooks of the configuration, in its order.
pub(crate) async fn webhooks(app: &App) -> Result<Vec<Webhook<'_>>, StoreError> {
    let configured = &app.config.outgoing.webhooks;
    if configured.is_empty() {
        return Ok(Vec::new());
    }
    let mut kept = app.store.webhooks().await?;
    let end = app.store.feed_bounds().await?.end;
    let mut webhooks = Vec::with_capacity(configured.len());
    for config in configured {
        let row = kept.remove(&config.name);
        let behind = row.as_ref().map_or(0, |row| end.saturating_sub(row.position).max(0));
        webhooks.push(Webhook { config, row, behind });
    }
    Ok(webhooks)
}

/// What is kept of webhooks that are no longer in the configuration, by name.
pub(crate) async fn removed(app: &App) -> Result<Vec<WebhookRow>, StoreError> {
    let mut kept = app.store.webhooks().await?;
    kept.retain(|name, _| app.config.outgoing.webhooks.iter().all(|it| it.name != *name));
    Ok(kept.into_values().collect())
}

/// The webhook of that name.
pub(crate) async fn webhook<'a>(app: &'a App, name: &str) -> Result<Webhook<'a>, AppError> {
    let found = webhooks(app).await?.into_iter().find(|it| it.config.name == name);
    found.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> AppError {
    AppError::not_found(format!("webhook `{}`", name.chars().take(64).collect::<String>()))
}

fn configured<'a>(app: &'a App, name: &str) -> Result<&'a WebhookConfig, AppError> {
    app.config.outgoing.webhooks.iter().find(|it| it.name == name).ok_or_else(|| unknown(name))
}

/// Sends a message that says only that messages arrive; its id.
pub(crate) async fn send_test(app: &App, name: &str, who: &Principal) -> Result<String, AppError> {
    let config = configured(app, name)?;
    let delivery = test_delivery(config, app.store.now().await?, &who.label(), &listing::base_url(&app.config));
    app.store.keep_webhook(name).await?;
    who.store(app).test_webhook(name, &delivery).await?;
    Ok(delivery.id)
}

/// The delivery of a test.
pub(crate) fn test_delivery(
    config: &WebhookConfig,
    now: chrono::DateTime<chrono::Utc>,
    actor: &str,
    base: &str,
) -> NewDelivery {
    let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
    let message = test(config.kind, &id, now, actor, base);
    NewDelivery { id, seq: None, kind: TEST.to_owned(), page: message.page, body: message.body }
}

/// Lets a webhook be served again, from where it stood.
pub(crate) async fn enable(app: &App, name: &str, who: &Principal) -> Result<(), AppError> {
    configured(app, name)?;
    who.store(app).enable_webhook(name).await?;
    Ok(())
}

/// Sends a delivery again.
pub(crate) async fn replay_one(app: &App, name: &str, id: &str, who: &Principal) -> Result<(), AppError> {
    configured(app, name)?;
    let replayed = who.store(app).replay_delivery(name, id).await?;
    let shown: String = id.chars().take(80).collect();
    if replayed { Ok(()) } else { Err(AppError::not_found(format!("delivery `{shown}` of webhook `{name}`"))) }
}

/// Goes through the feed again after an event.
pub(crate) async fn replay_after(app: &App, name: &str, after: i64, who: &Principal) -> Result<(), AppError> {
    configured(app, name)?;
    let bounds = app.store.feed_bounds().await?;
    if !(bounds.begin..=bounds.end).contains(&after) {
        let (begin, end) = (bounds.begin, bounds.end);
        let detail = format!("`after` is {after}, and the feed is complete from {begin} to {end}; choose one of these");
        return Err(AppError::new(Code::Gone, detail));
    }
    app.store.keep_webhook(name).await?;
    who.store(app).replay_webhook(name, after).await?;
    Ok(())
}

/// The deliveries of a webhook, the newest first.
pub(crate) struct Deliveries {
    pub(crate) name: String,
    pub(crate) states: Vec<DeliveryState>,
}

impl Deliveries {
    /// Those that parameters of [`super::filters::DELIVERIES`] leave.
    pub(crate) fn new(app: &App, name: &str, params: &Params) -> Result<Self, AppError> {
        let name = configured(app, name)?.name.clone();
        Ok(Self { name, states: params.parsed("state") })
    }
}

impl Listing for Deliveries {
    type Row = DeliveryRow;
    type After = DeliveryAfter;

    fn order(&self) -> &'static str {
        "newest"
    }

    fn key(&self, row: &DeliveryRow) -> DeliveryAfter {
        DeliveryAfter { created_at: row.created_at, id: row.id.clone() }
    }

    async fn rows(
        &self,
        store: &Store,
        after: Option<&DeliveryAfter>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        store.deliveries(&self.name, &self.states, after, limit).await
    }
}
