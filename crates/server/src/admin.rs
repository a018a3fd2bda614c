//! Administration, one file or folder per resource, each with its page (`/admin/…`), its API handlers (`/api/v1/…`)
//! and the view structs of its templates: [`sessions`], [`clients`], [`configuration`], [`connectors`], [`keys`], [`events`],
//! [`memberships`], [`explain`], [`blocked_users`].
//!
//! Pages take [`authentication::AdminSession`]; a change is a POST with a CSRF token and a sign-in of the last minutes.
//! The API takes [`authentication::AdminToken`]: cookies do not authenticate it, so no web site can act through
//! somebody's browser. API errors are problem details (RFC 9457). What may be done is decided in `issuer::admin`.

mod authentication;
pub mod blocked_users;
pub mod clients;
pub mod configuration;
pub mod connectors;
pub mod events;
pub mod explain;
pub mod filters;
pub mod frame;
pub mod keys;
pub mod memberships;
pub mod openapi;
pub mod problem_details;
pub mod sessions;
