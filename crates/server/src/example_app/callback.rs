//! The redirect URI: receives the authorization response by redirect or by form (`response_mode=form_post`).

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Map, Value};

use super::claims;
use super::page::{self, back_to_page};
use super::provider::Metadata;
use super::{ExampleApp, Pending, Tokens};
use crate::form::{self, once};

/// Requires the cookie of the browser that began the login; other browsers are refused.
pub async fn get(State(app): State<ExampleApp>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let Ok(pairs) = form::decode(query.as_bytes()) else { return page::refused() };
    let own = app.browser(request.headers()).map(|(id, _)| id);
    let Some((id, pending)) = pending(&app, &pairs) else { return page::unknown_login() };
    if own.as_ref() != Some(&id) {
        return page::unknown_login();
    }
    finish(&app, &id, &pending, &pairs).await
}

/// A form posted from another site carries no cookie (`SameSite=Lax`). The result is stored for the browser that began
/// the login, and only that browser's cookie shows it on the following page.
pub async fn post(State(app): State<ExampleApp>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(pairs) = form::read(&parts.headers, body).await else { return page::refused() };
    let Some((id, pending)) = pending(&app, &pairs) else { return page::unknown_login() };
    finish(&app, &id, &pending, &pairs).await
}

fn pending(app: &ExampleApp, pairs: &[(String, String)]) -> Option<(String, Pending)> {
    let (id, browser) = app.browser_of_state(once(pairs, "state")?)?;
    Some((id, browser.pending?))
}

async fn finish(
    app: &ExampleApp,
    id: &str,
    pending: &Pending,
    pairs: &[(String, String)],
) -> Response {
    // Each response is processed once.
    app.change(id, |browser| browser.pending = None);
    if let Err(error) = redeem(app, id, pending, pairs).await {
        app.change(id, |browser| browser.error = Some(error));
    }
    back_to_page()
}

async fn redeem(
    app: &ExampleApp,
    id: &str,
    pending: &Pending,
    pairs: &[(String, String)],
) -> Result<(), String> {
    // RFC 9207 section 2.4.
    if once(pairs, "iss").is_some_and(|iss| iss != app.settings.issuer) {
        return Err("The response names another issuer (iss).".to_owned());
    }
    if let Some(error) = once(pairs, "error") {
        let description = once(pairs, "error_description").unwrap_or_default();
        return Err(format!("{error}: {description}"));
    }
    let metadata = app.provider.metadata().await?;
    let mut response: Map<String, Value> = pairs
        .iter()
        .filter(|(name, _)| {
            ["id_token", "access_token", "token_type", "expires_in", "scope"]
                .contains(&name.as_str())
        })
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    if let Some(code) = once(pairs, "code") {
        let redirect_uri = app.settings.redirect_uri.as_str();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
        ];
        if let Some(verifier) = &pending.verifier {
            fields.push(("code_verifier", verifier));
        }
        let endpoint =
            metadata.endpoint("token_endpoint").ok_or("The issuer has no token endpoint.")?;
        let reply = app.provider.post(endpoint, &fields).await?;
        if !reply.is_success() {
            return Err(reply.error());
        }
        response.extend(reply.json);
    }
    let label = pending.flow.label();
    keep_tokens(app, id, &metadata, (response, label, Some(&pending.nonce))).await
}

/// Verifies the ID token and stores the response. The tuple: its members, how it was obtained, the nonce of the
/// request.
pub async fn keep_tokens(
    app: &ExampleApp,
    id: &str,
    metadata: &Metadata,
    (response, by, nonce): (Map<String, Value>, &str, Option<&str>),
) -> Result<(), String> {
    let now = app.now();
    let mut tokens = Tokens {
        received_at: now,
        by: by.to_owned(),
        response,
        verified: None,
        has_nonce: nonce.is_some(),
    };
    if let Some(id_token) = tokens.text("id_token") {
        tokens.verified = Some(verify(app, metadata, id_token, nonce).await);
    }
    app.change(id, |browser| {
        browser.tokens = Some(tokens);
        browser.device = None;
        browser.error = None;
    });
    Ok(())
}

async fn verify(
    app: &ExampleApp,
    metadata: &Metadata,
    id_token: &str,
    nonce: Option<&str>,
) -> Result<(), String> {
    let jwks_uri = metadata.endpoint("jwks_uri").ok_or("the issuer has no jwks_uri")?;
    let keys = app.provider.get(jwks_uri, None).await?;
    app.settings.verifier.verify(id_token, keys.body.as_bytes(), app.now())?;
    let claims = claims::decode(id_token).unwrap_or_default();
    let named = claims.get("nonce").and_then(Value::as_str);
    match nonce {
        Some(nonce) if named != Some(nonce) => {
            Err("its nonce is not that of the request".to_owned())
        }
        _ => Ok(()),
    }
}
