//! The list pages: of each its address, its parameters, its columns and its orders, declared once. The page, its
//! downloads and what is kept as a saved view come from the same declarations. Refuses to know what a row shows.

use super::error::AppError;
use super::filters;
use super::query::{CURSOR, Kind, LIMIT, Param, Params, param};

/// A list as a page.
#[derive(Debug)]
pub(crate) struct ListPage {
    /// Its address.
    pub(crate) path: &'static str,
    /// How people call it.
    pub(crate) name: &'static str,
    /// Everything that its address may ask for.
    pub(crate) tables: &'static [&'static [Param]],
    /// What its table shows, in order. None where its columns cannot be chosen.
    pub(crate) columns: &'static [Column],
    /// The order where none is asked for, as `sort` names it.
    pub(crate) usual_order: &'static str,
}

/// When a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Always: a row is nothing without it.
    Always,
    /// Unless other columns are chosen.
    Usually,
    /// Where it is chosen.
    Chosen,
}

/// A column of a list.
#[derive(Debug)]
pub(crate) struct Column {
    /// As `columns` names it.
    pub(crate) name: &'static str,
    /// Its heading.
    pub(crate) label: &'static str,
    /// When it is shown.
    pub(crate) when: When,
    /// Whether it is a number, or is to stand like one.
    pub(crate) number: bool,
    /// The orders by it.
    pub(crate) orders: &'static [Order],
    /// The columns of the file that say the same; none where the file has none.
    pub(crate) exported: &'static [&'static str],
}

/// An order of a list.
#[derive(Debug)]
pub(crate) struct Order {
    /// As `sort` names it.
    pub(crate) name: &'static str,
    /// What comes first, in words.
    pub(crate) label: &'static str,
    /// Whether values rise down the list.
    pub(crate) ascending: bool,
}

/// The columns that a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns(Vec<&'static str>);

impl Columns {
    /// Whether the column of this name is shown.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

impl ListPage {
    /// Reads what an address of the page asks for.
    ///
    /// # Errors
    /// As [`Params::parse`].
    pub(crate) fn parse(&self, query: Option<&str>) -> Result<Params, AppError> {
        Params::parse(query, self.tables)
    }

    /// The columns where nobody chose any.
    pub(crate) fn usual(&self) -> Columns {
        Columns(self.columns.iter().filter(|it| it.when != When::Chosen).map(|it| it.name).collect())
    }

    /// The columns that are asked for.
    pub(crate) fn shown(&self, params: &Params) -> Columns {
        let asked = params.list(COLUMNS);
        if asked.is_empty() {
            return self.usual();
        }
        let is_shown = |it: &&Column| it.when == When::Always || asked.iter().any(|name| name == it.name);
        Columns(self.columns.iter().filter(is_shown).map(|it| it.name).collect())
    }

    /// The columns of the file that say what the chosen columns show; none where nobody chose.
    pub(crate) fn exported(&self, params: &Params) -> Vec<&'static str> {
        if params.list(COLUMNS).is_empty() {
            return Vec::new();
        }
        let shown = self.shown(params);
        self.columns.iter().filter(|it| shown.has(it.name)).flat_map(|it| it.exported).copied().collect()
    }

    /// The order that is asked for, as `sort` names it.
    pub(crate) fn order<'p>(&'p self, params: &'p Params) -> &'p str {
        params.text(SORT).unwrap_or(self.usual_order)
    }
}

/// The parameter that chooses columns.
pub(crate) const COLUMNS: &str = "columns";
/// The parameter that chooses an order.
pub(crate) const SORT: &str = "sort";

const ABOUT_COLUMNS: &str = "The columns that the table shows, beside those without which a row is nothing.";

const fn order(name: &'static str, label: &'static str, ascending: bool) -> Order {
    Order { name, label, ascending }
}

/// Declares the columns of a list: their names for the parameter, and the columns.
macro_rules! columns {
    ($names:tt, $columns:ident = $($name:literal, $label:literal, $when:ident $($number:ident)?, [$($order:expr),*], [$($exported:literal),*];)*) => {
        const $names: Param = param(COLUMNS, Kind::Words(&[$($name),*]), ABOUT_COLUMNS);
        const $columns: &[Column] = &[$(Column {
            name: $name,
            label: $label,
            when: When::$when,
            number: columns!(@ $($number)?),
            orders: &[$($order),*],
            exported: &[$($exported),*],
        }),*];
    };
    (@ number) => { true };
    (@) => { false };
}

