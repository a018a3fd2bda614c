//! Circuit breaker per connector against mass refusals (design section 5).
//!
//! Opens when one connector refuses more than 20 users *and* more than 20 % of those revalidated within a minute. While
//! it is open the connector counts as unreachable for existing sessions, on every replica and across restarts, until an
//! administrator confirms the refusals: no session is revalidated, marked or ended. New logins continue, because they
//! end no session and the administrator must be able to sign in.
//!
//! The first 20 users are refused before the breaker opens. At most three of them lose their session: "disabled" ends a
//! session at the first refusal only for the first three users within a minute, otherwise at a second refusal five
//! minutes later, as "missing" always does. The marks of that minute are removed when the breaker opens. Each replica
//! counts its own calls; the state of the breaker is the row in the database.
//!
//! Local accounts (`Refresh::needs_no_request`) are checked against our own configuration and have no breaker.

mod refusal_window;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use countersign_core::session::EndReason;
use countersign_core::{Actor, Connector, ConnectorId, Session, Timestamp};
use countersign_store::{
    CircuitBreaker, CircuitBreakerState, Missing, OpenCircuitBreaker, Store, StoreError,
};

use crate::settings::MISSING_GRACE;
use crate::{Issuer, IssuerError};

use refusal_window::{RefusalWindow, Tally};

/// How long after an administrator's confirmation refusals do not open the breaker again.
const CONFIRMATION_COUNTS: Duration = Duration::from_hours(1);
/// Time allowed from a login to the token request that completes it.
pub(crate) const LOGIN_COMPLETION_TIME: Duration = Duration::from_mins(1);

/// State of all breakers as this replica last read it, and its own counts.
pub struct CircuitBreakers {
    /// One entry per connector that has ever opened, confirmed ones included.
    known: RwLock<BTreeMap<ConnectorId, CircuitBreaker>>,
    /// Held while breakers are read or changed, so that an older state never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
    minutes: Mutex<BTreeMap<ConnectorId, RefusalWindow>>,
}

/// How an upstream refused a user who has a live session.
pub(crate) enum UpstreamRefusal {
    Disabled,
    Missing { reason: String },
}

/// What a refusal means for the session.
pub(crate) enum RefusalOutcome {
    /// This request is refused; the session ends if the refusal is repeated after the grace period.
    Marked {
        reason: String,
    },
    SessionEnded,
}

impl CircuitBreakers {
    /// Reads the state of the breakers from the database: an open breaker stays open across restarts.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let (known, reading) = (RwLock::default(), tokio::sync::Mutex::default());
        let circuit_breakers = Self { known, reading, minutes: Mutex::default() };
        circuit_breakers.learn(store.circuit_breakers().await?);
        Ok(circuit_breakers)
    }

    /// The connector's circuit breaker, if it is open.
    pub fn open_breaker(&self, connector: &ConnectorId) -> Option<CircuitBreaker> {
        self.known(connector).filter(CircuitBreaker::is_open)
    }

    fn known(&self, connector: &ConnectorId) -> Option<CircuitBreaker> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(connector).cloned()
    }

    fn is_confirmed(&self, connector: &ConnectorId, now: Timestamp) -> bool {
        let confirmed = self.known(connector).and_then(|circuit_breaker| circuit_breaker.closed);
        confirmed.is_some_and(|confirmed| now.since(confirmed.at) <= CONFIRMATION_COUNTS)
    }

    fn note(&self, circuit_breaker: CircuitBreaker) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(circuit_breaker.connector.clone(), circuit_breaker);
    }

    /// Replaces the known state and logs transitions.
    fn learn(&self, read: Vec<CircuitBreaker>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for circuit_breaker in read {
            let before = known.get(&circuit_breaker.connector).is_some_and(CircuitBreaker::is_open);
            match (before, circuit_breaker.is_open()) {
                (false, true) => {
                    tracing::error!(event = "circuit_breaker_open", connector = %circuit_breaker.connector, since = %circuit_breaker.opened_at, refused = circuit_breaker.refused, total = circuit_breaker.total, "no session of this connector is refreshed until an administrator confirms");
                }
                (true, false) => {
                    tracing::warn!(event = "circuit_breaker_closed", connector = %circuit_breaker.connector, "the refusals of this connector count again");
                }
                _ => {}
            }
            known.insert(circuit_breaker.connector.clone(), circuit_breaker);
        }
    }

    /// Counts one revalidation of one user and returns the counts of the last minute.
    fn count(&self, connector: &ConnectorId, person: &str, refused: bool, now: Timestamp) -> Tally {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.entry(connector.clone()).or_default().count(person, refused, now)
    }
}

impl Issuer {
    /// Reads the breakers again, which another replica may have opened or closed. Called every few seconds. A refusal
    /// also reads the database before it marks or ends a session.
    pub async fn reload_circuit_breakers(&self) -> Result<(), IssuerError> {
        let _reading = self.circuit_breakers.reading.lock().await;
        self.circuit_breakers.learn(self.store.circuit_breakers().await?);
        Ok(())
    }

    /// Closes the breaker: an administrator confirms that the refusals are right. Refusals take effect again, and do
    /// not open the breaker for an hour. `None`: the breaker was not open.
    pub async fn close_circuit_breaker(
        &self,
        connector: &ConnectorId,
        by: Actor,
    ) -> Result<Option<CircuitBreaker>, IssuerError> {
        let _reading = self.circuit_breakers.reading.lock().await;
        let closed = self.store.close_circuit_breaker(connector, by.clone(), self.now()).await?;
        if let Some(circuit_breaker) = &closed {
            tracing::warn!(event = "circuit_breaker_closed", connector = %connector, by = by.name, address = by.ip, since = %circuit_breaker.opened_at, "the refusals of this connector count again");
            self.circuit_breakers.note(circuit_breaker.clone());
        }
        Ok(closed)
    }

