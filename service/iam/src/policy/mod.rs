//! A policy document: its syntax tree, how it is read and written, and what is worked out of it.

pub(crate) mod ast;
mod canonical;
pub(crate) mod compiled;
pub(crate) mod cost;
pub(crate) mod document;
pub(crate) mod index;
pub mod lint;
pub(crate) mod parse;
pub(crate) mod policy_type;
pub(crate) mod reach;
pub(crate) mod site;
