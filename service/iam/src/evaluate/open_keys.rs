//! What an unknown answer comes to where every value of the open keys gives the same one.
//!
//! Knows how to try the values that conditions can tell apart: the key absent, each value that is
//! written, and one that nobody wrote. Refuses to try where that is not all: patterns, numbers,
//! dates, addresses and policy variables leave the answer unknown.

use crate::context::OF_SEVERAL_VALUES;
use crate::evaluate::decision::{Decision, Outcome};
use crate::evaluate::evaluation::Evaluation;
use crate::evaluate::observer::{Observer, Place};
use crate::evaluate::policy_set::{PolicyRef, PolicySet};
use crate::evaluate::principal_match::PrincipalMatch;
use crate::evaluate::request::Request;
use crate::evaluate::view::View;
use crate::matching::pattern::ResourcePattern;
use crate::policy::ast::{Clause, Statement};
use crate::policy::cost::of_statement;
use crate::truth::{Truth, Why};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many keys are tried together, and how many requests that may take.
const MOST_KEYS: usize = 4;

const MOST_TRIES: usize = 256;

/// So many steps they may take together; see [`crate::steps`].
const MOST_STEPS: usize = 1_000_000;

#[derive(Default)]
struct Statements<'a>(Vec<&'a Arc<Statement>>);

impl<'a> Observer<'a> for Statements<'a> {
    const WHOLE: bool = true;

    fn saw(&mut self, _: Place, _: &'a PolicyRef, statement: &'a Arc<Statement>, _: PrincipalMatch, _: &Truth) {
        self.0.push(statement);
    }

    fn missed(&mut self, _: Place, _: &'a PolicyRef, _: &Why) {}
}

/// The values of a key that the statements can tell apart; `None` where these cannot be told.
fn values(key: &str, statements: &[&Arc<Statement>]) -> Option<Vec<Option<String>>> {
    if !key.starts_with("aws:") || OF_SEVERAL_VALUES.contains(&key) {
        return None;
    }
    let mut written = BTreeSet::new();
    for statement in statements {
        let resources = statement.resources.iter().flat_map(Clause::elements);
        let texts = resources.map(ResourcePattern::as_str);
        let texts = texts.chain(statement.conditions.iter().flat_map(|c| &c.values).map(String::as_str));
        if texts.filter(|text| text.contains("${")).any(|text| text.to_ascii_lowercase().contains(key)) {
            return None;
        }
        for condition in statement.conditions.iter().filter(|c| c.key.eq_ignore_ascii_case(key)) {
            let operator = condition.operator.as_str().to_ascii_lowercase();
            let exact = match operator.strip_suffix("ifexists").unwrap_or(&operator) {
                "stringequals" | "stringnotequals" | "null" => true,
                "bool" => {
                    written.extend(["true".to_owned(), "false".to_owned()]);
                    continue;
                }
                _ => false,
            };
            if !exact || condition.values.iter().any(|value| value.contains("${")) {
                return None;
            }
            written.extend(condition.values.iter().cloned());
        }
    }
    let mut unwritten = "another value".to_owned();
    while written.contains(&unwritten) {
        unwritten.push('.');
    }
    Some(written.into_iter().chain([unwritten]).map(Some).chain([None]).collect())
}

/// The answer that every completion of the open keys gives, where there is one.
pub(crate) fn resolve_open_keys<'a>(request: &Request, layers: &'a PolicySet, reasons: &[Why]) -> Option<Decision<'a>> {
    let keys: Vec<String> = reasons
        .iter()
        .map(|why| match why {
            Why::Key(key) => Some(key.to_ascii_lowercase()),
            _ => None,
        })
        .collect::<Option<BTreeSet<_>>>()?
        .into_iter()
        .collect();
    if keys.len() > MOST_KEYS {
        return None;
    }
    let mut seen = Statements::default();
    Evaluation::new(request, View::new(request, layers)).gather(&mut seen);
    let weight: usize = seen.0.iter().map(|statement| of_statement(statement)).sum();
    let mut requests = vec![request.clone()];
    for key in &keys {
        let values = values(key, &seen.0)?;
        let tries = requests.len() * values.len();
        if tries > MOST_TRIES || tries.saturating_mul(weight) > MOST_STEPS {
            return None;
        }
        let with = |request: &Request, value: &Option<String>| {
            request.clone().with_context(|context| match value {
                Some(value) => context.set(key, [value.as_str()]),
                None => context.absent(key),
            })
        };
        requests =
            requests.iter().flat_map(|r| values.iter().map(|value| with(r, value)).collect::<Vec<_>>()).collect();
    }
    let mut decisions = requests.iter().map(|r| Evaluation::new(r, View::new(r, layers)).decide());
    let first = decisions.next()?;
    let common = decisions.try_fold(first, |common, next| match (common.outcome, next.outcome) {
        (a, b) if a == b => Some(common),
        (Outcome::Allow | Outcome::Unknown, _) | (_, Outcome::Allow | Outcome::Unknown) => None,
        // Refused in each case, but not always by a Deny.
        _ => Some(Decision { outcome: Outcome::DenyImplicit, reasons: Vec::new(), by: None }),
    })?;
    (common.outcome != Outcome::Unknown).then_some(common)
}

#[cfg(test)]
mod tests {
    use crate::context::Context;
    use crate::evaluate::decide::decide;
    use crate::evaluate::decision::Outcome;
    use crate::evaluate::policy_set::{PolicyRef, PolicySet};
    use crate::evaluate::request::Request;
    use crate::evaluate::requester::Requester;
    use crate::policy::document::Document;

    fn outcome(statements: &str) -> Outcome {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let layers = PolicySet {
            identity: Some(vec![PolicyRef::known("inline policy", &Document::new(&text))]),
            ..PolicySet::default()
        };
        let who = Requester::parse("arn:aws:iam::111122223333:role/app").unwrap();
        let owner = "111122223333".parse().ok();
        decide(&Request::new(who, "s3:GetObject", "arn:aws:s3:::b/k", owner, Context::open()), &layers).outcome
    }

    fn when(effect: &str, operator: &str, value: &str) -> String {
        format!(
            r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{{"{operator}":{{"aws:RequestedRegion":"{value}"}}}}}}"#
        )
    }

    #[test]
    fn what_every_value_gives_is_given() {
        let all = format!("{},{}", when("Allow", "StringEquals", "a"), when("Allow", "StringNotEquals", "a"));
        assert_eq!(outcome(&all), Outcome::Allow);
        let none = format!("{},{}", when("Allow", "StringEquals", "a"), when("Deny", "StringEquals", "a"));
        assert_eq!(outcome(&none), Outcome::DenyImplicit);
        let allow = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
        let denied = format!("{allow},{},{}", when("Deny", "Null", "true"), when("Deny", "Null", "false"));
        assert_eq!(outcome(&denied), Outcome::DenyExplicit);
    }

    #[test]
    fn what_some_value_changes_or_cannot_be_tried_stays_unknown() {
        assert_eq!(outcome(&when("Allow", "StringEquals", "a")), Outcome::Unknown);
        let some = format!("{},{}", when("Allow", "StringEquals", "a"), when("Allow", "StringEquals", "b"));
        assert_eq!(outcome(&some), Outcome::Unknown);
        let like = format!("{},{}", when("Allow", "StringLike", "a*"), when("Allow", "StringNotLike", "a*"));
        assert_eq!(outcome(&like), Outcome::Unknown);
    }
}
