//! A relying party built on the crate `openidconnect`: discovery, authorization request, code exchange,
//! verification, refresh, userinfo. The test that starts it acts as the person.
//!
//! Configured by environment variables: `ISSUER`, `CLIENT_ID`, `CLIENT_SECRET` (empty for public clients),
//! `REDIRECT_URI`, `SCOPES`. Writes one JSON object a line: `{"step":"authorize","url":…}`; then, after
//! reading the URL of the authorization response from standard input: `tokens`, `refreshed` (if a refresh
//! token was issued), `userinfo`, `logout` (if `POST_LOGOUT_REDIRECT_URI` is set; the URL of the logout
//! request), `done`. Exits with status 1 and the reason on standard error if the library rejects a response.

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
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let issuer = IssuerUrl::new(variable("ISSUER")?)?;
    let metadata = CoreProviderMetadata::discover(&issuer, &http::send)?;
    let secret = Some(variable("CLIENT_SECRET")?).filter(|s| !s.is_empty()).map(ClientSecret::new);
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new(variable("CLIENT_ID")?), secret)
            .set_redirect_uri(RedirectUrl::new(variable("REDIRECT_URI")?)?);

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let scopes = variable("SCOPES")?;
    let (url, state, nonce) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(scopes.split_whitespace().map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    print_step(json!({"step": "authorize", "url": url.as_str()}))?;

    let code = person::receive_callback(&state)?;
    let response = client
        .exchange_code(AuthorizationCode::new(code))?
        .set_pkce_verifier(verifier)
        .request(&http::send)?;
    let id_token = response.id_token().ok_or("no ID token")?;
    let checks = client.id_token_verifier();
    let claims = id_token.claims(&checks, &nonce)?;
    let hash = claims.access_token_hash().ok_or("no at_hash")?;
    let algorithm = id_token.signing_alg()?;
    let key = id_token.signing_key(&checks)?;
    if *hash != AccessTokenHash::from_token(response.access_token(), algorithm, key)? {
        return Err("at_hash is of another access token".into());
    }
    print_step(json!({
        "step": "tokens",
        "subject": claims.subject().as_str(),
        "email": claims.email().map(|email| email.as_str()),
    }))?;

    if let Some(token) = response.refresh_token() {
        let refreshed = client.exchange_refresh_token(token)?.request(&http::send)?;
        let id_token = refreshed.id_token().ok_or("no ID token after a refresh")?;
        // OpenID Connect Core 1.0 section 12.2: a nonce need not be there, but if so, the same.
        let is_same = |nonce_claim: Option<&Nonce>| match nonce_claim {
            Some(nonce_claim) if nonce_claim.secret() != nonce.secret() => {
                Err("another nonce".to_owned())
            }
            _ => Ok(()),
        };
        let again = id_token.claims(&checks, is_same)?;
        print_step(json!({"step": "refreshed", "subject": again.subject().as_str()}))?;
    }

    let userinfo: openidconnect::core::CoreUserInfoClaims = client
        .user_info(response.access_token().clone(), Some(claims.subject().clone()))?
        .request(&http::send)?;
    let email = userinfo.email().map(|email| email.as_str());
    print_step(json!({"step": "userinfo", "email": email}))?;
    if let Ok(back) = variable("POST_LOGOUT_REDIRECT_URI") {
        signs_out(&issuer, ClientId::new(variable("CLIENT_ID")?), id_token, back)?;
    }
    print_step(json!({"step": "done"}))
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
    print_step(json!({"step": "logout", "url": url.as_str(), "state": state.secret()}))
}

fn print_step(step: Value) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{step}")?;
    Ok(out.flush()?)
}
