//! Consent: what the person is asked, and what their answer does.

use countersign_core::{Client, Identity, Scopes, Secret, Session};

use super::answer::ErrorCode;
use super::{Envelope, Step};
use crate::{Failure, Issuer};

/// What the approval page says: who asks, who you are, what will be told.
#[derive(Clone, Debug)]
pub struct Approval {
    pub client_name: String,
    pub client_logo: Option<String>,
    /// Where the answer goes; `None` for out-of-band.
    pub client_host: Option<String>,
    pub identity: Identity,
    pub connector_name: String,
    pub scopes: Scopes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Rejected,
    /// "Not you?"
    Switch,
}

impl Verdict {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "approve" => Some(Self::Approve),
            "rejected" => Some(Self::Rejected),
            "switch" => Some(Self::Switch),
            _ => None,
        }
    }
}

impl Issuer {
    /// Approval counts only for the session whose page this envelope was; with another person's cookie
    /// the dispatcher shows the page anew, to them.
    pub async fn decide(
        &self,
        mut envelope: Envelope,
        verdict: Verdict,
        cookie: Option<&Secret>,
    ) -> Result<Step, Failure> {
        if envelope.request.own_page.is_some() {
            return self.next(envelope, cookie, false).await;
        }
        let session = match self.clients.behind(&envelope.request) {
            Some(client) => self.browser_session_for(client, cookie).await?,
            None => None,
        };
        let Some(session) = session.filter(|s| envelope.session.as_ref() == Some(&s.id)) else {
            return self.next(envelope, cookie, false).await;
        };
        match verdict {
            Verdict::Approve => {
                self.remember(&envelope, &session).await?;
                self.next(envelope, cookie, true).await
            }
            Verdict::Rejected => {
                let request = &envelope.request;
                let now = self.now();
                self.store.finish_refused(&request.id, &session.id, &request.client, now).await?;
                Ok(self.refuse(&envelope, ErrorCode::AccessDenied, "The person said no"))
            }
            Verdict::Switch => {
                envelope.switch = true;
                envelope.logged_in = None;
                self.next(envelope, cookie, false).await
            }
        }
    }

    async fn remember(&self, envelope: &Envelope, session: &Session) -> Result<(), Failure> {
        let request = &envelope.request;
        let person = &session.identity.user_id;
        self.store
            .remember_consent(countersign_store::Consent {
                user_id: person.clone(),
                connector: session.connector.clone(),
                client: request.client.clone(),
                scopes: request.scopes.clone(),
                session: session.id.clone(),
                now: self.now(),
            })
            .await?;
        Ok(())
    }

    pub(crate) fn approval(
        &self,
        envelope: &Envelope,
        client: &Client,
        session: &Session,
    ) -> Approval {
        let connector = self.connectors.get(&session.connector);
        Approval {
            client_name: client.name.clone(),
            client_logo: client.logo_url.clone(),
            client_host: Client::host_of(&envelope.request.redirect_uri),
            identity: session.identity.clone(),
            connector_name: connector.map(|c| c.name.clone()).unwrap_or_default(),
            scopes: envelope.request.scopes.clone(),
        }
    }
}
