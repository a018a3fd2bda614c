//! A server's API, asked over HTTP with a client's own token (RFC 6749 section 4.4).

use std::path::Path;
use std::time::Duration;

use countersign_core::Secret;
use reqwest::{Certificate, Client, RequestBuilder, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Pairs;

/// Ending a great many sessions takes the server a while.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Remote {
    http: Client,
    api: String,
    token: Secret,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
}

impl Remote {
    /// Reads the discovery document, which must be this issuer's own, and gets a token.
    pub async fn open(issuer: &str, authority: Option<&Path>) -> Result<Self, String> {
        let issuer = issuer.trim_end_matches('/');
        let mut builder = Client::builder()
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = authority {
            let pem = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
            let bundle = Certificate::from_pem_bundle(&pem).map_err(|e| e.to_string())?;
            builder = builder.tls_certs_merge(bundle);
        }
        let http = builder.build().map_err(|e| e.to_string())?;
        let token = match std::env::var("COUNTERSIGN_TOKEN") {
            Ok(token) => Secret::new(token),
            Err(_) => own_token(&http, issuer).await?,
        };
        Ok(Self { http, api: format!("{issuer}/api/v1"), token })
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str, asked: &Pairs) -> Result<T, String> {
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).finish();
        self.ask(self.http.get(format!("{}{path}?{query}", self.api))).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, asked: &Pairs) -> Result<T, String> {
        let text = |(name, value): &(String, String)| {
            (name.clone(), serde_json::Value::String(value.clone()))
        };
        let body: serde_json::Map<_, _> = asked.iter().map(text).collect();
        self.ask(self.http.post(format!("{}{path}", self.api)).json(&body)).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.ask(self.http.delete(format!("{}{path}", self.api))).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, String> {
        answer(request.bearer_auth(self.token.expose())).await
    }
}

async fn own_token(http: &Client, issuer: &str) -> Result<Secret, String> {
    let need = |name: &str| {
        let why = "set COUNTERSIGN_CLIENT_ID and COUNTERSIGN_CLIENT_SECRET, or COUNTERSIGN_TOKEN";
        std::env::var(name).map_err(|_| format!("{name} is not set: {why}"))
    };
    let (id, secret) =
        (need("COUNTERSIGN_CLIENT_ID")?, Secret::new(need("COUNTERSIGN_CLIENT_SECRET")?));
    let well_known = format!("{issuer}/.well-known/openid-configuration");
    let found: Discovered = answer(http.get(well_known)).await?;
    // OpenID Connect Discovery 4.3: else the secret would go to whomever the document names.
    if found.issuer.trim_end_matches('/') != issuer {
        return Err(format!("this server calls itself {}, not {issuer}", found.issuer));
    }
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", countersign_core::scopes::ADMIN),
        ("client_id", id.as_str()),
        ("client_secret", secret.expose()),
    ];
    let given: Given = answer(http.post(found.token_endpoint).form(&form)).await?;
    Ok(Secret::new(given.access_token))
}

/// A problem (RFC 9457) or an OAuth error (RFC 6749 section 5.2), in one line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    title: Option<String>,
    detail: Option<String>,
    field: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, String> {
    let response = request.send().await.map_err(|e| chain(&e))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|e| chain(&e))?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|e| format!("the answer is not understood: {e}"));
    }
    let refused: Refused = serde_json::from_slice(&body).unwrap_or_default();
    let words =
        [refused.title, refused.field, refused.detail, refused.error, refused.error_description];
    let words: Vec<String> = words.into_iter().flatten().collect();
    Err(format!("{status}: {}", words.join(": ")))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
