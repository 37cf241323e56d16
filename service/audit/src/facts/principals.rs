//! The principals that a trust policy names or lets in, as facts.

use super::view::{Def, Facts, evidence, evidences, flag, maybe, text, truth};
use crate::access::index::AccessIndex;
use crate::access::role_trust::{RoleTrust, admits_association_roles, is_outside};
use crate::access::trust::TAG;
use rolecall_iam::AccountId;
use rolecall_iam::trust::{Admission, ExternalAccess, FederatedAccess, Tenancy, Who};
use rolecall_rules::{Type, Value};
use std::sync::Arc;

/// A principal outside the organization that a trust policy lets in.
#[derive(Debug)]
pub(super) struct ExternalFacts {
    pub index: Arc<AccessIndex>,
    pub access: ExternalAccess,
}

impl Facts for ExternalFacts {
    const NAME: &'static str = "ExternalAccess";
    const DOC: &'static str =
        "A principal outside the organization that a trust policy can let in, conditions considered.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "who",
            || Type::String,
            "The principal in words: any AWS principal, any of an organization, an account or an ARN.",
            |e| text(&e.who()),
        ),
        Def::<Self>::new(
            "account_id",
            || Type::optional(Type::String),
            "The principal's account; absent where principals of any account are let in.",
            |e| e.access.account_id.map_or(Value::Null, |id| text(&id.to_string())),
        ),
        Def::<Self>::new(
            "organization_ids",
            || Type::list(Type::String),
            "The foreign organizations to which conditions limit it; empty where to none.",
            |e| Value::texts(&e.access.organizations),
        ),
        Def::<Self>::new(
            "outside",
            || Type::Bool,
            "Whether it is let in and belongs neither to the organization nor to the estate.",
            |e| flag(is_outside(&e.index, &e.access)),
        ),
        Def::<Self>::new(
            "external_id",
            || Type::Bool,
            "Whether every way in asks for a certain `sts:ExternalId`.",
            |e| truth(&e.access.external_id),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that let it in.",
            |e| evidences("admits", &e.access.by),
        ),
    ];
}

impl ExternalFacts {
    fn who(&self) -> String {
        let access = &self.access;
        let organizations = access.organizations.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
        let of = |what: &str| match organizations.as_str() {
            "" => what.to_owned(),
            named => format!("{what} of organization {named}"),
        };
        match (access.principal.as_str(), access.account_id) {
            ("*", _) if organizations.is_empty() => "any AWS principal".to_owned(),
            ("*", _) => of("any principal"),
            (principal, Some(account)) if principal == account.to_string() => of(&format!("account {account}")),
            (principal, _) => of(principal),
        }
    }
}

/// An identity provider whose tokens or assertions a trust policy takes.
#[derive(Debug)]
pub(super) struct FederatedFacts {
    pub index: Arc<AccessIndex>,
    pub account: AccountId,
    pub access: FederatedAccess,
}

impl FederatedFacts {
    fn exists(&self) -> Value {
        flag(RoleTrust::provider_exists(&self.index, self.account, &self.access.provider))
    }
}

