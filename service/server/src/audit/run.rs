//! The one walk: look, remember, judge, save.
//!
//! Every command and every scheduled audit goes this way; they differ only in who looks. Knows the
//! order of the steps and what a reader may see between them. Refuses to know where observations
//! come from, what a rule says and how anything is stored.
//!
//! What is seen streams into one transaction. A process that ends before its commit leaves the
//! snapshot before; one that ends after it leaves the new snapshot with the findings of the one
//! before. What is kept is owed a judgement, in the same transaction; whichever audit judges next settles
//! what was owed before it loaded what it judges, with its findings.

use crate::audit::abort;
use crate::audit::attribute::attribute_due_sessions;
use crate::audit::baselines;
use crate::audit::declared;
use crate::audit::ingested::{Ingested, READ_TRAIL, set_aside};
use crate::audit::load::{Judging, load};
use crate::audit::rules::Rules;
use crate::audit::summary::{BySeverity, DeclaredFigures, Seen, Summary, TrailFigures, Unseen};
use crate::config::{BaselinesConfig, DeclaredConfig};
use crate::error::{Error, chain};
use crate::progress::Progress;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rolecall_audit::cancel::{Cancel, Cancelled};
use rolecall_audit::drift::OpenChange;
use rolecall_audit::evaluate::RuleTally;
use rolecall_audit::evaluate::evaluate_until;
use rolecall_audit::finding::finding_owners;
use rolecall_audit::finding::{FindingAction, KnownFinding, reconcile};
use rolecall_audit::owner::{Owner, OwnerChanges, Owners, association_owners};
use rolecall_estate::assumption::Assumption;
use rolecall_estate::coverage::{Coverage, Gap, Scope, ScopeKind};
use rolecall_estate::{AssociationKey, Estate, Observation, Snapshot};
use rolecall_iam::AccountId;
use rolecall_rules::Outcome;
use rolecall_store::{
    Damage, DoneJudgement, NewRun, Owed, PassedChanges, RunId, RunOutcome, Store, Suspect, Unit, UnitKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A run counts as dead when it has not shown life for this long.
const LEASE: Duration = Duration::from_secs(60);
const RENEW: Duration = Duration::from_secs(20);
/// Observations waiting to be stored: memory is bounded by this many accounts.
const WAITING: usize = 2;
/// So many files that were passed over are kept by name with the run.
const FILES_KEPT: usize = 1_000;
/// The source of attempts at judging.
const JUDGING: &str = "scan";
/// The unit of all accounts that are judged together.
pub(crate) const EVERY_ACCOUNT: &str = "all accounts";
/// How many of the newest runs are looked through for one that overtook us.
const RECENT: u32 = 20;
/// A transaction that approves a change may have begun so long before changes were loaded, and end later.
const MEANWHILE: TimeDelta = TimeDelta::minutes(1);

/// What an audit needs, whoever looks.
#[derive(Clone)]
pub struct Audit {
    /// Where it is remembered.
    pub store: Store,
    /// By what it is judged.
    pub rules: Arc<Rules>,
    /// Such as `scan`.
    pub kind: &'static str,
    /// Who or what began it.
    pub trigger: String,
    /// AssumeRole events this far back are judged; older ones too, if this audit brought them.
    pub window: TimeDelta,
    /// What happened longer ago is not kept: findings about it end.
    pub kept: Duration,
    /// What is stated where nobody provided it.
    pub assumed: BTreeSet<Assumption>,
    /// Where infrastructure code is.
    pub declared: DeclaredConfig,
    /// Where files of baselines are, and whose signatures count.
    pub baselines: BaselinesConfig,
    /// Whether the summary holds figures of the trail.
    pub figures: bool,
    /// Who watches.
    pub progress: Progress,
    /// Ends the audit early, with nothing half-written.
    pub cancel: CancellationToken,
}

/// What the one who looked says besides the observations.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Calls made to AWS.
    pub api_calls: u64,
    /// What trails told, where any were read. It is stored already: each event counts once whatever
    /// becomes of this audit.
    pub trails: Option<Ingested>,
    /// Since when events were asked for wherever there are clusters; `None` where nobody knows what the
    /// source leaves out, as with files. What AWS refused of it stands in the coverage.
    pub read_since: Option<DateTime<Utc>>,
    /// The newest date in the files that were read; `None` where it was AWS that answered. The window
    /// of sessions ends there.
    pub as_of: Option<DateTime<Utc>>,
    /// Files of folders that hold nothing that is read, by their paths.
    pub passed_over: Vec<String>,
    /// What audits before owed and the observations tell.
    pub owed: Vec<Uuid>,
}

