//! Documents and intervals of resources: what is written of an observation.

use super::facts::{Fact, Kind};
use super::{Current, Key, SnapshotWriter, columns};
use crate::{Error, parse};
use chrono::{DateTime, Utc};
use rolecall_estate::Observation;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_iam::{AccountId, Digest};
use std::collections::{BTreeMap, BTreeSet, HashMap};

impl SnapshotWriter {
    /// Sends only the texts that are not there: on an unchanged estate, none.
    pub(super) async fn documents(&mut self, seen: &Observation, facts: &BTreeMap<Key, Fact>) -> Result<u64, Error> {
        let named: BTreeSet<(AccountId, Digest)> =
            facts.values().flat_map(|fact| fact.documents.iter().map(|digest| (fact.account, *digest))).collect();
        if named.is_empty() {
            return Ok(0);
        }
        let accounts: Vec<String> = named.iter().map(|(account, _)| account.to_string()).collect();
        let digests: Vec<Vec<u8>> = named.iter().map(|(_, digest)| digest.as_bytes().to_vec()).collect();
        let missing = sqlx::query!(
            r#"select w.account_id as "account_id!", w.digest as "digest!"
               from unnest($1::text[], $2::bytea[]) as w (account_id, digest)
               where not exists (select from document d where d.account_id = w.account_id and d.digest = w.digest)"#,
            &accounts,
            &digests
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let (mut accounts, mut digests, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for row in missing {
            let digest = parse::digest("document", &row.account_id, &row.digest)?;
            // A digest without its text stays a name: what needs the text is unknown, not wrong.
            if let Some(document) = seen.documents.get(&digest) {
                accounts.push(row.account_id);
                digests.push(row.digest);
                texts.push(parse::storable_document(&document.text));
                self.written.add(document.clone());
            }
        }
        if accounts.is_empty() {
            return Ok(0);
        }
        let done = sqlx::query!(
            "insert into document (account_id, digest, text, first_run)
             select w.account_id, w.digest, w.text, $4
             from unnest($1::text[], $2::bytea[], $3::text[]) as w (account_id, digest, text)
             on conflict (account_id, digest) do nothing",
            &accounts,
            &digests,
            &texts,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected())
    }

    pub(super) async fn close(&mut self, closed: &BTreeSet<Key>, known: &HashMap<Key, Current>) -> Result<(), Error> {
        if closed.is_empty() {
            return Ok(());
        }
        // What this same run opened has no interval yet: it is taken back.
        let is_new = |key: &&Key| known.get(*key).is_some_and(|current| current.seen_from == self.run.0);
        let (new, old): (Vec<&Key>, Vec<&Key>) = closed.iter().partition(is_new);
        let (accounts, kinds, keys) = columns(old.into_iter());
        sqlx::query!(
            "update resource r set seen_to = $4
             from unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
             where r.account_id = w.account_id and r.kind = w.kind and r.key = w.key and r.seen_to is null",
            &accounts,
            &kinds,
            &keys,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        if new.is_empty() {
            return Ok(());
        }
        let (accounts, kinds, keys) = columns(new.into_iter());
        sqlx::query!(
            "delete from resource r
             using unnest($1::text[], $2::text[], $3::text[]) as w (account_id, kind, key)
             where r.account_id = w.account_id and r.kind = w.kind and r.key = w.key and r.seen_from = $4",
            &accounts,
            &kinds,
            &keys,
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub(super) async fn open(&mut self, facts: &[&Fact]) -> Result<(), Error> {
        if facts.is_empty() {
            return Ok(());
        }
        fn column<'a, T>(facts: &[&'a Fact], of: impl Fn(&'a Fact) -> T) -> Vec<T> {
            facts.iter().map(|fact| of(fact)).collect()
        }
        let (accounts, kinds, keys) = (
            column(facts, |f| f.account.to_string()),
            column(facts, |f| f.kind.as_str().to_owned()),
            column(facts, |f| f.name_key.clone()),
        );
        let digests = column(facts, |f| f.digest.as_bytes().to_vec());
        let bodies = column(facts, |f| f.body.clone());
        let (names, regions) = (
            column(facts, |f| f.name.as_deref().map(parse::storable)),
            column(facts, |f| f.region.as_deref().map(parse::storable)),
        );
        let (clusters, namespaces) = (
            column(facts, |f| f.cluster.as_deref().map(parse::storable)),
            column(facts, |f| f.namespace.as_deref().map(parse::storable)),
        );
        let service_accounts = column(facts, |f| f.service_account.as_deref().map(parse::storable));
        let (roles, targets) = (
            column(facts, |f| f.role_arn.as_deref().map(parse::storable)),
            column(facts, |f| f.target_role_arn.as_deref().map(parse::storable)),
        );
        sqlx::query!(
            "insert into resource (account_id, kind, key, seen_from, digest, body, name, region, cluster, namespace,
                                   service_account, role_arn, target_role_arn)
             select w.account_id, w.kind, w.key, $13, w.digest, w.body::jsonb, w.name, w.region, w.cluster, w.namespace,
                    w.service_account, w.role_arn, w.target_role_arn
             from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
                  as w (account_id, kind, key, digest, body, name, region, cluster, namespace, service_account,
                        role_arn, target_role_arn)",
            &accounts,
            &kinds,
            &keys,
            &digests,
            &bodies,
            &names as &[Option<String>],
            &regions as &[Option<String>],
            &clusters as &[Option<String>],
            &namespaces as &[Option<String>],
            &service_accounts as &[Option<String>],
            &roles as &[Option<String>],
            &targets as &[Option<String>],
            self.run.0
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub(super) async fn last_used(&mut self, seen: &Observation, gone: &BTreeSet<Key>) -> Result<(), Error> {
        // By the name that is kept, so that no name is written twice.
        let latest: BTreeMap<String, _> =
            seen.last_used.iter().map(|used| (parse::storable(used.role.as_str()), used)).collect();
        if !latest.is_empty() {
            let accounts: Vec<String> = latest.values().map(|used| used.role.account_id().to_string()).collect();
            let roles: Vec<String> = latest.keys().cloned().collect();
            let times: Vec<DateTime<Utc>> = latest.values().map(|used| used.at).collect();
            let regions: Vec<Option<String>> =
                latest.values().map(|used| used.region.as_deref().map(parse::storable)).collect();
            sqlx::query!(
                "insert into role_last_used (account_id, role_arn, at, region)
                 select w.account_id, w.role_arn, w.at, w.region
                 from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) as w (account_id, role_arn, at, region)
                 on conflict (account_id, role_arn) do update set at = excluded.at, region = excluded.region
                 where role_last_used.at <> excluded.at or role_last_used.region is distinct from excluded.region",
                &accounts,
                &roles,
                &times,
                &regions as &[Option<String>]
            )
            .execute(&mut *self.tx)
            .await?;
        }
        // A listing that names a role without a last use says: not used in 400 days. One that was cut
        // off says so only where it tells of last uses at all.
        let tells: BTreeSet<AccountId> = latest.values().map(|used| used.role.account_id()).collect();
        let unused = seen.roles.iter().filter(|role| {
            let account = role.arn.account_id();
            !latest.contains_key(&parse::storable(role.arn.as_str()))
                && (tells.contains(&account) || seen.coverage.is_complete(&Scope::global(account, ScopeKind::Roles)))
        });
        let mut none: Vec<(String, String)> =
            unused.map(|role| (role.arn.account_id().to_string(), parse::storable(role.arn.as_str()))).collect();
        none.extend(
            gone.iter().filter(|key| key.1 == Kind::Role).map(|(account, _, key)| (account.to_string(), key.clone())),
        );
        let (accounts, roles): (Vec<String>, Vec<String>) = none.into_iter().unzip();
        sqlx::query!(
            "delete from role_last_used u using unnest($1::text[], $2::text[]) as w (account_id, role_arn)
             where u.account_id = w.account_id and u.role_arn = w.role_arn",
            &accounts,
            &roles
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
