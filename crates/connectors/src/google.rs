//! Google accounts, with the groups of Google Workspace or Cloud Identity.
//!
//! The hosted domain is read from the claim `hd` of the ID token, not from the request parameter or the e-mail address.
//! Groups are read only for an address that Google is authoritative for.

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{
    CallbackState, LoginRedirect, RefreshOutcome, RefreshRequest, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Timestamp, Trace};
use serde_json::{Map, Value};

use crate::oauth::{
    OAuth, Upstream, UpstreamError, UpstreamOutcome, UsedRefreshTokens, refused_token,
};
use crate::oidc::provider::{CallbackOutcome, Proven, Provider};

mod config;
mod credentials;
mod groups;
mod tokens;

use config::Config;
use groups::Groups;

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let config = config::read(section)?;
    let Config { provider, http, scopes, hosted_domains, prompt, transitive, apis, .. } = config;
    let fingerprint = format!("google:{}", provider.issuer);
    let google = Google {
        provider: Provider::new(provider, http),
        scopes,
        hosted_domains,
        required_groups: config.groups,
        prompt,
        groups: config.source.map(|source| Groups::new(source, transitive, apis)),
    };
    Some(OAuth::connector("google", id, name, fingerprint, google))
}

struct Google {
    provider: Provider,
    scopes: Vec<String>,
    hosted_domains: Vec<String>,
    required_groups: Vec<String>,
    prompt: Option<String>,
    groups: Option<Groups>,
}

/// The request that an ID token must belong to.
struct About {
    login_scopes: LoginScopes,
    now: Timestamp,
}

#[async_trait]
impl Upstream for Google {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        trace: &mut Trace,
    ) -> Result<LoginRedirect, UpstreamError> {
        let mut more = Vec::new();
        match self.hosted_domains.as_slice() {
            [] => {}
            [one] => more.push(("hd", one.clone())),
            _ => more.push(("hd", "*".to_owned())),
        }
        if upstream_login.login_scopes.offline {
            more.push(("access_type", "offline".to_owned()));
            more.extend(self.prompt.clone().map(|prompt| ("prompt", prompt)));
        }
        self.provider.login_url(upstream_login, &self.scopes, more, trace).await
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
            CallbackOutcome::Proven(proven) => {
                let about =
                    About { login_scopes: upstream_login.login_scopes, now: upstream_login.now };
                self.user_outcome(*proven, None, about, trace).await
            }
        }
    }

    async fn refresh(
        &self,
        known: &RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, UpstreamError> {
        // Google does not rotate refresh tokens; Dex keeps the first one as well.
        let Some(token) = known.upstream.filter(|token| !token.is_empty()) else {
            trace.note("Google returned no refresh token at sign-in");
            return Ok(RefreshOutcome::NotPossible);
        };
        let proven = match self
            .provider
            .refresh(token, Some(&known.identity.user_id), known.now, trace)
            .await?
        {
            CallbackOutcome::Denied(code) => return Ok(refused_token(code)),
            CallbackOutcome::Proven(proven) => *proven,
        };
        if !proven.has_id_token {
            trace.note("the answer has no ID token: the identity of the last one is kept");
            return Ok(RefreshOutcome::Current(Box::new(SignedIn {
                identity: known.identity.clone(),
                upstream: proven.tokens.refresh,
                fingerprint: None,
            })));
        }
        let about = About { login_scopes: known.login_scopes, now: known.now };
        Ok(self.user_outcome(proven, Some(known.identity), about, trace).await?.refreshed())
    }

    async fn successor(&self, upstream: &Secret) -> Option<Secret> {
        self.provider.successor(upstream)
    }

    fn needs_offline_login(&self) -> bool {
        true
    }

    fn used_refresh_tokens(&self) -> Option<&UsedRefreshTokens> {
        Some(self.provider.used_refresh_tokens())
    }

    async fn diagnose(
        &self,
        user: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        self.provider.diagnose(trace).await?;
        let Some(groups) = &self.groups else {
            trace.note("no groups are read: serviceAccountFilePath or groupsFrom is required");
            return Ok(None);
        };
        let Some(user) = user else {
            trace.note("groups are read with a service account: --user EMAIL tries it");
            return Ok(None);
        };
        let found = groups.of(user, self.provider.http(), now, trace).await?;
        let kept = self.required(found, trace);
        if kept.is_none() {
            trace.note("would be refused: in none of the configured groups");
        }
        Ok(Some(kept.unwrap_or_default()))
    }
}

