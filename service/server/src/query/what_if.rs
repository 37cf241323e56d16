//! What proposed changes would come to: the stored estate, or one from files, judged twice.
//!
//! One road for the command and the API. Refuses to know how a proposal is written down and how the answer is
//! shown.

use crate::audit::ingested::set_aside;
use crate::audit::load::{Judging, load};
use crate::audit::rules::Rules;
use crate::audit::run::EVERY_ACCOUNT;
use crate::config::Config;
use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::cancel::{Cancel, Cancelled};
use rolecall_audit::what_if::{Answer, Proposed, what_if};
use rolecall_estate::{Documents, Estate};
use rolecall_store::{Store, UnitKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Asks about the stored estate.
///
/// # Errors
/// Where the database fails.
pub async fn of_store(
    store: &Store,
    config: &Config,
    rules: Arc<Rules>,
    proposed: Vec<Proposed>,
) -> Result<Answer, Error> {
    let (estate, now) = stored(store, config).await?;
    of_estate(estate, rules, proposed, now).await
}

/// The stored estate, without the accounts whose judgement is set aside, and the time.
///
/// # Errors
/// Where the database fails.
pub async fn stored(store: &Store, config: &Config) -> Result<(Estate, DateTime<Utc>), Error> {
    let now = store.now().await?;
    let window = TimeDelta::days(config.aws.trail_lookback_days.into());
    let judging = Judging {
        since: now.checked_sub_signed(window).unwrap_or(now),
        read_since: None,
        now,
        kept: config.retention.sessions,
        assumed: config.assume.clone(),
    };
    let estate = load(store, &judging, Documents::default()).await?;
    // What processes died at would end this one too.
    let mut aside = BTreeMap::new();
    for it in store.set_aside().await?.into_iter().filter(|it| it.kind == UnitKind::Judging) {
        if it.unit == EVERY_ACCOUNT {
            return Err(Error::JudgingSetAside { deaths: it.deaths });
        }
        if let Ok(account) = it.unit.parse() {
            aside.insert(account, set_aside(it.deaths));
        }
    }
    Ok((estate.without(&aside), now))
}

/// Asks about an estate. Long enough on a large one to be kept off the threads that serve requests; ends soon
/// after nobody waits for it any more.
///
/// # Errors
/// Where it was ended early.
pub async fn of_estate(
    estate: Estate,
    rules: Arc<Rules>,
    proposed: Vec<Proposed>,
    now: DateTime<Utc>,
) -> Result<Answer, Error> {
    let cancel = Cancel::default();
    let _until_dropped = cancel.on_drop();
    let asking = tokio::task::spawn_blocking(move || what_if(&estate, &rules.set, &proposed, now, &cancel));
    asking.await.map_err(Error::Judging)?.map_err(|Cancelled| Error::Interrupted)
}
