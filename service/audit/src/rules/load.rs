//! From policy files to checked rules: every mistake of every file is named at once.
//!
//! Unknown fields, duplicate ids, types that do not fit, bindings that disagree: all are errors here,
//! so that judging has none. Refuses to know where files lie.

use super::binding::{Bound, Exception, Select, Settings};
use super::check::{self, Scope};
use super::fixture::{self, Reader};
use super::ir::Ir;
use super::rule::{Expect, Expressions, Meta, Param, Program, Remediation, Rule, Test};
use super::schema::{SUBJECTS, Schema, Type};
use super::text::{self, Glob, OuPattern};
use super::value::Value;
use super::yaml::{self, At, Kind, LoadError, Node, Source, SourceFile};
use crate::finding::{EffectiveParam, ExceptionRef, Severity, SubjectKind};
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_iam::{AccountId, Digest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const API_VERSION: &str = "rolecall/v1";
const MOST_RULES: usize = 5000;
const LONGEST_EXCEPTION_DAYS: i64 = 365;
/// The moment at which embedded tests run that state none.
const TEST_NOW: &str = "2026-01-01";

const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

/// What was read.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) rules: Vec<Rule>,
    pub(super) exceptions: Vec<Arc<Exception>>,
    /// Digests of bindings and exceptions.
    pub(super) digests: Vec<Digest>,
    pub(super) errors: Vec<LoadError>,
}

/// A binding before it is spread over the rules.
struct RawBinding<'a> {
    source: Source<'a>,
    name: Arc<str>,
    origin: Arc<str>,
    select: Arc<Select>,
    rules: Vec<(At, String)>,
    params: Vec<(String, At, Node)>,
    severity: Option<Severity>,
    enabled: Option<bool>,
    locked: bool,
    at: At,
}

struct RawException<'a> {
    source: Source<'a>,
    rules: Vec<(At, String)>,
    exception: Exception,
}

/// Reads all files.
pub(super) fn load(files: &[SourceFile], schema: &Schema) -> Loaded {
    let mut loaded = Loaded::default();
    let mut bindings = Vec::new();
    let mut exceptions = Vec::new();
    let mut names: BTreeMap<(&str, String), String> = BTreeMap::new();
    for file in files {
        let source = Source { path: &file.path, text: &file.text };
        let nodes = yaml::documents(source, &mut loaded.errors);
        for node in nodes {
            let mut doc = Doc { source, schema, errors: &mut loaded.errors };
            let Some(kind) = doc.kind(&node) else { continue };
            let before = doc.errors.len();
            match kind {
                "Rule" => {
                    let rule = doc.rule(&node);
                    let clean = doc.errors.len() == before;
                    if let Some(rule) = rule
                        && doc.unique(&mut names, "rule", &rule.meta.id, &node, "metadata.id")
                        && clean
                    {
                        loaded.rules.push(rule);
                    }
                }
                "Binding" => {
                    let digest = Digest::of(node.to_json().to_string().as_bytes());
                    let binding = doc.binding(&node);
                    let clean = doc.errors.len() == before;
                    if let Some(binding) = binding
                        && doc.unique(&mut names, "binding", &binding.name, &node, "metadata.name")
                        && clean
                    {
                        bindings.push(binding);
                        loaded.digests.push(digest);
                    }
                }
                _ => {
                    let digest = Digest::of(node.to_json().to_string().as_bytes());
                    let exception = doc.exception(&node);
                    let clean = doc.errors.len() == before;
                    if let Some(exception) = exception
                        && doc.unique(&mut names, "exception", &exception.exception.shown.name, &node, "metadata.name")
                        && clean
                    {
                        exceptions.push(exception);
                        loaded.digests.push(digest);
                    }
                }
            }
        }
    }
    if loaded.rules.len() > MOST_RULES {
        let message = format!("there are {} rules; at most {MOST_RULES} are read", loaded.rules.len());
        loaded.errors.push(LoadError {
            file: String::new(),
            line: 1,
            column: 1,
            field: String::new(),
            message,
            remedy: "merge rules that differ in parameters only".to_owned(),
        });
        loaded.rules.truncate(MOST_RULES);
    }
    loaded.rules.sort_by(|a, b| a.meta.id.cmp(&b.meta.id));
    supersessions(&mut loaded);
    for binding in &bindings {
        spread(binding, schema, &mut loaded);
    }
    agree(&bindings, &mut loaded);
    for raw in exceptions {
        excuse(raw, &mut loaded);
    }
    loaded.errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    loaded.errors.dedup();
    loaded
}

