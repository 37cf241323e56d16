//! `demo`: everything on one machine, with nothing to configure: a private PostgreSQL, a stand-in
//! for AWS with an invented estate, real audits of it, and the dashboard.
//!
//! In an empty database the twelve days before are told first: on each the estate is scanned as it was
//! then, so that trend, history and changes are there at first sight.
//!
//! It keeps to a folder of its own, so that the invented estate never meets a real one.

use super::Format;
use super::{Context, on_signal, print, print_summary, serve};
use crate::app::App;
use crate::audit::Summary;
use crate::audit::baselines::compare_and_approve;
use crate::audit::changes::judge_again;
use crate::audit::rules::{OWNERS, Rules};
use crate::audit::run::Audit;
use crate::audit::scan::{collect_and_read, settings};
use crate::config::{AwsConfig, Config, DeclaredConfig};
use crate::database::place;
use crate::database::{self, Database, Schema};
use crate::error::Error;
use crate::progress::Progress;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rolecall_audit::drift::Approval;
use rolecall_audit::drift::baseline::{Compared, Selection, take};
use rolecall_audit::finding::Workflow;
use rolecall_audit::finding::triage::{
    Assignee, Comment, Suppression, SuppressionReason, Triage, TriageFault, WorkflowStep,
};
use rolecall_audit::owner::Ownership;
use rolecall_collect::Hub;
use rolecall_collect::trails::{InBucket, Limits, TrailConfig, TrailKind};
use rolecall_estate::id::{IdError, Region};
use rolecall_iam::AccountId;
use rolecall_rules::{OwnerRules, SourceFile};
use rolecall_sandbox::demo::{Past, TrailBucket};
use rolecall_sandbox::{Estate, Faults, HUB_ACCESS_KEY, Options, SECRET, Sandbox, demo};
use rolecall_store::{
    Approved, ChangeFilter, FindingFilter, FindingSort, NewBaseline, Run, RunState, Store, TriagedBy,
};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
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
    let data_dir = place::data_dir(context.database.data_dir).join("demo");
    let mut context = Context {
        config: Config { aws: demo_aws(), trails: vec![demo_trail()?], policies, ..Config::default() },
        database: database::Options { data_dir: Some(data_dir.clone()), ..context.database },
        ..context
    };
    let rules = Rules::configured(&context.config)?;
    let rules = Arc::new(Rules { ownership: ownership()?, ..rules });
    let listener = match once {
        true => None,
        false => {
            let addr = bind.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            Some(serve::listen(addr, &context).await?)
        }
    };
    // Nothing is written before the port is known to be free.
    context.config.declared = demo_declared(&data_dir)?;
    write_ownership(&data_dir)?;
    let progress = Progress::stderr();
    let cancel = on_signal();
    // While the database starts.
    let now = Utc::now();
    let made = tokio::task::spawn_blocking(move || (demo::estate_and_bucket(now), demo::past(now)));
    let (database, _) = Database::open(&context.database, Schema::Check, &progress).await?;
    let result = async {
        progress.step("Starting the AWS stand-in with a generated organization");
        let ((estate, bucket), past) = made.await.map_err(Error::Judging)?;
        let sandbox = Sandbox::start_with(Estate::default(), Faults::none(), options()).await?;
        let hub = hub(&sandbox)?;
        let app = App::new(database.store.clone(), rules, context.config.clone(), hub, true).await?;
        let demo = Demo { app: &app, context: &context, sandbox: &sandbox, progress: &progress, cancel: &cancel };
        // One that was ended before its first scan of today goes on where it was.
        let runs = app.store.runs(None, RECENT).await?;
        let done: Vec<&Run> = runs.iter().filter(|run| run.state == RunState::Done).collect();
        let is_new = done.iter().all(|run| run.trigger == DAYS_BEFORE);
        if is_new {
            let told = done.iter().map(|run| run.started_at.date_naive()).max();
            demo.tell(&past, told, &bucket, now).await?;
            sandbox.serve_bucket(&past.changes);
        }
        sandbox.serve_bucket(&bucket);
        sandbox.mutate(|held| *held = estate);
        sandbox.set_clock(None);
        let summary = demo.audit(&app.store, "command line", &progress).await?;
        if is_new {
            approve(&app.store).await?;
            approve_states(&app.store).await?;
            judge_again(&app.store, &app.rules, &context.config.assume).await?;
            work_on_findings(&app.store).await?;
        }
        print_summary(context.format, &summary)?;
        if context.format == Format::Text {
            print("\n")?;
        }
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

/// The trigger of scans of the days before.
const DAYS_BEFORE: &str = "demo history";
/// So many of the newest runs tell whether today was scanned.
const RECENT: u32 = 100;

/// What the demo's audits share.
struct Demo<'d> {
    app: &'d App,
    context: &'d Context,
    sandbox: &'d Sandbox,
    progress: &'d Progress,
    cancel: &'d CancellationToken,
}

