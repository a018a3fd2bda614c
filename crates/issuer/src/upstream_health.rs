//! The health of the upstreams as observed by this replica: when each last responded, when a request last failed, and
//! how long requests took. Every connector call of the issuer is recorded here.
//!
//! Kept in memory per replica, bounded by the number of connectors. There are no probe requests, and responses are not
//! cached.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use countersign_core::connector::ConnectorError;
use countersign_core::trace::EXPORTED_SPANS;
use countersign_core::{Connector, ConnectorId, Timestamp};
use countersign_store::CircuitBreaker;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing::field::Empty;

use crate::Issuer;

/// A response or failure older than this is not used as evidence.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// The operations of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// A login with name and password.
    Login,
    /// Building the login URL. It often sends no request, so its success alone does not prove that the upstream works.
    LoginUrl,
    /// The callback after a redirect.
    Callback,
    /// Revalidation of a user with a session.
    Refresh,
}

impl Op {
    /// For metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginUrl => "login_url",
            Self::Callback => "callback",
            Self::Refresh => "refresh",
        }
    }
}

/// The state of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The last request, within 10 minutes, succeeded.
    Up,
    /// The last request, within 10 minutes, failed, and no other has succeeded since it began.
    Down,
    /// No request in the last 10 minutes.
    Unknown,
}

/// One upstream, as shown to an administrator.
#[derive(Clone, Debug)]
pub struct ConnectorStatus {
    pub connector: ConnectorId,
    pub kind: &'static str,
    pub name: String,
    pub health: Health,
    /// `None`: no response since this replica started.
    pub last_response: Option<Timestamp>,
    /// When a request last failed, and why. Contains no secret; shown only to administrators.
    pub last_failure: Option<(Timestamp, String)>,
    /// The circuit breaker, if it is open; see [`Issuer::close_circuit_breaker`].
    pub circuit_breaker: Option<CircuitBreaker>,
}

/// Durations of the calls of one operation.
#[derive(Clone, Debug, Default)]
pub struct CallDurations {
    pub calls: u64,
    pub total: Duration,
    /// Number of calls per duration range, up to the bound of the same index in [`BOUNDS`]; the last counts all slower
    /// calls.
    pub buckets: [u64; BOUNDS.len() + 1],
}

