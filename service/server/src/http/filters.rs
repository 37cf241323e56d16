//! What can be asked of each list: one table of parameters for the API and for the page of the same
//! list, and how they become the store's filters.
//!
//! INVARIANT: a parameter that a table names changes what its filter leaves.

use super::as_of::AT;
use super::lists::{AccountFilter, AccountSort, Changes, Clusters, Findings, Roles, Sessions, TimeOrder};
use super::query::{Kind, Param, Params, param};
use super::rule_text;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_audit::finding::triage::due::DueState;
use rolecall_audit::finding::{Detection, Workflow};
use rolecall_audit::owner::Owned;
use rolecall_audit::verdict::Fingerprint;
use rolecall_estate::coverage::ScopeKind;
use rolecall_estate::{SessionKind, named_key};
use rolecall_rules::{Severity, SubjectKind};
use rolecall_store::{
    AsOf, AssociationFilter, AuditAction, AuditFilter, AuditOutcome, BaselineFilter, ChangeEventFilter, ChangeFilter,
    ClusterFilter, ClusterSort, FindingFilter, FindingSort, FindingVia, RoleFilter, RoleSort, SessionFilter,
    SuppressionFilter, SuppressionState, TicketFilter,
};

const SEVERITIES: &[&str] = &["critical", "high", "medium", "low", "info"];
const STATES: &[&str] = &["open", "acknowledged", "suppressed", "resolved"];
const DETECTIONS: &[&str] = &["active", "stale", "cleared"];
const SUBJECTS: &[&str] = &["role", "policy", "association", "session", "cluster", "account", "change"];
const VIAS: &[&str] = &["subject", "role", "direct", "target", "chain"];
const EXCEPTION_STATES: &[&str] = &["requested", "scheduled", "in_force", "ended"];
const EXCEPTION_SOURCES: &[&str] = &["file", "asked"];
const OWNED_WORDS: &[&str] = &["true", "false", "unknown"];
const DUES: &[&str] = &["ok", "due_soon", "overdue", "paused"];
const SORTS: &[&str] = &["severity", "last_seen", "first_seen", "opened", "oldest", "account", "rule", "number"];
const ROLE_SORTS: &[&str] = &["arn", "last_used", "longest_unused"];
const CLUSTER_SORTS: &[&str] = &["key", "open_findings"];
const ACCOUNT_SORTS: &[&str] = &["id", "open_findings", "roles", "associations", "oldest_scan"];
const TIME_ORDERS: &[&str] = &["newest", "oldest"];
const SESSION_KINDS: &[&str] =
    &["pod_identity", "pod_identity_target", "web_identity", "saml", "service", "assume_role", "agent_request"];
const ATTRIBUTION_METHODS: &[&str] = &["tags", "access_key", "chain", "name", "ambiguous", "none"];
const EFFECTS: &[&str] = &["widened", "narrowed", "mixed", "none", "unknown"];
const APPROVALS: &[&str] = &["approved", "expired", "withdrawn", "none"];
const SEEN_IN: &[&str] = &["snapshots", "events"];
const BASELINE_STATES: &[&str] = &["differs", "removed", "unknown", "expired", "matches"];
const ATTRIBUTIONS: &[&str] = &["exact", "candidates", "none"];
const SCOPES: &[&str] = &[
    "entry",
    "organization",
    "org_policies",
    "roles",
    "policies",
    "oidc_providers",
    "oidc_provider_details",
    "clusters",
    "cluster_details",
    "associations",
    "association_details",
    "addons",
    "access_entries",
    "trails",
    "sessions",
];

const AUDIT_ACTIONS: &[&str] = &[
    "session.create",
    "session.revoke",
    "login.create",
    "service_account.create",
    "service_account.disable",
    "token.create",
    "token.rotate",
    "token.revoke",
    "token.use",
    "role.grant",
    "role.revoke",
    "finding.acknowledge",
    "finding.open",
    "finding.suppress",
    "finding.request_suppression",
    "finding.approve_suppression",
    "finding.decline_suppression",
    "finding.assign",
    "finding.comment",
    "ticket.reserve",
    "ticket.link",
    "ticket.remove",
    "ticket.release",
    "change.approve",
    "change.withdraw_approval",
    "baseline.create",
    "baseline.withdraw",
    "scan.start",
    "set_aside.retry",
    "webhook.test",
    "webhook.enable",
    "webhook.replay",
    "view.share",
    "view.unshare",
    "view.rename",
    "view.delete",
];
const AUDIT_OUTCOMES: &[&str] = &["success", "failure"];

