//! Making and replacing tokens: one way for the API and for forms, with what refuses them said in the same words.
//! Refuses to know SQL and who may.

use super::auth::token::{Minted, mint, successor};
use super::error::{AppError, Code, FieldError};
use super::principal::{Principal, Scope};
use crate::app::App;
use chrono::{DateTime, Utc};
use rolecall_estate::{Limit, Visibility};
use rolecall_store::{ApiToken, NewToken};
use std::collections::BTreeSet;

/// What a token is now.
pub(super) fn state(token: &ApiToken, now: DateTime<Utc>) -> &'static str {
    match token.revoked_at {
        Some(_) => "revoked",
        None if token.expires_at <= now => "expired",
        None => "valid",
    }
}

/// How long a token lives where nobody says.
pub(super) const DAYS: i64 = 90;
/// How long the replaced token stays valid where nobody says, in hours.
pub(super) const OVERLAP_HOURS: i64 = 24;
/// The longest overlap, in hours.
pub(super) const MOST_OVERLAP_HOURS: i64 = 720;
/// The longest name of a service account, in characters.
const NAME: usize = 100;

/// A token as it was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) service_account: String,
    /// Of a service account that is not there yet.
    pub(super) owner: Option<String>,
    pub(super) description: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) limits: Vec<String>,
    pub(super) days: Option<i64>,
}

fn fault(parameter: &str, message: impl Into<String>) -> FieldError {
    FieldError { parameter: parameter.to_owned(), message: message.into() }
}

/// Makes a token of a service account, which is made where there is none of its name.
pub(super) async fn create(app: &App, asked: Asked, who: &Principal) -> Result<Minted, AppError> {
    let mut faults = Vec::new();
    let name = asked.service_account.trim().to_owned();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        faults.push(fault("service_account", format!("`service_account` has 1 to {NAME} visible characters")));
    }
    let mut scopes = BTreeSet::new();
    for word in &asked.scopes {
        match word.parse::<Scope>() {
            Ok(scope) => drop(scopes.insert(scope)),
            Err(error) => faults.push(fault("scopes", format!("`scopes`: {error}"))),
        }
    }
    let mut limits = BTreeSet::new();
    for text in &asked.limits {
        match text.parse::<Limit>() {
            Ok(limit) => drop(limits.insert(limit)),
            Err(error) => faults.push(fault("limits", format!("`limits`: {error}"))),
        }
    }
    let now = app.now().await?;
    let scopes: Vec<Scope> = scopes.into_iter().collect();
    let minted = mint(&scopes, asked.days.unwrap_or(DAYS), now);
    let minted = match minted {
        Ok(minted) if faults.is_empty() => minted,
        Ok(_) => return Err(AppError::of_fields(Code::InvalidParameter, faults)),
        Err(error) => {
            faults.push(fault("days", error.to_string()));
            return Err(AppError::of_fields(Code::InvalidParameter, faults));
        }
    };
    let store = who.store(app);
    if let Some(owner) = &asked.owner {
        // One that is there stays as it is.
        store.create_service_account(&name, owner, asked.description.as_deref().unwrap_or_default(), now).await?;
    }
    let token = NewToken {
        public_id: minted.public_id.clone(),
        name: name.clone(),
        hash: minted.hash.as_bytes().to_vec(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        visibility: Visibility::of(limits),
        created_at: now,
        expires_at: minted.expires_at,
    };
    if store.create_token(&token).await? {
        Ok(minted)
    } else {
        Err(AppError::new(Code::Conflict, format!("the service account `{name}` is disabled; take another name")))
    }
}

/// Makes the token that takes another's place.
pub(super) async fn rotate(
    app: &App,
    id: &str,
    days: Option<i64>,
    overlap_hours: Option<i64>,
    who: &Principal,
) -> Result<Minted, AppError> {
    let overlap = overlap_hours.unwrap_or(OVERLAP_HOURS);
    if !(0..=MOST_OVERLAP_HOURS).contains(&overlap) {
        let message =
            format!("`overlap_hours` is {overlap}; both tokens are valid for 0 to {MOST_OVERLAP_HOURS} hours");
        return Err(AppError::of_fields(Code::InvalidParameter, vec![fault("overlap_hours", message)]));
    }
    let made = successor(days.unwrap_or(DAYS), overlap, app.now().await?);
    let (minted, successor) =
        made.map_err(|error| AppError::of_fields(Code::InvalidParameter, vec![fault("days", error.to_string())]))?;
    if app.store.token(id).await?.is_none() {
        return Err(AppError::not_found(format!("token `{id}`")));
    }
    if who.store(app).rotate_token(id, &successor).await? {
        Ok(minted)
    } else {
        let detail = format!("token `{id}` has ended, was revoked or was replaced before; make a new one");
        Err(AppError::new(Code::Conflict, detail))
    }
}

/// Takes a token back.
pub(super) async fn revoke(app: &App, id: &str, who: &Principal) -> Result<(), AppError> {
    if app.store.token(id).await?.is_none() {
        return Err(AppError::not_found(format!("token `{id}`")));
    }
    // One that was taken back before stays so.
    who.store(app).revoke_token(id, app.now().await?).await?;
    Ok(())
}
