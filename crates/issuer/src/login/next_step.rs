//! The dispatcher: decides which [`Step`] comes next for a pending login.
//!
//! Checks in this order: expiry, the client, login, freshness of the upstream identity, consent. It keeps no state
//! between calls, so any step, tab and replica may call it.

use std::time::Duration;

use countersign_core::client::OUT_OF_BAND;
use countersign_core::{Client, Code, Secret, Session, Timestamp, identity, scopes};
use countersign_jose::hash;
use countersign_store::IssueCodeOutcome;

use super::request::AuthRequest;
use super::response::{AuthorizationError, AuthorizationResponse, ErrorCode};
use super::{ConnectorChoice, PendingLogin, Step};
use crate::circuit_breakers::LOGIN_COMPLETION_TIME;
use crate::{Issuer, IssuerError};

const CODE_PURPOSE: &str = "authorization code";

/// Whether the browser session satisfies the authorization request.
enum LoginStatus {
    SignedIn(Box<Session>),
    NeedsLogin,
    /// The login happened, and its subject differs from the one in `id_token_hint`.
    SubjectMismatch,
}

impl Issuer {
    /// The next step for this pending login in a browser with this session cookie. `approved` is true only
    /// when the user has just approved on the page shown for this pending login and session.
    pub async fn next_step(
        &self,
        pending: PendingLogin,
        cookie: Option<&Secret>,
        approved: bool,
    ) -> Result<Step, IssuerError> {
        let silent = pending.request.prompt.none.then(|| pending.clone());
        match (self.evaluate(pending, cookie, approved).await, silent) {
            // `prompt=none` must not show a page: the error is sent to the client, which can ask again also when it is
            // unknown whether a code was stored, because that code was not sent.
            (
                Err(
                    IssuerError::Unavailable { what, cause }
                    | IssuerError::OutcomeUnknown { what, cause },
                ),
                Some(pending),
            ) => {
                tracing::error!(what, cause, "a silent request could not be answered");
                let (code, text) = (ErrorCode::TemporarilyUnavailable, "Ask again later");
                Ok(self.refuse(&pending, code, text))
            }
            (step, _) => step,
        }
    }

    async fn evaluate(
        &self,
        mut pending: PendingLogin,
        cookie: Option<&Secret>,
        approved: bool,
    ) -> Result<Step, IssuerError> {
        if self.is_expired(&pending) {
            return Ok(Step::Expired);
        }
        let Some(client) = self.clients.of_request(&pending.request) else {
            return Ok(Step::ClientRemoved);
        };
        let client = &*client;
        let session = match self.login_status(&pending, client, cookie).await? {
            LoginStatus::SignedIn(session) => *session,
            LoginStatus::NeedsLogin => return Ok(self.require_login(pending, client)),
            LoginStatus::SubjectMismatch => {
                return Ok(self.refuse(
                    &pending,
                    ErrorCode::LoginRequired,
                    "Another person signed in than the one id_token_hint names",
                ));
            }
        };
        let session = match self.revalidate_and_store(session).await {
            Ok(Some(session)) => session,
            Ok(None) => return Ok(self.login_again(pending, client)),
            // The error is permanent, so only another connector or account can succeed; a login there shows the cause.
            Err(IssuerError::Misconfigured { what, cause, .. }) => {
                tracing::error!(upstream = what, cause, "a session cannot be revalidated");
                return Ok(self.login_again(pending, client));
            }
            Err(error) => return Err(error),
        };
        if let Some(page) = pending.request.account_page {
            return Ok(Step::AccountPage(page));
        }
        if !approved && self.needs_approval(&pending, client, &session).await? {
            if pending.request.prompt.none {
                let (code, text) = (ErrorCode::ConsentRequired, "The person has not agreed yet");
                return Ok(self.refuse(&pending, code, text));
            }
            if pending.session.as_ref() != Some(&session.id) {
                pending.logged_in = None;
            }
            pending.session = Some(session.id.clone());
            let approval = Box::new(self.approval(&pending, client, &session));
            return Ok(Step::AskApproval { pending, approval });
        }
        if let Some(device) = pending.request.device.clone() {
            return self.decide_device_request(pending, &device, &session, true).await;
        }
        self.issue_code(pending, client, session).await
    }

