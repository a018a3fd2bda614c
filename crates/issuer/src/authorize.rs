//! From an authorization request to a code (RFC 6749 section 4.1, OpenID Connect Core 3.1).
//!
//! [`parse`] proves client and redirect URI first; [`dispatch`] looks at what is still missing (login,
//! freshness, consent) and names the next step; each step ends there again and never calls another.
//! Until somebody has proved who they are, everything known lives in the [`PendingLogin`] in their browser.

mod account_page;
mod answer;
mod approve;
mod dispatch;
mod parse;
mod pending_login;
mod request;
mod sign_in;
mod upstream_login;

pub use account_page::AccountPage;
pub use answer::{AuthorizationError, AuthorizationResponse, ErrorCode};
pub use approve::{Approval, ApprovalDecision};
pub use dispatch::{Choice, Step};
pub(crate) use parse::is_pkce_text;
pub use parse::{Parsed, Untrusted};
pub use pending_login::{BrowserBinding, PendingLogin};
pub use request::{AuthRequest, Params, Prompt, ResponseMode};
pub use sign_in::{Attempt, Browser, ProvenBrowser, SignInEnd};
pub use upstream_login::{CallbackOutcome, CallbackParams, UpstreamRedirect};
