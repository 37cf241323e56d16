//! The audit log: one chain, whoever writes at the same time, and what was done to it afterwards is found.

use crate::fixture::*;
use rolecall_iam::Digest;
use rolecall_store::testing::Database;
use rolecall_store::{
    Actor, ActorKind, AuditAction, AuditFilter, AuditOutcome, AuditVerified, NewAuditEntry, NewJob, Store,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};
use std::time::Duration;

fn ann() -> Actor {
    Actor {
        kind: ActorKind::Person,
        name: "ann".into(),
        source_ip: Some("192.0.2.7".parse().unwrap()),
        request_id: Some("0199-abcd".into()),
    }
}

fn act(object: &str) -> NewAuditEntry {
    NewAuditEntry::done(AuditAction::FindingComment, object, json!({ "z": 1, "a": ["é\u{7f}", 1.5, null] }))
}

async fn write(store: &Store, from: i64, to: i64) {
    for number in from..=to {
        store.write_audit_log(act(&number.to_string())).await.unwrap();
    }
}

async fn whole(store: &Store) -> (i64, Digest) {
    match store.verify_audit_log(None).await.unwrap() {
        AuditVerified::Complete(head) => (head.seq, head.hash),
        broken => panic!("{broken:?}"),
    }
}

#[tokio::test]
async fn what_is_done_is_written_with_who_did_it() {
    let database = database().await;
    assert_eq!(whole(&database.store).await.0, 0);
    let store = database.store.acting_as(ann());
    write(&store, 1, 3).await;
    let refused = NewAuditEntry {
        outcome: AuditOutcome::Failure,
        object: None,
        ..NewAuditEntry::done(AuditAction::SessionCreate, "", json!({ "why": "expired" }))
    };
    database.store.acting_as(Actor::operator("root")).write_audit_log(refused).await.unwrap();

    let entries = store.audit_log(&AuditFilter::default(), None, 10).await.unwrap();
    let shown: Vec<_> = entries.iter().map(|it| (it.seq, it.actor.as_str(), it.object.as_deref())).collect();
    assert_eq!(shown, [(4, "root", None), (3, "ann", Some("3")), (2, "ann", Some("2")), (1, "ann", Some("1"))]);
    assert_eq!(entries[1].previous_hash, entries[2].hash);
    assert_eq!(entries[1].detail, json!({ "a": ["é\u{7f}", 1.5, null], "z": 1 }));
    assert_eq!(
        (entries[1].source_ip.as_deref(), entries[1].request_id.as_deref()),
        (Some("192.0.2.7"), Some("0199-abcd"))
    );
    assert_eq!(whole(&store).await, (4, entries[0].hash));
    assert_eq!(store.audit_head().await.unwrap().hash, entries[0].hash);

    let numbers = async |filter: AuditFilter, before| {
        let found = store.audit_log(&filter, before, 10).await.unwrap();
        found.into_iter().map(|it| it.seq).collect::<Vec<_>>()
    };
    let all = AuditFilter::default;
    for (filter, before, found) in [
        (AuditFilter { actor: Some("root".into()), ..all() }, None, vec![4]),
        (AuditFilter { actions: vec![AuditAction::FindingComment], ..all() }, Some(3), vec![2, 1]),
        (AuditFilter { object: Some("2".into()), ..all() }, None, vec![2]),
        (AuditFilter { outcome: Some(AuditOutcome::Failure), ..all() }, None, vec![4]),
        (AuditFilter { until: Some(entries[3].at), ..all() }, None, vec![]),
        (AuditFilter { since: Some(entries[0].at), ..all() }, None, vec![4]),
    ] {
        assert_eq!(numbers(filter.clone(), before).await, found, "{filter:?}");
    }
}

/// The format is written down in the documentation, so that others can verify an export.
#[tokio::test]
async fn a_hash_is_over_the_one_before_and_the_columns_as_a_json_array() {
    let database = database().await;
    let store = database.store.acting_as(ann());
    write(&store, 1, 1).await;
    let entry = store.audit_log(&AuditFilter::default(), None, 1).await.unwrap().remove(0);
    let at = entry.at.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    let columns = format!(
        r#"[1,"{at}","person","ann","finding.comment","success","1","{{\"a\":[\"é{}\",1.5,null],\"z\":1}}","192.0.2.7","0199-abcd"]"#,
        '\u{7f}'
    );
    let bytes = [vec![0; 32], columns.into_bytes()].concat();
    assert_eq!(entry.hash, Digest::sha256(&bytes));
}

