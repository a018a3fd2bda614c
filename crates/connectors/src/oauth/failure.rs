//! Why a request to an upstream failed, or what is wrong with its response.

use countersign_core::connector::ConnectorError;
use countersign_core::{ConnectorId, Trace};

/// Never contains a code, a token, a secret, or free text of the upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("the {endpoint} cannot be reached: {reason}")]
    Unreachable { endpoint: &'static str, reason: String },
    /// The TLS certificate is not accepted (expired, other host, unknown CA).
    #[error("the certificate of the {endpoint} is not acceptable: {reason}")]
    Certificate { endpoint: &'static str, reason: String },
    #[error("the {endpoint} did not answer in time")]
    Slow { endpoint: &'static str },
    #[error("the {endpoint} answered {status}{}", .code.map(|c| format!(" {c}")).unwrap_or_default())]
    Status { endpoint: &'static str, status: u16, code: Option<&'static str> },
    /// 429, or another status with `Retry-After` (RFC 9110 section 10.2.3).
    #[error("the {endpoint} answered {status}: too many requests, again in {seconds} s")]
    Later { endpoint: &'static str, status: u16, seconds: u64 },
    #[error("the {endpoint} answered with more than {limit_bytes} bytes")]
    TooLarge { endpoint: &'static str, limit_bytes: usize },
    #[error("the {endpoint} did not answer with the JSON that is expected of it")]
    NotJson { endpoint: &'static str },
    #[error("the answer of the {endpoint} lacks {what}")]
    Lacks { endpoint: &'static str, what: &'static str },
    #[error("the {endpoint} is not requested: {reason}")]
    NotSent { endpoint: &'static str, reason: &'static str },
    #[error("the ID token is refused: {0}")]
    IdToken(String),
    /// A claim or member is absent or has the wrong type; named without its value.
    #[error("{0}")]
    Person(String),
    /// A defect in our configuration, or in our registration at the upstream.
    #[error("{0}")]
    Configuration(String),
    /// A temporary failure that is none of the above.
    #[error("{0}")]
    Temporary(String),
}

impl UpstreamError {
    /// The error of the connector traits; its cause is noted in the trace.
    pub fn into_connector_error(self, upstream: &ConnectorId, trace: &mut Trace) -> ConnectorError {
        let cause = self.to_string();
        trace.note(format!("failed: {cause}"));
        let upstream = upstream.to_string();
        match self.missing() {
            None => ConnectorError::Unavailable { upstream, cause },
            Some(missing) => ConnectorError::Misconfigured { upstream, missing, cause },
        }
    }

    /// What an administrator must correct, as a sentence for the user. `None`: the failure is temporary.
    fn missing(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. }
            | Self::Slow { .. }
            | Self::Later { .. }
            | Self::Temporary(_) => return None,
            Self::Status { status, code, .. } if is_temporary(*status, *code) => return None,
            Self::Status { status, .. } => {
                format!("The identity provider refuses the requests of this server ({status}).")
            }
            Self::Person(what) => format!("The identity provider did not say who you are: {what}."),
            Self::Lacks { what, .. } => {
                format!("The answer of the identity provider lacks {what}.")
            }
            Self::IdToken(reason) => {
                format!("The ID token of the identity provider is not acceptable: {reason}.")
            }
            Self::Certificate { .. } => {
                "The certificate of the identity provider is not acceptable.".to_owned()
            }
            Self::TooLarge { .. } | Self::NotJson { .. } | Self::NotSent { .. } => {
                "The identity provider returned a response that cannot be used.".to_owned()
            }
            Self::Configuration(_) => "This login method is not configured correctly.".to_owned(),
        })
    }

    /// The kind of failure of a request without a usable response, for a span.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Certificate { .. } => "certificate",
            Self::Slow { .. } => "timeout",
            Self::TooLarge { .. } => "response_too_large",
            _ => "other",
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Later { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Server errors, 408 and 429 (RFC 9110 section 15), and the temporary error codes of RFC 6749 section 4.1.2.1.
fn is_temporary(status: u16, code: Option<&str>) -> bool {
    let retryable = matches!(code, Some("server_error" | "temporarily_unavailable"));
    retryable || matches!(status, 408 | 425 | 429 | 500..=599)
}

/// The user or their administrator denied the request. All other codes are faults of this server or the upstream.
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

/// Error codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, OpenID Connect Core 1.0 section 3.1.2.6.
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

/// GitHub's error codes, sent with status 200 instead of tokens, or to the callback.
const GITHUB: [&str; 6] = [
    "application_suspended",
    "bad_refresh_token",
    "bad_verification_code",
    "incorrect_client_credentials",
    "redirect_uri_mismatch",
    "unverified_user_email",
];

/// Whether a token endpoint's error means that the code or refresh token is invalid, so that a retry cannot succeed.
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

#[cfg(test)]
mod tests {
    use countersign_core::connector::ConnectorError;
    use countersign_core::{ConnectorId, Trace};

    use super::UpstreamError;

    #[test]
    fn only_what_passes_by_itself_is_unavailable() {
        let endpoint = "token endpoint";
        let status = |status, code| UpstreamError::Status { endpoint, status, code };
        for (error, unavailable) in [
            (UpstreamError::Unreachable { endpoint, reason: "refused".into() }, true),
            (UpstreamError::Slow { endpoint }, true),
            (UpstreamError::Later { endpoint, status: 503, seconds: 5 }, true),
            (UpstreamError::Temporary("busy".into()), true),
            (status(429, None), true),
            (status(500, None), true),
            (status(502, None), true),
            (status(400, Some("temporarily_unavailable")), true),
            (status(200, Some("server_error")), true),
            (status(400, Some("invalid_client")), false),
            (status(401, None), false),
            (status(403, None), false),
            (status(404, None), false),
            (UpstreamError::Certificate { endpoint, reason: "expired".into() }, false),
            (UpstreamError::TooLarge { endpoint, limit_bytes: 1 }, false),
            (UpstreamError::NotJson { endpoint }, false),
            (UpstreamError::Lacks { endpoint, what: "an ID token" }, false),
            (UpstreamError::NotSent { endpoint, reason: "no" }, false),
            (UpstreamError::IdToken("it has expired".into()), false),
            (UpstreamError::Person("the claim \"email\" is missing".into()), false),
            (UpstreamError::Configuration("redirectURI is wrong".into()), false),
        ] {
            let shown = error.to_string();
            let error =
                error.into_connector_error(&ConnectorId::new("corp"), &mut Trace::default());
            assert_eq!(error.cause(), shown);
            match error {
                ConnectorError::Unavailable { .. } => assert!(unavailable, "{shown}"),
                ConnectorError::Misconfigured { missing, .. } => {
                    assert!(!unavailable && missing.ends_with('.'), "{shown}: {missing}");
                }
            }
        }
    }
}
