//! What signs a token: a key of our own, or one that another service keeps.

use std::sync::Arc;

use countersign_jose::{Algorithm, ExternalKey, Signer};

use super::external::ExternalKeys;
use super::run_blocking;
use crate::IssuerError;

#[derive(Clone)]
pub(crate) enum TokenSigner {
    /// Signs on a blocking thread.
    Local(Arc<Signer>),
    /// One version of a key that another service keeps.
    External { keys: Arc<ExternalKeys>, version: i64, key: Arc<ExternalKey> },
}

impl TokenSigner {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Local(signer) => signer.algorithm(),
            Self::External { key, .. } => key.algorithm(),
        }
    }

    pub(crate) fn kid(&self) -> &str {
        match self {
            Self::Local(signer) => signer.kid(),
            Self::External { key, .. } => key.kid(),
        }
    }

    /// Signs the claims unchanged. `typ` is `None` for an ID token, whose header is then as in Dex. Fails as
    /// unavailable or misconfigured if another service keeps the key; then nothing may have been consumed yet.
    pub(crate) async fn sign(
        &self,
        typ: Option<&'static str>,
        claims_json: Vec<u8>,
    ) -> Result<String, IssuerError> {
        match self {
            Self::Local(signer) => {
                let signer = Arc::clone(signer);
                Ok(run_blocking(move || signer.sign(typ, &claims_json)).await??)
            }
            Self::External { keys, version, key } => {
                let unsigned = key.prepare(typ, &claims_json)?;
                let signature = keys.sign(*version, unsigned.digest()).await?;
                Ok(key.complete(&unsigned, &signature)?)
            }
        }
    }
}
