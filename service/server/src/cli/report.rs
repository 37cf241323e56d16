//! `report access`: the auditor's report of what is stored, as text or as the JSON that its digest is over.

use super::{Context, Format, operator, print, with_existing_database};
use crate::error::Error;
use crate::http::api::access_report::{AccessReportJson, Asked, Canonical, REPORT, WhenJson};
use crate::http::query::Params;
use crate::progress::Progress;
use crate::query::access_report::Failure;
use clap::Args as ClapArgs;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// What a report is asked by.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The ARN of a role: who could assume it, and who did
    #[arg(long, value_name = "ARN", required_unless_present = "workload", conflicts_with = "workload")]
    role: Option<String>,
    /// A workload, as account/region/cluster/namespace/service-account: which roles it could get, and which it used
    #[arg(long, value_name = "KEY")]
    workload: Option<String>,
    /// The begin of the period, such as 2026-11-01 [default: seven days before its end]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The end of the period, which is not part of it [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// What stopped it.
pub async fn access(context: Context, args: Args) -> Result<ExitCode, Error> {
    let given = [("role", args.role), ("workload", args.workload), ("since", args.since), ("until", args.until)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let usage = |error: crate::http::error::AppError| Error::Usage {
        what: error.errors.first().map_or_else(|| error.detail.clone(), |fault| fault.message.clone()),
        remedy: "see `rolecall report access --help`".to_owned(),
    };
    let params = Params::from_pairs(given, &[REPORT]).map_err(usage)?;
    let progress = Progress::silent();
    let format = context.format;
    with_existing_database(&context, &progress, async |database| {
        let asked = Asked::new(&params, database.store.now().await?).map_err(usage)?;
        let found = asked.report(&database.store).await.map_err(|failure| match failure {
            Failure::Store(error) => Error::from(error),
            Failure::Unknown(_) => Error::Usage {
                what: failure.to_string(),
                remedy: "see `rolecall export roles` and `rolecall export associations` for what is known".to_owned(),
            },
            Failure::Stopped(error) => Error::Output(std::io::Error::other(error)),
        })?;
        let report = AccessReportJson::from(&found);
        let canonical = report.canonical().map_err(|error| Error::Output(error.into()))?;
        match format {
            // The bytes that the digest is over: no line end after them.
            Format::Json => {
                let mut out = std::io::stdout().lock();
                out.write_all(canonical.text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
            }
            _ => print(&text(&report, &canonical)),
        }
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// The report for a person.
fn text(report: &AccessReportJson, canonical: &Canonical) -> String {
    let mut out = String::new();
    let subject = report.role_arn.as_ref().or(report.workload.as_ref()).map_or("", String::as_str);
    let minute = |at: &chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    let as_of = report.as_of.as_ref().map_or_else(|| "no scan".to_owned(), minute);
    let _ = writeln!(out, "Access report on {subject}");
    let _ = writeln!(out, "  period   {} to {}", minute(&report.since), minute(&report.until));
    let _ = writeln!(out, "  as of    {as_of}, the latest of {} scans read", report.scans.len());
    let _ = writeln!(out, "  made by  {}, Rolecall {}", operator(), report.rolecall_version);
    let _ = writeln!(out, "  SHA-256  {}", canonical.digest);
    let _ = writeln!(out, "\n{}", report.answer);
    let _ = writeln!(out, "\nNot seen");
    for it in &report.not_seen {
        let _ = writeln!(out, "  {}: {}", it.about, it.text);
    }
    if report.not_seen.is_empty() {
        let _ = writeln!(out, "  nothing: listings and trails were complete");
    }
    let _ = writeln!(out, "\nWho did (sessions, refused)");
    for it in &report.sessions {
        let known = [&it.namespace, &it.service_account].into_iter().flatten().cloned().collect::<Vec<_>>().join("/");
        let who = it.association.as_ref().or(it.principal.as_ref()).cloned();
        let who = who.unwrap_or_else(|| if known.is_empty() { "pods".to_owned() } else { format!("pods of {known}") });
        let role = it.role_arn.as_deref().unwrap_or("no role named");
        let of = if report.workload.is_some() { format!("{role} by {who}") } else { who };
        let (first, last) = (minute(&it.first), minute(&it.last));
        let _ = writeln!(out, "  {:>7} {:>5}  {of}, {}, {first} to {last}", it.sessions, it.refused, it.kind_words);
    }
    if report.sessions.is_empty() {
        let _ = writeln!(out, "  none is known");
    }
    let could = |out: &mut String, head: &str, rows: Vec<(String, &WhenJson)>| {
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n{head}");
        for (what, when) in rows {
            let seen = match (when.throughout, when.seen_at.len()) {
                (true, _) => "in every scan read".to_owned(),
                (false, n) => format!("in {n} of {} scans", report.scans.len()),
            };
            let unknown = if when.unknown_reasons.is_empty() { "" } else { ", unknown whether" };
            let _ = writeln!(out, "  {what}, {seen}{unknown}");
            for why in &when.unknown_reasons {
                let _ = writeln!(out, "      {why}");
            }
        }
    };
    let each = report.principals.iter().map(|it| (it.principal.clone(), &it.when)).collect();
    could(&mut out, "Principals of the trust policy", each);
    let each = report.workloads.iter().map(|it| (format!("{} ({})", it.association, it.via), &it.when)).collect();
    could(&mut out, "Workloads that could", each);
    let each = report.roles.iter().map(|it| (it.role_arn.clone(), &it.when)).collect();
    could(&mut out, "Roles that could", each);
    let each = report.obtainable_roles.iter().map(|it| (format!("{} ({})", it.role_arn, it.via), &it.when)).collect();
    could(&mut out, "Roles that it could get", each);
    let _ = writeln!(out, "\nChanges");
    for it in &report.changes {
        let who = it.actor.as_deref().unwrap_or("nobody named");
        let _ =
            writeln!(out, "  {}  {} of {}, {}, by {who}", minute(&it.detected_at), it.change, it.resource, it.effect);
    }
    match (report.changes.is_empty(), report.has_more_changes) {
        (true, _) => drop(writeln!(out, "  none")),
        (false, true) => drop(writeln!(out, "  and more")),
        (false, false) => {}
    }
    out
}
