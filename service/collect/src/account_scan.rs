//! One account under examination: what was seen of it so far, and what was not.
//!
//! A scope is settled once, at the end of its reading; it is complete only if no gap was noted for
//! it. Refuses to know any service.

use crate::call::{Caller, Deadline, Refusal};
use crate::plan::Plan;
use crate::{Event, Progress};
use chrono::{DateTime, Utc};
use rolecall_estate::Observation;
use rolecall_estate::coverage::{Gap, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_iam::AccountId;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// An account that was entered, or the hub's view of its organisation.
pub(crate) struct AccountScan<'r> {
    pub(crate) account_id: AccountId,
    pub(crate) plan: &'r Plan,
    pub(crate) progress: &'r dyn Progress,
    pub(crate) now: DateTime<Utc>,
    pub(crate) caller: Caller,
    seen: Mutex<Observation>,
}

impl<'r> AccountScan<'r> {
    /// `until`: the deadline of the run.
    pub(crate) fn at(
        account_id: AccountId,
        plan: &'r Plan,
        progress: &'r dyn Progress,
        now: DateTime<Utc>,
        until: Deadline,
    ) -> Self {
        let settings = &plan.settings;
        let until = until.or(Deadline::after(settings.account_deadline, "account"));
        let caller = Caller::new(settings.max_concurrent_calls).within(until, settings.listing_deadline);
        Self { account_id, plan, progress, now, caller, seen: Mutex::default() }
    }

    pub(crate) fn with<R>(&self, note: impl FnOnce(&mut Observation) -> R) -> R {
        note(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn global(&self, kind: ScopeKind) -> Scope {
        Scope::global(self.account_id, kind)
    }

    pub(crate) fn regional(&self, kind: ScopeKind, region: &Region) -> Scope {
        Scope::regional(self.account_id, kind, region.clone())
    }

    pub(crate) fn of_cluster(&self, kind: ScopeKind, region: &Region, cluster: &ClusterName) -> Scope {
        Scope::of_cluster(self.account_id, kind, region.clone(), cluster.clone())
    }

    /// Notes a gap. Of many like it in one scope (one for each of a hundred associations), the
    /// first stands for all.
    pub(crate) fn gap(&self, scope: &Scope, refusal: &Refusal) {
        self.with(|seen| {
            let gaps = seen.coverage.gaps_of(scope).unwrap_or_default();
            if gaps.iter().any(|gap| gap.action == refusal.action && gap.reason == refusal.reason) {
                return;
            }
            seen.coverage.gap(Gap {
                scope: scope.clone(),
                action: refusal.action.to_owned(),
                reason: refusal.reason,
                detail: refusal.detail.clone(),
                day: None,
            });
        });
    }

    /// Says that the scope was read to its end, but for the gaps that were noted.
    pub(crate) fn close_scope(&self, scope: &Scope) {
        let complete = self.with(|seen| {
            seen.coverage.complete(scope.clone());
            seen.coverage.is_complete(scope)
        });
        self.progress.on(&Event::ScopeDone { scope, complete });
    }

    /// Notes the scope as not read, since one that it depends on was not.
    pub(crate) fn missed(&self, scope: &Scope, refusal: &Refusal) {
        self.gap(scope, refusal);
        self.close_scope(scope);
    }

    /// What was seen, each thing once: a listing that changes while it is paged, and CloudTrail at
    /// any time, may give the same thing twice.
    pub(crate) fn finish(self) -> (Observation, Caller) {
        let mut seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        once(&mut seen.roles, |role| role.arn.clone());
        once(&mut seen.last_used, |used| used.role.clone());
        once(&mut seen.policies, |policy| policy.arn.clone());
        once(&mut seen.oidc_providers, |provider| provider.arn.clone());
        once(&mut seen.clusters, |cluster| (cluster.region.clone(), cluster.name.clone()));
        once(&mut seen.associations, |association| association.key.clone());
        once(&mut seen.sessions, |session| session.event_id.clone());
        once(&mut seen.org_policies, |policy| policy.id.clone());
        once(&mut seen.org_units, |unit| unit.id.clone());
        (seen, self.caller)
    }
}

fn once<T, K: Ord>(things: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = BTreeSet::new();
    things.retain(|thing| seen.insert(key(thing)));
}

/// A configuration for one service in one region, with the account's own retry budget.
macro_rules! client {
    ($sdk:ident, $config:expr, $region:expr, $account:expr) => {{
        let region = $region;
        let builder = $sdk::config::Builder::from($config)
            .region(crate::entry::sdk_region(region))
            .retry_partition(crate::entry::partition(stringify!($sdk), region.as_str(), &$account.to_string()))
            .interceptor(crate::call::CompleteAnswer);
        $sdk::Client::from_conf(builder.build())
    }};
}
pub(crate) use client;

/// An SDK time as ours; `None` where it is out of range.
pub(crate) fn time(at: &aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.secs(), at.subsec_nanos())
}
