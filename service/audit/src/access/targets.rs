//! The roles on which one step of a privilege-escalation path can be taken.
//!
//! What a set of policies allows over a group of roles is worked out once for all sets that say the
//! same of the action.

use super::doors::Doors;
use super::index::AccessIndex;
use super::trust::ASSUME;
use crate::index::{join, reasons};
use rolecall_estate::{Reason, Role};
use rolecall_iam::escalation;
use rolecall_iam::{AccountId, Arn, Context, Digest, Exceeded, PolicySet, ResourcePattern, Steps, Truth};
use rolecall_rules::Reasons;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(super) const PASS: &str = "iam:PassRole";
const RETRUST: &str = "iam:UpdateAssumeRolePolicy";

/// The roles of a group on which a stack allows an action.
#[derive(Debug, Clone)]
pub(super) struct Over {
    /// The group of those on which it certainly does.
    pub(super) group: usize,
    /// Those on which something unseen decides, and why.
    pub(super) open: Arc<[usize]>,
    pub(super) why: Option<Reasons>,
}

/// The roles on which one step of a path can be taken.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) over: Vec<Over>,
    pub(super) roles: Vec<usize>,
    pub(super) open: Vec<usize>,
    pub(super) why: Option<Reasons>,
}

/// A stack of a role, and what is asked of it.
pub(super) struct Holding<'a> {
    pub(super) role: &'a Role,
    pub(super) stack: &'a PolicySet,
    pub(super) context: Context,
    /// What decides about each action, as far as it was asked for.
    pub(super) deciding: RefCell<HashMap<&'static str, Digest>>,
}

impl Holding<'_> {
    /// The address of what decides about an action; see [`PolicySet::deciding`].
    pub(super) fn deciding(&self, action: &'static str) -> Digest {
        let work_out = || Digest::sha256(self.stack.deciding(action, &self.role.arn).as_bytes());
        *self.deciding.borrow_mut().entry(action).or_insert_with(work_out)
    }
}

/// Finds the roles on which steps can be taken.
pub(super) struct TargetFinder<'a> {
    index: &'a AccessIndex,
    pub(super) doors: Doors,
    /// By what decides, the action, the service that a role is passed to, and the group.
    known: HashMap<(Digest, &'static str, Option<&'static str>, usize), Over>,
    /// Why roles of accounts that were not listed whole may let it in, by what decides.
    may_be_unlisted: HashMap<Digest, Option<Reasons>>,
    pub(super) incomplete: Vec<(AccountId, Reasons)>,
}

impl<'a> TargetFinder<'a> {
    pub(super) fn new(index: &'a AccessIndex) -> Self {
        let incomplete =
            index.accounts.keys().filter_map(|account| Some((*account, index.visibility(*account).roles.clone()?)));
        Self {
            index,
            doors: Doors::new(index),
            known: HashMap::new(),
            may_be_unlisted: HashMap::new(),
            incomplete: incomplete.collect(),
        }
    }
}

