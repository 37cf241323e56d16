//! Who gets to a role: principals, outsiders, services and pods.
//!
//! A trust policy says who may come; associations say which pods do. Where the trust policy rules a way
//! out, it is ruled out though a listing is incomplete. Refuses to say how bad it is.

use super::answer::{Known, any, known};
use super::escalation;
use super::index::AccessIndex;
use super::role_trust::{self, RoleTrust};
use super::trust::PODS;
use crate::index::{join, unless};
use rolecall_estate::{Cause, Reason, Role};
use rolecall_iam::Truth;
use rolecall_iam::trust::{Admission, Who};
use rolecall_rules::Reasons;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who gets to a role.
#[derive(Debug)]
pub(crate) struct Callers {
    pub index: Arc<AccessIndex>,
    pub at: usize,
}

/// Whom the trust policy of a role may let in, and which pods come by associations.
#[derive(Debug)]
pub(crate) struct CallerNames {
    /// `namespace/service account on cluster`.
    pub pods: BTreeSet<String>,
    /// Whether pods come that no association of the role itself names.
    pub other_pods: bool,
    pub principals: BTreeSet<String>,
    pub services: BTreeSet<String>,
}

/// Whether somebody other than a service may come by an admission.
fn is_principal(who: &Who) -> bool {
    !matches!(who, Who::Service(_) | Who::DeadId(_) | Who::Other(_))
}

/// Whether a role may come by an admission.
fn takes_roles(who: &Who) -> bool {
    matches!(who, Who::Anyone | Who::AllBut(_) | Who::Account(_) | Who::Role(_) | Who::Session(_))
}

fn not_there() -> Reasons {
    Reasons::one("the role is not in the estate")
}

/// The services that may come, other than EKS Pod Identity.
fn services(all: &[Admission]) -> BTreeSet<String> {
    all.iter()
        .filter_map(|a| match &a.who {
            Who::Service(name) if !name.eq_ignore_ascii_case(PODS) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

impl Callers {
    fn role(&self) -> Known<&Role> {
        self.index.roles.get(self.at).ok_or_else(not_there)
    }

    /// Those whom the trust policy may let in.
    fn admitted(&self) -> Known<Vec<Admission>> {
        let answers = role_trust::answers(&self.index, self.role()?).map_err(Reasons::one)?;
        let all = answers.admissions().map_err(|error| {
            let text = format!("the trust policy could not be read: {error}");
            Reasons::one(Reason::new(text, Cause::Document))
        })?;
        Ok(all.iter().filter(|a| !a.possible.is_false()).cloned().collect())
    }

    /// Users, roles, accounts or the identities of a provider.
    pub(crate) fn by_principal(&self) -> Known<bool> {
        any(self.admitted()?.iter().filter(|a| is_principal(&a.who)).map(|a| known(&a.possible)))
    }

    /// Anyone, or an account that belongs neither to the organization nor to the estate.
    pub(crate) fn by_outsider(&self) -> Known<bool> {
        let role = self.role()?;
        let answers = role_trust::answers(&self.index, role).map_err(Reasons::one)?;
        any(RoleTrust { index: Arc::clone(&self.index), account: role.arn.account_id(), answers }.outsiders())
    }

    /// AWS services other than EKS Pod Identity.
    pub(crate) fn by_service(&self) -> Known<BTreeSet<String>> {
        Ok(services(&self.admitted()?))
    }

    /// Anybody but AWS services.
    pub(crate) fn by_any(&self) -> Known<bool> {
        any([self.by_principal(), self.by_workload(), self.by_outsider()])
    }

    /// Associations that name the role, as their role or as their target role, and why others may.
    fn associations(&self, role: &Role) -> (Vec<usize>, Option<Reasons>) {
        let arn = role.arn.as_str();
        let named = [self.index.associations_of(arn), self.index.associations_into(arn)].concat();
        self.index.confirmed(&named)
    }

    /// Pods, by an association of the role or by roles that they hold.
    pub(crate) fn by_workload(&self) -> Known<bool> {
        let role = self.role()?;
        if has_workload(&self.index, self.at) {
            return Ok(true);
        }
        // Only whom the trust policy lets in can be sent by an association that was not seen.
        let (direct, further) = match self.admitted() {
            Ok(all) => {
                let pods = |who: &Who| matches!(who, Who::Service(name) if name.eq_ignore_ascii_case(PODS));
                let direct = all.iter().any(|a| pods(&a.who) || matches!(a.who, Who::Anyone | Who::AllBut(_)));
                (direct, all.iter().any(|a| takes_roles(&a.who)))
            }
            Err(_) => (true, true),
        };
        let own = role.arn.account_id();
        let accounts = self.index.accounts.keys().filter(|account| further || (**account == own && direct));
        let (_, remembered) = self.associations(role);
        let unseen = accounts.map(|account| self.index.visibility(*account)).fold(remembered, |unseen, visibility| {
            join(join(unseen, visibility.associations.as_ref()), visibility.details.as_ref())
        });
        unless(unseen.as_ref(), || false)
    }

    /// The names of those who get to it, as far as they are known.
    pub(crate) fn names(&self) -> Known<CallerNames> {
        let role = self.role()?;
        let pods: BTreeSet<String> = self
            .associations(role)
            .0
            .into_iter()
            .filter_map(|at| self.index.associations.get(at))
            .map(|a| format!("{}/{} on {}", a.key.namespace, a.key.service_account, a.key.cluster))
            .collect();
        let admitted = self.admitted().unwrap_or_default();
        Ok(CallerNames {
            other_pods: pods.is_empty() && has_workload(&self.index, self.at),
            pods,
            principals: admitted.iter().filter(|a| is_principal(&a.who)).map(|a| a.who.text()).collect(),
            services: services(&admitted),
        })
    }
}

/// Whether pods get to a role: by an association of its own, or by roles that they hold.
fn has_workload(index: &AccessIndex, at: usize) -> bool {
    let reached = index.reached.get_or_init(|| {
        let all: Vec<usize> = (0..index.associations.len()).collect();
        let shown = index.confirmed(&all).0.into_iter().filter_map(|at| index.associations.get(at));
        let details = shown.filter_map(|association| association.detail.as_ref());
        let named = details.flat_map(|detail| [Some(detail.role_arn.as_str()), detail.target_role_arn.as_deref()]);
        escalation::assumed_from(index, named.flatten().filter_map(|arn| index.role_index(arn)))
    });
    reached.contains(&at)
}

/// Whether pods can get to a role: EKS Pod Identity is named, or an association makes the hop.
pub(crate) fn reached_by_pods(index: &AccessIndex, role: &Role) -> Known<bool> {
    let (named, hop) = role_trust::answers(index, role).map_err(Reasons::one)?.pods_by_trust();
    if !index.associations_into(role.arn.as_str()).is_empty() {
        return known(&named.or(hop));
    }
    let unseen = index.accounts.keys().map(|account| index.visibility(*account));
    let unseen = unseen.fold(None, |unseen, visibility| {
        join(join(unseen, visibility.associations.as_ref()), visibility.details.as_ref())
    });
    match (&named, &hop, unseen) {
        (Truth::True, ..) | (_, Truth::False, _) | (_, _, None) => known(&named),
        (Truth::Unknown(_), _, Some(why)) => known(&named).map_err(|more| why.and(&more)),
        (Truth::False, _, Some(why)) => Err(why),
    }
}
