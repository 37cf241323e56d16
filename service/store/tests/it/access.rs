//! Tokens, sign-in codes and web sessions.

use crate::fixture::*;
use chrono::TimeDelta;
use rolecall_estate::Visibility;
use rolecall_store::{Actor, AuditFilter, Error, NewLogin, NewToken, PersonAccess, TokenSuccessor, WebSession};
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
    let whom = PersonAccess {
        person: "ann".into(),
        role: "viewer".into(),
        visibility: Visibility::of(["namespace:web".parse().unwrap()].into()),
    };
    for code in ["code", "late"] {
        let login = NewLogin {
            code_hash: code.into(),
            person: whom.person.clone(),
            role: whom.role.clone(),
            visibility: whom.visibility.clone(),
            created_at: at(0),
            expires_at: at(10),
        };
        store.create_login(&login).await.unwrap();
    }
    assert_eq!(store.redeem_login(b"other", at(1)).await.unwrap(), None);
    assert_eq!(store.redeem_login(b"late", at(10)).await.unwrap(), None);
    let tries = [store.redeem_login(b"code", at(1)), store.redeem_login(b"code", at(1))];
    let won: Vec<_> = futures::future::join_all(tries).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won, [whom]);
}

#[tokio::test]
async fn a_web_session_lasts_until_its_end() {
    let database = database().await;
    let store = &database.store;
    let idle = TimeDelta::minutes(40);
    let session = session(1, "operator");
    store.create_web_session(&session, idle).await.unwrap();
    let seen = async |minute| store.web_session(&session.id_hash, at(minute), idle).await.unwrap();
    assert_eq!(seen(30).await, Some(session.clone()));
    assert_eq!(seen(31).await.unwrap().last_seen_at, at(30));
    assert_eq!(seen(60).await, None, "its end");
    assert!(store.delete_web_session(&session.id_hash).await.unwrap());
    assert!(!store.delete_web_session(&session.id_hash).await.unwrap());
    assert_eq!(seen(31).await, None);
}

