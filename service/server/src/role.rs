//! What somebody may do: the scopes, and the roles of people, each a fixed set of them.
//!
//! Refuses to know who has which role, and what a scope opens: that stands beside each route.

rolecall_iam::vocabulary! {
    /// What a token, or a person in a role, may do.
    pub enum Scope: "a scope" {
        /// Read findings.
        FindingsRead = "findings:read",
        /// Acknowledge, suppress, open, assign and comment on findings.
        FindingsTriage = "findings:triage",
        /// Reserve, link and take away the tickets of findings.
        TicketsWrite = "tickets:write",
        /// Read accounts, roles, associations, sessions, their use, coverage and how far trails were read.
        InventoryRead = "inventory:read",
        /// Read rules and their results.
        PoliciesRead = "policies:read",
        /// Read scans.
        ScansRead = "scans:read",
        /// Start a scan.
        ScansWrite = "scans:write",
        /// Approve changes, and withdraw that.
        ChangesApprove = "changes:approve",
        /// Read webhooks and their deliveries, test and enable them, and have messages sent again.
        WebhooksManage = "webhooks:manage",
        /// Read `/metrics`.
        MetricsRead = "metrics:read",
        /// Read the audit log.
        AuditRead = "audit:read",
        /// Everything.
        Admin = "admin",
    }
}

rolecall_iam::vocabulary! {
    /// What a person may do: a fixed set of scopes, and each role has those of the one before it.
    pub enum PersonRole: "a role of a person" {
        /// Reads findings, inventory, rules and scans.
        Viewer = "viewer",
        /// Works on findings and tickets, and starts scans.
        Triager = "triager",
        /// Approves changes, baselines and suppressions.
        PolicyAdmin = "policy-admin",
        /// Everything: tokens, sessions and the audit log, too.
        Admin = "admin",
    }
}

impl PersonRole {
    /// What the role may do.
    #[must_use]
    pub fn scopes(self) -> &'static [Scope] {
        const VIEWER: &[Scope] = &[Scope::FindingsRead, Scope::InventoryRead, Scope::PoliciesRead, Scope::ScansRead];
        const TRIAGER: &[Scope] = &[
            Scope::FindingsRead,
            Scope::InventoryRead,
            Scope::PoliciesRead,
            Scope::ScansRead,
            Scope::FindingsTriage,
            Scope::TicketsWrite,
            Scope::ScansWrite,
        ];
        const POLICY_ADMIN: &[Scope] = &[
            Scope::FindingsRead,
            Scope::InventoryRead,
            Scope::PoliciesRead,
            Scope::ScansRead,
            Scope::FindingsTriage,
            Scope::TicketsWrite,
            Scope::ScansWrite,
            Scope::ChangesApprove,
        ];
        match self {
            Self::Viewer => VIEWER,
            Self::Triager => TRIAGER,
            Self::PolicyAdmin => POLICY_ADMIN,
            Self::Admin => &Scope::ALL,
        }
    }

    /// What the role is for, in one sentence.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Viewer => "Reads findings, inventory, rules and scans.",
            Self::Triager => "Also works on findings and tickets, and starts scans.",
            Self::PolicyAdmin => "Also approves changes and baselines.",
            Self::Admin => "Also manages tokens, sessions and webhooks, and reads the audit log and metrics.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_the_scopes_of_the_one_before_it() {
        for pair in PersonRole::ALL.windows(2) {
            let (less, more) = (pair[0].scopes(), pair[1].scopes());
            assert!(less.iter().all(|scope| more.contains(scope)) && less.len() < more.len(), "{pair:?}");
        }
        assert!(
            PersonRole::ALL.iter().all(|role| role.scopes().contains(&Scope::Admin) == (*role == PersonRole::Admin))
        );
    }
}
