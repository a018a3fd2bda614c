//! The steps of a login: what the browser is sent or shown next, with the data the page needs.

use countersign_core::{ClientId, Connector, ConnectorId, Identity, Scopes};

use super::DeviceLogin;
use super::PendingLogin;
use super::request::AccountPage;
use super::response::AuthorizationResponse;

/// What the browser does next; `server` renders it as a page or a redirect.
pub enum Step {
    /// Show the page on which the user chooses a connector.
    ChooseConnector { pending: PendingLogin, choices: Vec<ConnectorChoice> },
    /// Redirect to `/auth/{connector}`.
    StartLogin { pending: PendingLogin, connector: ConnectorId },
    /// Show the approval page.
    AskApproval { pending: PendingLogin, approval: Box<Approval> },
    /// Return to the client with a code or an error.
    Respond(AuthorizationResponse),
    /// The login was for one of our own pages: redirect there.
    AccountPage(AccountPage),
    /// The user approved or denied a device (RFC 8628): show the page that refers them back to the device.
    DeviceDecided { client: ClientId, approved: bool },
    /// This request was already completed, for example in a second tab.
    AlreadyFinished,
    /// The login has been pending for longer than `expiry.authRequests`.
    Expired,
    /// The client, or every connector it may use, was removed from the configuration meanwhile.
    ClientRemoved,
}

/// One connector on the selection page.
#[derive(Clone, Debug)]
pub struct ConnectorChoice {
    pub id: ConnectorId,
    pub name: String,
    pub kind: &'static str,
}

impl From<&Connector> for ConnectorChoice {
    fn from(connector: &Connector) -> Self {
        Self { id: connector.id.clone(), name: connector.name.clone(), kind: connector.kind }
    }
}

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
