//! The rules on sessions, and on associations and roles by their sessions, over whole estates.

use crate::policies;
use crate::shipped::{RULES, check, verdicts};
use crate::small::{API, AWAY, BOUND, CLUSTER, DATA, HOME, OPEN, REGION, Small, UUID, allow, id};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::evaluate::evaluate;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{
    AssociationSpan, EventScope, InstanceUse, Networks, Origin, RoleLastUsed, SessionKind, TrailMemory, UsedFrom,
};
use rolecall_rules::{Outcome, SourceFile};

const PODS: &str = "pods.eks.amazonaws.com";
const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn name() -> String {
    format!("eks-prod-api-7d9f6c-{UUID}")
}

/// A session by EKS of `pay/<service account>` on the cluster, on 20 November.
fn pod_of(small: Small, service_account: &str) -> Small {
    let arn = format!("arn:aws:eks:{REGION}:{HOME}:cluster/{CLUSTER}");
    small.session(
        SessionKind::PodIdentity,
        PODS,
        &name(),
        &[
            ("eks-cluster-arn", &arn),
            ("eks-cluster-name", CLUSTER),
            ("kubernetes-namespace", "pay"),
            ("kubernetes-service-account", service_account),
            ("kubernetes-pod-name", "api-7d9f6c5b8-x2x9z"),
        ],
    )
}

fn pod() -> Small {
    pod_of(Small::new(), "api")
}

fn with(mut small: Small, change: impl FnOnce(&mut Small)) -> Small {
    change(&mut small);
    small
}

#[test]
fn a_pod_session_needs_an_association() {
    let gone = || pod_of(Small::new(), "batch");
    let untagged = || Small::new().session(SessionKind::PodIdentity, PODS, &name(), &[]);
    let other_cluster = format!("eks-dev-api-7d9f6c-{UUID}");
    let remade = pod().detail(|detail| {
        detail.created_at = Some(at("2026-11-21T00:00:00Z"));
        detail.modified_at = detail.created_at;
    });
    let refused = with(gone(), |small| small.0.sessions[0].error = Some("AccessDenied".to_owned()));
    let elsewhere = with(gone(), |small| {
        let arn = format!("arn:aws:eks:{REGION}:999988887777:cluster/{CLUSTER}");
        small.0.sessions[0].tags.insert("eks-cluster-arn".to_owned(), arn);
    });
    let no_cluster = with(gone(), |small| {
        let tags = &mut small.0.sessions[0].tags;
        tags.insert("eks-cluster-arn".to_owned(), format!("arn:aws:eks:{REGION}:{HOME}:cluster/old"));
        tags.insert("eks-cluster-name".to_owned(), "old".to_owned());
    });
    check(
        "session-without-association",
        &[
            ("its own", pod(), "P"),
            ("none of its service account", gone(), "F"),
            ("of a cluster that is not there", no_cluster.clone(), "F"),
            ("of a cluster that is perhaps there", no_cluster.gap(ScopeKind::Clusters), "U"),
            ("of an account that nobody looks at", elsewhere, "U"),
            ("associations not seen", gone().gap(ScopeKind::Associations), "U"),
            ("the association was made anew since", remade, "U"),
            ("a refused request", refused, ""),
            ("without tags, by role and name", untagged().detail(|detail| detail.disable_session_tags = true), "P"),
            (
                "without tags, of another cluster",
                Small::new().session(SessionKind::PodIdentity, PODS, &other_cluster, &[]),
                "F",
            ),
            (
                "without tags, associations not described",
                Small::new()
                    .session(SessionKind::PodIdentity, PODS, &other_cluster, &[])
                    .gap(ScopeKind::AssociationDetails),
                "U",
            ),
            (
                "somebody else",
                Small::new().session(SessionKind::AssumeRole, "arn:aws:iam::111122223333:user/eve", "eve", &[]),
                "",
            ),
            ("not all seen", pod().gap(ScopeKind::Sessions), "U"),
        ],
    );
}

/// The association was there from the 2nd of November, and was removed or changed so long before the session.
fn ended(before: TimeDelta, target: bool, changed: bool) -> Small {
    let mut small = pod();
    let end = small.0.sessions[0].at - before;
    let mut old = small.0.associations[0].clone();
    let detail = old.detail.as_mut().unwrap();
    detail.target_role_arn = target.then(|| DATA.to_owned());
    small.0.association_history.push(AssociationSpan::new(&old, at("2026-11-02T00:00:00Z"), Some(end)));
    if changed {
        small = small.role("arn:aws:iam::111122223333:role/next", BOUND, &[]).detail(|detail| {
            detail.role_arn = "arn:aws:iam::111122223333:role/next".to_owned();
            detail.target_role_arn = target.then(|| DATA.to_owned());
            detail.modified_at = Some(end);
        });
        small.0.association_history.push(AssociationSpan::new(&small.0.associations[0], end, None));
    } else {
        small.0.associations.clear();
    }
    small
}