impl Google {
    async fn user_outcome(
        &self,
        proven: Proven,
        before: Option<&Identity>,
        about: About,
        trace: &mut Trace,
    ) -> Result<UpstreamOutcome, UpstreamError> {
        let About { login_scopes, now } = about;
        let claims = &proven.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let domain = text("hd");
        if !self.hosted_domains.is_empty()
            && !self.hosted_domains.iter().any(|hosted| hosted.eq_ignore_ascii_case(domain))
        {
            trace.excluded("hd", "the ID token names none of hostedDomains");
            return Ok(UpstreamOutcome::NotIn(self.hosted_domains.clone()));
        }
        // The ID token of a refresh may lack the name, and userinfo is rate-limited.
        let name = match (text("name"), before) {
            ("", Some(before)) => before.username.as_str(),
            (name, _) => name,
        };
        let mut identity = Identity {
            user_id: text("sub").to_owned(),
            username: name.to_owned(),
            preferred_username: String::new(),
            email: text("email").to_owned(),
            email_verified: is_verified(claims),
            groups: Vec::new(),
        };
        if let Some(groups) = &self.groups
            && (login_scopes.groups || !self.required_groups.is_empty())
        {
            match self.groups_of(groups, (&identity, domain), now, trace).await? {
                Some(found) => identity.groups = found,
                None => return Ok(UpstreamOutcome::NotIn(self.required_groups.clone())),
            }
        }
        let upstream = proven.tokens.refresh;
        Ok(UpstreamOutcome::Accepted(Box::new(SignedIn { identity, upstream, fingerprint: None })))
    }

    /// The user's groups; `None` if they have none of the required ones.
    async fn groups_of(
        &self,
        groups: &Groups,
        (identity, domain): (&Identity, &str),
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        let found = match may_read_groups_of(identity, domain) {
            Ok(()) => groups.of(&identity.email, self.provider.http(), now, trace).await?,
            Err(reason) => {
                trace.excluded("groups", reason);
                Vec::new()
            }
        };
        Ok(self.required(found, trace))
    }

    /// The groups to return; `None`: some are required, and the user has none of them.
    fn required(&self, mut found: Vec<String>, trace: &mut Trace) -> Option<Vec<String>> {
        if self.required_groups.is_empty() {
            return Some(found);
        }
        found.retain(|group| {
            let required = self.required_groups.contains(group);
            if !required {
                trace.excluded(group, "is not among the configured groups");
            }
            required
        });
        (!found.is_empty()).then_some(found)
    }
}

fn is_verified(claims: &Map<String, Value>) -> bool {
    claims.get("email_verified").and_then(Value::as_bool) == Some(true)
}

/// Google is authoritative for an address that it hosts: gmail.com, or a verified one with `hd`. Any other address was
/// confirmed once by mail and may belong to someone else by now.
fn may_read_groups_of(identity: &Identity, domain: &str) -> Result<(), &'static str> {
    let Some((local, of)) = identity.email.split_once('@') else {
        return Err("there is no e-mail address to ask by");
    };
    if local.is_empty() || of.is_empty() || of.contains('@') {
        return Err("the e-mail address is none");
    }
    match identity.email_verified && (!domain.is_empty() || of.eq_ignore_ascii_case("gmail.com")) {
        true => Ok(()),
        false => Err("Google is not authoritative for the e-mail address (hd, email_verified)"),
    }
}
