//! Pod Identity associations as facts: the association, its roles, and whether EKS gets through.

use super::declared;
use super::objects::{AccountFacts, AssociationFacts, ClusterFacts, RoleFacts};
use super::view::{
    Def, Facts, digest, evidences, fact, flag, listed, maybe, tags, text, truth, unless, unreadable, value,
};
use crate::access::associations::{self, cluster_of, gap};
use crate::access::pods_request::{Hop, Refusal};
use crate::access::trust::{ASSUME, TAG};
use crate::access::{fallback, uses};
use crate::resource::ResourceType;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{Association, AssociationDetail, Reason};
use rolecall_iam::lint::{self, Severity};
use rolecall_iam::{Document, PolicyType, Truth};
use rolecall_rules::{Evidence, Type, Value};
use std::sync::Arc;

impl AssociationFacts {
    fn fixed(&self, fact: impl FnOnce(&Association) -> Value) -> Value {
        let association = self.index.associations.get(self.at);
        association.map_or_else(|| Value::unknown("the association is not in the estate"), fact)
    }

    /// A fact that the listing shows.
    fn listed(&self, fact: impl FnOnce(&Association) -> Value) -> Value {
        self.fixed(|association| unless(self.index.association_unseen(association).as_ref(), || fact(association)))
    }

    fn described(&self, fact: impl FnOnce(&Association, &AssociationDetail) -> Value) -> Value {
        self.listed(|association| match associations::detail(&self.index, association) {
            Ok(detail) => fact(association, detail),
            Err(why) => Value::Unknown(why),
        })
    }

    /// A role by its ARN: the role, `null` where complete listings lack it, or why it is not known.
    fn role_value(&self, arn: &str) -> Value {
        match self.index.role_exists(arn) {
            Ok(true) => match self.index.role_index(arn) {
                Some(at) => RoleFacts { index: Arc::clone(&self.index), at }.into_value(),
                None => Value::Null,
            },
            Ok(false) => Value::Null,
            Err(why) => Value::Unknown(why),
        }
    }

    fn hop_value(&self, fact: impl FnOnce(&Hop) -> Value, none: Value) -> Value {
        self.described(|association, detail| match associations::hop(&self.index, association, detail) {
            Ok(Some(hop)) => fact(&hop),
            Ok(None) => none,
            Err(why) => Value::Unknown(why),
        })
    }
}

/// What AWS STS refuses of a session policy that reads as a policy, as evidence.
fn refused_of_session(document: &Document) -> Vec<Value> {
    if document.parsed.is_err() {
        return Vec::new();
    }
    let whole: serde_json::Value = serde_json::from_str(&document.text).unwrap_or_default();
    let problems = lint::check(document, PolicyType::Session).into_iter();
    let refused = problems.filter(|problem| problem.severity == Severity::Refused);
    let shown = refused.map(|problem| {
        Value::object(Evidence {
            label: problem.message,
            document: Some(document.digest),
            source: "session policy".to_owned(),
            value: whole.pointer(&problem.pointer).cloned().unwrap_or_default(),
            pointer: problem.pointer,
        })
    });
    shown.collect()
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
            a.fixed(|it| AccountFacts { index: Arc::clone(&a.index), id: it.key.account_id }.into_value())
        }),
        Def::<Self>::new("region", || Type::String, "The cluster's region.", |a| a.fixed(|it| text(it.key.region.as_str()))),
        Def::<Self>::new("cluster_name", || Type::String, "The cluster's name.", |a| a.fixed(|it| text(it.key.cluster.as_str()))),
        Def::<Self>::new("cluster", || Type::object("Cluster"), "The cluster.", |a| {
            a.fixed(|it| match a.index.cluster_index(&cluster_of(it)) {
                Some(at) => ClusterFacts { index: Arc::clone(&a.index), at }.into_value(),
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
        Def::<Self>::new(
            "declared",
            || Type::optional(Type::object("Declared")),
            "How it stands to what infrastructure code declares; absent where no code declares associations of its cluster, or an add-on owns it.",
            |a| a.fixed(|it| declared::of(&a.index, ResourceType::Association, &it.key.to_string())),
        ),
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
                    value(associations::permissions(&a.index, detail).map(Facts::into_value))
                })
            },
        ),
        Def::<Self>::new(
            "refused_for",
            || Type::optional(Type::String),
            "What the role's trust policy refuses of the association's own request: `not_admitted`, `session_tags_disabled`, `tags`, `source` or `other`; absent where it can get through, or where there is no role.",
            |a| {
                a.described(|association, detail| {
                    let refusal = associations::refusal(&a.index, association, detail);
                    value(refusal.map(|refusal| maybe(refusal.map(Refusal::as_str))))
                })
            },
        ),
        Def::<Self>::new(
            "trust_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements of the association role's trust policy that concern EKS Pod Identity.",
            |a| {
                a.described(|_, detail| match associations::trusting(&a.index, &detail.role_arn) {
                    Err(why) => Value::Unknown(why),
                    Ok(None) => Value::list([]),
                    Ok(Some((role, answers))) => {
                        let sites = answers.concerning_pods();
                        if sites.is_empty() {
                            let trust = role.trust.and_then(|digest| a.index.documents.get(&digest));
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
            |a| a.described(|association, detail| flag(associations::caller_may(&a.index, ASSUME, association, detail))),
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
                    flag(associations::caller_may(&a.index, TAG, association, detail))
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
                    let document = detail.policy.as_ref().and_then(|digest| a.index.documents.get(digest));
                    let broken = document.and_then(|d| d.parsed.as_ref().err().map(|error| (d, error)));
                    Value::list(broken.map(|(d, error)| unreadable("session policy", d, error)))
                })
            },
        ),
        Def::<Self>::new(
            "refused_by_sts",
            || Type::list(Type::object("Evidence")),
            "What of the session policy AWS STS refuses when a session is made, such as a part of an ARN.",
            |a| {
                a.described(|_, detail| {
                    let document = detail.policy.as_ref().and_then(|digest| a.index.documents.get(digest));
                    Value::list(document.into_iter().flat_map(refused_of_session))
                })
            },
        ),
        Def::<Self>::new(
            "uses",
            || Type::list(Type::object("Use")),
            "When its credentials were used last, by the trail and by IAM, and until when they may have been.",
            |a| a.listed(|it| listed(uses::of_association(&a.index, it))),
        ),
        Def::<Self>::new(
            "web_identity",
            || Type::list(Type::object("WebIdentityUse")),
            "Sessions of the same service account by IRSA, where it has sessions by the association as well.",
            |a| a.listed(|it| listed(uses::web_identity(&a.index, it))),
        ),
        Def::<Self>::new(
            "node_fallbacks",
            || Type::list(Type::object("NodeFallback")),
            "What instances did that its pods may do, while these have no session of their own.",
            |a| a.described(|association, detail| listed(fallback::of_association(&a.index, association, detail))),
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
