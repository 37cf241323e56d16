//! How people enter: one-time sign-in codes and web sessions, by their hashes alone; roles that an operator gave; and
//! when people were here.
//!
//! Refuses to know a secret: callers hash before they come here. "Now" is the caller's. Refuses to know what a role
//! may do.

pub(crate) mod tokens;
pub(crate) mod views;

use crate::audit_log::{AuditAction, NewAuditEntry, append};
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_estate::{Limit, Visibility};
use serde_json::json;
use std::fmt::Write as _;

/// A one-time sign-in code.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// Hash of the code.
    pub code_hash: Vec<u8>,
    /// Whom it lets in.
    pub person: String,
    /// In which role.
    pub role: String,
    /// What they will see.
    pub visibility: Visibility,
    /// Made.
    pub created_at: DateTime<Utc>,
    /// Ends.
    pub expires_at: DateTime<Utc>,
}

/// Whom a sign-in code lets in, or whom an operator gave a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonAccess {
    /// Who.
    pub person: String,
    /// Their role.
    pub role: String,
    /// What they see.
    pub visibility: Visibility,
}

/// A role that an operator gave to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleGrant {
    /// To whom, in which role, to see what.
    pub access: PersonAccess,
    /// By whom.
    pub granted_by: String,
    /// When.
    pub granted_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// A person's session in the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// Hash of the cookie.
    pub id_hash: Vec<u8>,
    /// Who it is.
    pub subject: String,
    /// In which role.
    pub role: String,
    /// What they see.
    pub visibility: Visibility,
    /// How they signed in, such as `link`.
    pub method: String,
    /// From where they signed in.
    pub source_ip: Option<String>,
    /// With which browser.
    pub user_agent: Option<String>,
    /// Begun.
    pub created_at: DateTime<Utc>,
    /// Last seen, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// Ends, however often it is used.
    pub expires_at: DateTime<Utc>,
}

impl WebSession {
    /// What names the session in lists and in the audit log. It opens nothing.
    #[must_use]
    pub fn id(&self) -> String {
        session_id(&self.id_hash)
    }
}

