//! Which policies of a set apply to a request.

use crate::evaluate::policy_set::{Level, PolicyRef, PolicySet};
use crate::evaluate::request::Request;
use crate::evaluate::requester::Kind;

/// The layers that bind a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) identity: Option<&'a [PolicyRef]>,
    pub(crate) boundary: &'a [PolicyRef],
    pub(crate) session: &'a [PolicyRef],
    /// Whether it is a federated user's session that was given no session policy.
    pub(crate) given_none: bool,
    pub(crate) scp: Option<&'a [Level]>,
    pub(crate) rcp: Option<&'a [Level]>,
    pub(crate) resource: Option<&'a PolicyRef>,
    pub(crate) trust: Option<&'a PolicyRef>,
    pub(crate) vpc_endpoint: &'a [PolicyRef],
    /// Whether only the requester's side is asked about.
    pub(crate) own_side: bool,
}

impl<'a> View<'a> {
    pub(crate) const NOTHING: Self = View {
        identity: None,
        boundary: &[],
        session: &[],
        given_none: false,
        scp: None,
        rcp: None,
        resource: None,
        trust: None,
        vpc_endpoint: &[],
        own_side: false,
    };

    /// The requester's own policies alone, which are in play even where there are none.
    pub(crate) fn of_own_policies(layers: &'a PolicySet) -> Self {
        Self {
            identity: Some(layers.identity()),
            boundary: layers.boundary.as_deref().unwrap_or_default(),
            session: layers.session.as_deref().unwrap_or_default(),
            scp: layers.scp.as_deref(),
            own_side: true,
            ..Self::NOTHING
        }
    }

    pub(crate) fn new(request: &Request, layers: &'a PolicySet) -> Self {
        let mut view = Self { vpc_endpoint: layers.vpc_endpoint.as_deref().unwrap_or_default(), ..Self::NOTHING };
        if request.has_own_policies() {
            view.identity = layers.identity.as_deref();
            view.boundary = layers.boundary.as_deref().unwrap_or_default();
            view.session = layers.session.as_deref().unwrap_or_default();
            view.given_none =
                request.kind() == Kind::FederatedUser && layers.session.as_ref().is_some_and(Vec::is_empty);
            if !request.is_service_linked_role() {
                view.scp = Some(layers.scp.as_deref().unwrap_or_default());
            }
        }
        if let Some(levels) = &layers.rcp
            && !request.is_service_linked_role()
            && request.is_under_rcp()
        {
            view.rcp = Some(levels);
        }
        view.resource = layers.resource.as_ref();
        view.trust = layers.trust.as_ref().filter(|_| request.may_be_for_role());
        view
    }
}
