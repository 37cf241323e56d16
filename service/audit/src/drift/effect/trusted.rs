//! The accounts that a role's trust policy lets in by a change.

use super::Both;
use super::side::Side;
use crate::drift::TrustedAccount;
use crate::drift::difference::{About, Difference, kind};
use rolecall_iam::{AccountId, Truth};
use std::collections::BTreeMap;

/// By account, `None` for any account: the principal that the policy names, and whether it is let in.
type Admitted = BTreeMap<Option<AccountId>, (String, Truth)>;

impl Both<'_> {
    /// The accounts that a role's trust policy lets in now and did not before.
    pub(super) fn trusted(&self, difference: &Difference) -> Option<Vec<TrustedAccount>> {
        let About::Role(arn) = &difference.about else { return None };
        let was = match difference.change {
            kind::ADDED => Admitted::new(),
            kind::TRUST | kind::RECREATED => self.before.admitted(arn)?,
            _ => return None,
        };
        let gained = self.after.admitted(arn)?.into_iter().filter_map(|(account_id, (principal, admitted))| {
            let before = was.get(&account_id).map_or(Truth::False, |(_, admitted)| admitted.clone());
            let is_certain = admitted.is_true() && before.is_false();
            (!before.is_true()).then_some(TrustedAccount { account_id, principal, is_certain })
        });
        Some(gained.collect())
    }
}

impl Side<'_> {
    /// The accounts other than the role's own that its trust policy may let in; `None` where it cannot be read.
    fn admitted(&self, arn: &str) -> Option<Admitted> {
        let home = self.index.role_or_unseen(arn).0?.arn.account_id();
        let trust = self.trust(arn)?;
        let found = trust.external_access(home, &self.index.organization(home), |account| account == home).ok()?;
        let mut admitted = Admitted::new();
        for access in found {
            let known = admitted.entry(access.account_id).or_insert((access.principal, Truth::False));
            known.1 = std::mem::replace(&mut known.1, Truth::False).or(access.admitted);
        }
        Some(admitted)
    }
}
