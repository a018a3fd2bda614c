//! A SAML identity provider of a test: it writes responses in canonical form, so that what it signs does not depend on
//! any canonicalization, and each part can be replaced to forge one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_jose::hash;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, SigningKey};

pub const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
pub const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
pub const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

pub struct IdentityProvider {
    key: KeyPair,
    /// PEM.
    pub certificate: String,
}

/// The content of a response. The instants are RFC 3339.
#[derive(Clone)]
pub struct Response {
    pub in_response_to: String,
    pub recipient: String,
    pub destination: String,
    pub audience: String,
    pub issuer: String,
    pub name_id: String,
    pub attributes: Vec<(&'static str, Vec<&'static str>)>,
    pub issued: String,
    pub not_before: String,
    pub not_on_or_after: String,
    /// Last part of the name of the status.
    pub status: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signed {
    Nothing,
    Response,
    Assertion,
    Both,
}

impl IdentityProvider {
    pub fn new() -> Self {
        Self::valid_between((2020, 1), (2120, 1))
    }

    /// Years and months of the certificate's validity.
    pub fn valid_between(from: (i32, u8), to: (i32, u8)) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["idp.example.com".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, 1);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, 1);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { key, certificate }
    }

    pub fn sign(&self, response: &Response, signed: Signed) -> String {
        self.sign_with_id(response, signed, "_assertion")
    }

    /// `id`: of the assertion.
    pub fn sign_with_id(&self, response: &Response, signed: Signed, id: &str) -> String {
        let mut assertion = response.assertion(id);
        if matches!(signed, Signed::Assertion | Signed::Both) {
            assertion = self.with_signature(&assertion, id);
        }
        let whole = response.around(&assertion);
        match signed {
            Signed::Response | Signed::Both => self.with_signature(&whole, "_response"),
            Signed::Nothing | Signed::Assertion => whole,
        }
    }

    /// Puts an enveloped signature after the first `Issuer` of `element`, which is in canonical form.
    pub fn with_signature(&self, element: &str, id: &str) -> String {
        insert_signature(element, &self.signature(element, id, |signed_info| signed_info))
    }

    /// `edit` changes `SignedInfo` before it is signed.
    pub fn signature(
        &self,
        element: &str,
        id: &str,
        edit: impl FnOnce(String) -> String,
    ) -> String {
        let signed_info = edit(signed_info(element, id));
        let canonical = signed_info.replacen(
            "<ds:SignedInfo>",
            &format!("<ds:SignedInfo xmlns:ds=\"{DS}\">"),
            1,
        );
        let value = STANDARD.encode(self.key.sign(canonical.as_bytes()).unwrap());
        signature_of(&signed_info, &value)
    }
}

/// A `Signature` element of these parts.
pub fn signature_of(signed_info: &str, value: &str) -> String {
    format!(
        "<ds:Signature xmlns:ds=\"{DS}\">{signed_info}<ds:SignatureValue>{value}</ds:SignatureValue></ds:Signature>"
    )
}

pub fn signed_info(element: &str, id: &str) -> String {
    let digest = sha256(element);
    format!(
        "<ds:SignedInfo><ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"></ds:SignatureMethod>\
         <ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform Algorithm=\"{ENVELOPED}\"></ds:Transform>\
         <ds:Transform Algorithm=\"{EXCLUSIVE}\"></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod><ds:DigestValue>{digest}</ds:DigestValue>\
         </ds:Reference></ds:SignedInfo>"
    )
}

pub fn insert_signature(element: &str, signature: &str) -> String {
    element.replacen("</saml:Issuer>", &format!("</saml:Issuer>{signature}"), 1)
}

/// In base64 as XML signatures have it.
pub fn sha256(text: &str) -> String {
    format!("{}=", hash::sha256(text).replace('-', "+").replace('_', "/"))
}

impl Response {
    pub fn assertion(&self, id: &str) -> String {
        let Self { issuer, issued, name_id, in_response_to, recipient, audience, .. } = self;
        let Self { not_before, not_on_or_after, .. } = self;
        let attributes: String = self
            .attributes
            .iter()
            .map(|(name, values)| {
                let values: String = values
                    .iter()
                    .map(|value| format!("<saml:AttributeValue>{value}</saml:AttributeValue>"))
                    .collect();
                format!("<saml:Attribute Name=\"{name}\">{values}</saml:Attribute>")
            })
            .collect();
        format!(
            "<saml:Assertion xmlns:saml=\"{SAML}\" ID=\"{id}\" IssueInstant=\"{issued}\" Version=\"2.0\">\
             <saml:Issuer>{issuer}</saml:Issuer><saml:Subject><saml:NameID>{name_id}</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData InResponseTo=\"{in_response_to}\" NotOnOrAfter=\"{not_on_or_after}\" \
             Recipient=\"{recipient}\"></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{not_before}\" NotOnOrAfter=\"{not_on_or_after}\"><saml:AudienceRestriction>\
             <saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"{issued}\"></saml:AuthnStatement>\
             <saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>"
        )
    }

    /// The response around an assertion, or around anything else.
    pub fn around(&self, content: &str) -> String {
        let Self { issuer, issued, in_response_to, destination, status, .. } = self;
        format!(
            "<samlp:Response xmlns:samlp=\"{SAMLP}\" Destination=\"{destination}\" ID=\"_response\" \
             InResponseTo=\"{in_response_to}\" IssueInstant=\"{issued}\" Version=\"2.0\">\
             <saml:Issuer xmlns:saml=\"{SAML}\">{issuer}</saml:Issuer><samlp:Status>\
             <samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:{status}\"></samlp:StatusCode>\
             </samlp:Status>{content}</samlp:Response>"
        )
    }
}
