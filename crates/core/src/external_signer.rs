//! The trait of a signing key that another service keeps, such as the transit secrets engine of Vault or OpenBao.
//! Which version signs, and what is published, is decided in `countersign_issuer`.

use std::fmt;

use async_trait::async_trait;

use crate::Timestamp;
use crate::connector::ConnectorError;

/// The versions of the key that the service still accepts, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalKeyVersions {
    pub versions: Vec<ExternalKeyVersion>,
    /// Older versions only verify.
    pub min_signing_version: i64,
    /// What an administrator should act on soon: a credential that expires.
    pub warning: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalKeyVersion {
    pub number: i64,
    /// `SubjectPublicKeyInfo` in PEM.
    pub public_key: String,
    pub created_at: Timestamp,
}

/// A service that keeps a signing key. Its errors distinguish what passes by itself from what an administrator must
/// correct, as those of a connector do.
#[async_trait]
pub trait ExternalSigner: fmt::Debug + Send + Sync {
    /// The key and where it is kept, for messages: `transit/keys/dex at https://vault.example.com`.
    fn name(&self) -> &str;

    /// How an administrator makes the next version, as a command.
    fn rotation(&self) -> &str;

    /// Reads the versions. Called every 30 seconds; the service's credential is renewed with it.
    async fn versions(&self) -> Result<ExternalKeyVersions, ConnectorError>;

    /// Signs a SHA-256, SHA-384 or SHA-512 hash, distinguished by its length, with this version. The signature has the
    /// form of RFC 7518 sections 3.3 and 3.4.
    async fn sign(&self, version: i64, digest: &[u8]) -> Result<Vec<u8>, ConnectorError>;
}
