//! What can go wrong, in words for the terminal.

/// Everything the helper reports to the engineer. Never holds a token or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The issuer refused with an OAuth error (RFC 6749 sections 4.1.2.1 and 5.2).
    #[error("the issuer refused: {code}{}", description.as_deref().map(|d| format!(": {d}")).unwrap_or_default())]
    Refused { code: String, description: Option<String> },
    /// Nothing answered, or not in time, or with a status of 500 and above.
    #[error("cannot reach {url}: {cause}")]
    Unreachable { url: String, cause: String },
    /// The issuer answered something that OpenID Connect does not allow.
    #[error("{url} gave an invalid response: {cause}")]
    InvalidResponse { url: String, cause: String },
    /// The login did not finish: timeout, wrong `state`, browser closed.
    #[error("login failed: {0}")]
    LoginFailed(String),
    /// An earlier login failed and nobody is there to be asked again.
    #[error(
        "the last login failed and this is not an interactive terminal, so no browser is opened again; \
         run: kubectl-countersign get-token --force-refresh with the same flags"
    )]
    NotInteractive,
    /// The machine's own part: files, ports, arguments.
    #[error("{0}")]
    Local(String),
}

impl Error {
    /// True when the issuer said that this refresh token is of no use any more.
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_grant")
    }

    /// True when the same call may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
            || matches!(self, Self::Refused { code, .. } if code == "temporarily_unavailable")
    }
}
