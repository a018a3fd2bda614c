//! Responses that must not sign anybody in: threats 106 to 114.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Connector;
use countersign_core::connector::LoginOutcome;

use crate::fake_saml::{
    EXCLUSIVE, IdentityProvider, RSA_SHA256, Response, SHA256, Signed, insert_signature, sha256,
    signature_of, signed_info,
};
use crate::saml::{honest, invalid, keys, posted, posted_raw};
use crate::steps::{accepted, replaced, sound};
use crate::tree::text;

fn world() -> (IdentityProvider, Connector) {
    let idp = IdentityProvider::new();
    let connector = sound("saml", keys(&idp.certificate));
    (idp, connector)
}

/// Asserts that the response is refused, for whatever reason.
fn refused(connector: &Connector, name: &str, xml: &str) {
    let (outcome, _) = posted(connector, xml);
    assert!(matches!(outcome, Ok(LoginOutcome::Refused(_))), "{name}: {outcome:?}\n{xml}");
}

fn signature_in(element: &str) -> &str {
    let from = element.find("<ds:Signature ").unwrap();
    let end = "</ds:Signature>";
    let to = element[from..].find(end).unwrap() + from + end.len();
    &element[from..to]
}

/// Threat 106. Somorovsky et al., "On Breaking SAML" (USENIX Security 2012): the eight ways to wrap, for a signed
/// response and for a signed assertion.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn signature_wrapping_is_refused() {
    let (idp, connector) = world();
    let evil = Response { name_id: "admin".to_owned(), ..honest() };
    let extensions = |content: &str| format!("<samlp:Extensions>{content}</samlp:Extensions>");
    let object = |signature: &str, content: &str| {
        let end = "</ds:Signature>";
        signature.replace(end, &format!("<ds:Object>{content}</ds:Object>{end}"))
    };
    let signed_response = idp.sign(&honest(), Signed::Response);
    let response_signature = signature_in(&signed_response).to_owned();
    let unsigned_response = honest().around(&honest().assertion("_assertion"));
    let evil_response =
        evil.around(&evil.assertion("_evil")).replace("ID=\"_response\"", "ID=\"_evil_response\"");
    let assertion = honest().assertion("_assertion");
    let signed_assertion = idp.with_signature(&assertion, "_assertion");
    let signature = signature_in(&signed_assertion).to_owned();
    let evil_assertion = evil.assertion("_evil");
    let with = |content: String| evil.around(&content);
    let put_in = |assertion: &str, content: &str| insert_signature(assertion, content);
    for (name, xml) in [
        ("XSW1", put_in(&evil_response, &object(&response_signature, &unsigned_response))),
        (
            "XSW2",
            put_in(
                &evil_response,
                &format!(
                    "{response_signature}<ds:Object xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{unsigned_response}</ds:Object>"
                ),
            ),
        ),
        ("XSW3", with(format!("{evil_assertion}{signed_assertion}"))),
        ("XSW3 behind", with(format!("{signed_assertion}{evil_assertion}"))),
        (
            "XSW4",
            with(
                evil_assertion
                    .replace("</saml:Assertion>", &format!("{signed_assertion}</saml:Assertion>")),
            ),
        ),
        ("XSW5", with(format!("{}{assertion}", put_in(&evil_assertion, &signature)))),
        ("XSW6", with(put_in(&evil_assertion, &object(&signature, &assertion)))),
        ("XSW7", with(format!("{}{evil_assertion}", extensions(&signed_assertion)))),
        (
            "XSW8",
            with(put_in(
                &evil_assertion,
                &object(&signature, &evil_assertion.replace("_evil", "_other")),
            )),
        ),
        ("the same ID", with(format!("{}{signed_assertion}", evil.assertion("_assertion")))),
        ("signature of another element", with(put_in(&evil.assertion("_assertion"), &signature))),
        ("an assertion in the status", {
            let detail = format!(
                "<samlp:StatusDetail>{signed_assertion}</samlp:StatusDetail></samlp:Status>"
            );
            with(evil_assertion.clone()).replace("</samlp:Status>", &detail)
        }),
        (
            "a prefixed ID in front",
            with(
                put_in(&evil_assertion, &signature)
                    .replace("ID=\"_evil\"", "x:ID=\"_assertion\" xmlns:x=\"urn:x\" ID=\"_evil\""),
            ),
        ),
        (
            "of the whole response, moved into the assertion",
            with(put_in(&evil_assertion, &response_signature)),
        ),
    ] {
        refused(&connector, name, &xml);
    }
    // The unmodified responses are accepted, so the forgeries above are not refused because of malformed test data.
    for xml in [signed_response, honest().around(&signed_assertion)] {
        assert_eq!(accepted(posted(&connector, &xml).0).identity.user_id, "jane-1");
    }
}

