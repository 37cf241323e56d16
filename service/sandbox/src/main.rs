//! Serves a sandbox as a program of its own, for any AWS tool to point at.

use chrono::{DateTime, Utc};
use clap::{ArgGroup, Parser};
use rolecall_sandbox::{
    AUDIT_ROLE, Estate, Fault, FaultKind, Faults, GenerateOptions, HUB_ACCESS_KEY, Options, Sandbox, demo,
    generate_with_truth,
};
use std::error::Error;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// An AWS stand-in on 127.0.0.1: STS, IAM, EKS, CloudTrail and Organizations over an estate.
/// Signatures are not checked.
#[derive(Debug, Parser)]
#[command(version, group(ArgGroup::new("estate-source").required(true).args(["estate", "demo", "generate"])))]
struct Arguments {
    /// Serve the estate in this folder.
    #[arg(long, value_name = "DIR")]
    estate: Option<PathBuf>,
    /// Serve the demo estate.
    #[arg(long)]
    demo: bool,
    /// Serve an estate of this size: `roles=1000,associations=120`; also accounts, clusters, events, seed,
    /// and how many of each kind of problem: `problems=2`.
    #[arg(long, value_name = "SIZES")]
    generate: Option<String>,
    /// Write what is right about a generated estate to this file: what an audit has to find, and what it must not.
    #[arg(long, value_name = "FILE", requires = "generate")]
    truth: Option<PathBuf>,
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Name of the role that can be assumed in every account.
    #[arg(long, default_value = AUDIT_ROLE)]
    role: String,
    /// External id that assuming it needs.
    #[arg(long)]
    external_id: Option<String>,
    /// The estate's time (RFC 3339), for trails older than CloudTrail's 90 days.
    #[arg(long)]
    now: Option<DateTime<Utc>>,
    /// `LookupEvents` calls a second for each account and region; 0: any number.
    #[arg(long, default_value_t = 2)]
    lookups_per_second: u32,
    /// Refuse an action, such as `eks:ListClusters`, `iam:*`, or `iam:GetRole@111122223333` in one account.
    #[arg(long, value_name = "ACTION")]
    deny: Vec<String>,
    /// Throttle an action; `ACTION=N`: only its first N calls.
    #[arg(long, value_name = "ACTION")]
    throttle: Vec<String>,
    /// Let an action fail with an internal error; `ACTION=N`: only its first N calls.
    #[arg(long, value_name = "ACTION")]
    fail: Vec<String>,
    /// No page of any listing holds more than this many items.
    #[arg(long, value_name = "ITEMS")]
    page_size: Option<usize>,
    /// Every answer comes this many milliseconds later.
    #[arg(long, value_name = "MS")]
    latency: Option<u64>,
    /// Write the estate to this folder in the layout that `--estate` reads, and end.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// `roles=1000,associations=120` over the bench's sizes.
fn sizes(text: &str) -> Result<GenerateOptions, String> {
    let mut options = GenerateOptions::bench(Utc::now());
    for pair in text.split(',').filter(|p| !p.is_empty()) {
        let known = "accounts, roles, associations, clusters, events, problems, seed";
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("`{pair}`: KEY=NUMBER is needed, with one of {known}"))?;
        let number: usize = value.parse().map_err(|_| format!("`{pair}`: `{value}` is not a number"))?;
        match key {
            "accounts" => options.accounts = number,
            "roles" => options.roles = number,
            "associations" => options.associations = number,
            "clusters" => options.clusters = number,
            "events" => options.events = number,
            "problems" => options.problems = number,
            "seed" => options.seed = u64::try_from(number).unwrap_or_default(),
            _ => return Err(format!("`{key}` is none of {known}")),
        }
    }
    Ok(options)
}

/// The estate of these sizes, with the truth about it written where it is asked for.
fn generated(text: &str, arguments: &Arguments) -> Result<Estate, Box<dyn Error>> {
    let mut options = sizes(text)?;
    options.now = arguments.now.unwrap_or(options.now);
    let made = generate_with_truth(&options);
    if let Some(file) = &arguments.truth {
        std::fs::write(file, format!("{:#}\n", made.truth.to_json()))?;
    }
    Ok(made.estate)
}

