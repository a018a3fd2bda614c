//! What signs a token: a key of our own, or one that another service keeps.

use std::sync::Arc;

use countersign_jose::{Algorithm, ExternalKey, Signer};

use super::external::ExternalKeys;
use crate::IssuerError;
use crate::blocking::{SigningThreads, SigningTurn, run_blocking};

#[derive(Clone)]
pub(crate) enum TokenSigner {
    /// Signs on a blocking thread.
    Local(Arc<Signer>),
    /// One version of a key that another service keeps; a newer one signs if the service refuses this one by now.
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

    /// A thread for the signatures of a key of our own; another service needs none.
    pub(crate) async fn turn(
        &self,
        threads: &SigningThreads,
    ) -> Result<Option<SigningTurn>, IssuerError> {
        match self {
            Self::Local(_) => threads.turn().await.map(Some),
            Self::External { .. } => Ok(None),
        }
    }

    /// Waits for its turn and signs.
    pub(crate) async fn sign_in_turn(
        &self,
        threads: &SigningThreads,
        typ: Option<&'static str>,
        claims_json: Vec<u8>,
    ) -> Result<String, IssuerError> {
        let turn = self.turn(threads).await?;
        self.sign(turn.as_ref(), typ, claims_json).await
    }

    /// Signs the claims unchanged, in a turn of [`TokenSigner::turn`]. `typ` is `None` for an ID token, whose header is
    /// then as in Dex. Fails as unavailable or misconfigured if another service keeps the key; nothing may have been
    /// consumed before.
    pub(crate) async fn sign(
        &self,
        turn: Option<&SigningTurn>,
        typ: Option<&'static str>,
        claims_json: Vec<u8>,
    ) -> Result<String, IssuerError> {
        match self {
            Self::Local(signer) => {
                let signer = Arc::clone(signer);
                let work = move || signer.sign(typ, &claims_json);
                let signed = match turn {
                    Some(turn) => turn.run(work).await?,
                    None => run_blocking(work).await?,
                };
                Ok(signed?)
            }
            Self::External { keys, version, .. } => keys.sign(*version, typ, &claims_json).await,
        }
    }
}
