//! Whether a request is allowed: the request, the policies that apply to it, the decision and why.

pub(crate) mod decide;
pub(crate) mod decision;
pub(crate) mod evaluation;
pub(crate) mod explain;
pub(crate) mod explanation;
pub(crate) mod observer;
pub(crate) mod open_keys;
pub(crate) mod own_policies;
pub(crate) mod policy_set;
pub(crate) mod principal_match;
pub(crate) mod request;
pub(crate) mod requester;
pub(crate) mod view;
