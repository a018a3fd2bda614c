//! The login: from an authorization request to a code (RFC 6749 section 4.1, OpenID Connect Core 3.1).
//!
//! # Steps
//!
//! | URL (below the issuer) | what happens | code |
//! |---|---|---|
//! | `GET /auth` (`POST` answers 303 to it) | the request is parsed; until client and redirect URI are verified every error is a page, afterwards a redirect | [`parse`] |
//! | | the dispatcher chooses the next step, here and after every other step | [`next_step`] |
//! | `GET /auth/{connector}` | redirects to the password form or to the upstream | [`upstream_login`] |
//! | `GET`, `POST /auth/{connector}/login` | the password form | [`password`] |
//! | `POST /callback`, `/callback/{connector}` | a posted response (SAML) is verified, 303 to `GET /callback` | [`posted_form`] |
//! | `GET /callback`, `/callback/{connector}` | the upstream's response is verified | [`upstream_login`] |
//! | | the session is written, the browser binding renewed, 303 to `/continue` | [`sign_in`] |
//! | `GET /continue` | the dispatcher | [`next_step`] |
//! | `GET`, `POST /approval` | the approval page and the user's decision | [`approval`] |
//! | the client's redirect URI | a code or an error, always with `iss` (RFC 9207) | [`response`] |
//!
//! A step never calls another one: it returns to [`Issuer::next_step`](crate::Issuer::next_step), which looks
//! at what is missing (login, fresh identity, consent) and returns a [`Step`]. The order is therefore:
//! choose a connector, log in, approve, respond; a step that is not needed is left out.
//!
//! # State
//!
//! Nothing is stored before the user has authenticated. Until then the login consists of
//! - the *browser binding*, a cookie ([`BrowserBinding`]) that identifies the browser, and
//! - the *pending login* ([`PendingLogin`]): the parsed request, sealed to the browser binding. It travels as
//!   the parameter `req` in links and forms, so each tab has its own. During a login at an upstream it is in a
//!   cookie named by the `state` that was sent upstream, because the upstream returns only `state`.
//!
//! Both must match: a login continues only in the browser that began it.

mod approval;
mod next_step;
mod parse;
mod password;
mod pending_login;
mod posted_form;
pub(crate) mod rate_limit;
mod request;
mod response;
mod sign_in;
mod upstream_login;
mod upstream_login_state;

pub use approval::{Approval, ApprovalDecision};
pub(crate) use parse::is_pkce_text;
pub use parse::{ParsedRequest, Untrusted};
pub(crate) use password::PasswordOutcome;
pub use password::PasswordSubmission;
pub use pending_login::{BrowserBinding, PendingLogin};
pub use posted_form::PostedFormOutcome;
pub(crate) use rate_limit::counted_address;
pub use rate_limit::{LoginAttempts, POLL_INTERVAL};
pub use request::{AccountPage, AuthRequest, DeviceLogin, Params, Prompt, ResponseMode};
pub use response::{AuthorizationError, AuthorizationResponse, ErrorCode};
pub(crate) use sign_in::{AuthenticatedUser, NewSession};
pub use sign_in::{Browser, SignInOutcome, SignedInBrowser};
pub use upstream_login::{CallbackOutcome, CallbackParams, UpstreamRedirect};
pub use upstream_login_state::state_id;

use countersign_core::{ClientId, Connector, ConnectorId};

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
