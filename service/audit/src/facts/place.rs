//! Accounts, clusters and managed policies as facts.

use super::CachedIndex;
use super::access_entry;
use super::association::AssociationFacts;
use super::role::tags;
use super::view::{Def, Facts, fact, maybe, text, unreadable};
use crate::index::{cluster_key, join, unless};
use rolecall_estate::{Cluster, ManagedPolicy};
use rolecall_iam::AccountId;
use rolecall_rules::{Reasons, Type, Value};
use std::sync::Arc;

/// The add-on that hands Pod Identity credentials to pods.
const AGENT: &str = "eks-pod-identity-agent";

/// An account of the estate.
#[derive(Debug)]
pub(super) struct AccountFacts {
    pub world: Arc<CachedIndex>,
    pub id: AccountId,
}

impl AccountFacts {
    fn account(&self) -> Option<&rolecall_estate::Account> {
        self.world.accounts.get(&self.id)
    }

    /// Whether `AssumeRole`, a read-only management event, is recorded for the account.
    fn records_assume_role(&self) -> Value {
        let mine = || self.world.trails.iter().filter(|trail| trail.account_id == self.id);
        if mine().any(|trail| trail.records_read_only_management == Some(true)) {
            return Value::Bool(true);
        }
        let hidden = mine().find(|trail| trail.records_read_only_management.is_none()).map(|trail| {
            let foreign = || {
                Reasons::one(format!("the event selectors of trail {} can only be read in its own account", trail.name))
            };
            self.world.trail_unseen(trail).unwrap_or_else(foreign)
        });
        let why = join(self.world.visibility(self.id).trails.clone(), hidden.as_ref());
        unless(why.as_ref(), || Value::Bool(false))
    }
}

impl Facts for AccountFacts {
    const NAME: &'static str = "Account";
    const DOC: &'static str = "An AWS account.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("id", || Type::String, "The twelve digits.", |a| text(&a.id.to_string())),
        Def::<Self>::new(
            "name",
            || Type::optional(Type::String),
            "Its name in the organisation or the configuration.",
            |a| maybe(a.account().and_then(|account| account.name.as_deref())),
        ),
        Def::<Self>::new(
            "ou_path",
            || Type::optional(Type::String),
            "OU path such as `/workloads/prod`.",
            |a| maybe(a.world.ou_path(a.id)),
        ),
        Def::<Self>::new(
            "is_management",
            || Type::Bool,
            "Whether it is the organisation's management account.",
            |a| a.account().is_some_and(|account| account.is_management).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "has_associations",
            || Type::Bool,
            "Whether some cluster of the account has a Pod Identity association.",
            |a| {
                let mine = || a.world.associations.iter().filter(|association| association.key.account_id == a.id);
                if mine().any(|association| a.world.association_unseen(association).is_none()) {
                    return Value::Bool(true);
                }
                if let Some(why) = mine().find_map(|association| a.world.association_unseen(association)) {
                    return Value::Unknown(why);
                }
                unless(a.world.visibility(a.id).associations.as_ref(), || Value::Bool(false))
            },
        ),
        Def::<Self>::new(
            "trails",
            || Type::list(Type::String),
            "ARNs of the trails seen in the account.",
            |a| {
                let mine = a.world.trails.iter().filter(|trail| trail.account_id == a.id);
                let (shown, remembered): (Vec<_>, Vec<_>) =
                    mine.partition(|trail| a.world.trail_unseen(trail).is_none());
                let unseen = remembered.into_iter().find_map(|trail| a.world.trail_unseen(trail));
                let missing = join(a.world.visibility(a.id).trails.clone(), unseen.as_ref());
                Value::list_seen(shown.into_iter().map(|trail| text(&trail.arn)), missing)
            },
        ),
        Def::<Self>::new(
            "records_assume_role",
            || Type::Bool,
            "Whether some trail records `AssumeRole`, which is a read-only management event.",
            Self::records_assume_role,
        ),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The account's trails.",
            |a| {
                let mine = a.world.trails.iter().filter(|trail| trail.account_id == a.id);
                Value::list(mine.map(|trail| {
                    let value = serde_json::json!({
                        "Name": trail.name, "HomeRegion": trail.region, "IsMultiRegionTrail": trail.is_multi_region,
                        "recordsReadOnlyManagementEvents": trail.records_read_only_management,
                    });
                    fact("a trail", trail.arn.clone(), value)
                }))
            },
        ),
    ];
}

/// A cluster of the estate.
#[derive(Debug)]
pub(super) struct ClusterFacts {
    pub world: Arc<CachedIndex>,
    pub index: usize,
}

impl ClusterFacts {
    fn fixed(&self, fact: impl FnOnce(&Cluster) -> Value) -> Value {
        let cluster = self.world.clusters.get(self.index);
        cluster.map_or_else(|| Value::unknown("the cluster is not in the estate"), fact)
    }

