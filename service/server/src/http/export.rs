//! What is known as rows, in memory that does not grow with the store: for `export`, and for what pages download.
//!
//! Knows the columns of each list and the forms of a row. Refuses to know who asks.

use crate::error::Error;
use crate::http::as_of;
use crate::http::exceptions::Exceptions;
use crate::http::filters;
use crate::http::listing::{self, Listing};
use crate::http::lists::{Accounts, Associations};
use crate::http::query::{Param, Params};
use crate::http::{
    AccountJson, AuditEntryJson, BaselineJson, ChangeEventJson, ChangeJson, ClusterJson, ExceptionItemJson,
    SuppressionJson,
};
use crate::outgoing::Place;
use crate::outgoing::asff::{self, Batches};
use crate::outgoing::ocsf;
use crate::query::usage::usage_seen_by;
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use futures::TryStreamExt as _;
use rolecall_audit::access::reach::Workload;
use rolecall_audit::owner::{Owned, Owner};
use rolecall_estate::Session;
use rolecall_store::{
    AsOf, AssociationRow, CoverageRow, Finding, GapRow, RoleRow, Store, UsageOf, UsageWindow, UseRow,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{Stdout, Write as _};
use std::pin::pin;
use tokio::sync::mpsc;

/// Rows asked for at a time.
const PAGE: u32 = 500;

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Findings, resolved ones too, without those grouped under another
    Findings,
    /// What suppresses findings: exceptions of the policy files, and what people and programs asked for
    Exceptions,
    /// Pod Identity associations
    Associations,
    /// EKS clusters with their add-ons and access entries
    Clusters,
    /// Roles
    Roles,
    /// Accounts, with how much of them is seen
    Accounts,
    /// Coverage gaps of the latest scans
    Gaps,
    /// AssumeRole events with the pod and association that they are attributed to
    Sessions,
    /// Calls by role, association and action
    Usage,
    /// What changed between scans, whom it reaches, and who made it
    Changes,
    /// Approved states of resources, and how the resources stand against them
    Baselines,
    /// CloudTrail events of calls that changed, or tried to change, roles, policies, associations and clusters
    ChangeEvents,
    /// What people, programs and operators did, the newest first
    AuditLog,
}

