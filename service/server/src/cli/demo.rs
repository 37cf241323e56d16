//! `demo`: everything on one machine, with nothing to configure: a private PostgreSQL, a stand-in
//! for AWS with an invented estate, a real audit of it, and the dashboard.
//!
//! It keeps to a folder of its own, so that the invented estate never meets a real one.

use super::Format;
use super::{Context, on_signal, print, print_summary, serve};
use crate::app::App;
use crate::audit::rules::Rules;
use crate::audit::run::Audit;
use crate::audit::scan::{collect_and_read, settings};
use crate::config::{AwsConfig, Config};
use crate::database::place;
use crate::database::{self, Database, Schema};
use crate::error::Error;
use crate::progress::Progress;
use chrono::TimeDelta;
use rolecall_collect::Hub;
use rolecall_collect::trails::{InBucket, Limits, TrailConfig, TrailKind};
use rolecall_estate::id::{IdError, Region};
use rolecall_sandbox::demo::TrailBucket;
use rolecall_sandbox::{Estate, Faults, HUB_ACCESS_KEY, Options, SECRET, Sandbox, demo};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs the command.
///
/// # Errors
/// What stopped it.
pub async fn run(context: Context, once: bool, bind: Option<SocketAddr>) -> Result<ExitCode, Error> {
    if context.database.url.is_some() {
        return Err(Error::Usage {
            what: "the demo's generated organization is kept out of databases that may hold a real one".to_owned(),
            remedy: "run it without --database-url and without DATABASE_URL in the environment".to_owned(),
        });
    }
    // What a configuration says of real accounts is not for an invented estate; rules are.
    let policies = context.config.policies.clone();
    let context = Context {
        config: Config { aws: demo_aws(), trails: vec![demo_trail()?], policies, ..Config::default() },
        database: database::Options {
            data_dir: Some(place::data_dir(context.database.data_dir).join("demo")),
            ..context.database
        },
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
    // While the database starts.
    let made = tokio::task::spawn_blocking(|| demo::estate_and_bucket(chrono::Utc::now()));
    let (database, _) = Database::open(&context.database, Schema::Check, &progress).await?;
    let result = async {
        progress.step("Starting the AWS stand-in with a generated organization");
        let (estate, bucket) = made.await.map_err(Error::Judging)?;
        let sandbox = sandbox(estate, &bucket).await?;
        let hub = hub(&sandbox)?;
        let app = App::new(database.store.clone(), rules, context.config.clone(), hub, true).await?;
        audit(&app, &context, &progress, &cancel).await?;
        if let Some(listener) = listener {
            serve::until_stopped(app, Some(listener), context.format, cancel, &database).await?;
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
        kept: context.config.retention.sessions,
        assumed: context.config.assume.clone(),
        figures: false,
        progress: progress.clone(),
        cancel: cancel.clone(),
    };
    let (store, trails) = (&app.store, &context.config.trails);
    let settings = settings(aws, app.hub.clone(), Vec::new());
    let summary = audit.run(|run, sender| collect_and_read(store, trails, settings, run, sender, progress)).await?;
    print_summary(context.format, &summary)?;
    if context.format == Format::Text { print("\n") } else { Ok(()) }
}

/// The stand-in answers at once; asking it slowly would only look slow.
fn demo_aws() -> AwsConfig {
    AwsConfig { lookups_per_second: 1000, trail_lookback_days: 30, ..AwsConfig::default() }
}

/// The bucket of the organisation's trails, as `[[trails]]` would name it.
fn demo_trail() -> Result<TrailConfig, Error> {
    Ok(TrailConfig {
        id: "trail-logs".to_owned(),
        kind: TrailKind::Bucket(InBucket {
            bucket: demo::BUCKET.to_owned(),
            prefix: String::new(),
            region: Some(region(demo::BUCKET_REGION)?),
            entry: None,
            regions: BTreeSet::new(),
            lookback: TimeDelta::days(30),
            late_days: 2,
        }),
        limits: Limits::default(),
    })
}

async fn sandbox(estate: Estate, bucket: &TrailBucket) -> Result<Sandbox, Error> {
    let options = Options { lookups_per_second: None, ..Options::default() };
    let sandbox = Sandbox::start_with(estate, Faults::none(), options).await?;
    sandbox.serve_bucket(bucket);
    Ok(sandbox)
}

fn region(code: &str) -> Result<Region, Error> {
    code.parse().map_err(|error: IdError| Error::Usage { what: error.to_string(), remedy: "report this".to_owned() })
}

fn hub(sandbox: &Sandbox) -> Result<Hub, Error> {
    Ok(Hub::keys(sandbox.endpoint(), region("us-east-1")?, HUB_ACCESS_KEY, SECRET))
}
