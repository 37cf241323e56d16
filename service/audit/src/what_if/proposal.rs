//! What may be proposed: changes of resources as AWS's calls make them.
//!
//! Refuses to know what is there, and whether AWS would take them.

use super::Place;
use rolecall_cloudtrail::selectors::Selector;
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{AccessEntry, AccessPolicy, Addon, AssociationKey, OidcProviderDetail, OrgPolicy, Tags};
use rolecall_iam::{AccountId, Arn, Digest, Document, RoleArn};
use std::collections::{BTreeMap, BTreeSet};

/// A proposal with its place.
#[derive(Debug, Clone)]
pub struct Proposed {
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub proposal: Proposal,
    /// The policy documents in it, by their pointers in the file.
    pub documents: BTreeMap<Digest, String>,
}

/// A role or policy, by its ARN or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its ARN.
    Arn(Arn),
    /// By its name, in an account where one is given.
    Name {
        /// The account.
        account: Option<AccountId>,
        /// The name, without a path.
        name: String,
    },
}

/// An association, by its key or its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssociationRef {
    /// By its key.
    Key(AssociationKey),
    /// By its id, `a-…`.
    Id(String),
}

/// What an association would have; what is not given stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AssociationPut {
    /// Its role's ARN.
    pub role: Option<String>,
    /// Its target role's ARN; `Some(None)`: none.
    pub target_role: Option<Option<String>>,
    /// Its session policy; `Some(None)`: none.
    pub session_policy: Option<Option<Document>>,
    /// Whether the session tags are left out.
    pub disable_session_tags: Option<bool>,
    /// The id that EKS gave it, where it is made already.
    pub id: Option<String>,
}

/// One change that somebody means to make.
#[derive(Debug, Clone)]
pub enum Proposal {
    /// A role that is made, or whose trust policy is replaced where it is there.
    PutRole {
        /// The role.
        role: RoleArn,
        /// Its trust policy.
        trust: Document,
    },
    /// A role that is deleted, with its inline policies.
    DeleteRole {
        /// The role.
        role: Named,
    },
    /// An inline policy that is made or replaced.
    PutInlinePolicy {
        /// The role.
        role: Named,
        /// The policy's name within the role.
        name: String,
        /// Its document.
        document: Document,
    },
    /// An inline policy that is deleted.
    DeleteInlinePolicy {
        /// The role.
        role: Named,
        /// The policy's name within the role.
        name: String,
    },
    /// A trust policy that is replaced.
    PutTrustPolicy {
        /// The role.
        role: Named,
        /// The trust policy.
        document: Document,
    },
    /// A managed policy that is attached to a role.
    Attach {
        /// The role.
        role: Named,
        /// The policy.
        policy: Arn,
    },
    /// A managed policy that is detached from a role.
    Detach {
        /// The role.
        role: Named,
        /// The policy.
        policy: Arn,
    },
    /// A permissions boundary that is set, or removed.
    Boundary {
        /// The role.
        role: Named,
        /// The policy; `None`: the role has no boundary any more.
        policy: Option<Arn>,
    },
    /// Tags that a role gets.
    TagRole {
        /// The role.
        role: Named,
        /// The tags.
        tags: Tags,
    },
    /// Tags that are taken from a role.
    UntagRole {
        /// The role.
        role: Named,
        /// Their keys.
        keys: Vec<String>,
    },
    /// A managed policy that is made, or gets a new default version.
    PutManagedPolicy {
        /// The policy.
        policy: Arn,
        /// The document of its default version.
        document: Document,
    },
    /// A managed policy that is deleted: AWS lets that happen where it is attached nowhere.
    DeleteManagedPolicy {
        /// The policy.
        policy: Arn,
    },
    /// An association that is made or updated.
    PutAssociation {
        /// Which.
        association: AssociationRef,
        /// What it has then.
        put: Box<AssociationPut>,
    },
    /// An association that is deleted.
    DeleteAssociation {
        /// Which.
        association: AssociationRef,
    },
    /// A service or resource control policy whose document is replaced.
    PutOrganizationPolicy {
        /// Its id, ARN or name.
        policy: String,
        /// Its document.
        document: Document,
    },
    /// A service or resource control policy that is made, attached to nothing.
    MakeOrganizationPolicy {
        /// It, without targets.
        policy: Box<OrgPolicy>,
        /// Its document.
        document: Document,
    },
    /// A service or resource control policy that is attached.
    AttachOrganizationPolicy {
        /// Its id, ARN or name.
        policy: String,
        /// The id of a root, unit or account.
        target: String,
    },
    /// A service or resource control policy that is detached.
    DetachOrganizationPolicy {
        /// Its id, ARN or name.
        policy: String,
        /// The id of a root, unit or account.
        target: String,
    },
    /// A trail whose logging is started or stopped.
    Logging {
        /// The trail's ARN.
        trail: String,
        /// Whether it is logging then.
        is_logging: bool,
    },
    /// The event selectors of a trail, replaced.
    Selectors {
        /// The trail's ARN.
        trail: String,
        /// All that it has then; at least one.
        selectors: Vec<Selector>,
    },
    /// An OIDC provider that is made.
    MakeOidcProvider {
        /// The provider.
        provider: Arn,
        /// Its settings; `None` where nobody tells them.
        detail: Option<OidcProviderDetail>,
    },
    /// An OIDC provider that is deleted.
    DeleteOidcProvider {
        /// The provider.
        provider: Arn,
    },
    /// A client id that an OIDC provider takes, or takes no more.
    ClientId {
        /// The provider.
        provider: Arn,
        /// The client id (audience).
        client_id: String,
        /// Whether it takes it then.
        is_taken: bool,
    },
    /// The thumbprints of an OIDC provider, replaced.
    Thumbprints {
        /// The provider.
        provider: Arn,
        /// All that it has then.
        thumbprints: BTreeSet<String>,
    },
    /// Something of an EKS cluster.
    Cluster {
        /// The cluster.
        cluster: ClusterKey,
        /// What becomes of it.
        proposal: ClusterProposal,
    },
    /// An organizational unit that is made, without accounts.
    MakeUnit {
        /// Its id.
        unit: String,
        /// The id of the root or unit that it is made in.
        parent: String,
        /// Its name.
        name: String,
    },
    /// An organizational unit that gets another name.
    RenameUnit {
        /// Its id.
        unit: String,
        /// Its name then.
        name: String,
    },
    /// An organizational unit that is deleted: AWS lets that happen where nothing is in it.
    DeleteUnit {
        /// Its id.
        unit: String,
    },
    /// An account that is moved to another parent.
    MoveAccount {
        /// The account.
        account: AccountId,
        /// The id of the root or organizational unit.
        parent: String,
    },
    /// What nobody knows before it is made.
    Open {
        /// Of what, as its file calls it.
        resource: String,
        /// Why, in lower case, without a full stop.
        why: String,
    },
    /// A service or resource control policy that is deleted.
    DeleteOrganizationPolicy {
        /// Its id, ARN or name.
        policy: String,
    },
}

