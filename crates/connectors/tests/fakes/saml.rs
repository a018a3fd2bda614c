//! A SAML identity provider of a test: it writes responses in canonical form, so that what it signs does not depend on
//! any canonicalization, and each part can be replaced to forge one.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Timestamp;
use countersign_jose::hash;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, SigningKey};

use super::web::{Asked, Reply, Web};

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

/// What a response says. The instants are RFC 3339.
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
        let mut assertion = response.assertion("_assertion");
        if matches!(signed, Signed::Assertion | Signed::Both) {
            assertion = self.with_signature(&assertion, "_assertion");
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
        let canonical = signed_info
            .replacen("<ds:SignedInfo>", &format!("<ds:SignedInfo xmlns:ds=\"{DS}\">"), 1);
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

/// The identity provider as a web site of its own: at `/sso` it takes an AuthnRequest and answers with a page that
/// posts the response to the address named in it, by itself or by its button.
pub struct Site {
    pub web: Web,
    pub certificate: String,
    /// What the next responses say, beyond what the request decides.
    pub says: Arc<Mutex<Response>>,
}

impl Site {
    pub async fn start() -> Self {
        let idp = IdentityProvider::new();
        let certificate = idp.certificate.clone();
        let says = Arc::new(Mutex::new(Response {
            in_response_to: String::new(),
            recipient: String::new(),
            destination: String::new(),
            audience: String::new(),
            issuer: "https://idp.example.com/".to_owned(),
            name_id: "alice-1".to_owned(),
            attributes: vec![
                ("name", vec!["Alice Doe"]),
                ("email", vec!["alice@example.com"]),
                ("groups", vec!["admins", "dev"]),
            ],
            issued: String::new(),
            not_before: String::new(),
            not_on_or_after: String::new(),
            status: "Success",
        }));
        let own = says.clone();
        let web = Web::start(move |_, asked| sign_in(&idp, &own.lock().unwrap(), asked)).await;
        Self { web, certificate, says }
    }
}

fn sign_in(idp: &IdentityProvider, says: &Response, asked: &Asked) -> Reply {
    let Some(request) = asked.form("SAMLRequest") else {
        return Reply::Text(404, "text/plain", "no request".to_owned());
    };
    let request = String::from_utf8(STANDARD.decode(request).unwrap()).unwrap();
    let attribute = |name: &str| {
        let (_, rest) = request.split_once(&format!(" {name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let consumer = attribute("AssertionConsumerServiceURL");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = |secs: u64| Timestamp::from_secs(secs.cast_signed()).to_string();
    let response = Response {
        in_response_to: attribute("ID"),
        recipient: consumer.clone(),
        destination: consumer.clone(),
        audience: consumer.clone(),
        issued: at(now),
        not_before: at(now - 60),
        not_on_or_after: at(now + 300),
        ..says.clone()
    };
    let response = STANDARD.encode(idp.sign(&response, Signed::Both));
    let relay_state = asked.form("RelayState").unwrap();
    let page = format!(
        "<!DOCTYPE html><title>IdP</title><form method=\"post\" action=\"{consumer}\">\
         <input type=\"hidden\" name=\"SAMLResponse\" value=\"{response}\">\
         <input type=\"hidden\" name=\"RelayState\" value=\"{relay_state}\"><button>Go on</button></form>\
         <script>document.forms[0].submit()</script>"
    );
    Reply::Text(200, "text/html", page)
}
