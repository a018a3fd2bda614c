//! Metrics whose values are read at scrape time: of the process (`process_*`, on Linux from /proc), its limits, the issuer
//! and its upstreams.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use std::{fmt, fs};

use countersign_issuer::upstream_health::{BOUNDS, CallDurations, Health};
use countersign_issuer::{ConnectorStatus, Issuer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::process_state::ProcessState;

/// The current issuer; a reload replaces it.
pub type CurrentIssuer = Arc<RwLock<Arc<Issuer>>>;

/// Password verifications, counted by the hashing threads.
#[derive(Debug)]
pub struct Hashes(pub Arc<AtomicU64>);

impl Collector for Hashes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let hashes = self.0.load(Ordering::Relaxed);
        counter(&mut encoder, "countersign_password_hashes", "Password verifications", hashes)
    }
}

/// Usage of the configured `limits`, and the last reload of the configuration.
#[derive(Debug)]
pub struct Process(pub ProcessState);

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = &self.0;
        let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let help = "Open connections of all listeners";
        gauge(&mut encoder, "countersign_open_connections", help, count(state.open_connections()))?;
        let help = "Connections closed at once because limits.connections was reached";
        let refused = state.refused_connections();
        counter(&mut encoder, "countersign_refused_connections", help, refused)?;
        let help = "Memory held for request bodies";
        let held = count(state.body_bytes_in_use());
        gauge(&mut encoder, "countersign_request_body_bytes", help, held)?;
        let help = "Requests answered with 503 because limits.requestBodies was reached";
        counter(&mut encoder, "countersign_refused_request_bodies", help, state.refused_bodies())?;
        let reload = state.reload_state();
        let help = "1: the configuration in use is the one in the file, as far as it was read";
        let success = i64::from(reload.failure.is_none());
        gauge(&mut encoder, "countersign_config_reload_success", help, success)?;
        let Some(loaded_at) = reload.loaded_at else { return Ok(()) };
        let help = "When the configuration in use was read";
        let seconds = loaded_at.secs();
        gauge(&mut encoder, "countersign_config_load_timestamp_seconds", help, seconds)
    }
}

/// State of the connectors' upstreams and of the keys. Labels: connector id and operation.
pub struct IssuerState(pub CurrentIssuer);

impl fmt::Debug for IssuerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerState")
    }
}

impl Collector for IssuerState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let issuer = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let upstreams = issuer.connector_statuses();
        let up = |upstream: &ConnectorStatus| upstream.health != Health::Down;
        last_responses(&mut encoder, &upstreams)?;
        let is_open = |upstream: &ConnectorStatus| upstream.circuit_breaker.is_some();
        let help = "1: the last request to the upstream succeeded, or there was none lately";
        gauge_by_connector(&mut encoder, "countersign_connector_up", help, &upstreams, up)?;
        let help = "1: the circuit breaker is open, until an administrator confirms the refusals";
        let name = "countersign_connector_circuit_open";
        gauge_by_connector(&mut encoder, name, help, &upstreams, is_open)?;
        let help = "1: keys are stored without a root key";
        let unsealed = i64::from(issuer.root.is_none());
        gauge(&mut encoder, "countersign_keys_unsealed", help, unsealed)?;
        if issuer.settings.external_signer.is_some() {
            let help = "1: the service that keeps the signing key signed and named its versions the last time";
            let signs = issuer.keyring.keys().signer_problem().is_none();
            gauge(&mut encoder, "countersign_signer_up", help, i64::from(signs))?;
        }
        durations(&mut encoder, &issuer, &upstreams)
    }
}

