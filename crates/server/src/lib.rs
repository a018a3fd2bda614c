//! How it is spoken: routes, pages, cookies, headers. The only room that sees axum and askama.
//!
//! A handler parses, calls the issuer and answers. Nothing here decides who may do what, keeps
//! anything, or knows how a token is made.

mod answer;
mod app;
mod authorize;
mod client_address;
mod cookies;
mod csp;
mod form;
mod health;
mod home;
mod keys;
mod layers;
pub mod listen;
mod metadata;
mod metrics;
pub mod pages;
mod published;
mod token;
mod trouble;
mod userinfo;
mod visit;

use axum::Router;
use axum::routing::{get, post};

pub use app::{App, ServerSettings};
pub use client_address::AddressRule;
pub use health::Health;
pub use metrics::Metrics;

/// Every endpoint of the issuer, by its path. What is above the line is for programs and may be
/// asked across origins where configured; below it is for people.
pub fn routes(app: App) -> Router {
    let base = app.issuer.settings.issuer.base_path().to_owned();
    let at = |path: &str| format!("{base}{path}");
    // RFC 8414 section 3.1 puts the well-known part before the issuer's path.
    let rfc_8414 = format!("/.well-known/oauth-authorization-server{base}");
    let mut programs = Router::new()
        .route(&at("/.well-known/openid-configuration"), get(metadata::discovery))
        .route(&rfc_8414, get(metadata::discovery))
        .route(&at("/keys"), get(keys::get))
        .route(&at("/token"), post(token::post).fallback(token::wrong_method))
        .route(&at("/token/introspect"), post(token::introspect).fallback(token::wrong_method))
        .route(&at("/revoke"), post(token::revoke).fallback(token::wrong_method))
        .route(&at("/userinfo"), get(userinfo::get).post(userinfo::post));
    if !base.is_empty() {
        // Where a proxy passes on only the issuer's path, and some clients look there.
        let below = at("/.well-known/oauth-authorization-server");
        programs = programs.route(&below, get(metadata::discovery));
    }
    let programs = programs.layer(layers::cross_origin(&app));
    // ---------------------------------------------------------------------------------------------
    let logins = Router::new()
        .route(&at("/auth"), get(authorize::auth::get).post(authorize::auth::post))
        .route(
            &at("/auth/{connector}"),
            get(authorize::connector::get).post(authorize::connector::post),
        )
        .route(
            &at("/auth/{connector}/login"),
            get(authorize::login::get).post(authorize::login::post),
        )
        .route(&at("/callback"), get(authorize::callback::get))
        .route(&at("/callback/{connector}"), get(authorize::callback::get_for))
        .route(&at("/continue"), get(authorize::resume::get))
        .route(&at("/approval"), get(authorize::resume::get).post(authorize::approval::post))
        .layer(axum::middleware::from_fn(layers::no_head));
    let mut own_pages = Router::new()
        .route(&at("/"), get(home::get))
        .route(&at("/logout"), get(home::logout_get).post(home::logout_post))
        .route(&at("/static/{file}"), get(home::asset))
        .route(&at("/robots.txt"), get(home::robots))
        .route(&at("/healthz"), get(health::main));
    if !base.is_empty() {
        own_pages = own_pages.route(&base, get(home::get));
    }
    let all = programs.merge(logins).merge(own_pages).fallback(home::not_found);
    layers::around(all, &app).with_state(app)
}

/// What operators and their probes ask, on a port of its own.
pub fn telemetry_routes(app: App) -> Router {
    Router::new()
        .route("/healthz", get(health::ready))
        .route("/healthz/live", get(health::live))
        .route("/healthz/ready", get(health::ready))
        .route("/metrics", get(metrics::get))
        .with_state(app)
}
