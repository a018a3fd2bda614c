//! The redirect URI of a native application: a listener on loopback that serves one login (RFC 8252 section 7.3).
//!
//! Requests without this login's `state` are answered and otherwise ignored, so that another process or web page can
//! neither end the login nor inject a code.
//!
//! TLS is for an https redirect to loopback (kubelogin's `--local-server-cert` and `--local-server-key`), for issuers that
//! register no other redirect URI.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use countersign_core::Secret;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use url::{Url, form_urlencoded};

use super::callback_page::{CallbackPage, Html, simple};
use crate::error::Error;

/// Maximum number of concurrent connections; a browser opens a few.
const MAX_CONNECTIONS: usize = 16;

/// Listens on loopback for the redirect with the authorization response (RFC 8252 section 7.3).
pub struct Listener {
    sockets: Vec<TcpListener>,
    port: u16,
    tls: Option<TlsAcceptor>,
}

/// What the authorization response must match.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    pub state: &'a str,
    pub issuer: &'a str,
    pub redirect_uri: &'a str,
}

/// The authorization response with the correct `state`, whose connection waits for the page.
struct Arrival {
    result: Result<Secret, Error>,
    page: oneshot::Sender<Html>,
}

impl Listener {
    /// Binds the first free address. For 127.0.0.1 the same port of ::1 is bound too, because `localhost` may mean
    /// either; if another process uses that port, the next address is tried.
    pub async fn bind(addresses: &[SocketAddr], tls: Option<TlsAcceptor>) -> Result<Self, Error> {
        let mut causes = Vec::new();
        for address in addresses {
            match Self::bind_one(*address).await {
                Ok((sockets, port)) => return Ok(Self { sockets, port, tls }),
                Err(cause) => causes.push(format!("{address}: {cause}")),
            }
        }
        Err(Error::LoginFailed(format!("no --listen-address is free: {}", causes.join("; "))))
    }