#[test]
fn pods_may_go_on_for_a_while_after_their_association_and_no_longer() {
    let (minutes, hours) = (TimeDelta::minutes, TimeDelta::hours);
    check(
        "session-after-association-ended",
        &[
            ("it stands", pod(), "P"),
            ("removed, six hours", ended(hours(6), false, false), "P"),
            ("removed, longer", ended(hours(6) + minutes(1), false, false), "F"),
            ("with a target role, 59 minutes", ended(minutes(59), true, false), "P"),
            ("with a target role, an hour", ended(minutes(60), true, false), "F"),
            ("another role, six hours", ended(hours(6), false, true), "P"),
            ("another role, longer", ended(hours(7), false, true), "F"),
            ("another role, not described", ended(hours(7), false, true).gap(ScopeKind::AssociationDetails), "U"),
            ("not all seen", ended(hours(5), false, true).gap(ScopeKind::Sessions), "U"),
        ],
    );
    let verdict = verdicts(&ended(hours(7), false, false), "session-after-association-ended").remove(0);
    let Outcome::Fail { message, evidence, .. } = verdict.outcome else { panic!("{verdict:?}") };
    assert_eq!(
        message,
        format!("sessions of {API}: the association of pay/api on prod was gone since 2026-11-20T02:20:04+00:00")
    );
    assert_eq!(evidence[0].value["eventID"], "e-0");
}

#[test]
fn a_pod_session_is_as_its_association_says() {
    let other = "arn:aws:iam::111122223333:role/other";
    let of_other = || with(pod(), |small| small.0.sessions[0].role_arn = Some(other.to_owned()));
    let changed = |text: &str| {
        let changed = at(text);
        of_other().detail(|detail| {
            detail.created_at = Some(at("2026-01-01T00:00:00Z"));
            detail.modified_at = Some(changed);
        })
    };
    let off = |modified: &str| {
        let modified = at(modified);
        pod().detail(|detail| {
            detail.disable_session_tags = true;
            detail.modified_at = Some(modified);
        })
    };
    let chained = |namespace: &str| {
        let mut small = pod();
        small.0.sessions[0].access_key_id = Some("ASIAPARENT".to_owned());
        let trust = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":["sts:AssumeRole","sts:TagSession"]"#));
        small = small.target(&trust).session(
            SessionKind::PodIdentityTarget,
            "arn:aws:sts::111122223333:assumed-role/api/x",
            &name(),
            &[("kubernetes-namespace", namespace)],
        );
        small.0.sessions[1].role_arn = Some(DATA.to_owned());
        small.0.sessions[1].parent_access_key_id = Some("ASIAPARENT".to_owned());
        small.0.sessions[1].at += TimeDelta::seconds(1);
        small
    };
    check(
        "session-disagrees-with-association",
        &[
            ("it does", pod(), "P"),
            ("another role since long", changed("2026-11-01T00:00:00Z"), "F"),
            ("another role since the session", changed("2026-11-20T08:00:00Z"), "P"),
            ("another role, nobody knows since when", of_other().detail(|detail| detail.created_at = None), "U"),
            ("another role, not described", changed("2026-11-01T00:00:00Z").gap(ScopeKind::AssociationDetails), "U"),
            ("tags that are off since long", off("2026-11-01T00:00:00Z"), "F"),
            ("tags that are off since an hour", off("2026-11-20T08:20:00Z"), "P"),
            ("a hop with its tags", chained("pay"), "PP"),
            ("a hop with another namespace's tags", chained("order"), "PF"),
            ("no association at all", pod_of(Small::new(), "batch"), "P"),
            ("not all seen", pod().gap(ScopeKind::Sessions), "U"),
        ],
    );
}

/// What IAM says of the role's last use.
fn last_used(small: Small, role: &str, text: &str) -> Small {
    let used = RoleLastUsed { role: role.parse().unwrap(), at: at(text), region: None };
    with(small, |small| small.0.last_used.push(used))
}

/// The estate with an association that is old enough to be unused, and a trail read for so many days.
fn old(small: Small, days: i64) -> Small {
    let small = small.detail(|detail| detail.created_at = Some(at("2025-01-01T00:00:00Z")));
    with(small, |small| small.0.sessions_since = Some(at("2026-11-23T00:00:00Z") - TimeDelta::days(days)))
}

