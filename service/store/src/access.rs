//! Who may enter: API tokens, one-time sign-in codes and web sessions, by their hashes alone; and when people
//! were here.
//!
//! Refuses to know a secret: callers hash before they come here. "Now" is the caller's.

use crate::parse;
use crate::{Error, INSTALLATION, Store};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::{Limit, Visibility};

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
    /// What it may see.
    pub visibility: Visibility,
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
    /// What it may see.
    pub visibility: Visibility,
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

/// A person's visit to the pages, and when the one before was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// The last request of the visit before, to some minutes; `None`: there was none.
    pub previous_at: Option<DateTime<Utc>>,
}

/// The columns of a token.
struct TokenColumns {
    public_id: String,
    name: String,
    hash: Vec<u8>,
    scopes: Vec<String>,
    limits: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<TokenColumns> for ApiToken {
    type Error = Error;

    fn try_from(row: TokenColumns) -> Result<Self, Error> {
        Ok(Self {
            visibility: visibility("api_token", &row.public_id, row.limits)?,
            public_id: row.public_id,
            name: row.name,
            hash: row.hash,
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    }
}

/// A column of limits, where null stands for everything. Of what cannot be read nothing is seen: it is an error.
pub(crate) fn visibility(table: &'static str, key: &str, limits: Option<Vec<String>>) -> Result<Visibility, Error> {
    let Some(limits) = limits else { return Ok(Visibility::Everything) };
    let limits = limits.iter().map(|limit| parse::text::<Limit>(table, key, limit)).collect::<Result<_, _>>()?;
    Ok(Visibility::Only(limits))
}

impl Store {
    /// Notes a request of a person. After so long without one a new visit begins.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn note_visit(&self, person: &str, now: DateTime<Utc>, over_after: TimeDelta) -> Result<(), Error> {
        sqlx::query!(
            "insert into visit as v (account_id, person, began_at, seen_at) values ($1, $2, $3, $3)
             on conflict (account_id, person) do update
             set began_at = case when v.seen_at <= $4 then excluded.began_at else v.began_at end,
                 previous_at = case when v.seen_at <= $4 then v.seen_at else v.previous_at end,
                 seen_at = greatest(v.seen_at, excluded.seen_at)",
            INSTALLATION,
            person,
            now,
            now - over_after
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The latest visit of a person.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn visit(&self, person: &str) -> Result<Option<Visit>, Error> {
        Ok(sqlx::query_as!(
            Visit,
            "select began_at, previous_at from visit where account_id = $1 and person = $2",
            INSTALLATION,
            person
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Keeps a token. `false`: its public id is taken.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_token(&self, token: &NewToken) -> Result<bool, Error> {
        let limits = token.visibility.limits();
        let done = sqlx::query!(
            "insert into api_token (account_id, public_id, name, hash, scopes, created_at, expires_at, limits)
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (account_id, public_id) do nothing",
            INSTALLATION,
            token.public_id,
            token.name,
            token.hash,
            &token.scopes,
            token.created_at,
            token.expires_at,
            limits.as_deref()
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
        let found = sqlx::query_as!(
            TokenColumns,
            "select public_id, name, hash, scopes, limits, created_at, expires_at, last_used_at, revoked_at
             from api_token where account_id = $1 and public_id = $2",
            INSTALLATION,
            public_id
        )
        .fetch_optional(&self.pool)
        .await?;
        found.map(ApiToken::try_from).transpose()
    }

    /// All tokens, the newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, Error> {
        let found = sqlx::query_as!(
            TokenColumns,
            "select public_id, name, hash, scopes, limits, created_at, expires_at, last_used_at, revoked_at
             from api_token where account_id = $1 order by created_at desc, public_id",
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        found.into_iter().map(ApiToken::try_from).collect()
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