/// The account, region and name of a cluster.
pub type ClusterKey = (AccountId, Region, ClusterName);

/// What becomes of a cluster, or of what is in it.
#[derive(Debug, Clone)]
pub enum ClusterProposal {
    /// It is made, without add-ons and access entries.
    Make,
    /// It is deleted, with all that is in it.
    Delete,
    /// Settings of its own are changed; `None` leaves one as it is.
    Configure {
        /// The Kubernetes version.
        version: Option<String>,
        /// The authentication mode.
        authentication_mode: Option<String>,
        /// Whether EKS Auto Mode is on.
        auto_mode: Option<bool>,
    },
    /// An add-on is installed.
    MakeAddon(Box<Addon>),
    /// An add-on is updated.
    UpdateAddon {
        /// Its name.
        name: String,
        /// Its version, where that changes.
        version: Option<String>,
        /// Its IRSA role, where that changes.
        role: Option<String>,
    },
    /// An add-on is removed, by its name.
    DeleteAddon(String),
    /// An access entry is made.
    MakeAccessEntry(Box<AccessEntry>),
    /// The Kubernetes groups of an access entry are replaced.
    Groups {
        /// The principal of the entry.
        principal: String,
        /// All groups that it has then.
        groups: Vec<String>,
    },
    /// An access policy is associated with an access entry.
    AssociatePolicy {
        /// The principal of the entry.
        principal: String,
        /// The policy, in its namespaces.
        policy: AccessPolicy,
    },
    /// An access policy is taken from an access entry.
    DisassociatePolicy {
        /// The principal of the entry.
        principal: String,
        /// The policy's ARN.
        policy: String,
    },
    /// An access entry is deleted, by its principal.
    DeleteAccessEntry(String),
}
