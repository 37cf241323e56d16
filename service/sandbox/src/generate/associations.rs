//! Associations and clusters with a problem, and some that only look so.

use super::draft::{Draft, Place, limited, role_arn, trust_arn};
use super::truth::Severity::{High, Low};
use super::{organisation, sessions};
use crate::build::{self, PODS, Role, allow, document, trust_irsa, trust_pods_of};
use serde_json::{Value, json};

/// One of each kind; `n` is its turn.
pub(super) fn add(draft: &mut Draft, n: usize) {
    let Some(place) = draft.place(n) else { return };
    roles(draft, n, &place);
    targets(draft, n, &place);
    cluster(draft, n, &place);
}

fn files(account: &str) -> Value {
    document(vec![allow(&["s3:GetObject"], &[&format!("arn:aws:s3:::files-{account}/*")])])
}

/// A trust policy for Pod Identity.
fn pods(actions: &Value, condition: &Value) -> Value {
    document(vec![
        json!({"Effect": "Allow", "Principal": {"Service": PODS}, "Action": actions, "Condition": condition}),
    ])
}

fn roles(draft: &mut Draft, n: usize, place: &Place) {
    let id = place.account.as_str();
    let both = json!(["sts:AssumeRole", "sts:TagSession"]);
    let source = json!({"StringEquals": {"aws:SourceAccount": id}, "ArnEquals": {"aws:SourceArn": place.arn()}});
    let name = |base: &str| format!("{base}-{n:02}");
    let role = |base: &str, trust: Value| Role::at(id, "/pods/", &name(base), trust).inline("files", files(id));

    let gone = role_arn(id, &format!("pods/{}", name("gift-cards")));
    let key = draft.associate_idle(place, ("checkout", &name("gift-cards")), &gone, json!({}));
    draft.problem("role-is-missing", &key, &["association-role-missing"], None);

    // One namespace for each turn: it has one service account of that name.
    let namespace = name("ingest");
    let made = draft.role(role("ingest-cron", trust_pods_of(&place.arn(), &namespace)));
    let key = draft.associate(place, (&namespace, "default"), &made);
    draft.problem("default-service-account", &key, &["default-service-account"], None);

    let made = draft.role(role("marketing-loyalty", trust_pods_of(&place.arn(), "marketing")));
    let key = draft.associate_idle(place, ("checkout", &name("loyalty")), &made, json!({}));
    draft.problem("trust-of-another-namespace", &key, &["trust-blocks-association"], None);

    let made = draft.role(role("fraud-labeller", pods(&json!("sts:AssumeRole"), &source)));
    let key = draft.associate_idle(place, ("fraud", &name("labeller")), &made, json!({}));
    draft.problem("no-tag-session", &key, &["trust-lacks-tag-session"], None);

    let wrong = format!("arn:aws:eks:{}:{id}:podidentityassociation/{}/*", place.region, place.name);
    let made = draft.role(role("archive-mount", pods(&both, &json!({"ArnLike": {"aws:SourceArn": wrong}}))));
    let key = draft.associate_idle(place, ("shipping", &name("archive-mount")), &made, json!({}));
    draft.problem("source-that-never-comes", &key, &["trust-source-arn-association"], None);

    let made = draft.role(role("fraud-exporter", trust_pods_of(&place.arn(), "fraud")));
    let off = json!({"disableSessionTags": true});
    let key = draft.associate_idle(place, ("fraud", &name("exporter")), &made, off);
    draft.problem("tags-are-off", &key, &["tag-conditions-while-tags-disabled"], None);

    let issuer = build::issuer(id, place.region, &place.name);
    let old = Role::new(id, &name("thumbnails-irsa"), trust_irsa(id, &issuer, "media", &name("thumbnails")));
    let old = draft.role(old.inline("files", files(id)));
    sessions::by_irsa(draft, place, ("media", &name("thumbnails")), &old);
    let made = draft.role(role("thumbnails", trust_pods_of(&place.arn(), "media")));
    let key = draft.associate(place, ("media", &name("thumbnails")), &made);
    draft.problem("irsa-as-well", &key, &["irsa-and-pod-identity-both"], None);

    let cut =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::"#;
    let made = draft.role(role("replayer", pods(&both, &source)));
    let members = json!({"disableSessionTags": true, "policy": cut});
    let key = draft.associate_idle(place, ("ingest", &name("replayer")), &made, members);
    draft.problem("session-policy-cut-off", &key, &["unreadable-session-policy"], None);

    let kept = document(vec![allow(&["s3:GetObject"], &[&format!("arn:aws:s3:::files-{id}/daily/*")])]).to_string();
    let made = draft.role(role("signals", pods(&both, &source)));
    let members = json!({"disableSessionTags": true, "policy": kept});
    let key = draft.associate_idle(place, ("fraud", &name("signals")), &made, members);
    draft.decoy(
        "session-policy",
        &key,
        &["unreadable-session-policy", "tag-conditions-while-tags-disabled", "trust-blocks-association"],
        Low,
    );
}

