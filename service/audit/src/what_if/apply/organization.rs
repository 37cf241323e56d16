//! Proposals on the tree of an organization.

use super::{Refused, Work};
use crate::drift::Resource;
use rolecall_estate::OrgUnit;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_iam::AccountId;

impl Work {
    pub(super) fn make_unit(&mut self, id: &str, parent: &str, name: &str) -> Result<(), Refused> {
        let above = self.unit(parent)?;
        let estate = &mut self.applied.estate;
        if estate.org_units.iter().any(|unit| unit.id == id) {
            return Err((format!("there is an organizational unit {id} already"), "give it another name".to_owned()));
        }
        let made = OrgUnit {
            account_id: above.account_id,
            id: id.to_owned(),
            parent: Some(above.id),
            path: path(&above.path, name),
        };
        estate.org_units.push(made);
        self.touch_unit(above.account_id, id, Some(true));
        Ok(())
    }

    /// Whatever is below the unit has another path, too.
    pub(super) fn rename_unit(&mut self, id: &str, name: &str) -> Result<(), Refused> {
        let unit = self.unit(id)?;
        let above = unit.path.rsplit_once('/').map_or("/", |(above, _)| above);
        let new = path(above, name);
        let renamed = |old: &str| match old.strip_prefix(&unit.path)? {
            rest if rest.is_empty() || rest.starts_with('/') => Some(format!("{new}{rest}")),
            _ => None,
        };
        let estate = &mut self.applied.estate;
        for it in &mut estate.org_units {
            it.path = renamed(&it.path).unwrap_or_else(|| std::mem::take(&mut it.path));
        }
        for it in &mut estate.accounts {
            it.ou_path = it.ou_path.take().map(|old| renamed(&old).unwrap_or(old));
        }
        self.touch_unit(unit.account_id, id, None);
        Ok(())
    }

    pub(super) fn delete_unit(&mut self, id: &str) -> Result<(), Refused> {
        let unit = self.unit(id)?;
        let estate = &self.applied.estate;
        let is_above = |other: &OrgUnit| other.parent.as_deref() == Some(id);
        let holds = estate.accounts.iter().any(|account| account.ou_path.as_deref() == Some(unit.path.as_str()));
        if holds || estate.org_units.iter().any(is_above) {
            let message = format!("there are accounts or units in the organizational unit {id}");
            return Err((message, "move them first".to_owned()));
        }
        self.touch_unit(unit.account_id, id, Some(false));
        self.applied.estate.org_units.retain(|it| it.id != id);
        Ok(())
    }

    pub(super) fn move_account(&mut self, account: AccountId, parent: &str) -> Result<(), Refused> {
        let path = self.unit(parent)?.path;
        let estate = &mut self.applied.estate;
        let known = estate.accounts.iter_mut().find(|it| it.id == account && it.ou_path.is_some());
        let Some(known) = known else {
            let message = format!("where account {account} was in the organization is not known");
            return Err((message, "scan the organization, then ask again".to_owned()));
        };
        known.ou_path = Some(path);
        let resource = Resource::account(estate, account);
        self.touch(resource, None, false);
        Ok(())
    }

    fn unit(&self, id: &str) -> Result<OrgUnit, Refused> {
        self.applied.estate.org_units.iter().find(|unit| unit.id == id).cloned().ok_or_else(|| {
            let message = format!("no root or organizational unit {id} is known");
            (message, "check the id, and that the organization was scanned".to_owned())
        })
    }

    /// `is_made`: whether it is made or deleted, where it is either.
    fn touch_unit(&mut self, account: AccountId, id: &str, is_made: Option<bool>) {
        let resource = Resource::org_unit(&self.applied.estate, account, id);
        let presence = is_made.map(|_| Scope::global(account, ScopeKind::Organization));
        self.touch(resource, presence, is_made.unwrap_or_default());
    }
}

/// The path of what has a name below a path: `/` is the root's.
fn path(above: &str, name: &str) -> String {
    format!("{}/{name}", above.trim_end_matches('/'))
}
