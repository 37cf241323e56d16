//! Deliveries: every process with a worker serves every webhook, and of several processes one sends each message.
//!
//! A delivery is sent under a lease, and what came of it is noted. A process that dies between leaves a delivery whose
//! lease ends, which is then sent again under the same id. Refuses to know what becomes a delivery, and what a message
//! says.

use crate::app::App;
use crate::error::{Error, chain};
use crate::outgoing::endpoint::{Endpoint, Sent, Verdict};
use crate::work::prepare::prepare;
use futures::future::join_all;
use rand::RngExt as _;
use rolecall_outgoing::delay;
use rolecall_store::{Attempted, ClaimedDelivery, Disabled};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between looks at what is to be sent.
const IDLE: Duration = Duration::from_secs(2);
/// After a failure of the database.
const RETRY: Duration = Duration::from_secs(15);
/// Requests under way at a time to one endpoint.
const AT_ONCE: u32 = 8;

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
        let endpoint = |webhook| Endpoint::new(webhook, &app.config, &app.hub);
        let endpoints = app.config.outgoing.webhooks.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
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
    // Longer than an attempt takes.
    let lease = endpoint.timeout() * 2;
    let claimed = app.store.claim_deliveries(&endpoint.name, AT_ONCE, lease).await?;
    let sent = claimed.len();
    for noted in join_all(claimed.iter().map(|delivery| attempt(app, endpoint, delivery))).await {
        noted?;
    }
    Ok(sent)
}

async fn attempt(app: &App, endpoint: &Endpoint, delivery: &ClaimedDelivery) -> Result<(), Error> {
    let now = app.store.now().await?;
    let Sent { status, verdict } = endpoint.send(&delivery.id, now, &delivery.body).await;
    let (attempted, why) = match verdict {
        Verdict::Taken => (Attempted::Delivered, None),
        Verdict::TakenInPart(why) => (Attempted::Delivered, Some(why)),
        Verdict::Gone(why) => (Attempted::GivenUp(Disabled::Gone), Some(why.to_owned())),
        Verdict::NotTaken { why, retry_after } => {
            let jitter = rand::rng().random_range(0.0..1.0);
            let wait = delay(delivery.attempts.saturating_add(1), jitter, retry_after);
            (wait.map_or(Attempted::GivenUp(Disabled::Failed), Attempted::Again), Some(why))
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
        (Attempted::Delivered, Some(why)) => {
            tracing::warn!(webhook = endpoint.name, delivery.id, status, why, "a message was not taken for everybody");
        }
        _ => tracing::debug!(webhook = endpoint.name, delivery.id, status, "a message was taken"),
    }
    if !app.store.note_attempt(delivery, &attempted, status, why.as_deref()).await? {
        tracing::warn!(webhook = endpoint.name, delivery.id, "another process sends the message by now");
    }
    Ok(())
}
