//! `export`: what is known, a row at a time, in memory that does not grow with the store.

use super::Format;
use super::{Context, with_database};
use crate::error::Error;
use crate::http::{ChangeEventJson, ChangeJson};
use crate::progress::Progress;
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use futures::TryStreamExt as _;
use rolecall_audit::reach::Workload;
use rolecall_store::{
    AssociationFilter, AssociationRow, ChangeEventAfter, ChangeEventFilter, ChangeFilter, Finding, FindingFilter,
    FindingVia, GapRow, RoleFilter, RoleRow, SessionAfter, SessionFilter, SessionRow, Store, UsageOf, UseRow,
};
use serde_json::{Value, json};
use std::io::{BufWriter, StdoutLock, Write as _};
use std::process::ExitCode;

/// Rows asked for at a time.
const PAGE: u32 = 500;

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Findings, resolved ones too, without those grouped under another
    Findings,
    /// Pod Identity associations
    Associations,
    /// Roles
    Roles,
    /// Coverage gaps of the latest scans
    Gaps,
    /// AssumeRole events with the pod and association that they are attributed to
    Sessions,
    /// Calls by role, association and action
    Usage,
    /// What changed between scans, whom it reaches, and who made it
    Changes,
    /// CloudTrail events of calls that changed, or tried to change, roles, policies, associations and clusters
    ChangeEvents,
}

impl What {
    /// The columns, in order: the keys of an NDJSON object and the head of a CSV file.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Findings => &[
                "fingerprint",
                "rule_id",
                "severity",
                "severity_because",
                "detection",
                "state",
                "subject_kind",
                "subject",
                "account_id",
                "region",
                "cluster",
                "namespace",
                "service_account",
                "role_arn",
                "target_role_arn",
                "message",
                "first_seen_at",
                "opened_at",
                "last_seen_at",
                "resolved_at",
                "resolution",
                "stale_reasons",
                "exception",
                "evidence",
                "number",
                "workload_count",
                "workloads",
                "part_of",
                "assumptions",
            ],
            Self::Associations => &[
                "association_id",
                "association_arn",
                "account_id",
                "region",
                "cluster",
                "namespace",
                "service_account",
                "role_arn",
                "target_role_arn",
                "external_id",
                "disable_session_tags",
                "policy_digest",
                "owner_arn",
                "tags",
                "created_at",
                "modified_at",
                "role_exists",
                "target_role_exists",
                "open_findings",
                "open_role_findings",
                "worst_severity",
                "extra",
            ],
            Self::Roles => &[
                "role_arn",
                "account_id",
                "role_id",
                "created_at",
                "trust_digest",
                "boundary_arn",
                "inline_policies",
                "attached_policies",
                "instance_profiles",
                "tags",
                "last_used_at",
                "last_used_region",
                "associations",
                "open_findings",
            ],
            Self::Gaps => {
                &["account_id", "region", "cluster", "scope", "action", "reason", "detail", "scan", "scanned_at"]
            }
            Self::Sessions => &[
                "access_key_id",
                "time",
                "role_arn",
                "session_name",
                "account_id",
                "region",
                "cluster",
                "namespace",
                "service_account",
                "pod",
                "association_id",
                "attribution_method",
                "parent_access_key_id",
                "error",
                "event_id",
                "kind",
                "principal",
                "principal_type",
                "source_ip",
                "tags",
                "external_id",
                "duration_seconds",
                "packed_policy_size",
                "attribution_reason",
                "candidates",
                "depth",
            ],
            Self::Changes => &[
                "change_id",
                "resource_type",
                "resource",
                "account_id",
                "region",
                "change",
                "effect",
                "gained",
                "lost",
                "affected",
                "caused_by",
                "detected_at",
                "event_time",
                "effective_at",
                "actor",
                "event_id",
                "source_ip",
                "user_agent",
                "attribution",
                "approval",
                "approval_at",
                "approval_by",
                "approval_reason",
                "approval_ticket",
                "approval_until",
            ],
            Self::Usage => &[
                "role_arn",
                "association_id",
                "action",
                "count",
                "errors",
                "first_seen",
                "last_seen",
                "denied",
                "account_id",
            ],
            Self::ChangeEvents => &[
                "event_id",
                "event_time",
                "account_id",
                "region",
                "event_source",
                "event_name",
                "actor",
                "actor_type",
                "principal_arn",
                "session_name",
                "access_key_id",
                "source_identity",
                "invoked_by",
                "source_ip",
                "user_agent",
                "agent_class",
                "error_code",
                "error_message",
                "denied",
                "resources",
                "request",
                "request_truncated",
            ],
        }
    }
}