impl Audit {
    /// Runs the walk. `look` sends one observation for each account, or part of one.
    ///
    /// # Errors
    /// What stopped it. The run is then kept as failed, the snapshot before stays.
    pub async fn run<F, L>(self, collect: L) -> Result<Summary, Error>
    where
        L: FnOnce(RunId, mpsc::Sender<Observation>) -> F,
        F: Future<Output = Result<Collected, Error>>,
    {
        let (started, begun) = (self.store.now().await?, Instant::now());
        let new = NewRun { kind: self.kind.to_owned(), trigger: self.trigger.clone(), now: started, lease: LEASE };
        let run = self.store.begin_run(&new).await?;
        tracing::info!(run.id = %run, run.kind = self.kind, run.trigger = %self.trigger, "the audit begins");
        abort::point("run begun");
        let owed = self.store.owed().await?;
        let result = tokio::select! {
            result = Box::pin(self.walk(run, started, begun, collect)) => result,
            lost = self.keep_alive(run) => Err(lost),
            () = self.cancel.cancelled() => Err(Error::Interrupted),
        };
        self.progress.done();
        let result = match result {
            Err(error) => Err(self.with_what_is_kept(error, &owed).await),
            done => done,
        };
        let outcome = match &result {
            Ok(summary) => RunOutcome::Done(serde_json::to_value(summary).unwrap_or_default()),
            Err(error) => RunOutcome::Failed(chain(error), serde_json::Value::Null),
        };
        let finished = self.store.finish_run(run, &outcome).await;
        match (result, finished) {
            (Ok(summary), Ok(())) => {
                let (findings, gaps) = (summary.findings.total(), summary.gaps);
                tracing::info!(run.id = %run, findings, gaps, seconds = summary.seconds, "the audit is done");
                Ok(summary)
            }
            (Ok(_), Err(error)) => Err(error.into()),
            (Err(error), finished) => {
                if let Err(unwritten) = finished {
                    tracing::warn!(run.id = %run, error = chain(&unwritten), "the run's end could not be noted");
                }
                Err(error)
            }
        }
    }

    /// Says with an error what becomes of what was read before it.
    async fn with_what_is_kept(&self, error: Error, before: &[Owed]) -> Error {
        match self.store.owed().await {
            Ok(owed) => error.ended(owed.iter().any(|debt| before.iter().all(|known| known.id != debt.id))),
            // Nobody knows; the error says enough.
            Err(_) => error,
        }
    }

