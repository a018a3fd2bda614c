//! A value that is fetched from an upstream and cached: its metadata, its keys, an access token for its API.
//!
//! One caller fetches it at first use while others wait. After a failure the error is returned for three seconds; the
//! next caller then fetches again, so that a recovered upstream is used without a restart.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::UpstreamError;

/// For how long a failure is returned before fetching again.
const RETRY_AFTER: Duration = Duration::from_secs(3);

pub(crate) struct Cached<T>(Mutex<State<T>>);

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
        Self(Mutex::new(state))
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

    /// Fetches again because the value lacks something, unless that was attempted less than `at_least` ago.
    pub async fn again<F>(
        &self,
        at_least: Duration,
        fetch: F,
    ) -> Option<Result<Arc<T>, UpstreamError>>
    where
        F: Future<Output = Result<(T, Duration), UpstreamError>>,
    {
        let mut state = self.0.lock().await;
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
