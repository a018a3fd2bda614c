//! LinkedIn's product "Sign In with LinkedIn using OpenID Connect". (Dex uses an older one that is closed to new
//! applications; user ids are the same.)
//!
//! LinkedIn deviates from OpenID Connect: its ID tokens have no nonce, PKCE is not available to web applications, and
//! `email_verified` is a string. Therefore only `state` binds a code to a login, and the identity is read from
//! userinfo.

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{
    CallbackState, LoginRedirect, RefreshOutcome, RefreshRequest, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, Secret, Timestamp, Trace};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oauth::{
    ClientSecretRule, Http, OAuth, Registration, Roots, Upstream, UpstreamError, UpstreamOutcome,
    UsedRefreshTokens, base_url,
};
use crate::oidc::metadata::Overrides;
use crate::oidc::provider::{CallbackOutcome, Pkce, Provider, ProviderSettings};

const SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let registration = Registration::read(&section, ClientSecretRule::Required);
    let issuer = base_url(&section, "issuer", "https://www.linkedin.com/oauth");
    let roots = Roots::read_list(&section);
    let http = match (roots, &registration, &issuer) {
        (Some(roots), Some(registration), Some(issuer)) => {
            Http::read(&section, roots, registration.timeout, &[issuer])
        }
        _ => None,
    };
    section.finish();
    let issuer = issuer?.as_str().trim_end_matches('/').to_owned();
    let settings = ProviderSettings {
        names: vec![issuer.clone()],
        issuer: issuer.clone(),
        overrides: Overrides::default(),
        registration: registration?,
        basic_auth: Some(false),
        pkce: Pkce::Never,
        loses_nonce: true,
    };
    let linkedin = LinkedIn { provider: Provider::new(settings, http?) };
    let fingerprint = format!("linkedin:{issuer}");
    Some(OAuth::connector("linkedin", id, name, fingerprint, linkedin))
}

struct LinkedIn {
    provider: Provider,
}

/// Dex's format. The access token is valid for two months, and LinkedIn returns no refresh token.
#[derive(Serialize, Deserialize)]
struct Remembered {
    #[serde(rename = "accessToken")]
    access_token: String,
}

#[async_trait]
impl Upstream for LinkedIn {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        let scopes = SCOPES.map(str::to_owned);
        self.provider.login_url(upstream_login, &scopes, Vec::new(), trace).await
    }

    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        let proven = match self
            .provider
            .handle_callback(upstream_login, callback_state, query, trace)
            .await?
        {
            CallbackOutcome::Proven(proven) => proven,
            CallbackOutcome::Denied(code) => return Ok(UpstreamOutcome::Denied(code)),
        };
        let sub = proven.claims.get("sub").and_then(Value::as_str);
        self.person(proven.tokens.access, sub, trace).await.map(UpstreamOutcome::Accepted)
    }

    async fn refresh(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        let missing = |reason: &str| Ok(RefreshOutcome::Missing { reason: reason.to_owned() });
        let kept: Option<Remembered> =
            known.upstream.and_then(|kept| serde_json::from_str(kept.expose()).ok());
        let Some(Remembered { access_token }) = kept else {
            trace.note("LinkedIn returned no token at sign-in");
            return Ok(RefreshOutcome::NotPossible);
        };
        let sub = Some(known.identity.user_id.as_str());
        match self.person(Secret::new(access_token), sub, trace).await {
            Err(failure) if failure.status() == Some(401) => {
                missing("LinkedIn refuses its access token")
            }
            person => Ok(RefreshOutcome::Current(person?)),
        }
    }

    fn used_refresh_tokens(&self) -> Option<&UsedRefreshTokens> {
        None
    }

    async fn diagnose(
        &self,
        _user: Option<&str>,
        _now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        self.provider.diagnose(trace).await?;
        trace.note("LinkedIn knows no groups");
        Ok(None)
    }
}

impl LinkedIn {
    async fn person(
        &self,
        access: Secret,
        sub: Option<&str>,
        trace: &mut Trace,
    ) -> Result<Box<SignedIn>, UpstreamError> {
        let claims = self.provider.userinfo(&access, sub, trace).await?;
        let remembered = Remembered { access_token: access.expose().to_owned() };
        let upstream = serde_json::to_string(&remembered).ok().map(Secret::new);
        Ok(Box::new(SignedIn { identity: identity(&claims), upstream, fingerprint: None }))
    }
}

/// LinkedIn has no groups.
fn identity(claims: &Map<String, Value>) -> Identity {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, email) = (text("name").trim(), text("email"));
    Identity {
        user_id: text("sub").to_owned(),
        username: if name.is_empty() { email } else { name }.to_owned(),
        preferred_username: String::new(),
        email: email.to_owned(),
        email_verified: claims.get("email_verified").and_then(Value::as_bool) == Some(true),
        groups: Vec::new(),
    }
}
