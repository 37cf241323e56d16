//! Who may assume which roles, by their trust policies: the roles of the estate, put together by whom
//! they let in.
//!
//! Knows that most trust policies let all roles of an account in alike, asks such a policy once for
//! the account, and asks about single roles only where a policy tells them apart: by a principal, or
//! by a condition on who asks. Refuses to know what roles may do by themselves, but for one question.

use super::index::AccessIndex;
use super::role_trust;
use super::stack::is_service_linked;
use super::trust::{ASSUME, TrustAnswers};
use crate::index::reasons;
use rolecall_estate::{Cause, Reason, Role};
use rolecall_iam::trust::{Admission, Who};
use rolecall_iam::{
    AccountId, Context, Digest, Exceeded, PolicySet, Requester, ResourcePattern, RoleArn, Steps, Truth,
};
use rolecall_rules::Reasons;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Which roles a trust policy lets in.
#[derive(Debug, Default)]
struct Door {
    /// Roles that a principal names.
    roles: Vec<RoleArn>,
    /// Accounts of which it lets in every role that may.
    accounts: BTreeSet<AccountId>,
    /// Whether it lets in every role of every account that may.
    everyone: bool,
    /// Accounts of which it may let in some roles, `None` for all accounts, and patterns of the roles;
    /// no patterns where they do not say which.
    some: Vec<(Option<AccountId>, Vec<String>)>,
    /// Services that it lets in.
    services: BTreeSet<String>,
    /// Why it may let others in.
    unsure: Option<Reasons>,
}

/// The roles of the estate by whom they let in, in groups that are entered alike.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    /// Each sorted.
    pub groups: Vec<Arc<[usize]>>,
    /// The trust policies, by document.
    by_trust: HashMap<Digest, Arc<Door>>,
    open: HashMap<AccountId, usize>,
    everyone: Option<usize>,
    vague: HashMap<AccountId, usize>,
    vague_everyone: Option<usize>,
    naming: HashMap<usize, Vec<usize>>,
    changeable: HashMap<AccountId, usize>,
    served: HashMap<(AccountId, String), usize>,
    unsure: Option<usize>,
    remembered: Option<usize>,
    why: HashMap<usize, Reasons>,
    known: HashMap<Arc<[usize]>, usize>,
}

/// What a trust policy says to a role that wants to assume the role that holds it. It says the same for
/// every role of an account that holds it.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    truth: Truth,
    /// Whether the trust policy alone lets it in, without a permission of its own.
    pub by_trust: bool,
    context: Context,
}

/// A role of an account that no policy names.
fn outside_caller(partition: &str, account: AccountId) -> Option<Requester> {
    let arn = format!("arn:{partition}:iam::{account}:role/nobody-of-this-name");
    arn.parse::<RoleArn>().ok().map(|arn| Requester::role(&arn))
}

/// The values that an Allow asks `aws:PrincipalArn` for; none where it does not, or by variables.
fn asked_for(admission: &Admission) -> Vec<String> {
    let conditions = admission.site.statement.conditions.iter();
    let mut asking = conditions
        .filter(|condition| condition.key.eq_ignore_ascii_case("aws:PrincipalArn") && !condition.operator.is_negated());
    let values = asking.next().map(|condition| condition.values.clone()).unwrap_or_default();
    if values.iter().any(|value| value.contains("${")) { Vec::new() } else { values }
}

