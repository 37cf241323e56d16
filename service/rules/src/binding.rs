//! Where a rule is tuned or excused: selectors, their order, and exceptions with an end.
//!
//! Refuses to know what a rule asks.

use super::text::{Glob, OuPattern};
use super::value::Value;
use crate::verdict::{EffectiveParam, ExceptionRef, Severity, Subject};
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a subject is, as far as selectors ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    account_id: AccountId,
    /// `None` where the organisation was not seen.
    ou_path: Option<&'a str>,
    cluster: Option<&'a str>,
    namespace: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn of(
        account_id: AccountId,
        ou_path: Option<&'a str>,
        cluster: Option<&'a str>,
        namespace: Option<&'a str>,
    ) -> Self {
        Self { account_id, ou_path, cluster, namespace }
    }

    pub(super) fn new(subject: &'a Subject, ou_path: Option<&'a str>) -> Self {
        Self {
            account_id: subject.account_id,
            ou_path,
            cluster: subject.cluster.as_deref(),
            namespace: subject.namespace.as_deref(),
        }
    }
}

/// What a binding or exception is about: every part that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Select {
    pub(super) ou: Option<OuPattern>,
    pub(super) accounts: Vec<AccountId>,
    pub(super) clusters: Vec<Glob>,
    pub(super) namespaces: Vec<Glob>,
}

/// Whether a selector takes a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
    /// It depends on the account's OU, which was not seen.
    NotSeen,
}

impl Select {
    pub(super) fn takes(&self, place: &Place<'_>) -> Taken {
        let named = |globs: &[Glob], name: Option<&str>| {
            globs.is_empty() || name.is_some_and(|name| globs.iter().any(|glob| glob.matches(name)))
        };
        let account = self.accounts.is_empty() || self.accounts.contains(&place.account_id);
        if !account || !named(&self.clusters, place.cluster) || !named(&self.namespaces, place.namespace) {
            return Taken::No;
        }
        match (&self.ou, place.ou_path) {
            (None, _) => Taken::Yes,
            (Some(ou), _) if ou.is_everything() => Taken::Yes,
            (Some(_), None) => Taken::NotSeen,
            (Some(ou), Some(path)) if ou.matches(path) => Taken::Yes,
            (Some(_), Some(_)) => Taken::No,
        }
    }

    /// From least to most specific: organisation, OU by the length of its path, account, cluster,
    /// namespace.
    pub(super) fn rank(&self) -> (u8, usize) {
        let length = self.ou.as_ref().map_or(0, OuPattern::length);
        let level = if !self.namespaces.is_empty() {
            4
        } else if !self.clusters.is_empty() {
            3
        } else if !self.accounts.is_empty() {
            2
        } else {
            u8::from(self.ou.as_ref().is_some_and(|ou| !ou.is_everything()))
        };
        (level, length)
    }

    /// Whether some subject may be taken by both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let globs =
            |a: &[Glob], b: &[Glob]| a.is_empty() || b.is_empty() || a.iter().any(|x| b.iter().any(|y| x.overlaps(y)));
        let accounts = self.accounts.is_empty()
            || other.accounts.is_empty()
            || self.accounts.iter().any(|account| other.accounts.contains(account));
        let ou = match (&self.ou, &other.ou) {
            (Some(a), Some(b)) => a.overlaps(b),
            _ => true,
        };
        accounts && ou && globs(&self.clusters, &other.clusters) && globs(&self.namespaces, &other.namespaces)
    }
}

/// A binding as one rule sees it.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) name: Arc<str>,
    /// The binding's name, file and line.
    pub(super) origin: Arc<str>,
    pub(super) select: Arc<Select>,
    pub(super) severity: Option<Severity>,
    pub(super) enabled: Option<bool>,
    pub(super) locked: bool,
    /// Index of the parameter, value, and the value as people see it.
    pub(super) params: Vec<(usize, Value, serde_json::Value)>,
}

impl Bound {
    /// The first key on which the other says something else.
    pub(super) fn disagreement(&self, other: &Self, names: &[Arc<str>]) -> Option<String> {
        if matches!((self.severity, other.severity), (Some(a), Some(b)) if a != b) {
            return Some("severity".to_owned());
        }
        if matches!((self.enabled, other.enabled), (Some(a), Some(b)) if a != b) {
            return Some("enabled".to_owned());
        }
        self.params.iter().find_map(|(index, value, _)| {
            let same = other.params.iter().find(|(other, _, _)| other == index);
            same.filter(|(_, other, _)| other != value)
                .and_then(|_| names.get(*index))
                .map(|name| format!("params.{name}"))
        })
    }
}

/// What is in force for a rule in a place.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) enabled: bool,
    pub(super) severity: Severity,
    /// Whether a binding set the severity, which then follows from nothing else.
    pub(super) severity_bound: bool,
    pub(super) values: Vec<Value>,
    pub(super) shown: Arc<BTreeMap<String, EffectiveParam>>,
}

impl Settings {
    /// These with the bindings laid over them, the least specific first.
    pub(super) fn under(&self, bounds: &[&Bound], names: &[Arc<str>]) -> Self {
        let mut settings = self.clone();
        let mut shown = self.shown.as_ref().clone();
        for bound in bounds {
            settings.severity = bound.severity.unwrap_or(settings.severity);
            settings.severity_bound |= bound.severity.is_some();
            settings.enabled = bound.enabled.unwrap_or(settings.enabled);
            for (index, value, json) in &bound.params {
                if let (Some(slot), Some(name)) = (settings.values.get_mut(*index), names.get(*index)) {
                    *slot = value.clone();
                    let param = EffectiveParam { value: json.clone(), origin: bound.origin.to_string() };
                    shown.insert(name.to_string(), param);
                }
            }
        }
        settings.shown = Arc::new(shown);
        settings
    }
}

/// An exception from the policy files: who accepts what, until when.
#[derive(Debug, Clone)]
pub struct Exception {
    pub(super) rules: Vec<String>,
    pub(super) select: Select,
    pub(super) subject: Option<Glob>,
    pub(super) since: DateTime<Utc>,
    pub(super) shown: ExceptionRef,
}

impl Exception {
    /// What findings carry of it.
    #[must_use]
    pub fn shown(&self) -> &ExceptionRef {
        &self.shown
    }

    /// The ids of the rules that it excuses.
    #[must_use]
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Whether it is in force at this moment: not before it was agreed, and not from its expiry on.
    #[must_use]
    pub fn in_force(&self, now: DateTime<Utc>) -> bool {
        self.since <= now && now < self.shown.expires
    }

    /// Whether it covers the subject. One that depends on an OU that was not seen covers nothing.
    pub(super) fn covers(&self, subject: &Subject, place: &Place<'_>, now: DateTime<Utc>) -> bool {
        self.in_force(now)
            && self.select.takes(place) == Taken::Yes
            && self.subject.as_ref().is_none_or(|glob| glob.matches(&subject.key))
    }
}
