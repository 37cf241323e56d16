//! View models that several pages share, display-ready.
//!
//! What the templates in `web/templates/parts.html` print. Built from rows by pure functions here,
//! so that the same thing looks the same everywhere. Refuses to know requests.

use crate::http::query::encode;
use crate::http::view::document::{DocumentView, lay_out};
use crate::http::view::words::{self, Stamp};
use chrono::{DateTime, Utc};
use rolecall_audit::access::reach::{Via, Workload};
use rolecall_audit::finding::triage::due::{Due, DueState};
use rolecall_audit::finding::{Detection, Workflow};
use rolecall_audit::owner::Owner;
use rolecall_estate::coverage::{Gap, Scope};
use rolecall_estate::{AssociationKey, AttributionMethod, Cause, Reason, Session, SessionAttribution};
use rolecall_iam::{AccountId, Digest};
use rolecall_rules::{Severity, Subject, SubjectKind};
use rolecall_store::{AssociationName, CoverageSummary, FindingRow, TicketRow};
use std::collections::{BTreeMap, BTreeSet};

/// A severity: its class, which picks colour and shape, and its word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeverityMark {
    pub(crate) class: &'static str,
    pub(crate) label: &'static str,
}

impl From<Severity> for SeverityMark {
    fn from(severity: Severity) -> Self {
        Self { class: severity.as_str(), label: words::severity(severity) }
    }
}

/// A word on a coloured ground.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    pub(crate) class: &'static str,
    pub(crate) label: String,
}

/// A badge.
pub(crate) fn badge(class: &'static str, label: impl Into<String>) -> Badge {
    Badge { class, label: label.into() }
}

impl From<Workflow> for Badge {
    fn from(workflow: Workflow) -> Self {
        let class = match workflow {
            Workflow::Open => "bad",
            Workflow::Acknowledged => "accent",
            Workflow::Suppressed => "",
            Workflow::Resolved => "ok",
        };
        badge(class, words::workflow(workflow))
    }
}

/// How a finding stands to its due date.
pub(crate) fn due_badge(due: Due) -> Badge {
    let day = due.at.map(|at| at.format("%Y-%m-%d").to_string()).unwrap_or_default();
    match due.state {
        DueState::Ok => badge("", format!("Due {day}")),
        DueState::DueSoon => badge("accent", format!("Due soon, {day}")),
        DueState::Overdue => badge("bad", format!("Overdue since {day}")),
        DueState::Paused => badge("", "Due date paused"),
    }
}

/// A share of a bar, in percent of its width.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BarPart {
    pub(crate) class: &'static str,
    pub(crate) hatched: bool,
    pub(crate) x: String,
    pub(crate) w: String,
    pub(crate) title: String,
}

/// A bar of shares, with the same in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) parts: Vec<BarPart>,
}

/// A bar of `(class, word, count)`; a class of `unknown` is hatched. `whole` is the count that fills it.
pub(crate) fn bar(shares: &[(&'static str, &str, u64)], whole: u64) -> Bar {
    // A permille fits any float exactly; the counts are far below 2^53.
    let permille = |n: u64| n.saturating_mul(1000).checked_div(whole.max(1)).unwrap_or(0).min(1000);
    let percent = |n: u64| format!("{}.{}", n / 10, n % 10);
    let (mut parts, mut from, mut said) = (Vec::new(), 0, Vec::new());
    for (class, word, n) in shares.iter().copied().filter(|(.., n)| *n > 0) {
        let title = format!("{} {word}", words::count_u64(n));
        // Something that is there is never invisible.
        let w = permille(n).max(6);
        let hatched = class == "unknown";
        parts.push(BarPart {
            class: if hatched { "" } else { class },
            hatched,
            x: percent(from),
            w: percent(w),
            title: title.clone(),
        });
        from += w;
        said.push(title);
    }
    Bar { label: if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }, parts }
}

/// A hole in what was seen, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GapLine {
    pub(crate) href: String,
    pub(crate) place: String,
    pub(crate) why: String,
    pub(crate) action: String,
    pub(crate) detail: String,
    pub(crate) remedy: String,
    pub(crate) scope: String,
    pub(crate) region: String,
    pub(crate) cluster: String,
    pub(crate) account_id: String,
}

/// Where a scope is, in words.
pub(crate) fn place(scope: &Scope, names: &AccountNames) -> String {
    let mut text = format!("{} of {}", words::scope(scope.kind), names.of(scope.account_id));
    let region = scope.region.as_ref().map(ToString::to_string);
    let cluster = scope.cluster.as_ref().map(ToString::to_string);
    for part in [region, cluster].into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&part);
    }
    text
}

