//! Files of cases: an answer a line, in their order, and how many are as expected.
//!
//! Refuses to know what a case asks.

use crate::error::Error;
use crate::terminal::harmless;
use rolecall_iam::cases::CaseError;
use serde::Serialize;
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Takes the cases of a file as they are read.
type Taker<'t, C> = &'t mut dyn FnMut(Result<C, CaseError>);

/// What a kind of case is, and how it is answered.
pub(super) struct CaseKind<C, A> {
    /// Such as `cases`.
    pub noun: &'static str,
    /// Reads a file's cases, one after the other.
    pub each: fn(&str, &[u8], Taker<'_, C>),
    /// The answer to a case, or to one that could not be read.
    pub answer: fn(&Result<C, CaseError>) -> A,
    /// `None` where nothing is expected of the case; otherwise how the answer differs, if it does.
    pub compare: fn(&C, &A) -> Option<Result<(), String>>,
}

/// How a run went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub cases: u64,
    pub broken: u64,
    pub compared: u64,
    pub disagreements: u64,
}

impl<C, A: Serialize> CaseKind<C, A> {
    /// Answers every case of the files. With `check`, answers are compared with what is expected.
    ///
    /// Ends with 2 where a case or file could not be read, with 1 where an answer is not the expected
    /// one and that was asked for, and with 0 otherwise.
    ///
    /// # Errors
    /// Nobody reads what we print.
    pub(super) fn run(&self, paths: &[PathBuf], check: bool) -> Result<ExitCode, Error> {
        let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        let mut notes = std::io::stderr().lock();
        let mut tally = Tally::default();
        for path in paths {
            let name = path.display().to_string();
            match read(path) {
                Ok(bytes) => self.file(&name, &bytes, check, &mut tally, &mut out, &mut notes)?,
                Err(error) => {
                    tally.broken += 1;
                    note(&mut notes, &format!("rolecall: cannot read {name}: {error}; check the path"));
                }
            }
        }
        out.flush().map_err(Error::Output)?;
        if check {
            let Tally { cases, broken, compared, disagreements } = tally;
            let noun = self.noun;
            let text =
                format!("{cases} {noun}, {compared} compared, {disagreements} differ, {broken} could not be read");
            note(&mut notes, &text);
        }
        Ok(ExitCode::from(match tally {
            Tally { broken: 1.., .. } => 2,
            Tally { disagreements: 1.., .. } => 1,
            _ => 0,
        }))
    }

    /// Answers the cases of one file.
    pub(super) fn file(
        &self,
        name: &str,
        bytes: &[u8],
        check: bool,
        tally: &mut Tally,
        out: &mut impl Write,
        notes: &mut impl Write,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        (self.each)(name, bytes, &mut |case| {
            if result.is_ok() {
                result = self.one(&case, check, tally, out, notes);
            }
        });
        result
    }

    fn one(
        &self,
        case: &Result<C, CaseError>,
        check: bool,
        tally: &mut Tally,
        out: &mut impl Write,
        notes: &mut impl Write,
    ) -> Result<(), Error> {
        tally.cases += 1;
        let answer = (self.answer)(case);
        match case {
            Err(error) => {
                tally.broken += 1;
                note(notes, &format!("rolecall: {error}; {}", error.remedy));
            }
            Ok(case) if check => {
                if let Some(compared) = (self.compare)(case, &answer) {
                    tally.compared += 1;
                    if let Err(difference) = compared {
                        tally.disagreements += 1;
                        note(notes, &difference);
                    }
                }
            }
            Ok(_) => {}
        }
        serde_json::to_writer(&mut *out, &answer).map_err(|error| Error::Output(error.into()))?;
        out.write_all(b"\n").map_err(Error::Output)
    }
}

/// A file's bytes; `-` is stdin.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path.as_os_str() != "-" {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What goes to stderr is a courtesy: the answers and the exit code stand without it.
fn note(notes: &mut impl Write, text: &str) {
    let _lost = writeln!(notes, "{}", harmless(text));
}