/// Threats 106 and 107.
#[test]
fn a_change_after_signing_is_refused() {
    let (idp, connector) = world();
    for signed in [Signed::Response, Signed::Assertion, Signed::Both] {
        let xml = idp.sign(&honest(), signed);
        for (from, to) in [
            ("jane-1", "admin"),
            ("<saml:AttributeValue>dev", "<saml:AttributeValue>root"),
            (">jane-1<", "><!-- -->jane-2<"),
        ] {
            let reason = invalid(&connector, &xml.replace(from, to));
            assert!(reason.contains("digest does not match"), "{signed:?} {from}: {reason}");
        }
        let reason =
            invalid(&connector, &xml.replace("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"));
        assert!(reason.contains("none of the configured certificates"), "{signed:?}: {reason}");
    }
    // Unsigned parts of the response around a signed assertion can only cause a refusal.
    let xml = idp.sign(&honest(), Signed::Assertion);
    let moved = xml.replacen("https://idp.example.com/", "https://evil.example/", 1);
    let strict = sound(
        "saml",
        replaced(keys(&idp.certificate), vec![("ssoIssuer", text("https://idp.example.com/"))]),
    );
    assert!(invalid(&strict, &moved).contains("ssoIssuer"));
}

/// Threats 106 and 111. Validly signed, with a `SignedInfo` that signs less or in another way than the profile demands.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn only_one_profile_of_signature_is_accepted() {
    let (idp, connector) = world();
    let assertion = honest().assertion("_assertion");
    let edited = |edit: &dyn Fn(String) -> String| {
        let signature = idp.signature(&assertion, "_assertion", edit);
        honest().around(&insert_signature(&assertion, &signature))
    };
    let replaced = |from: String, to: String| edited(&|info: String| info.replace(&from, &to));
    let reference = |info: &str| {
        let from = info.find("<ds:Reference").unwrap();
        let to = info.find("</ds:SignedInfo>").unwrap();
        info[from..to].to_owned()
    };
    for (name, xml, reason) in [
        (
            "two references",
            edited(&|info| {
                info.replace("</ds:SignedInfo>", &format!("{}</ds:SignedInfo>", reference(&info)))
            }),
            "one reference",
        ),
        ("no reference", edited(&|info| info.replace(&reference(&info), "")), "one reference"),
        ("empty URI", replaced("URI=\"#_assertion\"".into(), "URI=\"\"".into()), "#ID"),
        ("no URI", replaced(" URI=\"#_assertion\"".into(), String::new()), "#ID"),
        ("xpointer", replaced("#_assertion".into(), "#xpointer(/)".into()), "parent"),
        ("another ID", replaced("#_assertion".into(), "#_response".into()), "parent"),
        ("a file", replaced("#_assertion".into(), "file:///etc/passwd".into()), "#ID"),
        (
            "SHA-1",
            replaced(SHA256.into(), "http://www.w3.org/2000/09/xmldsig#sha1".into()),
            "digest method",
        ),
        (
            "MD5",
            replaced(RSA_SHA256.into(), "http://www.w3.org/2001/04/xmldsig-more#rsa-md5".into()),
            "signature method",
        ),
        (
            "HMAC",
            replaced(
                RSA_SHA256.into(),
                "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256".into(),
            ),
            "signature method",
        ),
        (
            "ECDSA",
            replaced(
                RSA_SHA256.into(),
                "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256".into(),
            ),
            "certificates",
        ),
        (
            "with comments",
            replaced(EXCLUSIVE.into(), format!("{EXCLUSIVE}WithComments")),
            "exclusive",
        ),
        (
            "one transform",
            edited(&|info| {
                info.replacen(
                    &format!("<ds:Transform Algorithm=\"{EXCLUSIVE}\"></ds:Transform>"),
                    "",
                    1,
                )
            }),
            "transforms",
        ),
        ("an XSLT transform", replaced("enveloped-signature".into(), "xslt".into()), "enveloped"),
        (
            "a truncated method",
            edited(&|info| {
                info.replace(
                    "</ds:SignatureMethod>",
                    "<ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>",
                )
            }),
            "parameters",
        ),
        (
            "an empty digest",
            edited(&|info| {
                let from = info.find("<ds:DigestValue>").unwrap();
                let to = info.find("</ds:DigestValue>").unwrap();
                info.replace(&info[from..to], "<ds:DigestValue>")
            }),
            "digest does not match",
        ),
        (
            "the digest of nothing",
            edited(&|info| info.replace(&sha256(&assertion), &sha256(""))),
            "digest does not match",
        ),
        (
            "a comment in the digest",
            edited(&|info| info.replace("<ds:DigestValue>", "<ds:DigestValue><!-- a -->")),
            "certificates",
        ),
        (
            "an element in the digest",
            edited(&|info| {
                info.replace("<ds:DigestValue>", "<ds:DigestValue><a xmlns=\"urn:a\"></a>")
            }),
            "text is expected",
        ),
    ] {
        let found = invalid(&connector, &xml);
        assert!(found.contains(reason), "{name}: {found}");
    }
}

