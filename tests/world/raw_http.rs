//! Requests that no browser would send: single ones with chosen headers, and raw bytes on a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};

use super::{Page, Server};

/// Longer than the server waits for anything.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A client that follows no redirect and keeps no cookie.
pub fn http() -> Client {
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
