//! The store on a real PostgreSQL.

mod access;
mod embedded;
mod findings;
mod fixture;
mod jobs;
mod reads;
mod runs;
mod schema;
mod snapshot;