impl TargetFinder<'_> {
    /// The roles that the role may change by an action.
    pub(super) fn changed(&mut self, holding: &Holding<'_>, action: &'static str) -> Targets {
        let account = holding.role.arn.account_id();
        let group = self.doors.changeable(account);
        let over = group.map(|group| self.over(holding, action, None, group));
        let mut targets = Targets { over: over.into_iter().collect(), ..Targets::default() };
        if let Some(group) = self.doors.remembered() {
            let over = self.over(holding, action, None, group);
            self.leave_open(&over, account, &mut targets);
        }
        targets
    }

    /// The roles of an account on which a stack allows an action, of those that may be none of its targets.
    fn leave_open(&self, over: &Over, account: AccountId, targets: &mut Targets) {
        let roles = self.members(over.group).into_iter().chain(over.open.iter().copied());
        for role in roles.filter(|role| self.is_of(*role, account)) {
            targets.why = join(targets.why.take(), self.doors.why(role));
            targets.open.push(role);
        }
    }

    /// The roles that the role may pass to a service.
    pub(super) fn passed(&mut self, holding: &Holding<'_>, service: &'static str) -> Targets {
        let account = holding.role.arn.account_id();
        let group = self.doors.served(account, service);
        let over = group.map(|group| self.over(holding, PASS, Some(service), group));
        let mut targets = Targets { over: over.into_iter().collect(), ..Targets::default() };
        if let Some(group) = self.doors.unsure() {
            let over = self.over(holding, PASS, Some(service), group);
            self.leave_open(&over, account, &mut targets);
        }
        targets
    }

    fn is_of(&self, role: usize, account: AccountId) -> bool {
        self.index.roles.get(role).is_some_and(|role| role.arn.account_id() == account)
    }

    pub(super) fn members(&self, group: usize) -> Vec<usize> {
        self.doors.groups.get(group).map_or_else(Vec::new, |roles| roles.to_vec())
    }

    pub(super) fn is_empty(&self, group: usize) -> bool {
        self.doors.groups.get(group).is_none_or(|roles| roles.is_empty())
    }

    pub(super) fn len(&self, targets: &Targets) -> usize {
        let groups = targets.over.iter().filter_map(|over| self.doors.groups.get(over.group));
        targets.roles.len() + groups.map(|roles| roles.len()).sum::<usize>()
    }

    pub(super) fn sure<'t>(&'t self, targets: &'t Targets) -> impl Iterator<Item = usize> + 't {
        let groups = targets.over.iter().filter_map(|over| self.doors.groups.get(over.group));
        targets.roles.iter().copied().chain(groups.flat_map(|roles| roles.iter().copied()))
    }

    pub(super) fn is_sure(&self, targets: &Targets, role: usize) -> bool {
        let mut groups = targets.over.iter().filter_map(|over| self.doors.groups.get(over.group));
        targets.roles.contains(&role) || groups.any(|roles| roles.binary_search(&role).is_ok())
    }

    pub(super) fn open(targets: &Targets) -> impl Iterator<Item = usize> + '_ {
        targets.open.iter().copied().chain(targets.over.iter().flat_map(|over| over.open.iter().copied()))
    }

    pub(super) fn is_open(targets: &Targets, role: usize) -> bool {
        targets.open.contains(&role) || targets.over.iter().any(|over| over.open.binary_search(&role).is_ok())
    }

    /// What a stack allows over a group, worked out once for all stacks that say the same.
    pub(super) fn over(
        &mut self,
        holding: &Holding<'_>,
        action: &'static str,
        service: Option<&'static str>,
        group: usize,
    ) -> Over {
        let mut deciding = holding.deciding(action).as_bytes().to_vec();
        if action == RETRUST {
            deciding.extend(holding.deciding(ASSUME).as_bytes());
        }
        // Roles of another account are other resources, whose patterns are filled in otherwise.
        deciding.extend(holding.role.arn.account_id().to_string().bytes());
        let key = (Digest::sha256(&deciding), action, service, group);
        if let Some(over) = self.known.get(&key) {
            return over.clone();
        }
        let over = self.worked_out(holding, action, service, group);
        self.known.insert(key, over.clone());
        over
    }

    fn worked_out(
        &mut self,
        holding: &Holding<'_>,
        action: &'static str,
        service: Option<&'static str>,
        group: usize,
    ) -> Over {
        let whole = Over { group, open: [].into(), why: None };
        let roles = self.doors.groups.get(group).cloned().unwrap_or_default();
        let of_policy = escalation::is_of_policy(action);
        let of_boundary = action == "iam:DeleteRolePermissionsBoundary";
        let is_unlimited = holding.stack.is_unlimited(action)
            && !of_policy
            && !of_boundary
            && (action != RETRUST || holding.stack.is_unrefused_everywhere(ASSUME));
        if roles.is_empty() || is_unlimited {
            return whole;
        }
        let candidates = if of_policy { roles.to_vec() } else { self.candidates(holding, action, &roles) };
        let (mut sure, mut open, mut why) = (Vec::new(), Vec::new(), None);
        let steps = Steps::for_others("the policies of the role for each role that it may act on");
        let weight = holding.stack.weight(action);
        for at in candidates {
            let Some(target) = self.index.roles.get(at) else { continue };
            if of_boundary && target.boundary.is_none() {
                continue;
            }
            let truth = match steps.take(weight) {
                Ok(()) => allowed(holding, action, service, target),
                Err(Exceeded) => Truth::unknown(steps.why()),
            };
            match truth {
                Truth::True => sure.push(at),
                Truth::False => {}
                truth => {
                    open.push(at);
                    why = join(why, reasons(Reason::of_truth(&truth)).as_ref());
                }
            }
        }
        let group = if sure.len() == roles.len() { group } else { self.doors.group(sure) };
        Over { group, open: open.into(), why }
    }

    /// The roles of a group that the patterns of a stack may name, sorted.
    fn candidates(&self, holding: &Holding<'_>, action: &'static str, roles: &[usize]) -> Vec<usize> {
        let Some(patterns) = holding.stack.patterns(action, &holding.role.arn) else { return roles.to_vec() };
        let mut found: BTreeSet<usize> = BTreeSet::new();
        let steps = Steps::for_others("the patterns of roles");
        let arn = |at: &usize| self.index.roles.get(*at).map_or("", |role| role.arn.as_str());
        for pattern in patterns {
            let fixed = pattern.split(['*', '?', '$']).next().unwrap_or_default();
            let from = roles.partition_point(|at| arn(at) < fixed);
            let compiled = ResourcePattern::new(&pattern);
            let among = roles.get(from..).unwrap_or_default();
            let among = among.get(..among.partition_point(|at| arn(at).starts_with(fixed))).unwrap_or_default();
            if steps.take(among.len().saturating_mul(1 + pattern.len() / 32)).is_err() {
                return roles.to_vec();
            }
            // What a variable stands for, the stack knows.
            found.extend(among.iter().filter(|at| compiled.has_variable() || compiled.matches(arn(at))));
        }
        found.into_iter().collect()
    }

    /// Why a role of an account that was not listed whole may let the role in.
    pub(super) fn unlisted(&mut self, holding: &Holding<'_>) -> Option<Reasons> {
        if self.incomplete.is_empty() {
            return None;
        }
        let own = holding.role.arn.account_id();
        let mut deciding = own.to_string().into_bytes();
        deciding.extend(holding.deciding(ASSUME).as_bytes());
        let key = Digest::sha256(&deciding);
        if let Some(why) = self.may_be_unlisted.get(&key) {
            return why.clone();
        }
        let patterns = holding.stack.patterns(ASSUME, &holding.role.arn);
        let patterns = patterns.unwrap_or_else(|| vec!["arn:aws:iam::*:role/*".to_owned()]);
        let mut why = None;
        let (steps, weight) =
            (Steps::for_others("the policies of the role for each account"), holding.stack.weight(ASSUME));
        for (account, unseen) in &self.incomplete {
            let there = patterns.iter().filter_map(|pattern| in_account(pattern, *account));
            let mut there = there.flat_map(|pattern| ["anything", ""].map(|with| pattern.replace('*', with)));
            let context = &holding.context;
            // Where there are no steps left to tell, it may.
            let may = |role: String| {
                steps.take(weight).is_err() || !holding.stack.possible(ASSUME, &role, context).truth.is_false()
            };
            if there.any(may) {
                why = join(why, Some(unseen));
            }
        }
        self.may_be_unlisted.insert(key, why.clone());
        why
    }
}