/// A rule must not live beside one that it took the place of.
fn supersessions(loaded: &mut Loaded) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    let mut errors = Vec::new();
    for rule in &loaded.rules {
        for old in &rule.meta.supersedes {
            let alive = loaded.rules.iter().any(|other| other.meta.id == *old);
            let twice = taken.insert(old, &rule.meta.id);
            let message = match (alive, twice) {
                (true, _) => format!("`{old}` is superseded and still there"),
                (_, Some(other)) => format!("`{old}` is superseded by `{other}` as well"),
                _ => continue,
            };
            errors.push(LoadError {
                file: rule.file.clone(),
                line: rule.line,
                column: 1,
                field: "metadata.supersedes".to_owned(),
                message,
                remedy: "remove one of the two".to_owned(),
            });
        }
    }
    loaded.errors.extend(errors);
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
                Some(category) => text::nearest(category, rules.iter().map(|rule| rule.meta.category.as_str()))
                    .map(|near| format!("category:{near}")),
                None => text::nearest(name, rules.iter().map(|rule| rule.meta.id.as_str())).map(str::to_owned),
            };
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let message = format!("no rule is selected by `{name}`{hint}");
            errors.push(source.error(*at, "spec.rules", message, "name a rule id, `category:…` or `*`"));
        }
        ids.extend(found.into_iter().map(|rule| rule.meta.id.clone()));
    }
    ids
}

