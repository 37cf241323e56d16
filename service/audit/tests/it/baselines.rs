//! Baselines: what is taken, how a resource stands against it, which changes are approved with it, and files.

use crate::small::{API, BOUND, HOME, OPEN, Small, allow, id};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::subsequence;
use rolecall_audit::drift::baseline::{
    Baseline, BaselineState, Compared, Configuration, Selection, Signature, Taken, compare, covers, entry, parse,
    parse_entry, take, write,
};
use rolecall_audit::drift::{Approval, Change, Effect, Scans, changes};
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{AccessEntry, Addon, ResourceKind};
use serde_json::{Value, json};

const READ: &str = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#;
const MORE: &str = r#""Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::orders/*""#;

fn at() -> DateTime<Utc> {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn approval() -> Approval {
    Approval::new("reviewed", Some("SEC-1"), None, at()).unwrap()
}

fn taken(small: &Small, resource: Option<&str>) -> Taken {
    let what = Selection { account_id: Some(id(HOME)), resource: resource.map(str::to_owned) };
    take(&small.0, &what, &approval(), "ana", at())
}

fn of_role(small: &Small) -> Baseline {
    let taken = taken(small, Some(API));
    assert_eq!(taken.skipped, []);
    taken.baselines.into_iter().next().unwrap()
}

fn stands(baseline: &Baseline, now: &Small) -> Compared {
    compare(std::slice::from_ref(baseline), &now.0).remove(0)
}

fn between(before: &Small, after: &Small) -> Vec<Change> {
    changes(&Scans {
        before: &before.0,
        after: &after.0,
        listed_before: &before.0.coverage,
        listed_after: &after.0.coverage,
        roles_of: None,
        pair: "1-2",
    })
}

#[test]
fn a_role_stands_as_drift_would_tell_it() {
    let small = Small::new().may(&allow(READ));
    let baseline = of_role(&small);
    let mut dated = small.clone();
    dated.change_role(|role| role.created_at = Some(at()));
    let single = allow(r#""Action":["S3:getobject"],"Resource":["arn:aws:s3:::orders/*"]"#);
    let mut anew = small.clone();
    anew.change_role(|role| role.role_id = "AROAOTHER".into());
    for (case, now, state, effect) in [
        ("the same", small.clone(), BaselineState::Matches, None),
        ("a date", dated, BaselineState::Matches, None),
        ("a rewritten document", small.clone().may(&single), BaselineState::Matches, None),
        ("more", small.clone().may(&allow(MORE)), BaselineState::Differs, Some(Effect::Widened)),
        (
            "a Sid",
            small.clone().may(&allow(&format!(r#""Sid":"Read",{READ}"#))),
            BaselineState::Differs,
            Some(Effect::None),
        ),
        ("what cannot be read", small.clone().may("{"), BaselineState::Differs, Some(Effect::Unknown)),
    ] {
        let compared = stands(&baseline, &now);
        assert_eq!((compared.state, compared.effect), (state, effect), "{case}: {compared:#?}");
        assert_eq!(compared.differences.is_empty(), state == BaselineState::Matches, "{case}");
        assert!(!compared.because.is_empty());
    }
    let compared = stands(&baseline, &anew);
    assert_eq!(compared.differences[0].change, "recreated", "{compared:#?}");
    // The difference is the one of the change.
    let wider = small.clone().may(&allow(MORE));
    let (compared, found) = (stands(&baseline, &wider), between(&small, &wider));
    let told = |it: &Change| (it.change.clone(), it.before.clone(), it.after.clone(), it.gained.clone());
    assert_eq!(compared.differences.iter().map(told).collect::<Vec<_>>(), found.iter().map(told).collect::<Vec<_>>());
}

#[test]
fn what_was_not_seen_is_unknown_and_what_is_proven_gone_is_removed() {
    let small = Small::new();
    let baseline = of_role(&small);
    let mut gone = small.clone();
    gone.0.roles.clear();
    assert_eq!(stands(&baseline, &gone).state, BaselineState::Removed);
    assert_eq!(stands(&baseline, &gone.clone().gap(ScopeKind::Roles)).state, BaselineState::Unknown);
    let mut remembered = small.clone().may(&allow(MORE));
    remembered.0.unconfirmed.add(ResourceKind::Role, id(HOME), API);
    assert_eq!(stands(&baseline, &remembered).state, BaselineState::Unknown);
    assert_eq!(taken(&remembered, Some(API)).baselines, []);
    assert_eq!(taken(&remembered, Some(API)).skipped.len(), 1);

    let key = small.0.associations[0].key.to_string();
    let association = taken(&small, Some(&key)).baselines.remove(0);
    let mut undescribed = small.clone();
    undescribed.0.associations[0].detail = None;
    assert_eq!(stands(&association, &undescribed).state, BaselineState::Unknown);
    assert!(taken(&undescribed, Some(&key)).baselines.is_empty());
    let untagged = small.clone().detail(|detail| detail.disable_session_tags = true);
    assert_eq!(stands(&association, &untagged).differences[0].change, "session_tags_disabled");
    let mut alone = small.clone();
    alone.0.associations.clear();
    assert_eq!(stands(&association, &alone).state, BaselineState::Removed);
    assert_eq!(stands(&association, &alone.gap(ScopeKind::Associations)).state, BaselineState::Unknown);
}

/// What the latest scan did not come to see is no change, and no proof that it is as it was approved.
#[test]
fn a_field_that_was_not_seen_is_unknown_and_no_match() {
    let mut small = Small::new();
    let cluster = &mut small.0.clusters[0];
    (cluster.addons, cluster.access_entries) = (Some(vec![]), Some(vec![]));
    cluster.auto_mode = Some(true);
    let arn = cluster.arn.clone();
    let approved = taken(&small, Some(&arn)).baselines.remove(0);
    for (mode, state, told) in [
        (Some(true), BaselineState::Matches, 0),
        (Some(false), BaselineState::Differs, 1),
        (None, BaselineState::Unknown, 0),
    ] {
        small.0.clusters[0].auto_mode = mode;
        let compared = stands(&approved, &small);
        assert_eq!((compared.state, compared.differences.len()), (state, told), "{mode:?}: {compared:#?}");
    }
}

#[test]
fn an_account_has_a_baseline_of_every_resource_that_was_seen() {
    let mut small = Small::new();
    small.0.clusters[0].addons = Some(vec![Addon::new("vpc-cni".into())]);
    small.0.clusters[0].access_entries = Some(vec![]);
    let all = taken(&small, None);
    let mut kinds: Vec<&str> = all.baselines.iter().map(|it| it.resource.kind.as_str()).collect();
    kinds.sort();
    let expected = [
        "AWS::CloudTrail::Trail",
        "AWS::EKS::Cluster",
        "AWS::EKS::PodIdentityAssociation",
        "AWS::IAM::Role",
        "AWS::Organizations::Policy",
    ];
    assert_eq!((kinds, all.skipped.len()), (expected.to_vec(), 0));
    assert!(compare(&all.baselines, &small.0).iter().all(|it| it.state == BaselineState::Matches));

    // A status is no configuration; an add-on and an access entry are the cluster's.
    let mut now = small.clone();
    let cluster = &mut now.0.clusters[0];
    cluster.status = Some("UPDATING".into());
    cluster.addons.as_mut().unwrap()[0].status = Some("DEGRADED".into());
    assert!(compare(&all.baselines, &now.0).iter().all(|it| it.state == BaselineState::Matches));
    now.0.clusters[0].access_entries = Some(vec![AccessEntry {
        principal_arn: "arn:aws:iam::111122223333:role/admin".into(),
        groups: vec![],
        kind: Some("STANDARD".into()),
        policies: vec![],
    }]);
    let compared = compare(&all.baselines, &now.0);
    let differ: Vec<&Compared> = compared.iter().filter(|it| it.state == BaselineState::Differs).collect();
    assert_eq!(differ.len(), 1);
    assert_eq!(differ[0].differences[0].resource.kind.as_str(), "AWS::EKS::AccessEntry");
    let added = between(&small, &now).remove(0);
    let cluster = all.baselines.iter().find(|it| it.resource.kind.as_str() == "AWS::EKS::Cluster").unwrap();
    assert!(!covers(cluster, differ[0], &added));
    let later = taken(&now, Some(&cluster.resource.name)).baselines.remove(0);
    assert!(covers(&later, &stands(&later, &now), &added));
}

#[test]
fn a_change_is_approved_with_the_state_that_it_led_to() {
    let small = Small::new().may(&allow(READ));
    let wider = small.clone().may(&allow(MORE));
    let widened = between(&small, &wider).remove(0);
    let (before, after) = (of_role(&small), of_role(&wider));
    // Taken after it: it is part of what was approved. Taken before it: it leads away.
    assert!(covers(&after, &stands(&after, &wider), &widened));
    assert!(!covers(&before, &stands(&before, &wider), &widened));
    // What comes back is approved.
    let back = between(&wider, &small).remove(0);
    assert!(covers(&before, &stands(&before, &small), &back));

    // Another part that differs hinders nothing.
    let mut tagged = wider.clone();
    tagged.change_role(|role| drop(role.tags.insert("team".into(), "pay".into())));
    let compared = stands(&after, &tagged);
    let retagged = between(&wider, &tagged).remove(0);
    assert_eq!(compared.state, BaselineState::Differs);
    assert!(covers(&after, &compared, &widened) && !covers(&after, &compared, &retagged));

    // A scan that did not see the resource approves nothing, and neither does the baseline of another.
    let mut unseen = wider.clone();
    unseen.0.unconfirmed.add(ResourceKind::Role, id(HOME), API);
    assert!(!covers(&after, &stands(&after, &unseen), &widened));
    let key = small.0.associations[0].key.to_string();
    let other = taken(&wider, Some(&key)).baselines.remove(0);
    assert!(!covers(&other, &stands(&other, &wider), &widened));
}

#[test]
fn a_file_gives_back_what_was_written() {
    let small = Small::new().session_policy("{").managed("arn:aws:iam::111122223333:policy/p", BOUND).target(OPEN);
    let mut all = taken(&small, None).baselines;
    let signature = Signature { key: "key".into(), value: "value".into() };
    all[0].signature = Some(signature.clone());
    all[1].approval = Approval::new("until then", None, Some(at() + chrono::TimeDelta::days(9)), at()).unwrap();
    let text = write(id(HOME), &all);
    let (found, faults) = parse("f.json", &text);
    assert_eq!(faults, []);
    let by_name = |mut list: Vec<Baseline>| {
        list.sort_by(|a, b| a.resource.cmp(&b.resource));
        list
    };
    let found = by_name(found.into_iter().map(|(_, it)| it).collect());
    assert_eq!(found, by_name(all.clone()));
    assert_eq!(
        found.iter().map(Baseline::id).collect::<Vec<_>>(),
        by_name(all).iter().map(Baseline::id).collect::<Vec<_>>()
    );
    assert_eq!(write(id(HOME), &found), text);
    assert_eq!(found.iter().filter_map(|it| it.signature.clone()).collect::<Vec<_>>(), [signature]);
    for baseline in &found {
        // The order of members is the database's to choose.
        let mut value = entry(baseline);
        value.sort_all_objects();
        assert_eq!(parse_entry(id(HOME), value).unwrap(), *baseline);
    }
}

#[test]
fn a_fault_has_its_line_and_field_and_leaves_the_rest() {
    let mut all = taken(&Small::new().managed("arn:aws:iam::111122223333:policy/p", OPEN), None).baselines;
    all.retain(|it| ["AWS::IAM::Role", "AWS::IAM::ManagedPolicy"].contains(&it.resource.kind.as_str()));
    let text = write(id(HOME), &all);
    let entry_line = |name: &str| {
        let above = text.lines().position(|line| line.contains(name)).unwrap();
        text.lines().take(above).enumerate().filter(|(_, line)| *line == "    {").last().unwrap().0 + 1
    };
    let role = entry_line("\"arn:aws:iam::111122223333:role/api\"");
    for (from, to, field, said) in [
        ("\"by\": \"ana\"", "\"by\": \" \"", "approved.by", "empty"),
        ("\"reason\": \"reviewed\"", "\"reason\": \"\"", "approved.reason", "reason"),
        ("role/api\",\n      \"digest\"", "role/apo\",\n      \"digest\"", "resource", "is not that of"),
        ("\"role_id\": \"", "\"role_id\": \"X", "digest", "the digest of the configuration is"),
        ("s3:getobject", "s3:*", "documents", "the digest of the document is"),
        ("\"configuration\": {\n        \"arn\"", "\"configuration\": {\n        \"arm\"", "configuration", "arn"),
        ("\"approved\": {", "\"aproved\": {", "", "aproved"),
    ] {
        let edited = text.replace(from, to);
        assert_ne!(edited, text, "{from}");
        let (found, faults) = parse("f.json", &edited);
        let of_role: Vec<_> = faults.iter().filter(|it| it.line >= role).collect();
        assert!(!of_role.is_empty(), "{to}: {faults:?}");
        let fault = of_role[of_role.len() - 1];
        assert!(fault.field.starts_with("resources[") && fault.field.ends_with(field), "{to}: {fault}");
        assert!(fault.message.contains(said) && !fault.remedy.is_empty(), "{to}: {fault}");
        assert_eq!(found.len() + faults.len(), 2, "{to}");
    }
    for (from, to, field) in [
        ("rolecall/v1", "rolecall/v2", "apiVersion"),
        ("\"Baseline\"", "\"Binding\"", "kind"),
        ("\"account\": \"111122223333\"", "\"account\": \"1\"", "account"),
        ("\"account\": \"111122223333\"", "\"account\": \"444455556666\"", "resources[0].configuration"),
    ] {
        let (found, faults) = parse("f.json", &text.replace(from, to));
        assert!(found.is_empty() && faults[0].field == field, "{to}: {faults:?}");
    }
    let twice: Value = serde_json::from_str(&text).unwrap();
    let resources = twice["resources"].as_array().unwrap();
    let doubled = json!({"apiVersion": "rolecall/v1", "kind": "Baseline", "account": HOME,
        "resources": [resources[0], resources[1], resources[0]]});
    let (found, faults) = parse("f.json", &doubled.to_string());
    assert!(found.len() == 2 && faults[0].message.contains("twice"), "{faults:?}");
    for cut in ["", "{", "[]", "null", text.split_at(text.len() / 2).0] {
        let (found, faults) = parse("f.json", cut);
        assert!(found.is_empty() && faults.len() == 1 && faults[0].line >= 1, "{cut:.20}: {faults:?}");
    }
}

#[test]
fn a_signature_covers_everything_that_is_told() {
    let baseline = of_role(&Small::new());
    let signed = baseline.signed_bytes();
    let with = |change: &dyn Fn(&mut Baseline)| {
        let mut other = baseline.clone();
        change(&mut other);
        other.signed_bytes()
    };
    assert_eq!(with(&|it| it.signature = Some(Signature { key: "k".into(), value: "v".into() })), signed);
    let other = of_role(&Small::new().may(&allow(MORE)));
    let until = Approval::new("reviewed", Some("SEC-1"), Some(at() + chrono::TimeDelta::days(1)), at()).unwrap();
    let changed: [&dyn Fn(&mut Baseline); 7] = [
        &|it| it.account_id = id("444455556666"),
        &|it| it.resource.name.push('x'),
        &|it| it.digest = other.digest,
        &|it| it.by = "ben".into(),
        &|it| it.at += chrono::TimeDelta::seconds(1),
        &|it| it.approval = until.clone(),
        &|it| it.observed_at = Some(at()),
    ];
    for (case, change) in changed.iter().enumerate() {
        assert_ne!(with(*change), signed, "{case}");
    }
}

/// One thing that makes another state of a role.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Trust,
    Document,
    Name,
    Attached,
    Boundary,
    Profile,
    Tag,
    Id,
}

const EDITS: [Edit; 8] =
    [Edit::Trust, Edit::Document, Edit::Name, Edit::Attached, Edit::Boundary, Edit::Profile, Edit::Tag, Edit::Id];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same state in any order has the same digest, and any other state another one.
    #[test]
    fn a_digest_names_a_state(
        names in subsequence(vec!["a", "b", "c", "d"], 1..=4).prop_shuffle(),
        edit in proptest::sample::select(EDITS.to_vec()),
    ) {
        let build = |names: &[&str]| {
            let policies: Vec<(String, String)> = names
                .iter()
                .map(|name| ((*name).to_owned(), allow(&format!(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::{name}/*""#))))
                .collect();
            let inline: Vec<(&str, &str)> = policies.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            let mut small = Small::new().role(API, BOUND, &inline);
            for name in names {
                small = small.attach(&format!("arn:aws:iam::111122223333:policy/{name}"));
                small.change_role(|role| {
                    role.tags.insert((*name).to_owned(), "v".to_owned());
                    role.instance_profiles.push(format!("arn:aws:iam::111122223333:instance-profile/{name}"));
                });
            }
            small
        };
        let mut sorted = names.clone();
        sorted.sort_unstable();
        let (one, other) = (build(&names), build(&sorted));
        let digest = |small: &Small| of_role(small).digest;
        prop_assert_eq!(digest(&one), digest(&other));
        let mut edited = one.clone();
        let document = edited.0.documents.read(&allow(MORE));
        edited.change_role(|role| match edit {
            Edit::Trust => role.trust = Some(document),
            Edit::Document => role.inline[0].document = document,
            Edit::Name => role.inline[0].name.push('x'),
            Edit::Attached => drop(role.attached.pop()),
            Edit::Boundary => role.boundary = Some("arn:aws:iam::111122223333:policy/a".parse().unwrap()),
            Edit::Profile => drop(role.instance_profiles.pop()),
            Edit::Tag => drop(role.tags.insert("a".to_owned(), "w".to_owned())),
            Edit::Id => role.role_id.push('X'),
        });
        prop_assert_ne!(digest(&edited), digest(&one), "{:?}", edit);
        prop_assert_eq!(stands(&of_role(&one), &edited).state, BaselineState::Differs, "{:?}", edit);
    }
}

#[test]
fn an_absent_field_and_a_null_are_the_same_state() {
    let role = Small::new().0.roles[0].clone();
    let state = Configuration::Role(Box::new(role)).normal();
    let mut value = serde_json::to_value(&state).unwrap();
    let digest = state.digest();
    value["configuration"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
    assert_eq!(serde_json::from_value::<Configuration>(value).unwrap().digest(), digest);
}
