//! Limits the open connections of a listener to `limits.connections`; further ones are closed at once.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::process_state::ProcessState;

/// An acceptor that runs before TLS.
#[derive(Clone)]
pub struct ConnectionLimit {
    permits: Arc<Semaphore>,
    process: ProcessState,
}

impl ConnectionLimit {
    pub fn new(connections: usize, process: ProcessState) -> Self {
        let permits = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { permits, process }
    }
}

impl<S> Accept<TcpStream, S> for ConnectionLimit {
    type Stream = CountedStream;
    type Service = S;
    type Future = Ready<io::Result<(CountedStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            // Logs the first and then every thousandth refusal, so that a flood does not fill the log.
            if self.process.connection_refused().is_multiple_of(1000) {
                tracing::warn!("limits.connections is reached: a connection was closed");
            }
            return ready(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        // Sends small responses immediately instead of waiting for the client's acknowledgement (Nagle's algorithm).
        if let Err(error) = stream.set_nodelay(true) {
            return ready(Err(error));
        }
        self.process.connection_opened();
        ready(Ok((
            CountedStream { stream, process: self.process.clone(), _place: permit },
            service,
        )))
    }
}

/// A connection that returns its permit when it is closed.
pub struct CountedStream {
    stream: TcpStream,
    process: ProcessState,
    _place: OwnedSemaphorePermit,
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        self.process.connection_closed();
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
