//! `declared check`: what infrastructure code declares, and what is there.
//!
//! Against the stored estate, or with `--estate` against files, without a database.

use super::estate_args::EstateArgs;
use super::{Context, Format, print, print_json, sarif, with_existing_database};
use crate::audit::declared;
use crate::database::Database;
use crate::error::Error;
use crate::progress::Progress;
use crate::query::what_if::stored;
use crate::terminal;
use rolecall_audit::declared::{Difference, Report, Row, Status, check as compare};
use rolecall_audit::drift::{Access, Effect};
use rolecall_declared::Defaults;
use rolecall_estate::FileProblem;
use rolecall_estate::declared::{Declared, Place};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders: Terraform state and plan JSON, CloudFormation templates, eksctl configuration files, manifests
    /// of ACK and Crossplane
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub of: EstateArgs,
    /// End with 1 where a resource has one of these statuses: different, missing, unmanaged, unknown; or where one
    /// that is there is allowed more than declared: widened
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = fail_on)]
    pub fail_on: Vec<FailOn>,
    /// Tell also what is as it is declared
    #[arg(long)]
    pub all: bool,
}

/// What somebody may want to fail on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOn {
    /// A resource of this status.
    Status(Status),
    /// A difference that allows more than declared.
    Widened,
}

fn fail_on(text: &str) -> Result<FailOn, String> {
    if text == "widened" {
        return Ok(FailOn::Widened);
    }
    let status = text.parse().ok().filter(|status| *status != Status::Same);
    let remedy = "choose one of different, missing, unmanaged, unknown, widened";
    status.map(FailOn::Status).ok_or_else(|| format!("`{text}` is nothing to fail on; {remedy}"))
}

fn widens(difference: &Difference) -> bool {
    matches!(difference.effect, Effect::Widened | Effect::Mixed)
}

/// Runs the command.
///
/// Ends with 2 where a file could not be read, the rest being answered; with 1 where there is something to fail
/// on; and with 0 otherwise.
///
/// # Errors
/// An estate or a path that cannot be had.
pub async fn check(context: Context, args: &Args) -> Result<ExitCode, Error> {
    let estate = match args.of.read().await? {
        None => {
            let silent = Progress::silent();
            let work = async |database: &Database| stored(&database.store, &context.config).await;
            with_existing_database(&context, &silent, work).await?.0
        }
        Some((estate, _)) => estate,
    };
    let given = Defaults { account: args.of.account, region: args.of.region.clone(), partition: None };
    let paths = args.paths.clone();
    let work = move || {
        let declared = declared::read(&paths, Path::new(""), declared::defaults(&given, &estate));
        let report = compare(&estate, &declared);
        (declared, report)
    };
    let (declared, report) = tokio::task::spawn_blocking(work).await.map_err(Error::Judging)?;
    for problem in &declared.problems {
        terminal::err(&format!("rolecall: {problem}"));
    }
    if declared.unnamed > 0 {
        terminal::err(&format!("rolecall: {} more problems", declared.unnamed));
    }
    // A file of a folder may be of anything; one that is named was meant.
    let named: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
    let meant: Vec<&String> = declared.passed_over.iter().filter(|path| named.contains(path)).collect();
    for path in &meant {
        terminal::err(&format!("rolecall: {path}: it declares nothing that is read; see docs/declared.md"));
    }
    let fails = args.fail_on.iter().any(|what| match what {
        FailOn::Status(status) => report.count(*status) > 0,
        FailOn::Widened => report.rows.iter().flat_map(|row| &row.differences).any(widens),
    });
    let is_read = declared.problems.is_empty() && meant.is_empty();
    match context.format {
        Format::Json => print_json(&as_json(&declared, &report, args.all))?,
        Format::Sarif => print_json(&as_sarif(&declared, &report))?,
        _ => print(&text(&declared, &report, args.all))?,
    }
    Ok(ExitCode::from(if is_read { u8::from(fails) } else { 2 }))
}

fn shown(report: &Report, all: bool) -> impl Iterator<Item = &Row> {
    report.rows.iter().filter(move |row| all || row.status != Status::Same)
}

