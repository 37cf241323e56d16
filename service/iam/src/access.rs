//! The policies that bind a role's session, and what they say to one request.
//!
//! Knows identity policies under a boundary, a session policy and SCPs. Refuses to know resource
//! policies; what a stack allows over all requests is [`crate::grants`]'s.

pub use crate::action_set::ActionSet;
use crate::condition::Context;
use crate::decide::{Ask, Evaluation, Levels, Nobody, Sites, View};
use crate::digest::Digest;
use crate::document::Statement;
pub use crate::layer::Layer;
use crate::reach::acts_on;
use crate::request::{Request, Requester};
use crate::truth::{Answer, Decision, Truth};
use std::sync::Arc;

/// The policies that bind a role's session.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// Inline and attached policies: what any of them allows is allowed.
    pub identity: Vec<Layer>,
    /// The permissions boundary.
    pub boundary: Option<Layer>,
    /// The session policy.
    pub session: Option<Layer>,
    /// The SCPs of each level from the root down; empty where SCPs are not asked about.
    pub scps: Vec<Vec<Layer>>,
}

impl Stack {
    /// The layers that only limit, each with the policies that count together.
    pub(crate) fn ceilings(&self) -> impl Iterator<Item = &[Layer]> {
        let single = self.boundary.iter().chain(&self.session).map(std::slice::from_ref);
        single.chain(self.scps.iter().map(Vec::as_slice))
    }

    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.identity.iter().chain(self.ceilings().flatten())
    }

    /// Decides one request of the role's session, resource policies aside. `resource` is an ARN, or
    /// `*` for actions that act on no resource.
    #[must_use]
    pub fn decide(&self, action: &str, resource: &str, context: &Context) -> Decision {
        self.ask(action, resource, context, None, Ask::Whether)
    }

    /// Whether the request is allowed for some value of the keys that the context leaves open. No
    /// where the action does not act on such a resource: nobody can make that request.
    #[must_use]
    pub fn possible(&self, action: &str, resource: &str, context: &Context) -> Answer {
        if !acts_on(action, resource) {
            return Answer::bare(Truth::False);
        }
        let decision = self.ask(action, resource, context, None, Ask::Possibly);
        Answer { truth: decision.allowed, by: decision.by }
    }

    /// Whether [`Stack::possible`] says no, without the statements that say so.
    pub(crate) fn is_impossible(&self, action: &str, resource: &str, context: &Context) -> bool {
        if !acts_on(action, resource) {
            return true;
        }
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        let evaluation = Evaluation { ask: Ask::Possibly, ..Evaluation::new(&request, self.view()) };
        let gathered = evaluation.gather(&mut Nobody);
        evaluation.allowed(&gathered).and(!gathered.denied.clone()).is_false()
    }

    /// The steps of working out what its statements name; see [`Statement::reading`].
    #[must_use]
    pub fn reading(&self) -> usize {
        let policies = self.layers().filter_map(|layer| layer.policy.as_ref().ok());
        let statements = policies.flat_map(|policy| &policy.statements);
        statements.map(|statement| statement.reading()).fold(0, usize::saturating_add)
    }

    /// Whether the request gets past every Deny and ceiling, for some value of the keys that the
    /// context leaves open, whether or not the identity policies allow it: what is asked where a
    /// policy on the resource allows it to the role itself.
    #[must_use]
    pub fn unrefused(&self, action: &str, resource: &str, context: &Context) -> Truth {
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        let evaluation = Evaluation { ask: Ask::Possibly, ..Evaluation::new(&request, self.view()) };
        let gathered = evaluation.gather(&mut Sites::default());
        gathered.outer.and(gathered.ceiling).and(!gathered.denied)
    }

    fn view(&self) -> View<'_> {
        View {
            identity: Some(&self.identity),
            boundary: self.boundary.as_slice(),
            session: self.session.as_slice(),
            scp: Levels::Bare(&self.scps),
            own_side: true,
            ..View::NOTHING
        }
    }

    /// Whether one statement alone of the identity policies may allow the request.
    pub(crate) fn possible_by(&self, only: &Arc<Statement>, action: &str, resource: &str, context: &Context) -> Truth {
        self.ask(action, resource, context, Some(only), Ask::Possibly).allowed
    }

    /// The address of its content: stacks of the same policies, under the same names, with the same
    /// things unseen, have the same.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut text = Vec::with_capacity(1024);
        let one = |layer: &Layer, text: &mut Vec<u8>| {
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
        self.identity.iter().for_each(|layer| one(layer, &mut text));
        for ceiling in [self.boundary.as_slice(), self.session.as_slice()] {
            text.push(2);
            ceiling.iter().for_each(|layer| one(layer, &mut text));
        }
        for level in &self.scps {
            text.push(3);
            level.iter().for_each(|layer| one(layer, &mut text));
        }
        Digest::of(&text)
    }

    fn ask(
        &self,
        action: &str,
        resource: &str,
        context: &Context,
        only: Option<&Arc<Statement>>,
        ask: Ask,
    ) -> Decision {
        let request = Request::plain(Requester::Outsider, action, resource, context.clone());
        let evaluation = Evaluation { ask, only, ..Evaluation::new(&request, self.view()) };
        let mut sites = Sites::default();
        let gathered = evaluation.gather(&mut sites);
        let allowed = evaluation.allowed(&gathered).and(!gathered.denied.clone());
        let explicit_deny = gathered.denied.is_true();
        let by = sites.deciding(explicit_deny, allowed.is_true());
        Decision { allowed, explicit_deny, via_account: false, by }
    }
}
