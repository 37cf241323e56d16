//! Changes between two scans: each is named, labelled for the workloads that it reaches, and told from what
//! nobody could see.

use crate::small::{API, AWAY, BOUND, DATA, HOME, OPEN, REGION, Small, allow, id};
use rolecall_audit::drift::{Change, Effect, Scans, TakesHold, changes};
use rolecall_estate::coverage::{Coverage, ScopeKind};
use rolecall_estate::{
    AccessEntry, AccessPolicy, Addon, OidcProvider, OidcProviderDetail, OrgPolicyKind, Recorded, SessionKind,
    TrailStatus,
};
use std::collections::BTreeSet;

const POLICY: &str = "arn:aws:iam::111122223333:policy/p";
const READ: &str = r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#;
const READ_AND_DELETE: &str = r#""Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::orders/*""#;
const WORKLOAD: &str = "111122223333/eu-west-1/prod/pay/api";

fn between(before: &Small, after: &Small) -> Vec<Change> {
    let listed = |small: &Small| -> Coverage { small.0.coverage.clone() };
    let (listed_before, listed_after) = (listed(before), listed(after));
    changes(&Scans {
        before: &before.0,
        after: &after.0,
        listed_before: &listed_before,
        listed_after: &listed_after,
        roles_of: None,
        pair: "1-2",
    })
}

/// What a case expects: type, change, effect, and whether the workload is affected.
type Expected = (&'static str, &'static str, Effect, bool);

fn told(changes: &[Change]) -> Vec<(&'static str, String, Effect, bool)> {
    changes
        .iter()
        .map(|it| {
            let reached = it.affected.iter().any(|it| it.workload.to_string() == WORKLOAD);
            (it.resource.kind.as_str(), it.change.clone(), it.effect, reached)
        })
        .collect()
}

#[track_caller]
fn expect(before: &Small, after: &Small, expected: &[Expected]) {
    let found = between(before, after);
    let mut sorted = told(&found);
    sorted.sort();
    let mut wanted: Vec<_> = expected.iter().map(|(a, b, c, d)| (*a, (*b).to_owned(), *c, *d)).collect();
    wanted.sort();
    assert_eq!(sorted, wanted, "{found:#?}");
    for change in &found {
        assert_eq!(change.gained.is_some(), matches!(change.effect, Effect::Widened | Effect::Mixed), "{change:#?}");
        assert_eq!(change.lost.is_some(), matches!(change.effect, Effect::Narrowed | Effect::Mixed), "{change:#?}");
        assert!(!change.because.is_empty());
    }
}

const ROLE: &str = "AWS::IAM::Role";
const ASSOCIATION: &str = "AWS::EKS::PodIdentityAssociation";
const MANAGED: &str = "AWS::IAM::ManagedPolicy";
const ORG: &str = "AWS::Organizations::Policy";

#[test]
fn an_estate_does_not_differ_from_itself() {
    let full = Small::new().target(OPEN).managed(POLICY, BOUND).attach(POLICY).boundary(POLICY);
    assert_eq!(between(&full, &full), []);
    for kind in ScopeKind::ALL {
        assert_eq!(between(&full, &full.clone().gap(kind)), [], "{kind}");
    }
    let sessions = full.clone().session(SessionKind::AssumeRole, "x", "y", &[]);
    assert_eq!(between(&full, &sessions), [], "sessions are events, and no state");
}

