//! `baselines export`: the baselines in force as files, one for each account.

use super::Format;
use super::{Context, print, print_json, with_database};
use crate::error::Error;
use crate::progress::Progress;
use rolecall_audit::drift::baseline::{Baseline, write};
use rolecall_iam::AccountId;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// Writes the files. Those of accounts that are not asked for stay as they are; a file whose account has no baseline in
/// force any more is left for a person to delete.
///
/// # Errors
/// What stopped it; where a resource is named, a file of its account that cannot be read.
pub async fn export(
    context: Context,
    account: Option<AccountId>,
    resource: Option<String>,
    dir: &Path,
) -> Result<ExitCode, Error> {
    let progress = Progress::silent();
    let accounts: Vec<AccountId> = account.into_iter().collect();
    let rows =
        with_database(&context, &progress, async |database| Ok(database.store.baselines_in_force(&accounts).await?))
            .await?;
    let mut of: BTreeMap<AccountId, Vec<Baseline>> = BTreeMap::new();
    for row in rows.iter().filter(|row| resource.as_ref().is_none_or(|name| *name == row.resource.name)) {
        let baseline = row.baseline().map_err(|why| Error::Usage {
            what: format!("the baseline {} of `{}` cannot be read: {why}", row.id, row.resource.name),
            remedy: "approve the resource anew".to_owned(),
        })?;
        of.entry(row.account_id).or_default().push(baseline);
    }
    let failed = |doing, path: &Path, source| Error::File { doing, path: path.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(|source| failed("make the folder", dir, source))?;
    let (mut files, mut number) = (Vec::new(), 0);
    for (account, mut baselines) in of {
        let path = dir.join(format!("{account}.json"));
        // What is named takes its place among what the file has.
        if resource.is_some() && path.exists() {
            let text = std::fs::read_to_string(&path).map_err(|source| failed("read", &path, source))?;
            let (kept, problems) = rolecall_audit::drift::baseline::parse(&path.display().to_string(), &text);
            if !problems.is_empty() {
                return Err(Error::Rules(problems));
            }
            let others = kept.into_iter().map(|(_, it)| it).filter(|it| Some(&it.resource.name) != resource.as_ref());
            baselines.extend(others);
        }
        number += baselines.len();
        std::fs::write(&path, write(account, &baselines)).map_err(|source| failed("write", &path, source))?;
        files.push(path.display().to_string());
    }
    if context.format == Format::Json {
        print_json(&json!({ "baselines": number, "files": files }))?;
    } else {
        print(&format!("{number} baselines in {} files\n", files.len()))?;
        files.iter().try_for_each(|file| print(&format!("{file}\n")))?;
    }
    Ok(ExitCode::SUCCESS)
}
