//! The private PostgreSQL, started for real.

#[cfg(test)]
mod private;