/// The id of a listing's row on its account's page.
pub(crate) fn scope_anchor(scope: &Scope) -> String {
    let mut anchor = format!("scope-{}", scope.kind);
    for part in [scope.region.as_ref().map(ToString::to_string), scope.cluster.as_ref().map(ToString::to_string)] {
        anchor.push('-');
        anchor.push_str(&part.unwrap_or_default());
    }
    anchor
}

/// Where a listing's row is.
pub(crate) fn scope_href(scope: &Scope) -> String {
    format!("/accounts/{}#{}", scope.account_id, scope_anchor(scope))
}

impl GapLine {
    /// The line of a gap.
    pub(crate) fn new(gap: &Gap, names: &AccountNames) -> Self {
        let text = |part: Option<String>| part.unwrap_or_default();
        Self {
            href: scope_href(&gap.scope),
            place: place(&gap.scope, names),
            why: words::gap(gap.reason).to_owned(),
            action: gap.action.clone(),
            detail: gap.detail.clone(),
            remedy: words::remedy(gap.reason, &gap.action),
            scope: words::scope(gap.scope.kind).to_owned(),
            region: text(gap.scope.region.as_ref().map(ToString::to_string)),
            cluster: text(gap.scope.cluster.as_ref().map(ToString::to_string)),
            account_id: gap.scope.account_id.to_string(),
        }
    }
}

/// What the latest scan did and did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `whole`, `gaps` or `never`.
    pub(crate) state: &'static str,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) gaps: Vec<GapLine>,
    pub(crate) more: usize,
}

/// So many gaps are named in the notice of what was not seen.
pub(super) const GAPS_SHOWN: u32 = 4;

impl Seen {
    /// The notice of a coverage.
    pub(crate) fn new(coverage: &CoverageSummary, names: &AccountNames, now: DateTime<Utc>) -> Self {
        let Some(last) = coverage.last_look_at else {
            return Self {
                state: "never",
                title: "No scan has finished".to_owned(),
                text: "No data until the first scan finishes. An empty list means nothing yet.".to_owned(),
                gaps: Vec::new(),
                more: 0,
            };
        };
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let stamp = Stamp::new(last, now);
        let looked = format!(
            "{} in {}",
            plural(number(coverage.scopes), "listing", "listings"),
            plural(number(coverage.accounts), "account", "accounts")
        );
        if coverage.incomplete == 0 {
            let text = format!("{looked}, all complete; latest scan {} ({}).", stamp.text, stamp.ago);
            return Self { state: "complete", title: String::new(), text, gaps: Vec::new(), more: 0 };
        }
        let title = format!("{} of {looked} incomplete", words::count_u64(coverage.incomplete));
        let text = format!(
            "Rules that depend on them return “unknown”, never “pass”, and their findings are not resolved. Latest scan {} ({}).",
            stamp.text, stamp.ago
        );
        let lines: Vec<GapLine> = coverage.gaps.iter().map(|gap| GapLine::new(gap, names)).collect();
        let more = number(coverage.gap_count).saturating_sub(lines.len());
        Self { state: "gaps", title, text, gaps: lines, more }
    }
}

/// `1 listing`, `2 listings`.
pub(crate) fn plural(n: usize, one: &str, many: &str) -> String {
    words::plural(i64::try_from(n).unwrap_or(i64::MAX), one, many)
}

/// How accounts are called.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountNames(BTreeMap<AccountId, String>);

impl AccountNames {
    /// Takes the names of those accounts that have one.
    pub(crate) fn new(accounts: Vec<(AccountId, Option<String>)>) -> Self {
        Self(accounts.into_iter().filter_map(|(id, name)| Some((id, name?))).collect())
    }

    /// The name, or the id.
    pub(crate) fn of(&self, id: AccountId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// The name, or nothing.
    pub(crate) fn name(&self, id: AccountId) -> &str {
        self.0.get(&id).map_or("", String::as_str)
    }

    /// Every account with a name.
    pub(crate) fn each(&self) -> impl Iterator<Item = (AccountId, &str)> {
        self.0.iter().map(|(id, name)| (*id, name.as_str()))
    }

    /// Every account with a name, for a choice.
    pub(crate) fn choices(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(id, name)| (id.to_string(), format!("{name} ({id})"))).collect()
    }
}

/// A step of a drawn chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// `subject`, `unseen`, `missing` or nothing.
    pub(crate) class: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) notes: Vec<String>,
}