#[test]
fn an_association_is_unused_only_where_somebody_would_have_seen_it_used() {
    let unsaid = with(old(Small::new(), 0), |small| small.0.sessions_since = None);
    let shared = || old(Small::new(), 7).association("pay", "batch", API);
    let shared = |small: Small| {
        let mut both = shared();
        both.0.last_used = small.0.snapshot.last_used;
        both.0.associations[1].detail.as_mut().unwrap().created_at = Some(at("2026-11-20T00:00:00Z"));
        both
    };
    let ambiguous = old(
        Small::new()
            .association("pay", "batch", API)
            .session(SessionKind::PodIdentity, PODS, &name(), &[])
            .detail(|detail| detail.disable_session_tags = true),
        100,
    );
    let ambiguous = with(ambiguous, |small| {
        let second = small.0.associations[1].detail.as_mut().unwrap();
        (second.disable_session_tags, second.created_at) = (true, Some(at("2026-11-19T00:00:00Z")));
    });
    let long_ago = with(old(pod(), 300), |small| small.0.sessions[0].at = at("2026-06-01T00:00:00Z"));
    let recently = "2026-11-22T00:00:00Z";
    check(
        "association-unused",
        &[
            ("a session", old(pod(), 7), "P"),
            ("a session long ago", long_ago.clone(), "F"),
            (
                "a session long ago, and a week read",
                with(long_ago, |s| s.0.sessions_since = Some(at("2026-11-16T00:00:00Z"))),
                "U",
            ),
            ("no session in a hundred days", old(Small::new(), 100), "F"),
            ("no session in a week", old(Small::new(), 7), "U"),
            ("nobody says what was read", unsaid, "U"),
            ("sessions not seen", old(Small::new(), 100).gap(ScopeKind::Sessions), "U"),
            (
                "no session in a hundred days, a file of last week damaged",
                old(Small::new(), 100).torn("2026-11-16"),
                "U",
            ),
            ("a session, a file of last week damaged", old(pod(), 7).torn("2026-11-16"), "P"),
            (
                "IAM saw its role used long ago, a file of last week damaged",
                last_used(old(Small::new(), 7), API, "2026-06-01T00:00:00Z").torn("2026-11-16"),
                "F",
            ),
            ("associations not seen", old(Small::new(), 100).gap(ScopeKind::Associations), "U"),
            ("perhaps its session", ambiguous, "U"),
            (
                "a young one",
                with(old(Small::new(), 100), |s| {
                    s.0.associations[0].detail.as_mut().unwrap().created_at = Some(at("2026-11-01T00:00:00Z"));
                }),
                "",
            ),
            ("IAM saw its role used", last_used(old(Small::new(), 7), API, recently), "P"),
            ("IAM saw its role used, the trail is whole", last_used(old(Small::new(), 100), API, recently), "P"),
            ("IAM saw a role used that others may use", shared(last_used(Small::new(), API, recently)), "U"),
            ("IAM saw its role used long ago", last_used(old(Small::new(), 7), API, "2026-06-01T00:00:00Z"), "F"),
            (
                "IAM saw it used long ago, sessions not seen",
                last_used(old(Small::new(), 7), API, "2026-06-01T00:00:00Z").gap(ScopeKind::Sessions),
                "F",
            ),
            (
                "IAM saw others used and never its own",
                last_used(old(Small::new(), 7), "arn:aws:iam::111122223333:role/ci", recently),
                "F",
            ),
            ("IAM of another account", last_used(old(Small::new(), 7), DATA, recently), "U"),
        ],
    );
    let by_days = |days: i64| {
        let mut files = policies::files("builtin");
        files.push(SourceFile {
            path: "unused.yaml".to_owned(),
            text: format!("apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: unused}}\nspec:\n  rules: [association-unused]\n  params: {{unused_for: {days}d}}\n"),
        });
        let rules = policies::load(&files);
        let verdicts = evaluate(&old(Small::new(), 7).0, &rules, at("2026-11-23T00:00:00Z")).verdicts;
        verdicts.into_iter().find(|verdict| verdict.rule == "association-unused").unwrap().outcome
    };
    assert!(matches!(by_days(6), Outcome::Fail { .. }));
    assert!(matches!(by_days(8), Outcome::Unknown { .. }));
}

#[test]
fn what_was_read_before_tells_of_longer_than_a_look() {
    let read = |small: Small, from: &str, all: bool| {
        with(small, |small| {
            small.0.memory.complete_ranges[0].from = at(from);
            small.0.memory.complete_ranges[0].all_regions = all;
        })
    };
    let week = || old(Small::new(), 6);
    let with_a_hole = with(read(week(), "2026-05-01T00:00:00Z", false), |small| {
        small.0.memory.complete_ranges[0].to = at("2026-11-10T00:00:00Z");
    });
    let files = with(read(week(), "2026-05-01T00:00:00Z", false), |small| {
        small.0.memory.complete_ranges[0].event_scope = EventScope::Stated;
        small.0.trails[0].recorded = None;
    });
    let no_look = |small: Small| with(small, |small| small.0.sessions_since = None);
    let last = |small: Small, at_: &str| {
        with(small, |small| {
            small.0.memory.associations.insert("a-pay-api".to_owned(), at(at_));
            small.0.memory.roles.insert("arn:aws:iam::111122223333:role/spare".to_owned(), at(at_));
        })
    };
    let long = || read(week(), "2026-05-01T00:00:00Z", false);
    check(
        "association-unused",
        &[
            ("half a year was read whole", long(), "F"),
            ("a month was", read(week(), "2026-10-20T00:00:00Z", false), "U"),
            ("half a year was, up to a hole before the look", with_a_hole, "U"),
            ("files of which nobody knows what they hold", files, "U"),
            ("no look, and half a year was read up to now", no_look(long()), "F"),
            (
                "no look, and nothing was read since",
                no_look(with(long(), |small| {
                    small.0.memory.complete_ranges[0].to = at("2026-11-20T00:00:00Z");
                })),
                "U",
            ),
            ("a use was counted last month", last(long(), "2026-10-20T00:00:00Z"), "P"),
            ("a use was counted long ago", last(long(), "2026-06-20T00:00:00Z"), "F"),
            ("a use was counted long ago, and little was read", last(week(), "2026-06-20T00:00:00Z"), "U"),
        ],
    );
    let spare = "arn:aws:iam::111122223333:role/spare";
    let unused = |small: Small| small.role(spare, OPEN, &[]);
    check(
        "role-unused",
        &[
            ("all regions were read, for half a year", unused(read(week(), "2026-05-01T00:00:00Z", true)), "F"),
            ("one region was", unused(long()), "U"),
            ("all regions were read, for a month", unused(read(week(), "2026-10-20T00:00:00Z", true)), "U"),
            ("a use was counted", last(unused(long()), "2026-10-20T00:00:00Z"), "P"),
        ],
    );
}

