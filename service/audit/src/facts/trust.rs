//! Who may assume a role, as facts.

use super::principals::{AdmissionFacts, ExternalFacts, FederatedFacts};
use super::view::{Def, Facts, evidences, flag, text, truth, value};
use crate::access::role_trust::{LetIn, RoleTrust};
use rolecall_iam::trust::Admission;
use rolecall_rules::{Type, Value};
use std::sync::Arc;

impl RoleTrust {
    fn admission(&self, admission: &Admission) -> Value {
        AdmissionFacts { index: Arc::clone(&self.index), admission: admission.clone() }.into_value()
    }

    fn admission_facts(&self) -> Value {
        let possible =
            |list: &[Admission]| Value::list(list.iter().filter(|a| !a.possible.is_false()).map(|a| self.admission(a)));
        value(self.admissions().map(possible))
    }

    fn external_facts(&self) -> Value {
        value(self.outside().map(|list| {
            let each = list.iter().cloned();
            Value::list(each.map(|access| ExternalFacts { index: Arc::clone(&self.index), access }.into_value()))
        }))
    }

    fn federated_facts(&self) -> Value {
        value(self.federated().map(|list| {
            Value::list(list.iter().map(|access| {
                let (index, account) = (Arc::clone(&self.index), self.account);
                FederatedFacts { index, account, access: access.clone() }.into_value()
            }))
        }))
    }

    fn let_in_text(&self) -> Value {
        let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let sentence = |LetIn { at_least, roles, associations }| {
            text(&format!(
                "{}{} of account {}, which {} use",
                if at_least { "at least " } else { "" },
                many(roles, "role"),
                self.account,
                many(associations, "Pod Identity association"),
            ))
        };
        value(self.let_in().map(|found| found.map_or(Value::Null, sentence)))
    }
}

impl Facts for RoleTrust {
    const NAME: &'static str = "Trust";
    const DOC: &'static str = "Who may assume a role, by its trust policy.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "admissions",
            || Type::list(Type::object("Admission")),
            "Every principal that an Allow statement names and that can succeed.",
            RoleTrust::admission_facts,
        ),
        Def::<Self>::new(
            "deleted_principals",
            || Type::list(Type::object("Admission")),
            "Unique ids of roles and users that were deleted: IAM shows them in place of the principals.",
            |t| value(t.deleted_principals().map(|list| Value::list(list.into_iter().map(|a| t.admission(a))))),
        ),
        Def::<Self>::new(
            "external_access",
            || Type::list(Type::object("ExternalAccess")),
            "Principals outside the organization and the estate that can be let in, conditions considered.",
            RoleTrust::external_facts,
        ),
        Def::<Self>::new(
            "federated_access",
            || Type::list(Type::object("FederatedAccess")),
            "Identity providers whose tokens or assertions can be taken.",
            RoleTrust::federated_facts,
        ),
        Def::<Self>::new(
            "open_to_account",
            || Type::Bool,
            "Whether every principal of the role's own account is let in without a permission of its own.",
            |t| truth(&t.open_to_account().truth),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "open_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that let every principal of the account in.",
            |t| evidences("admits every principal of the account", &t.open_to_account().by),
        ),
        Def::<Self>::new(
            "let_in",
            || Type::optional(Type::String),
            "Who of the account is let in without a permission of its own: how many roles, and how many Pod Identity associations use them; absent where not every principal is.",
            RoleTrust::let_in_text,
        ),
        Def::<Self>::new(
            "names_pods",
            || Type::Bool,
            "Whether a statement names EKS Pod Identity and can let it in; a `Principal` of `*` does not name it.",
            |t| truth(&t.answers.pods_by_trust().0),
        ),
        Def::<Self>::new(
            "admits_pods",
            || Type::Bool,
            "Whether EKS Pod Identity can be admitted for `sts:AssumeRole` by some request.",
            |t| truth(&t.answers.pods.truth),
        ),
        Def::<Self>::new(
            "pods_may_tag",
            || Type::Bool,
            "Whether EKS Pod Identity can be admitted for `sts:TagSession` by some request.",
            |t| truth(&t.answers.pods_tag.truth),
        ),
        Def::<Self>::new(
            "pods_unlimited",
            || Type::Bool,
            "Whether a request of EKS Pod Identity is let through whose source and session tags are foreign or absent.",
            |t| truth(&t.answers.pods_unlimited.truth),
        ),
        Def::<Self>::new(
            "pods_of_any_cluster",
            || Type::Bool,
            "Whether pods of a foreign cluster are let through, by some namespace and service account.",
            |t| truth(&t.answers.pods_of_any_cluster),
        ),
        Def::<Self>::new(
            "pods_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that let EKS Pod Identity through.",
            |t| {
                let by = if t.answers.pods_unlimited.by.is_empty() {
                    &t.answers.pods.by
                } else {
                    &t.answers.pods_unlimited.by
                };
                evidences("admits EKS Pod Identity", by)
            },
        ),
        Def::<Self>::new(
            "only_pods",
            || Type::Bool,
            "Whether EKS Pod Identity, and nobody else, can be admitted.",
            |t| truth(&t.answers.only_pods()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "admits_anyone",
            || Type::Bool,
            "Whether a principal of any AWS account is let through, whoever it is.",
            |t| flag(t.admits_anyone()),
        )
        .or(|| Value::Bool(false)),
    ];
}
