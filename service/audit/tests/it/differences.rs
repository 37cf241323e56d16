//! Differences between two looks: what changed, and what only one of them saw.

use crate::small::{API, BOUND, DATA, OPEN, Small, allow};
use rolecall_audit::diff::{
    AssociationChange, Change, Changed, ClusterChange, Presence, RoleChange, TrailChange, diff,
};
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{Recorded, SessionKind};

#[test]
fn an_estate_does_not_differ_from_itself() {
    let policy = "arn:aws:iam::111122223333:policy/p";
    let full = Small::new().target(OPEN).managed(policy, BOUND).attach(policy).boundary(policy);
    assert_eq!(diff(&full.0, &full.0), []);
    for kind in ScopeKind::ALL {
        assert_eq!(diff(&full.0, &full.clone().gap(kind).0), [], "{kind}");
    }
    let sessions = full.clone().session(SessionKind::AssumeRole, "x", "y", &[]);
    assert_eq!(diff(&full.0, &sessions.0), [], "sessions are events, and no state");
}

#[test]
fn each_change_is_named() {
    let before = Small::new();
    let after = Small::new().target(OPEN).cluster("dev").detail(|detail| detail.disable_session_tags = true);
    let changes = diff(&before.0, &after.0);
    let role = |what: &dyn Fn(&RoleChange) -> bool| {
        changes.iter().any(|c| matches!(c, Change::Role { role, what: w } if role.as_str() == API && what(w)))
    };
    let association = |what: &dyn Fn(&AssociationChange) -> bool| {
        changes.iter().any(|c| matches!(c, Change::Association { what: w, .. } if what(w)))
    };
    assert!(role(&|w| matches!(w, RoleChange::Inline { name, .. } if name == "own")), "{changes:#?}");
    assert!(association(&|w| matches!(w, AssociationChange::TargetRole(c) if c.after.as_deref() == Some(DATA))));
    assert!(association(&|w| matches!(w, AssociationChange::ExternalId(_))));
    assert!(association(&|w| matches!(w, AssociationChange::SessionTagsDisabled(c) if c.after)));
    let added = |c: &Change| matches!(c, Change::Cluster { what: ClusterChange::Presence(Presence::Added), .. });
    assert!(changes.iter().any(added));
    assert_eq!(changes.len(), 6, "{changes:#?}");
}

#[test]
fn a_trail_that_records_something_else_is_a_change_and_one_that_nobody_could_ask_is_none() {
    let with = |recorded: Option<Recorded>| {
        let mut small = Small::new();
        small.0.trails[0].recorded = recorded;
        small.0
    };
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let all = Recorded {
        management_reads: true,
        management_writes: true,
        excluded_sources: texts(&[]),
        data: texts(&["AWS::S3::Object", "AWS::SQS::Queue"]),
    };
    let less = Recorded {
        management_reads: false,
        excluded_sources: texts(&["kms.amazonaws.com"]),
        data: texts(&["AWS::SQS::Queue"]),
        ..all.clone()
    };
    let told = |changes: Vec<Change>| {
        changes
            .into_iter()
            .map(|change| match change {
                Change::Trail { what, .. } => what,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let (before, after) = (with(Some(all)), with(Some(less)));
    let expected = [
        TrailChange::ManagementReads(Changed { before: true, after: false }),
        TrailChange::Excluded { source: "kms.amazonaws.com".into(), presence: Presence::Added },
        TrailChange::Data { resource_type: "AWS::S3::Object".into(), presence: Presence::Removed },
    ];
    assert_eq!(told(diff(&before, &after)), expected);
    assert_eq!(told(diff(&after, &before)).len(), 3);
    assert_eq!(diff(&before, &with(None)), []);
    assert_eq!(diff(&with(None), &after), []);
}

#[test]
fn a_trust_policy_written_otherwise_is_no_change() {
    let spaced = OPEN.replace("\":", "\" : ");
    assert_eq!(diff(&Small::new().trust(OPEN).0, &Small::new().trust(&spaced).0), []);
    let other = allow(r#""Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole""#);
    let changes = diff(&Small::new().trust(OPEN).0, &Small::new().trust(&other).0);
    assert!(matches!(changes.as_slice(), [Change::Role { what: RoleChange::Trust(_), .. }]), "{changes:?}");
}

#[test]
fn removed_needs_two_whole_listings_and_added_needs_the_earlier_one() {
    let before = Small::new();
    let mut after = Small::new();
    after.0.roles.clear();
    after.0.associations.clear();
    assert_eq!(diff(&before.0, &after.0).len(), 2);
    for kind in [ScopeKind::Roles, ScopeKind::Associations] {
        assert_eq!(diff(&before.0, &after.clone().gap(kind).0).len(), 1, "{kind}");
        assert_eq!(diff(&before.clone().gap(kind).0, &after.0).len(), 1, "{kind}");
        assert_eq!(diff(&after.clone().gap(kind).0, &before.0).len(), 1, "{kind}");
    }
    assert_eq!(diff(&before.0, &after.gap(ScopeKind::Entry).0), []);
}

#[test]
fn an_association_that_could_not_be_described_says_nothing_about_its_role() {
    let before = Small::new();
    let mut after = Small::new();
    after.0.associations[0].detail = None;
    assert_eq!(diff(&before.0, &after.0), []);
}