    /// True when the login has been pending for longer than `expiry.authRequests`.
    pub fn is_expired(&self, pending: &PendingLogin) -> bool {
        self.now() > pending.request.expires_at
    }

    async fn login_status(
        &self,
        pending: &PendingLogin,
        client: &Client,
        cookie: Option<&Secret>,
    ) -> Result<LoginStatus, IssuerError> {
        let Some(session) = self.browser_session_for(client, cookie).await? else {
            return Ok(LoginStatus::NeedsLogin);
        };
        let request = &pending.request;
        let just_proven =
            pending.logged_in.is_some() && pending.session.as_ref() == Some(&session.id);
        let unusable = !self.is_usable_for(request, client, &session);
        let age = self.now().since(session.auth_time);
        let old =
            request.max_age.is_some_and(|limit| limit == 0 || age > Duration::from_secs(limit));
        let is_requested = request.prompt.login || request.prompt.select_account || pending.switch;
        if unusable || (!just_proven && (!self.settings.sign_on.sso || is_requested || old)) {
            return Ok(LoginStatus::NeedsLogin);
        }
        let subject =
            countersign_core::identity::subject(&session.identity.user_id, &session.connector);
        match &request.hint {
            Some(hint) if *hint != subject && just_proven => Ok(LoginStatus::SubjectMismatch),
            Some(hint) if *hint != subject => Ok(LoginStatus::NeedsLogin),
            _ => Ok(LoginStatus::SignedIn(Box::new(session))),
        }
    }

    /// True when the session's connector is the requested one and allowed for the client and the grant type, its
    /// fingerprint is unchanged, and its login requested everything of the upstream that this request needs.
    pub(crate) fn is_usable_for(
        &self,
        request: &AuthRequest,
        client: &Client,
        session: &Session,
    ) -> bool {
        let (connector, grant_type) = (&session.connector, request.grant_type());
        request.connector.as_ref().is_none_or(|id| id == connector)
            && self.connectors.allowed_for(client, connector, grant_type).is_some()
            && !self.fingerprint_changed(session)
            && session
                .login_scopes
                .covers(self.login_scopes_needed(session, request.login_scopes()))
    }

    /// Asks for a login because the upstream identity cannot be used. A login just made for this request is not
    /// repeated: with an upstream that logs in without interaction that would be an endless redirect. One whose user has
    /// been at the approval page since may be too old by now.
    fn login_again(&self, pending: PendingLogin, client: &Client) -> Step {
        let is_fresh = |at: Timestamp| self.now().since(at) <= LOGIN_COMPLETION_TIME;
        if !pending.logged_in.is_some_and(is_fresh) {
            return self.require_login(pending, client);
        }
        let reason = "The upstream accepted the login and then did not confirm the user";
        self.refuse(&pending, ErrorCode::AccessDenied, reason)
    }

    fn require_login(&self, mut pending: PendingLogin, client: &Client) -> Step {
        if pending.request.prompt.none {
            return self.refuse(
                &pending,
                ErrorCode::LoginRequired,
                "A login is needed, and this request shows no page",
            );
        }
        pending.session = None;
        pending.logged_in = None;
        if let Some(connector) = pending.request.connector.clone() {
            return Step::StartLogin { pending, connector };
        }
        let choices: Vec<ConnectorChoice> = self
            .connectors
            .for_client(client, pending.request.grant_type())
            .map(|connector| ConnectorChoice::from(&*connector))
            .collect();
        match choices.as_slice() {
            [] => Step::ClientRemoved,
            [only] if !self.settings.always_show_choice => {
                let connector = only.id.clone();
                Step::StartLogin { pending, connector }
            }
            _ => Step::ChooseConnector { pending, choices },
        }
    }

