//! What limits take out of sentences, and whose hands make the role that reads by them.

use crate::fixture::*;
use rolecall_estate::{Limit, Visibility};
use rolecall_store::{ChangeFilter, Error, Limits, Store};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeSet;

const OWN: &str = "arn:aws:iam::111122223333:role/web";
const HIDDEN: &str = "arn:aws:iam::111122223333:role/ledger";
const OUTSIDE: &str = "arn:aws:iam::999999999999:role/partner";
const HIDDEN_WORKLOAD: &str = "111122223333/eu-west-1/prod/bank/ledger";

fn only(limit: &str) -> Visibility {
    Visibility::Only(BTreeSet::from([limit.parse::<Limit>().unwrap()]))
}

/// Two workloads in two namespaces, and a change of the role of one of them that reaches both.
async fn changed() -> rolecall_store::testing::Database {
    let database = database().await;
    let mut seen = rolecall_estate::Observation::default();
    for (namespace, name) in [("shop", "web"), ("bank", "ledger")] {
        let role = role(&mut seen, name);
        seen.roles.push(role);
        seen.associations.push(association(namespace, name, name));
    }
    look(&database.store, 0, &seen).await;
    let access = |who: &str| serde_json::json!({"words": format!("{who}: s3:* on *"), "action": "s3:*", "resource": "*", "principal": who});
    let path = |role: &str, target: &str| {
        serde_json::json!({"role": role, "path": "lambda-create-invoke", "target": target, "through": [target],
                           "to_administrator": true})
    };
    let workload = |namespace: &str, name: &str, arn: &str| {
        serde_json::json!({
            "workload": {"account_id": ACCOUNT, "region": REGION, "cluster": CLUSTER, "namespace": namespace,
                         "service_account": name},
            "effect": "widened", "gained": access(arn), "lost": null,
            "escalations": {"opens": [path(arn, HIDDEN)], "closes": [], "unknown": null}})
    };
    let body = serde_json::json!({
        "id": "chg_1", "resource": {"kind": "AWS::IAM::Role", "name": OWN}, "account_id": ACCOUNT, "region": null,
        "change": "inline_policy_changed", "part": "read", "before": null, "after": null, "effect": "widened",
        "gained": access(HIDDEN), "lost": null,
        "because": format!("{OWN} may assume {HIDDEN}, and {OUTSIDE} too; it reaches {HIDDEN_WORKLOAD}."),
        "affected": [workload("bank", "ledger", HIDDEN), workload("shop", "web", OWN)],
        "caused_by": null, "takes_hold": "at_once", "administrator": null,
        "escalations": {"opens": [path(OWN, HIDDEN), path(HIDDEN, OWN)], "closes": [path(HIDDEN, OWN)], "unknown": null},
        "trusted": null, "aliases": []});
    let affected = [HIDDEN_WORKLOAD, "111122223333/eu-west-1/prod/shop/web"].map(str::to_owned);
    let mut owner = database.connect().await.unwrap();
    sqlx::query(
        "insert into change (account_id, id, run_id, resource_type, resource, change, effect, affected, detected_at,
                             until, body, attribution, attribution_because, effective_at, events)
         values ($1, 'chg_1', 1, 'AWS::IAM::Role', $2, 'inline_policy_changed', 'widened', $3, now(), now(), $4, 'none',
                 $5, now(), '[]')",
    )
    .bind(ACCOUNT)
    .bind(OWN)
    .bind(&affected[..])
    .bind(&body)
    .bind(format!("no call on {HIDDEN} was seen"))
    .execute(&mut owner)
    .await
    .unwrap();
    database
}

#[tokio::test]
async fn what_a_change_says_names_nothing_that_is_not_seen() {
    let database = changed().await;
    let whole = database.store.change("chg_1").await.unwrap().unwrap();
    assert!(whole.change.because.contains(HIDDEN) && whole.change.affected.len() == 2);

    let shown = database.store.limited_to(&only("namespace:shop")).change("chg_1").await.unwrap().unwrap();
    let text = format!("{shown:?}");
    assert!(!text.contains("ledger") && !text.contains("bank"), "{text}");
    let change = shown.change;
    assert_eq!(
        change.because,
        format!("{OWN} may assume (not shown), and {OUTSIDE} too; it reaches (not shown)."),
        "what is not of the estate is not taken away"
    );
    assert_eq!(change.gained.unwrap().principal.unwrap(), OWN, "of a workload that is seen");
    let opens: Vec<_> = change.escalations.opens.iter().map(|it| (&*it.role, it.target.as_deref().unwrap())).collect();
    assert_eq!((opens, change.escalations.closes.len()), (vec![(OWN, "(not shown)")], 0));
    assert_eq!(shown.attributed.because, "no call on (not shown) was seen");
    assert_eq!((change.effect, shown.detected_at), (whole.change.effect, whole.detected_at));

    // A filter tells no more than the change that it finds.
    let closes = ChangeFilter { closes: vec!["lambda-create-invoke".into()], ..ChangeFilter::default() };
    assert_eq!(database.store.changes(&closes, None, 10).await.unwrap().len(), 1);
    let limited = database.store.limited_to(&only("namespace:shop"));
    assert_eq!(limited.changes(&closes, None, 10).await.unwrap(), []);

    // Whoever sees the account sees all of it.
    let all = database.store.limited_to(&only("account:111122223333")).change("chg_1").await.unwrap().unwrap();
    assert_eq!(all.change, whole.change);
}

