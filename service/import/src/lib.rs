//! Files into observations: what `import` reads instead of asking AWS.
//!
//! Knows the estate layout (`accounts.json`, `iam/<account>/…`, `eks/<account>/<region>/…`,
//! `cloudtrail/<account>/…`, `trail/AWSLogs/…`, `organizations/…`) and the same content in loose files, as the AWS CLI prints
//! it: gzipped or plain, in UTF-8 or UTF-16, one value or many, single records and lists of any of
//! them. A file is recognised by what it holds; its path only adds the account and
//! the region where the content names neither. What a file holds was seen; that it holds all there is
//! must show (see `listing`), or whoever gives it must say so. What no file
//! provides becomes a gap, so that nothing passes on it. A record that cannot be read is named, and
//! the rest is still read. Refuses to know the file system.

mod decompress;
mod draft;
mod eks;
mod iam;
mod item;
mod kind;
mod listing;
mod organizations;
mod place;
mod trails;
mod values;

pub use decompress::LARGEST;
use decompress::plain;
use draft::AccountDraft;
pub use draft::named_by_records;
use item::Fault;
pub use kind::{FileKind, holds_records};
use kind::{kind_of, unknown_kind};
use listing::{Listing, Page, Shape};
use place::{AccountRegion, Source};
pub use place::{trail_day, trail_gap, trail_place};
use rolecall_cloudtrail::ProblemKind;
pub use rolecall_cloudtrail::ReadProblem;
use rolecall_estate::Observation;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// So many problems are named; the others are only counted.
const MAX_NAMED: usize = 1_000;
/// So many bytes of what is wrong with a field are told.
const MAX_TOLD: usize = 500;

/// A file to be read.
#[derive(Debug, Clone)]
pub struct InputFile {
    /// Its path below the folder that was given, with `/` between the parts.
    pub path: String,
    /// Its bytes, gzipped or plain.
    pub bytes: Vec<u8>,
}

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// The file.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// How many records of that kind were read.
    pub records: usize,
}

/// Everything that a set of files holds.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// One for every account that a file names, by account id.
    pub observations: Vec<Observation>,
    /// Every file, in the order given.
    pub read: Vec<FileSummary>,
    /// What could not be read, or was not taken: the first thousand.
    pub problems: Vec<ReadProblem>,
    /// How many more problems there are.
    pub unnamed: u64,
}

/// What is known of files beside what is in them.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Trail files are read elsewhere, a few at a time: the sessions of these places (see
    /// [`trail_place`]) count as provided. Whoever reads them says where they are broken.
    pub trails: BTreeSet<(AccountId, Region)>,
    /// Whoever gives the files says that each listing that they hold a part of is complete. A page that
    /// is missing by its token, and a list that cannot be complete, stay gaps.
    pub complete: bool,
}

/// Reads files. Never fails: what cannot be read is among the problems, and a gap where it belongs.
#[must_use]
pub fn read_files(files: &[InputFile]) -> Import {
    read_files_given(files, &Given::default())
}

/// Reads files of which more is known than what is in them.
#[must_use]
pub fn read_files_given(files: &[InputFile], given: &Given) -> Import {
    let mut importer = Importer::new(given);
    for file in files {
        importer.file(file);
    }
    importer.finish()
}

/// Reads files one after the other: none is kept once it was read.
#[derive(Debug)]
pub struct Importer(Builder);

impl Importer {
    /// Before the first file.
    #[must_use]
    pub fn new(given: &Given) -> Self {
        let mut builder = Builder { complete: given.complete, ..Builder::default() };
        for (account, region) in &given.trails {
            let draft = builder.draft(*account);
            draft.held = true;
            draft.trail_regions.insert(region.clone());
        }
        Self(builder)
    }

    /// Reads a file.
    pub fn file(&mut self, file: &InputFile) {
        self.0.file(file);
    }

    /// Notes a file, or a folder, that is there and cannot be had. What it holds nobody knows, so that
    /// the files are not all there is, whoever says so.
    pub fn unread(&mut self, path: &str, why: &str) {
        self.0.complete = false;
        let place = AccountRegion::new(path);
        let source = Source { path, place: &place, value: 0, shape: Shape::Answer };
        let remedy = "make it a file that can be read, or leave it out";
        self.0.broken(source, Fault::new("", format!("cannot be read: {why}"), remedy), None);
        let kind = FileKind::Unrecognised;
        self.0.read.push(FileSummary { path: path.to_owned(), kind, records: 0 });
    }

