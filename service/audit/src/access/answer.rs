//! Answers in three values: what is known, and why the rest is not.

use crate::index::join;
use rolecall_estate::Reason;
use rolecall_iam::Truth;
use rolecall_rules::Reasons;

/// An answer, or why there is none.
pub(crate) type Known<T> = Result<T, Reasons>;

/// What was found of a list, or why nothing can be said of it.
pub(crate) type Listed<T> = Known<Partial<T>>;

/// Items that were found, and why there may be others; `None` where there are not.
#[derive(Debug, Clone)]
pub(crate) struct Partial<T> {
    pub items: Vec<T>,
    pub missing: Option<Reasons>,
}

impl<T> Partial<T> {
    /// No item, for certain.
    pub(crate) fn empty() -> Self {
        Self { items: Vec::new(), missing: None }
    }
}

/// What the engine of the policy language answers.
pub(crate) fn known(truth: &Truth) -> Known<bool> {
    match truth {
        Truth::True => Ok(true),
        Truth::False => Ok(false),
        Truth::Unknown(_) => Err(why(truth)),
    }
}

/// The reasons of an unknown truth.
pub(crate) fn why(truth: &Truth) -> Reasons {
    Reasons::several(Reason::of_truth(truth)).unwrap_or_else(|| Reasons::one("the policy language leaves it open"))
}

/// Whether one of several is true.
pub(crate) fn any(answers: impl IntoIterator<Item = Known<bool>>) -> Known<bool> {
    let mut open: Option<Reasons> = None;
    for answer in answers {
        match answer {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(why) => open = join(open, Some(&why)),
        }
    }
    open.map_or(Ok(false), Err)
}
