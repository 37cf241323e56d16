//! Pages for people: one file a page, each with its path, handler and view model.
//!
//! A handler extracts, asks the store, and fills a view struct with display-ready values; the
//! templates in `web/templates` loop and print. Refuses to know SQL, rules and AWS.

mod accounts;
mod associations;
mod chain;
mod estate;
mod finding;
mod findings;
mod grants;
mod ingestion;
mod overview;
pub(crate) mod parts;
mod roles;
mod rules;
mod runs;
mod session;
mod sessions;
mod simulate;
mod usage;

pub(crate) use associations::{read_key, sessions_since};
pub(crate) use roles::digests;

use super::assets::{ASSETS, Assets};
use super::auth::Principal;
use super::edge::AsItIs;
use super::error::{AppError, Code};
use super::query::pairs;
use crate::app::App;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use std::convert::Infallible;

/// Every page. The list of addresses is what tests walk.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/", get(overview::page))
        .route("/findings", get(findings::page))
        .route("/findings/{number}", get(finding::page))
        .route("/associations", get(associations::list))
        .route("/associations/{*key}", get(associations::one))
        .route("/roles", get(roles::list))
        .route("/roles/{*arn}", get(roles::one))
        .route("/accounts", get(accounts::list))
        .route("/accounts/{id}", get(accounts::one))
        .route("/rules", get(rules::list))
        .route("/rules/{id}", get(rules::one))
        .route("/scans", get(runs::list).post(runs::start))
        .route("/scans/{id}", get(runs::one))
        .route("/sessions", get(sessions::list))
        .route("/sessions/names", get(sessions::names))
        .route("/sessions/{account}/{event}", get(session::page))
        .route("/simulate", get(simulate::page).post(simulate::ask))
        .route("/usage", get(usage::page))
        .route("/unused-access", get(grants::page))
        .route("/ingestion", get(ingestion::page))
        .route("/problems", get(problems))
        .route("/theme", post(set_theme))
        .route("/login", get(super::auth::sign_in))
        .route("/logout", post(super::auth::sign_out))
}

/// The addresses of the pages, as they are registered; for tests that walk all of them.
pub const PAGES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/findings"),
    ("GET", "/findings/1"),
    ("GET", "/associations"),
    ("GET", "/associations/111122223333/eu-west-1/c/n/s"),
    ("GET", "/roles"),
    ("GET", "/roles/arn:aws:iam::111122223333:role/r"),
    ("GET", "/accounts"),
    ("GET", "/accounts/111122223333"),
    ("GET", "/rules"),
    ("GET", "/rules/r"),
    ("GET", "/scans"),
    ("POST", "/scans"),
    ("GET", "/scans/1"),
    ("GET", "/sessions"),
    ("GET", "/sessions/names"),
    ("GET", "/sessions/111122223333/e"),
    ("GET", "/simulate"),
    ("POST", "/simulate"),
    ("GET", "/usage"),
    ("GET", "/unused-access"),
    ("GET", "/ingestion"),
    ("GET", "/problems"),
    ("POST", "/theme"),
    ("POST", "/logout"),
];

/// Light, dark, or as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// As the system says.
    #[default]
    Auto,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    const COOKIE: &'static str = "theme";

    /// The theme that a person chose.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match CookieJar::from_headers(headers).get(Self::COOKIE).map(Cookie::value) {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            _ => Self::Auto,
        }
    }

    /// The class of the page's root.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Auto => "",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Whether this is the theme of that name.
    pub(crate) fn is(&self, name: &str) -> bool {
        name == if self.class().is_empty() { "auto" } else { self.class() }
    }
}

/// What every page has around its content.
#[derive(Debug, Clone)]
pub(crate) struct Chrome {
    pub(crate) theme: Theme,
    pub(crate) person: Option<String>,
    pub(crate) can_sign_out: bool,
    pub(crate) form_token: String,
    pub(crate) path: String,
    pub(crate) assets: &'static Assets,
    pub(crate) version: &'static str,
}

