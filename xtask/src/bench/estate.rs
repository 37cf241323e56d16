//! The estates that benches measure with, written by the sandbox's generator: with trust in whole accounts, permissions
//! to assume roles, AWS's own policies, and as many problems a role in each size.

use crate::shell::{root, run};
use std::path::PathBuf;

/// An estate's size.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) roles: usize,
    pub(super) accounts: usize,
}

/// The programs that are measured, as they are released.
pub(super) fn build() -> Result<(), String> {
    run("cargo", &["build", "--release", "--locked", "--package", "rolecall", "--package", "rolecall-sandbox"])
}

/// Writes an estate's files, and gives their folder.
pub(super) fn generate(size: Size) -> Result<PathBuf, String> {
    generate_with(size, size.roles / 8)
}

/// As [`generate`], with so many associations.
pub(super) fn generate_with(size: Size, associations: usize) -> Result<PathBuf, String> {
    let Size { roles, accounts } = size;
    let folder = root().join(format!("target/bench-estate/{roles}-{accounts}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let problems = (roles / 500).max(1);
    let clusters = 3 * accounts;
    let sizes = format!(
        "roles={roles},accounts={accounts},associations={associations},clusters={clusters},problems={problems},events=0"
    );
    let sandbox = root().join("target/release/rolecall-sandbox").display().to_string();
    run(&sandbox, &["--generate", &sizes, "--write", &folder.display().to_string()])?;
    Ok(folder)
}
