//! TLS to the directory with our own rustls configuration, independent of ldap3's defaults. TLS 1.2 is the minimum.
//!
//! In addition to rustls's rules for the server's certificate one case is accepted, as in Go and thus in Dex, because
//! `openssl req -x509` creates it by default: a self-signed CA certificate as the server's own, if exactly that certificate
//! is configured as `rootCA`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_config::{FilesRead, Section};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::config::Tls;

/// The parsed keys about certificates, before the files are read.
pub(super) struct TlsSettings {
    skip_verify: bool,
    /// A path.
    root_ca: Option<String>,
    root_ca_data: Option<String>,
    client: Option<(String, String)>,
    sound: bool,
}

impl TlsSettings {
    pub fn read(section: &Section<'_>) -> Self {
        let configured = |key| section.text(key).filter(|text| !text.is_empty());
        let (cert, key) = (configured("clientCert"), configured("clientKey"));
        let sound = cert.is_some() == key.is_some();
        if !sound {
            let missing = if cert.is_none() { "clientCert" } else { "clientKey" };
            section.error(missing, "is missing: clientCert and clientKey go together");
        }
        Self {
            skip_verify: section.flag("insecureSkipVerify").unwrap_or(false),
            root_ca: configured("rootCA"),
            root_ca_data: configured("rootCAData"),
            client: cert.zip(key),
            sound,
        }
    }

    /// Warns of keys that have no effect with `insecureNoSSL`.
    pub fn warn_unused(&self, section: &Section<'_>) {
        for (key, is_set) in [
            ("rootCA", self.root_ca.is_some()),
            ("rootCAData", self.root_ca_data.is_some()),
            ("clientCert", self.client.is_some()),
        ] {
            if is_set {
                section.warning(key, "does nothing, because insecureNoSSL is true");
            }
        }
    }

    /// Reads the files. `None`, with problems recorded, if one cannot be read or is invalid.
    pub fn build(self, section: &Section<'_>) -> Option<Tls> {
        let roots = self.configured_roots(section);
        let client = match &self.client {
            Some((cert, key)) => read_client(section, cert, key).map(Some),
            None => Some(None),
        };
        let (roots, client) = (roots?, client?);
        if !self.sound {
            return None;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verified = !self.skip_verify;
        let note = |reason: String| section.error("rootCA", reason);
        let verifier = if verified {
            let store = root_store(&roots).map_err(note).ok()?;
            verifier(store, roots, &provider).map_err(note).ok()?
        } else {
            section.warning("insecureSkipVerify", "lets anybody on the way read every password");
            no_verification(&provider)
        };
        let config = client_config(provider, verifier, client);
        let config = config.map_err(|e| section.error("clientCert", e.to_string())).ok()?;
        Some(Tls { config: Arc::new(config), verified })
    }

    fn configured_roots(&self, section: &Section<'_>) -> Option<Vec<CertificateDer<'static>>> {
        let mut roots = Vec::new();
        let mut sound = true;
        let file = self.root_ca.as_ref().map(|path| ("rootCA", read_file(path, section.files())));
        let data = self.root_ca_data.as_ref().map(|text| {
            let joined: String = text.split_whitespace().collect();
            ("rootCAData", STANDARD.decode(joined).map_err(|_| "is not base64".to_owned()))
        });
        for (key, pem) in [file, data].into_iter().flatten() {
            match pem.and_then(|pem| certificates(&pem)) {
                Ok(mut certificates) => roots.append(&mut certificates),
                Err(reason) => {
                    section.error(key, reason);
                    sound = false;
                }
            }
        }
        sound.then_some(roots)
    }
}

fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// The given certificates only, or the system's if there are none.
fn root_store(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    if certificates.is_empty() {
        // An unreadable source is skipped; inside ldap3 it would empty the store.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        for certificate in certificates {
            store
                .add(certificate.clone())
                .map_err(|e| format!("holds an unusable certificate: {e}"))?;
        }
    }
    if store.is_empty() {
        return Err("is missing, and the system has no certificates of its own".to_owned());
    }
    Ok(store)
}

fn read_client(
    section: &Section<'_>,
    cert: &str,
    key: &str,
) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = read_file(cert, section.files()).and_then(|pem| certificates(&pem));
    let chain = chain.map_err(|reason| section.error("clientCert", reason)).ok();
    let key = read_file(key, section.files()).and_then(|pem| {
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "holds no private key in PEM".to_owned())
    });
    let key = key.map_err(|reason| section.error("clientKey", reason)).ok();
    chain.zip(key)
}

fn read_file(path: &str, files: &FilesRead) -> Result<Vec<u8>, String> {
    files.read(path).map_err(|e| format!("cannot read {path}: {e}"))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match list {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err("holds no certificate in PEM".to_owned()),
        Err(e) => Err(format!("is not PEM: {e}")),
    }
}

/// Verifies against `roots`; `pinned` are the certificates of the configuration.
pub(crate) fn verifier(
    roots: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| e.to_string())?;
    Ok(Arc::new(Verifier { inner: Some(inner), pinned, algorithms: algorithms(provider) }))
}

/// `insecureSkipVerify`: only possession of the certificate's private key is verified.
pub(crate) fn no_verification(provider: &Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Verifier { inner: None, pinned: Vec::new(), algorithms: algorithms(provider) })
}

fn algorithms(provider: &Arc<CryptoProvider>) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

#[derive(Debug)]
struct Verifier {
    inner: Option<Arc<WebPkiServerVerifier>>,
    pinned: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // webpki has checked the validity period before it returns this error, but not the name.
            Err(error) if is_ca_as_end_entity(&error) && self.pinned.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// rustls has no variant for this error and wraps webpki's. If its name changed, such a server would be refused, and a
/// test here would fail.
fn is_ca_as_end_entity(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other))
        if format!("{other:?}").contains("CaUsedAsEndEntity"))
}
