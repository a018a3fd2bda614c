//! The issuer as a client sees it: discovery (OpenID Connect Discovery 1.0) and the token endpoint.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Secret;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::browser::is_web_address;
use crate::cli::ClientArguments;
use crate::error::Error;

/// For connecting and for a whole answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// A token answer with a thousand groups is some tens of kilobytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The endpoints of the discovery document that a native client uses.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub userinfo_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub device_authorization_endpoint: Option<Url>,
}

/// A successful token answer (RFC 6749 section 5.1).
#[derive(Clone, Debug, Deserialize)]
pub struct TokenResponse {
    #[serde(default, deserialize_with = "secret")]
    pub id_token: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub access_token: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub refresh_token: Option<Secret>,
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    error_description: Option<String>,
}

/// One issuer, one client, one set of trusted certificates.
pub struct Issuer {
    pub metadata: Metadata,
    client: Client,
    client_id: String,
    client_secret: Option<Secret>,
}

impl Issuer {
    /// Reads the discovery document and refuses one that names another issuer (Discovery 4.3) or
    /// endpoints that are not https.
    pub async fn discover(arguments: &ClientArguments) -> Result<Self, Error> {
        if !is_web_address(&arguments.oidc_issuer_url) {
            return Err(Error::Local(format!(
                "--oidc-issuer-url {} is not https",
                arguments.oidc_issuer_url
            )));
        }
        let client = http_client(arguments)?;
        let issuer = arguments.issuer();
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let response = send(client.get(&url), &url).await?;
        if !response.status().is_success() {
            let cause = format!("discovery answered {}", response.status());
            return Err(Error::InvalidResponse { url, cause });
        }
        let metadata: Metadata = json(response, &url).await?;
        if metadata.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            let cause = format!("it says that it is the issuer {:?}", metadata.issuer);
            return Err(Error::InvalidResponse { url, cause });
        }
        let endpoints = [Some(&metadata.authorization_endpoint), Some(&metadata.token_endpoint)]
            .into_iter()
            .chain([
                metadata.userinfo_endpoint.as_ref(),
                metadata.revocation_endpoint.as_ref(),
                metadata.device_authorization_endpoint.as_ref(),
            ])
            .flatten();
        for endpoint in endpoints {
            if !is_web_address(endpoint) {
                let cause = format!("its endpoint {endpoint} is not https");
                return Err(Error::InvalidResponse { url, cause });
            }
        }
        let client_secret =
            arguments.oidc_client_secret.clone().filter(|s| !s.is_empty()).map(Secret::new);
        Ok(Self { metadata, client, client_id: arguments.oidc_client_id.clone(), client_secret })
    }

    /// A token request. OAuth errors come back as [`Error::Refused`].
    pub async fn token(&self, fields: &[(&str, &str)]) -> Result<TokenResponse, Error> {
        let url = self.metadata.token_endpoint.clone();
        self.post(&url, fields).await
    }

    /// A form for any endpoint that authenticates the client as the token endpoint does.
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<T, Error> {
        let response = self.post_form(url, fields).await?;
        json(response, url.as_str()).await
    }

    /// A JSON resource of the issuer, with an access token (RFC 6750 section 2.1).
    pub async fn get<T: DeserializeOwned>(
        &self,
        url: &str,
        access_token: &Secret,
    ) -> Result<T, Error> {
        let request = self
            .client
            .get(url)
            .bearer_auth(access_token.expose())
            .header("accept", "application/json");
        let response = send(request, url).await?;
        match response.status().is_success() {
            true => json(response, url).await,
            false => Err(refusal(response, url).await),
        }
    }

    /// Revokes a refresh token (RFC 7009). `false`: the issuer has no revocation endpoint.
    pub async fn revoke(&self, refresh_token: &Secret) -> Result<bool, Error> {
        let Some(url) = self.metadata.revocation_endpoint.clone() else { return Ok(false) };
        let fields = [("token", refresh_token.expose()), ("token_type_hint", "refresh_token")];
        self.post_form(&url, &fields).await.map(|_| true)
    }

    /// Whether the issuer still accepts this access token. `true` also where that cannot be known: no
    /// userinfo endpoint, or it does not answer.
    pub async fn accepts(&self, access_token: &Secret) -> bool {
        let Some(url) = self.metadata.userinfo_endpoint.clone() else { return true };
        let request = self.client.get(url.clone()).bearer_auth(access_token.expose());
        // Countersign answers 401 (RFC 6750 section 3.1), Dex 403.
        match send(request, url.as_str()).await {
            Ok(response) => {
                !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            Err(_) => true,
        }
    }

    async fn post_form(&self, url: &Url, fields: &[(&str, &str)]) -> Result<Response, Error> {
        let mut fields = fields.to_vec();
        let mut request = self.client.post(url.clone());
        match &self.client_secret {
            Some(secret) => {
                // RFC 6749 section 2.3.1: both halves are form-encoded before Basic.
                let encode = |text: &str| {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                request =
                    request.basic_auth(encode(&self.client_id), Some(encode(secret.expose())));
            }
            None => fields.push(("client_id", &self.client_id)),
        }
        let response = send(request.form(&fields), url.as_str()).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(refusal(response, url.as_str()).await),
        }
    }
}