/// Which findings; without options all that are listed by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Narrow {
    /// Findings in this cluster, or on roles that its pods reach
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    cluster: Option<String>,
    /// Findings in this namespace, or on roles that its pods reach
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    /// Findings of this service account, or on roles that its pods reach
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    service_account: Option<String>,
    /// Path from the pods: subject, role, direct, target or chain; any path if not given
    #[arg(long, value_name = "PATH", value_parser = via, value_delimiter = ',')]
    via: Vec<FindingVia>,
    /// Also findings that are listed under a graver one about the same statement
    #[arg(long)]
    folded: bool,
}

fn via(text: &str) -> Result<FindingVia, String> {
    let known = || FindingVia::ALL.map(FindingVia::as_str).join(", ");
    let found = FindingVia::ALL.into_iter().find(|via| via.as_str() == text);
    found.ok_or_else(|| format!("`{text}` is not one of {}", known()))
}

impl Narrow {
    fn filter(&self) -> FindingFilter {
        FindingFilter {
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            service_account: self.service_account.clone(),
            via: self.via.clone(),
            folded: self.folded,
            ..FindingFilter::default()
        }
    }
}

/// Runs the command.
///
/// # Errors
/// What stopped it. Rows already printed are whole.
pub async fn run(context: Context, what: What, narrow: Narrow) -> Result<ExitCode, Error> {
    if what != What::Findings && narrow != Narrow::default() {
        return Err(Error::Usage {
            what: "`--cluster`, `--namespace`, `--service-account`, `--via` and `--folded` are for findings".to_owned(),
            remedy: "leave them out, or export `findings`".to_owned(),
        });
    }
    let progress = Progress::silent();
    with_database(&context, &progress, async |database| {
        let mut out = Rows::begin(context.format, what.columns())?;
        write(&database.store, what, &narrow, &mut out).await?;
        out.end()
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn write(store: &Store, what: What, narrow: &Narrow, out: &mut Rows) -> Result<(), Error> {
    match what {
        What::Findings => {
            let filter = narrow.filter();
            let mut findings = store.export_findings(&filter);
            while let Some(finding) = findings.try_next().await? {
                // A row shows some of its workloads; an export gives all.
                let shown = u64::try_from(finding.row.workloads.len()).unwrap_or(u64::MAX);
                let workloads = if shown < finding.row.workload_count {
                    store.workloads_of(&finding.row, u32::MAX).await?
                } else {
                    finding.row.workloads.clone()
                };
                out.row(&finding_row(&finding, &workloads))?;
            }
        }
        What::Associations => {
            let mut after = None;
            loop {
                let page = store
                    .associations(&AssociationFilter::default(), after.as_ref(), PAGE, DateTime::<Utc>::MAX_UTC)
                    .await?;
                for row in &page {
                    out.row(&association_row(row))?;
                }
                match page.last() {
                    Some(last) => after = Some(last.after()),
                    None => return Ok(()),
                }
            }
        }
        What::Roles => {
            let mut after = None;
            loop {
                let page = store.roles(&RoleFilter::default(), after.as_ref(), PAGE).await?;
                for row in &page {
                    out.row(&role_row(row))?;
                }
                match page.last() {
                    Some(last) => after = Some(last.after()),
                    None => return Ok(()),
                }
            }
        }
        What::Gaps => {
            for row in store.gaps().await? {
                out.row(&gap_row(&row))?;
            }
        }
        What::Sessions => {
            let mut after = None;
            loop {
                let page = store.sessions(&SessionFilter::default(), after.as_ref(), PAGE).await?;
                for row in &page {
                    out.row(&session_row(row))?;
                }
                match page.last() {
                    Some(last) => after = Some(SessionAfter::of(last)),
                    None => return Ok(()),
                }
            }
        }
        What::Changes => {
            let mut after = None;
            loop {
                let page = store.changes(&ChangeFilter::default(), after.as_ref(), PAGE).await?;
                for row in &page {
                    out.row(&serde_json::to_value(ChangeJson::from(row)).unwrap_or_default())?;
                }
                match page.last() {
                    Some(last) => after = Some(last.after()),
                    None => return Ok(()),
                }
            }
        }
        What::ChangeEvents => {
            let mut after = None;
            loop {
                let page = store.change_events(&ChangeEventFilter::default(), after.as_ref(), PAGE).await?;
                after = page.last().map(ChangeEventAfter::of);
                for event in page {
                    out.row(&serde_json::to_value(ChangeEventJson::from(event)).unwrap_or_default())?;
                }
                if after.is_none() {
                    return Ok(());
                }
            }
        }
        What::Usage => {
            let mut rows = store.usage(&UsageOf::All, None, false);
            while let Some(row) = rows.try_next().await? {
                out.row(&use_row(&row))?;
            }
        }
    }
    Ok(())
}

fn finding_row(found: &Finding, workloads: &[Workload]) -> Value {
    let finding = &found.row;
    let subject = &finding.subject;
    let workload = |w: &Workload| json!({ "association": w.association.to_string(), "via": w.via });
    json!({
        "fingerprint": finding.fingerprint.0,
        "rule_id": finding.rule,
        "severity": finding.severity,
        "severity_because": finding.severity_because,
        "detection": finding.detection,
        "state": finding.workflow,
        "subject_kind": subject.kind,
        "subject": subject.key,
        "account_id": subject.account_id,
        "region": subject.region,
        "cluster": subject.cluster,
        "namespace": subject.namespace,
        "service_account": subject.service_account,
        "role_arn": subject.role_arn,
        "target_role_arn": subject.target_role_arn,
        "message": finding.message,
        "first_seen_at": finding.first_seen_at,
        "opened_at": finding.opened_at,
        "last_seen_at": finding.last_seen_at,
        "resolved_at": finding.resolved_at,
        "resolution": finding.resolution,
        "stale_reasons": finding.stale_why,
        "exception": finding.exception,
        "evidence": found.evidence,
        "number": finding.number,
        "workload_count": finding.workload_count,
        "workloads": workloads.iter().map(workload).collect::<Vec<_>>(),
        "part_of": finding.part_of,
        "assumptions": finding.assumptions,
    })
}

fn association_row(row: &AssociationRow) -> Value {
    let association = &row.association;
    let key = &association.key;
    let detail = association.detail.as_ref();
    json!({
        "association_id": association.association_id,
        "association_arn": association.arn,
        "account_id": key.account_id,
        "region": key.region,
        "cluster": key.cluster,
        "namespace": key.namespace,
        "service_account": key.service_account,
        "role_arn": detail.map(|detail| &detail.role_arn),
        "target_role_arn": detail.and_then(|detail| detail.target_role_arn.as_ref()),
        "external_id": detail.and_then(|detail| detail.external_id.as_ref()),
        "disable_session_tags": detail.map(|detail| detail.disable_session_tags),
        "policy_digest": detail.and_then(|detail| detail.policy),
        "owner_arn": association.owner_arn,
        "tags": detail.map(|detail| &detail.tags),
        "created_at": detail.and_then(|detail| detail.created_at),
        "modified_at": detail.and_then(|detail| detail.modified_at),
        "role_exists": row.role_exists,
        "target_role_exists": row.target_role_exists,
        "open_findings": row.open_findings,
        "open_role_findings": row.open_role_findings,
        "worst_severity": row.worst,
        "extra": detail.map(|detail| &detail.extra),
    })
}

fn role_row(row: &RoleRow) -> Value {
    let role = &row.role;
    let inline: Vec<Value> =
        role.inline.iter().map(|policy| json!({ "name": policy.name, "digest": policy.document })).collect();
    let mut attached: Vec<String> = role.attached.iter().map(|policy| policy.arn.to_string()).collect();
    attached.sort();
    json!({
        "role_arn": role.arn,
        "account_id": role.arn.account_id(),
        "role_id": role.role_id,
        "created_at": role.created_at,
        "trust_digest": role.trust,
        "boundary_arn": role.boundary,
        "inline_policies": inline,
        "attached_policies": attached,
        "instance_profiles": role.instance_profiles,
        "tags": role.tags,
        "last_used_at": row.last_used_at,
        "last_used_region": row.last_used_region,
        "associations": row.associations,
        "open_findings": row.open_findings,
    })
}

fn gap_row(row: &GapRow) -> Value {
    let scope = &row.gap.scope;
    json!({
        "account_id": scope.account_id,
        "region": scope.region,
        "cluster": scope.cluster,
        "scope": scope.kind,
        "action": row.gap.action,
        "reason": row.gap.reason,
        "detail": row.gap.detail,
        "scan": row.run,
        "scanned_at": row.looked_at,
    })
}

fn session_row(row: &SessionRow) -> Value {
    let (session, attribution) = (&row.session, row.attribution.clone().unwrap_or_default());
    json!({
        "access_key_id": session.access_key_id,
        "time": session.at,
        "role_arn": session.role_arn,
        "session_name": session.session_name,
        "account_id": session.account_id,
        "region": session.region,
        "cluster": session.cluster,
        "namespace": attribution.namespace,
        "service_account": attribution.service_account,
        "pod": attribution.pod,
        "association_id": attribution.association_id,
        "attribution_method": row.attribution.as_ref().map(|found| found.method.as_str()),
        "parent_access_key_id": session.parent_access_key_id,
        "error": session.error,
        "event_id": session.event_id,
        "kind": session.kind,
        "principal": session.principal,
        "principal_type": session.principal_type,
        "source_ip": session.source_ip,
        "tags": session.tags,
        "external_id": session.external_id,
        "duration_seconds": session.duration_seconds,
        "packed_policy_size": session.packed_policy_size,
        "attribution_reason": attribution.reason,
        "candidates": attribution.candidates,
        "depth": attribution.depth,
    })
}

fn use_row(row: &UseRow) -> Value {
    json!({
        "role_arn": row.role_arn,
        "association_id": row.association_id,
        "action": row.action,
        "count": row.calls,
        "errors": row.errors,
        "first_seen": row.first_at,
        "last_seen": row.last_at,
        "denied": row.denied,
        "account_id": row.account_id,
    })
}

/// Rows on their way to stdout.
enum Rows {
    Ndjson(BufWriter<StdoutLock<'static>>),
    Csv { out: Box<csv::Writer<BufWriter<StdoutLock<'static>>>>, columns: &'static [&'static str] },
}

impl Rows {
    fn begin(format: Format, columns: &'static [&'static str]) -> Result<Self, Error> {
        let out = BufWriter::new(std::io::stdout().lock());
        if format != Format::Csv {
            return Ok(Self::Ndjson(out));
        }
        let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        out.write_record(columns).map_err(csv_error)?;
        Ok(Self::Csv { out: Box::new(out), columns })
    }

    fn row(&mut self, row: &Value) -> Result<(), Error> {
        match self {
            Self::Ndjson(out) => {
                serde_json::to_writer(&mut *out, row).map_err(|error| Error::Output(error.into()))?;
                out.write_all(b"\n").map_err(Error::Output)
            }
            Self::Csv { out, columns } => out
                .write_record(columns.iter().map(|column| cell(row.get(*column).unwrap_or(&Value::Null))))
                .map_err(csv_error),
        }
    }

    fn end(self) -> Result<(), Error> {
        match self {
            Self::Ndjson(mut out) => out.flush().map_err(Error::Output),
            Self::Csv { mut out, .. } => out.flush().map_err(Error::Output),
        }
    }
}

fn csv_error(error: csv::Error) -> Error {
    Error::Output(match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => std::io::Error::other(format!("{other:?}")),
    })
}

/// A cell of a CSV file. Names and messages hold what strangers chose: a text that a spreadsheet
/// would take for a formula is led by an apostrophe.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Object(members) if members.is_empty() => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed() {
        for (text, expected) in [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-2", "'-2"), ("a=b", "a=b"), ("", "")]
        {
            assert_eq!(cell(&json!(text)), expected);
        }
        assert_eq!(cell(&json!(-2)), "-2");
        assert_eq!(cell(&Value::Null), "");
        assert_eq!(cell(&json!(["a"])), "[\"a\"]");
    }

    #[test]
    fn every_column_is_a_key_and_every_key_a_column() {
        let gap = rolecall_estate::coverage::Gap {
            scope: rolecall_estate::coverage::Scope::global(
                "111122223333".parse().unwrap(),
                rolecall_estate::coverage::ScopeKind::Roles,
            ),
            action: "iam:GetAccountAuthorizationDetails".to_owned(),
            reason: rolecall_estate::coverage::GapReason::Denied,
            detail: String::new(),
            day: None,
        };
        let row = gap_row(&GapRow { gap, run: rolecall_store::RunId(1), looked_at: DateTime::UNIX_EPOCH });
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, What::Gaps.columns());
        assert_eq!(row["scope"], "roles");
        assert_eq!(row["reason"], "denied");
    }
}
