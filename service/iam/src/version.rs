//! The version of the policy language.

/// The version of the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `2008-10-17`, also where none is written: policy variables are plain text.
    V2008,
    /// `2012-10-17`.
    V2012,
}
