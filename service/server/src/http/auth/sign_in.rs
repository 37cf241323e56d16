//! One-time links: how a person gets a session.
//!
//! A link is printed where only the operator reads it; it works once, for ten minutes, and becomes
//! a cookie. Of link and cookie only hashes are kept. Refuses to know pages besides the sign-in.

use super::token::random;
use crate::app::App;
use crate::http::error::{AppError, Code};
use crate::http::frame::SignInPage;
use crate::http::principal::{PersonRole, Principal, RequestSource};
use crate::http::query::{Kind, is_local, param, query};
use crate::http::visible::Unlimited;
use axum::Extension;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use chrono::Duration;
use rolecall_estate::Visibility;
use rolecall_iam::Digest;
use rolecall_store::{Actor, ActorKind, AuditAction, AuditOutcome, NewAuditEntry, NewLogin, PersonAccess, WebSession};
use std::net::SocketAddr;
use std::time::Instant;

const LINK_MINUTES: i64 = 10;
/// So many refused sign-ins a minute stand in the audit log.
const REFUSALS: u32 = 60;
/// So long a session lasts, however often it is used.
const SESSION: Duration = Duration::hours(24);
/// So long a session lasts that nobody uses.
pub(crate) const IDLE: Duration = Duration::hours(8);
/// So much of what a browser calls itself is kept.
const USER_AGENT: usize = 200;

