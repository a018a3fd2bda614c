//! A certificate authority for one test, and the certificate of its server.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use reqwest::Url;

use super::Server;

/// Writes `ca.crt`, `server.crt`, `server.key`, `client.crt` and `client.key` into `dir`.
pub fn write(dir: &Path, ip: Ipv4Addr) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "The test authority");
    let authority_certificate = authority.self_signed(&authority_key).unwrap();

    let server_key = KeyPair::generate().unwrap();
    let mut server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    server.subject_alt_names.push(SanType::IpAddress(ip.into()));
    server.use_authority_key_identifier_extension = true;
    let issuer = Issuer::new(authority, authority_key);
    let server_certificate = server.signed_by(&server_key, &issuer).unwrap();

    let client_key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(vec!["a-program".to_owned()]).unwrap();
    let client_certificate = client.signed_by(&client_key, &issuer).unwrap();

    std::fs::write(dir.join("client.crt"), client_certificate.pem()).unwrap();
    std::fs::write(dir.join("client.key"), client_key.serialize_pem()).unwrap();
    std::fs::write(authority_file(dir), authority_certificate.pem()).unwrap();
    std::fs::write(dir.join("server.crt"), server_certificate.pem()).unwrap();
    std::fs::write(dir.join("server.key"), server_key.serialize_pem()).unwrap();
}

/// Replaces the files of a server that runs: another authority, other certificates.
pub fn renew(server: &Server) {
    let origin = Url::parse(&server.origin()).unwrap();
    write(&server.file(""), origin.host_str().unwrap().parse().unwrap());
}

pub fn authority_file(dir: &Path) -> PathBuf {
    dir.join("ca.crt")
}
