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

mod eks;
mod iam;
mod item;
mod listing;
mod organizations;
mod trails;
mod values;

use chrono::{DateTime, NaiveDate, Utc};
use item::Fault;
use listing::{Listing, Page, Proof, Shape};
pub use rolecall_cloudtrail::ReadProblem;
use rolecall_cloudtrail::{ProblemKind, encoding};
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{
    AccessEntry, Account, Addon, Association, AssociationKey, Cluster, Observation, OrgPolicyKind, Snapshot,
};
use rolecall_iam::AccountId;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;

/// How many bytes of a file are looked at to tell CloudTrail records from everything else.
const HEAD: usize = 16 * 1024;
/// A file of more bytes is not read, gzipped or not. No account's authorization details come near it.
pub const LARGEST: u64 = 1024 * 1024 * 1024;
/// So many bytes a gzipped file may have whatever its ratio.
const SMALL: u64 = 64 * 1024 * 1024;
/// What has more may be so many times as large as it is gzipped: 5,000 roles that differ by their names
/// become a 95th, and deflate reaches 1,030.
const MOST_RATIO: u64 = 250;
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

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A list of accounts.
    Accounts,
    /// `GetAccountAuthorizationDetails`.
    AuthorizationDetails,
    /// `ListOpenIDConnectProviders`.
    OidcProviders,
    /// Descriptions of clusters.
    Clusters,
    /// A listing of associations, with or without their descriptions.
    Associations,
    /// The description of one association.
    Association,
    /// Descriptions of add-ons.
    Addons,
    /// Access entries with their policies.
    AccessEntries,
    /// Trails with their selectors.
    Trails,
    /// CloudTrail records.
    Trail,
    /// Organisation policies with their targets.
    OrgPolicies,
    /// The organisation's roots, OUs and accounts.
    OrgTree,
    /// A digest, by which CloudTrail's files are checked. It tells nothing of the estate.
    TrailDigest,
    /// Not a kind that is read; a problem says so.
    Unrecognised,
}

impl FileKind {
    /// What people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::AuthorizationDetails => "account authorization details",
            Self::OidcProviders => "OIDC providers",
            Self::Clusters => "clusters",
            Self::Associations => "pod identity associations",
            Self::Association => "pod identity association",
            Self::Addons => "add-ons",
            Self::AccessEntries => "access entries",
            Self::Trails => "trails",
            Self::Trail => "CloudTrail records",
            Self::OrgPolicies => "organisation policies",
            Self::OrgTree => "organisation tree",
            Self::TrailDigest => "CloudTrail digest",
            Self::Unrecognised => "not a kind that is read",
        }
    }
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
    /// Whoever gives the files says that each listing that they hold a part of is whole. A page that
    /// is missing by its token, and a list that cannot be whole, stay gaps.
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
        let place = AccountRegion::of(path);
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
            let place = AccountRegion::of(&path);
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

/// Where a file lies, as far as its path says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct AccountRegion {
    account: Option<AccountId>,
    region: Option<Region>,
    /// The day under which CloudTrail puts it.
    day: Option<NaiveDate>,
}

/// Whose trail a file is, and of which region, by where CloudTrail puts it in a bucket.
#[must_use]
pub fn trail_place(path: &str) -> Option<(AccountId, Region)> {
    let place = AccountRegion::of(path);
    place.account.zip(place.region)
}

/// The day under which CloudTrail puts a file in a bucket.
#[must_use]
pub fn trail_day(path: &str) -> Option<NaiveDate> {
    AccountRegion::of(path).day
}

/// The gap that a trail file leaves in the sessions of its place: it is broken, or one page of several.
#[must_use]
pub fn trail_gap(place: (AccountId, Region), path: &str, what: ProblemKind) -> Gap {
    let scope = Scope::regional(place.0, ScopeKind::Sessions, place.1);
    let reason = if what == ProblemKind::Page { GapReason::Truncated } else { GapReason::Malformed };
    let (action, detail) = ("cloudtrail:LookupEvents".to_owned(), format!("in {path}"));
    Gap { scope, action, reason, detail, day: trail_day(path) }
}

