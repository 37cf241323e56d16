//! `serve`: dashboard, API and worker, until somebody asks it to stop.

use super::{Context, Format, on_signal, print, print_json};
use crate::app::App;
use crate::audit::rules::Rules;
use crate::config::auth::{AuthMode, bind_allowed};
use crate::database::{Database, Schema};
use crate::error::{Error, chain};
use crate::http;
use crate::progress::Progress;
use crate::work::worker::Worker;
use clap::ValueEnum;
use rolecall_collect::Hub;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// For answers under way when the process is asked to stop.
pub const GRACE: Duration = Duration::from_secs(10);

/// What a serving process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Pages and API
    Web,
    /// Scheduled and requested scans
    Worker,
    /// Both
    All,
}

/// Runs the command.
///
/// # Errors
/// What keeps it from starting, or ends it before its time.
pub async fn run(context: Context, role: Role, bind: Option<SocketAddr>) -> Result<ExitCode, Error> {
    let (web, works) = (role != Role::Worker, role != Role::Web);
    if !web && bind.is_some() {
        return Err(Error::Usage {
            what: "a worker listens nowhere".to_owned(),
            remedy: "leave out --bind, or serve with --role all".to_owned(),
        });
    }
    let rules = Arc::new(Rules::configured(&context.config)?);
    // First, as it is quickly told that a port is taken.
    let listener = match web {
        true => Some(listen(bind.unwrap_or(context.config.server.bind), &context).await?),
        false => None,
    };
    let cancel = on_signal();
    let (database, _) = Database::open(&context.database, Schema::Check, &Progress::silent()).await?;
    let result = async {
        let app = App::new(database.store.clone(), rules, context.config.clone(), Hub::default(), works).await?;
        until_stopped(app, listener, context.format, cancel, &database).await
    }
    .await;
    database.close().await;
    result.map(|()| ExitCode::SUCCESS)
}

/// Listens where that is allowed.
pub(super) async fn listen(addr: SocketAddr, context: &Context) -> Result<TcpListener, Error> {
    bind_allowed(addr, &context.config.auth).map_err(Error::PublicBind)?;
    TcpListener::bind(addr).await.map_err(|source| Error::Bind { addr, source })
}

/// Serves and works until `cancel`, then ends in good order; earlier where the private database died
/// and does not come back.
pub(super) async fn until_stopped(
    app: App,
    listener: Option<TcpListener>,
    format: Format,
    cancel: CancellationToken,
    database: &Database,
) -> Result<(), Error> {
    let mut working = pin!(work(app, listener, format, cancel.clone()));
    tokio::select! {
        ended = working.as_mut() => ended,
        error = database.supervise() => {
            cancel.cancel();
            // What still waits for the database waits in vain.
            drop(tokio::time::timeout(GRACE, working).await);
            Err(error)
        }
    }
}

async fn work(app: App, listener: Option<TcpListener>, format: Format, cancel: CancellationToken) -> Result<(), Error> {
    let worker = if app.works { Some(Worker::start(app.clone()).await?) } else { None };
    let serving = async {
        let served = match listener {
            Some(listener) => serve(app, listener, format, cancel.clone()).await,
            None => {
                tracing::info!("the worker takes jobs");
                cancel.cancelled().await;
                Ok(())
            }
        };
        cancel.cancel();
        served
    };
    // Both at once: whoever asks the process to stop waits for the longer of the two.
    let stopping = async {
        cancel.cancelled().await;
        if let Some(worker) = worker {
            worker.stop().await;
        }
    };
    let (served, ()) = tokio::join!(serving, stopping);
    served
}

async fn serve(mut app: App, listener: TcpListener, format: Format, cancel: CancellationToken) -> Result<(), Error> {
    let addr = listener.local_addr().map_err(Error::Serve)?;
    let by_link = app.config.auth.mode != AuthMode::Oidc;
    let link = if by_link { Some(http::auth::login_url(&app, addr).await) } else { None };
    match link.unwrap_or(Err(http::auth::LoginError::NotByLink)) {
        Ok(url) if format == Format::Json => print_json(&serde_json::json!({ "url": url }))?,
        Ok(url) => print(&format!("Dashboard  {url}\n"))?,
        // Where people come in otherwise, there is no link to print.
        Err(error) => tracing::info!(reason = chain(&error), "no one-time link"),
    }
    tracing::info!(%addr, "listening");
    app.feed.stop = cancel.clone();
    let limits = http::front::Limits::of_process();
    let serving = http::front::serve(listener, http::router(app), limits, cancel.clone());
    let impatient = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = serving => {}
        // A connection that is kept open does not keep the process.
        () = impatient => {}
    }
    Ok(())
}
