//! Certificates from the configuration: parsing PEM, the certificate authorities that a connector over HTTP trusts
//! ([`Roots`]), and the two fields of a certificate (RFC 5280 section 4.1) that the `saml` connector needs: public key
//! and validity period.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::{FilesRead, Item, Section};
use countersign_core::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::ber::{self, Element};
use crate::ldap::tls;

/// Reads `text`, which is a path, PEM, or base64 of PEM, as in Dex. The error is a sentence for a configuration
/// problem.
pub(crate) fn read_pem(text: &str, files: &FilesRead) -> Result<Vec<u8>, String> {
    if text.contains("-----BEGIN") {
        return Ok(text.as_bytes().to_vec());
    }
    let inline = decode_base64(text).filter(|bytes| bytes.starts_with(b"-----BEGIN"));
    match inline {
        Some(pem) => Ok(pem),
        None => files.read(text).map_err(|e| format!("cannot read {text}: {e}")),
    }
}

/// Decodes base64 that may contain white space.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(joined).ok()
}

/// Parses PEM with at least one certificate. The error is a sentence for a configuration problem.
pub(crate) fn certificates_of_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match list {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err("holds no certificate in PEM".to_owned()),
        Err(e) => Err(format!("is not PEM: {e}")),
    }
}

/// Certificate authorities in addition to the system's, and whether certificates are verified at all.
pub(crate) struct Roots {
    /// The configuration key, for problems.
    pub key: &'static str,
    roots: Vec<CertificateDer<'static>>,
    skip_verify: bool,
}

impl Roots {
    /// `rootCAs` (each a path, base64 of PEM, or PEM) and `insecureSkipVerify`. `None` with problems recorded.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let roots = Self::read_list(section);
        let skip_verify = section.flag("insecureSkipVerify").unwrap_or(false);
        if skip_verify {
            section.warning("insecureSkipVerify", "lets anybody on the way sign in as anybody");
        }
        roots.map(|roots| Self { skip_verify, ..roots })
    }

    /// Only `rootCAs`: the upstream is a public service, so at most a company's TLS-inspecting proxy needs one.
    pub fn read_list(section: &Section<'_>) -> Option<Self> {
        let mut roots = Self::of_system("rootCAs");
        let mut sound = true;
        for item in section.items("rootCAs") {
            let Some(text) = item.text() else {
                sound = false;
                continue;
            };
            sound &= roots.add(&item, read_pem(&text, item.files()));
        }
        sound.then_some(roots)
    }

    /// `rootCA`: one path, base64 of PEM, or PEM.
    pub fn read_file(section: &Section<'_>) -> Option<Self> {
        let mut roots = Self::of_system("rootCA");
        let Some(item) = section.item("rootCA") else { return Some(roots) };
        let text = item.text()?;
        (text.is_empty() || roots.add(&item, read_pem(&text, item.files()))).then_some(roots)
    }

    /// As [`Roots::read_file`]; without the key, the file that an environment variable (its name and value) contains.
    pub fn read_file_or(section: &Section<'_>, variable: Option<(&str, String)>) -> Option<Self> {
        let configured = Self::read_file(section)?;
        let Some((name, path)) = variable.filter(|_| !section.has("rootCA")) else {
            return Some(configured);
        };
        match read_pem(&path, section.files()).and_then(|pem| certificates_of_pem(&pem)) {
            Ok(roots) => Some(Self { roots, ..configured }),
            Err(reason) => {
                section.error("rootCA", format!("the file of {name} ({path}): {reason}"));
                None
            }
        }
    }

    /// `rootCAData`, base64 of PEM.
    pub fn read_data(section: &Section<'_>) -> Option<Self> {
        let mut roots = Self::of_system("rootCAData");
        let Some(item) = section.item("rootCAData") else { return Some(roots) };
        let pem = decode_base64(&item.text()?).ok_or_else(|| "is not base64".to_owned());
        roots.add(&item, pem).then_some(roots)
    }

    /// With `skip_verify` every certificate is accepted.
    pub fn skip_verify_if(self, skip_verify: bool) -> Self {
        Self { skip_verify, ..self }
    }

    /// Only the system's authorities. `key` is the connector's key for problems.
    fn of_system(key: &'static str) -> Self {
        Self { key, roots: Vec::new(), skip_verify: false }
    }

    fn add(&mut self, item: &Item<'_>, pem: Result<Vec<u8>, String>) -> bool {
        match pem.and_then(|pem| certificates_of_pem(&pem)) {
            Ok(mut list) => {
                self.roots.append(&mut list);
                true
            }
            Err(reason) => {
                item.error(reason);
                false
            }
        }
    }

    /// The TLS configuration. The error is a sentence for a configuration problem.
    pub fn config(self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = if self.skip_verify {
            tls::no_verification(&provider)
        } else {
            let mut store = RootCertStore::empty();
            // An unreadable source is skipped and does not empty the store.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            for certificate in &self.roots {
                store
                    .add(certificate.clone())
                    .map_err(|e| format!("holds an unusable certificate: {e}"))?;
            }
            if store.is_empty() {
                return Err("is missing, and the system has no certificates of its own".to_owned());
            }
            tls::verifier(store, self.roots, &provider)?
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

/// The public key and the validity period of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct CertificateKey {
    /// `SubjectPublicKeyInfo`, DER.
    pub public_key: Vec<u8>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXPLICIT_VERSION: u8 = 0xa0;

impl CertificateKey {
    /// `None` if it is not an X.509 certificate. Its signature is not verified, because the configuration is trusted.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = ber::sequence(der)?;
        let to_be_signed = certificate.first().filter(|element| element.tag == SEQUENCE)?;
        let fields = ber::children(der, *to_be_signed)?;
        let has_version = fields.first()?.tag == EXPLICIT_VERSION;
        // serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
        let fields = fields.get(usize::from(has_version)..)?;
        let validity = fields.get(3).filter(|element| element.tag == SEQUENCE)?;
        let times = ber::children(der, *validity)?;
        let key = fields.get(5).filter(|element| element.tag == SEQUENCE)?;
        let header = fields.get(4)?.end;
        Some(Self {
            public_key: der.get(header..key.end)?.to_vec(),
            not_before: time(der, *times.first()?)?,
            not_after: time(der, *times.get(1)?)?,
        })
    }

    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5).
fn time(der: &[u8], element: Element) -> Option<Timestamp> {
    let text = std::str::from_utf8(element.body(der)).ok()?;
    let full = match element.tag {
        UTC_TIME if text < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let digits = full.strip_suffix('Z')?;
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    use super::CertificateKey;

    #[test]
    fn key_and_validity_are_read_from_a_certificate() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["idp.example.com".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 2, 29);
        params.not_after = rcgen::date_time_ymd(2070, 12, 31);
        let certificate = params.self_signed(&key).unwrap();
        let read = CertificateKey::read(certificate.der()).unwrap();
        assert_eq!(read.public_key, key.subject_public_key_info());
        assert_eq!(read.not_before.to_string(), "2020-02-29T00:00:00Z");
        assert_eq!(read.not_after.to_string(), "2070-12-31T00:00:00Z");
        assert!(read.is_valid_at("2026-11-27T00:00:00Z".parse().unwrap()));
        assert!(!read.is_valid_at("2071-01-01T00:00:00Z".parse().unwrap()));
        for end in 0..certificate.der().len() {
            assert!(CertificateKey::read(&certificate.der()[..end]).is_none(), "{end}");
        }
    }
}
