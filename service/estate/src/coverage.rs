//! What was seen, and what was not.
//!
//! A scope is a listing that is either complete or not: all roles of an account, all associations
//! of a cluster. "Not allowed to look" is a gap with its reason, never an empty listing. Refuses
//! to know how a scope was read.

use crate::reason::{Cause, Reason};
pub use crate::scope::{Scope, ScopeKind};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

impl Scope {
    /// Why nothing is known of a scope that no scan came to.
    #[must_use]
    pub fn never_scanned(&self) -> Reason {
        Reason::new(format!("{self} incomplete: never scanned"), Cause::Gap(self.clone()))
    }
}

rolecall_iam::vocabulary! {
    /// Why a scope was not seen completely.
    pub enum GapReason: "a reason of a gap" {
        /// AWS refused the call.
        Denied = "denied",
        /// AWS throttled until the retries were used up.
        Throttled = "throttled",
        /// No answer in time.
        Timeout = "timeout",
        /// No connection, or a server error.
        Unreachable = "unreachable",
        /// An answer, or a part of one, that could not be read.
        Malformed = "malformed",
        /// The credentials were expired or not valid.
        Credentials = "credentials",
        /// Not looked at, since a scope that it depends on has a gap.
        NotReached = "not_reached",
        /// The source does not hold it (an import without that file).
        NotProvided = "not_provided",
        /// One page of a listing that has several: a token says that there is more.
        Truncated = "truncated",
        /// A listing that was thinned before it was given: empty where no account is, without what its
        /// other parts name, or of another shape than AWS answers in.
        Filtered = "filtered",
        /// A file whose form cannot show that it holds all there is. What it holds was seen.
        Unproven = "unproven",
        /// A complete listing that lost so much at once that the next one must say so, too.
        Lost = "lost",
        /// The process that read it died at it, again and again. It is not read until somebody asks for it.
        SetAside = "set_aside",
    }
}

/// A hole in what was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gap {
    /// Where.
    pub scope: Scope,
    /// The IAM action that was refused or failed, such as `eks:ListPodIdentityAssociations`.
    pub action: String,
    /// Why.
    pub reason: GapReason,
    /// What AWS said, without secrets; may be empty.
    pub detail: String,
    /// The day under which what was not seen lies, where it is no more than that: a CloudTrail file holds
    /// events of its day and of the hours before. `None`: anything of the scope may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<NaiveDate>,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} incomplete: {} {}", self.scope, self.action, self.reason.as_str())?;
        self.day.map_or(Ok(()), |day| write!(f, " (CloudTrail files of {day} alone)"))
    }
}

impl From<&Gap> for Reason {
    fn from(gap: &Gap) -> Self {
        Self::new(gap.to_string(), Cause::Gap(gap.scope.clone()))
    }
}

/// What was scanned in one scan: each scope is complete, or has gaps.
///
/// INVARIANT: a scope is `complete` only if no gap names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    scopes: BTreeMap<Scope, Vec<Gap>>,
}

impl Coverage {
    /// Says that a scope was read to its end. Does not undo a gap.
    pub fn complete(&mut self, scope: Scope) {
        self.scopes.entry(scope).or_default();
    }

    /// Says that a scope was not, or not wholly, read.
    pub fn gap(&mut self, gap: Gap) {
        let gaps = self.scopes.entry(gap.scope.clone()).or_default();
        if !gaps.contains(&gap) {
            gaps.push(gap);
        }
    }

    /// Whether the scope was looked at and read to its end.
    #[must_use]
    pub fn is_complete(&self, scope: &Scope) -> bool {
        self.scopes.get(scope).is_some_and(Vec::is_empty)
    }

    /// The gaps of a scope; `None` where it was not looked at, so nothing may be concluded.
    #[must_use]
    pub fn gaps_of(&self, scope: &Scope) -> Option<&[Gap]> {
        self.scopes.get(scope).map(Vec::as_slice)
    }

    /// Why a scope may not be taken as complete; empty where it may.
    ///
    /// A scope that was looked at answers for itself: that another region could not be listed says
    /// nothing of this one. One that was not looked at has the gaps of what it depends on.
    #[must_use]
    pub fn blind_spots(&self, scope: &Scope) -> Vec<Reason> {
        self.blind_spots_on(scope, |_| true)
    }

    /// The same of what lies under some days.
    pub fn blind_spots_on(&self, scope: &Scope, concerns: impl Fn(NaiveDate) -> bool) -> Vec<Reason> {
        if let Some(own) = self.scopes.get(scope) {
            return own.iter().filter(|gap| gap.day.is_none_or(&concerns)).map(Reason::from).collect();
        }
        let above = scope.depends_on();
        let gaps: Vec<Reason> =
            above.iter().filter_map(|above| self.scopes.get(above)).flatten().map(Reason::from).collect();
        if gaps.is_empty() { vec![scope.never_scanned()] } else { gaps }
    }

    /// Gaps of scopes, known from earlier scans, that this scan did not come to because a scope on
    /// which they depend has a gap. A source that was not given (`not_provided`) says nothing of them.
    pub fn unreached<'a>(&self, known: impl IntoIterator<Item = &'a Scope>) -> Vec<Gap> {
        let missed = known.into_iter().filter(|scope| !self.scopes.contains_key(*scope)).filter_map(|scope| {
            let above = scope.depends_on();
            let mut gaps = above.iter().filter_map(|above| self.scopes.get(above)).flatten();
            let gap = gaps.find(|gap| gap.reason != GapReason::NotProvided)?;
            Some(Gap {
                scope: scope.clone(),
                action: gap.action.clone(),
                reason: GapReason::NotReached,
                detail: format!("{} was not read to its end", gap.scope),
                day: None,
            })
        });
        missed.collect()
    }

    /// Every scope looked at, with its gaps.
    pub fn scopes(&self) -> impl Iterator<Item = (&Scope, &[Gap])> {
        self.scopes.iter().map(|(scope, gaps)| (scope, gaps.as_slice()))
    }

    /// Every gap.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.scopes.values().flatten()
    }

    /// Takes over another coverage.
    pub fn absorb(&mut self, other: Self) {
        for (scope, gaps) in other.scopes {
            self.complete(scope);
            for gap in gaps {
                self.gap(gap);
            }
        }
    }
}
