//! Where a file lies, and what that says of it.

use super::listing;
use super::listing::{Page, Proof, Shape};
use chrono::NaiveDate;
use rolecall_cloudtrail::ProblemKind;
use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use serde_json::Value;

/// Where a file lies, as far as its path says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AccountRegion {
    pub(super) account: Option<AccountId>,
    pub(super) region: Option<Region>,
    /// The day under which CloudTrail puts it.
    pub(super) day: Option<NaiveDate>,
}

/// Whose trail a file is, and of which region, by where CloudTrail puts it in a bucket.
#[must_use]
pub fn trail_place(path: &str) -> Option<(AccountId, Region)> {
    let place = AccountRegion::new(path);
    place.account.zip(place.region)
}

/// The day under which CloudTrail puts a file in a bucket.
#[must_use]
pub fn trail_day(path: &str) -> Option<NaiveDate> {
    AccountRegion::new(path).day
}

/// The gap that a trail file leaves in the sessions of its place: it is broken, or one page of several.
#[must_use]
pub fn trail_gap(place: (AccountId, Region), path: &str, what: ProblemKind) -> Gap {
    let scope = Scope::regional(place.0, ScopeKind::Sessions, place.1);
    let reason = if what == ProblemKind::Page { GapReason::Truncated } else { GapReason::Malformed };
    let (action, detail) = ("cloudtrail:LookupEvents".to_owned(), format!("in {path}"));
    Gap { scope, action, reason, detail, day: trail_day(path) }
}

impl AccountRegion {
    /// The account is the last part that is an account id; the region follows it, at once or after
    /// `CloudTrail`, and the day as year, month and day follows the region.
    pub(super) fn new(path: &str) -> Self {
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

/// The value that is being read, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) place: &'a AccountRegion,
    /// Its place among the values of the file.
    pub(super) value: usize,
    pub(super) shape: Shape,
}

impl Source<'_> {
    /// Whether the file lies where the estate layout has what is of the account: `iam/<account>/…`.
    pub(super) fn is_below(&self, folder: &str) -> bool {
        let folders = self.path.split('/');
        folders.clone().zip(folders.skip(1)).any(|(part, next)| part == folder && next.parse::<AccountId>().is_ok())
    }

    /// Whether the file lies in a folder of this name.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|part| part == folder)
    }

    /// Whether the file has this name, but for its ending.
    pub(super) fn is_named(&self, stem: &str) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.strip_prefix(stem).is_some_and(|rest| matches!(rest, ".json" | ".json.gz"))
    }

    /// The page that a value is, if it is a list as AWS answers it. `layout`: the complete listing would
    /// lie where the file does.
    pub(super) fn page(&self, value: &Value, layout: bool) -> Page {
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