/// An account of which nothing is known but what records of these regions tell: all else is a gap.
#[must_use]
pub fn named_by_records(account: AccountId, regions: &BTreeSet<Region>) -> Observation {
    let draft = AccountDraft { held: true, record_regions: regions.clone(), ..AccountDraft::default() };
    Observation { as_of: None, ..draft.finish(account, true, false) }
}

impl AccountRegion {
    /// The account is the last part that is an account id; the region follows it, at once or after
    /// `CloudTrail`, and the day as year, month and day follows the region.
    fn of(path: &str) -> Self {
        let mut place = Self::default();
        let mut folders: Vec<&str> = path.split('/').collect();
        folders.pop();
        let day = match folders.as_slice() {
            [.., year, month, day] => NaiveDate::parse_from_str(&format!("{year}-{month}-{day}"), "%Y-%m-%d").ok(),
            _ => None,
        };
        for folder in folders {
            if let Ok(account) = folder.parse() {
                place = Self { account: Some(account), ..Self::default() };
            } else if place.account.is_some() && place.region.is_none() && folder != "CloudTrail" {
                place.region = folder.parse().ok();
            }
        }
        place.day = day.filter(|_| place.region.is_some());
        place
    }
}

/// What was seen of one account, before it is an observation.
#[derive(Debug, Default)]
struct AccountDraft {
    observation: Observation,
    /// The region that the list of accounts names for it.
    home: Option<Region>,
    /// Whether any file but the list of accounts holds something of it.
    held: bool,
    /// The pages of every listing of which there are any.
    listings: BTreeMap<Listing, Vec<Page>>,
    trail_regions: BTreeSet<Region>,
    /// Of which there are records, that may not be all.
    record_regions: BTreeSet<Region>,
    /// The newest date in its files.
    newest: Option<DateTime<Utc>>,
    clusters: BTreeMap<(Region, ClusterName), Cluster>,
    associations: BTreeMap<AssociationKey, Association>,
    /// By their names.
    addons: BTreeMap<(Region, ClusterName), BTreeMap<String, Addon>>,
    /// By their principals.
    access_entries: BTreeMap<(Region, ClusterName), BTreeMap<String, AccessEntry>>,
    /// Each once, however many records of a file are wrong.
    gaps: BTreeMap<(Scope, String), Gap>,
    /// Where each role and policy stands among those of the observation, by its ARN.
    role_at: HashMap<Box<str>, usize>,
    policy_at: HashMap<Box<str>, usize>,
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

/// The value that is being read, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    path: &'a str,
    place: &'a AccountRegion,
    /// Its place among the values of the file.
    value: usize,
    shape: Shape,
}

impl Source<'_> {
    /// Whether the file lies where the estate layout has what is of the account: `iam/<account>/…`.
    fn is_below(&self, folder: &str) -> bool {
        let folders = self.path.split('/');
        folders.clone().zip(folders.skip(1)).any(|(part, next)| part == folder && next.parse::<AccountId>().is_ok())
    }

    /// Whether the file lies in a folder of this name.
    fn is_in(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|part| part == folder)
    }

    /// Whether the file has this name, but for its ending.
    fn is_named(&self, stem: &str) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.strip_prefix(stem).is_some_and(|rest| matches!(rest, ".json" | ".json.gz"))
    }

    /// The page that a value is, if it is a list as AWS answers it. `layout`: the whole listing would
    /// lie where the file does.
    fn page(&self, value: &Value, layout: bool) -> Page {
        let map = value.as_object();
        let proof = match self.shape {
            Shape::Bare => Proof::Thinned,
            Shape::Records => Proof::None,
            Shape::Answer if map.is_some_and(listing::is_last) => Proof::Stated,
            Shape::Answer if layout => Proof::Layout,
            Shape::Answer => Proof::None,
        };
        Page { path: self.path.to_owned(), place: self.value, token: map.and_then(listing::token), proof }
    }
}

