//! The client of an OpenID Connect provider: discovery, the code flow, keys, userinfo; and the requests outside a
//! login: for a diagnosis, and for the page after a logout.
//!
//! Returns the provider's own claims; the connector maps them to an identity.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::connector::{CallbackState, LoginRedirect, UpstreamLogin};
use countersign_core::{Secret, Timestamp, Trace};
use countersign_jose::UpstreamKeys;
use serde_json::{Map, Value};
use url::Url;

use super::id_token::{IdTokenCheck, Nonce, Rules, check_id_token};
use super::metadata::{self, Metadata, Overrides};
use crate::oauth::{
    ApiRequest, AuthorizationRequest, AuthorizationResponse, Cached, Client, Code, Http, Proof,
    Registration, StoredChallenge, TokenResponse, Tokens, UpstreamError, UsedRefreshTokens,
    check_redirect_uri, find, read_authorization_response,
};

/// How long metadata and keys are cached. Keys are fetched earlier if none of them verifies a token.
const LIFETIME: Duration = Duration::from_hours(1);
/// Minimum time between fetches because no key verifies a token, since anyone can send such a token.
const BETWEEN_KEY_FETCHES: Duration = Duration::from_secs(10);
const KEYS: &str = "key set endpoint";
const USERINFO: &str = "userinfo endpoint";

pub(crate) struct Provider {
    pub settings: ProviderSettings,
    http: Http,
    metadata: Cached<Metadata>,
    keys: Cached<UpstreamKeys>,
    used_refresh_tokens: UsedRefreshTokens,
}

pub(crate) struct ProviderSettings {
    /// As configured; the discovery document is below it.
    pub issuer: String,
    /// The issuer identifiers it uses; its metadata has the first.
    pub names: Vec<String>,
    pub overrides: Overrides,
    pub registration: Registration,
    /// `None`: as announced by the provider.
    pub basic_auth: Option<bool>,
    pub pkce: Pkce,
    /// The provider is known to omit the nonce from its ID tokens.
    pub loses_nonce: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pkce {
    /// If the provider announces S256.
    Announced,
    Always,
    Never,
}

/// A user whom the provider has authenticated.
pub(crate) struct Proven {
    /// Claims of the ID token; empty if there is none, which is permitted only at a refresh.
    pub claims: Map<String, Value>,
    pub has_id_token: bool,
    pub tokens: Tokens,
}

/// What an ID token must match: the login or refresh it belongs to.
struct About<'a> {
    nonce: Nonce<'a>,
    sub: Option<&'a str>,
    access_token: Option<&'a Secret>,
    now: Timestamp,
}

pub(crate) enum CallbackOutcome {
    Proven(Box<Proven>),
    /// The provider refused, with this error code.
    Denied(&'static str),
}

impl Provider {
    pub fn new(settings: ProviderSettings, http: Http) -> Self {
        let (metadata, keys) = (Cached::default(), Cached::default());
        Self { settings, http, metadata, keys, used_refresh_tokens: UsedRefreshTokens::default() }
    }

    pub fn http(&self) -> &Http {
        &self.http
    }

    pub fn used_refresh_tokens(&self) -> &UsedRefreshTokens {
        &self.used_refresh_tokens
    }

    /// The provider metadata, requested again when it is no longer fresh.
    pub async fn metadata(&self, trace: &mut Trace) -> Result<Arc<Metadata>, UpstreamError> {
        self.metadata
            .get(async {
                let url = metadata::address(&self.settings.issuer)?;
                let response = self
                    .http
                    .send(ApiRequest::get(metadata::ENDPOINT, &url), trace)
                    .await?
                    .success()?;
                let name = self.settings.names.first().map_or("", String::as_str);
                let read = Metadata::read(&response, name, &url, &self.settings.overrides)?;
                Ok((read, LIFETIME))
            })
            .await
    }

    /// The authorization request (OpenID Connect Core 3.1.2.1), with nonce and, if the settings require it, PKCE.
    pub async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        scopes: &[String],
        more: Vec<(&'static str, String)>,
        trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        check_redirect_uri(&self.settings.registration, upstream_login)?;
        let metadata = self.metadata(trace).await?;
        let leaving = AuthorizationRequest {
            authorize: &metadata.authorize,
            client_id: &self.settings.registration.client_id,
            scopes,
            with_nonce: true,
            with_pkce: match self.settings.pkce {
                Pkce::Announced => metadata.s256,
                Pkce::Always => true,
                Pkce::Never => false,
            },
            more,
        };
        leaving.redirect(upstream_login)
    }

