//! Token exchange (RFC 8693): a client exchanges one of our tokens for another of the same session, with another
//! audience or fewer scopes. For example, a tool that signed in once obtains a token for each cluster.
//!
//! The subject token must have been issued to the caller or have the caller in `aud`, and its grant must be live.
//! Rights are never extended: the scopes must be a subset, each audience must trust the caller, and the new token
//! expires with the subject token at the latest, so that a chain of exchanges does not replace a refresh.
//!
//! With `connector_id` (Dex) the subject token is an ID token of that upstream.

use countersign_core::connector::{LoginMethod, LoginOutcome};
use countersign_core::identity::subject;
use countersign_core::{
    Client, ClientId, ConnectorId, Grant, GrantId, GrantType, Identity, LoginScopes, Scopes,
    Secret, Session, Timestamp, Trace, scopes,
};
use countersign_jose::{Claims, Expected, Typ};

use super::issue::TokenSubject;
use super::new_grant::{GrantTerms, OFFLINE_LIMIT, log_dropped};
use super::{ACCESS_TOKEN_TYPE, GroupsHandle, TokenError, TokenErrorCode, Tokens};
use crate::Issuer;
use crate::login::{AuthenticatedUser, Browser, NewSession};

/// RFC 8693 section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(super) const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

const UPSTREAM_TOKEN_REFUSED: &str =
    "The subject token is invalid, expired, not for this service, or its user may not sign in.";

/// A token exchange request.
pub struct TokenExchangeRequest {
    pub subject_token: Secret,
    pub subject_token_type: String,
    pub requested_token_type: Option<String>,
    pub scope: Option<Scopes>,
    /// Clients that are audiences of the new token in addition to the caller, in the order of the request.
    pub audience: Vec<ClientId>,
    /// Dex's extension: the subject token was issued by this upstream.
    pub connector_id: Option<ConnectorId>,
    /// The client program that sent the request.
    pub caller: Browser,
    /// RFC 8693 section 2.1: `actor_token` requests delegation, which is not supported.
    pub has_actor: bool,
}

impl std::fmt::Debug for TokenExchangeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenExchangeRequest")
    }
}

/// A valid subject token.
struct ExchangedSubject {
    /// The scopes that it was issued with.
    granted: Scopes,
    session: Session,
    /// The new token expires then at the latest.
    expires_at: Option<Timestamp>,
    /// Its grant does not end when the browser signs out.
    outlives_browser: bool,
}

impl ExchangedSubject {
    /// A token of an upstream is like a password: it begins a session.
    fn of_upstream(granted: Scopes, new_session: &NewSession) -> Self {
        let session = new_session.session();
        Self { granted, session, expires_at: None, outlives_browser: false }
    }
}

fn invalid(reason: &str) -> TokenError {
    TokenError::refused(TokenErrorCode::InvalidRequest, reason)
}

impl Issuer {
    pub(super) async fn exchange_token(
        &self,
        client: &Client,
        request: TokenExchangeRequest,
    ) -> Result<Tokens, TokenError> {
        if !self.settings.allows(GrantType::TokenExchange) {
            let reason = "Token exchange is not enabled (oauth2.grantTypes)";
            return Err(TokenError::refused(TokenErrorCode::UnsupportedGrantType, reason));
        }
        if request.has_actor {
            return Err(invalid("Delegation (actor_token) is not supported."));
        }
        let requests_id_token = match request.requested_token_type.as_deref() {
            None | Some(ACCESS_TOKEN) => false,
            Some(ID_TOKEN) => true,
            Some(_) => return Err(invalid("Invalid requested_token_type.")),
        };
        let (subject, new_session) = match &request.connector_id {
            Some(connector) => {
                let (granted, new) = self.upstream_subject(client, &request, connector).await?;
                (ExchangedSubject::of_upstream(granted, &new), Some(new))
            }
            None => (self.exchanged_subject(client, &request).await?, None),
        };
        let ExchangedSubject { granted, session, expires_at, outlives_browser } = subject;
        let scopes = self.exchanged_scopes(client, &request, &granted)?;
        if requests_id_token && !scopes.has(scopes::OPENID) {
            let reason = "An ID token needs the scope openid.";
            return Err(TokenError::refused(TokenErrorCode::InvalidScope, reason));
        }
        let session = match new_session {
            Some(_) => session,
            None => Box::pin(self.current_session(session)).await?,
        };
        let auth_time = session.auth_time;
        let grant =
            self.new_grant(client, &session, GrantTerms { scopes, nonce: None, auth_time })?;
        let (prepared, mut grant) = self.prepare_grant_until(client, grant, expires_at)?;
        if outlives_browser {
            let offline = std::iter::once(scopes::OFFLINE_ACCESS);
            grant.scopes = grant.scopes.iter().chain(offline).map(str::to_owned).collect();
        }
        let subject = TokenSubject::new(grant.clone(), session);
        let (signed, generation) = (self.sign_tokens(prepared, subject).await?, grant.generation);
        match new_session {
            Some(new_session) => {
                if !self.store_new_session(new_session, grant).await? {
                    return Err(invalid(UPSTREAM_TOKEN_REFUSED));
                }
            }
            None => match self.store.issue_grant(grant, self.now(), OFFLINE_LIMIT).await? {
                Some(dropped) => log_dropped(signed.session(), &dropped),
                None => return Err(invalid("The subject token's session has ended.")),
            },
        }
        Ok(exchanged(self.issue(signed, generation), requests_id_token))
    }