    async fn needs_approval(
        &self,
        pending: &PendingLogin,
        client: &Client,
        session: &Session,
    ) -> Result<bool, IssuerError> {
        // User codes and out-of-band codes can be phished (RFC 8628 section 5.4), and any program on an administrator's
        // computer could request the admin scope: for these the approval page is always shown.
        let request = &pending.request;
        let by_hand = request.redirect_uri == OUT_OF_BAND || request.device.is_some();
        if request.prompt.consent || by_hand || request.scopes.has(scopes::ADMIN) {
            return Ok(true);
        }
        if self.settings.approval.skip {
            return Ok(false);
        }
        let person = &session.identity.user_id;
        let consented = self.store.consent(person, &session.connector, &client.id).await?;
        Ok(!consented.is_some_and(|scopes| pending.request.scopes.within(&scopes)))
    }

    async fn issue_code(
        &self,
        pending: PendingLogin,
        client: &Client,
        session: Session,
    ) -> Result<Step, IssuerError> {
        let now = self.now();
        let request = &pending.request;
        let code = self.code_for(request, &session);
        let stored = Code {
            hash: hash::sha256(&code),
            request: request.id.clone(),
            session: session.id.clone(),
            client: client.id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            scopes: request.scopes.clone(),
            nonce: request.nonce.clone(),
            challenge: request.challenge.clone(),
            auth_time: session.auth_time,
            created_at: now,
            expires_at: now + self.code_lifetime(client, request),
            grant: None,
        };
        match self.store.issue_code(stored, now).await? {
            IssueCodeOutcome::Issued => self.respond(pending, client, session, code).await,
            IssueCodeOutcome::AlreadyFinished => match self.is_code_unused(&code).await? {
                true => self.respond(pending, client, session, code).await,
                false => Ok(Step::AlreadyFinished),
            },
            IssueCodeOutcome::SessionEnded => Ok(self.require_login(pending, client)),
        }
    }

    /// The authorization response. For a response type without `code` a code is stored but not sent, so that the
    /// request can be completed only once.
    async fn respond(
        &self,
        pending: PendingLogin,
        client: &Client,
        session: Session,
        code: String,
    ) -> Result<Step, IssuerError> {
        let request = &pending.request;
        let code = request.response_type.code.then_some(code);
        let mut fields = Vec::new();
        if request.response_type.has_tokens() {
            match self.front_channel_tokens(client, session, request, code.as_deref()).await? {
                Some(tokens) => fields = tokens,
                None => return Ok(self.require_login(pending, client)),
            }
        }
        fields.extend(code.map(|code| ("code", code)));
        let issuer = &self.settings.issuer;
        Ok(Step::Respond(AuthorizationResponse::success(request, issuer, fields)))
    }

    /// The code is derived from the request id and the user with a server key, so that a repeated submission of the
    /// same step yields the same redirect without the code being stored in plain text. The request id is random and
    /// exists only sealed to the browser; redemption enforces single use.
    fn code_for(&self, request: &AuthRequest, session: &Session) -> String {
        let user = identity::subject(&session.identity.user_id, &session.connector);
        let message = format!("{}\n{user}", request.id);
        let (_, code) = self.keyring.keys().mac_settled.sign(CODE_PURPOSE, &message);
        code
    }

    /// Whether this code was issued and can still be redeemed. A redeemed code is not sent again: the client would
    /// redeem it a second time, which ends the grant (RFC 6749 section 4.1.2).
    async fn is_code_unused(&self, code: &str) -> Result<bool, IssuerError> {
        let stored = self.store.code(&hash::sha256(code)).await?;
        let now = self.now();
        Ok(stored.is_some_and(|stored| stored.used_at.is_none() && now <= stored.code.expires_at))
    }

    /// An out-of-band code is entered manually, so its lifetime is longer than that of a redirected one.
    fn code_lifetime(&self, client: &Client, request: &AuthRequest) -> Duration {
        const BY_HAND: Duration = Duration::from_mins(10);
        match request.redirect_uri == OUT_OF_BAND {
            true => BY_HAND,
            false => self.settings.code_lifetime_of(client),
        }
    }

    /// Sends an error to the client; a login without a redirect URI ends with a page instead.
    pub(crate) fn refuse(&self, pending: &PendingLogin, code: ErrorCode, reason: &str) -> Step {
        if pending.request.ends_here() {
            return Step::Expired;
        }
        let error = AuthorizationError::new(code, reason);
        Step::Respond(AuthorizationResponse::error(&pending.request, &self.settings.issuer, error))
    }
}