#[tokio::test]
async fn reasons_and_findings_name_nothing_that_is_not_seen() {
    let database = changed().await;
    let mut owner = database.connect().await.unwrap();
    let reasons = serde_json::json!([
        {"kind": "gap", "text": format!("the roles of account {OTHER} were not listed"),
         "scope": {"account_id": OTHER, "kind": "roles", "region": null, "cluster": null}},
        {"kind": "gap", "text": format!("the associations of cluster prod of {ACCOUNT} were not listed"),
         "scope": {"account_id": ACCOUNT, "kind": "associations", "region": REGION, "cluster": CLUSTER}},
        {"kind": "other", "text": format!("{HIDDEN} is not understood")}]);
    sqlx::query(
        "insert into finding (account_id, fingerprint, number, rule, severity, severity_rank, subject_kind, subject_key,
                              region, cluster, namespace, service_account, role_arn, detection, workflow, message,
                              evidence, evidence_digest, params, stale_why, severity_because, first_seen_at, opened_at,
                              last_seen_at, updated_at, first_run, last_run, version, change_seq)
         values ($1, 'v1:a', 7, 'r', 'high', 3, 'association', $1 || '/eu-west-1/prod/shop/web', 'eu-west-1', 'prod',
                 'shop', 'web', $2, 'stale', 'open', $3, '[]', sha256(''), '{}', $4, $5, now(), now(), now(), now(), 1,
                 1, 1, 1)",
    )
    .bind(ACCOUNT)
    .bind(OWN)
    .bind(format!("{OWN} becomes {HIDDEN}"))
    .bind(&reasons)
    .bind(format!("it ends at {HIDDEN}."))
    .execute(&mut owner)
    .await
    .unwrap();
    sqlx::query(
        "insert into resource (account_id, kind, key, seen_from, digest, body) values ($1, 'account', $1, 1, sha256(''), '{}')",
    )
    .bind(OTHER)
    .execute(&mut owner)
    .await
    .unwrap();
    let limited = database.store.limited_to(&only("namespace:shop"));
    let row = limited.finding(7).await.unwrap().unwrap().row;
    assert_eq!(row.message, format!("{OWN} becomes (not shown)"));
    assert_eq!(row.severity_because.as_deref(), Some("it ends at (not shown)."));
    let said: Vec<_> = row.stale_why.iter().map(|why| (why.kind(), why.text())).collect();
    assert_eq!(
        said,
        [
            ("other", "the roles of account (not shown) were not listed"),
            ("gap", "the associations of cluster prod of 111122223333 were not listed"),
            ("other", "(not shown) is not understood"),
        ]
    );
    assert_eq!(limited.shown_reasons(row.stale_why.clone()).await.unwrap(), row.stale_why);
    let arns = [OWN, HIDDEN, OUTSIDE].map(str::to_owned);
    assert_eq!(limited.shown_roles(&arns).await.unwrap(), [OWN.to_owned()].into());
    assert_eq!(limited.shown_association_ids().await.unwrap(), ["a-shopweb".to_owned()].into());
    assert_eq!(limited.shown_accounts().await.unwrap(), [].into());
    let (account_id, all) = (account(), database.store.limited_to(&only("account:111122223333")));
    assert_eq!(all.shown_accounts().await.unwrap(), [account_id].into());
}

/// A database user who may not create roles is told what an administrator runs; after that everything goes on.
#[tokio::test]
async fn a_user_who_may_not_create_roles_migrates_after_an_administrator_ran_what_is_told() {
    let database = database().await;
    let mut admin = database.connect().await.unwrap();
    let user = format!("plain_{}", uuid::Uuid::new_v4().simple());
    let run = async |connection: &mut PgConnection, sql: String| {
        sqlx::query(AssertSqlSafe(sql)).execute(connection).await.unwrap();
    };
    run(&mut admin, format!("create role {user} login nocreaterole nosuperuser")).await;
    run(&mut admin, format!("create database {user} owner {user}")).await;
    let options: PgConnectOptions = database.options().database(&user).username(&user);
    let store = Store::connect_with(options, Limits::default()).await.unwrap();
    let error = store.migrate().await.unwrap_err();
    let Error::Migrate(why) = &error else { panic!("{error}") };
    let said = format!("{why} {:?}", std::error::Error::source(why).map(ToString::to_string));
    let told = format!("create role rolecall_limited nologin; grant rolecall_limited to {user}");
    assert!(said.contains(&told), "{said}");

    // The role is there on this server: other databases of it have made it.
    run(&mut admin, format!("grant rolecall_limited to {user}")).await;
    assert!(store.migrate().await.unwrap() > 0);
    store.check_schema().await.unwrap();
    let limited = store.limited_to(&only("namespace:shop"));
    assert_eq!(limited.shown_association_ids().await.unwrap(), BTreeSet::new());
    limited.close().await;
    run(&mut admin, format!("drop database {user} (force)")).await;
    run(&mut admin, format!("revoke rolecall_limited from {user}")).await;
    run(&mut admin, format!("drop role {user}")).await;
}
