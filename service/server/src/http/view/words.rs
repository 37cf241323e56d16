//! Words for people: instants, spans, counts, names of things.
//!
//! Every page takes its wording from here, so that the same thing reads the same everywhere.
//! Refuses to know what a page shows.

use chrono::{DateTime, SecondsFormat, Utc};
use rolecall_audit::finding::{Detection, Workflow};
use rolecall_estate::SessionKind;
use rolecall_estate::coverage::{GapReason, ScopeKind};
use rolecall_rules::{Severity, SubjectKind};

/// An instant, absolute and relative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// RFC 3339, for `<time datetime>`.
    pub iso: String,
    /// `2026-01-31 08:00 UTC`.
    pub text: String,
    /// `3 h ago`.
    pub ago: String,
}

impl Stamp {
    /// An instant as seen from `now`.
    #[must_use]
    pub fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self { iso: rfc3339(at), text: at.format("%Y-%m-%d %H:%M UTC").to_string(), ago: ago(at, now) }
    }
}

/// RFC 3339 in UTC with `Z`, to the second.
#[must_use]
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let (span, past) = (seconds.abs(), seconds >= 0);
    let text = match span {
        0..10 => return "just now".to_owned(),
        10..90 => format!("{span} s"),
        90..5_400 => format!("{} min", (span + 30) / 60),
        5_400..129_600 => format!("{} h", (span + 1_800) / 3_600),
        129_600..5_184_000 => format!("{} d", (span + 43_200) / 86_400),
        _ => format!("{} months", (span + 1_296_000) / 2_592_000),
    };
    if past { format!("{text} ago") } else { format!("in {text}") }
}

/// How long something took: `840 ms`, `12.4 s`, `3 min 5 s`.
#[must_use]
pub fn span(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{} ms", milliseconds.max(0)),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
        _ => format!("{} h {} min", milliseconds / 3_600_000, milliseconds % 3_600_000 / 60_000),
    }
}

/// A count with thin groups: `12 400`.
#[must_use]
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    if n < 0 { format!("−{out}") } else { out }
}

/// A count that is never negative.
#[must_use]
pub fn count_u64(n: u64) -> String {
    count(i64::try_from(n).unwrap_or(i64::MAX))
}

/// `1 finding`, `2 findings`.
#[must_use]
pub fn plural(n: i64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// The word for a severity.
#[must_use]
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Info => "Info",
    }
}

/// The word for a workflow state.
#[must_use]
pub fn workflow(workflow: Workflow) -> &'static str {
    match workflow {
        Workflow::Open => "Open",
        Workflow::Acknowledged => "Acknowledged",
        Workflow::Suppressed => "Suppressed",
        Workflow::Resolved => "Resolved",
    }
}

/// What the scanner last saw, in words.
#[must_use]
pub fn detection(detection: Detection) -> &'static str {
    match detection {
        Detection::Active => "Detected in the latest scan",
        Detection::Stale => "Undetermined in the latest scan",
        Detection::Cleared => "No longer seen",
    }
}

/// The word for a kind of subject.
#[must_use]
pub fn subject(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Role => "Role",
        SubjectKind::Policy => "Managed policy",
        SubjectKind::Association => "Association",
        SubjectKind::Session => "Session",
        SubjectKind::Cluster => "Cluster",
        SubjectKind::Account => "Account",
        SubjectKind::Change => "Change",
    }
}

/// How a session came to be, in words.
#[must_use]
pub fn session_kind(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::PodIdentity => "Pod Identity",
        SessionKind::PodIdentityTarget => "Pod Identity, target role",
        SessionKind::WebIdentity => "Web identity",
        SessionKind::Saml => "SAML",
        SessionKind::Service => "AWS service",
        SessionKind::AssumeRole => "AssumeRole",
        SessionKind::AgentRequest => "Pod Identity Agent request",
    }
}

/// A count in few characters: `740`, `2 388`, `12k`, `3M`. Rounds down.
#[must_use]
pub fn short_count(n: u64) -> String {
    match n {
        0..10_000 => count_u64(n),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..1_000_000_000 => format!("{}M", n / 1_000_000),
        _ => format!("{}G", count_u64(n / 1_000_000_000)),
    }
}