    /// The session with its current groups, as before a code is issued (`sessions.upstreamRefreshInterval`).
    async fn current_session(&self, session: Session) -> Result<Session, TokenError> {
        let current = self.revalidate_and_store(session).await?;
        let reason = "The user of the subject token must sign in again.";
        current.ok_or_else(|| invalid(reason))
    }

    /// Verifies a subject token of ours.
    async fn exchanged_subject(
        &self,
        client: &Client,
        request: &TokenExchangeRequest,
    ) -> Result<ExchangedSubject, TokenError> {
        let refused =
            || invalid("The subject token is invalid, expired, revoked or not for this client.");
        let typ = match request.subject_token_type.as_str() {
            ACCESS_TOKEN => Typ::Exactly(ACCESS_TOKEN_TYPE),
            ID_TOKEN => Typ::IdToken,
            _ => return Err(invalid("Invalid subject_token_type.")),
        };
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ,
            now: Some(self.now()),
            leeway: std::time::Duration::ZERO,
        };
        let token = request.subject_token.expose();
        let claims = self.keyring.keys().verifiers.verify(token, &expected);
        let claims = claims.map_err(|_| refused())?;
        let expires_at = claims.number("exp").map(Timestamp::from_secs);
        let (grant, session) = self.subject_grant(&claims).await?.ok_or_else(refused)?;
        let is_own = grant.client == client.id || claims.is_for(client.id.as_str());
        let is_same = claims.text("sub")
            == Some(subject(&session.identity.user_id, &session.connector).as_str());
        // The session must also be one that this client could have obtained by a login.
        if !is_own || !is_same || !self.is_valid(Some(client), &session).await? {
            return Err(refused());
        }
        if !self.connectors.serves(&session.connector, GrantType::TokenExchange) {
            return Err(invalid("The connector of this user does not serve token exchange."));
        }
        let granted = match claims.text("scope") {
            Some(scope) => Scopes::parse(scope),
            None => self.scopes_of_id_token(&claims, &grant.scopes, &session.identity),
        };
        // An exchanged grant has the scope without being refreshable; signing out ends grants without the scope.
        let outlives_browser = grant.scopes.has(scopes::OFFLINE_ACCESS);
        Ok(ExchangedSubject { granted, session, expires_at, outlives_browser })
    }

    /// The scopes that an ID token was issued with, as far as its claims show it: a refresh may have requested fewer than
    /// its grant has. A scope for which the user has no claim, such as `groups` without any group, counts as granted.
    fn scopes_of_id_token(&self, claims: &Claims, granted: &Scopes, user: &Identity) -> Scopes {
        let has = |claim: &str| claims.get(claim).is_some();
        let has_profile = !user.username.is_empty() || !user.preferred_username.is_empty();
        granted.filtered(|scope| match scope {
            scopes::EMAIL => has("email_verified"),
            scopes::PROFILE => !has_profile || has("name") || has("preferred_username"),
            scopes::GROUPS => {
                user.groups.is_empty() || has("groups") || self.distributes_groups(claims)
            }
            scopes::FEDERATED_ID => has("federated_claims"),
            _ => true,
        })
    }

    /// Whether the groups of the scope `groups` are requested elsewhere (OpenID Connect Core 1.0 section 5.6.2).
    fn distributes_groups(&self, claims: &Claims) -> bool {
        let source = claims.get("_claim_sources").and_then(|sources| sources.get("countersign"));
        let handle = source.and_then(|source| source.get("access_token")?.as_str());
        let keys = self.keyring.keys();
        let handle = handle.and_then(|handle| GroupsHandle::read(&Secret::new(handle), &keys.mac));
        handle.is_some_and(|handle| handle.has_groups_scope)
    }

    /// The live grant of a subject token. An ID token contains its grant id only if it is for a cluster; others are
    /// refused, because whether they were revoked is not recorded.
    async fn subject_grant(&self, claims: &Claims) -> Result<Option<(Grant, Session)>, TokenError> {
        let Some(grant) = claims.text("grant_id").map(GrantId::new) else { return Ok(None) };
        Ok(self.live_grant(&grant).await?)
    }

    /// The requested subset of the subject token's scopes, without `offline_access` and administration, followed by the
    /// audiences, each of which must trust the caller (`invalid_target`, section 2.2.2).
    ///
    /// `offline_access` is ignored and not refused: a client that requests the scopes of its login again does not know
    /// that the connector cannot refresh.
    pub(super) fn exchanged_scopes(
        &self,
        client: &Client,
        request: &TokenExchangeRequest,
        granted: &Scopes,
    ) -> Result<Scopes, TokenError> {
        let requested = request.scope.clone().unwrap_or_else(|| granted.clone());
        let mut audience: Vec<ClientId> = request.audience.clone();
        audience.extend(requested.audience_clients().filter(|_| request.scope.is_some()));
        for target in audience.iter().filter(|target| **target != client.id) {
            if !self.clients.get(target).is_some_and(|target| target.trusts(&client.id)) {
                let reason = format!("Client may not ask for tokens for {}.", printable(target));
                return Err(TokenError::refused(TokenErrorCode::InvalidTarget, reason));
            }
        }
        let is_plain = |scope: &str| {
            !scope.starts_with(scopes::AUDIENCE)
                && scope != scopes::OFFLINE_ACCESS
                && (self.settings.strict_scopes || Scopes::is_known(scope))
        };
        let plain = requested.filtered(is_plain);
        if !plain.within(granted) {
            let reason = "The scopes go beyond those of the subject token.";
            return Err(TokenError::refused(TokenErrorCode::InvalidScope, reason));
        }
        let kept = plain.filtered(|scope| scope != scopes::ADMIN);
        let audience = audience.iter().map(|target| format!("{}{target}", scopes::AUDIENCE));
        Ok(kept.iter().map(str::to_owned).chain(audience).collect())
    }
}