impl Chrome {
    /// The surroundings of a request's page.
    pub(crate) fn of(request: &Request, principal: Option<&Principal>) -> Self {
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let bare = Self::bare(Theme::of(request.headers()), path);
        match principal {
            Some(Principal::Person { name, form_token, can_sign_out }) => {
                Self { person: Some(name.clone()), form_token: form_token.clone(), can_sign_out: *can_sign_out, ..bare }
            }
            _ => bare,
        }
    }

    fn bare(theme: Theme, path: String) -> Self {
        Self {
            theme,
            person: None,
            can_sign_out: false,
            form_token: String::new(),
            path,
            assets: &ASSETS,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Marks the navigation's entry for the section of this name.
    pub(crate) fn current(&self, section: &str) -> &'static str {
        let path = self.path.split('?').next().unwrap_or_default();
        let mut steps = path.trim_start_matches('/').split('/');
        match (steps.next().unwrap_or_default() == section, steps.next()) {
            (true, None) => "page",
            (true, Some(_)) => "true",
            (false, _) => "false",
        }
    }
}

impl FromRequestParts<App> for Chrome {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let given = parts.extensions.get::<Self>().cloned();
        Ok(given.unwrap_or_else(|| Self::bare(Theme::of(&parts.headers), parts.uri.path().to_owned())))
    }
}

/// A fault of a request, in a list.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) parameter: String,
    pub(crate) message: String,
}

#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage<'a> {
    chrome: Chrome,
    status: u16,
    title: &'a str,
    detail: &'a str,
    faults: Vec<Fault>,
    request_id: &'a str,
}

/// A failure as a page.
pub(crate) fn error_page(chrome: Option<Chrome>, theme: Theme, error: &AppError, request_id: &str) -> Response {
    let fault = |e: &super::error::FieldError| Fault { parameter: e.parameter.clone(), message: e.message.clone() };
    let page = ErrorPage {
        chrome: chrome.unwrap_or_else(|| Chrome::bare(theme, "/-".to_owned())),
        status: error.code.status().as_u16(),
        title: error.code.title(),
        detail: &error.detail,
        faults: error.errors.iter().map(fault).collect(),
        request_id,
    };
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    // A page that cannot be printed must still be an answer.
    (html, page.render().unwrap_or_else(|_| error.code.title().to_owned())).into_response()
}

/// The sign-in page.
#[derive(Template, WebTemplate)]
#[template(path = "pages/login.html")]
pub(crate) struct SignInPage {
    chrome: Chrome,
    spent: bool,
}

impl SignInPage {
    /// The page for a code that is not good (any more).
    pub(crate) fn spent(self) -> Response {
        let mut answer = (StatusCode::UNAUTHORIZED, Self { spent: true, ..self }).into_response();
        answer.extensions_mut().insert(AsItIs);
        answer
    }
}

impl FromRequestParts<App> for SignInPage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self { chrome: Chrome::from_request_parts(parts, app).await?, spent: false })
    }
}

struct ProblemLine {
    code: &'static str,
    status: u16,
    title: &'static str,
    meaning: &'static str,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/problems.html")]
struct ProblemsPage {
    chrome: Chrome,
    problems: Vec<ProblemLine>,
}

/// `GET /problems`: what the API's error codes mean; `type` of a problem leads here.
async fn problems(chrome: Chrome) -> Response {
    let line = |code: &Code| ProblemLine {
        code: code.as_str(),
        status: code.status().as_u16(),
        title: code.title(),
        meaning: code.meaning(),
    };
    ProblemsPage { chrome, problems: Code::ALL.iter().map(line).collect() }.into_response()
}

/// `POST /theme`: keeps the colours that a person chose, and goes back.
async fn set_theme(jar: CookieJar, body: String) -> Response {
    let sent = |name: &str| pairs(&body).find(|(n, _)| n == name).map(|(_, value)| value).unwrap_or_default();
    let word = match sent("theme").as_str() {
        "light" => "light",
        "dark" => "dark",
        _ => "auto",
    };
    let theme = Cookie::build((Theme::COOKIE, word)).path("/").http_only(true).same_site(SameSite::Lax);
    let theme = theme.permanent().build();
    let next = sent("next");
    let next = if super::auth::is_local(&next) { next } else { "/".to_owned() };
    (jar.add(theme), Redirect::to(&next)).into_response()
}
