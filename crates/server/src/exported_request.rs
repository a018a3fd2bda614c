//! The span of a request: its fields are in each line of the log about the request, and with a collector it is exported
//! with the names of OpenTelemetry's semantic conventions for HTTP servers.
//!
//! Exported are the route and not the path, which may contain ids, and no query, header, cookie or body.

use std::fmt::Debug;
use std::net::IpAddr;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method, Version};
use tracing::Span;
use tracing::field::{Empty, display};

/// Connects the spans of requests with the traces of their callers. Implemented by the program, which alone knows the
/// library.
pub trait RequestTraces: Debug + Send + Sync {
    /// Makes the span a part of the trace that the headers `traceparent` and `tracestate` name (W3C Trace Context), or
    /// the first span of a new trace. Returns the trace id. Must be called before anything happens in the span.
    fn continue_trace(&self, span: &Span, headers: &HeaderMap) -> Option<String>;
}

/// Fields without a dot are those of the log, those with a dot are exported only. Empty fields cost nothing.
pub fn span(request_id: &str, address: IpAddr) -> Span {
    tracing::info_span!(
        "request",
        request_id = %request_id,
        client_remote_addr = %address,
        trace_id = Empty,
        otel.name = Empty,
        otel.kind = Empty,
        otel.status_code = Empty,
        http.request.method = Empty,
        http.route = Empty,
        http.response.status_code = Empty,
        url.scheme = Empty,
        network.protocol.version = Empty,
        "error.type" = Empty,
    )
}

/// Describes the request and continues its trace.
pub fn begin(traces: &dyn RequestTraces, span: &Span, request: &Request, secure: bool) {
    let method = method_name(request.method());
    span.record("otel.kind", "server").record("http.request.method", method);
    span.record("url.scheme", if secure { "https" } else { "http" });
    if let Some(version) = version_name(request.version()) {
        span.record("network.protocol.version", version);
    }
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(route) => {
            span.record("http.route", route);
            span.record("otel.name", display(format_args!("{method} {route}")));
        }
        None => {
            span.record("otel.name", method);
        }
    }
    if let Some(trace_id) = traces.continue_trace(span, request.headers()) {
        span.record("trace_id", trace_id.as_str());
    }
}

/// Records the status. A refusal (4xx) is not an error of the server.
pub fn end(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR").record("error.type", display(status));
    }
}

/// Unknown methods share one name.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn version_name(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}
