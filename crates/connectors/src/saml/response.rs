//! Validation of a SAML response: signatures first, then the requirements of the Web Browser SSO profile (SAML 2.0
//! Profiles section 4.1.4), read only from the signed bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_core::Timestamp;
use roxmltree::{Document, Node};

use super::input;
use super::names::{
    ASSERTION, DSIG, PROTOCOL, children, children_named, collapsed, has_name, only_child, text,
};
use super::signature;
use crate::certificates::CertificateKey;

/// Tolerated clock difference, as in Dex.
const SKEW: Duration = Duration::from_secs(30);
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const STATUS_PREFIX: &str = "urn:oasis:names:tc:SAML:2.0:status:";

/// What a response to our request must contain.
pub(super) struct Expected<'a> {
    /// The assertion consumer service URL: `Recipient` and `Destination`.
    pub recipient: &'a str,
    pub audience: &'a str,
    /// `ssoIssuer`; `None`: only the certificate identifies the identity provider.
    pub issuer: Option<&'a str>,
    /// The `ID` of the AuthnRequest.
    pub in_response_to: &'a str,
    pub now: Timestamp,
}

pub(super) enum Verified {
    Assertion(Assertion),
    /// A status other than success: the last part of its code. It may be unsigned.
    Failed(&'static str),
}

/// The content of a verified assertion.
pub(super) struct Assertion {
    /// SAML 2.0 Core section 2.3.3: required, and unique.
    pub id: String,
    pub name_id: String,
    /// Name and values, in order.
    pub attributes: Vec<(String, Vec<String>)>,
}

/// The error names the defect and never contains input.
pub(super) fn verify(
    response: &str,
    keys: &[CertificateKey],
    expected: &Expected<'_>,
) -> Result<Verified, String> {
    let document = input::parse(response)?;
    let root = document.root_element();
    check_structure(&document)?;
    if let Some(status) = failed_status(root)? {
        return Ok(Verified::Failed(status));
    }
    let Some(signature) = only_child(root, DSIG, "Signature") else {
        check_response(root, expected)?;
        let assertion = only_assertion(root)?;
        if children_named(assertion, DSIG, "Signature").is_empty() {
            return Err("neither the response nor its assertion is signed".to_owned());
        }
        return signed_assertion(assertion, keys, expected);
    };
    let signed = signature::verify(signature, keys, expected.now)?;
    let document = input::parse(&signed)?;
    let root = document.root_element();
    check_response(root, expected)?;
    if failed_status(root)?.is_some() {
        return Err("the status changed once it was verified".to_owned());
    }
    let assertion = only_assertion(root)?;
    match children_named(assertion, DSIG, "Signature").is_empty() {
        true => read(assertion, expected).map(Verified::Assertion),
        false => signed_assertion(assertion, keys, expected),
    }
}

fn signed_assertion(
    assertion: Node<'_, '_>,
    keys: &[CertificateKey],
    expected: &Expected<'_>,
) -> Result<Verified, String> {
    let signature = only_child(assertion, DSIG, "Signature").ok_or("there are two signatures")?;
    let signed = signature::verify(signature, keys, expected.now)?;
    let document = input::parse(&signed)?;
    read(document.root_element(), expected).map(Verified::Assertion)
}

/// Requires one assertion, and signatures only as children of the response or the assertion. Refuses duplicate IDs and
/// elements that could be confused with another (signature wrapping).
fn check_structure(document: &Document<'_>) -> Result<(), String> {
    let root = document.root_element();
    if !has_name(root, PROTOCOL, "Response") {
        return Err("it is not a SAML 2.0 response".to_owned());
    }
    let mut ids = BTreeSet::new();
    for node in document.descendants().filter(Node::is_element) {
        let (namespace, name) = (node.tag_name().namespace(), node.tag_name().name());
        let parent = node.parent_element();
        let below_root = parent == Some(root);
        match name {
            "EncryptedAssertion" | "EncryptedID" | "EncryptedAttribute" => {
                return Err("it is encrypted, which is not supported".to_owned());
            }
            "Assertion" if !(below_root && namespace == Some(ASSERTION)) => {
                return Err("there is an assertion in an unexpected place".to_owned());
            }
            "Response" if node != root => {
                return Err("there is a response in an unexpected place".to_owned());
            }
            "Signature" => {
                let of_assertion = parent.is_some_and(|p| has_name(p, ASSERTION, "Assertion"));
                if namespace != Some(DSIG) || !(below_root || of_assertion) {
                    return Err("there is a signature in an unexpected place".to_owned());
                }
            }
            _ => {}
        }
        for attribute in node.attributes().filter(|a| a.name().eq_ignore_ascii_case("id")) {
            if !ids.insert(attribute.value()) {
                return Err("an ID is there twice".to_owned());
            }
        }
    }
    if children_named(root, DSIG, "Signature").len() > 1 {
        return Err("there are two signatures".to_owned());
    }
    Ok(())
}

fn only_assertion<'a, 'i>(root: Node<'a, 'i>) -> Result<Node<'a, 'i>, String> {
    only_child(root, ASSERTION, "Assertion")
        .ok_or_else(|| "the response has not exactly one assertion".to_owned())
}

/// The status code unless it is success (SAML 2.0 Core section 3.2.2.2).
fn failed_status(root: Node<'_, '_>) -> Result<Option<&'static str>, String> {
    let status = only_child(root, PROTOCOL, "Status").ok_or("the response has no status")?;
    let code = only_child(status, PROTOCOL, "StatusCode").ok_or("the status has no code")?;
    let value = collapsed(code.attribute("Value").unwrap_or_default());
    if value == SUCCESS {
        return Ok(None);
    }
    let second = only_child(code, PROTOCOL, "StatusCode").and_then(|code| code.attribute("Value"));
    Ok(Some(known_status(second.map_or(value, collapsed))))
}

