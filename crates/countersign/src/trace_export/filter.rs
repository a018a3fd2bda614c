//! Which spans are exported: those of requests, and in them those with [`EXPORTED_SPANS`]. Work without a request (the
//! collection of expired rows, the notifications of replicas) would be a trace of its own for each statement.

use countersign_core::trace::EXPORTED_SPANS;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

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
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
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