const ACCOUNT: Param = param("account_id", Kind::Accounts, "Of these accounts.");
const REGION: Param = param("region", Kind::Text, "In this region.");
const CLUSTER: Param = param("cluster", Kind::Text, "In this cluster.");
const NAMESPACE: Param = param("namespace", Kind::Text, "In this namespace.");
const SERVICE_ACCOUNT: Param = param("service_account", Kind::Text, "Of this service account.");
const OWNER: Param = param("owner", Kind::Texts, "Of one of these owners.");
const OWNED: Param = param(
    "owned",
    Kind::Word(OWNED_WORDS),
    "`true`: somebody's; `false`: nobody's, as ownership rules and tags show; `unknown`: what decides it was not seen.",
);
const ROLE: Param = param("role_arn", Kind::Text, "Concerning this role, as the role or as the target role.");

/// Filters of findings.
pub(crate) const FINDINGS: &[Param] = &[
    param("state", Kind::Words(STATES), "Any of these states."),
    param("severity", Kind::Words(SEVERITIES), "Any of these severities."),
    param("severity_min", Kind::Word(SEVERITIES), "At least this severity."),
    param("detection", Kind::Words(DETECTIONS), "Detection state; `stale` is undetermined in the latest scan."),
    param("rule_id", Kind::Texts, "Of these rules."),
    ACCOUNT,
    param("subject_kind", Kind::Words(SUBJECTS), "About these kinds of subject."),
    param("subject_key", Kind::Text, "About exactly this subject."),
    param("region", Kind::Text, "Whose subject is in this region, or whose role a workload in it reaches."),
    param("cluster", Kind::Text, "Whose subject is in this cluster, or whose role a workload in it reaches."),
    param(
        "cluster_account_id",
        Kind::Account,
        "Whose subject, or a workload that reaches its role, is in a cluster of this account.",
    ),
    param("namespace", Kind::Text, "Whose subject is in this namespace, or whose role a workload in it reaches."),
    param("service_account", Kind::Text, "Of this service account, or on a role that a workload with it reaches."),
    param(
        "association",
        Kind::Association,
        "About this association, `account/region/cluster/namespace/service account`, or on a role that it reaches.",
    ),
    param(
        "via",
        Kind::Words(VIAS),
        "How the workload comes into the finding; any way if not given. `subject`: the finding is about the workload \
         itself. `role`: it is about a role that the workload reaches, which is `direct` as its role, `target` as its \
         target role, or `chain` by assuming further roles.",
    ),
    ROLE,
    param("part_of", Kind::Text, "Listed under the finding of this fingerprint."),
    param(
        "include",
        Kind::Words(&["folded", "evidence"]),
        "`folded`: also findings that are listed under a graver one about the same statement. `evidence`: with what \
         decided them.",
    ),
    param(
        "updated_since",
        Kind::Instant,
        "Changed at or after. Overlap by a minute and drop repeats by number and version.",
    ),
    param("first_seen_after", Kind::Instant, "First seen at or after."),
    param("assignee", Kind::Texts, "Assigned to one of these people or teams."),
    param("assigned", Kind::Flag, "`false`: assigned to nobody; `true`: to somebody."),
    OWNER,
    OWNED,
    param(
        "due",
        Kind::Words(DUES),
        "How it stands to its due date: `due_soon`, `overdue`, `ok`, or `paused` while it is suppressed.",
    ),
    param(
        "ticket",
        Kind::Ticket,
        "`none`: without a ticket; `any`: with one in any system; otherwise with one in the system of this name.",
    ),
    param("q", Kind::Text, "Whose message, subject or rule holds this text, in any case."),
    param(
        "sort",
        Kind::Word(SORTS),
        "What comes first: the worst; the last seen; the first seen last; the newest or the oldest episode; the least \
         account or rule, with the worst of each; the greatest number. `severity` if not given.",
    ),
];

