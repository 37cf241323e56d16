//! The organization of an estate: which accounts belong to it, and which of its policies bind them.

use super::{EstateIndex, reasons};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Coverage, Gap, GapReason, ScopeKind};
use rolecall_estate::{Cause, Estate, OrgPolicy, OrgPolicyKind, OrgUnit, Reason};
use rolecall_iam::trust::Organization;
use rolecall_iam::{AccountId, Level, PolicyRef};
use rolecall_rules::Reasons;

/// A level of the organisation and the policies attached there.
pub(crate) type OrgLevel<'a> = (String, Vec<&'a OrgPolicy>);

/// What is known of the organisation.
#[derive(Debug, Default)]
pub(super) struct OrganizationIndex {
    /// The listed organization's id, `o-…`, where an account with a place in it names it.
    id: Option<String>,
    policies: Vec<OrgPolicy>,
    units: Vec<OrgUnit>,
    /// Why membership is not known whole; `None` where it is, or where nobody was to be asked.
    membership: Option<Reasons>,
    /// Whether the organisation was listed whole.
    listed: bool,
    /// For SCPs and RCPs, whether they were listed whole, and why not; as with `membership`.
    scps: Asked,
    rcps: Asked,
}

/// Whether something was listed whole, and why not where it was asked for.
type Asked = (bool, Option<Reasons>);

impl OrganizationIndex {
    fn listing(&self, kind: OrgPolicyKind) -> &Asked {
        match kind {
            OrgPolicyKind::Scp => &self.scps,
            OrgPolicyKind::Rcp => &self.rcps,
        }
    }
}

impl EstateIndex {
    /// Whether an account belongs to the organisation or the estate; unknown where no whole list of the
    /// organisation's accounts was seen, unless the estate's accounts are stated to be all of them.
    pub(crate) fn account_known(&self, account: AccountId) -> Result<bool, Reasons> {
        if self.accounts.contains_key(&account) {
            return Ok(true);
        }
        if self.org.listed || self.assumed.contains(&Assumption::OrganizationIsFiles) {
            return Ok(false);
        }
        Err(self.org.membership.clone().unwrap_or_else(|| {
            let assumption = Assumption::OrganizationIsFiles;
            let text = format!("{}: account {account} may belong to it", assumption.missing());
            Reasons::one(Reason::new(text, Cause::Assumption(assumption)))
        }))
    }

    /// The organization that an account belongs to, for condition keys such as `aws:PrincipalOrgID`.
    pub(crate) fn organization(&self, account: AccountId) -> Organization {
        let Some(owner) = self.accounts.get(&account) else {
            return Organization::NotSeen(format!("account {account} is not in the estate"));
        };
        // All accounts with a place in the listed organization are in the same one.
        let listed = self.org.id.as_ref().filter(|_| owner.ou_path.is_some() || owner.is_management);
        match owner.organization_id.as_ref().or(listed) {
            Some(id) => Organization::Known(id.clone()),
            // Every organization has a root and a management account.
            None if self.org.listed
                && self.org.units.is_empty()
                && self.accounts.len() == 1
                && !owner.is_management =>
            {
                Organization::None
            }
            None => Organization::NotSeen(format!("the organization id of account {account} was not seen")),
        }
    }

    /// The account's OU path; `None` where its place is not known.
    pub(crate) fn ou_path(&self, account: AccountId) -> Option<&str> {
        let known = self.accounts.get(&account).and_then(|a| a.ou_path.as_deref());
        // An account outside a listed organisation stands alone, at the root of nothing.
        known.or_else(|| self.org.listed.then_some("/"))
    }

    /// The assumption by which no policy of a kind binds an account, where that was not seen.
    pub(crate) fn assumes_no_policies(&self, account: AccountId, kind: OrgPolicyKind) -> Option<Assumption> {
        let assumption = match kind {
            OrgPolicyKind::Scp => Assumption::NoScps,
            OrgPolicyKind::Rcp => Assumption::NoRcps,
        };
        let is_known = self.org.listing(kind).0
            || self.org.policies.iter().any(|policy| policy.kind == kind)
            || self.accounts.get(&account).is_some_and(|owner| owner.is_management);
        (!is_known && self.assumed.contains(&assumption)).then_some(assumption)
    }

    /// The SCPs that bind an account, one list for each level from the root down to the account. As
    /// [`EstateIndex::org_levels`].
    pub(crate) fn scps(&self, account: AccountId) -> Result<Vec<Vec<&OrgPolicy>>, Reasons> {
        Ok(self.org_levels(account, OrgPolicyKind::Scp)?.into_iter().map(|(_, policies)| policies).collect())
    }

