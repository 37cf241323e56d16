//! The rule language: how rules, bindings and exceptions are written, checked and judged.
//!
//! Rules are YAML with expressions in CEL's syntax. Everything that can be wrong with a rule is said
//! when it is loaded; judging is bounded in cost and three-valued, so that what was not seen makes a
//! rule unknown and never pass. Refuses to know which facts there are (the [`Schema`] says), where
//! files lie, and what becomes of a finding.

mod binding;
mod cel;
mod check;
mod decode;
mod eval;
mod evidence;
mod fixture;
mod ir;
#[cfg(test)]
mod laws;
mod literal;
mod load;
mod loaded;
mod messages;
mod owners;
mod rule;
mod schema;
mod set;
mod severity;
mod snippet;
mod text;
mod tuning;
mod value;
mod verdict;
mod yaml;

pub use binding::Exception;
pub use literal::pattern_matches;
pub use messages::{Messages, messages};
pub use owners::{OwnerPlace, OwnerRule, OwnerRules, Ruled};
pub use rule::{Expressions, Judgement, Meta, Param, Remediation, Rule, SeverityWhen, TestResult, Times};
pub use schema::{Field, Function, Native, ObjectType, Schema, SchemaBuilder, SchemaError, Type};
pub use set::{RuleSet, json_schema};
pub use snippet::{PLACEHOLDERS, Template, Tool, no_templates};
pub use value::{List, Object, Reasons, Value};
pub use verdict::{EffectiveParam, Evidence, ExceptionRef, Graded, Outcome, Severity, Subject, SubjectKind};
pub use yaml::{LoadError, SourceFile};
