//! Verification of an enveloped XML signature (XML-Signature Syntax and Processing 1.1, SAML 2.0 Core section 5.4).
//!
//! The result is the canonical form of the signed element, exactly as it was digested. Callers parse it again and read
//! nothing else, so a defect in parser or canonicalization can make a valid response fail but cannot make a forged one
//! pass.
//!
//! Only one profile is accepted: `SignedInfo`, `SignatureValue` and at most a `KeyInfo` (which is ignored: keys come
//! from the configuration); exclusive canonicalization without comments; one `Reference` to the `ID` of the signature's
//! parent with the transforms enveloped-signature and exclusive canonicalization, in this order; RSA PKCS #1 or ECDSA
//! with SHA-256 or stronger.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use countersign_core::Timestamp;
use roxmltree::Node;

use super::canonical::canonicalize;
use super::input;
use super::names::{DSIG, children, has_name, text};
use crate::certificates::{CertificateKey, decode_base64};

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const MAX_INCLUSIVE_PREFIXES: usize = 16;

/// The canonical form of the parent of `signature`, if the signature is valid for it under one of `keys`.
pub(super) fn verify(
    signature: Node<'_, '_>,
    keys: &[CertificateKey],
    now: Timestamp,
) -> Result<String, &'static str> {
    let parent = signature.parent_element().ok_or("the signature has no parent")?;
    let parts = children(signature);
    let (signed_info, value) = match parts.as_slice() {
        [signed_info, value] => (*signed_info, *value),
        [signed_info, value, key_info] if has_name(*key_info, DSIG, "KeyInfo") => {
            (*signed_info, *value)
        }
        _ => return Err("the signature has unexpected parts"),
    };
    if !has_name(value, DSIG, "SignatureValue") {
        return Err("the signature has unexpected parts");
    }
    let signature_value = decode_base64(&text(value)?).ok_or("SignatureValue is not base64")?;
    let unverified = SignedInfo::read(signed_info)?;
    let signed = canonicalize(signed_info, &unverified.prefixes, None)?;
    verify_value(&unverified.signature_method, signed.as_bytes(), &signature_value, keys, now)?;
    // From here on only the verified bytes are read.
    let document = input::parse(&signed)?;
    let signed_info = SignedInfo::read(document.root_element())?;
    if signed_info != unverified {
        return Err("SignedInfo reads differently once canonicalized");
    }
    if parent.attribute("ID").is_none_or(|id| id.is_empty() || id != signed_info.reference) {
        return Err("the signature does not refer to its parent element");
    }
    let digested = canonicalize(parent, &signed_info.transform_prefixes, Some(signature.id()))?;
    let digest = digest::digest(digest_algorithm(&signed_info.digest_method)?, digested.as_bytes());
    match digest.as_ref() == signed_info.digest.as_slice() {
        true => Ok(digested),
        false => Err("the digest does not match: the response was changed after it was signed"),
    }
}

fn verify_value(
    method: &str,
    signed: &[u8],
    value: &[u8],
    keys: &[CertificateKey],
    now: Timestamp,
) -> Result<(), &'static str> {
    let algorithm = signature_algorithm(method)?;
    let signer = keys.iter().find(|key| {
        UnparsedPublicKey::new(algorithm, &key.public_key).verify(signed, value).is_ok()
    });
    match signer {
        None => Err("the signature is by none of the configured certificates"),
        Some(key) if !key.is_valid_at(now) => {
            Err("the certificate of the signature has expired or is not valid yet")
        }
        Some(_) => Ok(()),
    }
}

/// RFC 9231 sections 2.3.2 and 2.3.6. SHA-1, MD5, HMAC and DSA are not accepted.
fn signature_algorithm(uri: &str) -> Result<&'static dyn VerificationAlgorithm, &'static str> {
    let name = uri.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#");
    Ok(match name.unwrap_or_default() {
        "rsa-sha256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "rsa-sha384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "rsa-sha512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "ecdsa-sha256" => &signature::ECDSA_P256_SHA256_FIXED,
        "ecdsa-sha384" => &signature::ECDSA_P384_SHA384_FIXED,
        "ecdsa-sha512" => &signature::ECDSA_P521_SHA512_FIXED,
        _ => return Err("the signature method is not RSA or ECDSA with SHA-256 or better"),
    })
}