/// Without a sample for a connector that has not responded since the start: `countersign_connector_up` is 1 for it
/// too, because nothing is known against it.
fn last_responses(
    encoder: &mut DescriptorEncoder<'_>,
    upstreams: &[ConnectorStatus],
) -> fmt::Result {
    let name = "countersign_connector_last_response_timestamp_seconds";
    let help = "When the upstream last responded; absent: not since the start";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for upstream in upstreams {
        let Some(at) = upstream.last_response else { continue };
        let labels = [("connector", upstream.connector.as_str())];
        let seconds = ConstGauge::new(at.millis().div_euclid(1000));
        seconds.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn durations(
    encoder: &mut DescriptorEncoder<'_>,
    issuer: &Issuer,
    upstreams: &[ConnectorStatus],
) -> fmt::Result {
    let name = "countersign_upstream_request_duration_seconds";
    let help = "Duration of requests to upstreams, failed ones included";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for upstream in upstreams {
        for (op, took) in issuer.upstream_times(&upstream.connector) {
            let labels = [("connector", upstream.connector.as_str()), ("op", op.name())];
            let mut encoder = family.encode_family(&labels)?;
            let (seconds, buckets) = (took.total.as_secs_f64(), buckets(&took));
            encoder.encode_histogram::<NoLabelSet>(seconds, took.calls, &buckets, None)?;
        }
    }
    Ok(())
}

/// Upper bounds in seconds, each with the number of calls between it and the previous bound.
fn buckets(took: &CallDurations) -> Vec<(f64, u64)> {
    let bounds = BOUNDS.iter().map(|millis| Duration::from_millis(*millis));
    let bounds = bounds.map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
    bounds.zip(took.buckets).collect()
}

fn gauge_by_connector(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    upstreams: &[ConnectorStatus],
    is_one: impl Fn(&ConnectorStatus) -> bool,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for upstream in upstreams {
        let labels = [("connector", upstream.connector.as_str())];
        let value = ConstGauge::new(i64::from(is_one(upstream)));
        value.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

pub(super) fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

pub(super) fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

/// Linux constants on all architectures that Rust supports: time units in /proc (USER_HZ), and bytes per page.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: i64 = 4096;

#[derive(Debug)]
pub struct OperatingSystem;

impl Collector for OperatingSystem {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(stat) = Stat::read() else { return Ok(()) };
        let seconds = ConstCounter::new(stat.cpu_ticks / TICKS_PER_SECOND);
        let help = "User and system CPU time";
        let name = "process_cpu_seconds";
        seconds.encode(encoder.encode_descriptor(name, help, None, seconds.metric_type())?)?;
        let mut number = |name, help, value| gauge(&mut encoder, name, help, value);
        number(
            "process_resident_memory_bytes",
            "Resident memory",
            stat.resident_pages * PAGE_BYTES,
        )?;
        number("process_virtual_memory_bytes", "Virtual memory", stat.virtual_bytes)?;
        number("process_threads", "Threads", stat.threads)?;
        if let Some(started) = stat.started_at() {
            number("process_start_time_seconds", "When the process started", started)?;
        }
        if let Some(open) = fs::read_dir("/proc/self/fd").ok().map(Iterator::count) {
            // Excludes the descriptor that reads the directory.
            let open = i64::try_from(open).unwrap_or(i64::MAX).saturating_sub(1);
            number("process_open_fds", "Open file descriptors", open)?;
        }
        if let Some(max) = max_open_files() {
            number("process_max_fds", "Most file descriptors that may be open", max)?;
        }
        Ok(())
    }
}

/// Fields of /proc/self/stat (proc(5)).
struct Stat {
    cpu_ticks: f64,
    threads: i64,
    started_ticks: f64,
    virtual_bytes: i64,
    resident_pages: i64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses; it may contain anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        // proc(5) numbers fields from 1; `rest` begins with the third.
        let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
        Some(Self {
            cpu_ticks: field(14)?.parse::<f64>().ok()? + field(15)?.parse::<f64>().ok()?,
            threads: field(20)?.parse().ok()?,
            started_ticks: field(22)?.parse().ok()?,
            virtual_bytes: field(23)?.parse().ok()?,
            resident_pages: field(24)?.parse().ok()?,
        })
    }

    /// Seconds since 1970.
    fn started_at(&self) -> Option<i64> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let boot: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "seconds since the machine started")]
        let since_boot = (self.started_ticks / TICKS_PER_SECOND) as i64;
        Some(boot + since_boot)
    }
}

fn max_open_files() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
