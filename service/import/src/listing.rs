//! What files show of how much of a listing they hold.
//!
//! A listing proves that something is not there only where its form says that it is complete: AWS says
//! so (`IsTruncated: false`), or it lies in the estate layout and no token says that there is more.
//! Anything else shows what it holds, and no absence. Refuses to know what is listed.

use rolecall_estate::coverage::{GapReason, ScopeKind};
use rolecall_estate::id::{ClusterName, Region};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What is listed, and where: a scope without its account.
pub(super) type Listing = (ScopeKind, Option<Region>, Option<ClusterName>);

/// Fields by which AWS's services and the AWS CLI name the next page.
const TOKENS: [&str; 7] = [
    "nexttoken",
    "marker",
    "nextmarker",
    "continuationtoken",
    "nextcontinuationtoken",
    "startingtoken",
    "nextpagetoken",
];

/// How a value was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As AWS answers, or as the estate layout has it.
    Answer,
    /// Records one by one: descriptions that somebody gathered.
    Records,
    /// A list without what AWS puts around it, as `--query` prints.
    Bare,
}

/// What a page says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proof {
    /// Lacks what AWS always answers: somebody left it out.
    Thinned,
    /// Nothing.
    None,
    /// It lies where the estate layout has the complete listing.
    Layout,
    /// AWS says that it is the last.
    Stated,
}

/// One page of a listing.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The file.
    pub(super) path: String,
    /// Its place among the values of the file.
    pub(super) place: usize,
    /// What names the next page.
    pub(super) token: Option<String>,
    pub(super) proof: Proof,
}

/// What an answer says of further pages: `Some` names the next, however it is spelled.
pub(super) fn token(map: &Map<String, Value>) -> Option<String> {
    let mut cut = None;
    for (key, value) in map {
        let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        match value {
            Value::String(token) if !token.is_empty() && TOKENS.contains(&key.as_str()) => return Some(token.clone()),
            Value::Object(_) | Value::Number(_) if TOKENS.contains(&key.as_str()) => return Some(value.to_string()),
            Value::Bool(true) if key == "istruncated" => cut = Some(String::new()),
            Value::String(text) if key == "istruncated" && text.eq_ignore_ascii_case("true") => {
                cut = Some(String::new());
            }
            _ => {}
        }
    }
    cut
}

/// Whether AWS says that there are no further pages.
pub(super) fn is_last(map: &Map<String, Value>) -> bool {
    map.iter().any(|(key, value)| key.eq_ignore_ascii_case("istruncated") && *value == Value::Bool(false))
}

/// Whether pages make a complete listing, or why not. `stated`: whoever gives the files says that they
/// hold all there is. `shown`: something of the listing was seen.
pub(super) fn completeness(pages: &[&Page], shown: bool, stated: bool) -> Result<(), (GapReason, String)> {
    let (cut, last): (Vec<&Page>, Vec<&Page>) = pages.iter().partition(|page| page.token.is_some());
    if let Some(page) = cut.first() {
        let said = stated && !last.is_empty() && are_distinct(&cut);
        if !said && !are_chained(pages) {
            return Err((GapReason::Truncated, format!("{} is one page of several", page.path)));
        }
    }
    let best = last.iter().map(|page| page.proof).max();
    match best {
        Some(Proof::Layout | Proof::Stated) => Ok(()),
        Some(_) if stated => Ok(()),
        None if stated && shown => Ok(()),
        Some(Proof::Thinned) => {
            let path = last.first().map_or("", |page| page.path.as_str());
            Err((GapReason::Filtered, format!("{path} lacks what AWS always lists")))
        }
        None if !shown => Err((GapReason::NotProvided, "no file holds it".to_owned())),
        Some(Proof::None) | None => {
            let path = last.first().map_or("no file", |page| page.path.as_str());
            Err((GapReason::Unproven, format!("{path} cannot show that it holds all there is")))
        }
    }
}

fn are_distinct(pages: &[&Page]) -> bool {
    let named: Vec<&str> = pages.iter().filter_map(|page| page.token.as_deref()).filter(|t| !t.is_empty()).collect();
    named.iter().collect::<BTreeSet<_>>().len() == named.len()
}

