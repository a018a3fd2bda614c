//! Any OpenID Connect provider, like Dex's connector of this name: the code flow, and the identity of the ID token.
//!
//! No request is sent to the provider before a user logs in, so an unavailable provider affects only its own logins and
//! recovers without a restart. Users are never linked to other accounts by e-mail address.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::Section;
use countersign_core::connector::{
    CallbackState, LoginRedirect, RefreshOutcome, RefreshRequest, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, Secret, Timestamp, Trace};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::oauth::{
    OAuth, Upstream, UpstreamError, UpstreamOutcome, UsedRefreshTokens, refused_token,
};

mod config;
pub(crate) mod id_token;
pub(crate) mod metadata;
mod person;
pub(crate) mod provider;

use config::Config;
use person::{Mapping, Person};
use provider::{CallbackOutcome, Proven, Provider};

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let Config { provider, http, scopes, acr_values, get_user_info, prompt, mapping } =
        config::read(section)?;
    let fingerprint = format!("oidc:{}", provider.issuer);
    let oidc = Oidc {
        provider: Provider::new(provider, http),
        scopes,
        acr_values,
        get_user_info,
        prompt,
        mapping,
    };
    Some(OAuth::connector("oidc", id, name, fingerprint, oidc))
}

struct Oidc {
    provider: Provider,
    scopes: Vec<String>,
    acr_values: Vec<String>,
    get_user_info: bool,
    prompt: Option<String>,
    mapping: Mapping,
}

#[async_trait]
impl Upstream for Oidc {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        let mut scopes = self.scopes.clone();
        let (mut more, mut prompt) = (Vec::new(), Vec::new());
        if upstream_login.again {
            prompt.push("login".to_owned());
        }
        if !self.acr_values.is_empty() {
            more.push(("acr_values", self.acr_values.join(" ")));
        }
        if upstream_login.login_scopes.offline {
            let metadata = self.provider.metadata(trace).await?;
            let offline = "offline_access".to_owned();
            if metadata.scopes.contains(&offline) && !scopes.contains(&offline) {
                scopes.push(offline);
            }
            more.push(("access_type", "offline".to_owned()));
            prompt.extend(self.prompt.clone().filter(|own| own != "login"));
        }
        if !prompt.is_empty() {
            more.push(("prompt", prompt.join(" ")));
        }
        self.provider.login_url(upstream_login, &scopes, more, trace).await
    }

    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        match self.provider.handle_callback(upstream_login, callback_state, query, trace).await? {
            CallbackOutcome::Denied(code) => Ok(UpstreamOutcome::Denied(code)),
            CallbackOutcome::Proven(proven) => self.user_outcome(*proven, None, trace).await,
        }
    }

    async fn refresh(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let Some((token, remembered_sub)) = known.upstream.and_then(kept) else {
            trace.note("the upstream returned no refresh token at sign-in");
            return Ok(RefreshOutcome::NotPossible);
        };
        let user_id_is_sub = self.mapping.user_id == "sub";
        let user_id = Some(known.identity.user_id.as_str()).filter(|_| user_id_is_sub);
        let sub = user_id.or(remembered_sub.as_deref());
        match self.provider.refresh(&token, sub, known.now, trace).await? {
            CallbackOutcome::Denied(code) => Ok(refused_token(code)),
            CallbackOutcome::Proven(proven) => {
                let before = Before { identity: known.identity, sub };
                Ok(self.user_outcome(*proven, Some(before), trace).await?.refreshed())
            }
        }
    }

    async fn successor(&self, upstream: &Secret) -> Option<Secret> {
        let (token, sub) = kept(upstream)?;
        keep(&self.provider.successor(&token)?, sub.as_deref())
    }

    /// `getUserInfo` has no effect here, because there is no access token.
    async fn login_with_id_token(
        &self,
        id_token: &Secret,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<UpstreamOutcome>, UpstreamError> {
        let claims = self.provider.verify_id_token(id_token, now, trace).await?;
        Ok(Some(match person::of(&claims, &self.mapping, None, None, trace)? {
            Person::Accepted(identity) => UpstreamOutcome::Accepted(Box::new(SignedIn {
                identity,
                upstream: None,
                fingerprint: None,
            })),
            Person::NotIn(required) => UpstreamOutcome::NotIn(required),
            Person::EmailNotVerified => UpstreamOutcome::EmailNotVerified,
        }))
    }

    fn needs_offline_login(&self) -> bool {
        true
    }

    fn used_refresh_tokens(&self) -> Option<&UsedRefreshTokens> {
        Some(self.provider.used_refresh_tokens())
    }

    async fn diagnose(
        &self,
        _user: Option<&str>,
        _now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        self.provider.diagnose(trace).await?;
        trace.note("identity and groups are known only when the user signs in");
        Ok(None)
    }

    async fn sign_out_url(&self, trace: &mut Trace) -> Result<Option<Url>, UpstreamError> {
        self.provider.sign_out_url(trace).await
    }
}

