//! Files into observations: what `import` reads instead of asking AWS.
//!
//! Knows the estate layout (`accounts.json`, `iam/<account>/…`, `eks/<account>/<region>/…`,
//! `cloudtrail/<account>/…`, `trail/AWSLogs/…`, `organizations/…`) and the same content in loose files, as the AWS CLI prints
//! it, gzipped or plain. A file is recognised by what it holds; its path only adds the account and
//! the region where the content names neither. What a file provides counts as seen; what no file
//! provides becomes a gap, so that nothing passes on it. A record that cannot be read is named, and
//! the rest is still read. Refuses to know the file system.

mod eks;
mod iam;
mod item;
mod organizations;
mod trails;

use crate::coverage::{Gap, GapReason, Scope, ScopeKind};
use crate::estate::{AccessEntry, Account, Addon, Association, AssociationKey, Cluster, Observation};
use crate::id::{ClusterName, Region};
pub use crate::trail::ReadProblem;
use crate::trail::{self, MAX_DECOMPRESSED, ProblemKind};
use item::Fault;
use rolecall_iam::AccountId;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

/// How many bytes of a file are looked at to tell CloudTrail records from everything else.
const HEAD: usize = 16 * 1024;

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
    /// What could not be read, or was not taken.
    pub problems: Vec<ReadProblem>,
}

/// Reads files. Never fails: what cannot be read is among the problems, and a gap where it belongs.
#[must_use]
pub fn read_files(files: &[InputFile]) -> Import {
    read_files_beside(files, &BTreeSet::new())
}

/// Reads files beside trail files that are read elsewhere, a few at a time: the sessions of these
/// places (see [`trail_place`]) count as provided. Whoever reads them says where they are broken.
#[must_use]
pub fn read_files_beside(files: &[InputFile], trails: &BTreeSet<(AccountId, Region)>) -> Import {
    let mut builder = Builder::default();
    for (account, region) in trails {
        let look = builder.look(*account);
        look.held = true;
        look.trail_regions.insert(region.clone());
    }
    for file in files {
        builder.file(file);
    }
    // By now every file has been read that may say which account manages the organisation.
    let (trees, policies): (Vec<_>, Vec<_>) =
        std::mem::take(&mut builder.waiting).into_iter().partition(|(_, kind, _)| *kind == FileKind::OrgTree);
    for (index, kind, value) in trees.into_iter().chain(policies) {
        let Some(file) = files.get(index) else { continue };
        let place = Place::of(&file.path);
        let source = Source { path: &file.path, place: &place };
        let records = match kind {
            FileKind::OrgTree => builder.org_tree(source, &value),
            _ => builder.org_policies(source, &value),
        };
        if let Some(summary) = builder.read.get_mut(index) {
            summary.records = records;
        }
    }
    builder.finish()
}

/// Where a file lies, as far as its path says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    account: Option<AccountId>,
    region: Option<Region>,
}

/// Whose trail a file is, and of which region, by where CloudTrail puts it in a bucket.
#[must_use]
pub fn trail_place(path: &str) -> Option<(AccountId, Region)> {
    let place = Place::of(path);
    place.account.zip(place.region)
}

/// The gap that a broken trail file leaves in the sessions of its place.
#[must_use]
pub fn trail_gap(place: (AccountId, Region), path: &str) -> Gap {
    let scope = Scope::regional(place.0, ScopeKind::Sessions, place.1);
    Gap {
        scope,
        action: "cloudtrail:LookupEvents".to_owned(),
        reason: GapReason::Malformed,
        detail: format!("in {path}"),
    }
}

impl Place {
    /// The account is the last part that is an account id; the region follows it, at once or after
    /// `CloudTrail`.
    fn of(path: &str) -> Self {
        let mut place = Self::default();
        let mut folders: Vec<&str> = path.split('/').collect();
        folders.pop();
        for folder in folders {
            if let Ok(account) = folder.parse() {
                place = Self { account: Some(account), region: None };
            } else if place.account.is_some() && place.region.is_none() && folder != "CloudTrail" {
                place.region = folder.parse().ok();
            }
        }
        place
    }
}

