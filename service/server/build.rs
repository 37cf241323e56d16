//! Lists the rules and bindings under `policies/` and the examples of the API's contract, which are compiled in, so that
//! each is one file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders of `policies/` whose files are compiled in, in the order in which they are loaded.
const FOLDERS: [&str; 2] = ["bindings", "builtin"];

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut policies = String::from("&[\n");
    for folder in FOLDERS {
        for file in files(&here.join("../../policies").join(folder), "yaml")? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = file.display().to_string();
            // Writing to a string cannot fail.
            let _ = writeln!(policies, "    ({:?}, include_str!({path:?})),", format!("policies/{folder}/{name}"));
        }
    }
    policies.push_str("]\n");
    fs::write(out.join("shipped_policies.rs"), policies)?;
    let mut examples = String::from("&[\n");
    for file in files(&here.join("examples"), "json")? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = file.display().to_string();
        let _ = writeln!(examples, "    ({name:?}, include_str!({path:?})),");
    }
    examples.push_str("]\n");
    fs::write(out.join("examples.rs"), examples)
}

/// The files of a folder with this extension, by name.
fn files(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    println!("cargo:rerun-if-changed={}", dir.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    Ok(files)
}
