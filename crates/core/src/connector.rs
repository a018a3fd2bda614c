//! The port of the upstreams: a closed set of ways in, an open set of connectors behind them.
//!
//! A refusal is a value, an upstream that cannot be asked is an error, and neither ever says
//! which of "no such user" and "wrong password" it was.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{ConnectorId, Identity, LoginScopes, Secret, Timestamp, Trace};

/// One configured upstream.
#[derive(Clone)]
pub struct Connector {
    pub id: ConnectorId,
    /// The `type` of the configuration, such as `ldap`.
    pub kind: &'static str,
    /// What people read on the button.
    pub name: String,
    pub login_method: LoginMethod,
    /// `None`: this upstream cannot be asked again without the person.
    pub refresh: Option<Arc<dyn Refresh>>,
    pub fingerprint: Fingerprint,
}

/// How a person proves who they are.
#[derive(Clone)]
pub enum LoginMethod {
    /// A form of ours with a name and a password.
    Password(Arc<dyn PasswordLogin>),
    /// A trip to the upstream and back to `/callback`.
    Redirect(Arc<dyn RedirectLogin>),
    /// A form posted to the identity provider, whose response is a form posted to `/callback` (SAML 2.0 HTTP-POST
    /// binding).
    PostedForm(Arc<dyn PostedFormLogin>),
    /// A trip to our own `/callback/{connector}`, in front of which a proxy says who comes.
    TrustedHeader(Arc<dyn TrustedHeaderLogin>),
}

/// What a session was built on. A session whose basis is no longer the connector's is refused,
/// so that a connector id reused for another directory takes nobody over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// The same for everybody: connector type and issuer or host.
    Upstream(String),
    /// Each person's own, given with every answer: a fingerprint of the password hash.
    PerUser,
}

/// A proven person.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub identity: Identity,
    /// What the connector needs to ask again; sealed before it is stored.
    pub upstream: Option<Secret>,
    /// The fingerprint, for connectors whose basis is [`Fingerprint::PerUser`].
    pub fingerprint: Option<String>,
}

#[derive(Clone, Debug)]
pub enum LoginOutcome {
    Accepted(Box<SignedIn>),
    Refused(Refusal),
}

/// Why a login was refused, in the words the person may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown user or wrong password: deliberately one value.
    BadCredentials,
    PasswordExpired,
    AccountLocked,
    AccountDisabled,
    /// In none of the groups this connector demands.
    NotInRequiredGroup {
        required: Vec<String>,
    },
    /// The upstream itself said no, in a word of its protocol such as `access_denied`.
    UpstreamDenied {
        code: String,
    },
    /// The upstream does not vouch for the e-mail address, and this connector demands it.
    EmailNotVerified,
    /// The response that the browser brought from the identity provider is not valid: malformed, not signed by it, for
    /// somebody else, or expired.
    InvalidResponse {
        /// Never repeats the response.
        why: String,
    },
    /// The connection does not come from a proxy whose word counts.
    NotThroughProxy,
    /// What the proxy said of the person can be understood in two ways, or in none.
    UnclearHeaders {
        /// Names headers, never their values.
        why: String,
    },
}

/// Why a connector could not decide. `cause` is exact and for the log, the trace and administrators; it holds
/// no secret and no text that an upstream chose freely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// Passes by itself (unreachable, timeout, 5xx, 429, a full queue): the same request may succeed later.
    #[error("{upstream} is unavailable: {cause}")]
    Unavailable { upstream: String, cause: String },
    /// A permanent defect of the configuration, of the upstream's answers or of the person's data there:
    /// the same request fails until an administrator acts, so nobody is told to try again.
    #[error("{upstream} is misconfigured or incomplete: {cause}")]
    Misconfigured {
        upstream: String,
        /// A sentence that may be shown to the person.
        missing: String,
        cause: String,
    },
}

impl ConnectorError {
    pub fn cause(&self) -> &str {
        match self {
            Self::Unavailable { cause, .. } | Self::Misconfigured { cause, .. } => cause,
        }
    }
}

#[async_trait]
pub trait PasswordLogin: Send + Sync {
    /// The label of the name field, such as "Email Address".
    fn prompt(&self) -> &str;

    /// The one form under which attempts on this account are counted, whatever was typed.
    fn canonical(&self, login: &str) -> String;

