//! What shapes a list on its page: its headings with the orders, the columns to choose, and its saved views.
//!
//! Refuses to know which list it is: everything follows from its declaration.

use super::list::{Choice, carried};
use crate::app::App;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::list_pages::{COLUMNS, Column, Columns, ListPage, Order, SORT, When};
use crate::http::query::Params;
use crate::http::views::short_address;

/// A heading of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) label: &'static str,
    pub(crate) class: &'static str,
    /// The list in an order by this column; empty where there is none.
    pub(crate) href: String,
    /// The order of the column, as `aria-sort` names it; empty where the list is not in one.
    pub(crate) sorted: &'static str,
}

/// A column that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) shown: bool,
}

/// A saved view of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViewLink {
    pub(crate) name: String,
    pub(crate) href: String,
    /// Who gave it to everybody; empty of what is one's own.
    pub(crate) owner: String,
}

/// What shapes a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListTools {
    pub(crate) path: &'static str,
    pub(crate) heads: Vec<Head>,
    pub(crate) columns: Columns,
    pub(crate) picks: Vec<Pick>,
    /// A column that is always shown: it is sent with every choice, so that to choose no other is a choice.
    pub(crate) always: &'static str,
    pub(crate) orders: Vec<Choice>,
    /// What the form of columns and order carries along.
    pub(crate) carried: Vec<(&'static str, String)>,
    /// The list in its usual shape.
    pub(crate) usual: String,
    pub(crate) views: Vec<ViewLink>,
    /// The list as it is, to be saved.
    pub(crate) here: String,
}

impl ListTools {
    /// What shapes a list as it is asked for, with the views of it that the person has.
    pub(crate) async fn load(
        app: &App,
        chrome: &Chrome,
        page: &'static ListPage,
        params: &Params,
    ) -> Result<Self, AppError> {
        let person = chrome.person.as_deref().unwrap_or_default();
        let views = app.store.saved_views(person).await?.into_iter().filter(|view| view.path == page.path);
        let views = views.map(|view| ViewLink {
            href: short_address(&view),
            owner: if view.owner == person { String::new() } else { view.owner },
            name: view.name,
        });
        Ok(Self { views: views.collect(), ..Self::new(page, params) })
    }

    fn new(page: &'static ListPage, params: &Params) -> Self {
        let columns = page.shown(params);
        let order = page.order(params);
        let shown = page.columns.iter().filter(|column| columns.has(column.name));
        let picks = page.columns.iter().filter(|column| column.when != When::Always);
        let orders = page.columns.iter().flat_map(|column| column.orders);
        let choice =
            |it: &Order| Choice { value: it.name.to_owned(), label: it.label.to_owned(), chosen: it.name == order };
        let orders: Vec<Choice> = orders.map(choice).collect();
        Self {
            path: page.path,
            heads: shown.map(|column| head(page, params, column, order)).collect(),
            picks: picks.map(|it| Pick { name: it.name, label: it.label, shown: columns.has(it.name) }).collect(),
            always: page.columns.iter().find(|it| it.when == When::Always).map_or("", |it| it.name),
            orders: if orders.len() > 1 { orders } else { Vec::new() },
            carried: carried(params, &[COLUMNS, SORT]),
            usual: params.without(COLUMNS).without(SORT).link(page.path),
            views: Vec::new(),
            here: params.without("cursor").link(page.path),
            columns,
        }
    }
}

/// The heading of a column. It leads to its first order, or where the list is in that one, to the next.
fn head(page: &ListPage, params: &Params, column: &Column, order: &str) -> Head {
    let now = column.orders.iter().position(|it| it.name == order);
    let next = match now {
        None => column.orders.first(),
        Some(at) => column.orders.get(at + 1).or_else(|| column.orders.first()),
    };
    let ascending = now.and_then(|at| column.orders.get(at)).map(|it| it.ascending);
    // A list that has one order alone has none to choose.
    let is_choice = page.columns.iter().map(|it| it.orders.len()).sum::<usize>() > 1;
    Head {
        label: column.label,
        class: match column.name {
            _ if column.number => "num",
            // Its texts are the longest of the table.
            "finding" => "roomy-head",
            _ => "",
        },
        href: match next {
            Some(next) if is_choice => params.with(SORT, next.name).link(page.path),
            _ => String::new(),
        },
        sorted: match ascending {
            Some(true) => "ascending",
            Some(false) => "descending",
            None => "",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::list_pages::FINDINGS;

    #[test]
    fn headings_lead_to_orders_and_keep_the_filters() {
        let params = FINDINGS.parse(Some("severity=high&columns=opened&sort=opened&limit=25&cursor=x")).unwrap();
        let tools = ListTools::new(&FINDINGS, &params);
        let said: Vec<_> = tools.heads.iter().map(|it| (it.label, it.sorted, it.href.as_str())).collect();
        let opened = said.iter().find(|it| it.0 == "Opened").unwrap();
        assert_eq!(opened.1, "descending");
        let severity = said.first().unwrap();
        assert_eq!(*severity, ("Severity", "", "/findings?severity=high&columns=opened&limit=25&sort=severity"));
        assert!(tools.here.ends_with("limit=25") && !tools.here.contains("cursor"), "{}", tools.here);
        assert_eq!(tools.usual, "/findings?severity=high&limit=25");
    }
}
