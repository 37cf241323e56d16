//! Which of many findings to fix first.
//!
//! The severity decides before anything else. Among findings of one severity: those whose role pods use now, those that
//! reach from one account into another, those of more workloads, the older ones. What is found about roles that AWS
//! makes and nobody can change (service-linked roles, and those of IAM Identity Center, whose permission sets are
//! managed elsewhere) is expected, and comes last. Refuses to know how use is seen.

use crate::access::reach::{Via, Workload};
use chrono::{DateTime, Utc};
use rolecall_estate::AssociationKey;
use rolecall_iam::RoleArn;
use rolecall_rules::{Severity, Subject};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What the place of a finding depends on.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'f> {
    /// How grave it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: &'f Subject,
    /// The workloads that reach its role, or the first of them.
    pub workloads: &'f [Workload],
    /// How many there are.
    pub workload_count: u64,
    /// Since when it is open.
    pub opened_at: DateTime<Utc>,
}

/// The place of a finding: the least is to be fixed first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    expected: bool,
    severity: Reverse<Severity>,
    used: Reverse<bool>,
    crosses: Reverse<bool>,
    workloads: Reverse<u64>,
    opened_at: DateTime<Utc>,
}

impl Priority {
    /// The place of a finding. `used` are associations whose pods got credentials lately.
    #[must_use]
    pub fn new(of: Standing<'_>, used: &BTreeSet<AssociationKey>) -> Self {
        let own = own_association(of.subject);
        let reaching = of.workloads.iter().map(|workload| &workload.association).chain(&own);
        let crosses = |workload: &Workload| {
            workload.via != Via::Direct && workload.association.account_id != of.subject.account_id
        };
        let targets_another = || {
            let account = |arn: &Option<String>| arn.as_deref()?.parse::<RoleArn>().ok().map(|arn| arn.account_id());
            let (role, target) = (account(&of.subject.role_arn), account(&of.subject.target_role_arn));
            role.zip(target).is_some_and(|(role, target)| role != target)
        };
        Self {
            expected: is_of_aws(of.subject),
            severity: Reverse(of.severity),
            used: Reverse(reaching.clone().any(|key| used.contains(key))),
            crosses: Reverse(of.workloads.iter().any(crosses) || targets_another()),
            workloads: Reverse(of.workload_count.max(u64::from(own.is_some()))),
            opened_at: of.opened_at,
        }
    }

    /// Whether AWS made the role, so that the finding is expected.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.expected
    }

    /// Whether pods that got credentials lately reach it.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.used.0
    }

    /// Whether a workload of one account reaches a role of another.
    #[must_use]
    pub fn crosses_accounts(&self) -> bool {
        self.crosses.0
    }
}

/// The association that a finding is about.
#[must_use]
pub fn own_association(subject: &Subject) -> Option<AssociationKey> {
    Some(AssociationKey {
        account_id: subject.account_id,
        region: subject.region.as_deref()?.parse().ok()?,
        cluster: subject.cluster.as_deref()?.parse().ok()?,
        namespace: subject.namespace.as_deref()?.parse().ok()?,
        service_account: subject.service_account.as_deref()?.parse().ok()?,
    })
}

/// Whether the role concerned is one that AWS keeps under a path of its own. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>.
fn is_of_aws(subject: &Subject) -> bool {
    let role: Option<RoleArn> = subject.role_arn.as_deref().and_then(|arn| arn.parse().ok());
    role.is_some_and(|role| ["/aws-service-role/", "/aws-reserved/"].iter().any(|own| role.path().starts_with(own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rolecall_rules::SubjectKind;

    fn subject(path: &str) -> Subject {
        let arn = format!("arn:aws:iam::111122223333:role{path}r");
        Subject {
            kind: SubjectKind::Role,
            key: arn.clone(),
            account_id: "111122223333".parse().unwrap(),
            region: None,
            cluster: None,
            namespace: None,
            service_account: None,
            role_arn: Some(arn),
            target_role_arn: None,
        }
    }

    fn workload(account: &str, name: &str, via: Via) -> Workload {
        Workload { association: format!("{account}/eu-west-1/prod/payments/{name}").parse().unwrap(), via }
    }

    fn place(severity: Severity, path: &str, workloads: &[Workload], day: i64) -> Priority {
        let standing = Standing {
            severity,
            subject: &subject(path),
            workloads,
            workload_count: u64::try_from(workloads.len()).unwrap(),
            opened_at: DateTime::from_timestamp(day * 86_400, 0).unwrap(),
        };
        let used = BTreeSet::from([workload("111122223333", "api", Via::Direct).association]);
        Priority::new(standing, &used)
    }

    #[test]
    fn severity_comes_before_use_and_use_before_the_rest() {
        let used = [workload("111122223333", "api", Via::Direct)];
        let unused = [workload("111122223333", "job", Via::Direct)];
        let two = [unused[0].clone(), workload("111122223333", "batch", Via::Direct)];
        let across = [workload("444455556666", "job", Via::Target)];
        // The first to be fixed first.
        let order = [
            place(Severity::Critical, "/", &[], 9),
            place(Severity::High, "/", &used, 9),
            place(Severity::High, "/", &across, 9),
            place(Severity::High, "/", &two, 9),
            place(Severity::High, "/", &unused, 1),
            place(Severity::High, "/", &unused, 9),
            place(Severity::High, "/", &[], 1),
            place(Severity::Low, "/", &used, 1),
            place(Severity::Critical, "/aws-reserved/sso.amazonaws.com/", &used, 1),
            place(Severity::High, "/aws-service-role/eks.amazonaws.com/", &[], 1),
        ];
        assert!(order.is_sorted(), "{order:#?}");
        assert!(order[1].is_used() && !order[2].is_used());
        assert!(order[2].crosses_accounts() && !order[1].crosses_accounts());
        assert!(order[8].is_expected() && !order[7].is_expected());
    }

    #[test]
    fn an_association_is_reached_by_its_own_pods_and_may_lead_into_another_account() {
        let about = Subject {
            kind: SubjectKind::Association,
            region: Some("eu-west-1".to_owned()),
            cluster: Some("prod".to_owned()),
            namespace: Some("payments".to_owned()),
            service_account: Some("api".to_owned()),
            target_role_arn: Some("arn:aws:iam::444455556666:role/t".to_owned()),
            ..subject("/")
        };
        let standing = Standing {
            severity: Severity::High,
            subject: &about,
            workloads: &[],
            workload_count: 0,
            opened_at: DateTime::UNIX_EPOCH,
        };
        let used = BTreeSet::from([workload("111122223333", "api", Via::Direct).association]);
        let place = Priority::new(standing, &used);
        assert!(place.is_used() && place.crosses_accounts());
        assert!(!Priority::new(standing, &BTreeSet::new()).is_used());
    }
}
