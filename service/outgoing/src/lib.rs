//! Messages to services of others: webhooks and chat.
//!
//! Knows how a request is sent to an address that others chose: which addresses are refused, TLS, the signature of
//! Standard Webhooks, and what an answer means for the next attempt. Refuses to know findings' storage, SQL, AWS and
//! configuration files.

mod address;
mod retry;
mod send;
mod sign;
pub mod slack;
mod url;

pub use address::{Cidr, refusal};
pub use retry::{ATTEMPTS, delay};
pub use send::{Answer, Client, ClientError, Outcome, TIMEOUT};
pub use sign::{SecretError, SigningSecret, signature};
pub use url::{HttpsUrl, UrlError};
