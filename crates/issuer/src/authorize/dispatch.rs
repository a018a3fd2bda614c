//! The one dispatcher: what is still missing before a code may be given?
//!
//! Login, then freshness of what the upstream said, then consent. It asks every time and remembers
//! nothing, so it does not matter from which step, tab or replica a browser arrives.

use std::time::Duration;

use countersign_core::client::OUT_OF_BAND;
use countersign_core::{Client, Code, Connector, ConnectorId, Secret, Session, ids, scopes};
use countersign_jose::hash;
use countersign_store::IssueCodeOutcome;

use super::answer::{AuthorizationError, AuthorizationResponse, ErrorCode};
use super::{AccountPage, Approval, AuthRequest, PendingLogin};
use crate::{Issuer, IssuerError};

/// What the browser does next.
pub enum Step {
    /// A page with the ways in.
    Choose {
        pending: PendingLogin,
        choices: Vec<Choice>,
    },
    SignIn {
        pending: PendingLogin,
        connector: ConnectorId,
    },
    Approve {
        pending: PendingLogin,
        approval: Box<Approval>,
    },
    AuthorizationResponse(AuthorizationResponse),
    /// Signed in, and back at a page of ours.
    AccountPage(AccountPage),
    /// This request was finished before: a second tab, the back button.
    Finished,
    /// It waited longer than `expiry.authRequests`.
    Expired,
    /// The client or its connectors are gone since the request began.
    Gone,
}

/// One way to sign in.
#[derive(Clone, Debug)]
pub struct Choice {
    pub id: ConnectorId,
    pub name: String,
    pub kind: &'static str,
}

impl From<&Connector> for Choice {
    fn from(connector: &Connector) -> Self {
        Self { id: connector.id.clone(), name: connector.name.clone(), kind: connector.kind }
    }
}

/// Why somebody must (again) prove who they are.
enum LoginStatus {
    SignedIn(Box<Session>),
    NeedsLogin,
    /// The login happened, and the person is not the one the client hinted at.
    SomebodyElse,
}

impl Issuer {
    /// The next step for this envelope in a browser with this session cookie. `approved`: the person
    /// has just said yes on the page that this envelope's session was shown.
    pub async fn next(
        &self,
        pending: PendingLogin,
        cookie: Option<&Secret>,
        approved: bool,
    ) -> Result<Step, IssuerError> {
        let silent = pending.request.prompt.none.then(|| pending.clone());
        match (self.look(pending, cookie, approved).await, silent) {
            // Nobody looks at the page of a silent request: its application is told instead.
            (Err(IssuerError::Unavailable { what, cause }), Some(pending)) => {
                tracing::error!(what, cause, "a silent request could not be answered");
                let (code, text) = (ErrorCode::TemporarilyUnavailable, "Ask again later");
                Ok(self.refuse(&pending, code, text))
            }
            (step, _) => step,
        }
    }

    async fn look(
        &self,
        mut pending: PendingLogin,
        cookie: Option<&Secret>,
        approved: bool,
    ) -> Result<Step, IssuerError> {
        if self.is_expired(&pending) {
            return Ok(Step::Expired);
        }
        let Some(client) = self.clients.behind(&pending.request) else {
            return Ok(Step::Gone);
        };
        let session = match self.login_status(&pending, client, cookie).await? {
            LoginStatus::SignedIn(session) => *session,
            LoginStatus::NeedsLogin => return Ok(self.ask_for_login(pending, client)),
            LoginStatus::SomebodyElse => {
                return Ok(self.refuse(
                    &pending,
                    ErrorCode::LoginRequired,
                    "Another person signed in than the one id_token_hint names",
                ));
            }
        };
        let session = match self.up_to_date(session).await {
            Ok(Some(session)) => session,
            Ok(None) => return Ok(self.ask_for_login(pending, client)),
            // Permanent, so another connector or account is the only way on; a login there shows what is
            // missing.
            Err(IssuerError::Misconfigured { what, cause, .. }) => {
                tracing::error!(upstream = what, cause, "a session cannot be revalidated");
                return Ok(self.ask_for_login(pending, client));
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
            return Ok(Step::Approve { pending, approval });
        }
        self.issue_code(pending, client, session).await
    }

    /// It waited longer than `expiry.authRequests`.
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
        let unusable = !self.serves(request, client, &session);
        let age = self.now().since(session.auth_time);
        let old =
            request.max_age.is_some_and(|limit| limit == 0 || age > Duration::from_secs(limit));
        let asked = request.prompt.login || request.prompt.select_account || pending.switch;
        if unusable || (!just_proven && (!self.settings.sign_on.sso || asked || old)) {
            return Ok(LoginStatus::NeedsLogin);
        }
        let subject =
            countersign_core::identity::subject(&session.identity.user_id, &session.connector);
        match &request.hint {
            Some(hint) if *hint != subject && just_proven => Ok(LoginStatus::SomebodyElse),
            Some(hint) if *hint != subject => Ok(LoginStatus::NeedsLogin),
            _ => Ok(LoginStatus::SignedIn(Box::new(session))),
        }
    }

