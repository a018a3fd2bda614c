//! The errors that reach the terminal.

use countersign_core::Timestamp;

/// Everything that can end a command. Never holds a token or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The issuer refused with an OAuth error (RFC 6749 sections 4.1.2.1 and 5.2).
    #[error("the issuer refused the request: {}", refusal(code, description.as_deref()))]
    Refused { code: String, description: Option<String> },
    /// Nothing answered, or not in time, or with a status of 500 and above.
    #[error("cannot reach {url}: {cause}{}", certificate_hint(cause))]
    Unreachable { url: String, cause: String },
    /// A response that OpenID Connect or RFC 6749 does not allow.
    #[error("invalid response from {url}: {cause}")]
    InvalidResponse { url: String, cause: String },
    /// The login did not finish: timeout, browser closed.
    #[error("login failed: {0}")]
    LoginFailed(String),
    /// Another process failed to sign in while this one waited for it.
    #[error("{reason} (another process tried to sign in at {at})")]
    FailedInAnotherProcess { at: Timestamp, reason: String },
    /// An earlier login failed, and this process has no terminal on which a person could start another.
    #[error(
        "the login at {at} failed ({reason}), and no browser is opened again without a person at a terminal.\n\
         Run:  {command}"
    )]
    NotInteractive { at: Timestamp, reason: String, command: String },
    /// There is no valid login, and this command does not start one.
    #[error("not signed in any more: {reason}.\nRun:  {command}")]
    SignedOut { reason: String, command: String },
    /// Files, ports and arguments of this machine.
    #[error("{0}")]
    Local(String),
}

impl Error {
    /// True when the issuer refused the refresh token itself (RFC 6749 section 5.2).
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_grant")
    }

    /// True when the same request may succeed later without a change on this machine.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
            || matches!(self, Self::Refused { code, .. } if code == "temporarily_unavailable")
    }
}

/// The description is for people (RFC 6749 section 5.2) and comes first.
fn refusal(code: &str, description: Option<&str>) -> String {
    match description.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => format!("{} ({code})", text.trim_end_matches('.')),
        None => code.to_owned(),
    }
}

/// What to do about a certificate that is signed by an authority this machine does not know.
fn certificate_hint(cause: &str) -> &'static str {
    // A self-signed certificate cannot be distinguished from that of an authority.
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
}
