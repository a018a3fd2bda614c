//! Metrics in OpenMetrics text (or the older Prometheus text format 0.0.4, for scrapers that request it), with Dex's
//! names where Dex has them. Label values are routes and configured ids, never values from a request.

mod collectors;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_issuer::login::SignInOutcome;
use countersign_issuer::logout_notifications::LogoutDelivery;
use countersign_issuer::{Issuer, IssuerError};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::collectors::{CurrentIssuer, Hashes, IssuerState, Process};
use crate::grpc::GrpcCalls;
use crate::process_state::ProcessState;
use collectors::OperatingSystem;

/// In seconds. Dex's buckets begin at 0.25 s; nearly all responses here are faster.
const DURATION_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
    sizes: Family<RequestLabels, Histogram, fn() -> Histogram>,
    logins: Family<LoginLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    logout_notifications: Family<LogoutNotificationLabels, Counter>,
    grpc: GrpcCalls,
    issuer: CurrentIssuer,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    code: u16,
    method: &'static str,
    /// The route pattern, not the path.
    handler: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginLabels {
    connector: String,
    result: LoginResult,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum LoginResult {
    Success,
    Refused,
    Delayed,
    Unavailable,
    Misconfigured,
    StartedAgain,
}

impl EncodeLabelValue for LoginResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let value = match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Delayed => "delayed",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::StartedAgain => "started_again",
        };
        EncodeLabelValue::encode(&value, encoder)
    }
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

impl Metrics {
    /// `hashes` counts password verifications.
    pub fn new(
        version: &'static str,
        hashes: Arc<AtomicU64>,
        process: ProcessState,
        issuer: Arc<Issuer>,
    ) -> Self {
        let mut registry = Registry::default();
        let durations = Family::<_, _, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(DURATION_BUCKETS)
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
        let grpc = GrpcCalls::registered_in(&mut registry);
        let issuer = Arc::new(RwLock::new(issuer));
        registry.register_collector(Box::new(Hashes(hashes)));
        registry.register_collector(Box::new(IssuerState(Arc::clone(&issuer))));
        registry.register_collector(Box::new(Process(process)));
        registry.register_collector(Box::new(OperatingSystem));
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
            grpc,
            issuer,
        }
    }

    /// Called after a reload with the issuer whose state is reported from then on.
    pub fn set_issuer(&self, issuer: Arc<Issuer>) {
        *self.issuer.write().unwrap_or_else(PoisonError::into_inner) = issuer;
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

    /// `client` is a configured client id, or empty.
    pub fn logout_notification(&self, client: &str, delivery: LogoutDelivery) {
        let result = match delivery {
            LogoutDelivery::Delivered => "delivered",
            LogoutDelivery::Refused => "refused",
            LogoutDelivery::Postponed => "postponed",
            LogoutDelivery::Abandoned => "given_up",
        };
        self.logout_notifications
            .get_or_create(&LogoutNotificationLabels { client: client.to_owned(), result })
            .inc();
    }

    pub fn tokens_issued(&self, grant: &'static str, client: &str) {
        self.tokens.get_or_create(&TokenLabels { grant, client: client.to_owned() }).inc();
    }

    /// A call of Dex's gRPC API was received. `method` is one of `api.proto`.
    pub fn grpc_call_started(&self, method: &str) {
        self.grpc.started(method);
    }

    /// It was answered with this code.
    pub fn grpc_call_handled(&self, method: &str, code: &str) {
        self.grpc.handled(method, code);
    }

    /// The metrics as OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The metrics of one completed request.
pub struct RequestMetrics {
    pub code: u16,
    pub method: &'static str,
    /// The route pattern, not the path.
    pub handler: String,
    pub size_bytes: Option<u64>,
    pub duration: Duration,
}

/// In the older format a counter's descriptor has the name of its sample, units have no line, and there is no end
/// marker.
pub fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let counters: Vec<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    for line in openmetrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let descriptor = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = descriptor.and_then(|rest| rest.split(' ').next());
        match name.filter(|name| counters.contains(name)) {
            Some(name) => text.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn counters_are_named_like_their_samples() {
        let openmetrics = "# HELP http_requests HTTP requests.\n# TYPE http_requests counter\n\
                           http_requests_total{code=\"200\"} 3\n# HELP up Up.\n# TYPE up gauge\nup 1\n# EOF\n";
        let expected = "# HELP http_requests_total HTTP requests.\n# TYPE http_requests_total counter\n\
                        http_requests_total{code=\"200\"} 3\n# HELP up Up.\n# TYPE up gauge\nup 1\n";
        assert_eq!(super::prometheus(openmetrics), expected);
    }
}
