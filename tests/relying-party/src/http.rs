//! A minimal HTTP client for a server on this machine: one request per connection, no TLS. It avoids
//! compiling a second HTTP stack.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openidconnect::http::{Response, header};
use openidconnect::{HttpRequest, HttpResponse};

/// Sends a request and reads the whole response; the server closes the connection (HTTP/1.0).
pub fn send(request: HttpRequest) -> Result<HttpResponse, Error> {
    let uri = request.uri();
    let authority = uri.authority().ok_or_else(|| wrong("no host"))?;
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut stream = TcpStream::connect(authority.as_str())?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;

    let mut head = format!("{} {target} HTTP/1.0\r\nHost: {authority}\r\n", request.method());
    for (name, value) in request.headers() {
        let value = value.to_str().map_err(|_| wrong("a header is no text"))?;
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("{}: {}\r\n\r\n", header::CONTENT_LENGTH, request.body().len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<HttpResponse, Error> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| wrong("no head"))?;
    let (head, body) = bytes.split_at(end + 4);
    let head = std::str::from_utf8(head).map_err(|_| wrong("a head that is no text"))?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let mut response = Response::builder().status(status);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        response = response.header(name, value);
    }
    response.body(body.to_vec()).map_err(|e| wrong(&e.to_string()))
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
