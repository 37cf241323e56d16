//! `policies check|test|schema`: for those who write rules.

use super::Format;
use super::{print, print_json, sarif};
use crate::audit::baselines;
use crate::audit::rules::Rules;
use crate::config::owners::OwnersConfig;
use crate::config::{BASELINES, BaselinesConfig};
use crate::error::Error;
use rolecall_rules::{LoadError, TestResult};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// The rule of a file that cannot be used, in SARIF.
const INVALID: &str = "invalid-policy-file";

/// Check every rule, binding, exception, ownership rule and baseline.
///
/// # Errors
/// Every problem, each with file, line, column, field and remedy.
pub fn check(
    format: Format,
    dir: Option<&Path>,
    keys: &BaselinesConfig,
    owners: &OwnersConfig,
) -> Result<ExitCode, Error> {
    let folder = dir.map(|dir| dir.join(BASELINES));
    let found = baselines::read(&BaselinesConfig { folder, ..keys.clone() });
    let rules = match Rules::load_with(dir, owners) {
        Ok(_) if !found.problems.is_empty() => Err(Error::Rules(found.problems)),
        Err(Error::Rules(errors)) => Err(Error::Rules(errors.into_iter().chain(found.problems).collect())),
        other => other,
    };
    match rules {
        Ok(rules) => {
            let (count, files) = (rules.set.rules().len(), rules.sources.len());
            if format == Format::Sarif {
                print_json(&log(&[]))?;
            } else if format == Format::Json {
                let (baselines, owners) = (found.baselines.len(), rules.ownership.rules.len());
                print_json(
                    &json!({ "rules": count, "files": files, "baselines": baselines, "owners": owners, "errors": [] }),
                )?;
            } else {
                let states = match found.baselines.len() {
                    0 => String::new(),
                    number => format!("; {number} baselines in {} files count", found.files),
                };
                let owners = match rules.ownership.rules.len() {
                    0 => String::new(),
                    1 => "; 1 ownership rule".to_owned(),
                    number => format!("; {number} ownership rules"),
                };
                print(&format!("{count} rules in {files} files are sound{owners}{states}\n"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Rules(errors)) if format == Format::Json => {
            let errors: Vec<_> = errors.iter().map(problem).collect();
            print_json(&json!({ "errors": errors }))?;
            Ok(ExitCode::from(2))
        }
        Err(Error::Rules(errors)) if format == Format::Sarif => {
            print_json(&log(&errors))?;
            Ok(ExitCode::from(2))
        }
        Err(error) => Err(error),
    }
}

/// What is wrong with files, as SARIF.
fn log(errors: &[LoadError]) -> serde_json::Value {
    let result = |error: &LoadError| {
        let LoadError { field, message, remedy, .. } = error;
        let says = [field.as_str(), message, remedy].into_iter().filter(|text| !text.is_empty());
        let mut location = sarif::location(&error.file, Some(error.line), field);
        // SARIF counts columns from 1, as the error does.
        if let Some(region) = location.pointer_mut("/0/physicalLocation/region").and_then(|it| it.as_object_mut()) {
            region.insert("startColumn".to_owned(), error.column.into());
        }
        json!({
            "ruleId": INVALID, "level": "error", "locations": location,
            "message": { "text": says.collect::<Vec<_>>().join("; ") },
            "partialFingerprints": { "rolecallPolicies/v1": format!("{}/{field}/{message}", error.file) },
        })
    };
    let results: Vec<_> = errors.iter().map(result).collect();
    sarif::log([(INVALID.to_owned(), "A policy file that cannot be used")].into(), &results, &[])
}

/// Run the tests in the rules. Ends with 1 where one fails, or where a rule does not show
/// when it passes, fails and cannot know.
///
/// # Errors
/// Rules that do not load.
pub fn test(format: Format, dir: Option<&Path>) -> Result<ExitCode, Error> {
    let rules = Rules::load(dir)?;
    let results = rules.set.test();
    let untested = rules.set.untested();
    let failed = results.iter().filter(|result| !result.passed).count();
    if format == Format::Json {
        let missing: Vec<_> = untested.iter().map(problem).collect();
        let (tests, rules) = (results.len(), rules.set.rules().len());
        print_json(&json!({
            "rules": rules, "tests": tests, "failed": failed, "results": results, "untested": missing,
        }))?;
    } else {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for result in results.iter().filter(|result| !result.passed) {
            let TestResult { rule, name, file, line, expected, answered, .. } = result;
            let _infallible =
                writeln!(text, "{file}:{line} {rule}: test `{name}` failed: expected {expected}, answered {answered}");
        }
        for error in &untested {
            let _infallible = writeln!(text, "{error}");
        }
        let (tests, rules) = (results.len(), rules.set.rules().len());
        let _infallible = writeln!(text, "{tests} tests of {rules} rules, {failed} failed");
        print(&text)?;
    }
    Ok(ExitCode::from(u8::from(failed > 0 || !untested.is_empty())))
}

fn problem(error: &LoadError) -> serde_json::Value {
    json!({
        "file": error.file, "line": error.line, "column": error.column,
        "field": error.field, "message": error.message, "remedy": error.remedy,
    })
}

/// Prints the JSON Schema of rule files.
///
/// # Errors
/// Where stdout is closed.
pub fn schema() -> Result<ExitCode, Error> {
    print_json(&rolecall_rules::json_schema(rolecall_audit::facts::schema()))?;
    Ok(ExitCode::SUCCESS)
}
