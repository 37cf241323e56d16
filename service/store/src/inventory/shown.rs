//! What of a list of names somebody may see, for answers that are worked out over all that is stored.
//!
//! Asked of a store that is limited; of another it is everything. Refuses to know what the names are for.

use crate::parse::JsonText;
use crate::{Error, Store, parse};
use rolecall_estate::Reason;
use rolecall_iam::AccountId;
use std::collections::BTreeSet;

impl Store {
    /// Those of these roles that are seen, of whatever time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn shown_roles(&self, arns: &[String]) -> Result<BTreeSet<String>, Error> {
        let found = sqlx::query_scalar!("select key from resource where kind = 'role' and key = any($1)", arns);
        Ok(found.fetch_all(&self.pool).await?.into_iter().collect())
    }

    /// Those of these associations that are seen, by key, of whatever time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn shown_associations(&self, keys: &[String]) -> Result<BTreeSet<String>, Error> {
        let found = sqlx::query_scalar!("select key from resource where kind = 'association' and key = any($1)", keys);
        Ok(found.fetch_all(&self.pool).await?.into_iter().collect())
    }

    /// The ids of every association that is seen, of whatever time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn shown_association_ids(&self) -> Result<BTreeSet<String>, Error> {
        let found = sqlx::query_scalar!(
            r#"select distinct body ->> 'association_id' as "id!" from resource
               where kind = 'association' and body ->> 'association_id' is not null"#
        );
        Ok(found.fetch_all(&self.pool).await?.into_iter().collect())
    }

    /// The accounts that limits name, with those of OUs: what is in them is seen whole.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn shown_accounts(&self) -> Result<BTreeSet<AccountId>, Error> {
        let found = sqlx::query_scalar!(r#"select account_id as "id!" from limited_account"#).fetch_all(&self.pool);
        found.await?.iter().map(|id| parse::account("limited_account", id)).collect()
    }

    /// Reasons without the names of what is not seen.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn shown_reasons(&self, reasons: Vec<Reason>) -> Result<Vec<Reason>, Error> {
        if reasons.is_empty() || !self.is_limited() {
            return Ok(reasons);
        }
        let given = parse::json_text(&reasons);
        let shown = sqlx::query_scalar!(r#"select limited_reasons($1::text::jsonb) as "shown!: JsonText""#, given)
            .fetch_one(&self.pool)
            .await?;
        parse::json("limited_reasons", "reasons", &shown)
    }
}