fn session_id(id_hash: &[u8]) -> String {
    id_hash.iter().take(6).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// The columns of a session.
struct SessionColumns {
    id_hash: Vec<u8>,
    subject: String,
    role: String,
    limits: Option<Vec<String>>,
    method: String,
    source_ip: Option<String>,
    user_agent: Option<String>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<SessionColumns> for WebSession {
    type Error = Error;

    fn try_from(row: SessionColumns) -> Result<Self, Error> {
        Ok(Self {
            visibility: visibility("web_session", &row.subject, row.limits)?,
            id_hash: row.id_hash,
            subject: row.subject,
            role: row.role,
            method: row.method,
            source_ip: row.source_ip,
            user_agent: row.user_agent,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        })
    }
}

/// A person's visit to the pages, and when the one before was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// The last request of the visit before, to some minutes; `None`: there was none.
    pub previous_at: Option<DateTime<Utc>>,
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

    /// Keeps a one-time sign-in code. Codes that have ended are forgotten.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_login(&self, login: &NewLogin) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!("delete from web_login where account_id = $1 and expires_at < $2", INSTALLATION, login.created_at)
            .execute(&mut *tx)
            .await?;
        let limits = login.visibility.limits();
        sqlx::query!(
            "insert into web_login (account_id, code_hash, expires_at, person, role, limits)
             values ($1, $2, $3, $4, $5, $6) on conflict (account_id, code_hash) do nothing",
            INSTALLATION,
            login.code_hash,
            login.expires_at,
            parse::storable(&login.person),
            login.role,
            limits.as_deref()
        )
        .execute(&mut *tx)
        .await?;
        let detail = json!({ "role": login.role, "limits": limits, "until": login.expires_at });
        let act = NewAuditEntry::done(AuditAction::LoginCreate, &login.person, detail);
        append(&mut tx, &self.actor, &[act]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Uses a sign-in code up, and says whom it lets in: exactly once, and only before its end.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn redeem_login(&self, code_hash: &[u8], now: DateTime<Utc>) -> Result<Option<PersonAccess>, Error> {
        let row = sqlx::query!(
            "update web_login set redeemed_at = $3
             where account_id = $1 and code_hash = $2 and redeemed_at is null and expires_at > $3
             returning person, role, limits",
            INSTALLATION,
            code_hash,
            now
        )
        .fetch_optional(&self.pool)
        .await?;
        let read = |visibility: Visibility, person, role| PersonAccess { person, role, visibility };
        row.map(|row| Ok(read(visibility("web_login", &row.person, row.limits)?, row.person, row.role))).transpose()
    }

    /// Keeps a web session. Sessions that have ended are forgotten, those too that nobody used for so long.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_web_session(&self, session: &WebSession, idle: TimeDelta) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "delete from web_session where account_id = $1 and (expires_at <= $2 or last_seen_at <= $3)",
            INSTALLATION,
            session.created_at,
            session.created_at - idle
        )
        .execute(&mut *tx)
        .await?;
        let limits = session.visibility.limits();
        sqlx::query!(
            "insert into web_session (account_id, id_hash, subject, created_at, last_seen_at, expires_at, role, limits,
                                      method, source_ip, user_agent)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            INSTALLATION,
            session.id_hash,
            session.subject,
            session.created_at,
            session.last_seen_at,
            session.expires_at,
            session.role,
            limits.as_deref(),
            session.method,
            session.source_ip,
            session.user_agent.as_deref().map(parse::storable)
        )
        .execute(&mut *tx)
        .await?;
        let detail = json!({
            "person": session.subject, "role": session.role, "limits": limits, "method": session.method,
            "user_agent": session.user_agent,
        });
        append(&mut tx, &self.actor, &[NewAuditEntry::done(AuditAction::SessionCreate, session.id(), detail)]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A web session that has not ended, and that was used within so long; notes, at most once a minute, that it was
    /// seen.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn web_session(
        &self,
        id_hash: &[u8],
        now: DateTime<Utc>,
        idle: TimeDelta,
    ) -> Result<Option<WebSession>, Error> {
        let found = sqlx::query_as!(
            SessionColumns,
            "select id_hash, subject, role, limits, method, source_ip, user_agent, created_at, last_seen_at, expires_at
             from web_session where account_id = $1 and id_hash = $2 and expires_at > $3 and last_seen_at > $4",
            INSTALLATION,
            id_hash,
            now,
            now - idle
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found.map(WebSession::try_from).transpose()? else { return Ok(None) };
        if found.last_seen_at < now - TimeDelta::minutes(1) {
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
        Ok(Some(found))
    }

    /// The web sessions that have not ended, of one person or of all, the last seen first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn web_sessions(
        &self,
        person: Option<&str>,
        now: DateTime<Utc>,
        idle: TimeDelta,
    ) -> Result<Vec<WebSession>, Error> {
        let found = sqlx::query_as!(
            SessionColumns,
            "select id_hash, subject, role, limits, method, source_ip, user_agent, created_at, last_seen_at, expires_at
             from web_session
             where account_id = $1 and expires_at > $2 and last_seen_at > $3 and ($4::text is null or subject = $4)
             order by last_seen_at desc, id_hash",
            INSTALLATION,
            now,
            now - idle,
            person
        )
        .fetch_all(&self.pool)
        .await?;
        found.into_iter().map(WebSession::try_from).collect()
    }

    /// Ends a web session by its cookie. `false`: there is none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn delete_web_session(&self, id_hash: &[u8]) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let ended = sqlx::query_scalar!(
            "delete from web_session where account_id = $1 and id_hash = $2 returning subject",
            INSTALLATION,
            id_hash
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(person) = &ended {
            let detail = json!({ "person": person, "why": "signed out" });
            let act = NewAuditEntry::done(AuditAction::SessionRevoke, session_id(id_hash), detail);
            append(&mut tx, &self.actor, &[act]).await?;
        }
        tx.commit().await?;
        Ok(ended.is_some())
    }

    /// Ends web sessions by id, by person, or by both: at least one is given. Says how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn revoke_web_sessions(&self, id: Option<&str>, person: Option<&str>) -> Result<u64, Error> {
        let mut tx = self.pool.begin().await?;
        let ended = sqlx::query!(
            "delete from web_session
             where account_id = $1 and ($2::text is not null or $3::text is not null)
               and ($2 is null or encode(substring(id_hash from 1 for 6), 'hex') = $2)
               and ($3 is null or subject = $3)
             returning id_hash, subject",
            INSTALLATION,
            id,
            person
        )
        .fetch_all(&mut *tx)
        .await?;
        let act = |id_hash: &[u8], person: &str| {
            let detail = json!({ "person": person, "why": "revoked" });
            NewAuditEntry::done(AuditAction::SessionRevoke, session_id(id_hash), detail)
        };
        let acts: Vec<NewAuditEntry> = ended.iter().map(|row| act(&row.id_hash, &row.subject)).collect();
        append(&mut tx, &self.actor, &acts).await?;
        tx.commit().await?;
        Ok(ended.len() as u64)
    }

    /// Gives a person a role, in place of one that they were given before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn grant_role(
        &self,
        access: &PersonAccess,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let before = sqlx::query_scalar!(
            "select role from role_grant where account_id = $1 and person = $2 and expires_at > $3 for update",
            INSTALLATION,
            access.person,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let limits = access.visibility.limits();
        sqlx::query!(
            "insert into role_grant (account_id, person, role, limits, granted_by, granted_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (account_id, person) do update
             set role = excluded.role, limits = excluded.limits, granted_by = excluded.granted_by,
                 granted_at = excluded.granted_at, expires_at = excluded.expires_at",
            INSTALLATION,
            parse::storable(&access.person),
            access.role,
            limits.as_deref(),
            parse::storable(&self.actor.name),
            now,
            until
        )
        .execute(&mut *tx)
        .await?;
        let detail = json!({ "role": access.role, "limits": limits, "until": until, "before": before });
        append(&mut tx, &self.actor, &[NewAuditEntry::done(AuditAction::RoleGrant, &access.person, detail)]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a person's role back that an operator gave, and ends their sessions. `false`: they had none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn revoke_role(&self, person: &str) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let role = sqlx::query_scalar!(
            "delete from role_grant where account_id = $1 and person = $2 returning role",
            INSTALLATION,
            person
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(role) = &role {
            let ended =
                sqlx::query!("delete from web_session where account_id = $1 and subject = $2", INSTALLATION, person)
                    .execute(&mut *tx)
                    .await?;
            let detail = json!({ "role": role, "sessions_ended": ended.rows_affected() });
            append(&mut tx, &self.actor, &[NewAuditEntry::done(AuditAction::RoleRevoke, person, detail)]).await?;
        }
        tx.commit().await?;
        Ok(role.is_some())
    }

    /// The roles that operators gave and that have not ended, of one person or of all, by person.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn role_grants(&self, person: Option<&str>, now: DateTime<Utc>) -> Result<Vec<RoleGrant>, Error> {
        let rows = sqlx::query!(
            "select person, role, limits, granted_by, granted_at, expires_at from role_grant
             where account_id = $1 and expires_at > $2 and ($3::text is null or person = $3) order by person",
            INSTALLATION,
            now,
            person
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(RoleGrant {
                    access: PersonAccess {
                        visibility: visibility("role_grant", &row.person, row.limits)?,
                        person: row.person,
                        role: row.role,
                    },
                    granted_by: row.granted_by,
                    granted_at: row.granted_at,
                    expires_at: row.expires_at,
                })
            })
            .collect()
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
