//! The brake: an upstream's mistake does not log out the company (design 5).
//!
//! Over twenty people *and* over a fifth of those asked about, refused by one connector within a minute:
//! from then on it counts as unreachable for everybody who is signed in, on every replica and across
//! restarts, until a person confirms. Nobody is asked about, marked or ended meanwhile. Logins go on:
//! they log nobody out, and whoever has to confirm must get in.
//!
//! The first twenty are refused before anybody can know. Of these, three at most lose their session by it:
//! "disabled" ends at once only the first three of a minute and is then believed at a second attempt
//! minutes later, as "missing" always is; the marks of that minute are taken back when the brake is set.
//! Each replica counts for itself what it asked; what it then does is decided by the one row they share.
//!
//! A connector that asks nobody (local accounts) is our own configuration and is never braked.

mod minute;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use countersign_core::session::EndReason;
use countersign_core::{Connector, ConnectorId, Session, Timestamp};
use countersign_store::{
    CircuitBreaker, CircuitBreakerState, Missing, OpenCircuitBreaker, Store, StoreError,
};

use crate::sessions::{Refused, Upstream};
use crate::settings::MISSING_PATIENCE;
use crate::{Issuer, IssuerError};

use minute::{Minute, Tally};

/// So long after a person has confirmed, refusals are meant, however many.
const CONFIRMATION_COUNTS: Duration = Duration::from_secs(60 * 60);
/// From the password to the code and its tokens.
const TO_FINISH_A_LOGIN: Duration = Duration::from_secs(60);

/// What this replica knows of brakes, and what it has counted.
pub struct CircuitBreakers {
    /// As read lately, a connector each; those that were confirmed too.
    known: RwLock<BTreeMap<ConnectorId, CircuitBreaker>>,
    minutes: Mutex<BTreeMap<ConnectorId, Minute>>,
}

/// What an upstream said of somebody who is signed in.
pub(crate) enum Said {
    Disabled,
    Missing { why: String },
}

impl CircuitBreakers {
    /// With the brakes that hold already: a restart releases none.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let circuit_breakers = Self { known: RwLock::default(), minutes: Mutex::default() };
        circuit_breakers.learn(store.circuit_breakers().await?);
        Ok(circuit_breakers)
    }

    pub fn membership(&self, connector: &ConnectorId) -> Option<CircuitBreaker> {
        self.known(connector).filter(CircuitBreaker::holds)
    }

    fn known(&self, connector: &ConnectorId) -> Option<CircuitBreaker> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(connector).cloned()
    }

    fn is_confirmed(&self, connector: &ConnectorId, now: Timestamp) -> bool {
        let confirmed = self.known(connector).and_then(|circuit_breaker| circuit_breaker.confirmed);
        confirmed.is_some_and(|confirmed| now.since(confirmed.at) <= CONFIRMATION_COUNTS)
    }

    fn note(&self, circuit_breaker: CircuitBreaker) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(circuit_breaker.connector.clone(), circuit_breaker);
    }

    /// Replaces what is known and tells of what is new.
    fn learn(&self, read: Vec<CircuitBreaker>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for circuit_breaker in read {
            let before = known.get(&circuit_breaker.connector).is_some_and(CircuitBreaker::holds);
            match (before, circuit_breaker.holds()) {
                (false, true) => {
                    tracing::error!(event = "brake_holds", connector = %circuit_breaker.connector, since = %circuit_breaker.opened_at, refused = circuit_breaker.refused, asked = circuit_breaker.asked, "nobody at this connector is refreshed until a person confirms");
                }
                (true, false) => {
                    tracing::warn!(event = "brake_is_released", connector = %circuit_breaker.connector, "what this connector says counts again");
                }
                _ => {}
            }
            known.insert(circuit_breaker.connector.clone(), circuit_breaker);
        }
    }

    /// Counts one answer about one person.
    fn count(&self, connector: &ConnectorId, person: &str, refused: bool, now: Timestamp) -> Tally {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.entry(connector.clone()).or_default().count(person, refused, now)
    }
}

impl Issuer {
    /// Reads the brakes again, as others may have set or released them. Called every few seconds; a refusal
    /// looks at the database itself before it marks or ends anybody.
    pub async fn reload_circuit_breakers(&self) -> Result<(), IssuerError> {
        self.circuit_breakers.learn(self.store.circuit_breakers().await?);
        Ok(())
    }

    /// A person has looked: what the upstream says counts again, and for an hour it is meant, however many
    /// it refuses. `by` is `user:…` or `client:…`; `None`: no brake holds.
    pub async fn close_circuit_breaker(
        &self,
        connector: &ConnectorId,
        by: &str,
    ) -> Result<Option<CircuitBreaker>, IssuerError> {
        let released = self.store.close_circuit_breaker(connector, by, self.now()).await?;
        if let Some(circuit_breaker) = &released {
            tracing::warn!(event = "circuit_breaker_closed", connector = %connector, by, since = %circuit_breaker.opened_at, "what this connector says counts again");
            self.circuit_breakers.note(circuit_breaker.clone());
        }
        Ok(released)
    }