/// A document on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DocumentCard {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) digest: String,
    pub(crate) digest_short: String,
    pub(crate) view: DocumentView,
}

impl DocumentCard {
    /// Lays a document out; `marks` are pointers with what each shows.
    pub(crate) fn new(
        title: &str,
        subtitle: &str,
        digest: Option<Digest>,
        text: &str,
        marks: &BTreeMap<String, String>,
    ) -> Self {
        let digest = digest.map(|d| d.to_string()).unwrap_or_default();
        Self {
            id: "document".to_owned(),
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            digest_short: digest.chars().take(12).collect(),
            digest,
            view: lay_out(text, marks),
        }
    }
}

/// Gives cards ids of their own: two documents may have the same title.
pub(crate) fn numbered(mut cards: Vec<DocumentCard>, kind: &str) -> Vec<DocumentCard> {
    for (at, card) in cards.iter_mut().enumerate() {
        card.id = format!("{kind}-{}", at + 1);
    }
    cards
}

/// A finding's ticket in another system, or the reservation of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketLine {
    pub(crate) system: String,
    /// How the system calls it; empty while it is only reserved.
    pub(crate) key: String,
    pub(crate) url: String,
    /// By which worker it is reserved.
    pub(crate) holder: String,
    /// Until when.
    pub(crate) until: Option<Stamp>,
}

impl TicketLine {
    /// The line of a ticket, or of a reservation that holds.
    pub(crate) fn new(row: &TicketRow, now: DateTime<Utc>) -> Option<Self> {
        let until = row.lease_until.filter(|until| *until > now);
        let key = row.key.clone().unwrap_or_default();
        (!key.is_empty() || until.is_some()).then(|| Self {
            system: row.system.clone(),
            key,
            url: row.url.clone().unwrap_or_default(),
            holder: row.holder.clone().unwrap_or_default(),
            until: until.map(|until| Stamp::new(until, now)),
        })
    }
}

/// A line of a list of findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FindingLine {
    pub(crate) number: i64,
    pub(crate) href: String,
    pub(crate) severity: SeverityMark,
    pub(crate) message: String,
    pub(crate) title: String,
    pub(crate) rule: String,
    pub(crate) subject: String,
    pub(crate) place: String,
    /// The pods that reach the role, such as `billing/invoices and 2 more`; empty where none does.
    pub(crate) pods: String,
    /// How many findings are listed under it; empty where none is.
    pub(crate) parts: String,
    pub(crate) account_name: String,
    pub(crate) account_id: String,
    pub(crate) state: Badge,
    pub(crate) stale: bool,
    /// Where its time is running out.
    pub(crate) due: Option<Badge>,
    pub(crate) assignee: String,
    /// Empty where it is nobody's, and where that is not known.
    pub(crate) owner: String,
    pub(crate) tickets: Vec<TicketLine>,
    pub(crate) last_seen: Stamp,
    pub(crate) fingerprint: String,
    pub(crate) role: String,
    pub(crate) workloads: String,
    /// How it stands to its due date, near or not; `None` where it has none.
    pub(crate) due_at: Option<Badge>,
    pub(crate) first_seen: Stamp,
    pub(crate) opened: Stamp,
}

impl FindingLine {
    /// The line of a finding. `title` is its rule's title.
    pub(crate) fn new(row: &FindingRow, title: String, names: &AccountNames, now: DateTime<Utc>) -> Self {
        let is_near = |due: &Due| matches!(due.state, DueState::DueSoon | DueState::Overdue);
        Self {
            number: row.number,
            due: row.due.filter(is_near).map(due_badge),
            assignee: row.assignee.clone().unwrap_or_default(),
            owner: row.owner.as_ref().and_then(Owner::name).unwrap_or_default().to_owned(),
            tickets: row.tickets.iter().filter_map(|ticket| TicketLine::new(ticket, now)).collect(),
            href: format!("/findings/{}", row.number),
            severity: row.severity.into(),
            message: row.message.clone(),
            title,
            rule: row.rule.clone(),
            subject: subject_name(&row.subject),
            place: subject_place(&row.subject),
            pods: pods(row),
            parts: match row.parts {
                0 => String::new(),
                n => format!(
                    "and {} about the same",
                    words::plural(i64::try_from(n).unwrap_or(i64::MAX), "finding", "findings")
                ),
            },
            account_name: names.name(row.subject.account_id).to_owned(),
            account_id: row.subject.account_id.to_string(),
            state: row.workflow.into(),
            stale: row.detection == Detection::Stale,
            last_seen: Stamp::new(row.last_seen_at, now),
            fingerprint: row.fingerprint.0.clone(),
            role: row.subject.role_arn.as_deref().map(words::short_name).unwrap_or_default().to_owned(),
            workloads: words::count_u64(row.workload_count),
            due_at: row.due.map(due_badge),
            first_seen: Stamp::new(row.first_seen_at, now),
            opened: Stamp::new(row.opened_at, now),
        }
    }
}

