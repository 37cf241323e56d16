//! Lists the rules and bindings under `policies/` that are compiled in, so that a rule is one file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders of `policies/` whose files are compiled in, in the order in which they are loaded.
const FOLDERS: [&str; 2] = ["bindings", "builtin"];

fn main() -> io::Result<()> {
    let policies = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../policies");
    let mut list = String::from("&[\n");
    for folder in FOLDERS {
        let dir = policies.join(folder);
        println!("cargo:rerun-if-changed={}", dir.display());
        let mut files: Vec<PathBuf> =
            fs::read_dir(&dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = file.display().to_string();
            // Writing to a string cannot fail.
            let _ = writeln!(list, "    ({:?}, include_str!({path:?})),", format!("policies/{folder}/{name}"));
        }
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("shipped_policies.rs"), list)
}
