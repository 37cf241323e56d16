//! What the fuzz targets run: one function for each target, over any bytes.
//!
//! The tests of the workspace run the same functions over `corpus/`, without the fuzzer: what was
//! once found stays found. Knows laws that hold for every input. Refuses to know how inputs are made.
//!
//! `cargo +nightly fuzz run decide NEW corpus/decide`, in this folder, writes what it finds to the
//! folder `NEW` and leaves the kept corpus as it is: what is worth keeping is copied by hand.

pub mod language;
pub mod records;
