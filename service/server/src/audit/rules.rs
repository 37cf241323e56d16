//! The rules in force: the built-in ones, which the binary carries, and an operator's own; with them the ownership
//! rules.
//!
//! Knows which files count. Refuses to know what is in them.

use crate::config::Config;
use crate::config::owners::OwnersConfig;
use crate::error::Error;
use rolecall_audit::owner::Ownership;
use rolecall_collect::trails;
use rolecall_rules::{LoadError, OwnerRules, RuleSet, SourceFile};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// So many bytes of a rule file are read; it may have a quarter of them.
const LARGEST: u64 = 1024 * 1024;
/// Folders of an operator's policies that are read.
const FOLDERS: [&str; 4] = ["builtin", "custom", "bindings", "exceptions"];
/// The file of ownership rules in an operator's policies.
pub(crate) const OWNERS: &str = "owners.yaml";

/// The rules in force, with the text that they came from.
#[derive(Debug)]
pub struct Rules {
    /// The rules, checked.
    pub set: RuleSet,
    /// Their files, to be shown beside findings.
    pub sources: Vec<SourceFile>,
    /// What decides whose findings and associations are.
    pub ownership: Ownership,
}

impl Rules {
    /// Loads the rules and the ownership rules that a configuration names.
    ///
    /// # Errors
    /// Every problem of every file; or one that cannot be read.
    pub fn configured(config: &Config) -> Result<Self, Error> {
        Self::load_with(config.policies.dir.as_deref(), &config.owners)
    }

    /// Loads the built-in rules and those of a folder, if one is given.
    ///
    /// # Errors
    /// Every problem of every file; or a folder that cannot be read.
    pub fn load(dir: Option<&Path>) -> Result<Self, Error> {
        Self::load_with(dir, &OwnersConfig::default())
    }

    /// Loads the rules of a folder, and the ownership rules.
    ///
    /// # Errors
    /// Every problem of every file; or one that cannot be read.
    pub fn load_with(dir: Option<&Path>, owners: &OwnersConfig) -> Result<Self, Error> {
        let sources = sources(dir)?;
        let set = RuleSet::load(&sources, rolecall_audit::facts::schema());
        match (set, ownership(dir, owners)?) {
            (Ok(set), Ok(ownership)) => Ok(Self { set, sources, ownership }),
            (set, ownership) => {
                let errors = [set.err(), ownership.err()];
                Err(Error::Rules(errors.into_iter().flatten().flatten().collect()))
            }
        }
    }
}

/// The keys of tags, and the ownership rules of the file that is named, or of the one of the folder.
fn ownership(dir: Option<&Path>, owners: &OwnersConfig) -> Result<Result<Ownership, Vec<LoadError>>, Error> {
    let usual = || dir.map(|dir| dir.join(OWNERS)).filter(|file| file.is_file());
    let tag_keys = owners.tag_keys.clone();
    let Some(path) = owners.file.clone().or_else(usual) else {
        return Ok(Ok(Ownership { tag_keys, rules: OwnerRules::default() }));
    };
    let text = text_of(&path).map_err(|source| Error::File {
        doing: "read the ownership rules",
        path: path.clone(),
        source,
    })?;
    let file = SourceFile { path: path.display().to_string(), text };
    let rules = OwnerRules::load(&file, rolecall_audit::facts::schema());
    Ok(rules.map(|rules| Ownership { rules, tag_keys }))
}

/// The files that make up the rules: ours, and the folder's. A folder with a `builtin/` of its own
/// stands alone: nothing of ours is added.
///
/// # Errors
/// A folder that cannot be read, or that holds rule files where none is looked for.
pub fn sources(dir: Option<&Path>) -> Result<Vec<SourceFile>, Error> {
    let shipped =
        || SHIPPED.iter().map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() });
    let Some(dir) = dir else { return Ok(shipped().collect()) };
    let mut sources = Vec::new();
    if !dir.join("builtin").is_dir() {
        sources.extend(shipped());
    }
    for entry in list(dir)? {
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if entry.is_dir() && FOLDERS.contains(&name.as_str()) {
            read_folder(&entry, &mut sources)?;
        } else if is_rule_file(&entry) && name != OWNERS {
            return Err(Error::Usage {
                what: format!("{} is in no folder that is read", entry.display()),
                remedy: format!("move it to custom/, bindings/ or exceptions/; ownership rules are in {OWNERS}"),
            });
        }
    }
    Ok(sources)
}

