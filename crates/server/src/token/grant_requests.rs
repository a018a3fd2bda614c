//! Parses the forms of the grant types with many parameters: password and token exchange.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::header;
use axum::http::request::Parts;
use countersign_core::{ClientId, ConnectorId, Scopes, Secret};
use countersign_issuer::login::{Browser, PasswordSubmission};
use countersign_issuer::token::{
    PasswordRequest, TokenError, TokenErrorCode, TokenExchangeRequest, TokenRequest,
};

use super::{Pairs, invalid_request, parameter};
use crate::request_context::ClientAddress;

/// RFC 6749 section 4.3.2; `nonce` as in Dex.
pub fn password(parts: &Parts, pairs: &Pairs) -> Result<TokenRequest, TokenError> {
    let Some(username) = parameter(pairs, "username") else {
        return invalid_request("Required param: username.");
    };
    let Some(password) = parameter(pairs, "password") else {
        return invalid_request("Required param: password.");
    };
    let login = username.to_owned();
    Ok(TokenRequest::Password(Box::new(PasswordRequest {
        submission: PasswordSubmission { login, password: Secret::new(password) },
        scope: parameter(pairs, "scope").map(Scopes::parse),
        nonce: parameter(pairs, "nonce").map(str::to_owned),
        caller: caller(parts),
    })))
}

/// RFC 8693 section 2.1. `audience` may be repeated. `resource` is refused, because ignoring it would issue a token for
/// more than the client requested.
pub fn token_exchange(parts: &Parts, pairs: &Pairs) -> Result<TokenRequest, TokenError> {
    let Some(subject_token) = parameter(pairs, "subject_token") else {
        return invalid_request("Missing subject_token");
    };
    if pairs.iter().any(|(name, value)| name == "resource" && !value.is_empty()) {
        let reason = "resource is not supported: name a client in audience";
        return Err(TokenError::refused(TokenErrorCode::InvalidTarget, reason));
    }
    let text = |name| parameter(pairs, name).map(str::to_owned);
    let audience = pairs.iter().filter(|(name, value)| name == "audience" && !value.is_empty());
    Ok(TokenRequest::TokenExchange(Box::new(TokenExchangeRequest {
        subject_token: Secret::new(subject_token),
        subject_token_type: text("subject_token_type").unwrap_or_default(),
        requested_token_type: text("requested_token_type"),
        scope: parameter(pairs, "scope").map(Scopes::parse),
        audience: audience.map(|(_, id)| ClientId::new(id.as_str())).collect(),
        connector_id: text("connector_id").map(ConnectorId::new),
        caller: caller(parts),
        has_actor: parameter(pairs, "actor_token").is_some(),
    })))
}

/// The client program that sends the request, represented as a browser without cookies.
pub(crate) fn caller(parts: &Parts) -> Browser {
    let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Browser {
        cookie: None,
        address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        user_agent: user_agent.unwrap_or_default().to_owned(),
        device_cookie: None,
    }
}
