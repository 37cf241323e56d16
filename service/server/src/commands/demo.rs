//! `demo`: everything on one machine, with nothing to configure: a private PostgreSQL, a stand-in
//! for AWS with an invented estate, a real audit of it, and the dashboard.
//!
//! It keeps to a folder of its own, so that the invented estate never meets a real one.

use super::scan::{look, settings};
use super::{Context, on_signal, print, print_summary, serve};
use crate::app::App;
use crate::cli::Format;
use crate::config::{AwsConfig, Config};
use crate::database::{Database, Schema};
use crate::error::Error;
use crate::pipeline::Audit;
use crate::place;
use crate::progress::Progress;
use crate::rules::Rules;
use chrono::TimeDelta;
use rolecall_collect::Hub;
use rolecall_sandbox::{Faults, HUB_ACCESS_KEY, Options, SECRET, Sandbox};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs the command.
///
/// # Errors
/// What stopped it.
pub async fn run(context: Context, once: bool, bind: Option<SocketAddr>) -> Result<ExitCode, Error> {
    if context.database_url.is_some() {
        return Err(Error::Usage {
            what: "the demo's invented estate is kept out of databases that may hold a real one".to_owned(),
            remedy: "run it without --database-url and without DATABASE_URL in the environment".to_owned(),
        });
    }
    // What a configuration says of real accounts is not for an invented estate; rules are.
    let policies = context.config.policies.clone();
    let context = Context {
        config: Config { aws: demo_aws(), policies, ..Config::default() },
        data_dir: Some(place::data_dir(context.data_dir).join("demo")),
        ..context
    };
    let rules = Arc::new(Rules::load(context.config.policies.dir.as_deref())?);
    let listener = match once {
        true => None,
        false => {
            let addr = bind.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            Some(serve::listen(addr, &context).await?)
        }
    };
    let progress = Progress::stderr();
    let cancel = on_signal();
    let (database, _) = Database::open(&context, Schema::Check, &progress).await?;
    let result = async {
        progress.step("Starting a stand-in for AWS with an invented estate");
        let sandbox = sandbox().await?;
        let hub = hub(&sandbox)?;
        let app = App::new(database.store.clone(), rules, context.config.clone(), hub, true).await?;
        audit(&app, &context, &progress, &cancel).await?;
        if let Some(listener) = listener {
            serve::until_stopped(app, Some(listener), context.format, cancel).await?;
        }
        sandbox.stop().await;
        Ok(())
    }
    .await;
    progress.done();
    database.close().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn audit(app: &App, context: &Context, progress: &Progress, cancel: &CancellationToken) -> Result<(), Error> {
    let aws = &context.config.aws;
    let audit = Audit {
        store: app.store.clone(),
        rules: app.rules.clone(),
        kind: "demo",
        trigger: "command line".to_owned(),
        window: TimeDelta::days(aws.trail_lookback_days.into()),
        figures: false,
        progress: progress.clone(),
        cancel: cancel.clone(),
    };
    let summary =
        audit.run(|run, sender| look(settings(aws, app.hub.clone(), Vec::new()), run, sender, progress)).await?;
    print_summary(context.format, &summary)?;
    if context.format == Format::Text { print("\n") } else { Ok(()) }
}

/// The stand-in answers at once; asking it slowly would only look slow.
fn demo_aws() -> AwsConfig {
    AwsConfig { lookups_per_second: 1000, trail_lookback_days: 30, ..AwsConfig::default() }
}

async fn sandbox() -> Result<Sandbox, Error> {
    let options = Options { lookups_per_second: None, ..Options::default() };
    Ok(Sandbox::start_with(rolecall_sandbox::demo::estate(chrono::Utc::now()), Faults::none(), options).await?)
}

fn hub(sandbox: &Sandbox) -> Result<Hub, Error> {
    let region = "us-east-1".parse().map_err(|error: rolecall_audit::id::IdError| Error::Usage {
        what: error.to_string(),
        remedy: "report this".to_owned(),
    })?;
    Ok(Hub::keys(sandbox.endpoint(), region, HUB_ACCESS_KEY, SECRET))
}
