//! Listeners: limits on connections and requests, TLS, graceful shutdown.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Request line and headers together: the longest token that we verify (64 KiB) and the headers of proxies.
const MAX_HEADER_BYTES: usize = 96 * 1024;
const MAX_HEADERS: usize = 100;
const MAX_STREAMS: u32 = 100;
/// HTTP/2 flow control: bytes that a client may send before a handler reads them, by stream and by connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of a response that wait for a client that does not read, by stream.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// A bound socket that does not serve yet.
pub struct Listener {
    socket: TcpListener,
    certificate: Option<Certificate>,
}

/// The certificate of a listener. It can be replaced while serving; new connections use the new one.
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

/// Stops a listener: at once for new connections, after a grace period for open ones.
#[derive(Clone, Default)]
pub struct ShutdownHandle(Handle<SocketAddr>);

impl ShutdownHandle {
    pub fn shut_down_within(&self, grace: Duration) {
        self.0.graceful_shutdown(Some(grace));
    }
}

impl Listener {
    /// Binds at once, so that an address in use is an error before anything is served.
    pub fn bind(address: &str, certificate: Option<Certificate>) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        Ok(Self { socket, certificate })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub async fn serve(self, router: Router, shutdown: ShutdownHandle) -> io::Result<()> {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum_server::from_tcp(self.socket)?.handle(shutdown.0);
        match self.certificate {
            None => limited(server).serve(service).await,
            Some(Certificate(config)) => {
                let acceptor = axum_server::tls_rustls::RustlsAcceptor::new(config)
                    .handshake_timeout(HANDSHAKE_TIMEOUT);
                limited(server.acceptor(acceptor)).serve(service).await
            }
        }
    }
}

fn limited<A>(server: axum_server::Server<SocketAddr, A>) -> axum_server::Server<SocketAddr, A> {
    let mut server = server.first_request_timeout(HEADER_TIMEOUT);
    let builder = server.http_builder();
    builder
        .http1()
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL);
    server
}
