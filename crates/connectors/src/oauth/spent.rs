//! Refresh tokens that were just spent at an upstream that gives a new one each time.
//!
//! What comes after the spending may fail: the keys cannot be fetched, the groups cannot be read, our own
//! database does not take the new token. Then the old one, which the upstream no longer accepts, is brought again,
//! and what was given for it is still here. For this replica only and a few minutes; nothing is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_core::Secret;
use countersign_jose::hash;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Tokens;

const KEPT: Duration = Duration::from_secs(5 * 60);
/// Beyond it the oldest is forgotten.
const MOST: usize = 1024;

#[derive(Clone, Default)]
pub(crate) struct Spent(Arc<Inner>);

#[derive(Default)]
struct Inner {
    given: Mutex<HashMap<String, (Tokens, Instant)>>,
    /// One for each token that is being spent now.
    turns: Mutex<HashMap<String, Turn>>,
}

type Turn = Arc<tokio::sync::Mutex<()>>;

impl Spent {
    /// Whoever comes with a token that is being spent waits here, and then finds what was given for it.
    pub(super) async fn turn(&self, token: &Secret) -> OwnedMutexGuard<()> {
        let turn = match self.0.turns.lock() {
            Ok(mut turns) => {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
                turns.entry(hash::sha256(token.expose())).or_default().clone()
            }
            Err(_) => Turn::default(),
        };
        turn.lock_owned().await
    }

    pub(super) fn given_for(&self, token: &Secret) -> Option<Tokens> {
        let given = self.0.given.lock().ok()?;
        let (tokens, at) = given.get(&hash::sha256(token.expose()))?;
        (at.elapsed() < KEPT).then(|| tokens.clone())
    }

    pub(super) fn remember(&self, token: &Secret, tokens: &Tokens) {
        let Ok(mut given) = self.0.given.lock() else { return };
        given.retain(|_, (_, at)| at.elapsed() < KEPT);
        if given.len() >= MOST
            && let Some(oldest) =
                given.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone())
        {
            given.remove(&oldest);
        }
        given.insert(hash::sha256(token.expose()), (tokens.clone(), Instant::now()));
    }
}
