//! Monthly partitions, made as they are written to and dropped when they are old.
//!
//! SQL is put together in this module alone: a table's name cannot be a parameter. It is made of a
//! word of this program, a year and a month, never of input.

use crate::pool::Pool;
use crate::{Error, error};
use chrono::{Datelike, Months, NaiveDate};
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use std::collections::BTreeSet;

/// The month in which a day lies.
pub(crate) fn first_of_month(day: NaiveDate) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(day.year(), day.month(), 1)
}

fn name_of(table: &str, month: NaiveDate) -> String {
    format!("{table}_{:04}_{:02}", month.year(), month.month())
}

/// Makes a month's partition if it is not there. `made` knows those that are.
pub(crate) async fn ensure(
    tx: &mut Transaction<'static, Postgres>,
    pool: &Pool,
    made: &mut BTreeSet<String>,
    table: &'static str,
    month: NaiveDate,
) -> Result<(), Error> {
    let name = name_of(table, month);
    if made.insert(name.clone()) {
        make(pool, table, &name, month).await?;
        // A transaction that holds its lock on the parent already reads no invalidations when it
        // takes that lock again, and would not know a partition attached meanwhile. Taking a new
        // lock reads them.
        let notice = format!("lock table {name} in row exclusive mode");
        sqlx::query(AssertSqlSafe(notice)).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Makes a month's partition, on a connection of its own: a table that is attached takes a lock
/// which neither readers nor long transactions mind.
async fn make(pool: &Pool, table: &'static str, name: &str, month: NaiveDate) -> Result<(), Error> {
    let there = sqlx::query_scalar!(
        r#"select exists (select from pg_inherits i join pg_class c on c.oid = i.inhrelid
                          join pg_class p on p.oid = i.inhparent
                          where p.relname = $1 and p.relnamespace = current_schema()::regnamespace
                            and c.relname = $2) as "there!""#,
        table,
        name
    )
    .fetch_one(pool)
    .await?;
    let (false, Some(next)) = (there, month.checked_add_months(Months::new(1))) else {
        return Ok(());
    };
    let create = format!("create table {name} (like {table} including defaults)");
    let attach = format!("alter table {table} attach partition {name} for values from ('{month}') to ('{next}')");
    let mut tx = pool.begin().await?;
    let created = sqlx::query(AssertSqlSafe(create)).execute(&mut *tx).await;
    match created {
        // Another process was quicker.
        Err(why) if error::has_code(&why, error::DUPLICATE_TABLE) || error::has_code(&why, error::UNIQUE_VIOLATION) => {
            tx.rollback().await?;
            return Ok(());
        }
        other => other?,
    };
    sqlx::query(AssertSqlSafe(attach)).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Drops the months that lie wholly before a day, and names them. Readers are not held up.
pub(crate) async fn drop_before(pool: &Pool, table: &'static str, before: NaiveDate) -> Result<Vec<String>, Error> {
    let Some(keep) = first_of_month(before).map(|month| name_of(table, month)) else { return Ok(Vec::new()) };
    let names = sqlx::query_scalar!(
        r#"select c.relname::text as "name!" from pg_inherits i join pg_class c on c.oid = i.inhrelid
           join pg_class p on p.oid = i.inhparent
           where p.relname = $1 and p.relnamespace = current_schema()::regnamespace order by 1"#,
        table
    )
    .fetch_all(pool)
    .await?;
    let mut dropped = Vec::new();
    // Names sort as their months do.
    for name in names.into_iter().filter(|name| *name < keep) {
        let detach = format!("alter table {table} detach partition {name} concurrently");
        sqlx::query(AssertSqlSafe(detach)).execute(pool).await?;
        sqlx::query(AssertSqlSafe(format!("drop table {name}"))).execute(pool).await?;
        dropped.push(name);
    }
    Ok(dropped)
}
