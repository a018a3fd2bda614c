//! A handler that does nothing but answer with a body, in a process of its own on the server's core: what an endpoint
//! that is served from memory is compared with.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Error;
use crate::issuer::Issuer;
use crate::local_server::CORE;
use crate::process::Process;

const ADDRESS: &str = "127.0.8.1:5559";
const START_TIMEOUT: Duration = Duration::from_secs(10);

pub struct BareServer(Child);

impl BareServer {
    /// Starts it with a body of the length of the document at this URL.
    pub async fn start(issuer: &Issuer, document: &str) -> Result<Self, Error> {
        let document = issuer.http.get(document).send().await?.error_for_status()?;
        let bytes = document.bytes().await?.len();
        let child = Command::new("taskset")
            .args(["-c", &CORE.to_string()])
            .arg(std::env::current_exe()?)
            .args(["bare-handler", ADDRESS, &bytes.to_string()])
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self(child);
        let begin = Instant::now();
        while issuer.http.get(Self::url()).send().await.is_err() {
            if begin.elapsed() > START_TIMEOUT {
                return Err("the bare handler did not start".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(server)
    }

    pub fn url() -> String {
        format!("http://{ADDRESS}/")
    }

    /// `taskset` replaces itself by the program.
    pub fn process(&self) -> Process {
        Process::new(self.0.id())
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Serves until the process is killed. Its runtime has as many threads as a server's.
pub fn serve(address: SocketAddr, bytes: usize) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(accept(address, Bytes::from(vec![b' '; bytes])))
}

async fn accept(address: SocketAddr, body: Bytes) -> Result<(), Error> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        let handler = service_fn(move |_: Request<hyper::body::Incoming>| {
            let body = body.clone();
            async move {
                let mut response = Response::new(Full::new(body));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            // An error is a client that has gone.
            let _gone = connection.serve_connection(TokioIo::new(stream), handler).await;
        });
    }
}
