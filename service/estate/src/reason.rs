//! Why something is not known: a sentence, and what the sentence is about.
//!
//! A reason leads from an unknown answer to what would make it known: the listing that is incomplete, the
//! statement that could be made, the document that cannot be parsed, the condition key that is open.

use crate::assumption::Assumption;
use crate::scope::Scope;
use rolecall_iam::{NotSeen, Truth, Why};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// What a reason is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A listing that is incomplete, or was never scanned.
    Gap(Scope),
    /// Data that was not provided, and what may be stated in its place.
    Assumption(Assumption),
    /// A document, or a part of one, that cannot be parsed.
    Document,
    /// A condition key whose value is open, as the policy writes it.
    ConditionKey(String),
    /// An analysis that takes more steps than it may.
    Budget,
}

impl Cause {
    /// The snake-case name of its kind, which the store and the API use.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gap(_) => "gap",
            Self::Assumption(_) => "assumption",
            Self::Document => "document",
            Self::ConditionKey(_) => "condition_key",
            Self::Budget => "budget",
        }
    }
}

/// Why something is not known.
///
/// INVARIANT: two reasons with the same text are the same reason: equality, order and hash are those of
/// the text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "Flat", try_from = "Flat")]
pub struct Reason {
    text: Arc<str>,
    cause: Option<Arc<Cause>>,
}

impl Reason {
    /// A reason about something that can be named.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>, cause: Cause) -> Self {
        Self { text: text.into(), cause: Some(Arc::new(cause)) }
    }

    /// The sentence, without a full stop.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is about; `None` where the sentence says all there is.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_deref()
    }

    /// The snake-case name of the kind of its cause; `other` without one.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.cause().map_or(OTHER, Cause::kind)
    }

    /// Several reasons as one: their sentences in one line, about what the first of them with a cause is about.
    #[must_use]
    pub fn joined<'r>(reasons: impl IntoIterator<Item = &'r Self>) -> Self {
        let reasons: Vec<&Self> = reasons.into_iter().collect();
        let cause = reasons.iter().find_map(|reason| reason.cause.clone());
        let text = reasons.iter().map(|reason| reason.text()).collect::<Vec<_>>().join("; ");
        Self { text: text.into(), cause }
    }

    /// The same reason in another sentence.
    #[must_use]
    pub fn reworded(&self, text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), cause: self.cause.clone() }
    }

    /// The reasons of an answer of the policy language; none where it is decided.
    #[must_use]
    pub fn of_truth(truth: &Truth) -> Vec<Self> {
        match truth {
            Truth::Unknown(why) => why.iter().map(Self::from).collect(),
            Truth::True | Truth::False => Vec::new(),
        }
    }
}