    async fn bind_one(address: SocketAddr) -> std::io::Result<(Vec<TcpListener>, u16)> {
        let socket = TcpListener::bind(address).await?;
        let port = socket.local_addr()?.port();
        let mut sockets = vec![socket];
        if address.ip() == IpAddr::from([127, 0, 0, 1]) {
            match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
                Ok(second) => sockets.push(second),
                Err(cause) if cause.kind() == std::io::ErrorKind::AddrInUse => return Err(cause),
                // This machine has no IPv6.
                Err(_) => {}
            }
        }
        Ok((sockets, port))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn redirect_uri(&self, host: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// Serves until the response with the correct `state` has arrived.
    pub async fn wait_for_code(
        self,
        expected: Expected<'_>,
    ) -> Result<(Secret, CallbackPage), Error> {
        let (sender, mut receiver) = mpsc::channel(1);
        let callback = Arc::new(Callback::new(expected, self.port, sender));
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut tasks = tokio::task::JoinSet::new();
        for socket in self.sockets {
            let (callback, connections) = (Arc::clone(&callback), Arc::clone(&connections));
            let tls = self.tls.clone();
            tasks.spawn(async move {
                loop {
                    let Ok((stream, _)) = socket.accept().await else { continue };
                    if let Ok(permit) = Arc::clone(&connections).try_acquire_owned() {
                        let (callback, tls) = (Arc::clone(&callback), tls.clone());
                        tokio::spawn(async move {
                            match tls {
                                None => serve(stream, callback).await,
                                Some(tls) => match tls.accept(stream).await {
                                    Ok(stream) => serve(stream, callback).await,
                                    // A client that does not trust the certificate; the browser retries.
                                    Err(cause) => drop(cause),
                                },
                            }
                            drop(permit);
                        });
                    }
                }
            });
        }
        let arrival = receiver.recv().await;
        // Closes the listeners; the connection that waits for the page stays open.
        tasks.abort_all();
        let Some(Arrival { result, page }) = arrival else {
            return Err(Error::LoginFailed("the listener ended".to_owned()));
        };
        let page = CallbackPage::new(page);
        match result {
            Ok(code) => Ok((code, page)),
            Err(error) => {
                page.show_error(&error).await;
                Err(error)
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, callback: Arc<Callback>) {
    let service = service_fn(move |request| {
        let callback = Arc::clone(&callback);
        async move { Ok::<_, Infallible>(callback.respond(&request).await) }
    });
    // If the browser closes the connection, it has the page or does not need it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

struct Callback {
    state: Secret,
    issuer: String,
    path: String,
    hosts: Vec<String>,
    sender: mpsc::Sender<Arrival>,
}

impl Callback {
    fn new(expected: Expected<'_>, port: u16, sender: mpsc::Sender<Arrival>) -> Self {
        let redirect_uri = Url::parse(expected.redirect_uri).ok();
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .map(|name| format!("{name}:{port}"))
            .collect();
        if let Some(url) = &redirect_uri {
            let host = url.host_str().unwrap_or_default();
            hosts.push(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
        }
        Self {
            state: Secret::new(expected.state),
            issuer: expected.issuer.to_owned(),
            path: redirect_uri.map_or_else(|| "/".to_owned(), |url| url.path().to_owned()),
            hosts,
            sender,
        }
    }

    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<bytes::Bytes>> {
        if request.method() != Method::GET || request.uri().path() != self.path {
            return simple(StatusCode::NOT_FOUND, "Not found", "There is no page at this address.");
        }
        // A web page whose host name resolves to loopback (DNS rebinding) sends another Host header.
        if !request.headers().get(header::HOST).is_some_and(|host| self.is_own_host(host)) {
            let text = "The Host header names another host.";
            return simple(StatusCode::BAD_REQUEST, "Bad request", text);
        }
        let foreign = || {
            simple(
                StatusCode::BAD_REQUEST,
                "This is not the login that the terminal waits for",
                "Go back to the terminal and use the newest browser tab.",
            )
        };
        let Some(result) = self.read(request.uri().query().unwrap_or_default()) else {
            return foreign();
        };
        let (page, shown) = oneshot::channel();
        // Only the first response is used.
        if self.sender.try_send(Arrival { result, page }).is_err() {
            return foreign();
        }
        match shown.await {
            Ok(html) => html.response(),
            Err(_) => simple(StatusCode::OK, "Done", "You can close this tab."),
        }
    }

    fn is_own_host(&self, host: &HeaderValue) -> bool {
        let host = host.to_str().unwrap_or_default();
        self.hosts.iter().any(|own| own == host)
    }

    /// `None`: not the response to this login's request.
    fn read(&self, query: &str) -> Option<Result<Secret, Error>> {
        let once = |name: &str| {
            let mut values =
                form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let value = values.next().map(|(_, value)| value.into_owned());
            if values.next().is_some() { None } else { value }
        };
        if !self.state.matches(&once("state")?) {
            return None;
        }
        // RFC 9207: the code of another issuer's response must not be redeemed here.
        if once("iss").is_some_and(|iss| iss != self.issuer) {
            return None;
        }
        if let Some(code) = once("error") {
            let description = once("error_description");
            return Some(Err(Error::Refused { code, description }));
        }
        Some(Ok(Secret::new(once("code")?)))
    }
}

/// # Errors
/// A file cannot be read, is not PEM, or the key does not belong to the certificate.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let refused = |option: &str, file: &Path, cause: &dyn std::fmt::Display| {
        Error::Local(format!("{option} {}: {cause}", file.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| refused("--local-server-cert", certificate, &cause))?;
    let private_key = PrivateKeyDer::from_pem_file(key)
        .map_err(|cause| refused("--local-server-key", key, &cause))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| refused("--local-server-cert", certificate, &cause))?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|cause| refused("--local-server-cert", certificate, &cause))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::{Callback, Expected};

    fn callback() -> Callback {
        let (sender, _) = tokio::sync::mpsc::channel(1);
        let expected = Expected {
            state: "s",
            issuer: "https://id.example",
            redirect_uri: "http://localhost:8000/cb",
        };
        Callback::new(expected, 8000, sender)
    }

    #[test]
    fn only_the_response_to_this_login_is_accepted() {
        let code = callback().read("code=c&state=s&iss=https%3A%2F%2Fid.example");
        assert_eq!(code.unwrap().unwrap().expose(), "c");
        for forged in [
            "",
            "code=c",
            "code=c&state=t",
            "code=c&state=s&state=t",
            "code=c&code=d&state=s",
            "code=c&state=s&iss=https%3A%2F%2Fevil.example",
        ] {
            assert!(callback().read(forged).is_none(), "{forged}");
        }
    }

    #[test]
    fn a_refusal_has_the_issuers_description() {
        let refused = callback().read("error=access_denied&error_description=No&state=s").unwrap();
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "the issuer refused the request: No (access_denied)");
    }

    #[test]
    fn only_loopback_and_the_redirect_uri_are_own_hosts() {
        let callback = callback();
        assert_eq!(callback.path, "/cb");
        for (host, is_own) in
            [("localhost:8000", true), ("127.0.0.1:8000", true), ("evil.example:8000", false)]
        {
            assert_eq!(callback.is_own_host(&host.parse().unwrap()), is_own, "{host}");
        }
    }
}
