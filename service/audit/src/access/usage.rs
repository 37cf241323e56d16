//! The unused-access analysis of a role, or of an association's pods.
//!
//! Finds the role, its policies and what was not seen of them; [`super::unused`] compares them with the
//! calls. Refuses to know where the calls are kept.

use super::index::AccessIndex;
use super::stack::policy_set;
use super::unused::{Covered, UsageReport, usage_report};
use rolecall_estate::{AssociationKey, Estate, Reason, Used};
use rolecall_iam::Grants;
use rolecall_rules::Reasons;

/// The role or the pods whose grants are analyzed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageSubject {
    /// Those of a role, whoever uses it.
    Role(String),
    /// Those that the pods of an association act with.
    Pods(AssociationKey),
}

/// Why grants cannot be analyzed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// An association that was never seen.
    #[error("no association was seen for {0}")]
    Association(String),
    /// Its description was refused, so its role is not known.
    #[error("EKS refused to describe the association of {0}, so that its role is not known")]
    NotDescribed(String),
    /// A role that was never seen.
    #[error("{0} is not among the roles that were seen")]
    Role(String),
}

/// The role whose grants would be analyzed.
///
/// # Errors
/// See [`UsageError`].
pub fn role_of(estate: &Estate, whose: &UsageSubject) -> Result<String, UsageError> {
    match whose {
        UsageSubject::Role(arn) => Ok(arn.clone()),
        UsageSubject::Pods(key) => {
            let association = estate.associations.iter().find(|association| association.key == *key);
            let association = association.ok_or_else(|| UsageError::Association(key.to_string()))?;
            let detail = association.detail.as_ref().ok_or_else(|| UsageError::NotDescribed(key.to_string()))?;
            Ok(detail.target_role_arn.as_ref().unwrap_or(&detail.role_arn).clone())
        }
    }
}

/// Compares what a role or an association's pods may do with their calls. `uses` are the calls of all
/// sessions of the role since the window's beginning; `window` is what `unused::covered` says of that role.
///
/// # Errors
/// See [`UsageError`].
pub fn analyze_usage(
    estate: &Estate,
    whose: &UsageSubject,
    uses: &[Used],
    window: Covered,
) -> Result<UsageReport, UsageError> {
    let index = AccessIndex::new(estate);
    let arn = role_of(estate, whose)?;
    let (role, unseen) = index.role_or_unseen(&arn);
    let role = role.ok_or_else(|| UsageError::Role(arn.clone()))?;
    let mut remembered = each(unseen.as_ref());
    let mut policy = None;
    if let UsageSubject::Pods(key) = whose {
        let (association, unseen) = index.association_or_unseen(key);
        policy = association.and_then(|association| association.detail.as_ref()?.policy.as_ref());
        remembered.extend(each(unseen.as_ref()));
    }
    let policies = policy_set(&index, role, policy);
    Ok(usage_report(&policies, &Grants::new(&policies), role, &estate.confirmed_trails(), &remembered, uses, window))
}

fn each(why: Option<&Reasons>) -> Vec<Reason> {
    why.into_iter().flat_map(Reasons::iter).cloned().collect()
}
