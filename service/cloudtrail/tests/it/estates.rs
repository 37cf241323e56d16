//! The trails of whole estates.

use crate::fixture::{at, seen};
use crate::shared;
use rolecall_cloudtrail::{AggregatedBatch, EventAggregator, History, Limits, Stats, attribute_sessions};
use rolecall_estate::{Association, Session, SessionAttribution};
use rolecall_import::{InputFile, read_files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

fn harvest(root: &Path, skip: &[&str]) -> AggregatedBatch {
    let mut paths = Vec::new();
    files(root, &mut paths);
    let mut aggregator = EventAggregator::new(Limits { latest: Some(at("2026-11-23T00:00:00Z")), ..Limits::default() });
    for path in paths.iter().filter(|path| !skip.iter().any(|name| path.ends_with(name))) {
        aggregator.read(&path.display().to_string(), &std::fs::read(path).unwrap());
    }
    aggregator.finish_batch(&BTreeMap::new())
}

/// Counts of ties, with a session of a pod that is neither tied nor explained as a failure.
fn figures(sessions: &[Session], attributions: &[SessionAttribution]) -> Figures {
    let mut figures = BTreeMap::new();
    for (session, attribution) in sessions.iter().zip(attributions) {
        assert!(
            attribution.association.is_some() || attribution.reason.as_ref().is_some_and(|why| !why.is_empty()),
            "{session:?} {attribution:?}"
        );
        *figures.entry((session.kind.as_str(), attribution.method.as_str())).or_insert(0) += 1;
    }
    figures
}

/// The files of an invented company, with the trail of fourteen days; gone when it is dropped.
struct Demo(PathBuf);

impl Demo {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rolecall-cloudtrail-{name}-{}", std::process::id()));
        rolecall_sandbox::demo::estate("2026-11-23T06:00:00Z".parse().unwrap()).to_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // What stays in a folder for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Figures = BTreeMap<(&'static str, &'static str), usize>;

/// The associations and the trail of an estate's folder: counts of sessions by kind and attribution, of their
/// reasons, and what the trail held.
fn attributed(root: &Path) -> (usize, Figures, BTreeMap<String, usize>, Stats) {
    let mut paths = Vec::new();
    files(&root.join("eks"), &mut paths);
    let input: Vec<InputFile> = paths
        .into_iter()
        .map(|path| InputFile {
            path: path.strip_prefix(root).unwrap().to_string_lossy().into_owned(),
            bytes: std::fs::read(&path).unwrap(),
        })
        .collect();
    let associations: Vec<Association> =
        read_files(&input).observations.into_iter().flat_map(|observation| observation.snapshot.associations).collect();
    let batch = harvest(&root.join("trail"), &[]);
    let history = History::new(associations.iter().map(seen).collect());
    let attributions = attribute_sessions(&batch.sessions, &history, &|_| None);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (session, attribution) in batch.sessions.iter().zip(&attributions) {
        if let Some(reason) = &attribution.reason {
            *reasons.entry(format!("{}: {reason}", session.kind.as_str())).or_insert(0) += 1;
        }
    }
    (associations.len(), figures(&batch.sessions, &attributions), reasons, batch.stats)
}

#[test]
fn every_session_of_an_estate_is_attributed_or_says_why() {
    let demo = Demo::new("attributed");
    let (associations, figures, reasons, stats) = attributed(&demo.0);
    assert_eq!((associations, stats.malformed, &stats.problems), (51, 0, &BTreeMap::new()));
    assert_eq!(
        figures,
        [
            (("agent_request", "none"), 644),
            (("assume_role", "chain"), 14),
            (("assume_role", "name"), 7),
            (("assume_role", "none"), 19),
            (("pod_identity", "name"), 28),
            (("pod_identity", "tags"), 630),
            (("pod_identity_target", "chain"), 14),
            (("pod_identity_target", "name"), 28),
            (("pod_identity_target", "tags"), 14),
            (("service", "none"), 84),
            (("web_identity", "none"), 84),
        ]
        .into()
    );
    assert_eq!(reasons.get("pod_identity: no association of its service account is known"), Some(&14));

    let Some(root) = shared("estate-small") else { return };
    let (associations, figures, reasons, stats) = attributed(&root);
    assert_eq!(associations, 42);
    assert_eq!((stats.events, stats.malformed, &stats.problems), (8058, 0, &BTreeMap::new()));
    assert_eq!(
        figures,
        [
            (("agent_request", "none"), 245),
            (("assume_role", "access_key"), 6),
            (("assume_role", "chain"), 6),
            (("pod_identity", "name"), 28),
            (("pod_identity", "tags"), 207),
            (("pod_identity_target", "tags"), 95),
            (("service", "none"), 137),
        ]
        .into()
    );
    assert_eq!(reasons.get("pod_identity: no association of its service account is known"), Some(&3));
    assert_eq!((stats.calls, stats.refused, &stats.unmapped), (7647, 16, &BTreeMap::new()));
}

#[test]
fn records_of_many_kinds_give_uses_and_no_problem() {
    let demo = Demo::new("records");
    let own = harvest(&demo.0.join("trail"), &[]).stats;
    assert_eq!((own.events, own.malformed), (1601, 0));

    let Some(root) = shared("cloudtrail") else { return };
    // These two hold API answers and names, not records.
    let settled = harvest(&root, &["api-samples.json", "session-names.json"]);
    assert_eq!((settled.stats.events, settled.stats.malformed), (314, 0));
}
