//! Access tokens for Google's APIs, each cached until shortly before it expires.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::{Secret, Timestamp, Trace};
use serde_json::{Value, json};
use url::Url;

use super::config::Apis;
use super::credentials::{Credentials, Federation, ServiceAccount};
use crate::oauth::{
    ApiRequest, Cached, Http, TokenResponse, Tokens, UpstreamError, below, read_token_response,
};

pub(super) const DIRECTORY: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly";
pub(super) const CLOUD_IDENTITY: &str =
    "https://www.googleapis.com/auth/cloud-identity.groups.readonly";
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const GOOGLE_TOKENS: &str = "https://oauth2.googleapis.com/token";
const METADATA: &str = "metadata server";
const IAM: &str = "IAM credentials endpoint";
const STS: &str = "token exchange endpoint";
const SERVICE_ACCOUNT: &str = "service account's token endpoint";

/// The maximum lifetime of a requested token.
const ASSERTION_LIFETIME: i64 = 3600;
/// Subtracted from a token's lifetime to allow for the duration of a call.
const MARGIN: Duration = Duration::from_mins(1);
/// Assumed lifetime in seconds, if the response has none.
const UNKNOWN_LIFETIME: u64 = 5 * 60;

/// The tokens of one service account, by the administrator it impersonates; the empty key is the service account
/// itself.
pub(super) struct AccessTokens {
    credentials: Credentials,
    scope: &'static str,
    kept: BTreeMap<String, Cached<Secret>>,
}

/// What is needed to request a token.
pub(super) struct TokenSource<'a> {
    pub http: &'a Http,
    pub apis: &'a Apis,
    pub now: Timestamp,
}

impl AccessTokens {
    pub fn new(
        credentials: Credentials,
        scope: &'static str,
        subjects: impl IntoIterator<Item = String>,
    ) -> Self {
        let kept = subjects.into_iter().map(|subject| (subject, Cached::default())).collect();
        Self { credentials, scope, kept }
    }

    /// The token for `subject`, which must be one of those passed to `new`.
    pub async fn get(
        &self,
        subject: &str,
        way: &TokenSource<'_>,
        trace: &mut Trace,
    ) -> Result<Arc<Secret>, UpstreamError> {
        let kept = self.kept.get(subject).ok_or_else(|| {
            UpstreamError::Configuration(
                "no administrator is configured for this domain".to_owned(),
            )
        })?;
        kept.get(async {
            let tokens = self.fetch(subject, way, trace).await?;
            let lifetime = Duration::from_secs(tokens.expires_in.unwrap_or(UNKNOWN_LIFETIME));
            Ok((tokens.access, lifetime.saturating_sub(MARGIN)))
        })
        .await
    }

    async fn fetch(
        &self,
        subject: &str,
        way: &TokenSource<'_>,
        trace: &mut Trace,
    ) -> Result<Tokens, UpstreamError> {
        match &self.credentials {
            Credentials::Key(account) => {
                let audience = account.token_url.as_str();
                let claims = self.claims(&account.email, audience, subject, way.now);
                let assertion = signed(account, claims).await?;
                redeemed(way.http, &account.token_url, &assertion, trace).await
            }
            Credentials::Federation(federation) => {
                self.federated(federation, subject, way, trace).await
            }
            Credentials::Machine if subject.is_empty() => {
                machine_token(way, self.scope, trace).await
            }
            Credentials::Machine => {
                let token = machine_token(way, CLOUD_PLATFORM, trace).await?;
                let email = machine_email(way, trace).await?;
                self.as_subject(&email, subject, &token.access, way, trace).await
            }
        }
    }

    async fn federated(
        &self,
        federation: &Federation,
        subject: &str,
        way: &TokenSource<'_>,
        trace: &mut Trace,
    ) -> Result<Tokens, UpstreamError> {
        let direct = federation.impersonation.is_none() && subject.is_empty();
        let scope = if direct { self.scope } else { CLOUD_PLATFORM };
        let token = exchanged(federation, way.http, scope, trace).await?;
        match (&federation.impersonation, subject) {
            (None, "") => Ok(token),
            (Some((_, url)), "") => {
                impersonated(way.http, url, self.scope, &token.access, trace).await
            }
            (Some((account, _)), subject) => {
                self.as_subject(account, subject, &token.access, way, trace).await
            }
            (None, _) => Err(UpstreamError::Configuration(
                "the federation names no service account, and only one may act for an administrator"
                    .to_owned(),
            )),
        }
    }

    /// Domain-wide delegation without a key: the IAM API signs the assertion for the service account.
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    async fn as_subject(
        &self,
        account: &str,
        subject: &str,
        token: &Secret,
        way: &TokenSource<'_>,
        trace: &mut Trace,
    ) -> Result<Tokens, UpstreamError> {
        let path = format!("v1/projects/-/serviceAccounts/{account}:signJwt");
        let url = below(&way.apis.iam_credentials, &path);
        let claims = self.claims(account, GOOGLE_TOKENS, subject, way.now);
        let body = json!({ "payload": claims.to_string() });
        let response =
            way.http.send(ApiRequest::json(IAM, &url, &body).bearer(token), trace).await?;
        let object = response.success()?.object()?;
        let signed = object.get("signedJwt").and_then(Value::as_str);
        let signed = signed.ok_or(UpstreamError::Lacks { endpoint: IAM, what: "signedJwt" })?;
        redeemed(way.http, &way.apis.tokens, &Secret::new(signed), trace).await
    }

