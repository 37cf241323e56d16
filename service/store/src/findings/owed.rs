//! Judgement that is owed: what was kept of trails and scans, and no audit has judged yet.
//!
//! Knows that a debt becomes visible together with what it is about, and goes together with the
//! findings of an audit that judged it. Refuses to know what a debt reports.

use crate::inventory::open_changes::PassedChanges;
use crate::trail::TrailBatch;
use crate::{Error, INSTALLATION, SnapshotWriter, Store};
use chrono::{DateTime, Utc};
use rolecall_audit::owner::OwnerChanges;
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
    pub unreported: Option<Value>,
}

/// What an audit has judged with its findings: the debts that it knew before it loaded what it judged.
#[derive(Debug, Clone, Default)]
pub struct DoneJudgement {
    /// Sessions from this moment on were judged.
    pub judged_since: DateTime<Utc>,
    /// The debts that it knew.
    pub owed: Vec<Uuid>,
    /// Those whose report is in its snapshot.
    pub reported: Vec<Uuid>,
    /// The changes that need not be judged again.
    pub passed: PassedChanges,
    /// What differs of whose findings and associations are.
    pub owners: OwnerChanges,
}

impl Store {
    /// Every judgement that is owed, the oldest debt first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn owed(&self) -> Result<Vec<Owed>, Error> {
        let rows = sqlx::query_as!(
            Owed,
            "select id, since, unreported from owed_judgement where account_id = $1 order by owed_at, id",
            INSTALLATION
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}

impl TrailBatch<'_> {
    /// Owes a judgement of what this batch adds.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn owe(&mut self, since: Option<DateTime<Utc>>, unreported: Option<&Value>) -> Result<Uuid, Error> {
        owe(&mut self.tx, since, unreported).await
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

async fn owe(
    connection: &mut PgConnection,
    since: Option<DateTime<Utc>>,
    unreported: Option<&Value>,
) -> Result<Uuid, Error> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into owed_judgement (account_id, id, since, unreported) values ($1, $2, $3, $4::text::jsonb)",
        INSTALLATION,
        id,
        since,
        unreported.map(crate::parse::json_text)
    )
    .execute(connection)
    .await?;
    Ok(id)
}

/// Deletes the debts that an audit has judged. one that it did not report stays, and one that reaches
/// further back than it judged.
pub(crate) async fn delete_done(connection: &mut PgConnection, done: &DoneJudgement) -> Result<(), Error> {
    sqlx::query!(
        "delete from owed_judgement
         where account_id = $1 and id = any($2) and (unreported is null or id = any($3)) and (since is null or since >= $4)",
        INSTALLATION,
        &done.owed,
        &done.reported,
        done.judged_since
    )
    .execute(connection)
    .await?;
    Ok(())
}
