//! A relying party by other people's code: the crate `openidconnect` discovers, builds the request,
//! exchanges, verifies, refreshes and reads userinfo. A system test plays the person in between.
//!
//! Told by the environment: `ISSUER`, `CLIENT_ID`, `CLIENT_SECRET` (empty for public clients),
//! `REDIRECT_URI`, `SCOPES`. Standard output carries one JSON object a line:
//! `{"step":"authorize","url":…}`, then — after one line of input, the URL at which the person came
//! back — `tokens`, `refreshed` (if a refresh token was given), `userinfo`, `logout` (with
//! `POST_LOGOUT_REDIRECT_URI`; the URL that signs the person out), `done`. Whatever the
//! library finds wrong ends it with status 1 and the reason on standard error.

mod http;
mod person;

use std::error::Error;
use std::io::Write;

use openidconnect::core::{CoreClient, CoreIdToken, CoreProviderMetadata, CoreResponseType};
use openidconnect::{
    AccessTokenHash, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    IssuerUrl, LogoutRequest, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PostLogoutRedirectUrl,
    ProviderMetadataWithLogout, RedirectUrl, Scope, TokenResponse,
};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let told = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let issuer = IssuerUrl::new(told("ISSUER")?)?;
    let metadata = CoreProviderMetadata::discover(&issuer, &http::send)?;
    let secret = Some(told("CLIENT_SECRET")?).filter(|s| !s.is_empty()).map(ClientSecret::new);
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new(told("CLIENT_ID")?), secret)
            .set_redirect_uri(RedirectUrl::new(told("REDIRECT_URI")?)?);

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let scopes = told("SCOPES")?;
    let (url, state, nonce) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(scopes.split_whitespace().map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    say(json!({"step": "authorize", "url": url.as_str()}))?;

    let code = person::comes_back(&state)?;
    let answer = client
        .exchange_code(AuthorizationCode::new(code))?
        .set_pkce_verifier(verifier)
        .request(&http::send)?;
    let id_token = answer.id_token().ok_or("no ID token")?;
    let checks = client.id_token_verifier();
    let claims = id_token.claims(&checks, &nonce)?;
    let hash = claims.access_token_hash().ok_or("no at_hash")?;
    let algorithm = id_token.signing_alg()?;
    let key = id_token.signing_key(&checks)?;
    if *hash != AccessTokenHash::from_token(answer.access_token(), algorithm, key)? {
        return Err("at_hash is of another access token".into());
    }
    say(json!({
        "step": "tokens",
        "subject": claims.subject().as_str(),
        "email": claims.email().map(|email| email.as_str()),
    }))?;

    if let Some(token) = answer.refresh_token() {
        let refreshed = client.exchange_refresh_token(token)?.request(&http::send)?;
        let id_token = refreshed.id_token().ok_or("no ID token after a refresh")?;
        // OpenID Connect Core 1.0 section 12.2: a nonce need not be there, but if so, the same.
        let is_same = |given: Option<&Nonce>| match given {
            Some(given) if given.secret() != nonce.secret() => Err("another nonce".to_owned()),
            _ => Ok(()),
        };
        let again = id_token.claims(&checks, is_same)?;
        say(json!({"step": "refreshed", "subject": again.subject().as_str()}))?;
    }

    let userinfo: openidconnect::core::CoreUserInfoClaims = client
        .user_info(answer.access_token().clone(), Some(claims.subject().clone()))?
        .request(&http::send)?;
    let email = userinfo.email().map(|email| email.as_str());
    say(json!({"step": "userinfo", "email": email}))?;
    if let Ok(back) = told("POST_LOGOUT_REDIRECT_URI") {
        signs_out(&issuer, ClientId::new(told("CLIENT_ID")?), id_token, back)?;
    }
    say(json!({"step": "done"}))
}

/// OpenID Connect RP-Initiated Logout 1.0.
fn signs_out(
    issuer: &IssuerUrl,
    client: ClientId,
    id_token: &CoreIdToken,
    back: String,
) -> Result<(), Box<dyn Error>> {
    let metadata = ProviderMetadataWithLogout::discover(issuer, &http::send)?;
    let endpoint = metadata.additional_metadata().end_session_endpoint.clone();
    let state = CsrfToken::new_random();
    let url = LogoutRequest::from(endpoint.ok_or("no end_session_endpoint")?)
        .set_id_token_hint(id_token)
        .set_client_id(client)
        .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(back)?)
        .set_state(state.clone())
        .http_get_url();
    say(json!({"step": "logout", "url": url.as_str(), "state": state.secret()}))
}

fn say(step: Value) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{step}")?;
    Ok(out.flush()?)
}
