//! Baselines: read from files, compared with the estate, and the changes that are approved with them.
//!
//! Knows the order of the steps and whose signatures count. Refuses to know what a state is, how states are compared,
//! and SQL.

use crate::audit::files::{self, Found};
use crate::config::BaselinesConfig;
use crate::error::Error;
use crate::signature::signer;
use rolecall_audit::drift::Resource;
use rolecall_audit::drift::baseline::{Baseline, Compared, LARGEST, compare, covers, parse as parse_file};
use rolecall_estate::Estate;
use rolecall_iam::AccountId;
use rolecall_rules::LoadError;
use rolecall_store::{BaselineRow, ChangeRow, NewBaseline, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the files of a folder hold.
#[derive(Debug, Default)]
pub struct BaselineFiles {
    /// The baselines that count.
    pub baselines: Vec<NewBaseline>,
    /// What is wrong with the others.
    pub problems: Vec<LoadError>,
    /// How many files there are.
    pub files: usize,
}

/// Reads the baselines of the configured folder, if there is one. What cannot be read, or is not signed as the
/// configuration asks, does not count.
#[must_use]
pub fn read(config: &BaselinesConfig) -> BaselineFiles {
    let mut found = BaselineFiles::default();
    let Some(folder) = config.folder.as_ref().filter(|folder| folder.exists()) else { return found };
    let mut paths: Vec<PathBuf> = Vec::new();
    files::walk(std::slice::from_ref(folder), |it| match it {
        Found::File(path) | Found::Named(path) => {
            let name = files::name(path);
            if name.ends_with(".json") && !name.starts_with('.') {
                paths.push(path.to_owned());
            }
            false
        }
        Found::Folder(path) => !files::name(path).starts_with('.'),
        Found::Unread(path, why) => {
            found.problems.push(problem(path, 1, "", format!("it cannot be read: {why}"), "let the service read it"));
            false
        }
    });
    paths.sort();
    let mut seen: BTreeMap<(AccountId, Resource), PathBuf> = BTreeMap::new();
    for path in paths {
        found.files += 1;
        let text = match files::head(&path, LARGEST + 1).map(String::from_utf8) {
            Ok(Ok(text)) if u64::try_from(text.len()).unwrap_or(u64::MAX) <= LARGEST => text,
            Ok(Ok(_)) => {
                found.problems.push(problem(&path, 1, "", "it is larger than 64 MiB".to_owned(), "split it"));
                continue;
            }
            Ok(Err(_)) => {
                found.problems.push(problem(&path, 1, "", "it is not UTF-8".to_owned(), "write it as UTF-8"));
                continue;
            }
            Err(why) => {
                let message = format!("it cannot be read: {why}");
                found.problems.push(problem(&path, 1, "", message, "let the service read it"));
                continue;
            }
        };
        let (baselines, problems) = parse_file(&path.display().to_string(), &text);
        found.problems.extend(problems);
        for (line, baseline) in baselines {
            let of = (baseline.account_id, baseline.resource.clone());
            if let Some(other) = seen.insert(of, path.clone()) {
                let message = format!("`{}` stands in {}, too", baseline.resource.name, other.display());
                found.problems.push(problem(&path, line, "resource", message, "keep one of them"));
                continue;
            }
            match signed_by(&baseline, config) {
                Ok(signed_by) => found.baselines.push(NewBaseline {
                    baseline,
                    compared: Compared::not_yet(),
                    signed_by,
                    file: Some(path.display().to_string()),
                }),
                Err(message) => {
                    let message = format!("`{}`: {message}", baseline.resource.name);
                    let remedy = "approve the resource anew where `[baselines] signing_key_file` names a trusted key, and \
                                  export it";
                    found.problems.push(problem(&path, line, "signature", message, remedy));
                }
            }
        }
    }
    found
}

fn problem(path: &Path, line: usize, field: &str, message: String, remedy: &str) -> LoadError {
    LoadError {
        file: path.display().to_string(),
        line,
        column: 1,
        field: field.to_owned(),
        message,
        remedy: remedy.to_owned(),
    }
}

/// Who signed a baseline of a file; nobody, where that is enough.
fn signed_by(baseline: &Baseline, config: &BaselinesConfig) -> Result<Option<String>, String> {
    let Some(signature) = &baseline.signature else {
        return match config.trusted_keys.is_empty() {
            true => Ok(None),
            false => Err("it is not signed, and `[baselines] trusted_keys` is set".to_owned()),
        };
    };
    let key = signer(&baseline.signed_bytes(), signature)?;
    match config.trusted_keys.is_empty() || config.trusted_keys.contains(&key) {
        true => Ok(Some(key.to_string())),
        false => Err(format!("it is signed with the key {key}, which `[baselines] trusted_keys` does not have")),
    }
}

/// Reads the files anew, if a folder is configured. Where some of them cannot be read or do not count, no baseline of
/// a file ends for being absent.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn renew(store: &Store, config: &BaselinesConfig) -> Result<(), Error> {
    if config.folder.is_none() {
        return Ok(());
    }
    let config = config.clone();
    let found = tokio::task::spawn_blocking(move || read(&config)).await.map_err(Error::Judging)?;
    for problem in &found.problems {
        tracing::warn!(%problem, "a baseline does not count");
    }
    store.keep_baselines(&found.baselines).await?;
    if found.problems.is_empty() {
        let present: Vec<String> = found.baselines.iter().map(|new| new.baseline.id()).collect();
        store.end_baselines_of_files(&present).await?;
    }
    Ok(())
}

