//! What was seen is judged, what was not is unknown, and what is stated says so.

use crate::findings::{Kept, apply, audit, first, resolutions};
use crate::shipped::{RULES, check, verdicts};
use crate::small::{API, AWAY, HOME, REGION, Small, action_of, allow, id};
use rolecall_audit::evaluate::evaluate;
use rolecall_audit::finding::FindingAction;
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Coverage, Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{AttachedPolicy, Cause, Estate, OrgPolicyKind, ResourceKind};
use rolecall_rules::Outcome;

const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const LOST: &str = "arn:aws:iam::111122223333:role/lost";

fn regional(kind: ScopeKind, region: &str) -> Scope {
    Scope::regional(id(HOME), kind, region.parse().unwrap())
}

fn gap(scope: Scope, reason: GapReason) -> Gap {
    let action = action_of(scope.kind).to_owned();
    Gap { scope, action, reason, detail: String::new(), day: None }
}

#[test]
fn a_role_that_a_cut_listing_shows_is_judged_and_one_that_it_lacks_is_unknown() {
    let wild = || Small::new().may(EVERYTHING).association("pay", "lost", LOST);
    for (rule, whole, cut) in
        [("admin-equivalent", "F", "F"), ("trust-without-source", "P", "P"), ("association-role-missing", "PF", "PU")]
    {
        check(rule, &[("whole", wild(), whole), ("cut off", wild().cut(ScopeKind::Roles), cut)]);
    }
    // One that is only remembered may have changed since.
    let mut remembered = wild().cut(ScopeKind::Roles);
    remembered.0.unconfirmed.add(ResourceKind::Role, id(HOME), API);
    check("admin-equivalent", &[("remembered", remembered.clone(), "U")]);
    check("association-role-missing", &[("remembered", remembered, "UU")]);
    // A listing that was complete for the first time, and lacks it, has not decided yet.
    let mut once = wild();
    once.0.unconfirmed.add(ResourceKind::Role, id(HOME), API);
    check("admin-equivalent", &[("missing once", once, "U")]);
}

