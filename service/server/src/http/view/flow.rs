//! How associations lead from namespaces by roles to accounts, as bands of an SVG drawn on the server.
//!
//! Heights are in pixels, and widths in thousandths of the width. Of many nodes the largest are drawn, and the others
//! together. Refuses to know where a node leads.

use std::collections::{BTreeMap, BTreeSet};

/// So many nodes of each column are drawn by themselves.
const NODES: [usize; 3] = [10, 12, 8];
/// The least height of a node, and the room between two, in pixels: a node can be hit.
const LEAST: u64 = 14;
const GAP: u64 = 10;
/// Pixels that are shared out by size.
const SHARED: u64 = 160;
/// Where each column begins and how wide it is, in thousandths.
const COLUMNS: [u64; 3] = [0, 495, 990];
const WIDTH: u64 = 10;
/// Parts of a pixel that heights are counted in.
const PARTS: u64 = 100;

/// What flows by one way: a name in each column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The key of the node in each column.
    pub nodes: [String; 3],
    /// How much.
    pub n: u64,
}

/// A node as drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its column.
    pub column: usize,
    /// Its key; `None`: all that are not drawn by themselves.
    pub key: Option<String>,
    /// How many nodes it stands for.
    pub of: usize,
    /// How much flows through it.
    pub n: u64,
    /// Left edge, in thousandths.
    pub x: u64,
    /// Width, in thousandths.
    pub w: u64,
    /// Top, in pixels.
    pub y: String,
    /// Height, in pixels.
    pub h: String,
    /// Where its name stands.
    pub text_y: String,
}

/// A band from a node to one of the next column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// The nodes, by their place in [`Flow::nodes`].
    pub from: usize,
    /// See `from`.
    pub to: usize,
    /// How much.
    pub n: u64,
    /// The outline, as an SVG path.
    pub path: String,
}

/// The drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Column by column, the largest first.
    pub nodes: Vec<Node>,
    /// Bands.
    pub bands: Vec<Band>,
    /// Its height, in pixels.
    pub height: u64,
}

fn pixels(parts: u64) -> String {
    format!("{}.{:02}", parts / PARTS, parts % PARTS)
}

/// The nodes of a column, the largest first, by themselves as many as are drawn so: key and size; and how many others.
type Column = (Vec<(Option<String>, u64)>, usize);

fn column(ways: &[Chain], at: usize, most: usize) -> Column {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for way in ways {
        *sizes.entry(way.nodes.get(at).map_or("", String::as_str)).or_default() += way.n;
    }
    let mut sorted: Vec<(&str, u64)> = sizes.into_iter().collect();
    sorted.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
    // One that would stand alone as the others is drawn by itself.
    let drawn = if sorted.len() <= most + 1 { sorted.len() } else { most };
    let rest: u64 = sorted.iter().skip(drawn).map(|(_, n)| n).sum();
    let others = sorted.len() - drawn;
    let mut nodes: Vec<(Option<String>, u64)> =
        sorted.into_iter().take(drawn).map(|(key, n)| (Some(key.to_owned()), n)).collect();
    if others > 0 {
        nodes.push((None, rest));
    }
    (nodes, others)
}

