//! Calls a server's administrator API over HTTP, with an access token obtained by client credentials (RFC 6749 section
//! 4.4) or taken from the environment.

use std::path::Path;
use std::time::Duration;

use countersign_core::Secret;
use countersign_core::text::error_chain;
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, RequestBuilder, redirect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::CommandError;
use crate::environment::non_empty_variable;

/// Time limit of one request: the server takes up to 10 s to end sessions.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Names and values of an API request, each name at most once.
pub type RequestFields = Vec<(String, String)>;

pub struct ApiClient {
    http: Client,
    base_url: String,
    access_token: Secret,
}

#[derive(Deserialize)]
struct ProviderMetadata {
    issuer: String,
    token_endpoint: String,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
}

impl ApiClient {
    /// Obtains an access token. `certificate_authority` is a PEM file, trusted in addition to the system's authorities.
    pub async fn connect(
        issuer: &str,
        certificate_authority: Option<&Path>,
    ) -> Result<Self, CommandError> {
        let issuer = issuer.trim_end_matches('/');
        let mut builder = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = certificate_authority {
            let unreadable =
                |e: &dyn std::fmt::Display| CommandError::other(format!("{}: {e}", file.display()));
            let pem = std::fs::read(file).map_err(|e| unreadable(&e))?;
            let bundle = Certificate::from_pem_bundle(&pem).map_err(|e| unreadable(&e))?;
            builder = builder.tls_certs_merge(bundle);
        }
        let http = builder.build().map_err(CommandError::other)?;
        let access_token = match non_empty_variable("COUNTERSIGN_TOKEN") {
            Some(token) => Secret::new(token),
            None => request_token(&http, issuer).await?,
        };
        Ok(Self { http, base_url: format!("{issuer}/api/v1"), access_token })
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        fields: &RequestFields,
    ) -> Result<T, CommandError> {
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(self.http.get(format!("{}{path}?{query}", self.base_url))).await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        fields: &RequestFields,
    ) -> Result<T, CommandError> {
        let text = |(name, value): &(String, String)| {
            (name.clone(), serde_json::Value::String(value.clone()))
        };
        let body: serde_json::Map<_, _> = fields.iter().map(text).collect();
        self.post_json(path, &body).await
    }

    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CommandError> {
        self.send(self.http.post(format!("{}{path}", self.base_url)).json(body)).await
    }

    /// As [`ApiClient::post_json`], with a header whose value is secret.
    pub async fn post_json_with_header<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        (name, value): (&'static str, &Secret),
    ) -> Result<T, CommandError> {
        let mut value = HeaderValue::from_str(value.expose()).map_err(CommandError::other)?;
        value.set_sensitive(true);
        let request = self.http.post(format!("{}{path}", self.base_url)).json(body);
        self.send(request.header(name, value)).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CommandError> {
        self.send(self.http.delete(format!("{}{path}", self.base_url))).await
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CommandError> {
        json_response(request.bearer_auth(self.access_token.expose())).await
    }
}

/// One segment of a path, percent-encoded.
pub fn path_segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn request_token(http: &Client, issuer: &str) -> Result<Secret, CommandError> {
    let required = |name: &str| {
        non_empty_variable(name).ok_or_else(|| {
            CommandError::Other(format!(
                "{name} is not set: --url needs COUNTERSIGN_CLIENT_ID and COUNTERSIGN_CLIENT_SECRET \
                 of a client in admin.clients, or COUNTERSIGN_TOKEN"
            ))
        })
    };
    let client_id = required("COUNTERSIGN_CLIENT_ID")?;
    let client_secret = Secret::new(required("COUNTERSIGN_CLIENT_SECRET")?);
    let discovery = http.get(format!("{issuer}/.well-known/openid-configuration"));
    let metadata: ProviderMetadata = json_response(discovery).await?;
    // OpenID Connect Discovery section 4.3: otherwise the secret could be sent to any URL in the document.
    if metadata.issuer.trim_end_matches('/') != issuer {
        let found = metadata.issuer;
        return Err(CommandError::Other(format!(
            "--url: the issuer of this server is {found}, not {issuer}"
        )));
    }
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", countersign_core::scopes::ADMIN),
        ("client_id", client_id.as_str()),
        ("client_secret", client_secret.expose()),
    ];
    let response: TokenResponse =
        json_response(http.post(metadata.token_endpoint).form(&form)).await?;
    Ok(Secret::new(response.access_token))
}

/// Problem details (RFC 9457) or an OAuth error response (RFC 6749 section 5.2).
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorResponse {
    title: Option<String>,
    detail: Option<String>,
    field: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

async fn json_response<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, CommandError> {
    let response = request.send().await.map_err(|e| CommandError::Other(error_chain(&e)))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|e| CommandError::Other(error_chain(&e)))?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|e| CommandError::Other(format!("the response is not understood: {e}")));
    }
    let error: ErrorResponse = serde_json::from_slice(&body).unwrap_or_default();
    if let (Some(field), Some(problem)) = (&error.field, &error.detail) {
        return Err(CommandError::Field { field: field.clone(), problem: problem.clone() });
    }
    let parts = [error.title, error.detail, error.error, error.error_description];
    let parts: Vec<String> =
        std::iter::once(status.to_string()).chain(parts.into_iter().flatten()).collect();
    Err(CommandError::Other(parts.join(": ")))
}