columns! { FINDING_NAMES, FINDING_COLUMNS =
    "severity", "Severity", Always, [order("severity", "Severity, the worst first", false)], ["severity"];
    "finding", "Finding", Always, [], ["number", "message"];
    "rule", "Rule", Chosen, [order("rule", "Rule, the worst of each first", true)], ["rule_id"];
    "subject", "Subject", Usually, [], ["subject_kind", "subject", "region", "cluster", "namespace", "service_account"];
    "role", "Role", Chosen, [], ["role_arn", "target_role_arn"];
    "workloads", "Workloads", Chosen number, [], ["workload_count", "workloads"];
    "account", "Account", Usually, [order("account", "Account, the worst of each first", true)], ["account_id"];
    "state", "State", Usually, [], ["state", "detection"];
    "owner", "Owner", Chosen, [], ["owner"];
    "assignee", "Assignee", Chosen, [], ["assignee"];
    "due", "Due", Chosen, [], ["due", "due_at"];
    "first_seen", "First seen", Chosen, [order("first_seen", "First seen, the latest first", false)], ["first_seen_at"];
    "opened", "Opened", Chosen, [order("opened", "Opened, the newest first", false), order("oldest", "Opened, the oldest first", true)],
        ["opened_at"];
    "last_seen", "Last seen", Usually, [order("last_seen", "Last seen, the latest first", false)], ["last_seen_at"];
    "number", "Number", Chosen number, [order("number", "Number, the greatest first", false)], [];
    "fingerprint", "Fingerprint", Chosen, [], ["fingerprint"];
}

columns! { ASSOCIATION_NAMES, ASSOCIATION_COLUMNS =
    "service_account", "Service account", Always, [order("key", "Account, Region, cluster and name", true)],
        ["account_id", "namespace", "service_account"];
    "cluster", "Cluster", Usually, [], ["region", "cluster"];
    "role", "Role", Usually, [], ["role_arn"];
    "target_role", "Target role", Usually, [], ["target_role_arn"];
    "session_tags", "Session tags", Usually, [], ["disable_session_tags"];
    "owner", "Owner", Usually, [], ["owner"];
    "sessions", "Sessions of the role", Usually number, [], [];
    "findings", "Open findings", Usually number, [], ["open_findings", "open_role_findings", "worst_severity"];
    "association_id", "Association id", Chosen, [], ["association_id"];
    "external_id", "External id", Chosen, [], ["external_id"];
    "owner_arn", "Owner ARN", Chosen, [], ["owner_arn"];
    "created", "Created", Chosen, [], ["created_at"];
    "modified", "Modified", Chosen, [], ["modified_at"];
    "tags", "Tags", Chosen, [], ["tags"];
}

columns! { ROLE_NAMES, ROLE_COLUMNS =
    "role", "Role", Always, [order("arn", "ARN", true)], ["role_arn"];
    "account", "Account", Usually, [], ["account_id"];
    "policies", "Policies", Usually number, [], ["inline_policies", "attached_policies"];
    "associations", "Associations", Usually number, [], ["associations"];
    "last_used", "Last used", Usually,
        [order("last_used", "Last used, the latest first", false), order("longest_unused", "Longest unused first", true)],
        ["last_used_at", "last_session_at"];
    "findings", "Open findings", Usually number, [], ["open_findings"];
    "region", "Used in", Chosen, [], ["last_used_region"];
    "boundary", "Permissions boundary", Chosen, [], ["boundary_arn"];
    "instance_profiles", "Instance profiles", Chosen, [], ["instance_profiles"];
    "created", "Created", Chosen, [], ["created_at"];
    "role_id", "Role id", Chosen, [], ["role_id"];
    "tags", "Tags", Chosen, [], ["tags"];
}

