//! A rule that was checked, and what it says about a subject.
//!
//! Refuses to know how rules are written and where subjects come from.

use super::binding::{Bound, Exception, Place, Settings, Taken};
use super::eval::{self, Context, Fault, MOST_STEPS};
use super::evidence;
use super::ir::{BECAUSE, ELEMENT, Ir, NOW, SUBJECT};
use super::schema::Type;
use super::severity::{self, Step};
use super::snippet::{Template, Tool};
use super::value::{Object, Reasons, Value};
use crate::verdict::{EffectiveParam, Evidence, ExceptionRef, Outcome, Severity, Subject, SubjectKind};
use chrono::{DateTime, Utc};
use rolecall_iam::Digest;
use serde::Serialize;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What people read about a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// Immutable kebab-case slug.
    pub id: String,
    /// What fails, as a headline.
    pub title: String,
    /// Before bindings.
    pub severity: Severity,
    /// Kebab-case slug that bindings can select.
    pub category: String,
    /// What the rule looks at.
    pub description: String,
    /// What can happen.
    pub risk: String,
    /// What to do.
    pub remediation: Remediation,
    /// Addresses of further reading.
    pub references: Vec<String>,
    /// The version or date since when there is the rule.
    pub since: Option<String>,
    /// Ids of the rules that this one took the place of; the last of them is its root id, under which
    /// fingerprints are made.
    pub supersedes: Vec<String>,
}

/// What to do about a finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Remediation {
    /// In words.
    pub text: String,
    /// With the AWS CLI.
    pub cli: Option<Template>,
    /// With kubectl.
    pub kubectl: Option<Template>,
    /// As Terraform.
    pub terraform: Option<Template>,
    /// As CloudFormation.
    pub cloudformation: Option<Template>,
}

impl Remediation {
    /// The commands and code, in the order in which they are shown.
    pub fn snippets(&self) -> impl Iterator<Item = (Tool, &Template)> {
        let all = [
            (Tool::AwsCli, &self.cli),
            (Tool::Kubectl, &self.kubectl),
            (Tool::Terraform, &self.terraform),
            (Tool::CloudFormation, &self.cloudformation),
        ];
        all.into_iter().filter_map(|(tool, template)| Some((tool, template.as_ref()?)))
    }
}

/// A parameter as the rule declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Param {
    /// As the rule writes it.
    pub name: Arc<str>,
    /// Its type as text, such as `list(string)`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it means; may be empty.
    pub description: String,
    /// Before bindings.
    pub default: serde_json::Value,
    #[serde(skip)]
    pub(super) ty: Type,
    /// Least value, where one is declared.
    pub min: Option<serde_json::Value>,
    /// Greatest value, where one is declared.
    pub max: Option<serde_json::Value>,
    #[serde(skip)]
    pub(super) range: (Option<Value>, Option<Value>),
}

/// The checked expressions.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) applies: Option<Ir>,
    pub(super) each: Option<Ir>,
    pub(super) fails: Ir,
    /// The causes that `fails` is made of, where the rule lists them.
    pub(super) causes: Vec<Cause>,
    pub(super) message: Ir,
    pub(super) evidence: Option<Ir>,
    pub(super) discriminator: Option<Ir>,
    pub(super) severity_when: Vec<Step>,
}

/// One of the causes for which a rule fails: when it is there, and what to say of it then.
#[derive(Clone)]
pub(super) struct Cause {
    pub(super) when: Ir,
    pub(super) because: Ir,
}

/// The rule's own texts, for the rule page and `explain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Expressions {
    /// When the rule concerns a subject; empty: always.
    pub applies: Option<String>,
    /// When it fails.
    #[serde(rename = "match")]
    pub fails: String,
    /// What a finding says.
    pub message: String,
    /// What its severity follows from, in the order in which it is asked; empty: always the rule's own.
    pub severity_when: Vec<SeverityWhen>,
}

/// One condition of `severity_when`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeverityWhen {
    /// The condition.
    pub when: String,
    /// The severity where it is true and none before it is.
    pub severity: Severity,
    /// What a finding says about it.
    pub because: String,
}

rolecall_iam::vocabulary! {
    /// What an embedded test expects.
    pub(super) enum Expect: "an expected result" {
        Fail = "fail",
        Pass = "pass",
        Unknown = "unknown",
        NotApplicable = "not_applicable",
    }
}

#[derive(Debug, Clone)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) expect: Expect,
    pub(super) message: Option<String>,
    pub(super) severity: Option<Severity>,
    pub(super) because: Option<String>,
    pub(super) subject: Value,
    pub(super) params: Vec<Value>,
    pub(super) now: DateTime<Utc>,
}

