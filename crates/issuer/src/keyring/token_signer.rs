//! What signs a token: a key of our own, or one that another service keeps; and the threads where signatures and the
//! generation of keys may block.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use countersign_jose::{Algorithm, ExternalKey, Signer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::external::ExternalKeys;
use crate::IssuerError;

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

/// Runs work on a thread where it may block.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, IssuerError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| IssuerError::Broken(e.to_string()))
}

/// Signs on a bounded number of threads. Without the bound every concurrent token request would have a thread with a
/// signature to compute, and the threads of the requests and of the database would get a small share of the processor.
pub(crate) struct SigningThreads(Arc<Semaphore>);

impl Default for SigningThreads {
    /// One more than there are processors, so that none waits for the next signature to be handed to it.
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self::new(processors + 1)
    }
}

impl SigningThreads {
    fn new(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads)))
    }

    /// Waits for its turn, which is in the order of the calls.
    pub(crate) async fn turn(&self) -> Result<SigningTurn, IssuerError> {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let permit = permit.map_err(|e| IssuerError::Broken(e.to_string()))?;
        Ok(SigningTurn(Arc::new(permit)))
    }
}

/// One of the threads, for several signatures one after another: until it is dropped and its work has ended.
pub(crate) struct SigningTurn(Arc<OwnedSemaphorePermit>);

impl SigningTurn {
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, IssuerError> {
        let permit = Arc::clone(&self.0);
        run_blocking(move || {
            // Held until the work ends, even if the caller no longer waits for it.
            let _permit = permit;
            work()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::SigningThreads;

    #[tokio::test]
    async fn no_more_signatures_run_at_once_than_there_are_threads() {
        let threads = Arc::new(SigningThreads::new(2));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let (threads, running, most) = (threads.clone(), running.clone(), most.clone());
            all.spawn(async move {
                let turn = threads.turn().await.unwrap();
                let signed = turn.run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                });
                signed.await.unwrap();
            });
        }
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
        let most = most.load(Ordering::SeqCst);
        assert!((1..=2).contains(&most), "{most} at once");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_thread() {
        let threads = SigningThreads::new(1);
        let turn = threads.turn().await.unwrap();
        assert!(turn.run(|| -> u32 { panic!("a defect") }).await.is_err());
        drop(turn);
        assert_eq!(threads.turn().await.unwrap().run(|| 7).await.unwrap(), 7);
    }
}
