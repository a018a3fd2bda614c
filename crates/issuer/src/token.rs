//! Token requests (RFC 6749 section 5): each grant type has its own file, and [`issue`] signs the tokens.
//!
//! Steps common to all grants, such as client authentication, are performed by the caller.

mod audience;
mod client_credentials;
mod code;
mod device_code;
mod distributed_claims;
mod introspect;
mod issue;
mod new_grant;
mod password;
mod refresh;
mod refresh_token;
mod token_exchange;

use countersign_core::{Client, Scopes, Secret};
use serde::Serialize;

pub(crate) use audience::Audience;
pub(crate) use distributed_claims::GroupsHandle;
pub use introspect::Introspection;
pub(crate) use issue::{ACCESS_TOKEN_TYPE, PersonClaims, json};
pub use password::PasswordRequest;
pub use token_exchange::TokenExchangeRequest;

use crate::{Issuer, IssuerError};

/// A token request whose client is authenticated.
#[derive(Debug)]
pub enum TokenRequest {
    AuthorizationCode { code: Secret, redirect_uri: Option<String>, verifier: Option<Secret> },
    RefreshToken { token: Secret, scope: Option<Scopes> },
    DeviceCode { device_code: Secret, verifier: Option<Secret> },
    ClientCredentials { scope: Option<Scopes> },
    Password(Box<PasswordRequest>),
    TokenExchange(Box<TokenExchangeRequest>),
}

impl TokenRequest {
    /// For logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AuthorizationCode { .. } => "authorization_code",
            Self::RefreshToken { .. } => "refresh_token",
            Self::DeviceCode { .. } => "device_code",
            Self::ClientCredentials { .. } => "client_credentials",
            Self::Password(_) => "password",
            Self::TokenExchange(_) => "token_exchange",
        }
    }
}

/// The response to the client (RFC 6749 section 5.1). Not `Debug`, because it consists of secrets.
#[derive(Serialize)]
pub struct Tokens {
    pub access_token: String,
    /// Only in a token exchange (RFC 8693 section 2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    pub scope: String,
}

/// Error codes of RFC 6749 section 5.2, RFC 8628 section 3.5 and RFC 8693 section 2.2.2, and `temporarily_unavailable`
/// for 429 and 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenErrorCode {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    InvalidTarget,
    AccessDenied,
    AuthorizationPending,
    SlowDown,
    ExpiredToken,
    /// 429.
    TooManyRequests,
    TemporarilyUnavailable,
    ServerError,
}

impl TokenErrorCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::TooManyRequests | Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }
}

/// Why no token is issued.
#[derive(Debug)]
pub enum TokenError {
    /// The request is refused; the text is for the developer of the client.
    Refused(TokenErrorCode, String),
    Failed(IssuerError),
}

impl TokenError {
    pub fn refused(code: TokenErrorCode, description: impl Into<String>) -> Self {
        Self::Refused(code, description.into())
    }

    fn invalid_grant(description: impl Into<String>) -> Self {
        Self::refused(TokenErrorCode::InvalidGrant, description)
    }
}

impl<F: Into<IssuerError>> From<F> for TokenError {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

impl Issuer {
    /// Issues the tokens of a request whose client the caller has authenticated.
    pub async fn token(&self, client: &Client, grant: TokenRequest) -> Result<Tokens, TokenError> {
        match grant {
            TokenRequest::AuthorizationCode { code, redirect_uri, verifier } => {
                let params = code::CodeRedemption { code, redirect_uri, verifier };
                self.redeem_code(client, params).await
            }
            TokenRequest::RefreshToken { token, scope } => {
                self.refresh(client, &token, scope).await
            }
            TokenRequest::DeviceCode { device_code, verifier } => {
                self.redeem_device_code(client, &device_code, verifier.as_ref()).await
            }
            TokenRequest::ClientCredentials { scope } => {
                self.client_credentials(client, scope).await
            }
            TokenRequest::Password(request) => self.password_grant(client, *request).await,
            TokenRequest::TokenExchange(request) => self.exchange_token(client, *request).await,
        }
    }
}