/// Compares the baselines in force of some accounts, or of all where none is named, with the estate, and approves the
/// changes whose result is part of an approved state. Says how many changes that are.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn compare_and_approve(
    store: &Store,
    estate: Arc<Estate>,
    accounts: &[AccountId],
) -> Result<u64, Error> {
    let rows = store.baselines_in_force(accounts).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let comparing = tokio::task::spawn_blocking(move || {
        let mut known: Vec<(BaselineRow, Baseline)> = Vec::new();
        let mut unread: Vec<(String, Compared)> = Vec::new();
        for row in rows {
            match row.baseline() {
                Ok(baseline) => known.push((row, baseline)),
                Err(why) => {
                    let because = format!("this version cannot read the approved state: {why}");
                    unread.push((row.id, Compared { because, ..Compared::not_yet() }));
                }
            }
        }
        let baselines: Vec<Baseline> = known.iter().map(|(_, baseline)| baseline.clone()).collect();
        let compared = compare(&baselines, &estate);
        let known: Vec<(BaselineRow, Baseline, Compared)> =
            known.into_iter().zip(compared).map(|((row, baseline), compared)| (row, baseline, compared)).collect();
        (known, unread)
    });
    let (known, unread) = comparing.await.map_err(Error::Judging)?;
    let differing = known.iter().filter(|(row, _, compared)| row.compared != *compared);
    let changed: Vec<(String, Compared)> =
        differing.map(|(row, _, compared)| (row.id.clone(), compared.clone())).chain(unread).collect();
    store.keep_compared(&changed).await?;
    approve(store, &known).await
}

async fn approve(store: &Store, known: &[(BaselineRow, Baseline, Compared)]) -> Result<u64, Error> {
    let mut approved = 0;
    let mut of: BTreeMap<usize, Vec<ChangeRow>> = BTreeMap::new();
    for row in store.changes_of_baselines().await? {
        let with = known.iter().position(|(_, baseline, compared)| covers(baseline, compared, &row.change));
        if let Some(index) = with {
            of.entry(index).or_default().push(row);
        }
    }
    for (index, rows) in of {
        let Some((row, baseline, _)) = known.get(index) else { continue };
        store.approve_with_baseline(&row.id, &rows, &baseline.approval, &row.who).await?;
        approved += u64::try_from(rows.len()).unwrap_or_default();
    }
    Ok(approved)
}
