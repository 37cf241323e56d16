//! The gate in front of every route: finds out who asks, and whether they may.
//!
//! A layer over the whole router: what a route requires is what its declaration says. It also checks
//! every form that a person sends, before any handler sees it. Refuses to know routes.

use super::refusals::{self, TokenRefusal};
use super::sign_in::IDLE;
use super::token;
use super::visits::Visits;
use crate::app::App;
use crate::config::auth::AuthMode;
use crate::http::cursor::{same, seal};
use crate::http::edge::{RequestId, of_api};
use crate::http::error::{AppError, Code};
use crate::http::frame::Chrome;
use crate::http::principal::{AccessRequirement, PersonRole, Principal, RequestSource, Scope};
use crate::http::query::{encode, pairs};
use crate::http::routes::{AccessTable, NoSuchMethod};
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use chrono::TimeDelta;
use rolecall_estate::Visibility;
use rolecall_iam::Digest;
use std::net::SocketAddr;
use std::sync::Arc;

/// The largest form that a person sends: one with a policy document, encoded.
const MAX_FORM: usize = 48 * 1024;
/// So often, at most, is a token's last use noted.
const TOUCH: TimeDelta = TimeDelta::minutes(1);

/// Lets a request through, or answers it.
pub(crate) async fn gate(
    State((app, table, visits)): State<(App, Arc<AccessTable>, Visits)>,
    mut request: Request,
    next: Next,
) -> Response {
    let source = source(&app, &request);
    request.extensions_mut().insert(source);
    match admit(&app, &table, request).await {
        Ok((mut request, principal)) => {
            if let Some(Principal::Person { name, .. }) = &principal {
                visits.note(&app, name).await;
            }
            let chrome = Chrome::new(&request, principal.as_ref());
            if let Some(principal) = principal {
                request.extensions_mut().insert(principal);
            }
            request.extensions_mut().insert(chrome.clone());
            let mut response = next.run(request).await;
            response.extensions_mut().insert(chrome);
            response
        }
        Err(response) => response,
    }
}

async fn admit(app: &App, table: &AccessTable, request: Request) -> Result<(Request, Option<Principal>), Response> {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let matched = matched.as_ref().map(MatchedPath::as_str);
    let (required, missing) = match table.requirement(request.method(), matched) {
        Ok(required) => (required, None),
        Err(missing) => (missing.told, Some(missing)),
    };
    if required == AccessRequirement::Nothing {
        return match missing {
            None => Ok((request, None)),
            Some(missing) => Err(no_such_method(&missing)),
        };
    }
    let (parts, body) = request.into_parts();
    let found = identify(app, &parts).await.map_err(IntoResponse::into_response)?;
    let Some(principal) = found else { return Err(unauthenticated(app, &parts)) };
    if let Some(missing) = missing {
        return Err(no_such_method(&missing));
    }
    if let Err(refused) = allow(required, &principal) {
        if let (Principal::Token { name, scopes, source, .. }, AccessRequirement::Scope(scope)) = (&principal, required)
        {
            let lacks = refusals::Lacks { scope, scopes, method: &parts.method, path: matched.unwrap_or_default() };
            refusals::scope(app, name, source, &lacks).await;
        }
        return Err(refused.into_response());
    }
    if let Some(why) = table.of_everything(&parts.method, matched)
        && !principal.visibility().is_everything()
    {
        return Err(AppError::new(Code::Forbidden, why).into_response());
    }
    let request = Request::from_parts(parts, body);
    let request = check_form(request, &principal).await.map_err(IntoResponse::into_response)?;
    Ok((request, Some(principal)))
}

