//! The application that answers requests now. A reload of the configuration replaces it as a whole: requests in
//! flight finish with the one they began with.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::ServiceExt;

use crate::app::App;
use crate::{routes, telemetry_routes};

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct CurrentApp(Arc<RwLock<Generation>>);

#[derive(Clone)]
struct Generation {
    app: App,
    web: Router,
    telemetry: Router,
}

impl Generation {
    fn new(app: App) -> Self {
        Self { web: routes(app.clone()), telemetry: telemetry_routes(app.clone()), app }
    }
}

impl CurrentApp {
    pub fn new(app: App) -> Self {
        Self(Arc::new(RwLock::new(Generation::new(app))))
    }

    pub fn app(&self) -> App {
        self.read(|generation| generation.app.clone())
    }

    /// Requests that begin from now on are answered by `app`, whose issuer must be the same.
    pub fn replace(&self, app: App) {
        app.metrics.set_issuer(Arc::clone(&app.issuer));
        let generation = Generation::new(app);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = generation;
    }

    /// For the listeners of `web`.
    pub fn web(&self) -> Router {
        self.forwarding(|generation| generation.web.clone())
    }

    /// For the listener of `telemetry`.
    pub fn telemetry(&self) -> Router {
        self.forwarding(|generation| generation.telemetry.clone())
    }

    fn forwarding(&self, router: fn(&Generation) -> Router) -> Router {
        let current = self.clone();
        Router::new().fallback(move |request: Request| {
            let router = current.read(router);
            async move {
                let response: Response = match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                response
            }
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Generation) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
