//! Where the policies of a role let an action through.

use crate::arn::RoleArn;
use crate::catalogue::action_name::ActionName;
use crate::catalogue::{Action, ResourceUse, catalogue};
use crate::condition::all_hold;
use crate::context::Context;
use crate::escalation::patterns::{Exclusions, Meeting};
use crate::evaluate::policy_set::{PolicyRef, PolicySet};
use crate::matching::action_set::ActionSet;
use crate::matching::arn_format::with_stars;
use crate::policy::ast::{Clause, Effect, Policy, Statement};
use crate::policy::compiled::CompiledStatement;
use crate::policy::cost::of_statement;
use crate::steps::{self, Exceeded, POLICIES, Steps};
use crate::truth::Why;
use crate::version::Version;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// Patterns of resources on which an action is worth asking for.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) patterns: Arc<[String]>,
    /// Whether there are more.
    pub(super) is_cut: bool,
}

impl PolicySet {
    /// The catalogue's actions that some Allow of an identity policy names, where they can act on what
    /// it reaches.
    pub(super) fn actions_fitting(&self) -> ActionSet {
        let allows = self.identity().iter().flat_map(|layer| layer.statements(Effect::Allow));
        ActionSet::union_of(allows.flat_map(CompiledStatement::actions_fitting))
    }

    /// Why identity policies may allow more than was seen.
    pub fn unseen_identity(&self) -> impl Iterator<Item = &Why> {
        self.identity().iter().filter_map(PolicyRef::unread)
    }

    /// Patterns of resources on which a role is let through by an Allow of every layer, in its own
    /// account but for `sts:AssumeRole`. Whether it is allowed there is for the stack to say.
    /// `None` where there are too many to tell.
    #[must_use]
    pub fn patterns(&self, action: &'static str, role: &RoleArn) -> Option<Vec<String>> {
        let steps = Steps::new(POLICIES);
        let places = self.places(action, role, &|count| steps.take(count));
        (!places.is_cut).then(|| places.patterns.to_vec())
    }

    /// The steps of asking about an action once.
    #[must_use]
    pub fn weight(&self, action: &str) -> usize {
        let name = ActionName::new(action);
        let naming = self.own_policies().flat_map(|layer| layer.naming(&name));
        naming.map(|statement| of_statement(statement)).fold(steps::OF_ASKING, usize::saturating_add)
    }

    pub(super) fn places(
        &self,
        action: &'static str,
        role: &RoleArn,
        take: &dyn Fn(usize) -> Result<(), Exceeded>,
    ) -> Places {
        let name = ActionName::new(action);
        let named = |layers: &[PolicyRef]| -> Vec<String> {
            let mut patterns: Vec<String> = Vec::new();
            for statement in layers.iter().flat_map(|layer| layer.naming(&name)) {
                match (statement.effect, &statement.resources) {
                    (Effect::Deny, _) => {}
                    (_, None | Some(Clause::NotIn(_))) => patterns.push("*".to_owned()),
                    (_, Some(Clause::In(list))) => patterns.extend(list.iter().map(|p| p.as_str().to_owned())),
                }
            }
            patterns.sort();
            patterns.dedup();
            patterns
        };
        let mut found = Meeting { patterns: named(self.identity()), is_cut: false, take };
        let forms = forms(action, role);
        if !forms.is_empty() {
            found.meet(&forms);
        }
        for layers in self.ceilings() {
            let ceiling = named(layers);
            // A ceiling that was not seen lets everything through; the answer is unknown then anyway.
            if !ceiling.is_empty() && !ceiling.iter().any(|pattern| pattern == "*") {
                found.meet(&ceiling);
            }
        }
        Places { patterns: found.patterns.into(), is_cut: found.is_cut }
    }

    /// What takes resources away from the action in a context; `None` where a Deny takes all of them
    /// away. A Deny of which it is open whether its conditions hold takes nothing away: it is enough that
    /// the request is possible.
    pub(super) fn exclusions(&self, action: &str, context: &Context) -> Option<Exclusions> {
        let name = ActionName::new(action);
        let mut found = Exclusions::default();
        for policy in self.own_policies() {
            let language = policy.policy().map_or(Version::V2008, Policy::language);
            for statement in policy.naming(&name) {
                match (statement.effect, &statement.resources) {
                    (Effect::Deny, _) if !all_hold(&statement.conditions, context, language).is_true() => {}
                    (Effect::Deny, _) if statement.is_on_everything() => return None,
                    (Effect::Deny, Some(Clause::NotIn(list))) => found.left.push(list.clone()),
                    (Effect::Deny, Some(Clause::In(list))) => {
                        found.taken.extend(list.iter().cloned());
                        found.certainly_taken.extend(list.iter().cloned());
                    }
                    (Effect::Allow, Some(Clause::NotIn(list))) => found.taken.extend(list.iter().cloned()),
                    (_, None) | (Effect::Allow, Some(Clause::In(_))) => {}
                }
            }
        }
        Some(found)
    }

