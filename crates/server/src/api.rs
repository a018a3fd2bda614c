//! The administrator's API: JSON under `/api/v1`, described by `openapi.json` beside it.
//!
//! Only [`AdminToken`] lets anybody in, by an access token in the header; cookies open nothing here, so no
//! other web site can act through somebody's browser. Errors are problem details (RFC 9457). Nothing is
//! decided here: a handler reads fields, asks `issuer::admin` and answers with its views.

mod admin_token;
mod keys;
mod log;
mod openapi;
mod places;
mod problem_details;
mod sessions;

pub use keys::{keys, rotate};
pub use log::{events, explain, holders};
pub use openapi::description;
pub use places::{clients, confirm, connectors};
pub use problem_details::{bare, nothing};
pub use sessions::{end, end_grant, end_many, list, preview, show};
