//! The client of an issuer: discovery (OpenID Connect Discovery 1.0), the token endpoint, and the endpoints that accept
//! its tokens.

mod transport;

use countersign_core::Secret;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::error::Error;
use crate::profile::{LoginProfile, is_web_address};
pub use transport::with_socks_proxy;
use transport::{http_client, is_unavailable, json, refusal, send, unavailable};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";

/// The members of the discovery document that a native client uses.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub userinfo_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub device_authorization_endpoint: Option<Url>,
    grant_types_supported: Option<Vec<String>>,
}

/// A successful token response (RFC 6749 section 5.1).
#[derive(Clone, Debug, Deserialize)]
pub struct TokenResponse {
    #[serde(default, deserialize_with = "secret")]
    pub id_token: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub access_token: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub refresh_token: Option<Secret>,
}

/// An issuer, with one client and one set of trusted certificates.
pub struct Issuer {
    pub metadata: Metadata,
    client: Client,
    client_id: String,
    client_secret: Option<Secret>,
}

impl Issuer {
    /// Reads the discovery document.
    ///
    /// # Errors
    /// The document names another issuer (Discovery 4.3), or endpoints that are neither https nor on loopback.
    pub async fn discover(
        profile: &LoginProfile,
        client_secret: Option<Secret>,
    ) -> Result<Self, Error> {
        profile.check()?;
        let client = http_client(&profile.transport)?;
        let issuer = profile.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let response = send(client.get(&url), &url).await?;
        let status = response.status();
        if is_unavailable(status) {
            return Err(unavailable(status, &url));
        }
        if !status.is_success() {
            let cause = format!("the status is {status}; is this the issuer's URL?");
            return Err(Error::InvalidResponse { url, cause });
        }
        let metadata: Metadata = json(response, &url).await?;
        if canonical(&metadata.issuer).trim_end_matches('/') != issuer {
            let cause = format!("the document is that of the issuer {:?}", metadata.issuer);
            return Err(Error::InvalidResponse { url, cause });
        }
        let required = [&metadata.authorization_endpoint, &metadata.token_endpoint];
        let optional = [
            &metadata.userinfo_endpoint,
            &metadata.revocation_endpoint,
            &metadata.device_authorization_endpoint,
        ];
        for endpoint in required.into_iter().chain(optional.into_iter().flatten()) {
            if !is_web_address(endpoint) {
                let cause = format!("the endpoint {endpoint} is not https");
                return Err(Error::InvalidResponse { url, cause });
            }
        }
        Ok(Self { metadata, client, client_id: profile.client_id.clone(), client_secret })
    }

    pub fn client_secret(&self) -> Option<&Secret> {
        self.client_secret.as_ref()
    }

    /// Sends a token request. OAuth errors are returned as [`Error::Refused`].
    pub async fn token(&self, fields: &[(&str, &str)]) -> Result<TokenResponse, Error> {
        let url = self.metadata.token_endpoint.clone();
        self.post(&url, fields).await
    }

    /// Whether [`Self::exchange`] can obtain tokens for another client.
    pub fn supports_token_exchange(&self) -> bool {
        let supported = self.metadata.grant_types_supported.as_deref().unwrap_or_default();
        supported.iter().any(|grant_type| grant_type == TOKEN_EXCHANGE)
    }

    /// Obtains an ID token for another client (RFC 8693). The response contains it in `access_token` (section 2.2.1),
    /// whatever its type.
    pub async fn exchange(
        &self,
        access_token: &Secret,
        audience: &str,
        scope: &str,
    ) -> Result<Secret, Error> {
        let fields = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", access_token.expose()),
            ("subject_token_type", ACCESS_TOKEN_TYPE),
            ("requested_token_type", ID_TOKEN_TYPE),
            ("audience", audience),
            ("scope", scope),
        ];
        let tokens = self.token(&fields).await?;
        tokens.access_token.ok_or_else(|| Error::InvalidResponse {
            url: self.metadata.token_endpoint.to_string(),
            cause: "the response has no access_token".to_owned(),
        })
    }

    /// Posts a form to an endpoint with the client authentication of the token endpoint.
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<T, Error> {
        let response = self.post_form(url, fields).await?;
        json(response, url.as_str()).await
    }

    /// Requests a JSON resource with an access token (RFC 6750 section 2.1).
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

    /// Whether the issuer still accepts this access token, checked at userinfo. `true` also if that cannot be
    /// determined: there is no userinfo endpoint, or it does not respond.
    pub async fn accepts(&self, access_token: &Secret) -> bool {
        let Some(url) = self.metadata.userinfo_endpoint.clone() else { return true };
        let request = self.client.get(url.clone()).bearer_auth(access_token.expose());
        // Countersign returns 401 (RFC 6750 section 3.1), Dex 403.
        match send(request, url.as_str()).await {
            Ok(response) => {
                !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            Err(_) => true,
        }
    }

    async fn post_form(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<reqwest::Response, Error> {
        let mut fields = fields.to_vec();
        let mut request = self.client.post(url.clone());
        match &self.client_secret {
            Some(secret) => {
                // RFC 6749 section 2.3.1: client id and secret are form-encoded before Basic.
                let encode = |text: &str| {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                let secret = Some(encode(secret.expose()));
                request = request.basic_auth(encode(&self.client_id), secret);
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

/// The issuer as the profile has it, whose URL was parsed: an explicit default port is left out, the host is in lower case.
fn canonical(issuer: &str) -> String {
    Url::parse(issuer).map_or_else(|_| issuer.to_owned(), String::from)
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(Secret::new))
}
