//! Writing one batch: few rows, in bulk, in the order of their keys.

use super::seen::{Kind, MarkSet};
use super::{FileMark, TrailBatch};
use crate::trail::sessions;
use crate::{Error, RunId, parse, partition};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_cloudtrail::{TrailDay, Use};
use rolecall_estate::Session;
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows of one statement.
const CHUNK: usize = 5_000;

/// What was read of one day in one batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// Files.
    pub files: u64,
    /// Events that were counted now.
    pub events: u64,
}

/// What a batch wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Sessions that were not there before.
    pub sessions: u64,
    /// Rows of use that were added to or made.
    pub uses: u64,
}

type Principal<'a> = (AccountId, i32, &'a str);

#[derive(Clone, Copy)]
struct Sum<'u> {
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    calls: i64,
    errors: i64,
    denied: i64,
    networks: u8,
    source: Option<&'u str>,
}

impl<'u> Sum<'u> {
    fn new(used: &'u Use) -> Self {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Self {
            first_at: used.first,
            last_at: used.last,
            calls: signed(used.count),
            errors: signed(used.errors),
            denied: signed(used.denied),
            networks: used.networks.bits(),
            source: used.source.as_deref(),
        }
    }

    fn add(&mut self, other: Self) {
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.denied = self.denied.saturating_add(other.denied);
        self.networks |= other.networks;
        // The least, so that no order of batches makes a difference.
        self.source = [self.source, other.source].into_iter().flatten().min();
    }
}

fn add<'u, K: Ord>(sums: &mut BTreeMap<K, Sum<'u>>, key: K, sum: Sum<'u>) {
    sums.entry(key).and_modify(|known| known.add(sum)).or_insert(sum);
}

/// Its access key; empty where the event has none.
fn key(used: &Use) -> &str {
    used.access_key_id.as_deref().unwrap_or_default()
}

/// What it was done to, without what changes from call to call; empty where the event names nothing.
fn shape(used: &Use) -> &str {
    used.shape.as_deref().unwrap_or_default()
}

/// The columns of sums.
struct Columns {
    first: Vec<DateTime<Utc>>,
    last: Vec<DateTime<Utc>>,
    calls: Vec<i64>,
    errors: Vec<i64>,
    denied: Vec<i64>,
}

impl Columns {
    fn new<'s, 'u: 's>(sums: impl Iterator<Item = &'s Sum<'u>> + Clone) -> Self {
        Self {
            first: sums.clone().map(|sum| sum.first_at).collect(),
            last: sums.clone().map(|sum| sum.last_at).collect(),
            calls: sums.clone().map(|sum| sum.calls).collect(),
            errors: sums.clone().map(|sum| sum.errors).collect(),
            denied: sums.map(|sum| sum.denied).collect(),
        }
    }
}

