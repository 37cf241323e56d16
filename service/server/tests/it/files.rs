//! Files that are imported: what is read, what is passed over, and what is said of it.

use crate::support::{Folder, rolecall, run_beside};
use rolecall_estate::EventScope;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_is_complete_where_somebody_says_so_and_its_files_do_not_say_otherwise() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let record = |account: &str, region: &str, day: u32| {
        serde_json::json!({
            "eventVersion": "1.08", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
            "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
            "eventTime": format!("2026-03-{day:02}T08:00:00Z"), "awsRegion": region,
            "sourceIPAddress": "pods.eks.amazonaws.com", "eventID": format!("{account}-{region}-{day}"),
            "requestParameters": {"roleArn": format!("arn:aws:iam::{account}:role/x"), "roleSessionName": "s"},
            "responseElements": {"credentials": {"accessKeyId": format!("ASIA{day}")}},
            "eventType": "AwsApiCall", "recipientAccountId": account, "eventCategory": "Management"
        })
    };
    let file = |name: &str, records: Vec<serde_json::Value>| {
        folder.write(name, &serde_json::json!({ "Records": records }).to_string())
    };
    let import = |paths: Vec<std::path::PathBuf>, words: &'static [&'static str]| {
        let mut command = rolecall(folder.path());
        command.arg("import").args(words).args(paths).env("DATABASE_URL", &database.url);
        run_beside(command)
    };
    let whole = || async {
        let whole = database.store.complete_ranges(&[]).await.unwrap();
        assert!(whole.iter().all(|it| it.source == "import" && it.event_scope == EventScope::Stated && it.all_regions));
        let plain = whole.iter().map(|it| format!("{} {} {} {}", it.account_id, it.region, it.from, it.to));
        plain.map(|line| line.replace(" 08:00:00 UTC", "")).collect::<Vec<_>>()
    };
    let (one, other) = ("111122223333", "444455556666");
    let first = file("first.json", vec![record(one, "eu-west-1", 3), record(other, "eu-west-1", 9)]);
    let second = file("second.json", vec![record(one, "us-east-1", 7), record(other, "eu-west-1", 4)]);
    let estate = folder.write("roles.json", "{\"Roles\": []}");

    import(vec![estate.clone()], &["--complete-trail"])
        .await
        .one_line(&["--complete-trail", "trail's folder or files"]);
    let both = vec![first.clone(), second.clone()];
    assert_eq!(import(both.clone(), &[]).await.code, Some(0));
    assert_eq!(whole().await, Vec::<String>::new(), "nobody said so");

    // Not with a file that lacks something.
    let mut lacking = record(one, "eu-west-1", 5);
    lacking["eventTime"] = "sometime".into();
    let text = serde_json::json!({"Records": [record(one, "eu-west-1", 6)]}).to_string();
    for broken in [file("lacking.json", vec![lacking]), folder.write("torn.json", text.get(..text.len() - 9).unwrap())]
    {
        let name = broken.file_name().unwrap().to_string_lossy().into_owned();
        let ended = import(vec![first.clone(), broken, second.clone()], &["--complete-trail"]).await;
        assert!(ended.err.contains(&format!("{name}: not all of it could be read")), "{ended:?}");
        assert_eq!(whole().await, Vec::<String>::new());
    }

    // Files that were read before are of the trail all the same.
    let ended = import(both, &["--complete-trail"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = [
        format!("{one} eu-west-1 2026-03-03 2026-03-07"),
        format!("{one} us-east-1 2026-03-03 2026-03-07"),
        format!("{other} eu-west-1 2026-03-04 2026-03-09"),
    ];
    assert_eq!(whole().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_are_named_and_the_rest_is_read() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let estate = folder.path().join("estate");
    rolecall_sandbox::demo::estate(chrono::Utc::now()).to_dir(&estate).unwrap();
    let broken = folder.write("broken.json", "{\n  \"RoleDetailList\": [\n");
    let import = |paths: Vec<std::path::PathBuf>, words: &'static [&'static str]| {
        let mut command = rolecall(folder.path());
        command.args(["--format", "json", "import"]).args(paths).args(words).env("DATABASE_URL", &database.url);
        run_beside(command)
    };

    let nothing = import(vec![broken.clone()], &[]).await;
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.err.contains("broken.json") && nothing.err.contains("nothing was read"), "{nothing:?}");
    assert!(database.store.roles(&Default::default(), None, 1).await.unwrap().is_empty());

    let most = import(vec![broken, estate.clone()], &[]).await;
    assert_eq!(most.code, Some(0), "{most:?}");
    assert!(most.err.contains("broken.json:"), "{most:?}");
    let summary = most.json();
    assert!(summary["roles"].as_u64().unwrap() > 100 && summary["sessions"].as_u64().unwrap() > 0, "{summary}");

    let again = import(vec![estate], &["--fail-on", "low"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(again.json()["documents_written"], 0, "{again:?}");

    let missing = import(vec![folder.path().join("nowhere.json")], &[]).await;
    missing.one_line(&["nowhere.json", "check the path"]);
}

/// Four gigabytes of white space in four megabytes, as a listing and as a trail, in a process that has less.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_unpack_without_end_are_refused_within_little_memory() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let packed = |make: &str| {
        let output = Command::new("sh").args(["-c", &format!("{make} | gzip -1")]).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
        output.stdout
    };
    let (begin, spaces) = (packed("printf '{\"Records\":['"), packed("head -c 67108864 /dev/zero | tr '\\0' ' '"));
    let bomb: Vec<u8> = begin.into_iter().chain(std::iter::repeat_n(spaces, 64).flatten()).collect();
    let trail = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/23/111122223333_CloudTrail_eu-west-1_20261123T0000Z_abc.json.gz";
    for name in ["iam/111122223333/gaad.json.gz", trail] {
        folder.write_bytes(&format!("bombs/{name}"), &bomb);
    }
    let import = rolecall(folder.path());
    let mut bounded = Command::new("sh");
    bounded.args(["-c", "ulimit -v 3000000; exec \"$0\" import bombs"]).arg(import.get_program());
    bounded.env_clear().envs(import.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bounded.env("DATABASE_URL", &database.url).current_dir(folder.path());
    let ended = run_beside(bounded).await;
    assert!(matches!(ended.code, Some(0 | 2)), "it ends by itself: {ended:?}");
    for name in ["gaad.json.gz", "abc.json.gz"] {
        assert!(ended.err.lines().any(|line| line.contains(name)), "{name} is named: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_named_and_the_rest_is_read() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let estate = folder.path().join("estate");
    rolecall_sandbox::demo::estate(chrono::Utc::now()).to_dir(&estate).unwrap();
    let import = |words: &'static [&'static str]| {
        let mut command = rolecall(folder.path());
        command.args(["--format", "json", "import"]).arg(&estate).args(words).env("DATABASE_URL", &database.url);
        run_beside(command)
    };
    let before = import(&["--complete"]).await;
    assert_eq!(before.code, Some(0), "{before:?}");
    let open = before.json()["findings"].clone();

    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, estate.join(name)).unwrap();
    link("/dev/zero", "zeros.json");
    link("nowhere.json", "dangling.json");
    link(".", "circle");
    let trail = "111122223333_CloudTrail_eu-west-1_20261123T0000Z_abc.json.gz";
    link("nowhere.json.gz", trail);
    let _socket = std::os::unix::net::UnixListener::bind(estate.join("socket.json")).unwrap();
    for pipe in ["pipe.json", "pipe"] {
        assert!(std::process::Command::new("mkfifo").arg(estate.join(pipe)).status().unwrap().success());
    }
    // Deeper than any folder of ours, and no circle.
    let deep = (0..60).fold("deep".to_owned(), |path, _| path + "/d");
    folder.write(&format!("estate/{deep}/lost.json"), "{");
    // An account's authorization details are there, and cannot be had.
    let iam = std::fs::read_dir(estate.join("iam")).unwrap().next().unwrap().unwrap().path();
    let details = std::fs::read_dir(&iam).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&details).unwrap();
    std::os::unix::fs::symlink("elsewhere.json", &details).unwrap();

    let after = import(&["--complete", "--complete-trail"]).await;
    assert_eq!(after.code, Some(0), "{after:?}");
    let named = |name: &str| after.err.lines().any(|line| line.contains(name) && !line.contains("passed over"));
    for name in ["zeros.json", "dangling.json", trail, "socket.json", "pipe.json", "lost.json"] {
        assert!(named(name), "{name} is not named: {}", after.err);
    }
    assert!(named(&details.display().to_string()), "{}", after.err);
    assert!(after.err.contains("so no trail is whole"), "{}", after.err);
    assert_eq!(database.store.complete_ranges(&[]).await.unwrap(), []);
    let summary = after.json();
    let account = iam.file_name().unwrap().to_string_lossy().into_owned();
    let unseen = summary["unseen"].as_array().unwrap();
    assert!(unseen.iter().any(|gap| gap["scope"] == "roles" && gap["account_id"] == *account), "{unseen:?}");
    assert_eq!((&summary["findings_resolved"], &summary["findings"]), (&0.into(), &open), "{summary}");

    let mut alone = rolecall(folder.path());
    alone.arg("import").arg(estate.join("pipe.json")).env("DATABASE_URL", &database.url);
    let alone = run_beside(alone).await;
    assert_eq!(alone.code, Some(2), "{alone:?}");
    assert!(alone.err.contains("pipe.json") && alone.err.contains("no regular file"), "{alone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_trail_is_judged_and_imported_again_tells_the_same() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let at = chrono::Utc::now() - chrono::TimeDelta::days(170);
    let record = serde_json::json!({
        "eventVersion": "1.08", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "awsRegion": "eu-west-1",
        "sourceIPAddress": "pods.eks.amazonaws.com", "eventID": "session-1",
        "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/api", "roleSessionName": "not-of-eks"},
        "responseElements": {"credentials": {"accessKeyId": "ASIAPOD1"}},
        "eventType": "AwsApiCall", "recipientAccountId": "111122223333", "eventCategory": "Management"
    });
    let trail = folder.write("trail.json", &serde_json::json!({ "Records": [record] }).to_string());
    let import = || {
        let mut command = rolecall(folder.path());
        command.args(["--format", "json", "import"]).arg(&trail).env("DATABASE_URL", &database.url);
        run_beside(command)
    };
    let first = import().await.json();
    assert!(first["findings_new"].as_u64().unwrap() > 0, "{first}");
    let second = import().await.json();
    assert_eq!(second["findings"], first["findings"], "{second}");
    assert_eq!((&second["findings_new"], &second["findings_resolved"]), (&0.into(), &0.into()), "{second}");
    let known = database.store.known_findings().await.unwrap();
    assert!(known.iter().all(|finding| finding.happened_at.is_some()), "{known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_read_by_what_is_in_it_and_what_is_passed_over_is_named() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let record = |n: u32| {
        serde_json::json!({
            "eventVersion": "1.09", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "eventID": format!("e-{n}"),
            "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"}, "eventTime": format!("2026-03-0{n}T08:00:00Z"),
            "awsRegion": "eu-west-1", "sourceIPAddress": "pods.eks.amazonaws.com", "recipientAccountId": "222233334444",
            "requestParameters": {"roleArn": "arn:aws:iam::222233334444:role/x", "roleSessionName": "s"},
            "responseElements": {"credentials": {"accessKeyId": format!("ASIA{n}")}}, "eventType": "AwsApiCall"
        })
    };
    let line = serde_json::json!({"logEvents": [{"id": "1", "message": record(2).to_string()}], "messageType": "DATA_MESSAGE"});
    folder.write("logs/events.log", &record(1).to_string());
    folder.write("logs/000000", &format!("2026-03-03T08:00:00.000Z {}\n", record(3)));
    folder.write("logs/subscription", &line.to_string());
    folder.write(
        "logs/bridge.json",
        &serde_json::json!({"detail-type": "AWS API Call via CloudTrail", "detail": record(4)}).to_string(),
    );
    let utf16: Vec<u8> =
        std::iter::once(0xfeff).chain(record(5).to_string().encode_utf16()).flat_map(u16::to_le_bytes).collect();
    folder.write_bytes("logs/powershell.txt", &utf16);
    folder.write(
        "logs/digest.json",
        "{\"awsAccountId\": \"222233334444\", \"digestStartTime\": \"x\", \"digestPublicKeyFingerprint\": \"x\"}",
    );
    folder.write("logs/README.md", "what these files are");
    folder.write("logs/run.sh", "aws cloudtrail lookup-events");
    let import = |format: &'static str| {
        let mut command = rolecall(folder.path());
        command.args(["--format", format, "import"]).arg(folder.path().join("logs")).env("DATABASE_URL", &database.url);
        run_beside(command)
    };
    let first = import("json").await;
    assert_eq!(first.code, Some(0), "{first:?}");
    let summary = first.json();
    assert_eq!((&summary["sessions"], &summary["passed_over"]), (&5.into(), &3.into()), "{first:?}");
    assert_eq!(summary["as_of"], "2026-03-05T08:00:00Z", "{summary}");
    let passed = summary["passed_over_files"].as_array().unwrap();
    for name in ["README.md", "run.sh", "digest.json"] {
        assert!(passed.iter().any(|path| path.as_str().unwrap().ends_with(name)), "{summary}");
        assert!(first.err.contains("passed over 3 files") && first.err.contains(name), "{first:?}");
    }
    // All that is known of the account is what the records tell: everything else is a gap.
    let gaps: Vec<(&str, &str)> = summary["unseen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| (gap["scope"].as_str().unwrap(), gap["reason"].as_str().unwrap()))
        .collect();
    for gap in [("roles", "not_provided"), ("clusters", "not_provided"), ("sessions", "unproven")] {
        assert!(gaps.contains(&gap), "{gaps:?}");
    }
    let again = import("text").await;
    for part in ["gaps: rules that depend on them", "Skipped   3 files", "`--complete`"] {
        assert!(again.out.contains(part), "no `{part}` in {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_judged_as_of_their_date() {
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let account = "222233334444";
    let role = |name: &str, path: &str, used: &str| {
        serde_json::json!({
            "Path": path, "RoleName": name, "RoleId": format!("AROA{name}"), "Arn": format!("arn:aws:iam::{account}:role{path}{name}"),
            "CreateDate": "2024-01-01T00:00:00Z", "InstanceProfileList": [], "RolePolicyList": [], "AttachedManagedPolicies": [], "Tags": [],
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]},
            "RoleLastUsed": {"LastUsedDate": used, "Region": "eu-west-1"},
        })
    };
    let details = serde_json::json!({
        "UserDetailList": [], "GroupDetailList": [], "Policies": [], "IsTruncated": false,
        "RoleDetailList": [role("old", "/", "2024-03-01T00:00:00Z"), role("new", "/", "2025-01-01T00:00:00Z")],
    });
    let path = folder.write("iam/222233334444/gaad.json", &details.to_string());
    let import = |words: &'static [&'static str]| {
        let mut command = rolecall(folder.path());
        command.args(["--format", "json", "import"]).args(words).arg(&path).env("DATABASE_URL", &database.url);
        run_beside(command)
    };
    let estate = || async {
        let estate = database.store.estate(chrono::DateTime::UNIX_EPOCH).await.unwrap();
        estate.as_of[&account.parse().unwrap()].format("%Y-%m-%d").to_string()
    };
    let first = import(&[]).await;
    assert_eq!(first.json()["as_of"], "2025-01-01T00:00:00Z", "{first:?}");
    assert_eq!(estate().await, "2025-01-01");
    let (before, later) = (first.json(), import(&[]).await.json());
    assert_eq!(before["findings"], later["findings"], "the same files give the same findings");
    assert_eq!(import(&["--as-of", "2025-06-30"]).await.json()["as_of"], "2025-06-30T23:59:59Z");
    assert_eq!(estate().await, "2025-06-30");
    assert_eq!(import(&[]).await.code, Some(0));
    assert_eq!(estate().await, "2025-06-30", "what is known does not grow younger");
    let ahead = import(&["--as-of", "2999-01-01"]).await.json();
    assert!(ahead["as_of"].as_str().unwrap() < "2999", "nothing is of a time to come: {ahead}");
    let unread = import(&["--as-of", "yesterday"]).await;
    assert!(unread.code == Some(2) && unread.err.contains("2026-06-30"), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estate_of_files_is_read_completely() {
    let now = chrono::Utc::now();
    let written = rolecall_sandbox::demo::estate(now);
    let files = Folder::new();
    written.to_dir(files.path()).unwrap();
    let estate = files.path().to_owned();
    let database = rolecall_store::testing::database().await.unwrap();
    let folder = Folder::new();
    let mut command = rolecall(folder.path());
    command.args(["--format", "json", "import", "--stats"]).arg(&estate).env("DATABASE_URL", &database.url);
    let ended = run_beside(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let summary = ended.json();
    let attributions = summary["trail"]["attributions"].as_array().unwrap();
    let pods = || attributions.iter().filter(|attribution| attribution["kind"] == "pod_identity");
    assert!(pods().count() > 0);
    for attribution in pods() {
        assert!(attribution["attribution_method"] != "due", "{attribution}");
        assert!(attribution["attribution_method"] != "none" || attribution["reason"].is_string(), "{attribution}");
    }
    let mut again = rolecall(folder.path());
    again.args(["--format", "json", "import", "--stats"]).arg(&estate).env("DATABASE_URL", &database.url);
    let again = run_beside(again).await.json();
    assert_eq!((&again["rows_written"], &again["trail"]["read"]["events"]), (&0.into(), &0.into()), "{again}");
    assert_eq!(again["trail"]["attributions"], summary["trail"]["attributions"]);
    let mut export = rolecall(folder.path());
    export.args(["export", "usage"]).env("DATABASE_URL", &database.url);
    let export = run_beside(export).await;
    for line in export.out.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["count"].as_u64().unwrap() > 0 && row["first_seen"].is_string(), "{row}");
    }
    assert!(export.out.lines().count() > 0);
    let roles: usize = written.accounts.values().map(|account| account.roles.len()).sum();
    let all = || written.accounts.values().flat_map(|account| account.regions.values()).flat_map(|it| &it.clusters);
    let (associations, clusters) = (all().map(|it| it.associations.len()).sum::<usize>(), all().count());
    assert_eq!(
        (&summary["roles"], &summary["associations"], &summary["clusters"]),
        (&roles.into(), &associations.into(), &clusters.into())
    );
    assert!(summary["sessions"].as_u64().unwrap() > 0, "{summary}");
}
