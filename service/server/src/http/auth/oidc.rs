//! Signing in at an identity provider: to it, back from it, and out of it.
//!
//! What ties the answer to the browser that began (state, nonce, PKCE's verifier) is in a cookie that this service
//! signed, so that nothing is kept for whoever never comes back. Refuses to know what an ID token must say.

use super::sign_in::{begin, cookie, cookie_name, refused, role_of};
use super::token::random;
use crate::app::App;
use crate::http::cursor::{same, seal};
use crate::http::error::{AppError, Code};
use crate::http::frame::SignedOutPage;
use crate::http::principal::RequestSource;
use crate::http::query::{Kind, is_local, param, query};
use crate::http::visible::Unlimited;
use crate::oidc::{Attempt, OidcError, Provider};
use axum::Extension;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use rolecall_store::PersonAccess;
use serde::{Deserialize, Serialize};

/// So long a person may take at the provider.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// The longest name of a person, in characters.
const NAME: usize = 200;

query! {
    /// Query of the way to the provider.
    AuthorizeQuery = &[param("next", Kind::Text, "Where to go after.")]
}

/// A sign-in under way, as the cookie holds it.
#[derive(Serialize, Deserialize)]
struct Pending {
    attempt: Attempt,
    next: String,
    until: DateTime<Utc>,
}

fn provider(app: &App) -> Result<&Provider, AppError> {
    app.oidc.as_deref().ok_or_else(|| AppError::new(Code::NotFound, "people do not sign in at a provider here"))
}

/// Lax, as the way back from the provider is a navigation from another site.
fn pending_cookie(app: &App, value: String) -> Cookie<'static> {
    Cookie::build((format!("{}-oidc", cookie_name(app)), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.auth.https())
        .build()
}

fn sealed(app: &App, pending: &Pending) -> Result<String, AppError> {
    let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(pending).map_err(AppError::internal)?);
    let seal = URL_SAFE_NO_PAD.encode(seal(app.secrets.signing_key(), "oidc", text.as_bytes()));
    Ok(format!("{text}.{seal}"))
}

