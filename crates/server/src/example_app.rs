//! An example application: an OpenID Connect client that shows what a client receives.
//!
//! It signs in at any issuer with the selected flow and scopes, shows the tokens with an explanation of each claim and
//! the user an API server would derive from them, and calls userinfo, introspection, revocation, refresh, token
//! exchange and logout. One page, no script. It is a separate program (`countersign example-app`) or runs beside
//! `serve`; it knows the issuer only by its discovery document.
//!
//! It is in this crate because this crate owns axum and askama and has the layout and the stylesheet. It uses no
//! handler of the server and nothing of `countersign_issuer`. Start reading at [`routes`].
//!
//! The tokens of each browser are kept in memory, for at most `MAX_BROWSERS` browsers.

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

/// The route table of the example application. The callback's path is that of the redirect URI.
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