/// The filter of findings.
pub(crate) fn findings(params: &Params) -> FindingFilter {
    let text = |name: &str| params.text(name).map(str::to_owned);
    FindingFilter {
        workflow: words(
            params,
            "state",
            &[Workflow::Open, Workflow::Acknowledged, Workflow::Suppressed, Workflow::Resolved],
            Workflow::as_str,
        ),
        detection: words(
            params,
            "detection",
            &[Detection::Active, Detection::Stale, Detection::Cleared],
            Detection::as_str,
        ),
        severity: words(params, "severity", &Severity::WORST_FIRST, Severity::as_str),
        severity_min: words(params, "severity_min", &Severity::WORST_FIRST, Severity::as_str).first().copied(),
        accounts: params.parsed("account_id"),
        rules: params.list("rule_id").to_vec(),
        subject_kinds: words(params, "subject_kind", SUBJECT_KINDS, SubjectKind::as_str),
        subject_key: text("subject_key"),
        region: text("region"),
        cluster: text("cluster"),
        cluster_account: params.text("cluster_account_id").and_then(|id| id.parse().ok()),
        namespace: text("namespace"),
        service_account: text("service_account"),
        association: params.text("association").and_then(|key| key.parse().ok()),
        via: words(params, "via", &FindingVia::ALL, FindingVia::as_str),
        role_arn: text("role_arn"),
        part_of: text("part_of").map(Fingerprint),
        folded: params.list("include").iter().any(|word| word == "folded"),
        updated_since: params.instant("updated_since"),
        first_seen_after: params.instant("first_seen_after"),
        assignees: params.list("assignee").to_vec(),
        assigned: params.text("assigned").map(|word| word == "true"),
        owners: params.list("owner").to_vec(),
        owned: owned(params),
        due: words(params, "due", &DueState::ALL, DueState::as_str),
        ticket: params.text("ticket").map(|word| match word {
            "none" => TicketFilter::None,
            "any" => TicketFilter::Any,
            system => TicketFilter::In(system.to_owned()),
        }),
        q: text("q"),
    }
}

const SUBJECT_KINDS: &[SubjectKind] = &[
    SubjectKind::Role,
    SubjectKind::Policy,
    SubjectKind::Association,
    SubjectKind::Session,
    SubjectKind::Cluster,
    SubjectKind::Account,
    SubjectKind::Change,
];

/// Findings by their filter, in the order that is asked for.
pub(crate) fn findings_in_order(params: &Params) -> Findings {
    Findings { filter: findings(params), sort: finding_sort(params) }
}

/// The order of findings.
fn finding_sort(params: &Params) -> FindingSort {
    words(params, "sort", &FindingSort::ALL, FindingSort::as_str).first().copied().unwrap_or_default()
}

/// Filters of exceptions.
pub(crate) const EXCEPTIONS: &[Param] = &[
    param(
        "state",
        Kind::Words(EXCEPTION_STATES),
        "Any of these states; `requested` awaits approval, `scheduled` begins later.",
    ),
    param("source", Kind::Words(EXCEPTION_SOURCES), "`file`: of the policy files; `asked`: by people and programs."),
    param("ending_within_days", Kind::Number(0, 366), "Ending within so many days, or ended."),
    param("rule_id", Kind::Texts, "Of these rules."),
];

/// The filter of suppressions that are asked for, at a moment.
pub(crate) fn exceptions(params: &Params, now: DateTime<Utc>) -> SuppressionFilter {
    let within = params.text("ending_within_days").and_then(|days| days.parse().ok());
    SuppressionFilter {
        states: words(params, "state", &SuppressionState::ALL, SuppressionState::as_str),
        rules: params.list("rule_id").to_vec(),
        until_before: within.map(|days| now + TimeDelta::days(days)),
    }
}

