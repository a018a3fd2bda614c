//! Error codes upstreams answer with. Only known ones are repeated: what comes in a query was written by
//! the author of a link.

/// The user or their administrator denied it. Everything else is a fault of ours or the upstream's.
const DENIED: [&str; 9] = [
    "access_denied",
    "account_selection_required",
    "admin_policy_enforced",
    "consent_required",
    "interaction_required",
    "login_required",
    "org_internal",
    "user_cancelled_authorize",
    "user_cancelled_login",
];

/// RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, OpenID Connect Core 1.0 section 3.1.2.6.
const FAULTS: [&str; 17] = [
    "insufficient_scope",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "registration_not_supported",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// GitHub's, which it sends with status 200 in place of tokens, or to the callback.
const GITHUB: [&str; 6] = [
    "application_suspended",
    "bad_refresh_token",
    "bad_verification_code",
    "incorrect_client_credentials",
    "redirect_uri_mismatch",
    "unverified_user_email",
];

/// In place of tokens: the code or refresh token is no good, and a retry does not help.
pub(super) fn is_spent(code: &str) -> bool {
    matches!(
        code,
        "invalid_grant" | "bad_refresh_token" | "bad_verification_code" | "unverified_user_email"
    )
}

pub(super) fn known(code: &str) -> Option<&'static str> {
    DENIED.iter().chain(&FAULTS).chain(&GITHUB).find(|known| **known == code).copied()
}

pub(super) fn is_denial(code: &str) -> bool {
    DENIED.contains(&code)
}
