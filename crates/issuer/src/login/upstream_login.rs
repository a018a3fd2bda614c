//! A login at an upstream: the redirect or form that starts it, and the callback. Its state is sealed to the browser
//! that began it, and the callback deletes it there.

use countersign_core::connector::{
    CallbackState, Fingerprint, LoginMethod, LoginOutcome, LoginRedirect, ProxyHeaders,
    UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, LoginScopes, Secret, Trace};
use url::Url;

use super::sign_in::{
    AuthenticatedUser, Browser, LoginTrace, SignInOutcome, log_refusal, unavailable,
};
use super::upstream_login_state::{UpstreamLoginState, divide, new_state_id, state_id, state_rest};
use super::{BrowserBinding, PendingLogin, posted_form};
use crate::upstream_health::Op;
use crate::{Issuer, IssuerError};

const UPSTREAM_LOGIN: &str = "upstream login";
/// Longest sealed state of one login at an upstream, in bytes.
const MAX_LOGIN_STATE_BYTES: usize = 11_000;

/// The redirect or form that sends the browser to the upstream.
pub struct UpstreamRedirect {
    pub url: Url,
    /// Fields of a form to post to `url`; empty: redirect to `url`.
    pub form: Vec<(&'static str, String)>,
    /// The value of `state`, which names the cookie that stores `kept`.
    pub state: String,
    /// The part of the sealed login that is not in the `state` of `url`.
    pub kept: String,
}

/// The parameters of a request to our callback.
pub struct CallbackParams<'a> {
    /// Decoded; includes `state`.
    pub query: &'a [(String, String)],
    /// The connector in the path; `None` at `/callback` without one.
    pub by: Option<&'a str>,
    pub proxy_headers: &'a ProxyHeaders,
}

impl CallbackParams<'_> {
    fn has(&self, parameter: &str) -> bool {
        self.query.iter().any(|(name, _)| name == parameter)
    }
}

/// The result of a callback. `connector` and `pending` are those of the login stored in the browser, if it could be
/// opened.
pub struct CallbackOutcome {
    pub connector: Option<ConnectorId>,
    pub pending: Option<PendingLogin>,
    pub result: Result<SignInOutcome, IssuerError>,
}

impl Issuer {
    /// Begins a login at an upstream. `None`: the connector does not exist, is not allowed for this client, or uses a
    /// password form.
    pub async fn begin_upstream_login(
        &self,
        pending: &PendingLogin,
        connector: &ConnectorId,
        binding: &BrowserBinding,
        cookie: Option<&Secret>,
    ) -> Result<Option<UpstreamRedirect>, IssuerError> {
        let Some(connector) = self.connector_for(pending, connector) else { return Ok(None) };
        let connector = &*connector;
        // The scopes of this browser's session are requested again, so that a login for one client does not remove what
        // a login for another had requested.
        let session = self.session_for_any_client(cookie).await?;
        let session = session.filter(|session| session.connector == connector.id);
        let before = session.map(|session| session.login_scopes).unwrap_or_default();
        let login_scopes = pending.request.login_scopes().union(before);
        let again = pending.request.prompt.login || pending.request.max_age.is_some();
        let upstream_login =
            UpstreamLogin { again, ..self.upstream_login(new_state_id()?, login_scopes)? };
        let mut form = Vec::new();
        let redirect = match &connector.login_method {
            LoginMethod::Redirect(method) => {
                let redirect = self
                    .call_connector(connector, Op::LoginUrl, method.login_url(&upstream_login))
                    .await;
                redirect.map_err(|down| IssuerError::upstream(&down))?
            }
            LoginMethod::PostedForm(method) => {
                let login = method.login_form(&upstream_login);
                let login = login.map_err(|down| IssuerError::upstream(&down))?;
                form = login.fields;
                let relay_state = posted_form::relay_state(&upstream_login.state, &connector.id);
                form.push(("RelayState", relay_state));
                LoginRedirect { url: login.url, callback_state: CallbackState::default() }
            }
            LoginMethod::TrustedHeader(_) => self.proxy_redirect(connector, &upstream_login)?,
            LoginMethod::Password(_) => return Ok(None),
        };
        let login_state = UpstreamLoginState {
            pending: pending.clone(),
            connector: connector.id.clone(),
            fingerprint: fingerprint(connector),
            callback_state: redirect.callback_state,
            login_scopes,
        };
        let state = upstream_login.state;
        let sealed = self.seal_login_state(login_state, binding, &state)?;
        let (url, kept) = divide(redirect.url, &state, &sealed);
        Ok(Some(UpstreamRedirect { url, form, state, kept }))
    }

