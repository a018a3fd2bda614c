//! The requests to the transit secrets engine: `GET keys/NAME`, `POST sign/NAME`, and those that renew the token.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_core::connector::ConnectorError;
use countersign_core::{ExternalKeyVersion, ExternalKeyVersions, ExternalSigner, Timestamp, Trace};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::credential::{Credential, TokenLookup};
use crate::oauth::{ApiRequest, ApiResponse, Http, UpstreamError, below};

const KEY: &str = "transit keys API";
const SIGN: &str = "transit sign API";
const TOKEN: &str = "token API";

/// `upstream` of every error.
const VAULT: &str = "Vault";

const TYPES: [&str; 6] =
    ["rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"];

/// Before a request is repeated that was not answered, or answered with a fault of the server.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];

pub(super) struct Transit {
    pub(super) http: Http,
    pub(super) addr: Url,
    pub(super) mount: String,
    /// Name of the key.
    pub(super) key: String,
    /// Key and address, for messages.
    pub(super) name: String,
    pub(super) rotation: String,
    /// For a request with its repetitions.
    pub(super) timeout: Duration,
    pub(super) credential: Credential,
}

/// Every response has its content in `data`.
#[derive(Deserialize)]
struct Reply<T> {
    data: T,
}

#[derive(Deserialize)]
struct KeyData {
    #[serde(rename = "type")]
    kind: String,
    /// By version: an object for asymmetric keys, a number for others.
    keys: BTreeMap<String, Value>,
    latest_version: i64,
    /// 0: only the latest one encrypts and signs by default, and no older one is excluded.
    #[serde(default)]
    min_encryption_version: i64,
    #[serde(default)]
    min_decryption_version: i64,
    #[serde(default)]
    min_available_version: i64,
}

#[derive(Deserialize)]
struct SignData {
    signature: String,
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transit({})", self.name)
    }
}

#[async_trait]
impl ExternalSigner for Transit {
    fn name(&self) -> &str {
        &self.name
    }

    fn rotation(&self) -> &str {
        &self.rotation
    }

    async fn versions(&self) -> Result<ExternalKeyVersions, ConnectorError> {
        self.credential.reload().await;
        let path = format!("{}/keys/{}", self.mount, self.key);
        let key: KeyData = self.call(KEY, &path, None).await?;
        let versions = self.versions_of(&key)?;
        Ok(ExternalKeyVersions { warning: self.renew_token().await, ..versions })
    }

    async fn sign(&self, version: i64, digest: &[u8]) -> Result<Vec<u8>, ConnectorError> {
        let hash = match digest.len() {
            48 => "sha2-384",
            64 => "sha2-512",
            _ => "sha2-256",
        };
        let body = json!({
            "input": STANDARD.encode(digest),
            "prehashed": true,
            "hash_algorithm": hash,
            "signature_algorithm": "pkcs1v15",
            "marshaling_algorithm": "jws",
            "key_version": version,
        });
        let path = format!("{}/sign/{}", self.mount, self.key);
        let signed: SignData = self.call(SIGN, &path, Some(&body)).await?;
        signature(&signed.signature, version).ok_or_else(|| {
            let what = "a signature by the requested version of the key";
            misconfigured(&UpstreamError::Lacks { endpoint: SIGN, what })
        })
    }
}

impl Transit {
    /// The versions that still verify. Those below `min_decryption_version` are not in the response of a current Vault,
    /// those below `min_available_version` are deleted.
    fn versions_of(&self, key: &KeyData) -> Result<ExternalKeyVersions, ConnectorError> {
        if !TYPES.contains(&key.kind.as_str()) {
            let (name, expected) = (&self.name, TYPES.join(", "));
            let kind: String = key.kind.chars().filter(char::is_ascii_graphic).take(40).collect();
            return Err(refused(format!(
                "{name} has the type {kind:?}, which signs no tokens here, expected one of {expected}"
            )));
        }
        let oldest = key.min_decryption_version.max(key.min_available_version);
        let mut versions = Vec::new();
        for (number, version) in &key.keys {
            let number: i64 = number.parse().unwrap_or_default();
            if number < oldest.max(1) {
                continue;
            }
            let member = |name: &str| version.get(name).and_then(Value::as_str).map(str::to_owned);
            let public_key = member("public_key").filter(|pem| !pem.is_empty());
            let public_key = public_key.ok_or_else(|| lacks("a public key of each version"))?;
            let created_at = member("creation_time").and_then(|text| text.parse().ok());
            let created_at: Timestamp =
                created_at.ok_or_else(|| lacks("a creation time of each version"))?;
            versions.push(ExternalKeyVersion { number, public_key, created_at });
        }
        versions.sort_unstable_by_key(|version| version.number);
        if !versions.iter().any(|version| version.number == key.latest_version) {
            return Err(lacks("the latest version of the key"));
        }
        let min_signing_version = key.min_encryption_version;
        Ok(ExternalKeyVersions { versions, min_signing_version, warning: None })
    }

    /// Renews the token if it is due. Returns a warning if it expires soon anyway. A token that may not look itself up
    /// is used as long as it works.
    async fn renew_token(&self) -> Option<String> {
        let path = "auth/token/lookup-self";
        let found: TokenLookup = self.call(TOKEN, path, None).await.ok()?;
        if !found.is_due() {
            return found.warning(self.credential.is_from_file());
        }
        let renewal = self.send(TOKEN, "auth/token/renew-self", Some(&json!({}))).await;
        if let Err(error) = renewal {
            tracing::warn!(cause = error.cause(), "the Vault token could not be renewed");
        }
        let renewed: TokenLookup = self.call(TOKEN, path, None).await.ok()?;
        renewed.warning(self.credential.is_from_file())
    }

