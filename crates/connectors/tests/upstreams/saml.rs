//! The `saml` connector: its request, valid responses (also of xmlsec1), configuration, refresh.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::Node;
use countersign_core::connector::{
    ConnectorError, LoginMethod, LoginOutcome, PostedLoginOutcome, PostedResponse, RefreshOutcome,
    RefreshRequest, Refusal, SignedIn, UpstreamLogin,
};
use countersign_core::{Connector, Identity, LoginScopes, Secret, Timestamp, Trace};
use url::Url;

use crate::fake_saml::{IdentityProvider, Response, Signed};
use crate::steps::{CALLBACK, Keys, accepted, configured, replaced, sound, trace_text};
use crate::tree::{list, plain, text};

const STATE: &str = "the-state";
const SSO_URL: &str = "https://idp.example.com/sso?tenant=1&x=2";
pub const ISSUER: &str = "https://idp.example.com/";
pub const NOW: &str = "2026-12-01T12:00:30Z";

pub fn keys(certificate: &str) -> Keys {
    vec![
        ("ssoURL", text(SSO_URL)),
        ("caData", text(STANDARD.encode(certificate))),
        ("redirectURI", text(CALLBACK)),
        ("usernameAttr", text("name")),
        ("emailAttr", text("email")),
        ("groupsAttr", text("groups")),
    ]
}

pub fn honest() -> Response {
    Response {
        in_response_to: format!("_{STATE}"),
        recipient: CALLBACK.to_owned(),
        destination: CALLBACK.to_owned(),
        audience: CALLBACK.to_owned(),
        issuer: ISSUER.to_owned(),
        name_id: "jane-1".to_owned(),
        attributes: vec![
            ("name", vec!["Jane Doe"]),
            ("email", vec!["jane@example.com"]),
            ("groups", vec!["admins", "dev"]),
        ],
        issued: "2026-12-01T12:00:00Z".to_owned(),
        not_before: "2026-12-01T11:59:00Z".to_owned(),
        not_on_or_after: "2026-12-01T12:05:00Z".to_owned(),
        status: "Success",
    }
}

pub fn posted(connector: &Connector, xml: &str) -> (Result<LoginOutcome, ConnectorError>, Trace) {
    posted_raw(connector, &STANDARD.encode(xml), NOW)
}

pub fn posted_raw(
    connector: &Connector,
    response: &str,
    now: &str,
) -> (Result<LoginOutcome, ConnectorError>, Trace) {
    let mut trace = Trace::default();
    let outcome = outcome_of(connector, response, now, &mut trace).map(|outcome| match outcome {
        PostedLoginOutcome::Accepted { person, assertion_id } => {
            assert!(!assertion_id.is_empty());
            LoginOutcome::Accepted(person)
        }
        PostedLoginOutcome::Refused(refusal) => LoginOutcome::Refused(refusal),
    });
    (outcome, trace)
}

/// The connector's own outcome of a response in base64.
pub fn outcome_of(
    connector: &Connector,
    response: &str,
    now: &str,
    trace: &mut Trace,
) -> Result<PostedLoginOutcome, ConnectorError> {
    let LoginMethod::PostedForm(method) = &connector.login_method else { panic!("not SAML") };
    let callback = Url::parse(CALLBACK).unwrap();
    let posted =
        PostedResponse { response, state: STATE, callback: &callback, now: now.parse().unwrap() };
    method.verify(&posted, trace)
}

