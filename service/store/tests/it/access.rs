//! Tokens, sign-in codes and web sessions.

use crate::fixture::*;
use rolecall_estate::Visibility;
use rolecall_store::{Error, NewToken, WebSession};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_token_is_found_used_and_taken_back() {
    let database = database().await;
    let store = &database.store;
    let limit = "namespace:111122223333/eu-west-1/prod/payments";
    let new = NewToken {
        public_id: "abcd1234".into(),
        name: "bot".into(),
        hash: vec![7; 32],
        scopes: vec!["findings:read".into()],
        visibility: Visibility::of([limit.parse().unwrap()].into()),
        created_at: at(0),
        expires_at: at(1000),
    };
    assert!(store.create_token(&new).await.unwrap());
    assert!(!store.create_token(&new).await.unwrap());
    assert_eq!(store.token("nothing").await.unwrap(), None);
    for (minute, used) in [(10, 10), (10, 10), (12, 12)] {
        store.touch_token("abcd1234", at(minute)).await.unwrap();
        assert_eq!(store.token("abcd1234").await.unwrap().unwrap().last_used_at, Some(at(used)));
    }
    assert!(store.revoke_token("abcd1234", at(20)).await.unwrap());
    assert!(!store.revoke_token("abcd1234", at(21)).await.unwrap());
    let kept = store.tokens().await.unwrap().remove(0);
    assert_eq!((kept.revoked_at, kept.hash, kept.scopes), (Some(at(20)), new.hash.clone(), new.scopes.clone()));
    assert_eq!(kept.visibility, new.visibility);

    // Limits that cannot be read are no token that sees everything.
    let mut connection = database.connect().await.unwrap();
    sqlx::query("update api_token set limits = '{pod:web}'").execute(&mut connection).await.unwrap();
    assert!(matches!(store.token("abcd1234").await, Err(Error::Corrupt { table: "api_token", .. })));
    for (limits, seen) in [("null", Visibility::Everything), ("'{}'", Visibility::Only(BTreeSet::new()))] {
        let set = format!("update api_token set limits = {limits}");
        sqlx::query(sqlx::AssertSqlSafe(set)).execute(&mut connection).await.unwrap();
        assert_eq!(store.token("abcd1234").await.unwrap().unwrap().visibility, seen);
    }
}

#[tokio::test]
async fn a_sign_in_code_works_once_and_in_time() {
    let database = database().await;
    let store = &database.store;
    store.create_login(b"code", at(0), at(10)).await.unwrap();
    store.create_login(b"late", at(0), at(10)).await.unwrap();
    assert!(!store.redeem_login(b"other", at(1)).await.unwrap());
    assert!(!store.redeem_login(b"late", at(10)).await.unwrap());
    let tries = [store.redeem_login(b"code", at(1)), store.redeem_login(b"code", at(1))];
    let won = futures::future::join_all(tries).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_web_session_lasts_until_its_end() {
    let database = database().await;
    let store = &database.store;
    let session = WebSession {
        id_hash: vec![1; 32],
        subject: "operator".into(),
        created_at: at(0),
        last_seen_at: at(0),
        expires_at: at(60),
    };
    store.create_web_session(&session).await.unwrap();
    assert_eq!(store.web_session(&session.id_hash, at(30)).await.unwrap(), Some(session.clone()));
    assert_eq!(store.web_session(&session.id_hash, at(31)).await.unwrap().unwrap().last_seen_at, at(30));
    assert_eq!(store.web_session(&session.id_hash, at(60)).await.unwrap(), None);
    store.delete_web_session(&session.id_hash).await.unwrap();
    assert_eq!(store.web_session(&session.id_hash, at(30)).await.unwrap(), None);
}

#[tokio::test]
async fn all_replicas_share_the_first_key() {
    let database = database().await;
    assert_eq!(database.store.shared_key("cursor", b"one").await.unwrap(), b"one");
    assert_eq!(database.store.shared_key("cursor", b"two").await.unwrap(), b"one");
}

#[tokio::test]
async fn a_visit_goes_on_while_there_are_requests() {
    let database = database().await;
    let store = &database.store;
    let visit = async |person: &str| store.visit(person).await.unwrap().map(|it| (it.began_at, it.previous_at));
    assert_eq!(visit("ana").await, None);
    let over = chrono::TimeDelta::minutes(30);
    for (minute, began, previous) in [
        (0, 0, None),
        (20, 0, None),
        // A replica whose request came first is noted last.
        (10, 0, None),
        (49, 0, None),
        (79, 79, Some(49)),
        (90, 79, Some(49)),
        (108, 79, Some(49)),
        (1_000, 1_000, Some(108)),
    ] {
        store.note_visit("ana", at(minute), over).await.unwrap();
        assert_eq!(visit("ana").await, Some((at(began), previous.map(at))), "{minute}");
    }
    assert_eq!(visit("ben").await, None);
}
