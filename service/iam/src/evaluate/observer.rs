//! Who watches an evaluation, and what of it is kept.

use crate::evaluate::policy_set::PolicyRef;
use crate::evaluate::principal_match::PrincipalMatch;
use crate::policy::ast::{Effect, Statement};
use crate::policy::policy_type::PolicyType;
use crate::policy::site::Site;
use crate::truth::{Truth, Why};
use std::sync::Arc;

/// How statements count where keys are left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// An open key makes the answer unknown.
    Whether,
    /// An open key is taken to be whatever makes the answer yes.
    Possibly,
}

/// Where a policy stands: its layer, and the level within an organisation or its place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: PolicyType,
    pub(crate) at: usize,
}

/// Somebody who wants to see every statement that names the action, whether it matches or not.
pub(crate) trait Observer<'a> {
    /// Whether reading goes on after the answer is certain.
    const WHOLE: bool;
    /// A statement, and whether it matches.
    fn saw(
        &mut self,
        place: Place,
        layer: &'a PolicyRef,
        statement: &'a Arc<Statement>,
        matched: PrincipalMatch,
        truth: &Truth,
    );
    /// A policy that was not seen or not read.
    fn missed(&mut self, place: Place, layer: &'a PolicyRef, why: &Why);
}

pub(crate) struct NoopObserver;

impl<'a> Observer<'a> for NoopObserver {
    const WHOLE: bool = false;
    fn saw(&mut self, _: Place, _: &'a PolicyRef, _: &'a Arc<Statement>, _: PrincipalMatch, _: &Truth) {}
    fn missed(&mut self, _: Place, _: &'a PolicyRef, _: &Why) {}
}

/// The statements that match or may match.
#[derive(Debug, Default)]
pub(crate) struct MatchingStatements {
    seen: Vec<(Effect, PrincipalMatch, bool, Site)>,
}

impl<'a> Observer<'a> for MatchingStatements {
    const WHOLE: bool = true;

    fn saw(
        &mut self,
        place: Place,
        layer: &'a PolicyRef,
        statement: &'a Arc<Statement>,
        matched: PrincipalMatch,
        truth: &Truth,
    ) {
        // What an organization's policy allows grants nothing, so it is no statement that lets anyone in.
        let only_limits = statement.effect == Effect::Allow && matches!(place.kind, PolicyType::Scp | PolicyType::Rcp);
        if !truth.is_false() && !only_limits {
            let site = layer.site(statement);
            self.seen.extend(site.map(|site| (statement.effect, matched, truth.is_true(), site)));
        }
    }

    fn missed(&mut self, _: Place, _: &'a PolicyRef, _: &Why) {}
}

impl MatchingStatements {
    /// Whether every Allow names the requester by its account only, and there is one.
    pub(crate) fn all_by_account(&self) -> bool {
        let mut allows = self.seen.iter().filter(|(effect, ..)| *effect == Effect::Allow).peekable();
        allows.peek().is_some() && allows.all(|(_, matched, ..)| *matched == PrincipalMatch::Account)
    }

    /// The statements that made an answer, or that may make it.
    pub(crate) fn deciding(self, denied: bool, allowed: bool) -> Vec<Site> {
        let decides = |(effect, _, certain, site): (Effect, PrincipalMatch, bool, Site)| {
            let wanted = match effect {
                Effect::Deny => {
                    if denied {
                        certain
                    } else {
                        !allowed
                    }
                }
                Effect::Allow => !denied && (certain || !allowed),
            };
            wanted.then_some(site)
        };
        self.seen.into_iter().filter_map(decides).collect()
    }
}