/// What a scope lists, in words.
#[must_use]
pub fn scope(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Entry => "AssumeRole into the account",
        ScopeKind::Organization => "Organization",
        ScopeKind::OrgPolicies => "Organization policies",
        ScopeKind::Roles => "Roles",
        ScopeKind::Policies => "Managed policies",
        ScopeKind::OidcProviders => "OIDC providers",
        ScopeKind::OidcProviderDetails => "OIDC provider details",
        ScopeKind::Clusters => "Clusters",
        ScopeKind::ClusterDetails => "Cluster details",
        ScopeKind::Associations => "Associations",
        ScopeKind::AssociationDetails => "Association details",
        ScopeKind::Addons => "Add-ons",
        ScopeKind::AccessEntries => "Access entries",
        ScopeKind::Trails => "Trails",
        ScopeKind::Sessions => "Sessions",
    }
}

/// Why a scope was not seen, in words.
#[must_use]
pub fn gap(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Denied => "Access denied",
        GapReason::Throttled => "Throttled",
        GapReason::Timeout => "Timeout",
        GapReason::Unreachable => "Connection or server error",
        GapReason::Malformed => "Malformed response",
        GapReason::Credentials => "Invalid or expired credentials",
        GapReason::NotReached => "Not reached: an earlier call failed",
        GapReason::NotProvided => "Not in the imported files",
        GapReason::Truncated => "Truncated listing",
        GapReason::Filtered => "Listing lacks items that must exist",
        GapReason::Unproven => "Files do not prove a complete listing",
        GapReason::Lost => "Most items missing at once; confirmed by the next scan",
        GapReason::SetAside => "Set aside: the process died at it more than once",
    }
}

/// What a person can do about a gap.
#[must_use]
pub fn remedy(reason: GapReason, action: &str) -> String {
    match reason {
        GapReason::Denied => format!("Allow `{action}` to the role that Rolecall assumes in this account; check SCPs."),
        GapReason::Throttled => "Lower `aws.concurrent_calls`, or scan at a quieter time.".to_owned(),
        GapReason::Timeout | GapReason::Unreachable => {
            "Check the network path to this endpoint and scan again.".to_owned()
        }
        GapReason::Malformed => {
            "Scan again; if it persists, see the log for the field that could not be read.".to_owned()
        }
        GapReason::Credentials => {
            "Renew the hub's credentials, or check the role's trust policy and external ID.".to_owned()
        }
        GapReason::NotReached => "Fix the earlier gap first.".to_owned(),
        GapReason::NotProvided => "Import the file that contains it.".to_owned(),
        GapReason::Truncated => {
            format!("List again without `--max-items`, or import all pages of `{action}` together.")
        }
        GapReason::Filtered => {
            "Scan again; for files, list without `--filter`, `--query` and `--namespace`.".to_owned()
        }
        GapReason::Unproven => {
            "Import the files in the estate layout, or pass `--complete` if they hold everything.".to_owned()
        }
        GapReason::Lost => "Scan again: items missing from two scans in a row count as deleted.".to_owned(),
        GapReason::SetAside => {
            "Run `rolecall admin set-aside retry` with its name, then scan again; see Ingestion.".to_owned()
        }
    }
}

/// The last part of an ARN's resource, for narrow columns; the text itself where it is no ARN.
#[must_use]
pub fn short_name(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_spans_read_well() {
        let now: DateTime<Utc> = "2026-01-31T08:00:00Z".parse().unwrap();
        for (back, said) in [
            (0, "just now"),
            (45, "45 s ago"),
            (120, "2 min ago"),
            (7_200, "2 h ago"),
            (-7_200, "in 2 h"),
            (3 * 86_400, "3 d ago"),
            (90 * 86_400, "3 months ago"),
        ] {
            assert_eq!(Stamp::new(now - chrono::Duration::seconds(back), now).ago, said);
        }
        assert_eq!(Stamp::new(now, now).text, "2026-01-31 08:00 UTC");
        assert_eq!(Stamp::new(now, now).iso, "2026-01-31T08:00:00Z");
        for (ms, said) in [(12, "12 ms"), (12_400, "12.4 s"), (185_000, "3 min 5 s"), (7_260_000, "2 h 1 min")] {
            assert_eq!(span(ms), said);
        }
    }

    #[test]
    fn counts_are_grouped() {
        for (n, said) in [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (-1_234_567, "−1\u{202f}234\u{202f}567")] {
            assert_eq!(count(n), said);
        }
        assert_eq!(plural(1, "finding", "findings"), "1 finding");
        for (n, said) in [
            (0, "0"),
            (999, "999"),
            (9_999, "9\u{202f}999"),
            (10_999, "10k"),
            (3_700_000, "3M"),
            (u64::MAX, "18\u{202f}446\u{202f}744\u{202f}073G"),
        ] {
            assert_eq!(short_count(n), said);
        }
        assert_eq!(short_name("arn:aws:iam::111122223333:role/team/app"), "app");
    }
}
