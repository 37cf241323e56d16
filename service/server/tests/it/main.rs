//! The service, from outside: the built binary, the crates' borders, and the walk over a sandbox.

mod architecture;
mod cli;
mod faults;
mod support;