impl What {
    /// Its name, as in the command line and in addresses.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The columns, in order: the keys of an NDJSON object and the head of a CSV file.
    pub(crate) fn columns(self) -> &'static [&'static str] {
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
                "assignee",
                "owner",
                "owned",
                "due",
                "due_at",
                "suppression",
                "version",
            ],
            Self::Exceptions => &[
                "source",
                "state",
                "until",
                "ends_soon",
                "name",
                "origin",
                "ticket",
                "reason",
                "justification",
                "requested_by",
                "requested_at",
                "approved_by",
                "rule_ids",
                "finding",
                "fingerprint",
                "message",
                "account_id",
                "findings",
                "ended_at",
                "ended_by",
                "ended_because",
            ],
            Self::AuditLog => &[
                "seq",
                "at",
                "actor_kind",
                "actor",
                "action",
                "outcome",
                "object",
                "detail",
                "source_ip",
                "request_id",
                "previous_hash",
                "hash",
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
                "owner",
                "owned",
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
            Self::Clusters => &[
                "arn",
                "account_id",
                "region",
                "name",
                "created_at",
                "version",
                "status",
                "role_arn",
                "oidc_issuer",
                "authentication_mode",
                "auto_mode",
                "tags",
                "addons",
                "addons_complete",
                "access_entries",
                "access_entries_complete",
                "associations",
                "namespaces",
                "open_findings",
                "worst_severity",
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
                "last_session_at",
                "associations",
                "open_findings",
            ],
            Self::Accounts => &[
                "id",
                "name",
                "ou_path",
                "status",
                "is_management",
                "roles",
                "clusters",
                "associations",
                "open_findings",
                "complete_scopes",
                "gap_scopes",
                "last_scanned_at",
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
                "opens",
                "closes",
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
                "seen_in",
                "ended_at",
                "ended_by",
                "approval",
                "approval_at",
                "approval_by",
                "approval_reason",
                "approval_ticket",
                "approval_until",
                "approval_baseline",
            ],
            Self::Baselines => &[
                "baseline_id",
                "resource_type",
                "resource",
                "account_id",
                "state",
                "effect",
                "because",
                "differences",
                "compared_at",
                "digest",
                "approved_at",
                "approved_by",
                "reason",
                "ticket",
                "until",
                "signed_by",
                "file",
                "ended_at",
                "ended_by",
                "ended_because",
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

impl What {
    /// What the rows may be filtered by: of a list that the API has too, as there.
    pub(crate) fn filters(self) -> &'static [Param] {
        match self {
            Self::Findings => filters::FINDINGS,
            Self::Exceptions => filters::EXCEPTIONS,
            Self::Associations => filters::ASSOCIATIONS,
            Self::Clusters => filters::CLUSTERS,
            Self::Roles => filters::ROLES,
            Self::Accounts => filters::ACCOUNTS,
            Self::Gaps => filters::GAPS,
            Self::Sessions => filters::SESSIONS,
            Self::Usage => filters::USAGE,
            Self::Changes => filters::CHANGES,
            Self::Baselines => filters::BASELINES,
            Self::ChangeEvents => filters::CHANGE_EVENTS,
            Self::AuditLog => filters::AUDIT_LOG,
        }
    }
}

/// Writes every row that the parameters leave, of what the first store shows; the other one has everything.
///
/// # Errors
/// What stopped it. Rows already passed on are complete.
pub(crate) async fn write(
    place: &Place<'_>,
    (store, whole): (&Store, &Store),
    what: What,
    params: &Params,
    out: &mut Rows,
) -> Result<(), Error> {
    match what {
        What::Findings => {
            let filter = filters::findings(params);
            let mut batches = Batches::default();
            let mut findings = store.export_findings(&filter);
            while let Some(finding) = findings.try_next().await? {
                // A row shows some of its workloads; an export gives all.
                let shown = u64::try_from(finding.row.workloads.len()).unwrap_or(u64::MAX);
                let workloads = if shown < finding.row.workload_count {
                    store.workloads_of(&finding.row, u32::MAX).await?
                } else {
                    finding.row.workloads.clone()
                };
                match out.form {
                    Form::Ocsf => out.row(&ocsf::event(&finding, &workloads, place))?,
                    Form::Asff => {
                        let full = batches.add(asff::finding(&finding, &workloads, place));
                        full.iter().try_for_each(|batch| out.row(batch))?;
                    }
                    Form::Ndjson | Form::Csv => out.row(&finding_row(&finding, &workloads))?,
                }
                out.pass_on(PASSED_FROM).await?;
            }
            batches.rest().try_for_each(|batch| out.row(&batch))
        }
        What::Exceptions => {
            let list = Exceptions::new(store, place.rules, params).await?;
            every(store, &list, out, |row| shape(ExceptionItemJson::new(row, list.now))).await
        }
        What::Associations => {
            let filter = filters::associations(params, as_of(store, params).await?);
            every(store, &Associations { filter, sessions_since: DateTime::<Utc>::MAX_UTC }, out, association_row).await
        }
        What::Clusters => {
            every(store, &filters::clusters_in_order(params, as_of(store, params).await?), out, |row| {
                shape(ClusterJson::from(row.clone()))
            })
            .await
        }
        What::Roles => every(store, &filters::roles_in_order(params, as_of(store, params).await?), out, role_row).await,
        What::Accounts => {
            let list = Accounts::load(store, &filters::accounts(params, as_of(store, params).await?)).await?;
            every(store, &list, out, |(_, row)| shape(AccountJson::from(row.clone()))).await
        }
        What::Sessions => every(store, &filters::sessions_in_order(params), out, session_row).await,
        What::Changes => {
            every(store, &filters::changes_in_order(params), out, |row| shape(ChangeJson::from(row))).await
        }
        What::Baselines => every(store, &filters::baselines(params), out, |row| shape(BaselineJson::from(row))).await,
        What::ChangeEvents => {
            every(store, &filters::change_events(params), out, |row| shape(ChangeEventJson::from(row.clone()))).await
        }
        What::AuditLog => {
            every(store, &filters::audit_log(params), out, |row| shape(AuditEntryJson::from(row.clone()))).await
        }
        What::Gaps => {
            let kinds = filters::scopes(params);
            let accounts = params.parsed("account_id");
            let rows = match as_of(store, params).await? {
                None => store.gaps(&accounts).await?,
                Some(as_of) => gaps_at(store.coverage_at(as_of, &accounts).await?, as_of),
            };
            for row in rows {
                if kinds.is_empty() || kinds.contains(&row.gap.scope.kind) {
                    out.row(&gap_row(&row))?;
                }
            }
            Ok(())
        }
        What::Usage => {
            let of = match (params.text("role_arn"), params.text("association_id")) {
                (None, None) => UsageOf::All,
                (Some(role), None) => UsageOf::Role(role.to_owned()),
                (None, Some(association)) => UsageOf::Association(association.to_owned()),
                (Some(_), Some(_)) => {
                    return Err(Error::Usage {
                        what: "calls are given of a role or of an association".to_owned(),
                        remedy: "leave out `--role-arn` or `--association-id`".to_owned(),
                    });
                }
            };
            let since = params.instant("since").map(|since| since.date_naive());
            let within = UsageWindow { since, until: as_of(store, params).await?.map(AsOf::at) };
            let mut rows = usage_seen_by(store, whole, &of, within, false).await?;
            while let Some(row) = rows.try_next().await? {
                out.row(&use_row(&row))?;
                out.pass_on(PASSED_FROM).await?;
            }
            Ok(())
        }
    }
}

/// The moment that is asked for.
async fn as_of(store: &Store, params: &Params) -> Result<Option<AsOf>, Error> {
    as_of::of(store, params).await.map_err(as_of::usage_error)
}

/// The gaps of a moment.
fn gaps_at(coverage: Vec<CoverageRow>, as_of: AsOf) -> Vec<GapRow> {
    let gaps = coverage.into_iter().flat_map(|row| row.gaps.into_iter().map(move |gap| (gap, row.run)));
    gaps.map(|(gap, run)| GapRow { gap, run, looked_at: as_of.scanned_at() }).collect()
}

/// Every row of a list.
async fn every<L: Listing>(
    store: &Store,
    list: &L,
    out: &mut Rows,
    shape: impl Fn(&L::Row) -> Value,
) -> Result<(), Error> {
    let mut pages = pin!(listing::all(store, list, PAGE));
    while let Some(rows) = pages.try_next().await? {
        rows.iter().try_for_each(|row| out.row(&shape(row)))?;
        out.pass_on(PASSED_FROM).await?;
    }
    Ok(())
}

/// A row as the API gives it.
fn shape(row: impl Serialize) -> Value {
    serde_json::to_value(row).unwrap_or_default()
}

/// A finding as an export gives it; `workloads` are those that reach its role.
pub(crate) fn finding_row(found: &Finding, workloads: &[Workload]) -> Value {
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
        "assignee": finding.assignee,
        "owner": finding.owner.as_ref().and_then(Owner::name),
        "owned": owned(finding.owner.as_ref()),
        "due": finding.due.map(|due| due.state),
        "due_at": finding.due.and_then(|due| due.at),
        "suppression": finding.suppression.clone().map(|row| shape(SuppressionJson::from(row))),
        "version": finding.version,
    })
}

