//! Waiting for what happens next: many may wait, and the database is asked once for all of them.
//!
//! Knows how many wait at once, and that nobody waits once the service stops. Refuses to know what happens.

use rolecall_store::{Error, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So often the database is asked while somebody waits.
const POLL: Duration = Duration::from_millis(250);
/// So many wait at once; whoever comes beside them is answered at once.
const WAITING: usize = 64;

/// The end of the feed, as it was last seen.
#[derive(Debug, Clone)]
pub struct FeedWatch {
    seen: Arc<Mutex<Option<(Instant, i64)>>>,
    places: Arc<Semaphore>,
    /// Ends all waiting.
    pub stop: CancellationToken,
}

impl Default for FeedWatch {
    fn default() -> Self {
        Self { seen: Arc::default(), places: Arc::new(Semaphore::new(WAITING)), stop: CancellationToken::new() }
    }
}

impl FeedWatch {
    /// Waits until there is something after a number, and says whether there is. There is not where the time is over,
    /// the service stops, or too many wait.
    pub(crate) async fn moved(&self, store: &Store, after: i64, until: Instant) -> Result<bool, Error> {
        let Ok(_place) = self.places.try_acquire() else { return Ok(false) };
        loop {
            if self.end(store).await? > after {
                return Ok(true);
            }
            let now = Instant::now();
            if now >= until {
                return Ok(false);
            }
            let pause = POLL.min(until - now);
            if self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(false);
            }
        }
    }

    async fn end(&self, store: &Store) -> Result<i64, Error> {
        let mut seen = self.seen.lock().await;
        if let Some((_, end)) = seen.filter(|(at, _)| at.elapsed() < POLL) {
            return Ok(end);
        }
        let end = store.feed_bounds().await?.end;
        *seen = Some((Instant::now(), end));
        Ok(end)
    }
}