    /// Could this session be the one this request needs: the right connector, still what it was at
    /// sign-in, asked for all that is wanted?
    pub(super) fn serves(&self, request: &AuthRequest, client: &Client, session: &Session) -> bool {
        request.connector.as_ref().is_none_or(|id| *id == session.connector)
            && self.connectors.allowed(client, &session.connector).is_some()
            && !self.fingerprint_changed(session)
            && session
                .login_scopes
                .covers(self.login_scopes_needed(session, request.login_scopes()))
    }

    fn ask_for_login(&self, mut pending: PendingLogin, client: &Client) -> Step {
        if pending.request.prompt.none {
            return self.refuse(&pending, ErrorCode::LoginRequired, "Nobody is signed in");
        }
        pending.session = None;
        pending.logged_in = None;
        if let Some(connector) = pending.request.connector.clone() {
            return Step::SignIn { pending, connector };
        }
        let choices: Vec<Choice> = self.connectors.for_client(client).map(Choice::from).collect();
        match choices.as_slice() {
            [] => Step::Gone,
            [only] if !self.settings.always_show_choice => {
                let connector = only.id.clone();
                Step::SignIn { pending, connector }
            }
            _ => Step::Choose { pending, choices },
        }
    }

    async fn needs_approval(
        &self,
        pending: &PendingLogin,
        client: &Client,
        session: &Session,
    ) -> Result<bool, IssuerError> {
        // A code that is read out by hand is what a phisher asks for, and an administrator's power what
        // a program on their machine would like: neither is ever given in silence.
        let request = &pending.request;
        let by_hand = request.redirect_uri == OUT_OF_BAND;
        if request.prompt.consent || by_hand || request.scopes.has(scopes::ADMIN) {
            return Ok(true);
        }
        if self.settings.approval.skip {
            return Ok(false);
        }
        let person = &session.identity.user_id;
        let given = self.store.consent(person, &session.connector, &client.id).await?;
        Ok(!given.is_some_and(|given| pending.request.scopes.within(&given)))
    }

    async fn issue_code(
        &self,
        pending: PendingLogin,
        client: &Client,
        session: Session,
    ) -> Result<Step, IssuerError> {
        let now = self.now();
        let code = ids::random_token()?;
        let request = &pending.request;
        let given = Code {
            hash: hash::sha256(&code),
            request: request.id.clone(),
            session: session.id,
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
        Ok(match self.store.issue_code(given, now).await? {
            IssueCodeOutcome::Issued => Step::AuthorizationResponse(AuthorizationResponse::code(
                request,
                &self.settings.issuer,
                code,
            )),
            IssueCodeOutcome::AlreadyFinished => Step::Finished,
            IssueCodeOutcome::SessionEnded => self.ask_for_login(pending, client),
        })
    }

    /// A person types an out-of-band code by hand, which takes longer than a redirect.
    fn code_lifetime(&self, client: &Client, request: &AuthRequest) -> Duration {
        const BY_HAND: Duration = Duration::from_secs(10 * 60);
        match request.redirect_uri == OUT_OF_BAND {
            true => BY_HAND,
            false => self.settings.code_lifetime_of(client),
        }
    }

    pub(crate) fn refuse(&self, pending: &PendingLogin, code: ErrorCode, why: &str) -> Step {
        let error = AuthorizationError::new(code, why);
        Step::AuthorizationResponse(AuthorizationResponse::error(
            &pending.request,
            &self.settings.issuer,
            error,
        ))
    }
}
