//! A stand-in for the AWS services that Rolecall reads, over an estate described in files or made up.
//!
//! It speaks the services' own wire protocols on 127.0.0.1 to any AWS SDK, for many accounts at
//! once, and goes wrong on purpose where it is told to. It shares no code with the program that is
//! tested against it: estates are kept as AWS's own answers, so that a misreading cannot cancel
//! itself out. It refuses to judge: it evaluates no policy and checks no signature. Who may do what
//! is decided by the access key's account, by the name of the role that auditors assume, by an
//! external id where one is configured, and by [`Faults`].
//!
//! ```no_run
//! # async fn example() -> Result<(), rolecall_sandbox::Error> {
//! let sandbox = rolecall_sandbox::Sandbox::start(Default::default(), Default::default()).await?;
//! for (name, value) in sandbox.env() {
//!     println!("{name}={value}");
//! }
//! sandbox.faults().deny("eks:ListClusters");
//! # Ok(())
//! # }
//! ```

mod build;
pub mod change;
pub mod demo;
pub mod estate;
mod faults;
pub mod generate;
mod ids;
mod load;
mod managed;
mod server;
mod service;
mod shared;
mod shelf;
mod state;
mod trail;
mod wire;

pub use estate::Estate;
pub use faults::{Fault, FaultId, FaultKind, Faults};
pub use generate::{GenerateOptions, Generated, Truth, generate, generate_with_truth};
pub use load::LoadError;

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The access key id that belongs to the hub account of every estate. Any secret goes with it.
pub const HUB_ACCESS_KEY: &str = "AKIASANDBOXHUB000000";

/// The role that auditors assume, unless another is configured.
pub const AUDIT_ROLE: &str = "RolecallReadOnly";

/// The secret that is suggested; none is checked.
pub const SECRET: &str = "sandbox";

/// What of the sandbox's conduct can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name of the role that can be assumed in every account of the estate.
    pub audit_role: String,
    /// The external id that assuming it needs; `None`: none is needed.
    pub external_id: Option<String>,
    /// The estate's time, which bounds CloudTrail's 90 days; `None`: the machine's clock.
    pub now: Option<DateTime<Utc>>,
    /// `LookupEvents` calls that an account may make in a region each second; `None`: any number.
    pub lookups_per_second: Option<NonZeroU32>,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
}