impl Builder {
    fn file(&mut self, file: &InputFile) {
        let place = AccountRegion::of(&file.path);
        let source = Source { path: &file.path, place: &place, value: 0, shape: Shape::Answer };
        if holds_records(&file.bytes) {
            self.trail(source, &file.bytes);
            return;
        }
        let mut summary = FileSummary { path: file.path.clone(), kind: FileKind::Unrecognised, records: 0 };
        match plain(&file.bytes) {
            Err(fault) => self.broken(source, fault, None),
            Ok(text) => {
                let (values, broken) = values::read(&text);
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

impl AccountDraft {
    fn note(&mut self, gap: Gap) {
        self.gaps.entry((gap.scope.clone(), gap.detail.clone())).or_insert(gap);
    }

    /// Turns what was seen, and what was not, into an observation with its coverage.
    fn finish(mut self, account: AccountId, of_organization: bool, complete: bool) -> Observation {
        let mut observation = std::mem::take(&mut self.observation);
        let out = &mut observation.snapshot;
        self.check_details(account, out, complete);
        let listings = std::mem::take(&mut self.listings);
        let pages = |listing: &Listing| listings.get(listing).into_iter().flatten();
        // A trail that could not be read may be one of any region.
        let unread = self.gaps.values().find(|gap| gap.scope.kind == ScopeKind::Trails);
        let unread = unread.map(|gap| (gap.reason, gap.detail.clone()));
        let coverage = &mut out.coverage;
        for gap in std::mem::take(&mut self.gaps).into_values() {
            coverage.gap(gap);
        }
        let mut say = |scope: Scope, seen: Result<(), (GapReason, String)>, action: &str| {
            match seen {
                Ok(()) => coverage.complete(scope),
                // That it is one page, or thinned, is worth knowing beside any other gap.
                Err((reason, detail))
                    if matches!(reason, GapReason::Truncated | GapReason::Filtered)
                        || coverage.gaps_of(&scope).is_none_or(<[Gap]>::is_empty) =>
                {
                    coverage.gap(Gap { scope, action: action.to_owned(), reason, detail, day: None });
                }
                Err(_) => {}
            }
        };
        let provided = |seen: bool| if seen { Ok(()) } else { Err(not_provided()) };
        let global = |kind| Scope::global(account, kind);
        let whole =
            |listing: Listing, shown: bool| listing::whole(&pages(&listing).collect::<Vec<_>>(), shown, complete);
        let everywhere = |kind, shown: bool| whole((kind, None, None), shown);
        say(global(ScopeKind::Entry), provided(self.held), "sts:AssumeRole");
        say(global(ScopeKind::Roles), everywhere(ScopeKind::Roles, !out.roles.is_empty()), iam::ACTION);
        say(global(ScopeKind::Policies), everywhere(ScopeKind::Policies, !out.policies.is_empty()), iam::ACTION);
        let oidc = everywhere(ScopeKind::OidcProviders, !out.oidc_providers.is_empty());
        say(global(ScopeKind::OidcProviders), oidc, "iam:ListOpenIDConnectProviders");
        if of_organization {
            let tree = everywhere(ScopeKind::Organization, !out.org_units.is_empty());
            say(global(ScopeKind::Organization), tree, "organizations:ListAccounts");
            // Without their targets, policies would seem to bind nothing.
            let attached = out.org_policies.iter().any(|policy| !policy.targets.is_empty());
            let policies = match everywhere(ScopeKind::OrgPolicies, !out.org_policies.is_empty()) {
                Ok(()) if !out.org_policies.is_empty() && !attached => Err(not_provided()),
                policies => policies,
            };
            let listed = policies.is_ok();
            say(global(ScopeKind::OrgPolicies), policies, "organizations:ListPolicies");
            // AWS lists one kind at a time, and has a policy of each kind that is in use: a kind without any
            // may be in the answer that nobody gave.
            for kind in OrgPolicyKind::ALL {
                let any = |kind: OrgPolicyKind| out.org_policies.iter().any(|policy| policy.kind == kind);
                if listed && !complete && !out.org_policies.is_empty() && !any(kind) {
                    say(global(ScopeKind::OrgPolicies), Err(not_provided()), kind.listing());
                }
            }
        }

        let in_clusters = self.clusters.keys().map(|(region, _)| region);
        let in_associations = self.associations.keys().map(|key| &key.region);
        let regions: BTreeSet<Region> = in_clusters
            .chain(in_associations)
            .chain(listings.keys().filter_map(|(_, region, _)| region.as_ref()))
            .chain(&self.trail_regions)
            .chain(&self.record_regions)
            .chain(&self.home)
            .cloned()
            .collect();
        let regional = |kind, region: &Region| Scope::regional(account, kind, region.clone());
        let trails = unread.map_or_else(|| everywhere(ScopeKind::Trails, !out.trails.is_empty()), Err);
        for region in &regions {
            let shown = self.clusters.keys().any(|(known, _)| known == region);
            let listed = whole((ScopeKind::Clusters, Some(region.clone()), None), shown);
            say(regional(ScopeKind::Clusters, region), listed, "eks:ListClusters");
            let sessions = if self.record_regions.contains(region) && !self.trail_regions.contains(region) {
                Err((GapReason::Unproven, "records of it were given, and nothing shows that they are all".to_owned()))
            } else {
                provided(self.trail_regions.contains(region))
            };
            say(regional(ScopeKind::Sessions, region), sessions, "cloudtrail:LookupEvents");
            say(regional(ScopeKind::Trails, region), trails.clone(), "cloudtrail:DescribeTrails");
        }
        if regions.is_empty() {
            say(global(ScopeKind::Clusters), provided(false), "eks:ListClusters");
            say(global(ScopeKind::Sessions), provided(false), "cloudtrail:LookupEvents");
            say(global(ScopeKind::Trails), trails, "cloudtrail:DescribeTrails");
        }

        let mut all_clusters = self.clusters;
        let described = |key: &AssociationKey| (key.region.clone(), key.cluster.clone());
        let named = listings.keys().filter_map(|(_, region, cluster)| Some((region.clone()?, cluster.clone()?)));
        let clusters: BTreeSet<(Region, ClusterName)> =
            all_clusters.keys().cloned().chain(self.associations.keys().map(described)).chain(named).collect();
        for (region, cluster) in clusters {
            let own: Vec<&Association> =
                self.associations.values().filter(|a| a.key.region == region && a.key.cluster == cluster).collect();
            let scope = |kind| Scope::of_cluster(account, kind, region.clone(), cluster.clone());
            let known = all_clusters.contains_key(&(region.clone(), cluster.clone()));
            say(scope(ScopeKind::ClusterDetails), provided(known), "eks:DescribeCluster");
            // A list of the region tells of each of its clusters.
            let listed = |kind, shown: bool| {
                let (in_region, in_cluster) =
                    ((kind, Some(region.clone()), None), (kind, Some(region.clone()), Some(cluster.clone())));
                listing::whole(&pages(&in_region).chain(pages(&in_cluster)).collect::<Vec<_>>(), shown, complete)
            };
            let associations = listed(ScopeKind::Associations, !own.is_empty());
            let detailed = match &associations {
                _ if own.iter().any(|a| a.detail.is_none()) => Err(not_provided()),
                Err(why) if own.is_empty() => Err(why.clone()),
                _ => Ok(()),
            };
            say(scope(ScopeKind::Associations), associations, "eks:ListPodIdentityAssociations");
            say(scope(ScopeKind::AssociationDetails), detailed, "eks:DescribePodIdentityAssociation");
            let key = (region.clone(), cluster.clone());
            let addons = listed(ScopeKind::Addons, self.addons.contains_key(&key));
            let entries = listed(ScopeKind::AccessEntries, self.access_entries.contains_key(&key));
            if let Some(own) = all_clusters.get_mut(&key) {
                // Those of a listing that is not whole were seen.
                let known = self.addons.remove(&key).map(|known| known.into_values().collect());
                own.addons = known.or_else(|| addons.is_ok().then(Vec::new));
                let known = self.access_entries.remove(&key).map(|known| known.into_values().collect());
                own.access_entries = known.or_else(|| entries.is_ok().then(Vec::new));
            }
            say(scope(ScopeKind::Addons), addons, "eks:ListAddons");
            say(scope(ScopeKind::AccessEntries), entries, "eks:ListAccessEntries");
        }

        observation.account.get_or_insert(Account::new(account));
        out.clusters = all_clusters.into_values().collect();
        out.associations = self.associations.into_values().collect();
        let newest = self.newest.into_iter().chain(newest(out)).max();
        observation.as_of = Some(newest.unwrap_or(DateTime::UNIX_EPOCH));
        observation
    }
}

fn not_provided() -> (GapReason, String) {
    (GapReason::NotProvided, "no file holds it".to_owned())
}

/// The newest date that the facts themselves have.
fn newest(seen: &Snapshot) -> Option<DateTime<Utc>> {
    let roles = seen.roles.iter().filter_map(|role| role.created_at);
    let used = seen.last_used.iter().map(|used| used.at);
    let policies = seen.policies.iter().filter_map(|policy| policy.updated_at);
    let clusters = seen.clusters.iter().filter_map(|cluster| cluster.created_at);
    let associations = seen.associations.iter().filter_map(|association| association.detail.as_ref());
    let associations = associations.flat_map(|detail| detail.created_at.into_iter().chain(detail.modified_at));
    let sessions = seen.sessions.iter().map(|session| session.at);
    roles.chain(used).chain(policies).chain(clusters).chain(associations).chain(sessions).max()
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The bytes as UTF-8 text, without their compression.
fn plain(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let remedy = "give the file as it was written";
    let unzipped = if is_gzip(bytes) {
        let size = unzipped_size(bytes)?;
        let mut out = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let read = flate2::read::MultiGzDecoder::new(bytes).take(size).read_to_end(&mut out);
        read.map_err(|error| Fault::new("", format!("not gzip: {error}"), remedy))?;
        Cow::Owned(out)
    } else {
        Cow::Borrowed(bytes)
    };
    if unzipped.len() > usize::try_from(LARGEST).unwrap_or(usize::MAX) {
        return Err(Fault::new("", format!("more than {LARGEST} bytes"), TOO_LARGE));
    }
    if encoding::is_utf16(&unzipped) {
        let text = encoding::Utf16::new(&*unzipped).all();
        return text.map(Cow::Owned).map_err(|error| Fault::new("", error.to_string(), remedy));
    }
    Ok(match unzipped {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)),
        Cow::Owned(mut text) => {
            if text.starts_with(b"\xef\xbb\xbf") {
                text.drain(..3);
            }
            Cow::Owned(text)
        }
    })
}

/// How many bytes a gzipped file has without its compression, found without keeping any of them.
fn unzipped_size(bytes: &[u8]) -> Result<u64, Fault> {
    let zipped = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let most = zipped.saturating_mul(MOST_RATIO).clamp(SMALL, LARGEST);
    let mut measured = flate2::read::MultiGzDecoder::new(bytes).take(most + 1);
    let size = std::io::copy(&mut measured, &mut std::io::sink());
    let size = size.map_err(|error| Fault::new("", format!("not gzip: {error}"), "give the file as it was written"))?;
    if size > most {
        let message = format!("{zipped} bytes become more than {most} when decompressed");
        return Err(Fault::new("", message, TOO_LARGE));
    }
    Ok(size)
}

const TOO_LARGE: &str = "give the answer page by page, each in a file of its own";

/// Whether a file that begins so, gzipped or not, is read as one of CloudTrail records.
#[must_use]
pub fn holds_records(bytes: &[u8]) -> bool {
    let cut = if is_gzip(bytes) { bytes.len() } else { HEAD };
    // A file that is cut off is told apart by what it begins with, too.
    let head = rolecall_cloudtrail::plain_head(bytes.get(..cut).unwrap_or(bytes));
    let text = String::from_utf8_lossy(head.get(..HEAD).unwrap_or(&head));
    let first_key = text.trim_start_matches('\u{feff}').trim_start().strip_prefix('{').map(str::trim_start);
    let first_key = first_key.unwrap_or_default();
    let names = |names: [&str; 2]| names.iter().all(|name| text.contains(name));
    first_key.starts_with("\"Records\"")
        || text.contains("\"CloudTrailEvent\"")
        || names(["\"eventSource\"", "\"eventName\""])
        // A record within a text.
        || names(["\\\"eventSource\\\"", "\\\"eventName\\\""])
        || (first_key.starts_with("\"Events\"") && text.contains("\"EventId\""))
}

fn kind_of(value: &Value) -> FileKind {
    let Some(map) = value.as_object() else { return FileKind::Unrecognised };
    let has = |key: &str| map.contains_key(key);
    let objects = |key: &str| map.get(key).and_then(Value::as_array).is_some_and(|l| l.iter().all(Value::is_object));
    let versions = || map.get("Policies").and_then(Value::as_array)?.first()?.get("PolicyVersionList");
    if has("digestStartTime") && has("digestPublicKeyFingerprint") {
        FileKind::TrailDigest
    } else if has("RoleDetailList") || has("UserDetailList") || has("GroupDetailList") || versions().is_some() {
        FileKind::AuthorizationDetails
    } else if has("OpenIDConnectProviderList") {
        FileKind::OidcProviders
    } else if objects("clusters") || map.get("cluster").is_some_and(Value::is_object) {
        FileKind::Clusters
    } else if objects("associations") {
        FileKind::Associations
    } else if map.get("association").is_some_and(Value::is_object) {
        FileKind::Association
    } else if objects("addons") || map.get("addon").is_some_and(Value::is_object) {
        FileKind::Addons
    } else if objects("accessEntries") || map.get("accessEntry").is_some_and(Value::is_object) {
        FileKind::AccessEntries
    } else if objects("trails") || objects("trailList") {
        FileKind::Trails
    } else if organizations::is_tree(map) {
        FileKind::OrgTree
    } else if organizations::is_policies(map) {
        FileKind::OrgPolicies
    } else if objects("accounts") || objects("Accounts") {
        FileKind::Accounts
    } else {
        FileKind::Unrecognised
    }
}

/// What to say about a file that is none of the kinds.
fn unknown_kind(value: &Value) -> Fault {
    let key = |key: &str| value.get(key).is_some();
    if key("Statement") {
        let remedy = "put it into organizations/policies.json with its id, type and targets";
        return Fault::new("", "a policy document that does not say what it is attached to", remedy);
    }
    if key("Role") || key("Roles") || key("User") {
        let remedy = "give the output of `aws iam get-account-authorization-details`";
        return Fault::new("", "not a kind that is read: it lacks the policies of the roles", remedy);
    }
    if key("clusters") {
        let remedy = "give the output of `aws eks describe-cluster` for each";
        return Fault::new("/clusters", "not a kind that is read: it has the clusters' names only", remedy);
    }
    if key("associations") {
        let remedy = "give the output of `aws eks list-pod-identity-associations`";
        return Fault::new("/associations", "the associations are not objects", remedy);
    }
    if value.as_array().is_some_and(Vec::is_empty) {
        return Fault::new("", "an empty list, which does not say of what", "give the whole answer, without `--query`");
    }
    let remedy = "give account authorization details, clusters, associations, CloudTrail records, \
                  organisation policies or the list of accounts, as the AWS CLI prints them";
    Fault::new("", "not a kind that is read", remedy)
}
