//! `what-if`: what proposed changes would come to, before anybody makes them.
//!
//! Against the stored estate, or with `--estate` against files, without a database.

use super::case_files::read as bytes_of;
use super::estate_args::EstateArgs;
use super::sarif;
use super::{Context, Format, print, print_json, with_existing_database};
use crate::audit::rules::Rules;
use crate::error::Error;
use crate::http::api::what_if::WhatIfJson;
use crate::progress::Progress;
use crate::query::what_if;
use crate::terminal;
use rolecall_audit::drift::{Access, Affected};
use rolecall_audit::what_if::{Answer, Defaults, FailOn, FindingChange, Place, Problem, Proposed, parse, parse_plan};
use rolecall_declared::Lines;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// What to ask about.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of proposed changes, or Terraform plans (`terraform show -json`); `-` for stdin
    #[arg(required = true, value_name = "CHANGE")]
    pub changes: Vec<PathBuf>,
    /// End with 1 where a change widens access (`widened`), where it is not proved what it comes to (`unknown`),
    /// or where a finding of at least this severity would be opened; several are separated by commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,
    #[command(flatten)]
    pub of: EstateArgs,
}

/// Runs the command.
///
/// Ends with 2 where a change could not be read or applied, the rest being answered; with 1 where there is
/// something to fail on; and with 0 otherwise.
///
/// # Errors
/// An estate that cannot be had.
pub async fn run(context: Context, args: &Args) -> Result<ExitCode, Error> {
    let rules = Arc::new(Rules::configured(&context.config)?);
    let defaults = Defaults { account: args.of.account, region: args.of.region.clone() };
    let (mut proposed, mut problems) = (Vec::new(), Vec::new());
    let mut lines = Files::new();
    for path in &args.changes {
        let (some, wrong) = changes_of(path, &defaults, &mut lines);
        proposed.extend(some);
        problems.extend(wrong);
    }
    let mut answer = match args.of.read().await? {
        None => {
            with_existing_database(&context, &Progress::silent(), async |database| {
                what_if::of_store(&database.store, &context.config, rules.clone(), proposed).await
            })
            .await?
        }
        Some((mut estate, now)) => {
            estate.assumed.extend(&context.config.assume);
            what_if::of_estate(estate, rules, proposed, now).await?
        }
    };
    problems.append(&mut answer.problems);
    answer.problems = problems;
    for problem in &answer.problems {
        terminal::err(&format!("rolecall: {problem}"));
    }
    let fails = args.fail_on.iter().any(|what| answer.matches(*what));
    let code = if answer.problems.is_empty() { u8::from(fails) } else { 2 };
    match context.format {
        Format::Json => print_json(&WhatIfJson::from(answer))?,
        Format::Sarif => print_json(&sarif_of(&answer, &lines))?,
        _ => print(&text(&answer))?,
    }
    Ok(ExitCode::from(code))
}

/// The lines of each file.
type Files = BTreeMap<String, Lines>;

/// Reads a file of proposals: a Terraform plan, our own form or the input of an AWS CLI command, in JSON or YAML.
fn changes_of(path: &Path, defaults: &Defaults, lines: &mut Files) -> (Vec<Proposed>, Vec<Problem>) {
    let file = path.display().to_string();
    let wrong = |message: String, remedy: &str| {
        let place = Place { file: file.clone(), pointer: String::new() };
        (Vec::new(), vec![Problem { place, message, remedy: remedy.to_owned() }])
    };
    let bytes = match bytes_of(path) {
        Ok(bytes) => bytes,
        Err(error) => return wrong(format!("cannot be read: {error}"), "check the path"),
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return wrong("it is no text in UTF-8".to_owned(), "save it in UTF-8");
    };
    lines.insert(file.clone(), Lines::new(text));
    if let Some(planned) = parse_plan(&file, &bytes, defaults) {
        return planned;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = match text.trim_start().starts_with(['{', '[']) {
        true => serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}")),
        false => serde_saphyr::from_str(text).map_err(|error| format!("it is no YAML: {error}")),
    };
    match value {
        Ok(value) => parse(&file, &value, defaults),
        Err(why) => wrong(why.lines().next().unwrap_or_default().to_owned(), "see the formats in docs/what-if.md"),
    }
}

fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// The answer for a person.
fn text(answer: &Answer) -> String {
    let mut out = format!(
        "{}: {}, {} reached; {} opened, {} closed\n",
        answer.effect.as_str(),
        count(answer.changes.len(), "change"),
        count(answer.workloads.len(), "workload"),
        count(answer.opens.len(), "finding"),
        answer.closes.len(),
    );
    let head = |out: &mut String, title: &str, is_empty: bool| {
        if !is_empty {
            let _ = writeln!(out, "\n{title}");
        }
    };
    head(&mut out, "Changes", answer.changes.is_empty());
    for it in &answer.changes {
        let change = &it.change;
        let part = change.part.as_ref().map(|part| format!(" {part}")).unwrap_or_default();
        let (effect, resource) = (change.effect.as_str(), &change.resource.name);
        let _ = writeln!(out, "  {effect:<10}{resource}: {}{part}", change.change);
        let _ = writeln!(out, "  {:<10}{}", "", change.because);
        access(&mut out, change.gained.as_ref(), change.lost.as_ref());
        for (head, list) in [("opens", &change.escalations.opens), ("closes", &change.escalations.closes)] {
            for it in list {
                let _ = writeln!(out, "  {:<10}{head} for {}: {}", "", it.role, it.words());
            }
        }
        if let Some(why) = &change.escalations.unknown {
            let _ = writeln!(out, "  {:<10}what else it opens or closes is not known: {why}", "");
        }
    }
    head(&mut out, "Workloads", answer.workloads.is_empty());
    for Affected { workload, effect, gained, lost, .. } in &answer.workloads {
        let _ = writeln!(out, "  {:<10}{workload}", effect.as_str());
        access(&mut out, gained.as_ref(), lost.as_ref());
    }
    for (title, list) in [
        ("Findings that would be opened", &answer.opens),
        ("Findings that would be closed", &answer.closes),
        ("Findings that would have another severity", &answer.regrades),
    ] {
        head(&mut out, title, list.is_empty());
        list.iter().for_each(|it| finding(&mut out, it));
    }
    head(&mut out, "Could not be decided any more", answer.undecided.is_empty());
    for it in &answer.undecided {
        let _ = writeln!(out, "  {:<10}{} of {}: {}", "unknown", it.rule, it.subject.key, it.why.join("; "));
    }
    head(&mut out, "Not known", answer.notes.is_empty());
    for it in &answer.notes {
        let _ = writeln!(out, "  {}", it.message);
    }
    out
}

