//! `/api/v1/reports/access`: the auditor's report as canonical JSON, which its digest is over.
//!
//! The same state of the store gives the same bytes for the same question, whoever asks: neither who asks nor when is in
//! them. Refuses to know what could and what did happen.

use crate::app::App;
use crate::http::error::{AppError, Code, FieldError, Problem};
use crate::http::filters::session_kind;
use crate::http::query::{Kind, Param, Params, api_query, param};
use crate::http::view::words;
use crate::http::visible::Visible;
use crate::query::access_report::{Failure, Found, report, report_seen};
use axum::extract::RawQuery;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use rolecall_audit::access::assumable_by::{AssumingRole, AssumingWorkload, ObtainableRole, TrustedPrincipal};
use rolecall_audit::report::{About, Caller, Lasting, NotSeen, Period, ReportSubject, SessionGroup};
use rolecall_iam::Digest;
use rolecall_store::{ChangeRow, Store};
use serde::Serialize;
use utoipa::ToSchema;

/// What the bytes are, whatever becomes of later versions.
const FORMAT: &str = "rolecall-access-report-1";
/// So many days a report is of, unless somebody says otherwise.
pub(crate) const DAYS: i64 = 7;

/// What a report is asked by.
pub(crate) const REPORT: &[Param] = &[
    param("role", Kind::Role, "The ARN of a role: who could assume it, and who did."),
    param(
        "workload",
        Kind::Association,
        "A workload, as account/region/cluster/namespace/service account: which roles it could get, and which it used.",
    ),
    param("since", Kind::Instant, "The begin of the period; seven days before its end if not given."),
    param(
        "until",
        Kind::Instant,
        "The end of the period, which is not part of it; the end of this second if not given.",
    ),
];

api_query! {
    /// Query of a report.
    AccessReportQuery = REPORT
}

/// Who could, who did, and what was not seen of it, in a period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessReportJson {
    /// `rolecall-access-report-1`.
    pub(crate) format: &'static str,
    /// The version of Rolecall that made it.
    pub(crate) rolecall_version: &'static str,
    /// The role that it is about; null where it is about a workload.
    pub(crate) role_arn: Option<String>,
    /// The workload that it is about; null where it is about a role.
    pub(crate) workload: Option<String>,
    /// The begin of the period.
    pub(crate) since: DateTime<Utc>,
    /// The end of the period, which is not part of it.
    pub(crate) until: DateTime<Utc>,
    /// The time of the latest scan that was read; null where none was.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// Whether parts of the estate that whoever asks may not see are left out.
    pub(crate) is_limited: bool,
    /// The answer in a few sentences.
    pub(crate) answer: String,
    /// Whether the sessions are all there were, each of a known caller.
    pub(crate) is_complete: bool,
    /// What was not seen; empty where everything was.
    pub(crate) not_seen: Vec<NotSeenJson>,
    /// The times of the scans that were read: the latest before the period, those in it that show a change, and the
    /// latest of it.
    pub(crate) scans: Vec<DateTime<Utc>>,
    /// Whom the trust policy of the role let in.
    pub(crate) principals: Vec<ReportPrincipalJson>,
    /// The workloads that could get to the role.
    pub(crate) workloads: Vec<ReportWorkloadJson>,
    /// The roles that could assume the role.
    pub(crate) roles: Vec<ReportRoleJson>,
    /// The roles that the workload could get.
    pub(crate) obtainable_roles: Vec<ReportObtainableJson>,
    /// Who did: sessions by caller and role, the most first.
    pub(crate) sessions: Vec<ReportSessionsJson>,
    /// Changes of the role or of what the workload rests on that scans of the period show, the latest first.
    pub(crate) changes: Vec<ReportChangeJson>,
    /// Whether there are more changes.
    pub(crate) has_more_changes: bool,
}

/// Something that was not seen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotSeenJson {
    /// `sessions` (who did) or `configuration` (who could).
    pub(crate) about: &'static str,
    /// What, and why, as one sentence without a full stop.
    pub(crate) text: String,
}

