//! Logout requested by an application (OpenID Connect RP-Initiated Logout 1.0): whether it
//! proves whose session it means, and where the browser may go afterwards.

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
/// All parameters but the hint together.
const MAX_PARAMS_BYTES: usize = 3 * 1024;
const PARAMETERS: [&str; 6] = [
    "id_token_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
    "logout_hint",
    "ui_locales",
];

/// The parsed logout request (section 2). Of a hint only what it proves is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutRequest {
    /// The requesting client, proven by its hint or only claimed.
    client: Option<ClientId>,
    hint: Option<Hint>,
    /// Registered for that client, with `state` in it.
    back: Option<String>,
    /// The client asked for a redirect to a URI that is not registered for it.
    #[serde(default)]
    unregistered: bool,
    /// There was an `id_token_hint` that is not a valid ID token of ours.
    #[serde(default)]
    hint_refused: bool,
}

/// Proven by an ID token that we issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hint {
    session: SessionId,
    subject: String,
}

impl LogoutRequest {
    /// Do these parameters come from an application, not from a form of ours?
    pub fn is_requested_by(params: &Params) -> bool {
        PARAMETERS.iter().any(|name| params.get_exact(name).is_some())
    }

    /// The hint is an ID token of this very session: its user need not confirm
    /// (section 2). An ID token of another sign-in proves nothing about this one.
    pub fn proves(&self, session: &Session) -> bool {
        self.hint.as_ref().is_some_and(|hint| {
            let person = subject(&session.identity.user_id, &session.connector);
            hint.session == session.id && hint.subject == person
        })
    }

    /// Where the browser is sent after the sign-out. Only with a hint: without one anybody could use
    /// us to send people on (section 3).
    pub fn redirect(&self) -> Option<&str> {
        self.back.as_deref().filter(|_| self.hint.is_some())
    }

    /// The client whose `post_logout_redirect_uri` is not registered.
    pub fn unregistered(&self) -> Option<&ClientId> {
        self.client.as_ref().filter(|_| self.unregistered)
    }

    pub fn hint_refused(&self) -> bool {
        self.hint_refused
    }

    /// The same address for a link that a person may follow, and whose it is.
    pub fn return_link(&self) -> Option<(&ClientId, &str)> {
        Some((self.client.as_ref()?, self.back.as_deref()?))
    }
}

/// What a sign-out took with it.
#[derive(Clone, Debug, Default)]
pub struct SignOutOutcome {
    /// Something goes on without the browser.
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
    /// `Err` with the name of what is wrong: a page, never a redirect.
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
        let hint_refused = hint.is_some() && claims.is_none();
        let hinted = claims.as_ref().and_then(party_of);
        if let (Some(named), Some(hinted)) = (&named, &hinted)
            && named != hinted
        {
            tracing::warn!(client = %named, hinted = %hinted, "a logout request has the ID token of another client");
            return Ok(LogoutRequest::default());
        }
        // A token that we did not issue proves nothing, but the logout request is still valid.
        let hint = hinted.as_ref().and(claims.as_ref()).and_then(hint_of);
        let client = hinted.or(named).filter(|id| self.clients.get(id).is_some());
        let back = client.as_ref().and_then(|id| back_to(&*self.clients.get(id)?, params));
        let unregistered = back.is_none() && params.get("post_logout_redirect_uri").is_some();
        Ok(LogoutRequest { client, hint, back, unregistered, hint_refused })
    }

    /// Our signature, issuer and kind; not its times (section 2: "SHOULD accept … even when exp has
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
                |refused| tracing::info!(reason = %refused, "an id_token_hint was not believed"),
            )
            .ok()
    }

    /// As it travels in links and forms; the hint with its claims does not.
    pub fn seal_logout(&self, request: &LogoutRequest) -> Result<String, IssuerError> {
        let plain = serde_json::to_vec(request).map_err(|e| IssuerError::Broken(e.to_string()))?;
        Ok(self.keyring.keys().sealing_settled.seal(SEALED, &[], &plain)?)
    }

    /// The sealed logout request; `None` for a value that we did not seal.
    pub fn open_logout(&self, sealed: &str) -> LogoutRequest {
        let opened = self.keyring.keys().sealing.open(SEALED, &[], sealed);
        opened.and_then(|plain| serde_json::from_slice(&plain).ok()).unwrap_or_default()
    }

    /// Has this sign-in given something that a sign-out would leave?
    pub async fn outlives_browser(&self, session: &Session) -> Result<bool, IssuerError> {
        Ok(self.store.outlives_browser(&session.id).await?)
    }

    /// Ends the single sign-on session; with `tools` also all its grants. `None`: it had ended before.
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
    /// A client's back end asks without the person's browser: the session of its ID token loses its browser's half, as
    /// if that browser had asked. `None`: no valid hint, or the session is over. The token was issued to the client for
    /// this session, so it may end it; what `offline_access` granted stays.
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

/// The client a token was made for: `azp` where several are named, else its only audience.
fn party_of(claims: &Claims) -> Option<ClientId> {
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

/// Exactly what is registered (section 3.1), `state` added to its query.
fn back_to(client: &Client, params: &Params) -> Option<String> {
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

/// The page after signing out does not wait longer for an upstream.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a browser signs out of the upstream it came from.
#[derive(Clone, Debug)]
pub struct UpstreamLogout {
    /// What people read on the connector's button.
    pub name: String,
    /// OpenID Connect RP-Initiated Logout 1.0 section 2, at the upstream.
    pub url: Url,
}

impl Issuer {
    /// `None`: the session did not begin at an upstream that people can sign out of, or it does not answer.
    pub async fn upstream_logout(&self, session: &Session) -> Option<UpstreamLogout> {
        let connector = self.connectors.get(&session.connector)?;
        let LoginMethod::Redirect(method) = &connector.login_method else { return None };
        let url = tokio::time::timeout(WAIT_TIMEOUT, method.sign_out_url()).await.ok()??;
        Some(UpstreamLogout { name: connector.name.clone(), url })
    }
}