/// Tags in one line.
pub(crate) fn tags_line(tags: &rolecall_estate::Tags) -> String {
    tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// The first pods that reach the role of a finding, in one line.
fn pods(row: &FindingRow) -> String {
    const NAMED: usize = 2;
    let name = |w: &Workload| format!("{}/{}", w.association.namespace, w.association.service_account);
    let named: Vec<String> = row.workloads.iter().take(NAMED).map(name).collect();
    let more = row.workload_count.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    match (named.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {} more", named.join(", "), words::count_u64(more)),
    }
}

/// A pod that reaches a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkloadLine {
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) via: &'static str,
}

impl WorkloadLine {
    /// The line of a workload.
    pub(crate) fn new(workload: &Workload, names: &AccountNames) -> Self {
        let key = &workload.association;
        Self {
            href: association_href(&key.to_string()),
            name: format!("{}/{}", key.namespace, key.service_account),
            cluster: key.cluster.to_string(),
            region: key.region.to_string(),
            account: names.of(key.account_id),
            via: match workload.via {
                Via::Direct => "its role",
                Via::Target => "its target role",
                Via::Chain => "assumes it from its role",
            },
        }
    }
}

/// How people call a subject.
pub(crate) fn subject_name(subject: &Subject) -> String {
    match subject.kind {
        SubjectKind::Association => match (&subject.namespace, &subject.service_account) {
            (Some(namespace), Some(account)) => format!("{namespace}/{account}"),
            _ => subject.key.clone(),
        },
        // The role that changed says more than the change's id.
        SubjectKind::Change => {
            let role = subject.role_arn.as_deref().map(words::short_name);
            role.or(subject.cluster.as_deref()).unwrap_or(&subject.key).to_owned()
        }
        SubjectKind::Account | SubjectKind::Session => subject.key.clone(),
        SubjectKind::Role | SubjectKind::Policy | SubjectKind::Cluster => words::short_name(&subject.key).to_owned(),
    }
}

/// What a subject is and where.
pub(crate) fn subject_place(subject: &Subject) -> String {
    let mut text = words::subject(subject.kind).to_owned();
    for part in [&subject.cluster, &subject.region].into_iter().flatten() {
        text.push_str(" · ");
        text.push_str(part);
    }
    text
}

/// The page of a subject, where it has one.
pub(crate) fn subject_href(subject: &Subject) -> String {
    match subject.kind {
        SubjectKind::Role => role_href(&subject.key),
        SubjectKind::Association => association_href(&subject.key),
        SubjectKind::Account => format!("/accounts/{}", subject.account_id),
        SubjectKind::Session => subject.role_arn.as_deref().map(role_href).unwrap_or_default(),
        SubjectKind::Cluster => match (&subject.region, &subject.cluster) {
            (Some(region), Some(name)) => cluster_href(subject.account_id, region, name),
            _ => String::new(),
        },
        SubjectKind::Policy => String::new(),
        SubjectKind::Change => format!("/changes/{}", subject.key),
    }
}

/// A cluster's page.
pub(crate) fn cluster_href(account: AccountId, region: &str, name: &str) -> String {
    format!("/clusters/{account}/{region}/{}", encode(name))
}

/// Something that may have a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) place: String,
    /// Empty where there is no page.
    pub(crate) href: String,
}

/// Associations by their ids, with links to those that are still there.
pub(crate) fn association_links(ids: &[String], names: &BTreeMap<String, AssociationName>) -> Vec<Link> {
    let link = |id: &String| {
        let Some(found) = names.get(id) else {
            return Link { name: id.clone(), place: "not in the inventory".to_owned(), href: String::new() };
        };
        let mut parts = found.key.split('/').skip(1);
        let (region, cluster) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = parts.collect::<Vec<_>>().join("/");
        let gone = if found.present { "" } else { ", gone since" };
        Link {
            name,
            place: format!("{cluster}, {region}{gone}"),
            href: if found.present { association_href(&found.key) } else { String::new() },
        }
    };
    ids.iter().map(link).collect()
}

/// How a session was attributed to its pod, or why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributionMark {
    pub(crate) badge: Badge,
    pub(crate) text: String,
}