/// A file of `tests/data/saml`: what xmlsec1 signed.
pub fn data(name: &str) -> String {
    let path = format!("{}/tests/data/saml/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// The reason why a response is refused.
pub fn invalid(connector: &Connector, xml: &str) -> String {
    match posted(connector, xml).0 {
        Ok(LoginOutcome::Refused(Refusal::InvalidResponse { reason })) => reason,
        other => panic!("{other:?}\n{xml}"),
    }
}

fn connector(idp: &IdentityProvider, more: Keys) -> Connector {
    sound("saml", replaced(keys(&idp.certificate), more))
}

fn jane() -> Identity {
    Identity {
        user_id: "jane-1".to_owned(),
        username: "Jane Doe".to_owned(),
        preferred_username: String::new(),
        email: "jane@example.com".to_owned(),
        email_verified: true,
        groups: vec!["admins".to_owned(), "dev".to_owned()],
    }
}

fn upstream_login(again: bool) -> UpstreamLogin {
    UpstreamLogin {
        callback: Url::parse(CALLBACK).unwrap(),
        state: STATE.to_owned(),
        login_scopes: LoginScopes::default(),
        again,
        now: NOW.parse().unwrap(),
    }
}

fn request_xml(connector: &Connector, again: bool) -> Result<String, ConnectorError> {
    let LoginMethod::PostedForm(method) = &connector.login_method else { panic!("not SAML") };
    let form = method.login_form(&upstream_login(again))?;
    assert_eq!(form.url.as_str(), SSO_URL);
    let [("SAMLRequest", request)] = form.fields.as_slice() else { panic!("{form:?}") };
    Ok(String::from_utf8(STANDARD.decode(request).unwrap()).unwrap())
}

#[test]
fn the_request_names_what_the_response_must_say() {
    let idp = IdentityProvider::new();
    let more = vec![("entityIssuer", text("https://id.example.com/?a&b"))];
    let xml = request_xml(&connector(&idp, more), false).unwrap();
    for part in [
        " ID=\"_the-state\"",
        " Version=\"2.0\"",
        " IssueInstant=\"2026-12-01T12:00:30Z\"",
        " Destination=\"https://idp.example.com/sso?tenant=1&amp;x=2\"",
        " AssertionConsumerServiceURL=\"https://id.example.com/dex/callback\"",
        " ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\"",
        "<saml:Issuer>https://id.example.com/?a&amp;b</saml:Issuer>",
        "Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\"",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    assert!(!xml.contains("ForceAuthn"));
    let plain = connector(&idp, vec![("nameIDPolicyFormat", text("emailAddress"))]);
    let xml = request_xml(&plain, true).unwrap();
    assert!(xml.contains(" ForceAuthn=\"true\"") && !xml.contains("Issuer>"), "{xml}");
    assert!(xml.contains("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"), "{xml}");
}

#[test]
fn a_signed_response_or_assertion_or_both_sign_in() {
    let idp = IdentityProvider::new();
    let connector = connector(&idp, vec![("ssoIssuer", text(ISSUER))]);
    for signed in [Signed::Response, Signed::Assertion, Signed::Both] {
        let (outcome, trace) = posted(&connector, &idp.sign(&honest(), signed));
        assert_eq!(accepted(outcome).identity, jane(), "{signed:?}");
        assert!(
            trace_text(&trace).contains("Included admins: named in the assertion"),
            "{signed:?}"
        );
    }
    assert!(invalid(&connector, &idp.sign(&honest(), Signed::Nothing)).contains("signed"));
}

/// XML Schema Part 2 sections 3.2.17 and 4.3.6: as in documents that are indented. A NameID is a string.
#[test]
fn white_space_around_uris_does_not_count_and_belongs_to_a_name_id() {
    let idp = IdentityProvider::new();
    let connector = connector(&idp, vec![("ssoIssuer", text(ISSUER))]);
    let indented = Response {
        audience: format!("\n        {CALLBACK}\n      "),
        recipient: format!(" {CALLBACK}  "),
        destination: format!("  {CALLBACK} "),
        in_response_to: format!(" _{STATE} "),
        ..honest()
    };
    for signed in [Signed::Response, Signed::Assertion, Signed::Both] {
        let (outcome, _) = posted(&connector, &idp.sign(&indented, signed));
        assert_eq!(accepted(outcome).identity, jane(), "{signed:?}");
    }
    for (part, response) in [
        ("audience", Response { audience: format!("{CALLBACK} x"), ..honest() }),
        ("Recipient", Response { recipient: format!("{CALLBACK} x"), ..honest() }),
        ("Destination", Response { destination: format!("x {CALLBACK}"), ..honest() }),
    ] {
        let reason = invalid(&connector, &idp.sign(&response, Signed::Both));
        assert!(reason.contains(part), "{reason}");
    }
    let spaced = Response { name_id: " jane-1 ".to_owned(), ..honest() };
    let (outcome, _) = posted(&connector, &idp.sign(&spaced, Signed::Assertion));
    assert_eq!(accepted(outcome).identity.user_id, " jane-1 ");
}

/// SAML 2.0 Core section 2.3.3. By its ID an assertion is recorded as used.
#[test]
fn an_assertion_without_an_id_is_refused() {
    let idp = IdentityProvider::new();
    let assertion = honest().assertion("_assertion").replace(" ID=\"_assertion\"", "");
    let response = idp.with_signature(&honest().around(&assertion), "_response");
    let connector = connector(&idp, vec![("ssoIssuer", text(ISSUER))]);
    assert_eq!(invalid(&connector, &response), "the assertion has no ID");
}

/// The signatures of another implementation, over documents that are not in canonical form.
#[test]
fn what_xmlsec1_signed_is_accepted_unless_it_signed_too_little() {
    let connector = |pem: &str| sound("saml", keys(&data(pem)));
    for (file, pem) in [
        ("response", "rsa.pem"),
        ("assertion", "rsa.pem"),
        ("both", "rsa.pem"),
        ("sha384", "rsa.pem"),
        ("sha512", "rsa.pem"),
        ("prefix-list", "rsa.pem"),
        ("ecdsa", "ec.pem"),
    ] {
        let (outcome, _) = posted(&connector(pem), &data(&format!("{file}.xml")));
        let identity = accepted(outcome).identity;
        assert_eq!(identity.user_id, "jane@example.com", "{file}");
        assert_eq!(identity.username, "J\u{e4}ne & D\u{f6}e", "{file}");
        assert_eq!(identity.groups, ["admins", "d<e>v"], "{file}");
    }
    // Threat 107: the whole text is read, also after a comment.
    let (outcome, _) = posted(&connector("rsa.pem"), &data("comment.xml"));
    assert_eq!(accepted(outcome).identity.user_id, "jane@example.com.evil.example");
    for (file, reason) in [
        ("sha1", "signature method"),
        ("sha1-digest", "digest method"),
        ("inclusive", "exclusive"),
        ("xpath", "transforms"),
        ("empty-uri", "#ID"),
    ] {
        let refusal = invalid(&connector("rsa.pem"), &data(&format!("{file}.xml")));
        assert!(refusal.contains(reason), "{file}: {refusal}");
    }
    let other = invalid(&connector("ec.pem"), &data("response.xml"));
    assert!(other.contains("none of the configured certificates"), "{other}");
}

#[test]
fn groups_are_split_required_and_filtered_as_in_dex() {
    let idp = IdentityProvider::new();
    let sign = |groups: Vec<&'static str>| {
        let mut response = honest();
        response.attributes.retain(|(name, _)| *name != "groups");
        if !groups.is_empty() {
            response.attributes.push(("groups", groups));
        }
        idp.sign(&response, Signed::Assertion)
    };
    let groups = |more: Keys, xml: &str| match posted(&connector(&idp, more), xml).0 {
        Ok(LoginOutcome::Accepted(person)) => person.identity.groups.join("|"),
        Ok(LoginOutcome::Refused(Refusal::NotInRequiredGroup { required })) => {
            format!("needs {}", required.join("|"))
        }
        other => panic!("{other:?}"),
    };
    let allowed =
        |names: &[&str]| ("allowedGroups", list(names.iter().map(|n| text(*n)).collect()));
    let several = sign(vec!["a", "b, c"]);
    assert_eq!(groups(vec![], &several), "a|b, c");
    assert_eq!(groups(vec![("groupsDelim", text(", "))], &sign(vec!["a, b", "c"])), "a|b");
    assert_eq!(groups(vec![("groupsAttr", text(""))], &several), "");
    assert_eq!(groups(vec![], &sign(vec![])), "");
    assert_eq!(groups(vec![allowed(&["a", "x"])], &several), "a|b, c");
    let filtered = vec![allowed(&["a", "x"]), ("filterGroups", plain("true"))];
    assert_eq!(groups(filtered, &several), "a");
    assert_eq!(groups(vec![allowed(&["x"])], &several), "needs x");
    assert_eq!(groups(vec![allowed(&["x"])], &sign(vec![])), "needs x");
}

#[test]
fn a_missing_attribute_names_itself_and_a_failed_status_is_a_refusal() {
    let idp = IdentityProvider::new();
    let connector = connector(&idp, vec![]);
    let mut response = honest();
    response.attributes.retain(|(name, _)| *name != "email");
    let (outcome, trace) = posted(&connector, &idp.sign(&response, Signed::Both));
    let Err(ConnectorError::Misconfigured { missing, cause, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(missing.contains("\"email\" is missing."), "{missing}");
    assert_eq!(cause, "the attribute \"email\" is missing");
    assert!(trace_text(&trace).contains("the attribute \"groups\" has 2 values"));
    for (status, code) in [("Responder", "Responder"), ("Made&lt;Up", "(unknown status)")] {
        let response = Response { status, ..honest() }.around("");
        let (outcome, _) = posted(&connector, &response);
        let expected = Refusal::UpstreamDenied { code: code.to_owned() };
        assert!(matches!(outcome, Ok(LoginOutcome::Refused(r)) if r == expected), "{status}");
    }
}

#[tokio::test]
async fn a_refresh_repeats_the_assertion_of_the_login() {
    let idp = IdentityProvider::new();
    let connector = connector(&idp, vec![]);
    let SignedIn { identity, upstream, .. } =
        accepted(posted(&connector, &idp.sign(&honest(), Signed::Both)).0);
    let refresh = connector.refresh.clone().unwrap();
    let request = RefreshRequest {
        identity: &identity,
        upstream: upstream.as_ref().map(|s: &Secret| s),
        login_scopes: LoginScopes::default(),
        now: Timestamp::from_secs(4_000_000_000),
    };
    let outcome = refresh.refresh(request, &mut Trace::default()).await.unwrap();
    let RefreshOutcome::Current(person) = outcome else { panic!("{outcome:?}") };
    assert_eq!(person.identity, jane());
    assert!(refresh.needs_no_request() && !refresh.needs_offline_login());
}

#[test]
fn every_mistake_in_the_configuration_is_named() {
    let idp = IdentityProvider::new();
    let problems = |more: Vec<(&'static str, Node)>| {
        configured("saml", replaced(keys(&idp.certificate), more)).1.join("\n")
    };
    for (more, expected) in [
        (vec![("insecureSkipSignatureValidation", plain("true"))], "anybody sign in as anybody"),
        (vec![("ssoURL", text(""))], "ssoURL"),
        (vec![("ssoURL", text("ftp://x"))], "expected an https URL"),
        (vec![("caData", text(""))], "ca: is missing"),
        (vec![("caData", text("%%"))], "is not base64"),
        (vec![("ca", text("/nowhere/idp.pem"))], "cannot read /nowhere/idp.pem"),
        (vec![("nameIDPolicyFormat", text("odd"))], "expected one of emailAddress"),
        (vec![("usernameAttr", text(""))], "usernameAttr"),
        (vec![("emailAttr", text(""))], "emailAttr"),
        (
            vec![("groupsAttr", text("")), ("allowedGroups", list(vec![text("a")]))],
            "needs groupsAttr",
        ),
        (vec![("groupAttr", text("a"))], "groupsAttr"),
    ] {
        let found = problems(more);
        assert!(found.contains(expected), "{expected}: {found}");
    }
    assert_eq!(problems(vec![("insecureSkipSignatureValidation", plain("false"))]), "");
    // Dex fails at login if `redirectURI` is not its own callback; here the request fails too, and the error names both
    // URLs.
    let other = connector(&idp, vec![("redirectURI", text("https://id.example.com/other"))]);
    let error = request_xml(&other, false).unwrap_err();
    assert!(error.cause().contains("/other, expected https://id.example.com/dex/callback or"));
    let own = connector(&idp, vec![("redirectURI", text(format!("{CALLBACK}/up")))]);
    let xml = request_xml(&own, false).unwrap();
    assert!(xml.contains("AssertionConsumerServiceURL=\"https://id.example.com/dex/callback/up\""));
}

#[test]
fn check_prints_what_to_register_and_whether_the_certificate_is_valid() {
    let old = IdentityProvider::valid_between((2020, 1), (2021, 1));
    let both = format!("{}{}", IdentityProvider::new().certificate, old.certificate);
    let connector = sound("saml", keys(&both));
    let LoginMethod::PostedForm(method) = &connector.login_method else { panic!("not SAML") };
    let mut trace = Trace::default();
    method.diagnose(&Url::parse(CALLBACK).unwrap(), NOW.parse().unwrap(), &mut trace);
    let trace_text = trace_text(&trace);
    for part in [
        "posts its response to https://id.example.com/dex/callback",
        "audience https://id.example.com/dex/callback",
        "Included a certificate: valid from 2020-01-01T00:00:00Z to 2120-01-01T00:00:00Z",
        "Excluded a certificate: valid from 2020-01-01T00:00:00Z to 2021-01-01T00:00:00Z",
    ] {
        assert!(trace_text.contains(part), "{part} in {trace_text}");
    }
}
