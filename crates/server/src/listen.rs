//! Listeners: limits on connections and requests, TLS, graceful and lingering close. Connections above
//! `limits.connections` are closed at once.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::ServiceExt;
use axum::extract::Request;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use countersign_core::Limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::app::WebService;
use crate::connection::{
    ConnectionRefusal, ConnectionSlot, ConnectionSlots, CountedRequests, HeadMemory,
};
use crate::process_state::ProcessState;

/// From accepting the connection to the end of the first request's headers.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// From a response to the end of the next request's headers. Longer than proxies keep idle connections (60 s), so that
/// the proxy closes them first: a request sent while we close would be lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that the parsers may buffer beyond `limits.headerBytes`, which is enforced exactly once a request is parsed.
const PARSER_SLACK_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// HTTP/2 flow control: bytes that a client may send before they are read, per stream and per connection.
const STREAM_WINDOW_BYTES: u32 = 32 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024;
/// Bytes of a response buffered for a client that does not read, per stream.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// A bound socket that does not accept connections yet.
pub struct Listener {
    socket: TcpListener,
    certificate: Option<Certificate>,
}

/// The certificate of a listener. It can be replaced while serving; new connections use the new certificate.
#[derive(Clone)]
pub struct Certificate(RustlsConfig);

impl Certificate {
    pub fn new(config: Arc<rustls::ServerConfig>) -> Self {
        Self(RustlsConfig::from_config(config))
    }

    pub fn replace(&self, config: Arc<rustls::ServerConfig>) {
        self.0.reload_from_config(config);
    }
}

/// Stops a listener: no new connections at once, open ones are closed after a grace period.
#[derive(Clone, Default)]
pub struct ShutdownHandle(Handle<SocketAddr>);

impl ShutdownHandle {
    pub fn shut_down_within(&self, grace: Duration) {
        self.0.graceful_shutdown(Some(grace));
    }
}

impl Listener {
    /// Binds immediately, so that an address in use is reported before any listener serves.
    pub fn bind(address: &str, certificate: Option<Certificate>) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        Ok(Self { socket, certificate })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub async fn serve(
        self,
        service: impl Into<WebService>,
        limits: Limits,
        process: ProcessState,
        shutdown: ShutdownHandle,
    ) -> io::Result<()> {
        // The type of the request's body is of no consequence here.
        let service = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(
            service.into(),
        );
        let server = axum_server::from_tcp(self.socket)?.handle(shutdown.0);
        let connections = ConnectionLimit::new(&limits, process);
        match self.certificate {
            None => limited(server.acceptor(connections), &limits).serve(service).await,
            Some(Certificate(config)) => {
                let acceptor = RustlsAcceptor::new(config).handshake_timeout(HANDSHAKE_TIMEOUT);
                let acceptor = acceptor.acceptor(connections);
                limited(server.acceptor(acceptor), &limits).serve(service).await
            }
        }
    }
}

fn limited<A>(
    server: axum_server::Server<SocketAddr, A>,
    limits: &Limits,
) -> axum_server::Server<SocketAddr, A> {
    let mut server = server.first_request_timeout(FIRST_REQUEST_TIMEOUT);
    let max_header_bytes = max_head_bytes(limits);
    let builder = server.http_builder();
    builder
        .http1()
        .header_read_timeout(IDLE_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(max_header_bytes);
    builder
        .http2()
        .max_concurrent_streams(limits.streams_per_connection)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL);
    server
}

const fn max_head_bytes(limits: &Limits) -> usize {
    limits.header_bytes + PARSER_SLACK_BYTES
}

/// An acceptor that runs before TLS. It adds the connection's slot to each request.
#[derive(Clone)]
pub struct ConnectionLimit {
    slots: ConnectionSlots,
    process: ProcessState,
}

impl ConnectionLimit {
    fn new(limits: &Limits, process: ProcessState) -> Self {
        Self { slots: ConnectionSlots::new(limits, max_head_bytes(limits)), process }
    }

    fn begin(&self, stream: TcpStream) -> io::Result<(CountedStream, ConnectionSlot)> {
        let peer = stream.peer_addr()?.ip();
        let slot = self.slots.occupy(peer).map_err(|refusal| {
            // Logs the first and then every thousandth refusal, so that a flood does not fill the log.
            if self.process.connection_refused().is_multiple_of(1000) {
                match refusal {
                    ConnectionRefusal::Full => {
                        tracing::warn!("limits.connections is reached: a connection was closed");
                    }
                    ConnectionRefusal::TooManyFromAddress => tracing::warn!(
                        address = %peer,
                        "one address has three quarters of limits.connections: a connection was closed"
                    ),
                }
            }
            io::Error::from(io::ErrorKind::ConnectionRefused)
        })?;
        // Sends small responses immediately instead of waiting for the client's acknowledgement (Nagle's algorithm).
        stream.set_nodelay(true)?;
        self.process.connection_opened();
        let (process, head) = (self.process.clone(), HeadMemory::default());
        let stream = CountedStream { stream, process, head, closing: None, slot: slot.clone() };
        Ok((stream, slot))
    }
}

impl<S> Accept<TcpStream, S> for ConnectionLimit {
    type Stream = CountedStream;
    type Service = CountedRequests<S>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let begun = self.begin(stream);
        ready(begun.map(|(stream, slot)| (stream, CountedRequests::new(service, slot))))
    }
}

/// A connection that is counted until it is closed.
pub struct CountedStream {
    stream: TcpStream,
    process: ProcessState,
    head: HeadMemory,
    /// Set once our side is closed.
    closing: Option<LingeringClose>,
    slot: ConnectionSlot,
}

/// Reads and discards what the client still sends after our side of the connection is closed (RFC 9112 section 9.6):
/// closing a socket with unread data resets the connection, and the client may lose the response, such as 413 to a body
/// that it is still sending. Ends when the client closes its side, and otherwise by these limits.
struct LingeringClose {
    /// The client has sent nothing until then.
    idle: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    remaining_bytes: usize,
}

impl LingeringClose {
    const MAX_IDLE: Duration = Duration::from_millis(500);
    const MAX_TIME: Duration = Duration::from_secs(5);
    const MAX_BYTES: usize = 16 * 1024 * 1024;

    fn begin() -> Self {
        Self {
            idle: Box::pin(sleep(Self::MAX_IDLE)),
            end: Box::pin(sleep(Self::MAX_TIME)),
            remaining_bytes: Self::MAX_BYTES,
        }
    }

    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 4096];
        loop {
            if self.end.as_mut().poll(cx).is_ready() || self.idle.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut discarded = ReadBuf::new(&mut space);
            let read = std::task::ready!(Pin::new(&mut *stream).poll_read(cx, &mut discarded));
            let count = discarded.filled().len();
            if read.is_err() || count == 0 || count > self.remaining_bytes {
                return Poll::Ready(());
            }
            self.remaining_bytes -= count;
            self.idle.as_mut().reset(Instant::now() + Self::MAX_IDLE);
        }
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        self.process.connection_closed();
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, process, head, slot, .. } = self.get_mut();
        head.add(0, slot, process);
        if head.poll_timeout(slot, cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(stream).poll_read(cx, buffer))?;
        let is_reserved = head.add(buffer.filled().len() - before, slot, process);
        // The client receives no response: the next bytes of its headers would have to be kept to send one.
        Poll::Ready(if is_reserved { Ok(()) } else { Err(io::ErrorKind::OutOfMemory.into()) })
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, closing, .. } = self.get_mut();
        if closing.is_none() {
            std::task::ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        closing.get_or_insert_with(LingeringClose::begin).poll(stream, cx).map(Ok)
    }
}
