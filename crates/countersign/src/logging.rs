//! The log: one line per event on standard error, as text or JSON.
//!
//! The fields of a request (request id, client address) are on every line about it. Values are escaped, so that an
//! event is always a single line.

mod line;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry_sdk::trace::SdkTracer;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, registry, reload};

use crate::config::{LogFormat, LogLevel, Logger};
use crate::environment::SystemClock;
use crate::trace_export::RequestSpans;
use line::{Fields, Line};

/// Changes the log settings at run time.
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    format: Arc<RwLock<LineFormat>>,
}

impl LogHandle {
    pub fn apply(&self, logger: &Logger) {
        *self.format.write().unwrap_or_else(PoisonError::into_inner) = LineFormat::of(logger);
        // Fails only if the subscriber was dropped, in which case nothing is logged.
        let _gone = self.filter.reload(targets(logger));
    }
}

/// Installs the configured log, and with a tracer the export of spans. `None`: another subscriber is already installed
/// and remains.
pub fn start(logger: &Logger, tracer: Option<SdkTracer>) -> Option<LogHandle> {
    let (filter, handle) = reload::Layer::new(targets(logger));
    let format = Arc::new(RwLock::new(LineFormat::of(logger)));
    let lines = Lines { format: Arc::clone(&format) };
    let log = registry().with(lines.with_filter(filter));
    let started = match tracer {
        None => log.try_init(),
        Some(tracer) => log.with(exported(tracer)).try_init(),
    };
    started.ok().map(|()| LogHandle { filter: handle, format })
}

/// The layer that exports the spans of requests, with the fields that they are given and nothing about the source code.
fn exported<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    tracing_opentelemetry::layer::<S>()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(RequestSpans)
}

/// Libraries log only warnings and errors, because their details may contain secrets.
fn targets(logger: &Logger) -> Targets {
    let level = match logger.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    Targets::new().with_default(LevelFilter::WARN).with_target("countersign", level)
}

/// Whether lines are JSON: as configured, otherwise unless standard error is a terminal.
pub fn is_json(logger: &Logger) -> bool {
    match logger.format {
        Some(format) => format == LogFormat::Json,
        None => !io::stderr().is_terminal(),
    }
}

struct LineFormat {
    json: bool,
    excluded: Vec<String>,
}

impl LineFormat {
    fn of(logger: &Logger) -> Self {
        Self { json: is_json(logger), excluded: logger.exclude_fields.clone() }
    }
}

struct Lines {
    format: Arc<RwLock<LineFormat>>,
}

struct Collect<'a> {
    fields: Fields,
    excluded: &'a [String],
}

impl Collect<'_> {
    /// Fields with a dot in their name are exported to a collector, and not part of the log.
    fn add(&mut self, field: &Field, value: serde_json::Value) {
        let name = field.name();
        if !name.contains('.') && !self.excluded.iter().any(|excluded| excluded == name) {
            self.fields.push((name, value));
        }
    }
}

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

impl Lines {
    fn collect(&self, record: impl FnOnce(&mut Collect<'_>)) -> Fields {
        let format = self.format.read().unwrap_or_else(PoisonError::into_inner);
        let mut collect = Collect { fields: Vec::new(), excluded: &format.excluded };
        record(&mut collect);
        collect.fields
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let fields = self.collect(|collect| attributes.record(collect));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let more = self.collect(|collect| values.record(collect));
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            fields.extend(more);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = self.collect(|collect| event.record(collect));
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<Fields>() {
                fields.extend(known.iter().cloned());
            }
        }
        let line =
            Line { at: SystemClock::uncorrected(), level: *event.metadata().level(), fields };
        let json = self.format.read().unwrap_or_else(PoisonError::into_inner).json;
        let text = if json { line.as_json() } else { line.as_text() };
        // A failure to write the log must not stop the server.
        let _lost = io::stderr().lock().write_all(text.as_bytes());
    }
}