fn owned(owner: Option<&Owner>) -> Owned {
    owner.map_or(Owned::Unknown, Owner::owned)
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
        "owner": row.owner.as_ref().and_then(Owner::name),
        "owned": owned(row.owner.as_ref()),
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
        "last_session_at": row.last_session_at,
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

fn session_row(session: &Session) -> Value {
    let attribution = session.attribution.as_deref().cloned().unwrap_or_default();
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
        "attribution_method": session.attribution.as_ref().map(|found| found.method.as_str()),
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

/// So many bytes are gathered before they are passed on.
const PASSED_FROM: usize = 64 * 1024;

/// What a row becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180.
    Csv,
    /// OCSF events, one a line.
    Ocsf,
    /// Batches for Security Hub, one a line.
    Asff,
}

/// Where rows go.
pub(crate) enum Sink {
    /// To whoever called the program.
    Stdout(Stdout),
    /// To whoever asked over HTTP, who may take them slowly.
    Answer(mpsc::Sender<Result<Vec<u8>, std::io::Error>>),
}

/// Rows on their way.
pub(crate) struct Rows {
    form: Form,
    columns: Vec<&'static str>,
    /// Whether a row is to have no other.
    chosen: bool,
    gathered: Vec<u8>,
    sink: Sink,
}

impl Rows {
    /// Begins with the names of the columns, where the form has them. `chosen` are the only columns to be written;
    /// none: all.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub(crate) fn begin(form: Form, what: What, chosen: &[String], sink: Sink) -> Result<Self, Error> {
        let is_wanted = |column: &&'static str| chosen.is_empty() || chosen.iter().any(|name| name == column);
        let columns: Vec<&'static str> = what.columns().iter().copied().filter(is_wanted).collect();
        let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let mut rows = Self { form, columns, chosen: !chosen.is_empty(), gathered: Vec::new(), sink };
        if form == Form::Csv {
            rows.record(head.into_iter())?;
        }
        Ok(rows)
    }

    fn row(&mut self, row: &Value) -> Result<(), Error> {
        let value = |column: &&'static str| row.get(*column).unwrap_or(&Value::Null);
        if self.form == Form::Csv {
            let cells: Vec<String> = self.columns.iter().map(|column| cell(value(column))).collect();
            return self.record(cells.into_iter());
        }
        let written = if self.chosen && self.form == Form::Ndjson {
            let members: serde_json::Map<String, Value> =
                self.columns.iter().map(|column| ((*column).to_owned(), value(column).clone())).collect();
            serde_json::to_writer(&mut self.gathered, &members)
        } else {
            serde_json::to_writer(&mut self.gathered, row)
        };
        written.map_err(|error| Error::Output(error.into()))?;
        self.gathered.push(b'\n');
        Ok(())
    }

    fn record(&mut self, cells: impl Iterator<Item = String>) -> Result<(), Error> {
        let mut out =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(std::mem::take(&mut self.gathered));
        out.write_record(cells).map_err(csv_error)?;
        self.gathered = out.into_inner().map_err(|error| Error::Output(error.into_error()))?;
        Ok(())
    }

    /// Passes on what is gathered, if it is so much.
    async fn pass_on(&mut self, from: usize) -> Result<(), Error> {
        if self.gathered.len() < from || self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        match &mut self.sink {
            Sink::Stdout(out) => out.write_all(&gathered).and_then(|()| out.flush()).map_err(Error::Output),
            Sink::Answer(to) => {
                let gone = || Error::Output(std::io::ErrorKind::BrokenPipe.into());
                to.send(Ok(gathered)).await.map_err(|_| gone())
            }
        }
    }

    /// Passes on the rest.
    ///
    /// # Errors
    /// Where nobody takes it.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        self.pass_on(0).await
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
