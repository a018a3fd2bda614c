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
use tokio::time::Instant;

use super::Tokens;

const KEPT: Duration = Duration::from_secs(5 * 60);
/// Beyond it the oldest is forgotten.
const MOST: usize = 1024;

#[derive(Clone, Default)]
pub(crate) struct Spent(Arc<Mutex<HashMap<String, (Tokens, Instant)>>>);

impl Spent {
    pub(super) fn given_for(&self, token: &Secret) -> Option<Tokens> {
        let spent = self.0.lock().ok()?;
        let (tokens, at) = spent.get(&hash::sha256(token.expose()))?;
        (at.elapsed() < KEPT).then(|| tokens.clone())
    }

    pub(super) fn remember(&self, token: &Secret, tokens: &Tokens) {
        let Ok(mut spent) = self.0.lock() else { return };
        spent.retain(|_, (_, at)| at.elapsed() < KEPT);
        if spent.len() >= MOST
            && let Some(oldest) =
                spent.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone())
        {
            spent.remove(&oldest);
        }
        spent.insert(hash::sha256(token.expose()), (tokens.clone(), Instant::now()));
    }
}
