//! What can be observed of an estate, and what was not seen of it.
//!
//! Plain facts in AWS's own terms, the same whether they came over the wire, from a file or from the
//! store. Refuses to know what they mean, and the clock: "now" is an argument.

mod activity;
pub mod assumption;
pub mod aws;
pub mod before;
mod change_event;
mod complete_range;
pub mod coverage;
pub mod declared;
mod file_problem;
pub mod id;
pub mod loss;
mod reason;
mod resource;
mod scope;
mod session;
mod snapshot;
mod visibility;

pub use activity::{
    AssociationSpan, InstanceUse, Networks, Origin, OriginKey, SpanDetail, TrailMemory, Used, UsedFrom,
};
pub use change_event::{Actor, AgentClass, ChangeEvent, ChangedResource, named_key, resource_key, resource_type};
pub use complete_range::{CompleteRange, EventScope, IncompleteDay};
pub use file_problem::FileProblem;
pub use reason::{Cause, Reason};
pub use resource::{
    AccessEntry, AccessPolicy, Account, Addon, Association, AssociationDetail, AssociationKey, AttachedPolicy, Cluster,
    Documents, InlinePolicy, ManagedPolicy, OidcProvider, OidcProviderDetail, OrgPolicy, OrgPolicyKind, OrgUnit,
    Recorded, Role, RoleLastUsed, Tags, Trail, TrailStatus,
};
pub use session::{AttributionMethod, Session, SessionAttribution, SessionKind, VpcEndpoint};
pub use snapshot::{Estate, Observation, ResourceKind, Snapshot, Unconfirmed};
pub use visibility::{ClusterPlace, Limit, LimitError, OrganizationalUnitId, Visibility};
