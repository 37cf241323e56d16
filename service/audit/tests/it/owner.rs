//! Whose findings and associations are.

use crate::findings::{kept, now};
use crate::shipped::RULES;
use crate::small::{API, AWAY, CLUSTER, DATA, HOME, OPEN, REGION, Small, allow, id};
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::facts;
use rolecall_audit::finding::finding_owners;
use rolecall_audit::finding::{FindingAction, KnownFinding, Workflow, reconcile};
use rolecall_audit::owner::{Owned, Owner, Owners, Ownership, association_owners};
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{AssociationKey, ResourceKind, Tags};
use rolecall_rules::{OwnerRules, SourceFile, SubjectKind};
use std::collections::BTreeMap;

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn tag_role(small: &mut Small, arn: &str, pairs: &[(&str, &str)]) {
    small.0.roles.iter_mut().find(|role| role.arn.as_str() == arn).unwrap().tags = tags(pairs);
}

fn tag_cluster(small: &mut Small, pairs: &[(&str, &str)]) {
    small.0.clusters[0].tags = tags(pairs);
}

fn tag_association(small: &mut Small, namespace: &str, pairs: &[(&str, &str)]) {
    let mut found = small.0.associations.iter_mut().filter(|it| it.key.namespace.as_str() == namespace);
    found.next().unwrap().detail.as_mut().unwrap().tags = tags(pairs);
}

fn ownership(rules: &str) -> Ownership {
    if rules.is_empty() {
        return Ownership::default();
    }
    let text = format!("apiVersion: rolecall/v1\nkind: Owners\nspec:\n  owners:\n{rules}");
    let file = SourceFile { path: "owners.yaml".to_owned(), text };
    Ownership { rules: OwnerRules::load(&file, facts::schema()).unwrap(), ..Ownership::default() }
}

fn key(namespace: &str) -> AssociationKey {
    format!("{HOME}/{REGION}/{CLUSTER}/{namespace}/api").parse().unwrap()
}

fn said(owner: &Owner) -> String {
    match owner {
        Owner::Rule { name, origin, .. } => format!("{name} by {origin}"),
        Owner::Tag { name, key, resource } => format!("{name} by {key} of {resource}"),
        Owner::Nobody { several: false } => "nobody".to_owned(),
        Owner::Nobody { several: true } => "several".to_owned(),
        Owner::Unknown { why } => format!("unknown: {}", why[0]),
    }
}

fn gap(small: &mut Small, scope: Scope) {
    let (action, detail) = ("x:List".to_owned(), String::new());
    small.0.coverage.gap(Gap { scope, action, reason: GapReason::Denied, detail, day: None });
}

/// Who the association `pay/api` belongs to, and a finding on its role, after a change of the small estate.
fn owners(rules: &str, change: impl FnOnce(&mut Small)) -> (String, String) {
    let everything = allow(r#""Action":"*","Resource":"*""#);
    let mut small = Small::new().may(&everything);
    change(&mut small);
    let ownership = ownership(rules);
    let owners = Owners::new(&ownership, &small.0);
    let evaluation = evaluate(&small.0, &RULES, now());
    let reach = &evaluation.reach;
    let role = evaluation.verdicts.iter().map(|verdict| &verdict.subject);
    let role = role.into_iter().find(|it| it.kind == SubjectKind::Role && it.key == API).unwrap();
    let of_role = owners.of_subject(role, &reach.of_subject(role));
    (said(&owners.of_association(&key("pay"))), said(&of_role))
}

#[test]
fn tags_of_what_is_nearest_say_whose_something_is() {
    let nobody = ("nobody".to_owned(), "nobody".to_owned());
    assert_eq!(owners("", |_| {}), nobody);
    let both = |small: &mut Small| {
        tag_association(small, "pay", &[("team", "pay-team")]);
        tag_role(small, API, &[("owner", "api-owner"), ("team", "api-team")]);
        tag_cluster(small, &[("owner", "cluster-owner")]);
    };
    let key = key("pay");
    let expected = (format!("pay-team by team of {key}"), format!("api-owner by owner of {API}"));
    assert_eq!(owners("", both), expected);
    // Letter case counts, and what is empty says nothing.
    let other = |small: &mut Small| {
        tag_association(small, "pay", &[("Owner", "no"), ("owner", " "), ("team", "")]);
        tag_cluster(small, &[("owner", "cluster-owner")]);
    };
    let cluster = format!("cluster-owner by owner of arn:aws:eks:{REGION}:{HOME}:cluster/{CLUSTER}");
    assert_eq!(owners("", other), (cluster.clone(), cluster));
    // A role that no tag names is of whose workloads have it.
    let by_workload = |small: &mut Small| tag_association(small, "pay", &[("owner", "pay")]);
    let said = format!("pay by owner of {key}");
    assert_eq!(owners("", by_workload), (said.clone(), said));
}

#[test]
fn a_role_of_workloads_of_several_owners_is_nobodys() {
    let shared = |other: &'static [(&'static str, &'static str)]| {
        move |small: &mut Small| {
            *small = small.clone().association("billing", "api", API);
            tag_association(small, "pay", &[("owner", "pay")]);
            tag_association(small, "billing", other);
        }
    };
    assert_eq!(owners("", shared(&[("owner", "billing")])).1, "several");
    assert_eq!(owners("", shared(&[])).1, "several");
    assert_eq!(owners("", shared(&[("team", "pay")])).1, format!("pay by team of {}", key("billing")));
    // A rule takes the role where it takes every workload that has it.
    let rule = "    - {owner: money, select: {namespaces: [pay, billing]}}";
    assert_eq!(owners(rule, shared(&[])).1, "money by owners.yaml:5");
    let rule = "    - {owner: money, select: {namespaces: [pay]}}";
    assert_eq!(owners(rule, shared(&[])), ("money by owners.yaml:5".to_owned(), "several".to_owned()));
}

