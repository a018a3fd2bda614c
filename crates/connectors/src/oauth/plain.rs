//! An upstream with OAuth and an API of its own, without an ID token: the trip, and tokens to ask that API with.

use countersign_core::connector::{CallbackState, LoginRedirect, UpstreamLogin};
use countersign_core::{Secret, Trace};
use url::Url;

use super::{
    Arrived, Client, Code, Granted, Http, Leaving, Packed, Registration, Spent, Tokens,
    UpstreamError, arrived, ours,
};

#[derive(Clone)]
pub(crate) struct Plain {
    pub http: Http,
    pub registration: Registration,
    pub client: Client,
    pub authorize: Url,
    pub token: Url,
    pub spent: Spent,
}

pub(crate) enum Entry {
    Tokens(Tokens),
    /// Said no, in a word of the protocol.
    Denied(&'static str),
}

impl Plain {
    /// Always with PKCE: without a nonce it is what ties the code to this login.
    pub fn login_url(
        &self,
        upstream_login: &UpstreamLogin,
        scopes: &[String],
        more: Vec<(&'static str, String)>,
    ) -> Result<LoginRedirect, UpstreamError> {
        ours(&self.registration, upstream_login)?;
        let leaving = Leaving {
            authorize: &self.authorize,
            client_id: &self.registration.client_id,
            scopes,
            with_nonce: false,
            with_pkce: true,
            more,
        };
        leaving.redirect(upstream_login)
    }

    pub async fn handle_callback(
        &self,
        upstream_login: &UpstreamLogin,
        callback_state: &CallbackState,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Entry, UpstreamError> {
        ours(&self.registration, upstream_login)?;
        let code = match arrived(query, trace)? {
            Arrived::Denied(code) => return Ok(Entry::Denied(code)),
            Arrived::Code(code) => code,
        };
        let verifier = Packed(callback_state).verifier();
        if verifier.is_none() {
            return Err(UpstreamError::Temporary("the login began without PKCE".to_owned()));
        }
        let code = Code { code: &code, redirect_uri: upstream_login.callback.as_str(), verifier };
        Ok(self.client.exchange(&self.http, &self.token, &code, trace).await?.into())
    }

    /// Asks what can be asked without a person.
    pub async fn diagnose(&self, trace: &mut Trace) -> Result<(), UpstreamError> {
        trace.note(format!("people sign in at {}", self.authorize));
        self.client.probe(&self.http, &self.token, &self.registration, trace).await
    }

    pub async fn refresh(&self, token: &Secret, trace: &mut Trace) -> Result<Entry, UpstreamError> {
        let granted =
            self.client.refresh(&self.http, &self.token, token, &self.spent, trace).await?;
        Ok(granted.into())
    }
}

impl From<Granted> for Entry {
    fn from(granted: Granted) -> Self {
        match granted {
            Granted::Tokens(tokens) => Self::Tokens(tokens),
            Granted::Refused(code) => Self::Denied(code),
        }
    }
}