/// What an instance did, on 20 November.
fn by_node(small: Small, action: &str) -> Small {
    with(small, |small| {
        small.0.memory.instances.push(InstanceUse {
            account_id: id(HOME),
            region: REGION.parse().unwrap(),
            role_arn: NODE.to_owned(),
            action: action.to_owned(),
            calls: 7,
            denied: 2,
            first: at("2026-11-19T00:00:00Z"),
            last: at("2026-11-20T00:00:00Z"),
            networks: Networks::PRIVATE,
        });
    })
}

const NODE: &str = "arn:aws:iam::111122223333:role/node";

#[test]
fn pods_that_work_with_the_role_of_their_node_are_told_by_what_nodes_do_not_do() {
    let cni = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy";
    let describes = allow(r#""Action":["ec2:DescribeInstances","s3:GetObject"],"Resource":"*""#);
    let node_s = allow(r#""Action":"ec2:DescribeInstances","Resource":"*""#);
    let broken = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}"#;
    let elsewhere = with(by_node(Small::new(), "s3:GetObject"), |small| {
        small.0.memory.instances[0].region = "us-east-1".parse().unwrap();
    });
    let before =
        by_node(Small::new(), "s3:GetObject").detail(|detail| detail.created_at = Some(at("2026-11-21T00:00:00Z")));
    let old = with(by_node(Small::new(), "s3:GetObject"), |small| {
        small.0.memory.instances[0].last = at("2026-11-02T00:00:00Z");
    });
    let unread = || with(Small::new(), |small| small.0.memory.complete_ranges[0].to = at("2026-11-18T00:00:00Z"));
    let unrecorded = with(Small::new(), |small| {
        small.0.trails[0].recorded.as_mut().unwrap().data.clear();
    });
    let never = with(Small::new(), |small| small.0.memory = TrailMemory::default());
    let ambiguous = with(
        by_node(
            Small::new().association("pay", "batch", API).session(SessionKind::PodIdentity, PODS, &name(), &[]),
            "s3:GetObject",
        )
        .detail(|detail| detail.disable_session_tags = true),
        |small| small.0.associations[1].detail.as_mut().unwrap().disable_session_tags = true,
    );
    check(
        "node-role-fallback",
        &[
            ("instances did nothing of the kind", Small::new(), "P"),
            ("instances did what the pods may do", by_node(Small::new(), "s3:GetObject"), "F"),
            ("though its pods have sessions", by_node(pod(), "s3:GetObject"), "P"),
            ("what the pods may not do", by_node(Small::new(), "kms:Decrypt"), "P"),
            ("in another region", elsewhere, "P"),
            ("before there was the association", before, "P"),
            ("long ago", old, "P"),
            (
                "what nodes do",
                by_node(Small::new().may(&describes).managed(cni, &node_s), "ec2:DescribeInstances"),
                "P",
            ),
            (
                "what nodes do, where nobody says so",
                by_node(Small::new().may(&describes), "ec2:DescribeInstances"),
                "F",
            ),
            ("what nodes do cannot be read", by_node(Small::new().managed(cni, broken), "s3:GetObject"), "U"),
            ("what pods may do cannot be read", by_node(Small::new().may(broken), "s3:GetObject"), "U"),
            ("calls not read up to now", unread(), "U"),
            ("found, though not all was read", by_node(unread(), "s3:GetObject"), "F"),
            ("calls that no trail would record", unrecorded, "U"),
            ("nothing was counted", never, "U"),
            ("sessions not seen", by_node(Small::new(), "s3:GetObject").gap(ScopeKind::Sessions), "U"),
            ("a file of a day damaged", by_node(Small::new(), "s3:GetObject").torn("2026-11-20"), "U"),
            ("a file of long ago damaged", by_node(Small::new(), "s3:GetObject").torn("2026-10-02"), "F"),
            ("perhaps its session", ambiguous, "UU"),
            ("roles not seen", by_node(Small::new(), "s3:GetObject").gap(ScopeKind::Roles), "U"),
        ],
    );
}

#[test]
fn a_role_for_pods_is_unused_only_by_iam_s_own_record() {
    let spare = "arn:aws:iam::111122223333:role/spare";
    let ci = "arn:aws:iam::111122223333:role/ci";
    let estate = || Small::new().role(spare, OPEN, &[]);
    let seen = |small: Small| last_used(small, ci, "2026-11-22T00:00:00Z");
    let young = with(seen(estate()), |small| {
        let role = small.0.roles.iter_mut().find(|role| role.arn.as_str() == spare).unwrap();
        role.created_at = Some(at("2026-11-01T00:00:00Z"));
    });
    let opened = with(pod(), |small| small.0.sessions[0].role_arn = Some(spare.to_owned()));
    check(
        "role-unused",
        &[
            ("never", seen(estate()), "F"),
            ("long ago", last_used(estate(), spare, "2026-06-01T00:00:00Z"), "F"),
            ("yesterday", last_used(estate(), spare, "2026-11-22T00:00:00Z"), "P"),
            ("by a session that did nothing", seen(opened.role(spare, OPEN, &[])), "P"),
            ("nobody knows", estate(), "U"),
            ("roles not seen", seen(estate()).gap(ScopeKind::Roles), "UU"),
            ("with an association", seen(estate().association("pay", "spare", spare)), ""),
            ("associations not seen", seen(estate()).gap(ScopeKind::Associations), "UU"),
            ("associations cut off", seen(estate()).cut(ScopeKind::Associations), "U"),
            ("a young one", young, ""),
            (
                "not for pods",
                seen(Small::new().role(
                    spare,
                    &allow(r#""Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole""#),
                    &[],
                )),
                "",
            ),
        ],
    );
}

#[test]
fn names_that_programs_give_are_told_where_somebody_could_have_chosen_one() {
    let user = "arn:aws:iam::111122223333:user/eve";
    let by = |kind, principal: &str, name: &str| Small::new().session(kind, principal, name, &[]);
    let service_account = "system:serviceaccount:pay:api";
    check(
        "session-name-default",
        &[
            ("a user's", by(SessionKind::AssumeRole, user, "botocore-session-1700000000"), "F"),
            ("a pod's by IRSA", by(SessionKind::WebIdentity, service_account, "1700000000000000000"), "F"),
            ("a chosen one", by(SessionKind::AssumeRole, user, "eve"), "P"),
            ("EKS's own", pod(), ""),
            ("a service's", by(SessionKind::Service, "ec2.amazonaws.com", "i-0123456789abcdef0"), ""),
            ("not all seen", by(SessionKind::AssumeRole, user, "eve").gap(ScopeKind::Sessions), "U"),
        ],
    );
}

/// The pod's session and one by IRSA of the same service account, by a role that trusts these providers.
fn both(providers: &[&str]) -> Small {
    let irsa = "arn:aws:iam::111122223333:role/irsa";
    let statements: Vec<String> = providers
        .iter()
        .map(|provider| {
            let provider = provider.trim_start_matches("https://");
            format!(
                r#"{{"Effect":"Allow","Principal":{{"Federated":"arn:aws:iam::111122223333:oidc-provider/{provider}"}},"Action":"sts:AssumeRoleWithWebIdentity"}}"#
            )
        })
        .collect();
    let trust = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let small = pod().role(irsa, &trust, &[]).session(
        SessionKind::WebIdentity,
        "system:serviceaccount:pay:api",
        "token-file-web-identity",
        &[],
    );
    with(small, |small| {
        small.0.sessions[1].role_arn = Some(irsa.to_owned());
        small.0.clusters[0].oidc_issuer = Some(ISSUER.to_owned());
    })
}

#[test]
fn a_service_account_has_one_way_to_its_credentials() {
    let other = "https://oidc.eks.eu-west-1.amazonaws.com/id/FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF";
    let mine = || both(&[ISSUER]);
    check(
        "irsa-and-pod-identity-both",
        &[
            ("both", mine(), "F"),
            ("Pod Identity alone", pod(), "P"),
            ("IRSA alone", with(mine(), |small| drop(small.0.sessions.remove(0))), "P"),
            ("another cluster's service account of that name", both(&[other]), "P"),
            ("of this cluster or of another", both(&[ISSUER, other]), "U"),
            ("the issuer is not known", with(mine(), |small| small.0.clusters[0].oidc_issuer = None), "U"),
            (
                "the IRSA role is not known",
                with(mine(), |small| small.0.roles.retain(|role| role.arn.name() != "irsa")),
                "U",
            ),
            (
                "another service account",
                with(mine(), |s| s.0.sessions[1].principal = "system:serviceaccount:pay:web".to_owned()),
                "P",
            ),
            ("sessions not seen", pod().gap(ScopeKind::Sessions), "U"),
        ],
    );
}

#[test]
fn a_session_that_nearly_fills_its_space_is_told() {
    let sized = |size| with(pod(), |small| small.0.sessions[0].packed_policy_size = size);
    check(
        "packed-policy-size-near-limit",
        &[
            ("nearly full", sized(Some(90)), "F"),
            ("not yet", sized(Some(89)), "P"),
            ("no figure", sized(None), ""),
            ("not all seen", sized(Some(89)).gap(ScopeKind::Sessions), "U"),
            // The session is of the 20th, 09:20.
            ("a file of its day damaged", sized(Some(89)).torn("2026-11-20"), "U"),
            ("a file of its day damaged, found all the same", sized(Some(90)).torn("2026-11-20"), "F"),
            ("a file of the day before damaged", sized(Some(89)).torn("2026-11-19"), "P"),
            ("a file of the day after damaged", sized(Some(89)).torn("2026-11-21"), "P"),
            ("files of two days damaged", sized(Some(89)).torn("2026-11-19").torn("2026-11-20"), "U"),
            (
                "not all seen, and a file of another day damaged",
                sized(Some(89)).gap(ScopeKind::Sessions).torn("2026-11-21"),
                "U",
            ),
            (
                "a file of the day after damaged, the session shortly before midnight",
                with(sized(Some(89)), |small| small.0.sessions[0].at = at("2026-11-20T23:58:00Z")).torn("2026-11-21"),
                "U",
            ),
        ],
    );
}

#[test]
fn sessions_come_from_the_networks_that_a_binding_allows() {
    let judge = |small: Small, allowed: &str| {
        let mut files = policies::files("builtin");
        files.push(SourceFile {
            path: "networks.yaml".to_owned(),
            text: format!("apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: networks}}\nspec:\n  rules: [session-from-unexpected-network]\n  params: {{allowed: [{allowed}]}}\n"),
        });
        let verdicts = evaluate(&small.0, &policies::load(&files), at("2026-11-23T00:00:00Z")).verdicts;
        verdicts.into_iter().find(|verdict| verdict.rule == "session-from-unexpected-network").unwrap().outcome
    };
    let from = |address: &str| {
        let user = "arn:aws:iam::111122223333:user/eve";
        let small = Small::new().session(SessionKind::AssumeRole, user, "eve", &[]);
        with(small, |small| small.0.sessions[0].source_ip = Some(address.to_owned()))
    };
    assert_eq!(judge(from("10.1.2.3"), "10.0.0.0/8"), Outcome::Pass);
    let Outcome::Fail { message, .. } = judge(from("198.51.100.7"), "10.0.0.0/8") else { panic!("it is outside") };
    assert_eq!(message, format!("sessions of {API} were asked for from 198.51.100.7"));
    assert_eq!(judge(from("198.51.100.7"), ""), Outcome::NotApplicable, "nobody said what is expected");
    assert_eq!(judge(from("pods.eks.amazonaws.com"), "10.0.0.0/8"), Outcome::NotApplicable);
    let unseen = from("10.1.2.3").gap(ScopeKind::Sessions);
    assert!(matches!(judge(unseen, "10.0.0.0/8"), Outcome::Unknown { .. }));
    assert!(matches!(judge(from("10.1.2.3"), "10.0.0.0/99"), Outcome::Error { .. }));
    // More addresses than are kept leave open what the others were.
    let mut many = Small::new();
    for n in 0..300 {
        many = many.session(SessionKind::AssumeRole, "arn:aws:iam::111122223333:user/eve", "eve", &[]);
        many.0.sessions[n].source_ip = Some(format!("10.0.{}.{}", n / 200, n % 200));
    }
    assert!(matches!(judge(many.clone(), "10.0.0.0/8"), Outcome::Unknown { .. }));
    assert!(matches!(judge(many, "192.0.2.0/24"), Outcome::Fail { .. }));
}

/// Uses of the API role from an address, each by a session of its own with this number and first call.
fn used_from(association: &str, address: &str, agent: &str, sessions: &[(i32, &str)]) -> UsedFrom {
    UsedFrom {
        association_id: Some(association.to_owned()),
        role_arn: API.to_owned(),
        region: REGION.parse().unwrap(),
        network: Some(address.to_owned()),
        endpoint: None,
        agent: Some(agent.to_owned()),
        last: sessions.iter().map(|(_, first)| at(first)).max().unwrap(),
        sessions: sessions.iter().map(|(number, first)| (*number, at(first))).collect(),
    }
}

/// A session of the API pod, used once from this address; `days` of calls of the cluster from its NAT
/// gateway were recorded before.
fn used(address: &str, agent: &str, days: i64) -> Small {
    const NAT: &str = "203.0.113.10";
    let mut small = pod();
    let session = &mut small.0.sessions[0];
    session.access_key_id = Some("ASIAPOD".to_owned());
    let first = session.at + TimeDelta::minutes(3);
    let began = (first - TimeDelta::days(days)).to_rfc3339();
    small.0.memory.origins.push(Origin {
        account_id: id(HOME),
        access_key_id: Some("ASIAPOD".to_owned()),
        role_arn: API.to_owned(),
        region: REGION.parse().unwrap(),
        network: Some(address.to_owned()),
        endpoint: None,
        agent: Some(agent.to_owned()),
        first,
        last: first,
        action: "s3:ListAllMyBuckets".to_owned(),
        source: Some(address.to_owned()),
        is_rest: false,
    });
    let now = first.to_rfc3339();
    small.0.memory.used_from = vec![
        used_from("a-pay-api", address, agent, &[(1, now.as_str())]),
        used_from("a-pay-api", NAT, "boto3 on linux", &[(2, began.as_str())]),
    ];
    small
}

#[test]
fn credentials_that_are_used_elsewhere_are_told() {
    let foreign = || used("198.51.100.7", "aws-cli on kali linux", 30);
    let others = |small: Small, first: &str| {
        with(small, |small| {
            let sessions = [(3, first), (4, first), (5, first)];
            small.0.memory.used_from.push(used_from("a-pay-other", "198.51.100.9", "boto3 on linux", &sessions));
            let mut span = AssociationSpan::new(&small.0.associations[0], at("2026-11-01T00:00:00Z"), None);
            "a-pay-other".clone_into(&mut span.association_id);
            span.key.service_account = "other".parse().unwrap();
            small.0.association_history.push(span);
        })
    };
    let known = with(foreign(), |small| {
        let sessions = [(3, "2026-11-10T10:00:00Z")];
        small.0.memory.used_from.push(used_from("a-pay-api", "198.51.100.20", "boto3 on linux", &sessions));
    });
    // Five sessions in a day, and the sixth is used at its place and elsewhere.
    let twice = |at_home: bool| {
        with(used("198.51.100.7", "aws-cli on linux", 0), |small| {
            let hours = ["04", "05", "06", "07", "08"].map(|hour| format!("2026-11-20T{hour}:00:00Z"));
            let sessions: Vec<(i32, &str)> = (10..).zip(hours.iter().map(String::as_str)).collect();
            small.0.memory.used_from[1] = used_from("a-pay-api", "203.0.113.10", "boto3 on linux", &sessions);
            if at_home {
                let mut home = small.0.memory.origins[0].clone();
                home.network = Some("203.0.113.10".to_owned());
                home.source.clone_from(&home.network);
                home.agent = Some("boto3 on linux".to_owned());
                small.0.memory.origins.push(home);
            }
        })
    };
    let by_endpoint = |first: &str| {
        with(foreign(), |small| {
            let origin = &mut small.0.memory.origins[0];
            origin.endpoint = Some("vpce-0a1".to_owned());
            let mut past = used_from("a-pay-api", "10.0.0.0/16", "boto3 on linux", &[(1, first)]);
            past.endpoint.clone_from(&origin.endpoint);
            small.0.memory.used_from.push(past);
        })
    };
    let moving = with(foreign(), |small| {
        for n in 0..40 {
            let network = format!("192.0.{n}.1");
            let sessions = [(100 + n, "2026-11-01T00:00:00Z")];
            small.0.memory.used_from.push(used_from("a-pay-api", &network, "boto3 on linux", &sessions));
        }
    });
    let rest = with(used("203.0.113.10", "boto3 on linux", 30), |small| {
        let mut rest = small.0.memory.origins[0].clone();
        (rest.network, rest.agent, rest.source, rest.is_rest) = (None, None, None, true);
        small.0.memory.origins.push(rest);
    });
    check(
        "session-used-outside-networks",
        &[
            ("from an address that is new to the cluster", foreign(), "F"),
            ("from the cluster's own address", used("203.0.113.10", "boto3 on linux", 30), "P"),
            ("from the /24 network of an address that was used before", known, "P"),
            (
                "from where three sessions of another workload called before",
                others(foreign(), "2026-11-20T08:00:00Z"),
                "P",
            ),
            ("from where three sessions called afterwards", others(foreign(), "2026-11-20T10:00:00Z"), "F"),
            ("from its place and from another, after five sessions", twice(true), "F"),
            ("from another place alone, after five sessions", twice(false), "U"),
            ("through an endpoint that was used before", by_endpoint("2026-11-10T10:00:00Z"), "P"),
            ("through an endpoint that is new", by_endpoint("2026-11-20T09:23:04Z"), "F"),
            ("with calls of five days", used("198.51.100.7", "boto3 on linux", 5), "U"),
            ("with calls of five days, from the known address", used("203.0.113.10", "boto3 on linux", 5), "P"),
            ("of a cluster whose addresses change all the time", moving, "U"),
            ("no call recorded", pod(), "U"),
            ("more places than are kept", rest, "U"),
            ("not all sessions seen", foreign().gap(ScopeKind::Sessions), "F"),
            ("not all sessions seen, nothing new", used("203.0.113.10", "x", 30).gap(ScopeKind::Sessions), "U"),
        ],
    );
    let verdict = verdicts(&foreign(), "session-used-outside-networks").remove(0);
    let Outcome::Fail { message, evidence, .. } = verdict.outcome else { panic!("{verdict:?}") };
    assert_eq!(
        message,
        format!(
            "credentials of {API} were used outside the cluster's networks: s3:ListAllMyBuckets from 198.51.100.7 in \
             {REGION} by aws-cli on kali linux at 2026-11-20T09:23:04+00:00 with session {} of pod api-7d9f6c5b8-x2x9z",
            name()
        )
    );
    assert_eq!(evidence[0].value["eventID"], "e-0");
    check(
        "session-used-unusually",
        &[
            ("by a new program", foreign(), "F"),
            ("as ever", used("203.0.113.10", "boto3 on linux", 30), "P"),
            ("from elsewhere by the same program", used("198.51.100.7", "boto3 on linux", 30), "P"),
            ("with calls of five days", used("203.0.113.10", "aws-cli on linux", 5), "U"),
            ("by a new program, after five sessions", twice(true), "F"),
            ("no call recorded", pod(), "U"),
        ],
    );
}

#[test]
fn networks_that_a_binding_names_decide_alone() {
    let judge = |small: Small, params: &str| {
        let mut files = policies::files("builtin");
        files.push(SourceFile {
            path: "networks.yaml".to_owned(),
            text: format!("apiVersion: rolecall/v1\nkind: Binding\nmetadata: {{name: networks}}\nspec:\n  rules: [session-used-outside-networks]\n  select: {{clusters: [{CLUSTER}]}}\n  params: {params}\n"),
        });
        let verdicts = evaluate(&small.0, &policies::load(&files), at("2026-11-23T00:00:00Z")).verdicts;
        verdicts.into_iter().find(|verdict| verdict.rule == "session-used-outside-networks").unwrap().outcome
    };
    let elsewhere = || used("198.51.100.7", "boto3 on linux", 1);
    assert!(matches!(judge(elsewhere(), "{networks: [203.0.113.0/24]}"), Outcome::Fail { .. }));
    assert_eq!(judge(elsewhere(), "{networks: [203.0.113.0/24, 198.51.100.7]}"), Outcome::Pass);
    assert!(matches!(judge(elsewhere(), "{endpoints: [vpce-0a1]}"), Outcome::Fail { .. }));
    assert!(matches!(judge(pod(), "{networks: [203.0.113.0/24]}"), Outcome::Unknown { .. }));
}

#[test]
fn sessions_from_before_an_association_are_no_ones_fault() {
    let untagged = || Small::new().session(SessionKind::PodIdentity, PODS, &name(), &[]);
    let made = |small: Small, text: &str| {
        small.detail(|detail| {
            detail.created_at = Some(at(text));
            detail.modified_at = None;
        })
    };
    let off = |small: Small| small.detail(|detail| detail.disable_session_tags = true);
    let elsewhere = format!("eks-dev-api-7d9f6c-{UUID}");
    let of_dev = Small::new().session(SessionKind::PodIdentity, PODS, &elsewhere, &[]);
    check(
        "session-without-association",
        &[
            ("untagged, before the association was made", made(untagged(), "2026-11-21T00:00:00Z"), "U"),
            ("untagged, after it was made without tags", off(made(untagged(), "2026-11-19T00:00:00Z")), "P"),
            ("untagged, of a cluster to which none leads", made(of_dev, "2026-11-21T00:00:00Z"), "F"),
        ],
    );
    check(
        "session-disagrees-with-association",
        &[
            ("untagged, before the association was made", made(untagged(), "2026-11-21T00:00:00Z"), "P"),
            ("untagged, with tags off", off(made(untagged(), "2026-11-19T00:00:00Z")), "P"),
            ("untagged, with tags on since long", made(untagged(), "2026-11-01T00:00:00Z"), "F"),
        ],
    );
}

#[test]
fn what_was_not_seen_of_a_sessions_role_is_not_false() {
    let by = |principal: &str, session: &str| Small::new().session(SessionKind::AssumeRole, principal, session, &[]);
    let other_role = "arn:aws:sts::111122223333:assumed-role/ci/run-7";
    check(
        "session-name-imitation",
        &[
            ("by another role", by(other_role, &name()), "F"),
            (
                "by a role that an unseen association may have",
                by(other_role, &name()).gap(ScopeKind::Associations),
                "U",
            ),
            ("by a user", by("arn:aws:iam::111122223333:user/eve", &name()).gap(ScopeKind::Associations), "F"),
            ("under another name", by(other_role, "run-7").gap(ScopeKind::Associations), "P"),
        ],
    );
    let unseen_role = with(by(other_role, "run-7"), |small| small.0.roles.clear());
    check(
        "session-name-grammar",
        &[
            ("a role that is not there", unseen_role.clone(), ""),
            ("a role that is perhaps there", unseen_role.gap(ScopeKind::Roles), "U"),
        ],
    );
}

#[test]
fn an_account_that_only_records_name_is_counted_as_not_seen() {
    let mut small = pod();
    small.0.sessions[0].account_id = id("999988887777");
    let evaluation = evaluate(&small.0, &RULES, at("2026-11-23T00:00:00Z"));
    let of_it = |rule: &str| {
        let tallies = evaluation.tallies.iter();
        tallies.into_iter().find(|tally| tally.rule == rule && tally.account_id == id("999988887777")).cloned().unwrap()
    };
    for rule in ["trust-without-source", "association-role-missing", "session-name-grammar"] {
        assert_eq!((of_it(rule).pass, of_it(rule).unknown), (0, 1), "{rule}");
    }
    let named = with(small, |small| small.0.sessions[0].session_name = Some("by-hand".to_owned()));
    let outcomes = verdicts(&named, "session-name-grammar");
    assert!(matches!(outcomes[0].outcome, Outcome::Fail { .. }), "{outcomes:?}");
}

#[test]
fn an_account_that_nobody_looks_at_explains_no_target_session() {
    let trust = allow(&format!(r#""Principal":{{"AWS":"{API}"}},"Action":"sts:AssumeRole""#));
    let hop = |principal: &str| {
        let small =
            Small::new().role(DATA, &trust, &[]).session(SessionKind::PodIdentityTarget, principal, &name(), &[]);
        with(small, |small| {
            small.0.sessions[0].role_arn = Some(DATA.to_owned());
            small.0.sessions[0].account_id = id(AWAY);
        })
    };
    check(
        "session-without-association",
        &[
            ("of an account of the estate", hop("arn:aws:sts::111122223333:assumed-role/api/x"), "F"),
            ("of a foreign account", hop("arn:aws:sts::999988887777:assumed-role/api/x"), "U"),
            ("of nobody knows whom", hop("AROA:x"), "U"),
        ],
    );
    assert!(RULES.rule("session-without-association").is_some());
}