    /// Whether nothing but the action itself decides: no Deny names it, and every layer allows it on
    /// every resource without a condition. False where that is not certain.
    #[must_use]
    pub fn is_unlimited(&self, action: &str) -> bool {
        allows_everywhere(self.identity(), &ActionName::new(action)) && self.is_unrefused_everywhere(action)
    }

    /// Whether no Deny names the action, and every ceiling allows it on every resource without a
    /// condition. False where that is not certain.
    #[must_use]
    pub fn is_unrefused_everywhere(&self, action: &str) -> bool {
        let name = ActionName::new(action);
        refuses_nothing(self.identity(), &name) && self.ceilings().all(|layers| allows_everywhere(layers, &name))
    }

    /// What decides about an action: the statements that name it, layer by layer, as a text. Two
    /// stacks of which it is the same answer alike whatever the resource; roles of one account as
    /// well, unless a statement tells them apart, which adds the role.
    #[must_use]
    pub fn deciding(&self, action: &str, role: &RoleArn) -> String {
        let name = ActionName::new(action);
        let (mut text, mut of_role) = (String::new(), false);
        let mut layers = |layers: &[PolicyRef], text: &mut String| {
            let mut lines: Vec<String> = Vec::new();
            for layer in layers {
                let policy = match &layer.policy {
                    Ok(policy) => policy,
                    Err(why) => {
                        lines.push(why.to_string());
                        continue;
                    }
                };
                for statement in layer.naming(&name) {
                    of_role |= statement.tells_roles_apart();
                    let (effect, language) = (statement.effect, policy.language());
                    let resources = statement.resources.as_ref().map(|clause| (clause.is_not(), texts(clause)));
                    let conditions = statement.conditions.iter().map(|c| (c.operator.as_str(), &c.key, &c.values));
                    let conditions: Vec<_> = conditions.collect();
                    lines.push(format!("{effect:?} {language:?} {resources:?} {conditions:?}"));
                }
            }
            lines.sort();
            lines.dedup();
            let _ = writeln!(text, "{}", lines.join("\n"));
        };
        layers(self.identity(), &mut text);
        for ceiling in self.ceilings() {
            text.push('|');
            layers(ceiling, &mut text);
        }
        if of_role {
            text.push_str(role.as_str());
        }
        text
    }
}

/// Whether every policy was read, and no Deny of them names the action.
fn refuses_nothing(layers: &[PolicyRef], action: &ActionName) -> bool {
    layers.iter().all(|layer| layer.policy.is_ok() && layer.naming(action).iter().all(|s| s.effect == Effect::Allow))
}

/// Whether, besides, an Allow of them names the action on every resource without a condition.
fn allows_everywhere(layers: &[PolicyRef], action: &ActionName) -> bool {
    let plain = |s: &Statement| s.effect == Effect::Allow && s.conditions.is_empty() && s.is_on_everything();
    refuses_nothing(layers, action) && layers.iter().any(|layer| layer.naming(action).into_iter().any(|s| plain(s)))
}

fn texts<T: fmt::Display>(clause: &Clause<T>) -> Vec<String> {
    clause.elements().iter().map(ToString::to_string).collect()
}

/// The forms of the resources that an action acts on, in the role's partition and account; other
/// accounts' too for `sts:AssumeRole`. Where it always needs some type of resource, only such types:
/// `ssm:SendCommand` may name a bucket for its output, and needs a document. None for an action that
/// acts on no resource or is not listed.
fn forms(action: &str, role: &RoleArn) -> Vec<String> {
    let types: Vec<ResourceUse> = catalogue().find(action).into_iter().flat_map(Action::resource_types).collect();
    let needs = types.iter().any(|used| used.required);
    let known = |name: &str| match name {
        "Partition" => Some(role.arn().partition().to_owned()),
        "Account" if action != "sts:AssumeRole" => Some(role.account_id().to_string()),
        _ => None,
    };
    let types = types.into_iter().filter(|used| used.required || !needs);
    types.map(|used| with_stars(used.resource_type.arn, known)).collect()
}
