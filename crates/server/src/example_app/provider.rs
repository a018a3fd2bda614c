//! Requests to the issuer: discovery and the endpoints for tokens. Each has a time limit and a size limit, and
//! redirects are not followed.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::text::error_chain;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder};
use serde_json::{Map, Value};

use super::{Flow, Settings};

/// Of one request.
pub const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BODY_BYTES: usize = 256 * 1024;

pub struct Provider {
    http: Client,
    settings: Arc<Settings>,
}

/// The discovery document (OpenID Connect Discovery 1.0 section 3).
#[derive(Clone, Debug, Default)]
pub struct Metadata(Map<String, Value>);

/// A request and its response, for display.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Method and URL, such as `POST https://id.example/token`.
    pub request: String,
    pub status: u16,
    /// Indented if it is JSON.
    pub body: String,
    pub json: Map<String, Value>,
}

impl Metadata {
    /// Whether the issuer's discovery document lists the flow as supported.
    pub fn announces(&self, flow: Flow) -> bool {
        let grant_type = |name: &str| self.list("grant_types_supported").contains(&name);
        match flow {
            Flow::Redirect(response_type) => {
                let sorted = |text: &str| {
                    let mut words: Vec<String> =
                        text.split_whitespace().map(str::to_owned).collect();
                    words.sort();
                    words
                };
                let announced = self.list("response_types_supported");
                announced.iter().any(|announced| sorted(announced) == sorted(response_type))
            }
            Flow::DeviceCode => self.endpoint("device_authorization_endpoint").is_some(),
            Flow::Password => grant_type("password"),
            Flow::ClientCredentials => grant_type("client_credentials"),
        }
    }

    pub fn endpoint(&self, name: &str) -> Option<&str> {
        let url = self.0.get(name)?.as_str()?;
        (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
    }

    pub fn list(&self, name: &str) -> Vec<&str> {
        let items = self.0.get(name).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The OAuth error (RFC 6749 section 5.2) as a sentence.
    pub fn error(&self) -> String {
        let text = |name: &str| self.json.get(name).and_then(Value::as_str).unwrap_or_default();
        match (text("error"), text("error_description")) {
            ("", _) => format!("{} answered {}.", self.request, self.status),
            (code, "") => format!("{code}: {} answered {}.", self.request, self.status),
            (code, description) => format!("{code}: {description}"),
        }
    }
}

impl Provider {
    pub fn new(settings: Arc<Settings>) -> Result<Self, String> {
        let mut builder = Client::builder()
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .user_agent(concat!("countersign-example-app/", env!("CARGO_PKG_VERSION")));
        let authorities = Certificate::from_pem_bundle(&settings.authorities)
            .map_err(|error| format!("certificate authorities: {}", error_chain(&error)))?;
        if !authorities.is_empty() {
            builder = builder.tls_certs_merge(authorities);
        }
        let http = builder
            .build()
            .map_err(|error| format!("no HTTP client can be built: {}", error_chain(&error)))?;
        Ok(Self { http, settings })
    }

    /// Reads the discovery document. Called for every page, since the issuer may have been reconfigured or started
    /// meanwhile.
    pub async fn metadata(&self) -> Result<Metadata, String> {
        let issuer = self.settings.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let reply = self.get(&url, None).await?;
        if !reply.is_success() {
            return Err(format!("{url} answered {}.", reply.status));
        }
        // OpenID Connect Discovery 1.0 section 4.3: the issuer MUST be identical.
        match reply.json.get("issuer").and_then(Value::as_str) {
            Some(named) if named == self.settings.issuer => Ok(Metadata(reply.json)),
            named => Err(format!(
                "{url} names the issuer {named:?}, and this application expects {:?}.",
                self.settings.issuer
            )),
        }
    }

    pub async fn get(&self, url: &str, bearer: Option<&str>) -> Result<Reply, String> {
        let request = self.http.get(url);
        let request = match bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        send(request, format!("GET {url}")).await
    }

    /// Posts a form with client authentication: Basic (RFC 6749 section 2.3.1), or only the client id.
    pub async fn post(&self, url: &str, fields: &[(&str, &str)]) -> Result<Reply, String> {
        let mut fields = fields.to_vec();
        let mut request = self.http.post(url);
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        match &self.settings.client_secret {
            Some(secret) => {
                let secret = Some(encode(secret.expose()));
                request = request.basic_auth(encode(&self.settings.client_id), secret);
            }
            None => fields.push(("client_id", &self.settings.client_id)),
        }
        send(request.form(&fields), format!("POST {url}")).await
    }
}

async fn send(request: RequestBuilder, what: String) -> Result<Reply, String> {
    let failed = |error: reqwest::Error| format!("{what}: {}", error_chain(&error.without_url()));
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(format!("{what}: the response is over {MAX_BODY_BYTES} bytes."));
        }
        bytes.extend_from_slice(&chunk);
    }
    let json = serde_json::from_slice::<Value>(&bytes).ok();
    let body = match &json {
        Some(json) => format!("{json:#}"),
        None => String::from_utf8_lossy(&bytes).chars().take(2_000).collect(),
    };
    let json = json.and_then(|json| json.as_object().cloned()).unwrap_or_default();
    Ok(Reply { request: what, status, body, json })
}
