//! How the `Principal` element of a statement names a requester.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>.

use crate::evaluate::request::Request;
use crate::evaluate::requester::{Kind, Requester};
use crate::policy::ast::Principal;
use crate::truth::Why;

/// How a policy's Allow counts for the requester, by how its principals name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PrincipalMatch {
    /// They do not.
    None,
    /// They name its account: the account's own policies must allow too.
    Account,
    /// They name its role: boundary and session policy still limit.
    Role,
    /// They name the session, the user, the service, or everyone.
    Direct,
}

/// Whether an element of `Principal` names the requester, and how.
pub(super) fn names(principal: &Principal, request: &Request) -> Result<PrincipalMatch, Why> {
    let when = |named: bool, matched: PrincipalMatch| Ok(if named { matched } else { PrincipalMatch::None });
    match (principal, request.principal()) {
        (Principal::Everyone, _) => Ok(PrincipalMatch::Direct),
        (Principal::Other { kind, .. }, _) => {
            Err(Why::NotUnderstood(format!("the principal type `{kind}` is not understood")))
        }
        (Principal::Service(name), Requester::Service(own)) => {
            when(name.eq_ignore_ascii_case(own), PrincipalMatch::Direct)
        }
        (Principal::Federated(name), Requester::Federated(own)) => when(name == own, PrincipalMatch::Direct),
        (Principal::CanonicalUser(id), Requester::Principal { .. }) => {
            let id = id.get(..12).unwrap_or(id);
            Err(Why::NotSeen(
                format!("whether the canonical user `{id}` is the requester's account was not seen").into(),
            ))
        }
        (Principal::Aws(text), Requester::Principal { arn, unique_id }) => {
            let kind = request.kind();
            let own = match kind {
                Kind::Root => PrincipalMatch::Account,
                Kind::Role => PrincipalMatch::Role,
                _ => PrincipalMatch::Direct,
            };
            if text == arn.as_str() {
                return Ok(own);
            }
            if let Some(id) = unique_id
                && id.split(':').next() == Some(text)
            {
                return Ok(if kind == Kind::Session { PrincipalMatch::Role } else { own });
            }
            if text.len() == 12 {
                return when(text == arn.account(), PrincipalMatch::Account);
            }
            let mut segments = text.splitn(6, ':').skip(2);
            let (Some(service), Some(_), Some(account), Some(name)) =
                (segments.next(), segments.next(), segments.next(), segments.next())
            else {
                return Ok(PrincipalMatch::None);
            };
            // Account ids are unique over all partitions.
            if account != arn.account() {
                return Ok(PrincipalMatch::None);
            }
            if service == "iam" && name == "root" {
                return Ok(PrincipalMatch::Account);
            }
            match (kind, service) {
                // A session is named by its role too. Its own ARN lacks the role's path, and role
                // names are unique in an account whatever their path.
                (Kind::Session, "iam") => {
                    let role = name.strip_prefix("role/").and_then(|path| path.rsplit('/').next());
                    when(role.is_some() && role == request.principal().role_name(), PrincipalMatch::Role)
                }
                // Its own ARN does not name the user who federated; the guide's have the same name.
                (Kind::FederatedUser, "iam") => {
                    let user = name.strip_prefix("user/").and_then(|path| path.rsplit('/').next());
                    when(user.is_some() && user == arn.resource().strip_prefix("federated-user/"), PrincipalMatch::Role)
                }
                _ => Ok(PrincipalMatch::None),
            }
        }
        _ => Ok(PrincipalMatch::None),
    }
}