#[test]
fn rules_go_before_tags_and_the_first_decides() {
    let tagged = |small: &mut Small| tag_role(small, API, &[("owner", "api-owner")]);
    let rules = "    - {owner: elsewhere, select: {ou: /data}}
    - {owner: prod, select: {ou: /prod}}
    - {owner: late, select: {accounts: ['111122223333']}}";
    let prod = "prod by owners.yaml:6".to_owned();
    assert_eq!(owners(rules, tagged), (prod.clone(), prod));
    let rules = "    - {owner: one, select: {roles: ['arn:aws:iam::*:role/api']}}";
    let one = "one by owners.yaml:5".to_owned();
    assert_eq!(owners(rules, tagged), (one.clone(), one));
    let rules = "    - {owner: other, select: {service_accounts: [other]}}";
    assert_eq!(owners(rules, tagged).0, format!("api-owner by owner of {API}"));
}

#[test]
fn what_was_not_seen_is_unknown_and_not_nobodys() {
    let roles = Scope::global(id(HOME), ScopeKind::Roles);
    // The role is remembered, and the latest scan did not show it.
    let refused = |small: &mut Small| {
        gap(small, roles.clone());
        small.0.unconfirmed.add(ResourceKind::Role, id(HOME), API);
    };
    let (association, role) = owners("", refused);
    assert!(association.starts_with("unknown: ") && role.starts_with("unknown: "), "{association} | {role}");
    // What comes before it was seen, and decides.
    let tagged = |small: &mut Small| {
        refused(small);
        tag_association(small, "pay", &[("owner", "pay")]);
    };
    assert_eq!(owners("", tagged).0, format!("pay by owner of {}", key("pay")));
    let details =
        Scope::of_cluster(id(HOME), ScopeKind::AssociationDetails, REGION.parse().unwrap(), CLUSTER.parse().unwrap());
    let undescribed = |small: &mut Small| {
        gap(small, details.clone());
        small.0.associations[0].detail = None;
    };
    assert!(owners("", undescribed).0.starts_with("unknown: "));
    let rules = "    - {owner: one, select: {roles: ['arn:aws:iam::*:role/api']}}";
    assert!(owners(rules, undescribed).0.starts_with("unknown: the role of association"));
    let cluster =
        Scope::of_cluster(id(HOME), ScopeKind::ClusterDetails, REGION.parse().unwrap(), CLUSTER.parse().unwrap());
    assert!(owners("", |small| gap(small, cluster)).0.starts_with("unknown: "));
    // A rule that depends on an OU that was not seen may be the one that decides.
    let no_ou = |small: &mut Small| {
        small.0.accounts.iter_mut().for_each(|account| account.ou_path = None);
        gap(small, Scope::global(id(HOME), ScopeKind::Organization));
        tag_role(small, API, &[("owner", "api-owner")]);
    };
    let rules = "    - {owner: prod, select: {ou: /prod}}";
    assert!(owners(rules, no_ou).0.starts_with("unknown: the OU of account"));
}

