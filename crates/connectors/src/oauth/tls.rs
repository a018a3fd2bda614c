//! The certificate authorities that a connector trusts: the system's and those of its configuration.

use std::sync::Arc;

use countersign_config::{Item, Section};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::certificates::{certificates_of_pem, decode_base64, read_pem};
use crate::ldap::tls;

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
