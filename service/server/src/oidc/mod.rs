//! OpenID Connect: signing in by the authorization code flow with PKCE.
//!
//! Follows OpenID Connect Core 1.0 (section 3.1), Discovery 1.0, RP-Initiated Logout 1.0, RFC 7636 (PKCE) and RFC 9207
//! (`iss`). Refuses to know what a person may do, cookies and pages.

mod client;
mod id_token;
mod provider;

pub use id_token::{Claims, IdTokenError, KeySet};
pub use provider::{Attempt, OidcError, Provider};