/// A principal that the trust policy let in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportPrincipalJson {
    /// As the policy has it; an account by its id, everyone as `*`.
    pub(crate) principal: String,
    /// As in `assumable-by`.
    pub(crate) kind: &'static str,
    /// The STS actions that it is let in by.
    pub(crate) actions: Vec<&'static str>,
    /// Whether a condition of the statement can refuse it.
    pub(crate) conditional: bool,
    /// When, and why it may not.
    #[serde(flatten)]
    pub(crate) when: WhenJson,
}

/// A workload that could get to the role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportWorkloadJson {
    /// `account/region/cluster/namespace/service account`.
    pub(crate) association: String,
    /// `role`, `target_role` or `assume_role`, as in `assumable-by`.
    pub(crate) via: &'static str,
    /// The role that its pods come with.
    pub(crate) through_role_arn: String,
    /// When, and why it may not.
    #[serde(flatten)]
    pub(crate) when: WhenJson,
}

/// A role that could assume the role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportRoleJson {
    /// Its ARN.
    pub(crate) role_arn: String,
    /// Whether the trust policy alone let it in, without a permission of its own.
    pub(crate) by_trust_policy: bool,
    /// When, and why it may not.
    #[serde(flatten)]
    pub(crate) when: WhenJson,
}

/// A role that the workload could get.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportObtainableJson {
    /// Its ARN.
    pub(crate) role_arn: String,
    /// `role` and `target_role`: its association names it so; `assume_role`: it can be assumed with the role that the
    /// pods end up with.
    pub(crate) via: &'static str,
    /// The role that its pods come with.
    pub(crate) through_role_arn: String,
    /// When, and why it may not.
    #[serde(flatten)]
    pub(crate) when: WhenJson,
}

/// When something could be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhenJson {
    /// Whether every scan that was read shows it.
    pub(crate) throughout: bool,
    /// The scans that show it.
    pub(crate) seen_at: Vec<DateTime<Utc>>,
    /// Why it may not be so; empty where it is.
    pub(crate) unknown_reasons: Vec<String>,
}

/// Sessions of one caller with one role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportSessionsJson {
    /// `workload` (attributed to one), `pods` (of pods, attributed to no one workload) or `principal` (any other).
    pub(crate) caller: &'static str,
    /// The workload, as `account/region/cluster/namespace/service account`.
    pub(crate) association: Option<String>,
    /// The cluster, as far as it is known.
    pub(crate) cluster: Option<String>,
    /// The namespace, as far as it is known.
    pub(crate) namespace: Option<String>,
    /// The service account, as far as it is known.
    pub(crate) service_account: Option<String>,
    /// Another principal, a role without its session's name.
    pub(crate) principal: Option<String>,
    /// The role; null where the event names none.
    pub(crate) role_arn: Option<String>,
    /// As in the list of sessions, such as `pod_identity`.
    pub(crate) kind: &'static str,
    #[serde(skip)]
    pub(crate) kind_words: &'static str,
    /// Sessions that were created; one that two accounts recorded counts once.
    pub(crate) sessions: u64,
    /// Calls that were refused or failed.
    pub(crate) refused: u64,
    /// The first of either.
    pub(crate) first: DateTime<Utc>,
    /// The last of either.
    pub(crate) last: DateTime<Utc>,
}

/// A change in the period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportChangeJson {
    /// The change, as in `/api/v1/changes`.
    pub(crate) change_id: String,
    /// The date of the scan that shows it.
    pub(crate) detected_at: DateTime<Utc>,
    /// What changed, such as `trust_policy_changed`.
    pub(crate) change: String,
    /// The resource that changed.
    pub(crate) resource: String,
    /// What it came to: `widened`, `narrowed`, `mixed`, `none` or `unknown`.
    pub(crate) effect: &'static str,
    /// The ARN of who made it; null where no call names them.
    pub(crate) actor: Option<String>,
    /// When it was made, where a call says so.
    pub(crate) made_at: Option<DateTime<Utc>>,
}

impl WhenJson {
    fn new<T>(of: &Lasting<T>, unknown: &[rolecall_estate::Reason]) -> Self {
        Self {
            throughout: of.throughout,
            seen_at: of.at.clone(),
            unknown_reasons: unknown.iter().map(|reason| reason.text().to_owned()).collect(),
        }
    }
}

impl From<&NotSeen> for NotSeenJson {
    fn from(it: &NotSeen) -> Self {
        Self {
            about: match it.about {
                About::Configuration => "configuration",
                About::Sessions => "sessions",
            },
            text: it.reason.text().to_owned(),
        }
    }
}