#[test]
fn a_target_role_in_another_account_is_of_whom_its_tag_names() {
    let small = Small::new().target(OPEN).role(DATA, OPEN, &[("all", &allow(r#""Action":"*","Resource":"*""#))]);
    let ownership = Ownership::default();
    let evaluation = evaluate(&small.0, &RULES, now());
    let subject = |key: &str| {
        let mut each = evaluation.verdicts.iter().map(|verdict| &verdict.subject);
        each.find(|it| it.kind == SubjectKind::Role && it.key == key).unwrap().clone()
    };
    let data = subject(DATA);
    assert_eq!(data.account_id, id(AWAY));
    let of = |small: &Small| {
        let owners = Owners::new(&ownership, &small.0);
        said(&owners.of_subject(&data, &evaluation.reach.of_subject(&data)))
    };
    assert_eq!(of(&small), "nobody");
    let mut tagged = small.clone();
    tag_role(&mut tagged, DATA, &[("team", "data")]);
    assert_eq!(of(&tagged), format!("data by team of {DATA}"));
}

#[test]
fn only_what_differs_is_to_be_kept() {
    let everything = allow(r#""Action":"*","Resource":"*""#);
    let mut small = Small::new().may(&everything);
    tag_role(&mut small, API, &[("owner", "api")]);
    let ownership = Ownership::default();
    let step = |small: &Small, known: &[KnownFinding]| {
        let evaluation = evaluate(&small.0, &RULES, now());
        let actions = reconcile(known, &evaluation, &RULES, &small.0);
        let owners = Owners::new(&ownership, &small.0);
        (finding_owners(known, &actions, &evaluation.reach, &owners), actions)
    };
    let (changes, actions) = step(&small, &[]);
    assert_eq!(changes.len(), actions.len());
    let mut known: Vec<KnownFinding> = actions
        .iter()
        .map(|action| match action {
            FindingAction::Open(failure) => kept(failure),
            other => panic!("{other:?}"),
        })
        .collect();
    let keep = |known: &mut Vec<KnownFinding>, changes: &[rolecall_audit::owner::OwnerChange]| {
        for change in changes {
            let finding = known.iter_mut().find(|it| it.fingerprint == change.fingerprint).unwrap();
            assert_eq!(finding.owner, change.from);
            finding.owner = Some(change.to.clone());
        }
    };
    keep(&mut known, &changes);
    assert!(known.iter().any(|it| it.owner.as_ref().and_then(Owner::name) == Some("api")));
    assert_eq!(step(&small, &known).0, []);
    // Another value of the tag is another owner.
    tag_role(&mut small, API, &[("owner", "billing")]);
    let (changes, _) = step(&small, &known);
    assert!(!changes.is_empty() && changes.iter().all(|it| it.to.name() == Some("billing")), "{changes:#?}");
    keep(&mut known, &changes);
    // What cannot be decided stays with whose it was; what fails and cannot be told whose it is, is unknown.
    let mut refused = small.clone();
    gap(&mut refused, Scope::global(id(HOME), ScopeKind::Roles));
    refused.0.unconfirmed.add(ResourceKind::Role, id(HOME), API);
    let (changes, actions) = step(&refused, &known);
    let stale = |fingerprint| {
        actions
            .iter()
            .any(|it| matches!(it, FindingAction::MarkStale { fingerprint: other, .. } if other == fingerprint))
    };
    assert!(changes.iter().all(|it| it.to.owned() == Owned::Unknown && !stale(&it.fingerprint)), "{changes:#?}");
    assert!(known.iter().any(|it| stale(&it.fingerprint)));
    // What is resolved keeps whose it was.
    known.iter_mut().for_each(|it| it.workflow = Workflow::Resolved);
    let mut clean = Small::new();
    tag_role(&mut clean, API, &[("owner", "other")]);
    let known: Vec<KnownFinding> = known.into_iter().filter(|it| it.subject.key == API).collect();
    assert!(step(&clean, &known).0.iter().all(|it| known.iter().all(|kept| kept.fingerprint != it.fingerprint)));
}

#[test]
fn owners_of_associations_follow_the_estate() {
    let small = Small::new().association("billing", "api", API);
    let ownership = Ownership::default();
    let owners = Owners::new(&ownership, &small.0);
    let (changed, gone) = association_owners(&BTreeMap::new(), &owners);
    assert_eq!((changed.len(), gone.len()), (2, 0));
    let mut known: BTreeMap<AssociationKey, Owner> = changed.into_iter().collect();
    assert_eq!(association_owners(&known, &owners), (Vec::new(), Vec::new()));
    known.insert(key("gone"), Owner::Nobody { several: false });
    assert_eq!(association_owners(&known, &owners), (Vec::new(), vec![key("gone")]));
}
