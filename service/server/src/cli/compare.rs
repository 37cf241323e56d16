//! `compare`: whether a change of policies lets more through, less, or the same.
//!
//! Two files with `--before` and `--after`, or with `--cases` many pairs, an answer a line. It needs no
//! configuration, no database and no network.

use super::Format;
use super::case_files::{CaseKind, read};
use super::{print, print_json};
use crate::error::Error;
use rolecall_iam::compare::pairs::{self, Pair, PairAnswer};
use rolecall_iam::compare::{Asker, Comparison, Witness, compare};
use rolecall_iam::{AccountId, PolicySet, Relation, Requester};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to compare.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("sides").args(["cases", "before"]).required(true)))]
pub struct Args {
    /// Files of pairs, `-` for stdin: prints one JSON object a pair
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub cases: Vec<PathBuf>,
    /// Compare each answer with the pair's `expected`, and end with 1 if one differs
    #[arg(long, requires = "cases")]
    pub check: bool,
    /// What was there: a policy, a list of them, {"policies": {…}}, or a role as the AWS CLI lists it
    #[arg(long, value_name = "FILE", requires = "after")]
    pub before: Option<PathBuf>,
    /// What is there, in any of the same forms
    #[arg(long, value_name = "FILE", requires = "before")]
    pub after: Option<PathBuf>,
    /// Who asks: an ARN, a service, `anonymous` [default: a session of some role; with policies on a
    /// resource everyone whom they name too]
    #[arg(long, value_name = "PRINCIPAL", requires = "before", value_parser = principal)]
    pub principal: Option<Requester>,
    /// Whose the resources are whose ARNs do not name an account (S3)
    #[arg(long, value_name = "ACCOUNT", requires = "before")]
    pub resource_account: Option<AccountId>,
    /// End with 1 unless it is proved that nothing more is allowed
    #[arg(long, requires = "before")]
    pub no_wider: bool,
}

fn principal(text: &str) -> Result<Requester, String> {
    let remedy = "give an ARN, an account id, `anonymous`, or a service such as `pods.eks.amazonaws.com`";
    Requester::parse(text).ok_or_else(|| remedy.to_owned())
}

/// Compares, in whichever way was asked for.
///
/// Ends with 2 where a file or pair could not be read; with 1 where an answer is not the expected one,
/// or more may be allowed, and that was asked for; and with 0 otherwise.
///
/// # Errors
/// A side that cannot be read; nobody reads what we print.
pub fn run(args: &Args, format: Format) -> Result<ExitCode, Error> {
    match (&args.before, &args.after) {
        (Some(before), Some(after)) => two(args, format, [before, after]),
        _ => PAIRS.run(&args.cases, args.check),
    }
}

fn side(path: &Path) -> Result<PolicySet, Error> {
    let bytes = read(path).map_err(|source| Error::File { doing: "read", path: path.into(), source })?;
    let name = path.display().to_string();
    pairs::side(&name, &String::from_utf8_lossy(&bytes)).map_err(|error| Error::Usage {
        what: format!("{name} holds no policies: {} at `{}`", error.message, error.pointer),
        remedy: error.remedy,
    })
}

fn two(args: &Args, format: Format, [before, after]: [&Path; 2]) -> Result<ExitCode, Error> {
    let asker = Asker { principal: args.principal.clone(), resource_account: args.resource_account };
    let found = compare(&asker, &side(before)?, &side(after)?);
    match format {
        Format::Json => print_json(&found)?,
        _ => print(&text(&found))?,
    }
    let no_wider = matches!(found.relation, Relation::Equal | Relation::Narrowed);
    Ok(ExitCode::from(u8::from(args.no_wider && !no_wider)))
}

/// The answer for a person.
fn text(found: &Comparison) -> String {
    let Comparison { relation, gained, lost, because } = found;
    let proved = if *relation == Relation::Unknown { "" } else { ", proved" };
    let mut out = format!("{}{proved}: {because}\n", relation.as_str());
    for (head, witness) in [("gained", gained), ("lost", lost)] {
        if let Some(witness) = witness {
            show(&mut out, head, witness);
        }
    }
    out
}

fn show(out: &mut String, head: &str, witness: &Witness) {
    let _ = writeln!(out, "\n{head}\n  action      {}\n  resource    {}", witness.action, witness.resource);
    if let Some(principal) = &witness.principal {
        let _ = writeln!(out, "  principal   {principal}");
    }
    for (key, value) in &witness.context {
        let _ = writeln!(out, "  context     {key}={value}");
    }
}

/// Pairs of policies.
const PAIRS: CaseKind<Pair, PairAnswer> = CaseKind {
    noun: "pairs",
    each: |name, bytes, take| pairs::each(name, bytes, take),
    answer: |pair| match pair {
        Ok(pair) => pair.answer(),
        Err(error) => PairAnswer::broken(error),
    },
    compare: |pair, answer| {
        let (expected, relation) = (pair.expected.as_ref()?, answer.relation.as_str());
        let difference = || format!("{}: expected {expected}, found {relation}: {}", pair.id, answer.because);
        Some(if expected == relation { Ok(()) } else { Err(difference()) })
    },
};

#[cfg(test)]
mod tests {
    use super::super::case_files::Tally;
    use super::*;

    const TEXT: &str = r#"[
        {"id":"a","before":{"policies":{"identity":[]}},"after":{"policies":{"identity":[]}},"expected":"equal"},
        {"id":"b","before":{"policies":{"identity":[]}},"after":{"policies":{"identity":[
          {"Statement":{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}}]}},"expected":"narrowed"},
        {"id":"c","before":{}},
        {"id":"d","before":{"policies":{"identity":["{"]}},"after":{"policies":{"identity":[]}},"expected":"unknown"}]"#;

    #[test]
    fn answers_are_lines_in_order_and_differences_are_told() {
        let (mut tally, mut out, mut notes) = (Tally::default(), Vec::new(), Vec::new());
        PAIRS.file("f.json", TEXT.as_bytes(), true, &mut tally, &mut out, &mut notes).unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<(&str, &str)> =
            lines.iter().map(|l| (l["id"].as_str().unwrap(), l["relation"].as_str().unwrap())).collect();
        assert_eq!(said, [("a", "equal"), ("b", "widened"), ("c", "unknown"), ("d", "unknown")]);
        assert!(lines.iter().all(|l| l.as_object().unwrap().len() == 5 && !l["because"].as_str().unwrap().is_empty()));
        assert_eq!(lines[1]["gained"]["action"], "sqs:SendMessage");
        assert!(lines[1]["lost"].is_null() && lines[0]["gained"].is_null());
        assert!(lines[3]["because"].as_str().unwrap().starts_with("before: the identity policy could not be read"));
        let Tally { cases, broken, compared, disagreements } = tally;
        assert_eq!((cases, broken, compared, disagreements), (4, 1, 3, 1));
        let notes = String::from_utf8(notes).unwrap();
        assert!(notes.contains("b: expected narrowed, found widened") && notes.contains("`/2/after`"), "{notes}");
    }
}
