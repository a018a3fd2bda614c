//! SAML 2.0: the Web Browser SSO profile with the HTTP-POST binding, with Dex's keys.
//!
//! | module | contents |
//! |---|---|
//! | [`canonical`] | exclusive canonicalization |
//! | [`input`] | which XML is accepted, and its limits |
//! | [`response`] | which element must be signed, and what it must say |
//!
//! The AuthnRequest (SAML 2.0 Core section 3.4.1) is built here and sent by the HTTP-POST binding (Bindings section 3.5).
//! [`signature`] explains why a forged response cannot be accepted. Not supported: encrypted assertions, logins
//! initiated by the identity provider, metadata, Single Logout.

mod canonical;
mod config;
mod input;
mod names;
mod response;
mod signature;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use config::Config;
use countersign_config::Section;
use countersign_core::connector::{
    ConnectorError, Fingerprint, LoginForm, LoginMethod, PostedFormLogin, PostedLoginOutcome,
    PostedResponse, Refresh, RefreshOutcome, RefreshRequest, Refusal, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, Timestamp, Trace};
use response::{Assertion, Expected, Verified};
use url::Url;

use crate::certificates::decode_base64;

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let config = config::read(section)?;
    let idp = config.sso_issuer.clone().unwrap_or_else(|| config.sso_url.to_string());
    let connector = Arc::new(Saml { id: id.clone(), config });
    Some(Connector {
        id,
        kind: "saml",
        name,
        login_method: LoginMethod::PostedForm(connector.clone()),
        refresh: Some(connector),
        fingerprint: Fingerprint::Upstream(format!("saml:{idp}")),
    })
}

struct Saml {
    id: ConnectorId,
    config: Config,
}

impl PostedFormLogin for Saml {
    fn login_form(&self, upstream_login: &UpstreamLogin) -> Result<LoginForm, ConnectorError> {
        let consumer = self.consumer(&upstream_login.callback)?;
        let request = AuthnRequest {
            id: &request_id(&upstream_login.state),
            now: upstream_login.now,
            destination: &self.config.sso_url,
            consumer: &consumer,
            issuer: self.config.entity_issuer.as_deref(),
            name_id_format: &self.config.name_id_format,
            force_authn: upstream_login.again,
        };
        let fields = vec![("SAMLRequest", STANDARD.encode(request.to_xml()))];
        Ok(LoginForm { url: self.config.sso_url.clone(), fields })
    }

    fn verify(
        &self,
        posted: &PostedResponse<'_>,
        trace: &mut Trace,
    ) -> Result<PostedLoginOutcome, ConnectorError> {
        let consumer = self.consumer(posted.callback)?;
        let verified = self.verified(posted, &consumer);
        match verified {
            Ok(Verified::Assertion(assertion)) => {
                trace.response("a SAML response with a valid signature");
                for (name, values) in &assertion.attributes {
                    trace.note(format!("the attribute {name:?} has {} values", values.len()));
                }
                self.outcome(&assertion, trace)
            }
            Ok(Verified::Failed(status)) => {
                trace.response(format!("a SAML response with the status {status}"));
                Ok(PostedLoginOutcome::Refused(Refusal::UpstreamDenied { code: status.to_owned() }))
            }
            Err(reason) => {
                trace.excluded("the SAML response", &reason);
                Ok(PostedLoginOutcome::Refused(Refusal::InvalidResponse { reason }))
            }
        }
    }

    fn diagnose(&self, callback: &Url, now: Timestamp, trace: &mut Trace) {
        let config = &self.config;
        trace.note(format!("people sign in at {}", config.sso_url));
        match self.consumer(callback) {
            Ok(consumer) => {
                trace.note(format!("the identity provider posts its response to {consumer}"));
                let audience = config.entity_issuer.as_ref().unwrap_or(&consumer);
                trace.note(format!("the response must name the audience {audience}"));
            }
            Err(error) => trace.note(error.cause().to_owned()),
        }
        for key in &config.keys {
            let period = format!("valid from {} to {}", key.not_before, key.not_after);
            match key.is_valid_at(now) {
                true => trace.included("a certificate", &period),
                false => trace.excluded("a certificate", &period),
            }
        }
        trace.note("attributes are in the response only: sign in to see them");
    }
}

/// As in recent Dex versions: a SAML identity provider cannot be queried, so a refresh repeats the assertion of the
/// login.
#[async_trait]
impl Refresh for Saml {
    async fn refresh(
        &self,
        request: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        trace.note(
            "a SAML identity provider cannot be refreshed: the assertion of the login counts",
        );
        Ok(RefreshOutcome::Current(Box::new(SignedIn {
            identity: request.identity.clone(),
            upstream: None,
            fingerprint: None,
        })))
    }

    fn needs_no_request(&self) -> bool {
        true
    }
}

impl Saml {
    /// The assertion consumer service URL: `redirectURI`, which must equal our own callback URL.
    fn consumer(&self, callback: &Url) -> Result<String, ConnectorError> {
        let own = format!("{callback}/{}", self.id);
        match &self.config.redirect_uri {
            None => Ok(callback.to_string()),
            Some(uri) if uri == callback || uri.as_str() == own => Ok(uri.to_string()),
            Some(uri) => Err(self.misconfigured(
                "This login method is not configured correctly.",
                format!("redirectURI is {uri}, expected {callback} or {own}"),
            )),
        }
    }

