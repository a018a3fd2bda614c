//! Signatures over too little, and documents that two parsers could read differently (threats 106, 107, 108 and 111).

use countersign_core::Connector;

use crate::fake_saml::{IdentityProvider, RSA_SHA256, Response, SAML, Signed, insert_signature};
use crate::saml::{ISSUER, honest, invalid, keys, posted};
use crate::steps::{accepted, sound};

fn world() -> (IdentityProvider, Connector) {
    let idp = IdentityProvider::new();
    let connector = sound("saml", keys(&idp.certificate));
    (idp, connector)
}

/// Threat 106: the identity provider signed its name and nothing else, and the response around it is forged.
#[test]
fn a_signature_over_the_issuer_alone_signs_nobody_in() {
    let (idp, connector) = world();
    let issuer =
        format!("<saml:Issuer xmlns:saml=\"{SAML}\" ID=\"_issuer\">{ISSUER}</saml:Issuer>");
    let signature = idp.signature(&issuer, "_issuer", |signed_info| signed_info);
    let evil = Response { name_id: "admin".to_owned(), ..honest() };
    let plain = format!("<saml:Issuer xmlns:saml=\"{SAML}\">{ISSUER}</saml:Issuer>");
    let around = |assertion: &str| evil.around(assertion).replacen(&plain, &issuer, 1);
    let assertion = evil.assertion("_evil");
    let signed_issuer = issuer.replace("</saml:Issuer>", &format!("{signature}</saml:Issuer>"));
    for (name, xml, reason) in [
        (
            "beside it, in the response",
            insert_signature(&around(&assertion), &signature),
            "the signature does not refer to its parent element",
        ),
        (
            "in the assertion",
            around(&insert_signature(&assertion, &signature)),
            "the signature does not refer to its parent element",
        ),
        (
            "in the issuer",
            evil.around(&assertion).replacen(&plain, &signed_issuer, 1),
            "there is a signature in an unexpected place",
        ),
    ] {
        assert_eq!(invalid(&connector, &xml), reason, "{name}");
    }
}

/// Threat 107: a redeclared namespace changes what is signed, or it changes nothing.
#[test]
fn a_redeclared_namespace_makes_nobody_else() {
    let (idp, connector) = world();
    let xml = idp.sign(&honest(), Signed::Assertion);
    let with = |attribute: &str| xml.replace("<saml:NameID>", &format!("<saml:NameID{attribute}>"));
    let changed = "the digest does not match: the response was changed after it was signed";
    for (attribute, reason) in [
        (" xmlns:saml=\"urn:evil\"", changed),
        (" xmlns:other=\"urn:a\" other:x=\"y\"", changed),
        (" xmlns:=\"\"", "it is not well-formed XML"),
        (" xmlns:saml=\"\"", "a namespace prefix is declared empty"),
        (" xmlns:xml=\"urn:a\"", "it is not well-formed XML"),
    ] {
        assert_eq!(invalid(&connector, &with(attribute)), reason, "{attribute}");
    }
    // Not visibly used, so not part of what is signed (Exclusive XML Canonicalization section 3).
    for attribute in [" xmlns=\"\"", " xmlns:other=\"urn:a\"", &format!(" xmlns:saml=\"{SAML}\"")] {
        let jane = accepted(posted(&connector, &with(attribute)).0);
        assert_eq!(jane.identity.user_id, "jane-1", "{attribute}");
    }
}

/// Threat 108: nothing is included, even if the identity provider signed that.
#[test]
fn xinclude_is_not_processed() {
    let (idp, connector) = world();
    let include = "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"file:///etc/passwd\" parse=\"text\"></xi:include>";
    let response = Response { name_id: include.to_owned(), ..honest() };
    for signed in [Signed::Response, Signed::Assertion] {
        let reason = invalid(&connector, &idp.sign(&response, signed));
        assert_eq!(reason, "an element contains others where text is expected");
    }
}

/// Threat 111: DSA, and RSA with SHA-1 under both of its names.
#[test]
fn weak_signature_methods_are_refused_also_with_a_configured_key() {
    let (idp, connector) = world();
    let assertion = honest().assertion("_assertion");
    for method in [
        "http://www.w3.org/2000/09/xmldsig#dsa-sha1",
        "http://www.w3.org/2009/xmldsig11#dsa-sha256",
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha1",
        "http://www.w3.org/2007/05/xmldsig-more#sha1-rsa-MGF1",
        "",
    ] {
        let edit = |signed_info: String| signed_info.replace(RSA_SHA256, method);
        let signature = idp.signature(&assertion, "_assertion", edit);
        let xml = honest().around(&insert_signature(&assertion, &signature));
        let expected = "the signature method is not RSA or ECDSA with SHA-256 or better";
        assert_eq!(invalid(&connector, &xml), expected, "{method}");
    }
}