fn access(out: &mut String, gained: Option<&Access>, lost: Option<&Access>) {
    for (head, access) in [("gained", gained), ("lost", lost)] {
        if let Some(access) = access {
            let _ = writeln!(out, "  {:<10}{head}: {}", "", access.words);
        }
    }
}

fn finding(out: &mut String, it: &FindingChange) {
    let severity = it.severity.as_str();
    let was = it.severity_before.map(|was| format!(", was {}", was.as_str())).unwrap_or_default();
    let suppressed = if it.is_suppressed { ", suppressed by an exception" } else { "" };
    let _ = writeln!(out, "  {severity:<10}{}: {}{was}{suppressed}", it.rule, it.subject.key);
    let _ = writeln!(out, "  {:<10}{}", "", it.message);
    if !it.unknown_before.is_empty() {
        let _ = writeln!(out, "  {:<10}whether it is open now is not known: {}", "", it.unknown_before.join("; "));
    }
}

/// The answer as a SARIF 2.1.0 log (OASIS, "Static Analysis Results Interchange Format Version 2.1.0"): a
/// result for each change that widens access or is not understood, and each finding that would be opened or
/// come to another severity.
fn sarif_of(answer: &Answer, lines: &Files) -> serde_json::Value {
    use rolecall_audit::drift::Effect;
    use serde_json::json;
    let location = |place: &Place, statement: Option<&str>, resource: &str| {
        let line = lines.get(&place.file).and_then(|lines| lines.of(statement.unwrap_or(&place.pointer)));
        sarif::location(&place.file, line, resource)
    };
    let mut results = Vec::new();
    let mut rules: BTreeMap<String, &'static str> = BTreeMap::new();
    for it in &answer.changes {
        let (rule, level) = match it.change.effect {
            Effect::Widened | Effect::Mixed => ("access-widened", "warning"),
            Effect::Unknown => ("access-unknown", "warning"),
            Effect::Narrowed | Effect::None => continue,
        };
        rules.insert(rule.to_owned(), "what a proposed change comes to for workloads");
        let gained = it.change.gained.as_ref().map(|it| format!(" Gained: {}.", it.words)).unwrap_or_default();
        let change = &it.change;
        let opens: Vec<String> =
            change.escalations.opens.iter().map(|it| format!("{} by {}", it.role, it.words())).collect();
        let opens = if opens.is_empty() { String::new() } else { format!(" Opens: {}.", opens.join("; ")) };
        let text = format!("{} of {}: {}.{gained}{opens}", change.change, change.resource.name, change.because);
        results.push(json!({
            "ruleId": rule, "level": level, "message": {"text": text},
            "locations": location(&it.place, it.statement.as_deref(), &change.resource.name),
            "partialFingerprints": {"rolecallChange/v1": change.id},
            "properties": {"pointer": it.place.pointer, "effect": change.effect.as_str(),
                "workloads": change.affected.iter().map(|it| it.workload.to_string()).collect::<Vec<_>>()},
        }));
    }
    for it in answer.opens.iter().chain(&answer.regrades) {
        use rolecall_rules::Severity;
        let level = match it.severity {
            Severity::Critical | Severity::High => "error",
            Severity::Medium => "warning",
            Severity::Low | Severity::Info => "note",
        };
        rules.insert(it.rule.clone(), "a rule of Rolecall");
        // By an exception of the policies' folder.
        let suppressions: &[_] = if it.is_suppressed { &[json!({"kind": "external"})] } else { &[] };
        results.push(json!({
            "ruleId": it.rule, "level": level, "message": {"text": it.message},
            "locations": location(&it.place, it.statement.as_deref(), &it.subject.key),
            "partialFingerprints": {"rolecallFinding/v1": it.fingerprint.0},
            "properties": {"pointer": it.place.pointer, "severity": it.severity.as_str(),
                "opens": it.severity_before.is_none()},
            "suppressions": suppressions,
        }));
    }
    let notifications: Vec<serde_json::Value> = answer
        .problems
        .iter()
        .map(|it| {
            json!({"level": "error", "message": {"text": format!("{}; {}", it.message, it.remedy)},
            "locations": location(&it.place, None, &it.place.pointer)})
        })
        .collect();
    sarif::log(rules, &results, &notifications)
}
