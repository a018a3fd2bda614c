//! Logout requested by a client (OpenID Connect RP-Initiated Logout 1.0): whether the request proves which session it
//! is for, and where the browser may be redirected afterwards.

use std::time::Duration;

use countersign_core::connector::LoginMethod;
use countersign_core::identity::subject;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{Client, ClientId, Secret, Session, SessionId};
use countersign_jose::{Claims, Expected, Typ, hash};
use countersign_store::{SessionEnd, SignedOut};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::login::Params;
use crate::{Issuer, IssuerError};

const SEALED: &str = "logout request";
/// Limit for all parameters except `id_token_hint`.
const MAX_PARAMS_BYTES: usize = 3 * 1024;
const PARAMETERS: [&str; 6] = [
    "id_token_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
    "logout_hint",
    "ui_locales",
];

/// The parsed logout request (section 2). Of `id_token_hint` only the verified claims are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutRequest {
    /// The requesting client, verified by its hint or only named by `client_id`.
    client: Option<ClientId>,
    hint: Option<Hint>,
    /// The registered redirect URI, with `state` added.
    back: Option<String>,
    /// The client requested a redirect URI that is not registered for it.
    #[serde(default)]
    unregistered: bool,
    /// The request had an `id_token_hint` that is not an ID token of this issuer for a session and this client.
    #[serde(default)]
    hint_refused: bool,
}

/// The claims of an ID token that we issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hint {
    session: SessionId,
    subject: String,
}

impl LogoutRequest {
    /// Whether the parameters are a client's logout request, as opposed to a form of our own page.
    pub fn is_requested_by(params: &Params) -> bool {
        PARAMETERS.iter().any(|name| params.get_exact(name).is_some())
    }

    /// Whether the hint is an ID token of this session, so that the user need not confirm (section 2). An ID token of
    /// another session proves nothing about this one.
    pub fn proves(&self, session: &Session) -> bool {
        self.hint.as_ref().is_some_and(|hint| {
            let person = subject(&session.identity.user_id, &session.connector);
            hint.session == session.id && hint.subject == person
        })
    }

    /// The URI to redirect to after the logout. Only with a verified hint: otherwise this would be an open redirector
    /// (section 3).
    pub fn redirect(&self) -> Option<&str> {
        self.back.as_deref().filter(|_| self.hint.is_some())
    }

    /// The client, if its `post_logout_redirect_uri` is not registered.
    pub fn unregistered(&self) -> Option<&ClientId> {
        self.client.as_ref().filter(|_| self.unregistered)
    }

    /// The request had an `id_token_hint` that was not accepted.
    pub fn hint_refused(&self) -> bool {
        self.hint_refused
    }

    /// The client and the same URI, for a link that the user may follow.
    pub fn return_link(&self) -> Option<(&ClientId, &str)> {
        Some((self.client.as_ref()?, self.back.as_deref()?))
    }
}

/// The result of a logout.
#[derive(Clone, Debug, Default)]
pub struct SignOutOutcome {
    /// Grants with `offline_access` remain.
    pub offline_grants_remain: bool,
    /// Clients that receive a logout token.
    pub notified: Vec<ClientId>,
}

impl From<SignedOut> for SignOutOutcome {
    fn from(out: SignedOut) -> Self {
        Self { offline_grants_remain: !out.session_ended, notified: out.notified }
    }
}

impl From<SessionEnd> for SignOutOutcome {
    fn from(end: SessionEnd) -> Self {
        Self { offline_grants_remain: false, notified: end.notified }
    }
}

