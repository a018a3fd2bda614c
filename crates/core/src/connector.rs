//! The traits of connectors: a closed set of login methods, and an open set of upstreams behind them.
//!
//! A refusal is a value; an upstream that cannot be queried is an error. Neither distinguishes "no such user"
//! from "wrong password".

use std::any::Any;
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
    /// The label of its button on the login page.
    pub name: String,
    pub login_method: LoginMethod,
    /// `None`: the upstream cannot be queried without the user.
    pub refresh: Option<Arc<dyn Refresh>>,
    pub fingerprint: Fingerprint,
}

/// How a user authenticates.
#[derive(Clone)]
pub enum LoginMethod {
    /// Our login form with name and password.
    Password(Arc<dyn PasswordLogin>),
    /// A redirect to the upstream and back to `/callback`.
    Redirect(Arc<dyn RedirectLogin>),
    /// A form posted to the identity provider, whose response is a form posted to `/callback` (SAML 2.0 HTTP-POST
    /// binding).
    PostedForm(Arc<dyn PostedFormLogin>),
    /// A redirect to our own `/callback/{connector}`, where a reverse proxy supplies the user in header fields.
    TrustedHeader(Arc<dyn TrustedHeaderLogin>),
}

/// Fingerprint of the connector at sign-in. A session whose fingerprint no longer matches is rejected, so that reusing
/// a connector id for another directory cannot inherit accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// The same for all users: connector type and issuer or host.
    Upstream(String),
    /// Per user, returned with every identity: a fingerprint of the password hash.
    PerUser,
}

/// An authenticated user.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub identity: Identity,
    /// What the connector needs to query the user again; sealed before it is stored.
    pub upstream: Option<Secret>,
    /// The fingerprint, for connectors with [`Fingerprint::PerUser`].
    pub fingerprint: Option<String>,
}

/// The result of a login at an upstream that answered.
#[derive(Clone, Debug)]
pub enum LoginOutcome {
    Accepted(Box<SignedIn>),
    Refused(Refusal),
}

/// Why a login was refused. These may be shown to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown user or wrong password; not distinguished, so that the response does not reveal whether the user exists.
    BadCredentials,
    PasswordExpired,
    AccountLocked,
    AccountDisabled,
    /// The user is in none of the groups that this connector requires.
    NotInRequiredGroup {
        required: Vec<String>,
    },
    /// An error code of the upstream, such as `access_denied`.
    UpstreamDenied {
        code: String,
    },
    /// The upstream has not verified the e-mail address, which this connector requires.
    EmailNotVerified,
    /// The identity provider's response is invalid: malformed, not signed by it, expired, or for another recipient.
    InvalidResponse {
        /// Does not contain the response.
        reason: String,
    },
    /// The connection does not come from a trusted proxy.
    NotThroughProxy,
    /// The proxy's header fields are ambiguous or invalid.
    UnclearHeaders {
        /// Names the header fields, without their values.
        reason: String,
    },
}

/// The reason in words, for the log.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadCredentials => f.write_str("unknown user or wrong password"),
            Self::PasswordExpired => f.write_str("the password has expired"),
            Self::AccountLocked => f.write_str("the account is locked"),
            Self::AccountDisabled => f.write_str("the account is disabled"),
            Self::NotInRequiredGroup { required } => {
                write!(f, "in none of the required groups: {}", required.join(", "))
            }
            Self::UpstreamDenied { code } => write!(f, "the upstream answered {code}"),
            Self::EmailNotVerified => {
                f.write_str("the upstream does not report the e-mail address as verified")
            }
            Self::InvalidResponse { reason } => write!(f, "the response is invalid: {reason}"),
            Self::NotThroughProxy => f.write_str("not through a trusted proxy"),
            Self::UnclearHeaders { reason } => write!(f, "the proxy's headers: {reason}"),
        }
    }
}

