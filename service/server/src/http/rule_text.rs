//! Rules as people and programs read them: prose, expressions, parameters, source.
//!
//! The one place that takes a rule apart for the pages and the API. Refuses to judge anything.

use crate::app::App;
use rolecall_rules::{Rule, Severity, SubjectKind};
use std::collections::BTreeMap;

/// A remedy that can be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemedyCode {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) text: String,
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
        let code = [
            ("remedy-cli", "AWS CLI", &remedy.cli),
            ("remedy-terraform", "Terraform", &remedy.terraform),
            ("remedy-cloudformation", "CloudFormation", &remedy.cloudformation),
        ];
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
            remedy_code: code
                .into_iter()
                .filter_map(|(id, label, text)| {
                    Some(RemedyCode { id, label, text: text.as_deref()?.trim().to_owned() })
                })
                .collect(),
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
