//! An identity provider's response that the browser posts to `/callback` (SAML 2.0 HTTP-POST binding).
//!
//! The form is posted from another site, so the request carries none of our `SameSite=Lax` cookies. It takes two steps:
//! 1. `POST /callback`: the response is verified against the `state` in `RelayState`. The result is sealed and passed
//!    in the query of a redirect to
//! 2. `GET /callback`, which has the cookies: the result is accepted only in the browser that holds the login with that
//!    `state`, and only once, because the callback removes that login.
//!
//! The first step stores nothing, so any replica can serve the second. The second records the assertion with the
//! session, in one transaction, so that an assertion completes one login across all replicas.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::connector::{
    LoginMethod, PostedLoginOutcome, PostedResponse, Refusal, SignedIn,
};
use countersign_core::{Connector, ConnectorId, Identity, Timestamp, Trace};
use countersign_jose::hash;
use countersign_store::UsedAssertion;
use serde::{Deserialize, Serialize};
use url::Url;

use super::sign_in::{Browser, LoginTrace, log_refusal, unavailable};
use crate::{Issuer, IssuerError};

const PURPOSE: &str = "posted login response";
/// The parameter of `GET /callback` that holds the sealed result.
const RESULT: &str = "login_result";
/// Lifetime of the sealed result: it has to last for one redirect.
const LIFETIME: Duration = Duration::from_mins(2);
/// How long a used assertion is stored beyond the expiry of its login.
const CLOCK_MARGIN: Duration = Duration::from_mins(10);
/// Longest sealed result, since it is part of a URL.
const MAX_RESULT_BYTES: usize = 20 * 1024;
const TRACE_STEPS: usize = 30;
const TRACE_STEP_CHARACTERS: usize = 150;

/// The outcome of the first step, `POST /callback`.
pub enum PostedFormOutcome {
    /// The parameters of the redirect to `GET /callback`.
    Verified {
        query: Vec<(&'static str, String)>,
    },
    Refused(Refusal),
    /// `RelayState` or `state` does not identify a login of this issuer, so the user has to start again.
    RestartRequired,
}

#[derive(Serialize, Deserialize)]
struct PostedResult {
    connector: ConnectorId,
    identity: Identity,
    /// See [`assertion_hash`].
    assertion: String,
    expires_at: Timestamp,
    trace: Trace,
}

/// The result of the first step, as opened by the second.
pub(super) struct VerifiedLogin {
    pub person: SignedIn,
    pub trace: Trace,
    /// See [`assertion_hash`].
    pub assertion: String,
}

impl Issuer {
    /// Verifies a posted form. `by` is the connector in the path; at `/callback` without one, `RelayState` identifies
    /// it.
    pub fn verify_posted_form(
        &self,
        form: &[(String, String)],
        by: Option<&str>,
        browser: &Browser,
    ) -> (Option<Arc<Connector>>, Result<PostedFormOutcome, IssuerError>) {
        let Some((connector, state)) = self.connector_of_form(form, by) else {
            return (None, Ok(PostedFormOutcome::RestartRequired));
        };
        let outcome = self.verify_response(&connector, state, form, browser);
        (Some(connector), outcome)
    }

    fn verify_response(
        &self,
        connector: &Connector,
        state: &str,
        form: &[(String, String)],
        browser: &Browser,
    ) -> Result<PostedFormOutcome, IssuerError> {
        let (LoginMethod::PostedForm(method), Some(response)) =
            (&connector.login_method, only_field(form, "SAMLResponse"))
        else {
            return Ok(PostedFormOutcome::RestartRequired);
        };
        let callback = self.callback()?;
        let posted = PostedResponse { response, state, callback: &callback, now: self.now() };
        let mut trace = Trace::default();
        let outcome = method.verify(&posted, &mut trace);
        match outcome.map_err(|down| unavailable(connector, &down, &trace))? {
            PostedLoginOutcome::Refused(refusal) => {
                let attempt = LoginTrace { browser, trace: &trace };
                log_refusal(connector, &refusal, None, &attempt);
                Ok(PostedFormOutcome::Refused(refusal))
            }
            PostedLoginOutcome::Accepted { person, assertion_id } => {
                let result = PostedResult {
                    connector: connector.id.clone(),
                    identity: person.identity,
                    assertion: assertion_hash(&connector.id, &assertion_id),
                    expires_at: self.now() + LIFETIME,
                    trace: trace.truncated(TRACE_STEPS, TRACE_STEP_CHARACTERS),
                };
                let sealed = self.seal_result(connector, state, result)?;
                let query = vec![("state", state.to_owned()), (RESULT, sealed)];
                Ok(PostedFormOutcome::Verified { query })
            }
        }
    }