    /// The claims of an assertion (RFC 7523 section 3).
    fn claims(&self, account: &str, audience: &str, subject: &str, now: Timestamp) -> Value {
        let now = now.secs();
        let mut claims = json!({
            "iss": account, "scope": self.scope, "aud": audience,
            "iat": now, "exp": now + ASSERTION_LIFETIME,
        });
        if let (false, Some(claims)) = (subject.is_empty(), claims.as_object_mut()) {
            claims.insert("sub".to_owned(), subject.into());
        }
        claims
    }
}

async fn signed(account: &Arc<ServiceAccount>, claims: Value) -> Result<Secret, UpstreamError> {
    let account = account.clone();
    let work = move || account.signer.sign(Some("JWT"), claims.to_string().as_bytes());
    let signed = tokio::task::spawn_blocking(work).await;
    let signed =
        signed.map_err(|_| UpstreamError::Temporary("signing was interrupted".to_owned()))?;
    signed.map(Secret::new).map_err(|e| UpstreamError::Configuration(e.to_string()))
}

async fn redeemed(
    http: &Http,
    url: &Url,
    assertion: &Secret,
    trace: &mut Trace,
) -> Result<Tokens, UpstreamError> {
    let form = [("grant_type", JWT_BEARER), ("assertion", assertion.expose())];
    let response = http.send(ApiRequest::form(SERVICE_ACCOUNT, url, &form), trace).await?;
    tokens(read_token_response(&response)?, SERVICE_ACCOUNT)
}

async fn exchanged(
    federation: &Federation,
    http: &Http,
    scope: &str,
    trace: &mut Trace,
) -> Result<Tokens, UpstreamError> {
    let file = &federation.token_file;
    let text = tokio::fs::read_to_string(file).await;
    let text = Secret::new(
        text.map_err(|e| UpstreamError::Configuration(format!("cannot read {file}: {e}")))?,
    );
    let subject = match &federation.token_member {
        None => text.expose().trim().to_owned(),
        Some(member) => serde_json::from_str::<Value>(text.expose())
            .ok()
            .and_then(|json| json.get(member)?.as_str().map(str::to_owned))
            .ok_or_else(|| {
                UpstreamError::Configuration(format!("{file} has no text at {member}"))
            })?,
    };
    let form = [
        ("grant_type", TOKEN_EXCHANGE),
        ("audience", federation.audience.as_str()),
        ("scope", scope),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token_type", federation.subject_token_type.as_str()),
        ("subject_token", subject.as_str()),
    ];
    let response = http.send(ApiRequest::form(STS, &federation.token_url, &form), trace).await?;
    tokens(read_token_response(&response)?, STS)
}

async fn impersonated(
    http: &Http,
    url: &Url,
    scope: &str,
    token: &Secret,
    trace: &mut Trace,
) -> Result<Tokens, UpstreamError> {
    let body = json!({ "scope": [scope] });
    let response = http.send(ApiRequest::json(IAM, url, &body).bearer(token), trace).await?;
    let object = response.success()?.object()?;
    let access = object.get("accessToken").and_then(Value::as_str);
    let access = access.ok_or(UpstreamError::Lacks { endpoint: IAM, what: "accessToken" })?;
    Ok(Tokens::of(Secret::new(access)))
}

async fn machine_token(
    way: &TokenSource<'_>,
    scope: &str,
    trace: &mut Trace,
) -> Result<Tokens, UpstreamError> {
    let mut url = machine(way, "token");
    url.query_pairs_mut().append_pair("scopes", scope);
    let request = ApiRequest::get(METADATA, &url).header("metadata-flavor", Secret::new("Google"));
    let response = way.http.send(request, trace).await?;
    tokens(read_token_response(&response)?, METADATA)
}

async fn machine_email(way: &TokenSource<'_>, trace: &mut Trace) -> Result<String, UpstreamError> {
    let url = machine(way, "email");
    let request = ApiRequest::get(METADATA, &url).header("metadata-flavor", Secret::new("Google"));
    let response = way.http.send(request, trace).await?.success()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "@.-_:".contains(c);
    std::str::from_utf8(response.bytes())
        .ok()
        .map(str::trim)
        .filter(|text| text.contains('@') && text.chars().all(plain))
        .map(str::to_owned)
        .ok_or(UpstreamError::Lacks { endpoint: METADATA, what: "the service account's address" })
}

fn machine(way: &TokenSource<'_>, what: &str) -> Url {
    let path = format!("computeMetadata/v1/instance/service-accounts/default/{what}");
    below(&way.apis.metadata, &path)
}

fn tokens(granted: TokenResponse, endpoint: &'static str) -> Result<Tokens, UpstreamError> {
    match granted {
        TokenResponse::Tokens(tokens) => Ok(tokens),
        // For a service account this is a configuration error and not the user's.
        TokenResponse::Refused(code) => {
            Err(UpstreamError::Status { endpoint, status: 400, code: Some(code) })
        }
    }
}