/// SAML 2.0 Core section 3.2.2.2: unknown codes are not repeated.
fn known_status(value: &str) -> &'static str {
    const KNOWN: [&str; 12] = [
        "AuthnFailed",
        "InvalidAttrNameOrValue",
        "InvalidNameIDPolicy",
        "NoAuthnContext",
        "NoAvailableIDP",
        "NoPassive",
        "RequestDenied",
        "RequestUnsupported",
        "Requester",
        "Responder",
        "UnknownPrincipal",
        "VersionMismatch",
    ];
    let name = value.strip_prefix(STATUS_PREFIX).unwrap_or_default();
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("(unknown status)")
}

fn check_response(root: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), String> {
    if !has_name(root, PROTOCOL, "Response") || root.attribute("Version") != Some("2.0") {
        return Err("it is not a SAML 2.0 response".to_owned());
    }
    if root.attribute("InResponseTo").map(collapsed) != Some(expected.in_response_to) {
        return Err("the response is not to the request of this login (InResponseTo)".to_owned());
    }
    let destination = collapsed(root.attribute("Destination").unwrap_or_default());
    if !destination.is_empty() && destination != expected.recipient {
        return Err("the response is for another address (Destination)".to_owned());
    }
    match only_child(root, ASSERTION, "Issuer") {
        Some(issuer) => check_issuer(issuer, expected),
        None => Ok(()),
    }
}

fn check_issuer(issuer: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), String> {
    let issuer = text(issuer)?;
    match expected.issuer {
        Some(expected) if expected != issuer => {
            Err("the response is by another identity provider than ssoIssuer".to_owned())
        }
        _ if issuer.is_empty() => Err("the issuer is empty".to_owned()),
        _ => Ok(()),
    }
}

/// Reads an assertion, which is the root of the digested bytes or a descendant.
fn read(assertion: Node<'_, '_>, expected: &Expected<'_>) -> Result<Assertion, String> {
    if !has_name(assertion, ASSERTION, "Assertion") || assertion.attribute("Version") != Some("2.0")
    {
        return Err("what is signed is not a SAML 2.0 assertion".to_owned());
    }
    let id = assertion.attribute("ID").filter(|id| !id.is_empty());
    let id = id.ok_or("the assertion has no ID")?.to_owned();
    let issuer = only_child(assertion, ASSERTION, "Issuer").ok_or("the assertion has no issuer")?;
    check_issuer(issuer, expected)?;
    let subject =
        only_child(assertion, ASSERTION, "Subject").ok_or("the assertion has no subject")?;
    let name_id = only_child(subject, ASSERTION, "NameID").ok_or("the subject has no NameID")?;
    let name_id = text(name_id)?;
    if name_id.trim().is_empty() {
        return Err("the NameID is empty".to_owned());
    }
    check_confirmation(subject, expected)?;
    let conditions =
        only_child(assertion, ASSERTION, "Conditions").ok_or("the assertion has no conditions")?;
    check_conditions(conditions, expected)?;
    for statement in children_named(assertion, ASSERTION, "AuthnStatement") {
        if is_over(statement.attribute("SessionNotOnOrAfter"), expected.now)? {
            return Err("the session at the identity provider has expired".to_owned());
        }
    }
    Ok(Assertion { id, name_id, attributes: attributes(assertion)? })
}