    fn seal_result(
        &self,
        connector: &Connector,
        state: &str,
        mut result: PostedResult,
    ) -> Result<String, IssuerError> {
        let mut sealed = self.seal_posted(state, &result)?;
        if sealed.len() > MAX_RESULT_BYTES {
            result.trace = Trace::default();
            result.trace.note("the trace was too long to be kept");
            sealed = self.seal_posted(state, &result)?;
        }
        if sealed.len() > MAX_RESULT_BYTES {
            return Err(IssuerError::Misconfigured {
                what: connector.name.clone(),
                missing: "The identity provider names too many groups.".to_owned(),
                cause: format!(
                    "{} groups do not fit into a redirect of {MAX_RESULT_BYTES} bytes: use allowedGroups with filterGroups",
                    result.identity.groups.len()
                ),
            });
        }
        Ok(sealed)
    }

    fn seal_posted(&self, state: &str, result: &PostedResult) -> Result<String, IssuerError> {
        let plain = serde_json::to_vec(result).map_err(|e| IssuerError::Broken(e.to_string()))?;
        Ok(self.keyring.keys().sealing_settled.seal(PURPOSE, state.as_bytes(), &plain)?)
    }

    /// Opens the result of the first step, if it is for this connector and this `state`.
    pub(super) fn open_posted_result(
        &self,
        connector: &Connector,
        state: &str,
        query: &[(String, String)],
    ) -> Option<VerifiedLogin> {
        let sealed = only_field(query, RESULT)?;
        let keys = self.keyring.keys();
        let plain = keys.sealing.open(PURPOSE, state.as_bytes(), sealed)?;
        let result: PostedResult = serde_json::from_slice(&plain).ok()?;
        let is_valid = result.connector == connector.id && self.now() <= result.expires_at;
        let person = SignedIn { identity: result.identity, upstream: None, fingerprint: None };
        let PostedResult { trace, assertion, .. } = result;
        is_valid.then_some(VerifiedLogin { person, trace, assertion })
    }

    /// The connector and the `state` that `RelayState` identifies.
    fn connector_of_form<'a>(
        &self,
        form: &'a [(String, String)],
        by: Option<&str>,
    ) -> Option<(Arc<Connector>, &'a str)> {
        let (state, tag) = only_field(form, "RelayState")?.split_once('.')?;
        let connector = self.connectors.iter().find(|connector| {
            let is_posted = matches!(connector.login_method, LoginMethod::PostedForm(_));
            let is_here = by.is_none_or(|by| by == connector.id.as_str());
            is_posted && is_here && connector_tag(&connector.id) == tag
        })?;
        Some((connector, state))
    }

    pub(super) fn callback(&self) -> Result<Url, IssuerError> {
        Url::parse(&self.settings.issuer.endpoint("/callback"))
            .map_err(|e| IssuerError::Broken(e.to_string()))
    }
}

/// `RelayState`, at most 80 bytes (SAML 2.0 Bindings section 3.5.3): the `state` and a tag of the connector, since all
/// connectors share one assertion consumer service URL.
pub(super) fn relay_state(state: &str, connector: &ConnectorId) -> String {
    format!("{state}.{}", connector_tag(connector))
}

fn connector_tag(connector: &ConnectorId) -> String {
    hash::sha256(connector.as_str()).chars().take(12).collect()
}

/// The key under which a used assertion is stored. It includes the connector, because identity providers choose
/// assertion ids independently.
fn assertion_hash(connector: &ConnectorId, assertion_id: &str) -> String {
    hash::sha256(&format!("{connector}\n{assertion_id}"))
}

/// `InResponseTo` binds an assertion to one login, so it could be presented again only until that login expires. The
/// margin covers clock differences between replicas.
pub(super) fn used_assertion(hash: String, login_expires_at: Timestamp) -> UsedAssertion {
    UsedAssertion { hash, expires_at: login_expires_at + CLOCK_MARGIN }
}

/// The value of a field that occurs exactly once.
fn only_field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    values.next().filter(|_| values.next().is_none())
}
