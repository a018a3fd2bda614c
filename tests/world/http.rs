//! HTTP clients: the one of browsers and relying parties, which follows no redirect and stores no cookie; and
//! requests that no browser sends, single ones with chosen headers or raw bytes on a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};

use super::{Page, Server};

/// `ca` is the only certificate authority trusted for https.
pub fn client(ca: Option<&Path>) -> reqwest::Client {
    builder(ca).build().unwrap()
}

/// The builder of that client, for tests that configure more.
pub fn builder(ca: Option<&Path>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy();
    let authorities =
        ca.map(|path| reqwest::Certificate::from_pem(&std::fs::read(path).unwrap()).unwrap());
    builder.tls_certs_only(authorities)
}

/// `url` with the origin of another replica.
pub fn at(origin: &str, url: &reqwest::Url) -> reqwest::Url {
    let mut dialled = reqwest::Url::parse(origin).unwrap();
    dialled.set_path(url.path());
    dialled.set_query(url.query());
    dialled
}

/// The `Host` header for `url`: with the port, unless it is the scheme's default.
pub fn host_of(url: &reqwest::Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}

/// Longer than any timeout of the server.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A client that follows no redirect and keeps no cookie.
pub fn bare_client() -> Client {
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    client.tls_certs_only([]).build().unwrap()
}

/// Sends a request built with [`http`] and returns the response.
pub async fn send(request: RequestBuilder) -> Page {
    let response = request.send().await.unwrap_or_else(|e| panic!("{e:?}"));
    let (url, status) = (response.url().clone(), response.status().as_u16());
    let headers = response.headers().clone();
    Page { url, status, headers, body: response.text().await.unwrap() }
}

/// A TCP connection to this origin.
pub fn connect(origin: &str) -> TcpStream {
    let url = Url::parse(origin).unwrap();
    let stream = TcpStream::connect(url.socket_addrs(|| None).unwrap()[0]).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    stream
}

/// Sends these bytes and returns everything that is received until the server closes the connection.
pub fn send_bytes(server: &Server, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(&server.origin());
    // The server may have answered and closed before everything is written.
    let _write_error = stream.write_all(bytes.as_ref());
    read_until_closed(&mut stream)
}

pub fn read_until_closed(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received) {
        let is_closed = error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(is_closed, "{error}: {}", String::from_utf8_lossy(&received));
    }
    String::from_utf8_lossy(&received).into_owned()
}
