//! The identity provider of `saml.rs` as a web site, for the system tests.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Timestamp;

use super::saml::{IdentityProvider, Response, Signed};
use super::web::{Reply, Request, Web};

/// The web site of the identity provider: `/sso` accepts an AuthnRequest and responds with a page that posts the
/// response to the address named in it, by script or by a button.
pub struct Site {
    pub web: Web,
    pub certificate: String,
    /// The content of the next responses, except for what the request determines.
    pub template: Arc<Mutex<Response>>,
}

impl Site {
    pub async fn start() -> Self {
        let idp = IdentityProvider::new();
        let certificate = idp.certificate.clone();
        let template = Arc::new(Mutex::new(Response {
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
        let own = template.clone();
        let web = Web::start(move |_, request| sign_in(&idp, &own.lock().unwrap(), request)).await;
        Self { web, certificate, template }
    }
}

fn sign_in(idp: &IdentityProvider, template: &Response, request: &Request) -> Reply {
    let Some(encoded) = request.form("SAMLRequest") else {
        return Reply::Text(404, "text/plain", "no request".to_owned());
    };
    let xml = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    let attribute = |name: &str| {
        let (_, rest) = xml.split_once(&format!(" {name}=\"")).unwrap();
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
        ..template.clone()
    };
    // Unique, as SAML 2.0 Core section 1.3.4 requires.
    let id = format!("_assertion{}", response.in_response_to);
    let response = STANDARD.encode(idp.sign_with_id(&response, Signed::Both, &id));
    let relay_state = request.form("RelayState").unwrap();
    let page = format!(
        "<!DOCTYPE html><title>IdP</title><form method=\"post\" action=\"{consumer}\">\
         <input type=\"hidden\" name=\"SAMLResponse\" value=\"{response}\">\
         <input type=\"hidden\" name=\"RelayState\" value=\"{relay_state}\"><button>Go on</button></form>\
         <script>document.forms[0].submit()</script>"
    );
    Reply::Text(200, "text/html", page)
}
