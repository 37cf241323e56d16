//! What every page has around its content; the pages for failures and for signing in.

use super::as_of::AsOfBanner;
use super::assets::{ASSETS, Assets};
use super::error::{AppError, PassThrough};
use super::listing::origin;
use super::principal::{Principal, Scope};
use super::query::{encode, is_local, pairs};
use super::visible::Service;
use crate::app::App;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use chrono::Utc;
use std::convert::Infallible;

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
    pub(crate) const COOKIE: &'static str = "theme";

    /// The theme that a person chose.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
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

/// What a person may do, as pages ask it.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a page asks each by itself")]
pub(crate) struct May {
    pub(crate) triage: bool,
    pub(crate) approve: bool,
    pub(crate) scan: bool,
    pub(crate) read_audit_log: bool,
    pub(crate) administer: bool,
}

impl May {
    fn new(who: &Principal) -> Self {
        Self {
            triage: who.may(Scope::FindingsTriage),
            approve: who.may(Scope::ChangesApprove),
            scan: who.may(Scope::ScansWrite),
            read_audit_log: who.may(Scope::AuditRead),
            administer: who.may(Scope::Admin),
        }
    }
}

/// What every page has around its content.
#[derive(Debug, Clone)]
pub(crate) struct Chrome {
    pub(crate) theme: Theme,
    pub(crate) person: Option<String>,
    pub(crate) can_sign_out: bool,
    pub(crate) form_token: String,
    /// What the person may do: what they may not is not offered.
    pub(crate) may: May,
    pub(crate) path: String,
    /// What the request was sent to; a layer before checks that it is a name of this service.
    host: Option<String>,
    /// Where the page shows a time that has passed.
    pub(crate) as_of: Option<AsOfBanner>,
    pub(crate) assets: &'static Assets,
    pub(crate) version: &'static str,
    /// When the page was made, for print.
    pub(crate) made_at: String,
}

impl Chrome {
    /// The surroundings of a request's page.
    pub(crate) fn new(request: &Request, principal: Option<&Principal>) -> Self {
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| !host.is_empty()).map(str::to_owned);
        let bare = Self { host, ..Self::bare(Theme::new(request.headers()), path) };
        match principal {
            Some(who @ Principal::Person { name, form_token, can_sign_out, .. }) => Self {
                person: Some(name.clone()),
                form_token: form_token.clone(),
                can_sign_out: *can_sign_out,
                may: May::new(who),
                ..bare
            },
            _ => bare,
        }
    }

    fn bare(theme: Theme, path: String) -> Self {
        Self {
            theme,
            person: None,
            can_sign_out: false,
            form_token: String::new(),
            may: May::default(),
            path,
            host: None,
            as_of: None,
            assets: &ASSETS,
            version: env!("CARGO_PKG_VERSION"),
            made_at: Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        }
    }

    /// Where a printed page comes from: host, path and filters.
    pub(crate) fn printed_from(&self) -> String {
        let path = percent_encoding::percent_decode_str(&self.path).decode_utf8_lossy();
        format!("{}{path}", self.host.as_deref().unwrap_or_default())
    }

    /// The address of this service, for requests that a page shows: the public URL, or what the page itself was
    /// asked for.
    pub(crate) fn origin(&self, app: &App) -> String {
        origin(app, self.host.as_deref())
    }

    /// What links to the inventory end with: nothing, or the time that the page shows.
    pub(crate) fn at(&self) -> &str {
        self.as_of.as_ref().map_or("", |as_of| as_of.suffix.as_str())
    }

    /// The same, where a query stands before it.
    pub(crate) fn and_at(&self) -> String {
        self.at().replacen('?', "&", 1)
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

impl<S: Sync> FromRequestParts<S> for Chrome {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let given = parts.extensions.get::<Self>().cloned();
        Ok(given.unwrap_or_else(|| Self::bare(Theme::new(&parts.headers), parts.uri.path().to_owned())))
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
    /// The identity provider's host, and the way there.
    provider: Option<(String, String)>,
}

impl SignInPage {
    /// The page for a code that is not good (any more).
    pub(crate) fn spent(self) -> Response {
        let mut answer = (StatusCode::UNAUTHORIZED, Self { spent: true, ..self }).into_response();
        answer.extensions_mut().insert(PassThrough);
        answer
    }
}

impl FromRequestParts<Service> for SignInPage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Infallible> {
        let app = service.whole();
        let way = || {
            let asked = pairs(parts.uri.query().unwrap_or_default()).find(|(name, _)| name == "next");
            let next = asked.map(|(_, next)| next).filter(|next| is_local(next));
            next.map_or_else(|| "/login/oidc".to_owned(), |next| format!("/login/oidc?next={}", encode(&next)))
        };
        let provider = app.config.auth.oidc.as_ref().map(|oidc| (oidc.issuer.host().to_owned(), way()));
        Ok(Self { provider, chrome: Chrome::from_request_parts(parts, service).await?, spent: false })
    }
}

/// The page for whoever signed out, which goes on to the identity provider where it has a page for that.
#[derive(Template, WebTemplate)]
#[template(path = "pages/signed_out.html")]
pub(crate) struct SignedOutPage {
    chrome: Chrome,
    next: String,
}

impl SignedOutPage {
    /// The same, going on to an address.
    pub(crate) fn going_on(self, next: String) -> Self {
        Self { next, ..self }
    }
}

impl<S: Sync> FromRequestParts<S> for SignedOutPage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self { chrome: Chrome::from_request_parts(parts, state).await?, next: String::new() })
    }
}
