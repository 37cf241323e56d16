//! What most pages need besides their own rows: names of accounts and what was not seen.

use super::parts::{AccountNames, GAPS_SHOWN, Seen};
use crate::app::App;
use crate::http::as_of::{self, AsOfBanner};
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::query::Params;
use chrono::{DateTime, Utc};
use rolecall_store::{AsOf, CoverageRow, CoverageSummary};
use std::collections::BTreeSet;

/// The surroundings of the estate, read once for a page. It counts nothing of what accounts own.
pub(super) struct PageContext {
    pub(super) now: DateTime<Utc>,
    pub(super) names: AccountNames,
    pub(super) seen: Seen,
    /// The time that has passed which the page shows; `None`: it shows the latest scan.
    pub(super) as_of: Option<AsOf>,
    /// What links to the inventory end with.
    suffix: String,
}

impl PageContext {
    /// Reads the accounts' names and a summary of the latest look at every scope.
    pub(super) async fn load(app: &App) -> Result<Self, AppError> {
        let now = Utc::now();
        let (names, coverage) = tokio::try_join!(app.store.account_names(), app.store.coverage_summary(GAPS_SHOWN))?;
        let names = AccountNames::new(names);
        let seen = Seen::new(&coverage, &names, now);
        Ok(Self { now, names, seen, as_of: None, suffix: String::new() })
    }

    /// As [`PageContext::load`], as of the moment that the parameters of the page at `path` name. The page says so.
    pub(super) async fn as_of(app: &App, params: &Params, path: &str, chrome: &mut Chrome) -> Result<Self, AppError> {
        let Some(as_of) = as_of::of(&app.store, params).await? else { return Self::load(app).await };
        let (names, coverage) =
            tokio::try_join!(app.store.account_names(), app.store.coverage_summary_at(as_of, GAPS_SHOWN))?;
        let (now, names) = (as_of.at(), AccountNames::new(names));
        let seen = Seen::new(&coverage, &names, now);
        let banner = AsOfBanner::new(as_of, path, params);
        let suffix = banner.suffix.clone();
        chrome.as_of = Some(banner);
        Ok(Self { now, names, seen, as_of: Some(as_of), suffix })
    }

    /// As [`PageContext::href`], of an address that has a query.
    pub(super) fn and_at(&self, href: String) -> String {
        href + &self.suffix.replacen('?', "&", 1)
    }

    /// A link to a page of the inventory, which keeps to the time that is shown.
    pub(super) fn href(&self, href: &str) -> String {
        match href.is_empty() {
            true => String::new(),
            false => format!("{href}{}", self.suffix),
        }
    }
}

/// What listings did and did not show at a moment, with the first gaps.
pub(super) fn summary(coverage: &[CoverageRow], as_of: AsOf, shown: usize) -> CoverageSummary {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let accounts: BTreeSet<_> = coverage.iter().map(|row| row.scope.account_id).collect();
    let gaps = || coverage.iter().flat_map(|row| &row.gaps);
    CoverageSummary {
        scopes: count(coverage.len()),
        accounts: count(accounts.len()),
        incomplete: count(coverage.iter().filter(|row| !row.complete).count()),
        last_look_at: (!coverage.is_empty()).then(|| as_of.scanned_at()),
        gap_count: count(gaps().count()),
        gaps: gaps().take(shown).cloned().collect(),
    }
}
