//! Administration, one file or folder per resource, each with its page (`/admin/…`), its API handlers (`/api/v1/…`) and
//! the view structs of its templates: [`sessions`], [`clients`], [`configuration`], [`connectors`], [`keys`],
//! [`events`], [`memberships`], [`explain`], [`blocked_users`].
//!
//! Pages take [`authentication::AdminSession`]; a change is a POST with a CSRF token and a recent sign-in. The API
//! takes [`authentication::AdminToken`] and ignores cookies, so other web sites cannot use a browser's session for it
//! (CSRF). API errors are problem details (RFC 9457). Permissions are decided in `issuer::admin`.

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
