//! A private PostgreSQL that dies is started again.
//!
//! Knows that it died by a connection of its own, which ends with it. Refuses to know who else is
//! connected: their connections are theirs to open again.

use super::{EmbeddedError, Server, answers, bring_up, door, says_ready};
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::time::{Duration, Instant};

/// So often it is started again before it is given up.
const TRIES: u32 = 5;
/// The pause before the second try; each pause is twice the one before.
const PAUSE: Duration = Duration::from_secs(1);
/// A server that lived so long has not failed to start.
const STABLE: Duration = Duration::from_secs(300);
/// For a connection that broke alone.
const POLL: Duration = Duration::from_millis(200);

impl Server {
    /// Starts the server again as often as it dies. Ends only where that does not help any more.
    pub async fn supervise(&self) -> EmbeddedError {
        let mut tries: u32 = 0;
        loop {
            let begun = Instant::now();
            self.until_gone().await;
            if begun.elapsed() > STABLE {
                tries = 0;
            }
            let mut why = "it ended as soon as it had started".to_owned();
            loop {
                if tries == TRIES {
                    return EmbeddedError::GivenUp { dir: self.layout.pgdata.clone(), tries, why };
                }
                if let Some(earlier) = tries.checked_sub(1) {
                    tokio::time::sleep(PAUSE.saturating_mul(1 << earlier)).await;
                }
                tries += 1;
                tracing::warn!(attempt = tries, of = TRIES, "the private PostgreSQL died: starting it again");
                match self.revive().await {
                    Ok(()) => break,
                    Err(error) => why = error.to_string(),
                }
                tracing::error!(attempt = tries, of = TRIES, error = why, "the private PostgreSQL does not start");
            }
            tracing::info!("the private PostgreSQL runs again");
        }
    }

    /// Ends when the server is gone.
    async fn until_gone(&self) {
        loop {
            let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options());
            if let Ok(mut listener) = PgListener::connect_with(&pool).await {
                listener.eager_reconnect(false);
                // Nothing is ever told; the connection ends with the server.
                while let Ok(Some(_)) = listener.try_recv().await {}
            }
            // Somebody may have ended this connection alone.
            if answers(&self.layout).await.is_err() || !says_ready(&self.layout.pgdata) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn revive(&self) -> Result<(), EmbeddedError> {
        // Another process that uses this server may be starting it.
        let door = door(&self.layout).await?;
        bring_up(&self.layout, &self.binaries, &self.identity).await?;
        drop(door);
        Ok(())
    }
}
