//! The certificate and key of `web.https`, read from their files.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::config::{Https, TlsVersion};

/// Describes what is wrong, with the name of the file.
pub fn server_config(https: &Https) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_file_iter(&https.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unreadable(&https.cert_file, &e.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&https.key_file)
        .map_err(|e| unreadable(&https.key_file, &e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions(https))
        .map_err(|e| format!("web.https: {e}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| unreadable(&https.cert_file, &e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn versions(https: &Https) -> Vec<&'static SupportedProtocolVersion> {
    let newest = https.max_version.unwrap_or(TlsVersion::Tls13);
    let both = [(TlsVersion::Tls13, &version::TLS13), (TlsVersion::Tls12, &version::TLS12)];
    let allowed = both.into_iter().filter(|(v, _)| (https.min_version..=newest).contains(v));
    allowed.map(|(_, version)| version).collect()
}

fn unreadable(file: &Path, reason: &str) -> String {
    format!("{}: {reason}", file.display())
}
