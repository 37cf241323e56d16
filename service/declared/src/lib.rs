//! What infrastructure code declares: roles, managed policies, Pod Identity associations, OIDC providers.
//!
//! Reads Terraform state and plans, CloudFormation templates, eksctl's `ClusterConfig`s, and manifests of ACK and
//! Crossplane, into the terms of the estate, each with its file and line. What a file does not decide (a parameter, a
//! value that is known after apply) stays open, with the reason. What cannot be read is a problem with its
//! file, line and field, and the rest is still read. Refuses to know the file system, and what is there.

mod cloudformation;
mod eksctl;
mod kubernetes;
mod lines;
mod merge;
mod reading;
mod resource;
mod terraform;
mod tree;

pub use resource::Item;
pub use terraform::{Action, Planned};

pub use lines::Lines;
use reading::{Problems, Reading};
use resource::Found;
use rolecall_estate::FileProblem;
use rolecall_estate::declared::{Declared, Text};
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use tree::{Broken, Node};

/// A file of more bytes is not read. Terraform states of large organizations have some ten million.
pub const LARGEST: u64 = 64 * 1024 * 1024;

/// What files leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The account.
    pub account: Option<AccountId>,
    /// The region.
    pub region: Option<Region>,
    /// The partition of ARNs: `aws`. Where it is not said it follows from the region.
    pub partition: Option<String>,
}

impl Defaults {
    /// The partition of what lies in a region (AWS General Reference, "Amazon Resource Names").
    fn partition(&self, region: Option<&Region>) -> Text {
        match (&self.partition, region.or(self.region.as_ref())) {
            (Some(partition), _) => Text::known(partition.as_str()),
            (None, None) => Text::open("the partition is not known, since no region is"),
            (None, Some(region)) => Text::known(region.partition()),
        }
    }
}

/// Reads files one after the other: none is kept once it was read.
#[derive(Debug)]
pub struct Reader {
    defaults: Defaults,
    found: Vec<Found>,
    problems: Problems,
    passed_over: Vec<String>,
}

impl Reader {
    /// Before the first file.
    #[must_use]
    pub fn new(defaults: Defaults) -> Self {
        Self { defaults, found: Vec::new(), problems: Problems::default(), passed_over: Vec::new() }
    }

    /// Reads a file.
    pub fn file(&mut self, path: &str, bytes: &[u8]) {
        let Self { defaults, found, problems, passed_over } = self;
        let mut reading = Reading { file: path, defaults, found, problems };
        let Some(documents) = documents(&mut reading, bytes) else { return };
        let mut is_known = false;
        for document in documents {
            match document {
                Ok(node) => is_known |= value(&mut reading, &node, 0),
                Err(Broken { line, message }) => {
                    is_known = true;
                    reading.problem(line, "", message, "correct it; the rest is read");
                }
            }
        }
        if !is_known {
            passed_over.push(path.to_owned());
        }
    }

    /// Notes a file that is there and cannot be had.
    pub fn unread(&mut self, path: &str, why: &str) {
        self.problems.add(FileProblem {
            file: path.to_owned(),
            line: 1,
            field: String::new(),
            message: format!("it cannot be read: {why}"),
            remedy: "make it a file that can be read, or leave it out".to_owned(),
        });
    }

    /// What all of them declare.
    #[must_use]
    pub fn finish(self) -> Declared {
        let Self { defaults, found, problems, passed_over } = self;
        let (declarations, unplaced) = merge::merge(found, &defaults);
        Declared { declarations, unplaced, problems: problems.named, unnamed: problems.unnamed, passed_over }
    }
}

/// What a plan does, where the file is one (`terraform show -json PLAN`); `None` where it is none.
///
/// # Errors
/// What of it cannot be read, beside the rest.
#[must_use]
pub fn plan(path: &str, bytes: &[u8], defaults: &Defaults) -> Option<(Vec<Planned>, Vec<FileProblem>)> {
    let (mut found, mut problems) = (Vec::new(), Problems::default());
    let mut reading = Reading { file: path, defaults, found: &mut found, problems: &mut problems };
    let node = documents(&mut reading, bytes)?.into_iter().next()?.ok()?;
    if !terraform::is_plan(&node) {
        return None;
    }
    let planned = terraform::planned(&mut reading, &node);
    Some((planned, problems.named))
}

/// The documents of a file: one of JSON, or those of YAML.
fn documents(reading: &mut Reading<'_>, bytes: &[u8]) -> Option<Vec<Result<Node, Broken>>> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        reading.problem(1, "", format!("it has more than {LARGEST} bytes"), "split it");
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(_) => {
            reading.problem(1, "", "it is no text in UTF-8", "save it in UTF-8");
            return None;
        }
    };
    Some(match text.trim_start().starts_with(['{', '[']) {
        true => vec![tree::json(text)],
        false => tree::yaml(text),
    })
}

/// Reads a value of a file; `false` where nothing of it is read here.
fn value(reading: &mut Reading<'_>, node: &Node, depth: usize) -> bool {
    if terraform::is_plan(node) || terraform::is_state(node) {
        terraform::read(reading, node);
    } else if eksctl::is_config(node) {
        eksctl::read(reading, node);
    } else if let Some(format) = kubernetes::format(node) {
        kubernetes::read(reading, node, format);
    } else if cloudformation::is_template(node) {
        cloudformation::read(reading, node);
    } else if depth == 0 && node.get("kind").and_then(Node::text).is_some_and(|kind| kind.ends_with("List")) {
        // What `kubectl get -o yaml` prints.
        let items = node.get("items").map(Node::items).unwrap_or_default();
        let known: Vec<bool> = items.iter().map(|item| value(reading, item, depth + 1)).collect();
        return known.contains(&true);
    } else {
        return false;
    }
    true
}
