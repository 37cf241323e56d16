//! The demo estate hangs together, and estates of files are served as they lie.

use rolecall_sandbox::demo::{self, problem};
use rolecall_sandbox::{Estate, Faults, Options, Sandbox};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn estate() -> Estate {
    demo::estate("2026-11-23T12:00:00Z".parse().unwrap())
}

fn roles(estate: &Estate) -> BTreeSet<String> {
    estate.accounts.values().flat_map(|a| &a.roles).map(|r| text(r, "Arn").to_owned()).collect()
}

fn associations(estate: &Estate) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (account, held) in &estate.accounts {
        for (region, held) in &held.regions {
            for association in held.clusters.iter().flat_map(|c| &c.associations) {
                let [cluster, namespace, name] =
                    ["clusterName", "namespace", "serviceAccount"].map(|k| text(association, k));
                found.push((format!("{account}/{region}/{cluster}/{namespace}/{name}"), association.clone()));
            }
        }
    }
    found
}

#[test]
fn the_demo_has_the_size_of_a_small_company() {
    let made = estate();
    let clusters: Vec<_> = made.accounts.values().flat_map(|a| a.regions.values()).flat_map(|r| &r.clusters).collect();
    let events: usize = made.accounts.values().flat_map(|a| a.regions.values()).map(|r| r.events.len()).sum();
    assert_eq!((made.accounts.len(), clusters.len()), (4, 5));
    let (roles, associations) = (roles(&made).len(), associations(&made).len());
    assert!((140..=170).contains(&roles), "{roles}");
    assert!((38..=52).contains(&associations), "{associations}");
    assert!((800..=3000).contains(&events), "{events}");
}

#[test]
fn every_name_in_it_leads_somewhere_but_for_the_one_that_must_not() {
    let made = estate();
    let (roles, associations) = (roles(&made), associations(&made));
    assert_eq!(roles.len(), made.accounts.values().map(|a| a.roles.len()).sum::<usize>(), "names are unique");
    let keys: BTreeSet<&str> = associations.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys.len(), associations.len());
    let dangling: Vec<&str> = associations
        .iter()
        .filter(|(_, a)| {
            !roles.contains(text(a, "roleArn"))
                || a.get("targetRoleArn").is_some_and(|t| !roles.contains(t.as_str().unwrap()))
        })
        .map(|(key, _)| key.as_str())
        .collect();
    let missing = demo::manifest().expected.into_iter().filter(|s| s.problem == problem::MISSING_ROLE);
    assert_eq!(dangling, missing.map(|s| s.subject).collect::<Vec<_>>());
    for account in made.accounts.values() {
        let known: BTreeSet<&str> = account.policies.iter().map(|p| text(p, "Arn")).collect();
        for role in &account.roles {
            for policy in role["AttachedManagedPolicies"].as_array().unwrap() {
                assert!(known.contains(text(policy, "PolicyArn")), "{policy}");
            }
        }
    }
    for event in made.accounts.values().flat_map(|a| a.regions.values()).flat_map(|r| &r.events) {
        let record: Value = serde_json::from_str(&event.record).unwrap();
        let name = record.pointer("/requestParameters/roleSessionName").and_then(Value::as_str);
        assert!(name.is_none_or(|n| (2..=64).contains(&n.len())), "{name:?}");
        let role = record.pointer("/requestParameters/roleArn").and_then(Value::as_str);
        let made_by_sts = event.source == "sts.amazonaws.com";
        assert!(!made_by_sts || role.is_none_or(|r| roles.contains(r)), "{role:?}");
    }
}

#[test]
fn the_manifest_speaks_of_what_is_there() {
    let made = estate();
    let manifest = demo::manifest();
    let mut subjects = roles(&made);
    subjects.extend(associations(&made).into_iter().map(|(key, _)| key));
    subjects.extend(made.accounts.keys().cloned());
    for account in made.accounts.values() {
        subjects.extend(account.regions.values().flat_map(|r| &r.clusters).map(|c| text(&c.detail, "arn").to_owned()));
    }
    for sign in manifest.expected.iter().chain(&manifest.look_alikes) {
        assert!(subjects.contains(&sign.subject), "{sign:?}");
    }
    for sign in &manifest.look_alikes {
        let both = manifest.expected.iter().any(|e| e.problem == sign.problem && e.subject == sign.subject);
        assert!(!both, "{sign:?}");
    }
}

