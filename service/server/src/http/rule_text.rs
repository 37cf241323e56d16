//! Rules as people and programs read them: prose, expressions, parameters, source.
//!
//! The one place that takes a rule apart for the pages and the API. Refuses to judge anything.

use crate::app::App;
use rolecall_rules::{Rule, Severity, SubjectKind, Tool};
use rolecall_store::RuleResults;
use std::collections::BTreeMap;

/// A remedy that can be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemedyCode {
    pub(crate) id: String,
    pub(crate) label: &'static str,
    pub(crate) text: String,
}

impl RemedyCode {
    /// Code for a tool, under an id of its own on the page.
    pub(crate) fn new(id: String, tool: Tool, text: String) -> Self {
        Self { id, label: tool.label(), text }
    }
}

/// A parameter as the rule declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParamText {
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) about: String,
    pub(crate) default: String,
}

/// A rule, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleText {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) category: String,
    pub(crate) subject: SubjectKind,
    pub(crate) description: String,
    pub(crate) risk: String,
    pub(crate) applies: String,
    pub(crate) expression: String,
    pub(crate) message: String,
    pub(crate) params: Vec<ParamText>,
    pub(crate) remedy_text: String,
    pub(crate) remedy_code: Vec<RemedyCode>,
    pub(crate) references: Vec<String>,
    pub(crate) origin: String,
    pub(crate) digest: String,
}

impl RuleText {
    /// Whether the rule says what to do.
    pub(crate) fn has_remedy(&self) -> bool {
        !self.remedy_text.is_empty() || !self.remedy_code.is_empty() || !self.references.is_empty()
    }
}

impl From<&Rule> for RuleText {
    fn from(rule: &Rule) -> Self {
        let meta = rule.meta();
        let remedy = &meta.remediation;
        // No finding is meant here, so that every value is a variable.
        let code = remedy.snippets().map(|(tool, template)| {
            RemedyCode::new(format!("remedy-{}", tool.as_str()), tool, template.fill(tool, &BTreeMap::new()))
        });
        let param = |p: &rolecall_rules::Param| ParamText {
            name: p.name.to_string(),
            type_name: p.type_name.clone(),
            about: p.description.clone(),
            default: p.default.to_string(),
        };
        Self {
            id: meta.id.clone(),
            title: meta.title.clone(),
            severity: meta.severity,
            category: meta.category.clone(),
            subject: rule.subject(),
            description: meta.description.trim().to_owned(),
            risk: meta.risk.trim().to_owned(),
            applies: rule.expressions().applies.clone().unwrap_or_default().trim().to_owned(),
            expression: rule.expressions().fails.trim().to_owned(),
            message: rule.expressions().message.trim().to_owned(),
            params: rule.params().iter().map(param).collect(),
            remedy_text: remedy.text.trim().to_owned(),
            remedy_code: code.collect(),
            references: meta.references.clone(),
            origin: rule.origin(),
            digest: rule.digest().to_string(),
        }
    }
}

/// Every rule, by id.
pub(crate) fn rules(app: &App) -> Vec<RuleText> {
    let mut rules: Vec<RuleText> = app.rules.set.rules().iter().map(|rule| RuleText::from(rule.as_ref())).collect();
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    rules
}

/// Orders of rules, as `sort` names them.
pub(crate) const SORTS: &[&str] = &["id", "severity", "fail", "unknown", "title"];

/// The key of a rule in an order: keys rise down the list.
pub(crate) fn key(sort: &str, results: &BTreeMap<String, RuleResults>) -> impl Fn(&RuleText) -> String {
    move |rule| {
        let rank = Severity::WORST_FIRST.iter().position(|severity| *severity == rule.severity).unwrap_or_default();
        let most = |of: fn(&RuleResults) -> u64| u64::MAX.saturating_sub(results.get(&rule.id).map_or(0, of));
        let (title, id) = (&rule.title, &rule.id);
        match sort {
            "severity" => format!("{rank}/{title}/{id}"),
            "fail" => format!("{:020}/{rank}/{title}/{id}", most(|it| it.fail)),
            "unknown" => format!("{:020}/{rank}/{title}/{id}", most(|it| it.unknown)),
            "title" => format!("{title}/{id}"),
            _ => id.clone(),
        }
    }
}

/// One rule, also by an id that it took the place of.
pub(crate) fn rule(app: &App, id: &str) -> Option<RuleText> {
    app.rules.set.rule(id).map(|rule| RuleText::from(rule.as_ref()))
}

/// The titles of all rules, by id.
pub(crate) fn titles(app: &App) -> BTreeMap<String, String> {
    app.rules.set.rules().iter().map(|rule| (rule.meta().id.clone(), rule.meta().title.clone())).collect()
}

/// The file that a rule stands in.
pub(crate) fn source(app: &App, rule: &RuleText) -> Option<String> {
    let file = rule.origin.rsplit_once(':').map_or(rule.origin.as_str(), |(file, _)| file);
    app.rules.sources.iter().find(|source| source.path == file).map(|source| source.text.clone())
}