impl Demo<'_> {
    /// Scans the estate as it was on each of the days before, after the last one that is told.
    async fn tell(
        &self,
        past: &Past,
        told: Option<NaiveDate>,
        bucket: &TrailBucket,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let days: Vec<_> = past.days.iter().filter(|day| told.is_none_or(|told| day.at.date_naive() > told)).collect();
        self.progress.steps("Scanning the days before", u64::try_from(days.len()).unwrap_or(u64::MAX));
        for day in days {
            let date = day.at.date_naive();
            self.sandbox.set_clock(Some(day.at));
            self.sandbox.mutate(|held| *held = day.estate.clone());
            self.sandbox.serve_bucket(&bucket.before(date));
            self.sandbox.serve_bucket(&past.changes.before(date));
            let store = self.app.store.behind((now - day.at).to_std().unwrap_or_default());
            self.audit(&store, DAYS_BEFORE, &Progress::silent()).await?;
            self.progress.part(&date.to_string());
        }
        Ok(())
    }

    async fn audit(&self, store: &Store, trigger: &str, progress: &Progress) -> Result<Summary, Error> {
        let aws = &self.context.config.aws;
        let audit = Audit {
            store: store.clone(),
            rules: self.app.rules.clone(),
            kind: "demo",
            trigger: trigger.to_owned(),
            window: TimeDelta::days(aws.trail_lookback_days.into()),
            kept: self.context.config.retention.sessions,
            assumed: self.context.config.assume.clone(),
            declared: self.context.config.declared.clone(),
            baselines: self.context.config.baselines.clone(),
            figures: false,
            progress: progress.clone(),
            cancel: self.cancel.clone(),
        };
        let trails = &self.context.config.trails;
        let settings = settings(aws, self.app.hub.clone(), Vec::new());
        audit.run(|run, sender| collect_and_read(store, trails, settings, run, sender, progress)).await
    }
}

/// Changes that are approved: what they changed, why, where that stands, and for how many days.
const APPROVED: [(&str, &str, &str, Option<i64>); 3] = [
    ("arn:aws:iam::123456789012:policy/team-boundary", "Boundary without writes, as reviewed", "CHG-1042", None),
    (
        "444455556666/eu-west-1/payments-prod-euw1/fraud/signals",
        "Session policy for daily files only",
        "CHG-1047",
        None,
    ),
    ("arn:aws:iam::777788889999:role/payments-archive", "Until the archive's roles are split", "CHG-1061", Some(30)),
];

async fn approve(store: &Store) -> Result<(), Error> {
    let now = store.now().await?;
    for (resource, reason, ticket, days) in APPROVED {
        let until = days.map(|days| now + TimeDelta::days(days));
        let approval = Approval::new(reason, Some(ticket), until, now).map_err(|faults| Error::Usage {
            what: faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "),
            remedy: "report this".to_owned(),
        })?;
        let filter = ChangeFilter { resource: Some(resource.to_owned()), roots: true, ..ChangeFilter::default() };
        for change in store.changes(&filter, None, 1).await? {
            let approved = store.approve_change(&change.change.id, &approval, "demo").await?;
            if !matches!(approved, Approved::Done(_)) {
                tracing::warn!(resource, ticket, ?approved, "the demo's change was not approved");
            }
        }
    }
    Ok(())
}

