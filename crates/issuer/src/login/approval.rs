//! The approval step: what the approval page shows, and what the user's decision does.

use countersign_core::{Client, Identity, Scopes, Secret, Session};

use super::response::ErrorCode;
use super::{DeviceLogin, PendingLogin, Step};
use crate::{Issuer, IssuerError};

/// What the approval page shows: the client, the user, and what the client will receive.
#[derive(Clone, Debug)]
pub struct Approval {
    pub client_name: String,
    pub client_logo: Option<String>,
    /// Host of the redirect URI; `None` for out-of-band.
    pub client_host: Option<String>,
    pub identity: Identity,
    pub connector_name: String,
    pub scopes: Scopes,
    /// The device to approve, for a device authorization.
    pub device: Option<DeviceLogin>,
}

/// The user's decision on the approval page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalDecision {
    Approve,
    Rejected,
    /// Sign in as another user.
    Switch,
}

impl ApprovalDecision {
    /// The value of the form field `approval`.
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
    /// Applies the decision if the browser's session is the one the approval page was shown for. Otherwise the
    /// dispatcher runs again and shows the page to the current user.
    pub async fn decide_approval(
        &self,
        mut pending: PendingLogin,
        decision: ApprovalDecision,
        cookie: Option<&Secret>,
    ) -> Result<Step, IssuerError> {
        if pending.request.account_page.is_some() {
            return self.next_step(pending, cookie, false).await;
        }
        let session = match self.clients.of_request(&pending.request) {
            Some(client) => self.browser_session_for(&client, cookie).await?,
            None => None,
        };
        let Some(session) = session.filter(|s| pending.session.as_ref() == Some(&s.id)) else {
            return self.next_step(pending, cookie, false).await;
        };
        match decision {
            // A device needs an approval each time, so its consent is not stored for later logins.
            ApprovalDecision::Approve if pending.request.device.is_some() => {
                self.next_step(pending, cookie, true).await
            }
            ApprovalDecision::Approve => {
                self.remember(&pending, &session).await?;
                self.next_step(pending, cookie, true).await
            }
            ApprovalDecision::Rejected if pending.request.device.is_some() => {
                self.deny_device(pending, &session).await
            }
            ApprovalDecision::Rejected => {
                let request = &pending.request;
                let now = self.now();
                self.store.finish_refused(&request.id, &session.id, &request.client, now).await?;
                Ok(self.refuse(&pending, ErrorCode::AccessDenied, "The user denied the request"))
            }
            ApprovalDecision::Switch => {
                pending.switch = true;
                pending.logged_in = None;
                self.next_step(pending, cookie, false).await
            }
        }
    }

    async fn deny_device(
        &self,
        pending: PendingLogin,
        session: &Session,
    ) -> Result<Step, IssuerError> {
        let device = pending.request.device.clone();
        match device {
            Some(device) => self.decide_device_request(pending, &device, session, false).await,
            None => Ok(Step::Expired),
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
            client_host: Client::host_of(&pending.request.redirect_uri, self.settings.issuer.url()),
            identity: session.identity.clone(),
            connector_name: connector.map(|c| c.name.clone()).unwrap_or_default(),
            scopes: pending.request.scopes.clone(),
            device: pending.request.device.clone(),
        }
    }
}
