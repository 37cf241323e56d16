//! Service accounts and their tokens, by their hashes alone.
//!
//! Refuses to know a secret, and what a scope allows. "Now" is the caller's.

use super::visibility;
use crate::audit_log::{AuditAction, NewAuditEntry, append};
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::Visibility;
use serde_json::json;
use sqlx::PgConnection;

/// A service account: what programs act as. Its tokens come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// How it is called.
    pub name: String,
    /// Whom to ask about it.
    pub owner: String,
    /// What it is for.
    pub description: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was disabled; its tokens ended with it.
    pub disabled_at: Option<DateTime<Utc>>,
    /// How many of its tokens are valid.
    pub valid_tokens: u64,
}

/// A token to be kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The part of the token that may be seen.
    pub public_id: String,
    /// The service account that it is of.
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

/// The token that takes another's place.
#[derive(Debug, Clone)]
pub struct TokenSuccessor {
    /// The part of the token that may be seen.
    pub public_id: String,
    /// Hash of the whole token.
    pub hash: Vec<u8>,
    /// Made.
    pub created_at: DateTime<Utc>,
    /// Ends.
    pub expires_at: DateTime<Utc>,
    /// When the other one ends, if it does not end before.
    pub other_until: DateTime<Utc>,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The part of the token that may be seen.
    pub public_id: String,
    /// The service account that it is of.
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
    /// Who made it.
    pub created_by: String,
    /// The public id of the token that takes its place.
    pub replaced_by: Option<String>,
    /// Whom to ask about its service account.
    pub owner: String,
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
    created_by: String,
    replaced_by: Option<String>,
    owner: String,
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
            created_by: row.created_by,
            replaced_by: row.replaced_by,
            owner: row.owner,
        })
    }
}