/// Filters of the deliveries of a webhook.
pub(crate) const DELIVERIES: &[Param] = &[param(
    "state",
    Kind::Words(&["waiting", "delivered", "failed"]),
    "In any of these states: `waiting` to be sent or sent again, `delivered`, `failed`.",
)];

/// Filters of associations.
pub(crate) const ASSOCIATIONS: &[Param] = &[
    ACCOUNT,
    REGION,
    CLUSTER,
    NAMESPACE,
    SERVICE_ACCOUNT,
    ROLE,
    OWNER,
    OWNED,
    param("q", Kind::Text, "Whose key or roles hold this text, in any case."),
    AT,
];

/// The filter of associations, as of a moment.
pub(crate) fn associations(params: &Params, as_of: Option<AsOf>) -> AssociationFilter {
    let text = |name: &str| params.text(name).map(str::to_owned);
    AssociationFilter {
        accounts: params.parsed("account_id"),
        region: text("region"),
        cluster: text("cluster"),
        namespace: text("namespace"),
        service_account: text("service_account"),
        role_arn: text("role_arn"),
        q: text("q"),
        owners: params.list("owner").to_vec(),
        owned: owned(params),
        as_of,
    }
}

/// Filters of clusters.
pub(crate) const CLUSTERS: &[Param] = &[
    ACCOUNT,
    REGION,
    param("q", Kind::Text, "Whose name or ARN holds this text, in any case."),
    param(
        "sort",
        Kind::Word(CLUSTER_SORTS),
        "By account, Region and name, if not given; or the most open findings first.",
    ),
    AT,
];

/// Clusters by their filter, in the order that is asked for.
pub(crate) fn clusters_in_order(params: &Params, as_of: Option<AsOf>) -> Clusters {
    let sort = words(params, "sort", &ClusterSort::ALL, ClusterSort::as_str).first().copied().unwrap_or_default();
    Clusters { filter: clusters(params, as_of), sort }
}

/// Filters of accounts.
pub(crate) const ACCOUNTS: &[Param] = &[
    param("q", Kind::Text, "Whose name, id or organizational unit holds this text, in any case."),
    param("complete", Kind::Flag, "Whether every listing of the account was read to its end in its latest scan."),
    param(
        "sort",
        Kind::Word(ACCOUNT_SORTS),
        "By id, if not given; the most open findings, roles or associations first; or the scan that is the longest ago.",
    ),
    AT,
];

/// The filter of accounts, and their order.
pub(crate) fn accounts(params: &Params, as_of: Option<AsOf>) -> AccountFilter {
    let sort = words(params, "sort", &AccountSort::ALL, AccountSort::as_str).first().copied().unwrap_or_default();
    AccountFilter { q: params.text("q").map(str::to_lowercase), complete: params.flag("complete"), sort, as_of }
}

/// Parameters of rules.
pub(crate) const RULES: &[Param] = &[param(
    "sort",
    Kind::Word(rule_text::SORTS),
    "By id, if not given (on the page by severity); the worst first; the most failures or unknown results of the latest \
     scan first; or by title.",
)];

/// The filter of clusters.
pub(crate) fn clusters(params: &Params, as_of: Option<AsOf>) -> ClusterFilter {
    let text = |name: &str| params.text(name).map(str::to_owned);
    ClusterFilter { accounts: params.parsed("account_id"), region: text("region"), q: text("q"), as_of }
}

/// Filters of roles.
pub(crate) const ROLES: &[Param] = &[
    ACCOUNT,
    param("associated", Kind::Flag, "Only roles that an association names, as role or target role; or only others."),
    param("q", Kind::Text, "Whose ARN holds this text, in any case."),
    param(
        "sort",
        Kind::Word(ROLE_SORTS),
        "By ARN, if not given; or by when IAM last saw each used: the latest first, or the longest ago first, before \
         which come those of which no use is known.",
    ),
    AT,
];

/// The filter of roles, as of a moment.
pub(crate) fn roles(params: &Params, as_of: Option<AsOf>) -> RoleFilter {
    RoleFilter {
        accounts: params.parsed("account_id"),
        associated: params.flag("associated"),
        q: params.text("q").map(str::to_owned),
        as_of,
    }
}

