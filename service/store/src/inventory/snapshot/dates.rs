//! What changed, and of what date what is known of an account is.

use super::facts::{Fact, Kind};
use super::{Before, Current, Key, SnapshotWriter, columns};
use crate::Error;
use crate::work::jobs::interval;
use crate::work::runs::RunId;
use chrono::{DateTime, Utc};
use rolecall_estate::Observation;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_iam::AccountId;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

impl SnapshotWriter {
    /// Notes what this run changed: new versions of what was known, what is gone, and what is new where an
    /// earlier run had listed everything. What is seen first where nobody looked before is no change.
    pub(super) async fn note_changed(
        &mut self,
        seen: &Observation,
        opened: &[&Fact],
        gone: &BTreeSet<Key>,
        known: &HashMap<Key, Current>,
        before: &BTreeMap<Scope, Before>,
    ) -> Result<(), Error> {
        let was_complete = |scope: &Scope| before.get(scope).is_some_and(|before| before.was_complete);
        let mut changed: Vec<(Key, Option<String>, Option<String>, bool)> = Vec::new();
        let mut new_accounts: Vec<&Fact> = Vec::new();
        for fact in opened {
            let (key, region, cluster) = (fact.key(), fact.region.clone(), fact.cluster.clone());
            if known.get(&key).is_some_and(|current| current.seen_from != self.run.0) {
                changed.push((key, region, cluster, true));
                continue;
            }
            if fact.kind == Kind::Account {
                new_accounts.push(fact);
                continue;
            }
            let scope = fact.kind.scope(fact.account, region.as_deref(), cluster.as_deref());
            // A cluster that is new had no associations, where all clusters were listed.
            let listed = scope.is_some_and(|scope| {
                was_complete(&scope)
                    || (fact.kind == Kind::Association
                        && !before.contains_key(&scope)
                        && region.as_deref().and_then(|region| region.parse().ok()).is_some_and(|region| {
                            was_complete(&Scope::regional(fact.account, ScopeKind::Clusters, region))
                        }))
            });
            if listed {
                changed.push((key, region, cluster, true));
            }
        }
        if !new_accounts.is_empty() && self.organization_was_listed().await? {
            changed.extend(new_accounts.into_iter().map(|fact| (fact.key(), None, None, true)));
        }
        let was_there = |key: &&Key| known.get(*key).is_some_and(|current| current.seen_from != self.run.0);
        changed.extend(gone.iter().filter(was_there).map(|key| {
            let row = known.get(key);
            (key.clone(), row.and_then(|row| row.region.clone()), row.and_then(|row| row.cluster.clone()), true)
        }));
        if changed.is_empty() {
            return Ok(());
        }
        let asked: Vec<String> = changed.iter().map(|(key, ..)| key.0.to_string()).collect();
        let since: Vec<Option<DateTime<Utc>>> =
            asked.iter().map(|account| self.dates.get(account).copied().flatten()).collect();
        let (accounts, kinds, keys) = columns(changed.iter().map(|(key, ..)| key));
        let regions: Vec<String> = changed.iter().map(|(_, region, ..)| region.clone().unwrap_or_default()).collect();
        let clusters: Vec<String> = changed.iter().map(|(_, _, it, _)| it.clone().unwrap_or_default()).collect();
        let listed: Vec<bool> = changed.iter().map(|(.., listed)| *listed).collect();
        sqlx::query!(
            "insert into changed_resource (account_id, run_id, kind, key, region, cluster, listed_before, since, until)
             select w.account_id, $8, w.kind, w.key, w.region, w.cluster, w.listed_before, w.since,
                    case when $9::timestamptz > coalesce(w.since, '-infinity') then $9
                         else clock_timestamp() - $10::interval end
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::timestamptz[])
                  as w (account_id, kind, key, region, cluster, listed_before, since)
             on conflict (account_id, run_id, kind, key) do nothing",
            &accounts,
            &kinds,
            &keys,
            &regions,
            &clusters,
            &listed,
            &since as &[Option<DateTime<Utc>>],
            self.run.0,
            seen.as_of,
            interval(self.behind)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Whether a run before this one read the organization's accounts to their end.
    async fn organization_was_listed(&mut self) -> Result<bool, Error> {
        let listed = sqlx::query_scalar!(
            r#"select exists (select from coverage where scope = 'organization' and last_complete_run < $1) as "it!""#,
            self.run.0
        )
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(listed)
    }

    /// Notes of what date accounts are known, before this run says another.
    pub(super) async fn dates_before(&mut self, accounts: &[String]) -> Result<(), Error> {
        let unknown: Vec<String> =
            accounts.iter().filter(|account| !self.dates.contains_key(*account)).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!("select account_id, at from account_date where account_id = any($1)", &unknown)
            .fetch_all(&mut *self.tx)
            .await?;
        self.dates.extend(unknown.into_iter().map(|account| (account, None)));
        self.dates.extend(rows.into_iter().map(|row| (row.account_id, Some(row.at))));
        Ok(())
    }

    /// Keeps of what date the accounts are. It never goes back: an older file tells nothing of how old
    /// a newer one is.
    pub(super) async fn date(&mut self, seen: &Observation, accounts: &[String]) -> Result<(), Error> {
        let dated: Vec<String> = match seen.as_of {
            Some(_) => accounts.to_vec(),
            // An account that could not be entered is as old as it was.
            None => {
                let complete = seen.coverage.scopes().filter(|(_, gaps)| gaps.is_empty());
                let complete: BTreeSet<AccountId> = complete.map(|(scope, _)| scope.account_id).collect();
                complete.iter().map(ToString::to_string).collect()
            }
        };
        if dated.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into account_date as d (account_id, at)
             select w.account_id, $2 from unnest($1::text[]) as w (account_id)
             on conflict (account_id) do update set at = excluded.at where d.at < excluded.at",
            &dated,
            seen.as_of.unwrap_or(self.at)
        )
        .execute(&mut *self.tx)
        .await?;
        // Sessions are read of trails, after the account.
        let is_read = |account: &&String| {
            seen.as_of.is_some()
                || seen.coverage.scopes().any(|(scope, gaps)| {
                    gaps.is_empty() && scope.kind != ScopeKind::Sessions && scope.account_id.to_string() == **account
                })
        };
        let read: Vec<String> = dated.iter().filter(is_read).cloned().collect();
        scanned(&mut self.tx, self.run, &read, self.at, seen.as_of, self.behind).await
    }
}

