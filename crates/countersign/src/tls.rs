//! Certificates and keys of `web.https` and `grpc`, read from their files.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::config::{GrpcTls, Https, TlsVersion};

type Versions = (TlsVersion, Option<TlsVersion>);

/// The TLS configuration. The error describes the defect with the file name.
pub fn server_config(https: &Https) -> Result<Arc<ServerConfig>, String> {
    let versions = (https.min_version, https.max_version);
    let mut config = configured(&https.cert_file, &https.key_file, versions, None)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// As [`server_config`], for `grpc`: only HTTP/2, and client certificates if authorities are configured.
pub fn grpc_server_config(tls: &GrpcTls) -> Result<Arc<ServerConfig>, String> {
    let clients = tls.client_ca_file.as_deref().map(client_verifier).transpose()?;
    let versions = (tls.min_version, tls.max_version);
    let mut config = configured(&tls.cert_file, &tls.key_file, versions, clients)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn configured(
    cert_file: &Path,
    key_file: &Path,
    allowed: Versions,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, String> {
    let chain = certificates(cert_file)?;
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|e| unreadable(key_file, &e.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions(allowed))
        .map_err(|e| format!("{}: {e}", cert_file.display()))?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(chain, key).map_err(|e| unreadable(cert_file, &e.to_string()))
}

/// Requires a certificate of one of the authorities in the file.
fn client_verifier(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(file)? {
        authorities.add(certificate).map_err(|e| unreadable(file, &e.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let verifier = verifier.build().map_err(|e| unreadable(file, &e.to_string()))?;
    Ok(verifier)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unreadable(file, &e.to_string()))
}

fn versions((min, max): Versions) -> Vec<&'static SupportedProtocolVersion> {
    let newest = max.unwrap_or(TlsVersion::Tls13);
    let both = [(TlsVersion::Tls13, &version::TLS13), (TlsVersion::Tls12, &version::TLS12)];
    let allowed = both.into_iter().filter(|(v, _)| (min..=newest).contains(v));
    allowed.map(|(_, version)| version).collect()
}

fn unreadable(file: &Path, reason: &str) -> String {
    format!("{}: {reason}", file.display())
}
