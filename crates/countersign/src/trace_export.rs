//! Traces for an OpenTelemetry collector, by OTLP over HTTP with protocol buffers, configured by the standard `OTEL_*`
//! environment variables. Without an endpoint in them no exporter is built.
//!
//! Exported are the spans of requests (`countersign_server`), and within them those of database operations, connectors
//! and requests to upstreams (`countersign_core::trace::EXPORTED_SPANS`). Events of the log are not exported, as they
//! may name users.
//!
//! A thread of the library sends finished spans in batches. Its queue is bounded (`OTEL_BSP_MAX_QUEUE_SIZE`): while the
//! collector is down or slow spans are dropped, and no request waits.

mod collector;
mod environment;

use std::time::Duration;

use countersign_core::trace::EXPORTED_SPANS;
use countersign_server::RequestTraces;
use http::{HeaderMap, HeaderName};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::{self, Filter};
use tracing_subscriber::registry::LookupSpan;

use self::collector::{CollectorClient, RenamingExporter};
use self::environment::Settings;
use crate::environment::non_empty_variable;

const SERVICE_NAME: &str = "service.name";
/// How long the last spans may take at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// W3C Trace Context section 3.3.1.5: vendors should propagate at least 512 characters of `tracestate`. Every span keeps
/// a copy, so that longer ones are not kept.
const MAX_HEADER_BYTES: usize = 512;

/// The export of traces, until [`TraceExport::flush`].
pub struct TraceExport {
    provider: SdkTracerProvider,
    collector: String,
    warnings: Vec<String>,
    continues_traces: bool,
}

/// Reads the environment and starts the export. `None`: not configured. `Err`: it is, but not usably; the server runs
/// without it, as OpenTelemetry's specification asks of programs.
pub fn start(runtime: &Handle) -> Result<Option<TraceExport>, String> {
    let Some(settings) = Settings::read(&non_empty_variable)? else { return Ok(None) };
    let collector = CollectorClient::new(&settings, runtime.clone())?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(collector)
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout)
        .build()
        .map_err(|error| error.to_string())?;
    let processor = BatchSpanProcessor::builder(RenamingExporter(exporter)).build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_span_processor(processor)
        .build();
    let Settings { host, warnings, continues_traces, .. } = settings;
    Ok(Some(TraceExport { provider, collector: host, warnings, continues_traces }))
}

impl TraceExport {
    /// What the layer of the log's subscriber makes spans with.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("countersign")
    }

    pub fn request_traces(&self) -> Box<dyn RequestTraces> {
        Box::new(CallerTraces::new(self.continues_traces))
    }

    /// Says what is exported, and which variables are not understood.
    pub fn log(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(
            collector = self.collector,
            "traces are sent to the OpenTelemetry collector"
        );
    }

    /// Sends the spans that are still queued, within [`FLUSH_TIMEOUT`].
    pub async fn flush(self) {
        let Self { provider, .. } = self;
        // The outcome was logged by the collector.
        let flush = move || provider.shutdown_with_timeout(FLUSH_TIMEOUT);
        let _ = tokio::task::spawn_blocking(flush).await;
    }
}

/// Describes this process, as `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` do; the name is `countersign` where
/// they do not give another.
fn resource() -> Resource {
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let detected = Resource::builder().build();
    let name = detected.get(&Key::from_static_str(SERVICE_NAME));
    match name {
        Some(name) if !name.as_str().starts_with("unknown_service") => resource.build(),
        _ => resource.with_service_name("countersign").build(),
    }
}

/// Which spans are exported: those of requests, and in them those with [`EXPORTED_SPANS`]. Work without a request (the
/// collection of expired rows, the notifications of replicas) would be a trace of its own for each statement.
pub struct RequestSpans;

fn is_request(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && metadata.name() == "request"
        && metadata.target().starts_with("countersign_server")
}

fn is_part_of_request(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == EXPORTED_SPANS
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for RequestSpans {
    fn enabled(&self, metadata: &Metadata<'_>, context: &layer::Context<'_, S>) -> bool {
        // The context has only the spans that this filter accepted.
        is_request(metadata) || is_part_of_request(metadata) && context.lookup_current().is_some()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match (is_request(metadata), is_part_of_request(metadata)) {
            (true, _) => Interest::always(),
            (_, true) => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

/// Continues the trace of a request's caller (W3C Trace Context).
#[derive(Debug)]
struct CallerTraces {
    propagator: TraceContextPropagator,
    /// `false`: every request is the first span of its own trace.
    continues_traces: bool,
}

impl CallerTraces {
    fn new(continues_traces: bool) -> Self {
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