/// The user of the session, at a refresh.
#[derive(Clone, Copy)]
struct Before<'a> {
    identity: &'a Identity,
    /// `None` only for sessions with another `userIDKey` that began before `sub` was stored.
    sub: Option<&'a str>,
}

impl Oidc {
    /// `before` is the user of the session at a refresh, and `None` at a login.
    async fn user_outcome(
        &self,
        proven: Proven,
        before: Option<Before<'_>>,
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        let mut claims = proven.claims;
        let known_sub = before.and_then(|before| before.sub);
        let sub = claims.get("sub").and_then(Value::as_str).or(known_sub).map(str::to_owned);
        // If the user id is the `sub`, the session contains it already.
        let remembered = sub.as_deref().filter(|_| self.mapping.user_id != "sub");
        let upstream = proven.tokens.refresh.as_ref().and_then(|token| keep(token, remembered));
        if self.get_user_info {
            let access = &proven.tokens.access;
            let more = self.provider.userinfo(access, sub.as_deref(), trace).await?;
            merge(&mut claims, more);
        } else if let (false, Some(before)) = (proven.has_id_token, before) {
            // Core 12.2: the response of a refresh may lack an ID token. The provider accepted the refresh token, so
            // the user is still valid there, and the known identity is kept.
            trace.note("the answer has no ID token: the identity of the last one is kept");
            let identity = before.identity.clone();
            let signed_in = SignedIn { identity, upstream, fingerprint: None };
            return Ok(UpstreamOutcome::Accepted(Box::new(signed_in)));
        }
        let before = before.map(|before| before.identity);
        // Without a known `sub` the user id alone shows whose claims these are.
        let user_id = before.filter(|_| known_sub.is_some()).map(|before| before.user_id.as_str());
        let identity = match person::of(&claims, &self.mapping, before, user_id, trace)? {
            Person::Accepted(identity) => identity,
            Person::NotIn(required) => return Ok(UpstreamOutcome::NotIn(required)),
            Person::EmailNotVerified => return Ok(UpstreamOutcome::EmailNotVerified),
        };
        if proven.tokens.refresh.is_none() {
            trace.note("the upstream returned no refresh token: the identity cannot be refreshed");
        }
        Ok(UpstreamOutcome::Accepted(Box::new(SignedIn { identity, upstream, fingerprint: None })))
    }
}

/// Claims of userinfo replace those of the ID token, except `iss`, `sub`, `aud`, `exp` and `iat`. Null is an absent claim
/// (OpenID Connect Core 1.0 section 5.3.2).
fn merge(claims: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
        if !claims.contains_key(&name)
            || !["iss", "sub", "aud", "exp", "iat"].contains(&name.as_str())
        {
            claims.insert(name, value);
        }
    }
}

/// Dex's format, so that its sessions can be imported: bytes in base64.
#[derive(Serialize, Deserialize)]
struct Remembered {
    #[serde(rename = "RefreshToken")]
    refresh_token: Option<String>,
    /// Our addition: the `sub` of the sign-in, which may differ from the user id.
    #[serde(rename = "Sub", default, skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
}

fn keep(token: &Secret, sub: Option<&str>) -> Option<Secret> {
    let refresh_token = Some(STANDARD.encode(token.expose()));
    let remembered = Remembered { refresh_token, sub: sub.map(str::to_owned) };
    serde_json::to_string(&remembered).ok().map(Secret::new)
}

/// The refresh token, and the `sub` if it was stored.
fn kept(upstream: &Secret) -> Option<(Secret, Option<String>)> {
    let remembered: Remembered = serde_json::from_str(upstream.expose()).ok()?;
    let token = STANDARD.decode(remembered.refresh_token?).ok()?;
    let token = String::from_utf8(token).ok().filter(|token| !token.is_empty())?;
    Some((Secret::new(token), remembered.sub))
}
