//! What the fuzz targets run: one function for each target, over any bytes.
//!
//! The tests of the workspace run the same functions over `corpus/`, without the fuzzer: what was
//! once found stays found. Knows laws that hold for every input. Refuses to know how inputs are made.
//!
//! `cargo xtask fuzz` runs them; `docs/fuzzing.md` says how.

pub mod language;
pub mod records;
