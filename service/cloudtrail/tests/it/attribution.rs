//! Which pod each session belongs to.

use crate::fixture::{AWAY, HOME, association, at, attribution, child, name, seen, session, tagged};
use chrono::TimeDelta;
use proptest::prelude::*;
use rolecall_cloudtrail::{History, attribute_sessions};
use rolecall_estate::{AssociationSpan, AttributionMethod, Session, SessionAttribution, SessionKind};
use std::collections::BTreeMap;
use std::slice::from_ref;

#[test]
fn a_session_keeps_the_attribution_that_it_has() {
    let mut pod = session(1, SessionKind::PodIdentity, "api", "eks-prod-api");
    let known = SessionAttribution {
        method: AttributionMethod::Tags,
        association_id: Some("a-elsewhere".to_owned()),
        ..SessionAttribution::default()
    };
    pod.attribution = Some(Box::new(known.clone()));
    let attributions = attribution(&[pod, child(2, 1, "data")], &[]);
    assert_eq!(attributions[0], known);
    // What it opened follows from it.
    assert_eq!((attributions[1].method, attributions[1].depth), (AttributionMethod::Chain, 1));
    assert_eq!(attributions[1].association_id, known.association_id);
}

#[test]
fn tags_tie_a_session_to_the_association_that_was_valid() {
    let api = association("prod", "api", "api", None, false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let attributions = attribution(from_ref(&pod), from_ref(&api));
    assert_eq!(
        (attributions[0].method, attributions[0].association.as_ref()),
        (AttributionMethod::Tags, Some(&api.key))
    );
    assert_eq!(attributions[0].pod.as_deref(), Some("api-7d9f6c5b8-x2x9z"));

    let reason = |spans: Vec<AssociationSpan>, pod: &Session| {
        let attribution = attribute_sessions(from_ref(pod), &History::new(spans), &|_| None).remove(0);
        assert_eq!((attribution.method, &attribution.association), (AttributionMethod::Tags, &None));
        assert_eq!((attribution.service_account.as_deref(), attribution.association.is_none()), (Some("api"), true));
        attribution.reason.unwrap()
    };
    assert!(reason(vec![], &pod).contains("no association"));
    let ended = AssociationSpan::new(&api, at("2026-11-02T00:00:00Z"), Some(at("2026-11-10T00:00:00Z")));
    assert!(reason(vec![ended], &pod).contains("gone"));
    let early = Session { at: at("2026-10-01T00:00:00Z"), ..pod.clone() };
    assert!(reason(vec![seen(&api)], &early).contains("later"));

    // Changed after the session, but the same association.
    let mut changed = api.clone();
    changed.detail.as_mut().unwrap().modified_at = Some(at("2026-11-21T00:00:00Z"));
    assert_eq!(attribution(&[pod], &[changed])[0].association_id.as_deref(), Some("a-prod-api"));
}

#[test]
fn without_tags_role_and_name_decide_or_say_that_they_cannot() {
    let associations = [
        association("prod", "api", "shared", None, true),
        association("prod", "web", "shared", None, true),
        association("development", "api", "shared", None, true),
        association("prod", "solo", "solo", None, true),
        association("prod", "talks", "shared", None, false),
    ];
    let cases = [
        ("solo", name("prod", "api"), AttributionMethod::Name, vec![], Some("prod"), Some("solo")),
        ("shared", name("development", "api"), AttributionMethod::Name, vec![], Some("development"), Some("api")),
        (
            "shared",
            name("prod", "api"),
            AttributionMethod::Ambiguous,
            vec!["a-prod-api", "a-prod-web"],
            Some("prod"),
            None,
        ),
        ("shared", name("elsewhere", "api"), AttributionMethod::None, vec![], None, None),
        ("unknown", name("prod", "api"), AttributionMethod::None, vec![], None, None),
    ];
    for (role, name, by, candidates, cluster, account) in cases {
        let attribution = attribution(&[session(1, SessionKind::PodIdentity, role, &name)], &associations).remove(0);
        assert_eq!(
            (attribution.method, attribution.candidates, attribution.cluster.as_deref()),
            (by, candidates.iter().map(ToString::to_string).collect(), cluster),
            "{role} {name}"
        );
        assert_eq!(attribution.service_account.as_deref(), account, "{role} {name}");
        assert_eq!(attribution.reason.is_none(), by == AttributionMethod::Name);
    }
}

#[test]
fn a_chain_of_sessions_is_one_story_in_any_order() {
    let api = association("prod", "api", "api", Some("data"), false);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let target = Session { kind: SessionKind::PodIdentityTarget, ..child(2, 1, "data") };
    let further = child(3, 2, "more");
    let last = child(4, 3, "most");
    let copy = Session {
        event_id: "copy".to_owned(),
        account_id: AWAY.parse().unwrap(),
        parent_access_key_id: None,
        principal: "AROAX:hop".to_owned(),
        ..further.clone()
    };
    let all = [last, copy, further, target, pod];
    for turn in 0..all.len() {
        let mut turned = all.to_vec();
        turned.rotate_left(turn);
        let attributions = attribution(&turned, from_ref(&api));
        let of = |id: &str| &attributions[turned.iter().position(|s| s.event_id == id).unwrap()];
        for (id, by, depth) in [
            ("e-1", AttributionMethod::Tags, 0),
            ("e-2", AttributionMethod::Chain, 1),
            ("e-3", AttributionMethod::Chain, 2),
            ("copy", AttributionMethod::AccessKey, 2),
            ("e-4", AttributionMethod::Chain, 3),
        ] {
            let attribution = of(id);
            assert_eq!(
                (attribution.method, attribution.depth, attribution.association.as_ref()),
                (by, depth, Some(&api.key)),
                "{id}"
            );
        }
        assert_eq!(of("e-4").parent.as_deref(), Some("ASIA3"));
    }
}

/// Sessions of which any may have opened any other, at any time.
fn stories() -> impl Strategy<Value = Vec<Session>> {
    let one = (0_usize..8, prop::option::of(0_usize..10), 0_u8..6, -30_i64..30, any::<bool>());
    prop::collection::vec(one, 1..14).prop_map(|drawn| {
        let sessions = drawn.into_iter().enumerate().map(|(n, (key, parent, kind, seconds, away))| {
            let api = name("prod", "api");
            let (kind, role) = match kind {
                0 | 1 => (SessionKind::PodIdentity, "api"),
                2 => (SessionKind::PodIdentity, "shared"),
                3 => (SessionKind::PodIdentityTarget, "data"),
                _ => (SessionKind::AssumeRole, "more"),
            };
            let mut session = session(n, kind, role, &api);
            session.access_key_id = Some(format!("ASIA{key}"));
            session.at += TimeDelta::seconds(seconds);
            if kind != SessionKind::PodIdentity {
                session.parent_access_key_id = parent.map(|parent| format!("ASIA{parent}"));
                session.principal = format!("arn:aws:sts::{HOME}:assumed-role/api/{api}");
            } else if role == "api" {
                session = tagged(session, "prod", if away { "api" } else { "web" });
            }
            if away {
                session.account_id = AWAY.parse().unwrap();
            }
            session
        });
        sessions.collect()
    })
}

proptest! {
    #[test]
    fn ties_do_not_depend_on_the_order_or_on_clocks((told, shuffled) in stories().prop_flat_map(|told| {
        (Just(told.clone()), Just(told).prop_shuffle())
    })) {
        let associations = [
            association("prod", "api", "api", Some("data"), false),
            association("prod", "web", "api", None, false),
            association("prod", "one", "shared", None, true),
            association("prod", "two", "shared", None, true),
        ];
        let by_event = |sessions: &[Session]| -> BTreeMap<String, SessionAttribution> {
            let attributions = attribution(sessions, &associations);
            sessions.iter().zip(attributions).map(|(session, attribution)| (session.event_id.clone(), attribution)).collect()
        };
        let expected = by_event(&told);
        prop_assert_eq!(&expected, &by_event(&shuffled));
        let mut askew = told;
        for session in &mut askew {
            session.at = at("2026-11-20T09:00:00Z");
        }
        prop_assert_eq!(expected, by_event(&askew));
    }
}

#[test]
fn a_parent_that_comes_late_mends_the_tie() {
    let api = association("prod", "api", "api", None, false);
    let history = History::new(vec![seen(&api)]);
    let pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    let hop = child(2, 1, "more");
    let alone = attribute_sessions(from_ref(&hop), &history, &|_| None).remove(0);
    assert_eq!((alone.method, alone.association.is_none()), (AttributionMethod::None, true));
    let parent = attribute_sessions(from_ref(&pod), &history, &|_| None).remove(0);
    let known = |key: &str| (key == "ASIA1").then(|| parent.clone());
    let later = attribute_sessions(from_ref(&hop), &history, &known).remove(0);
    let together = attribute_sessions(&[hop, pod], &history, &|_| None).remove(0);
    assert_eq!((&later, later.association.is_none()), (&together, false));
    assert_eq!(later.method, AttributionMethod::Chain);
}

#[test]
fn what_a_caller_says_of_itself_ties_nothing() {
    let api = association("prod", "api", "api", Some("data"), true);
    // Tags and a name of a pod's, set by somebody with a key of his own.
    let imitation = tagged(child(2, 1, "api"), "prod", "api");
    let imitation = Session {
        session_name: Some(name("prod", "api")),
        principal: "arn:aws:sts::111122223333:assumed-role/dev/mallory".to_owned(),
        ..imitation
    };
    assert_eq!(attribution(from_ref(&imitation), from_ref(&api))[0].method, AttributionMethod::None);
    // The parent is known, and is no pod.
    let parent = Session { kind: SessionKind::Saml, ..session(1, SessionKind::Saml, "dev", "mallory") };
    let attributions = attribution(&[imitation, parent], &[api]);
    assert_eq!((attributions[0].method, attributions[0].parent.as_deref()), (AttributionMethod::None, Some("ASIA1")));
    assert!(attributions[0].reason.as_deref().unwrap().contains("no pod"));
}

#[test]
fn a_parent_of_a_later_second_is_the_parent() {
    let api = association("prod", "api", "api", None, false);
    let mut pod = tagged(session(1, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api");
    pod.at += TimeDelta::seconds(9);
    let hop = child(2, 1, "more");
    let history = History::new(vec![seen(&api)]);
    let parent = attribute_sessions(from_ref(&pod), &history, &|_| None).remove(0);
    let later = attribute_sessions(from_ref(&hop), &history, &|key| (key == "ASIA1").then(|| parent.clone())).remove(0);
    assert!(pod.at > hop.at);
    let together = attribute_sessions(&[hop, pod], &history, &|_| None).remove(0);
    assert_eq!((together.method, &together), (AttributionMethod::Chain, &later));
}

#[test]
fn closed_and_long_chains_end() {
    let api = association("prod", "api", "api", None, false);
    let mut ring: Vec<Session> = (0..5).map(|n| child(n, (n + 1) % 5, "r")).collect();
    for session in &mut ring {
        session.at = at("2026-11-20T09:00:00Z");
    }
    assert!(attribution(&ring, from_ref(&api)).iter().all(|attribution| attribution.method == AttributionMethod::None));
    let mut chain = vec![tagged(session(0, SessionKind::PodIdentity, "api", &name("prod", "api")), "prod", "api")];
    chain.extend((1..5000).map(|n| child(n, n - 1, "r")));
    chain.reverse();
    let attributions = attribution(&chain, &[api]);
    assert!(attributions.iter().all(|attribution| attribution.association.is_some()));
    assert_eq!(attributions[0].depth, u8::MAX);
}
