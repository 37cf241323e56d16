//! What most pages need besides their own rows: names of accounts and what was not seen.

use super::parts::{AccountNames, Seen};
use crate::app::App;
use crate::http::error::AppError;
use chrono::{DateTime, Utc};
use rolecall_store::{AccountRow, CoverageRow};

/// The surroundings of the estate, read once for a page.
pub(super) struct Around {
    pub(super) now: DateTime<Utc>,
    pub(super) accounts: Vec<AccountRow>,
    pub(super) coverage: Vec<CoverageRow>,
    pub(super) names: AccountNames,
    pub(super) seen: Seen,
}

impl Around {
    /// Reads accounts and the latest look at every scope.
    pub(super) async fn load(app: &App) -> Result<Self, AppError> {
        let now = Utc::now();
        let accounts = app.store.accounts().await?;
        let coverage = app.store.coverage(&[]).await?;
        let names = AccountNames::of_rows(&accounts);
        let seen = Seen::of(&coverage, &names, now);
        Ok(Self { now, accounts, coverage, names, seen })
    }
}