#[tokio::test]
async fn writers_at_the_same_time_make_one_chain() {
    let database = database().await;
    let writers = (0..6).map(|writer| {
        let store = database.store.acting_as(Actor::operator(format!("writer {writer}")));
        tokio::spawn(async move { write(&store, 1, 15).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(whole(&database.store).await.0, 90);
}

#[tokio::test]
async fn an_entry_is_written_with_what_it_records_or_not_at_all() {
    let database = database().await;
    let store = database.store.acting_as(ann());
    let job = NewJob {
        kind: "audit".into(),
        dedupe_key: "one".into(),
        payload: json!({}),
        priority: 0,
        delay: Duration::ZERO,
        max_attempts: 1,
    };
    let first = store.start_scan(&job).await.unwrap().unwrap();
    assert_eq!(store.start_scan(&job).await.unwrap(), None, "one waits");
    let entries = store.audit_log(&AuditFilter::default(), None, 10).await.unwrap();
    assert_eq!(entries.len(), 1, "what was not done is not written");
    assert_eq!((entries[0].action, entries[0].object.clone()), (AuditAction::ScanStart, Some(first.to_string())));

    // Where the log cannot be written, nothing is done either.
    let mut superuser = database.connect().await.unwrap();
    superuser.execute("delete from job; drop table audit_log").await.unwrap();
    assert!(store.start_scan(&job).await.is_err());
    let jobs: i64 = sqlx::query_scalar("select count(*) from job").fetch_one(&mut superuser).await.unwrap();
    assert_eq!(jobs, 0);
}

#[tokio::test]
async fn the_log_refuses_to_be_changed() {
    let database = database().await;
    write(&database.store, 1, 2).await;
    let mut superuser = database.connect().await.unwrap();
    for statement in ["update audit_log set actor = 'x'", "delete from audit_log", "truncate audit_log"] {
        let error = superuser.execute(statement).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    assert_eq!(whole(&database.store).await.0, 2);
}

/// Whoever owns the tables can do all of this; none of it goes unnoticed.
#[tokio::test]
async fn what_was_done_to_the_log_is_found() {
    const COLUMNS: &str = "account_id, at, actor_kind, actor, action, outcome, object, detail, source_ip, request_id, \
                           previous_hash, hash";
    let tampered = async |statements: &str, known: Option<Digest>| -> Result<i64, (i64, String)> {
        let database: Database = database().await;
        let store = database.store.acting_as(ann());
        write(&store, 1, 8).await;
        let mut superuser = database.connect().await.unwrap();
        superuser.execute("alter table audit_log disable trigger all").await.unwrap();
        superuser.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
        match store.verify_audit_log(known.as_ref()).await.unwrap() {
            AuditVerified::Complete(head) => Ok(head.seq),
            AuditVerified::Broken { seq, why } => Err((seq, why)),
        }
    };
    assert_eq!(tampered("", None).await, Ok(8));
    let changed = "it is not what was written";
    for column in ["actor", "object", "source_ip", "request_id", "actor_kind", "action"] {
        let statement = format!("update audit_log set {column} = {column} || ' ' where seq = 3");
        assert_eq!(tampered(&statement, None).await, Err((3, changed.into())), "{column}");
    }
    let swap = "update audit_log set seq = 100 where seq = 4; update audit_log set seq = 4 where seq = 5;
                update audit_log set seq = 5 where seq = 100";
    let insert = format!(
        "update audit_log set seq = seq + 100 where seq > 4; update audit_log set seq = seq - 99 where seq > 100;
         insert into audit_log (seq, {COLUMNS}) select 5, {COLUMNS} from audit_log where seq = 4"
    );
    let head_follows =
        "update audit_log_head set (seq, hash) = (select seq, hash from audit_log order by seq desc limit 1)";
    let cut = format!("delete from audit_log where seq > 6; {head_follows}");
    for (statements, seq, why) in [
        ("update audit_log set at = at + interval '1 microsecond' where seq = 8", 8, changed),
        ("update audit_log set outcome = 'failure' where seq = 1", 1, changed),
        ("update audit_log set detail = '{}' where seq = 2", 2, changed),
        ("update audit_log set hash = sha256(hash) where seq = 5", 5, changed),
        (
            "update audit_log set previous_hash = sha256(hash) where seq = 5",
            5,
            "it does not follow the entry before it",
        ),
        ("delete from audit_log where seq = 4", 4, "entry 4 is missing"),
        ("delete from audit_log where seq = 1", 1, "entry 1 is missing"),
        ("delete from audit_log where seq = 8", 8, "entries at the end are missing"),
        ("delete from audit_log", 1, "entries at the end are missing"),
        (swap, 4, "it does not follow the entry before it"),
        (&insert, 5, "it does not follow the entry before it"),
        ("delete from audit_log_head", 9, "the head of the log is gone"),
        ("update audit_log_head set seq = 7", 9, "the head of the log is another than its last entry"),
        (
            "update audit_log set account_id = '111122223333' where seq = 8",
            8,
            "it belongs to another account than the log",
        ),
    ] {
        assert_eq!(tampered(statements, None).await, Err((seq, why.into())), "{statements}");
    }
    // Cut off with its head, the log is whole again: only who kept a hash elsewhere can tell.
    let database = database().await;
    let store = database.store.acting_as(ann());
    write(&store, 1, 8).await;
    let kept = store.audit_head().await.unwrap().hash;
    write(&store, 9, 9).await;
    assert!(
        matches!(store.verify_audit_log(Some(&kept)).await.unwrap(), AuditVerified::Complete(head) if head.seq == 9)
    );
    let mut superuser = database.connect().await.unwrap();
    superuser.execute("alter table audit_log disable trigger all").await.unwrap();
    superuser.execute(AssertSqlSafe(cut)).await.unwrap();
    assert_eq!(whole(&store).await.0, 6);
    let why = "no entry has the hash that was kept: entries at the end are missing".to_owned();
    assert_eq!(store.verify_audit_log(Some(&kept)).await.unwrap(), AuditVerified::Broken { seq: 7, why });
}
