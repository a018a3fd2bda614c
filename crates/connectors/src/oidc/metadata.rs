//! Provider metadata of an upstream at `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use crate::oauth::{ApiResponse, UpstreamError, may_lead};

pub(crate) const ENDPOINT: &str = "discovery endpoint";

/// Configured endpoints, which replace those of the document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub authorize: Option<Url>,
    pub token: Option<Url>,
    pub keys: Option<Url>,
    pub userinfo: Option<Url>,
    pub end_session: Option<Url>,
}

impl Overrides {
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        [&self.authorize, &self.token, &self.keys, &self.userinfo].into_iter().flatten()
    }
}

/// Validated metadata: every endpoint may be requested.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub authorize: Url,
    pub token: Url,
    pub keys: Url,
    pub userinfo: Option<Url>,
    /// The end session endpoint (OpenID Connect RP-Initiated Logout 1.0 section 2.1), used only by browsers.
    pub end_session: Option<Url>,
    pub scopes: Vec<String>,
    /// Whether PKCE with S256 is supported according to the document.
    pub s256: bool,
    /// Whether `token_endpoint_auth_methods_supported` permits `client_secret_basic`; `None` if it is absent.
    pub basic: Option<bool>,
    /// Every authorization response contains `iss` (RFC 9207 section 3).
    pub names_itself: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    userinfo_endpoint: Option<String>,
    #[serde(default, deserialize_with = "if_understood")]
    end_session_endpoint: Option<String>,
    #[serde(default, deserialize_with = "if_understood")]
    scopes_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "if_understood")]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "if_understood")]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "if_understood")]
    authorization_response_iss_parameter_supported: Option<bool>,
}

/// A member that logins can do without: of another type it counts as absent.
fn if_understood<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// The URL of the document: below the issuer as written, without doubled slashes.
pub(crate) fn address(issuer: &str) -> Result<Url, UpstreamError> {
    let text = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    Url::parse(&text)
        .map_err(|_| UpstreamError::NotSent { endpoint: ENDPOINT, reason: "the issuer is no URL" })
}

impl Metadata {
    /// `issuer` is compared byte for byte (section 4.3); `from` is the URL of the document.
    pub fn read(
        response: &ApiResponse,
        issuer: &str,
        from: &Url,
        overrides: &Overrides,
    ) -> Result<Self, UpstreamError> {
        let document: Document = response.json()?;
        let named = document.issuer.as_deref().unwrap_or_default();
        if named != issuer {
            let named: String = named.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(UpstreamError::Configuration(format!(
                "the {ENDPOINT} names the issuer {named:?}, but {issuer:?} is expected (issuer, or issuerAlias where it is meant to differ)"
            )));
        }
        let required = |configured: Option<&Url>, text: Option<String>, what| {
            endpoint(from, configured, text, what)?
                .ok_or(UpstreamError::Lacks { endpoint: ENDPOINT, what })
        };
        let methods = document.token_endpoint_auth_methods_supported;
        Ok(Self {
            authorize: required(
                overrides.authorize.as_ref(),
                document.authorization_endpoint,
                "authorization_endpoint",
            )?,
            token: required(overrides.token.as_ref(), document.token_endpoint, "token_endpoint")?,
            keys: required(overrides.keys.as_ref(), document.jwks_uri, "jwks_uri")?,
            userinfo: endpoint(
                from,
                overrides.userinfo.as_ref(),
                document.userinfo_endpoint,
                "userinfo_endpoint",
            )?,
            // An invalid value is ignored, because logins do not need it.
            end_session: endpoint(
                from,
                overrides.end_session.as_ref(),
                document.end_session_endpoint,
                "end_session_endpoint",
            )
            .unwrap_or_default(),
            scopes: document.scopes_supported.unwrap_or_default(),
            s256: document
                .code_challenge_methods_supported
                .is_some_and(|methods| methods.iter().any(|method| method == "S256")),
            basic: methods.map(|methods| {
                let has = |name: &str| methods.iter().any(|method| method == name);
                has("client_secret_basic") || !has("client_secret_post")
            }),
            names_itself: document.authorization_response_iss_parameter_supported == Some(true),
        })
    }
}

/// A configured endpoint, or that of the document if [`may_lead`] permits it.
fn endpoint(
    from: &Url,
    configured: Option<&Url>,
    text: Option<String>,
    what: &'static str,
) -> Result<Option<Url>, UpstreamError> {
    if let Some(url) = configured {
        return Ok(Some(url.clone()));
    }
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let refused = |reason| UpstreamError::NotSent { endpoint: what, reason };
    let url = Url::parse(&text).map_err(|_| refused("its URL is none"))?;
    may_lead(from, &url).map_err(refused)?;
    Ok(Some(url))
}
