//! Scans that end in mid-run, and what they leave.

use crate::cli::exported;
use crate::support::{Folder, Harness, run_beside};
use rolecall_sandbox::{Fault, Sandbox};
use rolecall_store::RunState;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

/// Starts a scan that is slow to end, and waits until it has stored a part of what it saw.
async fn scan_half_way(harness: &Harness, folder: &Folder, slowness: Duration) -> std::process::Child {
    let accounts = harness.sandbox.estate().accounts.len();
    let last = harness.sandbox.estate().accounts.keys().next_back().unwrap().clone();
    let slow = Fault::latency("eks:*", slowness).in_account(&last);
    harness.sandbox.faults().inject(slow);
    let config = folder.write("slow.toml", "[aws]\ncall_timeout = \"5m\"\n");
    let mut command = harness.rolecall(folder);
    command.arg("--config").arg(config).arg("scan").stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let err = child.stderr.take().unwrap();
    tokio::task::spawn_blocking(move || {
        let seen = BufReader::new(err).lines().map_while(Result::ok).filter(|line| line.ends_with("scanned"));
        assert_eq!(seen.take(accounts - 1).count(), accounts - 1, "all accounts but the slow one were seen");
    })
    .await
    .unwrap();
    child
}

fn delete_a_role(sandbox: &Sandbox) -> String {
    sandbox.mutate(|estate| {
        let account = estate.accounts.values_mut().next().unwrap();
        // Whoever looks enters the account through a role, and IAM would list that one for ever.
        let arns = account.roles.iter().map(|role| role["Arn"].as_str().unwrap());
        let arn = arns.into_iter().find(|arn| !arn.ends_with(rolecall_sandbox::AUDIT_ROLE)).unwrap().to_owned();
        estate.delete_role(&arn, chrono::Utc::now()).unwrap();
        arn
    })
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_scan_leaves_the_last_snapshot_and_the_next_one_goes_on() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(chrono::Utc::now())).await;
    harness.audit().await.unwrap();
    harness.audit().await.unwrap();
    let folder = Folder::new();
    let (roles, findings) = (exported(&harness, &folder, "roles").await, exported(&harness, &folder, "findings").await);

    let gone = delete_a_role(&harness.sandbox);
    let mut child = scan_half_way(&harness, &folder, Duration::from_secs(60)).await;
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(exported(&harness, &folder, "roles").await, roles, "nothing of the killed run is visible");
    assert_eq!(exported(&harness, &folder, "findings").await, findings);

    harness.sandbox.faults().clear();
    let mut scan = harness.rolecall(&folder);
    scan.args(["--format", "json", "scan"]);
    let next = run_beside(scan).await;
    assert_eq!(next.code, Some(0), "{next:?}");
    assert!(!exported(&harness, &folder, "roles").await.contains(&format!("\"{gone}\"")), "the next run went on");
    let states: Vec<RunState> = harness.store.runs(None, 10).await.unwrap().iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Done, RunState::Interrupted, RunState::Done, RunState::Done]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_in_mid_run_is_one_line_and_leaves_nothing() {
    let harness = Harness::over(rolecall_sandbox::demo::estate(chrono::Utc::now())).await;
    let folder = Folder::new();
    let child = scan_half_way(&harness, &folder, Duration::from_secs(4)).await;
    let mut admin = harness.database.connect().await.unwrap();
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'rolecall' and xact_start is not null and pid <> pg_backend_pid()",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    harness.sandbox.faults().clear();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(exported(&harness, &folder, "roles").await, "");
}