impl Facts for FederatedFacts {
    const NAME: &'static str = "FederatedAccess";
    const DOC: &'static str = "An identity provider whose tokens or assertions a trust policy can take.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "provider",
            || Type::String,
            "The provider, as the policy names it.",
            |f| text(&f.access.provider.text()),
        ),
        Def::<Self>::new(
            "issuer",
            || Type::String,
            "The issuer of the tokens, without `https://`; of a SAML provider, its name.",
            |f| text(&f.access.issuer),
        ),
        Def::<Self>::new(
            "kind",
            || Type::String,
            "`shared` (an issuer that AWS names as shared by many organizations), `cluster` (an EKS cluster), `saml`, or `unlisted`.",
            |f| {
                text(match f.access.tenancy {
                    Tenancy::Shared => "shared",
                    Tenancy::Cluster => "cluster",
                    Tenancy::Saml => "saml",
                    Tenancy::Unlisted => "unlisted",
                })
            },
        ),
        Def::<Self>::new(
            "shared",
            || Type::Bool,
            "Whether the issuer serves other organizations too; not known of an issuer that AWS does not name.",
            |f| match f.access.tenancy {
                Tenancy::Shared => Value::Bool(true),
                Tenancy::Cluster | Tenancy::Saml => Value::Bool(false),
                Tenancy::Unlisted => Value::unknown(format!(
                    "whether `{}` issues tokens to other organizations is not known",
                    f.access.issuer
                )),
            },
        ),
        Def::<Self>::new(
            "admits_stranger",
            || Type::Bool,
            "Whether a token is taken whose subject, and where it tells tenants apart audience, the policy does not name; of a cluster, one of another namespace.",
            |f| truth(&f.access.outside_caller),
        ),
        Def::<Self>::new(
            "example",
            || Type::optional(Type::String),
            "What such a token says, such as `sub repo:nowhere/nowhere:ref:refs/heads/main`.",
            |f| maybe(f.access.example.as_deref()),
        ),
        Def::<Self>::new(
            "any_audience",
            || Type::Bool,
            "Whether a token or assertion for another audience is taken.",
            |f| truth(&f.access.any_audience),
        ),
        Def::<Self>::new(
            "provider_exists",
            || Type::Bool,
            "Whether the role's account has the provider, without which nobody gets in.",
            Self::exists,
        ),
        Def::<Self>::new(
            "provider_missing",
            || Type::Bool,
            "Whether it is certain that the role's account does not have the provider.",
            |f| Value::Bool(matches!(f.exists(), Value::Bool(false))),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that take its tokens or assertions.",
            |f| evidences("admits", &f.access.by),
        ),
    ];
}

/// One principal that a trust policy names.
#[derive(Debug)]
pub(super) struct AdmissionFacts {
    pub index: Arc<AccessIndex>,
    pub admission: Admission,
}

impl Facts for AdmissionFacts {
    const NAME: &'static str = "Admission";
    const DOC: &'static str = "One principal that one statement of a trust policy admits.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "kind",
            || Type::String,
            "`anyone`, `all_but`, `account`, `role`, `user`, `session`, `service`, `oidc`, `saml`, `provider` or `other`.",
            |a| text(who_kind(&a.admission.who)),
        ),
        Def::<Self>::new(
            "who",
            || Type::String,
            "The principal, as a policy writes it.",
            |a| text(&a.admission.who.text()),
        ),
        Def::<Self>::new(
            "account_id",
            || Type::optional(Type::String),
            "The account that the principal belongs to, where it has one.",
            |a| a.admission.who.account_id().map_or(Value::Null, |id| text(&id.to_string())),
        ),
        Def::<Self>::new(
            "account_known",
            || Type::Bool,
            "Whether that account belongs to the organisation or the estate; true where it has none.",
            |a| flag(a.admission.who.account_id().map_or(Ok(true), |id| a.index.account_known(id))),
        ),
        Def::<Self>::new(
            "conditional",
            || Type::Bool,
            "Whether a condition that can fail stands before it.",
            |a| a.admission.conditional.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "may_tag",
            || Type::Bool,
            "Whether the statement allows `sts:TagSession` too.",
            |a| a.admission.actions.contains(TAG).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "is_association_role",
            || Type::Bool,
            "Whether only association roles are meant, whose session tags EKS set and nobody can replace.",
            |a| flag(admits_association_roles(&a.index, &a.admission)),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The statement and where it stands.",
            |a| Value::object(evidence("admits", &a.admission.site)),
        ),
    ];
}

fn who_kind(who: &Who) -> &'static str {
    match who {
        Who::Anyone => "anyone",
        Who::AllBut(_) => "all_but",
        Who::Account(_) => "account",
        Who::Role(_) => "role",
        Who::User(_) => "user",
        Who::Session(_) => "session",
        Who::Service(_) => "service",
        Who::Oidc(_) => "oidc",
        Who::Saml(_) => "saml",
        Who::Provider(_) => "provider",
        Who::DeadId(_) | Who::Other(_) => "other",
    }
}
