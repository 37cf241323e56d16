//! `rolecall admin`: service accounts, tokens, roles, sessions and the audit log, as an operator meets them.

use crate::support::{Ended, Folder, rolecall, run};
use rolecall_store::testing::{Database, database};
use sqlx::Executor as _;

struct Operator {
    folder: Folder,
    database: Database,
}

impl Operator {
    fn run(&self, words: &[&str]) -> Ended {
        let mut command = rolecall(self.folder.path());
        run(command.env("DATABASE_URL", &self.database.url).env("USER", "root").args(words))
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> serde_json::Value {
        let ended = self.run(&[&["--format", "json"], words].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_is_in_the_audit_log_and_the_log_is_verified() {
    let operator = Operator { folder: Folder::new(), database: database().await.unwrap() };
    let admin = |words: &[&str]| operator.json(&[&["admin"], words].concat());
    admin(&["service-account", "create", "bot", "--owner", "team-a"]);
    operator.run(&["admin", "service-account", "create", "bot", "--owner", "x"]).one_line(&["`bot`", "already"]);
    let first = admin(&["token", "create", "--name", "bot", "--scope", "findings:read"]);
    let id = first["id"].as_str().unwrap();
    let second = admin(&["token", "rotate", id, "--overlap-hours", "1"]);
    assert_eq!(second["replaces"], id);
    operator.run(&["admin", "token", "rotate", id]).one_line(&["not replaced"]);
    assert_eq!(admin(&["token", "list"])["tokens"].as_array().unwrap().len(), 2);
    admin(&["token", "revoke", second["id"].as_str().unwrap()]);
    admin(&["role", "grant", "ann@example.com", "--role", "triager", "--limit", "namespace:payments"]);
    operator.run(&["admin", "role", "grant", "ann", "--role", "owner"]);
    let roles = admin(&["role", "list"]);
    assert_eq!(roles["roles"][0]["limits"], serde_json::json!(["namespace:payments"]));
    admin(&["role", "revoke", "ann@example.com"]);
    let link = admin(&["login", "--role", "viewer", "--person", "bob"]);
    assert!(link["url"].as_str().unwrap().contains("/login?otp="));
    operator.run(&["admin", "session", "revoke", "0"]).one_line(&["no session"]);
    assert_eq!(admin(&["session", "list"])["sessions"], serde_json::json!([]));
    assert_eq!(admin(&["service-account", "disable", "bot"])["tokens_revoked"], 1);

    let verified = admin(&["audit", "verify"]);
    assert_eq!((&verified["whole"], &verified["entries"]), (&serde_json::json!(true), &serde_json::json!(8)));
    let head = verified["head"].as_str().unwrap();
    let exported = operator.run(&["export", "audit-log"]);
    let actions: Vec<String> = exported
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .inspect(|entry| assert_eq!((&entry["actor"], &entry["actor_kind"]), (&"root".into(), &"operator".into())))
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .collect();
    let newest_first = [
        "service_account.disable",
        "login.create",
        "role.revoke",
        "role.grant",
        "token.revoke",
        "token.rotate",
        "token.create",
        "service_account.create",
    ];
    assert_eq!(actions, newest_first);
    assert!(!exported.out.contains("rlc_") && !exported.out.contains("otp"));

    let mut superuser = operator.database.connect().await.unwrap();
    superuser.execute("alter table audit_log disable trigger all").await.unwrap();
    superuser.execute("delete from audit_log where seq = 8; update audit_log_head set (seq, hash) = (select seq, hash from audit_log where seq = 7)").await.unwrap();
    assert_eq!(operator.run(&["admin", "audit", "verify"]).code, Some(0), "nothing inside tells");
    let cut = operator.run(&["admin", "audit", "verify", "--head", head]);
    assert_eq!(cut.code, Some(1), "{cut:?}");
    assert!(cut.out.contains("entry 8") && cut.out.contains("missing"), "{cut:?}");
    superuser.execute("update audit_log set actor = 'somebody' where seq = 3").await.unwrap();
    let changed = operator.run(&["admin", "audit", "verify"]);
    assert_eq!(changed.code, Some(1));
    assert!(changed.out.contains("entry 3: it is not what was written"), "{changed:?}");
}