    /// What only describing the cluster shows.
    fn seen(&self, fact: impl FnOnce(&Cluster) -> Value) -> Value {
        self.fixed(|cluster| unless(self.world.cluster_undescribed(cluster).as_ref(), || fact(cluster)))
    }

    fn has_agent(&self) -> Value {
        self.fixed(|cluster| {
            let agent = |addons: &Vec<rolecall_estate::Addon>| addons.iter().any(|addon| addon.name == AGENT);
            if self.world.addons_shown(cluster) && cluster.addons.as_ref().is_some_and(agent) {
                return Value::Bool(true);
            }
            // Auto Mode has the agent built in, and no add-on.
            let undescribed = self.world.cluster_undescribed(cluster);
            if undescribed.is_none() && cluster.auto_mode == Some(true) {
                return Value::Bool(true);
            }
            let visibility =
                self.world.cluster_visibility(&cluster_key(cluster)).and_then(|visibility| visibility.addons.clone());
            unless(join(undescribed, visibility.as_ref()).as_ref(), || match &cluster.addons {
                Some(addons) => agent(addons).into(),
                None if self.world.assumes_no_addons() => Value::Bool(false),
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
            |c| c.fixed(|it| AccountFacts { world: Arc::clone(&c.world), id: it.account_id }.into_value()),
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
                        c.world.associations_in(&key).iter().partition(|index| unseen(&c.world, **index).is_none());
                    let remembered = remembered.into_iter().find_map(|index| unseen(&c.world, index));
                    let items = shown
                        .into_iter()
                        .map(|index| AssociationFacts { world: Arc::clone(&c.world), index }.into_value());
                    let missing =
                        c.world.cluster_visibility(&key).and_then(|visibility| visibility.associations.clone());
                    let missing = join(missing, remembered.as_ref());
                    Value::list_seen(items, missing)
                })
            },
        ),
        Def::<Self>::new(
            "access_entries",
            || Type::list(Type::object("AccessEntry")),
            "IAM principals that may enter the cluster by an access entry.",
            |c| c.fixed(|it| access_entry::of_cluster(&c.world, it)),
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
fn unseen(world: &CachedIndex, index: usize) -> Option<Reasons> {
    world.associations.get(index).and_then(|association| world.association_unseen(association))
}

/// A customer's managed policy of the estate.
#[derive(Debug)]
pub(super) struct PolicyFacts {
    pub world: Arc<CachedIndex>,
    pub index: usize,
}

impl PolicyFacts {
    fn fixed(&self, fact: impl FnOnce(&ManagedPolicy) -> Value) -> Value {
        let policy = self.world.policies.get(self.index);
        policy.map_or_else(|| Value::unknown("the policy is not in the estate"), fact)
    }

    fn seen(&self, fact: impl FnOnce(&ManagedPolicy) -> Value) -> Value {
        self.fixed(|policy| unless(self.world.policy_unseen(policy).as_ref(), || fact(policy)))
    }
}

impl Facts for PolicyFacts {
    const NAME: &'static str = "Policy";
    const DOC: &'static str = "A managed policy of an account's own.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("arn", || Type::String, "The policy's ARN.", |p| p.fixed(|it| text(it.arn.as_str()))),
        Def::<Self>::new("name", || Type::String, "The policy's name.", |p| p.fixed(|it| text(&it.name))),
        Def::<Self>::new(
            "account_id",
            || Type::String,
            "The account that owns it.",
            |p| p.fixed(|it| text(&it.account_id.to_string())),
        ),
        Def::<Self>::new(
            "account",
            || Type::object("Account"),
            "The account that owns it.",
            |p| p.fixed(|it| AccountFacts { world: Arc::clone(&p.world), id: it.account_id }.into_value()),
        ),
        Def::<Self>::new(
            "attached_to",
            || Type::list(Type::String),
            "ARNs of the roles that have it.",
            |p| {
                p.fixed(|it| {
                    let has =
                        |role: &&rolecall_estate::Role| role.attached.iter().any(|attached| attached.arn == it.arn);
                    let roles = p.world.roles.iter().filter(has);
                    let (shown, remembered): (Vec<_>, Vec<_>) =
                        roles.partition(|role| p.world.role_unseen(role).is_none());
                    let remembered = remembered.into_iter().find_map(|role| p.world.role_unseen(role));
                    let missing = join(p.world.visibility(it.account_id).roles.clone(), remembered.as_ref());
                    Value::list_seen(shown.into_iter().map(|role| text(role.arn.as_str())), missing)
                })
            },
        ),
        Def::<Self>::new(
            "unreadable",
            || Type::list(Type::object("Evidence")),
            "Its document, where it could not be read.",
            |p| {
                p.seen(|it| {
                    let Some(document) = it.document.as_ref().and_then(|digest| p.world.documents.get(digest)) else {
                        return Value::unknown(format!("the document of {} was not seen", it.arn));
                    };
                    let error = document.parsed.as_ref().err();
                    Value::list(error.map(|error| unreadable(it.arn.as_str(), document, error)))
                })
            },
        ),
    ];
}