columns! { CLUSTER_NAMES, CLUSTER_COLUMNS =
    "cluster", "Cluster", Always, [order("key", "Account, Region and name", true)], ["account_id", "name"];
    "region", "Region", Usually, [], ["region"];
    "version", "Kubernetes", Usually, [], ["version"];
    "agent", "Pod Identity agent", Usually, [], ["addons", "auto_mode"];
    "associations", "Associations", Usually number, [], ["associations"];
    "findings", "Open findings", Usually number, [order("open_findings", "The most open findings first", false)],
        ["open_findings", "worst_severity"];
    "namespaces", "Namespaces", Chosen number, [], ["namespaces"];
    "status", "Status", Chosen, [], ["status"];
    "authentication", "Authentication mode", Chosen, [], ["authentication_mode"];
    "role", "Role", Chosen, [], ["role_arn"];
    "created", "Created", Chosen, [], ["created_at"];
    "tags", "Tags", Chosen, [], ["tags"];
}

columns! { SESSION_NAMES, SESSION_COLUMNS =
    "session", "Session", Always, [], ["session_name", "kind", "error"];
    "when", "When", Usually, [order("newest", "The newest first", false), order("oldest", "The oldest first", true)],
        ["time"];
    "role", "Role", Usually, [], ["role_arn", "account_id"];
    "pod", "Pod and association", Usually, [], ["cluster", "namespace", "service_account", "pod", "association_id"];
    "attribution", "Attribution", Usually, [], ["attribution_method", "attribution_reason", "candidates"];
    "principal", "Caller", Chosen, [], ["principal", "principal_type"];
    "source_ip", "Source IP", Chosen, [], ["source_ip"];
    "region", "Region", Chosen, [], ["region"];
    "access_key", "Access key", Chosen, [], ["access_key_id"];
    "external_id", "External id", Chosen, [], ["external_id"];
    "duration", "Duration", Chosen number, [], ["duration_seconds"];
    "event_id", "Event id", Chosen, [], ["event_id"];
}

columns! { _, ACCOUNT_COLUMNS =
    "account", "Account", Always, [order("id", "Account id", true)], ["id", "name", "ou_path"];
    "findings", "Open findings", Always number, [order("open_findings", "The most open findings first", false)], ["open_findings"];
    "roles", "Roles", Always number, [order("roles", "The most roles first", false)], ["roles"];
    "associations", "Assoc.", Always number, [order("associations", "The most associations first", false)], ["associations"];
    "scan", "Latest scan", Always, [order("oldest_scan", "The latest scan the longest ago first", true)], ["last_scanned_at"];
}

columns! { _, RULE_COLUMNS =
    "severity", "Severity", Always, [order("severity", "Severity, the worst first", false)], [];
    "rule", "Rule", Always, [order("title", "Title", true)], [];
    "subject", "Subject", Always, [], [];
    "results", "Results", Always, [], [];
    "fail", "Fail", Always number, [order("fail", "The most failures first", false)], [];
    "pass", "Pass", Always number, [], [];
    "unknown", "Unknown", Always number, [order("unknown", "The most unknown results first", false)], [];
    "error", "Error", Always number, [], [];
}

/// A change's table is the same on every page that shows changes.
const CHANGE_COLUMNS: &[Column] = &[Column {
    name: "when",
    label: "When",
    when: When::Always,
    number: false,
    orders: &[order("newest", "The newest first", false), order("oldest", "The oldest first", true)],
    exported: &[],
}];

const GROUP: Param =
    param("group", Kind::Word(&["rule", "owner", "none"]), "Puts findings of a rule or of an owner together.");