/// A method that a path does not have is told from one that somebody may not use.
fn no_such_method(missing: &NoSuchMethod) -> Response {
    let mut response = AppError::new(Code::MethodNotAllowed, Code::MethodNotAllowed.meaning()).into_response();
    if let Ok(allowed) = HeaderValue::from_str(&missing.allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// What a request without a credential is told: programs that they need one, people where to get one.
fn unauthenticated(app: &App, request: &Parts) -> Response {
    if of_api(request.uri.path()) || app.config.auth.mode == AuthMode::Tokens {
        return AppError::new(Code::Unauthenticated, Code::Unauthenticated.meaning()).into_response();
    }
    let asked = request.uri.path_and_query().map_or("/", |p| p.as_str());
    if request.method != Method::GET || asked == "/" {
        return Redirect::to("/login").into_response();
    }
    Redirect::to(&format!("/login?next={}", encode(asked))).into_response()
}

fn allow(required: AccessRequirement, principal: &Principal) -> Result<(), AppError> {
    match required {
        AccessRequirement::Nothing | AccessRequirement::Credential => Ok(()),
        AccessRequirement::Person | AccessRequirement::PersonWith(_)
            if !matches!(principal, Principal::Person { .. }) =>
        {
            Err(AppError::new(Code::Forbidden, "pages are for people; programs read `/api/v1`"))
        }
        AccessRequirement::Person => Ok(()),
        AccessRequirement::PersonWith(scope) if principal.may(scope) => Ok(()),
        AccessRequirement::PersonWith(scope) => Err(beyond_role(principal, scope)),
        AccessRequirement::Scope(scope) if principal.may(scope) => Ok(()),
        AccessRequirement::Scope(scope) => {
            Err(AppError::new(Code::Forbidden, format!("this needs the scope `{scope}`")))
        }
    }
}

/// What somebody is told whose role does not have a scope.
fn beyond_role(principal: &Principal, scope: Scope) -> AppError {
    let Principal::Person { role, visibility, .. } = principal else {
        return AppError::new(Code::Forbidden, format!("this needs the scope `{scope}`"));
    };
    let least = PersonRole::ALL.into_iter().find(|role| role.scopes().contains(&scope)).unwrap_or(PersonRole::Admin);
    let limited = if visibility.is_everything() { "" } else { " without limits" };
    let detail = format!("your role is {role}, and this needs the role {least}{limited}; ask an administrator for it");
    AppError::new(Code::Forbidden, detail)
}

/// Where a request came from. A proxy that is believed says for whom it asks: it adds the address of its client to
/// the end of what clients themselves may have sent.
fn source(app: &App, request: &Request) -> RequestSource {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let is_proxy = peer.is_some_and(|peer| app.config.auth.proxy_from.iter().any(|block| block.contains(peer)));
    let forwarded = || {
        let last = request.headers().get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse().ok()
    };
    let ip = if is_proxy { forwarded().or(peer) } else { peer };
    RequestSource { ip, request_id: request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()) }
}

async fn identify(app: &App, request: &Parts) -> Result<Option<Principal>, AppError> {
    let source = request.extensions.get::<RequestSource>().cloned().unwrap_or_default();
    if let Some(value) = request.headers.get(header::AUTHORIZATION) {
        let bearer =
            value.to_str().ok().and_then(|v| v.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
        let given = bearer.map(|(_, token)| token.trim()).unwrap_or_default();
        // A credential that is not valid is refused, and never falls back to another one.
        return match by_token(app, given, &source).await? {
            Ok(principal) => Ok(Some(principal)),
            Err(why) => {
                refusals::token(app, &source, &why).await;
                Err(AppError::new(Code::Unauthenticated, "the token is not valid, has ended or was revoked"))
            }
        };
    }
    // Under /api a cookie only reads: what a page of another site could make a browser send does nothing.
    let safe = matches!(request.method, Method::GET | Method::HEAD);
    if of_api(request.uri.path()) && !safe {
        return Ok(None);
    }
    match app.config.auth.mode {
        AuthMode::Tokens => Ok(None),
        AuthMode::Proxy => by_proxy(app, request, source).await,
        AuthMode::Loopback | AuthMode::Link | AuthMode::Oidc => by_cookie(app, &request.headers, source).await,
    }
}

async fn by_token(app: &App, given: &str, source: &RequestSource) -> Result<Result<Principal, TokenRefusal>, AppError> {
    let Some(public_id) = token::public_id(given) else { return Ok(Err(TokenRefusal::Malformed)) };
    let now = app.now().await?;
    let unknown = || TokenRefusal::Unknown { id: public_id.to_owned() };
    let Some(kept) = app.store.token(public_id).await? else { return Ok(Err(unknown())) };
    let hash = Digest::sha256(given.as_bytes());
    // Whoever has the secret may know that it was theirs; of another one only the id is known.
    if !same(hash.as_bytes(), &kept.hash) {
        return Ok(Err(unknown()));
    }
    let of = |why| TokenRefusal::Ended { id: public_id.to_owned(), name: kept.name.clone(), why };
    if kept.revoked_at.is_some() {
        return Ok(Err(of("it was revoked")));
    }
    if kept.expires_at <= now {
        return Ok(Err(of("it has expired")));
    }
    // Noted once a minute: a token that was just used costs no statement.
    if kept.last_used_at.is_none_or(|last| now - last >= TOUCH) {
        app.store.touch_token(public_id, now).await?;
    }
    let scopes = kept.scopes.iter().filter_map(|s| s.parse::<Scope>().ok()).collect();
    Ok(Ok(Principal::Token { name: kept.name, scopes, visibility: kept.visibility, source: source.clone() }))
}

async fn by_cookie(app: &App, headers: &HeaderMap, source: RequestSource) -> Result<Option<Principal>, AppError> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(&super::sign_in::cookie_name(app)) else { return Ok(None) };
    let id = Digest::sha256(cookie.value().as_bytes());
    let Some(session) = app.store.web_session(id.as_bytes(), app.now().await?, IDLE).await? else { return Ok(None) };
    // A role that this program does not know lets nobody in.
    let Ok(role) = session.role.parse() else { return Ok(None) };
    Ok(Some(Principal::Person {
        session: Some(session.id()),
        name: session.subject,
        role,
        form_token: form_token(app, id.to_string().as_bytes()),
        can_sign_out: true,
        visibility: session.visibility,
        source,
    }))
}

/// The person whom the proxy names, if it is the proxy that speaks. Its header is there once, with one
/// name: a second one, or a comma, where a proxy joined two, may be what somebody sent through it.
async fn by_proxy(app: &App, request: &Parts, source: RequestSource) -> Result<Option<Principal>, AppError> {
    let auth = &app.config.auth;
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    let (Some(ConnectInfo(peer)), Some(header)) = (peer, auth.proxy_header.as_deref()) else { return Ok(None) };
    if !auth.proxy_from.iter().any(|block| block.contains(peer.ip())) {
        return Ok(None);
    }
    let refuse = |why: &str| {
        let detail = format!("the proxy's header `{header}` {why}; let the proxy drop what clients send in it");
        Err(AppError::new(Code::Unauthenticated, detail))
    };
    let mut given = request.headers.get_all(header).iter();
    let (Some(name), None) = (given.next(), given.next()) else {
        return if request.headers.contains_key(header) { refuse("is there more than once") } else { Ok(None) };
    };
    let Ok(name) = name.to_str() else { return refuse("holds other characters than ASCII") };
    let name = name.trim();
    if name.is_empty() {
        return refuse("is empty");
    }
    if name.contains(',') {
        return refuse("names more than one person");
    }
    let groups = match &auth.proxy_groups_header {
        None => None,
        Some(header) => {
            let mut given = request.headers.get_all(header).iter();
            let listed = given.next().map(|value| value.to_str()).transpose();
            let (Ok(listed), None) = (listed, given.next()) else {
                let detail = format!("the proxy's header `{header}` is there more than once, or is not ASCII");
                return Err(AppError::new(Code::Unauthenticated, detail));
            };
            let listed = listed.unwrap_or_default().split(',').map(|group| group.trim().to_owned());
            Some(listed.filter(|group| !group.is_empty()).collect::<Vec<_>>())
        }
    };
    let (role, visibility) = match groups {
        // The proxy lets in whom it lets in, and nothing tells them apart.
        None => (PersonRole::PolicyAdmin, Visibility::Everything),
        Some(groups) => super::sign_in::role_of(app, name, &groups).await?,
    };
    Ok(Some(Principal::Person {
        form_token: form_token(app, format!("proxy {name}").as_bytes()),
        name: name.to_owned(),
        role,
        can_sign_out: false,
        visibility,
        session: None,
        source,
    }))
}

fn form_token(app: &App, of: &[u8]) -> String {
    Digest::from(seal(app.secrets.signing_key(), "form", of)).to_string()
}

/// Refuses a form that another site made a person's browser send. Two proofs are asked for: the
/// browser's own word about the origin, and a token that only our pages hold.
async fn check_form(request: Request, principal: &Principal) -> Result<Request, AppError> {
    let Principal::Person { form_token, .. } = principal else { return Ok(request) };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    if !same_origin(request.headers()) {
        return Err(AppError::new(Code::CrossSite, "the form was not sent by a page of this service"));
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_FORM).await;
    let body = body.map_err(|_| AppError::new(Code::TooLarge, format!("a form has {MAX_FORM} bytes at most")))?;
    let text = String::from_utf8_lossy(&body);
    let sent = pairs(&text).find(|(name, _)| name == "form_token").map(|(_, value)| value).unwrap_or_default();
    if !same(sent.as_bytes(), form_token.as_bytes()) {
        return Err(AppError::new(Code::CrossSite, "the form's token is missing or old; open the page again"));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").and_then(|o| o.split_once("://")).map(|(_, authority)| authority);
    origin.is_some() && origin == text("host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_are_of_the_same_origin() {
        for (given, ours) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://a:80"), ("host", "a:80")], true),
            (&[("origin", "null"), ("host", "a")], false),
            (&[("origin", "http://b"), ("host", "a")], false),
            (&[("host", "a")], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, axum::http::HeaderValue::from_static(value));
            }
            assert_eq!(same_origin(&headers), ours, "{given:?}");
        }
    }
}