/// Roles by their filter, in the order that is asked for.
pub(crate) fn roles_in_order(params: &Params, as_of: Option<AsOf>) -> Roles {
    let sort = words(params, "sort", &RoleSort::ALL, RoleSort::as_str).first().copied().unwrap_or_default();
    Roles { filter: roles(params, as_of), sort }
}

/// The order of what happened.
fn time_order(params: &Params) -> TimeOrder {
    if params.text("sort") == Some("oldest") { TimeOrder::Oldest } else { TimeOrder::Newest }
}

/// Filters of sessions.
pub(crate) const SESSIONS: &[Param] = &[
    ACCOUNT,
    param("role_arn", Kind::Text, "Of this role."),
    param("kind", Kind::Word(SESSION_KINDS), "Type of session."),
    CLUSTER,
    param("namespace", Kind::Text, "Of this namespace."),
    param("service_account", Kind::Text, "Of this service account."),
    param("association_id", Kind::Text, "Attributed to this association."),
    param("access_key_id", Kind::Text, "With this access key."),
    param(
        "attributed",
        Kind::Flag,
        "Only sessions that are attributed to one association; or only those that are not.",
    ),
    param("attribution_method", Kind::Word(ATTRIBUTION_METHODS), "Attributed by this method."),
    param("failed", Kind::Flag, "Only failed calls; or only those that created a session."),
    param("session_name", Kind::Text, "Whose name holds this text, in any case."),
    param("principal", Kind::Text, "Whose caller holds this text, in any case."),
    param("since", Kind::Instant, "At or after."),
    param("until", Kind::Instant, "Before."),
    param("sort", Kind::Word(TIME_ORDERS), "The newest first, if not given, or the oldest."),
];

/// The filter of sessions.
pub(crate) fn sessions(params: &Params) -> SessionFilter {
    let text = |name: &str| params.text(name).map(str::to_owned);
    SessionFilter {
        accounts: params.parsed("account_id"),
        role_arn: text("role_arn"),
        kinds: words(params, "kind", ALL_SESSION_KINDS, session_kind),
        session_name: text("session_name"),
        principal: text("principal"),
        cluster: text("cluster"),
        namespace: text("namespace"),
        service_account: text("service_account"),
        association_id: text("association_id"),
        access_key_id: text("access_key_id"),
        attributed: params.flag("attributed"),
        attribution_method: text("attribution_method"),
        failed: params.flag("failed"),
        since: params.instant("since"),
        until: params.instant("until"),
    }
}

/// Sessions by their filter, in the order that is asked for.
pub(crate) fn sessions_in_order(params: &Params) -> Sessions {
    Sessions { filter: sessions(params), order: time_order(params) }
}

/// Filters of change events.
pub(crate) const CHANGE_EVENTS: &[Param] = &[
    ACCOUNT,
    param(
        "resource",
        Kind::Text,
        "That name this resource: an ARN, the key `account/region/cluster/namespace/service account` or the id of an \
         association, or an id of Organizations. A role's path and letter case make no difference.",
    ),
    param("resource_type", Kind::Text, "That name a resource of this CloudFormation type, such as `AWS::IAM::Role`."),
    param("actor", Kind::Text, "Whose actor's ARN, session issuer or service name holds this text, in any case."),
    param("event_name", Kind::Text, "Of this event name, such as `PutRolePolicy`."),
    param("denied", Kind::Flag, "Only calls that were refused for want of permission; or only others."),
    param("since", Kind::Instant, "At or after."),
    param("until", Kind::Instant, "Before."),
];

/// The filter of change events.
pub(crate) fn change_events(params: &Params) -> ChangeEventFilter {
    let text = |name: &str| params.text(name).map(str::to_owned);
    ChangeEventFilter {
        accounts: params.parsed("account_id"),
        resource_keys: params.text("resource").map(named_key).into_iter().collect(),
        resource_type: text("resource_type"),
        actor: text("actor"),
        event_name: text("event_name"),
        denied: params.flag("denied"),
        since: params.instant("since"),
        until: params.instant("until"),
    }
}

