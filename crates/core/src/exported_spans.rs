//! Spans for an OpenTelemetry collector.
//!
//! The spans of database operations and of calls to upstreams have the target [`TARGET`], which the log does not show.
//! Without a collector no layer accepts this target, and the macro that makes such a span only reads a flag. They are
//! not entered, so that they do not change the span that a log line belongs to; their parent is the span of the request.
//!
//! They have the names of OpenTelemetry's semantic conventions, and no values from a request or a response.

/// The target of these spans.
pub const TARGET: &str = "exported_spans";