fn digest_algorithm(uri: &str) -> Result<&'static digest::Algorithm, &'static str> {
    Ok(match uri {
        "http://www.w3.org/2001/04/xmlenc#sha256" => &digest::SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => &digest::SHA384,
        "http://www.w3.org/2001/04/xmlenc#sha512" => &digest::SHA512,
        _ => return Err("the digest method is not SHA-256 or better"),
    })
}

#[derive(PartialEq, Eq)]
struct SignedInfo {
    signature_method: String,
    digest_method: String,
    digest: Vec<u8>,
    /// The `URI` without `#`.
    reference: String,
    /// `PrefixList` of the canonicalization of `SignedInfo`, and of the referenced element.
    prefixes: Vec<String>,
    transform_prefixes: Vec<String>,
}

impl SignedInfo {
    fn read(node: Node<'_, '_>) -> Result<Self, &'static str> {
        let parts = named_children(node, "SignedInfo")?;
        let [canonicalization, signature_method, reference] = parts.as_slice() else {
            return Err("SignedInfo has not exactly one reference");
        };
        let prefixes = exclusive_prefixes(*canonicalization, "CanonicalizationMethod")?;
        let reference_parts = named_children(*reference, "Reference")?;
        let [transforms, digest_method, digest_value] = reference_parts.as_slice() else {
            return Err("the reference has unexpected parts");
        };
        if !has_name(*digest_value, DSIG, "DigestValue") {
            return Err("the reference has unexpected parts");
        }
        let transforms = named_children(*transforms, "Transforms")?;
        let [enveloped, exclusive] = transforms.as_slice() else {
            return Err(
                "the transforms are not exactly enveloped-signature and exclusive canonicalization",
            );
        };
        if algorithm(*enveloped, "Transform")? != ENVELOPED || !children(*enveloped).is_empty() {
            return Err("the first transform is not enveloped-signature");
        }
        let uri = reference.attribute("URI").unwrap_or_default();
        Ok(Self {
            signature_method: leaf_algorithm(*signature_method, "SignatureMethod")?,
            digest_method: leaf_algorithm(*digest_method, "DigestMethod")?,
            digest: decode_base64(&text(*digest_value)?).ok_or("DigestValue is not base64")?,
            reference: uri
                .strip_prefix('#')
                .ok_or("the reference is not of the form #ID")?
                .to_owned(),
            prefixes,
            transform_prefixes: exclusive_prefixes(*exclusive, "Transform")?,
        })
    }
}

/// The child elements of an element with this name in the XML signature namespace.
fn named_children<'a, 'i>(
    node: Node<'a, 'i>,
    name: &str,
) -> Result<Vec<Node<'a, 'i>>, &'static str> {
    match has_name(node, DSIG, name) {
        true => Ok(children(node)),
        false => Err("the signature has unexpected parts"),
    }
}

fn algorithm<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, &'static str> {
    match has_name(node, DSIG, name) {
        true => node.attribute("Algorithm").ok_or("an algorithm is missing"),
        false => Err("the signature has unexpected parts"),
    }
}

/// The algorithm of a method without parameters, such as a truncation length.
fn leaf_algorithm(node: Node<'_, '_>, name: &str) -> Result<String, &'static str> {
    match children(node).is_empty() {
        true => algorithm(node, name).map(str::to_owned),
        false => Err("a method of the signature has parameters"),
    }
}

/// The `PrefixList` of an exclusive canonicalization; empty if there is none.
fn exclusive_prefixes(node: Node<'_, '_>, name: &str) -> Result<Vec<String>, &'static str> {
    if algorithm(node, name)? != EXCLUSIVE {
        return Err("the canonicalization is not exclusive and without comments");
    }
    let list = match children(node).as_slice() {
        [] => return Ok(Vec::new()),
        // Empty by its schema: what is below it would be canonicalized before the signature is verified.
        [list]
            if has_name(*list, EXCLUSIVE, "InclusiveNamespaces") && children(*list).is_empty() =>
        {
            *list
        }
        _ => return Err("the canonicalization has unexpected parts"),
    };
    let prefixes: Vec<String> = list
        .attribute("PrefixList")
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    match prefixes.len() <= MAX_INCLUSIVE_PREFIXES {
        true => Ok(prefixes),
        false => Err("the canonicalization names too many prefixes"),
    }
}