    /// Verifies the callback, exchanges its code and verifies the ID token.
    pub async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<CallbackOutcome, UpstreamError> {
        check_redirect_uri(&self.settings.registration, upstream_login)?;
        let code = match read_authorization_response(query, trace)? {
            AuthorizationResponse::Denied(code) => return Ok(CallbackOutcome::Denied(code)),
            AuthorizationResponse::Code(code) => code,
        };
        let metadata = self.metadata(trace).await?;
        // Anyone can make up a link with these parameters, so they are no evidence of the provider's health.
        if let Err(reason) = self.check_sender(&metadata, find(query, "iss")) {
            trace.note(reason);
            return Ok(CallbackOutcome::Denied("invalid_request"));
        }
        let packed = StoredChallenge(callback_state);
        let sent = packed.nonce().ok_or_else(|| {
            UpstreamError::Temporary("the login began without a nonce".to_owned())
        })?;
        let code = Code {
            code: &code,
            redirect_uri: upstream_login.callback.as_str(),
            verifier: packed.verifier(),
        };
        let client = self.client(&metadata);
        let tokens = match client.exchange(&self.http, &metadata.token, &code, trace).await? {
            TokenResponse::Refused(code) => return Ok(CallbackOutcome::Denied(code)),
            TokenResponse::Tokens(tokens) => tokens,
        };
        let nonce = match self.settings.loses_nonce {
            true => Nonce::IsOrAbsent(sent),
            false => Nonce::Is(sent),
        };
        let Some(token) = tokens.id_token.clone() else {
            return Err(UpstreamError::Lacks { endpoint: "token endpoint", what: "an ID token" });
        };
        let about =
            About { nonce, sub: None, access_token: Some(&tokens.access), now: upstream_login.now };
        let claims = self.claims(&metadata, &token, about, trace).await?;
        Ok(CallbackOutcome::Proven(Box::new(Proven { claims, has_id_token: true, tokens })))
    }

    /// The claims of an ID token presented by a client; see `RedirectLogin::login_with_id_token`.
    pub async fn verify_id_token(
        &self,
        id_token: &Secret,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Map<String, Value>, UpstreamError> {
        let metadata = self.metadata(trace).await?;
        let about = About { nonce: Nonce::NotRequested, sub: None, access_token: None, now };
        self.claims(&metadata, id_token, about, trace).await
    }

    /// Uses a refresh token. The one to use next is in the tokens: a new one, or the same. `sub` is that of the sign-in
    /// if it is known; an ID token with another `sub` is refused.
    pub async fn refresh(
        &self,
        token: &Secret,
        sub: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<CallbackOutcome, UpstreamError> {
        let metadata = self.metadata(trace).await?;
        let client = self.client(&metadata);
        let url = &metadata.token;
        let tokens =
            match client.refresh(&self.http, url, token, &self.used_refresh_tokens, trace).await? {
                TokenResponse::Refused(code) => return Ok(CallbackOutcome::Denied(code)),
                TokenResponse::Tokens(tokens) => tokens,
            };
        let claims = match tokens.id_token.clone() {
            None => Map::new(),
            Some(id) => {
                let access_token = Some(&tokens.access);
                let about = About { nonce: Nonce::NotRequested, sub, access_token, now };
                self.claims(&metadata, &id, about, trace).await?
            }
        };
        let has_id_token = tokens.id_token.is_some();
        Ok(CallbackOutcome::Proven(Box::new(Proven { claims, has_id_token, tokens })))
    }

    /// The refresh token to use in place of this one, if this one was used and the provider returned another.
    pub fn successor(&self, token: &Secret) -> Option<Secret> {
        self.used_refresh_tokens.tokens_for(token)?.refresh
    }

    /// The claims of userinfo, whose `sub` must equal that of the ID token (OpenID Connect Core 1.0 section 5.3.2).
    pub async fn userinfo(
        &self,
        access: &Secret,
        sub: Option<&str>,
        trace: &mut Trace,
    ) -> Result<Map<String, Value>, UpstreamError> {
        let metadata = self.metadata(trace).await?;
        let Some(url) = &metadata.userinfo else {
            return Err(UpstreamError::Lacks {
                endpoint: metadata::ENDPOINT,
                what: "userinfo_endpoint, which getUserInfo needs",
            });
        };
        let response = self.http.send(ApiRequest::get(USERINFO, url).bearer(access), trace).await?;
        let claims = response.success()?.object()?;
        match claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty()) {
            None => Err(UpstreamError::Lacks { endpoint: USERINFO, what: "sub" }),
            Some(found) if sub.is_some_and(|sub| sub != found) => {
                Err(UpstreamError::Person(format!("the {USERINFO} is about another user (sub)")))
            }
            Some(_) => Ok(claims),
        }
    }

    /// RFC 9207 section 2.4: the issuer of the response must be the one the request was sent to.
    fn check_sender(&self, metadata: &Metadata, iss: Option<&str>) -> Result<(), &'static str> {
        match iss {
            Some(iss) if self.settings.names.iter().any(|name| name == iss) => Ok(()),
            None if !metadata.names_itself => Ok(()),
            Some(_) => Err("the answer came from another issuer (iss)"),
            None => Err("the answer does not name its issuer (iss)"),
        }
    }