fn spread(binding: &RawBinding<'_>, schema: &Schema, loaded: &mut Loaded) {
    let ids = named(binding.source, &binding.rules, &loaded.rules, &mut loaded.errors);
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
        let hint = text::nearest(name, known.iter().map(String::as_str));
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
fn agree(bindings: &[RawBinding<'_>], loaded: &mut Loaded) {
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

fn excuse(raw: RawException<'_>, loaded: &mut Loaded) {
    let ids = named(raw.source, &raw.rules, &loaded.rules, &mut loaded.errors);
    let exception = Arc::new(Exception { rules: ids.iter().cloned().collect(), ..raw.exception });
    for rule in loaded.rules.iter_mut().filter(|rule| ids.contains(&rule.meta.id)) {
        rule.exceptions.push(Arc::clone(&exception));
    }
    loaded.exceptions.push(exception);
}

/// One document being read.
struct Doc<'a, 'e> {
    source: Source<'a>,
    schema: &'e Schema,
    errors: &'e mut Vec<LoadError>,
}

impl<'a> Doc<'a, '_> {
    fn wrong(&mut self, at: At, field: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(self.source.error(at, field, message, remedy));
    }

    fn unique(
        &mut self,
        names: &mut BTreeMap<(&'static str, String), String>,
        what: &'static str,
        name: &str,
        node: &Node,
        field: &str,
    ) -> bool {
        let (line, _) = self.source.position(node.at.start);
        let here = format!("{}:{line}", self.source.path);
        match names.get(&(what, name.to_owned())) {
            Some(first) => {
                let message = format!("there is a {what} `{name}` already, at {first}");
                self.wrong(node.at, field, message, "choose another name, or remove one of the two");
                false
            }
            None => {
                names.insert((what, name.to_owned()), here);
                true
            }
        }
    }

    /// Checks the keys of a map: all known, all that are needed there.
    fn map(&mut self, node: &Node, field: &str, known: &[&str], needed: &[&str]) -> bool {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("a map is needed, {} is given", node.kind.name());
            self.wrong(node.at, field, message, format!("write its fields: {}", known.join(", ")));
            return false;
        };
        for (key, at, _) in entries {
            if !known.contains(&key.as_str()) {
                let hint = text::nearest(key, known.iter().copied());
                let (hint, remedy) = match hint {
                    Some(near) => (format!("; did you mean `{near}`?"), format!("write `{near}`")),
                    None => (String::new(), format!("known are: {}", known.join(", "))),
                };
                self.wrong(*at, field, format!("no field `{key}` is known here{hint}"), remedy);
            }
        }
        for key in needed.iter().filter(|key| node.get(key).is_none()) {
            let inner = if field.is_empty() { (*key).to_owned() } else { format!("{field}.{key}") };
            self.wrong(node.at, &inner, format!("`{key}` is missing"), "add it");
        }
        true
    }

    fn kind(&mut self, node: &Node) -> Option<&'static str> {
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!("a document is a map with apiVersion and kind; {} is given", node.kind.name());
            self.wrong(node.at, "", message, "see policies/README.md");
            return None;
        }
        let version = node.get("apiVersion");
        if version.and_then(Node::text) != Some(API_VERSION) {
            let at = version.map_or(node.at, |node| node.at);
            self.wrong(
                at,
                "apiVersion",
                format!("`{API_VERSION}` is needed"),
                format!("write `apiVersion: {API_VERSION}`"),
            );
            return None;
        }
        let kind = node.get("kind");
        let known = ["Rule", "Binding", "Exception"];
        let found = kind.and_then(Node::text).and_then(|text| known.into_iter().find(|known| *known == text));
        if found.is_none() {
            let at = kind.map_or(node.at, |node| node.at);
            self.wrong(at, "kind", "`Rule`, `Binding` or `Exception` is needed", "write one of the three");
        }
        found
    }

    /// A text; numbers are taken as they are written.
    fn text(&mut self, node: Option<&Node>, field: &str) -> Option<String> {
        let node = node?;
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Int(_) | Kind::Double(_) => Some(self.source.raw(node.at).to_owned()),
            other => {
                self.wrong(node.at, field, format!("text is needed, {} is given", other.name()), "write text");
                None
            }
        }
    }

    fn full_text(&mut self, node: Option<&Node>, field: &str) -> Option<String> {
        let text = self.text(node, field)?;
        if text.trim().is_empty() {
            let at = node.map_or_else(At::default, |node| node.at);
            self.wrong(at, field, "there is no text", "say it in a few words");
            return None;
        }
        Some(text)
    }

    fn texts(&mut self, node: Option<&Node>, field: &str) -> Vec<(At, String)> {
        let Some(node) = node else { return Vec::new() };
        let Kind::List(items) = &node.kind else {
            let message = format!("a list is needed, {} is given", node.kind.name());
            self.wrong(node.at, field, message, "write it in brackets, as in `[a, b]`");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.text(Some(item), field).map(|text| (item.at, text))).collect()
    }

    fn flag(&mut self, node: Option<&Node>, field: &str) -> Option<bool> {
        match node.map(|node| (&node.kind, node.at)) {
            None => None,
            Some((Kind::Bool(b), _)) => Some(*b),
            Some((other, at)) => {
                let message = format!("true or false is needed, {} is given", other.name());
                self.wrong(at, field, message, "write `true` or `false`");
                None
            }
        }
    }

    fn choice<T>(
        &mut self,
        node: Option<&Node>,
        field: &str,
        all: &[&str],
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(node, field)?;
        let found = read(&text);
        if found.is_none() {
            let at = node.map_or_else(At::default, |node| node.at);
            let hint = text::nearest(&text, all.iter().copied());
            let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            self.wrong(at, field, format!("`{text}` is not known{hint}"), format!("known are: {}", all.join(", ")));
        }
        found
    }

    fn severity(&mut self, node: Option<&Node>, field: &str) -> Option<Severity> {
        self.choice(node, field, &SEVERITIES, |text| text.parse().ok())
    }

    /// A kebab-case slug.
    fn slug(&mut self, node: Option<&Node>, field: &str) -> Option<String> {
        let text = self.text(node, field)?;
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let fits = text.len() <= 64 && text.split('-').all(part) && text.starts_with(|c: char| c.is_ascii_lowercase());
        if fits {
            return Some(text);
        }
        let at = node.map_or_else(At::default, |node| node.at);
        let message = format!("`{text}` is not a slug of lower-case letters, digits and single hyphens, up to 64");
        self.wrong(at, field, message, "write it as in `role-shared-across-namespaces`");
        None
    }

    fn moment(&mut self, node: Option<&Node>, field: &str) -> Option<DateTime<Utc>> {
        let text = self.text(node, field)?;
        match fixture::read_timestamp(&text) {
            Ok(moment) => Some(moment),
            Err(why) => {
                let at = node.map_or_else(At::default, |node| node.at);
                self.wrong(at, field, why, "");
                None
            }
        }
    }

    fn values(&mut self) -> Reader<'_> {
        Reader { source: self.source, schema: self.schema, errors: self.errors }
    }

    fn line(&self, at: At) -> usize {
        self.source.position(at.start).0
    }

    /// A parameter's value: of its type, known, and in its range.
    fn param_value(&mut self, node: &Node, param: &Param, field: &str) -> Value {
        let value = self.values().value(node, &param.ty, field);
        let beyond = |limit: &Option<Value>, wrong: std::cmp::Ordering| match (&value, limit) {
            (Value::Int(a), Some(Value::Int(b))) => a.cmp(b) == wrong,
            (Value::Double(a), Some(Value::Double(b))) => a.partial_cmp(b) == Some(wrong),
            (Value::Duration(a), Some(Value::Duration(b))) => a.cmp(b) == wrong,
            _ => false,
        };
        let (least, most) =
            (beyond(&param.range.0, std::cmp::Ordering::Less), beyond(&param.range.1, std::cmp::Ordering::Greater));
        if least || most {
            let limit = if least { &param.min } else { &param.max };
            let limit = limit.as_ref().map(ToString::to_string).unwrap_or_default();
            let word = if least { "less" } else { "more" };
            let message = format!("{} is {word} than {limit}, the limit of `{}`", node.to_json(), param.name);
            self.wrong(node.at, field, message, "choose a value within the limits");
        }
        value
    }

    fn params(&mut self, node: Option<&Node>) -> Vec<Param> {
        let Some(node) = node else { return Vec::new() };
        let Kind::Map(entries) = &node.kind else {
            let message = format!("a map is needed, {} is given", node.kind.name());
            self.wrong(node.at, "spec.params", message, "write it as in `limit: {type: int, default: 1}`");
            return Vec::new();
        };
        let mut params = Vec::new();
        for (name, at, node) in entries {
            let field = format!("spec.params.{name}");
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
                self.wrong(
                    *at,
                    &field,
                    format!("`{name}` is not a name in snake case"),
                    "write it as in `max_namespaces`",
                );
            }
            if !self.map(node, &field, &["type", "default", "min", "max", "description"], &["type", "default"]) {
                continue;
            }
            let Some(type_name) = self.text(node.get("type"), &format!("{field}.type")) else { continue };
            let Some(ty) = param_type(&type_name) else {
                let at = node.get("type").map_or(*at, |node| node.at);
                let message = format!("`{type_name}` is not a type for parameters");
                let remedy = "bool, int, double, string, duration, timestamp, regex, list(…) and map(…) are";
                self.wrong(at, &format!("{field}.type"), message, remedy);
                continue;
            };
            let mut limit = |key: &str| {
                let limit = node.get(key)?;
                let field = format!("{field}.{key}");
                if matches!(ty, Type::Int | Type::Double | Type::Duration) {
                    Some(self.values().value(limit, &ty, &field))
                } else {
                    self.wrong(limit.at, &field, format!("{type_name} has no {key}"), "leave it out");
                    None
                }
            };
            let range = (limit("min"), limit("max"));
            let mut param = Param {
                name: name.as_str().into(),
                type_name,
                description: self.text(node.get("description"), &format!("{field}.description")).unwrap_or_default(),
                default: serde_json::Value::Null,
                ty,
                min: node.get("min").map(Node::to_json),
                max: node.get("max").map(Node::to_json),
                range,
            };
            if let Some(default) = node.get("default") {
                self.param_value(default, &param, &format!("{field}.default"));
                param.default = default.to_json();
            }
            params.push(param);
        }
        params
    }

    /// An expression of a type, with the parameters that it uses added to `used`.
    fn expression(
        &mut self,
        node: Option<&Node>,
        field: &str,
        scope: &Scope<'_>,
        wanted: Option<&Type>,
        used: &mut BTreeSet<usize>,
    ) -> Option<(Ir, Type)> {
        let node = node?;
        let Some(text) = node.text() else {
            let message = format!("an expression is needed, {} is given", node.kind.name());
            self.wrong(node.at, field, message, "write the expression as text, in quotes or after `>-`");
            return None;
        };
        let checked = match check::check(text, scope) {
            Ok(checked) => checked,
            Err(mistakes) => {
                for mistake in mistakes {
                    self.wrong(self.source.inside(node, mistake.at), field, mistake.message, mistake.remedy);
                }
                return None;
            }
        };
        used.extend(&checked.params);
        if let Some(wanted) = wanted
            && !checked.ty.fits(wanted)
        {
            let message = format!("the expression gives {}, but {wanted} is needed", checked.ty);
            self.wrong(self.source.inside(node, 0), field, message, "change the expression");
            return None;
        }
        Some((checked.ir, checked.ty))
    }

    fn meta(&mut self, node: &Node) -> Option<Meta> {
        let known = [
            "id",
            "title",
            "severity",
            "category",
            "description",
            "risk",
            "remediation",
            "references",
            "since",
            "supersedes",
        ];
        if !self.map(
            node,
            "metadata",
            &known,
            &["id", "title", "severity", "category", "description", "risk", "remediation"],
        ) {
            return None;
        }
        let remediation = match node.get("remediation") {
            Some(node)
                if self.map(
                    node,
                    "metadata.remediation",
                    &["text", "cli", "terraform", "cloudformation"],
                    &["text"],
                ) =>
            {
                Remediation {
                    text: self.full_text(node.get("text"), "metadata.remediation.text").unwrap_or_default(),
                    cli: self.text(node.get("cli"), "metadata.remediation.cli"),
                    terraform: self.text(node.get("terraform"), "metadata.remediation.terraform"),
                    cloudformation: self.text(node.get("cloudformation"), "metadata.remediation.cloudformation"),
                }
            }
            _ => Remediation::default(),
        };
        let id = self.slug(node.get("id"), "metadata.id");
        let title = self.full_text(node.get("title"), "metadata.title");
        let severity = self.severity(node.get("severity"), "metadata.severity");
        let category = self.slug(node.get("category"), "metadata.category");
        let description = self.full_text(node.get("description"), "metadata.description");
        let risk = self.full_text(node.get("risk"), "metadata.risk");
        let supersedes = self.texts(node.get("supersedes"), "metadata.supersedes");
        Some(Meta {
            id: id?,
            title: title?,
            severity: severity?,
            category: category?,
            description: description?,
            risk: risk?,
            remediation,
            references: self
                .texts(node.get("references"), "metadata.references")
                .into_iter()
                .map(|(_, text)| text)
                .collect(),
            since: self.text(node.get("since"), "metadata.since"),
            supersedes: supersedes.into_iter().map(|(_, text)| text).collect(),
        })
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        self.map(node, "", &["apiVersion", "kind", "metadata", "spec", "tests"], &["metadata", "spec"]);
        let meta = node.get("metadata").and_then(|node| self.meta(node));
        let spec = node.get("spec")?;
        let known = ["subject", "params", "applies", "each", "match", "message", "evidence", "discriminator"];
        if !self.map(spec, "spec", &known, &["subject", "match", "message"]) {
            return None;
        }
        let kinds: Vec<&str> = SUBJECTS.iter().map(|kind| kind.as_str()).collect();
        let read = |text: &str| SUBJECTS.into_iter().find(|kind| kind.as_str() == text);
        let subject = self.choice(spec.get("subject"), "spec.subject", &kinds, read);
        let params = self.params(spec.get("params"));
        let subject = subject?;
        let schema = self.schema;
        let Some(object) = schema.subject(subject) else {
            let at = spec.get("subject").map_or(spec.at, |node| node.at);
            self.wrong(
                at,
                "spec.subject",
                format!("there are no facts about `{}`", subject.as_str()),
                "choose another subject",
            );
            return None;
        };
        let typed: Vec<(Arc<str>, Type)> =
            params.iter().map(|param| (Arc::clone(&param.name), param.ty.clone())).collect();
        let subject_type = Type::Object(Arc::clone(&object.name));
        let mut scope =
            Scope { schema, subject: (subject.as_str(), subject_type.clone()), element: None, params: &typed };
        let mut used = BTreeSet::new();
        let applies = self.expression(spec.get("applies"), "spec.applies", &scope, Some(&Type::Bool), &mut used);
        let mut each = None;
        let variable;
        if let Some(node) = spec.get("each")
            && self.map(node, "spec.each", &["in", "as"], &["in", "as"])
        {
            if spec.get("discriminator").is_none() {
                let message = "`each` needs a `discriminator`, which tells the elements' findings apart";
                self.wrong(node.at, "spec.each", message, "add one over what never changes, as in `[s.name]`");
            }
            let list = self.expression(node.get("in"), "spec.each.in", &scope, None, &mut used);
            variable = self.text(node.get("as"), "spec.each.as").unwrap_or_default();
            match list {
                Some((ir, Type::List(of))) => {
                    each = Some(ir);
                    scope.element = Some((&variable, of.as_ref().clone()));
                }
                Some((_, ty)) => {
                    self.wrong(
                        node.at,
                        "spec.each.in",
                        format!("the expression gives {ty}, but a list is needed"),
                        "give a list",
                    );
                }
                None => return None,
            }
        }
        let fails = self.expression(spec.get("match"), "spec.match", &scope, Some(&Type::Bool), &mut used);
        let message = self.expression(spec.get("message"), "spec.message", &scope, Some(&Type::String), &mut used);
        let listed = Type::list(Type::object("Evidence"));
        let evidence = self.expression(spec.get("evidence"), "spec.evidence", &scope, Some(&listed), &mut used);
        let names = Type::list(Type::String);
        let discriminator =
            self.expression(spec.get("discriminator"), "spec.discriminator", &scope, Some(&names), &mut used);
        for (index, param) in params.iter().enumerate() {
            let broken = fails.is_none() || message.is_none();
            if !used.contains(&index) && !broken {
                let at = spec.get("params").map_or(spec.at, |node| node.at);
                let field = format!("spec.params.{}", param.name);
                self.wrong(at, &field, "the parameter is never used", "use it, or remove it");
            }
        }
        let mut values = Vec::new();
        let mut shown = BTreeMap::new();
        for param in &params {
            let default = spec.get("params").and_then(|all| all.get(&param.name)).and_then(|node| node.get("default"));
            // Read before, and reported then: a second reading must not report it twice.
            let mut silent = Vec::new();
            let mut reader = Reader { source: self.source, schema, errors: &mut silent };
            values.push(default.map_or(Value::Null, |node| reader.value(node, &param.ty, "")));
            let origin = "rule default".to_owned();
            shown.insert(param.name.to_string(), EffectiveParam { value: param.default.clone(), origin });
        }
        let tests = self.tests(node.get("tests"), subject, &subject_type, &params, &values);
        let text = |key: &str| spec.get(key).and_then(Node::text).unwrap_or_default().to_owned();
        let expressions = Expressions {
            applies: spec.get("applies").and_then(Node::text).map(str::to_owned),
            fails: text("match"),
            message: text("message"),
        };
        let meta = meta?;
        let decisive = serde_json::json!([node.get("metadata").map(Node::to_json), spec.to_json()]);
        Some(Rule {
            subject,
            names: typed.into_iter().map(|(name, _)| name).collect(),
            params,
            program: Program {
                applies: applies.map(|(ir, _)| ir),
                each,
                fails: fails?.0,
                message: message?.0,
                evidence: evidence.map(|(ir, _)| ir),
                discriminator: discriminator.map(|(ir, _)| ir),
            },
            expressions,
            tests,
            digest: Digest::of(decisive.to_string().as_bytes()),
            file: self.source.path.to_owned(),
            line: self.line(node.at),
            defaults: Arc::new(Settings { enabled: true, severity: meta.severity, values, shown: Arc::new(shown) }),
            bounds: Vec::new(),
            exceptions: Vec::new(),
            meta,
        })
    }

    fn tests(
        &mut self,
        node: Option<&Node>,
        kind: SubjectKind,
        subject: &Type,
        params: &[Param],
        defaults: &[Value],
    ) -> Vec<Test> {
        let Some(node) = node else { return Vec::new() };
        let Kind::List(items) = &node.kind else {
            let message = format!("a list is needed, {} is given", node.kind.name());
            self.wrong(node.at, "tests", message, "write a list of tests");
            return Vec::new();
        };
        let mut names = BTreeSet::new();
        let mut tests = Vec::new();
        for (index, node) in items.iter().enumerate() {
            let field = format!("tests[{index}]");
            let known = ["name", "expect", "message", kind.as_str(), "params", "now"];
            if !self.map(node, &field, &known, &["name", "expect", kind.as_str()]) {
                continue;
            }
            let name = self.full_text(node.get("name"), &format!("{field}.name"));
            let all: Vec<&str> = Expect::ALL.iter().map(|expect| expect.as_str()).collect();
            let read = |text: &str| Expect::ALL.into_iter().find(|expect| expect.as_str() == text);
            let expect = self.choice(node.get("expect"), &format!("{field}.expect"), &all, read);
            let mut values = defaults.to_vec();
            if let Some(stated) = node.get("params") {
                let known: Vec<&str> = params.iter().map(|param| param.name.as_ref()).collect();
                self.map(stated, &format!("{field}.params"), &known, &[]);
                for (param, slot) in params.iter().zip(&mut values) {
                    if let Some(node) = stated.get(&param.name) {
                        *slot = self.param_value(node, param, &format!("{field}.params.{}", param.name));
                    }
                }
            }
            let now = node.get("now").map_or_else(
                || fixture::read_timestamp(TEST_NOW).ok(),
                |now| self.moment(Some(now), &format!("{field}.now")),
            );
            let message = self.text(node.get("message"), &format!("{field}.message"));
            let object = node.get(kind.as_str());
            let object = object.map(|node| self.values().value(node, subject, kind.as_str()));
            let (Some(name), Some(expect), Some(subject), Some(now)) = (name, expect, object, now) else { continue };
            if !names.insert(name.clone()) {
                self.wrong(
                    node.at,
                    &format!("{field}.name"),
                    format!("there is a test `{name}` already"),
                    "choose another name",
                );
            }
            tests.push(Test { name, line: self.line(node.at), expect, message, subject, params: values, now });
        }
        tests
    }

    fn select(&mut self, node: Option<&Node>, field: &str) -> Select {
        let Some(node) = node else { return Select::default() };
        if !self.map(node, field, &["ou", "accounts", "clusters", "namespaces"], &[]) {
            return Select::default();
        }
        let ou_field = format!("{field}.ou");
        let ou = self.text(node.get("ou"), &ou_field).and_then(|text| match OuPattern::read(&text) {
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

    fn binding(&mut self, node: &Node) -> Option<RawBinding<'a>> {
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

    fn exception(&mut self, node: &Node) -> Option<RawException<'a>> {
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
        Some(RawException { source: self.source, rules, exception })
    }
}

fn param_type(text: &str) -> Option<Type> {
    let text = text.trim();
    let inner = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(')'));
    Some(match text {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "double" => Type::Double,
        "string" => Type::String,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "regex" => Type::Regex,
        _ => match (inner("list("), inner("map(")) {
            (Some(of), _) => Type::list(param_type(of)?),
            (_, Some(of)) => Type::map(param_type(of)?),
            _ => return None,
        },
    })
}
