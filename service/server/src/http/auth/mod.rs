//! Who may come in, and to what.
//!
//! Programs bring tokens; people bring a session cookie that a one-time link gave them, or the name
//! that a trusted proxy gives. What an address requires stands beside the address, in its route.

mod gate;
mod oidc;
mod refusals;
mod sign_in;
pub mod token;
mod visits;

pub(crate) use gate::gate;
pub(crate) use oidc::{authorize, callback, end as end_at_provider};
pub(crate) use sign_in::IDLE;
pub use sign_in::{LoginError, login_url, login_url_for};
pub(crate) use sign_in::{sign_in, sign_out};
pub(crate) use visits::Visits;
