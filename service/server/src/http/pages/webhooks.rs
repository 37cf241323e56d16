//! `/settings/webhooks`: how webhooks stand, and what was sent to each.

use super::list::{Empty, Pager, Select, carried, curl, select};
use super::parts::{Badge, badge, plural};
use crate::config::outgoing::{Receiver, WebhookKind};
use crate::http::error::{AppError, Code, FieldError};
use crate::http::filters;
use crate::http::frame::Chrome;
use crate::http::listing;
use crate::http::principal::Principal;
use crate::http::query::{CURSOR, LIMIT, encode, pairs, query};
use crate::http::view::words::{self, Stamp};
use crate::http::visible::Visible;
use crate::http::webhooks::{self, Deliveries, Webhook};
use crate::schedule::Timetable;
use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::response::Redirect;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rolecall_store::{DeliveryRow, DeliveryState, Disabled, WebhookRow};

const PATH: &str = "/settings/webhooks";

query! {
    /// The list takes no parameter.
    NoQuery = &[]
}
query! {
    /// Query of one webhook: the API's filters.
    DeliveriesQuery = filters::DELIVERIES, &[LIMIT, CURSOR]
}

/// A webhook, in a row.
struct WebhookLine {
    href: String,
    name: String,
    kind: &'static str,
    url: String,
    state: Badge,
    because: &'static str,
    since: Option<Stamp>,
    is_disabled: bool,
    types: String,
    only: Vec<String>,
    waiting: String,
    failed: String,
    behind: String,
    delivered: Option<Stamp>,
    position: i64,
    /// When digests are sent, of e-mail.
    digest: Option<Digests>,
}

/// When digests are sent.
struct Digests {
    /// A cron expression, and the time zone that it is read in.
    slots: String,
    /// `None`: in no year to come that is looked at.
    next: Option<Stamp>,
}

impl WebhookLine {
    fn new(webhook: &Webhook<'_>, zone: Tz, now: DateTime<Utc>) -> Self {
        let (config, row) = (webhook.config, webhook.row.as_ref());
        let route = &config.route;
        let disabled = row.and_then(|row| row.disabled);
        let state = match (row, disabled) {
            (None, _) => badge("accent", "Awaits a worker"),
            (Some(_), None) => badge("ok", "Active"),
            (Some(_), Some(_)) => badge("bad", "Disabled"),
        };
        let list =
            |name: &str, values: Vec<String>| (!values.is_empty()).then(|| format!("{name} {}", values.join(", ")));
        let only = [
            route.severity_min.map(|least| format!("severity {} and above", words::severity(least).to_lowercase())),
            list("account", route.account_ids.iter().map(ToString::to_string).collect()),
            list("namespace", route.namespaces.iter().cloned().collect()),
            list("assignee", route.assignees.iter().cloned().collect()),
            list("owner", route.owners.iter().cloned().collect()),
        ];
        let count = |n: u64, word: &str| format!("{} {word}", words::count_u64(n));
        Self {
            href: format!("{PATH}/{}", encode(&config.name)),
            name: config.name.clone(),
            kind: config.kind.as_str(),
            url: webhook.url().unwrap_or_else(|| "its address is a secret".to_owned()),
            state,
            because: match disabled.map(|(_, why)| why) {
                Some(Disabled::Gone) => "its endpoint answered 410: it wants no more messages",
                Some(Disabled::Failed) => "its endpoint took no attempt of a message",
                None => "",
            },
            since: disabled.map(|(at, _)| Stamp::new(at, now)),
            is_disabled: disabled.is_some(),
            types: route.types.iter().cloned().collect::<Vec<_>>().join(", "),
            only: only.into_iter().flatten().collect(),
            waiting: count(row.map_or(0, |row| row.waiting), "waiting"),
            failed: count(row.map_or(0, |row| row.failed), "failed"),
            behind: plural(usize::try_from(webhook.behind).unwrap_or_default(), "event", "events"),
            delivered: row.and_then(|row| row.last_delivered_at).map(|at| Stamp::new(at, now)),
            position: row.map_or(0, |row| row.position),
            digest: match &config.receiver {
                Receiver::Email(email) => {
                    let next = Timetable::new(email.digest.cron.clone(), zone).next(now);
                    Some(Digests {
                        slots: format!("{} {zone}", email.digest.cron.as_str()),
                        next: next.map(|at| Stamp::new(at, now)),
                    })
                }
                Receiver::Https { .. } | Receiver::Aws { .. } => None,
            },
        }
    }
}

/// A delivery, in a row.
struct DeliveryLine {
    id: String,
    event: String,
    kind: String,
    page: String,
    state: Badge,
    attempts: String,
    created: Stamp,
    due: Option<Stamp>,
    last: Option<Stamp>,
    answer: String,
}

