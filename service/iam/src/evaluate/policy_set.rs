//! The policies that a request is decided by, layer by layer.
//!
//! Knows which policies stand where, and that one may be there without having been seen. Refuses to
//! know where they come from, and what they say.

use crate::catalogue::action_name::ActionName;
use crate::digest::Digest;
use crate::policy::ast::{Effect, Policy, Statement};
use crate::policy::compiled::{CompiledPolicy, CompiledStatement};
use crate::policy::document::Document;
use crate::policy::site::Site;
use crate::truth::{NotSeen, Why};
use std::sync::Arc;

/// One policy.
#[derive(Debug, Clone)]
pub struct PolicyRef {
    pub(crate) source: Arc<str>,
    pub(crate) digest: Option<Digest>,
    /// Behind a pointer where there is none, so that a policy that was read stays small.
    pub(crate) policy: Result<Arc<CompiledPolicy>, Arc<Why>>,
}

impl PolicyRef {
    /// A policy whose document is at hand.
    #[must_use]
    pub fn known(source: &str, document: &Document) -> Self {
        let policy = document
            .parsed
            .clone()
            .map_err(|error| Arc::new(Why::NotUnderstood(format!("the {source} could not be read: {error}"))));
        Self { source: source.into(), digest: Some(document.digest), policy }
    }

    /// A policy that is there, but was not seen.
    #[must_use]
    pub fn missing(source: &str, why: impl Into<NotSeen>) -> Self {
        let why = why.into();
        let text = format!("the {source} was not seen: {}", why.text());
        Self { source: source.into(), digest: None, policy: Err(Arc::new(Why::NotSeen(why.reworded(text)))) }
    }

    /// How people call it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it says, where it was seen and could be read.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref().ok().map(|policy| &***policy)
    }

    /// Why it is not known what it says, where it was not seen or could not be read.
    pub(crate) fn unread(&self) -> Option<&Why> {
        self.policy.as_ref().err().map(|why| &**why)
    }

    /// Its statements with their sets; none where it was not seen or read.
    pub(crate) fn compiled(&self) -> &[CompiledStatement] {
        self.policy.as_ref().map_or(&[], |policy| policy.compiled())
    }

    pub(crate) fn statements(&self, effect: Effect) -> impl Iterator<Item = &CompiledStatement> {
        self.compiled().iter().filter(move |s| s.effect == effect)
    }

    /// The statements that name an action, Denies first; none where it was not seen or read.
    pub(crate) fn naming(&self, action: &ActionName) -> Vec<&Arc<Statement>> {
        let Ok(policy) = &self.policy else { return Vec::new() };
        let mut scratch = Default::default();
        let named = policy.naming(action, &mut scratch);
        named.deny.iter().chain(named.allow).filter_map(|candidate| policy.at(candidate.at)).collect()
    }

    pub(crate) fn site(&self, statement: &Arc<Statement>) -> Option<Site> {
        Some(Site { source: Arc::clone(&self.source), document: self.digest?, statement: Arc::clone(statement) })
    }
}

/// One level of an organisation, with the policies attached there.
#[derive(Debug, Clone)]
pub struct Level {
    /// How people call it: `root`, an organisational unit, an account.
    pub name: Arc<str>,
    /// What is attached there. No policy at all allows nothing.
    pub policies: Vec<PolicyRef>,
}

impl Level {
    /// A level with the policies that are attached there.
    #[must_use]
    pub fn new(name: &str, policies: Vec<PolicyRef>) -> Self {
        Self { name: name.into(), policies }
    }
}

/// Everything that may have a say. `None` is not in play: it neither allows nor limits. What is in
/// play but was not seen is a [`PolicyRef::missing`].
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// The requester's inline and attached policies: what any of them allows is allowed.
    pub identity: Option<Vec<PolicyRef>>,
    /// Permissions boundaries: each must allow. An empty list is not in play.
    pub boundary: Option<Vec<PolicyRef>>,
    /// Session policies, inline and managed: one of them must allow. An empty list is not in play,
    /// but for a federated user, to whom it gives nothing.
    pub session: Option<Vec<PolicyRef>>,
    /// SCPs of the requester's account from the root down: each level must allow. Leave them out
    /// for the management account. They bind neither services nor service-linked roles. Roles of an
    /// account share them.
    pub scp: Option<Arc<[Level]>>,
    /// RCPs of the resource's account from the root down: each level must allow. Leave them out
    /// for the management account. They bind everyone but service-linked roles, for the services
    /// that take them.
    pub rcp: Option<Arc<[Level]>>,
    /// The policy on the resource.
    pub resource: Option<PolicyRef>,
    /// The trust policy of the role that is asked for.
    pub trust: Option<PolicyRef>,
    /// The policies of the VPC endpoint that the request goes through: one of them must allow. An
    /// empty list is not in play.
    pub vpc_endpoint: Option<Vec<PolicyRef>>,
}

impl PolicySet {
    /// Every policy.
    pub(crate) fn each(&self) -> impl Iterator<Item = &PolicyRef> {
        let lists = [&self.identity, &self.boundary, &self.session, &self.vpc_endpoint];
        let levels = [&self.scp, &self.rcp].into_iter().flatten().flat_map(|levels| levels.iter());
        let single = self.resource.iter().chain(&self.trust);
        lists.into_iter().flatten().flatten().chain(levels.flat_map(|level| &level.policies)).chain(single)
    }
}
