//! The state that all handlers share, and its replacement when the configuration is reloaded ([`CurrentApp`]).

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use axum::body::HttpBody;
use axum::http::{HeaderName, HeaderValue, Request};
use axum::response::Response;
use axum::routing::future::RouteFuture;
use axum::{BoxError, Router};
use bytes::Bytes;
use countersign_issuer::Issuer;
use tower::Service;

use crate::cookies::CookieNames;
use crate::metrics::Metrics;
use crate::pages::{Layout, ThemeFiles};
use crate::process_state::ProcessState;
use crate::proxy_headers::ClientAddressRule;
use crate::{routes, telemetry_routes};

#[derive(Clone)]
pub struct App(Arc<Shared>);

pub struct Shared {
    pub issuer: Arc<Issuer>,
    pub settings: ServerSettings,
    /// `settings.headers`, parsed.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub layout: Layout,
    pub cookies: CookieNames,
    /// Scheme, host and port of the issuer, as browsers send them in `Origin`.
    pub origin: String,
    pub metrics: Metrics,
    pub process: ProcessState,
}

/// The HTTP settings of the configuration.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// `web.allowedOrigins`: origins whose scripts may read the protocol endpoints; `*` is any. Empty: none.
    pub allowed_origins: Vec<String>,
    pub allowed_headers: Vec<String>,
    /// `web.headers`: set on every response, replacing our own headers of the same name.
    pub headers: Vec<(String, String)>,
    pub client_address: ClientAddressRule,
    /// Pages may show logos that browsers load from other origins.
    pub allow_remote_logos: bool,
    /// Limits on the resources that clients can use concurrently.
    pub limits: countersign_core::Limits,
    /// `frontend.dir`.
    pub theme: ThemeFiles,
    /// `telemetry.enableProfiling`.
    pub enable_profiling: bool,
}

impl App {
    pub fn new(
        issuer: Arc<Issuer>,
        settings: ServerSettings,
        layout: Layout,
        metrics: Metrics,
        process: ProcessState,
    ) -> Self {
        let parse =
            |(name, value): &(String, String)| Some((name.parse().ok()?, value.parse().ok()?));
        let headers = settings.headers.iter().filter_map(parse).collect();
        let cookies = CookieNames::of(&issuer.settings.issuer);
        let origin = issuer.settings.issuer.url().origin().ascii_serialization();
        Self(Arc::new(Shared {
            issuer,
            settings,
            headers,
            layout,
            cookies,
            origin,
            metrics,
            process,
        }))
    }

    /// `path` prefixed with the issuer's path, such as `/dex/auth`.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.settings.issuer.base_path())
    }
}

impl Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The configuration that serves requests now. Clones share it.
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

    /// Replaces the configuration: requests that begin from now on use `app`. Its issuer URL must be the same.
    pub fn replace(&self, app: App) {
        app.metrics.set_issuer(Arc::clone(&app.issuer));
        let generation = Generation::new(app);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = generation;
    }

    /// What the `web` listeners serve.
    pub fn web(&self) -> WebService {
        WebService(Routes::Current(self.clone(), |generation| generation.web.clone()))
    }

    /// What the `telemetry` listener serves.
    pub fn telemetry(&self) -> WebService {
        WebService(Routes::Current(self.clone(), |generation| generation.telemetry.clone()))
    }

    fn read<T>(&self, read: impl FnOnce(&Generation) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a listener serves: the same routes always, or those of the configuration that is current when a request begins.
/// A service instead of a `Router` that forwards: axum clones and boxes every layer of a router for each request.
#[derive(Clone)]
pub struct WebService(Routes);

#[derive(Clone)]
enum Routes {
    Fixed(Router),
    Current(CurrentApp, fn(&Generation) -> Router),
}

impl From<Router> for WebService {
    fn from(router: Router) -> Self {
        Self(Routes::Fixed(router))
    }
}

impl<B> Service<Request<B>> for WebService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match &mut self.0 {
            Routes::Fixed(router) => router.call(request),
            Routes::Current(current, routes) => current.read(*routes).call(request),
        }
    }
}
