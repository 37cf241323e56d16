//! `doctor`: whether everything that an audit calls is allowed, account by account.

use super::Format;
use super::{Context, print, print_json};
use crate::audit::scan::settings;
use crate::config::AwsConfig;
use crate::error::Error;
use crate::progress::Progress;
use rolecall_collect::{Answer, Hub, Plan, Probe, Settings};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Runs the command. Ends with 1 where a permission is missing.
///
/// # Errors
/// What keeps it from asking at all.
pub async fn run(context: Context) -> Result<ExitCode, Error> {
    let plan = Plan::new(questions(&context.config.aws)).map_err(Error::Plan)?;
    let progress = Progress::stderr();
    progress.step("Trying one call for each permission in each account");
    let probes = rolecall_collect::doctor(&plan).await;
    let of_trails = match context.config.trails.as_slice() {
        [] => Ok(Vec::new()),
        trails => rolecall_collect::trails::doctor(&plan, trails).await,
    };
    progress.done();
    let mut probes = probes?;
    probes.extend(of_trails?);
    let missing = rolecall_collect::missing_statement(&probes);
    if context.format == Format::Json {
        let rows: Vec<_> = probes.iter().map(row).collect();
        print_json(&json!({ "probes": rows, "missing": missing }))?;
    } else {
        print(&text(&probes, &missing))?;
    }
    let granted = probes.iter().all(|probe| probe.answer == Answer::Granted);
    Ok(ExitCode::from(u8::from(!granted)))
}

/// As an audit would ask, under a session name of the same form: a member role's trust may demand
/// the prefix and its hyphen.
fn questions(aws: &AwsConfig) -> Settings {
    let mut settings = settings(aws, Hub::default(), Vec::new());
    settings.session_name = format!("{}-doctor", settings.session_name);
    settings
}

fn row(probe: &Probe) -> serde_json::Value {
    let (answer, reason, detail) = match &probe.answer {
        Answer::Granted => ("granted", None, None),
        Answer::Failed { reason, detail } => ("failed", Some(reason.as_str()), Some(detail)),
        Answer::NotTried => ("not_tried", None, None),
    };
    json!({
        "account_id": probe.account_id, "action": probe.permission.action, "why": probe.permission.why,
        "answer": answer, "reason": reason, "detail": detail,
    })
}

fn text(probes: &[Probe], missing: &Option<serde_json::Value>) -> String {
    let mut accounts: BTreeMap<String, Vec<&Probe>> = BTreeMap::new();
    for probe in probes {
        accounts.entry(probe.account_id.to_string()).or_default().push(probe);
    }
    let width = probes.iter().map(|probe| probe.permission.action.len()).max().unwrap_or_default();
    let mut out = String::new();
    // Writing to a string cannot fail.
    for (account, probes) in &accounts {
        for probe in probes {
            let answer = match &probe.answer {
                Answer::Granted => "granted".to_owned(),
                Answer::NotTried => "not tried: the account could not be entered".to_owned(),
                Answer::Failed { reason, detail } => format!("{}: {detail}", reason.as_str().to_uppercase()),
            };
            let _infallible = writeln!(out, "{account}  {:<width$}  {answer}", probe.permission.action);
        }
    }
    let wanting: BTreeSet<&str> = accounts
        .iter()
        .filter(|(_, probes)| probes.iter().any(|probe| probe.answer != Answer::Granted))
        .map(|(account, _)| account.as_str())
        .collect();
    if wanting.is_empty() {
        let _infallible = writeln!(out, "\nEverything is allowed in {} accounts", accounts.len());
    } else {
        let names = wanting.into_iter().collect::<Vec<_>>().join(", ");
        let _infallible = writeln!(out, "\nNot everything could be seen in {names}");
    }
    if let Some(policy) = missing {
        let policy = serde_json::to_string_pretty(policy).unwrap_or_default();
        let _infallible = writeln!(out, "\nThis IAM policy grants what is missing:\n{policy}");
    }
    out
}

#[cfg(test)]
mod session_names {
    use super::*;

    #[test]
    fn the_shipped_trust_policy_admits_the_doctor_and_the_audits() {
        let text = include_str!("../../../../policies/aws/member-trust.json");
        let trust: serde_json::Value = serde_json::from_str(text).unwrap();
        let demanded = trust.pointer("/Statement/0/Condition/StringLike/sts:RoleSessionName").unwrap();
        let demanded = demanded.as_str().unwrap();
        let aws = AwsConfig::default();
        for name in
            [questions(&aws).session_name, format!("{}-{}", settings(&aws, Hub::default(), Vec::new()).session_name, 7)]
        {
            assert!(rolecall_iam::like(demanded, &name), "{demanded} refuses {name}");
        }
    }
}
