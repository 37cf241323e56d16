//! `admin session`, `admin role`, `admin service-account` and `admin audit`: who may enter, and what they did.

use super::{Context, Format, print, print_json, with_existing_database};
use crate::error::Error;
use crate::http::SESSION_IDLE;
use crate::progress::Progress;
use crate::role::PersonRole;
use chrono::TimeDelta;
use clap::Subcommand;
use rolecall_estate::{Limit, Visibility};
use rolecall_iam::Digest;
use rolecall_store::{AuditVerified, PersonAccess, ServiceAccount};
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Sessions of people.
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List the sessions that have not ended
    List,
    /// End sessions: one by its id, or all of a person
    #[command(arg_required_else_help = true)]
    Revoke {
        /// The session's id, as `list` prints it
        #[arg(required_unless_present = "person")]
        id: Option<String>,
        /// Every session of this person
        #[arg(long)]
        person: Option<String>,
    },
}

/// Roles that an operator gives to people.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Give a person a role, which counts from their next sign-in on
    Grant {
        /// The person, as the sign-in names them
        person: String,
        /// viewer, triager, policy-admin or admin
        #[arg(long)]
        role: PersonRole,
        /// What they may see, such as `namespace:payments`; everything where none is given; may be given more than once
        #[arg(long = "limit", value_name = "LIMIT")]
        limits: Vec<Limit>,
        /// Days until it ends
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=365))]
        days: u16,
    },
    /// List the roles that were given and have not ended
    List,
    /// Take a person's role back, and end their sessions
    Revoke {
        /// The person, as `list` prints them
        person: String,
    },
}

/// Service accounts.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Create a service account
    Create {
        /// How it is called
        name: String,
        /// Whom to ask about it
        #[arg(long)]
        owner: String,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List service accounts
    List,
    /// Disable a service account and revoke its tokens
    Disable {
        /// The name, as `list` prints it
        name: String,
    },
}

/// The audit log.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check that every entry is as it was written, in its place
    Verify {
        /// The hash of an entry that was kept elsewhere: it must be there
        #[arg(long, value_name = "HASH")]
        head: Option<Digest>,
    },
}

fn unusable(what: String, remedy: &str) -> Error {
    Error::Usage { what, remedy: remedy.to_owned() }
}

fn limits_words(visibility: &Visibility) -> String {
    visibility.limits().map_or_else(|| "everything".to_owned(), |limits| limits.join(" "))
}

