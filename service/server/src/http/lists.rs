//! The lists: what a row of each is, and in which order rows come.

use super::listing::Listing;
use chrono::{DateTime, Utc};
use rolecall_cloudtrail::change::ChangeEvent;
use rolecall_estate::Session;
use rolecall_store::{
    AccountRow, AsOf, AssociationAfter, AssociationFilter, AssociationRow, AuditEntry, AuditFilter, BaselineAfter,
    BaselineFilter, BaselineRow, ChangeAfter, ChangeEventAfter, ChangeEventFilter, ChangeFilter, ChangeRow,
    ClusterAfter, ClusterFilter, ClusterRow, ClusterSort, Error as StoreError, FindingAfter, FindingFilter, FindingRow,
    FindingSort, RoleAfter, RoleFilter, RoleRow, RoleSort, Run, RunId, SessionAfter, SessionFilter, Store, Total,
};

/// Findings in one of their orders.
pub(crate) struct Findings {
    pub(crate) filter: FindingFilter,
    pub(crate) sort: FindingSort,
}

impl Listing for Findings {
    type Row = FindingRow;
    type After = FindingAfter;

    fn order(&self) -> &'static str {
        self.sort.as_str()
    }

    fn key(&self, row: &FindingRow) -> FindingAfter {
        row.after(self.sort)
    }

    async fn rows(
        &self,
        store: &Store,
        after: Option<&FindingAfter>,
        limit: u32,
    ) -> Result<Vec<FindingRow>, StoreError> {
        store.findings(&self.filter, self.sort, after.cloned(), limit).await
    }
}

/// Associations by key.
pub(crate) struct Associations {
    pub(crate) filter: AssociationFilter,
    /// Sessions are counted from here.
    pub(crate) sessions_since: DateTime<Utc>,
}

impl Listing for Associations {
    type Row = AssociationRow;
    type After = AssociationAfter;

    fn order(&self) -> &'static str {
        "key"
    }

    fn key(&self, row: &AssociationRow) -> AssociationAfter {
        row.after()
    }

    async fn rows(
        &self,
        store: &Store,
        after: Option<&AssociationAfter>,
        limit: u32,
    ) -> Result<Vec<AssociationRow>, StoreError> {
        store.associations(&self.filter, after, limit, self.sessions_since).await
    }
}

/// The audit log, the newest first.
impl Listing for AuditFilter {
    type Row = AuditEntry;
    type After = i64;

    fn order(&self) -> &'static str {
        "seq"
    }

    fn key(&self, row: &AuditEntry) -> i64 {
        row.seq
    }

    async fn rows(&self, store: &Store, after: Option<&i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        store.audit_log(self, after.copied(), limit).await
    }
}

/// An order of accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AccountSort {
    #[default]
    Id,
    OpenFindings,
    Roles,
    Associations,
    OldestScan,
}

impl AccountSort {
    pub(crate) const ALL: [Self; 5] = [Self::Id, Self::OpenFindings, Self::Roles, Self::Associations, Self::OldestScan];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::OpenFindings => "open_findings",
            Self::Roles => "roles",
            Self::Associations => "associations",
            Self::OldestScan => "oldest_scan",
        }
    }

    /// Keys rise down the list.
    fn key(self, row: &AccountRow) -> String {
        let most = |number: u64| format!("{:020}", u64::MAX.saturating_sub(number));
        let before = match self {
            Self::Id => String::new(),
            // Of a time that has passed no findings are told: all accounts have as many.
            Self::OpenFindings => most(row.open_findings.unwrap_or_default()),
            Self::Roles => most(row.roles),
            Self::Associations => most(row.associations),
            // What was never scanned comes first.
            Self::OldestScan => row.last_look_at.map(|at| format!("{:020}", at.timestamp_micros())).unwrap_or_default(),
        };
        format!("{before}/{}", row.id)
    }
}

/// Which accounts, and in which order.
pub(crate) struct AccountFilter {
    /// In lower case.
    pub(crate) q: Option<String>,
    pub(crate) complete: Option<bool>,
    pub(crate) sort: AccountSort,
    pub(crate) as_of: Option<AsOf>,
}

impl AccountFilter {
    fn takes(&self, row: &AccountRow) -> bool {
        let account = row.account.as_ref();
        let name = account.and_then(|it| it.name.as_deref()).unwrap_or_default();
        let ou = account.and_then(|it| it.ou_path.as_deref()).unwrap_or_default();
        let holds = |q: &str| [&row.id.to_string(), name, ou].iter().any(|text| text.to_lowercase().contains(q));
        self.q.as_deref().is_none_or(holds) && self.complete.is_none_or(|complete| complete == row.is_complete())
    }
}

/// Accounts in one of their orders, held whole: an organization has thousands at most, and to count them is to read
/// them.
pub(crate) struct Accounts {
    sort: AccountSort,
    rows: Vec<(String, AccountRow)>,
}

impl Accounts {
    /// What the filter leaves.
    pub(crate) async fn load(store: &Store, filter: &AccountFilter) -> Result<Self, StoreError> {
        let all = match filter.as_of {
            None => store.accounts().await?,
            Some(as_of) => store.accounts_at(as_of).await?,
        };
        let taken = all.into_iter().filter(|row| filter.takes(row));
        let mut rows: Vec<(String, AccountRow)> = taken.map(|row| (filter.sort.key(&row), row)).collect();
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { sort: filter.sort, rows })
    }

    /// How many there are.
    pub(crate) fn total(&self) -> Total {
        Total::Exact(u64::try_from(self.rows.len()).unwrap_or(u64::MAX))
    }
}