/// `/findings`
pub(crate) const FINDINGS: ListPage = ListPage {
    path: "/findings",
    name: "Findings",
    tables: &[filters::FINDINGS, &[GROUP, FINDING_NAMES, LIMIT, CURSOR]],
    columns: FINDING_COLUMNS,
    usual_order: "severity",
};
/// `/associations`
pub(crate) const ASSOCIATIONS: ListPage = ListPage {
    path: "/associations",
    name: "Associations",
    tables: &[filters::ASSOCIATIONS, &[ASSOCIATION_NAMES, LIMIT, CURSOR]],
    columns: ASSOCIATION_COLUMNS,
    usual_order: "key",
};
/// `/roles`
pub(crate) const ROLES: ListPage = ListPage {
    path: "/roles",
    name: "Roles",
    tables: &[filters::ROLES, &[ROLE_NAMES, LIMIT, CURSOR]],
    columns: ROLE_COLUMNS,
    usual_order: "arn",
};
/// `/clusters`
pub(crate) const CLUSTERS: ListPage = ListPage {
    path: "/clusters",
    name: "Clusters",
    tables: &[filters::CLUSTERS, &[CLUSTER_NAMES, LIMIT, CURSOR]],
    columns: CLUSTER_COLUMNS,
    usual_order: "key",
};
/// `/sessions`
pub(crate) const SESSIONS: ListPage = ListPage {
    path: "/sessions",
    name: "Sessions",
    tables: &[filters::SESSIONS, &[SESSION_NAMES, LIMIT, CURSOR]],
    columns: SESSION_COLUMNS,
    usual_order: "newest",
};
/// `/changes`
pub(crate) const CHANGES: ListPage = ListPage {
    path: "/changes",
    name: "Changes",
    tables: &[filters::CHANGES, &[LIMIT, CURSOR]],
    columns: CHANGE_COLUMNS,
    usual_order: "newest",
};
/// `/exceptions`
pub(crate) const EXCEPTIONS: ListPage = ListPage {
    path: "/exceptions",
    name: "Exceptions",
    tables: &[filters::EXCEPTIONS, &[LIMIT, CURSOR]],
    columns: &[],
    usual_order: "",
};
/// `/baselines`
pub(crate) const BASELINES: ListPage = ListPage {
    path: "/baselines",
    name: "Baselines",
    tables: &[filters::BASELINES, &[LIMIT, CURSOR]],
    columns: &[],
    usual_order: "",
};
/// `/accounts`
pub(crate) const ACCOUNTS: ListPage = ListPage {
    path: "/accounts",
    name: "Accounts",
    tables: &[filters::ACCOUNTS, &[LIMIT, CURSOR]],
    columns: ACCOUNT_COLUMNS,
    usual_order: "id",
};

/// `/rules`
pub(crate) const RULES: ListPage = ListPage {
    path: "/rules",
    name: "Rules",
    tables: &[filters::RULES],
    columns: RULE_COLUMNS,
    usual_order: "severity",
};

/// Every list of which a view can be saved.
pub(crate) const ALL: [&ListPage; 10] =
    [&FINDINGS, &EXCEPTIONS, &CHANGES, &BASELINES, &ASSOCIATIONS, &CLUSTERS, &ROLES, &SESSIONS, &ACCOUNTS, &RULES];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::export::What;
    use clap::ValueEnum as _;

    #[test]
    fn columns_have_names_of_their_own_and_files_have_what_they_name() {
        for page in ALL {
            let names: Vec<&str> = page.columns.iter().map(|it| it.name).collect();
            let mut once = names.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{}", page.path);
            let Ok(what) = What::from_str(page.path.trim_start_matches('/'), false) else { continue };
            for name in page.columns.iter().flat_map(|it| it.exported) {
                assert!(what.columns().contains(name), "{}: {name}", page.path);
            }
        }
    }

    #[test]
    fn what_is_always_shown_needs_no_choice() {
        let params = FINDINGS.parse(Some("columns=due")).unwrap();
        let shown = FINDINGS.shown(&params);
        assert!(shown.has("severity") && shown.has("finding") && shown.has("due") && !shown.has("account"));
        assert_eq!(FINDINGS.exported(&params), ["severity", "number", "message", "due", "due_at"]);
        let all = FINDINGS.parse(None).unwrap();
        assert!(FINDINGS.shown(&all) == FINDINGS.usual() && FINDINGS.exported(&all).is_empty());
        let wrong = FINDINGS.parse(Some("columns=asignee")).unwrap_err();
        assert!(wrong.detail.contains("did you mean `assignee`?"), "{}", wrong.detail);
    }

    #[test]
    fn each_order_that_a_heading_asks_for_is_one_of_the_list() {
        for page in ALL {
            for order in page.columns.iter().flat_map(|it| it.orders) {
                let is_usual = order.name == page.usual_order;
                let asked = format!("sort={}", order.name);
                let is_known = page.tables.iter().copied().flatten().any(|it| it.name == SORT);
                assert!(is_usual || page.parse(Some(&asked)).is_ok(), "{} {asked}", page.path);
                assert!(!is_known || page.parse(Some(&asked)).is_ok(), "{} {asked}", page.path);
            }
        }
    }
}
