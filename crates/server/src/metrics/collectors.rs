//! Metrics whose values are read at scrape time: of the process, its limits, the issuer and its upstreams.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

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
        let is_open = |upstream: &ConnectorStatus| upstream.circuit_breaker.is_some();
        let help = "1: the last request to the upstream succeeded, or there was none lately";
        gauge_by_connector(&mut encoder, "countersign_connector_up", help, &upstreams, up)?;
        let help = "1: the circuit breaker is open, until an administrator confirms the refusals";
        let name = "countersign_connector_circuit_open";
        gauge_by_connector(&mut encoder, name, help, &upstreams, is_open)?;
        let help = "1: keys are stored without a root key";
        let unsealed = i64::from(issuer.root.is_none());
        gauge(&mut encoder, "countersign_keys_unsealed", help, unsealed)?;
        durations(&mut encoder, &issuer, &upstreams)
    }
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
