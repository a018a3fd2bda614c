//! Whom a connector believes to be its upstream: the system's certificate authorities and those of its own
//! configuration.

use std::fs;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::{Item, Section};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::ldap::tls::verifier;

/// Certificate authorities besides the system's, and whether they are asked at all.
pub(crate) struct Roots {
    /// Where they are configured, for problems.
    pub key: &'static str,
    given: Vec<CertificateDer<'static>>,
    skip_verify: bool,
}

impl Roots {
    /// `rootCAs` (each a path, base64 of PEM, or PEM) and `insecureSkipVerify`. `None` with problems noted.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let roots = Self::read_list(section);
        let skip_verify = section.flag("insecureSkipVerify").unwrap_or(false);
        if skip_verify {
            section.warning("insecureSkipVerify", "lets anybody on the way sign in as anybody");
        }
        roots.map(|roots| Self { skip_verify, ..roots })
    }

    /// `rootCAs` alone: the upstream is on the internet, and only a company's own proxy is in between.
    pub fn read_list(section: &Section<'_>) -> Option<Self> {
        let mut roots = Self::of_system("rootCAs");
        let mut sound = true;
        for item in section.items("rootCAs") {
            let Some(text) = item.text() else {
                sound = false;
                continue;
            };
            sound &= roots.add(&item, pem_of(&text));
        }
        sound.then_some(roots)
    }

    /// `rootCA`: one path, base64 of PEM, or PEM.
    pub fn read_file(section: &Section<'_>) -> Option<Self> {
        let mut roots = Self::of_system("rootCA");
        let Some(item) = section.item("rootCA") else { return Some(roots) };
        let text = item.text()?;
        (text.is_empty() || roots.add(&item, pem_of(&text))).then_some(roots)
    }

    /// `rootCAData`, base64 of PEM.
    pub fn read_data(section: &Section<'_>) -> Option<Self> {
        let mut roots = Self::of_system("rootCAData");
        let Some(item) = section.item("rootCAData") else { return Some(roots) };
        let pem = decoded(&item.text()?).ok_or_else(|| "is not base64".to_owned());
        roots.add(&item, pem).then_some(roots)
    }

    /// Only the system's. `key` names the connector's own key for problems.
    fn of_system(key: &'static str) -> Self {
        Self { key, given: Vec::new(), skip_verify: false }
    }

    fn add(&mut self, item: &Item<'_>, pem: Result<Vec<u8>, String>) -> bool {
        match pem.and_then(|pem| certificates(&pem)) {
            Ok(mut list) => {
                self.given.append(&mut list);
                true
            }
            Err(why) => {
                item.error(why);
                false
            }
        }
    }

    /// `Err` in the words of a configuration problem.
    pub fn config(self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = if self.skip_verify {
            verifier::any(&provider)
        } else {
            let mut store = RootCertStore::empty();
            // One unreadable source does not empty the store.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            for certificate in &self.given {
                store
                    .add(certificate.clone())
                    .map_err(|e| format!("holds an unusable certificate: {e}"))?;
            }
            if store.is_empty() {
                return Err("is missing, and the system has no certificates of its own".to_owned());
            }
            verifier::against(store, self.given, &provider)?
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

/// As Dex finds it: what is no file may be the certificate itself.
fn pem_of(text: &str) -> Result<Vec<u8>, String> {
    if text.contains("-----BEGIN") {
        return Ok(text.as_bytes().to_vec());
    }
    fs::read(text).or_else(|e| {
        let inline = decoded(text).filter(|bytes| bytes.starts_with(b"-----BEGIN"));
        inline.ok_or_else(|| format!("cannot read {text}: {e}"))
    })
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.split_whitespace().collect();
    STANDARD.decode(joined).ok()
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match list {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err("holds no certificate in PEM".to_owned()),
        Err(e) => Err(format!("is not PEM: {e}")),
    }
}