async fn refusal(response: Response, url: &str) -> Error {
    let status = response.status();
    match body(response, url).await.map(|bytes| serde_json::from_slice::<ErrorResponse>(&bytes)) {
        Ok(Ok(refused)) => {
            Error::Refused { code: refused.error, description: refused.error_description }
        }
        _ if status.is_server_error() => {
            Error::Unreachable { url: url.to_owned(), cause: format!("it answered {status}") }
        }
        _ => Error::InvalidResponse {
            url: url.to_owned(),
            cause: format!("it answered {status} without an OAuth error"),
        },
    }
}

async fn send(request: RequestBuilder, url: &str) -> Result<Response, Error> {
    request
        .send()
        .await
        .map_err(|cause| Error::Unreachable { url: url.to_owned(), cause: cause_chain(&cause) })
}

async fn json<T: DeserializeOwned>(response: Response, url: &str) -> Result<T, Error> {
    let bytes = body(response, url).await?;
    serde_json::from_slice(&bytes)
        .map_err(|cause| Error::InvalidResponse { url: url.to_owned(), cause: cause.to_string() })
}

async fn body(mut response: Response, url: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= MAX_BODY_BYTES => {
                bytes.extend_from_slice(&chunk)
            }
            Ok(Some(_)) => {
                let cause = format!("its answer is over {MAX_BODY_BYTES} bytes");
                return Err(Error::InvalidResponse { url: url.to_owned(), cause });
            }
            Ok(None) => return Ok(bytes),
            Err(cause) => {
                return Err(Error::Unreachable { url: url.to_owned(), cause: cause_chain(&cause) });
            }
        }
    }
}

/// reqwest hides the reason, such as an unknown certificate authority, behind "error sending request".
fn cause_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn http_client(arguments: &ClientArguments) -> Result<Client, Error> {
    // A redirect could carry the request, and its secrets, to another host.
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("kubectl-countersign/", env!("CARGO_PKG_VERSION")));
    for file in &arguments.certificate_authority {
        let pem = std::fs::read(file).map_err(|cause| {
            Error::Local(format!("--certificate-authority {}: {cause}", file.display()))
        })?;
        builder = trust(builder, &pem, &format!("--certificate-authority {}", file.display()))?;
    }
    for data in &arguments.certificate_authority_data {
        let pem = STANDARD.decode(data.trim()).map_err(|cause| {
            Error::Local(format!("--certificate-authority-data is not base64: {cause}"))
        })?;
        builder = trust(builder, &pem, "--certificate-authority-data")?;
    }
    if arguments.insecure_skip_tls_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder
        .build()
        .map_err(|cause| Error::Local(format!("cannot set up TLS: {}", cause_chain(&cause))))
}

fn trust(
    mut builder: reqwest::ClientBuilder,
    pem: &[u8],
    option: &str,
) -> Result<reqwest::ClientBuilder, Error> {
    let certificates = Certificate::from_pem_bundle(pem)
        .map_err(|cause| Error::Local(format!("{option} is not PEM: {}", cause_chain(&cause))))?;
    if certificates.is_empty() {
        return Err(Error::Local(format!("{option} has no certificate")));
    }
    for certificate in certificates {
        builder = builder.add_root_certificate(certificate);
    }
    Ok(builder)
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(Secret::new))
}
