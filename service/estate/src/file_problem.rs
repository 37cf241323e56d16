//! What is wrong in a file that people write, and where.

use serde::{Deserialize, Serialize};

/// Something in a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error, Serialize, Deserialize)]
#[error("{file}:{line}: {}{message}; {remedy}", prefix(.field))]
pub struct FileProblem {
    /// The file, as it was given.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// The field, such as `aws.call_timeout`; may be empty.
    pub field: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}