impl DeliveryLine {
    fn new(row: DeliveryRow, kind: WebhookKind, now: DateTime<Utc>) -> Self {
        let state = match row.state {
            DeliveryState::Waiting => badge("accent", "Waiting"),
            DeliveryState::Delivered => badge("ok", "Delivered"),
            DeliveryState::Failed => badge("bad", "Failed"),
        };
        let status = row.last_status.map(|status| {
            let protocol = if kind == WebhookKind::Email { "SMTP" } else { "HTTP" };
            format!("{protocol} {status}")
        });
        let answer = status.into_iter().chain(row.last_error).collect::<Vec<_>>().join(": ");
        Self {
            event: row.seq.map(|seq| format!("event {seq}")).unwrap_or_default(),
            due: (row.state == DeliveryState::Waiting).then(|| Stamp::new(row.due_at, now)),
            attempts: plural(usize::try_from(row.attempts).unwrap_or_default(), "attempt", "attempts"),
            created: Stamp::new(row.created_at, now),
            last: row.last_at.map(|at| Stamp::new(at, now)),
            id: row.id,
            kind: row.kind,
            page: row.page,
            state,
            answer,
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/webhooks.html")]
pub(crate) struct WebhooksPage {
    chrome: Chrome,
    lines: Vec<WebhookLine>,
    /// Kept, and not in the configuration.
    removed: Vec<WebhookRow>,
    empty: Option<Empty>,
    curl: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/webhook.html")]
pub(crate) struct WebhookPage {
    chrome: Chrome,
    webhook: WebhookLine,
    path: String,
    selects: Vec<Select>,
    carried: Vec<(&'static str, String)>,
    lines: Vec<DeliveryLine>,
    empty: Option<Empty>,
    pager: Pager,
    curl: String,
}

/// `GET /settings/webhooks`
pub(crate) async fn list(
    Visible(app): Visible,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<WebhooksPage, AppError> {
    let given = NoQuery::parse(raw.as_deref())?;
    let now = app.store.now().await?;
    let lines: Vec<_> = webhooks::webhooks(&app)
        .await?
        .iter()
        .map(|it| WebhookLine::new(it, app.config.schedule.timezone, now))
        .collect();
    let none = || Empty {
        class: "",
        title: "No webhook".to_owned(),
        text: "Webhooks are configured in [[outgoing.webhooks]] of the configuration file.".to_owned(),
        href: String::new(),
        link: String::new(),
    };
    Ok(WebhooksPage {
        empty: lines.is_empty().then(none),
        removed: webhooks::removed(&app).await?,
        curl: curl(&chrome.origin(&app), "/api/v1/webhooks", &given, &[]),
        lines,
        chrome,
    })
}

/// `GET /settings/webhooks/{webhook}`
pub(crate) async fn one(
    Visible(app): Visible,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
    chrome: Chrome,
) -> Result<WebhookPage, AppError> {
    let given = DeliveriesQuery::parse(raw.as_deref())?;
    let webhook = webhooks::webhook(&app, &name).await?;
    let list = Deliveries::new(&app, &name, &given)?;
    let slice = listing::shown(&app, &given, &list).await?;
    let now = app.store.now().await?;
    let path = format!("{PATH}/{}", encode(&name));
    let states = [("waiting", "Waiting"), ("delivered", "Delivered"), ("failed", "Failed")];
    let states = states.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let none = || Empty {
        class: "",
        title: "No delivery".to_owned(),
        text: "A delivery is made for each event, or each summary or digest of many, that the webhook is sent."
            .to_owned(),
        href: String::new(),
        link: String::new(),
    };
    Ok(WebhookPage {
        webhook: WebhookLine::new(&webhook, app.config.schedule.timezone, now),
        selects: vec![select("state", "State", states, &given)],
        carried: carried(&given, &["state"]),
        empty: slice.rows.is_empty().then(none),
        pager: Pager::new(
            &path,
            &given,
            &slice.turns,
            plural(slice.rows.len(), "delivery on this page", "deliveries on this page"),
        ),
        lines: slice.rows.into_iter().map(|row| DeliveryLine::new(row, webhook.config.kind, now)).collect(),
        curl: curl(
            &chrome.origin(&app),
            &format!("/api/v1/webhooks/{}/deliveries", encode(&name)),
            &given,
            filters::DELIVERIES,
        ),
        path,
        chrome,
    })
}

/// `POST /settings/webhooks/{webhook}`
pub(crate) async fn act(
    Visible(app): Visible,
    Path(name): Path<String>,
    Extension(who): Extension<Principal>,
    body: String,
) -> Result<Redirect, AppError> {
    let sent = |field: &str| pairs(&body).find(|(it, _)| it == field).map(|(_, value)| value).unwrap_or_default();
    let wrong = |parameter: &str, message: String| {
        AppError::of_fields(Code::InvalidParameter, vec![FieldError { parameter: parameter.to_owned(), message }])
    };
    match sent("step").as_str() {
        "test" => drop(webhooks::send_test(&app, &name, &who).await?),
        "enable" => webhooks::enable(&app, &name, &who).await?,
        "replay" => {
            let after = sent("after");
            let read = after.trim().parse().ok().filter(|after| *after >= 0);
            let message = || format!("`after`: `{}` is not the number of an event", after.escape_debug());
            webhooks::replay_after(&app, &name, read.ok_or_else(|| wrong("after", message()))?, &who).await?;
        }
        "replay_delivery" => webhooks::replay_one(&app, &name, &sent("id"), &who).await?,
        other => {
            let known = "test, enable, replay, replay_delivery";
            return Err(wrong("step", format!("`step`: `{}` is not one of {known}", other.escape_debug())));
        }
    }
    Ok(Redirect::to(&format!("{PATH}/{}", encode(&name))))
}