    /// The organisation's policies of a kind that bind an account, by level, each with its name: a
    /// path of the organisation, or the account. Empty where none bind it: in the management account,
    /// and where there is no organisation.
    ///
    /// # Errors
    /// Why they are not known: a policy that nobody provided may forbid anything. Where none is known
    /// and none is stated to be ([`Assumption`]), the answer is that there are none.
    pub(crate) fn org_levels(&self, account: AccountId, kind: OrgPolicyKind) -> Result<Vec<OrgLevel<'_>>, Reasons> {
        let org = &self.org;
        let Some(owner) = self.accounts.get(&account) else {
            return Err(Reasons::one(format!("account {account} is not in the estate")));
        };
        if owner.is_management {
            return Ok(Vec::new());
        }
        let (name, assumption) = match kind {
            OrgPolicyKind::Scp => ("SCPs", Assumption::NoScps),
            OrgPolicyKind::Rcp => ("RCPs", Assumption::NoRcps),
        };
        let (listed, unseen) = org.listing(kind);
        if !listed {
            if self.assumes_no_policies(account, kind).is_some() {
                return Ok(Vec::new());
            }
            return Err(unseen.clone().unwrap_or_else(|| {
                let text = format!("{}: {name} above account {account} may forbid it", assumption.missing());
                Reasons::one(Reason::new(text, Cause::Assumption(assumption)))
            }));
        }
        // No organisation, or one without policies of this kind.
        if org.policies.iter().all(|policy| policy.kind != kind) {
            return Ok(Vec::new());
        }
        let Some(path) = &owner.ou_path else {
            return Err(org.membership.clone().unwrap_or_else(|| {
                Reasons::one(format!(
                    "account {account} was not found in the organization, so which {name} bind it is not known"
                ))
            }));
        };
        let all = || org.policies.iter().filter(|p| p.kind == kind);
        if all().all(|p| p.targets.is_empty()) {
            return Ok(Vec::new());
        }
        let Some(mut unit) = org.units.iter().find(|u| u.path == *path) else {
            let why = format!("OU {path} of account {account} is not among the organisation's units");
            return Err(org.membership.clone().unwrap_or_else(|| Reasons::one(why)));
        };
        let mut nodes = vec![(account.to_string(), format!("account {account}"))];
        for _ in 0..org.units.len() {
            nodes.push((unit.id.clone(), unit.path.clone()));
            match unit.parent.as_ref().and_then(|id| org.units.iter().find(|u| u.id == *id)) {
                Some(parent) => unit = parent,
                None => break,
            }
        }
        // AWS keeps at least one policy of a kind on every node: a node without any is one whose
        // `FullAWSAccess` the source left out.
        let levels = nodes.into_iter().rev().map(|(node, name)| {
            let policies: Vec<&OrgPolicy> = all().filter(|p| p.targets.contains(&node)).collect();
            (name, policies)
        });
        Ok(levels.filter(|(_, policies)| !policies.is_empty()).collect())
    }

    /// As [`EstateIndex::org_levels`], with what the policies say.
    pub(crate) fn org_policy_levels(&self, account: AccountId, kind: OrgPolicyKind) -> Result<Vec<Level>, Reasons> {
        let name = if kind == OrgPolicyKind::Scp { "SCP" } else { "RCP" };
        let policy_ref = |policy: &OrgPolicy| {
            let source = format!("{name} {}", policy.name);
            self.documents.get(&policy.document).map_or_else(
                || PolicyRef::missing(&source, "its document is not in the estate"),
                |document| PolicyRef::known(&source, document),
            )
        };
        let level = |(name, policies): OrgLevel<'_>| Level {
            name: name.into(),
            policies: policies.into_iter().map(policy_ref).collect(),
        };
        Ok(self.org_levels(account, kind)?.into_iter().map(level).collect())
    }
}

impl OrganizationIndex {
    pub(super) fn new(estate: &Estate) -> Self {
        let (listed, membership) = asked(&estate.coverage, ScopeKind::Organization);
        let policies_of = |kind: OrgPolicyKind| {
            let others = OrgPolicyKind::ALL.into_iter().find(|other| *other != kind).map(OrgPolicyKind::listing);
            asked_but(&estate.coverage, ScopeKind::OrgPolicies, others)
        };
        let mut policies = estate.org_policies.clone();
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        let members = estate.accounts.iter().filter(|account| account.ou_path.is_some());
        let id = members.filter_map(|account| account.organization_id.clone()).min();
        let (scps, rcps) = (policies_of(OrgPolicyKind::Scp), policies_of(OrgPolicyKind::Rcp));
        Self { id, policies, units: estate.org_units.clone(), membership, listed, scps, rcps }
    }
}

/// The account's OU path: `/` for one outside a listed organisation, `None` where the organisation
/// was not seen.
pub(crate) fn ou_path(estate: &Estate, account: AccountId) -> Option<String> {
    let known = estate.accounts.iter().find(|a| a.id == account).and_then(|a| a.ou_path.clone());
    known.or_else(|| asked(&estate.coverage, ScopeKind::Organization).0.then(|| "/".to_owned()))
}

/// Whether the organisation was asked and answered whole, and why not where it was asked.
fn asked(coverage: &Coverage, kind: ScopeKind) -> Asked {
    asked_but(coverage, kind, None)
}

/// As [`asked`], whatever a call that concerns something else left out.
fn asked_but(coverage: &Coverage, kind: ScopeKind, other: Option<&str>) -> Asked {
    let mut answered = false;
    let mut why = Vec::new();
    for (_, gaps) in coverage.scopes().filter(|(scope, _)| scope.kind == kind) {
        let gaps: Vec<&Gap> = gaps.iter().filter(|gap| Some(&*gap.action) != other).collect();
        if gaps.is_empty() || gaps.iter().any(|gap| gap.reason != GapReason::NotProvided) {
            answered = true;
            why.extend(gaps.into_iter().map(Reason::from));
        }
    }
    let why = reasons(why);
    (answered && why.is_none(), why)
}