/// What was seen of one account, before it is an observation.
#[derive(Debug, Default)]
struct Look {
    observation: Observation,
    /// The region that the list of accounts names for it.
    home: Option<Region>,
    roles: bool,
    policies: bool,
    oidc: bool,
    organization: bool,
    org_policies: bool,
    /// Whether any file but the list of accounts holds something of it.
    held: bool,
    cluster_regions: BTreeSet<Region>,
    association_regions: BTreeSet<Region>,
    association_clusters: BTreeSet<(Region, ClusterName)>,
    /// Where all add-ons, or all access entries, are known.
    part_regions: BTreeSet<(ScopeKind, Region)>,
    part_clusters: BTreeSet<(ScopeKind, Region, ClusterName)>,
    trails: bool,
    trail_regions: BTreeSet<Region>,
    clusters: BTreeMap<(Region, ClusterName), Cluster>,
    associations: BTreeMap<AssociationKey, Association>,
    addons: BTreeMap<(Region, ClusterName), Vec<Addon>>,
    access_entries: BTreeMap<(Region, ClusterName), Vec<AccessEntry>>,
    gaps: Vec<Gap>,
}

#[derive(Debug, Default)]
struct Builder {
    /// Where the organisation is read from: the hub, or else the management account.
    hub: Option<AccountId>,
    /// Organisation trees and policies, to be read last, by the file's place.
    waiting: Vec<(usize, FileKind, Value)>,
    looks: BTreeMap<AccountId, Look>,
    read: Vec<FileSummary>,
    problems: Vec<ReadProblem>,
}

/// The file that is being read.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    path: &'a str,
    place: &'a Place,
}

impl Builder {
    fn file(&mut self, file: &InputFile) {
        let place = Place::of(&file.path);
        let source = Source { path: &file.path, place: &place };
        if is_trail(&file.bytes) {
            self.trail(source, &file.bytes);
            return;
        }
        let text = match plain(&file.bytes) {
            Ok(text) => text,
            Err(fault) => return self.broken(source, fault, None),
        };
        let value: Value = match serde_json::from_slice(&text) {
            Ok(value) => value,
            Err(error) => {
                let fault = Fault::new("", error.to_string(), "give the file as AWS printed it: plain or gzipped JSON");
                return self.broken(source, fault, Some(error.line()).filter(|line| *line > 0));
            }
        };
        let kind = kind_of(&value);
        let records = match kind {
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
                self.waiting.push((self.read.len(), kind, value));
                0
            }
            // Told apart before the file was parsed as a whole.
            FileKind::Trail => 0,
            FileKind::Unrecognised => return self.unrecognised(source, unknown_kind(&value), None),
        };
        self.read.push(FileSummary { path: file.path.clone(), kind, records });
    }

    fn unrecognised(&mut self, source: Source<'_>, fault: Fault, line: Option<usize>) {
        self.problem(source, fault, line, None);
        self.read.push(FileSummary { path: source.path.to_owned(), kind: FileKind::Unrecognised, records: 0 });
    }

    /// A file of JSON that lies where a listing belongs and cannot be read is a hole in that listing.
    fn broken(&mut self, source: Source<'_>, fault: Fault, line: Option<usize>) {
        self.unrecognised(source, fault, line);
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
        let Fault { field, message, remedy } = fault;
        let kind = if field.is_empty() { ProblemKind::Json } else { ProblemKind::Field };
        self.problems.push(ReadProblem { kind, file: source.path.to_owned(), line, record, field, message, remedy });
    }

    /// Says that a part of a scope was there and could not be read.
    fn malformed(&mut self, scope: Scope, action: &str, file: &str) {
        let gap = Gap { action: action.to_owned(), reason: GapReason::Malformed, detail: format!("in {file}"), scope };
        let look = self.look(gap.scope.account_id);
        look.held = true;
        look.gaps.push(gap);
    }

    fn look(&mut self, account: AccountId) -> &mut Look {
        self.looks.entry(account).or_default()
    }

    fn trail(&mut self, source: Source<'_>, bytes: &[u8]) {
        let read = trail::read_file(source.path, bytes);
        let Place { account, region } = source.place;
        if let (Some(account), Some(region)) = (account, region) {
            let look = self.look(*account);
            look.held = true;
            look.trail_regions.insert(region.clone());
            if read.malformed > 0 || !read.problems.is_empty() {
                look.gaps.push(trail_gap((*account, region.clone()), source.path));
            }
        }
        let summary = FileSummary { path: source.path.to_owned(), kind: FileKind::Trail, records: read.events };
        self.read.push(summary);
        self.problems.extend(read.problems);
        for session in read.sessions {
            let look = self.look(session.account_id);
            look.held = true;
            look.observation.sessions.push(session);
        }
    }

    fn finish(self) -> Import {
        let hub = self.hub;
        let finished = self.looks.into_iter().map(|(account, look)| {
            // The organisation's scopes stand under one account, where that one is known.
            look.finish(account, hub.is_none_or(|hub| hub == account))
        });
        let observations = finished.collect();
        Import { observations, read: self.read, problems: self.problems }
    }
}

