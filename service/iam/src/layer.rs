//! The policies that a request is decided by, layer by layer.
//!
//! Knows which policies stand where, and that one may be there without having been seen. Refuses to
//! know where they come from, and what they say.

use crate::digest::Digest;
use crate::document::{Document, Effect, Policy, Statement};
use crate::request::ActionName;
use crate::truth::{Site, Why};
use std::sync::Arc;

/// One policy.
#[derive(Debug, Clone)]
pub struct Layer {
    pub(crate) source: Arc<str>,
    pub(crate) digest: Option<Digest>,
    pub(crate) policy: Result<Arc<Policy>, Why>,
}

impl Layer {
    /// A policy whose document is at hand.
    #[must_use]
    pub fn known(source: &str, document: &Document) -> Self {
        let policy = document
            .parsed
            .clone()
            .map_err(|error| Why::NotUnderstood(format!("the {source} could not be read: {error}")));
        Self { source: source.into(), digest: Some(document.digest), policy }
    }

    /// A policy that is there, but was not seen.
    #[must_use]
    pub fn missing(source: &str, why: &str) -> Self {
        Self {
            source: source.into(),
            digest: None,
            policy: Err(Why::NotSeen(format!("the {source} was not seen: {why}"))),
        }
    }

    /// How people call it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it says, where it was seen and could be read.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref().ok()
    }

    pub(crate) fn statements(&self, effect: Effect) -> impl Iterator<Item = &Arc<Statement>> {
        self.policy.iter().flat_map(|p| &p.statements).filter(move |s| s.effect == effect)
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
    pub policies: Vec<Layer>,
}

/// Everything that may have a say. `None` is not in play: it neither allows nor limits. What is in
/// play but was not seen is a [`Layer::missing`].
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The requester's inline and attached policies: what any of them allows is allowed.
    pub identity: Option<Vec<Layer>>,
    /// Permissions boundaries: each must allow. An empty list is not in play.
    pub boundary: Option<Vec<Layer>>,
    /// Session policies, inline and managed: one of them must allow. An empty list is not in play,
    /// but for a federated user, to whom it gives nothing.
    pub session: Option<Vec<Layer>>,
    /// SCPs of the requester's account from the root down: each level must allow. Leave them out
    /// for the management account. They bind neither services nor service-linked roles. Roles of an
    /// account share them.
    pub scp: Option<Arc<[Level]>>,
    /// RCPs of the resource's account from the root down: each level must allow. Leave them out
    /// for the management account. They bind everyone but service-linked roles, for the services
    /// that take them.
    pub rcp: Option<Arc<[Level]>>,
    /// The policy on the resource.
    pub resource: Option<Layer>,
    /// The trust policy of the role that is asked for.
    pub trust: Option<Layer>,
    /// The policies of the VPC endpoint that the request goes through: one of them must allow. An
    /// empty list is not in play.
    pub endpoint: Option<Vec<Layer>>,
}

impl Layers {
    /// Every policy.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Layer> {
        let lists = [&self.identity, &self.boundary, &self.session, &self.endpoint];
        let levels = [&self.scp, &self.rcp].into_iter().flatten().flat_map(|levels| levels.iter());
        let single = self.resource.iter().chain(&self.trust);
        lists.into_iter().flatten().flatten().chain(levels.flat_map(|level| &level.policies)).chain(single)
    }
}

/// Which layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// The requester's own policies.
    Identity,
    /// A permissions boundary.
    Boundary,
    /// A session policy.
    Session,
    /// A service control policy.
    Scp,
    /// A resource control policy.
    Rcp,
    /// The policy on the resource.
    Resource,
    /// The trust policy of the role that is asked for.
    Trust,
    /// The policy of a VPC endpoint.
    Endpoint,
}

impl LayerKind {
    /// How people call it, with its article.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Identity => "the identity policies",
            Self::Boundary => "the permissions boundary",
            Self::Session => "the session policy",
            Self::Scp => "the service control policies",
            Self::Rcp => "the resource control policies",
            Self::Resource => "the resource policy",
            Self::Trust => "the trust policy",
            Self::Endpoint => "the VPC endpoint policy",
        }
    }
}
