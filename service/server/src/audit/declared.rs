//! Files of infrastructure code, found and read.
//!
//! Passes over folders that hold what tools fetched.

use crate::audit::files::{self, Found};
use crate::config::DeclaredConfig;
use crate::error::Error;
use rolecall_declared::{Defaults, LARGEST, Reader};
use rolecall_estate::Estate;
use rolecall_estate::declared::Declared;
use rolecall_store::{RunId, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Endings of files in a folder that may declare something.
const ENDINGS: [&str; 5] = ["json", "yaml", "yml", "template", "tfstate"];
/// Folders that hold what tools fetched, and no code of the estate's.
const FETCHED: [&str; 2] = ["node_modules", "cdk.out.cache"];

/// What files leave out and the estate tells: its account, where it has only one, and its partition.
#[must_use]
pub fn defaults(given: &Defaults, estate: &Estate) -> Defaults {
    let account = match estate.accounts.as_slice() {
        [one] => Some(one.id),
        _ => None,
    };
    let partition = estate.roles.first().map(|role| role.arn.arn().partition().to_owned());
    Defaults {
        account: given.account.or(account),
        region: given.region.clone(),
        partition: given.partition.clone().or(partition),
    }
}

/// Reads files and folders. Files that are named are read whatever their name; of a folder those whose names
/// end as such files do. What is not there is a problem like any other. What lies below `base` is named from there.
#[must_use]
pub fn read(paths: &[PathBuf], base: &Path, defaults: Defaults) -> Declared {
    let named = |path: &Path| path.strip_prefix(base).unwrap_or(path).display().to_string();
    let mut reader = Reader::new(defaults);
    let mut found = Vec::new();
    files::walk(paths, |it| {
        match it {
            Found::Named(path) => found.push(path.to_owned()),
            Found::File(path) if is_code(path) => found.push(path.to_owned()),
            Found::File(_) => {}
            Found::Folder(path) => {
                let name = files::name(path);
                return !name.starts_with('.') && !FETCHED.contains(&name.as_str());
            }
            Found::Unread(path, why) => reader.unread(&named(path), &why.to_string()),
        }
        false
    });
    found.sort();
    found.dedup();
    for path in found {
        let name = named(&path);
        match files::head(&path, LARGEST + 1) {
            Ok(bytes) => reader.file(&name, &bytes),
            Err(why) => reader.unread(&name, &why.to_string()),
        }
    }
    reader.finish()
}

fn is_code(path: &Path) -> bool {
    let name = files::name(path);
    !name.starts_with('.') && name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

/// Reads anew what the configuration names, keeps it, and gives it to the estate that is judged. Without paths
/// what was read last stands; of a file that cannot be read now what it declared is remembered.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn renew(
    store: &Store,
    run: RunId,
    config: &DeclaredConfig,
    estate: &mut Estate,
) -> Result<(), Error> {
    let Some(paths) = config.paths.clone() else { return Ok(()) };
    if paths.is_empty() {
        estate.declared = None;
        return Ok(store.keep_declared(run, None).await?);
    }
    let given = Defaults { account: config.account, region: config.region.clone(), partition: None };
    let defaults = defaults(&given, estate);
    let base = config.base.clone();
    let reading = tokio::task::spawn_blocking(move || read(&paths, &base, defaults));
    let mut declared = reading.await.map_err(Error::Judging)?;
    if let Some(before) = &estate.declared {
        declared = declared.remembering(before);
    }
    store.keep_declared(run, Some(&declared)).await?;
    estate.declared = Some(Arc::new(declared));
    Ok(())
}
