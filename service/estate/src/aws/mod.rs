//! Answers of AWS, field by field, and how each becomes a fact of the estate.
//!
//! A form holds what the AWS SDK and the JSON of the AWS CLI have in common, under AWS's names. Whoever calls
//! AWS, and whoever reads files, fills forms and decides nothing. An empty text counts as absent: AWS has none,
//! and controllers write one for what is not set. A list that AWS always answers with is an error where it is
//! absent, never an empty list.

mod eks;
mod iam;
mod organizations;
#[cfg(test)]
mod tests;
mod trail;

pub use eks::{
    AccessEntryDescription, AddonDescription, AssociatedAccessPolicy, AssociationDescription, AssociationSummary,
    ClusterDescription, unknown_association_fields,
};
pub use iam::{
    AttachedManagedPolicy, LastUsed, ManagedPolicyDetail, OidcProviderAnswer, PermissionsBoundary, PolicyVersion,
    RoleDetail, RolePolicy, oidc_provider,
};
pub use organizations::{OrganizationAccount, OrganizationPolicy, organization_of};
pub use trail::{TrailDescription, TrailStatusAnswer};

use std::fmt::Display;
use std::str::FromStr;

/// A field of an answer that is missing or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// JSON pointer within the record, by AWS's names: `/RolePolicyList/0/PolicyName`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl FieldError {
    fn missing(field: impl Into<String>) -> Self {
        Self { field: field.into(), message: "missing".to_owned() }
    }
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn required<T>(value: Option<T>, field: &str) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::missing(field))
}

fn text(value: Option<String>, field: &str) -> Result<String, FieldError> {
    required(non_empty(value), field)
}

fn parsed<T: FromStr<Err: Display>>(value: Option<String>, field: &str) -> Result<T, FieldError> {
    let error = |error: T::Err| FieldError { field: field.to_owned(), message: error.to_string() };
    text(value, field)?.parse().map_err(error)
}
