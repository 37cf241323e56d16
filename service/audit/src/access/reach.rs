//! Which workloads a role serves: the associations whose pods hold it, or can come to hold it.
//!
//! A finding on a role concerns every pod that reaches the role. Refuses to know findings and rules.

use rolecall_estate::{AssociationKey, Estate};
use rolecall_rules::{Subject, SubjectKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

rolecall_iam::vocabulary! {
    /// How a workload reaches a role.
    pub enum Via: "a way to a role" {
        /// It is the association's role.
        Direct = "direct",
        /// It is the association's target role.
        Target = "target",
        /// The association's role or target role may assume it, by itself or through other roles.
        Chain = "chain",
    }
}

/// So many workloads of a role are kept that reach it by a chain: where every pod may assume every
/// role, the lists would be as long as the estate is large, times itself.
pub const MOST_BY_CHAIN: usize = 100;

/// A workload that reaches a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// The association.
    pub association: AssociationKey,
    /// The nearest way by which it reaches the role.
    pub via: Via,
}

/// What a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed<'a> {
    /// A role, by its ARN.
    Role(&'a str),
    /// A managed policy, by its ARN.
    Policy(&'a str),
    /// Anything else.
    Other,
}

/// The workloads of every role that has any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach {
    by_role: BTreeMap<String, BTreeMap<AssociationKey, Via>>,
    /// The roles to which each managed policy is attached.
    holders: BTreeMap<String, Vec<String>>,
    /// The workloads that each change reaches.
    by_change: BTreeMap<String, Vec<Workload>>,
}

impl Reach {
    /// The roles that associations name, as role and as target role, and the policies attached to any.
    #[must_use]
    pub fn new(estate: &Estate) -> Self {
        let mut reach = Self::default();
        for association in &estate.associations {
            let Some(detail) = &association.detail else { continue };
            reach.add(&detail.role_arn, &association.key, Via::Direct);
            if let Some(target) = &detail.target_role_arn {
                reach.add(target, &association.key, Via::Target);
            }
        }
        for role in &estate.roles {
            for attached in &role.attached {
                reach.holders.entry(attached.arn.to_string()).or_default().push(role.arn.to_string());
            }
        }
        reach
    }

    /// Adds the roles that those of associations may come to hold by assuming one after the other, as
    /// `assumed` tells it of a role. A role keeps at most [`MOST_BY_CHAIN`] workloads that come by a
    /// chain, the first by their association.
    pub fn follow(&mut self, assumed: impl Fn(&str) -> Vec<String>) {
        let holders: Vec<(String, Vec<AssociationKey>)> =
            self.by_role.iter().map(|(role, held)| (role.clone(), held.keys().cloned().collect())).collect();
        let mut chained: BTreeMap<String, BTreeSet<AssociationKey>> = BTreeMap::new();
        for (role, associations) in holders {
            for reached in assumed(&role).into_iter().filter(|reached| *reached != role) {
                let held = chained.entry(reached).or_default();
                for association in &associations {
                    held.insert(association.clone());
                    if held.len() > MOST_BY_CHAIN {
                        held.pop_last();
                    }
                }
            }
        }
        for (role, associations) in chained {
            associations.iter().for_each(|association| self.add(&role, association, Via::Chain));
        }
    }

    /// Notes the workloads that a change reaches. Where it is of a role or a managed policy, each comes to it as
    /// to that; any other change concerns the role that the workload has.
    pub fn note_change<'a>(&mut self, id: &str, of: Changed<'_>, affected: impl Iterator<Item = &'a AssociationKey>) {
        let near = match of {
            Changed::Role(role) => self.of_role(role).collect(),
            Changed::Policy(policy) => self.of_policy(policy),
            Changed::Other => Vec::new(),
        };
        let via: BTreeMap<&AssociationKey, Via> = near.iter().map(|it| (&it.association, it.via)).collect();
        let workloads = affected.map(|key| {
            let via = via.get(key).copied().unwrap_or(Via::Direct);
            Workload { association: key.clone(), via }
        });
        let workloads = workloads.collect();
        self.by_change.insert(id.to_owned(), workloads);
    }

    /// Notes a way; of several to one role, the nearest stays.
    pub fn add(&mut self, role_arn: &str, association: &AssociationKey, via: Via) {
        let workloads = self.by_role.entry(role_arn.to_owned()).or_default();
        let nearest = workloads.entry(association.clone()).or_insert(via);
        *nearest = via.min(*nearest);
    }

    /// The workloads of a role, by association.
    pub fn of_role(&self, role_arn: &str) -> impl Iterator<Item = Workload> + '_ {
        let found = self.by_role.get(role_arn).into_iter().flatten();
        found.map(|(association, via)| Workload { association: association.clone(), via: *via })
    }

    /// The workloads of the roles to which a managed policy is attached, by association.
    fn of_policy(&self, policy_arn: &str) -> Vec<Workload> {
        let mut nearest: BTreeMap<AssociationKey, Via> = BTreeMap::new();
        for role in self.holders.get(policy_arn).into_iter().flatten() {
            for Workload { association, via } in self.of_role(role) {
                let known = nearest.entry(association).or_insert(via);
                *known = via.min(*known);
            }
        }
        nearest.into_iter().map(|(association, via)| Workload { association, via }).collect()
    }

    /// The workloads that a finding about a subject concerns through a role, by association.
    ///
    /// Those of a role are the role's, those of a managed policy its roles'. A session whose pod is not
    /// known concerns every workload that reaches its role; one whose pod is known names its workload
    /// itself, as an association does.
    #[must_use]
    pub fn of_subject(&self, subject: &Subject) -> Vec<Workload> {
        match (subject.kind, &subject.role_arn) {
            (SubjectKind::Role, _) => self.of_role(&subject.key).collect(),
            (SubjectKind::Policy, _) => self.of_policy(&subject.key),
            (SubjectKind::Change, _) => self.by_change.get(&subject.key).cloned().unwrap_or_default(),
            (SubjectKind::Session, Some(role)) if subject.namespace.is_none() => self.of_role(role).collect(),
            _ => Vec::new(),
        }
    }
}
