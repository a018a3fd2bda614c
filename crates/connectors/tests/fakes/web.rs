//! A minimal web server for upstreams whose responses a test chooses, malformed ones above all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::form_urlencoded;

#[path = "recorder.rs"]
pub mod recorder;

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// By lower-case name.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn form(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub fn bearer(&self) -> Option<&str> {
        self.headers.get("authorization")?.strip_prefix("Bearer ")
    }
}

#[derive(Clone, Debug)]
pub enum Reply {
    Json(u16, Value),
    Text(u16, &'static str, String),
    /// A JSON response with one more header.
    With(u16, &'static str, String, Value),
    /// Any response, with all its headers.
    Full(u16, Vec<(&'static str, String)>, String),
    Redirect(String),
    /// Reads the request and never responds.
    Silence,
    /// The response begins as JSON and never ends.
    Endless,
    /// The connection is closed without a response.
    Nothing,
}

impl Reply {
    pub fn ok(json: Value) -> Self {
        Self::Json(200, json)
    }

    pub fn not_found() -> Self {
        Self::Text(404, "text/html", "<html>no such page</html>".to_owned())
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// Runs until the test ends.
pub struct Web {
    /// `http://127.0.0.1:port`, or `https://localhost:port`.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// The certificate of a TLS server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    SelfSigned,
    Expired,
}

impl Web {
    pub async fn start(handler: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::run(listener, url, None, handler)
    }

    /// Serves from a thread of its own, for tests that block theirs.
    pub fn start_apart(handler: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                sender.send(Self::start(handler).await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().unwrap()
    }

    /// Returns its certificate in PEM too.
    pub async fn start_tls(
        shown: Shown,
        handler: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static,
    ) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if shown == Shown::Expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        (Self::run(listener, url, Some(acceptor), handler), certificate.pem())
    }

    fn run(
        listener: TcpListener,
        url: String,
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (own, base) = (requests.clone(), url.clone());
        let handler: Arc<Handler> = Arc::new(move |request| handler(&base, request));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (own, handler, tls) = (own.clone(), handler.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => Box::pin(serve(stream, &own, &*handler)).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                Box::pin(serve(stream, &own, &*handler)).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, requests }
    }

    /// The requests to this path so far.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .filter(|request| request.path == path)
            .cloned()
            .collect()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    requests: &Mutex<Vec<Request>>,
    handler: &Handler,
) {
    let Some(request) = read(&mut stream).await else { return };
    requests.lock().unwrap().push(request.clone());
    let response = |status: u16, more: &str, body: &str| {
        format!(
            "HTTP/1.1 {status} Fake\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let json = "Content-Type: application/json\r\n";
    let text = match handler(&request) {
        Reply::Json(status, value) => response(status, json, &value.to_string()),
        Reply::With(status, name, value, body) => {
            response(status, &format!("{json}{name}: {value}\r\n"), &body.to_string())
        }
        Reply::Text(status, kind, body) => {
            response(status, &format!("Content-Type: {kind}\r\n"), &body)
        }
        Reply::Full(status, headers, body) => {
            let line = |(name, value): &(&str, String)| format!("{name}: {value}\r\n");
            response(status, &headers.iter().map(line).collect::<String>(), &body)
        }
        Reply::Redirect(to) => response(302, &format!("Location: {to}\r\n"), ""),
        Reply::Nothing => return,
        Reply::Silence => {
            std::future::pending::<()>().await;
            return;
        }
        Reply::Endless => {
            let head = format!("HTTP/1.1 200 Fake\r\n{json}Connection: close\r\n\r\n{{\"a\":\"");
            let mut sent = stream.write_all(head.as_bytes()).await;
            let chunk = [b'a'; 16 * 1024];
            while sent.is_ok() {
                sent = stream.write_all(&chunk).await;
            }
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let head_end = loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let method = first.next()?.to_owned();
    let target = first.next()?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&buffer[..count]);
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let body = String::from_utf8(body).ok()?;
    Some(Request { method, path: path.to_owned(), query, headers, body })
}
