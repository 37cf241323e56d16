//! Tickets of findings: of several who want to file one, one does.

use crate::findings::failure;
use crate::fixture::*;
use rolecall_audit::finding::FindingAction;
use rolecall_audit::finding::ticket::{Reservation, Ticket, TicketSystem};
use rolecall_audit::verdict::Fingerprint;
use rolecall_iam::Digest;
use rolecall_rules::Severity;
use rolecall_store::{
    DoneJudgement, FindingFilter, FindingSort, NotTicketed, Reserved, Store, TicketFilter, TicketRow,
};
use sqlx::Connection as _;

fn asked(holder: &str) -> Reservation {
    Reservation::new("jira", holder, Some(600)).unwrap()
}

fn token(of: &str) -> Digest {
    Digest::sha256(of.as_bytes())
}

fn jira() -> TicketSystem {
    TicketSystem::new("jira").unwrap()
}

fn ticket(key: &str) -> Ticket {
    Ticket::new(key, &format!("https://tracker.example/{key}")).unwrap()
}

async fn reserve(store: &Store, holder: &str, fresh: &str) -> Result<Reserved, NotTicketed> {
    store.reserve_ticket("v1:a", &asked(holder), &token(holder), fresh, "token bot").await.unwrap()
}

async fn tickets(store: &Store) -> Vec<TicketRow> {
    store.finding_by_fingerprint(&Fingerprint("v1:a".to_owned())).await.unwrap().unwrap().row.tickets
}

async fn numbers(store: &Store, ticket: TicketFilter, place: bool) -> Vec<i64> {
    let cluster = place.then(|| CLUSTER.to_owned());
    let filter = FindingFilter { ticket: Some(ticket), cluster, ..FindingFilter::default() };
    let rows = store.findings(&filter, FindingSort::Number, None, 10).await.unwrap();
    let count = store.count_findings(&filter).await.unwrap();
    assert_eq!(count, rolecall_store::Total::Exact(rows.len() as u64));
    rows.into_iter().map(|row| row.number).collect()
}