query! {
    /// Query of the sign-in page.
    SignInQuery = &[
        param("otp", Kind::Text, "The one-time code of a link."),
        param("next", Kind::Text, "Where to go after."),
    ]
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// People do not come in by links here.
    #[error("people do not sign in by links here: `auth.mode` says otherwise")]
    NotByLink,
    /// The code could not be kept.
    #[error("the link could not be kept")]
    Store(#[from] rolecall_store::Error),
}

/// Makes the operator's one-time link, good for ten minutes. `addr` is where the service listens.
///
/// # Errors
/// If people come in otherwise, or the database fails.
pub async fn login_url(app: &App, addr: SocketAddr) -> Result<String, LoginError> {
    let operator = PersonAccess {
        person: "operator".to_owned(),
        role: PersonRole::Admin.to_string(),
        visibility: Visibility::Everything,
    };
    login_url_for(app, addr, operator).await
}

/// Makes a one-time link for somebody.
///
/// # Errors
/// If people come in otherwise, or the database fails.
pub async fn login_url_for(app: &App, addr: SocketAddr, whom: PersonAccess) -> Result<String, LoginError> {
    use crate::config::auth::AuthMode;
    if !matches!(app.config.auth.mode, AuthMode::Loopback | AuthMode::Link | AuthMode::Oidc) {
        return Err(LoginError::NotByLink);
    }
    let code = random(43);
    let now = app.now().await?;
    let hash = Digest::sha256(code.as_bytes());
    let login = NewLogin {
        code_hash: hash.as_bytes().to_vec(),
        person: whom.person,
        role: whom.role,
        visibility: whom.visibility,
        created_at: now,
        expires_at: now + Duration::minutes(LINK_MINUTES),
    };
    app.store.create_login(&login).await?;
    let base = app.config.auth.public_url.as_ref().map_or_else(|| format!("http://{addr}"), ToString::to_string);
    Ok(format!("{base}/login?otp={code}"))
}

/// The cookie's name. `__Host-` makes browsers insist on `Secure`, the path `/` and no domain, which
/// plain HTTP cannot give. Browsers do not tell the ports of a host apart, so that each installation has a
/// name of its own: one would sign people out of another.
pub(super) fn cookie_name(app: &App) -> String {
    let prefix = if app.config.auth.https() { "__Host-" } else { "" };
    format!("{prefix}rolecall-{}", app.secrets.installation())
}

/// Where somebody wanted to go who has no session yet: a one-time link does not know it.
fn next_cookie(app: &App, next: &str) -> Cookie<'static> {
    Cookie::build((format!("{}-next", cookie_name(app)), next.to_owned()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.auth.https())
        .build()
}

pub(super) fn cookie(app: &App, value: String) -> Cookie<'static> {
    Cookie::build((cookie_name(app), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.auth.https())
        .build()
}

/// `GET /login`: with a code, signs in and goes on; without, says how to get one.
pub(crate) async fn sign_in(
    Unlimited(app): Unlimited,
    method: Method,
    Extension(source): Extension<RequestSource>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
    jar: CookieJar,
    page: SignInPage,
) -> Result<Response, AppError> {
    let params = SignInQuery::parse(raw.as_deref())?;
    let Some(code) = params.text("otp") else {
        let next = params.text("next").filter(|next| is_local(next));
        return Ok(match next {
            Some(next) => (jar.add(next_cookie(&app, next)), page).into_response(),
            None => page.into_response(),
        });
    };
    // A link that something only previews must still work for the person.
    if method != Method::GET || headers.contains_key("sec-purpose") || headers.contains_key("purpose") {
        return Ok(page.into_response());
    }
    let now = app.now().await?;
    let Some(whom) = app.store.redeem_login(Digest::sha256(code.as_bytes()).as_bytes(), now).await? else {
        refused(&app, &source, None, "the one-time link was used before, or has ended").await?;
        return Ok(page.spent());
    };
    let id = begin(&app, &source, &headers, whom, "link").await?;
    let wanted = next_cookie(&app, "");
    let kept = jar.get(wanted.name()).map(|cookie| cookie.value().to_owned());
    let next = params.text("next").map(str::to_owned).or(kept).filter(|next| is_local(next));
    let jar = jar.remove(wanted).add(cookie(&app, id));
    Ok((jar, Redirect::to(next.as_deref().unwrap_or("/"))).into_response())
}

/// Begins a session, always with a new id, and gives what the cookie holds.
pub(super) async fn begin(
    app: &App,
    source: &RequestSource,
    headers: &HeaderMap,
    whom: PersonAccess,
    method: &str,
) -> Result<String, AppError> {
    let (id, now) = (random(43), app.now().await?);
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let session = WebSession {
        id_hash: Digest::sha256(id.as_bytes()).as_bytes().to_vec(),
        subject: whom.person.clone(),
        role: whom.role,
        visibility: whom.visibility,
        method: method.to_owned(),
        source_ip: source.ip.map(|ip| ip.to_canonical().to_string()),
        user_agent: user_agent.map(|text| text.chars().take(USER_AGENT).collect()),
        created_at: now,
        last_seen_at: now,
        expires_at: now + SESSION,
    };
    let actor = Actor {
        kind: ActorKind::Person,
        name: whom.person,
        source_ip: source.ip,
        request_id: source.request_id.clone(),
    };
    app.store.acting_as(actor).create_web_session(&session, IDLE).await?;
    Ok(id)
}

/// Writes down that a sign-in was refused. Anybody can cause this: beyond so many a minute the log alone tells.
pub(super) async fn refused(
    app: &App,
    source: &RequestSource,
    person: Option<&str>,
    why: &str,
) -> Result<(), AppError> {
    tracing::warn!(source.ip = ?source.ip, person, why, "a sign-in was refused");
    let standing = app.rates.count("refused sign-ins", REFUSALS, Instant::now());
    if standing.is_some_and(|standing| standing.wait.is_some()) {
        return Ok(());
    }
    let actor = Actor {
        kind: ActorKind::Anonymous,
        name: person.unwrap_or("anonymous").to_owned(),
        source_ip: source.ip,
        request_id: source.request_id.clone(),
    };
    let entry = NewAuditEntry {
        action: AuditAction::SessionCreate,
        outcome: AuditOutcome::Failure,
        object: None,
        detail: serde_json::json!({ "why": why }),
    };
    app.store.acting_as(actor).write_audit_log(entry).await?;
    Ok(())
}

/// What a person of these groups may do and see: the highest role of their groups, or the one that an operator gave
/// them where that is higher.
pub(super) async fn role_of(app: &App, person: &str, groups: &[String]) -> Result<(PersonRole, Visibility), AppError> {
    let mapped = app.config.auth.role_of(groups);
    let granted = app.store.role_grants(Some(person), app.now().await?).await?.into_iter().next();
    let granted = granted.and_then(|grant| Some((grant.access.role.parse().ok()?, grant.access.visibility)));
    let higher = match (mapped, granted) {
        (Some(mapped), Some(granted)) if mapped.0 >= granted.0 => Some(mapped),
        (mapped, granted) => granted.or(mapped),
    };
    higher.ok_or_else(|| {
        let listed = match groups {
            [] => "you are in no group that the sign-in names".to_owned(),
            groups => format!("your groups are {}", groups.join(", ")),
        };
        let detail = format!(
            "{person} has no role here: {listed}. Ask whoever runs Rolecall to give one of your groups a role in \
             `[[auth.role]]`"
        );
        AppError::new(Code::Forbidden, detail)
    })
}

/// `POST /logout`
pub(crate) async fn sign_out(
    Unlimited(app): Unlimited,
    Extension(who): Extension<Principal>,
    jar: CookieJar,
) -> Result<Response, AppError> {
    if let Some(given) = jar.get(&cookie_name(&app)) {
        who.store(&app).delete_web_session(Digest::sha256(given.value().as_bytes()).as_bytes()).await?;
    }
    // A form may lead to pages of this service only: the one that it leads to goes on to the provider.
    let next = if app.oidc.is_some() { "/login/end" } else { "/login" };
    Ok((jar.remove(cookie(&app, String::new())), Redirect::to(next)).into_response())
}