    /// Handles `GET /callback` and `/callback/{by}`. `kept` is the part of the sealed login in the cookie; together
    /// with the part in `state` it can be opened only in the browser that began the login.
    pub async fn finish_upstream_login(
        &self,
        binding: &BrowserBinding,
        kept: &str,
        params: &CallbackParams<'_>,
        browser: &Browser,
    ) -> CallbackOutcome {
        let CallbackParams { query, by, .. } = *params;
        let state = query.iter().find(|(name, _)| name == "state").map_or("", |(_, value)| value);
        let sealed = format!("{}{kept}", state_rest(state));
        let state = state_id(state);
        let login_state = self.open_login_state(binding, &sealed, state);
        let login_state = login_state.filter(|s| by.is_none_or(|by| by == s.connector.as_str()));
        let Some(login_state) = login_state else {
            return CallbackOutcome {
                connector: None,
                pending: None,
                result: Ok(SignInOutcome::RestartRequired),
            };
        };
        let connector = Some(login_state.connector.clone());
        let pending = Some(login_state.pending.clone());
        CallbackOutcome {
            connector,
            pending,
            result: self.complete_upstream_login(login_state, state, params, browser).await,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each login method")]
    async fn complete_upstream_login(
        &self,
        login_state: UpstreamLoginState,
        state: &str,
        params: &CallbackParams<'_>,
        browser: &Browser,
    ) -> Result<SignInOutcome, IssuerError> {
        let UpstreamLoginState {
            pending,
            connector,
            fingerprint: begun_with,
            callback_state,
            login_scopes,
        } = login_state;
        if self.now() > pending.request.expires_at {
            return Ok(SignInOutcome::RestartRequired);
        }
        let Some(connector) = self.connector_for(&pending, &connector) else {
            return Ok(SignInOutcome::MethodUnavailable);
        };
        let connector = &*connector;
        if begun_with != fingerprint(connector) {
            return Ok(SignInOutcome::RestartRequired);
        }
        let (mut trace, mut assertion) = (Trace::default(), None);
        let login = match &connector.login_method {
            LoginMethod::Redirect(method) => {
                let upstream = self.upstream_login(state.to_owned(), login_scopes)?;
                let call =
                    method.handle_callback(&upstream, &callback_state, params.query, &mut trace);
                let result = match params.has("code") && !params.has("error") {
                    true => self.call_connector(connector, Op::Callback, call).await,
                    false => self.call_connector_unrecorded(connector, call).await,
                };
                result.map_err(|down| unavailable(connector, &down, &trace))?
            }
            // The response itself was verified at `POST /callback`.
            LoginMethod::PostedForm(_) => {
                let Some(verified) = self.open_posted_result(connector, state, params.query) else {
                    return Ok(SignInOutcome::RestartRequired);
                };
                trace = verified.trace;
                let expires_at = pending.request.expires_at;
                assertion = Some(posted_form::used_assertion(verified.assertion, expires_at));
                LoginOutcome::Accepted(Box::new(verified.person))
            }
            // The proxy protects only the callback path that names the connector.
            LoginMethod::TrustedHeader(method) if params.by.is_some() => {
                method.login(params.proxy_headers, &mut trace)
            }
            LoginMethod::TrustedHeader(_) | LoginMethod::Password(_) => {
                return Ok(SignInOutcome::MethodUnavailable);
            }
        };
        match login {
            LoginOutcome::Refused(refusal) => {
                let attempt = LoginTrace { browser, trace: &trace };
                log_refusal(connector, &refusal, None, &attempt);
                Ok(SignInOutcome::Refused(refusal))
            }
            LoginOutcome::Accepted(person) => {
                let proven = AuthenticatedUser {
                    person: *person,
                    login_scopes,
                    trace,
                    device_cookie: None,
                    assertion,
                };
                self.sign_in(pending, connector, proven, browser).await
            }
        }
    }

    /// A redirect to our own callback, which the authenticating proxy protects.
    fn proxy_redirect(
        &self,
        connector: &Connector,
        upstream_login: &UpstreamLogin,
    ) -> Result<LoginRedirect, IssuerError> {
        let path = format!("/callback/{}", connector.id);
        let mut url = Url::parse(&self.settings.issuer.endpoint(&path))
            .map_err(|e| IssuerError::Broken(e.to_string()))?;
        url.query_pairs_mut().append_pair("state", &upstream_login.state);
        Ok(LoginRedirect { url, callback_state: CallbackState::default() })
    }

    fn seal_login_state(
        &self,
        login_state: UpstreamLoginState,
        binding: &BrowserBinding,
        state: &str,
    ) -> Result<String, IssuerError> {
        let plain = login_state.encode()?;
        let bound_to = upstream_login_binding(binding, state);
        let keys = self.keyring.keys();
        let sealed = keys.sealing_settled.seal(UPSTREAM_LOGIN, bound_to.as_bytes(), &plain)?;
        if sealed.len() > MAX_LOGIN_STATE_BYTES {
            let what = "this request is too long to be taken along to an upstream";
            return Err(IssuerError::Unstorable(what.to_owned()));
        }
        Ok(sealed)
    }

    fn open_login_state(
        &self,
        binding: &BrowserBinding,
        sealed: &str,
        state: &str,
    ) -> Option<UpstreamLoginState> {
        let keys = self.keyring.keys();
        let bound_to = upstream_login_binding(binding, state);
        let opened = keys.sealing.open(UPSTREAM_LOGIN, bound_to.as_bytes(), sealed)?;
        UpstreamLoginState::decode(&opened)
    }

    fn upstream_login(
        &self,
        state: String,
        login_scopes: LoginScopes,
    ) -> Result<UpstreamLogin, IssuerError> {
        let callback = self.callback()?;
        Ok(UpstreamLogin { callback, state, login_scopes, again: false, now: self.now() })
    }
}

/// Binds the state of a login to one browser and one `state`, so that its cookie cannot be used for another login.
fn upstream_login_binding(binding: &BrowserBinding, state: &str) -> String {
    format!("{}\n{state}", binding.browser())
}

fn fingerprint(connector: &Connector) -> Option<String> {
    match &connector.fingerprint {
        Fingerprint::Upstream(fingerprint) => Some(fingerprint.clone()),
        Fingerprint::PerUser => None,
    }
}
