//! State of the process that outlives a reload of the configuration: readiness, usage of the configured limits, and the
//! outcome of the last reload; the types of the API's request to reload, which the program performs, and of its
//! report; and the program's connection of requests with traces ([`RequestTraces`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum::http::HeaderMap;
use countersign_core::{Limits, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::Span;

/// Longest body of any endpoint: a form with a SAML response of 256 KiB. That is 342 KiB in base64, and percent-encoding
/// makes three characters of each `+`, `/` and `=`. Most endpoints accept less.
pub const MAX_BODY_BYTES: usize = 384 * 1024;
/// Memory of a request with a body in addition to the body and its headers: tasks, connection buffers.
pub const REQUEST_OVERHEAD_BYTES: usize = 8 * 1024;
/// Memory counted for one request body of `limits.requestBodies`.
const BYTES_PER_BODY: usize = 64 * 1024;

/// Clones share the same state.
#[derive(Clone, Debug)]
pub struct ProcessState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_draining: AtomicBool,
    is_clock_off: AtomicBool,
    /// One permit per byte.
    body_bytes: Arc<Semaphore>,
    max_body_bytes: usize,
    refused_bodies: AtomicU64,
    open_connections: AtomicUsize,
    refused_connections: AtomicU64,
    reload: RwLock<ReloadState>,
    reloader: RwLock<Option<mpsc::Sender<ReloadRequest>>>,
    /// Unset without an OpenTelemetry collector.
    request_traces: OnceLock<Box<dyn RequestTraces>>,
    /// One permit: at most one CPU profile is taken at a time.
    profiler: Arc<Semaphore>,
}

/// Connects the spans of requests with the traces of their callers. Implemented by the program, which alone knows the
/// library.
pub trait RequestTraces: std::fmt::Debug + Send + Sync {
    /// Makes the span a part of the trace that the headers `traceparent` and `tracestate` name (W3C Trace Context), or
    /// the first span of a new trace. Returns the trace id. Must be called before anything happens in the span.
    fn continue_trace(&self, span: &Span, headers: &HeaderMap) -> Option<String>;
}

/// The outcome of the last reload of the configuration.
#[derive(Clone, Debug, Default)]
pub struct ReloadState {
    /// When the configuration in use was read; `None` until start-up has finished.
    pub loaded_at: Option<Timestamp>,
    /// The last attempt, if it failed: when, and one line per problem. The previous configuration remains in use.
    pub failure: Option<(Timestamp, String)>,
    /// Changes in the file that take effect only after a restart, one line each.
    pub needs_restart: Vec<String>,
}