    /// What all of them hold.
    #[must_use]
    pub fn finish(self) -> Import {
        let Self(mut builder) = self;
        // By now every file has been read that may say which account manages the organisation.
        let (trees, policies): (Vec<_>, Vec<_>) =
            std::mem::take(&mut builder.waiting).into_iter().partition(|waiting| waiting.kind == FileKind::OrgTree);
        for Waiting { file: index, place: value_place, kind, value, shape } in trees.into_iter().chain(policies) {
            let Some(path) = builder.read.get(index).map(|summary| summary.path.clone()) else { continue };
            let place = AccountRegion::new(&path);
            let source = Source { path: &path, place: &place, value: value_place, shape };
            let records = match kind {
                FileKind::OrgTree => builder.org_tree(source, &value),
                _ => builder.org_policies(source, &value),
            };
            if let Some(summary) = builder.read.get_mut(index) {
                summary.records += records;
            }
        }
        builder.finish()
    }
}

#[derive(Debug, Default)]
struct Builder {
    /// Where the organisation is read from: the hub, or else the management account.
    hub: Option<AccountId>,
    /// Organisation trees and policies, to be read last.
    waiting: Vec<Waiting>,
    /// A page of a list of accounts that names a next.
    accounts_cut: Vec<Page>,
    /// Whoever gives the files says that they hold all there is.
    complete: bool,
    drafts: BTreeMap<AccountId, AccountDraft>,
    read: Vec<FileSummary>,
    problems: Vec<ReadProblem>,
    unnamed: u64,
}

#[derive(Debug)]
struct Waiting {
    /// The file's place among the files.
    file: usize,
    /// The value's place in the file.
    place: usize,
    kind: FileKind,
    value: Value,
    shape: Shape,
}

impl Builder {
    fn file(&mut self, file: &InputFile) {
        let place = AccountRegion::new(&file.path);
        let source = Source { path: &file.path, place: &place, value: 0, shape: Shape::Answer };
        if holds_records(&file.bytes) {
            self.trail(source, &file.bytes);
            return;
        }
        let mut summary = FileSummary { path: file.path.clone(), kind: FileKind::Unrecognised, records: 0 };
        match plain(&file.bytes) {
            Err(fault) => self.broken(source, fault, None),
            Ok(text) => {
                let (values, broken) = values::parse(&text);
                let mut unknown = None;
                for (n, values::Given { value, shape }) in values.into_iter().enumerate() {
                    let source = Source { value: n, shape, ..source };
                    let kind = kind_of(&value);
                    if kind == FileKind::Unrecognised {
                        unknown.get_or_insert_with(|| unknown_kind(&value));
                        continue;
                    }
                    summary.records += self.value(source, kind, value);
                    if summary.kind == FileKind::Unrecognised {
                        summary.kind = kind;
                    }
                }
                if let Some((fault, line)) = broken {
                    self.broken(source, fault, line);
                } else if let Some(fault) = unknown {
                    self.problem(source, fault, None, None);
                }
            }
        }
        self.read.push(summary);
    }

    /// Reads a value; says how many records were read of it.
    fn value(&mut self, source: Source<'_>, kind: FileKind, value: Value) -> usize {
        match kind {
            FileKind::Accounts => self.accounts(source, &value),
            FileKind::AuthorizationDetails => self.authorization_details(source, &value),
            FileKind::OidcProviders => self.oidc_providers(source, &value),
            FileKind::OidcProvider => self.oidc_provider(source, &value),
            FileKind::Clusters => self.clusters(source, &value),
            FileKind::Associations | FileKind::Association => self.associations(source, &value),
            FileKind::Addons => self.addons(source, &value),
            FileKind::AccessEntries => self.access_entries(source, &value),
            FileKind::Trails => self.trails(source, &value),
            FileKind::OrgTree | FileKind::OrgPolicies => {
                // INVARIANT: every file leaves one summary, so this one's place is the next.
                let (file, place, shape) = (self.read.len(), source.value, source.shape);
                self.waiting.push(Waiting { file, place, kind, value, shape });
                0
            }
            // Records of trails are told apart before the file is parsed as a whole.
            FileKind::Trail | FileKind::TrailDigest | FileKind::Unrecognised => 0,
        }
    }

