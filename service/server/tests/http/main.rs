//! The dashboard and the API, from outside, over the demo estate and a real database.

mod api;
mod auth;
mod pages;
mod support;
