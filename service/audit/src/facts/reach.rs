//! Who gets to a role, as facts.
//!
//! A trust policy says who may come; associations say which pods do. Where the trust policy rules a way
//! out, it is ruled out though a listing was not seen whole. Refuses to say how bad it is.

use super::CachedIndex;
use super::trust;
use super::view::{Def, Facts, text};
use crate::index::{join, unless};
use rolecall_estate::{Cause, Reason, Role};
use rolecall_iam::trust::{Admission, Who};
use rolecall_rules::{Reasons, Type, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// So many names stand in one text.
const NAMED: usize = 3;

/// Who gets to a role.
#[derive(Debug)]
pub(super) struct ReachFacts {
    pub world: Arc<CachedIndex>,
    pub index: usize,
}

/// Whether somebody other than a service may come by an admission.
fn is_principal(who: &Who) -> bool {
    !matches!(who, Who::Service(_) | Who::DeadId(_) | Who::Other(_))
}

/// Whether a role may come by an admission.
fn takes_roles(who: &Who) -> bool {
    matches!(who, Who::Anyone | Who::AllBut(_) | Who::Account(_) | Who::Role(_) | Who::Session(_))
}

impl ReachFacts {
    fn role(&self) -> Option<&Role> {
        self.world.roles.get(self.index)
    }

    /// Something about those whom the trust policy may let in.
    fn admitted(&self, of: impl FnOnce(&Role, &[Admission]) -> Value) -> Value {
        let Some(role) = self.role() else { return Value::unknown("the role is not in the estate") };
        let answers = match trust::answers(&self.world, role) {
            Ok(answers) => answers,
            Err(why) => return Value::unknown(why),
        };
        match answers.admissions() {
            Ok(all) => of(role, &all.iter().filter(|a| !a.possible.is_false()).cloned().collect::<Vec<_>>()),
            Err(error) => {
                let text = format!("the trust policy could not be read: {error}");
                Value::unknown(Reason::new(text, Cause::Document))
            }
        }
    }

    fn by_principal(&self) -> Value {
        self.admitted(|_, all| {
            any(all.iter().filter(|a| is_principal(&a.who)).map(|a| super::view::truth(&a.possible)))
        })
    }

    fn by_outsider(&self) -> Value {
        let Some(role) = self.role() else { return Value::unknown("the role is not in the estate") };
        let answers = match trust::answers(&self.world, role) {
            Ok(answers) => answers,
            Err(why) => return Value::unknown(why),
        };
        let world = Arc::clone(&self.world);
        any(trust::TrustFacts { world, account: role.arn.account_id(), answers }.outsiders().into_iter())
    }

    fn by_service(&self) -> Value {
        self.admitted(|_, all| Value::texts(services(all).into_iter().collect::<Vec<_>>()))
    }

    /// Associations that name the role, as their role or as their target role, and why others may.
    fn associations(&self, role: &Role) -> (Vec<usize>, Option<Reasons>) {
        let arn = role.arn.as_str();
        let named = [self.world.associations_of(arn), self.world.associations_into(arn)].concat();
        self.world.confirmed(&named)
    }

    fn by_workload(&self) -> Value {
        let Some(role) = self.role() else { return Value::unknown("the role is not in the estate") };
        if has_workload(&self.world, self.index) {
            return Value::Bool(true);
        }
        // Only whom the trust policy lets in can be sent by an association that was not seen.
        let ways = self.admitted(|_, all| {
            let pods = |who: &Who| matches!(who, Who::Service(name) if name.eq_ignore_ascii_case(trust::PODS));
            let direct = all.iter().any(|a| pods(&a.who) || matches!(a.who, Who::Anyone | Who::AllBut(_)));
            let further = all.iter().any(|a| takes_roles(&a.who));
            Value::list([Value::Bool(direct), Value::Bool(further)])
        });
        let open = |place: usize| {
            ways.as_list().and_then(|list| list.items().get(place)).and_then(Value::as_bool).unwrap_or(true)
        };
        let own = role.arn.account_id();
        let accounts =
            self.world.accounts.keys().filter(|account| if **account == own { open(0) || open(1) } else { open(1) });
        let (_, remembered) = self.associations(role);
        let unseen = accounts.map(|account| self.world.visibility(*account)).fold(remembered, |unseen, visibility| {
            join(join(unseen, visibility.associations.as_ref()), visibility.details.as_ref())
        });
        unless(unseen.as_ref(), || Value::Bool(false))
    }

    fn summary(&self) -> Value {
        let Some(role) = self.role() else { return Value::unknown("the role is not in the estate") };
        let mut parts = Vec::new();
        let pods: BTreeSet<String> = self
            .associations(role)
            .0
            .into_iter()
            .filter_map(|index| self.world.associations.get(index))
            .map(|a| format!("{}/{} on {}", a.key.namespace, a.key.service_account, a.key.cluster))
            .collect();
        parts.extend(named("pods of ", &pods));
        if pods.is_empty() && has_workload(&self.world, self.index) {
            parts.push("pods by other roles".to_owned());
        }
        let admitted = self.admitted(|_, all| {
            let principals: BTreeSet<String> =
                all.iter().filter(|a| is_principal(&a.who)).map(|a| a.who.text()).collect();
            let services = services(all).into_iter().map(str::to_owned).collect();
            let texts: Vec<String> =
                named("", &principals).into_iter().chain(named("the service ", &services)).collect();
            Value::texts(&texts)
        });
        let admitted = admitted.as_list().map(|list| list.items().to_vec()).unwrap_or_default();
        parts.extend(admitted.iter().filter_map(Value::as_str).map(str::to_owned));
        text(&if parts.is_empty() { "nobody".to_owned() } else { parts.join("; ") })
    }
}

/// The roles that pods get to, by their index.
#[derive(Debug, Default)]
pub(super) struct Memo(OnceLock<BTreeSet<usize>>);

/// Whether pods get to a role: by an association of its own, or by roles that they hold.
fn has_workload(world: &CachedIndex, index: usize) -> bool {
    let reached = world.reached.0.get_or_init(|| {
        let all: Vec<usize> = (0..world.associations.len()).collect();
        let shown = world.confirmed(&all).0.into_iter().filter_map(|index| world.associations.get(index));
        let details = shown.filter_map(|association| association.detail.as_ref());
        let named = details.flat_map(|detail| [Some(detail.role_arn.as_str()), detail.target_role_arn.as_deref()]);
        super::escalation::assumed_from(world, named.flatten().filter_map(|arn| world.role_index(arn)))
    });
    reached.contains(&index)
}

/// The services that may come, other than EKS Pod Identity.
fn services(all: &[Admission]) -> BTreeSet<&str> {
    all.iter()
        .filter_map(|a| match &a.who {
            Who::Service(name) if !name.eq_ignore_ascii_case(trust::PODS) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

/// The first few names, and how many more there are.
fn named(before: &str, names: &BTreeSet<String>) -> Option<String> {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(shown.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!shown.is_empty()).then(|| format!("{before}{}{more}", shown.join(", ")))
}

/// Whether one of several is true, in three values.
fn any(values: impl Iterator<Item = Value>) -> Value {
    let mut open: Option<Reasons> = None;
    for value in values {
        match value {
            Value::Bool(true) => return Value::Bool(true),
            Value::Unknown(why) => open = join(open, Some(&why)),
            _ => {}
        }
    }
    open.map_or(Value::Bool(false), Value::Unknown)
}

impl Facts for ReachFacts {
    const NAME: &'static str = "Reach";
    const DOC: &'static str = "Who gets to a role.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "by_workload",
            || Type::Bool,
            "Whether pods get to it: it is the role or the target role of an association, or a role that such a one certainly may assume.",
            Self::by_workload,
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "by_outsider",
            || Type::Bool,
            "Whether its trust policy may let in anyone, or an account that belongs neither to the organisation nor to the estate.",
            Self::by_outsider,
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "by_principal",
            || Type::Bool,
            "Whether its trust policy may let in users, roles, accounts or the identities of a provider.",
            Self::by_principal,
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "by_service",
            || Type::list(Type::String),
            "The AWS services that its trust policy may let in, other than EKS Pod Identity.",
            Self::by_service,
        ),
        Def::<Self>::new(
            "open",
            || Type::Bool,
            "Whether pods, outsiders, users or roles get to it: more than AWS services, or nobody.",
            |r| any([r.by_principal(), r.by_workload(), r.by_outsider()].into_iter()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "summary",
            || Type::String,
            "The same in a few words: pods of pay/api on prod; 111122223333; the service ec2.amazonaws.com.",
            Self::summary,
        )
        .or(|| text("nobody")),
    ];
}