/// What people did with findings: with the first open one of a rule.
async fn work_on_findings(store: &Store) -> Result<(), Error> {
    let now = store.now().await?;
    let said = |faults: Vec<TriageFault>| Error::Usage {
        what: faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "),
        remedy: "report this".to_owned(),
    };
    let comment = |words: &str| Comment::new(words).map(Some).map_err(|fault| said(vec![fault]));
    let assignee = |name: &str| Assignee::new(name).map(|name| Some(Some(name))).map_err(|fault| said(vec![fault]));
    let until = Some(now + TimeDelta::days(60));
    let justification = "No production data in this account; the role is split in the next quarter";
    let suppression = Suppression::new(SuppressionReason::RiskAccepted, justification, until, now).map_err(said)?;
    for (rule, asked) in [
        (
            "admin-equivalent",
            Triage {
                step: Some(WorkflowStep::Acknowledge),
                assignee: assignee("delivery team")?,
                comment: comment("The release bot gets a role of its own in the next release")?,
            },
        ),
        ("pass-role-any", Triage { step: Some(WorkflowStep::Suppress(suppression)), ..Triage::default() }),
        ("target-role-without-external-id", Triage { assignee: assignee("platform team")?, ..Triage::default() }),
    ] {
        let filter =
            FindingFilter { rules: vec![rule.to_owned()], workflow: vec![Workflow::Open], ..FindingFilter::default() };
        for row in store.findings(&filter, FindingSort::Severity, None, 1).await? {
            let by = TriagedBy { who: "demo", approver_required: false };
            let taken = store.triage_finding(&row.number.to_string(), &asked, None, by).await?;
            if let Err(why) = taken {
                tracing::warn!(rule, ?why, "the demo's finding did not take its step");
            }
        }
    }
    Ok(())
}

/// A role whose state on the first day is approved, and that was widened since.
const APPROVED_STATE: &str = "arn:aws:iam::444455556666:role/pods/settlement-uploads";

async fn approve_states(store: &Store) -> Result<(), Error> {
    let Some(first) = store.runs(None, RECENT).await?.into_iter().rfind(|run| run.state == RunState::Done) else {
        return Ok(());
    };
    let approval = Approval::new("Reviewed with the settlement team", Some("CHG-1038"), None, first.started_at);
    let Ok(approval) = approval else { return Ok(()) };
    let what = Selection { account_id: None, resource: Some(APPROVED_STATE.to_owned()) };
    let taken = take(&store.estate_at(first.id).await?, &what, &approval, "demo", first.started_at);
    let new = taken.baselines.into_iter().map(|baseline| NewBaseline {
        compared: Compared::not_yet(),
        signed_by: None,
        file: None,
        baseline,
    });
    store.keep_baselines(&new.collect::<Vec<_>>()).await?;
    let estate = store.estate_of(&BTreeSet::from([account(demo::PAYMENTS)?]), None).await?;
    compare_and_approve(store, Arc::new(estate), &[]).await?;
    Ok(())
}

fn account(id: &str) -> Result<AccountId, Error> {
    id.parse().map_err(|error: rolecall_iam::ArnError| Error::Usage {
        what: error.to_string(),
        remedy: "report this".to_owned(),
    })
}

/// The stand-in answers at once; asking it slowly would only look slow.
fn demo_aws() -> AwsConfig {
    AwsConfig { lookups_per_second: 1000, trail_lookback_days: 30, ..AwsConfig::default() }
}

/// The infrastructure code of the organisation, in files beside its database.
fn demo_declared(data_dir: &Path) -> Result<DeclaredConfig, Error> {
    let folder = data_dir.join("declared");
    let written = |path: &Path, source| Error::File { doing: "write", path: path.to_owned(), source };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&folder).map_err(|why| written(&folder, why))?;
    for (file, text) in demo::DECLARED {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|why| written(&path, why))?;
    }
    let account = Some(account(demo::COMMERCE)?);
    Ok(DeclaredConfig { paths: Some(vec![folder]), base: data_dir.to_owned(), account, region: None })
}

/// Whose things of the organisation are, beside what their tags say.
fn ownership() -> Result<Ownership, Error> {
    let file = SourceFile { path: OWNERS.to_owned(), text: demo::OWNERS.to_owned() };
    let rules = OwnerRules::load(&file, rolecall_audit::facts::schema()).map_err(Error::Rules)?;
    Ok(Ownership { rules, ..Ownership::default() })
}

/// Keeps them beside the database, where whoever serves it later finds them.
fn write_ownership(data_dir: &Path) -> Result<(), Error> {
    let path = data_dir.join(OWNERS);
    std::fs::write(&path, demo::OWNERS).map_err(|source| Error::File { doing: "write", path, source })
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

fn options() -> Options {
    Options { lookups_per_second: None, ..Options::default() }
}

fn region(code: &str) -> Result<Region, Error> {
    code.parse().map_err(|error: IdError| Error::Usage { what: error.to_string(), remedy: "report this".to_owned() })
}

fn hub(sandbox: &Sandbox) -> Result<Hub, Error> {
    Ok(Hub::keys(sandbox.endpoint(), region("us-east-1")?, HUB_ACCESS_KEY, SECRET))
}
