//! `/settings`: who may enter, what they may do, and what they did.

use super::list::{Chip, Empty, Pager, Select, carried, chips, curl, select};
use super::parts::{Badge, badge, plural};
use crate::app::App;
use crate::config::auth::AuthMode;
use crate::http::auth::IDLE;
use crate::http::auth::token::Minted;
use crate::http::error::{AppError, Code};
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::listing;
use crate::http::principal::{PersonRole, Principal, Scope};
use crate::http::query::{CURSOR, LIMIT, pairs, query};
use crate::http::tokens::{self, Asked};
use crate::http::view::words::Stamp;
use crate::http::visible::{Unlimited, Visible};
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Redirect;
use chrono::{DateTime, Utc};
use rolecall_estate::Visibility;
use rolecall_store::{AuditAction, AuditEntry, AuditOutcome};

const AUDIT_LOG: &str = "/settings/audit-log";

fn limits_words(visibility: &Visibility) -> String {
    visibility.limits().map_or_else(|| "everything".to_owned(), |limits| limits.join(", "))
}

fn sent(body: &str, name: &str) -> Vec<String> {
    pairs(body).filter(|(n, _)| n == name).map(|(_, value)| value).collect()
}

fn first(body: &str, name: &str) -> Option<String> {
    sent(body, name).into_iter().next().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A role, with what it may do.
struct RoleLine {
    name: &'static str,
    about: &'static str,
    scopes: String,
    is_own: bool,
}

/// A group that has a role.
struct GroupLine {
    group: String,
    role: &'static str,
    limits: String,
}

/// A role that an operator gave.
struct GrantLine {
    person: String,
    role: String,
    limits: String,
    by: String,
    until: Stamp,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/settings.html")]
pub(crate) struct SettingsPage {
    chrome: Chrome,
    name: String,
    role: &'static str,
    limits: String,
    mode: &'static str,
    roles: Vec<RoleLine>,
    groups: Vec<GroupLine>,
    grants: Vec<GrantLine>,
}

/// `GET /settings`
pub(crate) async fn page(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    chrome: Chrome,
) -> Result<SettingsPage, AppError> {
    let Principal::Person { name, role, visibility, .. } = &who else {
        return Err(AppError::new(Code::Forbidden, "pages are for people"));
    };
    let now = app.now().await?;
    let line = |it: PersonRole| RoleLine {
        name: it.as_str(),
        about: it.about(),
        scopes: it.scopes().iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", "),
        is_own: it == *role,
    };
    let (groups, grants) = match chrome.may.administer {
        false => (Vec::new(), Vec::new()),
        true => {
            let group = |it: &crate::config::auth::RoleMapping| GroupLine {
                group: it.group.clone(),
                role: it.role.as_str(),
                limits: limits_words(&Visibility::of(it.limits.clone())),
            };
            let grants = app.store.role_grants(None, now).await?.into_iter().map(|it| GrantLine {
                limits: limits_words(&it.access.visibility),
                person: it.access.person,
                role: it.access.role,
                by: it.granted_by,
                until: Stamp::new(it.expires_at, now),
            });
            (app.config.auth.role.iter().map(group).collect(), grants.collect())
        }
    };
    Ok(SettingsPage {
        name: name.clone(),
        role: role.as_str(),
        limits: limits_words(visibility),
        mode: match app.config.auth.mode {
            AuthMode::Loopback | AuthMode::Link => "by one-time links",
            AuthMode::Oidc => "at an identity provider",
            AuthMode::Proxy => "by a proxy in front",
            AuthMode::Tokens => "not at all: only programs come in",
        },
        roles: PersonRole::ALL.into_iter().map(line).collect(),
        groups,
        grants,
        chrome,
    })
}

/// A session of a person.
struct SessionLine {
    id: String,
    person: String,
    role: String,
    limits: String,
    method: String,
    from: String,
    browser: String,
    begun: Stamp,
    seen: Stamp,
    ends: Stamp,
    is_own: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/web_sessions.html")]
pub(crate) struct SessionsPage {
    chrome: Chrome,
    lines: Vec<SessionLine>,
}

/// `GET /settings/sessions`: one's own; of everybody for who administers.
pub(crate) async fn sessions(
    Unlimited(app): Unlimited,
    Extension(who): Extension<Principal>,
    chrome: Chrome,
) -> Result<SessionsPage, AppError> {
    let (name, own) = person(&who)?;
    let now = app.now().await?;
    let of = (!chrome.may.administer).then_some(name);
    let lines = app.store.web_sessions(of, now, IDLE).await?.into_iter().map(|it| SessionLine {
        is_own: own == Some(it.id().as_str()),
        id: it.id(),
        limits: limits_words(&it.visibility),
        person: it.subject,
        role: it.role,
        method: it.method,
        from: it.source_ip.unwrap_or_else(|| "unknown address".to_owned()),
        browser: it.user_agent.unwrap_or_default(),
        begun: Stamp::new(it.created_at, now),
        seen: Stamp::new(it.last_seen_at, now),
        ends: Stamp::new(it.expires_at.min(it.last_seen_at + IDLE), now),
    });
    Ok(SessionsPage { lines: lines.collect(), chrome })
}

fn person(who: &Principal) -> Result<(&str, Option<&str>), AppError> {
    match who {
        Principal::Person { name, session, .. } => Ok((name, session.as_deref())),
        Principal::Token { .. } => Err(AppError::new(Code::Forbidden, "pages are for people")),
    }
}

/// `POST /settings/sessions/{id}/end`: one's own; anybody's for who administers.
pub(crate) async fn end_session(
    Unlimited(app): Unlimited,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Redirect, AppError> {
    let (name, _) = person(&who)?;
    let of = (!who.may(Scope::Admin)).then_some(name);
    if who.store(&app).revoke_web_sessions(Some(&id), of).await? == 0 {
        return Err(AppError::not_found(format!("session `{id}`")));
    }
    Ok(Redirect::to("/settings/sessions"))
}

/// A token.
struct TokenLine {
    id: String,
    account: String,
    owner: String,
    state: Badge,
    is_valid: bool,
    is_replaced: bool,
    scopes: String,
    limits: String,
    by: String,
    made: Stamp,
    ends: Stamp,
    used: Option<Stamp>,
}

/// A service account.
struct AccountLine {
    name: String,
    owner: String,
    description: String,
    is_enabled: bool,
    tokens: String,
}

/// A token that was made just now.
struct Shown {
    text: String,
    id: String,
    ends: Stamp,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/tokens.html")]
pub(crate) struct TokensPage {
    chrome: Chrome,
    shown: Option<Shown>,
    scopes: Vec<&'static str>,
    lines: Vec<TokenLine>,
    accounts: Vec<AccountLine>,
}

async fn tokens_page(app: &App, chrome: Chrome, minted: Option<Minted>) -> Result<TokensPage, AppError> {
    let now = app.now().await?;
    let line = |it: rolecall_store::ApiToken| {
        let state = tokens::state(&it, now);
        TokenLine {
            is_valid: state == "valid",
            is_replaced: it.replaced_by.is_some(),
            state: match state {
                "valid" => badge("ok", "Valid"),
                "expired" => badge("", "Expired"),
                _ => badge("bad", "Revoked"),
            },
            limits: limits_words(&it.visibility),
            id: it.public_id,
            account: it.name,
            owner: it.owner,
            scopes: it.scopes.join(", "),
            by: it.created_by,
            made: Stamp::new(it.created_at, now),
            ends: Stamp::new(it.expires_at, now),
            used: it.last_used_at.map(|at| Stamp::new(at, now)),
        }
    };
    let account = |it: rolecall_store::ServiceAccount| AccountLine {
        is_enabled: it.disabled_at.is_none(),
        tokens: plural(usize::try_from(it.valid_tokens).unwrap_or(usize::MAX), "valid token", "valid tokens"),
        name: it.name,
        owner: it.owner,
        description: it.description,
    };
    Ok(TokensPage {
        shown: minted.map(|it| Shown { text: it.text, id: it.public_id, ends: Stamp::new(it.expires_at, now) }),
        scopes: Scope::ALL.into_iter().map(Scope::as_str).collect(),
        lines: app.store.tokens().await?.into_iter().map(line).collect(),
        accounts: app.store.service_accounts(now).await?.into_iter().map(account).collect(),
        chrome,
    })
}

/// `GET /settings/tokens`
pub(crate) async fn tokens(Visible(app): Visible, chrome: Chrome) -> Result<TokensPage, AppError> {
    tokens_page(&app, chrome, None).await
}

/// `POST /settings/tokens`: the answer shows the token, once.
pub(crate) async fn create_token(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    chrome: Chrome,
    body: String,
) -> Result<TokensPage, AppError> {
    let asked = Asked {
        service_account: first(&body, "service_account").unwrap_or_default(),
        owner: first(&body, "owner"),
        description: first(&body, "description"),
        scopes: sent(&body, "scope"),
        limits: first(&body, "limits").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        days: number(&body, "days")?,
    };
    let minted = tokens::create(&app, asked, &who).await?;
    tokens_page(&app, chrome, Some(minted)).await
}

fn number(body: &str, name: &str) -> Result<Option<i64>, AppError> {
    let read = |text: String| {
        text.parse().map_err(|_| AppError::new(Code::InvalidParameter, format!("`{name}`: `{text}` is not a number")))
    };
    first(body, name).map(read).transpose()
}

/// `POST /settings/tokens/{id}/rotate`: the answer shows the new token, once.
pub(crate) async fn rotate_token(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    chrome: Chrome,
    body: String,
) -> Result<TokensPage, AppError> {
    let minted = tokens::rotate(&app, &id, number(&body, "days")?, number(&body, "overlap_hours")?, &who).await?;
    tokens_page(&app, chrome, Some(minted)).await
}

/// `POST /settings/tokens/{id}/revoke`
pub(crate) async fn revoke_token(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Redirect, AppError> {
    tokens::revoke(&app, &id, &who).await?;
    Ok(Redirect::to("/settings/tokens"))
}

/// `POST /settings/service-accounts/disable`
pub(crate) async fn disable_account(
    Visible(app): Visible,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let name = first(&body, "name").unwrap_or_default();
    if who.store(&app).disable_service_account(&name, app.now().await?).await?.is_none() {
        return Err(AppError::not_found(format!("service account `{name}` that is enabled")));
    }
    Ok(Redirect::to("/settings/tokens"))
}

query! {
    /// Query of the page: the API's filters.
    AuditLogQuery = filters::AUDIT_LOG, &[LIMIT, CURSOR]
}

/// An entry of the audit log.
struct EntryLine {
    seq: i64,
    at: Stamp,
    actor: String,
    kind: &'static str,
    action: &'static str,
    is_failure: bool,
    object: String,
    href: String,
    detail: String,
    source: String,
    request: String,
    hash: String,
}

impl EntryLine {
    fn new(entry: AuditEntry, now: DateTime<Utc>) -> Self {
        let object = entry.object.unwrap_or_default();
        let href = match entry.action.as_str().split_once('.') {
            Some(("finding" | "ticket", _)) => format!("/findings/{object}"),
            Some(("change", _)) => format!("/changes/{object}"),
            Some(("baseline", _)) => format!("/baselines/{object}"),
            _ => String::new(),
        };
        let is_empty = entry.detail.as_object().is_some_and(serde_json::Map::is_empty);
        Self {
            seq: entry.seq,
            at: Stamp::new(entry.at, now),
            actor: entry.actor,
            kind: entry.actor_kind.as_str(),
            action: entry.action.as_str(),
            is_failure: entry.outcome == AuditOutcome::Failure,
            object,
            href,
            detail: if is_empty { String::new() } else { entry.detail.to_string() },
            source: entry.source_ip.unwrap_or_default(),
            request: entry.request_id.unwrap_or_default(),
            hash: entry.hash.to_string(),
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/audit_log.html")]
pub(crate) struct AuditLogPage {
    chrome: Chrome,
    head: String,
    entries: i64,
    selects: Vec<Select>,
    carried: Vec<(&'static str, String)>,
    actor: String,
    object: String,
    chips: Vec<Chip>,
    lines: Vec<EntryLine>,
    empty: Option<Empty>,
    pager: Pager,
    curl: String,
}

/// `GET /settings/audit-log`
pub(crate) async fn audit_log(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<AuditLogPage, AppError> {
    let params = AuditLogQuery::parse(raw.as_deref())?;
    let now = app.now().await?;
    let head = app.store.audit_head().await?;
    let slice = listing::shown(&app, &params, &filters::audit_log(&params)).await?;
    let actions = AuditAction::ALL.map(|it| (it.to_string(), it.to_string()));
    let outcomes = [("success".to_owned(), "Done".to_owned()), ("failure".to_owned(), "Refused".to_owned())];
    let none = || Empty {
        class: "",
        title: "No entry".to_owned(),
        text: "Nobody did anything that these filters leave.".to_owned(),
        href: AUDIT_LOG.to_owned(),
        link: "The whole log".to_owned(),
    };
    Ok(AuditLogPage {
        head: head.hash.to_string(),
        entries: head.seq,
        selects: vec![select("action", "Action", actions, &params), select("outcome", "Outcome", outcomes, &params)],
        carried: carried(&params, &["action", "outcome", "actor", "object"]),
        actor: params.text("actor").unwrap_or_default().to_owned(),
        object: params.text("object").unwrap_or_default().to_owned(),
        chips: chips(AUDIT_LOG, &params, &["cursor", "limit"]),
        empty: slice.rows.is_empty().then(none),
        pager: Pager::new(
            AUDIT_LOG,
            &params,
            &slice.turns,
            plural(slice.rows.len(), "entry on this page", "entries on this page"),
        ),
        lines: slice.rows.into_iter().map(|entry| EntryLine::new(entry, now)).collect(),
        curl: curl(&chrome.origin(&app), "/api/v1/audit-log", &params, filters::AUDIT_LOG),
        chrome,
    })
}
