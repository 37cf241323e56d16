//! `admin webhook`: how webhooks stand, and what is sent again. A worker sends it; this only asks.

use super::{Context, Format, print, print_json, with_existing_database};
use crate::config::outgoing::WebhookConfig;
use crate::database::Database;
use crate::error::Error;
use crate::http::{base_url, test_delivery};
use crate::progress::Progress;
use rolecall_store::WebhookRow;
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;

fn configured<'a>(context: &'a Context, name: &str) -> Result<&'a WebhookConfig, Error> {
    let webhooks = &context.config.outgoing.webhooks;
    webhooks.iter().find(|it| it.name == name).ok_or_else(|| {
        let names: Vec<&str> = webhooks.iter().map(|it| it.name.as_str()).collect();
        Error::Usage {
            what: format!("no webhook is named `{name}`"),
            remedy: match names.as_slice() {
                [] => {
                    "add one as [[outgoing.webhooks]] to the configuration, and name that file by --config".to_owned()
                }
                names => format!("choose one of {}", names.join(", ")),
            },
        }
    })
}

async fn with<T>(context: &Context, work: impl AsyncFnOnce(&Database) -> Result<T, Error>) -> Result<T, Error> {
    with_existing_database(context, &Progress::silent(), work).await
}

fn done(context: &Context, text: &str, value: &serde_json::Value) -> Result<ExitCode, Error> {
    match context.format {
        Format::Json => print_json(value)?,
        _ => print(&format!("{text}\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin webhook list`
///
/// # Errors
/// What stopped it.
pub async fn list(context: Context) -> Result<ExitCode, Error> {
    let kept = with(&context, async |database| Ok(database.store.webhooks().await?)).await?;
    let state = |row: Option<&WebhookRow>| match row.and_then(|row| row.disabled) {
        Some((_, why)) => format!("disabled ({why})"),
        None if row.is_some() => "active".to_owned(),
        None => "awaits a worker".to_owned(),
    };
    let webhooks = &context.config.outgoing.webhooks;
    if context.format == Format::Json {
        let row = |it: &WebhookConfig| {
            let row = kept.get(&it.name);
            json!({
                "name": it.name, "kind": it.kind, "state": state(row), "position": row.map(|row| row.position),
                "waiting": row.map_or(0, |row| row.waiting), "failed": row.map_or(0, |row| row.failed),
                "last_delivered_at": row.and_then(|row| row.last_delivered_at),
            })
        };
        print_json(&json!({ "webhooks": webhooks.iter().map(row).collect::<Vec<_>>() }))?;
    } else {
        let mut out = String::new();
        for it in webhooks {
            let row = kept.get(&it.name);
            let (waiting, failed) = row.map_or((0, 0), |row| (row.waiting, row.failed));
            // Writing to a string cannot fail.
            let _infallible =
                writeln!(out, "{}  {}  {}  {waiting} waiting, {failed} failed", it.name, it.kind, state(row));
        }
        print(if webhooks.is_empty() { "no webhooks\n" } else { &out })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin webhook test`
///
/// # Errors
/// A name that there is not; what else stopped it.
pub async fn test(context: Context, name: &str) -> Result<ExitCode, Error> {
    let config = configured(&context, name)?;
    let base = base_url(&context.config);
    let id = with(&context, async |database| {
        let delivery = test_delivery(config, database.store.now().await?, "rolecall admin webhook test", &base);
        database.store.keep_webhook(name).await?;
        database.store.test_webhook(name, &delivery).await?;
        Ok(delivery.id)
    })
    .await?;
    done(&context, &format!("{id} is sent by the next worker"), &json!({ "id": id }))
}

/// `admin webhook enable`
///
/// # Errors
/// A name that there is not; what else stopped it.
pub async fn enable(context: Context, name: &str) -> Result<ExitCode, Error> {
    configured(&context, name)?;
    let enabled = with(&context, async |database| Ok(database.store.enable_webhook(name).await?)).await?;
    let text = if enabled { "is enabled" } else { "was not disabled" };
    done(&context, &format!("{name} {text}"), &json!({ "enabled": enabled }))
}

/// `admin webhook replay --delivery`
///
/// # Errors
/// A name or an id that there is not; what else stopped it.
pub async fn replay_one(context: Context, name: &str, id: &str) -> Result<ExitCode, Error> {
    configured(&context, name)?;
    let found = with(&context, async |database| Ok(database.store.replay_delivery(name, id).await?)).await?;
    if !found {
        return Err(Error::Usage {
            what: format!("webhook `{name}` has no delivery `{id}`"),
            remedy: "/settings/webhooks and /api/v1/webhooks list the deliveries".to_owned(),
        });
    }
    done(&context, &format!("{id} is sent again"), &json!({ "id": id }))
}

/// `admin webhook replay --after`
///
/// # Errors
/// A name that there is not, or an event after which the feed is not complete; what else stopped it.
pub async fn replay(context: Context, name: &str, after: i64) -> Result<ExitCode, Error> {
    configured(&context, name)?;
    let bounds = with(&context, async |database| {
        let bounds = database.store.feed_bounds().await?;
        if (bounds.begin..=bounds.end).contains(&after) {
            database.store.keep_webhook(name).await?;
            database.store.replay_webhook(name, after).await?;
        }
        Ok(bounds)
    })
    .await?;
    if !(bounds.begin..=bounds.end).contains(&after) {
        return Err(Error::Usage {
            what: format!("the feed is not complete after event {after}"),
            remedy: format!("choose one from {} to {}", bounds.begin, bounds.end),
        });
    }
    done(&context, &format!("{name} goes on after event {after}"), &json!({ "after": after }))
}
