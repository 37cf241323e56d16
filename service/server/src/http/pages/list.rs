//! What stands around a list on its page: the form of its filters, the filters in force, its pages, what is said
//! where it is empty, and the same as a request to the API. Refuses to know what a row shows.

use super::parts::Seen;
use crate::http::export::What;
use crate::http::list_pages::{self, COLUMNS, ListPage, SORT};
use crate::http::listing::{Shown, Turns};
use crate::http::query::{Kind, Param, Params};
use crate::http::view::words;
use clap::ValueEnum as _;
use rolecall_store::Total;

/// A list that a page shows: where it is, what it is of, and what was asked for.
pub(crate) struct ListOf<'p> {
    /// The page.
    pub(crate) page: &'static ListPage,
    /// The same list in the API.
    pub(crate) api: &'static str,
    /// The filters of both.
    pub(crate) table: &'static [Param],
    /// One of its items.
    pub(crate) one: &'static str,
    /// Several of them.
    pub(crate) many: &'static str,
    /// What the search goes over.
    pub(crate) searched: &'static str,
    /// What was asked for.
    pub(crate) params: &'p Params,
}

/// What stands around the table of a list: its form, its pages, and the same as a request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListFrame {
    pub(crate) path: &'static str,
    pub(crate) q: String,
    pub(crate) searched: &'static str,
    pub(crate) selects: Vec<Select>,
    pub(crate) carried: Vec<(&'static str, String)>,
    pub(crate) chips: Vec<Chip>,
    pub(crate) pager: Pager,
    pub(crate) empty: Option<Empty>,
    pub(crate) curl: String,
    /// The list without its filters.
    pub(crate) clear: String,
}

impl ListFrame {
    /// The frame of a page of a list. `base` is the address that people use.
    pub(crate) fn new<R>(
        of: &ListOf<'_>,
        base: &str,
        selects: Vec<Select>,
        shown: &Shown<R>,
        total: Total,
        seen: &Seen,
    ) -> Self {
        let (path, params) = (of.page.path, of.params);
        let clear = params.only(&SHAPE).without("cursor").link(path);
        let fields: Vec<&str> = selects.iter().map(|select| select.name).chain(["q"]).collect();
        Self {
            path,
            q: params.text("q").unwrap_or_default().to_owned(),
            searched: of.searched,
            carried: carried(params, &fields),
            chips: chips(path, params, &["q"]),
            pager: Pager::new(path, params, &shown.turns, total_words(total, of.one, of.many)),
            empty: shown.rows.is_empty().then(|| empty(of.one, params.filters(), &clear, seen)),
            curl: curl(base, of.api, params, of.table),
            selects,
            clear,
        }
    }
}

/// The parameters that shape a list and leave all of its rows in it.
pub(crate) const SHAPE: [&str; 4] = ["limit", COLUMNS, SORT, "cursor"];

/// What stands where a list has nothing to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Empty {
    pub(crate) class: &'static str,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) href: String,
    pub(crate) link: String,
}

/// What stands in an empty list: told apart are *nothing there* and *not looked*.
pub(crate) fn empty(what: &str, filtered: bool, clear: &str, seen: &Seen) -> Empty {
    let (class, title, text) = if seen.state == "never" {
        ("unseen", "Not scanned yet".to_owned(), format!("No scan has finished, so no {what} is known."))
    } else if filtered {
        ("", format!("No {what} matches these filters"), "Change or clear the filters.".to_owned())
    } else if seen.state == "gaps" {
        let text = format!("No {what} was found, but coverage is incomplete: {}.", seen.title);
        ("unseen", format!("No {what} found, coverage incomplete"), text)
    } else {
        ("ok", format!("No {what}"), "Coverage is complete.".to_owned())
    };
    let (href, link) = match (seen.state, filtered) {
        ("never", _) => ("/scans", "Start a scan"),
        (_, true) => (clear, "Clear the filters"),
        ("gaps", _) => ("/accounts", "Coverage gaps"),
        _ => ("", ""),
    };
    Empty { class, title, text, href: href.to_owned(), link: link.to_owned() }
}

/// A filter in force, and the address without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chip {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) href: String,
}

/// The filters in force, without the parameters that only shape the list.
pub(crate) fn chips(path: &str, params: &Params, not: &[&str]) -> Vec<Chip> {
    let shown = params.iter().filter(|(name, _)| !not.contains(name) && !SHAPE.contains(name));
    let chip = |(name, value): (&str, &String)| Chip {
        name: name.replace('_', " "),
        value: value.clone(),
        href: params.without_value(name, value).link(path),
    };
    shown.flat_map(|(name, values)| values.iter().map(move |value| (name, value))).map(chip).collect()
}

/// A choice of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Select {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) options: Vec<Choice>,
}

/// A value to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

/// A choice of a filter: any, or one of `values`. A filter that holds several values keeps them as one choice.
pub(crate) fn select(
    name: &'static str,
    label: &'static str,
    values: impl IntoIterator<Item = (String, String)>,
    params: &Params,
) -> Select {
    select_or(name, label, "Any", values, params)
}

