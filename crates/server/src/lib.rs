//! How it is spoken: routes, pages, cookies, headers. The only room that sees axum and askama.
//!
//! A handler parses, calls the issuer and answers. Nothing here decides who may do what, keeps
//! anything, or knows how a token is made.

mod account;
mod admin;
mod answer;
mod app;
mod authorize;
mod client_address;
mod cookies;
mod csp;
mod form;
mod health;
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
mod static_files;
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
        .route(&at("/sign-in"), get(account::sign_in))
        .route(&at("/callback"), get(authorize::callback::get))
        .route(&at("/callback/{connector}"), get(authorize::callback::get_for))
        .route(&at("/continue"), get(authorize::resume::get))
        .route(&at("/approval"), get(authorize::resume::get).post(authorize::approval::post))
        .layer(axum::middleware::from_fn(layers::no_head));
    let mut account_pages = Router::new()
        .route(&at("/"), get(account::home::get))
        .route(
            &at("/logout"),
            get(logout::get).post(logout::post).layer(axum::middleware::from_fn(layers::no_head)),
        )
        .route(&at("/sessions"), get(account::sessions::list).post(account::sessions::end))
        .route(&at("/sessions/{id}"), get(account::sessions::one))
        .route(&at("/groups"), get(account::groups::get))
        .route(&at("/static/{file}"), get(static_files::get))
        .route(&at("/robots.txt"), get(static_files::robots))
        .route(&at("/healthz"), get(health::main));
    if !base.is_empty() {
        account_pages = account_pages.route(&base, get(account::home::get));
    }
    let all = programs
        .merge(clusters)
        .merge(administration_api(&base))
        .merge(logins)
        .merge(account_pages)
        .merge(administration_pages(&base))
        .fallback(static_files::not_found);
    layers::around(all, &app).with_state(app)
}

/// For an administrator's programs: tokens and no cookies, so it is asked across no origins.
fn administration_api(base: &str) -> Router<App> {
    let at = |path: &str| format!("{base}{path}");
    let api_at = |path: &str| at(&format!("/api/v1{path}"));
    Router::new()
        .route(&api_at("/sessions"), get(admin::sessions::api::list))
        .route(&api_at("/sessions/preview"), post(admin::sessions::api::preview))
        .route(&api_at("/sessions/end"), post(admin::sessions::api::end_sessions))
        .route(
            &api_at("/sessions/{id}"),
            get(admin::sessions::api::show).delete(admin::sessions::api::end),
        )
        .route(&api_at("/grants/{id}"), delete(admin::sessions::api::end_grant))
        .route(&api_at("/events"), get(admin::events::api_list))
        .route(&api_at("/memberships"), get(admin::memberships::api_list))
        .route(&api_at("/explain"), get(admin::explain::api_show))
        .route(&api_at("/keys"), get(admin::keys::api_list))
        .route(&api_at("/keys/rotate"), post(admin::keys::api_rotate))
        .route(&api_at("/clients"), get(admin::clients::api_list))
        .route(&api_at("/connectors"), get(admin::connectors::api_list))
        .route(&api_at("/connectors/{id}/confirm"), post(admin::connectors::api_confirm))
        .route(&api_at("/openapi.json"), get(admin::openapi::description))
        .route(&at("/api/v1/{*rest}"), any(admin::problem_details::not_found))
}

/// For an administrator's browser.
fn administration_pages(base: &str) -> Router<App> {
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route(&at("/admin"), get(admin::sessions::list::get_page))
        .route(
            &at("/admin/sessions/{id}"),
            get(admin::sessions::detail::get_page).post(admin::sessions::detail::post_page),
        )
        .route(
            &at("/admin/end"),
            get(admin::sessions::end::get_page).post(admin::sessions::end::post_page),
        )
        .route(&at("/admin/events"), get(admin::events::get_page))
        .route(&at("/admin/memberships"), get(admin::memberships::get_page))
        .route(&at("/admin/explain"), get(admin::explain::get_page))
        .route(&at("/admin/clients"), get(admin::clients::get_page))
        .route(
            &at("/admin/connectors"),
            get(admin::connectors::get_page).post(admin::connectors::post_page),
        )
        .route(&at("/admin/keys"), get(admin::keys::get_page).post(admin::keys::post_page))
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