    async fn walk<F, L>(&self, run: RunId, started: DateTime<Utc>, begun: Instant, collect: L) -> Result<Summary, Error>
    where
        L: FnOnce(RunId, mpsc::Sender<Observation>) -> F,
        F: Future<Output = Result<Collected, Error>>,
    {
        let mut writer = self.store.snapshot(run).await?;
        let (sender, mut observations) = mpsc::channel(WAITING);
        let mut seen = Seen::default();
        let mut since = started - self.window;
        let mut sessions: BTreeMap<Scope, BTreeSet<Option<NaiveDate>>> = BTreeMap::new();
        let remember = async {
            while let Some(observation) = observations.recv().await {
                seen.count(&observation);
                for (scope, gaps) in observation.coverage.scopes() {
                    if scope.kind == ScopeKind::Sessions {
                        sessions.entry(scope.clone()).or_default().extend(gaps.iter().map(|gap| gap.day));
                    }
                }
                since = observation.sessions.iter().map(|session| session.at).fold(since, DateTime::min);
                writer.save(&observation).await?;
            }
            Ok::<_, Error>(writer)
        };
        // Whichever fails first ends the other: a snapshot that nobody fills, or that cannot be
        // written, is dropped, and with it everything that was to be in it.
        let (collected, mut writer) = tokio::try_join!(collect(run, sender), remember)?;
        let trails = collected.trails.unwrap_or_default();
        since = since.min(collected.as_of.map_or(since, |as_of| as_of - self.window));
        since = since.min(trails.oldest.unwrap_or(since));
        let told: Vec<Uuid> = collected.owed.iter().chain(&trails.owed).copied().collect();
        // A damaged file lacks events of its day, whichever run it was that read it.
        let damage = self.store.trail_damage(since.date_naive()).await?;
        let lacking = Observation::from(Snapshot { coverage: lacking(damage, &sessions), ..Snapshot::default() });
        if lacking.coverage.gaps().next().is_some() {
            writer.save(&lacking).await?;
        }
        writer.owe(since).await?;
        abort::point("snapshot written");
        let written = writer.take_written();
        let counts = writer.commit().await?;
        abort::point("snapshot kept");
        // A scan and a trail tell of the same sessions: added up they would be counted twice.
        if seen.sessions == 0 {
            seen.sessions = trails.stats.sessions.values().sum::<u64>();
        }

        self.progress.step("Attributing sessions to pods");
        attribute_due_sessions(&self.store).await?;
        abort::point("sessions attributed");
        // Rules judge changes, too.
        self.progress.step("Comparing with the scan before");
        let shown = super::drift::work_out(&self.store).await?;
        // Once it is known what scans show: what was made and undone between them.
        let changes_kept = shown + super::replay::work_out(&self.store).await?;
        abort::point("changes kept");
        self.progress.step("Evaluating rules");
        // Before what is judged is loaded: what is owed later may not be in it.
        let owed = self.store.owed().await?;
        since = owed.iter().filter_map(|debt| debt.since).fold(since, DateTime::min);
        let done = DoneJudgement {
            judged_since: since,
            owed: owed.into_iter().map(|debt| debt.id).collect(),
            reported: told,
            passed: PassedChanges::default(),
            owners: OwnerChanges::default(),
        };
        let judging = Judging {
            since,
            read_since: collected.read_since,
            now: started,
            kept: self.kept,
            assumed: self.assumed.clone(),
        };
        let mut estate = load(&self.store, &judging, written).await?;
        declared::renew(&self.store, run, &self.declared, &mut estate).await?;
        let declared = estate.declared.clone();
        baselines::renew(&self.store, &self.baselines).await?;
        let estate = Arc::new(estate);
        baselines::compare_and_approve(&self.store, estate.clone(), &[]).await?;
        let estate = Arc::unwrap_or_clone(estate);
        let changes_at = self.store.now().await?;
        let changes = super::changes::open(&self.store, &self.rules, changes_at).await?;
        self.store.note_assumed(run, &self.assumed).await?;
        let known = Known {
            findings: self.store.known_findings().await?,
            association_owners: self.store.association_owners().await?,
        };
        abort::point("estate loaded");
        let mut judged = self.judge(run, estate, &changes, known, started).await?;
        let done = DoneJudgement {
            passed: PassedChanges { loaded_at: Some(changes_at), ..std::mem::take(&mut judged.passed) },
            owners: std::mem::take(&mut judged.owners),
            ..done
        };
        abort::point("judged");
        // Fenced: a run that was given up or overtaken while it was judging has nothing to say any more.
        self.store.renew_run(run, LEASE).await?;
        if self.store.runs(None, RECENT).await?.iter().any(|other| other.id > run && other.snapshot_at.is_some()) {
            return Err(Error::Overtaken);
        }
        let applied = self.store.apply(run, &judged.actions, &judged.tallies, &done, started).await?;
        abort::point("findings kept");
        // What was approved while it was judged would be open again.
        if self.store.approved_since(changes_at - MEANWHILE).await? {
            super::changes::judge_again(&self.store, &self.rules, &self.assumed).await?;
        }

        let mut findings = BySeverity::default();
        for (severity, open) in self.store.overview().await?.open {
            findings.add(severity, open);
        }
        Ok(Summary {
            run: run.0,
            seen,
            documents_written: counts.documents_written,
            resources_changed: counts.resources_changed,
            changes: changes_kept,
            sessions_written: counts.sessions_written + trails.sessions_written,
            rows_written: counts.documents_written
                + counts.resources_opened
                + counts.sessions_written
                + trails.sessions_written
                + trails.uses_written
                + trails.changes_written,
            trail: if self.figures {
                Some(TrailFigures::new(&trails, self.store.session_attribution_counts().await?))
            } else {
                None
            },
            api_calls: collected.api_calls,
            findings,
            findings_new: applied.opened + applied.reopened,
            findings_resolved: applied.resolved,
            findings_stale: applied.stale,
            unknown: judged.unknown,
            assumed: self.assumed.clone(),
            rest_on_assumptions: judged.rest_on_assumptions,
            could_be_assumed: judged.could_be_assumed,
            declared: declared.as_deref().map(DeclaredFigures::from),
            gaps: u64::try_from(judged.unseen.len()).unwrap_or(u64::MAX),
            unseen: judged.unseen,
            set_aside: self.store.set_aside().await?,
            started_at: started,
            as_of: collected.as_of,
            passed_over: u64::try_from(collected.passed_over.len()).unwrap_or(u64::MAX),
            passed_over_files: collected.passed_over.into_iter().take(FILES_KEPT).collect(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Judges all accounts but those that are set aside. What a process died at is first judged by itself.
    async fn judge(
        &self,
        run: RunId,
        mut estate: Estate,
        changes: &[Arc<OpenChange>],
        known: Known,
        started: DateTime<Utc>,
    ) -> Result<Judged, Error> {
        let attempts = self.store.attempts(run, UnitKind::Judging, JUDGING);
        let accounts: BTreeSet<AccountId> = estate.accounts.iter().map(|account| account.id).collect();
        let mut units: Vec<Unit> = accounts.iter().map(|account| Unit::named(account.to_string())).collect();
        units.push(Unit::named(EVERY_ACCOUNT));
        let _life = self.store.live(run).await?;
        let suspects = attempts.suspects(&units).await?;
        if let Some(Suspect::SetAside { deaths }) = suspects.get(EVERY_ACCOUNT) {
            return Err(Error::JudgingSetAside { deaths: *deaths });
        }
        let deadly = |account: &AccountId| match suspects.get(&account.to_string()) {
            Some(Suspect::SetAside { deaths }) => Some((*account, set_aside(*deaths))),
            _ => None,
        };
        let aside: BTreeMap<AccountId, String> = accounts.iter().filter_map(deadly).collect();
        estate = estate.without(&aside);
        let changes: Vec<Arc<OpenChange>> =
            changes.iter().filter(|open| !aside.contains_key(&open.change.account_id)).cloned().collect();
        for account in accounts.iter().filter(|account| !aside.contains_key(account)) {
            if !suspects.contains_key(&account.to_string()) {
                continue;
            }
            let unit = [Unit::named(account.to_string())];
            attempts.begin(&unit).await?;
            let others = accounts.iter().filter(|other| *other != account);
            let alone = estate.without(&others.map(|other| (*other, String::new())).collect());
            abort::within("judging", &account.to_string());
            let own = changes.iter().filter(|open| open.change.account_id == *account).cloned().collect();
            judge(alone, own, Known::default(), self.rules.clone(), started).await?;
            attempts.done(&unit).await?;
        }
        units.retain(|unit| unit.name.parse().map_or(true, |account| !aside.contains_key(&account)));
        attempts.begin(&units).await?;
        units.iter().for_each(|unit| abort::within("judging", &unit.name));
        let judged = judge(estate, changes, known, self.rules.clone(), started).await?;
        attempts.done(&units).await?;
        Ok(judged)
    }

    /// Shows life until the run is taken from us.
    async fn keep_alive(&self, run: RunId) -> Error {
        let mut until = Instant::now() + LEASE;
        loop {
            tokio::time::sleep(RENEW).await;
            let asked = Instant::now();
            match tokio::time::timeout_at(until, self.store.renew_run(run, LEASE)).await {
                Ok(Ok(())) => until = asked + LEASE,
                Ok(Err(error @ rolecall_store::Error::NoRun(_))) => return error.into(),
                // The lease is three times as long as this step: the next one may get through.
                Ok(Err(error)) => {
                    tracing::warn!(run.id = %run, error = chain(&error), "the run's lease was not renewed");
                }
                // By now others may take the run for dead.
                Err(_) => return rolecall_store::Error::NoRun(run).into(),
            }
        }
    }
}

/// Gaps of sessions that were seen completely but for files that an earlier run could not read. `sessions`: of
/// what days each scope of this run has gaps already; `None`: of all.
fn lacking(damage: Vec<Damage>, sessions: &BTreeMap<Scope, BTreeSet<Option<NaiveDate>>>) -> Coverage {
    let mut coverage = Coverage::default();
    for damage in damage {
        let scope = Scope::regional(damage.account_id, ScopeKind::Sessions, damage.region);
        let day = Some(damage.day).filter(|_| damage.lies_there);
        if sessions.get(&scope).is_some_and(|told| !told.contains(&None) && !told.contains(&day)) {
            let detail = format!("{}: {}", damage.location, damage.detail);
            coverage.gap(Gap { scope, action: READ_TRAIL.to_owned(), reason: damage.reason, detail, day });
        }
    }
    coverage
}

/// What is kept before an audit.
#[derive(Default)]
struct Known {
    findings: Vec<KnownFinding>,
    association_owners: BTreeMap<AssociationKey, Owner>,
}

struct Judged {
    actions: Vec<FindingAction>,
    passed: PassedChanges,
    owners: OwnerChanges,
    tallies: Vec<RuleTally>,
    unknown: u64,
    rest_on_assumptions: u64,
    could_be_assumed: BTreeMap<Assumption, u64>,
    unseen: Vec<Unseen>,
}

/// Pure, and long enough on a large estate to be kept off the threads that serve requests. Ends soon after
/// nobody waits for it any more: the process waits for such threads before it ends.
async fn judge(
    estate: Estate,
    changes: Vec<Arc<OpenChange>>,
    known: Known,
    rules: Arc<Rules>,
    now: DateTime<Utc>,
) -> Result<Judged, Error> {
    let cancel = Cancel::default();
    let _until_dropped = cancel.on_drop();
    let judging = tokio::task::spawn_blocking(move || {
        let evaluation = evaluate_until(&estate, &changes, &rules.set, now, &cancel)?;
        let actions = reconcile(&known.findings, &evaluation, &rules.set, &estate);
        let owners = Owners::new(&rules.ownership, &estate);
        let (associations, gone) = association_owners(&known.association_owners, &owners);
        let findings = finding_owners(&known.findings, &actions, &evaluation.reach, &owners);
        let owners = OwnerChanges { findings, associations, gone };
        let unknown =
            evaluation.verdicts.iter().filter(|verdict| matches!(verdict.outcome, Outcome::Unknown { .. })).count();
        let passed = super::changes::passed(&changes, &evaluation, &rules, now);
        let rest_on_assumptions = evaluation.tallies.iter().map(|tally| tally.assumed).sum();
        let could_be_assumed =
            evaluation.could_be_assumed.iter().map(|(it, number)| (*it, u64::from(*number))).collect();
        let tallies = evaluation.tallies;
        let mut unseen: Vec<Unseen> = estate.coverage.gaps().map(Unseen::from).collect();
        unseen.sort();
        let unknown = u64::try_from(unknown).unwrap_or(u64::MAX);
        Ok(Judged { actions, passed, owners, tallies, unknown, rest_on_assumptions, could_be_assumed, unseen })
    });
    // Only whoever waits here lets it end early, by not waiting.
    judging.await.map_err(Error::Judging)?.map_err(|Cancelled| Error::Interrupted)
}