/// Whether nothing is missing between pages: one after the other in one file, or in files that are
/// numbered without a hole; each but the last names a next, and no two the same.
fn are_chained(pages: &[&Page]) -> bool {
    let numbers: Option<Vec<(&str, u64)>> = pages.iter().map(|page| numbered(&page.path)).collect();
    let in_one = pages.iter().all(|page| pages.first().is_some_and(|first| first.path == page.path));
    let mut ordered: Vec<(u64, usize, &Page)> = match numbers {
        _ if in_one => pages.iter().map(|page| (0, page.place, *page)).collect(),
        Some(numbers) if numbers.iter().all(|(stem, _)| numbers.first().is_some_and(|first| first.0 == *stem)) => {
            let known: BTreeSet<u64> = numbers.iter().map(|(_, number)| *number).collect();
            let first = known.first().copied().unwrap_or(0);
            if first > 1 || !known.iter().zip(first..).all(|(number, wanted)| *number == wanted) {
                return false;
            }
            numbers.iter().zip(pages).map(|((_, number), page)| (*number, page.place, *page)).collect()
        }
        _ => return false,
    };
    ordered.sort_by_key(|(number, place, _)| (*number, *place));
    let Some(((_, _, last), before)) = ordered.split_last() else { return false };
    last.token.is_none()
        && before.iter().all(|(_, _, page)| page.token.is_some())
        && are_distinct(&before.iter().map(|(_, _, page)| *page).collect::<Vec<_>>())
}

/// A path's beginning, and the number at the end of the file's name.
fn numbered(path: &str) -> Option<(&str, u64)> {
    let stem = ["gz", "json", "txt"]
        .iter()
        .fold(path, |stem, end| stem.strip_suffix(end).and_then(|stem| stem.strip_suffix('.')).unwrap_or(stem));
    let name = stem.trim_end_matches(|last: char| last.is_ascii_digit());
    let number = stem.get(name.len()..)?.parse().ok()?;
    Some((name, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(path: &str, place: usize, token: Option<&str>) -> Page {
        Page { path: path.to_owned(), place, token: token.map(str::to_owned), proof: Proof::Layout }
    }

    fn verdict(pages: &[Page], stated: bool) -> Option<GapReason> {
        completeness(&pages.iter().collect::<Vec<_>>(), true, stated).err().map(|(reason, _)| reason)
    }

    #[test]
    fn a_token_is_known_in_any_spelling() {
        for (answer, is_cut) in [
            (json!({"NextToken": "x"}), true),
            (json!({"nextToken": "x"}), true),
            (json!({"next_token": "x"}), true),
            (json!({"Marker": "x"}), true),
            (json!({"NextMarker": "x"}), true),
            (json!({"IsTruncated": true}), true),
            (json!({"isTruncated": "true"}), true),
            (json!({"NextToken": {"Marker": null}}), true),
            (json!({"NextToken": null}), false),
            (json!({"nextToken": "", "IsTruncated": false}), false),
            (json!({}), false),
        ] {
            assert_eq!(token(answer.as_object().unwrap()).is_some(), is_cut, "{answer}");
        }
    }

    #[test]
    fn pages_are_complete_where_none_can_be_missing() {
        let truncated = Some(GapReason::Truncated);
        let cases: [(&[Page], Option<GapReason>, Option<GapReason>); 8] = [
            (&[page("a.json", 0, Some("1"))], truncated, truncated),
            (&[page("p-1.json", 0, Some("1")), page("p-2.json", 0, None)], None, None),
            (&[page("p-2.json", 0, Some("2")), page("p-1.json", 0, Some("1")), page("p-3.json", 0, None)], None, None),
            (&[page("p-1.json", 0, Some("1")), page("p-3.json", 0, None)], truncated, None),
            (&[page("p-1.json", 0, Some("1")), page("p-2.json", 0, Some("1"))], truncated, truncated),
            (&[page("first.json", 0, Some("1")), page("rest.json", 0, None)], truncated, None),
            (&[page("all.json", 0, Some("1")), page("all.json", 1, Some("2")), page("all.json", 2, None)], None, None),
            (&[page("all.json", 0, None), page("all.json", 1, Some("1"))], truncated, None),
        ];
        for (n, (pages, alone, stated)) in cases.iter().enumerate() {
            assert_eq!((verdict(pages, false), verdict(pages, true)), (*alone, *stated), "case {n}");
        }
    }

    #[test]
    fn a_form_that_says_nothing_proves_nothing() {
        let with = |proof| Page { proof, ..page("a.json", 0, None) };
        for (proof, alone) in [
            (Proof::Stated, None),
            (Proof::Layout, None),
            (Proof::None, Some(GapReason::Unproven)),
            (Proof::Thinned, Some(GapReason::Filtered)),
        ] {
            assert_eq!((verdict(&[with(proof)], false), verdict(&[with(proof)], true)), (alone, None), "{proof:?}");
        }
        assert_eq!(completeness(&[], false, true).unwrap_err().0, GapReason::NotProvided);
        assert_eq!(completeness(&[], true, false).unwrap_err().0, GapReason::Unproven);
        assert!(completeness(&[], true, true).is_ok());
    }
}
