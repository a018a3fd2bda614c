//! The one dispatcher: what is still missing before a code may be given?
//!
//! Login, then freshness of what the upstream said, then consent. It asks every time and remembers
//! nothing, so it does not matter from which step, tab or replica a browser arrives.

use std::time::Duration;

use countersign_core::client::OUT_OF_BAND;
use countersign_core::{Client, Code, Connector, ConnectorId, Secret, Session, ids, scopes};
use countersign_jose::hash;
use countersign_store::CodeGiven;

use super::answer::{Answer, AuthorizationError, ErrorCode};
use super::{Approval, AuthRequest, Envelope, OwnPage};
use crate::{Failure, Issuer};

/// What the browser does next.
pub enum Step {
    /// A page with the ways in.
    Choose {
        envelope: Envelope,
        choices: Vec<Choice>,
    },
    SignIn {
        envelope: Envelope,
        connector: ConnectorId,
    },
    Approve {
        envelope: Envelope,
        approval: Box<Approval>,
    },
    Answer(Answer),
    /// Signed in, and back at a page of ours.
    OwnPage(OwnPage),
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
enum Standing {
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
        envelope: Envelope,
        cookie: Option<&Secret>,
        approved: bool,
    ) -> Result<Step, Failure> {
        let silent = envelope.request.prompt.none.then(|| envelope.clone());
        match (self.look(envelope, cookie, approved).await, silent) {
            // Nobody looks at the page of a silent request: its application is told instead.
            (Err(Failure::Unavailable { what, cause }), Some(envelope)) => {
                tracing::error!(what, cause, "a silent request could not be answered");
                let (code, text) = (ErrorCode::TemporarilyUnavailable, "Ask again later");
                Ok(self.refuse(&envelope, code, text))
            }
            (step, _) => step,
        }
    }

    async fn look(
        &self,
        mut envelope: Envelope,
        cookie: Option<&Secret>,
        approved: bool,
    ) -> Result<Step, Failure> {
        if self.is_expired(&envelope) {
            return Ok(Step::Expired);
        }
        let Some(client) = self.clients.behind(&envelope.request) else {
            return Ok(Step::Gone);
        };
        let session = match self.standing(&envelope, client, cookie).await? {
            Standing::SignedIn(session) => *session,
            Standing::NeedsLogin => return Ok(self.ask_for_login(envelope, client)),
            Standing::SomebodyElse => {
                return Ok(self.refuse(
                    &envelope,
                    ErrorCode::LoginRequired,
                    "Another person signed in than the one id_token_hint names",
                ));
            }
        };
        let Some(session) = self.up_to_date(session).await? else {
            return Ok(self.ask_for_login(envelope, client));
        };
        if let Some(page) = envelope.request.own_page {
            return Ok(Step::OwnPage(page));
        }
        if !approved && self.needs_approval(&envelope, client, &session).await? {
            if envelope.request.prompt.none {
                let (code, text) = (ErrorCode::ConsentRequired, "The person has not agreed yet");
                return Ok(self.refuse(&envelope, code, text));
            }
            if envelope.session.as_ref() != Some(&session.id) {
                envelope.logged_in = None;
            }
            envelope.session = Some(session.id.clone());
            let approval = Box::new(self.approval(&envelope, client, &session));
            return Ok(Step::Approve { envelope, approval });
        }
        self.give_code(envelope, client, session).await
    }

    /// It waited longer than `expiry.authRequests`.
    pub fn is_expired(&self, envelope: &Envelope) -> bool {
        self.now() > envelope.request.expires_at
    }

    async fn standing(
        &self,
        envelope: &Envelope,
        client: &Client,
        cookie: Option<&Secret>,
    ) -> Result<Standing, Failure> {
        let Some(session) = self.browser_session_for(client, cookie).await? else {
            return Ok(Standing::NeedsLogin);
        };
        let request = &envelope.request;
        let just_proven =
            envelope.logged_in.is_some() && envelope.session.as_ref() == Some(&session.id);
        let unusable = !self.serves(request, client, &session);
        let age = self.now().since(session.auth_time);
        let old =
            request.max_age.is_some_and(|limit| limit == 0 || age > Duration::from_secs(limit));
        let asked = request.prompt.login || request.prompt.select_account || envelope.switch;
        if unusable || (!just_proven && (!self.settings.sign_on.sso || asked || old)) {
            return Ok(Standing::NeedsLogin);
        }
        let subject =
            countersign_core::identity::subject(&session.identity.user_id, &session.connector);
        match &request.hint {
            Some(hint) if *hint != subject && just_proven => Ok(Standing::SomebodyElse),
            Some(hint) if *hint != subject => Ok(Standing::NeedsLogin),
            _ => Ok(Standing::SignedIn(Box::new(session))),
        }
    }

    /// Could this session be the one this request needs: the right connector, still what it was at
    /// sign-in, asked for all that is wanted?
    pub(super) fn serves(&self, request: &AuthRequest, client: &Client, session: &Session) -> bool {
        request.connector.as_ref().is_none_or(|id| *id == session.connector)
            && self.connectors.allowed(client, &session.connector).is_some()
            && !self.basis_changed(session)
            && session.wants.cover(self.askable(session, request.wants()))
    }

    fn ask_for_login(&self, mut envelope: Envelope, client: &Client) -> Step {
        if envelope.request.prompt.none {
            return self.refuse(&envelope, ErrorCode::LoginRequired, "Nobody is signed in");
        }
        envelope.session = None;
        envelope.logged_in = None;
        if let Some(connector) = envelope.request.connector.clone() {
            return Step::SignIn { envelope, connector };
        }
        let choices: Vec<Choice> = self.connectors.for_client(client).map(Choice::from).collect();
        match choices.as_slice() {
            [] => Step::Gone,
            [only] if !self.settings.always_show_choice => {
                let connector = only.id.clone();
                Step::SignIn { envelope, connector }
            }
            _ => Step::Choose { envelope, choices },
        }
    }

    async fn needs_approval(
        &self,
        envelope: &Envelope,
        client: &Client,
        session: &Session,
    ) -> Result<bool, Failure> {
        // A code that is read out by hand is what a phisher asks for, and an administrator's power what
        // a program on their machine would like: neither is ever given in silence.
        let request = &envelope.request;
        let by_hand = request.redirect_uri == OUT_OF_BAND;
        if request.prompt.consent || by_hand || request.scopes.has(scopes::ADMIN) {
            return Ok(true);
        }
        if self.settings.approval.skip {
            return Ok(false);
        }
        let person = &session.identity.user_id;
        let given = self.store.consent(person, &session.connector, &client.id).await?;
        Ok(!given.is_some_and(|given| envelope.request.scopes.within(&given)))
    }

    async fn give_code(
        &self,
        envelope: Envelope,
        client: &Client,
        session: Session,
    ) -> Result<Step, Failure> {
        let now = self.now();
        let code = ids::random_token()?;
        let request = &envelope.request;
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
        Ok(match self.store.give_code(given, now).await? {
            CodeGiven::Given => Step::Answer(Answer::code(request, &self.settings.issuer, code)),
            CodeGiven::AlreadyFinished => Step::Finished,
            CodeGiven::SessionEnded => self.ask_for_login(envelope, client),
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

    pub(crate) fn refuse(&self, envelope: &Envelope, code: ErrorCode, why: &str) -> Step {
        let error = AuthorizationError::new(code, why);
        Step::Answer(Answer::error(&envelope.request, &self.settings.issuer, error))
    }
}
