//! What a connection occupies: one of `limits.connections`, the tasks of the handlers of its requests, and the memory of
//! headers that are not complete.
//!
//! A handler runs to its end although its client has cancelled the request or disconnected. It therefore keeps the slot
//! of its connection, and a connection has a limited number of handlers: otherwise a client that resets each HTTP/2
//! stream at once (CVE-2023-44487), or opens and closes connections, would start any number of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Request;
use countersign_core::Limits;
use countersign_core::network::{client_prefix, is_loopback};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tower::Service;

use crate::process_state::ProcessState;

/// The connections of one listener. Clones share them.
#[derive(Clone)]
pub struct ConnectionSlots(Arc<SlotTable>);

struct SlotTable {
    free: Arc<Semaphore>,
    /// The connections of each address, except for those of this machine, such as a proxy beside this process.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    /// Three quarters of all, so that one client cannot exclude the others. A proxy that forwards the requests of
    /// all clients also gets that many.
    max_per_address: usize,
    max_handlers: usize,
    /// Of unfinished headers, per connection.
    max_head_bytes: usize,
}

/// One connection. Clones share it; it ends with the last one.
#[derive(Clone)]
pub struct ConnectionSlot(Arc<OpenConnection>);

struct OpenConnection {
    /// `None`: not counted by address.
    address: Option<IpAddr>,
    handlers: AtomicUsize,
    /// Requests whose headers were complete, and those of them that have been read completely.
    begun_requests: AtomicUsize,
    read_requests: AtomicUsize,
    slots: ConnectionSlots,
    _permit: OwnedSemaphorePermit,
}

/// A service that adds a [`RequestSlot`] to each request of a connection.
#[derive(Clone)]
pub struct CountedRequests<S> {
    inner: S,
    connection: ConnectionSlot,
}

/// Request extension, in an `Arc`: the request is being read until it is removed before the handler, or dropped with the
/// request.
pub struct RequestSlot(ConnectionSlot);

/// A running handler.
pub struct HandlerSlot(ConnectionSlot);

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// `limits.connections` is reached.
    Full,
    /// One address has three quarters of `limits.connections`.
    TooManyFromAddress,
}

impl ConnectionSlots {
    pub fn new(limits: &Limits, max_head_bytes: usize) -> Self {
        let connections = limits.connections.min(Semaphore::MAX_PERMITS);
        let streams = usize::try_from(limits.streams_per_connection).unwrap_or(usize::MAX);
        Self(Arc::new(SlotTable {
            free: Arc::new(Semaphore::new(connections)),
            by_address: Mutex::default(),
            max_per_address: connections - connections / 4,
            // Clients also cancel requests for good reasons.
            max_handlers: streams.saturating_mul(2),
            max_head_bytes,
        }))
    }

    pub fn occupy(&self, peer: IpAddr) -> Result<ConnectionSlot, ConnectionRefusal> {
        let permit = Arc::clone(&self.0.free).try_acquire_owned();
        let permit = permit.map_err(|_| ConnectionRefusal::Full)?;
        let address = (!is_loopback(peer)).then(|| client_prefix(peer));
        if let Some(address) = address {
            let mut by_address = self.0.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(address).or_default();
            if *count >= self.0.max_per_address {
                return Err(ConnectionRefusal::TooManyFromAddress);
            }
            *count += 1;
        }
        Ok(ConnectionSlot(Arc::new(OpenConnection {
            address,
            handlers: AtomicUsize::default(),
            begun_requests: AtomicUsize::default(),
            read_requests: AtomicUsize::default(),
            slots: self.clone(),
            _permit: permit,
        })))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let Some(address) = &self.address else { return };
        let by_address = &self.slots.0.by_address;
        let mut by_address = by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(address);
            }
        }
    }
}

impl ConnectionSlot {
    /// `None`: this connection has too many handlers, most of them of requests that the client has cancelled.
    pub fn begin_handler(&self) -> Option<HandlerSlot> {
        let running = self.0.handlers.fetch_add(1, Ordering::Relaxed);
        let slot = HandlerSlot(self.clone());
        (running < self.0.slots.0.max_handlers).then_some(slot)
    }
}