#[test]
fn a_roles_policies() {
    let small = Small::new();
    let more = small.clone().may(&allow(READ_AND_DELETE));
    expect(&small, &more, &[(ROLE, "inline_policy_changed", Effect::Widened, true)]);
    expect(&more, &small, &[(ROLE, "inline_policy_changed", Effect::Narrowed, true)]);
    let found = between(&small, &more);
    let gained = found[0].gained.as_ref().unwrap();
    assert_eq!(gained.action, "s3:DeleteObject");
    assert!(gained.resource.starts_with("arn:aws:s3:::orders/"), "{gained:?}");
    assert_eq!(found[0].takes_hold, TakesHold::AtOnce);

    let other = small.clone().may(&allow(r#""Action":"s3:PutObject","Resource":"arn:aws:s3:::orders/*""#));
    expect(&small, &other, &[(ROLE, "inline_policy_changed", Effect::Mixed, true)]);
    // The same with a Sid, as a list, in another order: a change that comes to nothing.
    let same = allow(r#""Sid":"Read","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::orders/*"]"#);
    expect(&small, &small.clone().may(&same), &[(ROLE, "inline_policy_changed", Effect::None, true)]);
    let broken = small.clone().may("{");
    expect(&small, &broken, &[(ROLE, "inline_policy_changed", Effect::Unknown, true)]);

    let two = small.clone().role(API, BOUND, &[("own", &allow(READ)), ("more", &allow(READ_AND_DELETE))]);
    expect(&small, &two, &[(ROLE, "inline_policy_added", Effect::Widened, true)]);
    expect(&two, &small, &[(ROLE, "inline_policy_removed", Effect::Narrowed, true)]);

    let managed = small.clone().managed(POLICY, &allow(READ_AND_DELETE));
    let attached = managed.clone().attach(POLICY);
    expect(&managed, &attached, &[(ROLE, "policy_attached", Effect::Widened, true)]);
    expect(&attached, &managed, &[(ROLE, "policy_detached", Effect::Narrowed, true)]);
    let bounded = small.clone().managed(POLICY, &allow(r#""Action":"ec2:*","Resource":"*""#)).boundary(POLICY);
    let unbounded = small.clone().managed(POLICY, &allow(r#""Action":"ec2:*","Resource":"*""#));
    expect(&unbounded, &bounded, &[(ROLE, "permissions_boundary_set", Effect::Narrowed, true)]);
    expect(&bounded, &unbounded, &[(ROLE, "permissions_boundary_removed", Effect::Widened, true)]);

    let mut tagged = small.clone();
    tagged.change_role(|role| drop(role.tags.insert("team".into(), "pay".into())));
    expect(&small, &tagged, &[(ROLE, "tags_changed", Effect::None, true)]);
    let asks = r#""Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"pay"}}"#;
    let small = small.may(&allow(asks));
    let mut tagged = small.clone();
    tagged.change_role(|role| drop(role.tags.insert("team".into(), "pay".into())));
    expect(&small, &tagged, &[(ROLE, "tags_changed", Effect::Unknown, true)]);
    let mut held = small.clone();
    held.change_role(|role| role.instance_profiles.push("arn:aws:iam::111122223333:instance-profile/x".into()));
    expect(&small, &held, &[(ROLE, "added_to_instance_profile", Effect::None, false)]);
}

#[test]
fn several_changes_of_one_scan_are_told_apart() {
    let before = Small::new().managed(POLICY, &allow(READ_AND_DELETE));
    let after = before.clone().may(&allow(r#""Action":"s3:PutObject","Resource":"arn:aws:s3:::orders/*""#));
    let after = after.attach(POLICY);
    expect(
        &before,
        &after,
        &[(ROLE, "inline_policy_changed", Effect::Mixed, true), (ROLE, "policy_attached", Effect::Widened, true)],
    );
    // Neither opens anything alone: the boundary goes, and what it held back comes.
    let before = Small::new().managed(POLICY, &allow(READ)).boundary(POLICY);
    let mut after = before.clone();
    after.change_role(|role| role.boundary = None);
    let document = after.0.documents.read(&allow(READ_AND_DELETE));
    after.change_role(|role| role.inline[0].document = document);
    expect(
        &before,
        &after,
        &[
            (ROLE, "inline_policy_changed", Effect::Widened, true),
            (ROLE, "permissions_boundary_removed", Effect::Widened, true),
        ],
    );
}

/// A role is changed in the same scan in which a workload comes to it or leaves it: what the workload
/// gains and loses by the other role is said of its association, and of nothing else.
#[test]
fn a_workload_that_changes_roles_is_told_from_what_changes_at_the_roles() {
    let writer = "arn:aws:iam::111122223333:role/writer";
    let put = allow(r#""Action":"s3:PutObject","Resource":"arn:aws:s3:::orders/*""#);
    let before = Small::new().role(writer, OPEN, &[("own", &put)]).association("pay", "batch", API);
    let mut after = before.clone().detail(|detail| detail.role_arn = writer.to_owned());
    let document = after.0.documents.read(&allow(READ_AND_DELETE));
    after.change_role(|role| role.inline[0].document = document);
    let after = after.role(writer, OPEN, &[("own", &put), ("more", &allow(r#""Action":"ec2:*","Resource":"*""#))]);
    let found = between(&before, &after);
    let reached = |resource: &str, change: &str| {
        let change = found.iter().find(|it| it.resource.name == resource && it.change == change).unwrap();
        let workloads: Vec<String> = change.affected.iter().map(|it| it.workload.to_string()).collect();
        (change.effect, workloads)
    };
    let batch = "111122223333/eu-west-1/prod/pay/batch".to_owned();
    assert_eq!(reached(API, "inline_policy_changed"), (Effect::Widened, vec![batch]), "{found:#?}");
    assert_eq!(reached(writer, "inline_policy_added"), (Effect::Widened, vec![]), "nobody had it before");
    assert_eq!(reached(WORKLOAD, "role_changed"), (Effect::Mixed, vec![WORKLOAD.to_owned()]));

    let before = Small::new().role(writer, OPEN, &[("own", &put)]);
    let trusts = allow(r#""Principal":{"AWS":"arn:aws:iam::999988887777:root"},"Action":"sts:AssumeRole""#);
    let added = trusts.strip_prefix(r#"{"Version":"2012-10-17","Statement":["#).unwrap();
    let both = format!("{},{added}", OPEN.strip_suffix("]}").unwrap());
    let after = before.clone().detail(|detail| detail.role_arn = writer.to_owned());
    let after = after.role(writer, &both, &[("own", &put)]);
    let found = between(&before, &after);
    let change = found.iter().find(|it| it.change == "trust_policy_changed").unwrap();
    assert_eq!((change.effect, change.lost.as_ref()), (Effect::Widened, None), "{change:#?}");
    assert_eq!(change.gained.as_ref().map(|it| it.resource.as_str()), Some(writer), "a trust policy is about its role");
}

#[test]
fn a_managed_policys_new_version_reaches_every_role_that_has_it() {
    let before = Small::new().managed(POLICY, &allow(READ)).attach(POLICY);
    let mut after = before.clone();
    let document = after.0.documents.read(&allow(READ_AND_DELETE));
    after.0.policies[0].document = Some(document);
    after.0.policies[0].default_version = "v2".into();
    expect(
        &before,
        &after,
        &[
            (MANAGED, "default_version_changed", Effect::Widened, true),
            (ROLE, "attached_policy_version_changed", Effect::Widened, true),
        ],
    );
    let found = between(&before, &after);
    assert_eq!(found[0].caused_by, None);
    assert_eq!(found[1].caused_by.as_ref(), Some(&found[0].id));
    // A new version of the same content is a change that comes to nothing.
    after.0.policies[0].document = before.0.policies[0].document;
    expect(
        &before,
        &after,
        &[
            (MANAGED, "default_version_changed", Effect::None, true),
            (ROLE, "attached_policy_version_changed", Effect::None, true),
        ],
    );
}

#[test]
fn trust_policies() {
    let small = Small::new();
    let other = allow(r#""Principal":{"AWS":"arn:aws:iam::999988887777:root"},"Action":"sts:AssumeRole""#);
    let both = BOUND.replace(
        "}]}",
        r#"},{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999988887777:root"},"Action":"sts:AssumeRole"}]}"#,
    );
    let read = allow(READ);
    let opened = small.clone().role(API, &both, &[("own", &read)]);
    expect(&small, &opened, &[(ROLE, "trust_policy_changed", Effect::Widened, true)]);
    let found = between(&small, &opened);
    assert!(found[0].gained.as_ref().unwrap().principal.as_ref().unwrap().contains("999988887777"), "{found:#?}");
    assert_eq!(found[0].affected[0].effect, Effect::None);
    // Without EKS in the trust policy the pods lose everything, when their credentials run out.
    let closed = small.clone().role(API, &other, &[("own", &read)]);
    let found = between(&small, &closed);
    assert_eq!(found[0].affected[0].effect, Effect::Narrowed, "{found:#?}");
    assert_eq!(found[0].takes_hold, TakesHold::NextCredentials);
    assert_eq!(found[0].effect, Effect::Mixed);
    // A role of another account lets the workload's role in.
    let hop = allow(&format!(r#""Action":"sts:AssumeRole","Resource":"{DATA}""#));
    let before = small.clone().may(&hop).role(DATA, &other, &[]);
    let admits = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":"sts:AssumeRole""#));
    let after = small.may(&hop).role(DATA, &admits, &[]);
    let found = between(&before, &after);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].affected.len(), 1, "{found:#?}");
    assert_eq!(found[0].affected[0].effect, Effect::Widened);
    assert_eq!(found[0].affected[0].gained.as_ref().unwrap().resource, DATA);
}

/// Whether pods still get a role whose trust policy cannot be read, nobody can say, for any workload.
#[test]
fn a_trust_policy_that_cannot_be_read_is_unknown_for_each_workload() {
    let small = Small::new().role(API, OPEN, &[("own", &allow(READ))]);
    let broken = small.clone().role(API, r#"{"Statement":[{"Effect":"Perhaps"}]}"#, &[("own", &allow(READ))]);
    for (before, after) in [(&small, &broken), (&broken, &small)] {
        let found = between(before, after);
        let change = found.iter().find(|it| it.change == "trust_policy_changed").unwrap();
        let effects: Vec<Effect> = change.affected.iter().map(|it| it.effect).collect();
        assert_eq!((change.effect, effects), (Effect::Unknown, vec![Effect::Unknown]), "{change:#?}");
    }
}

#[test]
fn a_trust_policy_written_otherwise_is_no_change() {
    let spaced = OPEN.replace("\":", "\" : ");
    expect(&Small::new().trust(OPEN), &Small::new().trust(&spaced), &[]);
}

#[test]
fn administrator_access_is_said_first_by_the_gravest_action() {
    let admin = Small::new().may(&allow(r#""Action":"*","Resource":"*""#));
    let words = |before: &Small, after: &Small| {
        let change = between(before, after).remove(0);
        change.gained.or(change.lost).unwrap().words
    };
    let said = "administrator access, such as iam:AttachGroupPolicy on ";
    assert!(words(&Small::new(), &admin).starts_with(said), "{}", words(&Small::new(), &admin));
    assert!(words(&admin, &Small::new()).starts_with(said));
    let some =
        Small::new().may(&allow(r#""Action":["s3:Get*","s3:PutBucketPolicy"],"Resource":"arn:aws:s3:::orders*""#));
    assert!(words(&Small::new(), &some).starts_with("s3:PutBucketPolicy on "), "{}", words(&Small::new(), &some));
}

#[test]
fn roles_come_and_go() {
    let small = Small::new();
    let two = small.clone().role(DATA, OPEN, &[("own", &allow(READ))]);
    expect(&small, &two, &[(ROLE, "added", Effect::Widened, false)]);
    expect(&two, &small, &[(ROLE, "removed", Effect::Narrowed, false)]);
    let mut gone = small.clone();
    gone.0.roles.clear();
    expect(&small, &gone, &[(ROLE, "removed", Effect::Narrowed, true)]);
    let mut anew = small.clone().may(&allow(READ_AND_DELETE));
    anew.change_role(|role| role.role_id = "AROAANOTHER".into());
    expect(&small, &anew, &[(ROLE, "recreated", Effect::Widened, true)]);
    assert_eq!(between(&small, &anew)[0].takes_hold, TakesHold::NextCredentials);
}

#[test]
fn associations() {
    let writer = "arn:aws:iam::111122223333:role/writer";
    let small = Small::new().role(writer, OPEN, &[("own", &allow(READ_AND_DELETE))]);
    let mut without = small.clone();
    without.0.associations.clear();
    expect(&without, &small, &[(ASSOCIATION, "added", Effect::Widened, true)]);
    expect(&small, &without, &[(ASSOCIATION, "removed", Effect::Narrowed, true)]);
    assert_eq!(between(&without, &small)[0].takes_hold, TakesHold::AtOnce);
    assert_eq!(between(&small, &without)[0].takes_hold, TakesHold::NextCredentials);

    let other = small.clone().detail(|detail| detail.role_arn = writer.to_owned());
    expect(&small, &other, &[(ASSOCIATION, "role_changed", Effect::Widened, true)]);
    assert_eq!(between(&small, &other)[0].takes_hold, TakesHold::NextCredentials);
    let mut anew = small.clone();
    anew.0.associations[0].association_id = "a-new".into();
    expect(&small, &anew, &[(ASSOCIATION, "recreated", Effect::None, true)]);

    let policy = small.clone().session_policy(&allow(r#""Action":"ec2:*","Resource":"*""#));
    expect(
        &small,
        &policy,
        &[
            (ASSOCIATION, "session_policy_set", Effect::Narrowed, true),
            (ASSOCIATION, "session_tags_disabled", Effect::None, true),
        ],
    );
    let mut owned = small.clone();
    owned.0.associations[0].owner_arn = Some("arn:aws:eks:eu-west-1:111122223333:addon/prod/vpc-cni/1".into());
    expect(&small, &owned, &[(ASSOCIATION, "owner_changed", Effect::None, true)]);

    let asks = r#""Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/kubernetes-namespace":"pay"}}"#;
    let small = Small::new().may(&allow(asks));
    let off = small.clone().detail(|detail| detail.disable_session_tags = true);
    expect(&small, &off, &[(ASSOCIATION, "session_tags_disabled", Effect::Narrowed, true)]);
    expect(&off, &small, &[(ASSOCIATION, "session_tags_enabled", Effect::Widened, true)]);

    // A trust policy that asks for the tag lets no pod in without it.
    let asks = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},
        "Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay"}}}]}"#;
    let small = Small::new().role(API, asks, &[("own", &allow(READ))]);
    let off = small.clone().detail(|detail| detail.disable_session_tags = true);
    expect(&small, &off, &[(ASSOCIATION, "session_tags_disabled", Effect::Narrowed, true)]);
    expect(&off, &small, &[(ASSOCIATION, "session_tags_enabled", Effect::Widened, true)]);

    let mut after = Small::new();
    after.0.associations[0].detail = None;
    expect(&Small::new(), &after, &[]);
}

#[test]
fn a_target_role_takes_the_place_of_the_role() {
    let admits = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":["sts:AssumeRole","sts:TagSession"]"#));
    let hop = allow(&format!(r#""Action":["sts:AssumeRole","sts:TagSession"],"Resource":"{DATA}""#));
    let before = Small::new().may(&hop).role(DATA, &admits, &[("data", &allow(READ_AND_DELETE))]);
    let after = before.clone().detail(|detail| {
        detail.target_role_arn = Some(DATA.to_owned());
        detail.external_id = Some("x".to_owned());
    });
    let found = between(&before, &after);
    let of = |change: &str| found.iter().find(|it| it.change == change).unwrap();
    let set = of("target_role_set");
    assert_eq!(set.gained.as_ref().map(|it| it.action.starts_with("s3:")), Some(true), "{set:#?}");
    assert_eq!(set.lost.as_ref().map(|it| it.resource.as_str()), Some(DATA), "{set:#?}");
    assert_eq!(of("external_id_changed").caused_by.as_ref(), Some(&set.id));
    // The target role's own trust policy closes: nothing is left, an hour from then.
    let closed = after.clone().role(
        DATA,
        &allow(r#""Principal":{"AWS":"arn:aws:iam::999988887777:root"},"Action":"sts:AssumeRole""#),
        &[("data", &allow(READ_AND_DELETE))],
    );
    let found = between(&after, &closed);
    assert_eq!(found[0].affected[0].effect, Effect::Narrowed, "{found:#?}");
    assert_eq!(found[0].takes_hold, TakesHold::NextCredentialsOfTargetRole);
    // The role on the way gains what the pods never have.
    let mut more = after.clone();
    let document =
        more.0.documents.read(&hop.replace("]}", r#",{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}"#));
    more.change_role(|role| role.inline[0].document = document);
    expect(&after, &more, &[(ROLE, "inline_policy_changed", Effect::None, true)]);
}

#[test]
fn the_organization() {
    let small = Small::new();
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#;
    let below = small.clone().scp("NoS3", deny, &["ou-1"]);
    expect(&small, &below, &[(ORG, "added", Effect::Narrowed, true)]);
    expect(&below, &small, &[(ORG, "removed", Effect::Widened, true)]);
    let elsewhere = small.clone().scp("NoS3", deny, &["ou-2"]);
    expect(
        &elsewhere,
        &below,
        &[(ORG, "attached_to_target", Effect::Narrowed, true), (ORG, "detached_from_target", Effect::Widened, false)],
    );
    let mut loosened = below.clone();
    let document = loosened.0.documents.read(&deny.replace("s3:*", "s3:Put*"));
    loosened.0.org_policies[1].document = document;
    expect(&below, &loosened, &[(ORG, "document_changed", Effect::Widened, true)]);
    let mut moved = elsewhere.clone();
    moved.0.accounts[0].ou_path = Some("/data".into());
    expect(&elsewhere, &moved, &[("AWS::Organizations::Account", "moved", Effect::Narrowed, true)]);
    let mut renamed = elsewhere.clone();
    renamed.0.org_units[1].path = "/production".into();
    renamed.0.accounts[0].ou_path = Some("/production".into());
    let found = between(&elsewhere, &renamed);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].change.as_str(), found[1].change.as_str()), ("renamed", "moved"));
    assert_eq!(found[1].caused_by.as_ref(), Some(&found[0].id));
    assert!(below.0.org_policies.iter().all(|policy| policy.kind == OrgPolicyKind::Scp));
}

/// A document that is no policy.
const BROKEN: &str = "{ this is no policy";

#[test]
fn what_limits_on_both_sides_alike_leaves_no_change_open() {
    let deny = |action: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"{action}","Resource":"*"}}]}}"#)
    };
    let below = |small: &Small, action: &str| small.clone().scp("No", &deny(action), &["ou-1"]);
    let session = Small::new().may(&allow(READ_AND_DELETE)).session_policy(BROKEN);
    let boundary = Small::new().may(&allow(READ_AND_DELETE)).managed(POLICY, BROKEN).boundary(POLICY);
    for small in [&session, &boundary] {
        // The organization's policies.
        expect(small, &below(small, "s3:*"), &[(ORG, "added", Effect::Narrowed, true)]);
        expect(&below(small, "s3:*"), small, &[(ORG, "removed", Effect::Widened, true)]);
        expect(small, &below(small, "ec2:*"), &[(ORG, "added", Effect::None, true)]);
        let found = between(small, &below(small, "s3:*"));
        assert!(found[0].because.contains("what else limits it is not known: "), "{found:#?}");
        // A gain that may be none beside a loss that may be none.
        let (get, delete) = (below(small, "s3:GetObject"), below(small, "s3:DeleteObject"));
        expect(&get, &delete, &[(ORG, "document_changed", Effect::Unknown, true)]);
    }
    // The role's own policies.
    let read = Small::new().session_policy(BROKEN);
    let more = Small::new().may(&allow(READ_AND_DELETE)).session_policy(BROKEN);
    expect(&read, &more, &[(ROLE, "inline_policy_changed", Effect::Widened, true)]);
    expect(&more, &read, &[(ROLE, "inline_policy_changed", Effect::Narrowed, true)]);
    // What cannot be read and may allow more decides for the role's own policies, and for no SCP.
    let also = |policy: &str| Small::new().role(API, BOUND, &[("own", policy), ("other", BROKEN)]);
    let (read, more) = (also(&allow(READ)), also(&allow(READ_AND_DELETE)));
    expect(&read, &more, &[(ROLE, "inline_policy_changed", Effect::Unknown, true)]);
    expect(&read, &below(&read, "s3:*"), &[(ORG, "added", Effect::Narrowed, true)]);
    // A session policy that cannot be read and is the change itself.
    let set = Small::new().session_policy(BROKEN);
    let set = between(&Small::new(), &set);
    assert!(set.iter().any(|it| it.change == "session_policy_set" && it.effect == Effect::Unknown), "{set:#?}");
}

#[test]
fn organization_policies_that_nobody_saw_are_said_or_decide() {
    let unseen = |small: &Small| small.clone().gap(ScopeKind::OrgPolicies);
    let (read, more) = (Small::new(), Small::new().may(&allow(READ_AND_DELETE)));
    let said = "the SCPs and RCPs above account 111122223333 were not seen, and ";
    for (before, after, effect, may) in [
        (&read, &more, Effect::Widened, "may refuse it"),
        (&more, &read, Effect::Narrowed, "may have refused it before"),
    ] {
        expect(&unseen(before), &unseen(after), &[(ROLE, "inline_policy_changed", effect, true)]);
        let found = between(&unseen(before), &unseen(after));
        assert!(found[0].because.ends_with(&format!("{said}{may}")), "{found:#?}");
        // Seen, they leave nothing to be said.
        assert!(!between(before, after)[0].because.contains("were not seen"));
    }
    let other = Small::new().may(&allow(&READ.replace(r#""s3:GetObject""#, r#"["s3:GetObject","s3:GetObject*"]"#)));
    let same = Small::new().may(&allow(&READ.replace(r#""s3:GetObject""#, r#""s3:GetObject*""#)));
    let found = between(&unseen(&other), &unseen(&same));
    assert_eq!(told(&found), [(ROLE, "inline_policy_changed".to_owned(), Effect::None, true)]);
    assert!(found[0].because.ends_with(&format!("{said}are taken to be the same before and after")), "{found:#?}");

    // Seen on one side alone they make no difference.
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#;
    let twin = "arn:aws:iam::111122223333:role/twin";
    let small = Small::new().scp("NoS3", deny, &["ou-1"]).role(twin, OPEN, &[("own", &allow(READ))]);
    let moved = unseen(&small.clone().detail(|detail| detail.role_arn = twin.to_owned()));
    expect(&small, &moved, &[(ASSOCIATION, "role_changed", Effect::None, true)]);
    expect(&moved, &small, &[(ASSOCIATION, "role_changed", Effect::None, true)]);

    // A policy that nobody saw may ask for a tag.
    let mut tagged = unseen(&Small::new());
    tagged.change_role(|role| drop(role.tags.insert("team".to_owned(), "pay".to_owned())));
    expect(&unseen(&Small::new()), &tagged, &[(ROLE, "tags_changed", Effect::Unknown, true)]);
    let off = |small: &Small| small.clone().detail(|detail| detail.disable_session_tags = true);
    let expected = [(ASSOCIATION, "session_tags_disabled", Effect::Unknown, true)];
    expect(&unseen(&Small::new()), &unseen(&off(&Small::new())), &expected);

    // An account whose place in the organization is not known may be below what changed.
    let lost = |small: Small| {
        let mut small = small;
        small.0.accounts[0].ou_path = None;
        small
    };
    let below = lost(Small::new().scp("NoS3", deny, &["ou-1"]));
    expect(&lost(Small::new()), &below, &[(ORG, "added", Effect::Unknown, true)]);
}

#[test]
fn clusters_and_what_is_in_them() {
    let small = Small::new();
    let more = small.clone().cluster("dev");
    expect(&small, &more, &[("AWS::EKS::Cluster", "added", Effect::None, false)]);
    let mut newer = small.clone();
    newer.0.clusters[0].version = Some("1.34".into());
    newer.0.clusters[0].status = Some("UPDATING".into());
    expect(&small, &newer, &[("AWS::EKS::Cluster", "field_changed", Effect::None, false)]);
    let mut without = small.clone();
    without.0.clusters[0].addons = Some(Vec::new());
    expect(&small, &without, &[("AWS::EKS::Addon", "removed", Effect::Narrowed, true)]);
    expect(&without, &small, &[("AWS::EKS::Addon", "added", Effect::Widened, true)]);
    let mut cni = small.clone();
    let addon = Addon { name: "vpc-cni".into(), ..small.0.clusters[0].addons.as_ref().unwrap()[0].clone() };
    cni.0.clusters[0].addons.as_mut().unwrap().push(addon);
    expect(&small, &cni, &[("AWS::EKS::Addon", "added", Effect::None, false)]);
    assert_eq!(between(&small, &cni)[0].resource.name, "arn:aws:eks:eu-west-1:111122223333:addon/prod/vpc-cni");
    let admin = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";
    let entry = |policies: &[&str]| AccessEntry {
        principal_arn: "arn:aws:iam::111122223333:role/ops".into(),
        groups: Vec::new(),
        kind: None,
        policies: policies.iter().map(|arn| AccessPolicy { arn: (*arn).into(), namespaces: Vec::new() }).collect(),
    };
    let with = |entry: AccessEntry| {
        let mut small = small.clone();
        small.0.clusters[0].access_entries = Some(vec![entry]);
        small
    };
    expect(&small, &with(entry(&[])), &[("AWS::EKS::AccessEntry", "added", Effect::Widened, false)]);
    expect(&with(entry(&[])), &with(entry(&[admin])), &[("AWS::EKS::AccessEntry", "changed", Effect::Widened, false)]);
    assert_eq!(
        between(&small, &with(entry(&[])))[0].resource.name,
        "arn:aws:eks:eu-west-1:111122223333:access-entry/prod/role/111122223333/ops"
    );
    let mut gone = small.clone();
    gone.0.clusters.clear();
    gone.0.associations.clear();
    let found = between(&small, &gone);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].caused_by.as_ref(), Some(&found[0].id), "{found:#?}");
}

/// The engine decides whether a token for a client id that a provider takes anew opens a role.
#[test]
fn a_provider_s_client_ids_thumbprints_and_tags() {
    let issuer = "token.actions.githubusercontent.com";
    let provider = format!("arn:aws:iam::111122223333:oidc-provider/{issuer}");
    let trust = |condition: &str| {
        allow(&format!(
            r#""Principal":{{"Federated":"{provider}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{condition}"#
        ))
    };
    let bound = trust(&format!(r#"{{"StringEquals":{{"{issuer}:aud":"sts.amazonaws.com"}}}}"#));
    let loose = trust(&format!(r#"{{"StringLike":{{"{issuer}:sub":"repo:paper/mill:*"}}}}"#));
    let refusing = trust(&format!(r#"{{"StringNotEquals":{{"{issuer}:aud":"other"}}}}"#));
    let named = trust(&format!(r#"{{"StringEquals":{{"{issuer}:aud":["sts.amazonaws.com","other"]}}}}"#));
    let of = |small: Small, ids: &[&str], prints: &[&str], tag: Option<&str>| {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let tags = tag.map(|value| ("team".to_owned(), value.to_owned())).into_iter().collect();
        let detail = Some(OidcProviderDetail { client_ids: set(ids), thumbprints: set(prints), tags });
        let mut small = small;
        small.0.oidc_providers.push(OidcProvider { arn: provider.parse().unwrap(), detail });
        small
    };
    const PROVIDER: &str = "AWS::IAM::OIDCProvider";
    let (one, two): (&[&str], &[&str]) = (&["sts.amazonaws.com"], &["sts.amazonaws.com", "other"]);
    for (trust, more, less) in [
        (None, Effect::None, Effect::None),
        (Some(&bound), Effect::None, Effect::None),
        (Some(&loose), Effect::Widened, Effect::Narrowed),
        (Some(&refusing), Effect::None, Effect::None),
        (Some(&named), Effect::Widened, Effect::Narrowed),
    ] {
        let small = || trust.map_or_else(Small::new, |trust| Small::new().role(DATA, trust, &[]));
        let (before, after) = (of(small(), one, &["a"], None), of(small(), two, &["a"], None));
        expect(&before, &after, &[(PROVIDER, "client_id_added", more, false)]);
        expect(&after, &before, &[(PROVIDER, "client_id_removed", less, false)]);
        let prints = of(small(), one, &["b"], None);
        let unknown = if trust.is_some() { Effect::Unknown } else { Effect::None };
        expect(&before, &prints, &[(PROVIDER, "thumbprints_changed", unknown, false)]);
        expect(&before, &of(small(), one, &["a"], Some("x")), &[(PROVIDER, "tags_changed", Effect::None, false)]);
        // A refused call says nothing of what it would have told.
        let mut unseen = small();
        unseen.0.oidc_providers.push(OidcProvider { arn: provider.parse().unwrap(), detail: None });
        expect(&before, &unseen, &[]);
        expect(&unseen, &after, &[]);
    }
    let gained = between(
        &of(Small::new().role(DATA, &loose, &[]), one, &[], None),
        &of(Small::new().role(DATA, &loose, &[]), two, &[], None),
    );
    assert_eq!(
        (gained[0].part.as_deref(), gained[0].gained.as_ref().map(|it| it.action.as_str())),
        (Some("other"), Some("sts:AssumeRoleWithWebIdentity"))
    );
}

#[test]
fn providers_and_trails() {
    let provider = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AA";
    let trust = allow(&format!(r#""Principal":{{"Federated":"{provider}"}},"Action":"sts:AssumeRoleWithWebIdentity""#));
    for (small, effect) in [(Small::new(), Effect::None), (Small::new().role(DATA, &trust, &[]), Effect::Widened)] {
        let mut with = small.clone();
        with.0.oidc_providers.push(OidcProvider { arn: provider.parse().unwrap(), detail: None });
        expect(&small, &with, &[("AWS::IAM::OIDCProvider", "added", effect, false)]);
    }
    let small = Small::new();
    let mut less = small.clone();
    less.0.trails[0].recorded = Some(Recorded::default());
    expect(&small, &less, &[("AWS::CloudTrail::Trail", "event_selectors_changed", Effect::None, false)]);
    let mut unseen = small.clone();
    unseen.0.trails[0].recorded = None;
    expect(&small, &unseen, &[]);
    let logging = |is_logging: bool| {
        let mut small = small.clone();
        small.0.trails[0].status = Some(TrailStatus { is_logging, started_at: None, stopped_at: None });
        small
    };
    let (on, off) = (logging(true), logging(false));
    for (before, after, change) in [
        (&on, &off, Some("logging_stopped")),
        (&off, &on, Some("logging_started")),
        (&small, &off, None),
        (&on, &small, None),
        (&off, &off, None),
    ] {
        let expected: Vec<Expected> =
            change.into_iter().map(|it| ("AWS::CloudTrail::Trail", it, Effect::None, false)).collect();
        expect(before, after, &expected);
    }
    let found = between(&on, &off);
    assert_eq!(found[0].records_less(), Some(true));
    assert_eq!(between(&off, &on)[0].records_less(), Some(false));
}

#[test]
fn removed_needs_two_complete_listings_and_added_the_earlier_one() {
    let before = Small::new();
    let mut after = Small::new();
    after.0.roles.clear();
    after.0.associations.clear();
    assert_eq!(between(&before, &after).len(), 2);
    for kind in [ScopeKind::Roles, ScopeKind::Associations] {
        assert_eq!(between(&before, &after.clone().gap(kind)).len(), 1, "{kind}");
        assert_eq!(between(&before.clone().gap(kind), &after).len(), 1, "{kind}");
        assert_eq!(between(&after.clone().gap(kind), &before).len(), 1, "{kind}");
    }
    assert_eq!(between(&before, &after.gap(ScopeKind::Entry)), []);
}

#[test]
fn the_same_difference_has_the_same_id_and_no_other_has() {
    let small = Small::new();
    let more = small.clone().may(&allow(READ_AND_DELETE)).target(OPEN).cluster("dev");
    let ids = |found: Vec<Change>| found.into_iter().map(|it| it.id).collect::<Vec<_>>();
    let (first, again) = (ids(between(&small, &more)), ids(between(&small, &more)));
    assert_eq!(first, again);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
    assert!(first.iter().all(|it| ids(between(&more, &small)).iter().all(|other| other != it)));
    assert_eq!((id(HOME), id(AWAY)), (small.0.accounts[0].id, small.0.accounts[1].id));
    assert_eq!(small.0.associations[0].key.region.as_str(), REGION);
}