/// Notes that a run read accounts, from when on, of what date (of files) what is known of them is, and that their calls since the scan
/// before must be told again where there are any.
async fn scanned(
    connection: &mut PgConnection,
    run: RunId,
    accounts: &[String],
    begun_at: DateTime<Utc>,
    as_of: Option<DateTime<Utc>>,
    behind: Duration,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into account_scan as s (account_id, run_id, begun_at, at)
         select w.account_id, $2, greatest($3, last.begun_at), greatest(coalesce($4, clock_timestamp() - $5::interval), last.at)
         from unnest($1::text[]) as w (account_id)
         left join lateral (select begun_at, at from account_scan l
                            where l.account_id = w.account_id and l.run_id < $2
                            order by l.run_id desc limit 1) as last on true
         on conflict (account_id, run_id) do update set at = greatest(s.at, excluded.at)",
        accounts,
        run.0,
        as_of.unwrap_or(begun_at),
        as_of,
        interval(behind)
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into owed_replay as o (account_id, since)
         select w.account_id, last.begun_at
         from unnest($1::text[]) as w (account_id)
         join lateral (select begun_at from account_scan l
                       where l.account_id = w.account_id and l.run_id < $2
                       order by l.run_id desc limit 1) as last on true
         where exists (select from change_event e
                       where e.account_id = w.account_id and e.at >= last.begun_at and e.error_code is null)
            or exists (select from change c
                       where c.account_id = w.account_id and c.seen_in = 'events' and c.ended_at is null)
         on conflict (account_id) do update set since = least(o.since, excluded.since), number = o.number + 1",
        accounts,
        run.0
    )
    .execute(connection)
    .await?;
    Ok(())
}
