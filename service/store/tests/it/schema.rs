//! The schema's version, its discipline, and databases that cannot be used.

use crate::fixture::*;
use rolecall_store::{Error, Limits, Store};
use sqlx::Row;
use std::time::Duration;

#[tokio::test]
async fn a_database_is_there_and_migrated() {
    let database = database().await;
    database.store.check_schema().await.unwrap();
    database.store.ping().await.unwrap();
    assert_eq!(database.store.migrate().await.unwrap(), 0);
    assert!(Store::connect(&database.url, Limits::default()).await.unwrap().check_schema().await.is_ok());
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_a_missing_one_named() {
    let database = database().await;
    let mut connection = database.connect().await.unwrap();
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'later', true, '', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let known = match database.store.migrate().await.unwrap_err() {
        Error::SchemaNewer { found: 9999, known } => known,
        other => panic!("{other}"),
    };
    assert!(matches!(database.store.check_schema().await, Err(Error::SchemaNewer { .. })));
    sqlx::query("drop table _sqlx_migrations").execute(&mut connection).await.unwrap();
    match database.store.check_schema().await.unwrap_err() {
        Error::SchemaOlder { found: 0, known: again } => assert_eq!(again, known),
        other => panic!("{other}"),
    }
}

/// Migrations may come in another order than that of their numbers.
#[tokio::test]
async fn a_schema_that_lacks_a_migration_in_between_is_older() {
    let database = database().await;
    let mut connection = database.connect().await.unwrap();
    let versions: Vec<i64> = sqlx::query_scalar("select version from _sqlx_migrations order by version")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let [.., before, missing, _] = versions[..] else { panic!("{versions:?}") };
    sqlx::query("delete from _sqlx_migrations where version = $1")
        .bind(missing)
        .execute(&mut connection)
        .await
        .unwrap();
    match database.store.check_schema().await.unwrap_err() {
        Error::SchemaOlder { found, known } => assert_eq!((found, Some(&known)), (before, versions.last())),
        other => panic!("{other}"),
    }
}

/// What the same schema needs on several machines: every key carries the account, and nothing
/// that a distributed PostgreSQL lacks is used. The audit log, which is one chain and lies on one machine, has a trigger.
#[tokio::test]
async fn every_table_and_every_unique_key_carries_the_account() {
    let database = database().await;
    let mut connection = database.connect().await.unwrap();
    let offending = "
        select 'table ' || c.relname as what from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname not like '\\_sqlx%'
          and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id' and a.attnotnull)
        union all
        select 'key ' || i.indexrelid::regclass from pg_index i join pg_class c on c.oid = i.indrelid
        where c.relnamespace = 'public'::regnamespace and i.indisunique and c.relname not like '\\_sqlx%'
          and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id'
                          and a.attnum = any(i.indkey))
        union all
        select 'without key ' || c.relname from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
          and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
        union all select 'trigger ' || tgname from pg_trigger where not tgisinternal and tgname <> 'audit_log_append_only'
        union all select 'foreign or exclusion key ' || conname from pg_constraint where contype in ('f', 'x')
        union all select 'sequence ' || relname from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace";
    let rows = sqlx::query(offending).fetch_all(&mut connection).await.unwrap();
    let found: Vec<String> = rows.iter().map(|row| row.get("what")).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_one_clear_line() {
    let database = database().await;
    let limits = Limits { connections: 1, wait: Duration::from_secs(2) };
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = database.url.rsplit_once('?').map(|(_, query)| format!("postgresql:///nowhere?{query}"));
    let cases = [
        ("not a url".to_owned(), "the database URL is not valid"),
        ("postgresql://u:secret@127.0.0.1:x/db".to_owned(), "the database URL is not valid"),
        (format!("postgresql://u:secret@127.0.0.1:{free}/db"), "nothing answers at 127.0.0.1"),
        ("postgresql:///db?host=/nonexistent&user=u".to_owned(), "nothing answers at /nonexistent"),
        (
            format!("postgresql://u:secret@127.0.0.1:{}/db", silent.local_addr().unwrap().port()),
            "no answer from 127.0.0.1",
        ),
        ("postgresql://u:secret@host.invalid/db".to_owned(), "cannot reach host.invalid"),
    ];
    for (url, starts) in cases.into_iter().chain(nowhere.map(|url| (url, "has no such database"))) {
        let text = Store::connect(&url, limits).await.unwrap_err().to_string();
        assert!(text.contains(starts), "{url}: {text}");
        assert!(!text.contains("secret") && !text.contains('\n'), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_said_to() {
    let database = database().await;
    let store = &database.store;
    let mut snapshot = store.snapshot(begin(store, 0).await).await.unwrap();
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(kill).execute(&mut database.connect().await.unwrap()).await.unwrap();
    assert!(matches!(snapshot.save(&estate()).await, Err(Error::Lost { .. })));
}

/// A table that somebody adds is closed to those with limits until its policy is written.
#[tokio::test]
async fn whoever_has_limits_reads_tables_with_a_policy_and_no_others() {
    let database = database().await;
    let mut connection = database.connect().await.unwrap();
    let rows = sqlx::query(
        "select c.relname, c.relkind::text as kind, c.relrowsecurity as limited,
                has_table_privilege('rolecall_limited', c.oid, 'select') as reads,
                has_any_column_privilege('rolecall_limited', c.oid, 'select') as reads_some,
                has_table_privilege('rolecall_limited', c.oid, 'insert, update, delete, truncate') as writes,
                coalesce('security_invoker=true' = any(c.reloptions), false) as invoker
         from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
           and not c.relispartition",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let (mut without, mut closed) = (Vec::new(), Vec::new());
    for row in rows {
        let (name, kind): (String, String) = (row.get("relname"), row.get("kind"));
        // Whoever does something is written to the audit log.
        assert!(!row.get::<bool, _>("writes") || name.starts_with("audit_log"), "{name}");
        // A view that shows what its owner sees shows only what the settings name, or nobody with limits reads it.
        let is_limited = match kind.as_str() {
            "v" => row.get("invoker") || name.starts_with("limited_"),
            _ => row.get("limited"),
        };
        match row.get::<bool, _>("reads_some") {
            true if !is_limited => without.push(name),
            true => {}
            false => closed.push(name),
        }
    }
    without.sort_unstable();
    assert_eq!(
        without,
        ["audit_log_head", "counter", "run"],
        "tables of which they read some columns, and which name no part of an estate"
    );
    for secret in ["api_token", "web_session", "web_login", "shared_key", "job", "idempotency"] {
        assert!(closed.iter().any(|name| name == secret), "{secret}: {closed:?}");
    }
    let columns = sqlx::query("select has_column_privilege('rolecall_limited', 'run', 'report', 'select') as reads");
    assert!(!columns.fetch_one(&mut connection).await.unwrap().get::<bool, _>("reads"), "what a scan reports");
}
