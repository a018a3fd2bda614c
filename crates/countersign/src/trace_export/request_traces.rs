//! Continues the trace of a request's caller (W3C Trace Context).

use countersign_server::RequestTraces;
use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Section 3.3.1.5: vendors should propagate at least 512 characters of `tracestate`. Every span keeps a copy, so that
/// longer ones are not kept.
const MAX_HEADER_BYTES: usize = 512;

#[derive(Debug)]
pub struct CallerTraces {
    propagator: TraceContextPropagator,
    /// `false`: every request is the first span of its own trace.
    continues_traces: bool,
}

impl CallerTraces {
    pub fn new(continues_traces: bool) -> Self {
        Self { propagator: TraceContextPropagator::new(), continues_traces }
    }
}

impl RequestTraces for CallerTraces {
    fn continue_trace(&self, span: &Span, headers: &HeaderMap) -> Option<String> {
        if self.continues_traces {
            let caller =
                self.propagator.extract_with_context(&Context::new(), &TraceHeaders(headers));
            if caller.span().span_context().is_valid() {
                // Fails only if the span is not exported.
                let _ = span.set_parent(caller);
            }
        }
        let context = span.context();
        let span = context.span();
        let span_context = span.span_context();
        span_context.is_valid().then(|| span_context.trace_id().to_string())
    }
}

/// The headers, each only if it occurs once and is short.
struct TraceHeaders<'a>(&'a HeaderMap);

impl Extractor for TraceHeaders<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next().filter(|value| value.len() <= MAX_HEADER_BYTES)?;
        match values.next() {
            Some(_) => None,
            None => value.to_str().ok(),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use opentelemetry::propagation::Extractor;

    use super::TraceHeaders;

    #[test]
    fn repeated_and_long_headers_are_not_read() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", HeaderValue::from_static("one"));
        headers.append("tracestate", HeaderValue::try_from("a".repeat(512)).unwrap());
        assert_eq!(TraceHeaders(&headers).get("traceparent"), Some("one"));
        assert!(TraceHeaders(&headers).get("tracestate").is_some());
        headers.append("traceparent", HeaderValue::from_static("two"));
        headers.insert("tracestate", HeaderValue::try_from("a".repeat(513)).unwrap());
        assert_eq!(TraceHeaders(&headers).get("traceparent"), None);
        assert_eq!(TraceHeaders(&headers).get("tracestate"), None);
        assert_eq!(TraceHeaders(&headers).get("baggage"), None);
    }
}
