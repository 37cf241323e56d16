//! The types of policies that AWS evaluates.

/// The type of a policy, by what it is attached to. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#access_policy-types>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyType {
    /// Inline or managed, of a user, group or role.
    Identity,
    /// A managed policy as permissions boundary.
    Boundary,
    /// Given when a session is made.
    Session,
    /// A service control policy.
    Scp,
    /// A resource control policy.
    Rcp,
    /// On a resource: a bucket, a key, a queue.
    Resource,
    /// Who may assume a role.
    Trust,
    /// On a VPC endpoint.
    VpcEndpoint,
}
