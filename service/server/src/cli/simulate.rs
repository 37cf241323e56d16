//! `simulate`: what AWS would answer to a request.
//!
//! With `--cases`: requests and their policies from files, an answer a line. It needs no
//! configuration, no database and no network. Otherwise one request against the stored estate, with
//! documents from files in the place of any policy type.

use super::Format;
use super::case_files::CaseKind;
use super::{Context, print, print_json, with_existing_database};
use crate::error::Error;
use crate::http::as_of;
use crate::progress::Progress;
use crate::query::simulate::{self, Answer, SimulateError};
use rolecall_audit::access::simulate::{Given, Question, WhatIf};
use rolecall_iam::cases::{self, Case, CaseAnswer};
use rolecall_iam::{AccountId, Document, Explanation, PolicyEffect};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to simulate.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("question").args(["cases", "principal"]).required(true)))]
pub struct Args {
    /// Files of evaluation cases, `-` for stdin: prints one JSON object a case
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub cases: Vec<PathBuf>,
    /// Compare each answer with the case's `expected`, and end with 1 if one differs
    #[arg(long, requires = "cases")]
    pub check: bool,
    /// Who asks: an ARN, a service, `anonymous`, or a pod as ACCOUNT/REGION/CLUSTER/NAMESPACE/SERVICE-ACCOUNT
    #[arg(long, value_name = "PRINCIPAL", requires = "action")]
    pub principal: Option<String>,
    /// The action, such as s3:GetObject
    #[arg(long, value_name = "ACTION", requires = "principal")]
    pub action: Option<String>,
    /// The resource's ARN
    #[arg(long, value_name = "ARN", default_value = "*", requires = "principal")]
    pub resource: String,
    /// The resource's account, where its ARN does not name it (S3)
    #[arg(long, value_name = "ACCOUNT", requires = "principal")]
    pub resource_account: Option<AccountId>,
    /// A condition key's value; several times for a key of several values
    #[arg(long, value_name = "KEY=VALUE", requires = "principal", value_parser = pair)]
    pub context: Vec<(String, String)>,
    /// Condition keys that are not given are absent, rather than not known
    #[arg(long, requires = "principal")]
    pub closed: bool,
    /// As it was known at this time: an RFC 3339 instant, or a day, which stands for its last moment in UTC
    #[arg(long, value_name = "TIME", requires = "principal")]
    pub at: Option<String>,
    /// Documents in the place of what is stored.
    #[command(flatten)]
    pub what_if: WhatIfArgs,
}

/// Documents that stand in for what the estate holds: files, or `none`.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What if (files; `none` stands for no policy of that type)")]
pub struct WhatIfArgs {
    /// Instead of the principal's own policies
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "principal")]
    pub identity: Vec<String>,
    /// Instead of the permissions boundary
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "principal")]
    pub boundary: Vec<String>,
    /// Instead of the session policy
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "principal")]
    pub session_policy: Vec<String>,
    /// Instead of all SCPs, as one level
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "principal")]
    pub scp: Vec<String>,
    /// Instead of all RCPs, as one level
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "principal")]
    pub rcp: Vec<String>,
    /// The policy on the resource
    #[arg(long, value_name = "FILE", requires = "principal")]
    pub resource_policy: Option<String>,
    /// Instead of the trust policy of the role that is asked for
    #[arg(long, value_name = "FILE", requires = "principal")]
    pub trust_policy: Option<String>,
    /// The policies of the VPC endpoint that the request goes through
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "principal")]
    pub vpc_endpoint_policy: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give KEY=VALUE, such as aws:SourceIp=203.0.113.7".to_owned()),
    }
}

/// Reads what stands in for a policy type; `None` where nothing was given.
fn given(files: &[String]) -> Result<Option<Vec<Given>>, Error> {
    let read = |name: &String| {
        let text =
            std::fs::read_to_string(name).map_err(|source| Error::File { doing: "read", path: name.into(), source })?;
        Ok(Given { name: name.clone(), document: Document::new(&text) })
    };
    match files {
        [] => Ok(None),
        [none] if none == "none" => Ok(Some(Vec::new())),
        files => files.iter().map(read).collect::<Result<_, Error>>().map(Some),
    }
}

impl Args {
    /// The question that the options put.
    fn question(&self) -> Result<Question, Error> {
        let mut context: Vec<(String, Vec<String>)> = Vec::new();
        for (key, value) in &self.context {
            match context.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(key)) {
                Some((_, values)) => values.push(value.clone()),
                None => context.push((key.clone(), vec![value.clone()])),
            }
        }
        let one = |file: &Option<String>| given(file.as_slice());
        Ok(Question {
            principal: self.principal.clone().unwrap_or_default(),
            action: self.action.clone().unwrap_or_default(),
            resource: self.resource.clone(),
            resource_account: self.resource_account,
            context,
            closed: self.closed,
            what_if: WhatIf {
                identity: given(&self.what_if.identity)?,
                boundary: given(&self.what_if.boundary)?,
                session: given(&self.what_if.session_policy)?,
                scp: given(&self.what_if.scp)?,
                rcp: given(&self.what_if.rcp)?,
                resource: one(&self.what_if.resource_policy)?,
                trust: one(&self.what_if.trust_policy)?,
                vpc_endpoint: given(&self.what_if.vpc_endpoint_policy)?,
            },
        })
    }
}

