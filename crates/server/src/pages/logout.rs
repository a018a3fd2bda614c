//! The pages before and after signing out.

use askama::Template;

use super::href::Way;
use super::layout::Layout;
use super::name::Name;
use super::people::User;

#[derive(Template)]
#[template(path = "logout_confirm.html")]
pub struct LogoutConfirm<'a> {
    pub layout: &'a Layout,
    pub user: User,
    pub action: &'a str,
    pub csrf: &'a str,
    /// What the application asked with (`id_token_hint`, `post_logout_redirect_uri`, `state`), to be posted again.
    pub fields: Vec<(&'a str, &'a str)>,
    /// Whether to offer the checkbox `tools=end`: the session has grants that would outlive it.
    pub offers_tools: bool,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut<'a> {
    pub layout: &'a Layout,
    pub tools: Tools,
    /// Applications that are being told.
    pub told: Vec<Name>,
    pub way: Option<Way>,
    /// Where to sign out of the upstream as well.
    pub upstream: Option<Way>,
}

/// What became of the command-line tools of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tools {
    /// There were none.
    Untouched,
    Kept,
    Ended,
}

impl LogoutConfirm<'_> {
    fn title(&self) -> &'static str {
        self.layout.texts.logout.heading
    }
}

impl SignedOut<'_> {
    fn title(&self) -> &'static str {
        self.layout.texts.logout.done
    }
}
