//! A web server on another origin: a client's redirect URI, a page that embeds ours, or an intermediate
//! redirect. It records the requests it receives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{AuthResponse, address};

pub struct OtherOrigin {
    pub url: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// As `name: value`, names in lower case.
    pub headers: Vec<String>,
    pub body: String,
}

impl OtherOrigin {
    /// Responds to every request with a short page.
    pub fn start() -> Self {
        Self::responding("200 OK", "", "<!DOCTYPE html><title>Arrived</title><h1>Arrived</h1>")
    }

    /// Redirects every request, as an application does after the code exchange.
    pub fn redirecting_to(url: &str) -> Self {
        Self::responding("303 See Other", &format!("location: {url}\r\n"), "")
    }

    /// Serves this HTML at every path.
    pub fn serving(html: &str) -> Self {
        Self::responding("200 OK", "", html)
    }

    /// The same, of a text that contains the address of this server, such as a discovery document.
    pub fn serving_at(text: impl FnOnce(&str) -> String) -> Self {
        let listener = Self::bind();
        let text = text(&format!("http://{}", listener.local_addr().unwrap()));
        Self::responding_at(listener, ("200 OK", ""), &text)
    }

    /// `headers` are whole lines, each ended by CR LF.
    pub fn responding(status: &str, headers: &str, body: &str) -> Self {
        Self::responding_at(Self::bind(), (status, headers), body)
    }

    fn bind() -> TcpListener {
        TcpListener::bind((address::own(), 5556)).expect("the address is its own")
    }

    fn responding_at(listener: TcpListener, (status, headers): (&str, &str), body: &str) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let response = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
             connection: close\r\n{headers}\r\n{body}",
            body.len()
        );
        let recorded = Arc::clone(&requests);
        // The thread runs until the test process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (recorded, response) = (Arc::clone(&recorded), response.clone());
                std::thread::spawn(move || serve(stream, &recorded, &response));
            }
        });
        Self { url, requests }
    }

    /// The requests received so far, without those for `/favicon.ico`.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        let all = self.requests.lock().unwrap();
        all.iter().filter(|request| request.target != "/favicon.ico").cloned().collect()
    }

    /// The authorization response that was received here.
    pub fn auth_response(&self) -> AuthResponse {
        let requests = self.requests();
        let response = requests.iter().find(|request| request.target.contains("code="));
        let target =
            &response.unwrap_or_else(|| panic!("no code was received: {requests:?}")).target;
        AuthResponse::at(&format!("{}{target}", self.url))
    }
}

impl ReceivedRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.headers.iter().find_map(|line| line.strip_prefix(&prefix))
    }
}

/// Handles one connection; browsers also open some without sending a request.
fn serve(stream: TcpStream, requests: &Mutex<Vec<ReceivedRequest>>, response: &str) {
    let Some(request) = read_request(&stream) else { return };
    requests.lock().unwrap().push(request);
    let mut stream = stream;
    stream.write_all(response.as_bytes()).ok();
}

pub(super) fn read_request(stream: impl Read) -> Option<ReceivedRequest> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push(format!("{}: {}", name.to_ascii_lowercase(), value.trim()));
    }
    let mut request = ReceivedRequest { method, target, headers, body: String::new() };
    let length = request.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

#[tokio::test]
async fn requests_are_recorded_and_redirected() {
    let third = OtherOrigin::start();
    let second = OtherOrigin::redirecting_to(&third.url);
    let client = super::http::client(None);
    let url = format!("{}/callback?code=c", second.url);
    let response = client.post(&url).form(&[("a", "b c")]).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 303);
    assert_eq!(response.headers()["location"], third.url);
    let request = &second.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/callback?code=c"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.body, "a=b+c");
    assert!(third.requests().is_empty());
}