    fn client(&self, metadata: &Metadata) -> Client {
        let Registration { client_id, client_secret, .. } = &self.settings.registration;
        let basic = self.settings.basic_auth.or(metadata.basic).unwrap_or(true);
        let proof = match (client_secret.is_empty(), basic) {
            (true, _) => Proof::None,
            (false, true) => Proof::Basic(client_secret.clone()),
            (false, false) => Proof::Post(client_secret.clone()),
        };
        Client { id: client_id.clone(), proof }
    }

    async fn claims(
        &self,
        metadata: &Metadata,
        token: &Secret,
        about: About<'_>,
        trace: &mut Trace,
    ) -> Result<Map<String, Value>, UpstreamError> {
        let About { nonce, sub, access_token, now } = about;
        let rules = Rules {
            issuers: &self.settings.names,
            client_id: &self.settings.registration.client_id,
            nonce,
            sub,
            access_token,
            now,
        };
        let keys = self.keys.get(self.fetch_keys(&metadata.keys, trace)).await?;
        let mut check = check_id_token(&keys, token, &rules);
        if matches!(check, IdTokenCheck::NoKeyFits(_)) {
            let fetch = self.fetch_keys(&metadata.keys, trace);
            if let Some(keys) = self.keys.newer(&keys, BETWEEN_KEY_FETCHES, fetch).await {
                check = check_id_token(&*keys?, token, &rules);
            }
        }
        match check {
            IdTokenCheck::Good(claims) => {
                let names: Vec<&str> = claims.keys().map(String::as_str).collect();
                trace.response(format!("a valid ID token with {}", names.join(", ")));
                Ok(claims)
            }
            IdTokenCheck::Refused(failure) | IdTokenCheck::NoKeyFits(failure) => Err(failure),
        }
    }

    async fn fetch_keys(
        &self,
        url: &Url,
        trace: &mut Trace,
    ) -> Result<(UpstreamKeys, Duration), UpstreamError> {
        let response = self.http.send(ApiRequest::get(KEYS, url), trace).await?.success()?;
        let keys = UpstreamKeys::parse(response.bytes())
            .ok_or(UpstreamError::NotJson { endpoint: KEYS })?;
        match keys.is_empty() {
            true => Err(UpstreamError::Lacks { endpoint: KEYS, what: "a key we can use" }),
            false => Ok((keys, LIFETIME)),
        }
    }
}

impl Provider {
    /// Makes all requests that need no user.
    pub async fn diagnose(&self, trace: &mut Trace) -> Result<(), UpstreamError> {
        let metadata = self.metadata(trace).await?;
        trace.response(format!("people sign in at {}", metadata.authorize));
        self.fetch_keys(&metadata.keys, trace).await?;
        trace.response("keys that can sign ID tokens");
        let client = self.client(&metadata);
        client.probe(&self.http, &metadata.token, &self.settings.registration, trace).await
    }

    /// The end session endpoint with our client id. The recommended `id_token_hint` is omitted, because it would put
    /// the user's data into a URL (OpenID Connect RP-Initiated Logout 1.0 section 2).
    pub async fn sign_out_url(&self, trace: &mut Trace) -> Result<Option<Url>, UpstreamError> {
        let mut url = self.metadata(trace).await?.end_session.clone();
        if let Some(url) = &mut url {
            let client_id = &self.settings.registration.client_id;
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        Ok(url)
    }
}
