//! What infrastructure code declares, as it was last read.

use crate::work::runs::RunId;
use crate::{Error, INSTALLATION, Store, parse};
use rolecall_estate::declared::Declared;
use sqlx::PgConnection;

impl Store {
    /// Keeps what files declare in the place of what was kept before; `None`: nothing is declared any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_declared(&self, run: RunId, declared: Option<&Declared>) -> Result<(), Error> {
        let Some(declared) = declared else {
            sqlx::query!("delete from declared where account_id = $1", INSTALLATION).execute(&self.pool).await?;
            return Ok(());
        };
        let body = serde_json::to_string(declared)
            .map_err(|why| Error::corrupt("declared", run.to_string(), why.to_string()))?;
        sqlx::query!(
            "insert into declared (account_id, run_id, body) values ($1, $2, $3)
             on conflict (account_id) do update
             set run_id = excluded.run_id, read_at = clock_timestamp(), body = excluded.body",
            INSTALLATION,
            run.0,
            body
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// What was kept last.
pub(crate) async fn latest(connection: &mut PgConnection) -> Result<Option<Declared>, Error> {
    let body = sqlx::query_scalar!("select body from declared where account_id = $1", INSTALLATION)
        .fetch_optional(connection)
        .await?;
    body.map(|body| parse::json_of("declared", "body", &body)).transpose()
}