    /// What the upstream says of this account, without its password: for the administrator who asks
    /// why a login or a group is not as expected.
    async fn diagnose(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<AccountDiagnosis, ConnectorError>;

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError>;
}

/// The answer to [`PasswordLogin::diagnose`].
#[derive(Clone, Debug)]
pub enum AccountDiagnosis {
    Found(Box<Identity>),
    Refused { why: String },
}

/// One trip to an upstream.
#[derive(Clone, Debug)]
pub struct UpstreamLogin {
    /// Our own `/callback`.
    pub callback: Url,
    /// Comes back with the browser; 32 characters of base64url.
    pub state: String,
    pub login_scopes: LoginScopes,
    /// The person is to prove anew who they are, though signed in there: an upstream that can be asked
    /// for that is asked (`prompt=login`, OpenID Connect Core 3.1.2.1).
    pub again: bool,
    /// The moment of this half of the trip.
    pub now: Timestamp,
}

/// What is needed to understand the way back. Sealed to the browser, so it may hold secrets
/// such as a PKCE verifier.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CallbackState(pub Vec<(String, String)>);

#[derive(Clone, Debug)]
pub struct LoginRedirect {
    pub url: Url,
    pub callback_state: CallbackState,
}

#[async_trait]
pub trait RedirectLogin: Send + Sync {
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
    ) -> Result<LoginRedirect, ConnectorError>;

    /// `query` is what the browser brought back, decoded, `state` included and already matched.
    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError>;

    /// Whether the upstream is there and believes us, for the administrator who asks; nobody signs in.
    ///
    /// `user` is somebody whose groups are to be told where they can be read without that person:
    /// `None` in the answer is that they cannot, or that nobody was named.
    async fn diagnose(
        &self,
        user: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, ConnectorError> {
        let _ = (user, now);
        trace.note("it can be asked nothing without a browser: sign in there");
        Ok(None)
    }

    /// Where a browser signs out of the upstream itself (OpenID Connect RP-Initiated Logout 1.0 section 2).
    /// `None`: the upstream has no such place, or it cannot be asked just now.
    async fn sign_out_url(&self) -> Option<Url> {
        None
    }
}

/// A form for the browser to post to the identity provider. The caller adds `RelayState`.
#[derive(Clone, Debug)]
pub struct LoginForm {
    pub url: Url,
    pub fields: Vec<(&'static str, String)>,
}

/// A form that a browser posted to our callback. It arrives without cookies (they are `SameSite=Lax`), so that `state`
/// is not yet known to be this browser's; the caller checks that afterwards.
pub struct PostedResponse<'a> {
    /// The field `SAMLResponse`.
    pub response: &'a str,
    /// What [`UpstreamLogin::state`] was, as `RelayState` says. A response to another login is refused.
    pub state: &'a str,
    /// Our own `/callback`.
    pub callback: &'a Url,
    pub now: Timestamp,
}

/// Asks nobody: an identity provider speaks through the browser only.
pub trait PostedFormLogin: Send + Sync {
    fn login_form(&self, upstream_login: &UpstreamLogin) -> Result<LoginForm, ConnectorError>;

    fn verify(
        &self,
        posted: &PostedResponse<'_>,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError>;

    /// What must be registered at the identity provider, and whether its certificates are valid.
    fn diagnose(&self, callback: &Url, now: Timestamp, trace: &mut Trace);
}

/// What came with a request under the names of [`TrustedHeaderLogin::fields`], and under names that some proxies
/// and gateways take for them.
#[derive(Clone, Debug, Default)]
pub struct ProxyHeaders {
    /// The other end of the connection itself, whatever any header says; `None` if that is not known.
    pub peer: Option<IpAddr>,
    /// Name in lower case, and value as it came, in the order they came.
    pub fields: Vec<(String, Vec<u8>)>,
}

/// A proxy in front of us says in header fields who somebody is. Never asks anybody, so it cannot be down.
pub trait TrustedHeaderLogin: Send + Sync {
    /// The names that mean something, in lower case. They are taken off every request and handed to
    /// [`TrustedHeaderLogin::login`] alone.
    fn fields(&self) -> Vec<&str>;

    fn login(&self, proxy_headers: &ProxyHeaders, trace: &mut Trace) -> LoginOutcome;

    /// What a proxy must do, for the administrator.
    fn diagnose(&self, trace: &mut Trace);
}

/// Whom to ask about again.
pub struct RefreshRequest<'a> {
    pub identity: &'a Identity,
    pub upstream: Option<&'a Secret>,
    pub login_scopes: LoginScopes,
    pub now: Timestamp,
}

#[derive(Clone, Debug)]
pub enum RefreshOutcome {
    /// Still accepted by the upstream, perhaps with changed claims.
    Current(Box<SignedIn>),
    /// This session cannot be revalidated without the person, because the upstream gave nothing to do it with,
    /// such as a refresh token. Says nothing about the person.
    NotPossible,
    /// Explicitly disabled or revoked: the session ends now.
    Disabled,
    /// No such person, or no longer in a required group: refused now, and the session ends if it
    /// is still so some minutes later.
    Missing { why: String },
}

#[async_trait]
pub trait Refresh: Send + Sync {
    async fn refresh(
        &self,
        request: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError>;

    /// True when asking costs nothing (no upstream is called), so it is asked every time.
    fn is_free(&self) -> bool {
        false
    }

    /// True when asking again is only possible if the login was asked to last (`LoginScopes::offline`): what
    /// that takes, such as an upstream refresh token, is given at sign-in alone.
    fn needs_offline_login(&self) -> bool {
        false
    }
}
