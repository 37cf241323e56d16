//! What most pages need besides their own rows: names of accounts and what was not seen.

use super::parts::{AccountNames, GAPS_SHOWN, Seen};
use crate::app::App;
use crate::http::error::AppError;
use chrono::{DateTime, Utc};

/// The surroundings of the estate, read once for a page. It counts nothing of what accounts own.
pub(super) struct PageContext {
    pub(super) now: DateTime<Utc>,
    pub(super) names: AccountNames,
    pub(super) seen: Seen,
}

impl PageContext {
    /// Reads the accounts' names and a summary of the latest look at every scope.
    pub(super) async fn load(app: &App) -> Result<Self, AppError> {
        let now = Utc::now();
        let (names, coverage) = tokio::try_join!(app.store.account_names(), app.store.coverage_summary(GAPS_SHOWN))?;
        let names = AccountNames::new(names);
        let seen = Seen::of(&coverage, &names, now);
        Ok(Self { now, names, seen })
    }
}
