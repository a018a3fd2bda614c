//! The HTTP side: routes, pages, cookies, headers. The only crate that uses axum and askama.
//!
//! A handler parses the request, calls `countersign_issuer` and builds the response. Decisions, storage and
//! cryptography are not here. [`routes`] names the handler of every endpoint.
//!
//! HEAD is answered like GET without a body, except where GET has side effects: the steps of a login and `/logout`
//! refuse it with 405 ([`middleware::reject_head`]).

mod account_pages;
mod account_sessions;
mod admin;
mod api;
mod app;
mod cookies;
mod discovery;
mod form;
mod home;
mod kubernetes;
pub mod listen;
mod login;
mod logout;
pub mod logout_dispatcher;
mod metrics;
mod middleware;
mod page_error;
pub mod pages;
mod proxy_headers;
mod request_context;
mod response;
mod telemetry;
mod token;
mod userinfo;

use axum::Router;
use axum::routing::{any, delete, get, post};

pub use app::{App, Health, ServerSettings};
pub use metrics::Metrics;
pub use proxy_headers::ClientAddressRule;

/// The route table of the issuer, below its path: endpoints of the protocol (open to other origins where configured),
/// of Kubernetes API servers, of logins, of the user's own pages; then the two tables of the administrators.
pub fn routes(app: App) -> Router {
    let base = app.issuer.settings.issuer.base_path().to_owned();
    let at = |path: &str| format!("{base}{path}");
    // RFC 8414 section 3.1 puts the well-known part before the issuer's path.
    let rfc_8414 = format!("/.well-known/oauth-authorization-server{base}");
    let mut protocol = Router::new()
        .route(&at("/.well-known/openid-configuration"), get(discovery::metadata))
        .route(&rfc_8414, get(discovery::metadata))
        .route(&at("/keys"), get(discovery::keys))
        .route(&at("/token"), post(token::post).fallback(token::method_not_allowed))
        .route(
            &at("/token/introspect"),
            post(token::introspect).fallback(token::method_not_allowed),
        )
        .route(&at("/revoke"), post(token::revoke).fallback(token::method_not_allowed))
        .route(&at("/userinfo"), get(userinfo::get).post(userinfo::post));
    if !base.is_empty() {
        // Some clients look here, and a proxy may forward only the issuer's path.
        let below = at("/.well-known/oauth-authorization-server");
        protocol = protocol.route(&below, get(discovery::metadata));
    }
    let protocol = protocol.layer(middleware::cors(&app));
    let clusters = Router::new()
        .route(&at("/kubernetes/tokenreview/{client}"), post(kubernetes::review))
        .route(&at("/kubernetes/groups"), get(kubernetes::groups));
    let logins = Router::new()
        .route(&at("/auth"), get(login::authorization::get).post(login::authorization::post))
        .route(
            &at("/auth/{connector}"),
            get(login::authorization::get_connector).post(login::authorization::post_connector),
        )
        .route(
            &at("/auth/{connector}/login"),
            get(login::password::get).post(login::password::post),
        )
        .route(&at("/sign-in"), get(account_pages::sign_in))
        .route(&at("/callback"), get(login::callback::get))
        .route(&at("/callback/{connector}"), get(login::callback::get_connector))
        .route(&at("/continue"), get(login::next_step::get))
        .route(&at("/approval"), get(login::next_step::get).post(login::next_step::post_approval))
        .layer(axum::middleware::from_fn(middleware::reject_head));
    let mut account_pages = Router::new()
        .route(&at("/"), get(home::get))
        .route(
            &at("/logout"),
            get(logout::get)
                .post(logout::post)
                .layer(axum::middleware::from_fn(middleware::reject_head)),
        )
        .route(&at("/sessions"), get(account_sessions::list).post(account_sessions::end))
        .route(&at("/sessions/{id}"), get(account_sessions::one))
        .route(&at("/groups"), get(account_sessions::groups))
        .route(&at("/static/{file}"), get(home::asset))
        .route(&at("/robots.txt"), get(home::robots))
        .route(&at("/healthz"), get(telemetry::healthz));
    if !base.is_empty() {
        account_pages = account_pages.route(&base, get(home::get));
    }
    let all = protocol
        .merge(clusters)
        .merge(administration_api(&base))
        .merge(logins)
        .merge(account_pages)
        .merge(administration_pages(&base))
        .fallback(home::not_found);
    middleware::layers(all, &app).with_state(app)
}

/// The API of administrators. It takes tokens, not cookies, and is not open to other origins.
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

/// The pages of administrators.
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

/// Health and metrics, for a listener of their own.
pub fn telemetry_routes(app: App) -> Router {
    Router::new()
        .route("/healthz", get(telemetry::ready))
        .route("/healthz/live", get(telemetry::live))
        .route("/healthz/ready", get(telemetry::ready))
        .route("/metrics", get(telemetry::metrics))
        .with_state(app)
}