impl Issuer {
    /// Parses a logout request. `Err` describes the defect, which is shown as a page and never redirected.
    pub fn parse_logout(&self, params: &Params) -> Result<LogoutRequest, &'static str> {
        if params.has_nul() || params.size_bytes() > MAX_PARAMS_BYTES {
            return Err("the request is too long, or holds what no request may");
        }
        if let Some(name) = PARAMETERS.iter().find(|name| params.is_repeated(name)) {
            return Err(name);
        }
        let named = params.get("client_id").map(ClientId::new);
        let hint = params.get("id_token_hint");
        let claims = hint.and_then(|token| self.logout_hint(token));
        let has_hint = hint.is_some();
        let hinted = claims.as_ref().and_then(authorized_party);
        if let (Some(named), Some(hinted)) = (&named, &hinted)
            && named != hinted
        {
            tracing::warn!(client = %named, hinted = %hinted, "a logout request has the ID token of another client");
            return Ok(LogoutRequest { hint_refused: true, ..LogoutRequest::default() });
        }
        // A token that we did not issue proves nothing, but the logout request remains valid without it.
        let hint = hinted.as_ref().and(claims.as_ref()).and_then(hint_of);
        let client = hinted.or(named).filter(|id| self.clients.get(id).is_some());
        let back = client
            .as_ref()
            .and_then(|id| registered_post_logout_uri(&*self.clients.get(id)?, params));
        let unregistered = back.is_none() && params.get("post_logout_redirect_uri").is_some();
        let hint_refused = has_hint && hint.is_none();
        Ok(LogoutRequest { client, hint, back, unregistered, hint_refused })
    }

    /// Verifies signature, issuer and type of the hint but not its times (section 2: "SHOULD accept … even when exp has
    /// passed").
    fn logout_hint(&self, token: &str) -> Option<Claims> {
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::IdToken,
            now: None,
            leeway: Duration::ZERO,
        };
        let verified = self.keyring.keys().verifiers.verify(token, &expected);
        verified
            .inspect_err(
                |refused| tracing::info!(reason = %refused, "an id_token_hint was not accepted"),
            )
            .ok()
    }

    /// Seals the request for links and forms, so that the hint itself is not repeated there.
    pub fn seal_logout(&self, request: &LogoutRequest) -> Result<String, IssuerError> {
        let plain = serde_json::to_vec(request).map_err(|e| IssuerError::Broken(e.to_string()))?;
        Ok(self.keyring.keys().sealing_settled.seal(SEALED, &[], &plain)?)
    }

    /// The sealed logout request; an empty one for a value that we did not seal.
    pub fn open_logout(&self, sealed: &str) -> LogoutRequest {
        let opened = self.keyring.keys().sealing.open(SEALED, &[], sealed);
        opened.and_then(|plain| serde_json::from_slice(&plain).ok()).unwrap_or_default()
    }

    /// Whether the session has grants that a logout of the browser would leave.
    pub async fn outlives_browser(&self, session: &Session) -> Result<bool, IssuerError> {
        Ok(self.store.outlives_browser(&session.id).await?)
    }

    /// Ends the single sign-on session; with `tools` also all its grants. `None`: it had already ended.
    pub async fn end_browser_session(
        &self,
        cookie: &Secret,
        tools: bool,
        ip: &str,
    ) -> Result<Option<SignOutOutcome>, IssuerError> {
        if !tools {
            return Ok(self.sign_out(cookie).await?.map(SignOutOutcome::from));
        }
        let hashed = hash::sha256(cookie.expose());
        let Some(session) = self.store.session_by_cookie(&hashed).await? else { return Ok(None) };
        let by = format!("user:{}", session.identity.user_id);
        let ended = Ended { at: self.now(), by, reason: EndReason::SignedOut };
        let end = self.store.end_session(&session.id, ended, Some(ip)).await?;
        tracing::info!(event = "session_ended", session = %session.id, user_id = %session.identity.user_id, reason = "signed_out", "signed out with everything");
        Ok(end.map(SignOutOutcome::from))
    }
}

impl Issuer {
    /// A logout requested by a client's back end, without the user's browser: signs the session's browser out, as if
    /// the browser had requested it. `None`: no valid hint, or the session has ended. The ID token was issued to the
    /// client for this session, so the client may end it; grants with `offline_access` remain.
    pub async fn end_hinted_session(
        &self,
        request: &LogoutRequest,
    ) -> Result<Option<SignOutOutcome>, IssuerError> {
        let Some(hint) = &request.hint else { return Ok(None) };
        let session = self.store.session(&hint.session).await?;
        let Some(session) = session.filter(|session| request.proves(session)) else {
            return Ok(None);
        };
        let client = request.client.as_ref().map_or("", ClientId::as_str);
        let by = format!("client:{client}");
        let out =
            self.store.sign_out_session(&session.id, &by, EndReason::SignedOut, self.now()).await?;
        if out.is_some() {
            tracing::info!(event = "signed_out", session = %session.id, user_id = %session.identity.user_id, client, "signed out by a client's logout request");
        }
        Ok(out.map(SignOutOutcome::from))
    }
}

/// The client a token was issued to: `azp` if present, otherwise its only audience.
fn authorized_party(claims: &Claims) -> Option<ClientId> {
    if let Some(party) = claims.text("azp") {
        return Some(ClientId::new(party));
    }
    match claims.texts("aud").as_slice() {
        [only] => Some(ClientId::new(*only)),
        _ => None,
    }
}

fn hint_of(claims: &Claims) -> Option<Hint> {
    let (session, subject) = (claims.text("sid")?, claims.text("sub")?);
    Some(Hint { session: SessionId::new(session), subject: subject.to_owned() })
}

/// The requested URI if it is exactly a registered one (section 3.1), with `state` added to its query.
fn registered_post_logout_uri(client: &Client, params: &Params) -> Option<String> {
    let requested = params.get("post_logout_redirect_uri")?;
    if !client.allows_post_logout_redirect(requested) {
        tracing::warn!(client = %client.id, "a post_logout_redirect_uri that is not registered was requested");
        return None;
    }
    let mut url = Url::parse(requested).ok()?;
    if let Some(state) = params.get_exact("state") {
        url.query_pairs_mut().append_pair("state", state);
    }
    Some(url.into())
}

/// How long the page after a logout waits for the upstream's metadata.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A link to log out at the upstream of the session.
#[derive(Clone, Debug)]
pub struct UpstreamLogout {
    /// The connector's display name.
    pub name: String,
    /// The upstream's end session endpoint (OpenID Connect RP-Initiated Logout 1.0 section 2).
    pub url: Url,
}

impl Issuer {
    /// `None`: the session's upstream has no end session endpoint, or does not respond in time.
    pub async fn upstream_logout(&self, session: &Session) -> Option<UpstreamLogout> {
        let connector = self.connectors.get(&session.connector)?;
        let LoginMethod::Redirect(method) = &connector.login_method else { return None };
        let url = tokio::time::timeout(WAIT_TIMEOUT, method.sign_out_url()).await.ok()??;
        Some(UpstreamLogout { name: connector.name.clone(), url })
    }
}
