//! `simulate`: what AWS would answer to a request.
//!
//! With `--cases`: requests and their policies from files, an answer a line. It needs no
//! configuration, no database and no network.

use crate::error::Error;
use rolecall_iam::cases::{self, Case, CaseError};
use std::fmt::Write as _;
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to simulate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of evaluation cases, `-` for stdin: prints one JSON object a case
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub cases: Vec<PathBuf>,
    /// Compare each answer with the case's `expected`, and end with 1 if one differs
    #[arg(long, requires = "cases")]
    pub check: bool,
}

/// How a run over cases went.
#[derive(Debug, Default)]
struct Tally {
    cases: u64,
    broken: u64,
    compared: u64,
    disagreements: u64,
}

/// Decides every case of the files, in their order.
///
/// Ends with 2 where a case or file could not be read, with 1 where an answer is not the expected
/// one and that was asked for, and with 0 otherwise.
///
/// # Errors
/// Nobody reads what we print.
pub fn cases(args: &Args) -> Result<ExitCode, Error> {
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut notes = std::io::stderr().lock();
    let mut tally = Tally::default();
    for path in &args.cases {
        let name = path.display().to_string();
        match read(path) {
            Ok(bytes) => run(&name, &bytes, args.check, &mut tally, &mut out, &mut notes)?,
            Err(error) => {
                tally.broken += 1;
                note(&mut notes, &format!("rolecall: cannot read {name}: {error}; check the path"));
            }
        }
    }
    out.flush().map_err(Error::Output)?;
    if args.check {
        let Tally { cases, broken, compared, disagreements } = tally;
        let text = format!("{cases} cases, {compared} compared, {disagreements} differ, {broken} could not be read");
        note(&mut notes, &text);
    }
    Ok(ExitCode::from(match tally {
        Tally { broken: 1.., .. } => 2,
        Tally { disagreements: 1.., .. } => 1,
        _ => 0,
    }))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path.as_os_str() != "-" {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What goes to stderr is a courtesy: the answers and the exit code stand without it.
fn note(notes: &mut impl Write, text: &str) {
    let _lost = writeln!(notes, "{text}");
}

fn run(
    name: &str,
    bytes: &[u8],
    check: bool,
    tally: &mut Tally,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), Error> {
    let mut result = Ok(());
    cases::each(name, bytes, |case| {
        if result.is_ok() {
            result = one(case, check, tally, out, notes);
        }
    });
    result
}

fn one(
    case: Result<Case, CaseError>,
    check: bool,
    tally: &mut Tally,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), Error> {
    tally.cases += 1;
    let answer = match &case {
        Ok(case) => case.answer(),
        Err(error) => {
            tally.broken += 1;
            note(notes, &format!("rolecall: {error}; {}", error.remedy));
            error.answer()
        }
    };
    if let Ok(case) = &case
        && check
        && let Some(agrees) = case.agrees(answer.decision)
    {
        tally.compared += 1;
        if !agrees {
            tally.disagreements += 1;
            let mut text = format!("{name}: ", name = case.id);
            let expected = case.expected.as_deref().unwrap_or_default();
            let _ = write!(text, "expected {expected}, decided {}: {}", answer.decision, answer.because);
            if !case.reason.is_empty() {
                let _ = write!(text, " | expected because: {}", case.reason);
            }
            note(notes, &text);
        }
    }
    serde_json::to_writer(&mut *out, &answer).map_err(|error| Error::Output(error.into()))?;
    out.write_all(b"\n").map_err(Error::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = r#"[
        {"id":"a","request":{"principal":"anonymous","action":"s3:GetObject","resource":"arn:aws:s3:::b/k"},
         "policies":{},"expected":"Deny"},
        {"id":"b","request":{"principal":"anonymous","action":"s3:GetObject","resource":"arn:aws:s3:::b/k"},
         "policies":{"resource":{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}}},
         "expected":"Deny(implicit)"},
        {"id":"c"}]"#;

    #[test]
    fn answers_are_lines_in_order_and_differences_are_told() {
        let (mut tally, mut out, mut notes) = (Tally::default(), Vec::new(), Vec::new());
        run("f.json", CASES.as_bytes(), true, &mut tally, &mut out, &mut notes).unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<(&str, &str)> =
            lines.iter().map(|l| (l["id"].as_str().unwrap(), l["decision"].as_str().unwrap())).collect();
        assert_eq!(said, [("a", "Deny(implicit)"), ("b", "Allow"), ("c", "Error")]);
        assert!(
            lines
                .iter()
                .all(|l| l["because"].as_str().is_some_and(|b| !b.is_empty()) && l.as_object().unwrap().len() == 3)
        );
        let Tally { cases, broken, compared, disagreements } = tally;
        assert_eq!((cases, broken, compared, disagreements), (3, 1, 2, 1));
        let notes = String::from_utf8(notes).unwrap();
        assert!(
            notes.contains("b: expected Deny(implicit), decided Allow") && notes.contains("`/2/request`"),
            "{notes}"
        );
    }
}