async fn kinds(store: &Store) -> Vec<String> {
    let row = store.finding_by_fingerprint(&Fingerprint("v1:a".to_owned())).await.unwrap().unwrap().row;
    store.finding_events(&row).await.unwrap().into_iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn one_of_several_files_and_the_next_knows_of_the_one_before() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let open = ["a", "b"].map(|name| FindingAction::Open(failure(name, Severity::High, "m")));
    store.apply(run, &open, &[], &DoneJudgement::default(), at(1)).await.unwrap();
    let absent = store.reserve_ticket("v1:none", &asked("x"), &token("x"), "k", "bot").await.unwrap();
    assert_eq!(absent, Err(NotTicketed::Absent));

    let first = reserve(store, "one", "key-1").await.unwrap();
    assert_eq!((first.ticket.idempotency_key.as_str(), first.before), ("key-1", None));
    let Err(NotTicketed::Held(held)) = reserve(store, "two", "key-2").await else { panic!("both hold it") };
    assert_eq!(held.holder.as_deref(), Some("one"));
    // Whoever was started anew gets its own again, and is told to search; under another credential it does not.
    let again = reserve(store, "one", "key-3").await.unwrap();
    assert_eq!((again.ticket.idempotency_key.as_str(), again.before.is_some()), ("key-1", true));
    let stranger = store.reserve_ticket("1", &asked("one"), &token("z"), "k", "token other").await.unwrap();
    assert!(matches!(stranger, Err(NotTicketed::Held(_))));
    assert_eq!(numbers(store, TicketFilter::Any, false).await, Vec::<i64>::new());

    // Its lease ends, and the next one is told whose key to search for.
    let mut connection = database.connect().await.unwrap();
    sqlx::raw_sql("update finding_ticket set lease_until = now() - interval '1 s'")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let second = reserve(store, "two", "key-4").await.unwrap();
    assert_eq!(second.ticket.idempotency_key, "key-1");
    assert_eq!(second.before.unwrap().0.as_deref(), Some("one"));
    let link = async |key: &str, by: Option<&str>| {
        let digest = by.map(token);
        store.link_ticket("1", &jira(), &ticket(key), digest.as_ref(), "fresh", "token bot").await.unwrap()
    };
    for by in [Some("one"), None] {
        assert!(matches!(link("SEC-1", by).await, Err(NotTicketed::Held(_))), "{by:?}");
    }
    assert_eq!(link("SEC-1", Some("two")).await, Ok(1));
    // Whoever does not know whether it came through sends it again.
    let before = kinds(store).await.len();
    assert_eq!(link("SEC-1", Some("two")).await, Ok(1));
    assert_eq!(kinds(store).await.len(), before);
    let Err(NotTicketed::Filed(filed)) = link("SEC-2", Some("two")).await else { panic!("two tickets") };
    assert_eq!(filed.key.as_deref(), Some("SEC-1"));
    assert!(matches!(reserve(store, "one", "k").await, Err(NotTicketed::Filed(_))));
    assert_eq!(tickets(store).await[0].url.as_deref(), Some("https://tracker.example/SEC-1"));
    for place in [false, true] {
        assert_eq!(numbers(store, TicketFilter::Any, place).await, [1]);
        assert_eq!(numbers(store, TicketFilter::In("jira".to_owned()), place).await, [1]);
        assert_eq!(numbers(store, TicketFilter::In("other".to_owned()), place).await, Vec::<i64>::new());
        assert_eq!(numbers(store, TicketFilter::None, place).await, [2]);
    }

    let remove = async |by: Option<&str>| {
        let digest = by.map(token);
        store.remove_ticket("1", &jira(), digest.as_ref(), "ann").await.unwrap()
    };
    assert_eq!(remove(None).await, Ok(1));
    assert_eq!(remove(None).await, Err(NotTicketed::NoTicket));
    assert_eq!(link("SEC-9", Some("two")).await, Err(NotTicketed::NoTicket));
    // After a ticket was taken away, the next one is marked otherwise.
    assert_eq!(reserve(store, "two", "key-5").await.unwrap().ticket.idempotency_key, "key-5");
    assert!(matches!(remove(None).await, Err(NotTicketed::Held(_))));
    assert_eq!(remove(Some("two")).await, Ok(1));
    let after = reserve(store, "one", "key-6").await.unwrap();
    assert_eq!((after.ticket.idempotency_key.as_str(), after.before.is_some()), ("key-5", true));
    assert_eq!(
        kinds(store).await,
        [
            "opened",
            "ticket_reserved",
            "ticket_reserved",
            "ticket_reserved",
            "ticket_linked",
            "ticket_removed",
            "ticket_reserved",
            "ticket_released",
            "ticket_reserved"
        ]
    );
}

/// By hand: a ticket is linked where nobody has reserved it.
#[tokio::test]
async fn a_ticket_is_linked_by_hand() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let open = [FindingAction::Open(failure("a", Severity::High, "m"))];
    store.apply(run, &open, &[], &DoneJudgement::default(), at(1)).await.unwrap();
    let linked = store.link_ticket("1", &jira(), &ticket("SEC-1"), None, "fresh", "ann").await.unwrap();
    assert_eq!(linked, Ok(1));
    let found = tickets(store).await;
    assert_eq!((found[0].linked_by.as_deref(), found[0].holder.as_deref()), (Some("ann"), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_gets_it() {
    let database = database().await;
    let store = &database.store;
    let run = begin(store, 0).await;
    let open = [FindingAction::Open(failure("a", Severity::High, "m"))];
    store.apply(run, &open, &[], &DoneJudgement::default(), at(1)).await.unwrap();
    let tries = (0..16).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { reserve(&store, &format!("bot-{n}"), "key").await })
    });
    let mut got = 0;
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            Ok(_) => got += 1,
            Err(why) => assert!(matches!(why, NotTicketed::Held(_)), "{why:?}"),
        }
    }
    assert_eq!(got, 1);
}
