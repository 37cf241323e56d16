//! The privilege-escalation paths that a difference opens or closes for whom it reaches.
//!
//! As with the effect, one difference is told from others of the same scan: it is put alone into the policies
//! before, and where that opens and closes nothing, taken alone out of the policies after.

use super::Both;
use super::label::Label;
use super::side::{Held, Parts, Slot};
use crate::access::escalation::{Escalation, PathFinder, Paths};
use crate::drift::difference::{About, Difference, kind};
use crate::drift::escalation::{ADMINISTRATOR, Escalations, RoleEscalation, TRUSTED_BY_ROLE};
use crate::drift::{Effect, Scans};
use rolecall_estate::{AssociationKey, Role};
use rolecall_iam::{Arn, Digest, PolicySet};
use std::collections::{BTreeSet, HashMap};

/// Of so many roles that changes reach it is asked which paths they open.
const ROLES_ASKED: usize = 200;

/// What a list of targets may lack: no more are named.
const NAMED: usize = crate::access::escalation::NAMED;

/// What was compared: both roles with their session policies, and which parts of the first alone.
type Key = (Option<(String, Option<Digest>)>, Option<(String, Option<Digest>)>, Vec<Slot>);

/// What differs between two sets of paths.
#[derive(Debug, Clone, Default)]
struct Differing {
    opens: Vec<RoleEscalation>,
    closes: Vec<RoleEscalation>,
    /// Why more may be opened.
    open: Option<String>,
    /// Why more may be closed.
    closed: Option<String>,
}

impl Differing {
    fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.closes.is_empty()
    }

    fn unknown(why: String) -> Self {
        Self { open: Some(why.clone()), closed: Some(why), ..Self::default() }
    }

    /// What a difference of this effect can open, or close.
    fn by(self, effect: Effect) -> Escalations {
        let (gains, loses) = match effect {
            Effect::None => (false, false),
            Effect::Widened => (true, false),
            Effect::Narrowed => (false, true),
            Effect::Mixed | Effect::Unknown => (true, true),
        };
        let Self { mut opens, mut closes, open, closed } = self;
        opens.sort();
        closes.sort();
        Escalations {
            opens: if gains { opens } else { Vec::new() },
            closes: if loses { closes } else { Vec::new() },
            unknown: open.filter(|_| gains).or(closed.filter(|_| loses)),
        }
    }
}

/// Finds paths on both sides.
pub(super) struct PathFinders<'a> {
    before: PathFinder<'a>,
    after: PathFinder<'a>,
    known: HashMap<Key, Differing>,
}

impl<'a> PathFinders<'a> {
    pub(super) fn new(both: &'a Both<'_>, scans: &Scans<'_>) -> Self {
        Self {
            before: PathFinder::new(&both.before.index, scans.roles_of),
            after: PathFinder::new(&both.after.index, scans.roles_of),
            known: HashMap::new(),
        }
    }

    /// What is opened and closed for whoever had the one and has the other.
    fn between(&mut self, was: &Held, is: &Held, slots: &[Slot]) -> Differing {
        let of = |held: &Held| match held {
            Held::Policies(parts) => Some((parts.role.clone(), parts.session_digest)),
            Held::Nothing(_) | Held::Unknown(_) => None,
        };
        let key = (of(was), of(is), slots.to_vec());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        if self.known.len() >= ROLES_ASKED {
            let why = format!("changes of this scan reach more than {ROLES_ASKED} roles");
            return Differing::unknown(why);
        }
        let found = self.compared(was, is, slots);
        self.known.insert(key, found.clone());
        found
    }

    fn compared(&mut self, was: &Held, is: &Held, slots: &[Slot]) -> Differing {
        match (was, is) {
            (Held::Policies(was), Held::Policies(is)) if was.role == is.role && !slots.is_empty() => {
                let alone = was.with(is, slots);
                let (old, new) = (paths(&mut self.before, was), paths(&mut self.before, &alone));
                let first = differing([&was.role, &was.role], &old, &new);
                if !first.is_empty() {
                    return first;
                }
                // What others of the same scan opened or closed may be what makes the difference.
                let without = is.with(was, slots);
                let (old, new) = (paths(&mut self.after, &without), paths(&mut self.after, is));
                let second = differing([&is.role, &is.role], &old, &new);
                if second.is_empty() { first } else { second }
            }
            _ => {
                let (old, new) = (held(&mut self.before, was), held(&mut self.after, is));
                differing([role_of(was), role_of(is)], &old, &new)
            }
        }
    }
}