const OTHER: &str = "other";

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for Reason {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As its text: what equality goes by.
impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Reason {}

impl PartialOrd for Reason {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reason {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Reason {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialEq<&str> for Reason {
    fn eq(&self, other: &&str) -> bool {
        &*self.text == *other
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text: text.into(), cause: None }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Self { text: text.into(), cause: None }
    }
}

impl From<&Why> for Reason {
    fn from(why: &Why) -> Self {
        let text = why.to_string();
        match why {
            Why::Key(key) => Self::new(text, Cause::ConditionKey(key.clone())),
            Why::NotUnderstood(_) => Self::new(text, Cause::Document),
            Why::Exceeded { .. } => Self::new(text, Cause::Budget),
            // What another crate wrote there is no reason of ours.
            Why::NotSeen(unseen) => {
                let cause = unseen.origin().and_then(|origin| serde_json::from_str::<Flat>(origin).ok());
                let cause = cause.and_then(|flat| flat.cause().ok().flatten());
                Self { text: text.into(), cause: cause.map(Arc::new) }
            }
        }
    }
}

/// The policy language does not know listings: it hands on what a reason is about without reading it.
impl From<&Reason> for NotSeen {
    fn from(reason: &Reason) -> Self {
        let unseen = Self::from(reason.text());
        let Some(cause) = reason.cause() else { return unseen };
        let flat = Flat::new(String::new(), Some(cause));
        serde_json::to_string(&flat).map_or(unseen.clone(), |origin| unseen.with_origin(&origin))
    }
}

/// A reason as JSON: the kind of its cause, the text, and what the cause is about.
#[derive(Serialize, Deserialize)]
struct Flat {
    kind: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assumption: Option<Assumption>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition_key: Option<String>,
}

impl Flat {
    fn new(text: String, cause: Option<&Cause>) -> Self {
        let kind = cause.map_or(OTHER, Cause::kind).to_owned();
        let mut flat = Self { kind, text, scope: None, assumption: None, condition_key: None };
        match cause {
            Some(Cause::Gap(scope)) => flat.scope = Some(scope.clone()),
            Some(Cause::Assumption(assumption)) => flat.assumption = Some(*assumption),
            Some(Cause::ConditionKey(key)) => flat.condition_key = Some(key.clone()),
            Some(Cause::Document | Cause::Budget) | None => {}
        }
        flat
    }

    fn cause(self) -> Result<Option<Cause>, String> {
        let kind = self.kind;
        let lacks = |what: &str| format!("a reason of kind `{kind}` without its {what}");
        Ok(Some(match kind.as_str() {
            OTHER => return Ok(None),
            "gap" => Cause::Gap(self.scope.ok_or_else(|| lacks("scope"))?),
            "assumption" => Cause::Assumption(self.assumption.ok_or_else(|| lacks("assumption"))?),
            "condition_key" => Cause::ConditionKey(self.condition_key.ok_or_else(|| lacks("condition_key"))?),
            "document" => Cause::Document,
            "budget" => Cause::Budget,
            other => return Err(format!("`{other}` is no kind of reason")),
        }))
    }
}

impl From<Reason> for Flat {
    fn from(reason: Reason) -> Self {
        Self::new(reason.text.to_string(), reason.cause.as_deref())
    }
}

impl TryFrom<Flat> for Reason {
    type Error = String;

    fn try_from(mut flat: Flat) -> Result<Self, String> {
        let text = std::mem::take(&mut flat.text);
        Ok(Self { text: text.into(), cause: flat.cause()?.map(Arc::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::ScopeKind;

    fn causes() -> Vec<Option<Cause>> {
        let scope = Scope::of_cluster(
            "111122223333".parse().unwrap(),
            ScopeKind::Associations,
            "eu-west-1".parse().unwrap(),
            "prod".parse().unwrap(),
        );
        vec![
            None,
            Some(Cause::Gap(scope)),
            Some(Cause::Gap(Scope::global("111122223333".parse().unwrap(), ScopeKind::Roles))),
            Some(Cause::Assumption(Assumption::NoScps)),
            Some(Cause::Document),
            Some(Cause::ConditionKey("aws:SourceArn".to_owned())),
            Some(Cause::Budget),
        ]
    }

    fn reason(text: &str, cause: Option<Cause>) -> Reason {
        match cause {
            Some(cause) => Reason::new(text, cause),
            None => Reason::from(text),
        }
    }

    #[test]
    fn a_reason_is_the_same_after_json() {
        for cause in causes() {
            let written = serde_json::to_value(reason("why", cause.clone())).unwrap();
            let read: Reason = serde_json::from_value(written.clone()).unwrap();
            assert_eq!((read.text(), read.cause()), ("why", cause.as_ref()), "{written}");
            assert_eq!(written["kind"], read.kind());
        }
        for wrong in [r#"{"kind":"gap","text":"x"}"#, r#"{"kind":"nothing","text":"x"}"#, r#""x""#] {
            assert!(serde_json::from_str::<Reason>(wrong).is_err(), "{wrong}");
        }
    }

    /// What was not seen goes through the policy language and comes back with its cause.
    #[test]
    fn the_policy_language_hands_a_cause_on() {
        for cause in causes() {
            let policy = rolecall_iam::PolicyRef::missing("policy x", &reason("why", cause.clone()));
            let request = rolecall_iam::Request::new(
                rolecall_iam::Requester::parse("arn:aws:iam::111122223333:role/api").unwrap(),
                "s3:GetObject",
                "arn:aws:s3:::b/k",
                None,
                rolecall_iam::Context::closed(),
            );
            let set = rolecall_iam::PolicySet { identity: Some(vec![policy]), ..Default::default() };
            let decision = rolecall_iam::decide(&request, &set);
            let reasons: Vec<Reason> = decision.reasons.iter().map(Reason::from).collect();
            let unseen = reasons.iter().find(|reason| reason.contains("policy x was not seen: why")).unwrap();
            assert_eq!(unseen.cause(), cause.as_ref(), "{reasons:?}");
        }
        let truth = Truth::unknown(Why::Key("aws:SourceArn".to_owned()));
        assert_eq!(Reason::of_truth(&truth)[0].cause(), Some(&Cause::ConditionKey("aws:SourceArn".to_owned())));
    }
}
