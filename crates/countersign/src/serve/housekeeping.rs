//! Periodic work of a running server: keys, clock, deletion of expired rows. Failed work is repeated the next time.

use std::sync::Arc;
use std::time::Duration;

use countersign_server::{App, CurrentApp};
use countersign_store::Change;
use tokio::time::{MissedTickBehavior, interval};

use crate::environment::{CLOCK_TOLERANCE, SystemClock};

const ROUND: Duration = Duration::from_secs(30);
/// Expired rows are deleted every this many rounds.
const COLLECT_EVERY: u32 = 10;

/// Maximum delay until this replica knows that another replica opened or closed a circuit breaker.
const CIRCUIT_BREAKER_INTERVAL: Duration = Duration::from_secs(3);

pub async fn run(current: CurrentApp, clock: Arc<SystemClock>) {
    let deliveries = countersign_server::logout_dispatcher::run(current.clone());
    let polling = follow_circuit_breakers(current.clone());
    tokio::join!(polling, follow_changes(current.clone()), deliveries, rounds(current, clock));
}

/// Reads changed data again when a replica announces a change, also this one: a request that began before a reload changes
/// only the data of the replaced configuration. Polling finds it too, later.
async fn follow_changes(current: CurrentApp) {
    let mut changes = current.app().issuer.store.changes();
    loop {
        let change = changes.next().await;
        let app = current.app();
        let (keys, breakers, objects) = match change {
            Change::Keys => (true, false, false),
            Change::CircuitBreakers => (false, true, false),
            Change::StoredObjects => (false, false, true),
            Change::Anything => (true, true, true),
        };
        if keys && let Err(failure) = app.issuer.renew_keys().await {
            tracing::error!(cause = %failure, "the keys could not be read");
        }
        if breakers && let Err(failure) = app.issuer.reload_circuit_breakers().await {
            tracing::debug!(cause = %failure, "the circuit breakers could not be read");
        }
        if objects && let Err(failure) = app.issuer.reload_stored_objects().await {
            tracing::debug!(cause = %failure, "the stored objects could not be read");
        }
    }
}

async fn follow_circuit_breakers(current: CurrentApp) {
    let mut ticks = interval(CIRCUIT_BREAKER_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let app = current.app();
        if let Err(failure) = app.issuer.reload_stored_objects().await {
            tracing::debug!(cause = %failure, "the stored objects could not be read");
        }
        if let Err(failure) = app.issuer.reload_circuit_breakers().await {
            tracing::debug!(cause = %failure, "the circuit breakers could not be read");
        }
    }
}

async fn rounds(current: CurrentApp, clock: Arc<SystemClock>) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and everything was done at start-up.
    rounds.tick().await;
    for round in 1_u32.. {
        rounds.tick().await;
        let app = current.app();
        check_clock(&app, &clock).await;
        if let Err(failure) = app.issuer.renew_keys().await {
            tracing::error!(cause = %failure, "the keys could not be read");
        }
        if round % COLLECT_EVERY == 0 {
            sweep(&app).await;
        }
    }
}

async fn sweep(app: &App) {
    if let Err(failure) = app.issuer.sweep().await {
        tracing::error!(cause = %failure, "sweeping failed");
    }
}

/// Adjusts to the database's clock, if the database has one.
pub async fn check_clock(app: &App, clock: &SystemClock) {
    if let Ok(Some(database)) = app.issuer.store.database_time().await {
        let off = clock.follow(database);
        app.process.set_clock_is_off(off > CLOCK_TOLERANCE);
        if off > CLOCK_TOLERANCE {
            tracing::error!(
                seconds = off.as_secs(),
                "this clock differs from the database's: not ready"
            );
        }
    }
}