    fn verified(&self, posted: &PostedResponse<'_>, consumer: &str) -> Result<Verified, String> {
        // 256 kB in base64, with line ends.
        if posted.response.len() > input::MAX_BYTES / 2 * 3 {
            return Err("it has more than 256 kB".to_owned());
        }
        let bytes = decode_base64(posted.response).ok_or("it is not base64")?;
        let expected = Expected {
            recipient: consumer,
            audience: self.config.entity_issuer.as_deref().unwrap_or(consumer),
            issuer: self.config.sso_issuer.as_deref(),
            in_response_to: &request_id(posted.state),
            now: posted.now,
        };
        response::verify(&input::text_of(&bytes)?, &self.config.keys, &expected)
    }

    fn outcome(
        &self,
        assertion: &Assertion,
        trace: &mut Trace,
    ) -> Result<PostedLoginOutcome, ConnectorError> {
        let mut identity = Identity {
            user_id: assertion.name_id.clone(),
            username: self.required(assertion, &self.config.username_attribute)?,
            email: self.required(assertion, &self.config.email_attribute)?,
            email_verified: true,
            ..Identity::default()
        };
        let Some(groups) = self.groups(assertion, trace) else {
            let required = self.config.groups.allowed.clone();
            return Ok(PostedLoginOutcome::Refused(Refusal::NotInRequiredGroup { required }));
        };
        identity.groups = groups;
        if let Some(member) = identity.member_with_nul() {
            return Err(self.misconfigured(
                "The identity provider sent a value that cannot be used.",
                format!("the {member} contains a NUL character"),
            ));
        }
        let person = SignedIn { identity, upstream: None, fingerprint: None };
        Ok(PostedLoginOutcome::Accepted {
            person: Box::new(person),
            assertion_id: assertion.id.clone(),
        })
    }

    /// The first value of an attribute; an error if it is missing or empty.
    fn required(&self, assertion: &Assertion, name: &str) -> Result<String, ConnectorError> {
        let value = assertion.values(name).next().filter(|value| !value.is_empty());
        value.cloned().ok_or_else(|| {
            let missing = format!("the attribute {name:?} is missing");
            self.misconfigured(
                &format!("The identity provider did not say who you are: {missing}."),
                missing,
            )
        })
    }

    /// The groups; `None` if the user has none of the allowed ones. Unlike in Dex an absent attribute means no groups,
    /// because identity providers omit attributes without values.
    fn groups(&self, assertion: &Assertion, trace: &mut Trace) -> Option<Vec<String>> {
        let config = &self.config.groups;
        if config.attribute.is_empty() {
            return Some(Vec::new());
        }
        let mut groups: Vec<String> = match config.delimiter.as_str() {
            "" => assertion.values(&config.attribute).cloned().collect(),
            delimiter => {
                let first = assertion.values(&config.attribute).next();
                let split = |text: &String| text.split(delimiter).map(str::to_owned).collect();
                first.map(split).unwrap_or_default()
            }
        };
        if groups.is_empty() {
            trace.note(format!("the assertion has no attribute {:?}", config.attribute));
        }
        let is_allowed = |group: &String| config.allowed.contains(group);
        if !config.allowed.is_empty() && !groups.iter().any(is_allowed) {
            for group in &groups {
                trace.excluded(group, "is not among allowedGroups");
            }
            return None;
        }
        if config.only_allowed && !config.allowed.is_empty() {
            for group in groups.iter().filter(|group| !is_allowed(group)) {
                trace.excluded(group, "is not among allowedGroups");
            }
            groups.retain(is_allowed);
        }
        for group in &groups {
            trace.included(group, "named in the assertion");
        }
        Some(groups)
    }

    fn misconfigured(&self, missing: &str, cause: String) -> ConnectorError {
        ConnectorError::Misconfigured {
            upstream: self.id.to_string(),
            missing: missing.to_owned(),
            cause,
        }
    }
}

impl Assertion {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        self.attributes.iter().filter(move |(n, _)| n == name).flat_map(|(_, values)| values)
    }
}

/// The `ID` of a login's AuthnRequest, which must be an XML name (NCName); `state` may not be one.
fn request_id(state: &str) -> String {
    format!("_{state}")
}

struct AuthnRequest<'a> {
    pub id: &'a str,
    pub now: Timestamp,
    /// The URL that the request is posted to.
    pub destination: &'a Url,
    /// The assertion consumer service URL, where the response is to be posted.
    pub consumer: &'a str,
    /// Our entity id; omitted if not configured, as in Dex.
    pub issuer: Option<&'a str>,
    pub name_id_format: &'a str,
    /// `ForceAuthn`: the user must authenticate again.
    pub force_authn: bool,
}

impl AuthnRequest<'_> {
    pub fn to_xml(&self) -> String {
        let issuer = self
            .issuer
            .map(|issuer| format!("<saml:Issuer>{}</saml:Issuer>", escaped(issuer)))
            .unwrap_or_default();
        let force = if self.force_authn { " ForceAuthn=\"true\"" } else { "" };
        format!(
            "<samlp:AuthnRequest xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"{}\" Version=\"2.0\" IssueInstant=\"{}\" \
             Destination=\"{}\"{force} AssertionConsumerServiceURL=\"{}\" \
             ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\">{issuer}\
             <samlp:NameIDPolicy AllowCreate=\"true\" Format=\"{}\"></samlp:NameIDPolicy></samlp:AuthnRequest>",
            names::PROTOCOL,
            names::ASSERTION,
            self.id,
            self.now,
            escaped(self.destination.as_str()),
            escaped(self.consumer),
            escaped(self.name_id_format),
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