/// `admin session`
///
/// # Errors
/// What stopped it.
pub async fn session(context: Context, what: Session) -> Result<ExitCode, Error> {
    let (id, person) = match what {
        Session::List => return list_sessions(context).await,
        Session::Revoke { id, person } => (id, person),
    };
    let ended = with_existing_database(&context, &Progress::silent(), async |database| {
        Ok(database.store.revoke_web_sessions(id.as_deref(), person.as_deref()).await?)
    })
    .await?;
    if ended == 0 {
        return Err(unusable("no session fits".to_owned(), "`rolecall admin session list` shows ids and people"));
    }
    match context.format {
        Format::Json => print_json(&json!({ "ended": ended }))?,
        _ => print(&format!("sessions ended: {ended}\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list_sessions(context: Context) -> Result<ExitCode, Error> {
    let sessions = with_existing_database(&context, &Progress::silent(), async |database| {
        Ok(database.store.web_sessions(None, database.store.now().await?, SESSION_IDLE).await?)
    })
    .await?;
    if context.format == Format::Json {
        let row = |it: &rolecall_store::WebSession| {
            json!({
                "id": it.id(), "person": it.subject, "role": it.role, "limits": it.visibility.limits(),
                "method": it.method, "source_ip": it.source_ip, "user_agent": it.user_agent,
                "created_at": it.created_at, "last_seen_at": it.last_seen_at, "expires_at": it.expires_at,
            })
        };
        print_json(&json!({ "sessions": sessions.iter().map(row).collect::<Vec<_>>() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    for it in &sessions {
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            out,
            "{}  {}  {}  last seen {}  from {}",
            it.id(),
            it.subject,
            it.role,
            it.last_seen_at.format("%Y-%m-%d %H:%M UTC"),
            it.source_ip.as_deref().unwrap_or("an unknown address")
        );
    }
    print(if sessions.is_empty() { "no sessions\n" } else { &out })?;
    Ok(ExitCode::SUCCESS)
}

/// `admin role`
///
/// # Errors
/// What stopped it.
pub async fn role(context: Context, what: Role) -> Result<ExitCode, Error> {
    match what {
        Role::Grant { person, role, limits, days } => {
            let access = PersonAccess {
                person,
                role: role.to_string(),
                visibility: Visibility::of(limits.into_iter().collect()),
            };
            let until = with_existing_database(&context, &Progress::silent(), async |database| {
                let now = database.store.now().await?;
                let until = now + TimeDelta::days(days.into());
                database.store.grant_role(&access, now, until).await?;
                Ok(until)
            })
            .await?;
            match context.format {
                Format::Json => print_json(&json!({
                    "person": access.person, "role": access.role, "limits": access.visibility.limits(),
                    "expires_at": until,
                }))?,
                _ => print(&format!(
                    "{} has the role {} until {}, from the next sign-in on\n",
                    access.person,
                    access.role,
                    until.format("%Y-%m-%d %H:%M UTC")
                ))?,
            }
        }
        Role::List => {
            let grants = with_existing_database(&context, &Progress::silent(), async |database| {
                Ok(database.store.role_grants(None, database.store.now().await?).await?)
            })
            .await?;
            if context.format == Format::Json {
                let row = |it: &rolecall_store::RoleGrant| {
                    json!({
                        "person": it.access.person, "role": it.access.role, "limits": it.access.visibility.limits(),
                        "granted_by": it.granted_by, "granted_at": it.granted_at, "expires_at": it.expires_at,
                    })
                };
                print_json(&json!({ "roles": grants.iter().map(row).collect::<Vec<_>>() }))?;
            } else {
                let mut out = String::new();
                for it in &grants {
                    // Writing to a string cannot fail.
                    let _infallible = writeln!(
                        out,
                        "{}  {}  {}  until {}  by {}",
                        it.access.person,
                        it.access.role,
                        limits_words(&it.access.visibility),
                        it.expires_at.format("%Y-%m-%d %H:%M UTC"),
                        it.granted_by
                    );
                }
                print(if grants.is_empty() { "no roles were given\n" } else { &out })?;
            }
        }
        Role::Revoke { person } => {
            let had = with_existing_database(&context, &Progress::silent(), async |database| {
                Ok(database.store.revoke_role(&person).await?)
            })
            .await?;
            if !had {
                return Err(unusable(
                    format!("nobody gave `{person}` a role"),
                    "`rolecall admin role list` shows the people; groups have their roles in `[[auth.role]]`",
                ));
            }
            match context.format {
                Format::Json => print_json(&json!({ "revoked": person }))?,
                _ => print(&format!("{person} has no role any more that an operator gave\n"))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `admin service-account`
///
/// # Errors
/// What stopped it.
pub async fn service_account(context: Context, what: Account) -> Result<ExitCode, Error> {
    match what {
        Account::Create { name, owner, description } => {
            let is_new = with_existing_database(&context, &Progress::silent(), async |database| {
                let now = database.store.now().await?;
                Ok(database.store.create_service_account(&name, &owner, &description, now).await?)
            })
            .await?;
            if !is_new {
                return Err(unusable(format!("there is a service account `{name}` already"), "take another name"));
            }
            match context.format {
                Format::Json => print_json(&json!({ "name": name, "owner": owner, "description": description }))?,
                _ => print(&format!("service account {name} is there\n"))?,
            }
        }
        Account::List => {
            let accounts = with_existing_database(&context, &Progress::silent(), async |database| {
                Ok(database.store.service_accounts(database.store.now().await?).await?)
            })
            .await?;
            list_accounts(&context, &accounts)?;
        }
        Account::Disable { name } => {
            let revoked = with_existing_database(&context, &Progress::silent(), async |database| {
                Ok(database.store.disable_service_account(&name, database.store.now().await?).await?)
            })
            .await?;
            let Some(revoked) = revoked else {
                return Err(unusable(
                    format!("no service account `{name}` is enabled"),
                    "`rolecall admin service-account list` shows the names",
                ));
            };
            match context.format {
                Format::Json => print_json(&json!({ "disabled": name, "tokens_revoked": revoked }))?,
                _ => print(&format!("{name} is disabled; tokens revoked: {revoked}\n"))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list_accounts(context: &Context, accounts: &[ServiceAccount]) -> Result<(), Error> {
    if context.format == Format::Json {
        let row = |it: &ServiceAccount| {
            json!({
                "name": it.name, "owner": it.owner, "description": it.description, "created_by": it.created_by,
                "created_at": it.created_at, "disabled_at": it.disabled_at, "valid_tokens": it.valid_tokens,
            })
        };
        return print_json(&json!({ "service_accounts": accounts.iter().map(row).collect::<Vec<_>>() }));
    }
    let mut out = String::new();
    for it in accounts {
        let state = if it.disabled_at.is_some() { "disabled" } else { "enabled" };
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            out,
            "{}  {state}  valid tokens: {}  owner {}  {}",
            it.name, it.valid_tokens, it.owner, it.description
        );
    }
    print(if accounts.is_empty() { "no service accounts\n" } else { &out })
}

/// `admin audit verify`
///
/// # Errors
/// What stopped it. A log that is not as it was written is exit code 1.
pub async fn audit(context: Context, what: Audit) -> Result<ExitCode, Error> {
    let Audit::Verify { head } = what;
    let verified = with_existing_database(&context, &Progress::silent(), async |database| {
        Ok(database.store.verify_audit_log(head.as_ref()).await?)
    })
    .await?;
    match verified {
        AuditVerified::Complete(head) => {
            match context.format {
                Format::Json => print_json(&json!({ "whole": true, "entries": head.seq, "head": head.hash }))?,
                _ => print(&format!("the audit log is whole: {} entries, head {}\n", head.seq, head.hash))?,
            }
            Ok(ExitCode::SUCCESS)
        }
        AuditVerified::Broken { seq, why } => {
            match context.format {
                Format::Json => print_json(&json!({ "whole": false, "entry": seq, "why": why }))?,
                _ => print(&format!("the audit log was changed: entry {seq}: {why}\n"))?,
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