/// Threat 111.
#[test]
fn keys_come_from_the_configuration_only() {
    let (_, connector) = world();
    let evil = IdentityProvider::new();
    let xml = evil.sign(&honest(), Signed::Both);
    assert!(invalid(&connector, &xml).contains("none of the configured certificates"));
    let body: String = evil.certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let key_info = format!(
        "</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{body}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    );
    let with_key =
        evil.sign(&honest(), Signed::Assertion).replace("</ds:SignatureValue>", &key_info);
    assert!(invalid(&connector, &with_key).contains("none of the configured certificates"));
    let unsigned = signature_of(&signed_info(&honest().assertion("_assertion"), "_assertion"), "");
    let empty = honest().around(&insert_signature(&honest().assertion("_assertion"), &unsigned));
    assert!(invalid(&connector, &empty).contains("none of the configured certificates"));
    let expired = IdentityProvider::valid_between((2020, 1), (2021, 1));
    let connector = sound("saml", keys(&expired.certificate));
    let reason = invalid(&connector, &expired.sign(&honest(), Signed::Assertion));
    assert!(reason.contains("has expired"), "{reason}");
}

/// Threats 109, 110 and 114: validly signed, and not for this login here and now.
#[test]
fn a_response_for_another_audience_or_time_is_refused() {
    let (idp, connector) = world();
    let other = || "https://other.example.com/callback".to_owned();
    for (name, response, reason) in [
        ("recipient", Response { recipient: other(), ..honest() }, "Recipient"),
        ("destination", Response { destination: other(), ..honest() }, "Destination"),
        ("audience", Response { audience: other(), ..honest() }, "audience"),
        ("request", Response { in_response_to: "_another".into(), ..honest() }, "InResponseTo"),
        ("no request", Response { in_response_to: String::new(), ..honest() }, "InResponseTo"),
        (
            "expired",
            Response { not_on_or_after: "2026-12-01T12:00:00Z".into(), ..honest() },
            "NotOnOrAfter",
        ),
        ("early", Response { not_before: "2026-12-01T12:01:01Z".into(), ..honest() }, "NotBefore"),
        ("no date", Response { not_on_or_after: "soon".into(), ..honest() }, "date and time"),
        ("no name", Response { name_id: " ".into(), ..honest() }, "NameID is empty"),
    ] {
        for signed in [Signed::Response, Signed::Assertion, Signed::Both] {
            let found = invalid(&connector, &idp.sign(&response, signed));
            assert!(found.contains(reason), "{name} {signed:?}: {found}");
        }
    }
    // Clocks may differ by 30 seconds, and no more.
    for (now, expected) in [
        ("2026-12-01T11:58:29Z", false),
        ("2026-12-01T11:58:30Z", true),
        ("2026-12-01T12:05:29Z", true),
        ("2026-12-01T12:05:30Z", false),
    ] {
        let xml = STANDARD.encode(idp.sign(&honest(), Signed::Both));
        let (outcome, _) = posted_raw(&connector, &xml, now);
        assert_eq!(matches!(outcome, Ok(LoginOutcome::Accepted(_))), expected, "{now}");
    }
    let without = |from: &str, to: &str| {
        let assertion = honest().assertion("_assertion");
        let (start, end) = (assertion.find(from).unwrap(), assertion.find(to).unwrap() + to.len());
        let cut = assertion.replace(&assertion[start..end], "");
        honest().around(&idp.with_signature(&cut, "_assertion"))
    };
    for (xml, reason) in [
        (without("<saml:Conditions", "</saml:Conditions>"), "no conditions"),
        (without("<saml:AudienceRestriction", "</saml:AudienceRestriction>"), "restricted"),
        (without("<saml:SubjectConfirmation", "</saml:SubjectConfirmation>"), "confirmation"),
        (without("<saml:NameID", "</saml:NameID>"), "NameID"),
        (without("<saml:Subject>", "</saml:Subject>"), "subject"),
    ] {
        let found = invalid(&connector, &xml);
        assert!(found.contains(reason), "{reason}: {found}");
    }
    let holder = honest().assertion("_assertion").replace("cm:bearer", "cm:holder-of-key");
    let xml = honest().around(&idp.with_signature(&holder, "_assertion"));
    assert!(invalid(&connector, &xml).contains("no bearer confirmation"));
    let condition = honest().assertion("_assertion").replace(
        "<saml:AudienceRestriction>",
        "<saml:Condition></saml:Condition><saml:AudienceRestriction>",
    );
    let xml = honest().around(&idp.with_signature(&condition, "_assertion"));
    assert!(invalid(&connector, &xml).contains("unknown condition"));
}

/// Threats 107, 108, 112 and 113.
#[test]
fn malformed_responses_are_refused_and_nothing_panics() {
    let (idp, connector) = world();
    let xml = idp.sign(&honest(), Signed::Both);
    for response in ["", "%%%", "PGE", "//79", &STANDARD.encode("<a/>"), &"A".repeat(1_000_000)] {
        let (outcome, _) = posted_raw(&connector, response, crate::saml::NOW);
        assert!(matches!(outcome, Ok(LoginOutcome::Refused(_))), "{outcome:?}");
    }
    for (name, xml) in [
        ("DOCTYPE", format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{xml}")),
        ("CDATA", xml.replace(">jane-1<", "><![CDATA[jane-1]]><")),
        ("entity", xml.replace(">jane-1<", ">&xxe;<")),
        ("instruction", xml.replace(">jane-1<", "><?a b?>jane-1<")),
        ("encrypted", xml.replacen("<samlp:Status>", "<saml:EncryptedAssertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"></saml:EncryptedAssertion><samlp:Status>", 1)),
        ("a hundred signatures", {
            let signature = signature_in(&xml).to_owned();
            xml.replacen(&signature, &signature.repeat(100), 1)
        }),
        ("an empty signature", honest().around(&insert_signature(&honest().assertion("_a"), "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"></ds:Signature>"))),
        ("another version", xml.replace("urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:1.0:protocol")),
    ] {
        refused(&connector, name, &xml);
    }
    // Every prefix, and every byte replaced by each of a few.
    for end in (0..xml.len()).step_by(17) {
        refused(&connector, "a prefix", &xml[..end]);
    }
    for at in (0..xml.len()).step_by(13) {
        for byte in ["<", ">", "\"", "&", "x", " "] {
            let changed = format!("{}{byte}{}", &xml[..at], &xml[at + 1..]);
            if let Ok(LoginOutcome::Accepted(person)) = posted(&connector, &changed).0 {
                assert_eq!(person.identity.user_id, "jane-1", "{changed}");
            }
        }
    }
}
