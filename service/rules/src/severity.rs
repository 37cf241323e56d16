//! What the severity of a failure follows from.
//!
//! Conditions are asked in order and the first that is true decides. One that is not known decides
//! nothing, and keeps those after it from lowering the severity below the rule's own: a gap must not
//! make a failure look harmless. Refuses to know bindings, which go before all of this.

use super::eval::{self, Context, Fault};
use super::ir::Ir;
use super::value::Value;
use crate::verdict::{Graded, Severity};

/// A condition with the severity that it gives.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) when: Ir,
    pub(super) severity: Severity,
    pub(super) because: Ir,
}

/// The severity that follows from the conditions; `None` where it is the rule's own and nothing is
/// to be said about it.
pub(super) fn grade(steps: &[Step], own: Severity, cx: &Context<'_>) -> Option<Graded> {
    let mut open: Vec<(Severity, String)> = Vec::new();
    for step in steps {
        match eval::eval(&step.when, cx) {
            Ok(Value::Bool(true)) => {
                let decided = Graded { severity: step.severity, because: because(step, cx) };
                let kept = step.severity >= own || open.iter().all(|(severity, _)| *severity == step.severity);
                return Some(if kept { decided } else { undecided(own, &open) });
            }
            Ok(Value::Bool(false)) => {}
            answer => open.push((step.severity, unknown(step.severity, &answer))),
        }
    }
    open.iter().any(|(severity, _)| *severity != own).then(|| undecided(own, &open))
}

/// The step's sentence; a text that cannot be made leaves the severity to stand for itself.
fn because(step: &Step, cx: &Context<'_>) -> String {
    match eval::eval(&step.because, &cx.showing()) {
        Ok(Value::Str(text)) => text.to_string(),
        _ => format!("a condition for {} holds", step.severity.as_str()),
    }
}

fn unknown(severity: Severity, answer: &Result<Value, Fault>) -> String {
    let why = match answer {
        Ok(Value::Unknown(why)) => why.to_vec().join("; "),
        Ok(other) => format!("the condition gave {}", other.kind()),
        Err(fault) => fault.message(),
    };
    format!("whether it is {} is unknown: {why}", severity.as_str())
}

fn undecided(own: Severity, open: &[(Severity, String)]) -> Graded {
    let mut told: Vec<&str> = Vec::new();
    for (_, text) in open {
        if !told.contains(&text.as_str()) {
            told.push(text);
        }
    }
    Graded { severity: own, because: format!("the rule's own severity; {}", told.join("; ")) }
}
