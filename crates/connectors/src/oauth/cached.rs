//! What is kept in memory of an upstream: values fetched from it ([`Cached`]), and the successors of used refresh tokens
//! ([`UsedRefreshTokens`]).

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use countersign_core::Secret;
use countersign_jose::hash;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::{Tokens, UpstreamError};

/// For how long a failure is returned before fetching again.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// A value that is fetched from an upstream and cached: its metadata, its keys, an access token for its API.
///
/// One caller fetches it at first use while others wait. After a failure the error is returned for three seconds; the
/// next caller then fetches again, so that a recovered upstream is used without a restart.
pub(crate) struct Cached<T>(tokio::sync::Mutex<State<T>>);

struct State<T> {
    value: Option<Arc<T>>,
    /// When `value` was last fetched or attempted.
    requested_at: Option<Instant>,
    fresh_until: Option<Instant>,
    failed: Option<UpstreamError>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        let state = State { value: None, requested_at: None, fresh_until: None, failed: None };
        Self(tokio::sync::Mutex::new(state))
    }
}

impl<T> Cached<T> {
    /// The value, fetched if there is none or it is stale. `fetch` returns the value and for how long it is fresh.
    pub async fn get<F>(&self, fetch: F) -> Result<Arc<T>, UpstreamError>
    where
        F: Future<Output = Result<(T, Duration), UpstreamError>>,
    {
        let mut state = self.0.lock().await;
        let now = Instant::now();
        match (&state.value, state.fresh_until) {
            (Some(value), Some(until)) if now < until => return Ok(value.clone()),
            _ => {}
        }
        if let (Some(failure), Some(requested_at)) = (&state.failed, state.requested_at)
            && now.duration_since(requested_at) < RETRY_AFTER
        {
            return Err(failure.clone());
        }
        state.fetch(fetch).await
    }

    /// Fetches again because `known`, returned by [`Cached::get`], lacks something; unless that was attempted less than
    /// `at_least` ago. If another caller has fetched a newer value since, that is returned.
    pub async fn newer<F>(
        &self,
        known: &Arc<T>,
        at_least: Duration,
        fetch: F,
    ) -> Option<Result<Arc<T>, UpstreamError>>
    where
        F: Future<Output = Result<(T, Duration), UpstreamError>>,
    {
        let mut state = self.0.lock().await;
        if let Some(value) = state.value.as_ref().filter(|value| !Arc::ptr_eq(value, known)) {
            return Some(Ok(value.clone()));
        }
        if state.requested_at.is_some_and(|requested_at| requested_at.elapsed() < at_least) {
            return None;
        }
        Some(state.fetch(fetch).await)
    }
}

impl<T> State<T> {
    async fn fetch<F>(&mut self, fetch: F) -> Result<Arc<T>, UpstreamError>
    where
        F: Future<Output = Result<(T, Duration), UpstreamError>>,
    {
        // Set before the await, so that a fetch counts even if its caller is dropped.
        self.requested_at = Some(Instant::now());
        match fetch.await {
            Ok((value, lifetime)) => {
                let value = Arc::new(value);
                self.value = Some(value.clone());
                self.fresh_until = Instant::now().checked_add(lifetime);
                self.failed = None;
                Ok(value)
            }
            Err(failure) => {
                self.requested_at = Some(Instant::now());
                self.failed = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

const LIFETIME: Duration = Duration::from_mins(5);
/// Above this number the oldest is removed.
const MAX_TOKENS: usize = 1024;

/// Recently used refresh tokens of an upstream that rotates them, with the tokens they were exchanged for.
///
/// A step after the exchange can fail: fetching keys, reading groups, our own commit. What the upstream returned is then
/// stored with the session (`Refresh::successor`), and the next attempt asks the upstream again. If that was not possible
/// either, it presents the used token, which the upstream no longer accepts, and receives the tokens of the first
/// exchange from here.
/// Kept in memory per replica, for five minutes and at most 1,024 tokens. A connector that replaces another, at a reload
/// for example, shares those of the other ([`UsedRefreshTokens::share`]).
#[derive(Clone, Default)]
pub(crate) struct UsedRefreshTokens(Arc<RwLock<Arc<TokenTable>>>);

#[derive(Default)]
struct TokenTable {
    successors: Mutex<HashMap<String, (Tokens, Instant)>>,
    /// A lock for each token that is being exchanged.
    turns: Mutex<HashMap<String, TokenLock>>,
}

type TokenLock = Arc<tokio::sync::Mutex<()>>;

impl UsedRefreshTokens {
    /// For [`UsedRefreshTokens::share`] of the connector that replaces this one.
    pub fn table(&self) -> Arc<dyn Any + Send + Sync> {
        self.current()
    }

    /// From now on the table is that of the connector that this one replaces.
    pub fn share(&self, replaced: Arc<dyn Any + Send + Sync>) {
        if let Ok(table) = replaced.downcast::<TokenTable>() {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
        }
    }

    fn current(&self) -> Arc<TokenTable> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits while another request exchanges the same token, whose result is then available.
    pub(super) async fn turn(&self, token: &Secret) -> OwnedMutexGuard<()> {
        let table = self.current();
        let turn = match table.turns.lock() {
            Ok(mut turns) => {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
                turns.entry(hash::sha256(token.expose())).or_default().clone()
            }
            Err(_) => TokenLock::default(),
        };
        turn.lock_owned().await
    }

    /// The tokens that this token was exchanged for.
    pub fn tokens_for(&self, token: &Secret) -> Option<Tokens> {
        let table = self.current();
        let successors = table.successors.lock().ok()?;
        let (tokens, at) = successors.get(&hash::sha256(token.expose()))?;
        (at.elapsed() < LIFETIME).then(|| tokens.clone())
    }

    pub(super) fn remember(&self, token: &Secret, tokens: &Tokens) {
        let table = self.current();
        let Ok(mut successors) = table.successors.lock() else { return };
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Cached;

    const HOUR: Duration = Duration::from_hours(1);
    const BETWEEN: Duration = Duration::from_secs(10);

    /// Two callers find that a value lacks something; the second one asks when the first one has fetched.
    #[tokio::test(start_paused = true)]
    async fn who_waited_while_another_fetched_receives_the_newer_value() {
        let cached = Cached::default();
        let old = cached.get(async { Ok((1, HOUR)) }).await.unwrap();
        let soon = cached.newer(&old, BETWEEN, async { Ok((2, HOUR)) }).await;
        assert!(soon.is_none(), "it was fetched just now");
        tokio::time::advance(BETWEEN).await;
        let first = cached.newer(&old, BETWEEN, async { Ok((2, HOUR)) }).await;
        assert_eq!(*first.unwrap().unwrap(), 2);
        let second = cached.newer(&old, BETWEEN, async { Ok((3, HOUR)) }).await.unwrap().unwrap();
        assert_eq!(*second, 2);
        let lacking = cached.newer(&second, BETWEEN, async { Ok((3, HOUR)) }).await;
        assert!(lacking.is_none(), "the newer one lacks something too, and was fetched just now");
    }
}
