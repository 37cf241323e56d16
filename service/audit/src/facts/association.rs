//! Pod Identity associations as facts: the association, its roles, and whether EKS gets through.

use super::CachedIndex;
use super::attributions;
use super::permissions;
use super::place::{AccountFacts, ClusterFacts};
use super::role::{RoleFacts, digest, tags};
use super::trust::{self, Hop};
use super::view::{Def, Facts, evidences, fact, maybe, text, truth};
use crate::index::unless;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_estate::{Association, AssociationDetail, AssociationKey, Cause, Reason, Role};
use rolecall_iam::{Context, Truth};
use rolecall_rules::{Reasons, Type, Value};
use std::sync::Arc;

/// An association of the estate.
#[derive(Debug, Clone)]
pub(super) struct AssociationFacts {
    pub world: Arc<CachedIndex>,
    pub index: usize,
}

impl AssociationFacts {
    fn fixed(&self, fact: impl FnOnce(&Association) -> Value) -> Value {
        let association = self.world.associations.get(self.index);
        association.map_or_else(|| Value::unknown("the association is not in the estate"), fact)
    }

    fn place(association: &Association) -> crate::index::ClusterKey {
        let key = &association.key;
        (key.account_id, key.region.clone(), key.cluster.clone())
    }

    /// A fact that the listing shows.
    fn listed(&self, fact: impl FnOnce(&Association) -> Value) -> Value {
        self.fixed(|association| unless(self.world.association_unseen(association).as_ref(), || fact(association)))
    }

    /// What only describing the association shows, or why it is not known.
    fn detail<'a>(&self, association: &'a Association) -> Result<&'a AssociationDetail, Reasons> {
        if let Some(why) = self.world.detail_unseen(association) {
            return Err(why);
        }
        // The refused call says more than that nothing is there.
        if association.detail.is_none()
            && let Some(why) =
                self.world.cluster_visibility(&Self::place(association)).and_then(|it| it.details.clone())
        {
            return Err(why);
        }
        let missing = || {
            let text = format!("association {} was listed, but not described", association.key);
            Reasons::one(Reason::new(text, gap(&association.key, ScopeKind::AssociationDetails)))
        };
        association.detail.as_ref().ok_or_else(missing)
    }

    fn described(&self, fact: impl FnOnce(&Association, &AssociationDetail) -> Value) -> Value {
        self.listed(|association| match self.detail(association) {
            Ok(detail) => fact(association, detail),
            Err(why) => Value::Unknown(why),
        })
    }

    fn cluster_arn(&self, association: &Association) -> String {
        let key = &association.key;
        let listed =
            self.world.cluster_index(&Self::place(association)).and_then(|index| self.world.clusters.get(index));
        listed.map_or_else(
            || {
                // The association's own ARN holds the partition.
                let partition = association.arn.split(':').nth(1).filter(|p| !p.is_empty()).unwrap_or("aws");
                format!("arn:{partition}:eks:{}:{}:cluster/{}", key.region, key.account_id, key.cluster)
            },
            |cluster| cluster.arn.clone(),
        )
    }

    /// A role by its ARN: the role, `null` where whole listings lack it, or why it is not known.
    fn role_value(&self, arn: &str) -> Value {
        match self.world.role_exists(arn) {
            Value::Bool(true) => match self.world.role_index(arn) {
                Some(index) => RoleFacts { world: Arc::clone(&self.world), index }.into_value(),
                None => Value::Null,
            },
            Value::Bool(false) => Value::Null,
            unknown => unknown,
        }
    }

    /// A role with its trust policy, or why not: `Ok(None)` where it is known to be missing.
    fn trusting(&self, arn: &str) -> Result<Option<(&Role, Arc<trust::TrustAnswers>)>, Reasons> {
        match self.world.role_exists(arn) {
            Value::Unknown(why) => Err(why),
            _ => match self.world.role(arn) {
                None => Ok(None),
                Some(role) => trust::answers(&self.world, role).map(|a| Some((role, a))).map_err(Reasons::one),
            },
        }
    }

    fn hop(&self, association: &Association, detail: &AssociationDetail) -> Result<Option<Hop>, Reasons> {
        let Some(target) = &detail.target_role_arn else { return Ok(None) };
        let Some((_, answers)) = self.trusting(target)? else { return Ok(None) };
        let role_arn =
            detail.role_arn.parse().map_err(|error: rolecall_iam::ArnError| Reasons::one(error.to_string()))?;
        let role_id = self.world.role(&detail.role_arn).map(|role| role.role_id.as_str());
        let cluster = self.cluster_arn(association);
        Ok(Some(trust::hop(&answers, &role_arn, role_id, &association.key, detail, &cluster)))
    }

    fn hop_value(&self, fact: impl FnOnce(&Hop) -> Value, none: Value) -> Value {
        self.described(|association, detail| match self.hop(association, detail) {
            Ok(Some(hop)) => fact(&hop),
            Ok(None) => none,
            Err(why) => Value::Unknown(why),
        })
    }

    /// Whether the association role's own policies allow it an STS action on the target role.
    fn caller_may(&self, action: &str, association: &Association, detail: &AssociationDetail) -> Value {
        let hop = match self.hop(association, detail) {
            Ok(Some(hop)) => hop,
            Ok(None) => return Value::Bool(true),
            Err(why) => return Value::Unknown(why),
        };
        let Some(target) = &detail.target_role_arn else { return Value::Bool(true) };
        let role = match self.world.role_exists(&detail.role_arn) {
            Value::Unknown(why) => return Value::Unknown(why),
            _ => match self.world.role(&detail.role_arn) {
                Some(role) => role,
                None => return Value::Bool(true),
            },
        };
        let account = |arn: &str| arn.split(':').nth(4).map(str::to_owned);
        // In one account a trust policy that names the role is enough.
        let via_account = if action == trust::TAG { hop.tag_via_account } else { hop.assume_via_account };
        if account(target) == account(&detail.role_arn) && !via_account {
            return Value::Bool(true);
        }
        let stack = permissions::stack(&self.world, role, None);
        truth(&stack.possible(action, target, &Context::open()).truth)
    }
}