impl Default for ProcessState {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl ProcessState {
    pub fn new(limits: &Limits) -> Self {
        let smallest = MAX_BODY_BYTES + 2 * REQUEST_OVERHEAD_BYTES + limits.header_bytes;
        let max_body_bytes = limits.request_bodies.saturating_mul(BYTES_PER_BODY).max(smallest);
        let max_body_bytes = max_body_bytes.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            is_draining: AtomicBool::default(),
            is_clock_off: AtomicBool::default(),
            body_bytes: Arc::new(Semaphore::new(max_body_bytes)),
            max_body_bytes,
            refused_bodies: AtomicU64::default(),
            open_connections: AtomicUsize::default(),
            refused_connections: AtomicU64::default(),
            reload: RwLock::default(),
            reloader: RwLock::default(),
            request_traces: OnceLock::new(),
            profiler: Arc::new(Semaphore::new(1)),
        }))
    }

    /// Marks this replica as not ready; requests in progress finish.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::SeqCst);
    }

    /// Sets whether the clock differs from the database's by more than is tolerated.
    pub fn set_clock_is_off(&self, off: bool) {
        self.0.is_clock_off.store(off, Ordering::SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::SeqCst)
    }

    pub(crate) fn is_clock_off(&self) -> bool {
        self.0.is_clock_off.load(Ordering::SeqCst)
    }

    /// Reserves memory for a request body; `None` when all of `limits.requestBodies` is in use.
    pub(crate) fn reserve_body_bytes(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let count = u32::try_from(bytes).ok()?;
        let permit = Arc::clone(&self.0.body_bytes).try_acquire_many_owned(count).ok();
        if permit.is_none() {
            self.0.refused_bodies.fetch_add(1, Ordering::Relaxed);
        }
        permit
    }

    /// Bytes of request bodies in memory now.
    pub(crate) fn body_bytes_in_use(&self) -> usize {
        self.0.max_body_bytes.saturating_sub(self.0.body_bytes.available_permits())
    }

    /// Number of requests refused because of `limits.requestBodies`.
    pub(crate) fn refused_bodies(&self) -> u64 {
        self.0.refused_bodies.load(Ordering::Relaxed)
    }

    pub(crate) fn connection_opened(&self) {
        self.0.open_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.0.open_connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_refused(&self) -> u64 {
        self.0.refused_connections.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.0.open_connections.load(Ordering::Relaxed)
    }

    /// Number of connections closed because of `limits.connections`.
    pub(crate) fn refused_connections(&self) -> u64 {
        self.0.refused_connections.load(Ordering::Relaxed)
    }

    /// Sets the receiver of [`ProcessState::request_reload`].
    pub fn set_reloader(&self, reloader: mpsc::Sender<ReloadRequest>) {
        *self.0.reloader.write().unwrap_or_else(PoisonError::into_inner) = Some(reloader);
    }

    /// Requests a reload and waits for its report; `None` if the process does not reload its configuration.
    pub(crate) async fn request_reload(&self, action: ReloadAction) -> Option<ReloadReport> {
        let reloader = self.0.reloader.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let (reply, report) = oneshot::channel();
        reloader.send(ReloadRequest { action, reply }).await.ok()?;
        report.await.ok()
    }

    /// Exports the spans of requests from now on. Only the first call has an effect.
    pub fn set_request_traces(&self, traces: Box<dyn RequestTraces>) {
        let _ = self.0.request_traces.set(traces);
    }

    pub(crate) fn request_traces(&self) -> Option<&dyn RequestTraces> {
        self.0.request_traces.get().map(Box::as_ref)
    }

    /// `None` while another CPU profile is being taken.
    pub(crate) fn reserve_profiler(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.profiler).try_acquire_owned().ok()
    }

    pub fn reload_state(&self) -> ReloadState {
        self.0.reload.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_reload_state(&self, state: ReloadState) {
        *self.0.reload.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// A request to the program, sent by [`crate::ProcessState::request_reload`].
#[derive(Debug)]
pub struct ReloadRequest {
    pub action: ReloadAction,
    pub reply: oneshot::Sender<ReloadReport>,
}

#[derive(Clone, Debug)]
pub enum ReloadAction {
    /// Only report what would change.
    Plan,
    /// The same for a configuration that is not in this server's file.
    Compare { digest: Box<ConfigurationDigest>, key: Secret },
    /// Reload. `actor` is the administrator, for the audit log.
    Apply { actor: String },
}

/// The header with the key of `hmacs`, which the sender of a [`ConfigurationDigest`] makes for one request.
pub const DIGEST_KEY_HEADER: &str = "countersign-digest-key";

/// What a configuration file contains, without its values: sent by `countersign check --against`, which reads the file
/// where it runs. A server that was sent the file itself would expand environment variables for whoever sends it. The
/// key is sent in a header, [`DIGEST_KEY_HEADER`], so that whoever comes to read the body cannot test guesses at secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationDigest {
    /// How the digests are computed. Those of different formats cannot be compared.
    #[serde(default)]
    pub format: u32,
    /// HMAC-SHA-256 of each value, by key; for lists, of each entry.
    #[serde(default)]
    pub hmacs: BTreeMap<String, String>,
    /// The fingerprints of the connectors, by id.
    pub connectors: BTreeMap<String, String>,
    /// The fingerprints of the users of the password database, by user id; `None` if it is off.
    pub users: Option<BTreeMap<String, String>>,
    pub clients: BTreeSet<String>,
    /// Whether Dex's gRPC API is served over TLS; `None` if it is off.
    pub is_grpc_encrypted: Option<bool>,
}

/// How the file differs from the configuration in use, or why the file cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The file is now in use, except for what requires a restart.
    pub applied: bool,
    /// Why the file cannot be used; empty if it can.
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
    /// Keys whose values differ; for lists, the entries that differ.
    pub changes: Vec<Change>,
    /// Those of `changes` that take effect only after a restart.
    pub needs_restart: Vec<String>,
    /// Live sessions that this configuration invalidates: they are refused at their next use.
    pub ending: Vec<EndingSessions>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// A key, such as `expiry.idTokens` or `staticClients[grafana]`, or a file, such as `frontend.dir/texts.yaml`.
    pub key: String,
    pub kind: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Added,
    Removed,
    Changed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingSessions {
    /// The reason's subject, such as `connector ldap`.
    pub what: String,
    pub reason: String,
    pub sessions: i64,
}
