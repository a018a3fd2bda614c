//! Metrics in OpenMetrics text, under Dex's names where Dex has them. Label values are routes and configured ids,
//! never what a request contains.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_issuer::login::SignInOutcome;
use countersign_issuer::logout_notifications::LogoutDelivery;
use countersign_issuer::upstream_health::Health;
use countersign_issuer::upstream_health::{BOUNDS, CallDurations};
use countersign_issuer::{ConnectorStatus, Issuer, IssuerError};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
    sizes: Family<RequestLabels, Histogram, fn() -> Histogram>,
    logins: Family<LoginLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    logout_notifications: Family<LogoutNotificationLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    code: u16,
    method: &'static str,
    /// The route, not the path.
    handler: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginLabels {
    connector: String,
    result: LoginResult,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum LoginResult {
    Success,
    Refused,
    Delayed,
    Unavailable,
    Misconfigured,
    StartedAgain,
}

impl LoginResult {
    pub fn of(end: &Result<SignInOutcome, IssuerError>) -> Self {
        match end {
            Ok(SignInOutcome::SignedIn(_)) => Self::Success,
            Ok(SignInOutcome::Refused(_) | SignInOutcome::Blocked { .. }) => Self::Refused,
            Ok(SignInOutcome::RateLimited(_)) => Self::Delayed,
            Ok(SignInOutcome::MethodUnavailable | SignInOutcome::RestartRequired) => {
                Self::StartedAgain
            }
            Err(error) => Self::of_error(error),
        }
    }

    pub fn of_error(error: &IssuerError) -> Self {
        match error {
            IssuerError::Misconfigured { .. } => Self::Misconfigured,
            _ => Self::Unavailable,
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    grant: &'static str,
    client: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LogoutNotificationLabels {
    client: String,
    result: &'static str,
}

/// Password verifications, counted by the hashing threads.
#[derive(Debug)]
struct Hashes(Arc<AtomicU64>);

impl Collector for Hashes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(self.0.load(Ordering::Relaxed));
        let (name, help) = ("countersign_password_hashes", "Password verifications");
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
    }
}

impl Metrics {
    /// `hashes` counts password verifications; `unsealed` means that keys are stored without a root key.
    pub fn new(
        version: &'static str,
        hashes: Arc<AtomicU64>,
        unsealed: bool,
        issuer: Arc<Issuer>,
    ) -> Self {
        let mut registry = Registry::default();
        let durations = Family::<_, _, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new([0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
        });
        let sizes = Family::<_, _, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new([200.0, 500.0, 900.0, 1500.0])
        });
        let (requests, logins, tokens) = (Family::default(), Family::default(), Family::default());
        registry.register("http_requests", "HTTP requests", Family::clone(&requests));
        registry.register("request_duration_seconds", "Time to respond", Family::clone(&durations));
        registry.register("response_size_bytes", "Bytes of response bodies", Family::clone(&sizes));
        registry.register(
            "countersign_logins",
            "Login attempts by connector and result",
            Family::clone(&logins),
        );
        registry.register(
            "countersign_tokens_issued",
            "Token responses by grant type and client",
            Family::clone(&tokens),
        );
        let logout_notifications = Family::default();
        let help = "Deliveries of back-channel logout tokens, by result";
        let notifications = Family::clone(&logout_notifications);
        registry.register("countersign_logout_notifications", help, notifications);
        registry.register_collector(Box::new(Hashes(hashes)));
        registry.register_collector(Box::new(Upstreams(issuer)));
        let sealed = ConstGauge::new(i64::from(unsealed));
        registry.register(
            "countersign_keys_unsealed",
            "1: keys are stored without a root key",
            sealed,
        );
        let labels = [("version", version), ("platform", std::env::consts::OS)];
        let build = registry
            .sub_registry_with_labels(labels.map(|(k, v)| (k.into(), v.into())).into_iter());
        build.register("dex_build_info", "Version and platform", ConstGauge::new(1_i64));
        Self {
            registry: Arc::new(registry),
            requests,
            durations,
            sizes,
            logins,
            tokens,
            logout_notifications,
        }
    }

    pub fn request(&self, request: RequestMetrics) {
        let RequestMetrics { code, method, handler, size_bytes, duration } = request;
        let labels = RequestLabels { code, method, handler };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(duration.as_secs_f64());
        if let Some(bytes) = size_bytes {
            #[expect(clippy::cast_precision_loss, reason = "response sizes are far below 2^52")]
            self.sizes.get_or_create(&labels).observe(bytes as f64);
        }
    }

    pub fn login(&self, connector: &str, result: LoginResult) {
        let labels = LoginLabels { connector: connector.to_owned(), result };
        self.logins.get_or_create(&labels).inc();
    }

    /// `client` is a configured id, or empty.
    pub fn logout_notification(&self, client: &str, delivery: LogoutDelivery) {
        let result = match delivery {
            LogoutDelivery::Delivered => "delivered",
            LogoutDelivery::Refused => "refused",
            LogoutDelivery::Postponed => "postponed",
            LogoutDelivery::GivenUp => "given_up",
        };
        self.logout_notifications
            .get_or_create(&LogoutNotificationLabels { client: client.to_owned(), result })
            .inc();
    }

    pub fn tokens_issued(&self, grant: &'static str, client: &str) {
        self.tokens.get_or_create(&TokenLabels { grant, client: client.to_owned() }).inc();
    }

    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// One request that was answered.
pub struct RequestMetrics {
    pub code: u16,
    pub method: &'static str,
    /// The route, not the path.
    pub handler: String,
    pub size_bytes: Option<u64>,
    pub duration: Duration,
}

/// State of the connectors' upstreams, read when the metrics are. Labels: connector id and operation.
struct Upstreams(Arc<Issuer>);

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstreams")
    }
}

impl Collector for Upstreams {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = self.0.connector_statuses();
        let up = |upstream: &ConnectorStatus| upstream.health != Health::Down;
        let is_open = |upstream: &ConnectorStatus| upstream.circuit_breaker.is_some();
        let help = "1: the last request to the upstream succeeded, or there was none lately";
        gauge(&mut encoder, "countersign_connector_up", help, &upstreams, up)?;
        let help = "1: the circuit breaker is open, until an administrator confirms the refusals";
        gauge(&mut encoder, "countersign_connector_circuit_open", help, &upstreams, is_open)?;
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
        let help = "Duration of requests to upstreams, failed ones included";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
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

/// Upper bounds in seconds, each with the calls between it and the bound before.
fn buckets(took: &CallDurations) -> Vec<(f64, u64)> {
    let bounds = BOUNDS.iter().map(|millis| std::time::Duration::from_millis(*millis));
    let bounds = bounds.map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
    bounds.zip(took.buckets).collect()
}

fn gauge(
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