impl Door {
    fn new(answers: &TrustAnswers, accounts: &[AccountId]) -> Self {
        let mut door = Self::default();
        let trust = &answers.trust;
        let admissions = match answers.admissions() {
            Ok(admissions) => admissions,
            Err(error) => {
                door.unsure = Some(Reasons::one(Reason::new(
                    format!("the trust policy cannot be read: {error}"),
                    Cause::Document,
                )));
                return door;
            }
        };
        let apart = trust.tells_roles_apart();
        let (steps, weight) = (Steps::new("the trust policy"), trust.weight());
        let mut unsure: Vec<Reason> = Vec::new();
        let mut asked: BTreeSet<AccountId> = BTreeSet::new();
        let mut ask = |account: AccountId, door: &mut Self| {
            if !asked.insert(account) {
                return;
            }
            let Some(caller) = outside_caller("aws", account) else { return };
            if steps.take(weight).is_err() {
                unsure.push(Reason::from(&steps.why()));
                return;
            }
            match trust.admits_in(&caller, ASSUME, &caller.context()).truth {
                Truth::True => drop(door.accounts.insert(account)),
                Truth::False => {}
                truth @ Truth::Unknown(_) => unsure.extend(Reason::of_truth(&truth)),
            }
        };
        let assuming = admissions.iter().filter(|a| a.actions.contains(ASSUME) && !a.possible.is_false());
        for admission in assuming {
            match &admission.who {
                Who::Role(arn) => door.roles.extend(arn.as_str().parse::<RoleArn>().ok()),
                Who::Account(account) if apart => door.some.push((Some(*account), asked_for(admission))),
                Who::Account(account) => ask(*account, &mut door),
                Who::Anyone | Who::AllBut(_) if apart => door.some.push((None, asked_for(admission))),
                Who::Anyone if trust.is_unconditional(ASSUME) => door.everyone = true,
                Who::Anyone | Who::AllBut(_) => accounts.iter().for_each(|account| ask(*account, &mut door)),
                Who::Service(name) => match &admission.possible {
                    Truth::Unknown(_) => door.unsure = reasons(Reason::of_truth(&admission.possible)),
                    _ => drop(door.services.insert(name.to_ascii_lowercase())),
                },
                _ => {}
            }
        }
        door.some.sort();
        door.some.dedup();
        if !unsure.is_empty() {
            door.unsure = reasons(unsure);
        }
        door
    }
}

/// Lists of roles while they are put together.
#[derive(Default)]
struct Lists {
    open: BTreeMap<AccountId, Vec<usize>>,
    everyone: Vec<usize>,
    vague: BTreeMap<AccountId, Vec<usize>>,
    vague_everyone: Vec<usize>,
    changeable: BTreeMap<AccountId, Vec<usize>>,
    served: BTreeMap<(AccountId, String), Vec<usize>>,
    unsure: Vec<usize>,
    remembered: Vec<usize>,
}

fn add(list: &mut Vec<usize>, role: usize) {
    if list.last() != Some(&role) {
        list.push(role);
    }
}

impl Doors {
    pub(crate) fn new(index: &AccessIndex) -> Self {
        let mut doors = Self::default();
        let mut lists = Lists::default();
        let accounts: Vec<AccountId> = index.accounts.keys().copied().collect();
        for (at, role) in index.roles.iter().enumerate() {
            let account = role.arn.account_id();
            let is_service_linked = is_service_linked(role);
            // AWS lets nobody change these, and nobody but their service pass or assume them.
            if is_service_linked {
                continue;
            }
            let is_reserved = role.arn.path().starts_with("/aws-reserved/");
            if let Some(why) = index.role_unseen(role) {
                add(&mut lists.unsure, at);
                if !is_reserved {
                    add(&mut lists.remembered, at);
                }
                doors.why.insert(at, why);
                continue;
            }
            if !is_reserved {
                add(lists.changeable.entry(account).or_default(), at);
            }
            let door = match doors.door(index, role, &accounts) {
                Ok(door) => door,
                Err(why) => {
                    add(&mut lists.unsure, at);
                    doors.why.insert(at, Reasons::one(why));
                    continue;
                }
            };
            if let Some(why) = &door.unsure {
                add(&mut lists.unsure, at);
                let named = why.iter().map(|why| format!("role {}: {why}", role.arn));
                doors.why.extend(reasons(named).map(|why| (at, why)));
            }
            let callers = door.roles.iter().filter_map(|arn| index.role_index(arn.as_str()));
            callers.for_each(|caller| add(doors.naming.entry(caller).or_default(), at));
            door.accounts.iter().for_each(|account| add(lists.open.entry(*account).or_default(), at));
            if door.everyone {
                add(&mut lists.everyone, at);
            }
            for service in &door.services {
                add(lists.served.entry((account, service.clone())).or_default(), at);
            }
            let steps = Steps::for_others("whom the trust policy names by patterns");
            for (account, patterns) in &door.some {
                match (account, patterns.is_empty()) {
                    (Some(account), true) => add(lists.vague.entry(*account).or_default(), at),
                    (None, true) => add(&mut lists.vague_everyone, at),
                    (account, false) => {
                        for pattern in patterns {
                            let Ok(callers) = named_by(index, pattern, &steps) else {
                                add(&mut lists.unsure, at);
                                doors.why.insert(at, Reasons::one(over_budget(role, &steps)));
                                break;
                            };
                            let callers = callers.into_iter().filter(|caller| {
                                let role = index.roles.get(*caller);
                                account.is_none_or(|account| role.is_some_and(|role| role.arn.account_id() == account))
                            });
                            callers.for_each(|caller| add(doors.naming.entry(caller).or_default(), at));
                        }
                    }
                }
            }
        }
        doors.close(lists);
        doors
    }