/// The pattern of a role's ARN with this account filled in; `None` where it names another.
fn in_account(pattern: &str, account: AccountId) -> Option<String> {
    match pattern.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        [arn, partition, service, region, named, name] => {
            let id = account.to_string();
            let fits = ResourcePattern::new(named).matches(&id);
            fits.then(|| format!("{arn}:{partition}:{service}:{region}:{id}:{name}"))
        }
        _ => Some(format!("arn:aws:iam::{account}:role/*")),
    }
}

/// The policies attached to a role that the customer made.
pub(super) fn customers_policies(role: &Role) -> impl Iterator<Item = &Arn> {
    role.attached.iter().map(|policy| &policy.arn).filter(|arn| arn.account() != "aws")
}

/// Whether a stack allows an action on a role.
fn allowed(holding: &Holding<'_>, action: &'static str, service: Option<&'static str>, target: &Role) -> Truth {
    let stack = holding.stack;
    let on = |resource: &str, context: &Context| stack.possible(action, resource, context).truth;
    if escalation::is_of_policy(action) {
        return customers_policies(target)
            .map(|policy| on(policy.as_str(), &holding.context))
            .fold(Truth::False, Truth::or);
    }
    let context = holding.context.clone();
    match (action, service) {
        (PASS, Some(service)) => on(target.arn.as_str(), &context.set("iam:PassedToService", [service])),
        (PASS | ASSUME, _) => on(target.arn.as_str(), &context),
        (RETRUST, _) => {
            let assumed = stack.unrefused(ASSUME, target.arn.as_str(), &context);
            on(target.arn.as_str(), &tagged(context, target)).and(assumed)
        }
        _ => {
            let context = escalation::changing(context, target.boundary.as_ref());
            on(target.arn.as_str(), &tagged(context, target))
        }
    }
}

/// With the tags of the role that is acted on.
fn tagged(context: Context, target: &Role) -> Context {
    let prefixes = ["aws:ResourceTag/", "iam:ResourceTag/"];
    prefixes.into_iter().fold(context, |context, prefix| {
        let with = |context: Context, (key, value): (&String, &String)| {
            context.set(&format!("{prefix}{key}"), [value.as_str()])
        };
        target.tags.iter().fold(context.absent_under(prefix), with)
    })
}
