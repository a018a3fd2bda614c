//! Responses whose cost could grow with the square of their size (threats 108 and 113). Anybody can post one to
//! `/callback`, so a limit must refuse each before the step that would be expensive. What is tested is which limit does,
//! because a test of the time would depend on the machine: the step behind it never begins.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fake_saml::{EXCLUSIVE, IdentityProvider, Signed, insert_signature};
use crate::saml::{data, honest, invalid, keys};
use crate::steps::sound;

/// The longest text that is not refused by its length alone.
const MAX_BYTES: usize = 256 * 1024;

/// A response in which the part is repeated in front of the status until it is as long as a response may be, but for
/// some bytes; `closing` follows behind them as often.
fn filled(part: impl Fn(usize) -> String, closing: &str) -> String {
    let response = honest().around("");
    let (start, end) = response.split_at(response.find("<samlp:Status>").unwrap());
    let mut text = start.to_owned();
    for number in 0.. {
        let part = part(number);
        let room = MAX_BYTES - 16 - end.len() - closing.len() * (number + 1);
        if text.len() + part.len() > room {
            return format!("{text}{}{end}", closing.repeat(number));
        }
        text.push_str(&part);
    }
    unreachable!()
}

/// Each is as long as a response may be, and the parser never sees it: it compares each attribute of an element with
/// each other one, and each element with the namespaces in scope.
#[test]
fn quadratic_documents_are_refused_before_the_parser() {
    let idp = IdentityProvider::new();
    let connector = sound("saml", keys(&idp.certificate));
    let attributes = filled(|n| format!(" a{n}=''"), "");
    let attributes = attributes.replacen(" a0=''", "<a a0=''", 1).replacen(
        "<samlp:Status>",
        "/><samlp:Status>",
        1,
    );
    for (xml, reason) in [
        (attributes, "an element has too many attributes"),
        (filled(|n| format!("<a xmlns:p{n}='urn:{n}'/>"), ""), "it declares too many namespaces"),
        (filled(|_| "<a>".to_owned(), "</a>"), "its elements are nested too deeply"),
        (filled(|_| "<a/>".to_owned(), ""), "it has too many elements"),
        (filled(|_| "<!--".to_owned(), ""), "a comment does not end"),
        (filled(|_| "<a ".to_owned(), ""), "a tag does not end"),
        (filled(|_| "<!---->".to_owned(), "") + &"<!---->".repeat(4), "it has more than 256 kB"),
    ] {
        assert_eq!(invalid(&connector, &xml), reason);
    }
    // The limit is on what is sent, too: nothing is decoded.
    let long = STANDARD.encode("<a>".repeat(MAX_BYTES));
    let outcome = crate::saml::posted_raw(&connector, &long, crate::saml::NOW).0;
    assert!(format!("{outcome:?}").contains("256 kB"), "{outcome:?}");
}

/// Nobody can sign these, and before the signature is verified `SignedInfo` is canonicalized: it has a fixed number of
/// elements by then, so that 16 prefixes are looked up for each of them and not for 20 000.
#[test]
fn what_is_canonicalized_before_the_signature_is_verified_is_small() {
    let connector = sound("saml", keys(&data("rsa.pem")));
    let list = |inner: &str| {
        format!(
            "<ec:InclusiveNamespaces xmlns:ec=\"{EXCLUSIVE}\" PrefixList=\"a b\">{inner}</ec:InclusiveNamespaces>"
        )
    };
    let idp = IdentityProvider::new();
    let assertion = honest().assertion("_assertion");
    let edited = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        let edit = move |info: String| {
            assert!(info.contains(&from), "{info}");
            info.replacen(&from, &to, 1)
        };
        honest()
            .around(&insert_signature(&assertion, &idp.signature(&assertion, "_assertion", &edit)))
    };
    let method = "</ds:CanonicalizationMethod>";
    let many = "<a></a>".repeat(10_000);
    let prefixes: String = (0..17).map(|n| format!("p{n} ")).collect();
    for (xml, reason) in [
        (
            edited(method, &format!("{}{method}", list(&many))),
            "the canonicalization has unexpected parts",
        ),
        (edited(method, &format!("{many}{method}")), "the canonicalization has unexpected parts"),
        (
            edited(method, &format!("{}{method}", list("").replace("a b", &prefixes))),
            "the canonicalization names too many prefixes",
        ),
        (
            edited("</ds:SignatureMethod>", &format!("{many}</ds:SignatureMethod>")),
            "a method of the signature has parameters",
        ),
        (
            edited("</ds:DigestMethod>", &format!("{many}</ds:DigestMethod>")),
            "a method of the signature has parameters",
        ),
        (
            edited("</ds:Transforms>", &format!("{many}</ds:Transforms>")),
            "the transforms are not exactly enveloped-signature and exclusive canonicalization",
        ),
        (
            edited("</ds:SignedInfo>", &format!("{many}</ds:SignedInfo>")),
            "SignedInfo has not exactly one reference",
        ),
        (
            edited("</ds:DigestValue>", &format!("{many}</ds:DigestValue>")),
            "an element contains others where text is expected",
        ),
    ] {
        assert_eq!(invalid(&connector, &xml), reason);
    }
    // The first signature that is not of a configured key ends it: the second element is never canonicalized.
    let both = idp.sign(&honest(), Signed::Both);
    assert_eq!(
        invalid(&connector, &both),
        "the signature is by none of the configured certificates"
    );
}
