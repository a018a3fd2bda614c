//! The errors printed on the terminal.

use countersign_core::Timestamp;

/// Why a command failed. Contains no token and no secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The issuer refused with an OAuth error (RFC 6749 sections 4.1.2.1 and 5.2).
    #[error("the issuer refused the request: {}{}", refusal(code, description.as_deref()), client_hint(code))]
    Refused { code: String, description: Option<String> },
    /// No response, no response in time, or a status of 500 or above.
    #[error("cannot reach {url}: {cause}{}", certificate_hint(cause))]
    Unreachable { url: String, cause: String },
    /// A response that violates OpenID Connect or RFC 6749.
    #[error("invalid response from {url}: {cause}")]
    InvalidResponse { url: String, cause: String },
    /// The login was not completed: timeout, or the browser was closed.
    #[error("login failed: {0}")]
    LoginFailed(String),
    /// Another process that this one waited for failed to log in.
    #[error("{reason} (another process tried to sign in at {at})")]
    FailedInAnotherProcess { at: Timestamp, reason: String },
    /// An earlier login failed, and nobody has typed at a terminal to start another.
    #[error(
        "the login at {at} failed ({reason}), and no browser is opened again without a person at a terminal.\n\
         Run:  {command}"
    )]
    NotInteractive { at: Timestamp, reason: String, command: String },
    /// There is no valid login, and this command does not start one.
    #[error("not signed in any more: {reason}.\nRun:  {command}")]
    SignedOut { reason: String, command: String },
    /// The tokens are in a keyring that cannot be read now, and no person is there to sign in instead.
    #[error(
        "the tokens of this login are in the system's keyring, and {problem}. \
         Make it available, or sign in here once more.\nRun:  {command}"
    )]
    KeyringUnavailable { problem: String, command: String },
    /// A problem with files, ports or arguments on this machine.
    #[error("{0}")]
    Local(String),
}

impl Error {
    /// Whether a refresh that failed with this error is followed by a new login. RFC 6749 section 5.2 has `invalid_grant`
    /// for that; Dex refuses a refresh token that it does not know with `invalid_request`. With a wrong client secret a
    /// new login would fail too.
    pub fn refuses_refresh_token(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                !["invalid_client", "temporarily_unavailable", "slow_down"].contains(&code.as_str())
                    && !self.is_server_error()
            }
            _ => false,
        }
    }

    /// The issuer failed, perhaps for good: Dex returns this also when its upstream refuses a refresh.
    pub fn is_server_error(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "server_error")
    }

    /// Whether the same request may succeed later without changes on this machine.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
            || matches!(self, Self::Refused { code, .. } if code == "temporarily_unavailable")
    }
}

/// Shows the description first, which is intended for users (RFC 6749 section 5.2).
fn refusal(code: &str, description: Option<&str>) -> String {
    match description.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => format!("{} ({code})", text.trim_end_matches('.')),
        None => code.to_owned(),
    }
}

/// Advice for the client: `invalid_client` is also the answer to an unknown one (RFC 6749 section 5.2).
fn client_hint(code: &str) -> &'static str {
    match code {
        "invalid_client" => {
            "\nThe issuer does not know this client, or expects a secret of it. Ask an administrator for the client of \
             kubectl, and name it with --client-id (in a kubeconfig: --oidc-client-id)"
        }
        _ => "",
    }
}

/// Advice for a certificate signed by an unknown authority.
fn certificate_hint(cause: &str) -> &'static str {
    // A self-signed certificate cannot be distinguished from an authority's.
    match ["UnknownIssuer", "CaUsedAsEndEntity"].iter().any(|kind| cause.contains(kind)) {
        true => {
            "\nThe server's certificate is signed by an authority that this machine does not trust. \
             Name that authority's file with --certificate-authority."
        }
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn a_refusal_shows_the_description_first() {
        let refused = |description: Option<&str>| {
            let description = description.map(str::to_owned);
            Error::Refused { code: "invalid_grant".to_owned(), description }.to_string()
        };
        assert_eq!(
            refused(Some("The session ended at 14:05.")),
            "the issuer refused the request: The session ended at 14:05 (invalid_grant)"
        );
        assert_eq!(refused(None), "the issuer refused the request: invalid_grant");
    }

    #[test]
    fn a_refused_client_is_explained() {
        let refused = Error::Refused { code: "invalid_client".to_owned(), description: None };
        assert!(refused.to_string().contains("--client-id"), "{refused}");
    }

    #[test]
    fn a_login_follows_a_refused_refresh_token_and_no_other_error() {
        for (code, is_refused) in [
            ("invalid_grant", true),
            // Dex, of a refresh token that it does not know.
            ("invalid_request", true),
            ("unauthorized_client", true),
            ("invalid_client", false),
            ("temporarily_unavailable", false),
            ("server_error", false),
        ] {
            let error = Error::Refused { code: code.to_owned(), description: None };
            assert_eq!(error.refuses_refresh_token(), is_refused, "{code}");
        }
        let cause = "the status is 502 Bad Gateway".to_owned();
        assert!(!Error::Unreachable { url: String::new(), cause }.refuses_refresh_token());
    }
}