    /// While the breaker is open: true for a session whose identity the upstream returned since it opened and within
    /// the last minute, so that the login can complete; an error for every other session. False while it is closed.
    pub(crate) fn skips_revalidation(
        &self,
        connector: &Connector,
        session: &Session,
    ) -> Result<bool, IssuerError> {
        let Some(circuit_breaker) = self.circuit_breakers.open_breaker(&connector.id) else {
            return Ok(false);
        };
        let is_revalidated_since = session.identity_at >= circuit_breaker.opened_at;
        match is_revalidated_since && self.now().since(session.identity_at) < LOGIN_COMPLETION_TIME
        {
            true => Ok(true),
            false => Err(circuit_open(connector, &circuit_breaker)),
        }
    }

    /// Returns an error while the breaker is open: the upstream counts as unreachable.
    fn check_circuit_closed(&self, connector: &Connector) -> Result<(), IssuerError> {
        self.circuit_breakers
            .open_breaker(&connector.id)
            .map_or(Ok(()), |circuit_breaker| Err(circuit_open(connector, &circuit_breaker)))
    }

    pub(crate) fn record_success(&self, session: &Session) {
        self.circuit_breakers.count(
            &session.connector,
            &session.identity.user_id,
            false,
            self.now(),
        );
    }

    /// Records that the upstream refused a user who has a live session. `free`: the connector queries no upstream
    /// ([`countersign_core::connector::Refresh::needs_no_request`]), so its refusals never open the breaker.
    pub(crate) async fn record_refusal(
        &self,
        connector: &Connector,
        session: &Session,
        refusal: UpstreamRefusal,
        free: bool,
    ) -> Result<RefusalOutcome, IssuerError> {
        let now = self.now();
        let is_trusted = free || self.circuit_breakers.is_confirmed(&connector.id, now);
        let tally =
            self.circuit_breakers.count(&connector.id, &session.identity.user_id, true, now);
        if !is_trusted && tally.exceeds_threshold() {
            self.open_circuit(connector, tally, now).await?;
        }
        let (end_reason, reason) = match refusal {
            UpstreamRefusal::Disabled => {
                (EndReason::UpstreamDisabled, "the account is disabled".to_owned())
            }
            UpstreamRefusal::Missing { reason } => (EndReason::UpstreamMissing, reason),
        };
        let at_once =
            end_reason == EndReason::UpstreamDisabled && (is_trusted || !tally.is_unusual());
        let grace = if at_once { Duration::ZERO } else { MISSING_GRACE };
        let outcome = self.store.mark_missing(&session.id, end_reason, grace, now).await?;
        if let Missing::Ended(end) = &outcome {
            tracing::warn!(event = "session_ended", session = %session.id, connector = %connector.id, reason = end_reason.as_str(), grants = end.grants_ended, tokens_until = end.tokens_until.map(tracing::field::display), "the upstream refuses this user");
        }
        tracing::warn!(session = %session.id, connector = %connector.id, reason = %reason, outcome = outcome.name(), "the upstream refuses a user with a live session");
        match outcome {
            Missing::First | Missing::Pending => Ok(RefusalOutcome::Marked { reason }),
            Missing::Ended(_) | Missing::NotLive => Ok(RefusalOutcome::SessionEnded),
            Missing::CircuitOpen => {
                self.reload_circuit_breakers().await?;
                self.check_circuit_closed(connector)?;
                Err(unavailable(
                    connector,
                    "another replica has just opened its circuit breaker".to_owned(),
                ))
            }
        }
    }

    /// Opens the breaker in the database. Returns an error unless an administrator confirmed the refusals meanwhile.
    async fn open_circuit(
        &self,
        connector: &Connector,
        tally: Tally,
        now: Timestamp,
    ) -> Result<(), IssuerError> {
        let Tally { refused, total } = tally;
        let reading = self.circuit_breakers.reading.lock().await;
        let set = self
            .store
            .open_circuit_breaker(OpenCircuitBreaker {
                connector: connector.id.clone(),
                refused: i64::try_from(refused).unwrap_or(i64::MAX),
                total: i64::try_from(total).unwrap_or(i64::MAX),
                missing_since: now - refusal_window::WINDOW,
                grace_period: CONFIRMATION_COUNTS,
                now,
            })
            .await?;
        let circuit_breaker = match set {
            CircuitBreakerState::Opened(circuit_breaker) => {
                tracing::error!(event = "circuit_breaker_opened", connector = %connector.id, refused, total, "this connector refuses so many users that its refusals are ignored: no session ends and none is refreshed until an administrator confirms");
                circuit_breaker
            }
            CircuitBreakerState::Unchanged(circuit_breaker) => circuit_breaker,
        };
        self.circuit_breakers.note(circuit_breaker);
        drop(reading);
        self.check_circuit_closed(connector)
    }
}

fn circuit_open(connector: &Connector, circuit_breaker: &CircuitBreaker) -> IssuerError {
    let CircuitBreaker { opened_at, refused, total, .. } = circuit_breaker;
    unavailable(
        connector,
        format!(
            "circuit breaker open since {opened_at}: {refused} of {total} users were refused within a minute; an administrator must confirm"
        ),
    )
}

fn unavailable(connector: &Connector, cause: String) -> IssuerError {
    IssuerError::Unavailable { what: connector.name.clone(), cause }
}
