//! Bindings and exceptions: read, and laid over the rules that they select.
//!
//! Refuses to know what the rules ask.

use super::binding::{Bound, Exception, Select};
use super::decode::Doc;
use super::loaded::Loaded;
use super::rule::Rule;
use super::schema::Schema;
use super::text::{self, Glob, OuPattern};
use super::yaml::{At, Kind, LoadError, Node, Source};
use crate::verdict::{ExceptionRef, Severity, SubjectKind};
use chrono::TimeDelta;
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const LONGEST_EXCEPTION_DAYS: i64 = 365;

/// A binding before it is spread over the rules.
pub(super) struct RawBinding<'a> {
    source: Source<'a>,
    pub(super) name: Arc<str>,
    origin: Arc<str>,
    select: Arc<Select>,
    rules: Vec<(At, String)>,
    params: Vec<(String, At, Node)>,
    severity: Option<Severity>,
    enabled: Option<bool>,
    locked: bool,
    at: At,
}

pub(super) struct RawException<'a> {
    source: Source<'a>,
    rules: Vec<(At, String)>,
    at: At,
    pub(super) exception: Exception,
}

/// The rules that a binding or exception names.
fn named(source: Source<'_>, wanted: &[(At, String)], rules: &[Rule], errors: &mut Vec<LoadError>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for (at, name) in wanted {
        let found: Vec<&Rule> = match (name.as_str(), name.strip_prefix("category:")) {
            ("*", _) => rules.iter().collect(),
            (_, Some(category)) => rules.iter().filter(|rule| rule.meta.category == category).collect(),
            (id, None) => rules.iter().filter(|rule| rule.meta.id == id).collect(),
        };
        if found.is_empty() && name != "*" {
            let near = match name.strip_prefix("category:") {
                Some(category) => text::closest(category, rules.iter().map(|rule| rule.meta.category.as_str()))
                    .map(|near| format!("category:{near}")),
                None => text::closest(name, rules.iter().map(|rule| rule.meta.id.as_str())).map(str::to_owned),
            };
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let message = format!("no rule is selected by `{name}`{hint}");
            errors.push(source.error(*at, "spec.rules", message, "name a rule id, `category:…` or `*`"));
        }
        ids.extend(found.into_iter().map(|rule| rule.meta.id.clone()));
    }
    ids
}

/// A selector by cluster or namespace never takes a subject that has neither: a role is in none.
fn placeable(source: Source<'_>, at: At, select: &Select, ids: &BTreeSet<String>, loaded: &mut Loaded) {
    let kinds: BTreeSet<SubjectKind> =
        loaded.rules.iter().filter(|rule| ids.contains(&rule.meta.id)).map(|rule| rule.subject).collect();
    let has = |places: &[SubjectKind]| kinds.is_empty() || kinds.iter().any(|kind| places.contains(kind));
    let in_namespace = [SubjectKind::Association, SubjectKind::Session, SubjectKind::Change];
    let in_cluster = [SubjectKind::Association, SubjectKind::Session, SubjectKind::Cluster, SubjectKind::Change];
    let wrong = if !select.namespaces.is_empty() && !has(&in_namespace) {
        "namespaces"
    } else if !select.clusters.is_empty() && !has(&in_cluster) {
        "clusters"
    } else {
        return;
    };
    let list: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let message = format!("it selects by {wrong}, and the rules are about what is in none: {}", list.join(", "));
    let remedy = "select by ou or accounts, or tune a rule about associations";
    loaded.errors.push(source.error(at, &format!("spec.select.{wrong}"), message, remedy));
}

pub(super) fn spread(binding: &RawBinding<'_>, schema: &Schema, loaded: &mut Loaded) {
    let ids = named(binding.source, &binding.rules, &loaded.rules, &mut loaded.errors);
    placeable(binding.source, binding.at, &binding.select, &ids, loaded);
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for rule in loaded.rules.iter_mut().filter(|rule| ids.contains(&rule.meta.id)) {
        let mut params = Vec::new();
        for (name, _, node) in &binding.params {
            let Some((index, param)) = rule.params.iter().enumerate().find(|(_, p)| p.name.as_ref() == name) else {
                continue;
            };
            used.insert(name);
            let mut doc = Doc { source: binding.source, schema, errors: &mut loaded.errors };
            let before = doc.errors.len();
            let value = doc.param_value(node, param, &format!("spec.params.{name}"));
            if doc.errors.len() == before {
                params.push((index, value, node.to_json()));
            }
        }
        known.extend(rule.names.iter().map(ToString::to_string));
        rule.bounds.push(Bound {
            name: Arc::clone(&binding.name),
            origin: Arc::clone(&binding.origin),
            select: Arc::clone(&binding.select),
            severity: binding.severity,
            enabled: binding.enabled,
            locked: binding.locked,
            params,
        });
        rule.bounds.sort_by_key(|bound| bound.select.rank());
    }
    for (name, at, _) in binding.params.iter().filter(|(name, _, _)| !used.contains(name.as_str())) {
        let hint = text::closest(name, known.iter().map(String::as_str));
        let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let message = format!("no selected rule has a parameter `{name}`{hint}");
        loaded.errors.push(binding.source.error(
            *at,
            "spec.params",
            message,
            "remove it, or select the rule that has it",
        ));
    }
}

