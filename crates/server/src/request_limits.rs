//! Limits on the memory of a request: its headers, and its body until it is processed.
//!
//! The body is read here completely before the handler runs, so that its time, its size and the memory of all bodies
//! are limited in one place: otherwise an HTTP/2 connection could hold a window of data for each of its streams.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::app::App;
use crate::process_state::{MAX_BODY_BYTES, ProcessState, REQUEST_OVERHEAD_BYTES};

/// Minimum growth of a body's buffer.
const STEP_BYTES: usize = 4 * 1024;
/// From the end of the headers to the end of the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 100;

/// Refuses with 431 (RFC 6585 section 5) if request line and headers exceed `limits.headerBytes` or 100 headers. Sizes
/// are counted in HTTP/1.1 notation, for HTTP/2 as well.
pub fn refuse_headers(app: &App, request: &Request) -> Option<Response> {
    let is_too_long = header_bytes(request) > app.settings.limits.header_bytes;
    (is_too_long || request.headers().len() > MAX_HEADERS)
        .then(|| closing(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, request.version()))
}

fn header_bytes(request: &Request) -> usize {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    // Two spaces, "HTTP/1.1", the line end and the empty line.
    let line = request.method().as_str().len() + target + authority + 14;
    // Colon, space and line end.
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + fields.sum::<usize>()
}

/// Reserves the memory of a body while it is held.
pub type BodyPermit = Option<OwnedSemaphorePermit>;

/// Reads the body before the handler runs. Refuses with 413 a body longer than any endpoint accepts, with 408 one that
/// is incomplete after ten seconds, and with 503 when the memory for request bodies (`limits.requestBodies`) is
/// exhausted.
pub async fn buffer_body(app: &App, request: Request) -> Result<(Request, BodyPermit), Response> {
    if request.body().is_end_stream() {
        return Ok((request, None));
    }
    let version = request.version();
    // Refused before reading, so that a client that expects "100 Continue" receives the error at once (RFC 9110 section
    // 10.1.1).
    let announced = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    if announced > MAX_BODY_BYTES {
        return Err(closing(StatusCode::PAYLOAD_TOO_LARGE, version));
    }
    let overhead = REQUEST_OVERHEAD_BYTES + header_bytes(&request);
    let Some(permit) = app.process.reserve_body_bytes(overhead) else {
        return Err(closing(StatusCode::SERVICE_UNAVAILABLE, version));
    };
    let (parts, body) = request.into_parts();
    let mut buffer = BodyBuffer { process: &app.process, permit, bytes: Vec::new() };
    let status = match timeout(BODY_TIMEOUT, buffer.read(body)).await {
        Ok(Ok(())) => {
            let BodyBuffer { permit, bytes, .. } = buffer;
            return Ok((Request::from_parts(parts, Body::from(bytes)), Some(permit)));
        }
        Ok(Err(BodyError::TooLarge)) => StatusCode::PAYLOAD_TOO_LARGE,
        Ok(Err(BodyError::NoMemory)) => StatusCode::SERVICE_UNAVAILABLE,
        Ok(Err(BodyError::Malformed)) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::REQUEST_TIMEOUT,
    };
    Err(closing(status, version))
}

enum BodyError {
    TooLarge,
    NoMemory,
    /// Invalid framing, or the client disconnected.
    Malformed,
}

/// The part of a body received so far. Every byte of its buffer is reserved.
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

/// The response to a request whose body is not read; an HTTP/1.1 connection cannot be reused after it.
fn closing(status: StatusCode, version: Version) -> Response {
    let mut response = status.into_response();
    if version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
