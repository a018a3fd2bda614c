//! The HTTP server: routes, pages, cookies, headers. Only this crate uses axum and askama.
//!
//! A handler parses the request, calls `countersign_issuer` and builds the response. This crate contains no protocol
//! decisions, storage or cryptography. [`routes`] lists the handler of every endpoint.
//!
//! HEAD is handled like GET without a body, except where GET has side effects: the steps of a login and `/logout`
//! refuse it with 405 (`middleware::reject_head`).

mod account;
mod admin;
mod app;
mod clusters;
mod connection;
mod cookies;
mod discovery;
pub mod example_app;
mod form;
pub mod grpc;
mod kubernetes;
pub mod listen;
mod login;
mod logout;
pub mod logout_dispatcher;
mod metrics;
mod middleware;
mod page_error;
pub mod pages;
pub mod process_state;
mod profiling;
mod proxy_headers;
mod request_context;
mod request_limits;
mod response;
mod static_files;
mod telemetry;
mod token;
mod userinfo;

use axum::Router;
use axum::routing::{any, delete, get, post};

pub use app::{App, CurrentApp, ServerSettings, WebService};
pub use metrics::Metrics;
pub use process_state::{ProcessState, ReloadState, RequestTraces};
pub use proxy_headers::ClientAddressRule;

/// The route table of the issuer, below its path: protocol endpoints (with CORS where configured), endpoints for
/// Kubernetes API servers and devices, logins, account pages, and the two tables for administrators.
#[expect(clippy::too_many_lines, reason = "a table, one line for each route")]
pub fn routes(app: App) -> Router {
    let base = app.issuer.settings.issuer.base_path().to_owned();
    let at = |path: &str| format!("{base}{path}");
    // RFC 8414 section 3.1 inserts the well-known part before the issuer's path.
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
        // Some clients request this path, and a proxy may forward only the issuer's path.
        let below = at("/.well-known/oauth-authorization-server");
        protocol = protocol.route(&below, get(discovery::metadata));
    }
    let protocol = protocol.layer(middleware::cors(&app));
    let api_servers = Router::new()
        .route(&at("/kubernetes/tokenreview/{client}"), post(kubernetes::review))
        .route(&at("/kubernetes/groups"), get(kubernetes::groups));
    let mut devices = Router::new()
        .route(&at("/device/code"), post(login::device::code).fallback(token::method_not_allowed))
        .route(&at("/device/token"), post(token::post_device).fallback(token::method_not_allowed))
        .route(&at("/device"), get(login::device::get).post(login::device::post))
        .route(&at("/device/auth/verify_code"), post(login::device::post))
        .route(&at("/device/callback"), get(login::device::callback));
    if !base.is_empty() {
        // Dex 2.45 serves it outside the issuer's path.
        devices = devices.route("/device/callback", get(login::device::callback));
    }
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
        .route(&at("/sign-in"), get(account::sign_in))
        .route(&at("/callback"), get(login::callback::get).post(login::callback::post))
        .route(
            &at("/callback/{connector}"),
            get(login::callback::get_connector).post(login::callback::post_connector),
        )
        .route(&at("/continue"), get(login::next_step::get_continue))
        .route(&at("/approval"), get(login::next_step::get).post(login::next_step::post_approval))
        .layer(axum::middleware::from_fn(middleware::reject_head));
    let mut account_pages = Router::new()
        .route(&at("/"), get(account::home::get))
        .route(
            &at("/logout"),
            get(logout::get)
                .post(logout::post)
                .layer(axum::middleware::from_fn(middleware::reject_head)),
        )
        .route(&at("/sessions"), get(account::sessions::list).post(account::sessions::end))
        .route(&at("/sessions/{id}"), get(account::sessions::one))
        .route(
            &at("/consents"),
            get(account::sessions::list_consents).post(account::sessions::withdraw_consent),
        )
        .route(&at("/groups"), get(account::home::get_groups))
        .route(&at("/clusters"), get(clusters::get))
        .route(&at("/clusters/kubeconfig"), get(clusters::all_kubeconfigs))
        .route(&at("/clusters/{name}/kubeconfig"), get(clusters::kubeconfig))
        .route(&at("/static/{file}"), get(static_files::get))
        .route(&at("/theme/{file}"), get(static_files::theme_file))
        .route(&at("/robots.txt"), get(static_files::robots))
        .route(&at("/healthz"), get(telemetry::healthz));
    if !base.is_empty() {
        account_pages = account_pages.route(&base, get(account::home::get));
    }
    let all = protocol
        .merge(api_servers)
        .merge(devices)
        .merge(administration_api(&base))
        .merge(logins)
        .merge(account_pages)
        .merge(administration_pages(&base))
        .fallback(static_files::not_found);
    middleware::layers(all, &app).with_state(app)
}

/// The administrator's API. It accepts access tokens, not cookies, and does not allow cross-origin requests.
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
        .route(
            &api_at("/blocked-users"),
            get(admin::blocked_users::api_list).post(admin::blocked_users::api_block),
        )
        .route(&api_at("/blocked-users/preview"), post(admin::blocked_users::api_preview))
        .route(&api_at("/blocked-users/unblock"), post(admin::blocked_users::api_unblock))
        .route(&api_at("/keys"), get(admin::keys::api_list))
        .route(
            &api_at("/keys/{key}"),
            get(admin::keys::api_preview_drop).delete(admin::keys::api_drop),
        )
        .route(&api_at("/keys/rotate"), post(admin::keys::api_rotate))
        .route(&api_at("/clients"), get(admin::clients::api_list))
        .route(&api_at("/connectors"), get(admin::connectors::api_list))
        .route(&api_at("/connectors/{id}/confirm"), post(admin::connectors::api_confirm))
        .route(&api_at("/configuration"), get(admin::configuration::api_show))
        .route(
            &api_at("/configuration/plan"),
            get(admin::configuration::api_plan).post(admin::configuration::api_compare),
        )
        .route(&api_at("/configuration/reload"), post(admin::configuration::api_reload))
        .route(&api_at("/openapi.json"), get(admin::api::description))
        .route(&at("/api/v1/{*rest}"), any(admin::api::not_found))
}

/// The administration pages.
fn administration_pages(base: &str) -> Router<App> {
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route(&at("/admin"), get(admin::sessions::get_page))
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
        .route(
            &at("/admin/keys/{key}"),
            get(admin::keys::get_drop_page).post(admin::keys::post_drop_page),
        )
        .route(
            &at("/admin/blocked-users"),
            get(admin::blocked_users::get_page).post(admin::blocked_users::post_page),
        )
        .route(
            &at("/admin/block"),
            get(admin::blocked_users::block::get_page).post(admin::blocked_users::block::post_page),
        )
}

/// Health, metrics and CPU profiles, for a separate listener.
pub fn telemetry_routes(app: App) -> Router {
    Router::new()
        .route("/healthz", get(telemetry::ready))
        .route("/healthz/live", get(telemetry::live))
        .route("/healthz/ready", get(telemetry::ready))
        .route("/metrics", get(telemetry::metrics))
        .route("/debug/pprof/profile", get(profiling::get))
        .with_state(app)
}
