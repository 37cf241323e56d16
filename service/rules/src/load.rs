//! From policy files to checked rules: every mistake of every file is named at once.
//!
//! Unknown fields, duplicate ids, types that do not fit, bindings that disagree: all are errors here,
//! so that judging has none. Refuses to know where files lie.

use super::binding::Settings;
use super::cel;
use super::check::{self, Scope};
use super::decode::Doc;
use super::fixture::Reader;
use super::ir::Ir;
use super::literal;
use super::loaded::Loaded;
use super::rule::{Cause, Expect, Expressions, Meta, Param, Program, Remediation, Rule, SeverityWhen, Test};
use super::schema::{SUBJECTS, Schema, Type};
use super::severity::Step;
use super::snippet::Template;
use super::tuning;
use super::value::Value;
use super::yaml::{self, At, Kind, LoadError, Node, Source, SourceFile};
use crate::verdict::{EffectiveParam, SubjectKind};
use rolecall_iam::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const MOST_RULES: usize = 5000;

/// The moment at which embedded tests run that state none.
const TEST_NOW: &str = "2026-01-01";

/// Reads all files.
pub(super) fn load(files: &[SourceFile], schema: &Schema) -> Loaded {
    cel::with_room(|| read(files, schema))
}

fn read(files: &[SourceFile], schema: &Schema) -> Loaded {
    let mut loaded = Loaded::default();
    let mut bindings = Vec::new();
    let mut exceptions = Vec::new();
    let mut names: BTreeMap<(&str, String), String> = BTreeMap::new();
    for file in files {
        let source = Source { path: &file.path, text: &file.text };
        let nodes = yaml::documents(source, &mut loaded.errors);
        for node in nodes {
            let mut doc = Doc { source, schema, errors: &mut loaded.errors };
            let Some(kind) = doc.kind(&node, &["Rule", "Binding", "Exception"]) else { continue };
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
                    let digest = Digest::sha256(node.to_json().to_string().as_bytes());
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
                    let digest = Digest::sha256(node.to_json().to_string().as_bytes());
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
    parts(&mut loaded);
    for binding in &bindings {
        tuning::spread(binding, schema, &mut loaded);
    }
    tuning::agree(&bindings, &mut loaded);
    for raw in exceptions {
        tuning::excuse(raw, &mut loaded);
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

/// A rule's findings are listed under those of rules that there are, about subjects of the same kind,
/// and not under each other in a circle.
fn parts(loaded: &mut Loaded) {
    let rules = &loaded.rules;
    let named = |id: &str| rules.iter().find(|rule| rule.is_known_as(id));
    let mut errors = Vec::new();
    for rule in rules {
        let mut wrong = |message: String, remedy: &str| {
            errors.push(LoadError {
                file: rule.file.clone(),
                line: rule.line,
                column: 1,
                field: "spec.part_of".to_owned(),
                message,
                remedy: remedy.to_owned(),
            });
        };
        for id in &rule.part_of {
            match named(id) {
                None => wrong(format!("there is no rule `{id}`"), "name a rule by its id"),
                Some(other) if other.subject != rule.subject => {
                    let kinds = (rule.subject.as_str(), other.subject.as_str());
                    let message = format!("`{id}` is about a {}, and this rule about a {}", kinds.1, kinds.0);
                    wrong(message, "name a rule about the same kind of subject");
                }
                Some(_) => {}
            }
        }
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&Rule> = rule.part_of.iter().filter_map(|id| named(id)).collect();
        while let Some(next) = open.pop() {
            if reached.insert(next.id()) {
                open.extend(next.part_of.iter().filter_map(|id| named(id)));
            }
        }
        if reached.contains(rule.id()) {
            wrong(format!("`{}` would be listed under itself", rule.id()), "break the circle");
        }
    }
    loaded.errors.extend(errors);
}

impl Doc<'_, '_> {
    /// A parameter's value: of its type, known, and in its range.
    pub(super) fn param_value(&mut self, node: &Node, param: &Param, field: &str) -> Value {
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

    /// When a rule fails: an expression, or a list of causes of which one is enough.
    fn causes(
        &mut self,
        node: Option<&Node>,
        scope: &Scope<'_>,
        used: &mut BTreeSet<usize>,
    ) -> Option<(Ir, Vec<Cause>)> {
        let node = node?;
        let Kind::List(items) = &node.kind else {
            let (ir, _) = self.expression(Some(node), "spec.match", scope, Some(&Type::Bool), used)?;
            return Some((ir, Vec::new()));
        };
        if items.is_empty() {
            self.wrong(node.at, "spec.match", "the list has no causes", "write `- {when: …, because: …}` for each");
            return None;
        }
        let mut causes = Some(Vec::new());
        for (index, item) in items.iter().enumerate() {
            let field = format!("spec.match[{index}]");
            if !self.map(item, &field, &["when", "because"], &["when", "because"]) {
                causes = None;
                continue;
            }
            let mut part = |key: &str, wanted: &Type| {
                self.expression(item.get(key), &format!("{field}.{key}"), scope, Some(wanted), used)
            };
            match (part("when", &Type::Bool), part("because", &Type::String)) {
                (Some((when, _)), Some((because, _))) => {
                    if let Some(causes) = &mut causes {
                        causes.push(Cause { when, because });
                    }
                }
                _ => causes = None,
            }
        }
        let causes = causes?;
        Some((Ir::Or(causes.iter().map(|cause| cause.when.clone()).collect()), causes))
    }

    fn template(&mut self, node: Option<&Node>, field: &str) -> Option<Template> {
        let text = self.full_text(node, field)?;
        match Template::new(&text) {
            Ok(template) => Some(template),
            Err((message, remedy)) => {
                self.wrong(node.map_or_else(At::default, |node| node.at), field, message, remedy);
                None
            }
        }
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
                    &["text", "cli", "kubectl", "terraform", "cloudformation"],
                    &["text"],
                ) =>
            {
                Remediation {
                    text: self.full_text(node.get("text"), "metadata.remediation.text").unwrap_or_default(),
                    cli: self.template(node.get("cli"), "metadata.remediation.cli"),
                    kubectl: self.template(node.get("kubectl"), "metadata.remediation.kubectl"),
                    terraform: self.template(node.get("terraform"), "metadata.remediation.terraform"),
                    cloudformation: self.template(node.get("cloudformation"), "metadata.remediation.cloudformation"),
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
        let known = [
            "subject",
            "params",
            "applies",
            "each",
            "match",
            "message",
            "evidence",
            "discriminator",
            "severity_when",
            "part_of",
        ];
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
        let mut scope = Scope {
            schema,
            subject: (subject.as_str(), subject_type.clone()),
            element: None,
            because: false,
            params: &typed,
        };
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
        let fails = self.causes(spec.get("match"), &scope, &mut used);
        scope.because = fails.as_ref().is_some_and(|(_, causes)| !causes.is_empty());
        let message = self.expression(spec.get("message"), "spec.message", &scope, Some(&Type::String), &mut used);
        let listed = Type::list(Type::object("Evidence"));
        let evidence = self.expression(spec.get("evidence"), "spec.evidence", &scope, Some(&listed), &mut used);
        scope.because = false;
        let names = Type::list(Type::String);
        let discriminator =
            self.expression(spec.get("discriminator"), "spec.discriminator", &scope, Some(&names), &mut used);
        let steps = self.severity_when(spec.get("severity_when"), &scope, &mut used);
        let (severity_when, severities): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
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
        let written = match spec.get("match").map(|node| &node.kind) {
            Some(Kind::List(causes)) => {
                let each = causes.iter().filter_map(|cause| cause.get("when").and_then(Node::text));
                each.map(str::trim).collect::<Vec<_>>().join("\n|| ")
            }
            _ => text("match"),
        };
        let expressions = Expressions {
            applies: spec.get("applies").and_then(Node::text).map(str::to_owned),
            fails: written,
            message: text("message"),
            severity_when: severities,
        };
        let part_of = self.texts(spec.get("part_of"), "spec.part_of").into_iter().map(|(_, id)| id).collect();
        let meta = meta?;
        let (fails, causes) = fails?;
        let decisive = serde_json::json!([node.get("metadata").map(Node::to_json), spec.to_json()]);
        Some(Rule {
            subject,
            names: typed.into_iter().map(|(name, _)| name).collect(),
            params,
            program: Program {
                applies: applies.map(|(ir, _)| ir),
                each,
                fails,
                causes,
                message: message?.0,
                evidence: evidence.map(|(ir, _)| ir),
                discriminator: discriminator.map(|(ir, _)| ir),
                severity_when,
            },
            expressions,
            part_of,
            tests,
            digest: Digest::sha256(decisive.to_string().as_bytes()),
            file: self.source.path.to_owned(),
            line: self.line(node.at),
            defaults: Arc::new(Settings {
                enabled: true,
                severity: meta.severity,
                severity_bound: false,
                values,
                shown: Arc::new(shown),
            }),
            bounds: Vec::new(),
            exceptions: Vec::new(),
            meta,
        })
    }

    /// The conditions that the severity follows from, each with its texts as written.
    fn severity_when(
        &mut self,
        node: Option<&Node>,
        scope: &Scope<'_>,
        used: &mut BTreeSet<usize>,
    ) -> Vec<(Step, SeverityWhen)> {
        let Some(node) = node else { return Vec::new() };
        let Kind::List(items) = &node.kind else {
            let message = format!("a list is needed, {} is given", node.kind.name());
            self.wrong(node.at, "spec.severity_when", message, "write a list of `when`, `severity` and `because`");
            return Vec::new();
        };
        let mut steps = Vec::new();
        for (index, node) in items.iter().enumerate() {
            let field = format!("spec.severity_when[{index}]");
            if !self.map(node, &field, &["when", "severity", "because"], &["when", "severity", "because"]) {
                continue;
            }
            let of = |key: &str| (node.get(key), format!("{field}.{key}"));
            let ((when, when_field), (because, because_field)) = (of("when"), of("because"));
            let when_ir = self.expression(when, &when_field, scope, Some(&Type::Bool), used);
            let because_ir = self.expression(because, &because_field, scope, Some(&Type::String), used);
            let severity = self.severity(node.get("severity"), &format!("{field}.severity"));
            let (Some((when_ir, _)), Some((because_ir, _)), Some(severity)) = (when_ir, because_ir, severity) else {
                continue;
            };
            let written = |node: Option<&Node>| node.and_then(Node::text).unwrap_or_default().to_owned();
            let shown = SeverityWhen { when: written(when), severity, because: written(because) };
            steps.push((Step { when: when_ir, severity, because: because_ir }, shown));
        }
        steps
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
            let known = ["name", "expect", "message", "severity", "because", kind.as_str(), "params", "now"];
            if !self.map(node, &field, &known, &["name", "expect", kind.as_str()]) {
                continue;
            }
            let name = self.full_text(node.get("name"), &format!("{field}.name"));
            let all: Vec<&str> = Expect::ALL.iter().map(|expect| expect.as_str()).collect();
            let read = |text: &str| text.parse::<Expect>().ok();
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
                || literal::read_timestamp(TEST_NOW).ok(),
                |now| self.moment(Some(now), &format!("{field}.now")),
            );
            let message = self.text(node.get("message"), &format!("{field}.message"));
            let severity = self.severity(node.get("severity"), &format!("{field}.severity"));
            let because = self.text(node.get("because"), &format!("{field}.because"));
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
            tests.push(Test {
                name,
                line: self.line(node.at),
                expect,
                message,
                severity,
                because,
                subject,
                params: values,
                now,
            });
        }
        tests
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