impl Look {
    /// Turns what was seen, and what was not, into an observation with its coverage.
    fn finish(mut self, account: AccountId, of_organization: bool) -> Observation {
        let mut out = self.observation;
        let coverage = &mut out.coverage;
        for gap in self.gaps {
            coverage.gap(gap);
        }
        let mut say = |scope: Scope, seen: bool, action: &str| {
            if seen {
                coverage.complete(scope);
            } else if coverage.gaps_of(&scope).is_none_or(<[Gap]>::is_empty) {
                let detail = "no file holds it".to_owned();
                coverage.gap(Gap { scope, action: action.to_owned(), reason: GapReason::NotProvided, detail });
            }
        };
        let global = |kind| Scope::global(account, kind);
        say(global(ScopeKind::Entry), self.held, "sts:AssumeRole");
        say(global(ScopeKind::Roles), self.roles, "iam:GetAccountAuthorizationDetails");
        say(global(ScopeKind::Policies), self.policies, "iam:GetAccountAuthorizationDetails");
        say(global(ScopeKind::OidcProviders), self.oidc, "iam:ListOpenIDConnectProviders");
        if of_organization {
            say(global(ScopeKind::Organization), self.organization, "organizations:ListAccounts");
            say(global(ScopeKind::OrgPolicies), self.org_policies, "organizations:ListPolicies");
        }

        let in_clusters = self.clusters.keys().map(|(region, _)| region);
        let in_associations = self.associations.keys().map(|key| &key.region);
        let regions: BTreeSet<Region> = in_clusters
            .chain(in_associations)
            .chain(&self.cluster_regions)
            .chain(&self.association_regions)
            .chain(&self.trail_regions)
            .chain(&self.home)
            .cloned()
            .collect();
        let regional = |kind, region: &Region| Scope::regional(account, kind, region.clone());
        for region in &regions {
            say(regional(ScopeKind::Clusters, region), self.cluster_regions.contains(region), "eks:ListClusters");
            say(regional(ScopeKind::Sessions, region), self.trail_regions.contains(region), "cloudtrail:LookupEvents");
            say(regional(ScopeKind::Trails, region), self.trails, "cloudtrail:DescribeTrails");
        }
        if regions.is_empty() {
            say(global(ScopeKind::Clusters), false, "eks:ListClusters");
            say(global(ScopeKind::Sessions), false, "cloudtrail:LookupEvents");
            say(global(ScopeKind::Trails), self.trails, "cloudtrail:DescribeTrails");
        }

        let mut all_clusters = self.clusters;
        let described = |key: &AssociationKey| (key.region.clone(), key.cluster.clone());
        let clusters: BTreeSet<(Region, ClusterName)> =
            all_clusters.keys().cloned().chain(self.associations.keys().map(described)).collect();
        for (region, cluster) in clusters {
            let listed = self.association_regions.contains(&region)
                || self.association_clusters.contains(&(region.clone(), cluster.clone()));
            let mut own = self.associations.values().filter(|a| a.key.region == region && a.key.cluster == cluster);
            let detailed = listed && own.all(|a| a.detail.is_some());
            let scope = |kind| Scope::of_cluster(account, kind, region.clone(), cluster.clone());
            say(scope(ScopeKind::Associations), listed, "eks:ListPodIdentityAssociations");
            say(scope(ScopeKind::AssociationDetails), detailed, "eks:DescribePodIdentityAssociation");
            let parts = |kind| {
                self.part_regions.contains(&(kind, region.clone()))
                    || self.part_clusters.contains(&(kind, region.clone(), cluster.clone()))
            };
            let (addons, entries) = (parts(ScopeKind::Addons), parts(ScopeKind::AccessEntries));
            say(scope(ScopeKind::Addons), addons, "eks:ListAddons");
            say(scope(ScopeKind::AccessEntries), entries, "eks:ListAccessEntries");
            let key = (region.clone(), cluster.clone());
            if let Some(own) = all_clusters.get_mut(&key) {
                own.addons = addons.then(|| self.addons.remove(&key).unwrap_or_default());
                own.access_entries = entries.then(|| self.access_entries.remove(&key).unwrap_or_default());
            }
        }

        out.account.get_or_insert(unnamed(account));
        out.clusters = all_clusters.into_values().collect();
        out.associations = self.associations.into_values().collect();
        out
    }
}

