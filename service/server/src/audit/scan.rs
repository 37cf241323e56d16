//! What a scan of AWS reads: the configured accounts, then the configured trails.

use crate::audit::ingest;
use crate::audit::ingested::Places;
use crate::audit::owed::{self, Left};
use crate::audit::run::Collected;
use crate::config::AwsConfig;
use crate::error::Error;
use crate::progress::Progress;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_collect::trails::TrailConfig;
use rolecall_collect::{Accounts, Event, Hub, Plan, Regions, Settings, Target};
use rolecall_estate::{Account, Observation, Snapshot};
use rolecall_iam::AccountId;
use rolecall_store::{RunId, Store};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// What the configuration says, in the collectors' terms.
#[must_use]
pub fn settings(aws: &AwsConfig, hub: Hub, known_accounts: Vec<Account>) -> Settings {
    let targets = aws.accounts.iter().map(|account| Target {
        account_id: account.id,
        name: account.name.clone(),
        role_arn: account.role_arn.clone(),
        external_id: account.external_id.as_ref().map(|id| id.reveal().to_owned()),
    });
    let hub = match hub {
        Hub::Environment { endpoint_url, .. } => {
            Hub::Environment { profile: aws.profile.clone(), region: aws.region.clone(), endpoint_url }
        }
        keys @ Hub::Keys(_) => keys,
    };
    Settings {
        hub,
        accounts: if aws.accounts.is_empty() { Accounts::Organization } else { Accounts::Listed(targets.collect()) },
        known_accounts,
        role_name: aws.role_name.clone(),
        external_id: aws.external_id.as_ref().map(|id| id.reveal().to_owned()),
        session_name: aws.session_name_prefix.clone(),
        regions: if aws.regions.is_empty() { Regions::Found } else { Regions::Listed(aws.regions.clone()) },
        max_concurrent_accounts: aws.concurrency,
        max_concurrent_calls: aws.concurrent_calls,
        call_timeout: aws.call_timeout,
        listing_deadline: aws.listing_deadline,
        account_deadline: aws.account_deadline,
        run_deadline: aws.run_deadline,
        attempts: aws.attempts,
        trail_lookback: TimeDelta::days(aws.trail_lookback_days.into()),
        lookups_per_second: aws.lookups_per_second,
        ..Settings::default()
    }
}

/// Looks at AWS, then reads the configured trails: what they tell is judged with what was seen.
///
/// The sessions that the scan tells of are sent last. A trail may tell of the same ones and commits
/// each by itself: it would wait for the snapshot, which holds them until the scan has ended.
///
/// # Errors
/// What keeps the scan from beginning; where the database fails.
pub async fn collect_and_read(
    store: &Store,
    trails: &[TrailConfig],
    settings: Settings,
    run: RunId,
    sender: mpsc::Sender<Observation>,
    progress: &Progress,
) -> Result<Collected, Error> {
    let held = store.held().await?;
    let (inner, mut seen) = mpsc::channel::<Observation>(1);
    let mut told = Vec::new();
    let pass_on = async {
        let mut places = Places::default();
        while let Some(mut observation) = seen.recv().await {
            observation.coverage.scopes().for_each(|(scope, _)| places.note(scope));
            let accounts = observation.coverage.scopes().map(|(scope, _)| scope.account_id).collect();
            rolecall_estate::loss::hold(&mut observation, &store.listed(&accounts).await?, &held);
            if !trails.is_empty() {
                told.append(&mut observation.sessions);
            }
            if sender.send(observation).await.is_err() {
                return Err(Error::Interrupted);
            }
        }
        Ok(places)
    };
    let (mut collected, places) =
        tokio::try_join!(Box::pin(collect(settings.clone(), run, inner, progress, store.now().await?)), pass_on)?;
    let plan = Plan::new(settings).map_err(Error::Plan)?;
    let known: BTreeSet<AccountId> = places.accounts().clone();
    let Left { seen, named, owed } = owed::left(store, places.clone()).await?;
    collected.owed = owed;
    for observation in std::iter::once(seen).chain(owed::accounts_named_only(store, &named, &known).await?) {
        if sender.send(observation).await.is_err() {
            return Err(Error::Interrupted);
        }
    }
    collected.trails = Box::pin(ingest::configured(store, run, &plan, trails, places, &sender, progress)).await?;
    let told = Observation::from(Snapshot { sessions: told, ..Snapshot::default() });
    if !told.sessions.is_empty() && sender.send(told).await.is_err() {
        return Err(Error::Interrupted);
    }
    Ok(collected)
}

/// Looks at AWS, under a session name that tells which run it was.
///
/// # Errors
/// What keeps the scan from beginning.
pub async fn collect(
    mut settings: Settings,
    run: RunId,
    sender: mpsc::Sender<Observation>,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<Collected, Error> {
    settings.session_name = format!("{}-{run}", settings.session_name);
    let lookback = settings.trail_lookback;
    let plan = Plan::new(settings).map_err(Error::Plan)?;
    progress.step("Listing accounts");
    let collected = rolecall_collect::collect(&plan, &Watcher(progress.clone()), sender, now).await?;
    Ok(Collected {
        api_calls: collected.calls.values().sum(),
        read_since: Some(now - lookback),
        ..Collected::default()
    })
}

struct Watcher(Progress);

impl rolecall_collect::Progress for Watcher {
    fn on(&self, event: &Event<'_>) {
        match event {
            Event::Discovered { accounts } => {
                self.0.steps("Scanning accounts", u64::try_from(*accounts).unwrap_or(u64::MAX));
            }
            Event::Finished { account_id, gaps: 0 } => self.0.part(&format!("{account_id} scanned")),
            Event::Finished { account_id, gaps } => self.0.part(&format!("{account_id} scanned, {gaps} gaps")),
            Event::Begun { .. } | Event::ScopeDone { .. } => {}
        }
    }
}
