//! Answers to requests that may be sent again, by the key that the sender gives them.
//!
//! Knows that of two requests with one key one is done, and the other gets its answer. Refuses to know requests.

use crate::parse::JsonText;
use crate::work::jobs::interval;
use crate::{Error, INSTALLATION, Store, parse};
use rolecall_iam::Digest;
use std::collections::BTreeMap;
use std::time::Duration;

/// An answer as it is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Its headers that matter.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenKey {
    /// Unused until now: the request is to be done.
    Fresh,
    /// Of the same request, which was answered.
    Answered(KeptAnswer),
    /// Of the same request, which is under way.
    UnderWay,
    /// Of another request.
    Other,
}

impl Store {
    /// Takes a key for a request. A key is forgotten after `kept`; one whose request was not answered within
    /// `abandoned` is taken anew, as its process went away.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn take_key(
        &self,
        credential: &str,
        key: &str,
        request: &Digest,
        kept: Duration,
        abandoned: Duration,
    ) -> Result<TakenKey, Error> {
        let (credential, key) = (parse::storable(credential), parse::storable(key));
        let taken = sqlx::query!(
            "insert into idempotency as i (account_id, credential, key, request_digest) values ($1, $2, $3, $4)
             on conflict (account_id, credential, key) do update
             set request_digest = excluded.request_digest, taken_at = excluded.taken_at, status = null, headers = null,
                 body = null
             where i.taken_at < clock_timestamp() - $5::interval
                or (i.status is null and i.request_digest = excluded.request_digest
                    and i.taken_at < clock_timestamp() - $6::interval)",
            INSTALLATION,
            credential,
            key,
            request.as_bytes().as_slice(),
            interval(kept),
            interval(abandoned)
        )
        .execute(&self.pool)
        .await?;
        if taken.rows_affected() > 0 {
            return Ok(TakenKey::Fresh);
        }
        let found = sqlx::query!(
            r#"select request_digest, status, headers as "headers: JsonText", body from idempotency
               where account_id = $1 and credential = $2 and key = $3"#,
            INSTALLATION,
            credential,
            key
        )
        .fetch_optional(&self.pool)
        .await?;
        // Given up in this instant, by a request that changed nothing: whoever asks again finds it unused.
        let Some(found) = found else { return Ok(TakenKey::UnderWay) };
        if found.request_digest != request.as_bytes().as_slice() {
            return Ok(TakenKey::Other);
        }
        Ok(match (found.status, found.headers, found.body) {
            (Some(status), Some(headers), Some(body)) => TakenKey::Answered(KeptAnswer {
                status: u16::try_from(status).unwrap_or_default(),
                headers: parse::json("idempotency", &key, &headers)?,
                body,
            }),
            _ => TakenKey::UnderWay,
        })
    }

    /// Keeps the answer to the request of a key.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_answer(&self, credential: &str, key: &str, answer: &KeptAnswer) -> Result<(), Error> {
        sqlx::query!(
            "update idempotency set status = $4, headers = $5::text::jsonb, body = $6
             where account_id = $1 and credential = $2 and key = $3",
            INSTALLATION,
            parse::storable(credential),
            parse::storable(key),
            i16::try_from(answer.status).unwrap_or_default(),
            parse::json_text(&answer.headers),
            answer.body
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a key up whose request changed nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn release_key(&self, credential: &str, key: &str) -> Result<(), Error> {
        sqlx::query!(
            "delete from idempotency where account_id = $1 and credential = $2 and key = $3 and status is null",
            INSTALLATION,
            parse::storable(credential),
            parse::storable(key)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets keys that are older than this, and says how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn forget_keys(&self, kept: Duration) -> Result<u64, Error> {
        let gone = sqlx::query!(
            "delete from idempotency where account_id = $1 and taken_at < clock_timestamp() - $2::interval",
            INSTALLATION,
            interval(kept)
        )
        .execute(&self.pool)
        .await?;
        Ok(gone.rows_affected())
    }
}
