//! Reads a token request: the client's credentials, and the form of each grant type.
//!
//! Client authentication (RFC 6749 section 2.3): `client_secret_basic`, `client_secret_post` or `none`. Some clients send
//! `client_id`, or all credentials, in the body as well as in the header. Equal values are accepted, an empty parameter
//! counts as omitted (section 3.2), and different values are `invalid_request`.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::{ClientId, ConnectorId, GrantType, Scopes, Secret};
use countersign_issuer::clients::ClientProof;
use countersign_issuer::login::{Browser, PasswordSubmission};
use countersign_issuer::token::{
    PasswordRequest, TokenError, TokenErrorCode, TokenExchangeRequest, TokenRequest,
};

use super::{DEVICE_CODE, Pairs, invalid_request, parameter};
use crate::form::decoded;
use crate::request_context::ClientAddress;

const TOKEN_EXCHANGE: &str = GrantType::TokenExchange.as_str();

/// The error for an unknown client, a wrong secret and missing credentials alike.
pub fn invalid_client() -> TokenError {
    TokenError::refused(TokenErrorCode::InvalidClient, "Invalid client credentials.")
}

/// Whether the client used the Authorization header, so that a 401 must name the scheme (section 5.2).
pub fn uses_authorization_header(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

/// The unverified client credentials of a request.
pub fn client_credentials(
    headers: &HeaderMap,
    pairs: &[(String, String)],
) -> Result<ClientProof, TokenError> {
    let id = parameter(pairs, "client_id");
    let secret = parameter(pairs, "client_secret").map(Secret::new);
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = authorization.next() else {
        let id = id.ok_or_else(invalid_client)?;
        return Ok(ClientProof { id: ClientId::new(id), secret });
    };
    if authorization.next().is_some() {
        return Err(conflict());
    }
    let (basic_id, basic_secret) =
        value.to_str().ok().and_then(parse_basic).ok_or_else(invalid_client)?;
    let same_id = id.is_none_or(|id| id == basic_id);
    let same_secret = secret.is_none_or(|secret| secret.matches(basic_secret.expose()));
    if !same_id || !same_secret {
        return Err(conflict());
    }
    Ok(ClientProof { id: ClientId::new(basic_id), secret: Some(basic_secret) })
}

fn conflict() -> TokenError {
    TokenError::refused(
        TokenErrorCode::InvalidRequest,
        "The request holds two different sets of client credentials",
    )
}

/// Client id and secret of a Basic header, each form-encoded before joining (section 2.3.1).
fn parse_basic(value: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id)?, Secret::new(form_decoded(secret)?)))
}

/// Decodes like a form, but refuses an incomplete percent escape, which means that the client did not encode the
/// secret.
fn form_decoded(text: &str) -> Option<String> {
    let mut after_percent = text.split('%').skip(1);
    let is_escape =
        |part: &str| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    after_percent.all(is_escape).then(|| decoded(text))?
}

/// Parses a form into a [`TokenRequest`].
pub fn token_request(parts: &Parts, pairs: &Pairs) -> Result<TokenRequest, TokenError> {
    let secret = |name| parameter(pairs, name).map(Secret::new);
    let scope = parameter(pairs, "scope").map(Scopes::parse);
    match parameter(pairs, "grant_type") {
        Some("authorization_code") => {
            let Some(code) = secret("code") else {
                return invalid_request("Required param: code.");
            };
            Ok(TokenRequest::AuthorizationCode {
                code,
                redirect_uri: parameter(pairs, "redirect_uri").map(str::to_owned),
                verifier: secret("code_verifier"),
            })
        }
        Some("refresh_token") => {
            let Some(token) = secret("refresh_token") else {
                return invalid_request("No refresh token is found in request.");
            };
            Ok(TokenRequest::RefreshToken { token, scope })
        }
        Some(DEVICE_CODE) => {
            let Some(device_code) = secret("device_code") else {
                return invalid_request("No device code received");
            };
            Ok(TokenRequest::DeviceCode { device_code, verifier: secret("code_verifier") })
        }
        Some("client_credentials") => Ok(TokenRequest::ClientCredentials { scope }),
        Some("password") => password(parts, pairs),
        Some(TOKEN_EXCHANGE) => token_exchange(parts, pairs),
        Some(_) => Err(TokenError::refused(
            TokenErrorCode::UnsupportedGrantType,
            "This grant type is not supported",
        )),
        None => invalid_request("Required param: grant_type."),
    }
}

/// RFC 6749 section 4.3.2; `nonce` as in Dex.
fn password(parts: &Parts, pairs: &Pairs) -> Result<TokenRequest, TokenError> {
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
fn token_exchange(parts: &Parts, pairs: &Pairs) -> Result<TokenRequest, TokenError> {
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

#[cfg(test)]
mod tests {
    use super::{client_credentials, parse_basic};
    use axum::http::{HeaderMap, HeaderValue, header};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use countersign_issuer::token::{TokenError, TokenErrorCode};

    fn read(text: &str) -> Option<(String, String)> {
        let read = parse_basic(&format!("Basic {}", STANDARD.encode(text)));
        read.map(|(id, secret)| (id, secret.expose().to_owned()))
    }

    #[test]
    fn id_and_secret_are_form_decoded() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(read("app:s3cret"), pair("app", "s3cret"));
        assert_eq!(read("a%3Ab:p%2Bq+r%C3%A9"), pair("a:b", "p+q ré"));
        assert_eq!(read("app:"), pair("app", ""));
        assert!(parse_basic("bearer xyz").is_none());
        for odd in ["app", "app:%", "app:%zz", "app:%ff"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    /// The error code for Basic `app:s3cret` with these body parameters; `None` if accepted.
    fn refused(body: &[(&str, &str)]) -> Option<TokenErrorCode> {
        let basic = format!("Basic {}", STANDARD.encode("app:s3cret"));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&basic).unwrap());
        let pairs: Vec<(String, String)> =
            body.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match client_credentials(&headers, &pairs) {
            Ok(proof) => {
                assert_eq!(proof.id.as_str(), "app");
                assert_eq!(proof.secret.unwrap().expose(), "s3cret");
                None
            }
            Err(TokenError::Refused(code, _)) => Some(code),
            Err(TokenError::Failed(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn the_same_credentials_in_header_and_body_are_one_set() {
        for fine in [
            &[][..],
            &[("client_id", "app")],
            &[("client_id", ""), ("client_secret", "")],
            &[("client_id", "app"), ("client_secret", "s3cret")],
            &[("client_secret", "s3cret")],
        ] {
            assert_eq!(refused(fine), None, "{fine:?}");
        }
        for two in [
            &[("client_id", "other")][..],
            &[("client_secret", "other")],
            &[("client_id", "app"), ("client_secret", "other")],
        ] {
            assert_eq!(refused(two), Some(TokenErrorCode::InvalidRequest), "{two:?}");
        }
    }
}
