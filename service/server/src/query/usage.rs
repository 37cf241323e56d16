//! Calls, as far as somebody may see whose they are.
//!
//! Calls are counted by role and association, and no policy of a table tells whose they are: they are read whole, and
//! what is not seen is left out here. Calls of an association are seen with it; all calls of an account's roles and all
//! that its trail holds are seen with the account. Refuses to know how the answer is shown.

use crate::app::App;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use rolecall_iam::{AccountId, RoleArn};
use rolecall_store::{Error, Store, UsageOf, UsageWindow, UseRow};
use std::collections::BTreeSet;

/// Whose calls are seen.
struct Seen {
    associations: BTreeSet<String>,
    accounts: BTreeSet<AccountId>,
}

impl Seen {
    fn shows(&self, row: &UseRow) -> bool {
        let of_account = || {
            let role = row.role_arn.parse::<RoleArn>().map(|role| role.account_id());
            self.accounts.contains(&row.account_id) || role.is_ok_and(|account| self.accounts.contains(&account))
        };
        row.association_id.as_ref().is_some_and(|id| self.associations.contains(id)) || of_account()
    }
}

/// What was used, as [`rolecall_store::Store::usage`] gives it, of what this service shows.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn seen_usage<'a>(
    app: &'a App,
    of: &UsageOf,
    within: UsageWindow,
    shapes: bool,
) -> Result<BoxStream<'a, Result<UseRow, Error>>, Error> {
    usage_seen_by(&app.store, app.whole(), of, within, shapes).await
}

/// The same of what `store` shows, out of all that `whole` has.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn usage_seen_by<'a>(
    store: &Store,
    whole: &'a Store,
    of: &UsageOf,
    within: UsageWindow,
    shapes: bool,
) -> Result<BoxStream<'a, Result<UseRow, Error>>, Error> {
    let rows = whole.usage(of, within, shapes);
    if !store.is_limited() {
        return Ok(rows);
    }
    let seen = Seen { associations: store.shown_association_ids().await?, accounts: store.shown_accounts().await? };
    Ok(rows.try_filter(move |row| std::future::ready(seen.shows(row))).boxed())
}