/// Filters of the audit log.
pub(crate) const AUDIT_LOG: &[Param] = &[
    param("actor", Kind::Text, "By this person, service account or operator."),
    param("action", Kind::Words(AUDIT_ACTIONS), "Any of these actions."),
    param("object", Kind::Text, "On this object, such as the number of a finding."),
    param("outcome", Kind::Word(AUDIT_OUTCOMES), "`success`: it was done; `failure`: it was refused."),
    param("since", Kind::Instant, "At or after."),
    param("until", Kind::Instant, "Before."),
];

/// The filter of the audit log.
pub(crate) fn audit_log(params: &Params) -> AuditFilter {
    let text = |name: &str| params.text(name).map(str::to_owned);
    AuditFilter {
        actor: text("actor"),
        actions: words(params, "action", &AuditAction::ALL, AuditAction::as_str),
        object: text("object"),
        outcome: words(params, "outcome", &AuditOutcome::ALL, AuditOutcome::as_str).first().copied(),
        since: params.instant("since"),
        until: params.instant("until"),
    }
}

/// Every kind of session.
pub(crate) const ALL_SESSION_KINDS: &[SessionKind] = &[
    SessionKind::PodIdentity,
    SessionKind::PodIdentityTarget,
    SessionKind::WebIdentity,
    SessionKind::Saml,
    SessionKind::Service,
    SessionKind::AssumeRole,
    SessionKind::AgentRequest,
];

/// The snake-case name of a kind of session.
pub(crate) fn session_kind(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::PodIdentity => "pod_identity",
        SessionKind::PodIdentityTarget => "pod_identity_target",
        SessionKind::WebIdentity => "web_identity",
        SessionKind::Saml => "saml",
        SessionKind::Service => "service",
        SessionKind::AssumeRole => "assume_role",
        SessionKind::AgentRequest => "agent_request",
    }
}

/// Filters of changes.
pub(crate) const CHANGES: &[Param] = &[
    ACCOUNT,
    param("effect", Kind::Words(EFFECTS), "With any of these effects."),
    param("actor", Kind::Texts, "Made by these: ARNs of principals, or of the roles whose sessions called."),
    param(
        "workload",
        Kind::Association,
        "That reach this workload, `account/region/cluster/namespace/service account`.",
    ),
    param(
        "opens",
        Kind::Texts,
        "That open any of these privilege-escalation paths: their names, or `administrator` for all that end at one.",
    ),
    param("closes", Kind::Texts, "That close any of these; as `opens`."),
    param("resource", Kind::Text, "Of exactly this resource: its ARN, or an association's key."),
    param("resource_type", Kind::Texts, "Of these types, such as `AWS::IAM::Role`."),
    param("change", Kind::Texts, "Of these kinds, such as `trust_policy_changed`."),
    param("attribution", Kind::Words(ATTRIBUTIONS), "By how far it is known who made them."),
    param("seen_in", Kind::Words(SEEN_IN), "By what shows them: two scans, or their calls alone."),
    param("approval", Kind::Words(APPROVALS), "By what their approval is now; `none`: they were never approved."),
    param("since", Kind::Instant, "Detected at or after."),
    param("until", Kind::Instant, "Detected before."),
    param("sort", Kind::Word(TIME_ORDERS), "The newest first, if not given, or the oldest."),
];

/// The filter of changes.
pub(crate) fn changes(params: &Params) -> ChangeFilter {
    let list = |name: &str| params.list(name).to_vec();
    ChangeFilter {
        account_id: list("account_id"),
        effect: list("effect"),
        actor: list("actor"),
        workload: params.text("workload").and_then(|key| key.parse().ok()),
        opens: list("opens"),
        closes: list("closes"),
        resource: params.text("resource").map(str::to_owned),
        resource_type: list("resource_type"),
        change: list("change"),
        attribution: list("attribution"),
        seen_in: list("seen_in"),
        approval: list("approval"),
        roots: false,
        since: params.instant("since"),
        until: params.instant("until"),
    }
}

/// Changes by their filter, in the order that is asked for.
pub(crate) fn changes_in_order(params: &Params) -> Changes {
    Changes { filter: changes(params), order: time_order(params) }
}

