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
mod exporter;
mod filter;
mod request_traces;

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use self::collector::CollectorClient;
use self::environment::Settings;
use self::exporter::RenamingExporter;
pub use self::filter::RequestSpans;
use self::request_traces::CallerTraces;
use crate::environment::non_empty_variable;

const SERVICE_NAME: &str = "service.name";
/// How long the last spans may take at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

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

    pub fn request_traces(&self) -> Box<dyn countersign_server::RequestTraces> {
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