    /// While a brake holds: true for whoever has just signed in, since a login is the upstream's own yes
    /// (with an interval of zero nobody could otherwise finish one); for everybody else an error.
    pub(crate) fn skips_revalidation(
        &self,
        connector: &Connector,
        session: &Session,
    ) -> Result<bool, IssuerError> {
        let Some(circuit_breaker) = self.circuit_breakers.membership(&connector.id) else {
            return Ok(false);
        };
        let asked_since = session.identity_at >= circuit_breaker.opened_at;
        match asked_since && self.now().since(session.identity_at) < TO_FINISH_A_LOGIN {
            true => Ok(true),
            false => Err(circuit_open_error(connector, &circuit_breaker)),
        }
    }

    /// An error while a brake holds: the upstream counts as unreachable.
    fn not_braked(&self, connector: &Connector) -> Result<(), IssuerError> {
        self.circuit_breakers
            .membership(&connector.id)
            .map_or(Ok(()), |circuit_breaker| Err(circuit_open_error(connector, &circuit_breaker)))
    }

    pub(crate) fn is_welcome(&self, session: &Session) {
        self.circuit_breakers.count(
            &session.connector,
            &session.identity.user_id,
            false,
            self.now(),
        );
    }

    /// The upstream refuses a person whose session lives. `free`: it is our own configuration that does.
    pub(crate) async fn is_refused(
        &self,
        connector: &Connector,
        session: &Session,
        said: Said,
        free: bool,
    ) -> Result<Upstream, IssuerError> {
        let now = self.now();
        let meant = free || self.circuit_breakers.is_confirmed(&connector.id, now);
        let tally =
            self.circuit_breakers.count(&connector.id, &session.identity.user_id, true, now);
        if !meant && tally.is_a_mistake() {
            self.circuit_breaker(connector, tally, now).await?;
        }
        let (reason, why) = match said {
            Said::Disabled => (EndReason::UpstreamDisabled, "the account is disabled".to_owned()),
            Said::Missing { why } => (EndReason::UpstreamMissing, why),
        };
        let at_once = reason == EndReason::UpstreamDisabled && (meant || !tally.is_a_crowd());
        let patience = if at_once { Duration::ZERO } else { MISSING_PATIENCE };
        let outcome = self.store.mark_missing(&session.id, reason, patience, now).await?;
        if let Missing::Ended(_) = outcome {
            tracing::warn!(event = "session_ended", session = %session.id, connector = %connector.id, reason = reason.as_str(), "the upstream does not let this person in any more");
        }
        tracing::warn!(session = %session.id, connector = %connector.id, reason = %why, outcome = ?outcome, "the upstream refuses a person who is signed in");
        match outcome {
            Missing::First | Missing::Pending => Ok(Upstream::Refused(Refused::Missing { why })),
            Missing::Ended(_) | Missing::Gone => Ok(Upstream::Refused(Refused::Ended)),
            Missing::CircuitOpen => {
                self.reload_circuit_breakers().await?;
                self.not_braked(connector)?;
                Err(unavailable(connector, "another replica has just braked it".to_owned()))
            }
        }
    }

    /// An error, unless a person has confirmed a moment ago at another replica.
    async fn circuit_breaker(
        &self,
        connector: &Connector,
        tally: Tally,
        now: Timestamp,
    ) -> Result<(), IssuerError> {
        let Tally { refused, asked } = tally;
        let set = self
            .store
            .open_circuit_breaker(OpenCircuitBreaker {
                connector: connector.id.clone(),
                refused: i64::try_from(refused).unwrap_or(i64::MAX),
                asked: i64::try_from(asked).unwrap_or(i64::MAX),
                missing_since: now - minute::WINDOW,
                grace_period: CONFIRMATION_COUNTS,
                now,
            })
            .await?;
        let circuit_breaker = match set {
            CircuitBreakerState::Opened(circuit_breaker) => {
                tracing::error!(event = "circuit_breaker_opened", connector = %connector.id, refused, asked, "this upstream refuses so many people that it is not believed: nobody is logged out, nobody is refreshed, until a person confirms");
                circuit_breaker
            }
            CircuitBreakerState::AlreadyOpen(circuit_breaker) => circuit_breaker,
        };
        self.circuit_breakers.note(circuit_breaker);
        self.not_braked(connector)
    }
}

fn circuit_open_error(connector: &Connector, circuit_breaker: &CircuitBreaker) -> IssuerError {
    let CircuitBreaker { opened_at, refused, asked, .. } = circuit_breaker;
    unavailable(
        connector,
        format!(
            "braked since {opened_at}: {refused} of {asked} people were refused within a minute; a person must confirm"
        ),
    )
}

fn unavailable(connector: &Connector, cause: String) -> IssuerError {
    IssuerError::Unavailable { what: connector.name.clone(), cause }
}
