//! The AuthnRequest (SAML 2.0 Core section 3.4.1), sent by the HTTP-POST binding (Bindings section 3.5).

use countersign_core::Timestamp;
use url::Url;

pub(super) struct AuthnRequest<'a> {
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
            super::names::PROTOCOL,
            super::names::ASSERTION,
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
