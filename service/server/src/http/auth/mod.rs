//! Who may come in.

pub mod config;
pub mod token;

pub use config::{AuthConfig, AuthMode, bind_allowed};
