//! A client's back-channel logout endpoint (OpenID Connect Back-Channel Logout 1.0). It responds with a
//! chosen status and records the requests.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Url;

use super::other_origin::{ReceivedRequest, read_request};
use super::{Client, address};

/// Longer than any delivery takes on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

pub struct LogoutReceiver {
    pub url: String,
    status: Arc<AtomicU16>,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl LogoutReceiver {
    /// Responds with 200.
    pub fn start() -> Self {
        let listener = TcpListener::bind((address::own(), 5556)).expect("the address is its own");
        let url = format!("http://{}/logged-out?tenant=7", listener.local_addr().unwrap());
        let (status, requests) = (Arc::new(AtomicU16::new(200)), Arc::default());
        let (response, recorded) = (Arc::clone(&status), Arc::clone(&requests));
        // The thread runs until the test process ends.
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                held.extend(serve(stream, &recorded, response.load(Ordering::SeqCst)));
            }
        });
        Self { url, status, requests }
    }

    /// Accepts requests and holds the connections without a response.
    pub fn never_responding() -> Self {
        let receiver = Self::start();
        receiver.responds_with(0);
        receiver
    }

    /// Sets the status of later responses; 0 means no response.
    pub fn responds_with(&self, status: u16) -> &Self {
        self.status.store(status, Ordering::SeqCst);
        self
    }

    /// The client with this id, whose `backchannelLogoutURI` is this endpoint.
    pub fn client(&self, id: &str) -> Client {
        Client::new(id).with(&format!("backchannelLogoutURI: {}", self.url))
    }

    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until exactly `times` requests have been received, and returns their logout tokens.
    pub async fn waits_for_logout_tokens(&self, times: usize) -> Vec<String> {
        let started = Instant::now();
        loop {
            let requests = self.requests();
            if requests.len() >= times {
                assert_eq!(requests.len(), times, "too many requests: {requests:?}");
                return requests.iter().map(ReceivedRequest::logout_token).collect();
            }
            assert!(
                started.elapsed() < WAIT_TIMEOUT,
                "fewer than {times} requests at {}",
                self.url
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl ReceivedRequest {
    /// The only field of the form (section 2.5).
    fn logout_token(&self) -> String {
        let form = Url::parse(&format!("http://form.invalid/?{}", self.body)).unwrap();
        let fields: Vec<_> = form.query_pairs().into_owned().collect();
        let [(name, token)] = fields.as_slice() else { panic!("{fields:?}") };
        assert_eq!(name, "logout_token");
        token.clone()
    }
}

/// Returns the connection if it is to stay open.
fn serve(
    stream: TcpStream,
    requests: &Mutex<Vec<ReceivedRequest>>,
    status: u16,
) -> Option<TcpStream> {
    let request = read_request(&stream)?;
    requests.lock().unwrap().push(request);
    let mut stream = stream;
    if status == 0 {
        return Some(stream);
    }
    // A redirect points to the receiver itself, so a sender that follows it makes another request.
    let response = format!(
        "HTTP/1.1 {status} X\r\nlocation: /followed\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
    );
    stream.write_all(response.as_bytes()).ok();
    None
}
