//! Validation of an ID token: issuer, audience, time and nonce (OpenID Connect Core 1.0 sections 3.1.3.7 and 3.1.3.8).
//! What the user is permitted is decided elsewhere.

use std::time::Duration;

use countersign_core::{Secret, Timestamp};
use countersign_jose::{Claims, Expected, Refused, Typ, UpstreamAlgorithm, UpstreamKeys};
use serde_json::{Map, Value};

use crate::oauth::UpstreamError;

/// Tolerated clock difference to the upstream.
const LEEWAY: Duration = Duration::from_mins(1);

pub(crate) struct Rules<'a> {
    /// Accepted values of `iss`, byte for byte; several only if the upstream itself uses several names.
    pub issuers: &'a [String],
    pub client_id: &'a str,
    pub nonce: Nonce<'a>,
    /// At a refresh the `sub` of the sign-in, which must be equal (section 12.2). `None`: unknown.
    pub sub: Option<&'a str>,
    /// The access token returned with the ID token, whose hash is `at_hash`. `None`: there is none, so `at_hash` is not
    /// checked.
    pub access_token: Option<&'a Secret>,
    pub now: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Nonce<'a> {
    /// The nonce of this login's request.
    Is(&'a str),
    /// The same, at an upstream that is known to omit nonces. A different nonce is refused.
    IsOrAbsent(&'a str),
    /// A refresh (section 12.2) or a token exchange, without a nonce in the request.
    NotRequested,
}

pub(crate) enum IdTokenCheck {
    Good(Map<String, Value>),
    /// No key of the set verifies the token. The upstream may have rotated its keys, even under the same `kid`.
    NoKeyFits(UpstreamError),
    Refused(UpstreamError),
}

pub(crate) fn check_id_token(
    keys: &UpstreamKeys,
    token: &Secret,
    rules: &Rules<'_>,
) -> IdTokenCheck {
    let refused = |reason: &str| IdTokenCheck::Refused(UpstreamError::IdToken(reason.to_owned()));
    match verify(keys, token, rules) {
        Err(Refused::UnknownKey) => IdTokenCheck::NoKeyFits(UpstreamError::IdToken(
            "signed with a key the upstream does not publish".to_owned(),
        )),
        Err(reason @ Refused::BadSignature) => {
            IdTokenCheck::NoKeyFits(UpstreamError::IdToken(reason.to_string()))
        }
        Err(reason) => refused(&reason.to_string()),
        Ok((claims, algorithm)) => match wrong(&claims, algorithm, rules) {
            Some(reason) => refused(reason),
            None => IdTokenCheck::Good(claims.into_map()),
        },
    }
}

/// Verifies the signature and the standard claims, with the first of the accepted issuers that is the token's.
fn verify(
    keys: &UpstreamKeys,
    token: &Secret,
    rules: &Rules<'_>,
) -> Result<(Claims, UpstreamAlgorithm), Refused> {
    let mut verified = Err(Refused::WrongIssuer);
    for issuer in rules.issuers {
        let now = Some(rules.now);
        let expected = Expected { issuer, typ: Typ::IdToken, now, leeway: LEEWAY };
        verified = keys.verify(token.expose(), &expected);
        if !matches!(verified, Err(Refused::WrongIssuer)) {
            break;
        }
    }
    verified
}

/// What is wrong with a token whose signature is valid, if anything.
fn wrong(claims: &Claims, algorithm: UpstreamAlgorithm, rules: &Rules<'_>) -> Option<&'static str> {
    if !claims.is_for(rules.client_id) {
        return Some("it is for another client (aud)");
    }
    // Section 2: `azp` is optional, even with several audiences. If present it must be our client id.
    if claims.text("azp").is_some_and(|azp| azp != rules.client_id) {
        return Some("it was issued to another client (azp)");
    }
    let Some(issued) = claims.number("iat") else { return Some("it does not say when (iat)") };
    if Timestamp::from_secs(issued) > rules.now + LEEWAY {
        return Some("it was issued in the future (iat)");
    }
    if rules.sub.is_some_and(|sub| claims.text("sub") != Some(sub)) {
        return Some("it is about another subject than at sign-in (sub)");
    }
    match (rules.nonce, claims.text("nonce")) {
        (Nonce::NotRequested, _) | (Nonce::IsOrAbsent(_), None) => {}
        (Nonce::Is(_), None) => return Some("it has no nonce"),
        (Nonce::Is(sent) | Nonce::IsOrAbsent(sent), Some(nonce)) if nonce == sent => {}
        _ => return Some("it belongs to another login (nonce)"),
    }
    if let Some(at_hash) = claims.get("at_hash")
        && let Some(access_token) = rules.access_token
        && at_hash.as_str() != Some(algorithm.half_hash(access_token.expose()).as_str())
    {
        return Some("it was issued with another access token (at_hash)");
    }
    match claims.text("sub") {
        None | Some("") => Some("it does not say who (sub)"),
        Some(_) => None,
    }
}