/// Filters of baselines.
pub(crate) const BASELINES: &[Param] = &[
    ACCOUNT,
    param("resource", Kind::Text, "Of exactly this resource: its ARN, or an association's key."),
    param("resource_type", Kind::Texts, "Of these types, such as `AWS::IAM::Role`."),
    param("state", Kind::Words(BASELINE_STATES), "By how the resource stands against it."),
];

/// The filter of baselines.
pub(crate) fn baselines(params: &Params) -> BaselineFilter {
    BaselineFilter {
        account_id: params.list("account_id").to_vec(),
        resource: params.text("resource").map(str::to_owned),
        resource_type: params.list("resource_type").to_vec(),
        state: params.list("state").to_vec(),
    }
}

/// Filters of coverage.
pub(crate) const COVERAGE: &[Param] = &[
    ACCOUNT,
    param("scope", Kind::Words(SCOPES), "What is listed."),
    param("complete", Kind::Flag, "Only complete listings; or only those with gaps."),
    AT,
];

/// Filters of gaps.
pub(crate) const GAPS: &[Param] = &[ACCOUNT, param("scope", Kind::Words(SCOPES), "What is listed."), AT];

/// Filters of calls.
pub(crate) const USAGE: &[Param] = &[
    param("role_arn", Kind::Text, "Of this role."),
    param("association_id", Kind::Text, "Of this association."),
    param("since", Kind::Instant, "From the day of this time on."),
    AT,
];

/// The kinds of scope that are asked for; empty: all.
pub(crate) fn scopes(params: &Params) -> Vec<ScopeKind> {
    words(params, "scope", &ScopeKind::ALL, ScopeKind::as_str)
}

fn owned(params: &Params) -> Option<Owned> {
    words(params, "owned", &Owned::ALL, Owned::as_str).first().copied()
}

fn words<T: Copy>(params: &Params, name: &str, all: &[T], word: impl Fn(T) -> &'static str) -> Vec<T> {
    params.list(name).iter().filter_map(|given| all.iter().copied().find(|v| word(*v) == given)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rolecall_audit::drift::baseline::BaselineState;

    #[test]
    fn every_action_of_the_audit_log_can_be_asked_for() {
        let known: Vec<&str> = AuditAction::ALL.into_iter().map(AuditAction::as_str).collect();
        assert_eq!(AUDIT_ACTIONS, known);
        assert_eq!(AUDIT_OUTCOMES, AuditOutcome::ALL.map(AuditOutcome::as_str));
    }

    #[test]
    fn every_word_that_a_table_allows_reaches_its_filter() {
        let read = |table: &[Param], query: &str| Params::parse(Some(query), &[table]).unwrap();
        let all = |list: &[&str]| list.join(",");
        let filter = findings(&read(
            FINDINGS,
            &format!(
                "state={}&severity={}&detection={}&subject_kind={}&via={}&include=folded",
                all(STATES),
                all(SEVERITIES),
                all(DETECTIONS),
                all(SUBJECTS),
                all(VIAS)
            ),
        ));
        assert_eq!((filter.via.len(), filter.folded), (VIAS.len(), true));
        let found = (filter.workflow.len(), filter.severity.len(), filter.detection.len(), filter.subject_kinds.len());
        assert_eq!(found, (STATES.len(), SEVERITIES.len(), DETECTIONS.len(), SUBJECTS.len()));
        assert_eq!(scopes(&read(COVERAGE, &format!("scope={}", all(SCOPES)))).len(), ScopeKind::ALL.len());
        assert_eq!(BaselineState::ALL.map(BaselineState::as_str), *BASELINE_STATES);
        assert_eq!(Owned::ALL.map(Owned::as_str), *OWNED_WORDS);
        for kind in SESSION_KINDS {
            assert_eq!(sessions(&read(SESSIONS, &format!("kind={kind}"))).kinds.len(), 1, "{kind}");
        }
        for sort in SORTS {
            assert_eq!(finding_sort(&read(FINDINGS, &format!("sort={sort}"))).as_str(), *sort);
        }
    }
}
