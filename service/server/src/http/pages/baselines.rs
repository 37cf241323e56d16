//! `/baselines`, one baseline, and the card of it on a resource's page: what was approved, and what differs.

use super::changes::{Differing, asked, differing, effect_badge, of_type, sent, short};
use super::estate::PageContext;
use super::list::{Chip, Empty, Pager, Select, carried, chips, curl, empty, select};
use super::parts::{Badge, DocumentCard, Seen, association_href, badge, numbered, plural, role_href};
use super::tools::ListTools;
use crate::app::App;
use crate::audit::baselines as files;
use crate::http::baselines::{self, AskedState};
use crate::http::error::{AppError, Code};
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::list_pages::BASELINES;
use crate::http::listing;
use crate::http::principal::Principal;
use crate::http::query::{is_local, query};
use crate::http::view::words::Stamp;
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Redirect;
use rolecall_audit::drift::ResourceType;
use rolecall_audit::drift::baseline::{BaselineState, Configuration};
use rolecall_iam::AccountId;
use rolecall_store::{BaselineFilter, BaselineRow};
use std::collections::BTreeMap;

const PATH: &str = "/baselines";

query! {
    /// A page of one thing takes no parameter.
    NoQuery = &[]
}

fn state_badge(state: BaselineState) -> Badge {
    match state {
        BaselineState::Differs => badge("bad", "Differs"),
        BaselineState::Removed => badge("bad", "Removed"),
        BaselineState::Unknown => badge("unseen", "Unknown"),
        BaselineState::Expired => badge("bad", "Expired"),
        BaselineState::Matches => badge("ok", "Matches"),
    }
}

fn href(id: &str) -> String {
    format!("{PATH}/{id}")
}

/// A baseline, in a row.
struct Line {
    href: String,
    state: Badge,
    effect: Option<Badge>,
    resource: String,
    kind: &'static str,
    account: String,
    because: String,
    reason: String,
    ticket: String,
    by: String,
    at: Stamp,
    until: Option<Stamp>,
    signed: bool,
    file: String,
}

