//! What is known before an observation is written.

use super::{Before, Current, Key, SnapshotWriter, columns};
use crate::{Error, parse};
use rolecall_estate::coverage::Scope;
use std::collections::{BTreeMap, HashMap};

impl SnapshotWriter {
    pub(super) async fn known(&mut self, accounts: &[String]) -> Result<HashMap<Key, Current>, Error> {
        let rows = sqlx::query!(
            "select account_id, kind, key, seen_from, digest, region, cluster from resource
             where account_id = any($1) and seen_to is null",
            accounts
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in rows {
            let key =
                (parse::account("resource", &row.account_id)?, parse::text("resource", &row.kind, &row.kind)?, row.key);
            let digest = parse::digest("resource", &key.2, &row.digest)?;
            let current = Current { seen_from: row.seen_from, digest, region: row.region, cluster: row.cluster };
            known.insert(key, current);
        }
        Ok(known)
    }

    /// Every scope that is kept of some accounts.
    pub(super) async fn scopes_before(&mut self, accounts: &[String]) -> Result<BTreeMap<Scope, Before>, Error> {
        let rows = sqlx::query!(
            "select account_id, scope, region, cluster, last_run, last_complete_run from coverage
             where account_id = any($1)",
            accounts
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let run = self.run.0;
        let each = rows.into_iter().map(|row| {
            let scope = crate::inventory::coverage::read_scope(&row.account_id, &row.scope, &row.region, &row.cluster)?;
            let before = Before {
                by_this_run: row.last_run == run,
                was_complete: row.last_complete_run.is_some_and(|complete| complete < run),
            };
            Ok((scope, before))
        });
        each.collect()
    }

    /// The kept bodies of those resources of which this scan saw only a part.
    pub(super) async fn bodies(
        &mut self,
        partial: &[Key],
        known: &HashMap<Key, Current>,
    ) -> Result<HashMap<Key, serde_json::Value>, Error> {
        let wanted: Vec<&Key> = partial.iter().filter(|key| known.contains_key(*key)).collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let (accounts, kinds, keys) = columns(wanted.iter().copied());
        let rows = sqlx::query!(
            "select r.account_id, r.kind, r.key, r.body
             from unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
             join resource r on r.account_id = w.account_id and r.kind = w.kind and r.key = w.key and r.seen_to is null",
            &accounts,
            &kinds,
            &keys
        )
        .fetch_all(&mut *self.tx)
        .await?;
        rows.into_iter()
            .map(|row| {
                let key = (
                    parse::account("resource", &row.account_id)?,
                    parse::text("resource", &row.kind, &row.kind)?,
                    row.key,
                );
                Ok((key, row.body))
            })
            .collect()
    }
}
