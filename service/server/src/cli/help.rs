//! `rolecall completions` and `rolecall man`: the command line for shells and readers of manuals, from its own
//! declaration. Needs neither configuration nor database.

use crate::error::Error;
use clap::Command;
use clap_complete::Shell;
use std::path::Path;
use std::process::ExitCode;

/// The name under which the program is called.
const NAME: &str = "rolecall";

/// Prints a shell's completions.
pub(super) fn completions(shell: Shell, mut command: Command) -> Result<ExitCode, Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut text);
    super::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a man page for each command into a folder, or prints that of the program.
pub(super) fn man(dir: Option<&Path>, command: Command) -> Result<ExitCode, Error> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(Error::Output)?;
        super::print(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    let failed = |source| Error::File { doing: "write man pages to", path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(command, dir).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
