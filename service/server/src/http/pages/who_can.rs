//! `/who-can`: which workloads and roles may do something to a resource, as it is or as it was at a time that has passed.

use super::estate::PageContext;
use super::parts::{Badge, ReasonLine, association_href, badge, role_href};
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::query::{Params, encode, pairs};
use crate::http::visible::Visible;
use crate::http::who_can::{WhoCanQuery, ask};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use rolecall_audit::access::who_can::{Permission, Permitted, WhoCan};

/// So many rows of a table are shown; the API has all.
const SHOWN: usize = 200;

/// A principal that can, or may.
struct Row {
    name: String,
    href: String,
    place: String,
    badge: Badge,
    because: String,
    reasons: Vec<ReasonLine>,
    /// Where the same is asked of it alone.
    simulate: String,
}

/// What the form holds.
struct Form {
    action: String,
    resource: String,
    resource_account: String,
    bare: bool,
    at: String,
}

impl Form {
    fn new(params: &Params) -> Self {
        let text = |name: &str| params.text(name).unwrap_or_default().to_owned();
        Self {
            action: text("action"),
            resource: text("resource"),
            resource_account: text("resource_account"),
            bare: params.flag("bare").unwrap_or(false),
            at: text("at"),
        }
    }

    fn simulate(&self, principal: &str) -> String {
        let given = [
            ("principal", principal),
            ("action", &self.action),
            ("resource", &self.resource),
            ("resource_account", &self.resource_account),
            ("bare", if self.bare { "true" } else { "" }),
            ("at", &self.at),
        ];
        let given = given.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(value))).collect();
        format!("/simulate?{}", pairs.join("&"))
    }

    fn row<P: ToString>(&self, found: &Permitted<P>, name: String, href: String, place: String) -> Row {
        Row {
            name,
            href,
            place,
            badge: match found.permission {
                Permission::Allowed => badge("bad", "Allowed"),
                Permission::AllowedWithResourcePolicy => badge("warn", "Allowed if the resource policy allows it"),
                Permission::Unknown => badge("unseen", "Unknown"),
            },
            because: found.because.clone(),
            reasons: found.unknown.iter().map(ReasonLine::from).collect(),
            simulate: self.simulate(&found.principal.to_string()),
        }
    }
}

/// The answer.
struct Answered {
    workloads: Vec<Row>,
    more_workloads: usize,
    roles: Vec<Row>,
    more_roles: usize,
    denied: String,
    missing: Vec<ReasonLine>,
    resource_policy_unknown: bool,
    json: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/who_can.html")]
pub(crate) struct WhoCanPage {
    chrome: Chrome,
    form: Form,
    answered: Option<Answered>,
}

/// `GET /who-can`
pub(crate) async fn page(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    mut chrome: Chrome,
) -> Result<WhoCanPage, AppError> {
    // A form sends its empty fields, too, and what was pasted with the spaces beside it.
    let given = pairs(raw.as_deref().unwrap_or_default()).map(|(name, value)| (name, value.trim().to_owned()));
    let given = given.filter(|(_, value)| !value.is_empty());
    let given: Vec<String> = given.map(|(name, value)| format!("{}={}", encode(&name), encode(&value))).collect();
    let given = given.join("&");
    let params = WhoCanQuery::parse(Some(&given))?;
    let form = Form::new(&params);
    if form.action.is_empty() {
        return Ok(WhoCanPage { chrome, form, answered: None });
    }
    let context = PageContext::as_of(&app, &params, "/who-can", &mut chrome).await?;
    let (_, found) = ask(&app, &params, context.as_of).await?;
    let WhoCan { workloads, roles, asked_workloads, asked_roles, missing, resource_policy_unknown } = found;
    let denied = format!(
        "{} of {asked_workloads} workloads and {} of {asked_roles} roles cannot.",
        asked_workloads.saturating_sub(workloads.len()),
        asked_roles.saturating_sub(roles.len()),
    );
    let workload = |found: &Permitted<rolecall_estate::AssociationKey>| {
        let key = &found.principal;
        let place = format!("{}, {}, {}", key.cluster, key.region, context.names.of(key.account_id));
        let href = context.href(&association_href(&key.to_string()));
        form.row(found, format!("{}/{}", key.namespace, key.service_account), href, place)
    };
    let role = |found: &Permitted<rolecall_iam::RoleArn>| {
        let arn = &found.principal;
        let href = context.href(&role_href(arn.as_str()));
        form.row(found, arn.name().to_owned(), href, format!("{arn}, {}", context.names.of(arn.account_id())))
    };
    let answered = Answered {
        more_workloads: workloads.len().saturating_sub(SHOWN),
        workloads: workloads.iter().take(SHOWN).map(workload).collect(),
        more_roles: roles.len().saturating_sub(SHOWN),
        roles: roles.iter().take(SHOWN).map(role).collect(),
        denied,
        missing: ReasonLine::each(&missing),
        resource_policy_unknown,
        json: format!("/api/v1/who-can?{given}"),
    };
    Ok(WhoCanPage { chrome, form, answered: Some(answered) })
}