/// Section 2.2.1: the issued token is returned in `access_token`, whatever its type.
fn exchanged(mut tokens: Tokens, requests_id_token: bool) -> Tokens {
    tokens.issued_token_type = Some(if requests_id_token { ID_TOKEN } else { ACCESS_TOKEN });
    if let Some(id_token) = tokens.id_token.take().filter(|_| requests_id_token) {
        tokens.access_token = id_token;
    }
    tokens
}

/// Reduces a client id to the characters of an `error_description`.
fn printable(id: &ClientId) -> String {
    let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    id.as_str().chars().filter(allowed).take(80).collect()
}

impl Issuer {
    /// For a subject token of an upstream: the scopes that the caller may receive, and a new session of the user,
    /// which is stored after its tokens are signed.
    pub(super) async fn upstream_subject(
        &self,
        client: &Client,
        request: &TokenExchangeRequest,
        connector: &ConnectorId,
    ) -> Result<(Scopes, NewSession), TokenError> {
        if request.subject_token_type != ID_TOKEN {
            return Err(invalid(
                "Of an upstream only ID tokens are exchanged (subject_token_type).",
            ));
        }
        if client.public {
            let text = "Only clients with a secret may exchange tokens of an upstream.";
            return Err(TokenError::refused(TokenErrorCode::UnauthorizedClient, text));
        }
        let requested = request.scope.clone().unwrap_or_else(|| Scopes::parse(scopes::OPENID));
        let granted = self.requested_scopes(&requested, client).map_err(|error| {
            TokenError::refused(TokenErrorCode::InvalidScope, error.description)
        })?;
        // Checked here so that no request that is refused reaches the upstream.
        self.exchanged_scopes(client, request, &granted)?;
        let connector = self.connectors.allowed_for(client, connector, GrantType::TokenExchange);
        let unknown =
            || invalid("The requested connector does not exist or accepts no such tokens.");
        let connector = connector.ok_or_else(unknown)?;
        let LoginMethod::Redirect(method) = &connector.login_method else { return Err(unknown()) };
        let mut trace = Trace::default();
        // Not recorded: an invalid token is no evidence of the upstream's health.
        let login = method.login_with_id_token(&request.subject_token, self.now(), &mut trace);
        let outcome = self.call_connector_unrecorded(&connector, login).await;
        let refused = |reason: &str| {
            tracing::warn!(event = "login_refused", connector = %connector.id, client = %client.id, reason, address = %request.caller.address, "a token of an upstream was not exchanged");
            invalid(UPSTREAM_TOKEN_REFUSED)
        };
        let person = match outcome {
            Ok(None) => return Err(unknown()),
            Ok(Some(LoginOutcome::Accepted(person))) => person,
            Ok(Some(LoginOutcome::Refused(refusal))) => {
                return Err(refused(&refusal.to_string()));
            }
            Err(error) => return Err(crate::IssuerError::upstream(&error).into()),
        };
        let login_scopes = LoginScopes { offline: false, groups: granted.has(scopes::GROUPS) };
        let user = AuthenticatedUser {
            person: *person,
            login_scopes,
            trace,
            device_cookie: None,
            assertion: None,
        };
        let new_session = self.new_session(connector, user, &request.caller).await?;
        new_session
            .map(|new_session| (granted, new_session))
            .ok_or_else(|| invalid(UPSTREAM_TOKEN_REFUSED))
    }
}