/// The answer for a person.
fn text(declared: &Declared, report: &Report, all: bool) -> String {
    let counts: Vec<String> =
        Status::ALL.into_iter().map(|status| format!("{} {}", report.count(status), status.as_str())).collect();
    let mut out = format!("{} declared; {}\n", declared.declarations.len(), counts.join(", "));
    let mut last = None;
    for row in shown(report, all) {
        if last != Some(row.status) {
            let title = match row.status {
                Status::Different => "Different from what is declared",
                Status::Missing => "Declared and not there",
                Status::Unmanaged => "There and not declared",
                Status::Unknown => "Not decided",
                Status::Same => "As declared",
            };
            let _ = writeln!(out, "\n{title}");
            last = Some(row.status);
        }
        let _ = writeln!(out, "  {} {}", row.resource.kind.as_str(), row.resource.name);
        if let Some(place) = &row.place {
            let _ = writeln!(out, "    {}:{} {}", place.file, place.line, place.address);
        }
        for it in &row.differences {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            let (declared, actual) = (value(&it.declared), value(&it.actual));
            let _ = writeln!(out, "    {}: {}", it.part, it.effect.as_str());
            let _ = writeln!(out, "      declared: {declared}");
            let _ = writeln!(out, "      there:    {actual}");
            for (head, access) in [("allowed beyond it: ", &it.gained), ("not allowed though declared: ", &it.lost)] {
                if let Some(access) = access {
                    let _ = writeln!(out, "      {head}{}", access.words);
                }
            }
            if !it.because.is_empty() && it.effect == Effect::Unknown {
                let _ = writeln!(out, "      not proved: {}", it.because);
            }
        }
        for why in &row.unknown {
            let _ = writeln!(out, "    unknown: {why}");
        }
    }
    out
}

fn place_json(place: &Place) -> Value {
    json!({"file": place.file, "line": place.line, "address": place.address})
}

fn access_json(access: &Option<Access>) -> Value {
    access.as_ref().map_or(Value::Null, |it| {
        json!({"action": it.action, "resource": it.resource, "context": it.context,
            "principal": it.principal, "words": it.words})
    })
}

fn problem_json(it: &FileProblem) -> Value {
    json!({"file": it.file, "line": it.line, "field": it.field, "message": it.message, "remedy": it.remedy})
}

fn as_json(declared: &Declared, report: &Report, all: bool) -> Value {
    let counts: serde_json::Map<String, Value> =
        Status::ALL.into_iter().map(|status| (status.as_str().to_owned(), report.count(status).into())).collect();
    let resources: Vec<Value> = shown(report, all)
        .map(|row| {
            let differences: Vec<Value> = row
                .differences
                .iter()
                .map(|it| {
                    json!({"part": it.part, "declared": it.declared, "actual": it.actual,
                        "effect": it.effect.as_str(), "gained": access_json(&it.gained), "lost": access_json(&it.lost),
                        "because": it.because, "place": it.place.as_ref().map(place_json)})
                })
                .collect();
            json!({"status": row.status.as_str(), "resource_type": row.resource.kind.as_str(),
                "resource": row.resource.name, "account_id": row.account.map(|it| it.to_string()),
                "place": row.place.as_ref().map(place_json), "format": row.format.map(rolecall_estate::declared::Format::as_str),
                "differences": differences, "unknown": row.unknown})
        })
        .collect();
    json!({"declared": declared.declarations.len(), "counts": counts, "resources": resources,
        "problems": declared.problems.iter().map(problem_json).collect::<Vec<_>>(),
        "more_problems": declared.unnamed, "passed_over": declared.passed_over})
}

fn as_sarif(declared: &Declared, report: &Report) -> Value {
    let mut rules: BTreeMap<String, &str> = BTreeMap::new();
    let mut results = Vec::new();
    for row in shown(report, false) {
        let (rule, about) = match row.status {
            Status::Different => ("declared-different", "a resource is not as it is declared"),
            Status::Missing => ("declared-missing", "a declared resource is not there"),
            Status::Unmanaged => ("not-declared", "a resource is there that is not declared"),
            Status::Unknown => ("declared-unknown", "whether a resource is as declared is not decided"),
            Status::Same => continue,
        };
        rules.insert(rule.to_owned(), about);
        let level = match row.status {
            Status::Unknown => "note",
            _ if row.differences.iter().any(widens) => "error",
            _ => "warning",
        };
        let parts: Vec<String> = row
            .differences
            .iter()
            .map(|it| {
                let gained = it.gained.as_ref().map(|it| format!(" (allowed beyond it: {})", it.words));
                format!("{}: {}{}", it.part, it.effect.as_str(), gained.unwrap_or_default())
            })
            .chain(row.unknown.iter().cloned())
            .collect();
        let why = if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) };
        let name = &row.resource.name;
        let place = row.differences.iter().find_map(|it| it.place.as_ref()).or(row.place.as_ref());
        let (file, line) = place.map_or(("", None), |place| (place.file.as_str(), Some(place.line)));
        results.push(json!({
            "ruleId": rule, "level": level, "message": {"text": format!("{name}: {}{why}", row.status.as_str())},
            "locations": sarif::location(file, line, name),
            "partialFingerprints": {"rolecallDeclared/v1": format!("{rule}/{name}")},
        }));
    }
    let notifications: Vec<Value> = declared
        .problems
        .iter()
        .map(|it| {
            json!({"level": "error", "message": {"text": format!("{}; {}", it.message, it.remedy)},
                "locations": sarif::location(&it.file, Some(it.line), &it.field)})
        })
        .collect();
    sarif::log(rules, &results, &notifications)
}
