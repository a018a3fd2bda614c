//! Servers that do not respond, respond wrongly or too much, or close the connection. Each must fail one login only,
//! within its time limit.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::tree::{plain, text};
use crate::{cause, connector};

/// A server on a port that is not a directory server.
pub struct Impostor {
    pub port: u16,
    task: JoinHandle<()>,
}

impl Impostor {
    /// Responds to the requests of every connection with these bytes, one element for each request.
    pub async fn saying(responses: Vec<Vec<u8>>) -> Self {
        Self::saying_by_turns(vec![responses]).await
    }

    /// Each connection gets the responses of the next script; further connections get those of the last.
    pub async fn saying_by_turns(scripts: Vec<Vec<Vec<u8>>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            let mut script = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                script = scripts.next().unwrap_or(script);
                tokio::spawn(converse(stream, script.clone()));
            }
        });
        Self { port, task }
    }

    /// The response to a successful first bind.
    pub fn bound() -> Vec<u8> {
        BOUND.to_vec()
    }

    /// Accepts connections and never sends a byte.
    pub async fn silent() -> Self {
        Self::saying(Vec::new()).await
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends one response for each request; after the last one it reads and does not respond.
async fn converse(mut stream: TcpStream, responses: Vec<Vec<u8>>) {
    let mut buffer = vec![0; 4096];
    let mut responses = responses.into_iter();
    while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
        let Some(response) = responses.next() else { continue };
        if response.is_empty() || stream.write_all(&response).await.is_err() {
            return;
        }
    }
}

const BOUND: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";

async fn cause_of(responses: Vec<Vec<u8>>) -> String {
    let impostor = Impostor::saying(responses).await;
    let host = ("host", text(format!("127.0.0.1:{}", impostor.port)));
    let ldap = connector(vec![host, ("timeout", plain("500ms"))], vec![]);
    let begun = Instant::now();
    let cause = cause(&ldap, "jane", "bar").await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}: {cause}", begun.elapsed());
    cause
}

#[tokio::test]
async fn silence_ends_with_the_timeout() {
    assert!(cause_of(vec![]).await.contains("bind: no answer in time"));
    assert!(cause_of(vec![BOUND.to_vec()]).await.contains("no answer to a search in time"));
}

#[tokio::test]
async fn silence_under_tls_and_start_tls_ends_too() {
    let impostor = Impostor::silent().await;
    for key in ["startTLS", "insecureSkipVerify"] {
        let ldap = connector(
            vec![
                ("host", text(format!("127.0.0.1:{}", impostor.port))),
                ("timeout", plain("300ms")),
                ("insecureNoSSL", plain("false")),
                (key, plain("true")),
            ],
            vec![],
        );
        assert!(cause(&ldap, "jane", "bar").await.contains("no connection in time"));
    }
}

#[tokio::test]
async fn a_refused_start_tls_is_the_end_and_no_password_follows() {
    let refused = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00".to_vec();
    let impostor = Impostor::saying(vec![refused, BOUND.to_vec()]).await;
    let ldap = connector(
        vec![
            ("host", text(format!("127.0.0.1:{}", impostor.port))),
            ("insecureNoSSL", plain("false")),
            ("startTLS", plain("true")),
        ],
        vec![],
    );
    let cause = cause(&ldap, "jane", "bar").await;
    assert!(cause.contains("the server refuses StartTLS (result 2)"), "{cause}");
}

#[tokio::test]
async fn nonsense_floods_and_depth_are_cut_off_with_a_reason() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    assert!(cause_of(vec![http]).await.contains("something that is not LDAP"));
    let gigabyte = vec![0x30, 0x84, 0x40, 0, 0, 0];
    assert!(cause_of(vec![BOUND.to_vec(), gigabyte]).await.contains("more than 16 MiB"));
    let body = (0..20_000).fold(Vec::new(), |inner: Vec<u8>, _| element(0x30, inner));
    let deep = element(0x30, [vec![2, 1, 2], element(0x64, body)].concat());
    assert!(cause_of(vec![BOUND.to_vec(), deep]).await.contains("too deeply nested"));
    let shapeless = vec![0x30, 0x05, 2, 1, 1, 0x61, 0];
    assert!(cause_of(vec![shapeless]).await.contains("something that is not LDAP"));
    let disconnection = b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00".to_vec();
    assert!(cause_of(vec![disconnection]).await.contains("notice of disconnection"));
}

#[tokio::test]
async fn breaking_off_after_the_bind_is_understood() {
    assert!(cause_of(vec![BOUND.to_vec(), vec![]]).await.contains("closed the connection"));
}

#[tokio::test]
async fn a_referral_is_not_followed() {
    let url = element(0xa3, element(0x04, b"ldap://evil.example.com".to_vec()));
    let result = [b"\x0a\x01\x0a\x04\x00\x04\x00".to_vec(), url].concat();
    let done = element(0x30, [vec![2, 1, 2], element(0x65, result)].concat());
    let cause = cause_of(vec![BOUND.to_vec(), done]).await;
    assert!(cause.contains("referrals are not followed"), "{cause}");
}

fn element(tag: u8, body: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [vec![tag, 0x84], length.to_vec(), body].concat()
}