impl From<&Lasting<TrustedPrincipal>> for ReportPrincipalJson {
    fn from(of: &Lasting<TrustedPrincipal>) -> Self {
        let it = &of.item;
        Self {
            principal: it.principal.clone(),
            kind: it.kind,
            actions: it.actions.clone(),
            conditional: it.conditional,
            when: WhenJson::new(of, &it.unknown),
        }
    }
}

impl From<&Lasting<AssumingWorkload>> for ReportWorkloadJson {
    fn from(of: &Lasting<AssumingWorkload>) -> Self {
        let it = &of.item;
        Self {
            association: it.association.to_string(),
            via: it.via.as_str(),
            through_role_arn: it.through.clone(),
            when: WhenJson::new(of, &it.unknown),
        }
    }
}

impl From<&Lasting<AssumingRole>> for ReportRoleJson {
    fn from(of: &Lasting<AssumingRole>) -> Self {
        let it = &of.item;
        Self {
            role_arn: it.role_arn.to_string(),
            by_trust_policy: it.by_trust_policy,
            when: WhenJson::new(of, &it.unknown),
        }
    }
}

impl From<&Lasting<ObtainableRole>> for ReportObtainableJson {
    fn from(of: &Lasting<ObtainableRole>) -> Self {
        let it = &of.item;
        Self {
            role_arn: it.role_arn.clone(),
            via: it.via.as_str(),
            through_role_arn: it.through.clone(),
            when: WhenJson::new(of, &it.unknown),
        }
    }
}

impl From<&SessionGroup> for ReportSessionsJson {
    fn from(it: &SessionGroup) -> Self {
        let mut out = Self {
            caller: "principal",
            association: None,
            cluster: None,
            namespace: None,
            service_account: None,
            principal: None,
            role_arn: it.role_arn.clone(),
            kind: session_kind(it.kind),
            kind_words: words::session_kind(it.kind),
            sessions: it.sessions,
            refused: it.refused,
            first: it.first,
            last: it.last,
        };
        match &it.caller {
            Caller::Workload(key) => {
                out.caller = "workload";
                out.association = Some(key.to_string());
                out.cluster = Some(key.cluster.to_string());
                out.namespace = Some(key.namespace.to_string());
                out.service_account = Some(key.service_account.to_string());
            }
            Caller::Pods { cluster, namespace, service_account, .. } => {
                out.caller = "pods";
                out.cluster.clone_from(cluster);
                out.namespace.clone_from(namespace);
                out.service_account.clone_from(service_account);
            }
            Caller::Principal(principal) => out.principal = Some(principal.clone()),
        }
        out
    }
}

impl From<&ChangeRow> for ReportChangeJson {
    fn from(row: &ChangeRow) -> Self {
        Self {
            change_id: row.change.id.clone(),
            detected_at: row.detected_at,
            change: row.change.change.clone(),
            resource: row.change.resource.name.clone(),
            effect: row.change.effect.as_str(),
            actor: row.attributed.actor().map(str::to_owned),
            made_at: row.attributed.event_time(),
        }
    }
}

impl From<&Found> for AccessReportJson {
    fn from(found: &Found) -> Self {
        let report = &found.report;
        let (role_arn, workload) = match &report.subject {
            ReportSubject::Role(arn) => (Some(arn.to_string()), None),
            ReportSubject::Workload(key) => (None, Some(key.to_string())),
        };
        Self {
            format: FORMAT,
            rolecall_version: env!("CARGO_PKG_VERSION"),
            role_arn,
            workload,
            since: report.period.since,
            until: report.period.until,
            as_of: report.scans.last().copied(),
            is_limited: found.is_limited,
            answer: report.answer.clone(),
            is_complete: report.sessions_complete,
            not_seen: report.not_seen.iter().map(NotSeenJson::from).collect(),
            scans: report.scans.clone(),
            principals: report.principals.iter().map(ReportPrincipalJson::from).collect(),
            workloads: report.workloads.iter().map(ReportWorkloadJson::from).collect(),
            roles: report.roles.iter().map(ReportRoleJson::from).collect(),
            obtainable_roles: report.obtainable.iter().map(ReportObtainableJson::from).collect(),
            sessions: report.sessions.iter().map(ReportSessionsJson::from).collect(),
            changes: found.changes.iter().map(ReportChangeJson::from).collect(),
            has_more_changes: found.more_changes,
        }
    }
}