/// Second hops, into another account where there is one.
fn targets(draft: &mut Draft, n: usize, place: &Place) {
    let own = place.account.as_str();
    let other = draft.accounts.workloads.iter().find(|id| id.as_str() != own).cloned();
    let away = other.unwrap_or_else(|| own.to_owned());
    let root = format!("arn:aws:iam::{own}:root");
    let both = json!(["sts:AssumeRole", "sts:TagSession"]);
    let trusts = |principal: &str, actions: &Value| {
        document(vec![json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions})])
    };

    // What the association role may do to the target, and whom and what that one trusts it for.
    let cases: [(&'static str, &str, Value, &'static [&'static str]); 5] = [
        ("target-without-external-id", "open", both.clone(), &["target-role-without-external-id"]),
        ("target-trusts-pods-alone", "closed", both.clone(), &["chained-hop-not-allowed"]),
        ("target-without-tag-session", "notag", both.clone(), &["chained-hop-not-allowed"]),
        ("caller-without-tag-session", "caller", json!("sts:AssumeRole"), &["chained-hop-not-allowed"]),
        ("target-is-missing", "gone", both.clone(), &["association-role-missing", "chained-hop-not-allowed"]),
    ];
    for (kind, base, may, rules) in cases {
        let pod = format!("hop-{base}-{n:02}");
        let target = role_arn(&away, &format!("target-{base}-{n:02}"));
        let caller = draft.role(
            Role::at(own, "/pods/", &format!("settlement-{pod}"), trust_pods_of(&place.arn(), "settlement"))
                .inline("hop", document(vec![json!({"Effect": "Allow", "Action": may, "Resource": target})])),
        );
        let trust = match base {
            "open" => trusts(&root, &both),
            "closed" => build::trust_pods(),
            "notag" => trusts(&caller, &json!("sts:AssumeRole")),
            // In one account a trust policy that names the role is enough, whatever the role's own say.
            "caller" if away == own => trusts(&root, &both),
            _ => trusts(&caller, &both),
        };
        if base != "gone" {
            draft.role(Role::new(&away, &format!("target-{base}-{n:02}"), trust).inline("files", files(&away)));
        }
        let members = json!({"targetRoleArn": target, "externalId": external_id(draft, place, &pod)});
        let key = draft.associate_idle(place, ("settlement", &pod), &caller, members);
        draft.problem(kind, &key, rules, None);
    }

    let pod = format!("hop-guarded-{n:02}");
    let target = role_arn(&away, &format!("target-guarded-{n:02}"));
    let caller = draft.role(
        Role::at(own, "/pods/", &format!("settlement-{pod}"), trust_pods_of(&place.arn(), "settlement"))
            .inline("hop", document(vec![allow(&["sts:AssumeRole", "sts:TagSession"], &[&target])])),
    );
    let external = external_id(draft, place, &pod);
    let trust = limited(trusts(&caller, &both), json!({"StringEquals": {"sts:ExternalId": external}}));
    draft.role(Role::new(&away, &format!("target-guarded-{n:02}"), trust).inline("files", files(&away)));
    let members = json!({"targetRoleArn": target, "externalId": external});
    let key = draft.associate_idle(place, ("settlement", &pod), &caller, members);
    draft.decoy("target-with-external-id", &key, &["target-role-without-external-id", "chained-hop-not-allowed"], Low);

    let audit = trust_arn(&role_arn(own, &format!("pods/settlement-hop-guarded-{n:02}")));
    let made = draft.role(Role::new(&away, &format!("sister-reader-{n:02}"), audit).inline("files", files(&away)));
    draft.decoy("trusts-a-sister-account", &made, &["trust-admits-outsider"], High);
}

fn external_id(draft: &mut Draft, place: &Place, pod: &str) -> String {
    draft.cluster(place).map(|cluster| build::external_id(cluster, "settlement", pod)).unwrap_or_default()
}

/// A cluster without the agent, and one that brings it along.
fn cluster(draft: &mut Draft, n: usize, beside: &Place) {
    for (kind, name, is_auto) in [("no-agent", "bare", false), ("auto-mode", "auto", true)] {
        let place = Place { name: format!("{name}-{n:02}"), ..beside.clone() };
        organisation::cluster(draft, &place, false);
        if let (true, Some(cluster)) = (is_auto, draft.cluster(&place))
            && let Some(config) = cluster.detail.get_mut("computeConfig")
        {
            *config = json!({"enabled": true, "nodePools": ["general-purpose", "system"]});
        }
        let made = draft.role(
            Role::at(&place.account, "/pods/", &format!("{}-web", place.name), trust_pods_of(&place.arn(), "web"))
                .inline("files", files(&place.account)),
        );
        draft.associate_idle(&place, ("web", "web"), &made, json!({}));
        if is_auto {
            draft.decoy(kind, &place.arn(), &["agent-addon-missing"], Low);
        } else {
            draft.problem(kind, &place.arn(), &["agent-addon-missing"], None);
        }
    }
}
