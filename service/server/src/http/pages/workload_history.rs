//! `/workload-history`: one timeline of a workload: its association, roles, policies and boundaries, and whatever else
//! reached it.

use super::changes::{ChangeLine, DayGroup, by_day};
use super::estate::PageContext;
use super::parts::{Seen, association_href};
use crate::http::as_of::AT;
use crate::http::error::{AppError, Code};
use crate::http::frame::Chrome;
use crate::http::inventory::read_key;
use crate::http::query::{Kind, param, query};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;

/// So many changes are shown, the latest.
const SHOWN: u32 = 500;

query! {
    /// Query of a workload's history.
    HistoryQuery = &[
        param("association", Kind::Association, "An association, as account/region/cluster/namespace/service account."),
        AT,
    ]
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/workload_history.html")]
pub(crate) struct HistoryPage {
    chrome: Chrome,
    seen: Seen,
    name: String,
    place: String,
    back: String,
    days: Vec<DayGroup>,
    is_cut: bool,
}

/// `GET /workload-history`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<HistoryPage, AppError> {
    let params = HistoryQuery::parse(raw.as_deref())?;
    let given = params.text("association");
    let given = given.ok_or_else(|| AppError::new(Code::BadRequest, "give `association`, the key of one"))?;
    let key = read_key(given).ok_or_else(|| AppError::not_found(format!("association `{given}`")))?;
    let context = PageContext::as_of(&app, &params, "/workload-history", &mut chrome).await?;
    let rows = app.store.workload_history(&key, context.as_of, SHOWN + 1).await?;
    let shown = usize::try_from(SHOWN).unwrap_or(usize::MAX);
    let line = |found| ChangeLine::of_workload(found, &key, &context);
    let lines = rows.iter().take(shown).map(|found| (found.row.detected_at.date_naive(), line(found)));
    Ok(HistoryPage {
        name: format!("{}/{}", key.namespace, key.service_account),
        place: format!("cluster {}, {}, {}", key.cluster, key.region, context.names.of(key.account_id)),
        back: context.href(&association_href(&key.to_string())),
        is_cut: rows.len() > shown,
        days: by_day(lines),
        seen: context.seen,
        chrome,
    })
}
