//! What is declared, looked up by the resource that it is of.

use super::{Row, Status, check};
use crate::resource::ResourceType;
use rolecall_estate::Estate;
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How what is declared stands to the estate, by resource.
#[derive(Debug, Default)]
pub(crate) struct DeclaredIndex {
    /// The accounts of which something is declared.
    accounts: BTreeSet<AccountId>,
    of: BTreeMap<(ResourceType, String), Arc<Row>>,
    missing: BTreeMap<AccountId, Vec<Arc<Row>>>,
    /// Why more may be missing.
    undecided: BTreeMap<AccountId, Vec<String>>,
}

impl DeclaredIndex {
    pub(crate) fn new(estate: &Estate) -> Self {
        let mut found = Self::default();
        let Some(declared) = &estate.declared else { return found };
        for row in check(estate, declared).rows {
            let kind = row.resource.kind;
            if !matches!(kind, ResourceType::Role | ResourceType::Association) {
                continue;
            }
            found.accounts.extend(row.account.filter(|_| row.place.is_some()));
            let row = Arc::new(row);
            match (row.status, row.account) {
                (Status::Missing, Some(account)) => found.missing.entry(account).or_default().push(row),
                (Status::Missing, None) => {}
                // Rows are in the order of their statuses: of several declarations the gravest counts.
                _ => drop(found.of.entry((kind, row.resource.name.clone())).or_insert(row)),
            }
        }
        let roles = estate.roles.iter().map(|role| (ResourceType::Role, role.arn.to_string()));
        let associations = estate.associations.iter().map(|it| (ResourceType::Association, it.key.to_string()));
        let there: BTreeSet<_> = roles.chain(associations).collect();
        for (name, row) in &found.of {
            if let (Status::Unknown, Some(account), false) = (row.status, row.account, there.contains(name)) {
                found.undecided.entry(account).or_default().extend(row.unknown.iter().cloned());
            }
        }
        found
    }

    /// A role or an association; `None` where nothing is declared and nothing has to be.
    pub(crate) fn of(&self, kind: ResourceType, name: &str) -> Option<&Arc<Row>> {
        self.of.get(&(kind, name.to_owned()))
    }

    /// Whether something of an account is declared.
    pub(crate) fn declares(&self, account: AccountId) -> bool {
        self.accounts.contains(&account)
    }

    /// What of an account is declared and not there, and why more may be missing.
    pub(crate) fn missing(&self, account: AccountId) -> (&[Arc<Row>], &[String]) {
        let rows = self.missing.get(&account).map_or(&[][..], Vec::as_slice);
        (rows, self.undecided.get(&account).map_or(&[][..], Vec::as_slice))
    }
}