impl AttributionMark {
    /// The mark of an attribution; `None`: it is still due.
    pub(crate) fn new(attribution: Option<&SessionAttribution>) -> Self {
        let Some(attribution) = attribution else {
            return Self { badge: badge("unseen", "Not attributed yet"), text: String::new() };
        };
        let why = || attribution.reason.clone().unwrap_or_default();
        let text = match attribution.method {
            AttributionMethod::Tags => "by the session tags that EKS set",
            AttributionMethod::AccessKey => "by its access key, as another account recorded it",
            AttributionMethod::Chain => "by the session that created it",
            AttributionMethod::Name => "by role and session name, which match one association only",
            AttributionMethod::Ambiguous => return Self { badge: badge("unseen", "Ambiguous"), text: why() },
            AttributionMethod::None => return Self { badge: badge("", "Not attributed"), text: why() },
        };
        // The evidence names a pod, and no association of that moment is known: not the same as attributed.
        if attribution.association_id.is_none() {
            return Self { badge: badge("bad", "No association"), text: format!("pod known {text}; {}", why()) };
        }
        Self { badge: badge("ok", "Attributed"), text: text.to_owned() }
    }
}

/// The page of a session.
pub(crate) fn session_href(session: &Session) -> String {
    format!("/sessions/{}/{}", session.account_id, encode(&session.event_id).replace('/', "%2F"))
}

/// The page of a role.
pub(crate) fn role_href(arn: &str) -> String {
    format!("/roles/{}", encode(arn))
}

/// The page of an association; its key has the shape of a path.
pub(crate) fn association_href(key: &str) -> String {
    format!("/associations/{}", encode(key))
}

/// The page of the unused access of a role.
pub(super) fn unused_access_of_role(arn: &str) -> String {
    format!("/unused-access?role={}", encode(arn))
}

/// Where the history of a workload is told.
pub(super) fn workload_history_href(key: &AssociationKey) -> String {
    format!("/workload-history?association={}", encode(&key.to_string()))
}

/// The page of the unused access of an association's pods.
pub(super) fn unused_access_of_pods(key: &str) -> String {
    format!("/unused-access?association={}", encode(key))
}

/// Why it could not be decided, with a link to what would decide it.
pub(crate) struct ReasonLine {
    pub(crate) text: String,
    /// Empty where no page shows it.
    pub(crate) href: String,
    pub(crate) label: &'static str,
}

impl From<&Reason> for ReasonLine {
    fn from(reason: &Reason) -> Self {
        let (href, label) = match reason.cause() {
            Some(Cause::Gap(scope)) => (scope_href(scope), "Coverage of this listing"),
            Some(Cause::Assumption(_) | Cause::Document | Cause::ConditionKey(_) | Cause::Budget) | None => {
                (String::new(), "")
            }
        };
        Self { text: reason.text().to_owned(), href, label }
    }
}

impl ReasonLine {
    /// Each reason once, in the order of their sentences.
    pub(crate) fn each<'r>(reasons: impl IntoIterator<Item = &'r Reason>) -> Vec<Self> {
        reasons.into_iter().collect::<BTreeSet<_>>().into_iter().map(Self::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_what_it_should_and_hides_nothing() {
        let bar = bar(&[("c-pass", "pass", 9_990), ("c-fail", "fail", 1), ("unknown", "unknown", 0)], 9_991);
        assert_eq!(bar.label, "9\u{202f}990 pass, 1 fail");
        assert_eq!(bar.parts.iter().map(|p| p.w.as_str()).collect::<Vec<_>>(), ["99.9", "0.6"]);
        assert_eq!(super::bar(&[("c-pass", "pass", 0)], 0).label, "nothing");
        assert!(super::bar(&[("unknown", "unknown", 3)], 4).parts[0].hatched);
    }

    #[test]
    fn a_pod_without_an_association_is_not_attributed() {
        let label = |method: AttributionMethod, association: Option<&str>| {
            let association_id = association.map(str::to_owned);
            let attribution = SessionAttribution { method, association_id, ..SessionAttribution::default() };
            AttributionMark::new(Some(&attribution)).badge.label
        };
        assert_eq!(label(AttributionMethod::Tags, Some("a-1")), "Attributed");
        assert_eq!(label(AttributionMethod::Tags, None), "No association");
        assert_eq!(label(AttributionMethod::Ambiguous, None), "Ambiguous");
        assert_eq!(label(AttributionMethod::None, None), "Not attributed");
        assert_eq!(AttributionMark::new(None).badge.label, "Not attributed yet");
    }
}
