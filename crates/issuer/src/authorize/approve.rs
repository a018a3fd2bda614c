//! Consent: what the person is asked, and what their answer does.

use countersign_core::{Client, Identity, Scopes, Secret, Session};

use super::answer::ErrorCode;
use super::{PendingLogin, Step};
use crate::{Issuer, IssuerError};

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
pub enum ApprovalDecision {
    Approve,
    Rejected,
    /// "Not you?"
    Switch,
}

impl ApprovalDecision {
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
        mut pending: PendingLogin,
        decision: ApprovalDecision,
        cookie: Option<&Secret>,
    ) -> Result<Step, IssuerError> {
        if pending.request.account_page.is_some() {
            return self.next(pending, cookie, false).await;
        }
        let session = match self.clients.behind(&pending.request) {
            Some(client) => self.browser_session_for(client, cookie).await?,
            None => None,
        };
        let Some(session) = session.filter(|s| pending.session.as_ref() == Some(&s.id)) else {
            return self.next(pending, cookie, false).await;
        };
        match decision {
            ApprovalDecision::Approve => {
                self.remember(&pending, &session).await?;
                self.next(pending, cookie, true).await
            }
            ApprovalDecision::Rejected => {
                let request = &pending.request;
                let now = self.now();
                self.store.finish_refused(&request.id, &session.id, &request.client, now).await?;
                Ok(self.refuse(&pending, ErrorCode::AccessDenied, "The person said no"))
            }
            ApprovalDecision::Switch => {
                pending.switch = true;
                pending.logged_in = None;
                self.next(pending, cookie, false).await
            }
        }
    }

    async fn remember(&self, pending: &PendingLogin, session: &Session) -> Result<(), IssuerError> {
        let request = &pending.request;
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
        pending: &PendingLogin,
        client: &Client,
        session: &Session,
    ) -> Approval {
        let connector = self.connectors.get(&session.connector);
        Approval {
            client_name: client.name.clone(),
            client_logo: client.logo_url.clone(),
            client_host: Client::host_of(&pending.request.redirect_uri),
            identity: session.identity.clone(),
            connector_name: connector.map(|c| c.name.clone()).unwrap_or_default(),
            scopes: pending.request.scopes.clone(),
        }
    }
}