    fn close(&mut self, lists: Lists) {
        self.open = lists.open.into_iter().map(|(account, roles)| (account, self.group(roles))).collect();
        self.vague = lists.vague.into_iter().map(|(account, roles)| (account, self.group(roles))).collect();
        self.changeable = lists.changeable.into_iter().map(|(account, roles)| (account, self.group(roles))).collect();
        self.served = lists.served.into_iter().map(|(of, roles)| (of, self.group(roles))).collect();
        let [everyone, vague, unsure, remembered] =
            [lists.everyone, lists.vague_everyone, lists.unsure, lists.remembered]
                .map(|roles| if roles.is_empty() { None } else { Some(self.group(roles)) });
        (self.everyone, self.vague_everyone, self.unsure, self.remembered) = (everyone, vague, unsure, remembered);
    }

    fn door(&mut self, index: &AccessIndex, role: &Role, accounts: &[AccountId]) -> Result<Arc<Door>, Reason> {
        let known = role.trust.as_ref().and_then(|digest| self.by_trust.get(digest));
        if let Some(door) = known {
            return Ok(Arc::clone(door));
        }
        let answers = role_trust::answers(index, role)?;
        let door = Arc::new(Door::new(&answers, accounts));
        self.by_trust.extend(role.trust.map(|digest| (digest, Arc::clone(&door))));
        Ok(door)
    }

