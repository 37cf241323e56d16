//! Looking after an installation: tables, tokens, the way in, the API's contract.

use super::Format;
use super::{Context, print, print_json, with_existing_database};
use crate::app::App;
use crate::audit::rules::Rules;
use crate::database::{Database, Schema};
use crate::error::{Error, chain};
use crate::http;
use crate::http::auth::token::{Scope, mint, successor};
use crate::progress::Progress;
use rolecall_collect::Hub;
use rolecall_estate::{Limit, Visibility};
use rolecall_store::{ApiToken, NewToken, PersonAccess, SetAside};
use serde_json::json;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// `migrate`
///
/// # Errors
/// What stopped it.
pub async fn migrate(context: Context) -> Result<ExitCode, Error> {
    let progress = Progress::stderr();
    let (database, migrations) = Database::open(&context.database, Schema::Migrate, &progress).await?;
    progress.done();
    database.close().await;
    match context.format {
        Format::Json => print_json(&json!({ "migrations_applied": migrations }))?,
        _ => print(&format!("{migrations} migrations applied; the database is up to date\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `openapi`
///
/// # Errors
/// Where stdout is closed.
pub fn openapi() -> Result<ExitCode, Error> {
    print_json(&http::openapi())?;
    Ok(ExitCode::SUCCESS)
}

/// `admin login`
///
/// # Errors
/// What stopped it; where people do not come in by links, that.
pub async fn login(context: Context, bind: Option<SocketAddr>, whom: PersonAccess) -> Result<ExitCode, Error> {
    let addr = bind.unwrap_or(context.config.server.bind);
    let rules = Arc::new(Rules::configured(&context.config)?);
    let url = with_existing_database(&context, &Progress::silent(), async |database| {
        let app =
            App::new(database.store.clone(), rules.clone(), context.config.clone(), Hub::default(), false).await?;
        http::auth::login_url_for(&app, addr, whom).await.map_err(|error| Error::Usage {
            what: chain(&error),
            remedy: "set `auth.mode` to \"link\", or sign in the way it says".to_owned(),
        })
    })
    .await?;
    match context.format {
        Format::Json => print_json(&json!({ "url": url }))?,
        _ => print(&format!("{url}\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin token create`
///
/// # Errors
/// A scope that there is not; what else stopped it.
pub async fn create_token(
    context: Context,
    name: &str,
    scopes: &[String],
    limits: Vec<Limit>,
    days: u16,
) -> Result<ExitCode, Error> {
    let unusable = |what: String| Error::Usage { what, remedy: "see `rolecall admin token create --help`".to_owned() };
    let parsed = scopes
        .iter()
        .map(|scope| scope.parse::<Scope>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    let visibility = Visibility::of(limits.into_iter().collect());
    let (created, minted, scopes) = with_existing_database(&context, &Progress::silent(), async |database| {
        let now = database.store.now().await?;
        let minted = mint(&parsed, days.into(), now).map_err(|error| unusable(error.to_string()))?;
        let token = NewToken {
            public_id: minted.public_id.clone(),
            name: name.to_owned(),
            hash: minted.hash.as_bytes().to_vec(),
            scopes: parsed.iter().map(ToString::to_string).collect(),
            visibility: visibility.clone(),
            created_at: now,
            expires_at: minted.expires_at,
        };
        Ok((database.store.create_token(&token).await?, minted, token.scopes))
    })
    .await?;
    if !created {
        return Err(unusable(format!("the service account `{name}` is disabled")));
    }
    match context.format {
        Format::Json => print_json(&json!({
            "token": minted.text, "id": minted.public_id, "name": name, "scopes": scopes,
            "limits": visibility.limits(), "expires_at": minted.expires_at,
        }))?,
        // Alone on its line, so that a shell can take it.
        _ => print(&format!("{}\n", minted.text))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin token rotate`
///
/// # Errors
/// [`Error::Usage`] where there is no such token in force.
pub async fn rotate_token(context: Context, id: &str, days: u16, overlap_hours: u16) -> Result<ExitCode, Error> {
    let (done, minted) = with_existing_database(&context, &Progress::silent(), async |database| {
        let now = database.store.now().await?;
        let (minted, successor) = successor(days.into(), overlap_hours.into(), now).map_err(|error| Error::Usage {
            what: error.to_string(),
            remedy: "see `rolecall admin token rotate --help`".to_owned(),
        })?;
        Ok((database.store.rotate_token(id, &successor).await?, minted))
    })
    .await?;
    if !done {
        return Err(Error::Usage {
            what: format!("no token in force that was not replaced has the id `{id}`"),
            remedy: "`rolecall admin token list` shows the ids".to_owned(),
        });
    }
    match context.format {
        Format::Json => print_json(&json!({
            "token": minted.text, "id": minted.public_id, "replaces": id, "expires_at": minted.expires_at,
        }))?,
        // Alone on its line, so that a shell can take it.
        _ => print(&format!("{}\n", minted.text))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin token list`
///
/// # Errors
/// What stopped it.
pub async fn list_tokens(context: Context) -> Result<ExitCode, Error> {
    let (tokens, now) = with_existing_database(&context, &Progress::silent(), async |database| {
        Ok((database.store.tokens().await?, database.store.now().await?))
    })
    .await?;
    let state = |token: &ApiToken| match token.revoked_at {
        Some(_) => "revoked",
        None if token.expires_at <= now => "expired",
        None => "valid",
    };
    if context.format == Format::Json {
        let rows: Vec<_> = tokens
            .iter()
            .map(|token| {
                json!({
                    "id": token.public_id, "name": token.name, "scopes": token.scopes,
                    "limits": token.visibility.limits(), "state": state(token),
                    "created_at": token.created_at, "expires_at": token.expires_at,
                    "last_used_at": token.last_used_at, "revoked_at": token.revoked_at,
                })
            })
            .collect();
        print_json(&json!({ "tokens": rows }))?;
    } else {
        let mut out = String::new();
        for token in &tokens {
            // Writing to a string cannot fail.
            let _infallible = writeln!(
                out,
                "{}  {:<8} until {}  {}  {}{}{}",
                token.public_id,
                state(token),
                token.expires_at.format("%Y-%m-%d"),
                token.name,
                token.scopes.join(" "),
                if token.visibility.is_everything() { "" } else { "  sees only " },
                token.visibility.limits().unwrap_or_default().join(" ")
            );
        }
        print(if tokens.is_empty() { "no tokens\n" } else { &out })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin token revoke`
///
/// # Errors
/// [`Error::Usage`] where there is no such token in force.
pub async fn revoke_token(context: Context, id: &str) -> Result<ExitCode, Error> {
    let revoked = with_existing_database(&context, &Progress::silent(), async |database| {
        Ok(database.store.revoke_token(id, database.store.now().await?).await?)
    })
    .await?;
    if !revoked {
        return Err(Error::Usage {
            what: format!("no token in force has the id `{id}`"),
            remedy: "`rolecall admin token list` shows the ids".to_owned(),
        });
    }
    match context.format {
        Format::Json => print_json(&json!({ "revoked": id }))?,
        _ => print(&format!("{id} is revoked\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin set-aside list`
///
/// # Errors
/// What stopped it.
pub async fn list_set_aside(context: Context) -> Result<ExitCode, Error> {
    let units =
        with_existing_database(&context, &Progress::silent(), async |database| Ok(database.store.set_aside().await?))
            .await?;
    if context.format == Format::Json {
        print_json(&json!({ "set_aside": units }))?;
    } else {
        let mut out = String::new();
        for SetAside { kind, source, unit, deaths, at } in &units {
            // Writing to a string cannot fail.
            let _infallible = writeln!(
                out,
                "{unit}\n  {} of {source}; {deaths} processes died at it, the last on {}",
                kind.as_str(),
                at.format("%Y-%m-%d %H:%M UTC")
            );
        }
        print(if units.is_empty() { "nothing is set aside\n" } else { &out })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin set-aside retry`
///
/// # Errors
/// [`Error::Usage`] where nothing of that name is set aside.
pub async fn retry_set_aside(context: Context, name: &str) -> Result<ExitCode, Error> {
    let found =
        with_existing_database(&context, &Progress::silent(), async |database| Ok(database.store.retry(name).await?))
            .await?;
    if !found {
        return Err(Error::Usage {
            what: format!("nothing named `{name}` is set aside"),
            remedy: "`rolecall admin set-aside list` shows the names".to_owned(),
        });
    }
    match context.format {
        Format::Json => print_json(&json!({ "retried": name }))?,
        _ => print(&format!("{name} is tried again by the next scan or import\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}