#[test]
fn one_document_does_not_parse_and_all_others_do() {
    fn documents(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    if ["AssumeRolePolicyDocument", "PolicyDocument", "Document"].contains(&key.as_str()) {
                        found.push(member.clone());
                    } else {
                        documents(member, found);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| documents(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for account in estate().accounts.values() {
        account.roles.iter().chain(&account.policies).for_each(|v| documents(v, &mut found));
    }
    let unreadable =
        found.iter().filter(|d| d.as_str().is_some_and(|t| serde_json::from_str::<Value>(t).is_err())).count();
    assert_eq!(unreadable, 1);
    assert!(found.iter().all(|d| d.is_string() || d.get("Statement").is_some()));
}

/// The records of a trail file; `None`: it does not unzip.
fn unzipped(bytes: &[u8]) -> Option<Vec<Value>> {
    let read: Value = serde_json::from_reader(flate2::read::GzDecoder::new(bytes)).ok()?;
    read.get("Records")?.as_array().cloned()
}

#[test]
fn the_bucket_holds_what_sessions_called_and_is_the_same_the_next_day() {
    let bucket = |day: &str| demo::estate_and_bucket(format!("{day}T12:00:00Z").parse().unwrap());
    let (made, today) = bucket("2026-11-23");
    assert_eq!(roles(&made), roles(&estate()), "a bucket changes nothing else");
    let tomorrow: BTreeMap<_, _> = bucket("2026-11-24").1.objects.into_iter().collect();
    let kept = today.objects.iter().filter(|(key, bytes)| tomorrow.get(key).is_some_and(|same| same == bytes)).count();
    let gone = today.objects.iter().filter(|(key, _)| key.contains("/2026/11/09/")).count();
    assert_eq!((kept, gone > 0), (today.objects.len() - gone, true), "only the oldest day is gone");

    let (digests, files): (Vec<_>, Vec<_>) = today.objects.iter().partition(|(key, _)| key.contains("-Digest"));
    assert_eq!(digests.len(), files.len());
    let torn = files.iter().filter(|(_, bytes)| unzipped(bytes).is_none()).count();
    assert_eq!(torn, 1);
    let records: Vec<Value> = files.iter().filter_map(|(_, bytes)| unzipped(bytes)).flatten().collect();
    assert_eq!(records.iter().filter(|record| record.get("eventTime").is_none()).count(), 1);
    let (mut begun, mut calls, mut denied) = (BTreeSet::new(), 0, 0);
    for record in &records {
        begun.extend(record.pointer("/responseElements/credentials/accessKeyId").and_then(Value::as_str));
    }
    let (mut services, mut strangers) = (BTreeSet::new(), BTreeSet::new());
    for record in records.iter().filter(|record| record.pointer("/userIdentity/type") == Some(&"AssumedRole".into())) {
        let opens = ["sts.amazonaws.com", "eks-auth.amazonaws.com"].contains(&text(record, "eventSource"));
        if opens || record.get("eventTime").is_none() {
            continue;
        }
        calls += 1;
        denied += u64::from(text(record, "errorCode") == "AccessDenied");
        services.insert(text(record, "eventSource"));
        let key = record.pointer("/userIdentity/accessKeyId").and_then(Value::as_str).unwrap();
        let role = record.pointer("/userIdentity/sessionContext/sessionIssuer/arn").and_then(Value::as_str).unwrap();
        if !begun.contains(key) {
            strangers.insert(role);
        }
    }
    assert!((10_000..25_000).contains(&calls) && denied > 20, "{calls}, {denied}");
    for service in ["dynamodb", "kms", "s3", "secretsmanager", "sqs"] {
        assert!(services.contains(format!("{service}.amazonaws.com").as_str()), "{service} of {services:?}");
    }
    // The file that ends in the middle took the beginnings of its region's sessions along.
    assert!(strangers.iter().all(|role| role.ends_with("-dr")), "{strangers:?}");
}

#[tokio::test]
async fn a_folder_of_files_is_served_as_it_lies() {
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let folder = std::env::temp_dir().join(format!("rolecall-sandbox-{}", uuid::Uuid::now_v7()));
    let written = estate();
    written.to_dir(&folder).unwrap();
    let read = Estate::from_dir(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let ids: Vec<String> = read.accounts.keys().cloned().collect();
    let options = Options { now: Some(now), lookups_per_second: None, ..Options::default() };
    let sandbox = Sandbox::start_with(read, Faults::none(), options).await.unwrap();
    let (mut served, mut held, mut sessions) = (BTreeSet::new(), BTreeSet::new(), 0);
    for id in &ids {
        let config = crate::support::config(&sandbox, &Sandbox::access_key(id), None).await;
        let pages = aws_sdk_iam::Client::new(&config).get_account_authorization_details().into_paginator().send();
        let pages: Vec<_> = pages.try_collect().await.unwrap();
        for page in &pages {
            served.extend(page.role_detail_list().iter().filter_map(|role| role.arn().map(str::to_owned)));
        }
        for region in written.accounts[id].regions.keys() {
            let here = config.to_builder().region(aws_config::Region::new(region.clone())).build();
            let eks = aws_sdk_eks::Client::new(&here);
            for cluster in eks.list_clusters().send().await.unwrap().clusters() {
                let pages = eks.list_pod_identity_associations().cluster_name(cluster).into_paginator().send();
                let pages: Vec<_> = pages.try_collect().await.unwrap();
                for page in &pages {
                    held.extend(page.associations().iter().map(|found| {
                        let (namespace, name) = (found.namespace().unwrap(), found.service_account().unwrap());
                        format!("{id}/{region}/{cluster}/{namespace}/{name}")
                    }));
                }
            }
            let trail = aws_sdk_cloudtrail::Client::new(&here);
            let pages: Vec<_> = trail.lookup_events().into_paginator().send().try_collect().await.unwrap();
            let events =
                pages.iter().flat_map(aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput::events);
            sessions += events.filter(|e| e.event_name() == Some("AssumeRoleForPodIdentity")).count();
        }
    }
    assert!(served.is_superset(&roles(&written)), "every role is served");
    assert_eq!(held, associations(&written).into_iter().map(|(key, _)| key).collect());
    assert!(sessions > 100, "{sessions}");
}

/// What an audit of an estate finds, over the wire and by the rules that ship.
async fn audited(estate: Estate, now: chrono::DateTime<chrono::Utc>) -> rolecall_audit::evaluate::Evaluation {
    use rolecall_audit::{evaluate, facts};
    let accounts = estate.accounts.len();
    let options = Options { now: Some(now), lookups_per_second: None, ..Options::default() };
    let sandbox = Sandbox::start_with(estate, Faults::none(), options).await.unwrap();
    let region = "eu-west-1".parse().unwrap();
    let settings = rolecall_collect::Settings {
        hub: rolecall_collect::Hub::keys(
            sandbox.endpoint(),
            region,
            rolecall_sandbox::HUB_ACCESS_KEY,
            rolecall_sandbox::SECRET,
        ),
        trail_lookback: chrono::TimeDelta::days(15),
        lookups_per_second: 1000,
        ..rolecall_collect::Settings::default()
    };
    let plan = rolecall_collect::Plan::new(settings).unwrap();
    let (sink, mut taken) = tokio::sync::mpsc::channel(64);
    let collecting = async {
        let scan = rolecall_collect::collect(&plan, &(), sink, now).await.unwrap();
        assert_eq!((scan.accounts, scan.gaps), (accounts, 0), "coverage is complete");
    };
    let taking = async {
        let mut observations = Vec::new();
        while let Some(seen) = taken.recv().await {
            observations.push(seen);
        }
        observations
    };
    let ((), observations) = tokio::join!(collecting, taking);
    let mut estate = rolecall_estate::Estate::observed(observations);
    let account = Some(demo::COMMERCE.parse().unwrap());
    let mut code = rolecall_declared::Reader::new(rolecall_declared::Defaults { account, ..Default::default() });
    demo::DECLARED.iter().for_each(|(file, text)| code.file(file, text.as_bytes()));
    estate.declared = Some(std::sync::Arc::new(code.finish()));
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut files = Vec::new();
    for folder in ["builtin", "bindings"] {
        for entry in std::fs::read_dir(policies.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            files.push(rolecall_rules::SourceFile {
                path: path.display().to_string(),
                text: std::fs::read_to_string(&path).unwrap(),
            });
        }
    }
    let set = rolecall_rules::RuleSet::load(&files, facts::schema()).unwrap();
    evaluate::evaluate(&estate, &set, now)
}

#[tokio::test]
async fn an_audit_finds_what_the_manifest_expects_and_spares_what_only_looks_like_it() {
    use rolecall_rules::Outcome;
    let now = chrono::Utc::now();
    let verdicts = audited(demo::estate(now), now).await.verdicts;
    let of = |sign: &demo::Sign| -> Vec<&Outcome> {
        verdicts
            .iter()
            .filter(|v| v.rule == sign.problem)
            .filter(|v| v.subject.key == sign.subject || v.subject.role_arn.as_deref() == Some(&sign.subject))
            .map(|v| &v.outcome)
            .collect()
    };
    let failed = |outcome: &&Outcome| matches!(outcome, Outcome::Fail { .. });
    let manifest = demo::manifest();
    let mut wrong = Vec::new();
    for sign in &manifest.expected {
        if !of(sign).iter().any(failed) {
            wrong.push(format!("not found: {sign:?}: {:?}", of(sign)));
        }
    }
    for sign in &manifest.look_alikes {
        if of(sign).iter().any(failed) {
            wrong.push(format!("found, and should not be: {sign:?}: {:?}", of(sign)));
        }
    }
    for verdict in &verdicts {
        if let Outcome::Error { message } = &verdict.outcome {
            wrong.push(format!("{} on {}: {message}", verdict.rule, verdict.subject.key));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let shown: BTreeSet<&str> = verdicts.iter().filter(|v| failed(&&v.outcome)).map(|v| v.rule.as_str()).collect();
    let all: BTreeSet<&str> = verdicts.iter().map(|v| v.rule.as_str()).collect();
    let hidden: Vec<_> = all.difference(&shown).collect();
    // What a binding must give first, what takes months or a scan before the change, and what nothing
    // in the estate shows.
    let nothing_to_show = [
        "access-entry-cluster-admin",
        "association-unused",
        "grants-unused",
        "irsa-and-pod-identity-both",
        "node-role-fallback",
        "privileged-role-unused",
        "reads-sensitive-data",
        "role-unused",
        "session-after-association-ended",
        "session-from-unexpected-network",
        "session-name-convention",
        "session-policy-refused",
        "session-used-outside-networks",
        "session-used-unusually",
        "trust-admits-any-namespace",
        "trust-admits-federated-stranger",
        "trust-names-deleted-principal",
        "trust-names-missing-provider",
        "trust-without-saml-audience",
    ];
    assert_eq!(hidden, nothing_to_show.iter().collect::<Vec<_>>());
}

/// What is listed of an audit: every failing verdict that is not listed under another, with its rule's
/// root id, from the gravest.
fn listed(evaluation: &rolecall_audit::evaluate::Evaluation) -> Vec<&rolecall_audit::verdict::Verdict> {
    let alone = |verdict: &&rolecall_audit::verdict::Verdict| {
        verdict.fingerprint(&verdict.rule).is_some_and(|own| !evaluation.listed_under.contains_key(&own))
    };
    let mut listed: Vec<_> = evaluation.verdicts.iter().filter(alone).collect();
    listed.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.rule.cmp(&b.rule)));
    listed
}

/// How many of the listed findings rest on statements that graver ones about the same subject show.
fn repeating(listed: &[&rolecall_audit::verdict::Verdict]) -> usize {
    use rolecall_rules::Outcome;
    let mut shown = BTreeSet::new();
    let mut repeated = 0;
    for verdict in listed {
        let Outcome::Fail { evidence, .. } = &verdict.outcome else { continue };
        let statements =
            evidence.iter().filter(|e| !e.pointer.is_empty()).filter_map(|e| Some((e.document?, &e.pointer)));
        let statements: Vec<_> = statements.map(|statement| (&verdict.subject.key, statement)).collect();
        repeated += usize::from(!statements.is_empty() && statements.iter().any(|s| shown.contains(s)));
        shown.extend(statements);
    }
    repeated
}

#[tokio::test]
async fn the_list_is_short_enough_to_be_read() {
    use rolecall_rules::Severity;
    let now = chrono::Utc::now();
    let evaluation = audited(demo::estate(now), now).await;
    let listed = listed(&evaluation);
    let of = |severity: Severity| listed.iter().filter(|v| v.severity == severity).count();
    let named: Vec<String> = listed
        .iter()
        .filter(|v| v.severity >= Severity::High)
        .map(|v| format!("{} {} {}", v.severity.as_str(), v.rule, v.subject.key))
        .collect();
    let repeated = repeating(&listed);
    let summary = format!(
        "{} listed, {} critical, {} high, {} repeated; {} listed under another\n{}",
        listed.len(),
        of(Severity::Critical),
        of(Severity::High),
        repeated,
        evaluation.listed_under.len(),
        named.join("\n")
    );
    // Of 151 roles: 3.3 criticals and 7.9 highs for every hundred. One finding in twenty may repeat a statement.
    assert_eq!(roles(&estate()).len(), 151);
    assert!(of(Severity::Critical) <= 5, "{summary}");
    assert!(of(Severity::High) <= 12, "{summary}");
    assert!(repeated * 20 <= listed.len(), "{summary}");
}

#[test]
fn each_day_before_differs_from_the_next_and_the_trail_tells_why() {
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let demo::Past { days: past, changes } = demo::past(now);
    assert_eq!(past.len(), 12);
    assert!(past.windows(2).all(|pair| pair[0].at + chrono::Duration::days(1) == pair[1].at));
    // Without the events, which are the same on every day.
    let told = |estate: &Estate| {
        let mut estate = estate.clone();
        let accounts = estate.accounts.values_mut();
        accounts.flat_map(|account| account.regions.values_mut()).for_each(|region| region.events.clear());
        format!("{estate:?}")
    };
    let mut days: Vec<String> = past.iter().map(|day| told(&day.estate)).collect();
    days.push(told(&estate()));
    let same = days.windows(2).zip(&past).filter(|(pair, _)| pair[0] == pair[1]).map(|(_, day)| day.at.to_string());
    assert_eq!(same.collect::<Vec<_>>(), Vec::<String>::new(), "nothing changed after these");

    let made = estate();
    let events = made.accounts.values().flat_map(|a| a.regions.values()).flat_map(|r| &r.events);
    let calls: BTreeSet<(chrono::NaiveDate, &str)> =
        events.filter(|event| !event.read_only).map(|event| (event.time.date_naive(), event.name.as_str())).collect();
    let days: BTreeSet<chrono::NaiveDate> = calls.iter().map(|(day, _)| *day).collect();
    assert_eq!(days.len(), 12, "{days:?}");
    let names: BTreeSet<&str> = calls.iter().map(|(_, name)| *name).collect();
    assert!(names.len() >= 18, "{names:?}");
    let files = changes.objects.iter().flat_map(|(_, bytes)| unzipped(bytes).unwrap()).collect::<Vec<_>>();
    assert!(files.len() >= 20 && files.iter().all(|record| record["readOnly"] == false), "{}", files.len());
    let before = changes.before(past[6].at.date_naive());
    assert!((1..changes.objects.len()).contains(&before.objects.len()), "{}", before.objects.len());
}

/// The failing verdicts of each rule: how many, and a digest of their fingerprints.
fn pinned(evaluation: &rolecall_audit::evaluate::Evaluation) -> String {
    use sha2::Digest as _;
    let mut rules: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for verdict in &evaluation.verdicts {
        if let Some(fingerprint) = verdict.fingerprint(&verdict.rule) {
            rules.entry(&verdict.rule).or_default().insert(fingerprint.0);
        }
    }
    let line = |(rule, fingerprints): (&&str, &BTreeSet<String>)| {
        let mut hash = sha2::Sha256::new();
        fingerprints.iter().for_each(|fingerprint| hash.update(fingerprint.as_bytes()));
        let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{rule} {} {digest}", fingerprints.len())
    };
    rules.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A finding keeps its fingerprint: whatever is rebuilt, people's decisions about it stay with it. A change of
/// this text must be a change of rules, or of the estates.
#[tokio::test]
async fn the_same_estates_give_the_same_fingerprints() {
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    insta::assert_snapshot!("the demo", pinned(&audited(demo::estate(now), now).await));
    let made = rolecall_sandbox::generate(&rolecall_sandbox::GenerateOptions::with_problems(1, now));
    insta::assert_snapshot!("generated with seed 1", pinned(&audited(made, now).await));
}
