//! How it is spoken: routes, pages, cookies, headers. The only room that sees axum and askama.
//!
//! A handler parses, calls the issuer and answers. Nothing here decides who may do what, keeps
//! anything, or knows how a token is made.

mod account_pages;
mod account_sessions;
mod admin;
mod answer;
mod api;
mod app;
mod authorize;
mod client_address;
mod cookies;
mod csp;
mod form;
mod health;
mod home;
mod keys;
mod kubernetes;
mod layers;
pub mod listen;
mod logout;
mod metadata;
mod metrics;
pub mod notices;
mod page_error;
pub mod pages;
mod published;
mod request_context;
mod token;
mod trusted_headers;
mod userinfo;

use axum::Router;
use axum::routing::{any, delete, get, post};

pub use app::{App, ServerSettings};
pub use client_address::AddressRule;
pub use health::Health;
pub use metrics::Metrics;

/// Every endpoint of the issuer, by its path; those of administrators are the two tables below. What is
/// above the line is for programs, the first of it across origins where configured; below it is for people.
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
    let clusters = Router::new()
        .route(&at("/kubernetes/tokenreview/{client}"), post(kubernetes::review))
        .route(&at("/kubernetes/groups"), get(kubernetes::groups));
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
        .route(&at("/sign-in"), get(account_pages::sign_in))
        .route(&at("/callback"), get(authorize::callback::get))
        .route(&at("/callback/{connector}"), get(authorize::callback::get_for))
        .route(&at("/continue"), get(authorize::resume::get))
        .route(&at("/approval"), get(authorize::resume::get).post(authorize::approval::post))
        .layer(axum::middleware::from_fn(layers::no_head));
    let mut account_pages = Router::new()
        .route(&at("/"), get(home::get))
        .route(
            &at("/logout"),
            get(logout::get).post(logout::post).layer(axum::middleware::from_fn(layers::no_head)),
        )
        .route(&at("/sessions"), get(account_sessions::list).post(account_sessions::end))
        .route(&at("/sessions/{id}"), get(account_sessions::one))
        .route(&at("/groups"), get(account_sessions::groups))
        .route(&at("/static/{file}"), get(home::asset))
        .route(&at("/robots.txt"), get(home::robots))
        .route(&at("/healthz"), get(health::main));
    if !base.is_empty() {
        account_pages = account_pages.route(&base, get(home::get));
    }
    let all = programs
        .merge(clusters)
        .merge(administration_api(&base))
        .merge(logins)
        .merge(account_pages)
        .merge(administration_pages(&base))
        .fallback(home::not_found);
    layers::around(all, &app).with_state(app)
}

/// For an administrator's programs: tokens and no cookies, so it is asked across no origins.
fn administration_api(base: &str) -> Router<App> {
    let at = |path: &str| format!("{base}{path}");
    let api_at = |path: &str| at(&format!("/api/v1{path}"));
    Router::new()
        .route(&api_at("/sessions"), get(api::list))
        .route(&api_at("/sessions/preview"), post(api::preview))
        .route(&api_at("/sessions/end"), post(api::end_many))
        .route(&api_at("/sessions/{id}"), get(api::show).delete(api::end))
        .route(&api_at("/grants/{id}"), delete(api::end_grant))
        .route(&api_at("/events"), get(api::events))
        .route(&api_at("/holders"), get(api::holders))
        .route(&api_at("/explain"), get(api::explain))
        .route(&api_at("/keys"), get(api::keys))
        .route(&api_at("/keys/rotate"), post(api::rotate))
        .route(&api_at("/clients"), get(api::clients))
        .route(&api_at("/connectors"), get(api::connectors))
        .route(&api_at("/connectors/{id}/confirm"), post(api::confirm))
        .route(&api_at("/openapi.json"), get(api::description))
        .route(&at("/api/v1/{*rest}"), any(api::nothing))
}

/// For an administrator's browser.
fn administration_pages(base: &str) -> Router<App> {
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route(&at("/admin"), get(admin::list))
        .route(&at("/admin/sessions/{id}"), get(admin::show).post(admin::act))
        .route(&at("/admin/end"), get(admin::preview).post(admin::end))
        .route(&at("/admin/events"), get(admin::events))
        .route(&at("/admin/holders"), get(admin::holders))
        .route(&at("/admin/explain"), get(admin::explain))
        .route(&at("/admin/clients"), get(admin::clients))
        .route(&at("/admin/connectors"), get(admin::connectors).post(admin::confirm))
        .route(&at("/admin/keys"), get(admin::keys).post(admin::rotate))
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
