//! The redirect URI of a native application: a listener on loopback that serves one login (RFC 8252 section 7.3).
//!
//! Every request but the one with this login's `state` is answered and ignored, so that another process or
//! page can neither end the login nor bring a code of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_core::Secret;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::form_urlencoded;

use crate::error::Error;

/// How many connections may wait for an answer at once: a browser opens a few, nobody needs more.
const MAX_CONNECTIONS: usize = 16;

pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// What the response must carry to belong to this login.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    pub state: &'a str,
    pub issuer: &'a str,
}

/// What the browser brought, once `state` matched.
enum AuthorizationResponse {
    Code(Secret),
    Error(Error),
}

impl Listener {
    /// The first free one of `addresses`. All must be on loopback.
    pub async fn bind(addresses: &[SocketAddr]) -> Result<Self, Error> {
        let mut causes = Vec::new();
        for address in addresses {
            if !address.ip().is_loopback() {
                return Err(Error::Local(format!(
                    "--listen-address {address} is not a loopback address"
                )));
            }
            match TcpListener::bind(address).await {
                Ok(socket) => {
                    let address =
                        socket.local_addr().map_err(|cause| Error::Local(cause.to_string()))?;
                    return Ok(Self { socket, address });
                }
                Err(cause) => causes.push(format!("{address}: {cause}")),
            }
        }
        Err(Error::Local(format!("no --listen-address is free: {}", causes.join("; "))))
    }

    pub fn redirect_uri(&self, host: &str) -> String {
        format!("http://{host}:{}", self.address.port())
    }

    /// Serves until the response with the right `state` has come and its page was sent.
    pub async fn wait_for_code(self, expected: Expected<'_>) -> Result<Secret, Error> {
        let (sender, mut receiver) = mpsc::channel(1);
        let service = Arc::new(CallbackPage {
            state: expected.state.to_owned(),
            issuer: expected.issuer.to_owned(),
            port: self.address.port(),
            sender,
        });
        let connections = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
        let response = loop {
            tokio::select! {
                accepted = self.socket.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
                    let service = Arc::clone(&service);
                    tokio::spawn(async move {
                        let answer = service_fn(move |request| {
                            let page = service.answer(&request);
                            async move { Ok::<_, Infallible>(page) }
                        });
                        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                        // A browser that hangs up has its page or does not want it.
                        let _ = connection.await;
                        drop(permit);
                    });
                }
                Some(response) = receiver.recv() => break response,
            }
        };
        // The page of the login is written by its own task; give it the chance to finish.
        tokio::task::yield_now().await;
        match response {
            AuthorizationResponse::Code(code) => Ok(code),
            AuthorizationResponse::Error(error) => Err(error),
        }
    }
}

struct CallbackPage {
    state: String,
    issuer: String,
    port: u16,
    sender: mpsc::Sender<AuthorizationResponse>,
}

impl CallbackPage {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET || request.uri().path() != "/" {
            return page(StatusCode::NOT_FOUND, "Not found", "There is nothing at this address.");
        }
        // A page elsewhere whose name resolves to loopback (DNS rebinding) has another Host.
        if !request.headers().get(header::HOST).is_some_and(|host| self.is_own_host(host)) {
            return page(
                StatusCode::BAD_REQUEST,
                "Bad request",
                "The Host header names another host.",
            );
        }
        match self.read(request.uri().query().unwrap_or_default()) {
            None => page(
                StatusCode::BAD_REQUEST,
                "This is not the login that is being waited for",
                "Go back to the terminal and use the newest browser tab.",
            ),
            Some(AuthorizationResponse::Error(error)) => {
                let text = format!("{error}. You can close this tab.");
                self.deliver(AuthorizationResponse::Error(error));
                page(StatusCode::OK, "You are not signed in", &text)
            }
            Some(code) => {
                self.deliver(code);
                page(
                    StatusCode::OK,
                    "You are signed in",
                    "You can close this tab and go back to the terminal.",
                )
            }
        }
    }

    fn is_own_host(&self, host: &HeaderValue) -> bool {
        let host = host.to_str().unwrap_or_default();
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|name| host == format!("{name}:{}", self.port))
    }

    /// `None`: not the response to this login's request.
    fn read(&self, query: &str) -> Option<AuthorizationResponse> {
        let once = |name: &str| {
            let mut values =
                form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let value = values.next().map(|(_, value)| value.into_owned());
            if values.next().is_some() { None } else { value }
        };
        if !Secret::new(self.state.clone()).matches(&once("state")?) {
            return None;
        }
        // RFC 9207: a response of another issuer must not be redeemed here.
        if once("iss").is_some_and(|iss| iss != self.issuer) {
            return None;
        }
        if let Some(code) = once("error") {
            let description = once("error_description");
            return Some(AuthorizationResponse::Error(Error::Refused { code, description }));
        }
        Some(AuthorizationResponse::Code(Secret::new(once("code")?)))
    }

    /// The first one counts.
    fn deliver(&self, response: AuthorizationResponse) {
        let _ = self.sender.try_send(response);
    }
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Full<Bytes>> {
    let (title, text) = (escaped(title), escaped(text));
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><body><main><h1>{title}</h1><p>{text}</p></main></body></html>"
    );
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONNECTION, "close"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{AuthorizationResponse, CallbackPage, escaped};

    fn callback() -> CallbackPage {
        let (sender, _) = tokio::sync::mpsc::channel(1);
        CallbackPage {
            state: "s".to_owned(),
            issuer: "https://id.example".to_owned(),
            port: 8000,
            sender,
        }
    }

    #[test]
    fn only_the_response_to_this_login_is_taken() {
        let code = callback().read("code=c&state=s&iss=https%3A%2F%2Fid.example");
        let Some(AuthorizationResponse::Code(code)) = code else { panic!("it was refused") };
        assert_eq!(code.expose(), "c");
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
    fn a_refusal_is_told_in_the_issuers_words() {
        let refused = callback().read("error=access_denied&error_description=No&state=s");
        let Some(AuthorizationResponse::Error(error)) = refused else { panic!("it was ignored") };
        assert_eq!(error.to_string(), "the issuer refused: access_denied: No");
    }

    #[test]
    fn markup_in_a_description_is_text() {
        assert_eq!(escaped("<script>\"&"), "&lt;script&gt;&quot;&amp;");
    }
}