/// Draws what flows; `None` where nothing does.
#[must_use]
pub fn flow(ways: &[Chain]) -> Option<Flow> {
    let total: u64 = ways.iter().map(|way| way.n).sum();
    if total == 0 {
        return None;
    }
    let columns: Vec<Column> = NODES.iter().enumerate().map(|(at, most)| column(ways, at, *most)).collect();
    let rows = columns.iter().map(|(nodes, _)| nodes.len()).max().unwrap_or(0);
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    let height = SHARED + rows * (LEAST + GAP);
    let size = |n: u64| n * SHARED * PARTS / total;
    let mut nodes: Vec<Node> = Vec::new();
    let mut tops: Vec<u64> = Vec::new();
    for (at, (column, others)) in columns.iter().enumerate() {
        let mut y = GAP * PARTS / 2;
        for (key, n) in column {
            let h = LEAST * PARTS + size(*n);
            nodes.push(Node {
                column: at,
                of: if key.is_some() { 1 } else { *others },
                key: key.clone(),
                n: *n,
                x: COLUMNS.get(at).copied().unwrap_or_default(),
                w: WIDTH,
                y: pixels(y),
                h: pixels(h),
                text_y: pixels(y + h / 2 + 4 * PARTS),
            });
            // Bands stand in the middle of the least height.
            tops.push(y + LEAST * PARTS / 2);
            y += h + GAP * PARTS;
        }
    }
    let place = |at: usize, key: &str| {
        let own = |node: &Node| node.column == at && node.key.as_deref() == Some(key);
        let others = |node: &Node| node.column == at && node.key.is_none();
        nodes.iter().position(own).or_else(|| nodes.iter().position(others))
    };
    let mut joined: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for way in ways {
        let [a, b, c] = &way.nodes;
        let (a, b, c) = (place(0, a)?, place(1, b)?, place(2, c)?);
        *joined.entry((a, b)).or_default() += way.n;
        *joined.entry((b, c)).or_default() += way.n;
    }
    let mut left = tops.clone();
    let mut right = tops;
    let mut bands = Vec::new();
    for ((from, to), n) in joined {
        let (begin, end) = (nodes.get(from)?, nodes.get(to)?);
        let h = size(n);
        let (x0, x1) = (begin.x + begin.w, end.x);
        let middle = u64::midpoint(x0, x1);
        let (y0, y1) = (*left.get(from)?, *right.get(to)?);
        *left.get_mut(from)? += h;
        *right.get_mut(to)? += h;
        let (a, b, c, d) = (pixels(y0), pixels(y1), pixels(y1 + h.max(PARTS)), pixels(y0 + h.max(PARTS)));
        let path = format!("M{x0} {a}C{middle} {a} {middle} {b} {x1} {b}L{x1} {c}C{middle} {c} {middle} {d} {x0} {d}Z");
        bands.push(Band { from, to, n, path });
    }
    Some(Flow { nodes, bands, height })
}

/// How many different nodes a column has.
#[must_use]
pub fn count(ways: &[Chain], column: usize) -> usize {
    ways.iter().filter_map(|way| way.nodes.get(column)).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chain(nodes: [&str; 3], n: u64) -> Chain {
        Chain { nodes: nodes.map(str::to_owned), n }
    }

    #[test]
    fn bands_join_what_flows() {
        assert_eq!(flow(&[]), None);
        let drawn = flow(&[chain(["a", "r", "1"], 3), chain(["b", "r", "1"], 1), chain(["b", "s", "2"], 1)]).unwrap();
        let keys: Vec<_> = drawn.nodes.iter().map(|node| (node.column, node.key.as_deref().unwrap(), node.n)).collect();
        assert_eq!(keys, [(0, "a", 3), (0, "b", 2), (1, "r", 4), (1, "s", 1), (2, "1", 4), (2, "2", 1)]);
        let joined: Vec<_> = drawn.bands.iter().map(|band| (band.from, band.to, band.n)).collect();
        assert_eq!(joined, [(0, 2, 3), (1, 2, 1), (1, 3, 1), (2, 4, 4), (3, 5, 1)]);
    }

    proptest! {
        /// However much there is: nothing is lost, and it stays small and inside its height.
        #[test]
        fn nothing_is_lost(ways in prop::collection::vec(((0..40_u8, 0..60_u8, 0..20_u8), 1..1000_u64), 1..200)) {
            let ways: Vec<Chain> = ways
                .into_iter()
                .map(|((a, b, c), n)| Chain { nodes: [a, b, c].map(|key| key.to_string()), n })
                .collect();
            let total: u64 = ways.iter().map(|way| way.n).sum();
            let drawn = flow(&ways).unwrap();
            for (at, most) in NODES.into_iter().enumerate() {
                let own = drawn.nodes.iter().filter(|node| node.column == at);
                prop_assert_eq!(own.clone().map(|node| node.n).sum::<u64>(), total);
                prop_assert_eq!(own.clone().map(|node| node.of).sum::<usize>(), count(&ways, at));
                prop_assert!(own.clone().count() <= most + 1);
                for node in own {
                    let end: f64 = node.y.parse::<f64>().unwrap() + node.h.parse::<f64>().unwrap();
                    let height = f64::from(u32::try_from(drawn.height).unwrap());
                    prop_assert!(end <= height, "{} over {}", end, height);
                }
            }
            for side in [0, 1] {
                let of = |band: &&Band| drawn.nodes[band.from].column == side;
                prop_assert_eq!(drawn.bands.iter().filter(of).map(|band| band.n).sum::<u64>(), total);
            }
        }
    }
}