impl Line {
    fn new(row: &BaselineRow, context: &PageContext) -> Self {
        Self {
            href: href(&row.id),
            state: state_badge(row.state),
            effect: row.compared.effect.map(effect_badge),
            resource: short(&row.resource),
            kind: of_type(row.resource.kind),
            account: context.names.of(row.account_id),
            because: row.compared.because.clone(),
            reason: row.reason.clone(),
            ticket: row.ticket.clone().unwrap_or_default(),
            by: row.who.clone(),
            at: Stamp::new(row.at, context.now),
            until: row.until.map(|at| Stamp::new(at, context.now)),
            signed: row.signed_by.is_some(),
            file: row.file.clone().unwrap_or_default(),
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/baselines.html")]
pub(crate) struct BaselinesPage {
    chrome: Chrome,
    seen: Seen,
    selects: Vec<Select>,
    resource: String,
    carried: Vec<(&'static str, String)>,
    chips: Vec<Chip>,
    tools: ListTools,
    clear: &'static str,
    lines: Vec<Line>,
    counts: String,
    problems: Vec<String>,
    pager: Pager,
    empty: Option<Empty>,
    curl: String,
}

/// `GET /baselines`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<BaselinesPage, AppError> {
    let params = BASELINES.parse(raw.as_deref())?;
    let filter = filters::baselines(&params);
    let slice = listing::shown(&app, &params, &filter).await?;
    let context = PageContext::load(&app).await?;
    let counts = app.store.count_baselines().await?;
    let config = app.config.baselines.clone();
    let found = tokio::task::spawn_blocking(move || files::read(&config)).await.map_err(AppError::internal)?;
    let types = TYPES.map(|it| (it.as_str().to_owned(), of_type(it).to_owned()));
    let states = BaselineState::ALL.map(|it| (it.as_str().to_owned(), state_badge(it).label));
    let mut counts: Vec<(BaselineState, u64)> = counts;
    counts.sort();
    let counts = counts.into_iter().map(|(state, number)| format!("{number} {}", state.as_str()));
    Ok(BaselinesPage {
        selects: vec![
            select("state", "State", states, &params),
            select("account_id", "Account", context.names.choices(), &params),
            select("resource_type", "Resource", types, &params),
        ],
        resource: params.text("resource").unwrap_or_default().to_owned(),
        carried: carried(&params, &["state", "account_id", "resource_type", "resource"]),
        chips: chips(PATH, &params, &[]),
        tools: ListTools::load(&app, &chrome, &BASELINES, &params).await?,
        clear: PATH,
        counts: counts.collect::<Vec<_>>().join(", "),
        problems: found.problems.iter().map(ToString::to_string).collect(),
        pager: Pager::new(
            PATH,
            &params,
            &slice.turns,
            plural(slice.rows.len(), "baseline on this page", "baselines on this page"),
        ),
        empty: slice.rows.is_empty().then(|| empty("baseline", params.filters(), PATH, &context.seen)),
        curl: curl(&chrome.origin(&app), "/api/v1/baselines", &params, filters::BASELINES),
        lines: slice.rows.iter().map(|row| Line::new(row, &context)).collect(),
        seen: context.seen,
        chrome,
    })
}

const TYPES: [ResourceType; 7] = [
    ResourceType::Role,
    ResourceType::ManagedPolicy,
    ResourceType::Association,
    ResourceType::Cluster,
    ResourceType::OrgPolicy,
    ResourceType::OidcProvider,
    ResourceType::Trail,
];

#[derive(Template, WebTemplate)]
#[template(path = "pages/baseline.html")]
pub(crate) struct BaselinePage {
    chrome: Chrome,
    line: Line,
    id: String,
    resource: String,
    resource_href: String,
    changes_href: String,
    account_id: String,
    digest: String,
    signed_by: String,
    compared: Stamp,
    ended: Option<(Stamp, String, String)>,
    can_accept: bool,
    differing: Vec<Differing>,
    state: DocumentCard,
    today: String,
    latest: String,
    json: String,
}

/// `GET /baselines/{id}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<BaselinePage, AppError> {
    NoQuery::parse(raw.as_deref())?;
    let row = app.store.baseline(&id).await?.ok_or_else(|| AppError::not_found(format!("baseline `{id}`")))?;
    let context = PageContext::load(&app).await?;
    let differing = differing(&app, &row.compared.differences).await?;
    let kept = serde_json::json!({
        "configuration": row.body.get("configuration"),
        "documents": row.body.get("documents"),
    });
    let state = DocumentCard::new("Approved state", "", row.digest.parse().ok(), &kept.to_string(), &BTreeMap::new());
    let state = numbered(vec![state], "approved-state").into_iter().next();
    let state = state.ok_or_else(|| AppError::new(Code::Internal, "the approved state is not shown"))?;
    let day = |days: i64| (context.now + chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let resource_href = match row.resource.kind {
        _ if row.state == BaselineState::Removed => String::new(),
        ResourceType::Role => role_href(&row.resource.name),
        ResourceType::Association => association_href(&row.resource.name),
        _ => String::new(),
    };
    Ok(BaselinePage {
        line: Line::new(&row, &context),
        resource: row.resource.name.clone(),
        changes_href: format!(
            "/changes?resource={}&since={}",
            crate::http::query::encode(&row.resource.name),
            row.at.format("%Y-%m-%dT%H:%M:%SZ")
        ),
        resource_href,
        account_id: row.account_id.to_string(),
        digest: row.digest.clone(),
        signed_by: row.signed_by.clone().unwrap_or_default(),
        compared: Stamp::new(row.compared_at, context.now),
        can_accept: row.state != BaselineState::Removed,
        ended: row.ended.map(|(at, by, because)| (Stamp::new(at, context.now), by, because)),
        differing,
        state,
        today: day(1),
        latest: day(365),
        json: format!("/api/v1/baselines/{id}"),
        id,
        chrome,
    })
}

/// The card on the page of a resource, or of an account.
pub(super) struct BaselineCard {
    /// The state of the baseline in force, and its page.
    pub(super) now: Option<(Badge, String)>,
    pub(super) because: String,
    pub(super) resource: String,
    pub(super) account_id: String,
    /// The digest of the state that the page shows.
    pub(super) digest: String,
    pub(super) title: &'static str,
    pub(super) back: String,
    pub(super) form_token: String,
    pub(super) may_approve: bool,
    pub(super) today: String,
    pub(super) latest: String,
}

impl BaselineCard {
    /// That of a resource.
    pub(super) async fn of_resource(
        app: &App,
        account: AccountId,
        present: Configuration,
        resource: &str,
        chrome: &Chrome,
        context: &PageContext,
    ) -> Result<Self, AppError> {
        let filter = BaselineFilter {
            account_id: vec![account.to_string()],
            resource: Some(resource.to_owned()),
            ..BaselineFilter::default()
        };
        let row = app.store.baselines(&filter, None, 1).await?.into_iter().next();
        Ok(Self {
            because: row.as_ref().map(|row| row.compared.because.clone()).unwrap_or_default(),
            now: row.map(|row| (state_badge(row.state), href(&row.id))),
            resource: resource.to_owned(),
            digest: present.normal().digest().to_string(),
            title: "Approve the present state as baseline",
            ..Self::empty(account, chrome, context)
        })
    }

    /// That of an account.
    pub(super) async fn of_account(
        app: &App,
        account: AccountId,
        chrome: &Chrome,
        context: &PageContext,
    ) -> Result<Self, AppError> {
        let filter = BaselineFilter { account_id: vec![account.to_string()], ..BaselineFilter::default() };
        let row = app.store.baselines(&filter, None, 1).await?.into_iter().next();
        let because = match &row {
            Some(row) if row.state == BaselineState::Matches => "Every resource with a baseline matches it.",
            Some(_) => "Some resources do not match their baselines.",
            None => "",
        };
        Ok(Self {
            because: because.to_owned(),
            now: row.map(|row| (state_badge(row.state), format!("{PATH}?account_id={account}"))),
            title: "Approve the present state of every resource of the account as baseline",
            ..Self::empty(account, chrome, context)
        })
    }

    fn empty(account: AccountId, chrome: &Chrome, context: &PageContext) -> Self {
        let day = |days: i64| (context.now + chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string();
        Self {
            now: None,
            because: String::new(),
            resource: String::new(),
            account_id: account.to_string(),
            digest: String::new(),
            title: "",
            back: chrome.path.clone(),
            form_token: chrome.form_token.clone(),
            may_approve: chrome.may.approve,
            today: day(1),
            latest: day(365),
        }
    }
}

/// `POST /baselines`
pub(crate) async fn accept(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let given = |name: &str| Some(sent(&body, name)).filter(|text| !text.is_empty());
    let account_id = given("account_id")
        .map(|text| text.parse::<AccountId>())
        .transpose()
        .map_err(|error| AppError::new(Code::InvalidParameter, format!("`account_id`: {error}")))?;
    let wanted = AskedState {
        resource: given("resource"),
        account_id,
        expected_digest: given("expected_digest"),
        asked: asked(&body)?,
    };
    let one = wanted.resource.is_some();
    let taken = baselines::take(&app, wanted, &who).await?;
    let back = sent(&body, "next");
    Ok(Redirect::to(&match taken.rows.first() {
        Some(row) if one && back.is_empty() => href(&row.id),
        _ if is_local(&back) => back,
        Some(row) => format!("{PATH}?account_id={}", row.account_id),
        None => PATH.to_owned(),
    }))
}

/// `POST /baselines/{id}/withdrawal`
pub(crate) async fn withdraw(
    Visible(app): Visible,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let row = baselines::withdraw(&app, &id, &sent(&body, "reason"), &who).await?;
    Ok(Redirect::to(&href(&row.id)))
}
