//! Whether an ID token is the upstream's, for us, now, and for this login: OpenID Connect Core 1.0 sections
//! 3.1.3.7 and 3.1.3.8. What the person is allowed is not decided here.

use std::time::Duration;

use countersign_core::{Secret, Timestamp};
use countersign_jose::{Claims, Expected, Refused, Typ, UpstreamAlgorithm, UpstreamKeys};
use serde_json::{Map, Value};

use crate::oauth::UpstreamError;

/// How far an upstream's clock may be from ours.
const LEEWAY: Duration = Duration::from_mins(1);

pub(crate) struct Rules<'a> {
    /// Accepted in `iss`, byte for byte; more than one only where the upstream itself has several names.
    pub issuers: &'a [String],
    pub client_id: &'a str,
    pub nonce: Nonce<'a>,
    /// At a refresh the `sub` of the sign-in, which must be the same (section 12.2). `None`: not known.
    pub sub: Option<&'a str>,
    /// Given beside the ID token; `at_hash` is over it.
    /// `None`: the token came alone, so there is nothing to compare `at_hash` with.
    pub access_token: Option<&'a Secret>,
    pub now: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Nonce<'a> {
    /// The login began with this one.
    Is(&'a str),
    /// The same, at an upstream that is known to leave nonces out. Another one is refused all the same.
    IsOrAbsent(&'a str),
    /// Not a login here but a refresh (section 12.2), or a token exchange.
    NotRequested,
}

pub(crate) enum IdTokenCheck {
    Good(Map<String, Value>),
    /// No key of the set verifies it. The upstream may have replaced its keys, also under the same `kid`.
    NoKeyFits(UpstreamError),
    Refused(UpstreamError),
}

pub(crate) fn judge(keys: &UpstreamKeys, token: &Secret, rules: &Rules<'_>) -> IdTokenCheck {
    let refused = |reason: &str| IdTokenCheck::Refused(UpstreamError::IdToken(reason.to_owned()));
    match genuine(keys, token, rules) {
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

fn genuine(
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

/// What is wrong with a genuine token, if anything.
fn wrong(claims: &Claims, algorithm: UpstreamAlgorithm, rules: &Rules<'_>) -> Option<&'static str> {
    if !claims.is_for(rules.client_id) {
        return Some("it is for another client (aud)");
    }
    // Section 2: azp need not be there, also with several audiences. Where it is, it must name us.
    if claims.text("azp").is_some_and(|azp| azp != rules.client_id) {
        return Some("it was given to another client (azp)");
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
        return Some("it was given with another access token (at_hash)");
    }
    match claims.text("sub") {
        None | Some("") => Some("it does not say who (sub)"),
        Some(_) => None,
    }
}