impl Listing for Accounts {
    type Row = (String, AccountRow);
    type After = String;

    fn order(&self) -> &'static str {
        self.sort.as_str()
    }

    fn key(&self, (key, _): &(String, AccountRow)) -> String {
        key.clone()
    }

    async fn rows(
        &self,
        _: &Store,
        after: Option<&String>,
        limit: u32,
    ) -> Result<Vec<(String, AccountRow)>, StoreError> {
        let rest = self.rows.iter().skip_while(|(key, _)| after.is_some_and(|after| key <= after));
        Ok(rest.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }
}

/// Clusters in one of their orders.
pub(crate) struct Clusters {
    pub(crate) filter: ClusterFilter,
    pub(crate) sort: ClusterSort,
}

impl Listing for Clusters {
    type Row = ClusterRow;
    type After = ClusterAfter;

    fn order(&self) -> &'static str {
        self.sort.as_str()
    }

    fn key(&self, row: &ClusterRow) -> ClusterAfter {
        row.after()
    }

    async fn rows(
        &self,
        store: &Store,
        after: Option<&ClusterAfter>,
        limit: u32,
    ) -> Result<Vec<ClusterRow>, StoreError> {
        store.clusters_in_order(&self.filter, self.sort, after, limit).await
    }
}

/// Roles in one of their orders.
pub(crate) struct Roles {
    pub(crate) filter: RoleFilter,
    pub(crate) sort: RoleSort,
}

impl Listing for Roles {
    type Row = RoleRow;
    type After = RoleAfter;

    fn order(&self) -> &'static str {
        self.sort.as_str()
    }

    fn key(&self, row: &RoleRow) -> RoleAfter {
        row.after()
    }

    async fn rows(&self, store: &Store, after: Option<&RoleAfter>, limit: u32) -> Result<Vec<RoleRow>, StoreError> {
        store.roles_in_order(&self.filter, self.sort, after, limit).await
    }
}

/// An order of what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeOrder {
    Newest,
    Oldest,
}

impl TimeOrder {
    fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
        }
    }
}

/// Sessions in one of their orders.
pub(crate) struct Sessions {
    pub(crate) filter: SessionFilter,
    pub(crate) order: TimeOrder,
}

impl Listing for Sessions {
    type Row = Session;
    type After = SessionAfter;

    fn order(&self) -> &'static str {
        self.order.as_str()
    }

    fn key(&self, row: &Session) -> SessionAfter {
        SessionAfter::new(row)
    }

    async fn rows(&self, store: &Store, after: Option<&SessionAfter>, limit: u32) -> Result<Vec<Session>, StoreError> {
        match self.order {
            TimeOrder::Newest => store.sessions(&self.filter, after, limit).await,
            TimeOrder::Oldest => store.oldest_sessions(&self.filter, after, limit).await,
        }
    }
}

/// Changes in one of their orders.
pub(crate) struct Changes {
    pub(crate) filter: ChangeFilter,
    pub(crate) order: TimeOrder,
}

impl Listing for Changes {
    type Row = ChangeRow;
    type After = ChangeAfter;

    fn order(&self) -> &'static str {
        self.order.as_str()
    }

    fn key(&self, row: &ChangeRow) -> ChangeAfter {
        row.after()
    }

    async fn rows(&self, store: &Store, after: Option<&ChangeAfter>, limit: u32) -> Result<Vec<ChangeRow>, StoreError> {
        match self.order {
            TimeOrder::Newest => store.changes(&self.filter, after, limit).await,
            TimeOrder::Oldest => store.oldest_changes(&self.filter, after, limit).await,
        }
    }
}

/// Baselines: what differs first.
impl Listing for BaselineFilter {
    type Row = BaselineRow;
    type After = BaselineAfter;

    fn order(&self) -> &'static str {
        "state"
    }

    fn key(&self, row: &BaselineRow) -> BaselineAfter {
        row.after()
    }

    async fn rows(
        &self,
        store: &Store,
        after: Option<&BaselineAfter>,
        limit: u32,
    ) -> Result<Vec<BaselineRow>, StoreError> {
        store.baselines(self, after, limit).await
    }
}

/// Change events, the newest first.
impl Listing for ChangeEventFilter {
    type Row = ChangeEvent;
    type After = ChangeEventAfter;

    fn order(&self) -> &'static str {
        "newest"
    }

    fn key(&self, row: &ChangeEvent) -> ChangeEventAfter {
        ChangeEventAfter::new(row)
    }

    async fn rows(
        &self,
        store: &Store,
        after: Option<&ChangeEventAfter>,
        limit: u32,
    ) -> Result<Vec<ChangeEvent>, StoreError> {
        store.change_events(self, after, limit).await
    }
}

/// Scans, the newest first.
pub(crate) struct Scans;

impl Listing for Scans {
    type Row = Run;
    type After = RunId;

    fn order(&self) -> &'static str {
        "newest"
    }

    fn key(&self, row: &Run) -> RunId {
        row.id
    }

    async fn rows(&self, store: &Store, after: Option<&RunId>, limit: u32) -> Result<Vec<Run>, StoreError> {
        store.runs(after.copied(), limit).await
    }
}