/// At least one bearer confirmation must be valid (SAML 2.0 Profiles section 4.1.4.2).
fn check_confirmation(subject: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), String> {
    let mut failure = "the subject has no bearer confirmation".to_owned();
    for confirmation in children_named(subject, ASSERTION, "SubjectConfirmation") {
        if confirmation.attribute("Method").map(collapsed) != Some(BEARER) {
            continue;
        }
        match check_bearer(confirmation, expected) {
            Ok(()) => return Ok(()),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

fn check_bearer(confirmation: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), String> {
    let data = only_child(confirmation, ASSERTION, "SubjectConfirmationData")
        .ok_or("the bearer confirmation has no data")?;
    if data.attribute("InResponseTo").map(collapsed) != Some(expected.in_response_to) {
        return Err("the assertion is not to the request of this login (InResponseTo)".to_owned());
    }
    if data.attribute("Recipient").map(collapsed) != Some(expected.recipient) {
        return Err("the assertion is for another address (Recipient)".to_owned());
    }
    if data.attribute("NotOnOrAfter").is_none() {
        return Err("the bearer confirmation has no NotOnOrAfter".to_owned());
    }
    check_period(data, expected.now)
}

/// SAML 2.0 Core section 2.5.1: an assertion with an unknown condition is invalid.
fn check_conditions(conditions: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), String> {
    check_period(conditions, expected.now)?;
    let mut restricted = false;
    for condition in children(conditions) {
        match condition.tag_name().name() {
            "AudienceRestriction" => {
                let mut audiences = children_named(condition, ASSERTION, "Audience").into_iter();
                let is_ours = |audience| {
                    text(audience).is_ok_and(|audience| collapsed(&audience) == expected.audience)
                };
                if !audiences.any(is_ours) {
                    return Err("the assertion is for another audience".to_owned());
                }
                restricted = true;
            }
            // Satisfied: an assertion is used once, and no other assertion is issued from it.
            "OneTimeUse" | "ProxyRestriction" => {}
            _ => return Err("the assertion has an unknown condition".to_owned()),
        }
    }
    match restricted {
        true => Ok(()),
        false => Err("the assertion is not restricted to an audience".to_owned()),
    }
}

/// Checks `NotBefore` and `NotOnOrAfter`, if present.
fn check_period(node: Node<'_, '_>, now: Timestamp) -> Result<(), String> {
    if let Some(not_before) = node.attribute("NotBefore")
        && instant(not_before)? > now + SKEW
    {
        return Err("the assertion is not valid yet (NotBefore)".to_owned());
    }
    match is_over(node.attribute("NotOnOrAfter"), now)? {
        true => Err("the assertion has expired (NotOnOrAfter)".to_owned()),
        false => Ok(()),
    }
}

fn is_over(not_on_or_after: Option<&str>, now: Timestamp) -> Result<bool, String> {
    Ok(match not_on_or_after {
        Some(end) => instant(end)? + SKEW <= now,
        None => false,
    })
}

fn instant(text: &str) -> Result<Timestamp, String> {
    collapsed(text).parse().map_err(|_| "an instant is not a date and time".to_owned())
}

/// The attributes; values that contain elements, such as a `NameID`, are omitted.
fn attributes(assertion: Node<'_, '_>) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut attributes = Vec::new();
    for statement in children_named(assertion, ASSERTION, "AttributeStatement") {
        for attribute in children_named(statement, ASSERTION, "Attribute") {
            let name = attribute.attribute("Name").ok_or("an attribute has no name")?;
            let values = children_named(attribute, ASSERTION, "AttributeValue");
            let values = values.into_iter().filter_map(|value| text(value).ok()).collect();
            attributes.push((name.to_owned(), values));
        }
    }
    Ok(attributes)
}