impl TrailBatch<'_> {
    /// Adds sessions and calls, all of accounts that this batch was opened for.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn add(&mut self, sessions: &[Session], uses: &[Use]) -> Result<BatchCounts, Error> {
        let pool = self.book.pool.clone();
        let mut made = self.book.partitions.clone();
        let written = sessions::write(&mut self.tx, &pool, &mut made, RunId(0), sessions).await?;
        let months: BTreeSet<NaiveDate> = uses.iter().filter_map(|used| partition::first_of_month(used.day)).collect();
        for month in months {
            partition::ensure(&mut self.tx, &pool, &mut made, "trail_use", month).await?;
        }
        self.pending.partitions.extend(made);

        let mut texts: BTreeMap<AccountId, BTreeSet<&str>> = BTreeMap::new();
        for used in uses {
            let texts = texts.entry(used.account_id).or_default();
            texts.extend([&*used.action, shape(used), &*used.role_arn]);
        }
        let numbers = self.numbers(texts).await?;

        let mut principals: BTreeMap<Principal<'_>, Sum<'_>> = BTreeMap::new();
        let mut actions: BTreeMap<(AccountId, i32, i32), Sum<'_>> = BTreeMap::new();
        for used in uses {
            let number = |text: &str| numbers.of(used.account_id, text);
            let (role, sum) = (number(&used.role_arn)?, Sum::new(used));
            add(&mut principals, (used.account_id, role, key(used)), sum);
            add(&mut actions, (used.account_id, role, number(&used.action)?), sum);
        }
        let ids = self.principals(&principals).await?;

        let mut rows: BTreeMap<(AccountId, i32, i32, i32, NaiveDate), Sum<'_>> = BTreeMap::new();
        for used in uses {
            let number = |text: &str| numbers.of(used.account_id, text);
            let principal: Principal<'_> = (used.account_id, number(&used.role_arn)?, key(used));
            let id = ids.get(&principal).copied().ok_or_else(|| {
                Error::corrupt("trail_principal", key(used).to_owned(), "the principal has no number")
            })?;
            let key = (used.account_id, id, number(&used.action)?, number(shape(used))?, used.day);
            add(&mut rows, key, Sum::new(used));
        }
        self.uses(&rows).await?;
        self.actions(&actions).await?;
        Ok(BatchCounts { sessions: written, uses: parse::count(i64::try_from(rows.len()).unwrap_or(i64::MAX)) })
    }

    /// Takes off calls that an earlier batch counted by a VPC endpoint's event, and that [`Self::add`]
    /// was given by their own. Where their key's calls were folded meanwhile, they are taken off what
    /// sessions of its role did.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn withdraw(&mut self, uses: &[Use]) -> Result<(), Error> {
        if uses.is_empty() {
            return Ok(());
        }
        let column = |of: &dyn Fn(&Use) -> String| -> Vec<String> { uses.iter().map(of).collect() };
        let numbers = |of: &dyn Fn(&Use) -> u64| -> Vec<i64> {
            uses.iter().map(|used| i64::try_from(of(used)).unwrap_or(i64::MAX)).collect()
        };
        let days: Vec<NaiveDate> = uses.iter().map(|used| used.day).collect();
        sqlx::query!(
            "with given as (
                 select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::date[],
                                      $7::bigint[], $8::bigint[], $9::bigint[])
                     with ordinality as w (account_id, role_arn, access_key_id, action, shape, day, calls, errors,
                                           denied, n)),
             found as (
                 select distinct on (w.n) t.account_id, t.principal, t.action, t.shape, t.day, p.role, w.calls,
                        w.errors, w.denied
                 from given w
                 join trail_name r on r.account_id = w.account_id and r.text = w.role_arn
                 join trail_name a on a.account_id = w.account_id and a.text = w.action
                 join trail_name s on s.account_id = w.account_id and s.text = w.shape
                 join trail_principal p on p.account_id = w.account_id and p.role = r.id
                      and p.access_key_id in (w.access_key_id, '')
                 join trail_use t on t.account_id = w.account_id and t.principal = p.id and t.action = a.id
                      and t.shape = s.id and t.day = w.day
                 order by w.n, p.access_key_id desc, p.id),
             by_use as (
                 select account_id, principal, action, shape, day, sum(calls)::bigint as calls,
                        sum(errors)::bigint as errors, sum(denied)::bigint as denied
                 from found group by account_id, principal, action, shape, day),
             by_principal as (
                 update trail_principal p set calls = p.calls - f.calls, errors = p.errors - f.errors,
                        denied = p.denied - f.denied
                 from (select account_id, principal, sum(calls)::bigint as calls, sum(errors)::bigint as errors,
                              sum(denied)::bigint as denied
                       from found group by account_id, principal) f
                 where p.account_id = f.account_id and p.id = f.principal),
             by_role as (
                 update role_action u set calls = u.calls - f.calls, errors = u.errors - f.errors,
                        denied = u.denied - f.denied
                 from (select account_id, role, action, sum(calls)::bigint as calls, sum(errors)::bigint as errors,
                              sum(denied)::bigint as denied
                       from found group by account_id, role, action) f
                 where u.account_id = f.account_id and u.role = f.role and u.action = f.action),
             gone as (
                 delete from trail_use t using by_use f
                 where t.account_id = f.account_id and t.principal = f.principal and t.action = f.action
                   and t.shape = f.shape and t.day = f.day and t.calls <= f.calls)
             update trail_use t set calls = t.calls - f.calls, errors = t.errors - f.errors,
                    denied = t.denied - f.denied
             from by_use f
             where t.account_id = f.account_id and t.principal = f.principal and t.action = f.action
               and t.shape = f.shape and t.day = f.day and t.calls > f.calls",
            &column(&|used| used.account_id.to_string()),
            &column(&|used| parse::indexed(&used.role_arn)),
            &column(&|used| parse::indexed(key(used))),
            &column(&|used| parse::indexed(&used.action)),
            &column(&|used| parse::indexed(shape(used))),
            &days,
            &numbers(&|used| used.count),
            &numbers(&|used| used.errors),
            &numbers(&|used| used.denied)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// The numbers of principals; those that have none get one. What they did is added to them.
    async fn principals<'u>(
        &mut self,
        principals: &BTreeMap<Principal<'u>, Sum<'u>>,
    ) -> Result<HashMap<Principal<'u>, i32>, Error> {
        let mut ids = HashMap::with_capacity(principals.len());
        let mut by_account: BTreeMap<AccountId, Vec<(Principal<'u>, Sum<'u>)>> = BTreeMap::new();
        for (principal, sum) in principals {
            by_account.entry(principal.0).or_default().push((*principal, *sum));
        }
        for (account, principals) in by_account {
            let id = account.to_string();
            let roles: Vec<i32> = principals.iter().map(|(principal, _)| principal.1).collect();
            let keys: Vec<String> = principals.iter().map(|(principal, _)| parse::indexed(principal.2)).collect();
            let rows = sqlx::query!(
                "select p.id, p.role, p.access_key_id
                 from unnest($2::int[], $3::text[]) as w (role, access_key_id)
                 join trail_principal p on p.account_id = $1 and p.role = w.role and p.access_key_id = w.access_key_id
                 where p.access_key_id <> '' or p.association_id = ''",
                id,
                &roles,
                &keys
            )
            .fetch_all(&mut *self.tx)
            .await?;
            let known: HashMap<(i32, String), i32> =
                rows.into_iter().map(|row| ((row.role, row.access_key_id), row.id)).collect();
            let given = self
                .accounts
                .get_mut(&account)
                .ok_or_else(|| Error::corrupt("trail_account", id.clone(), "the account is not locked"))?;
            let mut numbers = Vec::with_capacity(principals.len());
            for ((principal, _), key) in principals.iter().zip(&keys) {
                let number = match known.get(&(principal.1, key.clone())) {
                    Some(number) => *number,
                    None => {
                        given.principals = given.principals.saturating_add(1);
                        given.changed = true;
                        given.principals
                    }
                };
                numbers.push(number);
                ids.insert(*principal, number);
            }
            let networks: Vec<i16> = principals.iter().map(|(_, sum)| i16::from(sum.networks)).collect();
            let sources: Vec<Option<String>> =
                principals.iter().map(|(_, sum)| sum.source.map(parse::storable)).collect();
            let sums = Columns::new(principals.iter().map(|(_, sum)| sum));
            sqlx::query!(
                "insert into trail_principal as p (account_id, id, role, access_key_id, first_at, last_at, calls, errors,
                                                   denied, networks, source)
                 select $1, w.id, w.role, w.access_key_id, w.first_at, w.last_at, w.calls, w.errors, w.denied,
                        w.networks, w.source
                 from unnest($2::int[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[],
                             $8::bigint[], $9::bigint[], $10::smallint[], $11::text[])
                      as w (id, role, access_key_id, first_at, last_at, calls, errors, denied, networks, source)
                 on conflict (account_id, id) do update set
                     first_at = least(p.first_at, excluded.first_at), last_at = greatest(p.last_at, excluded.last_at),
                     calls = p.calls + excluded.calls, errors = p.errors + excluded.errors,
                     denied = p.denied + excluded.denied, networks = p.networks | excluded.networks,
                     source = least(p.source, excluded.source)",
                id,
                &numbers,
                &roles,
                &keys,
                &sums.first,
                &sums.last,
                &sums.calls,
                &sums.errors,
                &sums.denied,
                &networks,
                &sources as &[Option<String>]
            )
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(ids)
    }

    async fn uses(&mut self, rows: &BTreeMap<(AccountId, i32, i32, i32, NaiveDate), Sum<'_>>) -> Result<(), Error> {
        let rows: Vec<_> = rows.iter().collect();
        for chunk in rows.chunks(CHUNK) {
            let accounts: Vec<String> = chunk.iter().map(|(key, _)| key.0.to_string()).collect();
            let principals: Vec<i32> = chunk.iter().map(|(key, _)| key.1).collect();
            let actions: Vec<i32> = chunk.iter().map(|(key, _)| key.2).collect();
            let shapes: Vec<i32> = chunk.iter().map(|(key, _)| key.3).collect();
            let days: Vec<NaiveDate> = chunk.iter().map(|(key, _)| key.4).collect();
            let sums = Columns::new(chunk.iter().map(|(_, sum)| *sum));
            sqlx::query!(
                "insert into trail_use as t (account_id, principal, action, shape, day, first_at, last_at, calls, errors,
                                             denied)
                 select * from unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::date[], $6::timestamptz[],
                                      $7::timestamptz[], $8::bigint[], $9::bigint[], $10::bigint[])
                 on conflict (account_id, principal, action, shape, day) do update set
                     first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
                     calls = t.calls + excluded.calls, errors = t.errors + excluded.errors,
                     denied = t.denied + excluded.denied",
                &accounts,
                &principals,
                &actions,
                &shapes,
                &days,
                &sums.first,
                &sums.last,
                &sums.calls,
                &sums.errors,
                &sums.denied
            )
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    async fn actions(&mut self, actions: &BTreeMap<(AccountId, i32, i32), Sum<'_>>) -> Result<(), Error> {
        let rows: Vec<_> = actions.iter().collect();
        for chunk in rows.chunks(CHUNK) {
            let accounts: Vec<String> = chunk.iter().map(|(key, _)| key.0.to_string()).collect();
            let roles: Vec<i32> = chunk.iter().map(|(key, _)| key.1).collect();
            let names: Vec<i32> = chunk.iter().map(|(key, _)| key.2).collect();
            let sums = Columns::new(chunk.iter().map(|(_, sum)| *sum));
            sqlx::query!(
                "insert into role_action as r (account_id, role, action, first_at, last_at, calls, errors, denied)
                 select * from unnest($1::text[], $2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[],
                                      $6::bigint[], $7::bigint[], $8::bigint[])
                 on conflict (account_id, role, action) do update set
                     first_at = least(r.first_at, excluded.first_at), last_at = greatest(r.last_at, excluded.last_at),
                     calls = r.calls + excluded.calls, errors = r.errors + excluded.errors,
                     denied = r.denied + excluded.denied",
                &accounts,
                &roles,
                &names,
                &sums.first,
                &sums.last,
                &sums.calls,
                &sums.errors,
                &sums.denied
            )
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Notes what was read: the marks of events and files, which must be new, and the counts of
    /// each day.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn note(
        &mut self,
        events: BTreeMap<TrailDay, Vec<u64>>,
        files: &[FileMark],
        days: &BTreeMap<TrailDay, DayCounts>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let closed = self.closed(events.keys()).await?;
        let open = events.into_iter().filter(|(day, _)| !closed.contains(day));
        let open: BTreeMap<_, _> = open.map(|(day, marks)| (MarkSet::of_day(&day), marks)).collect();
        self.remember(Kind::Event, open).await?;
        let mut marks: BTreeMap<MarkSet, Vec<u64>> = BTreeMap::new();
        for file in files {
            marks.entry(MarkSet::of_file(file, now)).or_default().push(file.mark);
        }
        for marks in marks.values_mut() {
            marks.sort_unstable();
            marks.dedup();
        }
        self.remember(Kind::File, marks).await?;
        let signed = |of: fn(&DayCounts) -> u64| -> Vec<i64> {
            days.values().map(|counts| i64::try_from(of(counts)).unwrap_or(i64::MAX)).collect()
        };
        let accounts: Vec<String> = days.keys().map(|day| day.account_id.to_string()).collect();
        let regions: Vec<String> = days.keys().map(|day| day.region.to_string()).collect();
        let dates: Vec<NaiveDate> = days.keys().map(|day| day.day).collect();
        sqlx::query!(
            "insert into trail_day as d (account_id, region, day, files, events, last_written_at)
             select w.account_id, w.region, w.day, w.files, w.events, $6
             from unnest($1::text[], $2::text[], $3::date[], $4::bigint[], $5::bigint[])
                  as w (account_id, region, day, files, events)
             on conflict (account_id, region, day) do update set
                 files = d.files + excluded.files, events = d.events + excluded.events,
                 last_written_at = excluded.last_written_at",
            &accounts,
            &regions,
            &dates,
            &signed(|counts| counts.files),
            &signed(|counts| counts.events),
            now
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Which of these days know only their files any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn closed(&mut self, places: impl Iterator<Item = &TrailDay>) -> Result<BTreeSet<TrailDay>, Error> {
        let (mut accounts, mut regions, mut days) = (Vec::new(), Vec::new(), Vec::new());
        for place in places {
            accounts.push(place.account_id.to_string());
            regions.push(place.region.to_string());
            days.push(place.day);
        }
        let rows = sqlx::query!(
            "select d.account_id, d.region, d.day
             from unnest($1::text[], $2::text[], $3::date[]) as w (account_id, region, day)
             join trail_day d on d.account_id = w.account_id and d.region = w.region and d.day = w.day
             where d.closed_at is not null",
            &accounts,
            &regions,
            &days
        )
        .fetch_all(&mut *self.tx)
        .await?;
        rows.into_iter()
            .map(|row| {
                let account_id = parse::account("trail_day", &row.account_id)?;
                let region = parse::text("trail_day", &row.account_id, &row.region)?;
                Ok(TrailDay { account_id, region, day: row.day })
            })
            .collect()
    }
}