fn read_folder(dir: &Path, sources: &mut Vec<SourceFile>) -> Result<(), Error> {
    for entry in list(dir)? {
        if entry.is_dir() {
            read_folder(&entry, sources)?;
        } else if is_rule_file(&entry) {
            let text = text_of(&entry).map_err(|source| Error::File {
                doing: "read the rule file",
                path: entry.clone(),
                source,
            })?;
            sources.push(SourceFile { path: entry.display().to_string(), text });
        }
    }
    Ok(())
}

/// A rule file's text, as far as it tells that the file is larger than any that is read.
fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    trails::open_file(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a file is one of rules by its name: one that cannot be read is no rule less.
fn is_rule_file(path: &Path) -> bool {
    !path.is_dir() && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// What a folder holds, by name, but for what Kubernetes keeps beside the files of a mounted `ConfigMap`: the
/// folder `..data` with the same files, and the one of their version that it leads to.
fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::File { doing: "read the folder", path: dir.to_owned(), source };
    let entries = std::fs::read_dir(dir).map_err(failed)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.retain(|path| path.file_name().is_none_or(|name| !name.to_string_lossy().starts_with("..")));
    paths.sort();
    Ok(paths)
}

/// The files of `policies/bindings/` and `policies/builtin/`, as the build script lists them.
const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped_policies.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_binary_carries_every_built_in_rule() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let carried: BTreeSet<String> = SHIPPED.iter().map(|(path, _)| (*path).to_owned()).collect();
        let on_disk = |folder: &str| {
            let name = |path: PathBuf| format!("policies/{folder}/{}", path.file_name().unwrap().to_string_lossy());
            list(&root.join("policies").join(folder)).unwrap().into_iter().map(name).collect::<Vec<_>>()
        };
        let expected: BTreeSet<String> = on_disk("builtin").into_iter().chain(on_disk("bindings")).collect();
        assert_eq!(carried, expected);
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_no_rule_less() {
        for (n, target) in ["nowhere.yaml", "/dev/zero", "circle.yaml"].into_iter().enumerate() {
            let folder = std::env::temp_dir().join(format!("rolecall-rules-{}-{n}", std::process::id()));
            std::fs::create_dir_all(folder.join("custom")).unwrap();
            std::os::unix::fs::symlink(target, folder.join("custom/circle.yaml")).unwrap();
            let error = Rules::load(Some(&folder)).unwrap_err();
            assert!(error.to_string().contains("circle.yaml"), "{target}: {error}");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn a_mounted_config_map_is_read_once() {
        let folder = std::env::temp_dir().join(format!("rolecall-rules-{}-mounted", std::process::id()));
        let custom = folder.join("custom");
        let version = custom.join("..2026_11_29_21_30_00.123456789");
        std::fs::create_dir_all(&version).unwrap();
        let (_, shipped) = SHIPPED.iter().find(|(name, _)| name.ends_with("/wildcard-action.yaml")).unwrap();
        let own = shipped.replace("wildcard-action", "own-wildcard-action");
        std::fs::write(version.join("own.yaml"), own).unwrap();
        std::os::unix::fs::symlink(version.file_name().unwrap(), custom.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/own.yaml", custom.join("own.yaml")).unwrap();
        let sources = sources(Some(&folder)).unwrap();
        let own: Vec<_> = sources.iter().filter(|source| source.path.contains("own.yaml")).collect();
        assert_eq!(own.len(), 1, "{:?}", own.iter().map(|source| &source.path).collect::<Vec<_>>());
        Rules::load(Some(&folder)).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_with_rules_of_its_own_stands_alone() {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        let (ours, theirs) = (Rules::load(None).unwrap(), Rules::load(Some(&policies)).unwrap());
        assert_eq!(ours.set.rules().len(), theirs.set.rules().len());
        assert!(theirs.sources.iter().all(|source| source.path.starts_with(&*policies.to_string_lossy())));
    }
}
