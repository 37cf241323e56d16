//! What goes wrong on purpose.
//!
//! Knows which calls a fault meets and how often. Refuses to know any service's error shape: that
//! is [`crate::wire`]'s.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The service's own `AccessDenied`, with AWS's wording.
    Deny,
    /// The service's own throttling error.
    Throttle,
    /// An internal error of the service (HTTP 500).
    Fail,
    /// The caller's credentials are reported as expired.
    ExpiredToken,
    /// The answer comes this much later.
    Latency(Duration),
    /// No page holds more than this many items.
    PageSize(usize),
    /// Every page claims that another follows; asking for that one is an error that no retry heals.
    BreakPaging,
    /// The answer is not the service's at all, but a page of HTML under a status of 200, as some
    /// proxies give.
    MalformedBody,
    /// The answer ends in its middle, under a status of 200 and with a length that fits. JSON cut
    /// so does not parse; XML cut so is taken for whole by SDKs that read leniently.
    CutBody,
    /// Policy documents in the answer do not parse.
    MalformedPolicy,
    /// The connection is closed without an answer.
    DropConnection,
    /// The answer has a status of 200 and no body.
    EmptyBody,
    /// The answer lacks its lists, and what it should describe.
    NoLists,
    /// The lists of the answer are empty, and so is what it describes.
    EmptyLists,
    /// A text stands where the lists of the answer should, and what it should describe.
    TextForLists,
    /// The lists of the answer hold what is no item.
    NoItems,
    /// Every page names the same next one, and that is the first one again.
    Circle,
    /// Every page names a next one under a new token, and that is the first one again.
    Endless,
    /// The answer has this many bytes more, of white space.
    Padding(usize),
}

/// A fault and the calls that it meets: an action (`iam:GetRole`, `eks:*` or `*`), where narrowed
/// also an account and a region, for ever or a number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    action: String,
    account: Option<String>,
    region: Option<String>,
    after: u32,
    times: Option<u32>,
    kind: FaultKind,
}

impl Fault {
    /// A fault of a kind, on an action, in every account, for ever.
    #[must_use]
    pub fn new(kind: FaultKind, action: &str) -> Self {
        Self { action: action.to_owned(), account: None, region: None, after: 0, times: None, kind }
    }

    /// `AccessDenied`.
    #[must_use]
    pub fn deny(action: &str) -> Self {
        Self::new(FaultKind::Deny, action)
    }

    /// Throttling.
    #[must_use]
    pub fn throttle(action: &str) -> Self {
        Self::new(FaultKind::Throttle, action)
    }

    /// HTTP 500.
    #[must_use]
    pub fn fail(action: &str) -> Self {
        Self::new(FaultKind::Fail, action)
    }

    /// Slowness.
    #[must_use]
    pub fn latency(action: &str, by: Duration) -> Self {
        Self::new(FaultKind::Latency(by), action)
    }

    /// A cap on the size of a page; at least 1.
    #[must_use]
    pub fn page_size(action: &str, items: usize) -> Self {
        Self::new(FaultKind::PageSize(items.max(1)), action)
    }

    /// Only calls of (or, for `sts:AssumeRole`, into) this account.
    #[must_use]
    pub fn in_account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Only calls signed for this region.
    #[must_use]
    pub fn in_region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Only the first `n` calls that it meets.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.times = Some(n);
        self
    }

    /// Not the first `n` calls.
    #[must_use]
    pub fn after(mut self, n: u32) -> Self {
        self.after = n;
        self
    }

    fn meets(&self, account: &str, region: &str, action: &str) -> bool {
        let named = match self.action.split_once(':') {
            Some((service, "*")) => action.split(':').next() == Some(service),
            _ => self.action == "*" || self.action.eq_ignore_ascii_case(action),
        };
        named
            && self.times != Some(0)
            && self.account.as_deref().is_none_or(|a| a == account)
            && self.region.as_deref().is_none_or(|r| r == region)
    }
}

/// Names an injected fault, to take it out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

/// The faults in force: a shared handle, to be changed while the sandbox runs.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    faults: Vec<(FaultId, Fault)>,
}

impl Faults {
    /// None yet.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fault in force, beside those that are.
    pub fn inject(&self, fault: Fault) -> FaultId {
        let mut table = self.table();
        table.next += 1;
        let id = FaultId(table.next);
        table.faults.push((id, fault));
        id
    }

    /// Takes one out; one that is not there is no error.
    pub fn remove(&self, id: FaultId) {
        self.table().faults.retain(|(known, _)| *known != id);
    }

    /// Takes all out.
    pub fn clear(&self) {
        self.table().faults.clear();
    }

    /// `AccessDenied` on an action, in every account.
    pub fn deny(&self, action: &str) -> FaultId {
        self.inject(Fault::deny(action))
    }

    /// `AccessDenied` on an action, in one account.
    pub fn deny_in(&self, action: &str, account: &str) -> FaultId {
        self.inject(Fault::deny(action).in_account(account))
    }

    /// The faults that meet a call, in the order of injection. Each counts the call as met.
    pub(crate) fn meeting(&self, account: &str, region: &str, action: &str) -> Vec<FaultKind> {
        let mut met = Vec::new();
        for (_, fault) in &mut self.table().faults {
            if !fault.meets(account, region, action) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else {
                fault.times = fault.times.map(|n| n.saturating_sub(1));
                met.push(fault.kind.clone());
            }
        }
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_what_it_names_and_no_more() {
        let call = ("111122223333", "eu-west-1", "eks:ListClusters");
        let cases = [
            (Fault::deny("*"), true),
            (Fault::deny("eks:*"), true),
            (Fault::deny("ek:*"), false),
            (Fault::deny("eks:listclusters"), true),
            (Fault::deny("eks:DescribeCluster"), false),
            (Fault::deny("eks:ListClusters").in_account("111122223333"), true),
            (Fault::deny("eks:ListClusters").in_account("444455556666"), false),
            (Fault::deny("eks:ListClusters").in_region("us-east-1"), false),
            (Fault::deny("eks:ListClusters").times(0), false),
        ];
        for (fault, expected) in cases {
            assert_eq!(fault.meets(call.0, call.1, call.2), expected, "{fault:?}");
        }
    }

    #[test]
    fn a_counted_fault_wears_out_and_a_removed_one_is_gone() {
        let faults = Faults::none();
        let id = faults.inject(Fault::throttle("sts:*").times(2));
        let hits = || faults.meeting("1", "r", "sts:AssumeRole").len();
        assert_eq!((hits(), hits(), hits()), (1, 1, 0));
        let other = faults.deny("sts:*");
        assert_ne!(id, other);
        assert_eq!(hits(), 1);
        faults.remove(other);
        assert_eq!(hits(), 0);
    }
}