/// How an embedded test went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// The rule's id.
    pub rule: String,
    /// The test's name.
    pub name: String,
    /// The file.
    pub file: String,
    /// The test's line in it.
    pub line: usize,
    /// Whether the rule answered as expected.
    pub passed: bool,
    /// What was expected.
    pub expected: String,
    /// What the rule answered, with message or reasons.
    pub answered: String,
}

/// A rule, checked, with the bindings and exceptions that concern it.
pub struct Rule {
    pub(super) meta: Meta,
    pub(super) subject: SubjectKind,
    pub(super) params: Vec<Param>,
    pub(super) names: Vec<Arc<str>>,
    pub(super) program: Program,
    pub(super) expressions: Expressions,
    pub(super) part_of: Vec<String>,
    pub(super) tests: Vec<Test>,
    pub(super) digest: Digest,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) defaults: Arc<Settings>,
    /// From least to most specific.
    pub(super) bounds: Vec<Bound>,
    pub(super) exceptions: Vec<Arc<Exception>>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rule {}", self.meta.id)
    }
}

/// The two times that a judgement depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Of what date is what is known of the subject: what a rule calls `now`. Files of June are judged
    /// as of June, whenever they are imported.
    pub as_of: DateTime<Utc>,
    /// The time by the clock: exceptions begin and end by it.
    pub now: DateTime<Utc>,
}

impl From<DateTime<Utc>> for Times {
    /// What is known is of now.
    fn from(now: DateTime<Utc>) -> Self {
        Self { as_of: now, now }
    }
}

/// What a rule says about a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// At least one. Several only where the rule goes through a list: a `Fail` for each failing
    /// element, and an `Unknown` or `Error` beside them where an element could not be decided.
    pub outcomes: Vec<Outcome>,
    /// The rule's own, after bindings. A failure whose severity follows from facts carries it as
    /// [`crate::verdict::Graded`]; where a binding sets the severity none does.
    pub severity: Severity,
    /// In force, by name.
    pub params: Arc<BTreeMap<String, EffectiveParam>>,
    /// In force for this subject.
    pub exception: Option<ExceptionRef>,
}