/// The same, with a word of its own for no choice.
pub(crate) fn select_or(
    name: &'static str,
    label: &'static str,
    any: &str,
    values: impl IntoIterator<Item = (String, String)>,
    params: &Params,
) -> Select {
    let now = params.list(name).join(",");
    let mut options = vec![Choice { value: String::new(), label: any.to_owned(), chosen: now.is_empty() }];
    options.extend(values.into_iter().map(|(value, label)| Choice { chosen: value == now, value, label }));
    if !options.iter().any(|choice| choice.chosen) {
        options.push(Choice { value: now.clone(), label: now.replace(',', ", "), chosen: true });
    }
    Select { name, label, options }
}

/// What a form must carry along: filters that it has no field for.
pub(crate) fn carried(params: &Params, fields: &[&str]) -> Vec<(&'static str, String)> {
    let kept = params.iter().filter(|(name, _)| !fields.contains(name) && *name != "cursor");
    kept.map(|(name, values)| (name, values.join(","))).collect()
}

/// Where a list goes on and where it came from, and how many rows a page has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pager {
    pub(crate) total: String,
    pub(crate) first: String,
    pub(crate) previous: String,
    pub(crate) next: String,
    /// Empty where all rows are on the page whatever its size.
    pub(crate) sizes: Vec<Size>,
    /// The rows that the filters leave as files: the form and the address.
    pub(crate) downloads: Vec<(&'static str, String)>,
}

/// A number of rows that a page may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u32,
    /// Empty: the page has so many.
    pub(crate) href: String,
}

const SIZES: [u32; 4] = [25, 50, 100, 250];

impl Pager {
    /// The pager of a page of a list; `total` says how many rows there are.
    pub(crate) fn new(path: &str, params: &Params, turns: &Turns, total: String) -> Self {
        let first = || params.without("cursor").link(path);
        let at = |cursor: &String| params.with("cursor", cursor).link(path);
        let now = params.limit(50);
        let size = |rows: u32| {
            let href = params.without("cursor").with("limit", &rows.to_string()).link(path);
            Size { rows, href: if rows == now { String::new() } else { href } }
        };
        let is_whole = turns.next.is_none() && params.text("cursor").is_none() && now <= 50;
        Self {
            total,
            first: params.text("cursor").map(|_| first()).unwrap_or_default(),
            previous: match &turns.previous {
                None => String::new(),
                Some(None) => first(),
                Some(Some(cursor)) => at(cursor),
            },
            next: turns.next.as_ref().map(at).unwrap_or_default(),
            sizes: if is_whole { Vec::new() } else { SIZES.map(size).into() },
            downloads: downloads(path, params),
        }
    }

    /// The same, with files of what other parameters leave.
    pub(crate) fn with_downloads(self, path: &str, params: &Params) -> Self {
        Self { downloads: downloads(path, params), ..self }
    }
}

fn downloads(path: &str, params: &Params) -> Vec<(&'static str, String)> {
    let list = path.rsplit('/').next().unwrap_or_default();
    let Ok(what) = What::from_str(list, false) else { return Vec::new() };
    let known: Vec<&str> = what.filters().iter().map(|param| param.name).collect();
    // A file of findings has an order of its own.
    let known: Vec<&str> = known.into_iter().filter(|name| what != What::Findings || *name != SORT).collect();
    let page = list_pages::ALL.into_iter().find(|page| page.path == path);
    let columns = page.map(|page| page.exported(params)).unwrap_or_default();
    let asked = params.only(&known);
    let asked = if columns.is_empty() { asked } else { asked.with_list(COLUMNS, &columns) };
    let link = asked.link(&format!("/download/{list}"));
    let join = if link.contains('?') { '&' } else { '?' };
    vec![("CSV", format!("{link}{join}format=csv")), ("NDJSON", format!("{link}{join}format=ndjson"))]
}

/// `1 204 findings`, `at least 10 000 findings`.
pub(crate) fn total_words(total: Total, one: &str, many: &str) -> String {
    let said = |n: u64| words::plural(i64::try_from(n).unwrap_or(i64::MAX), one, many);
    match total {
        Total::Exact(n) => said(n),
        Total::AtLeast(n) => format!("at least {}", said(n)),
    }
}

/// The same list as a request to the API.
pub(crate) fn curl(base: &str, api_path: &str, params: &Params, table: &[Param]) -> String {
    let known: Vec<&str> = table.iter().filter(|p| !matches!(p.kind, Kind::Cursor)).map(|p| p.name).collect();
    let link = params.only(&known).link(api_path);
    format!("curl -H \"Authorization: Bearer $ROLECALL_TOKEN\" \\\n  '{base}{link}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_there_and_not_scanned_read_differently() {
        let seen = |state, title: &str| Seen {
            state,
            title: title.to_owned(),
            text: String::new(),
            gaps: Vec::new(),
            more: 0,
        };
        let titles: Vec<String> = [
            empty("finding", false, "", &seen("never", "")),
            empty("finding", true, "/findings", &seen("complete", "")),
            empty("finding", false, "", &seen("gaps", "2 listings")),
            empty("finding", false, "", &seen("complete", "")),
        ]
        .map(|e| e.title)
        .to_vec();
        assert_eq!(
            titles,
            [
                "Not scanned yet",
                "No finding matches these filters",
                "No finding found, coverage incomplete",
                "No finding"
            ]
        );
    }
}