/// An account of which only the id is known.
fn unnamed(id: AccountId) -> Account {
    Account { id, name: None, ou_path: None, status: None, is_management: false }
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The bytes, without their compression.
fn plain(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    if !is_gzip(bytes) {
        return Ok(Cow::Borrowed(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)));
    }
    let mut out = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(bytes).take(MAX_DECOMPRESSED + 1).read_to_end(&mut out);
    let remedy = "give the file as it was written";
    match read {
        Err(error) => Err(Fault::new("", format!("not gzip: {error}"), remedy)),
        Ok(n) if u64::try_from(n).is_ok_and(|n| n > MAX_DECOMPRESSED) => {
            Err(Fault::new("", format!("more than {MAX_DECOMPRESSED} bytes when decompressed"), remedy))
        }
        Ok(_) => Ok(Cow::Owned(out)),
    }
}

/// Whether the beginning of the file shows CloudTrail records.
fn is_trail(bytes: &[u8]) -> bool {
    let mut head = Vec::with_capacity(HEAD);
    if is_gzip(bytes) {
        let limit = u64::try_from(HEAD).unwrap_or(u64::MAX);
        // A file that is cut off is told apart by what it begins with, too.
        let _ = flate2::read::MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut head);
    } else {
        head.extend(bytes.iter().take(HEAD));
    }
    let text = String::from_utf8_lossy(&head);
    let first_key = text.trim_start().strip_prefix('{').map(str::trim_start).unwrap_or_default();
    first_key.starts_with("\"Records\"")
        || text.contains("\"CloudTrailEvent\"")
        || (text.contains("\"eventSource\"") && text.contains("\"eventName\""))
        || (first_key.starts_with("\"Events\"") && text.contains("\"EventId\""))
}

fn kind_of(value: &Value) -> FileKind {
    let Some(map) = value.as_object() else { return FileKind::Unrecognised };
    let has = |key: &str| map.contains_key(key);
    let objects = |key: &str| map.get(key).and_then(Value::as_array).is_some_and(|l| l.iter().all(Value::is_object));
    let versions = || map.get("Policies").and_then(Value::as_array)?.first()?.get("PolicyVersionList");
    if has("RoleDetailList") || has("UserDetailList") || has("GroupDetailList") || versions().is_some() {
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
    let remedy = "give account authorization details, clusters, associations, CloudTrail records, \
                  organisation policies or the list of accounts, as the AWS CLI prints them";
    Fault::new("", "not a kind that is read", remedy)
}
