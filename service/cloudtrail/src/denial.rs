//! Which error codes of CloudTrail records are refusals for want of permission.

/// Whether an error code says that permission was wanting.
#[must_use]
pub fn is_denial(code: &str) -> bool {
    let code = code.strip_prefix("Client.").unwrap_or(code);
    code.starts_with("AccessDenied")
        || matches!(
            code,
            // By the policy of a VPC endpoint.
            "VpceAccessDenied"
                | "UnauthorizedOperation"
                | "Unauthorized"
                | "UnauthorizedException"
                | "UnauthorizedAccess"
                | "NotAuthorized"
                | "NotAuthorizedException"
                | "AuthorizationError"
                | "AuthorizationErrorException"
                | "AuthFailure"
                | "OperationNotPermitted"
                | "KMSAccessDeniedException"
                | "Forbidden"
                | "ForbiddenException"
        )
}
