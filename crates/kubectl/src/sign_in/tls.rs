//! TLS for an https redirect to loopback (kubelogin's `--local-server-cert` and `--local-server-key`), for issuers that
//! register no other redirect URI.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::error::Error;

/// # Errors
/// A file cannot be read, is not PEM, or the key does not belong to the certificate.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let refused = |option: &str, file: &Path, cause: &dyn std::fmt::Display| {
        Error::Local(format!("{option} {}: {cause}", file.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| refused("--local-server-cert", certificate, &cause))?;
    let private_key = PrivateKeyDer::from_pem_file(key)
        .map_err(|cause| refused("--local-server-key", key, &cause))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| refused("--local-server-cert", certificate, &cause))?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|cause| refused("--local-server-cert", certificate, &cause))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