/// Upper bounds of [`CallDurations::buckets`], in milliseconds.
pub const BOUNDS: [u64; 8] = [10, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// Health and call durations of each connector, since this replica started.
#[derive(Default)]
pub struct ConnectorHealth(Mutex<BTreeMap<ConnectorId, HealthRecord>>);

#[derive(Clone, Default)]
struct HealthRecord {
    last_response: Option<Timestamp>,
    last_failure: Option<RecordedFailure>,
    took: BTreeMap<Op, CallDurations>,
}

#[derive(Clone)]
struct RecordedFailure {
    at: Timestamp,
    /// When the call began that failed; of all failed calls the one that began last.
    begun: Timestamp,
    doing: Op,
    cause: String,
}

impl HealthRecord {
    fn health(&self, now: Timestamp) -> Health {
        if !self.is_up(now) {
            return Health::Down;
        }
        match self.last_response {
            Some(result) if now.since(result) <= FORGOTTEN_AFTER => Health::Up,
            _ => Health::Unknown,
        }
    }

    fn is_up(&self, now: Timestamp) -> bool {
        let Some(failure) = &self.last_failure else { return true };
        // A call that timed out says nothing about an upstream that has responded since it began.
        let answered = self.last_response.is_some_and(|result| result >= failure.begun);
        answered || now.since(failure.at) > FORGOTTEN_AFTER
    }
}

impl CallDurations {
    fn add(&mut self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(BOUNDS.len());
        self.calls += 1;
        self.total += took;
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
    }
}

impl ConnectorHealth {
    fn note(&self, connector: &ConnectorId, call: &Call, failure: Option<&ConnectorError>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(connector.clone()).or_default();
        seen.took.entry(call.op).or_default().add(call.ended.since(call.begun));
        match failure {
            Some(down) => {
                let cause = down.cause().to_owned();
                let before = seen.last_failure.as_ref().map(|failure| failure.begun);
                let begun = before.map_or(call.begun, |before| before.max(call.begun));
                seen.last_failure =
                    Some(RecordedFailure { at: call.ended, begun, doing: call.op, cause });
                // A permanent defect may concern a single user: it is shown to administrators, but the upstream is not
                // marked as down.
                if matches!(down, ConnectorError::Misconfigured { .. }) {
                    seen.last_response = Some(call.ended);
                }
            }
            None => {
                let failure = seen.last_failure.as_ref().map(|failure| failure.doing);
                if call.op != Op::LoginUrl || failure == Some(Op::LoginUrl) {
                    seen.last_response = Some(call.ended);
                }
            }
        }
    }

    fn of(&self, connector: &ConnectorId) -> HealthRecord {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(connector).cloned().unwrap_or_default()
    }
}

struct Call {
    op: Op,
    begun: Timestamp,
    ended: Timestamp,
}

impl Issuer {
    /// Calls a connector and records the outcome. The error contains the connector's display name, which a page may
    /// show; the host is in the cause, for the log.
    pub(crate) async fn call_connector<T>(
        &self,
        connector: &Connector,
        op: Op,
        result: impl Future<Output = Result<T, ConnectorError>>,
    ) -> Result<T, ConnectorError> {
        let (begun, span) = (self.now(), span(connector, op));
        let result = result.await;
        if let Err(error) = &result {
            span.record("otel.status_code", "ERROR").record("error.type", failure_kind(error));
        }
        drop(span);
        let call = Call { op, begun, ended: self.now() };
        self.upstream_health.note(&connector.id, &call, result.as_ref().err());
        result.map_err(|down| with_connector_name(connector, down))
    }

    /// The same without recording, for input that anyone can make up, such as a callback without a code: it is no
    /// evidence of the upstream's health.
    pub(crate) async fn call_connector_unrecorded<T>(
        &self,
        connector: &Connector,
        result: impl Future<Output = Result<T, ConnectorError>>,
    ) -> Result<T, ConnectorError> {
        result.await.map_err(|down| with_connector_name(connector, down))
    }

    /// The status of all upstreams, ordered by name, for administrators.
    pub fn connector_statuses(&self) -> Vec<ConnectorStatus> {
        let now = self.now();
        let health = |connector: &Connector| {
            let seen = self.upstream_health.of(&connector.id);
            ConnectorStatus {
                connector: connector.id.clone(),
                kind: connector.kind,
                name: connector.name.clone(),
                health: seen.health(now),
                last_response: seen.last_response,
                last_failure: seen.last_failure.map(|failure| (failure.at, failure.cause)),
                circuit_breaker: self.circuit_breakers.open_breaker(&connector.id),
            }
        };
        self.connectors.iter().map(|connector| health(&connector)).collect()
    }

    /// Whether the last request, within 10 minutes, failed.
    pub fn is_down(&self, connector: &ConnectorId) -> bool {
        !self.upstream_health.of(connector).is_up(self.now())
    }

    /// Durations of this connector's calls, by operation.
    pub fn upstream_times(&self, connector: &ConnectorId) -> Vec<(Op, CallDurations)> {
        self.upstream_health.of(connector).took.into_iter().collect()
    }
}

/// The span of a call, for an OpenTelemetry collector. Requests over HTTP in it have spans of their own.
fn span(connector: &Connector, op: Op) -> Span {
    tracing::info_span!(
        target: EXPORTED_SPANS,
        "connector",
        otel.name = %format_args!("{} {}", op.name(), connector.kind),
        otel.status_code = Empty,
        countersign.connector.id = connector.id.as_str(),
        "countersign.connector.type" = connector.kind,
        countersign.connector.operation = op.name(),
        "error.type" = Empty,
    )
}

const fn failure_kind(error: &ConnectorError) -> &'static str {
    match error {
        ConnectorError::Unavailable { .. } => "unavailable",
        ConnectorError::Misconfigured { .. } => "misconfigured",
    }
}

