//! The state every handler is given.

use std::ops::Deref;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use countersign_issuer::Issuer;

use crate::cookies::CookieNames;
use crate::metrics::Metrics;
use crate::pages::{Layout, ThemeFiles};
use crate::process_state::ProcessState;
use crate::proxy_headers::ClientAddressRule;

#[derive(Clone)]
pub struct App(Arc<Shared>);

pub struct Shared {
    pub issuer: Arc<Issuer>,
    pub settings: ServerSettings,
    /// `settings.headers`, parsed.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub layout: Layout,
    pub cookies: CookieNames,
    pub metrics: Metrics,
    pub process: ProcessState,
}

/// The HTTP settings of the configuration.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// `web.allowedOrigins`: origins whose scripts may read the protocol endpoints; `*` is any. Empty: none.
    pub allowed_origins: Vec<String>,
    pub allowed_headers: Vec<String>,
    /// `web.headers`: set on every response, in place of our own of that name.
    pub headers: Vec<(String, String)>,
    pub client_address: ClientAddressRule,
    /// Pages may show logos that browsers fetch from other origins.
    pub allow_remote_logos: bool,
    /// What clients can use at the same time.
    pub limits: countersign_core::Limits,
    /// `frontend.dir`.
    pub theme: ThemeFiles,
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
        Self(Arc::new(Shared { issuer, settings, headers, layout, cookies, metrics, process }))
    }

    /// `path` below the issuer's own path, such as `/dex/auth`.
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