fn unsealed(app: &App, value: &str) -> Option<Pending> {
    let (text, given) = value.split_once('.')?;
    let wanted = URL_SAFE_NO_PAD.encode(seal(app.secrets.signing_key(), "oidc", text.as_bytes()));
    if !same(wanted.as_bytes(), given.as_bytes()) {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// What a person is told; what came of it inside is in the log.
fn failed(error: OidcError) -> AppError {
    let (code, detail) = match &error {
        OidcError::Provider { .. } => (
            Code::Unavailable,
            "the identity provider cannot be reached, or answers something else; try again, and look into the log",
        ),
        OidcError::Refused(_) => (
            Code::SignInFailed,
            "the identity provider does not take the code; sign in again. Where that does not help, `client_id`, the client's secret or the redirect address is another one at the provider",
        ),
        OidcError::IdToken(_) => (
            Code::SignInFailed,
            "what the identity provider says is not believed; sign in again. Where that does not help, the log says what is wrong",
        ),
    };
    AppError::new(code, detail).with_source(error)
}

/// `GET /login/oidc`: on to the provider.
pub(crate) async fn authorize(
    Unlimited(app): Unlimited,
    RawQuery(raw): RawQuery,
    jar: CookieJar,
) -> Result<Response, AppError> {
    let params = AuthorizeQuery::parse(raw.as_deref())?;
    let attempt = Attempt { state: random(43), nonce: random(43), verifier: random(64) };
    let url = provider(&app)?.authorization_url(&attempt).await.map_err(failed)?;
    let next = params.text("next").filter(|next| is_local(next)).unwrap_or("/").to_owned();
    let pending = Pending { attempt, next, until: app.now().await? + PATIENCE };
    Ok((jar.add(pending_cookie(&app, sealed(&app, &pending)?)), Redirect::to(&url)).into_response())
}

/// What a provider sends a person back with. Providers add parameters of their own, so that others are let through.
#[derive(Default)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Answer {
    fn new(raw: Option<&str>) -> Self {
        let mut answer = Self::default();
        for (name, value) in crate::http::query::pairs(raw.unwrap_or_default()) {
            let slot = match name.as_str() {
                "code" => &mut answer.code,
                "state" => &mut answer.state,
                "iss" => &mut answer.iss,
                "error" => &mut answer.error,
                _ => continue,
            };
            *slot = Some(value);
        }
        answer
    }
}

/// `GET /login/callback`: back from the provider.
pub(crate) async fn callback(
    Unlimited(app): Unlimited,
    Extension(source): Extension<RequestSource>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    jar: CookieJar,
) -> Result<Response, AppError> {
    let kept = jar.get(pending_cookie(&app, String::new()).name()).map(|cookie| cookie.value().to_owned());
    // Used up, whatever comes of it.
    let jar = jar.remove(pending_cookie(&app, String::new()));
    match signed_in(&app, &source, &headers, kept, &Answer::new(raw.as_deref())).await {
        Ok((id, next)) => Ok((jar.add(cookie(&app, id)), Redirect::to(&next)).into_response()),
        Err(error) => {
            let why = error.chain().unwrap_or_else(|| error.detail.clone());
            refused(&app, &source, None, &why).await?;
            Ok((jar, error).into_response())
        }
    }
}

async fn signed_in(
    app: &App,
    source: &RequestSource,
    headers: &HeaderMap,
    kept: Option<String>,
    answer: &Answer,
) -> Result<(String, String), AppError> {
    let provider = provider(app)?;
    let again = |why: &str| AppError::new(Code::SignInFailed, format!("{why}; sign in again"));
    let pending = kept.and_then(|value| unsealed(app, &value));
    let pending = pending.ok_or_else(|| again("this browser did not begin a sign-in here, or its cookie is gone"))?;
    let now = app.now().await?;
    if pending.until <= now {
        return Err(again("the sign-in took more than ten minutes"));
    }
    let state = answer.state.as_deref().unwrap_or_default();
    if !same(state.as_bytes(), pending.attempt.state.as_bytes()) {
        return Err(again("the answer belongs to another sign-in"));
    }
    if !provider.is_of_issuer(answer.iss.as_deref()).await.map_err(failed)? {
        return Err(again("the answer is of another issuer"));
    }
    if let Some(error) = &answer.error {
        let said: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
        return Err(again(&format!("the identity provider refused the sign-in: `{said}`")));
    }
    let code = answer.code.as_deref().ok_or_else(|| again("the answer has no code"))?;
    let claims = provider.redeem(code, &pending.attempt, now).await.map_err(failed)?;
    let Some(config) = &app.config.auth.oidc else { return Err(again("people do not sign in at a provider here")) };
    let claim = &config.person_claim;
    let Some(person) =
        claims.text(claim).filter(|name| name.chars().count() <= NAME && !name.chars().any(char::is_control))
    else {
        let detail = format!(
            "the identity provider does not say who you are: the ID token has no claim `{claim}`. Whoever runs Rolecall \
             sets `auth.oidc.person_claim`, or asks for a scope that has it"
        );
        return Err(AppError::new(Code::SignInFailed, detail));
    };
    if claim == "email" && claims.email_is_unverified() {
        let detail = "the identity provider did not verify your e-mail address; verify it there, and sign in again";
        return Err(AppError::new(Code::SignInFailed, detail));
    }
    let (role, visibility) = role_of(app, person, &claims.texts(&config.groups_claim)).await?;
    let whom = PersonAccess { person: person.to_owned(), role: role.to_string(), visibility };
    let id = begin(app, source, headers, whom, "oidc").await?;
    Ok((id, pending.next))
}

/// `GET /login/end`: signed out here, and on to the provider where it has a page for that.
pub(crate) async fn end(Unlimited(app): Unlimited, page: SignedOutPage) -> SignedOutPage {
    let (Some(provider), Some(url)) = (app.oidc.as_deref(), &app.config.auth.public_url) else { return page };
    match provider.end_session_url(&format!("{url}/login")).await {
        Ok(Some(end)) => page.going_on(end),
        Ok(None) => page,
        Err(error) => {
            tracing::warn!(error = crate::error::chain(&error), "the identity provider's metadata cannot be read");
            page
        }
    }
}