fn paths(finder: &mut PathFinder<'_>, parts: &Parts) -> Paths {
    let attached = parts.identity.keys().filter_map(|slot| match slot {
        Slot::Attached(arn) => arn.parse::<Arn>().ok().filter(|arn| arn.account() != "aws"),
        Slot::Inline(_) | Slot::Boundary | Slot::Session => None,
    });
    let attached: Vec<Arn> = attached.collect();
    let stack = PolicySet { rcp: None, ..parts.policies() };
    finder.paths(&parts.role, &stack, &attached, parts.boundary_arn.as_ref())
}

fn held(finder: &mut PathFinder<'_>, held: &Held) -> Paths {
    match held {
        Held::Policies(parts) => paths(finder, parts),
        Held::Nothing(_) => Paths::default(),
        Held::Unknown(why) => Paths::unknown(why.as_str()),
    }
}

fn role_of(held: &Held) -> &str {
    match held {
        Held::Policies(parts) => &parts.role,
        Held::Nothing(_) | Held::Unknown(_) => "",
    }
}

/// What the second of two has that the first does not, and the other way round; each with its role.
fn differing([had, has]: [&str; 2], was: &Paths, is: &Paths) -> Differing {
    let (opens, open) = gained(has, was, is);
    let (closes, closed) = gained(had, is, was);
    let why = |side: Option<&Paths>| {
        let missing = side?.missing.as_ref()?;
        Some(missing.to_vec().join("; "))
    };
    Differing { opens, closes, open: why(open), closed: why(closed) }
}

/// The paths of the second that the first does not have, and the side that leaves open whether there are others.
fn gained<'p>(role: &str, was: &'p Paths, is: &'p Paths) -> (Vec<RoleEscalation>, Option<&'p Paths>) {
    let entry = |path: &Escalation, target: Option<&String>| RoleEscalation {
        role: role.to_owned(),
        path: id(path).to_owned(),
        target: target.cloned(),
        through: if path.through.len() > 1 { path.through.clone() } else { Vec::new() },
        to_administrator: path.to_admin,
    };
    // An administrator had every path already.
    if was.is_administrator {
        return (Vec::new(), None);
    }
    if is.is_administrator {
        let opened = RoleEscalation {
            role: role.to_owned(),
            path: ADMINISTRATOR.to_owned(),
            target: None,
            through: Vec::new(),
            to_administrator: true,
        };
        return if was.is_blind() { (Vec::new(), Some(was)) } else { (vec![opened], None) };
    }
    let mut unsure = [is, was].into_iter().find(|side| side.is_blind());
    let has = |path: &str| was.found.iter().any(|it| !it.is_chain && id(it) == path);
    if is.open().any(|path| !was.may_have(path) && !has(path)) {
        unsure = Some(is);
    }
    let chain_before = was.found.iter().find(|it| it.is_chain);
    let mut out: Vec<RoleEscalation> = Vec::new();
    match is.found.iter().find(|it| it.is_chain) {
        Some(_) if chain_before.is_some() => {}
        Some(_) if was.is_chain_open || was.is_blind() => unsure = Some(was),
        Some(chain) => out.push(entry(chain, chain.targets.first())),
        None if is.is_chain_open && !was.is_chain_open && chain_before.is_none() => unsure = Some(is),
        None => {}
    }
    for path in is.found.iter().filter(|it| !it.is_chain) {
        let before = was.found.iter().find(|it| !it.is_chain && id(it) == id(path));
        let Some(before) = before else {
            if was.may_have(id(path)) {
                unsure = Some(was);
            } else if path.targets.is_empty() {
                out.push(entry(path, None));
            } else {
                out.extend(path.targets.iter().map(|target| entry(path, Some(target))));
            }
            continue;
        };
        if path.to_admin && !before.to_admin {
            out.push(entry(path, path.targets.first()));
        } else if before.targets.len() < NAMED && was.missing.is_none() {
            let new = path.targets.iter().filter(|target| !before.targets.contains(target));
            out.extend(new.map(|target| entry(path, Some(target))));
        }
    }
    // A chain of one step says more than that step.
    let chains: BTreeSet<(String, Option<String>)> =
        out.iter().filter(|it| it.to_administrator).map(|it| (it.path.clone(), it.target.clone())).collect();
    out.retain(|it| it.to_administrator || !chains.contains(&(it.path.clone(), it.target.clone())));
    (out, unsure)
}

fn id(path: &Escalation) -> &'static str {
    path.path.map_or(TRUSTED_BY_ROLE, |path| path.id)
}