#[test]
fn under_session_policies_a_trust_policy_that_cannot_be_read_leaves_open_only_what_they_take_away() {
    let limit = |actions: &str| allow(&format!(r#""Action":{actions},"Resource":"*""#));
    let narrowed = |session: &str| Small::new().may(EVERYTHING).session_policy(session);
    let unread = |session: &str| Small::new().role(API, "{", &[("own", EVERYTHING)]).session_policy(session);
    check("wildcard-action", &[("read", narrowed(&limit(r#""s3:GetObject""#)), "P")]);
    // Whoever else the trust policy lets in has the role's whole permissions.
    check("wildcard-action", &[("taken away", unread(&limit(r#""s3:GetObject""#)), "U")]);
    check("wildcard-action", &[("left", unread(&limit(r#""s3:*""#)), "F")]);
    check("admin-equivalent", &[("of the whole role", unread(&limit(r#""s3:*""#)), "U")]);
}

#[test]
fn an_association_that_was_described_is_judged_beside_one_that_was_not() {
    let mut half = Small::new().association("pay", "other", LOST).cut(ScopeKind::AssociationDetails);
    half.0.associations[1].detail = None;
    check("association-role-missing", &[("one of two", half, "PU")]);
    let cut = Small::new().association("pay", "default", API).cut(ScopeKind::Associations);
    check("default-service-account", &[("of those that a cut listing shows", cut, "PF")]);
}

#[test]
fn a_region_that_was_read_is_judged_though_the_regions_were_not_listed() {
    let mut small = Small::new().association("pay", "default", API);
    small.0.coverage.gap(gap(Scope::global(id(HOME), ScopeKind::Clusters), GapReason::Denied));
    check("default-service-account", &[("associations of a region that was read", small.clone(), "PF")]);
    check("agent-addon-missing", &[("its cluster", small.clone(), "P")]);
    // Elsewhere there may be an association more.
    check("role-shared-across-namespaces", &[("one namespace seen", small, "U")]);
}

#[test]
fn an_add_on_that_was_listed_is_there_though_it_was_not_described() {
    check(
        "agent-addon-missing",
        &[
            ("listed", Small::new().cut(ScopeKind::Addons), "P"),
            ("remembered", Small::new().gap(ScopeKind::Addons), "U"),
            ("of a cluster that was not described", Small::new().cut(ScopeKind::ClusterDetails), "P"),
        ],
    );
}

#[test]
fn scopes_that_a_scan_did_not_come_to_are_gaps_and_others_are_not() {
    let cluster = |kind| Scope::of_cluster(id(HOME), kind, REGION.parse().unwrap(), "prod".parse().unwrap());
    let known = [
        Scope::global(id(HOME), ScopeKind::Roles),
        Scope::global(id(HOME), ScopeKind::Organization),
        regional(ScopeKind::Clusters, REGION),
        regional(ScopeKind::Clusters, "us-east-1"),
        regional(ScopeKind::Sessions, REGION),
        regional(ScopeKind::Trails, "us-east-1"),
        cluster(ScopeKind::Associations),
        Scope::global(id(AWAY), ScopeKind::Roles),
    ];
    let unreached = |refused: Scope, reason| {
        let mut coverage = Coverage::default();
        coverage.complete(regional(ScopeKind::Clusters, "eu-north-1"));
        coverage.gap(gap(refused, reason));
        coverage.unreached(&known).into_iter().map(|gap| gap.scope.to_string()).collect::<Vec<_>>()
    };
    let texts = |scopes: &[usize]| scopes.iter().map(|at| known[*at].to_string()).collect::<Vec<_>>();
    let global = |kind| Scope::global(id(HOME), kind);
    assert_eq!(unreached(global(ScopeKind::Entry), GapReason::Denied), texts(&[0, 2, 3, 4, 5, 6]));
    assert_eq!(unreached(global(ScopeKind::Clusters), GapReason::Denied), texts(&[2, 3, 4, 5, 6]));
    assert_eq!(unreached(regional(ScopeKind::Clusters, REGION), GapReason::Denied), texts(&[4, 6]));
    assert_eq!(unreached(global(ScopeKind::Policies), GapReason::Denied), texts(&[]));
    // A source that does not hold something is no scan of it.
    assert_eq!(unreached(global(ScopeKind::Entry), GapReason::NotProvided), texts(&[]));
}

#[test]
fn a_scope_that_was_looked_at_answers_for_itself() {
    let mut coverage = Coverage::default();
    coverage.gap(gap(Scope::global(id(HOME), ScopeKind::Clusters), GapReason::Denied));
    coverage.complete(regional(ScopeKind::Clusters, REGION));
    assert_eq!(coverage.blind_spots(&regional(ScopeKind::Clusters, REGION)), [""; 0]);
    let elsewhere = coverage.blind_spots(&regional(ScopeKind::Clusters, "us-east-1"));
    assert!(elsewhere.len() == 1 && elsewhere[0].contains("eks:ListClusters denied"), "{elsewhere:?}");
}

/// What each rule is unknown for leads to what would decide it.
#[test]
fn a_reason_tells_what_it_is_about() {
    let wild = || Small::new().may(EVERYTHING).association("pay", "lost", LOST);
    let causes = |small: &Small, rule: &str| -> Vec<Option<Cause>> {
        let unknown = verdicts(small, rule).into_iter().filter_map(|verdict| match verdict.outcome {
            Outcome::Unknown { why } => Some(why),
            _ => None,
        });
        unknown.flatten().map(|reason| reason.cause().cloned()).collect()
    };
    let roles = Some(Cause::Gap(Scope::global(id(HOME), ScopeKind::Roles)));
    let policies = Some(Cause::Gap(Scope::global(id(HOME), ScopeKind::Policies)));
    assert_eq!(causes(&wild().cut(ScopeKind::Roles), "association-role-missing"), [roles]);
    // A managed policy that was not seen, told by the policy language.
    let mut attached = Small::new().cut(ScopeKind::Policies);
    let arn = "arn:aws:iam::111122223333:policy/lost".parse().unwrap();
    attached.0.roles[0].attached = vec![AttachedPolicy { name: "lost".to_owned(), arn }];
    assert_eq!(causes(&attached, "admin-equivalent"), [policies]);
    let unread = Small::new().may("{");
    assert_eq!(causes(&unread, "admin-equivalent"), [Some(Cause::Document)]);
}

/// The estate of one account of which nobody provided an organisation.
fn alone(small: Small) -> Small {
    let mut small = small;
    let mut coverage = Coverage::default();
    for (scope, gaps) in small.0.coverage.scopes() {
        if matches!(scope.kind, ScopeKind::Organization | ScopeKind::OrgPolicies) || scope.account_id == id(AWAY) {
            continue;
        }
        coverage.complete(scope.clone());
        gaps.iter().for_each(|gap| coverage.gap(gap.clone()));
    }
    for kind in [ScopeKind::Organization, ScopeKind::OrgPolicies] {
        coverage.gap(gap(Scope::global(id(HOME), kind), GapReason::NotProvided));
    }
    small.0.coverage = coverage;
    small.0.accounts.retain(|account| account.id == id(HOME));
    small.0.accounts[0].ou_path = None;
    small.0.org_policies.clear();
    small.0.org_units.clear();
    small
}

fn assuming(mut small: Small, assumed: &[Assumption]) -> Small {
    small.0.assumed = assumed.iter().copied().collect();
    small
}

#[test]
fn policies_of_the_organization_that_nobody_provided_may_forbid_anything() {
    let admin = || alone(Small::new().may(EVERYTHING));
    check(
        "admin-equivalent",
        &[
            ("not provided", admin(), "U"),
            ("stated to be none", assuming(admin(), &[Assumption::NoScps]), "F"),
            ("another statement", assuming(admin(), &[Assumption::NoRcps]), "U"),
            ("what no policy grants", alone(Small::new()), "P"),
        ],
    );
    let why = &verdicts(&admin(), "admin-equivalent")[0].outcome;
    let Outcome::Unknown { why } = why else { panic!("{why:?}") };
    assert!(why[0].contains(Assumption::NoScps.missing()), "{why:?}");
    assert_eq!(why[0].cause(), Some(&Cause::Assumption(Assumption::NoScps)));
    assert!(evaluate(&admin().0, &RULES, crate::findings::now()).could_be_assumed[&Assumption::NoScps] > 0);
}

#[test]
fn policies_of_one_kind_that_nobody_provided_leave_the_other_kind_known() {
    let lacking = |kind: OrgPolicyKind| {
        let mut small = Small::new().may(EVERYTHING);
        let scope = Scope::global(id(HOME), ScopeKind::OrgPolicies);
        let action = kind.listing().to_owned();
        small.0.coverage.gap(Gap { scope, action, reason: GapReason::NotProvided, detail: String::new(), day: None });
        small
    };
    check(
        "admin-equivalent",
        &[("no RCPs", lacking(OrgPolicyKind::Rcp), "F"), ("no SCPs", lacking(OrgPolicyKind::Scp), "U")],
    );
    let rcps = |small: &Small| evaluate(&small.0, &RULES, crate::findings::now()).could_be_assumed;
    assert!(!rcps(&lacking(OrgPolicyKind::Rcp)).contains_key(&Assumption::NoScps));
    assert!(!rcps(&lacking(OrgPolicyKind::Scp)).contains_key(&Assumption::NoRcps));
}

#[test]
fn an_account_that_no_list_names_is_no_outsider() {
    let trusting = || {
        let trust = allow(r#""Principal":{"AWS":"arn:aws:iam::999988887777:root"},"Action":"sts:AssumeRole""#);
        Small::new().role("arn:aws:iam::111122223333:role/shared", &trust, &[])
    };
    check(
        "trust-admits-outsider",
        &[
            ("a whole list without it", trusting(), "PF"),
            ("a cut list", trusting().cut(ScopeKind::Organization), "PU"),
            ("no list", alone(trusting()), "PU"),
            ("stated", assuming(alone(trusting()), &[Assumption::OrganizationIsFiles]), "PF"),
        ],
    );
}

#[test]
fn add_ons_that_nobody_provided_are_unknown() {
    let mut without = Small::new();
    without.0.clusters[0].addons = None;
    let mut coverage = Coverage::default();
    for (scope, _) in without.0.coverage.scopes() {
        if scope.kind == ScopeKind::Addons {
            coverage.gap(gap(scope.clone(), GapReason::NotProvided));
        } else {
            coverage.complete(scope.clone());
        }
    }
    without.0.coverage = coverage;
    check(
        "agent-addon-missing",
        &[("not provided", without.clone(), "U"), ("stated", assuming(without, &[Assumption::NoAddons]), "F")],
    );
}

#[test]
fn a_verdict_names_what_it_rests_on_and_nothing_else() {
    let every = Assumption::ALL;
    let admin = assuming(alone(Small::new().may(EVERYTHING)), &every);
    assert_eq!(verdicts(&admin, "admin-equivalent")[0].assumptions, [Assumption::NoScps]);
    assert!(verdicts(&admin, "trust-without-source").iter().all(|verdict| verdict.assumptions.is_empty()));
    // Where everything was seen, nothing rests on anything.
    let seen = assuming(Small::new().may(EVERYTHING), &every);
    let evaluation = evaluate(&seen.0, &RULES, crate::findings::now());
    assert!(evaluation.verdicts.iter().all(|verdict| verdict.assumptions.is_empty()));
    assert!(evaluation.tallies.iter().all(|tally| tally.assumed == 0));
    let plain = evaluate(&Small::new().may(EVERYTHING).0, &RULES, crate::findings::now());
    assert_eq!(evaluation.verdicts, plain.verdicts);
}

#[test]
fn an_assumption_resolves_only_what_was_found_under_it() {
    let hop = allow(
        r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/api"},"Action":["sts:AssumeRole","sts:TagSession"]"#,
    );
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:*","Resource":"*"}]}"#;
    let forbidden = Small::new().target(&hop).scp("deny", deny, &["ou-1"]);
    let rule = "chained-hop-not-allowed";
    let kept: Kept = first(&forbidden).into_iter().filter(|(_, finding)| finding.rule == rule).collect();
    assert_eq!(kept.len(), 1, "the SCP forbids the hop");
    let without = |assumed: &[Assumption]| -> Estate {
        let mut small = Small::new().target(&hop);
        let mut coverage = Coverage::default();
        for (scope, _) in small.0.coverage.scopes() {
            if scope.kind == ScopeKind::OrgPolicies {
                coverage.gap(gap(scope.clone(), GapReason::NotProvided));
            } else {
                coverage.complete(scope.clone());
            }
        }
        small.0.coverage = coverage;
        small.0.org_policies.clear();
        assuming(small, assumed).0
    };
    let of_rule = |actions: Vec<FindingAction>| {
        let mine = |action: &FindingAction| match action {
            FindingAction::Resolve { fingerprint, .. } | FindingAction::MarkStale { fingerprint, .. } => {
                kept.contains_key(fingerprint)
            }
            _ => false,
        };
        actions.into_iter().filter(mine).collect::<Vec<_>>()
    };
    let stale = of_rule(audit(&kept, &RULES, &without(&[Assumption::NoScps])));
    assert!(
        matches!(&stale[..], [FindingAction::MarkStale { why, .. }] if why[0].contains("by the assumption that")),
        "{stale:?}"
    );
    // Found under the assumption, it resolves under it, and never without.
    let mut found_so = kept.clone();
    found_so.values_mut().for_each(|finding| finding.assumptions = vec![Assumption::NoScps]);
    assert_eq!(resolutions(&of_rule(audit(&found_so, &RULES, &without(&[Assumption::NoScps])))).len(), 1);
    assert_eq!(resolutions(&of_rule(audit(&found_so, &RULES, &without(&[])))), []);
    let gone = apply(&found_so, &audit(&found_so, &RULES, &Small::new().target(&hop).0));
    assert!(
        gone.values().filter(|finding| finding.rule == rule).all(|finding| finding.workflow.as_str() == "resolved")
    );
}
