//! Bounds on what a request makes this process hold: its headers, and its body until it has been read.
//!
//! A body is read here, whole and before its handler runs, so that its time, its size and the memory of all bodies
//! together have one place that limits them: an HTTP/2 connection could otherwise keep a window of data for each of
//! its streams.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::app::App;
use crate::process_state::{MAX_BODY_BYTES, ProcessState, REQUEST_OVERHEAD_BYTES};

/// A buffer for a body grows by at least this much.
const STEP_BYTES: usize = 4 * 1024;
/// From the end of the headers to the end of the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 100;

/// 431 when request line and headers have more bytes than `limits.headerBytes`, or more than 100 headers (RFC 6585
/// section 5). Counted as HTTP/1.1 writes them, for HTTP/2 too.
pub async fn limit_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_too_long = header_bytes(&request) > app.settings.limits.header_bytes;
    if is_too_long || request.headers().len() > MAX_HEADERS {
        return closing(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, request.version());
    }
    next.run(request).await
}

fn header_bytes(request: &Request) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    // Two spaces, "HTTP/1.1", the line's end and the empty line.
    let line = request.method().as_str().len() + target + authority + 14;
    // Colon, space and the line's end.
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + fields.sum::<usize>()
}

/// Reads the body before the handler runs. 413: longer than any endpoint takes; 408: not complete within ten seconds;
/// 503: the memory for request bodies (`limits.requestBodies`) is in use.
pub async fn buffer_body(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let version = request.version();
    // Before any of it is read: a client that expects "100 Continue" gets the error at once (RFC 9110 section 10.1.1).
    let announced = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    if announced > MAX_BODY_BYTES {
        return closing(StatusCode::PAYLOAD_TOO_LARGE, version);
    }
    let overhead = REQUEST_OVERHEAD_BYTES + header_bytes(&request);
    let Some(permit) = app.process.reserve_body_bytes(overhead) else {
        return closing(StatusCode::SERVICE_UNAVAILABLE, version);
    };
    let (parts, body) = request.into_parts();
    let mut buffer = BodyBuffer { process: &app.process, permit, bytes: Vec::new() };
    let status = match timeout(BODY_TIMEOUT, buffer.read(body)).await {
        Ok(Ok(())) => {
            // Kept until the response: the handler holds the body.
            let BodyBuffer { permit, bytes, .. } = buffer;
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            drop(permit);
            return response;
        }
        Ok(Err(BodyError::TooLarge)) => StatusCode::PAYLOAD_TOO_LARGE,
        Ok(Err(BodyError::NoMemory)) => StatusCode::SERVICE_UNAVAILABLE,
        Ok(Err(BodyError::Malformed)) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::REQUEST_TIMEOUT,
    };
    closing(status, version)
}

enum BodyError {
    TooLarge,
    NoMemory,
    /// Wrong framing, or the client went away.
    Malformed,
}

/// A body as far as it has been received. Every byte of its buffer is reserved.
struct BodyBuffer<'a> {
    process: &'a ProcessState,
    permit: OwnedSemaphorePermit,
    bytes: Vec<u8>,
}

impl BodyBuffer<'_> {
    async fn read(&mut self, mut body: Body) -> Result<(), BodyError> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| BodyError::Malformed)?;
            // Trailers are ignored (RFC 9110 section 6.5.1).
            let Ok(data) = frame.into_data() else { continue };
            self.reserve(data.len())?;
            self.bytes.extend_from_slice(&data);
        }
        Ok(())
    }

    fn reserve(&mut self, more: usize) -> Result<(), BodyError> {
        let needed = self.bytes.len() + more;
        if needed > MAX_BODY_BYTES {
            return Err(BodyError::TooLarge);
        }
        let capacity = self.bytes.capacity();
        if needed > capacity {
            let wanted = needed.max(capacity + STEP_BYTES).max(capacity + capacity / 2);
            let reserved = self.process.reserve_body_bytes(wanted - capacity);
            self.permit.merge(reserved.ok_or(BodyError::NoMemory)?);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        Ok(())
    }
}

/// An answer to a request whose body is not read: an HTTP/1.1 connection cannot be used again after it.
fn closing(status: StatusCode, version: Version) -> Response {
    let mut response = status.into_response();
    if version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