/// Two bindings of equal rank must not disagree, and none may change what a broader one locked.
pub(super) fn agree(bindings: &[RawBinding<'_>], loaded: &mut Loaded) {
    let places: BTreeMap<&str, (Source<'_>, At)> =
        bindings.iter().map(|binding| (binding.name.as_ref(), (binding.source, binding.at))).collect();
    let mut reported = BTreeSet::new();
    for rule in &mut loaded.rules {
        let mut refused: BTreeSet<Arc<str>> = BTreeSet::new();
        for (index, a) in rule.bounds.iter().enumerate() {
            for b in rule.bounds.iter().skip(index + 1) {
                let equal = a.select.rank() == b.select.rank();
                if !(equal || a.locked) || !a.select.overlaps(&b.select) {
                    continue;
                }
                let Some(key) = a.disagreement(b, &rule.names) else { continue };
                refused.insert(Arc::clone(&b.name));
                if equal {
                    refused.insert(Arc::clone(&a.name));
                }
                let (message, remedy) = if equal {
                    (
                        format!(
                            "disagrees with {} on `{key}` of rule `{}`, and neither is more specific",
                            a.origin, rule.meta.id
                        ),
                        "let the two select different places, or make one more specific",
                    )
                } else {
                    (
                        format!("changes `{key}` of rule `{}`, which {} locks", rule.meta.id, a.origin),
                        "leave it out, or unlock it there",
                    )
                };
                if let Some((source, at)) = places.get(b.name.as_ref())
                    && reported.insert((Arc::clone(&a.name), Arc::clone(&b.name), key.clone()))
                {
                    loaded.errors.push(source.error(*at, &format!("spec.{key}"), message, remedy));
                }
            }
        }
        rule.bounds.retain(|bound| !refused.contains(&bound.name));
    }
}

pub(super) fn excuse(raw: RawException<'_>, loaded: &mut Loaded) {
    let ids = named(raw.source, &raw.rules, &loaded.rules, &mut loaded.errors);
    placeable(raw.source, raw.at, &raw.exception.select, &ids, loaded);
    let exception = Arc::new(Exception { rules: ids.iter().cloned().collect(), ..raw.exception });
    for rule in loaded.rules.iter_mut().filter(|rule| ids.contains(&rule.meta.id)) {
        rule.exceptions.push(Arc::clone(&exception));
    }
    loaded.exceptions.push(exception);
}

impl<'a> Doc<'a, '_> {
    fn select(&mut self, node: Option<&Node>, field: &str) -> Select {
        self.select_and(node, field, &[])
    }

    /// A selector that has further fields, which are read by whoever knows them.
    pub(super) fn select_and(&mut self, node: Option<&Node>, field: &str, more: &[&str]) -> Select {
        let Some(node) = node else { return Select::default() };
        if !self.map(node, field, &[&["ou", "accounts", "clusters", "namespaces"], more].concat(), &[]) {
            return Select::default();
        }
        let ou_field = format!("{field}.ou");
        let ou = self.text(node.get("ou"), &ou_field).and_then(|text| match OuPattern::parse(&text) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                let at = node.get("ou").map_or(node.at, |node| node.at);
                self.wrong(at, &ou_field, why, "");
                None
            }
        });
        let account_field = format!("{field}.accounts");
        let mut accounts = Vec::new();
        for (at, text) in self.texts(node.get("accounts"), &account_field) {
            match text.parse::<AccountId>() {
                Ok(account) => accounts.push(account),
                Err(_) => {
                    self.wrong(at, &account_field, format!("`{text}` is not an account id"), "write its twelve digits");
                }
            }
        }
        let mut globs = |key: &str| {
            let all = self.texts(node.get(key), &format!("{field}.{key}"));
            all.into_iter().map(|(_, text)| Glob::new(&text)).collect()
        };
        Select { ou, accounts, clusters: globs("clusters"), namespaces: globs("namespaces") }
    }

    fn name(&mut self, node: &Node) -> Option<String> {
        let metadata = node.get("metadata")?;
        self.map(metadata, "metadata", &["name"], &["name"]);
        self.slug(metadata.get("name"), "metadata.name")
    }

    fn wanted_rules(&mut self, spec: &Node) -> Vec<(At, String)> {
        let rules = self.texts(spec.get("rules"), "spec.rules");
        if let Some(node) = spec.get("rules")
            && rules.is_empty()
        {
            self.wrong(node.at, "spec.rules", "no rule is named", "name rule ids, `category:…` or `*`");
        }
        rules
    }

    pub(super) fn binding(&mut self, node: &Node) -> Option<RawBinding<'a>> {
        self.map(node, "", &["apiVersion", "kind", "metadata", "spec"], &["metadata", "spec"]);
        let name = self.name(node);
        let spec = node.get("spec")?;
        if !self.map(spec, "spec", &["rules", "select", "params", "severity", "enabled", "locked"], &["rules"]) {
            return None;
        }
        let rules = self.wanted_rules(spec);
        let select = self.select(spec.get("select"), "spec.select");
        let params = match spec.get("params").map(|node| (&node.kind, node.at)) {
            None => Vec::new(),
            Some((Kind::Map(entries), _)) => entries.clone(),
            Some((other, at)) => {
                let message = format!("a map is needed, {} is given", other.name());
                self.wrong(at, "spec.params", message, "write it as in `limit: 3`");
                Vec::new()
            }
        };
        let severity = self.severity(spec.get("severity"), "spec.severity");
        let enabled = self.flag(spec.get("enabled"), "spec.enabled");
        let locked = self.flag(spec.get("locked"), "spec.locked").unwrap_or(false);
        if params.is_empty() && severity.is_none() && enabled.is_none() {
            self.wrong(spec.at, "spec", "the binding changes nothing", "give params, severity or enabled");
        }
        let name: Arc<str> = name?.into();
        let origin = format!("binding `{name}` ({}:{})", self.source.path, self.line(node.at));
        Some(RawBinding {
            source: self.source,
            name,
            origin: origin.into(),
            select: Arc::new(select),
            rules,
            params,
            severity,
            enabled,
            locked,
            at: spec.at,
        })
    }

    pub(super) fn exception(&mut self, node: &Node) -> Option<RawException<'a>> {
        self.map(node, "", &["apiVersion", "kind", "metadata", "spec"], &["metadata", "spec"]);
        let name = self.name(node);
        let spec = node.get("spec")?;
        let known = ["rules", "select", "subject", "owner", "reason", "ticket", "since", "expires"];
        if !self.map(spec, "spec", &known, &["rules", "owner", "reason", "since", "expires"]) {
            return None;
        }
        let rules = self.wanted_rules(spec);
        let select = self.select(spec.get("select"), "spec.select");
        let subject = self.text(spec.get("subject"), "spec.subject").map(|text| Glob::new(&text));
        let owner = self.full_text(spec.get("owner"), "spec.owner");
        let reason = self.full_text(spec.get("reason"), "spec.reason");
        let ticket = self.text(spec.get("ticket"), "spec.ticket");
        let since = self.moment(spec.get("since"), "spec.since");
        let expires = self.moment(spec.get("expires"), "spec.expires");
        let (since, expires) = (since?, expires?);
        let at = spec.get("expires").map_or(spec.at, |node| node.at);
        if expires <= since {
            self.wrong(at, "spec.expires", "the exception ends before it begins", "give a later date");
        }
        if expires.signed_duration_since(since) > TimeDelta::days(LONGEST_EXCEPTION_DAYS) {
            let message = format!("the exception lasts more than {LONGEST_EXCEPTION_DAYS} days");
            self.wrong(at, "spec.expires", message, "give an earlier date, and renew it when it ends");
        }
        let origin = format!("{}:{}", self.source.path, self.line(node.at));
        let shown = ExceptionRef { name: name?, owner: owner?, reason: reason?, ticket, expires, origin };
        let exception = Exception { rules: Vec::new(), select, subject, since, shown };
        Some(RawException { source: self.source, rules, at: spec.at, exception })
    }
}
