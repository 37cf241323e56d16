//! The rule language from outside.

#[cfg(test)]
mod language;
