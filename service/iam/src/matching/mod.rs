//! What the texts of a policy match: actions, resources, and the ARN formats of the catalogue.

pub(crate) mod action_set;
pub(crate) mod arn_format;
pub(crate) mod glob;
pub(crate) mod overlap;
pub(crate) mod pattern;
