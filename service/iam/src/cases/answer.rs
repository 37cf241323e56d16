//! What a case comes to, and what is wrong with one that cannot be read.

/// Why a case cannot be decided, or a text holds no cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: case `{id}`: {message} at `{pointer}`")]
pub struct CaseError {
    /// The file, as the caller names it.
    pub file: String,
    /// The case's id; its place in the file where it has none.
    pub id: String,
    /// RFC 6901 pointer within the file; for JSON lines, within the line.
    pub pointer: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

impl CaseError {
    /// The line that stands for the case among the answers.
    #[must_use]
    pub fn answer(&self) -> CaseAnswer {
        let because = format!("the case could not be read: {} at `{}`", self.message, self.pointer);
        CaseAnswer { id: self.id.clone(), decision: "Error", because }
    }
}

/// What a case comes to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CaseAnswer {
    /// The case's id.
    pub id: String,
    /// `Allow`, `Deny(explicit)`, `Deny(implicit)` or `Unknown`; `Error` where the case is broken.
    pub decision: &'static str,
    /// Why, in one sentence.
    pub because: String,
}