impl Drop for HandlerSlot {
    fn drop(&mut self) {
        self.0.0.handlers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S> CountedRequests<S> {
    pub fn new(inner: S, connection: ConnectionSlot) -> Self {
        Self { inner, connection }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for CountedRequests<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(Arc::new(RequestSlot::new(&self.connection)));
        self.inner.call(request)
    }
}

impl RequestSlot {
    pub fn new(connection: &ConnectionSlot) -> Self {
        connection.0.begun_requests.fetch_add(1, Ordering::Relaxed);
        Self(connection.clone())
    }

    pub fn connection(&self) -> &ConnectionSlot {
        &self.0
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.0.0.read_requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// The memory of the bytes that a connection has received of the headers of its next request. hyper keeps them until
/// the headers are complete, up to `limits.headerBytes`; what exceeds a small amount is reserved from the memory of
/// request bodies, so that unfinished headers on many connections do not use more.
#[derive(Default)]
pub struct HeadMemory {
    /// The connection's requests so far.
    begun_requests: usize,
    received_bytes: usize,
    reserved: Option<OwnedSemaphorePermit>,
    reserved_bytes: usize,
    /// Set while memory is reserved and more bytes are waited for.
    timeout: Option<Pin<Box<Sleep>>>,
}

impl HeadMemory {
    /// Not reserved, because every connection has a buffer of this size.
    const FREE_BYTES: usize = 16 * 1024;
    const STEP_BYTES: usize = 4 * 1024;
    /// As long as a body may take. Nothing else limits the time of headers over HTTP/2, so without it few clients could
    /// hold the memory of all bodies.
    const MAX_TIME: Duration = Duration::from_secs(10);

    /// Called after bytes were received, and before waiting for more with 0. False: all memory is in use.
    pub fn add(
        &mut self,
        bytes: usize,
        connection: &ConnectionSlot,
        process: &ProcessState,
    ) -> bool {
        let read_requests = connection.0.read_requests.load(Ordering::Relaxed);
        let begun_requests = connection.0.begun_requests.load(Ordering::Relaxed);
        if begun_requests != self.begun_requests {
            *self = Self { begun_requests, ..Self::default() };
        }
        // Bytes of a body have a limit of their own.
        if read_requests != begun_requests {
            return true;
        }
        self.received_bytes += bytes;
        // hyper keeps no more than this; over HTTP/2 other frames are among the bytes.
        let kept = self.received_bytes.min(connection.0.slots.0.max_head_bytes);
        let needed = kept.saturating_sub(Self::FREE_BYTES).next_multiple_of(Self::STEP_BYTES);
        if needed <= self.reserved_bytes {
            return true;
        }
        let Some(more) = process.reserve_body_bytes(needed - self.reserved_bytes) else {
            return false;
        };
        self.reserved_bytes = needed;
        match &mut self.reserved {
            Some(reserved) => reserved.merge(more),
            None => self.reserved = Some(more),
        }
        true
    }

    /// Ready when memory has been reserved for too long and the connection has no handler whose response is due: the
    /// connection is to be closed. Called before waiting for more bytes.
    pub fn poll_timeout(&mut self, connection: &ConnectionSlot, cx: &mut Context<'_>) -> Poll<()> {
        if self.reserved.is_none() {
            return Poll::Pending;
        }
        let timeout = self.timeout.get_or_insert_with(|| Box::pin(sleep(Self::MAX_TIME)));
        while timeout.as_mut().poll(cx).is_ready() {
            if connection.0.handlers.load(Ordering::Relaxed) == 0 {
                return Poll::Ready(());
            }
            timeout.as_mut().reset(Instant::now() + Self::MAX_TIME);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::{ConnectionRefusal, ConnectionSlot, ConnectionSlots, HeadMemory, RequestSlot};
    use crate::process_state::ProcessState;
    use countersign_core::Limits;

    const KIB: usize = 1024;
    const MAX_HEAD_BYTES: usize = 112 * KIB;

    fn slots() -> ConnectionSlots {
        let limits = Limits { connections: 16, streams_per_connection: 2, ..Limits::default() };
        ConnectionSlots::new(&limits, MAX_HEAD_BYTES)
    }

    fn occupied(slots: &ConnectionSlots, peer: &str, count: usize) -> Vec<ConnectionSlot> {
        (0..count).map_while(|_| slots.occupy(peer.parse().unwrap()).ok()).collect()
    }

    #[test]
    fn one_address_leaves_a_quarter_of_the_connections_to_others() {
        for (stranger, same) in
            [("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::1", "2001:db8::ffff:1")]
        {
            let slots = slots();
            let mut held = occupied(&slots, stranger, 100);
            assert_eq!(held.len(), 12);
            let refused = slots.occupy(same.parse().unwrap()).err();
            assert_eq!(refused, Some(ConnectionRefusal::TooManyFromAddress), "{same}");
            let others = occupied(&slots, "198.51.100.7", 100);
            assert_eq!(others.len(), 4);
            let refused = slots.occupy("203.0.113.9".parse().unwrap()).err();
            assert_eq!(refused, Some(ConnectionRefusal::Full));
            held.truncate(11);
            assert_eq!(occupied(&slots, same, 100).len(), 1, "one was closed");
        }
    }

    #[test]
    fn a_proxy_on_this_machine_may_use_all_connections() {
        for proxy in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(occupied(&slots(), proxy, 100).len(), 16, "{proxy}");
        }
    }

    #[test]
    fn unfinished_headers_use_the_memory_of_bodies_until_the_request_begins() {
        let process = ProcessState::new(&Limits::default());
        let connection = occupied(&slots(), "127.0.0.1", 1).pop().unwrap();
        let mut head = HeadMemory::default();
        let in_use = || process.body_bytes_in_use();
        assert!(head.add(16 * KIB, &connection, &process));
        assert_eq!(in_use(), 0, "as much as every connection");
        assert!(head.add(5 * KIB, &connection, &process));
        assert_eq!(in_use(), 8 * KIB);
        assert!(head.add(500 * KIB, &connection, &process));
        assert_eq!(in_use(), 96 * KIB, "no parser keeps more");
        let request = RequestSlot::new(&connection);
        assert!(head.add(300 * KIB, &connection, &process));
        assert_eq!(in_use(), 0, "it is a body now");
        drop(request);
        assert!(head.add(20 * KIB, &connection, &process));
        assert_eq!(in_use(), 4 * KIB, "of the next request");
        let all = process.reserve_body_bytes(16 * KIB * KIB - 4 * KIB).unwrap();
        assert!(!head.add(4 * KIB, &connection, &process), "all memory is in use");
        drop((head, all));
        assert_eq!(in_use(), 0);
    }

    async fn ends_within(seconds: u64, head: &mut HeadMemory, connection: &ConnectionSlot) -> bool {
        let ends = poll_fn(|cx| head.poll_timeout(connection, cx));
        tokio::time::timeout(Duration::from_secs(seconds), ends).await.is_ok()
    }

    /// Otherwise 170 clients that answer the pings of HTTP/2 could hold the memory of all bodies for as long as they like.
    #[tokio::test(start_paused = true)]
    async fn unfinished_headers_hold_the_memory_of_bodies_for_ten_seconds() {
        let process = ProcessState::new(&Limits::default());
        let connection = occupied(&slots(), "127.0.0.1", 1).pop().unwrap();
        let mut head = HeadMemory::default();
        assert!(head.add(16 * KIB, &connection, &process));
        assert!(!ends_within(3600, &mut head, &connection).await, "nothing is reserved");
        assert!(head.add(KIB, &connection, &process));
        assert!(!ends_within(9, &mut head, &connection).await);
        assert!(ends_within(2, &mut head, &connection).await);

        let request = RequestSlot::new(&connection);
        assert!(head.add(0, &connection, &process));
        assert!(!ends_within(3600, &mut head, &connection).await, "the headers were complete");
        drop(request);
        let handler = connection.begin_handler().unwrap();
        assert!(head.add(20 * KIB, &connection, &process));
        assert!(!ends_within(60, &mut head, &connection).await, "a response is due");
        drop(handler);
        assert!(ends_within(11, &mut head, &connection).await);
    }

    /// Threat 137: resets and new connections start no more handlers than the limits allow.
    #[test]
    fn a_connection_lasts_as_long_as_its_handlers_and_has_few() {
        let slots = slots();
        let mut connections = occupied(&slots, "127.0.0.1", 16);
        let connection = connections.pop().unwrap();
        let handlers: Vec<_> = (0..100).map_while(|_| connection.begin_handler()).collect();
        assert_eq!(handlers.len(), 4, "twice the streams");
        assert!(connection.begin_handler().is_none());
        drop(connection);
        let refused = slots.occupy("127.0.0.1".parse().unwrap()).err();
        assert_eq!(refused, Some(ConnectionRefusal::Full), "its handlers are still running");
        drop(handlers);
        let connection = slots.occupy("127.0.0.1".parse().unwrap()).unwrap();
        assert!(connection.begin_handler().is_some());
    }
}
