//! Clusters as facts.

use super::access_entry;
use super::objects::{AccountFacts, AssociationFacts, ClusterFacts};
use super::view::{Def, Facts, fact, maybe, tags, text, unless};
use crate::access::index::AccessIndex;
use crate::index::{cluster_key, join};
use rolecall_estate::Cluster;
use rolecall_rules::{Reasons, Type, Value};
use std::sync::Arc;

/// The add-on that hands Pod Identity credentials to pods.
const AGENT: &str = "eks-pod-identity-agent";

impl ClusterFacts {
    fn fixed(&self, fact: impl FnOnce(&Cluster) -> Value) -> Value {
        let cluster = self.index.clusters.get(self.at);
        cluster.map_or_else(|| Value::unknown("the cluster is not in the estate"), fact)
    }

    /// What only describing the cluster shows.
    fn seen(&self, fact: impl FnOnce(&Cluster) -> Value) -> Value {
        self.fixed(|cluster| unless(self.index.cluster_undescribed(cluster).as_ref(), || fact(cluster)))
    }

    fn has_agent(&self) -> Value {
        self.fixed(|cluster| {
            let agent = |addons: &Vec<rolecall_estate::Addon>| addons.iter().any(|addon| addon.name == AGENT);
            if self.index.addons_shown(cluster) && cluster.addons.as_ref().is_some_and(agent) {
                return Value::Bool(true);
            }
            // Auto Mode has the agent built in, and no add-on.
            let undescribed = self.index.cluster_undescribed(cluster);
            if undescribed.is_none() && cluster.auto_mode == Some(true) {
                return Value::Bool(true);
            }
            let visibility =
                self.index.cluster_visibility(&cluster_key(cluster)).and_then(|visibility| visibility.addons.clone());
            unless(join(undescribed, visibility.as_ref()).as_ref(), || match &cluster.addons {
                Some(addons) => agent(addons).into(),
                None if self.index.assumes_no_addons() => Value::Bool(false),
                None => Value::unknown(format!("the add-ons of cluster {} were not listed", cluster.name)),
            })
        })
    }
}

impl Facts for ClusterFacts {
    const NAME: &'static str = "Cluster";
    const DOC: &'static str = "An EKS cluster.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("arn", || Type::String, "The cluster's ARN.", |c| c.fixed(|it| text(&it.arn))),
        Def::<Self>::new("name", || Type::String, "The cluster's name.", |c| c.fixed(|it| text(it.name.as_str()))),
        Def::<Self>::new(
            "account_id",
            || Type::String,
            "The account that owns it.",
            |c| c.fixed(|it| text(&it.account_id.to_string())),
        ),
        Def::<Self>::new(
            "account",
            || Type::object("Account"),
            "The account that owns it.",
            |c| c.fixed(|it| AccountFacts { index: Arc::clone(&c.index), id: it.account_id }.into_value()),
        ),
        Def::<Self>::new("region", || Type::String, "Its region.", |c| c.fixed(|it| text(it.region.as_str()))),
        Def::<Self>::new(
            "version",
            || Type::optional(Type::String),
            "Its Kubernetes version.",
            |c| c.seen(|it| maybe(it.version.as_deref())),
        ),
        Def::<Self>::new(
            "status",
            || Type::optional(Type::String),
            "Such as `ACTIVE`.",
            |c| c.seen(|it| maybe(it.status.as_deref())),
        ),
        Def::<Self>::new(
            "role_arn",
            || Type::optional(Type::String),
            "The cluster's own role.",
            |c| c.seen(|it| maybe(it.role_arn.as_deref())),
        ),
        Def::<Self>::new(
            "authentication_mode",
            || Type::optional(Type::String),
            "Such as `API`.",
            |c| c.seen(|it| maybe(it.authentication_mode.as_deref())),
        ),
        Def::<Self>::new(
            "auto_mode",
            || Type::optional(Type::Bool),
            "EKS Auto Mode; absent where AWS does not say.",
            |c| c.seen(|it| Value::optional(it.auto_mode)),
        ),
        Def::<Self>::new(
            "tags",
            || Type::map(Type::String),
            "The cluster's resource tags.",
            |c| c.seen(|it| tags(&it.tags)),
        ),
        Def::<Self>::new(
            "has_pod_identity_agent",
            || Type::Bool,
            "Whether the agent that hands out credentials is an add-on, or built in by Auto Mode.",
            Self::has_agent,
        ),
        Def::<Self>::new(
            "associations",
            || Type::list(Type::object("Association")),
            "Its associations.",
            |c| {
                c.fixed(|it| {
                    let key = cluster_key(it);
                    let (shown, remembered): (Vec<usize>, Vec<usize>) =
                        c.index.associations_in(&key).iter().partition(|at| unseen(&c.index, **at).is_none());
                    let remembered = remembered.into_iter().find_map(|at| unseen(&c.index, at));
                    let items =
                        shown.into_iter().map(|at| AssociationFacts { index: Arc::clone(&c.index), at }.into_value());
                    let missing =
                        c.index.cluster_visibility(&key).and_then(|visibility| visibility.associations.clone());
                    let missing = join(missing, remembered.as_ref());
                    Value::list_seen(items, missing)
                })
            },
        ),
        Def::<Self>::new(
            "access_entries",
            || Type::list(Type::object("AccessEntry")),
            "IAM principals that may enter the cluster by an access entry.",
            |c| c.fixed(|it| access_entry::of_cluster(&c.index, it)),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The cluster and its add-ons.",
            |c| {
                c.fixed(|it| {
                    let addons =
                        it.addons.as_ref().map(|list| list.iter().map(|a| a.name.as_str()).collect::<Vec<_>>());
                    let value = serde_json::json!({ "arn": it.arn, "addons": addons, "autoMode": it.auto_mode });
                    fact("the cluster", format!("cluster {}", it.name), value)
                })
            },
        ),
    ];
}

/// Why an association may not be there any more.
fn unseen(index: &AccessIndex, at: usize) -> Option<Reasons> {
    index.associations.get(at).and_then(|association| index.association_unseen(association))
}
