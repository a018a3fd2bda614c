//! Recently used refresh tokens of an upstream that rotates them, with the tokens they were exchanged for.
//!
//! A step after the exchange can fail: fetching keys, reading groups, our own commit. The next attempt then presents
//! the used token again, which the upstream no longer accepts, and receives the tokens of the first exchange from here.
//! Kept in memory per replica, for five minutes and at most 1,024 tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_core::Secret;
use countersign_jose::hash;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Tokens;

const LIFETIME: Duration = Duration::from_mins(5);
/// Above this number the oldest is removed.
const MAX_TOKENS: usize = 1024;

#[derive(Clone, Default)]
pub(crate) struct UsedRefreshTokens(Arc<Inner>);

#[derive(Default)]
struct Inner {
    successors: Mutex<HashMap<String, (Tokens, Instant)>>,
    /// A lock for each token that is being exchanged.
    turns: Mutex<HashMap<String, TokenLock>>,
}

type TokenLock = Arc<tokio::sync::Mutex<()>>;

impl UsedRefreshTokens {
    /// Waits while another request exchanges the same token, whose result is then available.
    pub(super) async fn turn(&self, token: &Secret) -> OwnedMutexGuard<()> {
        let turn = match self.0.turns.lock() {
            Ok(mut turns) => {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
                turns.entry(hash::sha256(token.expose())).or_default().clone()
            }
            Err(_) => TokenLock::default(),
        };
        turn.lock_owned().await
    }

    pub(super) fn tokens_for(&self, token: &Secret) -> Option<Tokens> {
        let successors = self.0.successors.lock().ok()?;
        let (tokens, at) = successors.get(&hash::sha256(token.expose()))?;
        (at.elapsed() < LIFETIME).then(|| tokens.clone())
    }

    pub(super) fn remember(&self, token: &Secret, tokens: &Tokens) {
        let Ok(mut successors) = self.0.successors.lock() else { return };
        successors.retain(|_, (_, at)| at.elapsed() < LIFETIME);
        if successors.len() >= MAX_TOKENS
            && let Some(oldest) =
                successors.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone())
        {
            successors.remove(&oldest);
        }
        successors.insert(hash::sha256(token.expose()), (tokens.clone(), Instant::now()));
    }
}