impl Both<'_> {
    /// Adds the paths that a difference opens and closes to its label.
    pub(super) fn escalations(&self, difference: &Difference, label: &mut Label, finders: &mut PathFinders<'_>) {
        let decides = matches!(
            difference.about,
            About::Role(_)
                | About::Policy(_)
                | About::Association(_)
                | About::OrgPolicy
                | About::OrgUnit { .. }
                | About::Account(_)
        );
        if label.effect == Effect::None || !decides {
            return;
        }
        for it in &mut label.affected {
            if it.effect == Effect::None {
                continue;
            }
            let (was, is) = (self.before.workload(&it.workload), self.after.workload(&it.workload));
            let slots = match (&was, &is) {
                (Held::Policies(was), Held::Policies(is)) => slots(difference, was, is),
                _ => Vec::new(),
            };
            let found = concerned(difference, finders.between(&was, &is, &slots)).by(it.effect);
            label.escalations.add(found.clone());
            it.escalations = found;
        }
        for (was, is) in self.beside(difference, label, finders) {
            let slots = match (&was, &is) {
                (Held::Policies(was), Held::Policies(is)) => slots(difference, was, is),
                _ => Vec::new(),
            };
            let found = finders.between(&was, &is, &slots);
            label.escalations.add(concerned(difference, found).by(label.effect));
        }
    }

    /// What roles have that a difference reaches, beside those of the workloads that its label names: a role
    /// without a workload, and those that a trust policy names.
    fn beside(&self, difference: &Difference, label: &Label, finders: &PathFinders<'_>) -> Vec<(Held, Held)> {
        let mut roles: BTreeSet<String> = BTreeSet::new();
        match &difference.about {
            About::Role(arn) => {
                if label.affected.is_empty() && difference.change != kind::TRUST {
                    roles.insert(arn.clone());
                }
                if difference.change == kind::TRUST {
                    roles.extend(finders.before.named_by(arn));
                    roles.extend(finders.after.named_by(arn));
                }
            }
            About::Policy(arn) if ![kind::ADDED, kind::REMOVED].contains(&difference.change) => {
                let holds = |role: &&Role| {
                    role.arn.account_id() == difference.account_id
                        && (role.attached.iter().any(|it| it.arn == *arn) || role.boundary.as_ref() == Some(arn))
                        && self.users_of(role.arn.as_str()).next().is_none()
                };
                roles.extend(self.after.estate.roles.iter().filter(holds).map(|role| role.arn.to_string()));
            }
            _ => {}
        }
        let mut found = Vec::new();
        for role in &roles {
            let known = |key: &AssociationKey| label.affected.iter().any(|it| it.workload == *key);
            if self.users_of(role).next().is_none() {
                found.push((self.before.role(role, None), self.after.role(role, None)));
            }
            let users = self.users_of(role).filter(|key| !known(key));
            found.extend(users.map(|key| (self.before.workload(key), self.after.workload(key))));
        }
        found
    }
}

/// The parts of a role's policies that a difference changes.
fn slots(difference: &Difference, was: &Parts, is: &Parts) -> Vec<Slot> {
    let part = || difference.part.clone().unwrap_or_default();
    match (&difference.about, difference.change) {
        (About::Role(_), kind::INLINE_ADDED | kind::INLINE_CHANGED | kind::INLINE_REMOVED) => {
            vec![Slot::Inline(part())]
        }
        (About::Role(_), kind::ATTACHED | kind::DETACHED) => vec![Slot::Attached(part())],
        (About::Role(_), kind::BOUNDARY_SET | kind::BOUNDARY_CHANGED | kind::BOUNDARY_REMOVED) => vec![Slot::Boundary],
        (About::Policy(arn), _) => {
            let is_boundary = [was, is].iter().all(|parts| parts.boundary_arn.as_ref() == Some(arn));
            let boundary = is_boundary.then_some(Slot::Boundary);
            [Slot::Attached(arn.to_string())].into_iter().chain(boundary).collect()
        }
        (
            About::Association(_),
            kind::SESSION_POLICY_SET | kind::SESSION_POLICY_CHANGED | kind::SESSION_POLICY_REMOVED,
        ) => vec![Slot::Session],
        _ => Vec::new(),
    }
}

/// Of a change of whom a role trusts, what leads to that role; others of the same scan may have opened the rest.
fn concerned(difference: &Difference, mut found: Differing) -> Differing {
    if let (About::Role(arn), kind::TRUST) = (&difference.about, difference.change) {
        let leads = |it: &RoleEscalation| {
            it.role == *arn || it.target.as_ref() == Some(arn) || it.through.iter().any(|role| role == arn)
        };
        found.opens.retain(leads);
        found.closes.retain(leads);
    }
    found
}
