//! How many rows a list has in all.

use crate::parse;
use serde::Serialize;

/// Totals are counted so far, and then said to be `at least`.
pub(crate) const COUNTED: i64 = 10_000;

/// How many there are in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "count", rename_all = "snake_case")]
pub enum Total {
    /// So many.
    Exact(u64),
    /// So many, and more.
    AtLeast(u64),
}

/// A count that stopped one after [`COUNTED`].
pub(crate) fn total(found: i64) -> Total {
    if found > COUNTED { Total::AtLeast(parse::count(COUNTED)) } else { Total::Exact(parse::count(found)) }
}
