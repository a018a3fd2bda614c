//! What the issuer knows of its upstreams, told at the moment somebody asks.

use std::fmt;
use std::sync::Arc;

use countersign_issuer::upstream_health::{BOUNDS, CallDurations};
use countersign_issuer::{ConnectorStatus, Issuer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Labels are ids of configured connectors, and the four things an upstream is asked for.
pub struct Upstreams(pub Arc<Issuer>);

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstreams")
    }
}

impl Collector for Upstreams {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.0.connector_statuses();
        let up = |upstream: &ConnectorStatus| upstream.up;
        let circuit_open = |upstream: &ConnectorStatus| upstream.circuit_breaker.is_some();
        let what = "1: the upstream answered when it was last asked, or has not been asked lately";
        gauge(&mut encoder, ("countersign_connector_up", what), &upstreams, up)?;
        let what = "1: its refusals are not believed until a person confirms";
        gauge(&mut encoder, ("countersign_connector_braked", what), &upstreams, circuit_open)?;
        self.durations(&mut encoder, &upstreams)
    }
}

impl Upstreams {
    fn durations(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        upstreams: &[ConnectorStatus],
    ) -> fmt::Result {
        let name = "countersign_upstream_request_duration_seconds";
        let what = "Time an upstream took to answer, or to fail";
        let mut family = encoder.encode_descriptor(name, what, None, MetricType::Histogram)?;
        for upstream in upstreams {
            for (op, took) in self.0.upstream_times(&upstream.connector) {
                let labels = [("connector", upstream.connector.as_str()), ("op", op.name())];
                let mut encoder = family.encode_family(&labels)?;
                let (seconds, buckets) = (took.total.as_secs_f64(), buckets(&took));
                encoder.encode_histogram::<NoLabelSet>(seconds, took.calls, &buckets, None)?;
            }
        }
        Ok(())
    }
}

/// Upper bounds in seconds, with the calls between each and the one before.
fn buckets(took: &CallDurations) -> Vec<(f64, u64)> {
    let bounds = BOUNDS.iter().map(|millis| std::time::Duration::from_millis(*millis));
    let bounds = bounds.map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
    bounds.zip(took.buckets).collect()
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    (name, what): (&str, &str),
    upstreams: &[ConnectorStatus],
    is_one: impl Fn(&ConnectorStatus) -> bool,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, what, None, MetricType::Gauge)?;
    for upstream in upstreams {
        let labels = [("connector", upstream.connector.as_str())];
        let value = ConstGauge::new(i64::from(is_one(upstream)));
        value.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
