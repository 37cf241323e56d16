//! One-time links: how a person gets a session.
//!
//! A link is printed where only the operator reads it; it works once, for ten minutes, and becomes
//! a cookie. Of link and cookie only hashes are kept. Refuses to know pages besides the sign-in.

use super::token::random;
use crate::app::App;
use crate::http::error::AppError;
use crate::http::frame::SignInPage;
use crate::http::query::{Kind, is_local, param, query};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use chrono::{DateTime, Duration, Utc};
use rolecall_iam::Digest;
use rolecall_store::WebSession;
use std::net::SocketAddr;

const LINK_MINUTES: i64 = 10;
const SESSION_HOURS: i64 = 24;

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

/// Makes a one-time link, good for ten minutes. `addr` is where the service listens.
///
/// # Errors
/// If people come in otherwise, or the database fails.
pub async fn login_url(app: &App, addr: SocketAddr) -> Result<String, LoginError> {
    use crate::config::auth::AuthMode;
    if !matches!(app.config.auth.mode, AuthMode::Loopback | AuthMode::Link) {
        return Err(LoginError::NotByLink);
    }
    let code = random(43);
    let now = app.now().await?;
    let hash = Digest::sha256(code.as_bytes());
    app.store.create_login(hash.as_bytes(), now, now + Duration::minutes(LINK_MINUTES)).await?;
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

fn cookie(app: &App, value: String) -> Cookie<'static> {
    Cookie::build((cookie_name(app), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.auth.https())
        .build()
}

/// `GET /login`: with a code, signs in and goes on; without, says how to get one.
pub(crate) async fn sign_in(
    State(app): State<App>,
    method: Method,
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
    if !app.store.redeem_login(Digest::sha256(code.as_bytes()).as_bytes(), now).await? {
        return Ok(page.spent());
    }
    let id = random(43);
    app.store.create_web_session(&session(&id, now)).await?;
    let wanted = next_cookie(&app, "");
    let kept = jar.get(wanted.name()).map(|cookie| cookie.value().to_owned());
    let next = params.text("next").map(str::to_owned).or(kept).filter(|next| is_local(next));
    let jar = jar.remove(wanted).add(cookie(&app, id));
    Ok((jar, Redirect::to(next.as_deref().unwrap_or("/"))).into_response())
}

fn session(id: &str, now: DateTime<Utc>) -> WebSession {
    WebSession {
        id_hash: Digest::sha256(id.as_bytes()).as_bytes().to_vec(),
        subject: "operator".to_owned(),
        created_at: now,
        last_seen_at: now,
        expires_at: now + Duration::hours(SESSION_HOURS),
    }
}

/// `POST /logout`
pub(crate) async fn sign_out(State(app): State<App>, jar: CookieJar) -> Result<Response, AppError> {
    if let Some(given) = jar.get(&cookie_name(&app)) {
        app.store.delete_web_session(Digest::sha256(given.value().as_bytes()).as_bytes()).await?;
    }
    Ok((jar.remove(cookie(&app, String::new())), Redirect::to("/login")).into_response())
}
