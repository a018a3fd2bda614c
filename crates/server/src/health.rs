//! Is this replica alive, and may it be sent requests? An upstream that is down is no reason to say no.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;
use crate::token::json;

/// What only the program knows.
#[derive(Clone, Debug, Default)]
pub struct Health {
    draining: Arc<AtomicBool>,
    clock_is_off: Arc<AtomicBool>,
}

impl Health {
    /// From now on: not ready, while what is under way is finished.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// The clock differs from the database's by more than half a minute.
    pub fn set_clock_is_off(&self, off: bool) {
        self.clock_is_off.store(off, Ordering::SeqCst);
    }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    draining: bool,
    database: bool,
    keys: bool,
    clock: bool,
}

async fn readiness(app: &App) -> Readiness {
    let draining = app.health.draining.load(Ordering::SeqCst);
    let clock = !app.health.clock_is_off.load(Ordering::SeqCst);
    let keys = !app.issuer.keyring.keys().is_stale(app.issuer.now());
    let database = app.issuer.store.ping().await.is_ok();
    Readiness { ready: !draining && database && keys && clock, draining, database, keys, clock }
}

pub async fn ready(State(app): State<App>) -> Response {
    let readiness = readiness(&app).await;
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, &readiness)
}

pub async fn live() -> &'static str {
    "ok"
}

/// The main port's, in Dex's words.
pub async fn main(State(app): State<App>) -> Response {
    match readiness(&app).await.ready {
        true => "Health check passed".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "Health check failed").into_response(),
    }
}