impl Rule {
    /// The immutable slug.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.meta.id
    }

    /// What people read about it.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The id under which its findings are known: its own, or the oldest that it supersedes.
    #[must_use]
    pub fn root(&self) -> &str {
        self.meta.supersedes.last().map_or(&self.meta.id, String::as_str)
    }

    /// Ids of the rules under whose findings, about the same subject, this rule's findings are listed.
    #[must_use]
    pub fn part_of(&self) -> &[String] {
        &self.part_of
    }

    /// Whether an id names the rule: its own, or one that it supersedes.
    #[must_use]
    pub fn is_known_as(&self, id: &str) -> bool {
        self.meta.id == id || self.meta.supersedes.iter().any(|old| old == id)
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> SubjectKind {
        self.subject
    }

    /// Its parameters as declared.
    #[must_use]
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Its expressions as written.
    #[must_use]
    pub fn expressions(&self) -> &Expressions {
        &self.expressions
    }

    /// Digest of everything that decides what it says: the document without its tests.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// File and line.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Judges a subject. `None` where a binding switches the rule off for it.
    ///
    /// `ou_path` is the path of OU names of the subject's account, `/` for the root and for accounts
    /// without an organisation, and `None` where the organisation was not seen: then a rule that is
    /// tuned by OU says unknown.
    #[must_use]
    pub fn judge(
        &self,
        object: &Arc<dyn Object>,
        subject: &Subject,
        ou_path: Option<&str>,
        times: Times,
    ) -> Option<Judgement> {
        let place = Place::new(subject, ou_path);
        let value = Value::Object(Arc::clone(object));
        let (settings, outcomes) = match self.settings(&place) {
            Ok(settings) if !settings.enabled => return None,
            Ok(settings) => {
                let mut outcomes = self.decide(&value, &settings.values, times.as_of);
                if settings.severity_bound {
                    outcomes.iter_mut().for_each(Outcome::ungrade);
                }
                (settings, outcomes)
            }
            Err(why) => (Arc::clone(&self.defaults), vec![Outcome::Unknown { why: vec![why.into()] }]),
        };
        let exception = self.exceptions.iter().filter(|exception| exception.covers(subject, &place, times.now));
        let exception = exception.max_by_key(|exception| exception.shown.expires);
        Some(Judgement {
            outcomes,
            severity: settings.severity,
            params: Arc::clone(&settings.shown),
            exception: exception.map(|exception| exception.shown.clone()),
        })
    }

    /// Whether the rule is in force for a subject; unknown counts as in force.
    #[must_use]
    pub fn is_enabled(&self, subject: &Subject, ou_path: Option<&str>) -> bool {
        self.settings(&Place::new(subject, ou_path)).map_or(true, |settings| settings.enabled)
    }

    /// What is in force in a place, or why that cannot be said.
    fn settings(&self, place: &Place<'_>) -> Result<Arc<Settings>, String> {
        let mut taking = Vec::new();
        for bound in &self.bounds {
            match bound.select.takes(place) {
                Taken::Yes => taking.push(bound),
                Taken::No => {}
                Taken::NotSeen => {
                    return Err(format!("the account's OU was not seen, and {} depends on it", bound.origin));
                }
            }
        }
        if taking.is_empty() {
            return Ok(Arc::clone(&self.defaults));
        }
        Ok(Arc::new(self.defaults.under(&taking, &self.names)))
    }

    pub(super) fn decide(&self, subject: &Value, params: &[Value], now: DateTime<Utc>) -> Vec<Outcome> {
        let steps = Cell::new(MOST_STEPS);
        let now = Value::Timestamp(now);
        let cx = Context::new(params, &steps);
        let cx = cx.with(SUBJECT, subject);
        let cx = cx.with(NOW, &now);
        let error = |fault: &Fault| vec![Outcome::Error { message: fault.message() }];
        let mut doubt: Option<Reasons> = None;
        if let Some(applies) = &self.program.applies {
            match eval::eval(applies, &cx) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Unknown(why)) => doubt = Some(why),
                Ok(_) => return vec![Outcome::NotApplicable],
                Err(fault) => return error(&fault),
            }
        }
        let Some(each) = &self.program.each else {
            return vec![self.one(&cx, doubt.as_ref())];
        };
        let list = match eval::eval(each, &cx) {
            Ok(Value::List(list)) => list,
            Ok(Value::Unknown(why)) => return vec![unknown(&why, doubt.as_ref())],
            Ok(other) => return vec![Outcome::Error { message: format!("`each` gave {}", other.kind()) }],
            Err(fault) => return error(&fault),
        };
        let mut fails: Vec<Outcome> = Vec::new();
        let mut told: BTreeSet<Vec<String>> = BTreeSet::new();
        let mut unknowns = list.missing().cloned();
        let mut failed = None;
        for item in list.items() {
            match self.one(&cx.with(ELEMENT, item), doubt.as_ref()) {
                // Two elements that are one problem are one finding.
                Outcome::Fail { message, evidence, discriminator, graded } => {
                    if told.insert(discriminator.clone()) {
                        fails.push(Outcome::Fail { message, evidence, discriminator, graded });
                    }
                }
                Outcome::Unknown { why } => {
                    let why = Reasons::several(why);
                    unknowns = match (unknowns, why) {
                        (Some(a), Some(b)) => Some(a.and(&b)),
                        (a, b) => a.or(b),
                    };
                }
                Outcome::Error { message } => failed = failed.or(Some(message)),
                Outcome::Pass | Outcome::NotApplicable => {}
            }
        }
        fails.extend(unknowns.map(|why| Outcome::Unknown { why: why.to_vec() }));
        fails.extend(failed.map(|message| Outcome::Error { message }));
        if fails.is_empty() {
            fails.push(doubt.map_or(Outcome::Pass, |why| Outcome::Unknown { why: why.to_vec() }));
        }
        fails
    }

    /// One subject, or one element of `each`. `doubt`: why it is not known whether the rule applies.
    fn one(&self, cx: &Context<'_>, doubt: Option<&Reasons>) -> Outcome {
        match (eval::eval(&self.program.fails, cx), doubt) {
            (Ok(Value::Bool(true)), None) => self.fail(cx),
            (Ok(Value::Bool(false)), None) => Outcome::Pass,
            (Ok(Value::Unknown(why)), doubt) => unknown(&why, doubt),
            (Ok(Value::Bool(_)), Some(doubt)) => Outcome::Unknown { why: doubt.to_vec() },
            (Ok(other), _) => Outcome::Error { message: format!("`match` gave {}", other.kind()) },
            (Err(fault), _) => Outcome::Error { message: fault.message() },
        }
    }

    /// A failure with its texts. What they cannot show they leave out; the failure stands.
    fn fail(&self, cx: &Context<'_>) -> Outcome {
        let discriminator = match self.program.discriminator.as_ref().map(|ir| eval::eval(ir, cx)) {
            None => Vec::new(),
            Some(Ok(Value::List(list))) => {
                let parts: Option<Vec<String>> = list.items().iter().map(|v| v.as_str().map(str::to_owned)).collect();
                match (parts, list.missing()) {
                    (Some(parts), None) => parts,
                    (_, Some(why)) => return Outcome::Unknown { why: why.to_vec() },
                    (None, None) => {
                        let why = list
                            .items()
                            .iter()
                            .filter_map(|v| if let Value::Unknown(why) = v { Some(why.to_vec()) } else { None });
                        return Outcome::Unknown { why: why.flatten().collect() };
                    }
                }
            }
            Some(Ok(Value::Unknown(why))) => return Outcome::Unknown { why: why.to_vec() },
            Some(Ok(other)) => return Outcome::Error { message: format!("`discriminator` gave {}", other.kind()) },
            Some(Err(fault)) => return Outcome::Error { message: fault.message() },
        };
        // Severity and texts get steps of their own, so that a costly match cannot starve them.
        let steps = Cell::new(MOST_STEPS);
        let graded = severity::grade(&self.program.severity_when, self.meta.severity, &cx.afresh(&steps));
        let steps = Cell::new(MOST_STEPS);
        let cx = cx.afresh(&steps);
        let because = self.because(&cx);
        let cx = cx.showing();
        let cx = cx.with(BECAUSE, &because);
        // A message that needs something which is not known would say nothing, or something else.
        let message = match eval::eval(&self.program.message, &cx) {
            Ok(Value::Str(text)) => text.to_string(),
            _ => self.meta.title.clone(),
        };
        let evidence: Vec<Evidence> = match self.program.evidence.as_ref().map(|ir| eval::eval(ir, &cx)) {
            Some(Ok(Value::List(list))) => evidence::shown(list.items()),
            _ => Vec::new(),
        };
        Outcome::Fail { message, evidence, discriminator, graded }
    }

    /// What to say of the causes that are certainly there: those made the rule fail, whatever else is
    /// not known. Unknown where none of them can be put into words.
    fn because(&self, cx: &Context<'_>) -> Value {
        let certain = self.program.causes.iter().filter(|cause| eval::eval(&cause.when, cx) == Ok(Value::Bool(true)));
        let said = certain.filter_map(|cause| eval::eval(&cause.because, &cx.showing()).ok());
        let said: Vec<Value> = said.filter(|text| matches!(text, Value::Str(_))).collect();
        if said.is_empty() { Value::unknown("what decided cannot be put into words") } else { Value::list(said) }
    }

    /// Runs the embedded tests.
    pub(super) fn test(&self) -> impl Iterator<Item = TestResult> {
        self.tests.iter().map(|test| {
            let outcomes = self.decide(&test.subject, &test.params, test.now);
            let answer = summary(&outcomes);
            let expected = match outcomes.as_slice() {
                [Outcome::Pass] => test.expect == Expect::Pass,
                [Outcome::NotApplicable] => test.expect == Expect::NotApplicable,
                // A fact that the test forgot must not make it an unknown test.
                [Outcome::Unknown { why }] => {
                    test.expect == Expect::Unknown && !why.iter().any(|why| why.starts_with("the test does not state"))
                }
                [Outcome::Fail { .. }, rest @ ..] => {
                    test.expect == Expect::Fail && rest.iter().all(|o| matches!(o, Outcome::Fail { .. }))
                }
                _ => false,
            };
            let said = test.message.as_ref().is_none_or(|wanted| {
                outcomes.iter().any(|o| matches!(o, Outcome::Fail { message, .. } if message == wanted))
            });
            let graded = |outcome: &Outcome| {
                let Outcome::Fail { graded, .. } = outcome else { return false };
                let severity = graded.as_ref().map_or(self.meta.severity, |graded| graded.severity);
                let because = graded.as_ref().map(|graded| &graded.because);
                test.severity.is_none_or(|wanted| severity == wanted)
                    && test.because.as_ref().is_none_or(|wanted| because == Some(wanted))
            };
            let graded = (test.severity.is_none() && test.because.is_none()) || outcomes.iter().any(graded);
            let wanted = test.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            let severity = test.severity.map(|severity| format!(" [{}]", severity.as_str())).unwrap_or_default();
            let because = test.because.as_ref().map(|because| format!(" because {because}")).unwrap_or_default();
            TestResult {
                rule: self.meta.id.clone(),
                name: test.name.clone(),
                file: self.file.clone(),
                line: test.line,
                passed: expected && said && graded,
                expected: format!("{}{severity}{wanted}{because}", test.expect.as_str()),
                answered: answer,
            }
        })
    }
}

fn unknown(why: &Reasons, doubt: Option<&Reasons>) -> Outcome {
    Outcome::Unknown { why: doubt.map_or_else(|| why.to_vec(), |doubt| doubt.and(why).to_vec()) }
}

fn summary(outcomes: &[Outcome]) -> String {
    let parts: Vec<String> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Fail { message, graded: None, .. } => format!("fail: {message}"),
            Outcome::Fail { message, graded: Some(graded), .. } => {
                format!("fail [{}]: {message} because {}", graded.severity.as_str(), graded.because)
            }
            Outcome::Pass => "pass".to_owned(),
            Outcome::NotApplicable => "not_applicable".to_owned(),
            Outcome::Unknown { why } => format!("unknown: {}", why.join(", ")),
            Outcome::Error { message } => format!("error: {message}"),
        })
        .collect();
    parts.join("; ")
}