    /// The group of these roles, given in order.
    pub(crate) fn group(&mut self, roles: Vec<usize>) -> usize {
        let roles: Arc<[usize]> = roles.into();
        if let Some(group) = self.known.get(&roles) {
            return *group;
        }
        self.groups.push(Arc::clone(&roles));
        self.known.insert(roles, self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// The roles that let in every role of the account that has the permission.
    pub(crate) fn open_to(&self, account: AccountId) -> Vec<usize> {
        self.open.get(&account).copied().into_iter().chain(self.everyone).collect()
    }

    /// Whether this is the group of the roles that let in everyone, of any account.
    pub(crate) fn is_everyones(&self, group: usize) -> bool {
        self.everyone == Some(group)
    }

    /// The roles that let in some role of the account, and do not say which.
    pub(crate) fn vague(&self, account: AccountId) -> Vec<usize> {
        self.vague.get(&account).copied().into_iter().chain(self.vague_everyone).collect()
    }

    /// The roles that name this one.
    pub(crate) fn naming(&self, role: usize) -> &[usize] {
        self.naming.get(&role).map_or(&[], Vec::as_slice)
    }

    /// The roles that a role's trust policy names.
    pub(crate) fn named_by(&self, role: usize) -> impl Iterator<Item = usize> {
        self.naming.iter().filter(move |(_, into)| into.contains(&role)).map(|(caller, _)| *caller)
    }

    /// The roles of which it is not known whom they let in.
    pub(crate) fn unsure(&self) -> Option<usize> {
        self.unsure
    }

    /// The roles that are only remembered, and that AWS would let others change.
    pub(crate) fn remembered(&self) -> Option<usize> {
        self.remembered
    }

    /// Why it is not known whom a role lets in.
    pub(crate) fn why(&self, role: usize) -> Option<&Reasons> {
        self.why.get(&role)
    }

    /// The roles of an account that AWS lets others change.
    pub(crate) fn changeable(&self, account: AccountId) -> Option<usize> {
        self.changeable.get(&account).copied()
    }

    /// The roles of an account that let a service in.
    pub(crate) fn served(&self, account: AccountId, service: &str) -> Option<usize> {
        self.served.get(&(account, service.to_owned())).copied()
    }

    /// Whether the trust policy of another role lets a role in that it may tell from others; `None` where
    /// it does not.
    ///
    /// Within one account a trust policy that names the role lets it in by itself; one that lets in
    /// anybody, or the whole account, asks for a permission of its own: else each role of the account
    /// would be at fault for the open one. Across accounts the permission is always needed.
    pub(crate) fn admits(index: &AccessIndex, role: &Role, target: &Role) -> Option<Admitted> {
        let answers = role_trust::answers(index, target).ok()?;
        let owner = target.arn.account_id();
        let caller = Requester::role(&role.arn).with_unique_id(&role.role_id);
        let at = |context: Context| context.or_set("aws:ResourceAccount", &owner.to_string());
        let context = at(caller.context());
        let truth = answers.trust.admits_in(&caller, ASSUME, &context).truth;
        if truth.is_false() {
            return None;
        }
        let own_account = role.arn.account_id() == owner;
        let direct = || !answers.trust.admits_by_account_only(&caller, ASSUME, &context);
        let apart = || {
            let other = outside_caller(role.arn.arn().partition(), role.arn.account_id());
            other.is_some_and(|other| answers.trust.admits_in(&other, ASSUME, &at(other.context())).truth.is_false())
        };
        let by_trust = own_account && direct() && apart();
        Some(Admitted { truth, by_trust, context })
    }

    /// The steps of [`Doors::admits`].
    pub(crate) fn weight(index: &AccessIndex, target: &Role) -> usize {
        role_trust::answers(index, target).map_or(1, |answers| answers.trust.weight().saturating_mul(3))
    }
}

impl Admitted {
    /// Whether the role gets in: by its own permissions as well, where the trust policy does not do alone.
    pub(crate) fn reaches(&self, stack: &PolicySet, target: &Role) -> Truth {
        let own = if self.by_trust {
            stack.unrefused(ASSUME, target.arn.as_str(), &self.context)
        } else {
            stack.possible(ASSUME, target.arn.as_str(), &self.context).truth
        };
        self.truth.clone().and(own)
    }
}

/// The roles that a pattern of ARNs names.
fn named_by(index: &AccessIndex, pattern: &str, steps: &Steps) -> Result<Vec<usize>, Exceeded> {
    if !pattern.contains(['*', '?']) {
        return Ok(index.role_index(pattern).into_iter().collect());
    }
    let fixed = pattern.split(['*', '?']).next().unwrap_or_default();
    let from = index.roles.partition_point(|role| role.arn.as_str() < fixed);
    let among = index.roles.get(from..).unwrap_or_default();
    let among = among.get(..among.partition_point(|role| role.arn.as_str().starts_with(fixed))).unwrap_or_default();
    steps.take(among.len().saturating_mul(1 + pattern.len() / 32))?;
    let compiled = ResourcePattern::new(pattern);
    let named = among.iter().enumerate().filter(|(_, role)| compiled.matches(role.arn.as_str()));
    Ok(named.map(|(n, _)| from + n).collect())
}

/// Why it is not known whom a role's trust policy admits: it would take too many steps.
fn over_budget(role: &Role, steps: &Steps) -> Reason {
    let why = Reason::from(&steps.why());
    why.reworded(format!("role {}: {why}", role.arn))
}