fn session(number: u8, person: &str) -> WebSession {
    WebSession {
        id_hash: vec![number; 32],
        subject: person.into(),
        role: "triager".into(),
        visibility: Visibility::of(["account:111122223333".parse().unwrap()].into()),
        method: "link".into(),
        source_ip: Some("192.0.2.1".into()),
        user_agent: None,
        created_at: at(0),
        last_seen_at: at(0),
        expires_at: at(60),
    }
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends() {
    let database = database().await;
    let store = &database.store;
    let idle = TimeDelta::minutes(20);
    let session = session(1, "ann");
    store.create_web_session(&session, idle).await.unwrap();
    let is_there = async |minute| store.web_session(&session.id_hash, at(minute), idle).await.unwrap().is_some();
    assert!(is_there(19).await, "and its use is noted");
    assert!(is_there(38).await);
    assert!(!is_there(58).await);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_id_and_person() {
    let database = database().await;
    let store = &database.store;
    let idle = TimeDelta::hours(8);
    for (number, person) in [(1, "ann"), (2, "ann"), (3, "bob"), (4, "bob")] {
        store.create_web_session(&session(number, person), idle).await.unwrap();
    }
    let people = async |person: Option<&str>| {
        let found = store.web_sessions(person, at(1), idle).await.unwrap();
        found.into_iter().map(|it| it.id_hash[0]).collect::<Vec<_>>()
    };
    assert_eq!(people(None).await, [1, 2, 3, 4]);
    assert_eq!(people(Some("bob")).await, [3, 4]);
    let id = session(3, "bob").id();
    assert_eq!(id, "030303030303");
    assert_eq!(store.revoke_web_sessions(None, None).await.unwrap(), 0);
    assert_eq!(store.revoke_web_sessions(Some(&id), Some("ann")).await.unwrap(), 0, "it is another person's");
    assert_eq!(store.revoke_web_sessions(Some(&id), Some("bob")).await.unwrap(), 1);
    assert_eq!(store.revoke_web_sessions(None, Some("ann")).await.unwrap(), 2);
    assert_eq!(people(None).await, [4]);
}

#[tokio::test]
async fn a_token_is_replaced_while_both_are_valid() {
    let database = database().await;
    let store = &database.store;
    let new = NewToken {
        public_id: "first".into(),
        name: "bot".into(),
        hash: vec![1; 32],
        scopes: vec!["findings:read".into()],
        visibility: Visibility::of(["namespace:web".parse().unwrap()].into()),
        created_at: at(0),
        expires_at: at(1000),
    };
    assert!(store.create_token(&new).await.unwrap());
    let successor = |id: &str, hours: i64| TokenSuccessor {
        public_id: id.into(),
        hash: vec![2; 32],
        created_at: at(10),
        expires_at: at(5000),
        other_until: at(10 + hours * 60),
    };
    assert!(!store.rotate_token("nothing", &successor("second", 1)).await.unwrap());
    assert!(store.rotate_token("first", &successor("second", 1)).await.unwrap());
    assert!(!store.rotate_token("first", &successor("third", 1)).await.unwrap(), "it has a successor");
    let (first, second) = (store.token("first").await.unwrap().unwrap(), store.token("second").await.unwrap().unwrap());
    assert_eq!((first.expires_at, first.replaced_by.as_deref()), (at(70), Some("second")));
    assert_eq!(
        (second.name.as_str(), &second.scopes, &second.visibility, second.expires_at),
        ("bot", &new.scopes, &new.visibility, at(5000))
    );
    // A token that ends before the overlap is not made to live longer.
    assert!(store.rotate_token("second", &successor("third", 10_000)).await.unwrap());
    assert_eq!(store.token("second").await.unwrap().unwrap().expires_at, at(5000));
    let ended = TokenSuccessor { created_at: at(6000), ..successor("fourth", 1) };
    assert!(!store.rotate_token("third", &ended).await.unwrap(), "it has ended");
    assert!(store.token("fourth").await.unwrap().is_none());
}

#[tokio::test]
async fn a_service_account_outlives_its_tokens_and_ends_them() {
    let database = database().await;
    let store = &database.store.acting_as(Actor::operator("root"));
    assert!(store.create_service_account("bot", "team-a", "files tickets", at(0)).await.unwrap());
    assert!(!store.create_service_account("bot", "team-b", "", at(0)).await.unwrap());
    let token = |id: &str, name: &str| NewToken {
        public_id: id.into(),
        name: name.into(),
        hash: vec![1; 32],
        scopes: vec!["findings:read".into()],
        visibility: Visibility::Everything,
        created_at: at(0),
        expires_at: at(1000),
    };
    for (id, name) in [("one", "bot"), ("two", "bot"), ("other", "ci")] {
        assert!(store.create_token(&token(id, name)).await.unwrap());
    }
    let accounts = async || {
        let found = store.service_accounts(at(1)).await.unwrap();
        found.into_iter().map(|it| (it.name, it.owner, it.valid_tokens)).collect::<Vec<_>>()
    };
    let (bot, ci) = (("bot".into(), "team-a".into(), 2), ("ci".into(), "root".into(), 1));
    assert_eq!(accounts().await, [bot, ci]);
    assert_eq!(store.token("one").await.unwrap().unwrap().owner, "team-a");
    assert_eq!(store.disable_service_account("bot", at(2)).await.unwrap(), Some(2));
    assert_eq!(store.disable_service_account("bot", at(2)).await.unwrap(), None);
    assert_eq!(store.token("one").await.unwrap().unwrap().revoked_at, Some(at(2)));
    assert_eq!(store.token("other").await.unwrap().unwrap().revoked_at, None);
    assert!(!store.create_token(&token("late", "bot")).await.unwrap(), "it is disabled");

    let log = store.audit_log(&AuditFilter::default(), None, 20).await.unwrap();
    let done: Vec<_> = log.iter().rev().map(|it| format!("{} {}", it.action, it.object.as_deref().unwrap())).collect();
    let wanted = [
        "service_account.create bot",
        "token.create one",
        "token.create two",
        "service_account.create ci",
        "token.create other",
        "service_account.disable bot",
    ];
    assert_eq!(done, wanted);
    assert!(log.iter().all(|it| it.actor == "root"));
    let text = format!("{log:?}");
    assert!(!text.contains("0101010101"), "no hash of a secret is told");
}

#[tokio::test]
async fn a_role_that_an_operator_gave_ends_with_its_sessions() {
    let database = database().await;
    let store = &database.store;
    let access = |role: &str| PersonAccess {
        person: "ann".into(),
        role: role.into(),
        visibility: Visibility::of(["namespace:web".parse().unwrap()].into()),
    };
    store.grant_role(&access("viewer"), at(0), at(60)).await.unwrap();
    store.grant_role(&access("admin"), at(1), at(90)).await.unwrap();
    let given = store.role_grants(Some("ann"), at(2)).await.unwrap();
    assert_eq!(given.len(), 1);
    assert_eq!((&given[0].access, given[0].expires_at), (&access("admin"), at(90)));
    assert!(store.role_grants(Some("bob"), at(2)).await.unwrap().is_empty());
    assert!(store.role_grants(None, at(90)).await.unwrap().is_empty(), "it has ended");
    store.create_web_session(&session(1, "ann"), TimeDelta::hours(8)).await.unwrap();
    assert!(store.revoke_role("ann").await.unwrap());
    assert!(!store.revoke_role("ann").await.unwrap());
    assert!(store.web_sessions(Some("ann"), at(2), TimeDelta::hours(8)).await.unwrap().is_empty());
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
