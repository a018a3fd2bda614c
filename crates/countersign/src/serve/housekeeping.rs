//! The chores of a running server: keys, clock, sweeping. A chore that fails is tried again next time.

use std::sync::Arc;
use std::time::Duration;

use countersign_server::{App, Health};
use tokio::time::{MissedTickBehavior, interval};

use crate::system_clock::{SystemClock, TOLERATED};

const ROUND: Duration = Duration::from_secs(30);
/// Sweeping happens every so many rounds.
const SWEEP_EVERY: u32 = 10;

/// What another replica circuit_breaker, or a person released there, is known here within this time.
const BRAKES: Duration = Duration::from_secs(3);

pub async fn go_on(app: App, clock: Arc<SystemClock>, health: Health) {
    let notices = countersign_server::logout_dispatcher::run(app.clone());
    tokio::join!(watch_brakes(app.clone()), notices, rounds(app, clock, health));
}

async fn watch_brakes(app: App) {
    let mut looks = interval(BRAKES);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Err(failure) = app.issuer.reload_stored_objects().await {
            tracing::debug!(cause = %failure, "the stored objects could not be read");
        }
        if let Err(failure) = app.issuer.reload_circuit_breakers().await {
            tracing::debug!(cause = %failure, "the brakes could not be read");
        }
    }
}

async fn rounds(app: App, clock: Arc<SystemClock>, health: Health) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and all was just done at the start.
    rounds.tick().await;
    for round in 1_u32.. {
        rounds.tick().await;
        check_clock(&app, &clock, &health).await;
        if let Err(failure) = app.issuer.renew_keys().await {
            tracing::error!(cause = %failure, "the keys could not be read");
        }
        if round % SWEEP_EVERY == 0 {
            sweep(&app).await;
        }
    }
}

async fn sweep(app: &App) {
    if let Err(failure) = app.issuer.sweep().await {
        tracing::error!(cause = %failure, "sweeping failed");
    }
}

/// Follows the database's clock, where it has one of its own.
pub async fn check_clock(app: &App, clock: &SystemClock, health: &Health) {
    if let Ok(Some(database)) = app.issuer.store.database_time().await {
        let off = clock.follow(database);
        health.set_clock_is_off(off > TOLERATED);
        if off > TOLERATED {
            tracing::error!(
                seconds = off.as_secs(),
                "this clock differs from the database's: not ready"
            );
        }
    }
}
