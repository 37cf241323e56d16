//! Pages for people: one file a page, each with its path, handler and view model.
//!
//! A handler extracts, asks the store, and fills a view struct with display-ready values; the
//! templates in `web/templates` loop and print. Refuses to know SQL, rules and AWS.

mod access_report;
mod accounts;
mod associations;
mod assumable_by;
mod baselines;
mod chain;
mod changes;
mod clusters;
mod download;
mod estate;
mod exceptions;
mod finding;
mod findings;
mod flow;
mod grants;
mod ingestion;
mod list;
mod overview;
pub(crate) mod owner;
pub(crate) mod parts;
mod reports;
mod roles;
mod rules;
mod runs;
mod search;
mod session;
mod sessions;
mod settings;
mod simulate;
mod tools;
mod triage;
mod usage;
mod views;
mod webhooks;
mod who_can;
mod workload_history;

use super::error::Code;
use super::frame::{Chrome, Theme};
use super::limits;
use super::principal::Scope;
use super::query::{is_local, pairs};
use super::routes::Routes;
use askama::Template;
use askama_web::WebTemplate;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};

/// Every page, with an address of it.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .page("/", "/", get(overview::page))
        .page("/findings", "/findings", get(findings::page))
        .page("/findings/{number}", "/findings/1", get(finding::page))
        .form(Scope::FindingsTriage, "/findings/triage", "/findings/triage", post(triage::many))
        .form(Scope::FindingsTriage, "/findings/{number}/triage", "/findings/1/triage", post(triage::one))
        .page("/exceptions", "/exceptions", get(exceptions::page))
        .page("/download/{list}", "/download/findings", get(download::file))
        .page("/changes", "/changes", get(changes::list))
        .page("/changes/{id}", "/changes/chg_0", get(changes::one))
        .form(Scope::ChangesApprove, "/changes/approvals", "/changes/approvals", post(changes::approve_all))
        .form(Scope::ChangesApprove, "/changes/{id}/approval", "/changes/chg_0/approval", post(changes::approve))
        .form(Scope::ChangesApprove, "/changes/{id}/withdrawal", "/changes/chg_0/withdrawal", post(changes::withdraw))
        .page("/baselines", "/baselines", get(baselines::list))
        .form(Scope::ChangesApprove, "/baselines", "/baselines", post(baselines::accept))
        .of_everything(limits::BASELINES)
        .page("/baselines/{id}", "/baselines/bl_0", get(baselines::one))
        .form(
            Scope::ChangesApprove,
            "/baselines/{id}/withdrawal",
            "/baselines/bl_0/withdrawal",
            post(baselines::withdraw),
        )
        .of_everything(limits::BASELINES)
        .page("/associations", "/associations", get(associations::list))
        .page("/associations/{*key}", "/associations/111122223333/eu-west-1/c/n/s", get(associations::one))
        .page("/clusters", "/clusters", get(clusters::list))
        .page("/clusters/{account_id}/{region}/{name}", "/clusters/111122223333/eu-west-1/c", get(clusters::one))
        .page("/roles", "/roles", get(roles::list))
        .page("/roles/{*arn}", "/roles/arn:aws:iam::111122223333:role/r", get(roles::one))
        .page("/accounts", "/accounts", get(accounts::list))
        .page("/accounts/{id}", "/accounts/111122223333", get(accounts::one))
        .page("/rules", "/rules", get(rules::list))
        .page("/rules/{id}", "/rules/r", get(rules::one))
        .page("/scans", "/scans", get(runs::list))
        .of_everything(limits::SCANS)
        .form(Scope::ScansWrite, "/scans", "/scans", post(runs::start))
        .of_everything(limits::SCANS)
        .page("/scans/{id}", "/scans/1", get(runs::one))
        .of_everything(limits::SCANS)
        .page("/search", "/search?q=api", get(search::page))
        .page("/sessions", "/sessions", get(sessions::list))
        .page("/sessions/names", "/sessions/names", get(sessions::names))
        .page("/sessions/{account}/{event}", "/sessions/111122223333/e", get(session::page))
        .page("/simulate", "/simulate", get(simulate::page))
        .form(Scope::InventoryRead, "/simulate", "/simulate", post(simulate::ask))
        .page("/assumable-by", "/assumable-by", get(assumable_by::page))
        .page("/who-can", "/who-can?action=s3:GetObject", get(who_can::page))
        .page("/reports", "/reports", get(reports::home))
        .page("/reports/access", "/reports/access?role=arn:aws:iam::111122223333:role/r", get(access_report::page))
        .page("/reports/summary", "/reports/summary", get(reports::summary))
        .page("/reports/exceptions", "/reports/exceptions", get(reports::exceptions))
        .page("/usage", "/usage", get(usage::page))
        .page("/workload-history", "/workload-history", get(workload_history::page))
        .page("/unused-access", "/unused-access", get(grants::page))
        .page("/ingestion", "/ingestion", get(ingestion::page))
        .of_everything(limits::INGESTION)
        .page("/settings", "/settings", get(settings::page))
        .page("/settings/views", "/settings/views", get(views::list))
        .own_form("/settings/views/{slug}", "/settings/views/v", post(views::act))
        .own_form("/views", "/views", post(views::save))
        .page("/v/{slug}", "/v/v", get(views::open))
        .page("/settings/sessions", "/settings/sessions", get(settings::sessions))
        .own_form("/settings/sessions/{id}/end", "/settings/sessions/0/end", post(settings::end_session))
        .page_with(Scope::Admin, "/settings/tokens", "/settings/tokens", get(settings::tokens))
        .of_everything(limits::CREDENTIALS)
        .form(Scope::Admin, "/settings/tokens", "/settings/tokens", post(settings::create_token))
        .of_everything(limits::CREDENTIALS)
        .form(Scope::Admin, "/settings/tokens/{id}/rotate", "/settings/tokens/0/rotate", post(settings::rotate_token))
        .of_everything(limits::CREDENTIALS)
        .form(Scope::Admin, "/settings/tokens/{id}/revoke", "/settings/tokens/0/revoke", post(settings::revoke_token))
        .of_everything(limits::CREDENTIALS)
        .form(
            Scope::Admin,
            "/settings/service-accounts/disable",
            "/settings/service-accounts/disable",
            post(settings::disable_account),
        )
        .of_everything(limits::CREDENTIALS)
        .page_with(Scope::AuditRead, "/settings/audit-log", "/settings/audit-log", get(settings::audit_log))
        .of_everything(limits::CREDENTIALS)
        .page_with(Scope::WebhooksManage, "/settings/webhooks", "/settings/webhooks", get(webhooks::list))
        .of_everything(limits::CREDENTIALS)
        .page_with(Scope::WebhooksManage, "/settings/webhooks/{webhook}", "/settings/webhooks/w", get(webhooks::one))
        .of_everything(limits::CREDENTIALS)
        .form(Scope::WebhooksManage, "/settings/webhooks/{webhook}", "/settings/webhooks/w", post(webhooks::act))
        .of_everything(limits::CREDENTIALS)
        .page("/problems", "/problems", get(problems))
        .own_form("/theme", "/theme", post(set_theme))
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
    let next = if is_local(&next) { next } else { "/".to_owned() };
    (jar.add(theme), Redirect::to(&next)).into_response()
}
