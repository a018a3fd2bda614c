//! Listening: limits on everything that arrives, HTTPS, and an end that does not wait for ever.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;

const HEADERS_WITHIN: Duration = Duration::from_secs(10);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Line and headers of one request together.
const HEADER_BYTES: usize = 32 * 1024;
const MOST_HEADERS: usize = 100;
const MOST_STREAMS: u32 = 100;
const PING_EVERY: Duration = Duration::from_secs(30);

/// One port, bound and not yet serving.
pub struct Listener {
    socket: TcpListener,
    certificate: Option<Certificate>,
}

/// The certificate of a listener; connections made after a replacement see the new one.
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

/// Ends a listener: at once for new connections, after the grace for those that work.
#[derive(Clone, Default)]
pub struct Stop(Handle<SocketAddr>);

impl Stop {
    pub fn within(&self, grace: Duration) {
        self.0.graceful_shutdown(Some(grace));
    }
}

impl Listener {
    /// Binds now, so that a taken port is an error before anything is served.
    pub fn bind(address: &str, certificate: Option<Certificate>) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        Ok(Self { socket, certificate })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub async fn serve(self, router: Router, stop: Stop) -> io::Result<()> {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum_server::from_tcp(self.socket)?.handle(stop.0);
        match self.certificate {
            None => limited(server).serve(service).await,
            Some(Certificate(config)) => {
                let acceptor = axum_server::tls_rustls::RustlsAcceptor::new(config)
                    .handshake_timeout(HANDSHAKE_WITHIN);
                limited(server.acceptor(acceptor)).serve(service).await
            }
        }
    }
}

fn limited<A>(server: axum_server::Server<SocketAddr, A>) -> axum_server::Server<SocketAddr, A> {
    let mut server = server.first_request_timeout(HEADERS_WITHIN);
    let builder = server.http_builder();
    builder
        .http1()
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(MOST_HEADERS)
        .max_buf_size(HEADER_BYTES);
    builder
        .http2()
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY);
    server
}