/// `ACTION`, `ACTION@ACCOUNT`, `ACTION=N`.
fn fault(kind: FaultKind, text: &str) -> Result<Fault, String> {
    let (text, times) = match text.split_once('=') {
        Some((text, n)) => (text, Some(n.parse::<u32>().map_err(|_| format!("`{n}` is not a number of calls"))?)),
        None => (text, None),
    };
    let (action, account) = text.split_once('@').map_or((text, None), |(action, account)| (action, Some(account)));
    if action != "*" && !action.contains(':') {
        return Err(format!("`{action}` is not an action: `service:Operation`, `service:*` or `*` is needed"));
    }
    let mut fault = Fault::new(kind, action);
    if let Some(account) = account {
        fault = fault.in_account(account);
    }
    Ok(if let Some(n) = times { fault.times(n) } else { fault })
}

fn faults(arguments: &Arguments) -> Result<Faults, String> {
    let faults = Faults::none();
    let kinds = [
        (FaultKind::Deny, &arguments.deny),
        (FaultKind::Throttle, &arguments.throttle),
        (FaultKind::Fail, &arguments.fail),
    ];
    for (kind, actions) in kinds {
        for action in actions {
            faults.inject(fault(kind.clone(), action)?);
        }
    }
    if let Some(items) = arguments.page_size {
        faults.inject(Fault::page_size("*", items));
    }
    if let Some(milliseconds) = arguments.latency {
        faults.inject(Fault::latency("*", Duration::from_millis(milliseconds)));
    }
    Ok(faults)
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let (estate, bucket) = match (&arguments.estate, &arguments.generate) {
        (Some(folder), _) => (Estate::from_dir(folder)?, None),
        (None, Some(text)) => (generated(text, &arguments)?, None),
        (None, None) => {
            let (estate, bucket) = demo::estate_and_bucket(arguments.now.unwrap_or_else(Utc::now));
            (estate, Some(bucket))
        }
    };
    if let Some(folder) = &arguments.write {
        return Ok(estate.to_dir(folder)?);
    }
    let faults = faults(&arguments)?;
    let options = Options {
        audit_role: arguments.role,
        external_id: arguments.external_id,
        now: arguments.now,
        lookups_per_second: NonZeroU32::new(arguments.lookups_per_second),
        port: arguments.port,
    };
    let sandbox = Sandbox::start_with(estate, faults, options).await?;
    if let Some(bucket) = bucket {
        sandbox.serve_bucket(&bucket);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {} (hub account {}, access key {HUB_ACCESS_KEY})", sandbox.endpoint(), sandbox.hub())?;
    for (name, value) in sandbox.env() {
        writeln!(out, "export {name}={value}")?;
    }
    out.flush()?;
    drop(out);
    tokio::signal::ctrl_c().await?;
    sandbox.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            tracing::debug!(%text);
            let _ = writeln!(std::io::stderr(), "rolecall-sandbox: {text}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_over_the_bench_s_and_mistakes_are_named() {
        let read = sizes("roles=7,seed=3").unwrap();
        assert_eq!((read.roles, read.seed, read.associations), (7, 3, 120));
        assert!(sizes("role=7").unwrap_err().contains("`role` is none of"));
        assert!(sizes("roles").is_err() && sizes("roles=x").is_err());
    }

    #[test]
    fn faults_name_an_action_an_account_and_a_number() {
        let expected = Fault::deny("iam:GetRole").in_account("111122223333");
        assert_eq!(fault(FaultKind::Deny, "iam:GetRole@111122223333").unwrap(), expected);
        assert_eq!(fault(FaultKind::Throttle, "eks:*=3").unwrap(), Fault::throttle("eks:*").times(3));
        assert!(fault(FaultKind::Deny, "GetRole").is_err() && fault(FaultKind::Deny, "a:b=x").is_err());
    }

    #[test]
    fn an_estate_has_to_be_named() {
        assert!(Arguments::try_parse_from(["rolecall-sandbox"]).is_err());
        assert!(Arguments::try_parse_from(["rolecall-sandbox", "--demo", "--generate", "roles=1"]).is_err());
        assert!(Arguments::try_parse_from(["rolecall-sandbox", "--demo", "--port", "4566"]).is_ok());
    }
}