/// Why a connector could not decide. `cause` is for the log, the trace and administrators; it contains no secret and no
/// free text of the upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// Temporary (unreachable, timeout, 5xx, 429, a full queue): the same request may succeed later.
    #[error("{upstream} is unavailable: {cause}")]
    Unavailable { upstream: String, cause: String },
    /// A permanent defect of the configuration, of the upstream's responses or of the user's data there: the same
    /// request fails until an administrator acts, so the page does not suggest a retry.
    #[error("{upstream} is misconfigured or incomplete: {cause}")]
    Misconfigured {
        upstream: String,
        /// A sentence that may be shown to the user.
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

/// A connector whose users enter login name and password on our page, such as LDAP.
#[async_trait]
pub trait PasswordLogin: Send + Sync {
    /// The label of the login name field, such as "Email Address".
    fn prompt(&self) -> &str;

    /// The canonical form of a login name, under which attempts are counted.
    fn canonical(&self, login: &str) -> String;

    /// What the upstream returns for this account without its password, for administrators who diagnose a login or
    /// missing groups.
    async fn diagnose(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<AccountDiagnosis, ConnectorError>;

    /// Verifies the password. A wrong password or unknown user is a refusal; `Err` if the upstream is unavailable or
    /// misconfigured.
    async fn login(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError>;
}

/// The result of [`PasswordLogin::diagnose`].
#[derive(Clone, Debug)]
pub enum AccountDiagnosis {
    Found(Box<Identity>),
    Refused { reason: String },
}

/// One login at an upstream: the input of the redirect to it.
#[derive(Clone, Debug)]
pub struct UpstreamLogin {
    /// Our `/callback`.
    pub callback: Url,
    /// The identifier of this login, which the connector sends as `state`: 16 characters of base64url. To the `state` of
    /// a login URL the issuer appends a part of the sealed login.
    pub state: String,
    pub login_scopes: LoginScopes,
    /// The user must authenticate again: an upstream that supports it gets `prompt=login` (OpenID Connect
    /// Core 3.1.2.1).
    pub again: bool,
    /// When this step of the login happens.
    pub now: Timestamp,
}

/// The state needed to verify the callback. It is sealed to the browser, so it may contain secrets such as a PKCE
/// verifier.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CallbackState(pub Vec<(String, String)>);

/// Where the browser is redirected to, and what the callback needs again.
#[derive(Clone, Debug)]
pub struct LoginRedirect {
    pub url: Url,
    pub callback_state: CallbackState,
}

/// A connector whose users sign in at the upstream and return to our callback with a code.
#[async_trait]
pub trait RedirectLogin: Send + Sync {
    /// The URL of the upstream that the browser is redirected to.
    async fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
    ) -> Result<LoginRedirect, ConnectorError>;

    /// `query` are the decoded parameters of the callback; `state` has already been verified.
    async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError>;

    /// The user of an ID token that the upstream issued to us without this browser (token exchange, RFC 8693, with
    /// Dex's `connector_id`). Its audience must be our client id: a token for another client of the upstream would let
    /// that client sign in here as its users. `None`: this connector does not accept such tokens.
    async fn login_with_id_token(
        &self,
        id_token: &Secret,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<LoginOutcome>, ConnectorError> {
        let _ = (id_token, now, trace);
        Ok(None)
    }

    /// Checks for an administrator whether the upstream is reachable and accepts our credentials; no user signs in.
    /// With `user`, also returns that user's groups if they can be read without the user; otherwise `None`.
    async fn diagnose(
        &self,
        user: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, ConnectorError> {
        let _ = (user, now);
        trace.note("no check is possible without a browser: sign in there");
        Ok(None)
    }

    /// The upstream's logout page (OpenID Connect RP-Initiated Logout 1.0 section 2). `None`: it has none, or it cannot
    /// be determined now.
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
/// is not yet known to belong to this browser; the caller checks that afterwards.
pub struct PostedResponse<'a> {
    /// The field `SAMLResponse`.
    pub response: &'a str,
    /// The value of [`UpstreamLogin::state`], returned as `RelayState`. A response to another login is refused.
    pub state: &'a str,
    /// Our own `/callback`.
    pub callback: &'a Url,
    pub now: Timestamp,
}

/// The outcome of [`PostedFormLogin::verify`].
#[derive(Clone, Debug)]
pub enum PostedLoginOutcome {
    Accepted {
        person: Box<SignedIn>,
        /// The `ID` of the assertion, from its signed bytes. The caller accepts each ID once (SAML 2.0 Profiles
        /// section 4.1.4.5).
        assertion_id: String,
    },
    Refused(Refusal),
}

/// Sends no requests: a SAML identity provider is reached only through the browser.
pub trait PostedFormLogin: Send + Sync {
    fn login_form(&self, upstream_login: &UpstreamLogin) -> Result<LoginForm, ConnectorError>;

    fn verify(
        &self,
        posted: &PostedResponse<'_>,
        trace: &mut Trace,
    ) -> Result<PostedLoginOutcome, ConnectorError>;

    /// Traces what must be registered at the identity provider, and whether its certificates are valid.
    fn diagnose(&self, callback: &Url, now: Timestamp, trace: &mut Trace);
}

/// The header fields of a request with the names of [`TrustedHeaderLogin::fields`], and with names that some
/// proxies and gateways treat as equal.
#[derive(Clone, Debug, Default)]
pub struct ProxyHeaders {
    /// The peer address of the connection, whatever a header contains; `None` if unknown.
    pub peer: Option<IpAddr>,
    /// Lower-case name and value, in the order received.
    pub fields: Vec<(String, Vec<u8>)>,
}

/// A reverse proxy in front of this server supplies the user in header fields. Sends no requests, so it cannot be
/// unavailable.
pub trait TrustedHeaderLogin: Send + Sync {
    /// The relevant names, in lower case. These headers are removed from every request and passed to
    /// [`TrustedHeaderLogin::login`] only.
    fn fields(&self) -> Vec<&str>;

    fn login(&self, proxy_headers: &ProxyHeaders, trace: &mut Trace) -> LoginOutcome;

    /// Traces what the proxy must do, for the administrator.
    fn diagnose(&self, trace: &mut Trace);
}

/// The user to query again.
pub struct RefreshRequest<'a> {
    pub identity: &'a Identity,
    pub upstream: Option<&'a Secret>,
    pub login_scopes: LoginScopes,
    pub now: Timestamp,
}

/// The result of revalidating a user at an upstream that answered.
#[derive(Clone, Debug)]
pub enum RefreshOutcome {
    /// Still accepted by the upstream, possibly with changed claims.
    Current(Box<SignedIn>),
    /// The session cannot be revalidated without the user, for example because the upstream issued no refresh token.
    /// Implies nothing about the user.
    NotPossible,
    /// Explicitly disabled or revoked: the session ends now.
    Disabled,
    /// The user does not exist, or is no longer in a required group: refused now; the session ends if a repeated query
    /// some minutes later has the same result.
    Missing { reason: String },
}

/// A connector that can revalidate a user without their browser.
#[async_trait]
pub trait Refresh: Send + Sync {
    /// Queries the upstream for the user. `Err` if it is unavailable or misconfigured: the session stays as it is.
    async fn refresh(
        &self,
        request: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError>;

    /// The upstream data to use in place of `upstream`, if a refresh has used its refresh token and the upstream returned
    /// another one. The caller asks after a refresh whose outcome has no upstream data, because the used token is not
    /// accepted again. `None`: `upstream` is still the one to use.
    async fn successor(&self, upstream: &Secret) -> Option<Secret> {
        let _ = upstream;
        None
    }

    /// True if revalidation queries no upstream, so it is done every time.
    fn needs_no_request(&self) -> bool {
        false
    }

    /// True if revalidation is possible only for logins with `LoginScopes::offline`, because the upstream issues a
    /// refresh token only at sign-in.
    fn needs_offline_login(&self) -> bool {
        false
    }

    /// What is kept in memory of refresh tokens that the upstream has replaced a moment ago, for
    /// [`Refresh::share_used_refresh_tokens`].
    fn used_refresh_tokens(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Shares those of the connector that this one replaces, which has the same fingerprint.
    fn share_used_refresh_tokens(&self, _replaced: Arc<dyn Any + Send + Sync>) {}
}