/// A listing of an association's cluster that is incomplete.
fn gap(key: &AssociationKey, kind: ScopeKind) -> Cause {
    Cause::Gap(Scope::of_cluster(key.account_id, kind, key.region.clone(), key.cluster.clone()))
}

impl Facts for AssociationFacts {
    const NAME: &'static str = "Association";
    const DOC: &'static str = "A Pod Identity association: a service account, its role, and perhaps a target role.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("key", || Type::String, "Account, region, cluster, namespace and service account.", |a| {
            a.fixed(|it| text(&it.key.to_string()))
        }),
        Def::<Self>::new("account_id", || Type::String, "The cluster's account.", |a| {
            a.fixed(|it| text(&it.key.account_id.to_string()))
        }),
        Def::<Self>::new("account", || Type::object("Account"), "The cluster's account.", |a| {
            a.fixed(|it| AccountFacts { world: Arc::clone(&a.world), id: it.key.account_id }.into_value())
        }),
        Def::<Self>::new("region", || Type::String, "The cluster's region.", |a| a.fixed(|it| text(it.key.region.as_str()))),
        Def::<Self>::new("cluster_name", || Type::String, "The cluster's name.", |a| a.fixed(|it| text(it.key.cluster.as_str()))),
        Def::<Self>::new("cluster", || Type::object("Cluster"), "The cluster.", |a| {
            a.fixed(|it| match a.world.cluster_index(&Self::place(it)) {
                Some(index) => ClusterFacts { world: Arc::clone(&a.world), index }.into_value(),
                None => {
                    let text = format!("cluster {} was not described", it.key.cluster);
                    Value::unknown(Reason::new(text, gap(&it.key, ScopeKind::ClusterDetails)))
                }
            })
        }),
        Def::<Self>::new("namespace", || Type::String, "The Kubernetes namespace.", |a| {
            a.fixed(|it| text(it.key.namespace.as_str()))
        }),
        Def::<Self>::new("service_account", || Type::String, "The Kubernetes service account.", |a| {
            a.fixed(|it| text(it.key.service_account.as_str()))
        }),
        Def::<Self>::new("association_id", || Type::String, "The id (`a-…`), new when it is made anew.", |a| {
            a.listed(|it| text(&it.association_id))
        }),
        Def::<Self>::new("arn", || Type::String, "The association's ARN.", |a| a.listed(|it| text(&it.arn))),
        Def::<Self>::new("owner_arn", || Type::optional(Type::String), "The add-on that owns it.", |a| {
            a.listed(|it| maybe(it.owner_arn.as_deref()))
        }),
        Def::<Self>::new("role_arn", || Type::String, "The association role's ARN, as AWS gave it.", |a| {
            a.described(|_, detail| text(&detail.role_arn))
        }),
        Def::<Self>::new(
            "role",
            || Type::optional(Type::object("Role")),
            "The association role; absent where a whole listing of the account's roles lacks it.",
            |a| a.described(|_, detail| a.role_value(&detail.role_arn)),
        ),
        Def::<Self>::new("target_role_arn", || Type::optional(Type::String), "The target role's ARN.", |a| {
            a.described(|_, detail| maybe(detail.target_role_arn.as_deref()))
        }),
        Def::<Self>::new(
            "target_role",
            || Type::optional(Type::object("Role")),
            "The target role; absent where there is none, or where a whole listing lacks it.",
            |a| a.described(|_, detail| detail.target_role_arn.as_deref().map_or(Value::Null, |arn| a.role_value(arn))),
        ),
        Def::<Self>::new(
            "external_id",
            || Type::optional(Type::String),
            "The external id that EKS made for the hop to the target role.",
            |a| a.described(|_, detail| maybe(detail.external_id.as_deref())),
        ),
        Def::<Self>::new("session_tags_disabled", || Type::Bool, "Whether the six session tags are not sent.", |a| {
            a.described(|_, detail| detail.disable_session_tags.into())
        })
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "session_policy",
            || Type::optional(Type::String),
            "The digest of the session policy, where there is one.",
            |a| a.described(|_, detail| digest(detail.policy.as_ref())),
        ),
        Def::<Self>::new("tags", || Type::map(Type::String), "The association's resource tags.", |a| {
            a.described(|_, detail| tags(&detail.tags))
        }),
        Def::<Self>::new("created_at", || Type::optional(Type::Timestamp), "When it was made.", |a| {
            a.described(|_, detail| Value::optional(detail.created_at))
        }),
        Def::<Self>::new("modified_at", || Type::optional(Type::Timestamp), "When it last changed.", |a| {
            a.described(|_, detail| Value::optional(detail.modified_at))
        }),
        Def::<Self>::new(
            "unknown_fields",
            || Type::list(Type::String),
            "Fields that AWS gave and that this version does not know.",
            |a| a.described(|_, detail| Value::texts(detail.extra.keys())),
        ),
        Def::<Self>::new(
            "permissions",
            || Type::object("Permissions"),
            "What its pods may do in the end: by the target role where there is one, under the session policy.",
            |a| {
                a.described(|_, detail| {
                    let arn = detail.target_role_arn.as_deref().unwrap_or(&detail.role_arn);
                    match (a.world.role_exists(arn), a.world.role(arn)) {
                        (Value::Unknown(why), _) => Value::Unknown(why),
                        (_, None) => Value::unknown(format!("role {arn} does not exist")),
                        (_, Some(role)) => {
                            permissions::Permissions(permissions::answers(&a.world, role, detail.policy.as_ref()))
                                .into_value()
                        }
                    }
                })
            },
        ),
        Def::<Self>::new(
            "refused_for",
            || Type::optional(Type::String),
            "What the role's trust policy refuses of the association's own request: `not_admitted`, `session_tags_disabled`, `tags`, `source` or `other`; absent where it can get through, or where there is no role.",
            |a| {
                a.described(|association, detail| match a.trusting(&detail.role_arn) {
                    Err(why) => Value::Unknown(why),
                    Ok(None) => Value::Null,
                    Ok(Some((_, answers))) => {
                        let cluster = a.cluster_arn(association);
                        match trust::refusal(&answers, &association.key, detail, &cluster) {
                            Ok(refusal) => maybe(refusal.map(trust::Refusal::as_str)),
                            Err(unknown) => truth(&unknown),
                        }
                    }
                })
            },
        ),
        Def::<Self>::new(
            "trust_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements of the association role's trust policy that concern EKS Pod Identity.",
            |a| {
                a.described(|_, detail| match a.trusting(&detail.role_arn) {
                    Err(why) => Value::Unknown(why),
                    Ok(None) => Value::list([]),
                    Ok(Some((role, answers))) => {
                        let trust = trust::TrustFacts { world: Arc::clone(&a.world), account: role.arn.account_id(), answers };
                        let sites = trust.concerning_pods();
                        if sites.is_empty() {
                            let trust = role.trust.and_then(|digest| a.world.documents.get(&digest));
                            let document = trust.map_or(serde_json::Value::Null, |d| d.text.as_ref().into());
                            return Value::list([fact("does not name EKS Pod Identity", "trust policy".to_owned(), document)]);
                        }
                        evidences("concerns EKS Pod Identity", &sites)
                    }
                })
            },
        ),
        Def::<Self>::new(
            "hop_admitted",
            || Type::Bool,
            "Whether the target role's trust policy can admit the association role; true where there is no hop to judge.",
            |a| a.hop_value(|hop| truth(&hop.admitted), Value::Bool(true)),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "hop_may_tag",
            || Type::Bool,
            "Whether the target role's trust policy lets the session tags through, which are transitive.",
            |a| a.hop_value(|hop| truth(&hop.may_tag), Value::Bool(true)),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "hop_assume_allowed",
            || Type::Bool,
            "Whether the association role's own policies allow `sts:AssumeRole` on the target role; true where there is no hop to judge.",
            |a| a.described(|association, detail| a.caller_may(trust::ASSUME, association, detail)),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "hop_tag_allowed",
            || Type::Bool,
            "Whether the association role's own policies allow `sts:TagSession` on the target role; true where no session tags are sent.",
            |a| {
                a.described(|association, detail| {
                    if detail.disable_session_tags {
                        return Value::Bool(true);
                    }
                    a.caller_may(trust::TAG, association, detail)
                })
            },
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "hop_unlimited",
            || Type::Bool,
            "Whether the target role admits the association role with a foreign external id and foreign session tags.",
            |a| {
                let both = |hop: &Hop| match (&hop.admitted, &hop.unlimited.truth) {
                    (Truth::False, _) => Value::Bool(false),
                    (_, unlimited) => truth(unlimited),
                };
                a.hop_value(both, Value::Bool(false))
            },
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "hop_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements of the target role's trust policy that admit the association role.",
            |a| {
                let sites = |hop: &Hop| evidences("admits the association role", &hop.unlimited.by);
                a.hop_value(sites, Value::list([]))
            },
        ),
        Def::<Self>::new(
            "unreadable",
            || Type::list(Type::object("Evidence")),
            "The session policy, where it could not be read.",
            |a| {
                a.described(|_, detail| {
                    let document = detail.policy.as_ref().and_then(|digest| a.world.documents.get(digest));
                    let broken = document.and_then(|d| d.parsed.as_ref().err().map(|error| (d, error)));
                    Value::list(broken.map(|(d, error)| super::view::unreadable("session policy", d, error)))
                })
            },
        ),
        Def::<Self>::new(
            "refused_by_sts",
            || Type::list(Type::object("Evidence")),
            "What of the session policy AWS STS refuses when a session is made, such as a part of an ARN.",
            |a| {
                a.described(|_, detail| {
                    let document = detail.policy.as_ref().and_then(|digest| a.world.documents.get(digest));
                    Value::list(document.into_iter().flat_map(super::permissions::refused_of_session))
                })
            },
        ),
        Def::<Self>::new(
            "uses",
            || Type::list(Type::object("Use")),
            "When its credentials were used last, by the trail and by IAM, and until when they may have been.",
            |a| a.listed(|it| attributions::uses_of_association(&a.world, it)),
        ),
        Def::<Self>::new(
            "web_identity",
            || Type::list(Type::object("WebIdentityUse")),
            "Sessions of the same service account by IRSA, where it has sessions by the association as well.",
            |a| a.listed(|it| attributions::web_identity(&a.world, it)),
        ),
        Def::<Self>::new(
            "node_fallbacks",
            || Type::list(Type::object("NodeFallback")),
            "What instances did that its pods may do, while these have no session of their own.",
            |a| a.described(|association, detail| super::fallback::of(&a.world, association, detail)),
        ),
        Def::<Self>::new("evidence", || Type::object("Evidence"), "The association itself.", |a| {
            a.fixed(|it| {
                let detail = it.detail.as_ref();
                let value = serde_json::json!({
                    "associationId": it.association_id,
                    "associationArn": it.arn,
                    "clusterName": it.key.cluster,
                    "namespace": it.key.namespace,
                    "serviceAccount": it.key.service_account,
                    "roleArn": detail.map(|d| &d.role_arn),
                    "targetRoleArn": detail.and_then(|d| d.target_role_arn.as_ref()),
                    "externalId": detail.and_then(|d| d.external_id.as_ref()),
                    "disableSessionTags": detail.map(|d| d.disable_session_tags),
                });
                fact("the association", format!("association {}", it.key), value)
            })
        }),
    ];
}
