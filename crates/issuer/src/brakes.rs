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
use countersign_store::{Brake, BrakeSet, Missing, SetBrake, Store, StoreError};

use crate::sessions::{Refused, Upstream};
use crate::settings::MISSING_PATIENCE;
use crate::{Failure, Issuer};

use minute::{Minute, Tally};

/// So long after a person has confirmed, refusals are meant, however many.
const CONFIRMATION_COUNTS: Duration = Duration::from_secs(60 * 60);
/// From the password to the code and its tokens.
const TO_FINISH_A_LOGIN: Duration = Duration::from_secs(60);

/// What this replica knows of brakes, and what it has counted.
pub struct Brakes {
    /// As read lately, a connector each; those that were confirmed too.
    known: RwLock<BTreeMap<ConnectorId, Brake>>,
    minutes: Mutex<BTreeMap<ConnectorId, Minute>>,
}

/// What an upstream said of somebody who is signed in.
pub(crate) enum Said {
    Disabled,
    Missing { why: String },
}

impl Brakes {
    /// With the brakes that hold already: a restart releases none.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let brakes = Self { known: RwLock::default(), minutes: Mutex::default() };
        brakes.learn(store.brakes().await?);
        Ok(brakes)
    }

    pub fn holding(&self, connector: &ConnectorId) -> Option<Brake> {
        self.known(connector).filter(Brake::holds)
    }

    fn known(&self, connector: &ConnectorId) -> Option<Brake> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(connector).cloned()
    }

    fn is_confirmed(&self, connector: &ConnectorId, now: Timestamp) -> bool {
        let confirmed = self.known(connector).and_then(|brake| brake.confirmed);
        confirmed.is_some_and(|confirmed| now.since(confirmed.at) <= CONFIRMATION_COUNTS)
    }

    fn note(&self, brake: Brake) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(brake.connector.clone(), brake);
    }

    /// Replaces what is known and tells of what is new.
    fn learn(&self, read: Vec<Brake>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for brake in read {
            let before = known.get(&brake.connector).is_some_and(Brake::holds);
            match (before, brake.holds()) {
                (false, true) => {
                    tracing::error!(event = "brake_holds", connector = %brake.connector, since = %brake.set_at, refused = brake.refused, asked = brake.asked, "nobody at this connector is refreshed until a person confirms");
                }
                (true, false) => {
                    tracing::warn!(event = "brake_is_released", connector = %brake.connector, "what this connector says counts again");
                }
                _ => {}
            }
            known.insert(brake.connector.clone(), brake);
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
    pub async fn renew_brakes(&self) -> Result<(), Failure> {
        self.brakes.learn(self.store.brakes().await?);
        Ok(())
    }

    /// A person has looked: what the upstream says counts again, and for an hour it is meant, however many
    /// it refuses. `by` is `user:…` or `client:…`; `None`: no brake holds.
    pub async fn release_brake(
        &self,
        connector: &ConnectorId,
        by: &str,
    ) -> Result<Option<Brake>, Failure> {
        let released = self.store.release_brake(connector, by, self.now()).await?;
        if let Some(brake) = &released {
            tracing::warn!(event = "brake_released", connector = %connector, by, since = %brake.set_at, "what this connector says counts again");
            self.brakes.note(brake.clone());
        }
        Ok(released)
    }

    /// While a brake holds: true for whoever has just signed in, since a login is the upstream's own yes
    /// (with an interval of zero nobody could otherwise finish one); for everybody else an error.
    pub(crate) fn has_passed_the_brake(
        &self,
        connector: &Connector,
        session: &Session,
    ) -> Result<bool, Failure> {
        let Some(brake) = self.brakes.holding(&connector.id) else { return Ok(false) };
        let asked_since = session.identity_at >= brake.set_at;
        match asked_since && self.now().since(session.identity_at) < TO_FINISH_A_LOGIN {
            true => Ok(true),
            false => Err(braked(connector, &brake)),
        }
    }

    /// An error while a brake holds: the upstream counts as unreachable.
    fn not_braked(&self, connector: &Connector) -> Result<(), Failure> {
        self.brakes.holding(&connector.id).map_or(Ok(()), |brake| Err(braked(connector, &brake)))
    }

    pub(crate) fn is_welcome(&self, session: &Session) {
        self.brakes.count(&session.connector, &session.identity.user_id, false, self.now());
    }

    /// The upstream refuses a person whose session lives. `free`: it is our own configuration that does.
    pub(crate) async fn is_refused(
        &self,
        connector: &Connector,
        session: &Session,
        said: Said,
        free: bool,
    ) -> Result<Upstream, Failure> {
        let now = self.now();
        let meant = free || self.brakes.is_confirmed(&connector.id, now);
        let tally = self.brakes.count(&connector.id, &session.identity.user_id, true, now);
        if !meant && tally.is_a_mistake() {
            self.brake(connector, tally, now).await?;
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
            Missing::First | Missing::Waiting => Ok(Upstream::Refused(Refused::Missing { why })),
            Missing::Ended(_) | Missing::Gone => Ok(Upstream::Refused(Refused::Ended)),
            Missing::Braked => {
                self.renew_brakes().await?;
                self.not_braked(connector)?;
                Err(unavailable(connector, "another replica has just braked it".to_owned()))
            }
        }
    }

    /// An error, unless a person has confirmed a moment ago at another replica.
    async fn brake(
        &self,
        connector: &Connector,
        tally: Tally,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let Tally { refused, asked } = tally;
        let set = self
            .store
            .set_brake(SetBrake {
                connector: connector.id.clone(),
                refused: i64::try_from(refused).unwrap_or(i64::MAX),
                asked: i64::try_from(asked).unwrap_or(i64::MAX),
                marks_since: now - minute::WINDOW,
                confirmation_counts: CONFIRMATION_COUNTS,
                now,
            })
            .await?;
        let brake = match set {
            BrakeSet::Set(brake) => {
                tracing::error!(event = "brake_set", connector = %connector.id, refused, asked, "this upstream refuses so many people that it is not believed: nobody is logged out, nobody is refreshed, until a person confirms");
                brake
            }
            BrakeSet::Already(brake) => brake,
        };
        self.brakes.note(brake);
        self.not_braked(connector)
    }
}

fn braked(connector: &Connector, brake: &Brake) -> Failure {
    let Brake { set_at, refused, asked, .. } = brake;
    unavailable(
        connector,
        format!(
            "braked since {set_at}: {refused} of {asked} people were refused within a minute; a person must confirm"
        ),
    )
}

fn unavailable(connector: &Connector, cause: String) -> Failure {
    Failure::Unavailable { what: connector.name.clone(), cause }
}
