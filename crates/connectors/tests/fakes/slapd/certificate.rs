//! The certificates that the directory server may present.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

/// The certificate that the server presents. In every case `ca.pem` is the certificate that the connector is configured
/// to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, `127.0.0.1` and `::1`, signed by the CA of `ca.pem`.
    FromCa,
    /// The same, and clients must present one that this CA signed.
    FromCaDemandingOne,
    /// Its own CA, as `openssl req -x509` makes it; `ca.pem` is the same certificate.
    SelfSignedCa,
    /// As the one before, but expired.
    SelfSignedCaExpired,
    /// As [`Certificate::SelfSignedCa`], but for another host.
    SelfSignedCaOtherHost,
    /// Signed by the CA, for another host.
    OtherHost,
    /// Signed by the CA, but expired.
    Expired,
}

impl Certificate {
    /// `ca.pem`, `server.pem` and `server.key`; where there is a CA also `client.pem` and
    /// `client.key`.
    pub(super) fn write(self, folder: &Path) {
        let key = KeyPair::generate().expect("a key");
        let mut own = CertificateParams::new(self.names()).expect("names");
        if matches!(self, Self::Expired | Self::SelfSignedCaExpired) {
            own.not_before = date_time_ymd(2019, 1, 1);
            own.not_after = date_time_ymd(2020, 1, 1);
        }
        let (ca, server) = if self.is_self_signed() {
            own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = own.self_signed(&key).expect("a certificate").pem();
            (pem.clone(), pem)
        } else {
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let ca_key = KeyPair::generate().expect("a key");
            let ca = CertifiedIssuer::self_signed(params, ca_key).expect("a CA");
            write_client(folder, &ca);
            (ca.pem(), own.signed_by(&key, &ca).expect("a certificate").pem())
        };
        for (name, content) in
            [("ca.pem", ca), ("server.pem", server), ("server.key", key.serialize_pem())]
        {
            fs::write(folder.join(name), content).expect("a file for slapd");
        }
    }

    fn is_self_signed(self) -> bool {
        matches!(self, Self::SelfSignedCa | Self::SelfSignedCaExpired | Self::SelfSignedCaOtherHost)
    }

    fn names(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::OtherHost | Self::SelfSignedCaOtherHost => &["elsewhere.example.com"],
            _ => &["localhost", "127.0.0.1", "::1"],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

fn write_client(folder: &Path, ca: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["client.example.com".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, ca).expect("a certificate");
    fs::write(folder.join("client.pem"), certificate.pem()).expect("a file for the client");
    fs::write(folder.join("client.key"), key.serialize_pem()).expect("a file for the client");
}