    /// `data` of the response. GET without a body, otherwise POST.
    async fn call<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, ConnectorError> {
        let response = self.send(endpoint, path, body).await?;
        let reply: Reply<T> = response.json().map_err(|error| misconfigured(&error))?;
        Ok(reply.data)
    }

    /// A successful response, within the time limit. When the token is refused and its file has another one by now,
    /// the request is repeated with that.
    async fn send(
        &self,
        endpoint: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiResponse, ConnectorError> {
        let attempts = async {
            let token = self.credential.token();
            let response = self.repeat(endpoint, path, body).await?;
            if response.status() == 403 && self.credential.reload_after(&token).await {
                return self.repeat(endpoint, path, body).await;
            }
            Ok(response)
        };
        let slow = |_| Err(UpstreamError::Slow { endpoint });
        let result = tokio::time::timeout(self.timeout, attempts).await.unwrap_or_else(slow);
        let response = result.map_err(|error| failed(&error))?;
        match response.status() {
            200 => Ok(response),
            status => Err(self.refusal(endpoint, status, &response)),
        }
    }

    /// Repeats a request that did not reach the server, or that met a passing fault. Signing twice has no effect.
    async fn repeat(
        &self,
        endpoint: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiResponse, UpstreamError> {
        for pause in PAUSES {
            match self.send_once(endpoint, path, body).await {
                Err(UpstreamError::Unreachable { .. }) => {}
                // 412: a standby that has not seen the latest state yet.
                Ok(response)
                    if matches!(response.status(), 412 | 500 | 502 | 504)
                        && !refuses_version(&response) => {}
                result => return result,
            }
            tokio::time::sleep(pause).await;
        }
        self.send_once(endpoint, path, body).await
    }

    async fn send_once(
        &self,
        endpoint: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiResponse, UpstreamError> {
        let url = below(&self.addr, &format!("v1/{path}"));
        let request = match body {
            Some(body) => ApiRequest::json(endpoint, &url, body),
            None => ApiRequest::get(endpoint, &url),
        };
        self.http.send(self.credential.sign_in(request), &mut Trace::default()).await
    }

    fn refusal(
        &self,
        endpoint: &'static str,
        status: u16,
        response: &ApiResponse,
    ) -> ConnectorError {
        let (mount, name) = (&self.mount, &self.key);
        match status {
            503 if is_sealed(response) => unavailable("it is sealed".to_owned()),
            400 | 500 if refuses_version(response) => refused(format!(
                "the {endpoint} answered {status}: {name} no longer signs with this version (min_encryption_version)"
            )),
            408 | 412 | 429 | 500..=599 => unavailable(format!("the {endpoint} answered {status}")),
            403 => refused(format!(
                "the {endpoint} answered 403: the token is not valid, or its policy lacks read on {mount}/keys/{name} \
                 and update on {mount}/sign/{name}"
            )),
            404 => refused(format!(
                "the {endpoint} answered 404: there is no key {name}, or no transit engine at {mount} (vault secrets \
                 enable -path={mount} transit; vault write -f {mount}/keys/{name} type=rsa-2048)"
            )),
            300..=399 => refused(format!(
                "the {endpoint} answered {status}, a redirect: addr must be the active node or forward to it"
            )),
            _ => refused(format!("the {endpoint} answered {status}")),
        }
    }
}

/// The bytes of `vault:v2:…`, if it is this version. With `marshaling_algorithm=jws` they are base64url without padding.
fn signature(text: &str, version: i64) -> Option<Vec<u8>> {
    let encoded = text.strip_prefix(&format!("vault:v{version}:"))?;
    URL_SAFE_NO_PAD.decode(encoded).ok()
}

fn is_sealed(response: &ApiResponse) -> bool {
    has_error(response, "sealed")
}

/// Whether the key no longer signs with the requested version. OpenBao 2.5 answers 500 then, as for a temporary fault.
fn refuses_version(response: &ApiResponse) -> bool {
    has_error(response, "less than the minimum encryption key version")
}

/// Whether one of the `errors` of the response contains this text, which is in lower case.
fn has_error(response: &ApiResponse, part: &str) -> bool {
    let Ok(body) = response.object() else { return false };
    let errors = body.get("errors").and_then(Value::as_array);
    let mut texts = errors.into_iter().flatten().filter_map(Value::as_str);
    texts.any(|text| text.to_ascii_lowercase().contains(part))
}

fn failed(error: &UpstreamError) -> ConnectorError {
    match error {
        UpstreamError::Unreachable { .. }
        | UpstreamError::Slow { .. }
        | UpstreamError::Later { .. }
        | UpstreamError::Temporary(_) => unavailable(error.to_string()),
        _ => misconfigured(error),
    }
}

fn unavailable(cause: String) -> ConnectorError {
    ConnectorError::Unavailable { upstream: VAULT.to_owned(), cause }
}

fn misconfigured(error: &UpstreamError) -> ConnectorError {
    refused(error.to_string())
}

fn lacks(what: &'static str) -> ConnectorError {
    misconfigured(&UpstreamError::Lacks { endpoint: KEY, what })
}

fn refused(cause: String) -> ConnectorError {
    let missing = "The service that keeps the signing key refuses to sign.".to_owned();
    ConnectorError::Misconfigured { upstream: VAULT.to_owned(), missing, cause }
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn only_a_signature_of_the_requested_version_in_jws_form_is_read() {
        assert_eq!(signature("vault:v2:-_8", 2).unwrap(), [0xfb, 0xff]);
        for text in ["vault:v1:-_8", "vault:v2:+/8=", "vault:v2:", "bao:v2:-_8", ""] {
            let read = signature(text, 2);
            assert!(read.is_none_or(|bytes| bytes.is_empty()), "{text}");
        }
    }
}