impl Default for Options {
    /// The role [`AUDIT_ROLE`] without an external id, the machine's clock, AWS's own 2 lookups a
    /// second, a free port.
    fn default() -> Self {
        let lookups_per_second = NonZeroU32::new(2);
        Self { audit_role: AUDIT_ROLE.to_owned(), external_id: None, now: None, lookups_per_second, port: 0 }
    }
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The estate's files could not be read.
    #[error("the estate could not be read")]
    Load(#[from] LoadError),
    /// The port could not be had.
    #[error("port {port} of 127.0.0.1 could not be had")]
    Bind {
        /// The port asked for.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
}

/// How often each action was called, by account, region and action (`iam:GetRole`).
///
/// `sts:AssumeRole` counts for the account that is entered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls(pub(crate) BTreeMap<(String, String, String), u64>);

impl Calls {
    /// All calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Calls of an action, anywhere.
    #[must_use]
    pub fn of(&self, action: &str) -> u64 {
        self.0.iter().filter(|((_, _, a), _)| a == action).map(|(_, n)| n).sum()
    }

    /// Calls of an action in one account.
    #[must_use]
    pub fn in_account(&self, account: &str, action: &str) -> u64 {
        self.0.iter().filter(|((at, _, a), _)| at == account && a == action).map(|(_, n)| n).sum()
    }

    /// Account, region, action and number.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.0.iter().map(|((account, region, action), n)| (account.as_str(), region.as_str(), action.as_str(), *n))
    }
}

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    endpoint: String,
    shared: Arc<shared::Shared>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Sandbox {
    /// Starts one on a free port of 127.0.0.1, on the runtime of the moment.
    ///
    /// # Errors
    /// If no port is to be had.
    pub async fn start(estate: Estate, faults: Faults) -> Result<Self, Error> {
        Self::start_with(estate, faults, Options::default()).await
    }

    /// Starts one over the files of a folder; [`Estate::from_dir`] says in which layout.
    ///
    /// # Errors
    /// If the files cannot be read, or no port is to be had.
    pub async fn from_dir(path: &Path) -> Result<Self, Error> {
        Self::start(Estate::from_dir(path)?, Faults::none()).await
    }

    /// Starts one with choices.
    ///
    /// # Errors
    /// If the port is not to be had.
    pub async fn start_with(estate: Estate, faults: Faults, options: Options) -> Result<Self, Error> {
        let port = options.port;
        let bind = |source| Error::Bind { port, source };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(bind)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(bind)?);
        let state = state::State::new(server::with_hub(estate), options);
        let shared = Arc::new(shared::Shared { state, faults });
        let (stop, stopped) = oneshot::channel();
        let serving = server::serve(listener, shared.clone(), async move {
            // An error means that the handle is gone, which is a reason to stop as well.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::warn!(%error, "the sandbox's server ended");
            }
        });
        Ok(Self { endpoint, shared, stop: Some(stop), task })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The environment that points any AWS SDK at it, as the hub account.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let text = |s: &str| s.to_owned();
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", text(HUB_ACCESS_KEY)),
            ("AWS_SECRET_ACCESS_KEY", text(SECRET)),
            ("AWS_REGION", text("us-east-1")),
            ("AWS_EC2_METADATA_DISABLED", text("true")),
        ]
    }

    /// The hub account's id.
    #[must_use]
    pub fn hub(&self) -> String {
        self.shared.state.snapshot().estate.hub.clone()
    }

    /// A long-lived access key id of an account of the estate, to ask without assuming a role.
    #[must_use]
    pub fn access_key(account: &str) -> String {
        format!("AKIASNDB{account}")
    }

    /// The faults in force; to be changed at any time.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What was called since the start or the last reset.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.shared.state.calls()
    }

    /// Counts from zero again.
    pub fn reset_calls(&self) {
        self.shared.state.reset_calls();
    }

    /// Changes the estate. Calls that are being answered see the estate before or after, never between.
    pub fn mutate<T>(&self, change: impl FnOnce(&mut Estate) -> T) -> T {
        self.shared.state.mutate(change)
    }

    /// The estate of this moment.
    #[must_use]
    pub fn estate(&self) -> Estate {
        self.shared.state.snapshot().estate.clone()
    }

    /// The estate's time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.state.now()
    }

    /// Sets the estate's time; `None` follows the machine's clock. Sessions follow that always.
    pub fn set_clock(&self, now: Option<DateTime<Utc>>) {
        self.shared.state.set_clock(now);
    }

    /// Ends every session that was handed out: their next call meets `ExpiredToken`.
    pub fn expire_sessions(&self) {
        self.shared.state.expire_sessions();
    }

    /// Makes a bucket, which every caller may read and write; one that is there stays.
    pub fn make_bucket(&self, name: &str, region: &str) {
        self.shared.state.shelf.make_bucket(name, region);
    }

    /// Puts an object into a bucket; `false`: there is no such bucket.
    pub fn put_object(&self, bucket: &str, key: &str, bytes: &[u8]) -> bool {
        self.shared.state.shelf.put(bucket, key, bytes, self.now()).is_some()
    }

    /// Makes the bucket of the demo's trails, with all of its files.
    pub fn serve_bucket(&self, bucket: &demo::TrailBucket) {
        self.make_bucket(&bucket.name, &bucket.region);
        for (key, bytes) in &bucket.objects {
            self.put_object(&bucket.name, key, bytes);
        }
    }

    /// Takes an object out of a bucket; one that is not there is no error.
    pub fn remove_object(&self, bucket: &str, key: &str) {
        if let Some(bucket) = self.shared.state.shelf.buckets().get_mut(bucket) {
            bucket.objects.remove(key);
        }
    }

    /// Makes a queue of an account, and says its URL. `visibility`: unless a receiver chooses.
    #[must_use]
    pub fn make_queue(&self, account: &str, name: &str, visibility: std::time::Duration) -> String {
        self.shared.state.shelf.make_queue(account, name, visibility);
        format!("{}/{account}/{name}", self.endpoint)
    }

    /// Makes an SNS topic or an event bus, by its ARN; one that is there stays.
    pub fn make_destination(&self, arn: &str) {
        self.shared.state.shelf.published().entry(arn.to_owned()).or_default();
    }

    /// Whether an event bus refuses every event, in an answer whose status is 200.
    pub fn set_full(&self, bus_arn: &str, is_full: bool) {
        self.shared.state.shelf.set_full(bus_arn, is_full);
    }

    /// What was published to a topic, with its attributes, or put on an event bus.
    #[must_use]
    pub fn published(&self, arn: &str) -> Vec<serde_json::Value> {
        self.shared.state.shelf.published().get(arn).cloned().unwrap_or_default()
    }

    fn with_queue<T>(&self, url: &str, with: impl FnOnce(&mut shelf::Queue) -> T) -> Option<T> {
        let mut parts = url.rsplit('/');
        let (name, account) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        self.shared.state.shelf.queues().get_mut(&(account, name)).map(with)
    }

    /// Sends a message; `false`: there is no such queue.
    pub fn send_message(&self, queue_url: &str, body: &str) -> bool {
        let sent = self.with_queue(queue_url, |queue| queue.send(body.to_owned())).is_some();
        self.shared.state.shelf.sent.notify_waiters();
        sent
    }

    /// Messages of a queue that can be received, and those that are hidden.
    #[must_use]
    pub fn messages(&self, queue_url: &str) -> (usize, usize) {
        self.with_queue(queue_url, |queue| queue.counts()).unwrap_or_default()
    }

    /// Makes every hidden message of a queue visible, as if its time were up.
    pub fn lapse_visibility(&self, queue_url: &str) {
        self.with_queue(queue_url, shelf::Queue::lapse);
    }

    /// Stops, and waits until the port is free again.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // Connections that a client keeps open must not keep us.
        let patience = std::time::Duration::from_secs(2);
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}
