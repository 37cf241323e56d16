//! EKS access entries as facts: which IAM principals may enter a cluster, and with what.

use super::objects::RoleFacts;
use super::view::{Def, Facts, fact, text};
use crate::access::index::AccessIndex;
use crate::index::reasons;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{AccessEntry, Cluster};
use rolecall_rules::{Type, Value};
use std::sync::Arc;

/// The access policy that allows everything in Kubernetes. Source:
/// <https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html>
const CLUSTER_ADMIN: &str = ":cluster-access-policy/AmazonEKSClusterAdminPolicy";

/// An access entry of a cluster.
#[derive(Debug)]
pub(super) struct AccessEntryFacts {
    index: Arc<AccessIndex>,
    cluster: String,
    entry: AccessEntry,
}

/// The access entries of a cluster. An entry of a listing that is incomplete now may be one of an earlier
/// scan, so such a listing shows none.
pub(super) fn of_cluster(index: &Arc<AccessIndex>, cluster: &Cluster) -> Value {
    let scope =
        Scope::of_cluster(cluster.account_id, ScopeKind::AccessEntries, cluster.region.clone(), cluster.name.clone());
    if let Some(why) = reasons(index.coverage.blind_spots(&scope)) {
        return Value::Unknown(why);
    }
    let Some(entries) = &cluster.access_entries else {
        return Value::unknown(format!("the access entries of cluster {} were not listed", cluster.name));
    };
    Value::list(entries.iter().map(|entry| {
        AccessEntryFacts { index: Arc::clone(index), cluster: cluster.name.to_string(), entry: entry.clone() }
            .into_value()
    }))
}

impl AccessEntryFacts {
    fn role(&self) -> Value {
        let arn = self.entry.principal_arn.as_str();
        // A user is no role, whatever was listed.
        if !arn.contains(":role/") {
            return Value::Null;
        }
        match self.index.role_exists(arn) {
            Ok(_) => self
                .index
                .role_index(arn)
                .map_or(Value::Null, |at| RoleFacts { index: Arc::clone(&self.index), at }.into_value()),
            Err(why) => Value::Unknown(why),
        }
    }

    fn is_cluster_admin(&self) -> bool {
        self.entry.policies.iter().any(|policy| policy.namespaces.is_empty() && policy.arn.ends_with(CLUSTER_ADMIN))
    }
}

impl Facts for AccessEntryFacts {
    const NAME: &'static str = "AccessEntry";
    const DOC: &'static str = "An EKS access entry: an IAM principal that may enter a cluster.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "principal_arn",
            || Type::String,
            "The IAM principal's ARN.",
            |e| text(&e.entry.principal_arn),
        ),
        Def::<Self>::new(
            "role",
            || Type::optional(Type::object("Role")),
            "The principal, where it is a role of the estate; absent where it is a user, or a complete listing lacks it.",
            Self::role,
        ),
        Def::<Self>::new(
            "groups",
            || Type::list(Type::String),
            "Kubernetes groups of the entry. What RBAC binds to them is not known.",
            |e| Value::texts(&e.entry.groups),
        ),
        Def::<Self>::new(
            "policies",
            || Type::list(Type::String),
            "ARNs of the EKS access policies of the entry, of cluster scope and of namespace scope.",
            |e| Value::texts(e.entry.policies.iter().map(|policy| &policy.arn)),
        ),
        Def::<Self>::new(
            "is_cluster_admin",
            || Type::Bool,
            "Whether it has AmazonEKSClusterAdminPolicy with cluster scope.",
            |e| e.is_cluster_admin().into(),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The access entry.",
            |e| {
                let value = serde_json::json!({
                    "principalArn": e.entry.principal_arn, "type": e.entry.kind, "kubernetesGroups": e.entry.groups,
                    "associatedAccessPolicies": e.entry.policies.iter().map(|policy| serde_json::json!({
                        "policyArn": policy.arn, "namespaces": policy.namespaces,
                    })).collect::<Vec<_>>(),
                });
                fact("an access entry", format!("cluster {}", e.cluster), value)
            },
        ),
    ];
}
