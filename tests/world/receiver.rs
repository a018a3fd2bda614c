//! An application that wants to hear when a session is over (OpenID Connect Back-Channel Logout 1.0). It
//! answers as it is told to, and writes down what it heard.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Url;

use super::other_origin::{Heard, read_request};
use super::{Client, address};

/// Longer than any delivery takes on a busy machine. Not a sleep.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Receiver {
    pub url: String,
    status: Arc<AtomicU16>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Receiver {
    /// Says 200 to everything.
    pub fn listening() -> Self {
        let listener = TcpListener::bind((address::own(), 5556)).expect("the address is its own");
        let url = format!("http://{}/logged-out?tenant=7", listener.local_addr().unwrap());
        let (status, heard) = (Arc::new(AtomicU16::new(200)), Arc::default());
        let (answer, ledger) = (Arc::clone(&status), Arc::clone(&heard));
        // It ends with the test process.
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                held.extend(serve(stream, &ledger, answer.load(Ordering::SeqCst)));
            }
        });
        Self { url, status, heard }
    }

    /// Hears, holds the connection, and says nothing.
    pub fn silent() -> Self {
        let silent = Self::listening();
        silent.answers(0);
        silent
    }

    /// From now on; 0 is silence.
    pub fn answers(&self, status: u16) -> &Self {
        self.status.store(status, Ordering::SeqCst);
        self
    }

    /// The application of this id, which wants to hear here.
    pub fn client(&self, id: &str) -> Client {
        Client::new(id).with(&format!("backchannelLogoutURI: {}", self.url))
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until it has heard that often, and returns the logout tokens.
    pub async fn hears(&self, times: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let heard = self.heard();
            if heard.len() >= times {
                assert_eq!(heard.len(), times, "more than there was to hear: {heard:?}");
                return heard.iter().map(Heard::logout_token).collect();
            }
            assert!(begun.elapsed() < PATIENCE, "not told {times} times at {}", self.url);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Heard {
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
fn serve(stream: TcpStream, ledger: &Mutex<Vec<Heard>>, status: u16) -> Option<TcpStream> {
    let heard = read_request(&stream)?;
    ledger.lock().unwrap().push(heard);
    let mut stream = stream;
    if status == 0 {
        return Some(stream);
    }
    // A redirect leads back to itself: whoever follows it is heard once more.
    let answer = format!(
        "HTTP/1.1 {status} X\r\nlocation: /followed\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
    );
    stream.write_all(answer.as_bytes()).ok();
    None
}