impl Store {
    /// Keeps a service account. `false`: there is one of the name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_service_account(
        &self,
        name: &str,
        owner: &str,
        description: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let act = self.insert_service_account(&mut tx, name, owner, description, now).await?;
        append(&mut tx, &self.actor, act.as_slice()).await?;
        tx.commit().await?;
        Ok(act.is_some())
    }

    async fn insert_service_account(
        &self,
        connection: &mut PgConnection,
        name: &str,
        owner: &str,
        description: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<NewAuditEntry>, Error> {
        let done = sqlx::query!(
            "insert into service_account (account_id, name, owner, description, created_at, created_by)
             values ($1, $2, $3, $4, $5, $6) on conflict (account_id, name) do nothing",
            INSTALLATION,
            parse::storable(name),
            parse::storable(owner),
            parse::storable(description),
            now,
            parse::storable(&self.actor.name)
        )
        .execute(&mut *connection)
        .await?;
        let detail = json!({ "owner": owner, "description": description });
        let act = NewAuditEntry::done(AuditAction::ServiceAccountCreate, name, detail);
        Ok((done.rows_affected() > 0).then_some(act))
    }

    /// Every service account, by name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn service_accounts(&self, now: DateTime<Utc>) -> Result<Vec<ServiceAccount>, Error> {
        let rows = sqlx::query!(
            r#"select a.name, a.owner, a.description, a.created_by, a.created_at, a.disabled_at,
                      (select count(*) from api_token t
                       where t.account_id = a.account_id and t.service_account = a.name and t.revoked_at is null
                         and t.expires_at > $2) as "valid_tokens!"
               from service_account a where a.account_id = $1 order by a.name"#,
            INSTALLATION,
            now
        )
        .fetch_all(&self.pool)
        .await?;
        let account = rows.into_iter().map(|row| ServiceAccount {
            name: row.name,
            owner: row.owner,
            description: row.description,
            created_by: row.created_by,
            created_at: row.created_at,
            disabled_at: row.disabled_at,
            valid_tokens: parse::count(row.valid_tokens),
        });
        Ok(account.collect())
    }

    /// Disables a service account and takes its tokens back. `None`: there is none that is enabled; otherwise how many
    /// tokens were taken back.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn disable_service_account(&self, name: &str, now: DateTime<Utc>) -> Result<Option<u64>, Error> {
        let mut tx = self.pool.begin().await?;
        let done = sqlx::query!(
            "update service_account set disabled_at = $3 where account_id = $1 and name = $2 and disabled_at is null",
            INSTALLATION,
            name,
            now
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let revoked = sqlx::query_scalar!(
            "update api_token set revoked_at = $3
             where account_id = $1 and service_account = $2 and revoked_at is null and expires_at > $3
             returning public_id",
            INSTALLATION,
            name,
            now
        )
        .fetch_all(&mut *tx)
        .await?;
        let act = NewAuditEntry::done(AuditAction::ServiceAccountDisable, name, json!({ "tokens": revoked }));
        append(&mut tx, &self.actor, &[act]).await?;
        tx.commit().await?;
        Ok(Some(revoked.len() as u64))
    }

    /// Keeps a token. A service account of its name is made where there is none, owned by whoever makes the token.
    /// `false`: its public id is taken, or the service account is disabled.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_token(&self, token: &NewToken) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let account = self.insert_service_account(&mut tx, &token.name, &self.actor.name, "", token.created_at).await?;
        let limits = token.visibility.limits();
        let done = sqlx::query!(
            "insert into api_token (account_id, public_id, service_account, hash, scopes, created_at, expires_at, limits,
                                    created_by)
             select $1, $2, a.name, $4, $5, $6, $7, $8, $9
             from service_account a where a.account_id = $1 and a.name = $3 and a.disabled_at is null
             on conflict (account_id, public_id) do nothing",
            INSTALLATION,
            token.public_id,
            parse::storable(&token.name),
            token.hash,
            &token.scopes,
            token.created_at,
            token.expires_at,
            limits.as_deref(),
            parse::storable(&self.actor.name)
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = json!({
            "service_account": token.name, "scopes": token.scopes, "limits": limits, "until": token.expires_at,
        });
        let mut acts: Vec<NewAuditEntry> = account.into_iter().collect();
        acts.push(NewAuditEntry::done(AuditAction::TokenCreate, &token.public_id, detail));
        append(&mut tx, &self.actor, &acts).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Keeps the token that takes another's place: of the same service account, with the same scopes and limits. Both
    /// are valid until the other one ends. `false`: the other one is not valid, or was replaced before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn rotate_token(&self, public_id: &str, by: &TokenSuccessor) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let other = sqlx::query!(
            "update api_token set replaced_by = $3, expires_at = least(expires_at, $4)
             where account_id = $1 and public_id = $2 and revoked_at is null and replaced_by is null and expires_at > $5
             returning service_account, scopes, limits, expires_at",
            INSTALLATION,
            public_id,
            by.public_id,
            by.other_until,
            by.created_at
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(other) = other else { return Ok(false) };
        let done = sqlx::query!(
            "insert into api_token (account_id, public_id, service_account, hash, scopes, created_at, expires_at, limits,
                                    created_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (account_id, public_id) do nothing",
            INSTALLATION,
            by.public_id,
            other.service_account,
            by.hash,
            &other.scopes,
            by.created_at,
            by.expires_at,
            other.limits.as_deref(),
            parse::storable(&self.actor.name)
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = json!({
            "service_account": other.service_account, "successor": by.public_id, "valid_until": other.expires_at,
            "successor_until": by.expires_at,
        });
        append(&mut tx, &self.actor, &[NewAuditEntry::done(AuditAction::TokenRotate, public_id, detail)]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A token by its public id, revoked and expired ones too: who asks must look.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn token(&self, public_id: &str) -> Result<Option<ApiToken>, Error> {
        let found = sqlx::query_as!(
            TokenColumns,
            r#"select t.public_id, t.service_account as name, t.hash, t.scopes, t.limits, t.created_at, t.expires_at,
                    t.last_used_at, t.revoked_at, t.created_by, t.replaced_by,
                    coalesce(a.owner, '') as "owner!"
             from api_token t
             left join service_account a on a.account_id = t.account_id and a.name = t.service_account
             where t.account_id = $1 and t.public_id = $2"#,
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
            r#"select t.public_id, t.service_account as name, t.hash, t.scopes, t.limits, t.created_at, t.expires_at,
                    t.last_used_at, t.revoked_at, t.created_by, t.replaced_by,
                    coalesce(a.owner, '') as "owner!"
             from api_token t
             left join service_account a on a.account_id = t.account_id and a.name = t.service_account
             where t.account_id = $1 order by t.created_at desc, t.public_id"#,
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
        let mut tx = self.pool.begin().await?;
        let of = sqlx::query_scalar!(
            "update api_token set revoked_at = $3 where account_id = $1 and public_id = $2 and revoked_at is null
             returning service_account",
            INSTALLATION,
            public_id,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(of) = &of {
            let act = NewAuditEntry::done(AuditAction::TokenRevoke, public_id, json!({ "service_account": of }));
            append(&mut tx, &self.actor, &[act]).await?;
        }
        tx.commit().await?;
        Ok(of.is_some())
    }
}
