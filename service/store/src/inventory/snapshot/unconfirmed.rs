//! Marks of what the latest look at a listing should have shown, and did not show.

use super::{Before, Current, Key, SnapshotWriter, facts};
use crate::work::runs::RunId;
use crate::{Error, parse};
use rolecall_estate::coverage::{Coverage, Scope, ScopeKind};
use rolecall_estate::{Observation, ResourceKind, Unconfirmed};
use rolecall_iam::AccountId;
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A resource, or a description of one.
type Mark = (AccountId, ResourceKind, String);

impl SnapshotWriter {
    /// Marks what this scan did not confirm, and takes away the marks of what it showed.
    pub(super) async fn mark(
        &mut self,
        seen: &Observation,
        accounts: &[String],
        (known, previous): (&HashMap<Key, Current>, &HashMap<Key, serde_json::Value>),
        seen_keys: &HashSet<Key>,
        gone: &BTreeSet<Key>,
    ) -> Result<(), Error> {
        let undescribed = facts::undescribed(seen, previous);
        let marked = marks(&mut self.tx, accounts).await?;
        let mark = |key: &Key| (key.0, key.1.resource(), key.2.clone());
        let part = |key: &Key| facts::described(key.1).map(|kind| (key.0, kind, key.2.clone()));

        let mut lift: BTreeSet<Mark> = BTreeSet::new();
        if !marked.is_empty() {
            lift.extend(seen_keys.iter().chain(gone).map(mark));
            lift.extend(seen_keys.iter().filter(|key| !undescribed.contains(*key)).chain(gone).filter_map(part));
            lift.retain(|mark| marked.contains(mark));
        }
        self.unvisited.retain(|key, _| !seen_keys.contains(key) && !gone.contains(key));

        let mut set: BTreeSet<Mark> =
            undescribed.iter().filter(|key| known.contains_key(*key)).filter_map(part).collect();
        for (key, row) in known.iter().filter(|(key, _)| !seen_keys.contains(*key) && !gone.contains(*key)) {
            let Some(scope) = key.1.scope(key.0, row.region.as_deref(), row.cluster.as_deref()) else { continue };
            match seen.coverage.gaps_of(&scope) {
                Some(gaps) if facts::speaks(gaps) => {
                    set.insert(mark(key));
                }
                Some(_) => {}
                None => {
                    self.unvisited.insert(key.clone(), scope);
                }
            }
        }
        set.retain(|mark| !marked.contains(mark));
        lift_marks(&mut self.tx, &lift, self.run.0).await?;
        set_marks(&mut self.tx, &set, self.run.0).await
    }

    /// Keeps in mind which scopes of earlier runs this scan did not come to.
    pub(super) fn note_left(&mut self, seen: &Observation, before: &BTreeMap<Scope, Before>, gone: &BTreeSet<Key>) {
        let clusters: BTreeSet<(AccountId, &str)> =
            gone.iter().filter(|key| key.1 == facts::Kind::Cluster).map(|key| (key.0, key.2.as_str())).collect();
        let is_gone = |scope: &Scope| {
            let (Some(region), Some(cluster)) = (&scope.region, &scope.cluster) else { return false };
            clusters.contains(&(scope.account_id, facts::cluster_key(region.as_str(), cluster.as_str()).as_str()))
        };
        let left = before.iter().filter(|(scope, before)| !before.by_this_run && !is_gone(scope));
        self.left.extend(left.map(|(scope, _)| scope.clone()));
        self.left.retain(|scope| !is_gone(scope));
        self.looked.absorb(seen.coverage.clone());
    }

