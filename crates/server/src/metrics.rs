//! Counters for operators, under Dex's names where Dex has them. Labels are configured words only,
//! never what a stranger sent.

mod upstreams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use countersign_issuer::login::SignInOutcome;
use countersign_issuer::logout_notifications::LogoutDelivery;
use countersign_issuer::{Issuer, IssuerError};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric,
};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::app::App;

#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
    sizes: Family<RequestLabels, Histogram, fn() -> Histogram>,
    logins: Family<LoginLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    notices: Family<NoticeLabels, Counter>,
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
            Ok(SignInOutcome::Refused(_)) => Self::Refused,
            Ok(SignInOutcome::RateLimited(_)) => Self::Delayed,
            Ok(SignInOutcome::MethodUnavailable | SignInOutcome::RestartRequired) => {
                Self::StartedAgain
            }
            Err(IssuerError::Misconfigured { .. }) => Self::Misconfigured,
            Err(_) => Self::Unavailable,
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    grant: &'static str,
    client: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NoticeLabels {
    client: String,
    result: &'static str,
}

/// Password verifications, counted where they are done.
#[derive(Debug)]
struct Hashes(Arc<AtomicU64>);

impl Collector for Hashes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counter = ConstCounter::new(self.0.load(Ordering::Relaxed));
        let (name, help) = ("countersign_password_hashes", "Password verifications");
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
    }
}

impl Metrics {
    /// `hashes` counts password verifications; `unsealed` is 1 while keys rest unsealed.
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
        registry.register("http_requests", "Requests answered", Family::clone(&requests));
        registry.register("request_duration_seconds", "Time to answer", Family::clone(&durations));
        registry.register("response_size_bytes", "Bytes of answers", Family::clone(&sizes));
        registry.register("countersign_logins", "Ends of login steps", Family::clone(&logins));
        registry.register(
            "countersign_tokens_issued",
            "Answers with tokens",
            Family::clone(&tokens),
        );
        let notices = Family::default();
        let help = "Back-channel logout messages, by what became of each try";
        registry.register("countersign_notices", help, Family::clone(&notices));
        registry.register_collector(Box::new(Hashes(hashes)));
        registry.register_collector(Box::new(upstreams::Upstreams(issuer)));
        let sealed = ConstGauge::new(i64::from(unsealed));
        registry.register("countersign_keys_unsealed", "1: keys rest without a root key", sealed);
        let labels = [("version", version), ("platform", std::env::consts::OS)];
        let build = registry
            .sub_registry_with_labels(labels.map(|(k, v)| (k.into(), v.into())).into_iter());
        build.register("dex_build_info", "What is running", ConstGauge::new(1_i64));
        Self { registry: Arc::new(registry), requests, durations, sizes, logins, tokens, notices }
    }

    pub fn request(&self, told: Told, took: Duration) {
        let labels = RequestLabels { code: told.code, method: told.method, handler: told.handler };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        if let Some(bytes) = told.size_bytes {
            #[expect(clippy::cast_precision_loss, reason = "sizes of answers are far below 2^52")]
            self.sizes.get_or_create(&labels).observe(bytes as f64);
        }
    }

    pub fn login(&self, connector: &str, result: LoginResult) {
        let labels = LoginLabels { connector: connector.to_owned(), result };
        self.logins.get_or_create(&labels).inc();
    }

    /// `client` is a configured one, or empty.
    pub fn notice(&self, client: &str, end: LogoutDelivery) {
        let result = match end {
            LogoutDelivery::Delivered => "delivered",
            LogoutDelivery::Refused => "refused",
            LogoutDelivery::Postponed => "postponed",
            LogoutDelivery::GivenUp => "given_up",
        };
        self.notices.get_or_create(&NoticeLabels { client: client.to_owned(), result }).inc();
    }

    pub fn tokens_issued(&self, grant: &'static str, client: &str) {
        self.tokens.get_or_create(&TokenLabels { grant, client: client.to_owned() }).inc();
    }
}

/// One answered request.
pub struct Told {
    pub code: u16,
    pub method: &'static str,
    pub handler: String,
    pub size_bytes: Option<u64>,
}

pub async fn get(State(app): State<App>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &app.metrics.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
