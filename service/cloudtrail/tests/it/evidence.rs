//! What sessions and calls show beside their association.

use crate::fixture::{HOME, association, at, attribution, call, name, seen, session, settle, tagged};
use chrono::TimeDelta;
use rolecall_cloudtrail::evidence::Disagreement;
use rolecall_cloudtrail::{History, attribute_sessions, evidence};
use rolecall_estate::{AssociationSpan, Networks, Session, SessionKind};
use serde_json::json;
use std::collections::BTreeMap;
use std::slice::from_ref;

fn disagreements(session: &Session, spans: Vec<AssociationSpan>) -> Vec<Disagreement> {
    let history = History::new(spans);
    let attribution = attribute_sessions(from_ref(session), &history, &|_| None).remove(0);
    evidence::disagreements(session, &attribution, &history)
}

#[test]
fn a_session_that_differs_from_its_association_says_how() {
    let api = association("prod", "api", "api", None, false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api-7d9f6c5b8-x2x9z")), "prod", "api");
    assert_eq!(disagreements(&pod, vec![seen(&api)]), []);

    let off = association("prod", "api", "api", None, true);
    assert_eq!(disagreements(&pod, vec![seen(&off)]), [Disagreement::TagsWhileOff]);
    assert_eq!(disagreements(&pod, vec![]), [Disagreement::NoAssociation]);
    let early = Session { at: at("2026-10-01T00:00:00Z"), ..pod.clone() };
    assert_eq!(disagreements(&early, vec![seen(&api)]), [Disagreement::BeforeAssociation]);
    let bare = Session { tags: BTreeMap::new(), ..pod.clone() };
    assert_eq!(disagreements(&bare, vec![seen(&api)]), [Disagreement::TagsMissing]);
    let renamed = Session { session_name: Some(name("other", "api")), ..pod.clone() };
    assert_eq!(disagreements(&renamed, vec![seen(&api)]), [Disagreement::NameOfOtherCluster]);
    let renamed = Session { session_name: Some(name("prod", "web")), ..pod.clone() };
    assert_eq!(disagreements(&renamed, vec![seen(&api)]), [Disagreement::NameOfOtherPod]);

    // Gone, or changed: within the cache window pods may still hold what they had.
    for (hours, target, is_ghost) in [(5, None, false), (7, None, true), (5, Some("data"), true)] {
        let change = pod.at - TimeDelta::hours(hours);
        let old = association("prod", "api", "api", target, false);
        let ended = AssociationSpan::new(&old, at("2026-11-02T00:00:00Z"), Some(change));
        assert_eq!(disagreements(&pod, vec![ended.clone()]), [Disagreement::AfterEnd { ended: change, is_ghost }]);
        let mut new = association("prod", "api", "stronger", target, false);
        new.detail.as_mut().unwrap().modified_at = Some(change);
        let expected = "arn:aws:iam::111122223333:role/stronger".to_owned();
        let found = disagreements(&pod, vec![ended, AssociationSpan::new(&new, change, None)]);
        assert_eq!(found, [Disagreement::Role { expected, since: change, is_ghost }]);
    }
}

#[test]
fn a_service_account_with_irsa_and_pod_identity_is_seen_with_both() {
    let api = association("prod", "api", "api", None, false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let web = Session {
        principal: "system:serviceaccount:payments:api".to_owned(),
        ..session(2, SessionKind::WebIdentity, "irsa", "token-file-web-identity")
    };
    let stranger = Session { principal: "system:serviceaccount:payments:web".to_owned(), ..web.clone() };
    let denied = Session { error: Some("AccessDenied".to_owned()), ..web.clone() };
    let found =
        |sessions: &[Session]| evidence::both_credentials(sessions.iter().zip(&attribution(sessions, from_ref(&api))));
    let both = found(&[pod.clone(), web.clone(), web]);
    assert_eq!((both.len(), both[0].irsa.sessions, both[0].pod_identity.sessions), (1, 2, 1));
    assert_eq!(both[0].irsa.roles, ["arn:aws:iam::111122223333:role/irsa".to_owned()].into());
    assert_eq!(found(&[pod, stranger, denied]), []);
}

#[test]
fn calls_of_instances_are_known_by_the_name_of_their_session() {
    let mut by_node = call(1, HOME, 0, 0, 0, 9, 0);
    by_node["userIdentity"]["arn"] = json!("arn:aws:sts::111122223333:assumed-role/node/i-0123456789abcdef0");
    let uses = settle(&[by_node, call(2, HOME, 1, 1, 2, 9, 0)]).uses;
    let found = evidence::instance_uses(&uses, &[]);
    assert_eq!((found.len(), found[0].action.as_str(), found[0].calls), (1, "s3:GetObject", 1));
    assert!(found[0].role_arn.contains(":role/"));
    assert_eq!(evidence::instance_uses(&[], &[]), []);
}

#[test]
fn networks_beyond_the_expected_ones_are_told() {
    let mut outside = call(1, HOME, 0, 0, 0, 9, 0);
    outside["sourceIPAddress"] = json!("198.51.100.7");
    let uses = settle(&[outside, call(2, HOME, 1, 1, 2, 9, 0)]).uses;
    let found = evidence::unexpected_networks(&uses, Networks::PRIVATE.and(Networks::ENDPOINT));
    assert_eq!(
        found.iter().map(|(one, beyond)| (&*one.action, *beyond)).collect::<Vec<_>>(),
        [("s3:GetObject", Networks::PUBLIC)]
    );
}
