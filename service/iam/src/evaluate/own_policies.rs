//! What the requester's own policies say to one request: the identity policies under boundary, session
//! policy and SCPs.
//!
//! Refuses to know resource policies, trust policies and RCPs, whether or not the set has them; what
//! the policies allow over all requests is [`crate::grants`]'s.

use crate::context::Context;
use crate::digest::Digest;
use crate::evaluate::decision::Decision;
use crate::evaluate::evaluation::Evaluation;
use crate::evaluate::observer::{Ask, MatchingStatements, NoopObserver};
use crate::evaluate::policy_set::{PolicyRef, PolicySet};
use crate::evaluate::request::Request;
use crate::evaluate::requester::Requester;
use crate::evaluate::view::View;
use crate::matching::arn_format::acts_on;
use crate::policy::ast::Statement;
use crate::policy::compiled::CompiledStatement;
use crate::policy::site::Answer;
use crate::truth::Truth;
use std::sync::Arc;

impl PolicySet {
    /// The identity policies; none where they are not in play.
    pub(crate) fn identity(&self) -> &[PolicyRef] {
        self.identity.as_deref().unwrap_or_default()
    }

    /// The policies that only limit the requester, each slice with the policies that count together.
    pub(crate) fn ceilings(&self) -> impl Iterator<Item = &[PolicyRef]> {
        let boundaries = self.boundary.iter().flatten().map(std::slice::from_ref);
        let session = self.session.as_deref().filter(|list| !list.is_empty());
        let levels = self.scp.iter().flat_map(|levels| levels.iter());
        boundaries.chain(session).chain(levels.map(|level| level.policies.as_slice()))
    }

    pub(crate) fn own_policies(&self) -> impl Iterator<Item = &PolicyRef> {
        self.identity().iter().chain(self.ceilings().flatten())
    }

    /// Decides one request of a role's session by its own policies. `resource` is an ARN, or `*` for
    /// actions that act on no resource.
    #[must_use]
    pub fn decide_by_own_policies(&self, action: &str, resource: &str, context: &Context) -> Decision<'_> {
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        Evaluation::new(&request, View::of_own_policies(self)).decide()
    }

    /// Whether the request is allowed for some value of the keys that the context leaves open. No
    /// where the action does not act on such a resource: nobody can make that request.
    #[must_use]
    pub fn possible(&self, action: &str, resource: &str, context: &Context) -> Answer {
        if !acts_on(action, resource) {
            return Answer::bare(Truth::False);
        }
        self.ask(action, resource, context, None)
    }

    /// Whether [`PolicySet::possible`] says no, without the statements that say so.
    pub(crate) fn is_impossible(&self, action: &str, resource: &str, context: &Context) -> bool {
        if !acts_on(action, resource) {
            return true;
        }
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        let evaluation = Evaluation { ask: Ask::Possibly, ..Evaluation::new(&request, View::of_own_policies(self)) };
        let gathered = evaluation.gather(&mut NoopObserver);
        evaluation.allowed(&gathered).and(!gathered.denied.clone()).is_false()
    }

    /// Whether the request gets past every Deny and ceiling, for some value of the keys that the
    /// context leaves open, whether or not the identity policies allow it: what is asked where a
    /// policy on the resource allows it to the role itself.
    #[must_use]
    pub fn unrefused(&self, action: &str, resource: &str, context: &Context) -> Truth {
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        let evaluation = Evaluation { ask: Ask::Possibly, ..Evaluation::new(&request, View::of_own_policies(self)) };
        let gathered = evaluation.gather(&mut MatchingStatements::default());
        gathered.outer.and(gathered.ceiling).and(!gathered.denied)
    }

    /// Whether one statement alone of the identity policies may allow the request.
    pub(crate) fn possible_by(&self, only: &Arc<Statement>, action: &str, resource: &str, context: &Context) -> Truth {
        self.ask(action, resource, context, Some(only)).truth
    }

    fn ask(&self, action: &str, resource: &str, context: &Context, only: Option<&Arc<Statement>>) -> Answer {
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        let view = View::of_own_policies(self);
        let evaluation = Evaluation { ask: Ask::Possibly, only, ..Evaluation::new(&request, view) };
        let mut statements = MatchingStatements::default();
        let gathered = evaluation.gather(&mut statements);
        let truth = evaluation.allowed(&gathered).and(!gathered.denied.clone());
        let by = statements.deciding(gathered.denied.is_true(), truth.is_true());
        Answer { truth, by }
    }

    /// The steps of working out which of the catalogue's actions its statements name.
    #[must_use]
    pub fn compiling_steps(&self) -> usize {
        let statements = self.own_policies().flat_map(PolicyRef::compiled);
        statements.map(CompiledStatement::compiling_steps).fold(0, usize::saturating_add)
    }

    /// The content address of the requester's own policies: equal where the policies, their names and
    /// what was not seen of them are equal.
    #[must_use]
    pub fn own_digest(&self) -> Digest {
        let mut text = Vec::with_capacity(1024);
        let one = |layer: &PolicyRef, text: &mut Vec<u8>| {
            text.extend_from_slice(layer.source.as_bytes());
            text.push(0);
            if let Some(digest) = &layer.digest {
                text.extend_from_slice(digest.as_bytes());
            }
            if let Err(why) = &layer.policy {
                text.extend_from_slice(why.to_string().as_bytes());
            }
            text.push(1);
        };
        self.identity().iter().for_each(|layer| one(layer, &mut text));
        for ceiling in [&self.boundary, &self.session] {
            text.push(2);
            ceiling.iter().flatten().for_each(|layer| one(layer, &mut text));
        }
        for level in self.scp.iter().flat_map(|levels| levels.iter()) {
            text.push(3);
            level.policies.iter().for_each(|layer| one(layer, &mut text));
        }
        Digest::sha256(&text)
    }
}
