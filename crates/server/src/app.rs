//! What every handler is given.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use countersign_issuer::Issuer;

use crate::client_address::AddressRule;
use crate::cookies::CookieNames;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::pages::Layout;

#[derive(Clone)]
pub struct App(Arc<Shared>);

pub struct Shared {
    pub issuer: Arc<Issuer>,
    pub settings: ServerSettings,
    /// `settings.headers`, ready to be sent.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub layout: Layout,
    pub cookies: CookieNames,
    pub metrics: Metrics,
    pub health: Health,
}

/// How the issuer is spoken, as configured.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// Origins that may read the programs' endpoints; `*` is any. Empty: none.
    pub allowed_origins: Vec<String>,
    pub allowed_headers: Vec<String>,
    /// `web.headers`: set on every answer, in place of our own of that name.
    pub headers: Vec<(String, String)>,
    pub address_rule: AddressRule,
    /// Logos of clients and of the issuer may be fetched by browsers from elsewhere.
    pub allow_remote_logos: bool,
    /// What clients can use at the same time.
    pub limits: countersign_core::Limits,
}

impl App {
    pub fn new(
        issuer: Arc<Issuer>,
        settings: ServerSettings,
        layout: Layout,
        metrics: Metrics,
        health: Health,
    ) -> Self {
        let pair =
            |(name, value): &(String, String)| Some((name.parse().ok()?, value.parse().ok()?));
        let headers = settings.headers.iter().filter_map(pair).collect();
        let cookies = CookieNames::of(&issuer.settings.issuer);
        Self(Arc::new(Shared { issuer, settings, headers, layout, cookies, metrics, health }))
    }

    /// The path of one of our own pages.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.settings.issuer.base_path())
    }
}

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}
