//! An example application: an OpenID Connect client for people who want to see what an application gets.
//!
//! It signs in at any issuer with the flow and scopes that are chosen, shows the tokens with each claim explained and
//! what an API server would make of them, and calls userinfo, introspection, revocation, refresh, token exchange and
//! logout. One page, no script. It is a program of its own (`countersign example-app`) or runs beside `serve`; it
//! knows the issuer by its discovery document alone.
//!
//! It is in this crate because this crate owns axum and askama and has the layout and the stylesheet; it uses none
//! of the handlers, and nothing of `countersign_issuer`. Start reading at [`routes`].
//!
//! What a browser has obtained is kept in memory, for at most `MAX_BROWSERS` browsers.

mod actions;
mod browsers;
mod callback;
mod claims;
mod page;
mod provider;
mod settings;
mod start;

use axum::Router;
use axum::routing::{get, post};

pub use browsers::ExampleApp;
pub use settings::{Settings, VerifyIdToken};

/// The route table of the example application. The callback has the path of the redirect URI.
pub fn routes(app: ExampleApp) -> Router {
    let callback = app.settings.redirect_uri.path().to_owned();
    Router::new()
        .route("/", get(page::get))
        .route("/start", post(start::post))
        .route("/action", post(actions::post))
        .route(&callback, get(callback::get).post(callback::post))
        .route("/static/{file}", get(page::static_file))
        .with_state(app)
}
