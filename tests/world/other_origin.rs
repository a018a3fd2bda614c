//! A small web server on another origin: an application's redirect URI, a page that embeds ours, or
//! a hop on the way to a third origin. It writes down what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Arrival, address};

pub struct OtherOrigin {
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// As `name: value`, names in lower case.
    pub headers: Vec<String>,
    pub body: String,
}

impl OtherOrigin {
    /// Answers everything with a short page.
    pub fn listening() -> Self {
        Self::answering("200 OK", "", "<!DOCTYPE html><title>Arrived</title><h1>Arrived</h1>")
    }

    /// Sends everybody on, as an application does after it took the code.
    pub fn redirecting_to(url: &str) -> Self {
        Self::answering("303 See Other", &format!("location: {url}\r\n"), "")
    }

    /// Serves this HTML, at any path.
    pub fn serving(html: &str) -> Self {
        Self::answering("200 OK", "", html)
    }

    /// `headers` are whole lines, each ended by CR LF.
    pub fn answering(status: &str, headers: &str, body: &str) -> Self {
        let listener = TcpListener::bind((address::own(), 5556)).expect("the address is its own");
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
             connection: close\r\n{headers}\r\n{body}",
            body.len()
        );
        let ledger = Arc::clone(&heard);
        // It ends with the test process; a test that is over does not ask it anything.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (ledger, answer) = (Arc::clone(&ledger), answer.clone());
                std::thread::spawn(move || serve(stream, &ledger, &answer));
            }
        });
        Self { url, heard }
    }

    /// What has been asked so far, icons left out.
    pub fn heard(&self) -> Vec<Heard> {
        let all = self.heard.lock().unwrap();
        all.iter().filter(|heard| heard.target != "/favicon.ico").cloned().collect()
    }

    /// The login that ended here.
    pub fn arrival(&self) -> Arrival {
        let heard = self.heard();
        let arrived = heard.iter().find(|heard| heard.target.contains("code="));
        let target = &arrived.unwrap_or_else(|| panic!("no code came: {heard:?}")).target;
        Arrival::at(&format!("{}{target}", self.url))
    }
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.headers.iter().find_map(|line| line.strip_prefix(&prefix))
    }
}

/// One connection: browsers open some and say nothing on them.
fn serve(stream: TcpStream, ledger: &Mutex<Vec<Heard>>, answer: &str) {
    let Some(heard) = read_request(&stream) else { return };
    ledger.lock().unwrap().push(heard);
    let mut stream = stream;
    stream.write_all(answer.as_bytes()).ok();
}

pub(super) fn read_request(stream: impl Read) -> Option<Heard> {
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
    let mut heard = Heard { method, target, headers, body: String::new() };
    let length = heard.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    heard.body = String::from_utf8_lossy(&body).into_owned();
    Some(heard)
}

#[tokio::test]
async fn it_writes_down_what_it_was_asked_and_sends_on() {
    let third = OtherOrigin::listening();
    let second = OtherOrigin::redirecting_to(&third.url);
    let client = super::http::client(None);
    let url = format!("{}/callback?code=c", second.url);
    let answer = client.post(&url).form(&[("a", "b c")]).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 303);
    assert_eq!(answer.headers()["location"], third.url);
    let heard = &second.heard()[0];
    assert_eq!((heard.method.as_str(), heard.target.as_str()), ("POST", "/callback?code=c"));
    assert_eq!(heard.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(heard.body, "a=b+c");
    assert!(third.heard().is_empty());
}
