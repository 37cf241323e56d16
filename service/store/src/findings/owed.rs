//! Judgement that is owed: what was kept of trails and looks, and no audit has judged yet.
//!
//! Knows that a debt becomes visible together with what it is about, and goes together with the
//! findings of an audit that judged it. Refuses to know what is told.

use crate::trail::Ledger;
use crate::{Error, INSTALLATION, SnapshotWriter, Store};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// One debt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Identity.
    pub id: Uuid,
    /// Sessions from this moment on are to be judged.
    pub since: Option<DateTime<Utc>>,
    /// What the next snapshot is to say, in the words of whoever read it.
    pub told: Option<Value>,
}

/// What an audit settles with its findings: debts that it knew before it loaded what it judged.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// Sessions from this moment on were judged.
    pub judged_since: DateTime<Utc>,
    /// The debts that it knew.
    pub owed: Vec<Uuid>,
    /// Those whose telling is in its snapshot.
    pub told: Vec<Uuid>,
}

impl Store {
    /// Every judgement that is owed, the oldest debt first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn owed(&self) -> Result<Vec<Owed>, Error> {
        let rows = sqlx::query_as!(
            Owed,
            "select id, since, told from owed_judgement where account_id = $1 order by owed_at, id",
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}

impl Ledger<'_> {
    /// Owes a judgement of what this batch adds.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn owe(&mut self, since: Option<DateTime<Utc>>, told: Option<&Value>) -> Result<Uuid, Error> {
        owe(&mut self.tx, since, told).await
    }
}

impl SnapshotWriter {
    /// Owes a judgement of this snapshot, with the sessions from a moment on.
    ///
    /// # Errors
    /// Where the database fails; the snapshot must then be dropped.
    pub async fn owe(&mut self, since: DateTime<Utc>) -> Result<Uuid, Error> {
        owe(&mut self.tx, Some(since), None).await
    }
}

async fn owe(connection: &mut PgConnection, since: Option<DateTime<Utc>>, told: Option<&Value>) -> Result<Uuid, Error> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into owed_judgement (account_id, id, since, told) values ($1, $2, $3, $4::text::jsonb)",
        INSTALLATION,
        id,
        since,
        told.map(crate::parse::json_text)
    )
    .execute(connection)
    .await?;
    Ok(id)
}

/// Deletes the debts that an audit settles. One that it did not tell stays, and one that reaches
/// further back than it judged.
pub(crate) async fn settle(connection: &mut PgConnection, settled: &Settled) -> Result<(), Error> {
    sqlx::query!(
        "delete from owed_judgement
         where account_id = $1 and id = any($2) and (told is null or id = any($3)) and (since is null or since >= $4)",
        INSTALLATION,
        &settled.owed,
        &settled.told,
        settled.judged_since
    )
    .execute(connection)
    .await?;
    Ok(())
}
