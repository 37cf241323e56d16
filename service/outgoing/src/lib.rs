//! Messages to services of others: webhooks, chat and mail.
//!
//! Knows how a request or an e-mail is sent to an address that others chose: which addresses are refused, TLS, the
//! signature of Standard Webhooks, SMTP, and what an answer means for the next attempt. Refuses to know findings' storage, SQL, AWS and
//! configuration files.

mod address;
mod mail;
mod peer;
mod retry;
mod send;
mod sign;
pub mod slack;
mod smtp;
mod url;

pub use address::{Cidr, refusal};
pub use mail::{Mail, MailAddress, MailAddressError};
pub use peer::ClientError;
pub use retry::{ATTEMPTS, delay};
pub use send::{Answer, Client, Outcome, TIMEOUT};
pub use sign::{SecretError, SigningSecret, signature};
pub use smtp::{Login, MAIL_TIMEOUT, Posted, Relay, Security};
pub use url::{HttpsUrl, UrlError};
