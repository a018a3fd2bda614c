//! From an authorization request to a code (RFC 6749 section 4.1, OpenID Connect Core 3.1).
//!
//! [`parse`] proves client and redirect URI first; [`dispatch`] looks at what is still missing (login,
//! freshness, consent) and names the next step; each step ends there again and never calls another.
//! Until somebody has proved who they are, everything known lives in the [`Envelope`] in their browser.

mod answer;
mod approve;
mod dispatch;
mod envelope;
mod own_page;
mod parse;
mod request;
mod sign_in;
mod trip;

pub use answer::{Answer, AuthorizationError, ErrorCode};
pub use approve::{Approval, Verdict};
pub use dispatch::{Choice, Step};
pub use envelope::{Binder, Envelope};
pub use own_page::OwnPage;
pub(crate) use parse::is_pkce_text;
pub use parse::{Parsed, Untrusted};
pub use request::{AuthRequest, Params, Prompt, ResponseMode};
pub use sign_in::{Attempt, Browser, ProvenBrowser, SignInEnd};
pub use trip::{Arrival, Brought, Travel};
