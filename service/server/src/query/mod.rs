//! Questions that pages, API and command line ask alike: what each loads, and which pure function answers.

pub(crate) mod access_report;
pub(crate) mod assumable_by;
pub(crate) mod simulate;
pub(crate) mod unused;
pub(crate) mod usage;
pub(crate) mod what_if;
pub(crate) mod who_can;