/// A report as the bytes that are handed out, with their digest.
pub(crate) struct Canonical {
    pub(crate) text: String,
    pub(crate) digest: Digest,
}

impl AccessReportJson {
    /// The JSON with its names in order and no white space (RFC 8785), and the SHA-256 of it.
    pub(crate) fn canonical(&self) -> Result<Canonical, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        value.sort_all_objects();
        let text = value.to_string();
        let digest = Digest::sha256(text.as_bytes());
        Ok(Canonical { text, digest })
    }
}

/// What somebody asks a report for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) subject: ReportSubject,
    pub(crate) period: Period,
}

impl Asked {
    /// What parameters of [`REPORT`] ask for.
    pub(crate) fn new(params: &Params, now: DateTime<Utc>) -> Result<Self, AppError> {
        let fault = |parameter: &str, message: &str| {
            let fault = FieldError { parameter: parameter.to_owned(), message: message.to_owned() };
            AppError::of_fields(Code::InvalidParameter, vec![fault])
        };
        let subject = match (params.text("role"), params.text("workload")) {
            (Some(_), Some(_)) => return Err(fault("workload", "`workload`: give either `role` or `workload`")),
            (None, None) => {
                let what = "give `role`, the ARN of a role, or `workload`, the key of an association";
                return Err(AppError::new(Code::BadRequest, what));
            }
            (Some(role), None) => {
                let wrong = "`role`: not the ARN of an IAM role, such as `arn:aws:iam::111122223333:role/name`";
                ReportSubject::Role(role.parse().map_err(|_| fault("role", wrong))?)
            }
            (None, Some(key)) => {
                let wrong = "`workload`: not `account/region/cluster/namespace/service account`";
                ReportSubject::Workload(key.parse().map_err(|_| fault("workload", wrong))?)
            }
        };
        // A scan of this second is part of it.
        let this_second = || now.trunc_subsecs(0) + TimeDelta::seconds(1);
        let until = params.instant("until").unwrap_or_else(this_second);
        let since = params.instant("since").unwrap_or(until - TimeDelta::days(DAYS));
        if since >= until {
            return Err(fault("since", "`since`: the period must begin before it ends"));
        }
        if since > now {
            return Err(fault("since", "`since`: the period is still to come"));
        }
        Ok(Self { subject, period: Period { since, until } })
    }

    /// The report, of all that a store has.
    pub(crate) async fn report(&self, store: &Store) -> Result<Found, Failure> {
        report(store, self.subject.clone(), self.period).await
    }

    /// The report, as far as whoever asks may see.
    pub(crate) async fn report_seen(&self, app: &App) -> Result<Found, Failure> {
        report_seen(app, self.subject.clone(), self.period).await
    }
}

impl From<Failure> for AppError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error.into(),
            Failure::Unknown(_) => Self::new(Code::NotFound, failure.to_string()),
            Failure::Stopped(error) => Self::internal(error),
        }
    }
}

/// Who could assume a role and who did, or which roles a workload could get and used, in a period; and what was not seen
/// of it.
///
/// The body is canonical JSON (RFC 8785): its SHA-256 is the digest that the printed report bears. `Repr-Digest` has the
/// same.
#[utoipa::path(
    get, path = "/api/v1/reports/access", tag = "inventory", operation_id = "get_access_report",
    params(AccessReportQuery),
    responses((status = 200, body = AccessReportJson), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn access(Visible(app): Visible, RawQuery(raw): RawQuery) -> Result<Response, AppError> {
    let params = AccessReportQuery::parse(raw.as_deref())?;
    let asked = Asked::new(&params, app.store.now().await?)?;
    let found = asked.report_seen(&app).await?;
    let Canonical { text, digest } = AccessReportJson::from(&found).canonical().map_err(AppError::internal)?;
    let written = format!("sha-256=:{}:", STANDARD.encode(digest.as_bytes()));
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (HeaderName::from_static("repr-digest"), written)];
    Ok((headers, text).into_response())
}
