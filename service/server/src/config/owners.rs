//! `[owners]`: what decides whose findings and associations are.

use super::read::Reader;
use rolecall_audit::owner::Ownership;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The most characters of a tag's key:
/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>.
const LONGEST_KEY: usize = 128;

/// `[owners]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnersConfig {
    /// Keys of tags whose value is the owner, the first that is there.
    pub tag_keys: Vec<String>,
    /// A file of ownership rules; `None`: `owners.yaml` of the folder of policies, where there is one.
    pub file: Option<PathBuf>,
}

impl Default for OwnersConfig {
    fn default() -> Self {
        Self { tag_keys: Ownership::default().tag_keys, file: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOwners {
    tag_keys: Option<Vec<Spanned<String>>>,
    file: Option<Spanned<String>>,
}

impl Reader<'_> {
    pub(super) fn owners(&mut self, raw: RawOwners, base: &Path) -> OwnersConfig {
        let mut owners = OwnersConfig::default();
        if let Some(keys) = raw.tag_keys {
            owners.tag_keys.clear();
            for key in keys {
                let (at, key) = (key.span().start, key.into_inner());
                if key.trim().is_empty() || key.chars().count() > LONGEST_KEY {
                    let message = format!("`{}` cannot be the key of a tag", key.escape_debug());
                    self.problem(at, "owners.tag_keys", &message, "write 1 to 128 characters, in the case of the tag");
                } else if owners.tag_keys.contains(&key) {
                    let message = format!("`{}` is there twice", key.escape_debug());
                    self.problem(at, "owners.tag_keys", &message, "leave one of them out");
                } else {
                    owners.tag_keys.push(key);
                }
            }
        }
        match raw.file {
            Some(file) if file.get_ref().trim().is_empty() => {
                self.problem(file.span().start, "owners.file", "it is empty", "name a file, or leave it out");
            }
            file => owners.file = file.map(|file| base.join(file.into_inner())),
        }
        owners
    }
}