fn with_connector_name(connector: &Connector, error: ConnectorError) -> ConnectorError {
    let name = connector.name.clone();
    let full = |upstream: String, cause: String| match upstream == connector.id.as_str() {
        true => cause,
        false => format!("{upstream}: {cause}"),
    };
    match error {
        ConnectorError::Unavailable { upstream, cause } => {
            ConnectorError::Unavailable { upstream: name, cause: full(upstream, cause) }
        }
        ConnectorError::Misconfigured { upstream, missing, cause } => {
            ConnectorError::Misconfigured { upstream: name, missing, cause: full(upstream, cause) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_core::connector::ConnectorError;
    use countersign_core::{ConnectorId, Timestamp};

    use super::{Call, ConnectorHealth, Health, Op};

    const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);

    /// Records a call that took 30 ms and ended this many seconds after noon.
    fn noted(upstreams: &ConnectorHealth, seconds: u64, op: Op, answered: bool) {
        let ended = NOON + Duration::from_secs(seconds);
        let call = Call { op, begun: ended - Duration::from_millis(30), ended };
        let down = ConnectorError::Unavailable {
            upstream: "ldap".into(),
            cause: "connection refused".into(),
        };
        upstreams.note(&ConnectorId::new("ldap"), &call, (!answered).then_some(&down));
    }

    fn is_up(upstreams: &ConnectorHealth, seconds: u64) -> bool {
        upstreams.of(&ConnectorId::new("ldap")).is_up(NOON + Duration::from_secs(seconds))
    }

    #[test]
    fn down_from_the_first_failure_to_the_next_response_or_until_it_is_old() {
        let upstreams = ConnectorHealth::default();
        assert!(is_up(&upstreams, 0), "nothing is known against it");
        noted(&upstreams, 1, Op::Refresh, true);
        noted(&upstreams, 2, Op::Login, false);
        assert!(!is_up(&upstreams, 2));
        noted(&upstreams, 3, Op::Login, true);
        assert!(is_up(&upstreams, 3));
        noted(&upstreams, 4, Op::Login, false);
        assert!(!is_up(&upstreams, 4 + 600));
        assert!(is_up(&upstreams, 5 + 600));
        let health = |seconds| {
            let seen = upstreams.of(&ConnectorId::new("ldap"));
            seen.health(NOON + Duration::from_secs(seconds))
        };
        assert_eq!((health(4), health(5 + 600)), (Health::Down, Health::Unknown));
        noted(&upstreams, 700, Op::Login, true);
        assert_eq!((health(700), health(701 + 600)), (Health::Up, Health::Unknown));
    }

    #[test]
    fn a_call_that_times_out_does_not_outweigh_a_response_since_it_began() {
        let upstreams = ConnectorHealth::default();
        let times_out = |begun: u64, ended: u64| {
            let at = |seconds| NOON + Duration::from_secs(seconds);
            let call = Call { op: Op::Login, begun: at(begun), ended: at(ended) };
            let down = ConnectorError::Unavailable {
                upstream: "ldap".into(),
                cause: "no answer in time".into(),
            };
            upstreams.note(&ConnectorId::new("ldap"), &call, Some(&down));
        };
        noted(&upstreams, 5, Op::Login, true);
        times_out(0, 10);
        assert!(is_up(&upstreams, 10), "it responded to a later call");
        times_out(6, 16);
        assert!(!is_up(&upstreams, 16));
        times_out(1, 17);
        assert!(!is_up(&upstreams, 17), "the later call failed too");
        noted(&upstreams, 18, Op::Login, true);
        assert!(is_up(&upstreams, 18));
    }

    #[test]
    fn a_login_url_counts_as_success_only_after_a_login_url_that_failed() {
        let upstreams = ConnectorHealth::default();
        noted(&upstreams, 1, Op::Callback, false);
        noted(&upstreams, 2, Op::LoginUrl, true);
        assert!(!is_up(&upstreams, 2), "the login URL was only built");
        noted(&upstreams, 3, Op::LoginUrl, false);
        noted(&upstreams, 4, Op::LoginUrl, true);
        assert!(is_up(&upstreams, 4));
    }

    #[test]
    fn calls_are_counted_by_how_long_they_took() {
        let upstreams = ConnectorHealth::default();
        noted(&upstreams, 1, Op::Login, true);
        noted(&upstreams, 2, Op::Login, false);
        let seen = upstreams.of(&ConnectorId::new("ldap"));
        let took = &seen.took[&Op::Login];
        assert_eq!((took.calls, took.total), (2, Duration::from_millis(60)));
        assert_eq!(took.buckets, [0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