/// Decides one request against the stored estate and prints the answer.
///
/// # Errors
/// A file that cannot be read, a question that cannot be put, a database that fails.
pub async fn one_request(context: Context, args: &Args) -> Result<ExitCode, Error> {
    let question = args.question()?;
    let progress = Progress::silent();
    let answer = with_existing_database(&context, &progress, async |database| {
        let as_of = match &args.at {
            Some(at) => Some(as_of::named(&database.store, at).await.map_err(as_of::usage_error)?),
            None => None,
        };
        simulate::answer(&database.store, &question, as_of).await.map_err(|error| match error {
            SimulateError::Store(error) => error.into(),
            SimulateError::Ask(error) => Error::Question(error),
        })
    })
    .await?;
    match context.format {
        Format::Json => print_json(&json(&question, &answer))?,
        _ => print(&format!("{}\n", text(&question, &answer)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn json(question: &Question, answer: &Answer) -> serde_json::Value {
    let Explanation { outcome, because, reasons, policies, minimal_changes } = &answer.explanation;
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "decision": outcome.as_str(), "because": because, "reasons": reasons, "policies": policies,
        "minimal_changes": minimal_changes,
        "principal": answer.principal, "action": question.action, "resource": answer.resource, "notes": answer.notes,
    })
}

/// The answer for a person: the decision, why, the effect of each policy, and what would change it.
fn text(question: &Question, answer: &Answer) -> String {
    let Explanation { outcome, because, reasons, policies, minimal_changes } = &answer.explanation;
    let mut out = format!("{}: {because}\n", outcome.as_str());
    let mut line = |head: &str, text: &str| {
        let _ = writeln!(out, "  {head:<12}{text}");
    };
    line("principal", &answer.principal);
    line("action", &question.action);
    line("resource", &answer.resource);
    for note in &answer.notes {
        line("note", note);
    }
    for reason in reasons {
        line("unknown", &reason.to_string());
    }
    out.push_str("\nPolicies\n");
    for policy in policies {
        let effect = match policy.effect {
            PolicyEffect::Allow => "allow",
            PolicyEffect::ExplicitDeny => "explicit deny",
            PolicyEffect::ImplicitDeny => "implicit deny",
            PolicyEffect::Unknown => "unknown",
            PolicyEffect::NotApplicable => "not applicable",
        };
        let _ = writeln!(out, "  {effect:<16}{}: {}", policy.name, policy.because);
        for statement in &policy.statements {
            let effect = if statement.denies { "Deny" } else { "Allow" };
            let sid = statement.sid.as_deref().map(|sid| format!(" ({sid})")).unwrap_or_default();
            let sure = if statement.certain { "" } else { ", if at all" };
            let _ = writeln!(out, "  {:<16}  {effect} {}{}{sid}{sure}", "", statement.source, statement.pointer);
        }
    }
    if !minimal_changes.is_empty() {
        out.push_str("\nRequired changes\n");
        for change in minimal_changes {
            let _ = writeln!(out, "  - {}", change.text);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Evaluation cases.
const CASES: CaseKind<Case, CaseAnswer> = CaseKind {
    noun: "cases",
    each: |name, bytes, take| cases::each(name, bytes, take),
    answer: |case| match case {
        Ok(case) => case.answer(),
        Err(error) => error.answer(),
    },
    compare: |case, answer| {
        Some(match case.agrees(answer.decision)? {
            true => Ok(()),
            false => Err(difference(case, answer)),
        })
    },
};

fn difference(case: &Case, answer: &CaseAnswer) -> String {
    let expected = case.expected.as_deref().unwrap_or_default();
    let mut text = format!("{}: expected {expected}, decided {}: {}", case.id, answer.decision, answer.because);
    if !case.reason.is_empty() {
        let _ = write!(text, " | expected because: {}", case.reason);
    }
    text
}

/// Decides every case of the files, in their order.
///
/// # Errors
/// Nobody reads what we print.
pub fn cases(args: &Args) -> Result<ExitCode, Error> {
    CASES.run(&args.cases, args.check)
}

#[cfg(test)]
mod tests {
    use super::super::case_files::Tally;
    use super::*;

    const TEXT: &str = r#"[
        {"id":"a","request":{"principal":"anonymous","action":"s3:GetObject","resource":"arn:aws:s3:::b/k"},
         "policies":{},"expected":"Deny"},
        {"id":"b","request":{"principal":"anonymous","action":"s3:GetObject","resource":"arn:aws:s3:::b/k"},
         "policies":{"resource":{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}}},
         "expected":"Deny(implicit)"},
        {"id":"c"}]"#;

    #[test]
    fn answers_are_lines_in_order_and_differences_are_told() {
        let (mut tally, mut out, mut notes) = (Tally::default(), Vec::new(), Vec::new());
        CASES.file("f.json", TEXT.as_bytes(), true, &mut tally, &mut out, &mut notes).unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<(&str, &str)> =
            lines.iter().map(|l| (l["id"].as_str().unwrap(), l["decision"].as_str().unwrap())).collect();
        assert_eq!(said, [("a", "Deny(implicit)"), ("b", "Allow"), ("c", "Error")]);
        assert!(
            lines
                .iter()
                .all(|l| l["because"].as_str().is_some_and(|b| !b.is_empty()) && l.as_object().unwrap().len() == 3)
        );
        let Tally { cases, broken, compared, disagreements } = tally;
        assert_eq!((cases, broken, compared, disagreements), (3, 1, 2, 1));
        let notes = String::from_utf8(notes).unwrap();
        assert!(
            notes.contains("b: expected Deny(implicit), decided Allow") && notes.contains("`/2/request`"),
            "{notes}"
        );
    }
}
