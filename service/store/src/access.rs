//! Who may enter: API tokens, one-time sign-in codes and web sessions, by their hashes alone.
//!
//! Refuses to know a secret: callers hash before they come here. "Now" is the caller's.

use crate::{Error, INSTALLATION, Store};
use chrono::{DateTime, Utc};

/// A token to be kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The part of the token that may be seen.
    pub public_id: String,
    /// What it is for.
    pub name: String,
    /// Hash of the secret part.
    pub hash: Vec<u8>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Made.
    pub created_at: DateTime<Utc>,
    /// Ends.
    pub expires_at: DateTime<Utc>,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The part of the token that may be seen.
    pub public_id: String,
    /// What it is for.
    pub name: String,
    /// Hash of the secret part.
    pub hash: Vec<u8>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Made.
    pub created_at: DateTime<Utc>,
    /// Ends.
    pub expires_at: DateTime<Utc>,
    /// Last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A person's session in the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// Hash of the cookie.
    pub id_hash: Vec<u8>,
    /// Who it is.
    pub subject: String,
    /// Begun.
    pub created_at: DateTime<Utc>,
    /// Last seen.
    pub last_seen_at: DateTime<Utc>,
    /// Ends.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// Keeps a token. `false`: its public id is taken.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_token(&self, token: &NewToken) -> Result<bool, Error> {
        let done = sqlx::query!(
            "insert into api_token (account_id, public_id, name, hash, scopes, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (account_id, public_id) do nothing",
            INSTALLATION,
            token.public_id,
            token.name,
            token.hash,
            &token.scopes,
            token.created_at,
            token.expires_at
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// A token by its public id, revoked and expired ones too: who asks must look.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn token(&self, public_id: &str) -> Result<Option<ApiToken>, Error> {
        Ok(sqlx::query_as!(
            ApiToken,
            "select public_id, name, hash, scopes, created_at, expires_at, last_used_at, revoked_at
             from api_token where account_id = $1 and public_id = $2",
            INSTALLATION,
            public_id
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// All tokens, the newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, Error> {
        Ok(sqlx::query_as!(
            ApiToken,
            "select public_id, name, hash, scopes, created_at, expires_at, last_used_at, revoked_at
             from api_token where account_id = $1 order by created_at desc, public_id",
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Notes that a token was used; at most one write a minute.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn touch_token(&self, public_id: &str, now: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query!(
            "update api_token set last_used_at = $3 where account_id = $1 and public_id = $2
             and (last_used_at is null or last_used_at < $3::timestamptz - interval '1 minute')",
            INSTALLATION,
            public_id,
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes a token back. `false`: there is none, or it was taken back before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn revoke_token(&self, public_id: &str, now: DateTime<Utc>) -> Result<bool, Error> {
        let done = sqlx::query!(
            "update api_token set revoked_at = $3 where account_id = $1 and public_id = $2 and revoked_at is null",
            INSTALLATION,
            public_id,
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps a one-time sign-in code. Codes that have ended are forgotten.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_login(&self, code_hash: &[u8], now: DateTime<Utc>, until: DateTime<Utc>) -> Result<(), Error> {
        sqlx::query!("delete from web_login where account_id = $1 and expires_at < $2", INSTALLATION, now)
            .execute(&self.pool)
            .await?;
        sqlx::query!(
            "insert into web_login (account_id, code_hash, expires_at) values ($1, $2, $3)
             on conflict (account_id, code_hash) do nothing",
            INSTALLATION,
            code_hash,
            until
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Uses a sign-in code up. `true` exactly once, and only before its end.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn redeem_login(&self, code_hash: &[u8], now: DateTime<Utc>) -> Result<bool, Error> {
        let done = sqlx::query!(
            "update web_login set redeemed_at = $3
             where account_id = $1 and code_hash = $2 and redeemed_at is null and expires_at > $3",
            INSTALLATION,
            code_hash,
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps a web session. Sessions that have ended are forgotten.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_web_session(&self, session: &WebSession) -> Result<(), Error> {
        sqlx::query!(
            "delete from web_session where account_id = $1 and expires_at < $2",
            INSTALLATION,
            session.created_at
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "insert into web_session (account_id, id_hash, subject, created_at, last_seen_at, expires_at)
             values ($1, $2, $3, $4, $5, $6)",
            INSTALLATION,
            session.id_hash,
            session.subject,
            session.created_at,
            session.last_seen_at,
            session.expires_at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A web session that has not ended; notes, at most once a minute, that it was seen.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn web_session(&self, id_hash: &[u8], now: DateTime<Utc>) -> Result<Option<WebSession>, Error> {
        let found = sqlx::query_as!(
            WebSession,
            "select id_hash, subject, created_at, last_seen_at, expires_at from web_session
             where account_id = $1 and id_hash = $2 and expires_at > $3",
            INSTALLATION,
            id_hash,
            now
        )
        .fetch_optional(&self.pool)
        .await?;
        if found.is_some() {
            sqlx::query!(
                "update web_session set last_seen_at = $3 where account_id = $1 and id_hash = $2
                 and last_seen_at < $3::timestamptz - interval '1 minute'",
                INSTALLATION,
                id_hash,
                now
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(found)
    }

    /// Ends a web session.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn delete_web_session(&self, id_hash: &[u8]) -> Result<(), Error> {
        sqlx::query!("delete from web_session where account_id = $1 and id_hash = $2", INSTALLATION, id_hash)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A random key that all replicas share: the first to ask brings it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn shared_key(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, Error> {
        sqlx::query!(
            "insert into shared_key (account_id, name, value) values ($1, $2, $3)
             on conflict (account_id, name) do nothing",
            INSTALLATION,
            name,
            fresh
        )
        .execute(&self.pool)
        .await?;
        Ok(sqlx::query_scalar!("select value from shared_key where account_id = $1 and name = $2", INSTALLATION, name)
            .fetch_one(&self.pool)
            .await?)
    }
}