    /// A file of JSON that lies where a listing belongs and cannot be read to its end is a hole in that
    /// listing.
    fn broken(&mut self, source: Source<'_>, fault: Fault, line: Option<usize>) {
        self.problem(source, fault, line, None);
        let is_json = [".json", ".json.gz"].iter().any(|end| source.path.ends_with(end));
        let (Some(account), true) = (source.place.account, is_json) else { return };
        let folder = source.path.split('/').rev().find(|part| matches!(*part, "iam" | "eks" | "CloudTrail"));
        let details = "iam:GetAccountAuthorizationDetails";
        let scopes: &[(ScopeKind, &str)] = match folder {
            Some("iam") => &[(ScopeKind::Roles, details), (ScopeKind::Policies, details)],
            Some("eks") => &[(ScopeKind::Clusters, "eks:ListClusters")],
            Some(_) => &[(ScopeKind::Sessions, "cloudtrail:LookupEvents")],
            None => &[],
        };
        for (kind, action) in scopes {
            let region = source.place.region.clone();
            let scope = Scope { account_id: account, kind: *kind, region, cluster: None };
            self.malformed(scope, action, source.path);
        }
    }

    fn problem(&mut self, source: Source<'_>, fault: Fault, line: Option<usize>, record: Option<usize>) {
        let Fault { field, mut message, remedy } = fault;
        if self.problems.len() >= MAX_NAMED {
            self.unnamed += 1;
            return;
        }
        // A message quotes what it found, which may be as long as the file.
        if message.len() > MAX_TOLD {
            message.truncate(message.floor_char_boundary(MAX_TOLD));
            message.push('…');
        }
        let kind = if field.is_empty() { ProblemKind::Json } else { ProblemKind::Field };
        self.problems.push(ReadProblem { kind, file: source.path.to_owned(), line, record, field, message, remedy });
    }

    /// Says that a part of a scope was there and could not be read.
    fn malformed(&mut self, scope: Scope, action: &str, file: &str) {
        let (action, detail) = (action.to_owned(), format!("in {file}"));
        let gap = Gap { action, reason: GapReason::Malformed, detail, scope, day: None };
        let draft = self.draft(gap.scope.account_id);
        draft.held = true;
        draft.note(gap);
    }

    fn draft(&mut self, account: AccountId) -> &mut AccountDraft {
        self.drafts.entry(account).or_default()
    }

    /// Notes a page of a listing.
    fn page(&mut self, account: AccountId, listing: Listing, page: Page) {
        let draft = self.draft(account);
        draft.held = true;
        let pages = draft.listings.entry(listing).or_default();
        // Each record of a page notes it, and records of one page come one after the other.
        if !pages.last().is_some_and(|known| known.path == page.path && known.place == page.place) {
            pages.push(page);
        }
    }

    fn trail(&mut self, source: Source<'_>, bytes: &[u8]) {
        let read = rolecall_cloudtrail::read_file(source.path, bytes);
        let AccountRegion { account, region, .. } = source.place;
        if let (Some(account), Some(region)) = (account, region) {
            let draft = self.draft(*account);
            draft.held = true;
            draft.trail_regions.insert(region.clone());
            let pages = read.problems.iter().filter(|problem| problem.kind == ProblemKind::Page).count();
            if pages > 0 {
                draft.note(trail_gap((*account, region.clone()), source.path, ProblemKind::Page));
            }
            if read.malformed > 0 || read.problems.len() > pages {
                draft.note(trail_gap((*account, region.clone()), source.path, ProblemKind::Json));
            }
        }
        let summary = FileSummary { path: source.path.to_owned(), kind: FileKind::Trail, records: read.events };
        self.read.push(summary);
        let room = MAX_NAMED.saturating_sub(self.problems.len());
        self.unnamed += u64::try_from(read.problems.len().saturating_sub(room)).unwrap_or(u64::MAX);
        self.problems.extend(read.problems.into_iter().take(room));
        for session in read.sessions {
            let draft = self.draft(session.account_id);
            draft.held = true;
            draft.record_regions.insert(session.region.clone());
            draft.observation.sessions.push(session);
        }
    }

    fn finish(self) -> Import {
        let (hub, complete, cut) = (self.hub, self.complete, self.accounts_cut);
        let finished = self.drafts.into_iter().map(|(account, mut draft)| {
            // The organisation's scopes stand under one account, where that one is known.
            let of_organization = hub.is_none_or(|hub| hub == account);
            if of_organization && !cut.is_empty() {
                draft.listings.entry((ScopeKind::Organization, None, None)).or_default().extend(cut.iter().cloned());
            }
            draft.finish(account, of_organization, complete)
        });
        let observations = finished.collect();
        Import { observations, read: self.read, problems: self.problems, unnamed: self.unnamed }
    }
}
