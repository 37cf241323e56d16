//! Where access leads, as a card: namespaces, the roles of their associations, and the accounts that these end up in.
//!
//! Refuses to know how bands are laid out.

use super::estate::PageContext;
use super::parts::{plural, role_href};
use crate::app::App;
use crate::http::error::AppError;
use crate::http::query::encode;
use crate::http::view::flow::{Chain, Flow, count, flow};
use crate::http::view::words::{self, short_name};
use rolecall_store::FlowRow;

/// So many ways are read, the largest.
const READ: u32 = 2_000;
/// So many are in the table.
const SHOWN: usize = 50;
/// So many characters of a name are drawn.
const LABEL: usize = 26;

/// A node with its name.
pub(super) struct NodeView {
    pub(super) x: u64,
    pub(super) w: u64,
    pub(super) y: String,
    pub(super) h: String,
    pub(super) text_x: &'static str,
    pub(super) text_y: String,
    pub(super) is_end: bool,
    pub(super) label: String,
    pub(super) title: String,
    pub(super) href: String,
}

/// A band with what it is.
pub(super) struct BandView {
    pub(super) path: String,
    pub(super) title: String,
}

/// A row of the table.
pub(super) struct FlowLine {
    pub(super) namespace: String,
    pub(super) namespace_href: String,
    pub(super) role: String,
    pub(super) role_href: String,
    pub(super) account: String,
    pub(super) n: String,
}

/// The card.
pub(super) struct FlowCard {
    pub(super) lead: String,
    pub(super) height: u64,
    pub(super) nodes: Vec<NodeView>,
    pub(super) bands: Vec<BandView>,
    pub(super) table: Vec<FlowLine>,
    pub(super) more: usize,
}

const KINDS: [(&str, &str); 3] = [("namespace", "namespaces"), ("role", "roles"), ("account", "accounts")];

impl FlowCard {
    /// The card of the latest scan; `None` where no association has a known role.
    pub(super) async fn load(app: &App, context: &PageContext) -> Result<Option<Self>, AppError> {
        let found = app.store.access_flow(READ).await?;
        let way = |row: &FlowRow| Chain {
            nodes: [
                row.namespace.clone(),
                row.role_arn.clone(),
                row.account_id.map(|id| id.to_string()).unwrap_or_default(),
            ],
            n: row.associations,
        };
        let ways: Vec<Chain> = found.rows.iter().map(way).collect();
        let Some(drawn) = flow(&ways) else { return Ok(None) };
        let numbers: Vec<String> =
            KINDS.iter().enumerate().map(|(at, (one, many))| plural(count(&ways, at), one, many)).collect();
        let drawn_associations: u64 = ways.iter().map(|way| way.n).sum();
        let left = found.associations.saturating_sub(drawn_associations);
        let mut lead = format!(
            "Associations by namespace, role and account: {} of {}.",
            words::plural(i64::try_from(drawn_associations).unwrap_or(i64::MAX), "association", "associations"),
            numbers.join(", ")
        );
        if left > 0 {
            lead = format!("{lead} {} more, of smaller groups, are left out.", words::count_u64(left));
        }
        if found.without_role > 0 {
            lead = format!("{lead} {} more have no known role.", words::count_u64(found.without_role));
        }
        Ok(Some(Self::new(&drawn, &found.rows, lead, context)))
    }

    fn new(drawn: &Flow, rows: &[FlowRow], lead: String, context: &PageContext) -> Self {
        let name = |column: usize, key: &str| match column {
            0 => key.to_owned(),
            1 => short_name(key).to_owned(),
            _ => key.parse().map_or_else(|_| "no account".to_owned(), |id| context.names.of(id)),
        };
        let called = |at: usize| {
            let node = drawn.nodes.get(at);
            node.map_or_else(String::new, |node| match &node.key {
                Some(key) => name(node.column, key),
                None => format!("{} others", node.of),
            })
        };
        let associations = |n: u64| words::plural(i64::try_from(n).unwrap_or(i64::MAX), "association", "associations");
        let nodes = drawn.nodes.iter().enumerate().map(|(at, node)| {
            let full = called(at);
            let kind = KINDS.get(node.column).map_or("", |(one, _)| one);
            let href = match (&node.key, node.column) {
                (Some(key), 0) => format!("/associations?namespace={}", encode(key)),
                (Some(key), 1) => format!("/associations?role_arn={}", encode(key)),
                (Some(key), _) if !key.is_empty() => format!("/roles?account_id={key}"),
                _ => "/associations".to_owned(),
            };
            let exact = node.key.as_deref().filter(|_| node.column == 1).unwrap_or(&full);
            NodeView {
                x: node.x,
                w: node.w,
                y: node.y.clone(),
                h: node.h.clone(),
                text_x: match node.column {
                    0 => "1.6",
                    1 => "51.1",
                    _ => "98.4",
                },
                text_y: node.text_y.clone(),
                is_end: node.column == 2,
                label: cut(&full),
                title: format!("{kind} {exact}: {}", associations(node.n)),
                href,
            }
        });
        let bands = drawn.bands.iter().map(|band| BandView {
            path: band.path.clone(),
            title: format!("{} to {}: {}", called(band.from), called(band.to), associations(band.n)),
        });
        let line = |row: &FlowRow| FlowLine {
            namespace: row.namespace.clone(),
            namespace_href: format!("/associations?namespace={}", encode(&row.namespace)),
            role: short_name(&row.role_arn).to_owned(),
            role_href: role_href(&row.role_arn),
            account: row.account_id.map_or_else(|| "no account".to_owned(), |id| context.names.of(id)),
            n: words::count_u64(row.associations),
        };
        Self {
            lead,
            height: drawn.height,
            nodes: nodes.collect(),
            bands: bands.collect(),
            table: rows.iter().take(SHOWN).map(line).collect(),
            more: rows.len().saturating_sub(SHOWN),
        }
    }
}

/// A name, without its end where it is long.
fn cut(name: &str) -> String {
    if name.chars().count() <= LABEL {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LABEL - 1).collect();
    format!("{kept}…")
}