    /// Notes, once all of the run was saved, what it did not come to since something above was refused.
    pub(super) async fn unreached(&mut self) -> Result<(), Error> {
        let looked = std::mem::take(&mut self.looked);
        let left = std::mem::take(&mut self.left);
        let mut missed = Coverage::default();
        for gap in looked.unreached(&left) {
            missed.gap(gap);
        }
        let gaps = self.coverage(&missed, &BTreeMap::new()).await?;
        self.counts.gaps += gaps;
        let unvisited = std::mem::take(&mut self.unvisited);
        let set: BTreeSet<Mark> = unvisited
            .into_iter()
            .filter(|(_, scope)| missed.gaps_of(scope).is_some())
            .map(|((account, kind, key), _)| (account, kind.resource(), key))
            .collect();
        set_marks(&mut self.tx, &set, self.run.0).await?;

        // Sessions are read where there are clusters: where there are none any more, nothing is left to
        // be read, and what was once missed must not stay missed.
        let ended = left.iter().filter(|scope| {
            let above = scope.depends_on();
            scope.kind == ScopeKind::Sessions
                && looked.gaps_of(scope).is_none()
                && above.first().is_some_and(|clusters| looked.is_complete(clusters))
        });
        let (accounts, regions): (Vec<String>, Vec<String>) =
            ended.filter_map(|scope| Some((scope.account_id.to_string(), scope.region.as_ref()?.to_string()))).unzip();
        sqlx::query!(
            "with ended as (
                 delete from coverage c using unnest($1::text[], $2::text[]) as w (account_id, region)
                 where c.account_id = w.account_id and c.scope = 'sessions' and c.region = w.region and not c.complete
                 returning c.account_id, c.scope, c.region, c.cluster)
             insert into coverage_state (account_id, scope, region, cluster, run_id, complete)
             select account_id, scope, region, cluster, $3, null from ended
             on conflict (account_id, scope, region, cluster, run_id) do update set complete = null",
            &accounts,
            &regions,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

/// The marks of some accounts.
async fn marks(connection: &mut PgConnection, accounts: &[String]) -> Result<BTreeSet<Mark>, Error> {
    let rows = sqlx::query!("select account_id, kind, key from unconfirmed where account_id = any($1)", accounts)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(|row| parse(&row.account_id, &row.kind, row.key)).collect()
}

/// The marks of some accounts, and those of what is of every account; every mark where none are named. As they are, or
/// as a run left them.
pub(crate) async fn marks_beside(
    connection: &mut PgConnection,
    accounts: Option<&[String]>,
    run: Option<RunId>,
) -> Result<Unconfirmed, Error> {
    let rows = sqlx::query!(
        r#"select account_id as "account_id!", kind as "kind!", key as "key!" from (
               select account_id, kind, key from unconfirmed where $2::bigint is null or since_run <= $2
               union
               select account_id, kind, key from unconfirmed_past where since_run <= $2 and until_run > $2) marked
           where $1::text[] is null or account_id = any($1)
              or kind in ('account', 'org_policy', 'org_unit', 'trail', 'trail_selectors')"#,
        accounts as Option<&[String]>,
        run.map(|run| run.0)
    )
    .fetch_all(connection)
    .await?;
    let mut unconfirmed = Unconfirmed::default();
    for row in rows {
        let (account, kind, key) = parse(&row.account_id, &row.kind, row.key)?;
        unconfirmed.add(kind, account, key);
    }
    Ok(unconfirmed)
}

fn parse(account: &str, kind: &str, key: String) -> Result<Mark, Error> {
    Ok((parse::account("unconfirmed", account)?, parse::text("unconfirmed", &key, kind)?, key))
}

fn columns(marks: &BTreeSet<Mark>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut accounts, mut kinds, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (account, kind, key) in marks {
        accounts.push(account.to_string());
        kinds.push(kind.as_str().to_owned());
        keys.push(key.clone());
    }
    (accounts, kinds, keys)
}

async fn set_marks(tx: &mut Transaction<'static, Postgres>, marks: &BTreeSet<Mark>, run: i64) -> Result<(), Error> {
    if marks.is_empty() {
        return Ok(());
    }
    let (accounts, kinds, keys) = columns(marks);
    sqlx::query!(
        "insert into unconfirmed (account_id, kind, key, since_run)
         select w.account_id, w.kind, w.key, $4 from unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
         on conflict (account_id, kind, key) do nothing",
        &accounts,
        &kinds,
        &keys,
        run
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends marks: what was not confirmed until this run stays known of the time before.
async fn lift_marks(tx: &mut Transaction<'static, Postgres>, marks: &BTreeSet<Mark>, run: i64) -> Result<(), Error> {
    if marks.is_empty() {
        return Ok(());
    }
    let (accounts, kinds, keys) = columns(marks);
    sqlx::query!(
        "with ended as (
             delete from unconfirmed u using unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
             where u.account_id = w.account_id and u.kind = w.kind and u.key = w.key
             returning u.account_id, u.kind, u.key, u.since_run)
         insert into unconfirmed_past (account_id, kind, key, since_run, until_run)
         select account_id, kind, key, since_run, $4 from ended where since_run < $4",
        &accounts,
        &kinds,
        &keys,
        run
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
